//! What the distribution's releases make of a cluster.

use serde_json::Value;

use crate::bed::{Bed, Cluster};
use crate::program::Home;
use crate::support::{seconds, until, until_true};

pub const SERVICES: [&str; 2] = ["backend", "frontend"];

pub fn image(tag: &str) -> String {
    format!("stefanprodan/podinfo:{tag}")
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
