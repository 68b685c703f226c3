//! Targets without pods: a core Service, of which primary and canary are clones (rollout-contract §3.11), and a Knative
//! Service, whose revisions are named in its own traffic (§7.2).

use serde_json::{Map, Value, json};

use super::{STAMP, Subject, TOOLKIT, covers};
use crate::domain::readiness::WorkloadState;
use crate::domain::revision::Revision;
use crate::engine::effect::ServiceRole;
use crate::engine::observation::Workload;
use crate::kubernetes::json::{annotation, text};

/// Annotation of a Knative Service with the revision that serves as primary.
pub const PRIMARY_REVISION: &str = "flagger.app/primary-revision";

/// Fields of a Service that the API server gives to one object alone.
const ITS_OWN: [&str; 5] = ["clusterIP", "clusterIPs", "healthCheckNodePort", "ipFamilies", "ipFamilyPolicy"];

/// What of a Service's spec is released.
fn released(service: &Value) -> Value {
    let mut spec = service.get("spec").cloned().unwrap_or_default();
    let headless = text(&spec, "/clusterIP") == "None";
    if let Some(map) = spec.as_object_mut() {
        map.retain(|key, _| !ITS_OWN.contains(&key.as_str()));
        if headless {
            map.insert("clusterIP".into(), json!("None"));
        }
    }
    for port in super::list_mut(&mut spec, "/ports") {
        port.as_object_mut().map(|port: &mut Map<String, Value>| port.remove("nodePort"));
    }
    spec
}

/// Name of the clone in `role`; the apex is the target itself.
fn clone_name(of: &Subject<'_>, role: ServiceRole) -> Option<String> {
    match role {
        ServiceRole::Apex => None,
        ServiceRole::Primary => Some(of.spec.primary_name()),
        ServiceRole::Canary => Some(format!("{}-canary", of.spec.target_ref.name)),
    }
}

/// The clone of `target` in `role`, stamped with `id` where it is a primary; `None` for the apex.
#[must_use]
pub fn clone(of: &Subject<'_>, target: &Value, role: ServiceRole, id: Option<&str>) -> Option<Value> {
    let mut meta = of.metadata(&clone_name(of, role)?);
    let mut annotations: Map<String, Value> = TOOLKIT.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    if let Some(id) = id {
        annotations.insert(STAMP.into(), json!(id));
    }
    meta["annotations"] = Value::Object(annotations);
    Some(json!({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": released(target)}))
}

/// Whether `live` is not what `wanted`, a clone, says.
#[must_use]
pub fn differs(live: &Value, wanted: &Value) -> bool {
    !covers(&released(live), &wanted["spec"])
}

/// A number that is the same for the same hash: a Service has no generation of its own.
fn generation(hash: &str) -> i64 {
    hash.get(..15).and_then(|digits| i64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

fn revision(object: &Value, content: &Value) -> Revision {
    let mut revision = Revision::of(text(object, "/metadata/uid"), 0, content);
    revision.generation = generation(&revision.hash);
    revision
}

/// A Service, or a clone of one, as the engine sees it.
#[must_use]
pub fn observed(service: &Value) -> Workload {
    let stamp = annotation(service, STAMP).map(str::to_owned);
    Workload { revision: revision(service, &released(service)), replicas: 1, state: WorkloadState::Service, stamp }
}

/// Name of the newest revision of a Knative Service.
#[must_use]
pub fn newest_revision(service: &Value) -> &str {
    text(service, "/status/latestCreatedRevisionName")
}

/// A Knative Service's newest revision as the engine sees it; `None` while there is none.
#[must_use]
pub fn observed_knative(service: &Value) -> Option<Workload> {
    let newest = newest_revision(service);
    if newest.is_empty() {
        return None;
    }
    let ready = text(service, "/status/latestReadyRevisionName") == newest;
    let waits = (!ready).then(|| format!("revision {newest} is not ready"));
    let state = WorkloadState::Knative { waits };
    Some(Workload { revision: revision(service, &json!(newest)), replicas: 1, state, stamp: None })
}

/// The primary revision of a Knative Service as the engine sees it; `None` before one is named.
#[must_use]
pub fn observed_knative_primary(service: &Value) -> Option<Workload> {
    let named = annotation(service, PRIMARY_REVISION)?;
    // A revision that has served as primary is ready: Knative keeps it while traffic names it.
    let state = WorkloadState::Knative { waits: None };
    let stamp = annotation(service, STAMP).map(str::to_owned);
    Some(Workload { revision: revision(service, &json!(named)), replicas: 1, state, stamp })
}

/// The merge patch that makes the newest revision of a Knative Service its primary.
#[must_use]
pub fn promote_knative(service: &Value, id: &str) -> Value {
    json!({"metadata": {"annotations": {PRIMARY_REVISION: newest_revision(service), STAMP: id}}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fleet::Engine;

    #[test]
    fn clones_leave_behind_what_belongs_to_one_service_alone() {
        let canary = json!({"metadata": {"name": "web", "namespace": "app", "uid": "c"}});
        let spec =
            serde_json::from_value(json!({"targetRef": {"kind": "Service", "name": "web"}, "service": {"port": 80}})).expect("a spec");
        let of = Subject { canary: &canary, spec: &spec, settings: &Engine::default() };
        let target = json!({"metadata": {"uid": "s"}, "spec": {"clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "selector": {"app": "web"},
            "ports": [{"port": 80, "nodePort": 30_080, "protocol": "TCP"}]}});
        let clone = clone(&of, &target, ServiceRole::Primary, Some("id")).expect("a clone");
        assert_eq!((text(&clone, "/metadata/name"), &clone["spec"]["clusterIP"]), ("web-primary", &Value::Null));
        let live = json!({"spec": {"clusterIP": "10.0.0.8", "sessionAffinity": "None", "selector": {"app": "web"}, "ports": [{"port": 80, "protocol": "TCP"}]}});
        assert!(!differs(&live, &clone) && differs(&json!({"spec": {"selector": {"app": "other"}}}), &clone));
        let mut moved = target.clone();
        moved["spec"]["clusterIP"] = json!("10.0.0.9");
        assert!(!observed(&moved).revision.differs(&observed(&target).revision), "an address is no revision");
        moved["spec"]["selector"]["app"] = json!("web2");
        assert!(observed(&moved).revision.differs(&observed(&target).revision));
    }
}
