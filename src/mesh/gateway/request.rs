//! Istio's words for what a request is like, as `HTTPRoute` matches (rollout-contract §7.2). What cannot be said there is
//! refused: a match without it would take other requests than its owner meant.

use serde_json::{Map, Value, json};

use crate::domain::api::Free;
use crate::mesh::{is_unsaid, shown};

/// Tests of a path, Istio's word and the Gateway API's.
const PATH: [(&str, &str); 3] = [("regex", "RegularExpression"), ("exact", "Exact"), ("prefix", "PathPrefix")];
/// Tests of a header or a query parameter.
const VALUE: [(&str, &str); 2] = [("exact", "Exact"), ("regex", "RegularExpression")];

/// `spec.service.match`; everything where it is empty.
///
/// # Errors
/// A sentence where a match cannot be said as an `HTTPRoute` match.
pub(super) fn service_matches(matches: &[Free]) -> Result<Vec<Value>, String> {
    let mut out = mapped(matches, "spec.service.match")?;
    if out.is_empty() {
        out.push(Map::new());
    }
    let everything = || json!({"type": "PathPrefix", "value": "/"});
    for rule in &mut out {
        rule.entry("path").or_insert_with(everything);
    }
    Ok(out.into_iter().map(Value::Object).collect())
}

/// `spec.analysis.match`.
///
/// # Errors
/// As [`service_matches`].
pub(super) fn conditions(matches: &[Free]) -> Result<Vec<Value>, String> {
    Ok(mapped(matches, "spec.analysis.match")?.into_iter().map(Value::Object).collect())
}

fn mapped(matches: &[Free], field: &str) -> Result<Vec<Map<String, Value>>, String> {
    matches.iter().enumerate().map(|(n, Free(one))| mapped_one(one, &format!("{field}[{n}]"))).collect()
}

fn mapped_one(one: &Value, field: &str) -> Result<Map<String, Value>, String> {
    let mut out = Map::new();
    let Some(fields) = one.as_object() else { return Err(format!("{field} is not an object")) };
    for (key, said) in fields.iter().filter(|(key, said)| !is_unsaid(said) && *key != "name") {
        let refused = |part: &str| format!("{field}.{}: an HTTPRoute cannot match by {part}; say it otherwise, or remove it", shown(key));
        match key.as_str() {
            "uri" => {
                let (kind, value) = test(said, &PATH).ok_or_else(|| refused("anything but exact, prefix or regex here"))?;
                out.insert("path".into(), json!({"type": kind, "value": value}));
            }
            "method" => {
                let (_, value) = test(said, &VALUE[..1]).ok_or_else(|| refused("anything but exact here"))?;
                out.insert("method".into(), json!(value));
            }
            "headers" | "queryParams" => {
                let tests = said.as_object().into_iter().flatten().map(|(name, said)| {
                    let (kind, value) = test(said, &VALUE).ok_or_else(|| refused("anything but exact or regex here"))?;
                    Ok(json!({"type": kind, "name": name, "value": value}))
                });
                let mut tests = tests.collect::<Result<Vec<Value>, String>>()?;
                tests.sort_by_key(|test| test["name"].as_str().map(str::to_owned));
                out.insert(key.clone(), Value::Array(tests));
            }
            _ => return Err(refused("it")),
        }
    }
    Ok(out)
}

/// The first of `words` that `said` has, in the Gateway API's word, and its value.
fn test<'a>(said: &'a Value, words: &[(&str, &'static str)]) -> Option<(&'static str, &'a str)> {
    words.iter().find_map(|(word, kind)| Some((*kind, said.get(word)?.as_str().filter(|value| !value.is_empty())?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(matches: Value) -> Vec<Free> {
        serde_json::from_value(matches).expect("a list")
    }

    #[test]
    fn istios_words_become_the_gateway_apis() {
        let matches = free(json!([
            {"name": "api", "uri": {"prefix": "/api"}, "method": {"exact": "GET"}, "ignoreUriCase": false,
                "headers": {"x-b": {"exact": "1"}, "x-a": {"regex": "2.*"}}},
            {"uri": {"regex": "/v.*"}, "queryParams": {"q": {"exact": "1"}}},
            {"uri": {"exact": "/x"}},
            {}
        ]));
        let everything = json!({"type": "PathPrefix", "value": "/"});
        assert_eq!(
            json!(service_matches(&matches).expect("said")),
            json!([
                {"path": {"type": "PathPrefix", "value": "/api"}, "method": "GET", "headers": [
                    {"type": "RegularExpression", "name": "x-a", "value": "2.*"}, {"type": "Exact", "name": "x-b", "value": "1"}]},
                {"path": {"type": "RegularExpression", "value": "/v.*"}, "queryParams": [{"type": "Exact", "name": "q", "value": "1"}]},
                {"path": {"type": "Exact", "value": "/x"}},
                {"path": everything}
            ])
        );
        assert_eq!(json!(service_matches(&[]).expect("said")), json!([{"path": everything}]));
        let conditions = conditions(&free(json!([{"headers": {"x": {"exact": "1"}}}]))).expect("said");
        assert_eq!(json!(conditions), json!([{"headers": [{"type": "Exact", "name": "x", "value": "1"}]}]));
    }

    #[test]
    fn what_cannot_be_said_is_refused_by_its_name() {
        for (one, part) in [
            (
                json!({"uri": {"suffix": "/x"}}),
                "spec.service.match[1].uri: an HTTPRoute cannot match by anything but exact, prefix or regex",
            ),
            (json!({"method": {"prefix": "P"}}), "match[1].method"),
            (json!({"headers": {"x": {"prefix": "1"}}}), "match[1].headers"),
            (json!({"queryParams": {"x": {}}}), "match[1].queryParams"),
            (json!({"sourceLabels": {"app": "x"}}), "match[1].sourceLabels"),
            (json!({"withoutHeaders": {"x": {}}}), "match[1].withoutHeaders"),
            (json!("odd"), "match[1] is not an object"),
        ] {
            let why = service_matches(&free(json!([{}, one]))).expect_err("refused");
            assert!(why.contains(part), "{why}");
        }
    }
}
