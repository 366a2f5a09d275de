//! What travels: a payload of some kind, signed, in exactly these bytes.
//!
//! Parsing never re-encodes and verifying never parses the payload. Whoever stores or forwards an envelope keeps
//! [`Envelope::bytes`].

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::ids::{EntryId, Kid};
use crate::keys::{SigningKey, VerifyKey};
use crate::{MAX_MANIFEST, MAX_PARCEL, MAX_WINDOW, wire};

/// Ed25519 over SHA-256 identifiers: the one suite there is.
pub const SUITE_ED25519: u32 = 1;

/// Kind of a window.
pub const WINDOW: &str = "window";
/// Kind of a manifest.
pub const MANIFEST: &str = "manifest";
/// Kind of an outage.
pub const OUTAGE: &str = "outage";
/// Kind of a label.
pub const LABEL: &str = "label";
/// Kind of a day's sums.
pub const DIGEST: &str = "digest";
/// Kind of the word that a past leaf was shown.
pub const OPENING: &str = "opening";
/// Kind of a rotation.
pub const ROTATE: &str = "rotate";

/// A parsed envelope, together with the bytes it was parsed from.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    bytes: Vec<u8>,
    kind: String,
    kid: Kid,
    payload: Vec<u8>,
    sig: [u8; 64],
}

/// Why bytes are not an envelope, or not an acceptable one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Larger than its kind may be.
    #[error("{len} bytes, at most {most} are allowed")]
    Oversized {
        /// Its size.
        len: usize,
        /// The limit.
        most: usize,
    },
    /// Not the protobuf message it should be, or a field of the wrong length.
    #[error("not an envelope: {0}")]
    Unparsable(String),
    /// A suite this reader does not know; there is nothing to check it with.
    #[error("unknown suite {0}")]
    UnknownSuite(u32),
    /// The signature is not the key's.
    #[error("bad signature")]
    BadSignature,
}

impl Envelope {
    /// Reads an envelope, keeping its bytes.
    ///
    /// # Errors
    /// Everything of [`EnvelopeError`] but a bad signature, which only [`Envelope::verify`] can tell.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_PARCEL {
            return Err(EnvelopeError::Oversized { len: bytes.len(), most: MAX_PARCEL });
        }
        let raw =
            wire::Envelope::decode(bytes).map_err(|error| EnvelopeError::Unparsable(error.to_string()))?;
        if !is_kind(&raw.kind) {
            return Err(EnvelopeError::Unparsable("kind is not 1 to 16 of a-z and _".to_owned()));
        }
        if raw.suite != SUITE_ED25519 {
            return Err(EnvelopeError::UnknownSuite(raw.suite));
        }
        let most = largest_payload(&raw.kind);
        if raw.payload.len() > most {
            return Err(EnvelopeError::Oversized { len: raw.payload.len(), most });
        }
        let wrong = |what: &str| EnvelopeError::Unparsable(format!("{what} has the wrong length"));
        Ok(Self {
            kid: Kid(raw.kid.as_slice().try_into().map_err(|_| wrong("kid"))?),
            sig: raw.sig.as_slice().try_into().map_err(|_| wrong("sig"))?,
            bytes: bytes.to_vec(),
            kind: raw.kind,
            payload: raw.payload,
        })
    }

    /// Signs a payload. The same key and payload give the same bytes, so it can be made again after a crash.
    pub fn sign(key: &SigningKey, kind: &str, payload: Vec<u8>) -> Self {
        assert!(is_kind(kind), "kinds are named in the code");
        let sig = key.sign(&pae(kind, &payload));
        let kid = key.verify_key().kid();
        let raw = wire::Envelope {
            kind: kind.to_owned(),
            suite: SUITE_ED25519,
            kid: kid.0.to_vec(),
            payload,
            sig: sig.to_vec(),
        };
        Self { bytes: raw.encode_to_vec(), kind: raw.kind, kid, payload: raw.payload, sig }
    }

    /// Checks the signature with the *enrolled* key, and that the hint names that key: it selects nothing, and a
    /// wrong one is a changed envelope.
    ///
    /// # Errors
    /// [`EnvelopeError::BadSignature`].
    pub fn verify(&self, key: &VerifyKey) -> Result<(), EnvelopeError> {
        if self.kid == key.kid() && key.verifies(&pae(&self.kind, &self.payload), &self.sig) {
            Ok(())
        } else {
            Err(EnvelopeError::BadSignature)
        }
    }

    /// The bytes as they came or as they must be sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The payload's kind, known or not.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The signer's hint of its key.
    pub fn kid(&self) -> Kid {
        self.kid
    }

    /// The signed bytes.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// What this entry is called: it binds kind, suite and payload, not the signature.
    pub fn id(&self) -> EntryId {
        entry_id(&self.kind, &self.payload)
    }
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Envelope({} {})", self.kind, self.id())
    }
}

/// SHA-256(0x02 || PAE): see [`EntryId`].
pub fn entry_id(kind: &str, payload: &[u8]) -> EntryId {
    let mut hash = Sha256::new();
    hash.update([0x02]);
    hash.update(pae(kind, payload));
    EntryId(hash.finalize().into())
}

/// DSSE's pre-authentication encoding of a payload of this kind under suite 1.
fn pae(kind: &str, payload: &[u8]) -> Vec<u8> {
    let kind = format!("inuse/v1/{kind}/{SUITE_ED25519}");
    let mut pae = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    pae.extend_from_slice(payload);
    pae
}

fn is_kind(kind: &str) -> bool {
    (1..=16).contains(&kind.len()) && kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

fn largest_payload(kind: &str) -> usize {
    match kind {
        MANIFEST => MAX_MANIFEST,
        _ => MAX_WINDOW,
    }
}

/// What one MQTT message carries: an envelope and, beside it, the window's use rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The envelope.
    pub envelope: Envelope,
    /// Encoded use rows; empty where there are none. Checked against the window's digest by the reader.
    pub use_rows: Vec<u8>,
    /// Entries under the newest checkpoint that the sender has checked; 0 for none.
    pub seen: u64,
}

impl Parcel {
    /// Reads a parcel.
    ///
    /// # Errors
    /// As [`Envelope::parse`].
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_PARCEL {
            return Err(EnvelopeError::Oversized { len: bytes.len(), most: MAX_PARCEL });
        }
        let raw =
            wire::Parcel::decode(bytes).map_err(|error| EnvelopeError::Unparsable(error.to_string()))?;
        Ok(Self { envelope: Envelope::parse(&raw.envelope)?, use_rows: raw.use_rows, seen: raw.seen })
    }

    /// The bytes of a parcel with this envelope and these use rows, of a sender who has `seen` so many entries.
    pub fn encode(envelope: &[u8], use_rows: &[u8], seen: u64) -> Vec<u8> {
        wire::Parcel { envelope: envelope.to_vec(), use_rows: use_rows.to_vec(), seen }.encode_to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_envelope_keeps_its_bytes() {
        let key = SigningKey::from_seed(&[3; 32]);
        let made = Envelope::sign(&key, "window", vec![1, 2, 3]);
        let read = Envelope::parse(made.bytes()).unwrap();
        assert_eq!(read, made);
        read.verify(&key.verify_key()).unwrap();
    }

    #[test]
    fn unknown_suite_is_refused_and_unknown_kind_is_not() {
        let key = SigningKey::from_seed(&[3; 32]);
        let mut raw = wire::Envelope::decode(Envelope::sign(&key, "later_kind", vec![]).bytes()).unwrap();
        Envelope::parse(&raw.encode_to_vec()).unwrap().verify(&key.verify_key()).unwrap();
        raw.suite = 2;
        assert_eq!(Envelope::parse(&raw.encode_to_vec()), Err(EnvelopeError::UnknownSuite(2)));
    }

    #[test]
    fn a_window_of_more_than_8_kib_is_refused() {
        let made = Envelope::sign(&SigningKey::from_seed(&[3; 32]), "window", vec![0; MAX_WINDOW + 1]);
        assert!(matches!(Envelope::parse(made.bytes()), Err(EnvelopeError::Oversized { .. })));
    }

    proptest! {
        #[test]
        fn no_flipped_bit_passes(payload in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0..8) {
            let key = SigningKey::from_seed(&[3; 32]);
            let made = Envelope::sign(&key, "window", payload);
            let mut bytes = made.bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let passes = Envelope::parse(&bytes).is_ok_and(|read| read.verify(&key.verify_key()).is_ok());
            prop_assert!(!passes);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            drop(Parcel::parse(&bytes));
        }
    }
}
