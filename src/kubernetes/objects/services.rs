//! The three Services of a canary with pods of its own (rollout-contract §3.5).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Subject, TOOLKIT};
use crate::domain::api::Port;
use crate::domain::canary::{CanarySpec, CustomMetadata, UnmanagedMetadata};
use crate::engine::effect::ServiceRole;
use crate::kubernetes::json::{child, integer, items, strings, text};

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
pub fn service(of: &Subject<'_>, target: &Value, role: ServiceRole) -> Result<Value, String> {
    let spec = of.spec;
    let (label, value) = of.selector(target)?;
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
    let mut meta = of.metadata(&name);
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
pub fn service_differs(live: &Value, wanted: &Value, unmanaged: Option<&UnmanagedMetadata>) -> bool {
    let port_set = |object: &Value| -> BTreeSet<String> {
        items(object, "/spec/ports")
            .map(|p| {
                let protocol = p.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
                format!("{} {} {protocol} {} {}", p["name"], p["port"], p["targetPort"], p.get("appProtocol").unwrap_or(&Value::Null))
            })
            .collect()
    };
    let owned = is_owned_by(live, text(wanted, "/metadata/ownerReferences/0/uid"));
    let lacks = |pointer: &str, alone: fn(&UnmanagedMetadata) -> &Vec<String>| {
        let theirs = unmanaged.map(alone);
        let ours = |key: &String| theirs.is_none_or(|theirs| !theirs.contains(key));
        strings(wanted, pointer).iter().any(|(k, v)| ours(k) && strings(live, pointer).get(k) != Some(v))
    };
    live.pointer("/spec/selector") != wanted.pointer("/spec/selector")
        || port_set(live) != port_set(wanted)
        || (owned && (lacks("/metadata/labels", |u| &u.labels) || lacks("/metadata/annotations", |u| &u.annotations)))
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
    let annotations = child(child(&mut out, "metadata"), "annotations");
    for (key, value) in TOOLKIT {
        annotations[key] = json!(value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::objects::testing::{subject, target};

    #[test]
    fn services_select_by_one_label_and_discover_ports() {
        let s = subject(|of| service(of, &target(), ServiceRole::Apex)).expect("a service");
        assert_eq!(s["spec"]["selector"], json!({"app": "web-primary"}));
        let names: Vec<_> = items(&s, "/spec/ports").map(|p| text(p, "/name").to_owned()).collect();
        assert_eq!(names, ["http", "grpc", "tcp-web-2"]);
        let c = subject(|of| service(of, &target(), ServiceRole::Canary)).expect("a service");
        assert_eq!((text(&c, "/metadata/name"), &c["spec"]["selector"]), ("web-canary", &json!({"app": "web"})));
        assert!(!service_differs(&s, &s, None) && service_differs(&c, &s, None));
    }

    #[test]
    fn a_service_of_others_keeps_what_is_theirs() {
        let wanted = subject(|of| service(of, &target(), ServiceRole::Apex)).expect("a service");
        let live = json!({"metadata": {"name": "web", "labels": {"team": "a"}}, "spec": {"type": "NodePort", "externalTrafficPolicy": "Local",
            "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "nodePort": 30080}]}});
        let adopted = adopt_service(&live, &wanted);
        assert_eq!(adopted["spec"]["ports"][0]["nodePort"], json!(30080));
        assert_eq!((&adopted["spec"]["type"], &adopted["metadata"]["labels"]["team"]), (&json!("NodePort"), &json!("a")));
        assert!(!service_differs(&adopted, &wanted, None) && adopted["metadata"].get("ownerReferences").is_none());
    }

    #[test]
    fn a_target_without_a_known_label_is_refused_in_flaggers_words() {
        let mut target = target();
        target["spec"]["selector"]["matchLabels"] = json!({"tier": "front"});
        let error = subject(|of| service(of, &target, ServiceRole::Apex)).expect_err("no label");
        assert!(error.starts_with("deployment web.test spec.selector.matchLabels must contain one of"), "{error}");
    }
}
