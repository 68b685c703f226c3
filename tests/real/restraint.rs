//! Where the program holds back: what cannot be measured is never promoted, and where a real Flagger drives nothing is
//! written.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::json;

use crate::bed::Bed;
use crate::program::Home;
use crate::rollout::{Course, image, populate};
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

fn never_promoted(name: &str, port: u16) {
    let bed = blind();
    let cluster = bed.cluster(name);
    let home = Home::new("blind", &bed.kubeconfig());
    home.expect(0, &["crds", "--install", "--context", name]);
    let _daemon = home.daemon(&["--context", name, "--mesh", "istio", "--prometheus", &format!("http://127.0.0.1:{port}")]);
    let metric = json!({"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "30s"});
    let analysis = json!({"interval": "10s", "threshold": 2, "stepWeight": 50, "maxWeight": 50, "metrics": [metric]});
    populate(&cluster, "web", "example.com/app:1", &json!({"service": {"port": 80}, "analysis": analysis}));
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
    let analysis = json!({"interval": "10s", "threshold": 5, "stepWeight": 20, "maxWeight": 60});
    let spec = json!({"progressDeadlineSeconds": 60, "service": {"port": 9898}, "analysis": analysis});
    populate(&gke, "backend", &image("6.0.0"), &spec);
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
