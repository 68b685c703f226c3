//! Holds a value to a schema as the API server would, before anything is sent. Formats of text and rules in CEL are left to
//! the API server; everything else that the CRDs of this folder say is checked.

use regex::Regex;
use serde_json::{Map, Value};

use crate::domain::text::clean;

/// Characters of a foreign value that a sentence quotes.
const QUOTED: usize = 60;

/// The first rule of `schema` that `value`, which stands at `path`, breaks: a sentence that begins with the place. Fields that
/// the schema does not name are no fault here: what becomes of them depends on how an object is sent. A null is one, as it is for
/// server-side apply, though whoever creates an object gets away with it.
#[must_use]
pub fn fault(schema: &Value, path: &str, value: &Value) -> Option<String> {
    kind(schema, path, value)
        .or_else(|| word(schema, path, value))
        .or_else(|| match value {
            Value::Number(_) => number(schema, path, value),
            Value::String(text) => pattern(schema, path, text),
            Value::Array(items) => list(schema, path, items),
            Value::Object(fields) => object(schema, path, fields),
            _ => None,
        })
        .or_else(|| one_of(schema, path, value))
}

fn kind(schema: &Value, path: &str, value: &Value) -> Option<String> {
    let whole = value.as_f64().is_some_and(|n| n.fract() == 0.0);
    let fits = |wanted: &str| match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => whole,
        "number" => value.is_number(),
        _ => true,
    };
    if schema.get("x-kubernetes-int-or-string").is_some() {
        return (!fits("integer") && !fits("string")).then(|| format!("{path} has to be a number or a name"));
    }
    let wanted = schema.get("type").and_then(Value::as_str)?;
    (!fits(wanted)).then(|| format!("{path} has to be of type {wanted}, and is {}", quoted(value)))
}

fn word(schema: &Value, path: &str, value: &Value) -> Option<String> {
    let words = schema.get("enum").and_then(Value::as_array)?;
    let known: Vec<_> = words.iter().filter_map(Value::as_str).filter(|word| !word.is_empty()).collect();
    (!words.contains(value)).then(|| format!("{path} {} is none of {}", quoted(value), known.join(", ")))
}

fn number(schema: &Value, path: &str, value: &Value) -> Option<String> {
    let number = value.as_f64()?;
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let in_32_bits = schema.get("format").and_then(Value::as_str) == Some("int32");
    let least = bound("minimum").or_else(|| in_32_bits.then_some(f64::from(i32::MIN)));
    let most = bound("maximum").or_else(|| in_32_bits.then_some(f64::from(i32::MAX)));
    match (least, most) {
        (Some(least), _) if number < least => Some(format!("{path} {value} is below {least}")),
        (_, Some(most)) if number > most => Some(format!("{path} {value} is above {most}")),
        _ => None,
    }
}

/// The size that `name` allows.
fn limit(schema: &Value, name: &str) -> Option<usize> {
    schema.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok())
}

fn pattern(schema: &Value, path: &str, text: &str) -> Option<String> {
    let length = text.chars().count();
    if limit(schema, "minLength").is_some_and(|least| length < least) {
        return Some(format!("{path} is too short"));
    }
    if let Some(most) = limit(schema, "maxLength").filter(|most| length > *most) {
        return Some(format!("{path} is longer than {most} characters"));
    }
    let pattern = schema.get("pattern").and_then(Value::as_str)?;
    let found = Regex::new(pattern).is_ok_and(|regex| regex.is_match(text));
    (!found).then(|| format!("{path} {} does not match {pattern}", quoted(&text.into())))
}

fn list(schema: &Value, path: &str, items: &[Value]) -> Option<String> {
    if let Some(most) = limit(schema, "maxItems").filter(|most| items.len() > *most) {
        return Some(format!("{path} holds more than {most} items"));
    }
    let schema = schema.get("items")?;
    items.iter().enumerate().find_map(|(at, item)| fault(schema, &format!("{path}[{at}]"), item))
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn object(schema: &Value, path: &str, fields: &Map<String, Value>) -> Option<String> {
    if let Some(name) = required(schema).find(|name| !fields.contains_key(*name)) {
        return Some(format!("{path}.{name} is missing"));
    }
    let properties = schema.get("properties");
    let others = schema.get("additionalProperties");
    fields.iter().find_map(|(name, value)| {
        let schema = properties.and_then(|known| known.get(name)).or(others)?;
        fault(schema, &format!("{path}.{}", cut(name)), value)
    })
}

/// Exactly one of the conditions has to hold. What all of them ask for is named first, and of the one that was meant its fault.
fn one_of(schema: &Value, path: &str, value: &Value) -> Option<String> {
    let conditions = schema.get("oneOf").and_then(Value::as_array)?;
    let held = conditions.iter().filter(|condition| holds(condition, path, value)).count();
    if held == 1 {
        return None;
    }
    let is_there = |name: &&str| value.get(*name).is_some();
    let by_all = |name: &&str| conditions.iter().all(|condition| required(condition).any(|other| other == *name));
    if let Some(name) = conditions.iter().flat_map(required).find(|name| by_all(name) && !is_there(name)) {
        return Some(format!("{path}.{name} is missing"));
    }
    let own: Vec<_> = conditions.iter().flat_map(required).filter(|name| !by_all(name)).collect();
    if held > 1 {
        return Some(format!("{path} holds more than one of {}", own.join(", ")));
    }
    let mut meant = conditions.iter().filter(|condition| required(condition).all(|name| is_there(&name)));
    meant.find_map(|condition| broken(condition, path, value)).or_else(|| Some(format!("{path} needs one of {}", own.join(", "))))
}

fn holds(condition: &Value, path: &str, value: &Value) -> bool {
    let not = condition.get("not").is_none_or(|not| !holds(not, path, value));
    let any = condition.get("anyOf").and_then(Value::as_array).is_none_or(|any| any.iter().any(|one| holds(one, path, value)));
    not && any && broken(condition, path, value).is_none()
}

/// What `value` lacks of the fields that a condition asks for.
fn broken(condition: &Value, path: &str, value: &Value) -> Option<String> {
    object(condition, path, value.as_object()?).or_else(|| one_of(condition, path, value))
}

fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{}`", cut(text)),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
        other => other.to_string(),
    }
}

/// `text` as it may be shown, at most [`QUOTED`] characters of it.
fn cut(text: &str) -> String {
    let text = clean(text);
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What is said of `canary`, a spec, with `change` laid over it.
    fn said(change: &Value) -> Option<String> {
        let mut spec = json!({
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "service": {"port": 80},
            "analysis": {"interval": "1m", "threshold": 1, "stepWeight": 10},
        });
        json_patch::merge(&mut spec, change);
        fault(&super::super::canary_spec(), "spec", &spec)
    }

    #[test]
    fn every_kind_of_rule_is_kept() {
        assert_eq!(said(&json!({})), None);
        let policy = |balancer: Value| json!({"service": {"trafficPolicy": {"loadBalancer": balancer}}});
        for good in [
            json!({"analysis": {"interval": "10sX", "stepWeight": 2.5}}),
            json!({"service": {"targetPort": "http", "match": [{"uri": {}}]}}),
            json!({"service": {"retries": {"attempts": 2_147_483_647_i64}, "gatewayRefs": [{"name": "g", "group": ""}]}}),
            policy(json!({"consistentHash": {"useSourceIp": true}})),
        ] {
            assert_eq!(said(&good), None, "{good}");
        }
        for (bad, sentence) in [
            (json!({"analysis": {"interval": "soon"}}), "spec.analysis.interval `soon` does not match ^[0-9]+(m|s)"),
            (json!({"analysis": {"threshold": "5"}}), "spec.analysis.threshold has to be of type number, and is `5`"),
            (json!({"analysis": {"iterations": 5}}), "spec.analysis holds more than one of iterations, stepWeight, stepWeights"),
            (json!({"analysis": {"stepWeight": null}}), "spec.analysis needs one of iterations, stepWeight, stepWeights"),
            (json!({"analysis": {"threshold": null}}), "spec.analysis.threshold is missing"),
            (json!({"targetRef": {"kind": "StatefulSet"}}), "spec.targetRef.kind `StatefulSet` is none of DaemonSet, Deployment, Service"),
            (json!({"targetRef": {"kind": null}}), "spec.targetRef.kind is missing"),
            (json!({"service": {"targetPort": 1.5}}), "spec.service.targetPort has to be a number or a name"),
            (
                json!({"service": {"match": [{"uri": {"exact": "/", "prefix": "/"}}]}}),
                "spec.service.match[0].uri holds more than one of exact, prefix, regex",
            ),
            (
                json!({"service": {"retries": {"attempts": 2_147_483_648_i64}}}),
                "spec.service.retries.attempts 2147483648 is above 2147483647",
            ),
            (json!({"service": {"gatewayRefs": [{"name": "g", "port": 0}]}}), "spec.service.gatewayRefs[0].port 0 is below 1"),
            (json!({"service": {"gatewayRefs": [{"name": ""}]}}), "spec.service.gatewayRefs[0].name is too short"),
            (json!({"service": {"apex": {"labels": {"a\u{1b}b": 1}}}}), "spec.service.apex.labels.ab has to be of type string, and is 1"),
            (
                policy(json!({"consistentHash": {"useSourceIp": true, "httpHeaderName": "x"}})),
                "spec.service.trafficPolicy.loadBalancer.consistentHash holds more than one of httpHeaderName, httpCookie, useSourceIp, \
                 httpQueryParameterName",
            ),
        ] {
            assert_eq!(said(&bad).as_deref(), Some(sentence), "{bad}");
        }
        let null = json!({"port": 80, "name": null});
        let service = &super::super::canary_spec()["properties"]["service"];
        assert_eq!(fault(service, "spec.service", &null).as_deref(), Some("spec.service.name has to be of type string, and is null"));
        let many: Vec<_> = (0..33).map(|n| json!({"name": format!("g{n}")})).collect();
        assert_eq!(said(&json!({"service": {"gatewayRefs": many}})).as_deref(), Some("spec.service.gatewayRefs holds more than 32 items"));
    }
}
