//! Independent witnesses: the shipped program over real sockets, asked by our server and by a log that lies.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ledger::{LogKey, NewAgent, NewEntry, NewToken, Readers, Sqlite, Store as _};
use proof::log::{Outcome, check_checkpoint};
use proof::policy::Policy;
use proof::{AgentId, EntryId, Kid, SigningKey};
use server::witnesses::Witnesses;
use tests::process::{Process, Program, free_address, run};

const ORIGIN: &str = "city.example/2026";
const AGENT: AgentId = AgentId([7; 16]);
const NOW: i64 = 1_780_000_000_000;

/// Three witnesses of one log, and a policy that asks for two of them.
struct Court {
    folder: tempfile::TempDir,
    log_vkey: String,
    seed: [u8; 32],
    running: Vec<Option<Process>>,
    policy: Policy,
}

/// A ledger of that log's key, with its folder.
struct Log {
    data: PathBuf,
    ledger: Sqlite,
    /// Told apart from another log's entries.
    mark: u8,
}

impl Court {
    async fn sit() -> anyhow::Result<Self> {
        let (folder, seed) = (tempfile::tempdir()?, [5; 32]);
        let log_vkey = LogKey::from_seed(ORIGIN, &seed)?.0.verifier().to_owned();
        let mut text = String::new();
        for name in ["a", "b", "c"] {
            let config = folder.path().join(format!("{name}.toml"));
            let listen = free_address()?;
            let written = format!(
                "data = \"{name}\"\nname = \"{name}.example/w\"\nlisten = \"{listen}\"\nlogs = [\"{log_vkey}\"]\n"
            );
            std::fs::write(&config, written)?;
            let key = run("inuse-witness", &["key"], &config).await?;
            anyhow::ensure!(key.code == Some(0), "{key:?}");
            text.push_str(&format!("witness {name} {} http://{listen}\n", key.out.trim()));
        }
        text.push_str("group two 2 a b c\nquorum two\n");
        let policy = Policy::parse(&text).map_err(|wrong| anyhow::anyhow!("{wrong:?}"))?;
        let policy = policy.of_log(&log_vkey).context("no other log")?;
        Ok(Self { folder, log_vkey, seed, running: vec![None, None, None], policy })
    }

    fn config(&self, at: usize) -> PathBuf {
        self.folder.path().join(["a.toml", "b.toml", "c.toml"][at])
    }

    async fn comes(&mut self, at: usize) -> anyhow::Result<()> {
        let mut process = Program::shipped("inuse-witness")?.start(&self.config(at))?;
        let url = self.policy.witnesses[at].url.clone().context("an address")?;
        process.listens(url.trim_start_matches("http://")).await?;
        self.running[at] = Some(process);
        Ok(())
    }

    async fn goes(&mut self, at: usize) -> anyhow::Result<()> {
        self.running[at].take().context("it runs")?.terminate().await
    }

    /// A ledger in a folder of its own.
    fn log(&self, name: &str, mark: u8) -> anyhow::Result<Log> {
        let data = self.folder.path().join(name);
        std::fs::create_dir_all(&data)?;
        let (key, _) = LogKey::from_seed(ORIGIN, &self.seed)?;
        let mut ledger = Sqlite::open(&data.join("ledger.sqlite"), key)?;
        ledger.add_token([1; 32], &NewToken::of("steel", NOW + 1_000))?;
        let key = SigningKey::from_seed(&[7; 32]).verify_key();
        ledger.enrol([1; 32], &NewAgent::of(AGENT, key, ""), NOW)??;
        Ok(Log { data, ledger, mark })
    }

    fn asks(&self, log: &Log) -> anyhow::Result<Witnesses> {
        let readers = Readers::open(&log.data.join("ledger.sqlite"), 2)?;
        Witnesses::new(self.policy.clone(), readers, &log.data)
    }
}

impl Log {
    fn grow(&mut self, to: u64) -> anyhow::Result<()> {
        let from = self.ledger.read().checkpoint()?.size;
        let batch: Vec<_> = (from + 1..=to).map(|seq| entry(seq, self.mark)).collect();
        self.ledger.append(&batch, NOW)?;
        Ok(())
    }
}

fn entry(seq: u64, mark: u8) -> NewEntry {
    let id = |seq: u64| {
        let mut id = [mark; 32];
        id[..8].copy_from_slice(&seq.to_be_bytes());
        EntryId(id)
    };
    NewEntry {
        agent: AGENT,
        epoch: 1,
        kid: Kid([1; 8]),
        seq,
        entry: id(seq),
        prev: if seq == 1 { EntryId::NONE } else { id(seq - 1) },
        kind: "something".to_owned(),
        recv_ms: NOW,
        outcome: Outcome::Recorded,
        findings: BTreeSet::new(),
        end_ms: None,
        anchor: 0,
        manifest: None,
        rotates: None,
        envelope: Default::default(),
        use_rows: None,
    }
}

/// What `inuse-witness lies` lists, and how it ends.
async fn lies(config: &Path) -> anyhow::Result<(Vec<PathBuf>, Option<i32>)> {
    let said = run("inuse-witness", &["lies"], config).await?;
    Ok((said.out.lines().map(PathBuf::from).collect(), said.code))
}

#[tokio::test]
async fn a_checkpoint_is_kept_once_enough_witnesses_have_cosigned_it_and_receipts_wait_for_none()
-> anyhow::Result<()> {
    let mut court = Court::sit().await?;
    let mut log = court.log("log", 1)?;
    let mut asks = court.asks(&log)?;
    assert_eq!(asks.round().await?, None, "there is nothing to cosign");
    log.grow(10)?;
    assert_eq!(asks.round().await?, None, "nobody is there");
    court.comes(0).await?;
    assert_eq!(asks.round().await?, None, "two of three are away");
    court.comes(2).await?;
    let kept = asks.round().await?.context("a and c have cosigned")?;
    let names: Vec<_> = kept.by.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((kept.size, names), (10, vec!["a", "c"]));
    let checked = court.policy.check(&kept.note)?;
    assert!(checked.is_quorum && checked.head.size == 10, "{checked:?}");
    assert!(kept.note.starts_with(&log.ledger.read().checkpoint()?.note), "it is the log's own, and more");

    // A is away and c was started anew: what c has cosigned is on its disk. B sees the log for the first time.
    court.goes(0).await?;
    log.grow(300)?;
    assert_eq!(asks.round().await?, Some(kept), "the older one is kept");
    court.goes(2).await?;
    court.comes(2).await?;
    court.comes(1).await?;
    // Somebody else asks: it learns from the witnesses where to begin.
    let kept = court.asks(&log)?.round().await?.context("b and c have cosigned")?;
    let names: Vec<_> = kept.by.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((kept.size, names), (300, vec!["b", "c"]));
    assert_eq!(lies(&court.config(2)).await?, (vec![], Some(0)));
    Ok(())
}

#[tokio::test]
async fn a_log_that_takes_something_back_or_shows_two_histories_is_cosigned_by_nobody_who_saw_the_other()
-> anyhow::Result<()> {
    let mut court = Court::sit().await?;
    for at in 0..3 {
        court.comes(at).await?;
    }
    let mut honest = court.log("honest", 1)?;
    honest.grow(20)?;
    let kept = court.asks(&honest)?.round().await?.context("all three have cosigned")?;
    assert_eq!((kept.size, kept.by.len()), (20, 3));

    // An older copy of the ledger, as after a disk was restored: fewer entries, then others in their place.
    let mut older = court.log("older", 1)?;
    older.grow(12)?;
    let mut asks = court.asks(&older)?;
    assert_eq!(asks.round().await?, None, "taken back");
    older.mark = 2;
    older.grow(30)?;
    assert_eq!(asks.round().await?, None, "longer than the one they saw, and another");

    // Another history of the same length shows by itself that the log lies.
    let mut other = court.log("other", 3)?;
    other.grow(20)?;
    assert_eq!(court.asks(&other)?.round().await?, None);
    for at in 0..3 {
        let (found, code) = lies(&court.config(at)).await?;
        assert_eq!((found.len(), code), (1, Some(1)), "witness {at}");
        let both = std::fs::read_to_string(court.folder.path().join(&found[0]))?;
        let split = both.rfind(&format!("\n{ORIGIN}\n20\n")).context("a second checkpoint")?;
        let (first, second) = both.split_at(split + 1);
        let heads = [first.trim_end_matches('\n').to_owned() + "\n", second.to_owned()];
        let [first, second] = heads.map(|note| check_checkpoint(&note, &court.log_vkey));
        let (first, second) = (first?, second?);
        assert!(first.size == second.size && first.root != second.root, "{first:?} {second:?}");
    }

    // The honest one goes on.
    honest.grow(21)?;
    let kept = court.asks(&honest)?.round().await?.context("it goes on from what they saw")?;
    assert_eq!((kept.size, kept.by.len()), (21, 3));
    Ok(())
}
