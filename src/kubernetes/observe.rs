//! From the store to an [`Observation`]: what is, in the engine's words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

use super::cluster::Cluster;
use super::error::ApiError;
use super::json::{annotation, integer, items, owner_of, text};
use super::kinds::Kind;
use super::primary::{self, ConfigRef};
use super::store::WatchState;
use crate::domain::canary::{CanarySpec, GATES_ANNOTATION, native_gates};
use crate::domain::driver::{CanaryTraces, FlaggerTraces, may_drive};
use crate::domain::intent::{ANNOTATION_PREFIX, Intent};
use crate::domain::readiness::DeploymentState;
use crate::domain::revision::Revision;
use crate::domain::status::CanaryStatus;
use crate::domain::target::CanaryKey;
use crate::engine::effect::ServiceRole;
use crate::engine::observation::{Configs, ForeignWrite, Observation, Route, Workload};
use crate::mesh::{self, Companion, Router};
use crate::runner::ports::PortError;

/// Field manager of everything the rollout engine writes.
pub const MANAGER: &str = "pilothouse-engine";

/// What `key` and everything round it is now.
pub(super) async fn observe(cluster: &Cluster, key: &CanaryKey) -> Result<Option<Observation>, PortError> {
    let store = &cluster.store;
    if !store.is_complete() {
        return Ok(None);
    }
    let Some(canary) = store.get(Kind::Canary, &key.namespace, &key.name) else { return Ok(None) };
    let (spec, undecodable) = decode::<CanarySpec>(canary.get("spec"));
    let (status, broken_status) = decode::<CanaryStatus>(canary.get("status"));
    let router = cluster.router(spec.provider.as_deref());
    let (gates, gate_mistakes) = native_gates(annotation(&canary, GATES_ANNOTATION));
    let (intents, broken_intents) = intents(&canary);
    let target = store.get(Kind::Deployment, &key.namespace, &spec.target_ref.name);
    let live_primary = store.get(Kind::Deployment, &key.namespace, &spec.primary_name());
    let configs = match &target {
        Some(target) => configs(cluster, key, target).await?,
        None => Ok(BTreeMap::new()),
    };
    let tracked: BTreeSet<String> = configs.as_ref().map(|c| c.keys().cloned().collect()).unwrap_or_default();
    let mut services = BTreeSet::new();
    let mut selector_mistake = None;
    let mut primary_equals_target = false;
    if let Some(target) = &target {
        for role in [ServiceRole::Canary, ServiceRole::Primary, ServiceRole::Apex] {
            match primary::service(&canary, &spec, target, role) {
                Ok(wanted) => {
                    let live = store.get(Kind::Service, &key.namespace, &primary::service_name(&spec, role));
                    if live.is_none_or(|live| primary::service_differs(&live, &wanted)) {
                        services.insert(role);
                    }
                }
                Err(why) => selector_mistake = Some(why),
            }
        }
        if let (Some(live), Ok(wanted)) =
            (&live_primary, primary::deployment(&canary, &spec, target, &tracked, live_primary.as_deref(), ""))
        {
            primary_equals_target = primary::equals_target(live, &wanted);
        }
    }
    let undecodable = undecodable.or(broken_status.map(|e| format!("status: {e}"))).or(selector_mistake);
    Ok(Some(Observation {
        key: key.clone(),
        version: text(&canary, "/metadata/resourceVersion").into(),
        hands_off: hands_off(cluster, &canary, &status),
        route: route(cluster, key, &spec, &router),
        deleting: canary.pointer("/metadata/deletionTimestamp").is_some(),
        target: target.as_deref().map(|target| cluster.workload(target)),
        primary: live_primary.as_deref().map(|primary| cluster.workload(primary)),
        spec,
        undecodable,
        status,
        router,
        gates,
        gate_mistakes,
        intents,
        broken_intents,
        configs,
        services,
        primary_equals_target,
        round: None,
    }))
}

fn decode<T: serde::de::DeserializeOwned + Default>(value: Option<&Value>) -> (T, Option<String>) {
    match value.map(|v| serde_json::from_value::<T>(v.clone())) {
        None => (T::default(), None),
        Some(Ok(decoded)) => (decoded, None),
        Some(Err(error)) => (T::default(), Some(crate::domain::text::clean(&error.to_string()))),
    }
}

/// The Canary's status; an empty one where there is none, or none that can be read.
#[must_use]
pub fn status(canary: &Value) -> CanaryStatus {
    decode(canary.get("status")).0
}

/// Verbs on the object, oldest first, and the annotations that are none.
#[must_use]
pub fn intents(canary: &Value) -> (Vec<Intent>, Vec<(String, String)>) {
    let (mut good, mut broken) = (Vec::new(), Vec::new());
    for (key, value) in super::json::strings(canary, "/metadata/annotations") {
        let Some(id) = key.strip_prefix(ANNOTATION_PREFIX) else { continue };
        match serde_json::from_str::<Intent>(&value) {
            Ok(intent) => good.push(Intent {
                id: id.into(),
                who: crate::domain::text::clean(&intent.who),
                why: crate::domain::text::clean(&intent.why),
                ..intent
            }),
            Err(error) => broken.push((id.to_owned(), crate::domain::text::clean(&error.to_string()))),
        }
    }
    good.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    (good, broken)
}

/// Traces that a Flagger has left in the cluster.
#[must_use]
pub fn flagger_traces(cluster: &Cluster) -> FlaggerTraces {
    let lease = cluster.store.list(Kind::Lease).first().map(|lease| {
        format!(
            "{}/{} held by {}",
            text(lease, "/metadata/namespace"),
            text(lease, "/metadata/name"),
            crate::domain::text::clean(text(lease, "/spec/holderIdentity"))
        )
    });
    let deployment = cluster
        .store
        .list(Kind::Deployment)
        .iter()
        .find(|d| runs_flagger(d))
        .map(|d| format!("{}/{}", text(d, "/metadata/namespace"), text(d, "/metadata/name")));
    FlaggerTraces { lease, deployment }
}

/// A Deployment that runs Flagger's image; the load tester and podinfo's own names do not count.
fn runs_flagger(deployment: &Value) -> bool {
    integer(deployment, "/spec/replicas") != Some(0)
        && items(deployment, "/spec/template/spec/containers").any(|c| {
            let image = text(c, "/image").split(['@', ':']).next().unwrap_or_default();
            image.ends_with("/flagger") || image == "flagger"
        })
}

/// Why nothing may be written for `canary`.
#[must_use]
pub fn hands_off(cluster: &Cluster, canary: &Value, status: &CanaryStatus) -> Option<String> {
    let traces = CanaryTraces {
        hash: !status.last_applied_spec.is_empty() && Revision::parse(&status.last_applied_spec).is_none(),
        manager: items(canary, "/metadata/managedFields").any(|m| text(m, "/manager") == "flagger"),
    };
    may_drive(cluster.policy.drive, &flagger_traces(cluster), &traces).err()
}

/// A Deployment of `revision` as the engine sees it.
pub(super) fn workload(object: &Value, revision: Revision) -> Workload {
    let condition = |kind: &str| items(object, "/status/conditions").find(|c| text(c, "/type") == kind);
    let unavailable =
        condition("Available").filter(|c| text(c, "/status") == "False" && text(c, "/reason") == "MinimumReplicasUnavailable");
    let replicas = integer(object, "/spec/replicas").unwrap_or(1);
    let number = |pointer: &str| integer(object, pointer).unwrap_or(0);
    Workload {
        revision,
        replicas,
        state: DeploymentState {
            name: text(object, "/metadata/name").into(),
            generation: number("/metadata/generation"),
            observed_generation: number("/status/observedGeneration"),
            replicas_wanted: replicas,
            replicas: number("/status/replicas"),
            updated: number("/status/updatedReplicas"),
            available: number("/status/availableReplicas"),
            progressing_reason: condition("Progressing").map(|c| text(c, "/reason").to_owned()),
            unavailable_since: unavailable.and_then(|c| text(c, "/lastUpdateTime").parse::<Timestamp>().ok()),
        },
        stamp: object
            .pointer("/spec/template/metadata/annotations")
            .and_then(|a| a.get(primary::STAMP))
            .and_then(Value::as_str)
            .map(str::to_owned),
    }
}

/// The configs that the target refers to, each read by name when its metadata says that it changed.
/// The inner error is the sentence for a mandatory one that is missing.
async fn configs(cluster: &Cluster, key: &CanaryKey, target: &Value) -> Result<Result<Configs, String>, PortError> {
    let mut found = Configs::new();
    for reference in primary::config_refs(target) {
        match config(cluster, key, &reference).await? {
            Some(object) if primary::is_tracked(&object, reference.secret) => {
                found.insert(reference.key(), primary::checksum(&object));
            }
            Some(_) => {}
            None if reference.optional => {}
            None => {
                return Ok(Err(format!(
                    "{} {} is not in namespace {}, and {} needs it: create it, or make the reference optional",
                    reference.kind(),
                    reference.name,
                    key.namespace,
                    text(target, "/metadata/name")
                )));
            }
        }
    }
    Ok(Ok(found))
}

/// One ConfigMap or Secret, whole; `None` where there is none.
pub(super) async fn config(cluster: &Cluster, key: &CanaryKey, reference: &ConfigRef) -> Result<Option<Arc<Value>>, PortError> {
    let kind = if reference.secret { Kind::Secret } else { Kind::ConfigMap };
    let known = cluster.store.get(kind, &key.namespace, &reference.name);
    let slot = (reference.secret, key.namespace.clone(), reference.name.clone());
    let watched = cluster.store.state(kind) == WatchState::Live;
    if watched && known.is_none() {
        return Ok(None);
    }
    let version = known.as_ref().map(|k| text(k, "/metadata/resourceVersion").to_owned());
    if let (true, Some(version)) = (watched, &version) {
        let cache = cluster.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((cached, object)) = cache.get(&slot)
            && cached == version
        {
            return Ok(Some(Arc::clone(object)));
        }
    }
    match cluster.access.get(&kind.path(&key.namespace, &reference.name)).await {
        Ok(object) => {
            let object = Arc::new(object);
            let version = text(&object, "/metadata/resourceVersion").to_owned();
            cluster.configs.lock().unwrap_or_else(PoisonError::into_inner).insert(slot, (version, Arc::clone(&object)));
            Ok(Some(object))
        }
        Err(ApiError::NotFound { .. }) => Ok(None),
        Err(error) => Err(PortError::Failed(error.to_string())),
    }
}

fn route(cluster: &Cluster, key: &CanaryKey, spec: &CanarySpec, provider: &str) -> Route {
    let Some(router) = mesh::router(provider) else { return Route::None };
    let Some(kind) = Kind::named(router.kind()) else { return Route::None };
    match cluster.store.state(kind) {
        WatchState::Absent => return Route::Unreadable(router.absent().into()),
        WatchState::Forbidden(why) => return Route::Unreadable(format!("{} objects may not be read: {why}", router.kind())),
        _ => {}
    }
    let name = spec.service_name();
    let live = cluster.store.get(kind, &key.namespace, name);
    let weight = match live.as_deref().map_or(Ok(None), |live| router.weight(spec, live)) {
        Ok(weight) => weight,
        Err(why) => return Route::Unreadable(why),
    };
    if let Some(missing) = missing_companion(cluster, &key.namespace, router, spec) {
        return Route::Differs { what: format!("{} {}", missing.kind, missing.name), canary: weight };
    }
    match (live, weight) {
        (Some(live), Some(canary)) if !router.differs(spec, &live) => {
            let foreign = owner_of(&live, &router.weights_at()).filter(|m| *m != MANAGER).map(|manager| ForeignWrite {
                manager: crate::domain::text::clean(manager),
                resource_version: text(&live, "/metadata/resourceVersion").into(),
            });
            Route::Present { canary, foreign }
        }
        _ => Route::Differs { what: format!("{} {name}", router.kind()), canary: weight },
    }
}

/// The first object beside the route that is missing or differs.
pub(super) fn missing_companion(cluster: &Cluster, namespace: &str, router: &dyn Router, spec: &CanarySpec) -> Option<Companion> {
    router.companions(spec).into_iter().find(|companion| {
        let live = Kind::named(companion.kind).and_then(|kind| cluster.store.get(kind, namespace, &companion.name));
        live.is_none_or(|live| live.get("spec") != Some(&companion.spec))
    })
}
