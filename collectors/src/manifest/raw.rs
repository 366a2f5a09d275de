//! The file as serde sees it: every key optional, so that a missing one is one complaint among the others.

use serde::Deserialize;

type Text = Option<String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) utc_offset_minutes: Option<i32>,
    #[serde(default)]
    pub(super) lines: Vec<Line>,
    #[serde(default)]
    pub(super) sources: Vec<Source>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub(super) name: Text,
    pub(super) connect: Text,
    pub(super) listen: Text,
    pub(super) registration: Text,
    pub(super) serial: Text,
    pub(super) framing: Text,
    pub(super) baud: Option<u32>,
    pub(super) parity: Text,
    pub(super) stop_bits: Option<u8>,
    pub(super) pause: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub(super) name: Text,
    pub(super) cadence: Text,
    pub(super) share: Text,
    pub(super) modbus: Option<Modbus>,
    pub(super) opcua: Option<OpcUa>,
    pub(super) log: Option<Log>,
    pub(super) mqtt: Option<Mqtt>,
    pub(super) syslog: Option<Syslog>,
    pub(super) table: Option<Table>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Modbus {
    pub(super) endpoint: Text,
    pub(super) line: Text,
    pub(super) device: Text,
    pub(super) only: Option<Vec<String>>,
    pub(super) unit: Option<u8>,
    pub(super) timeout: Text,
    pub(super) retries: Option<u8>,
    pub(super) pause: Text,
    pub(super) max_hole: Option<u16>,
    pub(super) max_registers: Option<u16>,
    pub(super) max_bits: Option<u16>,
    pub(super) base: Option<u16>,
    pub(super) order: Text,
    #[serde(default)]
    pub(super) points: Vec<Register>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Register {
    pub(super) name: Text,
    pub(super) at: Text,
    pub(super) table: Text,
    pub(super) address: Option<u32>,
    pub(super) base: Option<u16>,
    #[serde(rename = "type")]
    pub(super) kind: Text,
    pub(super) bit: Option<u8>,
    pub(super) registers: Option<u16>,
    pub(super) order: Text,
    pub(super) scale: Option<f64>,
    pub(super) offset: Option<f64>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) role: Text,
    pub(super) signal: Option<bool>,
    pub(super) share: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpcUa {
    pub(super) endpoint: Text,
    pub(super) policy: Text,
    pub(super) mode: Text,
    pub(super) user: Text,
    pub(super) password_file: Text,
    pub(super) server_thumbprint: Text,
    pub(super) user_certificate: Text,
    pub(super) user_key: Text,
    pub(super) client_dir: Text,
    pub(super) collect: Text,
    pub(super) queue: Option<u32>,
    pub(super) history: Option<bool>,
    pub(super) timeout: Text,
    #[serde(default)]
    pub(super) points: Vec<Node>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    pub(super) name: Text,
    pub(super) node: Text,
    pub(super) path: Text,
    pub(super) dead_band: Option<f64>,
    pub(super) scale: Option<f64>,
    pub(super) offset: Option<f64>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) role: Text,
    pub(super) signal: Option<bool>,
    pub(super) share: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mqtt {
    pub(super) broker: Text,
    pub(super) tls: Text,
    pub(super) ca_file: Text,
    pub(super) user: Text,
    pub(super) password_file: Text,
    pub(super) time: Text,
    pub(super) timeout: Text,
    #[serde(default)]
    pub(super) points: Vec<Topic>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Topic {
    pub(super) name: Text,
    pub(super) topic: Text,
    pub(super) value: Text,
    #[serde(default)]
    pub(super) only: std::collections::BTreeMap<String, String>,
    pub(super) scale: Option<f64>,
    pub(super) offset: Option<f64>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) role: Text,
    pub(super) signal: Option<bool>,
    pub(super) share: Text,
}

/// The keys every point has, whatever it is read by.
pub(super) struct Point {
    pub(super) name: Text,
    pub(super) scale: Option<f64>,
    pub(super) offset: Option<f64>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) role: Text,
    pub(super) signal: Option<bool>,
    pub(super) share: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    pub(super) path: Text,
    pub(super) exclude: Option<Vec<String>>,
    pub(super) encoding: Text,
    pub(super) parser: Text,
    pub(super) utc_offset_minutes: Option<i32>,
    #[serde(default)]
    pub(super) accounts: Vec<Account>,
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
}

/// What a log and a syslog port have in common.
pub(super) struct LogText {
    pub(super) encoding: Text,
    pub(super) parser: Text,
    pub(super) utc_offset_minutes: Option<i32>,
    pub(super) accounts: Vec<Account>,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Syslog {
    pub(super) listen: Text,
    pub(super) transport: Text,
    #[serde(default)]
    pub(super) from: Vec<String>,
    pub(super) certificate_file: Text,
    pub(super) key_file: Text,
    pub(super) client_ca_file: Text,
    pub(super) quiet_after: Text,
    pub(super) encoding: Text,
    pub(super) parser: Text,
    pub(super) utc_offset_minutes: Option<i32>,
    #[serde(default)]
    pub(super) accounts: Vec<Account>,
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    pub(super) exact: Text,
    pub(super) prefix: Text,
    pub(super) regex: Text,
    pub(super) class: Text,
    pub(super) reason: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) module: Text,
    pub(super) action: Text,
    #[serde(default)]
    pub(super) when: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Condition {
    pub(super) field: Text,
    pub(super) equals: Text,
    pub(super) regex: Text,
}

/// A register map.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Device {
    pub(super) about: Text,
    pub(super) origin: Option<Origin>,
    pub(super) base: Option<u16>,
    pub(super) order: Text,
    pub(super) max_registers: Option<u16>,
    pub(super) pause: Text,
    #[serde(default)]
    pub(super) areas: Vec<Area>,
    #[serde(default)]
    pub(super) points: Vec<Register>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Origin {
    pub(super) mark: Text,
    pub(super) title: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Area {
    pub(super) letters: Text,
    pub(super) table: Text,
    pub(super) from: Option<u32>,
    pub(super) first: Option<u32>,
    pub(super) count: Option<u32>,
    pub(super) radix: Option<u32>,
}

/// A parser file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parser {
    pub(super) about: Text,
    pub(super) pattern: Text,
    pub(super) delimiter: Text,
    pub(super) quote: Text,
    pub(super) header: Option<bool>,
    pub(super) form: Text,
    pub(super) fields: Option<Vec<String>>,
    pub(super) start: Text,
    pub(super) skip: Text,
    pub(super) time: Option<Time>,
    pub(super) account: Option<Actor>,
    pub(super) document: Option<Document>,
    #[serde(default)]
    pub(super) extract: Vec<Extract>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Time {
    pub(super) field: Text,
    pub(super) plus: Text,
    pub(super) format: Text,
    pub(super) zone: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Actor {
    pub(super) field: Text,
    pub(super) nobody: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) fields: Option<Vec<String>>,
    pub(super) pattern: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Extract {
    pub(super) name: Text,
    pub(super) from: Text,
    pub(super) pattern: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) server: Option<Database>,
    pub(super) map: Text,
    pub(super) utc_offset_minutes: Option<i32>,
    pub(super) overlap: Text,
    pub(super) max_rows: Option<u32>,
    pub(super) timeout: Text,
    #[serde(default)]
    pub(super) accounts: Vec<Account>,
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Database {
    pub(super) kind: Text,
    pub(super) host: Text,
    pub(super) port: Option<u16>,
    pub(super) database: Text,
    pub(super) user: Text,
    pub(super) password_file: Text,
    pub(super) tls: Text,
    pub(super) ca_file: Text,
    pub(super) server_name: Text,
    pub(super) server_thumbprint: Text,
}

/// A map file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Map {
    pub(super) about: Text,
    pub(super) evidence: Text,
    pub(super) table: Text,
    pub(super) unique: Option<bool>,
    pub(super) settled: Option<bool>,
    pub(super) encoding: Text,
    #[serde(default)]
    pub(super) joins: Vec<Join>,
    #[serde(default)]
    pub(super) key: Vec<Key>,
    #[serde(default)]
    pub(super) fields: Vec<Field>,
    pub(super) time: Option<Moment>,
    pub(super) account: Option<Actor>,
    pub(super) document: Option<Document>,
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Join {
    pub(super) table: Text,
    pub(super) alias: Text,
    pub(super) column: Text,
    pub(super) equals: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    pub(super) column: Text,
    #[serde(rename = "type")]
    pub(super) kind: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Field {
    pub(super) name: Text,
    pub(super) column: Text,
    pub(super) changes: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Moment {
    pub(super) form: Text,
    pub(super) fields: Option<Vec<String>>,
    pub(super) zone: Text,
}
