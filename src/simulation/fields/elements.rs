//! The elements of field paths that tell the items of a list apart, and when two values are the same.

use serde_json::{Map, Number, Value};

use super::node::{Keys, Node};

/// The element of an item in the list at `list`, as a key of `fieldsV1`; what is wrong with the item when it has none.
pub fn element(list: Node<'_>, item: &Value) -> Result<String, &'static str> {
    match list.keys() {
        Keys::Atomic => Err("a list that merges as a whole has no elements"),
        Keys::Set => match item {
            Value::Object(_) => Err("associative list without keys has an element that's a map type"),
            Value::Array(_) => Err("not supported: associative list with lists as elements"),
            Value::Null => Err("associative list without keys has an element that's an explicit null"),
            scalar => Ok(set_element(scalar)),
        },
        Keys::BuiltIn(keys) => keyed(list, item, keys.iter().copied()),
        Keys::Schema(keys) => {
            let mut names: Vec<_> = keys.iter().filter_map(Value::as_str).collect();
            names.sort_unstable();
            keyed(list, item, names.into_iter())
        }
    }
}

fn set_element(scalar: &Value) -> String {
    let mut text = String::from("v:");
    write_scalar(scalar, &mut text);
    text
}

/// `names` are sorted.
fn keyed<'k>(list: Node<'_>, item: &Value, names: impl Iterator<Item = &'k str>) -> Result<String, &'static str> {
    let item = match item {
        Value::Object(item) => item,
        Value::Null => return Err("associative list with keys may not have a null element"),
        _ => return Err("associative list with keys may not have non-map elements"),
    };
    let mut text = String::from("k:{");
    for name in names {
        let Some(value) = item.get(name).or_else(|| list.item().key_default(name)) else { continue };
        if text.len() > 3 {
            text.push(',');
        }
        write_text(name, &mut text);
        text.push(':');
        write_scalar(value, &mut text);
    }
    if text.len() == 3 {
        return Err("associative list with keys has an element that omits all key fields");
    }
    text.push('}');
    Ok(text)
}

fn write_scalar(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => write_text(text, out),
        Value::Number(number) => match whole(number) {
            Some(whole) => out.push_str(&whole.to_string()),
            None => out.push_str(&number.to_string()),
        },
        other => out.push_str(&other.to_string()),
    }
}

/// JSON text as Go writes it: `<`, `>` and `&` are escaped, too.
fn write_text(text: &str, out: &mut String) {
    let json = if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./: ".contains(&byte)) {
        out.push('"');
        out.push_str(text);
        out.push('"');
        return;
    } else {
        Value::from(text).to_string()
    };
    for letter in json.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            other => out.push(other),
        }
    }
}

/// The integer that a number is.
pub fn whole(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
        (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
    })
}

/// Whether two values are the same for the server: numbers compare by value, whatever they are written as.
pub fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same(a, b)),
        (Value::Object(one), Value::Object(other)) => same_maps(one, other),
        _ => one == other,
    }
}

fn same_maps(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    one.len() == other.len() && one.iter().all(|(key, value)| other.get(key).is_some_and(|there| same(value, there)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn elements_are_written_as_go_writes_them() {
        assert_eq!(set_element(&json!("a<b&c")), "v:\"a\\u003cb\\u0026c\"");
        assert_eq!(set_element(&json!(1.0)), "v:1");
        assert_eq!(set_element(&json!("q\"")), "v:\"q\\\"\"");
    }

    #[test]
    fn numbers_are_the_same_by_value() {
        assert!(same(&json!({"a": [1, 2.5]}), &json!({"a": [1.0, 2.5]})));
        assert!(!same(&json!([1]), &json!(["1"])));
        assert!(!same(&json!({"a": null}), &json!({})));
    }
}
