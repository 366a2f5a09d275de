//! Prints what the gateway's programs cost: bytes on disk, resident memory and CPU at the loads of the budgets.
//!
//! `cargo xtask figures [--minutes N] [--load 1..4] [aarch64 | armv7 | x86_64 …]`, which builds what it measures first.
//!
//! A program for another machine runs under qemu, which is told where to put the machine's memory: what lies there is
//! counted, and the emulator's own is not. CPU is shown for this machine's own programs alone. Memory is looked at each
//! second; what is compared with its budget is the most that was seen. Of the Modbus values 5 % change at each poll,
//! 25 % each minute, and the rest stand still. It ends with an error when something is over its budget.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::fmt::Write as _;
use std::future::{Ready, ready};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use daemon::{Clock as _, SystemClock, Tasks};
use tests::foreign::{emulated_agent_with, needed};
use tests::plant::firm::one_machine_and_one_log;
use tests::plant::machine::Machine;
use tests::plant::opcua::{Access, OpcUa};
use tests::process::{Process, Program};
use tests::recordings::local_day;
use tests::town::Town;
use tokio::net::{TcpListener, TcpStream};
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::Server;
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};

/// Most bytes of the standard set's program on ARM.
const SIZE: u64 = 8_000_000;

/// Where an emulated machine's memory lies in its emulator.
const BASE: u64 = 0x1000_0000_0000;

/// A machine: its name, Rust's target, what runs it here, and the length of its address space.
struct Kind {
    name: &'static str,
    target: &'static str,
    emulator: Option<(&'static str, &'static [&'static str], u64)>,
}

const KINDS: [Kind; 3] = [
    Kind { name: "x86_64", target: "x86_64-unknown-linux-musl", emulator: None },
    Kind {
        name: "aarch64",
        target: "aarch64-unknown-linux-musl",
        emulator: Some((
            "INUSE_QEMU_AARCH64",
            &["-B", "0x100000000000", "-R", "0x8000000000"],
            0x80_0000_0000,
        )),
    },
    Kind {
        name: "armv7",
        target: "armv7-unknown-linux-musleabihf",
        emulator: Some(("INUSE_QEMU_ARM", &["-B", "0x100000000000"], 0x1_0000_0000)),
    },
];

/// What an agent has to do, and what it may take of memory and of a core.
struct Load {
    name: &'static str,
    devices: u16,
    registers: u16,
    machines: usize,
    logs: usize,
    mib: u64,
    percent: Option<f64>,
}

const LOADS: [Load; 4] = [
    Load { name: "idle", devices: 0, registers: 0, machines: 0, logs: 0, mib: 10, percent: None },
    Load {
        name: "1,000 points",
        devices: 10,
        registers: 100,
        machines: 0,
        logs: 0,
        mib: 14,
        percent: Some(1.5),
    },
    Load {
        name: "and 500 items, 5 logs",
        devices: 10,
        registers: 100,
        machines: 100,
        logs: 5,
        mib: 25,
        percent: None,
    },
    Load {
        name: "30,000 points",
        devices: 60,
        registers: 500,
        machines: 0,
        logs: 0,
        mib: 64,
        percent: Some(10.0),
    },
];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    // More than a window: what a window keeps until it is sealed is in it.
    let minutes = option(&mut wanted, "--minutes")?.unwrap_or(12);
    let only = option(&mut wanted, "--load")?;
    let mut over = Vec::new();
    for kind in KINDS.iter().filter(|kind| wanted.is_empty() || wanted.iter().any(|name| name == kind.name)) {
        let file = needed("INUSE_DIST")?.join(kind.target).join("inuse-agent");
        let size = std::fs::metadata(&file).with_context(|| format!("no {}", file.display()))?.len();
        println!("{}: {size} bytes, profile `gateway`, set `standard` (budget for ARM {SIZE})", kind.target);
        if kind.name != "x86_64" && size > SIZE {
            over.push(format!("{}: {size} bytes", kind.target));
        }
        for (number, load) in (1..).zip(&LOADS) {
            if only.is_some_and(|only| only != number) {
                continue;
            }
            let figures = measure(kind, load, minutes).await.with_context(|| load.name)?;
            let cpu = match (kind.emulator, figures.percent) {
                (Some(_), _) => "emulated".to_owned(),
                (None, percent) => match load.percent {
                    Some(budget) => format!("{percent:.1} % of a core (budget {budget})"),
                    None => format!("{percent:.1} % of a core"),
                },
            };
            println!(
                "  {:<22} {:>5.1} MiB resident at most (budget {}), {:.1} at the end, {:.1} of it anonymous; {cpu}; {} \
                 good samples",
                load.name,
                mib(figures.most),
                load.mib,
                mib(figures.resident),
                mib(figures.anonymous),
                figures.good
            );
            if figures.most > load.mib << 20 {
                over.push(format!("{}, {}: {:.1} MiB", kind.name, load.name, mib(figures.most)));
            }
            if let (None, Some(budget)) = (kind.emulator, load.percent)
                && figures.percent > budget
            {
                over.push(format!("{}, {}: {:.1} % of a core", kind.name, load.name, figures.percent));
            }
        }
    }
    ensure!(over.is_empty(), "over budget: {}", over.join("; "));
    Ok(())
}

/// Takes `name N` out of the words.
fn option(words: &mut Vec<String>, name: &str) -> anyhow::Result<Option<u32>> {
    let Some(at) = words.iter().position(|word| word == name) else { return Ok(None) };
    let number = words.get(at + 1).with_context(|| format!("{name} and a number"))?.parse()?;
    words.drain(at..=at + 1);
    Ok(Some(number))
}

fn mib(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "memory has fewer than 53 bits")]
    let bytes = bytes as f64;
    bytes / f64::from(1 << 20)
}

struct Figures {
    most: u64,
    resident: u64,
    anonymous: u64,
    percent: f64,
    good: u64,
}

async fn measure(kind: &Kind, load: &Load, minutes: u32) -> anyhow::Result<Figures> {
    let agent = match kind.emulator {
        Some((qemu, options, _)) => emulated_agent_with(kind.target, qemu, options)?,
        None => {
            let file = needed("INUSE_DIST")?.join(kind.target).join("inuse-agent");
            Program::of("inuse-agent", vec![file.into()])
        }
    };
    let town = Town::start(agent).await?;
    let mut served = Served::start(load, &town.factory()).await?;
    let (broker, server) = (town.start_broker().await?, town.start_server().await?);
    town.enrol().await?;
    let agent = town.start_agent().await?;
    let length = kind.emulator.map(|(.., length)| length);
    let mut most = 0;
    let mut look = || {
        most = most.max(memory(&agent, length)?.0);
        anyhow::Ok(())
    };
    // The first half is for growing: pools, caches, compiled expressions, the first flushes.
    let half = Duration::from_secs(30) * minutes;
    served.work(half, &mut look).await?;
    let before = cpu_ticks(&agent)?;
    served.work(half, &mut look).await?;
    let ticks = cpu_ticks(&agent)? - before;
    let (resident, anonymous) = memory(&agent, length)?;
    let most = most.max(resident);
    let status = town.agent_says("it answers", |_| true).await?;
    let good = status.sources.iter().map(|source| source.good).sum();
    for source in &status.sources {
        ensure!(source.good > 0 || source.records > 0, "source {} was not read", source.name);
    }
    agent.terminate().await?;
    server.terminate().await?;
    broker.terminate().await?;
    served.tasks.finish(Duration::from_secs(5)).await.ok();
    town.end().await?;
    #[expect(clippy::cast_precision_loss, reason = "hundredths of seconds of a few minutes")]
    let percent = ticks as f64 / half.as_secs_f64();
    Ok(Figures { most, resident, anonymous, percent, good })
}

/// User and system time so far, in hundredths of a second.
fn cpu_ticks(agent: &Process) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", agent.id()?))?;
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let fields: Vec<_> = after_name.split_whitespace().collect();
    Ok(fields.get(11).context("utime")?.parse::<u64>()? + fields.get(12).context("stime")?.parse::<u64>()?)
}

/// Resident and anonymous bytes; of an emulated program those between [`BASE`] and its end.
fn memory(agent: &Process, emulated: Option<u64>) -> anyhow::Result<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{}/smaps", agent.id()?))?;
    let (mut counts, mut resident, mut anonymous) = (true, 0, 0);
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let range = words.first().and_then(|word| word.split_once('-'));
        if let Some(Ok(from)) = range.map(|(from, _)| u64::from_str_radix(from, 16)) {
            counts = emulated.is_none_or(|length| (BASE..BASE + length).contains(&from));
        } else if counts && let [key, kib, ..] = words[..] {
            match key {
                "Rss:" => resident += kib.parse::<u64>()? * 1024,
                "Anonymous:" => anonymous += kib.parse::<u64>()? * 1024,
                _ => {}
            }
        }
    }
    Ok((resident, anonymous))
}

/// What the agent reads, and its manifest.
struct Served {
    tasks: Tasks,
    logs: Vec<std::path::PathBuf>,
    _opcua: Option<OpcUa>,
}

impl Served {
    async fn start(load: &Load, factory: &Path) -> anyhow::Result<Self> {
        let mut tasks = Tasks::new();
        let mut manifest = String::new();
        for device in 0..load.devices.max(1) {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let cadence = if load.devices == 0 { "60s" } else { "1s" };
            write!(
                manifest,
                "[[sources]]\nname = \"plc {device}\"\ncadence = \"{cadence}\"\n[sources.modbus]\nendpoint = \"{}\"\n",
                listener.local_addr()?
            )?;
            for register in 0..load.registers.max(1) {
                write!(
                    manifest,
                    "[[sources.modbus.points]]\nname = \"p{register}\"\naddress = {register}\n"
                )?;
            }
            tasks.spawn(format!("plc {device}"), async move {
                let connect = |stream: TcpStream, _| async move { Ok(Some((Registers(device), stream))) };
                Server::new(listener).serve(&connect, |_| {}).await?;
                Ok(())
            });
        }
        let opcua = if load.machines == 0 { None } else { Some(opcua(load, factory, &mut manifest).await?) };
        let mut logs = Vec::new();
        for log in 0..load.logs {
            let path = factory.join(format!("load{log}.log"));
            std::fs::write(&path, "")?;
            write!(
                manifest,
                "[[sources]]\nname = \"log {log}\"\ncadence = \"1s\"\n[sources.log]\npath = \"load{log}.log\"\n\
                 encoding = \"gb18030\"\nparser = \"spring\"\nrules = [{{ module = \"production_report\", \
                 action = \"report\", when = [{{ field = \"message\", regex = \"^report\" }}] }}]\n"
            )?;
            logs.push(path);
        }
        std::fs::write(factory.join("manifest.toml"), manifest)?;
        Ok(Self { tasks, logs, _opcua: opcua })
    }

    /// Lets the time pass and looks each second; ten lines a second go to each log.
    async fn work(
        &mut self,
        span: Duration,
        look: &mut impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        for second in 0..span.as_secs() {
            seconds.tick().await;
            look()?;
            for path in &self.logs {
                let mut file = std::fs::OpenOptions::new().append(true).open(path)?;
                let now = jiff::Timestamp::from_millisecond(SystemClock.stamp().wall_ms)?;
                let at = now.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(8))).strftime("%F %T");
                let line = |n| {
                    format!(
                        "{at}.000  INFO 5312 --- [exec-7] c.x.mes.Report : report order=MO{second}{n} user=wang01\n"
                    )
                };
                std::io::Write::write_all(&mut file, (0..10).map(line).collect::<String>().as_bytes())?;
            }
        }
        Ok(())
    }
}

/// A server of `load.machines` machines with five nodes each, and its source.
async fn opcua(load: &Load, factory: &Path, manifest: &mut String) -> anyhow::Result<OpcUa> {
    let (today, _) = local_day(SystemClock.stamp().wall_ms);
    let firm = one_machine_and_one_log(today);
    let machine = Arc::new(Machine::new(firm.devices[0].machine.clone(), firm.start));
    let machines = (0..load.machines).map(|at| (format!("m{at}"), Arc::clone(&machine))).collect();
    let server = OpcUa::start(machines, Arc::new(SystemClock), Access::Open, &factory.join("pki")).await?;
    write!(
        manifest,
        "[[sources]]\nname = \"cells\"\ncadence = \"1s\"\n[sources.opcua]\nendpoint = \"{}\"\npolicy = \"none\"\n",
        server.endpoint()
    )?;
    for at in 0..load.machines {
        for node in ["Running", "State", "Power", "Energy", "Parts"] {
            write!(
                manifest,
                "[[sources.opcua.points]]\nname = \"m{at} {node}\"\nnode = \"ns=2;s=m{at}.{node}\"\n"
            )?;
        }
    }
    Ok(server)
}

/// The holding registers of one device.
#[derive(Clone)]
struct Registers(u16);

impl Service for Registers {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: SlaveRequest<'static>) -> Self::Future {
        let Request::ReadHoldingRegisters(from, count) = request.request else {
            return ready(Err(ExceptionCode::IllegalFunction));
        };
        let second = SystemClock.stamp().wall_ms / 1000;
        let registers = from..from.saturating_add(count);
        let values = registers.map(|register| value(self.0, register, second)).collect();
        ready(Ok(Response::ReadHoldingRegisters(values)))
    }
}

/// 5 % change each second, 25 % each minute.
fn value(device: u16, register: u16, second: i64) -> u16 {
    let moment = match register % 100 {
        0..5 => second,
        5..30 => second / 60,
        _ => 0,
    };
    let mixed =
        moment.wrapping_mul(0x9E37_79B9).wrapping_add(i64::from(device) * 31 + i64::from(register) * 7919);
    u16::try_from(mixed.rem_euclid(10_000)).expect("below 10,000")
}
