//! The objects that a canary stands on, as pure functions over JSON (rollout-contract §3).
//!
//! Services, the primary of each kind of target, its copies of ConfigMaps and Secrets, and its scaler. Read `workload.rs`
//! first; a new kind of target is a file like `service_target.rs` and an arm in `observe.rs` and `perform.rs`.

pub mod configs;
pub mod scaler;
pub mod service_target;
pub mod services;
#[cfg(test)]
pub mod testing;
pub mod workload;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::json::{strings, text};
use crate::domain::canary::CanarySpec;
use crate::domain::fleet::Engine;

/// Annotation that makes a promotion roll the primary's pods, and that says which revision a primary is.
pub const STAMP: &str = "flagger-id";
pub use crate::mesh::TOOLKIT;

/// What objects are generated for.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The Canary, whole.
    pub canary: &'a Value,
    pub spec: &'a CanarySpec,
    pub settings: &'a Engine,
}

impl Subject<'_> {
    /// Metadata of a generated object.
    fn metadata(&self, name: &str) -> Value {
        json!({"name": name, "namespace": text(self.canary, "/metadata/namespace"), "ownerReferences": [owner(self.canary)]})
    }

    /// Those of `map` that the settings copy from a target to what is generated for it.
    fn included(&self, map: BTreeMap<String, String>) -> BTreeMap<String, String> {
        map.into_iter().filter(|(key, _)| self.settings.includes(key)).collect()
    }

    /// The label that selects the target's pods, with its value.
    ///
    /// # Errors
    /// Flagger's sentence when the target has none of the settings' selector labels.
    pub fn selector(&self, target: &Value) -> Result<(String, String), String> {
        let labels = strings(target, "/spec/selector/matchLabels");
        let known = &self.settings.selector_labels;
        known.iter().find_map(|key| Some((key.clone(), labels.get(key)?.clone()))).ok_or_else(|| {
            format!(
                "{} {}.{} spec.selector.matchLabels must contain one of {known:?}",
                text(target, "/kind").to_lowercase(),
                text(target, "/metadata/name"),
                text(target, "/metadata/namespace")
            )
        })
    }
}

/// The owner reference of everything that is generated for `canary`.
#[must_use]
pub fn owner(canary: &Value) -> Value {
    json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": text(canary, "/metadata/name"), "uid": text(canary, "/metadata/uid"),
        "controller": true, "blockOwnerDeletion": true})
}

/// Map without what belongs to Flux.
fn without_toolkit(map: BTreeMap<String, String>) -> BTreeMap<String, String> {
    map.into_iter().filter(|(key, _)| !key.contains("toolkit.fluxcd.io")).collect()
}

/// Whether `live` holds all that `wanted` says, whatever else it holds; lists are compared whole. An empty map wants nothing.
#[must_use]
pub fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().all(|(key, value)| {
            let empty = value.as_object().is_some_and(serde_json::Map::is_empty);
            empty || live.get(key).is_some_and(|l| covers(l, value))
        }),
        (Value::Array(live), Value::Array(wanted)) => live.len() == wanted.len() && live.iter().zip(wanted).all(|(l, w)| covers(l, w)),
        _ => live == wanted,
    }
}

fn list_mut<'a>(value: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> {
    value.pointer_mut(pointer).and_then(Value::as_array_mut).into_iter().flatten()
}
