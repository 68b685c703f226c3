//! Nouns: the pure types of the field and their laws.
//!
//! Here live the Canary API (Flagger's, field for field), phases, intents, revisions, gates, readiness
//! rules and the fleet file's nouns. Never here: async, Kubernetes clients, files, clocks, randomness;
//! time is an argument. Read `phase.rs` first, then `canary.rs`.

pub mod alert;
pub mod api;
pub mod canary;
pub mod driver;
pub mod duration;
pub mod finding;
pub mod fleet;
pub mod intent;
pub mod phase;
pub mod readiness;
pub mod revision;
pub mod status;
pub mod target;
pub mod template;
pub mod text;
pub mod traffic;
