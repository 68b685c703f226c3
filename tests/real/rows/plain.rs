//! Plain Kubernetes: blue/green without a router.

use serde_json::json;

use super::{Scene, built_in};
use crate::bed::text;
use crate::place::{DEPLOYMENTS, Place, SERVICES, image};
use crate::receiver::Receiver;

/// A Service of another name that was there before, gates and tests before the first iteration, and a promotion.
pub(super) fn deployment(scene: &Scene) {
    let place = &scene.place;
    let receiver = Receiver::start();
    receiver.answers("/gate", &[403, 200]);
    place.create(
        SERVICES,
        "Service",
        "web-svc",
        json!({"spec": {"type": "ClusterIP", "selector": {"app": "web"},
        "ports": [{"name": "http", "port": 9898, "protocol": "TCP", "targetPort": "http"}]}}),
    );
    let hook = |name: &str, kind: &str| json!({"name": name, "type": kind, "url": receiver.url(&format!("/{name}")), "timeout": "5s"});
    let hooks = json!([hook("gate", "confirm-rollout"), hook("acceptance-test", "pre-rollout"), hook("load-test", "rollout")]);
    let analysis = json!({"interval": "10s", "threshold": 2, "iterations": 2, "metrics": built_in(), "webhooks": hooks});
    place.deployment(1);
    place.merge(
        DEPLOYMENTS,
        "web",
        &json!({"metadata": {"labels": {"test-label-prefix-a": "1", "other": "2"},
        "annotations": {"test-annotation-prefix-a": "1"}}}),
    );
    place.canary(json!({"provider": "kubernetes", "service": {"name": "web-svc", "port": 80, "targetPort": 80, "portDiscovery": true},
        "analysis": analysis}));
    place.until_phase(60, "Initialized");
    let apex = place.the(SERVICES, "web-svc");
    for key in ["kustomize.toolkit.fluxcd.io~1reconcile", "helm.toolkit.fluxcd.io~1driftDetection"] {
        assert_eq!(text(&apex, &format!("/metadata/annotations/{key}")), "disabled", "{place}");
    }
    assert!(!Place::is_owned(&apex), "{place}: it was there before");
    assert_eq!(text(&apex, "/spec/selector/app"), "web-primary", "{place}");
    assert_eq!(apex.pointer("/spec/ports/0/port"), Some(&json!(80)), "{place}");
    for (service, app) in [("web-svc-primary", "web-primary"), ("web-svc-canary", "web")] {
        assert_eq!(text(&place.the(SERVICES, service), "/spec/selector/app"), app, "{place}");
    }
    let primary = place.the(DEPLOYMENTS, "web-primary");
    assert_eq!(text(&primary, "/metadata/labels/test-label-prefix-a"), "1", "{place}");
    assert_eq!(primary.pointer("/metadata/labels/other"), None, "{place}");
    assert_eq!(text(&primary, "/metadata/annotations/test-annotation-prefix-a"), "1", "{place}");
    place.ship(2);
    place.until_phase(30, "Waiting");
    assert_eq!((place.replicas("web"), receiver.asked("/acceptance-test").len()), (Some(0), 0), "{place}: nothing before the gate");
    place.until_phase(30, "Progressing");
    users_stay_with_the_primary(place);
    assert_eq!((place.primary(), place.replicas("web")), (image(2), Some(0)), "{place}");
    assert_eq!(receiver.asked("/acceptance-test").len(), 1, "{place}");
    assert!(receiver.asked("/load-test").len() >= 2, "{place}");
    assert_eq!(
        receiver.asked("/gate").iter().map(crate::receiver::Asked::phase).collect::<Vec<_>>(),
        ["Initialized", "Waiting"],
        "{place}"
    );
}

/// Until the end of the rollout the apex Service selects the primary: without a router there is no other traffic.
fn users_stay_with_the_primary(place: &Place) {
    place.until(90, "Succeeded", || {
        assert_eq!(text(&place.the(SERVICES, "web-svc"), "/spec/selector/app"), "web-primary", "{place}");
        place.phase() == "Succeeded"
    });
}
