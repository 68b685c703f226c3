//! From one cluster's store to its part of the read model.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::canaries::Canaries;
use super::plan;
use super::series::Series;
use super::view::{CanaryView, EventView, GateView, PauseView};
use crate::domain::canary::{CanarySpec, GATES_ANNOTATION, HookKind, Strategy};
use crate::domain::intent::Verdict;
use crate::domain::revision::Revision;
use crate::domain::status::CanaryStatus;
use crate::domain::target::CanaryKey;
use crate::domain::text::clean;
use crate::engine::report::{Finding, Reason, Report};
use crate::kubernetes::around::kind_of;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::json::text;
use crate::kubernetes::kinds::Kind;
use crate::kubernetes::observe::hands_off;
use crate::kubernetes::store::Store;
use crate::runner::rollouts::Reports;

/// Events shown of one canary.
const EVENTS: usize = 40;

/// The canaries of one context as they are shown: each is made anew when something of it has changed, and only then.
#[derive(Default)]
pub struct Shown {
    inner: Mutex<Inner>,
    /// Reports or series may be others than those that are shown.
    answered: AtomicBool,
}

#[derive(Default)]
struct Inner {
    /// The store that the views were made from.
    store: Weak<Store>,
    entries: BTreeMap<CanaryKey, Entry>,
}

struct Entry {
    view: Arc<CanaryView>,
    /// Its report is of this process's engine, and not the one on record.
    driven: bool,
    /// It has come through with what its target is now; nothing where nobody has asked since it changed.
    promoted: Option<bool>,
}

impl Shown {
    /// Says that a report or a series has changed.
    pub fn look_again(&self) {
        self.answered.store(true, Ordering::Release);
    }

    /// Every canary of the cluster, by namespace and name.
    #[must_use]
    pub fn canaries(&self, cluster: &Cluster, reports: &Reports, series: &Series) -> Canaries {
        self.refreshed(cluster, reports, series).entries.values().map(|entry| Arc::clone(&entry.view)).collect()
    }

    /// Whether every canary of the cluster has come through with what its target is now.
    #[must_use]
    pub fn all_promoted(&self, cluster: &Cluster, reports: &Reports, series: &Series) -> bool {
        let mut inner = self.refreshed(cluster, reports, series);
        let promoted = |key: &CanaryKey| {
            let canary = cluster.store.get(Kind::Canary, &key.namespace, &key.name);
            canary.is_some_and(|canary| is_promoted(cluster, &canary))
        };
        !inner.entries.is_empty() && inner.entries.iter_mut().all(|(key, entry)| *entry.promoted.get_or_insert_with(|| promoted(key)))
    }

    fn refreshed(&self, cluster: &Cluster, reports: &Reports, series: &Series) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let touched = cluster.store.take_touched();
        let answered = self.answered.swap(false, Ordering::AcqRel);
        let other = !std::ptr::eq(inner.store.as_ptr(), Arc::as_ptr(&cluster.store));
        if other {
            *inner = Inner { store: Arc::downgrade(&cluster.store), entries: BTreeMap::new() };
        }
        let touched = if touched.all || other {
            let all: BTreeMap<CanaryKey, bool> = cluster.store.canaries().into_iter().map(|key| (key, true)).collect();
            inner.entries.retain(|key, _| all.contains_key(key));
            all
        } else {
            touched.canaries
        };
        let mut again = Vec::new();
        if answered {
            for (key, entry) in &mut inner.entries {
                let (slo, report) = (series.get(key), reports.get(key));
                if slo != entry.view.slo {
                    Arc::make_mut(&mut entry.view).slo = slo;
                }
                if entry.driven != report.is_some() || (report.is_some() && report != entry.view.report) {
                    again.push((key.clone(), true));
                }
            }
        }
        for (key, whole) in touched.into_iter().chain(again) {
            if let (false, Some(known)) = (whole, inner.entries.get_mut(&key)) {
                Arc::make_mut(&mut known.view).events = events(cluster, &key);
                continue;
            }
            match cluster.store.get(Kind::Canary, &key.namespace, &key.name) {
                Some(canary) => {
                    let view = Arc::new(view(cluster, &canary, reports, series));
                    inner.entries.insert(key.clone(), Entry { view, driven: reports.get(&key).is_some(), promoted: None });
                }
                None => drop(inner.entries.remove(&key)),
            }
        }
        inner
    }
}

fn view(cluster: &Cluster, canary: &Value, reports: &Reports, series: &Series) -> CanaryView {
    let key = CanaryKey::new(text(canary, "/metadata/namespace"), text(canary, "/metadata/name"));
    let spec = spec(canary);
    let status = crate::kubernetes::observe::status(canary);
    let state = status.engine();
    let router = clean(&cluster.router(spec.provider.as_deref()));
    let foreign = hands_off(cluster, canary, &status);
    let _ = cluster.store.knows(kind_of(&spec));
    let image = |name: &str| {
        let object = cluster.store.stored(kind_of(&spec), &key.namespace, name)?;
        Some(clean(object.image())).filter(|i| !i.is_empty())
    };
    let strategy = spec.strategy(&cluster.abilities(&spec));
    let progressive = strategy == Strategy::Progressive;
    let number = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
    let report = reports.get(&key).or_else(|| recorded(&status, foreign.as_deref())).map(cleaned);
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
        events: events(cluster, &key),
        verdicts: state.verdicts.into_iter().map(Verdict::cleaned).collect(),
        resource_version: text(canary, "/metadata/resourceVersion").into(),
        key,
    }
}

/// The newest events about a canary.
fn events(cluster: &Cluster, key: &CanaryKey) -> Vec<EventView> {
    /// What is shown of an Event.
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Event {
        last_timestamp: Option<String>,
        r#type: String,
        message: String,
        count: Option<i64>,
    }
    let mut all: Vec<Event> = cluster.store.events(key).iter().filter_map(|event| event.read().ok()).collect();
    all.sort_by(|a, b| b.last_timestamp.cmp(&a.last_timestamp));
    all.truncate(EVENTS);
    all.into_iter()
        .map(|event| EventView {
            at: event.last_timestamp.and_then(|at| at.parse().ok()),
            warning: event.r#type == "Warning",
            message: clean(&event.message),
            count: event.count.and_then(|c| u32::try_from(c).ok()).unwrap_or(1),
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
        return Some(Report::new(reason, message).found(state.finding));
    }
    if status.phase.is_settled() {
        return Some(Report::new(Reason::Settled, "waits for a new revision"));
    }
    status.phase.is_in_flight().then(|| Report::new(Reason::Interval, "waits for its next step"))
}

/// A report as it is shown; the engine's own names what it found in the cluster.
fn cleaned(report: Report) -> Report {
    Report { message: clean(&report.message), finding: report.finding.map(Finding::cleaned), ..report }
}

/// Whether every canary of the cluster has come through with what its target is now.
#[must_use]
pub fn all_promoted(cluster: &Cluster) -> bool {
    let canaries = cluster.store.list(Kind::Canary);
    !canaries.is_empty() && canaries.iter().all(|canary| is_promoted(cluster, canary))
}

fn is_promoted(cluster: &Cluster, canary: &Value) -> bool {
    let status = crate::kubernetes::observe::status(canary);
    if !status.phase.is_settled() {
        return false;
    }
    let spec = spec(canary);
    let target = cluster.workloads(canary, &spec, &status).0;
    let promoted = Revision::parse(&status.last_promoted_spec);
    matches!((target, promoted), (Some(target), Some(promoted)) if target.revision.hash == promoted.hash)
}

/// The Canary's spec; an empty one where it cannot be read.
fn spec(canary: &Value) -> CanarySpec {
    canary.get("spec").and_then(|spec| CanarySpec::deserialize(spec).ok()).unwrap_or_default()
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
