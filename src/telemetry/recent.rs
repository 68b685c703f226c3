//! The last lines of the log in memory: for the log screen of a console, and for reports of panics.

use std::collections::VecDeque;
use std::fmt::{Debug, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines that are kept.
const KEPT: usize = 1_000;
/// Bytes of one line; the file has all of them.
const LONGEST: usize = 2_000;

/// A line of the log.
#[derive(Clone, Debug)]
pub struct Line {
    /// Counted from the start of the process.
    pub number: u64,
    /// When it was written.
    pub at: Timestamp,
    /// How bad it is.
    pub level: Level,
    /// The module that wrote it.
    pub from: &'static str,
    /// The message, and behind it the fields.
    pub text: String,
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<Line>,
    written: u64,
}

static RING: Mutex<Ring> = Mutex::new(Ring { lines: VecDeque::new(), written: 0 });

fn ring() -> MutexGuard<'static, Ring> {
    RING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last lines, oldest first.
#[must_use]
pub fn lines() -> Vec<Line> {
    ring().lines.iter().cloned().collect()
}

/// The last `count` lines as text, without waiting for anybody; fewer, or none, where they are being written.
pub(super) fn tail(count: usize) -> Vec<String> {
    let ring = match RING.try_lock() {
        Ok(ring) => ring,
        Err(TryLockError::Poisoned(ring)) => ring.into_inner(),
        Err(TryLockError::WouldBlock) => return Vec::new(),
    };
    let skip = ring.lines.len().saturating_sub(count);
    ring.lines.iter().skip(skip).map(|line| format!("{:.0} {:>5} {}: {}", line.at, line.level, line.from, line.text)).collect()
}

fn keep(level: Level, from: &'static str, mut text: String) {
    text.truncate(text.floor_char_boundary(LONGEST));
    let mut ring = ring();
    if ring.lines.len() >= KEPT {
        ring.lines.pop_front();
    }
    ring.written += 1;
    let number = ring.written;
    ring.lines.push_back(Line { number, at: Timestamp::now(), level, from, text });
}

/// Keeps what is logged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recent;

impl<S: Subscriber> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let metadata = event.metadata();
        keep(*metadata.level(), metadata.target(), said.message + &said.fields);
    }
}

#[derive(Default)]
struct Said {
    message: String,
    fields: String,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn lines_are_kept_with_their_fields_and_only_so_many() {
        let subscriber = tracing_subscriber::registry().with(Recent);
        tracing::subscriber::with_default(subscriber, || {
            for at in 0..KEPT + 5 {
                tracing::warn!(at, who = %"ana", "a line of the test of recent lines");
            }
        });
        let lines = lines();
        assert!(lines.len() <= KEPT);
        let last = lines.iter().rev().find(|line| line.text.starts_with("a line of the test")).expect("a line");
        assert_eq!(last.text, format!("a line of the test of recent lines at={} who=ana", KEPT + 4));
        assert_eq!((last.level, last.from), (Level::WARN, "pilothouse::telemetry::recent::tests"));
        assert!(lines.windows(2).all(|pair| pair[0].number < pair[1].number));
        assert!(tail(3).len() <= 3);
    }
}
