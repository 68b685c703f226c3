//! All that a step knows: a snapshot, not a delta, so that a missed event cannot wedge a rollout.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::effect::{Answer, Question, ServiceRole};
use crate::domain::canary::{CanarySpec, HookKind};
use crate::domain::intent::Intent;
use crate::domain::readiness::DeploymentState;
use crate::domain::revision::{Revision, sha256_hex, stable_id};
use crate::domain::status::{CanaryStatus, EngineState};
use crate::domain::target::CanaryKey;

/// Tracked configs by `configmap/NAME` or `secret/NAME`, with their checksums.
pub type Configs = BTreeMap<String, String>;

/// The target or the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    pub revision: Revision,
    /// `spec.replicas`.
    pub replicas: i64,
    pub state: DeploymentState,
    /// Annotation `flagger-id` of its pods.
    pub stamp: Option<String>,
}

/// The traffic route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The router has no route objects (plain Kubernetes).
    None,
    /// It is not there, or not whole, or differs in what is ours besides the weights; `canary` is the
    /// weight it has all the same.
    Differs {
        what: String,
        canary: Option<i64>,
    },
    /// As wanted; percent for the canary, and who else wrote it last.
    Present {
        canary: i64,
        foreign: Option<ForeignWrite>,
    },
    Unreadable(String),
}

impl Route {
    /// Percent of traffic that the canary has.
    #[must_use]
    pub const fn canary(&self) -> i64 {
        match self {
            Self::Present { canary, .. } | Self::Differs { canary: Some(canary), .. } => *canary,
            _ => 0,
        }
    }

    #[must_use]
    pub const fn has_weights(&self) -> bool {
        !matches!(self, Self::None)
    }
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
