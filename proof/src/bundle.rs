//! The evidence bundle, `.inuse`: one file with everything that a check without a network needs.
//!
//! A bundle is a tar archive of one form: ustar headers without times or owners, files in the order of their names,
//! `digests` last, nothing behind the end. So the same evidence gives the same bytes, and a byte that nobody looks at
//! does not exist. `digests` is a C2SP signed note whose text names each other file with its length, SHA-256 and SM3.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

use data_encoding::HEXLOWER;
use sha2::Digest as _;
use sha2::Sha256;
use signed_note::{Note, StandardVerifier, VerifierList};
use sm3::Sm3;
use tar::Header;

use crate::ids::{AgentId, EntryId};

/// The list of all other files.
pub const DIGESTS: &str = "digests";

/// First line of the list. No log is named so.
const FIRST_LINE: &str = "inuse/v1/bundle";

/// Most files of a bundle: envelopes and receipts of some 650 days of three gateways.
pub const MAX_FILES: usize = 600_000;

/// Longest file of a bundle, bytes.
pub const MAX_FILE: u64 = 4 << 20;

/// Longest name of a file.
const MAX_NAME: usize = 100;

/// Folders and files of a bundle.
pub mod names {
    /// What a bundle is, for people.
    pub const README: &str = "README.txt";
    /// C2SP tlog-policy: the log's verifier key and the witnesses asked for.
    pub const POLICY: &str = "policy";
    /// The assessment with the versions of its rules.
    pub const VERDICT: &str = "verdict.json";
    /// Acts of the log's owner about the gateways, each with its receipt.
    pub const ACTS: &str = "acts/";
    /// One text a gateway: its key and when it was enrolled.
    pub const ENROLMENT: &str = "enrolment/";
    /// Signed bytes, by gateway.
    pub const ENVELOPES: &str = "envelopes/";
    /// Receipts, by gateway.
    pub const RECEIPTS: &str = "receipts/";
    /// Openings.
    pub const OPENINGS: &str = "openings/";
}

/// What stands in the name of an envelope and its receipt: gateway, sequence, and the first half of the entry id, which is
/// too long for nobody to find two that begin alike.
pub fn place(agent: AgentId, seq: u64, entry: EntryId) -> String {
    format!("{agent}/{seq:010}-{}", &entry.to_string()[..32])
}

/// What stands in the name of an act and its receipt: gateway, place in the log, and kind.
pub fn act_place(agent: AgentId, index: u64, kind: &str) -> String {
    format!("{agent}/{index:010}-{kind}")
}

/// A gateway's enrolment as a bundle's text has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The gateway.
    pub agent: AgentId,
    /// The firm's project.
    pub project: String,
    /// Its public key when it enrolled, 32 bytes.
    pub key: [u8; 32],
    /// Epoch of that key.
    pub epoch: u32,
    /// Server's Unix ms.
    pub enrolled_ms: i64,
    /// Keys that took over since, in the order of their epochs: a help for readers, shown by the chain alone.
    pub rotated: Vec<Rotated>,
    /// Since when its key is no longer believed, server's Unix ms.
    pub revoked_ms: Option<i64>,
}

/// A key that took over, as an enrolment's text has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotated {
    /// The epoch that began.
    pub epoch: u32,
    /// Its public key, 32 bytes.
    pub key: [u8; 32],
    /// First sequence that it signs.
    pub from_seq: u64,
}

/// Most rotations of an enrolment that are read.
const MAX_ROTATED: usize = 10_000;

impl Enrolment {
    /// As a text: a key and a value a line.
    pub fn text(&self) -> String {
        let Self { agent, project, epoch, enrolled_ms, .. } = self;
        let key = HEXLOWER.encode(&self.key);
        let rotated = |Rotated { epoch, key, from_seq }: &Rotated| {
            format!("rotated {epoch} {} {from_seq}\n", HEXLOWER.encode(key))
        };
        let rotated: String = self.rotated.iter().map(rotated).collect();
        let revoked = self.revoked_ms.map_or_else(String::new, |at| format!("revoked_ms {at}\n"));
        format!(
            "agent {agent}\nproject {project}\nkey {key}\nepoch {epoch}\nenrolled_ms {enrolled_ms}\n{rotated}{revoked}"
        )
    }

    /// Reads the text; `None` when it is not of the one form.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().peekable();
        let mut value =
            |name: &str| lines.next_if(|line| line.starts_with(name))?.strip_prefix(name)?.strip_prefix(' ');
        let agent = value("agent")?.parse().ok()?;
        let project = value("project")?.to_owned();
        let key = HEXLOWER.decode(value("key")?.as_bytes()).ok()?.try_into().ok()?;
        let epoch = value("epoch")?.parse().ok()?;
        let enrolled_ms = value("enrolled_ms")?.parse().ok()?;
        let mut rotated = Vec::new();
        while let Some(line) = value("rotated").filter(|_| rotated.len() < MAX_ROTATED) {
            rotated.push(Rotated::parse(line)?);
        }
        let revoked_ms = value("revoked_ms").map(str::parse).transpose().ok()?;
        let read = Self { agent, project, key, epoch, enrolled_ms, rotated, revoked_ms };
        // It has one form.
        (read.text() == text).then_some(read)
    }
}

impl Rotated {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let epoch = words.next()?.parse().ok()?;
        let key = HEXLOWER.decode(words.next()?.as_bytes()).ok()?.try_into().ok()?;
        let from_seq = words.next()?.parse().ok()?;
        Some(Self { epoch, key, from_seq })
    }
}

const BLOCK: usize = 512;

/// Writes a bundle, file by file, in the order of their names.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    last: String,
    list: String,
    files: usize,
}

/// A bundle's files, and where they stand in its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    places: BTreeMap<String, Range<usize>>,
    digests: Range<usize>,
}

/// Bytes that are no bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The archive is not of the one form.
    #[error("not a bundle: {0}")]
    Form(&'static str),
    /// A file is not the one that the list names.
    #[error("`{0}` is not the file that `digests` names")]
    OtherFile(String),
    /// The list names a file that is not there, or a file is there that it does not name.
    #[error("`digests` and the files differ from `{0}` on")]
    OtherFiles(String),
    /// The list is not signed by this key.
    #[error("`digests` is not signed by the log's key")]
    NotSigned,
}

impl<W: Write> Writer<W> {
    /// Begins a bundle.
    pub fn new(out: W) -> Self {
        Self { out, last: String::new(), list: format!("{FIRST_LINE}\n"), files: 0 }
    }

    /// Adds a file.
    ///
    /// # Errors
    /// When it cannot be written.
    ///
    /// # Panics
    /// When names are not given in their order, or a name or file is longer than a bundle has.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        assert!(
            self.last.as_str() < name && is_name(name) && name != DIGESTS,
            "`{name}` after `{}`",
            self.last
        );
        assert!(
            bytes.len() as u64 <= MAX_FILE && self.files < MAX_FILES,
            "`{name}` is too large, or too many are"
        );
        self.list.push_str(&line(name, bytes));
        name.clone_into(&mut self.last);
        self.files += 1;
        self.put(name, bytes)
    }

    /// Ends the bundle by the list of its files, which `sign` makes a signed note of, and returns what it was written to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(mut self, sign: impl FnOnce(&str) -> String) -> io::Result<W> {
        let note = sign(&self.list);
        self.put(DIGESTS, note.as_bytes())?;
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(header(name, bytes.len() as u64)?.as_bytes())?;
        self.out.write_all(bytes)?;
        self.out.write_all(&[0; BLOCK][..padding(bytes.len())])
    }
}

impl Files {
    /// Reads a bundle and checks that it is of the one form, and that its files are those of its list. Whose list it is
    /// says [`Files::signed_by`].
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn read(bundle: &[u8]) -> Result<Self, BundleError> {
        let wrong = BundleError::Form;
        let mut places: BTreeMap<String, Range<usize>> = BTreeMap::new();
        let mut at = 0;
        let digests = loop {
            let block = bundle.get(at..at + BLOCK).ok_or(wrong("it is cut short"))?;
            let (name, length) = named(block).ok_or(wrong("it has a part that is no file"))?;
            let start = at + BLOCK;
            let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
            let end = end.filter(|end| *end <= bundle.len()).ok_or(wrong("it is cut short"))?;
            let next = end + padding(end - start);
            let is_clean = bundle.get(end..next).is_some_and(|rest| rest.iter().all(|byte| *byte == 0));
            if !is_clean {
                return Err(wrong("something stands between its files"));
            }
            at = next;
            if name == DIGESTS {
                break start..end;
            }
            let in_order = places.last_key_value().is_none_or(|(last, _)| *last < name);
            if !in_order || places.len() == MAX_FILES {
                return Err(wrong("its files are not in order, or too many"));
            }
            places.insert(name, start..end);
        };
        if bundle[at..] != [0; 2 * BLOCK] {
            return Err(wrong("something stands behind its end"));
        }
        let files = Self { places, digests };
        files.are_listed(bundle)?;
        Ok(files)
    }

    fn are_listed(&self, bundle: &[u8]) -> Result<(), BundleError> {
        let text = self.list(bundle)?;
        let mut lines = text.split_inclusive('\n');
        if lines.next() != Some(&format!("{FIRST_LINE}\n")) {
            return Err(BundleError::Form("its list is of another kind"));
        }
        for (name, place) in &self.places {
            let stated = lines.next().ok_or_else(|| BundleError::OtherFiles(name.clone()))?;
            if !stated.ends_with(&format!(" {name}\n")) {
                return Err(BundleError::OtherFiles(name.clone()));
            }
            if stated != line(name, &bundle[place.clone()]) {
                return Err(BundleError::OtherFile(name.clone()));
            }
        }
        match lines.next() {
            None => Ok(()),
            Some(more) => Err(BundleError::OtherFiles(more.trim_end().to_owned())),
        }
    }

    /// The note that lists them.
    pub(crate) fn note<'a>(&self, bundle: &'a [u8]) -> &'a str {
        std::str::from_utf8(&bundle[self.digests.clone()]).unwrap_or_default()
    }

    fn list<'a>(&self, bundle: &'a [u8]) -> Result<&'a str, BundleError> {
        let note = std::str::from_utf8(&bundle[self.digests.clone()]);
        let note = note.map_err(|_| BundleError::Form("its list is no text"))?;
        // A note's text ends before the blank line that its signatures follow.
        let end = note.rfind("\n\n").ok_or(BundleError::Form("its list is no note"))?;
        Ok(&note[..=end])
    }

    /// Checks that the list is signed by the holder of this log key, and by nobody else.
    ///
    /// # Errors
    /// [`BundleError::NotSigned`].
    pub fn signed_by(&self, bundle: &[u8], log_key: &str) -> Result<(), BundleError> {
        let verifier = StandardVerifier::new(log_key).map_err(|_| BundleError::NotSigned)?;
        let note = Note::from_bytes(&bundle[self.digests.clone()]).map_err(|_| BundleError::NotSigned)?;
        let signed = note.verify(&VerifierList::new(vec![Box::new(verifier)]));
        match signed {
            Ok((_, unknown)) if unknown.is_empty() => Ok(()),
            Ok(_) | Err(_) => Err(BundleError::NotSigned),
        }
    }

    /// A file.
    pub fn get<'a>(&self, bundle: &'a [u8], name: &str) -> Option<&'a [u8]> {
        Some(&bundle[self.places.get(name)?.clone()])
    }

    /// The files below a folder, whose name ends in `/`: each with the rest of its name, in order.
    pub fn below<'a>(
        &'a self,
        bundle: &'a [u8],
        folder: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let from = self.places.range(folder.to_owned()..);
        let below = from.map_while(move |(name, place)| Some((name.strip_prefix(folder)?, place)));
        below.map(|(name, place)| (name, &bundle[place.clone()]))
    }

    /// The names of all files but the list.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }
}

fn line(name: &str, bytes: &[u8]) -> String {
    let (sha256, sm3) = (Sha256::digest(bytes), Sm3::digest(bytes));
    format!("{} {} {} {name}\n", bytes.len(), HEXLOWER.encode(&sha256), HEXLOWER.encode(&sm3))
}

fn header(name: &str, length: u64) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_size(length);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Ok(header)
}

/// Name and length of the file that this block begins, where it is the block that would be written for it.
fn named(block: &[u8]) -> Option<(String, u64)> {
    let given = Header::from_byte_slice(block);
    let name = std::str::from_utf8(&given.path_bytes()).ok()?.to_owned();
    let length = given.entry_size().ok().filter(|length| *length <= MAX_FILE)?;
    let same = is_name(&name) && header(&name, length).ok()?.as_bytes()[..] == *block;
    same.then_some((name, length))
}

/// Letters, digits, and what stands between them.
fn is_name(name: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(fine)
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

fn padding(length: usize) -> usize {
    length.next_multiple_of(BLOCK) - length
}

#[cfg(test)]
mod tests {
    use signed_note::StandardSigner;

    use super::*;

    fn key() -> (StandardSigner, String) {
        let (secret, public) = crate::log::test_key();
        (StandardSigner::new(&secret).unwrap(), public)
    }

    fn signed(text: &str) -> String {
        let mut note = Note::new(text.as_bytes(), &[]).unwrap();
        note.add_sigs(&[&key().0]).unwrap();
        String::from_utf8(note.to_bytes()).unwrap()
    }

    fn bundle() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        writer.add("README.txt", "说明\n".as_bytes()).unwrap();
        writer.add("envelopes/a/0000000001.env", &[7; 700]).unwrap();
        writer.add("policy", b"").unwrap();
        writer.end(signed).unwrap()
    }

    #[test]
    fn the_same_files_give_the_same_bytes_and_are_read_back() {
        let bytes = bundle();
        assert_eq!(bytes, bundle());
        let files = Files::read(&bytes).unwrap();
        files.signed_by(&bytes, &key().1).unwrap();
        let names: Vec<_> = files.names().collect();
        assert_eq!(names, ["README.txt", "envelopes/a/0000000001.env", "policy"]);
        assert_eq!(files.get(&bytes, "policy"), Some(&b""[..]));
        assert_eq!(files.get(&bytes, DIGESTS), None);
        let below: Vec<_> = files.below(&bytes, "envelopes/").collect();
        assert_eq!(below, [("a/0000000001.env", &[7; 700][..])]);
    }

    #[test]
    fn a_tar_program_reads_it() {
        let bytes = bundle();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let names: Vec<_> =
            archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(names.len(), 4);
        assert_eq!(names[3].to_str(), Some(DIGESTS));
    }

    #[test]
    fn no_byte_may_be_another_and_none_may_be_missing_or_added() {
        let (bytes, key) = (bundle(), key().1);
        let holds = |bytes: &[u8]| Files::read(bytes).is_ok_and(|files| files.signed_by(bytes, &key).is_ok());
        assert!(holds(&bytes));
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(!holds(&other), "byte {at}");
        }
        for length in (0..bytes.len()).rev().step_by(97) {
            assert!(!holds(&bytes[..length]), "{length} bytes");
        }
        assert!(!holds(&[&bytes[..], &[0; 512]].concat()));
        assert!(!holds(&[&bytes[..], b"x"].concat()));
    }

    #[test]
    fn files_of_another_list_are_told() {
        let mut writer = Writer::new(Vec::new());
        writer.add("a", b"one").unwrap();
        let other = writer.end(|_| signed(&format!("{FIRST_LINE}\n{}", line("a", b"two")))).unwrap();
        assert_eq!(Files::read(&other), Err(BundleError::OtherFile("a".to_owned())));
        for list in [String::new(), line("b", b"one"), line("a", b"one") + &line("b", b"one")] {
            let mut writer = Writer::new(Vec::new());
            writer.add("a", b"one").unwrap();
            let other = writer.end(|_| signed(&format!("{FIRST_LINE}\n{list}"))).unwrap();
            assert!(matches!(Files::read(&other), Err(BundleError::OtherFiles(_))), "{list}");
        }
        let mut writer = Writer::new(Vec::new());
        writer.add("a", b"one").unwrap();
        let unsigned = writer.end(str::to_owned).unwrap();
        assert_eq!(Files::read(&unsigned), Err(BundleError::Form("its list is no note")));
    }

    #[test]
    fn a_name_stays_in_its_folder() {
        for name in ["", "/a", "a/", "a//b", "../a", "a/./b", "a b", "ä", &"a".repeat(101)] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_name("envelopes/aa/0000000001-ab.env"));
    }
}
