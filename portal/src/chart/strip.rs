//! One source's hours: a column per day, a row per hour, so that shifts stand as bands and outages as holes.

use super::weave::dates;
use super::{Canvas, Day, DayKind, Svg, ink};

const WIDTH: u32 = 802;
const LEFT: u32 = 38;
const TOP: u32 = 24;
const HOUR: u32 = 4;

/// One hour of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hour {
    /// Minutes covered by recorded windows, 0 to 60.
    pub covered: u8,
    /// Minutes in which the source answered, 0 to 60.
    pub online: u8,
    /// Minutes in which the machine ran (of a log: in which a person did a key action), 0 to 60.
    pub active: u8,
}

/// A source over the period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strip {
    /// The days, in order.
    pub days: Vec<Day>,
    /// The hours of each of them.
    pub hours: Vec<[Hour; 24]>,
}

/// How an hour is painted; the order is the order of the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unseen,
    Silent,
    Online,
    Some,
    Half,
    Full,
}

impl State {
    const PAINTED: [Self; 6] = [Self::Unseen, Self::Silent, Self::Online, Self::Some, Self::Half, Self::Full];

    fn of(hour: Hour) -> Self {
        match hour {
            Hour { covered: 0, .. } => Self::Unseen,
            Hour { active: 41.., .. } => Self::Full,
            Hour { active: 21.., .. } => Self::Half,
            Hour { active: 1.., .. } => Self::Some,
            Hour { online: 0, .. } => Self::Silent,
            _ => Self::Online,
        }
    }

    fn fill(self, prefix: &str) -> String {
        match self {
            Self::Unseen => format!("url(#{prefix}u)"),
            Self::Silent => ink::SILENT.to_owned(),
            Self::Online => ink::ONLINE.to_owned(),
            Self::Some => ink::LEVELS[1].to_owned(),
            Self::Half => ink::LEVELS[2].to_owned(),
            Self::Full => ink::LEVELS[3].to_owned(),
        }
    }
}

/// Draws the strip; beyond 400 days, the last 400. Hours in the same state are one stroke of one path, so that a
/// year stays light on an old tablet.
pub fn strip(prefix: &str, title: &str, data: &Strip) -> Svg {
    let count = data.days.len().min(data.hours.len());
    let from = count.saturating_sub(400);
    let (days, hours) = (&data.days[from..count], &data.hours[from..count]);
    let pitch = f64::from(WIDTH - LEFT) / f64::from(u32::try_from(days.len().max(1)).unwrap_or(1));
    let pitch = pitch.min(14.0);
    let mut canvas = Canvas::new(prefix, WIDTH, TOP + 24 * HOUR + 6, title);
    dates(&mut canvas, days, LEFT, pitch, 10);
    for hour in [0, 6, 12, 18, 24] {
        let y = TOP + hour * HOUR;
        canvas.text(LEFT - 5, y + 4, "end", ink::FAINT, &format!("{hour:02}"));
        canvas.put(format_args!("<path d=\"M{} {y}h4\" stroke=\"{}\"/>", LEFT - 4, ink::LINE));
    }
    marks(&mut canvas, days, pitch);
    for state in State::PAINTED {
        let path = path(hours, state, pitch);
        if !path.is_empty() {
            let fill = state.fill(&canvas.prefix);
            canvas.put(format_args!("<path d=\"{path}\" fill=\"{fill}\"/>"));
        }
    }
    canvas.put(format_args!(
        "<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{}\" fill=\"none\" stroke=\"{}\" \
         stroke-width=\"0.6\"/>",
        f64::from(u32::try_from(days.len()).unwrap_or(0)) * pitch,
        24 * HOUR,
        ink::LINE
    ));
    canvas.finish()
}

/// A bar over rest days (grey) and entered stops (hatched).
fn marks(canvas: &mut Canvas, days: &[Day], pitch: f64) {
    for (column, day) in (0u32..).zip(days) {
        let fill = match day.kind {
            DayKind::Work => continue,
            DayKind::Rest | DayKind::Holiday => "#8a97a3".to_owned(),
            DayKind::Stop => format!("url(#{}s)", canvas.prefix),
        };
        canvas.put(format_args!(
            "<rect x=\"{:.1}\" y=\"{}\" width=\"{:.1}\" height=\"5\" fill=\"{fill}\"/>",
            f64::from(LEFT) + f64::from(column) * pitch,
            TOP - 8,
            pitch - 0.6,
        ));
    }
}

/// All runs of this state, as one path.
fn path(hours: &[[Hour; 24]], state: State, pitch: f64) -> String {
    use std::fmt::Write as _;
    let mut path = String::new();
    for (column, day) in (0u32..).zip(hours) {
        let x = f64::from(LEFT) + f64::from(column) * pitch;
        let mut hour = 0usize;
        while hour < 24 {
            let run = day[hour..].iter().take_while(|h| State::of(**h) == state).count();
            if run == 0 {
                hour += 1;
                continue;
            }
            let (y, height) = (u32::try_from(hour).unwrap_or(0), u32::try_from(run).unwrap_or(0));
            write!(
                path,
                "M{x:.1} {}h{:.1}v{}h-{:.1}z",
                TOP + y * HOUR,
                pitch - 0.6,
                height * HOUR,
                pitch - 0.6
            )
            .expect("writing to a string cannot fail");
            hour += run;
        }
    }
    path
}
