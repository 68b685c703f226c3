//! Views are made anew one canary at a time: after any changes they are the same as if they were all made at once.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use pilothouse::kubernetes::cluster::{Cluster, Policy};
use pilothouse::runner::clock::Clock;
use pilothouse::runner::rollouts::Reports;
use pilothouse::session::series::Series;
use pilothouse::session::show::Shown;
use pilothouse::simulation::line::Line;
use pilothouse::simulation::load::Load;
use serde_json::{Value, json};

#[test]
fn views_made_one_by_one_are_those_made_at_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let loaded = Load { clusters: 1, canaries: 24, settled: false, seed: 5 }.fill().expect("filled");
        let (_, server) = &loaded.clusters[0];
        let cluster = Arc::new(Cluster::new(Line::new(Arc::clone(server), "you", None).client(), Policy::default(), Clock::wall()));
        let watched = Arc::clone(&cluster);
        let watching = tokio::spawn(async move { watched.watch().await });
        let (shown, reports, series) = (Shown::default(), Reports::default(), Series::default());
        let views = |shown: &Shown| serde_json::to_value(shown.canaries(&cluster, &reports, &series)).expect("JSON");
        wait(|| cluster.store.is_complete() && views(&shown).as_array().is_some_and(|all| all.len() == 24)).await;
        let before = views(&shown);

        let call = |method: Method, path: &str, body: Option<Value>| {
            server.call("dana", method, path, "", body.as_ref()).unwrap_or_else(|status| panic!("{path}: {status}"));
        };
        let named = |canary: &Value, field: &str| canary["key"][field].as_str().expect("a name").to_owned();
        let path = |canary: &Value, kind: &str, suffix: &str| {
            let (namespace, name) = (named(canary, "namespace"), named(canary, "name"));
            match kind {
                "Canary" => format!("/apis/flagger.app/v1beta1/namespaces/{namespace}/canaries/{name}"),
                _ => format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}{suffix}"),
            }
        };
        for round in 0..10 {
            let _ = tokio::time::timeout(Duration::from_millis(20), loaded.storm(2_000)).await;
            let _ = views(&shown);
            let canary = &before[round * 2];
            match round % 5 {
                0 => call(Method::DELETE, &path(canary, "Canary", ""), None),
                1 => {
                    let image =
                        json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "registry.example/web:7"}]);
                    let path = path(canary, "Deployment", "-primary");
                    server.call("dana", Method::PATCH, &path, "application/json-patch+json", Some(&image)).expect("patched");
                }
                2 => call(
                    Method::PATCH,
                    &path(canary, "Canary", ""),
                    Some(json!({"spec": {"targetRef": {"name": named(&before[1], "name")}}})),
                ),
                3 => call(Method::DELETE, &path(canary, "Deployment", ""), None),
                _ => call(Method::PATCH, &path(canary, "Canary", ""), Some(json!({"spec": {"analysis": {"threshold": 9}}}))),
            }
            let _ = views(&shown);
        }
        // The watches have caught up when nothing has changed for a while.
        let mut last = Value::Null;
        wait(|| {
            std::thread::sleep(Duration::from_millis(100));
            let now = views(&shown);
            std::mem::replace(&mut last, now.clone()) == now && now.as_array().is_some_and(|all| all.len() == 22)
        })
        .await;
        let (one_by_one, at_once) = (views(&shown), views(&Shown::default()));
        for (one, other) in one_by_one.as_array().into_iter().flatten().zip(at_once.as_array().into_iter().flatten()) {
            assert_eq!(one, other);
        }
        assert_eq!(one_by_one, at_once);
        assert_ne!(one_by_one, before);
        watching.abort();
    });
}

async fn wait(mut done: impl FnMut() -> bool) {
    for _ in 0..300 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not come about");
}
