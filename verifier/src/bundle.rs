//! Checks an evidence bundle, offline, and says in two languages what was checked, what is missing, and what no check
//! can tell.

mod acts;
mod chain;
mod keys;
mod report;

use std::collections::{BTreeMap, BTreeSet};

use proof::bundle::{Enrolment, Files, names};
use proof::log::{Receipt, check_receipt, checkpoint_of, parse_receipt_text};
use proof::payload::Header;
use proof::policy::Policy;
use proof::{AgentId, EntryId, Envelope, Opening};

pub use self::report::{Line, Mark, Report};

use self::chain::Chain;
use self::keys::Signers;
use self::report::Made;

/// What is known of the log from elsewhere. What stands in the bundle shows only that it agrees with itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<'a> {
    /// Nothing.
    Nothing,
    /// The log's verifier key.
    LogKey(&'a str),
    /// Its key and its witnesses.
    Policy(&'a Policy),
}

/// Whether these bytes begin as a bundle does, and not as an envelope.
pub fn is_bundle(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// Checks a bundle with what is known of the log from elsewhere.
pub fn check(bundle: &[u8], known: Known<'_>) -> Report {
    let mut report = Made::default();
    match Files::read(bundle) {
        Err(error) => report.wrong(format!("证据包不完整或被改动：{error}"), error.to_string()),
        Ok(files) => Checking { bundle, files: &files, report: &mut report }.all(known),
    }
    report.end()
}

struct Checking<'a> {
    bundle: &'a [u8],
    files: &'a Files,
    report: &'a mut Made,
}

/// What receipts say of the log.
#[derive(Default)]
struct Log {
    checkpoints: BTreeSet<String>,
    /// Sizes and roots.
    heads: BTreeSet<(u64, [u8; 32])>,
    places: BTreeSet<u64>,
}

impl Checking<'_> {
    fn all(mut self, known: Known<'_>) {
        self.names();
        let Some(policy) = self.policy(known) else { return };
        let Some(log_key) = policy.logs.first().cloned() else { return };
        match self.files.signed_by(self.bundle, &log_key) {
            Ok(()) => self.report.say(
                Mark::Holds,
                format!(
                    "文件 {} 个，长度与摘要（SHA-256、SM3）一致，清单由日志密钥签名",
                    self.files.names().count()
                ),
                format!(
                    "{} files with the lengths and digests (SHA-256, SM3) of a list signed by the log's key",
                    self.files.names().count()
                ),
            ),
            Err(error) => self.report.wrong("文件清单不是由该日志密钥签名", error.to_string()),
        }
        let keys = self.enrolments();
        let mut log = Log::default();
        self.acts(&keys, &log_key, &mut log);
        let envelopes = self.envelopes(&keys, &log_key, &policy, log);
        self.openings(&envelopes);
        if self.files.get(self.bundle, names::VERDICT).is_none() {
            self.report.say(
                Mark::Missing,
                "缺少评定结论 verdict.json",
                "the assessment verdict.json is not there",
            );
        }
        self.cannot_tell(&policy);
    }

    /// Nothing is in it that nobody looks at.
    fn names(&mut self) {
        let known = [names::README, names::POLICY, names::VERDICT];
        let folders = [names::ACTS, names::ENROLMENT, names::ENVELOPES, names::RECEIPTS, names::OPENINGS];
        for name in self.files.names() {
            if !known.contains(&name) && !folders.iter().any(|folder| name.starts_with(folder)) {
                self.report.wrong(format!("多余的文件 {name}"), format!("`{name}` is no file of a bundle"));
            }
        }
        if self.files.get(self.bundle, names::README).is_none() {
            self.report.say(Mark::Missing, "缺少说明 README.txt", "README.txt is not there");
        }
    }

    /// The policy that is checked with: of one log, in its one form.
    fn policy(&mut self, known: Known<'_>) -> Option<Policy> {
        let text = self.files.get(self.bundle, names::POLICY).and_then(|text| std::str::from_utf8(text).ok());
        let read = text.and_then(|text| Policy::parse(text).ok().filter(|policy| policy.text() == text));
        let Some(own) = read.filter(|policy| policy.logs.len() == 1) else {
            self.report.wrong(
                "policy 缺失或无法解读：应为一个日志及其见证",
                "policy is missing or not understood: it should name one log and its witnesses",
            );
            return None;
        };
        match known {
            Known::Nothing => self.report.say(
                Mark::Missing,
                "未另行给出日志公钥（--log-key）或策略（--policy）：只能说明证据包自身一致",
                "neither log key (--log-key) nor policy (--policy) was given from elsewhere: the bundle is only shown \
                 to agree with itself",
            ),
            Known::LogKey(given) if own.logs.iter().any(|log| log == given.trim()) => {
                self.report.say(Mark::Holds, "日志公钥与另行给出的一致", "the log's key is the one that was given");
                if own.asks_witnesses() {
                    self.report.say(
                        Mark::Says,
                        "见证公钥只来自证据包：另行给出策略（--policy）才能核对",
                        "the witnesses' keys are the bundle's own word: a policy given from elsewhere (--policy) checks them",
                    );
                }
            }
            Known::LogKey(_) => {
                self.report.wrong("日志公钥不是另行给出的那一个", "the log's key is not the one that was given");
            }
            Known::Policy(given) if given.text() == own.text() => self.report.say(
                Mark::Holds,
                "日志公钥与见证策略与另行给出的一致",
                "log key and witnesses are those of the policy that was given",
            ),
            Known::Policy(_) => {
                self.report.wrong("策略不是另行给出的那一个", "the policy is not the one that was given");
            }
        }
        Some(own)
    }

    /// Whether enough witnesses have cosigned the checkpoint of the receipts.
    fn witnesses(&mut self, policy: &Policy, checkpoints: &BTreeSet<String>) {
        if !policy.asks_witnesses() {
            return;
        }
        for note in checkpoints {
            // Whether the log has signed it was checked with each receipt.
            let Ok(checked) = policy.check(note) else { continue };
            let (count, of) = (checked.by.len(), policy.witnesses.len());
            let by = |at: fn(u64) -> String| {
                let by: Vec<_> =
                    checked.by.iter().map(|(name, time)| format!("{name} {}", at(*time))).collect();
                by.join(", ")
            };
            let by = by(|time_s| clock(i64::try_from(time_s).unwrap_or(0).saturating_mul(1000)));
            if checked.is_quorum {
                self.report.say(
                    Mark::Holds,
                    format!("检查点由 {of} 个独立见证中的 {count} 个联署（北京时间）：{by}"),
                    format!(
                        "{count} of {of} independent witnesses have cosigned the checkpoint (UTC+8): {by}"
                    ),
                );
            } else {
                self.report.say(
                    Mark::Missing,
                    format!("检查点只由 {of} 个独立见证中的 {count} 个联署，未达策略要求"),
                    format!("only {count} of {of} independent witnesses have cosigned the checkpoint: fewer than the policy asks"),
                );
            }
        }
    }

    fn envelopes(
        &mut self,
        keys: &BTreeMap<AgentId, Enrolment>,
        log_key: &str,
        policy: &Policy,
        mut log: Log,
    ) -> BTreeMap<EntryId, Envelope> {
        let mut envelopes = BTreeMap::new();
        let mut signers = Signers::of_enrolled(keys);
        let mut chains: BTreeMap<AgentId, Chain> = BTreeMap::new();
        let mut receipts = 0;
        for (name, bytes) in self.files.below(self.bundle, names::ENVELOPES) {
            let (envelope, header) = match signers.signed(name, bytes) {
                Ok(read) => read,
                Err((zh, en)) => {
                    self.report.wrong(format!("envelopes/{name}：{zh}"), format!("envelopes/{name}: {en}"));
                    continue;
                }
            };
            let chain = chains.entry(header.agent).or_default();
            let receipt =
                name.strip_suffix(".env").map(|place| format!("{}{place}.tlog-proof", names::RECEIPTS));
            let receipt = receipt.and_then(|name| self.files.get(self.bundle, &name));
            let received = match receipt {
                None => {
                    self.report.say(
                        Mark::Missing,
                        format!("envelopes/{name} 没有回执"),
                        format!("envelopes/{name} has no receipt"),
                    );
                    None
                }
                Some(text) => match of_envelope(text, &envelope, &header, log_key) {
                    Ok((receipt, checkpoint)) => {
                        receipts += 1;
                        self.stands(&receipt, checkpoint, &mut log);
                        Some(receipt)
                    }
                    Err(why) => {
                        self.report.wrong(
                            format!("envelopes/{name} 的回执不成立：{why}"),
                            format!("the receipt of envelopes/{name} does not hold: {why}"),
                        );
                        None
                    }
                },
            };
            chain.take(&envelope, &header, received.as_ref());
            envelopes.insert(envelope.id(), envelope);
        }
        self.stray_receipts();
        let count = envelopes.len();
        self.report.say(
            Mark::Holds,
            format!("信封 {count} 份由注册密钥签名，回执 {receipts} 份成立"),
            format!("{count} envelopes are signed by enrolled keys, {receipts} receipts hold"),
        );
        if log.heads.len() > 1 {
            self.report.say(
                Mark::Missing,
                format!("回执出自 {} 个检查点，未证明它们属于同一日志的先后", log.heads.len()),
                format!(
                    "receipts are of {} checkpoints that nothing shows to be of one log",
                    log.heads.len()
                ),
            );
        } else if let Some((size, _)) = log.heads.first() {
            self.report.say(
                Mark::Holds,
                format!("全部回执出自同一检查点（{size} 条）"),
                format!("all receipts are of one checkpoint, of {size} entries"),
            );
        }
        self.rotations(&signers);
        self.witnesses(policy, &log.checkpoints);
        for agent in keys.keys() {
            chains.entry(*agent).or_default();
        }
        for (agent, chain) in chains {
            self.chain(agent, &chain);
        }
        envelopes
    }

    /// Notes where a receipt says that its entry stands.
    fn stands(&mut self, receipt: &Receipt, checkpoint: String, log: &mut Log) {
        log.checkpoints.insert(checkpoint);
        log.heads.insert((receipt.size, receipt.root));
        let index = receipt.index;
        if !log.places.insert(index) {
            self.report.wrong(
                format!("日志序号 {index} 出现两次"),
                format!("entry {index} of the log is there twice"),
            );
        }
    }

    /// A receipt without its envelope is nobody's.
    fn stray_receipts(&mut self) {
        for (name, _) in self.files.below(self.bundle, names::RECEIPTS) {
            let place = name.strip_suffix(".tlog-proof");
            let envelope = place.map(|place| format!("{}{place}.env", names::ENVELOPES));
            if envelope.and_then(|name| self.files.get(self.bundle, &name)).is_none() {
                self.report.wrong(
                    format!("receipts/{name} 没有对应的信封"),
                    format!("receipts/{name} has no envelope"),
                );
            }
        }
    }

    fn openings(&mut self, envelopes: &BTreeMap<EntryId, Envelope>) {
        let mut held = 0;
        for (name, bytes) in self.files.below(self.bundle, names::OPENINGS) {
            let checked = Opening::parse(bytes).map_err(|error| error.to_string()).and_then(|opening| {
                let envelope = envelopes.get(&opening.entry).ok_or("its window is not in the bundle")?;
                opening.check(envelope).map(drop).map_err(|error| error.to_string())
            });
            match checked {
                Ok(()) => held += 1,
                Err(why) => self.report.wrong(
                    format!("openings/{name} 不成立：{why}"),
                    format!("openings/{name} does not hold: {why}"),
                ),
            }
        }
        if held > 0 {
            self.report.say(
                Mark::Holds,
                format!("开示 {held} 份与当时的窗口一致"),
                format!("{held} openings are what their windows committed to"),
            );
        }
    }

    fn cannot_tell(&mut self, policy: &Policy) {
        let other_log = if policy.asks_witnesses() {
            (
                "是否另有一份从未给这些见证看过的日志",
                "whether there is another log that these witnesses were never shown",
            )
        } else {
            (
                "是否另有一份不同的日志：无独立见证，时间只由该日志给出",
                "whether there is another log beside this one: no witness is asked, and the times are this log's alone",
            )
        };
        for (zh, en) in [
            (
                "观测本身是否真实：密码学看不穿线缆与账号",
                "whether the observations are true: no cryptography sees through cables and accounts",
            ),
            (
                "评定结论是否正确：结论由平台按其规则版本给出，本程序不重算",
                "whether the assessment is right: it is the server's, by the versions of rules it names, and is not computed again here",
            ),
            (
                "确认密钥的人是否当面看过网关：日志只记有其姓名",
                "whether those who confirmed the key have seen the gateway: the log has their names alone",
            ),
            other_log,
            ("逐人使用明细：不在包内", "use by account: these rows are not in a bundle"),
        ] {
            self.report.say(Mark::CannotTell, zh, en);
        }
    }
}

/// By the clocks of China, to the minute.
fn clock(at_ms: i64) -> String {
    let beijing = jiff::tz::Offset::constant(8);
    let at = jiff::Timestamp::from_millisecond(at_ms).map(|at| beijing.to_datetime(at));
    at.map_or_else(|_| at_ms.to_string(), |at| at.strftime("%Y-%m-%d %H:%M").to_string())
}

/// The receipt of an envelope and its checkpoint's text.
fn of_envelope(
    text: &[u8],
    envelope: &Envelope,
    header: &Header,
    log_key: &str,
) -> Result<(Receipt, String), String> {
    let (checked, checkpoint) = receipted(text, envelope.id(), log_key)?;
    let entry = &checked.entry;
    if (entry.seq, entry.epoch, entry.kind.as_str()) != (header.seq, header.epoch, envelope.kind())
        || entry.kid != envelope.kid()
    {
        return Err("the log entry is of another place, kind or key".to_owned());
    }
    Ok((checked, checkpoint))
}

/// The receipt of an entry and its checkpoint's text.
fn receipted(text: &[u8], entry: EntryId, log_key: &str) -> Result<(Receipt, String), String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is no text".to_owned())?;
    let receipt = parse_receipt_text(text).map_err(|error| error.to_string())?;
    // One form only: a receipt is written again and must be the same.
    if proof::log::receipt_text(&receipt) != text {
        return Err("it has parts that nobody reads".to_owned());
    }
    let checked = check_receipt(&receipt, entry, log_key).map_err(|error| error.to_string())?;
    let checkpoint = checkpoint_of(&receipt).unwrap_or_default().to_owned();
    Ok((checked, checkpoint))
}
