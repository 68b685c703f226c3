//! Fifty canaries: how soon a revision is noticed, and what standing still costs the API server.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, WatchEvent, WatchParams};
use serde_json::json;

use crate::bed::{Bed, Cluster, block};
use crate::program::Home;
use crate::support::{Figures, seconds, until, until_true};

const MANY: usize = 50;
const PATIENCE: Duration = seconds(180);

fn name(number: usize) -> String {
    format!("app-{number:02}")
}

fn populate(cluster: &Cluster) {
    cluster.create("/api/v1/namespaces", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "app"}}));
    for number in 0..MANY {
        let name = name(number);
        let template = json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": "example.com/app:1", "ports": [{"containerPort": 80}]}]}});
        cluster.create(
            "/apis/apps/v1/namespaces/app/deployments",
            &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
                "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}}),
        );
        cluster.create(
            "/apis/flagger.app/v1beta1/namespaces/app/canaries",
            &json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": name},
                "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                    "service": {"port": 80}, "analysis": {"interval": "10s", "threshold": 2, "iterations": 1}}}),
        );
    }
}

fn phases(cluster: &Cluster) -> BTreeMap<String, usize> {
    let list = cluster.get("/apis/flagger.app/v1beta1/namespaces/app/canaries").expect("canaries");
    let mut counts = BTreeMap::new();
    for canary in list["items"].as_array().expect("items") {
        *counts.entry(crate::bed::text(canary, "/status/phase")).or_insert(0) += 1;
    }
    counts
}

fn until_all(cluster: &Cluster, phase: &str) {
    let started = Instant::now();
    until(PATIENCE + seconds(10), phase, || {
        let counts = phases(cluster);
        assert!(started.elapsed() < PATIENCE, "not all {phase}: {counts:?}");
        (counts.get(phase) == Some(&MANY)).then_some(())
    });
}

/// Follows all canaries from now on; tells when each one left `Initialized`.
fn watch(cluster: &Cluster) -> std::sync::mpsc::Receiver<(String, Instant)> {
    let (tell, told) = std::sync::mpsc::channel();
    let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("flagger.app", "v1beta1", "Canary"), "canaries");
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), "app", &kind);
    let (ready, open) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        block(async {
            let version = api.list(&Default::default()).await.expect("a list").metadata.resource_version.unwrap_or_default();
            let mut events = api.watch(&WatchParams::default().timeout(280), &version).await.expect("a watch").boxed();
            ready.send(()).expect("the test waits");
            while let Some(event) = events.next().await {
                if let Ok(WatchEvent::Added(canary) | WatchEvent::Modified(canary)) = event {
                    let moved = canary
                        .data
                        .pointer("/status/phase")
                        .and_then(serde_json::Value::as_str)
                        .is_some_and(|phase| phase != "Initialized");
                    if moved && tell.send((canary.metadata.name.unwrap_or_default(), Instant::now())).is_err() {
                        return;
                    }
                }
            }
        });
    });
    open.recv().expect("the watch is open");
    told
}

#[test]
fn fifty_revisions_are_noticed_within_a_second_and_fifty_settled_canaries_cost_nothing() {
    let bed = Bed::up("--clusters one:kubernetes --nodes 1");
    let one = bed.cluster("one");
    let home = Home::new("counts", &bed.kubeconfig());
    home.expect(0, &["crds", "--install"]);
    populate(&one);
    let daemon = home.daemon(&[]);
    until_all(&one, "Initialized");

    let told = watch(&one);
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "example.com/app:2"}]}}}});
    let mut patched = BTreeMap::new();
    for number in 0..MANY {
        patched.insert(name(number), Instant::now());
        one.patch(&format!("/apis/apps/v1/namespaces/app/deployments/{}", name(number)), &patch);
    }
    let mut noticed: BTreeMap<String, Duration> = BTreeMap::new();
    while noticed.len() < MANY {
        let (canary, at) = told.recv_timeout(seconds(30)).unwrap_or_else(|error| panic!("{} of {MANY} noticed: {error}", noticed.len()));
        let since = at - patched[&canary];
        noticed.entry(canary).or_insert(since);
    }
    let figures = Figures::new(noticed.into_values().collect());
    println!("new revision to first phase change: {figures}");

    until_all(&one, "Succeeded");
    // What the last rollout still had to say is said once nothing but watches and the lease is left for a while.
    let mut seen = one.audited();
    let mut quiet = Instant::now();
    until_true(seconds(60), "quiet after the last rollout", || {
        if one.requests(seen).iter().any(|request| !idle(request)) {
            (seen, quiet) = (one.audited(), Instant::now());
        }
        quiet.elapsed() > seconds(5)
    });
    let from = one.audited();
    let begun = Instant::now();
    until_true(seconds(70), "a minute", || begun.elapsed() >= seconds(60));
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for request in one.requests(from) {
        *counts.entry(request).or_default() += 1;
    }
    println!("requests of {MANY} settled canaries in 60 s: {counts:?}");
    assert!(counts.keys().all(|request| idle(request)), "{counts:?}");
    assert!(figures.max() < seconds(1), "new revision to first phase change: {figures}");
    assert_eq!(daemon.stop(), 0);
}

/// What a settled fleet may cost: its watches and its lease.
fn idle(request: &str) -> bool {
    request.starts_with("watch ") || request == "get leases" || request == "update leases"
}
