//! What a block of registers could mean: every type in every order, and which of them look plausible. Pure.
//!
//! Nothing here is certain. Each reason for a meaning adds to its score and each reason against it takes away; what
//! reaches [`PLAUSIBLE`] is worth a look at the device's own display. A second read a moment later tells more than the
//! first: counters go up by little, measurements stay near, and a wrong order jumps.

use crate::manifest::{Order, Type};

use super::registers::number;

/// The score from which on a meaning is worth a look.
pub const PLAUSIBLE: i32 = 2;

/// Fewest characters that are taken for a text.
const FEWEST_CHARACTERS: usize = 4;

const ORDERS: [Order; 4] = [Order::Abcd, Order::Cdab, Order::Badc, Order::Dcba];

/// One possible meaning of some registers.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Place of its first register in the block, from 0.
    pub at: usize,
    /// Its type.
    pub kind: Type,
    /// Its order.
    pub order: Order,
    /// The number, unless it is a text or no number.
    pub value: Option<f64>,
    /// The number at the second read.
    pub again: Option<f64>,
    /// The text.
    pub text: Option<String>,
    /// How plausible it is, the higher the more.
    pub score: i32,
    /// Why, for and against.
    pub why: Vec<&'static str>,
}

impl Look {
    /// Whether it is worth a look.
    pub fn is_plausible(&self) -> bool {
        self.score >= PLAUSIBLE
    }
}

/// Every meaning of a block, by place, the most plausible first. `again` is the same block a moment later.
pub fn looks(words: &[u16], again: Option<&[u16]>) -> Vec<Look> {
    let again = again.filter(|again| again.len() == words.len());
    let mut looks = Vec::new();
    for at in 0..words.len() {
        for kind in [Type::U16, Type::I16, Type::F16, Type::Bcd16] {
            looks.extend(numeric(words, again, at, kind, &ORDERS[..1]));
        }
        for kind in [Type::U32, Type::I32, Type::F32, Type::Bcd32, Type::U64, Type::I64, Type::F64] {
            looks.extend(numeric(words, again, at, kind, &ORDERS));
        }
    }
    for order in [Order::Abcd, Order::Badc] {
        looks.extend(texts(words, order));
    }
    looks.sort_by_key(|look| (look.at, -look.score));
    looks
}

fn numeric(words: &[u16], again: Option<&[u16]>, at: usize, kind: Type, orders: &[Order]) -> Vec<Look> {
    let span = at..at + usize::from(kind.width());
    let Some(words) = words.get(span.clone()) else { return Vec::new() };
    let again = again.and_then(|again| again.get(span));
    let look = |order: &Order| {
        let value = number(kind, *order, words).filter(|value| value.is_finite());
        let again = again.and_then(|again| number(kind, *order, again)).filter(|value| value.is_finite());
        let (score, why) = judge(kind, value, again, words);
        Look { at, kind, order: *order, value, again, text: None, score, why }
    };
    let mut looks: Vec<_> = orders.iter().map(look).collect();
    if kind == Type::U32 {
        // One order alone makes a number that a machine counts to: the strongest sign of an order in one read.
        let fits = |look: &Look| look.value.is_some_and(|value| (1.0..1e9).contains(&value));
        if let [look] = looks.iter_mut().filter(|look| fits(look)).collect::<Vec<_>>().as_mut_slice() {
            look.score += 1;
            look.why.push("every other order would be too large");
        }
    }
    looks
}

fn judge(kind: Type, value: Option<f64>, again: Option<f64>, words: &[u16]) -> (i32, Vec<&'static str>) {
    let Some(value) = value else {
        let why = if matches!(kind, Type::Bcd16 | Type::Bcd32) { "not decimal digits" } else { "no number" };
        return (-3, vec![why]);
    };
    if words.iter().all(|word| *word == 0) {
        return (0, vec!["all zero: it could be anything"]);
    }
    let (mut score, mut why) = (0, Vec::new());
    let mut because = |points: i32, reason: &'static str| {
        score += points;
        why.push(reason);
    };
    let size = value.abs();
    match kind {
        Type::F32 | Type::F64 | Type::F16 => match size {
            0.001..1e9 => because(if kind == Type::F16 { 0 } else { 3 }, "in human range"),
            size if size < 0.001 => because(-3, "too small for a measurement"),
            _ => because(-3, "too large for a measurement"),
        },
        Type::U16 => because(1, "a number of one register"),
        Type::I16 if (-1_000.0..0.0).contains(&value) => because(2, "a small negative number"),
        Type::I16 => because(0, "as u16"),
        Type::U32 | Type::I32 | Type::U64 | Type::I64 if value < 0.0 && size < 100_000.0 => {
            because(2, "a small negative number");
        }
        Type::U32 | Type::U64 => match size {
            65_536.0..1e9 => because(1, "in human range"),
            1e9.. => because(-2, "too large for a counter"),
            _ => because(1, "the high register is zero, as it is for a long time"),
        },
        Type::I32 | Type::I64 => because(0, "as unsigned"),
        Type::Bcd16 | Type::Bcd32 => {
            let digits = words.iter().any(|word| *word > 9);
            because(i32::from(digits) * if kind == Type::Bcd32 { 2 } else { 1 }, "every digit is below ten");
        }
        Type::Bit | Type::BitOf(_) | Type::Text(_) => {}
    }
    if matches!(kind, Type::F64 | Type::U64 | Type::I64) && words[1..].iter().all(|word| *word == words[0]) {
        because(-2, "all registers are alike");
    }
    if let Some(again) = again {
        moved(value, again, kind, &mut because);
    }
    (score, why)
}

/// What the second read says.
fn moved(value: f64, again: f64, kind: Type, because: &mut impl FnMut(i32, &'static str)) {
    let (moved, size) = (again - value, value.abs().max(1.0));
    let wide = kind.width() > 1;
    if moved == 0.0 {
        because(0, "the same in both reads");
    } else if wide && moved.abs() >= 65_536.0 && moved % 65_536.0 == 0.0 {
        because(-3, "jumps by whole registers: another order");
    } else if moved > 0.0 && moved <= size * 0.01 + 10.0 && !matches!(kind, Type::F32 | Type::F64 | Type::F16)
    {
        because(2, "goes up by little: a counter?");
    } else if moved.abs() <= size * 0.1 {
        because(1, "changes by little");
    } else {
        because(-1, "changes by much between the reads");
    }
}

/// Runs of characters.
fn texts(words: &[u16], order: Order) -> Vec<Look> {
    let turned = order == Order::Badc;
    let bytes = |word: u16| if turned { word.to_le_bytes() } else { word.to_be_bytes() };
    let is_text = |word: u16| bytes(word).iter().all(|byte| matches!(byte, b' '..=b'~' | 0x81..=0xFE));
    let mut looks = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let run = words[at..].iter().take_while(|word| is_text(**word)).count();
        // The last register may hold one character and what fills it up.
        let tail = words.get(at + run).is_some_and(|word| {
            let [first, second] = bytes(*word);
            run > 0 && matches!(first, b' '..=b'~') && second == 0
        });
        let length = run + usize::from(tail);
        let all: Vec<u8> = words[at..at + length].iter().flat_map(|word| bytes(*word)).collect();
        let all = all.trim_ascii_end().strip_suffix(&[0]).unwrap_or(all.trim_ascii_end()).to_vec();
        if let Some((text, score, reason)) = readable(&all) {
            let kind = Type::Text(u16::try_from(length).unwrap_or(u16::MAX));
            looks.push(Look {
                at,
                kind,
                order,
                value: None,
                again: None,
                text: Some(text),
                score,
                why: vec![reason],
            });
        }
        at += length.max(1);
    }
    looks
}

/// Text that somebody may have meant.
fn readable(bytes: &[u8]) -> Option<(String, i32, &'static str)> {
    if bytes.len() < FEWEST_CHARACTERS {
        return None;
    }
    if bytes.is_ascii() {
        let letters = bytes.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
        let score = if letters * 10 >= bytes.len() * 7 { 3 } else { 1 };
        return Some((String::from_utf8_lossy(bytes).into_owned(), score, "printable ASCII"));
    }
    let (text, wrong) = encoding_rs::GBK.decode_without_bom_handling(bytes);
    // GB 2312's own characters; most of what is GBK alone is chance.
    let common = |c: char| c.is_ascii_graphic() || c == ' ' || ('\u{4e00}'..='\u{9fff}').contains(&c);
    (!wrong && text.chars().all(common)).then(|| (text.into_owned(), 2, "Chinese characters in GBK"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(words: &[u16], again: Option<&[u16]>, at: usize) -> Look {
        let all = looks(words, again);
        all.into_iter().find(|look| look.at == at).expect("every register has a look")
    }

    fn of(value: u32) -> [u16; 2] {
        let [a, b, c, d] = value.to_be_bytes();
        [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
    }

    #[test]
    fn a_voltage_is_seen_as_a_float_in_its_own_order_and_in_no_other() {
        let [high, low] = of(231.4_f32.to_bits());
        for (words, order) in [([high, low], Order::Abcd), ([low, high], Order::Cdab)] {
            let look = best(&words, None, 0);
            assert_eq!((look.kind, look.order), (Type::F32, order), "{look:?}");
            assert!((look.value.unwrap() - 231.4).abs() < 1e-3);
        }
    }

    #[test]
    fn two_reads_tell_a_counter_and_the_order_of_its_registers() {
        let (before, after) = (of(1_234_567), of(1_234_570));
        let look = best(&before, Some(&after), 0);
        assert_eq!((look.kind, look.order), (Type::U32, Order::Abcd), "{look:?}");
        let turned = looks(&before, Some(&after));
        let turned = turned.iter().find(|look| (look.kind, look.order) == (Type::U32, Order::Cdab)).unwrap();
        assert!(!turned.is_plausible(), "{turned:?}");
    }

    #[test]
    fn a_counter_is_seen_in_one_read_when_every_other_order_is_too_large() {
        let look = best(&of(28_701_683), None, 0);
        assert_eq!((look.kind, look.order, look.is_plausible()), (Type::U32, Order::Abcd, true), "{look:?}");
    }

    #[test]
    fn a_name_is_found_in_ascii_and_in_gbk_whichever_byte_comes_first() {
        let words = |bytes: &[u8]| -> Vec<u16> {
            bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])).collect()
        };
        let turned = |words: Vec<u16>| -> Vec<u16> { words.into_iter().map(u16::swap_bytes).collect() };
        let (gbk, ..) = encoding_rs::GBK.encode("冲压机一号");
        for (bytes, text) in [(&b"SDM120CT"[..], "SDM120CT"), (&*gbk, "冲压机一号")] {
            for (words, order) in [(words(bytes), Order::Abcd), (turned(words(bytes)), Order::Badc)] {
                let all = looks(&words, None);
                let found = all.iter().find(|look| look.text.as_deref() == Some(text));
                let found = found.unwrap_or_else(|| panic!("{text} in {order:?}"));
                assert!(found.is_plausible() && found.order == order);
            }
        }
    }

    #[test]
    fn digits_that_are_none_are_no_bcd_and_zero_is_nothing_in_particular() {
        let looks = looks(&[0x12AB, 0, 0], None);
        let bcd = looks.iter().find(|look| look.at == 0 && look.kind == Type::Bcd16).unwrap();
        assert_eq!((bcd.value, bcd.is_plausible()), (None, false));
        assert!(looks.iter().filter(|look| look.at == 1).all(|look| !look.is_plausible()));
    }

    proptest::proptest! {
        #[test]
        fn whatever_stands_there_every_register_has_its_looks(
            words in proptest::collection::vec(proptest::prelude::any::<u16>(), 0..20),
            again in proptest::collection::vec(proptest::prelude::any::<u16>(), 0..20),
        ) {
            let all = looks(&words, Some(&again));
            for at in 0..words.len() {
                proptest::prop_assert!(all.iter().filter(|look| look.at == at).count() >= 4);
            }
        }
    }
}
