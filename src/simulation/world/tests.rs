//! The world as a whole: queries as the product sends them, faults, determinism, and what an idle world costs.

use std::time::Instant;

use serde_json::{Value, json};

use super::faults::MetricsFault;
use super::options::{MeshKind, milliseconds};
use super::testing::{Bench, deployment};
use crate::kubernetes::json::integer;

const ROUTERS: [(MeshKind, &str); 3] = [(MeshKind::Istio, "istio"), (MeshKind::Linkerd, "linkerd"), (MeshKind::None, "kubernetes")];

/// Success rate and duration as `metrics/catalogue.rs` asks for them, for a Deployment `web` in the namespace `test`.
fn queries(router: &str) -> [String; 2] {
    let (count, bucket, selector, failure, unit) = match router {
        "istio" => (
            "istio_requests_total",
            "istio_request_duration_milliseconds_bucket",
            r#"reporter="destination",destination_workload_namespace="test",destination_workload=~"web""#,
            r#"response_code!~"5.*""#,
            "",
        ),
        "linkerd" => (
            "response_total",
            "response_latency_ms_bucket",
            r#"namespace="test",deployment=~"web",direction="inbound""#,
            r#"classification!="failure""#,
            "",
        ),
        _ => (
            "http_request_duration_seconds_count",
            "http_request_duration_seconds_bucket",
            r#"kubernetes_namespace="test",kubernetes_pod_name=~"web-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)""#,
            r#"status!~"5.*""#,
            " * 1000",
        ),
    };
    [
        format!("sum(rate({count}{{{selector},{failure}}}[1m])) / sum(rate({count}{{{selector}}}[1m])) * 100"),
        format!("histogram_quantile(0.99, sum(rate({bucket}{{{selector}}}[1m])) by (le)){unit}"),
    ]
}

fn rate(bench: &Bench) -> Option<f64> {
    bench.value(&queries("istio")[0])
}

fn text_of_rate(bench: &Bench) -> Option<String> {
    bench.query(&queries("istio")[0]).pointer("/data/result/0/value/1")?.as_str().map(str::to_owned)
}

/// A canary at ten percent after ninety seconds.
fn judged(mesh: MeshKind, image: &str) -> Bench {
    let mut bench = Bench::with(|options| options.mesh = mesh);
    bench.canary("podinfo:6.0.0", image);
    bench.run(90);
    bench
}

#[test]
fn queries_as_they_are_sent_tell_good_bad_and_slow_images_apart() {
    for (mesh, router) in ROUTERS {
        for (image, success, latency) in [
            ("podinfo:6.0.1", 97.0..=100.0, 25.0..=120.0),
            ("podinfo:6.0.1-bad", 40.0..=60.0, 25.0..=120.0),
            ("podinfo:6.0.1-slow", 97.0..=100.0, 800.0..=1500.0),
        ] {
            let bench = judged(mesh, image);
            let [rate, duration] = queries(router).map(|query| bench.value(&query).expect("a value"));
            assert!(success.contains(&rate) && latency.contains(&duration), "{router}, {image}: {rate} % in {duration} ms");
            let sent = r#"sum(rate(http_request_duration_seconds_count{kubernetes_pod_name=~"web-[^-]+-[^-]+"}[1m]))"#;
            assert!((4.0..6.0).contains(&bench.value(sent).expect("a rate")), "a tenth of fifty, or what a load tester sends");
        }
    }
}

#[test]
fn an_ingress_and_its_canary_have_series_of_their_own() {
    let mut bench = Bench::with(|options| options.mesh = MeshKind::None);
    bench.canary("podinfo:6.0.0", "podinfo:6.0.1-bad");
    for (name, service, annotations) in [
        ("web", "web", json!({})),
        (
            "web-canary",
            "web-canary",
            json!({"nginx.ingress.kubernetes.io/canary": "true", "nginx.ingress.kubernetes.io/canary-weight": "20"}),
        ),
    ] {
        let path = json!({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 80}}}});
        let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": {"rules": [{"http": {"paths": [path]}}]},
            "metadata": {"name": name, "namespace": "test", "annotations": annotations}});
        bench.create("/apis/networking.k8s.io/v1/namespaces/test/ingresses", &ingress);
    }
    bench.run(90);
    let canary = r#"namespace="test",ingress="web",canary!="""#;
    let requests = |more: &str| format!("sum(rate(nginx_ingress_controller_requests{{{canary}{more}}}[1m]))");
    let rate = bench.value(&format!("{} / {} * 100", requests(r#",status!~"5.*""#), requests(""))).expect("a rate");
    assert!((40.0..60.0).contains(&rate), "{rate}");
    assert!((9.0..11.0).contains(&bench.value(&requests("")).expect("a rate")), "a fifth of fifty");
    let duration = "nginx_ingress_controller_response_duration_seconds";
    let mean = format!("sum(rate({duration}_sum{{{canary}}}[1m])) / sum(rate({duration}_count{{{canary}}}[1m])) * 1000");
    assert!((40.0..60.0).contains(&bench.value(&mean).expect("a mean")));
}

#[test]
fn a_broken_prometheus_answers_as_its_fault_says() {
    let mut bench = judged(MeshKind::Istio, "podinfo:6.0.1");
    let before = rate(&bench).expect("a rate");
    let with = |bench: &mut Bench, fault| {
        bench.world.faults().metrics = Some(fault);
    };
    with(&mut bench, MetricsFault::AlwaysBad);
    assert!(rate(&bench).is_some_and(|v| v < 1.0) && bench.value(&queries("istio")[1]).is_some_and(|v| v > 2500.0));
    with(&mut bench, MetricsFault::Empty);
    assert_eq!(bench.query("up").pointer("/data/result"), Some(&json!([])));
    with(&mut bench, MetricsFault::NotANumber);
    assert_eq!(text_of_rate(&bench).as_deref(), Some("NaN"));
    let now = bench.now();
    with(&mut bench, MetricsFault::Frozen(now));
    bench.weights(0);
    bench.world.options.load_tester_per_second = 0.0;
    bench.run(120);
    assert!((rate(&bench).expect("a rate") - before).abs() < 1e-9);
    for (fault, status, words) in [
        (MetricsFault::Down, 503, "connection refused"),
        (MetricsFault::ServerError, 500, "internal"),
        (MetricsFault::Garbage, 200, "<!DOCTYPE"),
    ] {
        with(&mut bench, fault);
        let (code, body) = bench.world.prometheus(bench.now(), &http::Method::GET, "/api/v1/query?query=up", b"");
        assert!(code == status && body.contains(words), "{code} {body}");
    }
    bench.world.faults().heal();
    assert_eq!(text_of_rate(&bench).as_deref(), Some("NaN"), "no request in the window is 0/0");
    let mut bad = judged(MeshKind::Istio, "podinfo:6.0.1-bad");
    with(&mut bad, MetricsFault::AlwaysGood);
    assert!(rate(&bad).is_some_and(|v| v > 99.9));
}

#[test]
fn a_range_has_a_point_for_every_step_that_has_samples() {
    let bench = judged(MeshKind::Istio, "podinfo:6.0.1");
    let end = bench.now().as_second();
    let path = format!(
        "/api/v1/query_range?query=up%7Bkubernetes_pod_name%3D~%22web-%5B0-9a-z%5D%2B-.%2A%22%7D&start={}&end={end}&step=15",
        end - 150
    );
    let (status, body) = bench.world.prometheus(bench.now(), &http::Method::GET, &path, b"");
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    let points = answer.pointer("/data/result/0/values").and_then(Value::as_array).expect("points").len();
    assert_eq!((status, answer["data"]["resultType"].as_str()), (200, Some("matrix")));
    assert!((5..=7).contains(&points), "pods are there for 90 s: {points}");
    for (path, words) in [
        ("/api/v1/query?query=sum(", "parse error"),
        ("/api/v1/query_range?query=up&start=2&end=1&step=1", "end timestamp must not be before start time"),
        ("/api/v1/query_range?query=up&start=1&end=2&step=0", "zero or negative query resolution"),
        ("/api/v1/query_range?query=up&end=2&step=1", "invalid parameter \"start\""),
    ] {
        let (status, body) = bench.world.prometheus(bench.now(), &http::Method::GET, path, b"");
        assert!(status == 400 && body.contains("bad_data") && body.replace('\\', "").contains(words), "{body}");
    }
    let (_, posted) = bench.world.prometheus(bench.now(), &http::Method::POST, "/api/v1/query", b"query=vector(1)%2B1");
    assert!(posted.contains(r#""2""#), "{posted}");
}

#[test]
fn pods_come_back_after_a_loss_and_images_can_be_broken_and_healed() {
    let available = |bench: &Bench| {
        let object = bench.server.object("deployments.apps", "test", "web").expect("a deployment");
        integer(&object, "/status/availableReplicas").unwrap_or(0)
    };
    let mut bench = Bench::new();
    bench.deployment("web", 3, "podinfo:6.0.0");
    bench.run(10);
    let until = bench.now() + milliseconds(20_000);
    bench.world.faults().lose("test", "web", Some(until));
    bench.run(2);
    assert_eq!(available(&bench), 0);
    bench.run(25);
    assert_eq!(available(&bench), 3);
    bench.world.faults().break_image("6.0.1");
    bench.patch("/apis/apps/v1/namespaces/test/deployments/web", &deployment("web", 3, "podinfo:6.0.1"));
    bench.run(30);
    let updated =
        |bench: &Bench| bench.server.object("deployments.apps", "test", "web").expect("a deployment")["status"]["updatedReplicas"].clone();
    assert_eq!((available(&bench), updated(&bench)), (3, json!(1)));
    bench.world.faults().heal();
    bench.run(30);
    assert_eq!((available(&bench), updated(&bench)), (3, json!(3)));
}

#[test]
fn what_a_deployment_owned_goes_with_it() {
    let mut bench = Bench::new();
    bench.deployment("web", 2, "podinfo:6.0.0");
    bench.service("web", "web");
    bench.run(10);
    assert_eq!(bench.server.objects("replicasets.apps").len(), 1);
    bench.delete("/apis/apps/v1/namespaces/test/deployments/web");
    bench.delete("/api/v1/namespaces/test/services/web");
    bench.run(5);
    assert!(bench.server.objects("replicasets.apps").is_empty() && bench.server.objects("endpointslices.discovery.k8s.io").is_empty());
    assert!(bench.world.pods.is_empty());
}

#[test]
fn the_same_seed_and_calls_give_the_same_objects_and_answers() {
    let run = |seed| {
        let mut bench = Bench::with(|options| options.seed = seed);
        bench.canary("podinfo:6.0.0", "podinfo:6.0.1-bad");
        bench.run(60);
        bench.weights(30);
        bench.run(60);
        let objects: Vec<String> = ["deployments.apps", "replicasets.apps", "endpointslices.discovery.k8s.io"]
            .into_iter()
            .flat_map(|resource| bench.server.objects(resource))
            .map(|object| object.to_string())
            .collect();
        (objects, queries("istio").map(|query| bench.query(&query).to_string()))
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).1, run(8).1);
}

#[test]
fn an_idle_world_costs_next_to_nothing() {
    let mut bench = Bench::new();
    for number in 0..60 {
        bench.deployment(&format!("app-{number}"), 2, "podinfo:6.0.0");
    }
    let begin = Instant::now();
    bench.run(30);
    let busy = begin.elapsed();
    let writes = bench.server.changes();
    let idle = Instant::now();
    let now = bench.now();
    for _ in 0..10_000 {
        bench.world.advance(now);
    }
    let idle = idle.elapsed() / 10_000;
    println!("60 Deployments: {busy:?}, version {}; idle advance: {idle:?}", writes.get());
    let start = bench.now();
    assert_eq!(bench.world.advance(start + milliseconds(3_600_000)), None, "an idle hour has no events");
    // Generous, for machines that are shared; figures are printed.
    assert!(idle.as_micros() < 50, "{idle:?}");
}
