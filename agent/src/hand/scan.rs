//! `scan`: which units are on a line, which registers a unit has.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use collectors::manifest::Table;
use collectors::modbus::hand::{Hand, Identity, Presence};
use collectors::modbus::registers::exception;
use collectors::modbus::sweep::{Cell, Sweep};
use daemon::{Context, Exit};
use serde_json::{Value, json};

use super::Progress;
use super::line::{LineArgs, not_there, range};
use crate::print;

/// The registers of a row.
const ROW: u16 = 8;

/// Arguments of `scan`.
#[derive(Debug, Args)]
pub(crate) struct Scan {
    #[command(flatten)]
    line: LineArgs,
    /// Units to ask, such as 1-32.
    #[arg(long, default_value = "1-247", value_parser = range::<u8>, conflicts_with = "unit")]
    units: (u8, u8),
    /// Do not ask the units that are there for their identity.
    #[arg(long)]
    no_identity: bool,
    /// Look through the registers of this unit instead.
    #[arg(long, requires = "registers")]
    unit: Option<u8>,
    /// Which, counted from 0 as on the wire, such as 0-199.
    #[arg(long, value_parser = range::<u16>, requires = "unit")]
    registers: Option<(u16, u16)>,
    /// Of which table.
    #[arg(long, default_value = "holding", value_parser = table)]
    table: Table,
    /// How many to ask for at once; what is refused is asked for in two.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=125))]
    block: u16,
    /// As one JSON object.
    #[arg(long)]
    json: bool,
}

/// A table's name in the manifest.
pub(crate) fn table(word: &str) -> Result<Table, String> {
    [Table::Holding, Table::Input, Table::Coil, Table::Discrete]
        .into_iter()
        .find(|table| table.word() == word)
        .ok_or_else(|| "one of holding, input, coil, discrete".to_owned())
}

impl Scan {
    pub(crate) async fn run(&self, config: &Path, ctx: &Context) -> anyhow::Result<Exit> {
        let mut hand = self.line.hand(config).await?;
        match (self.unit, self.registers) {
            (Some(unit), Some(range)) => self.registers(&mut hand, unit, range, ctx).await,
            _ => self.units(&mut hand, ctx).await,
        }
    }

    async fn units(&self, hand: &mut Hand, ctx: &Context) -> anyhow::Result<Exit> {
        let (first, last) = self.units;
        estimate(usize::from(last - first) + 1, "units", hand.worst())?;
        let (stop, progress) = (ctx.stop(), Progress::new());
        let mut found: Vec<(u8, Presence, Option<Identity>)> = Vec::new();
        let mut not_asked = None;
        for unit in first..=last {
            let there = found.len();
            progress.say(&format!("unit {unit} of {first}-{last}, {there} there; Ctrl-C ends it"))?;
            let asked = async {
                let presence = hand.presence(unit).await?;
                let identity = match presence {
                    Presence::There { .. } if !self.no_identity => hand.identity(unit).await?,
                    Presence::There { .. }
                    | Presence::GatewaySays(_)
                    | Presence::Silent
                    | Presence::Garbled(_) => None,
                };
                Ok((presence, identity))
            };
            let asked = tokio::select! {
                biased;
                () = stop.cancelled() => None,
                asked = asked => Some(asked),
            };
            match asked {
                None => {
                    not_asked = Some(unit);
                    break;
                }
                Some(Err(error)) => return Err(not_there(hand, error)),
                Some(Ok((Presence::Silent, _))) => {}
                Some(Ok((presence, identity))) => found.push((unit, presence, identity)),
            }
        }
        drop(progress);
        let text = if self.json {
            let units: Vec<_> = found.iter().map(unit_json).collect();
            format!("{}\n", json!({ "line": hand.address(), "units": units, "not_asked_from": not_asked }))
        } else {
            units_text(&found, (first, last), not_asked)
        };
        print::out(&text)?;
        let any = found.iter().any(|(_, presence, _)| matches!(presence, Presence::There { .. }));
        Ok(if any && not_asked.is_none() { Exit::Ok } else { Exit::No })
    }

    async fn registers(
        &self,
        hand: &mut Hand,
        unit: u8,
        (first, last): (u16, u16),
        ctx: &Context,
    ) -> anyhow::Result<Exit> {
        let mut sweep = Sweep::new(first..=last, self.block);
        estimate(sweep.left(), "blocks, more where some are refused", hand.worst())?;
        let (stop, progress) = (ctx.stop(), Progress::new());
        let mut not_asked = None;
        while let Some((at, count)) = sweep.next() {
            let left = sweep.left();
            progress.say(&format!("register {at}, {left} blocks left; Ctrl-C ends it"))?;
            let said = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    not_asked = Some(at);
                    break;
                }
                said = hand.read(unit, self.table, at, count) => said,
            };
            sweep.handle(&said.map_err(|error| not_there(hand, error))?);
        }
        drop(progress);
        let text = if self.json {
            let cells: Vec<_> = sweep.found().iter().map(|(at, cell)| cell_json(*at, *cell)).collect();
            let table = self.table.word();
            let ended = sweep.ended();
            let said = json!({ "line": hand.address(), "unit": unit, "table": table, "registers": cells,
                "ended": ended, "not_asked_from": not_asked });
            format!("{said}\n")
        } else {
            registers_text(&sweep, self.table, unit, not_asked)
        };
        print::out(&text)?;
        let any = sweep.found().values().any(|cell| matches!(cell, Cell::Value(_)));
        Ok(if any && not_asked.is_none() { Exit::Ok } else { Exit::No })
    }
}

fn estimate(count: usize, what: &str, worst: Duration) -> std::io::Result<()> {
    let most = worst.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX)).as_secs().max(1);
    print::err(&format!("asking {count} {what}: at most {most} s if nothing answers\n"))
}

fn units_text(
    found: &[(u8, Presence, Option<Identity>)],
    (first, last): (u8, u8),
    not_asked: Option<u8>,
) -> String {
    let mut text = String::new();
    for (unit, presence, identity) in found {
        let words = match presence {
            Presence::There { refused: None } => "there".to_owned(),
            Presence::There { refused: Some(code) } => {
                format!("there; refuses register 0: {}", exception(*code))
            }
            Presence::GatewaySays(code) => format!("not there: {}", exception(*code)),
            Presence::Garbled(why) => format!("something answers, and not well: {why}"),
            Presence::Silent => continue,
        };
        let who = identity.as_ref().map_or_else(String::new, |identity| {
            format!("; {} {} {}", identity.vendor, identity.product, identity.revision)
        });
        push(&mut text, format_args!("unit {unit:>3}: {words}{who}\n"));
    }
    let asked_to = not_asked.map_or(last, |unit| unit.saturating_sub(1));
    let silent = (usize::from(asked_to) + 1).saturating_sub(usize::from(first) + found.len());
    push(&mut text, format_args!("{silent} others of {first}-{asked_to} said nothing\n"));
    if let Some(unit) = not_asked {
        push(&mut text, format_args!("stopped: {unit}-{last} were not asked\n"));
    }
    text
}

fn unit_json((unit, presence, identity): &(u8, Presence, Option<Identity>)) -> Value {
    let (state, exception) = match presence {
        Presence::There { refused } => ("there", *refused),
        Presence::GatewaySays(code) => ("not_there", Some(*code)),
        Presence::Garbled(_) => ("garbled", None),
        Presence::Silent => ("silent", None),
    };
    let identity = identity.as_ref().map(|identity| {
        json!({ "vendor": identity.vendor, "product": identity.product, "revision": identity.revision })
    });
    json!({ "unit": unit, "state": state, "exception": exception, "identity": identity })
}

fn registers_text(sweep: &Sweep, table: Table, unit: u8, not_asked: Option<u16>) -> String {
    let mut text = format!("{} of unit {unit}, counted from 0\n", table.word());
    let found = sweep.found();
    let mut rows: Vec<u16> = found.keys().map(|at| at - at % ROW).collect();
    rows.dedup();
    for row in rows {
        let cells = || (0..ROW).filter_map(|at| found.get(&row.saturating_add(at)));
        if !cells().any(|cell| matches!(cell, Cell::Value(_))) {
            continue;
        }
        push(&mut text, format_args!("{row:>6}"));
        for at in 0..ROW {
            match row.checked_add(at).and_then(|at| found.get(&at)) {
                Some(Cell::Value(value)) => push(&mut text, format_args!(" {value:>6}")),
                Some(Cell::Refused(_)) => text.push_str("      x"),
                Some(Cell::Silent) => text.push_str("      ?"),
                None => text.push_str("       "),
            }
        }
        text.push('\n');
    }
    let count = |wanted: fn(&Cell) -> bool| found.values().filter(|cell| wanted(cell)).count();
    let there = count(|cell| matches!(cell, Cell::Value(_)));
    let (refused, silent) =
        (count(|cell| matches!(cell, Cell::Refused(_))), count(|cell| matches!(cell, Cell::Silent)));
    push(&mut text, format_args!("{there} there, {refused} refused (x), {silent} without an answer (?)\n"));
    if let Some(why) = sweep.ended() {
        push(&mut text, format_args!("ended: {why}\n"));
    }
    if let Some(at) = not_asked {
        push(&mut text, format_args!("stopped: from {at} on nothing was asked\n"));
    }
    text
}

fn cell_json(at: u16, cell: Cell) -> Value {
    match cell {
        Cell::Value(value) => json!({ "address": at, "value": value }),
        Cell::Refused(code) => json!({ "address": at, "exception": code }),
        Cell::Silent => json!({ "address": at, "silent": true }),
    }
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a string cannot fail");
}
