//! What the scorer says of a factory, and what it should say.

use scorer::cross::Firm;
use scorer::{
    Assessment, Calendar, Cross, History, Outcome, Profile, ProfileFile, UseLevel, assess, assess_among,
};

use crate::factory::Factory;

/// Profiles of this repository by name.
fn profile(name: &str) -> Profile {
    let text = match name {
        "kunming" => include_str!("../../config/profiles/kunming.toml"),
        "changchun" => include_str!("../../config/profiles/changchun.toml"),
        "jiangmen" => include_str!("../../config/profiles/jiangmen.toml"),
        "guangzhou" => include_str!("../../config/profiles/guangzhou.toml"),
        _ => include_str!("../../config/profiles/neutral.toml"),
    };
    let file: ProfileFile = toml::from_str(text).expect("a profile of this repository reads");
    file.check(name).expect("a profile of this repository is complete")
}

fn profile_of(factory: &Factory) -> Profile {
    profile(&factory.project.profile)
}

/// Judges a factory as of the morning after its visit, beside the other firm where it has to do with one.
pub fn judge(factory: &Factory, calendar: &Calendar) -> Assessment {
    let history = crate::gateway::watch(factory);
    let Some(other) = factory.other.as_deref() else { return of_history(factory, calendar, &history) };
    let (profile, project, as_of_ms) = (profile_of(factory), &factory.project, factory.judged_ms());
    let (its_history, its_profile) = (crate::gateway::watch(other), profile_of(other));
    let firms = [
        Firm { project, profile: &profile, history: &history },
        Firm { project: &other.project, profile: &its_profile, history: &its_history },
    ];
    let latest = as_of_ms.max(other.judged_ms());
    let cross = Cross::compare(&firms, calendar, latest);
    assess_among(project, &profile, calendar, &history, as_of_ms, Some(&cross))
}

/// Judges what was seen of a factory, alone.
pub fn of_history(factory: &Factory, calendar: &Calendar, history: &History) -> Assessment {
    assess(&factory.project, &profile_of(factory), calendar, history, factory.judged_ms())
}

/// Whether a verdict accuses: R1 to R3, or U1.
pub fn accuses(verdict: &Assessment) -> bool {
    verdict.level == UseLevel::U1 || verdict.flags.iter().any(|flag| ["R1", "R2", "R3"].contains(&flag.code))
}

/// Whether a rule asks.
pub fn asks(verdict: &Assessment, id: &str) -> bool {
    verdict.findings.iter().any(|finding| finding.id == id && finding.outcome >= Outcome::Ask)
}

fn flagged(verdict: &Assessment, code: &str) -> bool {
    verdict.flags.iter().any(|flag| flag.code == code)
}

/// What gives a forgery away, in words; `None` for one that nothing is promised of.
pub fn right(class: &str) -> Option<&'static str> {
    Some(match class {
        "login-robot" | "test-accounts" => "U1",
        "sql-backdates" | "clock-back" | "copied-database" | "plc-simulator" | "replayed-week"
        | "edited-logs" => "R2",
        "eight-accounts" => "D23 asks",
        "provider" => "R4",
        "unplugged" => "D02 or D06 asks",
        "re-badged" => "R1",
        "month-end-entry" => "D24 asks, or U1 or U2",
        "show" => "R3",
        "time-zone" => "D05 asks",
        _ => return None,
    })
}

/// Whether a forgery was found by what should find it.
pub fn found(class: &str, verdict: &Assessment) -> bool {
    let level = verdict.level;
    match class {
        "login-robot" | "test-accounts" => level == UseLevel::U1,
        "sql-backdates" | "clock-back" | "copied-database" | "plc-simulator" | "replayed-week"
        | "edited-logs" => flagged(verdict, "R2"),
        "eight-accounts" => asks(verdict, "D23"),
        "provider" => flagged(verdict, "R4"),
        "unplugged" => asks(verdict, "D02") || asks(verdict, "D06"),
        "re-badged" => flagged(verdict, "R1"),
        "month-end-entry" => asks(verdict, "D24") || matches!(level, UseLevel::U1 | UseLevel::U2),
        "show" => flagged(verdict, "R3"),
        "time-zone" => asks(verdict, "D05"),
        _ => flagged(verdict, "R2"),
    }
}
