//! The firms of the plant: invented names on real recordings.
//!
//! Each firm takes its own stretch of the steel recording, so that no two machines show the same weeks; where two
//! stretches would meet, their machines take different readings of them (every n-th, another phase).

use jiff::civil::Date;

use super::forms::Form;
use super::logfile::{Encoding, Rotation};
use super::machine::{MachineSpec, Take};
use super::opcua::Access;
use crate::recordings::midnight_ms;

/// How the people of a firm use what was built for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// In use from the first days, by all who work, while the machines run.
    Honest,
    /// Built and unused: administrators look in, a few test entries at the start.
    Shelfware,
    /// Next to nothing for weeks, then two busy weeks before the visit, by one or two accounts.
    Staged,
    /// As honest, but only since this day.
    LateGoLive(Date),
    /// As honest, in a firm with three documents a day and two people.
    SmallHonest,
    /// As honest, with a declared stop: first day, and first day of work again.
    SeasonalStop(Date, Date),
}

/// What a person does in the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reports what was made.
    Operator,
    /// Enters inspections.
    Inspector,
    /// Releases work orders and books finished goods.
    Planner,
    /// Runs the system; not part of the use.
    Admin,
    /// Of the firm that installed the system.
    Provider,
    /// An account for trying things out.
    Test,
}

/// An account and where it sits.
#[derive(Debug, Clone)]
pub struct Account {
    /// Name it logs in with.
    pub login: &'static str,
    /// Number of it in systems that log numbers.
    pub number: u32,
    /// What it does.
    pub role: Role,
    /// Index of its shift.
    pub shift: usize,
    /// Address of its terminal.
    pub ip: &'static str,
    /// Name of its terminal.
    pub terminal: &'static str,
    /// Department, in Chinese.
    pub department: &'static str,
}

/// A shift, in minutes of the local day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// Name, in Chinese.
    pub name: &'static str,
    /// First minute.
    pub from: u16,
    /// First minute after it; at most 1,440.
    pub to: u16,
}

/// A module of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Module {
    /// 工单管理, work orders.
    Orders,
    /// 生产报工, production reports.
    Reports,
    /// 质量检验, inspections.
    Quality,
    /// 完工入库, finished goods.
    Stock,
}

impl Module {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Orders, Self::Reports, Self::Quality, Self::Stock];

    /// Its code in the catalogue.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Orders => "work_order",
            Self::Reports => "production_report",
            Self::Quality => "quality",
            Self::Stock => "stock",
        }
    }

    /// Its name in the contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Orders => "工单管理",
            Self::Reports => "生产报工",
            Self::Quality => "质量检验",
            Self::Stock => "完工入库",
        }
    }
}

/// How a machine is reached.
#[derive(Debug, Clone)]
pub enum Line {
    /// Modbus TCP with this unit id.
    Modbus(u8),
    /// OPC UA.
    OpcUa(Access),
}

/// A machine and how it is reached.
#[derive(Debug, Clone)]
pub struct Device {
    /// Name of the source, also its tag in OPC UA.
    pub tag: &'static str,
    /// Name, in Chinese.
    pub name: &'static str,
    /// What it is made of.
    pub machine: MachineSpec,
    /// How it is reached.
    pub line: Line,
}

/// What a log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// The deeds of these modules, and log-ins.
    Deeds(Vec<Module>),
    /// Every request that came in over the web, without saying who.
    Requests,
}

/// A log file.
#[derive(Debug, Clone)]
pub struct Log {
    /// Name of the source.
    pub id: &'static str,
    /// File name in the firm's folder.
    pub file: &'static str,
    /// Form of its lines.
    pub form: Form,
    /// Encoding of its text.
    pub encoding: Encoding,
    /// How it is put aside.
    pub rotation: Rotation,
    /// What stands in it.
    pub holds: Holds,
}

/// One firm.
#[derive(Debug, Clone)]
pub struct Firm {
    /// Short id, for files and folders.
    pub id: &'static str,
    /// Its name. Invented.
    pub name: &'static str,
    /// What its people do.
    pub conduct: Conduct,
    /// Seed of its people's rhythm.
    pub seed: u64,
    /// First day of its calendar here, 00:00 China Standard Time.
    pub start: Date,
    /// Day of the acceptance visit; nothing is planned from its midnight on.
    pub acceptance: Date,
    /// Machines.
    pub devices: Vec<Device>,
    /// Logs.
    pub logs: Vec<Log>,
    /// Shifts of a working day.
    pub shifts: Vec<Shift>,
    /// Accounts.
    pub accounts: Vec<Account>,
    /// Modules of the contract.
    pub modules: Vec<Module>,
}

impl Firm {
    /// Day of the contract: 240 days before the first day here.
    pub fn contract(&self) -> Date {
        before(self.start, 240)
    }

    /// Day the provider declared the work complete: two days before the first day here.
    pub fn completion(&self) -> Date {
        before(self.start, 2)
    }

    /// The declared stop, first day and first day of work again.
    pub fn stop(&self) -> Option<(Date, Date)> {
        match self.conduct {
            Conduct::SeasonalStop(from, to) => Some((from, to)),
            Conduct::Honest
            | Conduct::Shelfware
            | Conduct::Staged
            | Conduct::LateGoLive(_)
            | Conduct::SmallHonest => None,
        }
    }

    /// Seats of the contract: accounts of the firm's own people.
    pub fn seats(&self) -> usize {
        self.accounts.iter().filter(|account| account.role <= Role::Planner).count()
    }
}

fn before(date: Date, days: i32) -> Date {
    date.saturating_sub(jiff::Span::new().days(days))
}

const DAY: Shift = Shift { name: "早班", from: 8 * 60, to: 16 * 60 };
const EVENING: Shift = Shift { name: "中班", from: 16 * 60, to: 22 * 60 };
const WHOLE_DAY: Shift = Shift { name: "白班", from: 8 * 60, to: 17 * 60 };

/// The one of the demo's firms that has one machine and one log that many write to, at work for sixty days.
pub fn one_machine_and_one_log(start: Date) -> Firm {
    let firms = demo_firms(start, start.saturating_add(jiff::Span::new().days(60)));
    firms.into_iter().find(|firm| firm.id == "jijie").expect("the demo has it")
}

/// The six firms of the demo, from the midnight of `start` to that of `acceptance`. `start` should be a Wednesday:
/// the recordings' holidays then fall where the firms expect them.
pub fn demo_firms(start: Date, acceptance: Date) -> Vec<Firm> {
    let firm = |id, name, conduct, seed| Firm {
        id,
        name,
        conduct,
        seed,
        start,
        acceptance,
        devices: Vec::new(),
        logs: Vec::new(),
        shifts: vec![DAY, EVENING],
        accounts: crew(),
        modules: Module::ALL.to_vec(),
    };
    let stop = (start.saturating_add(days(21)), start.saturating_add(days(31)));
    vec![
        Firm {
            devices: vec![
                modbus("press1", "一号压力机", take(9, 2, 0), 8, 1).warm(take(0, 2, 0)),
                secured("furnace1", "一号加热炉", take(9, 2, 1), 6),
            ],
            logs: vec![
                mes(vec![Module::Orders, Module::Reports, Module::Quality]),
                kingdee(vec![Module::Stock]),
                web(),
            ],
            ..firm("shifan", "江门市示范电机有限公司", Conduct::Honest, 11)
        },
        Firm {
            devices: vec![
                modbus("lathe1", "一号车床", take(0, 2, 0), 10, 1),
                modbus("lathe2", "二号车床", take(0, 2, 1), 10, 2),
            ],
            logs: vec![mes(Module::ALL.to_vec())],
            ..firm("yangli", "江门市样例五金制品有限公司", Conduct::Shelfware, 22)
        },
        Firm {
            devices: vec![
                modbus("line1", "一号包装线", take(36, 2, 0), 12, 1),
                open("line2", "二号包装线", take(36, 2, 1), 12),
            ],
            logs: vec![ruoyi(Module::ALL.to_vec())],
            ..firm("yanshi", "江门市演示包装有限公司", Conduct::Staged, 33)
        },
        Firm {
            devices: vec![modbus("mill1", "一号轧机", take(18, 1, 0), 4, 1)],
            logs: vec![tomcat(Module::ALL.to_vec())],
            ..firm("shili", "江门市试例金属有限公司", Conduct::LateGoLive(before(acceptance, 20)), 44)
        },
        Firm {
            devices: vec![modbus("mixer1", "一号搅拌机", take(45, 3, 1), 16, 1)],
            logs: vec![kingdee(vec![Module::Orders, Module::Reports, Module::Stock])],
            shifts: vec![WHOLE_DAY],
            accounts: small_crew(),
            modules: vec![Module::Orders, Module::Reports, Module::Stock],
            ..firm("jiashe", "江门市假设食品有限公司", Conduct::SmallHonest, 55)
        },
        Firm {
            devices: vec![
                modbus("dryer1", "一号烘干机", take(27, 1, 0), 5, 1)
                    .warm(take(0, 2, 1))
                    .switched_off(midnight_ms(stop.0), midnight_ms(stop.1)),
            ],
            logs: vec![mes(Module::ALL.to_vec())],
            ..firm("jijie", "江门市季节纺织有限公司", Conduct::SeasonalStop(stop.0, stop.1), 66)
        },
    ]
}

fn days(count: i32) -> jiff::Span {
    jiff::Span::new().days(count)
}

fn take(weeks: u16, every: u16, phase: u16) -> Take {
    Take { weeks, every, phase }
}

impl Device {
    fn warm(mut self, temperature: Take) -> Self {
        self.machine.temperature = Some(temperature);
        self
    }

    fn switched_off(mut self, from_ms: i64, to_ms: i64) -> Self {
        self.machine.off.push((from_ms, to_ms));
        self
    }
}

fn device(tag: &'static str, name: &'static str, power: Take, share: u16, line: Line) -> Device {
    let meter_wh = 1_000_000 * u64::from(power.weeks + 1) + 1_000 * u64::from(share);
    let part_wh = 24_000 / u32::from(share.max(1));
    let machine = MachineSpec { power, share, meter_wh, part_wh, temperature: None, off: Vec::new() };
    Device { tag, name, machine, line }
}

fn modbus(tag: &'static str, name: &'static str, power: Take, share: u16, unit: u8) -> Device {
    device(tag, name, power, share, Line::Modbus(unit))
}

fn open(tag: &'static str, name: &'static str, power: Take, share: u16) -> Device {
    device(tag, name, power, share, Line::OpcUa(Access::Open))
}

fn secured(tag: &'static str, name: &'static str, power: Take, share: u16) -> Device {
    let access = Access::Secured { user: "inuse".to_owned(), password: "read only".to_owned() };
    device(tag, name, power, share, Line::OpcUa(access))
}

fn mes(modules: Vec<Module>) -> Log {
    Log {
        id: "mes",
        file: "mes.log",
        form: Form::SpringBoot,
        encoding: Encoding::Utf8,
        rotation: Rotation::Daily { keep: 14 },
        holds: Holds::Deeds(modules),
    }
}

fn kingdee(modules: Vec<Module>) -> Log {
    Log {
        id: "erp",
        file: "t_bas_operatelog.txt",
        form: Form::Kingdee,
        encoding: Encoding::Gb18030,
        rotation: Rotation::Never,
        holds: Holds::Deeds(modules),
    }
}

fn ruoyi(modules: Vec<Module>) -> Log {
    Log {
        id: "mes",
        file: "sys_oper_log.csv",
        form: Form::RuoYi,
        encoding: Encoding::Gb18030,
        rotation: Rotation::Daily { keep: 30 },
        holds: Holds::Deeds(modules),
    }
}

fn tomcat(modules: Vec<Module>) -> Log {
    Log {
        id: "mes",
        file: "localhost_access_log.txt",
        form: Form::Tomcat,
        encoding: Encoding::Utf8,
        rotation: Rotation::Daily { keep: 14 },
        holds: Holds::Deeds(modules),
    }
}

fn web() -> Log {
    Log {
        id: "web",
        file: "access.log",
        form: Form::Nginx,
        encoding: Encoding::Utf8,
        rotation: Rotation::Daily { keep: 14 },
        holds: Holds::Requests,
    }
}

/// Five people in two shifts, and the accounts that are nobody's work.
fn crew() -> Vec<Account> {
    let mut crew = vec![
        account("wang01", 100_231, Role::Operator, 0, "192.168.1.61", "PC-CJ1-01", "一车间"),
        account("li02", 100_232, Role::Operator, 1, "192.168.1.61", "PC-CJ1-01", "一车间"),
        account("chen03", 100_233, Role::Inspector, 0, "192.168.1.63", "PC-ZJ-01", "质检部"),
        account("zhao04", 100_234, Role::Planner, 0, "192.168.1.64", "PC-JH-01", "计划部"),
        account("huang05", 100_235, Role::Operator, 1, "192.168.1.65", "PC-CJ2-03", "二车间"),
    ];
    crew.extend(others());
    crew
}

fn small_crew() -> Vec<Account> {
    let mut crew = vec![
        account("liang01", 100_331, Role::Operator, 0, "192.168.3.21", "PC-CJ-01", "车间"),
        account("he02", 100_332, Role::Planner, 0, "192.168.3.22", "PC-BG-01", "办公室"),
    ];
    crew.extend(others());
    crew
}

fn others() -> [Account; 3] {
    [
        account("admin", 16_394, Role::Admin, 0, "192.168.1.5", "SERVER-01", "信息部"),
        account("impl_zhou", 100_900, Role::Provider, 0, "10.8.0.14", "VPN-ZHOU", "实施方"),
        account("test01", 100_901, Role::Test, 0, "192.168.1.5", "SERVER-01", "信息部"),
    ]
}

fn account(
    login: &'static str,
    number: u32,
    role: Role,
    shift: usize,
    ip: &'static str,
    terminal: &'static str,
    department: &'static str,
) -> Account {
    Account { login, number, role, shift, ip, terminal, department }
}
