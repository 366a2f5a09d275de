//! Whether the running agent asks on a line: two who ask there take each other's answers, and many devices serve one.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use collectors::manifest::{Framing, Kind, Line, Source};

use crate::status;

/// Refuses a source whose line carries answers that do not say to which question they belong, while the agent whose
/// status socket this is asks on it.
///
/// # Errors
/// Names the agent's source.
pub async fn ensure_free_for(socket: &Path, source: &Source) -> anyhow::Result<()> {
    match &source.kind {
        Kind::Modbus(device) if device.line.framing == Framing::Rtu => {
            ensure_free(socket, &device.line).await
        }
        Kind::Modbus(_)
        | Kind::OpcUa(_)
        | Kind::Log(_)
        | Kind::Mqtt(_)
        | Kind::Syslog(_)
        | Kind::Table(_) => Ok(()),
    }
}

/// Refuses a line that the agent whose status socket this is asks on; where nobody answers there is none.
///
/// # Errors
/// Names the agent's source.
pub async fn ensure_free(socket: &Path, line: &Line) -> anyhow::Result<()> {
    let Ok(status) = status::ask(socket).await else { return Ok(()) };
    let wanted = real(&line.address());
    for source in &status.sources {
        let theirs = source.address.rsplit_once(" unit ").map_or(&*source.address, |(line, _)| line);
        ensure!(
            real(theirs) != wanted,
            "the running agent asks `{}` over {}: stop it first (systemctl stop inuse-agent); a stop by hand is \
             declared as one",
            source.name,
            line.address()
        );
    }
    Ok(())
}

/// The device file behind a link; an address as it is.
fn real(address: &str) -> PathBuf {
    std::fs::canonicalize(address).unwrap_or_else(|_| address.into())
}

#[cfg(test)]
mod tests {
    use collectors::manifest::Manifest;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::status::{SourceStatus, Status};

    fn device(line: &str) -> Source {
        let text = format!(
            "[[lines]]\nname = \"rs485\"\n{line}\n[[sources]]\nname = \"press\"\n[sources.modbus]\nline = \"rs485\"\n\
             points = [{{ name = \"a\", address = 0 }}]\n"
        );
        Manifest::parse("manifest.toml", &text, Path::new("")).unwrap().sources.remove(0)
    }

    #[tokio::test]
    async fn a_serial_line_of_the_running_agent_is_not_asked_on_under_any_of_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let (port, link) = (folder.path().join("ttyUSB0"), folder.path().join("by-id"));
        std::fs::write(&port, b"").unwrap();
        std::os::unix::fs::symlink(&port, &link).unwrap();
        let socket = folder.path().join(status::SOCKET);
        let address = format!("{} unit 7", port.display());
        let source = SourceStatus { name: "oven".to_owned(), address, ..SourceStatus::default() };
        let told = serde_json::to_vec(&Status { sources: vec![source], ..Status::default() }).unwrap();
        let listener = status::listen(&socket).unwrap();
        let agent = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; "status\n".len()];
                stream.read_exact(&mut request).await.unwrap();
                stream.write_all(&told).await.unwrap();
            }
        };
        let asking = async {
            let taken = device(&format!("serial = \"{}\"", link.display()));
            let refused = ensure_free_for(&socket, &taken).await.unwrap_err().to_string();
            assert!(refused.contains("asks `oven` over") && refused.contains("systemctl stop"), "{refused}");
            let another = device("serial = \"/dev/ttyUSB9\"");
            ensure_free_for(&socket, &another).await.unwrap();
            // Its answers say which question they belong to.
            ensure_free_for(&socket, &device("connect = \"192.0.2.1:502\"")).await.unwrap();
        };
        tokio::select! { () = agent => unreachable!(), () = asking => {} }
        drop(listener);
        // Nobody answers: there is no agent.
        ensure_free_for(&socket, &device(&format!("serial = \"{}\"", port.display()))).await.unwrap();
    }
}
