//! `CustomResourceDefinition`s: names and status that the server fills in, and the resources that are served because of them.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ask::Ask;
use super::delete::Policy;
use super::fields::{self, Cause};
use super::kinds::{Resource, qualified};
use super::object::{Object, finalizers, set, set_metadata};
use super::state::{Author, State, time};
use super::write::text;

pub(super) const RESOURCE: &str = "customresourcedefinitions.apiextensions.k8s.io";
pub(super) const RESOURCE_PLURAL: &str = "customresourcedefinitions";
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Fills in what a definition may leave out, and the status of a new one.
pub(super) fn prepare(live: Option<&Value>, object: &mut Value) {
    if live.is_none() {
        let stored: Vec<Value> = storage_version(object).into_iter().collect();
        object["status"] = json!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": null, "storedVersions": stored});
    }
}

/// Every version has a schema.
pub(super) fn schema_causes(ask: &Ask<'_>, definition: &Value) -> Vec<Cause> {
    if ask.resource.qualified() != RESOURCE {
        return Vec::new();
    }
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten().enumerate();
    let without = versions.filter(|(_, version)| !version["schema"]["openAPIV3Schema"].is_object());
    let missing = |index: usize| Cause {
        field: format!("spec.versions[{index}].schema.openAPIV3Schema"),
        reason: "FieldValueRequired",
        message: "Required value".into(),
    };
    without.map(|(index, _)| missing(index)).collect()
}

fn storage_version(definition: &Value) -> Option<Value> {
    let versions = definition["spec"]["versions"].as_array()?;
    versions.iter().find(|version| version["storage"] == true).map(|version| version["name"].clone())
}

/// Marks a definition whose deletion begins: its objects have to go first.
pub(super) fn terminate(definition: &mut Value, now: Timestamp) {
    if !finalizers(definition).any(|name| name == CLEANUP) {
        let mut list: Vec<&str> = finalizers(definition).collect();
        list.push(CLEANUP);
        let list = json!(list);
        set_metadata(definition, "finalizers", list);
    }
    let message = "CustomResource deletion is in progress";
    set_condition(definition, "Terminating", "True", "InstanceDeletionInProgress", message, now);
}

fn set_condition(definition: &mut Value, kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) {
    let mut conditions: Vec<Value> = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
    if conditions.iter().any(|condition| condition["type"] == kind && condition["status"] == status) {
        return;
    }
    conditions.retain(|condition| condition["type"] != kind);
    conditions.push(json!({"lastTransitionTime": time(now), "message": message, "reason": reason, "status": status, "type": kind}));
    set(definition, "status", "conditions", json!(conditions));
}

/// The resource that a definition is about, whether it is served or not.
fn resource_of(definition: &Value) -> String {
    qualified(text(&definition["spec"]["group"]), text(&definition["spec"]["names"]["plural"]))
}

/// The definition with its names accepted and its stored versions noted.
fn accepted(definition: &Value) -> Value {
    let mut accepted = definition.clone();
    set(&mut accepted, "status", "acceptedNames", definition["spec"]["names"].clone());
    let mut stored: Vec<Value> = definition["status"]["storedVersions"].as_array().cloned().unwrap_or_default();
    if let Some(version) = storage_version(definition).filter(|version| !stored.contains(version)) {
        stored.push(version);
        set(&mut accepted, "status", "storedVersions", json!(stored));
    }
    accepted
}

impl State {
    /// After a definition was written: accepts its names, and serves it.
    pub(super) fn serve(&mut self, definition: &Arc<Object>, now: Timestamp) {
        if definition.is_deleting() {
            return;
        }
        let value = definition.value();
        let accepted = accepted(&value);
        if accepted != *value {
            // The store comes back here with the accepted definition.
            self.establish(definition, accepted, now);
            return;
        }
        if let Some(resource) = Resource::custom(&value) {
            self.store.open(&resource.qualified());
            self.kinds.insert(resource);
        }
    }

    fn establish(&mut self, definition: &Arc<Object>, mut accepted: Value, now: Timestamp) {
        set_condition(&mut accepted, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now);
        set_condition(&mut accepted, "Established", "True", "InitialNamesAccepted", "the initial names have been accepted", now);
        let Some(resource) = self.kinds.get(RESOURCE).map(Arc::clone) else { return };
        let version = &resource.versions[resource.storage];
        let at = time(now);
        let writer = fields::Writer { manager: "kube-apiserver", api_version: "apiextensions.k8s.io/v1", subresource: "status", time: &at };
        let accepted = fields::update(resource.typing(version), Some(&definition.value()), accepted, &writer);
        self.put(RESOURCE, accepted, Author { user: "system:apiserver", manager: "kube-apiserver", now });
    }

    /// After a definition is gone: its resource is no longer served.
    pub(super) fn stop_serving(&mut self, definition: &Object) {
        let name = resource_of(&definition.value());
        self.kinds.remove(&name);
        self.store.close(&name);
    }

    /// Deletes the objects of a definition that is being deleted, and the definition once they are gone.
    pub(super) fn clean_up(&mut self, definition: &Arc<Object>, author: Author<'_>) {
        let name = resource_of(&definition.value());
        if let Some(resource) = self.kinds.get(&name).map(Arc::clone) {
            let objects: Vec<Arc<Object>> = self
                .store
                .collection(&name)
                .map_or_else(Vec::new, |collection| collection.with_prefix("").map(|(_, object)| Arc::clone(object)).collect());
            for object in objects.iter().filter(|object| !object.is_deleting()) {
                self.delete_with(&resource, object, Policy::Background, author);
            }
        }
        self.finish_definition(&name, author);
    }

    /// Takes a definition away that is being deleted, once its last object is gone.
    pub(super) fn finish_definition(&mut self, name: &str, author: Author<'_>) {
        let going = self.store.get(RESOURCE, name).filter(|definition| definition.is_deleting()).map(Arc::clone);
        let has_objects = self.store.collection(name).is_some_and(|collection| !collection.is_empty());
        let (Some(definition), false) = (going, has_objects) else { return };
        if let Some(resource) = self.kinds.get(RESOURCE).map(Arc::clone)
            && finalizers(&definition.value()).any(|finalizer| finalizer == CLEANUP)
        {
            self.drop_finalizer(&resource, &definition, CLEANUP, author);
        }
    }
}
