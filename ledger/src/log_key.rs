//! The key that signs checkpoints, in the C2SP signed-note text forms.

use data_encoding::BASE64;
use proof::SigningKey;
use signed_note::{Note, Signer as _, StandardSigner};
use tlog_tiles::{Checkpoint, Hash};

/// Signature type Ed25519 of C2SP signed-note.
const ED25519: u8 = 1;

/// The log's signing key: its name is the log's origin.
pub struct LogKey {
    signer: StandardSigner,
    origin: String,
    verifier: String,
}

/// A text that is not a log key.
#[derive(Debug, thiserror::Error)]
pub enum LogKeyError {
    /// Not `PRIVATE+KEY+<origin>+<hash>+<key>`.
    #[error("not the text of a log key")]
    Text,
    /// Names have no spaces and no plus signs.
    #[error("`{0}` cannot be the name of a log")]
    Origin(String),
    /// The operating system gave no random bytes.
    #[error("no random bytes for a log key")]
    Random(#[source] getrandom::Error),
}

impl LogKey {
    /// Makes a new key for the log of this name and returns it with the secret text to store.
    ///
    /// # Errors
    /// [`LogKeyError::Origin`] or [`LogKeyError::Random`].
    pub fn generate(origin: &str) -> Result<(Self, String), LogKeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(LogKeyError::Random)?;
        Self::from_seed(origin, &seed)
    }

    /// The key of this seed, and its secret text.
    ///
    /// # Errors
    /// [`LogKeyError::Origin`].
    pub fn from_seed(origin: &str, seed: &[u8; 32]) -> Result<(Self, String), LogKeyError> {
        if !signed_note::is_key_name_valid(origin) {
            return Err(LogKeyError::Origin(origin.to_owned()));
        }
        let public = typed(&SigningKey::from_seed(seed).verify_key().to_bytes());
        let id = signed_note::key_id(origin, &public);
        let secret = format!("PRIVATE+KEY+{origin}+{id:08x}+{}", BASE64.encode(&typed(seed)));
        Ok((Self::parse(&secret)?, secret))
    }

    /// Reads a secret text; white space around it is ignored.
    ///
    /// # Errors
    /// [`LogKeyError::Text`].
    pub fn parse(secret: &str) -> Result<Self, LogKeyError> {
        let secret = secret.trim();
        let signer = StandardSigner::new(secret).map_err(|_| LogKeyError::Text)?;
        let seed = secret.splitn(5, '+').nth(4).ok_or(LogKeyError::Text)?;
        let seed = BASE64.decode(seed.as_bytes()).map_err(|_| LogKeyError::Text)?;
        let seed = seed.get(1..).and_then(|seed| seed.try_into().ok()).ok_or(LogKeyError::Text)?;
        let public = SigningKey::from_seed(seed).verify_key().to_bytes();
        let origin = signer.name().to_owned();
        let verifier = format!("{origin}+{:08x}+{}", signer.key_id(), BASE64.encode(&typed(&public)));
        Ok(Self { signer, origin, verifier })
    }

    /// The log's name, first line of every checkpoint.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The verifier key that agents pin: `<origin>+<hash>+<key>`.
    pub fn verifier(&self) -> &str {
        &self.verifier
    }

    /// Signs the list of an evidence bundle's files, as a C2SP signed note.
    ///
    /// # Panics
    /// When it is no such list: this key signs nothing that could be taken for something else.
    pub fn sign_bundle(&self, list: &str) -> String {
        assert!(list.starts_with("inuse/v1/bundle\n"), "the list of a bundle");
        self.note(list.as_bytes())
    }

    /// Signs the head of a tree: a C2SP tlog-checkpoint.
    pub(crate) fn sign(&self, size: u64, root: Hash) -> String {
        let text = Checkpoint::new(&self.origin, size, root, "").expect("the origin was checked").to_bytes();
        self.note(&text)
    }

    fn note(&self, text: &[u8]) -> String {
        let mut note = Note::new(text, &[]).expect("it is text that ends with a line");
        note.add_sigs(&[&self.signer]).expect("the signer's name was checked and Ed25519 always signs");
        String::from_utf8(note.to_bytes()).expect("a note is text")
    }
}

impl std::fmt::Debug for LogKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogKey({})", self.verifier)
    }
}

fn typed(key: &[u8; 32]) -> Vec<u8> {
    let mut typed = vec![ED25519];
    typed.extend_from_slice(key);
    typed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_key_survives_its_text() {
        let (made, secret) = LogKey::generate("city.example/2026").unwrap();
        let read = LogKey::parse(&format!("{secret}\n")).unwrap();
        assert_eq!((read.origin(), read.verifier()), (made.origin(), made.verifier()));
        assert!(signed_note::StandardVerifier::new(read.verifier()).is_ok());
    }

    #[test]
    fn other_texts_are_not_log_keys() {
        let (_, secret) = LogKey::from_seed("city.example", &[1; 32]).unwrap();
        for text in ["", "PRIVATE+KEY", &secret[..secret.len() - 4], &secret.replace("city", "town")] {
            assert!(matches!(LogKey::parse(text), Err(LogKeyError::Text)), "{text}");
        }
        assert!(matches!(LogKey::generate("a b"), Err(LogKeyError::Origin(_))));
    }
}
