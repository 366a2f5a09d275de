//! D03: labels that came long after what they explain.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D03",
    version: 1,
    family: Family::Integrity,
    name: ("迟到标记", "late labels"),
    honest: &[("安装后最初几周的补记", "labels made up in the first weeks after the installation")],
    look,
};

/// A label this much after the end of what it is about is late, ms.
const LATE_MS: i64 = 24 * 3_600_000;

fn look(case: &Case<'_>) -> Look {
    let labels = case.view.chains().flat_map(|(_, chain)| chain.labels.iter());
    let ends: Vec<(i64, i64)> = labels.filter_map(|label| Some((label.time?.1, label.recv_ms))).collect();
    let late = ends.iter().filter(|(end, recv)| recv - end > LATE_MS).count();
    if ends.len() < 5 {
        return Look::none(
            format!("说明不足 5 条（{} 条）", ends.len()),
            format!("fewer than five labels ({})", ends.len()),
        );
    }
    let share = late as f64 * 100.0 / ends.len() as f64;
    Look::ask(
        share > 20.0,
        format!("{} 条说明中 {late} 条在事后 24 小时以上补记（{share:.1}%）", ends.len()),
        format!(
            "{late} of {} labels came more than 24 hours after what they explain ({share:.1} %)",
            ends.len()
        ),
    )
    .of(ends.len() as u64, share)
}
