//! Values of SQL Server, as text.

use jiff::Span;
use jiff::civil::{Date, DateTime};
use tiberius::ColumnData;

use crate::manifest::Encoding;

/// The text of a value; a date and time reads back as the same one when it is bound again.
pub(super) fn text(cell: &ColumnData<'_>, encoding: Option<Encoding>) -> Option<String> {
    match cell {
        ColumnData::U8(value) => value.map(|value| value.to_string()),
        ColumnData::I16(value) => value.map(|value| value.to_string()),
        ColumnData::I32(value) => value.map(|value| value.to_string()),
        ColumnData::I64(value) => value.map(|value| value.to_string()),
        ColumnData::F32(value) => value.map(|value| value.to_string()),
        ColumnData::F64(value) => value.map(|value| value.to_string()),
        ColumnData::Bit(value) => value.map(|value| u8::from(value).to_string()),
        ColumnData::String(value) => value.as_ref().map(|value| reread(value, encoding)),
        ColumnData::Guid(value) => value.map(|value| value.to_string()),
        ColumnData::Binary(value) => value.as_ref().map(|value| hex(value)),
        ColumnData::Numeric(value) => value.map(|value| value.to_string()),
        ColumnData::Xml(value) => value.as_ref().map(|value| value.to_string()),
        ColumnData::DateTime(value) => value.map(|value| {
            let from = Date::constant(1900, 1, 1);
            // Steps of 1/300 s, which are written .000, .003, .007.
            let millis = (i64::from(value.seconds_fragments()) * 10 + 1) / 3;
            moment(from, value.days().into(), millis * 1_000_000, 3)
        }),
        ColumnData::SmallDateTime(value) => value.map(|value| {
            let minutes = i64::from(value.seconds_fragments());
            moment(Date::constant(1900, 1, 1), value.days().into(), minutes * 60_000_000_000, 3)
        }),
        ColumnData::Time(value) => value.map(|value| {
            let text = moment(Date::constant(1, 1, 1), 0, nanos(value), 7);
            text.split(' ').nth(1).unwrap_or_default().to_owned()
        }),
        ColumnData::Date(value) => value.map(|value| {
            let text = moment(Date::constant(1, 1, 1), value.days().into(), 0, 0);
            text.split(' ').next().unwrap_or_default().to_owned()
        }),
        ColumnData::DateTime2(value) => value.map(datetime2),
        ColumnData::DateTimeOffset(value) => {
            value.map(|value| format!("{}+00:00", datetime2(value.datetime2())))
        }
    }
}

fn datetime2(value: tiberius::time::DateTime2) -> String {
    moment(Date::constant(1, 1, 1), value.date().days().into(), nanos(value.time()), 7)
}

fn nanos(time: tiberius::time::Time) -> i64 {
    let step = 10_i64.pow(9_u32.saturating_sub(u32::from(time.scale())));
    i64::try_from(time.increments()).unwrap_or(0).saturating_mul(step)
}

/// `from` and so many days and nanoseconds, as ODBC writes it; empty outside of the calendar.
fn moment(from: Date, days: i64, nanos: i64, digits: u8) -> String {
    let days = Span::new().try_days(days).and_then(|days| from.checked_add(days));
    let time = days.and_then(|date| DateTime::from(date).checked_add(Span::new().try_nanoseconds(nanos)?));
    let Ok(time) = time else { return String::new() };
    let fraction = format!("{:09}", time.subsec_nanosecond());
    let fraction = match digits {
        0 => String::new(),
        digits => format!(".{}", &fraction[..usize::from(digits)]),
    };
    time.strftime("%Y-%m-%d %H:%M:%S").to_string() + &fraction
}

/// A text whose bytes the server took for Latin-1, read as what they are. One that cannot have been Latin-1 stays.
fn reread(text: &str, encoding: Option<Encoding>) -> String {
    if encoding != Some(Encoding::Gb18030) || text.is_ascii() {
        return text.to_owned();
    }
    let (bytes, _, lossy) = encoding_rs::WINDOWS_1252.encode(text);
    let (read, wrong) = encoding_rs::GB18030.decode_without_bom_handling(&bytes);
    if lossy || wrong { text.to_owned() } else { read.into_owned() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use tiberius::time::{Date, DateTime, DateTime2, SmallDateTime, Time};

    use super::*;

    #[test]
    fn dates_and_times_are_written_as_the_server_does() {
        let table = [
            (ColumnData::DateTime(Some(DateTime::new(45_824, 9_197_702))), "2025-06-18 08:30:59.007"),
            (ColumnData::DateTime(Some(DateTime::new(45_824, 9_197_701))), "2025-06-18 08:30:59.003"),
            (ColumnData::DateTime(Some(DateTime::new(45_824, 9_197_700))), "2025-06-18 08:30:59.000"),
            (ColumnData::SmallDateTime(Some(SmallDateTime::new(45_824, 510))), "2025-06-18 08:30:00.000"),
            (
                ColumnData::DateTime2(Some(DateTime2::new(
                    Date::new(739_419),
                    Time::new(306_590_071_234, 7),
                ))),
                "2025-06-18 08:30:59.0071234",
            ),
            (ColumnData::Date(Some(Date::new(739_419))), "2025-06-18"),
            (ColumnData::Time(Some(Time::new(30_659, 0))), "08:30:59.0000000"),
        ];
        for (cell, expected) in table {
            assert_eq!(text(&cell, None).as_deref(), Some(expected));
        }
    }

    #[test]
    fn days_and_steps_of_any_number_are_a_date_or_nothing() {
        for days in [i32::MIN, -7_304_485, 7_304_485, i32::MAX] {
            for fragments in [0, u32::MAX] {
                let cell = ColumnData::DateTime(Some(DateTime::new(days, fragments)));
                assert_eq!(text(&cell, None).as_deref(), Some(""), "{days} {fragments}");
            }
        }
        let far = [
            ColumnData::Date(Some(Date::new(u32::MAX >> 8))),
            ColumnData::DateTime2(Some(DateTime2::new(Date::new(u32::MAX >> 8), Time::new(u64::MAX, 7)))),
            ColumnData::DateTime2(Some(DateTime2::new(Date::new(739_419), Time::new(u64::MAX, 7)))),
            ColumnData::DateTime2(Some(DateTime2::new(Date::new(739_419), Time::new(u64::MAX >> 1, 0)))),
            ColumnData::Time(Some(Time::new(u64::MAX, 0))),
            ColumnData::Time(Some(Time::new(i64::MAX as u64, 7))),
        ];
        for cell in far {
            assert!(text(&cell, None).is_some(), "{cell:?}");
        }
        let odd = ColumnData::SmallDateTime(Some(SmallDateTime::new(u16::MAX, u16::MAX)));
        assert_eq!(text(&odd, None).as_deref(), Some("2079-07-21 12:15:00.000"));
    }

    #[test]
    fn gbk_in_a_column_called_latin_is_read_and_real_texts_stay() {
        let seen = |text_in: &str| {
            text(&ColumnData::String(Some(text_in.to_owned().into())), Some(Encoding::Gb18030))
        };
        assert_eq!(seen("±¨¹¤").as_deref(), Some("报工"));
        assert_eq!(seen("报工").as_deref(), Some("报工"));
        assert_eq!(seen("WANG01").as_deref(), Some("WANG01"));
    }
}
