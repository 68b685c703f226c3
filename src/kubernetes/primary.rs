//! The objects that a canary stands on, as pure functions over JSON: Services, the primary Deployment,
//! and the copies of ConfigMaps and Secrets that it uses (rollout-contract §3).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::json::{annotation, integer, items, strings, text};
use crate::domain::api::Port;
use crate::domain::canary::{CanarySpec, CustomMetadata};
use crate::domain::revision::{SCALE_TO_ZERO_SELECTOR, config_checksum};
use crate::engine::effect::ServiceRole;

/// Annotation of pods that makes a promotion roll them.
pub const STAMP: &str = "flagger-id";
/// Labels that may select a target's pods, in Flagger's order.
pub const SELECTOR_LABELS: [&str; 3] = ["app", "name", "app.kubernetes.io/name"];
/// Annotation that keeps a ConfigMap or Secret out of tracking.
const TRACKING: &str = "flagger.app/config-tracking";
/// Annotations that keep Flux away from generated objects.
pub const TOOLKIT: [(&str, &str); 2] =
    [("kustomize.toolkit.fluxcd.io/reconcile", "disabled"), ("helm.toolkit.fluxcd.io/driftDetection", "disabled")];

/// A tracked config, by the key that `status.trackedConfigs` has it under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigRef {
    pub secret: bool,
    pub name: String,
    pub optional: bool,
}

impl ConfigRef {
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", if self.secret { "secret" } else { "configmap" }, self.name)
    }

    #[must_use]
    pub const fn kind(&self) -> &'static str {
        if self.secret { "Secret" } else { "ConfigMap" }
    }
}

/// The label that selects the target's pods, with its value.
///
/// # Errors
/// Flagger's sentence when the Deployment has none of [`SELECTOR_LABELS`].
pub fn selector(target: &Value) -> Result<(String, String), String> {
    let labels = strings(target, "/spec/selector/matchLabels");
    SELECTOR_LABELS.iter().find_map(|key| Some(((*key).to_owned(), labels.get(*key)?.clone()))).ok_or_else(|| {
        format!(
            "deployment {}.{} spec.selector.matchLabels must contain one of {SELECTOR_LABELS:?}",
            text(target, "/metadata/name"),
            text(target, "/metadata/namespace")
        )
    })
}

/// The owner reference of everything that is generated for `canary`.
#[must_use]
pub fn owner(canary: &Value) -> Value {
    json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": text(canary, "/metadata/name"), "uid": text(canary, "/metadata/uid"),
        "controller": true, "blockOwnerDeletion": true})
}

fn metadata(canary: &Value, name: &str) -> Value {
    json!({"name": name, "namespace": text(canary, "/metadata/namespace"), "ownerReferences": [owner(canary)]})
}

/// Name of the Service in `role`.
#[must_use]
pub fn service_name(spec: &CanarySpec, role: ServiceRole) -> String {
    let base = spec.service_name();
    match role {
        ServiceRole::Apex => base.to_owned(),
        ServiceRole::Primary => format!("{base}-primary"),
        ServiceRole::Canary => format!("{base}-canary"),
    }
}

/// The Service in `role`, whole.
///
/// # Errors
/// When the target has no label to select its pods by.
pub fn service(canary: &Value, spec: &CanarySpec, target: &Value, role: ServiceRole) -> Result<Value, String> {
    let (label, value) = selector(target)?;
    let name = service_name(spec, role);
    let selected = if role == ServiceRole::Canary { value } else { format!("{value}-primary") };
    let custom = match role {
        ServiceRole::Apex => &spec.service.apex,
        ServiceRole::Primary => &spec.service.primary,
        ServiceRole::Canary => &spec.service.canary,
    };
    let CustomMetadata { mut labels, mut annotations } = custom.clone().unwrap_or_default();
    labels.insert(label.clone(), name.clone());
    annotations.extend(TOOLKIT.map(|(k, v)| (k.to_owned(), v.to_owned())));
    let mut meta = metadata(canary, &name);
    meta["labels"] = json!(labels);
    meta["annotations"] = json!(annotations);
    let mut body = json!({"type": "ClusterIP", "selector": {label: selected}, "ports": ports(spec, target)});
    if spec.service.headless {
        body["clusterIP"] = json!("None");
    }
    Ok(json!({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": body}))
}

/// The service port, then every other container port when discovery is on.
fn ports(spec: &CanarySpec, target: &Value) -> Vec<Value> {
    let s = &spec.service;
    let target_port = match &s.target_port {
        None | Some(Port::Number(0)) => json!(s.port),
        Some(Port::Number(n)) => json!(n),
        Some(Port::Name(name)) => json!(name),
    };
    let mut first = json!({"name": s.port_name.as_deref().filter(|n| !n.is_empty()).unwrap_or("http"), "protocol": "TCP", "port": s.port, "targetPort": target_port});
    if let Some(protocol) = &s.app_protocol {
        first["appProtocol"] = json!(protocol);
    }
    let mut ports = vec![first];
    if !s.port_discovery {
        return ports;
    }
    let mut taken: BTreeSet<i64> = [s.port].into();
    for container in items(target, "/spec/template/spec/containers") {
        let name = text(container, "/name");
        if matches!(name, "istio-proxy" | "envoy") {
            continue;
        }
        for (i, port) in items(container, "/ports").enumerate() {
            let Some(number) = integer(port, "/containerPort") else { continue };
            let port_name = text(port, "/name");
            let is_service_port = json!(number) == target_port || (!port_name.is_empty() && json!(port_name) == target_port);
            if is_service_port || !taken.insert(number) {
                continue;
            }
            let name = if port_name.is_empty() { format!("tcp-{name}-{i}") } else { port_name.to_owned() };
            ports.push(json!({"name": name, "protocol": "TCP", "port": number, "targetPort": number}));
        }
    }
    ports
}

/// Whether the Service in the cluster is what `wanted` says, as far as `wanted` goes.
#[must_use]
pub fn service_differs(live: &Value, wanted: &Value) -> bool {
    let port_set = |object: &Value| -> BTreeSet<String> {
        items(object, "/spec/ports")
            .map(|p| {
                let protocol = p.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
                format!("{} {} {protocol} {} {}", p["name"], p["port"], p["targetPort"], p.get("appProtocol").unwrap_or(&Value::Null))
            })
            .collect()
    };
    let owned = is_owned_by(live, text(wanted, "/metadata/ownerReferences/0/uid"));
    let lacks = |pointer: &str| strings(wanted, pointer).iter().any(|(k, v)| strings(live, pointer).get(k) != Some(v));
    live.pointer("/spec/selector") != wanted.pointer("/spec/selector")
        || port_set(live) != port_set(wanted)
        || (owned && (lacks("/metadata/labels") || lacks("/metadata/annotations")))
}

/// Whether the controller of `live` is the Canary with `uid`.
#[must_use]
pub fn is_owned_by(live: &Value, uid: &str) -> bool {
    items(live, "/metadata/ownerReferences").any(|o| text(o, "/uid") == uid && o.get("controller").and_then(Value::as_bool) == Some(true))
}

/// A Service that is not ours, with ports and selector taken over and everything else left as it is.
#[must_use]
pub fn adopt_service(live: &Value, wanted: &Value) -> Value {
    let mut out = live.clone();
    let node_ports: BTreeMap<String, Value> =
        items(live, "/spec/ports").filter_map(|p| Some((text(p, "/name").to_owned(), p.get("nodePort")?.clone()))).collect();
    let mut ports = wanted.pointer("/spec/ports").cloned().unwrap_or_default();
    for port in ports.as_array_mut().into_iter().flatten() {
        if let Some(node_port) = node_ports.get(text(port, "/name")) {
            port["nodePort"] = node_port.clone();
        }
    }
    out["spec"]["ports"] = ports;
    out["spec"]["selector"] = wanted.pointer("/spec/selector").cloned().unwrap_or_default();
    let annotations = super::json::child(super::json::child(&mut out, "metadata"), "annotations");
    for (key, value) in TOOLKIT {
        annotations[key] = json!(value);
    }
    out
}

/// Every ConfigMap and Secret that the pods refer to (volumes, projected sources, env and envFrom of
/// containers and init containers), each once; mandatory wins over optional.
#[must_use]
pub fn config_refs(target: &Value) -> Vec<ConfigRef> {
    let mut found: BTreeMap<(bool, String), bool> = BTreeMap::new();
    let mut note = |secret: bool, reference: Option<&Value>, field: &str| {
        let Some(reference) = reference else { return };
        let name = text(reference, &format!("/{field}"));
        if !name.is_empty() {
            let optional = reference.get("optional").and_then(Value::as_bool).unwrap_or(false);
            found.entry((secret, name.to_owned())).and_modify(|o| *o &= optional).or_insert(optional);
        }
    };
    for volume in items(target, "/spec/template/spec/volumes") {
        note(false, volume.get("configMap"), "name");
        note(true, volume.get("secret"), "secretName");
        for source in items(volume, "/projected/sources") {
            note(false, source.get("configMap"), "name");
            note(true, source.get("secret"), "name");
        }
    }
    for list in ["/spec/template/spec/containers", "/spec/template/spec/initContainers"] {
        for container in items(target, list) {
            for env in items(container, "/env") {
                note(false, env.pointer("/valueFrom/configMapKeyRef"), "name");
                note(true, env.pointer("/valueFrom/secretKeyRef"), "name");
            }
            for source in items(container, "/envFrom") {
                note(false, source.get("configMapRef"), "name");
                note(true, source.get("secretRef"), "name");
            }
        }
    }
    found.into_iter().map(|((secret, name), optional)| ConfigRef { secret, name, optional }).collect()
}

/// Whether a ConfigMap or Secret takes part in tracking at all.
#[must_use]
pub fn is_tracked(object: &Value, secret: bool) -> bool {
    let kinds = ["Opaque", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/tls"];
    let switched_off = annotation(object, TRACKING).is_some_and(|v| v.starts_with("disable"));
    !switched_off && (!secret || object.get("type").and_then(Value::as_str).is_none_or(|t| kinds.contains(&t)))
}

/// Flagger's checksum of a ConfigMap's or Secret's data.
#[must_use]
pub fn checksum(object: &Value) -> String {
    let data = object.get("data").filter(|d| d.is_object()).map(|_| strings(object, "/data"));
    config_checksum(data.as_ref())
}

/// The primary's copy of a config.
#[must_use]
pub fn config_copy(canary: &Value, object: &Value) -> Value {
    let mut copy = json!({
        "apiVersion": "v1", "kind": object.get("kind").cloned().unwrap_or_default(),
        "metadata": metadata(canary, &format!("{}-primary", text(object, "/metadata/name")))
    });
    for field in ["data", "binaryData", "type"] {
        if let Some(value) = object.get(field).filter(|v| !v.is_null()) {
            copy[field] = value.clone();
        }
    }
    copy
}

/// The primary Deployment: the target's pods under another selector, with their own configs.
///
/// `tracked` are the names of configs that have copies, `live` the primary as it stands.
///
/// # Errors
/// When the target has no label to select its pods by.
pub fn deployment(
    canary: &Value,
    spec: &CanarySpec,
    target: &Value,
    tracked: &BTreeSet<String>,
    live: Option<&Value>,
    id: &str,
) -> Result<Value, String> {
    let (label, value) = selector(target)?;
    let mut meta = metadata(canary, &spec.primary_name());
    meta["labels"] = json!({label.as_str(): format!("{value}-primary")});
    let replicas = match integer(target, "/spec/replicas").unwrap_or(1) {
        0 => live.and_then(|l| integer(l, "/spec/replicas")).unwrap_or(1),
        wanted => wanted,
    };
    let mut body = json!({
        "replicas": replicas,
        "selector": {"matchLabels": {label: format!("{value}-primary")}},
        "template": template(target, &selector(target)?, tracked, id),
    });
    for field in ["progressDeadlineSeconds", "minReadySeconds", "revisionHistoryLimit", "strategy"] {
        if let Some(copied) = target.pointer(&format!("/spec/{field}")) {
            body[field] = copied.clone();
        }
    }
    Ok(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": body}))
}

fn template(target: &Value, (label, value): &(String, String), tracked: &BTreeSet<String>, id: &str) -> Value {
    let mut template = target.pointer("/spec/template").cloned().unwrap_or_default();
    let keep = |map: BTreeMap<String, String>| -> BTreeMap<String, String> {
        map.into_iter().filter(|(k, _)| !k.contains("toolkit.fluxcd.io")).collect()
    };
    let mut labels = keep(strings(&template, "/metadata/labels"));
    labels.insert(label.clone(), format!("{value}-primary"));
    let mut annotations = keep(strings(&template, "/metadata/annotations"));
    annotations.insert(STAMP.into(), id.into());
    template["metadata"] = json!({"labels": labels, "annotations": annotations});
    if let Some(selector) = template.pointer_mut("/spec/nodeSelector").and_then(Value::as_object_mut) {
        selector.remove(SCALE_TO_ZERO_SELECTOR);
    }
    rename_configs(&mut template, tracked);
    spread_apart(&mut template, text(target, "/metadata/name"));
    template
}

/// Points every reference to a tracked config at the primary's copy.
fn rename_configs(template: &mut Value, tracked: &BTreeSet<String>) {
    let rename = |reference: Option<&mut Value>, secret: bool, field: &str| {
        let Some(reference) = reference else { return };
        let name = reference.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        if tracked.contains(&format!("{}/{name}", if secret { "secret" } else { "configmap" })) {
            reference[field] = json!(format!("{name}-primary"));
        }
    };
    for volume in list_mut(template, "/spec/volumes") {
        rename(volume.get_mut("configMap"), false, "name");
        rename(volume.get_mut("secret"), true, "secretName");
        for source in list_mut(volume, "/projected/sources") {
            rename(source.get_mut("configMap"), false, "name");
            rename(source.get_mut("secret"), true, "name");
        }
    }
    for list in ["/spec/containers", "/spec/initContainers"] {
        for container in list_mut(template, list) {
            for env in list_mut(container, "/env") {
                rename(env.pointer_mut("/valueFrom/configMapKeyRef"), false, "name");
                rename(env.pointer_mut("/valueFrom/secretKeyRef"), true, "name");
            }
            for source in list_mut(container, "/envFrom") {
                rename(source.get_mut("configMapRef"), false, "name");
                rename(source.get_mut("secretRef"), true, "name");
            }
        }
    }
}

/// Anti-affinity and spread rules that name the target keep primaries apart from each other, not from canaries.
fn spread_apart(template: &mut Value, name: &str) {
    let adapt = |selector: Option<&mut Value>| {
        let Some(selector) = selector else { return };
        for key in SELECTOR_LABELS {
            if let Some(value) = selector.get_mut("matchLabels").and_then(|l| l.get_mut(key))
                && value.as_str() == Some(name)
            {
                *value = json!(format!("{name}-primary"));
            }
        }
        for expression in list_mut(selector, "/matchExpressions") {
            if SELECTOR_LABELS.contains(&text(expression, "/key"))
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

fn list_mut<'a>(value: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> {
    value.pointer_mut(pointer).and_then(Value::as_array_mut).into_iter().flatten()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn canary() -> Value {
        json!({"metadata": {"name": "web", "namespace": "test", "uid": "c-uid"}})
    }

    fn spec() -> CanarySpec {
        serde_json::from_value(
            json!({"targetRef": {"kind": "Deployment", "name": "web"}, "service": {"port": 9898, "portDiscovery": true}}),
        )
        .expect("a spec")
    }

    fn target() -> Value {
        json!({"metadata": {"name": "web", "namespace": "test"}, "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web", "tier": "front"}},
        "template": {"metadata": {"labels": {"app": "web", "tier": "front"}}, "spec": {
            "initContainers": [{"name": "init", "envFrom": [{"secretRef": {"name": "web-token"}}]}],
            "containers": [{"name": "web", "image": "a", "ports": [{"name": "http", "containerPort": 9898}, {"name": "grpc", "containerPort": 9999}, {"containerPort": 7000}],
                "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "other", "key": "a", "optional": true}}}],
                "envFrom": [{"configMapRef": {"name": "web-config"}}]}],
            "volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "web-config"}}]}}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"labelSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}}]}}}}}})
    }

    #[test]
    fn services_select_by_one_label_and_discover_ports() {
        let s = service(&canary(), &spec(), &target(), ServiceRole::Apex).expect("a service");
        assert_eq!(s["spec"]["selector"], json!({"app": "web-primary"}));
        let names: Vec<_> = items(&s, "/spec/ports").map(|p| text(p, "/name").to_owned()).collect();
        assert_eq!(names, ["http", "grpc", "tcp-web-2"]);
        let c = service(&canary(), &spec(), &target(), ServiceRole::Canary).expect("a service");
        assert_eq!((text(&c, "/metadata/name"), &c["spec"]["selector"]), ("web-canary", &json!({"app": "web"})));
        assert!(!service_differs(&s, &s) && service_differs(&c, &s));
    }

    #[test]
    fn a_service_of_others_keeps_what_is_theirs() {
        let wanted = service(&canary(), &spec(), &target(), ServiceRole::Apex).expect("a service");
        let live = json!({"metadata": {"name": "web", "labels": {"team": "a"}}, "spec": {"type": "NodePort", "externalTrafficPolicy": "Local",
            "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "nodePort": 30080}]}});
        let adopted = adopt_service(&live, &wanted);
        assert_eq!(adopted["spec"]["ports"][0]["nodePort"], json!(30080));
        assert_eq!((&adopted["spec"]["type"], &adopted["metadata"]["labels"]["team"]), (&json!("NodePort"), &json!("a")));
        assert!(!service_differs(&adopted, &wanted) && adopted["metadata"].get("ownerReferences").is_none());
    }

    #[test]
    fn configs_are_found_everywhere_and_renamed_only_when_tracked() {
        let refs: Vec<_> = config_refs(&target()).iter().map(ConfigRef::key).collect();
        assert_eq!(refs, ["configmap/other", "configmap/web-config", "secret/web-token"]);
        let tracked = ["configmap/web-config".to_owned(), "secret/web-token".to_owned()].into();
        let primary = deployment(&canary(), &spec(), &target(), &tracked, None, "id-1").expect("a deployment");
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
    fn a_target_without_a_known_label_is_refused_in_flaggers_words() {
        let mut target = target();
        target["spec"]["selector"]["matchLabels"] = json!({"tier": "front"});
        let error = service(&canary(), &spec(), &target, ServiceRole::Apex).expect_err("no label");
        assert!(error.starts_with("deployment web.test spec.selector.matchLabels must contain one of"), "{error}");
    }
}
