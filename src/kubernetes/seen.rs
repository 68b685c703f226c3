//! Objects as watches bring them: read from the wire into the JSON that is kept, without a tree in between.
//!
//! A decoded Deployment weighs ten times its JSON, and most of what is watched is never looked at.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use kube::Resource;
use kube::api::{ApiResource, DynamicObject, ObjectMeta};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::kinds::Kept;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Says at compile time what is kept of the objects of a watch.
pub(super) trait Form: Clone + Send + 'static {
    const KEPT: Kept;
}

/// [`Kept::Owners`].
#[derive(Clone)]
pub(super) struct Owners;
/// [`Kept::Object`].
#[derive(Clone)]
pub(super) struct Object;
/// [`Kept::Present`].
#[derive(Clone)]
pub(super) struct Present;
/// [`Kept::Metadata`].
#[derive(Clone)]
pub(super) struct Metadata;

impl Form for Owners {
    const KEPT: Kept = Kept::Owners;
}

impl Form for Object {
    const KEPT: Kept = Kept::Object;
}

impl Form for Present {
    const KEPT: Kept = Kept::Present;
}

impl Form for Metadata {
    const KEPT: Kept = Kept::Metadata;
}

/// The JSON of one object, less what is not kept of its kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Json {
    pub bytes: Vec<u8>,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub version: String,
}

impl Json {
    /// From a decoded object.
    pub fn of(value: &Value, kept: Kept) -> Self {
        // JSON that was decoded can be written again.
        Copy::whole(value, kept).unwrap_or_default()
    }
}

/// One object of a watch.
#[derive(Clone)]
pub(super) struct Seen<F> {
    pub json: Json,
    meta: ObjectMeta,
    form: PhantomData<F>,
}

impl<F> fmt::Debug for Seen<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} at {}", self.json.namespace, self.json.name, self.json.version)
    }
}

impl<'de, F: Form> Deserialize<'de> for Seen<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Copy::whole(deserializer, F::KEPT)?;
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        // What the watcher asks for.
        let meta = ObjectMeta { resource_version: some(&json.version), ..ObjectMeta::default() };
        Ok(Self { json, meta, form: PhantomData })
    }
}

impl<F: Form> Resource for Seen<F> {
    type DynamicType = ApiResource;
    type Scope = <DynamicObject as Resource>::Scope;

    fn kind(kind: &ApiResource) -> Cow<'_, str> {
        DynamicObject::kind(kind)
    }

    fn group(kind: &ApiResource) -> Cow<'_, str> {
        DynamicObject::group(kind)
    }

    fn version(kind: &ApiResource) -> Cow<'_, str> {
        DynamicObject::version(kind)
    }

    fn api_version(kind: &ApiResource) -> Cow<'_, str> {
        DynamicObject::api_version(kind)
    }

    fn plural(kind: &ApiResource) -> Cow<'_, str> {
        DynamicObject::plural(kind)
    }

    fn metadata_api() -> bool {
        F::KEPT == Kept::Metadata
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// Where in an object a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Metadata,
    Annotations,
    Below,
}

/// Copies one value to the end of the JSON.
struct Copy<'a> {
    to: &'a mut Json,
    place: Place,
    kept: Kept,
}

impl Copy<'_> {
    fn whole<'de, D: Deserializer<'de>>(from: D, kept: Kept) -> Result<Json, D::Error> {
        let mut json = Json::default();
        Copy { to: &mut json, place: Place::Root, kept }.deserialize(from)?;
        Ok(json)
    }

    fn plain<E: serde::de::Error>(self, value: &(impl serde::Serialize + ?Sized)) -> Result<(), E> {
        serde_json::to_writer(&mut self.to.bytes, value).map_err(E::custom)
    }

    fn is_dropped(&self, key: &str) -> bool {
        match self.place {
            Place::Metadata => key == "managedFields" && self.kept != Kept::Owners,
            Place::Annotations => key == LAST_APPLIED,
            Place::Root | Place::Below => false,
        }
    }

    fn place_of(&self, key: &str) -> Place {
        match (self.place, key) {
            (Place::Root, "metadata") => Place::Metadata,
            (Place::Metadata, "annotations") if matches!(self.kept, Kept::Present | Kept::Metadata) => Place::Annotations,
            _ => Place::Below,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Copy<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Copy<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.plain(&value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.plain(&value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.plain(&value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.plain(&value)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.plain(value)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.plain(&())
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<(), E> {
        self.plain(&())
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.deserialize(from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.to.bytes.push(b'[');
        let start = self.to.bytes.len();
        loop {
            let end = self.to.bytes.len();
            if end > start {
                self.to.bytes.push(b',');
            }
            if items.next_element_seed(Copy { to: self.to, place: Place::Below, kept: self.kept })?.is_none() {
                self.to.bytes.truncate(end);
                self.to.bytes.push(b']');
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        self.to.bytes.push(b'{');
        let start = self.to.bytes.len();
        while let Some(Key(key)) = fields.next_key()? {
            if self.is_dropped(&key) {
                fields.next_value::<IgnoredAny>()?;
                continue;
            }
            if self.to.bytes.len() > start {
                self.to.bytes.push(b',');
            }
            serde_json::to_writer(&mut self.to.bytes, &*key).map_err(A::Error::custom)?;
            self.to.bytes.push(b':');
            let at = self.to.bytes.len();
            let place = self.place_of(&key);
            fields.next_value_seed(Copy { to: self.to, place, kept: self.kept })?;
            if self.place == Place::Metadata {
                let Json { bytes, namespace, name, uid, version } = &mut *self.to;
                let slot = match &*key {
                    "namespace" => namespace,
                    "name" => name,
                    "uid" => uid,
                    "resourceVersion" => version,
                    _ => continue,
                };
                *slot = bytes.get(at..).and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default();
            }
        }
        self.to.bytes.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u-1", "resourceVersion": "42", "labels": {}, "finalizers": [],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"a\":1}", "note": "quo\"te \u{1F600}\n"},
                "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]
            },
            "spec": {"replicas": 3, "ratio": 0.5, "negative": -7, "nothing": null, "yes": true, "list": [1, [2, {}], {"metadata": {"managedFields": [1]}}]}
        })
    }

    #[test]
    fn what_is_kept_is_the_same_as_was_sent() {
        let value = sample();
        let text = value.to_string();
        let seen: Seen<Owners> = serde_json::from_str(&text).expect("read");
        assert_eq!(serde_json::from_slice::<Value>(&seen.json.bytes).expect("json"), value);
        let Json { namespace, name, uid, version, .. } = &seen.json;
        assert_eq!([namespace, name, uid, version], ["shop", "web", "u-1", "42"]);
        assert_eq!(seen.meta().resource_version.as_deref(), Some("42"));
        assert_eq!(Json::of(&value, Kept::Owners).bytes, seen.json.bytes, "from the wire and from a reply alike");
    }

    #[test]
    fn what_is_not_kept_goes_and_nothing_else() {
        let mut wanted = sample();
        let seen: Seen<Object> = serde_json::from_str(&sample().to_string()).expect("read");
        wanted["metadata"].as_object_mut().expect("metadata").remove("managedFields");
        assert_eq!(serde_json::from_slice::<Value>(&seen.json.bytes).expect("json"), wanted);
        let seen: Seen<Present> = serde_json::from_str(&sample().to_string()).expect("read");
        wanted["metadata"]["annotations"].as_object_mut().expect("annotations").remove(LAST_APPLIED);
        assert_eq!(serde_json::from_slice::<Value>(&seen.json.bytes).expect("json"), wanted);
    }

    #[test]
    fn a_watch_event_is_read_whatever_the_order_of_its_fields() {
        type Event = kube::core::WatchEvent<Seen<Object>>;
        for text in [
            r#"{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"7"}}}"#,
            r#"{"object":{"metadata":{"name":"a","resourceVersion":"7"}},"type":"ADDED"}"#,
        ] {
            let Event::Added(seen) = serde_json::from_str(text).expect("an event") else { panic!("{text}") };
            assert_eq!((&*seen.json.name, &*seen.json.version), ("a", "7"));
        }
        assert!(serde_json::from_str::<Event>(r#"{"type":"ADDED","object":{"metadata":{"name":"a""#).is_err(), "cut off");
    }
}
