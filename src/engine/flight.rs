//! Phases in flight: analysis, promotion, finalising, and the ways down.

use jiff::Timestamp;

use super::analysis::{self, Judgement};
use super::effect::{Effect, Say, Scale};
use super::observation::{Observation, Round, Route, Workload};
use super::report::{Reason, Report};
use super::step::{KIND, Step, calm, close_gate, current_round, held, latest_tick, mend, moved_on, next_tick, record, start};
use crate::domain::canary::{HookKind, Strategy};
use crate::domain::phase::Phase;
use crate::domain::readiness::Readiness;
use crate::domain::status::{EngineState, Pause};

/// The weights of a route that somebody else wrote last: everything stops until an operator has looked.
fn foreign_write(seen: &Observation, now: Timestamp) -> Option<Step> {
    let Route::Present { canary, foreign: Some(foreign) } = &seen.route else { return None };
    let mut state = seen.engine();
    if state.foreign_seen == foreign.resource_version || *canary == seen.status.canary_weight {
        return None;
    }
    let why = format!("{} changed the route ({canary} % for the canary); resume takes the route as it is", foreign.manager);
    state.foreign_seen.clone_from(&foreign.resource_version);
    state.pause = Some(Pause { who: "pilothouse".into(), at: now, why: why.clone() });
    state.report = Some((super::step::reason_word(Reason::ForeignWrite), why.clone()));
    let mut status = seen.status.clone();
    status.set_engine(&state, now);
    Some(Step::write(status, vec![Say::warning(format!("Paused {}: {why}", seen.key))], why))
}

/// Progressing and `WaitingPromotion`.
pub(super) fn analyse(seen: &Observation, target: &Workload, now: Timestamp) -> Step {
    let state = seen.engine();
    if moved_on(seen, target) {
        return start(seen, target, state, Vec::new(), now);
    }
    if let Some(step) = mend(seen) {
        return step;
    }
    if let Route::Unreadable(why) = &seen.route {
        return held(seen, now, Report::new(Reason::WriteFailed, why.clone()));
    }
    if let Some(step) = foreign_write(seen, now) {
        return step;
    }
    let analysis = &seen.spec.analysis;
    let Some(primary) = &seen.primary else {
        return held(
            seen,
            now,
            Report::new(Reason::PrimaryNotReady, format!("{} is gone: nothing to compare with or to go back to", seen.spec.primary_name())),
        );
    };
    if let Some(step) = follow_route(seen, now) {
        return step;
    }
    match primary.state.readiness(analysis.primary_ready_percent(), seen.spec.deadline_seconds(), now) {
        Readiness::Ready => {}
        Readiness::Waiting(why) => {
            return held(
                seen,
                now,
                Report::new(Reason::PrimaryNotReady, format!("{}.{} not ready: {why}", seen.spec.primary_name(), seen.key.namespace)),
            );
        }
        Readiness::Expired(why) => {
            return roll_back(
                seen,
                format!("primary not ready: {why}"),
                vec![Say::warning(format!("{}.{} not ready: {why}", seen.spec.primary_name(), seen.key.namespace))],
                now,
            );
        }
    }
    let name = format!("{}.{}", seen.spec.target_ref.name, seen.key.namespace);
    match target.state.readiness(analysis.canary_ready_percent(), seen.spec.deadline_seconds(), now) {
        Readiness::Ready => {}
        Readiness::Waiting(why) => {
            return held(seen, now, Report::new(Reason::CanaryNotReady, format!("canary deployment {name} not ready: {why}")));
        }
        Readiness::Expired(why) => {
            return roll_back(
                seen,
                format!("canary not ready: {why}"),
                vec![Say::warning(format!("canary deployment {name} not ready: {why}"))],
                now,
            );
        }
    }
    let checksum = seen.recorded_checksum().unwrap_or_default();
    if state.promote_now.as_ref() == Some(&checksum) {
        return begin_promotion(seen, state, now);
    }
    let Some(tick) = latest_tick(seen, now) else {
        let until = next_tick(seen, now).unwrap_or(now);
        return calm(seen, now, Report::new(Reason::Interval, next_move(seen)).until(until));
    };
    if seen.status.failed_checks >= analysis.failed_checks_limit() {
        let k = analysis.failed_checks_limit();
        let why = last_failure(&state)
            .map_or_else(|| format!("failed checks threshold reached {k}"), |f| format!("failed checks threshold reached {k}: {f}"));
        return roll_back(
            seen,
            why,
            vec![Say::warning(format!("Rolling back {} failed checks threshold reached {}", seen.key, seen.status.failed_checks))],
            now,
        );
    }
    let round = current_round(seen, &checksum, tick, |round| is_finished(seen, round));
    let first = seen.status.canary_weight == 0 && seen.status.iterations == 0;
    match judge(seen, round) {
        Judgement::Ask(question) => Step::act(Effect::Ask(question), "asks hooks and metrics"),
        Judgement::Failed(mut say) => {
            if first {
                say.insert(0, Say::normal(format!("Starting canary analysis for {name}")));
            }
            failed_check(seen, say, now)
        }
        Judgement::Passed(mut say) => {
            if first {
                say.insert(0, Say::normal(format!("Starting canary analysis for {name}")));
            }
            advance(seen, say, now)
        }
    }
}

pub(super) fn judge(seen: &Observation, round: Option<&Round>) -> Judgement {
    if seen.status.canary_weight == 0 && seen.status.iterations == 0 {
        analysis::hooks(seen, round, HookKind::PreRollout)
    } else {
        analysis::checks(seen, round)
    }
}

/// Whether every question of `round` has its answer.
pub(super) fn is_finished(seen: &Observation, round: &Round) -> bool {
    !matches!(judge(seen, Some(round)), Judgement::Ask(_))
}

/// A route that differs from the status is the truth: after our own write it is the step just made,
/// after a crash or a foreign hand it is where traffic is. A new interval starts, nothing advances.
fn follow_route(seen: &Observation, now: Timestamp) -> Option<Step> {
    let Route::Present { canary, .. } = seen.route else { return None };
    if canary == seen.status.canary_weight {
        return None;
    }
    let mut status = seen.status.clone();
    let advanced = canary > status.canary_weight;
    let first = status.canary_weight == 0 && status.iterations == 0;
    status.canary_weight = canary;
    if seen.spec.strategy() != Strategy::Progressive && canary == 100 {
        status.iterations = seen.spec.analysis.iterations + 1;
    }
    status.enter(Phase::Progressing, KIND, now);
    let mut state = seen.engine();
    state.approvals.retain(|a| a.gate != HookKind::ConfirmTrafficIncrease);
    state.report = None;
    status.set_engine(&state, now);
    let mut say = Vec::new();
    if first && advanced {
        // The checks before the first weight passed, or there would be none; their answers are in the round.
        say.push(Say::normal(format!("Starting canary analysis for {}.{}", seen.spec.target_ref.name, seen.key.namespace)));
        if let Judgement::Passed(hooks) = analysis::hooks(seen, seen.round.as_ref(), HookKind::PreRollout) {
            say.extend(hooks);
        }
    }
    say.push(if seen.spec.strategy() != Strategy::Progressive {
        Say::normal(if canary == 100 { "Routing all traffic to canary" } else { "Routing all traffic to primary" })
    } else if advanced {
        Say::normal(format!("Advance {} canary weight {canary}", seen.key))
    } else {
        Say::warning(format!("The route of {} has canary weight {canary}: going on from there", seen.key))
    });
    Some(Step::write(status, say, format!("canary weight {canary}")))
}

fn last_failure(state: &EngineState) -> Option<String> {
    state.report.as_ref().filter(|(word, _)| word == "check-failed").map(|(_, message)| message.clone())
}

fn failed_check(seen: &Observation, say: Vec<Say>, now: Timestamp) -> Step {
    let mut status = seen.status.clone();
    status.failed_checks += 1;
    let message = say.iter().rev().find(|s| s.warning).map(|s| s.message.clone()).unwrap_or_default();
    let mut state = seen.engine();
    state.report = Some((super::step::reason_word(Reason::CheckFailed), message.clone()));
    status.enter(status.phase, KIND, now);
    status.set_engine(&state, now);
    let mut step = Step::write(status, say, message);
    step.report.reason = Reason::CheckFailed;
    step
}

/// What the next interval brings, in words.
fn next_move(seen: &Observation) -> String {
    let (analysis, status) = (&seen.spec.analysis, &seen.status);
    let failed = last_failure(&seen.engine())
        .map(|f| format!(" ({}/{} failed checks: {f})", status.failed_checks, analysis.failed_checks_limit()))
        .unwrap_or_default();
    let next = if status.failed_checks >= analysis.failed_checks_limit() {
        "rolls back".to_owned()
    } else if is_progressive(seen) {
        analysis
            .next_weight(status.canary_weight)
            .map_or_else(|| "checks, then promotes".to_owned(), |w| format!("checks, then weight {w} %"))
    } else if status.iterations < iterations(seen) {
        format!("checks, then iteration {}/{}", status.iterations + 1, iterations(seen))
    } else {
        "checks, then promotes".to_owned()
    };
    format!("{next}{failed}")
}

fn is_progressive(seen: &Observation) -> bool {
    seen.spec.strategy() == Strategy::Progressive && seen.route.has_weights()
}

/// Iterations wanted; plain Kubernetes has no weights, so a progressive canary there gets Flagger's ten.
fn iterations(seen: &Observation) -> i64 {
    if seen.spec.analysis.iterations < 1 { 10 } else { seen.spec.analysis.iterations }
}

/// All checks passed: one step further, behind whatever gate stands there.
fn advance(seen: &Observation, mut say: Vec<Say>, now: Timestamp) -> Step {
    let state = seen.engine();
    let checksum = seen.recorded_checksum().unwrap_or_default();
    let closed = |gate: HookKind| seen.gates.contains(&gate) && !state.approved(gate, &checksum);
    if is_progressive(seen) {
        let waits = seen.status.phase == Phase::WaitingPromotion;
        if !waits && closed(HookKind::ConfirmTrafficIncrease) {
            return close_gate(seen, HookKind::ConfirmTrafficIncrease, Phase::Progressing, now);
        }
        return match seen.spec.analysis.next_weight(seen.status.canary_weight) {
            Some(canary) if !waits => Step::act(Effect::SetWeights { canary }, format!("advances the canary to {canary} %")),
            _ if closed(HookKind::ConfirmPromotion) => close_gate(seen, HookKind::ConfirmPromotion, Phase::WaitingPromotion, now),
            _ => begin_promotion(seen, state, now),
        };
    }
    let wanted = iterations(seen);
    if seen.status.iterations < wanted && seen.status.phase == Phase::Progressing {
        let mut status = seen.status.clone();
        status.iterations += 1;
        status.enter(Phase::Progressing, KIND, now);
        let mut state = state;
        state.report = None;
        status.set_engine(&state, now);
        let i = status.iterations;
        say.push(Say::normal(format!("Advance {} canary iteration {i}/{wanted}", seen.key)));
        return Step::write(status, say, format!("iteration {i}/{wanted}"));
    }
    if closed(HookKind::ConfirmPromotion) {
        return close_gate(seen, HookKind::ConfirmPromotion, Phase::WaitingPromotion, now);
    }
    if seen.status.iterations > wanted {
        return begin_promotion(seen, state, now);
    }
    if seen.route.has_weights() && seen.route.canary() < 100 {
        return Step::act(Effect::SetWeights { canary: 100 }, "routes all traffic to the canary");
    }
    let mut status = seen.status.clone();
    status.iterations = wanted + 1;
    status.enter(Phase::Progressing, KIND, now);
    status.set_engine(&state, now);
    Step::write(status, say, "iterations done: one last check")
}

/// The phase first, the copy after it: a crash in between goes on copying, and a primary template never
/// changes in any other phase.
fn begin_promotion(seen: &Observation, mut state: EngineState, now: Timestamp) -> Step {
    let mut status = seen.status.clone();
    status.enter(Phase::Promoting, KIND, now);
    state.approvals.clear();
    state.waiting.clear();
    state.report = None;
    status.set_engine(&state, now);
    let name = format!("{}.{}", seen.spec.target_ref.name, seen.key.namespace);
    let say = vec![Say::normal(format!("Copying {name} template spec to {}.{}", seen.spec.primary_name(), seen.key.namespace))];
    Step::write(status, say, "promotes")
}

/// Promoting: copy at once; after an interval and a ready primary, traffic goes back to it.
pub(super) fn promote(seen: &Observation, target: &Workload, now: Timestamp) -> Step {
    let stamp = seen.recorded_stamp();
    let copied = stamp.is_some() && seen.primary.as_ref().is_some_and(|p| p.stamp == stamp);
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
    match primary.state.readiness(seen.spec.analysis.primary_ready_percent(), seen.spec.deadline_seconds(), now) {
        Readiness::Ready => {}
        Readiness::Waiting(why) => {
            return held(
                seen,
                now,
                Report::new(Reason::PrimaryNotReady, format!("{}.{} not ready: {why}", seen.spec.primary_name(), seen.key.namespace)),
            );
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
    status.canary_weight = 0;
    status.iterations = 0;
    status.enter(Phase::Finalising, KIND, now);
    let say = if seen.route.has_weights() { vec![Say::normal("Routing all traffic to primary")] } else { Vec::new() };
    Step::write(status, say, "finalises")
}

/// Traffic from the canary back to the promoted primary: at once, or by `stepWeightPromotion`.
fn return_traffic(seen: &Observation, now: Timestamp) -> Option<Step> {
    let canary = seen.route.canary();
    let by = seen.spec.analysis.step_weight_promotion;
    if by > 0 && canary != seen.status.canary_weight && canary > 0 {
        let mut status = seen.status.clone();
        status.canary_weight = canary;
        status.enter(Phase::Promoting, KIND, now);
        return Some(Step::write(
            status,
            vec![Say::normal(format!("Advance {} primary weight {}", seen.key, 100 - canary))],
            "returns traffic to the primary",
        ));
    }
    (canary > 0).then(|| {
        let next = if by > 0 { (canary - by).max(0) } else { 0 };
        Step::act(Effect::SetWeights { canary: next }, "routes traffic back to the primary")
    })
}

/// The new primary did not come up: the canary carries on with all traffic while it is healthy; where neither is, the
/// weights stay as they are.
fn promotion_failed(seen: &Observation, why: &str, now: Timestamp) -> Step {
    let percent = seen.spec.analysis.canary_ready_percent();
    let healthy = seen.target.as_ref().is_some_and(|t| t.state.readiness(percent, seen.spec.deadline_seconds(), now).is_ready());
    if healthy && seen.route.has_weights() && seen.route.canary() < 100 {
        return Step::act(Effect::SetWeights { canary: 100 }, "promotion failed: keeps traffic on the canary");
    }
    let mut status = seen.status.clone();
    status.canary_weight = seen.route.canary();
    (status.failed_checks, status.iterations) = (0, 0);
    status.enter(Phase::Failed, KIND, now);
    let mut state = seen.engine();
    let ended = format!("promotion failed, primary not ready: {why}");
    state.ended = Some(ended.clone());
    state.report = Some((super::step::reason_word(Reason::PromotionFailed), ended.clone()));
    state.post_rollout = post_phase(seen, Phase::Failed);
    status.set_engine(&state, now);
    let say =
        vec![Say::warning(format!("Promotion of {}.{} failed, primary not ready: {why}", seen.spec.target_ref.name, seen.key.namespace))];
    Step::write(status, say, ended)
}

/// Finalising: an interval later the target goes to zero, and it is done.
pub(super) fn finalise(seen: &Observation, target: &Workload, now: Timestamp) -> Step {
    if let Some(primary) = &seen.primary {
        match primary.state.readiness(seen.spec.analysis.primary_ready_percent(), seen.spec.deadline_seconds(), now) {
            Readiness::Ready => {}
            Readiness::Waiting(why) => {
                return held(
                    seen,
                    now,
                    Report::new(Reason::PrimaryNotReady, format!("{}.{} not ready: {why}", seen.spec.primary_name(), seen.key.namespace)),
                );
            }
            Readiness::Expired(why) => return promotion_failed(seen, &why, now),
        }
    }
    if seen.route.canary() > 0 {
        return Step::act(Effect::SetWeights { canary: 0 }, "routes traffic back to the primary");
    }
    if latest_tick(seen, now).is_none() {
        let until = next_tick(seen, now).unwrap_or(now);
        return calm(seen, now, Report::new(Reason::Interval, "then scales the target to zero").until(until));
    }
    if target.replicas > 0 {
        return Step::act(Effect::ScaleTarget(Scale::Zero), "scales the target to zero");
    }
    let mut status = seen.status.clone();
    (status.failed_checks, status.canary_weight, status.iterations) = (0, 0, 0);
    status.last_promoted_spec.clone_from(&status.last_applied_spec);
    status.enter(Phase::Succeeded, KIND, now);
    let mut state = seen.engine();
    state.promote_now = None;
    state.report = None;
    state.ended = Some("promoted".into());
    state.post_rollout = post_phase(seen, Phase::Succeeded);
    status.set_engine(&state, now);
    let say = vec![Say::normal(format!("Promotion completed! Scaling down {}.{}", seen.spec.target_ref.name, seen.key.namespace))];
    Step::write(status, say, "promotion finished")
}

/// Decides a rollback: the reason goes on record before its evidence is scaled away.
fn roll_back(seen: &Observation, why: String, say: Vec<Say>, now: Timestamp) -> Step {
    let mut state = seen.engine();
    let mut status = seen.status.clone();
    state.going_down = Some(why.clone());
    status.set_engine(&state, now);
    Step::write(status, say, format!("rolls back: {why}"))
}

/// Carries out a rollback that has been decided.
pub(super) fn go_down(seen: &Observation, why: String, now: Timestamp) -> Step {
    if seen.route.canary() > 0 {
        return Step::act(Effect::SetWeights { canary: 0 }, format!("rolls back: {why}"));
    }
    if seen.target.as_ref().is_some_and(|t| t.replicas > 0) {
        return Step::act(Effect::ScaleTarget(Scale::Zero), format!("rolls back: {why}"));
    }
    fail(seen, seen.engine(), why, Vec::new(), now)
}

/// The status of a rollout that is given up; traffic and pods are back already.
pub(super) fn fail(seen: &Observation, mut state: EngineState, ended: String, mut say: Vec<Say>, now: Timestamp) -> Step {
    let mut status = seen.status.clone();
    if let (Phase::Waiting, Some(target), Ok(configs)) = (seen.status.phase, &seen.target, &seen.configs) {
        // What was refused at its first gate is the revision that failed; elsewhere it is on record already,
        // and one that came since is new.
        record(&mut status, target, configs);
    }
    (status.failed_checks, status.canary_weight, status.iterations) = (0, 0, 0);
    status.enter(Phase::Failed, KIND, now);
    state.pause = None;
    state.going_down = None;
    state.approvals.clear();
    state.waiting.clear();
    state.promote_now = None;
    state.post_rollout = post_phase(seen, Phase::Failed);
    state.report = Some((super::step::reason_word(Reason::RolledBack), ended.clone()));
    state.ended = Some(ended.clone());
    status.set_engine(&state, now);
    say.push(Say::warning(format!("Canary failed! Scaling down {}", seen.key)));
    Step::write(status, say, ended)
}

fn post_phase(seen: &Observation, phase: Phase) -> Option<Phase> {
    (!seen.spec.analysis.hooks(HookKind::PostRollout).is_empty()).then_some(phase)
}
