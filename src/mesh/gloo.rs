//! Gloo: one `RouteTable`, to which the user's virtual service delegates, and an `Upstream` for each Service (rollout-contract §7.2).
//!
//! In an A/B test a second route takes the requests that match nothing: without it Gloo would answer them with 404.

use serde_json::{Map, Value, json};

use super::conditions::{How, Vocabulary, conditions};
use super::copy::{found, referred};
use super::edit::{Whose, aligned, divide, divided, list, merge, metadata, names_both, parts, shown, weave};
use super::{Abilities, Companion, Named, Router, Subject, WEIGHTED, destinations, is_ab_test};
use crate::domain::traffic::Traffic;
use crate::kubernetes::json::text;
use crate::kubernetes::kinds::Kind;

/// Gloo Edge.
pub struct Gloo;

const CAN: Vocabulary = Vocabulary { fields: &["headers", "queryParams", "method"], ways: &[How::Exact, How::Regex] };
const DESTINATIONS: &str = "/routeAction/multi/destinations";
/// What `upstreamRef` hands on; never where its requests go.
const OPTIONS: [&str; 8] = [
    "sslConfig",
    "circuitBreakers",
    "connectionConfig",
    "loadBalancerConfig",
    "useHttp2",
    "initialStreamWindowSize",
    "initialConnectionWindowSize",
    "httpProxyHostname",
];

impl Router for Gloo {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::RouteTable, Kind::Upstream]
    }

    fn absent(&self) -> &'static str {
        "Gloo's CRDs are not installed in this cluster: install Gloo, or set spec.provider: kubernetes"
    }

    fn abilities(&self) -> Abilities {
        Abilities { ab_testing: true, ..WEIGHTED }
    }

    fn source(&self, at: &Subject<'_>) -> Option<Named> {
        let reference = at.spec.upstream_ref.as_ref();
        let name = referred(reference)?;
        let namespace = reference.and_then(|r| r.namespace.as_deref()).filter(|n| !n.is_empty()).unwrap_or(at.namespace);
        Some(Named { kind: Kind::Upstream, namespace: namespace.into(), name: name.into() })
    }

    fn mistake(&self, at: &Subject<'_>) -> Option<String> {
        if at.spec.upstream_ref.is_some() && self.source(at).is_none() {
            return Some("spec.upstreamRef.name is empty; name the Upstream whose options are copied, or take upstreamRef out".into());
        }
        wanted(at).err()
    }

    fn weights_at(&self, _: &Subject<'_>) -> Vec<String> {
        ["spec", "routes"].map(Into::into).into()
    }

    fn companions(&self, at: &Subject<'_>) -> Result<Vec<Companion>, String> {
        let source = self.source(at);
        let options = if source.is_some() { found(at, source.as_ref(), "upstreamRef")?.get("spec") } else { None };
        let options: Map<String, Value> = OPTIONS
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), options?.get(key)?.clone())))
            .filter(|(_, value)| !value.is_null())
            .collect();
        let (primary, canary) = destinations(at.spec);
        Ok([(0, primary), (1, canary)]
            .into_iter()
            .map(|(index, service)| {
                let mut spec = options.clone();
                let kube = json!({"serviceName": service, "serviceNamespace": at.namespace, "servicePort": at.spec.service.port});
                spec.insert("kube".into(), kube);
                let at = Named { kind: Kind::Upstream, namespace: at.namespace.into(), name: upstream(at, index) };
                Companion { at, body: json!({"spec": spec}) }
            })
            .collect())
    }

    fn read(&self, at: &Subject<'_>, live: &Value) -> Result<Option<Traffic>, String> {
        let object = self.route(at);
        let ours: Vec<_> = list(live, "/spec/routes").iter().filter(|route| is_ours(at, route)).collect();
        // The last of two is for requests that match nothing.
        match ours[..] {
            [] => Ok(None),
            [route] | [route, _] => divided(&object, list(route, DESTINATIONS), |destination| whose(at, destination)),
            _ => Err(format!("{}: more than two routes divide the requests; take the others out, or delete the object", shown(&object))),
        }
    }

    fn edit(&self, at: &Subject<'_>, live: Option<&Value>, traffic: Traffic) -> Result<Value, String> {
        let weights = parts(traffic)?;
        let wanted = wanted(at)?;
        let count = wanted.len();
        let routes = live.map_or(&[][..], |live| list(live, "/spec/routes"));
        let places = aligned(routes, count, |route| is_ours(at, route));
        let routes = weave(routes, count, places, |index, base| {
            let weights = if index + 1 == count && count > 1 { [100, 0] } else { weights };
            let had = base.map_or(&[][..], |base| list(base, DESTINATIONS));
            let ours = |index: usize, _: Option<&Value>| {
                let upstream = json!({"name": upstream(at, index), "namespace": at.namespace});
                json!({"destination": {"upstream": upstream}, "weight": weights[index]})
            };
            let destinations = divide(had, 2, |destination| whose(at, destination), ours);
            json!({"inheritablePathMatchers": true, "matchers": wanted[index], "routeAction": {"multi": {"destinations": destinations}}})
        });
        Ok(merge(live.cloned(), json!({"metadata": metadata(at), "spec": {"routes": routes}})))
    }
}

/// Start of an Upstream's name; its port follows.
fn upstream_prefix(at: &Subject<'_>, index: usize) -> String {
    let role = if index == 0 { "primary" } else { "canary" };
    format!("{}-{}-{role}upstream-", at.namespace, at.spec.service_name())
}

fn upstream(at: &Subject<'_>, index: usize) -> String {
    format!("{}{}", upstream_prefix(at, index), at.spec.service.port)
}

/// By the name without the port: weights stay when the Canary's port changes.
fn whose(at: &Subject<'_>, destination: &Value) -> Whose {
    let name = text(destination, "/destination/upstream/name");
    let is = |index| name.strip_prefix(&upstream_prefix(at, index)).is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    match destination.get("weight") {
        _ if is(0) => Whose::Primary,
        _ if is(1) => Whose::Canary,
        None => Whose::Idle,
        Some(weight) if *weight == 0 => Whose::Idle,
        Some(_) => Whose::Sharer,
    }
}

fn is_ours(at: &Subject<'_>, route: &Value) -> bool {
    names_both(list(route, DESTINATIONS), |destination| whose(at, destination))
}

/// Matchers of each route of ours: those of an A/B test, then the rest, which has none.
fn wanted(at: &Subject<'_>) -> Result<Vec<Value>, String> {
    if !is_ab_test(at, &Gloo) {
        return Ok(vec![Value::Null]);
    }
    let matchers = conditions(at.spec, CAN)?.into_iter().map(|entry| {
        let mut matcher: Map<String, Value> = Map::new();
        let fields = entry.iter().map(|condition| match condition.field {
            "method" => ("methods", json!(condition.value)),
            "queryParams" => ("queryParameters", compared(condition.name, condition.how, condition.value)),
            _ => ("headers", compared(condition.name, condition.how, condition.value)),
        });
        for (field, value) in fields {
            if let Value::Array(values) = matcher.entry(field).or_insert_with(|| json!([])) {
                values.push(value);
            }
        }
        Value::Object(matcher)
    });
    Ok(vec![matchers.collect(), Value::Null])
}

fn compared(name: &str, how: How, value: &str) -> Value {
    if how == How::Regex { json!({"name": name, "value": value, "regex": true}) } else { json!({"name": name, "value": value}) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::bench::{Bench, laws};

    fn bench(spec: Value) -> Bench {
        let mut bench = Bench::new(&Gloo, merge(Some(json!({"service": {"port": 80}})), spec));
        bench.owned = &["/spec/routes/*/matchers"];
        bench
    }

    fn ab_test() -> Bench {
        bench(json!({"analysis": {"iterations": 5, "match": [
            {"headers": {"x-user": {"exact": "insider"}, "agent": {"regex": ".*b"}}},
            {"method": {"exact": "GET"}, "queryParams": {"beta": {"exact": "1"}}}]}}))
    }

    laws! {
        progressive: bench(json!({}));
        by_header: ab_test();
    }

    fn destination(name: &str, weight: i64) -> Value {
        json!({"destination": {"upstream": {"name": name, "namespace": "prod"}}, "weight": weight})
    }

    #[test]
    fn a_new_table_is_as_flaggers_and_keeps_its_weights_when_the_port_changes() {
        let mut bench = bench(json!({}));
        let live = bench.written(None, 20);
        let destinations = [destination("prod-web-primaryupstream-80", 80), destination("prod-web-canaryupstream-80", 20)];
        assert_eq!(
            live["spec"],
            json!({"routes": [{"inheritablePathMatchers": true, "routeAction": {"multi": {"destinations": destinations}}}]})
        );
        bench.spec.service.port = 8080;
        assert_eq!(bench.read(&live), Ok(Some(20)));
        let out = bench.written(Some(&live), 20).to_string();
        assert!(out.contains("prod-web-canaryupstream-8080") && !out.contains("upstream-80\""), "{out}");
    }

    #[test]
    fn an_ab_test_leaves_the_others_with_the_primary() {
        let (before, during) = (bench(json!({})), ab_test());
        let mut live = before.written(None, 0);
        live["spec"]["routes"][0]["options"] = json!({"timeout": "1s"});
        live["spec"]["routes"].as_array_mut().expect("routes").push(json!({"matchers": [{"prefix": "/theirs"}], "redirectAction": {}}));
        let on = during.written(Some(&live), 100);
        let shape: Vec<_> = list(&on, "/spec/routes")
            .iter()
            .map(|r| {
                (r["matchers"].clone(), r.pointer("/routeAction/multi/destinations/1/weight").cloned(), r["options"]["timeout"].clone())
            })
            .collect();
        assert_eq!(
            shape,
            [
                (
                    json!([{"headers": [{"name": "agent", "value": ".*b", "regex": true}, {"name": "x-user", "value": "insider"}]},
                        {"methods": ["GET"], "queryParameters": [{"name": "beta", "value": "1"}]}]),
                    Some(json!(100)),
                    json!("1s")
                ),
                (Value::Null, Some(json!(0)), json!("1s")),
                (json!([{"prefix": "/theirs"}]), None, Value::Null),
            ]
        );
        assert_eq!(before.written(Some(&on), 0), live, "and back");
        let bad = bench(json!({"analysis": {"iterations": 5, "match": [{"headers": {"x-user": {"prefix": "in"}}}]}}));
        assert!(Gloo.mistake(&bad.subject()).is_some_and(|m| m.contains("headers.x-user cannot be honoured")));
    }

    #[test]
    fn upstreams_have_the_options_of_the_referred_one_and_our_services() {
        let mut bench = bench(json!({"upstreamRef": {"name": "config", "namespace": "gloo-system"}}));
        let at = Named { kind: Kind::Upstream, namespace: "gloo-system".into(), name: "config".into() };
        assert_eq!(Gloo.source(&bench.subject()), Some(at));
        assert!(Gloo.companions(&bench.subject()).is_err_and(|e| e.contains("Upstream config is not in namespace gloo-system")));
        bench.source = Some(json!({"spec": {"static": {"hosts": []}, "connectionConfig": {"connectTimeout": "2s"}, "useHttp2": true}}));
        let companions = Gloo.companions(&bench.subject()).expect("companions");
        let canary = &companions[1];
        assert_eq!((canary.at.namespace.as_str(), canary.at.name.as_str()), ("prod", "prod-web-canaryupstream-80"));
        assert_eq!(
            canary.body,
            json!({"spec": {"connectionConfig": {"connectTimeout": "2s"}, "useHttp2": true,
                "kube": {"serviceName": "web-canary", "serviceNamespace": "prod", "servicePort": 80}}})
        );
        bench.spec.upstream_ref = None;
        assert_eq!(
            Gloo.companions(&bench.subject()).map(|c| c[0].body.clone()),
            Ok(json!({"spec": {"kube": {"serviceName": "web-primary", "serviceNamespace": "prod", "servicePort": 80}}}))
        );
        bench.spec.upstream_ref = Some(crate::domain::canary::ObjectReference::default());
        assert!(Gloo.mistake(&bench.subject()).is_some_and(|m| m.contains("spec.upstreamRef.name is empty")));
    }

    #[test]
    fn weights_that_cannot_be_told_are_an_error() {
        let bench = bench(json!({}));
        let route = |destinations: Value| json!({"routeAction": {"multi": {"destinations": destinations}}});
        let live = |routes: Value| json!({"spec": {"routes": routes}});
        let wrong = route(json!([destination("prod-web-primaryupstream-80", 80), destination("prod-web-canaryupstream-80", 30)]));
        assert!(
            bench
                .read(&live(json!([wrong])))
                .is_err_and(|e| e.starts_with("RouteTable web: weights 80 of the primary and 30 of the canary"))
        );
        let third = route(json!([
            destination("prod-web-primaryupstream-80", 80),
            destination("prod-web-canaryupstream-80", 20),
            destination("x", 5)
        ]));
        assert!(bench.read(&live(json!([third]))).is_err_and(|e| e.contains("another destination")));
        assert!(bench.read(&live(json!([wrong, wrong, wrong]))).is_err_and(|e| e.contains("more than two routes")));
        let others = route(json!([destination("prod-web-primaryupstream-80", 100), destination("prod-web-canaryupstream-x", 0)]));
        assert_eq!(bench.read(&live(json!([others]))), Ok(None));
    }
}
