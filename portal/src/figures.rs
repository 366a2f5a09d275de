//! How numbers, times and bits are written on pages.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

/// Minutes east of UTC of pages about no firm in particular.
pub(crate) const CHINA: i32 = 480;

fn local(ms: i64, offset_minutes: i32) -> Option<jiff::civil::DateTime> {
    let offset = Offset::from_seconds(offset_minutes.saturating_mul(60)).ok()?;
    Some(offset.to_datetime(Timestamp::from_millisecond(ms).ok()?))
}

/// "2026-03-02 08:10". A time no calendar has is written as its number.
pub(crate) fn minute(ms: i64, offset_minutes: i32) -> String {
    local(ms, offset_minutes).map_or_else(|| format!("{ms} ms"), |t| t.strftime("%Y-%m-%d %H:%M").to_string())
}

/// "2026-03-02 08:10:05".
pub(crate) fn second(ms: i64, offset_minutes: i32) -> String {
    local(ms, offset_minutes)
        .map_or_else(|| format!("{ms} ms"), |t| t.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// "08:10".
pub(crate) fn clock(ms: i64, offset_minutes: i32) -> String {
    local(ms, offset_minutes).map_or_else(|| format!("{ms} ms"), |t| t.strftime("%H:%M").to_string())
}

/// The local date.
pub(crate) fn date(ms: i64, offset_minutes: i32) -> Option<Date> {
    local(ms, offset_minutes).map(|t| t.date())
}

/// "62.5%": at most one decimal, none where it would be zero.
pub(crate) fn percent(share: f64) -> String {
    let tenths = (share * 1000.0).round() / 10.0;
    if tenths.fract() == 0.0 { format!("{tenths:.0}%") } else { format!("{tenths:.1}%") }
}

/// "3 d 4 h", "2 h 10 min", "45 s": the two largest units.
pub(crate) fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, 0) => format!("{m} min"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, 0, _) => format!("{h} h"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, 0, _, _) => format!("{d} d"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

/// The ten minutes of a window, first on the left: "■■■□□■■■■■".
pub(crate) fn minutes(bits: u32) -> String {
    (0..10).map(|m| if bits >> m & 1 == 1 { '■' } else { '□' }).collect()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// The first `most` letters and a sign that there are more.
pub(crate) fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_the_firms_offset() {
        assert_eq!(minute(0, CHINA), "1970-01-01 08:00");
        assert_eq!(second(61_000, 0), "1970-01-01 00:01:01");
        assert_eq!(minute(i64::MAX, CHINA), format!("{} ms", i64::MAX));
        assert_eq!(date(-1, 0).unwrap().to_string(), "1969-12-31");
    }

    #[test]
    fn spans_name_their_two_largest_units() {
        let texts = [45_000, 600_000, 605_000, 7_800_000, 273_600_000].map(span);
        assert_eq!(texts, ["45 s", "10 min", "10 min 5 s", "2 h 10 min", "3 d 4 h"]);
    }

    #[test]
    fn shares_lose_a_decimal_that_says_nothing() {
        assert_eq!([0.6, 0.625, 1.0, 0.0004].map(percent), ["60%", "62.5%", "100%", "0%"]);
    }

    #[test]
    fn bits_read_from_left_to_right() {
        assert_eq!(minutes(0b11), "■■□□□□□□□□");
        assert_eq!(short("在用在用", 2), "在用…");
    }
}
