//! The strategies by mesh of the system that Pilothouse is made for: twelve Canaries of the API's old version, from git, on
//! plain Kubernetes, Istio and Linkerd.
//!
//! | | frontend | backend | cache | database |
//! |---|---|---|---|---|
//! | Kubernetes | blue/green | blue/green | blue/green | blue/green |
//! | Istio | A/B testing | progressive | blue/green | mirroring |
//! | Linkerd | progressive | progressive | blue/green | blue/green |

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::bed::{Bed, Cluster, text};
use crate::program::Home;
use crate::support::{Folder, free_port, seconds, until, until_true};

const SERVICES: [&str; 4] = ["frontend", "backend", "cache", "database"];
const MESHES: [(&str, &str); 3] = [("eks", "kubernetes"), ("gke", "istio"), ("aks", "linkerd")];

/// How a Canary is stepped, and the event that only its strategy has.
fn strategy(mesh: &str, service: &str) -> (Value, &'static str) {
    let progressive = (json!({"maxWeight": 50, "stepWeight": 10}), "canary weight 50");
    let insiders = json!({"iterations": 10, "match": [
        {"headers": {"user-agent": {"regex": r"^(?!.*Chrome)(?=.*\bSafari\b).*$"}}},
        {"headers": {"cookie": {"regex": "^(.*?;)?(type=insider)(;.*)?$"}}}]});
    match (mesh, service) {
        ("istio", "frontend") => (insiders, "canary iteration 10/10"),
        ("istio", "database") => (json!({"iterations": 10, "mirror": true}), "Stop traffic mirroring and route all traffic to canary"),
        ("istio", "backend") | ("linkerd", "frontend" | "backend") => progressive,
        ("kubernetes", "frontend" | "backend") => (json!({"iterations": 5}), "canary iteration 5/5"),
        ("kubernetes", _) => (json!({"iterations": 10}), "canary iteration 10/10"),
        (_, "cache") => (json!({"iterations": 5}), "Routing all traffic to canary"),
        _ => (json!({"iterations": 10}), "Routing all traffic to canary"),
    }
}

/// A Canary as the old API wrote it; `tester` answers its webhooks.
fn canary(mesh: &str, service: &str, tester: &str) -> Value {
    let mut analysis = strategy(mesh, service).0;
    (analysis["interval"], analysis["threshold"]) = (json!("10s"), json!(10));
    analysis["metrics"] = json!([
        {"name": "request-success-rate", "threshold": if service == "frontend" { 70 } else { 99 }, "interval": "1m"},
        {"name": "request-duration", "threshold": 500, "interval": "30s"}]);
    analysis["webhooks"] = json!([
        {"name": "acceptance-test", "type": "pre-rollout", "url": tester, "timeout": "30s", "metadata": {"type": "bash"}},
        {"name": "load-test", "url": tester, "timeout": "5s", "metadata": {"type": "cmd"}}]);
    json!({"apiVersion": "flagger.app/v1alpha3", "kind": "Canary", "metadata": {"name": service, "namespace": "app"},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": service},
            "autoscalerRef": {"apiVersion": "autoscaling/v2beta1", "kind": "HorizontalPodAutoscaler", "name": service},
            "progressDeadlineSeconds": 60, "service": {"port": 9898, "portDiscovery": true}, "canaryAnalysis": analysis}})
}

/// Everything of one provider with the image `tag`, as one file of YAML documents.
fn tree(mesh: &str, tester: &str, tag: &str) -> String {
    let mut objects = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "app"}})];
    for service in SERVICES {
        let labels = json!({"app": service});
        let ports = json!([{"name": "http", "containerPort": 9898}]);
        let pod = json!({"containers": [{"name": service, "image": format!("podinfo:{tag}"), "ports": ports}]});
        objects.push(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": service, "namespace": "app"},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}}));
        objects.push(json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": service, "namespace": "app"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": service}, "minReplicas": 1, "maxReplicas": 2,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 99}}}]}}));
        objects.push(canary(mesh, service, tester));
    }
    // JSON is YAML.
    objects.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n")
}

fn git(at: &Path, words: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=Vendor", "-c", "user.email=vendor@example.com"]).args(words).current_dir(at);
    let done = command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").output().expect("git");
    assert!(done.status.success(), "git {}: {}", words.join(" "), String::from_utf8_lossy(&done.stderr));
}

/// Commits `content` to the provider's repository.
fn commit(work: &Path, content: &str, message: &str) {
    std::fs::create_dir_all(work.join("app")).expect("a folder");
    std::fs::write(work.join("app/all.yaml"), content).expect("a file");
    std::fs::write(work.join("app/kustomization.yaml"), "resources: [all.yaml]\n").expect("a file");
    git(work, &["add", "--all"]);
    git(work, &["commit", "--quiet", "--message", message]);
}

fn until_all(clusters: &[Cluster], phase: &str, within: u64) {
    for cluster in clusters {
        for service in SERVICES {
            let mut last = String::new();
            until(seconds(within), format!("{phase} of {}/{service}", cluster.name), || {
                last = cluster.phase(service);
                assert_ne!((last.as_str(), phase), ("Failed", "Succeeded"), "{}/{service}: {:?}", cluster.name, cluster.canary(service));
                (last == phase).then_some(())
            });
        }
    }
}

#[test]
fn twelve_old_canaries_from_git_are_promoted_each_by_its_strategy() {
    let bed = Bed::up("--clusters eks:kubernetes,gke:istio,aks:linkerd --prometheus --traffic");
    let folder = Folder::new("matrices");
    let port = free_port();
    let tester = format!("http://127.0.0.1:{port}/gate/approve");
    let mut fleet = String::from("apiVersion: pilothouse.dev/v1alpha1\nkind: Fleet\nproviders:\n");
    for (name, mesh) in MESHES {
        let work = folder.path().join(name);
        std::fs::create_dir_all(&work).expect("a folder");
        git(&work, &["init", "--quiet", "--initial-branch", "main"]);
        commit(&work, &tree(mesh, &tester, "6.0.0"), "The first release");
        let prometheus = text(bed.facts(), &format!("/clusters/{name}/prometheus"));
        let repository = format!("repository: {{url: 'file://{}', path: app}}", work.display());
        let _ = writeln!(fleet, "- {{name: {name}, context: {name}, mesh: {mesh}, prometheus: {{url: '{prometheus}'}}, {repository}}}");
    }
    let home = Home::new("matrices", &bed.kubeconfig()).with_fleet(&fleet);
    let clusters: Vec<Cluster> = MESHES.iter().map(|(name, _)| bed.cluster(name)).collect();
    home.expect(0, &["crds", "--install"]);
    let _daemon = home.daemon(&["--listen", &format!("127.0.0.1:{port}")]);
    until_all(&clusters, "Initialized", 120);
    for (name, mesh) in MESHES {
        commit(&folder.path().join(name), &tree(mesh, &tester, "6.0.1"), "The second release");
    }
    until_all(&clusters, "Succeeded", 300);
    for (cluster, (_, mesh)) in clusters.iter().zip(MESHES) {
        for service in SERVICES {
            assert_eq!(cluster.image(&format!("{service}-primary")), "podinfo:6.0.1", "{mesh} {service}");
            let event = strategy(mesh, service).1;
            let events = cluster.get("/api/v1/namespaces/app/events").expect("events");
            let told = events["items"]
                .as_array()
                .is_some_and(|all| all.iter().any(|e| text(e, "/involvedObject/name") == service && text(e, "/message").contains(event)));
            assert!(told, "{mesh} {service}: {event}");
            let scaler = format!("/apis/autoscaling/v2/namespaces/app/horizontalpodautoscalers/{service}-primary");
            until_true(seconds(5), "the primary's scaler", || cluster.get(&scaler).is_some());
        }
    }
}
