//! Prints what the simulated plant can do on this machine: steps of the clock, requests a second, cost of people.
//!
//! `cargo run -p tests --example plant_figures`
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::sync::Arc;

use daemon::{Clock, Stopwatch, Tasks};
use jiff::civil::date;
use opcua::client::{ClientBuilder, IdentityToken};
use opcua::types::{MessageSecurityMode, NodeId, ReadValueId, TimestampsToReturn, UserTokenPolicy};
use tests::clock::SimClock;
use tests::plant::firm::{Firm, demo_firms};
use tests::plant::machine::Machine;
use tests::plant::modbus::Modbus;
use tests::plant::opcua::{Access, NAMESPACE, OpcUa};
use tests::plant::people::People;
use tests::recordings::{DAY_MS, midnight_ms};
use tokio_modbus::client::{Reader as _, tcp};
use tokio_modbus::slave::Slave;

const MINUTE: i64 = 60_000;
const QUESTIONS: u32 = 20_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let firms = demo_firms(date(2026, 7, 22), date(2026, 9, 20));
    clock(15).await?;
    people(&firms);
    let spec = firms[0].devices[0].machine.clone();
    let machine = Arc::new(Machine::new(spec, firms[0].start));
    let clock: Arc<dyn Clock> = Arc::new(SimClock::new(midnight_ms(firms[0].start) + 10 * 60 * MINUTE));
    modbus(Arc::clone(&machine), Arc::clone(&clock)).await?;
    let secured = Access::Secured { user: "inuse".to_owned(), password: "read only".to_owned() };
    for (access, name) in [(Access::Open, "None"), (secured, "Basic256Sha256 Sign&Encrypt")] {
        opcua(name, access, Arc::clone(&machine), Arc::clone(&clock)).await?;
    }
    Ok(())
}

fn rate(count: impl Into<f64>, since: Stopwatch) -> f64 {
    count.into() / since.elapsed().as_secs_f64()
}

/// Sixty days in minutes, `sleepers` of them waiting for each.
async fn clock(sleepers: i64) -> anyhow::Result<()> {
    let clock = SimClock::new(0);
    let steps = 90_000_i64;
    let mut tasks = Tasks::new();
    for sleeper in 0..sleepers {
        let clock = clock.with_priority(u8::from(sleeper > 3));
        let hold = clock.hold();
        tasks.spawn("sleeper", async move {
            let mut hold = Some(hold);
            for step in 1..=steps {
                let next = clock.sleep_until(step * MINUTE);
                drop(hold.take());
                hold = Some(next.await);
            }
            Ok(())
        });
    }
    let since = Stopwatch::start();
    clock.start();
    clock.end_at(steps * MINUTE).await?;
    println!("clock: {steps} steps x {sleepers} sleepers in {:.2?}, {:?}", since.elapsed(), clock.figures());
    Ok(())
}

fn people(firms: &[Firm]) {
    let since = Stopwatch::start();
    let mut lines = 0;
    for firm in firms {
        let machines = firm
            .devices
            .iter()
            .map(|device| Arc::new(Machine::new(device.machine.clone(), firm.start)))
            .collect();
        let people = People::new(Arc::new(firm.clone()), machines);
        let mut day = firm.start;
        while midnight_ms(day) < midnight_ms(firm.start) + 60 * DAY_MS {
            lines += people.day(day).len();
            day = day.tomorrow().expect("the calendar goes on");
        }
    }
    println!("people: {lines} deeds of {} firms in 60 days, planned in {:.2?}", firms.len(), since.elapsed());
}

async fn modbus(machine: Arc<Machine>, clock: Arc<dyn Clock>) -> anyhow::Result<()> {
    let mut server = Modbus::start(machine, clock, 1, "press 1").await?;
    let mut client = tcp::connect_slave(server.address(), Slave(1)).await?;
    let since = Stopwatch::start();
    for _ in 0..QUESTIONS {
        client.read_input_registers(0, 10).await??;
    }
    println!("modbus: {:.0} requests/s of 10 registers, one client", rate(QUESTIONS, since));
    server.stop().await
}

async fn opcua(
    name: &str,
    access: Access,
    machine: Arc<Machine>,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (mode, policy) = match &access {
        Access::Open => (MessageSecurityMode::None, "http://opcfoundation.org/UA/SecurityPolicy#None"),
        Access::Secured { .. } => {
            (MessageSecurityMode::SignAndEncrypt, "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256")
        }
    };
    let identity = match &access {
        Access::Open => IdentityToken::Anonymous,
        Access::Secured { user, password } => IdentityToken::new_user_name(user, password.clone()),
    };
    let since = Stopwatch::start();
    let mut server =
        OpcUa::start(vec![("press1".to_owned(), machine)], clock, access, &folder.path().join("server"))
            .await?;
    let started = since.elapsed();
    let mut client = ClientBuilder::new()
        .application_name("figures")
        .application_uri("urn:inuse:figures")
        .pki_dir(folder.path().join("client"))
        .create_sample_keypair(true)
        .trust_server_certs(true)
        .client()
        .map_err(|problems| anyhow::anyhow!(problems.join(", ")))?;
    let url = server.endpoint();
    let endpoint = (url.as_str(), policy, mode, UserTokenPolicy::anonymous());
    let (session, event_loop) = client.connect_to_matching_endpoint(endpoint, identity).await?;
    let mut tasks = Tasks::new();
    tasks.spawn("session", async move {
        event_loop.run().await;
        Ok(())
    });
    session.wait_for_connection().await;
    let nodes: Vec<ReadValueId> = ["Running", "Power", "Energy", "Parts"]
        .map(|node| NodeId::new(NAMESPACE, format!("press1.{node}")).into())
        .to_vec();
    let since = Stopwatch::start();
    for _ in 0..QUESTIONS {
        session.read(&nodes, TimestampsToReturn::Source, 0.0).await?;
    }
    println!(
        "opcua {name}: {:.0} reads/s of 4 nodes, one client; started in {started:.2?}",
        rate(QUESTIONS, since)
    );
    session.disconnect().await?;
    server.stop().await
}
