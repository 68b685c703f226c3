//! What rules ask of the series: which columns broke a limit, what the primary did beside them, when it began.

use jiff::{SignedDuration, Timestamp};

use super::{Evidence, Proof};
use crate::session::view::{Indicator, SloSeries};

/// The series that the check called `check` is judged by, as badness where there is one.
#[must_use]
pub fn of_check<'a>(evidence: &'a Evidence, check: &str) -> Option<&'a SloSeries> {
    let wanted = |series: &&SloSeries| match check {
        "request-success-rate" => series.indicator == Indicator::ErrorRate,
        "request-duration" => series.indicator == Indicator::ResponseTime,
        name => series.indicator == Indicator::Custom && series.name == name,
    };
    evidence.slo.iter().find(wanted)
}

/// Columns in which the canary is beyond the limit, in order.
#[must_use]
pub fn breaches(series: &SloSeries) -> Vec<usize> {
    let beyond = |(at, point): (usize, &Option<f64>)| point.filter(|v| series.breaks(*v)).map(|_| at);
    series.points.iter().enumerate().filter_map(beyond).collect()
}

/// Columns at the end that have no data.
#[must_use]
pub fn blind_for(series: &SloSeries) -> usize {
    series.points.iter().rev().take_while(|p| p.is_none()).count()
}

/// When column `at` was.
#[must_use]
pub fn moment(evidence: &Evidence, series: &SloSeries, at: usize) -> Timestamp {
    let step = i64::try_from(series.step).unwrap_or(1).max(1);
    let end = evidence.until.as_second() / step * step;
    let back = i64::try_from(series.points.len().saturating_sub(at + 1)).unwrap_or(0);
    Timestamp::from_second(end - back * step).unwrap_or(evidence.until)
}

/// The mean of what has data.
#[must_use]
pub fn mean(points: &[Option<f64>]) -> Option<f64> {
    let (sum, count) = points.iter().flatten().fold((0.0, 0_u32), |(sum, count), v| (sum + v, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// The columns `from` to `to` as a proof.
#[must_use]
pub fn proof(series: &SloSeries, from: usize, to: usize) -> Proof {
    Proof::Series { name: series.name.clone(), from, to }
}

/// A number with as many places as people read.
#[must_use]
pub fn figure(value: f64) -> String {
    let text = if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// `value` in the unit of `series`.
#[must_use]
pub fn in_unit(series: &SloSeries, value: f64) -> String {
    let unit = series.indicator.unit();
    format!("{}{}{unit}", figure(value), if unit.is_empty() { "" } else { " " })
}

/// How long something lasts, in its largest two units.
#[must_use]
pub fn span(seconds: i64) -> String {
    let (days, hours, minutes, rest) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes, rest) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, 0) => format!("{m}m"),
        (0, 0, m, s) => format!("{m}m{s}s"),
        (0, h, 0, _) => format!("{h}h"),
        (0, h, m, _) => format!("{h}h{m}m"),
        (d, 0, ..) => format!("{d}d"),
        (d, h, ..) => format!("{d}d{h}h"),
    }
}

/// How long ago `then` was.
#[must_use]
pub fn ago(now: Timestamp, then: Timestamp) -> String {
    span(now.duration_since(then).max(SignedDuration::ZERO).as_secs())
}
