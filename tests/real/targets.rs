//! What a Canary releases besides a Deployment behind a router: `DaemonSets`, Services, targets with scalers; and what it gives
//! back when it goes.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::bed::{Bed, text};
use crate::place::{
    CANARIES, Case, Cases, DAEMON_SETS, DEPLOYMENTS, FINALIZER, Place, Resource, SERVICES, Shared, VIRTUAL_SERVICES, image, tests,
    two_weights,
};
use crate::program::{Daemon, Home};
use crate::support::seconds;

struct Stage {
    daemon: Daemon,
    _home: Home,
    bed: Bed,
}

const HPAS: Resource = ("/apis/autoscaling/v2", "horizontalpodautoscalers");
const SCALED_OBJECTS: Resource = ("/apis/keda.sh/v1alpha1", "scaledobjects");
const NEVER_READY: &str = "bed.pilothouse.dev/pod";

/// Blue/green of two iterations, without anything measured.
fn iterations() -> Value {
    json!({"interval": "10s", "threshold": 2, "iterations": 2})
}

/// A Service as its owner made it.
fn service(place: &Place, rest: Value) {
    let mut body =
        json!({"spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}]}});
    if let Some(fields) = rest.as_object() {
        fields.iter().for_each(|(key, value)| body[key] = value.clone());
    }
    place.create(SERVICES, "Service", "web", body);
}

fn selected(place: &Place, service: &str) -> String {
    text(&place.get(SERVICES, service).unwrap_or_default(), "/spec/selector/app")
}

/// The Canary goes, and is gone.
fn leave(place: &Place) {
    place.delete(CANARIES, "web");
    place.until(60, "end of the Canary", || place.get(CANARIES, "web").is_none());
}

/// At rest by a selector that no node has; rolled back and promoted as a Deployment; given back at the end.
fn daemon_set(place: &Place) {
    const REST: &str = "/spec/template/spec/nodeSelector/flagger.app~1scale-to-zero";
    let template = json!({"metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": image(1), "ports": [{"containerPort": 80}]}]}});
    place.create(DAEMON_SETS, "DaemonSet", "web", json!({"spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template}}));
    let target = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "web"});
    place.canary(json!({"provider": "kubernetes", "targetRef": target, "revertOnDeletion": true, "progressDeadlineSeconds": 15,
        "analysis": iterations()}));
    place.until_phase(60, "Initialized");
    let rests = || text(&place.the(DAEMON_SETS, "web"), REST) == "true";
    let primary = || place.the(DAEMON_SETS, "web-primary");
    let serves = |image: String, pods: u64| {
        let primary = primary();
        text(&primary, "/spec/template/spec/containers/0/image") == image && primary["status"]["numberAvailable"] == pods
    };
    assert!(rests() && primary().pointer(REST).is_none() && serves(image(1), 1), "{place}");
    assert_eq!((selected(place, "web"), place.phase().as_str()), ("web-primary".into(), "Initialized"), "{place}");

    place.merge(DAEMON_SETS, "web", &json!({"spec": {"template": {"metadata": {"labels": {NEVER_READY: "never-ready"}}}}}));
    place.until_phase(30, "Progressing");
    // The deadline is noticed when it is due, not at the next look round.
    place.until_phase(35, "Failed");
    place.tells("exceeded its progressDeadlineSeconds: 15");
    assert!(rests(), "{place}: {:#}", place.the(DAEMON_SETS, "web"));
    assert!(serves(image(1), 1), "{place}: {:#}", primary());

    place.merge(DAEMON_SETS, "web", &json!({"spec": {"template": {"metadata": {"labels": {NEVER_READY: null}}}}}));
    place.set_image(DAEMON_SETS, &image(2));
    place.until_phase(30, "Progressing");
    assert!(!rests(), "{place}");
    place.until_phase(90, "Succeeded");
    assert!(rests() && serves(image(2), 1), "{place}: {:#}", primary());
    assert!(!place.has_event("Restarting analysis"), "{place}: the way to rest is no revision: {:?}", place.events());
    place.holds(12, "a canary at rest", || place.phase() == "Succeeded");

    assert_eq!(place.the(CANARIES, "web")["metadata"]["finalizers"], json!([FINALIZER]), "{place}");
    leave(place);
    assert!(!rests() && place.the(DAEMON_SETS, "web")["status"]["numberReady"] == 1, "{place}: the target serves before the Canary goes");
    place.until(40, "end of the primary", || place.get(DAEMON_SETS, "web-primary").is_none());
}

/// No pods of its own: what is released is where requests go.
fn service_target(place: &Place) {
    service(place, json!({}));
    place.edit(SERVICES, "web", |service| service["spec"]["selector"] = json!({"app": "web", "version": "1"}));
    let target = json!({"apiVersion": "v1", "kind": "Service", "name": "web"});
    place.canary(json!({"provider": "istio", "targetRef": target, "revertOnDeletion": true, "analysis": two_weights()}));
    place.until_phase(60, "Initialized");
    let version = |service: &str| text(&place.the(SERVICES, service), "/spec/selector/version");
    let versions = || (version("web"), version("web-primary"), version("web-canary"));
    let of = |apex: &str, primary: &str, canary: &str| (apex.to_owned(), primary.to_owned(), canary.to_owned());
    assert_eq!(versions(), of("1", "1", "1"), "{place}");
    let weight = || {
        let route = place.the(VIRTUAL_SERVICES, "web");
        let all = route.pointer("/spec/http/0/route").and_then(Value::as_array).cloned().unwrap_or_default();
        all.iter().find(|one| text(one, "/destination/host") == "web-canary").and_then(|one| one["weight"].as_u64())
    };
    assert_eq!(weight(), Some(0), "{place}");
    place.edit(SERVICES, "web", |service| service["spec"]["selector"]["version"] = json!("2"));
    for expected in [20, 60] {
        place.until(40, format!("weight {expected}"), || weight() == Some(expected));
        assert_eq!(versions(), of("2", "1", "2"), "{place}");
    }
    place.until_phase(60, "Succeeded");
    assert_eq!((versions(), weight()), (of("2", "2", "2"), Some(0)), "{place}");
    leave(place);
    assert_eq!(version("web"), "2", "{place}");
    place.until(40, "end of the clones", || place.get(SERVICES, "web-primary").is_none() && place.get(SERVICES, "web-canary").is_none());
}

/// The primary has a scaler of its own, which follows the target's at once, and whose replicas no promotion takes back.
fn hpa(place: &Place) {
    let cpu = |percent: u64| json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}}]);
    let whom = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let labels = json!({"labels": {"team": "a"}});
    place.create(
        HPAS,
        "HorizontalPodAutoscaler",
        "web",
        json!({"metadata": labels, "spec": {"scaleTargetRef": whom, "minReplicas": 2,
        "maxReplicas": 4, "metrics": cpu(99)}}),
    );
    place.deployment(1);
    let reference = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "web",
        "primaryScalerReplicas": {"minReplicas": 3}});
    place.canary(json!({"provider": "kubernetes", "autoscalerRef": reference, "revertOnDeletion": true, "analysis": iterations()}));
    place.until_phase(60, "Initialized");
    let primary = || place.the(HPAS, "web-primary");
    assert_eq!(text(&primary(), "/spec/scaleTargetRef/name"), "web-primary", "{place}");
    assert_eq!((&primary()["spec"]["minReplicas"], &primary()["spec"]["maxReplicas"]), (&json!(3), &json!(4)), "{place}");
    assert_eq!(text(&primary(), "/metadata/labels/team"), "a", "{place}");
    assert!(Place::is_owned(&primary()), "{place}");
    place.until(60, "the primary scaled by its own", || place.replicas("web-primary") == Some(3));

    place.merge(HPAS, "web", &json!({"spec": {"metrics": cpu(50)}}));
    let utilization = || primary().pointer("/spec/metrics/0/resource/target/averageUtilization").and_then(Value::as_u64);
    place.until(5, "the edit to be followed", || utilization() == Some(50));
    let before = place.cluster.audited();
    place.holds(3, "a scaler that is left alone", || !place.written(before).iter().any(|one| one.contains("horizontalpodautoscalers")));

    place.ship(2);
    place.until_phase(30, "Progressing");
    assert_eq!(place.replicas("web"), Some(2), "{place}: the canary starts with what its scaler wants at least");
    place.until(90, "Succeeded, with the replicas that the scaler wants", || {
        assert_eq!(place.replicas("web-primary"), Some(3), "{place}");
        place.phase() == "Succeeded"
    });
    assert_eq!((place.primary(), place.replicas("web")), (image(2), Some(0)), "{place}");
    leave(place);
    assert!(place.replicas("web") >= Some(2), "{place}: {:?}", place.replicas("web"));
    place.until(40, "end of the primary's scaler", || place.get(HPAS, "web-primary").is_none());
    place.the(HPAS, "web");
}

/// At rest the target's scaler is paused; while it is released it is not. The primary's asks about the primary, and is never paused.
fn scaled_object(place: &Place) {
    const PAUSED: &str = "/metadata/annotations/autoscaling.keda.sh~1paused-replicas";
    let query = "sum(rate(http_requests_total{ app=\"web\" }[30s]))";
    let trigger =
        |query: &str| json!([{"type": "prometheus", "metricType": "AverageValue", "metadata": {"query": query, "threshold": "5"}}]);
    place.create(
        SCALED_OBJECTS,
        "ScaledObject",
        "web-so",
        json!({"spec": {"scaleTargetRef": {"name": "web"}, "pollingInterval": 10,
        "minReplicaCount": 3, "maxReplicaCount": 5, "triggers": trigger(query)}}),
    );
    place.deployment(1);
    let reference = json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "web-so"});
    place.canary(json!({"provider": "kubernetes", "autoscalerRef": reference, "revertOnDeletion": true, "analysis": iterations()}));
    place.until_phase(60, "Initialized");
    let primary = || place.the(SCALED_OBJECTS, "web-so-primary");
    let asked = || text(&primary(), "/spec/triggers/0/metadata/query");
    assert_eq!(asked(), "sum(rate(http_requests_total{ app=\"web-primary\" }[30s]))", "{place}");
    assert_eq!(
        (text(&primary(), "/spec/scaleTargetRef/name").as_str(), &primary()["spec"]["pollingInterval"]),
        ("web-primary", &json!(10))
    );
    let paused = || text(&place.the(SCALED_OBJECTS, "web-so"), PAUSED);
    assert_eq!((paused().as_str(), text(&primary(), PAUSED).as_str()), ("0", ""), "{place}");
    place.merge(SCALED_OBJECTS, "web-so", &json!({"spec": {"triggers": trigger("vector(1)")}}));
    place.until(5, "the edit to be followed", || asked() == "vector(1)");
    place.ship(2);
    place.until_phase(30, "Progressing");
    assert_eq!((paused().as_str(), place.replicas("web")), ("", Some(3)), "{place}");
    place.until_phase(90, "Succeeded");
    assert_eq!((paused().as_str(), text(&primary(), PAUSED).as_str()), ("0", ""), "{place}");
    assert_eq!((place.primary(), place.replicas("web")), (image(2), Some(0)), "{place}");
    leave(place);
    assert_eq!(paused(), "", "{place}: nothing else would let it go on");
}

/// With the annotation the apex Service sends users to the canary for the last check, and back once the primary is promoted.
fn live_blue_green(place: &Place) {
    service(place, json!({}));
    place.deployment(1);
    place.canary_with(
        json!({"provider": "kubernetes", "revertOnDeletion": true, "analysis": iterations()}),
        json!({"pilothouse.dev/blue-green": "live"}),
    );
    place.until_phase(60, "Initialized");
    assert_eq!(selected(place, "web"), "web-primary", "{place}");
    place.ship(2);
    place.until(60, "users with the canary", || {
        assert_eq!(place.primary(), image(1), "{place}: not promoted before its users have met it");
        selected(place, "web") == "web"
    });
    assert_eq!((selected(place, "web-primary"), selected(place, "web-canary")), ("web-primary".into(), "web".into()), "{place}");
    assert!(place.the(DEPLOYMENTS, "web")["status"]["availableReplicas"] == 1, "{place}: there is somebody to serve them");
    place.until(30, "the weight on record", || place.status("canaryWeight") == 100);
    place.until(60, "users with the primary", || selected(place, "web") == "web-primary");
    let primary = place.the(DEPLOYMENTS, "web-primary");
    assert_eq!(
        (place.primary(), &primary["status"]["updatedReplicas"], &primary["status"]["availableReplicas"]),
        (image(2), &json!(1), &json!(1)),
        "{place}"
    );
    place.until_phase(60, "Succeeded");
    assert_eq!(
        (selected(place, "web"), place.replicas("web"), place.status("canaryWeight")),
        ("web-primary".into(), Some(0), json!(0)),
        "{place}"
    );
    leave(place);
    assert_eq!(selected(place, "web"), "web", "{place}");
}

/// A rollback of live blue/green takes users back before their pods go.
fn live_blue_green_rolled_back(place: &Place) {
    let receiver = crate::receiver::Receiver::start();
    let hook = json!([{"name": "load-test", "type": "rollout", "url": receiver.url("/load"), "timeout": "5s"}]);
    place.deployment(1);
    let mut analysis = iterations();
    (analysis["webhooks"], analysis["threshold"]) = (hook, json!(1));
    place.canary_with(json!({"provider": "kubernetes", "analysis": analysis}), json!({"pilothouse.dev/blue-green": "live"}));
    place.until_phase(60, "Initialized");
    place.ship(2);
    place.until(60, "users with the canary", || selected(place, "web") == "web");
    receiver.answers("/load", &[500]);
    place.until(60, "Failed", || {
        assert!(selected(place, "web") == "web-primary" || place.replicas("web") == Some(1), "{place}: users without pods");
        place.phase() == "Failed"
    });
    assert_eq!((selected(place, "web"), place.primary(), place.replicas("web")), ("web-primary".into(), image(1), Some(0)), "{place}");
}

/// What was there before serves the target again; what was not goes.
fn gives_the_service_back(place: &Place, before: Option<Value>, selector: &Value) {
    let existed = before.is_some();
    if let Some(rest) = before {
        service(place, rest);
    }
    place.deployment(3);
    place.canary(json!({"provider": "kubernetes", "revertOnDeletion": true, "analysis": iterations()}));
    place.until_phase(60, "Initialized");
    assert_eq!((place.replicas("web"), place.replicas("web-primary")), (Some(0), Some(3)), "{place}");
    place.delete(CANARIES, "web");
    place.until(40, "end of the Canary", || {
        let gone = place.get(CANARIES, "web").is_none();
        let ready = place.the(DEPLOYMENTS, "web")["status"]["availableReplicas"] == 3;
        assert!(selected(place, "web") == "web-primary" || ready, "{place}: users without pods");
        gone
    });
    assert_eq!(place.replicas("web"), Some(3), "{place}");
    if existed {
        assert_eq!(place.the(SERVICES, "web")["spec"]["selector"], *selector, "{place}");
    }
    place.until(40, "end of what was generated", || {
        let gone = |name| place.get(SERVICES, name).is_none();
        gone("web-primary") && gone("web-canary") && gone("web") != existed && place.get(DEPLOYMENTS, "web-primary").is_none()
    });
}

fn with_a_service(place: &Place) {
    gives_the_service_back(place, Some(json!({})), &json!({"app": "web"}));
}

fn with_an_applied_service(place: &Place) {
    let applied =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web", "tier": "front"}}});
    let annotations = json!({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied.to_string()}});
    gives_the_service_back(place, Some(json!({"metadata": annotations})), &json!({"app": "web", "tier": "front"}));
}

fn without_a_service(place: &Place) {
    gives_the_service_back(place, None, &Value::Null);
}

/// Without the field, or with the field taken out, the target stays as it is.
fn without_the_field(place: &Place) {
    place.populate(json!({"provider": "kubernetes", "revertOnDeletion": true, "analysis": iterations()}));
    place.until_phase(60, "Initialized");
    let finalizers = || place.the(CANARIES, "web")["metadata"]["finalizers"].clone();
    assert_eq!(finalizers(), json!([FINALIZER]), "{place}");
    place.merge(CANARIES, "web", &json!({"spec": {"revertOnDeletion": false}}));
    place.until(10, "no finalizer", || finalizers().is_null());
    leave(place);
    place.until(40, "end of the primary", || place.get(DEPLOYMENTS, "web-primary").is_none());
    assert_eq!(place.replicas("web"), Some(0), "{place}");
}

/// Nothing is written while it is suspended, and one word says so; then it goes on from where it was.
fn suspend(place: &Place) {
    place.populate(json!({"provider": "istio", "analysis": two_weights()}));
    place.until_phase(60, "Initialized");
    place.ship(2);
    place.until(40, "weight 20", || place.status("canaryWeight") == 20);
    place.merge(CANARIES, "web", &json!({"spec": {"suspend": true}}));
    place.until(10, "a note", || place.engine()["report"][0] == "suspended");
    let (from, events) = (place.cluster.audited(), place.canary_events());
    // A release, a hand on the primary, and more than two intervals.
    place.ship(3);
    place.holds(25, "a canary that is left alone", || place.written(from).is_empty());
    assert_eq!(place.canary_events(), events, "{place}");
    assert_eq!((place.phase().as_str(), place.status("canaryWeight"), place.primary()), ("Progressing", json!(20), image(1)), "{place}");
    place.merge(CANARIES, "web", &json!({"spec": {"suspend": false}}));
    place.until(15, "the release that came meanwhile", || place.has_event("Restarting analysis for web."));
    place.until_phase(90, "Succeeded");
    assert_eq!((place.primary(), &place.engine()["report"]), (image(3), &Value::Null), "{place}");
}

static STAGE: Shared<Stage> = Shared::new();

fn on_stage(name: &str, play: fn(&Place)) {
    let stage = STAGE.get(|| {
        let bed = Bed::up("--clusters targets:kubernetes --routers");
        let home = Home::new("targets", &bed.kubeconfig());
        home.expect(0, &["crds", "--install"]);
        Stage { daemon: home.daemon(&[]), _home: home, bed }
    });
    let started = std::time::Instant::now();
    play(&Place::new(&stage.bed.cluster("targets"), name, stage.daemon.logs_to()));
    assert!(started.elapsed() < seconds(300), "{name} took {}s", started.elapsed().as_secs());
}

macro_rules! targets {
    ($($name:ident: $play:path;)*) => {
        static CASES: LazyLock<Cases> = LazyLock::new(|| {
            let all: [Case; [$(stringify!($name)),*].len()] = [$((stringify!($name), Box::new(|| on_stage(stringify!($name), $play)))),*];
            Cases::new(module_path!(), all)
        });

        tests! { $($name)* }
    };
}

targets! {
    kubernetes_test_daemonset: daemon_set;
    a_service_is_released_by_istio: service_target;
    kubernetes_test_hpa: hpa;
    keda_test_scaledobject: scaled_object;
    live_blue_green_switches_the_apex_service: live_blue_green;
    live_blue_green_is_rolled_back_before_its_pods_go: live_blue_green_rolled_back;
    a_service_that_was_there_selects_the_target_again: with_a_service;
    a_service_that_was_applied_is_as_it_was_applied: with_an_applied_service;
    a_service_that_was_generated_goes: without_a_service;
    without_revert_on_deletion_the_target_stays_at_rest: without_the_field;
    a_suspended_canary_is_left_alone: suspend;
}
