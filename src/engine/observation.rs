//! All that a step knows: a snapshot, not a delta, so that a missed event cannot wedge a rollout.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::effect::{Answer, Question, ServiceRole};
use crate::domain::canary::{CanarySpec, HookKind};
use crate::domain::intent::Intent;
use crate::domain::readiness::{Patience, Readiness, WorkloadState};
use crate::domain::revision::{Revision, sha256_hex, stable_id};
use crate::domain::status::{CanaryStatus, EngineState};
use crate::domain::target::CanaryKey;
use crate::domain::traffic::{Abilities, Traffic};

/// Tracked configs by `configmap/NAME` or `secret/NAME`, with their checksums.
pub type Configs = BTreeMap<String, String>;

/// The target or the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    pub revision: Revision,
    /// `spec.replicas`; for what has no such field 1, or 0 where it is scaled to zero by other means.
    pub replicas: i64,
    pub state: WorkloadState,
    /// Annotation `flagger-id` of its pods.
    pub stamp: Option<String>,
}

/// The traffic route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The router has no route objects (plain Kubernetes).
    None,
    /// It is not there, or not whole, or differs in what is ours besides the weights; `traffic` is what
    /// it gives all the same.
    Differs {
        what: String,
        traffic: Option<Traffic>,
    },
    /// As wanted; what it gives, and who else wrote it last.
    Present {
        traffic: Traffic,
        foreign: Option<ForeignWrite>,
        /// Why traffic does not go by it yet.
        pending: Option<String>,
    },
    Unreadable(String),
}

impl Route {
    /// How traffic is divided by it.
    #[must_use]
    pub const fn traffic(&self) -> Traffic {
        match self {
            Self::Present { traffic, .. } | Self::Differs { traffic: Some(traffic), .. } => *traffic,
            _ => Traffic::PRIMARY,
        }
    }

    /// Whether it is known that the canary has no traffic. A route that cannot be read may give it some.
    #[must_use]
    pub fn is_all_primary(&self) -> bool {
        self.traffic() == Traffic::PRIMARY && !matches!(self, Self::Unreadable(_))
    }

    /// Why traffic does not go by it yet.
    #[must_use]
    pub fn pending(&self) -> Option<&str> {
        match self {
            Self::Present { pending, .. } => pending.as_deref(),
            _ => None,
        }
    }

    /// Percent of traffic that the canary has.
    #[must_use]
    pub const fn canary(&self) -> i64 {
        self.traffic().canary
    }

    #[must_use]
    pub const fn has_weights(&self) -> bool {
        !matches!(self, Self::None)
    }
}

/// The target's scaler and its copy for the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scaler {
    /// The Canary names one that is not there.
    Missing(String),
    Present {
        /// The primary's copy is missing or differs; never before there is a primary.
        differs: bool,
        /// The target's is kept from scaling; `None` for a kind that is not paused (HPA).
        paused: Option<bool>,
        /// Replicas that it lets the target start with.
        least: i64,
    },
}

/// What an ending Canary still holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    /// An apex Service that outlives the Canary selects the primary's pods.
    pub service: bool,
    /// A route that outlives the Canary is not what it was.
    pub route: bool,
}

/// A write of ours that somebody overwrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignWrite {
    pub manager: String,
    /// Identifies the write, so that it is complained of once.
    pub resource_version: String,
}

/// Questions and answers of one due time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Round {
    /// [`Observation::checksum`] when it was asked.
    pub checksum: String,
    pub due: Timestamp,
    pub answers: BTreeMap<Question, Answer>,
}

/// One canary and everything that hangs on it, at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    pub key: CanaryKey,
    /// `resourceVersion` of the Canary: a status is written only over what was seen.
    pub version: String,
    pub spec: CanarySpec,
    /// The spec cannot be decoded.
    pub undecodable: Option<String>,
    pub status: CanaryStatus,
    pub router: String,
    /// What the router can do.
    pub can: Abilities,
    /// Why this Canary cannot be routed, in words for its owner.
    pub route_mistake: Option<String>,
    /// A check without data holds the rollout where it stands (annotation `pilothouse.dev/no-data: hold`).
    pub holds_without_data: bool,
    /// Secrets with headers for webhooks, as the annotation `pilothouse.dev/webhook-headers` names them.
    pub hook_headers: String,
    /// The canary's UID.
    pub uid: String,
    /// Our finalizer is on the Canary.
    pub finalizer: bool,
    /// What is still to be given back before a Canary with a finalizer may go.
    pub leaving: Leaving,
    /// The scaler that the Canary names.
    pub scaler: Option<Scaler>,
    pub gates: Vec<HookKind>,
    /// Words of the gates annotation that name no gate.
    pub gate_mistakes: Vec<String>,
    pub deleting: bool,
    /// Oldest first.
    pub intents: Vec<Intent>,
    /// Intent annotations that cannot be read: id and cause.
    pub broken_intents: Vec<(String, String)>,
    /// Why this engine must not write.
    pub hands_off: Option<String>,
    pub target: Option<Workload>,
    pub primary: Option<Workload>,
    /// Configs that the target refers to, or why they cannot be told.
    pub configs: Result<Configs, String>,
    /// Services that are missing or differ.
    pub services: BTreeSet<ServiceRole>,
    pub route: Route,
    /// The primary is what copying the target would make it, its stamp aside.
    pub primary_equals_target: bool,
    pub round: Option<Round>,
}

impl Observation {
    /// Kind of the target, as texts name it.
    #[must_use]
    pub fn kind(&self) -> &str {
        if self.spec.target_ref.kind.is_empty() { "Deployment" } else { &self.spec.target_ref.kind }
    }

    /// `TARGET.NAMESPACE`, as texts name it.
    #[must_use]
    pub fn target_name(&self) -> String {
        format!("{}.{}", self.spec.target_ref.name, self.key.namespace)
    }

    /// `TARGET-primary.NAMESPACE`, as texts name it.
    #[must_use]
    pub fn primary_name(&self) -> String {
        format!("{}.{}", self.spec.primary_name(), self.key.namespace)
    }

    /// Whether `workload` is ready when `percent` of its pods have to be.
    #[must_use]
    pub fn readiness(&self, workload: &Workload, percent: u32, now: Timestamp) -> Readiness {
        let (deadline, since) = (self.spec.deadline_seconds(), self.status.last_transition_time);
        workload.state.readiness(&Patience { percent, deadline, since, now })
    }

    /// When `workload`, which is not ready, will have had its time.
    #[must_use]
    pub fn expires(&self, workload: &Workload, now: Timestamp) -> Option<Timestamp> {
        let (deadline, since) = (self.spec.deadline_seconds(), self.status.last_transition_time);
        workload.state.expires(&Patience { percent: 100, deadline, since, now })
    }

    /// The primary's readiness.
    #[must_use]
    pub fn primary_readiness(&self, primary: &Workload, now: Timestamp) -> Readiness {
        self.readiness(primary, self.spec.analysis.primary_ready_percent(), now)
    }

    /// The canary's readiness.
    #[must_use]
    pub fn canary_readiness(&self, target: &Workload, now: Timestamp) -> Readiness {
        self.readiness(target, self.spec.analysis.canary_ready_percent(), now)
    }

    /// The target has pods that must go before it is at rest.
    #[must_use]
    pub fn has_canary_pods(&self) -> bool {
        self.spec.target_kind().scales() && self.target.as_ref().is_some_and(|target| target.replicas > 0)
    }

    #[must_use]
    pub fn engine(&self) -> EngineState {
        self.status.engine()
    }

    /// Identity of what the target and its configs are now.
    #[must_use]
    pub fn checksum(&self) -> Option<String> {
        Some(checksum(&self.target.as_ref()?.revision.hash, self.configs.as_ref().ok()?))
    }

    /// Identity of what the rollout on record is about.
    #[must_use]
    pub fn recorded_checksum(&self) -> Option<String> {
        let recorded = Revision::parse(&self.status.last_applied_spec)?;
        Some(checksum(&recorded.hash, self.status.tracked_configs.as_ref().unwrap_or(&Configs::new())))
    }

    /// The stamp that the primary's pods carry once the rollout on record is copied to it.
    #[must_use]
    pub fn recorded_stamp(&self) -> Option<String> {
        Some(stamp(&self.recorded_checksum()?))
    }
}

/// Opaque identity of a revision with its configs: binds approvals, answers and webhook payloads.
#[must_use]
pub fn checksum(hash: &str, configs: &Configs) -> String {
    let configs: Vec<_> = configs.iter().map(|(name, sum)| format!("{name}={sum}")).collect();
    sha256_hex(format!("{hash}\n{}", configs.join("\n")).as_bytes()).chars().take(16).collect()
}

/// The primary's stamp for a checksum.
#[must_use]
pub fn stamp(checksum: &str) -> String {
    stable_id(checksum)
}
