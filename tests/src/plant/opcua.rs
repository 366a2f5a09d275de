//! Machines as an OPC UA server.
//!
//! Under `Objects` one folder per machine in namespace 2 (`urn:inuse:plant:machines`), node ids as text, with what
//! the machine does at the moment of the question; source timestamps are the plant's time:
//!
//! | node | type | what |
//! |---|---|---|
//! | `ns=2;s=<tag>.Running` | Boolean | it works |
//! | `ns=2;s=<tag>.State` | Int32 | 0 off, 1 standby, 2 running |
//! | `ns=2;s=<tag>.Power` | Double | active power, kW |
//! | `ns=2;s=<tag>.Energy` | Double | energy counter, kWh |
//! | `ns=2;s=<tag>.Parts` | UInt32 | parts made |
//! | `ns=2;s=<tag>.Temperature` | Double | degrees; only with a sensor |
//!
//! Nothing is writable. Endpoint `None` for anonymous readers, Basic256Sha256 Sign&Encrypt with a user name, or
//! both. Client certificates are trusted as they come; its own key and certificate live under the given folder and
//! survive a restart.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use daemon::{Clock, Tasks};
use opcua::crypto::SecurityPolicy;
use opcua::server::address_space::{AddressSpace, Variable};
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, SimpleNodeManagerImpl, simple_node_manager};
use opcua::server::{ANONYMOUS_USER_TOKEN_ID, ServerBuilder, ServerEndpoint, ServerHandle, ServerUserToken};
use opcua::types::{DataTypeId, DataValue, DateTime, MessageSecurityMode, NodeId, StatusCode, Variant};
use tokio::net::TcpListener;

use super::machine::{Machine, Reading, State};

pub mod unruly;

/// The only namespace index of machines.
pub const NAMESPACE: u16 = 2;
const NAMESPACE_URI: &str = "urn:inuse:plant:machines";
/// Path of its endpoints.
const PATH: &str = "/";
/// Ticks of 100 ns between 1601 and 1970, and in a millisecond (OPC 10000-6, 5.2.2.5).
const EPOCH_TICKS: i64 = 116_444_736_000_000_000;
const MS_TICKS: i64 = 10_000;
/// Time a server has to close its sessions.
const GRACE: Duration = Duration::from_secs(15);

/// Who may read, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Anybody, in the clear.
    Open,
    /// Basic256Sha256, Sign&Encrypt, with this user name and password.
    Secured {
        /// The user name.
        user: String,
        /// The password.
        password: String,
    },
}

/// An OPC UA server that can be switched off and on again at its address.
pub struct OpcUa {
    machines: Vec<(String, Arc<Machine>)>,
    clock: Arc<dyn Clock>,
    access: Access,
    pki: PathBuf,
    address: SocketAddr,
    running: Option<(ServerHandle, Tasks)>,
}

impl OpcUa {
    /// Starts a server on loopback, at a port the system chooses, with each machine under its tag. Keys are made
    /// under `pki` when there are none, which takes a second.
    ///
    /// # Errors
    /// When no port can be had, or the keys cannot be made or read.
    pub async fn start(
        machines: Vec<(String, Arc<Machine>)>,
        clock: Arc<dyn Clock>,
        access: Access,
        pki: &Path,
    ) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut opcua = Self { machines, clock, access, pki: pki.to_owned(), address, running: None };
        opcua.resume().await?;
        Ok(opcua)
    }

    /// Where it listens, also while it is off.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its endpoint: `opc.tcp://127.0.0.1:…/`.
    pub fn endpoint(&self) -> String {
        format!("opc.tcp://{}{PATH}", self.address)
    }

    /// Who may read, and how.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Its own certificate, DER, for readers that pin it. Absent with [`Access::Open`].
    pub fn certificate(&self) -> PathBuf {
        self.pki.join("own/cert.der")
    }

    /// Switches it off: its sessions end and nobody listens.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let Some((handle, tasks)) = self.running.take() else { return Ok(()) };
        handle.cancel();
        tasks.finish(GRACE).await
    }

    /// Switches it on again, at the same address and with the same key. Nothing happens when it is on.
    ///
    /// # Errors
    /// When somebody else took the port meanwhile, or the server cannot be built.
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind(self.address).await.context("no port for an OPC UA server")?;
        self.address = listener.local_addr()?;
        let (endpoint, port) = (self.endpoint(), self.address.port());
        let (access, pki) = (self.access.clone(), self.pki.clone());
        // Making a key takes a second of one core.
        let built =
            tokio::task::spawn_blocking(move || builder(access, endpoint, port, &pki).build()).await?;
        let (server, handle) = built.map_err(|problem| anyhow!("OPC UA server: {problem}"))?;
        let nodes =
            handle.node_managers().get_of_type::<SimpleNodeManager>().context("the node manager is gone")?;
        ensure!(
            handle.get_namespace_index(NAMESPACE_URI) == Some(NAMESPACE),
            "namespace index is not {NAMESPACE}"
        );
        for (tag, machine) in &self.machines {
            let shown = Shown { machine: Arc::clone(machine), clock: Arc::clone(&self.clock) };
            show(&mut nodes.address_space().write(), nodes.inner(), tag, shown);
        }
        let mut tasks = Tasks::new();
        tasks.spawn(format!("opcua {}", self.address), async move {
            server.run_with(listener).await.map_err(|problem| anyhow!("OPC UA server: {problem}"))
        });
        self.running = Some((handle, tasks));
        Ok(())
    }
}

fn builder(access: Access, endpoint: String, port: u16, pki: &Path) -> ServerBuilder {
    let namespace = NamespaceMetadata { namespace_uri: NAMESPACE_URI.to_owned(), ..Default::default() };
    let builder = ServerBuilder::new()
        .application_name("inuse plant")
        .application_uri("urn:inuse:plant")
        .product_uri("urn:inuse:plant")
        .host("127.0.0.1")
        .port(port)
        .discovery_urls(vec![endpoint])
        .pki_dir(pki)
        .with_node_manager(simple_node_manager(namespace, "machines"));
    match access {
        Access::Open => builder
            .add_endpoint("open", ServerEndpoint::new_none(PATH, &[ANONYMOUS_USER_TOKEN_ID.to_owned()])),
        Access::Secured { user, password } => builder
            .create_sample_keypair(true)
            .certificate_path("own/cert.der")
            .private_key_path("private/private.pem")
            .trust_client_certs(true)
            .add_user_token("reader", ServerUserToken::user_pass(user, password))
            .add_endpoint(
                "secured",
                ServerEndpoint::new(
                    PATH,
                    SecurityPolicy::Basic256Sha256,
                    MessageSecurityMode::SignAndEncrypt,
                    &["reader".to_owned()],
                ),
            ),
    }
}

/// A machine as the server's callbacks see it.
#[derive(Clone)]
struct Shown {
    machine: Arc<Machine>,
    clock: Arc<dyn Clock>,
}

impl Shown {
    fn value(&self, of: fn(Reading) -> Variant) -> DataValue {
        let wall_ms = self.clock.stamp().wall_ms;
        let at = DateTime::from(wall_ms.saturating_mul(MS_TICKS).saturating_add(EPOCH_TICKS));
        DataValue {
            value: Some(of(self.machine.at(wall_ms))),
            status: Some(StatusCode::Good),
            source_timestamp: Some(at),
            server_timestamp: Some(at),
            ..DataValue::null()
        }
    }
}

/// A node under a machine: name, type, value.
type Node = (&'static str, DataTypeId, fn(Reading) -> Variant);

#[expect(clippy::cast_precision_loss, reason = "53 bits of watt hours last longer than any machine")]
const NODES: [Node; 5] = [
    ("Running", DataTypeId::Boolean, |reading| Variant::from(reading.state == State::Running)),
    ("State", DataTypeId::Int32, |reading| Variant::from(reading.state.code())),
    ("Power", DataTypeId::Double, |reading| Variant::from(reading.power_w as f64 / 1000.0)),
    ("Energy", DataTypeId::Double, |reading| Variant::from(reading.energy_wh as f64 / 1000.0)),
    ("Parts", DataTypeId::UInt32, |reading| Variant::from(u32::try_from(reading.parts).unwrap_or(u32::MAX))),
];

const TEMPERATURE: Node = ("Temperature", DataTypeId::Double, |reading| {
    Variant::from(f64::from(reading.temperature.unwrap_or_default()) / 100.0)
});

/// Lays out one machine's folder and binds its nodes to the machine.
fn show(space: &mut AddressSpace, callbacks: &SimpleNodeManagerImpl, tag: &str, shown: Shown) {
    let folder = NodeId::new(NAMESPACE, tag);
    space.add_folder(&folder, tag, tag, &NodeId::objects_folder_id());
    let sensor = shown.machine.has_temperature().then_some(TEMPERATURE);
    for (name, kind, of) in NODES.into_iter().chain(sensor) {
        let id = NodeId::new(NAMESPACE, format!("{tag}.{name}"));
        let mut variable = Variable::new(&id, name, name, shown.value(of));
        variable.set_data_type(kind);
        space.add_variables(vec![variable], &folder);
        let shown = shown.clone();
        callbacks.add_read_callback(id, move |_, _, _| Ok(shown.value(of)));
    }
}

#[cfg(test)]
mod tests;
