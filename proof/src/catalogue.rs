//! Lists with fixed codes: causes of silence, modules.

use std::fmt;

/// Why nothing was seen: HJ 212's letters where it has one, and ours (P, K, U, H, X).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// `B`: the device or host does not answer: off, unplugged, or the network between.
    NoAnswer,
    /// `D`: it answers, and the answer is an error or unreadable.
    Fault,
    /// `R`: it answers and refuses us: password, certificate, permission.
    Refused,
    /// `G`: a log or table is not there.
    Missing,
    /// `O`: raw observations were overwritten or dropped for want of room.
    Overflow,
    /// `T`: the gateway's clock moved.
    Clock,
    /// `P`: power cut or crash of the whole gateway (boot id changed).
    Power,
    /// `K`: the agent was killed or crashed; the gateway ran on.
    Killed,
    /// `U`: upgrade of the agent.
    Upgrade,
    /// `H`: stopped by hand, in order.
    Stopped,
    /// `X`: unknown.
    Unknown,
}

impl Cause {
    /// All of them, in the order of the table in docs/protocol.md.
    pub const ALL: [Self; 11] = [
        Self::NoAnswer,
        Self::Fault,
        Self::Refused,
        Self::Missing,
        Self::Overflow,
        Self::Clock,
        Self::Power,
        Self::Killed,
        Self::Upgrade,
        Self::Stopped,
        Self::Unknown,
    ];

    /// The letter on the wire.
    pub const fn letter(self) -> u8 {
        match self {
            Self::NoAnswer => b'B',
            Self::Fault => b'D',
            Self::Refused => b'R',
            Self::Missing => b'G',
            Self::Overflow => b'O',
            Self::Clock => b'T',
            Self::Power => b'P',
            Self::Killed => b'K',
            Self::Upgrade => b'U',
            Self::Stopped => b'H',
            Self::Unknown => b'X',
        }
    }

    /// The cause of a letter; a letter this reader does not know reads as unknown.
    pub fn of_letter(letter: u32) -> Self {
        Self::ALL.into_iter().find(|cause| u32::from(cause.letter()) == letter).unwrap_or(Self::Unknown)
    }

    /// In Chinese, for pages and papers.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::NoAnswer => "设备无应答",
            Self::Fault => "应答异常",
            Self::Refused => "拒绝访问",
            Self::Missing => "日志缺失",
            Self::Overflow => "缓存覆盖",
            Self::Clock => "时钟变动",
            Self::Power => "断电或重启",
            Self::Killed => "采集程序中断",
            Self::Upgrade => "程序升级",
            Self::Stopped => "人工停止",
            Self::Unknown => "原因不明",
        }
    }

    /// In English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::NoAnswer => "no answer",
            Self::Fault => "faulty answer",
            Self::Refused => "refused",
            Self::Missing => "log missing",
            Self::Overflow => "buffer overwritten",
            Self::Clock => "clock moved",
            Self::Power => "power cut or restart",
            Self::Killed => "agent interrupted",
            Self::Upgrade => "upgrade",
            Self::Stopped => "stopped by hand",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.en())
    }
}

/// A module of a business system that a manifest may name. Code names, never free text: names of modules travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModuleName {
    /// As in `manifest.toml` and on the wire.
    pub code: &'static str,
    /// On pages.
    pub zh: &'static str,
    /// On pages.
    pub en: &'static str,
}

/// The catalogue: the processes of the 2024 indicators' scenes, cut as SME products cut their menus.
pub const MODULES: [ModuleName; 24] = [
    module("product_design", "产品设计", "product design"),
    module("process_design", "工艺设计", "process design"),
    module("sales", "营销管理", "sales"),
    module("after_sales", "售后服务", "after-sales"),
    module("planning", "计划排程", "planning"),
    module("work_order", "生产工单", "work orders"),
    module("production_report", "生产报工", "production reports"),
    module("quality", "质量管理", "quality"),
    module("equipment", "设备管理", "equipment"),
    module("safety", "安全生产", "safety"),
    module("energy", "能耗管理", "energy"),
    module("purchase", "采购管理", "purchasing"),
    module("stock", "仓储物流", "stock"),
    module("delivery", "发货管理", "delivery"),
    module("finance", "财务管理", "finance"),
    module("receivable", "应收管理", "receivables"),
    module("payable", "应付管理", "payables"),
    module("cost", "成本管理", "costing"),
    module("hr", "人力资源", "human resources"),
    module("office", "协同办公", "office"),
    module("decision", "决策支持", "decision support"),
    module("outsourcing", "委外加工", "outsourcing"),
    module("traceability", "质量追溯", "traceability"),
    module("master_data", "基础资料", "master data"),
];

const fn module(code: &'static str, zh: &'static str, en: &'static str) -> ModuleName {
    ModuleName { code, zh, en }
}

/// Looks a module up by its code name.
pub fn module_name(code: &str) -> Option<&'static ModuleName> {
    MODULES.iter().find(|module| module.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_codes_are_distinct() {
        for (at, cause) in Cause::ALL.iter().enumerate() {
            assert_eq!(Cause::of_letter(u32::from(cause.letter())), *cause);
            assert!(Cause::ALL[..at].iter().all(|other| other.letter() != cause.letter()));
        }
        for (at, module) in MODULES.iter().enumerate() {
            assert!(MODULES[..at].iter().all(|other| other.code != module.code));
        }
    }
}
