//! Whether an applied configuration fits its type. What does not is refused before anything is merged.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::elements::element;
use super::fieldsv1::words;
use super::node::{Keys, Node, Shape};
use super::types::{Scalar, Type};

/// Where a value stands: written down only where something is wrong.
enum Path<'p> {
    Root,
    Field(&'p Path<'p>, &'p str),
    /// An item by its element.
    Element(&'p Path<'p>, &'p str),
    At(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Element(parent, element) => write!(f, "{parent}{}", words(element)),
            Self::At(parent, at) => write!(f, "{parent}[{at}]"),
        }
    }
}

/// Checks a configuration; the server's sentence about what is wrong.
pub fn check(root: Node<'_>, config: &Value) -> Result<(), String> {
    let mut wrong = Vec::new();
    check_node(root, config, &Path::Root, &mut wrong);
    if wrong.is_empty() {
        return Ok(());
    }
    let meta = |name| config.get("metadata").and_then(|meta| meta.get(name)).and_then(Value::as_str).unwrap_or_default();
    let version = config.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let version = if version.contains('/') { version.to_owned() } else { format!("/{version}") };
    let kind = config.get("kind").and_then(Value::as_str).unwrap_or_default();
    let what = if wrong.len() == 1 { wrong.concat() } else { format!("errors:\n  {}", wrong.join("\n  ")) };
    Err(format!("failed to create typed patch object ({}/{}; {version}, Kind={kind}): {what}", meta("namespace"), meta("name")))
}

fn check_node(node: Node<'_>, value: &Value, path: &Path<'_>, wrong: &mut Vec<String>) {
    match (node.shape(value), value) {
        (_, Value::Null) => {}
        (Shape::Scalar, _) => wrong.extend(scalar(node, value).map(|problem| format!("{path}: {problem}"))),
        (Shape::Map, Value::Object(map)) => {
            for (name, value) in map {
                let path = Path::Field(path, name);
                match node.field(name) {
                    Some((field, _)) => check_node(field, value, &path, wrong),
                    None => wrong.push(format!("{path}: field not declared in schema")),
                }
            }
        }
        (Shape::List, Value::Array(items)) => check_items(node, items, path, wrong),
        (Shape::Map, _) => wrong.push(format!("{path}: expected map, got &{{{}}}", go_value(value))),
        (Shape::List, _) => wrong.push(format!("{path}: expected list, got &{{{}}}", go_value(value))),
    }
}

fn check_items(list: Node<'_>, items: &[Value], path: &Path<'_>, wrong: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (at, item) in items.iter().enumerate() {
        if matches!(list.keys(), Keys::Atomic) {
            check_node(list.item(), item, &Path::At(path, at), wrong);
            continue;
        }
        match element(list, item) {
            Ok(element) => {
                check_node(list.item(), item, &Path::Element(path, &element), wrong);
                if seen.contains(&element) {
                    wrong.push(format!("{path}: duplicate entries for key {}", words(&element)));
                }
                seen.insert(element);
            }
            Err(problem) => return wrong.push(format!("{path}: element {at}: {problem}")),
        }
    }
}

fn scalar(node: Node<'_>, value: &Value) -> Option<String> {
    let wanted = match node {
        Node::BuiltIn(Type::Scalar(Scalar::Text)) => "string",
        Node::BuiltIn(Type::Scalar(Scalar::Number)) => "number",
        Node::BuiltIn(Type::Scalar(Scalar::Bool)) => "boolean",
        // Only texts without a format are held to be texts.
        Node::Schema(schema, _) => match schema.get("type").and_then(Value::as_str) {
            Some("string") if schema.get("format").is_some_and(|format| format != "byte") => "scalar",
            Some("integer") => "number",
            other => other.unwrap_or("scalar"),
        },
        _ => "scalar",
    };
    match (wanted, value) {
        ("number", Value::Number(_)) | ("string", Value::String(_)) | ("boolean", Value::Bool(_)) => None,
        ("number", _) => Some(format!("expected numeric (int or float), got {}", go_type(value))),
        ("string", _) => Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_value(value))),
        ("boolean", _) => Some(format!("expected boolean, got &{{{}}}", go_value(value))),
        (_, Value::Array(_) | Value::Object(_)) => Some(format!("expected any scalar, got &{{{}}}", go_value(value))),
        _ => None,
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Object(_) => "map[string]interface {}",
        Value::Array(_) => "[]interface {}",
        Value::Number(_) | Value::Null => "int64",
    }
}

/// A value as Go's `%v` prints it.
fn go_value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_value).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            format!("map[{}]", map.iter().map(|(key, value)| format!("{key}:{}", go_value(value))).collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}
