//! Openings: a leaf of a past window, shown with what puts it under the root that was committed to then.
//!
//! The gateway makes all leaves of a window anew from its raw data; if these give the root that was signed, any of them
//! can be shown to whoever has the window's envelope. Of a record only the fields that are named are shown.

use data_encoding::BASE32_NOPAD;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::ids::{AgentId, EntryId};
use crate::leaf::{self, LeafHash, Path, Tree};
use crate::payload::Payload;
use crate::{Envelope, wire};

/// Largest opening that is read, in bytes: a record of the longest line, all its fields shown.
pub const MAX_OPENING: usize = 256 * 1024;

/// What an opening's text begins with.
const TEXT: &str = "INUSE1:";

/// A leaf of a past window and what opens it.
#[derive(Debug, Clone, PartialEq)]
pub struct PastLeaf {
    /// The leaf.
    pub leaf: wire::Leaf,
    /// What it was blinded with.
    pub blind: [u8; 16],
    /// Of a record: each field's blind and value.
    pub fields: Vec<([u8; 16], Vec<u8>)>,
    /// What the gateway knows beside, and nothing commits to.
    pub beside: Beside,
}

/// What the gateway made of a leaf when it came. No opening carries it: it follows from what is committed to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Beside {
    /// Of readings, in the leaf's order: the point's place in its source, from 0, and the value where there was one.
    pub values: Vec<(usize, Option<f64>)>,
    /// Of a record: the account.
    pub account: Option<String>,
    /// Of a record: the number of the business document.
    pub document: Option<String>,
}

/// All leaves of a past window, in their order, made anew from its raw data.
#[derive(Debug, Clone)]
pub struct PastLeaves {
    leaves: Vec<PastLeaf>,
    tree: Tree,
    use_digest: Vec<u8>,
}

impl PastLeaves {
    pub(crate) fn of(leaves: Vec<(PastLeaf, LeafHash)>, use_digest: Vec<u8>) -> Self {
        let tree = Tree::of(leaves.iter().map(|(_, hash)| *hash));
        Self { leaves: leaves.into_iter().map(|(leaf, _)| leaf).collect(), tree, use_digest }
    }

    /// They.
    pub fn leaves(&self) -> &[PastLeaf] {
        &self.leaves
    }

    /// The root over them.
    pub fn root(&self) -> [u8; 32] {
        self.tree.root()
    }

    /// Digest of the use rows made anew: accounts and their classes are in no leaf. Empty where there are none.
    pub fn use_digest(&self) -> &[u8] {
        &self.use_digest
    }

    /// The opening of the leaf at `index` of the window in this envelope, with these fields of its record; those it does
    /// not have are left out. `None` past the end.
    pub fn opening(
        &self,
        window: &Envelope,
        place: (AgentId, u64),
        index: u64,
        fields: &[u32],
    ) -> Option<Opening> {
        let past = self.leaves.get(usize::try_from(index).ok()?)?;
        let shown = fields.iter().filter_map(|at| {
            let (blind, value) = past.fields.get(usize::try_from(*at).ok()?)?;
            Some(OpenField { at: *at, blind: *blind, value: value.clone() })
        });
        Some(Opening {
            agent: place.0,
            seq: place.1,
            entry: window.id(),
            index,
            leaf: past.leaf.clone(),
            blind: past.blind,
            path: self.tree.path(index)?,
            fields: shown.collect(),
        })
    }
}

/// An opening.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// Whose window.
    pub agent: AgentId,
    /// Its place in the chain.
    pub seq: u64,
    /// Its entry id.
    pub entry: EntryId,
    /// Place of the leaf, from 0.
    pub index: u64,
    /// The leaf.
    pub leaf: wire::Leaf,
    /// What it was blinded with.
    pub blind: [u8; 16],
    /// Siblings from the leaf up.
    pub path: Path,
    /// Fields of a record that are shown.
    pub fields: Vec<OpenField>,
}

/// A field of a record that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenField {
    /// Which.
    pub at: u32,
    /// What it was blinded with.
    pub blind: [u8; 16],
    /// What stands there.
    pub value: Vec<u8>,
}

/// What an opening shows does not stand in the window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpeningError {
    /// Bytes of the wrong form.
    #[error("unreadable opening: {0}")]
    Unreadable(&'static str),
    /// It is of another window than the envelope.
    #[error("opening is of another window than the envelope")]
    OtherWindow,
    /// The envelope is no window.
    #[error("envelope is no window")]
    NoWindow,
    /// The leaf does not stand at its place under the window's root.
    #[error("what is shown is not what the window committed to")]
    NotCommitted,
    /// A field is not the one the record committed to.
    #[error("field {0} is not what the record committed to")]
    OtherField(u32),
}

impl Opening {
    /// The wire's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let field = |field: &OpenField| wire::OpenField {
            at: field.at,
            blind: field.blind.to_vec(),
            value: field.value.clone(),
        };
        wire::Opening {
            version: 1,
            agent: self.agent.0.to_vec(),
            seq: self.seq,
            entry: self.entry.0.to_vec(),
            index: self.index,
            leaf: self.leaf.encode_to_vec(),
            blind: self.blind.to_vec(),
            path: self.path.iter().map(|hash| hash.to_vec()).collect(),
            fields: self.fields.iter().map(field).collect(),
        }
        .encode_to_vec()
    }

    /// The same as a line of text that fits the alphanumeric mode of a QR code: `INUSE1:` and base32.
    pub fn text(&self) -> String {
        format!("{TEXT}{}", BASE32_NOPAD.encode(&self.encode()))
    }

    /// Reads an opening from its bytes, or from its text, whose white space and lower case a copy may have.
    ///
    /// # Errors
    /// When it is neither.
    pub fn read(given: &[u8]) -> Result<Self, OpeningError> {
        if given.len() > 2 * MAX_OPENING {
            return Err(OpeningError::Unreadable("it is too long"));
        }
        let mut text = given.to_ascii_uppercase();
        text.retain(|byte| !byte.is_ascii_whitespace());
        match text.strip_prefix(TEXT.as_bytes()) {
            None => Self::parse(given),
            Some(text) => {
                let bytes = BASE32_NOPAD.decode(text);
                Self::parse(&bytes.map_err(|_| OpeningError::Unreadable("its text is cut or was changed"))?)
            }
        }
    }

    /// Reads an opening.
    ///
    /// # Errors
    /// When the bytes are not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, OpeningError> {
        let wrong = OpeningError::Unreadable;
        if bytes.len() > MAX_OPENING {
            return Err(wrong("it is too long"));
        }
        let raw = wire::Opening::decode(bytes).map_err(|_| wrong("not an opening"))?;
        if raw.version != 1 {
            return Err(wrong("unknown version"));
        }
        let leaf = wire::Leaf::decode(raw.leaf.as_slice()).map_err(|_| wrong("no leaf in it"))?;
        let blind = |bytes: &[u8]| <[u8; 16]>::try_from(bytes).map_err(|_| wrong("a blind is not 16 bytes"));
        let hash = |bytes: Vec<u8>| bytes.try_into().map_err(|_| wrong("a hash is not 32 bytes"));
        let field = |field: wire::OpenField| {
            Ok(OpenField { at: field.at, blind: blind(&field.blind)?, value: field.value })
        };
        if raw.path.len() > 64 {
            return Err(wrong("its path is too long"));
        }
        let opening = Self {
            agent: raw.agent.as_slice().try_into().map_err(|_| wrong("an agent id is not 16 bytes"))?,
            seq: raw.seq,
            entry: raw.entry.as_slice().try_into().map_err(|_| wrong("an entry id is not 32 bytes"))?,
            index: raw.index,
            leaf,
            blind: blind(&raw.blind)?,
            path: raw.path.into_iter().map(hash).collect::<Result<_, _>>()?,
            fields: raw.fields.into_iter().map(field).collect::<Result<_, _>>()?,
        };
        // It has one form, so that nothing stands in it that was not looked at.
        if opening.encode() == bytes { Ok(opening) } else { Err(wrong("it has parts that nobody reads")) }
    }

    /// Checks that all it shows stands in the window of this envelope, whose own signature and receipt are checked
    /// elsewhere. Returns the window.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self, envelope: &Envelope) -> Result<wire::Window, OpeningError> {
        let window = match Payload::parse(envelope.kind(), envelope.payload()) {
            Ok(Payload::Window(window)) => *window,
            Ok(_) | Err(_) => return Err(OpeningError::NoWindow),
        };
        let header = window.header.as_ref().ok_or(OpeningError::NoWindow)?;
        if self.entry != envelope.id() || self.seq != header.seq || self.agent.0[..] != header.agent[..] {
            return Err(OpeningError::OtherWindow);
        }
        let root = window.root.as_slice().try_into().map_err(|_| OpeningError::NoWindow)?;
        let count = u64::from(window.leaf_count);
        if !leaf::is_under(&root, count, self.index, &self.leaf, &self.blind, &self.path) {
            return Err(OpeningError::NotCommitted);
        }
        let committed = match &self.leaf.what {
            Some(wire::leaf::What::Record(record)) => record.fields.as_slice(),
            Some(
                wire::leaf::What::Readings(_) | wire::leaf::What::Range(_) | wire::leaf::What::Backfill(_),
            )
            | None => &[],
        };
        for field in &self.fields {
            let hash = Sha256::new().chain_update(field.blind).chain_update(&field.value).finalize();
            let at = usize::try_from(field.at).ok();
            if at.and_then(|at| committed.get(at)).is_none_or(|committed| committed[..] != hash[..]) {
                return Err(OpeningError::OtherField(field.at));
            }
        }
        Ok(window)
    }
}
