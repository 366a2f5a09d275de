//! One module's days: a row per month, a column per day of the month, the count printed in the cell.

use jiff::civil::Date;

use super::{Canvas, Day, DayKind, Escaped, Labels, Scale, Svg, hint, ink, paint};

const PITCH: u32 = 24;
const CELL: u32 = 22;
const LEFT: u32 = 60;
const TOP: u32 = 16;

/// Draws the calendar. `days` in order of date, at most a few years; `link` gives the address of a day's page.
pub fn calendar(
    prefix: &str,
    title: &str,
    days: &[Day],
    scale: &Scale,
    labels: &Labels,
    link: impl Fn(Date) -> String,
) -> Svg {
    let months = months(days);
    let rows = u32::try_from(months.len()).unwrap_or(u32::MAX).min(60);
    let mut canvas = Canvas::new(prefix, LEFT + 31 * PITCH, TOP + rows * PITCH, title);
    for of_month in 1..=31 {
        canvas.text(
            LEFT + (of_month - 1) * PITCH + CELL / 2,
            11,
            "middle",
            ink::FAINT,
            &of_month.to_string(),
        );
    }
    for (row, (year, month)) in (0..rows).zip(&months) {
        let y = TOP + row * PITCH;
        canvas.text(LEFT - 8, y + 15, "end", ink::TEXT, &format!("{year}-{month:02}"));
    }
    for day in days {
        let Some(row) = months.iter().position(|month| *month == (day.date.year(), day.date.month())) else {
            continue;
        };
        let Ok(row) = u32::try_from(row) else { continue };
        if row >= rows {
            break;
        }
        let column = u32::from(day.date.day().unsigned_abs()) - 1;
        cell(&mut canvas, LEFT + column * PITCH, TOP + row * PITCH, *day, scale, labels, &link(day.date));
    }
    canvas.finish()
}

fn months(days: &[Day]) -> Vec<(i16, i8)> {
    let mut months: Vec<(i16, i8)> = days.iter().map(|day| (day.date.year(), day.date.month())).collect();
    months.dedup();
    months
}

fn cell(canvas: &mut Canvas, x: u32, y: u32, day: Day, scale: &Scale, labels: &Labels, link: &str) {
    let (fill, ink) = paint(canvas, day, scale);
    let dash = if day.observed { "" } else { " stroke-dasharray=\"2 2\"" };
    canvas.put(format_args!(
        "<a href=\"{}\"{}><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" rx=\"2\" \
         fill=\"{fill}\" stroke=\"{}\" stroke-width=\"1\"{dash}/>",
        Escaped(link),
        day.opacity(),
        Escaped(&hint(day, labels)),
        ink::LINE,
    ));
    let sign = match (day.count, day.kind) {
        (0, DayKind::Stop) => labels.stop.to_owned(),
        (0, DayKind::Holiday) => labels.holiday.to_owned(),
        (0, DayKind::Rest) => String::new(),
        (0, DayKind::Work) if day.observed => "0".to_owned(),
        (0, DayKind::Work) => "×".to_owned(),
        (count @ 1..=9_999, _) => count.to_string(),
        (count, _) => format!("{}k", count / 1000),
    };
    // A sign on hatching needs ground to stand on.
    if day.count == 0 && day.kind == DayKind::Stop {
        canvas.put(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"14\" height=\"14\" rx=\"7\" fill=\"#fff\"/>",
            x + 4,
            y + 4
        ));
    }
    canvas.text(x + CELL / 2, y + 15, "middle", ink, &sign);
    // Work on a day off is a fact of its own: a bar under the number.
    if day.count > 0 && day.kind != DayKind::Work {
        canvas.put(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"2\" fill=\"{ink}\"/>",
            x + 4,
            y + CELL - 4,
            CELL - 8
        ));
    }
    canvas.out.push_str("</a>");
}
