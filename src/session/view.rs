//! The read model: what console, command line and daemon know of the fleet at one instant.
//!
//! Plain data, cheap to clone, serialisable; every string in it has been cleaned of control characters
//! where it entered. Whoever draws it derives nothing: reasons come from the engine as they are.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::canaries::Canaries;
use crate::domain::intent::Verdict;
use crate::domain::phase::Phase;
use crate::domain::target::{CanaryKey, Target};
use crate::engine::report::Report;

/// The fleet as last seen.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetView {
    /// In the order of the fleet file, or of the kubeconfig.
    pub contexts: Vec<Arc<ContextView>>,
    /// Refs of the distribution on offer, newest first.
    pub refs: Vec<RefView>,
    /// What is wrong with the fleet as a whole (the distribution cannot be fetched, say).
    pub problems: Vec<String>,
}

impl FleetView {
    /// Every context, in order.
    pub fn each(&self) -> impl Iterator<Item = &ContextView> {
        self.contexts.iter().map(|context| &**context)
    }

    #[must_use]
    pub fn context(&self, name: &str) -> Option<&ContextView> {
        self.each().find(|c| c.name == name)
    }

    #[must_use]
    pub fn canary(&self, target: &Target) -> Option<&CanaryView> {
        self.context(&target.context)?.canaries.find(&target.key())
    }
}

/// A ref that a pin may be moved to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefView {
    pub name: String,
    pub commit: String,
    /// When the commit behind it was made.
    pub at: Option<Timestamp>,
}

/// One kubeconfig context, with the provider that the fleet file puts on it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContextView {
    /// The kubeconfig context.
    pub name: String,
    /// The provider's name; the context's without a fleet file.
    pub provider: String,
    pub environment: Option<String>,
    pub wave: Option<u32>,
    /// `kubernetes`, `istio`, … as the fleet file or `--mesh` says.
    pub mesh: Option<String>,
    pub link: Link,
    /// The last time anything was heard from its API server.
    pub heard: Option<Timestamp>,
    /// `v1.36.3`.
    pub server_version: Option<String>,
    pub driver: DriverView,
    pub sync: Option<SyncView>,
    pub canaries: Canaries,
    /// Things an operator should know of this context: missing CRDs, refused watches, no metrics.
    pub problems: Vec<String>,
}

/// How the connection stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Link {
    /// No answer yet, and the deadline has not passed.
    Connecting {
        since: Timestamp,
    },
    Live,
    /// It answered once and does not now; the data shown is of `heard`.
    Stale {
        since: Timestamp,
        why: String,
    },
    /// It has not answered.
    Unreachable {
        since: Timestamp,
        why: String,
    },
    /// It answered that we may not.
    Unauthorized {
        since: Timestamp,
        why: String,
    },
}

impl Link {
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self, Self::Live)
    }
}

/// Who drives the canaries of a context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "who")]
pub enum DriverView {
    /// Not known yet.
    Unknown,
    /// This process holds the lease.
    Here,
    /// Another Pilothouse holds it.
    Elsewhere { holder: String },
    /// A Flagger does; Pilothouse writes nothing there.
    Flagger { why: String },
    /// Nobody; a verb takes the lease for as long as it needs.
    Nobody { why: String },
}

/// Git and cluster of one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncView {
    pub repository: String,
    pub branch: String,
    pub path: String,
    /// Commit at the head of the branch, as last fetched.
    pub head: Option<String>,
    /// Commit that the cluster runs.
    pub applied: Option<String>,
    /// Ref of the distribution that the head pins.
    pub pinned: Option<String>,
    /// Ref that was applied last.
    pub applied_ref: Option<String>,
    /// Ref whose every canary came through.
    pub promoted_ref: Option<String>,
    pub state: SyncState,
    /// A sentence about the state: the error, or what is under way.
    pub message: String,
    /// When the head was last compared with the remote.
    pub checked: Option<Timestamp>,
    /// When `applied` was applied.
    pub applied_at: Option<Timestamp>,
    /// Objects in the inventory.
    pub objects: usize,
}

/// State of a provider's sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SyncState {
    #[default]
    Unknown,
    /// The cluster runs the head.
    Synced,
    /// The head is ahead of the cluster and nobody applies it right now.
    Behind,
    Applying,
    Failed,
    Suspended,
}

impl SyncState {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Synced => "synced",
            Self::Behind => "behind",
            Self::Applying => "applying",
            Self::Failed => "failed",
            Self::Suspended => "suspended",
        }
    }
}

/// One canary.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryView {
    pub key: CanaryKey,
    pub phase: Phase,
    /// Percent of traffic that the canary has by its route.
    pub weight: u32,
    /// The weight at which the analysis ends; 0 for strategies without weights.
    pub max_weight: u32,
    pub iterations: u32,
    /// Iterations wanted; 0 for progressive canaries.
    pub max_iterations: u32,
    pub failed_checks: u32,
    pub threshold: u32,
    /// Seconds between two steps.
    pub interval: u64,
    /// `canary`, `blue-green`, `ab-testing`.
    pub strategy: String,
    /// The router: `kubernetes`, `istio`, …
    pub router: String,
    pub since: Option<Timestamp>,
    pub paused: Option<PauseView>,
    /// Why it stands where it stands, as its driver wrote it.
    pub report: Option<Report>,
    /// Gates that wait for a human.
    pub gates: Vec<GateView>,
    /// Name of the target.
    pub target: String,
    /// Image of the first container of the target and of the primary.
    pub target_image: Option<String>,
    pub primary_image: Option<String>,
    pub revision: String,
    /// Someone other than us drives this one; the reason.
    pub foreign: Option<String>,
    pub slo: Vec<SloSeries>,
    /// Newest first.
    pub events: Vec<EventView>,
    /// What became of the last verbs, newest last.
    pub verdicts: Vec<Verdict>,
    /// `resourceVersion`, for verbs that must not act on what has moved on.
    pub resource_version: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PauseView {
    pub who: String,
    pub at: Timestamp,
    pub why: String,
}

/// A gate that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GateView {
    /// Flagger's webhook type, for example `confirm-promotion`.
    pub name: String,
    pub since: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    pub at: Option<Timestamp>,
    pub warning: bool,
    pub message: String,
    pub count: u32,
}

/// Which indicator a series shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Indicator {
    Availability,
    ErrorRate,
    ResponseTime,
}

impl Indicator {
    pub const ALL: [Self; 3] = [Self::Availability, Self::ErrorRate, Self::ResponseTime];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::ErrorRate => "error rate",
            Self::ResponseTime => "response time",
        }
    }

    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Availability | Self::ErrorRate => "%",
            Self::ResponseTime => "ms",
        }
    }

    /// Availability must stay above its limit, the others below.
    #[must_use]
    pub const fn limit_is_minimum(self) -> bool {
        matches!(self, Self::Availability)
    }
}

/// The recent course of one indicator. `None` is no data, which is not zero.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SloSeries {
    pub indicator: Indicator,
    /// The limit of the Canary's analysis, in the indicator's unit.
    pub limit: Option<f64>,
    /// Oldest first.
    pub points: Vec<Option<f64>>,
    /// Seconds between two points.
    pub step: u64,
}

impl SloSeries {
    /// The newest value, `None` where the newest point has no data.
    #[must_use]
    pub fn now(&self) -> Option<f64> {
        self.points.last().copied().flatten()
    }

    /// Whether `value` breaks the limit.
    #[must_use]
    pub fn breaks(&self, value: f64) -> bool {
        self.limit.is_some_and(|limit| if self.indicator.limit_is_minimum() { value < limit } else { value > limit })
    }
}
