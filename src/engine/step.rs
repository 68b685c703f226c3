//! One step of one rollout: `(observation, now) -> one effect, when to look again, why it waits`.
//!
//! Order within a step is Flagger's tick order (rollout-contract §4.2), with two differences that follow
//! from watching: what time does not pace (detection, readiness, verbs, drift) happens at once, and each
//! step writes at most one thing, so the next one sees what became of it. Phases in flight are in `flight.rs`.

use jiff::{SignedDuration, Timestamp};

use super::analysis::{self, Judgement};
use super::effect::{Effect, Question, Say, Scale, ServiceRole};
use super::observation::{Observation, Round, Route, Workload};
use super::report::{Reason, Report};
use super::{flight, intents};
use crate::domain::canary::{HookKind, ROUTERS};
use crate::domain::phase::Phase;
use crate::domain::readiness::Readiness;
use crate::domain::revision::Revision;
use crate::domain::status::{CanaryStatus, EngineState};

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

/// Kind of the target, as texts name it.
pub(super) const KIND: &str = "Deployment";

/// The next step of the rollout that `seen` shows.
pub fn step(seen: &Observation, now: Timestamp) -> Step {
    if let Some(why) = &seen.hands_off {
        return Step::wait(Report::new(Reason::Foreign, why.clone()));
    }
    if seen.deleting {
        return Step::wait(Report::new(Reason::Settled, "is being deleted"));
    }
    if let Some(step) = intents::settle(seen, now) {
        return step;
    }
    let state = seen.engine();
    if let (Some(why), true) = (&state.going_down, seen.status.phase.is_analysed()) {
        // Neither a pause nor a mistake made since may leave traffic on what is being given up.
        return flight::go_down(seen, why.clone(), now);
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
                format!("{KIND} {name} is not in namespace {}: create it, or correct spec.targetRef", seen.key.namespace),
            ),
        );
    };
    if let Err(why) = &seen.configs {
        return held(seen, now, Report::new(Reason::TargetMissing, why.clone()));
    }
    if let Some(step) = clock_was_set_back(seen, now) {
        return step;
    }
    match seen.status.phase {
        Phase::New => {
            let mut status = seen.status.clone();
            status.enter(Phase::Initializing, KIND, now);
            Step::write(status, Vec::new(), "starts to initialise")
        }
        Phase::Initializing => initialize(seen, target, now),
        Phase::Initialized | Phase::Succeeded | Phase::Failed => settled(seen, target, now),
        Phase::Waiting => detected(seen, target, now),
        Phase::Progressing | Phase::WaitingPromotion => flight::analyse(seen, target, now),
        Phase::Promoting => flight::promote(seen, target, now),
        Phase::Finalising => flight::finalise(seen, target, now),
        Phase::Terminating | Phase::Terminated => Step::wait(Report::new(Reason::Settled, "is being deleted")),
        Phase::Unknown => Step::wait(Report::new(
            Reason::Invalid,
            "status.phase holds a word this version does not know: update Pilothouse, or clear the status",
        )),
    }
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
    if !ROUTERS.contains(&seen.router.as_str()) {
        return Some(format!("spec.provider {} is not supported yet: {} are", seen.router, ROUTERS.join(", ")));
    }
    seen.spec.mistake(&seen.router)
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
    let mut status = seen.status.clone();
    status.set_engine(&state, now);
    let say = match report.reason {
        Reason::PrimaryNotReady | Reason::CanaryNotReady | Reason::Invalid | Reason::TargetMissing | Reason::ForeignWrite => {
            vec![Say::warning(report.message.clone())]
        }
        _ => Vec::new(),
    };
    Step { effect: Some(Effect::WriteStatus { status: Box::new(status), say }), wake: report.until, report }
}

/// A wait that is as it should be. Trouble that was put on record before is over, and is taken off it.
pub(super) fn calm(seen: &Observation, now: Timestamp, report: Report) -> Step {
    let mut state = seen.engine();
    let troubles = [
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
    state.report = None;
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
    status.enter(status.phase, KIND, now);
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
    let readiness = primary.state.readiness(seen.spec.analysis.primary_ready_percent(), seen.spec.deadline_seconds(), now);
    if let Readiness::Waiting(why) | Readiness::Expired(why) = readiness {
        let message = format!("{}.{} not ready: {why}", seen.spec.primary_name(), seen.key.namespace);
        return held(seen, now, Report::new(Reason::PrimaryNotReady, message));
    }
    if seen.services.contains(&ServiceRole::Apex) {
        return Step::act(Effect::EnsureService(ServiceRole::Apex), "points the apex Service at the primary");
    }
    if let Route::Unreadable(why) = &seen.route {
        return held(seen, now, Report::new(Reason::WriteFailed, why.clone()));
    }
    if target.replicas > 0 {
        return Step::act(Effect::ScaleTarget(Scale::Zero), "scales the target to zero");
    }
    if let Some(step) = mend(seen) {
        return step;
    }
    if seen.route.canary() != 0 {
        return Step::act(Effect::SetWeights { canary: 0 }, "sends all traffic to the primary");
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
    status.enter(Phase::Initialized, KIND, now);
    let mut state = seen.engine();
    state.report = None;
    status.set_engine(&state, now);
    Step::write(status, vec![online, Say::normal(format!("Initialization done! {}", seen.key))], "initialised")
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
    if Revision::parse(&seen.status.last_applied_spec).is_none() && seen.status.phase != Phase::Failed && seen.primary_equals_target {
        // Another controller's hash over the same content: taken on record, not rolled out again.
        let mut status = seen.status.clone();
        if let Ok(configs) = &seen.configs {
            record(&mut status, target, configs);
        }
        status.last_promoted_spec.clone_from(&status.last_applied_spec);
        return Step::write(
            status,
            vec![Say::normal(format!("Adopted {} without a rollout: the primary runs the target's revision", seen.key))],
            "takes over",
        );
    }
    // What was promoted last never starts a rollout: going back to it by hand is a repair.
    let back_to_promoted = Revision::parse(&seen.status.last_promoted_spec).is_some_and(|p| p.hash == target.revision.hash);
    let changed = moved_on(seen, target) && (!back_to_promoted || configs_changed(seen));
    if changed {
        return detected(seen, target, now);
    }
    if let Route::Present { canary, foreign: Some(foreign) } = &seen.route
        && *canary != seen.status.canary_weight
    {
        let who = &foreign.manager;
        let way_out = "set the weights back, or release a new revision, which begins with all traffic on the primary";
        return held(
            seen,
            now,
            Report::new(Reason::ForeignWrite, format!("{who} gives the canary {canary} % while no rollout runs: {way_out}")),
        );
    }
    calm(seen, now, rest(seen))
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
        Judgement::Passed(say) | Judgement::Failed(say) => {
            state.post_rollout = None;
            let mut status = seen.status.clone();
            status.set_engine(&state, now);
            Some(Step::write(status, say, "post-rollout hooks called"))
        }
    }
}

/// Traffic that a canary has before its first step: from the rollout before, from a promotion that failed, or by a hand
/// from outside.
fn primary_first(seen: &Observation) -> Option<Step> {
    (seen.route.canary() > 0).then(|| Step::act(Effect::SetWeights { canary: 0 }, "sends all traffic to the primary before the first step"))
}

/// A new revision: asks the confirm-rollout gate, then scales up and starts.
fn detected(seen: &Observation, target: &Workload, now: Timestamp) -> Step {
    if let Some(step) = mend(seen) {
        return step;
    }
    let Some(checksum) = seen.checksum() else { return Step::wait(Report::new(Reason::Working, "reads the target")) };
    let state = seen.engine();
    if let Some(primary) = &seen.primary {
        let readiness = primary.state.readiness(seen.spec.analysis.primary_ready_percent(), seen.spec.deadline_seconds(), now);
        if let Readiness::Waiting(why) | Readiness::Expired(why) = readiness {
            let message = format!("{}.{} not ready: {why}", seen.spec.primary_name(), seen.key.namespace);
            return held(seen, now, Report::new(Reason::PrimaryNotReady, message));
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
    let gate = HookKind::ConfirmRollout;
    if seen.gates.contains(&gate) && !state.approved(gate, &checksum) {
        return close_gate(seen, gate, Phase::Waiting, now);
    }
    start(seen, target, state, Vec::new(), now)
}

/// A gate that is not open: its phase is entered once, and it waits for a human.
pub(super) fn close_gate(seen: &Observation, gate: HookKind, phase: Phase, now: Timestamp) -> Step {
    let what = match gate {
        HookKind::ConfirmRollout => "approval",
        HookKind::ConfirmTrafficIncrease => "traffic increase approval",
        _ => "promotion approval",
    };
    let report = Report::new(Reason::Gate, format!("waits for a human at gate {}: approve or reject it", gate.word()));
    let mut state = seen.engine();
    if state.waiting.contains_key(gate.word()) && seen.status.phase == phase {
        return Step { effect: None, wake: next_tick(seen, now), report };
    }
    state.waiting.insert(gate.word().into(), now);
    state.report = Some((reason_word(Reason::Gate), report.message.clone()));
    let mut status = seen.status.clone();
    if status.phase != phase {
        status.enter(phase, KIND, now);
    }
    status.set_engine(&state, now);
    let say = vec![Say::warning(format!("Halt {} advancement waiting for {what} {}", seen.key, gate.word()))];
    Step { effect: Some(Effect::WriteStatus { status: Box::new(status), say }), wake: None, report }
}

/// Starts (or starts again) the rollout of what the target is now. `say` comes before its own events.
pub(super) fn start(seen: &Observation, target: &Workload, mut state: EngineState, mut say: Vec<Say>, now: Timestamp) -> Step {
    let restart = seen.status.phase.is_analysed();
    if let Some(step) = primary_first(seen) {
        return step;
    }
    if target.replicas == 0 {
        let replicas = seen.primary.as_ref().map_or(1, |p| p.replicas.max(1));
        return Step::act(Effect::ScaleTarget(Scale::To(replicas)), "scales the target up");
    }
    let Ok(configs) = &seen.configs else { return Step::wait(Report::new(Reason::Working, "reads the configs")) };
    let mut status = seen.status.clone();
    record(&mut status, target, configs);
    (status.failed_checks, status.canary_weight, status.iterations) = (0, 0, 0);
    status.enter(Phase::Progressing, KIND, now);
    // Approvals open their gate once and for one revision; a new start begins with closed gates.
    state = EngineState { verdicts: state.verdicts, pause: state.pause.take(), foreign_seen: state.foreign_seen, ..Default::default() };
    status.set_engine(&state, now);
    let name = format!("{}.{}", seen.spec.target_ref.name, seen.key.namespace);
    say.push(Say::normal(if restart {
        format!("New revision detected! Restarting analysis for {name}")
    } else {
        format!("New revision detected! Scaling up {name}")
    }));
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

/// The round that the answers to come belong to: one that was begun is finished before the next due
/// time counts, so that a hook slower than the interval cannot starve the analysis.
pub(super) fn current_round<'a>(
    seen: &'a Observation,
    checksum: &str,
    tick: Timestamp,
    finished: impl Fn(&Round) -> bool,
) -> Option<&'a Round> {
    let since = seen.status.last_transition_time?;
    seen.round.as_ref().filter(|r| r.checksum == checksum && r.due > since && (r.due == tick || !finished(r)))
}

/// The due time and identity under which the runner files the answer to a question of this observation.
#[must_use]
pub fn round_of(seen: &Observation, now: Timestamp) -> (String, Timestamp) {
    let checksum = seen.recorded_checksum().or_else(|| seen.checksum()).unwrap_or_default();
    let paced = latest_tick(seen, now);
    let tick = paced.or(seen.status.last_transition_time).unwrap_or(now);
    match (&seen.round, seen.status.last_transition_time) {
        (Some(round), Some(since))
            if round.checksum == checksum
                && (round.due > since || paced.is_none() && round.due == since)
                && !flight::is_finished(seen, round) =>
        {
            (checksum, round.due)
        }
        _ => (checksum, tick),
    }
}

#[cfg(test)]
#[path = "step_tests.rs"]
pub mod tests;
