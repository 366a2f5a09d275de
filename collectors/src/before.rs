//! What there was before a source was watched: asked once, when a gateway enrols.
//!
//! Who sells an old system as a new one has to explain what was there on the day the gateway came (新瓶装旧酒): rows
//! and lines from long before, a schema that was never changed. The answers stay on the gateway; their hash stands in
//! the log of the city from the enrolment on.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::CollectError;
use crate::manifest::{Kind, Source};

/// One thing that a source said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// What it is about, in a few words of fixed text.
    pub name: String,
    /// What was found; several lines where it is a list.
    pub value: String,
}

impl Fact {
    /// One fact.
    pub fn new(name: &str, value: impl ToString) -> Self {
        Self { name: name.to_owned(), value: value.to_string() }
    }
}

/// Asks `source` what is there. `state_dir` as in [`crate::build`]. A source that only listens has nothing to say.
///
/// # Errors
/// As [`crate::probe`].
#[cfg_attr(not(feature = "opcua"), expect(unused_variables, reason = "only OPC UA keeps keys"))]
pub async fn before(source: &Source, state_dir: &Path) -> Result<Vec<Fact>, CollectError> {
    match &source.kind {
        #[cfg(feature = "modbus")]
        Kind::Modbus(device) => crate::modbus::before(device).await,
        #[cfg(feature = "opcua")]
        Kind::OpcUa(server) => crate::opcua::before(source, server, state_dir).await,
        #[cfg(feature = "log")]
        Kind::Log(file) => crate::log::before(file).await,
        #[cfg(feature = "sql")]
        Kind::Table(table) => crate::sql::before(source, table).await,
        // Nobody keeps what was said before somebody listened.
        Kind::Mqtt(_) | Kind::Syslog(_) => Ok(Vec::new()),
        #[cfg(not(all(feature = "modbus", feature = "opcua", feature = "log", feature = "sql")))]
        _ => Err(crate::probe::left_out(source)),
    }
}
