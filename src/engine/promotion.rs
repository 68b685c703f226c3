//! Promotion: copy, wait for the new primary, give it the traffic back, and let the canary go.

use jiff::Timestamp;

use super::cookies;
use super::effect::{Effect, Say};
use super::observation::{Observation, Route, Workload};
use super::report::{Reason, Report};
use super::rollback::post_phase;
use super::step::{Step, calm, held, latest_tick, mend, moved_on, next_tick, pods_down, reason_word, start, unready};
use crate::domain::alert::Severity;
use crate::domain::phase::Phase;
use crate::domain::readiness::Readiness;
use crate::domain::revision::Revision;
use crate::domain::status::EngineState;
use crate::domain::traffic::Traffic;

/// The phase first, the copy after it: a crash in between goes on copying, and a primary template never
/// changes in any other phase.
pub(super) fn begin(seen: &Observation, mut state: EngineState, mut say: Vec<Say>, now: Timestamp) -> Step {
    let mut status = seen.status.clone();
    status.enter(Phase::Promoting, seen.kind(), now);
    state.approvals.clear();
    state.waiting.clear();
    state.report = None;
    state.finding = None;
    status.set_engine(&state, now);
    say.push(Say::normal(format!("Copying {} template spec to {}", seen.target_name(), seen.primary_name())));
    Step::write(status, say, "promotes")
}

/// Promoting: copy at once; after an interval and a ready primary, traffic goes back to it.
pub(super) fn promote(seen: &Observation, target: &Workload, now: Timestamp) -> Step {
    let stamp = seen.recorded_stamp();
    // Another controller copies before it enters this phase; what came since is a revision of its own, once this one is through.
    let foreign = Revision::parse(&seen.status.last_applied_spec).is_none();
    let copied = foreign || stamp.is_some() && seen.primary.as_ref().is_some_and(|p| p.stamp == stamp);
    if !copied {
        let Some(id) = stamp.filter(|_| !moved_on(seen, target)) else {
            // The revision that was judged is no longer there to be copied; the new one is judged anew.
            return start(seen, target, seen.engine(), Vec::new(), now);
        };
        return Step::act(Effect::CopyToPrimary { id }, "copies the target to the primary");
    }
    if let Some(step) = mend(seen) {
        return step;
    }
    if let Route::Unreadable(why) = &seen.route {
        return held(seen, now, Report::new(Reason::WriteFailed, why.clone()));
    }
    let Some(primary) = &seen.primary else { return Step::wait(Report::new(Reason::PrimaryNotReady, "the primary is gone")) };
    match seen.primary_readiness(primary, now) {
        Readiness::Ready => {}
        Readiness::Waiting(why) => {
            return unready(seen, primary, Report::new(Reason::PrimaryNotReady, format!("{} not ready: {why}", seen.primary_name())), now);
        }
        Readiness::Expired(why) => return promotion_failed(seen, &why, now),
    }
    if latest_tick(seen, now).is_none() {
        let until = next_tick(seen, now).unwrap_or(now);
        return calm(seen, now, Report::new(Reason::Interval, "primary is ready; then routes traffic back to it").until(until));
    }
    if let Some(step) = return_traffic(seen, now) {
        return step;
    }
    let mut status = seen.status.clone();
    (status.canary_weight, status.iterations) = (0, 0);
    status.enter(Phase::Finalising, seen.kind(), now);
    cookies::end(&mut status);
    let mut state = seen.engine();
    state.mirrored = false;
    status.set_engine(&state, now);
    let say = if seen.route.has_weights() { vec![Say::normal("Routing all traffic to primary")] } else { Vec::new() };
    Step::write(status, say, "finalises")
}

/// Traffic from the canary back to the promoted primary: at once, or by `stepWeightPromotion`.
fn return_traffic(seen: &Observation, now: Timestamp) -> Option<Step> {
    let canary = seen.route.canary();
    // A route that knows no parts gives everything back at once.
    let by = if seen.can.progressive { seen.spec.analysis.step_weight_promotion } else { 0 };
    if by > 0 && canary != seen.status.canary_weight && canary > 0 {
        let mut status = seen.status.clone();
        status.canary_weight = canary;
        status.enter(Phase::Promoting, seen.kind(), now);
        return Some(Step::write(
            status,
            vec![Say::normal(format!("Advance {} primary weight {}", seen.key, 100 - canary))],
            "returns traffic to the primary",
        ));
    }
    (seen.route.traffic() != Traffic::PRIMARY).then(|| {
        let next = if by > 0 { (canary - by).max(0) } else { 0 };
        Step::act(Effect::SetTraffic(Traffic::weight(next)), "routes traffic back to the primary")
    })
}

/// The new primary did not come up: the canary carries on with all traffic while it is healthy; where neither is, the
/// weights stay as they are.
fn promotion_failed(seen: &Observation, why: &str, now: Timestamp) -> Step {
    let healthy = seen.target.as_ref().is_some_and(|target| seen.canary_readiness(target, now).is_ready());
    if healthy && seen.route.has_weights() && seen.route.canary() < 100 {
        return Step::act(Effect::SetTraffic(Traffic::weight(100)), "promotion failed: keeps traffic on the canary");
    }
    let mut status = seen.status.clone();
    status.canary_weight = seen.route.canary();
    (status.failed_checks, status.iterations) = (0, 0);
    status.enter(Phase::Failed, seen.kind(), now);
    let mut state = seen.engine();
    let ended = format!("promotion failed, primary not ready: {why}");
    state.ended = Some(ended.clone());
    state.report = Some((reason_word(Reason::PromotionFailed), ended.clone()));
    state.post_rollout = post_phase(seen, Phase::Failed);
    status.set_engine(&state, now);
    let event = Say::warning(format!("Promotion of {} failed, primary not ready: {why}", seen.target_name()));
    let event = event.alert(Severity::Error, format!("Promotion failed, primary not ready: {why}"), false);
    Step::write(status, vec![event], ended)
}

/// Finalising: an interval later the target goes to zero, and it is done.
pub(super) fn finalise(seen: &Observation, now: Timestamp) -> Step {
    if let Some(primary) = &seen.primary {
        match seen.primary_readiness(primary, now) {
            Readiness::Ready => {}
            Readiness::Waiting(why) => {
                return unready(
                    seen,
                    primary,
                    Report::new(Reason::PrimaryNotReady, format!("{} not ready: {why}", seen.primary_name())),
                    now,
                );
            }
            Readiness::Expired(why) => return promotion_failed(seen, &why, now),
        }
    }
    if !seen.route.is_all_primary() {
        return Step::act(Effect::SetTraffic(Traffic::PRIMARY), "routes traffic back to the primary");
    }
    if let Some(why) = seen.route.pending() {
        return Step::wait(Report::new(Reason::Working, why));
    }
    if latest_tick(seen, now).is_none() {
        let until = next_tick(seen, now).unwrap_or(now);
        return calm(seen, now, Report::new(Reason::Interval, "then scales the target to zero").until(until));
    }
    if let Some(step) = pods_down(seen, "scales the target to zero") {
        return step;
    }
    let mut status = seen.status.clone();
    (status.failed_checks, status.canary_weight, status.iterations) = (0, 0, 0);
    status.last_promoted_spec.clone_from(&status.last_applied_spec);
    status.enter(Phase::Succeeded, seen.kind(), now);
    let mut state = seen.engine();
    state.promote_now = None;
    state.report = None;
    state.ended = Some("promoted".into());
    state.post_rollout = post_phase(seen, Phase::Succeeded);
    status.set_engine(&state, now);
    let (event, alert) = if seen.spec.skip_analysis {
        (
            format!("Promotion completed! Canary analysis was skipped for {}", seen.target_name()),
            "Canary analysis was skipped, promotion finished.",
        )
    } else {
        (format!("Promotion completed! Scaling down {}", seen.target_name()), "Canary analysis completed successfully, promotion finished.")
    };
    Step::write(status, vec![Say::normal(event).alert(Severity::Info, alert, false)], "promotion finished")
}
