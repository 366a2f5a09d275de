//! Pages and API for the firm, the expert, the district and the city.
//!
//! Promised: a page draws what its [`Source`] answers and decides nothing; every number opens down to the windows it
//! stands on and every window to the bytes that were signed; each page is whole in Chinese and in English, works
//! without the internet and without its script, and prints on A4; no person is ranked; city figures are withheld
//! where they would speak of a single firm.
//!
//! Deliberately absent: log-in and roles (the server binds where it may be seen), scoring (that is `scorer`), storage
//! (that is `ledger`), any answer that changes something but one: a firm confirms its gateway's key.

mod api;
mod board;
pub mod chart;
mod figures;
mod http;
mod lang;
mod page;
mod pages;
pub use board::{Board, Plan};
mod source;
mod words;

pub use http::router;
pub use lang::Lang;
pub use source::{
    About, ChainFacts, Confirming, Cosigned, Firm, Gateway, LogFacts, MAX_DAY, Names, Said, Source,
    SourceError, SourceStrip, Typed,
};

/// A firm's assessment with the versions of its rules, as `/api/firms/<id>` gives it.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn assessment_json(firm: &Firm) -> Result<String, serde_json::Error> {
    api::firm(firm)
}
