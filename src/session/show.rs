//! From one cluster's store to its part of the read model.

use jiff::Timestamp;
use serde_json::Value;

use super::plan;
use super::series::Series;
use super::view::{CanaryView, EventView, GateView, PauseView};
use crate::domain::canary::{CanarySpec, GATES_ANNOTATION, HookKind, Strategy};
use crate::domain::revision::Revision;
use crate::domain::status::CanaryStatus;
use crate::domain::target::CanaryKey;
use crate::domain::text::clean;
use crate::engine::report::{Reason, Report};
use crate::kubernetes::around::kind_of;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::json::{integer, text};
use crate::kubernetes::kinds::Kind;
use crate::kubernetes::observe::hands_off;
use crate::runner::rollouts::Reports;

/// Events shown of one canary.
const EVENTS: usize = 40;

/// Every canary of the cluster, by namespace and name.
#[must_use]
pub fn canaries(cluster: &Cluster, reports: &Reports, series: &Series) -> Vec<CanaryView> {
    let mut all_events = cluster.store.list(Kind::Event);
    all_events.sort_by(|a, b| text(b, "/lastTimestamp").cmp(text(a, "/lastTimestamp")));
    cluster.store.list(Kind::Canary).iter().map(|canary| view(cluster, canary, &all_events, reports, series)).collect()
}

fn view(cluster: &Cluster, canary: &Value, all_events: &[std::sync::Arc<Value>], reports: &Reports, series: &Series) -> CanaryView {
    let key = CanaryKey::new(text(canary, "/metadata/namespace"), text(canary, "/metadata/name"));
    let spec: CanarySpec = canary.get("spec").and_then(|s| serde_json::from_value(s.clone()).ok()).unwrap_or_default();
    let status = crate::kubernetes::observe::status(canary);
    let state = status.engine();
    let router = cluster.router(spec.provider.as_deref());
    let foreign = hands_off(cluster, canary, &status);
    let _ = cluster.store.knows(kind_of(&spec));
    let image = |name: &str| {
        let object = cluster.store.get(kind_of(&spec), &key.namespace, name)?;
        Some(clean(text(&object, "/spec/template/spec/containers/0/image"))).filter(|i| !i.is_empty())
    };
    let strategy = spec.strategy(&cluster.abilities(&spec));
    let progressive = strategy == Strategy::Progressive;
    let number = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
    let report = reports.get(&key).or_else(|| recorded(&status, foreign.as_deref()));
    CanaryView {
        phase: status.phase,
        weight: number(status.canary_weight),
        max_weight: if progressive { number(spec.analysis.last_weight()) } else { 0 },
        iterations: number(status.iterations),
        max_iterations: if progressive { 0 } else { number(spec.iterations()) },
        failed_checks: number(status.failed_checks),
        threshold: number(spec.analysis.failed_checks_limit()),
        interval: spec.analysis.every().as_secs(),
        strategy: strategy.word().into(),
        router,
        since: status.last_transition_time,
        paused: state.pause.as_ref().map(|p| PauseView { who: clean(&p.who), at: p.at, why: clean(&p.why) }),
        report,
        gates: state
            .waiting
            .iter()
            .filter(|(name, _)| HookKind::parse(name).is_some())
            .map(|(name, since)| GateView { name: clean(name), since: Some(*since) })
            .collect(),
        steps: if progressive { plan::steps(&spec.analysis) } else { Vec::new() },
        metrics: plan::metrics(&spec, &key.namespace),
        hooks: plan::hooks(&spec, crate::kubernetes::json::annotation(canary, GATES_ANNOTATION)),
        mirror: spec.analysis.mirror,
        matched: strategy == Strategy::AbTesting,
        target: clean(&spec.target_ref.name),
        target_image: image(&spec.target_ref.name),
        primary_image: image(&spec.primary_name()),
        revision: clean(&status.last_applied_spec),
        promoted_revision: clean(&status.last_promoted_spec),
        foreign,
        slo: series.get(&key),
        events: events(all_events, &key),
        verdicts: state.verdicts,
        resource_version: text(canary, "/metadata/resourceVersion").into(),
        key,
    }
}

fn events(all: &[std::sync::Arc<Value>], key: &CanaryKey) -> Vec<EventView> {
    all.iter()
        .filter(|e| text(e, "/involvedObject/name") == key.name && text(e, "/involvedObject/namespace") == key.namespace)
        .take(EVENTS)
        .map(|e| EventView {
            at: text(e, "/lastTimestamp").parse().ok(),
            warning: text(e, "/type") == "Warning",
            message: clean(text(e, "/message")),
            count: integer(e, "/count").and_then(|c| u32::try_from(c).ok()).unwrap_or(1),
        })
        .collect()
}

/// The report that the driver left in the status, or what the phase alone says.
fn recorded(status: &CanaryStatus, foreign: Option<&str>) -> Option<Report> {
    if let Some(why) = foreign {
        return Some(Report::new(Reason::Foreign, why));
    }
    let state = status.engine();
    if let Some((word, message)) = state.report {
        let reason = serde_json::from_value(Value::String(word)).unwrap_or(Reason::Working);
        return Some(Report::new(reason, clean(&message)).found(state.finding));
    }
    if status.phase.is_settled() {
        return Some(Report::new(Reason::Settled, "waits for a new revision"));
    }
    status.phase.is_in_flight().then(|| Report::new(Reason::Interval, "waits for its next step"))
}

/// Whether every canary of the cluster has come through with what its target is now.
#[must_use]
pub fn all_promoted(cluster: &Cluster) -> bool {
    let canaries = cluster.store.list(Kind::Canary);
    !canaries.is_empty()
        && canaries.iter().all(|canary| {
            let status = crate::kubernetes::observe::status(canary);
            let spec: CanarySpec = canary.get("spec").and_then(|s| serde_json::from_value(s.clone()).ok()).unwrap_or_default();
            let target = cluster.workloads(canary, &spec, &status).0;
            let promoted = Revision::parse(&status.last_promoted_spec);
            matches!((target, promoted), (Some(target), Some(promoted)) if target.revision.hash == promoted.hash)
                && status.phase.is_settled()
        })
}

/// Things to know of the cluster: watches that stand still, kinds that are not there.
#[must_use]
pub fn problems(cluster: &Cluster) -> Vec<String> {
    use crate::kubernetes::store::WatchState;
    let mut found = Vec::new();
    for kind in Kind::all() {
        match cluster.store.state(kind) {
            WatchState::Absent if kind == Kind::Canary => {
                found.push("the Canary CRD is not installed: run pilothouse crds --install".to_owned());
            }
            WatchState::Forbidden(why) => found.push(format!("{} may not be watched: {}", kind.word(), clean(&why))),
            _ => {}
        }
    }
    found
}

/// Since when, and why, the cluster is not heard, by its watches.
#[must_use]
pub fn degraded(cluster: &Cluster) -> Option<(Timestamp, String)> {
    use crate::kubernetes::store::WatchState;
    if cluster.store.has_recovered() {
        return None;
    }
    Kind::all().find_map(|kind| match cluster.store.state(kind) {
        WatchState::Degraded { since, why } => Some((since, why)),
        _ => None,
    })
}
