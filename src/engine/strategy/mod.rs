//! Ways of rolling out, one file each: which move comes next once all checks of an interval have passed.
//!
//! A strategy decides nothing about readiness, gates' answers or failures; `flight.rs` does, for all of them alike. Read
//! `progressive.rs` first; a new one is a file like it and a row in [`of`].

mod ab_testing;
mod blue_green;
mod progressive;
#[cfg(test)]
mod tests;

use crate::domain::canary::{CanaryAnalysis, HookKind, Strategy};
use crate::domain::traffic::{Abilities, Traffic};
use crate::engine::observation::Observation;

/// Where a rollout stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stand<'a> {
    pub analysis: &'a CanaryAnalysis,
    pub can: Abilities,
    /// What was recorded last, which the route has unless somebody else wrote it.
    pub traffic: Traffic,
    pub iterations: i64,
    /// Iterations wanted.
    pub wanted: i64,
    /// The route has weights at all.
    pub has_weights: bool,
    /// `CANARY.NAMESPACE`, for texts.
    pub key: &'a str,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// The route at this traffic and the counter at this number, behind `gate`; `say` is Flagger's text for it.
    Shift { traffic: Traffic, iterations: i64, gate: Option<HookKind>, say: Option<String> },
    /// Nothing is left to try: promote, behind these gates.
    Promote { gates: &'static [HookKind] },
}

/// One way of rolling out.
pub trait Course: Sync {
    /// The move from `stand`.
    fn next(&self, stand: &Stand<'_>) -> Move;
}

/// The course of a strategy.
#[must_use]
pub fn of(strategy: Strategy) -> &'static dyn Course {
    match strategy {
        Strategy::Progressive => &progressive::Progressive,
        Strategy::BlueGreen => &blue_green::BlueGreen,
        Strategy::AbTesting => &ab_testing::AbTesting,
    }
}

/// The strategy of what `seen` shows.
#[must_use]
pub const fn strategy(seen: &Observation) -> Strategy {
    seen.spec.strategy(&seen.can)
}

/// The move that comes next for `seen`, whose key reads `key`.
#[must_use]
pub fn next(seen: &Observation, key: &str) -> Move {
    let stand = Stand {
        analysis: &seen.spec.analysis,
        can: seen.can,
        traffic: Traffic { canary: seen.status.canary_weight, mirrored: seen.engine().mirrored },
        iterations: seen.status.iterations,
        wanted: seen.spec.iterations(),
        has_weights: seen.route.has_weights(),
        key,
    };
    of(strategy(seen)).next(&stand)
}

/// The counters of an iteration, with Flagger's text.
fn iteration(stand: &Stand<'_>, traffic: Traffic) -> Move {
    let i = stand.iterations + 1;
    let say = Some(format!("Advance {} canary iteration {i}/{}", stand.key, stand.wanted));
    Move::Shift { traffic, iterations: i, gate: None, say }
}
