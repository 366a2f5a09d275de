//! Honest reports are let pass, and spoilt ones are found.

use proof::wire::{ActionClass, ActorClass, ExclusionReason};

use super::super::{LOGS, text};
use super::*;

const TERMS: Terms = Terms { patience: Duration::from_secs(10) };

/// One log, and what is judged of it. Time is what a test says.
struct Court {
    book: Arc<Book>,
    judged: Judged,
    record: Arc<Record>,
    /// What a collector would report next.
    next: Vec<Reported>,
    lines: Vec<u32>,
}

impl Court {
    fn opens() -> Self {
        // Records of several lines.
        let book = Arc::new(Book::new(LOGS[3]));
        let judged = Judged::new(1, Arc::clone(&book));
        Self { book, judged, record: Record::begin(), next: Vec::new(), lines: Vec::new() }
    }

    /// So many records are written, whole.
    fn writes(&mut self, count: usize, at: Duration) {
        for _ in 0..count {
            let (number, position) = self.book.next();
            let written = text::record(self.book.kind.form, number);
            let length = written.line.len() as u64;
            self.book.write(position, &written, length, position);
            self.book.flushed(position + length, at);
            let mut fields = vec![Vec::new(); 6];
            fields[self.book.kind.form.message_at()] = written.message.into_bytes();
            self.lines.push(written.lines);
            self.next.push(Reported {
                position,
                fields,
                event_ms: Some(written.event_ms),
                account: Some(written.account),
                document: None,
                actor_class: ActorClass::Human,
                reason: ExclusionReason::None,
                module: 0,
                action: ActionClass::Other,
            });
        }
    }

    /// What was written last, as an honest look.
    fn look(&mut self) -> Records {
        let (records, lines) = (std::mem::take(&mut self.next), std::mem::take(&mut self.lines));
        let (from, to) = (self.judged.position, self.book.totals().0);
        Records { from, to, lines: lines.iter().sum(), records, ..Records::default() }
    }

    /// What is found wrong with a report.
    fn reports(&mut self, at: Duration, what: &What) -> Vec<String> {
        let mut found = Found::default();
        self.judged.judge(Mark { order: 0, at }, what, &TERMS, &self.record, &mut found);
        found.violations
    }

    fn records(&mut self, at: Duration, records: Records) -> Vec<String> {
        self.reports(at, &What::Records(records))
    }

    /// A look that was spoilt.
    fn spoilt(spoil: impl Fn(&mut Records)) -> Vec<String> {
        let mut court = Self::opens();
        court.writes(6, secs(1));
        let mut look = court.look();
        spoil(&mut look);
        court.records(secs(2), look)
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn what_was_written_is_let_pass_and_so_is_nothing_new() {
    let mut court = Court::opens();
    for second in 1..50 {
        court.writes(7, secs(second));
        let look = court.look();
        assert_eq!(court.records(secs(second), look), [""; 0]);
        let nothing = court.look();
        assert_eq!(court.records(secs(second), nothing), [""; 0]);
    }
    court.book.ended(secs(50));
    assert!(court.book.is_done());
}

#[test]
fn a_record_that_is_lost_doubled_out_of_order_or_invented_is_found() {
    assert!(Court::spoilt(|_| {}).is_empty());
    assert!(Court::spoilt(|look| drop(look.records.remove(2)))[0].contains("instead of"));
    assert!(!Court::spoilt(|look| look.records.push(look.records[5].clone())).is_empty());
    assert!(!Court::spoilt(|look| look.records.insert(3, look.records[2].clone())).is_empty());
    let swapped = Court::spoilt(|look| look.records.swap(1, 2));
    assert!(swapped.iter().any(|what| what.contains("instead of")), "{swapped:?}");
    assert!(!Court::spoilt(|look| look.records[4].fields[4] = "报工/工单/4711".into()).is_empty());
}

#[test]
fn a_field_a_place_or_a_count_that_is_not_so_is_found() {
    let spoils: [fn(&mut Records); 8] = [
        |look| look.records[3].account = Some("li01".to_owned()),
        |look| look.records[3].account = None,
        |look| look.records[3].event_ms = look.records[3].event_ms.map(|ms| ms + 28_800_000),
        |look| look.records[3].position += 1,
        |look| look.unparsed = 1,
        |look| look.lines += 1,
        |look| look.from += 1,
        |look| look.to = 0,
    ];
    for (at, spoil) in spoils.into_iter().enumerate() {
        // The first record of all begins where nothing was read before.
        let found = Court::spoilt(spoil);
        assert!(!found.is_empty() || at == 7, "{at}");
    }
}

#[test]
fn a_record_that_is_not_whole_must_wait_and_a_whole_one_must_not() {
    let mut court = Court::opens();
    court.writes(2, secs(1));
    let (number, position) = court.book.next();
    let written = text::record(court.book.kind.form, number);
    court.book.write(position, &written, 100, position);
    let mut look = court.look();
    let mut half = look.records[0].clone();
    half.fields[4] = written.message.into_bytes();
    look.records.push(half);
    assert!(court.records(secs(2), look)[0].contains("before it was whole"));

    let mut court = Court::opens();
    court.writes(1, secs(1));
    assert_eq!(court.records(secs(9), Records::default()), [""; 0]);
    assert!(court.records(secs(12), Records::default())[0].contains("waits"));
    assert!(!court.book.is_done());
}

#[test]
fn a_rewrite_must_be_told_where_it_is_and_nowhere_else() {
    let told = |kind, from, to| Rewrite { kind, from, to, rows: 0 };
    let mut court = Court::opens();
    court.writes(20, secs(1));
    let look = court.look();
    assert_eq!(court.records(secs(1), look), [""; 0]);
    let edited = court.judged.position / 2;
    let with = |court: &mut Court, rewrite| {
        let look = court.look();
        court.records(secs(3), Records { rewrites: vec![rewrite], ..look })
    };
    assert_eq!(with(&mut court, told(RewriteKind::Edited, 0, 5_000)).len(), 1, "nothing was changed");
    court.book.edited(10, 30, 4, secs(2));
    assert!(!court.book.is_told());
    let place = text_position(&court, 10) + 30;
    assert!(edited > 0);
    assert_eq!(with(&mut court, told(RewriteKind::Edited, 0, place + 2)).len(), 1, "only a part of it");
    assert_eq!(with(&mut court, told(RewriteKind::Cut, 0, 5_000)).len(), 1, "another kind");
    assert!(!court.book.is_told());
    assert_eq!(with(&mut court, told(RewriteKind::Edited, 0, 5_000)), [""; 0]);
    assert!(court.book.is_told());
    court.book.lost(Fault::Delete, 400, secs(3));
    let found = court.records(
        secs(14),
        Records { from: court.judged.position, to: court.judged.position, ..Records::default() },
    );
    assert!(found[0].contains("was not told"), "{found:?}");
}

/// Where the record with this number begins: those before it are as long as they were written.
fn text_position(court: &Court, number: u64) -> u64 {
    (0..number).map(|number| text::record(court.book.kind.form, number).line.len() as u64).sum()
}

#[test]
fn a_silence_needs_a_folder_that_is_away() {
    let mut court = Court::opens();
    assert_eq!(court.reports(secs(1), &What::Silent(Cause::Missing)).len(), 1);
    court.book.goes(Some(Fault::Away), secs(2));
    assert_eq!(court.reports(secs(3), &What::Silent(Cause::Missing)), [""; 0]);
    assert_eq!(court.reports(secs(3), &What::Silent(Cause::Fault)).len(), 1);
    court.book.comes(secs(4));
    assert_eq!(court.reports(secs(5), &What::Silent(Cause::Missing)), [""; 0]);
    assert_eq!(court.reports(secs(6), &What::Silent(Cause::Missing)).len(), 1);
}
