//! The frame around every program: logging, runtime, signals, readiness, exit code.

use std::future::Future;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::Level;
use tracing_subscriber::EnvFilter;

use crate::config::Complaints;
use crate::{Clock, Exit, SystemClock};

/// What a program is given by the frame.
pub struct Context {
    stop: CancellationToken,
    clock: Arc<dyn Clock>,
}

impl Context {
    /// Fires once, when the program should stop: SIGTERM or SIGINT.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// The clock of the operating system.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Tells the service manager that the program is ready, with one line for `systemctl status`.
    pub fn ready(&self, status: &str) {
        notify(&format!("READY=1\nSTATUS={status}"));
    }
}

/// Runs a program: a runtime, SIGTERM and SIGINT as one token, errors as a chain on standard error.
/// Ends with 64 when the error is [`Complaints`], else with 1.
pub fn run<F, R>(name: &str, program: F) -> ExitCode
where
    F: FnOnce(Context) -> R,
    R: Future<Output = anyhow::Result<Exit>>,
{
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(name, &anyhow::Error::new(error).context("could not start the runtime")),
    };
    let outcome = runtime.block_on(async {
        let stop = CancellationToken::new();
        listen(&stop)?;
        program(Context { stop, clock: Arc::new(SystemClock) }).await
    });
    // Blocking threads (name look-ups, say) must not keep the process.
    runtime.shutdown_background();
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => fail(name, &error),
    }
}

fn fail(name: &str, error: &anyhow::Error) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    if let Some(complaints) = error.downcast_ref::<Complaints>() {
        // A closed standard error leaves nobody to tell.
        drop(write!(stderr, "{complaints}"));
        return Exit::Usage.into();
    }
    drop(writeln!(stderr, "{name}: {}", chain(&**error)));
    Exit::Failed.into()
}

/// The error and all its sources: `a: b: c`.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

/// Logs to standard error from this level on; `INUSE_LOG` sets another filter. Calling it twice changes nothing.
///
/// Libraries speak from warnings on. The OPC UA client is silent: it logs an error of its own for each failed
/// connection, and for a key that it is about to make; what matters of it is a state here and told by the collector.
pub fn log_to_stderr(level: Level) {
    let libraries = level.min(Level::WARN);
    let rules = format!(
        "{level},opcua_client=off,opcua_crypto=off,opcua_core=off,opcua_server={libraries},rmqtt={libraries}"
    );
    let filter = EnvFilter::try_from_env("INUSE_LOG").unwrap_or_else(|_| EnvFilter::new(rules));
    let colours = std::io::stderr().is_terminal();
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    drop(subscriber.try_init());
}

/// Cancels `stop` at the first SIGTERM or SIGINT; a second one ends the process at once.
fn listen(stop: &CancellationToken) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = stop.clone();
    #[expect(clippy::disallowed_methods, reason = "the frame itself: it lives as long as the process")]
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("stopping");
        notify("STOPPING=1");
        stop.cancel();
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        std::process::exit(130);
    });
    Ok(())
}

/// One datagram to the service manager, where there is one (sd_notify(3)).
fn notify(message: &str) {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
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
