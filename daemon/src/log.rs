//! What programs log, and how that is changed while they run.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

/// Longest set of rules that is taken.
const MAX_RULES: usize = 1_000;

static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Why other rules were not taken.
#[derive(Debug, thiserror::Error)]
pub enum LogRulesError {
    /// They cannot be read.
    #[error("`{rules}` are no rules for the log; write them like \"info\" or \"info,collectors=debug\"")]
    Unreadable {
        /// As given, cut to what can be shown.
        rules: String,
    },
    /// This program's log was set up by somebody else.
    #[error("this program does not log by rules")]
    NotOurs,
}

/// Logs to standard error from this level on; `INUSE_LOG` sets other rules. Calling it twice changes nothing.
///
/// Libraries speak from warnings on. The OPC UA client is silent: it logs an error of its own for each failed
/// connection, and for a key that it is about to make; what matters of it is a state here and told by the collector.
pub fn log_to_stderr(level: Level) {
    let libraries = level.min(Level::WARN);
    let quiet = ["opcua_client", "opcua_crypto", "opcua_core"].map(|library| (library, LevelFilter::OFF));
    let rules = Targets::new()
        .with_default(level)
        .with_targets(quiet)
        .with_targets(["opcua_server", "rmqtt"].map(|library| (library, libraries)));
    let asked = std::env::var("INUSE_LOG").ok();
    let read = asked.as_ref().map(|asked| asked.parse::<Targets>());
    let unreadable = read.as_ref().is_some_and(Result::is_err);
    let (filter, handle) = reload::Layer::new(read.and_then(Result::ok).unwrap_or(rules));
    let lines = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        // Only who set it up can change it.
        drop(FILTER.set(handle));
        if unreadable {
            tracing::warn!(INUSE_LOG = asked, "cannot be read as rules for the log; the usual ones hold");
        }
    }
}

/// Logs by other rules from now on, until the program ends.
///
/// # Errors
/// When the rules cannot be read, or the log is not ours.
pub fn set_log_rules(rules: &str) -> Result<(), LogRulesError> {
    let unreadable = || LogRulesError::Unreadable { rules: rules.chars().take(100).collect() };
    if rules.trim().is_empty() || rules.len() > MAX_RULES {
        return Err(unreadable());
    }
    let filter: Targets = rules.parse().map_err(|_| unreadable())?;
    let handle = FILTER.get().ok_or(LogRulesError::NotOurs)?;
    handle.reload(filter).map_err(|_| LogRulesError::NotOurs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_before_they_are_taken() {
        for wrong in ["", " ", "collectors=loud", "a=b=c", &"a".repeat(2_000)] {
            assert!(matches!(set_log_rules(wrong), Err(LogRulesError::Unreadable { .. })), "{wrong}");
        }
        log_to_stderr(Level::INFO);
        set_log_rules("warn,collectors=debug").unwrap();
    }
}
