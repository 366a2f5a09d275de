//! Event times, as Chinese systems write them.

use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::Offset;

/// What part of the day a time says in Chinese, and whether that is before or after noon.
const HALVES: &[(&str, &str)] = &[
    ("上午", "AM"),
    ("下午", "PM"),
    ("凌晨", "AM"),
    ("清晨", "AM"),
    ("早上", "AM"),
    ("中午", "PM"),
    ("晚上", "PM"),
];

/// Unix ms, or `None` when the text is not of that form. A fraction may follow a comma as well (ISO 8601, 5.3.1.3), and
/// `%p` stands for 上午 and 下午 too, and `%:z` at the end for a Z. The form `unix` is seconds since 1970, `unix_ms` milliseconds.
pub(super) fn event_time(text: &str, format: &str, offset: Option<Offset>) -> Option<i64> {
    match format {
        "unix" => return unix(text, 1_000),
        "unix_ms" => return unix(text, 1),
        "%Y-%m-%d %H:%M:%S%.f" => {
            if let Some(ms) = plain(text, offset?) {
                return Some(ms);
            }
        }
        _ => {}
    }
    let mut text = std::borrow::Cow::Borrowed(text.trim());
    if format.contains("%.f") && text.contains(',') {
        text = text.replace(',', ".").into();
    }
    if format.ends_with("%:z")
        && let Some(utc) = text.strip_suffix('Z').map(|utc| format!("{utc}+00:00"))
    {
        text = utc.into();
    }
    if format.contains("%p")
        && let Some((chinese, english)) = HALVES.iter().find(|(chinese, _)| text.contains(chinese))
    {
        text = text.replace(chinese, english).into();
    }
    let time = BrokenDownTime::parse(format, text.as_ref()).ok()?;
    let timestamp = match offset {
        Some(offset) => offset.to_timestamp(time.to_datetime().ok()?).ok()?,
        None => time.to_timestamp().ok()?,
    };
    Some(timestamp.as_millisecond())
}

/// Seconds with a fraction, or milliseconds.
fn unix(text: &str, ms_of_one: i64) -> Option<i64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let mut ms = whole.parse::<i64>().ok()?.checked_mul(ms_of_one)?;
    if ms_of_one > 1 && !fraction.is_empty() {
        let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
        let digits = digits.parse::<i64>().ok().filter(|_| fraction.bytes().all(|b| b.is_ascii_digit()))?;
        ms = ms.checked_add(digits)?;
    }
    jiff::Timestamp::from_millisecond(ms).ok().map(jiff::Timestamp::as_millisecond)
}

/// `2025-06-18 08:21:45` with up to nine digits of a second: the commonest form, without the machinery.
fn plain(text: &str, offset: Offset) -> Option<i64> {
    let bytes = text.as_bytes();
    let digits = |from: usize, length: usize| {
        bytes
            .get(from..from + length)?
            .iter()
            .try_fold(0_i16, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i16::from(byte - b'0')))
    };
    let punctuated = [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':')];
    if punctuated.iter().any(|(at, byte)| bytes.get(*at) != Some(byte)) {
        return None;
    }
    let small = |from| digits(from, 2).and_then(|number| i8::try_from(number).ok());
    let ms = match bytes.get(19..)? {
        [] => 0,
        [b'.' | b',', rest @ ..] if !rest.is_empty() && rest.len() <= 9 => {
            let ms = (0..3).map(|at| rest.get(at).copied().unwrap_or(b'0'));
            let is_number = rest.iter().all(u8::is_ascii_digit);
            ms.fold(0_i64, |sum, byte| sum * 10 + i64::from(byte) - 48).checked_mul(i64::from(is_number))?
        }
        _ => return None,
    };
    if bytes.get(20..).is_some_and(|rest| !rest.iter().all(u8::is_ascii_digit)) {
        return None;
    }
    let date = jiff::civil::Date::new(digits(0, 4)?, small(5)?, small(8)?).ok()?;
    let time = jiff::civil::Time::new(small(11)?, small(14)?, small(17)?, 0).ok()?;
    Some(offset.to_timestamp(date.to_datetime(time)).ok()?.as_millisecond() + ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2025-06-18 08:21:45 at UTC+8.
    const MORNING: i64 = 1_750_206_105_000;

    fn china() -> Option<Offset> {
        Some(Offset::constant(8))
    }

    #[test]
    fn times_are_read_as_systems_in_china_write_them() {
        let afternoon = MORNING + 12 * 3_600_000;
        let table = [
            ("2025-06-18 08:21:45", "%Y-%m-%d %H:%M:%S%.f", china(), Some(MORNING)),
            ("2025-06-18 08:21:45.12", "%Y-%m-%d %H:%M:%S%.f", china(), Some(MORNING + 120)),
            ("2025-06-18 08:21:45,118", "%Y-%m-%d %H:%M:%S%.f", china(), Some(MORNING + 118)),
            ("2025-06-18T08:21:45.118", "%Y-%m-%dT%H:%M:%S%.f", china(), Some(MORNING + 118)),
            ("2025/6/18 8:21:45", "%Y/%m/%d %H:%M:%S", china(), Some(MORNING)),
            ("2025/6/18 上午 8:21:45", "%Y/%m/%d %p %I:%M:%S", china(), Some(MORNING)),
            ("2025/6/18 下午 8:21:45", "%Y/%m/%d %p %I:%M:%S", china(), Some(afternoon)),
            ("2025/6/18 晚上8:21:45", "%Y/%m/%d %p%I:%M:%S", china(), Some(afternoon)),
            ("2025年6月18日 08时21分45秒", "%Y年%m月%d日 %H时%M分%S秒", china(), Some(MORNING)),
            ("20250618 08:21:45", "%Y%m%d %H:%M:%S", china(), Some(MORNING)),
            ("20250618082145", "%Y%m%d%H%M%S", china(), Some(MORNING)),
            ("18/Jun/2025:02:21:45 +0200", "%d/%b/%Y:%H:%M:%S %z", None, Some(MORNING)),
            ("2025-06-18T08:21:45+08:00", "%Y-%m-%dT%H:%M:%S%.f%:z", None, Some(MORNING)),
            ("2025-06-18T00:21:45.118Z", "%Y-%m-%dT%H:%M:%S%.f%:z", None, Some(MORNING + 118)),
            ("2025-06-18T00:21:45.118Z", "%Y-%m-%dT%H:%M:%S%.fZ", Some(Offset::UTC), Some(MORNING + 118)),
            ("1750206105", "unix", None, Some(MORNING)),
            ("1750206105.1189", "unix", None, Some(MORNING + 118)),
            ("1750206105112", "unix_ms", None, Some(MORNING + 112)),
            ("2025-13-18 08:21:45", "%Y-%m-%d %H:%M:%S%.f", china(), None),
            ("2025-06-18 08:21:45.x", "%Y-%m-%d %H:%M:%S%.f", china(), None),
            ("2025-06-18", "%Y-%m-%d %H:%M:%S%.f", china(), None),
            ("1750206105.x", "unix", None, None),
            ("99999999999999999999", "unix", None, None),
        ];
        for (text, format, offset, expected) in table {
            assert_eq!(event_time(text, format, offset), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_short_way_reads_as_the_long_one_does(text in "2025-[0-1][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]([.][0-9]{0,10})?") {
            let long = BrokenDownTime::parse("%Y-%m-%d %H:%M:%S%.f", &text).ok();
            let long = long.and_then(|time| time.to_datetime().ok());
            let long = long.and_then(|time| Offset::UTC.to_timestamp(time).ok()).map(|at| at.as_millisecond());
            if let Some(short) = plain(&text, Offset::UTC) {
                prop_assert_eq!(Some(short), long);
            }
        }
    }
}
