//! The suffix that a generated name gets from its content.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::node::Node;
use super::resource::Resource;

/// The ten characters for a ConfigMap's or a Secret's content. kustomize looks the name up under
/// a key that no object has, so it is always empty here.
pub(super) fn suffix(resource: &Resource) -> Result<String, String> {
    let secret = resource.kind() == "Secret";
    let mut content = Map::new();
    content.insert("kind".to_owned(), Value::from(resource.kind()));
    content.insert("name".to_owned(), Value::from(""));
    content.insert("data".to_owned(), field(&resource.node, "data")?);
    if secret {
        content.insert("type".to_owned(), field(&resource.node, "type")?);
    }
    let extra = if secret { "stringData" } else { "binaryData" };
    let value = field(&resource.node, extra)?;
    if value.is_object() {
        content.insert(extra.to_owned(), value);
    }
    Ok(encode(&go_json(&Value::Object(content))))
}

fn field(node: &Node, key: &str) -> Result<Value, String> {
    match node.get(key) {
        None => Ok(Value::from("")),
        Some(Node::Scalar(scalar)) => Ok(Value::from(scalar.text.clone())),
        Some(collection) => collection.to_value(),
    }
}

/// Compact JSON as Go writes it, which hides HTML's special characters.
fn go_json(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        match c {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            other => text.push(other),
        }
    }
    text
}

/// Ten hexadecimal digits, without those that could spell words.
fn encode(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut hex = String::new();
    for byte in digest.iter().take(5) {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex.chars()
        .map(|c| match c {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::resource::resources;
    use super::*;

    fn hash(text: &str) -> String {
        resources(text, "test.yaml").ok().and_then(|found| found.first().and_then(|resource| suffix(resource).ok())).unwrap_or_default()
    }

    /// The answers are those of kustomize 5.8.1.
    #[test]
    fn known_answers() {
        assert_eq!(hash("kind: ConfigMap\nmetadata: {name: empty}\n"), "6ct58987ht");
        assert_eq!(hash("kind: Secret\nmetadata: {name: empty}\ntype: Opaque\ndata: {}\n"), "46f8b28mk5");
        assert_eq!(
            hash("kind: ConfigMap\nmetadata: {name: a}\ndata: {BAR: \"\", FOO: \"\", LEAD: 'x y ', Q: '\"a\"', x: \"1\"}\n"),
            "b66kmfcd9h"
        );
    }
}
