//! Records as text, and text as bytes.

/// How text becomes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// GB 18030.
    Gb18030,
    /// UTF-16, low byte first, with its mark.
    Utf16Le,
    /// UTF-16, high byte first, with its mark.
    Utf16Be,
    /// Each record in UTF-8 or GB 18030.
    Mixed,
}

/// How a record looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One line, cut at bars.
    Bars,
    /// One line and up to three that belong to it.
    Traces,
}

/// A record as it is written, and what must be made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// All of it, with its line ends.
    pub line: String,
    /// What it says.
    pub message: String,
    /// Who did it.
    pub account: String,
    /// When, Unix ms.
    pub event_ms: i64,
    /// Physical lines.
    pub lines: u32,
}

impl Encoding {
    /// As the manifest says it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Gb18030 => "gb18030",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
            Self::Mixed => "auto-mixed",
        }
    }

    /// What a file begins with.
    pub fn mark(self) -> &'static [u8] {
        match self {
            Self::Utf16Le => &[0xFF, 0xFE],
            Self::Utf16Be => &[0xFE, 0xFF],
            Self::Utf8 | Self::Gb18030 | Self::Mixed => &[],
        }
    }

    /// The text of the record with this number.
    pub fn bytes(self, text: &str, number: u64) -> Vec<u8> {
        match self {
            Self::Mixed if number % 2 == 1 => Self::Gb18030.bytes(text, number),
            Self::Utf8 | Self::Mixed => text.as_bytes().to_vec(),
            Self::Gb18030 => encoding_rs::GB18030.encode(text).0.into_owned(),
            Self::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Self::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        }
    }

    /// A text without other characters.
    pub fn ascii(self, text: &str) -> Vec<u8> {
        self.bytes(text, 0)
    }

    /// Where lines end in the bytes of a record, after their ends.
    pub fn line_ends(self, bytes: &[u8]) -> impl Iterator<Item = u64> {
        let end = self.ascii("\n");
        let width = end.len();
        let is_end = move |(at, piece): &(usize, &[u8])| at % width == 0 && *piece == end;
        bytes.windows(width).enumerate().filter(is_end).map(move |(at, _)| (at + width) as u64)
    }
}

impl Form {
    /// The parser that reads it.
    pub fn parser(self) -> &'static str {
        match self {
            Self::Bars => "kingdee_pipe",
            Self::Traces => "log4j",
        }
    }

    /// The place of the message among its fields.
    pub fn message_at(self) -> usize {
        match self {
            Self::Bars => 7,
            Self::Traces => 4,
        }
    }
}

/// The record with this number: all of it follows from that, an hour of 2025-06-18 on for each 3,600.
pub(super) fn record(form: Form, number: u64) -> Written {
    // Characters whose bytes hold line ends, bars and quotes in one encoding or another.
    let said = format!("报工/工单/{number} 㐀𠀀Ċ਀ 錦亅");
    let account = format!("wang{:02}", number % 97);
    let second = i64::try_from(number).expect("few");
    let event_ms = 1_750_204_800_000 + second * 1_000;
    let (day, of_day) = (second / 36_000, second % 36_000);
    let time = format!(
        "2025-06-{:02} {:02}:{:02}:{:02}",
        18 + day,
        8 + of_day / 3_600,
        of_day / 60 % 60,
        of_day % 60
    );
    let event_ms = event_ms - (second - of_day) * 1_000 + day * 86_400_000;
    match form {
        Form::Bars => {
            let line = format!("{time}|{account}|1|32|X|3|o|{said}|PC|ip\r\n");
            Written { line, message: said, account, event_ms, lines: 1 }
        }
        Form::Traces => {
            let more = u32::try_from(number % 4).expect("below four");
            let trace: String = (0..more).map(|at| format!("\n\tat 续行{at} {number}")).collect();
            let message = format!("{said} 操作员={account} .{trace}");
            let line = format!("{time},118 [main] INFO  c.x.R - {message}\n");
            Written { line, message, account, event_ms: event_ms + 118, lines: 1 + more }
        }
    }
}
