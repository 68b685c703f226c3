//! What a live object says about itself: who manages it, whether it wants to be left alone, what may be written.

use k8s_openapi::ByteString;
use kube::api::DynamicObject;
use kube::core::params;
use serde_json::{Map, Value, json};

use crate::domain::text::clean;
use crate::engine::sync::Desired;

const TOOLKIT: &str = "kustomize.toolkit.fluxcd.io";
/// The annotation that makes a bare object ours.
const MARK: &str = "pilothouse.dev/sync";
const HELM: &str = "helm.toolkit.fluxcd.io";

/// Why an object is not to be applied at all, by what git says.
pub(super) fn skip_by_desired(desired: &Value) -> Option<String> {
    if marked(desired, "reconcile", "disabled") {
        return Some(format!("git says {TOOLKIT}/reconcile: disabled"));
    }
    marked(desired, "ssa", "Ignore").then(|| format!("git says {TOOLKIT}/ssa: Ignore"))
}

/// Why a live object is left as it is.
pub(super) fn skip_by_live(desired: &Value, live: &DynamicObject) -> Option<String> {
    if marked(desired, "ssa", "IfNotPresent") {
        return Some(format!("it exists, and git says {TOOLKIT}/ssa: IfNotPresent"));
    }
    let live = meta(live);
    if marked(&live, "reconcile", "disabled") {
        return Some(format!("the live object says {TOOLKIT}/reconcile: disabled"));
    }
    marked(&live, "ssa", "Ignore").then(|| format!("the live object says {TOOLKIT}/ssa: Ignore"))
}

/// Why a live object is not to be deleted.
pub(super) fn keep(live: &DynamicObject) -> Option<String> {
    let live = meta(live);
    [("prune", "disabled"), ("reconcile", "disabled"), ("ssa", "Ignore")]
        .into_iter()
        .find(|(key, value)| marked(&live, key, value))
        .map(|(key, value)| format!("it says {TOOLKIT}/{key}: {value}"))
}

/// Flux's Kustomization or `HelmRelease` that a live object is labelled with.
pub(super) fn foreign_owner(live: &DynamicObject) -> Option<String> {
    let labels = live.metadata.labels.as_ref()?;
    [(TOOLKIT, "Flux's Kustomization"), (HELM, "Flux's HelmRelease")].into_iter().find_map(|(group, kind)| {
        let name = labels.get(&format!("{group}/name"))?;
        let namespace = labels.get(&format!("{group}/namespace")).map_or("", String::as_str);
        Some(clean(&format!("{kind} {namespace}/{name}")))
    })
}

/// Whether `manager` has applied the object.
pub(super) fn managed_by(live: &DynamicObject, manager: &str) -> bool {
    live.metadata.managed_fields.iter().flatten().any(|entry| entry.manager.as_deref() == Some(manager))
}

/// What is sent: the whole object where none is live. Else the fields that the engine owns are left out; one that
/// is still in our name (nobody else has written it since creation) is sent as it is live, because leaving it out
/// would reset it, and the payload is pinned to the version that was read. The second answer says whether it is.
pub(super) fn payload(desired: &Desired, live: Option<&DynamicObject>, manager: &str, namespaced: bool) -> (Value, bool) {
    let mut object = if live.is_some() { desired.stripped() } else { desired.object.clone() };
    let mut pinned = false;
    if let Some(live) = live {
        for pointer in &desired.held {
            if let Some(value) = live.data.pointer(pointer).filter(|_| owns(live, manager, pointer)) {
                put(&mut object, pointer, value.clone());
                pinned = true;
            }
        }
    }
    let bare = is_bare(&object);
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
        if map.get("kind") == Some(&json!("Secret")) {
            encode(map);
        }
    }
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        for field in ["creationTimestamp", "managedFields", "resourceVersion", "uid", "generation", "selfLink"] {
            metadata.remove(field);
        }
        if !namespaced {
            metadata.remove("namespace");
        }
        if bare {
            metadata.insert("annotations".to_owned(), json!({MARK: manager}));
        }
        if let Some(version) = live.filter(|_| pinned).and_then(|live| live.metadata.resource_version.as_ref()) {
            metadata.insert("resourceVersion".to_owned(), json!(version));
        }
    }
    (object, pinned)
}

/// Whether an object says nothing but its name, like many a `ServiceAccount`. The server keeps no managers of such
/// objects, so that nobody could tell later whose they are.
fn is_bare(object: &Value) -> bool {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        _ => false,
    };
    let says = |map: &Value, silent: &[&str]| {
        map.as_object().is_some_and(|map| map.iter().any(|(key, value)| !silent.contains(&key.as_str()) && !empty(value)))
    };
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    !says(object, &["apiVersion", "kind", "metadata", "status"])
        && !["labels", "annotations", "finalizers", "ownerReferences"]
            .iter()
            .any(|key| metadata.get(key).is_some_and(|value| !empty(value)))
}

/// Whether an apply has changed nothing. The version says so, unless the object's controller wrote its status in
/// between: then the contents decide.
pub(super) fn same(before: &DynamicObject, after: &DynamicObject) -> bool {
    if before.metadata.resource_version == after.metadata.resource_version {
        return true;
    }
    let content = |object: &DynamicObject| {
        object.data.as_object().map(|data| data.iter().filter(|(key, _)| *key != "status").map(owned).collect::<Map<_, _>>())
    };
    let (a, b) = (&before.metadata, &after.metadata);
    a.uid == b.uid
        && a.labels == b.labels
        && a.annotations == b.annotations
        && a.finalizers == b.finalizers
        && a.owner_references == b.owner_references
        && content(before) == content(after)
}

fn owned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

/// Moves a Secret's `stringData`, which the server never gives back, into `data`, where changes can be seen.
fn encode(secret: &mut Map<String, Value>) {
    let Some(Value::Object(plain)) = secret.remove("stringData") else { return };
    let data = secret.entry("data").or_insert_with(|| json!({}));
    for (key, value) in plain {
        if let (Some(text), Some(data)) = (value.as_str(), data.as_object_mut()) {
            data.insert(key, json!(ByteString(text.as_bytes().to_vec())));
        }
    }
}

/// Deletion of exactly the object that was read, its dependants after it.
pub(super) fn deletion(live: &DynamicObject) -> params::DeleteParams {
    let exactly = params::Preconditions { uid: live.metadata.uid.clone(), resource_version: live.metadata.resource_version.clone() };
    params::DeleteParams { preconditions: Some(exactly), ..params::DeleteParams::background() }
}

/// Whether `manager` has the field at `pointer` in its name by apply.
fn owns(live: &DynamicObject, manager: &str, pointer: &str) -> bool {
    live.metadata.managed_fields.iter().flatten().any(|entry| {
        let ours = entry.manager.as_deref() == Some(manager) && entry.operation.as_deref() == Some("Apply") && entry.subresource.is_none();
        let fields = entry.fields_v1.as_ref().filter(|_| ours).map(|fields| &fields.0);
        fields.is_some_and(|fields| {
            let mut parts = pointer.split('/').skip(1).map(|part| format!("f:{}", part.replace("~1", "/").replace("~0", "~")));
            parts.try_fold(fields, |here, part| here.get(part)).is_some()
        })
    })
}

fn put(object: &mut Value, pointer: &str, value: Value) {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    if let Some(Value::Object(map)) = object.pointer_mut(parent) {
        map.insert(key.replace("~1", "/").replace("~0", "~"), value);
    }
}

/// Whether an annotation or a label of Flux's toolkit has this value, in any case.
fn marked(object: &Value, key: &str, value: &str) -> bool {
    ["annotations", "labels"].into_iter().any(|map| {
        let found = object.get("metadata").and_then(|metadata| metadata.get(map)).and_then(|map| map.get(format!("{TOOLKIT}/{key}")));
        found.and_then(Value::as_str).is_some_and(|found| found.eq_ignore_ascii_case(value))
    })
}

fn meta(live: &DynamicObject) -> Value {
    json!({"metadata": {"annotations": live.metadata.annotations, "labels": live.metadata.labels}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(object: Value) -> DynamicObject {
        serde_json::from_value(object).expect("an object")
    }

    fn deployment(owner: &str) -> DynamicObject {
        live(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "resourceVersion": "7", "managedFields": [
                {"manager": owner, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": "pilothouse-sync", "operation": "Apply", "fieldsV1": {"f:spec": {"f:paused": {}}}},
            ]},
            "spec": {"replicas": 5},
        }))
    }

    #[test]
    fn a_held_field_is_written_once_and_never_reset() {
        let object = json!({"metadata": {"name": "web", "namespace": "a", "creationTimestamp": null}, "spec": {"replicas": 3, "paused": false}, "status": {}});
        let desired = Desired { object, held: vec!["/spec/replicas"] };
        let sent = |live: Option<&DynamicObject>| {
            let (object, pinned) = payload(&desired, live, "pilothouse-sync", true);
            (object["spec"]["replicas"].clone(), object["metadata"]["resourceVersion"].clone(), pinned)
        };
        assert_eq!(sent(None), (json!(3), Value::Null, false));
        assert_eq!(sent(Some(&deployment("pilothouse-engine"))), (Value::Null, Value::Null, false));
        assert_eq!(sent(Some(&deployment("pilothouse-sync"))), (json!(5), json!("7"), true));
        let (object, _) = payload(&desired, None, "pilothouse-sync", false);
        assert_eq!(object, json!({"metadata": {"name": "web"}, "spec": {"replicas": 3, "paused": false}}));
    }

    #[test]
    fn marks_are_read_in_any_case_from_labels_too() {
        let disabled = json!({"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/reconcile": "Disabled"}}});
        assert!(skip_by_desired(&disabled).is_some());
        assert!(skip_by_desired(&json!({"metadata": {}})).is_none());
        let kept = live(json!({"metadata": {"annotations": {"kustomize.toolkit.fluxcd.io/prune": "Disabled"}}}));
        assert!(keep(&kept).expect("kept").contains("prune"));
        let once = json!({"metadata": {"annotations": {"kustomize.toolkit.fluxcd.io/ssa": "ifnotpresent"}}});
        assert!(skip_by_desired(&once).is_none() && skip_by_live(&once, &deployment("x")).is_some());
    }

    #[test]
    fn the_plain_text_of_a_secret_is_sent_as_the_server_keeps_it() {
        let secret = json!({"kind": "Secret", "metadata": {"name": "a"}, "stringData": {"a": "b"}, "data": {"a": "eA==", "c": "eQ=="}});
        let (sent, _) = payload(&secret.into(), None, "pilothouse-sync", true);
        assert_eq!(sent, json!({"kind": "Secret", "metadata": {"name": "a"}, "data": {"a": "Yg==", "c": "eQ=="}}));
    }

    #[test]
    fn only_a_bare_object_gets_a_mark() {
        let sent = |object: Value| payload(&object.into(), None, "pilothouse-sync", true).0["metadata"]["annotations"].clone();
        let bare = json!({"kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "b", "labels": {}}, "secrets": []});
        assert_eq!(sent(bare), json!({"pilothouse.dev/sync": "pilothouse-sync"}));
        assert_eq!(sent(json!({"kind": "ServiceAccount", "metadata": {"name": "a", "labels": {"x": "y"}}})), Value::Null);
        assert_eq!(sent(json!({"kind": "ServiceAccount", "metadata": {"name": "a"}, "automountServiceAccountToken": false})), Value::Null);
    }

    #[test]
    fn owners_are_named() {
        let labels = json!({"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}});
        assert_eq!(foreign_owner(&live(labels)).as_deref(), Some("Flux's Kustomization flux-system/apps"));
        assert_eq!(foreign_owner(&deployment("x")), None);
        assert!(managed_by(&deployment("x"), "x") && !managed_by(&deployment("x"), "y"));
    }
}
