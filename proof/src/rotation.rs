//! One signing key in the place of another: the record that the old key signs and the new key agrees to.
//!
//! The new key is believed because the old one says so, and the old one's word is only taken with the new one's own
//! signature: nobody can put another's key in the place of his own.

use prost::Message as _;

use crate::envelope::{Envelope, ROTATE};
use crate::ids::AgentId;
use crate::keys::{SigningKey, VerifyKey};
use crate::payload::{Header, Payload};
use crate::wire;

/// Why a record does not put a key in the place of another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// Not the payload that its kind promises.
    #[error("not a rotation: {0}")]
    Unparsable(String),
    /// Not a public key fit for use.
    #[error("the new key is none, or a weak one")]
    BadKey,
    /// The key that is in force already.
    #[error("the new key is the old one")]
    SameKey,
    /// The new key has not signed, or something else.
    #[error("the new key has not signed for this gateway and epoch")]
    BadPossession,
    /// There is no epoch after this one.
    #[error("no epoch is left")]
    NoEpoch,
}

/// What the new key signs: `"inuse/v1/rotate"`, a zero byte, the agent id (16 bytes), the epoch that ends (4 bytes,
/// big-endian) and the new public key (32 bytes).
pub fn possession(agent: AgentId, epoch: u32, new: &VerifyKey) -> Vec<u8> {
    let mut message = b"inuse/v1/rotate\0".to_vec();
    message.extend_from_slice(&agent.0);
    message.extend_from_slice(&epoch.to_be_bytes());
    message.extend_from_slice(&new.to_bytes());
    message
}

/// The payload by which this key takes over after the entry with this header, which is of the epoch that ends.
pub fn encode(header: &Header, new: &SigningKey) -> Vec<u8> {
    let key = new.verify_key();
    let possession = new.sign(&possession(header.agent, header.epoch, &key)).to_vec();
    wire::Rotate { header: Some(header.wire()), key: key.to_bytes().to_vec(), possession }.encode_to_vec()
}

/// The key that signs after this envelope, which was verified with `old`: `None` where it is not a rotation.
///
/// # Errors
/// [`RotationError`]: it is of that kind and puts no key in the place of another.
pub fn of(envelope: &Envelope, header: &Header, old: &VerifyKey) -> Result<Option<VerifyKey>, RotationError> {
    if envelope.kind() != ROTATE {
        return Ok(None);
    }
    let unparsable = |problem: String| RotationError::Unparsable(problem);
    let rotate = match Payload::parse(ROTATE, envelope.payload()) {
        Ok(Payload::Rotate(rotate)) => rotate,
        Ok(_) => return Err(unparsable("of another kind".to_owned())),
        Err(error) => return Err(unparsable(error.to_string())),
    };
    let new = VerifyKey::from_bytes(&rotate.key).map_err(|_| RotationError::BadKey)?;
    if new == *old {
        return Err(RotationError::SameKey);
    }
    if header.epoch == u32::MAX {
        return Err(RotationError::NoEpoch);
    }
    if !new.verifies(&possession(header.agent, header.epoch, &new), &rotate.possession) {
        return Err(RotationError::BadPossession);
    }
    Ok(Some(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EntryId;

    fn header(epoch: u32) -> Header {
        Header {
            agent: AgentId([9; 16]),
            epoch,
            seq: 1,
            prev: EntryId::NONE,
            boot: [1; 8],
            boot_count: 1,
            wall_ms: 1,
            mono_ms: 1,
            skew_ms: None,
        }
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    /// What a rotation of epoch 1 comes to when its payload is changed like this before the old key signs it.
    fn rotated(change: impl FnOnce(&mut wire::Rotate)) -> Result<Option<VerifyKey>, RotationError> {
        let mut raw = wire::Rotate::decode(encode(&header(1), &key(2)).as_slice()).unwrap();
        change(&mut raw);
        let envelope = Envelope::sign(&key(1), ROTATE, raw.encode_to_vec());
        of(&envelope, &header(1), &key(1).verify_key())
    }

    #[test]
    fn a_key_takes_over_with_both_signatures_and_never_with_one() {
        assert_eq!(rotated(|_| {}), Ok(Some(key(2).verify_key())));
        let third = key(3).verify_key();
        let bad = Err(RotationError::BadPossession);
        assert_eq!(rotated(|raw| raw.key = third.to_bytes().to_vec()), bad, "a key that did not sign");
        let by_old = key(1).sign(&possession(AgentId([9; 16]), 1, &key(2).verify_key())).to_vec();
        assert_eq!(rotated(|raw| raw.possession = by_old), bad, "the old key in the new one's place");
        for (agent, epoch) in [(AgentId([8; 16]), 1), (AgentId([9; 16]), 2)] {
            let elsewhere = key(2).sign(&possession(agent, epoch, &key(2).verify_key())).to_vec();
            assert_eq!(rotated(|raw| raw.possession = elsewhere), bad, "for {agent} and {epoch}");
        }
    }

    #[test]
    fn what_is_no_new_key_is_refused_by_what_it_is() {
        let mut identity = vec![0; 32];
        identity[0] = 1;
        assert_eq!(rotated(|raw| raw.key = identity), Err(RotationError::BadKey));
        for length in [0, 31, 33] {
            let cut = rotated(|raw| raw.key = vec![1; length]);
            assert!(matches!(cut, Err(RotationError::Unparsable(_))), "{length} {cut:?}");
            let cut = rotated(|raw| raw.possession = vec![1; length]);
            assert!(matches!(cut, Err(RotationError::Unparsable(_))), "{length} {cut:?}");
        }
        let old = Envelope::sign(&key(1), ROTATE, encode(&header(1), &key(1)));
        assert_eq!(of(&old, &header(1), &key(1).verify_key()), Err(RotationError::SameKey));
        let last = Envelope::sign(&key(1), ROTATE, encode(&header(u32::MAX), &key(2)));
        assert_eq!(of(&last, &header(u32::MAX), &key(1).verify_key()), Err(RotationError::NoEpoch));
        let other = Envelope::sign(&key(1), "window", encode(&header(1), &key(2)));
        assert_eq!(of(&other, &header(1), &key(1).verify_key()), Ok(None));
    }
}
