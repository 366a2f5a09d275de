//! What anybody may write into a manifest: a target for fuzzing, and the replay of its corpus
//! (`tests/fuzz/corpus/manifest`).

use std::path::Path;

use super::{Kind, MAX_LOGS, MAX_POINTS, MAX_SIGNALS, MAX_SOURCES, Manifest};

/// A manifest file.
///
/// # Panics
/// When one is accepted that breaks a promise of checked manifests, or refused without a word.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = || Manifest::parse("fuzzed.toml", text, Path::new(""));
    let manifest = match read() {
        Ok(manifest) => manifest,
        Err(complaints) => {
            let said = complaints.to_string();
            assert!(said.contains("fuzzed.toml"), "it does not say where: {said}");
            return;
        }
    };
    assert_eq!(Ok(&manifest), read().as_ref().map_err(|_| ()), "the same file reads differently");
    assert!(manifest.sources.len() <= MAX_SOURCES);
    let (mut logs, mut points, mut signals) = (0, 0, 0);
    for (source, index) in manifest.sources.iter().zip(1_u16..) {
        assert_eq!(source.index, index);
        if let Kind::Modbus(device) = &source.kind {
            points += device.points.len();
            signals += device.points.iter().filter(|point| point.meaning.signal).count();
            #[cfg(feature = "modbus")]
            is_planned(device);
        }
        if let Kind::OpcUa(server) = &source.kind {
            points += server.points.len();
            signals += server.points.iter().filter(|point| point.meaning.signal).count();
        }
        logs += usize::from(matches!(source.kind, Kind::Log(_)));
    }
    assert!(logs <= MAX_LOGS && points <= MAX_POINTS && signals <= MAX_SIGNALS);
}

/// Every point is asked for once, whole, and within what a device takes.
#[cfg(feature = "modbus")]
fn is_planned(device: &super::Modbus) {
    let plan = crate::modbus::registers::Plan::new(device);
    let mut asked = vec![0; device.points.len()];
    for request in plan.requests() {
        let most = if request.table.is_bits() { device.max_bits } else { device.max_registers };
        assert!(request.count <= most.min(request.table.most()), "{request:?}");
        let end = u32::from(request.first) + u32::from(request.count);
        for at in &request.points {
            let point = &device.points[*at];
            let last = u32::from(point.address) + u32::from(point.kind.width());
            assert!(
                point.table == request.table && point.address >= request.first && last <= end,
                "{request:?}"
            );
            asked[*at] += 1;
        }
    }
    assert!(asked.iter().all(|times| *times == 1), "{asked:?}");
}

#[cfg(test)]
#[cfg(all(feature = "modbus", feature = "opcua", feature = "log"))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn corpus() -> Vec<Vec<u8>> {
        let mut files = crate::replay::corpus("manifest", 9);
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/manifest.toml");
        files.push(std::fs::read(example).unwrap());
        files
    }

    #[test]
    fn every_manifest_is_read_or_refused_with_words() {
        corpus().iter().for_each(|bytes| manifest(bytes));
    }

    /// A line of one of the files, or a piece that means something.
    fn pieces() -> impl Strategy<Value = String> {
        let lines: Vec<String> = corpus()
            .iter()
            .flat_map(|file| {
                String::from_utf8_lossy(file).lines().map(|line| format!("{line}\n")).collect::<Vec<_>>()
            })
            .collect();
        let words =
            ["65535", "-1", "0", "\"\"", "1e308", "nan", "[]", "{}", "[[sources]]\n", "\"电表\"", "= ", "#"];
        prop_oneof![prop::sample::select(lines), prop::sample::select(words.map(str::to_owned).to_vec())]
    }

    proptest! {
        #[test]
        fn a_changed_manifest_is_read_or_refused_with_words(
            changes in prop::collection::vec((0.0_f64..1.0, 0_usize..40, pieces()), 1..5),
            pick in any::<prop::sample::Index>(),
        ) {
            let files = corpus();
            let mut text = String::from_utf8(pick.get(&files).clone()).unwrap();
            for (at, gone, come) in changes {
                let at = text.floor_char_boundary((text.len() as f64 * at) as usize);
                let end = text.floor_char_boundary((at + gone).min(text.len()));
                text.replace_range(at..end, &come);
            }
            manifest(text.as_bytes());
        }
    }
}
