//! The lines and devices of a run, and the manifest that names them: every transport, alone and shared.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use collectors::manifest::{Framing, Kind, Manifest};
use tokio::net::TcpListener;

use super::lines::{Unit, Way};

/// One line of the plan.
pub struct Line {
    /// How frames look.
    pub framing: Framing,
    /// How it is reached.
    pub way: Way,
    /// Already listening, where it listens.
    pub listener: Option<TcpListener>,
    name: &'static str,
    units: Vec<u8>,
}

/// What every device has: registers that tell whose they are, others of all widths, a hole, and bits.
const POINTS: &str = r#"points = [
    { name = "a", address = 0, type = "u64" },
    { name = "b", address = 4, type = "u64" },
    { name = "c", address = 8, type = "i64" },
    { name = "d0", address = 1000 }, { name = "d1", address = 1001 }, { name = "d2", address = 1002, type = "i16" },
    { name = "d3", address = 1003 }, { name = "d4", address = 1004 }, { name = "d5", address = 1005 },
    { name = "d6", address = 1006 }, { name = "d7", address = 1007 }, { name = "d8", address = 1008, type = "u32" },
    { name = "e", address = 1012, type = "i32" },
    { name = "f", address = 0, table = "input", type = "u64" },
    { name = "g", address = 4, table = "input", type = "u64" },
    { name = "h0", address = 40, table = "coil" }, { name = "h1", address = 41, table = "coil" },
    { name = "h2", address = 42, table = "coil" }, { name = "h3", address = 43, table = "coil" },
    { name = "h4", address = 44, table = "coil" }, { name = "h5", address = 45, table = "coil" },
    { name = "h6", address = 46, table = "coil" }, { name = "h7", address = 47, table = "coil" },
    { name = "h8", address = 48, table = "coil" }, { name = "h9", address = 49, table = "coil" },
]
"#;

/// All lines. Ports are the system's to choose; the link to a serial port is made in `folder`.
///
/// # Errors
/// When a port cannot be had.
pub async fn lines(folder: &Path) -> anyhow::Result<Vec<Line>> {
    let (own, own_way) = super::listener().await?;
    let (converter, converter_way) = super::listener().await?;
    let (serial_server, serial_way) = super::listener().await?;
    let free = || anyhow::Ok(crate::process::free_address()?.parse()?);
    let port = Way::Port(super::beside(folder, "ttyS1"));
    let line = |name, framing, way, listener, units: &[u8]| Line {
        name,
        framing,
        way,
        listener,
        units: units.to_vec(),
    };
    Ok(vec![
        line("tcp", Framing::Tcp, own_way, Some(own), &[1]),
        line("converter", Framing::Tcp, converter_way, Some(converter), &[2, 3, 4]),
        line("serial server", Framing::Rtu, serial_way, Some(serial_server), &[11, 12, 13, 14]),
        line("serial port", Framing::Rtu, port, None, &[21, 22, 23]),
        line("dialled", Framing::Rtu, Way::Dials(free()?, "DTU-0007".to_owned()), None, &[31, 32]),
        line("dialled tcp", Framing::Tcp, Way::Dials(free()?, "4G".to_owned()), None, &[41]),
    ])
}

/// The manifest that names them.
pub fn manifest(lines: &[Line], timeout: Duration) -> String {
    let mut text = String::new();
    let mut say = |piece: std::fmt::Arguments<'_>| text.write_fmt(piece).expect("text takes everything");
    let timeout = timeout.as_millis();
    for line in lines {
        let way = match &line.way {
            Way::Listens(address) => format!("connect = \"{address}\""),
            Way::Port(link) => format!("serial = \"{}\"", link.display()),
            Way::Dials(address, registration) => {
                format!("listen = \"{address}\"\nregistration = \"{registration}\"")
            }
        };
        let framing = if line.framing == Framing::Tcp { "tcp" } else { "rtu" };
        let name = line.name;
        say(format_args!(
            "[[lines]]\nname = \"{name}\"\n{way}\nframing = \"{framing}\"\nbaud = 115200\npause = \"0s\"\n"
        ));
    }
    for line in lines {
        for unit in &line.units {
            let name = line.name;
            say(format_args!(
                "[[sources]]\nname = \"{name} {unit}\"\n[sources.modbus]\nline = \"{name}\"\nunit = {unit}\n\
                 timeout = \"{timeout}ms\"\npause = \"0s\"\nmax_hole = 4\n{POINTS}"
            ));
        }
    }
    text
}

impl Line {
    /// Its units, with the sources that the manifest makes of them.
    pub fn units(&self, manifest: &Manifest, timeout: Duration) -> BTreeMap<u8, Unit> {
        let of_unit = |unit: u8| {
            let device = |kind: &Kind| matches!(kind, Kind::Modbus(device) if device.unit == unit);
            manifest.sources.iter().find(|source| device(&source.kind)).map(|source| source.index)
        };
        let units = self.units.iter().filter_map(|unit| Some((*unit, of_unit(*unit)?)));
        units.map(|(unit, source)| (unit, Unit { source, timeout })).collect()
    }
}
