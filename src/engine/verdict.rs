//! What the answers of one interval come to: what is still to be asked, what failed, which gate is closed, or which move is free.

use super::analysis::{self, Judgement, Rollback};
use super::effect::{Question, Say};
use super::observation::{Observation, Round};
use super::report::Finding;
use super::strategy::{self, Move};
use crate::domain::canary::{HookKind, Strategy};
use crate::domain::phase::Phase;

/// What the round says of a canary that is analysed.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Ask(Question),
    /// A rollback hook of this name signals a rollback.
    RollBack(String),
    /// A check failed.
    Failed(Vec<Say>, Box<Finding>),
    /// A check has no data, and that holds the rollout.
    Held(String, Box<Finding>),
    /// The checks passed, and this gate does not let the next move through.
    Closed {
        gate: HookKind,
        by: Keeper,
        say: Vec<Say>,
    },
    /// The checks passed and every gate is open: this move is free. Its own text comes after `say`.
    Free {
        next: Move,
        say: Vec<Say>,
    },
}

/// Who keeps a gate closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// A human has not approved this revision.
    Human,
    /// The webhook of this name did not pass.
    Hook { name: String, muted: bool },
}

/// A gate, as it stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Gate {
    Open(Vec<Say>),
    Ask(Question),
    Closed { by: Keeper, say: Vec<Say> },
}

/// Whether `kind` lets the revision with `checksum` pass: a human's approval first, then its webhooks.
#[must_use]
pub fn gate(seen: &Observation, round: Option<&Round>, kind: HookKind, checksum: &str) -> Gate {
    if seen.gates.contains(&kind) && !seen.engine().approved(kind, checksum) {
        return Gate::Closed { by: Keeper::Human, say: Vec::new() };
    }
    match analysis::hooks(seen, round, kind) {
        Judgement::Ask(question) => Gate::Ask(question),
        Judgement::Passed(say) => Gate::Open(say),
        Judgement::Failed(say, _) => {
            let failed = |(index, hook): &(usize, &crate::domain::canary::CanaryWebhook)| {
                let answer = round.and_then(|r| r.answers.get(&Question::Hook { kind, index: *index }));
                hook.hook_kind() == Some(kind) && answer.is_some_and(|a| *a != super::effect::Answer::Passed)
            };
            let hook = seen.spec.analysis.webhooks.iter().enumerate().find(failed).map(|(_, hook)| hook);
            let (name, muted) = hook.map(|h| (h.name.clone(), h.mute_alert)).unwrap_or_default();
            Gate::Closed { by: Keeper::Hook { name, muted }, say }
        }
        Judgement::Held(why, _) => Gate::Closed { by: Keeper::Hook { name: why, muted: false }, say: Vec::new() },
    }
}

/// Before the first traffic there is nothing to measure: pre-rollout hooks are called instead of the checks.
#[must_use]
pub fn is_first(seen: &Observation) -> bool {
    seen.status.canary_weight == 0 && seen.status.iterations == 0 && !seen.engine().mirrored
}

/// The verdict of `round` on a canary in Progressing or `WaitingPromotion`.
#[must_use]
pub fn verdict(seen: &Observation, round: Option<&Round>) -> Verdict {
    let mut say = match analysis::rollback_hooks(seen, round) {
        Ok(say) => say,
        Err(Rollback::Ask(question)) => return Verdict::Ask(question),
        Err(Rollback::Ordered(hook)) => return Verdict::RollBack(hook),
    };
    let first = is_first(seen);
    if first {
        say.push(Say::normal(format!("Starting canary analysis for {}", seen.target_name())));
    }
    let judged = if first { analysis::hooks(seen, round, HookKind::PreRollout) } else { analysis::checks(seen, round) };
    match judged {
        Judgement::Ask(question) => return Verdict::Ask(question),
        Judgement::Held(why, finding) => return Verdict::Held(why, finding),
        Judgement::Failed(failed, finding) => {
            say.extend(failed);
            return Verdict::Failed(say, finding);
        }
        Judgement::Passed(passed) => say.extend(passed),
    }
    let next = next(seen);
    let gates = match &next {
        Move::Shift { gate, .. } => gate.as_slice(),
        Move::Promote { gates } => gates,
    };
    let checksum = seen.recorded_checksum().unwrap_or_default();
    for kind in gates {
        match gate(seen, round, *kind, &checksum) {
            Gate::Ask(question) => return Verdict::Ask(question),
            Gate::Closed { by, say: refused } => {
                say.extend(refused);
                return Verdict::Closed { gate: *kind, by, say };
            }
            Gate::Open(passed) => say.extend(passed),
        }
    }
    Verdict::Free { next, say }
}

/// The move that comes next; what has waited for its promotion is not taken any further first, and is never asked for more
/// traffic (Flagger #1470).
#[must_use]
pub fn next(seen: &Observation) -> Move {
    let waits = seen.status.phase == Phase::WaitingPromotion && strategy::strategy(seen) == Strategy::Progressive;
    if waits { Move::Promote { gates: &[HookKind::ConfirmPromotion] } } else { strategy::next(seen, &seen.key.to_string()) }
}

/// What `round` has not answered yet of what its phase has to know.
#[must_use]
pub fn open_question(seen: &Observation, round: Option<&Round>) -> Option<Question> {
    let of_hooks = |kind| match analysis::hooks(seen, round, kind) {
        Judgement::Ask(question) => Some(question),
        _ => None,
    };
    match seen.status.phase {
        Phase::Initializing => round.is_none_or(|r| !r.answers.contains_key(&Question::Online)).then_some(Question::Online),
        phase if phase.is_settled() && seen.engine().post_rollout.is_some() => of_hooks(HookKind::PostRollout),
        phase if phase.is_settled() => of_hooks(HookKind::ConfirmRollout),
        Phase::Waiting => match analysis::rollback_hooks(seen, round) {
            Err(Rollback::Ask(question)) => Some(question),
            Err(Rollback::Ordered(_)) => None,
            Ok(_) => of_hooks(HookKind::ConfirmRollout),
        },
        phase if phase.is_analysed() => match verdict(seen, round) {
            Verdict::Ask(question) => Some(question),
            _ => None,
        },
        _ => None,
    }
}

/// Whether `round` has answered everything that its phase has to know.
#[must_use]
pub fn is_answered(seen: &Observation, round: &Round) -> bool {
    open_question(seen, Some(round)).is_none()
}
