//! One stored version of one object, with its JSON: written once, and shared by all who read or watch it.
//!
//! The JSON is kept without `apiVersion` and `kind`, because they differ between the versions of a custom resource, are
//! left out of list items, and name another kind where a client wants metadata alone.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

/// Which template a DaemonSet is at.
pub(super) const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// What a client wants to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Representation {
    /// The whole object.
    Whole,
    /// `meta.k8s.io/v1` `PartialObjectMetadata`.
    Metadata,
}

/// An object as it was stored under one resourceVersion. Never changes.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) value: Arc<Value>,
    whole: OnceLock<Bytes>,
    metadata: OnceLock<Bytes>,
}

impl Object {
    pub(super) fn new(value: Value) -> Self {
        Self { value: Arc::new(value), whole: OnceLock::new(), metadata: OnceLock::new() }
    }

    /// The JSON object without its type: `{"metadata":{…},…}`.
    pub(super) fn untyped(&self, representation: Representation) -> &Bytes {
        match representation {
            Representation::Whole => self.whole.get_or_init(|| encode(&Untyped(&self.value))),
            Representation::Metadata => self.metadata.get_or_init(|| encode(&MetadataOnly(&self.value))),
        }
    }

    /// Appends the JSON object with this type.
    pub(super) fn write(&self, representation: Representation, api_version: &str, kind: &str, out: &mut Vec<u8>) {
        let rest = self.untyped(representation);
        let (api_version, kind) = match representation {
            Representation::Whole => (api_version, kind),
            Representation::Metadata => ("meta.k8s.io/v1", "PartialObjectMetadata"),
        };
        out.reserve(rest.len() + api_version.len() + kind.len() + 40);
        for part in ["{\"kind\":\"", kind, "\",\"apiVersion\":\"", api_version, "\","] {
            out.extend_from_slice(part.as_bytes());
        }
        out.extend_from_slice(&rest[1..]);
    }

    pub(super) fn name(&self) -> &str {
        self.metadata("name")
    }

    pub(super) fn namespace(&self) -> &str {
        self.metadata("namespace")
    }

    pub(super) fn uid(&self) -> &str {
        self.metadata("uid")
    }

    pub(super) fn resource_version(&self) -> &str {
        self.metadata("resourceVersion")
    }

    fn metadata(&self, key: &str) -> &str {
        self.value["metadata"][key].as_str().unwrap_or_default()
    }

    /// True once somebody has deleted it, while finalizers or its grace keep it.
    pub(super) fn is_deleting(&self) -> bool {
        self.value["metadata"]["deletionTimestamp"].is_string()
    }

    pub(super) fn finalizers(&self) -> impl Iterator<Item = &str> {
        finalizers(&self.value)
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = &Value> {
        self.value["metadata"]["ownerReferences"].as_array().into_iter().flatten()
    }
}

/// The finalizers of any object.
pub(super) fn finalizers(value: &Value) -> impl Iterator<Item = &str> {
    value["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Sets one field of the metadata, or takes it away where `value` is null.
pub(super) fn set_metadata(object: &mut Value, key: &str, value: Value) {
    set(object, "metadata", key, value);
}

/// Sets one field of a section such as `spec`, which is made if need be, or takes it away where `value` is null.
pub(super) fn set(object: &mut Value, section: &str, key: &str, value: Value) {
    if value.is_null() {
        if let Some(section) = object.get_mut(section).and_then(Value::as_object_mut) {
            section.remove(key);
        }
    } else if object.is_object() {
        let section = &mut object[section];
        if !section.is_object() {
            *section = Value::Object(serde_json::Map::new());
        }
        section[key] = value;
    }
}

/// Takes a section such as `status` over from another object, or away where that has none.
pub(super) fn copy_section(from: &Value, into: &mut Value, section: &str) {
    let Some(into) = into.as_object_mut() else { return };
    match from.get(section) {
        Some(value) => {
            into.insert(section.to_owned(), value.clone());
        }
        None => {
            into.remove(section);
        }
    }
}

/// JSON of what cannot fail to be JSON: maps with string keys.
pub(super) fn encode(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

struct Untyped<'a>(&'a Value);

impl Serialize for Untyped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.0.as_object().into_iter().flatten();
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in fields.filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind")) {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// Metadata without the one annotation that a DaemonSet has only as a whole: it is made when the object is converted.
struct Metadata<'a>(&'a Value);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let annotations = self.0["annotations"].as_object().filter(|all| all.contains_key(TEMPLATE_GENERATION));
        let Some(annotations) = annotations else { return self.0.serialize(serializer) };
        let mut metadata = self.0.clone();
        let rest: serde_json::Map<String, Value> = annotations.iter().filter(|(key, _)| *key != TEMPLATE_GENERATION).map(|(key, value)| (key.clone(), value.clone())).collect();
        metadata["annotations"] = Value::Object(rest);
        if let Some(fields) = metadata.as_object_mut().filter(|fields| fields["annotations"].as_object().is_some_and(serde_json::Map::is_empty)) {
            fields.remove("annotations");
        }
        metadata.serialize(serializer)
    }
}

struct MetadataOnly<'a>(&'a Value);

impl Serialize for MetadataOnly<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("metadata", &Metadata(&self.0["metadata"]))?;
        map.end()
    }
}
