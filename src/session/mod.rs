//! The assembly that console, command line and daemon share: contexts in, a read model out, commands in.
//!
//! Here adapters are put together. One task a context, so that a dead one is a row and not a wait; one
//! aggregation that publishes the whole fleet. Never here: drawing, printing, exiting. Read `fleet.rs`
//! first, then `context.rs`; the read model is `view.rs`.

pub mod analyst;
mod beat;
pub mod canaries;
pub mod command;
pub mod context;
pub mod driving;
pub mod fleet;
pub mod happening;
mod herald;
pub mod login;
pub mod operations;
mod permissions;
pub mod plan;
pub mod questions;
pub mod remembered;
mod roster;
mod secrets;
pub mod series;
pub mod show;
pub mod sync;
#[cfg(test)]
pub mod testing;
pub mod timeline;
pub mod view;
pub mod why;

pub use crate::runner::ports::Clock;

#[cfg(test)]
mod tests;
