//! Checks an evidence bundle, offline, and says in two languages what was checked, what is missing, and what no check
//! can tell.

use std::collections::{BTreeMap, BTreeSet};

use proof::bundle::{Enrolment, Files, act_place, names, place};
use proof::log::{Outcome, Receipt, check_receipt, checkpoint_of, parse_receipt_text};
use proof::payload::{Header, Payload};
use proof::policy::Policy;
use proof::{Act, AgentId, Deed, EntryId, Envelope, EnvelopeError, Opening, Party, VerifyKey, rotation};

use crate::Verdict;

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// It was checked and holds.
    Holds,
    /// It does not hold.
    Wrong,
    /// It is needed and not there.
    Missing,
    /// It is so, and whoever reads the evidence should know.
    Says,
    /// No check of these bytes can tell.
    CannotTell,
}

impl Mark {
    /// Its word in Chinese.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::Holds => "成立",
            Self::Wrong => "不成立",
            Self::Missing => "缺少",
            Self::Says => "须知",
            Self::CannotTell => "无法得知",
        }
    }

    /// Its word in English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::Holds => "ok",
            Self::Wrong => "FAILED",
            Self::Missing => "missing",
            Self::Says => "note",
            Self::CannotTell => "cannot tell",
        }
    }
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What kind of line.
    pub mark: Mark,
    /// In Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
}

/// What the check of a bundle found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Yes, no or incomplete.
    pub verdict: Verdict,
    /// In the order in which it was checked.
    pub lines: Vec<Line>,
}

/// Most lines of one mark; more are counted.
const MOST: usize = 200;

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

#[derive(Default)]
struct Made {
    lines: Vec<Line>,
    counts: BTreeMap<Mark, usize>,
}

impl Made {
    fn say(&mut self, mark: Mark, zh: impl Into<String>, en: impl Into<String>) {
        let count = self.counts.entry(mark).or_default();
        *count += 1;
        if *count <= MOST {
            self.lines.push(Line { mark, zh: zh.into(), en: en.into() });
        }
    }

    fn wrong(&mut self, zh: impl Into<String>, en: impl Into<String>) {
        self.say(Mark::Wrong, zh, en);
    }

    fn end(mut self) -> Report {
        let has = |mark| self.counts.contains_key(&mark);
        let verdict = match (has(Mark::Wrong), has(Mark::Missing)) {
            (true, _) => Verdict::Invalid,
            (false, true) => Verdict::Incomplete,
            (false, false) => Verdict::Valid,
        };
        for (mark, count) in self.counts {
            if let Some(more) = count.checked_sub(MOST).filter(|more| *more > 0) {
                let (zh, en) = (format!("另有同类 {more} 条未列出"), format!("{more} more of this kind"));
                self.lines.push(Line { mark, zh, en });
            }
        }
        Report { verdict, lines: self.lines }
    }
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

/// What was found of one gateway's chain.
#[derive(Default)]
struct Chain {
    /// By sequence: entry id and the one before it.
    entries: BTreeMap<u64, BTreeMap<EntryId, EntryId>>,
    windows: usize,
    outages: usize,
    labels: usize,
    /// Openings that it names.
    opened: usize,
    rotations: usize,
    others: usize,
    conflicts: usize,
    findings: usize,
    /// Windows by how late they were received: 30 minutes, 48 hours, 7 days, later.
    grades: [usize; 4],
    from_ms: Option<i64>,
    to_ms: Option<i64>,
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

    fn enrolments(&mut self) -> BTreeMap<AgentId, Enrolment> {
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

    fn envelopes(
        &mut self,
        keys: &BTreeMap<AgentId, Enrolment>,
        log_key: &str,
        policy: &Policy,
        mut log: Log,
    ) -> BTreeMap<EntryId, Envelope> {
        let mut envelopes = BTreeMap::new();
        let mut signers = Signers { enrolled: keys, after: BTreeMap::new(), rotated: BTreeMap::new() };
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

    /// What the log says of each gateway: that it enrolled with this key, and who confirmed it.
    fn acts(&mut self, keys: &BTreeMap<AgentId, Enrolment>, log_key: &str, log: &mut Log) {
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

    /// Keys that enrolments name are those that the chain has put in place itself.
    fn rotations(&mut self, signers: &Signers<'_>) {
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

    /// Each follows the one before it, and none is missing between the first and the last.
    fn chain(&mut self, agent: AgentId, chain: &Chain) {
        let (Some((first, _)), Some((last, _))) =
            (chain.entries.first_key_value(), chain.entries.last_key_value())
        else {
            self.report.say(
                Mark::Missing,
                format!("网关 {agent} 没有任何信封"),
                format!("gateway {agent} has no envelope"),
            );
            return;
        };
        let mut links_hold = true;
        let mut missing = Vec::new();
        let mut before: Option<(u64, &BTreeMap<EntryId, EntryId>)> = None;
        for (seq, entries) in &chain.entries {
            match before {
                Some((known, ids)) if known + 1 == *seq => {
                    for prev in entries.values().filter(|prev| !ids.contains_key(*prev)) {
                        links_hold = false;
                        self.report.wrong(
                            format!("网关 {agent} 序号 {seq} 所接的前一记录 {prev} 不是序号 {known} 的记录"),
                            format!("entry {seq} of gateway {agent} follows {prev}, which is not its entry {known}"),
                        );
                    }
                }
                Some((known, _)) => missing.push((known + 1, seq - 1)),
                None => {}
            }
            if entries.len() > 1 {
                self.report.say(
                    Mark::Missing,
                    format!(
                        "网关 {agent} 序号 {seq} 有 {} 条不同记录（分叉），任何一条都不单独作为依据",
                        entries.len()
                    ),
                    format!(
                        "gateway {agent} has {} entries of sequence {seq} (a fork): none decides alone",
                        entries.len()
                    ),
                );
            }
            before = Some((*seq, entries));
        }
        for (from, to) in missing {
            self.report.say(
                Mark::Missing,
                format!("网关 {agent} 缺少序号 {from} 至 {to}"),
                format!("gateway {agent} lacks sequences {from} to {to}"),
            );
        }
        if links_hold {
            self.report.say(
                Mark::Holds,
                format!("网关 {agent}：序号 {first} 至 {last} 前后相接"),
                format!("gateway {agent}: sequences {first} to {last} follow each other"),
            );
        }
        if *first > 1 {
            self.report.say(
                Mark::Says,
                format!("网关 {agent} 的证据从序号 {first} 开始，此前的不在包内"),
                format!(
                    "the evidence of gateway {agent} begins at sequence {first}; what was before is not in it"
                ),
            );
        }
        let [a, b, c, d] = chain.grades;
        let Chain { windows, outages, labels, opened, rotations, others, conflicts, findings, .. } = chain;
        let span = match (chain.from_ms, chain.to_ms) {
            (Some(from), Some(to)) => format!("{} – {}", clock(from), clock(to)),
            _ => "—".to_owned(),
        };
        self.report.say(
            Mark::Says,
            format!(
                "网关 {agent}：窗口 {windows}（A {a}、B {b}、C {c}、D {d}），中断声明 {outages}，说明 {labels}，开示 {opened}，换钥 {rotations}，其他 {others}；\
                 台账有发现 {findings}、冲突 {conflicts}；声称时间（北京时间）{span}"
            ),
            format!(
                "gateway {agent}: {windows} windows (A {a}, B {b}, C {c}, D {d}), {outages} outages, {labels} labels, {opened} openings, {rotations} rotations of its key, {others} others; \
                 the ledger found something in {findings} and a conflict in {conflicts}; claimed time (UTC+8) {span}"
            ),
        );
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

impl Chain {
    fn take(&mut self, envelope: &Envelope, header: &Header, receipt: Option<&Receipt>) {
        self.entries.entry(header.seq).or_default().insert(envelope.id(), header.prev);
        match receipt.map(|receipt| receipt.entry.outcome) {
            Some(Outcome::Finding) => self.findings += 1,
            Some(Outcome::Conflict) => self.conflicts += 1,
            Some(Outcome::Recorded | Outcome::Unspecified) | None => {}
        }
        match Payload::parse(envelope.kind(), envelope.payload()) {
            Ok(Payload::Window(window)) => {
                self.windows += 1;
                let end_ms = window.start_ms.saturating_add(window.length_ms.into());
                self.from_ms = Some(self.from_ms.map_or(window.start_ms, |from| from.min(window.start_ms)));
                self.to_ms = Some(self.to_ms.map_or(end_ms, |to| to.max(end_ms)));
                if let Some(receipt) = receipt {
                    let late_ms = receipt.entry.recv_ms.saturating_sub(end_ms);
                    let limits = [30 * 60_000, 48 * 3_600_000, 7 * 86_400_000];
                    let in_doubt = receipt.entry.outcome == Outcome::Conflict || late_ms < -15 * 60_000;
                    let grade = limits.iter().position(|limit| late_ms <= *limit && !in_doubt).unwrap_or(3);
                    self.grades[grade] += 1;
                }
            }
            Ok(Payload::Outage(_)) => self.outages += 1,
            Ok(Payload::Label(_)) => self.labels += 1,
            Ok(Payload::Opened(_)) => self.opened += 1,
            Ok(Payload::Rotate(_)) => self.rotations += 1,
            Ok(Payload::Manifest(_) | Payload::Unknown(_)) | Err(_) => self.others += 1,
        }
    }
}

/// By the clocks of China, to the minute.
fn clock(at_ms: i64) -> String {
    let beijing = jiff::tz::Offset::constant(8);
    let at = jiff::Timestamp::from_millisecond(at_ms).map(|at| beijing.to_datetime(at));
    at.map_or_else(|_| at_ms.to_string(), |at| at.strftime("%Y-%m-%d %H:%M").to_string())
}

/// Why an envelope shows nothing, in both languages.
type Why = (String, String);

/// Who signs: the enrolled key until an entry puts another in its place, which then signs what follows that entry.
struct Signers<'a> {
    enrolled: &'a BTreeMap<AgentId, Enrolment>,
    /// Epoch and key of whatever follows this entry.
    after: BTreeMap<EntryId, (u32, VerifyKey)>,
    /// Keys that took over, with the sequence from which they sign: several only after a fork.
    rotated: BTreeMap<(AgentId, u32), Vec<(VerifyKey, u64)>>,
}

impl Signers<'_> {
    /// An envelope that the key in force at its place has signed, under its own name. Entries come in the order of their
    /// sequences.
    fn signed(&mut self, name: &str, bytes: &[u8]) -> Result<(Envelope, Header), Why> {
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
