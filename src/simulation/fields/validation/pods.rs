//! Checks of pod specs, in pods and in templates.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Causes, compare_quantities, is_empty, items, names, text};

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// Checks the pod spec at `path`.
pub fn check(spec: &Value, path: &str, causes: &mut Causes) {
    let volumes = check_volumes(spec, path, causes);
    let mut taken = BTreeSet::new();
    for (path, container) in items(spec, path, "initContainers") {
        check_container(container, &path, &volumes, &mut taken, causes);
    }
    if is_empty(spec, "containers") {
        causes.required(format!("{path}.containers"), "");
    }
    for (path, container) in items(spec, path, "containers") {
        check_container(container, &path, &volumes, &mut taken, causes);
    }
    causes.non_negative(path, spec, &["terminationGracePeriodSeconds"]);
}

/// Checks the volumes; returns their names.
fn check_volumes<'v>(spec: &'v Value, path: &str, causes: &mut Causes) -> BTreeSet<&'v str> {
    let mut taken = BTreeSet::new();
    for (path, volume) in items(spec, path, "volumes") {
        check_name(volume, &path, &mut taken, causes);
        for (kind, field) in [("configMap", "name"), ("secret", "secretName"), ("persistentVolumeClaim", "claimName")] {
            if let Some(source) = volume.get(kind) {
                causes.need(format!("{path}.{kind}.{field}"), text(source, field));
            }
        }
    }
    taken
}

/// A name that must be there, be a label, and be taken by nobody else.
fn check_name<'v>(item: &'v Value, path: &str, taken: &mut BTreeSet<&'v str>, causes: &mut Causes) {
    let (name, path) = (text(item, "name"), format!("{path}.name"));
    if !causes.need(path.clone(), name) {
        return;
    }
    let broken = names::label(name);
    if !broken.is_empty() {
        causes.syntax(&path, name, broken);
    } else if !taken.insert(name) {
        causes.duplicate(path, &name.into());
    }
}

fn check_container<'v>(container: &'v Value, path: &str, volumes: &BTreeSet<&str>, taken: &mut BTreeSet<&'v str>, causes: &mut Causes) {
    check_name(container, path, taken, causes);
    causes.need(format!("{path}.image"), text(container, "image"));
    check_ports(container, path, causes);
    for (path, variable) in items(container, path, "env") {
        let name = text(variable, "name");
        if causes.need(format!("{path}.name"), name) {
            causes.syntax(&format!("{path}.name"), name, names::environment(name));
        }
        if variable.get("valueFrom").is_some() && !text(variable, "value").is_empty() {
            causes.invalid(format!("{path}.valueFrom"), &"".into(), "may not be specified when `value` is not empty");
        }
    }
    check_mounts(container, path, volumes, causes);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(found) = container.get(probe) {
            check_probe(found, &format!("{path}.{probe}"), causes);
        }
    }
    causes.one_of(format!("{path}.imagePullPolicy"), text(container, "imagePullPolicy"), &["Always", "IfNotPresent", "Never"]);
    check_resources(container, path, causes);
}

fn check_ports(container: &Value, path: &str, causes: &mut Causes) {
    let mut taken = BTreeSet::new();
    for (path, port) in items(container, path, "ports") {
        let name = text(port, "name");
        if !name.is_empty() {
            let broken = names::port(name);
            if !broken.is_empty() {
                causes.syntax(&format!("{path}.name"), name, broken);
            } else if !taken.insert(name) {
                causes.duplicate(format!("{path}.name"), &name.into());
            }
        }
        let number = &port["containerPort"];
        if super::super::defaults::is_zero(number) {
            causes.required(format!("{path}.containerPort"), "");
        } else {
            causes.port(format!("{path}.containerPort"), number);
        }
        if let Some(host) = port.get("hostPort") {
            causes.port(format!("{path}.hostPort"), host);
        }
        causes.one_of(format!("{path}.protocol"), text(port, "protocol"), &PROTOCOLS);
    }
}

fn check_mounts(container: &Value, path: &str, volumes: &BTreeSet<&str>, causes: &mut Causes) {
    let mut taken = BTreeSet::new();
    for (path, mount) in items(container, path, "volumeMounts") {
        let (name, place) = (text(mount, "name"), text(mount, "mountPath"));
        causes.need(format!("{path}.name"), name);
        if !volumes.contains(name) {
            causes.add(format!("{path}.name"), "FieldValueNotFound", format!("Not found: {name:?}"));
        }
        if causes.need(format!("{path}.mountPath"), place) && !taken.insert(place) {
            causes.invalid(format!("{path}.mountPath"), &place.into(), "must be unique");
        }
    }
}

fn check_probe(probe: &Value, path: &str, causes: &mut Causes) {
    let handlers = ["exec", "httpGet", "tcpSocket", "grpc"];
    if !handlers.iter().any(|handler| probe.get(*handler).is_some()) {
        causes.required(path, "must specify a handler type");
    }
    for handler in ["httpGet", "tcpSocket"] {
        if let Some(port) = probe.get(handler).and_then(|action| action.get("port")) {
            port_or_name(port, format!("{path}.{handler}.port"), causes);
        }
    }
    causes.non_negative(path, probe, &["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]);
}

/// A port by its number or its name.
pub fn port_or_name(port: &Value, path: String, causes: &mut Causes) {
    match port.as_str() {
        Some(name) => causes.syntax(&path, name, names::port(name)),
        None => causes.port(path, port),
    }
}

fn check_resources(container: &Value, path: &str, causes: &mut Causes) {
    let resources = &container["resources"];
    for (name, request) in resources.get("requests").and_then(Value::as_object).into_iter().flatten() {
        if let Some(limit) = resources.get("limits").and_then(|limits| limits.get(name))
            && compare_quantities(request, limit).is_some_and(std::cmp::Ordering::is_gt)
        {
            let limit = limit.as_str().unwrap_or_default();
            causes.invalid(
                format!("{path}.resources.requests"),
                request,
                &format!("must be less than or equal to {name} limit of {limit}"),
            );
        }
    }
}
