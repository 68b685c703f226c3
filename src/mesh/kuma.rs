//! Kuma: one `TrafficRoute`, which has no namespace and so no owner (rollout-contract §7.2).

use serde_json::{Value, json};

use super::edit::{Place, Whose, brief, divide, divided, list, merge, metadata, parts, shown, weave};
use super::{Abilities, Named, Restore, Router, Subject, WEIGHTED, destinations};
use crate::domain::traffic::Traffic;
use crate::kubernetes::kinds::Kind;

/// Kuma.
pub struct Kuma;

/// Names the mesh, on the Canary.
const MESH: &str = "kuma.io/mesh";
/// The tag by which Kuma tells services apart.
const SERVICE: &str = "kuma.io/service";

impl Router for Kuma {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::TrafficRoute]
    }

    fn absent(&self) -> &'static str {
        "Kuma's CRDs are not installed in this cluster: install Kuma, or set spec.provider: kubernetes"
    }

    fn abilities(&self) -> Abilities {
        WEIGHTED
    }

    fn route(&self, at: &Subject<'_>) -> Named {
        Named { kind: Kind::TrafficRoute, namespace: String::new(), name: at.spec.service_name().into() }
    }

    fn weights_at(&self, _: &Subject<'_>) -> Vec<String> {
        ["spec", "conf", "split"].map(Into::into).into()
    }

    fn read(&self, at: &Subject<'_>, live: &Value) -> Result<Option<Traffic>, String> {
        self.ours(at, live)?;
        divided(&self.route(at), list(live, "/spec/conf/split"), |split| whose(at, split))
    }

    fn edit(&self, at: &Subject<'_>, live: Option<&Value>, traffic: Traffic) -> Result<Value, String> {
        let weights = parts(traffic)?;
        if let Some(live) = live {
            self.ours(at, live)?;
        }
        let (primary, canary) = destinations(at.spec);
        let tags = [tag(at, &primary), tag(at, &canary)];
        let had = |pointer| live.map_or(&[][..], |live| list(live, pointer));
        let split = divide(
            had("/spec/conf/split"),
            2,
            |split| whose(at, split),
            |index, _| json!({"weight": weights[index], "destination": {SERVICE: tags[index]}}),
        );
        let apex = prefix(at, at.spec.service_name());
        let is_apex = |selector: &Value| if said(selector, "match").starts_with(&apex) { Place::Ours(0) } else { Place::Theirs };
        let to = weave(had("/spec/destinations"), 1, is_apex, |_, _| json!({"match": {SERVICE: tag(at, at.spec.service_name())}}));
        let is_all = |selector: &Value| if said(selector, "match") == "*" { Place::Ours(0) } else { Place::Theirs };
        let from = weave(had("/spec/sources"), 1, is_all, |_, _| json!({"match": {SERVICE: "*"}}));
        let ours =
            json!({"metadata": metadata(at), "mesh": mesh(at), "spec": {"sources": from, "destinations": to, "conf": {"split": split}}});
        Ok(merge(live.cloned(), ours))
    }

    fn restore(&self, at: &Subject<'_>, live: &Value) -> Restore {
        if self.ours(at, live).is_ok() { Restore::Delete } else { Restore::Leave }
    }
}

impl Kuma {
    /// That `live` is for this Canary's Service: Canaries of all namespaces share the names of these objects.
    fn ours(&self, at: &Subject<'_>, live: &Value) -> Result<(), String> {
        let object = shown(&self.route(at));
        let apex = prefix(at, at.spec.service_name());
        let destinations = list(live, "/spec/destinations");
        if let Some(other) = destinations.first()
            && !destinations.iter().any(|selector| said(selector, "match").starts_with(&apex))
        {
            return Err(format!(
                "{object} is for {} and not for this Canary's {apex}…: it has no namespace, so names must differ; give the Canary \
                 another spec.service.name, or delete the object",
                brief(&said(other, "match"))
            ));
        }
        match live.get("mesh") {
            None => Ok(()),
            Some(found) if found.as_str().is_some_and(|found| found.is_empty() || found == mesh(at)) => Ok(()),
            Some(found) => Err(format!(
                "{object} is in mesh {} and the Canary in {}; correct the Canary's annotation {MESH}, or delete the object",
                brief(&found.to_string()),
                brief(mesh(at))
            )),
        }
    }
}

fn mesh<'a>(at: &Subject<'a>) -> &'a str {
    at.annotations.get(MESH).map(String::as_str).filter(|mesh| !mesh.is_empty()).unwrap_or("default")
}

/// Start of the tag of a Kubernetes Service; its port follows.
fn prefix(at: &Subject<'_>, service: &str) -> String {
    format!("{service}_{}_svc_", at.namespace)
}

fn tag(at: &Subject<'_>, service: &str) -> String {
    format!("{}{}", prefix(at, service), at.spec.service.port)
}

/// The service that the tags under `key` name, empty where they name none.
fn said(tags: &Value, key: &str) -> String {
    tags.get(key).and_then(|tags| tags.get(SERVICE)).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// By the tag without the port: weights stay when the Canary's port changes.
fn whose(at: &Subject<'_>, split: &Value) -> Whose {
    let (primary, canary) = destinations(at.spec);
    let service = said(split, "destination");
    match split.get("weight") {
        _ if service.starts_with(&prefix(at, &primary)) => Whose::Primary,
        _ if service.starts_with(&prefix(at, &canary)) => Whose::Canary,
        None => Whose::Idle,
        Some(weight) if *weight == 0 => Whose::Idle,
        Some(_) => Whose::Sharer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::bench::{Bench, laws};

    fn bench() -> Bench {
        Bench::new(&Kuma, json!({"service": {"port": 80, "apex": {"labels": {"team": "a"}}}}))
    }

    laws! { kuma: bench(); }

    #[test]
    fn a_new_route_is_as_flaggers_in_the_mesh_of_the_annotation() {
        let mut bench = bench();
        assert_eq!(Kuma.route(&bench.subject()).namespace, "");
        bench.annotations.insert(MESH.into(), "east".into());
        assert_eq!(
            bench.written(None, 20),
            json!({"mesh": "east",
                "metadata": {"labels": {"team": "a"}, "annotations":
                    {"kustomize.toolkit.fluxcd.io/reconcile": "disabled", "helm.toolkit.fluxcd.io/driftDetection": "disabled"}},
                "spec": {
                    "sources": [{"match": {"kuma.io/service": "*"}}],
                    "destinations": [{"match": {"kuma.io/service": "web_prod_svc_80"}}],
                    "conf": {"split": [
                        {"weight": 80, "destination": {"kuma.io/service": "web-primary_prod_svc_80"}},
                        {"weight": 20, "destination": {"kuma.io/service": "web-canary_prod_svc_80"}}]}}})
        );
    }

    #[test]
    fn weights_stay_when_the_port_changes_and_others_settings_too() {
        let mut bench = bench();
        let mut live = bench.written(None, 20);
        live["spec"]["conf"]["loadBalancer"] = json!({"roundRobin": {}});
        live["spec"]["conf"]["split"][0]["destination"]["version"] = json!("1");
        bench.spec.service.port = 8080;
        assert_eq!(bench.read(&live), Ok(Some(20)));
        let out = bench.written(Some(&live), 20);
        assert_eq!(out["spec"]["conf"]["loadBalancer"], json!({"roundRobin": {}}));
        assert_eq!(out["spec"]["conf"]["split"][0]["destination"], json!({"kuma.io/service": "web-primary_prod_svc_8080", "version": "1"}));
        assert_eq!(out["spec"]["destinations"], json!([{"match": {"kuma.io/service": "web_prod_svc_8080"}}]));
    }

    #[test]
    fn a_route_of_another_namespace_or_mesh_is_left_alone() {
        let mut bench = bench();
        let live = bench.written(None, 20);
        let theirs = merge(Some(live.clone()), json!({"spec": {"destinations": [{"match": {"kuma.io/service": "web_test_svc_80"}}]}}));
        assert!(bench.read(&theirs).is_err_and(|e| e.starts_with("TrafficRoute web is for web_test_svc_80")));
        assert!(Kuma.edit(&bench.subject(), Some(&theirs), Traffic::PRIMARY).is_err());
        assert_eq!(Kuma.restore(&bench.subject(), &theirs), Restore::Leave);
        assert_eq!(Kuma.restore(&bench.subject(), &live), Restore::Delete);
        bench.annotations.insert(MESH.into(), "east".into());
        assert!(bench.read(&live).is_err_and(|e| e.contains("is in mesh \"default\" and the Canary in east")));
    }

    #[test]
    fn weights_that_cannot_be_told_are_an_error() {
        let bench = bench();
        let mut live = bench.written(None, 20);
        live["spec"]["conf"]["split"][0]["weight"] = json!(8);
        assert!(bench.read(&live).is_err_and(|e| e.starts_with("TrafficRoute web: weights 8 of the primary and 20 of the canary")));
        let mut third = bench.written(None, 20);
        third["spec"]["conf"]["split"]
            .as_array_mut()
            .expect("a list")
            .push(json!({"weight": 1, "destination": {"kuma.io/service": "x_prod_svc_80"}}));
        assert!(bench.read(&third).is_err_and(|e| e.contains("another destination")));
        live["spec"]["conf"]["split"] = json!([]);
        assert_eq!(bench.read(&live), Ok(None));
    }
}
