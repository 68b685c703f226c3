//! What an engine is asked for and must refuse (reliability-performance §4.3, entries 8 to 20): a sentence stands on the
//! object itself, traffic stays where it was, the neighbour does not notice, and once the mistake is gone the rollout goes on.
//!
//! Entries 10 to 14 are tables in `domain/canary/rules.rs` as well, 21 to 27 stand beside what reads metrics and calls hooks.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use pilothouse::domain::phase::Phase;
use pilothouse::simulation::app::{App, Release, Router};
use pilothouse::simulation::process::Process;
use pilothouse::simulation::stage::{Stage, bound};
use serde_json::{Value, json};

use crate::in_virtual_time;

/// Two applications that are initialised, and the engine that drives them: `web` is tampered with, `cart` is its neighbour.
struct Case {
    stage: Stage,
    engine: Process,
}

const WEB: usize = 0;
const CART: usize = 1;
const CANARY: &str = "/apis/flagger.app/v1beta1/namespaces/shop/canaries/web";

impl Case {
    async fn set() -> Self {
        let apps = ["web", "cart"].map(|name| App::new("shop", name, Router::Istio));
        let mut stage = Stage::set(3, apps.to_vec()).expect("a stage");
        let engine = stage.engine();
        let initialised = |stage: &Stage| [WEB, CART].iter().all(|app| stage.status(*app).phase == Phase::Initialized);
        assert!(stage.until(bound(&stage.apps[WEB]), initialised).await, "{}", stage.describe(WEB));
        Self { stage, engine }
    }

    /// Merges `patch` into an object; the API server's own sentence where it refuses.
    fn patch(&self, path: &str, patch: &Value) -> Result<(), String> {
        let server = &self.stage.cluster.server;
        server.call("somebody", Method::PATCH, path, "application/merge-patch+json", Some(patch)).map(drop).map_err(|e| e.to_string())
    }

    fn create(&self, path: &str, object: &Value) -> Result<(), String> {
        self.stage
            .cluster
            .server
            .call("somebody", Method::POST, path, "application/json", Some(object))
            .map(drop)
            .map_err(|e| e.to_string())
    }

    fn ship(&self, app: usize, tag: &str) {
        self.stage.release(app, &Release::new(tag), false).expect("applied");
    }

    async fn until(&self, what: &str, done: impl Fn(&Stage) -> bool) {
        assert!(self.stage.until(bound(&self.stage.apps[WEB]), done).await, "{what}: {}", self.stage.describe(WEB));
    }

    /// The sentence that stands on the Canary.
    fn said(&self) -> String {
        self.stage.status(WEB).engine().report.map(|(_, message)| message).unwrap_or_default()
    }

    /// A release of both while `web` is as it must not be: the neighbour comes through, and `web` stays where it was.
    async fn nothing_reaches_traffic(&self, sentence: &str) {
        self.ship(WEB, "1.1.0");
        self.ship(CART, "1.1.0");
        self.until("its neighbour", |stage| stage.has_settled(CART, "1.1.0")).await;
        assert!(self.said().contains(sentence), "{sentence}: {}", self.stage.describe(WEB));
        assert_eq!((self.stage.weight(WEB), self.stage.primary_tag(WEB).as_str()), (0, "1.0.0"), "{sentence}");
        let written = self.engine.line.writes();
        self.stage.clock.sleep(Duration::from_mins(3)).await;
        assert!(self.engine.line.writes() - written < 3, "{sentence}: said again and again");
        assert_eq!(self.stage.checker.broken(), Vec::<String>::new(), "{sentence}");
    }

    async fn comes_through(&self) {
        self.until("the end", |stage| stage.has_settled(WEB, "1.1.0")).await;
        assert_eq!(self.stage.checker.broken(), Vec::<String>::new());
    }
}

/// Changes the Canary for the worse, looks what happens, and changes it back. What the API server refuses never was.
fn refused(bad: &Value, good: &Value, sentence: &str) {
    in_virtual_time(async {
        let case = Case::set().await;
        if let Err(why) = case.patch(CANARY, bad) {
            assert!(why.contains("spec"), "{why}");
            return;
        }
        case.nothing_reaches_traffic(sentence).await;
        case.patch(CANARY, good).expect("patched");
        case.comes_through().await;
    });
}

#[test]
fn bad_input_8_names_at_the_limit_of_their_length_and_look_alikes() {
    in_virtual_time(async {
        let long = "w".repeat(55);
        let mut stage = Stage::set(4, vec![App::new("shop", &long, Router::Istio)]).expect("a stage");
        let engine = stage.engine();
        assert!(stage.until(bound(&stage.apps[0]), |stage| stage.status(0).phase == Phase::Initialized).await, "{}", stage.describe(0));
        drop(engine);
    });
    let gates = json!({"metadata": {"annotations": {"pilothouse.dev/gates": "c\u{43e}nfirm-promotion\u{1b}[2J"}}});
    refused(&gates, &json!({"metadata": {"annotations": {"pilothouse.dev/gates": null}}}), "names c");
}

#[test]
fn bad_input_9_objects_that_are_huge_or_deep() {
    in_virtual_time(async {
        let case = Case::set().await;
        let deep = (0..10_000).fold(String::from("1"), |inner, _| format!("{{\"a\":{inner}}}"));
        assert!(serde_json::from_str::<Value>(&deep).is_err(), "what is so deep is not even read");
        // As large as etcd takes it: it is carried along, and shown nowhere.
        case.patch(CANARY, &json!({"metadata": {"annotations": {"note": "x".repeat(250_000)}}})).expect("patched");
        case.ship(WEB, "1.1.0");
        case.comes_through().await;
    });
}

#[test]
fn bad_input_10_to_13_numbers_that_are_none() {
    let analysis = |bad: Value| json!({"spec": {"analysis": bad}});
    refused(&analysis(json!({"stepWeight": 101})), &analysis(json!({"stepWeight": 20})), "stepWeight 101");
    refused(&analysis(json!({"maxWeight": -1})), &analysis(json!({"maxWeight": 60})), "maxWeight -1");
    refused(&analysis(json!({"interval": "0s"})), &analysis(json!({"interval": "10s"})), "interval 0s");
    let range = |range: Value| analysis(json!({"metrics": [{"name": "request-duration", "thresholdRange": range}]}));
    refused(&range(json!({"min": 5, "max": 1})), &range(json!({"max": 500})), "min 5 is above max 1");
}

#[test]
fn bad_input_14_targets_and_services_that_are_not_its_own() {
    let target = |name: &str| json!({"spec": {"targetRef": {"name": name}}});
    refused(&target("web-primary"), &target("web"), "ends in -primary");
    refused(&target("nobody"), &target("web"), "nobody is not in namespace shop");
    in_virtual_time(async {
        // Somebody else's Service stands where the canary's would be.
        let case = Case::set().await;
        let theirs = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop-canary", "namespace": "shop"},
            "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]}});
        case.create("/api/v1/namespaces/shop/services", &theirs).expect("created");
        case.patch(CANARY, &json!({"spec": {"service": {"name": "shop"}}})).expect("patched");
        case.stage.clock.sleep(Duration::from_mins(2)).await;
        let kept = case.stage.cluster.server.object("services", "shop", "shop-canary").expect("their Service");
        assert_eq!(kept["spec"]["selector"], json!({"app": "theirs"}));
        case.patch(CANARY, &json!({"spec": {"service": {"name": null}}})).expect("patched");
        case.ship(WEB, "1.1.0");
        case.comes_through().await;
    });
}

#[test]
fn bad_input_15_two_canaries_on_one_target_or_one_route() {
    in_virtual_time(async {
        let case = Case::set().await;
        let mut twin = App::new("shop", "web", Router::Istio).canary();
        twin["metadata"]["name"] = json!("twin");
        case.create("/apis/flagger.app/v1beta1/namespaces/shop/canaries", &twin).expect("created");
        case.ship(WEB, "1.1.0");
        case.comes_through().await;
        let twin = case.stage.cluster.server.object("canaries.flagger.app", "shop", "twin").expect("the twin");
        let said = twin.pointer("/status/conditions").map(ToString::to_string).unwrap_or_default();
        assert!(said.contains("Canary web releases Deployment web already"), "{said}");
    });
}

#[test]
fn bad_input_17_what_the_api_does_not_know_is_not_kept() {
    in_virtual_time(async {
        let case = Case::set().await;
        let both = json!({"spec": {"analysis": {"iterations": 3, "stepWeight": 20}, "dependsOn": [{"name": "web"}]}});
        // Iterations win over weights, as with Flagger, where a server lets both through; entry 16's field is no field here.
        let _ = case.patch(CANARY, &both);
        let canary = case.stage.canary(WEB).expect("the Canary");
        assert!(canary.pointer("/spec/dependsOn").is_none());
        case.ship(WEB, "1.1.0");
        case.comes_through().await;
    });
}

#[test]
fn bad_input_18_a_deletion_that_somebody_else_holds_up() {
    in_virtual_time(async {
        let case = Case::set().await;
        case.patch(CANARY, &json!({"metadata": {"finalizers": ["example.com/theirs"]}})).expect("patched");
        let server = Arc::clone(&case.stage.cluster.server);
        server.call("somebody", Method::DELETE, CANARY, "application/json", None).expect("deleted");
        case.ship(WEB, "1.1.0");
        case.stage.clock.sleep(Duration::from_mins(3)).await;
        assert_eq!((case.stage.weight(WEB), case.stage.primary_tag(WEB).as_str()), (0, "1.0.0"));
        case.patch(CANARY, &json!({"metadata": {"finalizers": null}})).expect("patched");
        case.stage.clock.sleep(Duration::from_secs(5)).await;
        assert!(case.stage.canary(WEB).is_none(), "what goes is let go");
    });
}

#[test]
fn bad_input_19_an_object_made_again_under_its_name_in_mid_run() {
    in_virtual_time(async {
        let case = Case::set().await;
        case.ship(WEB, "1.1.0");
        case.until("its first weight", |stage| stage.weight(WEB) >= 20).await;
        let path = "/apis/apps/v1/namespaces/shop/deployments/web";
        case.stage.cluster.server.call("somebody", Method::DELETE, path, "application/json", None).expect("deleted");
        case.stage.release(WEB, &Release::new("1.1.0"), true).expect("applied");
        case.comes_through().await;
    });
}

#[test]
fn bad_input_20_a_status_of_another_version() {
    in_virtual_time(async {
        let case = Case::set().await;
        let status = |phase: &str| case.patch(&format!("{CANARY}/status"), &json!({"status": {"phase": phase}}));
        if status("Sideways").is_ok() {
            case.nothing_reaches_traffic("does not know").await;
            status("Initialized").expect("patched");
        } else {
            case.ship(WEB, "1.1.0");
        }
        case.comes_through().await;
    });
}
