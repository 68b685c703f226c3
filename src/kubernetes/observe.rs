//! From the store to an [`Observation`]: what is, in the engine's words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use serde_json::Value;

use super::around::Around;
use super::cluster::Cluster;
use super::error::ApiError;
use super::json::{annotation, items, text};
use super::kinds::Kind;
use super::objects::configs::{self as configs_of, ConfigRef};
use super::store::WatchState;
use crate::domain::canary::{CanarySpec, GATES_ANNOTATION, HEADERS_ANNOTATION, NO_DATA_ANNOTATION, native_gates};
use crate::domain::driver::{CanaryTraces, FlaggerTraces, may_drive};
use crate::domain::intent::{ANNOTATION_PREFIX, Intent};
use crate::domain::revision::Revision;
use crate::domain::status::CanaryStatus;
use crate::domain::target::CanaryKey;
use crate::engine::observation::{Configs, Observation};
use crate::runner::ports::PortError;

/// Finalizer of Canaries with `revertOnDeletion`: Flagger's.
pub const FINALIZER: &str = "finalizer.flagger.app";
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
    let around = Around::new(cluster, &canary, &spec, &status);
    if !around.is_known() {
        return Ok(None);
    }
    let (gates, gate_mistakes) = native_gates(annotation(&canary, GATES_ANNOTATION));
    let (intents, broken_intents) = intents(&canary);
    let target = around.target();
    let configs = match &target {
        Some(target) if spec.target_kind().scales() && cluster.policy.engine.enable_config_tracking => {
            configs(cluster, key, target).await?
        }
        _ => Ok(BTreeMap::new()),
    };
    let tracked: BTreeSet<String> = configs.as_ref().map(|c| c.keys().cloned().collect()).unwrap_or_default();
    let (services, unselectable) = match &target {
        Some(target) => around.services(target),
        None => (BTreeSet::new(), None),
    };
    let undecodable = undecodable.or(broken_status.map(|e| format!("status: {e}"))).or(unselectable);
    Ok(Some(Observation {
        key: key.clone(),
        version: text(&canary, "/metadata/resourceVersion").into(),
        uid: text(&canary, "/metadata/uid").into(),
        hook_headers: annotation(&canary, HEADERS_ANNOTATION).unwrap_or_default().into(),
        hands_off: hands_off(cluster, &canary, &status),
        route: around.routing.observe(target.as_deref()),
        router: around.routing.provider.clone(),
        can: around.routing.abilities(),
        route_mistake: around.routing.mistake().or_else(|| around.mistake()),
        deleting: canary.pointer("/metadata/deletionTimestamp").is_some(),
        finalizer: items(&canary, "/metadata/finalizers").any(|f| f.as_str() == Some(FINALIZER)),
        leaving: around.leaving(target.as_deref()),
        holds_without_data: annotation(&canary, NO_DATA_ANNOTATION) == Some("hold"),
        scaler: around.scaler(),
        primary_equals_target: target.as_deref().is_some_and(|target| around.primary_equals(target, &tracked)),
        target: target.as_deref().and_then(|target| around.workload(target)),
        primary: around.primary_workload(),
        undecodable,
        status: status.clone(),
        gates,
        gate_mistakes,
        intents,
        broken_intents,
        configs,
        services,
        round: None,
        spec: spec.clone(),
    }))
}

fn decode<'a, T: serde::Deserialize<'a> + Default>(value: Option<&'a Value>) -> (T, Option<String>) {
    match value.map(T::deserialize) {
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
    let deployment = cluster.store.flagger();
    FlaggerTraces { lease, deployment }
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

/// The configs that the target refers to, each read by name when its metadata says that it changed.
/// The inner error is the sentence for a mandatory one that is missing.
async fn configs(cluster: &Cluster, key: &CanaryKey, target: &Value) -> Result<Result<Configs, String>, PortError> {
    let mut found = Configs::new();
    for reference in configs_of::config_refs(target) {
        match config(cluster, key, &reference).await? {
            Some(object) if configs_of::is_tracked(&object, reference.secret) => {
                found.insert(reference.key(), configs_of::checksum(&object));
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
