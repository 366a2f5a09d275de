//! Words for the codes of the wire and the ledger. A new code does not compile until it has its words here.

use ledger::Finding;
use proof::wire::{
    ActionClass, ActorClass, End, ExclusionReason, Origin, Outcome, RewriteKind, Role, Share, SourceKind,
    Speaker,
};

use crate::lang::Lang;

/// A kind of chain entry; one we do not know stands for itself.
pub(crate) fn kind(lang: Lang, kind: &str) -> String {
    match kind {
        "window" => lang.pick("窗口", "window").to_owned(),
        "manifest" => lang.pick("监测清单", "manifest").to_owned(),
        "outage" => lang.pick("中断声明", "outage").to_owned(),
        "digest" => lang.pick("日汇总", "day's sums").to_owned(),
        "opening" => lang.pick("开示", "opening").to_owned(),
        "rotate" => lang.pick("换钥", "key rotation").to_owned(),
        "label" => lang.pick("说明", "label").to_owned(),
        other => other.to_owned(),
    }
}

/// What the ingester made of an entry.
pub(crate) fn outcome(lang: Lang, outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Unspecified => lang.pick("未注明", "unspecified"),
        Outcome::Recorded => lang.pick("已入账", "recorded"),
        Outcome::Finding => lang.pick("已入账，有发现", "recorded with findings"),
        Outcome::Conflict => {
            lang.pick("已入账，与同序号记录冲突", "recorded beside another of the same sequence")
        }
    }
}

/// What is odd about an entry.
pub(crate) fn finding(lang: Lang, finding: Finding) -> &'static str {
    match finding {
        Finding::ClockAhead => lang
            .pick("声称结束时间晚于服务器两分钟以上", "claims to end over two minutes ahead of the server"),
        Finding::ClockBack => {
            lang.pick("声称结束时间早于前一窗口", "claims to end before the window before it")
        }
        Finding::WindowOverlap => lang.pick("与前一窗口时间重叠", "overlaps the window before it"),
        Finding::AnchorUnknown => {
            lang.pick("锚不是本日志的检查点，按 D 级", "anchor is not a checkpoint of this log: grade D")
        }
        Finding::AnchorBack => lang.pick("锚早于前一窗口的锚", "anchor is older than the one before"),
        Finding::Late => lang.pick("晚于 48 小时才收到", "received more than 48 hours late"),
        Finding::ManifestUnknown => lang.pick("引用了未提交的监测清单", "names a manifest that was not sent"),
        Finding::UseRowsMismatch => {
            lang.pick("使用明细与摘要不符，未保存", "use rows differ from their digest and were not stored")
        }
        Finding::UseRowsMissing => lang.pick("使用明细未随附", "use rows did not come with it"),
        Finding::UnparsedPayload => lang.pick("内容无法解读", "content cannot be read"),
        Finding::UnknownKind => lang.pick("未知类别，已保存", "unknown kind, stored"),
        Finding::Fork => {
            lang.pick("同一序号出现不同记录（分叉）", "another entry has the same sequence (fork)")
        }
        Finding::ForkBranch => lang.pick("位于分叉之后", "continues a forked chain"),
        Finding::ChainBreak => {
            lang.pick("所接的前一记录不在台账", "follows an entry the ledger does not hold")
        }
        Finding::ProofsLost => {
            lang.pick("此前已封存的用证因存储损坏而遗失", "proofs sealed before it were lost with the store")
        }
        Finding::HistoryRewritten => lang.pick(
            "已读取过的日志或数据表记录后来被改动",
            "what had been read of a log or table was changed later",
        ),
        Finding::LateLabel => lang.pick(
            "说明晚于所述时段结束 24 小时以上才收到",
            "received more than 24 hours after the end of what it is about",
        ),
        Finding::RotationAside => lang.pick(
            "换钥不在证据链的末端，密钥未更换",
            "a key rotation that does not follow the chain's head: the key stays",
        ),
    }
}

/// Who says something.
pub(crate) fn speaker(lang: Lang, speaker: Speaker) -> &'static str {
    match speaker {
        Speaker::Unspecified => lang.pick("未注明", "nobody named"),
        Speaker::Firm => lang.pick("企业", "the firm"),
        Speaker::Provider => lang.pick("服务商", "the provider"),
        Speaker::Operator => lang.pick("平台运营方", "the operator"),
    }
}

/// What became of what had been read of a log or table.
pub(crate) fn rewrite(lang: Lang, kind: RewriteKind) -> &'static str {
    match kind {
        RewriteKind::Unspecified => lang.pick("已读内容被改动", "changed below what had been read"),
        RewriteKind::Edited => lang.pick("已读内容被修改", "edited below what had been read"),
        RewriteKind::Cut => lang.pick("已读内容被截去", "the end of what had been read is gone"),
        RewriteKind::Replaced => {
            lang.pick("文件被替换，已读内容不复存在", "replaced; what had been read is gone")
        }
        RewriteKind::Removed => lang.pick("已读记录被删除", "rows that had been read were removed"),
        RewriteKind::Trimmed => lang
            .pick("最早的记录已清理（常见于保留期设置）", "the oldest rows are gone, as a retention does it"),
    }
}

/// Why a window ended.
pub(crate) fn end(lang: Lang, end: End) -> &'static str {
    match end {
        End::Mark => lang.pick("到十分钟整点", "the ten-minute mark"),
        End::Stop => lang.pick("有序停止，提前封存", "an orderly stop"),
        End::Crash => lang.pick("崩溃后按已落盘内容封存", "a crash; sealed from what had been flushed"),
        End::Full => lang.pick("记录过多，提前封存", "more records than one window holds"),
    }
}

/// What kind of thing is watched.
pub(crate) fn source_kind(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Unspecified => "?",
        SourceKind::Modbus => "Modbus",
        SourceKind::Opcua => "OPC UA",
        SourceKind::Log => "Log",
        SourceKind::Table => "Table",
        SourceKind::Mqtt => "MQTT",
        SourceKind::Syslog => "Syslog",
    }
}

/// What a point stands for.
pub(crate) fn role(lang: Lang, role: Role) -> &'static str {
    match role {
        Role::Unspecified => "—",
        Role::Running => lang.pick("运行", "running"),
        Role::Counter => lang.pick("计数", "counter"),
        Role::Energy => lang.pick("电能", "energy"),
        Role::State => lang.pick("状态", "state"),
        Role::Measure => lang.pick("测量", "measure"),
    }
}

/// What of a source leaves the factory.
pub(crate) fn share(lang: Lang, share: Share) -> &'static str {
    match share {
        Share::Shape => lang.pick("形态", "shape"),
        Share::Delta => lang.pick("形态与增量", "shape and increase"),
        Share::None => lang.pick("仅承诺", "committed only"),
    }
}

/// Whose account.
pub(crate) fn actor_class(lang: Lang, class: ActorClass) -> &'static str {
    match class {
        ActorClass::Unspecified => lang.pick("未注明", "unspecified"),
        ActorClass::Human => lang.pick("人工", "human"),
        ActorClass::SharedTerminal => lang.pick("共用终端", "shared terminal"),
        ActorClass::Provider => lang.pick("服务商", "provider"),
        ActorClass::Interface => lang.pick("接口", "interface"),
        ActorClass::Excluded => lang.pick("排除", "excluded"),
    }
}

/// Why an account is excluded; empty where it is not.
pub(crate) fn exclusion(lang: Lang, reason: ExclusionReason) -> &'static str {
    match reason {
        ExclusionReason::None => "",
        ExclusionReason::Admin => lang.pick("管理员", "administrator"),
        ExclusionReason::Test => lang.pick("测试", "test"),
        ExclusionReason::System => lang.pick("系统", "system"),
        ExclusionReason::NoActor => lang.pick("记录未署名", "names nobody"),
    }
}

/// What was done.
pub(crate) fn action(lang: Lang, action: ActionClass) -> &'static str {
    match action {
        ActionClass::Unspecified => lang.pick("未注明", "unspecified"),
        ActionClass::Create => lang.pick("新建", "create"),
        ActionClass::Report => lang.pick("报工", "report"),
        ActionClass::Approve => lang.pick("审核", "approve"),
        ActionClass::Post => lang.pick("过账", "post"),
        ActionClass::Close => lang.pick("关闭", "close"),
        ActionClass::Change => lang.pick("修改", "change"),
        ActionClass::Login => lang.pick("登录", "sign in"),
        ActionClass::Logout => lang.pick("退出", "sign out"),
        ActionClass::Query => lang.pick("查询", "query"),
        ActionClass::Print => lang.pick("打印", "print"),
        ActionClass::Other => lang.pick("其他", "other"),
    }
}

/// How a record came to be seen.
pub(crate) fn origin(lang: Lang, origin: Origin) -> &'static str {
    match origin {
        Origin::Live => lang.pick("实时", "live"),
        Origin::Backfill => lang.pick("历史回采", "backfill"),
        Origin::Declared => lang.pick("申报", "declared"),
    }
}
