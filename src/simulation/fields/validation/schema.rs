//! Checks of a custom object by the `openAPIV3Schema` of its kind.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use regex::Regex;
use serde_json::{Map, Value};

use super::Causes;

/// Checks a whole object. What is as it was in `live` is not held against it.
pub fn check(schema: &Value, live: Option<&Value>, object: &Value, causes: &mut Causes) {
    let properties = schema.get("properties").and_then(Value::as_object);
    check_required(schema, "", object, causes);
    for (name, field) in properties.into_iter().flatten().filter(|(name, _)| *name != "metadata") {
        if let Some(value) = object.get(name) {
            check_value(field, name, live.and_then(|live| live.get(name)), value, causes);
            check_lists(field, name, value, causes);
        }
    }
}

fn check_required(schema: &Value, path: &str, object: &Value, causes: &mut Causes) {
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if object.get(name).is_none() {
            causes.required(join(path, name), "");
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn check_value(schema: &Value, path: &str, live: Option<&Value>, value: &Value, causes: &mut Causes) {
    if live == Some(value) || (value.is_null() && schema.get("nullable") == Some(&Value::Bool(true))) {
        return;
    }
    check_type(schema, path, value, causes);
    if let Some(options) = schema.get("enum").and_then(Value::as_array)
        && !options.iter().any(|option| super::super::elements::same(option, value))
    {
        let supported: Vec<_> = options.iter().map(|option| option.as_str().map_or_else(|| option.to_string(), str::to_owned)).collect();
        causes.not_supported(path, value, &supported.iter().map(String::as_str).collect::<Vec<_>>());
    }
    match value {
        Value::Number(_) => check_number(schema, path, value, causes),
        Value::String(text) => check_text(schema, path, text, causes),
        Value::Array(items) => check_items(schema, path, items, causes),
        Value::Object(map) => check_fields(schema, path, live, map, value, causes),
        _ => {}
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() && number.as_f64().is_some_and(|float| float.fract() != 0.0) => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check_type(schema: &Value, path: &str, value: &Value, causes: &mut Causes) {
    let (wanted, is) = (types(schema), type_name(value));
    let fits = |wanted: &&str| *wanted == is || (*wanted == "number" && is == "integer");
    if wanted.is_empty() || wanted.iter().any(fits) {
        return;
    }
    let wanted = wanted.join(",");
    causes.add(path, "FieldValueTypeInvalid", format!("Invalid value: {is:?}: {path} in body must be of type {wanted}: {is:?}"));
    if wanted == "integer" && is == "number" {
        // The server's check of the range finds it once more, and does not know where.
        causes.invalid("<nil>", &"".into(), &format!("Checked value must be of type integer (default format) in {path}"));
    }
}

fn types(schema: &Value) -> Vec<&str> {
    if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        return vec!["integer", "string"];
    }
    schema.get("type").and_then(Value::as_str).into_iter().collect()
}

fn check_number(schema: &Value, path: &str, value: &Value, causes: &mut Causes) {
    let number = value.as_f64().unwrap_or_default();
    let exclusive = |name: &str| schema.get(name) == Some(&Value::Bool(true));
    if let Some(least) = schema.get("minimum") {
        let (bound, open) = (least.as_f64().unwrap_or_default(), exclusive("exclusiveMinimum"));
        if number < bound || (open && number <= bound) {
            let or_equal = if open { "" } else { " or equal to" };
            causes.invalid(path, value, &format!("{path} in body should be greater than{or_equal} {least}"));
        }
    }
    if let Some(most) = schema.get("maximum") {
        let (bound, open) = (most.as_f64().unwrap_or_default(), exclusive("exclusiveMaximum"));
        if number > bound || (open && number >= bound) {
            let or_equal = if open { "" } else { " or equal to" };
            causes.invalid(path, value, &format!("{path} in body should be less than{or_equal} {most}"));
        }
    }
    if let Some(unit) = schema.get("multipleOf")
        && (number / unit.as_f64().unwrap_or(1.0)).fract() != 0.0
    {
        causes.invalid(path, value, &format!("{path} in body should be a multiple of {unit}"));
    }
}

/// A bound on how many there may be.
fn bound(schema: &Value, name: &str) -> Option<usize> {
    schema.get(name).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok())
}

/// The first of a text's rules that it breaks.
fn check_text(schema: &Value, path: &str, text: &str, causes: &mut Causes) {
    let length = text.chars().count();
    if let Some(most) = bound(schema, "maxLength").filter(|most| length > *most) {
        causes.add(path, "FieldValueTooLong", format!("Too long: may not be more than {most} bytes"));
    } else if let Some(least) = bound(schema, "minLength").filter(|least| length < *least) {
        causes.invalid(path, &text.into(), &format!("{path} in body should be at least {least} chars long"));
    } else if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && !matches(pattern, text)
    {
        causes.invalid(path, &text.into(), &format!("{path} in body should match '{pattern}'"));
    }
}

/// Whether a pattern is found in a text. Patterns are compiled once; one that cannot be is matched by nothing.
fn matches(pattern: &str, text: &str) -> bool {
    static COMPILED: OnceLock<Mutex<BTreeMap<String, Option<Regex>>>> = OnceLock::new();
    let mut compiled = COMPILED.get_or_init(Mutex::default).lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !compiled.contains_key(pattern) {
        compiled.insert(pattern.to_owned(), Regex::new(pattern).ok());
    }
    compiled.get(pattern).and_then(Option::as_ref).is_some_and(|regex| regex.is_match(text))
}

fn too_many(path: &str, is: usize, most: usize, causes: &mut Causes) {
    let noun = if most == 1 { "item" } else { "items" };
    causes.add(path, "FieldValueTooMany", format!("Too many: {is}: must have at most {most} {noun}"));
}

fn check_items(schema: &Value, path: &str, items: &[Value], causes: &mut Causes) {
    if let Some(least) = bound(schema, "minItems").filter(|least| items.len() < *least) {
        causes.invalid(path, &items.len().into(), &format!("{path} in body should have at least {least} items"));
    }
    if let Some(most) = bound(schema, "maxItems").filter(|most| items.len() > *most) {
        too_many(path, items.len(), most, causes);
    }
    if let Some(schema) = schema.get("items") {
        for (at, item) in items.iter().enumerate() {
            check_value(schema, &format!("{path}[{at}]"), None, item, causes);
        }
    }
}

fn check_fields(schema: &Value, path: &str, live: Option<&Value>, map: &Map<String, Value>, value: &Value, causes: &mut Causes) {
    if let Some(least) = bound(schema, "minProperties").filter(|least| map.len() < *least) {
        causes.invalid(path, &map.len().into(), &format!("{path} in body should have at least {least} properties"));
    }
    if let Some(most) = bound(schema, "maxProperties").filter(|most| map.len() > *most) {
        too_many(path, map.len(), most, causes);
    }
    check_required(schema, path, value, causes);
    for (name, value) in map {
        if let Some(field) = field(schema, name) {
            check_value(field, &join(path, name), live.and_then(|live| live.get(name)), value, causes);
        }
    }
}

fn field<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    let named = schema.get("properties").and_then(|properties| properties.get(name));
    named.or_else(|| schema.get("additionalProperties").filter(|others| others.is_object()))
}

/// Lists of sets and maps must not hold an item twice.
fn check_lists(schema: &Value, path: &str, value: &Value, causes: &mut Causes) {
    match value {
        Value::Array(items) => {
            let kind = schema.get("x-kubernetes-list-type").and_then(Value::as_str).unwrap_or_default();
            match kind {
                "set" => repeated(path, items.clone(), causes),
                "map" => repeated(path, items.iter().map(|item| keys(schema, item)).collect(), causes),
                _ => {}
            }
            if let Some(schema) = schema.get("items") {
                for (at, item) in items.iter().enumerate() {
                    check_lists(schema, &format!("{path}[{at}]"), item, causes);
                }
            }
        }
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(field) = field(schema, name) {
                    check_lists(field, &join(path, name), value, causes);
                }
            }
        }
        _ => {}
    }
}

/// What tells an item of a list from the others.
fn keys(schema: &Value, item: &Value) -> Value {
    let names = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let found = names.filter_map(|name| Some((name.to_owned(), item.get(name)?.clone())));
    Value::Object(found.collect())
}

/// Each value that comes again, at the first place where it does.
fn repeated(path: &str, values: Vec<Value>, causes: &mut Causes) {
    let mut seen = BTreeMap::<String, usize>::new();
    for (at, value) in values.into_iter().enumerate() {
        let times = seen.entry(value.to_string()).or_default();
        *times += 1;
        if *times == 2 {
            causes.duplicate(format!("{path}[{at}]"), &value);
        }
    }
}
