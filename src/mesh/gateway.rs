//! Gateway API: one `HTTPRoute`, `gateway.networking.k8s.io/v1` or `v1beta1` (rollout-contract §7.2).
//!
//! Every field that the CRD has a default for is written out: what the API server adds would look like a foreign change.

mod accepted;
mod filters;
mod request;
#[cfg(test)]
pub(super) mod tests;

use serde_json::{Value, json};

use super::affinity::{self, COOKIE};
use super::rules::Shape;
use super::{Abilities, Router, Subject, crossed, destinations, is_unsaid, list, overlay, remade, unfit_affinity, unfit_condition};
use crate::domain::api::Free;
use crate::domain::traffic::Traffic;
use crate::kubernetes::json::text;
use crate::kubernetes::kinds::Kind;

/// A router by `HTTPRoutes` that hang from Gateways.
pub struct Gateway {
    kinds: &'static [Kind],
    dialect: Dialect,
    /// Whether a route counts only once each parent accepted it.
    accepted: bool,
}

/// `gatewayapi:v1`.
pub const V1: Gateway = Gateway { kinds: &[Kind::HttpRoute], dialect: Dialect { rules: RULES_V1, v1: true, mesh: false }, accepted: true };

/// `gatewayapi:v1beta1`: no timeouts, no CORS, no cookie for the primary.
pub const V1BETA1: Gateway =
    Gateway { kinds: &[Kind::HttpRouteV1Beta1], dialect: Dialect { rules: RULES_V1BETA1, v1: false, mesh: false }, accepted: false };

/// What differs between routers that write `HTTPRoutes`.
#[derive(Clone, Copy)]
pub(super) struct Dialect {
    rules: Shape,
    /// Timeouts, CORS and the primary's cookie.
    v1: bool,
    /// No mirrors, no cookies, and hostnames are touched only where the Canary lists some.
    mesh: bool,
}

/// `HTTPRoutes` that hang from a Service.
pub(super) const MESH: Dialect = Dialect { rules: RULES_V1, v1: true, mesh: true };

/// Fields by which an `HTTPRoute` can tell the requests of an A/B test.
const CONDITIONS: [&str; 2] = ["headers", "queryParams"];
/// Fields of a reference to a parent.
const PARENT: [&str; 6] = ["group", "kind", "namespace", "name", "sectionName", "port"];

const RULES_V1: Shape = Shape { rule: |live, wanted| merged(live, wanted, true), ..RULES_V1BETA1 };
const RULES_V1BETA1: Shape = Shape {
    list: "backendRefs",
    matches: "matches",
    service: |backend, namespace| {
        let is = |field: &str, words: [&str; 2]| backend.get(field).and_then(Value::as_str).is_none_or(|word| words.contains(&word));
        let ours = is("group", ["", "core"]) && is("kind", ["Service", ""]) && is("namespace", [namespace, ""]);
        backend.get("name").and_then(Value::as_str).filter(|_| ours)
    },
    unsaid: 1,
    rule: |live, wanted| merged(live, wanted, false),
    destination: |live, wanted| {
        let out = overlay(live, wanted, &["group", "kind", "namespace", "name", "port", "weight", "filters"]);
        with_filters(out, live, wanted, &["ResponseHeaderModifier"])
    },
};

impl Router for Gateway {
    fn kinds(&self) -> &'static [Kind] {
        self.kinds
    }

    fn absent(&self) -> &'static str {
        "the Gateway API's CRDs are not installed in this cluster in the version of spec.provider: install them, or choose another provider"
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            progressive: true,
            ab_testing: true,
            blue_green: true,
            mirror_iterations: true,
            mirror_progressive: false,
            session_affinity: true,
        }
    }

    fn mistake(&self, at: &Subject<'_>) -> Option<String> {
        if at.spec.service.gateway_refs.is_empty() {
            return Some("spec.service.gatewayRefs is empty: name the Gateway that the HTTPRoute hangs from".into());
        }
        unfit_affinity(at).or_else(|| mistake(at, &self.dialect))
    }

    fn weights_at(&self, _: &Subject<'_>) -> Vec<String> {
        vec!["spec".into(), "rules".into()]
    }

    fn read(&self, at: &Subject<'_>, live: &Value) -> Result<Option<Traffic>, String> {
        traffic(self, at, &self.dialect, live)
    }

    fn pending(&self, at: &Subject<'_>, live: &Value) -> Option<String> {
        accepted::by_all(&self.route(at), live).err().filter(|_| self.accepted)
    }

    fn edit(&self, at: &Subject<'_>, live: Option<&Value>, traffic: Traffic) -> Result<Value, String> {
        edit(at, &self.dialect, parents(at), live, traffic)
    }
}

/// What the Canary cannot have by an `HTTPRoute`.
pub(super) fn mistake(at: &Subject<'_>, dialect: &Dialect) -> Option<String> {
    let service = &at.spec.service;
    if let Some(n) = service.gateway_refs.iter().position(|Free(parent)| text(parent, "/name").is_empty()) {
        return Some(format!("spec.service.gatewayRefs[{n}] has no name: name the Gateway that the HTTPRoute hangs from"));
    }
    unfit_condition(at, &CONDITIONS).or_else(|| rules(at, dialect, Traffic::PRIMARY).err())
}

/// The traffic that the rules of `live` give, whether or not anybody accepted them.
pub(super) fn traffic(router: &dyn Router, at: &Subject<'_>, dialect: &Dialect, live: &Value) -> Result<Option<Traffic>, String> {
    let found = dialect.rules.weighted(at, &router.route(at), list(live, "/spec/rules"))?;
    Ok(found.map(|(rule, canary)| {
        let copies = |filter: &Value| (dialect.rules.service)(&filter["requestMirror"]["backendRef"], at.namespace).map(str::to_owned);
        let name = Some(destinations(at.spec).1);
        Traffic { canary, mirrored: !dialect.mesh && list(rule, "/filters").iter().any(|filter| copies(filter) == name) }
    }))
}

/// The route with `traffic`, hanging from `parents`.
pub(super) fn edit(
    at: &Subject<'_>,
    dialect: &Dialect,
    parents: Vec<Value>,
    live: Option<&Value>,
    traffic: Traffic,
) -> Result<Value, String> {
    let wanted = rules(at, dialect, traffic)?;
    let hosts = &at.spec.service.hosts;
    Ok(remade(at, live, Vec::new(), |spec| {
        spec.insert("parentRefs".into(), Value::Array(parents));
        if !hosts.is_empty() {
            spec.insert("hostnames".into(), json!(hosts));
        } else if !dialect.mesh {
            spec.remove("hostnames");
        }
        let rules = spec.get("rules").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let rules = dialect.rules.edit(at, rules, &wanted);
        spec.insert("rules".into(), Value::Array(rules));
    }))
}

/// `spec.service.gatewayRefs` as references to parents.
pub(super) fn parents(at: &Subject<'_>) -> Vec<Value> {
    let reference = |Free(parent): &Free| {
        let defaults = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway"});
        let mut said = parent.as_object().cloned().unwrap_or_default();
        // An empty group is the core group, not an absent one.
        said.retain(|key, value| PARENT.contains(&key.as_str()) && (key == "group" && value.is_string() || !is_unsaid(value)));
        overlay(&defaults, &Value::Object(said), &[])
    };
    at.spec.service.gateway_refs.iter().map(reference).collect()
}

/// Our rules, in their order.
fn rules(at: &Subject<'_>, dialect: &Dialect, traffic: Traffic) -> Result<Vec<Value>, String> {
    let (spec, primary) = (at.spec, destinations(at.spec).0);
    let service = request::service_matches(&spec.service.matches)?;
    let common = filters::of_service(at, dialect.v1)?;
    let mut weighted = common.clone();
    if traffic.mirrored && spec.analysis.iterations > 0 && !dialect.mesh {
        weighted.push(filters::copies(at));
    }
    let rule = |matches: &[Value], filters: Vec<Value>, backends: Vec<Value>| {
        let mut rule = json!({"matches": matches, "backendRefs": backends});
        for (field, value) in [("filters", json!(filters)), ("timeouts", if dialect.v1 { timeouts(at) } else { Value::Null })] {
            if !is_unsaid(&value) {
                rule[field] = value;
            }
        }
        rule
    };
    if !spec.analysis.matches.is_empty() {
        let tested = crossed(&request::conditions(&spec.analysis.matches)?, &service);
        return Ok(vec![rule(&tested, weighted, pair(at, traffic.canary)), rule(&service, common, vec![backend(at, &primary, 100)])]);
    }
    let plan = if dialect.mesh { affinity::Plan::default() } else { affinity::plan(at, traffic.canary, dialect.v1) };
    let mut out = Vec::new();
    for sticky in &plan.sticky {
        let shows = json!({"headers": [{"type": "RegularExpression", "name": COOKIE, "value": sticky.pattern}]});
        let mut filters = common.clone();
        if let Some(cookie) = &sticky.forget {
            filters::give_cookie(&mut filters, cookie);
        }
        out.push(rule(&crossed(&[shows], &service), filters, pair(at, sticky.canary)));
    }
    let mut backends = pair(at, traffic.canary);
    for (backend, cookie) in backends.iter_mut().zip([plan.primary, plan.canary]) {
        if let Some(cookie) = cookie {
            let mut filters = Vec::new();
            filters::give_cookie(&mut filters, &cookie);
            backend["filters"] = Value::Array(filters);
        }
    }
    out.push(rule(&service, weighted, backends));
    Ok(out)
}

fn timeouts(at: &Subject<'_>) -> Value {
    let service = &at.spec.service;
    let said = [("request", &service.timeout), ("backendRequest", &service.backend_timeout)];
    said.into_iter()
        .filter_map(|(field, time)| Some((field.to_owned(), json!(time.as_ref().filter(|time| !time.is_empty())?))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Primary and canary, the canary with `weight` percent.
fn pair(at: &Subject<'_>, weight: i64) -> Vec<Value> {
    let (primary, canary) = destinations(at.spec);
    vec![backend(at, &primary, 100 - weight), backend(at, &canary, weight)]
}

fn backend(at: &Subject<'_>, name: &str, weight: i64) -> Value {
    json!({"group": "", "kind": "Service", "name": name, "port": at.spec.service.port, "weight": weight})
}

/// A live rule with what we want in it; `v1` as in [`Dialect`].
fn merged(live: &Value, wanted: &Value, v1: bool) -> Value {
    let fields: &[&str] = if v1 { &["matches", "filters", "timeouts"] } else { &["matches", "filters"] };
    with_filters(overlay(live, wanted, fields), live, wanted, filters::generated(v1))
}

/// `out` with the filters of `wanted`, and after them those of `live` that are of none of the types that are `ours`.
fn with_filters(mut out: Value, live: &Value, wanted: &Value, ours: &[&str]) -> Value {
    let foreign = list(live, "/filters").iter().filter(|filter| !ours.contains(&text(filter, "/type")));
    let all: Vec<Value> = list(wanted, "/filters").iter().chain(foreign).cloned().collect();
    if !all.is_empty() {
        out["filters"] = Value::Array(all);
    }
    out
}
