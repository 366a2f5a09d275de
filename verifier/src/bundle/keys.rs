//! Which key signs each entry of a chain: the enrolled one, until the chain itself puts another in its place.

use std::collections::BTreeMap;

use proof::bundle::{Enrolment, place};
use proof::payload::Header;
use proof::{AgentId, EntryId, Envelope, EnvelopeError, VerifyKey, rotation};

use super::{Checking, Mark};

/// Why an envelope shows nothing, in both languages.
type Why = (String, String);

/// Who signs: the enrolled key until an entry puts another in its place, which then signs what follows that entry.
pub(super) struct Signers<'a> {
    enrolled: &'a BTreeMap<AgentId, Enrolment>,
    /// Epoch and key of whatever follows this entry.
    after: BTreeMap<EntryId, (u32, VerifyKey)>,
    /// Keys that took over, with the sequence from which they sign: several only after a fork.
    rotated: BTreeMap<(AgentId, u32), Vec<(VerifyKey, u64)>>,
}

impl<'a> Signers<'a> {
    pub(super) const fn of_enrolled(enrolled: &'a BTreeMap<AgentId, Enrolment>) -> Self {
        Self { enrolled, after: BTreeMap::new(), rotated: BTreeMap::new() }
    }

    /// An envelope that the key in force at its place has signed, under its own name. Entries come in the order of their
    /// sequences.
    pub(super) fn signed(&mut self, name: &str, bytes: &[u8]) -> Result<(Envelope, Header), Why> {
        let envelope = Envelope::parse(bytes).map_err(|error| ("不是信封".to_owned(), error.to_string()))?;
        let header = Header::parse(envelope.payload())
            .map_err(|error| ("头部无法解读".to_owned(), error.to_string()))?;
        if name.strip_suffix(".env") != Some(&place(header.agent, header.seq, envelope.id())) {
            return Err(("文件名与内容不符".to_owned(), "its name is not that of its content".to_owned()));
        }
        let bad = |error: EnvelopeError| ("签名不成立".to_owned(), error.to_string());
        let mut keys = self.of(&header)?;
        // After a fork several may have taken over: which one it is, its signature says.
        let key = match keys.iter().position(|key| envelope.verify(key).is_ok()) {
            Some(at) => keys.swap_remove(at),
            None => return Err(bad(EnvelopeError::BadSignature)),
        };
        let next = rotation::of(&envelope, &header, &key)
            .map_err(|error| ("换钥不成立".to_owned(), format!("no rotation: {error}")))?;
        if let Some(new) = next {
            let shown = self.rotated.entry((header.agent, header.epoch + 1)).or_default();
            shown.push((new, header.seq.saturating_add(1)));
        }
        let after = next.map_or((header.epoch, key), |new| (header.epoch + 1, new));
        self.after.insert(envelope.id(), after);
        Ok((envelope, header))
    }

    /// Keys that may have signed an entry with this header.
    fn of(&self, header: &Header) -> Result<Vec<VerifyKey>, Why> {
        let Some(enrolment) = self.enrolled.get(&header.agent) else {
            return Err(("该网关没有注册信息".to_owned(), "its gateway's enrolment is not there".to_owned()));
        };
        let epoch = header.epoch;
        let other = |in_force: u32| {
            (
                format!("属第 {epoch} 代密钥，而此处生效的是第 {in_force} 代"),
                format!("it is of epoch {epoch}, and the key in force there is of epoch {in_force}"),
            )
        };
        if let Some((in_force, key)) = self.after.get(&header.prev) {
            return if *in_force == epoch { Ok(vec![*key]) } else { Err(other(*in_force)) };
        }
        if header.prev == EntryId::NONE && epoch != enrolment.epoch {
            return Err(other(enrolment.epoch));
        }
        // What it follows is not in the bundle: the key is that of its epoch, as far as the bundle shows one.
        let mut keys: Vec<[u8; 32]> = Vec::new();
        if epoch == enrolment.epoch {
            keys.push(enrolment.key);
        } else if let Some(shown) = self.rotated.get(&(header.agent, epoch)) {
            keys.extend(shown.iter().map(|(key, _)| key.to_bytes()));
        } else {
            keys.extend(enrolment.rotated.iter().filter(|known| known.epoch == epoch).map(|known| known.key));
        }
        if keys.is_empty() {
            return Err(other(enrolment.epoch));
        }
        Ok(keys.iter().filter_map(|key| VerifyKey::from_bytes(key).ok()).collect())
    }
}

impl Checking<'_> {
    /// Keys that enrolments name are those that the chain has put in place itself.
    pub(super) fn rotations(&mut self, signers: &Signers<'_>) {
        for (agent, enrolment) in signers.enrolled {
            for rotated in &enrolment.rotated {
                let epoch = rotated.epoch;
                let shown = signers.rotated.get(&(*agent, epoch)).map_or(&[][..], Vec::as_slice);
                if shown.iter().any(|(key, seq)| key.to_bytes() == rotated.key && *seq == rotated.from_seq) {
                    let kid = VerifyKey::from_bytes(&rotated.key)
                        .map_or_else(|_| "?".to_owned(), |key| key.kid().to_string());
                    self.report.say(
                        Mark::Holds,
                        format!(
                            "网关 {agent} 自序号 {} 起由第 {epoch} 代密钥 {kid} 签名：前一密钥签署换钥，新密钥亦签名",
                            rotated.from_seq
                        ),
                        format!(
                            "from sequence {} on key {kid} of epoch {epoch} signs for gateway {agent}: the key before \
                             it says so, and it has signed for it itself",
                            rotated.from_seq
                        ),
                    );
                } else if shown.is_empty() {
                    self.report.say(
                        Mark::Missing,
                        format!("网关 {agent} 第 {epoch} 代密钥的换钥记录不在包内"),
                        format!("the rotation to epoch {epoch} of gateway {agent} is not in the bundle"),
                    );
                } else {
                    self.report.wrong(
                        format!("网关 {agent} 第 {epoch} 代密钥不是链上换上的那一把"),
                        format!("the key of epoch {epoch} of gateway {agent} is not the one that its chain has put in place"),
                    );
                }
            }
        }
    }
}
