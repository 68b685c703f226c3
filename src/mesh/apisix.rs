//! APISIX: an `ApisixRoute` made after the user's, of a higher priority and with both Services (rollout-contract §7.2).

use serde_json::{Value, json};

use super::copy::{copy, found, referred, unreferred};
use super::edit::{Whose, brief, divided, list, merge, names_both, parts, shown};
use super::{Abilities, Named, Router, Subject, WEIGHTED, destinations};
use crate::domain::traffic::Traffic;
use crate::kubernetes::kinds::Kind;

/// Apache APISIX.
pub struct Apisix;

/// Above the source's rule for the same paths.
const PRIORITY: i64 = 10_000;
/// What APISIX's controller reads of an object begins so.
const READS: &str = "k8s.apisix.apache.org/";

impl Router for Apisix {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::ApisixRoute]
    }

    fn absent(&self) -> &'static str {
        "APISIX's CRDs are not installed in this cluster: install its ingress controller, or set spec.provider: kubernetes"
    }

    fn abilities(&self) -> Abilities {
        WEIGHTED
    }

    fn route(&self, at: &Subject<'_>) -> Named {
        let route = referred(at.spec.route_ref.as_ref()).unwrap_or_default();
        Named { kind: Kind::ApisixRoute, namespace: at.namespace.into(), name: format!("{route}-{}-canary", at.spec.service_name()) }
    }

    fn source(&self, at: &Subject<'_>) -> Option<Named> {
        let name = referred(at.spec.route_ref.as_ref())?;
        Some(Named { kind: Kind::ApisixRoute, namespace: at.namespace.into(), name: name.into() })
    }

    fn mistake(&self, at: &Subject<'_>) -> Option<String> {
        unreferred(self.source(at).as_ref(), "apisix", "routeRef", Kind::ApisixRoute)
    }

    fn weights_at(&self, _: &Subject<'_>) -> Vec<String> {
        ["spec", "http"].map(Into::into).into()
    }

    fn read(&self, at: &Subject<'_>, live: &Value) -> Result<Option<Traffic>, String> {
        let object = self.route(at);
        let whose = |backend: &Value| whose(at, backend);
        let rules = list(live, "/spec/http");
        let Some(rule) = rules.iter().find(|rule| names_both(list(rule, "/backends"), whose)) else { return Ok(None) };
        let backends = list(rule, "/backends");
        if backends.iter().any(|backend| backend.get("weight").is_none()) {
            return Err(format!("{}: a backend has no weight, and APISIX would choose one; set it, or delete the object", shown(&object)));
        }
        divided(&object, backends, whose)
    }

    fn edit(&self, at: &Subject<'_>, live: Option<&Value>, traffic: Traffic) -> Result<Value, String> {
        let [to_primary, to_canary] = parts(traffic)?;
        let named = self.source(at);
        let source = found(at, named.as_ref(), "routeRef")?;
        let mut rule = rule(at, source)?;
        let backend = list(&rule, "/backends").first().cloned().unwrap_or_default();
        let (primary, canary) = destinations(at.spec);
        let weighted = |name: String, weight: i64| merge(Some(backend.clone()), json!({"serviceName": name, "weight": weight}));
        rule = merge(Some(rule), json!({"priority": PRIORITY, "backends": [weighted(primary, to_primary), weighted(canary, to_canary)]}));
        // The class and whatever else picks the controller; not the streams, whose ports would be taken twice.
        let spec = merge(source.get("spec").cloned(), json!({"http": [rule], "stream": null}));
        Ok(copy(at, live, source, spec, READS, |_| false))
    }
}

fn whose(at: &Subject<'_>, backend: &Value) -> Whose {
    let (primary, canary) = destinations(at.spec);
    match backend.get("serviceName").and_then(Value::as_str) {
        Some(name) if name == primary => Whose::Primary,
        Some(name) if name == canary => Whose::Canary,
        _ if backend.get("weight").is_some_and(|weight| *weight == 0) => Whose::Idle,
        _ => Whose::Sharer,
    }
}

/// The source's first rule that leads to the Service.
fn rule(at: &Subject<'_>, source: &Value) -> Result<Value, String> {
    let service = at.spec.service_name();
    let object = format!("ApisixRoute {}", brief(referred(at.spec.route_ref.as_ref()).unwrap_or_default()));
    let leads =
        |rule: &&Value| list(rule, "/backends").iter().any(|backend| backend.get("serviceName").is_some_and(|name| name == service));
    let rule = list(source, "/spec/http")
        .iter()
        .find(leads)
        .ok_or_else(|| format!("backend {} not found in {object}; name it in a rule of spec.http", brief(service)))?;
    if list(rule, "/backends").len() == 1 && list(rule, "/upstreams").is_empty() {
        return Ok(rule.clone());
    }
    Err(format!(
        "{object}: the rule that leads to {} has other backends; only one can be divided, give the others a rule of their own",
        brief(service)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::bench::{Bench, laws};

    fn bench() -> Bench {
        let mut bench = Bench::new(&Apisix, json!({"routeRef": {"name": "shop"}, "service": {"port": 80}}));
        bench.source = Some(json!({"metadata": {"labels": {"app": "shop"}, "annotations": {"k8s.apisix.apache.org/x": "1"}},
            "spec": {"ingressClassName": "apisix", "stream": [{"name": "tcp"}], "http": [
                {"name": "other", "backends": [{"serviceName": "x", "servicePort": 80}]},
                {"name": "all", "match": {"paths": ["/*"]}, "priority": 3, "plugins": [{"name": "prometheus", "enable": true}],
                    "backends": [{"serviceName": "web", "servicePort": "http", "resolveGranularity": "service", "subset": "a"}]}]}}));
        bench.owned = &["/spec"];
        bench
    }

    laws! { apisix: bench(); }

    #[test]
    fn the_rule_of_the_service_is_copied_above_it() {
        let bench = bench();
        assert_eq!(Apisix.route(&bench.subject()).name, "shop-web-canary");
        let backend = |name: &str, weight: i64| {
            let copied = json!({"servicePort": "http", "resolveGranularity": "service", "subset": "a"});
            merge(Some(copied), json!({"serviceName": name, "weight": weight}))
        };
        assert_eq!(
            bench.written(None, 20),
            json!({"metadata": {"labels": {"app": "shop"}, "annotations": {"k8s.apisix.apache.org/x": "1"}},
            "spec": {"ingressClassName": "apisix", "http": [
                {"name": "all", "match": {"paths": ["/*"]}, "priority": 10_000, "plugins": [{"name": "prometheus", "enable": true}],
                    "backends": [backend("web-primary", 80), backend("web-canary", 20)]}]}})
        );
    }

    #[test]
    fn a_source_that_cannot_be_divided_is_an_error() {
        let mut bench = bench();
        let edit = |bench: &Bench| Apisix.edit(&bench.subject(), None, Traffic::PRIMARY).expect_err("no edit");
        let rule = |rest: Value| merge(Some(json!({"name": "all", "backends": [{"serviceName": "web"}]})), rest);
        for second in [json!({"backends": [{"serviceName": "web"}, {"serviceName": "x"}]}), json!({"upstreams": [{"name": "x"}]})] {
            bench.source = Some(json!({"spec": {"http": [rule(second)]}}));
            assert!(edit(&bench).contains("ApisixRoute shop: the rule that leads to web has other backends"));
        }
        bench.source = Some(json!({"spec": {"http": []}}));
        assert!(edit(&bench).contains("backend web not found in ApisixRoute shop"));
        bench.source = None;
        assert!(edit(&bench).contains("ApisixRoute shop is not in namespace prod"));
        bench.spec.route_ref = None;
        assert!(Apisix.mistake(&bench.subject()).is_some_and(|m| m.contains("spec.routeRef.name is empty")));
    }

    #[test]
    fn weights_that_cannot_be_told_are_an_error() {
        let bench = bench();
        let mut live = bench.written(None, 20);
        live["spec"]["http"][0]["backends"][0]["weight"] = json!(20);
        assert!(bench.read(&live).is_err_and(|e| e.starts_with("ApisixRoute shop-web-canary: weights 20") && e.contains("add up to 100")));
        live["spec"]["http"][0]["backends"][0] = json!({"serviceName": "web-primary"});
        assert!(bench.read(&live).is_err_and(|e| e.contains("has no weight")));
        assert_eq!(bench.read(bench.source.as_ref().expect("a source")), Ok(None));
    }
}
