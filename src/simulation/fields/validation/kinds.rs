//! Checks of the built-in kinds.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Causes, is_empty, items, meta, names, pods, text};

const NEITHER_ALWAYS: &str = "valid values: \"OnFailure\", \"Never\"";
const FIXED_STATEFUL: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
const CHANGEABLE_STATEFUL: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

pub fn check(kind: &str, live: Option<&Value>, object: &Value, causes: &mut Causes) {
    let spec = &object["spec"];
    match kind {
        "ConfigMap" | "Secret" => pieces(live, object, causes),
        "Service" => service(live, spec, causes),
        "Pod" => pods::check(spec, "spec", causes),
        "Deployment" => {
            workload("deployment", live, spec, causes);
            deployment(spec, causes);
        }
        "ReplicaSet" => workload("deployment", live, spec, causes),
        "DaemonSet" => workload("daemonset", live, spec, causes),
        "StatefulSet" => {
            workload("statefulset", None, spec, causes);
            if live.is_some_and(|live| fixed(&live["spec"]) != fixed(spec)) {
                causes.forbidden("spec", FIXED_STATEFUL);
            }
        }
        "Job" => job(spec, causes),
        "HorizontalPodAutoscaler" => autoscaler(spec, causes),
        "Role" => role(object, true, causes),
        "ClusterRole" => role(object, false, causes),
        "RoleBinding" => binding(live, object, &["Role", "ClusterRole"], causes),
        "ClusterRoleBinding" => binding(live, object, &["ClusterRole"], causes),
        "PodDisruptionBudget" => budget(spec, causes),
        "Lease" => lease(spec, causes),
        "Ingress" => ingress(spec, causes),
        "CustomResourceDefinition" => {
            let names = format!("{}.{}", text(&spec["names"], "plural"), text(spec, "group"));
            let name = text(&object["metadata"], "name");
            if name != names {
                causes.invalid("metadata.name", &name.into(), "must be spec.names.plural+\".\"+spec.group");
            }
        }
        _ => {}
    }
}

/// What of a stateful set's spec stays as it is.
fn fixed(spec: &Value) -> Vec<(&String, &Value)> {
    spec.as_object().into_iter().flatten().filter(|(name, _)| !CHANGEABLE_STATEFUL.contains(&name.as_str())).collect()
}

/// The pieces of a config map or secret, which may be fixed for good.
fn pieces(live: Option<&Value>, object: &Value, causes: &mut Causes) {
    for part in ["data", "binaryData"] {
        for key in object.get(part).and_then(Value::as_object).into_iter().flat_map(serde_json::Map::keys) {
            let path = format!("{part}[{key}]");
            causes.syntax(&path, key, names::config_key(key));
            if part == "data" && object.get("binaryData").is_some_and(|other| other.get(key).is_some()) {
                causes.invalid(path, &key.as_str().into(), "duplicate of key present in binaryData");
            }
        }
    }
    let Some(live) = live else { return };
    if live.get("type") != object.get("type") {
        causes.invalid("type", &object["type"], "field is immutable");
    }
    if live.get("immutable") == Some(&Value::Bool(true)) {
        for part in ["immutable", "data", "binaryData"] {
            if live.get(part) != object.get(part) {
                causes.forbidden(part, "field is immutable when `immutable` is set");
            }
        }
    }
}

fn service(live: Option<&Value>, spec: &Value, causes: &mut Causes) {
    let (kind, address) = (text(spec, "type"), text(spec, "clusterIP"));
    causes.one_of("spec.type".into(), kind, &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    causes.one_of("spec.sessionAffinity".into(), text(spec, "sessionAffinity"), &["ClientIP", "None"]);
    if is_empty(spec, "ports") && kind != "ExternalName" && address != "None" {
        causes.required("spec.ports", "");
    }
    if kind == "ExternalName" {
        causes.need("spec.externalName".into(), text(spec, "externalName"));
    }
    let several = spec.get("ports").and_then(Value::as_array).is_some_and(|ports| ports.len() > 1);
    let (mut taken, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (path, port) in items(spec, "spec", "ports") {
        service_port(&path, port, several, &mut taken, causes);
        let (protocol, number) = (text(port, "protocol"), &port["port"]);
        if !numbers.insert((protocol, number.as_i64())) {
            let value = format!(r#"{{"Name":"","Protocol":{protocol:?},"AppProtocol":null,"Port":{number},"TargetPort":0,"NodePort":0}}"#);
            causes.add(path, "FieldValueDuplicate", format!("Duplicate value: {value}"));
        }
    }
    meta::labels("spec.selector", spec.get("selector"), causes);
    let addresses = spec.get("clusterIPs");
    if let Some(old) = live.and_then(|live| live["spec"].get("clusterIPs")?.get(0))
        && let Some(new) = addresses
        && kind != "ExternalName"
        && new.get(0).is_some_and(|new| new != old)
    {
        causes.invalid("spec.clusterIPs[0]", new, "may not change once set");
    }
}

fn service_port<'v>(path: &str, port: &'v Value, several: bool, taken: &mut BTreeSet<&'v str>, causes: &mut Causes) {
    let name = text(port, "name");
    if name.is_empty() {
        if several {
            causes.required(format!("{path}.name"), "");
        }
    } else {
        causes.syntax(&format!("{path}.name"), name, names::label(name));
        if !taken.insert(name) {
            causes.duplicate(format!("{path}.name"), &name.into());
        }
    }
    causes.port(format!("{path}.port"), &port["port"]);
    causes.one_of(format!("{path}.protocol"), text(port, "protocol"), &["SCTP", "TCP", "UDP"]);
    pods::port_or_name(&port["targetPort"], format!("{path}.targetPort"), causes);
}

/// Checks that workloads with a selector and a template share.
fn workload(kind: &str, live: Option<&Value>, spec: &Value, causes: &mut Causes) {
    causes.non_negative("spec", spec, &["replicas", "minReadySeconds", "revisionHistoryLimit"]);
    let selector = spec.get("selector").filter(|selector| !selector.is_null());
    let before = causes.0.len();
    match selector {
        None => causes.required("spec.selector", ""),
        Some(selector) => {
            meta::labels("spec.selector.matchLabels", selector.get("matchLabels"), causes);
            if selector.as_object().is_some_and(serde_json::Map::is_empty) {
                causes.invalid("spec.selector", &json!({}), &format!("empty selector is invalid for {kind}"));
            } else if causes.0.len() > before {
                return causes.invalid("spec.selector", selector, "invalid label selector");
            }
        }
    }
    let template = &spec["template"];
    let labels = template["metadata"].get("labels");
    if !selects(selector, labels) {
        causes.invalid("spec.template.metadata.labels", labels.unwrap_or(&Value::Null), "`selector` does not match template `labels`");
    }
    meta::labels("spec.template.metadata.labels", labels, causes);
    pods::check(&template["spec"], "spec.template.spec", causes);
    let policy = text(&template["spec"], "restartPolicy");
    causes.one_of("spec.template.spec.restartPolicy".into(), policy, &["Always"]);
    if let Some(live) = live.and_then(|live| live["spec"].get("selector"))
        && selector != Some(live)
    {
        causes.invalid("spec.selector", selector.unwrap_or(&Value::Null), "field is immutable");
    }
}

/// Whether a selector matches labels. None matches nothing.
fn selects(selector: Option<&Value>, labels: Option<&Value>) -> bool {
    let Some(selector) = selector else { return false };
    let label = |key: &str| labels.and_then(|labels| labels.get(key));
    let mut exactly = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let one = |expression: &Value| {
        let value = label(text(expression, "key"));
        let among =
            expression.get("values").and_then(Value::as_array).is_some_and(|values| value.is_some_and(|value| values.contains(value)));
        match text(expression, "operator") {
            "In" => among,
            "NotIn" => !among,
            "Exists" => value.is_some(),
            _ => value.is_none(),
        }
    };
    let mut expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    exactly.all(|(key, value)| label(key) == Some(value)) && expressions.all(one)
}

fn deployment(spec: &Value, causes: &mut Causes) {
    causes.non_negative("spec", spec, &["progressDeadlineSeconds"]);
    let number = |name: &str| spec.get(name).and_then(Value::as_i64);
    if let Some(deadline) = number("progressDeadlineSeconds")
        && deadline <= number("minReadySeconds").unwrap_or_default()
    {
        causes.invalid("spec.progressDeadlineSeconds", &deadline.into(), "must be greater than minReadySeconds");
    }
    let strategy = &spec["strategy"];
    match text(strategy, "type") {
        "Recreate" => {
            if strategy.get("rollingUpdate").is_some() {
                causes.forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'");
            }
        }
        "RollingUpdate" => {
            let none = |name: &str| matches!(&strategy["rollingUpdate"][name], value if *value == 0 || value == "0%");
            if none("maxUnavailable") && none("maxSurge") {
                causes.invalid(
                    "spec.strategy.rollingUpdate.maxUnavailable",
                    &strategy["rollingUpdate"]["maxUnavailable"],
                    "may not be 0 when `maxSurge` is 0",
                );
            }
        }
        other => {
            let value = format!(r#"{{"Type":{other:?},"RollingUpdate":null}}"#);
            let message = format!("Unsupported value: {value}: supported values: \"Recreate\", \"RollingUpdate\"");
            causes.add("spec.strategy", "FieldValueNotSupported", message);
        }
    }
}

fn job(spec: &Value, causes: &mut Causes) {
    causes.non_negative("spec", spec, &["parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"]);
    let pod = &spec["template"]["spec"];
    pods::check(pod, "spec.template.spec", causes);
    match text(pod, "restartPolicy") {
        "OnFailure" | "Never" => {}
        "Always" => causes.required("spec.template.spec.restartPolicy", NEITHER_ALWAYS),
        _ => causes.not_supported("spec.template.spec.restartPolicy", &pod["restartPolicy"], &["OnFailure", "Never"]),
    }
}

fn autoscaler(spec: &Value, causes: &mut Causes) {
    let number = |name: &str| spec.get(name).and_then(Value::as_i64).unwrap_or_default();
    let (least, most) = (number("minReplicas"), number("maxReplicas"));
    if least < 1 {
        causes.invalid("spec.minReplicas", &least.into(), "must be greater than or equal to 1");
    }
    if most < 1 {
        causes.required("spec.maxReplicas", "must be set and greater than 0");
    }
    if most < least {
        causes.invalid("spec.maxReplicas", &most.into(), "must be greater than or equal to `minReplicas`");
    }
    let target = &spec["scaleTargetRef"];
    causes.need("spec.scaleTargetRef.kind".into(), text(target, "kind"));
    causes.need("spec.scaleTargetRef.name".into(), text(target, "name"));
    if !text(target, "apiVersion").contains('/') {
        causes.invalid("spec.scaleTargetRef.apiVersion", &text(target, "apiVersion").into(), "apiVersion must specify API group");
    }
    let unscaled = ["Object", "External"];
    let to_zero = spec
        .get("metrics")
        .and_then(Value::as_array)
        .is_some_and(|metrics| metrics.iter().any(|one| unscaled.contains(&text(one, "type"))));
    if least == 0 && !to_zero {
        causes.forbidden("spec.metrics", "must specify at least one Object or External metric to support scaling to zero replicas");
    }
}

fn budget(spec: &Value, causes: &mut Causes) {
    if let (Some(least), Some(most)) = (spec.get("minAvailable"), spec.get("maxUnavailable")) {
        let selector = spec.get("selector").unwrap_or(&Value::Null);
        let value =
            format!(r#"{{"MinAvailable":{least},"Selector":{selector},"MaxUnavailable":{most},"UnhealthyPodEvictionPolicy":null}}"#);
        causes.add("spec", "FieldValueInvalid", format!("Invalid value: {value}: minAvailable and maxUnavailable cannot be both set"));
    }
}

fn lease(spec: &Value, causes: &mut Causes) {
    if let Some(duration) = spec.get("leaseDurationSeconds").filter(|duration| duration.as_i64().is_some_and(|seconds| seconds <= 0)) {
        causes.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0");
    }
    causes.non_negative("spec", spec, &["leaseTransitions"]);
}

fn ingress(spec: &Value, causes: &mut Causes) {
    if is_empty(spec, "rules") && spec.get("defaultBackend").is_none() {
        causes.invalid("spec", &Value::Null, "either `defaultBackend` or `rules` must be specified");
    }
    for (path, rule) in items(spec, "spec", "rules") {
        let Some(http) = rule.get("http") else { continue };
        for (path, found) in items(http, &format!("{path}.http"), "paths") {
            match text(found, "pathType") {
                "" => causes.required(format!("{path}.pathType"), "pathType must be specified"),
                "Exact" | "Prefix" if !text(found, "path").starts_with('/') => {
                    causes.invalid(format!("{path}.path"), &text(found, "path").into(), "must be an absolute path");
                }
                _ => {}
            }
        }
    }
}

/// A role: every rule says verbs on resources of groups, or on paths where it is not in a namespace.
fn role(object: &Value, namespaced: bool, causes: &mut Causes) {
    for (path, rule) in items(object, "", "rules") {
        if is_empty(rule, "verbs") {
            causes.required(format!("{path}.verbs"), "verbs must contain at least one value");
        }
        if !is_empty(rule, "nonResourceURLs") {
            if namespaced {
                causes.invalid(
                    format!("{path}.nonResourceURLs"),
                    &rule["nonResourceURLs"],
                    "namespaced rules cannot apply to non-resource URLs",
                );
            }
            continue;
        }
        if is_empty(rule, "apiGroups") {
            causes.required(format!("{path}.apiGroups"), "resource rules must supply at least one api group");
        }
        if is_empty(rule, "resources") {
            causes.required(format!("{path}.resources"), "resource rules must supply at least one resource");
        }
    }
}

/// A binding: to one of these kinds of roles, for good.
fn binding(live: Option<&Value>, object: &Value, roles: &[&str], causes: &mut Causes) {
    let role = &object["roleRef"];
    if let Some(live) = live
        && live["roleRef"] != *role
    {
        let value = json!({"APIGroup": role["apiGroup"], "Kind": role["kind"], "Name": role["name"]});
        causes.invalid("roleRef", &value, "cannot change roleRef");
    }
    causes.one_of("roleRef.kind".into(), text(role, "kind"), roles);
    causes.need("roleRef.name".into(), text(role, "name"));
    for (path, subject) in items(object, "", "subjects") {
        causes.need(format!("{path}.name"), text(subject, "name"));
        causes.one_of(format!("{path}.kind"), text(subject, "kind"), &["ServiceAccount", "User", "Group"]);
    }
}
