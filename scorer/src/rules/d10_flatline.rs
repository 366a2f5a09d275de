//! D10: a measured value stands still while its machine runs.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D10",
    version: 1,
    family: Family::Machine,
    name: ("恒值", "flat line"),
    honest: &[(
        "设定值、恒温等本来不变的量：请在采集清单中改角色",
        "set points and the like that never change: give the point another role in the manifest",
    )],
    look,
};

fn look(case: &Case<'_>) -> Look {
    let judged: Vec<_> = case.signals.iter().filter(|signal| signal.busy.0 >= 200).collect();
    if judged.is_empty() {
        return Look::none(
            "设备运行的窗口不足 200 个，或没有测量值",
            "fewer than 200 windows with a machine running, or no measured value",
        );
    }
    let share = |signal: &crate::signals::Signal| signal.busy.1 as f64 * 100.0 / signal.busy.0 as f64;
    let dead: Vec<_> = judged.iter().filter(|signal| share(signal) > 50.0).collect();
    let worst = judged.iter().map(|signal| share(signal)).fold(0.0, f64::max);
    Look::ask(
        !dead.is_empty(),
        format!("{} 个测量值中 {} 个在设备运行时半数以上时间不变（最高 {worst:.1}%）", judged.len(), dead.len()),
        format!("{} of {} measured values stand still for more than half of the time in which their machine runs (most {worst:.1} %)", dead.len(), judged.len()),
    )
    .of(judged.iter().map(|signal| signal.busy.0).sum(), worst)
    .chart(judged.iter().map(|signal| (signal.label(), share(signal))))
}
