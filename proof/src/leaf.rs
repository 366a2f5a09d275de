//! Leaves: blinded observations under an RFC 6962 root.
//!
//! leaf input = blind (16 bytes) || encoded leaf, so that a sibling's hash in an opening says nothing about a
//! two-state register. The window's secret lives with the raw data and dies with it.

use hmac::{Hmac, Mac as _};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tlog_tiles::{
    Hash, HashReader, check_record, prove_record, record_hash, stored_hashes_for_record_hash, tree_hash,
};

use crate::wire;

/// The secret of one window, out of a cryptographic random source.
#[derive(Clone, PartialEq, Eq, zeroize::ZeroizeOnDrop)]
pub struct WindowSecret(pub [u8; 32]);

impl std::fmt::Debug for WindowSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WindowSecret(..)")
    }
}

impl WindowSecret {
    /// Blind of the leaf that came to the window at this place: not the place at which it will stand, so that a leaf
    /// can be hashed when it comes and forgotten.
    pub fn leaf_blind(&self, arrival: u32) -> [u8; 16] {
        self.blind(&[&arrival.to_be_bytes()])
    }

    /// Blind of a record's field, by what the record itself is, not by its place in the window.
    pub fn field_blind(&self, source: u16, position: u64, field: u16) -> [u8; 16] {
        self.blind(&[&source.to_be_bytes(), &position.to_be_bytes(), &field.to_be_bytes()])
    }

    /// Commitment to one field of a record.
    pub fn field_commitment(&self, source: u16, position: u64, field: u16, bytes: &[u8]) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.field_blind(source, position, field))
            .chain_update(bytes)
            .finalize()
            .into()
    }

    fn blind(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(&[0x03]);
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes()[..16].try_into().expect("an HMAC-SHA-256 has 32 bytes")
    }
}

/// The tree over a window's leaves.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    stored: Stored,
    leaves: u64,
}

#[derive(Debug, Clone, Default)]
struct Stored(Vec<Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let read = |index: &u64| usize::try_from(*index).ok().and_then(|at| self.0.get(at)).copied();
        indexes.iter().map(read).collect::<Option<_>>().ok_or(tlog_tiles::Error::IndexesNotInTree)
    }
}

/// An opening's path: the sibling hashes from the leaf up.
pub type Path = Vec<[u8; 32]>;

impl Tree {
    /// The tree over leaves of these hashes, in this order.
    pub fn of(leaves: impl IntoIterator<Item = LeafHash>) -> Self {
        let mut tree = Self::default();
        leaves.into_iter().for_each(|leaf| tree.push(leaf.0));
        tree
    }

    fn push(&mut self, leaf: Hash) {
        let hashes =
            stored_hashes_for_record_hash(self.leaves, leaf, &self.stored).expect("all hashes are in memory");
        self.stored.0.extend(hashes);
        self.leaves += 1;
    }

    /// How many leaves.
    pub fn len(&self) -> u64 {
        self.leaves
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.leaves == 0
    }

    /// RFC 6962 tree hash; SHA-256 of nothing when there are no leaves.
    pub fn root(&self) -> [u8; 32] {
        tree_hash(self.leaves, &self.stored).expect("all hashes are in memory").0
    }

    /// Path of the leaf at `index`, `None` past the end.
    pub fn path(&self, index: u64) -> Option<Path> {
        if index >= self.leaves {
            return None;
        }
        let path = prove_record(self.leaves, index, &self.stored).expect("all hashes are in memory");
        Some(path.into_iter().map(|hash| hash.0).collect())
    }
}

/// Whether the leaf stands at `index` of `count` leaves under `root`.
pub fn is_under(
    root: &[u8; 32],
    count: u64,
    index: u64,
    leaf: &wire::Leaf,
    blind: &[u8; 16],
    path: &Path,
) -> bool {
    let path: Vec<Hash> = path.iter().map(|hash| Hash(*hash)).collect();
    path_is_bounded(count, &path)
        && check_record(&path, count, Hash(*root), index, leaf_hash(leaf, blind).0).is_ok()
}

/// The library walks down the path it is given; a tree of n leaves has none longer than its height.
fn path_is_bounded(count: u64, path: &[Hash]) -> bool {
    path.len() <= 64 - usize::try_from(count.leading_zeros()).unwrap_or(0)
}

/// What the tree holds of a leaf.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeafHash(Hash);

/// The hash of a blinded leaf.
pub fn leaf_hash(leaf: &wire::Leaf, blind: &[u8; 16]) -> LeafHash {
    let mut input = Vec::with_capacity(blind.len() + leaf.encoded_len());
    input.extend(blind);
    leaf.encode_raw(&mut input);
    LeafHash(record_hash(&input))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ct_merkle::mem_backed_tree::MemoryBackedTree;

    /// The tree over these leaves, which stand as they came.
    fn tree(leaves: &[wire::Leaf], secret: &WindowSecret) -> Tree {
        Tree::of((0_u32..).zip(leaves).map(|(arrival, leaf)| leaf_hash(leaf, &secret.leaf_blind(arrival))))
    }

    fn leaves(count: i32) -> Vec<wire::Leaf> {
        (0..count).map(|at| wire::Leaf { source: 1, dt_ms: at, what: None }).collect()
    }

    #[test]
    fn an_empty_window_has_the_empty_root() {
        assert_eq!(Tree::of([]).root(), <[u8; 32]>::from(Sha256::digest(b"")));
    }

    #[test]
    fn roots_and_paths_agree_with_another_implementation() {
        let secret = WindowSecret([4; 32]);
        for count in [1, 2, 3, 7, 8, 9, 60] {
            let leaves = leaves(count);
            let tree = tree(&leaves, &secret);
            let mut other = MemoryBackedTree::<sha2_next::Sha256, Vec<u8>>::new();
            for (index, leaf) in (0..).zip(&leaves) {
                let mut input = secret.leaf_blind(index).to_vec();
                input.extend(leaf.encode_to_vec());
                other.push(input);
            }
            assert_eq!(tree.root().as_slice(), other.root().as_bytes().as_slice(), "{count} leaves");
            for (index, leaf) in (0_u32..).zip(&leaves) {
                let path = tree.path(u64::from(index)).unwrap();
                let blind = secret.leaf_blind(index);
                let holds = |at: u32, path: &Path| {
                    is_under(&tree.root(), tree.len(), u64::from(at), leaf, &blind, path)
                };
                assert!(holds(index, &path));
                assert!(!holds(index + 1, &path));
                let mut long = path.clone();
                long.push([0; 32]);
                assert!(!holds(index, &long));
            }
        }
    }

    #[test]
    fn another_secret_gives_another_root() {
        let leaves = leaves(3);
        assert_ne!(
            tree(&leaves, &WindowSecret([1; 32])).root(),
            tree(&leaves, &WindowSecret([2; 32])).root()
        );
    }
}
