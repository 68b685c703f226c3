//! What `spec.analysis.match` asks for (rollout-contract §2.3), for routers that have other words than Istio's.
//!
//! A condition that is passed over sends the canary requests that it should not get, so what a router cannot honour is a mistake.

use serde_json::Value;

use super::edit::brief;
use crate::domain::canary::CanarySpec;

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Exact,
    Prefix,
    Suffix,
    Regex,
}

impl How {
    const ALL: [Self; 4] = [Self::Exact, Self::Prefix, Self::Suffix, Self::Regex];

    const fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Prefix => "prefix",
            Self::Suffix => "suffix",
            Self::Regex => "regex",
        }
    }
}

/// What a router can tell requests apart by.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary {
    /// Fields of a match: `headers`, `queryParams`, `method`.
    pub fields: &'static [&'static str],
    pub ways: &'static [How],
}

/// One comparison; `name` is the header's or parameter's, empty for the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition<'a> {
    pub field: &'a str,
    pub name: &'a str,
    pub how: How,
    pub value: &'a str,
}

/// The conditions of each match, by field and name; a request that meets all of one match goes to the canary.
///
/// # Errors
/// A sentence for what `can` has no word for, and for a match without a condition, which would be everybody.
pub fn conditions(spec: &CanarySpec, can: Vocabulary) -> Result<Vec<Vec<Condition<'_>>>, String> {
    spec.analysis
        .matches
        .iter()
        .enumerate()
        .map(|(index, entry)| conditions_of(&entry.0, can, &format!("spec.analysis.match[{index}]")))
        .collect()
}

fn conditions_of<'a>(entry: &'a Value, can: Vocabulary, path: &str) -> Result<Vec<Condition<'a>>, String> {
    let mut out = Vec::new();
    for (field, value) in entry.as_object().into_iter().flatten().filter(|(field, value)| *field != "name" && !is_empty(value)) {
        let path = format!("{path}.{}", brief(field));
        if !can.fields.contains(&field.as_str()) {
            return Err(format!("{path} cannot be honoured: this provider tells requests apart by {}; take it out", can.fields.join(", ")));
        }
        if field == "method" {
            out.push(condition(field, "", value, can, &path)?);
            continue;
        }
        for (name, value) in value.as_object().into_iter().flatten() {
            out.push(condition(field, name, value, can, &format!("{path}.{}", brief(name)))?);
        }
    }
    if out.is_empty() {
        Err(format!("{path} holds no condition: every request would go to the canary; add one, or take it out"))
    } else {
        Ok(out)
    }
}

fn condition<'a>(field: &'a str, name: &'a str, value: &'a Value, can: Vocabulary, path: &str) -> Result<Condition<'a>, String> {
    let said: Vec<_> = How::ALL.iter().filter_map(|how| Some((*how, value.get(how.word())?.as_str().filter(|v| !v.is_empty())?))).collect();
    match said[..] {
        [(how, value)] if can.ways.contains(&how) => Ok(Condition { field, name, how, value }),
        _ => {
            let ways: Vec<_> = can.ways.iter().map(|how| how.word()).collect();
            Err(format!("{path} cannot be honoured: this provider compares by one of {}; say which", ways.join(", ")))
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const CAN: Vocabulary = Vocabulary { fields: &["headers", "method"], ways: &[How::Exact, How::Regex] };

    fn spec(matches: &Value) -> CanarySpec {
        serde_json::from_value(json!({"analysis": {"match": matches}})).expect("a spec")
    }

    #[test]
    fn each_match_is_a_list_of_conditions() {
        let spec = spec(&json!([
            {"name": "insiders", "headers": {"x-b": {"regex": ".*b"}, "x-a": {"exact": "a"}}, "queryParams": {}},
            {"method": {"exact": "GET"}}]));
        let found = conditions(&spec, CAN).expect("conditions");
        let words: Vec<Vec<_>> = found.iter().map(|m| m.iter().map(|c| (c.field, c.name, c.how, c.value)).collect()).collect();
        assert_eq!(
            words,
            [vec![("headers", "x-a", How::Exact, "a"), ("headers", "x-b", How::Regex, ".*b")], vec![("method", "", How::Exact, "GET")]]
        );
    }

    #[test]
    fn nothing_is_passed_over() {
        for (matches, word) in [
            (json!([{"headers": {"a": {"exact": "1"}}, "sourceLabels": {"app": "x"}}]), "match[0].sourceLabels cannot be honoured"),
            (json!([{"headers": {"a": {"exact": "1"}}}, {"headers": {"a": {"prefix": "1"}}}]), "match[1].headers.a cannot be honoured"),
            (json!([{"headers": {"a": {"exact": "1", "regex": "1"}}}]), "compares by one of exact, regex"),
            (json!([{"headers": {"a": {}}}]), "headers.a cannot be honoured"),
            (json!([{"headers": {}}]), "match[0] holds no condition"),
            (json!([{}]), "match[0] holds no condition"),
        ] {
            let spec = spec(&matches);
            assert!(conditions(&spec, CAN).is_err_and(|e| e.contains(word)), "{matches}");
        }
    }
}
