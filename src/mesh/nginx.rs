//! nginx: a copy of the user's Ingress that ingress-nginx takes for the canary of it, with the weight in an annotation
//! (rollout-contract §7.2).

use serde_json::{Value, json};

use super::conditions::{How, Vocabulary, conditions};
use super::copy::{NO_INGRESSES, canary_ingress, copy, found, ingress, unreferred};
use super::edit::{brief, merge, parts, shown, toolkit};
use super::{Abilities, Named, Router, Subject, WEIGHTED, is_ab_test};
use crate::domain::traffic::Traffic;
use crate::kubernetes::json::strings;
use crate::kubernetes::kinds::Kind;

/// ingress-nginx.
pub struct Nginx;

const CAN: Vocabulary = Vocabulary { fields: &["headers"], ways: &[How::Exact, How::Regex] };

impl Router for Nginx {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Ingress]
    }

    fn absent(&self) -> &'static str {
        NO_INGRESSES
    }

    fn abilities(&self) -> Abilities {
        Abilities { ab_testing: true, ..WEIGHTED }
    }

    fn route(&self, at: &Subject<'_>) -> Named {
        canary_ingress(at)
    }

    fn source(&self, at: &Subject<'_>) -> Option<Named> {
        ingress(at)
    }

    fn mistake(&self, at: &Subject<'_>) -> Option<String> {
        unreferred(ingress(at).as_ref(), "nginx", "ingressRef", Kind::Ingress).or_else(|| {
            if !is_ab_test(at, &Nginx) {
                return None;
            }
            if (1..100).contains(&at.spec.analysis.step_weight_promotion) {
                return Some(
                    "spec.analysis.stepWeightPromotion cannot be honoured: in an A/B test by nginx all requests that match go to \
                     the canary, or none; take it out"
                        .into(),
                );
            }
            rules(at).err()
        })
    }

    fn weights_at(&self, at: &Subject<'_>) -> Vec<String> {
        vec!["metadata".into(), "annotations".into(), word(at, "canary-weight")]
    }

    fn read(&self, at: &Subject<'_>, live: &Value) -> Result<Option<Traffic>, String> {
        let annotations = strings(live, "/metadata/annotations");
        let said = |name: &str| annotations.get(&word(at, name)).map(String::as_str);
        let wrong = |name: &str, value: &str, rule: &str| {
            let (object, key) = (shown(&self.route(at)), word(at, name));
            Err(format!("{object}: annotation {key} is \"{}\" and not {rule}; correct it, or delete the object", brief(value)))
        };
        match (said("canary"), said("canary-weight")) {
            (None, None) => return Ok(None),
            (Some("true"), _) => {}
            (other, _) => return wrong("canary", other.unwrap_or_default(), "\"true\", so it is no canary for nginx"),
        }
        if let Some(total) = said("canary-weight-total").filter(|total| *total != "100") {
            return wrong("canary-weight-total", total, "100, so weights are no percentages");
        }
        if is_ab_test(at, &Nginx) && (said("canary-by-cookie").is_some() || said("canary-by-header").is_some()) {
            return Ok(Some(Traffic::weight(100)));
        }
        // Without the annotation nginx sends the canary nothing.
        let weight = said("canary-weight").unwrap_or("0");
        match weight.parse() {
            Ok(canary @ 0..=100) => Ok(Some(Traffic::weight(canary))),
            _ => wrong("canary-weight", weight, "a whole number from 0 to 100"),
        }
    }

    fn edit(&self, at: &Subject<'_>, live: Option<&Value>, traffic: Traffic) -> Result<Value, String> {
        let [_, canary] = parts(traffic)?;
        let named = ingress(at);
        let source = found(at, named.as_ref(), "ingressRef")?;
        let service = at.spec.service_name();
        let spec = canary_spec(source, service).ok_or_else(|| {
            format!("backend {} not found in ingress {}", brief(service), brief(&named.map(|n| n.name).unwrap_or_default()))
        })?;
        let mut annotations = toolkit();
        annotations.insert(word(at, "canary"), json!("true"));
        let by_request = is_ab_test(at, &Nginx);
        annotations.insert(word(at, "canary-weight"), json!(if by_request { "0".to_owned() } else { canary.to_string() }));
        if by_request && canary > 0 {
            annotations.extend(rules(at)?.into_iter().map(|(name, value)| (word(at, name), json!(value))));
        }
        let (prefix, canaries) = (word(at, ""), word(at, "canary-"));
        let owns = |key: &str| key.strip_prefix(&prefix) == Some("canary") || key.starts_with(&canaries);
        let out = copy(at, live, source, spec, &prefix, owns);
        Ok(merge(Some(out), json!({"metadata": {"annotations": annotations}})))
    }
}

/// The annotation `name` of ingress-nginx.
fn word(at: &Subject<'_>, name: &str) -> String {
    format!("{}/{name}", at.settings.ingress_annotations_prefix)
}

/// The source's `spec` with the canary in the place of `service`; `None` where it does not name it.
fn canary_spec(source: &Value, service: &str) -> Option<Value> {
    let mut spec = source.get("spec")?.clone();
    let canary = format!("{service}-canary");
    let mut met = false;
    let mut swap = |name: Option<&mut Value>| {
        if let Some(name) = name.filter(|name| **name == service) {
            *name = json!(canary);
            met = true;
        }
    };
    swap(spec.pointer_mut("/defaultBackend/service/name"));
    for rule in spec.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
        for path in rule.pointer_mut("/http/paths").and_then(Value::as_array_mut).into_iter().flatten() {
            swap(path.pointer_mut("/backend/service/name"));
        }
    }
    met.then_some(spec)
}

/// The annotations by which nginx tells the requests of an A/B test: one header and one cookie, either of which is enough.
fn rules<'a>(at: &Subject<'a>) -> Result<Vec<(&'static str, &'a str)>, String> {
    let mut out: Vec<(&'static str, &'a str)> = Vec::new();
    let several =
        "spec.analysis.match cannot be honoured: nginx knows one header and one cookie, each in a match of its own; take the others out";
    for entry in conditions(at.spec, CAN)? {
        let [condition] = entry[..] else { return Err(several.into()) };
        let rules = match (condition.name.eq_ignore_ascii_case("cookie"), condition.how) {
            (true, How::Exact) => vec![("canary-by-cookie", condition.value)],
            (true, _) => {
                return Err("spec.analysis.match: nginx takes the exact name of a cookie, no regex; say headers.cookie.exact".into());
            }
            (false, How::Regex) => vec![("canary-by-header", condition.name), ("canary-by-header-pattern", condition.value)],
            (false, _) => vec![("canary-by-header", condition.name), ("canary-by-header-value", condition.value)],
        };
        if out.iter().any(|(name, _)| *name == rules[0].0) {
            return Err(several.into());
        }
        out.extend(rules);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::bench::{Bench, laws};

    fn bench(analysis: Value) -> Bench {
        let mut bench = Bench::new(&Nginx, json!({"ingressRef": {"name": "shop"}, "service": {"port": 80}, "analysis": analysis}));
        bench.source = Some(json!({"metadata": {"labels": {"app": "shop"}, "annotations": {
                "kubernetes.io/ingress.class": "nginx", "nginx.ingress.kubernetes.io/canary-weight": "7",
                "nginx.ingress.kubernetes.io/proxy-body-size": "8m"}},
            "spec": {"ingressClassName": "nginx", "rules": [{"host": "a", "http": {"paths": [
                {"path": "/", "backend": {"service": {"name": "web", "port": {"number": 80}}}},
                {"path": "/other", "backend": {"service": {"name": "other", "port": {"number": 80}}}}]}}]}}));
        bench.owned = &["/spec"];
        bench
    }

    fn ab_test(matches: Value) -> Bench {
        let mut bench = bench(json!({"iterations": 5, "match": matches}));
        bench.read_back = |weight| if weight > 0 { 100 } else { 0 };
        bench
    }

    laws! {
        progressive: bench(json!({"stepWeight": 10}));
        by_header: ab_test(json!([{"headers": {"x-user": {"exact": "insider"}}}, {"headers": {"cookie": {"exact": "canary"}}}]));
    }

    #[test]
    fn the_copy_names_the_canary_and_is_marked() {
        let bench = bench(json!({"stepWeight": 10}));
        assert_eq!(Nginx.route(&bench.subject()).name, "shop-canary");
        let out = bench.written(None, 20);
        assert_eq!(out.pointer("/spec/rules/0/http/paths/0/backend/service"), Some(&json!({"name": "web-canary", "port": {"number": 80}})));
        assert_eq!(out.pointer("/spec/rules/0/http/paths/1/backend/service/name"), Some(&json!("other")));
        assert_eq!(
            out["metadata"],
            json!({"labels": {"app": "shop"}, "annotations": {
            "kubernetes.io/ingress.class": "nginx", "nginx.ingress.kubernetes.io/proxy-body-size": "8m",
            "nginx.ingress.kubernetes.io/canary": "true", "nginx.ingress.kubernetes.io/canary-weight": "20",
            "kustomize.toolkit.fluxcd.io/reconcile": "disabled", "helm.toolkit.fluxcd.io/driftDetection": "disabled"}})
        );
    }

    #[test]
    fn an_ab_test_goes_by_annotations_that_end_with_it() {
        let bench = ab_test(json!([{"headers": {"cookie": {"exact": "always"}}}, {"headers": {"x-user": {"regex": "in.*"}}}]));
        assert_eq!(Nginx.mistake(&bench.subject()), None);
        let on = bench.written(None, 100);
        let canary = |name: &str| on["metadata"]["annotations"].get(format!("nginx.ingress.kubernetes.io/{name}")).cloned();
        assert_eq!(canary("canary-by-cookie"), Some(json!("always")));
        assert_eq!(canary("canary-by-header"), Some(json!("x-user")));
        assert_eq!(canary("canary-by-header-pattern"), Some(json!("in.*")));
        assert_eq!(canary("canary-by-header-value"), None);
        assert_eq!(canary("canary-weight"), Some(json!("0")), "the others stay with the primary");
        let off = bench.written(Some(&on), 0).to_string();
        assert!(!off.contains("canary-by"), "{off}");
    }

    #[test]
    fn what_nginx_cannot_tell_is_a_mistake() {
        let exact = |name: &str| json!({"headers": {name: {"exact": "1"}}});
        for matches in [
            json!([{"headers": {"a": {"exact": "1"}, "b": {"exact": "1"}}}]),
            json!([exact("a"), exact("b")]),
            json!([exact("cookie"), exact("Cookie")]),
            json!([{"headers": {"cookie": {"regex": "1"}}}]),
            json!([{"headers": {"a": {"prefix": "1"}}}]),
            json!([{"sourceLabels": {"app": "a"}}]),
        ] {
            let bench = ab_test(matches);
            assert!(
                Nginx.mistake(&bench.subject()).is_some_and(|m| m.contains("spec.analysis.match")),
                "{:?}",
                bench.spec.analysis.matches
            );
        }
        let mut bench = ab_test(json!([exact("a")]));
        bench.spec.analysis.step_weight_promotion = 50;
        assert!(Nginx.mistake(&bench.subject()).is_some_and(|m| m.contains("stepWeightPromotion")));
        bench.spec.ingress_ref = None;
        assert!(Nginx.mistake(&bench.subject()).is_some_and(|m| m.contains("spec.ingressRef.name is empty")));
    }

    #[test]
    fn annotations_that_give_no_weight_are_an_error() {
        let bench = bench(json!({"stepWeight": 10}));
        let live = |annotations: Value| json!({"metadata": {"annotations": annotations}});
        assert_eq!(bench.read(&live(json!({"a": "b"}))), Ok(None));
        for (name, value, sentence) in [
            ("canary-weight", "ten", "canary-weight is \"ten\" and not a whole number"),
            ("canary-weight", "101", "not a whole number from 0 to 100"),
            ("canary-weight-total", "1000", "weights are no percentages"),
            ("canary", "false", "no canary for nginx"),
        ] {
            let out = merge(Some(bench.written(None, 20)), live(json!({format!("nginx.ingress.kubernetes.io/{name}"): value})));
            assert!(bench.read(&out).is_err_and(|e| e.starts_with("Ingress shop-canary: annotation") && e.contains(sentence)), "{name}");
        }
    }

    #[test]
    fn a_source_without_the_service_is_an_error() {
        let mut bench = bench(json!({"stepWeight": 10}));
        bench.spec.service.name = Some("api".into());
        let edit = |bench: &Bench| Nginx.edit(&bench.subject(), None, Traffic::PRIMARY);
        assert_eq!(edit(&bench), Err("backend api not found in ingress shop".into()));
        bench.source = None;
        assert!(edit(&bench).is_err_and(|e| e.contains("Ingress shop is not in namespace prod")));
    }
}
