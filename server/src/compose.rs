//! One server out of its parts, with a beginning and an end.
//!
//! [`Server::build`] opens files and binds every listener, so that addresses are known and everything that can be
//! wrong has been said before anything runs. [`Server::run`] runs until it is told to stop, and then stops along the
//! road: the broker takes nobody new, the ingester records and answers what it has, the broker closes, the ledger
//! closes. A part that fails ends the whole; the service manager restarts it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use axum::Router;
use daemon::{Bounds, Clock, Door, SystemClock, Tasks};
use data_encoding::HEXLOWER;
use futures::future::BoxFuture;
use ingester::{Config as IngesterConfig, Ingester, Tls};
use ledger::{Ledger, Owner, Readers, Sqlite};
use proof::policy::Policy;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::broker::{Admit, Broker, access};
use crate::ca::{Ca, INGESTER, Identity};
use crate::config::{BrokerChoice, Part, ServerConfig};
use crate::enrol::{self, BrokerAddress, Enrolment};
use crate::log_key;
use crate::pages::Pages;
use crate::witnesses::Witnesses;

/// What all parts together get to stop in. The ingester alone may take ten seconds.
const GRACE: Duration = Duration::from_secs(20);
/// What the ledger's thread gets to end in.
const CLOSING: Duration = Duration::from_secs(10);
/// How long a gateway that connects waits for the ingester at most. Less than it waits for the broker's answer.
const LISTENING: Duration = Duration::from_secs(5);
/// Between two beacons.
const BEACON: Duration = Duration::from_secs(60);
/// Connections for reading the ledger.
const READERS: usize = 4;

const ENROLMENT: Bounds = Bounds { connections: 64, longest: Duration::from_secs(30), keep_alive: false };
const PORTAL: Bounds = Bounds { connections: 512, longest: Duration::from_secs(600), keep_alive: true };

/// Name of the ledger's file in the data directory.
pub(crate) const LEDGER: &str = "ledger.sqlite";

/// A server that is bound and not yet running.
pub struct Server {
    addresses: Addresses,
    broker: Option<Broker>,
    ingester: Option<Ingester>,
    enrolment: Option<(Door, Router)>,
    portal: Option<(Door, Arc<Pages>)>,
    witnesses: Option<Witnesses>,
    /// Of several processes the one that records.
    beacons: Option<Arc<dyn Clock>>,
    ledger: Ledger,
    owner: Owner,
    readers: Readers,
    ca: Arc<Ca>,
    log_vkey: String,
}

/// Where the parts listen; `None` for a part that this process does not play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Addresses {
    /// MQTT over TLS.
    pub broker: Option<SocketAddr>,
    /// Enrolment over TLS.
    pub enrolment: Option<SocketAddr>,
    /// Pages over HTTP.
    pub portal: Option<SocketAddr>,
}

impl Server {
    /// Opens files and binds listeners. `clock` stamps what is received; certificates live by the system's.
    ///
    /// # Errors
    /// [`daemon::config::Complaints`] when a file that people edit is wrong; else what failed.
    pub fn build(config: ServerConfig, clock: Arc<dyn Clock>) -> BoxFuture<'static, anyhow::Result<Self>> {
        Box::pin(Self::build_all(config, clock))
    }

    async fn build_all(config: ServerConfig, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let data = &config.data;
        std::fs::create_dir_all(data).with_context(|| format!("could not make {}", data.display()))?;
        let key = log_key::open(data, &config.origin)?;
        let log_vkey = key.verifier().to_owned();
        let store = Sqlite::open(&data.join(LEDGER), key).context("could not open the ledger")?;
        let (ledger, owner) = Ledger::start(store)?;
        let readers = Readers::open(&data.join(LEDGER), READERS)?;
        let policy = policy(&config, &log_vkey)?;
        // Of several processes the one that records asks.
        let witnesses = match &policy {
            Some(policy) if config.roles.contains(&Part::Ingester) => {
                Some(Witnesses::new(policy.clone(), readers.clone(), data)?)
            }
            Some(_) | None => None,
        };
        let beacons = config.roles.contains(&Part::Ingester).then(|| Arc::clone(&clock));
        let pages = match config.roles.contains(&Part::Portal) {
            true => {
                let pages = Pages::build(&config, &readers, &log_vkey, &clock)?;
                Some(Arc::new(pages.confirming(ledger.weak())))
            }
            false => None,
        };
        let system_s = SystemClock.stamp().wall_ms / 1000;
        let ca = Arc::new(Ca::open(data, system_s)?);
        let identity = ca.server(&names(&config), system_s)?;

        let listening = CancellationToken::new();
        let admit = admission(readers.clone(), listening.clone());
        let broker = bind_broker(&config, &ca, &identity, admit).await?;
        let broker_address = broker.as_ref().map(Broker::address);
        let ingester = match config.roles.contains(&Part::Ingester) {
            true => {
                let settings = ingester_settings(&config, &ca, broker_address, system_s)?;
                Some(Ingester::build(settings, ledger.clone(), Arc::clone(&clock), listening)?)
            }
            false => {
                // It listens in another process, if at all.
                listening.cancel();
                None
            }
        };
        let enrolment = match config.roles.contains(&Part::Enrolment) {
            true => {
                let tls = Some(identity.tls()?);
                let door = Door::bind("enrolment", config.listen.enrolment, tls, ENROLMENT).await;
                let door =
                    door.with_context(|| format!("could not listen on {}", config.listen.enrolment))?;
                let broker = told(&config, broker_address);
                let (ca, ledger, clock) = (Arc::clone(&ca), ledger.clone(), Arc::clone(&clock));
                let enrolment = Enrolment { ca, ledger, broker, log_vkey: log_vkey.clone(), clock };
                Some((door, enrol::router(Arc::new(enrolment))))
            }
            false => None,
        };
        let portal = match pages {
            Some(pages) => {
                let door = Door::bind("portal", config.listen.portal, None, PORTAL).await;
                Some((door.with_context(|| format!("could not listen on {}", config.listen.portal))?, pages))
            }
            None => None,
        };
        let addresses = Addresses {
            broker: broker_address,
            enrolment: enrolment.as_ref().map(|(door, _)| door.address()),
            portal: portal.as_ref().map(|(door, _)| door.address()),
        };
        Ok(Self {
            addresses,
            broker,
            ingester,
            enrolment,
            portal,
            witnesses,
            beacons,
            ledger,
            owner,
            readers,
            ca,
            log_vkey,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Connections for reading the ledger.
    pub fn readers(&self) -> Readers {
        self.readers.clone()
    }

    /// What its pages show; `None` without the portal.
    pub fn pages(&self) -> Option<Arc<Pages>> {
        self.portal.as_ref().map(|(_, pages)| Arc::clone(pages))
    }

    /// The authority of its certificates.
    pub fn ca(&self) -> Arc<Ca> {
        Arc::clone(&self.ca)
    }

    /// The log's verifier key.
    pub fn log_vkey(&self) -> &str {
        &self.log_vkey
    }

    /// Runs until `stop` fires or a part fails.
    ///
    /// # Errors
    /// The first failure, or who did not stop in time.
    pub fn run(self, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> {
        Box::pin(self.run_all(stop))
    }

    async fn run_all(self, stop: CancellationToken) -> anyhow::Result<()> {
        let (quit, drained) = (stop.child_token(), CancellationToken::new());
        let mut tasks = Tasks::new();
        if let Some(broker) = self.broker {
            let (quit, drained) = (quit.clone(), drained.clone());
            tasks.spawn("broker", async move {
                broker.run(quit, drained).await;
                Ok(())
            });
        }
        let guard = drained.drop_guard();
        match self.ingester {
            Some(ingester) => {
                let quit = quit.clone();
                tasks.spawn("ingester", async move {
                    let _guard = guard;
                    ingester.run(quit).await.map_err(Into::into)
                });
            }
            None => drop(guard),
        }
        if let Some((door, router)) = self.enrolment {
            tasks.spawn("enrolment", door.serve(router, quit.clone()));
        }
        if let Some((door, pages)) = self.portal {
            let (router, quit) = (portal::router(Arc::clone(&pages) as _), quit.clone());
            tasks.spawn("portal", async move {
                tokio::try_join!(door.serve(router, quit.clone()), pages.run(quit)).map(|_| ())
            });
        }
        if let Some(clock) = self.beacons {
            tasks.spawn("beacons", beacons(self.ledger.clone(), clock, quit.clone()));
        }
        if let Some(witnesses) = self.witnesses {
            tasks.spawn("witnesses", witnesses.run(quit.clone()));
        }
        info!("server running");
        let early = tokio::select! {
            () = quit.cancelled() => Ok(()),
            ended = tasks.next() => ended_early(ended, &quit),
        };
        quit.cancel();
        let late = tasks.finish(GRACE).await;
        drop((self.ledger, self.readers));
        let closed = close(self.owner).await;
        info!("server stopped");
        early.and(late).and(closed)
    }
}

/// The policy of this log; `None` without witnesses.
///
/// # Errors
/// When the policy is of other logs.
pub(crate) fn policy(config: &ServerConfig, log_vkey: &str) -> anyhow::Result<Option<Policy>> {
    let Some(file) = &config.witnesses else { return Ok(None) };
    let policy = file.policy.clone().of_log(log_vkey).filter(Policy::asks_witnesses);
    let path = file.path.display();
    Ok(Some(
        policy
            .with_context(|| format!("{path} names other logs than {log_vkey}, or no quorum of witnesses"))?,
    ))
}

/// No part ends by itself.
fn ended_early(ended: Option<(String, anyhow::Result<()>)>, quit: &CancellationToken) -> anyhow::Result<()> {
    match ended {
        Some((_, Ok(()))) if quit.is_cancelled() => Ok(()),
        Some((name, Ok(()))) => Err(anyhow!("{name} ended by itself")),
        Some((name, Err(error))) => Err(error.context(format!("{name} failed"))),
        None => Err(anyhow!("there is nothing to run")),
    }
}

async fn close(owner: Owner) -> anyhow::Result<()> {
    let joined = tokio::task::spawn_blocking(move || owner.join());
    match tokio::time::timeout(CLOSING, joined).await {
        Ok(joined) => joined?.context("ledger did not close well"),
        Err(_) => Err(anyhow!("ledger did not close in time: somebody still holds it")),
    }
}

/// The certificate's names: the configured ones, and the one the ingester in this process uses.
fn names(config: &ServerConfig) -> Vec<String> {
    let mut names = config.names.clone();
    let near = nearby(config.listen.broker.ip()).to_string();
    if !names.contains(&near) {
        names.push(near);
    }
    names
}

/// An address to reach this machine by, of a listener on `address`.
fn nearby(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    }
}

/// Puts a beacon into the log every minute, so that no anchor could be foretold even where one gateway is alone.
async fn beacons(ledger: Ledger, clock: Arc<dyn Clock>, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(BEACON) => {}
        }
        let now_ms = clock.stamp().wall_ms;
        if let Err(error) = ledger.run(move |store| store.beacon(now_ms)).await {
            warn!(error = daemon::chain(&error), "no beacon");
        }
    }
}

/// What agents are told of the broker.
fn told(config: &ServerConfig, bound: Option<SocketAddr>) -> BrokerAddress {
    match &config.broker {
        BrokerChoice::External(external) => {
            BrokerAddress { host: external.host.clone(), port: external.port }
        }
        BrokerChoice::Embedded => BrokerAddress {
            host: config.names.first().cloned().unwrap_or_default(),
            port: bound.unwrap_or(config.listen.broker).port(),
        },
    }
}

async fn bind_broker(
    config: &ServerConfig,
    ca: &Ca,
    identity: &Identity,
    admit: Admit,
) -> anyhow::Result<Option<Broker>> {
    if config.broker != BrokerChoice::Embedded || !config.roles.contains(&Part::Broker) {
        return Ok(None);
    }
    Ok(Some(Broker::bind(config.listen.broker, ca, identity, admit).await?))
}

/// Asks the ledger at every connection, so that a revocation holds from the next one on. Right after a start it first
/// waits until the ingester is `listening`: the broker keeps nothing for a subscriber that it has never seen.
fn admission(readers: Readers, listening: CancellationToken) -> Admit {
    Arc::new(move |agent| {
        let (readers, listening) = (readers.clone(), listening.clone());
        Box::pin(async move {
            if tokio::time::timeout(LISTENING, listening.cancelled()).await.is_err() {
                warn!(%agent, "taken although nobody listens yet: what it sends will come again");
            }
            match readers.read(move |ledger| ledger.agent(agent)).await {
                Ok(known) => known.is_some_and(|known| known.revoked.is_none()),
                Err(error) => {
                    warn!(%agent, error = daemon::chain(&error), "ledger cannot be asked about an agent");
                    false
                }
            }
        })
    })
}

fn ingester_settings(
    config: &ServerConfig,
    ca: &Ca,
    broker: Option<SocketAddr>,
    system_s: i64,
) -> anyhow::Result<IngesterConfig> {
    let read =
        |path: &Path| std::fs::read(path).with_context(|| format!("could not read {}", path.display()));
    let own = ca.ingester(system_s)?;
    Ok(match (&config.broker, broker) {
        (BrokerChoice::External(external), _) => {
            let (cert, key) = match &external.client {
                Some(client) => (read(&client.cert)?, read(&client.key)?),
                None => (read(&own.chain_file)?, read(&own.key_file)?),
            };
            // Several ingesters share the work, each under a client id that stays its own.
            let mark = HEXLOWER.encode(&Sha256::digest(&cert)[..4]);
            IngesterConfig {
                host: external.host.clone(),
                port: external.port,
                tls: Some(Tls { ca: read(&external.ca)?, cert, key }),
                client_id: format!("{INGESTER}-{mark}"),
                group: Some(access::GROUP.to_owned()),
            }
        }
        (BrokerChoice::Embedded, Some(bound)) => IngesterConfig {
            host: nearby(bound.ip()).to_string(),
            port: bound.port(),
            tls: Some(Tls { ca: ca.pem().into(), cert: read(&own.chain_file)?, key: read(&own.key_file)? }),
            client_id: INGESTER.to_owned(),
            group: None,
        },
        (BrokerChoice::Embedded, None) => return Err(anyhow!("ingester without a broker")),
    })
}

#[cfg(test)]
mod tests;
