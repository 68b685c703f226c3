//! Istio: two `DestinationRules` and one `VirtualService`, `networking.istio.io/v1beta1` (rollout-contract §7.2).

use serde_json::{Map, Value, json};

use super::affinity::{self, COOKIE, SET_COOKIE, Sticky};
use super::rules::Shape;
use super::{Abilities, Companion, Named, Restore, Router, Subject, TOOLKIT};
use super::{crossed, destinations, is_owned, is_unsaid, list, object, overlay, remade, unfit_affinity, unfit_condition};
use crate::domain::api::Free;
use crate::domain::canary::{CanaryService, CanarySpec};
use crate::domain::traffic::Traffic;
use crate::kubernetes::json::{annotation, text};
use crate::kubernetes::kinds::Kind;

/// Istio's router.
pub struct Istio;

/// Annotation with the `spec` of a `VirtualService` as it was before it became ours, as JSON (rollout-contract §3.8).
const ORIGINAL: &str = "flagger.kubernetes.io/original-configuration";
/// Annotation with the whole object as `kubectl apply` last had it; it makes [`ORIGINAL`] needless.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Fields by which Istio can tell the requests of an A/B test.
const CONDITIONS: [&str; 3] = ["headers", "queryParams", "sourceLabels"];

const HTTP: Shape = Shape {
    list: "route",
    matches: "match",
    service: |destination, namespace| service(text(destination, "/destination/host"), namespace),
    unsaid: 0,
    rule: |live, wanted| {
        let ours = ["match", "rewrite", "timeout", "retries", "corsPolicy", "headers", "route", "mirror", "mirrorPercentage"];
        overlay(live, wanted, &ours)
    },
    destination: |live, wanted| {
        let mut out = overlay(live, wanted, &["weight", "headers"]);
        out["destination"] = overlay(&live["destination"], &wanted["destination"], &["host", "port"]);
        out
    },
};
const TCP: Shape = Shape { rule: |live, wanted| overlay(live, wanted, &["match", "route"]), ..HTTP };

impl Router for Istio {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::VirtualService, Kind::DestinationRule]
    }

    fn absent(&self) -> &'static str {
        "Istio's CRDs are not installed in this cluster: install Istio, or set spec.provider: kubernetes"
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            progressive: true,
            ab_testing: true,
            blue_green: true,
            mirror_iterations: true,
            mirror_progressive: true,
            session_affinity: true,
        }
    }

    fn mistake(&self, at: &Subject<'_>) -> Option<String> {
        let (service, analysis) = (&at.spec.service, &at.spec.analysis);
        if service.delegation && !(service.hosts.is_empty() && service.gateways.is_empty()) {
            return Some(
                "spec.service.delegation: a delegate VirtualService has no hosts and no gateways; remove both, or delegation".into(),
            );
        }
        if !is_tcp(at.spec) {
            return unfit_condition(at, &CONDITIONS).or_else(|| unfit_affinity(at));
        }
        let http_only = [
            ("analysis.match", !analysis.matches.is_empty()),
            ("analysis.mirror", analysis.mirror),
            ("analysis.sessionAffinity", analysis.session_affinity.is_some()),
        ];
        if let Some((field, _)) = http_only.iter().find(|(_, set)| *set) {
            return Some(format!("spec.{field} needs HTTP, but spec.service.appProtocol is tcp: remove one of them"));
        }
        let by_port = |Free(one): &Free| {
            let mut others =
                one.as_object().into_iter().flatten().filter(|(key, value)| !matches!(key.as_str(), "port" | "name") && !is_unsaid(value));
            others.next().is_none() && port(one).is_some()
        };
        let n = service.matches.iter().position(|one| !by_port(one))?;
        Some(format!("spec.service.match[{n}]: TCP is matched by port alone; name a port and nothing else, or remove it"))
    }

    fn weights_at(&self, at: &Subject<'_>) -> Vec<String> {
        vec!["spec".into(), layers(at.spec)[0].0.into()]
    }

    fn companions(&self, at: &Subject<'_>) -> Result<Vec<Companion>, String> {
        let (primary, canary) = destinations(at.spec);
        let companion = |host: String| {
            let mut spec = json!({"host": host});
            if let Some(Free(policy)) = &at.spec.service.traffic_policy {
                spec["trafficPolicy"] = policy.clone();
            }
            Companion { at: Named { kind: Kind::DestinationRule, namespace: at.namespace.into(), name: host }, body: json!({"spec": spec}) }
        };
        Ok([canary, primary].map(companion).into())
    }

    fn read(&self, at: &Subject<'_>, live: &Value) -> Result<Option<Traffic>, String> {
        let found = layers(at.spec)
            .into_iter()
            .find_map(|(field, shape)| shape.weighted(at, &self.route(at), list(live, &format!("/spec/{field}"))).transpose());
        Ok(found.transpose()?.map(|(rule, canary)| {
            let copies_to = service(text(rule, "/mirror/host"), at.namespace);
            Traffic { canary, mirrored: copies_to == Some(destinations(at.spec).1.as_str()) }
        }))
    }

    fn edit(&self, at: &Subject<'_>, live: Option<&Value>, traffic: Traffic) -> Result<Value, String> {
        let [(field, shape), (other, others)] = layers(at.spec);
        let wanted = if is_tcp(at.spec) { vec![tcp_rule(at, traffic)] } else { http_rules(at, traffic) };
        let remembered = live.and_then(|live| to_remember(at, live)).map(|spec| (ORIGINAL, spec));
        let service = &at.spec.service;
        Ok(remade(at, live, remembered.into_iter().collect(), |spec| {
            let rules = shape.edit(at, items(spec, field), &wanted);
            spec.insert(field.into(), Value::Array(rules));
            if items(spec, other).iter().any(|rule| others.is_ours(at, rule)) {
                let rules = others.edit(at, items(spec, other), &[]);
                spec.insert(other.into(), Value::Array(rules));
            }
            if service.delegation {
                spec.remove("hosts");
                spec.remove("gateways");
            } else {
                spec.insert("hosts".into(), json!(hosts(at.spec)));
                spec.insert("gateways".into(), if service.gateways.is_empty() { json!(["mesh"]) } else { json!(service.gateways) });
            }
        }))
    }

    fn restore(&self, at: &Subject<'_>, live: &Value) -> Restore {
        if is_owned(at, live) {
            return Restore::Leave;
        }
        let parsed = |key| annotation(live, key).and_then(|json| serde_json::from_str::<Value>(json).ok());
        let applied = parsed(LAST_APPLIED);
        let Some(spec) =
            applied.as_ref().and_then(|whole| whole.get("spec").cloned()).or_else(|| parsed(ORIGINAL)).filter(Value::is_object)
        else {
            return Restore::Leave;
        };
        let mut out = live.clone();
        out["spec"] = spec;
        // Flux takes care of it again, unless its owner had told it not to.
        if let Some(annotations) = out.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.remove(ORIGINAL);
            let theirs = |key: &str| applied.as_ref().is_some_and(|whole| annotation(whole, key).is_some());
            let unmanaged = at.spec.service.unmanaged_metadata.as_ref().map_or(&[][..], |keys| &keys.annotations);
            annotations.retain(|key, value| {
                let ours = TOOLKIT.iter().any(|(k, v)| key == k && value == v);
                !ours || theirs(key) || unmanaged.contains(key)
            });
        }
        Restore::Write(out)
    }
}

/// The fields that rules of ours may be in, with their words: where they belong, and where they were if the Canary's protocol
/// was another one before.
fn layers(spec: &CanarySpec) -> [(&'static str, Shape); 2] {
    if is_tcp(spec) { [("tcp", TCP), ("http", HTTP)] } else { [("http", HTTP), ("tcp", TCP)] }
}

fn is_tcp(spec: &CanarySpec) -> bool {
    spec.service.app_protocol.as_deref().is_some_and(|protocol| protocol.eq_ignore_ascii_case("tcp"))
}

fn items<'a>(spec: &'a Map<String, Value>, field: &str) -> &'a [Value] {
    spec.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The Service of `namespace` that `host` is, in its short form or in full.
fn service<'a>(host: &'a str, namespace: &str) -> Option<&'a str> {
    let (name, rest) = host.split_once('.').unwrap_or((host, namespace));
    let below = rest.strip_prefix(namespace)?;
    (!name.is_empty() && (below.is_empty() || below == ".svc" || below.starts_with(".svc."))).then_some(name)
}

fn hosts(spec: &CanarySpec) -> Vec<&str> {
    let base = spec.service_name();
    let mut hosts: Vec<&str> = spec.service.hosts.iter().map(String::as_str).collect();
    if !hosts.iter().any(|host| *host == base || *host == "*") {
        hosts.push(base);
    }
    hosts
}

/// The spec of a `VirtualService` of somebody else that nothing of ours is in yet, unless kubectl remembers it.
fn to_remember(at: &Subject<'_>, live: &Value) -> Option<String> {
    let ours = |shape: Shape, pointer| list(live, pointer).iter().any(|rule| shape.is_ours(at, rule));
    if is_owned(at, live) || annotation(live, LAST_APPLIED).is_some() || ours(HTTP, "/spec/http") || ours(TCP, "/spec/tcp") {
        return None;
    }
    live.get("spec").map(Value::to_string)
}

/// Our http routes, in their order.
fn http_rules(at: &Subject<'_>, traffic: Traffic) -> Vec<Value> {
    let bodies = |matches: &[Free]| -> Vec<Value> { matches.iter().map(|Free(one)| one.clone()).collect() };
    let (conditions, service) = (bodies(&at.spec.analysis.matches), bodies(&at.spec.service.matches));
    let common = common(&at.spec.service);
    if !conditions.is_empty() {
        let mut tested = rule(common.clone(), crossed(&conditions, &service), pair(at, traffic.canary));
        copy_requests(at, traffic, &mut tested);
        // The only destination of a route gets all its requests, whatever its weight; this one is Flagger's.
        let rest = rule(common, service, vec![destination(at.spec, &destinations(at.spec).0, 100 - traffic.canary)]);
        return vec![tested, rest];
    }
    let plan = affinity::plan(at, traffic.canary, true);
    let mut rules: Vec<Value> = plan.sticky.iter().map(|sticky| sticky_rule(at, sticky, common.clone(), &service)).collect();
    let mut weighted = pair(at, traffic.canary);
    for (destination, cookie) in weighted.iter_mut().zip([plan.primary, plan.canary]) {
        if let Some(cookie) = cookie {
            destination["headers"] = json!({"response": {"add": {SET_COOKIE: cookie}}});
        }
    }
    let mut weighted = rule(common, service, weighted);
    copy_requests(at, traffic, &mut weighted);
    rules.push(weighted);
    rules
}

/// What all our http routes share.
fn common(service: &CanaryService) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, value) in [("retries", &service.retries), ("corsPolicy", &service.cors_policy), ("headers", &service.headers)] {
        if let Some(Free(value)) = value {
            out.insert(key.into(), value.clone());
        }
    }
    if let Some(Free(rewrite)) = &service.rewrite {
        // `type` is the Gateway API's; Istio's schema would drop it, and the route would differ for ever.
        out.insert("rewrite".into(), overlay(rewrite, &Value::Null, &["type"]));
    }
    if let Some(timeout) = service.timeout.as_ref().filter(|timeout| !timeout.is_empty()) {
        out.insert("timeout".into(), json!(timeout));
    }
    out
}

fn rule(mut common: Map<String, Value>, matches: Vec<Value>, route: Vec<Value>) -> Value {
    if !matches.is_empty() {
        common.insert("match".into(), Value::Array(matches));
    }
    common.insert("route".into(), Value::Array(route));
    Value::Object(common)
}

/// The rule for clients that show a cookie.
fn sticky_rule(at: &Subject<'_>, sticky: &Sticky, mut common: Map<String, Value>, service: &[Value]) -> Value {
    let shows = json!({"headers": {COOKIE: {"regex": sticky.pattern}}});
    if let Some(cookie) = &sticky.forget {
        let mut headers = object(&mut common, "headers");
        let mut response = object(&mut headers, "response");
        let mut add = object(&mut response, "add");
        add.insert(SET_COOKIE.into(), json!(cookie));
        response.insert("add".into(), Value::Object(add));
        headers.insert("response".into(), Value::Object(response));
        common.insert("headers".into(), Value::Object(headers));
    }
    rule(common, crossed(&[shows], service), pair(at, sticky.canary))
}

fn copy_requests(at: &Subject<'_>, traffic: Traffic, rule: &mut Value) {
    if traffic.mirrored {
        rule["mirror"] = json!({"host": destinations(at.spec).1});
        if at.spec.analysis.mirror_weight > 0 {
            rule["mirrorPercentage"] = json!({"value": at.spec.analysis.mirror_weight});
        }
    }
}

fn tcp_rule(at: &Subject<'_>, traffic: Traffic) -> Value {
    let ports = at.spec.service.matches.iter().filter_map(|Free(one)| port(one)).map(|port| json!({"port": port}));
    rule(Map::new(), ports.collect(), pair(at, traffic.canary))
}

fn port(one: &Value) -> Option<i64> {
    one.get("port").and_then(Value::as_i64).filter(|port| *port > 0)
}

/// Primary and canary, the canary with `weight` percent.
fn pair(at: &Subject<'_>, weight: i64) -> Vec<Value> {
    let (primary, canary) = destinations(at.spec);
    vec![destination(at.spec, &primary, 100 - weight), destination(at.spec, &canary, weight)]
}

fn destination(spec: &CanarySpec, host: &str, weight: i64) -> Value {
    let service = &spec.service;
    let mut destination = json!({"host": host});
    // With several ports behind a gateway, Istio cannot tell which one is meant.
    if service.port_discovery && (service.delegation || service.gateways.first().is_some_and(|gateway| gateway != "mesh")) {
        destination["port"] = json!({"number": service.port});
    }
    json!({"destination": destination, "weight": weight})
}

#[cfg(test)]
mod tests;
