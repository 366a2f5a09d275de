//! Packets of the MySQL protocol, as bytes.

use sha1::{Digest as _, Sha1};
use sha2::Sha256;

const LONG_PASSWORD: u32 = 1;
const LONG_FLAG: u32 = 1 << 2;
const WITH_DATABASE: u32 = 1 << 3;
const PROTOCOL_41: u32 = 1 << 9;
const TLS: u32 = 1 << 11;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE_CONNECTION: u32 = 1 << 15;
const AUTH_METHODS: u32 = 1 << 19;
/// utf8mb4_general_ci: what we say is UTF-8.
const UTF8MB4: u8 = 45;
/// What the server may send at once; it is told, and bounded again when it comes.
const MAX_ALLOWED: u32 = 8 << 20;

/// Takes things off the front of some bytes.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of 1 to 8 bytes, the lowest first.
    pub(super) fn number(&mut self, bytes: usize) -> Option<u64> {
        let taken = self.bytes(bytes)?;
        Some(taken.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Bytes up to a zero, which is taken too.
    pub(super) fn terminated(&mut self) -> Option<&'a [u8]> {
        let length = self.0.iter().position(|byte| *byte == 0)?;
        let taken = self.bytes(length)?;
        self.0 = &self.0[1..];
        Some(taken)
    }

    /// A length in one to nine bytes.
    pub(super) fn length(&mut self) -> Option<u64> {
        match self.number(1)? {
            0xfc => self.number(2),
            0xfd => self.number(3),
            0xfe => self.number(8),
            0xfb | 0xff => None,
            short => Some(short),
        }
    }

    /// Bytes after their length.
    pub(super) fn counted(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.bytes(usize::try_from(length).ok()?)
    }
}

/// What a server says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Greeting {
    capabilities: u32,
    pub(super) nonce: Vec<u8>,
    /// How accounts are checked unless an account says otherwise.
    pub(super) method: String,
}

impl Greeting {
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let mut reader = Reader(packet);
        if reader.number(1)? != 10 {
            return None;
        }
        reader.terminated()?;
        reader.bytes(4)?;
        let mut nonce = reader.bytes(8)?.to_vec();
        reader.bytes(1)?;
        let low = reader.number(2)?;
        reader.bytes(3)?;
        let capabilities = u32::try_from(low | reader.number(2)? << 16).ok()?;
        let length = usize::try_from(reader.number(1)?).ok()?;
        reader.bytes(10)?;
        let rest = reader.bytes(length.saturating_sub(8).max(13))?;
        nonce.extend(rest.strip_suffix(&[0]).unwrap_or(rest));
        let method = reader.terminated().unwrap_or(reader.0);
        let method = String::from_utf8_lossy(method).into_owned();
        (capabilities & PROTOCOL_41 != 0).then_some(Self { capabilities, nonce, method })
    }

    pub(super) fn has_tls(&self) -> bool {
        self.capabilities & TLS != 0
    }

    fn head(tls: bool) -> Vec<u8> {
        let secured = if tls { TLS } else { 0 };
        let ours = LONG_PASSWORD | LONG_FLAG | WITH_DATABASE | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION;
        let mut packet = (ours | AUTH_METHODS | secured).to_le_bytes().to_vec();
        packet.extend(MAX_ALLOWED.to_le_bytes());
        packet.push(UTF8MB4);
        packet.extend([0; 23]);
        packet
    }

    pub(super) fn tls_request(&self) -> Vec<u8> {
        Self::head(true)
    }

    pub(super) fn response(
        &self,
        tls: bool,
        user: &str,
        proof: &[u8],
        database: &str,
        method: &str,
    ) -> Vec<u8> {
        let mut packet = Self::head(tls);
        packet.extend(user.bytes().chain([0]));
        packet.push(u8::try_from(proof.len()).expect("proofs are digests"));
        packet.extend(proof);
        packet.extend(database.bytes().chain([0]));
        packet.extend(method.bytes().chain([0]));
        packet
    }
}

/// SHA1(password) XOR SHA1(nonce ‖ SHA1(SHA1(password)))
pub(super) fn scrambled_native(password: &str, nonce: &[u8]) -> Vec<u8> {
    let once = Sha1::digest(password);
    let salted = Sha1::new().chain_update(nonce).chain_update(Sha1::digest(once)).finalize();
    once.iter().zip(salted).map(|(a, b)| a ^ b).collect()
}

/// SHA256(password) XOR SHA256(SHA256(SHA256(password)) ‖ nonce)
pub(super) fn scrambled_sha2(password: &str, nonce: &[u8]) -> Vec<u8> {
    let once = Sha256::digest(password);
    let salted = Sha256::new().chain_update(Sha256::digest(once)).chain_update(nonce).finalize();
    once.iter().zip(salted).map(|(a, b)| a ^ b).collect()
}

/// The body of COM_STMT_EXECUTE with texts as its values.
pub(super) fn execute(statement: u32, values: &[String]) -> Vec<u8> {
    let mut packet = statement.to_le_bytes().to_vec();
    packet.push(0);
    packet.extend(1_u32.to_le_bytes());
    if !values.is_empty() {
        packet.extend(vec![0; values.len().div_ceil(8)]);
        packet.push(1);
        packet.extend(values.iter().flat_map(|_| [0xfd, 0]));
        for value in values {
            let length = u32::try_from(value.len()).expect("keys are bounded");
            packet.push(0xfd);
            packet.extend(&length.to_le_bytes()[..3]);
            packet.extend(value.bytes());
        }
    }
    packet
}

/// Whether a packet ends a list of columns or rows.
pub(super) fn is_end(packet: &[u8]) -> bool {
    packet.first() == Some(&0xfe) && packet.len() < 9
}

/// What is said of a column before its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) collation: u16,
    pub(super) kind: u8,
    pub(super) unsigned: bool,
}

impl Column {
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let mut reader = Reader(packet);
        for _ in 0..6 {
            reader.counted()?;
        }
        reader.length()?;
        let collation = u16::try_from(reader.number(2)?).ok()?;
        reader.bytes(4)?;
        let kind = u8::try_from(reader.number(1)?).ok()?;
        let unsigned = reader.number(2)? & 0x20 != 0;
        Some(Self { collation, kind, unsigned })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn passwords_are_scrambled_as_the_server_expects() {
        // What a server checks: SHA1(proof XOR SHA1(nonce ‖ stored)) is stored, the hash of the hash.
        let nonce = [7; 20];
        let stored = Sha1::digest(Sha1::digest("在用"));
        let salted = Sha1::new().chain_update(nonce).chain_update(stored).finalize();
        let once: Vec<u8> = scrambled_native("在用", &nonce).iter().zip(salted).map(|(a, b)| a ^ b).collect();
        assert_eq!(Sha1::digest(once), stored);
        let stored = Sha256::digest(Sha256::digest("在用"));
        let salted = Sha256::new().chain_update(stored).chain_update(nonce).finalize();
        let once: Vec<u8> = scrambled_sha2("在用", &nonce).iter().zip(salted).map(|(a, b)| a ^ b).collect();
        assert_eq!(Sha256::digest(once), stored);
    }

    proptest! {
        #[test]
        fn arbitrary_packets_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(greeting) = Greeting::read(&bytes) {
                prop_assert!(greeting.nonce.len() < bytes.len());
            }
            prop_assert!(Column::read(&bytes).is_none() || bytes.len() >= 13);
        }
    }
}
