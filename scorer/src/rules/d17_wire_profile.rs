//! D17: devices that answer without any spread, as a program on the same machine does.

use super::{Family, Look, Rule};
use crate::judge::Case;

pub(super) const RULE: Rule = Rule {
    id: "D17",
    version: 1,
    family: Family::Machine,
    name: ("响应时延", "response times"),
    honest: &[(
        "网络与控制器都很快且空闲：以同类设备为准",
        "a fast and idle network and controller: compare with devices of the same type",
    )],
    look,
};

fn look(case: &Case<'_>) -> Look {
    let (first, last) = (case.view.days[case.from].index, case.view.days[case.to].index);
    let mut devices: Vec<(String, f64, f64)> = Vec::new();
    for (_, chain) in case.view.chains() {
        for (key, source) in chain.sources.iter().filter(|(_, source)| !source.is_log()) {
            let days = chain.days.range(first..=last).filter_map(|(_, day)| day.sources.get(&key));
            let sum = days.fold((0, 0, 0), |sum, day| {
                (sum.0 + day.wire.windows, sum.1 + day.wire.still, sum.2 + day.wire.sum_us)
            });
            if sum.0 >= 500 {
                let still = f64::from(sum.1) * 100.0 / f64::from(sum.0);
                devices.push((
                    format!("#{}", source.index),
                    still,
                    sum.2 as f64 / f64::from(sum.0) / 1_000.0,
                ));
            }
        }
    }
    if devices.is_empty() {
        return Look::none("没有 500 个以上有响应时间的窗口", "no device with 500 windows of response times");
    }
    let odd = devices.iter().filter(|(_, still, _)| *still > 90.0).count();
    let all = devices.len();
    let fastest = devices.iter().map(|(_, _, ms)| *ms).fold(f64::MAX, f64::min);
    Look::ask(
        odd * 2 > all,
        format!("{all} 台设备中 {odd} 台的响应时间几乎没有波动（最快平均 {fastest:.2} 毫秒）"),
        format!("{odd} of {all} devices answer with almost no spread (fastest {fastest:.2} ms on average)"),
    )
    .of(all as u64, odd as f64)
    .chart(devices.into_iter().map(|(label, still, _)| (label, still)))
}
