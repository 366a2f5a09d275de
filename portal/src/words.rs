//! The words of the pages, each in both languages on one line.
//!
//! A word without its translation does not compile: [`Words`] has one field per word and two values of it exist.

mod by_hand;
mod codes;

pub(crate) use by_hand::by_hand;
pub(crate) use codes::{
    action, actor_class, end, exclusion, finding, kind, origin, outcome, rewrite, role, share, source_kind,
    speaker,
};

use crate::lang::Lang;

macro_rules! words {
    ($($name:ident: $zh:literal, $en:literal;)*) => {
        /// The fixed words of all pages in one language.
        pub(crate) struct Words { $(pub(crate) $name: &'static str,)* }
        const ZH: Words = Words { $($name: $zh,)* };
        const EN: Words = Words { $($name: $en,)* };
        #[cfg(test)]
        const BOTH: &[(&str, &str, &str)] = &[$((stringify!($name), $zh, $en),)*];
    };
}

/// The words in this language.
pub(crate) fn of(lang: Lang) -> &'static Words {
    match lang {
        Lang::Zh => &ZH,
        Lang::En => &EN,
    }
}

words! {
    brand: "在用", "inuse";
    motto: "数字化系统使用证据", "evidence of real use of digital systems";
    skip: "跳到正文", "skip to content";
    other_language: "English", "中文";
    print: "打印", "Print";
    made_at: "页面生成时间", "page made at";
    notice: "本结论为机器证据提示，不代替专家验收结论", "Machine evidence: a hint that does not replace the experts' acceptance opinion";
    attempted: "请求的内容", "What was attempted";
    status: "状态", "Status";
    what_now: "怎么办", "What to do";
    back_to_list: "返回企业列表", "Back to the list of firms";
    firms: "企业列表", "Firms";
    firm: "企业", "Firm";
    district: "区县", "District";
    headline: "评定", "Headline";
    coverage: "观测覆盖率", "Coverage";
    active_rate: "活跃天数率", "Active days";
    last_proof: "最近用证", "Last proof";
    gateway: "网关", "Gateway";
    gateways: "网关", "Gateways";
    online: "在线", "online";
    offline: "离线", "offline";
    unheard: "尚无状态", "not heard of";
    never: "尚未收到", "none yet";
    reasons: "排序理由", "Reasons";
    name: "名称", "Name";
    all: "全部", "all";
    filter: "筛选", "Filter";
    clear: "清除", "Clear";
    no_firms: "没有符合条件的企业。", "No firm matches.";
    shown_of: "本页显示", "Shown";
    next: "下一页", "Next";
    previous_page: "上一页", "Previous";
    totals: "全市汇总", "City totals";
    totals_note: "全市口径，与下方筛选无关。按公开口径：少于 5 家、一家占比超过 70%，或可由合计反推的单元格不显示。", "Whole city, whatever is filtered below. As it may be published: cells of fewer than 5 firms, cells where one firm makes over 70 %, and cells that others would give away are withheld.";
    withheld: "不单列", "withheld";
    fewer: "少于 5 家", "fewer than 5";
    firms_total: "企业数", "Firms";
    gateways_online: "网关在线", "Gateways online";
    windows_total: "已入账用证", "Proofs recorded";
    risk_sorted: "按风险由高到低排列；理由逐条列出。", "Highest risk first, with the reasons.";
    entry_of_chain: "链上记录", "Chain entry";
    seq: "序号", "Seq";
    claimed: "声称时间", "Claimed time";
    received: "服务器收到", "Received";
    grade: "时效等级", "Grade";
    leaves: "叶数", "Leaves";
    root: "窗口根", "Window root";
    sources_ok: "有应答来源", "Answering";
    errors: "错误", "Errors";
    gaps: "缺口", "Gaps";
    gap: "缺口", "Gap";
    cause: "原因", "Cause";
    use_rows: "使用明细", "Use rows";
    findings: "链上发现", "Findings";
    no_findings: "无", "none";
    day_windows: "当日全部记录", "All entries of the day";
    day_before: "前一日", "Day before";
    day_after: "后一日", "Day after";
    day_empty: "当日没有收到任何用证。没有记录不等于没有使用：见企业页的覆盖率与缺口。", "No proof of this day was received. No record is not the same as no use: see coverage and gaps on the firm's page.";
    entries: "条记录", "entries";
    entry_id: "记录编号", "Entry id";
    envelope_hash: "信封 SHA-256", "SHA-256 of the envelope";
    outcome: "入账结果", "Outcome";
    log_index: "日志序号", "Log index";
    epoch: "密钥代次", "Key epoch";
    previous: "前一记录", "Previous entry";
    gateway_clock: "网关时钟", "Gateway clock";
    skew: "与服务器差", "against the server";
    never_compared: "开机后未对时", "not compared since boot";
    boot: "启动", "Boot";
    silence: "静默时段", "Silence";
    kind_unknown: "此类记录由更新版本写入：已保存并回执，本版本不解读。", "Written by a later version: stored and receipted, not understood by this one.";
    unreadable: "内容无法解读", "Cannot be read";
    no_anchor: "无（尚未见到检查点）", "none (no checkpoint known yet)";
    real_length: "实际时长", "Real length";
    ended_by: "结束方式", "Ended by";
    anchor: "锚（检查点）", "Anchor (checkpoint)";
    manifest: "监测清单", "Manifest";
    build: "程序版本摘要", "Build digest";
    source: "来源", "Source";
    expected: "应采", "Expected";
    answered: "有效", "Good";
    online_minutes: "逐分钟在线", "Online, by minute";
    response: "应答时间", "Response";
    records: "记录数", "Records";
    source_rows: "各来源", "Sources";
    shape_rows: "信号形态（无量纲）", "Signal shapes (unit-less)";
    point: "测点", "Point";
    role: "角色", "Role";
    samples: "有效样本", "Samples";
    changes: "变化次数", "Changes";
    longest_flat: "最长不变", "Longest flat";
    entropy: "熵 bit", "Entropy, bit";
    levels: "逐分钟水平", "Level, by minute";
    running: "逐分钟运行", "Running, by minute";
    delta: "增量", "Increase";
    log_rows: "业务日志", "Business logs";
    rewrites: "历史记录改动", "History rewritten";
    position: "读取位置", "Position";
    lines: "行数", "Lines";
    unparsed: "未识别", "Unparsed";
    accounts: "账号数", "Accounts";
    lag: "滞后 中位 / 95%", "Lag, median / 95%";
    by_class: "按模块、动作、账号类别", "By module, action, class of account";
    module: "模块", "Module";
    action: "动作", "Action";
    pseudonym: "假名", "Pseudonym";
    account_class: "账号类别", "Class";
    origin: "来历", "Origin";
    event_date: "业务日期", "Event date";
    time_span: "时段", "Time";
    count: "次数", "Count";
    use_rows_note: "账号以假名出现，按假名排序，不对人员排名。姓名只在现场网关屏幕上可见。", "Accounts appear by pseudonym and in its order: persons are not ranked. Names are seen only on the gateway's own screen.";
    no_use_rows: "本窗口没有使用明细。", "This window has no use rows.";
    use_rows_gone: "窗口内有使用明细的摘要，明细未随附或已到期删除；窗口、链与回执仍可验证。", "The window names use rows by digest; they did not come with it or their time has passed. Window, chain and receipt stay verifiable.";
    opening: "现场开示核验", "Check of an opening";
    opening_how: "在企业网关上找到过去某一刻的记录并开示，扫码或粘贴到此处，即与当时收到的窗口核对。", "Find and open a record of the past on the firm's gateway; scan its code or paste its text here, and it is checked against the window received then.";
    opening_text: "开示文本（INUSE1:…）", "Text of the opening (INUSE1:…)";
    opening_check: "核验", "Check";
    opening_privacy: "开示内容只用于本次核验，本页不保存；但会经过地址栏与访问日志。不愿如此时，请用 inuse-verify 离线核验。", "What is opened is used for this check and not kept by this page; it does pass through the address and access logs. To avoid that, check offline with inuse-verify.";
    opening_result: "开示核验结果", "What the check found";
    opening_yes: "相符", "holds";
    opening_no: "不符", "does not hold";
    opening_holds: "所示内容与当时收到的窗口一致：当时承诺的正是它。", "What is shown is what the window received then committed to.";
    opening_means: "这说明网关当时已承诺这条记录，此后未改；不说明记录本身真实。", "It shows that the gateway had committed to this record by then and that it was not changed since; not that the record is true.";
    opening_unreadable: "不是完整的开示文本", "Not a whole opening";
    opening_no_gateway: "本台账没有这台网关", "This ledger has no such gateway";
    opening_not_received: "服务器从未收到该网关这一序号的记录。", "The server never received an entry of this number from this gateway.";
    opening_other_window: "所示窗口不是当时收到的窗口：同一序号，内容不同。窗口可能在事后重新封存。", "The window shown is not the one received then: same number, other content. It may have been sealed again afterwards.";
    opening_entry_shown: "所示记录编号", "Entry shown";
    opening_entry_received: "收到的记录编号", "Entry received";
    opening_fails: "所示内容不在当时收到的窗口之内：不是当时承诺的内容。", "What is shown does not stand in the window received then: it is not what was committed to.";
    opening_other_field: "记录在窗口之内，但所示字段值不是当时承诺的值：字段", "The record stands in the window, but the value shown is not the one committed to: field";
    opening_no_window: "这一序号的记录不是窗口，没有可开示的内容。", "The entry of this number is no window and has nothing to open.";
    opening_late: "迟交的窗口，不作定性依据", "The window came late and does not decide";
    opening_forked: "同一序号有多条记录（分叉）：任何一条都不单独作为依据。", "Several entries have this number (a fork): none decides alone.";
    opening_same_time: "同一时段另有窗口，须一并查看，序号", "Other windows of this gateway claim the same time; look at them too, numbers";
    opening_skewed: "封存时网关时钟与服务器相差", "When it was sealed, the gateway's clock was off against the server by";
    opening_leaf: "叶序号 / 叶数", "Leaf / leaves";
    opening_seen: "网关采到时间", "Seen by the gateway";
    event_time: "业务时间", "Event time";
    field: "字段", "Field";
    fields_hidden: "未展示的字段数", "Fields not shown";
    whole_gateway: "整个网关", "whole gateway";
    manifest_sources: "声明的来源", "Declared sources";
    cadence: "周期", "Cadence";
    points: "测点", "Points";
    modules: "模块", "Modules";
    shared: "上送", "Share";
    name_digest: "名称摘要", "Name digest";
    receipt: "回执", "Receipt";
    receipt_holds: "回执成立：检查点由日志密钥签名，本记录在其树中。", "The receipt holds: the log's key signed the checkpoint and this entry is in its tree.";
    receipt_fails: "回执不成立", "The receipt does not hold";
    no_receipt: "台账尚未给出回执。", "The ledger has no receipt yet.";
    log_name: "日志名称", "Log";
    tree_size: "树大小", "Tree size";
    tree_root: "树根", "Tree root";
    proof_text: "包含证明与检查点原文（C2SP tlog-proof）", "Inclusion proof and checkpoint as they are (C2SP tlog-proof)";
    check_yourself: "自行核验", "Check it yourself";
    check_note: "下载两个文件，在任何一台不联网的电脑上运行：", "Download both files and run, on any machine without a network:";
    log_key_note: "日志公钥请向主管部门另行索取并核对，不要只信本页。", "Get the log's key from the authority by another way and compare: do not trust this page alone.";
    witnessed_by: "独立见证联署的检查点", "Checkpoint cosigned by independent witnesses";
    no_witness: "无独立见证：时间范围只由本市检查点给出。", "No independent witness: the time bracket rests on the city's own checkpoints.";
    forked: "同一序号有多条记录（分叉），全部保留：", "Several entries have this sequence (a fork); all are kept:";
    download_envelope: "下载 envelope.bin", "Download envelope.bin";
    download_receipt: "下载 receipt.bin", "Download receipt.bin";
    lateness: "滞后", "received after";
    period: "评价期 W", "Period W";
    working_days: "个工作日", "working days";
    observed_days: "个已观测", "observed";
    stopped_days: "个停产日已扣除并保留显示", "stop days taken out, kept visible";
    decisive: "其中可定性", "of it decisive";
    grades: "时效等级（窗口）", "Grades (windows)";
    origins: "来历（动作）", "Origin (actions)";
    live: "实时", "live";
    backfill: "历史回采", "backfill";
    declared: "申报", "declared";
    profile: "评定参数", "Profile";
    version: "版本", "version";
    proposal: "提案，非政策规定", "a proposal, not a published rule";
    reply: "企业答复", "Firm's reply";
    no_reply: "尚无登记。企业有权先看到标识并提交说明；说明不删除任何事实。", "None filed yet. The firm sees flags first and may file reasons; a reason never deletes a fact.";
    facts_for: "支持在用的事实", "Facts for real use";
    facts_against: "不支持的事实", "Facts against";
    none_found: "没有。", "None.";
    opens_to: "查看", "open";
    days_behind: "逐日依据", "Days behind it";
    level_because: "使用等级的判定条件", "What gave the level";
    risk: "风险标识", "Risk flags";
    no_flags: "没有风险标识。", "No risk flag.";
    flag_note: "标识是待核问题，不是结论；至少两项不同来源的迹象同时出现才会列出。", "A flag is a question, not a finding; it takes two indicators from different sources.";
    notes: "本次评定的限制", "Limits of this assessment";
    overview: "各模块逐日一览", "All modules, day by day";
    overview_note: "一行一个模块，一列一天，颜色深浅为当日人工关键业务动作数。", "One row per module, one column per day; the shade is the number of key actions by people.";
    metrics: "指标", "Metrics";
    metric: "指标", "Metric";
    value: "数值", "Value";
    sample: "样本 n", "Sample n";
    threshold: "阈值", "Thresholds";
    standing: "对照", "Standing";
    formula: "算式", "Formula";
    by_hand: "人工核对", "Check by hand";
    interval: "95% 区间", "95% interval";
    fraction: "分子 / 分母", "Numerator / denominator";
    details: "算式、核对方法与逐日依据", "Formula, check by hand, days";
    green: "达标", "green";
    amber: "偏低", "amber";
    red: "不足", "red";
    info: "参考", "for information";
    not_computed: "未计算", "not computed";
    more_days: "日未列出", "more days";
    module_levels: "各模块使用等级", "Use level per module";
    calendars: "各模块使用日历", "Calendars per module";
    calendars_note: "格内数字为当日人工关键业务动作数；点按任一日可查看当日全部窗口。", "The number in a cell is that day's key actions by people; a day opens to all its windows.";
    level: "等级", "Level";
    because: "依据", "Because";
    key_actions: "关键动作", "Key actions";
    active_days: "有动作 / 已观测", "Active / observed";
    people: "人工账号", "Accounts";
    no_view: "未接入", "no view";
    device_strips: "设备与来源逐时条带", "Devices and sources, hour by hour";
    strips_note: "横向为日期，纵向为 0–24 时；上沿灰条为休息日，斜纹为停产。", "Days across, hours 0–24 down; a grey bar above marks a rest day, hatching a stop.";
    device: "设备", "Device";
    connected: "联网", "connected";
    not_connected: "未联网", "not connected";
    business_log: "业务系统日志", "Business log";
    undeclared_device: "未申报的设备", "Undeclared device";
    online_share: "在线率", "online";
    running_mean: "日均运行", "running per day";
    no_source: "申报设备，未接入任何来源", "declared, no source";
    coverage_gaps: "覆盖与缺口", "Coverage and gaps";
    coverage_note: "未观测的时段不作任何使用判断。", "Nothing is said about use where nothing was observed.";
    planned: "计划", "Planned";
    observed: "已观测", "Observed";
    from: "起", "From";
    to: "止", "To";
    lasted: "时长", "Lasted";
    planned_inside: "含计划工时", "Planned time inside";
    undeclared: "未声明", "undeclared";
    gaps_none: "没有缺口。", "No gaps.";
    gaps_listed: "按影响的计划工时从长到短，列出前", "By planned time lost, the first";
    gaps_all: "共", "in all";
    accounts_section: "账号", "Accounts";
    accounts_note: "账号以带密钥的假名离厂，密钥只在企业网关；不显示姓名，不对人员排名。逐窗明细见各窗口页，按假名排序。", "Accounts leave as keyed pseudonyms, the key stays on the gateway; no names, no ranking of persons. Rows are on each window's page, by pseudonym.";
    excluded: "不计入的账号", "Accounts that do not count";
    excluded_none: "没有被排除的账号。", "No account is excluded.";
    chain_section: "证据链", "Evidence chain";
    windows: "窗口", "Windows";
    outages: "中断声明", "Outages";
    labels: "说明", "Labels";
    rotations: "换钥", "Key rotations";
    digests: "日汇总", "Days' sums";
    digest_of: "汇总的窗口", "Windows that it sums up";
    digest_windows: "窗口数 · 其中无原始数据", "Windows · of these without raw data";
    time_order: "时间早于先前记录 5 分钟以上 / 有时间的记录", "Records over 5 min earlier than one read before / records with a time";
    document_steps: "有两类以上关键动作的单据 / 有关键动作的单据", "Documents with key actions of two classes / documents with any";
    document_hands: "由两个以上账号办理的单据 / 有关键动作的单据", "Documents by two accounts or more / documents with any";
    openings_shown: "开示", "Openings";
    opened_leaf: "开示的窗口与叶", "Window and leaf that were shown";
    opened_digest: "开示内容的 SHA-256", "SHA-256 of what was shown";
    new_key: "此后签名的密钥", "Key that signs from here on";
    labels_note: "有关人员对某段时间的陈述：不删除、不改变任何记录、缺口与评定。晚于所述时段结束 24 小时以上才收到的标为迟交。", "What somebody says that a time was: it deletes and changes no record, no gap and no verdict. Late is what came more than 24 hours after the end of it.";
    labels_shown: "列出最近", "The newest";
    about: "所述时段", "About";
    says: "说明", "Says";
    by: "陈述方", "By";
    late_label: "迟交", "late";
    a_statement: "仅为陈述", "a statement only";
    manifests: "监测清单", "Manifests";
    others: "未知类别", "Unknown kinds";
    conflicts: "冲突（分叉）", "Conflicts (forks)";
    refusals: "拒收", "Refusals";
    refused_last: "最近一次", "last";
    enrolled: "启用", "enrolled";
    revoked: "密钥已停用", "key revoked";
    confirmed_by: "密钥已确认", "key confirmed";
    unconfirmed: "密钥待确认：其证据已接收，尚不计入", "key not confirmed: what it sends is recorded and decides nothing yet";
    by_firm: "企业", "the firm";
    by_city: "城市", "the city";
    not_yet: "未确认", "not yet";
    six_words: "六字指纹", "six words";
    baseline: "改造前基线", "before-baseline";
    no_baseline: "未采集", "none was taken";
    confirm: "企业确认网关", "Confirm a gateway";
    confirm_again: "再确认一台", "Confirm another";
    confirm_how: "请在本企业的网关上读出六字指纹（运行 inuse-agent status，或由服务商当面展示网关屏幕），与城市平台发给企业代表的确认码一起填写。确认码不要交给服务商。", "Read the six words off the gateway itself in your firm (inuse-agent status), and type them with the code that the city gave to your representative. Do not give the code to the provider.";
    confirm_code: "确认码", "Code";
    confirm_words: "六字指纹（中文六字，或六个英文词）", "Six words (Chinese or English)";
    confirm_name: "确认人姓名", "Your name";
    confirm_do: "确认", "Confirm";
    confirm_means: "确认的意思是：这台网关确在本企业，其密钥与平台登记的一致。确认写入日志，不可撤回；企业与城市都确认之前，该网关的证据不计入评定。", "To confirm means: this gateway stands in this firm, and its key is the one enrolled. It is written into the log for good; before both the firm and the city have confirmed, the gateway's evidence decides nothing.";
    confirm_yes: "已确认", "confirmed";
    confirm_no: "未确认", "not confirmed";
    confirm_done: "企业确认已写入日志。", "The firm's confirmation stands in the log.";
    confirm_name_wrong: "请填写确认人姓名（不超过 200 字）。", "A name of at most 200 characters is needed.";
    confirm_code_wrong: "确认码不对或已过期：请向城市平台索取新码。", "Unknown or expired code: ask the city for a new one.";
    confirm_words_wrong: "六字指纹与本企业任何待确认网关都不符：请以网关自身显示的为准；仍不符时不要确认，并通知城市平台。", "These are the words of none of the firm's gateways: read them off the gateway itself. If they still differ, do not confirm, and tell the city.";
    confirm_revoked: "该网关的密钥已停用，不能确认。", "The key of this gateway is revoked and cannot be confirmed.";
    confirm_not_here: "此处不能确认。", "Nothing can be confirmed here.";
    log_at: "日志检查点", "Log checkpoint";
    checkpoint_text: "检查点原文（C2SP signed note）", "Checkpoint as it is (C2SP signed note)";
    log_key: "日志公钥", "Log's verifier key";
    ladder: "证据阶梯", "Evidence ladder";
    e0: "有申报", "said";
    e1: "已签名、成链", "signed and chained";
    e2: "A/B 级已回执", "receipted in grade A/B";
    e3: "抽检开示通过", "lottery openings passed";
    e4: "现场演练通过", "drills passed on site";
    later: "本期未开展", "not part of this stage";
    sign_firm: "企业确认（签字、盖章、日期）", "Firm (signature, seal, date)";
    sign_expert: "专家意见（签字、日期）", "Expert's opinion (signature, date)";
    sign_office: "主管部门（签字、日期）", "Authority (signature, date)";
    key: "图例", "Key";
    key_zero: "已观测，0 次", "observed, 0";
    key_unseen: "未观测", "not observed";
    key_rest: "休息日", "rest day";
    key_holiday: "节假日", "holiday";
    key_stop: "已登记停产", "declared stop";
    key_bar: "休息日有动作（下划线）", "actions on a day off (bar)";
    key_outside: "评价期以外为浅色", "outside W is faint";
    key_no_window: "无用证", "no proof";
    key_silent: "无应答", "no answer";
    key_online: "在线未运行", "online, not running";
    key_some: "运行 1–20 分", "running 1–20 min";
    key_half: "21–40 分", "21–40 min";
    key_full: "41–60 分", "41–60 min";
    key_log: "日志来源：有人工关键动作的分钟数", "logs: minutes with a key action by a person";
    sign_holiday: "节", "H";
    sign_stop: "停", "S";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_said_in_both_languages() {
        for (name, zh, en) in BOTH {
            assert!(!zh.trim().is_empty() && !en.trim().is_empty(), "{name}");
            assert!(
                en.chars().all(|c| !is_han(c)) || *name == "other_language",
                "{name} is Chinese in English: {en}"
            );
        }
    }

    fn is_han(c: char) -> bool {
        ('\u{4e00}'..='\u{9fff}').contains(&c)
    }
}
