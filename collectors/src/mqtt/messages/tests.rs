use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::manifest::{Kind, Manifest};

const NOW: i64 = 1_750_206_105_000;

fn hearing(extra: &str, points: &str) -> Hearing {
    let text = format!(
        "[[sources]]\nname = \"压铸\"\ncadence = \"10s\"\n[sources.mqtt]\nbroker = \"127.0.0.1:1883\"\ntls = \"none\"\n\
         {extra}\n{points}"
    );
    let manifest = Manifest::parse("manifest.toml", &text, Path::new("")).unwrap();
    let Kind::Mqtt(config) = &manifest.sources[0].kind else { panic!("not MQTT") };
    Hearing::new(config, 10_000)
}

fn point(name: &str, topic: &str, rest: &str) -> String {
    format!("[[sources.mqtt.points]]\nname = \"{name}\"\ntopic = \"{topic}\"\n{rest}\n")
}

fn values(heard: &Heard) -> Vec<Option<f64>> {
    heard.now.iter().map(|reading| reading.as_ref().and_then(|reading| reading.value)).collect()
}

#[test]
fn each_point_takes_its_own_values_and_no_others() {
    let points = [
        point("run", "gw/FB2201/up", "value = \"/v/run\"\nonly = { \"/dev\" = \"CNC-07\" }"),
        point("other", "gw/FB2201/up", "value = \"/v/run\"\nonly = { \"/dev\" = \"CNC-08\" }"),
        point("kw", "gw/+/up", "value = \"/v/kw\"\nscale = 10.0"),
        point("plain", "m/+/count", ""),
    ];
    let mut hearing = hearing("", &points.concat());
    hearing.message("gw/FB2201/up", br#"{"ts":1750206105,"dev":"CNC-07","v":{"run":1,"kw":"7.5"}}"#, NOW);
    hearing.message("gw/FB2201/down", br#"{"dev":"CNC-08","v":{"run":1}}"#, NOW);
    hearing.message("m/3/count", b" 412 ", NOW);
    assert_eq!(values(&hearing.take()), [Some(1.0), None, Some(75.0), Some(412.0)]);
    // Counted once: the next turn has nothing.
    assert_eq!(values(&hearing.take()), [None; 4]);
}

#[test]
fn what_is_no_number_is_a_fault_and_not_a_zero() {
    let mut hearing = hearing("", &point("run", "m", "value = \"/run\""));
    for wrong in ["null", "[1]", "\"\"", "\"运行\"", "\"NaN\"", "{\"run\":1}"] {
        hearing.message("m", format!("{{\"run\":{wrong}}}").as_bytes(), NOW);
        let reading = hearing.take().now[0].clone().unwrap();
        assert_eq!((reading.quality, reading.value), (Quality::Fault, None), "{wrong}");
    }
    hearing.message("m", b"\xff\xfe{", NOW);
    assert_eq!(hearing.take().now[0].clone().unwrap().quality, Quality::Fault);
    // About something else.
    hearing.message("m", b"{\"alarm\":1}", NOW);
    assert_eq!(hearing.take().now, [None]);
}

#[test]
fn what_its_sender_held_back_is_backfill_and_says_nothing_of_now() {
    let mut hearing = hearing("time = \"/ts\"", &point("run", "m", "value = \"/run\""));
    for (time, is_kept) in [
        ("1750206100", false),
        ("1750206100000", false),
        ("\"2025-06-18T08:21:40+08:00\"", false),
        ("1750206000", true),
        ("\"2025-06-18T00:00:00Z\"", true),
        // A clock ahead of ours, and no time at all: it came now.
        ("1750209999", false),
        ("null", false),
    ] {
        hearing.message("m", format!("{{\"ts\":{time},\"run\":true}}").as_bytes(), NOW);
        let heard = hearing.take();
        assert_eq!((heard.kept.len(), heard.now[0].is_none()), (usize::from(is_kept), is_kept), "{time}");
    }
    for at in 0..MAX_KEPT + 10 {
        hearing.message("m", format!("{{\"ts\":{},\"run\":1}}", 1_700_000_000 + at).as_bytes(), NOW);
    }
    assert_eq!(hearing.take().kept.len(), MAX_KEPT);
}

#[test]
fn filters_mean_what_the_standard_says() {
    for (filter, topic, expected) in [
        ("a/b", "a/b", true),
        ("a/b", "a/b/c", false),
        ("a/+", "a/b", true),
        ("a/+", "a", false),
        ("a/+", "a/b/c", false),
        ("a/#", "a", true),
        ("a/#", "a/b/c", true),
        ("#", "a/b", true),
        ("+/b", "/b", true),
        ("#", "$SYS/load", false),
        ("+/load", "$SYS/load", false),
        ("$SYS/#", "$SYS/load", true),
    ] {
        assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
    }
}

proptest! {
    /// Whatever comes, a point has a value only from a message of its topic that holds a number at its place.
    #[test]
    fn no_message_makes_a_value_that_it_does_not_hold(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut hearing = hearing("time = \"/ts\"", &point("run", "m", "value = \"/run\""));
        hearing.message("m", &payload, NOW);
        hearing.message("n", b"{\"run\":1}", NOW);
        let heard = hearing.take();
        if let Some(value) = heard.now[0].as_ref().and_then(|reading| reading.value) {
            let parsed: Value = serde_json::from_slice(&payload).unwrap();
            prop_assert_eq!(number(parsed.pointer("/run").unwrap()), Some(value));
        }
        prop_assert!(heard.kept.is_empty());
    }
}

#[test]
fn the_numbers_of_a_message_stand_where_a_point_finds_them() {
    let message = r#"{"ts":1750206105,"a/b":{"~":[true,"x","7.5",null,{"":-0.25}]},"名":"甲"}"#;
    let found = numbers(message.as_bytes(), 10);
    let wanted =
        [("/a~1b/~0/0", "true"), ("/a~1b/~0/2", "7.5"), ("/a~1b/~0/4/", "-0.25"), ("/ts", "1750206105")];
    assert_eq!(found, wanted.map(|(at, value)| (at.to_owned(), value.to_owned())));
    for (at, value) in &found {
        let mut hearing = hearing("", &point("p", "t", &format!("value = \"{at}\"")));
        hearing.message_of_any_time("t", message.as_bytes());
        let heard = hearing.take().now.remove(0).unwrap();
        assert_eq!((heard.raw, heard.value.is_some()), (value.clone().into_bytes(), true), "{at}");
    }
    assert_eq!(numbers(message.as_bytes(), 2).len(), 2);
    assert_eq!(numbers(b" 412 ", 10), [(String::new(), "412".to_owned())]);
    assert_eq!(numbers(b"412 pieces", 10), []);
}
