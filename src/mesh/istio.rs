//! Istio: two `DestinationRules` and one `VirtualService`, `networking.istio.io/v1beta1` (rollout-contract §7.2).

use serde_json::{Map, Value, json};

use super::{Companion, Router, destinations};
use crate::domain::api::Free;
use crate::domain::canary::CanarySpec;

/// Istio's router.
pub struct Istio;

impl Router for Istio {
    fn kind(&self) -> &'static str {
        "VirtualService"
    }

    fn weights_at(&self) -> [&'static str; 2] {
        ["spec", "http"]
    }

    fn absent(&self) -> &'static str {
        "Istio's CRDs are not installed in this cluster: install Istio, or set spec.provider: kubernetes"
    }

    fn companions(&self, spec: &CanarySpec) -> Vec<Companion> {
        let (primary, canary) = destinations(spec);
        [canary, primary]
            .into_iter()
            .map(|host| Companion { kind: "DestinationRule", spec: destination_rule(spec, &host), name: host })
            .collect()
    }

    fn fresh(&self, spec: &CanarySpec, weight: i64) -> Value {
        virtual_service(spec, weight)
    }

    fn part(&self, rule: &Value, name: &str) -> Option<i64> {
        let found = rule.get("route")?.as_array()?.iter().find(|d| d.pointer("/destination/host").and_then(Value::as_str) == Some(name))?;
        Some(found.get("weight").and_then(Value::as_i64).unwrap_or(0))
    }

    fn edit(&self, spec: &CanarySpec, live: &Value, weight: i64) -> Value {
        let mut out = live.clone();
        let wanted = virtual_service(spec, weight);
        for (key, value) in wanted.as_object().into_iter().flatten() {
            out["spec"][key] = value.clone();
        }
        if spec.service.delegation
            && let Some(spec) = out.get_mut("spec").and_then(Value::as_object_mut)
        {
            spec.remove("hosts");
            spec.remove("gateways");
        }
        out
    }
}

/// `DestinationRule.spec` for `host`.
fn destination_rule(spec: &CanarySpec, host: &str) -> Value {
    let mut out = json!({"host": host});
    if let Some(Free(policy)) = &spec.service.traffic_policy {
        out["trafficPolicy"] = policy.clone();
    }
    out
}

/// `VirtualService.spec` that gives the canary `weight` percent.
fn virtual_service(spec: &CanarySpec, weight: i64) -> Value {
    let s = &spec.service;
    let (primary, canary) = destinations(spec);
    let mut http = Map::new();
    if !s.matches.is_empty() {
        http.insert("match".into(), json!(s.matches));
    }
    for (key, value) in [("rewrite", &s.rewrite), ("retries", &s.retries), ("corsPolicy", &s.cors_policy), ("headers", &s.headers)] {
        if let Some(Free(value)) = value {
            http.insert(key.into(), value.clone());
        }
    }
    if let Some(timeout) = &s.timeout {
        http.insert("timeout".into(), json!(timeout));
    }
    http.insert("route".into(), json!([destination(spec, &primary, 100 - weight), destination(spec, &canary, weight)]));
    let mut out = json!({"http": [Value::Object(http)]});
    if !s.delegation {
        let base = spec.service_name();
        let mut hosts = s.hosts.clone();
        if !hosts.iter().any(|h| h == base || h == "*") {
            hosts.push(base.to_owned());
        }
        out["hosts"] = json!(hosts);
        out["gateways"] = if s.gateways.is_empty() { json!(["mesh"]) } else { json!(s.gateways) };
    }
    out
}

fn destination(spec: &CanarySpec, host: &str, weight: i64) -> Value {
    let s = &spec.service;
    let mut destination = json!({"host": host});
    // With several ports behind a gateway, Istio cannot tell which one is meant.
    if s.port_discovery && (s.delegation || s.gateways.first().is_some_and(|g| g != "mesh")) {
        destination["port"] = json!({"number": s.port});
    }
    json!({"destination": destination, "weight": weight})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(service: Value) -> CanarySpec {
        serde_json::from_value(json!({"targetRef": {"kind": "Deployment", "name": "web"}, "service": service})).expect("a spec")
    }

    #[test]
    fn weights_are_read_back_as_written_and_foreign_fields_survive() {
        let spec = spec(json!({"port": 9898, "match": [{"uri": {"prefix": "/"}}], "timeout": "5s"}));
        for weight in [0, 20, 100] {
            let live = json!({"metadata": {"name": "web"}, "spec": {"exportTo": ["."], "http": []}});
            let edited = Istio.edit(&spec, &live, weight);
            assert_eq!(Istio.weight(&spec, &edited), Ok(Some(weight)));
            assert_eq!(edited["spec"]["exportTo"], json!(["."]));
            assert!(!Istio.differs(&spec, &edited));
        }
    }

    #[test]
    fn weights_that_do_not_add_up_are_never_taken_for_a_weight() {
        let spec = spec(json!({"port": 9898}));
        let mut live = json!({"spec": virtual_service(&spec, 20)});
        live["spec"]["http"][0]["route"][0]["weight"] = json!(0);
        assert!(Istio.weight(&spec, &live).is_err_and(|e| e.contains("do not add up")));
        assert_eq!(Istio.weight(&spec, &json!({"spec": {}})), Ok(None));
    }

    #[test]
    fn hosts_gateways_and_ports_follow_flaggers_rules() {
        let mesh = virtual_service(&spec(json!({"port": 80, "portDiscovery": true, "hosts": ["shop.example.com"]})), 0);
        assert_eq!((&mesh["hosts"], &mesh["gateways"]), (&json!(["shop.example.com", "web"]), &json!(["mesh"])));
        assert!(mesh.pointer("/http/0/route/0/destination/port").is_none());
        let gateway = virtual_service(&spec(json!({"port": 80, "portDiscovery": true, "gateways": ["public"]})), 0);
        assert_eq!(gateway.pointer("/http/0/route/0/destination/port/number"), Some(&json!(80)));
        let delegated = virtual_service(&spec(json!({"port": 80, "delegation": true})), 0);
        assert!(delegated.get("hosts").is_none() && delegated.get("gateways").is_none());
    }
}
