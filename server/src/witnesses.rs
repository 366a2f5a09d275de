//! Asks independent witnesses to cosign the log's checkpoints (C2SP tlog-witness), and keeps the newest that enough of
//! them have cosigned.
//!
//! A witness that does not answer is asked again a minute later; receipts wait for none. A witness that answers that it
//! has seen more of this log than there is, or something else, says that the ledger is an older copy or that somebody has
//! made it anew: that is an error in the log each time, because people must look.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use daemon::files;
use data_encoding::BASE64;
use futures::future::join_all;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use ledger::Readers;
use portal::Cosigned;
use proof::policy::{Policy, Witness};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(60);
/// What one witness gets for its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest answer, bytes: some signature lines.
const MAX_ANSWER: usize = 16 * 1024;
/// Largest checkpoint with its cosignatures, bytes.
const MAX_NOTE: u64 = 64 * 1024;
/// Name of the file in the data directory.
const FILE: &str = "cosigned.checkpoint";

/// One who asks.
pub struct Witnesses {
    policy: Policy,
    readers: Readers,
    file: PathBuf,
    /// Entries that a witness has cosigned last, by its name.
    latest: BTreeMap<String, u64>,
    tls: Arc<rustls::ClientConfig>,
}

/// What a witness said.
enum Answer {
    /// Lines of signatures.
    Lines(String),
    /// It has cosigned another size last.
    Latest(u64),
}

/// The cosigned checkpoint that is kept in this data directory; `None` where there is none that the policy accepts.
///
/// # Errors
/// When it cannot be read.
pub fn cosigned(data: &Path, policy: &Policy) -> anyhow::Result<Option<Cosigned>> {
    let path = data.join(FILE);
    let note = files::read_small(&path, MAX_NOTE);
    let Some(note) = note.with_context(|| format!("could not read {}", path.display()))? else {
        return Ok(None);
    };
    // Of another policy, or of another log: it will be made anew.
    let Ok(checked) = policy.check(&note) else { return Ok(None) };
    let cosigned = Cosigned { size: checked.head.size, note, by: checked.by };
    Ok(Some(cosigned).filter(|_| checked.is_quorum && policy.asks_witnesses()))
}

impl Witnesses {
    /// For a policy whose one log is ours.
    ///
    /// # Errors
    /// When a witness has no address that can be asked.
    pub fn new(policy: Policy, readers: Readers, data: &Path) -> anyhow::Result<Self> {
        for witness in &policy.witnesses {
            address(witness)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        // What of the system's own list is no authority is passed over, as everybody does.
        let (_, _) = roots.add_parsable_certificates(found.certs);
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (file, latest, tls) = (data.join(FILE), BTreeMap::new(), Arc::new(tls));
        Ok(Self { policy, readers, file, latest, tls })
    }

    /// Asks until `stop` fires.
    ///
    /// # Errors
    /// None: what fails is said, and tried again.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        loop {
            if let Err(error) = self.round().await {
                warn!(error = daemon::chain(error.as_ref()), "no checkpoint was cosigned");
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Asks all witnesses to cosign the newest checkpoint, unless enough have; what is kept afterwards.
    ///
    /// # Errors
    /// When the ledger cannot be read or the file cannot be written. A witness that does not answer is no error.
    pub async fn round(&mut self) -> anyhow::Result<Option<Cosigned>> {
        let data = self.file.parent().unwrap_or(Path::new("."));
        let kept = cosigned(data, &self.policy)?;
        let checkpoint = self.readers.read(|ledger| ledger.checkpoint()).await?;
        if checkpoint.size == 0 || kept.as_ref().is_some_and(|kept| kept.size == checkpoint.size) {
            return Ok(kept);
        }
        let asked = self.policy.witnesses.iter().map(|witness| {
            let latest = self.latest.get(&witness.name).copied().unwrap_or(0);
            self.cosignature(witness, (checkpoint.size, &checkpoint.note), latest)
        });
        let answers = join_all(asked).await;
        let mut note = checkpoint.note.clone();
        for (witness, answer) in self.policy.witnesses.iter().zip(answers) {
            match answer {
                Ok((lines, size)) => {
                    note.push_str(&lines);
                    self.latest.insert(witness.name.clone(), size);
                }
                Err(error) => {
                    warn!(witness = witness.name, error = daemon::chain(error.as_ref()), "not cosigned");
                }
            }
        }
        let checked = self.policy.check(&note)?;
        if !checked.is_quorum {
            warn!(size = checkpoint.size, by = checked.by.len(), "too few witnesses have cosigned");
            return Ok(kept);
        }
        let file = self.file.clone();
        files::write_whole(&file, note.as_bytes(), files::PUBLIC)
            .with_context(|| format!("could not write {}", file.display()))?;
        info!(size = checkpoint.size, by = checked.by.len(), "checkpoint cosigned");
        Ok(Some(Cosigned { size: checkpoint.size, note, by: checked.by }))
    }

    /// The signature lines of one witness, checked, and what it has cosigned last.
    async fn cosignature(
        &self,
        witness: &Witness,
        (size, note): (u64, &str),
        latest: u64,
    ) -> anyhow::Result<(String, u64)> {
        let mut from = latest;
        // The second time it has said where to begin; more often it would be two who ask at once.
        for _ in 0..3 {
            let path = self
                .readers
                .read(move |ledger| ledger.consistency(from, size))
                .await?
                .with_context(|| format!("there are {size} entries, and it has seen {from}"))?;
            let proof: String = path.iter().map(|hash| format!("{}\n", BASE64.encode(hash))).collect();
            let body = format!("old {from}\n{proof}\n{note}");
            let answer = tokio::time::timeout(PATIENCE, self.ask(witness, body)).await;
            match answer.map_err(|_| anyhow!("no answer within {} s", PATIENCE.as_secs()))?? {
                Answer::Lines(lines) => {
                    let lines = self.good(witness, note, &lines)?;
                    debug!(witness = witness.name, size, "cosigned");
                    return Ok((lines, size));
                }
                Answer::Latest(seen) if seen > size => {
                    error!(
                        witness = witness.name,
                        seen, size, "a witness has seen more of this log: it was taken back"
                    );
                    bail!("it has seen {seen} entries of this log, which has {size}");
                }
                Answer::Latest(seen) if seen == from => {
                    error!(witness = witness.name, size, "a witness has seen another log by this key");
                    bail!("it has seen another log of {size} entries by this key");
                }
                Answer::Latest(seen) => from = seen,
            }
        }
        bail!("it goes on being asked by somebody else")
    }

    /// Of what a witness answered the lines that are its own, once they hold.
    fn good(&self, witness: &Witness, note: &str, lines: &str) -> anyhow::Result<String> {
        let own = format!("— {} ", witness.key.name());
        let own: String = lines.split_inclusive('\n').filter(|line| line.starts_with(&own)).take(4).collect();
        let checked = self.policy.check(&format!("{note}{own}"));
        let holds = checked.is_ok_and(|checked| checked.by.iter().any(|(name, _)| *name == witness.name));
        ensure!(holds, "its signature is not its");
        Ok(own)
    }

    async fn ask(&self, witness: &Witness, body: String) -> anyhow::Result<Answer> {
        let Address { tls, host, port, path } = address(witness)?;
        let tcp = TcpStream::connect((host.as_str(), port)).await;
        let tcp = tcp.with_context(|| format!("could not reach {host}:{port}"))?;
        if !tls {
            return exchange(tcp, &host, &path, body).await;
        }
        let name = ServerName::try_from(host.clone())?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await;
        exchange(stream.with_context(|| format!("no TLS with {host}:{port}"))?, &host, &path, body).await
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    path: &str,
    body: String,
) -> anyhow::Result<Answer> {
    let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await?;
    let request = Request::post(path).header("host", host).body(Full::new(Bytes::from(body)))?;
    // It takes the sender with it: a connection that is kept alive ends when nobody can ask on it any more.
    let exchange = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow!("its answer cannot be read: {error}"))?.to_bytes();
        anyhow::Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    // The connection drives the exchange; when it ends first, the exchange fails by itself.
    let (exchanged, _) = tokio::join!(exchange, async { connection.await.is_ok() });
    let (status, text) = exchanged?;
    match status {
        StatusCode::OK => Ok(Answer::Lines(text)),
        StatusCode::CONFLICT => {
            let size = text.trim().parse().context("it answers with no size")?;
            Ok(Answer::Latest(size))
        }
        StatusCode::UNPROCESSABLE_ENTITY => {
            error!(host, "a witness does not accept that this log goes on from what it has seen");
            bail!("it does not accept that this log goes on from what it has seen")
        }
        other => {
            let text: String = text.chars().take(200).collect();
            bail!("it answers {other}: {}", text.trim())
        }
    }
}

struct Address {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

/// Of the witness's submission prefix.
fn address(witness: &Witness) -> anyhow::Result<Address> {
    let name = &witness.name;
    let url = witness.url.as_deref().with_context(|| format!("witness {name} has no address"))?;
    let doing = || format!("`{url}` of witness {name} is no address to ask at");
    let uri: Uri = url.parse().with_context(doing)?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        Some(_) | None => bail!("{}: it begins with http:// or https://", doing()),
    };
    let host = uri.host().with_context(doing)?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let path = format!("{}/add-checkpoint", uri.path().trim_end_matches('/'));
    Ok(Address { tls, host, port, path })
}

/// Whether each witness of a policy has an address, for who checks a configuration.
///
/// # Errors
/// The first that has none.
pub fn all_have_addresses(policy: &Policy) -> anyhow::Result<()> {
    policy.witnesses.iter().try_for_each(|witness| address(witness).map(drop))
}
