//! What a gateway says of itself on its `status` topic: retained, and as its last will.
//!
//! A broker's word for a moment's connection, unsigned: shown to people, never evidence.

/// A gateway's line to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Connected and listening for answers.
    Online,
    /// Stopped in order.
    Stopped,
    /// Gone without a word: the last will.
    Lost,
}

impl Presence {
    const ALL: [Self; 3] = [Self::Online, Self::Stopped, Self::Lost];

    /// The message's bytes, JSON.
    pub const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Online => br#"{"state":"online"}"#,
            Self::Stopped => br#"{"state":"stopped"}"#,
            Self::Lost => br#"{"state":"lost"}"#,
        }
    }

    /// Reads a message; anything but the three is `None`.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|presence| presence.bytes() == bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_three_are_read() {
        for presence in Presence::ALL {
            assert_eq!(Presence::parse(presence.bytes()), Some(presence));
        }
        assert_eq!(Presence::parse(b"{}"), None);
    }
}
