//! What stands round one Canary: its target, primary, Services, scaler and route, looked up once for observing and for writing.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::json::{annotation, strings, text};
use super::kinds::Kind;
use super::objects::{Subject, scaler, service_target, services, workload};
use super::routing::Routing;
use crate::domain::canary::{CanarySpec, TargetKind};
use crate::domain::status::CanaryStatus;
use crate::engine::effect::ServiceRole;
use crate::engine::observation::{Leaving, Scaler, Workload};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// One Canary with its cluster.
pub(super) struct Around<'a> {
    pub cluster: &'a Cluster,
    pub canary: &'a Value,
    pub spec: &'a CanarySpec,
    pub namespace: &'a str,
    pub routing: Routing<'a>,
}

/// The kind of a target.
#[must_use]
pub fn kind_of(spec: &CanarySpec) -> Kind {
    match spec.target_kind() {
        TargetKind::Deployment => Kind::Deployment,
        TargetKind::DaemonSet => Kind::DaemonSet,
        TargetKind::Service => Kind::Service,
        TargetKind::Knative => Kind::KnativeService,
    }
}

impl<'a> Around<'a> {
    pub fn new(cluster: &'a Cluster, canary: &'a Value, spec: &'a CanarySpec, status: &'a CanaryStatus) -> Self {
        let namespace = text(canary, "/metadata/namespace");
        Self { cluster, canary, spec, namespace, routing: Routing::new(cluster, canary, spec, status) }
    }

    /// What objects are generated for.
    pub fn subject(&self) -> Subject<'_> {
        Subject { canary: self.canary, spec: self.spec, settings: &self.cluster.policy.engine }
    }

    fn scaler_kind(&self) -> Option<Kind> {
        let reference = self.spec.autoscaler_ref.as_ref()?;
        Some(if scaler::is_keda(reference) { Kind::ScaledObject } else { Kind::HorizontalPodAutoscaler })
    }

    /// Whether every kind that this Canary needs has been listed, or is known to be refused.
    pub fn is_known(&self) -> bool {
        let kinds = [Some(kind_of(self.spec)), self.scaler_kind()];
        // Each is asked for, so that all of them come at once.
        let unknown = kinds.into_iter().flatten().chain(self.routing.kinds()).filter(|kind| !self.cluster.store.knows(*kind)).count();
        unknown == 0
    }

    pub fn get(&self, kind: Kind, name: &str) -> Option<Arc<Value>> {
        self.cluster.store.get(kind, self.namespace, name)
    }

    pub fn target(&self) -> Option<Arc<Value>> {
        self.get(kind_of(self.spec), &self.spec.target_ref.name)
    }

    /// The object that serves as primary; a Knative Service holds its own.
    pub fn primary(&self) -> Option<Arc<Value>> {
        match self.spec.target_kind() {
            TargetKind::Knative => self.target().filter(|t| annotation(t, service_target::PRIMARY_REVISION).is_some()),
            _ => self.get(kind_of(self.spec), &self.spec.primary_name()),
        }
    }

    /// `object`, the target, as the engine sees it.
    pub fn workload(&self, object: &Value) -> Option<Workload> {
        match self.spec.target_kind() {
            kind @ (TargetKind::Deployment | TargetKind::DaemonSet) => {
                Some(workload::observed(object, kind, self.cluster.revision(object)))
            }
            TargetKind::Service => Some(service_target::observed(object)),
            TargetKind::Knative => service_target::observed_knative(object),
        }
    }

    /// The primary as the engine sees it.
    pub fn primary_workload(&self) -> Option<Workload> {
        let primary = self.primary()?;
        if self.spec.target_kind() == TargetKind::Knative {
            service_target::observed_knative_primary(&primary)
        } else {
            self.workload(&primary)
        }
    }

    /// The Service in `role` as it should be; `None` where this kind of target has none.
    ///
    /// # Errors
    /// When the target has no label to select its pods by.
    pub fn service(&self, target: &Value, role: ServiceRole) -> Result<Option<Value>, String> {
        match self.spec.target_kind() {
            TargetKind::Knative => Ok(None),
            // The primary's clone moves at promotions alone, which stamp it.
            TargetKind::Service => Ok(service_target::clone(&self.subject(), target, role, None).filter(|_| role == ServiceRole::Canary)),
            TargetKind::Deployment | TargetKind::DaemonSet => {
                let mut wanted = services::service(&self.subject(), target, role)?;
                if role == ServiceRole::Apex && self.routing.is_switched() {
                    // Whom it selects is its route; both answers are ours.
                    let live = self.get(Kind::Service, text(&wanted, "/metadata/name"));
                    let traffic = live.as_deref().and_then(|live| self.routing.switched(live, target));
                    if let (Some(live), Some(_)) = (&live, traffic) {
                        wanted["spec"]["selector"] = live["spec"]["selector"].clone();
                    }
                }
                Ok(Some(wanted))
            }
        }
    }

    /// The Services that are missing or differ, or why that cannot be told.
    pub fn services(&self, target: &Value) -> (BTreeSet<ServiceRole>, Option<String>) {
        let (mut found, mut mistake) = (BTreeSet::new(), None);
        for role in [ServiceRole::Canary, ServiceRole::Primary, ServiceRole::Apex] {
            match self.service(target, role) {
                Ok(None) => {}
                Ok(Some(wanted)) => {
                    let live = self.get(Kind::Service, text(&wanted, "/metadata/name"));
                    let differs = |live: &Value| match self.spec.target_kind() {
                        TargetKind::Service => service_target::differs(live, &wanted),
                        _ => services::service_differs(live, &wanted, self.spec.service.unmanaged_metadata.as_ref()),
                    };
                    if live.as_deref().is_none_or(differs) {
                        found.insert(role);
                    }
                }
                Err(why) => mistake = Some(why),
            }
        }
        (found, mistake)
    }

    /// The primary is what copying the target would make it, its stamp aside.
    pub fn primary_equals(&self, target: &Value, tracked: &BTreeSet<String>) -> bool {
        let Some(live) = self.primary() else { return false };
        match self.spec.target_kind() {
            TargetKind::Service => service_target::clone(&self.subject(), target, ServiceRole::Primary, None)
                .is_some_and(|wanted| !service_target::differs(&live, &wanted)),
            TargetKind::Knative => annotation(&live, service_target::PRIMARY_REVISION) == Some(service_target::newest_revision(target)),
            TargetKind::Deployment | TargetKind::DaemonSet => {
                let wanted = workload::primary(&self.subject(), target, tracked, Some(&live), "");
                wanted.is_ok_and(|wanted| workload::equals_target(&live, &wanted))
            }
        }
    }

    /// The target's scaler and its copy, as objects: the one named, and the one that should be.
    pub fn scalers(&self) -> Option<(Kind, Option<Arc<Value>>)> {
        let reference = self.spec.autoscaler_ref.as_ref()?;
        let kind = self.scaler_kind()?;
        Some((kind, self.get(kind, &reference.name)))
    }

    pub fn scaler(&self) -> Option<Scaler> {
        let reference = self.spec.autoscaler_ref.as_ref()?;
        let (kind, source) = self.scalers()?;
        let Some(source) = source else {
            return Some(Scaler::Missing(format!(
                "{} {} is not in namespace {}: create it, or remove spec.autoscalerRef",
                reference.kind, reference.name, self.namespace
            )));
        };
        let wanted = scaler::primary(&self.subject(), reference, &source);
        let live = self.get(kind, &scaler::primary_name(reference));
        Some(Scaler::Present {
            differs: live.is_none_or(|live| scaler::differs(&live, &wanted)),
            paused: scaler::is_keda(reference).then(|| scaler::is_paused(&source)),
            least: scaler::least(reference, &source),
        })
    }

    /// Another Canary that was here first and releases the same target, or routes the same Service: two would fight over it.
    pub fn mistake(&self) -> Option<String> {
        let mine = (text(self.canary, "/metadata/creationTimestamp"), text(self.canary, "/metadata/uid"));
        let target = (&self.spec.target_ref.kind, &self.spec.target_ref.name);
        let (target_name, service) = (&self.spec.target_ref.name, self.spec.service_name());
        self.cluster.store.claimants(self.namespace, target_name, service).iter().find_map(|other| {
            let other = &other.value();
            let theirs = (text(other, "/metadata/creationTimestamp"), text(other, "/metadata/uid"));
            if theirs >= mine {
                return None;
            }
            let name = text(other, "/metadata/name");
            let (kind, target_name) = (text(other, "/spec/targetRef/kind"), text(other, "/spec/targetRef/name"));
            if (kind, target_name) == (target.0.as_str(), target.1.as_str()) {
                return Some(format!("Canary {name} releases {kind} {target_name} already: a target has one Canary, delete one of them"));
            }
            let service = Some(text(other, "/spec/service/name")).filter(|n| !n.is_empty()).unwrap_or(target_name);
            (service == self.spec.service_name())
                .then(|| format!("Canary {name} routes Service {service} already: give one of them another spec.service.name"))
        })
    }

    /// What a Canary that goes still holds.
    pub fn leaving(&self, target: Option<&Value>) -> Leaving {
        let Some(target) = target else { return Leaving::default() };
        Leaving { service: self.restored_service(target).is_some(), route: self.routing.restored().is_some() }
    }

    /// The apex Service as it should be once the Canary is gone; `None` where it goes too, or selects no primary.
    pub fn restored_service(&self, target: &Value) -> Option<(Arc<Value>, Value)> {
        if !self.spec.target_kind().scales() {
            return None;
        }
        let (label, value) = self.subject().selector(target).ok()?;
        let live = self.get(Kind::Service, self.spec.service_name())?;
        if services::is_owned_by(&live, text(self.canary, "/metadata/uid"))
            || strings(&live, "/spec/selector").get(&label) != Some(&format!("{value}-primary"))
        {
            return None;
        }
        let before = annotation(&live, LAST_APPLIED).and_then(|json| serde_json::from_str::<Value>(json).ok());
        let selector = before.and_then(|b| b.pointer("/spec/selector").cloned()).unwrap_or_else(|| json!({label: value}));
        let mut out = (*live).clone();
        out["spec"]["selector"] = selector;
        (out != *live).then_some((live, out))
    }
}
