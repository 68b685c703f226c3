//! Where the program holds back: what cannot be measured is never promoted, and where a real Flagger drives nothing is
//! written.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::json;

use crate::bed::{Bed, Cluster};
use crate::program::Home;
use crate::rollout::Course;
use crate::support::{free_port, holds, seconds, until_true};

/// A cluster for each case of blindness, shared as long as one of them runs.
fn blind() -> Arc<Bed> {
    static KNOWN: Mutex<Weak<Bed>> = Mutex::new(Weak::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.upgrade().unwrap_or_else(|| {
        let bed = Arc::new(Bed::up("--clusters one:istio,two:istio"));
        *known = Arc::downgrade(&bed);
        bed
    })
}

/// A Prometheus with no series: every query is answered, with nothing.
fn knows_nothing() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    // Ends with this process.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut asked = [0; 8192];
            let _ = stream.read(&mut asked);
            let body = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all((head + body).as_bytes());
        }
    });
    port
}

fn populate(cluster: &Cluster) {
    cluster.create("/api/v1/namespaces", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "app"}}));
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "example.com/app:1", "ports": [{"containerPort": 80}]}]}});
    cluster.create(
        "/apis/apps/v1/namespaces/app/deployments",
        &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}}),
    );
    let metric = json!({"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "30s"});
    cluster.create(
        "/apis/flagger.app/v1beta1/namespaces/app/canaries",
        &json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "web"},
            "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "service": {"port": 80}, "analysis": {"interval": "10s", "threshold": 2, "stepWeight": 50, "maxWeight": 50, "metrics": [metric]}}}),
    );
}

fn never_promoted(name: &str, port: u16) {
    let bed = blind();
    let cluster = bed.cluster(name);
    let home = Home::new("blind", &bed.kubeconfig());
    home.expect(0, &["crds", "--install", "--context", name]);
    let _daemon = home.daemon(&["--context", name, "--mesh", "istio", "--prometheus", &format!("http://127.0.0.1:{port}")]);
    populate(&cluster);
    until_true(seconds(90), "Initialized", || cluster.phase("web") == "Initialized");
    let course = Course::follow(&cluster, "web");
    cluster.patch(
        "/apis/apps/v1/namespaces/app/deployments/web",
        &json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "example.com/app:2"}]}}}}),
    );
    course.until_phase(seconds(120), "Failed");
    assert!(course.failed() >= 2, "{:#?}", course.points());
    for phase in ["WaitingPromotion", "Promoting", "Finalising", "Succeeded"] {
        assert!(!course.phases().iter().any(|seen| seen == phase), "{:?}", course.phases());
    }
    assert_eq!(cluster.image("web-primary"), "example.com/app:1");
    assert_eq!(cluster.weights("web"), Some((100, 0)));
}

#[test]
fn a_prometheus_that_is_not_there_promotes_nothing() {
    never_promoted("one", free_port());
}

#[test]
fn a_prometheus_that_knows_nothing_promotes_nothing() {
    never_promoted("two", knows_nothing());
}

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
        &json!({"spec": {"template": {"metadata": {"annotations": {"round": "2"}}}}}),
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

fn canary(cluster: &Cluster) {
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
