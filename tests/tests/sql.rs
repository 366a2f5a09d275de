//! Audit tables of real database servers: rows in are observations out, once, whatever happens in between.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use collectors::manifest::{Kind, Manifest, Source};
use collectors::{SampleSender, Shared};
use daemon::SystemClock;
use proof::wire::{ActionClass, RewriteKind};
use proof::{Record, Rewrite, What};
use tests::databases::{DATABASE, Product, READER, Server, WRITER};
use tests::installer::Installer;
use tests::plant::mes::{Deed, Mes, insert, table};
use tests::process::PATIENCE;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The manifest's source for the table of `server`.
fn source(
    kind: &str,
    server: &Server,
    account: (&str, &str),
    line: &str,
    folder: &Path,
) -> anyhow::Result<Source> {
    let (user, password) = account;
    let host = if line.contains("ca_file") { "localhost" } else { "127.0.0.1" };
    std::fs::write(folder.join("password"), password)?;
    let text = format!(
        "[[sources]]\nname = \"MES 操作日志\"\ncadence = \"1s\"\n[sources.table]\nmap = \"ruoyi_oper_log\"\n\
         max_rows = 500\noverlap = \"1s\"\n[sources.table.server]\nkind = \"{kind}\"\nhost = \"{host}\"\nport = {}\n\
         database = \"{DATABASE}\"\nuser = \"{user}\"\npassword_file = \"password\"\n{line}\n",
        server.port()
    );
    let manifest =
        Manifest::parse("manifest.toml", &text, folder).map_err(|wrong| anyhow::anyhow!("{wrong}"))?;
    manifest.sources.into_iter().next().context("one source")
}

/// An agent in little: it runs the collector again when it ends, from the bookmark stored last.
struct Follower {
    source: Source,
    bookmark: Option<Vec<u8>>,
    records: BTreeMap<u64, Record>,
    rewrites: Vec<Rewrite>,
    silences: usize,
}

impl Follower {
    fn new(source: Source) -> Self {
        Self { source, bookmark: None, records: BTreeMap::new(), rewrites: Vec::new(), silences: 0 }
    }

    /// Follows until `enough`, with something happening meanwhile.
    async fn follow_while(
        &mut self,
        meanwhile: impl Future<Output = anyhow::Result<()>>,
        enough: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let (tx, mut rx) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let out = SampleSender::new(1, Duration::from_millis(20), Arc::new(SystemClock), tx, stop.clone());
        let (source, first) = (self.source.clone(), self.bookmark.clone());
        let running = async {
            let mut collector =
                collectors::build(&source, first.as_deref(), Path::new(""), &Shared::default())?;
            while !stop.is_cancelled() {
                if let Err(error) = collector.run(&out, &stop).await {
                    tracing::info!(%error, "collector ended");
                }
            }
            anyhow::Ok(())
        };
        // What comes is taken until both have ended: nobody waits for room meanwhile.
        let both = async {
            let mut meanwhile = std::pin::pin!(meanwhile);
            let mut happened = false;
            while !(happened && enough(self)) {
                tokio::select! {
                    done = &mut meanwhile, if !happened => {
                        done?;
                        happened = true;
                    }
                    sample = rx.recv() => self.take(sample.context("somebody sends")?.observation.what)?,
                }
            }
            anyhow::Ok(())
        };
        let outcome = tokio::select! {
            ended = running => ended,
            seen = tokio::time::timeout(PATIENCE, both) => seen.context("waited too long").flatten(),
        };
        outcome.with_context(|| {
            let (records, silences) = (self.records.len(), self.silences);
            format!("{records} records, {silences} silences, {:?}", self.rewrites)
        })?;
        Ok(())
    }

    async fn follow(&mut self, enough: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        self.follow_while(async { Ok(()) }, enough).await
    }

    fn take(&mut self, what: What) -> anyhow::Result<()> {
        match what {
            What::Records(records) => {
                anyhow::ensure!(records.unparsed == 0, "{} rows not understood", records.unparsed);
                self.bookmark = Some(records.bookmark);
                self.rewrites.extend(records.rewrites);
                for record in records.records {
                    let id = String::from_utf8(record.fields[0].clone())?.parse()?;
                    anyhow::ensure!(self.records.insert(id, record).is_none(), "row {id} came twice");
                }
            }
            What::Silent(_) => self.silences += 1,
            What::Cycle(_) | What::Kept(_) => anyhow::bail!("a table has no points"),
        }
        Ok(())
    }

    fn told(&self, kind: RewriteKind) -> u32 {
        self.rewrites.iter().filter(|rewrite| rewrite.kind == kind).map(|rewrite| rewrite.rows).sum()
    }
}

async fn rows_come_once(product: Product, kind: &str) -> anyhow::Result<()> {
    tests::process::log_when_asked();
    let folder = tempfile::tempdir()?;
    let mut server = Server::start(product).await?;
    server.write(&table(product)).await?;
    server.write(&insert([1, 2, 3, 7])).await?;
    let line = format!("server_thumbprint = \"{}\"", server.pin());
    let mut follower = Follower::new(source(kind, &server, READER, &line, folder.path())?);

    follower.follow(|seen| seen.records.len() == 4).await?;
    let record = &follower.records[&3];
    assert_eq!(record.account.as_deref(), Some("wang03"));
    assert_eq!((record.action, record.event_ms), (ActionClass::Report, Some(1_750_204_995_000 + 30_000)));
    assert_eq!(record.fields[1], "报工单".as_bytes());

    // Numbers that were given out before others and committed after them.
    server.write(&insert([5, 4, 9])).await?;
    follower.follow(|seen| seen.records.len() == 7).await?;

    // Sessions that are cut while a long history is read.
    server.write(&insert(10..20_010)).await?;
    let cutting = async {
        for _ in 0..5 {
            while !server.cut_reader().await? {}
        }
        Ok(())
    };
    follower.follow_while(cutting, |seen| seen.records.len() == 20_007).await?;
    assert!(follower.silences > 0, "no session was cut");

    // A server that is killed, and comes back with more.
    server.kill().await?;
    let before = follower.silences;
    follower.follow(|seen| seen.silences > before).await?;
    server.up().await?;
    server.write(&insert(20_010..20_020)).await?;
    follower.follow(|seen| seen.records.len() == 20_017).await?;
    assert_eq!(follower.rewrites, []);

    // History that is tidied up before an acceptance.
    server.write("UPDATE sys_oper_log SET oper_name = 'li03' WHERE oper_id = 20015").await?;
    server.write("DELETE FROM sys_oper_log WHERE oper_id IN (20012, 20013)").await?;
    server.write("DELETE FROM sys_oper_log WHERE oper_id = 9000").await?;
    server.write("UPDATE sys_oper_log SET status = 1 WHERE oper_id = 15000").await?;
    follower
        .follow(|seen| seen.told(RewriteKind::Edited) == 2 && seen.told(RewriteKind::Removed) == 3)
        .await?;
    assert_eq!(follower.records.len(), 20_017);
    // A retention.
    server.write("DELETE FROM sys_oper_log WHERE oper_id < 5000").await?;
    follower.follow(|seen| seen.told(RewriteKind::Trimmed) == 4_997).await?;
    assert_eq!((follower.told(RewriteKind::Edited), follower.told(RewriteKind::Removed)), (2, 3));
    Ok(())
}

/// A word of what the product says of its version.
fn version_of(product: Product) -> &'static str {
    match product {
        Product::PostgreSql => "PostgreSQL",
        Product::MariaDb => "MariaDB",
    }
}

async fn a_server_is_known_and_rights_are_told(product: Product, kind: &str) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(product).await?;
    server.write(&table(product)).await?;
    server.write(&insert(1..=30)).await?;
    let ask = async |account, line: &str| {
        let source = source(kind, &server, account, line, folder.path())?;
        anyhow::Ok(collectors::probe(&source, Path::new("")).await?)
    };
    // Without a pin it says what to compare, and with another one it does not log in.
    let pin = server.pin();
    let unpinned = ask(READER, "").await?;
    assert_eq!(unpinned.server_thumbprint.as_deref(), Some(pin));
    assert!(unpinned.refused.is_some_and(|why| why.contains(pin)));
    let other = ask(READER, &format!("server_thumbprint = \"{}\"", "0".repeat(64))).await?;
    assert!(other.refused.is_some() && other.records.is_none());

    let pinned = ask(READER, &format!("server_thumbprint = \"{pin}\"")).await?;
    let (records, lines, unparsed) = pinned.records.context("records")?;
    assert_eq!((records.len(), lines, unparsed), (20, 20, 0));
    assert_eq!(records[19].fields[0], b"30");
    assert_eq!(pinned.warnings, [""; 0]);
    let by_authority = ask(READER, &format!("ca_file = \"{}\"", server.ca_file().display())).await?;
    assert_eq!(by_authority.records.map(|(records, ..)| records.len()), Some(20));

    let baseline = source(kind, &server, READER, &format!("server_thumbprint = \"{pin}\""), folder.path())?;
    let facts = collectors::before(&baseline, Path::new("")).await?;
    let fact = |name: &str| facts.iter().find(|fact| fact.name == name).map(|fact| fact.value.as_str());
    assert!(fact("version").is_some_and(|version| version.contains(version_of(product))), "{facts:?}");
    assert_eq!((fact("first row: key"), fact("last row: key")), (Some("1"), Some("30")), "{facts:?}");
    assert!(fact("first row: time") < fact("last row: time"), "{facts:?}");
    let columns: usize = fact("columns that the account sees").context("columns")?.parse()?;
    let tables: Vec<_> = fact("tables").context("tables")?.lines().collect();
    assert!(columns > 10 && tables.len() == 1, "{facts:?}");
    assert!(tables[0].contains(".sys_oper_log: oper_id bigint, title "), "{facts:?}");

    let open = ask(WRITER, "tls = \"none\"").await?;
    assert!(open.warnings.iter().any(|warning| warning.contains("INSERT")), "{:?}", open.warnings);
    assert!(open.warnings.iter().any(|warning| warning.contains("unprotected")), "{:?}", open.warnings);
    let wrong = ask((READER.0, "wrong"), &format!("server_thumbprint = \"{pin}\"")).await?;
    assert!(wrong.refused.is_some(), "{wrong:?}");
    Ok(())
}

/// An MES whose history is tampered with, and an agent that is killed now and then.
async fn chaos_is_told(product: Product, kind: &str, seed: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(product).await?;
    let mut mes = Mes::open(&server, seed).await?;
    let line = format!("server_thumbprint = \"{}\"", server.pin());
    let mut follower = Follower::new(source(kind, &server, READER, &line, folder.path())?);
    for _ in 0..60 {
        // Each round is a run of its own: the collector is dropped wherever it is, and made again from its bookmark.
        let deed = mes.step().await?;
        let expected = mes.account();
        let reads = |seen: &Follower| seen.records.len() as u64 == expected.visible;
        let tells = |seen: &Follower, kind, rows: u64| u64::from(seen.told(kind)) == rows;
        match deed {
            // Nobody waits: the next round finds it.
            Deed::WroteLate => {}
            Deed::Wrote | Deed::Committed => follower.follow(reads).await?,
            Deed::Edited | Deed::Deleted | Deed::Trimmed => {
                let all = |seen: &Follower| {
                    tells(seen, RewriteKind::Edited, expected.edited)
                        && tells(seen, RewriteKind::Removed, expected.removed)
                        && tells(seen, RewriteKind::Trimmed, expected.trimmed)
                };
                follower
                    .follow(all)
                    .await
                    .with_context(|| format!("{deed:?}: {expected:?} {:?}", follower.rewrites))?;
            }
        }
    }
    mes.finish().await?;
    let expected = mes.account();
    follower.follow(|seen| seen.records.len() as u64 == expected.visible).await?;
    let told = [RewriteKind::Edited, RewriteKind::Removed, RewriteKind::Trimmed]
        .map(|kind| u64::from(follower.told(kind)));
    assert_eq!(told, [expected.edited, expected.removed, expected.trimmed]);
    Ok(())
}

#[tokio::test]
#[ignore = "needs postgresql: cargo xtask test"]
async fn an_mes_in_chaos_on_postgresql_is_read_once_and_told_of() -> anyhow::Result<()> {
    chaos_is_told(Product::PostgreSql, "postgresql", 20_250_618).await
}

#[tokio::test]
#[ignore = "needs mariadb: cargo xtask test"]
async fn an_mes_in_chaos_on_mariadb_is_read_once_and_told_of() -> anyhow::Result<()> {
    chaos_is_told(Product::MariaDb, "mariadb", 20_250_619).await
}

#[tokio::test]
#[ignore = "needs postgresql: cargo xtask test"]
async fn rows_of_postgresql_come_once_through_cuts_and_restarts_and_tampering_is_told() -> anyhow::Result<()>
{
    rows_come_once(Product::PostgreSql, "postgresql").await
}

#[tokio::test]
#[ignore = "needs mariadb: cargo xtask test"]
async fn rows_of_mariadb_come_once_through_cuts_and_restarts_and_tampering_is_told() -> anyhow::Result<()> {
    rows_come_once(Product::MariaDb, "mariadb").await
}

#[tokio::test]
#[ignore = "needs postgresql: cargo xtask test"]
async fn postgresql_is_known_by_its_certificate_and_an_account_that_may_write_is_told() -> anyhow::Result<()>
{
    a_server_is_known_and_rights_are_told(Product::PostgreSql, "postgresql").await
}

#[tokio::test]
#[ignore = "needs mariadb: cargo xtask test"]
async fn mariadb_is_known_by_its_certificate_and_an_account_that_may_write_is_told() -> anyhow::Result<()> {
    a_server_is_known_and_rights_are_told(Product::MariaDb, "mariadb").await
}

#[tokio::test]
#[ignore = "needs mariadb: cargo xtask test"]
async fn texts_of_every_character_set_of_mariadb_are_read_as_what_they_are() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(Product::MariaDb).await?;
    let gbk = table(Product::MariaDb).replace("title varchar(50)", "title varchar(50) CHARACTER SET gbk");
    server.write(&gbk.replace("dept_name varchar(50)", "dept_name varchar(50) CHARACTER SET big5")).await?;
    server.write(&insert(1..=1).replace("一车间", "一車間")).await?;
    let line = format!("server_thumbprint = \"{}\"", server.pin());
    let source = source("mariadb", &server, READER, &line, folder.path())?;
    let probe = collectors::probe(&source, Path::new("")).await?;
    let (records, ..) = probe.records.context("records")?;
    let texts: Vec<_> = [1, 7].iter().map(|at| String::from_utf8_lossy(&records[0].fields[*at])).collect();
    assert_eq!(texts, ["报工单", "一車間"]);
    Ok(())
}

/// Sets up an audit table, whose database is known by its certificate.
fn sees_its_rows(config: &Path, port: &str, password: &str, thumbprint: &str) -> anyhow::Result<()> {
    let mut installer = Installer::begins(config, "zh")?;
    installer.introduces_himself()?;
    installer.told("添加什么", "7")?;
    installer.told("哪种数据库", "3")?;
    installer.told("主机名或地址", "127.0.0.1")?;
    installer.told("端口", port)?;
    installer.told("数据库名", DATABASE)?;
    installer.told("只读帐号", READER.0)?;
    installer.told("存放口令的文件", password)?;
    installer.told("连接怎样保护", "0")?;
    installer.told("名称", "MES 操作日志")?;
    installer.told("多久读一次", "1s")?;
    let map = installer.number_of("ruoyi_oper_log（")?;
    installer.told("选择", &map)?;
    installer.reads(thumbprint)?;
    installer.told("与服务器屏幕上的一致", "y")?;
    installer.reads("5 行中 0 行没有读懂")?;
    installer.reads("报工单")?;
    installer.told("这样读对吗", "")?;
    installer.told("管理员帐号", "")?;
    installer.told("接口帐号", "")?;
    installer.told("含有哪个词", "报工单")?;
    installer.told("哪个模块", "6")?;
    installer.told("什么动作", "2")?;
    installer.told("含有哪个词", "")?;
    installer.reads("已添加 MES 操作日志")?;
    installer.finishes_without_enrolling()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgresql: cargo xtask test"]
async fn an_installer_pins_postgresql_and_sees_the_rows_of_its_audit_table() -> anyhow::Result<()> {
    let gateway = tempfile::tempdir()?;
    let server = Server::start(Product::PostgreSql).await?;
    server.write(&table(Product::PostgreSql)).await?;
    server.write(&insert(1..=5)).await?;
    let password = gateway.path().join("password");
    std::fs::write(&password, READER.1)?;
    let (config, port) = (gateway.path().join("agent.toml"), server.port().to_owned());
    let (password, pin) = (password.to_str().context("text")?.to_owned(), server.pin().to_owned());
    tokio::task::spawn_blocking(move || sees_its_rows(&config, &port, &password, &pin)).await??;
    let manifest = Manifest::load(&gateway.path().join("manifest.toml"))?;
    let Kind::Table(set_up) = &manifest.sources[0].kind else { anyhow::bail!("it is a table") };
    assert_eq!(
        (set_up.map.name.as_str(), set_up.server.port.to_string()),
        ("ruoyi_oper_log", server.port().into())
    );
    assert_eq!(set_up.rules.len(), 1 + set_up.map.rules.len());
    Ok(())
}
