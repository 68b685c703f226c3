//! The same rollouts by the command line, against a daemon that drives; at its end the daemon hands over.

use serde_json::Value;

use crate::bed::{Cluster, text};
use crate::program::Home;
use crate::rollout::{Course, SERVICES, assert_in_order, assert_primary, assert_rolled_back, two_clusters, until_all, until_promoted};
use crate::support::{holds, seconds, until_true};

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/pilothouse-system/leases/pilothouse";
const BACKEND: &str = "gke/app/backend";

fn holder(cluster: &Cluster) -> Option<String> {
    cluster.get(LEASE).map(|lease| text(&lease, "/spec/holderIdentity"))
}

/// What `status` says of a context.
fn context(status: &Value, name: &str) -> Value {
    let all = status["contexts"].as_array().expect("contexts");
    all.iter().find(|context| context["name"] == name).unwrap_or_else(|| panic!("no context {name} in {status}")).clone()
}

#[test]
fn a_release_goes_out_is_rolled_back_and_is_aborted_by_verbs() {
    let (bed, eks, gke) = two_clusters();
    let home = Home::on("verbs", &bed);
    home.expect(0, &["crds", "--install"]);
    let daemon = home.daemon(&[]);
    until_all(&[&eks, &gke], "Initialized");
    for cluster in [&eks, &gke] {
        assert!(holder(cluster).is_some_and(|holder| !holder.is_empty()), "nobody holds the lease of {}", cluster.name);
    }
    until_promoted(&home, "gke", "1.0.0");
    release(&home, &eks, &gke);

    let failing = Course::follow(&gke, "backend");
    home.expect(0, &["bump", "1.2.0", "--provider", "gke"]);
    until_all(&[&gke], "Failed");
    failing.until_phase(seconds(10), "Failed");
    assert!(failing.failed() >= 2 && !failing.phases().iter().any(|phase| phase == "Promoting"), "{:#?}", failing.points());
    for service in SERVICES {
        assert_rolled_back(&gke, service, "6.0.1");
    }
    assert_eq!(home.run(&["status"]).code, 1, "a failed canary is an exit code");
    drop(failing);

    let course = Course::follow(&gke, "backend");
    home.expect(0, &["bump", "1.3.0", "--provider", "gke"]);
    course.until(seconds(60), "20 % of 1.3.0", |point| point.phase == "Progressing" && point.weight == Some(20));
    let said = home.expect(0, &["abort", BACKEND, "--reason", "not today"]);
    assert!(said.out.contains(BACKEND), "{said:?}");
    until_true(seconds(20), "Failed after the abort", || gke.phase("backend") == "Failed");
    assert_rolled_back(&gke, "backend", "6.0.1");
    for verb in ["abort", "promote", "resume", "approve", "reject"] {
        let refused = home.expect(5, &[verb, BACKEND]);
        assert!(refused.err.contains(BACKEND), "{refused:?}");
    }
    let why = home.run(&["why", BACKEND]);
    assert!(why.out.contains("not today"), "{why:?}");

    assert_eq!(daemon.stop(), 0);
    for cluster in [&eks, &gke] {
        assert_eq!(holder(cluster).as_deref(), Some(""), "the lease of {}", cluster.name);
    }
}

/// 1.1.0 on both, with a pause and a gate on the way.
fn release(home: &Home, eks: &Cluster, gke: &Cluster) {
    let offered = home.expect(0, &["versions", "-o", "json"]).json();
    let names: Vec<String> = offered["refs"].as_array().expect("refs").iter().map(|r| text(r, "/name")).collect();
    assert!(["1.0.0", "1.1.0", "1.2.0", "1.3.0"].iter().all(|wanted| names.iter().any(|name| name == wanted)), "{names:?}");
    assert_eq!(home.expect(0, &["gates", "-o", "json"]).json()["items"], serde_json::json!([]));
    let course = Course::follow(gke, "backend");
    let said = home.expect(0, &["bump", "1.1.0", "--provider", "gke", "--provider", "eks", "--reason", "it is time"]);
    assert_eq!(said.out.matches("1.0.0 → 1.1.0").count(), 2, "{said:?}");
    course.until(seconds(60), "20 %", |point| point.weight == Some(20));
    home.expect(0, &["pause", BACKEND]);
    let held = gke.weights("backend");
    holds(seconds(20), "the weight of a paused canary", &held, || gke.weights("backend"));
    let paused = home.expect(3, &["status", "-o", "json"]).json();
    let context_of = context(&paused, "gke");
    assert_eq!(context_of["sync"]["pinned"], "1.1.0");
    assert_eq!(context_of["sync"]["promotedRef"], "1.0.0");
    let backend = context_of["canaries"]
        .as_array()
        .and_then(|all| all.iter().find(|canary| canary["key"]["name"] == "backend"))
        .expect("backend")
        .clone();
    assert!(backend["paused"].is_object(), "{backend}");
    home.expect(0, &["resume", BACKEND]);
    course.until_phase(seconds(120), "WaitingPromotion");
    let gates = home.expect(3, &["gates", "-o", "json"]).json();
    assert_eq!(gates["items"][0]["target"], BACKEND);
    assert_eq!(gates["items"][0]["gate"], "confirm-promotion");
    home.expect(0, &["approve", BACKEND, "--gate", "confirm-promotion"]);
    until_all(&[gke, eks], "Succeeded");
    course.until_phase(seconds(10), "Succeeded");
    assert_in_order("weights", &course.weights(), &[0, 20, 40, 60, 0]);
    for cluster in [gke, eks] {
        assert_primary(cluster, "6.0.1", "http-client-timeout: 30s");
    }
    let done = home
        .until(seconds(30), &["status", "-o", "json"], |said| {
            said.code == 0 && context(&said.json(), "gke")["sync"]["promotedRef"] == "1.1.0"
        })
        .json();
    assert_eq!(context(&done, "gke")["sync"]["state"], "synced");
    let log = std::process::Command::new("git")
        .args(["log", "-1", "--format=%an %s", "main"])
        .current_dir(repository(home))
        .output()
        .expect("git");
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(log.contains("Operator") && log.contains("1.1.0") && log.contains("it is time"), "{log}");
}

/// The bare repository of gke, as the fleet file names it.
fn repository(home: &Home) -> std::path::PathBuf {
    let fleet = std::fs::read_to_string(home.fleet.as_ref().expect("a fleet file")).expect("the fleet file");
    let url = fleet.split('\'').find(|part| part.ends_with("/gke.git")).expect("gke's repository");
    url.trim_start_matches("file://").into()
}
