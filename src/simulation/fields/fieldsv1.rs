//! Sets of field paths in the shape of `fieldsV1`: the JSON tree that is stored is the tree that is computed with.
//!
//! A node is a member of its set when it is empty or holds ".". Its other keys are its children: `f:` and a field's name,
//! `k:` and the keys of a list's item, `v:` and the value of a set's item. The root is never a member.

use serde_json::{Map, Value};

type Node = Map<String, Value>;

/// A node while it grows: whether the path that leads here is in the set, and what is beneath.
#[derive(Default, Debug)]
pub struct Fields {
    pub member: bool,
    pub children: Node,
}

impl Fields {
    pub fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    /// Puts `child` beneath this node, unless there is nothing in it.
    pub fn attach(&mut self, mut child: Fields, key: impl FnOnce() -> String) {
        if child.is_empty() {
            return;
        }
        if child.member && !child.children.is_empty() {
            child.children.insert(".".into(), Value::Object(Node::new()));
        }
        let key = key();
        if let Some(Value::Object(there)) = self.children.get_mut(&key) {
            unite_nodes(there, child.children);
        } else {
            self.children.insert(key, Value::Object(child.children));
        }
    }

    /// Takes the named field at `path` away with all beneath it.
    pub fn remove(&mut self, path: &[&str]) {
        remove_field(&mut self.children, path);
    }
}

/// The children of a node, each with its key.
pub fn children(node: &Node) -> impl Iterator<Item = (&String, &Node)> {
    node.iter().filter(|(key, _)| *key != ".").filter_map(|(key, child)| Some((key, child.as_object()?)))
}

pub fn is_member(node: &Node) -> bool {
    node.is_empty() || node.contains_key(".")
}

/// The child with this key.
pub fn child<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    node.get(key).and_then(Value::as_object)
}

/// The child of this named field.
pub fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    child(node, &format!("f:{name}"))
}

fn remove_field(node: &mut Node, path: &[&str]) {
    let Some((name, rest)) = path.split_first() else { return };
    let key = format!("f:{name}");
    if rest.is_empty() {
        node.remove(&key);
    } else if let Some(Value::Object(beneath)) = node.get_mut(&key)
        && !beneath.is_empty()
    {
        remove_field(beneath, rest);
        if beneath.is_empty() {
            node.remove(&key);
        }
    }
}

/// What of `minus` is in `fields` goes, path by path; true when something went.
pub fn subtract(fields: &mut Node, minus: &Node) -> bool {
    let mut went = false;
    for (key, less) in children(minus) {
        let Some(Value::Object(node)) = fields.get_mut(key) else { continue };
        let was_member = is_member(node);
        let stays_member = was_member && !is_member(less);
        went |= was_member && !stays_member;
        went |= subtract(node, less);
        if !stays_member && node.keys().all(|key| key == ".") {
            fields.remove(key);
        } else if !stays_member {
            node.remove(".");
        } else if node.len() == 1 {
            node.remove("."); // A member without children is written as an empty node.
        }
    }
    went
}

/// What is in `more` joins `fields`.
pub fn unite(fields: &mut Node, more: &Node) {
    for (key, other) in children(more) {
        match fields.get_mut(key) {
            Some(Value::Object(node)) => unite_nodes(node, other.clone()),
            _ => drop(fields.insert(key.clone(), Value::Object(other.clone()))),
        }
    }
}

fn unite_nodes(node: &mut Node, other: Node) {
    let member = is_member(node) || is_member(&other);
    unite(node, &other);
    if member && !node.is_empty() {
        node.insert(".".into(), Value::Object(Node::new()));
    } else if node.keys().all(|key| key == ".") {
        node.clear();
    }
}

/// What is in both.
pub fn intersect(fields: &Node, other: &Node) -> Node {
    let mut both = Fields::default();
    for (key, one) in children(fields) {
        if let Some(two) = child(other, key) {
            let beneath = Fields { member: is_member(one) && is_member(two), children: intersect(one, two) };
            both.attach(beneath, || key.clone());
        }
    }
    both.children
}

/// The paths of a set in the server's words and order: the members of a node before what is beneath them.
pub fn paths(fields: &Node) -> Vec<String> {
    let mut found = Vec::new();
    list(fields, "", &mut found);
    found
}

fn list(fields: &Node, prefix: &str, found: &mut Vec<String>) {
    for (key, node) in children(fields) {
        if is_member(node) {
            found.push(format!("{prefix}{}", words(key)));
        }
    }
    for (key, node) in children(fields) {
        list(node, &format!("{prefix}{}", words(key)), found);
    }
}

/// An element of a path in the server's words: `.name`, `[key="value",…]` or `[="value"]`.
pub fn words(key: &str) -> String {
    match key.split_at_checked(2) {
        Some(("f:", name)) => format!(".{name}"),
        Some(("v:", json)) => format!("[={json}]"),
        Some(("k:", json)) => {
            let keys: Node = serde_json::from_str(json).unwrap_or_default();
            let pairs: Vec<_> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", pairs.join(","))
        }
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(value: &Value) -> Node {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn subtracting_a_child_keeps_its_parent_and_a_parent_its_child() {
        let mut fields = node(&json!({"f:a": {".": {}, "f:b": {}}, "f:c": {"f:d": {}}}));
        assert!(subtract(&mut fields, &node(&json!({"f:a": {"f:b": {}}, "f:c": {}, "f:x": {}}))));
        assert_eq!(Value::Object(fields.clone()), json!({"f:a": {}, "f:c": {"f:d": {}}}));
        assert!(subtract(&mut fields, &node(&json!({"f:a": {}}))));
        assert!(!subtract(&mut fields, &node(&json!({"f:c": {"f:e": {}}}))));
        assert_eq!(Value::Object(fields), json!({"f:c": {"f:d": {}}}));
    }

    #[test]
    fn uniting_keeps_membership() {
        let mut fields = node(&json!({"f:a": {}, "f:b": {"f:c": {}}}));
        unite(&mut fields, &node(&json!({"f:a": {"f:x": {}}, "f:b": {".": {}, "f:c": {}}, "f:z": {}})));
        assert_eq!(Value::Object(fields), json!({"f:a": {".": {}, "f:x": {}}, "f:b": {".": {}, "f:c": {}}, "f:z": {}}));
    }

    #[test]
    fn paths_are_in_the_words_of_the_server() {
        let fields = node(
            &json!({"f:spec": {"f:l": {"k:{\"port\":1,\"protocol\":\"TCP\"}": {".": {}, "f:x": {}}}, "f:m": {}, "f:t": {"v:\"a\"": {}}}}),
        );
        assert_eq!(
            paths(&fields),
            [".spec.m", ".spec.l[port=1,protocol=\"TCP\"]", ".spec.l[port=1,protocol=\"TCP\"].x", ".spec.t[=\"a\"]"]
        );
    }
}
