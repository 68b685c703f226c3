//! What makes a Canary impossible to run, in words for its owner: a mistake is said on the object, never passed over.
//!
//! Flagger takes some of these silently, and then stands still or does something else; the README's table says which.

use super::{CanaryMetric, CanarySpec, HookKind, TargetKind};
use crate::domain::duration;
use crate::domain::traffic::Abilities;

/// Largest count that Flagger's own types hold.
const MOST: i64 = i32::MAX as i64;

type Check = fn(&CanarySpec) -> Option<String>;

/// The checks, in the order in which they are reported.
const CHECKS: [Check; 10] = [target, service, scaler, knative, interval, weights, counts, affinity, metrics, hooks];

impl CanarySpec {
    /// The first mistake that the spec holds whatever its router is.
    #[must_use]
    pub fn mistake(&self) -> Option<String> {
        CHECKS.iter().find_map(|check| check(self))
    }

    /// What `router`, which can do `can`, cannot do of what the spec asks and must not do otherwise.
    #[must_use]
    pub fn beyond(&self, router: &str, can: &Abilities) -> Option<String> {
        let a = &self.analysis;
        if router == "kubernetes" {
            // Flagger runs iterations instead, and warns; so does the engine at the start of each rollout.
            return matches!(self.target_kind(), TargetKind::Service)
                .then(|| "spec.targetRef.kind Service needs a router with weights: plain Kubernetes has none".into());
        }
        if a.iterations > 0 && !a.matches.is_empty() && !can.ab_testing {
            return Some(format!(
                "A/B testing (spec.analysis.match with iterations) is not possible with {router}: remove spec.analysis.match"
            ));
        }
        if a.iterations > 0 && a.matches.is_empty() && !can.blue_green {
            return Some(format!("blue/green (spec.analysis.iterations) is not possible with {router}: use stepWeight or stepWeights"));
        }
        None
    }

    /// What `router` leaves out of what the spec asks, where that does no harm: said at the start of a rollout.
    #[must_use]
    pub fn left_out(&self, router: &str, can: &Abilities) -> Vec<String> {
        let a = &self.analysis;
        let mut found = Vec::new();
        if !a.matches.is_empty() && !can.ab_testing {
            found.push(format!("A/B testing is not supported when using the {router} provider"));
        }
        if a.iterations < 1 && !can.progressive {
            found.push(format!("Progressive traffic is not supported when using the {router} provider"));
            found.push("Setting canaryAnalysis.iterations: 10".into());
        }
        let mirrors = if a.iterations > 0 { can.mirror_iterations } else { can.mirror_progressive };
        if a.mirror && !mirrors {
            found.push(format!("Traffic mirroring is not supported when using the {router} provider: going on without it"));
        }
        if a.session_affinity.is_some() && !can.session_affinity {
            found.push(format!("Session affinity is not supported when using the {router} provider: going on without it"));
        }
        found
    }
}

fn target(spec: &CanarySpec) -> Option<String> {
    let target = &spec.target_ref;
    if target.name.is_empty() {
        return Some("spec.targetRef.name is empty".into());
    }
    if !matches!(target.kind.as_str(), "Deployment" | "DaemonSet" | "Service") {
        return Some(format!("spec.targetRef.kind {} is not one of Deployment, DaemonSet, Service", target.kind));
    }
    if target.namespace.as_deref().is_some_and(|n| !n.is_empty()) {
        return Some("spec.targetRef.namespace is set: a target is in its Canary's namespace".into());
    }
    // A target called like a generated object would be overwritten by its own copy, or by another canary's.
    let generated = ["-primary", "-canary"].into_iter().find(|suffix| target.name.ends_with(suffix));
    generated.map(|suffix| {
        format!(
            "spec.targetRef.name {} ends in {suffix}, as the objects do that are generated for a target: rename the target",
            target.name
        )
    })
}

fn service(spec: &CanarySpec) -> Option<String> {
    let port = spec.service.port;
    // Knative makes the Services itself.
    if spec.target_kind() != TargetKind::Knative && !(1..=65_535).contains(&port) {
        return Some(format!("spec.service.port {port} is not a port"));
    }
    (spec.service.delegation && !(spec.service.hosts.is_empty() && spec.service.gateways.is_empty()))
        .then(|| "spec.service.delegation is true: hosts and gateways belong to the delegating VirtualService, remove them here".into())
}

fn scaler(spec: &CanarySpec) -> Option<String> {
    let scaler = spec.autoscaler_ref.as_ref()?;
    if !matches!(scaler.kind.as_str(), "HorizontalPodAutoscaler" | "ScaledObject") {
        return Some(format!("spec.autoscalerRef.kind {} is not one of HorizontalPodAutoscaler, ScaledObject", scaler.kind));
    }
    if scaler.kind == "HorizontalPodAutoscaler" && !matches!(scaler.api_version.as_str(), "autoscaling/v2") {
        return Some(format!("spec.autoscalerRef.apiVersion {} is not read: write autoscaling/v2", scaler.api_version));
    }
    if spec.target_kind() != TargetKind::Deployment {
        return Some(format!("spec.autoscalerRef needs a Deployment, and spec.targetRef.kind is {}", spec.target_ref.kind));
    }
    let replicas = scaler.primary_scaler_replicas.as_ref()?;
    match (replicas.min_replicas, replicas.max_replicas) {
        (Some(min), Some(max)) if min > max => {
            Some(format!("spec.autoscalerRef.primaryScalerReplicas: minReplicas {min} is above maxReplicas {max}"))
        }
        (Some(n), _) | (_, Some(n)) if n < 1 => Some(format!("spec.autoscalerRef.primaryScalerReplicas holds {n}, which is below 1")),
        _ => None,
    }
}

fn knative(spec: &CanarySpec) -> Option<String> {
    let by_provider = spec.provider.as_deref() == Some("knative");
    (by_provider != (spec.target_kind() == TargetKind::Knative))
        .then(|| "a Knative Service as target (apiVersion serving.knative.dev/v1) and spec.provider knative belong together".into())
}

fn interval(spec: &CanarySpec) -> Option<String> {
    let text = spec.analysis.interval.as_deref().filter(|i| !i.is_empty())?;
    duration::parse(text).is_none_or(|d| d.is_zero()).then(|| {
        format!("spec.analysis.interval {} is not a duration between 1s and 24h: write it as 30s or 5m", crate::domain::text::clean(text))
    })
}

fn weights(spec: &CanarySpec) -> Option<String> {
    let a = &spec.analysis;
    if a.iterations < 1 {
        if a.step_weights.is_empty() && !(1..=100).contains(&a.step_weight) {
            return Some(format!("spec.analysis.stepWeight {} is not between 1 and 100", a.step_weight));
        }
        if !a.step_weights.iter().is_sorted_by(|x, y| x < y) || a.step_weights.first().is_some_and(|w| *w < 1) {
            return Some(format!("spec.analysis.stepWeights {:?} do not rise from 1", a.step_weights));
        }
    }
    let percents = [("maxWeight", a.max_weight), ("stepWeightPromotion", a.step_weight_promotion), ("mirrorWeight", a.mirror_weight)];
    let (name, value) = percents.into_iter().find(|(_, value)| !(0..=100).contains(value))?;
    Some(format!("spec.analysis.{name} {value} is not between 0 and 100"))
}

fn counts(spec: &CanarySpec) -> Option<String> {
    let a = &spec.analysis;
    let deadline = spec.progress_deadline_seconds.unwrap_or(600);
    // Zero and less mean one, as with Flagger; what no 32 bits hold is a slip of the pen.
    let counts = [("analysis.threshold", a.threshold), ("analysis.iterations", a.iterations), ("progressDeadlineSeconds", deadline)];
    let (name, value) = counts.into_iter().find(|(_, value)| !(-MOST..=MOST).contains(value))?;
    Some(format!("spec.{name} {value} is out of range"))
}

fn affinity(spec: &CanarySpec) -> Option<String> {
    let affinity = spec.analysis.session_affinity.as_ref()?;
    if affinity.cookie_name.is_empty() {
        return Some("spec.analysis.sessionAffinity.cookieName is empty".into());
    }
    let names = [Some(affinity.cookie_name.as_str()), affinity.primary_cookie_name.as_deref()];
    let free = [affinity.domain.as_deref(), affinity.path.as_deref(), affinity.same_site.as_deref()];
    let token = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c);
    if let Some(name) = names.into_iter().flatten().find(|name| !name.chars().all(token)) {
        return Some(format!("spec.analysis.sessionAffinity: {} is not a name for a cookie", crate::domain::text::clean(name)));
    }
    if free.into_iter().flatten().any(|value| value.chars().any(|c| c.is_control() || c == ';')) {
        return Some("spec.analysis.sessionAffinity: domain, path and sameSite hold neither semicolons nor control characters".into());
    }
    (affinity.primary_cookie_name.as_deref() == Some(&affinity.cookie_name)).then(|| {
        "spec.analysis.sessionAffinity: cookieName and primaryCookieName are the same, and would send canary clients to the primary".into()
    })
}

fn metrics(spec: &CanarySpec) -> Option<String> {
    spec.analysis.metrics.iter().find_map(metric)
}

fn metric(metric: &CanaryMetric) -> Option<String> {
    let name = crate::domain::text::clean(&metric.name);
    let queried = metric.query.as_deref().is_some_and(|q| !q.trim().is_empty());
    let known = matches!(metric.name.as_str(), "request-success-rate" | "request-duration");
    match &metric.template_ref {
        Some(template) if template.name.is_empty() => return Some(format!("metric {name}: templateRef.name is empty")),
        None if !queried && !known => {
            return Some(format!(
                "metric {name}: no such built-in check, and neither templateRef nor query; built in are request-success-rate and request-duration"
            ));
        }
        _ => {}
    }
    if let Some(interval) = metric.interval.as_deref().filter(|i| !i.is_empty())
        && duration::parse(interval).is_none_or(|d| d.is_zero())
    {
        return Some(format!("metric {name}: interval {} is not a duration", crate::domain::text::clean(interval)));
    }
    let range = metric.threshold_range.as_ref()?;
    if [range.min, range.max].into_iter().flatten().any(f64::is_nan) {
        return Some(format!("metric {name}: thresholdRange holds a value that is not a number"));
    }
    match (range.min, range.max) {
        (Some(min), Some(max)) if min > max => Some(format!("metric {name}: thresholdRange.min {min} is above max {max}")),
        _ => None,
    }
}

fn hooks(spec: &CanarySpec) -> Option<String> {
    spec.analysis.webhooks.iter().find_map(|hook| {
        let name = crate::domain::text::clean(&hook.name);
        if hook.hook_kind().is_none() {
            let known: Vec<_> = HookKind::ALL.iter().map(|k| k.word()).collect();
            let word = crate::domain::text::clean(hook.kind.as_deref().unwrap_or_default());
            return Some(format!("webhook {name}: no such type {word}; known are {}", known.join(", ")));
        }
        hook.url.is_empty().then(|| format!("webhook {name}: url is empty"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A Canary that is in order, with `change` laid over it.
    fn spec(change: Value) -> CanarySpec {
        let mut spec = json!({
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "service": {"port": 80},
            "analysis": {"interval": "10s", "threshold": 2, "stepWeight": 20, "maxWeight": 50}
        });
        json_patch::merge(&mut spec, &change);
        serde_json::from_value(spec).expect("a spec")
    }

    fn is_named(cases: impl IntoIterator<Item = (Value, &'static str)>) {
        assert_eq!(spec(json!({})).mistake(), None);
        for (change, word) in cases {
            let found = spec(change.clone()).mistake();
            assert!(found.as_ref().is_some_and(|m| m.contains(word)), "{change}: {found:?}");
        }
    }

    #[test]
    fn bad_input_10_steps_that_are_none() {
        let steps = |weights: Value| json!({"analysis": {"stepWeight": null, "stepWeights": weights}});
        is_named([
            (json!({"analysis": {"stepWeight": 0}}), "stepWeight 0"),
            (json!({"analysis": {"stepWeight": -1}}), "stepWeight -1"),
            (json!({"analysis": {"stepWeight": 101}}), "stepWeight 101"),
            (steps(json!([5, 5])), "stepWeights"),
            (steps(json!([10, 5])), "stepWeights"),
            (steps(json!([0, 5])), "stepWeights"),
            (json!({"analysis": {"maxWeight": 101}}), "maxWeight 101"),
            (json!({"analysis": {"maxWeight": -5}}), "maxWeight -5"),
            (json!({"analysis": {"stepWeightPromotion": 101}}), "stepWeightPromotion 101"),
            (json!({"analysis": {"mirrorWeight": 200}}), "mirrorWeight 200"),
        ]);
        // Beyond the end, and above the maximum, is what Flagger caps: [1,2,10,200] ends at 100, maxWeight below stepWeight is one step.
        assert_eq!(spec(steps(json!([1, 2, 10, 200]))).mistake(), None);
        assert_eq!(spec(json!({"analysis": {"stepWeight": 50, "maxWeight": 20}})).mistake(), None);
    }

    #[test]
    fn bad_input_11_intervals_that_are_none() {
        for text in ["0s", "-1m", "1e9h", "1d", "nonsense", "99999999h"] {
            is_named([(json!({"analysis": {"interval": text}}), "interval")]);
        }
        assert_eq!(spec(json!({"analysis": {"interval": ""}})).mistake(), None, "empty is Flagger's default");
    }

    #[test]
    fn bad_input_12_counts_out_of_range() {
        is_named([
            (json!({"analysis": {"threshold": 3_000_000_000_i64}}), "threshold"),
            (json!({"analysis": {"iterations": 3_000_000_000_i64}}), "iterations"),
            (json!({"progressDeadlineSeconds": -3_000_000_000_i64}), "progressDeadlineSeconds"),
        ]);
        for threshold in [0, -4] {
            let spec = spec(json!({"analysis": {"threshold": threshold}}));
            assert_eq!((spec.mistake(), spec.analysis.failed_checks_limit()), (None, 1), "as Flagger: at least one");
        }
    }

    #[test]
    fn bad_input_13_ranges_that_nothing_is_in() {
        let metric = |range: Value| json!({"analysis": {"metrics": [{"name": "request-duration", "thresholdRange": range}]}});
        is_named([(metric(json!({"min": 5, "max": 1})), "thresholdRange.min 5 is above max 1")]);
        let mut nan = spec(metric(json!({"max": 1})));
        nan.analysis.metrics[0].threshold_range = Some(crate::domain::canary::ThresholdRange { min: Some(f64::NAN), max: None });
        assert!(nan.mistake().is_some_and(|m| m.contains("not a number")));
    }

    #[test]
    fn bad_input_14_targets_that_are_none() {
        is_named([
            (json!({"targetRef": {"name": ""}}), "targetRef.name is empty"),
            (json!({"targetRef": {"name": "web-primary"}}), "ends in -primary"),
            (json!({"targetRef": {"name": "web-canary"}}), "ends in -canary"),
            (json!({"targetRef": {"namespace": "other"}}), "targetRef.namespace"),
            (json!({"targetRef": {"kind": "StatefulSet"}}), "StatefulSet is not one of"),
            (json!({"service": {"port": 0}}), "service.port 0"),
            (json!({"service": {"port": 70_000}}), "service.port 70000"),
            (
                json!({"autoscalerRef": {"apiVersion": "autoscaling/v2beta2", "kind": "HorizontalPodAutoscaler", "name": "web"}}),
                "autoscaling/v2",
            ),
            (json!({"service": {"delegation": true, "hosts": ["a"]}}), "delegation"),
            (json!({"provider": "knative"}), "belong together"),
        ]);
    }

    #[test]
    fn metrics_hooks_and_cookies_that_are_none() {
        let metric = |metric: Value| json!({"analysis": {"metrics": [metric]}});
        let affinity = |affinity: Value| json!({"analysis": {"sessionAffinity": affinity}});
        is_named([
            (metric(json!({"name": "availability"})), "no such built-in check"),
            (metric(json!({"name": "x", "templateRef": {"name": ""}})), "templateRef.name"),
            (metric(json!({"name": "x", "query": "up", "interval": "soon"})), "interval soon"),
            (json!({"analysis": {"webhooks": [{"name": "h", "url": "http://a", "type": "pre"}]}}), "no such type pre"),
            (affinity(json!({"cookieName": ""})), "cookieName is empty"),
            (affinity(json!({"cookieName": "a", "primaryCookieName": "a"})), "are the same"),
            (affinity(json!({"cookieName": "a; Domain=evil"})), "not a name for a cookie"),
            (affinity(json!({"cookieName": "a", "path": "/; Secure"})), "semicolons"),
        ]);
        assert_eq!(spec(metric(json!({"name": "x", "query": "up"}))).mistake(), None);
    }

    #[test]
    fn what_a_router_cannot_do_is_refused_or_said() {
        let ab = spec(json!({"analysis": {"stepWeight": null, "iterations": 3, "match": [{"headers": {"x": {"exact": "y"}}}]}}));
        assert!(ab.beyond("traefik", &Abilities { progressive: true, ..Abilities::NONE }).is_some_and(|m| m.contains("A/B testing")));
        assert_eq!(ab.beyond("kubernetes", &Abilities::NONE), None);
        assert_eq!(ab.left_out("kubernetes", &Abilities::NONE), ["A/B testing is not supported when using the kubernetes provider"]);
        let plain = spec(json!({})).left_out("kubernetes", &Abilities::NONE);
        assert_eq!(plain[1], "Setting canaryAnalysis.iterations: 10");
        let mirrored = spec(json!({"analysis": {"mirror": true}}));
        assert_eq!(mirrored.left_out("nginx", &Abilities { progressive: true, ..Abilities::NONE }).len(), 1);
    }
}
