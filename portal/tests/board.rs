//! The board over a real ledger and the real scorer: folds once, scores when due, answers by place.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use daemon::{Clock, Hold, Sleep, Stamp};
use jiff::civil::date;
use ledger::{LogKey, NewAgent, NewToken, Readers, Sqlite, Store};
use portal::{Board, Plan, Source, SourceError};
use proof::{AgentId, Envelope, Payload, SigningKey, wire};
use prost::Message as _;
use scorer::{Calendar, ProfileFile};

#[path = "../fixtures/madeup.rs"]
#[expect(dead_code, reason = "shared with the gallery")]
mod madeup;

/// A clock that stands where it was put.
struct Standing(AtomicI64);

impl Clock for Standing {
    fn stamp(&self) -> Stamp {
        Stamp { wall_ms: self.0.load(Ordering::Relaxed), mono_ms: 0 }
    }
    fn boot_id(&self) -> String {
        "test".to_owned()
    }
    fn sleep_until(&self, _: i64) -> Sleep {
        Box::pin(async { Hold::none() })
    }
    fn hold(&self) -> Hold {
        Hold::none()
    }
}

struct Bench {
    store: Sqlite,
    board: Board,
    clock: Arc<Standing>,
    agent: AgentId,
    entries: Vec<ledger::NewEntry>,
    _folder: tempfile::TempDir,
}

fn bench() -> Bench {
    bench_beside(&[])
}

/// With other firms, which have no gateway yet.
fn bench_beside(others: &[&str]) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let (key, _) = LogKey::from_seed("log.example/inuse", &[7; 32]).unwrap();
    let verifier_key = key.verifier().to_owned();
    let mut store = Sqlite::open(&path, key).unwrap();
    let signing = SigningKey::from_seed(&[9; 32]);
    let agent = AgentId([0x5a; 16]);
    let first = date(2026, 3, 2);
    store.add_token([3; 32], &NewToken::of("hengtong", i64::MAX)).unwrap();
    let new = NewAgent::of(agent, signing.verify_key(), "gw-01");
    store.enrol([3; 32], &new, madeup::day_ms(first)).unwrap().unwrap();
    madeup::confirm(&mut store, &new, madeup::day_ms(first));
    let text = include_str!("../../config/profiles/neutral.toml");
    let profile = toml::from_str::<ProfileFile>(text).unwrap().check("neutral").unwrap();
    let project = madeup::firms::project("hengtong", "恒通", "Hengtong", "城东区", agent);
    let clock = Arc::new(Standing(AtomicI64::new(madeup::day_ms(date(2026, 3, 4)) + 3_600_000)));
    let mut projects = vec![(project, profile.clone())];
    for id in others {
        let project = madeup::firms::project(id, id, id, "城东区", AgentId([0x11; 16]));
        projects.push((project, profile.clone()));
    }
    let plan = Plan { projects, calendar: Calendar::default(), verifier_key };
    let board = Board::new(Readers::open(&path, 2).unwrap(), Arc::clone(&clock) as Arc<dyn Clock>, plan);
    Bench { store, board, clock, agent, entries: madeup::windows::chain(agent, &signing), _folder: folder }
}

#[test]
fn nothing_is_shown_before_the_ledger_was_read() {
    let bench = bench();
    assert!(matches!(bench.board.firms(), Err(SourceError::NotReady)));
    assert_eq!(bench.board.refresh().unwrap(), 1);
    assert_eq!(bench.board.firm("hengtong").unwrap().unwrap().chain.windows, 0);
    assert!(bench.board.firm("nobody").unwrap().is_none());
}

#[test]
fn firms_of_one_ledger_are_compared_with_each_other_and_one_alone_is_not() {
    let d33 = |others: &[&str]| {
        let bench = bench_beside(others);
        bench.board.refresh().unwrap();
        let firm = bench.board.firm("hengtong").unwrap().unwrap();
        firm.assessment.findings.iter().find(|finding| finding.id == "D33").unwrap().outcome
    };
    assert_eq!(d33(&[]), scorer::Outcome::NotComputable);
    assert_eq!(d33(&["another"]), scorer::Outcome::Clear);
}

#[test]
fn what_an_unconfirmed_gateway_sends_is_held_and_decides_nothing() {
    let mut bench = bench();
    let signing = SigningKey::from_seed(&[8; 32]);
    let agent = AgentId([0x5b; 16]);
    bench.store.add_token([4; 32], &NewToken::of("hengtong", i64::MAX)).unwrap();
    let new = NewAgent::of(agent, signing.verify_key(), "gw-02");
    bench.store.enrol([4; 32], &new, madeup::day_ms(date(2026, 3, 2))).unwrap().unwrap();
    let entries = madeup::windows::chain(agent, &signing);
    bench.store.append(&entries, madeup::day_ms(date(2026, 3, 4))).unwrap();
    bench.board.refresh().unwrap();
    let firm = bench.board.firm("hengtong").unwrap().unwrap();
    let gateway = firm.gateways.iter().find(|gateway| gateway.agent == agent).unwrap();
    assert!(!gateway.is_confirmed());
    assert_eq!((gateway.seq, firm.chain.windows, firm.strips.len()), (288, 0, 0));
    assert_eq!(firm.assessment.evidence.windows, [0; 4]);
}

#[test]
fn new_entries_are_folded_once_and_score_their_firm_again() {
    let mut bench = bench();
    bench.board.refresh().unwrap();
    bench.store.append(&bench.entries[..144], madeup::day_ms(date(2026, 3, 3))).unwrap();
    assert_eq!(bench.board.refresh().unwrap(), 1);
    assert_eq!(bench.board.refresh().unwrap(), 0, "nothing new is nothing to do");
    bench.store.append(&bench.entries[144..], madeup::day_ms(date(2026, 3, 4))).unwrap();
    assert_eq!(bench.board.refresh().unwrap(), 1);
    let firm = bench.board.firm("hengtong").unwrap().unwrap();
    assert_eq!((firm.chain.windows, firm.gateways[0].seq, firm.strips.len()), (288, 288, 3));
    assert_eq!(firm.chain.findings.values().sum::<u64>(), 1);
    let hour = firm.strips[0].days[&date(2026, 3, 2)][9];
    assert_eq!((hour.covered, hour.online, hour.active), (60, 60, 54));
    assert_eq!(firm.assessment.days.iter().map(|day| day.spans.len()).max(), Some(1));
}

#[test]
fn a_new_day_scores_again_without_new_entries() {
    let bench = bench();
    bench.board.refresh().unwrap();
    assert_eq!(bench.board.refresh().unwrap(), 0);
    bench.clock.0.fetch_add(86_400_000, Ordering::Relaxed);
    assert_eq!(bench.board.refresh().unwrap(), 1);
}

#[test]
fn days_and_sequences_are_read_by_place() {
    let mut bench = bench();
    bench.store.append(&bench.entries, madeup::day_ms(date(2026, 3, 4))).unwrap();
    bench.board.refresh().unwrap();
    let day = bench.board.day("hengtong", date(2026, 3, 3)).unwrap();
    let seqs: Vec<u64> = day.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (145..=288).collect::<Vec<_>>());
    assert!(bench.board.day("hengtong", date(2026, 3, 9)).unwrap().is_empty());
    assert!(bench.board.day("nobody", date(2026, 3, 3)).unwrap().is_empty());
    let entries = bench.board.entries("hengtong", bench.agent, 200).unwrap();
    assert_eq!(entries.len(), 1);
    assert!(bench.board.receipt(entries[0].entry).unwrap().is_some());
    assert!(bench.board.entries("hengtong", AgentId([1; 16]), 200).unwrap().is_empty());
    assert!(bench.board.entries("hengtong", bench.agent, 999).unwrap().is_empty());
}

#[test]
fn a_window_of_an_impossible_time_hides_no_other_and_is_counted() {
    // Beyond 1970 to 2100 a payload is not read at all; within, this is what a gateway without a battery clock claims.
    for start_ms in [0, 1, 946_684_799_999] {
        let mut bench = bench();
        let mut entries = bench.entries.clone();
        let odd = &mut entries[20];
        let sent = Envelope::parse(&odd.envelope).unwrap();
        let mut window = wire::Window::decode(sent.payload()).unwrap();
        window.start_ms = start_ms;
        window.gaps = vec![wire::Gap { source: 1, cause: 88, from_s: 1, to_s: 2 }];
        let payload = window.encode_to_vec();
        let envelope = Envelope::sign(&SigningKey::from_seed(&[9; 32]), "window", payload.clone());
        Payload::parse("window", &payload).expect("the ledger would hold it");
        odd.entry = envelope.id();
        odd.envelope = envelope.bytes().to_vec().into();
        bench.store.append(&entries, madeup::day_ms(date(2026, 3, 4))).unwrap();
        assert_eq!(bench.board.refresh().unwrap(), 1);
        let firm = bench.board.firm("hengtong").unwrap().unwrap();
        let spans: usize = firm.assessment.days.iter().map(|day| day.spans.len()).sum();
        assert_eq!((firm.chain.windows, spans), (288, 2), "{start_ms}");
        assert!(firm.assessment.notes.iter().any(|note| note.zh.starts_with("1 条记录的时间不合理")));
        assert_eq!(bench.board.entries("hengtong", bench.agent, 21).unwrap().len(), 1);
    }
}
