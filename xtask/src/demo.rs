//! Runs the demo once, as README writes it, and checks what it says of its firms.

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::command::Command;

/// Part of a firm's name, how its headline must read, and the risk flag it must carry, if any.
const EXPECTED: [(&str, &str, Option<&str>); 6] = [
    ("示范", "真实在用", None),
    ("样例", "建而不用", None),
    // A month of play-acting may pass any use level: what gives it away is the flag beside it.
    ("演示", "", Some("R3")),
    // Honest look-alikes: a late go-live, a small firm, a seasonal stop.
    ("试例", "数据不足", None),
    ("假设", "真实在用", None),
    ("季节", "真实在用", None),
];

/// `cargo demo -- --once --json`.
pub(crate) fn run() -> anyhow::Result<()> {
    let said = Command::cargo().args(["demo", "--", "--once", "--json"]).output()?;
    println!("{said}");
    let lines: Vec<_> = said.lines().map(str::to_owned).collect();
    check(&lines)
}

fn check(lines: &[String]) -> anyhow::Result<()> {
    let mut firms = Vec::new();
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        let firm: Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
        complete(&firm).with_context(|| line.clone())?;
        firms.push(firm);
    }
    // All run over the same days: a firm with fewer lost some on the way, or was read too early.
    let windows = |firm: &Value| firm.get("windows").and_then(Value::as_u64);
    for firm in &firms {
        let (own, first) = (windows(firm), firms.first().and_then(windows));
        ensure!(own == first, "{} has {own:?} windows, the first firm {first:?}", text(firm, "name"));
    }
    for (name, headline, flag) in EXPECTED {
        let firm = firms
            .iter()
            .find(|firm| text(firm, "name").contains(name))
            .with_context(|| format!("the demo says nothing of a firm {name}"))?;
        let said = text(firm, "headline");
        ensure!(said.contains(headline), "{name} reads {said}, expected {headline}");
        let flags = flags(firm);
        match flag {
            Some(flag) => {
                ensure!(flags.iter().any(|f| f.contains(flag)), "{name} has flags {flags:?}, expected {flag}")
            }
            None => ensure!(flags.is_empty(), "{name} has flags {flags:?}, expected none"),
        }
    }
    Ok(())
}

/// Each promised key is there and says something.
fn complete(firm: &Value) -> anyhow::Result<()> {
    ensure!(!text(firm, "firm").is_empty(), "`firm` is missing");
    ensure!(!text(firm, "headline").is_empty(), "`headline` is missing");
    ensure!(["U0", "U1", "U2", "U3"].contains(&text(firm, "use_level")), "`use_level` is none of U0 to U3");
    ensure!(firm.get("flags").is_some_and(Value::is_array), "`flags` is not a list");
    ensure!(firm.get("windows").and_then(Value::as_u64).is_some_and(|n| n > 0), "`windows` is not a count");
    let facts = firm.get("facts");
    let says = facts.is_some_and(|facts| {
        facts.as_array().is_some_and(|list| !list.is_empty())
            || facts.as_object().is_some_and(|map| !map.is_empty())
    });
    ensure!(says, "`facts` says nothing");
    Ok(())
}

fn text<'a>(firm: &'a Value, key: &str) -> &'a str {
    firm.get(key).and_then(Value::as_str).unwrap_or("")
}

fn flags(firm: &Value) -> Vec<String> {
    let list = firm.get("flags").and_then(Value::as_array);
    list.into_iter().flatten().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(firm: &str, headline: &str, level: &str, flags: &str) -> String {
        format!(
            r#"{{"firm":"id","name":"{firm}","headline":"{headline}","use_level":"{level}","flags":[{flags}],"windows":8640,"facts":["a"]}}"#
        )
    }

    fn good() -> Vec<String> {
        vec![
            line("江门市示范电机有限公司", "真实在用", "U3", ""),
            line("江门市样例五金制品有限公司", "建而不用", "U1", ""),
            line("江门市演示包装有限公司", "数据不足", "U0", r#""R3""#),
            line("江门市试例金属有限公司", "数据不足", "U0", ""),
            line("江门市假设食品有限公司", "真实在用", "U3", ""),
            line("江门市季节纺织有限公司", "真实在用", "U3", ""),
        ]
    }

    #[test]
    fn a_demo_that_reads_as_it_should_passes() {
        check(&good()).unwrap();
    }

    #[test]
    fn a_firm_that_reads_otherwise_is_named() {
        let mut lines = good();
        lines[1] = line("江门市样例五金制品有限公司", "真实在用", "U3", "");
        let error = check(&lines).unwrap_err().to_string();
        assert!(error.contains("样例") && error.contains("建而不用"), "{error}");
    }

    #[test]
    fn a_staged_firm_without_its_flag_fails() {
        let mut lines = good();
        lines[2] = line("江门市演示包装有限公司", "真实在用", "U3", "");
        assert!(check(&lines).unwrap_err().to_string().contains("R3"));
    }

    #[test]
    fn an_honest_firm_with_a_flag_fails() {
        let mut lines = good();
        lines[4] = line("江门市假设食品有限公司", "真实在用", "U3", r#""R2""#);
        let error = check(&lines).unwrap_err().to_string();
        assert!(error.contains("假设") && error.contains("R2"), "{error}");
    }

    #[test]
    fn a_firm_with_fewer_windows_than_the_others_fails() {
        let mut lines = good();
        lines[2] = lines[2].replace("8640", "8638");
        let error = check(&lines).unwrap_err().to_string();
        assert!(error.contains("演示") && error.contains("8638"), "{error}");
    }

    #[test]
    fn anything_but_json_on_standard_output_fails() {
        let mut lines = good();
        lines.insert(0, "starting".to_owned());
        assert!(check(&lines).unwrap_err().to_string().contains("not JSON"));
        lines[0] =
            r#"{"firm":"x","headline":"y","use_level":"U1","flags":[],"windows":0,"facts":["a"]}"#.to_owned();
        assert!(format!("{:#}", check(&lines).unwrap_err()).contains("windows"));
    }
}
