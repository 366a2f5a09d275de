//! What can go wrong with a source, by what can be done about it.

use std::io;

use proof::Cause;

/// Why a collector stopped.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// Nobody answers, or the line broke. Worth trying again.
    #[error("lost {endpoint}")]
    Lost {
        /// Host and port, or URL.
        endpoint: String,
        /// What the line said.
        source: io::Error,
    },
    /// It answered, and the answer was no: password, certificate, permission. Trying again soon is of no use.
    #[error("{endpoint} refused: {why}")]
    Refused {
        /// Host and port, URL or path.
        endpoint: String,
        /// In its words, or in ours what to do about it.
        why: String,
    },
    /// It answered something we cannot read.
    #[error("unreadable answer from {endpoint}: {why}")]
    Unreadable {
        /// Host and port, URL or path.
        endpoint: String,
        /// What was wrong with it.
        why: String,
    },
    /// The log is not there.
    #[error("{path} is missing")]
    Missing {
        /// Where it should be.
        path: String,
    },
    /// There is nobody left to give samples to.
    #[error("sample channel closed")]
    Closed,
}

impl CollectError {
    /// The cause under which the silence is recorded.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Lost { .. } => Cause::NoAnswer,
            Self::Refused { .. } => Cause::Refused,
            Self::Unreadable { .. } => Cause::Fault,
            Self::Missing { .. } => Cause::Missing,
            Self::Closed => Cause::Stopped,
        }
    }
}

/// Why a collector could not be made. A restart will not help; the manifest or the installation must change.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The program was built without this kind of source.
    #[error("this program was built without the `{kind}` collector")]
    NotBuiltIn {
        /// Name of the feature.
        kind: &'static str,
    },
    /// A file the source needs cannot be read or made.
    #[error("cannot use {path}")]
    File {
        /// Which one.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A client certificate could not be made or read.
    #[error("no client certificate: {why}")]
    Certificate {
        /// In the words of the library.
        why: String,
    },
    /// Where reading of a log stands was written by another version. To begin anew would count its records twice.
    #[error("where reading of {path} stands was stored by another version of this program: run that version")]
    Position {
        /// The log.
        path: String,
    },
    /// The map of a table was changed so that what was read of it says nothing of what is to be read.
    #[error(
        "what is stored of source `{source_name}` is of {before}, and the map now says {now}: take that back, or give \
         the source another name, under which the table is read from its beginning"
    )]
    OtherRows {
        /// The source's name.
        source_name: String,
        /// What was read before.
        before: String,
        /// What is to be read.
        now: String,
    },
    /// A pattern that passed the manifest's check does not compile here.
    #[error("pattern `{pattern}`: {why}")]
    Pattern {
        /// As written.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
}
