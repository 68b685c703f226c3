//! The defaults of built-in kinds (`SetDefaults_*` of Kubernetes), and the shape in which Go prints their objects.

use serde_json::{Map, Value, json};

use super::super::base64::{STANDARD, encode};
use super::types::{Field, Items, Mark, Scalar, Struct, Type, table};
use super::{pods, quantity, resets};

/// Sets what depends on other fields of a struct, whose own fields are already filled.
pub type Hook = fn(&mut Map<String, Value>);

/// Fields that get a value whenever they are absent: struct, field, JSON.
pub const STATIC: &[(&str, &str, &str)] = &[
    ("PodSpec", "dnsPolicy", r#""ClusterFirst""#),
    ("PodSpec", "restartPolicy", r#""Always""#),
    ("PodSpec", "schedulerName", r#""default-scheduler""#),
    ("PodSpec", "securityContext", "{}"),
    ("PodSpec", "terminationGracePeriodSeconds", "30"),
    ("Container", "terminationMessagePath", r#""/dev/termination-log""#),
    ("Container", "terminationMessagePolicy", r#""File""#),
    ("EphemeralContainer", "terminationMessagePath", r#""/dev/termination-log""#),
    ("EphemeralContainer", "terminationMessagePolicy", r#""File""#),
    ("Probe", "timeoutSeconds", "1"),
    ("Probe", "periodSeconds", "10"),
    ("Probe", "successThreshold", "1"),
    ("Probe", "failureThreshold", "3"),
    ("HTTPGetAction", "path", r#""/""#),
    ("HTTPGetAction", "scheme", r#""HTTP""#),
    ("GRPCAction", "service", r#""""#),
    ("ObjectFieldSelector", "apiVersion", r#""v1""#),
    ("SecretVolumeSource", "defaultMode", "420"),
    ("ConfigMapVolumeSource", "defaultMode", "420"),
    ("DownwardAPIVolumeSource", "defaultMode", "420"),
    ("ProjectedVolumeSource", "defaultMode", "420"),
    ("ServiceAccountTokenProjection", "expirationSeconds", "3600"),
    ("HostPathVolumeSource", "type", r#""""#),
    ("PersistentVolumeClaimSpec", "volumeMode", r#""Filesystem""#),
    ("PersistentVolumeClaimStatus", "phase", r#""Pending""#),
    ("NamespaceStatus", "phase", r#""Active""#),
    ("Secret", "type", r#""Opaque""#),
    ("EndpointPort", "protocol", r#""TCP""#),
    ("DiscoveryEndpointPort", "name", r#""""#),
    ("DiscoveryEndpointPort", "protocol", r#""TCP""#),
    ("NetworkPolicyPort", "protocol", r#""TCP""#),
    ("DeploymentSpec", "replicas", "1"),
    ("DeploymentSpec", "revisionHistoryLimit", "10"),
    ("DeploymentSpec", "progressDeadlineSeconds", "600"),
    ("DeploymentStrategy", "type", r#""RollingUpdate""#),
    ("ReplicaSetSpec", "replicas", "1"),
    ("DaemonSetSpec", "revisionHistoryLimit", "10"),
    ("DaemonSetUpdateStrategy", "type", r#""RollingUpdate""#),
    ("StatefulSetSpec", "replicas", "1"),
    ("StatefulSetSpec", "revisionHistoryLimit", "10"),
    ("StatefulSetSpec", "podManagementPolicy", r#""OrderedReady""#),
    ("StatefulSetSpec", "persistentVolumeClaimRetentionPolicy", r#"{"whenDeleted":"Retain","whenScaled":"Retain"}"#),
    ("StatefulSetPersistentVolumeClaimRetentionPolicy", "whenDeleted", r#""Retain""#),
    ("StatefulSetPersistentVolumeClaimRetentionPolicy", "whenScaled", r#""Retain""#),
    ("JobSpec", "completionMode", r#""NonIndexed""#),
    ("JobSpec", "suspend", "false"),
    ("JobSpec", "manualSelector", "false"),
    ("PodFailurePolicyOnPodConditionsPattern", "status", r#""True""#),
    ("HorizontalPodAutoscalerSpec", "minReplicas", "1"),
    ("ServiceSpec", "sessionAffinity", r#""None""#),
    ("ServiceSpec", "type", r#""ClusterIP""#),
    ("RoleRef", "apiGroup", r#""rbac.authorization.k8s.io""#),
    ("CustomResourceDefinitionSpec", "conversion", r#"{"strategy":"None"}"#),
    ("ServiceReference", "port", "443"),
];

/// What a struct has besides `STATIC`.
pub fn hook(name: &str) -> Option<Hook> {
    Some(match name {
        "PodSpec" => pods::spec,
        "Pod" => pods::pod,
        "Container" | "EphemeralContainer" => pods::container,
        "Volume" => pods::volume,
        "ServiceSpec" => service,
        "Namespace" => namespace,
        "Secret" => secret,
        "DeploymentStrategy" => |strategy| rolling(strategy, json!({"maxSurge": "25%", "maxUnavailable": "25%"})),
        "DaemonSetUpdateStrategy" => |strategy| rolling(strategy, json!({"maxSurge": 0, "maxUnavailable": 1})),
        "StatefulSetUpdateStrategy" => stateful_strategy,
        "StatefulSetSpec" => claim_templates,
        "DaemonSet" => daemon_set,
        "Job" => job,
        "JobSpec" => job_spec,
        "HorizontalPodAutoscalerSpec" => autoscaler,
        "NetworkPolicySpec" => policy_types,
        "Subject" => subject,
        "CustomResourceDefinition" => stored_versions,
        "CustomResourceDefinitionNames" => definition_names,
        _ => return None,
    })
}

/// Gives an object of a built-in kind the shape and the defaults that the server gives it.
pub fn fill(group: &str, kind: &str, object: &mut Value) {
    if let (Some(known), Value::Object(object)) = (resets::struct_of(group, kind).and_then(|name| table().named(name)), object) {
        fill_struct(known, object);
    }
}

pub fn fill_struct(known: &Struct, object: &mut Map<String, Value>) {
    object.retain(|name, value| known.field(name).is_some_and(|field| fill_field(field, value)));
    for field in &known.fields {
        if let Some(default) = &field.default
            && object.get(field.name).is_none_or(|value| is_unset(field, value))
        {
            object.insert(field.name.into(), default.clone());
        }
        match field.mark {
            Mark::Zero if !object.contains_key(field.name) => {
                let mut zero = field.kind.zero();
                fill_value(&field.kind, &mut zero);
                object.insert(field.name.into(), zero);
            }
            Mark::Null if !object.contains_key(field.name) => drop(object.insert(field.name.into(), Value::Null)),
            _ => {}
        }
    }
    if let Some(hook) = known.hook {
        hook(object);
    }
}

/// Whether a field that is always there says nothing.
fn is_unset(field: &Field, value: &Value) -> bool {
    matches!(field.mark, Mark::Zero | Mark::Null) && is_zero(value)
}

/// Fills what is given; false where Go leaves the field out.
fn fill_field(field: &Field, value: &mut Value) -> bool {
    if value.is_null() && field.mark == Mark::Zero {
        *value = field.kind.zero();
    }
    fill_value(&field.kind, value);
    match field.mark {
        Mark::OmitEmpty => !is_zero(value),
        Mark::OmitNull => !value.is_null(),
        Mark::Zero | Mark::Null => true,
    }
}

fn fill_value(kind: &Type, value: &mut Value) {
    match (kind, value) {
        (Type::Struct(at, _), Value::Object(object)) => fill_struct(&table().structs[*at], object),
        (Type::Map(item, _), Value::Object(map)) if !matches!(**item, Type::Scalar(Scalar::Text)) => {
            map.values_mut().for_each(|value| fill_value(item, value));
        }
        (Type::Map(..), Value::Object(map)) => map.values_mut().filter(|value| value.is_null()).for_each(|value| *value = "".into()),
        (Type::List(item, items), Value::Array(list)) if matches!(**item, Type::Struct(..)) || *items == Items::Atomic => {
            for value in list {
                fill_value(item, value);
            }
        }
        (Type::Scalar(Scalar::Quantity), value) => quantity::canonicalize(value),
        _ => {}
    }
}

/// Whether a field of this value is left out where Go says `omitempty`.
pub fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// A text; empty when absent.
pub fn text<'o>(object: &'o Map<String, Value>, name: &str) -> &'o str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A field that is an object; made when absent.
pub fn object<'o>(parent: &'o mut Map<String, Value>, name: &str) -> Option<&'o mut Map<String, Value>> {
    let field = parent.entry(name).or_insert(Value::Null);
    if field.is_null() {
        *field = Value::Object(Map::new());
    }
    field.as_object_mut()
}

/// Sets a field that is absent.
pub fn absent(object: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    if !object.contains_key(name) {
        object.insert(name.into(), value.into());
    }
}

/// Completes `rollingUpdate` of a strategy of that type.
fn rolling(strategy: &mut Map<String, Value>, defaults: Value) {
    if text(strategy, "type") != "RollingUpdate" {
        return;
    }
    if let (Some(rolling), Value::Object(defaults)) = (object(strategy, "rollingUpdate"), defaults) {
        for (name, value) in defaults {
            rolling.entry(name).or_insert(value);
        }
    }
}

fn stateful_strategy(strategy: &mut Map<String, Value>) {
    if text(strategy, "type").is_empty() {
        strategy.insert("type".into(), "RollingUpdate".into());
        object(strategy, "rollingUpdate");
    }
    if strategy.contains_key("rollingUpdate") {
        rolling(strategy, json!({"partition": 0}));
    }
}

fn claim_templates(spec: &mut Map<String, Value>) {
    for claim in spec.get_mut("volumeClaimTemplates").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
        absent(claim, "apiVersion", "v1");
        absent(claim, "kind", "PersistentVolumeClaim");
    }
}

/// The generation of a daemon set's template is printed as an annotation.
fn daemon_set(set: &mut Map<String, Value>) {
    if let Some(annotations) = object(set, "metadata").and_then(|meta| object(meta, "annotations")) {
        absent(annotations, super::completion::TEMPLATE_GENERATION, "0");
    }
}

fn service(spec: &mut Map<String, Value>) {
    if text(spec, "sessionAffinity") == "None" {
        spec.remove("sessionAffinityConfig");
    } else if text(spec, "sessionAffinity") == "ClientIP"
        && let Some(client) = object(spec, "sessionAffinityConfig").and_then(|config| object(config, "clientIP"))
    {
        absent(client, "timeoutSeconds", 10800);
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
        if port.get("targetPort").is_none_or(is_zero) {
            let number = port.get("port").cloned().unwrap_or_default();
            port.insert("targetPort".into(), number);
        }
    }
    let kind = text(spec, "type").to_owned();
    let external = spec.get("externalIPs").is_some_and(|ips| !is_zero(ips));
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && external) {
        absent(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        absent(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        absent(spec, "allocateLoadBalancerNodePorts", true);
    }
}

fn namespace(namespace: &mut Map<String, Value>) {
    let Some(meta) = object(namespace, "metadata") else { return };
    let name = text(meta, "name").to_owned();
    if let (false, Some(labels)) = (name.is_empty(), object(meta, "labels")) {
        labels.insert("kubernetes.io/metadata.name".into(), name.into());
    }
}

fn secret(secret: &mut Map<String, Value>) {
    let Some(Value::Object(texts)) = secret.remove("stringData") else { return };
    if let Some(data) = object(secret, "data") {
        data.extend(texts.into_iter().map(|(key, text)| (key, base64(text.as_str().unwrap_or_default()).into())));
    }
}

fn base64(text: &str) -> String {
    encode(text.as_bytes(), STANDARD)
}

fn job(job: &mut Map<String, Value>) {
    let labels = job.get("spec").and_then(|spec| spec.get("template")?.get("metadata")?.get("labels")).cloned();
    if let (Some(labels), Some(meta)) = (labels, object(job, "metadata")) {
        absent(meta, "labels", labels);
    }
}

fn job_spec(spec: &mut Map<String, Value>) {
    if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
        spec.insert("completions".into(), 1.into());
    }
    absent(spec, "parallelism", 1);
    let limit = if spec.contains_key("backoffLimitPerIndex") { i32::MAX } else { 6 };
    absent(spec, "backoffLimit", limit);
    let policy = if spec.contains_key("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    absent(spec, "podReplacementPolicy", policy);
}

fn autoscaler(spec: &mut Map<String, Value>) {
    let cpu = || json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]);
    absent(spec, "metrics", cpu());
    let Some(behavior) = spec.get_mut("behavior").and_then(Value::as_object_mut) else { return };
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    if let Some(up) = object(behavior, "scaleUp") {
        absent(up, "stabilizationWindowSeconds", 0);
        absent(up, "selectPolicy", "Max");
        absent(up, "policies", json!([pods, percent]));
    }
    if let Some(down) = object(behavior, "scaleDown") {
        absent(down, "selectPolicy", "Max");
        absent(down, "policies", json!([percent]));
    }
}

fn policy_types(spec: &mut Map<String, Value>) {
    let both = spec.contains_key("egress");
    absent(spec, "policyTypes", if both { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
}

fn subject(subject: &mut Map<String, Value>) {
    if matches!(text(subject, "kind"), "User" | "Group") {
        absent(subject, "apiGroup", "rbac.authorization.k8s.io");
    }
}

fn definition_names(names: &mut Map<String, Value>) {
    let kind = text(names, "kind").to_owned();
    if !kind.is_empty() {
        absent(names, "singular", kind.to_lowercase());
        absent(names, "listKind", format!("{kind}List"));
    }
}

fn stored_versions(definition: &mut Map<String, Value>) {
    let versions = definition.get("spec").and_then(|spec| spec.get("versions")?.as_array());
    let stored = versions.into_iter().flatten().find(|version| version.get("storage") == Some(&Value::Bool(true)));
    let name = stored.and_then(|version| version.get("name")).cloned();
    if let (Some(name), Some(status)) = (name, object(definition, "status"))
        && status.get("storedVersions").is_none_or(is_zero)
    {
        status.insert("storedVersions".into(), json!([name]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads() {
        assert_eq!(["", "a", "ab", "abc", "geheim"].map(base64), ["", "YQ==", "YWI=", "YWJj", "Z2VoZWlt"]);
    }
}
