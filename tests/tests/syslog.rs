//! What a host sends by rsyslog: datagrams, lines on a connection, and messages by length in TLS with certificates on
//! both sides, and across a restart of the gateway's port.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use collectors::manifest::{Manifest, Source};
use collectors::{Sample, SampleSender, Shared};
use daemon::SystemClock;
use proof::What;
use tests::foreign::needed;
use tests::process::{PATIENCE, Process, free_address, listens, until};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// rsyslog on a host: what it is given on one port it sends to the gateway's three.
struct Host {
    folder: tempfile::TempDir,
    input: String,
    /// The gateway's ports: udp, tcp, tls.
    ports: [String; 3],
}

impl Host {
    fn prepare() -> anyhow::Result<Self> {
        let ports = [free_address()?, free_address()?, free_address()?];
        let host = Self { folder: tempfile::tempdir()?, input: free_address()?, ports };
        let key = rcgen::KeyPair::generate()?;
        let mut authority = rcgen::CertificateParams::default();
        authority.distinguished_name.push(rcgen::DnType::CommonName, "the plant");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        host.write("ca.pem", &authority.self_signed(&key)?.pem())?;
        let issuer = rcgen::Issuer::new(authority, key);
        for name in ["gateway", "erp"] {
            let key = rcgen::KeyPair::generate()?;
            let mut params = rcgen::CertificateParams::new([name.to_owned()])?;
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            host.write(&format!("{name}.pem"), &params.signed_by(&key, &issuer)?.pem())?;
            host.write(&format!("{name}.key"), &key.serialize_pem())?;
        }
        let at = |name: &str| host.folder.path().join(name).display().to_string();
        let [udp, tcp, tls] = host.ports.each_ref().map(|address| port(address));
        host.write(
            "rsyslog.conf",
            &format!(
                r#"global(workDirectory="{}" net.enableDNS="off" localHostname="ERPHOST" processInternalMessages="on"
    DefaultNetstreamDriverCAFile="{}" DefaultNetstreamDriverCertFile="{}" DefaultNetstreamDriverKeyFile="{}")
module(load="imptcp")
input(type="imptcp" address="127.0.0.1" port="{}")
if $syslogfacility-text == "syslog" then {{
    action(type="omfile" file="{}")
    stop
}}
action(type="omfwd" target="127.0.0.1" port="{udp}" protocol="udp" template="RSYSLOG_SyslogProtocol23Format")
action(name="tcp" type="omfwd" target="127.0.0.1" port="{tcp}" protocol="tcp" template="RSYSLOG_TraditionalForwardFormat"
    queue.type="LinkedList" action.resumeRetryCount="-1" action.resumeInterval="1")
action(name="tls" type="omfwd" target="127.0.0.1" port="{tls}" protocol="tcp" template="RSYSLOG_SyslogProtocol23Format"
    TCP_Framing="octet-counted" StreamDriver="ossl" StreamDriverMode="1" StreamDriverAuthMode="x509/name"
    StreamDriverPermittedPeers="gateway"
    queue.type="LinkedList" action.resumeRetryCount="-1" action.resumeInterval="1")
"#,
                at(""),
                at("ca.pem"),
                at("erp.pem"),
                at("erp.key"),
                port(&host.input),
                at("own.log"),
            ),
        )?;
        Ok(host)
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.folder.path().join(name), text)?)
    }

    async fn start(&self) -> anyhow::Result<Process> {
        let mut command = Command::new(needed("INUSE_RSYSLOG")?);
        command.arg("-n").arg("-f").arg(self.folder.path().join("rsyslog.conf"));
        command.arg("-i").arg(self.folder.path().join("rsyslog.pid"));
        let mut process = Process::spawn("rsyslog", command, &self.folder.path().join("rsyslog.log"))?;
        process.listens(&self.input).await?;
        Ok(process)
    }

    /// What a program on the host writes into its log.
    async fn says(&self, numbers: std::ops::Range<u32>) -> anyhow::Result<()> {
        let mut stream = TcpStream::connect(&self.input).await?;
        for number in numbers {
            let line =
                format!("<13>Nov 22 10:00:00 ERPHOST kingdee[812]: [INFO] 张三 审核 采购订单 {number}\n");
            stream.write_all(line.as_bytes()).await?;
        }
        Ok(stream.shutdown().await?)
    }

    /// Goes on saying something until rsyslog has learned that nobody listens, where it can learn it. The next number.
    async fn says_to_nobody(&self, first: u32) -> anyhow::Result<u32> {
        let next = Cell::new(first);
        until("rsyslog knows that nobody listens", || async {
            self.says(next.get()..next.get() + 1).await?;
            next.set(next.get() + 1);
            let own = std::fs::read_to_string(self.folder.path().join("own.log")).unwrap_or_default();
            let is_known = |action: &str| own.contains(&format!("action '{action}' suspended"));
            Ok((is_known("tcp") && is_known("tls")).then_some(next.get()))
        })
        .await
    }

    fn sources(&self) -> anyhow::Result<Vec<Source>> {
        let mut text = String::new();
        for (carrier, listen) in ["udp", "tcp", "tls"].iter().zip(&self.ports) {
            text.push_str(&format!(
                "[[sources]]\nname = \"{carrier}\"\ncadence = \"1s\"\n[sources.syslog]\nlisten = \"{listen}\"\n\
                 transport = \"{carrier}\"\nfrom = [\"127.0.0.1\"]\n\
                 rules = [{{ module = \"purchase\", action = \"approve\", when = [\
                 {{ field = \"syslog_app\", equals = \"kingdee\" }}, {{ field = \"text\", regex = \"审核\" }}] }}]\n"
            ));
        }
        text.push_str(
            "certificate_file = \"gateway.pem\"\nkey_file = \"gateway.key\"\nclient_ca_file = \"ca.pem\"\n",
        );
        let manifest = Manifest::parse("manifest.toml", &text, self.folder.path());
        Ok(manifest.map_err(|wrong| anyhow::anyhow!("{wrong}"))?.sources)
    }
}

fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap_or_default()
}

/// Runs a source's collector until the record with this number came; the texts of all that came and the bookmark after
/// them.
async fn heard(
    source: &Source,
    bookmark: Option<Vec<u8>>,
    last: u32,
) -> anyhow::Result<(Vec<String>, Vec<u8>)> {
    let (tx, mut samples) = mpsc::channel::<Sample>(64);
    let stop = CancellationToken::new();
    let out =
        SampleSender::new(source.index, Duration::from_millis(100), Arc::new(SystemClock), tx, stop.clone());
    let mut collector = collectors::build(source, bookmark.as_deref(), Path::new(""), &Shared::default())?;
    let work = async {
        let _ends = stop.clone().drop_guard();
        let (mut texts, mut bookmark) = (Vec::new(), bookmark.clone().unwrap_or_default());
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        let is_last = |text: &String| number(text) == last;
        while !texts.iter().any(is_last) {
            let sample = tokio::select! {
                sample = samples.recv() => sample,
                () = &mut patience => bail!("{}: {} came, and not {last}", source.name, texts.len()),
            };
            let What::Records(records) = sample.context("the collector ended")?.observation.what else {
                continue;
            };
            assert_eq!(records.unparsed, 0);
            for record in records.records {
                assert_eq!(record.action, proof::wire::ActionClass::Approve, "{record:?}");
                assert!(record.event_ms.is_some(), "{record:?}");
                let fields: Vec<_> =
                    record.fields.iter().map(|field| String::from_utf8_lossy(field)).collect();
                assert_eq!(fields[3..6], ["ERPHOST", "kingdee", "812"], "{fields:?}");
                texts.push(fields[8].clone().into_owned());
            }
            bookmark = records.bookmark;
        }
        Ok((texts, bookmark))
    };
    let (ended, worked) = tokio::join!(collector.run(&out, &stop), work);
    ended?;
    worked
}

fn number(text: &str) -> u32 {
    text.rsplit(' ').next().and_then(|last| last.parse().ok()).expect("it was said with a number")
}

/// These and no others, in order.
#[track_caller]
fn said<'a>(numbers: std::ops::Range<u32>, texts: impl IntoIterator<Item = &'a String>) {
    let texts: Vec<_> = texts.into_iter().collect();
    assert_eq!(texts.len(), numbers.len());
    for (number, text) in numbers.zip(texts) {
        assert_eq!(*text, format!("[INFO] 张三 审核 采购订单 {number}"));
    }
}

#[tokio::test]
#[ignore = "needs rsyslog: cargo xtask test"]
async fn what_rsyslog_sends_is_heard_once_in_order_and_what_it_queued_while_nobody_listened_too()
-> anyhow::Result<()> {
    let host = Host::prepare()?;
    let sources = host.sources()?;
    let process = host.start().await?;
    let (udp, tcp, tls, sent) = tokio::join!(
        heard(&sources[0], None, 199),
        heard(&sources[1], None, 199),
        heard(&sources[2], None, 199),
        async {
            // Datagrams are for those who listen.
            for address in &host.ports[1..] {
                listens(address).await?;
            }
            let bound = format!("0100007F:{:04X} ", port(&host.ports[0]).parse::<u16>()?);
            until("the port for datagrams is open", || async {
                Ok(std::fs::read_to_string("/proc/net/udp")?.contains(&bound).then_some(()))
            })
            .await?;
            host.says(0..200).await
        },
    );
    sent?;
    let (tcp, tls) = (tcp?, tls?);
    for texts in [&udp?.0, &tcp.0, &tls.0] {
        said(0..200, texts);
    }
    // Nobody listens now. What a host's system had taken when it learned of that is lost, as without receipts it must
    // be; what is said from then on waits at the host.
    let waits = host.says_to_nobody(200).await?;
    host.says(waits..waits + 100).await?;
    let last = waits + 99;
    let (tcp, tls) =
        tokio::join!(heard(&sources[1], Some(tcp.1), last), heard(&sources[2], Some(tls.1), last));
    for texts in [&tcp?.0, &tls?.0] {
        // What rsyslog tries again it puts behind what came since.
        let (early, waited): (Vec<_>, Vec<_>) = texts.iter().partition(|text| number(text) < waits);
        said(waits..last + 1, waited);
        let once = early.iter().collect::<BTreeSet<_>>();
        assert_eq!(once.len(), early.len(), "{early:?}");
    }
    process.terminate().await
}
