//! What a rollout does to a cluster: the course it takes, as the API tells it, and what it leaves behind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bed::{Bed, Cluster, text};
use crate::program::Home;
use crate::support::{pause, seconds, until, until_true};

pub const SERVICES: [&str; 2] = ["backend", "frontend"];

pub fn image(tag: &str) -> String {
    format!("stefanprodan/podinfo:{tag}")
}

/// Namespace `app` with the Deployment `name`, one pod of `image` with a container `main`, and its Canary, whose target
/// is added to `spec`.
pub fn populate(cluster: &Cluster, name: &str, image: &str, spec: &Value) {
    cluster.create("/api/v1/namespaces", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "app"}}));
    let port = &spec["service"]["port"];
    let template = json!({"metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": image, "ports": [{"containerPort": port}]}]}});
    cluster.create(
        "/apis/apps/v1/namespaces/app/deployments",
        &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}}),
    );
    let mut spec = spec.clone();
    spec["targetRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name});
    cluster.create(
        "/apis/flagger.app/v1beta1/namespaces/app/canaries",
        &json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": name}, "spec": spec}),
    );
}

/// The bed of the stories: plain Kubernetes and Istio, with traffic, metrics and repositories.
pub fn two_clusters() -> (Bed, Cluster, Cluster) {
    let bed = Bed::up("--clusters eks:kubernetes,gke:istio --prometheus --traffic --providers");
    let (eks, gke) = (bed.cluster("eks"), bed.cluster("gke"));
    (bed, eks, gke)
}

pub fn until_all(clusters: &[&Cluster], phase: &str) {
    for cluster in clusters {
        for service in SERVICES {
            let mut last = String::new();
            let started = std::time::Instant::now();
            until(seconds(125), phase, || {
                last = cluster.phase(service);
                assert!(started.elapsed() < seconds(120), "{}/app/{service} is {last}, not {phase}", cluster.name);
                (last == phase).then_some(())
            });
        }
    }
}

/// The primary runs `tag`, with copies of its own of the configuration, which hold `setting`.
pub fn assert_primary(cluster: &Cluster, tag: &str, setting: &str) {
    for service in SERVICES {
        let primary = format!("{service}-primary");
        assert_eq!(cluster.image(&primary), image(tag), "{}: {primary}", cluster.name);
        let found = cluster.deployment(&primary).expect("the primary");
        let volumes = found.pointer("/spec/template/spec/volumes").and_then(Value::as_array).expect("volumes");
        let names: Vec<&str> = volumes.iter().filter_map(|volume| volume.pointer("/configMap/name")?.as_str()).collect();
        assert!(!names.is_empty() && names.iter().all(|name| name.ends_with("-primary")), "{}: {primary} mounts {names:?}", cluster.name);
        for name in names {
            let copy = cluster.get(&format!("/api/v1/namespaces/app/configmaps/{name}")).unwrap_or_else(|| panic!("no ConfigMap {name}"));
            let data = copy.pointer("/data/config.yaml").and_then(Value::as_str).unwrap_or_default();
            assert!(data.contains(setting), "{}: {name} holds {data}", cluster.name);
        }
    }
}

/// All traffic goes to the primary, which runs `tag`.
pub fn assert_rolled_back(cluster: &Cluster, service: &str, tag: &str) {
    until_true(seconds(15), "all traffic on the primary", || cluster.weights(service) == Some((100, 0)));
    assert_eq!(cluster.image(&format!("{service}-primary")), image(tag));
    until_true(seconds(15), "the canary scaled to zero", || {
        cluster.deployment(service).and_then(|found| found.pointer("/spec/replicas").and_then(Value::as_u64)) == Some(0)
    });
}

/// The record of the sync says that every canary of `context` runs `release`.
pub fn until_promoted(home: &Home, context: &str, release: &str) {
    home.until(seconds(40), &["versions", "-o", "json", "--context", context], |said| {
        said.json()["providers"][0]["sync"]["promotedRef"] == release
    });
}

/// One state of a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    pub phase: String,
    /// Percent that the VirtualService gives the canary.
    pub weight: Option<u64>,
    pub iterations: u64,
    pub failed: u64,
}

/// Follows one canary until it is dropped.
pub struct Course {
    points: Arc<Mutex<Vec<Point>>>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    name: String,
}

impl Course {
    pub fn follow(cluster: &Cluster, name: &str) -> Self {
        let points = Arc::new(Mutex::new(Vec::new()));
        let done = Arc::new(AtomicBool::new(false));
        let (cluster, of, sink, end) = (cluster.clone(), name.to_owned(), Arc::clone(&points), Arc::clone(&done));
        let shown = format!("{}/app/{name}", cluster.name);
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                if let Some(canary) = cluster.canary(&of) {
                    let number = |field: &str| canary.pointer(&format!("/status/{field}")).and_then(Value::as_u64).unwrap_or(0);
                    let weight = cluster.weights(&of).map(|(_, canary)| canary);
                    let point = Point {
                        phase: text(&canary, "/status/phase"),
                        weight,
                        iterations: number("iterations"),
                        failed: number("failedChecks"),
                    };
                    let mut points = sink.lock().expect("no follower panics");
                    if points.last() != Some(&point) {
                        points.push(point);
                    }
                }
                pause();
            }
        });
        Self { points, done, thread: Some(thread), name: shown }
    }

    pub fn points(&self) -> Vec<Point> {
        self.points.lock().expect("no follower panics").clone()
    }

    /// Each phase once, in its order.
    pub fn phases(&self) -> Vec<String> {
        let mut all: Vec<String> = self.points().into_iter().map(|point| point.phase).collect();
        all.dedup();
        all
    }

    /// Each weight of the route, in its order.
    pub fn weights(&self) -> Vec<u64> {
        let mut all: Vec<u64> = self.points().into_iter().filter_map(|point| point.weight).collect();
        all.dedup();
        all
    }

    pub fn failed(&self) -> u64 {
        self.points().into_iter().map(|point| point.failed).max().unwrap_or(0)
    }

    /// Waits until the last point is one of these.
    pub fn until(&self, deadline: Duration, what: &str, wanted: impl Fn(&Point) -> bool) -> Point {
        let last = || self.points().last().cloned();
        let started = std::time::Instant::now();
        until(deadline + crate::support::seconds(5), what, || {
            assert!(
                started.elapsed() < deadline,
                "{}: not {what} within {}s; its course: {:#?}",
                self.name,
                deadline.as_secs(),
                self.points()
            );
            last().filter(|point| wanted(point))
        })
    }

    pub fn until_phase(&self, deadline: Duration, phase: &str) -> Point {
        self.until(deadline, phase, |point| point.phase == phase)
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A follower that lost its cluster has said so already.
            let _ = thread.join();
        }
    }
}

/// Asserts that a rollout went through all of its weights, one after the other.
pub fn assert_in_order<T: PartialEq + std::fmt::Debug>(what: &str, all: &[T], wanted: &[T]) {
    let mut rest = all.iter();
    assert!(wanted.iter().all(|one| rest.any(|other| other == one)), "{what}: {wanted:?} in this order, and it was {all:?}");
}
