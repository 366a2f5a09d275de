//! The service manager's side of a program: readiness, watchdog, one line of status (sd_notify(3)).

use std::ffi::OsString;
use std::time::Duration;

/// Reaches the service manager; does nothing where there is none.
#[derive(Debug, Clone, Default)]
pub struct Service {
    socket: Option<OsString>,
    watchdog: Option<Duration>,
}

impl Service {
    /// The one that started this process, as its environment names it.
    pub fn of_environment() -> Self {
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog =
            number("WATCHDOG_USEC").filter(|micros| *micros > 0 && ours).map(Duration::from_micros);
        Self { socket: std::env::var_os("NOTIFY_SOCKET"), watchdog }
    }

    /// None: for a program that runs inside another, as in tests.
    pub fn none() -> Self {
        Self::default()
    }

    /// How long the program may stay silent before it is killed; `None` without a watchdog.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The program is ready; one line for `systemctl status`.
    pub fn ready(&self, status: &str) {
        self.notify(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// The program does what it is for.
    pub fn alive(&self, status: &str) {
        self.notify(&format!("WATCHDOG=1\nSTATUS={}", one_line(status)));
    }

    /// The program has begun to stop.
    pub fn stopping(&self) {
        self.notify("STOPPING=1");
    }

    /// One datagram. A status is one line, whatever a source is called.
    fn notify(&self, message: &str) {
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::net::{SocketAddr, UnixDatagram};
        let Some(path) = &self.socket else { return };
        let path = path.as_encoded_bytes();
        let address = match path.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(std::ffi::OsStr::new(&*String::from_utf8_lossy(path))),
        };
        let sent = UnixDatagram::unbound()
            .and_then(|socket| address.and_then(|address| socket.send_to_addr(message.as_bytes(), &address)));
        if let Err(error) = sent {
            tracing::warn!(%error, "could not tell the service manager");
        }
    }
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn the_service_manager_hears_readiness_and_life_in_its_own_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let service = Service { socket: Some(path.into_os_string()), watchdog: None };
        service.ready("collecting");
        service.alive("all\nwell");
        service.stopping();
        let mut heard = [0; 100];
        for expected in ["READY=1\nSTATUS=collecting", "WATCHDOG=1\nSTATUS=all well", "STOPPING=1"] {
            let length = manager.recv(&mut heard).unwrap();
            assert_eq!(std::str::from_utf8(&heard[..length]).unwrap(), expected);
        }
        Service::none().ready("nobody hears this");
    }
}
