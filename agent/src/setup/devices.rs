//! What every source is asked for, whatever it is read by, and what it shows right now.

use std::path::Path;

use collectors::manifest::Source;
use collectors::{CollectError, Probe};

use super::ask::Console;
use super::draft::Draft;

const ROLES: [(&str, &str); 5] = [
    ("measure 测量值", "measure"),
    ("running 运行信号", "running"),
    ("counter 计数", "counter"),
    ("energy 电能", "energy"),
    ("state 状态", "state"),
];

/// What is done with a source that was tried.
pub(super) enum Verdict {
    Keep,
    Again,
    Drop,
}

pub(super) async fn name(console: &mut Console, draft: &Draft) -> anyhow::Result<String> {
    let usual = (1..)
        .map(|at| format!("设备 {at}"))
        .find(|name| !draft.is_taken(name))
        .expect("there is always a number");
    named(console, draft, &usual).await
}

/// A name for a source that no other has.
pub(super) async fn named(console: &mut Console, draft: &Draft, usual: &str) -> anyhow::Result<String> {
    console
        .ask("名称（不会离开网关）", "Its name (never leaves the gateway)", Some(usual), |text| {
            if draft.is_taken(text) {
                return Err(("已有同名的来源", "another source has this name"));
            }
            let good = text.chars().count() <= 64 && !text.chars().any(char::is_control);
            if good {
                Ok(text.to_owned())
            } else {
                Err(("最多 64 个可见字符", "at most 64 printable characters"))
            }
        })
        .await
}

pub(super) async fn cadence(console: &mut Console) -> anyhow::Result<String> {
    console
        .ask("多久读一次（1s 到 10m）", "How often to look (1s to 10m)", Some("10s"), |text| {
            let seconds = daemon::config::parse_duration(text).filter(|length| length.subsec_millis() == 0);
            let good = seconds.is_some_and(|length| (1..=600).contains(&length.as_secs()));
            if good {
                Ok(text.to_owned())
            } else {
                Err(("写作 10s、1m，1s 到 10m", "write it as 10s or 1m, 1s to 10m"))
            }
        })
        .await
}

/// Role and signal of a point.
pub(super) async fn meaning(console: &mut Console) -> anyhow::Result<String> {
    let role = ROLES[console.choose("它是什么", "What it is", &ROLES, 0).await?].1;
    let usual = role != "measure";
    let signal =
        console.yes("在每个窗口里给出它的形状？", "A row of its shape in every window?", usual).await?;
    Ok(format!("role = \"{role}\"\nsignal = {signal}\n"))
}

/// The source as the manifest would have it; `None` after its complaints were shown.
pub(super) fn checked(console: &Console, draft: &Draft, more: &str) -> anyhow::Result<Option<Source>> {
    match draft.with(more) {
        Ok(source) => Ok(Some(source)),
        Err(complaints) => {
            for complaint in complaints.list() {
                let words = format!("{}: {}", complaint.path, complaint.problem);
                console.say(&format!("  × {words}"), &format!("  ! {words}"))?;
            }
            Ok(None)
        }
    }
}

/// Asks the source once, shows what came, and asks what to do with it.
pub(super) async fn tried(
    console: &mut Console,
    source: &Source,
    state_dir: &Path,
) -> anyhow::Result<Verdict> {
    console.say("读一次……", "Reading once …")?;
    let probed = collectors::probe(source, state_dir).await;
    let well = show(console, &probed)?;
    const WHAT: [(&str, &str); 3] =
        [("保留", "keep it"), ("重新填写要读的点", "say the points anew"), ("不要了", "drop it")];
    let (zh, en) = if well {
        ("与设备自己的显示比较。", "Compare with the device's own display.")
    } else {
        ("有的点没有读到。", "Some points were not read.")
    };
    Ok(match console.choose(zh, en, &WHAT, usize::from(!well)).await? {
        0 => Verdict::Keep,
        1 => Verdict::Again,
        _ => Verdict::Drop,
    })
}

/// Whether every point has a value.
fn show(console: &Console, probed: &Result<Probe, CollectError>) -> anyhow::Result<bool> {
    let probe = match probed {
        Ok(probe) => probe,
        Err(error) => {
            let why = daemon::chain(error);
            console.say(&format!("  × {why}"), &format!("  ! {why}"))?;
            return Ok(false);
        }
    };
    if let Some(why) = &probe.refused {
        console.say(&format!("  × {why}"), &format!("  ! {why}"))?;
    }
    let mut well = probe.refused.is_none() && !probe.points.is_empty();
    for point in &probe.points {
        match point.reading.value {
            Some(value) => {
                let value = point.text.as_ref().map_or_else(|| value.to_string(), |text| format!("“{text}”"));
                let line = format!("  √ {:<20} {value}", point.name);
                console.say(&line, &line)?;
            }
            None => {
                well = false;
                let why = point.why.clone().unwrap_or_else(|| format!("{:?}", point.reading.quality));
                let line = format!("  × {:<20} {why}", point.name);
                console.say(&line, &line)?;
            }
        }
    }
    Ok(well)
}
