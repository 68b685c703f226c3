//! What the contract cannot show: faults, the journal, proxies, refused shapes, and that equal runs give equal bytes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use http::{Method, StatusCode};
use pilothouse::simulation::api::{ApiServer, Options, ProxyReply, Reply, Status, WatchStream, WriteVerb};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn server(seed: u64) -> Arc<ApiServer> {
    let start: jiff::Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
    ApiServer::new(Options { name: "test".into(), now: Arc::new(move || start), seed, git_version: "v1.36.3".into() })
}

fn call(server: &Arc<ApiServer>, method: Method, path: &str, body: &Value) -> Result<Value, Box<Status>> {
    server.call("somebody", method, path, "", Some(body).filter(|body| !body.is_null()))
}

fn create(server: &Arc<ApiServer>, name: &str) -> Value {
    call(server, Method::POST, MAPS, &json!({"metadata": {"name": name}})).expect("it is created")
}

fn change(server: &Arc<ApiServer>, name: &str, value: &str) {
    call(server, Method::PATCH, &format!("{MAPS}/{name}"), &json!({"data": {"a": value}})).expect("it is changed");
}

fn watch(server: &Arc<ApiServer>, query: &str) -> WatchStream {
    let request = http::Request::get(format!("{MAPS}?watch=true&{query}")).body(Bytes::new()).expect("a request");
    match server.handle("somebody", request) {
        Reply::Watch(stream) => stream,
        Reply::Answer { status, .. } => panic!("no watch, but {status}"),
    }
}

/// What is sent at this moment: the type and the value of `data.a` of each event.
fn sent(stream: &mut WatchStream) -> Vec<(String, Value)> {
    let mut events = Vec::new();
    while let Some(Some(line)) = stream.next().now_or_never() {
        let event: Value = serde_json::from_slice(&line).expect("JSON");
        events.push((event["type"].as_str().unwrap_or_default().to_owned(), event["object"]["data"]["a"].clone()));
    }
    events
}

fn is_over(stream: &mut WatchStream) -> bool {
    matches!(stream.next().now_or_never(), Some(None))
}

#[tokio::test(start_paused = true)]
async fn a_watch_follows_what_happens_until_its_time_is_up() {
    let server = server(1);
    let mut stream = watch(&server, "timeoutSeconds=10");
    assert!(sent(&mut stream).is_empty());
    create(&server, "a");
    change(&server, "a", "1");
    assert_eq!(sent(&mut stream), [("ADDED".to_owned(), Value::Null), ("MODIFIED".to_owned(), "1".into())]);
    tokio::time::sleep(Duration::from_secs(9)).await;
    change(&server, "a", "2");
    assert_eq!(sent(&mut stream), [("MODIFIED".to_owned(), "2".into())]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(is_over(&mut stream));
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_every_minute_and_before_the_end() {
    let server = server(1);
    let version = create(&server, "a")["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
    let start = tokio::time::Instant::now();
    let stream = watch(&server, &format!("allowWatchBookmarks=true&timeoutSeconds=150&resourceVersion={version}"));
    let seconds: Vec<u64> = stream.map(|_| start.elapsed().as_secs()).collect().await;
    assert_eq!(seconds, [60, 120, 148]);
    let start = tokio::time::Instant::now();
    let stream = watch(&server, "allowWatchBookmarks=true&timeoutSeconds=150&resourceVersion=0");
    let seconds: Vec<u64> = stream.map(|_| start.elapsed().as_secs()).collect().await;
    assert_eq!(seconds, [0, 0, 60, 120, 148], "the object and the end of the initial events come first");
}

#[tokio::test(start_paused = true)]
async fn a_lag_holds_events_back_in_their_order() {
    let server = server(1);
    let mut stream = watch(&server, "timeoutSeconds=60");
    server.set_watch_lag(Duration::from_millis(500));
    create(&server, "a");
    tokio::time::sleep(Duration::from_millis(300)).await;
    change(&server, "a", "1");
    assert!(sent(&mut stream).is_empty());
    tokio::time::sleep(Duration::from_millis(201)).await;
    assert_eq!(sent(&mut stream), [("ADDED".to_owned(), Value::Null)]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(sent(&mut stream), [("MODIFIED".to_owned(), "1".into())]);
}

#[tokio::test(start_paused = true)]
async fn cut_watches_end_and_can_be_taken_up_again() {
    let server = server(1);
    let mut stream = watch(&server, "timeoutSeconds=60");
    let version = create(&server, "a")["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
    assert_eq!(sent(&mut stream).len(), 1);
    server.cut_watches();
    assert!(is_over(&mut stream));
    change(&server, "a", "1");
    assert_eq!(sent(&mut watch(&server, &format!("resourceVersion={version}"))), [("MODIFIED".to_owned(), "1".into())]);
}

#[tokio::test(start_paused = true)]
async fn forgotten_history_is_gone_for_who_comes_back_and_not_for_who_stayed() {
    let server = server(1);
    let mut stayed = watch(&server, "timeoutSeconds=60");
    let version = create(&server, "a")["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
    let page = call(&server, Method::GET, "/api/v1/namespaces?limit=1", &Value::Null).expect("a page");
    let token = page["metadata"]["continue"].as_str().expect("more").to_owned();
    change(&server, "a", "1");
    server.compact();
    change(&server, "a", "2");
    assert_eq!(sent(&mut stayed).len(), 3);
    let error = watch(&server, &format!("resourceVersion={version}")).next().await.expect("an event");
    let error: Value = serde_json::from_slice(&error).expect("JSON");
    assert_eq!((&error["type"], &error["object"]["code"], &error["object"]["reason"]), (&"ERROR".into(), &410.into(), &"Expired".into()));
    let gone = call(&server, Method::GET, &format!("/api/v1/namespaces?limit=1&continue={token}"), &Value::Null).expect_err("too old");
    assert_eq!((gone.code, gone.reason.as_str()), (410, "Expired"));
    let gone = call(&server, Method::GET, &format!("{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact"), &Value::Null)
        .expect_err("too old");
    assert_eq!(gone.code, 410);
}

#[tokio::test(start_paused = true)]
async fn pages_show_the_state_of_the_first() {
    let server = server(1);
    for name in ["a", "b", "c"] {
        create(&server, name);
    }
    let page = call(&server, Method::GET, &format!("{MAPS}?limit=1"), &Value::Null).expect("a page");
    assert_eq!(page["metadata"]["remainingItemCount"], 2);
    call(&server, Method::DELETE, &format!("{MAPS}/b"), &Value::Null).expect("it is deleted");
    create(&server, "bb");
    change(&server, "c", "changed");
    let token = page["metadata"]["continue"].as_str().expect("more");
    let rest = call(&server, Method::GET, &format!("{MAPS}?limit=5&continue={token}"), &Value::Null).expect("the rest");
    let names: Vec<&Value> = rest["items"].as_array().expect("items").iter().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, ["b", "c"]);
    assert_eq!(rest["items"][1]["data"], Value::Null);
    assert_eq!(rest["metadata"]["resourceVersion"], page["metadata"]["resourceVersion"]);
}

#[test]
fn the_journal_tells_every_write_once() {
    let server = server(1);
    let told = Arc::new(Mutex::new(Vec::new()));
    let journal = Arc::clone(&told);
    server.set_journal(Arc::new(move |write| journal.lock().expect("nobody panicked").push(write.clone())));
    let before = server.changes().get();
    create(&server, "a");
    change(&server, "a", "1");
    change(&server, "a", "1");
    call(&server, Method::PATCH, &format!("{MAPS}/a?dryRun=All"), &json!({"data": {"a": "2"}})).expect("a dry run");
    call(&server, Method::DELETE, &format!("{MAPS}/a"), &Value::Null).expect("it is deleted");
    let told: Vec<_> =
        told.lock().expect("nobody panicked").iter().map(|write| (write.verb, write.name.clone(), write.user.clone())).collect();
    let by = |verb| (verb, "a".to_owned(), "somebody".to_owned());
    assert_eq!(told, [by(WriteVerb::Create), by(WriteVerb::Update), by(WriteVerb::Delete)]);
    assert_eq!(server.changes().get(), before + 3);
}

#[test]
fn the_world_answers_for_services() {
    let server = server(1);
    let services = "/api/v1/namespaces/default/services";
    let service = json!({"metadata": {"name": "prometheus"}, "spec": {"ports": [{"name": "http", "port": 9090}]}});
    call(&server, Method::POST, services, &service).expect("a service");
    server.set_proxy(Arc::new(|request| ProxyReply {
        status: StatusCode::OK,
        content_type: "text/plain",
        body: format!("{} {} {} {}", request.method, request.service, request.port, request.path_and_query).into(),
    }));
    let answer = call(&server, Method::GET, &format!("{services}/prometheus:9090/proxy/api/v1/query?query=up%3D1"), &Value::Null);
    assert_eq!(answer.expect("an answer"), "GET prometheus 9090 /api/v1/query?query=up%3D1");
    let missing = call(&server, Method::GET, &format!("{services}/grafana:80/proxy/"), &Value::Null).expect_err("there is none");
    assert_eq!(missing.code, 404);
}

#[test]
fn what_nobody_has_compared_is_not_served() {
    let server = server(1);
    create(&server, "a");
    let strategic =
        server.call("somebody", Method::PATCH, &format!("{MAPS}/a"), "application/strategic-merge-patch+json", Some(&json!({})));
    let asked = [
        strategic,
        call(&server, Method::GET, &format!("{MAPS}?sendInitialEvents=true&watch=true"), &Value::Null),
        call(&server, Method::GET, &format!("{MAPS}?pretty=true"), &Value::Null),
        call(&server, Method::GET, "/api/v1/nodes", &Value::Null),
        call(&server, Method::GET, "/apis/storage.k8s.io/v1/storageclasses", &Value::Null),
        call(&server, Method::POST, "/api/v1/namespaces/default/pods/web/eviction", &json!({})),
        call(&server, Method::GET, "/metrics", &Value::Null),
        call(&server, Method::DELETE, &format!("{MAPS}/a"), &json!({"orphanDependents": true})),
    ];
    for answer in asked {
        let status = answer.expect_err("not served");
        assert_eq!((status.code, status.reason.as_str()), (501, "NotImplemented"), "{status}");
    }
}

#[test]
fn nonsense_is_refused_and_harms_nothing() {
    let server = server(1);
    create(&server, "a");
    let bodies = [
        json!(null),
        json!(1),
        json!([]),
        json!({"metadata": 5}),
        json!({"metadata": {"labels": [1]}}),
        json!({"spec": "x"}),
        json!({"spec": {"template": 1}}),
    ];
    for path in [
        MAPS,
        "/apis/apps/v1/namespaces/default/deployments",
        "/apis/batch/v1/namespaces/default/jobs",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    ] {
        for body in &bodies {
            for media in ["application/json", "application/merge-patch+json", "application/apply-patch+yaml", "application/json-patch+json"]
            {
                let _ = server.call("somebody", Method::POST, path, media, Some(body));
                for method in [Method::PUT, Method::PATCH, Method::DELETE] {
                    let _ = server.call("somebody", method, &format!("{path}/b?fieldManager=x"), media, Some(body));
                }
            }
        }
    }
    for body in &bodies[1..] {
        assert!(server.call("somebody", Method::POST, MAPS, "", Some(body)).is_err(), "{body}");
    }
    assert_eq!(server.objects("configmaps").len(), 1);
}

#[test]
fn objects_are_read_by_namespace_and_name_and_are_the_same_until_they_change() {
    let server = server(1);
    for namespace in ["a-b", "a"] {
        call(&server, Method::POST, "/api/v1/namespaces", &json!({"metadata": {"name": namespace}})).expect("a namespace");
        for number in 0..20 {
            let path = format!("/api/v1/namespaces/{namespace}/configmaps");
            call(&server, Method::POST, &path, &json!({"metadata": {"name": format!("map-{number:02}")}})).expect("a map");
        }
    }
    let (first, second) = (server.objects("configmaps"), server.objects("configmaps"));
    let places: Vec<(&str, &str)> = first
        .iter()
        .map(|map| (map["metadata"]["namespace"].as_str().expect("one"), map["metadata"]["name"].as_str().expect("one")))
        .collect();
    assert!(places.is_sorted() && places.len() == 40);
    assert!(first.iter().zip(&second).all(|(one, other)| Arc::ptr_eq(one, other)));
    call(&server, Method::PATCH, "/api/v1/namespaces/a/configmaps/map-03", &json!({"data": {"a": "b"}})).expect("a change");
    let third = server.objects("configmaps");
    assert_eq!(first.iter().zip(&third).filter(|(one, other)| !Arc::ptr_eq(one, other)).count(), 1);
    let alone = server.object("configmaps", "a", "map-03").expect("it is there");
    assert!(third.iter().any(|map| Arc::ptr_eq(map, &alone)));
    assert_eq!((&alone["kind"], &alone["data"]["a"]), (&"ConfigMap".into(), &"b".into()));
}

#[test]
fn equal_runs_give_equal_bytes() {
    let run = |seed| {
        let server = server(seed);
        call(&server, Method::POST, MAPS, &json!({"metadata": {"generateName": "a-"}})).expect("it is created");
        call(
            &server,
            Method::POST,
            "/api/v1/namespaces/default/services",
            &json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}),
        )
        .expect("a service");
        let everything = ["/api/v1/configmaps", "/api/v1/services", "/api/v1/namespaces", "/apis"];
        everything.map(|path| call(&server, Method::GET, path, &Value::Null).expect("a list").to_string()).concat()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
