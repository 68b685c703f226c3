//! Flagger's duration words: digits, then `s` or `m`.

use std::time::Duration;

/// `analysis.interval` where it is empty or cannot be read (Flagger's default).
pub const DEFAULT_INTERVAL: Duration = Duration::from_mins(1);
/// No canary is stepped more often than this (Flagger's lower bound).
pub const SHORTEST_INTERVAL: Duration = Duration::from_secs(10);
/// A day: longer intervals are a mistake, and they would overflow arithmetic on timestamps.
pub const LONGEST: Duration = Duration::from_hours(24);

/// Reads Go's duration grammar as far as Canaries use it: sequences of number and unit `h`, `m`, `s` or `ms`.
/// `None` for anything else, for nothing, and for what is longer than a day.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let mut total = 0_f64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        let unit = rest.get(digits..)?;
        let (seconds, length) = if unit.starts_with("ms") {
            (0.001, 2)
        } else {
            match unit.chars().next()? {
                'h' => (3_600.0, 1),
                'm' => (60.0, 1),
                's' => (1.0, 1),
                _ => return None,
            }
        };
        total += number * seconds;
        rest = unit.get(length..)?;
    }
    (total <= LONGEST.as_secs_f64()).then(|| Duration::from_secs_f64(total))
}

/// The interval between two steps of an analysis that says `text`.
#[must_use]
pub fn interval(text: Option<&str>) -> Duration {
    text.and_then(parse).filter(|d| !d.is_zero()).unwrap_or(DEFAULT_INTERVAL).max(SHORTEST_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_clamped_as_flagger_does() {
        for (text, seconds) in
            [("10s", 10), ("1m", 60), ("2m30s", 150), ("3s", 10), ("0s", 60), ("", 60), ("1d", 60), ("-1m", 60), ("1e9h", 60)]
        {
            assert_eq!(interval(Some(text)).as_secs(), seconds, "{text}");
        }
        assert_eq!(interval(None), DEFAULT_INTERVAL);
    }
}
