use std::collections::BTreeSet;

use bytes::Bytes;
use proof::log::{LogEntry, Outcome, check_receipt};
use proof::{EntryId, Party, SigningKey};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::store::{Confirmed, Head, NewEntry, Shown};
use crate::{Finding, LogKey};

const NOW: i64 = 1_750_000_000_000;
const AGENT: AgentId = AgentId([7; 16]);

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn open(&self) -> Sqlite {
        Sqlite::open(&self.path(), key()).unwrap()
    }
}

fn key() -> LogKey {
    LogKey::from_seed("test.log", &[5; 32]).unwrap().0
}

fn agent(id: AgentId) -> NewAgent {
    NewAgent::of(id, SigningKey::from_seed(&[id.0[0]; 32]).verify_key(), "gateway")
}

fn enrolled(place: &Place) -> Sqlite {
    let mut ledger = place.open();
    ledger.add_token([1; 32], &NewToken::of("steel", NOW + 1000)).unwrap();
    ledger.enrol([1; 32], &agent(AGENT), NOW).unwrap().unwrap();
    ledger
}

fn entry(seq: u64, salt: u8) -> NewEntry {
    let mut id = [salt; 32];
    id[..8].copy_from_slice(&seq.to_be_bytes());
    NewEntry {
        agent: AGENT,
        epoch: 1,
        kid: proof::Kid([2; 8]),
        seq,
        entry: EntryId(id),
        prev: EntryId([salt; 32]),
        kind: "window".to_owned(),
        recv_ms: NOW + i64::try_from(seq).unwrap(),
        outcome: Outcome::Recorded,
        findings: BTreeSet::new(),
        end_ms: Some(NOW),
        anchor: 0,
        manifest: None,
        rotates: None,
        envelope: Bytes::from(format!("envelope {seq} {salt}")),
        use_rows: Some(Bytes::from_static(b"rows")),
    }
}

fn entries(range: std::ops::Range<u64>) -> Vec<NewEntry> {
    range.map(|seq| entry(seq, 9)).collect()
}

#[test]
fn a_receipt_verifies_with_the_log_key_alone() {
    let place = Place::new();
    let mut ledger = enrolled(&place);
    let batch = entries(1..6);
    let receipts = ledger.append(&batch, NOW).unwrap();
    for (at, (new, receipted)) in batch.iter().zip(&receipts).enumerate() {
        let checked = check_receipt(&receipted.receipt, new.entry, ledger.log_verifier()).unwrap();
        assert_eq!((checked.index, checked.size), (at as u64 + 1, 6));
        assert_eq!(checked.entry.seq, new.seq);
        assert_eq!(checked.origin, "test.log");
    }
}

#[test]
fn an_entry_is_recorded_once_and_asked_for_again_has_the_same_log_entry() {
    let place = Place::new();
    let mut ledger = enrolled(&place);
    let first = ledger.append(&entries(1..4), NOW).unwrap();
    let mut late = entry(2, 9);
    late.recv_ms += 5000;
    let again = ledger.append(&[late, entry(4, 9), entry(4, 9)], NOW).unwrap();
    assert_eq!(again[0].receipt.entry, first[1].receipt.entry);
    assert_eq!((again[0].index, again[1].index, again[2].index), (2, 4, 4));
    assert_eq!(ledger.read().checkpoint().unwrap().size, 5);
    let found = ledger.read().find(first[0].entry).unwrap().unwrap();
    assert_eq!(found.receipt.entry, first[0].receipt.entry);
    assert_eq!(check_receipt(&found.receipt, found.entry, ledger.log_verifier()).unwrap().size, 5);
    assert_eq!(ledger.read().find(EntryId([0; 32])).unwrap(), None);
}

#[test]
fn what_was_receipted_is_there_after_reopening_at_every_step() {
    let place = Place::new();
    drop(enrolled(&place));
    let mut receipts = Vec::new();
    for seq in 1..20 {
        let mut ledger = place.open();
        receipts.extend(ledger.append(&entries(seq..seq + 1), NOW).unwrap());
        drop(ledger);
        let ledger = place.open();
        assert_eq!(ledger.read().head(AGENT).unwrap().seq, seq);
        for old in &receipts {
            let found = ledger.read().find(old.entry).unwrap().unwrap();
            assert_eq!(found.receipt.entry, old.receipt.entry);
            check_receipt(&found.receipt, old.entry, ledger.log_verifier()).unwrap();
            check_receipt(&old.receipt, old.entry, ledger.log_verifier()).unwrap();
        }
    }
}

#[test]
fn two_programs_that_write_at_the_same_moment_lose_nothing_and_neither_fails() {
    const EACH: u64 = 150;
    let place = Place::new();
    drop(enrolled(&place));
    let start = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        for salt in [1, 2] {
            let (mut ledger, start, place) = (place.open(), &start, &place);
            scope.spawn(move || {
                start.wait();
                for seq in 1..=EACH {
                    // As a command does.
                    if salt == 2 {
                        ledger = place.open();
                    }
                    ledger.append(&[entry(seq, salt)], NOW).unwrap();
                }
            });
        }
    });
    assert_eq!(place.open().read().checkpoint().unwrap().size, 1 + 2 * EACH);
}

#[test]
fn a_batch_that_failed_leaves_nothing() {
    let place = Place::new();
    let mut ledger = enrolled(&place);
    ledger.append(&entries(1..3), NOW).unwrap();
    // A second place for the same log index: the third insert of this batch fails.
    ledger.reader.connection.execute("INSERT INTO use_rows VALUES (5, 0, x'00')", []).unwrap();
    assert!(ledger.append(&entries(3..9), NOW).is_err());
    assert_eq!(ledger.read().checkpoint().unwrap().size, 3);
    assert_eq!(ledger.read().head(AGENT).unwrap().seq, 2);
    ledger.reader.connection.execute("DELETE FROM use_rows WHERE idx = 5", []).unwrap();
    let receipts = ledger.append(&entries(3..9), NOW).unwrap();
    check_receipt(&receipts[5].receipt, receipts[5].entry, ledger.log_verifier()).unwrap();
}

#[test]
fn two_writers_of_one_file_keep_one_log() {
    let place = Place::new();
    let mut first = enrolled(&place);
    let mut second = place.open();
    first.append(&entries(1..4), NOW).unwrap();
    let receipts = second.append(&entries(4..6), NOW).unwrap();
    assert_eq!(receipts[0].index, 4);
    let receipts = first.append(&entries(6..7), NOW).unwrap();
    assert_eq!(check_receipt(&receipts[0].receipt, receipts[0].entry, first.log_verifier()).unwrap().size, 7);
}

#[test]
fn a_changed_tree_does_not_open() {
    let place = Place::new();
    let mut ledger = enrolled(&place);
    ledger.append(&entries(1..4), NOW).unwrap();
    ledger.reader.connection.execute("UPDATE hashes SET hash = zeroblob(32) WHERE idx = 6", []).unwrap();
    drop(ledger);
    assert!(matches!(Sqlite::open(&place.path(), key()), Err(LedgerError::Damaged(_))));
}

#[test]
fn a_cut_log_does_not_open() {
    let place = Place::new();
    let mut ledger = enrolled(&place);
    ledger.append(&entries(1..4), NOW).unwrap();
    ledger.reader.connection.execute("DELETE FROM entries WHERE idx = 3", []).unwrap();
    drop(ledger);
    assert!(matches!(Sqlite::open(&place.path(), key()), Err(LedgerError::Damaged(_))));
}

#[test]
fn another_log_key_does_not_open_it() {
    let place = Place::new();
    drop(place.open());
    let (other, _) = LogKey::from_seed("test.log", &[6; 32]).unwrap();
    assert!(matches!(Sqlite::open(&place.path(), other), Err(LedgerError::OtherLog { .. })));
}

#[test]
fn a_newer_format_does_not_open() {
    let place = Place::new();
    place.open().reader.connection.pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Sqlite::open(&place.path(), key()), Err(LedgerError::Newer { found: 99, .. })));
    assert!(matches!(Reader::open(&place.path()), Err(LedgerError::Newer { .. })));
}

#[test]
fn a_token_enrols_one_agent_once() {
    let place = Place::new();
    let mut ledger = enrolled(&place);
    let again = ledger.enrol([1; 32], &agent(AGENT), NOW + 9999).unwrap().unwrap();
    assert_eq!((again.enrolled_ms, again.epoch, again.project.as_str()), (NOW, 1, "steel"));
    let other = AgentId([8; 16]);
    assert_eq!(ledger.enrol([1; 32], &agent(other), NOW).unwrap().unwrap_err(), TokenRefused::Taken);
    assert_eq!(ledger.enrol([2; 32], &agent(other), NOW).unwrap().unwrap_err(), TokenRefused::Unknown);
    ledger.add_token([2; 32], &NewToken::of("steel", NOW + 10)).unwrap();
    assert_eq!(ledger.enrol([2; 32], &agent(other), NOW + 10).unwrap().unwrap_err(), TokenRefused::Expired);
    assert_eq!(ledger.enrol([2; 32], &agent(AGENT), NOW).unwrap().unwrap_err(), TokenRefused::Enrolled);
    assert_eq!(ledger.read().projects(NOW).unwrap()[0].open_tokens, 1);
    ledger.enrol([2; 32], &agent(other), NOW + 1).unwrap().unwrap();
    let projects = ledger.read().projects(NOW).unwrap();
    assert_eq!((projects.len(), projects[0].agents, projects[0].open_tokens), (1, 2, 0));
    assert_eq!(ledger.read().agents(Some("steel")).unwrap().len(), 2);
    assert_eq!(ledger.read().agents(Some("paper")).unwrap().len(), 0);
}

#[test]
fn a_revocation_keeps_its_first_reason_and_the_entries() {
    let place = Place::new();
    let mut ledger = enrolled(&place);
    ledger.append(&entries(1..3), NOW).unwrap();
    assert!(ledger.revoke(AGENT, "stolen", NOW + 1).unwrap());
    assert!(ledger.revoke(AGENT, "again", NOW + 2).unwrap());
    assert!(!ledger.revoke(AgentId([1; 16]), "nobody", NOW).unwrap());
    let revoked = ledger.read().agent(AGENT).unwrap().unwrap().revoked.unwrap();
    assert_eq!((revoked.at_ms, revoked.reason.as_str()), (NOW + 1, "stolen"));
    assert_eq!(ledger.read().entries(Some(AGENT), 0, 10).unwrap().len(), 2);
}

fn confirmation(party: Party, name: &str) -> NewConfirmation {
    NewConfirmation { agent: AGENT, key: agent(AGENT).key, party, name: name.to_owned() }
}

#[test]
fn who_enrols_confirms_and_revokes_stands_in_the_log_once() {
    let place = Place::new();
    let mut ledger = place.open();
    let token = NewToken {
        installer: "某服务商".to_owned(),
        replaces: Some((AgentId([3; 16]), "主板损坏".to_owned())),
        ..NewToken::of("steel", NOW + 1000)
    };
    ledger.add_token([1; 32], &token).unwrap();
    let shown = Shown { hardware: Some([4; 32]), ..Shown::default() };
    let new = NewAgent { shown, ..agent(AGENT) };
    for _ in 0..2 {
        let enrolled = ledger.enrol([1; 32], &new, NOW).unwrap().unwrap();
        assert!(!enrolled.is_confirmed());
    }
    ledger.append(&entries(1..3), NOW).unwrap();
    for (party, name) in [(Party::Firm, "王"), (Party::City, "李"), (Party::Firm, "赵")] {
        assert!(ledger.confirm(&confirmation(party, name), NOW + 1).unwrap());
    }
    let confirmed = ledger.read().agent(AGENT).unwrap().unwrap();
    assert!(confirmed.is_confirmed());
    assert_eq!(confirmed.firm.unwrap(), Confirmed { at_ms: NOW + 1, name: "王".to_owned() });
    for _ in 0..2 {
        assert!(ledger.revoke(AGENT, "被盗", NOW + 2).unwrap());
    }

    let acts = ledger.read().acts(AGENT).unwrap();
    let kinds: Vec<_> = acts.iter().map(|recorded| (recorded.index, recorded.act.kind())).collect();
    assert_eq!(kinds, [(0, "enrol"), (3, "confirm"), (4, "confirm"), (5, "revoke")]);
    for recorded in &acts {
        let receipted = ledger.read().find(recorded.act.id()).unwrap().unwrap();
        let checked = check_receipt(&receipted.receipt, recorded.act.id(), ledger.log_verifier()).unwrap();
        assert_eq!((checked.entry.epoch, checked.entry.seq, checked.index), (0, 0, recorded.index));
        assert_eq!(checked.entry.kid, agent(AGENT).key.kid());
    }
    let Deed::Enrol(_, enrol) = &acts[0].act.deed else { panic!("the first is the enrolment") };
    assert_eq!((enrol.installer.as_str(), enrol.reason.as_str()), ("某服务商", "主板损坏"));
    assert_eq!((&enrol.hardware[..], &enrol.replaces[..]), (&[4; 32][..], &[3; 16][..]));
    let Deed::Revoke(_, revoke) = &acts[3].act.deed else { panic!("the last is the revocation") };
    assert_eq!(revoke.from_seq, 3);
    drop(ledger);
    assert_eq!(place.open().read().acts(AGENT).unwrap().len(), 4);
}

#[test]
fn another_key_is_not_confirmed_and_a_refused_token_leaves_nothing_in_the_log() {
    let place = Place::new();
    let mut ledger = enrolled(&place);
    let other = NewConfirmation { key: agent(AgentId([8; 16])).key, ..confirmation(Party::City, "李") };
    assert!(!ledger.confirm(&other, NOW).unwrap());
    ledger.confirm(&confirmation(Party::City, "两\n行"), NOW).unwrap_err();
    ledger.enrol([9; 32], &agent(AgentId([8; 16])), NOW).unwrap().unwrap_err();
    let known = ledger.read().agent(AGENT).unwrap().unwrap();
    assert_eq!((known.firm, known.city), (None, None));
    assert_eq!(ledger.read().checkpoint().unwrap().size, 1);
}

#[test]
fn nobody_enrols_as_the_log_itself() {
    let place = Place::new();
    let mut ledger = enrolled(&place);
    ledger.add_token([2; 32], &NewToken::of("steel", NOW + 10)).unwrap();
    let nobody = NewAgent::of(AgentId([0; 16]), agent(AGENT).key, "");
    assert_eq!(ledger.enrol([2; 32], &nobody, NOW).unwrap().unwrap_err(), TokenRefused::Enrolled);
}

#[test]
fn beacons_differ_and_are_no_gateways_entries() {
    let place = Place::new();
    let mut ledger = place.open();
    for _ in 0..3 {
        ledger.beacon(NOW).unwrap();
    }
    let log_entries = ledger.read().log_entries(0, 10).unwrap();
    let ids: BTreeSet<_> = log_entries.iter().map(|bytes| LogEntry::parse(bytes).unwrap().entry).collect();
    assert_eq!(ids.len(), 3);
    assert!(ledger.read().entries(None, 0, 10).unwrap().is_empty());
}

#[test]
fn a_firms_code_is_good_for_its_time_and_until_there_is_a_newer_one() {
    let place = Place::new();
    let mut ledger = place.open();
    ledger.set_firm_code([1; 32], "steel", NOW + 10).unwrap();
    let project = |ledger: &Sqlite, code, now| ledger.read().project_of(code, now).unwrap();
    assert_eq!(project(&ledger, [1; 32], NOW), Some("steel".to_owned()));
    assert_eq!(project(&ledger, [1; 32], NOW + 10), None);
    assert_eq!(project(&ledger, [2; 32], NOW), None);
    ledger.set_firm_code([2; 32], "steel", NOW + 10).unwrap();
    assert_eq!(project(&ledger, [1; 32], NOW), None);
    assert_eq!(project(&ledger, [2; 32], NOW), Some("steel".to_owned()));
}

#[test]
fn a_ledger_of_the_first_format_opens_and_its_gateways_wait_for_confirmation() {
    let place = Place::new();
    let old = Connection::open(place.path()).unwrap();
    old.execute_batch(schema::MIGRATIONS[0]).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute(
        "INSERT INTO agents (id, project, key, epoch, enrolled_ms, hostname, head_seq, head_entry, forks, anchor)
         VALUES (?, 'steel', ?, 1, 5, 'gw', 0, zeroblob(32), 0, 0)",
        params![AGENT.0, agent(AGENT).key.to_bytes()],
    )
    .unwrap();
    drop(old);
    let mut ledger = place.open();
    assert!(!ledger.read().agent(AGENT).unwrap().unwrap().is_confirmed());
    assert!(ledger.confirm(&confirmation(Party::Firm, "王"), NOW).unwrap());
    assert!(ledger.confirm(&confirmation(Party::City, "李"), NOW).unwrap());
    assert!(ledger.read().agent(AGENT).unwrap().unwrap().is_confirmed());
}

#[test]
fn use_rows_go_and_the_rest_stays_verifiable() {
    let place = Place::new();
    let mut ledger = enrolled(&place);
    let receipts = ledger.append(&entries(1..5), NOW).unwrap();
    assert_eq!(ledger.delete_use_rows(NOW + 3).unwrap(), 2);
    let held = ledger.read().entries(Some(AGENT), 0, 10).unwrap();
    let rows: Vec<_> = held.iter().map(|entry| entry.use_rows.is_some()).collect();
    assert_eq!(rows, [false, false, true, true]);
    assert_eq!(held[0].envelope, b"envelope 1 9");
    let found = ledger.read().find(receipts[0].entry).unwrap().unwrap();
    check_receipt(&found.receipt, receipts[0].entry, ledger.log_verifier()).unwrap();
}

#[test]
fn a_sequence_brings_all_its_entries_and_no_others() {
    let place = Place::new();
    let mut ledger = enrolled(&place);
    ledger.append(&entries(1..5), NOW).unwrap();
    ledger.append(&[NewEntry { outcome: Outcome::Conflict, ..entry(3, 8) }], NOW).unwrap();
    let found = |seq| {
        let found = ledger.read().entries_of(AGENT, seq).unwrap();
        found.into_iter().map(|entry| (entry.index, entry.seq)).collect::<Vec<_>>()
    };
    assert_eq!(found(3), [(3, 3), (5, 3)]);
    assert_eq!(found(9), []);
    assert!(ledger.read().entries_of(AgentId([1; 16]), 3).unwrap().is_empty());
}

#[test]
fn entries_come_back_as_they_were_given() {
    let place = Place::new();
    let mut ledger = enrolled(&place);
    let mut odd = entry(1, 9);
    odd.findings = BTreeSet::from([Finding::Late, Finding::ClockBack]);
    odd.outcome = Outcome::Finding;
    odd.manifest = Some([3; 16]);
    ledger.append(&[odd.clone()], NOW).unwrap();
    let reader = Reader::open(&place.path()).unwrap();
    let held = reader.entry(1).unwrap().unwrap();
    assert_eq!((held.findings, held.outcome, held.end_ms), (odd.findings, odd.outcome, odd.end_ms));
    assert_eq!(LogEntry::parse(&held.log_entry).unwrap().recv_ms, odd.recv_ms);
    assert!(reader.knows_manifest(AGENT, [3; 16]).unwrap());
    assert!(!reader.knows_manifest(AgentId([1; 16]), [3; 16]).unwrap());
    assert_eq!(reader.entries(None, 0, 10).unwrap().len(), 1);
    assert_eq!(reader.entries(None, 2, 10).unwrap().len(), 0);
    assert!(reader.entry(0).unwrap().is_none(), "an act is no entry of a gateway");
    assert!(reader.entry(2).unwrap().is_none());
}

#[test]
fn a_conflict_is_counted_and_does_not_take_the_head() {
    let place = Place::new();
    let mut ledger = enrolled(&place);
    let mut other = entry(2, 8);
    other.outcome = Outcome::Conflict;
    ledger.append(&[entry(1, 9), entry(2, 9), other], NOW).unwrap();
    let head = ledger.read().head(AGENT).unwrap();
    assert_eq!(head, Head { seq: 2, entry: entry(2, 9).entry, forks: 1, end_ms: Some(NOW), anchor: 0 });
    assert!(ledger.read().holds(AGENT, 2, Some(EntryId([8; 32]))).unwrap());
    assert!(!ledger.read().holds(AGENT, 2, Some(EntryId([7; 32]))).unwrap());
    assert_eq!(ledger.read().seq_of(AGENT, entry(2, 8).entry).unwrap(), Some(2));
}

#[test]
fn refusals_are_counted_by_agent_and_name() {
    let place = Place::new();
    let mut ledger = enrolled(&place);
    let refusal =
        |agent, text: &str| NewRefusal { agent, name: "bad_signature", at_ms: NOW, text: text.to_owned() };
    ledger.count_refusals(&[refusal(Some(AGENT), "a"), refusal(None, "b")]).unwrap();
    ledger.count_refusals(&[refusal(Some(AGENT), &"很".repeat(500))]).unwrap();
    let mut counts = ledger.read().refusals().unwrap();
    counts.sort_by_key(|count| count.count);
    assert_eq!((counts[0].agent, counts[0].count), (None, 1));
    assert_eq!((counts[1].agent, counts[1].count), (Some(AGENT), 2));
    assert_eq!(counts[1].text.chars().count(), 200);
}

#[test]
fn old_roots_are_known_and_future_ones_are_not() {
    let place = Place::new();
    let mut ledger = enrolled(&place);
    ledger.append(&entries(1..4), NOW).unwrap();
    let root = ledger.read().checkpoint().unwrap().hash;
    ledger.append(&entries(4..9), NOW).unwrap();
    drop(ledger);
    let ledger = place.open();
    assert_eq!(ledger.read().root_at(4).unwrap(), Some(root));
    assert_eq!(ledger.read().root_at(10).unwrap(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// Batches of any size, with reopening between them: every receipt, old and new, verifies.
    #[test]
    fn every_receipt_verifies_whatever_the_batches(batches in proptest::collection::vec((1_u64..30, any::<bool>()), 1..8)) {
        let place = Place::new();
        let mut ledger = enrolled(&place);
        let mut seq = 1;
        let mut receipts = Vec::new();
        for (size, reopen) in batches {
            receipts.extend(ledger.append(&entries(seq..seq + size), NOW).unwrap());
            seq += size;
            if reopen {
                drop(ledger);
                ledger = place.open();
            }
        }
        for old in &receipts {
            prop_assert!(check_receipt(&old.receipt, old.entry, ledger.log_verifier()).is_ok());
            let found = ledger.read().find(old.entry).unwrap().unwrap();
            let checked = check_receipt(&found.receipt, old.entry, ledger.log_verifier()).unwrap();
            prop_assert_eq!((checked.index, checked.size), (old.index, seq));
        }
    }
}

#[test]
fn tiles_hold_the_hashes_of_the_entries_and_nothing_that_is_under_no_checkpoint() {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    let place = Place::new();
    let mut ledger = enrolled(&place);
    let receipts = ledger.append(&entries(1..300), NOW).unwrap();
    let mut log_entries = ledger.read().log_entries(0, 1).unwrap();
    log_entries.extend(receipts.into_iter().map(|receipted| receipted.receipt.entry));
    let read = |path: &str| crate::Resource::at(path).unwrap().read(ledger.read()).unwrap();
    let mut first: MemoryBackedTree<sha2_next::Sha256, Vec<u8>> = MemoryBackedTree::new();
    log_entries[..256].iter().for_each(|entry| first.push(entry.clone()));
    assert_eq!(read("tile/1/000.p/1").unwrap(), first.root().as_bytes().as_slice());
    let hashes = |range: std::ops::Range<usize>| -> Vec<u8> {
        log_entries[range].iter().flat_map(|entry| tlog_tiles::record_hash(entry).0).collect()
    };
    assert_eq!(read("tile/0/000").unwrap(), hashes(0..256));
    assert_eq!(read("tile/0/001.p/44").unwrap(), hashes(256..300));
    assert_eq!(read("tile/0/001.p/3").unwrap(), hashes(256..259));
    let bundle = read("tile/entries/001.p/2").unwrap();
    let (length, rest) = bundle.split_at(2);
    let length = usize::from(u16::from_be_bytes(length.try_into().unwrap()));
    assert_eq!(rest[..length], log_entries[256]);
    assert_eq!(rest[length + 2..], log_entries[257]);
    for path in [
        "tile/0/001.p/45",
        "tile/0/001",
        "tile/1/000.p/2",
        "tile/1/000",
        "tile/2/000.p/1",
        "tile/entries/002.p/1",
    ] {
        assert_eq!(read(path), None, "{path}");
    }
    assert_eq!(read("checkpoint").unwrap(), ledger.read().checkpoint().unwrap().note.into_bytes());
}

#[test]
fn a_rotation_changes_the_key_together_with_its_entry_once_and_only_of_its_own_epoch() {
    let place = Place::new();
    let mut ledger = enrolled(&place);
    let first = agent(AGENT).key;
    let keys = |ledger: &Sqlite| {
        let keys = ledger.read().keys(AGENT).unwrap();
        keys.iter().map(|key| (key.epoch, key.key, key.from_seq)).collect::<Vec<_>>()
    };
    assert_eq!(keys(&ledger), [(1, first, 1)]);
    let second = SigningKey::from_seed(&[77; 32]).verify_key();
    let rotate = NewEntry { rotates: Some(second), ..entry(2, 9) };
    for _ in 0..2 {
        // The second time it is held already.
        ledger.append(&[entry(1, 9), rotate.clone()], NOW).unwrap();
        drop(ledger);
        ledger = place.open();
        assert_eq!(keys(&ledger), [(1, first, 1), (2, second, 3)]);
        let held = ledger.read().agent(AGENT).unwrap().unwrap();
        assert_eq!((held.epoch, held.key, held.kid), (2, second, second.kid()));
    }
    // Six words are of the key that was enrolled, whatever signs since.
    assert_eq!(ledger.read().agent(AGENT).unwrap().unwrap().enrolled_key, first);
    let new = |key| NewConfirmation { key, ..confirmation(Party::City, "李") };
    assert!(!ledger.confirm(&new(second), NOW).unwrap());
    assert!(ledger.enrol([1; 32], &agent(AGENT), NOW).unwrap().is_ok(), "asked again after a lost answer");
    let late = NewEntry { rotates: Some(first), ..entry(3, 9) };
    assert!(matches!(ledger.append(&[late], NOW), Err(LedgerError::Damaged(_))));
    assert_eq!(
        (keys(&ledger).len(), ledger.read().checkpoint().unwrap().size),
        (2, 3),
        "nothing of it is there"
    );
}

#[test]
fn a_ledger_of_before_there_were_rotations_keeps_its_agents_and_their_keys() {
    let place = Place::new();
    let ledger = enrolled(&place);
    ledger.reader.connection.execute_batch("DROP TABLE keys").unwrap();
    let before = ledger.reader.connection.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0));
    ledger.reader.connection.pragma_update(None, "user_version", before.unwrap() - 1).unwrap();
    drop(ledger);
    let keys = place.open().read().keys(AGENT).unwrap();
    assert_eq!(keys.iter().map(|key| key.key).collect::<Vec<_>>(), [agent(AGENT).key]);
}
