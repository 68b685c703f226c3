//! The list of operations as the file has it: headings, and blocks that are repeated for each of many kinds.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// One thing to do and to compare.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// What it is about; unique together with its heading.
    pub name: String,
    #[serde(default)]
    pub method: String,
    #[serde(default)]
    pub path: String,
    #[serde(default)]
    pub query: String,
    /// `merge`, `json`, `apply`, `strategic`, or a media type; JSON where it is left out.
    #[serde(rename = "type", default)]
    pub media: String,
    /// `metadata`, `metadata list`, or a media type; none where it is left out.
    #[serde(default)]
    pub accept: String,
    #[serde(default)]
    pub body: Value,
    /// A body that is no JSON.
    #[serde(default)]
    pub text: Option<String>,
    /// Under which name uid, resourceVersion, name and continue token of the answer are kept: `$uid:NAME`, `$rv:NAME`, …
    #[serde(default)]
    pub capture: Option<String>,
    /// The answer is a stream.
    #[serde(default)]
    pub watch: Option<Watch>,
    /// Nothing is asked; the operation waits until all of these hold.
    #[serde(default)]
    pub wait: Vec<Wait>,
    /// While waiting, the controllers run that collect garbage.
    #[serde(default)]
    pub collect: bool,
    /// In a repeated block: only for kinds that have this value.
    #[serde(default)]
    pub needs: String,
    /// The part of the answer that is compared, where a real server serves more.
    #[serde(default)]
    pub pick: Option<Pick>,
}

/// How much of a stream is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// So many events; without it, all until the server ends the stream.
    pub events: Option<usize>,
}

/// Something that comes true by itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    pub path: String,
    /// The status of GET.
    pub status: u16,
    /// The value at this JSON pointer, too, is this.
    #[serde(default)]
    pub pointer: String,
    #[serde(default)]
    pub is: Value,
}

impl Wait {
    /// True where the answer is the one waited for.
    pub fn holds(&self, (status, body): &(u16, String)) -> bool {
        let value =
            || serde_json::from_str::<Value>(body).ok().and_then(|document| document.pointer(&self.pointer).cloned()).unwrap_or_default();
        *status == self.status && (self.pointer.is_empty() || value() == self.is)
    }
}

/// A part of a document.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pick {
    pub pointer: String,
    /// Of a list, the items with these names.
    #[serde(default)]
    pub names: Vec<String>,
}

impl Pick {
    /// The picked part.
    pub fn of(&self, document: &Value) -> Value {
        let found = document.pointer(&self.pointer).cloned().unwrap_or_default();
        match found {
            Value::Array(items) if !self.names.is_empty() => {
                Value::Array(items.into_iter().filter(|item| self.names.iter().any(|name| item["name"] == name.as_str())).collect())
            }
            other => other,
        }
    }
}

impl Operation {
    pub fn content_type(&self) -> String {
        match self.media.as_str() {
            "" => "application/json".into(),
            "merge" => "application/merge-patch+json".into(),
            "json" => "application/json-patch+json".into(),
            "strategic" => "application/strategic-merge-patch+json".into(),
            "apply" => "application/apply-patch+yaml".into(),
            other => other.into(),
        }
    }

    pub fn accept(&self) -> String {
        match self.accept.as_str() {
            "metadata" => "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1".into(),
            "metadata list" => "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1".into(),
            other => other.into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    heading: String,
    #[serde(default)]
    #[expect(dead_code, reason = "for readers of the file")]
    why: String,
    /// The operations are repeated for each of these; `$key` stands for its value.
    #[serde(default)]
    each: Vec<Map<String, Value>>,
    operations: Vec<Operation>,
}

/// Reads the list and repeats what is to be repeated.
pub fn operations(text: &str) -> Vec<Operation> {
    let blocks: Vec<Block> = serde_json::from_str(text).expect("operations.json is a list of blocks");
    let mut all = Vec::new();
    for block in blocks {
        let each = if block.each.is_empty() { vec![Map::new()] } else { block.each };
        for values in each {
            all.extend(
                block
                    .operations
                    .iter()
                    .filter(|operation| operation.needs.is_empty() || values.contains_key(&operation.needs))
                    .map(|operation| repeated(&block.heading, operation, &values)),
            );
        }
    }
    all
}

fn repeated(heading: &str, operation: &Operation, values: &Map<String, Value>) -> Operation {
    let mut operation = operation.clone();
    let of = values.get("plural").and_then(Value::as_str).map(|plural| format!(" {plural}")).unwrap_or_default();
    operation.name = format!("{heading}{of}: {}", operation.name);
    for text in [&mut operation.path, &mut operation.query] {
        *text = filled(text, values);
    }
    if let Some(text) = &mut operation.capture {
        *text = filled(text, values);
    }
    fill(&mut operation.body, values);
    operation
}

fn filled(text: &str, values: &Map<String, Value>) -> String {
    let mut text = text.to_owned();
    // Longer keys first, and values that name other keys in turn.
    let mut keys: Vec<&String> = values.keys().collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
    for _ in 0..2 {
        for key in &keys {
            if let Some(value) = values[*key].as_str() {
                text = text.replace(&format!("${key}"), value);
            }
        }
    }
    text
}

/// Puts values into a body: `"$create"` alone is the whole value, `{"$with": [a, b]}` is b merged over a.
fn fill(body: &mut Value, values: &Map<String, Value>) {
    match body {
        Value::String(text) => match text.strip_prefix('$').and_then(|key| values.get(key)) {
            Some(value) if !value.is_string() => {
                *body = value.clone();
                fill(body, values);
            }
            _ => *text = filled(text, values),
        },
        Value::Array(items) => {
            for item in items {
                fill(item, values);
            }
        }
        Value::Object(fields) => {
            for value in fields.values_mut() {
                fill(value, values);
            }
            if let Some(Value::Array(parts)) = fields.remove("$with") {
                *body = parts.into_iter().fold(json!({}), merged);
            }
        }
        _ => {}
    }
}

fn merged(mut under: Value, over: Value) -> Value {
    match (&mut under, over) {
        (Value::Object(fields), Value::Object(others)) => {
            for (key, value) in others {
                let before = fields.remove(&key).unwrap_or_default();
                fields.insert(key, merged(before, value));
            }
            under
        }
        (_, over) => over,
    }
}

/// A query with what a URL cannot hold percent-encoded.
pub fn encoded(query: &str) -> String {
    query
        .chars()
        .map(|letter| if " <>{}\"|!,()".contains(letter) { format!("%{:02X}", letter as u32) } else { letter.to_string() })
        .collect()
}
