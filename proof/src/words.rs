//! Six words for a gateway's key, so that people can compare it by telephone or with a finger on the screen.
//!
//! The first 66 bits of SHA-256("inuse/v1/words\0" ‖ agent id ‖ public key), eleven bits a word, by the word lists of
//! BIP 39: one Chinese character or one English word each, and the same places in both lists. To find another key
//! with the words of a given one takes some 2^66 tries; that a provider could make two keys with the same words gains
//! him nothing, since both are his.

use bip39::Language;
use sha2::{Digest as _, Sha256};

use crate::ids::AgentId;
use crate::keys::VerifyKey;

/// How many words.
pub const COUNT: usize = 6;

/// The six words of a gateway's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words([u16; COUNT]);

impl Words {
    /// The words of this gateway's key.
    pub fn of(agent: AgentId, key: &VerifyKey) -> Self {
        let hash = Sha256::new()
            .chain_update(b"inuse/v1/words\0")
            .chain_update(agent.0)
            .chain_update(key.to_bytes())
            .finalize();
        let mut bits = u128::from_be_bytes(hash[..16].try_into().expect("a SHA-256 has 32 bytes"));
        Self(std::array::from_fn(|_| {
            bits = bits.rotate_left(11);
            (bits & 0x7ff) as u16
        }))
    }

    /// In Chinese: six characters with spaces between.
    pub fn zh(&self) -> String {
        self.by(Language::SimplifiedChinese)
    }

    /// In English: six words with spaces between.
    pub fn en(&self) -> String {
        self.by(Language::English)
    }

    fn by(&self, language: Language) -> String {
        let list = language.word_list();
        let words: Vec<_> = self.0.iter().map(|at| list[usize::from(*at)]).collect();
        words.join(" ")
    }

    /// Whether these are the words, in either language; spaces, commas and upper case are nothing. A text of more than
    /// 200 bytes is not.
    pub fn are(&self, typed: &str) -> bool {
        if typed.len() > 200 {
            return false;
        }
        let plain = |text: &str| -> String {
            text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
        };
        let typed = plain(typed);
        typed == plain(&self.zh()) || typed == plain(&self.en())
    }
}

/// Both, the Chinese first.
impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.zh(), self.en())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SigningKey;

    fn words(agent: u8, seed: u8) -> Words {
        Words::of(AgentId([agent; 16]), &SigningKey::from_seed(&[seed; 32]).verify_key())
    }

    #[test]
    fn the_words_of_a_key_stay_those_that_people_wrote_down() {
        assert_eq!(words(9, 1).to_string(), "健 放 律 卖 泰 邻 (perfect burden conduct main post search)");
    }

    #[test]
    fn another_key_or_another_gateway_has_other_words() {
        assert_ne!(words(9, 1), words(9, 2));
        assert_ne!(words(9, 1), words(8, 1));
    }

    #[test]
    fn words_are_known_in_both_languages_however_they_are_spaced_and_no_others_are() {
        let words = words(9, 1);
        let (zh, en) = (words.zh(), words.en());
        for right in [
            &zh,
            &en,
            &zh.replace(' ', ""),
            &zh.replace(' ', "，"),
            &en.to_uppercase(),
            &en.replace(' ', "\n"),
        ] {
            assert!(words.are(right), "{right}");
        }
        let five = zh.rsplit_once(' ').unwrap().0;
        let swapped: String = zh.chars().rev().collect();
        for wrong in ["", five, &swapped, &format!("{zh} {zh}"), &format!("{zh}{en}"), &zh.repeat(40)] {
            assert!(!words.are(wrong), "{wrong}");
        }
    }

    #[test]
    fn no_two_words_of_a_list_can_be_taken_for_another_when_spaces_are_lost() {
        // Chinese: one character a word, so six characters are six words in one way only.
        assert!(Language::SimplifiedChinese.word_list().iter().all(|word| word.chars().count() == 1));
    }
}
