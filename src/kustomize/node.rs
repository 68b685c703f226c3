//! A YAML document with the text of its scalars kept, as kustomize keeps it until it prints.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

use super::error::Error;
use super::scalars::{Dialect, Resolved, resolve};

/// How many nodes a document may have once its aliases are written out.
const MAX_NODES: usize = 500_000;

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
        Self {
            text: text.into(),
            tag,
            quoted: false,
            flow: false,
            keep: false,
        }
    }

    fn to_value(&self) -> Result<Value, String> {
        if self.quoted || self.tag == Tag::Text {
            return Ok(Value::String(checked(&self.text)?));
        }
        match resolve(&self.text, Dialect::V3) {
            // Printed again in flow style, these two come back quoted.
            Resolved::Null if self.flow && self.text.is_empty() => Ok(Value::String(String::new())),
            Resolved::Timestamp(_) if self.flow && self.text.contains(':') => {
                Ok(Value::String(self.text.clone()))
            }
            resolved => resolved_value(resolved, &self.text),
        }
    }
}

/// The characters that go-yaml refuses to read back, or reads back as something else.
fn checked(text: &str) -> Result<String, String> {
    match text.chars().find(|c| {
        matches!(*c, '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')
    }) {
        Some(bad) => Err(format!(
            "the character U+{:04X} cannot be printed as YAML",
            bad as u32
        )),
        None => Ok(text.to_owned()),
    }
}

fn resolved_value(resolved: Resolved, text: &str) -> Result<Value, String> {
    Ok(match resolved {
        Resolved::Null => Value::Null,
        Resolved::Bool(flag) => Value::Bool(flag),
        Resolved::Integer(whole) => Value::from(whole),
        Resolved::Unsigned(whole) => Value::from(whole),
        Resolved::Float(number) => {
            float_value(number).ok_or_else(|| format!("the number {text} has no JSON form"))?
        }
        Resolved::Timestamp(time) => Value::String(time),
        Resolved::Merge | Resolved::Text => Value::String(checked(text)?),
    })
}

/// A float as it comes out of Go's JSON: whole numbers lose their point, and are whole from then on
/// if their shortest digits fit.
fn float_value(number: f64) -> Option<Value> {
    if number.fract() == 0.0 && number.abs() < 1e21 {
        let digits = number.to_string();
        if digits == "-0" {
            return Some(Value::from(0));
        }
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
        let Self::Mapping(map) = self else { return None };
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
            Self::Sequence(items) => {
                Value::Array(items.iter().map(Self::to_value).collect::<Result<_, _>>()?)
            }
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
            Value::Object(map) => Self::Mapping(
                map.iter()
                    .map(|(key, value)| (key.clone(), Self::from_value(value)))
                    .collect(),
            ),
        }
    }

    /// The `metadata` maps as strings: `labels` or `annotations`.
    pub(super) fn metadata_texts(&self, field: &str) -> BTreeMap<String, String> {
        match self.get("metadata").and_then(|meta| meta.get(field)) {
            Some(Self::Mapping(map)) => map
                .iter()
                .map(|(key, value)| (key.clone(), value.as_text().to_owned()))
                .collect(),
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
            let map = texts
                .into_iter()
                .map(|(key, text)| (key, Self::text(text)))
                .collect();
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

/// The documents of `text`, empty ones left out.
pub(super) fn documents(text: &str, file: &str, dialect: Dialect) -> Result<Vec<Node>, Error> {
    let text = text.replace("\r\n", "\n");
    let mut nodes = Vec::new();
    for chunk in chunks(&text, file)? {
        if let Some(node) = document(&chunk, file, dialect)? {
            nodes.push(node);
        }
    }
    Ok(nodes)
}

/// Cuts at lines that begin with `---`, which only a comment may follow.
fn chunks(text: &str, file: &str) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let mut current = String::new();
    // A separator needs a line end on both sides, and two separators cannot share one.
    let mut may_separate = false;
    for line in text.split_inclusive('\n') {
        if may_separate && line.starts_with("---") && line.ends_with('\n') {
            let rest = line[3..].trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                return Err(Error::document(file, format!("\"{}\" is no document separator", line.trim())));
            }
            found.push(std::mem::take(&mut current));
            may_separate = false;
            continue;
        }
        current.push_str(line);
        may_separate = true;
    }
    found.push(current);
    Ok(found)
}

/// The first document of `text`, `None` where it is empty.
pub(super) fn document(text: &str, file: &str, dialect: Dialect) -> Result<Option<Node>, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        file,
        dialect,
        anchors: BTreeMap::new(),
        stack: Vec::new(),
        root: None,
        nodes: 0,
        flow: 0,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| Error::document(file, error.to_string()))?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        // The parser writes the null that is not there as `~`.
        builder.take(event, span.is_empty())?;
    }
    Ok(builder.root.filter(|node| !node.is_null()))
}

enum Frame {
    Sequence(usize, bool, Vec<Node>),
    Mapping(usize, bool, BTreeMap<String, Node>, Vec<Node>, Option<Key>),
}

enum Key {
    Text(String),
    Merge,
}

struct Builder<'a> {
    file: &'a str,
    dialect: Dialect,
    anchors: BTreeMap<usize, Node>,
    stack: Vec<Frame>,
    root: Option<Node>,
    nodes: usize,
    flow: usize,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, absent: bool) -> Result<(), Error> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| tag.to_string());
                let text = if absent { String::new() } else { text.into_owned() };
                let scalar = self.scalar(text, style, tag.as_deref())?;
                self.add(Node::Scalar(scalar), anchor)
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.collection_tag(tag.map(|tag| tag.to_string()).as_deref())?;
                let flow = self.enter(style);
                self.stack.push(Frame::Sequence(anchor, flow, Vec::new()));
                Ok(())
            }
            Event::MappingStart(style, anchor, tag) => {
                self.collection_tag(tag.map(|tag| tag.to_string()).as_deref())?;
                let flow = self.enter(style);
                self.stack
                    .push(Frame::Mapping(anchor, flow, BTreeMap::new(), Vec::new(), None));
                Ok(())
            }
            Event::SequenceEnd => match self.stack.pop() {
                Some(Frame::Sequence(anchor, flow, items)) => {
                    self.flow -= usize::from(flow);
                    self.add(Node::Sequence(items), anchor)
                }
                _ => Err(Error::document(self.file, "unbalanced sequence")),
            },
            Event::MappingEnd => match self.stack.pop() {
                Some(Frame::Mapping(anchor, flow, mut map, merged, _)) => {
                    self.flow -= usize::from(flow);
                    for source in merged {
                        self.merge(&mut map, source)?;
                    }
                    self.add(Node::Mapping(map), anchor)
                }
                _ => Err(Error::document(self.file, "unbalanced mapping")),
            },
            Event::Alias(id) => {
                let node = self.anchors.get(&id).cloned().ok_or_else(|| {
                    Error::document(self.file, "an alias stands before its anchor")
                })?;
                self.nodes += weight(&node);
                self.add(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn enter(&mut self, style: StructureStyle) -> bool {
        let flow = style == StructureStyle::Flow;
        self.flow += usize::from(flow);
        flow
    }

    fn collection_tag(&self, tag: Option<&str>) -> Result<(), Error> {
        match tag.map(short) {
            None | Some("map" | "seq") => Ok(()),
            Some(other) => Err(Error::unsupported(self.file, format!("the YAML tag {other}"))),
        }
    }

    fn scalar(&self, text: String, style: ScalarStyle, tag: Option<&str>) -> Result<Scalar, Error> {
        let quoted = style != ScalarStyle::Plain;
        let kind = match tag.map(short) {
            None if quoted => Tag::Text,
            None => match resolve(&text, self.dialect) {
                Resolved::Null => Tag::Null,
                Resolved::Text => Tag::Text,
                _ => Tag::Other,
            },
            Some("str") => Tag::Text,
            Some(other) => {
                return Err(Error::unsupported(self.file, format!("the YAML tag {other}")));
            }
        };
        Ok(Scalar {
            text,
            tag: kind,
            quoted,
            flow: self.flow > 0,
            keep: false,
        })
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Error> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Error::Budget {
                file: self.file.to_owned(),
                limit: MAX_NODES,
                what: "YAML nodes in one document",
            });
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::Sequence(_, _, items)) => items.push(node),
            Some(Frame::Mapping(_, _, map, merged, key)) => match key.take() {
                None => *key = Some(new_key(&node, map, self.file)?),
                Some(Key::Merge) => merged.push(node),
                Some(Key::Text(text)) => {
                    map.insert(text, node);
                }
            },
        }
        Ok(())
    }

    /// `<<`: the keys of a mapping, or of each mapping of a sequence, that are not there yet.
    fn merge(&self, map: &mut BTreeMap<String, Node>, source: Node) -> Result<(), Error> {
        match source {
            Node::Mapping(other) => {
                for (key, node) in other {
                    map.entry(key).or_insert(node);
                }
                Ok(())
            }
            Node::Sequence(items) => items.into_iter().try_for_each(|item| self.merge(map, item)),
            Node::Scalar(_) => Err(Error::document(self.file, "\"<<\" wants a mapping")),
        }
    }
}

fn new_key(node: &Node, map: &BTreeMap<String, Node>, file: &str) -> Result<Key, Error> {
    let Node::Scalar(scalar) = node else {
        return Err(Error::document(file, "a key is a collection; keys are strings"));
    };
    if scalar.text == "<<" && !scalar.quoted {
        return Ok(Key::Merge);
    }
    if scalar.tag != Tag::Text {
        return Err(Error::document(
            file,
            format!("the key {} is not a string; quote it", scalar.text),
        ));
    }
    if map.contains_key(&scalar.text) {
        return Err(Error::document(file, format!("the key \"{}\" is there twice", scalar.text)));
    }
    Ok(Key::Text(scalar.text.clone()))
}

fn short(tag: &str) -> &str {
    tag.strip_prefix("tag:yaml.org,2002:")
        .or_else(|| tag.strip_prefix("!!"))
        .unwrap_or(tag)
}

fn weight(node: &Node) -> usize {
    match node {
        Node::Scalar(_) => 1,
        Node::Sequence(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Node::Mapping(map) => 1 + map.values().map(weight).sum::<usize>(),
    }
}

/// The meaning of a kustomization file: YAML 1.1 words, and timestamps left as they are written.
pub(super) fn to_value_v2(node: &Node, file: &str) -> Result<Value, Error> {
    Ok(match node {
        Node::Scalar(scalar) if scalar.tag == Tag::Text => Value::String(scalar.text.clone()),
        Node::Scalar(scalar) => match resolve(&scalar.text, Dialect::V2) {
            Resolved::Timestamp(_) => Value::String(scalar.text.clone()),
            resolved => resolved_value(resolved, &scalar.text)
                .map_err(|cause| Error::document(file, cause))?,
        },
        Node::Sequence(items) => Value::Array(
            items
                .iter()
                .map(|item| to_value_v2(item, file))
                .collect::<Result<_, _>>()?,
        ),
        Node::Mapping(map) => {
            let mut object = Map::new();
            for (key, node) in map {
                object.insert(key.clone(), to_value_v2(node, file)?);
            }
            Value::Object(object)
        }
    })
}
