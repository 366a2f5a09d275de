//! What the server answers on an agent's `down` topic.

use std::fmt;

use prost::Message as _;

use crate::ids::EntryId;
use crate::wire;

/// Largest answer that is read: a receipt of a very large log is under 4 KiB.
pub const MAX_ANSWER: usize = 16 * 1024;

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It is recorded; the proof may leave the outbox once the receipt is checked.
    Receipt {
        /// The entry.
        entry: EntryId,
        /// The server's clock, Unix ms.
        server_ms: i64,
        /// The receipt, unchecked.
        receipt: wire::Receipt,
        /// That the log of its checkpoint goes on from what was seen of it before, unchecked; at most
        /// [`MAX_CONSISTENCY`].
        consistency: Vec<Consistency>,
    },
    /// It is not, and why. The proof stays in the outbox.
    Refusal {
        /// The entry; `None` when the envelope could not be read.
        entry: Option<EntryId>,
        /// The server's clock, Unix ms.
        server_ms: i64,
        /// The reason's name. A name this reader does not know is kept as text.
        name: String,
        /// More words for a person.
        text: String,
    },
    /// The ledger holds the chain up to here; send on from the next.
    Want {
        /// The server's clock, Unix ms.
        server_ms: i64,
        /// Last sequence in the ledger, 0 for none.
        have: u64,
    },
}

/// Shows that a log has only grown since it had so many entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    /// So many.
    pub from: u64,
    /// The proof (RFC 6962, 2.1.2).
    pub path: Vec<[u8; 32]>,
}

/// Most of them in one answer: from what the gateway says it has seen, and from what it was answered last.
pub const MAX_CONSISTENCY: usize = 2;

/// Bytes that are not an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an answer: {0}")]
pub struct NotAnAnswer(String);

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    /// When it is not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotAnAnswer> {
        if bytes.len() > MAX_ANSWER {
            return Err(NotAnAnswer(format!("{} bytes, at most {MAX_ANSWER} are allowed", bytes.len())));
        }
        let raw = wire::Answer::decode(bytes).map_err(|error| NotAnAnswer(error.to_string()))?;
        let entry = EntryId::try_from(raw.entry.as_slice());
        let server_ms = raw.server_ms;
        if raw.consistency.len() > MAX_CONSISTENCY {
            return Err(NotAnAnswer(format!("{} proofs of consistency", raw.consistency.len())));
        }
        match (raw.receipt, raw.refusal, raw.want) {
            (Some(receipt), None, None) => {
                let entry = entry.map_err(|_| NotAnAnswer("a receipt for no entry".to_owned()))?;
                let consistency =
                    raw.consistency.into_iter().map(read_consistency).collect::<Result<_, _>>()?;
                Ok(Self::Receipt { entry, server_ms, receipt, consistency })
            }
            (None, Some(refusal), None) => {
                let wire::Refusal { name, text } = refusal;
                Ok(Self::Refusal { entry: entry.ok(), server_ms, name, text })
            }
            (None, None, Some(want)) => Ok(Self::Want { server_ms, have: want.have }),
            _ => Err(NotAnAnswer("it must be one of receipt, refusal and want".to_owned())),
        }
    }

    /// The wire's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let raw = match self {
            Self::Receipt { entry, server_ms, receipt, consistency } => wire::Answer {
                entry: entry.0.to_vec(),
                server_ms: *server_ms,
                receipt: Some(receipt.clone()),
                consistency: consistency.iter().map(write_consistency).collect(),
                ..Default::default()
            },
            Self::Refusal { entry, server_ms, name, text } => wire::Answer {
                entry: entry.map(|id| id.0.to_vec()).unwrap_or_default(),
                server_ms: *server_ms,
                refusal: Some(wire::Refusal { name: name.clone(), text: text.clone() }),
                ..Default::default()
            },
            Self::Want { server_ms, have } => wire::Answer {
                server_ms: *server_ms,
                want: Some(wire::Want { have: *have }),
                ..Default::default()
            },
        };
        raw.encode_to_vec()
    }
}

fn read_consistency(raw: wire::Consistency) -> Result<Consistency, NotAnAnswer> {
    let hash =
        |bytes: Vec<u8>| bytes.try_into().map_err(|_| NotAnAnswer("a hash is not 32 bytes".to_owned()));
    let path = raw.path.into_iter().map(hash).collect::<Result<_, _>>()?;
    Ok(Consistency { from: raw.from, path })
}

fn write_consistency(consistency: &Consistency) -> wire::Consistency {
    let path = consistency.path.iter().map(|hash| hash.to_vec()).collect();
    wire::Consistency { from: consistency.from, path }
}

/// Why an envelope is refused: nothing of it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalName {
    /// Not a parcel, envelope or header.
    Unparsable,
    /// Larger than its kind may be.
    Oversized,
    /// A suite the server does not know.
    UnknownSuite,
    /// No gateway is enrolled under this id.
    UnknownKey,
    /// The gateway's key was revoked.
    RevokedKey,
    /// The signature is not the enrolled key's.
    BadSignature,
    /// The payload names another gateway than the topic.
    WrongAgent,
    /// The payload's key epoch is not the one in force, or one that has ended and the entry is none of its.
    WrongEpoch,
    /// So far ahead of the chain that it cannot be kept until the missing ones come.
    TooFarAhead,
    /// A rotation that puts no key in the place of another.
    BadRotation,
}

impl RefusalName {
    /// All of them, in the order they are tested.
    pub const ALL: [Self; 10] = [
        Self::Oversized,
        Self::Unparsable,
        Self::UnknownSuite,
        Self::UnknownKey,
        Self::RevokedKey,
        Self::WrongAgent,
        Self::WrongEpoch,
        Self::BadSignature,
        Self::TooFarAhead,
        Self::BadRotation,
    ];

    /// The name on the wire and in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unparsable => "unparsable",
            Self::Oversized => "oversized",
            Self::UnknownSuite => "unknown_suite",
            Self::UnknownKey => "unknown_key",
            Self::RevokedKey => "revoked_key",
            Self::BadSignature => "bad_signature",
            Self::WrongAgent => "wrong_agent",
            Self::WrongEpoch => "wrong_epoch",
            Self::TooFarAhead => "too_far_ahead",
            Self::BadRotation => "bad_rotation",
        }
    }
}

impl fmt::Display for RefusalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_round_trip() {
        let receipt = wire::Receipt { entry: vec![1], proof: "p".to_owned() };
        for answer in [
            Answer::Receipt {
                entry: EntryId([1; 32]),
                server_ms: 5,
                receipt,
                consistency: vec![Consistency { from: 7, path: vec![[2; 32]] }],
            },
            Answer::Refusal { entry: None, server_ms: 5, name: "oversized".to_owned(), text: String::new() },
            Answer::Want { server_ms: 5, have: 0 },
        ] {
            assert_eq!(Answer::parse(&answer.encode()), Ok(answer));
        }
        assert!(Answer::parse(b"").is_err());
        let receipt = wire::Receipt { entry: vec![1], proof: "p".to_owned() };
        let good = wire::Answer { entry: vec![1; 32], receipt: Some(receipt), ..Default::default() };
        let wrong = |path: Vec<Vec<u8>>, times| {
            let consistency = vec![wire::Consistency { from: 1, path }; times];
            Answer::parse(&wire::Answer { consistency, ..good.clone() }.encode_to_vec()).is_err()
        };
        assert!(!wrong(vec![vec![0; 32]], 2));
        assert!(wrong(vec![vec![0; 32]], 3) && wrong(vec![vec![0; 31]], 1));
    }
}
