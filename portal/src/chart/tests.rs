use jiff::civil::date;

use super::*;

const LABELS: Labels =
    Labels {
        stop: "停", holiday: "节", unseen: "未观测", rest: "休息日", actions: "动作", stopped: "停产"
    };

/// Tags are closed in order and no bare `<`, `&` or quote is left: enough of XML for what we write.
fn well_formed(svg: &Svg) {
    let mut open = Vec::new();
    let mut rest = svg.as_str();
    while let Some((text, after)) = rest.split_once('<') {
        assert!(
            !text
                .replace("&lt;", "")
                .replace("&gt;", "")
                .replace("&amp;", "")
                .replace("&quot;", "")
                .replace("&#39;", "")
                .contains(['&', '>']),
            "{text}"
        );
        let (tag, after) = after.split_once('>').expect("a tag is closed");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        match (tag.strip_prefix('/'), tag.strip_suffix('/')) {
            (Some(name), _) => assert_eq!(open.pop(), Some(name), "{tag}"),
            (None, Some(_)) => {}
            (None, None) => open.push(tag.split_whitespace().next().unwrap()),
        }
        rest = after;
    }
    assert!(open.is_empty() && rest.is_empty(), "{open:?}");
}

fn days() -> Vec<Day> {
    let kinds = [DayKind::Work, DayKind::Rest, DayKind::Holiday, DayKind::Stop];
    date(2026, 1, 30)
        .series(jiff::Span::new().days(1))
        .take(40)
        .zip(0u32..)
        .map(|(date, at)| Day {
            date,
            kind: kinds[at as usize % 4],
            observed: at % 5 != 0,
            inside: at > 3,
            count: if at % 3 == 0 { 0 } else { at * 7 },
        })
        .collect()
}

#[test]
fn drawings_are_well_formed_and_escape_their_texts() {
    let nasty = "<script>&\"'\u{7}";
    let scale = Scale::of([1, 5, 9]);
    let svg = calendar("c<0", nasty, &days(), &scale, &LABELS, |date| format!("/firms/a\"b/days/{date}"));
    well_formed(&svg);
    assert!(!svg.as_str().contains("<script"));
    well_formed(&weave("w", nasty, &[(nasty.to_owned(), days())], &scale, &LABELS));
    let hours = vec![[Hour { covered: 60, online: 9, active: 0 }; 24]; 40];
    well_formed(&strip("s", nasty, &Strip { days: days(), hours }));
}

#[test]
fn nothing_to_draw_is_an_empty_drawing() {
    let scale = Scale::of([]);
    well_formed(&calendar("c", "", &[], &scale, &LABELS, |_| String::new()));
    well_formed(&weave("w", "", &[], &scale, &LABELS));
    well_formed(&strip("s", "", &Strip { days: vec![], hours: vec![] }));
}

#[test]
fn each_day_opens_to_its_page_and_says_its_count() {
    let svg = calendar("c", "", &days(), &Scale::of([9]), &LABELS, |date| format!("/d/{date}"));
    assert_eq!(svg.as_str().matches("<a href=").count(), 40);
    assert!(svg.as_str().contains("href=\"/d/2026-02-01\""));
    for sign in ["停", "节", "×", ">0<"] {
        assert!(svg.as_str().contains(sign), "{sign}");
    }
}

#[test]
fn a_year_of_hours_stays_small() {
    let year: Vec<Day> = date(2026, 1, 1)
        .series(jiff::Span::new().days(1))
        .take(365)
        .map(|date| Day { date, kind: DayKind::Work, observed: true, inside: true, count: 0 })
        .collect();
    let mut shift = [Hour { covered: 60, online: 60, active: 0 }; 24];
    for hour in &mut shift[8..20] {
        hour.active = 50;
    }
    let svg = strip("s", "", &Strip { days: year, hours: vec![shift; 365] });
    assert!(svg.as_str().len() < 80_000, "{}", svg.as_str().len());
}
