//! Observations as bytes that stay on the gateway: chunks of the open window, and what openings are made from.

use prost::Message as _;

use crate::catalogue::Cause;
use crate::features::Range;
use crate::leaf::WindowSecret;
use crate::observation::{Kept, Observation, Quality, Reading, Record, Records, Rewrite, What};
use crate::wire;

mod pb {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    include!(concat!(env!("OUT_DIR"), "/inuse.raw.v1.rs"));
}

/// What a window was opened with: enough to seal it after a crash as it would have been sealed in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// The window's secret.
    pub secret: WindowSecret,
    /// Claimed start, Unix ms.
    pub wall_ms: i64,
    /// Start, ms since boot.
    pub mono_ms: u64,
    /// The boot it was opened in.
    pub boot: [u8; 8],
    /// The manifest body in force, encoded.
    pub body: Vec<u8>,
    /// Long-run ranges at the start: (source, point), range.
    pub ranges: Vec<((u16, usize), Range)>,
}

/// Bytes that are not a chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a raw chunk: {0}")]
pub struct NotAChunk(String);

/// A window's chunks, read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunks {
    /// What it was opened with.
    pub opening: Opening,
    /// All observations, in the order they were taken.
    pub observations: Vec<Observation>,
}

/// Number of the field `Chunk.observations`.
const OBSERVATIONS: u32 = 2;

/// The bytes of one flush; `opening` goes into a window's first.
pub fn encode(opening: Option<&Opening>, start_ms: i64, observations: &[Observation]) -> Vec<u8> {
    let head = pb::Chunk {
        opening: opening.map(|opening| pb::Opening {
            secret: opening.secret.0.to_vec(),
            wall_ms: opening.wall_ms,
            mono_ms: opening.mono_ms,
            boot: opening.boot.to_vec(),
            body: opening.body.clone(),
            ranges: opening.ranges.iter().map(range).collect(),
        }),
        observations: Vec::new(),
    };
    let mut bytes = head.encode_to_vec();
    // One at a time: a copy of all of them in the wire's form would take several times their room.
    for observation in observations {
        prost::encoding::message::encode(OBSERVATIONS, &encode_one(start_ms, observation), &mut bytes);
    }
    bytes
}

/// Reads all chunks of one window.
///
/// # Errors
/// When they are not that.
pub fn decode(chunks: &[Vec<u8>]) -> Result<Chunks, NotAChunk> {
    let mut opening = None;
    let mut observations = Vec::new();
    for bytes in chunks {
        let chunk = pb::Chunk::decode(bytes.as_slice()).map_err(|error| NotAChunk(error.to_string()))?;
        if let Some(raw) = chunk.opening {
            opening = Some(decode_opening(raw)?);
        }
        let start_ms = opening
            .as_ref()
            .map(|opening| opening.wall_ms)
            .ok_or_else(|| NotAChunk("no opening".to_owned()))?;
        for raw in chunk.observations {
            observations.push(decode_one(start_ms, raw)?);
        }
    }
    Ok(Chunks { opening: opening.ok_or_else(|| NotAChunk("no opening".to_owned()))?, observations })
}

fn range(((source, point), range): &((u16, usize), Range)) -> pb::Range {
    let point = u32::try_from(*point).unwrap_or(u32::MAX);
    pb::Range { source: u32::from(*source), point, low: range.low, high: range.high }
}

fn decode_opening(raw: pb::Opening) -> Result<Opening, NotAChunk> {
    let wrong = |what: &str| NotAChunk(format!("{what} has the wrong length"));
    let ranges = raw.ranges.into_iter().filter_map(|range| {
        let place = (u16::try_from(range.source).ok()?, usize::try_from(range.point).ok()?);
        Some((place, Range { low: range.low, high: range.high }))
    });
    Ok(Opening {
        secret: WindowSecret(raw.secret.as_slice().try_into().map_err(|_| wrong("secret"))?),
        boot: raw.boot.as_slice().try_into().map_err(|_| wrong("boot"))?,
        wall_ms: raw.wall_ms,
        mono_ms: raw.mono_ms,
        body: raw.body,
        ranges: ranges.collect(),
    })
}

fn encode_one(start_ms: i64, observation: &Observation) -> pb::Observation {
    let mut raw = pb::Observation {
        source: u32::from(observation.source),
        dt_ms: observation.at_ms - start_ms,
        rtt_us: observation.rtt_us,
        ..Default::default()
    };
    match &observation.what {
        What::Cycle(readings) => {
            raw.readings = readings.iter().map(encode_reading).collect();
        }
        What::Kept(kept) => {
            raw.kept = kept.iter().map(encode_kept).collect();
        }
        What::Records(records) => {
            raw.look = Some(pb::Look {
                from: records.from,
                to: records.to,
                lines: records.lines,
                unparsed: records.unparsed,
                followed: records.followed,
                records: records.records.iter().map(encode_record).collect(),
                rewrites: records.rewrites.iter().map(encode_rewrite).collect(),
            });
        }
        What::Silent(cause) => raw.silent = u32::from(cause.letter()),
    }
    raw
}

fn encode_reading(reading: &Reading) -> pb::Reading {
    pb::Reading {
        quality: u32::from(reading.quality.letter()),
        raw: reading.raw.clone(),
        value: reading.value,
    }
}

fn encode_kept(kept: &Kept) -> pb::Kept {
    let reading = Some(encode_reading(&kept.reading));
    pb::Kept { point: u32::from(kept.point), at_ms: kept.at_ms, reading }
}

fn encode_rewrite(rewrite: &Rewrite) -> pb::Rewrite {
    pb::Rewrite { kind: rewrite.kind.into(), from: rewrite.from, to: rewrite.to, rows: rewrite.rows }
}

fn encode_record(record: &Record) -> pb::Record {
    pb::Record {
        position: record.position,
        fields: record.fields.clone(),
        event_ms: record.event_ms,
        account: record.account.clone(),
        document: record.document.clone(),
        actor_class: record.actor_class.into(),
        reason: record.reason.into(),
        module: u32::from(record.module),
        action: record.action.into(),
    }
}

fn decode_one(start_ms: i64, raw: pb::Observation) -> Result<Observation, NotAChunk> {
    let what = match (raw.look, raw.silent) {
        (Some(look), _) => What::Records(Records {
            from: look.from,
            to: look.to,
            lines: look.lines,
            unparsed: look.unparsed,
            followed: look.followed,
            records: look.records.into_iter().map(decode_record).collect::<Result<_, _>>()?,
            bookmark: Vec::new(),
            rewrites: look.rewrites.into_iter().map(decode_rewrite).collect(),
        }),
        (None, 0) if !raw.kept.is_empty() => {
            What::Kept(raw.kept.into_iter().map(decode_kept).collect::<Result<_, _>>()?)
        }
        (None, 0) => What::Cycle(raw.readings.into_iter().map(decode_reading).collect()),
        (None, letter) => What::Silent(Cause::of_letter(letter)),
    };
    let source = u16::try_from(raw.source).map_err(|_| NotAChunk("a source out of range".to_owned()))?;
    Ok(Observation { source, at_ms: start_ms.saturating_add(raw.dt_ms), rtt_us: raw.rtt_us, what })
}

fn decode_reading(raw: pb::Reading) -> Reading {
    Reading { quality: Quality::of_letter(raw.quality), raw: raw.raw, value: raw.value }
}

fn decode_kept(raw: pb::Kept) -> Result<Kept, NotAChunk> {
    let point = u16::try_from(raw.point).map_err(|_| NotAChunk("a point out of range".to_owned()))?;
    let reading = raw.reading.ok_or_else(|| NotAChunk("a kept reading without its reading".to_owned()))?;
    Ok(Kept { point, at_ms: raw.at_ms, reading: decode_reading(reading) })
}

fn decode_rewrite(raw: pb::Rewrite) -> Rewrite {
    let kind = wire::RewriteKind::try_from(raw.kind).unwrap_or(wire::RewriteKind::Unspecified);
    Rewrite { kind, from: raw.from, to: raw.to, rows: raw.rows }
}

fn decode_record(raw: pb::Record) -> Result<Record, NotAChunk> {
    Ok(Record {
        position: raw.position,
        fields: raw.fields,
        event_ms: raw.event_ms,
        account: raw.account,
        document: raw.document,
        actor_class: wire::ActorClass::try_from(raw.actor_class).unwrap_or(wire::ActorClass::Unspecified),
        reason: wire::ExclusionReason::try_from(raw.reason).unwrap_or(wire::ExclusionReason::None),
        module: u16::try_from(raw.module).map_err(|_| NotAChunk("a module out of range".to_owned()))?,
        action: wire::ActionClass::try_from(raw.action).unwrap_or(wire::ActionClass::Other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_come_back_as_they_were_but_for_bookmarks() {
        let opening = Opening {
            secret: WindowSecret([1; 32]),
            wall_ms: 1_000_000,
            mono_ms: 5,
            boot: [2; 8],
            body: vec![3],
            ranges: vec![((1, 0), Range { low: -1.0, high: 2.5 })],
        };
        let record = Record {
            position: 7,
            fields: vec!["报工".as_bytes().to_vec()],
            event_ms: Some(-5),
            account: Some("wang01".to_owned()),
            document: Some("MO2506-0117".to_owned()),
            actor_class: wire::ActorClass::Human,
            reason: wire::ExclusionReason::None,
            module: 3,
            action: wire::ActionClass::Report,
        };
        let records = Records {
            from: 7,
            to: 90,
            lines: 1,
            followed: true,
            records: vec![record],
            rewrites: vec![Rewrite { kind: wire::RewriteKind::Cut, from: 3, to: 7, rows: 0 }],
            ..Default::default()
        };
        let good = Reading { quality: Quality::Good, raw: vec![0, 7], value: Some(7.0) };
        let bad = Reading { quality: Quality::Fault, raw: Vec::new(), value: None };
        let observation = |at_ms, what| Observation { source: 1, at_ms, rtt_us: Some(9), what };
        let seen = [
            observation(1_000_010, What::Cycle(vec![good.clone(), bad])),
            observation(1_000_015, What::Kept(vec![Kept { point: 1, at_ms: -4, reading: good }])),
            observation(1_000_020, What::Records(records)),
            observation(999_990, What::Silent(Cause::Refused)),
        ];
        let chunks =
            [encode(Some(&opening), opening.wall_ms, &seen[..1]), encode(None, opening.wall_ms, &seen[1..])];
        let read = decode(&chunks).unwrap();
        assert_eq!((read.opening, read.observations.as_slice()), (opening, &seen[..]));
        assert!(decode(&chunks[1..]).is_err());
        assert!(decode(&[vec![0xff]]).is_err());
    }
}
