//! Values of the MySQL protocol's binary rows, as text.

use std::borrow::Cow;

use jiff::Span;
use jiff::civil::DateTime;

use super::packets::{Column, Reader};
use crate::manifest::Encoding;

/// A moment, which is the same whatever the zone it is written in.
const TIMESTAMP: u8 = 0x07;

/// How values become text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reading {
    pub(super) encoding: Option<Encoding>,
    /// So many columns at the front are keys: they are given back to the server, and stay as it writes them.
    pub(super) keys: usize,
    /// Minutes east of UTC in which moments are written; the server writes them in UTC.
    pub(super) zone_minutes: i32,
}

/// One row, or `None` when it is cut short or has more than its columns.
pub(super) fn row(packet: &[u8], columns: &[Column], reading: Reading) -> Option<Vec<Option<String>>> {
    let mut reader = Reader(packet);
    reader.bytes(1)?;
    // Two bits in front are the protocol's.
    let absent = reader.bytes((columns.len() + 2).div_ceil(8))?;
    let mut cells = Vec::with_capacity(columns.len());
    for (at, column) in columns.iter().enumerate() {
        let is_absent = absent[(at + 2) / 8] & 1 << ((at + 2) % 8) != 0;
        let reading =
            Reading { zone_minutes: if at < reading.keys { 0 } else { reading.zone_minutes }, ..reading };
        cells.push(if is_absent { None } else { Some(value(&mut reader, column, reading)?) });
    }
    reader.0.is_empty().then_some(cells)
}

fn value(reader: &mut Reader<'_>, column: &Column, reading: Reading) -> Option<String> {
    let whole = |reader: &mut Reader<'_>, bytes: usize| {
        let number = reader.number(bytes)?;
        let unused = 64 - 8 * u32::try_from(bytes).ok()?;
        Some(match column.unsigned {
            true => number.to_string(),
            false => ((number.cast_signed() << unused) >> unused).to_string(),
        })
    };
    match column.kind {
        0x01 => whole(reader, 1),
        0x02 | 0x0d => whole(reader, 2),
        0x03 | 0x09 => whole(reader, 4),
        0x08 => whole(reader, 8),
        0x04 => Some(f32::from_bits(u32::try_from(reader.number(4)?).ok()?).to_string()),
        0x05 => Some(f64::from_bits(reader.number(8)?).to_string()),
        TIMESTAMP => moment(reader, false, reading.zone_minutes),
        0x0a | 0x0c => moment(reader, column.kind == 0x0a, 0),
        0x0b => duration(reader),
        _ => Some(text(reader.counted()?, column.collation, reading.encoding).into_owned()),
    }
}

/// Date, or date and time, so many minutes later.
fn moment(reader: &mut Reader<'_>, date_only: bool, minutes: i32) -> Option<String> {
    let length = usize::try_from(reader.number(1)?).ok()?;
    let mut reader = Reader(reader.bytes(length)?);
    if ![0, 4, 7, 11].contains(&length) {
        return None;
    }
    let mut part = |bytes: usize| reader.number(bytes).unwrap_or_default();
    let (year, month, day) = (part(2), part(1), part(1));
    if date_only {
        return Some(format!("{year:04}-{month:02}-{day:02}"));
    }
    let (hour, minute, second, micros) = (part(1), part(1), part(1), part(4));
    let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    let text = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
    // What is in no calendar, as zeros are, is in no zone.
    let moved = text.parse::<DateTime>().and_then(|time| time.checked_add(Span::new().minutes(minutes)));
    Some(moved.map_or(text, |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string()) + &fraction)
}

fn duration(reader: &mut Reader<'_>) -> Option<String> {
    let length = usize::try_from(reader.number(1)?).ok()?;
    let mut reader = Reader(reader.bytes(length)?);
    if ![0, 8, 12].contains(&length) {
        return None;
    }
    let mut part = |bytes: usize| reader.number(bytes).unwrap_or_default();
    let sign = if part(1) == 0 { "" } else { "-" };
    let (days, hours, minutes, seconds, micros) = (part(4), part(1), part(1), part(1), part(4));
    let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    Some(format!("{sign}{:02}:{minutes:02}:{seconds:02}{fraction}", days * 24 + hours))
}

/// By the number of the column's collation. What is called Latin-1 is what the map says it is.
fn text(bytes: &[u8], collation: u16, encoding: Option<Encoding>) -> Cow<'_, str> {
    let encoding = match collation {
        24 | 28 | 86 | 87 | 248..=250 => encoding_rs::GB18030,
        1 | 84 => encoding_rs::BIG5,
        5 | 8 | 15 | 31 | 47..=49 | 94 => match encoding {
            Some(Encoding::Gb18030) => encoding_rs::GB18030,
            Some(Encoding::Utf8) => encoding_rs::UTF_8,
            Some(Encoding::Big5) => encoding_rs::BIG5,
            // A map names none of the others.
            Some(Encoding::Utf16Le | Encoding::Utf16Be | Encoding::Mixed) | None => encoding_rs::WINDOWS_1252,
        },
        _ => encoding_rs::UTF_8,
    };
    encoding.decode_without_bom_handling(bytes).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn column(kind: u8, collation: u16, unsigned: bool) -> Column {
        Column { collation, kind, unsigned }
    }

    #[test]
    fn values_of_every_kind_are_text() {
        let gbk = [4, 0xb1, 0xa8, 0xb9, 0xa4];
        let table: &[(Column, &[u8], &str)] = &[
            (column(0x01, 63, false), &[0xff], "-1"),
            (column(0x01, 63, true), &[0xff], "255"),
            (column(0x02, 63, false), &[0x00, 0x80], "-32768"),
            (column(0x03, 63, false), &[0x9c, 0xff, 0xff, 0xff], "-100"),
            (column(0x08, 63, true), &[0xff; 8], "18446744073709551615"),
            (column(0x05, 63, false), &1.5_f64.to_le_bytes(), "1.5"),
            (column(0x0c, 63, false), &[7, 0xe9, 0x07, 6, 18, 8, 21, 45], "2025-06-18 08:21:45"),
            (
                column(0x07, 63, false),
                &[11, 0xe9, 0x07, 6, 18, 8, 21, 45, 0x40, 0xe2, 1, 0],
                "2025-06-18 08:21:45.123456",
            ),
            (column(0x0c, 63, false), &[4, 0xe9, 0x07, 6, 18], "2025-06-18 00:00:00"),
            (column(0x0a, 63, false), &[4, 0xe9, 0x07, 6, 18], "2025-06-18"),
            (column(0x0b, 63, false), &[8, 1, 1, 0, 0, 0, 2, 3, 4], "-26:03:04"),
            (column(0xfd, 45, false), b"\x06\xe6\x8a\xa5\xe5\xb7\xa5", "报工"),
            (column(0xfd, 28, false), &gbk, "报工"),
            (column(0xf6, 63, false), b"\x0512.50", "12.50"),
        ];
        for (column, bytes, expected) in table {
            let packet: Vec<u8> = [0, 0].iter().chain(*bytes).copied().collect();
            let read = row(&packet, std::slice::from_ref(column), Reading::default());
            assert_eq!(read, Some(vec![Some((*expected).to_owned())]), "{column:?}");
        }
        // An application that writes GBK into a column called Latin-1.
        let packet: Vec<u8> = [0, 0].iter().chain(&gbk).copied().collect();
        let reading = Reading { encoding: Some(Encoding::Gb18030), ..Reading::default() };
        let read = row(&packet, &[column(0xfd, 8, false)], reading);
        assert_eq!(read, Some(vec![Some("报工".to_owned())]));
    }

    #[test]
    fn a_moment_is_written_in_the_manifests_zone_and_a_key_stays_as_it_is() {
        let moment = [7, 0xe9, 0x07, 6, 17, 20, 21, 45];
        let zeros = [7, 0, 0, 0, 0, 0, 0, 0];
        let kinds = [TIMESTAMP, TIMESTAMP, 0x0c, TIMESTAMP];
        let packet: Vec<u8> = [&[0, 0][..], &moment, &moment, &moment, &zeros].concat();
        let reading = Reading { keys: 1, zone_minutes: 480, ..Reading::default() };
        let read = row(&packet, &kinds.map(|kind| column(kind, 63, false)), reading).unwrap();
        let read: Vec<_> = read.into_iter().map(Option::unwrap).collect();
        let [utc, local] = ["2025-06-17 20:21:45", "2025-06-18 04:21:45"];
        assert_eq!(read, [utc, local, utc, "0000-00-00 00:00:00"]);
    }

    #[test]
    fn an_absent_value_takes_no_room() {
        let columns = [column(0x01, 63, false), column(0x01, 63, false)];
        assert_eq!(row(&[0, 0b100, 7], &columns, Reading::default()), Some(vec![None, Some("7".to_owned())]));
        assert_eq!(row(&[0, 0, 7], &columns, Reading::default()), None);
        assert_eq!(row(&[0, 0, 7, 7, 7], &columns, Reading::default()), None);
    }

    proptest! {
        #[test]
        fn arbitrary_rows_are_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            kinds in prop::collection::vec(any::<u8>(), 0..8),
        ) {
            let columns: Vec<_> = kinds.into_iter().map(|kind| column(kind, 28, kind > 7)).collect();
            drop(row(&bytes, &columns, Reading::default()));
        }
    }
}
