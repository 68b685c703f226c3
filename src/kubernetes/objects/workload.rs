//! The primary of a Deployment or `DaemonSet`: the target's pods under another selector, with their own configs (rollout-contract §3.2–3.4).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::configs::rename_configs;
use super::{STAMP, Subject, list_mut, without_toolkit};
use crate::domain::canary::TargetKind;
use crate::domain::readiness::{DaemonSetState, DeploymentState, WorkloadState};
use crate::domain::revision::{Revision, SCALE_TO_ZERO_SELECTOR, without_rest};
use crate::engine::observation::Workload;
use crate::kubernetes::json::{integer, items, strings, text};

/// Annotations that others write on the one object that they are about.
const ITS_OWN: [&str; 3] = ["kubectl.kubernetes.io/", "deployment.kubernetes.io/", "deprecated.daemonset.template.generation"];

/// Fields of the target's spec that the primary takes as they are.
const fn copied(kind: TargetKind) -> &'static [&'static str] {
    match kind {
        TargetKind::DaemonSet => &["minReadySeconds", "revisionHistoryLimit", "updateStrategy"],
        _ => &["progressDeadlineSeconds", "minReadySeconds", "revisionHistoryLimit", "strategy"],
    }
}

/// The primary, whole. `tracked` are the names of configs that have copies, `live` the primary as it stands.
///
/// # Errors
/// When the target has no label to select its pods by, or is a `DaemonSet` that is only updated on deletion.
pub fn primary(of: &Subject<'_>, target: &Value, tracked: &BTreeSet<String>, live: Option<&Value>, id: &str) -> Result<Value, String> {
    let (label, value) = of.selector(target)?;
    let kind = of.spec.target_kind();
    let update = text(target, "/spec/updateStrategy/type");
    if kind == TargetKind::DaemonSet && !matches!(update, "" | "RollingUpdate") {
        let (name, namespace) = (text(target, "/metadata/name"), text(target, "/metadata/namespace"));
        return Err(format!("daemonset {name}.{namespace} must have RollingUpdate strategy but have {update}"));
    }
    let mut meta = of.metadata(&of.spec.primary_name());
    let mut labels = of.included(without_toolkit(strings(target, "/metadata/labels")));
    labels.insert(label.clone(), format!("{value}-primary"));
    meta["labels"] = json!(labels);
    let annotations = without_toolkit(strings(target, "/metadata/annotations"));
    let annotations: BTreeMap<_, _> = match live {
        None => annotations.into_iter().filter(|(key, _)| !ITS_OWN.iter().any(|prefix| key.starts_with(prefix))).collect(),
        Some(_) => of.included(annotations),
    };
    if !annotations.is_empty() {
        meta["annotations"] = json!(annotations);
    }
    let mut body = json!({
        "selector": {"matchLabels": {label.as_str(): format!("{value}-primary")}},
        "template": template(of, target, &(label, value), tracked, id),
    });
    if kind == TargetKind::Deployment {
        body["replicas"] = json!(replicas(of, target, live));
    }
    for field in copied(kind) {
        if let Some(copied) = target.pointer(&format!("/spec/{field}")) {
            body[*field] = copied.clone();
        }
    }
    let word = if kind == TargetKind::DaemonSet { "DaemonSet" } else { "Deployment" };
    Ok(json!({"apiVersion": "apps/v1", "kind": word, "metadata": meta, "spec": body}))
}

/// Replicas of the primary: those of the target where it has any; a scaler's word is left to stand.
fn replicas(of: &Subject<'_>, target: &Value, live: Option<&Value>) -> i64 {
    let standing = live.and_then(|l| integer(l, "/spec/replicas"));
    let wanted = integer(target, "/spec/replicas").unwrap_or(1);
    match standing {
        Some(standing) if of.spec.autoscaler_ref.is_some() || wanted == 0 => standing,
        _ => wanted.max(1),
    }
}

fn template(of: &Subject<'_>, target: &Value, (label, value): &(String, String), tracked: &BTreeSet<String>, id: &str) -> Value {
    let mut template = target.pointer("/spec/template").cloned().unwrap_or_default();
    let mut labels = without_toolkit(strings(&template, "/metadata/labels"));
    labels.insert(label.clone(), format!("{value}-primary"));
    let mut annotations = without_toolkit(strings(&template, "/metadata/annotations"));
    annotations.insert(STAMP.into(), id.into());
    template["metadata"] = json!({"labels": labels, "annotations": annotations});
    without_rest(&mut template);
    rename_configs(&mut template, tracked);
    if of.spec.target_kind() == TargetKind::Deployment {
        spread_apart(&mut template, &of.settings.selector_labels, text(target, "/metadata/name"));
    }
    template
}

/// Anti-affinity and spread rules that name the target keep primaries apart from each other, not from canaries.
fn spread_apart(template: &mut Value, labels: &[String], name: &str) {
    let adapt = |selector: Option<&mut Value>| {
        let Some(selector) = selector else { return };
        for key in labels {
            if let Some(value) = selector.get_mut("matchLabels").and_then(|l| l.get_mut(key))
                && value.as_str() == Some(name)
            {
                *value = json!(format!("{name}-primary"));
            }
        }
        for expression in list_mut(selector, "/matchExpressions") {
            if labels.iter().any(|label| label == text(expression, "/key"))
                && let Some(value) = list_mut(expression, "/values").find(|v| v.as_str() == Some(name))
            {
                *value = json!(format!("{name}-primary"));
            }
        }
    };
    for constraint in list_mut(template, "/spec/topologySpreadConstraints") {
        adapt(constraint.get_mut("labelSelector"));
    }
    for term in list_mut(template, "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution") {
        adapt(term.get_mut("labelSelector"));
    }
    for term in list_mut(template, "/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution") {
        adapt(term.pointer_mut("/podAffinityTerm/labelSelector"));
    }
}

/// Whether the primary's pods are what copying the target would make them, the stamp aside.
#[must_use]
pub fn equals_target(primary: &Value, wanted: &Value) -> bool {
    let pods = |object: &Value| {
        let mut template = object.pointer("/spec/template").cloned().unwrap_or_default();
        if let Some(annotations) = template.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.remove(STAMP);
        }
        if let Some(meta) = template.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.retain(|_, v| !v.is_null() && v.as_object().is_none_or(|m: &Map<String, Value>| !m.is_empty()));
        }
        template
    };
    pods(primary) == pods(wanted)
}

/// A Deployment or `DaemonSet` of `revision` as the engine sees it.
#[must_use]
pub fn observed(object: &Value, kind: TargetKind, revision: Revision) -> Workload {
    let stamp = object.pointer("/spec/template/metadata/annotations").and_then(|a| a.get(STAMP)).and_then(Value::as_str);
    let stamp = stamp.map(str::to_owned);
    let number = |pointer: &str| integer(object, pointer).unwrap_or(0);
    if kind == TargetKind::DaemonSet {
        let resting = object.pointer("/spec/template/spec/nodeSelector").is_some_and(|s| s.get(SCALE_TO_ZERO_SELECTOR).is_some());
        let state = DaemonSetState {
            generation: number("/metadata/generation"),
            observed_generation: number("/status/observedGeneration"),
            desired: number("/status/desiredNumberScheduled"),
            updated: number("/status/updatedNumberScheduled"),
            available: number("/status/numberAvailable"),
        };
        return Workload { revision, replicas: i64::from(!resting), state: WorkloadState::DaemonSet(state), stamp };
    }
    let condition = |kind: &str| items(object, "/status/conditions").find(|c| text(c, "/type") == kind);
    let unavailable =
        condition("Available").filter(|c| text(c, "/status") == "False" && text(c, "/reason") == "MinimumReplicasUnavailable");
    let replicas = integer(object, "/spec/replicas").unwrap_or(1);
    let state = DeploymentState {
        name: text(object, "/metadata/name").into(),
        generation: number("/metadata/generation"),
        observed_generation: number("/status/observedGeneration"),
        replicas_wanted: replicas,
        replicas: number("/status/replicas"),
        updated: number("/status/updatedReplicas"),
        available: number("/status/availableReplicas"),
        progressing_reason: condition("Progressing").map(|c| text(c, "/reason").to_owned()),
        unavailable_since: unavailable.and_then(|c| text(c, "/lastUpdateTime").parse::<Timestamp>().ok()),
    };
    Workload { revision, replicas, state: WorkloadState::Deployment(state), stamp }
}

/// The merge patch that takes the target's pods away, or brings `replicas` of them up.
#[must_use]
pub fn scale(kind: TargetKind, replicas: i64) -> Value {
    if kind == TargetKind::DaemonSet {
        let selector = if replicas == 0 { json!("true") } else { Value::Null };
        return json!({"spec": {"template": {"spec": {"nodeSelector": {SCALE_TO_ZERO_SELECTOR: selector}}}}});
    }
    json!({"spec": {"replicas": replicas}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::objects::configs::{ConfigRef, config_refs};
    use crate::kubernetes::objects::testing::{subject, target};

    #[test]
    fn configs_are_found_everywhere_and_renamed_only_when_tracked() {
        let refs: Vec<_> = config_refs(&target()).iter().map(ConfigRef::key).collect();
        assert_eq!(refs, ["configmap/other", "configmap/web-config", "secret/web-token"]);
        let tracked = ["configmap/web-config".to_owned(), "secret/web-token".to_owned()].into();
        let primary = subject(|of| primary(of, &target(), &tracked, None, "id-1")).expect("a deployment");
        let pods = primary.pointer("/spec/template/spec").expect("pods");
        assert_eq!(pods["containers"][0]["envFrom"][0]["configMapRef"]["name"], "web-config-primary");
        assert_eq!(pods["containers"][0]["env"][0]["valueFrom"]["configMapKeyRef"]["name"], "other");
        assert_eq!(pods["initContainers"][0]["envFrom"][0]["secretRef"]["name"], "web-token-primary");
        assert_eq!(pods["volumes"][0]["projected"]["sources"][0]["configMap"]["name"], "web-config-primary");
        assert_eq!(
            pods.pointer(
                "/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0/labelSelector/matchExpressions/0/values/0"
            ),
            Some(&json!("web-primary"))
        );
        assert_eq!(primary["spec"]["replicas"], 1);
        assert_eq!(primary["spec"]["selector"]["matchLabels"], json!({"app": "web-primary"}));
        assert_eq!(primary["spec"]["template"]["metadata"]["labels"], json!({"app": "web-primary", "tier": "front"}));
    }

    #[test]
    fn labels_and_annotations_follow_the_settings() {
        let (canary, spec) = (crate::kubernetes::objects::testing::canary(), crate::kubernetes::objects::testing::spec());
        let settings = crate::domain::fleet::Engine { include_label_prefix: vec!["team".into()], ..Default::default() };
        let of = Subject { canary: &canary, spec: &spec, settings: &settings };
        let mut target = target();
        target["metadata"]["labels"] = json!({"team/name": "a", "tier": "front", "kustomize.toolkit.fluxcd.io/name": "apps"});
        target["metadata"]["annotations"] = json!({"team/doc": "b", "note": "c"});
        let made = primary(&of, &target, &BTreeSet::new(), None, "id").expect("a primary");
        assert_eq!(made["metadata"]["labels"], json!({"team/name": "a", "app": "web-primary"}));
        assert_eq!(made["metadata"]["annotations"], json!({"team/doc": "b", "note": "c"}));
        let again = primary(&of, &target, &BTreeSet::new(), Some(&made), "id").expect("a primary");
        assert_eq!(again["metadata"]["annotations"], json!({"team/doc": "b"}));
    }

    #[test]
    fn a_daemon_set_rests_by_a_node_selector_that_no_primary_has() {
        let mut spec = crate::kubernetes::objects::testing::spec();
        spec.target_ref.kind = "DaemonSet".into();
        let (canary, settings) = (crate::kubernetes::objects::testing::canary(), crate::domain::fleet::Engine::default());
        let of = Subject { canary: &canary, spec: &spec, settings: &settings };
        let mut target = target();
        target["kind"] = json!("DaemonSet");
        json_patch::merge(&mut target, &scale(TargetKind::DaemonSet, 0));
        let rests = observed(&target, TargetKind::DaemonSet, Revision::of("u", 1, &target["spec"]["template"]));
        assert_eq!(rests.replicas, 0);
        let made = primary(&of, &target, &BTreeSet::new(), None, "id").expect("a primary");
        assert!(made["spec"].get("replicas").is_none() && made.pointer("/spec/template/spec/nodeSelector").is_none_or(|s| *s == json!({})));
        json_patch::merge(&mut target, &scale(TargetKind::DaemonSet, 2));
        assert_eq!(observed(&target, TargetKind::DaemonSet, Revision::of("u", 2, &target["spec"]["template"])).replicas, 1);
        target["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
        assert!(primary(&of, &target, &BTreeSet::new(), None, "id").is_err_and(|e| e.contains("must have RollingUpdate strategy")));
    }
}
