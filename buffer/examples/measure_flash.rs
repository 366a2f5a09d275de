//! Prints what the store costs on this disk: flushes a second with every one synced, and bytes written for a sealed
//! window of 12 sources at 60 polls. `cargo run --release -p buffer --example measure_flash [folder]`

#![expect(clippy::print_stdout, reason = "it prints figures")]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use buffer::{Bookmarks, Bounds, Buffer, Head, NewProof, OpenWindow, Seal};
use proof::EntryId;

const WINDOWS: u64 = 144;
const PARTS: u16 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(folder)?;
    let (mut buffer, _) = Buffer::open(&folder.path().join("b.db"), Bounds::default(), 0)?;
    let (written, start) = (written()?, Instant::now());
    let mut plain = 0;
    for window in 1..=WINDOWS {
        let start_ms = i64::try_from(window)? * 600_000;
        for part in 0..PARTS {
            let chunk = polls(window, part);
            plain += chunk.len();
            let bookmarks = Bookmarks::from([(13, window.to_le_bytes().to_vec())]);
            let flush =
                OpenWindow { start_ms, mono_start_ms: 0, part, chunk, bookmarks, flushed_ms: start_ms };
            let _stored = buffer.flush(&flush)?;
        }
        let head = buffer.head().unwrap_or(Head::NONE);
        let entry = EntryId([u8::try_from(window % 250)? + 1; 32]);
        let proof = NewProof {
            kind: "window".into(),
            seq: head.seq + 1,
            prev: head.entry,
            entry,
            payload: noise(window, 780),
            use_rows: noise(window, 600),
        };
        let bookmarks = Bookmarks::new();
        let now_ms = start_ms + 600_000;
        buffer.seal(&Seal {
            proof,
            start_ms,
            secret: [7; 32],
            last_chunk: Some(Vec::new()),
            bookmarks,
            now_ms,
        })?;
        buffer.sign(window, &noise(window, 860))?;
        buffer.receipted(entry, &noise(window, 1_800), now_ms)?;
    }
    let (took, health) = (start.elapsed(), buffer.health()?);
    buffer.close()?;
    let verbs = WINDOWS * (u64::from(PARTS) + 3);
    println!("{verbs} synced verbs in {took:.1?}: {:.0} a second", verbs as f64 / took.as_secs_f64());
    println!("raw: {plain} bytes as given, {} on the disk", health.raw_bytes);
    println!(
        "written to the disk: {} bytes a window, {} a day",
        (self::written()? - written) / WINDOWS,
        self::written()? - written
    );
    Ok(())
}

/// Twelve sources, six polls a minute each, four registers: the higher bytes still, the lower ones moving.
fn polls(window: u64, part: u16) -> Vec<u8> {
    let moving = noise(window * 100 + u64::from(part), 12 * 6 * 4);
    moving
        .chunks(4)
        .flat_map(|low| [9, 1, 0, 3, 230, low[0] % 4, 0, low[1] % 16, 1, 44, 0, low[2] % 8, 0, low[3]])
        .collect()
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(step).collect()
}

/// Bytes this process had written to the storage layer: proc(5), `/proc/pid/io`.
fn written() -> Result<u64, Box<dyn Error>> {
    let io = fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).ok_or("no write_bytes")?;
    Ok(line.parse()?)
}
