//! A machine as a Modbus TCP device.
//!
//! Answers reads of discrete inputs (02), holding (03) and input registers (04, the same table) and device
//! identification (43/14) for its unit id. Values are what the machine does at the moment of the question. Writes
//! are refused and counted, so that a test can hold a reader to its word.
//!
//! | address | what | form |
//! |---|---|---|
//! | discrete 0 | running | bit |
//! | 0 | status word: bit 0 running, bit 1 on (running or standing by) | u16 |
//! | 1 | active power, 0.1 kW | u16 |
//! | 2, 3 | active power, kW | f32, high word first |
//! | 4, 5 | energy counter, Wh | u32, high word first |
//! | 6, 7 | parts made | u32, high word first |
//! | 8 | lagging reactive power, 0.1 kvar | u16 |
//! | 9 | temperature, 0.1 degree; absent without a sensor | i16 |

use std::future::{Ready, ready};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use daemon::{Clock, Tasks};
use tokio::net::{TcpListener, TcpStream};
use tokio_modbus::prelude::{ConformityLevel, DeviceIdObject, ReadCode, ReadDeviceIdentificationResponse};
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::Server;
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};
use tokio_util::sync::CancellationToken;

use super::machine::{Machine, Reading, State};

/// Address of the discrete input that says whether the machine runs.
pub const RUNNING: u16 = 0;
/// Register of the status word.
pub const STATUS: u16 = 0;
/// Its bit that says whether the machine runs.
pub const RUNNING_BIT: u8 = 0;
/// Its bit that says whether the machine is on: runs or stands by.
pub const ON_BIT: u8 = 1;
/// Register of the active power, 0.1 kW.
pub const POWER_DECI_KW: u16 = 1;
/// First register of the active power, kW, f32.
pub const POWER_KW: u16 = 2;
/// First register of the energy counter, Wh, u32.
pub const ENERGY_WH: u16 = 4;
/// First register of the part counter, u32.
pub const PARTS: u16 = 6;
/// Register of the lagging reactive power, 0.1 kvar.
pub const REACTIVE_DECI_KVAR: u16 = 8;
/// Register of the temperature, 0.1 degree, i16.
pub const TEMPERATURE: u16 = 9;

/// Time a device has to close its connections.
const GRACE: Duration = Duration::from_secs(5);

/// A Modbus TCP device that can be switched off and on again at its address.
pub struct Modbus {
    device: Arc<Answers>,
    address: SocketAddr,
    running: Option<(CancellationToken, Tasks)>,
}

/// What answers the questions.
struct Answers {
    machine: Arc<Machine>,
    clock: Arc<dyn Clock>,
    unit: u8,
    name: String,
    requests: AtomicU64,
    writes: AtomicU64,
}

impl Modbus {
    /// Starts a device on loopback, at a port the system chooses. `name` is its product name.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(
        machine: Arc<Machine>,
        clock: Arc<dyn Clock>,
        unit: u8,
        name: &str,
    ) -> io::Result<Self> {
        let device =
            Answers { machine, clock, unit, name: name.to_owned(), requests: 0.into(), writes: 0.into() };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut modbus = Self { device: Arc::new(device), address, running: None };
        modbus.resume().await?;
        Ok(modbus)
    }

    /// Where it listens, also while it is off.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The only unit id it answers to.
    pub fn unit(&self) -> u8 {
        self.device.unit
    }

    /// Requests answered so far, refused ones too.
    pub fn requests(&self) -> u64 {
        self.device.requests.load(Ordering::Relaxed)
    }

    /// Write requests among them, all refused.
    pub fn writes(&self) -> u64 {
        self.device.writes.load(Ordering::Relaxed)
    }

    /// Switches it off: its connections end and nobody listens.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let Some((stop, tasks)) = self.running.take() else { return Ok(()) };
        stop.cancel();
        tasks.finish(GRACE).await
    }

    /// Switches it on again, at the same address. Nothing happens when it is on.
    ///
    /// # Errors
    /// When somebody else took the port meanwhile.
    pub async fn resume(&mut self) -> io::Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind(self.address).await?;
        self.address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new();
        tasks.spawn(
            format!("modbus {}", self.address),
            serve(listener, Arc::clone(&self.device), stop.clone()),
        );
        self.running = Some((stop, tasks));
        Ok(())
    }
}

async fn serve(listener: TcpListener, device: Arc<Answers>, stop: CancellationToken) -> anyhow::Result<()> {
    let connect = |stream: TcpStream, _| {
        let device = Arc::clone(&device);
        async move {
            stream.set_nodelay(true)?;
            Ok(Some((device, stream)))
        }
    };
    let lost = |error| tracing::debug!(%error, "modbus connection lost");
    Server::new(listener).serve_until(&connect, lost, async move { stop.cancelled().await }).await?;
    Ok(())
}

impl Service for Answers {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: SlaveRequest<'static>) -> Self::Future {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if request.slave != self.unit {
            return ready(Err(ExceptionCode::GatewayTargetDevice));
        }
        ready(self.answer(&request.request))
    }
}

impl Answers {
    fn answer(&self, request: &Request<'static>) -> Result<Response, ExceptionCode> {
        let now = || self.machine.at(self.clock.stamp().wall_ms);
        match request {
            Request::ReadDiscreteInputs(RUNNING, 1) => {
                Ok(Response::ReadDiscreteInputs(vec![now().state == State::Running]))
            }
            Request::ReadDiscreteInputs(..) | Request::ReadCoils(..) => {
                Err(ExceptionCode::IllegalDataAddress)
            }
            Request::ReadHoldingRegisters(from, count) => {
                Ok(Response::ReadHoldingRegisters(slice(&registers(now()), *from, *count)?))
            }
            Request::ReadInputRegisters(from, count) => {
                Ok(Response::ReadInputRegisters(slice(&registers(now()), *from, *count)?))
            }
            Request::ReadDeviceIdentification(code, from) => {
                let objects = [(0, "inuse plant"), (1, self.name.as_str()), (2, env!("CARGO_PKG_VERSION"))];
                let objects = objects.into_iter().filter(|(id, _)| id >= from);
                Ok(Response::ReadDeviceIdentification(identity(*code, objects)))
            }
            Request::WriteSingleCoil(..)
            | Request::WriteMultipleCoils(..)
            | Request::WriteSingleRegister(..)
            | Request::WriteMultipleRegisters(..)
            | Request::MaskWriteRegister(..)
            | Request::ReadWriteMultipleRegisters(..) => {
                self.writes.fetch_add(1, Ordering::Relaxed);
                Err(ExceptionCode::IllegalFunction)
            }
            Request::ReportServerId | Request::Custom(..) => Err(ExceptionCode::IllegalFunction),
        }
    }
}

fn identity<'a>(
    read_code: ReadCode,
    objects: impl Iterator<Item = (u8, &'a str)>,
) -> ReadDeviceIdentificationResponse {
    ReadDeviceIdentificationResponse {
        read_code,
        conformity_level: ConformityLevel::BasicIdentificationStreamOnly,
        more_follows: false,
        next_object_id: 0,
        device_id_objects: objects
            .map(|(id, value)| DeviceIdObject { id, value: value.as_bytes().to_vec().into() })
            .collect(),
    }
}

/// The register table; ends before the temperature when there is no sensor.
fn registers(reading: Reading) -> Vec<u16> {
    let deci = |base: u64| u16::try_from(base / 100).unwrap_or(u16::MAX);
    #[expect(clippy::cast_precision_loss, reason = "a power in watts has at most seven digits")]
    let kw = (reading.power_w as f32 / 1000.0).to_bits();
    // Counters of 32 bits roll over, as real ones do.
    let wh = u32::try_from(reading.energy_wh % (1 << 32)).expect("a remainder of 2^32 fits");
    let parts = u32::try_from(reading.parts % (1 << 32)).expect("a remainder of 2^32 fits");
    let status = u16::from(reading.state == State::Running) << RUNNING_BIT
        | u16::from(reading.state != State::Off) << ON_BIT;
    let mut words = vec![status, deci(reading.power_w)];
    for pair in [kw, wh, parts] {
        let [a, b, c, d] = pair.to_be_bytes();
        words.extend([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]);
    }
    words.push(deci(reading.reactive_var));
    words.extend(reading.temperature.map(|hundredths| (hundredths / 10).cast_unsigned()));
    words
}

fn slice(words: &[u16], from: u16, count: u16) -> Result<Vec<u16>, ExceptionCode> {
    let from = usize::from(from);
    words
        .get(from..from + usize::from(count))
        .filter(|words| !words.is_empty())
        .map(<[u16]>::to_vec)
        .ok_or(ExceptionCode::IllegalDataAddress)
}

#[cfg(test)]
mod tests;
