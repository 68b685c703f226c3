//! The time that a process goes by: the wall's, or one that is simulated.
//!
//! Decisions and records of rollouts go by this clock, deadlines of requests by the runtime's own: a simulated
//! fleet may run at ten times the speed of life, and still its console must not wait for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A clock; clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    /// What a simulated clock showed when it was started, and how far its wall time has been moved since, in milliseconds.
    simulated: Option<(Timestamp, Arc<AtomicI64>)>,
    speed: u32,
}

impl Clock {
    /// The wall clock.
    #[must_use]
    pub fn wall() -> Self {
        Self { started: Instant::now(), simulated: None, speed: 1 }
    }

    /// A clock that shows `origin` now and goes `speed` times as fast as the runtime's time, which itself may be paused.
    #[must_use]
    pub fn simulated(origin: Timestamp, speed: u32) -> Self {
        Self { started: Instant::now(), simulated: Some((origin, Arc::default())), speed: speed.max(1) }
    }

    /// Wall time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let Some((origin, moved)) = &self.simulated else { return Timestamp::now() };
        let passed = SignedDuration::try_from(self.running()).unwrap_or(SignedDuration::MAX);
        let moved = SignedDuration::from_millis(moved.load(Ordering::Relaxed));
        origin.checked_add(passed).and_then(|t| t.checked_add(moved)).unwrap_or(*origin)
    }

    /// Time since the clock was made; never goes back, whatever is done to wall time.
    #[must_use]
    pub fn running(&self) -> Duration {
        self.started.elapsed() * self.speed
    }

    /// Returns when `time` has passed by this clock.
    pub async fn sleep(&self, time: Duration) {
        tokio::time::sleep(self.real(time)).await;
    }

    /// How long `time` of this clock takes by the runtime's.
    #[must_use]
    pub fn real(&self, time: Duration) -> Duration {
        time / self.speed
    }

    /// How much of this clock's time passes while `time` passes by the runtime's: what guards against a slow machine or
    /// network, and not against a slow rollout, is as long for a fleet that lives faster.
    #[must_use]
    pub fn lived(&self, time: Duration) -> Duration {
        time * self.speed
    }

    /// Moves a simulated clock's wall time, as a correction from outside does. The wall clock is not ours to move.
    pub fn step(&self, by: SignedDuration) {
        if let Some((_, moved)) = &self.simulated {
            moved.fetch_add(i64::try_from(by.as_millis()).unwrap_or(0), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_goes_faster_and_can_be_moved() {
        let origin: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let clock = Clock::simulated(origin, 10);
        clock.sleep(Duration::from_mins(1)).await;
        assert_eq!(clock.now().duration_since(origin).as_secs(), 60);
        assert_eq!(clock.started.elapsed().as_secs(), 6);
        assert_eq!(clock.lived(clock.real(Duration::from_secs(30))), Duration::from_secs(30));
        clock.step(SignedDuration::from_hours(-1));
        assert_eq!((clock.now().duration_since(origin).as_secs(), clock.running().as_secs()), (60 - 3600, 60));
    }
}
