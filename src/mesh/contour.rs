//! Contour: one `HTTPProxy`, which the user includes from a root proxy (rollout-contract §7.2).
//!
//! A route of it is ours that names both Services, or that has the conditions of ours: two of the same cannot stand beside each other.

use serde_json::{Value, json};

use super::conditions::{Condition, How, Vocabulary, conditions};
use super::edit::{Place, Whose, aligned, divide, divided, list, merge, metadata, names_both, parts, shown, weave};
use super::{Abilities, Router, Subject, WEIGHTED, destinations, is_ab_test};
use crate::domain::traffic::Traffic;
use crate::kubernetes::json::text;
use crate::kubernetes::kinds::Kind;

/// Contour.
pub struct Contour;

const CAN: Vocabulary = Vocabulary { fields: &["headers"], ways: &[How::Exact, How::Prefix, How::Suffix] };
/// By which Linkerd finds the Service behind Contour.
const LINKERD: &str = "l5d-dst-override";

impl Router for Contour {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::HttpProxy]
    }

    fn absent(&self) -> &'static str {
        "Contour's CRDs are not installed in this cluster: install Contour, or set spec.provider: kubernetes"
    }

    fn abilities(&self) -> Abilities {
        Abilities { ab_testing: true, ..WEIGHTED }
    }

    fn mistake(&self, at: &Subject<'_>) -> Option<String> {
        wanted(at).err()
    }

    fn weights_at(&self, _: &Subject<'_>) -> Vec<String> {
        ["spec", "routes"].map(Into::into).into()
    }

    fn read(&self, at: &Subject<'_>, live: &Value) -> Result<Option<Traffic>, String> {
        let object = self.route(at);
        let whose = |service: &Value| whose(at, service);
        let ours: Vec<_> =
            list(live, "/spec/routes").iter().map(|route| list(route, "/services")).filter(|s| names_both(s, whose)).collect();
        // The last of several is for requests that match nothing.
        let heads = if ours.len() > 1 { &ours[..ours.len() - 1] } else { &ours[..] };
        let mut found = None;
        for services in heads {
            let traffic = divided(&object, services, whose)?;
            if found.is_some() && found != traffic {
                return Err(format!("{}: its routes weigh the canary differently; correct them, or delete the object", shown(&object)));
            }
            found = traffic;
        }
        Ok(found)
    }

    fn edit(&self, at: &Subject<'_>, live: Option<&Value>, traffic: Traffic) -> Result<Value, String> {
        let weights = parts(traffic)?;
        let wanted = wanted(at)?;
        let count = wanted.len();
        let routes = live.map_or(&[][..], |live| list(live, "/spec/routes"));
        let is_ours = |route: &Value| {
            let rest = json!([{"prefix": prefix(at)}]);
            let conditions = route.get("conditions").filter(|c| c.as_array().is_none_or(|c| !c.is_empty()));
            names_both(list(route, "/services"), |service| whose(at, service)) || conditions.map_or(prefix(at) == "/", |c| *c == rest)
        };
        let spec = &at.spec.service;
        let timeout = spec.timeout.as_deref().filter(|timeout| !timeout.is_empty());
        let routes = weave(routes, count, aligned(routes, count, is_ours), |index, base| {
            let weights = if index + 1 == count && count > 1 { [100, 0] } else { weights };
            let services = base.map_or(&[][..], |base| list(base, "/services"));
            json!({
                "conditions": wanted[index],
                "timeoutPolicy": timeout.map(|timeout| json!({"response": timeout, "idle": "5m"})),
                "retryPolicy": spec.retries.as_ref().map(|retries| retry_policy(&retries.0)),
                "services": divide(services, 2, |service| whose(at, service), |index, base| service(at, index, base, weights)),
            })
        });
        let mut spec = json!({"routes": routes});
        if !at.settings.ingress_class.is_empty() {
            spec["ingressClassName"] = json!(at.settings.ingress_class);
        }
        Ok(merge(live.cloned(), json!({"metadata": metadata(at), "spec": spec})))
    }
}

fn whose(at: &Subject<'_>, service: &Value) -> Whose {
    let (primary, canary) = destinations(at.spec);
    let mirror = service.get("mirror").is_some_and(|mirror| *mirror == true);
    match service.get("name").and_then(Value::as_str) {
        Some(name) if name == primary && !mirror => Whose::Primary,
        Some(name) if name == canary && !mirror => Whose::Canary,
        // Beside weights, a Service without one has no part.
        _ if mirror || service.get("weight").is_none_or(|weight| *weight == 0) => Whose::Idle,
        _ => Whose::Sharer,
    }
}

/// The path prefix that all routes of ours are for.
fn prefix<'a>(at: &Subject<'a>) -> &'a str {
    let first = at.spec.service.matches.first();
    first.map(|entry| text(&entry.0, "/uri/prefix")).filter(|prefix| !prefix.is_empty()).unwrap_or("/")
}

/// Conditions of each route of ours: those of an A/B test, then the rest.
fn wanted(at: &Subject<'_>) -> Result<Vec<Value>, String> {
    let mut out = Vec::new();
    if is_ab_test(at, &Contour) {
        for entry in conditions(at.spec, CAN)? {
            let mut all: Vec<_> = entry.iter().map(|condition| json!({"header": header(condition)})).collect();
            // One prefix for the route; Contour refuses a second.
            if let Some(first) = all.first_mut() {
                first["prefix"] = json!(prefix(at));
            }
            out.push(json!(all));
        }
    }
    out.push(json!([{"prefix": prefix(at)}]));
    Ok(out)
}

fn header(condition: &Condition<'_>) -> Value {
    // Contour has no words for the ends of a value.
    let word = if condition.how == How::Exact { "exact" } else { "contains" };
    json!({"name": condition.name, word: condition.value})
}

fn service(at: &Subject<'_>, index: usize, base: Option<&Value>, weights: [i64; 2]) -> Value {
    let (primary, canary) = destinations(at.spec);
    let name = if index == 0 { primary } else { canary };
    let port = at.spec.service.port;
    let set = base.map_or(&[][..], |base| list(base, "/requestHeadersPolicy/set"));
    let is_ours = |header: &Value| if text(header, "/name").eq_ignore_ascii_case(LINKERD) { Place::Ours(0) } else { Place::Theirs };
    let address = format!("{name}.{}.svc.cluster.local:{port}", at.namespace);
    let set = weave(set, 1, is_ours, |_, _| json!({"name": LINKERD, "value": address}));
    json!({"name": name, "port": port, "weight": weights[index], "requestHeadersPolicy": {"set": set}})
}

/// Istio's words for retries in Contour's.
fn retry_policy(retries: &Value) -> Value {
    let on: Vec<_> = text(retries, "/retryOn").split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let mut out = json!({});
    if let Some(attempts) = retries.get("attempts") {
        out["count"] = attempts.clone();
    }
    out["perTryTimeout"] = retries.get("perTryTimeout").cloned().unwrap_or_default();
    out["retryOn"] = if on.is_empty() { Value::Null } else { json!(on) };
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::bench::{Bench, laws};

    fn bench(spec: Value) -> Bench {
        let service = json!({"port": 80, "timeout": "15s", "match": [{"uri": {"prefix": "/shop"}}],
            "retries": {"attempts": 3, "perTryTimeout": "1s", "retryOn": "5xx, reset"}, "apex": {"labels": {"team": "a"}}});
        let mut bench = Bench::new(&Contour, merge(Some(json!({"service": service})), spec));
        bench.settings.ingress_class = "contour".into();
        bench.owned = &["/spec/routes/*/conditions"];
        bench
    }

    fn ab_test() -> Bench {
        bench(json!({"analysis": {"iterations": 5, "match": [
            {"headers": {"x-user": {"exact": "insider"}, "cookie": {"suffix": "b"}}}, {"headers": {"x-beta": {"prefix": "y"}}}]}}))
    }

    laws! {
        progressive: bench(json!({}));
        by_header: ab_test();
    }

    #[test]
    fn a_new_proxy_is_as_flaggers() {
        let service = |name: &str, weight: i64| {
            json!({"name": name, "port": 80, "weight": weight, "requestHeadersPolicy":
                {"set": [{"name": "l5d-dst-override", "value": format!("{name}.prod.svc.cluster.local:80")}]}})
        };
        assert_eq!(
            bench(json!({})).written(None, 20),
            json!({
                "metadata": {"labels": {"team": "a"}, "annotations":
                    {"kustomize.toolkit.fluxcd.io/reconcile": "disabled", "helm.toolkit.fluxcd.io/driftDetection": "disabled"}},
                "spec": {"ingressClassName": "contour", "routes": [{
                    "conditions": [{"prefix": "/shop"}],
                    "timeoutPolicy": {"response": "15s", "idle": "5m"},
                    "retryPolicy": {"count": 3, "perTryTimeout": "1s", "retryOn": ["5xx", "reset"]},
                    "services": [service("web-primary", 80), service("web-canary", 20)]}]}})
        );
    }

    #[test]
    fn an_ab_test_has_a_route_for_each_match_and_one_for_the_rest() {
        let (before, during) = (bench(json!({})), ab_test());
        let mut live = before.written(None, 0);
        live["spec"]["routes"][0]["enableWebsockets"] = json!(true);
        let on = during.written(Some(&live), 100);
        let routes = list(&on, "/spec/routes");
        let shape: Vec<_> = routes.iter().map(|r| (&r["conditions"], &r["services"][1]["weight"], &r["enableWebsockets"])).collect();
        assert_eq!(
            shape,
            [
                (
                    &json!([{"prefix": "/shop", "header": {"name": "cookie", "contains": "b"}},
                        {"header": {"name": "x-user", "exact": "insider"}}]),
                    &json!(100),
                    &json!(true)
                ),
                (&json!([{"prefix": "/shop", "header": {"name": "x-beta", "contains": "y"}}]), &json!(100), &json!(true)),
                (&json!([{"prefix": "/shop"}]), &json!(0), &json!(true)),
            ]
        );
        assert_eq!(before.written(Some(&on), 0), live, "and back");
        let mut uneven = on.clone();
        uneven["spec"]["routes"][1]["services"] = json!([{"name": "web-primary", "weight": 100}, {"name": "web-canary"}]);
        assert!(during.read(&uneven).is_err_and(|e| e.contains("weigh the canary differently")));
    }

    #[test]
    fn routes_of_others_stay_and_the_one_in_our_place_is_taken_over() {
        let bench = bench(json!({"service": {"timeout": null, "retries": null}}));
        let admin = json!({"conditions": [{"prefix": "/admin"}], "services": [{"name": "web-primary", "port": 80}]});
        let live = json!({"spec": {"virtualhost": {"fqdn": "a"}, "routes": [admin,
            {"conditions": [{"prefix": "/shop"}], "timeoutPolicy": {"response": "1s"}, "services":
                [{"name": "web", "port": 80, "weight": 1}, {"name": "shadow", "mirror": true}, {"name": "idle", "weight": 0}]}]}});
        assert_eq!(bench.read(&live), Ok(None));
        let out = bench.written(Some(&live), 20);
        assert_eq!((&out["spec"]["virtualhost"]["fqdn"], &out["spec"]["routes"][0]), (&json!("a"), &admin));
        assert_eq!(out["spec"]["routes"][1].get("timeoutPolicy"), None, "the Canary says none");
        let names: Vec<_> = list(&out, "/spec/routes/1/services").iter().map(|s| s["name"].clone()).collect();
        assert_eq!(names, ["web-primary", "web-canary", "shadow", "idle"]);
        assert_eq!(list(&out, "/spec/routes").len(), 2);
        let mut third = out.clone();
        third["spec"]["routes"][1]["services"][3]["weight"] = json!(5);
        assert!(bench.read(&third).is_err_and(|e| e.contains("another destination")));
        assert_eq!(list(&bench.written(Some(&third), 20), "/spec/routes/1/services").len(), 3, "what has a part is taken out");
        let mut wrong = out;
        wrong["spec"]["routes"][1]["services"][0]["weight"] = json!(20);
        assert!(bench.read(&wrong).is_err_and(|e| e.starts_with("HTTPProxy web: weights 20 of the primary and 20 of the canary")));
    }

    #[test]
    fn a_condition_that_contour_does_not_know_is_a_mistake() {
        let bench = bench(json!({"analysis": {"iterations": 5, "match": [{"headers": {"x-user": {"regex": ".*"}}}]}}));
        assert!(Contour.mistake(&bench.subject()).is_some_and(|m| m.contains("headers.x-user cannot be honoured")));
        assert!(Contour.edit(&bench.subject(), None, Traffic::PRIMARY).is_err());
    }
}
