//! Istio: two `DestinationRules` and one `VirtualService`, `networking.istio.io/v1beta1` (rollout-contract §7.2).

use serde_json::{Map, Value, json};

use crate::domain::canary::{CanarySpec, Free};

pub const API_VERSION: &str = "networking.istio.io/v1beta1";

/// Names of the two destinations.
#[must_use]
pub fn destinations(spec: &CanarySpec) -> (String, String) {
    let base = spec.service_name();
    (format!("{base}-primary"), format!("{base}-canary"))
}

/// `DestinationRule.spec` for `host`.
#[must_use]
pub fn destination_rule(spec: &CanarySpec, host: &str) -> Value {
    let mut out = json!({"host": host});
    if let Some(Free(policy)) = &spec.service.traffic_policy {
        out["trafficPolicy"] = policy.clone();
    }
    out
}

/// `VirtualService.spec` that gives the canary `weight` percent.
#[must_use]
pub fn virtual_service(spec: &CanarySpec, weight: i64) -> Value {
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

/// Percent that the canary has by the `VirtualService`; `None` where no http route is ours.
///
/// # Errors
/// A sentence when the weights do not add up to 100: nobody can say then where traffic goes.
pub fn weight(spec: &CanarySpec, live: &Value) -> Result<Option<i64>, String> {
    let (primary, canary) = destinations(spec);
    let routes = live.pointer("/spec/http").and_then(Value::as_array).into_iter().flatten();
    let of = |route: &Value, host: &str| -> Option<i64> {
        let found =
            route.get("route")?.as_array()?.iter().find(|d| d.pointer("/destination/host").and_then(Value::as_str) == Some(host))?;
        Some(found.get("weight").and_then(Value::as_i64).unwrap_or(0))
    };
    for route in routes {
        if let (Some(p), Some(c)) = (of(route, &primary), of(route, &canary)) {
            return if p + c == 100 && (0..=100).contains(&c) {
                Ok(Some(c))
            } else {
                Err(format!(
                    "VirtualService {}: weights {p} and {c} do not add up to 100; correct them, or delete the object",
                    spec.service_name()
                ))
            };
        }
    }
    Ok(None)
}

/// `live` with the canary at `weight` percent and everything else of ours as the Canary says; whatever
/// else stands in the object stays.
#[must_use]
pub fn edit(spec: &CanarySpec, live: &Value, weight: i64) -> Value {
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

/// Whether `live` is something else than the Canary wants, its weights aside.
#[must_use]
pub fn differs(spec: &CanarySpec, live: &Value) -> bool {
    let weight = weight(spec, live).ok().flatten().unwrap_or(0);
    edit(spec, live, weight)["spec"] != live["spec"]
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
            let edited = edit(&spec, &live, weight);
            assert_eq!(super::weight(&spec, &edited), Ok(Some(weight)));
            assert_eq!(edited["spec"]["exportTo"], json!(["."]));
            assert!(!differs(&spec, &edited));
        }
    }

    #[test]
    fn weights_that_do_not_add_up_are_never_taken_for_a_weight() {
        let spec = spec(json!({"port": 9898}));
        let mut live = json!({"spec": virtual_service(&spec, 20)});
        live["spec"]["http"][0]["route"][0]["weight"] = json!(0);
        assert!(weight(&spec, &live).is_err_and(|e| e.contains("do not add up")));
        assert_eq!(weight(&spec, &json!({"spec": {}})), Ok(None));
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
