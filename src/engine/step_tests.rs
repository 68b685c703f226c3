//! A small world for the step: it performs each effect on the observation as a cluster would, so that
//! whole rollouts run in microseconds, and a crash is only the loss of the round.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::domain::alert::Alert;
use crate::domain::canary::{CanaryAnalysis, CanaryMetric, CanaryService, CanarySpec, CanaryWebhook, ObjectReference, ThresholdRange};
use crate::domain::intent::{Intent, Verb};
use crate::domain::readiness::{DeploymentState, WorkloadState};
use crate::domain::target::CanaryKey;
use crate::domain::traffic::Abilities;
use crate::engine::effect::Answer;
use crate::engine::invariants;
use crate::engine::observation::{ForeignWrite, Leaving, stamp};

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

fn workload(uid: &str, image: &str, replicas: i64) -> Workload {
    Workload {
        revision: Revision::of(uid, 1, &json!({"image": image})),
        replicas,
        state: WorkloadState::Deployment(DeploymentState {
            replicas_wanted: replicas,
            replicas,
            updated: replicas,
            available: replicas,
            progressing_reason: Some("NewReplicaSetAvailable".into()),
            ..Default::default()
        }),
        stamp: None,
    }
}

pub fn deployment(workload: &mut Option<Workload>) -> &mut DeploymentState {
    match &mut workload.as_mut().expect("a workload").state {
        WorkloadState::Deployment(state) => state,
        other => panic!("no Deployment: {other:?}"),
    }
}

/// A route that gives `traffic`.
pub fn present(traffic: Traffic) -> Route {
    Route::Present { traffic, foreign: None, pending: None }
}

fn metric(name: &str, min: Option<f64>, max: Option<f64>) -> CanaryMetric {
    CanaryMetric { name: name.into(), threshold_range: Some(ThresholdRange { min, max }), ..Default::default() }
}

pub fn spec() -> CanarySpec {
    CanarySpec {
        target_ref: ObjectReference { kind: "Deployment".into(), name: "web".into(), ..Default::default() },
        service: CanaryService { port: 80, ..Default::default() },
        analysis: CanaryAnalysis {
            interval: Some("10s".into()),
            threshold: 2,
            step_weight: 20,
            max_weight: 50,
            metrics: vec![metric("request-success-rate", Some(99.0), None), metric("request-duration", None, Some(500.0))],
            ..Default::default()
        },
        ..Default::default()
    }
}

pub fn fresh() -> Observation {
    Observation {
        key: CanaryKey::new("test", "web"),
        version: "1".into(),
        spec: spec(),
        undecodable: None,
        status: CanaryStatus::default(),
        router: "istio".into(),
        can: Abilities {
            progressive: true,
            ab_testing: true,
            blue_green: true,
            mirror_iterations: true,
            mirror_progressive: true,
            session_affinity: true,
        },
        route_mistake: None,
        holds_without_data: false,
        hook_headers: String::new(),
        uid: "c".into(),
        finalizer: false,
        leaving: Leaving::default(),
        scaler: None,
        gates: Vec::new(),
        gate_mistakes: Vec::new(),
        deleting: false,
        intents: Vec::new(),
        broken_intents: Vec::new(),
        hands_off: None,
        target: Some(workload("t", "one", 2)),
        primary: None,
        configs: Ok(BTreeMap::from([("configmap/web".into(), "a".into())])),
        services: [ServiceRole::Canary, ServiceRole::Primary, ServiceRole::Apex].into(),
        route: Route::Differs { what: "missing".into(), traffic: None },
        primary_equals_target: false,
        round: None,
    }
}

/// An observation in mid-run, for tests of judgements.
pub fn progressing(weight: i64) -> Observation {
    let mut world = World::new(fresh());
    world.run_until(Phase::Initialized);
    world.release("two");
    world.run_while(|w| w.seen.status.canary_weight < weight);
    world.seen
}

pub struct World {
    pub seen: Observation,
    pub now: i64,
    pub said: Vec<String>,
    pub phases: Vec<(Phase, i64, i64, i64)>,
    pub success: Vec<Answer>,
    pub effects: usize,
    pub mutations: Vec<String>,
    pub crash_each: bool,
    pub alerts: Vec<Alert>,
    /// Types of webhooks that do not pass.
    pub refused: Vec<&'static str>,
}

impl World {
    pub fn new(seen: Observation) -> Self {
        Self {
            seen,
            now: 1_000,
            said: Vec::new(),
            phases: Vec::new(),
            success: Vec::new(),
            effects: 0,
            mutations: Vec::new(),
            crash_each: false,
            refused: Vec::new(),
            alerts: Vec::new(),
        }
    }

    pub fn release(&mut self, image: &str) {
        let target = self.seen.target.as_mut().expect("a target");
        let next = workload("t", image, target.replicas);
        let generation = target.revision.generation + 1;
        *target = next;
        target.revision.generation = generation;
    }

    pub fn ask(&mut self, verb: Verb) -> String {
        let id = format!("i{}", self.effects);
        self.seen.intents.push(Intent {
            id: id.clone(),
            verb,
            revision: self.seen.status.last_applied_spec.clone(),
            who: "bo".into(),
            at: at(self.now),
            why: "INC-42".into(),
            gate: String::new(),
        });
        id
    }

    pub fn step(&mut self) -> Step {
        let step = step(&self.seen, at(self.now));
        if let Some(rule) = invariants::broken(&self.seen, &step, at(self.now)) {
            panic!("{rule}");
        }
        if let Some(effect) = step.effect.clone() {
            self.effects += 1;
            assert!(self.effects < 2_000, "does not come to rest: {effect:?}");
            self.perform(effect);
        }
        step
    }

    fn perform(&mut self, effect: Effect) {
        let seen = &mut self.seen;
        if effect.mutates() {
            self.mutations.push(format!("{effect:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned());
            if self.crash_each {
                seen.round = None;
            }
        }
        match effect {
            Effect::EnsureService(role) => {
                seen.services.remove(&role);
            }
            Effect::CopyToPrimary { id } => {
                let target = seen.target.as_ref().expect("a target");
                let mut primary = target.clone();
                primary.replicas = seen.primary.as_ref().map_or(2, |p| p.replicas);
                primary.stamp = Some(id);
                seen.primary = Some(primary);
            }
            Effect::EnsureRoute => seen.route = present(seen.route.traffic()),
            Effect::SetTraffic(_) if matches!(seen.route, Route::None) => panic!("no route has traffic to set"),
            Effect::SetTraffic(traffic) => seen.route = present(traffic),
            Effect::EnsureScaler => {
                if let Some(Scaler::Present { differs, .. }) = &mut seen.scaler {
                    *differs = false;
                }
            }
            Effect::PauseScaler(on) => {
                if let Some(Scaler::Present { paused, .. }) = &mut seen.scaler {
                    *paused = Some(on);
                }
            }
            Effect::Finalizer { present, say } => {
                self.said.extend(say.into_iter().map(|s| s.message));
                seen.finalizer = present;
            }
            Effect::RestoreService => seen.leaving.service = false,
            Effect::RestoreRoute => seen.leaving.route = false,
            Effect::ScaleTarget(scale) => {
                let target = seen.target.as_mut().expect("a target");
                let replicas = match scale {
                    Scale::Zero => 0,
                    Scale::To(n) => n,
                };
                let generation = target.revision.generation + 1;
                target.replicas = replicas;
                target.state = workload("t", "", replicas).state;
                target.revision.generation = generation;
            }
            Effect::WriteStatus { status, say } => {
                self.alerts.extend(say.iter().filter_map(|s| s.alert.clone()));
                self.said.extend(say.into_iter().map(|s| s.message));
                let was = (seen.status.phase, seen.status.canary_weight, seen.status.iterations, seen.status.failed_checks);
                seen.status = *status;
                let is = (seen.status.phase, seen.status.canary_weight, seen.status.iterations, seen.status.failed_checks);
                if was != is {
                    self.phases.push(is);
                }
            }
            Effect::RemoveIntent { id } => seen.intents.retain(|i| i.id != id),
            Effect::Ask(question) => {
                let answer = match question {
                    Question::Hook { kind, .. } if self.refused.contains(&kind.word()) => Answer::Error("closed".into()),
                    Question::Online | Question::Hook { .. } => Answer::Passed,
                    Question::Metric { index: 0 } if !self.success.is_empty() => {
                        if self.success.len() > 1 {
                            self.success.remove(0)
                        } else {
                            self.success[0].clone()
                        }
                    }
                    Question::Metric { .. } => Answer::Value(100.0),
                };
                let (checksum, due) = round_of(seen, at(self.now));
                let fits = seen.round.as_ref().is_some_and(|r| r.checksum == checksum && r.due == due);
                if !fits {
                    seen.round = Some(Round { checksum, due, answers: BTreeMap::new() });
                }
                seen.round.as_mut().expect("a round").answers.insert(question, answer);
            }
        }
    }

    pub fn run_while(&mut self, go_on: impl Fn(&Self) -> bool) {
        let start = self.now;
        while go_on(self) {
            let step = self.step();
            if step.effect.is_none() {
                self.now += 1;
                assert!(self.now < start + 2_000, "waits for ever: {:?} in {:?}", step.report, self.seen.status.phase);
            }
        }
    }

    pub fn run_until(&mut self, phase: Phase) {
        self.run_while(|w| w.seen.status.phase != phase);
    }

    pub fn rest(&mut self) {
        while self.step().effect.is_some() {}
    }
}

pub fn ready() -> World {
    let mut world = World::new(fresh());
    world.run_until(Phase::Initialized);
    world.rest();
    world.phases.clear();
    world.said.clear();
    world.mutations.clear();
    world
}

#[test]
fn a_good_release_goes_through_its_weights_and_is_promoted() {
    let mut world = ready();
    world.release("two");
    world.run_until(Phase::Succeeded);
    use Phase::{Finalising, Progressing, Promoting, Succeeded};
    assert_eq!(
        world.phases,
        [
            (Progressing, 0, 0, 0),
            (Progressing, 20, 0, 0),
            (Progressing, 40, 0, 0),
            (Progressing, 60, 0, 0),
            (Promoting, 60, 0, 0),
            (Finalising, 0, 0, 0),
            (Succeeded, 0, 0, 0)
        ]
    );
    assert_eq!(world.seen.primary.as_ref().map(|p| &p.revision.hash), world.seen.target.as_ref().map(|t| &t.revision.hash));
    assert_eq!(world.seen.status.last_promoted_spec, world.seen.status.last_applied_spec);
    assert_eq!(world.seen.target.as_ref().map(|t| t.replicas), Some(0));
    assert!(world.said.contains(&"Advance web.test canary weight 40".to_owned()), "{:?}", world.said);
    world.mutations.clear();
    world.rest();
    world.now += 100_000;
    assert_eq!(world.step().effect, None, "settled canaries ask for nothing");
}

#[test]
fn a_bad_release_is_rolled_back_one_tick_after_the_threshold() {
    let mut world = ready();
    world.success = vec![Answer::Value(100.0), Answer::Value(50.0)];
    world.release("bad");
    world.run_until(Phase::Failed);
    use Phase::{Failed, Progressing};
    assert_eq!(
        world.phases,
        [
            (Progressing, 0, 0, 0),
            (Progressing, 20, 0, 0),
            (Progressing, 40, 0, 0),
            (Progressing, 40, 0, 1),
            (Progressing, 40, 0, 2),
            (Failed, 0, 0, 0)
        ]
    );
    assert!(world.said.contains(&"Rolling back web.test failed checks threshold reached 2".to_owned()), "{:?}", world.said);
    assert_ne!(world.seen.primary.as_ref().map(|p| &p.revision.hash), world.seen.target.as_ref().map(|t| &t.revision.hash));
    world.rest();
    world.now += 10_000;
    let rest = world.step();
    assert_eq!(rest.effect, None, "Failed stays Failed");
    let finding = rest.report.finding.expect("what it failed of");
    assert_eq!(
        (finding.check.as_str(), finding.value, finding.broken(), finding.weight, finding.failed, finding.threshold),
        ("request-success-rate", Some(50.0), Some(99.0), 40, 2, 2)
    );
    assert_eq!(world.seen.engine().finding, Some(finding), "any process reads it in the status");
    world.release("good");
    world.run_until(Phase::Progressing);
    assert_eq!(world.seen.engine().finding, None, "what it says is of the last rollout");
}

#[test]
fn a_check_that_passes_again_is_no_finding() {
    let mut world = ready();
    world.success = vec![Answer::Value(50.0), Answer::Value(100.0)];
    world.release("two");
    world.run_while(|w| w.seen.status.failed_checks == 0);
    assert!(world.seen.engine().finding.is_some_and(|f| f.failed == 1));
    world.run_while(|w| w.seen.status.canary_weight < 40);
    assert_eq!(world.seen.engine().finding, None);
}

#[test]
fn unknown_is_never_success() {
    for unknown in
        [Answer::NoData, Answer::Value(f64::NAN), Answer::Value(f64::INFINITY), Answer::Error("i/o timeout".into()), Answer::Passed]
    {
        let mut world = ready();
        world.success = vec![unknown.clone()];
        world.release("dark");
        world.run_until(Phase::Failed);
        assert!(world.phases.iter().all(|p| p.1 <= 20), "{unknown:?}: {:?}", world.phases);
    }
}

#[test]
fn blue_green_on_plain_kubernetes_counts_and_copies() {
    let mut seen = fresh();
    seen.router = "kubernetes".into();
    seen.route = Route::None;
    seen.spec.analysis = CanaryAnalysis { iterations: 3, ..CanaryAnalysis { step_weight: 0, max_weight: 0, ..seen.spec.analysis } };
    let mut world = World::new(seen);
    world.run_until(Phase::Initialized);
    world.phases.clear();
    world.release("two");
    world.run_until(Phase::Succeeded);
    let seen: Vec<_> = world.phases.iter().map(|p| (p.0, p.2)).collect();
    use Phase::{Finalising, Progressing, Promoting, Succeeded};
    assert_eq!(
        seen,
        [
            (Progressing, 0),
            (Progressing, 1),
            (Progressing, 2),
            (Progressing, 3),
            (Progressing, 4),
            (Promoting, 4),
            (Finalising, 0),
            (Succeeded, 0)
        ]
    );
}

#[test]
fn a_crash_after_any_write_ends_in_the_same_place() {
    let outcome = |crash: bool| {
        let mut world = World::new(fresh());
        world.crash_each = crash;
        world.run_until(Phase::Initialized);
        world.release("two");
        world.run_until(Phase::Succeeded);
        world.rest();
        (world.phases, world.mutations)
    };
    assert_eq!(outcome(false), outcome(true));
}

#[test]
fn paused_holds_its_weight_and_resume_starts_a_new_interval() {
    let mut world = ready();
    world.release("two");
    world.run_while(|w| w.seen.status.canary_weight < 40);
    let id = world.ask(Verb::Pause);
    world.rest();
    assert!(world.seen.engine().verdict(&id).is_some_and(|v| v.accepted) && world.seen.intents.is_empty());
    let effects = world.effects;
    for _ in 0..100 {
        world.now += 1;
        assert_eq!(world.step().report.reason, Reason::Paused);
    }
    assert_eq!((world.effects, world.seen.route.canary()), (effects, 40));
    world.ask(Verb::Resume);
    world.rest();
    let resumed = world.now;
    world.run_while(|w| w.seen.status.canary_weight == 40);
    assert!(world.now >= resumed + 10, "a new interval after a pause");
}

#[test]
fn abort_writes_the_route_first_and_needs_no_metrics() {
    let mut world = ready();
    world.success = vec![Answer::Value(100.0), Answer::Error("down".into())];
    world.release("two");
    world.run_while(|w| w.seen.status.canary_weight < 20);
    world.mutations.clear();
    world.ask(Verb::Abort);
    world.rest();
    assert_eq!(world.seen.status.phase, Phase::Failed);
    assert_eq!(world.mutations[..3], ["SetTraffic", "ScaleTarget", "WriteStatus"]);
    assert_eq!(world.step().report, Report::new(Reason::Aborted, "aborted by bo: INC-42"));
    world.ask(Verb::Retry);
    world.success = Vec::new();
    world.run_until(Phase::Succeeded);
}

#[test]
fn a_native_gate_binds_to_one_revision_and_closes_behind_itself() {
    let mut world = ready();
    world.seen.gates = vec![HookKind::ConfirmPromotion];
    world.release("two");
    world.run_until(Phase::WaitingPromotion);
    assert_eq!(world.seen.status.canary_weight, 60, "truthful while it waits");
    world.now += 300;
    world.rest();
    world.now += 5;
    world.ask(Verb::Approve);
    world.run_until(Phase::Succeeded);
    world.release("three");
    world.run_until(Phase::WaitingPromotion);
    let before = world.now;
    while world.now < before + 200 {
        if world.step().effect.is_none() {
            world.now += 1;
        }
    }
    assert_eq!(world.seen.status.phase, Phase::WaitingPromotion, "an approval opens nothing for the next revision");
    world.ask(Verb::Reject);
    world.rest();
    assert_eq!(world.seen.status.phase, Phase::Failed);
}

#[test]
fn a_waiting_canary_is_still_judged_and_rolled_back() {
    let mut world = ready();
    world.seen.gates = vec![HookKind::ConfirmPromotion];
    world.release("two");
    world.run_until(Phase::WaitingPromotion);
    world.success = vec![Answer::Value(10.0)];
    world.run_until(Phase::Failed);
}

#[test]
fn a_new_revision_in_mid_run_starts_again_with_nothing_carried_over() {
    let mut world = ready();
    world.release("two");
    world.run_while(|w| w.seen.status.canary_weight < 40);
    world.release("three");
    world.rest();
    assert_eq!((world.seen.status.canary_weight, world.seen.route.canary(), world.seen.status.phase), (0, 0, Phase::Progressing));
    assert!(world.said.contains(&"New revision detected! Restarting analysis for web.test".to_owned()));
    world.run_until(Phase::Succeeded);
}

#[test]
fn a_verb_for_a_revision_that_has_moved_on_is_refused() {
    let mut world = ready();
    world.release("two");
    world.run_while(|w| w.seen.status.canary_weight < 20);
    let id = world.ask(Verb::Promote);
    world.seen.intents[0].revision = "p1:t:0:older".into();
    world.rest();
    let verdict = world.seen.engine().verdict(&id).cloned().expect("a verdict");
    assert!(!verdict.accepted && verdict.note.contains("moved on"), "{verdict:?}");
    assert_eq!(world.seen.status.canary_weight, 20);
}

#[test]
fn promote_skips_the_analysis_but_not_readiness() {
    let mut world = ready();
    world.release("two");
    world.run_while(|w| w.seen.status.canary_weight < 20);
    deployment(&mut world.seen.target).available = 0;
    world.ask(Verb::Promote);
    world.rest();
    assert_eq!(world.seen.status.phase, Phase::Progressing);
    deployment(&mut world.seen.target).available = 2;
    world.rest();
    assert_eq!(world.seen.status.phase, Phase::Promoting);
}

#[test]
fn a_primary_that_does_not_come_up_leaves_traffic_on_the_healthy_canary() {
    let mut world = ready();
    world.release("two");
    world.run_until(Phase::Promoting);
    world.rest();
    deployment(&mut world.seen.primary).progressing_reason = Some("ProgressDeadlineExceeded".into());
    world.run_until(Phase::Failed);
    assert_eq!((world.seen.status.canary_weight, world.seen.route.canary()), (100, 100));
    assert!(world.seen.target.as_ref().is_some_and(|t| t.replicas > 0), "the canary keeps running");
}

#[test]
fn a_foreign_write_to_the_route_pauses_and_resume_goes_on_from_there() {
    let mut world = ready();
    world.release("two");
    world.run_while(|w| w.seen.status.canary_weight < 20);
    world.seen.route = Route::Present {
        traffic: Traffic::weight(80),
        foreign: Some(ForeignWrite { manager: "kubectl-edit".into(), resource_version: "7".into() }),
        pending: None,
    };
    world.rest();
    assert_eq!(world.step().report.reason, Reason::Paused);
    assert!(world.said.last().is_some_and(|s| s.contains("kubectl-edit")), "{:?}", world.said);
    world.ask(Verb::Resume);
    world.rest();
    assert_eq!(world.seen.status.canary_weight, 80);
    world.run_until(Phase::Succeeded);
}

#[test]
fn what_cannot_be_run_says_so_once_and_moves_nothing() {
    let mut world = ready();
    world.seen.spec.analysis.step_weight = 0;
    world.release("two");
    world.rest();
    assert!(world.said.iter().any(|s| s.contains("stepWeight 0")));
    let effects = world.effects;
    world.now += 10_000;
    world.rest();
    assert_eq!((world.effects, world.seen.status.phase), (effects, Phase::Initialized));
}

#[test]
fn where_someone_else_drives_nothing_is_asked_for() {
    let mut seen = fresh();
    seen.hands_off = Some("Flagger drives this cluster".into());
    seen.intents.push(Intent {
        id: "x".into(),
        verb: Verb::Pause,
        revision: String::new(),
        who: "bo".into(),
        at: at(0),
        why: String::new(),
        gate: String::new(),
    });
    let step = step(&seen, at(5));
    assert_eq!((step.effect, step.report.reason), (None, Reason::Foreign));
}

#[test]
fn a_foreign_hash_over_the_same_content_is_adopted_without_a_rollout() {
    let mut world = ready();
    world.seen.status.last_applied_spec = "6b7d4c9f5".into();
    world.seen.status.last_promoted_spec = "6b7d4c9f5".into();
    world.seen.primary_equals_target = true;
    world.rest();
    assert_eq!(world.seen.status.phase, Phase::Initialized);
    assert!(Revision::parse(&world.seen.status.last_applied_spec).is_some());
}

#[test]
fn hooks_are_called_at_their_moments() {
    let mut seen = fresh();
    let hook = |name: &str, kind: &str| CanaryWebhook {
        name: name.into(),
        kind: Some(kind.into()),
        url: "http://hook".into(),
        ..Default::default()
    };
    seen.spec.analysis.webhooks = vec![hook("conf", "pre-rollout"), hook("load", "rollout"), hook("done", "post-rollout")];
    let mut world = World::new(seen);
    world.run_until(Phase::Initialized);
    world.said.clear();
    world.release("two");
    world.run_until(Phase::Succeeded);
    world.rest();
    let order = [
        "Starting canary analysis for web.test",
        "Pre-rollout check conf passed",
        "Advance web.test canary weight 20",
        "Promotion completed! Scaling down web.test",
        "Post-rollout check done passed",
    ];
    let at: Vec<_> =
        order.iter().map(|m| world.said.iter().position(|s| s == m).unwrap_or_else(|| panic!("{m} in {:?}", world.said))).collect();
    assert!(at.is_sorted(), "{:?}", world.said);
    assert_eq!(world.seen.primary.as_ref().and_then(|p| p.stamp.clone()), world.seen.recorded_checksum().map(|c| stamp(&c)));
}

#[test]
fn bad_input_23_a_clock_that_was_set_back_starts_a_new_interval_and_nothing_else() {
    let mut world = ready();
    world.release("two");
    world.run_while(|w| w.seen.status.canary_weight < 20);
    world.now -= 3_600;
    let before = world.seen.status.clone();
    world.rest();
    assert_eq!(world.seen.status.last_transition_time, Some(at(world.now)));
    assert_eq!((world.seen.status.canary_weight, world.seen.status.failed_checks), (before.canary_weight, before.failed_checks));
    assert!(world.said.last().is_some_and(|said| said.contains("set back")));
    world.run_until(Phase::Succeeded);
}

#[test]
fn a_hand_on_the_route_at_rest_is_told_and_the_next_rollout_begins_with_the_primary() {
    let mut world = ready();
    world.seen.gates = vec![HookKind::ConfirmRollout];
    world.seen.route = Route::Present {
        traffic: Traffic::weight(60),
        foreign: Some(ForeignWrite { manager: "kubectl-edit".into(), resource_version: "9".into() }),
        pending: None,
    };
    world.rest();
    let report = world.seen.engine().report.expect("a report");
    assert!(report.0 == "foreign-write" && report.1.contains("kubectl-edit gives the canary 60 %"), "{report:?}");
    world.release("two");
    world.rest();
    assert_eq!((world.seen.status.phase, world.seen.route.canary()), (Phase::Waiting, 0));
}

#[test]
fn where_neither_primary_nor_canary_is_ready_the_weights_stay() {
    let mut world = ready();
    world.release("two");
    world.run_until(Phase::Promoting);
    world.rest();
    let weight = world.seen.route.canary();
    for workload in [&mut world.seen.primary, &mut world.seen.target] {
        let state = deployment(workload);
        state.available = 0;
        state.progressing_reason = Some("ProgressDeadlineExceeded".into());
    }
    world.run_until(Phase::Failed);
    assert!(weight > 0);
    assert_eq!((world.seen.route.canary(), world.seen.status.canary_weight), (weight, weight));
}
