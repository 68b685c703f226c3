//! Metrics as they should not be: what cannot be measured is never promoted.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::LazyLock;

use serde_json::json;

use crate::bed::{Bed, Cluster};
use crate::course::Course;
use crate::program::Home;
use crate::support::{free_port, seconds, until_true};

/// A cluster for each case. The end of this process ends it.
static BLIND: LazyLock<Bed> = LazyLock::new(|| Bed::up("--clusters one:istio,two:istio"));

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
    let cluster = BLIND.cluster(name);
    let home = Home::new("blind", &BLIND.kubeconfig());
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
