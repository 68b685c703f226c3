//! Scenarios of the Gateway API and of Linkerd, whose routes are `HTTPRoutes`, too.

use serde_json::{Value, json};

use super::istio::stays_with_its_version;
use super::{Scene, templated};
use crate::bed::text;
use crate::place::{HTTP_ROUTES, Place, SERVICES, image, two_weights};
use crate::players::Player;
use crate::receiver::Receiver;
use crate::support::seconds;

/// Errors in percent of what the canary's pods answer, and how long most of them take in seconds: for the Gateway API,
/// Flagger's advice is a template.
const ERROR_RATE: &str = "100 - sum(rate(http_request_duration_seconds_count{kubernetes_namespace=\"{{ namespace }}\",
    kubernetes_pod_name=~\"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)\", status!~\"5.*\"}[{{ interval }}]))
    / sum(rate(http_request_duration_seconds_count{kubernetes_namespace=\"{{ namespace }}\",
    kubernetes_pod_name=~\"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)\"}[{{ interval }}])) * 100";
const LATENCY: &str = "histogram_quantile(0.99, sum(rate(http_request_duration_seconds_bucket{kubernetes_namespace=\"{{ namespace }}\",
    kubernetes_pod_name=~\"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)\"}[{{ interval }}])) by (le))";
/// The same as Linkerd's proxies count it.
const LINKERD_SUCCESS: &str = "sum(rate(response_total{namespace=\"{{ namespace }}\", deployment=~\"{{ target }}\",
    classification!=\"failure\", direction=\"{{ variables.direction }}\"}[{{ interval }}]))
    / sum(rate(response_total{namespace=\"{{ namespace }}\", deployment=~\"{{ target }}\",
    direction=\"{{ variables.direction }}\"}[{{ interval }}])) * 100";

fn weight(place: &Place) -> Option<u64> {
    let route = place.get(HTTP_ROUTES, "web")?;
    let backends = route.pointer("/spec/rules/0/backendRefs")?.as_array()?;
    backends.iter().find(|backend| backend["name"] == "web-canary")?["weight"].as_u64()
}

fn metrics(scene: &Scene) -> Value {
    scene.template("error-rate", ERROR_RATE);
    scene.template("latency", LATENCY);
    json!([templated("error-rate", json!({"max": 5}), json!({})), templated("latency", json!({"max": 0.5}), json!({}))])
}

/// The Canary's spec, on a Gateway that accepts its route as soon as it is there.
fn spec(analysis: Value) -> Value {
    let service =
        json!({"port": 80, "portName": "http", "hosts": ["www.example.com"], "gatewayRefs": [{"name": "gateway", "namespace": "ingress"}]});
    json!({"provider": "gatewayapi:v1", "service": service, "analysis": analysis})
}

/// Waits for its Gateway, then progressive and promoted; a release whose answers are 500 is rolled back.
pub(super) fn canary(scene: &Scene) {
    let place = &scene.place;
    let gateway = Player::gateway_controller(place);
    gateway.rests(true);
    let mut analysis = two_weights();
    analysis["metrics"] = metrics(scene);
    place.populate(spec(analysis));
    place.until(40, "the route", || place.get(HTTP_ROUTES, "web").is_some());
    place.holds(3, "a route that nobody has accepted", || place.phase() == "Initializing");
    gateway.rests(false);
    place.until_phase(60, "Initialized");
    let route = place.the(HTTP_ROUTES, "web");
    let parent = json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gateway", "namespace": "ingress"}]);
    assert_eq!((&route["spec"]["parentRefs"], &route["spec"]["hostnames"]), (&parent, &json!(["www.example.com"])), "{place}");
    place.ship(2);
    place.until(40, "weight 20", || weight(place) == Some(20));
    assert_eq!(scene.met("httproutes", &json!({}), 10), 2, "{place}: what is sent where");
    place.until_phase(90, "Succeeded");
    assert_eq!((place.primary(), weight(place)), (image(2), Some(0)), "{place}");
    place.set_image(crate::place::DEPLOYMENTS, "example.com/app:3-bad");
    place.until(40, "weight 20", || weight(place) == Some(20));
    place.until_phase(90, "Failed");
    place.tells(&format!("Halt web.{} advancement error-rate", place.namespace));
    assert_eq!((place.primary(), weight(place), place.replicas("web")), (image(2), Some(0), Some(0)), "{place}");
}

/// Blue/green with mirrored requests and a smoke test.
pub(super) fn blue_green(scene: &Scene) {
    let place = &scene.place;
    let _gateway = Player::gateway_controller(place);
    let receiver = Receiver::start();
    let smoke = json!([{"name": "smoke-test", "type": "pre-rollout", "url": receiver.url("/smoke"), "timeout": "5s"}]);
    receiver.answers("/smoke", &[500, 200]);
    let analysis =
        json!({"interval": "10s", "threshold": 3, "iterations": 2, "mirror": true, "metrics": metrics(scene), "webhooks": smoke});
    place.populate(spec(analysis));
    place.until_phase(60, "Initialized");
    place.ship(2);
    let mirror = || {
        let route = place.the(HTTP_ROUTES, "web");
        let filters = route.pointer("/spec/rules/0/filters").and_then(Value::as_array).cloned().unwrap_or_default();
        filters.iter().any(|filter| text(filter, "/requestMirror/backendRef/name") == "web-canary")
    };
    place.until(30, "a failed smoke test", || place.status("failedChecks") == 1);
    assert!(!mirror(), "{place}: nothing goes to what the smoke test refuses");
    place.until(40, "a mirror", mirror);
    assert_eq!((weight(place), scene.met("httproutes", &json!({}), 5)), (Some(0), 0), "{place}");
    place.until(60, "the switch", || weight(place) == Some(100));
    assert!(!mirror() && scene.met("httproutes", &json!({}), 5) == 5, "{place}");
    place.until_phase(60, "Succeeded");
    assert_eq!((place.primary(), weight(place)), (image(2), Some(0)), "{place}");
    assert_eq!(receiver.asked("/smoke").len(), 2, "{place}");
}

/// A/B by a header.
pub(super) fn ab_testing(scene: &Scene) {
    let place = &scene.place;
    let _gateway = Player::gateway_controller(place);
    let insider = json!([{"headers": {"x-canary": {"exact": "insider"}}}]);
    let analysis = json!({"interval": "10s", "threshold": 2, "iterations": 2, "match": insider, "metrics": metrics(scene)});
    place.populate(spec(analysis));
    place.until_phase(60, "Initialized");
    place.ship(2);
    place.until(40, "the canary for insiders", || weight(place) == Some(100));
    let insider = json!({"X-Canary": "insider"});
    assert_eq!((scene.met("httproutes", &insider, 5), scene.met("httproutes", &json!({"X-Canary": "other"}), 5)), (5, 0), "{place}");
    place.until_phase(60, "Succeeded");
    assert_eq!((place.primary(), scene.met("httproutes", &insider, 5)), (image(2), 0), "{place}");
}

pub(super) fn session_affinity(scene: &Scene) {
    let _gateway = Player::gateway_controller(&scene.place);
    let mut spec = spec(Value::Null);
    spec.as_object_mut().expect("a spec").remove("analysis");
    stays_with_its_version(scene, "httproutes", spec);
}

/// A mesh route whose parent is the Service, with metadata of its own; promoted, and the next release rolled back.
pub(super) fn linkerd(scene: &Scene) {
    let place = &scene.place;
    scene.template("success-rate", LINKERD_SUCCESS);
    let mut analysis = two_weights();
    let inbound = json!({"direction": "inbound"});
    analysis["metrics"] = json!([templated("success-rate", json!({"min": 95}), inbound),
        {"name": "request-duration", "interval": "20s", "thresholdRange": {"max": 300}}]);
    let apex = json!({"annotations": {"test": "annotations-test"}, "labels": {"test": "labels-test"}});
    place.populate(json!({"provider": "linkerd", "service": {"port": 80, "portDiscovery": true, "apex": apex}, "analysis": analysis}));
    place.until_phase(60, "Initialized");
    for object in [place.the(SERVICES, "web"), place.the(HTTP_ROUTES, "web")] {
        let (label, annotation) = (text(&object, "/metadata/labels/test"), text(&object, "/metadata/annotations/test"));
        assert_eq!((label.as_str(), annotation.as_str()), ("labels-test", "annotations-test"), "{place}");
    }
    let parent = json!([{"group": "core", "kind": "Service", "name": "web", "port": 80}]);
    assert_eq!(place.the(HTTP_ROUTES, "web")["spec"]["parentRefs"], parent, "{place}");
    place.ship(2);
    place.until(40, "weight 60", || weight(place) == Some(60));
    place.until_phase(60, "Succeeded");
    assert_eq!((place.primary(), weight(place)), (image(2), Some(0)), "{place}");
    place.set_image(crate::place::DEPLOYMENTS, "example.com/app:3-bad");
    place.until_phase(120, "Failed");
    place.tells("advancement success-rate");
    assert_eq!((place.primary(), weight(place), place.replicas("web")), (image(2), Some(0), Some(0)), "{place}");
}

/// Steps of its own, one an interval.
pub(super) fn linkerd_steps(scene: &Scene) {
    let place = &scene.place;
    let metrics = json!([{"name": "request-success-rate", "interval": "20s", "thresholdRange": {"min": 95}}]);
    let analysis = json!({"interval": "10s", "threshold": 2, "stepWeights": [10, 20, 30, 40, 50, 60], "metrics": metrics});
    place.populate(json!({"provider": "linkerd", "analysis": analysis}));
    place.until_phase(60, "Initialized");
    place.ship(2);
    let mut last = None;
    for expected in [10, 20, 30, 40, 50, 60] {
        place.until(40, format!("weight {expected}"), || weight(place) == Some(expected));
        let now = std::time::Instant::now();
        assert!(last.is_none_or(|last| now.duration_since(last) > seconds(8)), "{place}: weight {expected} came too soon");
        last = Some(now);
    }
    place.until_phase(60, "Succeeded");
    let advanced: Vec<String> = place.events().into_iter().filter(|event| event.contains("canary weight")).collect();
    let wanted: Vec<String> =
        [10, 20, 30, 40, 50, 60].iter().map(|w| format!("Normal Advance web.{} canary weight {w}", place.namespace)).collect();
    assert_eq!(advanced.len(), wanted.len(), "{place}: {advanced:?}");
    assert!(wanted.iter().all(|event| advanced.contains(event)), "{place}: {advanced:?}");
    assert_eq!(place.primary(), image(2), "{place}");
}
