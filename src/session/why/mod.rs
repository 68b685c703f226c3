//! Why a canary stands where it stands: rules over evidence, each line with what it rests on.
//!
//! [`Evidence`] is data that `gather.rs` collects from stores and metric servers; the rules are pure functions over it, one
//! table in `rules.rs`; `markdown.rs` writes the report for an incident. Never here: drawing, and anything that changes a
//! cluster. Nothing secret leaves `difference.rs`. Read `rules.rs` first.

pub mod difference;
mod figures;
mod gather;
pub mod markdown;
mod rules;
mod standing;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::Serialize;

pub use self::difference::{Change, Difference};
pub use self::gather::{ask, ask_in};
use super::timeline::Timeline;
use super::view::{CanaryView, ContextView, DriverView, EventView, GateView, HookView, Link, MetricView, SloSeries, SyncView};
use crate::domain::intent::Verdict;
use crate::domain::phase::Phase;
use crate::domain::target::Target;
use crate::engine::report::Report;

/// Lines of one explanation.
const LINES: usize = 24;

/// How much a line weighs. They are ranked by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It is why.
    Cause,
    /// It is not right, and not shown to be why.
    Warning,
    /// It is good to know.
    Note,
    /// What can be done now.
    Help,
}

impl Severity {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cause => "cause",
            Self::Warning => "warning",
            Self::Note => "note",
            Self::Help => "help",
        }
    }
}

/// What a line rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Proof {
    /// The driver's own report.
    Report,
    /// An event, by its place among those of the explanation.
    Event {
        index: usize,
        at: Option<Timestamp>,
    },
    /// Columns of a series, both included.
    Series {
        name: String,
        from: usize,
        to: usize,
    },
    /// The difference between primary and target.
    Changes,
    /// The difference to the healthy twin.
    TwinChanges,
    /// The same canary elsewhere.
    Twin {
        target: String,
    },
    Gate {
        name: String,
    },
    /// A verb, by its place among the verdicts of the explanation.
    Verb {
        index: usize,
    },
    /// Git and cluster of the provider.
    Sync,
    Pods,
    /// The connection to the cluster.
    Link,
}

/// One line of an explanation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Name of the rule that found it.
    pub rule: &'static str,
    pub severity: Severity,
    pub text: String,
    pub evidence: Vec<Proof>,
}

/// Pods of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pods {
    pub name: String,
    pub wanted: i64,
    pub updated: i64,
    pub available: i64,
    /// Why they are not ready; none where they are.
    pub waits: Option<String>,
    /// When they will have had their time.
    pub expires: Option<Timestamp>,
}

/// How the same canary does elsewhere with the same image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TwinState {
    /// Its primary runs the image.
    Healthy,
    /// It was rolled back there.
    Failed,
    /// It is on its way.
    Rolling,
    /// It runs another image.
    Another,
}

/// A canary of the same namespace and name in another context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Twin {
    pub target: String,
    pub provider: String,
    pub phase: Phase,
    pub state: TwinState,
    pub image: Option<String>,
}

/// What differs from a healthy twin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TwinDifference {
    pub target: String,
    #[serde(flatten)]
    pub difference: Difference,
}

/// All that the rules look at.
#[derive(Clone, Debug)]
pub struct Evidence {
    pub target: Target,
    pub now: Timestamp,
    /// The context, its canaries left out.
    pub context: ContextView,
    pub canary: CanaryView,
    /// `spec.suspend`.
    pub suspended: bool,
    pub timeline: Timeline,
    /// Over the rollout that the timeline is of.
    pub slo: Vec<SloSeries>,
    /// Moment of the newest point.
    pub until: Timestamp,
    pub canary_pods: Option<Pods>,
    pub primary_pods: Option<Pods>,
    /// From the primary to the target.
    pub changes: Difference,
    pub twins: Vec<Twin>,
    pub twin_difference: Option<TwinDifference>,
    /// What could not be found out, a sentence each.
    pub gaps: Vec<String>,
}

/// Why a canary stands where it stands.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// `CONTEXT/NAMESPACE/NAME`.
    pub target: String,
    pub as_of: Timestamp,
    pub provider: String,
    pub environment: Option<String>,
    pub wave: Option<u32>,
    pub link: Link,
    pub heard: Option<Timestamp>,
    pub driver: DriverView,
    pub sync: Option<SyncView>,
    pub phase: Phase,
    pub since: Option<Timestamp>,
    pub weight: u32,
    pub failed_checks: u32,
    pub threshold: u32,
    pub router: String,
    pub strategy: String,
    pub target_image: Option<String>,
    pub primary_image: Option<String>,
    pub revision: String,
    pub report: Option<Report>,
    /// Ranked, the weightiest first.
    pub findings: Vec<Finding>,
    pub timeline: Timeline,
    pub slo: Vec<SloSeries>,
    /// Moment of the newest point of the series.
    pub slo_until: Timestamp,
    pub metrics: Vec<MetricView>,
    pub gates: Vec<GateView>,
    pub hooks: Vec<HookView>,
    pub events: Vec<EventView>,
    pub verdicts: Vec<Verdict>,
    pub canary_pods: Option<Pods>,
    pub primary_pods: Option<Pods>,
    /// From the primary to the target.
    pub changes: Difference,
    pub twins: Vec<Twin>,
    pub twin_difference: Option<TwinDifference>,
    /// What could not be found out, a sentence each.
    pub gaps: Vec<String>,
}

/// Puts the rules to `evidence`.
#[must_use]
pub fn explain(evidence: Evidence) -> Explanation {
    let mut findings: Vec<Finding> = rules::TABLE
        .iter()
        .flat_map(|rule| {
            (rule.find)(&evidence).into_iter().map(|said| Finding {
                rule: rule.name,
                severity: said.severity,
                text: said.text,
                evidence: said.proofs,
            })
        })
        .collect();
    findings.sort_by_key(|finding| finding.severity);
    findings.truncate(LINES);
    let Evidence { target, now, context, canary, timeline, slo, until, .. } = evidence;
    Explanation {
        target: target.to_string(),
        as_of: now,
        provider: context.provider,
        environment: context.environment,
        wave: context.wave,
        link: context.link,
        heard: context.heard,
        driver: context.driver,
        sync: context.sync,
        phase: canary.phase,
        since: canary.since,
        weight: canary.weight,
        failed_checks: canary.failed_checks,
        threshold: canary.threshold,
        router: canary.router,
        strategy: canary.strategy,
        target_image: canary.target_image,
        primary_image: canary.primary_image,
        revision: canary.revision,
        report: canary.report,
        findings,
        timeline,
        slo,
        slo_until: until,
        metrics: canary.metrics,
        gates: canary.gates,
        hooks: canary.hooks,
        events: canary.events,
        verdicts: canary.verdicts,
        canary_pods: evidence.canary_pods,
        primary_pods: evidence.primary_pods,
        changes: evidence.changes,
        twins: evidence.twins,
        twin_difference: evidence.twin_difference,
        gaps: evidence.gaps,
    }
}
