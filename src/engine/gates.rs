//! Gates: what a closed one says, once, and whom it waits for. They bind to one revision and close behind it.

use jiff::Timestamp;

use super::effect::{Effect, Say};
use super::observation::Observation;
use super::report::{Reason, Report};
use super::step::{Step, next_tick, reason_word};
use super::verdict::Keeper;
use crate::domain::alert::Severity;
use crate::domain::canary::HookKind;
use crate::domain::phase::Phase;

/// What a gate is called in `status`: a webhook's closed gate is no human's to open.
#[must_use]
pub fn name(gate: HookKind, by: &Keeper) -> String {
    match by {
        Keeper::Human => gate.word().into(),
        Keeper::Hook { name, .. } => format!("{} {name}", gate.word()),
    }
}

/// The alert of a gate that waits (rollout-contract §8.1).
const fn alert(gate: HookKind) -> &'static str {
    match gate {
        HookKind::ConfirmTrafficIncrease => "Canary traffic increase is waiting for approval.",
        HookKind::ConfirmPromotion => "Canary promotion is waiting for approval.",
        _ => "Canary is waiting for approval.",
    }
}

/// A gate that is not open: its phase is entered and it is told of once; then it waits.
pub(super) fn close(seen: &Observation, gate: HookKind, by: &Keeper, mut say: Vec<Say>, phase: Phase, now: Timestamp) -> Step {
    let name = name(gate, by);
    let message = match by {
        Keeper::Human => format!("waits for a human at gate {}: approve or reject it", gate.word()),
        Keeper::Hook { name, .. } => {
            format!("waits at gate {}: webhook {name} does not pass it; it is asked again each interval", gate.word())
        }
    };
    let report = Report::new(Reason::Gate, message);
    let mut state = seen.engine();
    if state.waiting.contains_key(&name) && seen.status.phase == phase {
        return Step { effect: None, wake: next_tick(seen, now), report };
    }
    // One gate waits at a time: what was waited for before has passed.
    state.waiting.clear();
    state.waiting.insert(name, now);
    state.report = Some((reason_word(Reason::Gate), report.message.clone()));
    let mut status = seen.status.clone();
    if status.phase != phase {
        status.enter(phase, seen.kind(), now);
    }
    status.set_engine(&state, now);
    let muted = match by {
        Keeper::Human => {
            let what = match gate {
                HookKind::ConfirmRollout => "approval",
                HookKind::ConfirmTrafficIncrease => "traffic increase approval",
                _ => "promotion approval",
            };
            say.push(Say::warning(format!("Halt {} advancement waiting for {what} {}", seen.key, gate.word())));
            false
        }
        Keeper::Hook { muted, .. } => *muted,
    };
    if let Some(last) = say.pop() {
        say.push(if muted { last } else { last.alert(Severity::Warn, alert(gate), false) });
    }
    Step { effect: Some(Effect::WriteStatus { status: Box::new(status), say }), wake: None, report }
}
