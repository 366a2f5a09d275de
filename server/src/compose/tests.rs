use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use proof::AgentId;

use super::*;
use crate::commands::{self, Installing};

fn config(directory: &Path) -> ServerConfig {
    std::fs::create_dir_all(directory.join("projects")).unwrap();
    let text = "data = \"data\"\nprojects = \"projects\"\nnames = [\"127.0.0.1\"]\n[listen]\nbroker = \"127.0.0.1:0\"\n\
                enrolment = \"127.0.0.1:0\"\nportal = \"127.0.0.1:0\"\n";
    ServerConfig::parse("server.toml", text, directory).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_starts_on_free_ports_and_stops_along_the_road() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let added =
        commands::add_project(&config, "a-firm", "甲公司", &Installing::default(), &SystemClock).unwrap();
    assert!(added.begun.is_some_and(|path| path.is_file()));
    let server = Server::build(config.clone(), Arc::new(SystemClock)).await.unwrap();
    let Addresses { broker, enrolment, portal } = server.addresses();
    assert!(
        [broker, enrolment, portal].iter().all(|address| address.is_some_and(|address| address.port() != 0))
    );
    let stop = CancellationToken::new();
    let mut tasks = Tasks::new();
    tasks.spawn("server", server.run(stop.clone()));
    let mut stream = tokio::net::TcpStream::connect(portal.unwrap()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    // The ledger is shared with a running server.
    commands::add_project(&config, "a-firm", "甲公司", &Installing::default(), &SystemClock).unwrap();
    assert!(commands::list_projects(&config, &SystemClock).unwrap().contains("a-firm\t0\t2"));
    stop.cancel();
    tasks.finish(GRACE).await.unwrap();
    for address in [broker, enrolment, portal] {
        assert!(tokio::net::TcpStream::connect(address.unwrap()).await.is_err());
    }
    // And the same files open again.
    Server::build(config, Arc::new(SystemClock)).await.unwrap();
}

#[tokio::test]
async fn no_gateway_is_let_in_before_the_ingester_listens() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::build(config(directory.path()), Arc::new(SystemClock)).await.unwrap();
    let listening = CancellationToken::new();
    let mut answer = admission(server.readers(), listening.clone())(AgentId([1; 16]));
    let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(answer.as_mut().poll(&mut nobody).is_pending());
    listening.cancel();
    assert!(!answer.await, "and then the ledger decides");
}

#[tokio::test]
async fn a_wrong_firm_is_a_complaint_before_anything_listens() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    std::fs::write(directory.path().join("projects/firm.toml"), "colour = 1\n").unwrap();
    let Err(error) = Server::build(config.clone(), Arc::new(SystemClock)).await else {
        panic!("it was built")
    };
    assert!(error.downcast_ref::<daemon::config::Complaints>().is_some(), "{error:#}");
    assert!(commands::check(&config).is_err());
}

#[tokio::test]
async fn a_part_that_fails_ends_the_server() {
    let quit = CancellationToken::new();
    assert!(ended_early(Some(("ingester".to_owned(), Ok(()))), &quit).is_err());
    assert!(ended_early(Some(("ingester".to_owned(), Err(anyhow!("no disk")))), &quit).is_err());
    quit.cancel();
    assert!(ended_early(Some(("ingester".to_owned(), Ok(()))), &quit).is_ok());
}

#[test]
fn the_ingester_reaches_a_broker_that_listens_everywhere() {
    assert_eq!(nearby("0.0.0.0".parse().unwrap()).to_string(), "127.0.0.1");
    assert_eq!(nearby("::".parse().unwrap()).to_string(), "::1");
    assert_eq!(nearby("192.0.2.1".parse().unwrap()).to_string(), "192.0.2.1");
}
