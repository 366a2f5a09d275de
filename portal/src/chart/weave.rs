//! All modules at a glance: a row per module, a column per day, no numbers.

use super::{Canvas, Day, Escaped, Labels, Scale, Svg, hint, ink, paint};

const WIDTH: u32 = 802;
const LEFT: u32 = 128;
const ROW: u32 = 20;
const TOP: u32 = 20;

/// Draws the weave. All rows have the same days, in order; a row beyond 400 days is drawn for its last 400.
pub fn weave(prefix: &str, title: &str, rows: &[(String, Vec<Day>)], scale: &Scale, labels: &Labels) -> Svg {
    let days = rows.iter().map(|(_, days)| days.len()).max().unwrap_or(0).min(400);
    let count = u32::try_from(days.max(1)).unwrap_or(1);
    let pitch = f64::from(WIDTH - LEFT) / f64::from(count);
    let pitch = pitch.min(14.0);
    let height = TOP + ROW * u32::try_from(rows.len().min(64)).unwrap_or(64);
    let mut canvas = Canvas::new(prefix, WIDTH, height, title);
    if let Some((_, first)) = rows.first() {
        dates(&mut canvas, tail(first, days), LEFT, pitch, 11);
    }
    for (at, (name, row)) in (0u32..).zip(rows.iter().take(64)) {
        let y = TOP + at * ROW;
        canvas.text(LEFT - 6, y + 14, "end", ink::TEXT, name);
        for (column, day) in (0u32..).zip(tail(row, days)) {
            let (fill, _) = paint(&canvas, *day, scale);
            canvas.put(format_args!(
                "<rect x=\"{:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"{}\" fill=\"{fill}\" stroke=\"{}\" \
                 stroke-width=\"0.4\"{}><title>{}</title></rect>",
                f64::from(LEFT) + f64::from(column) * pitch,
                pitch - 1.0,
                ROW - 2,
                ink::LINE,
                day.opacity(),
                Escaped(&format!("{name} · {}", hint(*day, labels))),
            ));
        }
    }
    canvas.finish()
}

fn tail(days: &[Day], most: usize) -> &[Day] {
    &days[days.len().saturating_sub(most)..]
}

/// Writes a date over every column where a week (or, when columns are narrow, a month) begins.
pub(super) fn dates(canvas: &mut Canvas, days: &[Day], left: u32, pitch: f64, y: u32) {
    let mut free_from = f64::MIN;
    for (column, day) in (0u32..).zip(days) {
        let x = f64::from(left) + f64::from(column) * pitch;
        let monday = day.date.weekday() == jiff::civil::Weekday::Monday;
        if !(column == 0 || monday || day.date.day() == 1) || x < free_from || x > f64::from(WIDTH) - 32.0 {
            continue;
        }
        canvas.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y}\" fill=\"{}\">{:02}-{:02}</text>",
            ink::FAINT,
            day.date.month(),
            day.date.day()
        ));
        free_from = x + 44.0;
    }
}
