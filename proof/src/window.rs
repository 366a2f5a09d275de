//! Windows: observations in, a sealed window out, every ten minutes, empty ones too.
//!
//! Pure: time comes in as an argument, so a day of a plant is a test of milliseconds. The same observations with the
//! same secret give the same bytes, so a window that was cut off by a crash can be sealed from what had been flushed,
//! and an opening can recompute every feature.

use std::collections::BTreeMap;

use prost::Message as _;

use crate::catalogue::Cause;
use crate::features::{Range, Series, median_and_spread, minute_of};
use crate::leaf::{LeafHash, Tree, WindowSecret, leaf_hash};
use crate::observation::{Kept, Observation, Quality, Reading, What};
use crate::opening::{Beside, PastLeaf, PastLeaves};
use crate::payload::Header;
use crate::pseudonym::PseudonymKey;
use crate::wire::{self, Role, Share, SourceKind};
use crate::{MAX_WINDOW, WINDOW_MS, raw, userows};

mod logs;
mod rows;

use logs::LogTally;

/// An observation made this long before its window opened still counts in it, ms: it waited for the seal.
pub const LATE_MS: i64 = 60_000;

/// Ten minute bits.
const ALL_MINUTES: u16 = 0x3ff;

/// Most gaps in one window; when there are more, each source keeps one that spans all of its own.
const MAX_GAPS: usize = 64;

/// Fills windows, one after the other, for one gateway and one manifest.
#[derive(Debug)]
pub struct Windows {
    body: wire::ManifestBody,
    manifest: [u8; 16],
    build: [u8; 8],
    key: PseudonymKey,
    memory: Memory,
    open: Option<Open>,
    /// Leaves are kept as they come, to be opened.
    keeps: bool,
    /// Leaves are made and committed to: always but in made-up factories.
    commits: bool,
}

/// What a point is remembered by from one window to the next.
#[derive(Debug, Default)]
struct Memory {
    last: BTreeMap<(u16, usize), f64>,
    ranges: BTreeMap<(u16, usize), Range>,
    silent: BTreeMap<u16, Cause>,
}

#[derive(Debug)]
struct Open {
    start_ms: i64,
    mono_start_ms: u64,
    secret: WindowSecret,
    leaves: Vec<Came>,
    /// The leaves themselves, where a past window is made anew.
    kept: Option<Vec<PastLeaf>>,
    sources: BTreeMap<u16, Tally>,
    series: BTreeMap<(u16, usize), Series>,
    logs: BTreeMap<u16, LogTally>,
    use_table: userows::UseTable,
    gaps: Vec<wire::Gap>,
    rewrites: Vec<wire::Rewrite>,
    range_leaves: usize,
    commits: bool,
}

/// A leaf that came: where it will stand, and its hash. The leaf itself is kept in no memory: ten minutes of a large
/// factory have room for hashes only.
#[derive(Debug)]
struct Came {
    dt_ms: i32,
    source: u32,
    hash: LeafHash,
}

#[derive(Debug, Default)]
struct Tally {
    ok: u32,
    err: u32,
    rtts: Vec<u32>,
    online: u16,
    rows: u32,
    backfilled: u32,
    silent_since: Option<(i64, Cause)>,
}

/// A window without its header, ready to take its place in a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    /// Everything but the header.
    pub window: wire::Window,
    /// The detached use rows, encoded; empty for none.
    pub use_rows: Vec<u8>,
    /// The window's secret: belongs to the raw data.
    pub secret: WindowSecret,
}

/// An observation that belongs to no open window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// Past the mark: seal first.
    #[error("observation is past the window's mark")]
    PastTheMark,
    /// Before the window by more than [`LATE_MS`].
    #[error("observation is from before the window")]
    Before,
    /// No window is open.
    #[error("no window is open")]
    NoneOpen,
    /// The manifest has no such source, or the reading has another number of points.
    #[error("observation of something the manifest does not name")]
    Unknown,
}

/// Whether the source brings records, and no values.
pub fn has_records(source: &wire::Source) -> bool {
    matches!(source.kind(), SourceKind::Log | SourceKind::Table | SourceKind::Syslog)
}

/// Start of the window that contains this moment.
pub fn window_start(wall_ms: i64) -> i64 {
    wall_ms.div_euclid(WINDOW_MS) * WINDOW_MS
}

impl Windows {
    /// Windows of a gateway that watches what the manifest `body` says. `build` names the program.
    pub fn new(body: wire::ManifestBody, build: [u8; 8], key: PseudonymKey) -> Self {
        let manifest = crate::payload::manifest_hash(&body.encode_to_vec());
        Self {
            body,
            manifest,
            build,
            key,
            memory: Memory::default(),
            open: None,
            keeps: false,
            commits: true,
        }
    }

    /// Windows that say the same and commit to nothing: no leaf is made, and the root is that of none. No gateway makes
    /// them.
    #[cfg(feature = "uncommitted")]
    pub fn uncommitted(body: wire::ManifestBody, build: [u8; 8], key: PseudonymKey) -> Self {
        Self { commits: false, ..Self::new(body, build, key) }
    }

    /// The long-run ranges, to be kept over a restart: (source, point) and its range.
    pub fn ranges(&self) -> impl Iterator<Item = ((u16, usize), Range)> {
        self.memory.ranges.iter().map(|(place, range)| (*place, *range))
    }

    /// Takes ranges that were kept.
    pub fn remember(&mut self, ranges: impl IntoIterator<Item = ((u16, usize), Range)>) {
        self.memory.ranges.extend(ranges);
    }

    /// Opens the window that contains `wall_ms`; its claimed start is `wall_ms` itself after a restart, its mark is
    /// the clock's. `secret` must come out of a cryptographic random source.
    ///
    /// # Panics
    /// When one is open: seal it first.
    pub fn open(&mut self, wall_ms: i64, mono_ms: u64, secret: WindowSecret) {
        assert!(self.open.is_none(), "a window is sealed before the next is opened");
        let mut open = Open {
            start_ms: wall_ms,
            mono_start_ms: mono_ms,
            secret,
            leaves: Vec::new(),
            kept: None,
            sources: BTreeMap::new(),
            series: BTreeMap::new(),
            logs: BTreeMap::new(),
            use_table: userows::UseTable::default(),
            gaps: Vec::new(),
            rewrites: Vec::new(),
            range_leaves: 0,
            commits: self.commits,
        };
        open.kept = self.keeps.then(Vec::new);
        for ((source, point), range) in &self.memory.ranges {
            open.came(&range_leaf(*source, *point, *range));
        }
        open.range_leaves = open.leaves.len();
        for source in &self.body.sources {
            let index = u16::try_from(source.index).expect("a manifest has at most 1024 sources");
            let silent_since = self.memory.silent.get(&index).map(|cause| (wall_ms, *cause));
            open.sources.insert(index, Tally { silent_since, ..Tally::default() });
            if has_records(source) {
                open.logs.insert(index, LogTally::default());
            }
        }
        self.open = Some(open);
    }

    /// All leaves of a past window, made anew from its raw data; `key` is the project's. `None` where that names a
    /// manifest that is none.
    ///
    /// They are the leaves that were committed to when their root is the window's; accounts and their classes are those
    /// that were seen when the digest of the use rows is, too.
    pub fn past(chunks: &raw::Chunks, key: PseudonymKey) -> Option<PastLeaves> {
        let opening = &chunks.opening;
        let body = wire::ManifestBody::decode(opening.body.as_slice()).ok()?;
        let mut windows = Self { keeps: true, ..Self::new(body, [0; 8], key) };
        windows.remember(opening.ranges.iter().copied());
        windows.open(opening.wall_ms, opening.mono_ms, opening.secret.clone());
        for observation in &chunks.observations {
            // What did not belong to the window was told then, and is in no leaf.
            windows.observe(observation).unwrap_or(());
        }
        let open = windows.open.take()?;
        let use_rows = open.use_table.encode(local_day(open.start_ms, windows.body.utc_offset_minutes));
        let (came, kept) = (open.leaves, open.kept.unwrap_or_default());
        let mut leaves: Vec<_> = came.into_iter().zip(kept).collect();
        leaves[open.range_leaves..].sort_by_key(|(came, _)| (came.dt_ms, came.source));
        let leaves = leaves.into_iter().map(|(came, past)| (past, came.hash)).collect();
        Some(PastLeaves::of(leaves, userows::digest(&use_rows)))
    }

    /// Start of the open window, Unix ms.
    pub fn open_since(&self) -> Option<i64> {
        self.open.as_ref().map(|open| open.start_ms)
    }

    /// When the open window must be sealed: its clock mark, Unix ms.
    pub fn mark(&self) -> Option<i64> {
        self.open.as_ref().map(|open| window_start(open.start_ms) + WINDOW_MS)
    }

    /// Whether the open window should be sealed before its mark: a log brought more than it has rows for.
    pub fn is_full(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.use_table.len() >= userows::FULL_ROWS)
    }

    /// Takes an observation into the open window.
    ///
    /// # Errors
    /// [`Misplaced`], and the observation is not taken.
    pub fn observe(&mut self, observation: &Observation) -> Result<(), Misplaced> {
        let mark = self.mark().ok_or(Misplaced::NoneOpen)?;
        let open = self.open.as_mut().ok_or(Misplaced::NoneOpen)?;
        if observation.at_ms >= mark {
            return Err(Misplaced::PastTheMark);
        }
        if observation.at_ms < open.start_ms - LATE_MS {
            return Err(Misplaced::Before);
        }
        let place = usize::from(observation.source).checked_sub(1).ok_or(Misplaced::Unknown)?;
        let source = self.body.sources.get(place).ok_or(Misplaced::Unknown)?;
        match &observation.what {
            What::Cycle(readings) if readings.len() != source.points.len() => return Err(Misplaced::Unknown),
            What::Cycle(readings) => open.cycle(source, observation, readings, &mut self.memory),
            What::Records(records) => {
                let offset_ms = i64::from(self.body.utc_offset_minutes) * 60_000;
                open.heard(observation);
                open.records(observation, records, &self.key, offset_ms, mark);
            }
            What::Kept(kept) if kept.iter().any(|kept| usize::from(kept.point) >= source.points.len()) => {
                return Err(Misplaced::Unknown);
            }
            What::Kept(kept) => open.kept(observation, kept),
            What::Silent(cause) => open.silent(observation, *cause),
        }
        Ok(())
    }

    /// Seals the open window: at its mark, or earlier at a stop or after a crash. `None` when none is open.
    pub fn seal(&mut self, wall_ms: i64, mono_ms: u64, end: wire::End) -> Option<Sealed> {
        let mark = self.mark()?;
        let mut open = self.open.take()?;
        let end_ms = match end {
            wire::End::Mark => mark,
            wire::End::Stop | wire::End::Crash | wire::End::Full => wall_ms.clamp(open.start_ms, mark),
        };
        self.memory.silent.clear();
        for (source, tally) in &open.sources {
            if let Some((_, cause)) = tally.silent_since {
                self.memory.silent.insert(*source, cause);
            }
        }
        open.close_gaps(&self.body.sources, end_ms);
        // Order is time, then source, then arrival; the ranges stand in front of all.
        open.leaves[open.range_leaves..].sort_by_key(|leaf| (leaf.dt_ms, leaf.source));
        let tree = Tree::of(open.leaves.iter().map(|leaf| leaf.hash));
        let use_rows = open.use_table.encode(local_day(open.start_ms, self.body.utc_offset_minutes));
        let mut window = wire::Window {
            header: None,
            start_ms: open.start_ms,
            length_ms: u32::try_from(end_ms - open.start_ms).unwrap_or(0),
            mono_start_ms: open.mono_start_ms,
            mono_length_ms: u32::try_from(mono_ms.saturating_sub(open.mono_start_ms)).unwrap_or(u32::MAX),
            end: end.into(),
            anchor: None,
            leaf_count: u32::try_from(tree.len()).unwrap_or(u32::MAX),
            root: tree.root().to_vec(),
            manifest: self.manifest.to_vec(),
            build: self.build.to_vec(),
            sources: self.body.sources.iter().map(|source| open.source_row(source, end_ms)).collect(),
            shapes: self.shapes(&open),
            logs: open.logs.iter().map(|(source, log)| log.row(*source)).collect(),
            gaps: std::mem::take(&mut open.gaps),
            use_digest: userows::digest(&use_rows),
            rewrites: logs::bounded(std::mem::take(&mut open.rewrites)),
        };
        fit(&mut window);
        for (place, series) in &open.series {
            for value in series.values() {
                let range = self.memory.ranges.get(place).copied();
                self.memory.ranges.insert(*place, Range::with(range, value));
            }
        }
        Some(Sealed { window, use_rows, secret: open.secret })
    }

    fn shapes(&self, open: &Open) -> Vec<wire::ShapeRow> {
        let row = |(place @ (source, at), series): (&(u16, usize), &Series)| {
            let point = self.body.sources.get(usize::from(*source) - 1)?.points.get(*at)?;
            let shares = point.share() == Share::Delta;
            let mut row = series.row(self.memory.ranges.get(place).copied(), shares);
            row.source = u32::from(*source);
            row.point = point.index;
            row.missed = open.sources.get(source).map_or(0, |tally| tally.ok).saturating_sub(series.len());
            Some(row)
        };
        open.series.iter().filter_map(row).take(64).collect()
    }
}

impl Sealed {
    /// The payload, with its place in the chain.
    pub fn payload(&self, header: &Header, anchor: Option<wire::Anchor>) -> Vec<u8> {
        wire::Window { header: Some(header.wire()), anchor, ..self.window.clone() }.encode_to_vec()
    }
}

impl Open {
    fn dt(&self, at_ms: i64) -> i64 {
        at_ms - self.start_ms
    }

    fn came(&mut self, leaf: &wire::Leaf) {
        if !self.commits {
            return;
        }
        let arrival = u32::try_from(self.leaves.len()).expect("a window has fewer than 2^32 leaves");
        let blind = self.secret.leaf_blind(arrival);
        self.leaves.push(Came { dt_ms: leaf.dt_ms, source: leaf.source, hash: leaf_hash(leaf, &blind) });
        if let Some(kept) = &mut self.kept {
            let (fields, beside) = (Vec::new(), Beside::default());
            kept.push(PastLeaf { leaf: leaf.clone(), blind, fields, beside });
        }
    }

    /// The leaf that came last, where leaves are kept.
    fn kept_last(&mut self) -> Option<&mut PastLeaf> {
        self.kept.as_mut()?.last_mut()
    }

    fn minute(&self, at_ms: i64) -> usize {
        minute_of(at_ms - window_start(self.start_ms))
    }

    fn tally(&mut self, source: u16) -> &mut Tally {
        self.sources.entry(source).or_default()
    }

    /// Something valid came: counts it and ends a silence.
    fn heard(&mut self, observation: &Observation) {
        let minute = self.minute(observation.at_ms);
        let tally = self.tally(observation.source);
        tally.ok += 1;
        tally.online |= 1 << minute;
        tally.rtts.extend(observation.rtt_us);
        if let Some((since, cause)) = tally.silent_since.take() {
            self.gap(observation.source, cause, since, observation.at_ms);
        }
    }

    fn silent(&mut self, observation: &Observation, cause: Cause) {
        let dt_ms = clamp(self.dt(observation.at_ms));
        let source = u32::from(observation.source);
        let at_ms = observation.at_ms;
        let tally = self.tally(observation.source);
        tally.err += 1;
        match tally.silent_since {
            Some((_, same)) if same == cause => {}
            before => {
                tally.silent_since = Some((at_ms, cause));
                if let Some((since, other)) = before {
                    self.gap(observation.source, other, since, at_ms);
                }
            }
        }
        let reading = wire::Reading { quality: u32::from(cause.letter()), raw: Vec::new() };
        let readings = wire::Readings { share: Share::None.into(), rtt_us: 0, points: vec![reading] };
        self.came(&wire::Leaf { source, dt_ms, what: Some(wire::leaf::What::Readings(readings)) });
    }

    fn cycle(
        &mut self,
        source: &wire::Source,
        observation: &Observation,
        readings: &[Reading],
        memory: &mut Memory,
    ) {
        if readings.iter().any(|reading| reading.quality == Quality::Good) {
            self.heard(observation);
        } else {
            self.tally(observation.source).err += 1;
        }
        let dt = self.dt(observation.at_ms);
        for share in [Share::Shape, Share::Delta, Share::None] {
            let of_share = |(point, _): &(&wire::Point, &Reading)| point.share() == share;
            let of_class =
                || source.points.iter().zip(readings).enumerate().filter(|(_, both)| of_share(both));
            let points: Vec<_> = of_class().map(|(_, (_, reading))| wire_reading(reading)).collect();
            let values = of_class().map(|(at, (_, reading))| (at, reading.value));
            if !points.is_empty() {
                let rtt_us = observation.rtt_us.unwrap_or(0);
                let readings = wire::Readings { share: share.into(), rtt_us, points };
                let what = Some(wire::leaf::What::Readings(readings));
                self.came(&wire::Leaf { source: source.index, dt_ms: clamp(dt), what });
                if let Some(past) = self.kept_last() {
                    past.beside.values = values.collect();
                }
            }
        }
        for (at, (point, reading)) in source.points.iter().zip(readings).enumerate() {
            let Some(value) = reading.value.filter(|value| point.signal && value.is_finite()) else {
                continue;
            };
            let place = (observation.source, at);
            let before = memory.last.insert(place, value);
            let dt_of_mark = observation.at_ms - window_start(self.start_ms);
            let series = self.series.entry(place).or_default();
            series.push(dt_of_mark, value, before);
            if point.role() == Role::Running {
                series.push_running(dt_of_mark, value, before);
            }
        }
    }

    /// One leaf for each point: what is opened of one says nothing of its neighbours.
    fn kept(&mut self, observation: &Observation, kept: &[Kept]) {
        let tally = self.tally(observation.source);
        tally.backfilled = tally.backfilled.saturating_add(u32::try_from(kept.len()).unwrap_or(u32::MAX));
        let mut by_point: BTreeMap<u16, (wire::Backfill, Vec<_>)> = BTreeMap::new();
        for Kept { point, at_ms, reading } in kept {
            let (leaf, values) = by_point.entry(*point).or_default();
            values.push((usize::from(*point), reading.value));
            leaf.point = u32::from(*point);
            leaf.at_ms.push(*at_ms);
            leaf.readings.push(wire_reading(reading));
        }
        let dt_ms = clamp(self.dt(observation.at_ms));
        for (leaf, values) in by_point.into_values() {
            let what = Some(wire::leaf::What::Backfill(leaf));
            self.came(&wire::Leaf { source: observation.source.into(), dt_ms, what });
            if let Some(past) = self.kept_last() {
                past.beside.values = values;
            }
        }
    }

    fn gap(&mut self, source: u16, cause: Cause, from_ms: i64, to_ms: i64) {
        let seconds = |ms: i64| i32::try_from((ms - self.start_ms).div_euclid(1000)).unwrap_or(0);
        let (from_s, to_s) = (seconds(from_ms), seconds(to_ms).max(seconds(from_ms)));
        self.gaps.push(wire::Gap { source: source.into(), cause: cause.letter().into(), from_s, to_s });
    }

    /// Ends what is still silent at the window's end, declares sources that were never asked, bounds the list.
    fn close_gaps(&mut self, sources: &[wire::Source], end_ms: i64) {
        let was_due = |source: u16| {
            let cadence_s = sources.get(usize::from(source) - 1).map_or(1, |source| source.cadence_s);
            expected(self.start_ms, end_ms, cadence_s) > 0
        };
        let open: Vec<_> = self
            .sources
            .iter()
            .filter_map(|(source, tally)| match tally.silent_since {
                Some((since, cause)) => Some((*source, cause, since)),
                None if tally.ok + tally.err == 0 && was_due(*source) => {
                    Some((*source, Cause::Unknown, self.start_ms))
                }
                None => None,
            })
            .collect();
        for (source, cause, since) in open {
            self.gap(source, cause, since, end_ms);
        }
        let overflown: Vec<_> =
            self.logs.iter().filter(|(_, log)| log.overflown()).map(|(source, _)| *source).collect();
        for source in overflown {
            self.gap(source, Cause::Overflow, self.start_ms, end_ms);
        }
        if self.gaps.len() > MAX_GAPS {
            let mut spans: BTreeMap<u32, wire::Gap> = BTreeMap::new();
            for gap in self.gaps.drain(..) {
                let span = spans.entry(gap.source).or_insert(gap);
                span.from_s = span.from_s.min(gap.from_s);
                span.to_s = span.to_s.max(gap.to_s);
            }
            self.gaps = spans.into_values().collect();
        }
    }

    fn source_row(&self, source: &wire::Source, end_ms: i64) -> wire::SourceRow {
        let index = u16::try_from(source.index).expect("a manifest has at most 1024 sources");
        let tally = self.sources.get(&index);
        let (ok, err) = tally.map_or((0, 0), |tally| (tally.ok, tally.err));
        let due = i64::from(expected(self.start_ms, end_ms, source.cadence_s));
        let (rtt_median_us, rtt_spread_us) = median_and_spread(tally.map_or(&[], |tally| &tally.rtts));
        wire::SourceRow {
            source: source.index,
            unasked: i32::try_from(due - i64::from(ok) - i64::from(err)).unwrap_or(0),
            ok,
            err,
            rtt_median_us,
            rtt_spread_us,
            offline: u32::from(!tally.map_or(0, |tally| tally.online) & ALL_MINUTES),
            rows: tally.map_or(0, |tally| tally.rows),
            backfilled: tally.map_or(0, |tally| tally.backfilled),
        }
    }
}

/// Questions due in [start, end): the multiples of the cadence on the wall clock.
fn expected(start_ms: i64, end_ms: i64, cadence_s: u32) -> u32 {
    let cadence = i64::from(cadence_s.max(1)) * 1000;
    let before = |ms: i64| (ms - 1).div_euclid(cadence);
    u32::try_from(before(end_ms) - before(start_ms)).unwrap_or(0)
}

/// Drops the finest detail of a window that would be larger than its kind may be: shapes first, then gaps in favour
/// of one for the whole gateway. Counts and root always stay.
fn fit(window: &mut wire::Window) {
    // Header, anchor and use digest are added later or fixed: they take less than this.
    const ROOM: usize = MAX_WINDOW - 256;
    while window.encoded_len() > ROOM && window.shapes.pop().is_some() {}
    if window.encoded_len() > ROOM && !window.gaps.is_empty() {
        let from_s = window.gaps.iter().map(|gap| gap.from_s).min().unwrap_or(0);
        let to_s = window.gaps.iter().map(|gap| gap.to_s).max().unwrap_or(0);
        window.gaps = vec![wire::Gap { source: 0, cause: Cause::Unknown.letter().into(), from_s, to_s }];
    }
    // What is left out from here on stands in the use rows too, or is no evidence of use.
    if window.encoded_len() > ROOM {
        window.logs.iter_mut().for_each(|log| log.classes.clear());
    }
    if window.encoded_len() > ROOM {
        for row in &mut window.sources {
            (row.rtt_median_us, row.rtt_spread_us) = (0, 0);
        }
    }
}

/// Local date of a moment, days since 1970-01-01; 0 for one further away than days are counted.
pub fn local_day(wall_ms: i64, utc_offset_minutes: i32) -> i32 {
    let local = wall_ms.saturating_add(i64::from(utc_offset_minutes) * 60_000);
    i32::try_from(local.div_euclid(86_400_000)).unwrap_or(0)
}

fn wire_reading(reading: &Reading) -> wire::Reading {
    let quality = if reading.quality == Quality::Good { 0 } else { u32::from(reading.quality.letter()) };
    wire::Reading { quality, raw: reading.raw.clone() }
}

fn range_leaf(source: u16, point: usize, range: Range) -> wire::Leaf {
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let milli = |value: f64| (value * 1000.0).round() as i64;
    let range = wire::Range {
        point: u32::try_from(point).unwrap_or(u32::MAX),
        low_milli: milli(range.low),
        high_milli: milli(range.high),
    };
    wire::Leaf { source: source.into(), dt_ms: 0, what: Some(wire::leaf::What::Range(range)) }
}

fn clamp(dt_ms: i64) -> i32 {
    i32::try_from(dt_ms).unwrap_or(if dt_ms < 0 { i32::MIN } else { i32::MAX })
}

#[cfg(test)]
mod tests;
