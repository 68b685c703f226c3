//! Checks of `metadata`, the same for every kind but for what a name may look like.

use serde_json::Value;

use super::{Causes, items, names, text};

/// Kinds whose finalizers are not held to have a domain; custom kinds are written as "".
const FREE_FINALIZERS: [&str; 3] = ["", "Lease", "CustomResourceDefinition"];
/// Finalizers that need no domain.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

pub fn check(kind: &str, object: &Value, causes: &mut Causes) {
    let Some(meta) = object.get("metadata") else { return causes.required("metadata.name", "name or generateName is required") };
    check_name(kind, text(meta, "name"), meta, causes);
    labels("metadata.labels", meta.get("labels"), causes);
    for key in meta.get("annotations").and_then(Value::as_object).into_iter().flat_map(serde_json::Map::keys) {
        for why in names::qualified(&key.to_lowercase()) {
            causes.invalid("metadata.annotations", &key.as_str().into(), &why);
        }
    }
    check_owners(meta, causes);
    for (path, finalizer) in items(meta, "metadata", "finalizers") {
        let name = finalizer.as_str().unwrap_or_default();
        let broken = names::qualified(name);
        if broken.is_empty() && !FREE_FINALIZERS.contains(&kind) && !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
            causes.invalid(path, finalizer, "name is neither a standard finalizer name nor is it fully qualified");
        } else {
            causes.syntax(&path, name, broken);
        }
    }
}

fn check_name(kind: &str, name: &str, meta: &Value, causes: &mut Causes) {
    if name.is_empty() {
        if text(meta, "generateName").is_empty() {
            causes.required("metadata.name", "name or generateName is required");
        }
        return;
    }
    let broken = match kind {
        "Namespace" | "Service" | "StatefulSet" => names::label(name),
        "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => names::path_segment(name),
        _ => names::subdomain(name),
    };
    causes.syntax("metadata.name", name, broken);
}

fn check_owners(meta: &Value, causes: &mut Causes) {
    for (_, owner) in items(meta, "metadata", "ownerReferences") {
        if text(owner, "apiVersion").is_empty() {
            causes.invalid("metadata.ownerReferences.apiVersion", &"".into(), "version must not be empty");
        }
        for name in ["kind", "name", "uid"] {
            if text(owner, name).is_empty() {
                causes.invalid(format!("metadata.ownerReferences.{name}"), &"".into(), "must not be empty");
            }
        }
    }
}

/// Labels, or the labels of a selector.
pub fn labels(path: &str, labels: Option<&Value>, causes: &mut Causes) {
    for (key, value) in labels.and_then(Value::as_object).into_iter().flatten() {
        causes.syntax(path, key, names::qualified(key));
        let value = value.as_str().unwrap_or_default();
        causes.syntax(path, value, names::label_value(value));
    }
}
