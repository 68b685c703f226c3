//! Objects of custom kinds: unknown fields and nulls go, the defaults of their schema come.

use serde_json::{Map, Value};

use super::node::keeps_unknown;
use super::types::{Type, table};
use super::{defaults, elements};

/// Fields of an object that its schema need not name.
const META: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Prunes and defaults a whole object.
pub fn fill(schema: &Value, object: &mut Value) {
    whole_numbers(object);
    fill_object(schema, object, true);
    if let (Some(meta), Type::Struct(at, _)) = (object.get_mut("metadata").and_then(Value::as_object_mut), table().meta()) {
        defaults::fill_struct(&table().structs[*at], meta);
    }
}

/// Numbers without a fraction are stored as integers, however they are written.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(whole) = elements::whole(number) {
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

fn fill_object(schema: &Value, value: &mut Value, root: bool) {
    match value {
        Value::Object(map) => fill_map(schema, map, root),
        Value::Array(items) => {
            if let Some(item) = schema.get("items") {
                for value in items {
                    fill_item(item, value);
                }
            }
        }
        _ => {}
    }
}

/// A null that an item must not be becomes its default.
fn fill_item(schema: &Value, value: &mut Value) {
    if value.is_null() && !nullable(schema) {
        *value = schema.get("default").cloned().unwrap_or_default();
    }
    fill_object(schema, value, false);
}

fn fill_map(schema: &Value, map: &mut Map<String, Value>, root: bool) {
    let embedded = root || schema.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true));
    let properties = schema.get("properties").and_then(Value::as_object);
    let others = schema.get("additionalProperties");
    let known = |name: &str| properties.and_then(|properties| properties.get(name));
    let keeps = keeps_unknown(schema);
    map.retain(|name, value| {
        if embedded && META.contains(&name.as_str()) {
            return true;
        }
        match known(name).or(others.filter(|others| others.is_object())) {
            Some(field) => !value.is_null() || nullable(field) || field.get("default").is_some(),
            None => keeps || others == Some(&Value::Bool(true)),
        }
    });
    for (name, field) in properties.into_iter().flatten() {
        if let Some(default) = field.get("default")
            && map.get(name).is_none_or(|value| value.is_null() && !nullable(field))
        {
            map.insert(name.clone(), default.clone());
        }
    }
    for (name, value) in map.iter_mut().filter(|(name, _)| !(embedded && META.contains(&name.as_str()))) {
        match known(name) {
            Some(field) => fill_object(field, value, false),
            None => {
                if let Some(field) = others.filter(|others| others.is_object()) {
                    fill_item(field, value);
                }
            }
        }
    }
}

fn nullable(schema: &Value) -> bool {
    schema.get("nullable") == Some(&Value::Bool(true))
}
