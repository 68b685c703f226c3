//! Istio's scenarios.

use serde_json::{Value, json};

use super::{Scene, built_in, templated};
use crate::bed::text;
use crate::place::{CANARIES, DEPLOYMENTS, Place, REPLICA_SETS, SERVICES, VIRTUAL_SERVICES, image, two_weights};
use crate::receiver::Receiver;

/// Query of the scenario's own latency check.
const LATENCY: &str = "histogram_quantile(0.99, sum(rate(istio_request_duration_milliseconds_bucket{
    reporter=\"{{ variables.reporter }}\",
    destination_workload_namespace=\"{{ namespace }}\",
    destination_workload=~\"{{ target }}\"
}[{{ interval }}])) by (le))";

/// Percent of the canary by the VirtualService.
fn weight(place: &Place) -> Option<u64> {
    let route = place.get(VIRTUAL_SERVICES, "web")?;
    let destinations = route.pointer("/spec/http/0/route")?.as_array()?;
    destinations.iter().find(|d| text(d, "/destination/host") == "web-canary")?["weight"].as_u64()
}

/// Built-in success rate, and latency by a template with variables.
fn metrics(scene: &Scene) -> Value {
    scene.template("latency", LATENCY);
    json!([built_in()[0], templated("latency", json!({"max": 500}), json!({"reporter": "destination"}))])
}

/// Progressive, with headers and metadata of the apex's own; the Canary's end gives back what was not there before.
pub(super) fn canary(scene: &Scene) {
    let place = &scene.place;
    let apex = json!({"annotations": {"test": "annotations-test"}, "labels": {"test": "labels-test"}});
    let headers = json!({"request": {"add": {"x-envoy-max-retries": "10"}}});
    let mut analysis = two_weights();
    analysis["metrics"] = metrics(scene);
    let service = json!({"port": 80, "portDiscovery": true, "apex": apex, "headers": headers});
    place.populate(json!({"provider": "istio", "revertOnDeletion": true, "service": service, "analysis": analysis}));
    place.until_phase(60, "Initialized");
    let (apex, route) = (place.the(SERVICES, "web"), place.the(VIRTUAL_SERVICES, "web"));
    for object in [&apex, &route] {
        assert_eq!(text(object, "/metadata/annotations/test"), "annotations-test", "{place}");
        assert_eq!(text(object, "/metadata/labels/test"), "labels-test", "{place}");
        assert_eq!(text(object, "/metadata/annotations/kustomize.toolkit.fluxcd.io~1reconcile"), "disabled", "{place}");
        assert!(Place::is_owned(object), "{place}");
    }
    assert_eq!(text(&apex, "/spec/selector/app"), "web-primary", "{place}");
    assert_eq!(route.pointer("/spec/http/0/headers/request/add/x-envoy-max-retries"), Some(&json!("10")), "{place}");
    place.ship(2);
    for expected in [20, 60] {
        place.until(40, format!("weight {expected}"), || weight(place) == Some(expected));
    }
    assert_eq!(scene.met("virtualservices", &json!({}), 10), 6, "{place}: what is sent where");
    place.until_phase(60, "Succeeded");
    assert_eq!((place.primary(), weight(place)), (image(2), Some(0)), "{place}");
    place.delete(CANARIES, "web");
    place.until(60, "end of everything generated", || {
        let gone = |resource, name| place.get(resource, name).is_none();
        gone(CANARIES, "web") && gone(DEPLOYMENTS, "web-primary") && gone(VIRTUAL_SERVICES, "web") && gone(SERVICES, "web")
    });
    assert_eq!((place.replicas("web"), place.status("phase")), (Some(1), Value::Null), "{place}");
}

/// Blue/green with its users' requests mirrored to the canary, behind tests of its own, then a switch.
pub(super) fn blue_green(scene: &Scene) {
    let place = &scene.place;
    let receiver = Receiver::start();
    let hook = |name: &str, kind: &str| json!({"name": name, "type": kind, "url": receiver.url(&format!("/{name}")), "timeout": "5s"});
    let analysis = json!({"interval": "10s", "threshold": 2, "iterations": 2, "mirror": true, "mirrorWeight": 50,
        "metrics": metrics(scene), "webhooks": [hook("http-acceptance-test", "pre-rollout"), hook("load-test", "rollout")]});
    place.populate(json!({"provider": "istio", "analysis": analysis}));
    place.until_phase(60, "Initialized");
    place.ship(2);
    place.until(40, "a mirror", || place.the(VIRTUAL_SERVICES, "web").pointer("/spec/http/0/mirror/host") == Some(&json!("web-canary")));
    let mirrored = place.the(VIRTUAL_SERVICES, "web");
    assert_eq!(mirrored.pointer("/spec/http/0/mirrorPercentage/value"), Some(&json!(50)), "{place}");
    assert_eq!(weight(place), Some(0), "{place}: users stay with the primary");
    place.until(60, "the switch", || weight(place) == Some(100));
    assert_eq!(place.the(VIRTUAL_SERVICES, "web").pointer("/spec/http/0/mirror"), None, "{place}");
    assert_eq!(place.primary(), image(1), "{place}: not promoted yet");
    place.until_phase(60, "Succeeded");
    assert_eq!((place.primary(), weight(place)), (image(2), Some(0)), "{place}");
    assert_eq!(receiver.asked("/http-acceptance-test").len(), 1, "{place}");
    assert!(receiver.asked("/load-test").len() >= 3, "{place}: at each check");
    place.tells("Stop traffic mirroring and route all traffic to canary");
}

/// A/B by a cookie, with a gate before promotion and a hook after it.
pub(super) fn ab_testing(scene: &Scene) {
    let place = &scene.place;
    let receiver = Receiver::start();
    let hook = |name: &str, kind: &str| json!({"name": name, "type": kind, "url": receiver.url(&format!("/{name}"))});
    let cookie = json!([{"headers": {"cookie": {"regex": "^(.*?;)?(type=insider)(;.*)?$"}}}]);
    let analysis = json!({"interval": "10s", "threshold": 2, "iterations": 2, "match": cookie, "metrics": metrics(scene),
        "webhooks": [hook("promote-gate", "confirm-promotion"), hook("post", "post-rollout")]});
    place.populate(json!({"provider": "istio", "analysis": analysis}));
    place.until_phase(60, "Initialized");
    place.ship(2);
    place.until(40, "the canary for insiders", || weight(place) == Some(100));
    let insider = json!({"Cookie": "a=b;type=insider;c=d"});
    assert_eq!((scene.met("virtualservices", &insider, 5), scene.met("virtualservices", &json!({}), 5)), (5, 0), "{place}");
    assert_eq!(place.status("canaryWeight"), 100, "{place}: what the route carries");
    place.until_phase(60, "Succeeded");
    assert_eq!((place.primary(), scene.met("virtualservices", &insider, 5)), (image(2), 0), "{place}");
    let posted = receiver.asked("/post");
    assert_eq!((posted.len(), posted[0].phase().as_str()), (1, "Succeeded"), "{place}");
    assert!(!receiver.asked("/promote-gate").is_empty(), "{place}");
}

/// A delegate has neither hosts nor gateways.
pub(super) fn delegation(scene: &Scene) {
    let place = &scene.place;
    let delegate = json!([{"match": [{"uri": {"prefix": "/web"}}], "rewrite": {"uri": "/"}, "delegate": {"name": "web"}}]);
    place.create(
        VIRTUAL_SERVICES,
        "VirtualService",
        "root",
        json!({"spec": {"hosts": ["*"], "gateways": ["infra/public"], "http": delegate}}),
    );
    let mut analysis = two_weights();
    analysis["metrics"] = json!([]);
    place.populate(json!({"provider": "istio", "service": {"port": 80, "portDiscovery": true, "delegation": true}, "analysis": analysis}));
    place.until_phase(60, "Initialized");
    let bare = || {
        let route = place.the(VIRTUAL_SERVICES, "web");
        route["spec"].get("hosts").is_none() && route["spec"].get("gateways").is_none()
    };
    assert!(bare(), "{place}: {:#}", place.the(VIRTUAL_SERVICES, "web"));
    place.ship(2);
    place.until(40, "weight 60", || weight(place) == Some(60));
    place.until_phase(60, "Succeeded");
    assert!(bare() && place.primary() == image(2), "{place}");
    assert_eq!(place.the(VIRTUAL_SERVICES, "root")["spec"]["http"], delegate, "{place}");
}

pub(super) fn session_affinity(scene: &Scene) {
    stays_with_its_version(scene, "virtualservices", json!({"provider": "istio"}));
}

/// Clients stay with the version that they met, by cookies; after the run they are told to drop them. `kind` is the route's.
pub(super) fn stays_with_its_version(scene: &Scene, kind: &str, mut spec: Value) {
    let place = &scene.place;
    let affinity = json!({"cookieName": "flagger-cookie", "primaryCookieName": "primary-flagger-cookie", "maxAge": 3600, "secure": true});
    spec["analysis"] = json!({"interval": "15s", "threshold": 2, "stepWeights": [20, 60], "sessionAffinity": affinity, "metrics": []});
    place.populate(spec);
    place.until_phase(60, "Initialized");
    assert_eq!(scene.request(kind, &json!({})), ("web-primary".into(), vec![]), "{place}: no cookies at rest");
    place.ship(2);
    place.until(60, "weight 20", || place.status("canaryWeight") == 20);
    let cookie = place.status("sessionAffinityCookie").as_str().unwrap_or_default().to_owned();
    let primary = place.status("primarySessionAffinityCookie").as_str().unwrap_or_default().to_owned();
    let given = |service: &str| -> Vec<String> {
        let answers = (0..10).map(|_| scene.request(kind, &json!({})));
        answers
            .filter(|(by, _)| by == service)
            .flat_map(|(_, headers)| headers.into_iter().map(|(name, value)| format!("{name}: {value}")))
            .collect()
    };
    assert_eq!(given("web-canary"), vec![format!("Set-Cookie: {cookie}; Max-Age=3600; Secure"); 2], "{place}");
    assert_eq!(given("web-primary"), vec![format!("Set-Cookie: {primary}; Max-Age=15; Secure"); 8], "{place}");
    let shows = |cookie: &str| json!({"Cookie": format!("theme=dark; {cookie}; lang=en")});
    assert_eq!(scene.met(kind, &shows(&cookie), 10), 10, "{place}: who met the canary stays with it");
    assert_eq!(scene.met(kind, &shows(&primary), 10), 0, "{place}: who met the primary stays with it");
    place.until(60, "weight 60", || place.status("canaryWeight") == 60);
    assert_eq!(place.status("sessionAffinityCookie"), cookie.as_str(), "{place}: one cookie for one run");
    assert_eq!((scene.met(kind, &shows(&cookie), 10), scene.met(kind, &shows(&primary), 10)), (10, 0), "{place}");
    place.until_phase(90, "Succeeded");
    let (by, headers) = scene.request(kind, &shows(&cookie));
    assert_eq!((by.as_str(), headers), ("web-primary", vec![("Set-Cookie".to_owned(), format!("{cookie}; Max-Age=-1"))]), "{place}");
    assert_eq!(scene.request(kind, &json!({})), ("web-primary".into(), vec![]), "{place}");
    assert_eq!(place.status("previousSessionAffinityCookie"), cookie.as_str(), "{place}");
}

/// Promotes without an analysis; an image whose pods never get ready ends Failed, and the primary is as it was.
pub(super) fn skip_analysis(scene: &Scene) {
    let place = &scene.place;
    let mut analysis = two_weights();
    analysis["metrics"] = built_in();
    place.populate(json!({"provider": "istio", "skipAnalysis": true, "progressDeadlineSeconds": 15, "analysis": analysis}));
    place.until_phase(60, "Initialized");
    place.ship(2);
    place.until_phase(60, "Succeeded");
    assert_eq!((place.primary(), place.replicas("web"), weight(place)), (image(2), Some(0), Some(0)), "{place}");
    place.tells("Promotion completed! Canary analysis was skipped for web.");
    let pods = |place: &Place| {
        let sets = place.list(REPLICA_SETS);
        sets.iter().filter(|set| text(set, "/metadata/name").starts_with("web-primary-") && set["spec"]["replicas"] == 1).count()
    };
    place.merge(DEPLOYMENTS, "web", &json!({"spec": {"template": {"metadata": {"labels": {"bed.pilothouse.dev/pod": "never-ready"}}}}}));
    place.until_phase(90, "Failed");
    let ready = place.the(DEPLOYMENTS, "web-primary").pointer("/status/readyReplicas").cloned();
    assert_eq!((place.primary(), ready, pods(place)), (image(2), Some(json!(1)), 1), "{place}");
    assert_eq!((place.replicas("web"), weight(place)), (Some(0), Some(0)), "{place}");
    assert_eq!(place.the(DEPLOYMENTS, "web-primary").pointer("/spec/template/metadata/labels/bed.pilothouse.dev~1pod"), None, "{place}");
}
