//! What was seen of the declared production devices: M14 to M17 and the strips.

use crate::assessment::{DayFact, DeviceDay, DeviceStrip};
use crate::history::{Chain, Slots, SourceKey, SourceView};
use crate::minutes::Minutes;
use crate::project::DeclaredDevice;
use crate::view::View;

/// One declared device over W and over the view.
pub(crate) struct Device<'a> {
    pub(crate) declared: &'a DeclaredDevice,
    pub(crate) connected: bool,
    /// A manifest of the firm's gateways names it, or did.
    mapped: bool,
    pub(crate) strip: Vec<DeviceDay>,
    /// Questions answered and due in planned minutes of W, those of silent gateways included.
    pub(crate) slots: (u64, u64),
    /// Longest stretch of planned minutes of W without an answer.
    pub(crate) longest_gap: u32,
    /// Signal points, and of these the ones that live.
    pub(crate) series: (u32, u32),
}

/// All declared devices over days `from..=to`.
pub(crate) fn devices<'a>(view: &View<'a>, from: usize, to: usize) -> Vec<Device<'a>> {
    let mut devices: Vec<_> =
        view.project.devices.iter().map(|declared| device(view, declared, from, to)).collect();
    due_of_unmapped(&mut devices, view, from, to);
    devices
}

/// Questions that would have been due to devices that no manifest names: as many as to the others on average, or one
/// a planned minute where there are no others.
fn due_of_unmapped(devices: &mut [Device<'_>], view: &View<'_>, from: usize, to: usize) {
    let planned = view.days[from..=to].iter().map(|day| u64::from(day.plan.minutes.count())).sum::<u64>();
    let asked = devices.iter().filter(|device| device.mapped && device.declared.declared_networked);
    let (count, due) = asked.fold((0, 0), |(count, due), device| (count + 1, due + device.slots.1));
    let average = u64::checked_div(due, count).filter(|due| *due > 0).unwrap_or(planned);
    for device in devices.iter_mut().filter(|device| !device.mapped) {
        device.slots = (0, average);
        device.longest_gap = u32::try_from(planned).unwrap_or(u32::MAX);
    }
}

fn device<'a>(view: &View<'a>, declared: &'a DeclaredDevice, from: usize, to: usize) -> Device<'a> {
    let found = declared.source.and_then(|(agent, index)| {
        let (_, chain) = view.chains().find(|(id, _)| *id == agent)?;
        let (key, source) = chain.sources.meant(index)?;
        Some((key, chain, source))
    });
    let mut device = Device {
        declared,
        connected: false,
        mapped: found.is_some(),
        strip: Vec::new(),
        slots: (0, 0),
        longest_gap: 0,
        series: (0, 0),
    };
    let Some((key, chain, source)) = found else {
        let planned =
            |day: &crate::view::Day| DeviceDay { planned: day.plan.minutes.count(), ..DeviceDay::default() };
        device.strip = view.days.iter().map(planned).collect();
        return device;
    };
    let mut gap = 0;
    let (mut answered_days, mut watched_days) = (0, 0);
    for (at, day) in view.days.iter().enumerate() {
        let planned = day.plan.minutes;
        let of_agent = chain.days.get(&day.index);
        let of_source = of_agent.and_then(|day| day.sources.get(&key));
        let up = of_agent.map(|day| day.up).unwrap_or_default();
        let online = of_source.map(|day| day.seen().held(source.hold_minutes)).unwrap_or_default();
        let watched = planned.and(&up);
        device.strip.push(DeviceDay {
            planned: planned.count(),
            watched: watched.count(),
            online: watched.and(&online).count(),
            running: of_source.map_or(0, |day| day.running.count()),
        });
        if (from..=to).contains(&at) {
            watched_days += u32::from(!watched.is_empty());
            answered_days += u32::from(of_source.is_some_and(|day| !day.seen().is_empty()));
            let slots = of_source.and_then(|day| day.slots.as_deref());
            let (answered, due) = count_slots(slots, &planned, source);
            device.slots = (device.slots.0 + answered, device.slots.1 + due);
            device.longest_gap = device.longest_gap.max(longest(&planned, &online, &mut gap));
        }
    }
    device.connected = answered_days > 0 && answered_days >= 10.min(watched_days.div_ceil(2));
    device.series = series(view, chain, source, key, from, to);
    device
}

/// Questions answered and due in the ten-minute slots that lie wholly in planned minutes. Where no window came, they
/// were due by the cadence.
fn count_slots(slots: Option<&Slots>, planned: &Minutes, source: &SourceView) -> (u64, u64) {
    let by_cadence = u64::from((600 / source.cadence_s.max(1)).max(1));
    let (mut answered, mut due) = (0, 0);
    for slot in 0..144 {
        let from = slot as i64 * 10;
        if !planned.has(from) || !planned.has(from + 9) {
            continue;
        }
        let (expected, ok) = slots.map_or((0, 0), |slots| slots.0[slot]);
        let expected = u64::from(expected).max(if source.cadence_s <= 600 { by_cadence } else { 0 });
        answered += u64::from(ok).min(expected);
        due += expected;
    }
    (answered, due)
}

/// The longest run of planned minutes without an answer, carried in `gap` from day to day.
fn longest(planned: &Minutes, online: &Minutes, gap: &mut u32) -> u32 {
    let mut longest = 0;
    if planned.without(online).is_empty() && !planned.is_empty() {
        *gap = 0;
        return 0;
    }
    for minute in (0..crate::DAY_MINUTES).filter(|minute| planned.has(*minute)) {
        *gap = if online.has(minute) { 0 } else { *gap + 1 };
        longest = longest.max(*gap);
    }
    longest
}

/// Signal points, and of these the ones that vary on at least half of their days (ten are enough): a machine at rest
/// for days is honest, a register that never moves is not alive. Two changes a day are variation: a reading that moves
/// every half hour is as honest as one that moves every second.
fn series(
    view: &View<'_>,
    chain: &Chain,
    source: &SourceView,
    key: SourceKey,
    from: usize,
    to: usize,
) -> (u32, u32) {
    let (first, last) = (view.days[from].index, view.days[to].index);
    let mut live = 0;
    for point in &source.signals {
        let days =
            chain.days.range(first..=last).filter_map(|(_, day)| day.sources.get(&key)?.points.get(point));
        let (mut with_samples, mut varied) = (0, 0);
        for day in days.filter(|day| day.ok > 1) {
            with_samples += 1;
            varied += u32::from(day.changes >= 2);
        }
        live += u32::from(varied > 0 && varied >= 10.min(u32::div_ceil(with_samples, 2)));
    }
    (source.signals.len() as u32, live)
}

impl Device<'_> {
    /// Minutes of a day in which it should have answered: the planned ones in which its gateway was up, since nothing
    /// is said where nothing was observed; all planned ones where no manifest ever named it.
    fn due(&self, at: usize) -> u32 {
        let day = &self.strip[at];
        if self.mapped { day.watched } else { day.planned }
    }

    /// For the page.
    pub(crate) fn page(&self) -> DeviceStrip {
        DeviceStrip {
            name: self.declared.name.clone(),
            agent: self.declared.source.map(|(agent, _)| agent),
            source: self.declared.source.map(|(_, source)| source),
            digital: self.declared.digital,
            declared_networked: self.declared.declared_networked,
            connected: self.connected,
            days: self.strip.clone(),
        }
    }
}

/// Online and due minutes of the declared networked devices in W: M15.
pub(crate) fn online(devices: &[Device<'_>], from: usize, to: usize) -> (u64, u64) {
    let networked = devices.iter().filter(|device| device.declared.declared_networked);
    let minutes = networked.flat_map(|device| (from..=to).map(move |at| (device, at)));
    minutes.fold((0, 0), |(online, due), (device, at)| {
        (online + u64::from(device.strip[at].online), due + u64::from(device.due(at)))
    })
}

/// U3's condition: devices online half of the due time. Met without a look only where none was declared as networked.
pub(crate) fn half_online(devices: &[Device<'_>], from: usize, to: usize) -> bool {
    let (online, due) = online(devices, from, to);
    let declared = devices.iter().any(|device| device.declared.declared_networked);
    !declared || (due > 0 && online * 2 >= due)
}

/// The days behind a device metric: online minutes of all networked devices.
pub(crate) fn days(view: &View<'_>, devices: &[Device<'_>], from: usize, to: usize) -> Vec<DayFact> {
    let networked: Vec<_> = devices.iter().filter(|device| device.declared.declared_networked).collect();
    let due = |at: usize| networked.iter().map(|device| u64::from(device.due(at))).sum::<u64>();
    let fact = |at: usize| {
        let online = networked.iter().map(|device| u64::from(device.strip[at].online)).sum::<u64>();
        let day = &view.days[at];
        DayFact { date: day.date, hit: online * 2 >= due(at), count: online, spans: day.spans.clone() }
    };
    (from..=to).filter(|at| due(*at) > 0).map(fact).collect()
}
