//! D33: another firm has the same days of actions, minute by minute: [`crate::cross`].

use super::{Family, Look, Outcome, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D33",
    version: 2,
    family: Family::CrossSite,
    name: ("同商模板", "template twin"),
    honest: &[
        ("两个项目其实是同一家企业的同一套系统", "two projects of one firm, with one system"),
        ("被复制的是本企业", "it is this firm that was copied"),
    ],
    look,
};

fn look(case: &Case<'_>) -> Look {
    let Some(cross) = case.cross.filter(|cross| cross.firms() > 1) else {
        return Look::none("未与台账中其他企业比对", "not compared with other firms of the ledger");
    };
    let twins = cross.twins(&case.view.project.id);
    let most = twins.iter().max_by_key(|twin| (twin.is_copy, twin.days));
    let others = cross.firms() - 1;
    let Some(twin) = most else {
        let (zh, en) = (
            format!("与其他 {others} 家企业没有逐分钟相同的日子"),
            format!("no day is minute by minute that of one of {others} other firms"),
        );
        return Look::ask(false, zh, en).of(others as u64, 0.0);
    };
    let outcome = if twin.is_copy { Outcome::AskStrongly } else { Outcome::Ask };
    let (days, compared, later) = (twin.days, twin.compared, twin.later_days);
    let (mut zh, mut en) = (
        format!("{compared} 个可比较的日子中 {days} 个与另一家企业逐分钟相同（相隔 {later} 天）"),
        format!(
            "{days} of {compared} days that can be compared are minute by minute those of another firm ({later} days apart)"
        ),
    );
    if twin.is_copy {
        zh += "；对方的记录在先，或只有对方的动作与设备吻合";
        en += "; the other's were seen first, or only the other's fit its machines";
    }
    Look::new(outcome, zh, en).of(compared.into(), f64::from(days))
}
