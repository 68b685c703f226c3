//! Where a real Flagger drives, nothing is written, and the reason is told.

use crate::bed::Bed;
use crate::program::Home;
use crate::support::{holds, seconds, until_true};

/// Requests that change an object. A review of oneself is created, and stays nowhere.
fn writes(requests: &[String]) -> Vec<String> {
    let changes = |request: &&String| {
        let verb = request.split(' ').next().unwrap_or_default();
        matches!(verb, "create" | "update" | "patch" | "delete" | "deletecollection") && !request.contains("selfsubject")
    };
    requests.iter().filter(changes).cloned().collect()
}

#[test]
fn beside_a_flagger_nothing_is_written() {
    let bed = Bed::up("--clusters gke:istio --providers --flagger gke");
    let gke = bed.cluster("gke");
    let home = Home::on("foreign", &bed);
    // Flagger's own canary, so that both see work to do.
    canary(&gke);
    let daemon = home.daemon(&[]);
    until_true(seconds(30), "the daemon's word about Flagger", || daemon.log().contains("observing only"));
    until_true(seconds(90), "Flagger's Initialized", || gke.phase("backend") == "Initialized");
    gke.patch(
        "/apis/apps/v1/namespaces/app/deployments/backend",
        &serde_json::json!({"spec": {"template": {"metadata": {"annotations": {"round": "2"}}}}}),
    );
    until_true(seconds(60), "Flagger's Progressing", || gke.phase("backend") == "Progressing");
    holds(seconds(12), "writes beside a Flagger", &Vec::<String>::new(), || writes(&gke.requests(0)));
    let status = home.run(&["status"]);
    assert!(status.out.contains("Flagger"), "{status:?}");
    println!("status beside a Flagger: {}", status.out.lines().find(|line| line.contains("Flagger")).unwrap_or_default().trim());
    let refused = home.expect(5, &["pause", "gke/app/backend"]);
    assert!(refused.err.contains("Flagger"), "{refused:?}");
    assert_eq!(daemon.stop(), 0);
    assert_eq!(writes(&gke.requests(0)), Vec::<String>::new());
    assert!(gke.get("/apis/coordination.k8s.io/v1/namespaces/pilothouse-system/leases/pilothouse").is_none(), "a lease was made");
}

fn canary(cluster: &crate::bed::Cluster) {
    use serde_json::json;
    cluster.create("/api/v1/namespaces", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "app"}}));
    let template = json!({"metadata": {"labels": {"app": "backend"}}, "spec": {"containers": [{"name": "main", "image": "stefanprodan/podinfo:6.0.0", "ports": [{"containerPort": 9898}]}]}});
    cluster.create(
        "/apis/apps/v1/namespaces/app/deployments",
        &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "backend"},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "backend"}}, "template": template}}),
    );
    cluster.create(
        "/apis/flagger.app/v1beta1/namespaces/app/canaries",
        &json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "backend"},
            "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "backend"}, "progressDeadlineSeconds": 60,
                "service": {"port": 9898}, "analysis": {"interval": "10s", "threshold": 5, "stepWeight": 20, "maxWeight": 60}}}),
    );
}
