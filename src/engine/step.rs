//! One step of one rollout: `(observation, now) -> one effect, when to look again, why it waits`.
//!
//! Order within a step is Flagger's tick order (rollout-contract §4.2), with two differences that follow
//! from watching: what time does not pace (detection, readiness, verbs, drift) happens at once, and each
//! step writes at most one thing, so the next one sees what became of it. Phases in flight are in `flight.rs`.

use jiff::{SignedDuration, Timestamp};

use super::analysis::{self, Judgement, Rollback};
use super::effect::{Effect, Question, Say, Scale, ServiceRole};
use super::observation::{Observation, Round, Route, Scaler, Workload};
use super::report::{Reason, Report};
use super::verdict::{self, Gate};
use super::{cookies, flight, gates, intents, leave, promotion, rollback};
use crate::domain::alert::Severity;
use crate::domain::canary::HookKind;
use crate::domain::phase::Phase;
use crate::domain::readiness::Readiness;
use crate::domain::revision::Revision;
use crate::domain::status::{CanaryStatus, EngineState};
use crate::domain::traffic::Traffic;

/// The phase Initializing lasts as long at least, or as an interval where that is shorter.
const SHORTEST_SIGHT: SignedDuration = SignedDuration::from_secs(5);

/// What a step decided.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Step {
    pub effect: Option<Effect>,
    /// When to look again though nothing has happened.
    pub wake: Option<Timestamp>,
    pub report: Report,
}

impl Step {
    pub(super) fn act(effect: Effect, message: impl Into<String>) -> Self {
        let reason = if matches!(effect, Effect::Ask(_)) { Reason::Checking } else { Reason::Working };
        Self { effect: Some(effect), wake: None, report: Report::new(reason, message) }
    }

    pub(super) fn write(status: CanaryStatus, say: Vec<Say>, message: impl Into<String>) -> Self {
        Self::act(Effect::WriteStatus { status: Box::new(status), say }, message)
    }

    pub(super) fn wait(report: Report) -> Self {
        Self { effect: None, wake: report.until, report }
    }
}

/// The next step of the rollout that `seen` shows.
pub fn step(seen: &Observation, now: Timestamp) -> Step {
    let mut step = next(seen, now);
    if step.report.finding.is_none() {
        step.report.finding = seen.engine().finding;
    }
    step
}

fn next(seen: &Observation, now: Timestamp) -> Step {
    if let Some(why) = &seen.hands_off {
        return Step::wait(Report::new(Reason::Foreign, why.clone()));
    }
    if seen.deleting {
        return leave::terminate(seen, now);
    }
    if let Some(step) = intents::settle(seen, now) {
        return step;
    }
    let state = seen.engine();
    if let (Some(why), true) = (&state.going_down, may_be_given_up(seen.status.phase)) {
        // Neither a pause nor a mistake made since may leave traffic on what is being given up.
        return rollback::go_down(seen, why.clone(), now);
    }
    if let Some(why) = mistake(seen) {
        return held(seen, now, Report::new(Reason::Invalid, why));
    }
    if seen.spec.suspend {
        return held(seen, now, Report::new(Reason::Suspended, "spec.suspend is true; set it to false to go on"));
    }
    if let Some(pause) = &state.pause {
        let why = if pause.why.is_empty() { String::new() } else { format!(": {}", pause.why) };
        return held(seen, now, Report::new(Reason::Paused, format!("paused by {}{why}; resume it to go on", pause.who)));
    }
    let Some(target) = &seen.target else {
        let name = &seen.spec.target_ref.name;
        return held(
            seen,
            now,
            Report::new(
                Reason::TargetMissing,
                format!("{} {name} is not in namespace {}: create it, or correct spec.targetRef", seen.kind(), seen.key.namespace),
            ),
        );
    };
    if let Err(why) = &seen.configs {
        return held(seen, now, Report::new(Reason::TargetMissing, why.clone()));
    }
    if let Some(Scaler::Missing(why)) = &seen.scaler {
        return held(seen, now, Report::new(Reason::TargetMissing, why.clone()));
    }
    if let Some(step) = clock_was_set_back(seen, now) {
        return step;
    }
    if seen.spec.revert_on_deletion != seen.finalizer && seen.status.phase != Phase::New {
        let present = seen.spec.revert_on_deletion;
        return Step::act(Effect::Finalizer { present, say: Vec::new() }, "keeps its finalizer as spec.revertOnDeletion says");
    }
    match seen.status.phase {
        Phase::New => {
            let mut status = seen.status.clone();
            status.enter(Phase::Initializing, seen.kind(), now);
            Step::write(status, Vec::new(), "starts to initialise")
        }
        Phase::Initializing => initialize(seen, target, now),
        Phase::Initialized | Phase::Succeeded | Phase::Failed => settled(seen, target, now),
        Phase::Waiting => detected(seen, target, now),
        Phase::Progressing | Phase::WaitingPromotion => flight::analyse(seen, target, now),
        Phase::Promoting => promotion::promote(seen, target, now),
        Phase::Finalising => promotion::finalise(seen, now),
        Phase::Terminating | Phase::Terminated => Step::wait(Report::new(Reason::Settled, "is being deleted")),
        Phase::Unknown => Step::wait(Report::new(
            Reason::Invalid,
            "status.phase holds a word this version does not know: update Pilothouse, or clear the status",
        )),
    }
}

/// Phases in which a rollout that was given up is taken down.
pub(super) const fn may_be_given_up(phase: Phase) -> bool {
    phase.is_analysed() || matches!(phase, Phase::Waiting)
}

fn mistake(seen: &Observation) -> Option<String> {
    if let Some(why) = &seen.undecodable {
        return Some(format!("the spec cannot be read: {why}"));
    }
    if let Some(word) = seen.gate_mistakes.first() {
        return Some(format!(
            "annotation {} names {word}: known gates are confirm-rollout, confirm-traffic-increase and confirm-promotion",
            crate::domain::canary::GATES_ANNOTATION
        ));
    }
    seen.spec.mistake().or_else(|| seen.route_mistake.clone()).or_else(|| seen.spec.beyond(&seen.router, &seen.can))
}

/// A wait that anybody may want to know of: its reason goes into the status once, with an event where it
/// is bad news. `lastTransitionTime` stays, since nothing moved.
pub(super) fn held(seen: &Observation, now: Timestamp, report: Report) -> Step {
    let mut state = seen.engine();
    let word = reason_word(report.reason);
    if state.report.as_ref().is_some_and(|(known, message)| *known == word && (*message == report.message || !is_news(report.reason))) {
        return Step::wait(report);
    }
    state.report = Some((word, report.message.clone()));
    state.finding = report.finding.clone().or(state.finding);
    let mut status = seen.status.clone();
    status.set_engine(&state, now);
    let say = match report.reason {
        Reason::PrimaryNotReady
        | Reason::CanaryNotReady
        | Reason::NoData
        | Reason::Invalid
        | Reason::TargetMissing
        | Reason::ForeignWrite => {
            vec![Say::warning(report.message.clone())]
        }
        _ => Vec::new(),
    };
    Step { effect: Some(Effect::WriteStatus { status: Box::new(status), say }), wake: report.until, report }
}

/// A wait for pods, until they are ready or have had their time. What the workload's controller has not even looked at is no
/// news: it takes a moment each time.
pub(super) fn unready(seen: &Observation, workload: &Workload, report: Report, now: Timestamp) -> Step {
    let unseen = report.message.contains("generation less than desired generation");
    let mut step = if unseen { Step::wait(report) } else { held(seen, now, report) };
    step.wake = step.wake.or_else(|| seen.expires(workload, now));
    step
}

/// A wait that is as it should be. Trouble that was put on record before is over, and is taken off it.
pub(super) fn calm(seen: &Observation, now: Timestamp, report: Report) -> Step {
    let mut state = seen.engine();
    let troubles = [
        Reason::NoData,
        Reason::PrimaryNotReady,
        Reason::CanaryNotReady,
        Reason::Invalid,
        Reason::TargetMissing,
        Reason::WriteFailed,
        Reason::ForeignWrite,
        Reason::Suspended,
        Reason::Paused,
    ];
    if !state.report.as_ref().is_some_and(|(word, _)| troubles.iter().any(|r| reason_word(*r) == *word)) {
        return Step::wait(report);
    }
    if state.report.take().is_some_and(|(word, _)| word == reason_word(Reason::NoData)) {
        state.finding = None;
    }
    let mut status = seen.status.clone();
    status.set_engine(&state, now);
    Step { effect: Some(Effect::WriteStatus { status: Box::new(status), say: Vec::new() }), wake: report.until, report }
}

/// Reasons whose sentence is news each time it changes; the others are written once per reason.
const fn is_news(reason: Reason) -> bool {
    matches!(reason, Reason::Invalid | Reason::TargetMissing | Reason::Paused | Reason::ForeignWrite)
}

pub(super) fn reason_word(reason: Reason) -> String {
    serde_json::to_value(reason).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The first Service or route that is missing or differs.
pub(super) fn mend(seen: &Observation) -> Option<Step> {
    if let Some(role) = seen.services.first() {
        return Some(Step::act(Effect::EnsureService(*role), format!("writes the {role:?} Service")));
    }
    if let (Some(Scaler::Present { differs: true, .. }), true) = (&seen.scaler, seen.primary.is_some()) {
        return Some(Step::act(Effect::EnsureScaler, "keeps the primary's scaler in step"));
    }
    match &seen.route {
        Route::Differs { what, .. } => Some(Step::act(Effect::EnsureRoute, format!("writes the route: {what}"))),
        _ => None,
    }
}

/// A transition that lies more than an interval ahead was recorded by a clock that was wrong: waiting for it could take
/// for ever. A new interval starts, nothing advances.
fn clock_was_set_back(seen: &Observation, now: Timestamp) -> Option<Step> {
    let since = seen.status.last_transition_time.filter(|_| seen.status.phase.is_in_flight())?;
    let ahead = since.duration_since(now);
    if ahead <= interval(seen) {
        return None;
    }
    let mut status = seen.status.clone();
    status.enter(status.phase, seen.kind(), now);
    let say = vec![Say::warning(format!("The clock of {} was set back by {}s: a new interval starts", seen.key, ahead.as_secs()))];
    Some(Step::write(status, say, "the clock was set back: a new interval starts"))
}

fn initialize(seen: &Observation, target: &Workload, now: Timestamp) -> Step {
    for role in [ServiceRole::Canary, ServiceRole::Primary] {
        if seen.services.contains(&role) {
            return Step::act(Effect::EnsureService(role), format!("writes the {role:?} Service"));
        }
    }
    let (Some(checksum), Ok(configs)) = (seen.checksum(), &seen.configs) else {
        return Step::wait(Report::new(Reason::Working, "reads the target"));
    };
    let Some(primary) = &seen.primary else {
        return Step::act(
            Effect::CopyToPrimary { id: super::observation::stamp(&checksum) },
            format!("creates {}", seen.spec.primary_name()),
        );
    };
    if let Readiness::Waiting(why) | Readiness::Expired(why) = seen.primary_readiness(primary, now) {
        return unready(seen, primary, Report::new(Reason::PrimaryNotReady, format!("{} not ready: {why}", seen.primary_name())), now);
    }
    if let Some(Scaler::Present { differs: true, .. }) = &seen.scaler {
        return Step::act(Effect::EnsureScaler, "writes the primary's scaler");
    }
    if seen.services.contains(&ServiceRole::Apex) {
        return Step::act(Effect::EnsureService(ServiceRole::Apex), "points the apex Service at the primary");
    }
    if let Route::Unreadable(why) = &seen.route {
        return held(seen, now, Report::new(Reason::WriteFailed, why.clone()));
    }
    if let Some(step) = pods_down(seen, "scales the target to zero") {
        return step;
    }
    if let Some(step) = mend(seen) {
        return step;
    }
    if seen.route.traffic() != Traffic::PRIMARY {
        return Step::act(Effect::SetTraffic(Traffic::PRIMARY), "sends all traffic to the primary");
    }
    if let Some(why) = seen.route.pending() {
        return held(seen, now, Report::new(Reason::WriteFailed, why));
    }
    if let Some(until) = in_sight(seen, now) {
        return Step::wait(Report::new(Reason::Working, "initialises").until(until));
    }
    let online = match seen.round.as_ref().and_then(|r| r.answers.get(&Question::Online)) {
        None => return Step::act(Effect::Ask(Question::Online), "looks for the metric servers"),
        Some(super::effect::Answer::Error(why)) => Say::warning(format!("Error checking metric providers: {why}")),
        Some(_) => Say::normal("all the metrics providers are available!"),
    };
    let mut status = seen.status.clone();
    record(&mut status, target, configs);
    status.last_promoted_spec.clone_from(&status.last_applied_spec);
    status.canary_weight = 0;
    status.enter(Phase::Initialized, seen.kind(), now);
    let mut state = seen.engine();
    state.report = None;
    status.set_engine(&state, now);
    let done = Say::normal(format!("Initialization done! {}", seen.key)).alert(
        Severity::Info,
        format!("New {} detected, initialization completed.", seen.kind()),
        true,
    );
    Step::write(status, vec![online, done], "initialised")
}

/// Until when an initialisation that is done stays in sight: whoever polls for the phase would miss it.
fn in_sight(seen: &Observation, now: Timestamp) -> Option<Timestamp> {
    let until = seen.status.last_transition_time?.checked_add(interval(seen).min(SHORTEST_SIGHT)).ok()?;
    (now < until).then_some(until)
}

/// Takes the canary's pods away: its scaler first, which would bring them back.
pub(super) fn pods_down(seen: &Observation, why: &str) -> Option<Step> {
    if let (Some(Scaler::Present { paused: Some(false), .. }), true) = (&seen.scaler, seen.target.is_some()) {
        return Some(Step::act(Effect::PauseScaler(true), format!("{why}: keeps its scaler from it")));
    }
    seen.has_canary_pods().then(|| Step::act(Effect::ScaleTarget(Scale::Zero), why))
}

/// Brings the canary's pods up: the replicas that it starts with are the primary's, or what its scaler lets it start with.
pub(super) fn pods_up(seen: &Observation, target: &Workload) -> Option<Step> {
    if let Some(Scaler::Present { paused: Some(true), .. }) = &seen.scaler {
        return Some(Step::act(Effect::PauseScaler(false), "lets the target's scaler go on"));
    }
    if !seen.spec.target_kind().scales() || target.replicas > 0 {
        return None;
    }
    let replicas = match &seen.scaler {
        Some(Scaler::Present { least, .. }) => (*least).max(1),
        _ => seen.primary.as_ref().map_or(1, |p| p.replicas.max(1)),
    };
    Some(Step::act(Effect::ScaleTarget(Scale::To(replicas)), "scales the target up"))
}

/// Writes the identity of what is rolled out into the status.
pub(super) fn record(status: &mut CanaryStatus, target: &Workload, configs: &super::observation::Configs) {
    status.last_applied_spec = target.revision.to_string();
    status.tracked_configs = Some(configs.clone());
}

/// Whether the target or its configs are something else than what is on record.
pub(super) fn moved_on(seen: &Observation, target: &Workload) -> bool {
    let recorded = Revision::parse(&seen.status.last_applied_spec);
    let template = recorded.is_none_or(|r| target.revision.differs(&r));
    template || configs_changed(seen)
}

fn configs_changed(seen: &Observation) -> bool {
    let recorded = seen.status.tracked_configs.clone().unwrap_or_default();
    seen.configs.as_ref().is_ok_and(|configs| *configs != recorded)
}

/// Takes a canary over whose revision another controller recorded, in a hash that nobody else can compute: what the primary
/// runs needs no rollout, and what has failed stays failed unless a tracked config changed since.
fn adopt(seen: &Observation, target: &Workload, now: Timestamp) -> Option<Step> {
    if Revision::parse(&seen.status.last_applied_spec).is_some() {
        return None;
    }
    // Configs have sums that every controller computes alike; where none are on record, nothing can be said of them.
    if seen.status.tracked_configs.is_some() && configs_changed(seen) {
        return None;
    }
    let failed = seen.status.phase == Phase::Failed && !seen.status.last_applied_spec.is_empty();
    if !seen.primary_equals_target && !failed {
        return None;
    }
    let mut status = seen.status.clone();
    record(&mut status, target, seen.configs.as_ref().ok()?);
    let why = if seen.primary_equals_target { "the primary runs the target's revision" } else { "its revision has failed" };
    if seen.primary_equals_target {
        status.last_promoted_spec.clone_from(&status.last_applied_spec);
    }
    status.set_engine(&seen.engine(), now);
    Some(Step::write(status, vec![Say::normal(format!("Adopted {} without a rollout: {why}", seen.key))], "takes over"))
}

fn settled(seen: &Observation, target: &Workload, now: Timestamp) -> Step {
    if let Some(step) = post_rollout(seen, now) {
        return step;
    }
    if let Some(step) = mend(seen) {
        return step;
    }
    if let Route::Unreadable(why) = &seen.route {
        return held(seen, now, Report::new(Reason::WriteFailed, why.clone()));
    }
    if let Some(step) = adopt(seen, target, now) {
        return step;
    }
    // What was promoted last never starts a rollout: going back to it by hand is a repair.
    let back_to_promoted = Revision::parse(&seen.status.last_promoted_spec).is_some_and(|p| p.hash == target.revision.hash);
    let changed = moved_on(seen, target) && (!back_to_promoted || configs_changed(seen));
    if changed {
        return detected(seen, target, now);
    }
    if let Some(step) = went_back(seen, target, back_to_promoted, now) {
        return step;
    }
    if let Route::Present { traffic, foreign: Some(foreign), .. } = &seen.route
        && traffic.canary != seen.status.canary_weight
    {
        let (who, canary) = (&foreign.manager, traffic.canary);
        let way_out = "set the weights back, or release a new revision, which begins with all traffic on the primary";
        return held(
            seen,
            now,
            Report::new(Reason::ForeignWrite, format!("{who} gives the canary {canary} % while no rollout runs: {way_out}")),
        );
    }
    calm(seen, now, rest(seen))
}

/// What has failed and was taken back by hand is on record as taken back: the same mistake made again is a new revision.
fn went_back(seen: &Observation, target: &Workload, back: bool, now: Timestamp) -> Option<Step> {
    let recorded = Revision::parse(&seen.status.last_applied_spec)?;
    if seen.status.phase != Phase::Failed || !back || recorded.hash == target.revision.hash {
        return None;
    }
    let mut status = seen.status.clone();
    record(&mut status, target, seen.configs.as_ref().ok()?);
    status.set_engine(&seen.engine(), now);
    Some(Step::write(status, Vec::new(), "the target is back at what was promoted"))
}

/// The report of a canary that has nothing to do.
fn rest(seen: &Observation) -> Report {
    let ended = seen.engine().ended.unwrap_or_default();
    match seen.status.phase {
        Phase::Failed if ended.starts_with("aborted") || ended.starts_with("rejected") => Report::new(Reason::Aborted, ended),
        Phase::Failed if ended.starts_with("promotion failed") => Report::new(Reason::PromotionFailed, ended),
        Phase::Failed => Report::new(Reason::RolledBack, if ended.is_empty() { "rolled back".into() } else { ended }),
        _ => Report::new(Reason::Settled, "waits for a new revision"),
    }
}

/// Calls the post-rollout hooks of a rollout that has just ended; the result changes nothing but events.
fn post_rollout(seen: &Observation, now: Timestamp) -> Option<Step> {
    let mut state = seen.engine();
    state.post_rollout?;
    let round = seen.round.as_ref().filter(|r| Some(r.due) >= seen.status.last_transition_time);
    match analysis::hooks(seen, round, HookKind::PostRollout) {
        Judgement::Ask(question) => Some(Step::act(Effect::Ask(question), "calls the post-rollout hooks")),
        Judgement::Passed(say) | Judgement::Failed(say, _) => {
            state.post_rollout = None;
            let mut status = seen.status.clone();
            status.set_engine(&state, now);
            Some(Step::write(status, say, "post-rollout hooks called"))
        }
        Judgement::Held(..) => None,
    }
}

/// Traffic that a canary has before its first step: from the rollout before, from a promotion that failed, or by a hand
/// from outside.
fn primary_first(seen: &Observation) -> Option<Step> {
    (seen.route.traffic() != Traffic::PRIMARY)
        .then(|| Step::act(Effect::SetTraffic(Traffic::PRIMARY), "sends all traffic to the primary before the first step"))
}

/// A new revision: asks whether it may start, then scales up and starts.
fn detected(seen: &Observation, target: &Workload, now: Timestamp) -> Step {
    if let Some(step) = mend(seen) {
        return step;
    }
    let Some(checksum) = seen.checksum() else { return Step::wait(Report::new(Reason::Working, "reads the target")) };
    if let Some(primary) = &seen.primary {
        if let Readiness::Waiting(why) | Readiness::Expired(why) = seen.primary_readiness(primary, now) {
            return unready(seen, primary, Report::new(Reason::PrimaryNotReady, format!("{} not ready: {why}", seen.primary_name())), now);
        }
    } else {
        return Step::act(
            Effect::CopyToPrimary { id: super::observation::stamp(&checksum) },
            format!("creates {}", seen.spec.primary_name()),
        );
    }
    if let Some(step) = primary_first(seen) {
        // Before the gate, which may stay closed for days.
        return step;
    }
    let asks_hooks = !seen.spec.analysis.hooks(HookKind::ConfirmRollout).is_empty() || has_rollback_hooks(seen);
    let waits = seen.status.phase == Phase::Waiting;
    if waits && asks_hooks && latest_tick(seen, now).is_none() {
        let report = Report::new(Reason::Gate, "asks its gates again at the next interval");
        return Step { wake: next_tick(seen, now), effect: None, report };
    }
    let round = round_at_hand(seen, now);
    if waits {
        match analysis::rollback_hooks(seen, round) {
            Ok(_) => {}
            Err(Rollback::Ask(question)) => return Step::act(Effect::Ask(question), "asks the rollback hooks"),
            Err(Rollback::Ordered(hook)) => return rollback::by_hook(seen, &hook, now),
        }
    }
    match verdict::gate(seen, round, HookKind::ConfirmRollout, &checksum) {
        Gate::Ask(question) => Step::act(Effect::Ask(question), "asks whether the rollout may start"),
        Gate::Closed { by, say } => gates::close(seen, HookKind::ConfirmRollout, &by, say, Phase::Waiting, now),
        Gate::Open(say) => start(seen, target, seen.engine(), say, now),
    }
}

fn has_rollback_hooks(seen: &Observation) -> bool {
    !seen.spec.analysis.hooks(HookKind::Rollback).is_empty()
}

/// Starts (or starts again) the rollout of what the target is now. `say` comes before its own events.
pub(super) fn start(seen: &Observation, target: &Workload, mut state: EngineState, mut say: Vec<Say>, now: Timestamp) -> Step {
    let restart = seen.status.phase.is_analysed();
    if let Some(step) = primary_first(seen) {
        return step;
    }
    if let Some(step) = pods_up(seen, target) {
        return step;
    }
    let Ok(configs) = &seen.configs else { return Step::wait(Report::new(Reason::Working, "reads the configs")) };
    let mut status = seen.status.clone();
    record(&mut status, target, configs);
    (status.failed_checks, status.canary_weight, status.iterations) = (0, 0, 0);
    status.enter(Phase::Progressing, seen.kind(), now);
    cookies::begin(seen, &mut status);
    // Approvals open their gate once and for one revision; a new start begins with closed gates.
    state = EngineState { verdicts: state.verdicts, pause: state.pause.take(), foreign_seen: state.foreign_seen, ..Default::default() };
    status.set_engine(&state, now);
    let name = seen.target_name();
    if restart {
        say.push(Say::normal(format!("New revision detected! Restarting analysis for {name}")));
    } else {
        let text = "New revision detected, progressing canary analysis.";
        say.push(Say::normal(format!("New revision detected! Scaling up {name}")).alert(Severity::Info, text, true));
    }
    say.extend(seen.spec.left_out(&seen.router, &seen.can).into_iter().map(Say::warning));
    Step::write(status, say, "starts the rollout")
}

/// The latest due time of the running interval, `None` before the first.
pub(super) fn latest_tick(seen: &Observation, now: Timestamp) -> Option<Timestamp> {
    let since = seen.status.last_transition_time?;
    let every = interval(seen);
    let passed = now.duration_since(since).as_millis() / every.as_millis().max(1);
    let passed = i32::try_from(passed.max(0)).ok()?;
    (passed > 0).then(|| since.checked_add(every.checked_mul(passed)?).ok()).flatten()
}

/// The first due time after `now`.
pub(super) fn next_tick(seen: &Observation, now: Timestamp) -> Option<Timestamp> {
    let since = seen.status.last_transition_time?;
    latest_tick(seen, now).unwrap_or(since).checked_add(interval(seen)).ok()
}

fn interval(seen: &Observation) -> SignedDuration {
    SignedDuration::try_from(seen.spec.analysis.every()).unwrap_or(SignedDuration::from_secs(60))
}

/// Identity of the revision that the questions of this phase are about: what is on record, or what wants to start.
fn round_checksum(seen: &Observation) -> String {
    let waits_to_start = seen.status.phase == Phase::Waiting || seen.status.phase.is_settled() && seen.engine().post_rollout.is_none();
    let recorded = if waits_to_start { None } else { seen.recorded_checksum() };
    recorded.or_else(|| seen.checksum()).unwrap_or_default()
}

/// The round with the answers of the running interval. One that was begun is finished before the next due time counts, so
/// that a hook slower than the interval cannot starve the analysis.
pub(super) fn round_at_hand(seen: &Observation, now: Timestamp) -> Option<&Round> {
    let since = seen.status.last_transition_time?;
    let checksum = round_checksum(seen);
    let tick = latest_tick(seen, now);
    seen.round.as_ref().filter(|round| {
        let timely = match tick {
            Some(tick) => round.due > since && (round.due == tick || !verdict::is_answered(seen, round)),
            None => round.due == since,
        };
        round.checksum == checksum && timely
    })
}

/// The due time and identity under which the runner files the answer to a question of this observation.
#[must_use]
pub fn round_of(seen: &Observation, now: Timestamp) -> (String, Timestamp) {
    let checksum = round_checksum(seen);
    let paced = latest_tick(seen, now);
    let tick = paced.or(seen.status.last_transition_time).unwrap_or(now);
    match (&seen.round, seen.status.last_transition_time) {
        (Some(round), Some(since))
            if round.checksum == checksum
                && (round.due > since || paced.is_none() && round.due == since)
                && !verdict::is_answered(seen, round) =>
        {
            (checksum, round.due)
        }
        _ => (checksum, tick),
    }
}

#[cfg(test)]
#[path = "step_tests.rs"]
pub mod tests;
