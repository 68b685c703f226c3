//! Every rule, where it speaks and where it is silent; and a bad release in the simulation, explained.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::domain::intent::Verb;
use crate::engine::report::{CheckKind, Finding as Check, Reason};
use crate::session::canaries::Canaries;
use crate::session::testing::{before, canary, event, hook, now};
use crate::session::timeline::timeline;
use crate::session::view::{GateView, Indicator, PauseView, SyncState};

/// What nothing is wrong with.
fn calm() -> Evidence {
    of(CanaryView { report: Some(Report::new(Reason::Settled, "waits for a new revision")), ..canary(Phase::Succeeded) })
}

fn of(canary: CanaryView) -> Evidence {
    let context = ContextView {
        name: "eks".into(),
        provider: "eks".into(),
        environment: None,
        wave: None,
        mesh: None,
        link: Link::Live,
        heard: Some(now()),
        server_version: None,
        driver: DriverView::Here,
        sync: None,
        canaries: Canaries::default(),
        aliases: Vec::new(),
        credential: None,
        permissions: BTreeMap::new(),
        remembered: None,
        within: None,
        problems: Vec::new(),
    };
    Evidence {
        target: Target::new("eks", &canary.key),
        now: now(),
        context,
        suspended: false,
        timeline: timeline(&canary, now()),
        slo: Vec::new(),
        until: now(),
        canary_pods: None,
        primary_pods: None,
        changes: Difference::default(),
        twins: Vec::new(),
        twin_difference: None,
        gaps: Vec::new(),
        canary,
    }
}

fn rate(value: Option<f64>) -> Check {
    let check = Check { weight: 30, failed: 5, threshold: 5, ..Check::new(CheckKind::Metric, "request-success-rate") };
    let check = check.within(Some(99.0), None);
    match value {
        Some(value) => check.measured(value),
        None => check,
    }
}

/// Rolled back at 30 % by five checks.
fn rolled_back(check: Check) -> CanaryView {
    let (message, text) = ("failed checks threshold reached 5", "Halt web.test advancement success rate 97.20% < 99%");
    CanaryView {
        report: Some(Report::new(Reason::RolledBack, message).found(Some(check))),
        events: vec![
            event(240, "Canary failed! Scaling down web.test", 1),
            event(240, "Rolling back web.test failed checks threshold reached 5", 1),
            event(300, text, 5),
            event(540, "Advance web.test canary weight 30", 1),
            event(600, "Advance web.test canary weight 20", 1),
            event(700, "New revision detected! Scaling up web.test", 1),
        ],
        ..canary(Phase::Failed)
    }
}

/// Error rates of ten columns of a minute, the newest when it was rolled back.
fn errors(points: &[Option<f64>], primary: &[Option<f64>]) -> SloSeries {
    SloSeries { primary: primary.to_vec(), ..SloSeries::new(Indicator::ErrorRate, Some(1.0), points.to_vec(), 60) }
}

fn some(points: &[f64]) -> Vec<Option<f64>> {
    points.iter().copied().map(Some).collect()
}

fn bad() -> Evidence {
    let points = some(&[0.2, 0.3, 0.2, 0.3, 0.3, 2.8, 2.7, 2.8, 2.8, 2.8]);
    let mut evidence = of(rolled_back(rate(Some(97.2))));
    evidence.slo = vec![errors(&points, &some(&[0.3; 10]))];
    evidence.until = before(240);
    evidence
}

/// What `rule` says.
fn says(rule: &str, evidence: &Evidence) -> Option<(Severity, String)> {
    let rule = rules::TABLE.iter().find(|r| r.name == rule).expect("a rule of this name");
    (rule.find)(evidence).map(|said| (said.severity, said.text))
}

fn text(rule: &str, evidence: &Evidence) -> String {
    says(rule, evidence).map(|(_, text)| text).unwrap_or_default()
}

fn verdict(verb: Verb, seconds: i64, why: &str) -> Verdict {
    Verdict { id: "1".into(), verb, accepted: true, who: "bo".into(), at: before(seconds), why: why.into(), note: String::new() }
}

fn twin(provider: &str, state: TwinState) -> Twin {
    let image = Some("shop/web:2.10.0".into());
    Twin { target: format!("{provider}/test/web"), provider: provider.into(), phase: Phase::Succeeded, state, image }
}

fn pods(available: i64, waits: Option<&str>) -> Pods {
    let expires = waits.map(|_| now() + SignedDuration::from_secs(95));
    Pods { name: "web".into(), wanted: 4, updated: 4, available, waits: waits.map(Into::into), expires }
}

fn series(indicator: Indicator, name: &str, points: Vec<Option<f64>>, failed: Option<&str>) -> SloSeries {
    SloSeries { name: name.into(), failed: failed.map(Into::into), ..SloSeries::new(indicator, Some(1.0), points, 60) }
}

fn measures(evidence: &mut Evidence, names: &[&str]) {
    let metric = |name: &&str| MetricView { name: (*name).into(), template: None, min: None, max: Some(1.0), interval: None };
    evidence.canary.metrics = names.iter().map(metric).collect();
}

#[test]
fn a_rollback_names_check_value_limit_weight_and_count() {
    let text_of = |check| text("rolled-back", &of(rolled_back(check)));
    assert_eq!(
        text_of(rate(Some(97.2))),
        "Rolled back at weight 30 %: request-success-rate was 97.2, below its limit of 99; failed checks 5 of 5"
    );
    assert_eq!(text_of(rate(None)), "Rolled back at weight 30 %: request-success-rate had no data; failed checks 5 of 5");
    let hook = Check { weight: 30, ..Check::new(CheckKind::Hook, "smoke").because("status 500") };
    assert_eq!(text_of(hook), "Rolled back at weight 30 %: webhook smoke said: status 500");
    let pods = Check::new(CheckKind::Readiness, "web.test").because("waiting for rollout to finish: 0 of 1 updated replicas are available");
    assert!(text_of(pods).starts_with("Rolled back before the first traffic: web.test did not become ready in its time: waiting"));
    // A Flagger leaves events alone.
    let mut foreign = rolled_back(rate(None));
    foreign.report = Some(Report::new(Reason::Foreign, "a Flagger drives"));
    assert_eq!(text("rolled-back", &of(foreign.clone())), "Rolled back at weight 30 %: success rate 97.20% < 99%");
    foreign.events.clear();
    assert_eq!(text("rolled-back", &of(foreign)), "Rolled back; nothing that is left says why");
    assert_eq!(says("rolled-back", &calm()), None);
}

#[test]
fn its_evidence_is_where_it_says() {
    let found = explain(bad());
    let line = &found.findings[0];
    assert_eq!((&*line.rule, line.severity), ("rolled-back", Severity::Cause));
    let event = line.evidence.iter().find_map(|p| if let Proof::Event { index, .. } = p { Some(*index) } else { None });
    assert!(found.events[event.expect("an event")].message.contains("97.20% < 99%"));
    assert!(line.evidence.contains(&Proof::Series { name: "error rate".into(), from: 5, to: 9 }));
}

#[test]
fn a_person_s_word_is_the_cause_and_not_a_check() {
    let mut aborted = rolled_back(rate(None));
    aborted.report = Some(Report::new(Reason::Aborted, "aborted by bo: INC-42"));
    aborted.verdicts = vec![verdict(Verb::Abort, 240, "INC-42")];
    assert_eq!(text("ended-by-hand", &of(aborted.clone())), "Aborted by bo 4m ago: INC-42");
    assert_eq!(says("rolled-back", &of(aborted.clone())), None);
    aborted.verdicts = vec![verdict(Verb::Abort, 9_000, "an older one")];
    assert_eq!(text("ended-by-hand", &of(aborted)), "Aborted by bo: INC-42", "the verdict is another rollout's");
    assert_eq!(says("ended-by-hand", &bad()), None);
}

#[test]
fn checks_that_fail_are_told_before_they_are_too_many() {
    let check = Check { failed: 2, ..rate(Some(97.2)) };
    let failing = CanaryView {
        weight: 30,
        failed_checks: 2,
        report: Some(Report::new(Reason::CheckFailed, "…").found(Some(check))),
        ..canary(Phase::Progressing)
    };
    let said = text("failing", &of(failing.clone()));
    assert_eq!(
        said,
        "Fails at weight 30 %: request-success-rate was 97.2, below its limit of 99; failed checks 2 of 5, 3 more and it is rolled back"
    );
    assert_eq!(says("rolled-back", &of(failing.clone())), None);
    assert_eq!(says("failing", &of(CanaryView { failed_checks: 0, ..failing })), None);
}

#[test]
fn the_primary_beside_it_tells_traffic_from_canary() {
    assert_eq!(
        text("canary-or-traffic", &bad()),
        "The primary stayed at 0.3 % error rate while the canary was at 2.8 %: it is the canary, not the traffic"
    );
    let mut both = bad();
    both.slo[0].primary = some(&[0.2, 0.3, 0.2, 0.3, 0.3, 2.0, 3.1, 0.3, 3.0, 2.9]);
    let said = text("canary-or-traffic", &both);
    assert!(said.starts_with("The primary broke the limit too, in 4 of 5 moments (3.1 % at its worst)"), "{said}");
    both.slo[0].primary.clear();
    assert_eq!(says("canary-or-traffic", &both), None, "nobody was beside it");
    assert_eq!(says("canary-or-traffic", &calm()), None);
}

#[test]
fn what_rose_right_after_a_step_is_told_with_its_weight() {
    let said = text("rose-at-step", &bad());
    assert!(said.starts_with("Error rate rose from 0.26 % to 2.78 % within ") && said.ends_with("of weight 30 %"), "{said}");
    let mut late = bad();
    late.canary.events.retain(|e| !e.message.contains("weight 30"));
    late.timeline = timeline(&late.canary, now());
    late.slo[0].points = some(&[0.2, 0.3, 0.2, 0.3, 0.3, 0.2, 0.2, 0.2, 0.2, 2.8]);
    assert_eq!(says("rose-at-step", &late), None, "five minutes after a step is no step's doing");
    assert_eq!(says("rose-at-step", &calm()), None);
}

#[test]
fn without_traffic_it_says_who_has_none() {
    let mut evidence = of(rolled_back(rate(None)));
    evidence.slo = vec![errors(&[None; 10], &some(&[0.3; 10]))];
    assert!(text("no-traffic", &evidence).starts_with("The primary has requests and the canary none, although its weight is 30 %"));
    evidence.slo[0].primary = vec![None; 10];
    assert!(text("no-traffic", &evidence).starts_with("No request was measured, of the primary neither"));
    evidence.slo[0].primary.clear();
    assert!(text("no-traffic", &evidence).starts_with("No request to the canary was measured"));
    evidence.slo[0].failed = Some("connection refused".into());
    assert_eq!(says("no-traffic", &evidence), None, "a server that does not answer is no lack of traffic");
    assert_eq!(says("no-traffic", &bad()), None);
}

#[test]
fn blind_checks_are_the_cause_or_are_not() {
    let mut evidence = bad();
    measures(&mut evidence, &["request-success-rate", "lag"]);
    evidence.slo.push(series(Indicator::Custom, "lag", [some(&[1.0; 4]), vec![None; 6]].concat(), None));
    assert_eq!(says("blind", &evidence), Some((Severity::Warning, "Lag has had no data for 6m; it is blind, and not the cause".into())));
    evidence.slo[1].failed = Some("connection refused".into());
    assert_eq!(text("blind", &evidence), "Lag could not be asked: connection refused; it is blind, and not the cause");
    let mut dark = of(rolled_back(rate(None)));
    assert_eq!(says("blind", &dark), Some((Severity::Cause, "Request-success-rate had no data, and no data never passes".into())));
    measures(&mut dark, &["request-success-rate"]);
    dark.slo = vec![errors(&[None; 10], &[])];
    assert_eq!(text("blind", &dark), "Request-success-rate has had no data at all; and that is why it was rolled back");
    assert_eq!(says("blind", &bad()), None);
    assert_eq!(says("blind", &calm()), None);
}

#[test]
fn twins_tell_a_release_from_a_provider() {
    let mut evidence = bad();
    assert_eq!(says("provider-or-release", &evidence), None, "nobody else has it");
    evidence.twins = vec![twin("aks", TwinState::Failed), twin("gke", TwinState::Failed), twin("old", TwinState::Another)];
    assert!(
        text("provider-or-release", &evidence).contains("fails in 2 other providers (aks, gke) too, and runs nowhere: it is the release")
    );
    evidence.twins[1].state = TwinState::Healthy;
    evidence.twins[0].state = TwinState::Healthy;
    let mut difference = Difference::default();
    difference.add("", &json!({"a": 1, "b": 1}), &json!({"a": 2, "b": 2}));
    evidence.twin_difference = Some(TwinDifference { target: "aks/test/web".into(), difference });
    let said = text("provider-or-release", &evidence);
    assert!(said.contains("healthy in 2 other providers (aks, gke) and fails only here"), "{said}");
    assert!(said.ends_with("2 values differ from aks/test/web"), "{said}");
    evidence.canary = calm().canary;
    assert_eq!(says("provider-or-release", &evidence), None);
}

#[test]
fn configuration_alone_is_told_from_an_image() {
    let mut evidence = bad();
    evidence.changes.add(
        "",
        &json!({"spec": {"containers": [{"name": "web", "image": "a:1", "args": ["x"]}]}}),
        &json!({"spec": {"containers": [{"name": "web", "image": "a:1", "args": ["y"]}]}}),
    );
    assert!(text("config-alone", &evidence).ends_with("the release changes configuration alone: containers[web].args[0]"));
    assert_eq!(says("changed", &evidence), None);
    evidence.changes.add(
        "",
        &json!({"spec": {"containers": [{"name": "web", "image": "a:1"}]}}),
        &json!({"spec": {"containers": [{"name": "web", "image": "a:2"}]}}),
    );
    assert_eq!(says("config-alone", &evidence), None);
    assert_eq!(text("changed", &evidence), "The release changes 2 values: containers[web].args[0], containers[web].image");
    evidence.canary = calm().canary;
    assert_eq!((says("config-alone", &evidence), says("changed", &evidence)), (None, None), "nothing is rolled out");
}

#[test]
fn pods_that_are_not_ready_are_counted() {
    let mut evidence = of(canary(Phase::Progressing));
    evidence.canary_pods = Some(pods(1, Some("waiting for rollout to finish: 1 of 4 updated replicas are available")));
    let said = text("not-ready", &evidence);
    assert!(said.starts_with("web has 1 of 4 pods available (waiting") && said.ends_with("; its deadline is in 1m35s"), "{said}");
    evidence.canary_pods = Some(pods(4, None));
    assert_eq!(says("not-ready", &evidence), None);
}

#[test]
fn gates_say_which_since_when_and_how_they_open() {
    let waits = GateView { name: "confirm-promotion".into(), since: Some(before(1_860)) };
    let evidence = of(CanaryView { gates: vec![waits], ..canary(Phase::WaitingPromotion) });
    assert_eq!(
        text("gate", &evidence),
        "Gate confirm-promotion has waited for 31m for a human: pilothouse approve eks/test/web --gate confirm-promotion, or reject"
    );
    let hooked = CanaryView {
        hooks: vec![hook("ask", "confirm-promotion")],
        events: vec![event(9, "Halt web.test advancement waiting for promotion approval ask", 3)],
        ..canary(Phase::WaitingPromotion)
    };
    let found = explain(of(hooked));
    let gate = found.findings.iter().find(|f| f.rule == "gate").expect("a line");
    assert_eq!(gate.text, "Gate confirm-promotion has been closed for 4m; webhook ask (http://gate.test/check) alone can open it");
    assert!(gate.evidence.contains(&Proof::Event { index: 0, at: Some(before(9)) }));
    assert_eq!(says("gate", &of(canary(Phase::Progressing))), None);
}

#[test]
fn pauses_suspensions_and_holds_say_who_and_why() {
    let pause = PauseView { who: "bo".into(), at: before(7_200), why: "INC-42".into() };
    let paused =
        CanaryView { paused: Some(pause), weight: 10, verdicts: vec![verdict(Verb::Pause, 7_200, "INC-42")], ..canary(Phase::Progressing) };
    let found = explain(of(paused));
    let line = found.findings.iter().find(|f| f.rule == "paused").expect("a line");
    assert_eq!(line.text, "Paused by bo 2h ago: INC-42; the canary goes on serving 10 %");
    assert!(line.evidence.contains(&Proof::Verb { index: 0 }));
    let mut evidence = of(CanaryView { weight: 30, ..canary(Phase::Progressing) });
    assert_eq!((says("paused", &evidence), says("suspended", &evidence), says("held", &evidence)), (None, None, None));
    evidence.suspended = true;
    assert_eq!(text("suspended", &evidence), "spec.suspend is true: nothing moves until it is false; the canary goes on serving 30 %");
    evidence.canary.report = Some(Report::new(Reason::NoData, "lag has no data; held at this weight for at most 600s"));
    assert!(text("held", &evidence).starts_with("Held: lag has no data"));
}

#[test]
fn whoever_has_it_in_hand_is_named() {
    let mut evidence = of(CanaryView { foreign: Some("a Flagger holds its lease".into()), ..canary(Phase::Progressing) });
    assert_eq!(text("foreign-driver", &evidence), "Pilothouse writes nothing here: a Flagger holds its lease");
    assert_eq!(says("help", &evidence), None, "no verb is ours here");
    evidence.context.driver = DriverView::Nobody { why: "nobody holds the lease".into() };
    assert_eq!(says("nobody-drives", &evidence), None);
    evidence.canary.foreign = None;
    assert!(text("nobody-drives", &evidence).contains("pilothouse --daemon"));
    evidence.canary.report = Some(Report::new(Reason::ForeignWrite, "kubectl-edit changed the route (80 % for the canary)"));
    assert_eq!(text("foreign-write", &evidence), "A foreign hand: kubectl-edit changed the route (80 % for the canary)");
    evidence.canary.report = Some(Report::new(Reason::TargetMissing, "Deployment web is not in namespace test: create it"));
    assert!(text("cannot-run", &evidence).starts_with("Deployment web is not in"));
    for rule in ["foreign-driver", "nobody-drives", "foreign-write", "cannot-run", "unreachable"] {
        assert_eq!(says(rule, &calm()), None, "{rule}");
    }
    evidence.context.link = Link::Stale { since: before(60), why: "i/o timeout".into() };
    evidence.context.heard = Some(before(60));
    assert_eq!(text("unreachable", &evidence), "eks does not answer any more: i/o timeout; what is shown is 1m old");
}

#[test]
fn git_says_what_it_asks_for_and_whether_it_tries_again() {
    let sync = SyncView { pinned: Some("1.1.0".into()), promoted_ref: Some("1.0.0".into()), ..SyncView::default() };
    let mut evidence = bad();
    assert_eq!(says("git", &evidence), None, "there is no repository");
    evidence.context.sync = Some(sync);
    assert!(
        text("git", &evidence)
            .starts_with("Git still asks for 1.1.0, 1.0.0 is what runs: the next sync does not try the same revision again")
    );
    evidence.canary = calm().canary;
    assert_eq!(says("git", &evidence), None);
    for (state, begins) in [
        (SyncState::Failed, "The sync of 1.1.0 failed"),
        (SyncState::Behind, "Git asks for 1.1.0 and the cluster has"),
        (SyncState::Suspended, "The sync is suspended"),
    ] {
        evidence.context.sync.as_mut().expect("a sync").state = state;
        assert!(text("git", &evidence).starts_with(begins), "{state:?}");
    }
}

#[test]
fn a_canary_without_trouble_says_so_and_offers_what_is_legal() {
    assert_eq!(text("settled", &calm()), "Nothing is wrong: it has been Succeeded for 4m, and the primary runs shop/web:2.9.1");
    assert_eq!(says("help", &calm()), None, "there is nothing to do");
    assert_eq!(says("settled", &bad()), None);
    let retry = text("help", &bad());
    assert!(retry.contains("pilothouse retry eks/test/web") && !retry.contains("pilothouse abort"), "{retry}");
    let flying = CanaryView {
        weight: 20,
        report: Some(Report::new(Reason::Interval, "checks, then weight 30 %").until(now() + SignedDuration::from_secs(41))),
        ..canary(Phase::Progressing)
    };
    let evidence = of(flying);
    assert_eq!(text("in-flight", &evidence), "Progressing at 20 %: checks, then weight 30 % in 41s");
    let verbs = text("help", &evidence);
    assert!(verbs.contains("pilothouse abort") && verbs.contains("pilothouse pause") && !verbs.contains("pilothouse approve"), "{verbs}");
    assert_eq!(says("in-flight", &bad()), None);
}

#[test]
fn lines_are_ranked_and_bounded_and_every_rule_has_its_own_name() {
    let mut evidence = bad();
    evidence.twins = vec![twin("aks", TwinState::Healthy)];
    let found = explain(evidence);
    assert!(found.findings.is_sorted_by_key(|f| f.severity) && found.findings.len() <= LINES);
    let rules: Vec<_> = found.findings.iter().map(|f| &*f.rule).collect();
    assert_eq!(rules, ["rolled-back", "canary-or-traffic", "rose-at-step", "provider-or-release", "help"]);
    let mut names: Vec<_> = rules::TABLE.iter().map(|r| r.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), rules::TABLE.len());
}

#[test]
fn a_report_is_markdown_in_which_nobody_else_s_text_is_a_mark() {
    let mut evidence = bad();
    evidence.canary.events[0].message = "Canary failed! | <script>alert(1)</script> [x](http://y) `code`".into();
    evidence.gaps = vec!["tracked configs could not be compared in time".into()];
    evidence.changes.add(
        "",
        &json!({"spec": {"containers": [{"name": "web", "image": "a|b:1"}]}}),
        &json!({"spec": {"containers": [{"name": "web", "image": "a`b:2", "env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}]}}),
    );
    let text = markdown::report(&explain(evidence));
    assert!(text.starts_with("# eks/test/web: Failed for 4m\n"), "{text}");
    for part in [
        "## Why",
        "1. **cause** Rolled back at weight 30 %",
        "## Timeline",
        "| 30% | failed |",
        "| rollback | failed |",
        "## Figures",
        "## What the release changes",
        "## Events",
        "## Not known",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("<script>") && !text.contains("[x](") && !text.contains("hunter2"), "{text}");
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    let table: Vec<&str> = text.lines().skip_while(|l| !l.starts_with("## Events")).skip(2).take_while(|l| l.starts_with('|')).collect();
    assert!(table.len() > 5 && table.iter().all(|line| columns(line) == 5), "{table:#?}");
}

#[test]
fn an_explanation_is_data() {
    let json = serde_json::to_value(explain(bad())).expect("json");
    assert_eq!(json["findings"][0]["rule"], "rolled-back");
    assert_eq!(json["findings"][0]["severity"], "cause");
    assert_eq!(json["report"]["finding"]["value"], 97.2);
    assert_eq!(json["timeline"]["peak"], 30);
    assert!(
        json["findings"][0]["evidence"].as_array().is_some_and(|proofs| proofs.iter().any(|p| p["kind"] == "series" && p["from"] == 5))
    );
}

mod played {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::domain::fleet::{API_VERSION, Fleet, Prometheus, Provider};
    use crate::kubernetes::contexts::Contexts;
    use crate::runner::clock::Clock;
    use crate::session::fleet::{Session, Settings};
    use crate::simulation::app::{self, App, GITOPS, Release, Router};
    use crate::simulation::cluster::{PROMETHEUS, SimulatedCluster};
    use crate::simulation::line::Line;
    use crate::simulation::stage::ORIGIN;
    use crate::simulation::world::{MeshKind, Options};

    struct Played {
        session: Arc<Session>,
        clusters: Vec<SimulatedCluster>,
        app: App,
        clock: Clock,
        _cache: tempfile::TempDir,
    }

    impl Played {
        fn start(names: &[&str]) -> Self {
            let clock = Clock::simulated(ORIGIN, 1);
            let app = App { configured: true, ..App::new("shop", "web", Router::Istio) };
            let world = || Options { seed: 7, mesh: MeshKind::Istio, ..Options::default() };
            let clusters: Vec<_> = names.iter().map(|name| SimulatedCluster::start(name, 7, &clock, world())).collect();
            let lines =
                names.iter().zip(&clusters).map(|(name, c)| ((*name).to_owned(), Line::new(Arc::clone(&c.server), "you", None).client()));
            let provider = |name: &&str| Provider {
                name: (*name).into(),
                context: (*name).into(),
                prometheus: Some(Prometheus { url: None, service: Some(PROMETHEUS.to_owned()) }),
                ..Provider::default()
            };
            let cache = tempfile::tempdir().expect("a folder");
            let settings = Settings {
                fleet: Fleet {
                    api_version: API_VERSION.into(),
                    kind: "Fleet".into(),
                    providers: names.iter().map(provider).collect(),
                    ..Fleet::default()
                },
                only: Vec::new(),
                mesh: None,
                prometheus: None,
                lease_namespace: crate::kubernetes::lease::NAMESPACE.into(),
                drive: true,
                series: true,
                remember: None,
                in_cluster: false,
                cache: cache.path().into(),
                identity: "why".into(),
                clock: clock.clone(),
                environment: BTreeMap::new(),
                figures: Arc::default(),
            };
            for cluster in &clusters {
                app::prepare(&cluster.server, MeshKind::Istio).expect("a cluster");
                app::apply(&cluster.server, GITOPS, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}))
                    .expect("a namespace");
                for object in app.objects(&Release::new("1.0.0"), true).iter().chain([&app.canary()]) {
                    app::apply(&cluster.server, GITOPS, object).expect("an object");
                }
            }
            let session = Session::start(settings, Contexts::ready(lines)).expect("a session");
            Self { session, clusters, app, clock, _cache: cache }
        }

        fn release(&self, cluster: usize, release: &Release) {
            for object in self.app.objects(release, false) {
                app::apply(&self.clusters[cluster].server, GITOPS, &object).expect("an object");
            }
        }

        async fn until(&self, context: &str, phase: Phase) {
            for _ in 0..2_000 {
                let view = self.session.context(context).expect("a context").view();
                if view.canaries.first().is_some_and(|c| c.phase == phase) {
                    return;
                }
                self.clock.sleep(Duration::from_millis(500)).await;
            }
            panic!("{phase} did not come in {context}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bad_release_that_was_rolled_back_is_explained() {
        let played = Played::start(&["eks", "gke"]);
        played.until("eks", Phase::Initialized).await;
        played.until("gke", Phase::Initialized).await;
        played.clock.sleep(Duration::from_mins(1)).await;
        played.release(0, &Release { setting: "loud".into(), ..Release::new("1.1.0-bad") });
        played.until("eks", Phase::Progressing).await;
        played.until("eks", Phase::Failed).await;
        played.clock.sleep(Duration::from_secs(20)).await;
        let target: Target = "eks/shop/web".parse().expect("a target");
        let found = ask(&played.session, &target).await.expect("an explanation");
        let cause = &found.findings[0];
        assert_eq!((&*cause.rule, cause.severity), ("rolled-back", Severity::Cause), "{:#?}", found.findings);
        let check = found.report.as_ref().and_then(|r| r.finding.clone()).expect("a finding");
        assert_eq!((check.check.as_str(), check.min, check.failed), ("request-success-rate", Some(99.0), check.threshold));
        assert!(check.weight >= 20 && check.value.is_some_and(|v| v < 99.0), "{check:?}");
        for part in
            [format!("at weight {} %", check.weight), "below its limit of 99".into(), format!("failed checks {0} of {0}", check.threshold)]
        {
            assert!(cause.text.contains(&part), "{part}: {}", cause.text);
        }
        let rules: Vec<_> = found.findings.iter().map(|f| &*f.rule).collect();
        assert!(rules.contains(&"canary-or-traffic"), "{:#?}", found.findings);
        let beside = found.findings.iter().find(|f| f.rule == "canary-or-traffic").map(|f| f.text.as_str()).unwrap_or_default();
        assert!(beside.ends_with("it is the canary, not the traffic"), "{beside}");
        let paths: Vec<_> = found.changes.changes.iter().map(|c| c.path.as_str()).collect();
        assert!(paths.iter().any(|p| p.contains("].image")) && paths.iter().any(|p| p.starts_with("ConfigMap ")), "{paths:?}");
        assert_eq!(found.timeline.peak, check.weight);
        assert!(found.slo.iter().any(|s| !s.primary.is_empty() && !s.query.is_empty()));
        let text = markdown::report(&found);
        assert!(text.contains("## Figures") && text.contains("rollback | failed"), "{text}");

        let healthy: Target = "gke/shop/web".parse().expect("a target");
        let found = ask(&played.session, &healthy).await.expect("an explanation");
        assert_eq!(found.findings[0].rule, "settled", "{:#?}", found.findings);
        assert_eq!(found.changes.count(), 0);
        let gone: Target = "gke/shop/nobody".parse().expect("a target");
        assert!(ask(&played.session, &gone).await.is_err_and(|why| why.contains("no canary gke/shop/nobody")));
    }
}
