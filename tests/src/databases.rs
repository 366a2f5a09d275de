//! PostgreSQL and MariaDB as Debian has them, each in a folder of its own, with TLS, for a test.
//!
//! Where they are stands in variables that `cargo xtask test` sets (`INUSE_POSTGRESQL`, the folder of its programs;
//! `INUSE_MARIADB`, the server). They listen on loopback at a port of the system's choice; as root they run as nobody,
//! because PostgreSQL insists. What a business system writes is written by their own command-line clients.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::foreign::{fed, needed};
use crate::process::{PATIENCE, Process, free_address, until};

/// Name of the database that is made.
pub const DATABASE: &str = "mes";
/// The account that may only read, and its password.
pub const READER: (&str, &str) = ("inuse", "只读 password");
/// An account that may write, and its password.
pub const WRITER: (&str, &str) = ("mes_app", "writer");

/// A database server.
pub struct Server {
    product: Product,
    folder: TempDir,
    address: String,
    process: Option<Process>,
    pin: String,
}

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// PostgreSQL.
    PostgreSql,
    /// MariaDB.
    MariaDb,
}

impl Server {
    /// Makes one and starts it.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(product: Product) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let pin = certify(folder.path())?;
        let address = free_address()?;
        let mut server = Self { product, folder, address, process: None, pin };
        own(server.folder.path())?;
        server.install().await?;
        server.up().await?;
        server.accounts().await?;
        Ok(server)
    }

    /// Which one it is.
    pub fn product(&self) -> Product {
        self.product
    }

    /// Its port.
    pub fn port(&self) -> &str {
        self.address.rsplit(':').next().unwrap_or_default()
    }

    /// SHA-256 of its certificate, in hex.
    pub fn pin(&self) -> &str {
        &self.pin
    }

    /// The certificate of the authority that signed its own, for `localhost`.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Starts it again after [`Server::kill`].
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn up(&mut self) -> anyhow::Result<()> {
        let data = self.data();
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let (certificate, key, ca) = (file("server.pem"), file("server.key"), file("ca.pem"));
        let (socket, port) = (self.folder.path().display().to_string(), self.port().to_owned());
        let command = match self.product {
            Product::PostgreSql => {
                let mut command = unprivileged(needed("INUSE_POSTGRESQL")?.join("postgres"));
                command.arg("-D").arg(data);
                for setting in [
                    "listen_addresses=127.0.0.1".to_owned(),
                    format!("port={port}"),
                    format!("unix_socket_directories={socket}"),
                    "ssl=on".to_owned(),
                    format!("ssl_cert_file={certificate}"),
                    format!("ssl_key_file={key}"),
                ] {
                    command.arg("-c").arg(setting);
                }
                command
            }
            Product::MariaDb => {
                let mut command = unprivileged(needed("INUSE_MARIADB")?);
                command.args([
                    "--no-defaults".to_owned(),
                    format!("--datadir={}", data.display()),
                    format!("--port={port}"),
                    "--bind-address=127.0.0.1".to_owned(),
                    format!("--tmpdir={socket}"),
                    format!("--socket={socket}/sock"),
                    format!("--pid-file={socket}/pid"),
                    format!("--ssl-cert={certificate}"),
                    format!("--ssl-key={key}"),
                    format!("--ssl-ca={ca}"),
                ]);
                command
            }
        };
        let process = Process::spawn("a database", command, &self.folder.path().join("server.log"))?;
        self.process.insert(process).listens(&self.address).await?;
        let ready = || async { Ok(self.write_in(None, "SELECT 1").await.ok().map(drop)) };
        until("the database answers", ready).await
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When it had ended before.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("it runs")?.kill_9().await
    }

    /// Runs statements as the business system does; returns what they print.
    ///
    /// # Errors
    /// When one fails.
    pub async fn write(&self, text: &str) -> anyhow::Result<String> {
        self.write_in(Some(DATABASE), text).await
    }

    /// Ends every session of the account that only reads; returns whether there was one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn cut_reader(&self) -> anyhow::Result<bool> {
        let reader = READER.0;
        match self.product {
            Product::PostgreSql => {
                let text = format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{reader}'"
                );
                Ok(self.write(&text).await?.contains('t'))
            }
            Product::MariaDb => {
                let there =
                    format!("SELECT 'there' FROM information_schema.processlist WHERE user = '{reader}'");
                let there = self.write(&there).await?.contains("there");
                self.write(&format!("KILL CONNECTION USER '{reader}'@'%'")).await?;
                Ok(there)
            }
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    async fn install(&self) -> anyhow::Result<()> {
        let mut command = match self.product {
            Product::PostgreSql => {
                let mut command = unprivileged(needed("INUSE_POSTGRESQL")?.join("initdb"));
                command.args(["--username=postgres", "--auth-host=scram-sha-256", "--auth-local=trust"]);
                command.args(["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-D"]).arg(self.data());
                command
            }
            Product::MariaDb => {
                let mut command = unprivileged("mariadb-install-db".into());
                command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
                command.arg(format!("--datadir={}", self.data().display()));
                // Two that are installed at once would name their temporary tables alike.
                command.env("TMPDIR", self.folder.path());
                command
            }
        };
        ended_well(&mut command).await.map(drop)
    }

    async fn accounts(&self) -> anyhow::Result<()> {
        let ((reader, reads), (writer, writes)) = (READER, WRITER);
        let statements = match self.product {
            Product::PostgreSql => vec![
                format!("CREATE DATABASE {DATABASE}"),
                format!("CREATE ROLE {reader} LOGIN PASSWORD '{reads}'"),
                format!("CREATE ROLE {writer} LOGIN PASSWORD '{writes}'"),
            ],
            Product::MariaDb => vec![
                format!("CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4"),
                format!("CREATE USER {reader}@'%' IDENTIFIED BY '{reads}'"),
                format!("CREATE USER {writer}@'%' IDENTIFIED BY '{writes}'"),
                format!("GRANT SELECT ON {DATABASE}.* TO {reader}@'%'"),
                format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {DATABASE}.* TO {writer}@'%'"),
            ],
        };
        for statement in statements {
            self.write_in(None, &statement).await?;
        }
        if self.product == Product::PostgreSql {
            let granted = format!(
                "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {reader}; \
                 ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {writer}"
            );
            self.write(&granted).await?;
        }
        Ok(())
    }

    async fn write_in(&self, database: Option<&str>, text: &str) -> anyhow::Result<String> {
        // By standard input: an argument would be too long for many rows.
        let mut command = self.client(database)?;
        printed(fed(&mut command, &format!("{text};\n")).await?, "a client")
    }

    /// A session that is told one statement after the other: what it begins may stay open.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn session(&self) -> anyhow::Result<Session> {
        let mut command = self.client(Some(DATABASE))?;
        if self.product == Product::MariaDb {
            command.arg("--unbuffered");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let stdin = child.stdin.take().context("a piped standard input")?;
        let lines = BufReader::new(child.stdout.take().context("a piped standard output")?).lines();
        Ok(Session { _child: child, stdin, lines })
    }

    fn client(&self, database: Option<&str>) -> anyhow::Result<Command> {
        let folder = self.folder.path();
        Ok(match self.product {
            Product::PostgreSql => {
                let mut command = Command::new(needed("INUSE_POSTGRESQL")?.join("psql"));
                command.args([
                    "--no-psqlrc",
                    "-qAt",
                    "-v",
                    "ON_ERROR_STOP=1",
                    "-U",
                    "postgres",
                    "-p",
                    self.port(),
                ]);
                command.arg("-h").arg(folder).args(["-d", database.unwrap_or("postgres")]);
                command
            }
            Product::MariaDb => {
                let mut command = Command::new("mariadb");
                command.args([
                    "--no-defaults",
                    "-N",
                    "-B",
                    "--default-character-set=utf8mb4",
                    "-u",
                    "root",
                    "-S",
                ]);
                command.arg(folder.join("sock")).args(database);
                command
            }
        })
    }
}

/// A client that goes on being told statements.
pub struct Session {
    _child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Session {
    /// Runs a statement without an answer, and waits until it has been run.
    ///
    /// # Errors
    /// When the client ends or does not answer.
    pub async fn run(&mut self, text: &str) -> anyhow::Result<()> {
        self.stdin.write_all(format!("{text};\nSELECT 'done';\n").as_bytes()).await?;
        self.stdin.flush().await?;
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.context("no answer")??;
        ensure!(line.as_deref() == Some("done"), "{text}: {line:?}");
        Ok(())
    }
}

async fn ended_well(command: &mut Command) -> anyhow::Result<String> {
    let ran =
        command.kill_on_drop(true).output().await.with_context(|| format!("could not start {command:?}"))?;
    printed(ran, &format!("{command:?}"))
}

fn printed(ran: Output, what: &str) -> anyhow::Result<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(ran.status.success(), "{what}: {}{}", text(&ran.stdout), text(&ran.stderr));
    Ok(text(&ran.stdout))
}

/// A command that runs as nobody where we are root.
fn unprivileged(program: PathBuf) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(program);
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// Gives the folder to whom the server runs as.
fn own(folder: &Path) -> anyhow::Result<()> {
    if is_root() {
        let given =
            std::process::Command::new("chown").args(["-R", "nobody:nogroup"]).arg(folder).status()?;
        ensure!(given.success(), "could not give {} away", folder.display());
    }
    Ok(())
}

/// An authority and a server's certificate in `folder`; returns the hash of the latter.
fn certify(folder: &Path) -> anyhow::Result<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let authority_key = rcgen::KeyPair::generate()?;
    let mut authority = rcgen::CertificateParams::new(Vec::new())?;
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    std::fs::write(folder.join("ca.pem"), authority.self_signed(&authority_key)?.pem())?;
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate()?;
    let certificate =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &issuer)?;
    std::fs::write(folder.join("server.pem"), certificate.pem())?;
    std::fs::write(folder.join("server.key"), key.serialize_pem())?;
    std::fs::set_permissions(folder.join("server.key"), std::fs::Permissions::from_mode(0o600))?;
    Ok(data_encoding::HEXLOWER.encode(&Sha256::digest(certificate.der())))
}
