use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::opcua::crypto::SecurityPolicy;
use ::opcua::server::address_space::Variable;
use ::opcua::server::diagnostics::NamespaceMetadata;
use ::opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use ::opcua::server::{
    ANONYMOUS_USER_TOKEN_ID, ServerBuilder, ServerEndpoint, ServerHandle, ServerUserToken,
};
use ::opcua::types::{MessageSecurityMode, NodeId, Variant};
use daemon::{SystemClock, Tasks};
use proof::{Cause, Quality};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::manifest::Manifest;
use crate::{Sample, build};

#[tokio::test]
async fn declared_nodes_are_read_in_manifest_order_and_a_bad_one_stops_no_other() {
    let plant = Plant::start(false).await;
    let source = plant.source("policy = \"none\"\n");
    let (what, ended) = first(&source, plant.folder()).await;
    ended.unwrap();
    let What::Cycle(readings) = what else { panic!("{what:?}") };
    let seen: Vec<_> = readings.iter().map(|reading| (reading.quality, reading.value)).collect();
    let expected = [
        (Quality::Good, Some(1.0)),
        (Quality::Fault, None),
        (Quality::Good, Some(12.5)),
        (Quality::Fault, None),
    ];
    assert_eq!(seen, expected);
    assert_eq!(readings[0].raw, [1, 1]);
}

#[tokio::test]
async fn a_secured_server_is_read_with_its_certificate_pinned_and_a_user_name() {
    let plant = Plant::start(true).await;
    let pin = plant.thumbprint();
    let source = plant.secured("right", Some(&pin));
    let (what, ended) = first(&source, plant.folder()).await;
    ended.unwrap();
    assert!(matches!(what, What::Cycle(_)), "{what:?}");
    // Nobody else may read our key.
    use std::os::unix::fs::PermissionsExt as _;
    let key = plant.folder().join("opcua/private/private.pem");
    assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    // A second source of the same gateway uses the same pair; a probe of it shows certificate and points.
    let probe = crate::probe(&source, plant.folder()).await.unwrap();
    assert_eq!((probe.server_thumbprint.as_deref(), probe.points.len()), (Some(pin.as_str()), 4));
}

#[tokio::test]
async fn without_its_pin_a_secured_server_is_refused_and_told_how_to_pin_it() {
    let plant = Plant::start(true).await;
    let pin = plant.thumbprint();
    let unpinned = plant.secured("right", None);
    let (what, ended) = first(&unpinned, plant.folder()).await;
    assert_eq!(what, What::Silent(Cause::Refused));
    let text = ended.unwrap_err().to_string();
    assert!(text.contains(&format!("server_thumbprint = \"{pin}\"")), "{text}");
    let another = plant.secured("right", Some(&"0a".repeat(32)));
    let (what, ended) = first(&another, plant.folder()).await;
    assert_eq!(what, What::Silent(Cause::Refused));
    assert!(ended.unwrap_err().to_string().contains("is not the pinned one"));
    let probe = crate::probe(&unpinned, plant.folder()).await.unwrap();
    assert_eq!((probe.server_thumbprint, probe.points.len()), (Some(pin), 0));
    assert!(probe.refused.is_some());
}

#[tokio::test]
async fn a_wrong_password_is_a_refusal_and_not_a_lost_line() {
    let plant = Plant::start(true).await;
    let source = plant.secured("wrong", Some(&plant.thumbprint()));
    let (what, ended) = first(&source, plant.folder()).await;
    assert_eq!(what, What::Silent(Cause::Refused), "{ended:?}");
    assert!(matches!(ended, Err(CollectError::Refused { .. })));
}

#[tokio::test]
async fn a_server_that_is_off_is_one_silence_for_one_attempt() {
    let mut plant = Plant::start(false).await;
    let source = plant.source("policy = \"none\"\n");
    plant.stop().await;
    let (what, ended) = first(&source, plant.folder()).await;
    assert_eq!(what, What::Silent(Cause::NoAnswer));
    assert!(matches!(ended, Err(CollectError::Lost { .. })), "{ended:?}");
}

#[tokio::test]
async fn a_server_that_goes_away_in_mid_run_ends_the_run_with_a_silence() {
    let mut plant = Plant::start(false).await;
    let source = plant.source("policy = \"none\"\n");
    let (out, mut rx, stop) = sender(&source);
    let mut collector = build(&source, None, plant.folder(), &crate::Shared::default()).unwrap();
    let work = async {
        let before = rx.recv().await.unwrap().observation.what;
        assert!(matches!(before, What::Cycle(_)), "{before:?}");
        plant.stop().await;
        let after = loop {
            let what = rx.recv().await.unwrap().observation.what;
            if !matches!(what, What::Cycle(_)) {
                break what;
            }
        };
        assert_eq!(after, What::Silent(Cause::NoAnswer));
    };
    let (ended, ()) = tokio::join!(collector.run(&out, &stop), work);
    assert!(matches!(ended, Err(CollectError::Lost { .. })), "{ended:?}");
}

/// A server on loopback.
struct Plant {
    folder: TempDir,
    endpoint: String,
    running: Option<(ServerHandle, Tasks)>,
}

impl Plant {
    async fn start(secured: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint = format!("opc.tcp://{address}/");
        let namespace =
            NamespaceMetadata { namespace_uri: "urn:test".into(), ..NamespaceMetadata::default() };
        let builder = ServerBuilder::new()
            .application_name("plant")
            .application_uri("urn:plant")
            .product_uri("urn:plant")
            .host("127.0.0.1")
            .port(address.port())
            .discovery_urls(vec![endpoint.clone()])
            .pki_dir(folder.path().join("server"))
            .create_sample_keypair(secured)
            .trust_client_certs(true)
            .with_node_manager(simple_node_manager(namespace, "test"));
        let builder = if secured {
            let (policy, mode) = (SecurityPolicy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt);
            let users = ["reader".to_owned()];
            builder
                .certificate_path("own/cert.der")
                .private_key_path("private/private.pem")
                .add_user_token("reader", ServerUserToken::user_pass("reader", "right"))
                .add_endpoint("secured", ServerEndpoint::new("/", policy, mode, &users))
        } else {
            let users = [ANONYMOUS_USER_TOKEN_ID.to_owned()];
            builder.add_endpoint("open", ServerEndpoint::new_none("/", &users))
        };
        let (server, handle) = builder.build().unwrap();
        let nodes = handle.node_managers().get_of_type::<SimpleNodeManager>().unwrap();
        for (name, value) in
            [("running", Variant::from(true)), ("power", Variant::from(12.5_f64)), ("text", "x".into())]
        {
            let variable = Variable::new(&NodeId::new(2, name), name, name, value);
            nodes.address_space().write().add_variables(vec![variable], &NodeId::objects_folder_id());
        }
        let mut tasks = Tasks::new();
        tasks.spawn("plant", async move {
            drop(server.run_with(listener).await);
            Ok(())
        });
        Self { folder, endpoint, running: Some((handle, tasks)) }
    }

    async fn stop(&mut self) {
        let (handle, tasks) = self.running.take().unwrap();
        handle.cancel();
        tasks.finish(Duration::from_secs(10)).await.unwrap();
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn thumbprint(&self) -> String {
        trust::sha256(&std::fs::read(self.folder().join("server/own/cert.der")).unwrap()).to_string()
    }

    fn source(&self, keys: &str) -> Source {
        let endpoint = &self.endpoint;
        let text = format!(
            r#"
[[sources]]
name = "meter"
[sources.opcua]
endpoint = "{endpoint}"
timeout = "5s"
{keys}
points = [
    {{ name = "running", node = "ns=2;s=running", role = "running" }},
    {{ name = "nobody", node = "ns=2;s=nobody" }},
    {{ name = "power", node = "ns=2;s=power" }},
    {{ name = "text", node = "ns=2;s=text" }},
]
"#
        );
        Manifest::parse("manifest.toml", &text, self.folder()).unwrap().sources.remove(0)
    }

    fn secured(&self, password: &str, pin: Option<&str>) -> Source {
        std::fs::write(self.folder().join("password"), format!("{password}\n")).unwrap();
        let pin = pin.map(|pin| format!("server_thumbprint = \"{pin}\"\n")).unwrap_or_default();
        self.source(&format!(
            "policy = \"basic256sha256\"\nuser = \"reader\"\npassword_file = \"password\"\n{pin}"
        ))
    }
}

fn sender(source: &Source) -> (SampleSender, mpsc::Receiver<Sample>, CancellationToken) {
    let (tx, rx) = mpsc::channel(4);
    let stop = CancellationToken::new();
    let cadence = Duration::from_millis(20);
    (SampleSender::new(source.index, cadence, Arc::new(SystemClock), tx, stop.clone()), rx, stop)
}

/// The first observation of a collector, and how its run ended (stopped, when it did not end by itself).
async fn first(source: &Source, state_dir: &Path) -> (What, Result<(), CollectError>) {
    let (out, mut rx, stop) = sender(source);
    let mut collector = build(source, None, state_dir, &crate::Shared::default()).unwrap();
    let work = async {
        let what = rx.recv().await.unwrap().observation.what;
        stop.cancel();
        what
    };
    let (ended, what) = tokio::join!(collector.run(&out, &stop), work);
    (what, ended)
}
