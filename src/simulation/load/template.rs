//! One canary of each sort with all that belongs to it, made through an API server once and stored again under other names.

use std::sync::Arc;

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::domain::canary::HookKind;
use crate::domain::phase::Phase;
use crate::domain::status::{CanaryStatus, EngineState};
use crate::kubernetes::json::text;
use crate::simulation::api::{ApiServer, Options, Status};
use crate::simulation::app::{self, App, GITOPS, Release, Router};
use crate::simulation::cluster::VERSION;
use crate::simulation::world::MeshKind;

/// Stand in every text of a template, and nowhere else.
const NAMESPACE: &str = "template-namespace";
const NAME: &str = "template-name";
const ENGINE: &str = "pilothouse-engine";
const CONTROLLER: &str = "kube-controller-manager";
const MERGE: &str = "application/merge-patch+json";

/// What a template consists of, in the order in which it is stored.
const RESOURCES: [&str; 7] = [
    "configmaps",
    "deployments.apps",
    "services",
    "virtualservices.networking.istio.io",
    "canaries.flagger.app",
    "horizontalpodautoscalers.autoscaling",
    "events",
];

/// How a canary stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    Succeeded,
    Progressing,
    Waiting,
    Failed,
}

impl Variant {
    pub(super) const ALL: [Self; 4] = [Self::Succeeded, Self::Progressing, Self::Waiting, Self::Failed];

    /// Most canaries of a fleet are settled at any time.
    pub(super) fn draw(random: &mut fastrand::Rng) -> Self {
        match random.u8(..100) {
            0..84 => Self::Succeeded,
            84..92 => Self::Progressing,
            92..96 => Self::Waiting,
            _ => Self::Failed,
        }
    }

    const fn phase(self) -> Phase {
        match self {
            Self::Succeeded => Phase::Succeeded,
            Self::Progressing => Phase::Progressing,
            Self::Waiting => Phase::WaitingPromotion,
            Self::Failed => Phase::Failed,
        }
    }

    /// What the driver said of it last, oldest first; true is a warning.
    const fn said(self) -> &'static [(bool, &'static str)] {
        match self {
            Self::Succeeded => &[
                (false, "Starting canary analysis for template-name.template-namespace"),
                (false, "Advance template-name.template-namespace canary weight 60"),
                (false, "Promotion completed! Scaling down template-name.template-namespace"),
            ],
            Self::Progressing => &[
                (false, "New revision detected! Scaling up template-name.template-namespace"),
                (true, "Halt template-name.template-namespace advancement success rate 97.31% < 99%"),
                (false, "Advance template-name.template-namespace canary weight 40"),
            ],
            Self::Waiting => &[
                (false, "New revision detected! Scaling up template-name.template-namespace"),
                (false, "Advance template-name.template-namespace canary weight 60"),
                (true, "Halt template-name.template-namespace advancement waiting for promotion approval human"),
            ],
            Self::Failed => &[
                (true, "Halt template-name.template-namespace advancement request duration 1.204s > 500ms"),
                (true, "Rolling back template-name.template-namespace failed checks threshold reached 2"),
                (true, "Canary failed! Scaling down template-name.template-namespace"),
            ],
        }
    }

    fn status(self, uid: &str, now: Timestamp) -> CanaryStatus {
        let mut status = CanaryStatus::default();
        status.enter(self.phase(), "Deployment", now);
        let mut state = EngineState::default();
        let report = match self {
            Self::Succeeded => ("settled", "waits for a new revision"),
            Self::Progressing => {
                (status.canary_weight, status.failed_checks) = (40, 1);
                ("interval", "waits for its next step")
            }
            Self::Waiting => {
                status.canary_weight = 60;
                state.waiting.insert(HookKind::ConfirmPromotion.word().into(), now);
                ("gate", "waits for a human to approve the promotion")
            }
            Self::Failed => {
                status.failed_checks = 2;
                ("rolled-back", "request duration 1.204s > 500ms: failed checks threshold reached 2")
            }
        };
        state.report = Some((report.0.into(), report.1.into()));
        status.set_engine(&state, now);
        let revision = format!("p1:{uid}:2:{}", crate::domain::revision::sha256_hex(self.phase().word().as_bytes()));
        status.last_promoted_spec = format!("p1:{uid}:1:{}", crate::domain::revision::sha256_hex(b"before"));
        if self == Self::Succeeded {
            status.last_promoted_spec.clone_from(&revision);
        }
        status.last_applied_spec = revision;
        status.tracked_configs = Some([("configmap/template-name-settings".to_owned(), "8d2f0c61b5a3".to_owned())].into());
        status
    }
}

/// One object, as text in which names stand for others.
struct Piece {
    resource: &'static str,
    text: String,
}

/// A canary and what belongs to it.
pub(super) struct Template {
    pieces: Vec<Piece>,
    uids: Vec<String>,
}

/// Makes a namespace.
pub(super) fn namespace(server: &Arc<ApiServer>, name: &str) -> Result<(), Box<Status>> {
    let labels = json!({"istio-injection": "enabled", "toolkit.fluxcd.io/tenant": name});
    app::apply(server, GITOPS, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})).map(drop)
}

impl Template {
    /// Plays one rollout's writes on an API server, and takes down what it stored.
    pub(super) fn make(variant: Variant) -> Result<Self, Box<Status>> {
        let options = Options { name: "template".into(), now: Arc::new(Timestamp::now), seed: variant as u64, git_version: VERSION.into() };
        let server = ApiServer::new(options);
        app::prepare(&server, MeshKind::Istio)?;
        namespace(&server, NAMESPACE)?;
        let mut of = App::new(NAMESPACE, NAME, Router::Istio);
        (of.configured, of.hooks, of.scaler) = (true, true, true);
        if variant == Variant::Waiting {
            of.gates.push(HookKind::ConfirmPromotion);
        }
        let mut target = Value::Null;
        for object in of.objects(&Release::new("6.9.1"), true) {
            let stored = app::apply(&server, GITOPS, &dressed(object))?;
            if text(&stored, "/kind") == "Deployment" {
                target = stored;
            }
        }
        let canary = app::apply(&server, GITOPS, &labelled(of.canary()))?;
        let uid = text(&canary, "/metadata/uid").to_owned();
        for object in generated(&uid, &target) {
            app::apply(&server, ENGINE, &object)?;
        }
        let now = Timestamp::now();
        for (deployment, replicas) in [(NAME.to_owned(), i64::from(variant.phase().is_in_flight())), (format!("{NAME}-primary"), 2)] {
            let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{deployment}");
            let merge = |path: &str, manager: &str, body: &Value| {
                server.call(manager, Method::PATCH, &format!("{path}?fieldManager={manager}"), MERGE, Some(body))
            };
            merge(&path, ENGINE, &json!({"spec": {"replicas": replicas}}))?;
            merge(&format!("{path}/status"), CONTROLLER, &workload_status(replicas, now))?;
        }
        let path = format!("/apis/flagger.app/v1beta1/namespaces/{NAMESPACE}/canaries/{NAME}/status?fieldManager={ENGINE}");
        let status = json!({"status": variant.status(text(&target, "/metadata/uid"), now)});
        server.call(ENGINE, Method::PATCH, &path, MERGE, Some(&status))?;
        for (number, (warning, message)) in variant.said().iter().enumerate() {
            let path = format!("/api/v1/namespaces/{NAMESPACE}/events?fieldManager={ENGINE}");
            server.call(ENGINE, Method::POST, &path, "application/json", Some(&event(&uid, number, *warning, message, now)))?;
        }
        let mut template = Self { pieces: Vec::new(), uids: Vec::new() };
        for resource in RESOURCES {
            for object in server.objects(resource).iter().filter(|o| text(o, "/metadata/namespace") == NAMESPACE) {
                template.uids.push(text(object, "/metadata/uid").to_owned());
                template.pieces.push(Piece { resource, text: object.to_string() });
            }
        }
        Ok(template)
    }

    /// Stores it under a name in a namespace; gives resource and name of each object.
    pub(super) fn store(&self, server: &Arc<ApiServer>, namespace: &str, name: &str) -> Vec<(&'static str, Box<str>)> {
        let uids: Vec<(&str, String)> = self.uids.iter().map(|uid| (uid.as_str(), server.uid())).collect();
        let mut stored = Vec::new();
        for piece in &self.pieces {
            let mut text_ = piece.text.replace(NAMESPACE, namespace).replace(NAME, name);
            for (old, new) in &uids {
                if text_.contains(old) {
                    text_ = text_.replace(old, new);
                }
            }
            // It was printed here, and names and uids need no escapes.
            let object: Value = serde_json::from_str(&text_).unwrap_or_default();
            stored.push((piece.resource, text(&object, "/metadata/name").into()));
            server.restore(piece.resource, object);
        }
        stored
    }
}

fn labels() -> Value {
    json!({"app": NAME, "app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "shop", "app.kubernetes.io/managed-by": "kustomize",
        "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"})
}

fn labelled(mut object: Value) -> Value {
    object["metadata"]["labels"] = labels();
    object
}

/// The object with what people put on theirs: probes, resources, volumes, environment.
fn dressed(object: Value) -> Value {
    let mut object = labelled(object);
    if object["kind"] != "Deployment" {
        return object;
    }
    object["spec"]["revisionHistoryLimit"] = json!(5);
    object["spec"]["minReadySeconds"] = json!(3);
    object["spec"]["template"]["metadata"]["annotations"] =
        json!({"prometheus.io/scrape": "true", "prometheus.io/port": "9797", "sidecar.istio.io/proxyCPU": "50m"});
    let pod = &mut object["spec"]["template"]["spec"];
    pod["serviceAccountName"] = json!(NAME);
    pod["securityContext"] = json!({"runAsNonRoot": true, "runAsUser": 1000});
    pod["volumes"] = json!([{"name": "data", "emptyDir": {}}, {"name": "config", "configMap": {"name": "template-name-settings"}}]);
    let container = &mut pod["containers"][0];
    container["imagePullPolicy"] = json!("IfNotPresent");
    container["ports"] = json!([{"name": "http", "containerPort": 9898}, {"name": "metrics", "containerPort": 9797}, {"name": "grpc", "containerPort": 9999}]);
    container["command"] = json!(["./app", "--port=9898", "--port-metrics=9797", "--grpc-port=9999", "--level=info"]);
    container["env"] = json!([
        {"name": "LOG_LEVEL", "value": "info"},
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "template-name-database", "key": "url"}}},
        {"name": "CACHE", "value": "redis.template-namespace.svc:6379"}
    ]);
    let probe =
        |path: &str| json!({"httpGet": {"path": path, "port": "http"}, "initialDelaySeconds": 5, "timeoutSeconds": 5, "periodSeconds": 10});
    container["livenessProbe"] = probe("/healthz");
    container["readinessProbe"] = probe("/readyz");
    container["resources"] = json!({"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}});
    container["volumeMounts"] =
        json!([{"name": "data", "mountPath": "/data"}, {"name": "config", "mountPath": "/config", "readOnly": true}]);
    container["securityContext"] = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true});
    object
}

/// What the driver makes of the Canary with `uid`.
fn generated(uid: &str, target: &Value) -> Vec<Value> {
    let owner = json!([{"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": NAME, "uid": uid, "controller": true, "blockOwnerDeletion": true}]);
    let metadata = |name: &str| json!({"name": name, "namespace": NAMESPACE, "labels": {"app": name}, "ownerReferences": owner});
    let primary = format!("{NAME}-primary");
    let mut workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(&primary), "spec": target["spec"]});
    workload["spec"]["selector"]["matchLabels"]["app"] = json!(primary);
    workload["spec"]["template"]["metadata"]["labels"]["app"] = json!(primary);
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(&format!("{NAME}-settings-primary")), "data": {"LEVEL": "calm"}});
    let service = |name: &str, selects: &str| {
        let ports = json!([{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 9898}]);
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata(name), "spec": {"type": "ClusterIP", "ports": ports, "selector": {"app": selects}}})
    };
    let canary = format!("{NAME}-canary");
    let to = |host: &str, weight: i64| json!({"destination": {"host": host}, "weight": weight});
    let route = json!({"apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService", "metadata": metadata(NAME), "spec": {
        "hosts": [NAME, format!("{NAME}.example.com")], "gateways": ["mesh", "istio-system/public"],
        "http": [{"route": [to(&primary, 100), to(&canary, 0)], "timeout": "15s", "retries": {"attempts": 3, "perTryTimeout": "5s"}}]}});
    vec![config, workload, service(NAME, &primary), service(&canary, NAME), service(&primary, &primary), route]
}

fn workload_status(replicas: i64, now: Timestamp) -> Value {
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now, "lastUpdateTime": now});
    json!({"status": {
    "observedGeneration": 2, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
    "conditions": [
        condition("Available", "MinimumReplicasAvailable", "Deployment has minimum availability."),
        condition("Progressing", "NewReplicaSetAvailable", "ReplicaSet \"template-name-5f7d8c9b6d\" has successfully progressed.")
    ]}})
}

fn event(uid: &str, number: usize, warning: bool, message: &str, now: Timestamp) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("{NAME}.1876{number:012x}"), "namespace": NAMESPACE},
        "involvedObject": {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "namespace": NAMESPACE, "name": NAME, "uid": uid},
        "reason": "Synced", "message": message, "type": if warning { "Warning" } else { "Normal" }, "count": 1,
        "firstTimestamp": now, "lastTimestamp": now, "source": {"component": "pilothouse"}, "reportingComponent": "pilothouse", "reportingInstance": ""
    })
}
