//! The read model: what console, command line and daemon know of the fleet at one instant.
//!
//! Plain data, cheap to clone, serialisable; every string in it has been cleaned of control characters
//! where it entered. Whoever draws it derives nothing: reasons come from the engine as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::canaries::Canaries;
use crate::domain::intent::Verdict;
use crate::domain::phase::Phase;
use crate::domain::target::{CanaryKey, Target};
use crate::engine::report::Report;

/// The fleet as last seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
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

    /// The row of the context `name`, which may be an alias.
    #[must_use]
    pub fn context(&self, name: &str) -> Option<&ContextView> {
        self.each().find(|c| c.name == name).or_else(|| self.each().find(|c| c.is_called(name)))
    }

    #[must_use]
    pub fn canary(&self, target: &Target) -> Option<&CanaryView> {
        self.context(&target.context)?.canaries.find(&target.key())
    }
}

/// A ref that a pin may be moved to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefView {
    pub name: String,
    pub commit: String,
    /// When the commit behind it was made.
    pub at: Option<Timestamp>,
}

/// One kubeconfig context, with the provider that the fleet file puts on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// Other kubeconfig contexts that lead to the same cluster, and are this row.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What is known of the credential; absent where the kubeconfig has none.
    #[serde(default)]
    pub credential: Option<CredentialView>,
    /// What we may do there, as the API server foretold it.
    #[serde(default)]
    pub permissions: BTreeMap<Need, Permission>,
    /// The canaries are of an earlier session, which saw them last then; gone once the cluster has answered.
    #[serde(default)]
    pub remembered: Option<Timestamp>,
    /// The connection is asked whether it lives: while the link is live, what is shown is at most so many seconds old.
    #[serde(default)]
    pub within: Option<u64>,
}

impl ContextView {
    /// Whether the row is called `name`: by its context or by an alias of it.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }

    /// What is known of `need`.
    #[must_use]
    pub fn permission(&self, need: Need) -> &Permission {
        self.permissions.get(&need).unwrap_or(&Permission::Unknown)
    }
}

/// The credential of a context.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialView {
    /// Name of the exec credential plugin, without its folder.
    pub plugin: Option<String>,
    /// When it ends: of a plugin's answer, of a token, or of a client certificate.
    pub expires: Option<Timestamp>,
    /// A person may log in for it at a terminal.
    pub interactive: bool,
    /// Who the kubeconfig says that one is: the name of its user entry.
    pub user: String,
}

impl CredentialView {
    /// Time until it ends at `now`; negative once it has.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Option<jiff::SignedDuration> {
        self.expires.map(|at| at.duration_since(now))
    }
}

/// What verbs need from a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Need {
    /// To send an operator's verb: patch canaries.
    Verbs,
    /// To drive: hold the Lease, and write what a rollout writes.
    Drive,
    /// To sync: apply and prune workloads.
    Sync,
}

impl Need {
    pub const ALL: [Self; 3] = [Self::Verbs, Self::Drive, Self::Sync];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Verbs => "verbs",
            Self::Drive => "drive",
            Self::Sync => "sync",
        }
    }
}

/// Whether we may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "answer")]
pub enum Permission {
    Allowed,
    Denied {
        /// What is refused, and the API server's reason where it gave one.
        why: String,
        /// Only in these namespaces; empty is everywhere.
        namespaces: BTreeSet<String>,
    },
    /// Not asked yet, or the API server does not say; it keeps nobody from trying.
    Unknown,
}

impl Permission {
    /// Why not in `namespace`, where it is known that not; without a namespace, why nowhere.
    #[must_use]
    pub fn denial(&self, namespace: Option<&str>) -> Option<&str> {
        match self {
            Self::Denied { why, namespaces } if namespaces.is_empty() || namespace.is_some_and(|name| namespaces.contains(name)) => {
                Some(why)
            }
            Self::Denied { .. } | Self::Allowed | Self::Unknown => None,
        }
    }
}

/// How the connection stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// The weights that the analysis goes through, as planned; empty for strategies that count iterations.
    #[serde(default)]
    pub steps: Vec<u32>,
    /// The metric checks, in the order of the Canary.
    #[serde(default)]
    pub metrics: Vec<MetricView>,
    /// The webhooks, in the order of the Canary, and after them the gates that a human opens.
    #[serde(default)]
    pub hooks: Vec<HookView>,
    /// Requests are mirrored to the canary before the first traffic.
    #[serde(default)]
    pub mirror: bool,
    /// Requests are chosen by what they carry (A/B testing).
    #[serde(default)]
    pub matched: bool,
    /// Name of the target.
    pub target: String,
    /// Image of the first container of the target and of the primary.
    pub target_image: Option<String>,
    pub primary_image: Option<String>,
    pub revision: String,
    /// The revision that the primary runs, as its driver recorded it; empty before the first.
    #[serde(default)]
    pub promoted_revision: String,
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

/// One metric check of the analysis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricView {
    pub name: String,
    /// `NAMESPACE/NAME` of its `MetricTemplate`; none for built-in checks and inline queries.
    pub template: Option<String>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// The window that it looks back, as written.
    pub interval: Option<String>,
}

/// One webhook, or a gate without one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookView {
    /// Empty for a gate that only a human opens.
    pub name: String,
    /// Flagger's webhook type.
    pub kind: String,
    /// Scheme, host and path: credentials and query are left out. Empty for a gate that only a human opens.
    pub url: String,
    /// It keeps the rollout where it is until it says yes.
    pub gate: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PauseView {
    pub who: String,
    pub at: Timestamp,
    pub why: String,
}

/// A gate that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateView {
    /// Flagger's webhook type, for example `confirm-promotion`.
    pub name: String,
    pub since: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    pub at: Option<Timestamp>,
    pub warning: bool,
    pub message: String,
    pub count: u32,
}

/// Which indicator a series shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Indicator {
    Availability,
    ErrorRate,
    ResponseTime,
    /// A check by a `MetricTemplate`; its series has the name.
    Custom,
}

impl Indicator {
    /// The built-in ones.
    pub const ALL: [Self; 3] = [Self::Availability, Self::ErrorRate, Self::ResponseTime];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::ErrorRate => "error rate",
            Self::ResponseTime => "response time",
            Self::Custom => "custom",
        }
    }

    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Availability | Self::ErrorRate => "%",
            Self::ResponseTime => "ms",
            Self::Custom => "",
        }
    }

    /// Availability must stay above its limit, the others below; a custom one as its series says.
    #[must_use]
    pub const fn limit_is_minimum(self) -> bool {
        matches!(self, Self::Availability)
    }
}

/// The recent course of one indicator. `None` is no data, which is not zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SloSeries {
    pub indicator: Indicator,
    /// What to call it: the indicator's word, or the name of the metric.
    pub name: String,
    /// The limit of the Canary's analysis, in the indicator's unit.
    pub limit: Option<f64>,
    /// For custom ones that have two limits: the lower one, while `limit` is the upper.
    pub floor: Option<f64>,
    /// For custom ones: `limit` is a minimum.
    pub minimum: bool,
    /// Oldest first.
    pub points: Vec<Option<f64>>,
    /// The primary's at the same moments; empty where it was not asked for.
    pub primary: Vec<Option<f64>>,
    /// Seconds between two points.
    pub step: u64,
    /// The `PromQL` that was asked; empty where there is none.
    pub query: String,
    /// The last query failed for this reason: the points are not known, which is something else than no data.
    pub failed: Option<String>,
}

impl SloSeries {
    /// A series of the canary alone.
    #[must_use]
    pub fn new(indicator: Indicator, limit: Option<f64>, points: Vec<Option<f64>>, step: u64) -> Self {
        Self {
            indicator,
            name: indicator.word().into(),
            limit,
            floor: None,
            minimum: indicator.limit_is_minimum(),
            points,
            primary: Vec::new(),
            step,
            query: String::new(),
            failed: None,
        }
    }

    /// The newest value, `None` where the newest point has no data.
    #[must_use]
    pub fn now(&self) -> Option<f64> {
        self.points.last().copied().flatten()
    }

    /// Whether values must stay above the limit.
    #[must_use]
    pub const fn limit_is_minimum(&self) -> bool {
        self.minimum || self.indicator.limit_is_minimum()
    }

    /// Whether `value` breaks the limit.
    #[must_use]
    pub fn breaks(&self, value: f64) -> bool {
        self.limit.is_some_and(|limit| if self.limit_is_minimum() { value < limit } else { value > limit })
            || self.floor.is_some_and(|floor| value < floor)
    }

    /// The share of points that have data, 0 to 1; 0 where there are no points.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        let known = u32::try_from(self.points.iter().flatten().count()).unwrap_or(u32::MAX);
        let all = u32::try_from(self.points.len()).unwrap_or(u32::MAX).max(1);
        f64::from(known) / f64::from(all)
    }
}
