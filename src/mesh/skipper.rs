//! Skipper: a copy of the user's Ingress with both Services, weighed by an annotation, that outranks it while the canary has
//! a part (rollout-contract §7.2).

use serde_json::{Map, Value, json};

use super::copy::{NO_INGRESSES, canary_ingress, copy, found, ingress, unreferred};
use super::edit::{brief, merge, parts, shown, toolkit, traffic};
use super::{Abilities, Named, Restore, Router, Subject, WEIGHTED, destinations};
use crate::domain::traffic::Traffic;
use crate::kubernetes::json::annotation;
use crate::kubernetes::kinds::Kind;

/// Skipper.
pub struct Skipper;

/// What Skipper reads of an Ingress begins so.
const READS: &str = "zalando.org/";
const SHARES: &str = "zalando.org/backend-weights";
const PREDICATE: &str = "zalando.org/skipper-predicate";
/// Outranks the source's route.
const ON: &str = "Weight(100)";
/// Matches nothing, so that the source's route has all.
const OFF: &str = "False()";

impl Router for Skipper {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Ingress]
    }

    fn absent(&self) -> &'static str {
        NO_INGRESSES
    }

    fn abilities(&self) -> Abilities {
        WEIGHTED
    }

    fn route(&self, at: &Subject<'_>) -> Named {
        canary_ingress(at)
    }

    fn source(&self, at: &Subject<'_>) -> Option<Named> {
        ingress(at)
    }

    fn mistake(&self, at: &Subject<'_>) -> Option<String> {
        unreferred(ingress(at).as_ref(), "skipper", "ingressRef", Kind::Ingress)
    }

    fn weights_at(&self, _: &Subject<'_>) -> Vec<String> {
        ["metadata", "annotations", SHARES].map(Into::into).into()
    }

    fn read(&self, at: &Subject<'_>, live: &Value) -> Result<Option<Traffic>, String> {
        let Some(said) = annotation(live, SHARES) else { return Ok(None) };
        let object = self.route(at);
        let weights = weights(said).ok_or_else(|| {
            format!("{}: annotation {SHARES} is no JSON map: {}; correct it, or delete the object", shown(&object), brief(said))
        })?;
        let (primary, canary) = destinations(at.spec);
        traffic(&object, &[weights.get(&primary)], &[weights.get(&canary)]).map(Some)
    }

    fn edit(&self, at: &Subject<'_>, live: Option<&Value>, traffic: Traffic) -> Result<Value, String> {
        let [to_primary, to_canary] = parts(traffic)?;
        let named = ingress(at);
        let source = found(at, named.as_ref(), "ingressRef")?;
        let ingress = brief(&named.map(|n| n.name).unwrap_or_default());
        let service = at.spec.service_name();
        let spec = divided_spec(at, source).ok_or_else(|| format!("backend {} not found in ingress {ingress}", brief(service)))?;
        // The source's weights of other Services hold for the copy, too.
        let mut weights = annotation(source, SHARES)
            .map_or(Some(Map::new()), weights)
            .ok_or_else(|| format!("Ingress {ingress}: annotation {SHARES} is no JSON map; correct it"))?;
        if weights.contains_key(service) {
            return Err(format!(
                "Ingress {ingress}: annotation {SHARES} weighs {}, whose part the canary would change; take it out there",
                brief(service)
            ));
        }
        let (primary, canary) = destinations(at.spec);
        weights.insert(primary, json!(to_primary));
        weights.insert(canary, json!(to_canary));
        let mut annotations = toolkit();
        annotations.insert(SHARES.into(), json!(Value::Object(weights).to_string()));
        let own = if to_canary == 0 { OFF } else { ON };
        let predicates = [own].into_iter().chain(annotation(source, PREDICATE).filter(|p| !p.trim().is_empty())).collect::<Vec<_>>();
        annotations.insert(PREDICATE.into(), json!(predicates.join(" && ")));
        let out = copy(at, live, source, spec, READS, |key| key == SHARES || key == PREDICATE);
        Ok(merge(Some(out), json!({"metadata": {"annotations": annotations}})))
    }

    fn restore(&self, _: &Subject<'_>, _: &Value) -> Restore {
        // It would outrank the source for as long as garbage collection takes (rollout-contract §3.8).
        Restore::Delete
    }
}

fn weights(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text).ok()
}

/// The source's `spec` with the primary in the place of the Service, and the same paths once more for the canary;
/// `None` where no path leads to the Service.
fn divided_spec(at: &Subject<'_>, source: &Value) -> Option<Value> {
    let (primary, canary) = destinations(at.spec);
    let mut spec = source.get("spec")?.clone();
    let mut met = false;
    for rule in spec.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(paths) = rule.pointer_mut("/http/paths").and_then(Value::as_array_mut) else { continue };
        let mut canaries = Vec::new();
        for path in paths.iter_mut() {
            if path.pointer("/backend/service/name").is_some_and(|name| name == at.spec.service_name()) {
                canaries.push(led_to(path, &canary));
                *path = led_to(path, &primary);
            }
        }
        met |= !canaries.is_empty();
        paths.extend(canaries);
    }
    met.then_some(spec)
}

fn led_to(path: &Value, service: &str) -> Value {
    merge(Some(path.clone()), json!({"backend": {"service": {"name": service}}}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::bench::{Bench, laws};

    fn bench() -> Bench {
        let mut bench = Bench::new(&Skipper, json!({"ingressRef": {"name": "shop"}, "service": {"port": 80}}));
        bench.source = Some(json!({"metadata": {"annotations": {
                SHARES: "{\"x\":30,\"y\":70}", PREDICATE: "Host(/a&&b/)", "zalando.org/skipper-filter": "auth()"}},
            "spec": {"rules": [{"host": "a", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}},
                {"path": "/x", "pathType": "Prefix", "backend": {"service": {"name": "x", "port": {"number": 80}}}}]}}]}}));
        bench.owned = &["/spec"];
        bench
    }

    laws! { skipper: bench(); }

    #[test]
    fn both_services_share_the_path_and_the_predicate_switches_the_copy() {
        let bench = bench();
        let on = bench.written(None, 20);
        let services: Vec<_> =
            crate::kubernetes::json::items(&on, "/spec/rules/0/http/paths").map(|p| p["backend"]["service"]["name"].clone()).collect();
        assert_eq!(services, ["web-primary", "x", "web-canary"]);
        assert_eq!(on.pointer("/spec/rules/0/http/paths/2/pathType"), Some(&json!("Prefix")));
        assert_eq!(annotation(&on, SHARES), Some(r#"{"web-canary":20,"web-primary":80,"x":30,"y":70}"#));
        assert_eq!(annotation(&on, PREDICATE), Some("Weight(100) && Host(/a&&b/)"));
        assert_eq!(annotation(&on, "zalando.org/skipper-filter"), Some("auth()"));
        let off = bench.written(Some(&on), 0);
        assert_eq!(annotation(&off, PREDICATE), Some("False() && Host(/a&&b/)"));
        assert_eq!(Skipper.restore(&bench.subject(), &off), Restore::Delete);
    }

    #[test]
    fn weights_that_cannot_be_told_are_an_error() {
        let mut bench = bench();
        let live = |text: &str| json!({"metadata": {"annotations": {SHARES: text}}});
        assert_eq!(bench.read(&json!({"metadata": {}})), Ok(None));
        assert!(bench.read(&live("{")).is_err_and(|e| e.contains("is no JSON map")));
        assert!(bench.read(&live(r#"{"web-primary": 80}"#)).is_err_and(|e| e.contains("weights 80 of the primary and none of the canary")));
        bench.source = Some(merge(bench.source.take(), live(r#"{"web": 80, "x": 20}"#)));
        let edit = Skipper.edit(&bench.subject(), None, Traffic::PRIMARY);
        assert!(edit.is_err_and(|e| e.contains("backend-weights weighs web")));
        bench.spec.service.name = Some("api".into());
        let edit = Skipper.edit(&bench.subject(), None, Traffic::PRIMARY);
        assert_eq!(edit, Err("backend api not found in ingress shop".into()));
    }

    #[test]
    fn a_missing_reference_is_a_mistake() {
        let mut bench = bench();
        assert_eq!(Skipper.mistake(&bench.subject()), None);
        bench.spec.ingress_ref = None;
        assert!(Skipper.mistake(&bench.subject()).is_some_and(|m| m.contains("spec.ingressRef.name is empty")));
        assert!(Skipper.edit(&bench.subject(), None, Traffic::PRIMARY).is_err());
    }
}
