//! Conditions of a Deployment's status: reasons, messages and times in the real controller's words.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kubernetes::json::{child, text};

/// One thing that the controller says; `{}` in the message stands for a name.
#[derive(Clone, Copy, Debug)]
pub struct Note {
    pub kind: &'static str,
    pub status: &'static str,
    pub reason: &'static str,
    pub message: &'static str,
}

const fn note(kind: &'static str, status: &'static str, reason: &'static str, message: &'static str) -> Note {
    Note { kind, status, reason, message }
}

pub const AVAILABLE: Note = note("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.");
pub const UNAVAILABLE: Note = note("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.");
pub const FOUND: Note = note("Progressing", "True", "FoundNewReplicaSet", r#"Found new replica set "{}""#);
pub const CREATED: Note = note("Progressing", "True", "NewReplicaSetCreated", r#"Created new replica set "{}""#);
pub const UPDATED: Note = note("Progressing", "True", "ReplicaSetUpdated", r#"ReplicaSet "{}" is progressing."#);
pub const COMPLETE: Note = note("Progressing", "True", "NewReplicaSetAvailable", r#"ReplicaSet "{}" has successfully progressed."#);
pub const TIMED_OUT: Note = note("Progressing", "False", "ProgressDeadlineExceeded", r#"ReplicaSet "{}" has timed out progressing."#);
pub const PAUSED: Note = note("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused");
pub const RESUMED: Note = note("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed");

impl Note {
    /// As a condition of a status.
    pub fn at(&self, time: Timestamp, name: &str) -> Value {
        let time = seconds(time);
        json!({
            "type": self.kind, "status": self.status, "lastUpdateTime": time, "lastTransitionTime": time,
            "reason": self.reason, "message": self.message.replace("{}", name)
        })
    }
}

/// A time as `metav1.Time` is written: whole seconds, UTC.
pub fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The condition of a type.
pub fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status.get("conditions")?.as_array()?.iter().find(|c| text(c, "/type") == kind)
}

/// Puts a condition in, last of all. One that says the same already stays as it is; the transition time moves with the
/// status alone.
pub fn set_condition(status: &mut Value, mut new: Value) {
    let kind = text(&new, "/type").to_owned();
    if let Some(current) = condition(status, &kind) {
        if current["status"] == new["status"] && current["reason"] == new["reason"] {
            return;
        }
        if current["status"] == new["status"] {
            new["lastTransitionTime"] = current["lastTransitionTime"].clone();
        }
    }
    remove(status, &kind);
    let list = &mut status["conditions"];
    match list.as_array_mut() {
        Some(list) => list.push(new),
        None => *list = json!([new]),
    }
}

pub fn remove(status: &mut Value, kind: &str) {
    if let Some(list) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        list.retain(|c| text(c, "/type") != kind);
    }
}

/// Sets a condition of a kind that keeps its place and has no update time, as the autoscaler's.
pub fn replace_condition(status: &mut Value, new: Value) {
    let list = child(status, "conditions");
    if !list.is_array() {
        *list = json!([]);
    }
    let Some(list) = list.as_array_mut() else {
        return;
    };
    match list.iter_mut().find(|c| c["type"] == new["type"]) {
        Some(current) if current["status"] == new["status"] => {
            let since = current["lastTransitionTime"].clone();
            *current = new;
            current["lastTransitionTime"] = since;
        }
        Some(current) => *current = new,
        None => list.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_move_as_the_real_controllers_do() {
        let at = |s| Timestamp::from_second(s).expect("a time");
        let mut status = json!({});
        set_condition(&mut status, CREATED.at(at(0), "web-1"));
        set_condition(&mut status, AVAILABLE.at(at(1), ""));
        set_condition(&mut status, CREATED.at(at(2), "web-2"));
        assert_eq!(status["conditions"][0]["message"], r#"Created new replica set "web-1""#);
        set_condition(&mut status, COMPLETE.at(at(3), "web-1"));
        let progressing = condition(&status, "Progressing").expect("a condition");
        assert_eq!(progressing["lastTransitionTime"], "1970-01-01T00:00:00Z");
        assert_eq!(progressing["lastUpdateTime"], "1970-01-01T00:00:03Z");
        assert_eq!(status["conditions"][1], *progressing);
        set_condition(&mut status, UNAVAILABLE.at(at(4), ""));
        assert_eq!(condition(&status, "Available").expect("a condition")["lastTransitionTime"], "1970-01-01T00:00:04Z");
    }
}
