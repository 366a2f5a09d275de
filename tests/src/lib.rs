//! Simulated machines, the people around them, and a clock that waits for everybody.
//!
//! What the demo and the whole-road tests stand on. The signals are recordings of real machines ([`recordings`]),
//! served by real Modbus and OPC UA servers and followed (or not) by people who write real log files ([`plant`]).
//! Time is [`clock::SimClock`], which only this package can construct: a shipped program has no way to be told the
//! time. Nothing here invents a machine signal; what is invented are firms, names and the people's behaviour.

pub mod browser;
pub mod chain;
pub mod chaos;
pub mod clock;
pub mod databases;
pub mod debian;
pub mod demo;
pub mod foreign;
pub mod http;
pub mod installer;
pub mod plant;
pub mod process;
pub mod recordings;
pub mod road;
pub mod site;
pub mod town;
