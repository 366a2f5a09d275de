//! The commands with which an installer asks by hand: `scan`, `decode`, `load`, read-only and slow by intent; and
//! `show`, which opens the past, `label`, which says what it was, `sums`, which computes a day again, and `baseline`, what was before all of it.

mod baseline;
#[cfg(feature = "modbus")]
mod decode;
mod label;
#[cfg(feature = "modbus")]
mod line;
mod load;
mod rotate;
#[cfg(feature = "modbus")]
mod scan;
mod show;
mod sums;

pub(crate) use baseline::Baseline;
#[cfg(feature = "modbus")]
pub(crate) use decode::Decode;
pub(crate) use label::Label;
#[cfg(feature = "modbus")]
pub(crate) use line::ensure_free_for;
pub(crate) use load::Load;
pub(crate) use rotate::rotate_key;
#[cfg(feature = "modbus")]
pub(crate) use scan::Scan;
pub(crate) use show::Show;
pub(crate) use sums::Sums;

use std::io::IsTerminal as _;

use crate::print;

/// One line on a terminal that is written over again and again; nothing where standard error is no terminal.
struct Progress {
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self { shown: std::io::stderr().is_terminal() }
    }

    fn say(&self, text: &str) -> std::io::Result<()> {
        if self.shown { print::err(&format!("\r\x1b[K{text}")) } else { Ok(()) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            // A closed terminal leaves nobody to tell.
            drop(print::err("\r\x1b[K"));
        }
    }
}
