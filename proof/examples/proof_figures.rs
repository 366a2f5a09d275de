//! Sizes of what the protocol sends, and what making and checking it costs.
//!
//! ```sh
//! cargo run --release -p proof --example proof_figures          # sizes, and times on this machine
//! cargo xtask figures --proof                                   # and instructions on aarch64, under emulation
//! ```
//!
//! With the name of a step and a number it does that step so many times and nothing else: what it costs is the
//! difference of two such runs.
#![expect(clippy::print_stdout, reason = "prints figures")]

use std::hint::black_box;
use std::time::Instant;

use proof::leaf::WindowSecret;
use proof::log::{LogEntry, Outcome, check_receipt, proof_text, receipt_text};
use proof::observation::Records;
use proof::payload::Header;
use proof::policy::Cosigner;
use proof::pseudonym::PseudonymKey;
use proof::wire::{self, ActionClass, ActorClass, ExclusionReason, Role, Share, SourceKind};
use proof::{
    AgentId, EntryId, Envelope, Kid, Observation, PastLeaves, Quality, Reading, Record, SigningKey, What,
    Windows, raw,
};
use signed_note::{Note, Signer as _, StandardSigner};
use tlog_tiles::{Checkpoint, Hash, node_hash, record_hash};

const START: i64 = 1_784_649_600_000;

/// A gateway: devices of two points every five seconds, one of them a signal, and logs with a record every ten.
#[derive(Clone, Copy)]
struct Plant {
    devices: u16,
    logs: u16,
    /// Whether anything moves and anybody works.
    busy: bool,
}

const USUAL: Plant = Plant { devices: 12, logs: 2, busy: true };

fn main() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next(), arguments.next()) {
        (None, _) => {
            sizes();
            times();
            Ok(())
        }
        (Some(name), Some(times)) => {
            let times = times.parse().map_err(|_| format!("`{times}` is no number of times"))?;
            let work = step(&name).ok_or_else(|| format!("`{name}` is none of {}", STEPS.join(", ")))?;
            (0..times).for_each(|_: u32| work());
            Ok(())
        }
        (Some(name), None) => Err(format!("how many times `{name}`?")),
    }
}

fn sizes() {
    let day = 144;
    println!("{:<44} {:>7}", "what", "bytes");
    let row = |what: &str, bytes: usize| println!("{what:<44} {bytes:>7}");
    for (what, devices, logs, busy) in [
        ("window envelope, 12 devices and 2 logs", 12, 2, true),
        ("  the same, all idle", 12, 2, false),
        ("  4 devices and 1 log", 4, 1, true),
        ("  40 devices and 3 logs", 40, 3, true),
        ("  nothing in the manifest", 0, 0, false),
    ] {
        row(what, envelope(Plant { devices, logs, busy }).bytes().len());
    }
    let (entry, receipt, alone) = (log_entry().encode().len(), receipt(3), receipt(0));
    row("log entry", entry);
    row("receipt text, 10 M entries, no witness", receipt_text(&alone).len());
    row("receipt text, 10 M entries, 3 witnesses", receipt_text(&receipt).len());
    row("  in an answer (protobuf)", answer(&alone).len());
    let up = envelope(USUAL).bytes().len() * day;
    row("a day of windows up, 12 and 2", up);
    row("  their answers down, one by one", answer(&alone).len() * day);
}

fn times() {
    println!("\n{:<44} {:>9}", "step, on this machine", "µs");
    for (name, work) in STEPS.iter().filter_map(|name| Some((name, step(name)?))) {
        // Long enough to be read off a clock, short enough to wait for.
        let mut count = 1_u32;
        loop {
            let began = now();
            (0..count).for_each(|_| work());
            let took = began.elapsed();
            if took.as_millis() >= 300 {
                println!("{name:<44} {:>9.1}", took.as_secs_f64() * 1e6 / f64::from(count));
                break;
            }
            count *= 4;
        }
    }
}

/// What is done again and again on the road.
const STEPS: [&str; 7] = ["observe", "seal", "sign", "verify", "receipt", "leaves", "opening"];

type Work = Box<dyn Fn()>;

/// One of them, with what it needs already made, and nothing else: under emulation that takes its time, too.
fn step(name: &str) -> Option<Work> {
    let key = || SigningKey::from_seed(&[1; 32]);
    Some(match name {
        "observe" => {
            let observations = observations(USUAL);
            Box::new(move || drop(black_box(observed(USUAL, &observations))))
        }
        "seal" => Box::new(|| drop(black_box(envelope(USUAL)))),
        "sign" => {
            let (key, payload) = (key(), envelope(USUAL).payload().to_vec());
            Box::new(move || drop(black_box(Envelope::sign(&key, "window", payload.clone()))))
        }
        "verify" => {
            let (public, bytes) = (key().verify_key(), envelope(USUAL).bytes().to_vec());
            Box::new(move || {
                let read = Envelope::parse(&bytes).expect("it was made here");
                read.verify(&public).expect("and signed");
                black_box(read);
            })
        }
        "receipt" => {
            let (receipt, entry, vkey) = (receipt(0), log_entry().entry, log_key().1);
            Box::new(move || drop(black_box(check_receipt(&receipt, entry, &vkey).expect("it holds"))))
        }
        "leaves" => {
            let chunk = chunk();
            Box::new(move || drop(black_box(leaves(&chunk))))
        }
        "opening" => {
            let (made, leaves) = (envelope(USUAL), leaves(&chunk()));
            let opening =
                leaves.opening(&made, (AgentId([3; 16]), 100_000), 700, &[]).expect("it has that leaf");
            Box::new(move || drop(black_box(opening.check(&made).expect("it holds"))))
        }
        _ => return None,
    })
}

/// A window's raw data.
fn chunk() -> Vec<u8> {
    let opening = raw::Opening {
        secret: WindowSecret([2; 32]),
        wall_ms: START,
        mono_ms: 5_000,
        boot: [1; 8],
        body: prost::Message::encode_to_vec(&body(USUAL)),
        ranges: Vec::new(),
    };
    raw::encode(Some(&opening), START, &observations(USUAL))
}

fn leaves(chunk: &[u8]) -> PastLeaves {
    let chunks = raw::decode(&[chunk.to_vec()]).expect("it was encoded here");
    Windows::past(&chunks, PseudonymKey::new([1; 32])).expect("with its manifest")
}

fn envelope(plant: Plant) -> Envelope {
    let mut windows = observed(plant, &observations(plant));
    let sealed = windows.seal(START + 600_000, 605_000, wire::End::Mark).expect("it is open");
    let header = Header {
        agent: AgentId([3; 16]),
        epoch: 1,
        seq: 100_000,
        prev: EntryId([8; 32]),
        boot: [1; 8],
        boot_count: 12,
        wall_ms: START + 600_000,
        mono_ms: 605_000,
        skew_ms: Some(12),
    };
    let anchor = wire::Anchor { hash: vec![1; 32], size: 10_000_000 };
    Envelope::sign(&SigningKey::from_seed(&[1; 32]), "window", sealed.payload(&header, Some(anchor)))
}

fn observed(plant: Plant, observations: &[Observation]) -> Windows {
    let mut windows = Windows::new(body(plant), [7; 8], PseudonymKey::new([1; 32]));
    windows.open(START, 5_000, WindowSecret([2; 32]));
    for observation in observations {
        windows.observe(observation).expect("it is of a source of the manifest");
    }
    windows
}

fn body(plant: Plant) -> wire::ManifestBody {
    let point = |index, role: Role, signal| wire::Point {
        index,
        role: role.into(),
        signal,
        share: Share::Shape.into(),
    };
    let points = vec![point(0, Role::Running, true), point(1, Role::Measure, false)];
    let source = |index: u16, kind: SourceKind, points| wire::Source {
        index: index.into(),
        kind: kind.into(),
        cadence_s: 5,
        points,
        ..Default::default()
    };
    let (devices, all) = (plant.devices, plant.devices + plant.logs);
    let mut sources: Vec<_> =
        (1..=devices).map(|index| source(index, SourceKind::Modbus, points.clone())).collect();
    sources.extend((devices + 1..=all).map(|index| source(index, SourceKind::Log, Vec::new())));
    wire::ManifestBody { version: 1, utc_offset_minutes: 480, sources, ..Default::default() }
}

/// Of ten minutes.
fn observations(plant: Plant) -> Vec<Observation> {
    let reading = |value: f64| Reading {
        quality: Quality::Good,
        raw: value.to_be_bytes().to_vec(),
        value: Some(value),
    };
    let mut observations = Vec::new();
    for at in 0..120_i64 {
        let at_ms = START + at * 5_000;
        for source in 1..=plant.devices {
            let on = plant.busy && (at / 14 + i64::from(source)) % 3 > 0;
            let running = f64::from(u8::from(on));
            let what = What::Cycle(vec![reading(running), reading(20.5 + running)]);
            observations.push(Observation { source, at_ms, rtt_us: Some(900), what });
        }
        for source in plant.devices + 1..=plant.devices + plant.logs {
            let worked = plant.busy && at % 2 == 0;
            let records = if worked { vec![record(at)] } else { Vec::new() };
            let lines = u32::from(worked);
            let what = What::Records(Records {
                from: 0,
                to: 100,
                lines,
                records,
                followed: true,
                ..Default::default()
            });
            observations.push(Observation { source, at_ms, rtt_us: None, what });
        }
    }
    observations
}

fn record(at: i64) -> Record {
    let account = ["wang01", "li02", "zhao03"][usize::try_from(at / 2 % 3).unwrap_or(0)];
    Record {
        position: at.unsigned_abs() * 100,
        fields: vec![b"report".to_vec(), account.as_bytes().to_vec(), b"WO-2026-0017".to_vec()],
        event_ms: Some(START + at * 5_000 - 900),
        account: Some(account.to_owned()),
        document: None,
        actor_class: ActorClass::Human,
        reason: ExclusionReason::None,
        module: 1,
        action: ActionClass::Report,
    }
}

fn log_entry() -> LogEntry {
    LogEntry {
        kind: "window".to_owned(),
        kid: Kid([1; 8]),
        epoch: 1,
        seq: 100_000,
        entry: EntryId([9; 32]),
        recv_ms: START + 660_000,
        outcome: Outcome::Recorded,
    }
}

/// The receipt of an entry in a log of ten million, cosigned by so many witnesses.
fn receipt(witnesses: u8) -> wire::Receipt {
    let (index, size) = (7_654_321_u64, 10_000_000_u64);
    let entry = log_entry().encode();
    // Its siblings are made up, and the root follows from them: as deep as the tree of that size is.
    let (mut place, mut last, mut root, mut path) = (index, size - 1, record_hash(&entry), Vec::new());
    while last > 0 {
        let sibling = Hash([u8::try_from(path.len()).unwrap_or(0); 32]);
        if place % 2 == 1 {
            root = node_hash(sibling, root);
            path.push(sibling.0);
        } else if place < last {
            root = node_hash(root, sibling);
            path.push(sibling.0);
        }
        (place, last) = (place / 2, last / 2);
    }
    let text = Checkpoint::new(ORIGIN, size, root, "").expect("a name").to_bytes();
    let mut note = Note::new(&text, &[]).expect("a text");
    note.add_sigs(&[&log_key().0]).expect("a signature");
    let note = String::from_utf8(note.to_bytes()).expect("a note is text");
    let lines = (1..=witnesses).map(|number| {
        let name = format!("witness{number}.example.cn/inuse");
        let cosigner = Cosigner::new(&name, SigningKey::from_seed(&[number; 32])).expect("a name");
        cosigner.cosign(&note, 1_784_650_300).expect("it is a note")
    });
    let cosigned = note.clone() + &lines.collect::<String>();
    wire::Receipt { entry, proof: proof_text(index, &path, &cosigned) }
}

fn answer(receipt: &wire::Receipt) -> Vec<u8> {
    let answer = proof::Answer::Receipt {
        entry: log_entry().entry,
        server_ms: START + 660_000,
        receipt: receipt.clone(),
        consistency: Vec::new(),
    };
    answer.encode()
}

const ORIGIN: &str = "city.example.cn/inuse/2026";

fn log_key() -> (StandardSigner, String) {
    let seed = [5; 32];
    let public = SigningKey::from_seed(&seed).verify_key().to_bytes();
    let typed = |key: &[u8]| [&[1][..], key].concat();
    let id = signed_note::key_id(ORIGIN, &typed(&public));
    let base64 = |key: &[u8]| data_encoding::BASE64.encode(&typed(key));
    let signer = StandardSigner::new(&format!("PRIVATE+KEY+{ORIGIN}+{id:08x}+{}", base64(&seed)));
    let signer = signer.expect("a key");
    let vkey = format!("{}+{id:08x}+{}", signer.name(), base64(&public));
    (signer, vkey)
}

#[expect(clippy::disallowed_methods, reason = "how long a step takes is what is asked")]
fn now() -> Instant {
    Instant::now()
}
