//! Rules that no step may break (reliability-performance §2.3), checked on every step in tests and in the
//! runner, which refuses the effect and logs an error.

use super::effect::{Effect, Scale};
use super::observation::{Observation, Route};
use super::step::Step;
use crate::domain::phase::Phase;

/// The rule that `step` would break, in words.
#[must_use]
pub fn broken(seen: &Observation, step: &Step) -> Option<String> {
    let effect = step.effect.as_ref()?;
    let state = seen.engine();
    let phase = seen.status.phase;
    let fail = |rule: &str| Some(format!("{rule} ({} in {phase}: {effect:?})", seen.key));
    if seen.hands_off.is_some() {
        return fail("nothing is written where someone else drives");
    }
    let intent = !seen.intents.is_empty() || !seen.broken_intents.is_empty();
    if state.pause.is_some() && state.going_down.is_none() && !intent && effect.mutates() && !matches!(effect, Effect::WriteStatus { .. }) {
        return fail("a paused canary takes no step");
    }
    match effect {
        Effect::SetWeights { canary } if !(0..=100).contains(canary) => fail("weights are within 0 and 100"),
        Effect::SetWeights { canary }
            if *canary > seen.route.canary()
                && !matches!(phase, Phase::Progressing | Phase::WaitingPromotion | Phase::Promoting | Phase::Finalising) =>
        {
            fail("only a rollout in flight gives traffic to the canary")
        }
        Effect::ScaleTarget(Scale::Zero) if matches!(&seen.route, Route::Present { canary, .. } if *canary > 0) => {
            fail("the target is not scaled to zero while it has traffic")
        }
        Effect::ScaleTarget(Scale::Zero) if seen.primary.is_none() => fail("the target is not scaled to zero without a primary"),
        Effect::CopyToPrimary { .. } if seen.primary.is_some() && phase != Phase::Promoting => {
            fail("the primary's template changes only in Promoting")
        }
        Effect::WriteStatus { status, .. } => {
            if status.phase == Phase::Promoting && !matches!(phase, Phase::Progressing | Phase::WaitingPromotion | Phase::Promoting) {
                return fail("only what was analysed is promoted");
            }
            let truth = !matches!(seen.route, Route::Present { canary, .. } if canary != status.canary_weight);
            let settles = status.phase != phase || status.canary_weight != seen.status.canary_weight;
            if settles && !truth {
                return fail("status claims no weight that the route does not have");
            }
            if status.canary_weight < 0 || status.canary_weight > 100 {
                return fail("weights are within 0 and 100");
            }
            None
        }
        _ => None,
    }
}
