//! Names of things, as newtypes: agent, key hint, entry.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, HEXLOWER};

/// A gateway: 16 random bytes, written as 26 lower-case base32 letters. Common name of its client certificate and
/// the level of its MQTT topics.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(pub [u8; 16]);

/// A text that is not an agent id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an agent id is 26 lower-case base32 letters")]
pub struct NotAnAgentId;

impl AgentId {
    /// The topic this agent publishes its parcels on.
    pub fn topic_up(&self) -> String {
        format!("inuse/v1/{self}/up")
    }

    /// The topic this agent gets its answers on.
    pub fn topic_down(&self) -> String {
        format!("inuse/v1/{self}/down")
    }

    /// The topic of this agent's retained status and last will.
    pub fn topic_status(&self) -> String {
        format!("inuse/v1/{self}/status")
    }

    /// The agent id in a topic `inuse/v1/<agent>/<leaf>` with this last level.
    pub fn of_topic(topic: &str, leaf: &str) -> Option<Self> {
        let id = topic.strip_prefix("inuse/v1/")?.strip_suffix(leaf)?.strip_suffix('/')?;
        id.parse().ok()
    }

    /// Milliseconds between sealing and sending, 0 to 120,000: spread by a hash of the id so that a city does not
    /// pulse.
    pub fn send_offset_ms(&self) -> i64 {
        use sha2::{Digest as _, Sha256};
        let hash = Sha256::digest(self.0);
        i64::from(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) % 120_001)
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AgentId {
    type Err = NotAnAgentId;

    fn from_str(text: &str) -> Result<Self, NotAnAgentId> {
        if text.len() != 26 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(NotAnAgentId);
        }
        let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).map_err(|_| NotAnAgentId)?;
        Ok(Self(bytes.try_into().map_err(|_| NotAnAgentId)?))
    }
}

impl TryFrom<&[u8]> for AgentId {
    type Error = NotAnAgentId;

    fn try_from(bytes: &[u8]) -> Result<Self, NotAnAgentId> {
        Ok(Self(bytes.try_into().map_err(|_| NotAnAgentId)?))
    }
}

/// What an entry is called in the chain and in the log: SHA-256(0x02 || PAE). The signature is outside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub [u8; 32]);

impl EntryId {
    /// What the first entry of a chain names as the one before it.
    pub const NONE: Self = Self([0; 32]);
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<&[u8]> for EntryId {
    type Error = std::array::TryFromSliceError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        Ok(Self(bytes.try_into()?))
    }
}

/// First 8 bytes of SHA-256(public key). A hint for people and logs: it never selects trust.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid(pub [u8; 8]);

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agent_id_round_trips_through_its_text_and_topics() {
        let id = AgentId([7; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(AgentId::of_topic(&id.topic_up(), "up"), Some(id));
        assert_eq!(AgentId::of_topic(&id.topic_up(), "down"), None);
        assert_eq!(AgentId::of_topic("inuse/v1/a/b/up", "up"), None);
    }

    #[test]
    fn other_texts_are_not_agent_ids() {
        for text in [
            "",
            "abc",
            "AAAAAAAAAAAAAAAAAAAAAAAAAA",
            "aaaaaaaaaaaaaaaaaaaaaaaaa1",
            "aaaaaaaaaaaaaaaaaaaaaaaaab",
        ] {
            assert_eq!(text.parse::<AgentId>(), Err(NotAnAgentId), "{text}");
        }
    }
}
