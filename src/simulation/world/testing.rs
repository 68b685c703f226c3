//! A world on an API server with a clock that tests move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::options::milliseconds;
use super::{Options, World};
use crate::simulation::api::{ApiServer, Options as ServerOptions};

const ISTIO: &str = "/apis/networking.istio.io/v1beta1/namespaces/test";
const GATEWAY: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/test";
const START: i64 = 1_800_000_000_000;

pub struct Bench {
    pub server: Arc<ApiServer>,
    pub world: World,
    /// Milliseconds since 1970.
    clock: Arc<AtomicI64>,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Options)) -> Self {
        let clock = Arc::new(AtomicI64::new(START));
        let read = Arc::clone(&clock);
        let server = ApiServer::new(ServerOptions {
            name: "test".into(),
            now: Arc::new(move || Timestamp::from_millisecond(read.load(Ordering::Relaxed)).expect("a time")),
            seed: 1,
            git_version: "v1.36.3".into(),
        });
        let mut options = Options { seed: 42, ..Options::default() };
        change(&mut options);
        let bench = Self { world: World::new(Arc::clone(&server), options), server, clock };
        bench.create("/api/v1/namespaces", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "test"}}));
        for (group, plural, kind, version) in [
            ("networking.istio.io", "virtualservices", "VirtualService", "v1beta1"),
            ("networking.istio.io", "destinationrules", "DestinationRule", "v1beta1"),
            ("gateway.networking.k8s.io", "httproutes", "HTTPRoute", "v1"),
        ] {
            bench.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition(group, plural, kind, version));
        }
        bench
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.clock.load(Ordering::Relaxed)).expect("a time")
    }

    /// Lets so many seconds go by, stopping wherever something is due.
    pub fn run(&mut self, seconds: u64) {
        self.advance_millis(seconds * 1000);
    }

    pub fn advance_millis(&mut self, count: u64) {
        self.until(self.now() + milliseconds(count), &mut |_| {});
    }

    /// The same, with a look at the server after every step.
    pub fn until(&mut self, end: Timestamp, look: &mut dyn FnMut(&Self)) {
        loop {
            let next = self.world.advance(self.now());
            look(self);
            let now = next.map_or(end, |next| next.min(end)).max(self.now());
            if now >= end {
                break;
            }
            // The server's clock has whole milliseconds: the one after the step.
            self.clock.store(now.as_millisecond().max(self.now().as_millisecond() + 1), Ordering::Relaxed);
        }
        self.clock.store(end.as_millisecond(), Ordering::Relaxed);
        self.world.advance(end);
        look(self);
    }

    pub fn create(&self, path: &str, object: &Value) {
        self.server.call("admin", Method::POST, path, "application/json", Some(object)).expect("created");
    }

    pub fn patch(&self, path: &str, patch: &Value) {
        self.server.call("admin", Method::PATCH, path, "application/merge-patch+json", Some(patch)).expect("patched");
    }

    pub fn delete(&self, path: &str) {
        self.server.call("admin", Method::DELETE, path, "application/json", None).expect("deleted");
    }

    pub fn deployment(&self, name: &str, replicas: i64, image: &str) {
        self.create("/apis/apps/v1/namespaces/test/deployments", &deployment(name, replicas, image));
    }

    pub fn service(&self, name: &str, app: &str) {
        let spec = json!({"selector": {"app": app}, "ports": [{"name": "http", "port": 80, "targetPort": 9898}]});
        let metadata = json!({"name": name, "namespace": "test"});
        self.create(
            "/api/v1/namespaces/test/services",
            &json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}),
        );
    }

    /// A primary and a canary with their Services, rules and a route that gives the canary a tenth.
    pub fn canary(&self, primary: &str, canary: &str) {
        self.deployment("web-primary", 2, primary);
        self.deployment("web", 2, canary);
        for (service, app) in [("web", "web-primary"), ("web-primary", "web-primary"), ("web-canary", "web")] {
            self.service(service, app);
        }
        for host in ["web-primary", "web-canary"] {
            let rule = json!({"apiVersion": "networking.istio.io/v1beta1", "kind": "DestinationRule",
                "metadata": {"name": host, "namespace": "test"}, "spec": {"host": host}});
            self.create(&format!("{ISTIO}/destinationrules"), &rule);
        }
        let metadata = json!({"name": "web", "namespace": "test"});
        let route =
            json!({"apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService", "metadata": metadata, "spec": routes(10)});
        self.create(&format!("{ISTIO}/virtualservices"), &route);
        let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": rules(10)});
        self.create(&format!("{GATEWAY}/httproutes"), &route);
    }

    /// Gives the canary so many percent.
    pub fn weights(&self, canary: i64) {
        self.patch(&format!("{ISTIO}/virtualservices/web"), &json!({"spec": routes(canary)}));
        self.patch(&format!("{GATEWAY}/httproutes/web"), &json!({"spec": rules(canary)}));
    }

    /// What Prometheus says to a query, as JSON.
    pub fn query(&self, query: &str) -> Value {
        let escaped = query.bytes().fold(String::new(), |escaped, byte| format!("{escaped}%{byte:02X}"));
        let (_, body) = self.world.prometheus(self.now(), &Method::GET, &format!("/api/v1/query?query={escaped}"), b"");
        serde_json::from_str(&body).expect("JSON")
    }

    /// The only value of a query.
    pub fn value(&self, query: &str) -> Option<f64> {
        self.query(query).pointer("/data/result/0/value/1")?.as_str()?.parse().ok()
    }
}

fn routes(canary: i64) -> Value {
    let to = |host: &str, weight: i64| json!({"destination": {"host": host}, "weight": weight});
    json!({"hosts": ["web"], "http": [{"route": [to("web-primary", 100 - canary), to("web-canary", canary)]}]})
}

fn rules(canary: i64) -> Value {
    let to = |name: &str, weight: i64| json!({"kind": "Service", "name": name, "port": 80, "weight": weight});
    let parent = json!({"group": "core", "kind": "Service", "name": "web", "port": 80});
    json!({"parentRefs": [parent], "rules": [{"backendRefs": [to("web-primary", 100 - canary), to("web-canary", canary)]}]})
}

pub fn deployment(name: &str, replicas: i64, image: &str) -> Value {
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "test"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": image}]}}
        }
    })
}

pub fn definition(group: &str, plural: &str, kind: &str, version: &str) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
            "versions": [{"name": version, "served": true, "storage": true, "schema": schema}]
        }
    })
}
