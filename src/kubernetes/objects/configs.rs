//! ConfigMaps and Secrets that a target refers to, and the primary's copies of them (rollout-contract §3.4).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Subject, list_mut};
use crate::domain::revision::config_checksum;
use crate::kubernetes::json::{annotation, items, strings, text};

/// Annotation that keeps a ConfigMap or Secret out of tracking.
const TRACKING: &str = "flagger.app/config-tracking";

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
pub fn config_copy(of: &Subject<'_>, object: &Value) -> Value {
    let mut copy = json!({
        "apiVersion": "v1", "kind": object.get("kind").cloned().unwrap_or_default(),
        "metadata": of.metadata(&format!("{}-primary", text(object, "/metadata/name")))
    });
    let labels = of.included(strings(object, "/metadata/labels"));
    if !labels.is_empty() {
        copy["metadata"]["labels"] = json!(labels);
    }
    for field in ["data", "binaryData", "type"] {
        if let Some(value) = object.get(field).filter(|v| !v.is_null()) {
            copy[field] = value.clone();
        }
    }
    copy
}

/// Points every reference to a tracked config at the primary's copy.
pub(super) fn rename_configs(template: &mut Value, tracked: &BTreeSet<String>) {
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
