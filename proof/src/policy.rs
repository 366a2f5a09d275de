//! Whom to believe about a log: its key, its witnesses, and how many of them (C2SP tlog-policy, tlog-cosignature).
//!
//! A witness signs a checkpoint only when it goes on from the one it signed before. Whoever sees a checkpoint with
//! enough cosignatures knows that the log has not shown those witnesses another history, and when they saw this one.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use signed_note::{Note, Signature, Verifier, VerifierList};

use crate::keys::{SigningKey, VerifyKey};
use crate::log::{Head, ReceiptError, check_checkpoint};

/// Signature type of Ed25519 cosignatures, in verifier keys and key ids.
const COSIGNATURE: u8 = 0x04;

/// Largest policy that is read, bytes.
pub const MAX_POLICY: usize = 64 * 1024;

/// Most logs, most witnesses and most groups of a policy; the specification asks for 32 at least.
const MOST: usize = 64;

/// Which checkpoints are good enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Verifier keys of the logs that are accepted, as they are written.
    pub logs: Vec<String>,
    /// The witnesses.
    pub witnesses: Vec<Witness>,
    groups: Vec<Group>,
    quorum: Option<Member>,
}

/// A witness of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// What the policy calls it.
    pub name: String,
    /// Its key.
    pub key: WitnessKey,
    /// Where it is asked: the submission prefix of C2SP tlog-witness.
    pub url: Option<String>,
}

/// A witness's public key with the name it signs by: `name+hash+key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    id: u32,
    key: VerifyKey,
}

/// A key that cosigns checkpoints.
#[derive(Debug)]
pub struct Cosigner {
    name: String,
    key: SigningKey,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: String,
    least: usize,
    members: Vec<Member>,
}

/// A witness or a group, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Member {
    Witness(usize),
    Group(usize),
}

/// A line that makes a text no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct PolicyError {
    /// From 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// A checkpoint that was looked at with a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// What the log says.
    pub head: Head,
    /// Which of the policy's witnesses have cosigned it, by its names, and when, Unix seconds.
    pub by: Vec<(String, u64)>,
    /// Whether they are enough.
    pub is_quorum: bool,
}

impl Policy {
    /// Reads a policy; all complaints at once. UTF-8 only, which the specification recommends.
    ///
    /// # Errors
    /// Each line that is wrong.
    pub fn parse(text: &str) -> Result<Self, Vec<PolicyError>> {
        let mut reading = Reading::default();
        if text.len() > MAX_POLICY {
            return Err(vec![PolicyError {
                line: 0,
                what: format!("{} bytes, at most {MAX_POLICY} are allowed", text.len()),
            }]);
        }
        for (number, line) in (1..).zip(text.split('\n')) {
            if let Err(what) = reading.line(line) {
                reading.wrong.push(PolicyError { line: number, what });
            }
        }
        let Some(quorum) = reading.quorum else {
            reading.wrong.push(PolicyError { line: 0, what: "no `quorum` line".to_owned() });
            return Err(reading.wrong);
        };
        if !reading.wrong.is_empty() {
            return Err(reading.wrong);
        }
        let Reading { logs, witnesses, groups, .. } = reading;
        Ok(Self { logs: logs.into_iter().map(|(vkey, _)| vkey).collect(), witnesses, groups, quorum })
    }

    /// The policy of one log without witnesses.
    pub fn without_witnesses(log: &str) -> Self {
        Self { logs: vec![log.to_owned()], witnesses: Vec::new(), groups: Vec::new(), quorum: None }
    }

    /// As a text, in one form: logs, witnesses, groups, quorum; without addresses.
    pub fn text(&self) -> String {
        let name = |member: &Member| match *member {
            Member::Witness(at) => self.witnesses[at].name.as_str(),
            Member::Group(at) => self.groups[at].name.as_str(),
        };
        let logs = self.logs.iter().map(|log| format!("log {log}\n"));
        let witnesses =
            self.witnesses.iter().map(|witness| format!("witness {} {}\n", witness.name, witness.key.text()));
        let groups = self.groups.iter().map(|group| {
            let members: Vec<_> = group.members.iter().map(name).collect();
            format!("group {} {} {}\n", group.name, group.least, members.join(" "))
        });
        let quorum = self.quorum.as_ref().map_or("none", name);
        logs.chain(witnesses).chain(groups).chain([format!("quorum {quorum}\n")]).collect()
    }

    /// The same for this log alone; `None` when the policy names logs, and this is none of them.
    pub fn of_log(mut self, log: &str) -> Option<Self> {
        let known = self.logs.is_empty() || self.logs.iter().any(|known| known == log);
        self.logs = vec![log.to_owned()];
        known.then_some(self)
    }

    /// Whether any witness has to be asked at all.
    pub fn asks_witnesses(&self) -> bool {
        self.quorum.is_some()
    }

    /// Reads a checkpoint: the log's signature must be there; who has cosigned it is told.
    ///
    /// # Errors
    /// When it is no checkpoint of a log of this policy.
    pub fn check(&self, note: &str) -> Result<Witnessed, ReceiptError> {
        let mut checked = self.logs.iter().map(|log| check_checkpoint(note, log));
        let mut first = checked.next().ok_or(ReceiptError::BadLogKey)?;
        if first.is_err()
            && let Some(good) = checked.find(Result::is_ok)
        {
            first = good;
        }
        let head = first?;
        let note = Note::from_bytes(note.as_bytes())
            .map_err(|_| ReceiptError::Unreadable("checkpoint is not a note"))?;
        let times: Vec<_> = self.witnesses.iter().map(|witness| witness.key.cosigned(&note)).collect();
        let by = self.witnesses.iter().zip(&times);
        let by = by.filter_map(|(witness, time)| Some((witness.name.clone(), (*time)?))).collect();
        let is_quorum = self.quorum.is_none_or(|quorum| self.has(quorum, &times));
        Ok(Witnessed { head, by, is_quorum })
    }

    /// Members stand before their group, so this ends.
    fn has(&self, member: Member, times: &[Option<u64>]) -> bool {
        match member {
            Member::Witness(at) => times[at].is_some(),
            Member::Group(at) => {
                let group = &self.groups[at];
                group.members.iter().filter(|member| self.has(**member, times)).count() >= group.least
            }
        }
    }
}

/// A policy while its lines are read.
#[derive(Default)]
struct Reading {
    logs: Vec<(String, Vec<u8>)>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    /// `Some(None)`: `quorum none`.
    quorum: Option<Option<Member>>,
    /// Members that stand in a group already.
    taken: BTreeSet<Member>,
    wrong: Vec<PolicyError>,
}

impl Reading {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.chars().any(|letter| letter.is_ascii_control() && letter != '\t') {
            return Err("a control character".to_owned());
        }
        let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
        let Some(verb) = words.next().filter(|verb| !verb.starts_with('#')) else { return Ok(()) };
        let words: Vec<&str> = words.collect();
        match (verb, words.as_slice()) {
            ("log", [vkey] | [vkey, _]) => self.log(vkey),
            ("witness", [name, vkey]) => self.witness(name, vkey, None),
            ("witness", [name, vkey, url]) => self.witness(name, vkey, Some(url)),
            ("group", [name, least, members @ ..]) if !members.is_empty() => self.group(name, least, members),
            ("quorum", [name]) => self.quorum(name),
            ("log" | "witness" | "group" | "quorum", _) => {
                Err(format!("`{verb}` with {} words after it", words.len()))
            }
            _ => Err(format!("`{verb}` is none of log, witness, group and quorum")),
        }
    }

    fn log(&mut self, vkey: &str) -> Result<(), String> {
        signed_note::StandardVerifier::new(vkey)
            .map_err(|error| format!("`{vkey}` is not the key of a log: {error}"))?;
        let key = vkey.rsplit_once('+').map(|(_, key)| key.as_bytes().to_vec()).unwrap_or_default();
        if self.logs.iter().any(|(_, known)| *known == key) {
            return Err("this log stands there twice".to_owned());
        }
        within(self.logs.len(), "logs")?;
        self.logs.push((vkey.to_owned(), key));
        Ok(())
    }

    fn witness(&mut self, name: &str, vkey: &str, url: Option<&str>) -> Result<(), String> {
        let key = WitnessKey::parse(vkey).ok_or_else(|| format!("`{vkey}` is not the key of a witness"))?;
        self.is_new(name)?;
        if self.witnesses.iter().any(|known| known.key.key == key.key) {
            return Err("this witness stands there twice".to_owned());
        }
        within(self.witnesses.len(), "witnesses")?;
        self.witnesses.push(Witness { name: name.to_owned(), key, url: url.map(str::to_owned) });
        Ok(())
    }

    fn group(&mut self, name: &str, least: &str, members: &[&str]) -> Result<(), String> {
        self.is_new(name)?;
        within(self.groups.len(), "groups")?;
        let least = match least {
            "all" => members.len(),
            "any" => 1,
            number => {
                let plain = !number.starts_with('0') && number.bytes().all(|digit| digit.is_ascii_digit());
                let number = plain.then(|| number.parse().ok()).flatten();
                number
                    .filter(|number| (1..=members.len()).contains(number))
                    .ok_or_else(|| format!("`{least}` is none of all, any and 1 to {}", members.len()))?
            }
        };
        let members: Vec<Member> = members.iter().map(|name| self.known(name)).collect::<Result<_, _>>()?;
        let mut taken = self.taken.clone();
        if let Some(at) = members.iter().position(|member| !taken.insert(*member)) {
            return Err(format!("member {} stands in a group already", at + 1));
        }
        self.taken = taken;
        self.groups.push(Group { name: name.to_owned(), least, members });
        Ok(())
    }

    fn quorum(&mut self, name: &str) -> Result<(), String> {
        if self.quorum.is_some() {
            return Err("a second quorum".to_owned());
        }
        self.quorum = Some(if name == "none" { None } else { Some(self.known(name)?) });
        Ok(())
    }

    fn known(&self, name: &str) -> Result<Member, String> {
        let witness = self.witnesses.iter().position(|witness| witness.name == name).map(Member::Witness);
        let group = || self.groups.iter().position(|group| group.name == name).map(Member::Group);
        witness.or_else(group).ok_or_else(|| format!("no witness or group `{name}` stands before this line"))
    }

    fn is_new(&self, name: &str) -> Result<(), String> {
        if name == "none" || self.known(name).is_ok() {
            return Err(format!("the name `{name}` is taken"));
        }
        Ok(())
    }
}

fn within(count: usize, what: &str) -> Result<(), String> {
    if count < MOST { Ok(()) } else { Err(format!("more than {MOST} {what}")) }
}

impl WitnessKey {
    /// Reads `name+hash+key`; `None` when it is not the Ed25519 key of a witness.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('+')?;
        let (hash, typed) = rest.split_once('+')?;
        let typed = BASE64.decode(typed.as_bytes()).ok()?;
        let (kind, key) = typed.split_first()?;
        let key = VerifyKey::from_bytes(key).ok().filter(|_| *kind == COSIGNATURE)?;
        let read = Self::new(name, key)?;
        // It has one form.
        (hash.len() == 8 && read.text() == text).then_some(read)
    }

    fn new(name: &str, key: VerifyKey) -> Option<Self> {
        let id = signed_note::key_id(name, &typed(&key));
        signed_note::is_key_name_valid(name).then(|| Self { name: name.to_owned(), id, key })
    }

    /// The name it signs by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `name+hash+key`.
    pub fn text(&self) -> String {
        format!("{}+{:08x}+{}", self.name, self.id, BASE64.encode(&typed(&self.key)))
    }

    /// When this witness cosigned the checkpoint, Unix seconds; `None` when it did not, or its line does not hold.
    fn cosigned(&self, note: &Note) -> Option<u64> {
        let list = VerifierList::new(vec![Box::new(self.clone())]);
        let (good, _) = note.verify(&list).ok()?;
        let (time, _) = timed(good.first()?.signature())?;
        Some(time)
    }
}

impl Verifier for WitnessKey {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        let Some((time, signature)) = timed(signature) else { return false };
        self.key.verifies(&cosigned_text(time, text), signature)
    }
}

impl Cosigner {
    /// `None` for a name that no key can have: empty, with a space or a plus sign.
    pub fn new(name: &str, key: SigningKey) -> Option<Self> {
        signed_note::is_key_name_valid(name).then(|| Self { name: name.to_owned(), key })
    }

    /// Its public key, as policies have it.
    pub fn public(&self) -> WitnessKey {
        WitnessKey::new(&self.name, self.key.verify_key()).expect("the name was checked")
    }

    /// The signature line for a checkpoint's note, made at this time (Unix seconds). `None` when it is no note.
    /// Whether the checkpoint goes on from the last one is the caller's to know.
    pub fn cosign(&self, note: &str, time_s: u64) -> Option<String> {
        let note = Note::from_bytes(note.as_bytes()).ok()?;
        let signature = self.key.sign(&cosigned_text(time_s, note.text()));
        let timed = [&time_s.to_be_bytes()[..], &signature].concat();
        let line = Signature::new(self.name.clone(), self.public().id, timed).ok()?;
        String::from_utf8(line.to_bytes()).ok()
    }
}

/// What an Ed25519 cosignature is made over.
fn cosigned_text(time_s: u64, text: &[u8]) -> Vec<u8> {
    [format!("cosignature/v1\ntime {time_s}\n").as_bytes(), text].concat()
}

fn timed(signature: &[u8]) -> Option<(u64, &[u8; 64])> {
    let (time, signature) = signature.split_first_chunk::<8>()?;
    let time = u64::from_be_bytes(*time);
    Some((time, signature.try_into().ok()?)).filter(|_| i64::try_from(time).is_ok())
}

fn typed(key: &VerifyKey) -> Vec<u8> {
    [&[COSIGNATURE][..], &key.to_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use signed_note::StandardSigner;
    use tlog_tiles::{Checkpoint, Hash};

    use super::*;
    use crate::log::test_key;

    fn cosigner(number: u8) -> Cosigner {
        Cosigner::new(&format!("witness.example/w{number}"), SigningKey::from_seed(&[number; 32])).unwrap()
    }

    fn key(number: u8) -> String {
        cosigner(number).public().text()
    }

    /// A checkpoint by the test log, cosigned by these at second 1,000 and so on.
    fn checkpoint(by: &[u8]) -> String {
        let text = Checkpoint::new("test.log", 3, Hash([9; 32]), "").unwrap().to_bytes();
        let mut note = Note::new(&text, &[]).unwrap();
        note.add_sigs(&[&StandardSigner::new(&test_key().0).unwrap()]).unwrap();
        let note = String::from_utf8(note.to_bytes()).unwrap();
        let lines = (1_000..).zip(by).map(|(time, number)| cosigner(*number).cosign(&note, time).unwrap());
        note.clone() + &lines.collect::<String>()
    }

    fn two_of_three() -> String {
        let log = test_key().1;
        format!(
            "# policy of a city\n log\t{log} https://log.example\n\nwitness a {} https://a.example/\n\
             witness b {}\nwitness c {}\ngroup both 2 a b c\nquorum both\n",
            key(1),
            key(2),
            key(3)
        )
    }

    #[test]
    fn a_checkpoint_is_good_when_enough_witnesses_have_cosigned_it() {
        let policy = Policy::parse(&two_of_three()).unwrap();
        let check = |by: &[u8]| policy.check(&checkpoint(by)).unwrap();
        let checked = check(&[1, 3]);
        assert_eq!(checked.by, [("a".to_owned(), 1_000), ("c".to_owned(), 1_001)]);
        assert_eq!((checked.head.size, checked.is_quorum), (3, true));
        // One is not two, one who signs twice is one, and nobody knows the fourth.
        for by in [&[1][..], &[1, 1], &[1, 4], &[]] {
            assert!(!check(by).is_quorum, "{by:?}");
        }
        assert_eq!(policy.witnesses[0].url.as_deref(), Some("https://a.example/"));
    }

    #[test]
    fn a_cosignature_is_of_one_checkpoint_one_time_and_one_key() {
        let policy = Policy::parse(&two_of_three()).unwrap();
        let good = checkpoint(&[1, 2]);
        let line = |number: u8, time: u64| cosigner(number).cosign(&checkpoint(&[]), time).unwrap();
        let other_text = good.replace("\n3\n", "\n4\n");
        assert_eq!(policy.check(&other_text), Err(ReceiptError::NotTheLog));
        // A's line with B's name, with another time, with a byte too few.
        let renamed = line(1, 7).replace("witness.example/w1", "witness.example/w2");
        let mut bytes = BASE64.decode(line(1, 7).trim_end().rsplit_once(' ').unwrap().1.as_bytes()).unwrap();
        bytes[11] ^= 1;
        let later = format!("— witness.example/w1 {}\n", BASE64.encode(&bytes));
        let short = format!("— witness.example/w1 {}\n", BASE64.encode(&bytes[..bytes.len() - 1]));
        for wrong in [renamed, later, short] {
            let checked = policy.check(&(checkpoint(&[]) + &wrong)).unwrap();
            assert_eq!((checked.by, checked.is_quorum), (vec![], false), "{wrong}");
        }
        let early = u64::MAX;
        assert!(policy.check(&(checkpoint(&[]) + &line(1, early))).unwrap().by.is_empty(), "beyond 2^63");
    }

    #[test]
    fn groups_of_groups_count_as_members() {
        let log = test_key().1;
        let text = format!(
            "log {log}\nwitness a {}\nwitness b {}\nwitness c {}\nwitness d {}\n\
             group ours any a b\ngroup theirs all c d\ngroup each all ours theirs\nquorum each\n",
            key(1),
            key(2),
            key(3),
            key(4)
        );
        let policy = Policy::parse(&text).unwrap();
        let is_quorum = |by: &[u8]| policy.check(&checkpoint(by)).unwrap().is_quorum;
        assert!(is_quorum(&[2, 3, 4]) && is_quorum(&[1, 2, 3, 4]));
        assert!(!is_quorum(&[1, 2, 3]) && !is_quorum(&[3, 4]));
        assert_eq!(Policy::parse(&policy.text()).unwrap(), policy, "its text says the same");
        assert_eq!(
            Policy::without_witnesses(&log),
            Policy::parse(&format!("log {log}\nquorum none\n")).unwrap()
        );
    }

    #[test]
    fn what_is_no_policy_is_told_line_by_line() {
        let log = test_key().1;
        let text = format!(
            "log {log}\nlog {log}\nlog nonsense\nwitness a {}\nwitness a {}\nwitness b {}\nwitness none {}\n\
             witness c {log}\ngroup g 3 a a\ngroup g 01 a\ngroup g any a a\ngroup g any z\ngroup g any\n\
             group g any a\ngroup h any a\nquorum z\nquorum g\nquorum g\nhello\nlog {log}\r\n",
            key(1),
            key(2),
            key(1),
            key(3)
        );
        let wrong = Policy::parse(&text).unwrap_err();
        let lines: Vec<_> = wrong.iter().map(|wrong| wrong.line).collect();
        assert_eq!(lines, [2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 18, 19, 20], "{wrong:?}");
        assert_eq!(Policy::parse("").unwrap_err()[0].to_string(), "line 0: no `quorum` line");
        assert!(Policy::parse(&"#".repeat(MAX_POLICY + 1)).is_err());
    }

    #[test]
    fn a_witness_key_has_one_form_and_is_no_log_key() {
        assert_eq!(WitnessKey::parse(&key(1)).unwrap().text(), key(1));
        let log = test_key().1;
        for wrong in [log.as_str(), "", "a+b", &key(1).to_uppercase(), &key(1).replace("w1", "w2")] {
            assert!(WitnessKey::parse(wrong).is_none(), "{wrong}");
        }
        assert!(Cosigner::new("two words", SigningKey::from_seed(&[1; 32])).is_none());
    }
}
