//! Register maps of devices, `config/devices/*.toml`: what a source brings along that says `device = "…"`.
//!
//! A map is points as a manifest has them, or the areas of a controller, whose points are named as its programmer names
//! them (`at = "D100"`). The manifest has the last word: a point of the same name changes the map's, another joins them,
//! and `only` chooses. A map says where it is from: `documented` names the manual, `unconfirmed` that nobody should rely
//! on it before the device's own display agrees.

use std::path::Path;

use daemon::config::Complaints;

use super::check::word;
use super::library::Library;
use super::modbus::TABLES;
use super::{Table, raw};

/// Largest map in bytes.
const MAX_MAP: u64 = 256 * 1024;

/// Most areas of one controller.
const MAX_AREAS: usize = 64;

/// The maps that are built in: the files of `config/devices`.
pub(crate) const BUILT_IN: &[(&str, &str)] = &[
    ("chint_dtsu666", include_str!("../../../config/devices/chint_dtsu666.toml")),
    ("delta_dvp", include_str!("../../../config/devices/delta_dvp.toml")),
    ("eastron_sdm120", include_str!("../../../config/devices/eastron_sdm120.toml")),
    ("eastron_sdm630", include_str!("../../../config/devices/eastron_sdm630.toml")),
    ("inovance_h3u", include_str!("../../../config/devices/inovance_h3u.toml")),
    ("schneider_iem3000", include_str!("../../../config/devices/schneider_iem3000.toml")),
    ("sunspec_common", include_str!("../../../config/devices/sunspec_common.toml")),
];

/// A map that is built in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceMap {
    /// What a manifest names it by.
    pub name: &'static str,
    /// What it reads, for people.
    pub about: String,
    /// Whether it follows a manual that anybody can read; otherwise it is unconfirmed.
    pub documented: bool,
    /// The manual, or what is known.
    pub title: String,
    /// Whether it names points, or areas whose points the manifest must name.
    pub has_points: bool,
}

/// The maps that are built in, by name.
pub fn devices() -> Vec<DeviceMap> {
    let map = |(name, text): &(&'static str, &str)| {
        let map = parse(name, text).expect("a test reads every map");
        DeviceMap {
            name,
            about: map.about,
            documented: map.documented,
            title: map.title,
            has_points: !map.raw.points.is_empty(),
        }
    };
    BUILT_IN.iter().map(map).collect()
}

/// One map, checked but for its points, which are checked where they are used.
#[derive(Debug)]
struct Map {
    about: String,
    documented: bool,
    title: String,
    areas: Vec<Area>,
    raw: raw::Device,
}

/// A row of a controller's own addresses, such as D0 to D4095.
#[derive(Debug, PartialEq)]
struct Area {
    letters: String,
    table: Table,
    /// The controller's number of its first.
    from: u32,
    /// Where that stands on the wire.
    first: u32,
    count: u32,
    /// Eight for controllers that count X and Y so.
    radix: u32,
}

const MARKS: &[(&str, bool)] = &[("documented", true), ("unconfirmed", false)];

/// The maps a manifest can name.
pub(super) fn library(dir: &Path) -> Library {
    Library::beside(dir, ("device", "devices"), BUILT_IN, MAX_MAP)
}

/// Puts what the named map says into the source.
pub(super) fn apply(
    devices: &mut Library,
    complaints: &mut Complaints,
    path: &str,
    source: &mut raw::Modbus,
) {
    let only = source.only.take();
    let map = match source.device.take() {
        Some(name) => devices.find(complaints, &format!("{path}.device"), &name, parse),
        None => {
            if only.is_some() {
                complaints
                    .add(format!("{path}.only"), "chooses among the points of a `device`, and none is named");
            }
            None
        }
    };
    if let Some(mut map) = map {
        let brought = std::mem::take(&mut map.raw.points);
        let own = std::mem::take(&mut source.points);
        source.points = join(complaints, path, brought, own, only, &map);
        source.order = source.order.take().or(map.raw.order);
        source.max_registers = source.max_registers.or(map.raw.max_registers);
        source.pause = source.pause.take().or(map.raw.pause);
    }
    for (at, point) in source.points.iter().enumerate() {
        if point.at.is_some() {
            let path = format!("{path}.points[{at}].at");
            complaints.add(path, "names a place of a controller's, and no `device` with areas is named");
        }
    }
}

/// The map's points as the manifest wants them, followed by its own.
fn join(
    complaints: &mut Complaints,
    path: &str,
    brought: Vec<raw::Register>,
    own: Vec<raw::Register>,
    only: Option<Vec<String>>,
    map: &Map,
) -> Vec<raw::Register> {
    let has = |name: &str| brought.iter().any(|point| point.name.as_deref() == Some(name));
    for name in only.iter().flatten().filter(|name| !has(name)) {
        complaints.add(format!("{path}.only"), format!("the device has no point `{name}`"));
    }
    let wanted = |point: &raw::Register| {
        only.as_ref().is_none_or(|only| only.iter().any(|name| Some(name) == point.name.as_ref()))
    };
    let mut own: Vec<_> = own.into_iter().map(Some).collect();
    let mut points = Vec::new();
    for mut point in brought.into_iter().filter(wanted) {
        // Addresses of a map count as its manual does, whatever the manifest's own do.
        point.base = point.base.or(map.raw.base).or(Some(0));
        let changed = own.iter_mut().find(|own| own.as_ref().is_some_and(|own| own.name == point.name));
        points.push(match changed.and_then(Option::take) {
            Some(own) => over(point, own),
            None => point,
        });
    }
    points.extend(own.into_iter().flatten());
    for (at, point) in points.iter_mut().enumerate() {
        if let Some(place) = point.at.take() {
            match placed(&map.areas, &place) {
                Some((table, address)) => {
                    point.table = Some(table.word().to_owned());
                    point.address = Some(address);
                    point.base = Some(0);
                }
                None => {
                    let known: Vec<_> = map.areas.iter().map(Area::span).collect();
                    let known =
                        if known.is_empty() { "it has no areas".to_owned() } else { known.join(", ") };
                    complaints.add(
                        format!("{path}.points[{at}].at"),
                        format!("`{place}` is no place of the device: {known}"),
                    );
                }
            }
        }
    }
    points
}

/// The map's point with what the manifest says otherwise.
fn over(map: raw::Register, own: raw::Register) -> raw::Register {
    // Another place has its own way to count.
    let base = if own.address.is_some() { own.base } else { own.base.or(map.base) };
    raw::Register {
        name: own.name,
        at: own.at,
        table: own.table.or(map.table),
        address: own.address.or(map.address),
        base,
        bit: own.bit.or(if own.kind.is_none() { map.bit } else { None }),
        registers: own.registers.or(if own.kind.is_none() { map.registers } else { None }),
        kind: own.kind.or(map.kind),
        order: own.order.or(map.order),
        scale: own.scale.or(map.scale),
        offset: own.offset.or(map.offset),
        min: own.min.or(map.min),
        max: own.max.or(map.max),
        role: own.role.or(map.role),
        signal: own.signal.or(map.signal),
        share: own.share.or(map.share),
    }
}

/// Where `D100` stands.
fn placed(areas: &[Area], place: &str) -> Option<(Table, u32)> {
    let digits = place.find(|c: char| c.is_ascii_digit())?;
    let (letters, number) = place.split_at(digits);
    areas.iter().filter(|area| area.letters.eq_ignore_ascii_case(letters)).find_map(|area| {
        let number = u32::from_str_radix(number, area.radix).ok()?;
        let at = number.checked_sub(area.from).filter(|at| *at < area.count)?;
        Some((area.table, area.first + at))
    })
}

impl Area {
    fn span(&self) -> String {
        let last = self.from + self.count.saturating_sub(1);
        if self.radix == 8 {
            format!("{0}{1:o} to {0}{last:o}", self.letters, self.from)
        } else {
            format!("{0}{1} to {0}{last}", self.letters, self.from)
        }
    }
}

fn parse(name: &str, text: &str) -> Result<Map, Complaints> {
    let (mut raw, mut complaints) = daemon::config::parse::<raw::Device>(&format!("{name}.toml"), text)?;
    let about = complaints.required("about", raw.about.take()).unwrap_or_default();
    let origin = complaints.required("origin", raw.origin.take());
    let (documented, title) = match origin {
        None => (false, String::new()),
        Some(origin) => {
            let mark = word(&mut complaints, "origin.mark", origin.mark, MARKS)
                .required(&mut complaints, "origin.mark");
            (mark.unwrap_or(false), complaints.required("origin.title", origin.title).unwrap_or_default())
        }
    };
    if raw.areas.len() > MAX_AREAS {
        complaints.add("areas", format!("has {} entries (at most {MAX_AREAS})", raw.areas.len()));
    }
    let mut areas = Vec::new();
    for (at, raw) in std::mem::take(&mut raw.areas).into_iter().enumerate() {
        areas.extend(area(&mut complaints, &format!("areas[{at}]"), raw));
    }
    if raw.points.is_empty() && areas.is_empty() {
        complaints.add("points", "is empty, and there are no `areas`");
    }
    complaints.or(Map { about, documented, title, areas, raw })
}

fn area(complaints: &mut Complaints, path: &str, raw: raw::Area) -> Option<Area> {
    let letters = complaints.required(&format!("{path}.letters"), raw.letters);
    if letters
        .as_ref()
        .is_some_and(|letters| letters.is_empty() || letters.contains(|c: char| c.is_ascii_digit()))
    {
        complaints.add(format!("{path}.letters"), "is not what stands before the number, such as D");
    }
    let table_path = format!("{path}.table");
    let table = word(complaints, &table_path, raw.table, TABLES).required(complaints, &table_path);
    let first = complaints.required(&format!("{path}.first"), raw.first);
    let count = complaints.required(&format!("{path}.count"), raw.count);
    let radix = raw.radix.unwrap_or(10);
    if radix != 8 && radix != 10 {
        complaints.add(format!("{path}.radix"), format!("{radix} is neither 8 nor 10"));
        return None;
    }
    let (first, count) = (first?, count?);
    if count == 0 || first.checked_add(count).is_none_or(|end| end > 65_536) {
        complaints.add(path, format!("{count} from {first} on are not inside the table of 65,536"));
        return None;
    }
    Some(Area { letters: letters?, table: table?, from: raw.from.unwrap_or(0), first, count, radix })
}

#[cfg(all(test, feature = "modbus"))]
mod tests {
    use super::*;
    use crate::manifest::{Kind, Manifest, Modbus};

    fn device(keys: &str, dir: &Path) -> Result<(Modbus, String), String> {
        let text = format!("[[sources]]\nname = \"m\"\n[sources.modbus]\nendpoint = \"h:502\"\n{keys}");
        let manifest = Manifest::parse("manifest.toml", &text, dir).map_err(|wrong| wrong.to_string())?;
        let Kind::Modbus(device) = &manifest.sources[0].kind else { panic!() };
        Ok((device.clone(), manifest.text))
    }

    #[test]
    fn every_map_that_is_built_in_is_good_says_where_it_is_from_and_is_in_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/devices");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().trim_end_matches(".toml").to_owned())
            .collect();
        files.sort();
        let listed = devices();
        assert_eq!(files, listed.iter().map(|map| map.name).collect::<Vec<_>>());
        for map in listed {
            assert!(!map.about.is_empty() && !map.title.is_empty(), "{}", map.name);
            let keys = if map.has_points {
                String::new()
            } else {
                "points = [{ name = \"a\", at = \"D0\" }]\n".to_owned()
            };
            let (device, _) = device(&format!("device = \"{}\"\n{keys}", map.name), Path::new("")).unwrap();
            assert!(!device.points.is_empty(), "{}", map.name);
        }
    }

    #[test]
    fn a_meter_brings_its_points_and_the_manifest_has_the_last_word() {
        let keys = "device = \"eastron_sdm120\"\nbase = 1\nonly = [\"有功功率\", \"正向有功电能\"]\npoints = [\n\
                    { name = \"有功功率\", signal = false, scale = 0.001 }, { name = \"own\", address = 1 }]\n";
        let (device, _) = device(keys, Path::new("")).unwrap();
        let points: Vec<_> =
            device.points.iter().map(|p| (p.meaning.name.as_str(), p.table, p.address)).collect();
        // The map counts from 0, the manifest's own point from 1.
        let wanted = [
            ("有功功率", Table::Input, 0x0C),
            ("正向有功电能", Table::Input, 0x48),
            ("own", Table::Holding, 0),
        ];
        assert_eq!(points, wanted);
        assert_eq!((device.points[0].meaning.signal, device.points[0].meaning.scale), (false, 0.001));
        assert!(device.points[1].meaning.signal);
    }

    #[test]
    fn a_controllers_place_is_named_as_its_programmer_names_it() {
        let keys = "device = \"delta_dvp\"\npoints = [\n{ name = \"a\", at = \"D100\", type = \"u32\" },\n\
                    { name = \"b\", at = \"M1600\" }, { name = \"c\", at = \"x17\" }]\n";
        let (device, _) = device(keys, Path::new("")).unwrap();
        let places: Vec<_> = device.points.iter().map(|point| (point.table, point.address)).collect();
        // DVP-ES2 manual, 4.4: D0 at 1000, M1536 at B000, X0 at 0400; X counts in eights.
        assert_eq!(places, [(Table::Holding, 0x1064), (Table::Coil, 0xB040), (Table::Discrete, 0x040F)]);
    }

    #[test]
    fn what_is_not_there_is_complained_of_with_what_is() {
        let wrong = |keys: &str| device(keys, Path::new("")).unwrap_err();
        let said = wrong("device = \"nobodys\"\npoints = [{ name = \"a\", address = 0 }]\n");
        assert!(said.contains("sources[0].modbus.device") && said.contains("eastron_sdm630"), "{said}");
        assert!(
            wrong("device = \"delta_dvp\"\npoints = [{ name = \"a\", at = \"X8\" }]\n")
                .contains("X0 to X377")
        );
        assert!(wrong("points = [{ name = \"a\", at = \"D0\" }]\n").contains("points[0].at"));
        assert!(wrong("device = \"eastron_sdm120\"\nonly = [\"b\"]\n").contains("no point `b`"));
        assert!(wrong("only = [\"b\"]\npoints = [{ name = \"a\", address = 0 }]\n").contains("only"));
    }

    #[test]
    fn a_map_beside_the_manifest_is_part_of_what_its_digest_covers() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("devices")).unwrap();
        let map = "about = \"烘箱\"\norigin = { mark = \"unconfirmed\", title = \"label\" }\n\
                   points = [{ name = \"温度\", address = 3, type = \"i16\" }]\n";
        std::fs::write(folder.path().join("devices/oven.toml"), map).unwrap();
        let (device, text) = device("device = \"oven\"\n", folder.path()).unwrap();
        assert_eq!(device.points[0].address, 3);
        assert!(text.ends_with(map), "{text}");
    }
}
