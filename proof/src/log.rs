//! The server's log as the gateway, the verifier and an expert see it: entry, receipt, checkpoint.
//!
//! A receipt is a [`LogEntry`] and a C2SP tlog-proof: the entry's place in an RFC 6962 tree and a checkpoint, signed
//! as a C2SP signed note by the log key. Checking one needs the log's verifier key and nothing else.

use data_encoding::BASE64;
use prost::Message as _;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{Checkpoint, Hash, check_record, check_tree, record_hash};

use crate::ids::{EntryId, Kid};
use crate::wire;

pub use crate::wire::Outcome;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// Largest proof text that is read.
const MAX_PROOF: usize = 12 * 1024;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The payload's kind.
    pub kind: String,
    /// Which key signed.
    pub kid: Kid,
    /// Its epoch.
    pub epoch: u32,
    /// Place in the gateway's chain.
    pub seq: u64,
    /// What the envelope is called: binds kind, suite and payload.
    pub entry: EntryId,
    /// When the server had it, by the server's clock, Unix ms.
    pub recv_ms: i64,
    /// What the ingester made of it.
    pub outcome: Outcome,
}

/// A receipt that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The entry.
    pub entry: LogEntry,
    /// Its place in the log, from 0.
    pub index: u64,
    /// Size of the tree of the checkpoint.
    pub size: u64,
    /// Hash of that tree.
    pub root: [u8; 32],
    /// The log's name.
    pub origin: String,
}

/// A checkpoint that was checked: how long a log was, and what was in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The log's name.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: [u8; 32],
}

/// Why a receipt does not show what it claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Bytes or text of the wrong form.
    #[error("unreadable receipt: {0}")]
    Unreadable(&'static str),
    /// The verifier key itself is not one.
    #[error("not a verifier key of a log")]
    BadLogKey,
    /// The checkpoint is not signed by the log key.
    #[error("checkpoint is not signed by the log's key")]
    NotTheLog,
    /// The entry is not at that place of that tree.
    #[error("entry is not in the checkpoint's tree")]
    NotIncluded,
    /// The receipt is for another entry.
    #[error("receipt is for another entry")]
    OtherEntry,
    /// An older checkpoint of the same log is no beginning of this one, or nothing shows that it is.
    #[error("checkpoint of {size} entries is not shown to go on from the one of {before}")]
    NotConsistent {
        /// Entries of the older one.
        before: u64,
        /// Entries of this one.
        size: u64,
    },
}

impl LogEntry {
    /// The bytes that are hashed into the log.
    pub fn encode(&self) -> Vec<u8> {
        wire::LogEntry {
            version: 1,
            kind: self.kind.clone(),
            kid: self.kid.0.to_vec(),
            epoch: self.epoch,
            seq: self.seq,
            entry: self.entry.0.to_vec(),
            recv_ms: self.recv_ms,
            outcome: self.outcome.into(),
        }
        .encode_to_vec()
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// When the bytes are not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let wrong = ReceiptError::Unreadable;
        let raw = wire::LogEntry::decode(bytes).map_err(|_| wrong("entry is not a log entry"))?;
        if raw.version != 1 {
            return Err(wrong("unknown version of log entry"));
        }
        Ok(Self {
            outcome: Outcome::try_from(raw.outcome).map_err(|_| wrong("unknown outcome"))?,
            kid: Kid(raw.kid.as_slice().try_into().map_err(|_| wrong("kid is not 8 bytes"))?),
            entry: raw.entry.as_slice().try_into().map_err(|_| wrong("entry id is not 32 bytes"))?,
            kind: raw.kind,
            epoch: raw.epoch,
            seq: raw.seq,
            recv_ms: raw.recv_ms,
        })
    }
}

/// Writes a proof text: C2SP tlog-proof@v1. `path` runs from the leaf up; `checkpoint` is the whole signed note.
pub fn proof_text(index: u64, path: &[[u8; 32]], checkpoint: &str) -> String {
    let mut text = format!("{FIRST_LINE}\nindex {index}\n");
    for hash in path {
        text.push_str(&BASE64.encode(hash));
        text.push('\n');
    }
    text.push('\n');
    text.push_str(checkpoint);
    text
}

/// The receipt as one text: a C2SP tlog-proof whose extra data is the log entry.
pub fn receipt_text(receipt: &wire::Receipt) -> String {
    let rest = receipt.proof.strip_prefix(FIRST_LINE).unwrap_or(&receipt.proof);
    format!("{FIRST_LINE}\nextra {}{rest}", BASE64.encode(&receipt.entry))
}

/// Reads a receipt from its text.
///
/// # Errors
/// When it is not one; what it shows is checked by [`check_receipt`].
pub fn parse_receipt_text(text: &str) -> Result<wire::Receipt, ReceiptError> {
    let wrong = ReceiptError::Unreadable;
    let rest = text.strip_prefix(FIRST_LINE).and_then(|rest| rest.strip_prefix("\nextra "));
    let (entry, rest) = rest.and_then(|rest| rest.split_once('\n')).ok_or(wrong("it has no log entry"))?;
    let entry = BASE64.decode(entry.as_bytes()).map_err(|_| wrong("its log entry is not base64"))?;
    Ok(wire::Receipt { entry, proof: format!("{FIRST_LINE}\n{rest}") })
}

/// The checkpoint of a receipt, as it stands there; `None` where there is none.
pub fn checkpoint_of(receipt: &wire::Receipt) -> Option<&str> {
    receipt.proof.split_once("\n\n").map(|(_, note)| note)
}

/// Checks a receipt: the log key signed the checkpoint, the entry stands at its place in that tree, and it is the
/// entry of `expected`. `log_key` is the log's verifier key text (`name+hash+key`), pinned at enrolment.
///
/// # Errors
/// The first thing that does not hold.
pub fn check_receipt(
    receipt: &wire::Receipt,
    expected: EntryId,
    log_key: &str,
) -> Result<Receipt, ReceiptError> {
    let entry = LogEntry::parse(&receipt.entry)?;
    if entry.entry != expected {
        return Err(ReceiptError::OtherEntry);
    }
    let (index, path, note) = parse_proof(&receipt.proof)?;
    let Head { origin, size, root } = check_checkpoint(note, log_key)?;
    check_record(&path, size, Hash(root), index, record_hash(&receipt.entry))
        .map_err(|_| ReceiptError::NotIncluded)?;
    Ok(Receipt { entry, index, size, root, origin })
}

/// Checks that the log of the `after` checkpoint begins with all of the one `before` it: an RFC 6962 consistency proof.
///
/// # Errors
/// [`ReceiptError::NotConsistent`]: one of the two tells of another log, or the proof is of others.
pub fn check_consistency(before: &Head, after: &Head, path: &[[u8; 32]]) -> Result<(), ReceiptError> {
    let wrong = ReceiptError::NotConsistent { before: before.size, size: after.size };
    if before.origin != after.origin || before.size > after.size || path.len() > 64 {
        return Err(wrong);
    }
    if before.size == after.size || before.size == 0 {
        let same = before.size == 0 || before.root == after.root;
        return if same && path.is_empty() { Ok(()) } else { Err(wrong) };
    }
    let path: Vec<_> = path.iter().map(|hash| Hash(*hash)).collect();
    check_tree(&path, after.size, Hash(after.root), before.size, Hash(before.root)).map_err(|_| wrong)
}

/// Checks a checkpoint's signature and reads it.
///
/// # Errors
/// When it is not a checkpoint of this log.
pub fn check_checkpoint(note: &str, log_key: &str) -> Result<Head, ReceiptError> {
    let verifier = StandardVerifier::new(log_key).map_err(|_| ReceiptError::BadLogKey)?;
    let name = signed_note::Verifier::name(&verifier).to_owned();
    let note = Note::from_bytes(note.as_bytes())
        .map_err(|_| ReceiptError::Unreadable("checkpoint is not a note"))?;
    note.verify(&VerifierList::new(vec![Box::new(verifier)])).map_err(|_| ReceiptError::NotTheLog)?;
    let checkpoint = Checkpoint::from_bytes(note.text())
        .map_err(|_| ReceiptError::Unreadable("note is not a checkpoint"))?;
    // A log key signs for its own log only.
    if checkpoint.origin() != name {
        return Err(ReceiptError::NotTheLog);
    }
    Ok(Head { origin: name, size: checkpoint.size(), root: checkpoint.hash().0 })
}

fn parse_proof(text: &str) -> Result<(u64, Vec<Hash>, &str), ReceiptError> {
    let wrong = ReceiptError::Unreadable;
    if text.len() > MAX_PROOF {
        return Err(wrong("proof is too long"));
    }
    let (head, checkpoint) = text.split_once("\n\n").ok_or(wrong("proof has no checkpoint"))?;
    let mut lines = head.lines().peekable();
    if lines.next() != Some(FIRST_LINE) {
        return Err(wrong("not a tlog-proof of version 1"));
    }
    lines.next_if(|line| line.starts_with("extra "));
    let index =
        lines.next().and_then(|line| line.strip_prefix("index ")).ok_or(wrong("proof has no index"))?;
    if index.len() > 1 && index.starts_with('0') || !index.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong("index is not a number"));
    }
    let index = index.parse().map_err(|_| wrong("index is not a number"))?;
    let mut path = Vec::new();
    for line in lines {
        let hash = BASE64.decode(line.as_bytes()).map_err(|_| wrong("a hash is not base64"))?;
        path.push(Hash(hash.try_into().map_err(|_| wrong("a hash is not 32 bytes"))?));
        if path.len() > 64 {
            return Err(wrong("path is too long"));
        }
    }
    Ok((index, path, checkpoint))
}

/// The log key of the tests: the C2SP text forms of a key made from a fixed seed, secret and public.
#[cfg(test)]
pub(crate) fn test_key() -> (String, String) {
    use sha2::{Digest as _, Sha256};
    let seed = [5_u8; 32];
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
    let mut typed = vec![1_u8];
    typed.extend_from_slice(public.as_bytes());
    let id = Sha256::new().chain_update(b"test.log\n").chain_update(&typed).finalize();
    let id = data_encoding::HEXLOWER.encode(&id[..4]);
    let mut secret = vec![1_u8];
    secret.extend_from_slice(&seed);
    let secret = format!("PRIVATE+KEY+test.log+{id}+{}", BASE64.encode(&secret));
    (secret, format!("test.log+{id}+{}", BASE64.encode(&typed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use signed_note::StandardSigner;
    use tlog_tiles::{HashReader, node_hash, prove_record, stored_hashes, tree_hash};

    fn log_key() -> (StandardSigner, String) {
        let (secret, public) = test_key();
        (StandardSigner::new(&secret).unwrap(), public)
    }

    fn entry(seq: u64) -> LogEntry {
        LogEntry {
            kind: "window".to_owned(),
            kid: Kid([1; 8]),
            epoch: 1,
            seq,
            entry: EntryId([u8::try_from(seq).unwrap(); 32]),
            recv_ms: 1_750_000_000_000,
            outcome: Outcome::Recorded,
        }
    }

    /// Three entries in the log, and the receipt of the second.
    fn receipt() -> (wire::Receipt, String) {
        let (signer, vkey) = log_key();
        let leaves: Vec<_> = (1..=3).map(|seq| record_hash(&entry(seq).encode())).collect();
        let root = node_hash(node_hash(leaves[0], leaves[1]), leaves[2]);
        let text = Checkpoint::new("test.log", 3, root, "").unwrap().to_bytes();
        let mut note = Note::new(&text, &[]).unwrap();
        note.add_sigs(&[&signer]).unwrap();
        let checkpoint = String::from_utf8(note.to_bytes()).unwrap();
        let proof = proof_text(1, &[leaves[0].0, leaves[2].0], &checkpoint);
        (wire::Receipt { entry: entry(2).encode(), proof }, vkey)
    }

    #[test]
    fn a_receipt_shows_inclusion() {
        let (receipt, vkey) = receipt();
        let checked = check_receipt(&receipt, EntryId([2; 32]), &vkey).unwrap();
        assert_eq!((checked.index, checked.size, checked.entry), (1, 3, entry(2)));
    }

    #[test]
    fn a_receipt_is_for_one_entry_of_one_log() {
        let (receipt, vkey) = receipt();
        let check =
            |receipt: &wire::Receipt, key: &str| check_receipt(receipt, EntryId([2; 32]), key).unwrap_err();
        assert_eq!(check_receipt(&receipt, EntryId([3; 32]), &vkey), Err(ReceiptError::OtherEntry));
        assert_eq!(check(&receipt, "nonsense"), ReceiptError::BadLogKey);

        let mut other = entry(2);
        other.recv_ms += 1;
        assert_eq!(
            check(&wire::Receipt { entry: other.encode(), ..receipt.clone() }, &vkey),
            ReceiptError::NotIncluded
        );

        let moved = receipt.proof.replace("index 1", "index 0");
        assert_eq!(
            check(&wire::Receipt { proof: moved, ..receipt.clone() }, &vkey),
            ReceiptError::NotIncluded
        );

        let grown = receipt.proof.replace("test.log\n3\n", "test.log\n4\n");
        assert_eq!(check(&wire::Receipt { proof: grown, ..receipt.clone() }, &vkey), ReceiptError::NotTheLog);

        let short: String = receipt
            .proof
            .lines()
            .enumerate()
            .filter(|(at, _)| *at != 2)
            .map(|(_, l)| format!("{l}\n"))
            .collect();
        assert_eq!(check(&wire::Receipt { proof: short, ..receipt }, &vkey), ReceiptError::NotIncluded);
    }

    /// A tree in memory.
    #[derive(Default)]
    struct Hashes(Vec<Hash>);

    impl HashReader for Hashes {
        fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
            Ok(indexes.iter().map(|at| self.0[usize::try_from(*at).unwrap()]).collect())
        }
    }

    impl Hashes {
        fn of(count: u64) -> Self {
            (0..count).fold(Self::default(), |mut tree, at| {
                let new = stored_hashes(at, &numbered(at).encode(), &tree).unwrap();
                tree.0.extend(new);
                tree
            })
        }
    }

    fn numbered(seq: u64) -> LogEntry {
        LogEntry { entry: EntryId([u8::try_from(seq % 251).unwrap(); 32]), ..entry(1) }
    }

    fn signed(size: u64, root: Hash) -> String {
        let mut note =
            Note::new(&Checkpoint::new("test.log", size, root, "").unwrap().to_bytes(), &[]).unwrap();
        note.add_sigs(&[&log_key().0]).unwrap();
        String::from_utf8(note.to_bytes()).unwrap()
    }

    proptest! {
        /// Of a log whose own key signs anything: no other place, size, path or leaf stands for the one that is.
        #[test]
        fn a_receipt_holds_at_its_own_place_of_its_own_tree_and_nowhere_else(
            count in 2_u64..200, at in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(),
        ) {
            let (tree, vkey) = (Hashes::of(count), log_key().1);
            let at = at.index(usize::try_from(count).unwrap()) as u64;
            let path: Vec<[u8; 32]> = prove_record(count, at, &tree).unwrap().iter().map(|hash| hash.0).collect();
            let root = tree_hash(count, &tree).unwrap();
            let check = |entry: Vec<u8>, index: u64, path: &[[u8; 32]], size: u64| {
                let receipt = wire::Receipt { entry, proof: proof_text(index, path, &signed(size, root)) };
                check_receipt(&receipt, numbered(at).entry, &vkey)
            };
            let own = numbered(at).encode();
            prop_assert!(check(own.clone(), at, &path, count).is_ok());
            // Another place, and another size of the tree.
            let other = other.index(usize::try_from(count).unwrap()) as u64;
            if other != at {
                prop_assert_eq!(check(own.clone(), other, &path, count), Err(ReceiptError::NotIncluded));
            }
            prop_assert_eq!(check(own.clone(), count, &path, count), Err(ReceiptError::NotIncluded));
            // A tree of another depth, and one that ends before it. (Of two sizes with a path of the same shape to this
            // leaf the root alone tells none: that the log signs one root for two sizes is what consistency proofs show.)
            for size in [count * 2, at, 0] {
                prop_assert!(check(own.clone(), at, &path, size).is_err(), "{} of {} in {}", at, count, size);
            }
            // A path that is too short, too long, or whose hashes changed places.
            prop_assert!(check(own.clone(), at, &path[1..], count).is_err());
            prop_assert!(check(own.clone(), at, &[&path[..], &[[0; 32]]].concat(), count).is_err());
            if path.len() > 1 {
                let mut swapped = path.clone();
                swapped.swap(0, path.len() - 1);
                prop_assert!(swapped == path || check(own.clone(), at, &swapped, count).is_err());
            }
            // Two hashes are no leaf, and a leaf is no node.
            let left = record_hash(&own).0;
            let node = [&left[..], &path[0]].concat();
            prop_assert!(check(node, at / 2, &path[1..], count).is_err());
        }
    }

    #[test]
    fn a_checkpoint_goes_on_from_another_only_with_the_proof_of_it() {
        let leaves: Vec<_> = (1..=3).map(|seq| record_hash(&entry(seq).encode())).collect();
        let two = node_hash(leaves[0], leaves[1]);
        let head = |size, root: Hash| Head { origin: "test.log".to_owned(), size, root: root.0 };
        let (before, after) = (head(2, two), head(3, node_hash(two, leaves[2])));
        let path = [leaves[2].0];
        assert_eq!(check_consistency(&before, &after, &path), Ok(()));
        assert_eq!(check_consistency(&after, &after, &[]), Ok(()));
        assert_eq!(check_consistency(&head(0, Hash([0; 32])), &after, &[]), Ok(()));
        let wrong = [
            (before.clone(), after.clone(), vec![]),
            (before.clone(), after.clone(), vec![leaves[1].0]),
            (before.clone(), after.clone(), vec![leaves[2].0; 65]),
            (head(2, leaves[2]), after.clone(), path.to_vec()),
            (head(3, two), after.clone(), vec![]),
            (after.clone(), before.clone(), path.to_vec()),
            (Head { origin: "other.log".to_owned(), ..before }, after, path.to_vec()),
        ];
        for (before, after, path) in wrong {
            let error = ReceiptError::NotConsistent { before: before.size, size: after.size };
            assert_eq!(check_consistency(&before, &after, &path), Err(error));
        }
    }

    #[test]
    fn a_receipt_is_the_same_after_its_text_and_a_text_without_an_entry_is_none() {
        let (receipt, vkey) = receipt();
        let text = receipt_text(&receipt);
        assert_eq!(parse_receipt_text(&text), Ok(receipt.clone()));
        // Whoever knows tlog-proofs and not us passes over the entry.
        assert_eq!(parse_proof(&text).unwrap(), parse_proof(&receipt.proof).unwrap());
        check_receipt(&parse_receipt_text(&text).unwrap(), EntryId([2; 32]), &vkey).unwrap();
        for wrong in ["", &receipt.proof, &text.replace("extra ", "extra !")] {
            assert!(parse_receipt_text(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_log_entry_is_small() {
        assert!(entry(2).encode().len() <= 80, "{} bytes", entry(2).encode().len());
    }
}
