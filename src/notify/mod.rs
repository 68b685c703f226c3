//! Calls that tell somebody something, or ask for a word: webhooks of an analysis, events, chat alerts.
//!
//! Where a call may go, how long it may last and how much of a reply is read is `outbound`'s to say. Read `webhook.rs` first.

pub mod alerts;
pub mod webhook;
