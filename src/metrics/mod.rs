//! Metric servers: the built-in query catalogue and Prometheus.
//!
//! Here an answer is a number, "no data" or an error; whether it is good enough is judged by
//! `engine::analysis`. Read `catalogue.rs` first.

pub mod catalogue;
pub mod prometheus;
