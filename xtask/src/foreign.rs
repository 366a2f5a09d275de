//! The foreign software tests run against: what there is, what can be installed, where it is.
//!
//! Python packages go into a virtual environment under the target directory, at the versions and hashes of
//! `tests/foreign/requirements.txt`, JavaScript packages beside it, at those of `tests/foreign/node`. libmodbus, Mosquitto,
//! rsyslog, Chromium, PostgreSQL, MariaDB and Go are used where installed, else installed from Debian when we are root. Nothing is
//! started here and nothing is configured outside of the target directory.
//!
//! Tests are told by environment variables: `INUSE_FOREIGN_PYTHON` (an interpreter with pymodbus and asyncua),
//! `INUSE_FOREIGN_NODE` (an interpreter) and `NODE_PATH` (node-opcua for it), `INUSE_MOSQUITTO`, `INUSE_RSYSLOG`, `INUSE_CHROMIUM`,
//! `INUSE_CHROMEDRIVER`, `INUSE_QEMU_AARCH64`, `INUSE_QEMU_ARM`, `INUSE_MARIADB` (full paths), `INUSE_POSTGRESQL` (the folder
//! of its programs) and `INUSE_DIST` (the folder of programs for gateways), `INUSE_TLOG` (the Go program of
//! `tests/foreign/golang`), `INUSE_PAGE` (the verifier's page, made for WebAssembly), `INUSE_DEBIAN` (a root with systemd) and
//! `INUSE_PACKAGES` (the folder of packages for this machine).

mod apt;
mod databases;
mod debian;
mod gateway;
mod node;
mod python;

use std::ffi::OsString;
use std::path::Path;

use crate::command::{Command, find};
use crate::{page, tree};
use apt::Apt;

/// How much foreign software is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// None of it.
    None,
    /// What is there or can be installed; the rest is skipped and said.
    WhereItCan,
    /// All of it; a skip is a failure.
    All,
}

/// A program that tests need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Pymodbus,
    Libmodbus,
    Asyncua,
    NodeOpcua,
    Mosquitto,
    Rsyslog,
    Chromium,
    Qemu,
    Nspawn,
    PostgreSql,
    MariaDb,
    Golang,
    Wasm,
}

impl Program {
    pub(crate) const ALL: [Self; 13] = [
        Self::Pymodbus,
        Self::Libmodbus,
        Self::Asyncua,
        Self::NodeOpcua,
        Self::Mosquitto,
        Self::Rsyslog,
        Self::Chromium,
        Self::Qemu,
        Self::Nspawn,
        Self::PostgreSql,
        Self::MariaDb,
        Self::Golang,
        Self::Wasm,
    ];

    /// What stands in the name of a test that needs it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pymodbus => "pymodbus",
            Self::Libmodbus => "libmodbus",
            Self::Asyncua => "asyncua",
            Self::NodeOpcua => "node_opcua",
            Self::Mosquitto => "mosquitto",
            Self::Rsyslog => "rsyslog",
            Self::Chromium => "chromium",
            Self::Qemu => "qemu",
            Self::Nspawn => "nspawn",
            Self::PostgreSql => "postgresql",
            Self::MariaDb => "mariadb",
            Self::Golang => "golang",
            Self::Wasm => "wasm",
        }
    }
}

/// Variables for the tests, or why the program cannot be had.
type Found = Result<Vec<(&'static str, OsString)>, String>;

/// What was found for each program.
#[derive(Default)]
pub(crate) struct Foreign {
    found: Vec<(Program, Found)>,
}

impl Foreign {
    /// Looks for everything and installs what is missing, as far as wished and possible.
    /// What cannot be had is [`Foreign::missing`].
    pub(crate) fn prepare(wish: Wish) -> Self {
        if wish == Wish::None {
            let found = Program::ALL.map(|program| (program, Err("not wished".to_owned())));
            return Self { found: found.into() };
        }
        let mut apt = Apt::default();
        let interpreter = python::prepare(&mut apt).map_err(|error| format!("{error:#}"));
        let node = interpreter.clone().and_then(|python| node::prepare(&python));
        let python: Found = interpreter.map(|python| {
            vec![("INUSE_FOREIGN_PYTHON", python.into_os_string()), ("PYTHONDONTWRITEBYTECODE", "1".into())]
        });
        let found = vec![
            // Both are in the one interpreter, which the tests are told of once.
            (Program::Asyncua, python.clone().map(|_| Vec::new())),
            (Program::Libmodbus, python.clone().and_then(|_| libmodbus(&mut apt))),
            (Program::Pymodbus, python),
            (Program::NodeOpcua, node),
            (Program::Mosquitto, mosquitto(&mut apt)),
            (Program::Rsyslog, rsyslog(&mut apt)),
            (Program::Chromium, chromium(&mut apt)),
            (Program::Qemu, gateway::qemu(&mut apt, wish)),
            (Program::Nspawn, debian::nspawn(&mut apt, wish)),
            (Program::PostgreSql, databases::postgresql(&mut apt)),
            (Program::MariaDb, databases::mariadb(&mut apt)),
            (Program::Golang, golang(&mut apt)),
            (Program::Wasm, wasm()),
        ];
        Self { found }
    }

    /// What cannot be had, and why.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (Program, &str)> {
        self.found.iter().filter_map(|(program, found)| Some((*program, found.as_ref().err()?.as_str())))
    }

    /// What the tests are told.
    pub(crate) fn env(&self) -> Vec<(&'static str, OsString)> {
        self.found.iter().filter_map(|(_, found)| found.as_ref().ok()).flatten().cloned().collect()
    }
}

/// The C library, which the interpreter loads.
fn libmodbus(apt: &mut Apt) -> Found {
    let loads = || {
        let python = find("python3").map(Command::new);
        python
            .is_some_and(|python| python.args(["-c", "import ctypes; ctypes.CDLL('libmodbus.so.5')"]).works())
    };
    if !loads() {
        apt.install(&["libmodbus5"]).map_err(|error| format!("{error:#}"))?;
    }
    if loads() { Ok(Vec::new()) } else { Err("it was installed and cannot be loaded".to_owned()) }
}

fn mosquitto(apt: &mut Apt) -> Found {
    if find("mosquitto").is_none() {
        apt.install_without_starting(&["mosquitto"], "mosquitto.service")
            .map_err(|error| format!("{error:#}"))?;
    }
    let path = find("mosquitto").ok_or("it was installed and cannot be found")?;
    Ok(vec![("INUSE_MOSQUITTO", path.into_os_string())])
}

/// The transparency log of Go's checksum database, in a program that is built of it: Debian's packages, no network.
fn golang(apt: &mut Apt) -> Found {
    const LIBRARIES: &str = "/usr/share/gocode";
    let has_library = || Path::new(LIBRARIES).join("src/golang.org/x/mod/sumdb/tlog").is_dir();
    if find("go").is_none() || !has_library() {
        apt.install(&["golang-go", "golang-golang-x-mod-dev"]).map_err(|error| format!("{error:#}"))?;
    }
    let go = find("go").filter(|_| has_library()).ok_or("it was installed and cannot be found")?;
    let folder = tree::target().join("foreign/golang");
    let (program, source) = (folder.join("tlog"), tree::root().join("tests/foreign/golang/tlog.go"));
    Command::new(go)
        .args(["build", "-o"])
        .args([&program, &source])
        .env("GO111MODULE", "off")
        .env("GOPATH", LIBRARIES)
        .env("GOCACHE", folder.join("cache"))
        .env("GOFLAGS", "")
        .run()
        .map_err(|error| format!("{error:#}"))?;
    Ok(vec![("INUSE_TLOG", program.into_os_string())])
}

/// The verifier's page, for which Rust's library for WebAssembly is fetched.
fn wasm() -> Found {
    let page = page::build().map_err(|error| format!("{error:#}"))?;
    Ok(vec![("INUSE_PAGE", page.into_os_string())])
}

/// With its module for TLS, which is a package of its own.
fn rsyslog(apt: &mut Apt) -> Found {
    let has_tls = || {
        let is_there = |folder: &str| Path::new(folder).join("rsyslog/lmnsd_ossl.so").is_file();
        let of_this_machine = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        is_there("/usr/lib") || is_there("/usr/lib64") || is_there(&of_this_machine)
    };
    if find("rsyslogd").is_none() || !has_tls() {
        apt.install_without_starting(&["rsyslog", "rsyslog-openssl"], "rsyslog.service")
            .map_err(|error| format!("{error:#}"))?;
    }
    let path = find("rsyslogd").filter(|_| has_tls()).ok_or("it was installed and cannot be found")?;
    Ok(vec![("INUSE_RSYSLOG", path.into_os_string())])
}

fn chromium(apt: &mut Apt) -> Found {
    let mut packages = Vec::new();
    if find("chromium").is_none() || find("chromedriver").is_none() {
        packages.extend(["chromium", "chromium-driver"]);
    }
    if !shows_chinese() {
        packages.push("fonts-wqy-zenhei");
    }
    if !packages.is_empty() {
        apt.install(&packages).map_err(|error| format!("{error:#}"))?;
    }
    if !shows_chinese() {
        return Err("no Chinese font is installed, and the pages are Chinese".to_owned());
    }
    let path = |name| find(name).map(Into::into).ok_or("it was installed and cannot be found");
    Ok(vec![("INUSE_CHROMIUM", path("chromium")?), ("INUSE_CHROMEDRIVER", path("chromedriver")?)])
}

/// Whether a page in Chinese would be more than empty boxes.
fn shows_chinese() -> bool {
    if let Some(list) = find("fc-list") {
        return Command::new(list)
            .args([":lang=zh", "family"])
            .output()
            .is_ok_and(|fonts| !fonts.trim().is_empty());
    }
    has_chinese_font(Path::new("/usr/share/fonts"))
}

fn has_chinese_font(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if path.is_dir() { has_chinese_font(&path) } else { name.contains("cjk") || name.contains("wqy") }
    })
}
