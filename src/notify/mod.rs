//! Calls to the outside: webhooks of an analysis (chat alerts come with later work).
//!
//! A call is bounded in time, in size and in where it may go. Read `address.rs` for the last.

pub mod address;
pub mod webhook;
