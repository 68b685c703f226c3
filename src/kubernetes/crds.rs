//! The CRDs of group `flagger.app`, derived from our types (rollout-contract §1), and their installation.

use kube::core::schema::StructuralSchemaRewriter;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::access::{Access, Patch};
use super::error::ApiError;
use crate::domain::canary::CanarySpec;
use crate::domain::status::CanaryStatus;

const MANAGER: &str = "pilothouse-crds";

/// The routers that a Canary may name (rollout-contract §7.1).
const PROVIDERS: [&str; 25] = [
    "apisix",
    "appmesh",
    "appmesh:v1beta1",
    "appmesh:v1beta2",
    "contour",
    "gatewayapi:v1",
    "gatewayapi:v1alpha2",
    "gatewayapi:v1beta1",
    "gloo",
    "istio",
    "knative",
    "kubernetes",
    "kuma",
    "linkerd",
    "nginx",
    "osm",
    "skipper",
    "smi:v1alpha1",
    "smi:v1alpha2",
    "smi:v1alpha3",
    "smi:istio",
    "smi:linkerd",
    "supergloo:istio",
    "traefik",
    "none",
];

fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    let schema = settings.with_transform(StructuralSchemaRewriter).into_generator().into_root_schema_for::<T>();
    let mut value = serde_json::to_value(schema).unwrap_or_default();
    tidy(&mut value);
    value
}

/// Takes out what a structural schema may not hold, and what would make the API server write defaults
/// into objects.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for key in ["title", "default", "$schema", "components"] {
                // A property may be called `default` or `title`; then it is a schema, an object.
                if map.get(key).is_some_and(|v| key != "title" && key != "default" || !v.is_object() || v.get("type").is_none()) {
                    map.remove(key);
                }
            }
            if map.get("format").and_then(Value::as_str).is_some_and(|f| f.starts_with("uint")) {
                map.remove("format");
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn set(value: &mut Value, pointer: &str, field: &str, to: Value) {
    if let Some(slot) = value.pointer_mut(pointer).and_then(Value::as_object_mut) {
        slot.insert(field.into(), to);
    }
}

/// Canary, `MetricTemplate` and `AlertProvider`.
#[must_use]
pub fn all() -> Vec<Value> {
    vec![canaries(), templates(), alerts()]
}

fn canaries() -> Value {
    let mut spec = schema::<CanarySpec>();
    set(&mut spec, "", "required", json!(["targetRef", "analysis"]));
    set(&mut spec, "/properties/service", "required", json!(["port"]));
    set(&mut spec, "/properties/provider", "enum", json!(PROVIDERS));
    set(&mut spec, "/properties/targetRef", "required", json!(["apiVersion", "kind", "name"]));
    set(&mut spec, "/properties/targetRef/properties/kind", "enum", json!(["DaemonSet", "Deployment", "Service"]));
    set(&mut spec, "/properties/autoscalerRef", "required", json!(["apiVersion", "kind", "name"]));
    set(&mut spec, "/properties/autoscalerRef/properties/kind", "enum", json!(["HorizontalPodAutoscaler", "ScaledObject"]));
    set(&mut spec, "/properties/analysis/properties/interval", "pattern", json!("^[0-9]+(m|s)"));
    let each = |field: &str| json!({"required": ["interval", "threshold", field]});
    set(&mut spec, "/properties/analysis", "oneOf", json!([each("iterations"), each("stepWeight"), each("stepWeights")]));
    set(&mut spec, "/properties/analysis/properties/metrics/items", "required", json!(["name"]));
    set(&mut spec, "/properties/analysis/properties/metrics/items/properties/interval", "pattern", json!("^[0-9]+(m|s)"));
    set(&mut spec, "/properties/analysis/properties/webhooks/items", "required", json!(["name", "url"]));
    let hooks: Vec<_> = std::iter::once("").chain(crate::domain::canary::HookKind::ALL.iter().map(|k| k.word())).collect();
    set(&mut spec, "/properties/analysis/properties/webhooks/items/properties/type", "enum", json!(hooks));
    set(&mut spec, "/properties/analysis/properties/webhooks/items/properties/timeout", "pattern", json!("^[0-9]+(m|s)"));
    let mut status = schema::<CanaryStatus>();
    let phases: Vec<_> = crate::domain::phase::Phase::ALL.iter().map(|p| p.word()).collect();
    set(&mut status, "/properties", "phase", json!({"type": "string", "enum": phases}));
    set(&mut status, "/properties", "lastTransitionTime", json!({"type": "string", "format": "date-time"}));
    set(&mut status, "/properties", "trackedConfigs", json!({"type": "object", "additionalProperties": {"type": "string"}}));
    set(&mut status, "/properties/conditions/items", "required", json!(["type", "status", "reason"]));
    let column =
        |name: &str, path: &str, wide: bool, kind: &str| json!({"name": name, "type": kind, "jsonPath": path, "priority": i32::from(wide)});
    let columns = json!([
        column("Status", ".status.phase", false, "string"),
        column("Weight", ".status.canaryWeight", false, "string"),
        column("Suspended", ".spec.suspend", true, "boolean"),
        column("FailedChecks", ".status.failedChecks", true, "string"),
        column("Interval", ".spec.analysis.interval", true, "string"),
        column("Mirror", ".spec.analysis.mirror", true, "boolean"),
        column("StepWeight", ".spec.analysis.stepWeight", true, "string"),
        column("StepWeights", ".spec.analysis.stepWeights", true, "string"),
        column("MaxWeight", ".spec.analysis.maxWeight", true, "string"),
        column("LastTransitionTime", ".status.lastTransitionTime", false, "string"),
    ]);
    definition("canaries", "canary", "Canary", spec, Some(status), columns)
}

fn templates() -> Value {
    let kinds = [
        "prometheus",
        "influxdb",
        "datadog",
        "externalmetrics",
        "stackdriver",
        "cloudwatch",
        "newrelic",
        "graphite",
        "dynatrace",
        "keptn",
        "splunk",
    ];
    let spec = json!({"type": "object", "required": ["provider", "query"], "properties": {
        "provider": {"type": "object", "required": ["type"], "properties": {
            "type": {"type": "string", "enum": kinds}, "address": {"type": "string"}, "region": {"type": "string"}, "insecureSkipVerify": {"type": "boolean"},
            "headers": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
            "secretRef": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}}},
        "query": {"type": "string"}}});
    let columns = json!([{"name": "Provider", "type": "string", "jsonPath": ".spec.provider.type"}]);
    definition("metrictemplates", "metrictemplate", "MetricTemplate", spec, None, columns)
}

fn alerts() -> Value {
    let spec = json!({"type": "object", "required": ["type"], "oneOf": [{"required": ["address"]}, {"required": ["secretRef"]}], "properties": {
        "type": {"type": "string", "enum": ["slack", "msteams", "discord", "rocket", "gchat"]},
        "channel": {"type": "string"}, "username": {"type": "string"}, "address": {"type": "string"}, "proxy": {"type": "string"},
        "secretRef": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}}});
    let columns = json!([{"name": "Type", "type": "string", "jsonPath": ".spec.type"}]);
    definition("alertproviders", "alertprovider", "AlertProvider", spec, None, columns)
}

fn definition(plural: &str, singular: &str, kind: &str, spec: Value, status: Option<Value>, columns: Value) -> Value {
    let status = status.unwrap_or_else(|| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.flagger.app"), "annotations": {"helm.sh/resource-policy": "keep"}},
        "spec": {
            "group": "flagger.app", "scope": "Namespaced",
            "names": {"plural": plural, "singular": singular, "kind": kind, "listKind": format!("{kind}List"), "categories": ["all"]},
            "versions": [{
                "name": "v1beta1", "served": true, "storage": true, "subresources": {"status": {}}, "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {
                    "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}, "spec": spec, "status": status}}}
            }]
        }
    })
}

/// What became of one CRD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installed {
    Created,
    Updated,
    /// Flagger's own is there, which serves as well.
    Kept(String),
}

/// Installs what is missing and updates what is ours; a CRD that somebody else manages stays as it is.
///
/// # Errors
/// As the API server answers; with `dry_run` nothing is written.
pub async fn install(access: &Access, dry_run: bool) -> Result<Vec<(String, Installed)>, ApiError> {
    let mut done = Vec::new();
    for crd in all() {
        let name = super::json::text(&crd, "/metadata/name").to_owned();
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        let live = match access.get(&path).await {
            Ok(live) => Some(live),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        let other = live.as_ref().and_then(|l| super::json::owner_of(l, &["spec", "versions"])).filter(|m| *m != MANAGER);
        let outcome = match (&live, other) {
            (Some(_), Some(manager)) => Installed::Kept(crate::domain::text::clean(manager)),
            (Some(_), None) => Installed::Updated,
            (None, _) => Installed::Created,
        };
        if !matches!(outcome, Installed::Kept(_)) {
            let patch = if dry_run { Patch::DryRun } else { Patch::Apply };
            access.patch(&path, MANAGER, patch, &crd).await?;
        }
        done.push((name, outcome));
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_structural_and_has_flaggers_facts() {
        let crd = canaries();
        let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").expect("a schema");
        let text = schema.to_string();
        for forbidden in ["$ref", "\"anyOf\":[{\"type\"", "definitions"] {
            assert!(!text.contains(forbidden), "{forbidden} in {text}");
        }
        let weight = schema.pointer("/properties/spec/properties/analysis/properties/stepWeight").expect("stepWeight");
        assert_eq!(weight["type"], "integer");
        let matches = schema.pointer("/properties/spec/properties/analysis/properties/match/items").expect("match");
        assert_eq!(matches["x-kubernetes-preserve-unknown-fields"], true);
        assert_eq!(schema.pointer("/properties/spec/properties/analysis/oneOf").and_then(Value::as_array).map(Vec::len), Some(3));
        assert!(schema.pointer("/properties/spec/properties/analysis/properties/webhooks/items/properties/disableTLS").is_some());
    }
}
