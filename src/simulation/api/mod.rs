//! An API server in memory: it answers the requests of a Kubernetes client as kube-apiserver answers them, under a clock
//! that the caller gives. Simulations run whole clusters on it; `contract` compares it with a real one.
//!
//! Read `write.rs` for what a write goes through, `watch.rs` for how changes reach clients, and `shapes.rs` for what is
//! served at all.

mod ask;
mod definitions;
mod delete;
mod discovery;
mod garbage;
mod kinds;
mod object;
mod patch;
mod prepare;
mod proxy;
mod read;
mod request;
mod reviews;
mod scale;
mod selectors;
mod server;
mod shapes;
mod state;
mod status;
mod store;
mod strict;
mod watch;
mod write;

use super::fields;

pub use object::set as set_field;
pub use proxy::{ProxyReply, ProxyRequest};
pub use request::Verb;
pub use server::{ApiServer, Options, Reply};
pub use shapes::{Asked, Class, DOCUMENTS, OPTIONS, Part, SHAPES, Shape};
pub use state::{Write, WriteVerb};
pub use status::{Details, Status, StatusCause};
pub use watch::WatchStream;
