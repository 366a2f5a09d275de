//! What [`crate::assess`] says of one firm. Plain data for pages, papers and the API; nothing here decides anything.
//!
//! Every number opens: a [`Metric`] lists the days it counted, a day lists the ledger entries ([`Span`]) behind it.

use jiff::civil::Date;
use proof::{AgentId, Cause};

mod measure;

pub use measure::{DayFact, Metric, MetricId, Status, Unit};

/// A sentence in both languages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Text {
    /// Chinese: what is printed first.
    pub zh: String,
    /// English.
    pub en: String,
}

impl Text {
    /// Both languages.
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into() }
    }
}

/// Everything said of one firm at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// Firm id of the project.
    pub firm: String,
    /// The word on top: R2, else R1, else the use level. R1 and R2 are not raised by this version.
    pub headline: Headline,
    /// Beside the headline, where a number alone would mislead: "上线时间短，趋势良好".
    pub trend: Option<Text>,
    /// Marks printed with the headline: 历史回采, 迟交, 分叉待查 and the like.
    pub marks: Vec<Text>,
    /// The evaluation period W.
    pub window: EvaluationPeriod,
    /// How much of W was observed.
    pub coverage: Coverage,
    /// Grades and origins of what was seen.
    pub evidence: EvidenceMix,
    /// Under which parameters.
    pub profile: ProfileStamp,
    /// Axis 1 for the firm.
    pub level: UseLevel,
    /// Each condition of the rule that gave the level, with the value found.
    pub level_because: Vec<Text>,
    /// Axis 1 for each declared module, in the project's order, with its heat map row.
    pub modules: Vec<ModuleUse>,
    /// All metrics, in the order of their ids.
    pub metrics: Vec<Metric>,
    /// What the detection rules found, in the order of their ids.
    pub findings: Vec<crate::rules::Finding>,
    /// Axis 2. Printed under the headline; a flag is a question, not a finding.
    pub flags: Vec<Flag>,
    /// The strongest facts for real use, at most three, strongest first.
    pub facts_for: Vec<Fact>,
    /// The strongest facts against, at most three, strongest first.
    pub facts_against: Vec<Fact>,
    /// One per calendar day shown (at most [`MAX_DAYS`]), oldest first. The rows of [`ModuleUse::daily`] and
    /// [`DeviceStrip::days`] have the same length and order.
    pub days: Vec<DayLine>,
    /// One per declared device.
    pub devices: Vec<DeviceStrip>,
    /// Holes in what was observed, with cause, oldest first.
    pub gaps: Vec<GapLine>,
    /// Accounts whose actions do not count, and why.
    pub excluded: Vec<ExcludedAccounts>,
    /// What limits this assessment: unmapped modules, missing rows, odd clocks.
    pub notes: Vec<Text>,
}

/// Days an assessment shows at most: a little more than the longest profile window and half a year before it.
pub const MAX_DAYS: usize = 400;

/// Printed with every headline.
pub const DISCLAIMER: (&str, &str) = (
    "本结论为机器证据提示，不代替专家验收结论",
    "this is a hint from machine evidence and does not replace the experts' decision",
);

impl Assessment {
    /// The metric with this id.
    pub fn metric(&self, id: MetricId) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.id == id)
    }
}

/// The word on top, in the order they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Headline {
    /// R2.
    Fabrication,
    /// R1.
    OldWine,
    /// U1.
    BuiltUnused,
    /// U0.
    TooLittleData,
    /// U2.
    LittleUsed,
    /// U3.
    RealUse,
}

impl Headline {
    /// In Chinese.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::Fabrication => "数据造假嫌疑",
            Self::OldWine => "新瓶装旧酒嫌疑",
            Self::BuiltUnused => "建而不用",
            Self::TooLittleData => "数据不足",
            Self::LittleUsed => "低频使用",
            Self::RealUse => "真实在用",
        }
    }

    /// In English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::Fabrication => "suspected fabrication",
            Self::OldWine => "suspected old system in new clothes",
            Self::BuiltUnused => "built, not used",
            Self::TooLittleData => "too little data",
            Self::LittleUsed => "little used",
            Self::RealUse => "in real use",
        }
    }
}

/// Axis 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UseLevel {
    /// 数据不足.
    U0,
    /// 建而不用.
    U1,
    /// 低频使用.
    U2,
    /// 真实在用.
    U3,
}

impl UseLevel {
    /// `U0` to `U3`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::U0 => "U0",
            Self::U1 => "U1",
            Self::U2 => "U2",
            Self::U3 => "U3",
        }
    }

    /// The headline when no flag stands above it.
    pub const fn headline(self) -> Headline {
        match self {
            Self::U0 => Headline::TooLittleData,
            Self::U1 => Headline::BuiltUnused,
            Self::U2 => Headline::LittleUsed,
            Self::U3 => Headline::RealUse,
        }
    }
}

/// The evaluation period W, both days included.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationPeriod {
    /// First day.
    pub from: Date,
    /// Last day: the visit's, or the last whole day before the assessment.
    pub to: Date,
    /// Why it begins there.
    pub begins: Text,
    /// Planned working days in it, declared stops taken out.
    pub working_days: u32,
    /// Of these, the ones observed well enough to count.
    pub observed_days: u32,
    /// Days of declared stops that would have been working days.
    pub stopped_days: u32,
}

/// Minutes observed of minutes planned, in W.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Coverage {
    /// Planned minutes of W.
    pub planned: u64,
    /// Planned minutes in which the worst-covered log of a declared module was readable, live or afterwards.
    pub observed: u64,
    /// Of these, the ones of grade A or B or read back from the log: what an accusation may stand on.
    pub decisive: u64,
    /// Each source.
    pub sources: Vec<SourceCoverage>,
}

impl Coverage {
    /// Observed share, 0 to 1; 0 where nothing was planned.
    pub fn share(&self) -> f64 {
        ratio(self.observed, self.planned)
    }

    /// Decisive share, 0 to 1.
    pub fn decisive_share(&self) -> f64 {
        ratio(self.decisive, self.planned)
    }
}

/// Coverage of one source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceCoverage {
    /// Which gateway.
    pub agent: AgentId,
    /// Index in its manifest.
    pub source: u32,
    /// A log or table of business records, not a machine.
    pub is_log: bool,
    /// Planned minutes of W.
    pub planned: u64,
    /// Of these observed.
    pub observed: u64,
}

/// Grades and origins of key actions and windows in W.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EvidenceMix {
    /// Windows of grade A, B, C, D that start in W.
    pub windows: [u64; 4],
    /// Human key actions of grade A, B, C, D dated in W.
    pub actions: [u64; 4],
    /// Human key actions seen live.
    pub live: u64,
    /// Read later from log or table.
    pub backfill: u64,
    /// Typed in. Never decide.
    pub declared: u64,
}

/// Which profile was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileStamp {
    /// File name without its ending: `kunming`.
    pub name: String,
    /// On paper.
    pub title: Text,
    /// Version.
    pub version: String,
    /// Where its numbers come from: "proposal" unless a city has decided.
    pub origin: String,
}

/// A run of ledger entries of one gateway, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Which gateway.
    pub agent: AgentId,
    /// First sequence number.
    pub first: u64,
    /// Last sequence number.
    pub last: u64,
}

/// A sentence that can be checked by hand, with what it stands on.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// The metric it says in words, where it is one.
    pub metric: Option<MetricId>,
    /// 0 to 1000: how far from the nearest threshold. Only for ordering.
    pub strength: u32,
    /// The sentence.
    pub text: Text,
    /// The days behind it, oldest first.
    pub days: Vec<DayFact>,
}

/// Axis 2: R3 to R5 in this version.
#[derive(Debug, Clone, PartialEq)]
pub struct Flag {
    /// `R3`.
    pub code: &'static str,
    /// Name: 突击使用嫌疑.
    pub name: Text,
    /// What raised it: two or more, from different sources.
    pub indicators: Vec<Indicator>,
    /// What the firm can file and what the flag does not say.
    pub advice: Text,
}

/// One indicator of a flag.
#[derive(Debug, Clone, PartialEq)]
pub struct Indicator {
    /// The metric, where it is one.
    pub metric: Option<MetricId>,
    /// The sentence.
    pub text: Text,
    /// What kind of observation it comes from: 动作日期, 账号, 动作数量.
    pub source: Text,
    /// The days behind it.
    pub days: Vec<DayFact>,
}

/// One declared module.
#[derive(Debug, Clone, PartialEq)]
pub struct ModuleUse {
    /// Code name of the catalogue.
    pub code: String,
    /// As the project names it, and the catalogue's English.
    pub name: Text,
    /// A ★ module: the firm's level cannot stand above it.
    pub star: bool,
    /// Its level.
    pub level: UseLevel,
    /// Why, in one sentence.
    pub because: Text,
    /// A log of the manifest carries it.
    pub in_view: bool,
    /// Observed share of planned minutes, 0 to 1.
    pub coverage: f64,
    /// Human key actions in W.
    pub key_actions: u64,
    /// Working days of W with one.
    pub active_days: u32,
    /// Observed working days of W.
    pub observed_days: u32,
    /// Human accounts seen in W.
    pub accounts: u32,
    /// Key actions of each day of [`Assessment::days`].
    pub daily: Vec<u32>,
}

/// One calendar day.
#[derive(Debug, Clone, PartialEq)]
pub struct DayLine {
    /// The day.
    pub date: Date,
    /// It lies in W.
    pub in_window: bool,
    /// A planned working day that no stop covers.
    pub working: bool,
    /// The declared stop it lies in.
    pub stop: Option<String>,
    /// Name of the statutory holiday, or 调休.
    pub calendar: Option<String>,
    /// Planned minutes.
    pub planned: u32,
    /// Planned minutes observed, by the worst-covered log of a declared module.
    pub observed: u32,
    /// Planned minutes in which the gateway itself ran.
    pub gateway: u32,
    /// Human key actions in declared modules.
    pub key_actions: u32,
    /// Ledger entries of the day.
    pub spans: Vec<Span>,
}

/// One declared device over the days of the assessment.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceStrip {
    /// As the project names it.
    pub name: String,
    /// Which gateway.
    pub agent: Option<AgentId>,
    /// Index in its manifest.
    pub source: Option<u32>,
    /// Declared as digital.
    pub digital: bool,
    /// Declared as connected.
    pub declared_networked: bool,
    /// Counted as connected by M14.
    pub connected: bool,
    /// Each day of [`Assessment::days`].
    pub days: Vec<DeviceDay>,
}

/// One device on one day, minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceDay {
    /// Planned.
    pub planned: u32,
    /// Planned and observed by the gateway: the denominator of M15.
    pub watched: u32,
    /// Of the watched ones, online.
    pub online: u32,
    /// Minutes of the whole day in which its running point said that it worked.
    pub running: u32,
}

/// One hole in what was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapLine {
    /// Which gateway.
    pub agent: AgentId,
    /// Index in its manifest; `None` for the whole gateway.
    pub source: Option<u32>,
    /// From, Unix ms.
    pub from_ms: i64,
    /// To, Unix ms.
    pub to_ms: i64,
    /// Why, as the gateway said; [`Cause::Unknown`] for an undeclared silence.
    pub cause: Cause,
    /// No record of the gateway declares it.
    pub undeclared: bool,
    /// Planned minutes inside.
    pub planned: u32,
    /// Ledger entries that say so, or that stand on both sides.
    pub span: Span,
}

/// Accounts whose actions do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExcludedAccounts {
    /// Why: 测试账号, 实施方账号, 接口账号 …
    pub reason: Text,
    /// How many accounts.
    pub accounts: u32,
    /// Their key actions in W.
    pub key_actions: u64,
}

/// `part / whole`, 0 where `whole` is 0.
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
