//! The entries of `metadata.managedFields`: who they belong to, in which order they stand, and how many there may be.

use serde_json::{Map, Value};

use super::Writer;
use super::elements::same;
use super::fieldsv1::unite;

/// At most this many entries of updates are kept apart (`DefaultMaxUpdateManagers`).
const MOST_UPDATES: usize = 10;
/// Who owns what the oldest updates owned.
const ANCIENT: &str = "ancient-changes";

/// The two ways to own fields; they sort in this order.
pub const APPLY: &str = "Apply";
pub const UPDATE: &str = "Update";

/// The entries of an object.
pub fn entries(object: &Value) -> &[Value] {
    object.get("metadata").and_then(|meta| meta.get("managedFields")).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Takes the entries out of an object.
pub fn take(object: &mut Value) -> Option<Vec<Value>> {
    match object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")? {
        Value::Array(entries) => Some(entries),
        _ => None,
    }
}

/// Puts entries into an object; none at all leave no field behind.
pub fn put(object: &mut Value, entries: Vec<Value>) {
    let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if entries.is_empty() {
        meta.remove("managedFields");
    } else {
        meta.insert("managedFields".into(), Value::Array(entries));
    }
}

/// A text of an entry; empty when absent.
pub fn text<'e>(entry: &'e Value, name: &str) -> &'e str {
    entry.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The set of an entry.
pub fn set(entry: &Value) -> Option<&Map<String, Value>> {
    entry.get("fieldsV1").and_then(Value::as_object)
}

/// The set of an entry, to change it.
pub fn set_mut(entry: &mut Value) -> Option<&mut Map<String, Value>> {
    entry.get_mut("fieldsV1").and_then(Value::as_object_mut)
}

/// Whether an entry is the writer's own. Who applies is the same in whatever version.
pub fn is_own(entry: &Value, writer: &Writer<'_>, operation: &str) -> bool {
    text(entry, "operation") == operation
        && text(entry, "manager") == manager(writer)
        && text(entry, "subresource") == writer.subresource
        && (operation == APPLY || text(entry, "apiVersion") == writer.api_version)
}

fn manager<'w>(writer: &Writer<'w>) -> &'w str {
    if writer.manager.is_empty() { "unknown" } else { writer.manager }
}

/// A new entry of the writer.
pub fn entry(writer: &Writer<'_>, operation: &str, time: Option<&str>, set: Map<String, Value>) -> Value {
    let mut entry = Map::new();
    entry.insert("apiVersion".into(), writer.api_version.into());
    entry.insert("fieldsType".into(), "FieldsV1".into());
    entry.insert("fieldsV1".into(), Value::Object(set));
    entry.insert("manager".into(), manager(writer).into());
    entry.insert("operation".into(), operation.into());
    if !writer.subresource.is_empty() {
        entry.insert("subresource".into(), writer.subresource.into());
    }
    if let Some(time) = time {
        entry.insert("time".into(), time.into());
    }
    Value::Object(entry)
}

/// Puts entries into the server's order: applies first, then by time, those without one first.
pub fn sort(entries: &mut [Value]) {
    let key = |entry: &Value| ["operation", "time", "manager", "apiVersion", "subresource"].map(|name| text(entry, name).to_owned());
    if !entries.is_sorted_by_key(key) {
        entries.sort_by_cached_key(key);
    }
}

/// Merges the oldest updates into one entry per version until there are few enough.
pub fn cap(entries: &mut Vec<Value>) {
    let updates = |entries: &[Value]| entries.iter().filter(|entry| text(entry, "operation") == UPDATE).count();
    if updates(entries) <= MOST_UPDATES {
        return;
    }
    let mut oldest: Vec<Value> = entries.extract_if(.., |entry| text(entry, "operation") == UPDATE).collect();
    let identity = |entry: &Value| ["time", "apiVersion", "subresource", "manager"].map(|name| text(entry, name).to_owned());
    oldest.sort_by_cached_key(|entry| {
        let [time, version, subresource, manager] = identity(entry);
        (time, manager, version, subresource)
    });
    let mut kept: Vec<Value> = Vec::with_capacity(oldest.len());
    let mut left = oldest.len();
    for entry in oldest {
        let version = text(&entry, "apiVersion");
        match kept.iter_mut().find(|first| left > MOST_UPDATES && text(first, "apiVersion") == version) {
            Some(bucket) => {
                absorb(bucket, &entry);
                left -= 1;
            }
            None => kept.push(entry),
        }
    }
    entries.extend(kept);
}

/// Makes of `bucket` the entry that also owns what `entry` owns, as new as that one.
fn absorb(bucket: &mut Value, entry: &Value) {
    if let (Some(own), Some(more)) = (set_mut(bucket), set(entry)) {
        unite(own, more);
    }
    if let Some(bucket) = bucket.as_object_mut() {
        bucket.insert("manager".into(), ANCIENT.into());
        bucket.remove("subresource");
        match entry.get("time") {
            Some(time) => drop(bucket.insert("time".into(), time.clone())),
            None => drop(bucket.remove("time")),
        }
    }
}

/// The writer whose entry holds what an object without entries had before it was first applied.
pub fn before_first_apply<'w>(writer: &Writer<'w>) -> Writer<'w> {
    Writer { manager: "before-first-apply", ..*writer }
}

/// Whether two objects are the same but for their entries.
pub fn same_but_entries(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return one == other };
    one.len() == other.len()
        && one.iter().all(|(name, value)| match (name.as_str(), other.get(name)) {
            ("metadata", Some(there)) => same_metadata(value, there),
            (_, Some(there)) => same(value, there),
            _ => false,
        })
}

fn same_metadata(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return one == other };
    let rest = |meta: &Map<String, Value>| meta.len() - usize::from(meta.contains_key("managedFields"));
    let fields = one.iter().filter(|(name, _)| *name != "managedFields");
    rest(one) == rest(other) && fields.into_iter().all(|(name, value)| other.get(name).is_some_and(|there| same(value, there)))
}

/// Whether entries are the same but for their times.
pub fn same_but_times(one: &[Value], other: &[Value]) -> bool {
    let same = |(one, other): (&Value, &Value)| {
        let fields = ["apiVersion", "fieldsType", "fieldsV1", "manager", "operation", "subresource"];
        fields.iter().all(|name| one.get(name) == other.get(name))
    };
    one.len() == other.len() && one.iter().zip(other).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn update(manager: &str, second: usize) -> Value {
        let time = format!("2026-01-01T00:00:{second:02}Z");
        let writer = Writer { manager, api_version: "v1", subresource: "", time: &time };
        let fields = json!({format!("f:{manager}"): {}});
        entry(&writer, UPDATE, Some(&time), fields.as_object().unwrap().clone())
    }

    #[test]
    fn the_oldest_updates_are_merged() {
        let mut entries: Vec<_> = (0..12).map(|n| update(&format!("m{n:02}"), n)).collect();
        cap(&mut entries);
        sort(&mut entries);
        assert_eq!(entries.len(), MOST_UPDATES);
        assert_eq!((text(&entries[0], "manager"), text(&entries[0], "time")), (ANCIENT, "2026-01-01T00:00:02Z"));
        assert_eq!(set(&entries[0]).unwrap().len(), 3);
    }
}
