//! Figures that are promised: the first frame, how soon a revision is noticed, what standing still costs.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, WatchEvent, WatchParams};
use serde_json::{Value, json};

use crate::bed::{Bed, Cluster, block};
use crate::program::{Home, kubeconfig};
use crate::support::{Figures, Folder, seconds, until, until_true};
use crate::terminal::Terminal;

/// Starts of the console that are measured.
const TIMES: usize = 10;
/// Canaries.
const MANY: usize = 50;
/// `analysis.interval` of the canaries: what a controller that polls would need.
const INTERVAL: Duration = seconds(10);
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

/// Follows all canaries from now on; tells when each one begins a rollout.
fn watch(cluster: &Cluster) -> Receiver<(String, Instant)> {
    let (tell, told) = std::sync::mpsc::channel();
    let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("flagger.app", "v1beta1", "Canary"), "canaries");
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), "app", &kind);
    let (ready, open) = std::sync::mpsc::channel();
    // Ends with the receiver, or with the watch.
    std::thread::spawn(move || {
        block(async {
            let version = api.list(&ListParams::default()).await.expect("a list").metadata.resource_version.unwrap_or_default();
            let mut events = api.watch(&WatchParams::default().timeout(120), &version).await.expect("a watch").boxed();
            ready.send(()).expect("the test waits");
            while let Some(event) = events.next().await {
                let Ok(WatchEvent::Added(canary) | WatchEvent::Modified(canary)) = event else { continue };
                let moved = canary.data.pointer("/status/phase").and_then(Value::as_str) == Some("Progressing");
                if moved && tell.send((canary.metadata.name.unwrap_or_default(), Instant::now())).is_err() {
                    return;
                }
            }
        });
    });
    open.recv().expect("the watch is open");
    told
}

/// Gives every Deployment image `tag`, all at once or each when the one before was noticed; from each patch to the first
/// phase change.
fn roll_out(cluster: &Cluster, tag: u32, apart: bool) -> Vec<Duration> {
    let told = watch(cluster);
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": format!("example.com/app:{tag}")}]}}}});
    let mut patched = BTreeMap::new();
    let mut noticed: BTreeMap<String, Duration> = BTreeMap::new();
    let mut take = |patched: &BTreeMap<String, Instant>, wanted: usize| {
        while noticed.len() < wanted {
            let (canary, at) =
                told.recv_timeout(seconds(30)).unwrap_or_else(|error| panic!("{} of {MANY} noticed: {error}", noticed.len()));
            let since = at - patched[&canary];
            noticed.entry(canary).or_insert(since);
        }
        noticed.len()
    };
    for number in 0..MANY {
        patched.insert(name(number), Instant::now());
        cluster.patch(&format!("/apis/apps/v1/namespaces/app/deployments/{}", name(number)), &patch);
        if apart {
            take(&patched, number + 1);
        }
    }
    take(&patched, MANY);
    noticed.into_values().collect()
}

/// Clusters that never answer are the worst case: the frame must not wait for them.
#[test]
fn the_first_frame_comes_at_once() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address").to_string();
    let place = Folder::new("frame");
    let file = place.write("kubeconfig", &kubeconfig(&["aks", "eks", "gke"], &address));
    let mut all = Vec::new();
    for _ in 0..TIMES {
        let home = Home::new("frame", &file);
        let mut console = Terminal::start(&home, &[]);
        all.push(until(seconds(20), "the first frame", || console.first_frame()));
        console.shows("RO (W to arm)");
        console.keys("q");
        assert_eq!(console.ends(seconds(15)), 0);
    }
    let figures = Figures::new(all);
    // A figure and no bound: that it does not wait for a context is shown by contexts that never answer.
    println!("first frame: {figures}");
}

#[test]
fn fifty_revisions_are_noticed_at_once_and_fifty_settled_canaries_cost_nothing() {
    let bed = Bed::up("--clusters one:kubernetes --nodes 1");
    let one = bed.cluster("one");
    let home = Home::new("counts", &bed.kubeconfig());
    home.expect(0, &["crds", "--install"]);
    populate(&one);
    let daemon = home.daemon(&[]);
    until_all(&one, "Initialized");

    let apart = Figures::new(roll_out(&one, 2, true));
    println!("new revision to first phase change, one after the other: {apart}");
    until_all(&one, "Succeeded");
    let together = Figures::new(roll_out(&one, 3, false));
    println!("new revision to first phase change, all within a second: {together}");

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
    // The figures are printed; what must hold on any machine is that detection is not paced by the interval.
    for figures in [&apart, &together] {
        assert!(figures.max() < INTERVAL, "new revision to first phase change: {figures}");
    }
    assert_eq!(daemon.stop(), 0);
}

/// What a settled fleet may cost: its watches and its lease.
fn idle(request: &str) -> bool {
    request.starts_with("watch ") || request == "get leases" || request == "update leases"
}
