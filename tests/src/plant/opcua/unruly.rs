//! An OPC UA server with faults, and the line to it.
//!
//! Its nodes read what a test sets, vanish and return, and turn bad; it restarts, with its namespaces in another order if
//! wished, takes as few nodes at once as told, refuses subscriptions, and says that it lives at an address nobody can
//! reach. The line before it counts what a client asks, spoils sessions (`BadSessionIdInvalid`), loses questions of a
//! kind (a subscription that accepts everything and reports nothing is one whose Publish requests are lost), garbles
//! answers, makes them slow, holds everything back, refuses and cuts connections. Secured channels pass through the line unread.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use daemon::Tasks;
use opcua::crypto::SecurityPolicy;
use opcua::server::address_space::Variable;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::server::{
    ANONYMOUS_USER_TOKEN_ID, Limits, ServerBuilder, ServerEndpoint, ServerHandle, ServerUserToken,
};
use opcua::types::{DataValue, DateTime, MessageSecurityMode, NodeId, StatusCode, Variant};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

mod line;

use line::{Line, carry};

/// The namespace of its nodes.
pub const NAMESPACE_URI: &str = "urn:inuse:plant:unruly";
/// The folder they are in.
pub const FOLDER: &str = "机床";
const GRACE: Duration = Duration::from_secs(15);

/// Requests by the id of their binary encoding (OPC 10000-6, annex A.3).
pub mod request {
    /// CreateSession.
    pub const CREATE_SESSION: u16 = 461;
    /// CloseSession.
    pub const CLOSE_SESSION: u16 = 473;
    /// Read.
    pub const READ: u16 = 631;
    /// Write.
    pub const WRITE: u16 = 673;
    /// Call.
    pub const CALL: u16 = 712;
    /// CreateMonitoredItems.
    pub const CREATE_MONITORED_ITEMS: u16 = 751;
    /// CreateSubscription.
    pub const CREATE_SUBSCRIPTION: u16 = 787;
    /// Publish.
    pub const PUBLISH: u16 = 826;
}

/// How the server is set up.
#[derive(Clone, Default)]
pub struct Setup {
    /// Changes its limits.
    pub limits: Option<fn(&mut Limits)>,
    /// Every policy and mode there is, for a user `reader` with password `read only` or with this certificate (DER).
    pub secured: Option<PathBuf>,
    /// The host name it says it has.
    pub host: Option<&'static str>,
    /// What a node reads, instead of what was set, each time that the server reads it.
    pub reads: Option<Reads>,
}

/// A node's name and what was set for it; what it reads.
pub type Reads = Arc<dyn Fn(&str, DataValue) -> DataValue + Send + Sync>;

/// A server with faults.
pub struct Unruly {
    setup: Setup,
    pki: PathBuf,
    nodes: Arc<Mutex<BTreeMap<String, DataValue>>>,
    address: SocketAddr,
    behind: SocketAddr,
    line: Arc<Line>,
    carrying: Option<Tasks>,
    stop: CancellationToken,
    running: Option<(ServerHandle, Tasks)>,
}

impl Unruly {
    /// Starts one on loopback; nodes are made by [`Unruly::set`].
    ///
    /// # Errors
    /// When no port can be had, or the keys cannot be made.
    pub async fn start(setup: Setup, pki: &Path, nodes: &[(&str, Variant)]) -> anyhow::Result<Self> {
        let front = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (line, stop) = (Arc::new(Line::default()), CancellationToken::new());
        let mut unruly = Self {
            setup,
            pki: pki.to_owned(),
            nodes: Arc::default(),
            address: front.local_addr()?,
            behind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            line,
            carrying: None,
            stop,
            running: None,
        };
        for (name, value) in nodes {
            unruly.set(name, value.clone());
        }
        unruly.resume(false).await?;
        let mut carrying = Tasks::new();
        let (behind, line, stop) = (unruly.behind, Arc::clone(&unruly.line), unruly.stop.clone());
        carrying.spawn("the line to an OPC UA server", carry(front, behind, line, stop));
        unruly.carrying = Some(carrying);
        Ok(unruly)
    }

    /// Its endpoint, at this end of the line.
    pub fn endpoint(&self) -> String {
        format!("opc.tcp://{}/", self.address)
    }

    /// What a node reads from now on; it stands there when it did not.
    pub fn set(&self, name: &str, value: impl Into<Variant>) {
        self.put(
            name,
            DataValue { value: Some(value.into()), status: Some(StatusCode::Good), ..DataValue::null() },
        );
    }

    /// A node that has a value and says that it is bad.
    pub fn turn_bad(&self, name: &str, value: impl Into<Variant>, status: StatusCode) {
        self.put(name, DataValue { value: Some(value.into()), status: Some(status), ..DataValue::null() });
    }

    fn put(&self, name: &str, value: DataValue) {
        let now = DateTime::now();
        let value = DataValue { source_timestamp: Some(now), server_timestamp: Some(now), ..value };
        let is_new = lock(&self.nodes).insert(name.to_owned(), value).is_none();
        if let Some((handle, _)) = self.running.as_ref().filter(|_| is_new) {
            show(handle, &self.nodes, name, self.setup.reads.clone());
        }
    }

    /// Takes a node away.
    pub fn vanish(&self, name: &str) {
        lock(&self.nodes).remove(name);
        let Some((handle, _)) = &self.running else { return };
        let (Some(nodes), Some(index)) = (manager(handle), handle.get_namespace_index(NAMESPACE_URI)) else {
            return;
        };
        nodes.address_space().write().delete(&NodeId::new(index, name), true);
    }

    /// The sessions of all open connections are unknown to the server from now on.
    pub fn lose_sessions(&self) {
        let mut line = self.line.lock();
        line.spoiled = line.connections;
    }

    /// Requests of these kinds get lost from now on.
    pub fn lose(&self, kinds: &[u16]) {
        self.line.lock().lost = kinds.iter().copied().collect();
    }

    /// Bytes of answers change, by this seed; `None` ends it.
    pub fn garble(&self, seed: Option<u64>) {
        self.line.lock().garbled = seed;
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        self.line.cut();
    }

    /// Each piece of an answer takes so long from now on.
    pub fn slow(&self, by: Duration) {
        self.line.lock().slow = by;
    }

    /// Whether nothing passes from now on, in either direction, while everything looks open; who ends it cuts.
    pub fn hold(&self, held: bool) {
        self.line.lock().held = held;
        if !held {
            self.cut();
        }
    }

    /// Whether connections are refused from now on; those that there are go on.
    pub fn refuse(&self, refused: bool) {
        self.line.refuse(refused);
    }

    /// How often a kind of request came by; those of secured channels cannot be told.
    pub fn asked(&self, kind: u16) -> usize {
        self.line.lock().asked.get(&kind).copied().unwrap_or(0)
    }

    /// Ends the server; the line goes on and leads nowhere.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let Some((handle, tasks)) = self.running.take() else { return Ok(()) };
        handle.cancel();
        tasks.finish(GRACE).await
    }

    /// Starts it again behind the same line; `shifted` puts another namespace before its own.
    ///
    /// # Errors
    /// When the port is gone or the server cannot be built.
    pub async fn resume(&mut self, shifted: bool) -> anyhow::Result<()> {
        let listener = TcpListener::bind(self.behind).await.context("no port for an OPC UA server")?;
        self.behind = listener.local_addr()?;
        let (setup, pki) = (self.setup.clone(), self.pki.clone());
        let (address, port) = (self.address, self.behind.port());
        // Making a key takes a second of one core.
        let built =
            tokio::task::spawn_blocking(move || builder(&setup, &pki, address, port, shifted).build())
                .await?;
        let (server, handle) = built.map_err(|problem| anyhow!("OPC UA server: {problem}"))?;
        let names: Vec<_> = lock(&self.nodes).keys().cloned().collect();
        names.iter().for_each(|name| show(&handle, &self.nodes, name, self.setup.reads.clone()));
        let mut tasks = Tasks::new();
        tasks.spawn(format!("unruly opcua {}", self.behind), async move {
            server.run_with(listener).await.map_err(|problem| anyhow!("OPC UA server: {problem}"))
        });
        self.running = Some((handle, tasks));
        Ok(())
    }
}

fn builder(setup: &Setup, pki: &Path, address: SocketAddr, port: u16, shifted: bool) -> ServerBuilder {
    let namespace = |uri: &str| NamespaceMetadata { namespace_uri: uri.to_owned(), ..Default::default() };
    let mut builder = ServerBuilder::new()
        .application_name("unruly")
        .application_uri("urn:inuse:unruly")
        .product_uri("urn:inuse:unruly")
        .host(setup.host.unwrap_or("127.0.0.1"))
        .port(port)
        .discovery_urls(vec![format!("opc.tcp://{address}/")])
        .pki_dir(pki);
    if let Some(change) = setup.limits {
        change(builder.limits_mut());
    }
    if shifted {
        builder =
            builder.with_node_manager(simple_node_manager(namespace("urn:inuse:plant:another"), "another"));
    }
    builder = builder.with_node_manager(simple_node_manager(namespace(NAMESPACE_URI), "unruly"));
    let anybody = [ANONYMOUS_USER_TOKEN_ID.to_owned()];
    let Some(certificate) = &setup.secured else {
        return builder.add_endpoint("open", ServerEndpoint::new_none("/", &anybody));
    };
    let users = ["by name".to_owned(), "by certificate".to_owned()];
    builder = builder
        .create_sample_keypair(true)
        .certificate_path("own/cert.der")
        .private_key_path("private/private.pem")
        .trust_client_certs(true)
        .add_user_token("by name", ServerUserToken::user_pass("reader", "read only"))
        .add_user_token("by certificate", ServerUserToken::x509("reader2", certificate));
    for policy in [
        SecurityPolicy::Basic128Rsa15,
        SecurityPolicy::Basic256,
        SecurityPolicy::Basic256Sha256,
        SecurityPolicy::Aes128Sha256RsaOaep,
        SecurityPolicy::Aes256Sha256RsaPss,
    ] {
        for mode in [MessageSecurityMode::Sign, MessageSecurityMode::SignAndEncrypt] {
            let endpoint = ServerEndpoint::new("/", policy, mode, &users);
            builder = builder.add_endpoint(format!("{policy} {mode:?}"), endpoint);
        }
    }
    builder
}

impl Drop for Unruly {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some((handle, _)) = &self.running {
            handle.cancel();
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn manager(handle: &ServerHandle) -> Option<Arc<SimpleNodeManager>> {
    handle.node_managers().get_by_name::<SimpleNodeManager>("unruly")
}

fn show(
    handle: &ServerHandle,
    nodes: &Arc<Mutex<BTreeMap<String, DataValue>>>,
    name: &str,
    reads: Option<Reads>,
) {
    let manager = manager(handle).expect("it was built with its node manager");
    let index = handle.get_namespace_index(NAMESPACE_URI).expect("it was built with its namespace");
    let (folder, id) = (NodeId::new(index, FOLDER), NodeId::new(index, name));
    let value = lock(nodes).get(name).and_then(|value| value.value.clone()).unwrap_or_default();
    let space = manager.address_space();
    let mut space = space.write();
    if !space.node_exists(&folder) {
        let browse_name = opcua::types::QualifiedName::new(index, FOLDER);
        space.add_folder(&folder, browse_name, FOLDER, &NodeId::objects_folder_id());
    }
    let mut variable = Variable::new(&id, opcua::types::QualifiedName::new(index, name), name, value.clone());
    if let Some(kind) = value.data_type().and_then(|id| id.node_id.as_data_type_id().ok()) {
        variable.set_data_type(kind);
    }
    space.add_variables(vec![variable], &folder);
    let (nodes, name) = (Arc::clone(nodes), name.to_owned());
    manager.inner().add_read_callback(id, move |_, _, _| {
        let set = lock(&nodes).get(&name).cloned().ok_or(StatusCode::BadNodeIdUnknown)?;
        Ok(match &reads {
            Some(reads) => reads(&name, set),
            None => set,
        })
    });
}
