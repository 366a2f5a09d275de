//! The forge: seeded, whole factories at the level of what a gateway observes, honest ones and forged ones, and a table
//! of what the scorer says of them. Rules get their thresholds from one range of seeds and are judged on another.
//!
//! A factory is minutes of machines and lines of a business log ([`mod@factory`]). A gateway's windows of it are folded as a
//! server folds them ([`gateway`]), and judged ([`judge`]).

pub mod factory;
pub mod forged;
pub mod gateway;
pub mod honest;
pub mod judge;
pub mod table;

mod dice;
mod machine;
mod office;
mod plan;

pub use factory::Factory;
pub use machine::Machine;
pub use plan::calendar;

/// The factory of a class and a seed, honest or forged; `None` where no class has this name.
pub fn factory(class: &str, seed: u64) -> Option<Factory> {
    honest::honest(class, seed).or_else(|| forged::forged(class, seed))
}

/// Names of all classes, honest ones first.
pub fn classes() -> impl Iterator<Item = &'static str> {
    honest::CLASSES.iter().chain(&forged::FORGERIES).map(|(name, _)| *name)
}
