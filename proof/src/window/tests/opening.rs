//! Openings of past windows, made anew from raw data.

use super::*;
use crate::opening::{Opening, OpeningError};
use crate::raw;

/// A sealed window with its envelope, and what the gateway keeps of it.
fn past() -> (Envelope, Vec<Vec<u8>>) {
    let (body, range) = (body(2, 1), Range { low: 0.0, high: 40.0 });
    let opening = raw::Opening {
        secret: WindowSecret([2; 32]),
        wall_ms: START,
        mono_ms: 5_000,
        boot: [1; 8],
        body: body.encode_to_vec(),
        ranges: vec![((1, 0), range)],
    };
    let mut windows = Windows::new(body, [7; 8], PseudonymKey::new([1; 32]));
    windows.remember(opening.ranges.iter().copied());
    windows.open(START, 5_000, opening.secret.clone());
    let mut seen: Vec<_> = (0..60).map(|at| cycle(1, at * 10_000, f64::from(u8::from(at > 30)))).collect();
    // One came late, one says nothing, one is a look with two records.
    seen.push(cycle(2, 5_000, 1.0));
    seen.push(silent(2, 15_000, Cause::NoAnswer));
    let records = vec![record(0, START + 59_000, "wang01"), record(40, START + 59_500, "li03")];
    seen.push(look(3, 60_000, records));
    seen.iter().for_each(|observation| windows.observe(observation).unwrap());
    let sealed = windows.seal(START + WINDOW_MS, 605_000, wire::End::Mark).unwrap();
    let envelope = Envelope::sign(&SigningKey::from_seed(&[6; 32]), WINDOW, sealed.payload(&header(), None));
    let chunks = vec![raw::encode(Some(&opening), START, &seen[..30]), raw::encode(None, START, &seen[30..])];
    (envelope, chunks)
}

fn leaves(chunks: &[Vec<u8>]) -> PastLeaves {
    Windows::past(&raw::decode(chunks).unwrap(), PseudonymKey::new([1; 32])).unwrap()
}

fn window(envelope: &Envelope) -> wire::Window {
    let Ok(Payload::Window(window)) = Payload::parse(envelope.kind(), envelope.payload()) else { panic!() };
    *window
}

fn place() -> (AgentId, u64) {
    (header().agent, header().seq)
}

#[test]
fn every_leaf_of_a_past_window_is_opened_under_the_root_that_was_signed_then() {
    let (envelope, chunks) = past();
    let leaves = leaves(&chunks);
    assert_eq!(leaves.root()[..], window(&envelope).root[..]);
    assert_eq!(leaves.leaves().len(), 1 + 60 + 2 + 2);
    for index in 0..leaves.leaves().len() as u64 {
        let opening = leaves.opening(&envelope, place(), index, &[0, 1]).unwrap();
        let read = Opening::parse(&opening.encode()).unwrap();
        assert_eq!(read, opening);
        assert_eq!(read.check(&envelope), Ok(window(&envelope)));
    }
    assert_eq!(leaves.opening(&envelope, place(), 65, &[]), None);
}

#[test]
fn of_a_record_the_fields_that_are_named_are_shown_and_no_others() {
    let (envelope, chunks) = past();
    let leaves = leaves(&chunks);
    let at = leaves.leaves().iter().position(|past| past.fields.len() == 2).unwrap() as u64;
    let opening = leaves.opening(&envelope, place(), at, &[0]).unwrap();
    opening.check(&envelope).unwrap();
    assert_eq!(opening.fields[0].value, b"report");
    let bytes = opening.encode();
    assert!(!bytes.windows(6).any(|part| part == b"wang01"), "a field that was not named");
    let mut other = opening.clone();
    other.fields[0].value = b"repart".to_vec();
    assert_eq!(other.check(&envelope), Err(OpeningError::OtherField(0)));
    other.fields[0] = crate::opening::OpenField { at: 7, ..opening.fields[0].clone() };
    assert_eq!(other.check(&envelope), Err(OpeningError::OtherField(7)));
}

#[test]
fn an_openings_text_is_read_with_white_space_and_in_small_letters_and_a_torn_one_does_not_hold() {
    let (envelope, chunks) = past();
    let opening = leaves(&chunks).opening(&envelope, place(), 3, &[]).unwrap();
    let text = opening.text();
    assert!(text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b':'), "{text}");
    assert_eq!(Opening::read(text.as_bytes()), Ok(opening.clone()));
    assert_eq!(Opening::read(&opening.encode()), Ok(opening.clone()));
    let copied = format!(" {}\r\n{}\n", &text[..40].to_lowercase(), &text[40..]);
    assert_eq!(Opening::read(copied.as_bytes()), Ok(opening));
    for length in 0..text.len() {
        // Cut between two fields it may be read; it does not hold.
        let torn = Opening::read(&text.as_bytes()[..length]);
        assert!(torn.is_err() || torn.unwrap().check(&envelope).is_err(), "{length}");
    }
    assert_eq!(
        Opening::read(&vec![b'A'; 3 * crate::opening::MAX_OPENING]),
        Err(OpeningError::Unreadable("it is too long"))
    );
}

#[test]
fn raw_data_that_was_changed_afterwards_gives_another_root_and_its_openings_do_not_hold() {
    let (envelope, chunks) = past();
    let mut read = raw::decode(&chunks).unwrap();
    let What::Cycle(readings) = &mut read.observations[7].what else { panic!() };
    readings[1].raw = 99.0_f64.to_be_bytes().to_vec();
    let leaves = Windows::past(&read, PseudonymKey::new([1; 32])).unwrap();
    assert_ne!(leaves.root()[..], window(&envelope).root[..]);
    for index in 0..leaves.leaves().len() as u64 {
        let opening = leaves.opening(&envelope, place(), index, &[]).unwrap();
        assert_eq!(opening.check(&envelope), Err(OpeningError::NotCommitted), "{index}");
    }
}

#[test]
fn an_opening_is_of_one_window() {
    let (envelope, chunks) = past();
    let opening = leaves(&chunks).opening(&envelope, place(), 3, &[]).unwrap();
    let other = Header { seq: header().seq + 1, ..header() };
    let payload = wire::Window { header: Some(other.wire()), ..window(&envelope) }.encode_to_vec();
    let other = Envelope::sign(&SigningKey::from_seed(&[6; 32]), WINDOW, payload);
    assert_eq!(opening.check(&other), Err(OpeningError::OtherWindow));
    let none = Envelope::sign(&SigningKey::from_seed(&[6; 32]), "later", envelope.payload().to_vec());
    assert_eq!(opening.check(&none), Err(OpeningError::NoWindow));
}

#[test]
fn no_bit_of_an_opening_can_be_flipped() {
    let (envelope, chunks) = past();
    let leaves = leaves(&chunks);
    let at = leaves.leaves().iter().position(|past| past.fields.len() == 2).unwrap() as u64;
    let encoded = |fields: &[u32]| leaves.opening(&envelope, place(), at, fields).unwrap().encode();
    let (bytes, fewer) = (encoded(&[0, 1]), [encoded(&[]), encoded(&[0])]);
    let holds = |bytes: &[u8]| Opening::parse(bytes).is_ok_and(|opening| opening.check(&envelope).is_ok());
    assert!(holds(&bytes));
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << bit;
            assert!(!holds(&flipped), "bit {bit} of byte {place}");
        }
        // Whoever shows a field may as well not show it.
        assert!(!holds(&bytes[..place]) || fewer.contains(&bytes[..place].to_vec()), "cut at {place}");
    }
}
