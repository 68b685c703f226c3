use serde_json::json;

use super::HealthStatus::{Current, Failed, InProgress, NotFound, Terminating, Unknown};
use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:01:00Z".parse().expect("a time")
}

/// One row: spec and status of an object of this kind, and what they mean.
fn table(api_version: &str, kind: &str, rows: &[(Value, Value, HealthStatus, &str)]) {
    for (spec, status, expected, words) in rows {
        let object = json!({
            "apiVersion": api_version, "kind": kind,
            "metadata": {"name": "x", "generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": spec, "status": status,
        });
        let told = health(Some(&object), now());
        assert_eq!(told.status, *expected, "{kind} {spec} {status}: {told:?}");
        assert!(told.reason.contains(words), "{kind} {spec} {status}: {told:?}");
    }
}

fn conditions_of(all: &[(&str, &str, &str)]) -> Value {
    let all: Vec<_> = all.iter().map(|(kind, status, reason)| json!({"type": kind, "status": status, "reason": reason})).collect();
    json!({ "conditions": all })
}

#[test]
fn rules_for_all_kinds() {
    assert_eq!(health(None, now()).status, NotFound);
    let going = json!({"kind": "Pod", "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Running"}});
    assert_eq!(health(Some(&going), now()).status, Terminating);
    table(
        "example.com/v1",
        "Thing",
        &[
            (json!({}), json!({}), Current, "exists"),
            (json!({}), json!({"observedGeneration": 1}), InProgress, "generation 1 of 2"),
            (json!({}), json!({"observedGeneration": 2}), Current, ""),
            (json!({}), conditions_of(&[("Ready", "True", "Yes")]), Current, "Yes"),
            (json!({}), conditions_of(&[("Ready", "False", "Broken")]), InProgress, "Broken"),
            (json!({}), conditions_of(&[("Ready", "Unknown", "")]), InProgress, "not ready"),
            (json!({}), conditions_of(&[("Ready", "False", ""), ("Stalled", "True", "Never")]), Failed, "Never"),
            (json!({}), conditions_of(&[("Reconciling", "True", "Again"), ("Stalled", "True", "")]), InProgress, "Again"),
            (json!({}), json!({"conditions": "text"}), Current, ""),
        ],
    );
}

#[test]
fn rules_for_plain_kinds() {
    for (version, kind) in [
        ("v1", "ConfigMap"),
        ("v1", "Secret"),
        ("batch/v1", "CronJob"),
        ("policy/v1", "PodDisruptionBudget"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ] {
        table(version, kind, &[(json!({}), json!({}), Current, "exists")]);
    }
    table(
        "v1",
        "Service",
        &[
            (json!({"type": "ClusterIP"}), json!({}), Current, ""),
            (json!({"type": "LoadBalancer"}), json!({}), InProgress, "no cluster address"),
            (json!({"type": "LoadBalancer", "clusterIP": "10.0.0.1"}), json!({}), Current, "no address yet"),
        ],
    );
    table(
        "v1",
        "PersistentVolumeClaim",
        &[
            (json!({}), json!({"phase": "Bound"}), Current, "bound"),
            (json!({}), json!({"phase": "Pending"}), InProgress, "Pending"),
            (json!({}), json!({}), InProgress, "not bound"),
        ],
    );
    table(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &[
            (json!({}), conditions_of(&[("Established", "True", "")]), Current, "established"),
            (json!({}), conditions_of(&[("NamesAccepted", "False", "Taken"), ("Established", "True", "")]), Failed, "Taken"),
            (json!({}), conditions_of(&[("Established", "False", "Installing")]), InProgress, "installed"),
            (json!({}), conditions_of(&[("Established", "False", "Broken")]), Failed, "Broken"),
            (json!({}), json!({}), InProgress, "installed"),
        ],
    );
    table(
        "batch/v1",
        "Job",
        &[
            (json!({"suspend": true}), json!({}), Current, "suspended"),
            (json!({}), conditions_of(&[("Complete", "True", "")]), Current, "complete"),
            (json!({}), conditions_of(&[("Failed", "True", "BackoffLimitExceeded")]), Failed, "Backoff"),
            (json!({}), json!({}), InProgress, "not started"),
            (json!({}), json!({"startTime": "2026-01-01T00:00:00Z", "failed": 2}), InProgress, "2 pods have failed"),
        ],
    );
}

#[test]
fn rules_for_pods() {
    let waits = |reason: &str| json!([{"name": "main", "state": {"waiting": {"reason": reason}}}]);
    table(
        "v1",
        "Pod",
        &[
            (json!({}), json!({"phase": "Succeeded"}), Current, "its end"),
            (json!({}), json!({"phase": "Failed"}), Current, "without success"),
            (json!({}), json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}), Current, "ready"),
            (json!({}), json!({"phase": "Running", "containerStatuses": waits("CrashLoopBackOff")}), Failed, "main crashes"),
            (json!({}), json!({"phase": "Running", "containerStatuses": waits("ImagePullBackOff")}), InProgress, "ImagePullBackOff"),
            (json!({}), json!({"phase": "Running"}), InProgress, "not ready"),
            (json!({}), json!({"phase": "Pending"}), InProgress, "pending"),
            (json!({}), json!({"phase": "Pending", "containerStatuses": waits("ErrImagePull")}), InProgress, "ErrImagePull"),
            (
                json!({}),
                json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}]}),
                Failed,
                "no room",
            ),
            (json!({}), json!({}), InProgress, "no phase"),
            (json!({}), json!({"phase": "Odd\u{1b}"}), Unknown, "Odd is not known"),
        ],
    );
    let young = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"creationTimestamp": "2026-01-01T00:00:50Z"},
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]},
    });
    assert_eq!(health(Some(&young), now()).status, InProgress);
}

#[test]
fn rules_for_deployments() {
    let status = |replicas: i64, updated: i64, available: i64, ready: i64| {
        json!({
            "observedGeneration": 2, "replicas": replicas, "updatedReplicas": updated, "availableReplicas": available, "readyReplicas": ready,
            "conditions": [{"type": "Available", "status": "True"}, {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}],
        })
    };
    let mut late = status(2, 2, 2, 2);
    late["conditions"][1] = json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"});
    let mut rolling = status(2, 2, 2, 2);
    rolling["conditions"][1] = json!({"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"});
    let mut down = status(2, 2, 2, 2);
    down["conditions"][0] = json!({"type": "Available", "status": "False"});
    let two = || json!({"replicas": 2, "progressDeadlineSeconds": 600});
    table(
        "apps/v1",
        "Deployment",
        &[
            (two(), status(2, 2, 2, 2), Current, "2 pods"),
            (two(), status(1, 1, 1, 1), InProgress, "1 of 2 pods exist"),
            (two(), status(2, 1, 2, 2), InProgress, "new version"),
            (two(), status(3, 2, 3, 3), InProgress, "1 old pods"),
            (two(), status(2, 2, 1, 2), InProgress, "available"),
            (two(), status(2, 2, 2, 1), InProgress, "1 of 2 pods are ready"),
            (two(), late, Failed, "ProgressDeadlineExceeded"),
            (two(), rolling.clone(), InProgress, "not available yet"),
            (json!({"replicas": 2}), rolling, Current, ""),
            (two(), down, InProgress, "not available"),
            (json!({}), status(1, 1, 1, 1), Current, ""),
            (json!({"replicas": 0, "progressDeadlineSeconds": 600}), json!({"observedGeneration": 2}), Current, "scaled to zero"),
            (json!({}), json!({}), InProgress, "0 of 1"),
        ],
    );
}

#[test]
fn rules_for_other_workloads() {
    table(
        "apps/v1",
        "ReplicaSet",
        &[
            (
                json!({"replicas": 1}),
                json!({"replicas": 1, "fullyLabeledReplicas": 1, "availableReplicas": 1, "readyReplicas": 1}),
                Current,
                "",
            ),
            (json!({"replicas": 1}), json!({}), InProgress, "labelled"),
            (json!({"replicas": 1}), json!({"fullyLabeledReplicas": 1}), InProgress, "available"),
            (json!({"replicas": 1}), json!({"fullyLabeledReplicas": 1, "availableReplicas": 1}), InProgress, "ready"),
            (json!({"replicas": 0}), json!({"replicas": 1}), InProgress, "ending"),
            (json!({}), conditions_of(&[("ReplicaFailure", "True", "FailedCreate")]), InProgress, "FailedCreate"),
        ],
    );
    let full = |extra: Value| {
        let mut status = json!({"replicas": 3, "readyReplicas": 3, "currentReplicas": 3, "updatedReplicas": 3, "currentRevision": "a", "updateRevision": "a"});
        if let (Some(status), Some(extra)) = (status.as_object_mut(), extra.as_object()) {
            status.extend(extra.clone());
        }
        status
    };
    let partition = |p: i64| json!({"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": p}}});
    table(
        "apps/v1",
        "StatefulSet",
        &[
            (json!({"updateStrategy": {"type": "OnDelete"}}), json!({}), Current, ""),
            (json!({"replicas": 3}), full(json!({})), Current, "3 pods"),
            (json!({"replicas": 3}), full(json!({"replicas": 2})), InProgress, "2 of 3 pods exist"),
            (json!({"replicas": 3}), full(json!({"readyReplicas": 1})), InProgress, "1 of 3 pods are ready"),
            (json!({"replicas": 2}), full(json!({})), InProgress, "ending"),
            (json!({"replicas": 3}), full(json!({"currentReplicas": 1})), InProgress, "current version"),
            (json!({"replicas": 3}), full(json!({"updateRevision": "b"})), InProgress, "revision"),
            (partition(1), full(json!({"updatedReplicas": 1, "updateRevision": "b"})), InProgress, "1 of 2"),
            (partition(1), full(json!({"updatedReplicas": 2, "updateRevision": "b", "currentReplicas": 1})), Current, "partition"),
            (partition(0), full(json!({"updatedReplicas": 2})), InProgress, "2 of 3"),
        ],
    );
    let nodes = |current: i64, updated: i64, available: i64, ready: i64| json!({"observedGeneration": 2, "desiredNumberScheduled": 2, "currentNumberScheduled": current, "updatedNumberScheduled": updated, "numberAvailable": available, "numberReady": ready});
    table(
        "apps/v1",
        "DaemonSet",
        &[
            (json!({}), json!({}), InProgress, "not seen"),
            (json!({}), json!({"observedGeneration": 2}), InProgress, "not known"),
            (json!({}), nodes(1, 2, 2, 2), InProgress, "1 of 2 pods exist"),
            (json!({}), nodes(2, 1, 2, 2), InProgress, "new version"),
            (json!({}), nodes(2, 2, 1, 2), InProgress, "available"),
            (json!({}), nodes(2, 2, 2, 1), InProgress, "ready"),
            (json!({}), nodes(2, 2, 2, 2), Current, "2 pods"),
            (json!({}), json!({"observedGeneration": 2, "desiredNumberScheduled": 0}), Current, "0 pods"),
        ],
    );
}

#[test]
fn a_set_is_as_well_as_its_worst() {
    let of = |all: &[HealthStatus]| {
        let all: Vec<Health> = all.iter().map(|status| Health::new(*status, "")).collect();
        aggregate(&all)
    };
    assert_eq!(of(&[]), Current);
    assert_eq!(of(&[Current, Current]), Current);
    assert_eq!(of(&[Current, NotFound]), InProgress);
    assert_eq!(of(&[InProgress, Unknown, Current]), Unknown);
    assert_eq!(of(&[Unknown, Failed, Current]), Failed);
}
