//! Axis 2: flags R1 to R5. Each is a question that the firm may answer before anybody else sees it.
//!
//! R1 and R2 need findings of two families, and together more than two weak ones would make; or one proven mismatch
//! (D08, D35, a copy of another firm's records). What is weak alone: a rule that an honest firm can meet by how it works.

use std::collections::BTreeSet;

use crate::assessment::{DayFact, Flag, Indicator, MetricId, Status, Text, UseLevel, ratio};
use crate::facts::burst_flag;
use crate::judge::Case;
use crate::metric::days_of;
use crate::rules::{Family, Finding, Outcome};

/// Raised flags, R1 first.
pub(crate) fn all(case: &Case<'_>, findings: &[Finding]) -> Vec<Flag> {
    let mut flags = Vec::new();
    flags.extend(old_wine(case, findings));
    flags.extend(fabrication(case, findings));
    flags.extend(burst_flag(case));
    flags.extend(provider(case));
    flags.extend(shallow(case));
    flags
}

/// One reason for a flag.
struct Reason {
    family: Family,
    /// 1 or 2.
    weight: u32,
    indicator: Indicator,
}

/// What the reasons must weigh together.
const ENOUGH: u32 = 3;

/// The indicators, where they are of two families and weigh enough. Within a family only the heaviest weighs.
fn together(reasons: Vec<Reason>) -> Option<Vec<Indicator>> {
    let families: BTreeSet<Family> = reasons.iter().map(|reason| reason.family).collect();
    let heaviest = |family: &Family| {
        reasons
            .iter()
            .filter(|reason| reason.family == *family)
            .map(|reason| reason.weight)
            .max()
            .unwrap_or(0)
    };
    let weight: u32 = families.iter().map(heaviest).sum();
    (families.len() >= 2 && weight >= ENOUGH)
        .then(|| reasons.into_iter().map(|reason| reason.indicator).collect())
}

fn of_finding(finding: &Finding, weight: u32) -> Reason {
    let indicator = Indicator {
        metric: None,
        text: Text::new(
            format!("{}：{}", finding.id, finding.text.zh),
            format!("{}: {}", finding.id, finding.text.en),
        ),
        source: finding.family.name(),
        days: finding.days.clone(),
    };
    Reason { family: finding.family, weight, indicator }
}

fn reason(family: Family, weight: u32, metric: Option<MetricId>, text: Text, days: Vec<DayFact>) -> Reason {
    Reason { family, weight, indicator: Indicator { metric, text, source: family.name(), days } }
}

/// R1. That records from before the contract are in the system is no sign alone: a new one may have taken them over.
fn old_wine(case: &Case<'_>, findings: &[Finding]) -> Option<Flag> {
    let mut reasons = Vec::new();
    let declared = case.view.project.modules.len();
    let share = case.carried.share(declared);
    let limit = case.view.profile.threshold(MetricId::M25).map_or(50.0, |threshold| threshold.amber);
    if share > limit {
        let (then, now) = case.carried.accounts;
        reasons.push(reason(
            Family::Human,
            2,
            Some(MetricId::M25),
            Text::new(
                format!("{declared} 个申报模块中 {} 个在合同签订前 90 天内已有人使用，当时 {then} 个账号中 {now} 个现在仍在用（M25 = {share:.1}%）", case.carried.modules.len()),
                format!("{} of {declared} declared modules were used by people in the 90 days before the contract, {now} of {then} accounts then still act (M25 = {share:.1} %)", case.carried.modules.len()),
            ),
            Vec::new(),
        ));
    }
    reasons.extend(
        findings
            .iter()
            .filter(|finding| finding.id == "D32" && finding.outcome >= Outcome::Ask)
            .map(|f| of_finding(f, 1)),
    );
    let is_old = |code: &str| case.carried.modules.contains(code);
    let judged = |old: bool| {
        let modules = case.modules.iter().filter(move |module| is_old(&module.code) == old && module.in_view);
        modules.filter(|module| module.level != UseLevel::U0)
    };
    let (new, old) = (judged(false).count(), judged(true).count());
    // Something that was not there before is used: that is what the money was for.
    if judged(false).any(|module| module.level >= UseLevel::U2) {
        return None;
    }
    let new_dead = new > 0 && judged(false).all(|module| module.level == UseLevel::U1);
    let old_live = old > 0 && judged(true).any(|module| module.level == UseLevel::U3);
    if new_dead && old_live {
        reasons.push(reason(
            Family::Coupling,
            1,
            Some(MetricId::M09),
            Text::new(
                format!("{new} 个原来没有的申报模块都没有使用，{old} 个原有模块照常使用"),
                format!("none of {new} declared modules that were not there before is used, {old} that were are used as ever"),
            ),
            Vec::new(),
        ));
    }
    let indicators = together(reasons)?;
    Some(Flag {
        code: "R1",
        name: Text::new("新瓶装旧酒嫌疑", "suspected old system in new clothes"),
        indicators,
        advice: Text::new(
            "请企业说明本次改造新增了什么（合同清单、版本对照、旧数据迁移记录）；由专家对照承诺的新模块核实",
            "the firm may say what is new (contract, versions, record of the migration); the experts compare the modules that were promised",
        ),
    })
}

/// R2.
fn fabrication(case: &Case<'_>, findings: &[Finding]) -> Option<Flag> {
    let mut reasons = Vec::new();
    for finding in findings {
        let weight = match (finding.id, finding.outcome) {
            (_, Outcome::NotComputable | Outcome::Clear) => 0,
            ("D11" | "D12" | "D13" | "D14" | "D27" | "D33", Outcome::AskStrongly) => 2,
            // A date alone, without a time of day, is how papers are dated, not how records are forged.
            ("D24", _) if case.records.dateless * 2 > case.records.late.0 => 1,
            ("D24", _) => 2,
            ("D01" | "D05" | "D10" | "D17" | "D30" | "D31" | "D34", _) => 1,
            _ => 0,
        };
        if weight > 0 {
            reasons.push(of_finding(finding, weight));
        }
    }
    reasons.extend(set_back(case));
    reasons.extend(order(case));
    reasons.extend(rewritten(case));
    reasons.extend(script(case));
    let proven: Vec<Indicator> = findings
        .iter()
        .filter(|finding| finding.outcome == Outcome::Proven)
        .map(|finding| of_finding(finding, 2).indicator)
        .collect();
    let indicators = match proven.is_empty() {
        false => Some(proven),
        true => together(reasons),
    }?;
    Some(Flag {
        code: "R2",
        name: Text::new("数据造假嫌疑", "suspected fabrication"),
        indicators,
        advice: Text::new(
            "请企业逐条说明；专家到网关现场开示原始记录核对后再下结论",
            "the firm may explain each point; the experts open raw records on the gateway before they conclude",
        ),
    })
}

/// Actions that bear the time of a gateway's clock that had been set back.
fn set_back(case: &Case<'_>) -> Option<Reason> {
    let (first, last) = (case.view.days[case.from].index, case.view.days[case.to].index);
    let all = case.view.chains().flat_map(|(_, chain)| chain.clock.set_back.iter());
    let within: Vec<_> = all.filter(|one| (first..=last).contains(&one.received)).collect();
    let count: u64 = within.iter().map(|one| one.count).sum();
    (count >= 10).then(|| {
        reason(
            Family::Human,
            2,
            None,
            Text::new(
                format!("网关时钟被拨回期间有 {count} 次关键业务动作，记录时间与被拨回的时钟一致"),
                format!("{count} key actions came while the gateway's clock stood back, and bear that clock's time"),
            ),
            days_of(case, within.iter().map(|one| one.received)),
        )
    })
}

/// M22 red: records stand in an order that is not that of their times.
fn order(case: &Case<'_>) -> Option<Reason> {
    let (part, all) = case.records.order;
    let share = ratio(part, all) * 100.0;
    let limit = case.view.profile.threshold(MetricId::M22).map_or(1.0, |threshold| threshold.amber);
    let dateless = case.records.dateless * 2 > part;
    (all >= 50 && share > limit && !dateless).then(|| {
        reason(
            Family::Integrity,
            1,
            Some(MetricId::M22),
            Text::new(
                format!("{all} 条有时间的记录中 {part} 条比排在其前的记录早 5 分钟以上（M22 = {share:.2}%）"),
                format!("{part} of {all} records are more than five minutes earlier than one that stands before them (M22 = {share:.2} %)"),
            ),
            crate::metric::day_facts(case, |at| order_of(case, at) > 0, |at| order_of(case, at)),
        )
    })
}

fn order_of(case: &Case<'_>, at: usize) -> u64 {
    let days = case.view.agent_days(at, at);
    days.filter_map(|day| day.sums.as_ref()).map(|sums| sums.order.0).sum()
}

/// Logs or tables that are not as they were read. A log that was only cut short may have been overwritten by an export.
fn rewritten(case: &Case<'_>) -> Option<Reason> {
    use proof::wire::RewriteKind;

    let (first, last) = (case.view.days[case.from].index, case.view.days[case.to].index);
    let all = case.view.chains().flat_map(|(_, chain)| chain.rewrites.iter());
    let counted: Vec<_> =
        all.filter(|rewrite| rewrite.counts() && (first..=last).contains(&rewrite.day)).collect();
    let hard = counted.iter().filter(|rewrite| rewrite.kind != RewriteKind::Cut).count();
    let count = counted.len();
    (count > 0).then(|| {
        reason(
            Family::Integrity,
            if hard > 0 { 2 } else { 1 },
            None,
            Text::new(
                format!("已读取并已提交的日志或数据表事后被改动 {count} 处（其中改写、替换或删行 {hard} 处）"),
                format!("logs or tables that had been read and committed were changed afterwards in {count} places ({hard} of them edited, replaced or with rows removed)"),
            ),
            days_of(case, counted.iter().map(|rewrite| rewrite.day)),
        )
    })
}

/// M21 with two signs.
fn script(case: &Case<'_>) -> Option<Reason> {
    let signs: Vec<Text> =
        case.records.signs().into_iter().filter(|(found, _)| *found).map(|(_, text)| text).collect();
    (signs.len() >= 2).then(|| {
        let join = |pick: fn(&Text) -> &str, by: &str| signs.iter().map(pick).collect::<Vec<_>>().join(by);
        let text = Text::new(
            format!("{}（M21 = {}）", join(|text| &text.zh, "；"), signs.len()),
            format!("{} (M21 = {})", join(|text| &text.en, "; "), signs.len()),
        );
        reason(Family::Human, 2, Some(MetricId::M21), text, Vec::new())
    })
}

/// R4.
fn provider(case: &Case<'_>) -> Option<Flag> {
    let (part, all) = case.records.provider;
    let share = ratio(part, all) * 100.0;
    let limit = case.view.profile.threshold(MetricId::M10).map_or(50.0, |threshold| threshold.amber);
    if all < 30 || share <= limit {
        return None;
    }
    Some(Flag {
        code: "R4",
        name: Text::new("实施方代用", "operated by the provider"),
        indicators: vec![Indicator {
            metric: Some(MetricId::M10),
            text: Text::new(
                format!("交付后 {all} 次关键业务动作中 {part} 次由实施方账号完成（M10 = {share:.1}%）"),
                format!(
                    "{part} of {all} key actions after the hand-over are by provider's accounts (M10 = {share:.1} %)"
                ),
            ),
            source: Text::new("账号", "accounts"),
            days: Vec::new(),
        }],
        advice: Text::new(
            "请企业说明代操作的原因（如驻场陪产、培训期），并安排本厂人员当面操作",
            "the firm may say why (support on site, training), and have its own people work in front of the experts",
        ),
    })
}

/// R5. Where no declared module is used, that is the headline's to say: what the platform can do is then not seen.
fn shallow(case: &Case<'_>) -> Option<Flag> {
    let metric = crate::metric::module_coverage(case);
    let seen = case.modules.iter().all(|module| module.in_view && module.level != UseLevel::U0);
    let below = matches!(metric.status, Status::Amber | Status::Red);
    let one_used = case.modules.iter().any(|module| module.level >= UseLevel::U2);
    if !below || !seen || !one_used {
        return None;
    }
    let unused: Vec<_> = case.modules.iter().filter(|module| module.level <= UseLevel::U1).collect();
    let names = |pick: fn(&Text) -> &str, by: &str| {
        unused.iter().map(|module| pick(&module.name)).collect::<Vec<_>>().join(by)
    };
    Some(Flag {
        code: "R5",
        name: Text::new("平台功能不完善", "platform incomplete"),
        indicators: vec![Indicator {
            metric: Some(MetricId::M09),
            text: Text::new(
                format!(
                    "{} 个申报模块中 {} 个没有真实业务：{}（M09 = {}）",
                    case.modules.len(),
                    unused.len(),
                    names(|text| &text.zh, "、"),
                    metric.shown
                ),
                format!(
                    "{} of {} declared modules have no real business: {} (M09 = {})",
                    unused.len(),
                    case.modules.len(),
                    names(|text| &text.en, ", "),
                    metric.shown
                ),
            ),
            source: Text::new("模块", "modules"),
            days: Vec::new(),
        }],
        advice: Text::new(
            "对照合同清单逐项打开模块；分阶段上线的请提供计划",
            "open each module of the contract; where they go live in stages, show the plan",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(family: Family, weight: u32) -> Reason {
        reason(family, weight, None, Text::default(), Vec::new())
    }

    #[test]
    fn no_one_family_and_no_two_weak_reasons_raise_a_flag() {
        assert!(together(vec![of(Family::Machine, 2), of(Family::Machine, 2)]).is_none());
        assert!(together(vec![of(Family::Integrity, 1), of(Family::Coupling, 1)]).is_none());
        assert!(together(vec![of(Family::Machine, 2), of(Family::Coupling, 1)]).is_some());
        assert!(
            together(vec![of(Family::Machine, 1), of(Family::Machine, 1), of(Family::Human, 1)]).is_none()
        );
    }
}
