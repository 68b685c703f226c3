//! JSON patches (RFC 6902) with the leniency of the library that kustomize uses: `replace` makes
//! a key that is not there.

use serde_json::Value;

/// One operation.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    op: String,
    path: String,
    from: String,
    value: Option<Value>,
}

/// Reads the operations of a patch.
pub(super) fn operations(value: &Value) -> Result<Vec<Operation>, String> {
    let items = value.as_array().ok_or("a JSON patch is a list of operations")?;
    items.iter().map(operation).collect()
}

fn operation(item: &Value) -> Result<Operation, String> {
    let map = item.as_object().ok_or("an operation of a JSON patch is a mapping")?;
    let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let found = Operation { op: text("op"), path: text("path"), from: text("from"), value: map.get("value").cloned() };
    let known = ["add", "remove", "replace", "move", "copy", "test"];
    if !known.contains(&found.op.as_str()) {
        return Err(format!("unknown operation \"{}\"", found.op));
    }
    if found.value.is_none() && ["add", "replace", "test"].contains(&found.op.as_str()) {
        return Err(format!("{} {} has no value", found.op, found.path));
    }
    Ok(found)
}

/// Applies `operations` to `document`, in order.
pub(super) fn apply(document: &mut Value, operations: &[Operation]) -> Result<(), String> {
    operations
        .iter()
        .try_for_each(|operation| one(document, operation).map_err(|cause| format!("{} {}: {cause}", operation.op, operation.path)))
}

fn one(document: &mut Value, operation: &Operation) -> Result<(), String> {
    let value = || operation.value.clone().unwrap_or_default();
    match operation.op.as_str() {
        "add" => add(document, &operation.path, value()),
        "remove" => remove(document, &operation.path).map(|_| ()),
        "replace" => replace(document, &operation.path, value()),
        "move" => {
            let moved = remove(document, &operation.from)?;
            add(document, &operation.path, moved)
        }
        "copy" => {
            let copied = get(document, &operation.from)?.ok_or("the source is not there")?.clone();
            add(document, &operation.path, copied)
        }
        _ => {
            let found = get(document, &operation.path)?;
            let same = found.unwrap_or(&Value::Null) == &value();
            if same { Ok(()) } else { Err("the value is another one".to_owned()) }
        }
    }
}

fn parts(path: &str) -> Result<(Vec<String>, String), String> {
    let mut parts: Vec<String> = path.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    match parts.pop() {
        Some(last) if !parts.is_empty() => {
            parts.remove(0);
            Ok((parts, last))
        }
        _ => Err("the path does not begin with /".to_owned()),
    }
}

fn index(part: &str, limit: usize) -> Result<usize, String> {
    if part.starts_with('-') {
        return Err(format!("the negative index {part} is not supported"));
    }
    match part.parse::<usize>() {
        Ok(at) if at < limit => Ok(at),
        Ok(at) => Err(format!("the index {at} is out of range")),
        Err(_) => Err(format!("{part} is no index")),
    }
}

fn parent<'a>(document: &'a mut Value, path: &[String]) -> Result<&'a mut Value, String> {
    let mut at = document;
    for part in path {
        at = match at {
            Value::Object(map) => map.get_mut(part).ok_or_else(|| format!("{part} is not there"))?,
            Value::Array(items) => {
                let at = index(part, items.len())?;
                &mut items[at]
            }
            _ => return Err(format!("{part} is not there")),
        };
    }
    match at {
        Value::Object(_) | Value::Array(_) => Ok(at),
        _ => Err("it leads through a scalar".to_owned()),
    }
}

fn get<'a>(document: &'a Value, path: &str) -> Result<Option<&'a Value>, String> {
    let (folder, last) = parts(path)?;
    let mut at = document;
    for part in folder.iter().chain([&last]) {
        let below = match at {
            Value::Object(map) => map.get(part),
            Value::Array(items) => Some(&items[index(part, items.len())?]),
            _ => return Err("it leads through a scalar".to_owned()),
        };
        match below {
            Some(below) => at = below,
            None if std::ptr::eq(part, &raw const last) => return Ok(None),
            None => return Err(format!("{part} is not there")),
        }
    }
    Ok(Some(at))
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let (folder, last) = parts(path)?;
    match parent(document, &folder)? {
        Value::Object(map) => {
            map.insert(last, value);
        }
        Value::Array(items) if last == "-" => items.push(value),
        Value::Array(items) => {
            let at = index(&last, items.len() + 1)?;
            items.insert(at, value);
        }
        _ => {}
    }
    Ok(())
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let (folder, last) = parts(path)?;
    match parent(document, &folder)? {
        Value::Object(map) => {
            map.insert(last, value);
        }
        Value::Array(items) => {
            let at = index(&last, items.len())?;
            items[at] = value;
        }
        _ => {}
    }
    Ok(())
}

fn remove(document: &mut Value, path: &str) -> Result<Value, String> {
    let (folder, last) = parts(path)?;
    match parent(document, &folder)? {
        Value::Object(map) => map.remove(&last).ok_or_else(|| format!("{last} is not there")),
        Value::Array(items) => {
            let at = index(&last, items.len())?;
            Ok(items.remove(at))
        }
        _ => Ok(Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(patch: Value) -> Result<Value, String> {
        let mut document = json!({"a": {"b/c": 1}, "l": [1, 2]});
        apply(&mut document, &operations(&patch)?)?;
        Ok(document)
    }

    #[test]
    fn operations_apply_in_order() {
        let done = patched(json!([
            {"op": "test", "path": "/a/b~1c", "value": 1},
            {"op": "add", "path": "/l/-", "value": 3},
            {"op": "add", "path": "/l/0", "value": 0},
            {"op": "remove", "path": "/l/1"},
            {"op": "move", "from": "/a/b~1c", "path": "/x"},
            {"op": "copy", "from": "/l", "path": "/a/l"},
            {"op": "replace", "path": "/a/new", "value": true},
        ]));
        assert_eq!(done, Ok(json!({"a": {"l": [0, 2, 3], "new": true}, "l": [0, 2, 3], "x": 1})));
    }

    #[test]
    fn what_does_not_apply_is_an_error() {
        for patch in [
            json!([{"op": "remove", "path": "/none"}]),
            json!([{"op": "add", "path": "/none/x", "value": 1}]),
            json!([{"op": "add", "path": "/l/9", "value": 1}]),
            json!([{"op": "test", "path": "/l/0", "value": 9}]),
            json!([{"op": "replace", "path": "", "value": 9}]),
            json!([{"op": "rename", "path": "/a"}]),
        ] {
            assert!(patched(patch.clone()).is_err(), "{patch}");
        }
    }
}
