//! Why the canary `eks/app/search` of the test fleet was rolled back, as a session would explain it.

use std::borrow::Cow;

use super::harness::{Harness, before, now};
use crate::domain::intent::{Verb, Verdict};
use crate::domain::phase::Phase;
use crate::session::questions::Answer;
use crate::session::timeline::timeline;
use crate::session::view::{EventView, Indicator, MetricView, SloSeries};
use crate::session::why::{Change, Difference, Explanation, Finding, Pods, Proof, Severity, Twin, TwinDifference, TwinState};
use crate::ui::message::Event;

/// Tells a console the whole of it.
pub fn search(harness: &mut Harness) {
    let explanation = explanation(harness);
    let target = explanation.target.parse().expect("a target");
    harness.event(Event::Answer(Answer::Why { target, explanation: Ok(Box::new(explanation)) }));
}

fn event(seconds: i64, warning: bool, message: &str, count: u32) -> EventView {
    EventView { at: Some(before(seconds)), warning, message: message.into(), count }
}

fn finding(rule: &'static str, severity: Severity, text: &str, evidence: Vec<Proof>) -> Finding {
    Finding { rule: Cow::Borrowed(rule), severity, text: text.into(), evidence }
}

fn change(path: &str, was: Option<&str>, now: Option<&str>) -> Change {
    Change { path: path.into(), was: was.map(Into::into), now: now.map(Into::into) }
}

fn twin(provider: &str, phase: Phase, state: TwinState) -> Twin {
    let image = Some("shop/search:v2.10.0".to_string());
    Twin { target: format!("{provider}/app/search"), provider: provider.into(), phase, state, image }
}

/// Response times: calm until the weight was 30 %, with a gap, then five checks beyond the limit; the primary's beside them.
fn response_times() -> SloSeries {
    let calm = |at: u32| Some(f64::from(180 + (at * 37) % 60));
    let points = (0..40).map(|at| if at == 12 { None } else { calm(at) }).chain((0..8_u32).map(|at| Some(f64::from(560 + at * 13))));
    SloSeries { primary: (0..48).map(calm).collect(), ..SloSeries::new(Indicator::ResponseTime, Some(500.0), points.collect(), 15) }
}

fn explanation(harness: &Harness) -> Explanation {
    let target = "eks/app/search".parse().expect("a target");
    let context = harness.model.view.context("eks").expect("a context");
    let mut canary = harness.model.view.canary(&target).expect("a canary").clone();
    canary.events = vec![
        event(480, true, "Rolling back search.app failed checks threshold reached 5", 1),
        event(500, true, "Halt search.app advancement request duration 612ms > 500ms", 5),
        event(800, false, "Advance search.app canary weight 30", 1),
        event(860, false, "Advance search.app canary weight 20", 1),
        event(920, false, "Advance search.app canary weight 10", 1),
        event(980, false, "New revision detected! Scaling up search.app", 1),
    ];
    let series = response_times();
    let slow = Proof::Series { name: series.name.clone(), from: 40, to: 47 };
    let findings = vec![
        finding(
            "rolled-back",
            Severity::Cause,
            "Rolled back at weight 30 %: request-duration was 612, above its limit of 500; failed checks 5 of 5",
            vec![Proof::Report, Proof::Event { index: 1, at: canary.events[1].at }, slow.clone(), Proof::Pods],
        ),
        finding(
            "after-a-step",
            Severity::Cause,
            "Response time rose from 204 ms to 612 ms within 45s of weight 30 %",
            vec![slow, Proof::Event { index: 2, at: canary.events[2].at }],
        ),
        finding(
            "twins",
            Severity::Cause,
            "The same image is healthy on gke: fails only here; 2 values differ from gke/app/search",
            vec![Proof::Twin { target: "gke/app/search".into() }, Proof::TwinChanges],
        ),
        finding("changes", Severity::Warning, "The release changes 3 values: image, CACHE_SIZE, cpu", vec![Proof::Changes]),
        finding("no-data", Severity::Warning, "request-success-rate had no data for 15s while weight was 10 %", vec![]),
        finding("operator", Severity::Note, "bo resumed it 20m ago: graphs flat", vec![Proof::Verb { index: 0 }]),
        finding("next", Severity::Help, "`pilothouse retry eks/app/search` starts it again; a new revision does, too", vec![Proof::Sync]),
    ];
    Explanation {
        target: "eks/app/search".into(),
        as_of: before(3),
        provider: context.provider.clone(),
        environment: context.environment.clone(),
        wave: context.wave,
        link: context.link.clone(),
        heard: context.heard,
        driver: context.driver.clone(),
        sync: context.sync.clone(),
        phase: canary.phase,
        since: canary.since,
        weight: canary.weight,
        failed_checks: canary.failed_checks,
        threshold: canary.threshold,
        router: canary.router.clone(),
        strategy: canary.strategy.clone(),
        target_image: canary.target_image.clone(),
        primary_image: canary.primary_image.clone(),
        revision: canary.revision.clone(),
        report: canary.report.clone(),
        findings,
        timeline: timeline(&canary, now()),
        slo: vec![series],
        slo_until: before(480),
        metrics: vec![MetricView {
            name: "request-duration".into(),
            template: None,
            min: None,
            max: Some(500.0),
            interval: Some("1m".into()),
        }],
        gates: Vec::new(),
        hooks: Vec::new(),
        events: canary.events.clone(),
        verdicts: vec![Verdict {
            id: "01".into(),
            verb: Verb::Resume,
            accepted: true,
            who: "bo".into(),
            at: before(1_200),
            why: "graphs flat".into(),
            note: "goes on at 10 %".into(),
        }],
        canary_pods: Some(Pods {
            name: "search".into(),
            wanted: 4,
            updated: 4,
            available: 3,
            waits: Some("1 of 4 not ready".into()),
            expires: None,
        }),
        primary_pods: Some(Pods { name: "search-primary".into(), wanted: 4, updated: 4, available: 4, waits: None, expires: None }),
        changes: Difference {
            changes: vec![
                change("containers[search].image", Some("shop/search:v2.9.1"), Some("shop/search:v2.10.0")),
                change("containers[search].env[CACHE_SIZE].value", Some("512"), Some("2048")),
                change("containers[search].resources.limits.cpu", Some("500m"), None),
            ],
            more: 0,
        },
        twins: vec![twin("gke", Phase::Succeeded, TwinState::Healthy), twin("aks", Phase::Progressing, TwinState::Rolling)],
        twin_difference: Some(TwinDifference {
            target: "gke/app/search".into(),
            difference: Difference {
                changes: vec![
                    change("containers[search].resources.limits.memory", Some("1Gi"), Some("512Mi")),
                    change("replicas", Some("6"), Some("4")),
                ],
                more: 3,
            },
        }),
        gaps: vec!["aks has not answered within 5 s: what runs there is as of 12:01Z".into()],
    }
}
