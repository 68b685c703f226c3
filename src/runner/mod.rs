//! The shell round the engine: tasks, timers, leadership.
//!
//! Here live the loops that observe, step and perform, and the ports (traits) that adapters implement.
//! Never here: decisions (`engine` takes them) and Kubernetes (`kubernetes` speaks it). Read `ports.rs`
//! first, then `rollouts.rs`.

pub mod clock;
pub mod driver;
pub mod ports;
pub mod rollouts;
pub mod tally;
