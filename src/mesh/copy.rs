//! Routes that are copies of an object of the user's: nginx, Skipper and APISIX (rollout-contract §7.2).
//!
//! The copy's spec follows its source. Of its annotations those follow that the controller reads; any other is copied
//! once, because controllers keep their own state there (Rancher, external-dns), and following it would be a fight.

use serde_json::{Map, Value, json};

use super::edit::{brief, merge};
use super::{Named, Subject};
use crate::domain::canary::ObjectReference;
use crate::kubernetes::json::strings;
use crate::kubernetes::kinds::Kind;

/// What to do where there are no Ingresses.
pub const NO_INGRESSES: &str = "this cluster serves no Ingresses (networking.k8s.io/v1): upgrade it, or set spec.provider: kubernetes";

/// What kubectl applied to the source: on a copy it would make kubectl take the copy for the source.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Marks of Flux, by which it would count the copy to what it applied.
const TOOLKIT_MARK: &str = "toolkit.fluxcd.io";
/// Picks the controller; it is every controller's.
const CLASS: &str = "kubernetes.io/ingress.class";

/// The name in a reference of the Canary, if there is one.
#[must_use]
pub fn referred(reference: Option<&ObjectReference>) -> Option<&str> {
    reference.map(|r| r.name.as_str()).filter(|name| !name.is_empty())
}

/// The Ingress that `spec.ingressRef` names.
#[must_use]
pub fn ingress(at: &Subject<'_>) -> Option<Named> {
    let name = referred(at.spec.ingress_ref.as_ref())?;
    Some(Named { kind: Kind::Ingress, namespace: at.namespace.into(), name: name.into() })
}

/// The copy of that Ingress.
#[must_use]
pub fn canary_ingress(at: &Subject<'_>) -> Named {
    let name = referred(at.spec.ingress_ref.as_ref()).unwrap_or_default();
    Named { kind: Kind::Ingress, namespace: at.namespace.into(), name: format!("{name}-canary") }
}

/// The mistake of a Canary without the reference in `field`, for a router that needs it.
#[must_use]
pub fn unreferred(source: Option<&Named>, provider: &str, field: &str, kind: Kind) -> Option<String> {
    source.is_none().then(|| {
        format!("spec.{field}.name is empty: provider {provider} makes the canary's route after the {} named there; name it", kind.word())
    })
}

/// The source as it is in the cluster.
///
/// # Errors
/// A sentence that says where it is looked for.
pub fn found<'a>(at: &Subject<'a>, source: Option<&Named>, field: &str) -> Result<&'a Value, String> {
    let Some(Named { kind, namespace, name }) = source else {
        return Err(format!("spec.{field}.name is empty; name what the canary's route is made after"));
    };
    at.source.ok_or_else(|| {
        format!("{} {} is not in namespace {}; create it there, or correct spec.{field}", kind.word(), brief(name), brief(namespace))
    })
}

/// `live`, or a new object, with `spec` and the source's metadata. Annotations that begin with `reads` follow the source;
/// those that `owns` says are the router's are left out, for it to set.
pub fn copy(at: &Subject<'_>, live: Option<&Value>, source: &Value, spec: Value, reads: &str, owns: impl Fn(&str) -> bool) -> Value {
    let had = live.and_then(|live| live.pointer("/metadata/annotations")).and_then(Value::as_object);
    let apex = at.spec.service.apex.clone().unwrap_or_default();
    let mut annotations = Map::new();
    annotations.extend(had.into_iter().flat_map(Map::keys).filter(|key| owns(key)).map(|key| (key.clone(), Value::Null)));
    for (key, value) in strings(source, "/metadata/annotations") {
        let follows = key.starts_with(reads) || key == CLASS || had.is_none_or(|had| !had.contains_key(&key));
        if follows && copied(&key) && !owns(&key) {
            annotations.insert(key, json!(value));
        }
    }
    annotations.extend(apex.annotations.into_iter().filter(|(key, _)| !owns(key)).map(|(key, value)| (key, json!(value))));
    let mut labels = strings(source, "/metadata/labels");
    labels.retain(|key, _| copied(key));
    labels.extend(apex.labels);
    let mut metadata = Map::new();
    // An empty map would differ from none at all, which is what the API server keeps.
    if !annotations.is_empty() {
        metadata.insert("annotations".into(), Value::Object(annotations));
    }
    if !labels.is_empty() {
        metadata.insert("labels".into(), json!(labels));
    }
    let mut out = merge(live.cloned(), json!({"metadata": metadata}));
    if let Some(out) = out.as_object_mut() {
        out.insert("spec".into(), spec);
    }
    out
}

fn copied(key: &str) -> bool {
    key != LAST_APPLIED && !key.contains(TOOLKIT_MARK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::bench::Bench;
    use crate::mesh::nginx::Nginx;

    #[test]
    fn what_the_controller_reads_follows_and_marks_of_other_tools_stay_behind() {
        let bench = Bench::new(
            &Nginx,
            json!({"ingressRef": {"name": "shop"},
            "service": {"port": 80, "apex": {"labels": {"team": "a"}, "annotations": {"mine/own": "no", "note": "apex"}}}}),
        );
        let source = json!({"metadata": {
            "labels": {"app": "shop", "kustomize.toolkit.fluxcd.io/name": "shop"},
            "annotations": {LAST_APPLIED: "{}", "helm.toolkit.fluxcd.io/driftDetection": "warn", "mine/filter": "auth", "mine/own": "1",
                "rancher/state": "source's", "new": "1"}}});
        let had = json!({"mine/filter": "none", "mine/own": "7", "rancher/state": "copy's", "foreign": "1"});
        let live = json!({"metadata": {"uid": "u", "annotations": had}});
        let out = copy(&bench.subject(), Some(&live), &source, json!({"a": null}), "mine/", |key| key == "mine/own");
        assert_eq!(
            out,
            json!({"spec": {"a": null}, "metadata": {"uid": "u", "labels": {"app": "shop", "team": "a"}, "annotations":
            {"mine/filter": "auth", "rancher/state": "copy's", "foreign": "1", "new": "1", "note": "apex"}}})
        );
    }

    #[test]
    fn a_source_that_is_not_there_is_named_with_its_place() {
        let bench = Bench::new(&Nginx, json!({"ingressRef": {"name": "shop"}, "service": {"port": 80}}));
        let at = bench.subject();
        assert_eq!(
            found(&at, ingress(&at).as_ref(), "ingressRef"),
            Err("Ingress shop is not in namespace prod; create it there, or correct spec.ingressRef".into())
        );
    }
}
