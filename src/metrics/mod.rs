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

/// The moments at which a series is asked for. Aligned to the step, so that a point keeps its value from one refresh to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Seconds since 1970.
    start: i64,
    /// Seconds since 1970, the last moment.
    end: i64,
    /// Seconds.
    step: i64,
    points: usize,
}

impl Grid {
    /// `points` moments, `step` apart, the last of them not after `end`.
    #[must_use]
    pub fn ending(end: Timestamp, step: Duration, points: usize) -> Self {
        let step = i64::try_from(step.as_secs()).unwrap_or(1).max(1);
        let end = end.as_second() / step * step;
        Self { start: end - step * (i64::try_from(points).unwrap_or(1) - 1), end, step, points }
    }

    /// Samples, each a time in seconds and a value, put at their moments; `None` where there is none, or no finite one.
    fn place(&self, samples: impl Iterator<Item = (f64, f64)>) -> Vec<Option<f64>> {
        let mut out = vec![None; self.points];
        for (at, value) in samples {
            #[expect(clippy::cast_possible_truncation, reason = "timestamps of samples are seconds near now")]
            let index = (at as i64 - self.start) / self.step;
            if let Some(slot) = usize::try_from(index).ok().and_then(|i| out.get_mut(i)) {
                *slot = Some(value).filter(|v| v.is_finite());
            }
        }
        out
    }
}
