//! Filters of an `HTTPRoute` rule, in the order of rollout-contract §7.2: request headers, response headers, rewrite,
//! mirrors, CORS.

use serde_json::{Map, Value, json};

use crate::domain::api::Free;
use crate::domain::duration;
use crate::kubernetes::json::{items, text};
use crate::mesh::affinity::SET_COOKIE;
use crate::mesh::{Subject, destinations, is_unsaid, overlay, shown};

/// Types of filters that we write into rules, CORS last; filters of other types are other people's.
const GENERATED: [&str; 5] = ["RequestHeaderModifier", "ResponseHeaderModifier", "URLRewrite", "RequestMirror", "CORS"];
/// `maxAge` of a CORS filter that says none, by the CRD's default.
const CORS_SECONDS: u64 = 5;

/// Types of filters that are ours to change.
pub(super) const fn generated(v1: bool) -> &'static [&'static str] {
    if v1 { &GENERATED } else { GENERATED.split_at(4).0 }
}

/// Filters that `spec.service` asks for; CORS only in `v1`.
///
/// # Errors
/// A sentence where it asks for what a filter cannot say.
pub(super) fn of_service(at: &Subject<'_>, v1: bool) -> Result<Vec<Value>, String> {
    let service = &at.spec.service;
    let mut out = Vec::new();
    if let Some(Free(headers)) = &service.headers {
        for (side, kind, field) in
            [("request", GENERATED[0], "requestHeaderModifier"), ("response", GENERATED[1], "responseHeaderModifier")]
        {
            let change = header_change(&headers[side]);
            if !change.is_empty() {
                out.push(json!({"type": kind, field: change}));
            }
        }
    }
    if let Some(Free(rewrite)) = &service.rewrite {
        out.extend(url_rewrite(rewrite));
    }
    for (n, Free(mirror)) in service.mirror.iter().enumerate() {
        out.push(request_mirror(at, n, mirror)?);
    }
    if let (true, Some(Free(policy))) = (v1, &service.cors_policy) {
        out.push(json!({"type": "CORS", "cors": cors(policy)?}));
    }
    Ok(out)
}

/// Copies of all requests go to the canary.
pub(super) fn copies(at: &Subject<'_>) -> Value {
    let backend = json!({"group": "", "kind": "Service", "name": destinations(at.spec).1, "port": at.spec.service.port});
    json!({"type": "RequestMirror", "requestMirror": {"backendRef": backend}})
}

/// Adds `Set-Cookie` to the answers. A rule has one filter of response headers at most, so an existing one takes it.
pub(super) fn give_cookie(filters: &mut Vec<Value>, cookie: &str) {
    let header = json!({"name": SET_COOKIE, "value": cookie});
    let Some(filter) = filters.iter_mut().find(|filter| text(filter, "/type") == "ResponseHeaderModifier") else {
        filters.push(json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [header]}}));
        return;
    };
    let added = items(filter, "/responseHeaderModifier/add").filter(|other| !text(other, "/name").eq_ignore_ascii_case(SET_COOKIE));
    let added: Vec<Value> = added.cloned().chain([header]).collect();
    filter["responseHeaderModifier"]["add"] = Value::Array(added);
}

/// Istio's header operations as the Gateway API's, sorted by name so that they compare.
fn header_change(said: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    for field in ["add", "set"] {
        let pairs = said[field].as_object().into_iter().flatten().filter_map(|(name, value)| Some((name, value.as_str()?)));
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_unstable();
        if !pairs.is_empty() {
            out.insert(field.into(), pairs.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect());
        }
    }
    if !is_unsaid(&said["remove"]) {
        out.insert("remove".into(), said["remove"].clone());
    }
    out
}

fn url_rewrite(said: &Value) -> Option<Value> {
    let (uri, authority) = (text(said, "/uri"), text(said, "/authority"));
    let mut out = Map::new();
    if !authority.is_empty() {
        out.insert("hostname".into(), json!(authority));
    }
    if !uri.is_empty() {
        let (kind, field) = match text(said, "/type") {
            "ReplacePrefixMatch" => ("ReplacePrefixMatch", "replacePrefixMatch"),
            _ => ("ReplaceFullPath", "replaceFullPath"),
        };
        out.insert("path".into(), json!({"type": kind, field: uri}));
    }
    (!out.is_empty()).then(|| json!({"type": "URLRewrite", "urlRewrite": out}))
}

fn request_mirror(at: &Subject<'_>, n: usize, said: &Value) -> Result<Value, String> {
    let mut said = said.get("backendRef").and_then(Value::as_object).cloned().unwrap_or_default();
    said.retain(|key, value| matches!(key.as_str(), "group" | "kind" | "namespace" | "name" | "port") && !is_unsaid(value));
    let backend = overlay(&json!({"group": "", "kind": "Service"}), &Value::Object(said), &[]);
    let canary = destinations(at.spec).1;
    if text(&backend, "/name").is_empty() {
        return Err(format!("spec.service.mirror[{n}].backendRef.name is empty: name the Service that gets the copies"));
    }
    if text(&backend, "/name") == canary && text(&backend, "/kind") == "Service" {
        return Err(format!("spec.service.mirror[{n}] names {}: use spec.analysis.mirror for copies to the canary", shown(&canary)));
    }
    Ok(json!({"type": "RequestMirror", "requestMirror": {"backendRef": backend}}))
}

fn cors(said: &Value) -> Result<Map<String, Value>, String> {
    let field = "spec.service.corsPolicy";
    let mut origins: Vec<&str> = items(said, "/allowOrigin").filter_map(Value::as_str).collect();
    for (n, origin) in items(said, "/allowOrigins").enumerate() {
        let exact = text(origin, "/exact");
        if exact.is_empty() {
            return Err(format!("{field}.allowOrigins[{n}]: an HTTPRoute compares origins exactly; say exact, or use allowOrigin"));
        }
        origins.push(exact);
    }
    let mut out = Map::new();
    out.insert("allowOrigins".into(), json!(origins));
    for list in ["allowMethods", "allowHeaders", "exposeHeaders"] {
        out.insert(list.into(), said[list].clone());
    }
    out.insert("allowCredentials".into(), said["allowCredentials"].clone());
    out.retain(|_, value| !is_unsaid(value));
    let age = text(said, "/maxAge");
    let seconds = match (age.is_empty(), duration::parse(age)) {
        (true, _) => CORS_SECONDS,
        // The CRD takes no 0.
        (false, Some(time)) => time.as_secs().max(1),
        (false, None) => return Err(format!("{field}.maxAge {} is no duration of up to a day, as in 10m", shown(age))),
    };
    out.insert("maxAge".into(), json!(seconds));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::laws::Case;

    fn filters(service: Value, v1: bool) -> Result<Vec<Value>, String> {
        of_service(&Case::new(service, json!({})).at(), v1)
    }

    #[test]
    fn filters_stand_in_their_order_with_every_default_written_out() {
        let service = json!({"port": 80,
            "headers": {"request": {"add": {"x-b": "1", "x-a": "2"}, "remove": ["y"]}, "response": {"set": {"z": "3"}}},
            "rewrite": {"uri": "/new", "authority": "a.example.com"},
            "mirror": [{"backendRef": {"name": "audit", "port": 8080, "fraction": 1}}],
            "corsPolicy": {"allowOrigin": ["https://a.example.com"], "allowOrigins": [{"exact": "https://b.example.com"}],
                "allowMethods": ["GET"], "allowCredentials": true, "maxAge": "10m"}});
        let expected = [
            json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {
                "add": [{"name": "x-a", "value": "2"}, {"name": "x-b", "value": "1"}], "remove": ["y"]}}),
            json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "z", "value": "3"}]}}),
            json!({"type": "URLRewrite", "urlRewrite": {
                "hostname": "a.example.com", "path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"}}}),
            json!({"type": "RequestMirror", "requestMirror": {
                "backendRef": {"group": "", "kind": "Service", "name": "audit", "port": 8080}}}),
            json!({"type": "CORS", "cors": {"allowOrigins": ["https://a.example.com", "https://b.example.com"], "allowMethods": ["GET"],
                "allowCredentials": true, "maxAge": 600}}),
        ];
        assert_eq!(filters(service.clone(), true).expect("said"), expected);
        assert_eq!(filters(service, false).expect("said"), expected[..4]);
        let prefix =
            json!({"port": 80, "rewrite": {"uri": "/", "type": "ReplacePrefixMatch"}, "headers": {"request": {}}, "corsPolicy": {}});
        assert_eq!(
            json!(filters(prefix, true).expect("said")),
            json!([{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}},
                {"type": "CORS", "cors": {"maxAge": 5}}])
        );
    }

    #[test]
    fn what_a_filter_cannot_say_is_refused() {
        for (service, part) in [
            (json!({"mirror": [{"backendRef": {"name": "web-canary"}}]}), "mirror[0] names web-canary"),
            (json!({"mirror": [{}]}), "mirror[0].backendRef.name is empty"),
            (json!({"corsPolicy": {"allowOrigins": [{"exact": "a"}, {"regex": ".*"}]}}), "allowOrigins[1]"),
            (json!({"corsPolicy": {"maxAge": "48h"}}), "maxAge 48h"),
        ] {
            assert!(filters(service, true).is_err_and(|e| e.contains(part)), "{part}");
        }
    }

    #[test]
    fn a_cookie_joins_the_one_filter_of_response_headers() {
        let service = json!({"port": 80, "headers": {"response": {"add": {"x": "1", "set-cookie": "mine"}}}});
        let mut filters = filters(service, true).expect("said");
        give_cookie(&mut filters, "c=a; Max-Age=-1");
        let added = json!([{"name": "x", "value": "1"}, {"name": "Set-Cookie", "value": "c=a; Max-Age=-1"}]);
        assert_eq!(json!(filters), json!([{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": added}}]));
    }
}
