//! Accounts leave the factory as keyed pseudonyms only; the key stays on the gateway and with the firm.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The project's key for pseudonyms. New for each project, never in a city's or provider's hands.
#[derive(Clone, zeroize::ZeroizeOnDrop)]
pub struct PseudonymKey([u8; 32]);

impl PseudonymKey {
    /// The key of 32 bytes out of a cryptographic random source.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// 8 bytes of HMAC-SHA-256(key, account). Accounts that differ only in the case of ASCII letters or in
    /// surrounding spaces are one: the systems' log-in screens treat them so.
    pub fn pseudonym(&self, account: &str) -> [u8; 8] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(account.trim().to_ascii_lowercase().as_bytes());
        mac.finalize().into_bytes()[..8].try_into().expect("an HMAC-SHA-256 has 32 bytes")
    }
}

impl std::fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PseudonymKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_key_gives_another_pseudonym() {
        let (one, two) = (PseudonymKey::new([1; 32]), PseudonymKey::new([2; 32]));
        assert_eq!(one.pseudonym("WANG01 "), one.pseudonym("wang01"));
        assert_ne!(one.pseudonym("wang01"), one.pseudonym("wang02"));
        assert_ne!(one.pseudonym("wang01"), two.pseudonym("wang01"));
    }
}
