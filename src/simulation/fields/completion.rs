//! What the server adds to an object once it is known who owns what: admission and the registry strategies. No manager
//! owns any of it.

use serde_json::{Map, Value, json};

use super::defaults::{absent, object, text};
use super::{Typing, pods};

/// Where the generation of a daemon set's template stands.
pub const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Completes an object that `update` or `apply` made, before it is stored. Of addresses, it only adds what does not have
/// to be allocated; a job's uid must already be there.
pub fn complete(typing: Typing<'_>, live: Option<&Value>, object: &mut Value) {
    let (Typing::BuiltIn { group, kind }, Some(object)) = (typing, object.as_object_mut()) else { return };
    match (group, kind) {
        ("", "Namespace") if live.is_none() => namespace(object),
        ("", "Service") => service(object),
        ("", "Pod") => pod(live, object),
        ("apps", "DaemonSet") => template_generation(live, object),
        ("batch", "Job") if live.is_none() => job(object),
        _ => {}
    }
}

fn namespace(namespace: &mut Map<String, Value>) {
    if let Some(spec) = object(namespace, "spec") {
        absent(spec, "finalizers", json!(["kubernetes"]));
    }
}

/// A service in a cluster with one family of addresses.
fn service(service: &mut Map<String, Value>) {
    let Some(spec) = object(service, "spec") else { return };
    if text(spec, "type") == "ExternalName" {
        return;
    }
    if text(spec, "clusterIP") == "None" {
        absent(spec, "clusterIPs", json!(["None"]));
    }
    absent(spec, "ipFamilies", json!(["IPv4"]));
    absent(spec, "ipFamilyPolicy", "SingleStack");
}

fn pod(live: Option<&Value>, pod: &mut Map<String, Value>) {
    let Some(spec) = object(pod, "spec") else { return };
    if live.is_none() {
        absent(spec, "priority", 0);
        absent(spec, "preemptionPolicy", "PreemptLowerPriority");
        tolerate(spec);
    }
    let quality = pods::quality_of_service(spec);
    if let Some(status) = object(pod, "status") {
        if live.is_none() {
            absent(status, "phase", "Pending");
        }
        absent(status, "qosClass", quality);
    }
}

/// Pods stay five minutes on a node that is gone.
fn tolerate(spec: &mut Map<String, Value>) {
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    let Some(tolerations) = tolerations.as_array_mut() else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = tolerations.iter().any(|one| {
            let (its, effect) = (one.get("key").and_then(Value::as_str).unwrap_or_default(), one.get("effect").and_then(Value::as_str));
            (its.is_empty() || its == key) && effect.is_none_or(|effect| effect == "NoExecute")
        });
        if !tolerated {
            tolerations.push(json!({"effect": "NoExecute", "key": key, "operator": "Exists", "tolerationSeconds": 300}));
        }
    }
}

/// Counts the templates that a daemon set had.
fn template_generation(live: Option<&Value>, set: &mut Map<String, Value>) {
    let template = |of: &Value| of.get("spec").and_then(|spec| spec.get("template")).cloned();
    let generation = match live {
        None => 1,
        Some(live) => {
            let annotation = live.get("metadata").and_then(|meta| meta.get("annotations")?.get(TEMPLATE_GENERATION)?.as_str());
            let last: u64 = annotation.and_then(|text| text.parse().ok()).unwrap_or_default();
            let same = template(live).as_ref() == set.get("spec").and_then(|spec| spec.get("template"));
            last + u64::from(!same)
        }
    };
    if let Some(annotations) = object(set, "metadata").and_then(|meta| object(meta, "annotations")) {
        annotations.insert(TEMPLATE_GENERATION.into(), generation.to_string().into());
    }
}

/// A job finds its pods by its own uid, unless it says otherwise.
fn job(job: &mut Map<String, Value>) {
    let meta = |name: &str| job.get("metadata").and_then(|meta| meta.get(name)).cloned().unwrap_or_default();
    let (uid, name) = (meta("uid"), meta("name"));
    let Some(spec) = object(job, "spec") else { return };
    if spec.get("manualSelector") == Some(&Value::Bool(true)) {
        return;
    }
    let labels = object(spec, "template").and_then(|template| object(template, "metadata")).and_then(|meta| object(meta, "labels"));
    let Some(labels) = labels else { return };
    for (label, value) in [("controller-uid", &uid), ("job-name", &name)] {
        labels.insert(label.into(), value.clone());
        labels.insert(format!("batch.kubernetes.io/{label}"), value.clone());
    }
    let labels = Value::Object(labels.clone());
    spec.insert("selector".into(), json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}));
    if let Some(meta) = object(job, "metadata") {
        absent(meta, "labels", labels);
    }
}
