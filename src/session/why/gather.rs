//! Collects the evidence: from the stores what is watched, by name and by query what is not. Bounded in time; what does not
//! answer in it is a gap that is told.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Difference, Evidence, Explanation, Pods, Twin, TwinDifference, TwinState, explain};
use crate::domain::canary::CanarySpec;
use crate::domain::phase::Phase;
use crate::domain::readiness::{Patience, Readiness, WorkloadState};
use crate::domain::status::CanaryStatus;
use crate::domain::target::{CanaryKey, Target};
use crate::domain::text::clean;
use crate::engine::observation::Workload;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::compare;
use crate::kubernetes::kinds::Kind;
use crate::kubernetes::observe;
use crate::session::canaries::Canaries;
use crate::session::context::Context;
use crate::session::fleet::Session;
use crate::session::series::{Who, Window};
use crate::session::timeline::{Timeline, timeline};
use crate::session::view::{CanaryView, ContextView, FleetView, SloSeries};

/// For the whole answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// For the metric servers.
const METRICS: Duration = Duration::from_secs(3);
/// For `ConfigMaps` and Secrets.
const CONFIGS: Duration = Duration::from_millis(1_500);
/// Columns of a series, and the narrowest of them in seconds.
const POINTS: i64 = 60;
const NARROWEST: i64 = 5;
/// Seconds that are looked back where nobody knows when the rollout began, and at most.
const BACK: i64 = 900;
const FARTHEST: i64 = 6 * 3_600;
/// Providers that are compared.
const TWINS: usize = 100;

/// Why `target` stands where it stands, within five seconds.
///
/// # Errors
/// A sentence: there is no such context or canary, or its cluster has not answered.
pub async fn ask(session: &Session, target: &Target) -> Result<Explanation, String> {
    let fleet = Arc::clone(&session.view().borrow());
    ask_in(session, &fleet, target).await
}

/// As [`ask`], with the fleet as `fleet` shows it.
///
/// # Errors
/// As [`ask`].
pub async fn ask_in(session: &Session, fleet: &FleetView, target: &Target) -> Result<Explanation, String> {
    match tokio::time::timeout(PATIENCE, gather(session, fleet, target)).await {
        Ok(evidence) => evidence.map(explain),
        Err(_) => Err(format!("{} did not answer within {}s", clean(&target.context), PATIENCE.as_secs())),
    }
}

/// One canary of one cluster, as it is stored.
struct Place {
    cluster: Arc<Cluster>,
    canary: Arc<Value>,
    spec: CanarySpec,
    status: CanaryStatus,
}

impl Place {
    fn of(context: &Context, key: &CanaryKey) -> Option<Self> {
        let cluster = context.cluster()?;
        let canary = cluster.store.get(Kind::Canary, &key.namespace, &key.name)?;
        let spec = canary.get("spec").and_then(|s| serde_json::from_value(s.clone()).ok()).unwrap_or_default();
        let status = observe::status(&canary);
        Some(Self { cluster, canary, spec, status })
    }

    fn target(&self) -> Option<Arc<Value>> {
        compare::target(&self.cluster, &self.canary, &self.spec, &self.status)
    }
}

async fn gather(session: &Session, fleet: &FleetView, target: &Target) -> Result<Evidence, String> {
    let context = session
        .context(&target.context)
        .ok_or_else(|| format!("no context named {}; pilothouse status shows which there are", clean(&target.context)))?;
    let shown = context.view();
    let canary = shown.canaries.iter().find(|c| c.key == target.key()).cloned().ok_or_else(|| match &shown.link {
        link if link.is_live() => format!("no canary {target}; pilothouse status shows which there are"),
        _ => format!("{} has not answered, so nothing is known of {target}", clean(&target.context)),
    })?;
    let place = Place::of(&context, &target.key()).ok_or_else(|| format!("{} has not answered", clean(&target.context)))?;
    let now = place.cluster.clock.now();
    let line = timeline(&canary, now);
    let mut gaps = Vec::new();
    let (slo, until) = series(&context, &place, &canary, &line, now, &mut gaps).await;
    let changes = changes(&place, &mut gaps).await;
    let twins = twins(fleet, target, &canary);
    let (canary_pods, primary_pods) = pods(&place, now);
    Ok(Evidence {
        target: target.clone(),
        now,
        suspended: place.spec.suspend,
        twin_difference: twin_difference(session, &place, target, &twins),
        context: ContextView { canaries: Canaries::default(), ..(*shown).clone() },
        canary,
        timeline: line,
        slo,
        until,
        canary_pods,
        primary_pods,
        changes,
        twins,
        gaps,
    })
}

/// The series over the rollout that `line` is of; of a canary at rest the primary's newest.
async fn series(
    context: &Context,
    place: &Place,
    canary: &CanaryView,
    line: &Timeline,
    now: Timestamp,
    gaps: &mut Vec<String>,
) -> (Vec<SloSeries>, Timestamp) {
    let judged = canary.phase.is_analysed() || matches!(canary.phase, Phase::Failed | Phase::Promoting);
    let end = line.ended.filter(|_| judged).unwrap_or(now);
    let back = |seconds: i64| end.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(end);
    let begun = line.began.filter(|began| judged && *began < end).unwrap_or_else(|| back(BACK));
    let seconds = end.duration_since(begun).as_secs().clamp(NARROWEST * 12, FARTHEST);
    let step = (seconds / POINTS / NARROWEST + 1) * NARROWEST;
    let window = Window { end, step: Duration::from_secs(step.unsigned_abs()), points: usize::try_from(seconds / step + 1).unwrap_or(1) };
    let who = if judged { Who::Canary } else { Who::Primary };
    let inquiry = context.inquiry(&place.cluster);
    if let Ok(series) = tokio::time::timeout(METRICS, inquiry.look(&canary.key, &place.spec, who, window)).await {
        return (series, end);
    }
    gaps.push(format!("the metric servers did not answer within {}s", METRICS.as_secs()));
    (canary.slo.clone(), now)
}

/// What the target has that the primary has not.
async fn changes(place: &Place, gaps: &mut Vec<String>) -> Difference {
    let mut found = Difference::default();
    let Place { cluster, canary, spec, status } = place;
    match compare::templates(cluster, canary, spec, status) {
        Some(templates) => found.add("", &templates.was, &templates.now),
        None => gaps.push("target and primary could not be compared: one of them is not there, or has no pods of its own".into()),
    }
    match tokio::time::timeout(CONFIGS, compare::configs(cluster, canary, spec, status)).await {
        Ok(Ok(pairs)) => {
            for pair in pairs {
                found.add_config(pair.secret, &pair.name, &pair.was, &pair.now);
            }
        }
        Ok(Err(why)) => gaps.push(format!("tracked configs could not be compared: {}", clean(&why))),
        Err(_) => gaps.push("tracked configs could not be compared in time".into()),
    }
    found
}

fn pods(place: &Place, now: Timestamp) -> (Option<Pods>, Option<Pods>) {
    let Place { cluster, canary, spec, status } = place;
    let (target, primary) = cluster.workloads(canary, spec, status);
    let read = |workload: Workload, name: &str, percent: u32| {
        let by = Patience { percent, deadline: spec.deadline_seconds(), since: status.last_transition_time, now };
        let (wanted, updated, available) = match &workload.state {
            WorkloadState::Deployment(state) => (state.replicas_wanted, state.updated, state.available),
            WorkloadState::DaemonSet(state) => (state.desired, state.updated, state.available),
            WorkloadState::Service | WorkloadState::Knative { .. } => return None,
        };
        let waits = match workload.state.readiness(&by) {
            Readiness::Ready => None,
            Readiness::Waiting(why) | Readiness::Expired(why) => Some(clean(&why)),
        };
        Some(Pods {
            name: clean(name),
            wanted,
            updated,
            available,
            expires: workload.state.expires(&by).filter(|_| waits.is_some()),
            waits,
        })
    };
    let analysis = &spec.analysis;
    (
        // A canary that rests has no pods, and waits for none.
        target.filter(|t| t.replicas > 0).and_then(|t| read(t, &spec.target_ref.name, analysis.canary_ready_percent())),
        primary.and_then(|p| read(p, &spec.primary_name(), analysis.primary_ready_percent())),
    )
}

/// The same canary in other contexts.
fn twins(fleet: &FleetView, target: &Target, canary: &CanaryView) -> Vec<Twin> {
    let others = fleet.each().filter(|context| context.name != target.context);
    others
        .filter_map(|context| {
            let twin = context.canaries.iter().find(|twin| twin.key == canary.key)?;
            Some(Twin {
                target: Target::new(&context.name, &twin.key).to_string(),
                provider: context.provider.clone(),
                phase: twin.phase,
                state: state(canary, twin),
                image: twin.target_image.clone(),
            })
        })
        .take(TWINS)
        .collect()
}

/// An image's name without the registry, which may be a mirror of the provider's own.
fn tail(image: Option<&String>) -> Option<&str> {
    image.and_then(|image| image.rsplit('/').next()).filter(|image| !image.is_empty())
}

fn state(canary: &CanaryView, twin: &CanaryView) -> TwinState {
    let wanted = tail(canary.target_image.as_ref());
    if wanted.is_none() || tail(twin.target_image.as_ref()) != wanted {
        return TwinState::Another;
    }
    match twin.phase {
        Phase::Succeeded | Phase::Initialized if tail(twin.primary_image.as_ref()) == wanted => TwinState::Healthy,
        Phase::Failed => TwinState::Failed,
        phase if phase.is_in_flight() => TwinState::Rolling,
        _ => TwinState::Another,
    }
}

/// What this provider's objects have that a healthy twin's have not: pods and Canary.
fn twin_difference(session: &Session, place: &Place, target: &Target, twins: &[Twin]) -> Option<TwinDifference> {
    let healthy = twins.iter().find(|twin| twin.state == TwinState::Healthy)?;
    let other: Target = healthy.target.parse().ok()?;
    let theirs = Place::of(&*session.context(&other.context)?, &target.key())?;
    let mut difference = Difference::default();
    let template = |place: &Place| place.target().and_then(|t| t.pointer("/spec/template").cloned()).unwrap_or_default();
    difference.add("", &template(&theirs), &template(place));
    let spec = |place: &Place| place.canary.get("spec").cloned().unwrap_or_default();
    difference.add("canary", &spec(&theirs), &spec(place));
    Some(TwinDifference { target: healthy.target.clone(), difference })
}
