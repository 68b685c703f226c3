//! Old Canaries as `flagger.app/v1beta1`, the one version that is still served (rollout-contract §1.1). Repositories keep manifests
//! for years, and today's API server answers the old ones with "not found" or with a field that it does not know.
//!
//! The rules follow what the controllers of the time made of each field, so that a rollout goes on as its author knew it.

use serde_json::{Map, Value, json};

use super::crds::{canary_spec, check};
use super::json::text;
use crate::domain::text::clean;

const CURRENT: &str = "flagger.app/v1beta1";

/// Flagger 0.3 to 0.23 read all three alike, without converting anything; v1alpha3 was served until Flagger 1.5.
const OLD: [&str; 3] = ["flagger.app/v1alpha1", "flagger.app/v1alpha2", "flagger.app/v1alpha3"];

/// Providers that v1beta1 no longer takes, with those that routed and measured in exactly the same way.
const PROVIDERS: [(&str, &str); 2] = [("none", "kubernetes"), ("smi:linkerd", "linkerd")];

/// Names that the builtin checks had, each after the series it was computed from, before they were named alike for all routers.
const CHECKS: [(&str, &str); 4] = [
    ("istio_requests_total", "request-success-rate"),
    ("istio_request_duration_seconds_bucket", "request-duration"),
    ("envoy_cluster_upstream_rq", "request-success-rate"),
    ("envoy_cluster_upstream_rq_time_bucket", "request-duration"),
];

/// What v1alpha3 took where nothing was said; v1beta1 wants it said.
const INTERVAL: &str = "1m";

/// Characters of a name that a sentence quotes; a valid one has no more.
const LONGEST_NAME: usize = 253;

const NO_ANALYSIS: &str =
    "it has no spec.canaryAnalysis: add spec.analysis, with interval, threshold and one of stepWeight, stepWeights, iterations";

type Fields = Map<String, Value>;

/// `object` as a v1beta1 Canary that passes the schema, or a sentence saying why it cannot be one. `None` for whatever is no old
/// Canary: another kind, another group, or a v1beta1 Canary without `spec.canaryAnalysis`. Fields that v1beta1 does not know stay
/// where they are: the API server names them when the object is applied.
#[must_use]
pub fn upgraded(object: &Value) -> Option<Result<Value, String>> {
    let version = text(object, "/apiVersion");
    let old_name = object.pointer("/spec/canaryAnalysis").is_some_and(|analysis| !analysis.is_null());
    let is_old = OLD.contains(&version) || (version == CURRENT && old_name);
    (is_old && text(object, "/kind") == "Canary")
        .then(|| upgrade(object).map_err(|why| format!("{} cannot be read as {CURRENT}: {why}", named(object))))
}

fn upgrade(object: &Value) -> Result<Value, String> {
    let mut object = object.clone();
    object["apiVersion"] = json!(CURRENT);
    let spec = object.get_mut("spec").and_then(Value::as_object_mut).ok_or("it has no spec")?;
    drop_nulls(spec);
    rename_analysis(spec)?;
    rename(spec, "provider", &PROVIDERS);
    raise_scaler(spec);
    if let Some(analysis) = spec.get_mut("analysis").and_then(Value::as_object_mut) {
        fill_in(analysis);
        step_one_way(analysis);
        rename_checks(analysis);
    }
    // Whatever was let through by the old schemas, which looked into no list, is found here.
    match check::fault(&canary_spec(), "spec", &object["spec"]) {
        Some(fault) => Err(fault),
        None => Ok(object),
    }
}

/// `Canary NAMESPACE/NAME`, for messages.
fn named(object: &Value) -> String {
    let part = |pointer: &str| clean(text(object, pointer)).chars().take(LONGEST_NAME).collect::<String>();
    match (part("/metadata/namespace"), part("/metadata/name")) {
        (namespace, name) if namespace.is_empty() => format!("Canary {name}"),
        (namespace, name) => format!("Canary {namespace}/{name}"),
    }
}

/// A field without a value says nothing, and was dropped when manifests were sent whole; server-side apply refuses it.
fn drop_nulls(fields: &mut Fields) {
    fields.retain(|_, value| !value.is_null());
    for value in fields.values_mut() {
        match value {
            Value::Object(fields) => drop_nulls(fields),
            Value::Array(items) => items.iter_mut().filter_map(Value::as_object_mut).for_each(drop_nulls),
            _ => {}
        }
    }
}

/// `spec.canaryAnalysis` is `spec.analysis` now. Flagger would take the new one of two; which of them the author means, nobody knows.
fn rename_analysis(spec: &mut Fields) -> Result<(), String> {
    match (spec.remove("canaryAnalysis"), spec.get("analysis")) {
        (Some(_), Some(_)) => Err("it has both spec.canaryAnalysis and spec.analysis: keep the one that counts, as spec.analysis".into()),
        (Some(old), None) => {
            spec.insert("analysis".into(), old);
            Ok(())
        }
        (None, Some(_)) => Ok(()),
        (None, None) => Err(NO_ANALYSIS.into()),
    }
}

/// Replaces the word in `field` by its successor in `table`.
fn rename(fields: &mut Fields, field: &str, table: &[(&str, &str)]) {
    let Some(word) = fields.get_mut(field) else { return };
    if let Some((_, now)) = table.iter().find(|(then, _)| word == then) {
        *word = json!(now);
    }
}

/// Which version of an autoscaler was named never mattered, the object being the same in all of them; the old ones are served no
/// longer, and the engine asks for the one that is.
fn raise_scaler(spec: &mut Fields) {
    let Some(scaler) = spec.get_mut("autoscalerRef").filter(|s| text(s, "/kind") == "HorizontalPodAutoscaler") else { return };
    if text(scaler, "/apiVersion").starts_with("autoscaling/") {
        scaler["apiVersion"] = json!("autoscaling/v2");
    }
}

/// Says what was left to the controller. Without a threshold v1alpha3 rolled back before the first check; one failed check is the
/// least that v1beta1 knows.
fn fill_in(analysis: &mut Fields) {
    let unsaid = |value: Option<&Value>| value.is_none_or(|v| v == "");
    for (field, value) in [("interval", json!(INTERVAL)), ("threshold", json!(1))] {
        if unsaid(analysis.get(field)) {
            analysis.insert(field.into(), value);
        }
    }
}

/// v1beta1 refuses an analysis that says twice how it goes on. The old controllers looked for iterations first, then for a step,
/// then for a list of weights, and took no notice of the rest.
fn step_one_way(analysis: &mut Fields) {
    let above_zero = |value: Option<&Value>| value.and_then(Value::as_f64).is_some_and(|n| n > 0.0);
    let listed = |value: Option<&Value>| value.and_then(Value::as_array).is_some_and(|weights| !weights.is_empty());
    let in_force = if above_zero(analysis.get("iterations")) {
        "iterations"
    } else if above_zero(analysis.get("stepWeight")) {
        "stepWeight"
    } else if listed(analysis.get("stepWeights")) {
        "stepWeights"
    } else {
        // None does anything: what is there stays, for the schema and the engine to judge.
        return;
    };
    for field in ["iterations", "stepWeight", "stepWeights"].into_iter().filter(|field| *field != in_force) {
        analysis.remove(field);
    }
}

/// A builtin check by its old name, which Flagger 0.14 and later passed over in silence: what is asked for is checked. With
/// a query of its own a metric may have any name, that one too.
fn rename_checks(analysis: &mut Fields) {
    let metrics = analysis.get_mut("metrics").and_then(Value::as_array_mut).into_iter().flatten();
    for metric in metrics.filter_map(Value::as_object_mut) {
        if !metric.contains_key("query") && !metric.contains_key("templateRef") {
            rename(metric, "name", &CHECKS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::canary::{CanarySpec, HookKind};

    /// The Canaries of the seed (seed-system §2A, §2D): overlay, service, how it is stepped, least success rate, window of the latency.
    fn seeds() -> Vec<(&'static str, &'static str, Value, i64, &'static str)> {
        let (step, count) = (|| json!({"maxWeight": 50, "stepWeight": 10}), |n: i64| json!({"iterations": n}));
        let insiders = json!({"iterations": 10, "match": [
            {"headers": {"user-agent": {"regex": "^(?!.*Chrome)(?=.*\u{8}Safari\u{8}).*$"}}},
            {"headers": {"cookie": {"regex": "^(.*?;)?(type=insider)(;.*)?$"}}}]});
        let mirrored = json!({"iterations": 10, "mirror": true});
        vec![
            ("kubernetes", "frontend", count(5), 70, "1m"),
            ("kubernetes", "backend", count(5), 99, "30s"),
            ("kubernetes", "cache", count(10), 99, "30s"),
            ("kubernetes", "database", count(10), 99, "30s"),
            ("istio", "frontend", insiders, 70, "1m"),
            ("istio", "backend", step(), 99, "30s"),
            ("istio", "cache", count(5), 99, "30s"),
            ("istio", "database", mirrored, 99, "30s"),
            ("linkerd", "frontend", step(), 70, "1m"),
            ("linkerd", "backend", step(), 99, "30s"),
            ("linkerd", "cache", count(5), 99, "30s"),
            ("linkerd", "database", count(10), 99, "30s"),
        ]
    }

    /// A Canary of the seed's base, which has no analysis, with that of an overlay laid over it.
    fn seed(name: &str, analysis: Option<Value>) -> Value {
        let mut canary = json!({
            "apiVersion": "flagger.app/v1alpha3", "kind": "Canary", "metadata": {"name": name, "namespace": "app"},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "autoscalerRef": {"apiVersion": "autoscaling/v2beta1", "kind": "HorizontalPodAutoscaler", "name": name},
                "progressDeadlineSeconds": 60,
                "service": {"port": 9898, "portDiscovery": true},
            },
        });
        if let Some(analysis) = analysis {
            canary["spec"]["canaryAnalysis"] = analysis;
        }
        canary
    }

    fn analysis_of(name: &str, steps: &Value, success: i64, window: &str) -> Value {
        let tester = "http://tester.app.svc.cluster.local/";
        let mut analysis = json!({
            "interval": "10s", "threshold": 10,
            "metrics": [
                {"name": "request-success-rate", "threshold": success, "interval": "1m"},
                {"name": "request-duration", "threshold": 500, "interval": window}],
            "webhooks": [
                {"name": "acceptance-test", "type": "pre-rollout", "url": tester, "timeout": "30s",
                    "metadata": {"type": "bash", "cmd": format!("curl -sd 'test' http://{name}-canary:9898/token | grep token")}},
                {"name": "load-test", "url": tester, "timeout": "5s",
                    "metadata": {"cmd": format!("hey -z 1m -q 5 -c 2 http://{name}-canary:9898/")}}],
        });
        json_patch::merge(&mut analysis, steps);
        analysis
    }

    #[test]
    fn the_seeds_canaries_keep_all_they_say() {
        for (overlay, name, steps, success, window) in seeds() {
            let analysis = analysis_of(name, &steps, success, window);
            let now = upgraded(&seed(name, Some(analysis.clone()))).expect("an old Canary").expect(overlay);
            let mut wanted = seed(name, None);
            json_patch::merge(
                &mut wanted,
                &json!({"apiVersion": "flagger.app/v1beta1", "spec": {"analysis": analysis, "autoscalerRef": {"apiVersion": "autoscaling/v2"}}}),
            );
            assert_eq!(now, wanted, "{overlay}/{name}");
            let spec: CanarySpec = serde_json::from_value(now["spec"].clone()).expect("a spec");
            assert_eq!(spec.mistake(), None, "{overlay}/{name}");
            assert_eq!(spec.analysis.hooks(HookKind::Rollout).len(), 1);
            assert_eq!(upgraded(&now), None, "done once, it is done");
        }
    }

    /// What becomes of the seed's backend with `analysis` in place of its own, and `change` laid over the whole.
    fn with(analysis: &Value, change: &Value) -> Result<Value, String> {
        let mut canary = seed("backend", Some(analysis.clone()));
        json_patch::merge(&mut canary, change);
        upgraded(&canary).expect("an old Canary")
    }

    #[test]
    fn what_had_an_effect_keeps_it_and_the_rest_goes() {
        for (before, after) in [
            (json!({"stepWeight": 5}), json!({"interval": "1m", "threshold": 1, "stepWeight": 5})),
            (json!({"interval": "", "threshold": null, "iterations": 3}), json!({"interval": "1m", "threshold": 1, "iterations": 3})),
            (
                json!({"interval": "5s", "threshold": 0, "iterations": 3, "stepWeight": 5, "maxWeight": 50}),
                json!({"interval": "5s", "threshold": 0, "iterations": 3, "maxWeight": 50}),
            ),
            (
                json!({"interval": "1m", "threshold": 2, "iterations": 0, "stepWeight": 5, "stepWeights": [1]}),
                json!({"interval": "1m", "threshold": 2, "stepWeight": 5}),
            ),
            (
                json!({"interval": "1m", "threshold": 2, "stepWeight": 0, "stepWeights": [1]}),
                json!({"interval": "1m", "threshold": 2, "stepWeights": [1]}),
            ),
        ] {
            assert_eq!(with(&before, &json!({})).expect("fits")["spec"]["analysis"], after, "{before}");
        }
        let metrics = json!({"iterations": 1, "metrics": [
            {"name": "istio_requests_total", "threshold": 99}, {"name": "envoy_cluster_upstream_rq_time_bucket", "threshold": 500},
            {"name": "istio_requests_total", "threshold": 1, "query": "sum(istio_requests_total)", "interval": null}]});
        let mut canary = seed("backend", Some(metrics));
        canary["spec"]["provider"] = json!("smi:linkerd");
        canary["spec"]["routeRef"] = json!(null);
        let now = upgraded(&canary).expect("an old Canary").expect("fits");
        assert_eq!(now["spec"].get("routeRef"), None, "a null says nothing");
        let names: Vec<_> = (0..3).map(|at| now["spec"]["analysis"]["metrics"][at]["name"].clone()).collect();
        assert_eq!(names, ["request-success-rate", "request-duration", "istio_requests_total"]);
        assert_eq!(now["spec"]["provider"], "linkerd");
        let old = with(&json!({"stepWeight": 5}), &json!({"apiVersion": "flagger.app/v1alpha1"})).expect("fits");
        assert_eq!(old["apiVersion"], CURRENT);
    }

    #[test]
    fn a_current_canary_with_the_old_name_is_helped_too() {
        let canary = seed("cache", Some(json!({"interval": "1m", "threshold": 1, "iterations": 5})));
        let now = upgraded(&json!({"apiVersion": CURRENT, "kind": "Canary", "metadata": {"name": "cache"}, "spec": canary["spec"]}));
        let now = now.expect("has the old name").expect("fits");
        assert_eq!(now["spec"]["analysis"]["iterations"], 5);
        assert_eq!(now["spec"].get("canaryAnalysis"), None);
    }

    #[test]
    fn what_cannot_be_says_why() {
        let why = |analysis: Value, change: Value| with(&analysis, &change).expect_err("does not fit");
        let prefix = "Canary app/backend cannot be read as flagger.app/v1beta1: ";
        for (analysis, change, sentence) in [
            (
                json!({"iterations": 1}),
                json!({"spec": {"analysis": {"iterations": 1}}}),
                "it has both spec.canaryAnalysis and spec.analysis: keep the one that counts, as spec.analysis",
            ),
            (json!({}), json!({"spec": null}), "it has no spec"),
            (json!([]), json!({}), "spec.analysis has to be of type object, and is a list"),
            (json!({"interval": "1h", "iterations": 1}), json!({}), "spec.analysis.interval `1h` does not match ^[0-9]+(m|s)"),
            (
                json!({"iterations": 1, "metrics": [{"name": "request-duration", "interval": "90"}]}),
                json!({}),
                "spec.analysis.metrics[0].interval `90` does not match ^[0-9]+(m|s)",
            ),
            (json!({"iterations": 1, "webhooks": [{"name": "a"}]}), json!({}), "spec.analysis.webhooks[0].url is missing"),
            (json!({"iterations": 1}), json!({"spec": {"service": {"port": null}}}), "spec.service.port is missing"),
            (
                json!({"iterations": 1}),
                json!({"spec": {"targetRef": {"kind": "StatefulSet"}}}),
                "spec.targetRef.kind `StatefulSet` is none of DaemonSet, Deployment, Service",
            ),
        ] {
            assert_eq!(why(analysis, change), format!("{prefix}{sentence}"));
        }
        assert!(why(json!({"maxWeight": 50}), json!({})).ends_with("spec.analysis needs one of iterations, stepWeight, stepWeights"));
        assert!(
            why(json!({"iterations": 1}), json!({"spec": {"provider": "supergloo:istio"}}))
                .contains("spec.provider `supergloo:istio` is none of")
        );
        let base = upgraded(&seed("web\u{1b}[2J", None)).expect("an old Canary").expect_err("has no analysis");
        assert!(base.starts_with("Canary app/web[2J cannot") && base.contains("add spec.analysis"), "{base}");
    }

    #[test]
    fn everything_else_is_let_alone() {
        let current = json!({"apiVersion": CURRENT, "kind": "Canary", "spec": {"analysis": {}, "canaryAnalysis": null}});
        let template = json!({"apiVersion": "flagger.app/v1alpha1", "kind": "MetricTemplate"});
        let route = json!({"apiVersion": "networking.istio.io/v1alpha3", "kind": "Canary", "spec": {"canaryAnalysis": {}}});
        let later = json!({"apiVersion": "flagger.app/v1", "kind": "Canary", "spec": {"canaryAnalysis": {}}});
        for object in [current, template, route, later, json!(null), json!([1])] {
            assert_eq!(upgraded(&object), None, "{object}");
        }
    }
}
