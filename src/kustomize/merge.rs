//! Strategic merge as kustomize does it, which is not quite as the API server does it: the keys of
//! lists come from [`super::merge_keys`], new elements go first, and `$patch` is obeyed.

use std::collections::BTreeSet;

use super::merge_keys::{Field, PLAIN, Type, field_of, type_of};
use super::node::{Node, Tag};

const DIRECTIVE: &str = "$patch";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

/// Merges `patch` into `target`; `None` where the patch deletes it.
pub(super) fn merge(target: Node, patch: &Node) -> Result<Option<Node>, String> {
    // kustomize merges in place, and a whole object is never in the place of another.
    if patch.get(DIRECTIVE).is_some_and(|text| text.as_text() == "replace") {
        return Ok(Some(target));
    }
    walk(Some(target), Some(patch.clone()), None, false)
}

fn null(node: Option<&Node>) -> bool {
    node.is_none_or(Node::is_null)
}

/// `same`: both are one node, because the patch brought it. kustomize then walks it against itself,
/// which takes out the nulls and the directives.
fn walk(dest: Option<Node>, origin: Option<Node>, field: Option<Field>, same: bool) -> Result<Option<Node>, String> {
    let sources = [dest.as_ref(), origin.as_ref()];
    let field = field.or_else(|| sources.into_iter().flatten().find_map(embedded));
    let Some(first) = sources.into_iter().flatten().find(|node| !node.is_null()) else {
        return walk_mapping(dest, origin, field, same);
    };
    let alike = |node: &&Node| node.is_null() || std::mem::discriminant(*node) == std::mem::discriminant(first);
    if !sources.iter().flatten().all(alike) {
        return Err("the patch and the object have different kinds of node at one place".to_owned());
    }
    match first {
        Node::Mapping(_) => walk_mapping(dest, origin, field, same),
        Node::Scalar(_) => Ok(origin.or(dest)),
        Node::Sequence(_) => match field {
            Some(Field::Merged(keys, element)) => walk_list(dest, origin, keys, element, same),
            _ => Ok(origin.or(dest)),
        },
    }
}

/// An object inside of an object of an unknown kind is merged by its own kind.
fn embedded(node: &Node) -> Option<Field> {
    let text = |key: &str| node.get(key).filter(|value| !value.is_null()).map(Node::as_text);
    type_of(text("apiVersion")?, text("kind")?).map(Field::Of)
}

fn walk_mapping(dest: Option<Node>, mut origin: Option<Node>, field: Option<Field>, same: bool) -> Result<Option<Node>, String> {
    let (dest, same) = if null(dest.as_ref()) {
        if let Some(patch @ Node::Mapping(_)) = origin.as_mut() {
            // A wrong directive is only seen where there is something to direct.
            if matches!(mapping_directive(patch), Ok(Directive::Delete)) {
                return Ok(None);
            }
        }
        match (&origin, dest) {
            (None, Some(Node::Scalar(mut scalar))) if !scalar.text.is_empty() => {
                scalar.keep = true;
                return Ok(Some(Node::Scalar(scalar)));
            }
            (None, _) => return Ok(None),
            (Some(patch), _) => (patch.clone(), true),
        }
    } else {
        match (dest, origin.as_mut()) {
            (None, _) => return Ok(None),
            (Some(dest), None) => (dest, false),
            (Some(_), Some(patch)) if patch.is_null() => return Ok(None),
            (Some(dest), Some(patch)) => match mapping_directive(patch)? {
                Directive::Delete => return Ok(None),
                Directive::Replace => (patch.clone(), true),
                Directive::Merge if same => (patch.clone(), true),
                Directive::Merge => (dest, false),
            },
        }
    };
    let mut dest = dest;
    let mut keys: BTreeSet<String> = BTreeSet::new();
    for node in [Some(&dest), origin.as_ref()].into_iter().flatten() {
        if let Node::Mapping(map) = node {
            keys.extend(map.keys().cloned());
        }
    }
    for key in keys {
        let below = match field {
            Some(Field::Of(name)) => Some(field_of(name, &key)),
            Some(Field::Merged(..)) => Some(Field::Of(PLAIN)),
            None => None,
        };
        let patch = origin.as_ref().and_then(|node| node.get(&key)).cloned();
        match walk(dest.get(&key).cloned(), patch, below, same)? {
            Some(Node::Scalar(scalar)) if scalar.tag == Tag::Null && !scalar.keep => {
                dest.remove(&key);
            }
            Some(value) => dest.set(&key, value),
            None => {
                dest.remove(&key);
            }
        }
    }
    Ok(Some(dest))
}

fn parse(text: &str) -> Result<Directive, String> {
    match text {
        "merge" => Ok(Directive::Merge),
        "replace" => Ok(Directive::Replace),
        "delete" => Ok(Directive::Delete),
        other => Err(format!("unknown {DIRECTIVE} \"{other}\"; it is merge, replace or delete")),
    }
}

/// Reads the directive of a mapping and takes it out.
fn mapping_directive(patch: &mut Node) -> Result<Directive, String> {
    let Some(text) = patch.get(DIRECTIVE).map(|node| node.as_text().to_owned()) else {
        return Ok(Directive::Merge);
    };
    let directive = parse(&text)?;
    patch.remove(DIRECTIVE);
    Ok(directive)
}

/// The directive of a list is an element of its own.
fn list_directive(items: &mut Vec<Node>) -> Result<Directive, String> {
    let found = items.iter().find(|item| item.get(DIRECTIVE).is_some());
    let text = match found {
        Some(Node::Mapping(map)) if map.len() == 1 => map.get(DIRECTIVE).map(|node| node.as_text().to_owned()).unwrap_or_default(),
        _ => return Ok(Directive::Merge),
    };
    let directive = parse(&text)?;
    put(items, None, &[DIRECTIVE], std::slice::from_ref(&text))?;
    Ok(directive)
}

fn items_of(node: Option<Node>) -> Option<Vec<Node>> {
    match node {
        Some(Node::Sequence(items)) => Some(items),
        _ => None,
    }
}

fn walk_list(dest: Option<Node>, origin: Option<Node>, keys: &[&str], element: Type, same: bool) -> Result<Option<Node>, String> {
    let cleared = origin.as_ref().is_some_and(Node::is_null);
    let mut origin = items_of(origin);
    let (dest, same) = match (items_of(dest), origin.as_mut()) {
        (None, Some(patch)) => (patch.clone(), true),
        (None, None) => return Ok(None),
        (Some(_), None) if cleared => return Ok(None),
        (Some(dest), None) => (dest, false),
        (Some(dest), Some(patch)) => match list_directive(patch)? {
            Directive::Delete => return Ok(None),
            Directive::Replace => (patch.clone(), true),
            Directive::Merge if same => (patch.clone(), true),
            Directive::Merge => (dest, false),
        },
    };
    let lists = Lists { dest, origin: origin.unwrap_or_default(), same };
    if keys.is_empty() {
        let values = unique(lists.items().map(|item| vec![item.as_text().to_owned()]));
        return merge_elements(&values, &[""], lists, element);
    }
    let values = unique(lists.items().map(|item| keys.iter().map(|key| key_text(item, key)).collect()));
    merge_elements(&values, keys, lists, element)
}

/// The two lists of a merge; `same` as in [`walk`].
struct Lists {
    dest: Vec<Node>,
    origin: Vec<Node>,
    same: bool,
}

impl Lists {
    /// The elements, those of the patch first.
    fn items(&self) -> impl Iterator<Item = &Node> {
        self.origin.iter().chain(&self.dest)
    }
}

fn key_text(item: &Node, key: &str) -> String {
    item.get(key).filter(|value| !value.is_empty()).map_or_else(String::new, |value| value.as_text().to_owned())
}

fn unique(values: impl Iterator<Item = Vec<String>>) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

/// Two tuples that agree in one part, and elsewhere differ only in that one leaves a part open,
/// name one element.
fn joined(left: &[String], right: &[String]) -> Option<Vec<String>> {
    let mut common = false;
    let mut parts = Vec::with_capacity(left.len());
    for (a, b) in left.iter().zip(right) {
        if a == b {
            common = true;
        } else if !a.is_empty() && !b.is_empty() {
            return None;
        }
        parts.push(if a.is_empty() { b.clone() } else { a.clone() });
    }
    common.then_some(parts)
}

fn merge_values(mut list: Vec<Vec<String>>) -> Vec<Vec<String>> {
    for left in 0..list.len() {
        // The tuple that is compared is the one from before its own row began.
        let row = list[left].clone();
        for right in 0..list.len() {
            if let Some(both) = joined(&row, &list[right]) {
                list[left].clone_from(&both);
                list[right] = both;
            }
        }
    }
    list
}

/// The keys that some element has; all of them where none has any.
fn valid_keys<'a>(list: &[Vec<String>], values: &[String], keys: &[&'a str]) -> (Vec<&'a str>, Vec<String>) {
    let used = |at: usize| list.iter().any(|values| values.get(at).is_some_and(|value| !value.is_empty()));
    let valid: Vec<bool> = (0..keys.len()).map(used).collect();
    if !valid.contains(&true) {
        return (keys.to_vec(), values.to_vec());
    }
    let pick_keys = keys.iter().zip(&valid).filter(|(_, valid)| **valid).map(|(key, _)| *key).collect();
    let pick_values = values.iter().zip(&valid).filter(|(_, valid)| **valid).map(|(value, _)| value.clone()).collect();
    (pick_keys, pick_values)
}

fn merge_elements(list: &[Vec<String>], keys: &[&str], lists: Lists, element: Type) -> Result<Option<Node>, String> {
    let Lists { mut dest, mut origin, same } = lists;
    let list = if keys.len() > 1 { merge_values(list.to_vec()) } else { list.to_vec() };
    let mut added = Vec::new();
    let mut last_keys: Vec<&str> = Vec::new();
    for values in &list {
        let (valid, chosen) = valid_keys(&list, values, keys);
        last_keys.clone_from(&valid);
        let (by, wanted) = valid_keys(std::slice::from_ref(&chosen), &chosen, &valid);
        let at = find(&dest, &by, &wanted);
        let from = find(&origin, &by, &wanted);
        let patch = from.map(|from| origin[from].clone());
        let replaces = patch.as_ref().and_then(|patch| patch.get(DIRECTIVE)).is_some_and(|text| text.as_text() == "replace");
        let merged = walk(at.map(|at| dest[at].clone()), patch, Some(Field::Of(element)), same)?;
        // A patch's element is used up in place: the next one with its keys finds what is left.
        if let Some(from) = from {
            match &merged {
                Some(merged) if at.is_none() || replaces => origin[from] = merged.clone(),
                _ => {
                    origin[from].remove(DIRECTIVE);
                }
            }
        }
        let mut merged = match merged {
            Some(node) if !node.is_null() && !matches!(&node, Node::Mapping(map) if map.is_empty()) => node,
            _ => {
                // A deleted element that no key finds again stays, without its directive.
                if let Some(at) = at.filter(|_| same) {
                    dest[at].remove(DIRECTIVE);
                }
                for _ in &valid {
                    put(&mut dest, None, &valid, &chosen)?;
                }
                continue;
            }
        };
        for (key, value) in valid.iter().zip(&chosen) {
            if !key.is_empty() && merged.get(key).is_none() && !value.is_empty() {
                merged.set(key, Node::unset(value.clone()));
            }
        }
        // The object's own element is changed where it stands, and wins below; a replaced one is not.
        if let Some(at) = at.filter(|_| same || !replaces) {
            dest[at] = merged.clone();
        }
        put(&mut added, Some(merged), &valid, &chosen)?;
    }
    if !list.is_empty() {
        append(&mut added, dest, &last_keys)?;
        dest = added;
    }
    Ok(Some(Node::Sequence(dest)))
}

/// Where the first element with these values is.
fn find(items: &[Node], keys: &[&str], values: &[String]) -> Option<usize> {
    if keys.first().is_none_or(|key| key.is_empty()) {
        let wanted = values.first().map_or("", String::as_str);
        return items.iter().position(|item| item.as_text() == wanted);
    }
    if keys.len() != values.len() {
        return None;
    }
    items.iter().position(|item| {
        let mut pairs = keys.iter().zip(values);
        matches!(item, Node::Mapping(_)) && pairs.all(|(key, value)| item.get(key).is_some_and(|node| node.as_text() == value))
    })
}

/// Appends the elements of `from`, those that are there already taking their place.
fn append(to: &mut Vec<Node>, from: Vec<Node>, keys: &[&str]) -> Result<(), String> {
    for item in from {
        if keys.first().is_none_or(|key| key.is_empty()) {
            let text = item.as_text().to_owned();
            put(to, Some(item), &[""], &[text])?;
            continue;
        }
        let mut values = Vec::new();
        for key in keys {
            match item.get(key) {
                None => to.push(item.clone()),
                Some(value) => values.push(value.as_text().to_owned()),
            }
        }
        if keys.len() > 1 {
            put(to, None, keys, &values)?;
        }
        put(to, Some(item), keys, &values)?;
    }
    Ok(())
}

/// Puts `element` in the place of those with these values, or at the end; without an element they
/// are removed. Elements without content go, and so does everything where no value is known.
fn put(items: &mut Vec<Node>, element: Option<Node>, keys: &[&str], values: &[String]) -> Result<(), String> {
    let by_mapping = keys.first().is_some_and(|key| !key.is_empty()) && values.first().is_some_and(|value| !value.is_empty());
    let mut kept = Vec::with_capacity(items.len() + 1);
    let mut placed = false;
    for item in std::mem::take(items) {
        if item.is_null() || matches!(&item, Node::Mapping(map) if map.is_empty()) {
            continue;
        }
        if !matches!(item, Node::Mapping(_)) && by_mapping {
            kept.push(item);
            continue;
        }
        if !fits(&item, keys, values)? {
            if !values.is_empty() {
                kept.push(item);
            }
            continue;
        }
        placed = true;
        if let Some(element) = &element {
            kept.push(element.clone());
        }
    }
    *items = kept;
    if let Some(element) = element.filter(|element| !element.is_null() && !placed) {
        items.push(element);
    }
    Ok(())
}

fn fits(item: &Node, keys: &[&str], values: &[String]) -> Result<bool, String> {
    // A key without a value fits where the key before it did.
    let mut last = false;
    for (at, key) in keys.iter().enumerate() {
        if let Some(value) = values.get(at) {
            last = match item {
                Node::Scalar(scalar) if key.is_empty() => scalar.text == *value,
                Node::Mapping(_) if !key.is_empty() => item.get(key).is_some_and(|node| value.is_empty() || node.as_text() == value),
                _ => return Err("a list mixes scalars and mappings".to_owned()),
            };
        }
        if !last {
            return Ok(false);
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn merged(target: &Value, patch: &Value) -> Option<Value> {
        let merged = merge(Node::from_value(target), &Node::from_value(patch)).ok()??;
        merged.to_value().ok()
    }

    fn pod(spec: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "spec": spec})
    }

    #[test]
    fn known_lists_merge_by_key_and_new_elements_go_first() {
        let target = pod(&json!({"containers": [{"name": "a", "image": "a:1"}], "tolerations": [1]}));
        let patch = pod(&json!({"containers": [{"name": "b"}, {"name": "a", "image": "a:2"}], "tolerations": [2]}));
        let wanted = pod(&json!({"containers": [{"name": "b"}, {"name": "a", "image": "a:2"}], "tolerations": [2]}));
        assert_eq!(merged(&target, &patch), Some(wanted));
    }

    #[test]
    fn nulls_and_directives_delete() {
        let target = pod(&json!({"x": 1, "containers": [{"name": "a"}, {"name": "b"}], "node": {"k": "v"}}));
        let patch = pod(&json!({"x": null, "containers": [{"name": "a", "$patch": "delete"}], "node": {"$patch": "replace", "z": 1}}));
        let wanted = pod(&json!({"containers": [{"name": "b"}], "node": {"z": 1}}));
        assert_eq!(merged(&target, &patch), Some(wanted));
        assert_eq!(merged(&target, &json!({"$patch": "delete"})), None);
    }

    #[test]
    fn lists_of_unknown_kinds_are_replaced() {
        let target = json!({"apiVersion": "e.io/v1", "kind": "C", "l": [{"name": "a", "v": 1}]});
        let patch = json!({"l": [{"name": "a"}]});
        assert_eq!(merged(&target, &patch).map(|value| value["l"].clone()), Some(json!([{"name": "a"}])));
    }
}
