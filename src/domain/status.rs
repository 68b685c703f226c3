//! `Canary.status`, and the engine's own condition in it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::canary::HookKind;
use super::finding::Finding;
use super::intent::{Intent, Verdict};
use super::phase::Phase;

/// Type of the condition that carries the engine's state in its message.
pub const CONDITION: &str = "Pilothouse";
/// Flagger's condition.
pub const PROMOTED: &str = "Promoted";
/// Verdicts kept in the condition: enough to find one's own id after a lost reply, small enough for etcd.
pub const VERDICTS_KEPT: usize = 8;

fn skip<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Flagger's status, field for field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryStatus {
    pub phase: Phase,
    pub failed_checks: i64,
    pub canary_weight: i64,
    pub iterations: i64,
    #[serde(skip_serializing_if = "skip")]
    pub tracked_configs: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "skip")]
    pub last_applied_spec: String,
    #[serde(skip_serializing_if = "skip")]
    pub last_promoted_spec: String,
    #[serde(skip_serializing_if = "skip")]
    #[schemars(with = "Option<String>")]
    pub last_transition_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "skip")]
    pub session_affinity_cookie: String,
    #[serde(skip_serializing_if = "skip")]
    pub primary_session_affinity_cookie: String,
    #[serde(skip_serializing_if = "skip")]
    pub previous_session_affinity_cookie: String,
    #[serde(skip_serializing_if = "skip")]
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    #[serde(skip_serializing_if = "skip")]
    pub reason: String,
    #[serde(skip_serializing_if = "skip")]
    pub message: String,
    #[serde(skip_serializing_if = "skip")]
    #[schemars(with = "Option<String>")]
    pub last_update_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "skip")]
    #[schemars(with = "Option<String>")]
    pub last_transition_time: Option<Timestamp>,
}

/// An approval of one gate for one revision; it opens nothing for any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    pub gate: HookKind,
    pub revision: String,
    pub who: String,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    pub who: String,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What must change in one write with the phase: the message of the [`CONDITION`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EngineState {
    #[serde(skip_serializing_if = "skip")]
    pub pause: Option<Pause>,
    #[serde(skip_serializing_if = "skip")]
    pub approvals: Vec<Approval>,
    /// Gates that were asked and are closed, with the moment since when.
    #[serde(skip_serializing_if = "skip")]
    pub waiting: BTreeMap<String, Timestamp>,
    /// Revision that an operator told to promote without further analysis.
    #[serde(skip_serializing_if = "skip")]
    pub promote_now: Option<String>,
    /// The rollout is given up for this reason: traffic, pods and phase follow, whatever happens in between.
    #[serde(skip_serializing_if = "skip")]
    pub going_down: Option<String>,
    /// Requests are mirrored to the canary, as far as is on record.
    #[serde(skip_serializing_if = "skip")]
    pub mirrored: bool,
    /// The foreign write to the route that an operator has been told of.
    #[serde(skip_serializing_if = "skip")]
    pub foreign_seen: String,
    /// Post-rollout hooks that are still to be called, by the phase they report.
    #[serde(skip_serializing_if = "skip")]
    pub post_rollout: Option<Phase>,
    /// Why the last rollout ended as it did.
    #[serde(skip_serializing_if = "skip")]
    pub ended: Option<String>,
    #[serde(skip_serializing_if = "skip")]
    pub verdicts: Vec<Verdict>,
    /// The compact report: reason word and sentence.
    #[serde(skip_serializing_if = "skip")]
    pub report: Option<(String, String)>,
    /// The last check that did not pass, until one passes.
    #[serde(skip_serializing_if = "skip")]
    pub finding: Option<Finding>,
}

impl EngineState {
    #[must_use]
    pub fn approved(&self, gate: HookKind, revision: &str) -> bool {
        self.approvals.iter().any(|a| a.gate == gate && a.revision == revision)
    }

    #[must_use]
    pub fn verdict(&self, id: &str) -> Option<&Verdict> {
        self.verdicts.iter().find(|v| v.id == id)
    }

    /// Records what became of `intent`, and forgets the oldest verdicts.
    pub fn record(&mut self, intent: &Intent, accepted: bool, note: impl Into<String>, now: Timestamp) {
        self.verdicts.push(Verdict {
            id: intent.id.clone(),
            verb: intent.verb,
            accepted,
            who: intent.who.clone(),
            at: now,
            why: intent.why.clone(),
            note: note.into(),
        });
        let surplus = self.verdicts.len().saturating_sub(VERDICTS_KEPT);
        self.verdicts.drain(..surplus);
    }
}

impl CanaryStatus {
    /// The engine's state; an unreadable one is empty, as after another controller's write.
    #[must_use]
    pub fn engine(&self) -> EngineState {
        self.conditions.iter().find(|c| c.kind == CONDITION).and_then(|c| serde_json::from_str(&c.message).ok()).unwrap_or_default()
    }

    /// Puts `state` into the condition; its transition time moves when the reason does.
    pub fn set_engine(&mut self, state: &EngineState, now: Timestamp) {
        let message = serde_json::to_string(state).unwrap_or_default();
        let reason = match (&state.pause, self.phase.is_in_flight()) {
            (Some(_), _) => "Paused",
            (None, true) => "Driving",
            (None, false) => "Idle",
        };
        self.set_condition(CONDITION, "True", reason, message, now);
    }

    /// Moves to `phase` at `now`, with Flagger's condition in step: `lastTransitionTime` is what the next
    /// interval counts from.
    pub fn enter(&mut self, phase: Phase, kind: &str, now: Timestamp) {
        self.phase = phase;
        self.last_transition_time = Some(now);
        if phase != Phase::Unknown {
            self.set_condition(PROMOTED, phase.promoted(), phase.word(), phase.promoted_message(kind), now);
        }
    }

    fn set_condition(&mut self, kind: &str, status: &str, reason: &str, message: String, now: Timestamp) {
        let found = self.conditions.iter().position(|c| c.kind == kind);
        let old = found.and_then(|i| self.conditions.get(i)).cloned().unwrap_or_default();
        if old.status == status && old.reason == reason && old.message == message {
            return;
        }
        let moved = old.status != status;
        let new = Condition {
            kind: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message,
            last_update_time: Some(now),
            last_transition_time: if moved { Some(now) } else { old.last_transition_time.or(Some(now)) },
        };
        match found.and_then(|i| self.conditions.get_mut(i)) {
            Some(slot) => *slot = new,
            None => self.conditions.push(new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_state_survives_the_status() {
        let now = Timestamp::from_second(1_000).expect("a time");
        let mut status = CanaryStatus::default();
        status.enter(Phase::Progressing, "Deployment", now);
        let state = EngineState { pause: Some(Pause { who: "bo".into(), at: now, why: "INC-42".into() }), ..Default::default() };
        status.set_engine(&state, now);
        let json = serde_json::to_value(&status).expect("json");
        let back: CanaryStatus = serde_json::from_value(json).expect("a status");
        assert_eq!(back.engine(), state);
        assert_eq!(back.conditions[0].kind, PROMOTED);
        assert_eq!(back.conditions[0].message, "New revision detected, progressing canary analysis.");
    }

    #[test]
    fn verdicts_are_bounded_and_newest_stay() {
        let now = Timestamp::from_second(1).expect("a time");
        let mut state = EngineState::default();
        for i in 0..20 {
            let intent = Intent {
                id: i.to_string(),
                verb: super::super::intent::Verb::Pause,
                revision: String::new(),
                who: "bo".into(),
                at: now,
                why: String::new(),
                gate: String::new(),
            };
            state.record(&intent, true, "", now);
        }
        assert_eq!(state.verdicts.len(), VERDICTS_KEPT);
        assert!(state.verdict("19").is_some() && state.verdict("3").is_none());
    }
}
