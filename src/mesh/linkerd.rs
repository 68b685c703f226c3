//! Linkerd: one `HTTPRoute` of the Gateway API whose parent is the apex Service (rollout-contract §7.2).

use serde_json::{Map, Value, json};

use super::{Companion, Router};
use crate::domain::canary::CanarySpec;

/// Linkerd's router.
pub struct Linkerd;

impl Router for Linkerd {
    fn kind(&self) -> &'static str {
        "HTTPRoute"
    }

    fn weights_at(&self) -> [&'static str; 2] {
        ["spec", "rules"]
    }

    fn absent(&self) -> &'static str {
        "the Gateway API's CRDs are not installed in this cluster: install them with Linkerd, or set spec.provider: kubernetes"
    }

    fn companions(&self, _: &CanarySpec) -> Vec<Companion> {
        Vec::new()
    }

    fn fresh(&self, spec: &CanarySpec, weight: i64) -> Value {
        let mut rule = Map::new();
        rule.insert("matches".into(), json!([{"path": {"type": "PathPrefix", "value": "/"}}]));
        if let Some(timeout) = &spec.service.timeout {
            rule.insert("timeouts".into(), json!({"request": timeout}));
        }
        let (primary, canary) = super::destinations(spec);
        rule.insert("backendRefs".into(), json!([backend(spec, &primary, 100 - weight), backend(spec, &canary, weight)]));
        let parent = json!({"group": "core", "kind": "Service", "name": spec.service_name(), "port": spec.service.port});
        json!({"parentRefs": [parent], "rules": [rule]})
    }

    fn part(&self, rule: &Value, name: &str) -> Option<i64> {
        let found = rule.get("backendRefs")?.as_array()?.iter().find(|b| b.get("name").and_then(Value::as_str) == Some(name))?;
        // A backend without a weight has one part.
        Some(found.get("weight").and_then(Value::as_i64).unwrap_or(1))
    }

    fn edit(&self, spec: &CanarySpec, live: &Value, weight: i64) -> Value {
        let mut out = live.clone();
        let wanted = self.fresh(spec, weight);
        out["spec"]["parentRefs"] = wanted["parentRefs"].clone();
        // Filters and further rules are other people's; the first rule is where users' requests go.
        match out.pointer_mut("/spec/rules/0") {
            Some(Value::Object(rule)) => {
                for (key, value) in wanted.pointer("/rules/0").and_then(Value::as_object).into_iter().flatten() {
                    rule.insert(key.clone(), value.clone());
                }
            }
            _ => out["spec"]["rules"] = wanted["rules"].clone(),
        }
        out
    }
}

fn backend(spec: &CanarySpec, name: &str, weight: i64) -> Value {
    json!({"group": "", "kind": "Service", "name": name, "port": spec.service.port, "weight": weight})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(service: Value) -> CanarySpec {
        serde_json::from_value(json!({"targetRef": {"kind": "Deployment", "name": "web"}, "service": service})).expect("a spec")
    }

    #[test]
    fn weights_are_read_back_as_written_and_foreign_fields_survive() {
        let spec = spec(json!({"port": 9898, "timeout": "5s"}));
        let foreign = json!({"metadata": {"name": "web"}, "spec": {"hostnames": ["a"], "rules": [
            {"filters": [{"type": "RequestHeaderModifier"}]}, {"matches": [{"path": {"value": "/admin"}}]}]}});
        for weight in [0, 20, 100] {
            let edited = Linkerd.edit(&spec, &foreign, weight);
            assert_eq!(Linkerd.weight(&spec, &edited), Ok(Some(weight)));
            assert_eq!(edited["spec"]["hostnames"], json!(["a"]));
            assert_eq!(edited.pointer("/spec/rules/0/filters/0/type"), Some(&json!("RequestHeaderModifier")));
            assert_eq!(edited.pointer("/spec/rules/1/matches/0/path/value"), Some(&json!("/admin")));
            assert!(!Linkerd.differs(&spec, &edited));
        }
        assert!(Linkerd.differs(&spec, &foreign));
    }

    #[test]
    fn weights_that_do_not_add_up_are_never_taken_for_a_weight() {
        let spec = spec(json!({"port": 9898}));
        let mut live = json!({"spec": Linkerd.fresh(&spec, 20)});
        assert_eq!(live.pointer("/spec/parentRefs/0/name"), Some(&json!("web")));
        live["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(0);
        assert!(Linkerd.weight(&spec, &live).is_err_and(|e| e.contains("do not add up")));
        assert_eq!(Linkerd.weight(&spec, &json!({"spec": {}})), Ok(None));
    }
}
