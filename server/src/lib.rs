//! Composes broker, ingester, ledger, portal and enrolment on one box, or any one role of them.
//!
//! A library, so that the demo and the tests run the same server inside their own process:
//! [`compose::Server::build`] with a [`config::ServerConfig`] and a clock, [`compose::Server::run`] with a token.
//!
//! Promises: what can be wrong is said before anything runs, all at once; nobody speaks to the broker without a
//! certificate of our authority; pages only read. What it deliberately does not do: judge proofs (the ingester) or
//! use (the scorer), keep anything of its own beside keys and certificates (the ledger does), or trust the process's
//! default TLS provider (two are compiled in, rmqtt brings the second).

pub mod broker;
pub mod bundle;
pub mod ca;
pub mod commands;
pub mod compose;
pub mod config;
pub mod confirm;
pub mod enrol;
pub mod log_key;
pub mod pages;
pub mod projects;
pub mod token;
pub mod witnesses;
