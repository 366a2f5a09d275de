//! Simulated factories: machines, the people around them, and the files a provider would write about both.
//!
//! Machines are real servers that say what the recordings say at the moment they are asked ([`modbus`], [`opcua`],
//! [`machine`]); people write real log files, each firm's in its own manner ([`people`], [`office`], [`forms`],
//! [`logfile`]); [`files`] writes what a provider would write for the agent and the server.
//! The same plant runs in simulated and in real time: it only asks its [`Clock`].

pub mod files;
pub mod firm;
pub mod forms;
pub mod logfile;
pub mod machine;
pub mod mes;
pub mod modbus;
pub mod office;
pub mod opcua;
pub mod people;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use daemon::{Clock, Tasks};
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use self::firm::{Device, Firm, Line};
use self::logfile::LogFile;
use self::machine::Machine;
use self::modbus::Modbus;
use self::office::Office;
use self::opcua::OpcUa;
use self::people::People;

/// Time the people have to put down their pens.
const GRACE: Duration = Duration::from_secs(10);

/// One firm at work: its servers answer, its people write.
pub struct Plant {
    firm: Arc<Firm>,
    folder: PathBuf,
    devices: Vec<Server>,
    logs: Vec<LogFile>,
    stop: CancellationToken,
    people: Tasks,
}

/// A machine's server, of either kind.
pub enum Server {
    /// Modbus TCP.
    Modbus(Modbus),
    /// OPC UA.
    OpcUa(OpcUa),
}

impl Plant {
    /// Starts a firm: a server for each device, and its people. Logs and keys lie under `folder`. What its people
    /// do is written every `flush`. In simulated time `clock` should have the priority of plants, 0.
    ///
    /// # Errors
    /// When a server cannot start or a file cannot be made.
    pub fn start(
        firm: Firm,
        folder: &Path,
        clock: Arc<dyn Clock>,
        flush: Duration,
    ) -> BoxFuture<'_, anyhow::Result<Self>> {
        Box::pin(Self::start_all(firm, folder, clock, flush))
    }

    async fn start_all(
        firm: Firm,
        folder: &Path,
        clock: Arc<dyn Clock>,
        flush: Duration,
    ) -> anyhow::Result<Self> {
        let firm = Arc::new(firm);
        let mut devices = Vec::new();
        let mut machines = Vec::new();
        for device in &firm.devices {
            let machine = Arc::new(Machine::new(device.machine.clone(), firm.start));
            machines.push(Arc::clone(&machine));
            let server = Server::start(device, machine, Arc::clone(&clock), &folder.join("pki")).await;
            devices.push(server.with_context(|| format!("could not start {} of {}", device.tag, firm.id))?);
        }
        let people = People::new(Arc::clone(&firm), machines);
        let flush_ms = i64::try_from(flush.as_millis()).unwrap_or(i64::MAX);
        let office = Office::open(Arc::clone(&firm), people, &folder.join("logs"), flush_ms)?;
        let logs = office.logs().to_vec();
        let stop = CancellationToken::new();
        let mut people = Tasks::new();
        people.spawn(format!("people of {}", firm.id), office.run(clock, stop.clone()));
        Ok(Self { firm, folder: folder.to_owned(), devices, logs, stop, people })
    }

    /// The firm.
    pub fn firm(&self) -> &Firm {
        &self.firm
    }

    /// Where its logs and keys lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The server of a device, by its tag.
    pub fn device(&mut self, tag: &str) -> Option<&mut Server> {
        let at = self.firm.devices.iter().position(|device| device.tag == tag)?;
        self.devices.get_mut(at)
    }

    /// Its devices, each with its server.
    pub fn devices(&self) -> impl Iterator<Item = (&Device, &Server)> {
        self.firm.devices.iter().zip(&self.devices)
    }

    /// Its logs, in the firm's order.
    pub fn logs(&self) -> &[LogFile] {
        &self.logs
    }

    /// Write requests that came in at any device. A reader that keeps its word leaves this at zero.
    pub fn writes(&self) -> u64 {
        self.devices
            .iter()
            .map(|server| if let Server::Modbus(modbus) = server { modbus.writes() } else { 0 })
            .sum()
    }

    /// Sends the people home and switches everything off.
    ///
    /// # Errors
    /// The first failure of the people (a log that could not be written), or of switching off.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        let people = self.people.finish(GRACE).await;
        for mut device in self.devices {
            device.stop().await?;
        }
        people
    }
}

impl Server {
    async fn start(
        device: &Device,
        machine: Arc<Machine>,
        clock: Arc<dyn Clock>,
        pki: &Path,
    ) -> anyhow::Result<Self> {
        Ok(match &device.line {
            Line::Modbus(unit) => Self::Modbus(Modbus::start(machine, clock, *unit, device.tag).await?),
            Line::OpcUa(access) => {
                let machines = vec![(device.tag.to_owned(), machine)];
                Self::OpcUa(OpcUa::start(machines, clock, access.clone(), &pki.join(device.tag)).await?)
            }
        })
    }

    /// Switches it off.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Modbus(modbus) => modbus.stop().await,
            Self::OpcUa(opcua) => opcua.stop().await,
        }
    }

    /// Switches it on again, at the same address.
    ///
    /// # Errors
    /// When somebody else took the port meanwhile.
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Modbus(modbus) => Ok(modbus.resume().await?),
            Self::OpcUa(opcua) => opcua.resume().await,
        }
    }
}
