//! An opening from a gateway, checked against the window that was received then.

use askama::Template;
use ledger::{Entry, Receipted};
use proof::payload::Header;
use proof::wire::leaf::What;
use proof::{Envelope, Opening, OpeningError, Payload, wire};

use super::rows;
use crate::figures::{hex, second, short, span};
use crate::page::Page;
use crate::source::{Firm, LogFacts};
use crate::words;

/// What was given, and what of it the ledger knows.
pub(crate) enum Given<'a> {
    /// Nothing yet.
    Nothing,
    /// A text that is no opening.
    Unreadable,
    /// An opening.
    Opening(Known<'a>),
}

/// An opening with what the ledger knows of its place.
pub(crate) struct Known<'a> {
    pub(crate) opening: Box<Opening>,
    /// The firm of its gateway.
    pub(crate) firm: Option<&'a Firm>,
    /// The entries at its place.
    pub(crate) entries: &'a [Entry],
    /// The receipt of the one it names.
    pub(crate) receipt: Option<&'a Receipted>,
    /// What else was received of that day.
    pub(crate) day: &'a [Entry],
}

/// The page with the form, and the answer to what was given.
#[derive(Template)]
#[template(path = "opening.html")]
pub(crate) struct OpeningPage {
    page: Page,
    text: String,
    answer: Option<AnswerPart>,
    witnessed: Option<String>,
}

struct AnswerPart {
    /// It stands in the window that was received.
    holds: bool,
    /// What that means, or why not.
    says: String,
    /// What should be known beside.
    warnings: Vec<String>,
    facts: Vec<(&'static str, String)>,
    shown: Vec<(String, String)>,
    window: Option<(String, String)>,
}

impl OpeningPage {
    pub(crate) fn new(page: Page, text: &str, given: &Given<'_>, log: &LogFacts) -> Self {
        let answer = match given {
            Given::Nothing => None,
            Given::Unreadable => Some(AnswerPart::refused(page.w.opening_unreadable.to_owned())),
            Given::Opening(known) => Some(match known.firm {
                Some(firm) => AnswerPart::new(&page, firm, known, log),
                None => {
                    let agent = known.opening.agent;
                    AnswerPart::refused(format!("{}: {agent}", page.w.opening_no_gateway))
                }
            }),
        };
        let witnessed = match given {
            Given::Opening(known) => {
                let own = known.entries.iter().find(|entry| entry.entry == known.opening.entry);
                own.and_then(|entry| {
                    super::witnesses(
                        &page,
                        log,
                        Some(entry.index),
                        known.firm.map_or(480, Firm::offset_minutes),
                    )
                })
            }
            Given::Nothing | Given::Unreadable => None,
        };
        Self { text: text.to_owned(), answer, witnessed, page }
    }
}

impl AnswerPart {
    fn refused(says: String) -> Self {
        let (facts, shown) = (Vec::new(), Vec::new());
        Self { holds: false, says, warnings: Vec::new(), facts, shown, window: None }
    }

    fn new(page: &Page, firm: &Firm, known: &Known<'_>, log: &LogFacts) -> Self {
        let (opening, entries) = (known.opening.as_ref(), known.entries);
        let w = page.w;
        let place = format!("/firms/{}/windows/{}/{}", firm.id(), opening.agent, opening.seq);
        let mut part = Self::refused(String::new());
        part.facts = vec![
            (w.firm, firm.name(page.lang).to_owned()),
            (w.gateway, opening.agent.to_string()),
            (w.seq, opening.seq.to_string()),
        ];
        let Some(first) = entries.first() else {
            w.opening_not_received.clone_into(&mut part.says);
            return part;
        };
        part.window = Some((place.clone(), format!("{} {}", w.entry_of_chain, opening.seq)));
        let Some(entry) = entries.iter().find(|entry| entry.entry == opening.entry) else {
            w.opening_other_window.clone_into(&mut part.says);
            part.facts.push((w.opening_entry_shown, opening.entry.to_string()));
            part.facts.push((w.opening_entry_received, first.entry.to_string()));
            part.facts.push((w.received, second(first.recv_ms, firm.offset_minutes())));
            return part;
        };
        part.window =
            Some((format!("{place}?entry={}", entry.entry), part.window.map_or_else(String::new, |w| w.1)));
        let checked = match Envelope::parse(&entry.envelope) {
            Ok(envelope) => opening.check(&envelope),
            Err(_) => Err(OpeningError::NoWindow),
        };
        let window = match checked {
            Ok(window) => window,
            Err(why) => {
                part.says = match why {
                    OpeningError::OtherField(at) => format!("{} {}", w.opening_other_field, at),
                    OpeningError::NoWindow => w.opening_no_window.to_owned(),
                    OpeningError::OtherWindow | OpeningError::NotCommitted | OpeningError::Unreadable(_) => {
                        w.opening_fails.to_owned()
                    }
                };
                return part;
            }
        };
        part.holds = true;
        w.opening_holds.clone_into(&mut part.says);
        part.warn(page, entry, &window, known, log);
        part.tell(page, opening, firm, entry, &window);
        part
    }

    /// What takes weight from an opening that holds.
    fn warn(&mut self, page: &Page, entry: &Entry, window: &wire::Window, known: &Known<'_>, log: &LogFacts) {
        let w = page.w;
        let end_ms = window.start_ms.saturating_add(window.length_ms.into());
        let grade = rows::grade(entry, end_ms);
        if !matches!(grade, 'A' | 'B') {
            let late = span(entry.recv_ms.saturating_sub(end_ms));
            self.warnings.push(format!("{}: {grade} · {} {late}", w.opening_late, w.lateness));
        }
        if known.entries.len() > 1 {
            self.warnings.push(w.opening_forked.to_owned());
        }
        let others: Vec<_> = known.day.iter().filter(|other| shares_time(entry, window, other)).collect();
        if !others.is_empty() {
            let numbers: Vec<_> = others.iter().map(|other| other.seq.to_string()).collect();
            self.warnings.push(format!("{} {}", w.opening_same_time, numbers.join(" ")));
        }
        let header = Envelope::parse(&entry.envelope).ok().and_then(|e| Header::parse(e.payload()).ok());
        let skew_ms = header.and_then(|header| header.skew_ms).unwrap_or(0);
        if skew_ms.unsigned_abs() > SKEW_MS {
            let sign = if skew_ms < 0 { "−" } else { "+" };
            let skew = span(skew_ms.saturating_abs());
            self.warnings.push(format!("{} {sign}{skew}", w.opening_skewed));
        }
        let finding =
            |finding: &ledger::Finding| format!("{}: {}", w.findings, words::finding(page.lang, *finding));
        self.warnings.extend(entry.findings.iter().map(finding));
        let given = known.receipt.map(|receipt| {
            proof::log::check_receipt(&receipt.receipt, entry.entry, &log.verifier_key).is_ok()
        });
        match given {
            Some(true) => {}
            Some(false) => self.warnings.push(w.receipt_fails.to_owned()),
            None => self.warnings.push(w.no_receipt.to_owned()),
        }
    }

    fn tell(&mut self, page: &Page, opening: &Opening, firm: &Firm, entry: &Entry, window: &wire::Window) {
        let (w, offset) = (page.w, firm.offset_minutes());
        let none = rows::Names::NONE;
        let names = firm.names.get(&opening.agent).unwrap_or(&none);
        let end_ms = window.start_ms.saturating_add(window.length_ms.into());
        let leaf = &opening.leaf;
        let at_ms = window.start_ms.saturating_add(leaf.dt_ms.into());
        self.facts.extend([
            (w.claimed, rows::stretch(window.start_ms, end_ms, offset)),
            (w.received, second(entry.recv_ms, offset)),
            (w.log_index, entry.index.to_string()),
            (w.opening_leaf, format!("{} / {}", opening.index, window.leaf_count)),
            (w.source, names.source(leaf.source)),
            (w.opening_seen, second(at_ms, offset)),
        ]);
        let reading = |reading: &wire::Reading| {
            let letter = char::from_u32(reading.quality).filter(char::is_ascii_uppercase).unwrap_or('N');
            format!("{letter} · {}", hex(&reading.raw))
        };
        let mut show = |name: String, value: String| self.shown.push((name, value));
        match &leaf.what {
            Some(What::Readings(row)) => {
                for (at, point) in row.points.iter().enumerate() {
                    show(format!("{} {at}", w.point), reading(point));
                }
            }
            Some(What::Backfill(row)) => {
                for (at_ms, point) in row.at_ms.iter().zip(&row.readings) {
                    let name = format!("{} {} · {}", w.point, row.point, second(*at_ms, offset));
                    show(name, reading(point));
                }
            }
            Some(What::Range(range)) => {
                let text = format!("{} … {} ‰", range.low_milli, range.high_milli);
                show(format!("{} {}", w.point, range.point), text);
            }
            Some(What::Record(record)) => {
                if record.event_ms != 0 {
                    show(w.event_time.to_owned(), second(record.event_ms, offset));
                }
                show(w.module.to_owned(), names.module(page.lang, record.module));
                let action = i32::try_from(record.action).unwrap_or(0);
                let action = wire::ActionClass::try_from(action).unwrap_or_default();
                show(w.action.to_owned(), words::action(page.lang, action).to_owned());
                for field in &opening.fields {
                    let value = String::from_utf8_lossy(&field.value).escape_debug().to_string();
                    show(format!("{} {}", w.field, field.at), short(&value, MOST));
                }
                let hidden = record.fields.len().saturating_sub(opening.fields.len());
                show(w.fields_hidden.to_owned(), hidden.to_string());
            }
            None => {}
        }
    }
}

/// Whether another window of this gateway claims to be of the same time.
fn shares_time(entry: &Entry, window: &wire::Window, other: &Entry) -> bool {
    if (other.agent, other.kind.as_str()) != (entry.agent, "window") || other.entry == entry.entry {
        return false;
    }
    let Ok(envelope) = Envelope::parse(&other.envelope) else { return false };
    let Ok(Payload::Window(other)) = Payload::parse(envelope.kind(), envelope.payload()) else {
        return false;
    };
    let ends_ms = |window: &wire::Window| window.start_ms.saturating_add(window.length_ms.into());
    other.start_ms < ends_ms(window) && window.start_ms < ends_ms(&other)
}

/// A gateway's clock that is off by more than this is told, ms.
const SKEW_MS: u64 = 120_000;

/// Most characters of a field on the page.
const MOST: usize = 2_000;
