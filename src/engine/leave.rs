//! A Canary that is being deleted with `revertOnDeletion`: the target serves again before anything of ours goes (rollout-contract §3.8).

use jiff::Timestamp;

use super::effect::{Effect, Say, Scale};
use super::observation::{Observation, Scaler};
use super::report::{Reason, Report};
use super::step::{Step, pods_up, unready};
use crate::domain::phase::Phase;
use crate::domain::readiness::Readiness;

/// The next step towards the end.
pub(super) fn terminate(seen: &Observation, now: Timestamp) -> Step {
    if !seen.finalizer {
        return Step::wait(Report::new(Reason::Settled, "is being deleted"));
    }
    let Some(target) = &seen.target else {
        // Nothing is left that could be given back to.
        return Step::act(Effect::Finalizer { present: false, say: Vec::new() }, "its target is gone: lets it go");
    };
    if seen.status.phase != Phase::Terminating {
        let mut status = seen.status.clone();
        status.enter(Phase::Terminating, seen.kind(), now);
        return Step::write(status, vec![Say::normal(format!("Terminating canary {}", seen.key))], "gives back what it took");
    }
    if let Some(Scaler::Present { paused: Some(true), .. }) = &seen.scaler {
        return Step::act(Effect::PauseScaler(false), "lets the target's scaler go on");
    }
    if seen.spec.target_kind().scales() && target.replicas == 0 {
        return match &seen.primary {
            Some(primary) => Step::act(Effect::ScaleTarget(Scale::To(primary.replicas.max(1))), "scales the target as its primary"),
            None => pods_up(seen, target).unwrap_or_else(|| Step::wait(Report::new(Reason::Working, "scales the target up"))),
        };
    }
    if let Readiness::Waiting(why) | Readiness::Expired(why) = seen.canary_readiness(target, now) {
        // Until the target can take the traffic the primary keeps it.
        let report = Report::new(
            Reason::CanaryNotReady,
            format!("{} takes over from its primary before the Canary goes: {why}", seen.target_name()),
        );
        return unready(seen, target, report, now);
    }
    if seen.leaving.service {
        return Step::act(Effect::RestoreService, "points the apex Service at the target");
    }
    if seen.leaving.route {
        return Step::act(Effect::RestoreRoute, "gives the route back");
    }
    let say = vec![Say::normal(format!("Terminated canary {}", seen.key))];
    Step::act(Effect::Finalizer { present: false, say }, "lets the Canary go")
}
