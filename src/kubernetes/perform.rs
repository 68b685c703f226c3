//! One effect, one request.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::access::Patch;
use super::cluster::Cluster;
use super::error::ApiError;
use super::json::{child, text};
use super::kinds::Kind;
use super::observe::{MANAGER, config, missing_companion};
use super::{events, primary};
use crate::domain::intent::ANNOTATION_PREFIX;
use crate::engine::effect::{Effect, Scale, ServiceRole};
use crate::engine::observation::Observation;
use crate::mesh;
use crate::runner::ports::PortError;

impl From<ApiError> for PortError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Conflict { .. } => Self::Changed(error.to_string()),
            ApiError::Forbidden { .. } | ApiError::Unauthorized { .. } => Self::Denied(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Performs `effect`; what it returns is laid over the store.
pub(super) async fn perform(cluster: &Cluster, seen: &Observation, effect: &Effect) -> Result<(), PortError> {
    if effect.needs_live_read() {
        read_live(cluster, seen).await?;
    }
    let at = Object { cluster, seen };
    match effect {
        Effect::EnsureService(role) => at.ensure_service(*role).await,
        Effect::CopyToPrimary { id } => at.copy_to_primary(id).await,
        Effect::EnsureRoute => at.write_route(seen.route.canary()).await,
        Effect::SetWeights { canary } => at.write_route(*canary).await,
        Effect::ScaleTarget(scale) => at.scale(*scale).await,
        Effect::WriteStatus { status, say } => {
            let status = serde_json::to_value(status).map_err(|e| PortError::Failed(e.to_string()))?;
            let mut canary = (*at.stored(Kind::Canary, &seen.key.name)?).clone();
            canary["status"] = status;
            canary["metadata"]["resourceVersion"] = json!(seen.version);
            let path = format!("{}/status", Kind::Canary.path(&seen.key.namespace, &seen.key.name));
            let reply = cluster.access.put(&path, MANAGER, &canary).await?;
            cluster.store.put(Kind::Canary, reply);
            for say in say {
                if let Err(error) = events::publish(cluster, &canary, say).await {
                    tracing::warn!(canary = %seen.key, %error, message = %say.message, "event not written");
                }
            }
            Ok(())
        }
        Effect::RemoveIntent { id } => {
            let body = json!({"metadata": {"annotations": {format!("{ANNOTATION_PREFIX}{id}"): null}}});
            at.merge(Kind::Canary, &seen.key.name, &seen.version, body, "").await
        }
        Effect::Ask(_) => Ok(()),
    }
}

/// Reads what the effect relies on from the API server; whatever is newer than the cache makes the step
/// look again with it.
async fn read_live(cluster: &Cluster, seen: &Observation) -> Result<(), PortError> {
    let mut relied = vec![(Kind::Deployment, seen.spec.primary_name()), (Kind::Deployment, seen.spec.target_ref.name.clone())];
    if let Some(kind) = mesh::router(&seen.router).and_then(|router| Kind::named(router.kind())) {
        relied.push((kind, seen.spec.service_name().to_owned()));
    }
    for (kind, name) in relied {
        let known = cluster.store.get(kind, &seen.key.namespace, &name);
        let live = match cluster.access.get(&kind.path(&seen.key.namespace, &name)).await {
            Ok(live) => Some(live),
            Err(ApiError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let same = match (&known, &live) {
            (Some(known), Some(live)) => text(known, "/metadata/resourceVersion") == text(live, "/metadata/resourceVersion"),
            (None, None) => true,
            _ => false,
        };
        if !same {
            if let Some(live) = live {
                cluster.store.put(kind, live);
            }
            return Err(PortError::Changed(format!("{} {name} is newer than the cache", kind.word())));
        }
    }
    Ok(())
}

struct Object<'a> {
    cluster: &'a Cluster,
    seen: &'a Observation,
}

impl Object<'_> {
    fn stored(&self, kind: Kind, name: &str) -> Result<std::sync::Arc<Value>, PortError> {
        self.cluster
            .store
            .get(kind, &self.seen.key.namespace, name)
            .ok_or_else(|| PortError::Changed(format!("{} {}/{name} is gone", kind.word(), self.seen.key.namespace)))
    }

    fn path(&self, kind: Kind, name: &str) -> String {
        kind.path(&self.seen.key.namespace, name)
    }

    /// Merge patch that fails when the object has changed since `version`.
    async fn merge(&self, kind: Kind, name: &str, version: &str, mut body: Value, subresource: &str) -> Result<(), PortError> {
        child(&mut body, "metadata")["resourceVersion"] = json!(version);
        let path = format!("{}{subresource}", self.path(kind, name));
        let reply = self.cluster.access.patch(&path, MANAGER, Patch::Merge, &body).await?;
        self.cluster.store.put(kind, reply);
        Ok(())
    }

    /// Server-side apply of an object that we generate.
    async fn apply(&self, kind: Kind, mut body: Value) -> Result<(), PortError> {
        let name = text(&body, "/metadata/name").to_owned();
        if let Some(live) = self.cluster.store.get(kind, &self.seen.key.namespace, &name) {
            body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        }
        let reply = self.cluster.access.patch(&self.path(kind, &name), MANAGER, Patch::Apply, &body).await?;
        self.cluster.store.put(kind, reply);
        Ok(())
    }

    async fn ensure_service(&self, role: ServiceRole) -> Result<(), PortError> {
        let canary = self.stored(Kind::Canary, &self.seen.key.name)?;
        let target = self.stored(Kind::Deployment, &self.seen.spec.target_ref.name)?;
        let wanted = primary::service(&canary, &self.seen.spec, &target, role).map_err(PortError::Denied)?;
        let name = text(&wanted, "/metadata/name").to_owned();
        match self.cluster.store.get(Kind::Service, &self.seen.key.namespace, &name) {
            Some(live) if !primary::is_owned_by(&live, text(&canary, "/metadata/uid")) => {
                let adopted = primary::adopt_service(&live, &wanted);
                let reply = self.cluster.access.put(&self.path(Kind::Service, &name), MANAGER, &adopted).await?;
                self.cluster.store.put(Kind::Service, reply);
                Ok(())
            }
            _ => self.apply(Kind::Service, wanted).await,
        }
    }

    /// The first config copy that differs; when all are equal, the primary Deployment.
    async fn copy_to_primary(&self, id: &str) -> Result<(), PortError> {
        let canary = self.stored(Kind::Canary, &self.seen.key.name)?;
        let target = self.stored(Kind::Deployment, &self.seen.spec.target_ref.name)?;
        let tracked: BTreeSet<String> = self.seen.configs.as_ref().map(|c| c.keys().cloned().collect()).unwrap_or_default();
        for reference in primary::config_refs(&target) {
            if !tracked.contains(&reference.key()) {
                continue;
            }
            let Some(source) = config(self.cluster, &self.seen.key, &reference).await? else {
                return Err(PortError::Changed(format!("{} {} is gone", reference.kind(), reference.name)));
            };
            if self.seen.configs.as_ref().is_ok_and(|c| c.get(&reference.key()) != Some(&primary::checksum(&source))) {
                return Err(PortError::Changed(format!("{} {} changed", reference.kind(), reference.name)));
            }
            let wanted = primary::config_copy(&canary, &source);
            let copy = primary::ConfigRef { name: format!("{}-primary", reference.name), ..reference.clone() };
            let live = config(self.cluster, &self.seen.key, &copy).await?;
            let equal = live.is_some_and(|live| ["data", "binaryData"].iter().all(|f| live.get(*f) == wanted.get(*f)));
            if !equal {
                let kind = if reference.secret { Kind::Secret } else { Kind::ConfigMap };
                return self.apply(kind, wanted).await;
            }
        }
        let live = self.cluster.store.get(Kind::Deployment, &self.seen.key.namespace, &self.seen.spec.primary_name());
        let wanted = primary::deployment(&canary, &self.seen.spec, &target, &tracked, live.as_deref(), id).map_err(PortError::Denied)?;
        self.apply(Kind::Deployment, wanted).await
    }

    async fn scale(&self, scale: Scale) -> Result<(), PortError> {
        let name = &self.seen.spec.target_ref.name;
        let live = self.stored(Kind::Deployment, name)?;
        let replicas = match scale {
            Scale::Zero => 0,
            Scale::To(n) => n,
        };
        self.merge(Kind::Deployment, name, text(&live, "/metadata/resourceVersion"), json!({"spec": {"replicas": replicas}}), "").await
    }

    /// The first object beside the route that differs; then the route with the canary at `weight`.
    async fn write_route(&self, weight: i64) -> Result<(), PortError> {
        let (spec, namespace) = (&self.seen.spec, &self.seen.key.namespace);
        let canary = self.stored(Kind::Canary, &self.seen.key.name)?;
        let none = || PortError::Denied(format!("{} has no route objects", self.seen.router));
        let router = mesh::router(&self.seen.router).ok_or_else(none)?;
        if let Some(companion) = missing_companion(self.cluster, namespace, router, spec) {
            let kind = Kind::named(companion.kind).ok_or_else(none)?;
            return self.apply(kind, generated(&canary, kind, &companion.name, companion.spec)).await;
        }
        let kind = Kind::named(router.kind()).ok_or_else(none)?;
        let name = spec.service_name();
        let reply = if let Some(live) = self.cluster.store.get(kind, namespace, name) {
            self.cluster.access.put(&self.path(kind, name), MANAGER, &router.edit(spec, &live, weight)).await?
        } else {
            let body = generated(&canary, kind, name, router.fresh(spec, weight));
            self.cluster.access.post(&self.path(kind, ""), MANAGER, &body).await?
        };
        self.cluster.store.put(kind, reply);
        Ok(())
    }
}

/// A generated route object, owned by the Canary and left alone by Flux.
fn generated(canary: &Value, kind: Kind, name: &str, spec: Value) -> Value {
    let annotations: serde_json::Map<String, Value> = primary::TOOLKIT.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    json!({"apiVersion": kind.api_version(), "kind": kind.word(),
        "metadata": {"name": name, "namespace": text(canary, "/metadata/namespace"), "annotations": annotations, "ownerReferences": [primary::owner(canary)]},
        "spec": spec})
}
