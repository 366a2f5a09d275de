//! Charts as SVG text: the same picture in page, print and document.
//!
//! A chart is drawn from plain numbers, stands alone (its patterns carry its own prefix) and is told apart without
//! colour: every state has its own lightness, hatch or sign. Nothing in here knows a firm, a request or the ledger.

mod calendar;
mod scale;
mod strip;
mod weave;

pub use calendar::calendar;
pub use scale::Scale;
pub use strip::{Hour, Strip, strip};
pub use weave::weave;

use std::fmt::{self, Write as _};

use jiff::civil::Date;

/// What a day is, before anything is counted on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayKind {
    /// A planned working day.
    Work,
    /// A rest day by the factory calendar.
    Rest,
    /// A statutory holiday.
    Holiday,
    /// A stop the firm has entered: shown, never hidden.
    Stop,
}

/// One day of one row or cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Which.
    pub date: Date,
    /// What the calendar says of it.
    pub kind: DayKind,
    /// Whether it was observed enough to say anything.
    pub observed: bool,
    /// Whether it lies in the evaluation period; what does not is drawn faint.
    pub inside: bool,
    /// Key actions.
    pub count: u32,
}

impl Day {
    fn opacity(self) -> &'static str {
        if self.inside { "" } else { " opacity=\"0.45\"" }
    }
}

/// A finished drawing: well-formed SVG in which every text was escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Svg(String);

impl Svg {
    /// The text of the `<svg>` element.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Words a drawing needs; the caller brings them in the reader's language.
#[derive(Debug, Clone, Copy)]
pub struct Labels {
    /// A planned stop, in a cell.
    pub stop: &'static str,
    /// A statutory holiday, in a cell.
    pub holiday: &'static str,
    /// "not observed".
    pub unseen: &'static str,
    /// "rest day".
    pub rest: &'static str,
    /// "key actions".
    pub actions: &'static str,
    /// "planned stop".
    pub stopped: &'static str,
}

/// Ink and fills. Blues grow darker with the count; states without a count are grey, hatched or outlined.
pub(crate) mod ink {
    pub(crate) const LEVELS: [&str; 4] = ["#cfe1f2", "#93c4de", "#4a97c9", "#1764ab"];
    pub(super) const ON_LEVELS: [&str; 4] = ["#1b2733", "#1b2733", "#ffffff", "#ffffff"];
    pub(super) const LINE: &str = "#aeb9c4";
    pub(super) const REST: &str = "#e9edf0";
    pub(super) const TEXT: &str = "#1b2733";
    pub(super) const FAINT: &str = "#5b6875";
    pub(crate) const SILENT: &str = "#e69f00";
    pub(crate) const ONLINE: &str = "#dbe3ea";
}

/// An SVG being written.
struct Canvas {
    out: String,
    prefix: String,
}

impl Canvas {
    /// Begins a drawing of this size in its own units. `prefix` keeps the ids of several drawings on a page apart.
    fn new(prefix: &str, width: u32, height: u32, title: &str) -> Self {
        let prefix: String = prefix.chars().filter(char::is_ascii_alphanumeric).collect();
        let mut canvas = Self { out: String::with_capacity(8 * 1024), prefix };
        canvas.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" font-size=\"11.5\"><title>{}</title>",
            Escaped(title)
        ));
        let p = canvas.prefix.clone();
        canvas.put(format_args!(
            "<defs><pattern id=\"{p}s\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
             patternTransform=\"rotate(45)\"><rect width=\"6\" height=\"6\" fill=\"#fdf3df\"/><rect width=\"2\" \
             height=\"6\" fill=\"#d9a441\"/></pattern><pattern id=\"{p}u\" width=\"5\" height=\"5\" \
             patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(-45)\"><rect width=\"5\" height=\"5\" \
             fill=\"#ffffff\"/><rect width=\"1\" height=\"5\" fill=\"#8a97a3\"/></pattern></defs>"
        ));
        canvas
    }

    fn put(&mut self, what: fmt::Arguments<'_>) {
        self.out.write_fmt(what).expect("writing to a string cannot fail");
    }

    fn text(&mut self, x: u32, y: u32, anchor: &str, fill: &str, text: &str) {
        self.put(format_args!(
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" fill=\"{fill}\">{}</text>",
            Escaped(text)
        ));
    }

    fn finish(mut self) -> Svg {
        self.out.push_str("</svg>");
        Svg(self.out)
    }
}

/// Text as it may stand in an element or a quoted attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Control characters are not allowed in XML at all.
                c if c.is_control() => f.write_char(' ')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// How a day with this count is painted: fill, ink of its number.
fn paint(canvas: &Canvas, day: Day, scale: &Scale) -> (String, &'static str) {
    if day.count > 0 {
        let level = scale.level(day.count);
        return (ink::LEVELS[level].to_owned(), ink::ON_LEVELS[level]);
    }
    let p = &canvas.prefix;
    match day.kind {
        DayKind::Stop => (format!("url(#{p}s)"), ink::TEXT),
        DayKind::Rest | DayKind::Holiday => (ink::REST.to_owned(), ink::FAINT),
        DayKind::Work if day.observed => ("#ffffff".to_owned(), ink::FAINT),
        DayKind::Work => (format!("url(#{p}u)"), ink::FAINT),
    }
}

/// What a pointer over the day reads.
fn hint(day: Day, labels: &Labels) -> String {
    let mut text = day.date.to_string();
    match day.kind {
        DayKind::Work => {}
        DayKind::Rest => text.push_str(&format!(" · {}", labels.rest)),
        DayKind::Holiday => text.push_str(&format!(" · {}", labels.holiday)),
        DayKind::Stop => text.push_str(&format!(" · {}", labels.stopped)),
    }
    if day.observed || day.count > 0 {
        text.push_str(&format!(" · {} {}", labels.actions, day.count));
    } else {
        text.push_str(&format!(" · {}", labels.unseen));
    }
    text
}

#[cfg(test)]
mod tests;
