//! Prints how many proofs one core verifies and makes durable.
//! `cargo run --release -p ingester --example measure_ingest [folder]`

#![expect(clippy::print_stdout, reason = "it prints figures")]

use std::error::Error;
use std::path::PathBuf;

use daemon::Stopwatch;
use ingester::{Intake, Message};
use ledger::{LogKey, NewAgent, NewToken, Sqlite, Store as _};
use proof::envelope::{MANIFEST, WINDOW};
use proof::payload::{Header, encode_manifest, manifest_hash};
use proof::{AgentId, Answer, EntryId, Envelope, Parcel, SigningKey, WINDOW_MS, wire};
use prost::Message as _;

const GATEWAYS: u8 = 200;
const BATCH: usize = 256;
const BATCHES: usize = 80;
const START: i64 = 3_000_000 * WINDOW_MS;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(folder)?;
    let (log_key, _) = LogKey::from_seed("measure.log", &[5; 32])?;
    let mut ledger = Sqlite::open(&folder.path().join("ledger.db"), log_key)?;
    let mut gateways: Vec<_> = (1..=GATEWAYS).map(Gateway::new).collect();
    for gateway in &gateways {
        let token = [gateway.id.0[0]; 32];
        ledger.add_token(token, &NewToken::of("firm", START + 1))?;
        let agent = NewAgent::of(gateway.id, gateway.key.verify_key(), "");
        ledger.enrol(token, &agent, START)??;
    }
    let rounds = BATCHES * BATCH / gateways.len();
    let messages: Vec<Message> =
        (0..rounds).flat_map(|_| gateways.iter_mut().map(Gateway::next).collect::<Vec<_>>()).collect();
    let bytes = messages.iter().map(|message| message.parcel.len()).sum::<usize>() / messages.len();

    let mut intake = Intake::default();
    let (watch, cpu) = (Stopwatch::start(), cpu_seconds()?);
    let mut receipts = 0_u32;
    for batch in messages.chunks(BATCH) {
        let replies = intake.take(&mut ledger, batch, START + i64::try_from(rounds)? * WINDOW_MS)?;
        receipts += u32::try_from(
            replies.iter().filter(|reply| matches!(reply.answer, Answer::Receipt { .. })).count(),
        )?;
    }
    let (took, cpu) = (watch.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    if receipts as usize != messages.len() {
        return Err(format!("{receipts} receipts for {} proofs", messages.len()).into());
    }
    let count = f64::from(receipts);
    println!(
        "{count} proofs of {bytes} B, verified and durable in batches of {BATCH}: {:.0}/s, {:.0}/s of one core",
        count / took,
        count / cpu
    );
    Ok(())
}

/// A gateway of twelve sources and two logs, with its chain.
struct Gateway {
    id: AgentId,
    key: SigningKey,
    seq: u64,
    prev: EntryId,
}

impl Gateway {
    fn new(seed: u8) -> Self {
        let (id, key) = (AgentId([seed; 16]), SigningKey::from_seed(&[seed; 32]));
        Self { id, key, seq: 0, prev: EntryId::NONE }
    }

    /// Its manifest first, then a window each time.
    fn next(&mut self) -> Message {
        self.seq += 1;
        let boot = [1; 8];
        let header = Header {
            agent: self.id,
            epoch: 1,
            seq: self.seq,
            prev: self.prev,
            boot,
            boot_count: 1,
            wall_ms: START,
            mono_ms: 5,
            skew_ms: None,
        };
        let envelope = if self.seq == 1 {
            Envelope::sign(&self.key, MANIFEST, encode_manifest(&header, &manifest()))
        } else {
            Envelope::sign(&self.key, WINDOW, window(&header).encode_to_vec())
        };
        self.prev = envelope.id();
        Message { topic: self.id, parcel: Parcel::encode(envelope.bytes(), &[], 0).into() }
    }
}

fn manifest() -> Vec<u8> {
    let source = |index| wire::Source { index, cadence_s: 10, ..Default::default() };
    let sources = (1..=14).map(source).collect();
    wire::ManifestBody { version: 1, utc_offset_minutes: 480, sources, ..Default::default() }.encode_to_vec()
}

fn window(header: &Header) -> wire::Window {
    let row = |source| wire::SourceRow { source, ok: 59, rtt_median_us: 900, ..Default::default() };
    let shape = wire::ShapeRow { tag: vec![7; 8], levels: vec![1; 5], ..Default::default() };
    wire::Window {
        header: Some(header.wire()),
        start_ms: START + i64::try_from(header.seq).unwrap_or(0) * WINDOW_MS,
        length_ms: 600_000,
        root: vec![3; 32],
        manifest: manifest_hash(&manifest()).to_vec(),
        build: vec![1; 8],
        sources: (1..=14).map(row).collect(),
        shapes: vec![shape; 12],
        ..Default::default()
    }
}

/// What this thread has used of a core: first field of schedstat, in nanoseconds.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse::<f64>()? / 1e9)
}
