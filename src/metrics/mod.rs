//! Metric servers, one file each: a request made of a template, and a number read from the reply.
//!
//! Here an answer is a number, "no data" or an error; whether it is good enough is judged by
//! `engine::analysis`. Read `providers/datadog.rs` first; a new provider is a file like it and a row in
//! [`providers::PROVIDERS`].

pub mod catalogue;
pub mod prometheus;
pub mod providers;
pub mod template;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::template::MetricProvider;

/// One check by a `MetricTemplate`, ready to be asked. It holds secrets, and so is never printed.
#[derive(Clone)]
pub struct Check<'a> {
    pub provider: &'a MetricProvider,
    /// Data of the Secret that the provider names, decoded; `None` where it names none.
    pub secret: Option<&'a BTreeMap<String, Vec<u8>>>,
    /// The query with everything filled in.
    pub query: &'a str,
    /// The metric's interval; `None` where it has none.
    pub window: Option<Duration>,
    pub now: Timestamp,
    /// Environment of the process, for credentials that live there (`AWS_…`, `GOOGLE_APPLICATION_CREDENTIALS`).
    pub environment: &'a BTreeMap<String, String>,
    /// Reads a file that `environment` names; the error is a sentence. No other file is read.
    pub read_file: fn(&str) -> Result<String, String>,
}
