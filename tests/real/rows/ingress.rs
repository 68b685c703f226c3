//! Scenarios of ingress-nginx, whose canary is a second Ingress.

use serde_json::{Value, json};

use super::{Scene, built_in, templated};
use crate::bed::text;
use crate::place::{CANARIES, DEPLOYMENTS, INGRESSES, Place, REPLICA_SETS, image};

const LATENCY: &str = "histogram_quantile(0.99, sum(rate(http_request_duration_seconds_bucket{kubernetes_namespace=\"{{ namespace }}\",
    kubernetes_pod_name=~\"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)\", status=\"{{ variables.status }}\"}[{{ interval }}])) by (le))";

fn ingress(place: &Place) {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let http = json!({"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]});
    let metadata = json!({"labels": {"app": "web"}, "annotations": {"kubernetes.io/ingress.class": "nginx"}});
    place.create(
        INGRESSES,
        "Ingress",
        "web",
        json!({"metadata": metadata, "spec": {"rules": [{"host": "app.example.com", "http": http}]}}),
    );
}

fn populate(place: &Place, analysis: Value) {
    ingress(place);
    let reference = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "web"});
    place.populate(json!({"provider": "nginx", "ingressRef": reference, "analysis": analysis}));
    place.until_phase(60, "Initialized");
}

/// An annotation of the canary's Ingress.
fn said(place: &Place, name: &str) -> String {
    let canary = place.get(INGRESSES, "web-canary").unwrap_or_default();
    text(&canary, &format!("/metadata/annotations/nginx.ingress.kubernetes.io~1{name}"))
}

fn metrics(scene: &Scene) -> Value {
    scene.template("latency", LATENCY);
    json!([built_in()[0], built_in()[1], templated("latency", json!({"max": 0.5}), json!({"status": "200"}))])
}

/// Progressive, with a check of its own; the user's Ingress stays the user's.
pub(super) fn canary(scene: &Scene) {
    let place = &scene.place;
    populate(place, json!({"interval": "10s", "threshold": 2, "stepWeight": 20, "maxWeight": 40, "metrics": metrics(scene)}));
    assert_eq!((said(place, "canary"), said(place, "canary-weight")), ("true".into(), "0".into()), "{place}");
    place.ship(2);
    for expected in ["20", "40"] {
        place.until(40, format!("weight {expected}"), || said(place, "canary-weight") == expected);
    }
    place.until_phase(60, "Succeeded");
    assert_eq!((place.primary(), said(place, "canary-weight")), (image(2), "0".into()), "{place}");
    // The controller refuses two Ingresses for one path unless one is a canary: it has to stay one while the user edits the other.
    let host = |place: &Place, name: &str| text(&place.the(INGRESSES, name), "/spec/rules/0/host");
    place.edit(INGRESSES, "web", |ingress| ingress["spec"]["rules"][0]["host"] = json!("new.example.com"));
    place.until(20, "the copy to follow", || host(place, "web-canary") == "new.example.com");
    assert_eq!((said(place, "canary"), host(place, "web")), ("true".into(), "new.example.com".into()), "{place}");
    assert_eq!(place.phase(), "Succeeded", "{place}");
}

/// A/B by a header.
pub(super) fn ab_testing(scene: &Scene) {
    let place = &scene.place;
    let insider = json!([{"headers": {"x-user": {"exact": "insider"}}}]);
    populate(place, json!({"interval": "10s", "threshold": 2, "iterations": 2, "match": insider, "metrics": metrics(scene)}));
    place.ship(2);
    place.until(40, "the canary for insiders", || said(place, "canary-by-header") == "x-user");
    assert_eq!((said(place, "canary-by-header-value"), said(place, "canary-weight")), ("insider".into(), "0".into()), "{place}");
    place.until_phase(60, "Succeeded");
    assert_eq!(
        (place.primary(), said(place, "canary-by-header"), said(place, "canary-weight")),
        (image(2), String::new(), "0".into()),
        "{place}"
    );
}

/// Rolled back; going back to the promoted image starts nothing; the bad image again does; an annotation tries it once more.
pub(super) fn lifecycle(scene: &Scene) {
    let place = &scene.place;
    let bad = "example.com/app:2-moody";
    let metrics = json!([{"name": "request-success-rate", "interval": "20s", "thresholdRange": {"min": 50}}]);
    scene.fails("moody", 0.9);
    populate(place, json!({"interval": "10s", "threshold": 1, "stepWeight": 20, "maxWeight": 20, "metrics": metrics}));
    place.set_image(DEPLOYMENTS, bad);
    place.until_phase(90, "Failed");
    assert_eq!((place.primary(), said(place, "canary-weight")), (image(1), "0".into()), "{place}");
    let sets = || {
        let primary = place.list(REPLICA_SETS).into_iter().filter(|set| text(set, "/metadata/name").starts_with("web-primary-"));
        primary.map(|set| text(&set, "/metadata/name")).collect::<Vec<_>>()
    };
    let before = sets();

    place.set_image(DEPLOYMENTS, &image(1));
    place.holds(15, "a canary that stays Failed", || place.phase() == "Failed" && place.replicas("web") == Some(0));
    assert_eq!(sets(), before, "{place}: the primary was restarted");

    place.set_image(DEPLOYMENTS, bad);
    place.until(30, "the bad image again", || place.phase() == "Progressing");
    place.until_phase(90, "Failed");
    assert_eq!(place.primary(), image(1), "{place}");

    scene.fails("moody", 0.0);
    place.merge(DEPLOYMENTS, "web", &json!({"spec": {"template": {"metadata": {"annotations": {"thisis": "theway"}}}}}));
    place.until(30, "another try", || place.phase() == "Progressing");
    place.until_phase(90, "Succeeded");
    assert_eq!((place.primary().as_str(), said(place, "canary-weight")), (bad, "0".into()), "{place}");
    assert_eq!(place.the(CANARIES, "web")["status"]["failedChecks"], 0, "{place}");
}
