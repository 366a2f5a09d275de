use std::path::Path;

use jiff::civil::date;
use opcua::client::{Client, ClientBuilder, IdentityToken, Session};
use opcua::types::{EndpointDescription, ReadValueId, TimestampsToReturn, UserTokenPolicy};

use super::*;
use crate::clock::SimClock;
use crate::plant::machine::{MachineSpec, Take};
use crate::recordings::midnight_ms;

/// A working morning.
fn moment() -> i64 {
    midnight_ms(date(2026, 7, 23)) + 10 * 3_600_000
}

fn machine() -> Arc<Machine> {
    let power = Take { weeks: 9, every: 1, phase: 0 };
    let temperature = Some(Take { weeks: 0, every: 1, phase: 0 });
    let spec = MachineSpec { power, share: 8, meter_wh: 70_000, part_wh: 900, temperature, off: Vec::new() };
    Arc::new(Machine::new(spec, date(2026, 7, 22)))
}

async fn server(access: Access, folder: &Path) -> OpcUa {
    let machines = vec![("press1".to_owned(), machine())];
    OpcUa::start(machines, Arc::new(SimClock::new(moment())), access, &folder.join("server")).await.unwrap()
}

fn client(folder: &Path) -> Client {
    ClientBuilder::new()
        .application_name("test reader")
        .application_uri("urn:inuse:test-reader")
        .pki_dir(folder.join("client"))
        .create_sample_keypair(true)
        .trust_server_certs(true)
        .session_retry_limit(0)
        .client()
        .unwrap()
}

/// A session, and the loop that carries it.
async fn connect(server: &OpcUa, folder: &Path, identity: IdentityToken) -> Option<(Arc<Session>, Tasks)> {
    let (policy, mode) = match &server.access {
        Access::Open => (SecurityPolicy::None, MessageSecurityMode::None),
        Access::Secured { .. } => (SecurityPolicy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt),
    };
    let endpoint: EndpointDescription =
        (server.endpoint().as_str(), policy.to_uri(), mode, UserTokenPolicy::anonymous()).into();
    let (session, event_loop) = client(folder).connect_to_matching_endpoint(endpoint, identity).await.ok()?;
    let mut tasks = Tasks::new();
    tasks.spawn("session", async move {
        event_loop.run().await;
        Ok(())
    });
    // A refused session ends its loop; nothing else says so.
    tokio::select! {
        connected = session.wait_for_connection() => connected.then_some((session, tasks)),
        _ = tasks.next() => None,
    }
}

async fn read(session: &Session, names: &[&str]) -> Vec<DataValue> {
    let nodes: Vec<ReadValueId> =
        names.iter().map(|name| NodeId::new(NAMESPACE, format!("press1.{name}")).into()).collect();
    session.read(&nodes, TimestampsToReturn::Source, 0.0).await.unwrap()
}

async fn nodes_say_what_the_machine_does(access: Access, identity: IdentityToken) {
    let folder = tempfile::tempdir().unwrap();
    let mut server = server(access, folder.path()).await;
    let (session, tasks) = connect(&server, folder.path(), identity).await.unwrap();
    let values = read(&session, &["Running", "State", "Power", "Energy", "Parts", "Temperature"]).await;
    let reading = machine().at(moment());
    let expected = [
        Variant::from(true),
        Variant::from(2_i32),
        Variant::from(reading.power_w as f64 / 1000.0),
        Variant::from(reading.energy_wh as f64 / 1000.0),
        Variant::from(u32::try_from(reading.parts).unwrap()),
        Variant::from(f64::from(reading.temperature.unwrap()) / 100.0),
    ];
    assert_eq!(values.iter().filter_map(|value| value.value.clone()).collect::<Vec<_>>(), expected);
    // 2026-07-23 10:00 in China.
    assert_eq!(values[0].source_timestamp, Some(DateTime::from((2026, 7, 23, 2, 0, 0))));
    session.disconnect().await.unwrap();
    drop(tasks);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_server_tells_anybody() {
    nodes_say_what_the_machine_does(Access::Open, IdentityToken::Anonymous).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secured_server_tells_a_user_with_a_password() {
    let access = Access::Secured { user: "inuse".to_owned(), password: "read only".to_owned() };
    let identity = IdentityToken::new_user_name("inuse", "read only");
    nodes_say_what_the_machine_does(access, identity).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secured_server_refuses_a_wrong_password_and_comes_back_after_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let access = Access::Secured { user: "inuse".to_owned(), password: "read only".to_owned() };
    let mut server = server(access, folder.path()).await;
    let wrong = IdentityToken::new_user_name("inuse", "guess");
    assert!(connect(&server, folder.path(), wrong).await.is_none());
    let (address, own) = (server.address(), std::fs::read(server.certificate()).unwrap());
    server.stop().await.unwrap();
    server.resume().await.unwrap();
    assert_eq!((server.address(), std::fs::read(server.certificate()).unwrap()), (address, own));
    let right = IdentityToken::new_user_name("inuse", "read only");
    let (session, _tasks) = connect(&server, folder.path(), right).await.unwrap();
    assert_eq!(read(&session, &["Running"]).await[0].value, Some(Variant::from(true)));
}
