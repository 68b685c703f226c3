//! Traffic routing, one file per router: pure functions over the route's JSON.
//!
//! A router says what its objects should be, reads the weights they have, and edits them in place, so that
//! fields of others survive. It never talks to a cluster; `kubernetes::observe` and `kubernetes::perform`
//! do. Read `istio.rs` first.

pub mod istio;
