//! Data values → readings: the pure part of OPC UA.
//!
//! Raw bytes are the value as OPC UA's binary encoding writes a scalar variant (OPC 10000-6, 5.2.2.16): one byte of
//! type, then the number, lowest byte first. What is no number or truth value has no raw bytes here and is a fault:
//! roles speak of numbers.

use opcua::types::{DataValue, StatusCode, Variant};
use proof::{Quality, Reading};

use crate::manifest::Meaning;

/// One point's reading.
pub(super) fn decode(meaning: &Meaning, data: &DataValue) -> Reading {
    let (raw, read) = match data.value.as_ref().and_then(scalar) {
        Some((raw, read)) => (raw, Some(read)),
        None => (Vec::new(), None),
    };
    // No status means good: 5.2.2.17.
    let quality = data.status.map_or(Quality::Good, quality);
    let judged = match (quality, read) {
        (Quality::Good, Some(read)) => meaning.judge(read),
        (Quality::Good, None) => Err(Quality::Fault),
        (quality, _) => Err(quality),
    };
    match judged {
        Ok(value) => Reading { quality: Quality::Good, raw, value: Some(value) },
        Err(quality) => Reading { quality, raw, value: None },
    }
}

/// The letter for a status. A held value (uncertain, last usable) is not a good one.
pub(super) fn quality(status: StatusCode) -> Quality {
    let known = StatusCode::from(status.bits() & 0xFFFF_0000);
    match known {
        StatusCode::GoodLocalOverride => Quality::Manual,
        StatusCode::UncertainEngineeringUnitsExceeded | StatusCode::BadOutOfRange => Quality::OverRange,
        StatusCode::BadOutOfService => Quality::Maintenance,
        StatusCode::BadNoCommunication
        | StatusCode::BadNotConnected
        | StatusCode::BadWaitingForInitialData
        | StatusCode::BadCommunicationError
        | StatusCode::UncertainNoCommunicationLastUsableValue => Quality::NoAnswer,
        known if known.is_good() => Quality::Good,
        _ => Quality::Fault,
    }
}

/// Whether a point can be made of it.
pub(super) fn is_number(value: &Variant) -> bool {
    scalar(value).is_some()
}

/// Raw bytes and value of a number or truth value.
#[expect(
    clippy::cast_precision_loss,
    reason = "a counter past 2^53 is read to 16 digits; the raw bytes keep the rest"
)]
fn scalar(value: &Variant) -> Option<(Vec<u8>, f64)> {
    let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    // The type's number in the encoding is its built-in type id: 5.1.2, table 1.
    if let Variant::Boolean(on) = value {
        return Some((with(1, &[u8::from(*on)]), f64::from(u8::from(*on))));
    }
    if let Variant::SByte(v) = value {
        return Some((with(2, &v.to_le_bytes()), f64::from(*v)));
    }
    if let Variant::Byte(v) = value {
        return Some((with(3, &v.to_le_bytes()), f64::from(*v)));
    }
    if let Variant::Int16(v) = value {
        return Some((with(4, &v.to_le_bytes()), f64::from(*v)));
    }
    if let Variant::UInt16(v) = value {
        return Some((with(5, &v.to_le_bytes()), f64::from(*v)));
    }
    if let Variant::Int32(v) = value {
        return Some((with(6, &v.to_le_bytes()), f64::from(*v)));
    }
    if let Variant::UInt32(v) = value {
        return Some((with(7, &v.to_le_bytes()), f64::from(*v)));
    }
    if let Variant::Int64(v) = value {
        return Some((with(8, &v.to_le_bytes()), *v as f64));
    }
    if let Variant::UInt64(v) = value {
        return Some((with(9, &v.to_le_bytes()), *v as f64));
    }
    if let Variant::Float(v) = value {
        return Some((with(10, &v.to_le_bytes()), f64::from(*v)));
    }
    if let Variant::Double(v) = value {
        return Some((with(11, &v.to_le_bytes()), *v));
    }
    None
}

#[cfg(test)]
mod tests {
    use proof::wire::{Role, Share};

    use super::*;

    #[test]
    fn numbers_and_truth_values_are_read_and_kept_as_they_came() {
        let table = [
            (Variant::Boolean(true), 1.0, vec![1, 1]),
            (Variant::SByte(-2), -2.0, vec![2, 0xFE]),
            (Variant::Byte(200), 200.0, vec![3, 200]),
            (Variant::Int16(-2), -2.0, vec![4, 0xFE, 0xFF]),
            (Variant::UInt16(258), 258.0, vec![5, 2, 1]),
            (Variant::Int32(-1), -1.0, vec![6, 255, 255, 255, 255]),
            (Variant::UInt32(1), 1.0, vec![7, 1, 0, 0, 0]),
            (Variant::Int64(-1), -1.0, vec![8, 255, 255, 255, 255, 255, 255, 255, 255]),
            (Variant::UInt64(1), 1.0, vec![9, 1, 0, 0, 0, 0, 0, 0, 0]),
            (Variant::Float(12.5), 12.5, vec![10, 0, 0, 0x48, 0x41]),
            (Variant::Double(0.0), 0.0, vec![11, 0, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (variant, value, raw) in table {
            let reading = decode(&meaning(), &DataValue { value: Some(variant), ..DataValue::null() });
            assert_eq!(reading, Reading { quality: Quality::Good, raw, value: Some(value) });
        }
    }

    #[test]
    fn what_is_no_number_is_a_fault_and_not_a_zero() {
        for variant in [Variant::Empty, Variant::from("3"), Variant::Float(f32::NAN)] {
            let reading = decode(&meaning(), &DataValue { value: Some(variant), ..DataValue::null() });
            assert_eq!((reading.quality, reading.value), (Quality::Fault, None));
        }
        assert_eq!(decode(&meaning(), &DataValue::null()).quality, Quality::Fault);
    }

    #[test]
    fn a_status_that_is_not_good_has_no_value_and_the_letter_of_its_reason() {
        let table = [
            (StatusCode::Good, Quality::Good),
            (StatusCode::GoodClamped, Quality::Good),
            (StatusCode::GoodLocalOverride, Quality::Manual),
            (StatusCode::BadNodeIdUnknown, Quality::Fault),
            (StatusCode::BadSensorFailure, Quality::Fault),
            (StatusCode::BadNotConnected, Quality::NoAnswer),
            (StatusCode::UncertainLastUsableValue, Quality::Fault),
            (StatusCode::UncertainEngineeringUnitsExceeded, Quality::OverRange),
            (StatusCode::BadOutOfService, Quality::Maintenance),
        ];
        for (status, letter) in table {
            let data =
                DataValue { value: Some(Variant::Double(7.0)), status: Some(status), ..DataValue::null() };
            let reading = decode(&meaning(), &data);
            assert_eq!(reading.quality, letter, "{status}");
            assert_eq!(reading.value.is_some(), letter == Quality::Good, "{status}");
        }
    }

    fn meaning() -> Meaning {
        Meaning {
            name: String::new(),
            role: Role::Measure,
            signal: false,
            share: Share::Shape,
            scale: 1.0,
            offset: 0.0,
            min: f64::NEG_INFINITY,
            max: f64::INFINITY,
        }
    }
}
