//! What becomes of a live object when a configuration is applied to it: the typed merge, and what goes afterwards because
//! its applier no longer says it and nobody else owns it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::compare::fields_of;
use super::elements::element;
use super::fieldsv1::{child, children, intersect, is_member, subtract, unite};
use super::node::{Keys, Node, Shape};

/// The live object with what the configuration says; lists keep the live order, unless the configuration has another one.
pub fn merge(root: Node<'_>, live: &Value, config: &Value) -> Value {
    merge_node(root, Some(live), config)
}

fn merge_node(node: Node<'_>, live: Option<&Value>, config: &Value) -> Value {
    let Some(live) = live else { return config.clone() };
    match node.shape(config) {
        Shape::Map if !node.atomic_map() => merge_maps(node, live, config),
        Shape::List if !matches!(node.keys(), Keys::Atomic) => merge_lists(node, live, config),
        _ => config.clone(),
    }
}

fn merge_maps(node: Node<'_>, live: &Value, config: &Value) -> Value {
    let wanted = match config {
        Value::Object(wanted) if !wanted.is_empty() => wanted,
        // Nothing is said about what is there already.
        _ if live.as_object().is_some_and(|live| !live.is_empty()) => return live.clone(),
        _ => return config.clone(),
    };
    let nothing = Map::new();
    let there = live.as_object().unwrap_or(&nothing);
    let mut merged = Map::new();
    for (name, live) in there {
        let value = match wanted.get(name) {
            Some(value) => merge_node(node.field(name).map_or(Node::Deduced, |(field, _)| field), Some(live), value),
            None => live.clone(),
        };
        merged.insert(name.clone(), value);
    }
    for (name, value) in wanted.iter().filter(|(name, _)| !there.contains_key(*name)) {
        merged.insert(name.clone(), value.clone());
    }
    Value::Object(merged)
}

/// One list with its elements; items that have none are left out.
struct Side<'v> {
    items: Vec<(String, &'v Value)>,
    /// The item of each element; None for an element that several items have, which merges with nothing.
    by_element: BTreeMap<String, Option<&'v Value>>,
}

impl<'v> Side<'v> {
    fn new(list: Node<'_>, items: &'v [Value]) -> Self {
        let mut side = Self { items: Vec::with_capacity(items.len()), by_element: BTreeMap::new() };
        for item in items {
            let Ok(element) = element(list, item) else { continue };
            side.by_element.entry(element.clone()).and_modify(|there| *there = None).or_insert(Some(item));
            side.items.push((element, item));
        }
        side
    }

    fn has(&self, element: &str) -> bool {
        self.by_element.contains_key(element)
    }
}

fn merge_lists(list: Node<'_>, live: &Value, config: &Value) -> Value {
    let wanted = match config {
        Value::Array(wanted) if !wanted.is_empty() => wanted,
        _ if live.as_array().is_some_and(|live| !live.is_empty()) => return live.clone(),
        _ => return config.clone(),
    };
    let old = Side::new(list, live.as_array().map_or(&[], Vec::as_slice));
    let new = Side::new(list, wanted);
    Value::Array(interleave(list.item(), &old, &new))
}

/// Both lists in one order: what both hold keeps the order of `new`; what only `old` holds stays before what followed it.
fn interleave(item: Node<'_>, old: &Side<'_>, new: &Side<'_>) -> Vec<Value> {
    let join =
        |element: &str, wanted: &Value| merge_node(item, old.by_element.get(element).map(|there| there.unwrap_or(&Value::Null)), wanted);
    let mut merged = Vec::with_capacity(old.items.len().max(new.items.len()));
    let mut done = BTreeSet::<&str>::new();
    let mut shared = new.items.iter().map(|(element, _)| element.as_str()).filter(|element| old.has(element));
    let mut next = shared.next();
    let (mut at_old, mut at_new) = (0, 0);
    while at_old < old.items.len() || at_new < new.items.len() {
        if let (Some((mine, _)), Some((theirs, wanted))) = (old.items.get(at_old), new.items.get(at_new)) {
            if mine == theirs {
                merged.push(join(theirs, wanted));
                done.insert(theirs);
                (at_old, at_new, next) = (at_old + 1, at_new + 1, shared.next());
                continue;
            }
            if new.has(mine) && next.is_some_and(|next| next != mine) {
                at_old += 1; // It has its turn where the new list has it.
                continue;
            }
        }
        if let Some((mine, value)) = old.items.get(at_old) {
            if !new.has(mine) {
                merged.push((*value).clone());
                at_old += 1;
                continue;
            }
            if done.contains(mine.as_str()) {
                at_old += 1;
            }
        }
        if let Some((theirs, wanted)) = new.items.get(at_new) {
            merged.push(join(theirs, wanted));
            done.insert(theirs);
            at_new += 1;
            if next == Some(theirs) {
                next = shared.next();
            }
        }
    }
    merged
}

/// An object of nothing but what says which kind it is, as a custom object starts.
pub fn bare(object: &Value) -> Value {
    let kept = ["apiVersion", "kind"].iter().filter_map(|name| Some(((*name).to_owned(), object.get(*name)?.clone())));
    Value::Object(kept.collect::<Map<_, _>>())
}

type Set = Map<String, Value>;

/// `last` is what the applier owned before; `owned` what all managers own now, the applier's new set among them.
///
/// Items go with all beneath them. What somebody owns comes back, and so does what the applier never owned.
pub fn prune(root: Node<'_>, merged: &Value, last: &Set, owned: &Set) -> Value {
    let last = with_named(Some(root), last);
    let all = with_named(Some(root), &fields_of(root, merged).children);
    let lost = |object: &Value| {
        let mut lost = all.clone();
        subtract(&mut lost, &with_named(Some(root), &fields_of(root, object).children));
        lost
    };
    let mut unowned = lost(&without(root, merged, &last));
    subtract(&mut unowned, &with_named(Some(root), owned));
    let given_up = intersect(&lost(&without(root, merged, &unowned)), &last);
    if given_up.is_empty() { merged.clone() } else { without(root, merged, &given_up) }
}

/// Whether `last` holds anything that `now` does not: where not, nothing is pruned.
pub fn gives_up(last: &Set, now: &Set) -> bool {
    children(last).any(|(key, node)| match child(now, key) {
        None => true,
        Some(there) => (is_member(node) && !is_member(there)) || gives_up(node, there),
    })
}

/// The union of several sets.
pub fn union<'s>(sets: impl Iterator<Item = &'s Set>) -> Set {
    let mut all = Set::new();
    for set in sets {
        unite(&mut all, set);
    }
    all
}

/// The set with the named fields on the way to its paths as paths of their own.
fn with_named(node: Option<Node<'_>>, set: &Set) -> Set {
    let mut out = Set::new();
    for (key, beneath) in children(set) {
        let (inner, named) = match (node, key.split_at_checked(2)) {
            (Some(node), Some(("f:", name))) => node.field(name).map_or((None, false), |(field, declared)| (Some(field), declared)),
            (Some(node), Some(("k:", _))) => (Some(node.item()), false),
            _ => (None, false),
        };
        let mut more = with_named(inner, beneath);
        if (named || is_member(beneath)) && !more.is_empty() {
            more.insert(".".into(), Value::Object(Set::new()));
        }
        out.insert(key.clone(), Value::Object(more));
    }
    out
}

/// The value without the items and fields of `gone`; null when nothing is left of it.
fn without(node: Node<'_>, value: &Value, gone: &Set) -> Value {
    match (node.shape(value), value) {
        (Shape::Map, Value::Object(map)) if !node.atomic_map() => {
            let mut kept = Map::new();
            for (name, value) in map {
                if let Some(value) = survivor(node.field(name).map(|(field, _)| field), value, gone, &format!("f:{name}")) {
                    kept.insert(name.clone(), value);
                }
            }
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        (Shape::List, Value::Array(items)) if !matches!(node.keys(), Keys::Atomic) => {
            let key = |item| element(node, item).unwrap_or_default();
            let kept: Vec<_> = items.iter().filter_map(|item| survivor(Some(node.item()), item, gone, &key(item))).collect();
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        (Shape::Scalar, _) => value.clone(),
        _ => Value::Null,
    }
}

/// What is left of one item: None when it goes itself.
fn survivor(node: Option<Node<'_>>, value: &Value, gone: &Set, key: &str) -> Option<Value> {
    match child(gone, key) {
        None => Some(value.clone()),
        Some(set) if is_member(set) => None,
        Some(set) => Some(without(node.unwrap_or(Node::Deduced), value, set)),
    }
}
