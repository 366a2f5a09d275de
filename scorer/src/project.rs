//! One firm's contract: what was declared, when it works, and the dates a verdict stands on.

use std::collections::BTreeSet;

use jiff::civil::{Date, Weekday};
use proof::AgentId;
use proof::catalogue::module_name;
use serde::Deserialize;

use crate::complaint::{Complaint, Complaints};

/// A checked project.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// Firm id: the file's name without its ending.
    pub id: String,
    /// Name in Chinese.
    pub name_zh: String,
    /// Name in English; empty when none was given.
    pub name_en: String,
    /// District, as officers filter by it.
    pub district: String,
    /// City.
    pub city: String,
    /// Name of the profile.
    pub profile: String,
    /// Gateways of the firm.
    pub agents: Vec<AgentId>,
    /// Declared modules: contract line items.
    pub modules: Vec<DeclaredModule>,
    /// Declared production devices.
    pub devices: Vec<DeclaredDevice>,
    /// Declared seats.
    pub seats: u32,
    /// Shifts; at least one.
    pub shifts: Vec<Shift>,
    /// Days of the week that are worked, where the calendar says nothing else.
    pub week: Week,
    /// Declared stops, with reason. They stay visible.
    pub stops: Vec<Stop>,
    /// Days on which old data was brought in (期初导入): what was first seen on them is no sign of late entry.
    pub imports: Vec<Stop>,
    /// Business anchors: how much business there was, by papers that are not the system's.
    pub anchors: Vec<Anchor>,
    /// Trainings held.
    pub trainings: Vec<Training>,
    /// First and last day of a subscription, where one was bought.
    pub subscription: Option<(Date, Date)>,
    /// Drills held on site.
    pub drills: Vec<Drill>,
    /// The dates.
    pub dates: Dates,
    /// Minutes the firm's clocks are ahead of UTC: 480 in China.
    pub utc_offset_minutes: i32,
}

/// A contract line item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredModule {
    /// Code name of [`proof::catalogue::MODULES`].
    pub code: String,
    /// As the contract names it.
    pub zh: String,
    /// A core module (★): the firm's level is no better than the worst of them, see `judge`.
    pub star: bool,
}

/// A declared production device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredDevice {
    /// As the firm names it.
    pub name: String,
    /// Gateway and index in its manifest; `None` for a device that is not connected.
    pub source: Option<(AgentId, u32)>,
    /// Counted as digital.
    pub digital: bool,
    /// Declared as connected.
    pub declared_networked: bool,
}

/// One shift. It belongs to the day it begins on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    /// `白班`.
    pub name: String,
    /// Begin, minute of the day, 0 to 1439.
    pub from: u16,
    /// End, minutes after the begin day's midnight; past 1440 for a night shift, at most 24 hours after `from`.
    pub to: u16,
    /// Days of the week it begins on.
    pub week: Week,
}

/// A set of days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Week(u8);

impl Week {
    /// Monday to Friday.
    pub const FIVE: Self = Self(0b001_1111);
    /// Monday to Saturday.
    pub const SIX: Self = Self(0b011_1111);
    /// Every day.
    pub const SEVEN: Self = Self(0b111_1111);

    /// Whether it holds this day.
    pub fn has(self, day: Weekday) -> bool {
        self.0 & (1 << day.to_monday_zero_offset()) != 0
    }
}

/// A declared stop, both days included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// First day.
    pub from: Date,
    /// Last day.
    pub to: Date,
    /// 停产, 检修, 淡季 …
    pub reason: String,
}

/// A business anchor 业务量锚, both days included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Code name of the module whose documents it is compared with.
    pub module: String,
    /// First day.
    pub from: Date,
    /// Last day.
    pub to: Date,
    /// How many: shipments, invoices, lots.
    pub count: u64,
    /// What was counted: 送货单（纸质存根）.
    pub of: String,
}

/// A training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Training {
    /// The day.
    pub date: Date,
    /// People trained.
    pub people: u32,
    /// What it was about.
    pub topic: String,
}

/// A drill on site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drill {
    /// What was tried.
    pub kind: DrillKind,
    /// The day.
    pub date: Date,
    /// Whether it came out as it should.
    pub passed: bool,
    /// Who held it, and what was seen.
    pub note: String,
}

/// What is tried on site: the drills A to D of the method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrillKind {
    /// A: a past record is opened on the gateway and checked against what was committed.
    Opening,
    /// B: a fresh document is keyed in and must be in the next window.
    FreshRecord,
    /// C: a machine is started or stopped and its strip must follow.
    Machine,
    /// D: a document out of the record is looked up in the system by somebody of the firm.
    LookUp,
}

/// The dates of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dates {
    /// Contract signed.
    pub contract: Date,
    /// Change finished.
    pub completion: Date,
    /// Handed over by the provider, where it is another day than the completion.
    pub hand_over: Option<Date>,
    /// The visit was announced.
    pub notice: Option<Date>,
    /// Acceptance visit; `None` while it is not fixed.
    pub acceptance: Option<Date>,
}

/// `projects/*.toml` as it stands in the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct ProjectFile {
    pub name_zh: Option<String>,
    pub name_en: Option<String>,
    pub district: Option<String>,
    pub city: Option<String>,
    pub profile: Option<String>,
    #[serde(default)]
    pub agents: Vec<String>,
    pub seats: Option<u32>,
    #[serde(default)]
    pub week: Vec<String>,
    pub utc_offset_minutes: Option<i32>,
    #[serde(default)]
    pub modules: Vec<ModuleFile>,
    #[serde(default)]
    pub devices: Vec<DeviceFile>,
    #[serde(default)]
    pub shifts: Vec<ShiftFile>,
    #[serde(default)]
    pub stops: Vec<StopFile>,
    #[serde(default)]
    pub imports: Vec<StopFile>,
    #[serde(default)]
    pub anchors: Vec<AnchorFile>,
    #[serde(default)]
    pub trainings: Vec<TrainingFile>,
    pub subscription: Option<SubscriptionFile>,
    #[serde(default)]
    pub drills: Vec<DrillFile>,
    #[serde(default)]
    pub dates: DatesFile,
}

/// One `[[modules]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct ModuleFile {
    pub code: Option<String>,
    pub zh: Option<String>,
    #[serde(default)]
    pub star: bool,
}

/// One `[[devices]]`. `agent` may be left out where the firm has one gateway.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct DeviceFile {
    pub name: Option<String>,
    pub agent: Option<String>,
    pub source: Option<u32>,
    #[serde(default)]
    pub digital: bool,
    #[serde(default)]
    pub networked: bool,
}

/// One `[[shifts]]`: times are written `"08:00"`; a `to` not after `from` lies on the next day.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct ShiftFile {
    pub name: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    #[serde(default)]
    pub week: Vec<String>,
}

/// One `[[stops]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct StopFile {
    pub from: Option<String>,
    pub to: Option<String>,
    pub reason: Option<String>,
}

/// One `[[anchors]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct AnchorFile {
    pub module: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub count: Option<u64>,
    pub of: Option<String>,
}

/// One `[[trainings]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct TrainingFile {
    pub date: Option<String>,
    pub people: Option<u32>,
    pub topic: Option<String>,
}

/// `[subscription]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct SubscriptionFile {
    pub from: Option<String>,
    pub to: Option<String>,
}

/// One `[[drills]]`: `drill` is `opening`, `fresh_record`, `machine` or `look_up`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct DrillFile {
    pub drill: Option<String>,
    pub date: Option<String>,
    pub passed: Option<bool>,
    pub note: Option<String>,
}

/// `[dates]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "keys of a file; the checked struct says what they mean")]
pub struct DatesFile {
    pub contract: Option<String>,
    pub completion: Option<String>,
    pub hand_over: Option<String>,
    pub notice: Option<String>,
    pub acceptance: Option<String>,
}

impl ProjectFile {
    /// The checked project of the firm `id`.
    ///
    /// # Errors
    /// All complaints.
    pub fn check(self, id: &str) -> Result<Project, Vec<Complaint>> {
        let mut complaints = Complaints::default();
        let c = &mut complaints;
        let week = check_week("week", &self.week, Week::FIVE, c);
        let agents = check_agents(&self.agents, c);
        let modules = check_modules(self.modules, c);
        let devices = check_devices(self.devices, &agents, c);
        let shifts = check_shifts(self.shifts, week, c);
        let stops = check_stops("stops", self.stops, c);
        let imports = check_stops("imports", self.imports, c);
        let anchors = check_anchors(self.anchors, &modules, c);
        let trainings = check_trainings(self.trainings, c);
        let subscription =
            self.subscription.and_then(|file| check_span("subscription", file.from, file.to, c));
        let drills = check_drills(self.drills, c);
        let dates = self.dates.check(c);
        let project = dates.map(|dates| Project {
            id: id.to_owned(),
            name_zh: c.text("name_zh", self.name_zh),
            name_en: self.name_en.unwrap_or_default(),
            district: c.text("district", self.district),
            city: c.text("city", self.city),
            profile: self.profile.unwrap_or_else(|| "neutral".to_owned()),
            agents,
            modules,
            devices,
            seats: c.number("seats", self.seats, 0, 0, 100_000),
            shifts,
            week,
            stops,
            imports,
            anchors,
            trainings,
            subscription,
            drills,
            dates,
            utc_offset_minutes: c.number("utc_offset_minutes", self.utc_offset_minutes, 480, -720, 840),
        });
        complaints.or(project)
    }
}

fn check_agents(texts: &[String], c: &mut Complaints) -> Vec<AgentId> {
    let mut agents = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        match text.parse::<AgentId>() {
            Ok(agent) if agents.contains(&agent) => c.add(format!("agents[{at}]"), "is named twice"),
            Ok(agent) => agents.push(agent),
            Err(error) => c.add(format!("agents[{at}]"), error.to_string()),
        }
    }
    agents
}

fn check_modules(files: Vec<ModuleFile>, c: &mut Complaints) -> Vec<DeclaredModule> {
    let mut seen = BTreeSet::new();
    let mut modules = Vec::new();
    if files.is_empty() {
        c.add("modules", "is empty: without declared modules nothing can be said of use");
    }
    for (at, file) in files.into_iter().enumerate() {
        let path = format!("modules[{at}].code");
        let code = c.text(&path, file.code);
        let Some(known) = module_name(&code) else {
            if !code.is_empty() {
                c.add(path, format!("`{code}` is not in the catalogue of modules"));
            }
            continue;
        };
        if !seen.insert(code.clone()) {
            c.add(path, format!("`{code}` is declared twice; one module belongs to one contract"));
        }
        modules.push(DeclaredModule {
            zh: file.zh.unwrap_or_else(|| known.zh.to_owned()),
            code,
            star: file.star,
        });
    }
    modules
}

fn check_devices(files: Vec<DeviceFile>, agents: &[AgentId], c: &mut Complaints) -> Vec<DeclaredDevice> {
    let mut devices: Vec<DeclaredDevice> = Vec::new();
    for (at, file) in files.into_iter().enumerate() {
        let path = format!("devices[{at}]");
        let agent = match file.agent {
            Some(text) => text.parse::<AgentId>().ok().filter(|agent| agents.contains(agent)),
            None if agents.len() == 1 => agents.first().copied(),
            None => None,
        };
        let source = match (file.source, agent) {
            (None, _) => None,
            (Some(source), Some(agent)) if (1..=10_000).contains(&source) => Some((agent, source)),
            (Some(_), Some(_)) => {
                c.add(format!("{path}.source"), "is outside 1 to 10000");
                None
            }
            (Some(_), None) => {
                c.add(format!("{path}.agent"), "must be one of this project's agents");
                None
            }
        };
        if source.is_some() && devices.iter().any(|device| device.source == source) {
            c.add(format!("{path}.source"), "is already another device's");
        }
        devices.push(DeclaredDevice {
            name: c.text(&format!("{path}.name"), file.name),
            source,
            digital: file.digital,
            declared_networked: file.networked,
        });
    }
    devices
}

fn check_shifts(files: Vec<ShiftFile>, week: Week, c: &mut Complaints) -> Vec<Shift> {
    if files.is_empty() {
        c.add("shifts", "is empty: planned minutes need at least one shift");
    }
    let mut shifts = Vec::new();
    for (at, file) in files.into_iter().enumerate() {
        let path = format!("shifts[{at}]");
        let name = c.text(&format!("{path}.name"), file.name);
        let days = check_week(&format!("{path}.week"), &file.week, week, c);
        let from = check_time(&format!("{path}.from"), file.from, c);
        let to = check_time(&format!("{path}.to"), file.to, c);
        if let (Some(from), Some(to)) = (from, to) {
            let to = if to <= from { to + 1_440 } else { to };
            shifts.push(Shift { name, from: from % 1_440, to, week: days });
        }
    }
    shifts
}

fn check_time(path: &str, text: Option<String>, c: &mut Complaints) -> Option<u16> {
    let text = c.need(path, text)?;
    let parsed = text.split_once(':').and_then(|(hour, minute)| {
        let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
        ((hour < 24 && minute < 60) || (hour == 24 && minute == 0)).then_some(hour * 60 + minute)
    });
    if parsed.is_none() {
        c.add(path, format!("`{text}` is not a time of day; write it like \"08:00\""));
    }
    parsed
}

fn check_week(path: &str, days: &[String], default: Week, c: &mut Complaints) -> Week {
    if days.is_empty() {
        return default;
    }
    let mut week = Week(0);
    for day in days {
        match ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].iter().position(|name| name == day) {
            Some(at) => week.0 |= 1 << at,
            None => c.add(path, format!("`{day}` is not one of mon, tue, wed, thu, fri, sat, sun")),
        }
    }
    week
}

fn check_stops(list: &str, files: Vec<StopFile>, c: &mut Complaints) -> Vec<Stop> {
    let mut stops = Vec::new();
    for (at, file) in files.into_iter().enumerate() {
        let path = format!("{list}[{at}]");
        let reason = c.text(&format!("{path}.reason"), file.reason);
        if let Some((from, to)) = check_span(&path, file.from, file.to, c) {
            stops.push(Stop { from, to, reason });
        }
    }
    stops
}

/// First and last day.
fn check_span(
    path: &str,
    from: Option<String>,
    to: Option<String>,
    c: &mut Complaints,
) -> Option<(Date, Date)> {
    let from = c.need(&format!("{path}.from"), from);
    let from = c.date(&format!("{path}.from"), from);
    let to = c.need(&format!("{path}.to"), to);
    let to = c.date(&format!("{path}.to"), to);
    let (from, to) = from.zip(to)?;
    if to < from {
        c.add(format!("{path}.to"), format!("{to} is before {from}"));
    }
    Some((from, to))
}

fn check_anchors(files: Vec<AnchorFile>, modules: &[DeclaredModule], c: &mut Complaints) -> Vec<Anchor> {
    let mut anchors = Vec::new();
    for (at, file) in files.into_iter().enumerate() {
        let path = format!("anchors[{at}]");
        let module = c.text(&format!("{path}.module"), file.module);
        if !module.is_empty() && !modules.iter().any(|declared| declared.code == module) {
            c.add(format!("{path}.module"), format!("`{module}` is not one of the declared modules"));
        }
        let of = c.text(&format!("{path}.of"), file.of);
        let count = c.need(&format!("{path}.count"), file.count).unwrap_or_default();
        if count == 0 || count > 10_000_000 {
            c.add(format!("{path}.count"), "must be 1 to 10000000");
        }
        if let Some((from, to)) = check_span(&path, file.from, file.to, c) {
            anchors.push(Anchor { module, from, to, count, of });
        }
    }
    anchors
}

fn check_trainings(files: Vec<TrainingFile>, c: &mut Complaints) -> Vec<Training> {
    let mut trainings = Vec::new();
    for (at, file) in files.into_iter().enumerate() {
        let path = format!("trainings[{at}]");
        let date = c.need(&format!("{path}.date"), file.date);
        let date = c.date(&format!("{path}.date"), date);
        let people = c.need(&format!("{path}.people"), file.people).unwrap_or_default();
        if !(1..=100_000).contains(&people) {
            c.add(format!("{path}.people"), "must be 1 to 100000");
        }
        let topic = c.text(&format!("{path}.topic"), file.topic);
        trainings.extend(date.map(|date| Training { date, people, topic }));
    }
    trainings
}

fn check_drills(files: Vec<DrillFile>, c: &mut Complaints) -> Vec<Drill> {
    let mut drills = Vec::new();
    for (at, file) in files.into_iter().enumerate() {
        let path = format!("drills[{at}]");
        let text = c.text(&format!("{path}.drill"), file.drill);
        let kind = match text.as_str() {
            "opening" => Some(DrillKind::Opening),
            "fresh_record" => Some(DrillKind::FreshRecord),
            "machine" => Some(DrillKind::Machine),
            "look_up" => Some(DrillKind::LookUp),
            "" => None,
            other => {
                let known = "opening, fresh_record, machine, look_up";
                c.add(format!("{path}.drill"), format!("`{other}` is not one of {known}"));
                None
            }
        };
        let date = c.need(&format!("{path}.date"), file.date);
        let date = c.date(&format!("{path}.date"), date);
        let passed = c.need(&format!("{path}.passed"), file.passed);
        let note = c.text(&format!("{path}.note"), file.note);
        if let (Some(kind), Some(date), Some(passed)) = (kind, date, passed) {
            drills.push(Drill { kind, date, passed, note });
        }
    }
    drills
}

impl DatesFile {
    fn check(self, c: &mut Complaints) -> Option<Dates> {
        let contract = c.need("dates.contract", self.contract);
        let contract = c.date("dates.contract", contract);
        let completion = c.need("dates.completion", self.completion);
        let completion = c.date("dates.completion", completion);
        let hand_over = c.date("dates.hand_over", self.hand_over);
        let notice = c.date("dates.notice", self.notice);
        let acceptance = c.date("dates.acceptance", self.acceptance);
        let (contract, completion) = (contract?, completion?);
        let after = |c: &mut Complaints, path: &str, date: Option<Date>, than: Date, name: &str| {
            if let Some(date) = date.filter(|date| *date < than) {
                c.add(path, format!("{date} is before the {name} date {than}"));
            }
        };
        after(c, "dates.completion", Some(completion), contract, "contract");
        after(c, "dates.hand_over", hand_over, contract, "contract");
        after(c, "dates.notice", notice, contract, "contract");
        after(c, "dates.acceptance", acceptance, notice.unwrap_or(contract), "notice or contract");
        Some(Dates { contract, completion, hand_over, notice, acceptance })
    }
}
