//! Operators' verbs: one at a time, bound to the revision that was seen, recorded with their verdict in
//! the same write that carries them out, and only then removed.

use jiff::Timestamp;

use super::effect::{Effect, Say};
use super::observation::Observation;
use super::rollback;
use super::step::{Step, pods_down, start};
use crate::domain::alert::Severity;
use crate::domain::canary::HookKind;
use crate::domain::intent::{Intent, Verb};
use crate::domain::phase::Phase;
use crate::domain::revision;
use crate::domain::status::{Approval, EngineState, Pause};
use crate::domain::traffic::Traffic;

/// The step that an intent asks for, if there is one.
pub(super) fn settle(seen: &Observation, now: Timestamp) -> Option<Step> {
    let state = seen.engine();
    if let Some((id, _)) = seen.broken_intents.iter().find(|(id, _)| state.verdict(id).is_some()) {
        return Some(Step::act(Effect::RemoveIntent { id: id.clone() }, "removes an intent that has its verdict"));
    }
    if let Some((id, why)) = seen.broken_intents.first() {
        let intent = Intent {
            id: id.clone(),
            verb: Verb::Pause,
            revision: String::new(),
            who: String::new(),
            at: now,
            why: String::new(),
            gate: String::new(),
        };
        return Some(refuse(seen, &intent, &format!("cannot be read: {why}"), now));
    }
    let intent = seen.intents.first()?;
    if state.verdict(&intent.id).is_some() {
        return Some(Step::act(Effect::RemoveIntent { id: intent.id.clone() }, "removes an intent that has its verdict"));
    }
    if !intent.revision.is_empty() && intent.revision != seen.status.last_applied_spec {
        let why = format!(
            "the rollout has moved on from revision {} to {}: look again and repeat the verb",
            revision::short(&intent.revision),
            revision::short(&seen.status.last_applied_spec)
        );
        return Some(refuse(seen, intent, &why, now));
    }
    if let Err(why) = intent.verb.check(seen.status.phase, state.pause.is_some()) {
        return Some(refuse(seen, intent, &why, now));
    }
    Some(match intent.verb {
        Verb::Pause => {
            let mut state = state;
            state.pause = Some(Pause { who: intent.who.clone(), at: now, why: intent.why.clone() });
            accept(seen, intent, state, now, false, format!("Paused {} by {}{}", seen.key, intent.who, because(intent)))
        }
        Verb::Resume => {
            let mut state = state;
            state.pause = None;
            state.report = None;
            accept(seen, intent, state, now, true, format!("Resumed {} by {}{}", seen.key, intent.who, because(intent)))
        }
        Verb::Promote => match seen.recorded_checksum() {
            Some(checksum) => {
                let mut state = state;
                state.promote_now = Some(checksum);
                state.pause = None;
                accept(
                    seen,
                    intent,
                    state,
                    now,
                    false,
                    format!("Promotion of {} without further analysis ordered by {}{}", seen.key, intent.who, because(intent)),
                )
            }
            None => refuse(seen, intent, "the revision on record is not ours: wait for the next rollout", now),
        },
        Verb::Approve => approve(seen, intent, state, now),
        Verb::Reject if waiting_gate(&state, intent).is_none() => refuse(seen, intent, "no gate is waiting", now),
        Verb::Abort | Verb::Reject => give_up(seen, intent, now),
        Verb::Retry => match &seen.target {
            Some(target) => {
                let mut state = state;
                state.record(intent, true, "started again", now);
                start(
                    seen,
                    target,
                    state,
                    vec![Say::normal(format!("Retry of {} ordered by {}{}", seen.key, intent.who, because(intent)))],
                    now,
                )
            }
            None => refuse(seen, intent, "the target is not there", now),
        },
    })
}

fn because(intent: &Intent) -> String {
    if intent.why.is_empty() { String::new() } else { format!(": {}", intent.why) }
}

/// The gate that an approve or reject means.
fn waiting_gate(state: &EngineState, intent: &Intent) -> Option<HookKind> {
    let name = if intent.gate.is_empty() { state.waiting.keys().next()? } else { state.waiting.get_key_value(&intent.gate)?.0 };
    HookKind::parse(name)
}

/// Why there is no gate that an approval could open.
fn not_waiting(state: &EngineState, intent: &Intent) -> String {
    let wanted = |name: &&String| intent.gate.is_empty() || name.split(' ').next() == Some(&intent.gate);
    if let Some((gate, hook)) = state.waiting.keys().find(wanted).and_then(|name| name.split_once(' ')) {
        return format!("gate {gate} is held by webhook {hook}, which alone can open it");
    }
    if intent.gate.is_empty() { "no gate is waiting".into() } else { format!("gate {} is not waiting", intent.gate) }
}

fn approve(seen: &Observation, intent: &Intent, mut state: EngineState, now: Timestamp) -> Step {
    let Some(gate) = waiting_gate(&state, intent) else {
        return refuse(seen, intent, &not_waiting(&state, intent), now);
    };
    // In Waiting the rollout on record is the last one; the gate asks for what the target is now.
    let revision = if seen.status.phase == Phase::Waiting { seen.checksum() } else { seen.recorded_checksum() };
    let Some(revision) = revision else { return refuse(seen, intent, "the target is not there", now) };
    state.waiting.remove(gate.word());
    state.approvals.push(Approval { gate, revision, who: intent.who.clone(), at: now, why: intent.why.clone() });
    state.report = None;
    let text = match gate {
        HookKind::ConfirmRollout => format!("Confirm-rollout check {} passed", gate.word()),
        HookKind::ConfirmTrafficIncrease => format!("Confirm-traffic-increase check {} passed", gate.word()),
        _ => format!("Confirm-promotion check {} passed", gate.word()),
    };
    accept(seen, intent, state, now, false, format!("{text}: approved by {}{}", intent.who, because(intent)))
}

/// Abort and reject: the route first, then the pods, then the word.
fn give_up(seen: &Observation, intent: &Intent, now: Timestamp) -> Step {
    if !seen.route.is_all_primary() {
        return Step::act(Effect::SetTraffic(Traffic::PRIMARY), "aborts: sends all traffic to the primary");
    }
    if let Some(step) = pods_down(seen, "aborts: scales the target to zero").filter(|_| seen.status.phase.is_analysed()) {
        return step;
    }
    let word = if intent.verb == Verb::Reject { "rejected" } else { "aborted" };
    let ended = format!("{word} by {}{}", intent.who, because(intent));
    let mut state = seen.engine();
    // What ended it is a person's word, whatever a check said before.
    state.finding = None;
    state.record(intent, true, ended.clone(), now);
    let say =
        vec![Say::warning(format!("Rolling back {} {ended}", seen.key)).alert(Severity::Warn, format!("Rolled back: {ended}"), false)];
    rollback::fail(seen, state, ended, say, now)
}

fn accept(seen: &Observation, intent: &Intent, mut state: EngineState, now: Timestamp, new_interval: bool, text: String) -> Step {
    state.record(intent, true, "", now);
    let mut status = seen.status.clone();
    if new_interval && status.phase.is_in_flight() {
        status.enter(status.phase, seen.kind(), now);
    }
    status.set_engine(&state, now);
    let say = if intent.verb == Verb::Approve { Say::normal(text.clone()) } else { Say::warning(text.clone()) };
    Step::write(status, vec![say], text)
}

fn refuse(seen: &Observation, intent: &Intent, why: &str, now: Timestamp) -> Step {
    let mut state = seen.engine();
    state.record(intent, false, why, now);
    let mut status = seen.status.clone();
    status.set_engine(&state, now);
    let say = vec![Say::warning(format!("Refused {} of {} by {}: {why}", intent.verb, seen.key, intent.who))];
    Step::write(status, say, format!("refuses {}", intent.verb))
}
