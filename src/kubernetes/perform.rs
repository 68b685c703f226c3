//! One effect, one request.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::access::Patch;
use super::around::{Around, kind_of};
use super::cluster::Cluster;
use super::error::ApiError;
use super::events;
use super::json::{child, items, text};
use super::kinds::Kind;
use super::objects::configs::{self, ConfigRef};
use super::objects::{scaler, service_target, services, workload};
use super::observe::{FINALIZER, MANAGER, config};
use crate::domain::canary::TargetKind;
use crate::domain::intent::ANNOTATION_PREFIX;
use crate::engine::effect::{Effect, Say, Scale, ServiceRole};
use crate::engine::observation::Observation;
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
    let canary = cluster.store.get(Kind::Canary, &seen.key.namespace, &seen.key.name);
    let canary = canary.ok_or_else(|| PortError::Changed(format!("Canary {} is gone", seen.key)))?;
    let around = Around::new(cluster, &canary, &seen.spec, &seen.status);
    let at = Object { cluster, seen, around };
    match effect {
        Effect::EnsureService(role) => at.ensure_service(*role).await,
        Effect::CopyToPrimary { id } => at.copy_to_primary(id).await,
        Effect::EnsureRoute => at.around.routing.write(seen.route.traffic(), at.around.target().as_deref()).await,
        Effect::SetTraffic(traffic) => at.around.routing.write(*traffic, at.around.target().as_deref()).await,
        Effect::ScaleTarget(scale) => at.scale(*scale).await,
        Effect::EnsureScaler => at.ensure_scaler().await,
        Effect::PauseScaler(paused) => at.pause_scaler(*paused).await,
        Effect::Finalizer { present, say } => at.finalizer(*present, say).await,
        Effect::RestoreService => at.restore_service().await,
        Effect::RestoreRoute => at.around.routing.restore().await,
        Effect::WriteStatus { status, say } => {
            let status = serde_json::to_value(status).map_err(|e| PortError::Failed(e.to_string()))?;
            let mut canary = (*canary).clone();
            canary["status"] = status;
            canary["metadata"]["resourceVersion"] = json!(seen.version);
            let path = format!("{}/status", Kind::Canary.path(&seen.key.namespace, &seen.key.name));
            let reply = cluster.access.put(&path, MANAGER, &canary).await?;
            cluster.store.put(Kind::Canary, reply);
            at.publish(say).await;
            Ok(())
        }
        Effect::RemoveIntent { id } => {
            let body = json!({"metadata": {"annotations": {format!("{ANNOTATION_PREFIX}{id}"): null}}});
            at.merge(Kind::Canary, &seen.key.name, &seen.version, body).await
        }
        Effect::Ask(_) => Ok(()),
    }
}

/// Reads what the effect relies on from the API server; whatever is newer than the cache makes the step
/// look again with it.
async fn read_live(cluster: &Cluster, seen: &Observation) -> Result<(), PortError> {
    let canary = cluster.store.get(Kind::Canary, &seen.key.namespace, &seen.key.name);
    let canary = canary.ok_or_else(|| PortError::Changed(format!("Canary {} is gone", seen.key)))?;
    let around = Around::new(cluster, &canary, &seen.spec, &seen.status);
    let (kind, here) = (kind_of(&seen.spec), seen.key.namespace.clone());
    let mut relied = vec![(kind, here.clone(), seen.spec.target_ref.name.clone())];
    if kind != Kind::KnativeService {
        relied.push((kind, here, seen.spec.primary_name()));
    }
    relied.extend(around.routing.named().map(|named| (named.kind, named.namespace, named.name)));
    for (kind, namespace, name) in relied {
        let known = cluster.store.get(kind, &namespace, &name);
        let live = match cluster.access.get(&kind.path(&namespace, &name)).await {
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
    around: Around<'a>,
}

impl Object<'_> {
    fn stored(&self, kind: Kind, name: &str) -> Result<Arc<Value>, PortError> {
        self.around.get(kind, name).ok_or_else(|| PortError::Changed(format!("{} {}/{name} is gone", kind.word(), self.seen.key.namespace)))
    }

    fn target(&self) -> Result<Arc<Value>, PortError> {
        self.stored(kind_of(&self.seen.spec), &self.seen.spec.target_ref.name)
    }

    fn path(&self, kind: Kind, name: &str) -> String {
        kind.path(&self.seen.key.namespace, name)
    }

    async fn publish(&self, say: &[Say]) {
        for say in say {
            if let Err(error) = events::publish(self.cluster, self.around.canary, say).await {
                tracing::warn!(canary = %self.seen.key, %error, message = %say.message, "event not written");
            }
        }
    }

    /// Merge patch that fails when the object has changed since `version`.
    async fn merge(&self, kind: Kind, name: &str, version: &str, mut body: Value) -> Result<(), PortError> {
        child(&mut body, "metadata")["resourceVersion"] = json!(version);
        let reply = self.cluster.access.patch(&self.path(kind, name), MANAGER, Patch::Merge, &body).await?;
        self.cluster.store.put(kind, reply);
        Ok(())
    }

    /// The same for an object as it was seen.
    async fn merge_seen(&self, kind: Kind, live: &Value, body: Value) -> Result<(), PortError> {
        self.merge(kind, text(live, "/metadata/name"), text(live, "/metadata/resourceVersion"), body).await
    }

    /// Server-side apply of an object that we generate.
    async fn apply(&self, kind: Kind, mut body: Value) -> Result<(), PortError> {
        let name = text(&body, "/metadata/name").to_owned();
        if let Some(live) = self.around.get(kind, &name) {
            body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        }
        let reply = self.cluster.access.patch(&self.path(kind, &name), MANAGER, Patch::Apply, &body).await?;
        self.cluster.store.put(kind, reply);
        Ok(())
    }

    async fn ensure_service(&self, role: ServiceRole) -> Result<(), PortError> {
        let target = self.target()?;
        let Some(wanted) = self.around.service(&target, role).map_err(PortError::Denied)? else { return Ok(()) };
        let name = text(&wanted, "/metadata/name").to_owned();
        match self.around.get(Kind::Service, &name) {
            Some(live) if !services::is_owned_by(&live, text(self.around.canary, "/metadata/uid")) => {
                if role != ServiceRole::Apex {
                    // A name that ends so is the engine's; whoever has it already has something else behind it.
                    let message = format!("Service {name} is not this Canary's: rename it, or give the Canary another spec.service.name");
                    return Err(PortError::Denied(message));
                }
                let adopted = services::adopt_service(&live, &wanted);
                let reply = self.cluster.access.put(&self.path(Kind::Service, &name), MANAGER, &adopted).await?;
                self.cluster.store.put(Kind::Service, reply);
                Ok(())
            }
            _ => self.apply(Kind::Service, wanted).await,
        }
    }

    /// The first config copy that differs; when all are equal, the primary itself.
    async fn copy_to_primary(&self, id: &str) -> Result<(), PortError> {
        let target = self.target()?;
        match self.seen.spec.target_kind() {
            TargetKind::Knative => {
                return self.merge_seen(Kind::KnativeService, &target, service_target::promote_knative(&target, id)).await;
            }
            TargetKind::Service => {
                let clone = service_target::clone(&self.around.subject(), &target, ServiceRole::Primary, Some(id));
                return match clone {
                    Some(clone) => self.apply(Kind::Service, clone).await,
                    None => Ok(()),
                };
            }
            TargetKind::Deployment | TargetKind::DaemonSet => {}
        }
        let tracked: BTreeSet<String> = self.seen.configs.as_ref().map(|c| c.keys().cloned().collect()).unwrap_or_default();
        for reference in configs::config_refs(&target) {
            if !tracked.contains(&reference.key()) {
                continue;
            }
            let Some(source) = config(self.cluster, &self.seen.key, &reference).await? else {
                return Err(PortError::Changed(format!("{} {} is gone", reference.kind(), reference.name)));
            };
            if self.seen.configs.as_ref().is_ok_and(|c| c.get(&reference.key()) != Some(&configs::checksum(&source))) {
                return Err(PortError::Changed(format!("{} {} changed", reference.kind(), reference.name)));
            }
            let wanted = configs::config_copy(&self.around.subject(), &source);
            let copy = ConfigRef { name: format!("{}-primary", reference.name), ..reference.clone() };
            let live = config(self.cluster, &self.seen.key, &copy).await?;
            let equal = live.is_some_and(|live| ["data", "binaryData"].iter().all(|f| live.get(*f) == wanted.get(*f)));
            if !equal {
                let kind = if reference.secret { Kind::Secret } else { Kind::ConfigMap };
                return self.apply(kind, wanted).await;
            }
        }
        let live = self.around.primary();
        let wanted = workload::primary(&self.around.subject(), &target, &tracked, live.as_deref(), id).map_err(PortError::Denied)?;
        self.apply(kind_of(&self.seen.spec), wanted).await
    }

    async fn scale(&self, scale: Scale) -> Result<(), PortError> {
        let live = self.target()?;
        let replicas = match scale {
            Scale::Zero => 0,
            Scale::To(n) => n,
        };
        let body = workload::scale(self.seen.spec.target_kind(), replicas);
        self.merge_seen(kind_of(&self.seen.spec), &live, body).await
    }

    async fn ensure_scaler(&self) -> Result<(), PortError> {
        let (Some(reference), Some((kind, Some(source)))) = (&self.seen.spec.autoscaler_ref, self.around.scalers()) else { return Ok(()) };
        self.apply(kind, scaler::primary(&self.around.subject(), reference, &source)).await
    }

    async fn pause_scaler(&self, paused: bool) -> Result<(), PortError> {
        let Some((kind, Some(source))) = self.around.scalers() else { return Ok(()) };
        self.merge_seen(kind, &source, scaler::pause(paused)).await
    }

    /// Adds our finalizer to the Canary, or takes it away; those of others stay.
    async fn finalizer(&self, present: bool, say: &[Say]) -> Result<(), PortError> {
        let mut finalizers: Vec<&str> =
            items(self.around.canary, "/metadata/finalizers").filter_map(Value::as_str).filter(|f| *f != FINALIZER).collect();
        if present {
            finalizers.push(FINALIZER);
        }
        // Before it is written: with the finalizer goes the object that events are about.
        self.publish(say).await;
        let body = json!({"metadata": {"finalizers": finalizers}});
        self.merge(Kind::Canary, &self.seen.key.name, &self.seen.version, body).await
    }

    async fn restore_service(&self) -> Result<(), PortError> {
        let target = self.target()?;
        let Some((live, restored)) = self.around.restored_service(&target) else { return Ok(()) };
        let path = self.path(Kind::Service, text(&live, "/metadata/name"));
        let reply = self.cluster.access.put(&path, MANAGER, &restored).await?;
        self.cluster.store.put(Kind::Service, reply);
        Ok(())
    }
}
