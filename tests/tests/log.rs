//! The log as others read it: the transparency log of the Go checksum database checks every entry of ours over HTTP, and
//! we check every proof that it makes.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use data_encoding::BASE64;
use ledger::{NewAgent, NewEntry, NewToken, Sqlite, Store as _};
use proof::log::{LogEntry, Outcome, check_checkpoint, check_consistency, check_receipt, proof_text};
use proof::{AgentId, EntryId, Kid, SigningKey, wire};
use serde::Deserialize;
use tests::foreign::{fed, needed};
use tests::http::get;
use tests::process::{Program, free_address};
use tokio::process::Command;

const ORIGIN: &str = "city.example/2026";
const AGENT: AgentId = AgentId([7; 16]);
const NOW: i64 = 1_780_000_000_000;

/// Before, at and behind the edge of a tile, and of two.
const SIZES: [u64; 6] = [1, 255, 256, 257, 512, 700];

#[tokio::test]
#[ignore = "needs Go and golang.org/x/mod: cargo xtask test"]
async fn golang_checks_every_entry_of_our_log_from_its_tiles_and_finds_a_changed_one() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(path("projects"))?;
    std::fs::create_dir_all(path("data"))?;
    let portal = free_address()?;
    let config = format!(
        "data = \"data\"\nprojects = \"projects\"\nnames = [\"127.0.0.1\"]\nroles = [\"portal\"]\n\n\
         [log]\norigin = \"{ORIGIN}\"\n\n[listen]\nportal = \"{portal}\"\n"
    );
    std::fs::write(path("server.toml"), config)?;
    let key = server::log_key::open(&path("data"), ORIGIN)?;
    let verifier = key.verifier().to_owned();
    let mut ledger = Sqlite::open(&path("data/ledger.sqlite"), key)?;
    ledger.add_token([1; 32], &NewToken::of("steel", NOW + 1_000))?;
    let agent = NewAgent::of(AGENT, SigningKey::from_seed(&[7; 32]).verify_key(), "");
    ledger.enrol([1; 32], &agent, NOW)??;
    // The enrolment is the log's first entry.
    let (mut from, mut older) = (1, Vec::new());
    for size in SIZES {
        let batch: Vec<_> = (from + 1..=size).map(entry).collect();
        ledger.append(&batch, NOW)?;
        let checkpoint = path(&format!("checkpoint-{size}"));
        std::fs::write(&checkpoint, ledger.read().checkpoint()?.note)?;
        older.push(checkpoint.display().to_string());
        from = size;
    }
    drop(ledger);
    let mut server = Program::shipped("inuse-server")?.start(&path("server.toml"))?;
    server.listens(&portal).await?;
    let address = format!("http://{portal}/log");
    let arguments: Vec<&str> =
        ["check", &address, &verifier].into_iter().chain(older.iter().map(String::as_str)).collect();
    let said = tlog(&arguments, "").await?.map_err(anyhow::Error::msg)?;
    let said: serde_json::Value = serde_json::from_str(&said)?;
    assert_eq!(
        (said["size"].as_u64(), said["entries"].as_u64(), said["older"].as_u64()),
        (Some(700), Some(700), Some(6))
    );
    // What is not there yet is said to be missing, and what can never be is no resource.
    for (resource, status) in [
        ("checkpoint", 200),
        ("tile/0/000", 200),
        ("tile/0/002.p/188", 200),
        ("tile/0/002.p/189", 404),
        ("tile/0/002", 404),
        ("tile/1/000.p/2", 200),
        ("tile/1/000.p/3", 404),
        ("tile/entries/002.p/1", 200),
        ("tile/0/000.p/0", 404),
        ("tile/200/000", 404),
        ("tile/0/../../api/firms", 404),
    ] {
        assert_eq!(get(portal.parse()?, &format!("/log/{resource}")).await?.0, status, "{resource}");
    }
    server.terminate().await?;

    // The owner of the server changes an entry behind the log's back.
    let database = rusqlite::Connection::open(path("data/ledger.sqlite"))?;
    let change = "UPDATE entries SET log_entry = ?2 WHERE log_entry = ?1";
    let changed = database.execute(change, (log_entry(301, 0).encode(), log_entry(301, 1).encode()))?;
    ensure!(changed == 1, "the entry is in the ledger");
    drop(database);
    let mut server = Program::shipped("inuse-server")?.start(&path("server.toml"))?;
    server.listens(&portal).await?;
    let refused = tlog(&["check", &address, &verifier], "").await?.unwrap_err();
    assert!(refused.contains("entry 300"), "{refused}");
    server.terminate().await
}

#[derive(Deserialize)]
struct Made {
    key: String,
    checkpoints: Vec<String>,
    records: Vec<Vec<String>>,
    trees: Vec<Vec<String>>,
}

#[tokio::test]
#[ignore = "needs Go and golang.org/x/mod: cargo xtask test"]
async fn every_proof_of_a_log_that_golang_made_holds_here_and_none_of_another_entry() -> anyhow::Result<()> {
    let entries: Vec<_> = (1..=700).map(|seq| log_entry(seq, 0).encode()).collect();
    let lines: String = entries.iter().map(|entry| BASE64.encode(entry) + "\n").collect();
    let sizes = SIZES.map(|size| size.to_string());
    let arguments: Vec<&str> =
        ["make", "go.example/log"].into_iter().chain(sizes.iter().map(String::as_str)).collect();
    let made = tlog(&arguments, &lines).await?.map_err(anyhow::Error::msg)?;
    let made: Made = serde_json::from_str(&made)?;
    let last = made.checkpoints.last().context("a checkpoint")?;
    ensure!(made.records.len() == entries.len() && made.trees.len() == SIZES.len());
    for (index, (entry, path)) in (0_u64..).zip(entries.iter().zip(&made.records)) {
        let proof = proof_text(index, &hashes(path)?, last);
        let receipt = wire::Receipt { entry: entry.clone(), proof };
        let checked = check_receipt(&receipt, id(index + 1), &made.key)?;
        assert_eq!((checked.index, checked.size), (index, 700));
        let other = wire::Receipt { entry: log_entry(index + 1, 1).encode(), ..receipt };
        assert!(check_receipt(&other, id(index + 1), &made.key).is_err(), "{index}");
    }
    let after = check_checkpoint(last, &made.key)?;
    for ((note, size), path) in made.checkpoints.iter().zip(SIZES).zip(&made.trees) {
        let before = check_checkpoint(note, &made.key)?;
        assert_eq!(before.size, size);
        check_consistency(&before, &after, &hashes(path)?)?;
        let forked = proof::log::Head { root: [9; 32], ..before };
        assert!(check_consistency(&forked, &after, &hashes(path)?).is_err(), "{size}");
    }
    Ok(())
}

/// Of a later version: nobody here reads what is in it.
const KIND: &str = "later";

fn id(seq: u64) -> EntryId {
    let mut id = [3; 32];
    id[..8].copy_from_slice(&seq.to_be_bytes());
    EntryId(id)
}

fn log_entry(seq: u64, later_ms: i64) -> LogEntry {
    LogEntry {
        kind: KIND.to_owned(),
        kid: Kid([1; 8]),
        epoch: 1,
        seq,
        entry: id(seq),
        recv_ms: NOW + later_ms,
        outcome: Outcome::Recorded,
    }
}

fn entry(seq: u64) -> NewEntry {
    NewEntry {
        agent: AGENT,
        epoch: 1,
        kid: Kid([1; 8]),
        seq,
        entry: id(seq),
        prev: if seq == 1 { EntryId::NONE } else { id(seq - 1) },
        kind: KIND.to_owned(),
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

fn hashes(path: &[String]) -> anyhow::Result<Vec<[u8; 32]>> {
    let hash = |text: &String| {
        let bytes = BASE64.decode(text.as_bytes())?;
        bytes.try_into().map_err(|bytes: Vec<u8>| anyhow::anyhow!("{} bytes are no hash", bytes.len()))
    };
    path.iter().map(hash).collect()
}

/// Runs the program of `tests/foreign/golang`: what it printed, or what it complained of.
async fn tlog(arguments: &[&str], input: &str) -> anyhow::Result<Result<String, String>> {
    let ended = fed(Command::new(needed("INUSE_TLOG")?).args(arguments), input).await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(if ended.status.success() { Ok(text(&ended.stdout)) } else { Err(text(&ended.stderr)) })
}
