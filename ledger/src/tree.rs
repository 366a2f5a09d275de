//! The Merkle tree's right edge, in memory: all that appending and proving new entries needs.
//!
//! A proof for an entry of the newest batch uses hashes of that batch and maximal complete subtrees of the tree
//! before it, nothing else; so a batch of any size reads no stored hash.

use std::collections::BTreeMap;

use tlog_tiles::{Error, Hash, HashReader, stored_hash_index, stored_hashes, sub_tree_index, tree_hash};

/// A committed tree: its size and its maximal complete subtrees, by dense index.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    size: u64,
    edge: BTreeMap<u64, Hash>,
}

impl Tree {
    /// Loads the edge of a tree of this size.
    pub(crate) fn load(size: u64, stored: &impl HashReader) -> Result<Self, Error> {
        let indexes = edge(size);
        let hashes = stored.read_hashes(&indexes)?;
        Ok(Self { size, edge: indexes.into_iter().zip(hashes).collect() })
    }

    /// Entries in it.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Its root.
    pub(crate) fn root(&self) -> Result<Hash, Error> {
        tree_hash(self.size, self)
    }

    /// Starts to grow it; the tree itself stays as it is until it is replaced by [`Growth::grown`].
    pub(crate) fn grow(&self) -> Growth<'_> {
        Growth { tree: self, base: stored_hash_index(0, self.size), size: self.size, new: Vec::new() }
    }
}

impl HashReader for Tree {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        indexes.iter().map(|index| self.edge.get(index).copied().ok_or(Error::IndexesNotInTree)).collect()
    }
}

/// A tree and what a batch adds to it.
pub(crate) struct Growth<'a> {
    tree: &'a Tree,
    /// Dense index of the first new hash; the new ones follow without a hole.
    base: u64,
    size: u64,
    new: Vec<Hash>,
}

impl Growth<'_> {
    /// Adds an entry; returns its place.
    pub(crate) fn push(&mut self, log_entry: &[u8]) -> Result<u64, Error> {
        let index = self.size;
        let hashes = stored_hashes(index, log_entry, self)?;
        self.new.extend(hashes);
        self.size += 1;
        Ok(index)
    }

    /// Entries with the new ones.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Root with the new entries.
    pub(crate) fn root(&self) -> Result<Hash, Error> {
        tree_hash(self.size, self)
    }

    /// The hashes to store, with their dense indexes.
    pub(crate) fn new_hashes(&self) -> impl Iterator<Item = (u64, &Hash)> {
        (self.base..).zip(&self.new)
    }

    /// The tree that this one has become.
    pub(crate) fn grown(&self) -> Result<Tree, Error> {
        Tree::load(self.size, self)
    }
}

impl HashReader for Growth<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let hash = |index: &u64| match index.checked_sub(self.base) {
            Some(at) => usize::try_from(at).ok().and_then(|at| self.new.get(at)).copied(),
            None => self.tree.edge.get(index).copied(),
        };
        indexes.iter().map(|index| hash(index).ok_or(Error::IndexesNotInTree)).collect()
    }
}

fn edge(size: u64) -> Vec<u64> {
    sub_tree_index(0, size, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ct_merkle::InclusionProof;
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;
    use sha2_next::Sha256;
    use tlog_tiles::prove_record;

    proptest! {
        /// Against another implementation of RFC 6962.
        #[test]
        fn proofs_are_those_of_rfc_6962(batches in proptest::collection::vec(1_usize..40, 1..12)) {
            let mut tree = Tree::default();
            let mut other: MemoryBackedTree<Sha256, Vec<u8>> = MemoryBackedTree::new();
            for (round, batch) in batches.into_iter().enumerate() {
                let mut growth = tree.grow();
                for at in 0..batch {
                    let entry = format!("{round} {at}").into_bytes();
                    growth.push(&entry).unwrap();
                    other.push(entry);
                }
                let root = growth.root().unwrap();
                let other_root = other.root();
                prop_assert_eq!(&root.0[..], other_root.as_bytes().as_slice());
                for index in tree.size()..growth.size() {
                    let path = prove_record(growth.size(), index, &growth).unwrap();
                    let bytes: Vec<u8> = path.iter().flat_map(|hash| hash.0).collect();
                    let proof: InclusionProof<Sha256> = InclusionProof::try_from_bytes(bytes).unwrap();
                    let entry = other.get(usize::try_from(index).unwrap()).unwrap();
                    prop_assert!(other_root.verify_inclusion(entry, index, &proof).is_ok());
                    prop_assert!(other_root.verify_inclusion(entry, index ^ 1, &proof).is_err() || growth.size() == 1);
                }
                let grown = growth.grown().unwrap();
                prop_assert_eq!(grown.root().unwrap(), root);
                tree = grown;
            }
        }
    }
}
