//! One gateway's chain, folded.

use std::collections::BTreeMap;

use proof::wire::{self, ActorClass, Origin, Outcome};
use proof::{Cause, observation};

use super::clock::Clock;
use super::day::{AgentDay, MAX_LAG, SourceDay, Tally, UseKey};
use super::said::{Changed, Rewritten, Said};
use super::signals::PointDay;
use super::sources::{SourceKey, Sources};
use super::{Content, Entry, cause, each_day, grade, local};
use crate::assessment::MAX_DAYS;
use crate::before::Before;
use crate::grade::Grade;
use crate::lists::{self, Module};

/// Everything folded of one gateway.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain {
    pub(crate) last_seq: u64,
    pub(crate) windows: u64,
    /// Sequence numbers that were jumped over.
    pub(crate) missing: u64,
    /// Entries recorded beside another of the same sequence; they decide nothing.
    pub(crate) conflicts: u64,
    /// Rows dated after their window's end, or more than two years before it; they are not counted.
    pub(crate) misdated: u64,
    /// Windows and outages that claim an impossible time; they are left out.
    pub(crate) mistimed: u64,
    /// Key actions in use rows of modules that the catalogue does not know.
    pub(crate) unmapped: u64,
    /// The manifest's clock is not the project's.
    pub(crate) other_clock: bool,
    pub(crate) sources: Sources,
    modules: BTreeMap<u32, Module>,
    pub(crate) days: BTreeMap<i64, AgentDay>,
    pub(crate) gaps: Vec<GapSpan>,
    /// Its clock's steps and starts.
    pub(crate) clock: Clock,
    /// Logs and tables that are not as they were read.
    pub(crate) rewrites: Vec<Rewritten>,
    /// Labels.
    pub(crate) labels: Vec<Said>,
    /// Changes of what is watched.
    pub(crate) changes: Vec<Changed>,
    /// Two entries stand under one sequence number: the days on which that was received.
    pub(crate) forks: Vec<(i64, u64)>,
    /// What was there before the gateway came.
    pub(crate) before: Option<Before>,
    /// The manifest in force, for telling what the next one changes.
    manifest: Option<wire::ManifestBody>,
    /// End and sequence number of the latest window.
    end: Option<(i64, u64)>,
    logs: BTreeMap<SourceKey, LogPlace>,
}

/// How far a log has been read, and when.
#[derive(Debug, Clone, Copy)]
struct LogPlace {
    to: u64,
    end_ms: i64,
}

/// A hole in what one source or the whole gateway saw.
#[derive(Debug, Clone)]
pub(crate) struct GapSpan {
    /// As numbered in the record; 0 is the whole gateway.
    pub(crate) source: u32,
    /// Which one that was.
    pub(crate) key: Option<SourceKey>,
    pub(crate) cause: Cause,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) undeclared: bool,
}

/// Undeclared silence shorter than this is the seam between two windows.
const SEAM_MS: i64 = 90_000;

/// What a chain may claim to begin at: 2000 to 2100, in Unix ms. Sums of such times and a window's own offsets stay
/// far from the ends of 64 bits.
const POSSIBLE: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;

/// A clock that shows a time before 2020 was never set: it says nothing of how long a silence lasted.
const CLOCK_SET_MS: i64 = 1_577_836_800_000;

/// Gaps kept of one gateway; the oldest go first.
const MAX_GAPS: usize = 20_000;

impl Chain {
    pub(super) fn fold(&mut self, entry: &Entry<'_>, offset: i32) {
        if entry.outcome == Outcome::Conflict {
            self.conflicts += 1;
            bounded(&mut self.forks, (local(entry.recv_ms, offset).0, entry.seq), MAX_SAID);
            return;
        }
        if entry.seq <= self.last_seq {
            return;
        }
        self.missing = self.missing.saturating_add(entry.seq - self.last_seq - 1);
        self.last_seq = entry.seq;
        match entry.content {
            Content::Window { window, use_rows } => self.window(entry, window, use_rows, offset),
            Content::Manifest(body) => self.manifest(entry, body, offset),
            Content::Outage(outage) => self.outage(entry.seq, outage),
            Content::Digest(digest) => self.digest(entry.seq, digest, offset),
            Content::Label(label) => {
                if let Some(said) = Said::of(entry, label) {
                    bounded(&mut self.labels, said, MAX_SAID);
                }
            }
            Content::Other => {}
        }
    }

    fn manifest(&mut self, entry: &Entry<'_>, body: &wire::ManifestBody, offset: i32) {
        self.other_clock |= body.utc_offset_minutes != offset;
        self.modules = body.modules.iter().map(|module| (module.code, Module::of(&module.name))).collect();
        self.sources.follow(body, &self.modules, entry.seq);
        if let Some(before) = self.manifest.replace(body.clone()) {
            let day = local(entry.recv_ms, offset).0;
            for what in super::said::changes(&before, body) {
                bounded(&mut self.changes, Changed { day, seq: entry.seq, what }, MAX_SAID);
            }
        }
    }

    /// The sums of a day stand on the day of the latest window, which they are of.
    fn digest(&mut self, seq: u64, digest: &wire::Digest, offset: i32) {
        let Some((end, _)) = self.end else { return };
        let day = local(end.saturating_sub(1), offset).0;
        let sums = self.days.entry(day).or_default().sums.get_or_insert_default();
        sums.add(seq, digest);
    }

    /// A silence that began by a clock that was never set began with the latest window, if any.
    fn outage(&mut self, seq: u64, outage: &wire::Outage) {
        let known = (outage.from_ms >= CLOCK_SET_MS).then_some(outage.from_ms);
        match known.or(self.end.map(|(end, _)| end)) {
            Some(from_ms) if POSSIBLE.contains(&from_ms) && POSSIBLE.contains(&outage.to_ms) => {
                self.gap(GapSpan {
                    source: 0,
                    key: None,
                    cause: cause(outage.cause),
                    from_ms,
                    to_ms: outage.to_ms,
                    first: seq,
                    last: seq,
                    undeclared: false,
                });
            }
            Some(_) | None => self.mistimed += 1,
        }
    }

    fn window(
        &mut self,
        entry: &Entry<'_>,
        window: &wire::Window,
        rows: Option<&wire::UseRows>,
        offset: i32,
    ) {
        if !POSSIBLE.contains(&window.start_ms) {
            self.mistimed += 1;
            return;
        }
        let grade = grade(entry, window);
        let length = i64::from(window.length_ms).min(proof::WINDOW_MS);
        let (start, end) = (window.start_ms, window.start_ms.saturating_add(length));
        self.windows += 1;
        let (day, minute) = local(start, offset);
        let restarted = self.clock.follow(entry.seq, day, window);
        let today = self.days.entry(day).or_default();
        today.boots += u32::from(restarted);
        today.seqs = Some(today.seqs.map_or((entry.seq, entry.seq), |(first, _)| (first, entry.seq)));
        today.windows[grade.index()] += 1;
        today.rows_missing += u32::from(rows.is_none() && !window.use_digest.is_empty());
        if start >= CLOCK_SET_MS {
            self.silence(start, entry.seq);
        }
        for gap in window.gaps.iter().take(1_000) {
            self.gap(GapSpan {
                source: gap.source,
                key: self.sources.in_force(gap.source),
                cause: cause(gap.cause),
                from_ms: start.saturating_add(i64::from(gap.from_s) * 1_000),
                to_ms: start.saturating_add(i64::from(gap.to_s) * 1_000),
                first: entry.seq,
                last: entry.seq,
                undeclared: false,
            });
        }
        for rewrite in window.rewrites.iter().take(64) {
            bounded(&mut self.rewrites, Rewritten::of(day, rewrite), MAX_SAID);
        }
        if grade.decides() {
            let up = (minute, minute + (length + crate::MINUTE_MS - 1) / crate::MINUTE_MS);
            each_minute_run(day, up.0, up.1, |day, from, to| {
                self.days.entry(day).or_default().up.add(from, to)
            });
            let (day, mark) = local(start - start.rem_euclid(proof::WINDOW_MS), offset);
            self.source_rows(window, grade, day, mark);
            self.log_places(window, end, offset);
        }
        if let Some(rows) = rows {
            self.use_rows(entry.seq, rows, grade, (day, local(end.max(start), offset).0));
            self.clock.acted(local(entry.recv_ms, offset).0, live_actions(rows));
        }
        if start >= CLOCK_SET_MS && self.end.is_none_or(|(latest, _)| latest < end) {
            self.end = Some((end, entry.seq));
        }
    }

    /// Records what lies between the latest window and this one, where no record declares it.
    fn silence(&mut self, start_ms: i64, seq: u64) {
        let Some((end, before)) = self.end else { return };
        if start_ms.saturating_sub(end) <= SEAM_MS {
            return;
        }
        let declared = self.gaps.iter().rev().take(50).any(|gap| {
            gap.source == 0
                && gap.last > before
                && gap.from_ms <= end + SEAM_MS
                && gap.to_ms >= start_ms - SEAM_MS
        });
        if !declared {
            self.gap(GapSpan {
                source: 0,
                key: None,
                cause: Cause::Unknown,
                from_ms: end,
                to_ms: start_ms,
                first: before,
                last: seq,
                undeclared: true,
            });
        }
    }

    /// Adds a gap, or makes the last one of its source longer.
    fn gap(&mut self, gap: GapSpan) {
        if gap.to_ms <= gap.from_ms {
            return;
        }
        let joined = self.gaps.iter_mut().rev().take(64).find(|last| {
            last.key == gap.key
                && last.source == gap.source
                && last.cause == gap.cause
                && last.undeclared == gap.undeclared
                && gap.from_ms.abs_diff(last.to_ms) <= SEAM_MS.unsigned_abs()
        });
        match joined {
            Some(last) => {
                last.to_ms = last.to_ms.max(gap.to_ms);
                last.last = gap.last;
            }
            None => {
                if self.gaps.len() >= MAX_GAPS {
                    self.gaps.remove(0);
                }
                self.gaps.push(gap);
            }
        }
    }

    /// `minute` is the local minute of the window's ten-minute mark, which is what minute bits count from.
    fn source_rows(&mut self, window: &wire::Window, grade: Grade, day: i64, minute: i64) {
        let Self { sources, days, .. } = self;
        let today = &mut days.entry(day).or_default().sources;
        for row in &window.sources {
            let Some(key) = sources.in_force(row.source) else { continue };
            let Some(view) = sources.get_mut(key) else { continue };
            view.rows = Some(view.rows.map_or((day, day), |(first, last)| (first.min(day), last.max(day))));
            if row.ok > 0 && view.first_day.is_none_or(|first| day < first) {
                view.first_day = Some(day);
            }
            let source = today.entry(key).or_default();
            if !view.is_log() {
                let slot = &mut source.slots.get_or_insert_default().0[(minute / 10) as usize];
                slot.0 = slot.0.saturating_add(u16::try_from(row.expected()).unwrap_or(u16::MAX));
                slot.1 = slot.1.saturating_add(u16::try_from(row.ok.min(row.expected())).unwrap_or(u16::MAX));
            }
            source.wire.take(row);
            let minutes = if grade <= Grade::B { &mut source.prompt } else { &mut source.late };
            minutes.add_ten(minute, row.online());
        }
        for shape in window.shapes.iter().take(64) {
            let Some(key) = sources.in_force(shape.source) else { continue };
            let Some(view) = sources.get(key) else { continue };
            if !view.signals.contains(&shape.point) {
                continue;
            }
            let source: &mut SourceDay = today.entry(key).or_default();
            if view.running.contains(&shape.point) {
                source.running.add_ten(minute, shape.running);
                source.edges.add_ten(minute, shape.edges);
            }
            let busy = window.shapes.iter().any(|other| {
                other.source == shape.source
                    && other.running & 0x3ff == 0x3ff
                    && view.running.contains(&other.point)
            });
            let point: &mut PointDay = source.points.entry(shape.point).or_default();
            let asked = window.sources.iter().find(|row| row.source == shape.source);
            let ok = u64::from(asked.map_or(0, |row| shape.ok(row)));
            point.take((minute / 10) as u8, shape, ok, busy);
        }
        for log in window.logs.iter().take(1_000) {
            let Some(key) = sources.in_force(log.source) else { continue };
            if sources.get(key).is_some_and(|view| view.is_log()) {
                today.entry(key).or_default().pace.take(minute, log);
            }
        }
    }

    /// Where a log goes on at the very position it was left at, what lay between has been read back.
    fn log_places(&mut self, window: &wire::Window, end_ms: i64, offset: i32) {
        for log in window.logs.iter().take(1_000) {
            let answered = window.sources.iter().any(|row| row.source == log.source && row.ok > 0);
            let Some(key) = self.sources.in_force(log.source).filter(|_| answered) else { continue };
            if !self.sources.get(key).is_some_and(|view| view.is_log()) {
                continue;
            }
            let before = self.logs.insert(key, LogPlace { to: log.to, end_ms });
            let Some(before) = before.filter(|before| before.to == log.from) else { continue };
            let days = &mut self.days;
            each_day(before.end_ms, window.start_ms, offset, |day, from, to| {
                days.entry(day).or_default().sources.entry(key).or_default().recovered.add(from, to);
            });
        }
    }

    /// `seen` are the days on which the window began and ended.
    fn use_rows(&mut self, seq: u64, rows: &wire::UseRows, grade: Grade, seen: (i64, i64)) {
        let (seen_day, last_day) = seen;
        let columns = [
            rows.source.len(),
            rows.module.len(),
            rows.action.len(),
            rows.actor.len(),
            rows.origin.len(),
            rows.day.len(),
            rows.first_minute.len(),
            rows.span_minutes.len(),
        ];
        let length = rows.count.len();
        if columns.iter().any(|column| *column != length) {
            self.misdated += 1;
            return;
        }
        for at in 0..length {
            let day = i64::from(rows.base_day) + i64::from(rows.day[at]);
            // A clock that is a few minutes ahead may date the last action of a day on the next.
            if day > last_day + 1 || day < last_day - 2 * MAX_DAYS as i64 {
                self.misdated += 1;
                continue;
            }
            let lag = u8::try_from((seen_day - day).clamp(0, i64::from(MAX_LAG))).unwrap_or(MAX_LAG);
            self.use_row(seq, rows, at, grade, (day, lag));
        }
    }

    fn use_row(&mut self, seq: u64, rows: &wire::UseRows, at: usize, grade: Grade, dated: (i64, u8)) {
        let (day, lag) = dated;
        let actor = rows.actors.get(rows.actor[at] as usize);
        let class = actor.map_or(ActorClass::Unspecified, |actor| lists::actor_class(actor.class));
        let key = UseKey {
            module: self.modules.get(&rows.module[at]).copied().unwrap_or(Module::UNMAPPED),
            actor: actor.and_then(|actor| actor.pseudonym.as_slice().try_into().ok()).unwrap_or_default(),
            class,
            reason: actor.map_or(0, |actor| actor.reason),
            action: lists::action(rows.action[at]),
            lag,
            origin: lists::origin(rows.origin[at]),
            grade,
        };
        let decides = grade.decides() && key.origin != Origin::Declared;
        if decides
            && key.origin == Origin::Backfill
            && let Some(source) = self.sources.in_force(rows.source[at])
            && let Some(view) = self.sources.get_mut(source)
        {
            view.spoken.insert(day);
        }
        let count = u64::from(rows.count[at]);
        let today = self.days.entry(day).or_default();
        let tally = today.uses.entry(key).or_insert(Tally { count: 0, first: seq, last: seq });
        tally.count = tally.count.saturating_add(count);
        tally.last = seq;
        if key.action.is_key() && key.module == Module::UNMAPPED {
            self.unmapped = self.unmapped.saturating_add(count);
        }
        if decides && key.action.is_key() && observation::is_human(class) {
            let first = i64::from(rows.first_minute[at]).min(crate::DAY_MINUTES - 1);
            let last = (first + i64::from(rows.span_minutes[at])).min(crate::DAY_MINUTES - 1);
            if last == 0 && key.origin == Origin::Backfill {
                // A date without a time of day: it says nothing of when.
                today.dateless = today.dateless.saturating_add(count);
                return;
            }
            let minutes = today.actor_minutes.entry(key.actor).or_default();
            minutes.add(first, first + 1);
            minutes.add(last, last + 1);
            if key.module.is_production() {
                today.production.add(first, first + 1);
                today.production.add(last, last + 1);
            }
        }
    }
}

/// People's key actions of these rows that were seen as they were done.
fn live_actions(rows: &wire::UseRows) -> u64 {
    let is_live = |at: usize| {
        let actor = rows.actor.get(at).and_then(|actor| rows.actors.get(*actor as usize));
        actor.is_some_and(|actor| observation::is_human(lists::actor_class(actor.class)))
            && rows.action.get(at).is_some_and(|action| lists::action(*action).is_key())
            && rows.origin.get(at).is_some_and(|origin| lists::origin(*origin) == Origin::Live)
    };
    (0..rows.count.len()).filter(|at| is_live(*at)).map(|at| u64::from(rows.count[at])).sum()
}

/// Things said of one chain that are kept; the oldest go first.
const MAX_SAID: usize = 1_000;

/// Adds to a list that keeps no more than `most`.
fn bounded<T>(list: &mut Vec<T>, item: T, most: usize) {
    if list.len() >= most {
        list.remove(0);
    }
    list.push(item);
}

/// Calls `put` for minutes `from..to` of `day`, cut at midnight.
fn each_minute_run(day: i64, from: i64, to: i64, mut put: impl FnMut(i64, i64, i64)) {
    put(day, from, to.min(crate::DAY_MINUTES));
    if to > crate::DAY_MINUTES {
        put(day + 1, 0, to - crate::DAY_MINUTES);
    }
}
