//! What server and log say of each gateway: that it enrolled, with which key, and who confirmed it.

use std::collections::BTreeMap;

use proof::bundle::{Enrolment, act_place, names};
use proof::log::Receipt;
use proof::{Act, AgentId, Deed, Party, VerifyKey};

use super::{Checking, Log, Mark, clock, receipted};

impl Checking<'_> {
    pub(super) fn enrolments(&mut self) -> BTreeMap<AgentId, Enrolment> {
        let mut known = BTreeMap::new();
        for (name, text) in self.files.below(self.bundle, names::ENROLMENT) {
            let read = std::str::from_utf8(text).ok().and_then(Enrolment::parse);
            match read
                .filter(|read| read.agent.to_string() == name && VerifyKey::from_bytes(&read.key).is_ok())
            {
                Some(read) => {
                    if let Some(at) = read.revoked_ms {
                        self.report.say(
                            Mark::Says,
                            format!("网关 {name} 的密钥已于 {}（北京时间）停用；此前有回执的仍然有效", clock(at)),
                            format!(
                                "the key of gateway {name} was revoked {} (UTC+8); what was receipted before stays valid",
                                clock(at)
                            ),
                        );
                    }
                    known.insert(read.agent, read);
                }
                None => self
                    .report
                    .wrong(format!("enrolment/{name} 无法解读"), format!("enrolment/{name} cannot be read")),
            }
        }
        if known.is_empty() {
            self.report.say(Mark::Missing, "没有任何网关的注册信息", "no gateway's enrolment is there");
        }
        known
    }

    /// What the log says of each gateway: that it enrolled with this key, and who confirmed it.
    pub(super) fn acts(&mut self, keys: &BTreeMap<AgentId, Enrolment>, log_key: &str, log: &mut Log) {
        let mut said: BTreeMap<AgentId, Vec<Act>> = BTreeMap::new();
        let found: Vec<_> = self.files.below(self.bundle, names::ACTS).collect();
        for (name, bytes) in found {
            if let Some(of) = name.strip_suffix(".tlog-proof") {
                if self.files.get(self.bundle, &format!("{}{of}.act", names::ACTS)).is_none() {
                    self.report
                        .wrong(format!("acts/{name} 没有对应的记录"), format!("acts/{name} has no act"));
                }
                continue;
            }
            match self.act(name, bytes, log_key) {
                Ok((agent, act, receipt, checkpoint)) => {
                    self.stands(&receipt, checkpoint, log);
                    said.entry(agent).or_default().push(act);
                }
                Err(why) => self
                    .report
                    .wrong(format!("acts/{name} 不成立：{why}"), format!("acts/{name} does not hold: {why}")),
            }
        }
        for (agent, known) in keys {
            self.confirmations(*agent, known, &said.remove(agent).unwrap_or_default());
        }
        for agent in said.keys() {
            self.report.wrong(
                format!("acts/{agent} 没有对应的注册信息"),
                format!("acts/{agent} is of no gateway whose enrolment is there"),
            );
        }
    }

    /// An act under its own name, with what its receipt shows.
    fn act(
        &self,
        name: &str,
        bytes: &[u8],
        log_key: &str,
    ) -> Result<(AgentId, Act, Receipt, String), String> {
        let of = name.strip_suffix(".act").ok_or("it is no file of a bundle")?;
        let kind = of.rsplit_once('-').map(|(_, kind)| kind).ok_or("its name has no kind")?;
        let act = Act::parse(kind, bytes).map_err(|error| error.to_string())?;
        let agent = act.agent().ok_or("it is about no gateway")?;
        let text = self.files.get(self.bundle, &format!("{}{of}.tlog-proof", names::ACTS));
        let (receipt, checkpoint) = receipted(text.ok_or("it has no receipt")?, act.id(), log_key)?;
        if of != act_place(agent, receipt.index, kind) {
            return Err("its name is not that of its content".to_owned());
        }
        let entry = &receipt.entry;
        if (entry.seq, entry.epoch, entry.kind.as_str(), entry.recv_ms) != (0, 0, kind, act.at_ms) {
            return Err("the log entry is of another place, kind or time".to_owned());
        }
        Ok((agent, act, receipt, checkpoint))
    }

    /// Whether the log has this gateway's enrolment and both confirmations of its key.
    fn confirmations(&mut self, agent: AgentId, known: &Enrolment, said: &[Act]) {
        let mut enrolled = None;
        let mut by: BTreeMap<i32, String> = BTreeMap::new();
        for act in said {
            match &act.deed {
                Deed::Enrol(_, enrol) => enrolled = Some((enrol, act.at_ms)),
                Deed::Confirm(_, confirm) => {
                    if enrolled.is_some_and(|(enrol, _)| enrol.key == confirm.key) {
                        by.insert(confirm.party, format!("{} {}", confirm.name, clock(act.at_ms)));
                    }
                }
                Deed::Revoke(..) if known.revoked_ms.is_none() => self.report.wrong(
                    format!("日志记有网关 {agent} 的密钥停用，注册信息里没有"),
                    format!("the log has the revocation of gateway {agent}, and its enrolment does not"),
                ),
                Deed::Revoke(..) | Deed::Beacon => {}
            }
        }
        let Some((enrol, at_ms)) = enrolled else {
            self.report.say(
                Mark::Missing,
                format!("日志中没有网关 {agent} 的登记：注册信息只是平台的说法"),
                format!("no enrolment of gateway {agent} is shown to be in the log: it is the server's word"),
            );
            return;
        };
        if enrol.key != known.key || enrol.project != known.project || at_ms != known.enrolled_ms {
            self.report.wrong(
                format!("网关 {agent} 的注册信息与日志中的登记不一致"),
                format!("the enrolment of gateway {agent} is not the one in the log"),
            );
            return;
        }
        let baseline: String = enrol.baseline.iter().map(|byte| format!("{byte:02x}")).collect();
        if baseline.is_empty() {
            self.report.say(
                Mark::Says,
                format!("网关 {agent} 登记时没有采集改造前基线：此前有什么，日志不能说明"),
                format!("no before-baseline was taken when gateway {agent} enrolled: the log cannot show what was there before"),
            );
        } else {
            self.report.say(
                Mark::Says,
                format!("网关 {agent} 登记时的改造前基线摘要 {baseline}：原文留在网关，可当场核对（inuse-agent baseline）"),
                format!("the before-baseline with which gateway {agent} enrolled has the hash {baseline}: it is on the gateway, to be compared on site (inuse-agent baseline)"),
            );
        }
        let of = |party: Party| by.get(&i32::from(party)).cloned();
        match (of(Party::Firm), of(Party::City)) {
            (Some(firm), Some(city)) => self.report.say(
                Mark::Holds,
                format!("网关 {agent} 的登记在日志中；密钥由企业（{firm}）与城市（{city}）确认（北京时间）"),
                format!(
                    "the enrolment of gateway {agent} is in the log; its key was confirmed by the firm ({firm}) and \
                     the city ({city}) (UTC+8)"
                ),
            ),
            (firm, city) => {
                let zh = |by: &Option<String>| by.clone().unwrap_or_else(|| "未确认".to_owned());
                let en = |by: &Option<String>| by.clone().unwrap_or_else(|| "not yet".to_owned());
                self.report.say(
                    Mark::Missing,
                    format!("网关 {agent} 的密钥没有双方确认：企业 {}，城市 {}", zh(&firm), zh(&city)),
                    format!(
                        "the key of gateway {agent} lacks a confirmation: the firm {}, the city {}",
                        en(&firm),
                        en(&city)
                    ),
                );
            }
        }
    }
}
