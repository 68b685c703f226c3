//! The primary's scaler: a copy of the target's HPA or KEDA `ScaledObject`, kept in step at all times (rollout-contract §3.10).
//!
//! Flagger copies it at promotions alone; the README's table says why this one does not wait.

use serde_json::{Map, Value, json};

use super::{Subject, covers, list_mut};
use crate::domain::canary::AutoscalerReference;
use crate::kubernetes::json::{annotation, integer, strings, text};

/// KEDA's annotation that keeps a `ScaledObject` at so many replicas.
const PAUSED: &str = "autoscaling.keda.sh/paused-replicas";
/// Prefix of KEDA's annotations about pausing: none of them is the primary's.
const PAUSES: &str = "autoscaling.keda.sh/paused";

/// Whether the scaler is one of KEDA's.
#[must_use]
pub fn is_keda(reference: &AutoscalerReference) -> bool {
    reference.kind == "ScaledObject"
}

/// Name of the primary's scaler.
#[must_use]
pub fn primary_name(reference: &AutoscalerReference) -> String {
    format!("{}-primary", reference.name)
}

/// The primary's scaler, whole, after `source`.
#[must_use]
pub fn primary(of: &Subject<'_>, reference: &AutoscalerReference, source: &Value) -> Value {
    let mut meta = of.metadata(&primary_name(reference));
    let labels = super::without_toolkit(strings(source, "/metadata/labels"));
    if !labels.is_empty() {
        meta["labels"] = json!(labels);
    }
    let mut spec = source.get("spec").cloned().unwrap_or_default();
    let replicas = reference.primary_scaler_replicas.clone().unwrap_or_default();
    let (least, most) = if is_keda(reference) { ("minReplicaCount", "maxReplicaCount") } else { ("minReplicas", "maxReplicas") };
    for (field, value) in [(least, replicas.min_replicas), (most, replicas.max_replicas)] {
        if let Some(value) = value {
            spec[field] = json!(value);
        }
    }
    spec["scaleTargetRef"]["name"] = json!(of.spec.primary_name());
    if is_keda(reference) {
        keda(of, reference, &mut spec);
        let annotations = super::without_toolkit(strings(source, "/metadata/annotations"));
        let kept = |key: &str| !key.starts_with(PAUSES) && !key.starts_with("kubectl.kubernetes.io/");
        let annotations: Map<_, _> = annotations.into_iter().filter(|(key, _)| kept(key)).map(|(k, v)| (k, json!(v))).collect();
        if !annotations.is_empty() {
            // The API server keeps no empty map, which would then differ for ever.
            meta["annotations"] = annotations.into();
        }
    }
    let kind = if is_keda(reference) { ("keda.sh/v1alpha1", "ScaledObject") } else { ("autoscaling/v2", "HorizontalPodAutoscaler") };
    json!({"apiVersion": kind.0, "kind": kind.1, "metadata": meta, "spec": spec})
}

/// What KEDA asks and whom it scales is about the primary.
fn keda(of: &Subject<'_>, reference: &AutoscalerReference, spec: &mut Value) {
    let (target, primary) = (&of.spec.target_ref.name, of.spec.primary_name());
    if let Some(name) = spec.pointer_mut("/advanced/horizontalPodAutoscalerConfig/name") {
        *name = json!(format!("{}-primary", name.as_str().unwrap_or_default()));
    }
    for trigger in list_mut(spec, "/triggers") {
        let own = reference.primary_scaler_queries.get(text(trigger, "/name"));
        let Some(query) = trigger.pointer_mut("/metadata/query") else { continue };
        let text = query.as_str().unwrap_or_default();
        *query = json!(match own {
            Some(own) => own.clone(),
            None if reference.primary_scaler_queries.is_empty() => {
                // What names the canary's Service first: the target's own name is a part of it.
                text.replace(&format!("{target}-canary"), target).replace(target.as_str(), &primary)
            }
            None => text.to_owned(),
        });
    }
}

/// Whether `live` is not what `wanted` says.
#[must_use]
pub fn differs(live: &Value, wanted: &Value) -> bool {
    let copied = ["labels", "annotations"].iter().all(|map| {
        let pointer = format!("/metadata/{map}");
        wanted.pointer(&pointer).is_none_or(|wanted| live.pointer(&pointer).is_some_and(|live| covers(live, wanted)))
    });
    // A pause that came with a copy would leave the primary at no replicas (Flagger #1934).
    let paused = strings(live, "/metadata/annotations").keys().any(|key| key.starts_with(PAUSES));
    paused || !copied || !covers(&live["spec"], &wanted["spec"])
}

/// Whether the target's scaler is kept from scaling.
#[must_use]
pub fn is_paused(source: &Value) -> bool {
    annotation(source, PAUSED).is_some()
}

/// The merge patch that keeps the target's `ScaledObject` at nothing, or lets it go on.
#[must_use]
pub fn pause(paused: bool) -> Value {
    json!({"metadata": {"annotations": {PAUSED: if paused { json!("0") } else { Value::Null }}}})
}

/// Replicas that the target starts with: the scaler's minimum where that is above one.
#[must_use]
pub fn least(reference: &AutoscalerReference, source: &Value) -> i64 {
    let field = if is_keda(reference) { "/spec/minReplicaCount" } else { "/spec/minReplicas" };
    integer(source, field).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fleet::Engine;

    fn made(reference: Value, source: &Value) -> Value {
        let canary = json!({"metadata": {"name": "web", "namespace": "app", "uid": "c"}});
        let spec: crate::domain::canary::CanarySpec =
            serde_json::from_value(json!({"targetRef": {"kind": "Deployment", "name": "web"}, "autoscalerRef": reference}))
                .expect("a spec");
        let reference = spec.autoscaler_ref.clone().expect("a reference");
        primary(&Subject { canary: &canary, spec: &spec, settings: &Engine::default() }, &reference, source)
    }

    #[test]
    fn queries_are_about_the_primary_and_pauses_are_not_copied() {
        let source = json!({"metadata": {"annotations": {PAUSED: "0", "team": "a"}}, "spec": {"scaleTargetRef": {"name": "web"}, "minReplicaCount": 2,
            "triggers": [{"name": "rps", "type": "prometheus", "metadata": {"query": "sum(rate(http{app=\"web-canary\",pod=~\"web-.*\"}[1m]))"}}]}});
        let keda = json!({"kind": "ScaledObject", "name": "web-so"});
        let copy = made(keda.clone(), &source);
        assert_eq!(
            copy.pointer("/spec/triggers/0/metadata/query"),
            Some(&json!("sum(rate(http{app=\"web-primary\",pod=~\"web-primary-.*\"}[1m]))"))
        );
        assert_eq!((text(&copy, "/spec/scaleTargetRef/name"), &copy["metadata"]["annotations"]), ("web-primary", &json!({"team": "a"})));
        let mut named = keda;
        named["primaryScalerQueries"] = json!({"rps": "own"});
        assert_eq!(made(named, &source).pointer("/spec/triggers/0/metadata/query"), Some(&json!("own")));
        let mut paused = copy.clone();
        paused["metadata"]["annotations"][PAUSED] = json!("0");
        assert!(!differs(&copy, &copy) && differs(&paused, &copy));
    }

    #[test]
    fn an_hpa_is_copied_with_its_own_bounds_where_asked_for() {
        let source = json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 4, "behavior": {"scaleDown": {}}}});
        let hpa = json!({"kind": "HorizontalPodAutoscaler", "name": "web", "primaryScalerReplicas": {"maxReplicas": 9}});
        let copy = made(hpa, &source);
        assert_eq!((&copy["spec"]["minReplicas"], &copy["spec"]["maxReplicas"]), (&json!(2), &json!(9)));
        let mut edited = source;
        edited["spec"]["minReplicas"] = json!(3);
        assert!(differs(&copy, &made(json!({"kind": "HorizontalPodAutoscaler", "name": "web"}), &edited)));
    }
}
