//! What was read is read again, slowly: a bounded number of bytes each look, so that going round all files takes
//! hours and no processor. A stretch that is not as it was is told once, and what stands there now is remembered.

use std::io;

use proof::observation::Rewrite;
use proof::wire::RewriteKind;

use super::blocks::{Hash, LEAF, fold, leaf};
use super::file::{Followed, piece};

/// Leaves a look: 256 KiB.
const LEAVES: u32 = 4;
/// Leaves a look of a file that was touched without growing: 8 MiB.
const LEAVES_OF_SUSPECT: u32 = 128;

/// How far the round has come.
#[derive(Debug, Default)]
pub(super) struct Recheck {
    /// Which file, in order, and where in it.
    file: usize,
    offset: u64,
    /// Hashes of the leaves of the node that is being read.
    leaves: Vec<Hash>,
    /// Leaves of a suspect that are still to be read in haste.
    haste: u64,
}

impl Recheck {
    /// Goes on where an earlier run stood.
    pub(super) fn at(mark: u64) -> Self {
        let file = usize::try_from(mark >> 32).unwrap_or(0);
        Self { file, offset: (mark & 0xFFFF_FFFF) * LEAF, ..Self::default() }
    }

    pub(super) fn mark(&self) -> u64 {
        (self.file as u64) << 32 | (self.offset / LEAF).min(0xFFFF_FFFF)
    }

    /// Reads on; adds what it finds.
    pub(super) fn look(&mut self, files: &mut [Followed], rewrites: &mut Vec<Rewrite>) {
        if let Some(at) = files.iter().position(|file| file.is_suspect && !file.is_gone) {
            files[at].is_suspect = false;
            (self.file, self.offset, self.haste) = (at, 0, files[at].blocks.open_start() / LEAF);
            self.leaves.clear();
        }
        let budget = if self.haste > 0 { LEAVES_OF_SUSPECT } else { LEAVES };
        let mut passed = 0;
        for _ in 0..budget {
            while !self.step(files, rewrites).unwrap_or(false) {
                // Nothing more to read in this file, or it cannot be read now.
                (self.file, self.offset, self.haste) = (self.file + 1, 0, 0);
                self.leaves.clear();
                if self.file >= files.len() {
                    self.file = 0;
                }
                passed += 1;
                if passed > files.len() {
                    return;
                }
            }
            self.haste = self.haste.saturating_sub(1);
        }
    }

    /// Reads one leaf. `false` when there is none.
    fn step(&mut self, files: &mut [Followed], rewrites: &mut Vec<Rewrite>) -> io::Result<bool> {
        let Some(file) = files.get_mut(self.file).filter(|file| !file.is_gone) else { return Ok(false) };
        self.offset = self.offset.max(file.blocks.start);
        let offset = self.offset;
        let mut placed = file.blocks.placed().enumerate();
        let found = placed.find(|(_, (start, node))| offset < start + node.length());
        let Some((at, (start, node))) = found else { return Ok(false) };
        drop(placed);
        if (offset - start) / LEAF != self.leaves.len() as u64 {
            // Joined to its neighbour meanwhile, or begun by an earlier run.
            self.leaves.clear();
            self.offset = start;
        }
        let was_open = file.handle.is_some();
        let handle = file.open()?;
        if !was_open {
            file.handle = None;
        }
        let Some(bytes) = piece(&handle, self.offset, LEAF)? else { return Ok(false) };
        self.leaves.push(leaf(&bytes));
        self.offset += LEAF;
        if self.leaves.len() as u64 * LEAF < node.length() {
            return Ok(true);
        }
        let hash = fold(&self.leaves);
        self.leaves.clear();
        // A file that was truncated just now is judged as a whole by the next look.
        if hash != node.hash && file.is_held_by(&handle)? {
            tracing::warn!(path = %file.path.display(), from = start, to = self.offset, "what was read of a log was changed");
            file.blocks.nodes[at].hash = hash;
            rewrites.push(Rewrite { kind: RewriteKind::Edited, from: node.from, to: node.to, rows: 0 });
        }
        Ok(true)
    }
}
