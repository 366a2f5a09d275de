//! What had been read of one file, as hashes: enough to say later which stretch of it is not as it was.
//!
//! The bytes read are hashed in leaves of 64 KiB; neighbours of equal size are joined to one node (a hash of two
//! hashes) when there are more than may be kept, so that a file of any length has a bounded number of them and all
//! are of about the same length. Each node says which positions its bytes had, for a finding. Nothing here reads a
//! file.

use sha2::{Digest as _, Sha256};

/// Bytes of a leaf.
pub(super) const LEAF: u64 = 64 * 1024;

/// First bytes of a SHA-256.
pub(super) type Hash = [u8; 12];

/// Hashes of what was read of a file.
#[derive(Debug, Clone)]
pub(super) struct Blocks {
    /// The file's offset from which on it is known what was read.
    pub(super) start: u64,
    /// One after the other from `start`.
    pub(super) nodes: Vec<Node>,
    /// What follows them, less than a leaf.
    pub(super) open: Open,
}

/// A stretch of whole leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    /// It has 2^level leaves.
    pub(super) level: u8,
    pub(super) hash: Hash,
    /// Position of its first byte.
    pub(super) from: u64,
    /// The position after its last one; further than its length where other files were read in between.
    pub(super) to: u64,
}

/// The leaf that is not full.
#[derive(Debug, Clone)]
pub(super) struct Open {
    state: Sha256,
    pub(super) length: u64,
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Open {
    /// Of so many bytes, which have not been read.
    pub(super) fn unfed(length: u64, from: u64, to: u64) -> Self {
        Self { state: Sha256::new(), length, from, to }
    }
}

impl Node {
    pub(super) fn length(&self) -> u64 {
        LEAF << self.level
    }

    /// Where in the positions the byte so many bytes into it is, as nearly as is known.
    fn position(&self, at: u64) -> u64 {
        if self.to - self.from == self.length() { self.from + at } else { self.from }
    }
}

impl Blocks {
    /// Of a file that nothing was read of before `start`, or nothing is known of.
    pub(super) fn new(start: u64, position: u64) -> Self {
        Self { start, nodes: Vec::new(), open: Open::unfed(0, position, position) }
    }

    /// Takes the next bytes read; `position` is the first one's.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut position: u64) {
        while !bytes.is_empty() {
            if self.open.length == 0 {
                self.open.from = position;
            }
            let room = usize::try_from(LEAF - self.open.length).expect("a leaf fits memory");
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.open.state.update(now);
            self.open.length += now.len() as u64;
            position += now.len() as u64;
            self.open.to = position;
            bytes = rest;
            if self.open.length == LEAF {
                let hash = cut(self.open.state.finalize_reset());
                self.nodes.push(Node { level: 0, hash, from: self.open.from, to: position });
                self.open.length = 0;
                self.open.from = position;
            }
        }
    }

    /// Joins neighbours, the shortest first, until there are at most `most` or none can be joined.
    pub(super) fn shrink(&mut self, most: usize) {
        while self.nodes.len() > most {
            let pairs = self.nodes.windows(2).enumerate();
            let Some((at, _)) = pairs
                .filter(|(_, pair)| pair[0].level == pair[1].level)
                .min_by_key(|(_, pair)| pair[0].level)
            else {
                return;
            };
            let (one, other) = (self.nodes[at], self.nodes.remove(at + 1));
            let hash = join(&one.hash, &other.hash);
            self.nodes[at] = Node { level: one.level + 1, hash, from: one.from, to: other.to };
        }
    }

    /// Where the nodes end and the open leaf begins in the file.
    pub(super) fn open_start(&self) -> u64 {
        self.start + self.nodes.iter().map(Node::length).sum::<u64>()
    }

    /// Where what is known ends in the file: what was read of it.
    pub(super) fn end(&self) -> u64 {
        self.open_start() + self.open.length
    }

    /// Offset in the file and node, in order.
    pub(super) fn placed(&self) -> impl Iterator<Item = (u64, Node)> {
        let mut at = self.start;
        self.nodes.iter().map(move |node| {
            let start = at;
            at += node.length();
            (start, *node)
        })
    }

    /// Hash of the open leaf as it was read.
    pub(super) fn open_hash(&self) -> Hash {
        cut(self.open.state.clone().finalize())
    }

    /// The positions from the file's offset `from` to the end of what was read.
    pub(super) fn positions_from(&self, from: u64) -> (u64, u64) {
        let to = self.open.to.max(self.nodes.last().map_or(0, |node| node.to));
        for (start, node) in self.placed() {
            if from < start + node.length() {
                return (node.position(from.saturating_sub(start)), to);
            }
        }
        let into = from.saturating_sub(self.open_start());
        let straight = self.open.to - self.open.from == self.open.length;
        (if straight { self.open.from + into.min(self.open.length) } else { self.open.from }, to)
    }

    /// Forgets what lies beyond the nodes that end at or before `offset`; the caller pushes again what is between the
    /// new end and `offset`.
    pub(super) fn cut_to(&mut self, offset: u64) {
        let kept = self.placed().take_while(|(start, node)| start + node.length() <= offset).count();
        let from = self.nodes.get(kept).map_or(self.open.from, |node| node.from);
        self.nodes.truncate(kept);
        self.start = self.start.min(offset);
        self.open = Open::unfed(0, from, from);
    }
}

/// The hash of a node from those of its leaves.
pub(super) fn fold(leaves: &[Hash]) -> Hash {
    match leaves {
        [one] => *one,
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            join(&fold(left), &fold(right))
        }
    }
}

/// The hash of some bytes, at most a leaf.
pub(super) fn leaf(bytes: &[u8]) -> Hash {
    cut(Sha256::digest(bytes))
}

fn join(left: &Hash, right: &Hash) -> Hash {
    cut(Sha256::new_with_prefix([1]).chain_update(left).chain_update(right).finalize())
}

fn cut(digest: impl AsRef<[u8]>) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(&digest.as_ref()[..12]);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(leaves: u64, more: usize) -> Vec<u8> {
        (0..leaves * LEAF + more as u64).map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    #[test]
    fn nodes_stay_few_and_of_like_length_and_fold_to_what_their_leaves_say() {
        let all = bytes(37, 100);
        let mut blocks = Blocks::new(0, 1_000);
        for chunk in all.chunks(10_000) {
            let position = 1_000 + blocks.end();
            blocks.push(chunk, position);
            blocks.shrink(8);
        }
        assert!(blocks.nodes.len() <= 8, "{:?}", blocks.nodes);
        assert_eq!(blocks.end(), all.len() as u64);
        for (start, node) in blocks.placed() {
            let piece = &all[usize::try_from(start).unwrap()..][..usize::try_from(node.length()).unwrap()];
            let leaves: Vec<_> = piece.chunks(usize::try_from(LEAF).unwrap()).map(leaf).collect();
            assert_eq!(fold(&leaves), node.hash);
            assert_eq!((node.from, node.to), (1_000 + start, 1_000 + start + node.length()));
            assert!(node.level <= 3);
        }
        assert_eq!(blocks.open_hash(), leaf(&all[usize::try_from(blocks.open_start()).unwrap()..]));
    }

    proptest! {
        #[test]
        fn what_is_cut_off_and_pushed_again_is_as_if_it_had_never_been(
            leaves in 0_u64..9, more in 0_usize..1_000, most in 1_usize..6, at in 0.0_f64..1.0,
        ) {
            let all = bytes(leaves, more);
            let mut blocks = Blocks::new(0, 7);
            blocks.push(&all, 7);
            blocks.shrink(most);
            let offset = (all.len() as f64 * at) as u64;
            prop_assert_eq!(blocks.positions_from(offset), (7 + offset, 7 + all.len() as u64));
            blocks.cut_to(offset);
            let end = blocks.end();
            prop_assert!(end <= offset);
            blocks.push(&all[usize::try_from(end).unwrap()..usize::try_from(offset).unwrap()], 7 + end);
            prop_assert_eq!(blocks.end(), offset);
            prop_assert_eq!(blocks.positions_from(0), (7, 7 + offset));
        }
    }
}
