//! Verbs: one pure step of a rollout, of a sync, and the rules that both must keep.
//!
//! Here live decisions: `(observation, now) -> one effect, when to look again, and why it waits`. Never
//! here: async, Kubernetes, files, clocks, randomness. The same observation always gives the same step,
//! so that a crash between any two effects ends where no crash would have. Read `step.rs` first, then
//! `observation.rs` and `effect.rs`, which are all it knows and all it can do. A strategy is a file in `strategy`; phases in
//! flight are in `flight.rs`, `promotion.rs`, `rollback.rs` and `leave.rs`.

pub mod analysis;
mod cookies;
pub mod effect;
mod flight;
mod gates;
mod intents;
pub mod invariants;
mod leave;
pub mod observation;
mod promotion;
pub mod report;
mod rollback;
pub mod step;
pub mod strategy;
pub mod sync;
pub mod verdict;
