//! Traffic routing, one file per router: pure functions over the route's JSON.
//!
//! A router says what its objects should be, reads the traffic they give, and edits them in place, so that
//! fields of others survive. It never talks to a cluster; `kubernetes::observe` and `kubernetes::perform`
//! do. Read `istio.rs` first; a new router is a file like it and a row in [`ROUTERS`].

mod affinity;
mod apisix;
#[cfg(test)]
mod bench;
mod conditions;
mod contour;
mod copy;
mod edit;
mod gateway;
mod gloo;
mod istio;
mod knative;
mod kuma;
#[cfg(test)]
mod laws;
mod linkerd;
mod nginx;
mod rules;
mod skipper;
mod smi;
mod traefik;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::domain::api::Free;
use crate::domain::canary::{CanarySpec, Strategy};
use crate::domain::text::clean;
use crate::domain::traffic::{Abilities, Cookies, Traffic};
use crate::kubernetes::json::items;
use crate::kubernetes::kinds::Kind;

/// What a router may look at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub namespace: &'a str,
    /// The Canary's.
    pub name: &'a str,
    /// The Canary's.
    pub annotations: &'a BTreeMap<String, String>,
    pub spec: &'a CanarySpec,
    pub cookies: &'a Cookies,
    /// The object that [`Router::source`] names, where it exists.
    pub source: Option<&'a Value>,
    pub settings: &'a Settings,
}

/// Ways of this cluster (Flagger's flags of the same names).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub ingress_annotations_prefix: String,
    /// `ingressClassName` of generated `HTTPProxies`; none where empty.
    pub ingress_class: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ingress_annotations_prefix: "nginx.ingress.kubernetes.io".into(), ingress_class: String::new() }
    }
}

/// One object by name; `namespace` is empty for a cluster-scoped one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

/// An object beside the route that has no weights: `body` is what it should hold (`spec`, and `metadata.labels`
/// and `metadata.annotations` where they matter).
#[derive(Clone, Debug, PartialEq)]
pub struct Companion {
    pub at: Named,
    pub body: Value,
}

/// What becomes of the route when a Canary with `revertOnDeletion` goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Restore {
    /// It goes with the Canary, by its owner reference, or there is nothing to do.
    Leave,
    /// This is what it was before.
    Write(Value),
    /// Nothing else would take it away.
    Delete,
}

/// A router with route objects.
pub trait Router: Sync {
    /// Every kind that it reads or writes, the one that holds the weights first: they are watched while a Canary goes by it.
    fn kinds(&self) -> &'static [Kind];

    /// What to do where they are not installed.
    fn absent(&self) -> &'static str;

    fn abilities(&self) -> Abilities;

    /// The object that holds the weights; called as the Service in the Canary's namespace unless a router says otherwise.
    fn route(&self, at: &Subject<'_>) -> Named {
        Named { kind: self.kinds()[0], namespace: at.namespace.into(), name: at.spec.service_name().into() }
    }

    /// The user's object that the route is made after, if there is one.
    fn source(&self, _: &Subject<'_>) -> Option<Named> {
        None
    }

    /// What makes it impossible to route this Canary, in words for its owner: a reference that is missing, a field
    /// that this router cannot honour and that must not be passed over. Never because an object is not there (yet).
    fn mistake(&self, _: &Subject<'_>) -> Option<String> {
        None
    }

    /// Path of the field that holds the weights: whoever owns it wrote them last.
    fn weights_at(&self, at: &Subject<'_>) -> Vec<String>;

    /// Objects that have to be there before the route.
    ///
    /// # Errors
    /// A sentence where the source does not allow it.
    fn companions(&self, _: &Subject<'_>) -> Result<Vec<Companion>, String> {
        Ok(Vec::new())
    }

    /// The traffic that `live` gives; `None` where nothing in it is ours yet.
    ///
    /// # Errors
    /// A sentence when nobody can say where traffic goes: weights that do not add up to 100, or belong to others.
    fn read(&self, at: &Subject<'_>, live: &Value) -> Result<Option<Traffic>, String>;

    /// Why traffic does not go by `live` yet: whoever carries it has not accepted what it says.
    fn pending(&self, _: &Subject<'_>, _live: &Value) -> Option<String> {
        None
    }

    /// The object with `traffic` and everything else of ours as the Canary says; whatever else stands in `live`
    /// stays. Without `live` a new one: `spec`, `metadata.labels`, `metadata.annotations`, nothing else.
    ///
    /// # Errors
    /// A sentence where it cannot be made: the source is missing, or does not name the Service.
    fn edit(&self, at: &Subject<'_>, live: Option<&Value>, traffic: Traffic) -> Result<Value, String>;

    /// What becomes of `live` with `revertOnDeletion`.
    fn restore(&self, _: &Subject<'_>, _live: &Value) -> Restore {
        Restore::Leave
    }

    /// Whether `live` is something else than the Canary wants, its traffic aside; or why that cannot be told.
    ///
    /// # Errors
    /// As [`Router::edit`].
    fn differs(&self, at: &Subject<'_>, live: &Value) -> Result<bool, String> {
        let traffic = self.read(at, live).ok().flatten().unwrap_or_default();
        Ok(changed(&self.edit(at, Some(live), traffic)?, live))
    }
}

/// Routers by the value of `spec.provider` (rollout-contract §7.1), the first that fits; `*` stands for any rest.
/// Whoever is not here is refused with [`refusal`].
const ROUTERS: [(&str, &dyn Router); 21] = [
    ("apisix", &apisix::Apisix),
    ("contour", &contour::Contour),
    ("gloo*", &gloo::Gloo),
    ("istio", &istio::Istio),
    ("knative", &knative::Knative),
    ("kuma", &kuma::Kuma),
    ("linkerd", &linkerd::Linkerd),
    ("nginx", &nginx::Nginx),
    ("skipper", &skipper::Skipper),
    ("traefik", &traefik::Traefik),
    ("gatewayapi:v1beta1*", &gateway::V1BETA1),
    ("gatewayapi:v1*", &gateway::V1),
    ("smi:v1alpha1", &smi::V1ALPHA1),
    ("smi:v1alpha1:istio", &smi::V1ALPHA1_ISTIO),
    ("smi:v1alpha1:*", &smi::V1ALPHA1),
    ("smi:v1alpha2", &smi::V1ALPHA2),
    ("smi:v1alpha2:istio", &smi::V1ALPHA2_ISTIO),
    ("smi:v1alpha2:*", &smi::V1ALPHA2),
    ("smi:v1alpha3", &smi::V1ALPHA3),
    ("smi:v1alpha3:istio", &smi::V1ALPHA3_ISTIO),
    ("smi:v1alpha3:*", &smi::V1ALPHA3),
];

/// Abilities of a router that knows weights and nothing else.
const WEIGHTED: Abilities = Abilities { progressive: true, ..Abilities::NONE };

/// Providers at the end of their life, and the way out.
const ENDED: [(&str, &str); 2] = [
    ("appmesh", "AWS App Mesh is at the end of its life; move to gatewayapi:v1 or istio"),
    ("osm", "Open Service Mesh is archived; move to gatewayapi:v1 or istio, or set smi:v1alpha2 for what still reads its TrafficSplits"),
];

/// Annotations that keep Flux away from objects that we write (rollout-contract §3.5).
pub const TOOLKIT: [(&str, &str); 2] =
    [("kustomize.toolkit.fluxcd.io/reconcile", "disabled"), ("helm.toolkit.fluxcd.io/driftDetection", "disabled")];

/// The router that `spec.provider` names; `None` for plain Kubernetes, which has no route objects.
///
/// # Errors
/// A sentence for a provider that is unknown, or at the end of its life.
pub fn router(provider: &str) -> Result<Option<&'static dyn Router>, String> {
    if provider == "kubernetes" {
        return Ok(None);
    }
    let fits = |word: &str| word.strip_suffix('*').map_or(provider == word, |start| provider.starts_with(start));
    ROUTERS.iter().find(|(word, _)| fits(word)).map(|(_, router)| Some(*router)).ok_or_else(|| refusal(provider))
}

/// Whether `router` chooses requests by what they carry.
fn is_ab_test(at: &Subject<'_>, router: &dyn Router) -> bool {
    at.spec.strategy(&router.abilities()) == Strategy::AbTesting
}

/// Names of the two Services that traffic is divided between.
#[must_use]
pub fn destinations(spec: &CanarySpec) -> (String, String) {
    let base = spec.service_name();
    (format!("{base}-primary"), format!("{base}-canary"))
}

fn refusal(provider: &str) -> String {
    let word = provider.split(':').next().unwrap_or_default();
    if let Some((_, why)) = ENDED.iter().find(|(ended, _)| *ended == word) {
        return format!("spec.provider {}: {why}", shown(provider));
    }
    let known: Vec<&str> = ROUTERS.iter().map(|(word, _)| word.trim_end_matches('*')).filter(|word| word.split(':').count() < 3).collect();
    format!("spec.provider {} is unknown; known are kubernetes, {}", shown(provider), known.join(", "))
}

/// `text` from outside, fit for a sentence.
fn shown(text: &str) -> String {
    clean(text).chars().take(120).collect()
}

/// The canary's percent by the two weights.
fn percent(route: &Named, primary: i64, canary: i64) -> Result<i64, String> {
    if (0..=100).contains(&canary) && primary == 100 - canary {
        return Ok(canary);
    }
    let (kind, name) = (route.kind.word(), shown(&route.name));
    Err(format!("{kind} {name}: weights {primary} and {canary} do not add up to 100; correct them, or delete the object"))
}

/// Whether `wanted` differs from `live` in what a router answers for.
fn changed(wanted: &Value, live: &Value) -> bool {
    ["/spec", "/metadata/labels", "/metadata/annotations"].iter().any(|p| wanted.pointer(p) != live.pointer(p))
}

/// Whether `live` was made for this Canary, and goes with it.
fn is_owned(at: &Subject<'_>, live: &Value) -> bool {
    items(live, "/metadata/ownerReferences").any(|owner| owner["kind"] == "Canary" && owner["name"] == at.name)
}

/// `live` with its spec as `change` makes it, and with the metadata of a generated route: the toolkit's annotations and what
/// `service.apex` says. Keys that the Canary calls unmanaged are left alone, and so are all of them on an object of somebody
/// else once they are there (rollout-contract §3.5). `forced` annotations are set in any case.
fn remade(at: &Subject<'_>, live: Option<&Value>, forced: Vec<(&str, String)>, change: impl FnOnce(&mut Map<String, Value>)) -> Value {
    let mut out = live.and_then(Value::as_object).cloned().unwrap_or_default();
    let mut spec = object(&mut out, "spec");
    change(&mut spec);
    out.insert("spec".into(), Value::Object(spec));

    let service = &at.spec.service;
    let (apex, unmanaged) = (service.apex.clone().unwrap_or_default(), service.unmanaged_metadata.clone().unwrap_or_default());
    let mut annotations = apex.annotations;
    annotations.extend(TOOLKIT.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let owned = live.is_none_or(|live| is_owned(at, live));
    let mut metadata = object(&mut out, "metadata");
    mark(&mut metadata, "labels", apex.labels, |key, there| !unmanaged.labels.contains(key) && (owned || !there));
    mark(&mut metadata, "annotations", annotations, |key, there| !unmanaged.annotations.contains(key) && (owned || !there));
    mark(&mut metadata, "annotations", forced.into_iter().map(|(key, value)| (key.to_owned(), value)), |_, _| true);
    out.insert("metadata".into(), Value::Object(metadata));
    Value::Object(out)
}

/// Writes the pairs that `may` allows, by their key and whether it is there already, into `metadata[field]`.
fn mark(
    metadata: &mut Map<String, Value>,
    field: &str,
    pairs: impl IntoIterator<Item = (String, String)>,
    may: impl Fn(&String, bool) -> bool,
) {
    let known = metadata.contains_key(field);
    let mut map = object(metadata, field);
    for (key, value) in pairs {
        if may(&key, map.contains_key(&key)) {
            map.insert(key, Value::String(value));
        }
    }
    if known || !map.is_empty() {
        metadata.insert(field.to_owned(), Value::Object(map));
    }
}

/// The object at `key`, taken out of `parent`; an empty one where there is none.
fn object(parent: &mut Map<String, Value>, key: &str) -> Map<String, Value> {
    match parent.remove(key) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// The list at `pointer`, empty where there is none.
fn list<'a>(live: &'a Value, pointer: &str) -> &'a [Value] {
    live.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `live` without `keys`, and with all that `wanted` has.
fn overlay(live: &Value, wanted: &Value, keys: &[&str]) -> Value {
    let mut out = live.as_object().cloned().unwrap_or_default();
    out.retain(|key, _| !keys.contains(&key.as_str()));
    out.extend(wanted.as_object().cloned().unwrap_or_default());
    Value::Object(out)
}

/// Every match of `service` with what every one of `conditions` says in place of its own (rollout-contract §7.2).
fn crossed(conditions: &[Value], service: &[Value]) -> Vec<Value> {
    let everything = [Value::Object(Map::new())];
    let service = if service.is_empty() { &everything } else { service };
    let said = |condition: &Value| -> Value {
        condition.as_object().into_iter().flatten().filter(|(_, v)| !is_unsaid(v)).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    conditions.iter().map(said).flat_map(|condition| service.iter().map(move |rule| overlay(rule, &condition, &[]))).collect()
}

/// Whether a field of free JSON says as much as an absent one.
fn is_unsaid(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(said) => !said,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// What makes `spec.analysis.match` unfit for a router that can tell requests by the fields `known`. A condition that is
/// passed over would send more requests to the canary than its owner meant.
fn unfit_condition(at: &Subject<'_>, known: &[&str]) -> Option<String> {
    at.spec.analysis.matches.iter().enumerate().find_map(|(n, Free(condition))| {
        let mut said = condition.as_object().into_iter().flatten().filter(|(_, value)| !is_unsaid(value)).map(|(key, _)| key).peekable();
        if said.peek().is_none() {
            return Some(format!(
                "spec.analysis.match[{n}] has no condition and would take every request: name one of {}",
                known.join(", ")
            ));
        }
        let unknown = said.find(|key| !known.contains(&key.as_str()))?;
        Some(format!(
            "spec.analysis.match[{n}].{}: this provider cannot tell requests by it; name one of {}",
            shown(unknown),
            known.join(", ")
        ))
    })
}

/// What makes session affinity unfit: an A/B test decides by what a request carries, and a cookie would overrule it.
fn unfit_affinity(at: &Subject<'_>) -> Option<String> {
    let analysis = &at.spec.analysis;
    (!analysis.matches.is_empty() && analysis.session_affinity.is_some())
        .then(|| "spec.analysis.match and spec.analysis.sessionAffinity exclude each other: remove one of them".into())
}

#[cfg(test)]
mod tests {
    use super::laws::Case;
    use super::*;
    use serde_json::json;

    #[test]
    fn providers_find_their_routers_and_typos_find_none() {
        for (word, kind) in [
            ("istio", Kind::VirtualService),
            ("linkerd", Kind::HttpRoute),
            ("gatewayapi:v1", Kind::HttpRoute),
            ("gatewayapi:v1beta1", Kind::HttpRouteV1Beta1),
            ("gatewayapi:v1beta1:mine", Kind::HttpRouteV1Beta1),
            ("smi:v1alpha1:linkerd", Kind::TrafficSplitV1Alpha1),
            ("smi:v1alpha2", Kind::TrafficSplitV1Alpha2),
            ("smi:v1alpha3:istio", Kind::TrafficSplitV1Alpha3),
        ] {
            let router = router(word).expect("known").expect("has routes");
            assert_eq!(router.kinds()[0], kind, "{word}");
        }
        assert!(router("kubernetes").is_ok_and(|r| r.is_none()));
        for (word, part) in [
            ("itsio", "itsio is unknown; known are kubernetes, apisix, contour"),
            ("istio2", "unknown"),
            ("smi:v1alpha10", "unknown"),
            ("appmesh:v1beta2", "end of its life"),
            ("osm", "archived"),
            ("x\u{1b}[2J", "x[2J is unknown"),
        ] {
            assert!(router(word).err().is_some_and(|e| e.contains(part)), "{word}");
        }
        assert!(!refusal("x").contains('*') && !refusal("x").contains(":istio"));
    }

    #[test]
    fn metadata_is_enforced_on_our_objects_and_only_added_to_those_of_others() {
        let case = Case::new(
            json!({"port": 80, "apex": {"labels": {"team": "a"}, "annotations": {"note": "n", "free": "x"}},
                "unmanagedMetadata": {"annotations": ["free", TOOLKIT[1].0]}}),
            json!({}),
        );
        let at = case.at();
        let fresh = remade(&at, None, vec![("kept", "1".into())], |_| {});
        assert_eq!(
            fresh["metadata"],
            json!({"labels": {"team": "a"}, "annotations": {"note": "n", "kept": "1", TOOLKIT[0].0: "disabled"}})
        );
        let theirs = json!({"metadata": {"labels": {"team": "b"}, "annotations": {"free": "y", "their": "z"}}, "status": 1});
        let edited = remade(&at, Some(&theirs), Vec::new(), |_| {});
        assert_eq!(edited["metadata"]["labels"], json!({"team": "b"}));
        assert_eq!(edited["metadata"]["annotations"], json!({"free": "y", "their": "z", "note": "n", TOOLKIT[0].0: "disabled"}));
        assert_eq!(edited["status"], 1);
        let mut ours = theirs;
        ours["metadata"]["ownerReferences"] = json!([{"kind": "Canary", "name": at.name}]);
        assert_eq!(remade(&at, Some(&ours), Vec::new(), |_| {})["metadata"]["labels"], json!({"team": "a"}));
    }

    #[test]
    fn conditions_that_would_take_more_than_meant_are_refused() {
        for (matches, part) in [
            (json!([{"headers": {"x": {"exact": "1"}}}, {}]), "match[1] has no condition"),
            (json!([{"headers": {}}]), "match[0] has no condition"),
            (json!([{"headers": {"x": {"exact": "1"}}, "uri": {"prefix": "/a"}}]), "match[0].uri"),
        ] {
            let case = Case::new(json!({"port": 80}), json!({"iterations": 1, "match": matches}));
            assert!(unfit_condition(&case.at(), &["headers"]).is_some_and(|m| m.contains(part)), "{part}");
        }
        let fine = Case::new(json!({"port": 80}), json!({"match": [{"headers": {"x": {"exact": "1"}}, "port": 0}]}));
        assert_eq!(unfit_condition(&fine.at(), &["headers"]), None);
        let both = Case::new(json!({"port": 80}), json!({"match": [{"headers": {"x": {}}}], "sessionAffinity": {"cookieName": "c"}}));
        assert_eq!((unfit_condition(&both.at(), &["headers"]), unfit_affinity(&both.at()).is_some()), (None, true));
        assert_eq!(unfit_affinity(&fine.at()), None);
    }

    #[test]
    fn weights_out_of_range_are_never_a_percent() {
        let route = Named { kind: Kind::HttpRoute, namespace: "prod".into(), name: "web".into() };
        assert_eq!(percent(&route, 80, 20), Ok(20));
        for (primary, canary) in [(0, 20), (150, -50), (-1, 101), (i64::MAX, i64::MAX), (i64::MIN, 0)] {
            let why = percent(&route, primary, canary).expect_err("no percent");
            assert!(why.starts_with(&format!("HTTPRoute web: weights {primary} and {canary} do not add up")), "{why}");
        }
    }
}
