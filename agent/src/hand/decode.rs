//! `decode`: a block of registers under every type and order.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use collectors::manifest::Table;
use collectors::modbus::hand::{Hand, Said};
use collectors::modbus::looks::{Look, looks};
use collectors::modbus::registers::{Words, exception};
use daemon::{Context, Exit};
use serde_json::json;

use super::line::{LineArgs, duration, not_there};
use super::scan::table;
use crate::print;

/// Arguments of `decode`.
#[derive(Debug, Args)]
pub(crate) struct Decode {
    #[command(flatten)]
    line: LineArgs,
    /// The unit to ask.
    #[arg(long, default_value_t = 1)]
    unit: u8,
    /// Of which table: holding or input.
    #[arg(long, default_value = "holding", value_parser = table)]
    table: Table,
    /// First register, counted from 0 as on the wire.
    #[arg(long, default_value_t = 0)]
    first: u16,
    /// How many registers.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=125))]
    count: u16,
    /// Time to a second read, which tells counters; 0s reads once.
    #[arg(long, default_value = "2s", value_parser = duration)]
    again: Duration,
    /// These registers instead of a device's, in hex: "0001 86A0"; a second time what they were a moment later.
    #[arg(long, conflicts_with_all = ["connect", "serial"])]
    hex: Vec<String>,
    /// Every meaning, not only the plausible ones.
    #[arg(long)]
    all: bool,
    /// As one JSON object.
    #[arg(long)]
    json: bool,
}

impl Decode {
    pub(crate) async fn run(&self, config: &Path, ctx: &Context) -> anyhow::Result<Exit> {
        let (words, again) = match self.hex.as_slice() {
            [] => {
                let mut hand = self.line.hand(config).await?;
                let words = self.read(&mut hand).await?;
                let again = if self.again.is_zero() {
                    None
                } else {
                    let stop = ctx.stop();
                    tokio::select! {
                        () = stop.cancelled() => return Ok(Exit::No),
                        () = tokio::time::sleep(self.again) => Some(self.read(&mut hand).await?),
                    }
                };
                (words, again)
            }
            [once] => (registers(once)?, None),
            [once, again] => (registers(once)?, Some(registers(again)?)),
            _ => bail!("--hex is given once or twice"),
        };
        let looks = looks(&words, again.as_deref());
        let shown: Vec<_> = looks.iter().filter(|look| self.all || look.is_plausible()).collect();
        let text = if self.json {
            let looks: Vec<_> = shown.iter().map(|look| self.look_json(look)).collect();
            format!(
                "{}\n",
                json!({ "first": self.first, "registers": words, "again": again, "looks": looks })
            )
        } else {
            self.text(&words, again.as_deref(), &shown)
        };
        print::out(&text)?;
        Ok(Exit::Ok)
    }

    async fn read(&self, hand: &mut Hand) -> anyhow::Result<Vec<u16>> {
        if self.table.is_bits() {
            bail!("bits have one meaning: only holding and input registers are decoded");
        }
        match hand.read(self.unit, self.table, self.first, self.count).await {
            Ok(Said::Words(Words::Registers(words))) => Ok(words),
            Ok(Said::Words(Words::Bits(_))) => bail!("unit {} answers bits", self.unit),
            Ok(Said::Refused(code)) => bail!("unit {} refuses: {}", self.unit, exception(code)),
            Ok(Said::Nothing) => bail!("unit {} says nothing", self.unit),
            Ok(Said::Unreadable(why)) => bail!("unit {} answers something unreadable: {why}", self.unit),
            Err(error) => Err(not_there(hand, error)),
        }
    }

    fn text(&self, words: &[u16], again: Option<&[u16]>, looks: &[&Look]) -> String {
        let mut text = String::new();
        for (at, word) in words.iter().enumerate() {
            let place = self.place(at);
            let later = again.and_then(|again| again.get(at)).filter(|later| *later != word);
            let later = later.map_or_else(String::new, |later| format!(", then {later:#06x}"));
            push(&mut text, format_args!("{place:>6}  {word:#06x}{later}\n"));
            for look in looks.iter().filter(|look| look.at == at) {
                let mark = if look.is_plausible() { '*' } else { ' ' };
                let (kind, order) = (look.kind.word(), look.order.letters());
                let order = if look.kind.width() > 1 { order.as_str() } else { "" };
                let (value, why) = (shown(look), look.why.join("; "));
                push(&mut text, format_args!("      {mark} {kind:<5} {order:<4} {value:<28} {why}\n"));
            }
        }
        if looks.is_empty() {
            text.push_str("nothing looks plausible: --all shows every meaning\n");
        }
        text
    }

    fn look_json(&self, look: &Look) -> serde_json::Value {
        json!({
            "address": self.place(look.at), "type": look.kind.word(), "order": look.order.letters(),
            "registers": look.kind.width(), "value": look.value, "again": look.again, "text": look.text,
            "score": look.score, "plausible": look.is_plausible(), "why": look.why,
        })
    }

    fn place(&self, at: usize) -> usize {
        usize::from(self.first) + at
    }
}

fn shown(look: &Look) -> String {
    match (&look.text, look.value, look.again) {
        (Some(text), ..) => format!("\"{}\" ({} registers)", text.escape_debug(), look.kind.width()),
        (None, Some(value), Some(again)) if value != again => {
            format!("{} -> {}", number(value), number(again))
        }
        (None, Some(value), _) => number(value),
        (None, None, _) => "-".to_owned(),
    }
}

/// Seven digits are what a float in two registers has.
fn number(value: f64) -> String {
    let size = value.abs();
    if value.fract() == 0.0 && size < 1e15 {
        format!("{value:.0}")
    } else if (0.001..1e7).contains(&size) {
        let text = format!("{value:.4}");
        text.trim_end_matches('0').to_owned()
    } else {
        format!("{value:.4e}")
    }
}

/// Registers in hex, four digits each; what stands between them does not matter.
fn registers(hex: &str) -> anyhow::Result<Vec<u16>> {
    let plain = hex.replace("0x", " ");
    let digits: String = plain.chars().filter(char::is_ascii_hexdigit).collect();
    let odd =
        plain.chars().find(|c| !c.is_ascii_hexdigit() && !c.is_whitespace() && !matches!(c, ',' | ':' | '-'));
    if let Some(odd) = odd {
        bail!("--hex: `{odd}` is no hex digit");
    }
    if digits.is_empty() || !digits.len().is_multiple_of(4) || digits.len() > 500 {
        bail!("--hex: {} digits are not 1 to 125 registers of four", digits.len());
    }
    let word = |at: usize| u16::from_str_radix(&digits[at..at + 4], 16).context("hex digits");
    (0..digits.len()).step_by(4).map(word).collect()
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_given_in_any_usual_writing_of_hex() {
        for written in ["0001 86A0", "000186a0", "00:01:86:A0", "0x0001, 0x86A0"] {
            assert_eq!(registers(written).unwrap(), [1, 0x86A0], "{written}");
        }
        for wrong in ["", "123", "00g1", "12 34 5"] {
            assert!(registers(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_is_shown_with_the_digits_it_has() {
        let shown = [231.4_f64, 0.05, 1e12, 1.25e-9, -3.0].map(number);
        assert_eq!(shown, ["231.4", "0.05", "1000000000000", "1.2500e-9", "-3"]);
    }
}
