//! What the rules say of synthetic factories: honest ones are never accused, the table of the draft rules holds.

#![expect(clippy::unwrap_used, reason = "a test may fail")]
#![expect(clippy::print_stderr, reason = "the rates found are worth reading")]

mod files;
mod findings;
mod look_alikes;
mod machines;
mod plant;
mod rules;
mod table;
