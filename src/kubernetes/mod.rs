//! Everything that speaks to a Kubernetes API server.
//!
//! Contexts and clients, guarded watches into one store a cluster, observations out of that store, effects
//! into it, the lease, the sync's apply, and the CRDs. Decisions are never taken here: `observe.rs` says
//! what is, `perform.rs` does what `engine` asked for. Read `cluster.rs` first.

pub mod access;
pub mod apply;
pub mod around;
pub mod cluster;
pub mod compare;
pub mod contexts;
pub mod crds;
pub mod credentials;
pub mod error;
pub mod events;
mod expiry;
pub mod health;
pub mod inventory;
pub mod json;
pub mod kinds;
mod kubeconfig;
pub mod lease;
pub mod objects;
pub mod observe;
mod patience;
pub mod perform;
pub mod plugin;
mod routing;
mod seen;
pub mod store;
pub mod stored;
pub mod transport;
pub mod upgrade;
pub mod verbs;
pub mod watch;
