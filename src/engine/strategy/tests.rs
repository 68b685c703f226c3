//! Whole rollouts in the small world of the step's tests: every strategy, the gates of webhooks, scalers, cookies, what another
//! controller left, and the end of a Canary.

use serde_json::json;

use crate::domain::alert::Severity;
use crate::domain::canary::{CanaryAnalysis, CanaryWebhook};
use crate::domain::intent::Verb;
use crate::domain::phase::Phase;
use crate::domain::traffic::{Abilities, Traffic};
use crate::engine::effect::Answer;
use crate::engine::observation::{Leaving, Scaler};
use crate::engine::step::tests::{World, at, deployment, fresh, present, ready};

#[test]
fn a_route_without_parts_gives_traffic_back_at_once() {
    let mut world = ready();
    world.seen.can = Abilities::NONE;
    world.seen.router = "kubernetes".into();
    world.seen.spec.analysis.iterations = 1;
    world.seen.spec.analysis.step_weight_promotion = 50;
    world.release("two");
    world.run_while(|w| w.seen.route.canary() < 100);
    world.run_until(Phase::Succeeded);
    assert_eq!(world.seen.route.canary(), 0);
}

#[test]
fn every_strategy_goes_through_its_moves() {
    type Change = fn(&mut CanaryAnalysis);
    let cases: [(&str, Change, &[&str]); 4] = [
        (
            "A/B",
            |a| (a.iterations, a.matches) = (2, vec![crate::domain::api::Free(json!({"headers": {"x": {"exact": "y"}}}))]),
            &["Advance web.test canary iteration 1/2", "Advance web.test canary iteration 2/2"],
        ),
        ("blue/green", |a| a.iterations = 1, &["Advance web.test canary iteration 1/1", "Routing all traffic to canary"]),
        (
            "mirrored blue/green",
            |a| (a.iterations, a.mirror) = (1, true),
            &["Advance web.test canary iteration 1/1", "Stop traffic mirroring and route all traffic to canary"],
        ),
        (
            "mirrored weights",
            |a| a.mirror = true,
            &[
                "Advance web.test canary weight 0",
                "Advance web.test canary weight 20",
                "Advance web.test canary weight 40",
                "Advance web.test canary weight 60",
            ],
        ),
    ];
    for crash_each in [false, true] {
        for (name, change, expected) in cases {
            let mut world = ready();
            change(&mut world.seen.spec.analysis);
            world.crash_each = crash_each;
            world.release("two");
            world.run_until(Phase::Succeeded);
            let said: Vec<_> = world.said.iter().filter(|s| s.contains("Advance") || s.contains("traffic to canary")).collect();
            assert_eq!(said, expected.iter().collect::<Vec<_>>(), "{name}");
            assert_eq!(world.seen.route.traffic(), Traffic::PRIMARY, "{name}");
        }
    }
}

#[test]
fn webhook_gates_close_once_and_open_by_their_hooks_alone() {
    let hook = |kind: &str| CanaryWebhook { name: kind.into(), kind: Some(kind.into()), url: "http://a".into(), ..Default::default() };
    let mut world = ready();
    world.seen.spec.analysis.webhooks = vec![hook("confirm-rollout"), hook("confirm-promotion"), hook("rollback")];
    world.refused = vec!["confirm-rollout", "rollback"];
    world.release("two");
    world.run_until(Phase::Waiting);
    world.ask(Verb::Approve);
    world.rest();
    assert_eq!(world.seen.status.phase, Phase::Waiting, "a human cannot speak for a webhook");
    assert!(world.said.iter().any(|s| s.contains("held by webhook confirm-rollout")), "{:?}", world.said);
    world.now += 60;
    world.rest();
    assert_eq!(world.said.iter().filter(|s| s.contains("waiting for approval confirm-rollout")).count(), 1, "said once");
    world.refused = vec!["confirm-promotion", "rollback"];
    world.run_until(Phase::WaitingPromotion);
    assert_eq!(world.seen.status.canary_weight, 60, "the weight is what the route has");
    // A rollback hook that passes ends it.
    world.refused = vec!["confirm-promotion"];
    world.run_until(Phase::Failed);
    assert!(world.said.iter().any(|s| s == "Rolling back web.test manual webhook invoked"));
}

#[test]
fn no_data_holds_the_weight_with_a_limit_of_its_own() {
    let mut world = ready();
    world.seen.holds_without_data = true;
    world.seen.spec.progress_deadline_seconds = Some(60);
    world.release("two");
    world.run_while(|w| w.seen.status.canary_weight < 20);
    world.success = vec![Answer::NoData];
    let began = world.now;
    world.run_until(Phase::Failed);
    assert!(world.now - began > 60 && world.now - began < 90, "{}", world.now - began);
    assert_eq!(world.phases.iter().filter(|p| p.3 > 0).count(), 0, "no check failed");
    let mut world = ready();
    world.seen.holds_without_data = true;
    world.release("two");
    world.run_while(|w| w.seen.status.canary_weight < 20);
    world.success = vec![Answer::NoData, Answer::NoData, Answer::Value(100.0)];
    world.run_until(Phase::Succeeded);
}

#[test]
fn skip_analysis_asks_nothing_and_waits_for_readiness_all_the_same() {
    let mut world = ready();
    world.seen.spec.skip_analysis = true;
    world.success = vec![Answer::Value(0.0)];
    world.release("two");
    world.run_until(Phase::Progressing);
    deployment(&mut world.seen.target).available = 0;
    world.rest();
    assert_eq!(world.seen.status.phase, Phase::Progressing);
    deployment(&mut world.seen.target).available = 2;
    world.run_while(|w| w.seen.primary.as_ref().is_none_or(|p| p.stamp != w.seen.recorded_stamp()));
    deployment(&mut world.seen.primary).available = 0;
    world.rest();
    assert_eq!(world.seen.status.phase, Phase::Promoting, "the canary serves until the primary is ready");
    deployment(&mut world.seen.primary).available = 2;
    world.run_until(Phase::Succeeded);
    assert!(world.said.iter().any(|s| s == "Promotion completed! Canary analysis was skipped for web.test"));
}

#[test]
fn scalers_rest_with_their_targets() {
    let mut world = World::new(fresh());
    world.seen.scaler = Some(Scaler::Present { differs: true, paused: Some(false), least: 3 });
    let paused = |world: &World| matches!(world.seen.scaler, Some(Scaler::Present { paused: Some(true), .. }));
    world.run_until(Phase::Initialized);
    assert!(paused(&world));
    world.release("two");
    world.run_until(Phase::Progressing);
    assert!(!paused(&world));
    assert_eq!(world.seen.target.as_ref().map(|t| t.replicas), Some(3));
    world.run_until(Phase::Succeeded);
    assert!(paused(&world));
}

#[test]
fn what_another_controller_left_is_taken_over_without_a_rollout_that_should_not_be() {
    let foreign = |phase: Phase| {
        let mut world = ready();
        world.seen.status.last_applied_spec = "6b7d4c9f5".into();
        world.seen.status.last_promoted_spec = "6b7d4c9f5".into();
        world.seen.status.phase = phase;
        world
    };
    for phase in [Phase::Initialized, Phase::Succeeded] {
        let mut world = foreign(phase);
        world.seen.primary_equals_target = true;
        world.rest();
        assert_eq!((world.seen.status.phase, world.mutations.as_slice()), (phase, &["WriteStatus".to_owned()][..]));
    }
    let mut failed = foreign(Phase::Failed);
    failed.rest();
    assert_eq!(failed.seen.status.phase, Phase::Failed, "Failed stays Failed");
    for phase in [Phase::Promoting, Phase::Finalising] {
        let mut world = foreign(phase);
        world.seen.status.last_transition_time = Some(at(world.now));
        world.seen.target.as_mut().expect("a target").replicas = 2;
        world.run_until(Phase::Succeeded);
        assert!(!world.mutations.iter().any(|m| m == "CopyToPrimary"), "{phase}: it was copied before");
    }
    let mut configured = foreign(Phase::Succeeded);
    configured.seen.primary_equals_target = true;
    configured.seen.configs = Ok(std::collections::BTreeMap::from([("configmap/web".into(), "b".into())]));
    configured.run_until(Phase::Progressing);
    let mut waiting = foreign(Phase::WaitingPromotion);
    (waiting.seen.status.iterations, waiting.seen.route) = (-1, present(Traffic::weight(50)));
    waiting.run_until(Phase::Succeeded);
    let mut flying = foreign(Phase::Progressing);
    flying.seen.route = present(Traffic::weight(40));
    flying.seen.status.canary_weight = 40;
    flying.rest();
    assert_eq!(
        (flying.seen.status.phase, flying.seen.status.canary_weight),
        (Phase::Progressing, 0),
        "what nobody here has judged is judged anew"
    );
}

#[test]
fn a_canary_that_goes_gives_its_target_the_traffic_back_first() {
    let mut world = ready();
    world.seen.spec.revert_on_deletion = true;
    world.rest();
    assert!(world.seen.finalizer);
    world.seen.deleting = true;
    world.seen.leaving = Leaving { service: true, route: true };
    world.mutations.clear();
    world.rest();
    assert_eq!(world.mutations, ["WriteStatus", "ScaleTarget", "RestoreService", "RestoreRoute", "Finalizer"]);
    assert!(!world.seen.finalizer && world.said.iter().any(|s| s == "Terminated canary web.test"));
    let mut gone = ready();
    (gone.seen.finalizer, gone.seen.deleting, gone.seen.target) = (true, true, None);
    gone.rest();
    assert!(!gone.seen.finalizer, "with nothing left to give back to, it goes at once");
}

#[test]
fn cookies_belong_to_one_run_and_are_dropped_after_it() {
    let mut world = ready();
    world.seen.spec.analysis.session_affinity =
        Some(crate::domain::canary::SessionAffinity { cookie_name: "stick".into(), ..Default::default() });
    world.release("two");
    world.run_until(Phase::Progressing);
    let first = world.seen.status.session_affinity_cookie.clone();
    assert!(first.starts_with("stick=") && first.len() == 16, "{first}");
    world.run_until(Phase::Succeeded);
    assert_eq!((world.seen.status.session_affinity_cookie.as_str(), &world.seen.status.previous_session_affinity_cookie), ("", &first));
    world.release("three");
    world.run_until(Phase::Progressing);
    assert_ne!(world.seen.status.session_affinity_cookie, first);
}

#[test]
fn the_same_mistake_made_again_is_a_new_revision() {
    let mut world = ready();
    world.success = vec![Answer::Value(0.0)];
    world.release("bad");
    world.run_until(Phase::Failed);
    world.release("one");
    world.rest();
    assert_eq!(world.seen.status.phase, Phase::Failed, "going back to what is promoted starts nothing");
    world.release("bad");
    world.run_until(Phase::Progressing);
}

#[test]
fn a_deadline_is_noticed_when_it_passes_and_not_at_the_next_look() {
    let mut world = ready();
    world.release("two");
    world.run_until(Phase::Progressing);
    let state = deployment(&mut world.seen.target);
    (state.available, state.unavailable_since) = (0, Some(at(1_000)));
    let _ = world.step();
    let waits = world.step();
    assert_eq!((waits.effect, waits.wake), (None, Some(at(1_601))));
}

#[test]
fn every_rollback_alerts() {
    type Trouble = fn(&mut World);
    let causes: [(&str, Trouble); 4] = [
        ("failed checks", |w| w.success = vec![Answer::Value(0.0)]),
        ("a deadline", |w| deployment(&mut w.seen.target).progressing_reason = Some("ProgressDeadlineExceeded".into())),
        ("an order", |w| {
            w.ask(Verb::Abort);
        }),
        ("a primary that is gone", |w| deployment(&mut w.seen.primary).progressing_reason = Some("ProgressDeadlineExceeded".into())),
    ];
    for (what, cause) in causes {
        let mut world = ready();
        world.release("two");
        world.run_while(|w| w.seen.status.canary_weight < 20);
        world.alerts.clear();
        cause(&mut world);
        world.run_until(Phase::Failed);
        assert!(world.alerts.iter().any(|a| a.severity >= Severity::Warn), "{what}: {:?}", world.alerts);
    }
}
