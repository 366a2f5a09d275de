//! D11: a stretch of a signal was there before, value by value.

use super::{Family, Look, Outcome, Rule};
use crate::judge::Case;
use crate::metric::day_facts;

pub(super) const RULE: Rule = Rule {
    id: "D11",
    version: 2,
    family: Family::Machine,
    name: ("整段重复", "exact replay"),
    honest: &[("设备本身按固定程序循环且读数很粗", "a machine with a fixed cycle and coarse readings")],
    look,
};

/// A stretch of this many windows of ten minutes makes a question. Periodic machines with coarse readings reach it.
const ODD: u32 = 6;

/// And of this many, much more: three hours value by value. From seeds that no test uses.
const LONG: u32 = 18;

fn look(case: &Case<'_>) -> Look {
    let replay = &case.replay;
    if replay.windows < 100 {
        return Look::none(
            format!("可比较的窗口不足 100 个（{} 个）", replay.windows),
            format!("fewer than 100 windows that can be compared ({})", replay.windows),
        );
    }
    let share = replay.share();
    let longest = replay.longest.map_or(0, |run| run.windows);
    let (zh, en) = match replay.longest {
        Some(run) => (
            format!(
                "{} 个可比较的窗口中 {} 个逐值重复（{share:.1}%），最长 {:.1} 小时：{} 重复 {}",
                replay.windows,
                replay.repeated,
                f64::from(longest) / 6.0,
                case.date(run.at),
                case.date(run.of)
            ),
            format!(
                "{} of {} windows repeat an earlier stretch value by value ({share:.1} %), the longest {:.1} h: {} repeats {}",
                replay.repeated,
                replay.windows,
                f64::from(longest) / 6.0,
                case.date(run.at),
                case.date(run.of)
            ),
        ),
        None => (
            format!("{} 个可比较的窗口中没有整段重复", replay.windows),
            format!("no stretch repeats among {} windows", replay.windows),
        ),
    };
    let outcome = match longest {
        LONG.. if share > 1.0 => Outcome::AskStrongly,
        ODD.. if share > 1.0 => Outcome::Ask,
        _ => Outcome::Clear,
    };
    Look::new(outcome, zh, en)
        .of(replay.windows, share)
        .days(day_facts(case, |at| replay.days[at] > 0, |at| u64::from(replay.days[at])))
        .chart((case.from..=case.to).map(|at| (case.date(at).to_string(), f64::from(replay.days[at]))))
}
