//! Traefik: one weighted `TraefikService`, to which the user's routes lead (rollout-contract §7.2).
//!
//! The canary's entry is there only while it has a part.

use serde_json::{Value, json};

use super::edit::{Whose, divide, divided, list, merge, metadata, parts};
use super::{Abilities, Router, Subject, WEIGHTED, destinations};
use crate::domain::traffic::Traffic;
use crate::kubernetes::kinds::Kind;

/// Traefik.
pub struct Traefik;

impl Router for Traefik {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::TraefikService]
    }

    fn absent(&self) -> &'static str {
        "Traefik's CRDs are not installed in this cluster: install Traefik, or set spec.provider: kubernetes"
    }

    fn abilities(&self) -> Abilities {
        WEIGHTED
    }

    fn weights_at(&self, _: &Subject<'_>) -> Vec<String> {
        ["spec", "weighted", "services"].map(Into::into).into()
    }

    fn read(&self, at: &Subject<'_>, live: &Value) -> Result<Option<Traffic>, String> {
        divided(&self.route(at), list(live, "/spec/weighted/services"), |service| whose(at, service))
    }

    fn edit(&self, at: &Subject<'_>, live: Option<&Value>, traffic: Traffic) -> Result<Value, String> {
        let weights = parts(traffic)?;
        let (primary, canary) = destinations(at.spec);
        let names = [primary, canary];
        let services = live.map_or(&[][..], |live| list(live, "/spec/weighted/services"));
        let count = if weights[1] > 0 { 2 } else { 1 };
        let services = divide(
            services,
            count,
            |service| whose(at, service),
            |index, _| json!({"name": names[index], "namespace": at.namespace, "port": at.spec.service.port, "weight": weights[index]}),
        );
        Ok(merge(live.cloned(), json!({"metadata": metadata(at), "spec": {"weighted": {"services": services}}})))
    }
}

fn whose(at: &Subject<'_>, service: &Value) -> Whose {
    let (primary, canary) = destinations(at.spec);
    let here = service.get("namespace").is_none_or(|namespace| namespace == at.namespace);
    match service.get("name").and_then(Value::as_str) {
        Some(name) if here && name == primary => Whose::Primary,
        Some(name) if here && name == canary => Whose::Canary,
        // Without a weight it would have one part.
        _ if service.get("weight").is_some_and(|weight| *weight == 0) => Whose::Idle,
        _ => Whose::Sharer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::bench::{Bench, laws};

    fn bench() -> Bench {
        let mut bench = Bench::new(&Traefik, json!({"service": {"port": 80, "apex": {"annotations": {"a": "b"}}}}));
        // The canary's entry goes with its weight.
        bench.owned = &["/spec/weighted/services/*"];
        bench
    }

    laws! { traefik: bench(); }

    #[test]
    fn the_canary_is_named_only_while_it_has_a_part() {
        let bench = bench();
        let idle = bench.written(None, 0);
        let primary = json!({"name": "web-primary", "namespace": "prod", "port": 80, "weight": 100});
        assert_eq!(
            idle,
            json!({"metadata": {"annotations": {"a": "b",
                "kustomize.toolkit.fluxcd.io/reconcile": "disabled", "helm.toolkit.fluxcd.io/driftDetection": "disabled"}},
                "spec": {"weighted": {"services": [primary]}}})
        );
        let all = bench.written(Some(&idle), 100);
        assert_eq!(
            all["spec"]["weighted"]["services"],
            json!([{"name": "web-primary", "namespace": "prod", "port": 80, "weight": 0},
                {"name": "web-canary", "namespace": "prod", "port": 80, "weight": 100}])
        );
        assert_eq!(bench.written(Some(&all), 0), idle);
    }

    #[test]
    fn weights_stay_when_the_canary_is_edited_and_what_others_set_holds_for_both_entries() {
        let mut bench = bench();
        let mut live = bench.written(None, 0);
        live["spec"]["weighted"]["sticky"] = json!({"cookie": {}});
        live["spec"]["weighted"]["services"][0]["scheme"] = json!("h2c");
        let live = bench.written(Some(&live), 30);
        bench.spec.service.port = 8080;
        assert_eq!(Traefik.differs(&bench.subject(), &live), Ok(true));
        assert_eq!(bench.read(&live), Ok(Some(30)));
        let out = bench.written(Some(&live), 30);
        let shape: Vec<_> = list(&out, "/spec/weighted/services").iter().map(|s| (&s["port"], &s["weight"], &s["scheme"])).collect();
        assert_eq!(shape, [(&json!(8080), &json!(70), &json!("h2c")), (&json!(8080), &json!(30), &json!("h2c"))]);
        assert_eq!(out["spec"]["weighted"]["sticky"], json!({"cookie": {}}));
    }

    #[test]
    fn weights_that_cannot_be_told_are_an_error() {
        let bench = bench();
        let live = |services: Value| json!({"spec": {"weighted": {"services": services}}});
        assert_eq!(bench.read(&json!({"spec": {"mirroring": {}}})), Ok(None));
        // What Flagger left of a Canary that was edited in the middle of a run.
        let half = live(json!([{"name": "web-primary", "weight": 100}, {"name": "web-canary", "weight": 100}]));
        assert!(bench.read(&half).is_err_and(|e| e.starts_with("TraefikService web: weights 100 of the primary and 100 of the canary")));
        let third = live(json!([{"name": "web-primary", "weight": 100}, {"name": "x"}]));
        assert!(bench.read(&third).is_err_and(|e| e.contains("another destination")));
        let elsewhere = live(json!([{"name": "web-primary", "weight": 100}, {"name": "web-canary", "namespace": "test", "weight": 1}]));
        assert!(bench.read(&elsewhere).is_err_and(|e| e.contains("another destination")));
    }
}
