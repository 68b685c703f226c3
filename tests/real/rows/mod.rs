//! Flagger's end-to-end scenarios (rollout-contract §10.1), called as its scripts, where traffic and what is measured of it
//! decide. Those of routers whose traffic nothing here emulates are in `routers.rs`.

mod gateways;
mod ingress;
mod istio;
mod plain;

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::bed::{Bed, text};
use crate::place::{Case, Cases, METRIC_TEMPLATES, Place, Shared, tests};
use crate::program::{Daemon, Home};
use crate::receiver::post;

/// One cluster with traffic of all kinds, its metrics, and the daemon that drives it.
struct Stage {
    daemon: Daemon,
    _home: Home,
    bed: Bed,
}

/// What a case has: its namespace, and what stands round it.
struct Scene {
    place: Place,
    prometheus: String,
    emulator: String,
}

impl Scene {
    /// What one request by a route called `web` meets: the Service, and the headers of its answer.
    fn request(&self, kind: &str, headers: &Value) -> (String, Vec<(String, String)>) {
        let body = json!({"kind": kind, "namespace": self.place.namespace, "name": "web", "headers": headers});
        let said = self.tell("/request", &body);
        let given: Vec<(String, String)> =
            serde_json::from_value(said["headers"].clone()).unwrap_or_else(|_| panic!("{}: {said}", self.place));
        (text(&said, "/service"), given)
    }

    /// How often each of `count` requests meets the canary.
    fn met(&self, kind: &str, headers: &Value, count: usize) -> usize {
        (0..count).filter(|_| self.request(kind, headers).0 == "web-canary").count()
    }

    /// Images whose tag contains `text` fail so much of their requests from now on.
    fn fails(&self, text: &str, errors: f64) {
        self.tell("/behaviour", &json!({text: {"errors": errors}}));
    }

    fn tell(&self, path: &str, body: &Value) -> Value {
        let (status, said) = post(&format!("{}{path}", self.emulator), body);
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("the emulator of traffic: {status} {said}"))
    }

    /// A `MetricTemplate` on the bed's Prometheus.
    fn template(&self, name: &str, query: &str) {
        let provider = json!({"type": "prometheus", "address": self.prometheus});
        self.place.create(METRIC_TEMPLATES, "MetricTemplate", name, json!({"spec": {"provider": provider, "query": query}}));
    }
}

/// A check by the template `name`.
fn templated(name: &str, range: Value, variables: Value) -> Value {
    json!({"name": name, "interval": "20s", "templateRef": {"name": name}, "thresholdRange": range, "templateVariables": variables})
}

/// The built-in checks, which every good image passes.
fn built_in() -> Value {
    json!([{"name": "request-success-rate", "interval": "20s", "thresholdRange": {"min": 95}},
        {"name": "request-duration", "interval": "20s", "thresholdRange": {"max": 500}}])
}

static STAGE: Shared<Stage> = Shared::new();

fn on_stage(name: &str, play: fn(&Scene)) {
    let stage = STAGE.get(|| {
        let bed = Bed::up("--clusters rows:kubernetes --routers --prometheus");
        let prometheus = text(bed.facts(), "/clusters/rows/prometheus");
        // What Flagger is told by -include-label-prefix.
        let fleet = format!(
            "apiVersion: pilothouse.dev/v1alpha1\nkind: Fleet\nengine: {{includeLabelPrefix: [test-label-prefix, test-annotation-prefix]}}\n\
             providers:\n- name: rows\n  mesh: kubernetes\n  prometheus: {{url: '{prometheus}'}}\n"
        );
        let home = Home::new("rows", &bed.kubeconfig()).with_fleet(&fleet);
        home.expect(0, &["crds", "--install"]);
        Stage { daemon: home.daemon(&[]), _home: home, bed }
    });
    let fact = |name: &str| text(stage.bed.facts(), &format!("/clusters/rows/{name}"));
    let place = Place::new(&stage.bed.cluster("rows"), name, stage.daemon.logs_to());
    play(&Scene { place, prometheus: fact("prometheus"), emulator: fact("traffic") });
}

macro_rules! rows {
    ($($name:ident: $play:path;)*) => {
        static CASES: LazyLock<Cases> = LazyLock::new(|| {
            let all: [Case; [$(stringify!($name)),*].len()] = [$((stringify!($name), Box::new(|| on_stage(stringify!($name), $play)))),*];
            Cases::new(module_path!(), all)
        });

        tests! { $($name)* }
    };
}

rows! {
    kubernetes_test_deployment: plain::deployment;
    istio_test_canary: istio::canary;
    istio_test_canary_blue_green: istio::blue_green;
    istio_test_canary_ab_testing: istio::ab_testing;
    istio_test_delegation: istio::delegation;
    istio_test_session_affinity: istio::session_affinity;
    istio_test_skip_analysis: istio::skip_analysis;
    gatewayapi_test_canary: gateways::canary;
    gatewayapi_test_bg: gateways::blue_green;
    gatewayapi_test_ab: gateways::ab_testing;
    gatewayapi_test_session_affinity: gateways::session_affinity;
    linkerd_test_canary: gateways::linkerd;
    linkerd_test_steps: gateways::linkerd_steps;
    nginx_test_canary: ingress::canary;
    nginx_test_canary_ab_testing: ingress::ab_testing;
    nginx_test_lifecycle: ingress::lifecycle;
}
