//! The ways down: a rollback is decided, carried out (traffic, pods, word), and told.

use jiff::Timestamp;

use super::effect::{Effect, Say};
use super::observation::Observation;
use super::report::{CheckKind, Finding, Reason};
use super::step::{Step, pods_down, reason_word, record};
use super::{analysis, cookies};
use crate::domain::alert::Severity;
use crate::domain::canary::HookKind;
use crate::domain::phase::Phase;
use crate::domain::status::EngineState;
use crate::domain::traffic::Traffic;

/// Decides a rollback: the reason goes on record before its evidence is scaled away.
pub(super) fn decide(seen: &Observation, why: String, finding: Option<Finding>, say: Vec<Say>, now: Timestamp) -> Step {
    let mut state = seen.engine();
    state.finding = finding.map(|finding| analysis::found(seen, finding)).or(state.finding);
    let mut status = seen.status.clone();
    state.going_down = Some(why.clone());
    status.set_engine(&state, now);
    Step::write(status, say, format!("rolls back: {why}"))
}

/// A rollback hook ordered it.
pub(super) fn by_hook(seen: &Observation, hook: &str, now: Timestamp) -> Step {
    let say = vec![
        Say::warning(format!("Rollback check {hook} passed")),
        Say::warning(format!("Rolling back {} manual webhook invoked", seen.key)).alert(
            Severity::Warn,
            "Rolling back manual webhook invoked",
            false,
        ),
    ];
    let finding = Finding::new(CheckKind::Hook, hook).because("it orders a rollback");
    decide(seen, format!("rollback webhook {hook} invoked"), Some(finding), say, now)
}

/// Carries out a rollback that has been decided.
pub(super) fn go_down(seen: &Observation, why: String, now: Timestamp) -> Step {
    if !seen.route.is_all_primary() {
        return Step::act(Effect::SetTraffic(Traffic::PRIMARY), format!("rolls back: {why}"));
    }
    if let Some(step) = pods_down(seen, &format!("rolls back: {why}")) {
        return step;
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
    status.enter(Phase::Failed, seen.kind(), now);
    cookies::end(&mut status);
    state.pause = None;
    state.going_down = None;
    state.mirrored = false;
    state.approvals.clear();
    state.waiting.clear();
    state.promote_now = None;
    state.post_rollout = post_phase(seen, Phase::Failed);
    state.report = Some((reason_word(Reason::RolledBack), ended.clone()));
    state.ended = Some(ended.clone());
    status.set_engine(&state, now);
    say.push(Say::warning(format!("Canary failed! Scaling down {}", seen.key)));
    Step::write(status, say, ended)
}

/// The phase that post-rollout hooks are to report, where there are any.
pub(super) fn post_phase(seen: &Observation, phase: Phase) -> Option<Phase> {
    (!seen.spec.analysis.hooks(HookKind::PostRollout).is_empty()).then_some(phase)
}
