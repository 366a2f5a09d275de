//! What a provider would write for a firm: the agent's `manifest.toml` and the server's `projects/<id>.toml`.
//!
//! Sources stand in the order devices, then logs; a source's index is its place, from 1. Addresses are those the
//! servers have now. Passwords go into a file of their own beside the manifest.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use jiff::civil::Date;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::firm::{Account, Device, Firm, Holds, Log, Module, Role, Shift};
use super::forms::Form;
use super::logfile::Encoding;
use super::modbus;
use super::opcua::{Access, OpcUa};
use super::{Plant, Server};

mod rules;

use rules::Rule;

/// Name of the password file beside a manifest.
const PASSWORD: &str = "opcua-password";

/// `manifest.toml`.
#[derive(Serialize)]
struct Manifest {
    utc_offset_minutes: i32,
    sources: Vec<Source>,
}

#[derive(Serialize)]
struct Source {
    name: String,
    cadence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    modbus: Option<ModbusTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opcua: Option<OpcUaTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<LogTable>,
}

#[derive(Serialize)]
struct ModbusTable {
    endpoint: String,
    unit: u8,
    max_hole: u16,
    points: Vec<Register>,
}

#[derive(Serialize)]
struct Register {
    name: &'static str,
    table: &'static str,
    address: u16,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bit: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<f64>,
    role: &'static str,
    signal: bool,
}

#[derive(Serialize)]
struct OpcUaTable {
    endpoint: String,
    policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_file: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_thumbprint: Option<String>,
    points: Vec<Node>,
}

#[derive(Serialize)]
struct Node {
    name: &'static str,
    node: String,
    role: &'static str,
    signal: bool,
}

#[derive(Serialize)]
struct LogTable {
    path: String,
    encoding: &'static str,
    parser: &'static str,
    accounts: Vec<AccountClass>,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
struct AccountClass {
    exact: String,
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// `projects/<id>.toml`.
#[derive(Serialize)]
struct Project<'a> {
    name_zh: &'a str,
    district: &'static str,
    city: &'static str,
    profile: &'a str,
    agents: &'a [String],
    seats: usize,
    week: [&'static str; 5],
    utc_offset_minutes: i32,
    dates: Dates,
    modules: Vec<DeclaredModule>,
    devices: Vec<DeclaredDevice<'a>>,
    shifts: Vec<DeclaredShift>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stops: Vec<Stop>,
}

#[derive(Serialize)]
struct Dates {
    contract: String,
    completion: String,
    acceptance: String,
}

#[derive(Serialize)]
struct DeclaredModule {
    code: &'static str,
    zh: &'static str,
    star: bool,
}

#[derive(Serialize)]
struct DeclaredDevice<'a> {
    name: &'a str,
    source: usize,
    digital: bool,
    networked: bool,
}

#[derive(Serialize)]
struct DeclaredShift {
    name: &'static str,
    from: String,
    to: String,
}

#[derive(Serialize)]
struct Stop {
    from: String,
    to: String,
    reason: &'static str,
}

/// Writes `manifest.toml` into `folder`, with the password file it names, for a plant whose servers have started.
///
/// # Errors
/// When a file cannot be written, or a server's certificate not be read.
pub fn write_manifest(plant: &Plant, folder: &Path, cadence: Duration) -> anyhow::Result<()> {
    let path = folder.join("manifest.toml");
    if let Some(password) = password(plant) {
        let file = folder.join(PASSWORD);
        fs::write(&file, password).with_context(|| format!("could not write {}", file.display()))?;
    }
    fs::write(&path, manifest(plant, cadence)?).with_context(|| format!("could not write {}", path.display()))
}

/// The text of the plant's `manifest.toml`: all sources are looked at every `cadence`, in whole seconds.
///
/// # Errors
/// When a server's certificate cannot be read.
pub fn manifest(plant: &Plant, cadence: Duration) -> anyhow::Result<String> {
    let cadence = format!("{}s", cadence.as_secs());
    let mut sources = Vec::new();
    for (device, server) in plant.devices() {
        let source = Source {
            name: device.tag.to_owned(),
            cadence: cadence.clone(),
            modbus: None,
            opcua: None,
            log: None,
        };
        sources.push(match server {
            Server::Modbus(server) => Source { modbus: Some(modbus_table(device, server)), ..source },
            Server::OpcUa(server) => Source { opcua: Some(opcua_table(device, server)?), ..source },
        });
    }
    for (log, file) in plant.firm().logs.iter().zip(plant.logs()) {
        let table = log_table(plant.firm(), log, file.path());
        sources.push(Source {
            name: log.id.to_owned(),
            cadence: cadence.clone(),
            modbus: None,
            opcua: None,
            log: Some(table),
        });
    }
    Ok(toml::to_string(&Manifest { utc_offset_minutes: 480, sources })?)
}

/// The text of the firm's `projects/<id>.toml`. `agents` are the ids its gateways got at enrolment; sources are
/// those of the first.
///
/// # Errors
/// When it cannot be written as TOML.
pub fn project(firm: &Firm, agents: &[String], profile: &str) -> anyhow::Result<String> {
    let project = Project {
        name_zh: firm.name,
        district: "示范区",
        city: "江门市",
        profile,
        agents,
        seats: firm.seats(),
        week: ["mon", "tue", "wed", "thu", "fri"],
        utc_offset_minutes: 480,
        dates: Dates {
            contract: firm.contract().to_string(),
            completion: firm.completion().to_string(),
            acceptance: firm.acceptance.to_string(),
        },
        modules: firm.modules.iter().map(|module| declared_module(*module)).collect(),
        devices: firm
            .devices
            .iter()
            .zip(1..)
            .map(|(device, source)| DeclaredDevice {
                name: device.name,
                source,
                digital: true,
                networked: true,
            })
            .collect(),
        shifts: firm.shifts.iter().map(declared_shift).collect(),
        stops: firm.stop().map(stop).into_iter().collect(),
    };
    Ok(toml::to_string(&project)?)
}

fn declared_module(module: Module) -> DeclaredModule {
    DeclaredModule { code: module.code(), zh: module.name(), star: module == Module::Reports }
}

fn declared_shift(shift: &Shift) -> DeclaredShift {
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    DeclaredShift { name: shift.name, from: time(shift.from), to: time(shift.to) }
}

/// Project files name the last day of a stop, firms here the first day of work.
fn stop((from, work): (Date, Date)) -> Stop {
    let last = work.yesterday().unwrap_or(work);
    Stop { from: from.to_string(), to: last.to_string(), reason: "淡季停产" }
}

fn password(plant: &Plant) -> Option<&str> {
    plant.devices().find_map(|(_, server)| match server {
        Server::OpcUa(server) => match server.access() {
            Access::Secured { password, .. } => Some(password.as_str()),
            Access::Open => None,
        },
        Server::Modbus(_) => None,
    })
}

fn modbus_table(device: &Device, server: &modbus::Modbus) -> ModbusTable {
    let register = |name, address, kind, bit, scale, role, signal| Register {
        name,
        table: "input",
        address,
        kind,
        bit,
        scale,
        role,
        signal,
    };
    let mut points = vec![
        register("running", modbus::STATUS, "bit", Some(modbus::RUNNING_BIT), None, "running", true),
        register("power_kw", modbus::POWER_DECI_KW, "u16", None, Some(0.1), "measure", true),
        register("energy_kwh", modbus::ENERGY_WH, "u32", None, Some(0.001), "energy", true),
        register("parts", modbus::PARTS, "u32", None, None, "counter", true),
    ];
    if device.machine.temperature.is_some() {
        points.push(register("temperature", modbus::TEMPERATURE, "i16", None, Some(0.1), "measure", true));
    }
    // The power as f32 and the reactive power lie between; one question for all.
    ModbusTable { endpoint: server.address().to_string(), unit: server.unit(), max_hole: 2, points }
}

fn opcua_table(device: &Device, server: &OpcUa) -> anyhow::Result<OpcUaTable> {
    let node =
        |name, of: &str, role| Node { name, node: format!("ns=2;s={}.{of}", device.tag), role, signal: true };
    let mut points = vec![
        node("running", "Running", "running"),
        node("power_kw", "Power", "measure"),
        node("energy_kwh", "Energy", "energy"),
        node("parts", "Parts", "counter"),
    ];
    if device.machine.temperature.is_some() {
        points.push(node("temperature", "Temperature", "measure"));
    }
    let table = OpcUaTable {
        endpoint: server.endpoint(),
        policy: "none",
        mode: None,
        user: None,
        password_file: None,
        server_thumbprint: None,
        points,
    };
    let Access::Secured { user, .. } = server.access() else { return Ok(table) };
    let certificate = server.certificate();
    let der = fs::read(&certificate).with_context(|| format!("could not read {}", certificate.display()))?;
    let thumbprint = Sha256::digest(&der).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(OpcUaTable {
        policy: "basic256sha256",
        mode: Some("sign_and_encrypt"),
        user: Some(user.clone()),
        password_file: Some(PASSWORD),
        server_thumbprint: Some(thumbprint),
        ..table
    })
}

fn log_table(firm: &Firm, log: &Log, path: &Path) -> LogTable {
    let modules: &[Module] = match &log.holds {
        Holds::Deeds(modules) => modules,
        Holds::Requests => &[],
    };
    let accounts = firm.accounts.iter().filter_map(|account| class(log.form, account)).collect();
    LogTable {
        path: path.display().to_string(),
        encoding: match log.encoding {
            Encoding::Utf8 => "utf-8",
            Encoding::Gb18030 => "gb18030",
        },
        parser: match log.form {
            Form::SpringBoot => "spring",
            Form::Tomcat => "tomcat_access",
            Form::Nginx => "nginx_combined",
            Form::RuoYi => "ruoyi_csv",
            Form::Kingdee => "kingdee_pipe",
        },
        accounts,
        rules: rules::rules(log.form, modules),
    }
}

/// The class of an account that is not simply a person of the firm; nobody is named where the log names nobody.
fn class(form: Form, account: &Account) -> Option<AccountClass> {
    let exact = match form {
        Form::SpringBoot | Form::Tomcat | Form::RuoYi => account.login.to_owned(),
        Form::Kingdee => account.number.to_string(),
        Form::Nginx => return None,
    };
    let (class, reason) = match account.role {
        Role::Operator | Role::Inspector | Role::Planner => return None,
        Role::Admin => ("excluded", Some("admin")),
        Role::Provider => ("provider", None),
        Role::Test => ("excluded", Some("test")),
    };
    Some(AccountClass { exact, class, reason })
}

#[cfg(test)]
mod tests;
