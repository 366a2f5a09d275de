//! Exit codes, after sysexits.h.

use std::process::ExitCode;

/// Why a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All done.
    Ok,
    /// It failed while running; a restart may help.
    Failed,
    /// The answer of a checking command is no (not a failure of the program).
    No,
    /// Configuration or command line is wrong (64); a restart will not help.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Ok => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::No => Self::from(2),
            Exit::Usage => Self::from(64),
        }
    }
}
