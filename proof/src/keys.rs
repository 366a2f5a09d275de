//! Suite 1: Ed25519 keys, checked strictly.

use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha256};

use crate::ids::Kid;

/// A gateway's signing key. Wiped from memory when dropped.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key of a 32-byte seed out of a cryptographic random source.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Its public half.
    pub fn verify_key(&self) -> VerifyKey {
        VerifyKey(self.0.verifying_key())
    }

    /// Signs bytes that already carry their domain.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.verify_key().kid())
    }
}

/// A gateway's public key, as enrolled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyKey(ed25519_dalek::VerifyingKey);

/// Bytes that are not an Ed25519 public key fit for use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 public key, or one of the weak ones")]
pub struct BadKey;

impl VerifyKey {
    /// Reads 32 bytes; points of small order are refused.
    ///
    /// # Errors
    /// [`BadKey`] when the bytes are not such a key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadKey> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| BadKey)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| BadKey)?;
        if key.is_weak() { Err(BadKey) } else { Ok(Self(key)) }
    }

    /// The 32 bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// First 8 bytes of SHA-256(public key).
    pub fn kid(&self) -> Kid {
        let hash = Sha256::digest(self.0.as_bytes());
        Kid(hash[..8].try_into().expect("a SHA-256 has 32 bytes"))
    }

    /// Whether `signature` is this key's over `message`, by RFC 8032 with the strict rules (no malleable encodings).
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = ed25519_dalek::Signature::from_slice(signature) else { return false };
        self.0.verify_strict(message, &signature).is_ok()
    }
}

impl std::fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifyKey({})", self.kid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_keys_are_refused() {
        // The identity point: any signature by it would verify for many messages.
        let mut identity = [0_u8; 32];
        identity[0] = 1;
        assert_eq!(VerifyKey::from_bytes(&identity), Err(BadKey));
        assert_eq!(VerifyKey::from_bytes(&[1; 31]), Err(BadKey));
    }

    #[test]
    fn a_signature_is_of_one_key_and_one_message() {
        let key = SigningKey::from_seed(&[1; 32]);
        let signature = key.sign(b"message");
        assert!(key.verify_key().verifies(b"message", &signature));
        assert!(!key.verify_key().verifies(b"massage", &signature));
        assert!(!SigningKey::from_seed(&[2; 32]).verify_key().verifies(b"message", &signature));
        assert!(!key.verify_key().verifies(b"message", &signature[..63]));
    }
}
