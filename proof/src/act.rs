//! What the log's owner puts into the log himself: that a gateway has enrolled, who confirmed its key, that a key is
//! believed no longer, and a beacon that nobody could foretell.
//!
//! An act is not signed by itself: it stands in the log, and every checkpoint from then on signs it. Its entry id is
//! made as an envelope's is, of kind and payload; its log entry has epoch 0 and sequence 0, which no gateway's has.

use prost::Message as _;

use crate::ids::{AgentId, EntryId};
use crate::keys::VerifyKey;
use crate::{MAX_SEQ, TIMES_MS, envelope, wire};

pub use crate::wire::Party;

/// Largest encoded act that is read, bytes.
pub const MAX_ACT: usize = 4 * 1024;

/// Longest text in an act, characters.
pub const MAX_TEXT: usize = 200;

/// One act.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// Random: nobody guesses an act from its hash.
    pub salt: [u8; 32],
    /// Server's Unix ms.
    pub at_ms: i64,
    /// What was done.
    pub deed: Deed,
}

/// What the log's owner did.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// A gateway has shown a token and its key.
    Enrol(AgentId, wire::Enrol),
    /// A party has compared the six words of the key with those that the gateway shows.
    Confirm(AgentId, wire::Confirm),
    /// The key is believed no longer.
    Revoke(AgentId, wire::Revoke),
    /// Nothing: the salt is what it is for. Whoever names a later checkpoint as anchor did so after this was drawn.
    Beacon,
}

/// Bytes that are no act of the kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an act of kind `{kind}`: {problem}")]
pub struct ActError {
    kind: String,
    problem: &'static str,
}

impl Act {
    /// Kind of its log entry.
    pub const fn kind(&self) -> &'static str {
        match self.deed {
            Deed::Enrol(..) => "enrol",
            Deed::Confirm(..) => "confirm",
            Deed::Revoke(..) => "revoke",
            Deed::Beacon => "beacon",
        }
    }

    /// Whom it is about.
    pub const fn agent(&self) -> Option<AgentId> {
        match self.deed {
            Deed::Enrol(agent, _) | Deed::Confirm(agent, _) | Deed::Revoke(agent, _) => Some(agent),
            Deed::Beacon => None,
        }
    }

    /// Its bytes, as they are hashed.
    pub fn encode(&self) -> Vec<u8> {
        let mut act = wire::Act {
            version: 1,
            salt: self.salt.to_vec(),
            agent: self.agent().map(|agent| agent.0.to_vec()).unwrap_or_default(),
            at_ms: self.at_ms,
            ..wire::Act::default()
        };
        match &self.deed {
            Deed::Enrol(_, enrol) => act.enrol = Some(enrol.clone()),
            Deed::Confirm(_, confirm) => act.confirm = Some(confirm.clone()),
            Deed::Revoke(_, revoke) => act.revoke = Some(revoke.clone()),
            Deed::Beacon => {}
        }
        act.encode_to_vec()
    }

    /// What the log calls it.
    pub fn id(&self) -> EntryId {
        id_of(self.kind(), &self.encode())
    }

    /// Reads an act of this kind, within bounds and in its one form.
    ///
    /// # Errors
    /// When the bytes are not one.
    pub fn parse(kind: &str, bytes: &[u8]) -> Result<Self, ActError> {
        let wrong = |problem| ActError { kind: kind.chars().take(32).collect(), problem };
        if bytes.len() > MAX_ACT {
            return Err(wrong("it is too long"));
        }
        let raw = wire::Act::decode(bytes).map_err(|_| wrong("it is no protobuf message of acts"))?;
        if raw.version != 1 {
            return Err(wrong("unknown version"));
        }
        let salt = raw.salt.as_slice().try_into().map_err(|_| wrong("salt is not 32 bytes"))?;
        let agent = || AgentId::try_from(raw.agent.as_slice()).map_err(|_| wrong("agent is not 16 bytes"));
        let deed = match kind {
            "enrol" => Deed::Enrol(agent()?, raw.enrol.clone().ok_or(wrong("nothing is enrolled"))?),
            "confirm" => Deed::Confirm(agent()?, raw.confirm.clone().ok_or(wrong("nothing is confirmed"))?),
            "revoke" => Deed::Revoke(agent()?, raw.revoke.clone().ok_or(wrong("nothing is revoked"))?),
            "beacon" => Deed::Beacon,
            _ => return Err(wrong("there is no such act")),
        };
        let act = Self { salt, at_ms: raw.at_ms, deed };
        act.check().map_err(wrong)?;
        // One form only: nothing is in it that nobody reads.
        if act.encode() == bytes { Ok(act) } else { Err(wrong("it has parts that nobody reads")) }
    }

    fn check(&self) -> Result<(), &'static str> {
        let is = |fine: bool, problem| if fine { Ok(()) } else { Err(problem) };
        let key = |key: &[u8]| is(VerifyKey::from_bytes(key).is_ok(), "key is not an Ed25519 public key");
        let text = |text: &str, problem| {
            is(text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control), problem)
        };
        let empty_or = |bytes: &[u8], length| bytes.is_empty() || bytes.len() == length;
        is(TIMES_MS.contains(&self.at_ms), "a time outside 1970 to 2100")?;
        match &self.deed {
            Deed::Enrol(_, enrol) => {
                key(&enrol.key)?;
                is(enrol.epoch == 1, "a gateway enrols with epoch 1")?;
                is(empty_or(&enrol.hardware, 32), "hardware is not 32 bytes")?;
                is(empty_or(&enrol.manifest, 16), "manifest is not 16 bytes")?;
                is(empty_or(&enrol.baseline, 32), "baseline is not 32 bytes")?;
                is(empty_or(&enrol.replaces, 16), "replaces is not 16 bytes")?;
                text(&enrol.project, "project is no short text")?;
                text(&enrol.hostname, "hostname is no short text")?;
                text(&enrol.installer, "installer is no short text")?;
                text(&enrol.reason, "reason is no short text")
            }
            Deed::Confirm(_, confirm) => {
                key(&confirm.key)?;
                let known = matches!(confirm.party(), Party::Firm | Party::City);
                is(known && confirm.party == i32::from(confirm.party()), "an unknown party")?;
                text(&confirm.name, "name is no short text")?;
                is(!confirm.name.is_empty(), "nobody's name")
            }
            Deed::Revoke(_, revoke) => {
                key(&revoke.key)?;
                is((1..=MAX_SEQ).contains(&revoke.from_seq), "a sequence outside 1 to 2^53")?;
                text(&revoke.reason, "reason is no short text")
            }
            Deed::Beacon => Ok(()),
        }
    }
}

/// What the log calls an act of these bytes.
pub fn id_of(kind: &str, bytes: &[u8]) -> EntryId {
    envelope::entry_id(kind, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SigningKey;

    fn key() -> Vec<u8> {
        SigningKey::from_seed(&[1; 32]).verify_key().to_bytes().to_vec()
    }

    fn act(deed: Deed) -> Act {
        Act { salt: [7; 32], at_ms: 1_750_000_000_000, deed }
    }

    fn enrol() -> wire::Enrol {
        wire::Enrol { key: key(), epoch: 1, project: "a-firm".to_owned(), ..Default::default() }
    }

    fn confirm() -> wire::Confirm {
        wire::Confirm { key: key(), party: Party::Firm.into(), name: "王".to_owned() }
    }

    fn revoke() -> wire::Revoke {
        wire::Revoke { key: key(), from_seq: 4, reason: "被盗".to_owned() }
    }

    const AGENT: AgentId = AgentId([9; 16]);

    #[test]
    fn an_act_is_read_back_and_is_of_its_kind_only() {
        let deeds =
            [Deed::Enrol(AGENT, enrol()), Deed::Confirm(AGENT, confirm()), Deed::Revoke(AGENT, revoke())];
        for deed in deeds {
            let act = act(deed);
            let bytes = act.encode();
            assert_eq!(Act::parse(act.kind(), &bytes).as_ref(), Ok(&act));
            for other in ["enrol", "confirm", "revoke", "beacon", "window"] {
                assert_eq!(Act::parse(other, &bytes).is_ok(), other == act.kind(), "{other}");
            }
            assert_ne!(id_of("window", &bytes), act.id());
            for end in 0..bytes.len() {
                assert!(Act::parse(act.kind(), &bytes[..end]).is_err(), "{end}");
            }
            Act::parse(act.kind(), &[&bytes[..], &[0x78, 1]].concat()).unwrap_err();
        }
        let beacon = act(Deed::Beacon);
        assert_eq!(Act::parse("beacon", &beacon.encode()), Ok(beacon));
    }

    #[test]
    fn acts_outside_their_bounds_are_refused() {
        let refused = |deed: Deed| {
            let act = act(deed);
            Act::parse(act.kind(), &act.encode()).unwrap_err().to_string()
        };
        let long = "长".repeat(MAX_TEXT + 1);
        assert!(refused(Deed::Enrol(AGENT, wire::Enrol { key: vec![0; 32], ..enrol() })).contains("key"));
        assert!(refused(Deed::Enrol(AGENT, wire::Enrol { epoch: 2, ..enrol() })).contains("epoch"));
        assert!(
            refused(Deed::Enrol(AGENT, wire::Enrol { hardware: vec![1], ..enrol() })).contains("hardware")
        );
        assert!(
            refused(Deed::Enrol(AGENT, wire::Enrol { installer: long, ..enrol() })).contains("installer")
        );
        assert!(refused(Deed::Confirm(AGENT, wire::Confirm { party: 3, ..confirm() })).contains("party"));
        let nobody = wire::Confirm { name: String::new(), ..confirm() };
        assert!(refused(Deed::Confirm(AGENT, nobody)).contains("name"));
        assert!(refused(Deed::Revoke(AGENT, wire::Revoke { from_seq: 0, ..revoke() })).contains("sequence"));
        let lines = wire::Revoke { reason: "a\nb".to_owned(), ..revoke() };
        assert!(refused(Deed::Revoke(AGENT, lines)).contains("reason"));
        let late = Act { at_ms: i64::MAX, ..act(Deed::Beacon) };
        Act::parse("beacon", &late.encode()).unwrap_err();
    }
}
