//! OPC UA servers of a run, and what befalls them.
//!
//! Each node's value says whose it is and when it was true: server, node and the millisecond of the run in which it
//! began to be so. What a server serves is noted in [`served`] as it is served. Faults come one after the other at each
//! server, by dice that follow from the seed, every kind once before any comes again.

pub mod judge;
pub mod served;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daemon::Tasks;
use opcua::types::{DataValue, StatusCode, Variant};
use tokio_util::sync::CancellationToken;

use super::faults::{Dice, Round};
use super::lines::Weather;
use super::record::Record;
use crate::plant::opcua::unruly::{NAMESPACE_URI, Setup, Unruly, request};
use served::{NODES, Served};

/// Statuses that are no good, and one that is but for its reason.
const STATUSES: [StatusCode; 5] = [
    StatusCode::BadNotConnected,
    StatusCode::BadSensorFailure,
    StatusCode::BadOutOfService,
    StatusCode::UncertainLastUsableValue,
    StatusCode::UncertainEngineeringUnitsExceeded,
];

/// How long questions of a kind are lost: longer than a subscription may say nothing.
const SILENT: (f64, f64) = (4.0, 10.0);

/// What befalls a server or the line to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// All sessions are unknown from one moment on.
    SessionLost,
    /// A node is not there for a while.
    NodeVanished,
    /// A node says for a while that its value is bad, and why.
    BadStatus,
    /// The server ends and begins again later; connections are refused meanwhile.
    Restart,
    /// Publish requests get lost for a while: subscriptions are there and report nothing.
    SilentSubscription,
    /// Answers take up to a fifth of the time-out, each piece of them.
    Slow,
    /// Read requests get lost for a while.
    LostReads,
    /// Every connection is cut.
    Cut,
    /// Connections are made and nothing passes for a while.
    HalfOpen,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::SessionLost,
        Self::NodeVanished,
        Self::BadStatus,
        Self::Restart,
        Self::SilentSubscription,
        Self::Slow,
        Self::LostReads,
        Self::Cut,
        Self::HalfOpen,
    ];

    /// Whether a turn may be silent for it, and then with no answer as its cause. All others cost no turn: a vanished or
    /// bad node costs itself alone, and a lost session, a cut connection or a silent subscription costs no value.
    pub fn silences(self) -> bool {
        matches!(self, Self::Restart | Self::LostReads | Self::HalfOpen)
    }

    /// In words, for the report.
    pub fn words(self) -> &'static str {
        match self {
            Self::SessionLost => "session lost",
            Self::NodeVanished => "node vanishes and returns",
            Self::BadStatus => "bad status",
            Self::Restart => "server restarts, connections refused",
            Self::SilentSubscription => "silent subscription",
            Self::Slow => "slow answers",
            Self::LostReads => "reads get lost",
            Self::Cut => "connections cut",
            Self::HalfOpen => "half-open connection",
        }
    }
}

/// How a server is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Asked at every turn.
    Polled,
    /// Subscribed to.
    Subscribed,
}

/// Servers by place, and how each is read.
pub const SERVERS: [Way; 3] = [Way::Polled, Way::Subscribed, Way::Subscribed];

/// One server.
pub struct Server {
    number: usize,
    unruly: Unruly,
    served: Arc<Served>,
    weather: Weather,
    timeout: Duration,
    dice: Dice,
    record: Arc<Record>,
    /// What is still to come before anything comes again.
    round: Round<Fault>,
}

impl Server {
    /// Starts one.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(
        number: usize,
        folder: &Path,
        weather: Weather,
        timeout: Duration,
        seed: u64,
        record: Arc<Record>,
    ) -> anyhow::Result<Self> {
        let served = Arc::new(Served::new(number));
        let reads = {
            let (served, record) = (Arc::clone(&served), Arc::clone(&record));
            Arc::new(move |name: &str, _: DataValue| served.serve(name, record.now()))
        };
        let setup = Setup { reads: Some(reads), ..Setup::default() };
        let nodes: Vec<_> =
            (0..NODES.len()).map(|node| (NODES[node].name, served.kind_of(node).clone())).collect();
        let unruly = Unruly::start(setup, &folder.join(format!("opcua{number}")), &nodes).await?;
        let dice = Dice::new(seed, 1_000 + number as u64);
        Ok(Self { number, unruly, served, weather, timeout, dice, record, round: Round::new(Fault::ALL) })
    }

    /// What it serves.
    pub fn served(&self) -> Arc<Served> {
        Arc::clone(&self.served)
    }

    /// Its source in the manifest.
    pub fn manifest(&self) -> String {
        let collect = match SERVERS[self.number] {
            Way::Polled => "collect = \"poll\"",
            Way::Subscribed if self.number.is_multiple_of(2) => "collect = \"subscribe\"\nqueue = 10",
            Way::Subscribed => "collect = \"subscribe\"",
        };
        let mut text = format!(
            "[[sources]]\nname = \"{}\"\ncadence = \"1s\"\n[sources.opcua]\nendpoint = \"{}\"\n\
             policy = \"none\"\ntimeout = \"{}ms\"\n{collect}\n",
            name(self.number),
            self.unruly.endpoint(),
            self.timeout.as_millis()
        );
        for (at, node) in NODES.iter().enumerate() {
            let place = if node.by_path {
                let uri = NAMESPACE_URI.replace(':', "&:");
                format!("path = \"0:Objects/nsu={uri};机床/nsu={uri};{}\"", node.name)
            } else {
                format!("node = \"nsu={NAMESPACE_URI};s={}\"", node.name)
            };
            text.push_str(&format!("[[sources.opcua.points]]\nname = \"p{at}\"\n{place}\n"));
        }
        text
    }

    /// Lives through what befalls it until stopped.
    ///
    /// # Errors
    /// When the server does not end or begin.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        loop {
            let (from, to) = self.weather.apart;
            let quiet = Duration::from_secs_f64(self.dice.within(from..to));
            if !self.sleeps(quiet, &stop).await {
                break;
            }
            let fault = self.round.next(&mut self.dice);
            let (from, to) = if fault == Fault::SilentSubscription { SILENT } else { self.weather.lasts };
            let lasts = Duration::from_secs_f64(self.dice.within(from..to));
            if self.record.now() + lasts >= self.weather.calm_from {
                stop.cancelled().await;
                break;
            }
            let trouble = self.served.begins(fault, self.record.now());
            let node = self.begin(fault).await?;
            let momentary = matches!(fault, Fault::SessionLost | Fault::Cut);
            let goes_on = momentary || self.sleeps(lasts, &stop).await;
            self.end(fault, node).await?;
            self.served.ends(trouble, self.record.now());
            if !goes_on {
                break;
            }
        }
        self.unruly.stop().await
    }

    async fn sleeps(&self, long: Duration, stop: &CancellationToken) -> bool {
        tokio::select! {
            () = stop.cancelled() => false,
            () = tokio::time::sleep(long) => true,
        }
    }

    /// Begins a fault; the node it is about.
    async fn begin(&mut self, fault: Fault) -> anyhow::Result<usize> {
        let node = usize::try_from(self.dice.below(NODES.len() as u64)).expect("below a length");
        match fault {
            Fault::SessionLost => self.unruly.lose_sessions(),
            Fault::NodeVanished => {
                self.served.vanishes(node, self.record.now());
                self.unruly.vanish(NODES[node].name);
            }
            Fault::BadStatus => {
                let status = self.dice.one_of(&STATUSES);
                self.served.turns(node, status);
            }
            Fault::Restart => {
                self.unruly.refuse(true);
                self.unruly.stop().await?;
            }
            Fault::SilentSubscription => self.unruly.lose(&[request::PUBLISH]),
            Fault::Slow => {
                let part = self.dice.within(0.02..0.2);
                self.unruly.slow(self.timeout.mul_f64(part));
            }
            Fault::LostReads => self.unruly.lose(&[request::READ]),
            Fault::Cut => self.unruly.cut(),
            Fault::HalfOpen => self.unruly.hold(true),
        }
        Ok(node)
    }

    async fn end(&mut self, fault: Fault, node: usize) -> anyhow::Result<()> {
        match fault {
            Fault::SessionLost | Fault::Cut => {}
            Fault::NodeVanished => {
                let kind: Variant = self.served.kind_of(node);
                self.unruly.set(NODES[node].name, kind);
                self.served.returns(node, self.record.now());
            }
            Fault::BadStatus => self.served.turns(node, StatusCode::Good),
            Fault::Restart => {
                self.unruly.resume(self.dice.below(2) == 0).await?;
                self.unruly.refuse(false);
            }
            Fault::SilentSubscription | Fault::LostReads => self.unruly.lose(&[]),
            Fault::Slow => self.unruly.slow(Duration::ZERO),
            Fault::HalfOpen => self.unruly.hold(false),
        }
        Ok(())
    }
}

/// The name of a server's source.
pub fn name(number: usize) -> String {
    format!("opcua {number}")
}

/// Starts all of them.
///
/// # Errors
/// When one cannot be started.
pub async fn start(
    folder: &Path,
    weather: Weather,
    timeout: Duration,
    seed: u64,
    record: &Arc<Record>,
) -> anyhow::Result<Vec<Server>> {
    let mut servers = Vec::new();
    for number in 0..SERVERS.len() {
        let record = Arc::clone(record);
        servers.push(Server::start(number, folder, weather, timeout, seed, record).await?);
    }
    Ok(servers)
}

/// Lets them live.
pub fn spawn(servers: Vec<Server>, tasks: &mut Tasks, stop: &CancellationToken) {
    for server in servers {
        let stop = stop.clone();
        tasks.spawn(name(server.number), server.run(stop));
    }
}
