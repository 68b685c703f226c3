//! Is an object well? The kstatus rules, over the object's JSON, with the reason in words.
//!
//! Pure: the time is an argument. Numbers that are absent are 0, replicas that are absent are 1, as kstatus has it.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use crate::domain::text::clean;

/// How long a pod may be unschedulable before that counts as failed: the scheduler's first try is often too early.
const UNSCHEDULABLE_GRACE_SECONDS: i64 = 15;
/// A Deployment with this deadline has none.
const NO_DEADLINE: i64 = 2_147_483_647;

/// What kstatus calls an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthStatus {
    Current,
    InProgress,
    Failed,
    Terminating,
    NotFound,
    Unknown,
}

impl HealthStatus {
    /// The status as kstatus spells it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Current => "Current",
            Self::InProgress => "InProgress",
            Self::Failed => "Failed",
            Self::Terminating => "Terminating",
            Self::NotFound => "NotFound",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A status and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    pub status: HealthStatus,
    /// One line for the operator, clean of control characters.
    pub reason: String,
}

impl Health {
    /// A status with its reason, which is cleaned.
    #[must_use]
    pub fn new(status: HealthStatus, reason: impl AsRef<str>) -> Self {
        Self { status, reason: clean(reason.as_ref()) }
    }

    fn current(reason: &str) -> Self {
        Self::new(HealthStatus::Current, reason)
    }

    fn progress(reason: impl AsRef<str>) -> Self {
        Self::new(HealthStatus::InProgress, reason)
    }

    fn failed(reason: impl AsRef<str>) -> Self {
        Self::new(HealthStatus::Failed, reason)
    }

    /// Whether waiting any longer is in vain.
    #[must_use]
    pub const fn is_decided(&self) -> bool {
        matches!(self.status, HealthStatus::Current | HealthStatus::Failed)
    }
}

/// The health of a set: failed if one has failed, unknown if one is unknown, current if all are.
#[must_use]
pub fn aggregate<'a>(all: impl IntoIterator<Item = &'a Health>) -> HealthStatus {
    let mut worst = HealthStatus::Current;
    for health in all {
        worst = match (worst, health.status) {
            (HealthStatus::Failed, _) | (_, HealthStatus::Failed) => HealthStatus::Failed,
            (HealthStatus::Unknown, _) | (_, HealthStatus::Unknown) => HealthStatus::Unknown,
            (HealthStatus::Current, HealthStatus::Current) => HealthStatus::Current,
            _ => HealthStatus::InProgress,
        };
    }
    worst
}

/// The health of a live object; `None` is an object that is not there.
#[must_use]
pub fn health(object: Option<&Value>, now: Timestamp) -> Health {
    let Some(object) = object else { return Health::new(HealthStatus::NotFound, "it does not exist") };
    if !text(object, "/metadata/deletionTimestamp").is_empty() {
        return Health::new(HealthStatus::Terminating, "it is being deleted");
    }
    let generations = (int(object, "/metadata/generation"), int(object, "/status/observedGeneration"));
    if let (Some(generation), Some(observed)) = generations
        && generation != observed
    {
        return Health::progress(format!("its controller has seen generation {observed} of {generation}"));
    }
    for condition in conditions(object) {
        match (text(condition, "/type"), text(condition, "/status")) {
            ("Reconciling", "True") => return Health::progress(because(condition, "reconciling")),
            ("Stalled", "True") => return Health::failed(because(condition, "stalled")),
            _ => {}
        }
    }
    let group = text(object, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
    match (group, text(object, "/kind")) {
        ("", "ConfigMap" | "Secret") | ("batch", "CronJob") | ("policy", "PodDisruptionBudget") => Health::current("it exists"),
        ("", "Service") => service(object),
        ("", "PersistentVolumeClaim") => claim(object),
        ("", "Pod") => pod(object, now),
        ("apps" | "extensions", "Deployment") => deployment(object),
        ("apps" | "extensions", "ReplicaSet") => replica_set(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps" | "extensions", "DaemonSet") => daemon_set(object),
        ("batch", "Job") => job(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        _ => ready(object),
    }
}

/// Kinds without a rule of their own: the condition `Ready`, where there is one.
fn ready(object: &Value) -> Health {
    match condition(object, "Ready") {
        None => Health::current("it exists"),
        Some(found) if text(found, "/status") == "True" => Health::current(&because(found, "ready")),
        Some(found) => Health::progress(because(found, "not ready")),
    }
}

fn service(object: &Value) -> Health {
    if text(object, "/spec/type") != "LoadBalancer" {
        return Health::current("it exists");
    }
    if text(object, "/spec/clusterIP").is_empty() {
        return Health::progress("it has no cluster address yet");
    }
    let ingress = object.pointer("/status/loadBalancer/ingress").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    Health::current(if ingress { "the load balancer has an address" } else { "the load balancer has no address yet" })
}

fn claim(object: &Value) -> Health {
    match text(object, "/status/phase") {
        "Bound" => Health::current("bound"),
        "" => Health::progress("not bound yet"),
        phase => Health::progress(format!("not bound, it is {phase}")),
    }
}

fn pod(object: &Value, now: Timestamp) -> Health {
    match text(object, "/status/phase") {
        "Succeeded" => Health::current("it has run to its end"),
        "Failed" => Health::current("it has ended, without success"),
        "Running" => {
            if condition(object, "Ready").is_some_and(|found| text(found, "/status") == "True") {
                return Health::current("ready");
            }
            match waiting(object) {
                Some((name, "CrashLoopBackOff")) => Health::failed(format!("container {name} crashes again and again")),
                Some((name, why)) => Health::progress(format!("container {name} waits: {why}")),
                None => Health::progress("running, not ready"),
            }
        }
        "Pending" => {
            let unscheduled = condition(object, "PodScheduled")
                .filter(|found| text(found, "/status") == "False" && text(found, "/reason") == "Unschedulable");
            if let Some(found) = unscheduled {
                let since = text(object, "/metadata/creationTimestamp").parse::<Timestamp>();
                let young = since.is_ok_and(|since| now.as_second() - since.as_second() < UNSCHEDULABLE_GRACE_SECONDS);
                let why = because(found, "no node takes it");
                return if young { Health::progress(why) } else { Health::failed(why) };
            }
            match waiting(object) {
                Some((name, why)) => Health::progress(format!("container {name} waits: {why}")),
                None => Health::progress("pending"),
            }
        }
        "" => Health::progress("it has no phase yet"),
        phase => Health::new(HealthStatus::Unknown, format!("phase {phase} is not known")),
    }
}

/// The first container that waits, and its reason.
fn waiting(object: &Value) -> Option<(&str, &str)> {
    let statuses = object.pointer("/status/containerStatuses")?.as_array()?;
    let of = |status| (text(status, "/name"), text(status, "/state/waiting/reason"));
    let all = || statuses.iter().map(of).filter(|(_, reason)| !reason.is_empty());
    all().find(|(_, reason)| *reason == "CrashLoopBackOff").or_else(|| all().next())
}

fn deployment(object: &Value) -> Health {
    let progressing = condition(object, "Progressing");
    if let Some(found) = progressing
        && text(found, "/reason") == "ProgressDeadlineExceeded"
    {
        return Health::failed(because(found, "the progress deadline has passed"));
    }
    let wanted = int(object, "/spec/replicas").unwrap_or(1);
    let replicas = count(object, "/status/replicas");
    let updated = count(object, "/status/updatedReplicas");
    let available = count(object, "/status/availableReplicas");
    let up = count(object, "/status/readyReplicas");
    if wanted > replicas {
        return Health::progress(format!("{replicas} of {wanted} pods exist"));
    }
    if wanted > updated {
        return Health::progress(format!("{updated} of {wanted} pods are of the new version"));
    }
    if replicas > wanted {
        return Health::progress(format!("{} old pods are still ending", replicas - wanted));
    }
    if updated > available {
        return Health::progress(format!("{available} of {updated} new pods are available"));
    }
    if wanted > up {
        return Health::progress(format!("{up} of {wanted} pods are ready"));
    }
    let deadline = int(object, "/spec/progressDeadlineSeconds").is_some_and(|seconds| seconds != NO_DEADLINE);
    let rolled_out =
        progressing.is_some_and(|found| text(found, "/status") == "True" && text(found, "/reason") == "NewReplicaSetAvailable");
    if wanted == 0 {
        return Health::current("scaled to zero");
    }
    if deadline && !rolled_out {
        return Health::progress("the new replica set is not available yet");
    }
    if condition(object, "Available").is_none_or(|found| text(found, "/status") != "True") {
        return Health::progress("not available yet");
    }
    Health::current(&format!("{available} pods are available"))
}

fn replica_set(object: &Value) -> Health {
    if let Some(found) = condition(object, "ReplicaFailure")
        && text(found, "/status") == "True"
    {
        return Health::progress(because(found, "pods cannot be made"));
    }
    let wanted = int(object, "/spec/replicas").unwrap_or(1);
    for (pointer, what) in [("fullyLabeledReplicas", "labelled"), ("availableReplicas", "available"), ("readyReplicas", "ready")] {
        let have = count(object, &format!("/status/{pointer}"));
        if wanted > have {
            return Health::progress(format!("{have} of {wanted} pods are {what}"));
        }
    }
    let replicas = count(object, "/status/replicas");
    if replicas > wanted {
        return Health::progress(format!("{} pods are still ending", replicas - wanted));
    }
    Health::current(&format!("{wanted} pods are ready"))
}

fn stateful_set(object: &Value) -> Health {
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return Health::current("pods are replaced when they are deleted");
    }
    let wanted = int(object, "/spec/replicas").unwrap_or(1);
    let replicas = count(object, "/status/replicas");
    let up = count(object, "/status/readyReplicas");
    if wanted > replicas {
        return Health::progress(format!("{replicas} of {wanted} pods exist"));
    }
    if wanted > up {
        return Health::progress(format!("{up} of {wanted} pods are ready"));
    }
    if replicas > wanted {
        return Health::progress(format!("{} pods are still ending", replicas - wanted));
    }
    // An absent partition replaces all pods; so does 0, but then kstatus counts pods instead of revisions.
    if let Some(partition) = int(object, "/spec/updateStrategy/rollingUpdate/partition") {
        let updated = count(object, "/status/updatedReplicas");
        let due = wanted - partition;
        if updated < due {
            return Health::progress(format!("{updated} of {due} pods behind the partition are of the new version"));
        }
        return Health::current(&format!("{updated} pods behind the partition are of the new version"));
    }
    let current = count(object, "/status/currentReplicas");
    if wanted > current {
        return Health::progress(format!("{current} of {wanted} pods are of the current version"));
    }
    if text(object, "/status/currentRevision") != text(object, "/status/updateRevision") {
        return Health::progress("a new revision is rolling out");
    }
    Health::current(&format!("{up} pods are ready"))
}

fn daemon_set(object: &Value) -> Health {
    if int(object, "/metadata/generation").is_none() || int(object, "/status/observedGeneration").is_none() {
        return Health::progress("its controller has not seen it yet");
    }
    let Some(wanted) = int(object, "/status/desiredNumberScheduled") else {
        return Health::progress("the number of nodes is not known yet");
    };
    for (pointer, what) in [
        ("currentNumberScheduled", "exist"),
        ("updatedNumberScheduled", "are of the new version"),
        ("numberAvailable", "are available"),
        ("numberReady", "are ready"),
    ] {
        let have = count(object, &format!("/status/{pointer}"));
        if wanted > have {
            return Health::progress(format!("{have} of {wanted} pods {what}"));
        }
    }
    Health::current(&format!("{wanted} pods are ready"))
}

/// Flux's rule: a running Job is in progress, and a suspended one is as it should be.
fn job(object: &Value) -> Health {
    if object.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true) {
        return Health::current("suspended");
    }
    for found in conditions(object) {
        match (text(found, "/type"), text(found, "/status")) {
            ("Complete", "True") => return Health::current("complete"),
            ("Failed", "True") => return Health::failed(because(found, "failed")),
            _ => {}
        }
    }
    if text(object, "/status/startTime").is_empty() {
        return Health::progress("not started yet");
    }
    let failed = count(object, "/status/failed");
    Health::progress(if failed > 0 { format!("running, {failed} pods have failed") } else { "running".to_owned() })
}

fn definition(object: &Value) -> Health {
    if let Some(found) = condition(object, "NamesAccepted")
        && text(found, "/status") == "False"
    {
        return Health::failed(because(found, "its names are taken"));
    }
    match condition(object, "Established") {
        Some(found) if text(found, "/status") == "True" => Health::current("established"),
        Some(found) if text(found, "/status") == "False" && text(found, "/reason") != "Installing" => {
            Health::failed(because(found, "not established"))
        }
        _ => Health::progress("being installed"),
    }
}

fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten()
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    conditions(object).find(|found| text(found, "/type") == kind)
}

/// A condition's reason and message, or `otherwise` where it gives none.
fn because(condition: &Value, otherwise: &str) -> String {
    match (text(condition, "/reason"), text(condition, "/message")) {
        ("", "") => otherwise.to_owned(),
        (reason, "") => reason.to_owned(),
        ("", message) => message.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn int(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

fn count(object: &Value, pointer: &str) -> i64 {
    int(object, pointer).unwrap_or_default()
}

#[cfg(test)]
mod tests;
