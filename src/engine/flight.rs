//! Canaries that are analysed: an interval's checks, the move that follows, and a route that is the truth.

use jiff::Timestamp;

use super::effect::{Effect, Say};
use super::observation::{Observation, Route, Workload};
use super::report::{CheckKind, Finding, Reason, Report};
use super::step::{Step, calm, held, latest_tick, mend, moved_on, next_tick, reason_word, round_at_hand, start, unready};
use super::strategy::{self, Move};
use super::verdict::{self, Verdict};
use super::{gates, promotion, rollback};
use crate::domain::alert::Severity;
use crate::domain::canary::{HookKind, Strategy};
use crate::domain::phase::Phase;
use crate::domain::readiness::Readiness;
use crate::domain::status::{EngineState, Pause};
use crate::domain::traffic::Traffic;

/// The weights of a route that somebody else wrote last: everything stops until an operator has looked.
fn foreign_write(seen: &Observation, now: Timestamp) -> Option<Step> {
    let Route::Present { traffic, foreign: Some(foreign), .. } = &seen.route else { return None };
    let (mut state, canary) = (seen.engine(), traffic.canary);
    if state.foreign_seen == foreign.resource_version || *traffic == recorded(seen, &state) {
        return None;
    }
    let why = format!("{} changed the route ({canary} % for the canary); resume takes the route as it is", foreign.manager);
    state.foreign_seen.clone_from(&foreign.resource_version);
    state.pause = Some(Pause { who: "pilothouse".into(), at: now, why: why.clone() });
    state.report = Some((reason_word(Reason::ForeignWrite), why.clone()));
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
    match seen.primary_readiness(primary, now) {
        Readiness::Ready => {}
        // A dead primary is no reason to keep its replacement: skipAnalysis waits for the canary alone (rollout-contract §4.9).
        Readiness::Waiting(_) | Readiness::Expired(_) if seen.spec.skip_analysis => {}
        Readiness::Waiting(why) => {
            return unready(seen, primary, Report::new(Reason::PrimaryNotReady, format!("{} not ready: {why}", seen.primary_name())), now);
        }
        Readiness::Expired(why) => {
            let event = Say::warning(format!("{} not ready: {why}", seen.primary_name()));
            let event = event.alert(Severity::Error, format!("Progress deadline exceeded, primary not ready: {why}"), false);
            let finding = Finding::new(CheckKind::Readiness, seen.primary_name()).because(&why);
            return rollback::decide(seen, format!("primary not ready: {why}"), Some(finding), vec![event], now);
        }
    }
    match seen.canary_readiness(target, now) {
        Readiness::Ready => {}
        Readiness::Waiting(why) => return unready(seen, target, Report::new(Reason::CanaryNotReady, canary_not_ready(seen, &why)), now),
        Readiness::Expired(why) => {
            let event = Say::warning(canary_not_ready(seen, &why));
            let event = event.alert(Severity::Error, format!("Progress deadline exceeded, canary not ready: {why}"), false);
            let finding = Finding::new(CheckKind::Readiness, seen.target_name()).because(&why);
            return rollback::decide(seen, format!("canary not ready: {why}"), Some(finding), vec![event], now);
        }
    }
    if let Some(why) = seen.route.pending() {
        return not_accepted(seen, why, now);
    }
    let checksum = seen.recorded_checksum().unwrap_or_default();
    if state.promote_now.as_ref() == Some(&checksum) {
        return promotion::begin(seen, state, Vec::new(), now);
    }
    let Some(_) = latest_tick(seen, now) else {
        let until = next_tick(seen, now).unwrap_or(now);
        return calm(seen, now, Report::new(Reason::Interval, next_move(seen)).until(until));
    };
    if seen.spec.skip_analysis {
        return promotion::begin(seen, state, Vec::new(), now);
    }
    let round = round_at_hand(seen, now);
    match verdict::verdict(seen, round) {
        Verdict::Ask(question) if !threshold_reached(seen) || is_rollback(question) => {
            Step::act(Effect::Ask(question), "asks hooks and metrics")
        }
        Verdict::RollBack(hook) => rollback::by_hook(seen, &hook, now),
        _ if threshold_reached(seen) => threshold(seen, &state, now),
        Verdict::Ask(question) => Step::act(Effect::Ask(question), "asks hooks and metrics"),
        Verdict::Failed(say, finding) => failed_check(seen, say, *finding, now),
        Verdict::Held(why, finding) => hold(seen, &why, *finding, now),
        Verdict::Closed { gate, by, say } => {
            let phase = if gate == HookKind::ConfirmPromotion { Phase::WaitingPromotion } else { Phase::Progressing };
            gates::close(seen, gate, &by, say, phase, now)
        }
        Verdict::Free { next, say } => advance(seen, next, say, now),
    }
}

/// Whoever carries the traffic has not taken the route as it was written: nothing is measured before, and not for ever.
fn not_accepted(seen: &Observation, why: &str, now: Timestamp) -> Step {
    let limit = seen.spec.deadline_seconds();
    let waited = seen.status.last_transition_time.map_or(0, |since| now.duration_since(since).as_secs());
    if waited <= limit {
        return Step { effect: None, wake: next_tick(seen, now), report: Report::new(Reason::Working, why) };
    }
    let event = Say::warning(format!("Rolling back {} route not accepted within {limit}s: {why}", seen.key));
    let event = event.alert(Severity::Error, format!("Progress deadline exceeded, route not accepted: {why}"), false);
    let finding = Finding::new(CheckKind::Deadline, "route").because(why);
    rollback::decide(seen, format!("route not accepted: {why}"), Some(finding), vec![event], now)
}

fn canary_not_ready(seen: &Observation, why: &str) -> String {
    let kind = if seen.kind() == "DaemonSet" { "daemonset" } else { "deployment" };
    format!("canary {kind} {} not ready: {why}", seen.target_name())
}

const fn is_rollback(question: super::effect::Question) -> bool {
    matches!(question, super::effect::Question::Hook { kind: HookKind::Rollback, .. })
}

fn threshold_reached(seen: &Observation) -> bool {
    seen.status.failed_checks >= seen.spec.analysis.failed_checks_limit()
}

/// Too many checks have failed; the rollback comes an interval after the last of them (rollout-contract §4.2).
fn threshold(seen: &Observation, state: &EngineState, now: Timestamp) -> Step {
    let k = seen.status.failed_checks;
    let last = last_failure(state).map(|f| format!(": {f}")).unwrap_or_default();
    let event = Say::warning(format!("Rolling back {} failed checks threshold reached {k}", seen.key));
    let event = event.alert(Severity::Error, format!("Failed checks threshold reached {k}"), false);
    let why = format!("failed checks threshold reached {}{last}", seen.spec.analysis.failed_checks_limit());
    rollback::decide(seen, why, None, vec![event], now)
}

/// A check has no data: the weight stays, for as long as an unavailable workload is tolerated, and no longer.
fn hold(seen: &Observation, why: &str, finding: Finding, now: Timestamp) -> Step {
    let limit = seen.spec.deadline_seconds();
    let held_for = seen.status.last_transition_time.map_or(0, |since| now.duration_since(since).as_secs());
    if held_for > limit {
        let event = Say::warning(format!("Rolling back {} after {limit}s without data: {why}", seen.key));
        let event = event.alert(Severity::Error, format!("No data for {limit}s"), false);
        let finding = Finding { kind: CheckKind::Deadline, ..finding };
        return rollback::decide(seen, format!("no data for {limit}s: {why}"), Some(finding), vec![event], now);
    }
    let until = next_tick(seen, now).unwrap_or(now);
    held(
        seen,
        now,
        Report::new(Reason::NoData, format!("{why}; held at this weight for at most {limit}s")).until(until).found(Some(finding)),
    )
}

/// What the route gives as far as is on record.
fn recorded(seen: &Observation, state: &EngineState) -> Traffic {
    Traffic { canary: seen.status.canary_weight, mirrored: state.mirrored }
}

/// A route that differs from the status is the truth: after our own write it is the step just made,
/// after a crash or a foreign hand it is where traffic is. A new interval starts, nothing advances.
fn follow_route(seen: &Observation, now: Timestamp) -> Option<Step> {
    let Route::Present { traffic, .. } = seen.route else { return None };
    let mut state = seen.engine();
    let before = recorded(seen, &state);
    if traffic == before {
        return None;
    }
    let mut say = Vec::new();
    let mut status = seen.status.clone();
    match verdict::next(seen) {
        Move::Shift { traffic: wanted, iterations, say: text, .. } if wanted == traffic => {
            // The checks before it passed, or it would not have been made; their answers may be in the round still.
            if let Verdict::Free { say: passed, .. } = verdict::verdict(seen, seen.round.as_ref()) {
                say.extend(passed);
            }
            say.extend(text.map(Say::normal));
            status.iterations = iterations;
        }
        _ => {
            if strategy::strategy(seen) == Strategy::BlueGreen && traffic.canary == 100 {
                status.iterations = seen.spec.iterations() + 1;
            }
            say.push(Say::warning(format!("The route of {} has canary weight {}: going on from there", seen.key, traffic.canary)));
        }
    }
    (status.canary_weight, state.mirrored) = (traffic.canary, traffic.mirrored);
    status.enter(Phase::Progressing, seen.kind(), now);
    state.report = None;
    state.finding = None;
    state.waiting.clear();
    state.approvals.retain(|a| a.gate != HookKind::ConfirmTrafficIncrease);
    status.set_engine(&state, now);
    Some(Step::write(status, say, format!("canary weight {}", traffic.canary)))
}

fn last_failure(state: &EngineState) -> Option<String> {
    state.report.as_ref().filter(|(word, _)| word == "check-failed").map(|(_, message)| message.clone())
}

fn failed_check(seen: &Observation, say: Vec<Say>, finding: Finding, now: Timestamp) -> Step {
    let mut status = seen.status.clone();
    status.failed_checks += 1;
    let message = say.iter().rev().find(|s| s.warning).map(|s| s.message.clone()).unwrap_or_default();
    let mut state = seen.engine();
    state.report = Some((reason_word(Reason::CheckFailed), message.clone()));
    let finding = Some(Finding { failed: finding.failed + 1, ..finding });
    state.finding.clone_from(&finding);
    status.enter(status.phase, seen.kind(), now);
    status.set_engine(&state, now);
    let mut step = Step::write(status, say, message);
    step.report.reason = Reason::CheckFailed;
    step.report.finding = finding;
    step
}

/// What the next interval brings, in words.
fn next_move(seen: &Observation) -> String {
    let (analysis, status) = (&seen.spec.analysis, &seen.status);
    let failed = last_failure(&seen.engine())
        .map(|f| format!(" ({}/{} failed checks: {f})", status.failed_checks, analysis.failed_checks_limit()))
        .unwrap_or_default();
    let next = if seen.spec.skip_analysis {
        "promotes without analysis".to_owned()
    } else if threshold_reached(seen) {
        "rolls back".to_owned()
    } else {
        match verdict::next(seen) {
            Move::Promote { .. } => "checks, then promotes".to_owned(),
            Move::Shift { traffic: Traffic { mirrored: true, .. }, iterations: 0, .. } => "checks, then mirrors traffic".to_owned(),
            Move::Shift { traffic, iterations: 0, .. } => format!("checks, then weight {} %", traffic.canary),
            Move::Shift { iterations, .. } if iterations > seen.spec.iterations() => {
                "checks, then a last check before promotion".to_owned()
            }
            Move::Shift { iterations, .. } => format!("checks, then iteration {iterations}/{}", seen.spec.iterations()),
        }
    };
    format!("{next}{failed}")
}

/// All checks passed and every gate is open: one step further.
fn advance(seen: &Observation, next: Move, mut say: Vec<Say>, now: Timestamp) -> Step {
    let (traffic, iterations, text) = match next {
        Move::Promote { .. } => return promotion::begin(seen, seen.engine(), say, now),
        Move::Shift { traffic, iterations, say: text, .. } => (traffic, iterations, text),
    };
    if seen.route.has_weights() && seen.route.traffic() != traffic {
        let message = text.unwrap_or_else(|| format!("gives the canary {} %", traffic.canary));
        return Step::act(Effect::SetTraffic(traffic), message);
    }
    let mut status = seen.status.clone();
    status.iterations = iterations;
    status.enter(Phase::Progressing, seen.kind(), now);
    let mut state = seen.engine();
    state.report = None;
    state.finding = None;
    state.waiting.clear();
    status.set_engine(&state, now);
    say.extend(text.map(Say::normal));
    Step::write(status, say, format!("iteration {iterations}/{}", seen.spec.iterations()))
}
