//! A YAML document with the text of its scalars kept, as kustomize keeps it until it prints.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::error::Error;
use super::print::shortest;
use super::scalars::{Dialect, Resolved, resolve};

/// The tag that a scalar carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// Decided by the text when it is printed.
    Unset,
    Null,
    Text,
    /// A number, a boolean or a timestamp.
    Other,
}

/// A scalar with its text as written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) tag: Tag,
    /// Written in quotes or as a block; the style stays with the place, not with the value.
    pub(super) quoted: bool,
    /// Written inside `[]` or `{}`.
    pub(super) flow: bool,
    /// A null that a merge must keep.
    pub(super) keep: bool,
}

/// A node of a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(BTreeMap<String, Node>),
}

impl Scalar {
    fn new(text: impl Into<String>, tag: Tag) -> Self {
        Self { text: text.into(), tag, quoted: false, flow: false, keep: false }
    }

    fn to_value(&self) -> Result<Value, String> {
        if self.quoted || self.tag == Tag::Text {
            return Ok(Value::String(checked(&self.text)?));
        }
        match resolve(&self.text, Dialect::V3) {
            // Printed again in flow style, these two come back quoted.
            Resolved::Null if self.flow && self.text.is_empty() => Ok(Value::String(String::new())),
            Resolved::Timestamp(_) if self.flow && self.text.contains(':') => Ok(Value::String(self.text.clone())),
            resolved => resolved_value(resolved, &self.text),
        }
    }
}

/// The characters that go-yaml refuses to read back, or reads back as something else.
fn checked(text: &str) -> Result<String, String> {
    match text.chars().find(|c| matches!(*c, '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')) {
        Some(bad) => Err(format!("the character U+{:04X} cannot be printed as YAML", bad as u32)),
        None => Ok(text.to_owned()),
    }
}

fn resolved_value(resolved: Resolved, text: &str) -> Result<Value, String> {
    Ok(match resolved {
        Resolved::Null => Value::Null,
        Resolved::Bool(flag) => Value::Bool(flag),
        Resolved::Integer(whole) => Value::from(whole),
        Resolved::Unsigned(whole) => Value::from(whole),
        Resolved::Float(number) => float_value(number).ok_or_else(|| format!("the number {text} has no JSON form"))?,
        Resolved::Timestamp(time) => Value::String(time),
        Resolved::Merge | Resolved::Text => Value::String(checked(text)?),
    })
}

/// A float as it comes out of Go's JSON: whole numbers lose their point, and are whole from then on
/// if their shortest digits fit.
fn float_value(number: f64) -> Option<Value> {
    if number.fract() == 0.0 && number.abs() < 1e21 {
        let (mantissa, power) = shortest(number);
        let (whole, places) = mantissa.split_once('.').unwrap_or((&mantissa, ""));
        let width = usize::try_from(power).unwrap_or(0);
        let digits = format!("{whole}{places:0<width$}");
        if let Ok(whole) = digits.parse::<i64>() {
            return Some(Value::from(whole));
        }
        if let Ok(whole) = digits.parse::<u64>() {
            return Some(Value::from(whole));
        }
    }
    Number::from_f64(number).map(Value::Number)
}

impl Node {
    /// A scalar whose type is left to its text.
    pub(super) fn unset(text: impl Into<String>) -> Self {
        Self::Scalar(Scalar::new(text, Tag::Unset))
    }

    /// A string, whatever it looks like.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Scalar(Scalar::new(text, Tag::Text))
    }

    /// An empty mapping.
    pub(super) fn mapping() -> Self {
        Self::Mapping(BTreeMap::new())
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match self {
            Self::Mapping(map) => map.get(key),
            _ => None,
        }
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match self {
            Self::Mapping(map) => map.get_mut(key),
            _ => None,
        }
    }

    /// The text of a scalar; collections have none.
    pub(super) fn as_text(&self) -> &str {
        match self {
            Self::Scalar(scalar) => &scalar.text,
            _ => "",
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(scalar) if scalar.tag == Tag::Null)
    }

    /// Null, or a collection without content.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(scalar) => scalar.tag == Tag::Null,
            Self::Sequence(items) => items.is_empty(),
            Self::Mapping(map) => map.is_empty(),
        }
    }

    /// Sets `key`, the style of a scalar that was there before staying with the place.
    pub(super) fn set(&mut self, key: &str, mut value: Node) {
        let Self::Mapping(map) = self else { return };
        if let Self::Scalar(new) = &mut value {
            match map.get(key) {
                Some(Self::Scalar(old)) => {
                    new.quoted = old.quoted;
                    new.flow = old.flow;
                }
                Some(_) => {}
                None => {
                    let looks_typed = resolve(&new.text, Dialect::V2) != Resolved::Text;
                    new.quoted |= new.tag == Tag::Unset && looks_typed;
                }
            }
        }
        map.insert(key.to_owned(), value);
    }

    /// Replaces the text of a scalar, its style staying with the place.
    pub(super) fn retext(&mut self, text: &str, tag: Tag) -> Result<(), String> {
        match self {
            Self::Scalar(scalar) => {
                text.clone_into(&mut scalar.text);
                scalar.tag = tag;
                Ok(())
            }
            _ => Err("a collection stands where a string is expected".to_owned()),
        }
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Node> {
        match self {
            Self::Mapping(map) => map.remove(key),
            _ => None,
        }
    }

    /// The mapping at `key`, made where there is none or a null.
    pub(super) fn child(&mut self, key: &str) -> Option<&mut Node> {
        let Self::Mapping(map) = self else {
            return None;
        };
        let child = map.entry(key.to_owned()).or_insert_with(Node::mapping);
        if child.is_null() {
            *child = Node::mapping();
        }
        Some(child)
    }

    /// The document as JSON, as Go would write it.
    pub(super) fn to_value(&self) -> Result<Value, String> {
        Ok(match self {
            Self::Scalar(scalar) => scalar.to_value()?,
            Self::Sequence(items) => Value::Array(items.iter().map(Self::to_value).collect::<Result<_, _>>()?),
            Self::Mapping(map) => {
                let mut object = Map::new();
                for (key, node) in map {
                    object.insert(checked(key)?, node.to_value()?);
                }
                Value::Object(object)
            }
        })
    }

    /// The document that Go makes of JSON.
    pub(super) fn from_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::Scalar(Scalar::new("null", Tag::Null)),
            Value::Bool(flag) => Self::Scalar(Scalar::new(flag.to_string(), Tag::Other)),
            Value::Number(number) => Self::Scalar(Scalar::new(number.to_string(), Tag::Other)),
            Value::String(text) => Self::text(text.clone()),
            Value::Array(items) => Self::Sequence(items.iter().map(Self::from_value).collect()),
            Value::Object(map) => Self::Mapping(map.iter().map(|(key, value)| (key.clone(), Self::from_value(value))).collect()),
        }
    }

    /// The `metadata` maps as strings: `labels` or `annotations`.
    pub(super) fn metadata_texts(&self, field: &str) -> BTreeMap<String, String> {
        match self.get("metadata").and_then(|meta| meta.get(field)) {
            Some(Self::Mapping(map)) => map.iter().map(|(key, value)| (key.clone(), value.as_text().to_owned())).collect(),
            _ => BTreeMap::new(),
        }
    }

    /// Replaces `metadata.FIELD` by strings; an empty map takes the field away.
    pub(super) fn set_metadata_texts(&mut self, field: &str, texts: BTreeMap<String, String>) {
        let Some(meta) = self.child("metadata") else {
            return;
        };
        meta.remove(field);
        if !texts.is_empty() {
            let map = texts.into_iter().map(|(key, text)| (key, Self::text(text))).collect();
            meta.set(field, Self::Mapping(map));
        }
    }
}

/// kustomize writes new keys without quotes, and fails on those that then mean something else.
pub(super) fn key_is_text(key: &str) -> Result<(), String> {
    match resolve(key, Dialect::V3) {
        Resolved::Text => Ok(()),
        _ => Err(format!("the key \"{key}\" looks like something else than a string")),
    }
}

/// The meaning of a kustomization file: YAML 1.1 words, and timestamps left as they are written.
pub(super) fn to_value_v2(node: &Node, file: &str) -> Result<Value, Error> {
    Ok(match node {
        Node::Scalar(scalar) if scalar.tag == Tag::Text => Value::String(scalar.text.clone()),
        Node::Scalar(scalar) => match resolve(&scalar.text, Dialect::V2) {
            Resolved::Timestamp(_) => Value::String(scalar.text.clone()),
            resolved => resolved_value(resolved, &scalar.text).map_err(|cause| Error::document(file, cause))?,
        },
        Node::Sequence(items) => Value::Array(items.iter().map(|item| to_value_v2(item, file)).collect::<Result<_, _>>()?),
        Node::Mapping(map) => {
            let mut object = Map::new();
            for (key, node) in map {
                object.insert(key.clone(), to_value_v2(node, file)?);
            }
            Value::Object(object)
        }
    })
}
