//! From an assessment's days to the charts: overview, calendars, strips.

use std::collections::BTreeSet;

use jiff::civil::Date;
use proof::wire::SourceKind;
use scorer::assessment::{DayLine, DeviceStrip, ModuleUse};
use scorer::{MetricId, UseLevel};

use super::say;
use crate::chart::ink::{LEVELS, ONLINE, SILENT};
use crate::chart::{Day, DayKind, Hour, Labels, Scale, Strip, Svg, calendar, strip, weave};
use crate::figures::{percent, span};
use crate::lang::Lang;
use crate::page::Page;
use crate::pages::module;
use crate::pages::rank::Badge;
use crate::source::{Firm, SourceStrip};

/// The charts that are not tied to one module.
pub(super) struct Drawings {
    pub(super) overview: Svg,
    /// What each of the four shades covers.
    pub(super) shades: Vec<(&'static str, String)>,
    /// The states of an hour, for the strips' legend.
    pub(super) states: [(&'static str, &'static str); 5],
    pub(super) strips: Vec<StripPart>,
    /// Declared devices that no source reads.
    pub(super) unwatched: Vec<String>,
}

pub(super) struct StripPart {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) svg: Svg,
}

/// One declared module with its calendar.
pub(super) struct ModulePart {
    pub(super) name: String,
    pub(super) star: bool,
    pub(super) badge: Badge,
    pub(super) level: &'static str,
    pub(super) because: String,
    pub(super) coverage: String,
    pub(super) key_actions: u64,
    pub(super) days: String,
    pub(super) accounts: u32,
    pub(super) calendar: Svg,
}

impl Drawings {
    pub(super) fn new(page: &Page, firm: &Firm) -> Self {
        let a = &firm.assessment;
        let seen = observed(firm);
        let rows: Vec<(String, Vec<Day>)> = a
            .modules
            .iter()
            .map(|m| {
                let days = days(&a.days, m, &seen).into_iter().filter(|day| day.inside).collect();
                (module_name(page.lang, m), days)
            })
            .collect();
        let scale = scale(firm);
        Self {
            overview: weave("w", page.w.overview, &rows, &scale, &labels(page)),
            shades: LEVELS.into_iter().zip(scale.ranges()).collect(),
            states: [
                (SILENT, page.w.key_silent),
                (ONLINE, page.w.key_online),
                (LEVELS[1], page.w.key_some),
                (LEVELS[2], page.w.key_half),
                (LEVELS[3], page.w.key_full),
            ],
            strips: strips(page, firm),
            unwatched: a.devices.iter().filter(|d| d.source.is_none()).map(|d| d.name.clone()).collect(),
        }
    }
}

/// Every declared module, in the project's order.
pub(super) fn modules(page: &Page, firm: &Firm) -> Vec<ModulePart> {
    let a = &firm.assessment;
    let (seen, scale, labels) = (observed(firm), scale(firm), labels(page));
    let link = |date: Date| format!("/firms/{}/days/{date}", firm.id());
    let part = |(at, m): (usize, &ModuleUse)| {
        let name = module_name(page.lang, m);
        let days = days(&a.days, m, &seen);
        ModulePart {
            calendar: calendar(&format!("c{at}"), &name, &days, &scale, &labels, link),
            name,
            star: m.star,
            badge: level_badge(m.level, page.lang),
            level: m.level.code(),
            because: say(page.lang, &m.because),
            coverage: if m.in_view { percent(m.coverage) } else { page.w.no_view.to_owned() },
            key_actions: m.key_actions,
            days: format!("{} / {}", m.active_days, m.observed_days),
            accounts: m.accounts,
        }
    };
    a.modules.iter().enumerate().map(part).collect()
}

fn level_badge(level: UseLevel, lang: Lang) -> Badge {
    Badge::of(level.headline(), lang)
}

/// The contract's own words in Chinese; the catalogue's in English.
fn module_name(lang: Lang, m: &ModuleUse) -> String {
    let named = say(lang, &m.name);
    if named.is_empty() { module(lang, &m.code).to_owned() } else { named }
}

fn labels(page: &Page) -> Labels {
    let w = page.w;
    Labels {
        stop: w.sign_stop,
        holiday: w.sign_holiday,
        unseen: w.key_unseen,
        rest: w.key_rest,
        actions: w.key_actions,
        stopped: w.key_stop,
    }
}

/// One scale for all modules of the firm, so that a shade means the same everywhere on the page.
fn scale(firm: &Firm) -> Scale {
    Scale::of(firm.assessment.modules.iter().flat_map(|m| m.daily.iter().copied()))
}

/// The days that M01 counted as observed: chart and number must not disagree.
fn observed(firm: &Firm) -> BTreeSet<Date> {
    let counted = firm.assessment.metric(MetricId::M01).map(|m| m.days.iter().map(|day| day.date).collect());
    counted.unwrap_or_default()
}

fn days(lines: &[DayLine], m: &ModuleUse, seen: &BTreeSet<Date>) -> Vec<Day> {
    let counts = m.daily.iter().copied().chain(std::iter::repeat(0));
    lines.iter().zip(counts).map(|(line, count)| day(line, seen, m.in_view, count)).collect()
}

fn day(line: &DayLine, seen: &BTreeSet<Date>, in_view: bool, count: u32) -> Day {
    // Where M01 has no word (a day off, a day outside W), the planned minutes decide.
    let minutes = line.observed.saturating_mul(10) >= line.planned.saturating_mul(7);
    let observed = seen.contains(&line.date) || (!line.spans.is_empty() && minutes);
    Day { date: line.date, kind: kind(line), observed: observed && in_view, inside: line.in_window, count }
}

fn kind(line: &DayLine) -> DayKind {
    match line {
        DayLine { stop: Some(_), .. } => DayKind::Stop,
        DayLine { working: true, .. } => DayKind::Work,
        DayLine { calendar: Some(_), .. } => DayKind::Holiday,
        DayLine { .. } => DayKind::Rest,
    }
}

fn strips(page: &Page, firm: &Firm) -> Vec<StripPart> {
    let seen = BTreeSet::new();
    let days: Vec<Day> = firm.assessment.days.iter().map(|line| day(line, &seen, true, 0)).collect();
    firm.strips
        .iter()
        .enumerate()
        .map(|(at, source)| {
            let hours =
                days.iter().map(|day| source.days.get(&day.date).copied().unwrap_or(NO_HOURS)).collect();
            let device = firm
                .assessment
                .devices
                .iter()
                .find(|d| d.agent == Some(source.agent) && d.source == Some(source.source));
            let names = firm.names(source.agent);
            // A machine that is watched and stands in nobody's declaration is no log.
            let nameless = match source.kind {
                SourceKind::Log | SourceKind::Table | SourceKind::Syslog => page.w.business_log,
                SourceKind::Modbus | SourceKind::Opcua | SourceKind::Mqtt | SourceKind::Unspecified => {
                    page.w.undeclared_device
                }
            };
            let name = device.map_or_else(|| nameless.to_owned(), |d| d.name.clone());
            let about =
                format!("{} {}{}", page.w.source, names.source(source.source), about(page, source, device));
            let title = format!("{name} · {about}");
            StripPart {
                svg: strip(&format!("d{at}"), &title, &Strip { days: days.clone(), hours }),
                name,
                about,
            }
        })
        .collect()
}

const NO_HOURS: [Hour; 24] = [Hour { covered: 0, online: 0, active: 0 }; 24];

/// " · 在线率 97% · 日均运行 14 h", out of the assessment's own minutes.
fn about(page: &Page, source: &SourceStrip, device: Option<&DeviceStrip>) -> String {
    let w = page.w;
    let Some(device) = device else {
        return match source.kind {
            SourceKind::Log | SourceKind::Table | SourceKind::Syslog | SourceKind::Unspecified => {
                String::new()
            }
            SourceKind::Modbus | SourceKind::Opcua | SourceKind::Mqtt => format!(" · {}", w.device),
        };
    };
    let sum = |of: fn(&scorer::assessment::DeviceDay) -> u32| -> u64 {
        device.days.iter().map(|day| u64::from(of(day))).sum()
    };
    let (watched, online, running) = (sum(|d| d.watched), sum(|d| d.online), sum(|d| d.running));
    let seen = u64::try_from(device.days.iter().filter(|day| day.watched > 0).count()).unwrap_or(0);
    let mut text = format!(" · {}", if device.connected { w.connected } else { w.not_connected });
    if let Some(permille) = (online * 1000).checked_div(watched) {
        let share = u32::try_from(permille).unwrap_or(1000);
        text.push_str(&format!(" · {} {}", w.online_share, percent(f64::from(share) / 1000.0)));
    }
    if let Some(mean) = running.checked_div(seen) {
        let ms = i64::try_from(mean.saturating_mul(60_000)).unwrap_or(i64::MAX);
        text.push_str(&format!(" · {} {}", w.running_mean, span(ms)));
    }
    text
}
