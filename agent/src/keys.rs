//! The signing keys of this gateway by epoch, and how one takes the place of another.
//!
//! The key of the first epoch is `agent.key`, that of a later one `agent-<epoch>.key`; `rotations.json` says at which
//! place of the chain each took over, and keeps the public halves of those before.
//!
//! # A rotation, step by step
//!
//! Each step is on the medium before the next, and what a crash leaves after any of them goes on at the next start:
//!
//! 1. The new key's file. Alone it means nothing: the wish is still there, and takes this very key again.
//! 2. The `rotate` entry, and in the same transaction of the store the epoch that begins after it (`ROTATED`).
//! 3. `rotations.json`. The next start makes it good from the store (`Keys::follow`).
//! 4. The old key's file goes, when the entry has its receipt. Until then whatever was not signed yet is signed by the key
//!    of its own epoch, and a store that loses the entry takes the old key up again.

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use buffer::{Buffer, BufferError};
use daemon::files;
use data_encoding::HEXLOWER;
use proof::{SigningKey, VerifyKey};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::start::with_room;

/// Name of the first key's file in the state directory.
pub(crate) const KEY: &str = "agent.key";

const ROTATIONS: &str = "rotations.json";

/// Largest `rotations.json`, bytes: some 1,500 rotations.
const MAX_ROTATIONS: u64 = 256 * 1024;

/// Under which the store keeps the last rotation: epoch (4 bytes) and sequence (8), big-endian; empty for none.
pub(crate) const ROTATED: &str = "rotated";

/// A key that took over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Rotation {
    /// The epoch that began.
    epoch: u32,
    /// The place of the `rotate` entry: what follows it is of that epoch.
    seq: u64,
    /// The public key of the epoch before, hex.
    before: String,
}

/// The keys of one gateway.
#[derive(Debug)]
pub struct Keys {
    state_dir: PathBuf,
    /// Epoch of `agent.key`.
    first: u32,
    current: SigningKey,
    /// That of the epoch before, until its last entry has its receipt.
    old: Option<SigningKey>,
    rotations: Vec<Rotation>,
    /// `rotations.json` says what is so here.
    is_saved: bool,
}

/// The file of an epoch's key.
fn file(state_dir: &Path, first: u32, epoch: u32) -> PathBuf {
    if epoch == first { state_dir.join(KEY) } else { state_dir.join(format!("agent-{epoch}.key")) }
}

impl Keys {
    /// Reads the keys of a gateway that was enrolled with epoch `first`.
    ///
    /// # Errors
    /// With the file that cannot be used.
    pub(crate) fn load(state_dir: &Path, first: u32) -> Result<Self, (PathBuf, io::Error)> {
        let path = state_dir.join(ROTATIONS);
        let wrong = |error| (path.clone(), error);
        let rotations: Vec<Rotation> = match files::read_small(&path, MAX_ROTATIONS).map_err(wrong)? {
            Some(text) => serde_json::from_str(&text).map_err(|error| wrong(error.into()))?,
            None => Vec::new(),
        };
        let follow_each_other = rotations.iter().zip(1..).all(|(rotation, nth)| {
            Some(rotation.epoch) == first.checked_add(nth) && public(&rotation.before).is_some()
        });
        if !follow_each_other {
            return Err(wrong(io::Error::new(
                io::ErrorKind::InvalidData,
                "epochs that do not follow each other",
            )));
        }
        let epoch = rotations.last().map_or(first, |rotation| rotation.epoch);
        let key = |epoch| {
            let path = file(state_dir, first, epoch);
            files::secret(&path).map(|seed| SigningKey::from_seed(&seed)).map_err(|error| (path, error))
        };
        let current = key(epoch)?;
        let old = match rotations.last().map(|_| key(epoch - 1)) {
            None => None,
            // What a later enrolment has put there is none of this chain's.
            Some(Ok(old)) => rotations
                .last()
                .is_some_and(|rotation| public(&rotation.before) == Some(old.verify_key()))
                .then_some(old),
            Some(Err((_, error))) if error.kind() == io::ErrorKind::NotFound => None,
            Some(Err(error)) => return Err(error),
        };
        let state_dir = state_dir.to_owned();
        Ok(Self { state_dir, first, current, old, rotations, is_saved: true })
    }

    /// The same keys again, for whoever signs.
    ///
    /// # Errors
    /// With the file that cannot be used.
    pub(crate) fn again(&self) -> Result<Self, (PathBuf, io::Error)> {
        let key = |epoch| {
            let path = file(&self.state_dir, self.first, epoch);
            files::secret(&path).map(|seed| SigningKey::from_seed(&seed)).map_err(|error| (path, error))
        };
        Ok(Self {
            state_dir: self.state_dir.clone(),
            first: self.first,
            current: key(self.epoch())?,
            old: self.old.as_ref().map(|_| key(self.epoch() - 1)).transpose()?,
            rotations: self.rotations.clone(),
            is_saved: self.is_saved,
        })
    }

    /// The epoch of what is signed next.
    pub fn epoch(&self) -> u32 {
        self.rotations.last().map_or(self.first, |rotation| rotation.epoch)
    }

    /// The key that signs next.
    pub fn current(&self) -> &SigningKey {
        &self.current
    }

    /// The key of an epoch whose entries may still have to be signed.
    pub(crate) fn of(&self, epoch: u32) -> Option<&SigningKey> {
        if epoch == self.epoch() {
            Some(&self.current)
        } else {
            self.old.as_ref().filter(|_| epoch.checked_add(1) == Some(self.epoch()))
        }
    }

    /// The public key of an epoch.
    pub fn public(&self, epoch: u32) -> Option<VerifyKey> {
        if epoch == self.epoch() {
            return Some(self.current.verify_key());
        }
        let next = self.rotations.iter().find(|rotation| Some(rotation.epoch) == epoch.checked_add(1))?;
        public(&next.before)
    }

    /// Place of the rotation whose old key is still here: there is no other before its entry has a receipt.
    pub fn waits_for(&self) -> Option<u64> {
        self.old.as_ref().and(self.rotations.last()).map(|rotation| rotation.seq)
    }

    /// Step 1: the key of the next epoch, the same whenever it is asked for, and on the medium.
    pub(crate) fn next(&self) -> io::Result<SigningKey> {
        let path = file(&self.state_dir, self.first, self.epoch().saturating_add(1));
        Ok(SigningKey::from_seed(&files::secret_or_new(&path)?))
    }

    /// What step 2 stores beside the entry at `seq`.
    pub(crate) fn rotated(&self, seq: u64) -> Vec<u8> {
        let mut bytes = self.epoch().saturating_add(1).to_be_bytes().to_vec();
        bytes.extend(seq.to_be_bytes());
        bytes
    }

    /// Step 3: the entry at `seq` is stored, and this key signs from the next one on. A disk without room for the file
    /// is told and made good later.
    pub(crate) fn take_over(&mut self, new: SigningKey, seq: u64) {
        let before = HEXLOWER.encode(&self.current.verify_key().to_bytes());
        self.rotations.push(Rotation { epoch: self.epoch().saturating_add(1), seq, before });
        self.old = Some(std::mem::replace(&mut self.current, new));
        self.is_saved = false;
        self.save();
    }

    /// Step 4: the entry at [`Keys::waits_for`] has its receipt.
    pub(crate) fn forget_old(&mut self) {
        self.save();
        let Some(seq) = self.waits_for().filter(|_| self.is_saved) else { return };
        let path = file(&self.state_dir, self.first, self.epoch() - 1);
        match fs::remove_file(&path).and_then(|()| fs::File::open(&self.state_dir)?.sync_all()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn!(file = %path.display(), %error, "the old key cannot be removed");
            }
            Ok(()) | Err(_) => {
                info!(seq, epoch = self.epoch(), "the rotation has its receipt: the old key is gone");
                self.old = None;
            }
        }
    }

    /// Makes good what a crash left between steps, by what the store says; and takes the old key up again where the store
    /// has lost the entry by which the new one took over, and nobody has a receipt of it.
    ///
    /// # Errors
    /// The store's, and with the file of a key that cannot be used.
    pub(crate) fn follow(
        &mut self,
        buffer: &mut Buffer,
        lost: Option<&RangeInclusive<u64>>,
    ) -> Result<Result<(), (PathBuf, io::Error)>, BufferError> {
        let stored = buffer.state(ROTATED)?.and_then(|bytes| {
            let (epoch, seq) = bytes.split_at_checked(4)?;
            Some((u32::from_be_bytes(epoch.try_into().ok()?), u64::from_be_bytes(seq.try_into().ok()?)))
        });
        let is_lost = |seq: u64| lost.is_some_and(|lost| lost.contains(&seq));
        match stored {
            Some((epoch, seq)) if Some(epoch) == self.epoch().checked_add(1) && is_lost(seq) => {
                with_room(buffer.set_state(ROTATED, &[]))?;
            }
            Some((epoch, seq)) if Some(epoch) == self.epoch().checked_add(1) => {
                let path = file(&self.state_dir, self.first, epoch);
                match files::secret(&path) {
                    Ok(seed) => self.take_over(SigningKey::from_seed(&seed), seq),
                    Err(error) => return Ok(Err((path, error))),
                }
            }
            Some(_) | None => {}
        }
        if let Some(seq) = self.waits_for().filter(|seq| is_lost(*seq))
            && let Some(old) = self.old.take()
        {
            warn!(seq, "the rotation was lost with the store: the old key signs again");
            with_room(buffer.set_state(ROTATED, &[]))?;
            self.current = old;
            self.rotations.pop();
            self.is_saved = false;
        }
        self.save();
        Ok(Ok(()))
    }

    fn save(&mut self) {
        if self.is_saved {
            return;
        }
        let text = serde_json::to_string_pretty(&self.rotations).expect("numbers and texts are JSON");
        match files::write_whole(&self.state_dir.join(ROTATIONS), text.as_bytes(), files::SECRET) {
            Ok(()) => self.is_saved = true,
            Err(error) => warn!(%error, "{ROTATIONS} cannot be written: it is tried again"),
        }
    }
}

fn public(hex: &str) -> Option<VerifyKey> {
    VerifyKey::from_bytes(&HEXLOWER.decode(hex.as_bytes()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use buffer::Bounds;

    use super::*;

    struct Place {
        folder: tempfile::TempDir,
        buffer: Buffer,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            files::secret_or_new(&folder.path().join(KEY)).unwrap();
            let (buffer, _) = Buffer::open(&folder.path().join("b.db"), Bounds::default(), 0).unwrap();
            Self { folder, buffer }
        }

        /// As a start finds it.
        fn start(&mut self, lost: Option<RangeInclusive<u64>>) -> Keys {
            let mut keys = Keys::load(self.folder.path(), 1).unwrap();
            keys.follow(&mut self.buffer, lost.as_ref()).unwrap().unwrap();
            keys
        }

        /// Steps 1 and 2 at `seq`, and the crash after.
        fn stored(&mut self, keys: &Keys, seq: u64) -> VerifyKey {
            let new = keys.next().unwrap();
            self.buffer.set_state(ROTATED, &keys.rotated(seq)).unwrap();
            new.verify_key()
        }

        fn has(&self, name: &str) -> bool {
            self.folder.path().join(name).exists()
        }
    }

    #[test]
    fn a_crash_after_any_step_of_a_rotation_leaves_the_key_that_the_chain_goes_on_with() {
        let mut place = Place::new();
        let keys = place.start(None);
        let first = keys.current().verify_key();
        let new = keys.next().unwrap().verify_key();
        // After step 1: the old key goes on, and the same new one is taken later.
        let keys = place.start(None);
        assert_eq!((keys.epoch(), keys.current().verify_key(), keys.waits_for()), (1, first, None));
        assert_eq!(place.stored(&keys, 7), new);
        // After step 2: the new key goes on, and what is of the old epoch is still signed by the old one.
        for _ in 0..2 {
            let keys = place.start(None);
            assert_eq!((keys.epoch(), keys.current().verify_key(), keys.waits_for()), (2, new, Some(7)));
            assert_eq!(keys.of(1).map(SigningKey::verify_key), Some(first));
            assert_eq!((keys.public(1), keys.public(2), keys.public(3)), (Some(first), Some(new), None));
        }
        // After step 4.
        place.start(None).forget_old();
        let keys = place.start(None);
        assert_eq!((keys.epoch(), keys.current().verify_key(), keys.waits_for()), (2, new, None));
        assert!(keys.of(1).is_none() && !place.has(KEY), "the old secret is gone");
        assert_eq!(keys.public(1), Some(first), "what it signed can still be checked");
        // And again.
        let third = place.stored(&keys, 90);
        let keys = place.start(None);
        assert_eq!((keys.epoch(), keys.current().verify_key(), keys.waits_for()), (3, third, Some(90)));
        assert_eq!((keys.public(1), keys.public(2)), (Some(first), Some(new)));
    }

    #[test]
    fn a_rotation_that_was_lost_before_its_receipt_is_none_and_one_that_has_it_stays() {
        let mut place = Place::new();
        let keys = place.start(None);
        let first = keys.current().verify_key();
        place.stored(&keys, 7);
        // Whether or not the store still says so.
        for _ in 0..2 {
            let keys = place.start(Some(5..=9));
            assert_eq!((keys.epoch(), keys.current().verify_key()), (1, first));
            assert_eq!(place.start(None).epoch(), 1, "nor at the start after that");
        }
        let keys = place.start(None);
        place.stored(&keys, 12);
        place.start(None).forget_old();
        assert_eq!(place.start(Some(5..=30)).epoch(), 2);
    }

    #[test]
    fn rotations_that_do_not_follow_each_other_are_an_error_and_not_another_key() {
        let mut place = Place::new();
        place.stored(&place_keys(&place), 7);
        place.start(None);
        let path = place.folder.path().join(ROTATIONS);
        let good = fs::read_to_string(&path).unwrap();
        for bad in [
            good.replace("\"epoch\": 2", "\"epoch\": 3"),
            good.replace("before\": \"", "before\": \"zz"),
            "[".into(),
        ] {
            fs::write(&path, bad).unwrap();
            Keys::load(place.folder.path(), 1).unwrap_err();
        }
    }

    fn place_keys(place: &Place) -> Keys {
        Keys::load(place.folder.path(), 1).unwrap()
    }
}
