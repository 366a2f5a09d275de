use proof::wire::{Role, Share};
use proptest::prelude::*;

use super::*;
use crate::manifest::Meaning;

#[test]
fn each_type_is_read_in_each_order() {
    use Order::{Abcd, Badc, Cdab, Dcba};
    let big: [u16; 4] = [0x0102, 0x0304, 0x0506, 0x0708];
    let all = f64::from_be_bytes([1, 2, 3, 4, 5, 6, 7, 8]);
    let turned = f64::from_be_bytes([8, 7, 6, 5, 4, 3, 2, 1]);
    // (type, order, registers, value)
    let table: &[(Type, Order, &[u16], f64)] = &[
        (Type::U16, Abcd, &[0x0102], 258.0),
        (Type::U16, Cdab, &[0x0102], 258.0),
        (Type::U16, Badc, &[0x0102], 513.0),
        (Type::U16, Dcba, &[0x0102], 513.0),
        (Type::I16, Abcd, &[0xFFFE], -2.0),
        (Type::I16, Badc, &[0xFEFF], -2.0),
        (Type::U32, Abcd, &big[..2], 16_909_060.0),
        (Type::U32, Cdab, &[0x0304, 0x0102], 16_909_060.0),
        (Type::U32, Badc, &[0x0201, 0x0403], 16_909_060.0),
        (Type::U32, Dcba, &[0x0403, 0x0201], 16_909_060.0),
        (Type::I32, Abcd, &[0xFFFF, 0xFFFE], -2.0),
        (Type::I32, Cdab, &[0xFFFE, 0xFFFF], -2.0),
        (Type::F32, Abcd, &[0x4148, 0x0000], 12.5),
        (Type::F32, Cdab, &[0x0000, 0x4148], 12.5),
        (Type::F32, Badc, &[0x4841, 0x0000], 12.5),
        (Type::F32, Dcba, &[0x0000, 0x4841], 12.5),
        (Type::U64, Abcd, &[0, 0, 1, 0], 65_536.0),
        (Type::U64, Cdab, &[0, 1, 0, 0], 65_536.0),
        (Type::I64, Abcd, &[0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF], -1.0),
        (Type::I64, Dcba, &[0xFEFF, 0xFFFF, 0xFFFF, 0xFFFF], -2.0),
        (Type::F64, Abcd, &big, all),
        (Type::F64, Cdab, &[0x0708, 0x0506, 0x0304, 0x0102], all),
        (Type::F64, Badc, &[0x0201, 0x0403, 0x0605, 0x0807], all),
        (Type::F64, Dcba, &big, turned),
        (Type::F16, Abcd, &[0x3C00], 1.0),
        (Type::F16, Badc, &[0x00C0], -2.0),
        (Type::F16, Abcd, &[0x0001], 2f64.powi(-24)),
        (Type::F16, Abcd, &[0x7BFF], 65_504.0),
        (Type::Bcd16, Abcd, &[0x9876], 9_876.0),
        (Type::Bcd32, Abcd, &[0x1234, 0x5678], 12_345_678.0),
        (Type::Bcd32, Cdab, &[0x5678, 0x1234], 12_345_678.0),
        (Type::U32, Order::named("DABC").unwrap(), &[0x0401, 0x0203], 16_909_060.0),
        (Type::U64, Order::named("EFGHABCD").unwrap(), &[0, 0x0005, 0, 0], 5.0),
        (Type::U64, Order::named("CDABGHEF").unwrap(), &[0, 0, 0x0005, 0], 5.0),
        (Type::BitOf(0), Abcd, &[0b10], 0.0),
        (Type::BitOf(1), Abcd, &[0b10], 1.0),
        (Type::BitOf(15), Abcd, &[0x8000], 1.0),
        (Type::BitOf(8), Badc, &[0x0001], 1.0),
    ];
    for (kind, order, registers, value) in table {
        let reading = decode(&point(0, *kind, *order), 0, &Words::Registers(registers.to_vec()));
        assert_eq!(reading.value, Some(*value), "{kind:?} {order:?}");
        let raw: Vec<u8> = registers.iter().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!(reading.raw, raw, "{kind:?} {order:?}");
    }
}

#[test]
fn scale_offset_and_bounds_are_applied_and_what_is_no_number_is_a_fault() {
    let mut scaled = point(0, Type::U16, Order::Abcd);
    (scaled.meaning.scale, scaled.meaning.offset, scaled.meaning.max) = (0.5, 10.0, 100.0);
    let read = |point: &RegisterPoint, words: &[u16]| decode(point, 0, &Words::Registers(words.to_vec()));
    assert_eq!(read(&scaled, &[4]).value, Some(12.0));
    assert_eq!((read(&scaled, &[400]).value, read(&scaled, &[400]).quality), (None, Quality::OverRange));
    let float = point(0, Type::F32, Order::Abcd);
    assert_eq!(read(&float, &[0x7FC0, 0]).quality, Quality::Fault);
    assert_eq!(read(&float, &[0x7F80, 0]).quality, Quality::Fault);
    assert_eq!(read(&float, &[0x7F80]), no_reading());
}

#[test]
fn neighbours_share_a_request_and_holes_only_as_allowed() {
    let points = [(0, Type::U16), (1, Type::U32), (5, Type::U16), (3, Type::BitOf(2)), (3, Type::BitOf(7))];
    let points: Vec<_> = points.iter().map(|(at, kind)| point(*at, *kind, Order::Abcd)).collect();
    let spans = |hole| -> Vec<_> {
        Plan::new(&device(&points, hole, 125))
            .requests()
            .iter()
            .map(|request| (request.first, request.count))
            .collect()
    };
    assert_eq!(spans(0), [(0, 4), (5, 1)]);
    assert_eq!(spans(1), [(0, 6)]);
    let long: Vec<_> = (0..100).map(|at| point(at * 2, Type::U32, Order::Abcd)).collect();
    let counts = |most| -> Vec<_> {
        Plan::new(&device(&long, 0, most)).requests().iter().map(|request| request.count).collect()
    };
    assert_eq!(counts(125), [124, 76]);
    // influxdata/telegraf 16873: a device that takes fewer.
    assert_eq!(counts(50), [50, 50, 50, 50]);
    assert_eq!(counts(3).len(), 100);
}

proptest! {
    #[test]
    fn a_plan_asks_for_every_point_whole_and_for_no_more_than_it_may(
        addresses in prop::collection::vec((0_u16..600, 0_usize..6, any::<bool>()), 1..80),
        hole in 0_u16..20,
        most in 4_u16..=125,
    ) {
        let kinds = [Type::U16, Type::I32, Type::F64, Type::BitOf(3), Type::U64, Type::F32];
        let points: Vec<_> = addresses.iter().map(|(at, kind, input)| {
            let mut point = point(*at, kinds[*kind], Order::Abcd);
            if *input { point.table = Table::Input; }
            point
        }).collect();
        let plan = Plan::new(&device(&points, hole, most));
        let mut seen = vec![0; points.len()];
        for request in plan.requests() {
            prop_assert!(request.count >= 1 && request.count <= most);
            let mut declared = vec![false; usize::from(request.count)];
            for at in &request.points {
                seen[*at] += 1;
                let point = &points[*at];
                prop_assert_eq!(point.table, request.table);
                let from = usize::from(point.address - request.first);
                prop_assert!(from + usize::from(point.kind.width()) <= declared.len());
                declared[from..from + usize::from(point.kind.width())].fill(true);
            }
            let longest = declared.split(|declared| *declared).map(<[bool]>::len).max().unwrap();
            prop_assert!(longest <= usize::from(hole));
        }
        prop_assert!(seen.iter().all(|times| *times == 1));
    }

    #[test]
    fn a_request_is_cut_until_each_value_stands_alone_and_none_is_torn_or_lost(
        addresses in prop::collection::vec((0_u16..60, 0_usize..4), 1..20),
    ) {
        let kinds = [Type::U16, Type::I32, Type::F64, Type::BitOf(3)];
        let points: Vec<_> =
            addresses.iter().map(|(at, kind)| point(*at, kinds[*kind], Order::Abcd)).collect();
        let mut plan = Plan::new(&device(&points, 100, 125));
        while let Some((request, halves)) =
            plan.requests().iter().find_map(|request| Some((request.clone(), request.halves(&points)?)))
        {
            plan.split(&request, halves);
        }
        let mut seen = vec![0; points.len()];
        for request in plan.requests() {
            let end = u32::from(request.first) + u32::from(request.count);
            for at in &request.points {
                seen[*at] += 1;
                prop_assert!(points[*at].address >= request.first);
                prop_assert!(u32::from(points[*at].address) + u32::from(points[*at].kind.width()) <= end);
            }
            // What is left together overlaps.
            let widest = request.points.iter().map(|at| u32::from(points[*at].kind.width())).sum::<u32>();
            prop_assert!(request.points.len() == 1 || u32::from(request.count) < widest);
        }
        prop_assert!(seen.iter().all(|times| *times == 1));
    }

    #[test]
    fn no_answer_makes_decoding_panic(
        words in prop::collection::vec(any::<u16>(), 0..8),
        address in 0_u16..8,
        kind in 0_usize..12,
    ) {
        let kinds = [
            Type::Bit, Type::U16, Type::I32, Type::F64, Type::BitOf(15), Type::U64, Type::F32, Type::I64, Type::F16,
            Type::Bcd16, Type::Bcd32, Type::Text(3),
        ];
        let point = point(address, kinds[kind], Order::Cdab);
        let reading = decode(&point, 0, &Words::Registers(words.clone()));
        prop_assert_eq!(reading.value.is_some(), reading.quality == Quality::Good);
        decode(&point, 5, &Words::Bits(words.iter().map(|word| word % 2 == 0).collect()));
    }
}

#[test]
fn a_digit_that_is_none_a_text_and_an_order_that_is_none() {
    let read =
        |kind, words: &[u16]| decode(&point(0, kind, Order::Abcd), 0, &Words::Registers(words.to_vec()));
    assert_eq!(read(Type::Bcd16, &[0x12A4]), no_reading());
    assert_eq!(read(Type::Bcd32, &[0x1234, 0xF678]), no_reading());
    let text = |words: &[u16]| read(Type::Text(3), words).value;
    assert_eq!(
        text(&[0x4142, 0x4300, 0]),
        text(&[0x4142, 0x4300, 0x7777]),
        "what stands behind its end is not its"
    );
    assert_eq!(text(&[0x4142, 0x4320, 0x2020]), text(&[0x4142, 0x4300, 0]), "blanks fill it up");
    assert_ne!(text(&[0x4142, 0x4300, 0]), text(&[0x4142, 0x4400, 0]));
    assert_eq!(text(&[0, 0, 0]), Some(0.0));
    assert_eq!(characters(Order::Badc, &[0x4241, 0x0043]), b"ABC");
    for wrong in ["", "A", "ABCA", "ABCDE", "BCDE", "abcd", "ABCDEFGHI"] {
        assert_eq!(Order::named(wrong), None, "{wrong}");
    }
}

fn device(points: &[RegisterPoint], max_hole: u16, max_registers: u16) -> Modbus {
    Modbus {
        line: crate::manifest::Line::to("192.0.2.1:502".to_owned()),
        unit: 1,
        timeout: std::time::Duration::from_secs(1),
        retries: 0,
        pause: std::time::Duration::ZERO,
        max_hole,
        max_registers,
        max_bits: 2_000,
        points: points.to_vec(),
    }
}

fn point(address: u16, kind: Type, order: Order) -> RegisterPoint {
    let meaning = Meaning {
        name: String::new(),
        role: Role::Measure,
        signal: false,
        share: Share::Shape,
        scale: 1.0,
        offset: 0.0,
        min: f64::NEG_INFINITY,
        max: f64::INFINITY,
    };
    RegisterPoint { meaning, table: Table::Holding, address, kind, order }
}
