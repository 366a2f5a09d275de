//! What leaves of a manifest.

use daemon::config::Complaints;
use proof::MAX_MANIFEST;
use proof::catalogue::MODULES;
use proof::wire;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::{Kind, Manifest, Source};

/// Room for the header that goes before a manifest's body.
const HEADER_ROOM: usize = 1_024;

impl Manifest {
    /// The body of the `manifest` record. `salt` is the gateway's secret for it; `hidden_digest` is
    /// SHA-256(salt ‖ [`Manifest::text`]), a source's `name_digest` the first 16 bytes of
    /// SHA-256(salt ‖ 4-byte big-endian length of the name ‖ name ‖ address).
    pub fn public(&self, salt: &[u8; 32]) -> wire::ManifestBody {
        let modules = self.modules();
        wire::ManifestBody {
            version: 1,
            utc_offset_minutes: self.utc_offset_minutes,
            sources: self.sources.iter().map(|source| public_source(source, salt)).collect(),
            hidden_digest: Sha256::new().chain_update(salt).chain_update(&self.text).finalize().to_vec(),
            modules: modules
                .into_iter()
                .map(|code| wire::Module { code: u32::from(code), name: module_name(code).to_owned() })
                .collect(),
        }
    }

    /// Codes of the modules that records of any of its logs and tables can carry, in order.
    pub fn modules(&self) -> Vec<u16> {
        let mut codes: Vec<_> = self.sources.iter().flat_map(Source::modules).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    /// Complains when the public part is larger than a manifest record may be.
    pub(super) fn fits(&self) -> Result<(), Complaints> {
        let size = self.public(&[0; 32]).encoded_len();
        if size + HEADER_ROOM <= MAX_MANIFEST {
            return Ok(());
        }
        let mut complaints = Complaints::about("manifest");
        complaints
            .add("sources", format!("are {size} bytes on the wire (at most {})", MAX_MANIFEST - HEADER_ROOM));
        Err(complaints)
    }
}

impl Source {
    /// Codes of the modules its records can carry, in order; none for a device.
    pub fn modules(&self) -> Vec<u16> {
        let rules = match &self.kind {
            Kind::Log(file) => &file.text.rules,
            Kind::Syslog(port) => &port.text.rules,
            Kind::Table(table) => &table.rules,
            Kind::Modbus(_) | Kind::OpcUa(_) | Kind::Mqtt(_) => return Vec::new(),
        };
        let mut codes: Vec<_> = rules.iter().map(|rule| rule.module).filter(|code| *code != 0).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }
}

fn public_source(source: &Source, salt: &[u8; 32]) -> wire::Source {
    let kind = match source.kind {
        Kind::Modbus(_) => wire::SourceKind::Modbus,
        Kind::OpcUa(_) => wire::SourceKind::Opcua,
        Kind::Log(_) => wire::SourceKind::Log,
        Kind::Mqtt(_) => wire::SourceKind::Mqtt,
        Kind::Syslog(_) => wire::SourceKind::Syslog,
        Kind::Table(_) => wire::SourceKind::Table,
    };
    let length = u32::try_from(source.name.len()).expect("names are bounded");
    let digest = Sha256::new()
        .chain_update(salt)
        .chain_update(length.to_be_bytes())
        .chain_update(&source.name)
        .chain_update(source.address())
        .finalize();
    let points = source.points().into_iter().zip(0_u32..).map(|(point, index)| wire::Point {
        index,
        role: i32::from(point.role),
        signal: point.signal,
        share: i32::from(point.share),
    });
    wire::Source {
        index: u32::from(source.index),
        kind: i32::from(kind),
        cadence_s: u32::try_from(source.cadence.as_secs()).expect("a cadence is at most ten minutes"),
        share: i32::from(source.share),
        max_hole: u32::from(source.max_hole()),
        name_digest: digest[..16].to_vec(),
        points: points.collect(),
        modules: source.modules().into_iter().map(u32::from).collect(),
    }
}

fn module_name(code: u16) -> &'static str {
    let at = usize::from(code).checked_sub(1).expect("0 is no module");
    MODULES[at].code
}
