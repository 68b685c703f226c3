//! A simulated fleet: clusters, repositories and people that live in this process alone, for the demo and for tests.
//!
//! Here are an API server in memory (`api`, with its typing and field ownership in `fields`), the world round it
//! (`world`: controllers, mesh, traffic, metrics, webhooks), and what is played on them. What runs above the HTTP client
//! is production code, over a `line` that can be disturbed. Never here: anything that production needs; only the
//! command line (for the demo) and tests may name this room. The API server answers 501 to every request whose shape no
//! contract test has tried on a real one. Read `line.rs` first, then `stage.rs`.
//!
//! | file | holds |
//! |---|---|
//! | `api` | the API server: storage, requests, watches |
//! | `fields` | types, defaults, validation, server-side apply and who owns which field |
//! | `world` | what lives round it, advanced by virtual time |
//! | `line` | what kube's Client takes for the network, and what happens to requests on it |
//! | `listener` | the same servers behind loopback TLS |
//! | `cluster`, `process`, `app` | one of each |
//! | `kinds` | every strategy, and what else a Canary may ask for |
//! | `signal` | a value that many wait for, woken in a fixed order |
//! | `stage` | a cluster with applications, engines and an operator |
//! | `rehearse` | one rollout, ended after every write |
//! | `plan`, `play` | whatever a seed says, then healing, then the question whether all came to its end |
//! | `check` | rules over what a cluster goes through |
//! | `demo` | three clouds, a vendor, and a story |
//! | `load` | many canaries and a storm of changes, to be carried |

pub mod api;
pub mod app;
mod base64;
pub mod check;
pub mod cluster;
pub mod demo;
pub mod fields;
pub mod kinds;
pub mod line;
pub mod listener;
pub mod load;
pub mod plan;
pub mod play;
pub mod process;
pub mod rehearse;
pub mod signal;
pub mod stage;
pub mod world;
