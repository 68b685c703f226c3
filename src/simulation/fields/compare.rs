//! What differs between two objects, as sets of field paths; and the set of an object's own paths.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::elements::{element, same};
use super::fieldsv1::Fields;
use super::node::{Keys, Node, Shape};

/// Fields of `metadata` that no manager ever owns.
const UNOWNED: &[&str] =
    &["name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion"];

/// What the right-hand object does to the left-hand one.
#[derive(Default)]
pub struct Delta {
    /// Added or modified.
    pub changed: Fields,
    pub removed: Fields,
}

impl Delta {
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }

    fn attach(&mut self, child: Delta, key: impl Fn() -> String) {
        self.changed.attach(child.changed, &key);
        self.removed.attach(child.removed, &key);
    }
}

/// Compares whole objects; what nobody owns does not count.
pub fn compare(root: Node<'_>, left: &Value, right: &Value) -> Delta {
    let mut delta = Delta::default();
    let (left, right) = (left.as_object(), right.as_object());
    for (name, one, other) in zip(left, right) {
        match name {
            "apiVersion" | "kind" => {}
            "metadata" => delta.attach(compare_metadata(root, one, other), || "f:metadata".into()),
            _ => compare_field(root, name, one, other, &mut delta),
        }
    }
    delta
}

fn compare_metadata(root: Node<'_>, left: Option<&Value>, right: Option<&Value>) -> Delta {
    let mut delta = Delta::default();
    let Some((meta, _)) = root.field("metadata") else { return delta };
    for (name, one, other) in zip(left.and_then(Value::as_object), right.and_then(Value::as_object)) {
        if !UNOWNED.contains(&name) {
            compare_field(meta, name, one, other, &mut delta);
        }
    }
    delta
}

fn compare_field(parent: Node<'_>, name: &str, left: Option<&Value>, right: Option<&Value>, delta: &mut Delta) {
    // A field that the schema does not know any more is compared by its value.
    let node = parent.field(name).map_or(Node::Deduced, |(node, _)| node);
    delta.attach(compare_node(node, left, right), || format!("f:{name}"));
}

/// Names that either map holds, in order, with both values.
fn zip<'v>(
    left: Option<&'v Map<String, Value>>,
    right: Option<&'v Map<String, Value>>,
) -> Vec<(&'v str, Option<&'v Value>, Option<&'v Value>)> {
    let mut all: Vec<_> =
        left.into_iter().flatten().map(|(name, value)| (name.as_str(), Some(value), right.and_then(|r| r.get(name)))).collect();
    let fresh = right.into_iter().flatten().filter(|(name, _)| left.is_none_or(|l| !l.contains_key(*name)));
    all.extend(fresh.map(|(name, value)| (name.as_str(), None, Some(value))));
    all
}

fn compare_node(node: Node<'_>, left: Option<&Value>, right: Option<&Value>) -> Delta {
    let mut delta = Delta::default();
    if left == right {
        return delta;
    }
    let shape_of = |value: Option<&Value>| value.map(|value| node.shape(value));
    let mut leaf = true;
    match (shape_of(left), shape_of(right)) {
        (Some(one), Some(other)) if one != other => {
            compare_shape(node, one, left, right, &mut delta);
            leaf = compare_shape(node, other, left, right, &mut delta);
        }
        (Some(shape), _) | (None, Some(shape)) => leaf = compare_shape(node, shape, left, right, &mut delta),
        (None, None) => {}
    }
    // Something that is not a leaf and comes or goes as a whole is a path of its own.
    if !leaf {
        delta.changed.member |= left.is_none();
        delta.removed.member |= right.is_none();
    }
    delta
}

/// Compares as if the type had only this shape; true when it turned out to be a leaf.
fn compare_shape(node: Node<'_>, shape: Shape, left: Option<&Value>, right: Option<&Value>, delta: &mut Delta) -> bool {
    let nothing = |value: Option<&Value>| match (shape, value) {
        (Shape::Map, Some(Value::Object(map))) => map.is_empty(),
        (Shape::List, Some(Value::Array(list))) => list.is_empty(),
        _ => true,
    };
    let whole = match shape {
        Shape::Scalar => true,
        Shape::Map => node.atomic_map(),
        Shape::List => matches!(node.keys(), Keys::Atomic),
    };
    if whole || (nothing(left) && nothing(right)) {
        match (left, right) {
            (None, _) => delta.changed.member = true,
            (_, None) => delta.removed.member = true,
            (Some(one), Some(other)) => delta.changed.member |= !same(one, other),
        }
        return true;
    }
    if shape == Shape::Map {
        for (name, one, other) in zip(left.and_then(Value::as_object), right.and_then(Value::as_object)) {
            compare_field(node, name, one, other, delta);
        }
    } else {
        compare_items(node, left.and_then(Value::as_array), right.and_then(Value::as_array), delta);
    }
    false
}

/// The values of each element, usually one.
fn index<'v>(list: Node<'_>, items: Option<&'v Vec<Value>>) -> BTreeMap<String, Vec<&'v Value>> {
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for item in items.into_iter().flatten() {
        if let Ok(element) = element(list, item) {
            found.entry(element).or_default().push(item);
        }
    }
    found
}

fn compare_items(list: Node<'_>, left: Option<&Vec<Value>>, right: Option<&Vec<Value>>, delta: &mut Delta) {
    let (lefts, rights) = (index(list, left), index(list, right));
    let only_right = rights.keys().filter(|element| !lefts.contains_key(*element));
    for key in lefts.keys().chain(only_right) {
        let (ones, others) = (lefts.get(key).map_or(&[][..], Vec::as_slice), rights.get(key).map_or(&[][..], Vec::as_slice));
        delta.attach(compare_item(list.item(), ones, others), || key.clone());
    }
}

/// Compares what has the same element. Where that is more than one item, they are compared as a whole.
fn compare_item(item: Node<'_>, left: &[&Value], right: &[&Value]) -> Delta {
    let first = |items: &[&'_ Value]| items.len() == 1;
    let mut delta = Delta::default();
    match (left, right) {
        ([_, _, ..], [_, _, ..]) => delta.changed.member = left.len() != right.len() || !left.iter().zip(right).all(|(a, b)| same(a, b)),
        ([_, _, ..], _) => {
            if first(right) {
                delta = compare_node(item, None, right.first().copied());
            }
            delta.removed.member = true;
        }
        (_, [_, _, ..]) => {
            if first(left) {
                delta = compare_node(item, left.first().copied(), None);
            }
            delta.changed.member = true;
        }
        _ => delta = compare_node(item, left.first().copied(), right.first().copied()),
    }
    delta
}

/// Takes out of a set what nobody owns.
pub fn strip_unowned(fields: &mut Fields) {
    fields.remove(&["apiVersion"]);
    fields.remove(&["kind"]);
    for name in UNOWNED {
        fields.remove(&["metadata", name]);
    }
    if super::fieldsv1::field(&fields.children, "metadata").is_some_and(Map::is_empty) {
        fields.remove(&["metadata"]);
    }
}

/// All paths of a value: leaves, and the items of lists and maps.
pub fn fields_of(node: Node<'_>, value: &Value) -> Fields {
    let mut fields = Fields::default();
    match node.shape(value) {
        Shape::Scalar => fields.member = true,
        Shape::Map if node.atomic_map() => fields.member = true,
        Shape::Map => map_fields(node, value, &mut fields),
        Shape::List => match node.keys() {
            Keys::Atomic => fields.member = true,
            _ => list_fields(node, value, &mut fields),
        },
    }
    fields
}

fn map_fields(node: Node<'_>, value: &Value, fields: &mut Fields) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let (field, declared) = node.field(name).unwrap_or((Node::Deduced, false));
        let mut beneath = fields_of(field, value);
        beneath.member |= !declared || value.is_null() || value.as_object().is_some_and(Map::is_empty);
        fields.attach(beneath, || format!("f:{name}"));
    }
}

fn list_fields(list: Node<'_>, value: &Value, fields: &mut Fields) {
    for (element, items) in index(list, value.as_array()) {
        let mut beneath = match items[..] {
            [item] => fields_of(list.item(), item),
            _ => Fields::default(),
        };
        beneath.member = true;
        fields.attach(beneath, || element);
    }
}
