//! Metrics of devices: M14 to M17.

use super::{Case, Metric, MetricId, Status, Text, Unit, blank};
use crate::device;

pub(super) fn all(case: &Case<'_>) -> Vec<Metric> {
    let none = case.view.project.devices.is_empty();
    let mut all = vec![connection(case), online(case), continuity(case), liveness(case)];
    if none {
        for metric in &mut all {
            metric.remark = Some(Text::new("未申报生产设备", "no production device is declared"));
        }
    }
    all
}

fn connection(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "在 ≥min(10, 半数观测日) 天有有效应答的申报设备 ÷ 申报设备",
        "declared devices with a valid answer on at least min(10, half of the observed) days / declared devices",
    );
    let devices = &case.devices;
    let connected = devices.iter().filter(|device| device.connected).count() as u64;
    let declared = devices.iter().filter(|device| device.declared.declared_networked).count() as f64;
    let name = Text::new("设备联网率（实测）", "measured connection rate");
    let mut metric =
        blank(case, MetricId::M14, name, formula, Unit::Percent).share(case, connected, devices.len() as u64);
    let Some(value) = metric.value else { return metric };
    let said = declared * 100.0 / devices.len() as f64;
    let tolerance = case.view.profile.connection_tolerance;
    metric.status = if value >= said - tolerance { Status::Green } else { Status::Amber };
    metric.thresholds = Text::new(
        format!("绿 ≥ 申报值 {said:.1}% − {tolerance} 个百分点（建议值）"),
        format!("green ≥ declared {said:.1} % − {tolerance} points (proposal)"),
    );
    let digital = devices.iter().filter(|device| device.declared.digital);
    let (of, hit) = digital.fold((0, 0), |(of, hit), device| (of + 1, hit + u32::from(device.connected)));
    metric = metric.remark(
        format!("数字化设备 {of} 台中 {hit} 台联网"),
        format!("{hit} of {of} digital devices are connected"),
    );
    metric.days = device::days(&case.view, devices, case.from, case.to);
    metric
}

fn online(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "申报联网设备的在线分钟 ÷ 计划分钟（应答在三个采集周期内有效；网关停机的分钟不计，从未接入的设备计全部计划分钟）",
        "online minutes of declared networked devices / their planned minutes (an answer holds for three cadences; minutes of a silent gateway are left out, a device that was never connected counts with all)",
    );
    let (online, due) = device::online(&case.devices, case.from, case.to);
    let mut metric =
        blank(case, MetricId::M15, Text::new("设备在线率", "device online rate"), formula, Unit::Percent)
            .share(case, online, due);
    metric.days = device::days(&case.view, &case.devices, case.from, case.to);
    metric
}

fn continuity(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "计划时段内有有效应答的采样点 ÷ 应有采样点（网关停机与从未接入的设备也计为缺失）；并看最长中断",
        "sampling slots answered in planned time / slots due, the gateway's own absence and devices never connected included; and the longest gap",
    );
    let networked = || case.devices.iter().filter(|device| device.declared.declared_networked);
    let (answered, due) =
        networked().fold((0, 0), |sum, device| (sum.0 + device.slots.0, sum.1 + device.slots.1));
    let gap = networked().max_by_key(|device| device.longest_gap);
    let mut metric =
        blank(case, MetricId::M16, Text::new("数据连续率", "data continuity"), formula, Unit::Percent)
            .share(case, answered, due);
    if let Some(worst) = gap {
        let (hours, name) = (f64::from(worst.longest_gap) / 60.0, &worst.declared.name);
        if worst.longest_gap > 480 && metric.status == Status::Green {
            metric.status = Status::Amber;
        }
        metric = metric.remark(
            format!("最长中断 {hours:.1} 小时计划时间（{name}）"),
            format!("longest gap {hours:.1} h of planned time ({name})"),
        );
    }
    metric.days = device::days(&case.view, &case.devices, case.from, case.to);
    metric
}

fn liveness(case: &Case<'_>) -> Metric {
    let formula = Text::new(
        "随生产变化的信号序列 ÷ 信号序列（在半数以上有数据的日子里出现变化，10 天即可）",
        "signal series that vary / signal series (on at least half of their days, ten are enough)",
    );
    let networked = case.devices.iter().filter(|device| device.declared.declared_networked);
    let (all, live) =
        networked.fold((0, 0), |sum, device| (sum.0 + device.series.0, sum.1 + device.series.1));
    let mut metric =
        blank(case, MetricId::M17, Text::new("数据活性", "signal liveness"), formula, Unit::Percent).share(
            case,
            live.into(),
            all.into(),
        );
    if all == 0 {
        metric = metric.remark("采集清单中没有信号点", "the manifest marks no signal point");
    }
    metric.days = device::days(&case.view, &case.devices, case.from, case.to);
    metric
}
