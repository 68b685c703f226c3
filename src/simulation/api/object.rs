//! One stored version of one object: what is looked at often, the JSON, and the decoded value while somebody wants it.
//!
//! A decoded Deployment weighs ten times its JSON. So objects that nobody has touched for a while keep their JSON alone,
//! and so does the past. The JSON is kept without `apiVersion` and `kind`, because they differ between the versions of a
//! custom resource, are left out of list items, and name another kind where a client wants metadata alone.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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

/// The decoded value of an object.
#[derive(Debug)]
enum Decoded {
    /// At hand until the object is packed.
    AtHand(Arc<Value>),
    /// At hand for as long as the object is stored: its readers compare pointers.
    Pinned(Arc<Value>),
    /// To be decoded when it is wanted.
    Packed,
}

/// An object as it was stored under one resourceVersion. Never changes.
#[derive(Debug)]
pub(super) struct Object {
    head: Head,
    decoded: Mutex<Decoded>,
    /// Decoded for those who do not ask who owns what, while the object is stored.
    lean: Mutex<Option<Arc<Value>>>,
    whole: OnceLock<Bytes>,
    metadata: OnceLock<Bytes>,
}

/// What is asked of objects that are not decoded.
#[derive(Debug)]
struct Head {
    api_version: Box<str>,
    kind: Box<str>,
    namespace: Box<str>,
    name: Box<str>,
    uid: Box<str>,
    resource_version: Box<str>,
    labels: Box<[(Box<str>, Box<str>)]>,
    is_deleting: bool,
    has_owners: bool,
}

impl Head {
    fn of(value: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().into();
        let metadata = &value["metadata"];
        let labels = metadata["labels"].as_object().into_iter().flatten();
        Self {
            api_version: text(&value["apiVersion"]),
            kind: text(&value["kind"]),
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            uid: text(&metadata["uid"]),
            resource_version: text(&metadata["resourceVersion"]),
            labels: labels.map(|(key, value)| (key.as_str().into(), text(value))).collect(),
            is_deleting: metadata["deletionTimestamp"].is_string(),
            has_owners: metadata["ownerReferences"].as_array().is_some_and(|owners| !owners.is_empty()),
        }
    }
}

impl Object {
    pub(super) fn new(value: Value) -> Self {
        Self {
            head: Head::of(&value),
            decoded: Mutex::new(Decoded::AtHand(Arc::new(value))),
            lean: Mutex::new(None),
            whole: OnceLock::new(),
            metadata: OnceLock::new(),
        }
    }

    /// The decoded object.
    pub(super) fn value(&self) -> Arc<Value> {
        match &*self.decoded.lock().unwrap_or_else(PoisonError::into_inner) {
            Decoded::AtHand(value) | Decoded::Pinned(value) => Arc::clone(value),
            Decoded::Packed => Arc::new(self.decode()),
        }
    }

    /// The decoded object, which from now on is the same for everybody.
    pub(super) fn pinned(&self) -> Arc<Value> {
        let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        let value = match &*decoded {
            Decoded::Pinned(value) => return Arc::clone(value),
            Decoded::AtHand(value) => Arc::clone(value),
            Decoded::Packed => Arc::new(self.decode()),
        };
        *decoded = Decoded::Pinned(Arc::clone(&value));
        value
    }

    /// The object without `managedFields`, which weigh more than all the rest; the same for everybody.
    pub(super) fn lean(&self) -> Arc<Value> {
        let mut lean = self.lean.lock().unwrap_or_else(PoisonError::into_inner);
        let value = lean.get_or_insert_with(|| {
            let mut value = self.value().as_ref().clone();
            set_metadata(&mut value, "managedFields", Value::Null);
            Arc::new(value)
        });
        Arc::clone(value)
    }

    /// Keeps the JSON alone. What is pinned stays, but for `past` objects, which nobody reads directly any more.
    pub(super) fn pack(&self, past: bool) {
        if past {
            *self.lean.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        match &*decoded {
            Decoded::AtHand(value) => drop(self.whole.get_or_init(|| encode(&Untyped(value)))),
            Decoded::Pinned(value) if past => drop(self.whole.get_or_init(|| encode(&Untyped(value)))),
            Decoded::Pinned(_) | Decoded::Packed => return,
        }
        *decoded = Decoded::Packed;
    }

    fn decode(&self) -> Value {
        let json = self.whole.get().map_or(&[] as &[u8], |json| json.as_ref());
        // The JSON was written here, from a value.
        let mut value: Value = serde_json::from_slice(json).unwrap_or_default();
        value["apiVersion"] = Value::from(&*self.head.api_version);
        value["kind"] = Value::from(&*self.head.kind);
        value
    }

    /// The JSON object without its type: `{"metadata":{…},…}`.
    pub(super) fn untyped(&self, representation: Representation) -> &Bytes {
        match representation {
            Representation::Whole => self.whole.get_or_init(|| encode(&Untyped(&self.value()))),
            Representation::Metadata => self.metadata.get_or_init(|| encode(&MetadataOnly(&self.value()))),
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
        &self.head.name
    }

    pub(super) fn namespace(&self) -> &str {
        &self.head.namespace
    }

    pub(super) fn kind(&self) -> &str {
        &self.head.kind
    }

    pub(super) fn uid(&self) -> &str {
        &self.head.uid
    }

    pub(super) fn resource_version(&self) -> &str {
        &self.head.resource_version
    }

    /// Where it stands in its collection.
    pub(super) fn key(&self) -> String {
        super::store::key(&self.head.namespace, &self.head.name)
    }

    /// The value of one label.
    pub(super) fn label(&self, key: &str) -> Option<&str> {
        self.head.labels.iter().find(|(one, _)| &**one == key).map(|(_, value)| &**value)
    }

    /// True once somebody has deleted it, while finalizers or its grace keep it.
    pub(super) fn is_deleting(&self) -> bool {
        self.head.is_deleting
    }

    /// True where it has `ownerReferences`.
    pub(super) fn has_owners(&self) -> bool {
        self.head.has_owners
    }
}

/// The finalizers of any object.
pub(super) fn finalizers(value: &Value) -> impl Iterator<Item = &str> {
    value["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The owners of any object.
pub(super) fn owners(value: &Value) -> impl Iterator<Item = &Value> {
    value["metadata"]["ownerReferences"].as_array().into_iter().flatten()
}

/// Sets one field of the metadata, or takes it away where `value` is null.
pub(super) fn set_metadata(object: &mut Value, key: &str, value: Value) {
    set(object, "metadata", key, value);
}

/// Sets one field of a section such as `spec`, which is made if need be, or takes it away where `value` is null.
pub fn set(object: &mut Value, section: &str, key: &str, value: Value) {
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
    let mut json = serde_json::to_vec(value).unwrap_or_default();
    json.shrink_to_fit();
    json.into()
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
        let rest: serde_json::Map<String, Value> =
            annotations.iter().filter(|(key, _)| *key != TEMPLATE_GENERATION).map(|(key, value)| (key.clone(), value.clone())).collect();
        metadata["annotations"] = Value::Object(rest);
        if let Some(fields) =
            metadata.as_object_mut().filter(|fields| fields["annotations"].as_object().is_some_and(serde_json::Map::is_empty))
        {
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
