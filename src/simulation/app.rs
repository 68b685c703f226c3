//! Applications of a simulated cluster: a Deployment, its configuration and its Canary, and the releases they get.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::api::{ApiServer, Status};
use super::world::MeshKind;
use crate::domain::canary::{BLUE_GREEN_ANNOTATION, GATES_ANNOTATION, HookKind, NO_DATA_ANNOTATION};
use crate::domain::target::CanaryKey;
use crate::kubernetes::json::{integer, items, text};
use crate::kubernetes::kinds::Kind;

/// Field manager of whoever applies applications.
pub const GITOPS: &str = "kustomize-controller";

/// Who routes the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Router {
    Istio,
    Kubernetes,
    /// The Gateway API.
    Gateway,
}

impl Router {
    /// As `spec.provider` has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Istio => "istio",
            Self::Kubernetes => "kubernetes",
            Self::Gateway => "gatewayapi:v1",
        }
    }

    /// The kind of its routes, as the API server's resources are called; none on plain Kubernetes.
    #[must_use]
    pub const fn resource(self) -> Option<&'static str> {
        match self {
            Self::Istio => Some("virtualservices.networking.istio.io"),
            Self::Gateway => Some("httproutes.gateway.networking.k8s.io"),
            Self::Kubernetes => None,
        }
    }
}

/// How a Canary is rolled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `stepWeight` percent at a time up to `maxWeight`, back by `stepWeightPromotion` (0: at once).
    Weights { step: i64, max: i64, back: i64 },
    /// Blue/green.
    Iterations(i64),
    /// A/B testing by a header, for so many intervals.
    Matches(i64),
}

/// The percents of primary and canary by a route: its last rule that names both Services.
#[must_use]
pub fn divided(route: &Value, name: &str) -> Option<(i64, i64)> {
    let (primary, canary) = (format!("{name}-primary"), format!("{name}-canary"));
    let rules = |pointer: &str| items(route, pointer).collect::<Vec<_>>();
    let istio = rules("/spec/http").into_iter().map(|rule| {
        let of =
            |host: &str| items(rule, "/route").find(|d| text(d, "/destination/host") == host).map(|d| integer(d, "/weight").unwrap_or(0));
        of(&primary).zip(of(&canary))
    });
    let gateway = rules("/spec/rules").into_iter().map(|rule| {
        let of = |name: &str| items(rule, "/backendRefs").find(|b| text(b, "/name") == name).map(|b| integer(b, "/weight").unwrap_or(1));
        of(&primary).zip(of(&canary))
    });
    istio.chain(gateway).flatten().last()
}

/// One application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    pub namespace: String,
    pub name: String,
    pub router: Router,
    pub way: Way,
    /// `analysis.interval` in seconds.
    pub interval: u64,
    /// `analysis.threshold`.
    pub threshold: i64,
    /// `progressDeadlineSeconds` of Canary and Deployment.
    pub deadline: u64,
    pub replicas: i64,
    /// Gates that people open.
    pub gates: Vec<HookKind>,
    /// Gates that a webhook keeps each, closed until the world's receiver is told otherwise.
    pub hook_gates: Vec<HookKind>,
    /// A webhook that orders a rollback once the receiver is told so.
    pub rollback_hook: bool,
    /// It has a `ConfigMap` that is tracked.
    pub configured: bool,
    /// A pre-rollout and a rollout webhook.
    pub hooks: bool,
    /// Webhooks of every other type that is asked, which pass; the rollback one does not.
    pub all_hooks: bool,
    /// A webhook that is told of events.
    pub events: bool,
    /// Checks without data hold the rollout.
    pub held_without_data: bool,
    /// Requests are mirrored to the canary before they are sent there.
    pub mirror: bool,
    /// Clients stay where a cookie says.
    pub affinity: bool,
    /// `skipAnalysis`.
    pub skip: bool,
    /// On plain Kubernetes the apex Service is switched.
    pub live: bool,
    /// It has a `HorizontalPodAutoscaler`.
    pub scaler: bool,
    /// `revertOnDeletion`.
    pub revert: bool,
}

impl App {
    /// An application as most are: 20 % at a time up to 60 %, every ten seconds.
    #[must_use]
    pub fn new(namespace: &str, name: &str, router: Router) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            router,
            way: Way::Weights { step: 20, max: 60, back: 0 },
            interval: 10,
            threshold: 2,
            deadline: 60,
            replicas: 2,
            gates: Vec::new(),
            hook_gates: Vec::new(),
            rollback_hook: false,
            configured: false,
            hooks: false,
            all_hooks: false,
            events: false,
            held_without_data: false,
            mirror: false,
            affinity: false,
            skip: false,
            live: false,
            scaler: false,
            revert: false,
        }
    }

    #[must_use]
    pub fn key(&self) -> CanaryKey {
        CanaryKey::new(&self.namespace, &self.name)
    }

    /// Why there is no such application.
    #[must_use]
    pub fn impossible(&self) -> Option<&'static str> {
        let percents = match self.way {
            Way::Weights { step, max, back } => (1..=100).contains(&step) && (1..=100).contains(&max) && (0..=100).contains(&back),
            Way::Iterations(_) | Way::Matches(_) => true,
        };
        let holds_back =
            |gate: &HookKind| matches!(gate, HookKind::ConfirmRollout | HookKind::ConfirmTrafficIncrease | HookKind::ConfirmPromotion);
        match self.way {
            _ if !percents => Some("its steps are no percentages"),
            Way::Iterations(n) | Way::Matches(n) if n < 1 => Some("it has no iteration to pass"),
            Way::Matches(_) if self.affinity => Some("the clients of an A/B test are told apart by their headers, and not by a cookie"),
            _ if self.live && self.router != Router::Kubernetes => Some("only plain Kubernetes has an apex Service to switch"),
            _ if self.interval == 0 || self.deadline == 0 => Some("its interval and its deadline last no time"),
            _ if self.replicas < 1 => Some("it has no pod"),
            _ if !self.gates.iter().chain(&self.hook_gates).all(holds_back) => Some("only confirm-* gates hold a rollout back"),
            _ => None,
        }
    }

    /// The Canary.
    #[must_use]
    pub fn canary(&self) -> Value {
        // Four samples of a Prometheus that looks every five seconds.
        let window = format!("{}s", self.interval.max(20));
        let mut analysis = json!({
            "interval": format!("{}s", self.interval), "threshold": self.threshold,
            "metrics": [
                {"name": "request-success-rate", "interval": window, "thresholdRange": {"min": 99}},
                {"name": "request-duration", "interval": window, "thresholdRange": {"max": 500}}
            ]
        });
        match self.way {
            Way::Weights { step, max, back } => {
                analysis["stepWeight"] = json!(step);
                analysis["maxWeight"] = json!(max);
                if back > 0 {
                    analysis["stepWeightPromotion"] = json!(back);
                }
            }
            Way::Iterations(n) => analysis["iterations"] = json!(n),
            Way::Matches(n) => {
                analysis["iterations"] = json!(n);
                analysis["match"] = json!([{"headers": {"x-canary": {"exact": "insider"}}}]);
            }
        }
        let mut hooks = Vec::new();
        let mut hook = |name: &str, kind: &str, path: &str| {
            hooks.push(json!({"name": name, "type": kind, "url": format!("http://loadtester.tools.svc/{path}"), "timeout": "3s"}));
        };
        if self.hooks {
            hook("conformance", "pre-rollout", "test");
            hook("load", "rollout", "load");
        }
        if self.all_hooks {
            for kind in ["confirm-rollout", "confirm-traffic-increase", "confirm-promotion", "post-rollout"] {
                hook(kind, kind, "gate/approve");
            }
            hook("rollback", "rollback", "gate/halt");
        }
        for gate in &self.hook_gates {
            hook(&format!("{}-keeper", gate.word()), gate.word(), "gate/check");
        }
        if self.rollback_hook {
            hook("brake", "rollback", "rollback/check");
        }
        if self.events {
            hook("chronicle", "event", "events");
        }
        if !hooks.is_empty() {
            analysis["webhooks"] = json!(hooks);
        }
        if self.mirror {
            analysis["mirror"] = json!(true);
        }
        if self.affinity {
            analysis["sessionAffinity"] = json!({"cookieName": "canary", "maxAge": 60});
        }
        let mut canary = json!({
            "apiVersion": "flagger.app/v1beta1", "kind": "Canary",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "provider": self.router.word(), "progressDeadlineSeconds": self.deadline,
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": self.name},
                "service": {"port": 80, "targetPort": 9898}, "analysis": analysis
            }
        });
        if self.router == Router::Gateway {
            canary["spec"]["service"]["gatewayRefs"] = json!([{"name": "public", "namespace": "tools"}]);
        }
        if self.skip {
            canary["spec"]["skipAnalysis"] = json!(true);
        }
        if self.revert {
            canary["spec"]["revertOnDeletion"] = json!(true);
        }
        if self.scaler {
            canary["spec"]["autoscalerRef"] = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": self.name});
        }
        if self.live {
            canary["metadata"]["annotations"] = json!({BLUE_GREEN_ANNOTATION: "live"});
        }
        if self.held_without_data {
            canary["metadata"]["annotations"][NO_DATA_ANNOTATION] = json!("hold");
        }
        if !self.gates.is_empty() {
            let gates: Vec<_> = self.gates.iter().map(|gate| gate.word()).collect();
            canary["metadata"]["annotations"][GATES_ANNOTATION] = json!(gates.join(","));
        }
        canary
    }

    /// The Deployment as `release` has it; `replicas` only where the object is to be created.
    #[must_use]
    pub fn deployment(&self, release: &Release, first: bool) -> Value {
        let labels = json!({"app": self.name});
        let mut pod_labels = labels.clone();
        if let Some(fate) = release.pods.word() {
            pod_labels[POD_LABEL] = json!(fate);
        }
        let mut container = json!({"name": "app", "image": format!("registry.example/{}:{}", self.name, release.tag),
            "ports": [{"containerPort": 9898, "name": "http"}]});
        if self.configured {
            container["envFrom"] = json!([{"configMapRef": {"name": self.config_name()}}]);
        }
        let mut spec = json!({
            "selector": {"matchLabels": labels}, "progressDeadlineSeconds": self.deadline,
            "template": {"metadata": {"labels": pod_labels}, "spec": {"containers": [container]}}
        });
        if first {
            spec["replicas"] = json!(self.replicas);
        }
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": self.name, "namespace": self.namespace}, "spec": spec})
    }

    fn config_name(&self) -> String {
        format!("{}-settings", self.name)
    }

    /// What `release` consists of, in the order of its application.
    #[must_use]
    pub fn objects(&self, release: &Release, first: bool) -> Vec<Value> {
        let mut objects = Vec::new();
        if self.configured {
            objects.push(json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": self.config_name(), "namespace": self.namespace}, "data": {"LEVEL": release.setting}}));
        }
        objects.push(self.deployment(release, first));
        if self.scaler {
            let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}});
            objects.push(json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": self.name, "namespace": self.namespace},
                "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": self.name},
                    "minReplicas": self.replicas, "maxReplicas": self.replicas + 2, "metrics": [cpu]}}));
        }
        objects
    }
}

/// Label on a pod template that says what becomes of its pods.
pub const POD_LABEL: &str = "simulation.pilothouse.dev/pod";

/// What becomes of a release's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pods {
    Ready,
    /// They run, and never get ready.
    NeverReady,
    Crash,
}

impl Pods {
    const fn word(self) -> Option<&'static str> {
        match self {
            Self::Ready => None,
            Self::NeverReady => Some("never-ready"),
            Self::Crash => Some("crash"),
        }
    }
}

/// One release of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Image tag: one that holds `bad` fails half of its requests, one that holds `slow` takes 900 ms.
    pub tag: String,
    pub pods: Pods,
    /// Content of the configuration.
    pub setting: String,
}

impl Release {
    #[must_use]
    pub fn new(tag: &str) -> Self {
        Self { tag: tag.into(), pods: Pods::Ready, setting: "calm".into() }
    }

    /// Whether it must not become the primary while metrics tell the truth.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        is_bad(&self.tag) || self.pods != Pods::Ready
    }
}

/// Whether a release with this image, or tag, fails its checks.
#[must_use]
pub fn is_bad(image: &str) -> bool {
    let tag = image.rsplit(':').next().unwrap_or(image);
    tag.contains("bad") || tag.contains("slow")
}

/// Applies `object` server-side in the name of `manager`.
///
/// # Errors
/// As the API server answers.
pub fn apply(server: &Arc<ApiServer>, manager: &str, object: &Value) -> Result<Value, Box<Status>> {
    let path = format!("{}?fieldManager={manager}&force=true", path(object));
    server.call(manager, Method::PATCH, &path, "application/apply-patch+yaml", Some(object))
}

/// The API path of `object`.
#[must_use]
pub fn path(object: &Value) -> String {
    let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
    match text(object, "/kind") {
        "Namespace" => format!("/api/v1/namespaces/{name}"),
        "CustomResourceDefinition" => format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"),
        "HorizontalPodAutoscaler" => format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}"),
        kind => Kind::all().find(|k| k.word() == kind).map(|k| k.path(namespace, name)).unwrap_or_default(),
    }
}

/// Everything that has to be there before applications are: the CRDs of Flagger and of the mesh, and the tools.
///
/// # Errors
/// As the API server answers.
pub fn prepare(server: &Arc<ApiServer>, mesh: MeshKind) -> Result<(), Box<Status>> {
    let of_mesh: &[[&str; 3]] = match mesh {
        MeshKind::None => &[],
        MeshKind::Istio => &[
            ["networking.istio.io", "VirtualService", "virtualservices"],
            ["networking.istio.io", "DestinationRule", "destinationrules"],
            ["gateway.networking.k8s.io", "HTTPRoute", "httproutes"],
        ],
        MeshKind::Linkerd => &[["gateway.networking.k8s.io", "HTTPRoute", "httproutes"]],
    };
    let definitions =
        crate::kubernetes::crds::all().into_iter().chain(of_mesh.iter().map(|[group, kind, plural]| routes(group, kind, plural)));
    definitions.into_iter().chain(tools()).try_for_each(|object| apply(server, "setup", &object).map(|_| ()))
}

/// The Services behind which the world has its Prometheus and its receiver of webhooks.
fn tools() -> impl Iterator<Item = Value> {
    [("monitoring", "prometheus", 9090), ("tools", "loadtester", 80)].into_iter().flat_map(|(namespace, name, port)| {
        let metadata = json!({"name": name, "namespace": namespace});
        [
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": port}]}}),
        ]
    })
}

/// A CRD that keeps every field and checks none: what matters is that routes are stored as written.
fn routes(group: &str, kind: &str, plural: &str) -> Value {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}});
    let version = |name: &str, storage: bool| json!({"name": name, "served": true, "storage": storage, "schema": schema, "subresources": {"status": {}}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}"), "annotations": {"api-approved.kubernetes.io": "unapproved, for simulations alone"}},
        "spec": {"group": group, "scope": "Namespaced", "versions": [version("v1beta1", false), version("v1", true)],
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase()}}})
}
