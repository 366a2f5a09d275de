//! The frame around every program: runtime, signals, exit code.

use std::future::Future;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::Complaints;
use crate::{Clock, Exit, Service, SystemClock};

/// What a program is given by the frame.
pub struct Context {
    stop: CancellationToken,
    clock: Arc<dyn Clock>,
    service: Service,
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

    /// The service manager, where there is one.
    pub fn service(&self) -> Service {
        self.service.clone()
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
        let (stop, service) = (CancellationToken::new(), Service::of_environment());
        listen(&stop, service.clone())?;
        program(Context { stop, clock: Arc::new(SystemClock), service }).await
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

/// Cancels `stop` at the first SIGTERM or SIGINT; a second one ends the process at once.
fn listen(stop: &CancellationToken, service: Service) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = stop.clone();
    #[expect(clippy::disallowed_methods, reason = "the frame itself: it lives as long as the process")]
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("stopping");
        service.stopping();
        stop.cancel();
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        std::process::exit(130);
    });
    Ok(())
}
