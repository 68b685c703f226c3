//! Reading and editing Kubernetes objects as JSON, without panics and without surprises.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What `pointer` points at. `Value::pointer` copies every word of it twice, for the sake of escapes that hardly any has.
fn at<'a>(object: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.contains('~') || !pointer.starts_with('/') {
        return object.pointer(pointer);
    }
    pointer.split('/').skip(1).try_fold(object, |value, word| match value {
        Value::Object(fields) => fields.get(word),
        Value::Array(items) => items.get(word.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The string at `pointer`, empty where there is none.
#[must_use]
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    at(object, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The integer at `pointer`, if there is one.
#[must_use]
pub fn integer(object: &Value, pointer: &str) -> Option<i64> {
    at(object, pointer).and_then(Value::as_i64)
}

/// The items at `pointer`, none where it is no list.
pub fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    at(object, pointer).and_then(Value::as_array).into_iter().flatten()
}

/// The string map at `pointer`; values that are no strings are left out.
#[must_use]
pub fn strings(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    at(object, pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
        .collect()
}

/// `metadata.annotations[key]`; keys hold slashes, so a pointer will not do.
#[must_use]
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    at(object, "/metadata/annotations")?.get(key)?.as_str()
}

/// The object at `key` of `parent`, made when it is missing or something else.
pub fn child<'a>(parent: &'a mut Value, key: &str) -> &'a mut Value {
    if !parent.is_object() {
        *parent = Value::Object(Map::new());
    }
    let slot = &mut parent[key];
    if !slot.is_object() && !slot.is_array() {
        *slot = Value::Object(Map::new());
    }
    slot
}

/// `metadata.resourceVersion` as a number: the API server compares them as such (and promises it since 1.35).
#[must_use]
pub fn version(object: &Value) -> u64 {
    text(object, "/metadata/resourceVersion").parse().unwrap_or(0)
}

/// The field manager that owns `path` of `object` by the newest entry, subresources left out.
#[must_use]
pub fn owner_of<'a>(object: &'a Value, path: &[&str]) -> Option<&'a str> {
    items(object, "/metadata/managedFields")
        .filter(|entry| text(entry, "/subresource").is_empty())
        .filter(|entry| path.iter().try_fold(entry.get("fieldsV1").unwrap_or(&Value::Null), |v, key| v.get(format!("f:{key}"))).is_some())
        .max_by_key(|entry| text(entry, "/time").to_owned())
        .map(|entry| text(entry, "/manager"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_pointed_at_is_what_serde_finds() {
        let object = json!({"a": {"b/c": 1, "": 2, "d": [3, {"e": 4}]}});
        for pointer in ["", "/", "/a", "/a/", "/a/b~1c", "/a/d/0", "/a/d/1/e", "/a/d/2", "/a/d/-", "/a/d/0/x", "a/d", "/x/y"] {
            assert_eq!(at(&object, pointer), object.pointer(pointer), "{pointer}");
        }
    }

    #[test]
    fn the_newest_owner_of_a_field_is_found() {
        let object = json!({"metadata": {"managedFields": [
            {"manager": "pilothouse-engine", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:hosts": {}}}},
            {"manager": "kubectl-edit", "time": "2026-01-02T00:00:00Z", "fieldsV1": {"f:spec": {"f:http": {}}}},
            {"manager": "status", "subresource": "status", "time": "2026-01-03T00:00:00Z", "fieldsV1": {"f:spec": {"f:http": {}}}}]}});
        assert_eq!(owner_of(&object, &["spec", "http"]), Some("kubectl-edit"));
        assert_eq!(owner_of(&object, &["spec", "hosts"]), Some("pilothouse-engine"));
        assert_eq!(owner_of(&object, &["spec", "tcp"]), None);
    }
}
