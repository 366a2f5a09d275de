//! Honest reports are let pass, and spoilt ones are found.

use proof::observation::Records;
use proof::wire::{ActionClass, ActorClass, ExclusionReason};

use super::*;

const TERMS: Terms = Terms { tail: Duration::from_secs(2), patience: Duration::from_secs(10) };

/// One table, and what is judged of it. Time is what a test says.
struct Court {
    book: Arc<Book>,
    judged: Judged,
    record: Arc<Record>,
}

impl Court {
    /// With rows that have been committed.
    fn opens(ids: &[u64]) -> Self {
        let book = Arc::new(Book::default());
        book.commits(ids);
        book.committed(ids, secs(1));
        Self { judged: Judged::new(1, Arc::clone(&book)), book, record: Record::begin() }
    }

    fn reports(&mut self, at: Duration, what: &What) -> Vec<String> {
        let mut found = Found::default();
        self.judged.judge(Mark { order: 0, at }, what, &TERMS, &self.record, &mut found);
        found.violations
    }

    fn rows(&mut self, at: Duration, rows: &[Reported]) -> Vec<String> {
        self.reports(at, &What::Records(Records { records: rows.to_vec(), ..Records::default() }))
    }

    fn tells(&mut self, rewrite: Rewrite) -> Vec<String> {
        self.reports(secs(3), &What::Records(Records { rewrites: vec![rewrite], ..Records::default() }))
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A row as an honest collector reports it.
fn row(id: u64) -> Reported {
    let minutes = i64::try_from(id % 60).expect("below 60");
    Reported {
        position: id,
        fields: vec![id.to_string().into_bytes(), "报工单".into()],
        event_ms: Some(1_750_204_800_000 + minutes * 60_000 + 45_000),
        account: Some(format!("wang{:02}", id % 7)),
        document: None,
        actor_class: ActorClass::Human,
        reason: ExclusionReason::None,
        module: 0,
        action: ActionClass::Other,
    }
}

#[test]
fn each_row_may_come_once_in_any_order_and_must_be_as_it_was() {
    let mut court = Court::opens(&[1, 2, 3, 4]);
    assert_eq!(court.rows(secs(2), &[row(2), row(1)]), [""; 0]);
    assert!(court.rows(secs(2), &[row(2)])[0].contains("came before"));
    assert_eq!(court.rows(secs(2), &[row(5)]).len(), 1, "not committed");
    let spoilt = Reported { account: Some("li01".to_owned()), ..row(3) };
    assert_eq!(court.rows(secs(2), &[spoilt]).len(), 1);
    let spoilt = Reported { event_ms: Some(0), ..row(4) };
    assert_eq!(court.rows(secs(2), &[spoilt]).len(), 1);
    court.book.ended();
    assert!(court.book.is_done());
}

#[test]
fn a_row_that_does_not_come_is_missed() {
    let mut court = Court::opens(&[1, 2]);
    assert_eq!(court.rows(secs(5), &[row(1)]), [""; 0]);
    assert!(court.rows(secs(12), &[])[0].contains("nothing for 11s"));
    court.book.ended();
    assert!(!court.book.is_done());
}

#[test]
fn what_lies_far_below_may_wait_until_all_of_it_was_read_again_and_no_longer() {
    let ids: Vec<_> = (1..=5_000).collect();
    let mut court = Court::opens(&ids);
    for id in &ids[1..] {
        assert_eq!(court.rows(secs(2), &[row(*id)]), [""; 0]);
    }
    for at in [8, 14, 20, 21] {
        assert_eq!(court.rows(secs(at), &[]), [""; 0], "ten looks, and ten seconds");
    }
    assert!(court.rows(secs(22), &[])[0].contains("nothing for"));
}

#[test]
fn a_change_must_be_told_and_nothing_else() {
    let one = |kind, from| Rewrite { kind, from, to: from + 1, rows: 1 };
    let mut court = Court::opens(&[1, 2, 3]);
    assert_eq!(court.rows(secs(2), &[row(1), row(2), row(3)]), [""; 0]);
    assert_eq!(court.tells(one(RewriteKind::Edited, 2)).len(), 1, "nothing was changed");
    court.book.changes(Fault::Edit, 2, secs(2));
    assert_eq!(court.tells(one(RewriteKind::Removed, 2)).len(), 1, "another kind");
    assert_eq!(court.tells(one(RewriteKind::Edited, 3)).len(), 1, "another row");
    assert!(!court.book.is_told());
    assert_eq!(court.tells(one(RewriteKind::Edited, 2)), [""; 0]);
    assert!(court.book.is_told());
    assert_eq!(court.tells(one(RewriteKind::Edited, 2)).len(), 1, "told before");
    court.book.changes(Fault::Delete, 3, secs(3));
    assert!(court.rows(secs(14), &[])[0].contains("Delete"));
}

#[test]
fn a_silence_needs_a_cut_or_a_restart_and_ends_in_time() {
    let mut court = Court::opens(&[]);
    let silent = What::Silent(Cause::NoAnswer);
    assert_eq!(court.reports(secs(1), &silent).len(), 1);
    court.book.begins(Fault::Restart, secs(2));
    assert_eq!(court.reports(secs(3), &silent), [""; 0]);
    assert_eq!(court.reports(secs(3), &What::Silent(Cause::Refused)).len(), 1);
    court.book.ends(secs(4));
    assert_eq!(court.reports(secs(5), &silent), [""; 0]);
    assert_eq!(court.reports(secs(8), &What::Records(Records::default())), [""; 0]);
    assert_eq!(court.reports(secs(9), &silent).len(), 1);
}
