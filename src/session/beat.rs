//! Tasks that look at something at the same pace look at the same moment: the processor is woken once for all contexts of a
//! fleet, and sleeps in between.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A whole minute of the wall clock, when a screen changes anyway; where that clock is set later on, the beat stays.
static BEGAN: LazyLock<Instant> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let past = Duration::new(now.as_secs() % 60, now.subsec_nanos());
    Instant::now().checked_sub(past).unwrap_or_else(Instant::now)
});

/// Returns at the next whole multiple of `every` since a whole minute.
pub(super) async fn next(every: Duration) {
    tokio::time::sleep_until(due(every)).await;
}

fn due(every: Duration) -> Instant {
    let passed = BEGAN.elapsed();
    let rest = passed.as_nanos().checked_rem(every.as_nanos()).and_then(|rest| u64::try_from(rest).ok()).unwrap_or(0);
    Instant::now() + every.saturating_sub(Duration::from_nanos(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_who_begin_at_different_times_wake_together() {
        let every = Duration::from_secs(5);
        let first = due(every);
        next(every).await;
        tokio::time::sleep(Duration::from_millis(1700)).await;
        let one = due(every);
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let other = due(every);
        assert!(one.duration_since(first).abs_diff(every) < Duration::from_millis(1), "{:?}", one.duration_since(first));
        assert!(other.duration_since(one) < Duration::from_millis(1) && other > Instant::now());
    }
}
