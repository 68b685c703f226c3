//! Verbs: one pure step of a rollout, of a sync, and the rules that both must keep.
//!
//! Here live decisions: `(observation, now) -> one effect, when to look again, and why it waits`. Never
//! here: async, Kubernetes, files, clocks, randomness. The same observation always gives the same step,
//! so that a crash between any two effects ends where no crash would have. Read `step.rs` first, then
//! `observation.rs` and `effect.rs`, which are all it knows and all it can do.

pub mod analysis;
pub mod effect;
pub mod flight;
pub mod intents;
pub mod invariants;
pub mod observation;
pub mod report;
pub mod step;
pub mod sync;
