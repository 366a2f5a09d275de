//! Enrolment tokens: good once, for one project, for seven days.
//!
//! `inuse1-<secret>-<authority>`: both halves are 16 bytes in lower-case base32. The secret is random and kept by
//! the server as a hash only. The second half is the beginning of SHA-256 of the authority's certificate, so that an
//! agent that holds a token needs nothing else to know the server it talks to.

use std::fmt;
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use sha2::{Digest as _, Sha256};

const PREFIX: &str = "inuse1-";

/// How long a token is good.
pub const VALID: Duration = Duration::from_secs(7 * 86_400);

/// A token as printed once by `project add`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: [u8; 16],
    authority: [u8; 16],
}

impl Token {
    /// Makes one for the authority of this certificate fingerprint (SHA-256).
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn make(authority: &[u8; 32]) -> Result<Self, getrandom::Error> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)?;
        let mut half = [0; 16];
        half.copy_from_slice(&authority[..16]);
        Ok(Self { secret, authority: half })
    }

    /// Reads the text of one; upper and lower case are the same.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 80 {
            return None;
        }
        let text = text.to_ascii_lowercase();
        let (secret, authority) = text.strip_prefix(PREFIX)?.split_once('-')?;
        let bytes =
            |half: &str| BASE32_NOPAD.decode(half.to_ascii_uppercase().as_bytes()).ok()?.try_into().ok();
        Some(Self { secret: bytes(secret)?, authority: bytes(authority)? })
    }

    /// What the ledger keeps: it cannot be turned back into the token.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::new().chain_update(b"inuse/v1/token\0").chain_update(self.secret).finalize().into()
    }

    /// Whether it was made for the authority of this fingerprint.
    pub fn is_for(&self, authority: &[u8; 32]) -> bool {
        self.authority == authority[..16]
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = |bytes| BASE32_NOPAD.encode(bytes).to_ascii_lowercase();
        write!(f, "{PREFIX}{}-{}", half(&self.secret), half(&self.authority))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

/// How long a firm's code is good.
pub const CODE_VALID: Duration = Duration::from_secs(180 * 86_400);

/// What a firm's representative is given by the city to confirm gateways with, and no provider: `xxxx-xxxx-xxxx-xxxx`,
/// ten random bytes in lower-case base32.
#[derive(Clone, PartialEq, Eq)]
pub struct FirmCode([u8; 10]);

impl FirmCode {
    /// Makes one.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn make() -> Result<Self, getrandom::Error> {
        let mut code = [0; 10];
        getrandom::fill(&mut code)?;
        Ok(Self(code))
    }

    /// Reads the text of one; upper and lower case are the same, hyphens and spaces are nothing.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 80 {
            return None;
        }
        let plain: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
        let bytes = BASE32_NOPAD.decode(plain.to_ascii_uppercase().as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// What the ledger keeps: it cannot be turned back into the code.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::new().chain_update(b"inuse/v1/firm-code\0").chain_update(self.0).finalize().into()
    }
}

impl fmt::Display for FirmCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = BASE32_NOPAD.encode(&self.0).to_ascii_lowercase();
        let part = |at: usize| &text[4 * at..4 * at + 4];
        write!(f, "{}-{}-{}-{}", part(0), part(1), part(2), part(3))
    }
}

impl fmt::Debug for FirmCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirmCode(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_knows_its_server() {
        let token = Token::make(&[7; 32]).unwrap();
        let text = token.to_string();
        assert_eq!(text.len(), "inuse1-".len() + 26 + 1 + 26);
        assert_eq!(Token::parse(&text), Some(token.clone()));
        assert_eq!(Token::parse(&text.to_uppercase()), Some(token.clone()));
        assert!(token.is_for(&[7; 32]) && !token.is_for(&[8; 32]));
        assert_ne!(token.hash(), Token::make(&[7; 32]).unwrap().hash());
    }

    #[test]
    fn other_texts_are_no_tokens_and_none_shows_in_logs() {
        for text in ["", "inuse1-", "inuse1-aa-bb", "inuse2-x", &"inuse1-".repeat(50)] {
            assert_eq!(Token::parse(text), None, "{text}");
        }
        assert_eq!(format!("{:?}", Token::make(&[0; 32]).unwrap()), "Token(secret)");
    }

    #[test]
    fn a_firms_code_is_read_however_it_is_typed_and_nothing_else_is_one() {
        let code = FirmCode::make().unwrap();
        let text = code.to_string();
        assert_eq!(text.len(), 19);
        for typed in [&text, &text.to_uppercase(), &text.replace('-', ""), &text.replace('-', " ")] {
            assert_eq!(FirmCode::parse(typed), Some(code.clone()), "{typed}");
        }
        for wrong in ["", "a", &text[1..], &format!("{text}a"), &text.repeat(9)] {
            assert_eq!(FirmCode::parse(wrong), None, "{wrong}");
        }
        assert_ne!(code.hash(), FirmCode::make().unwrap().hash());
    }
}
