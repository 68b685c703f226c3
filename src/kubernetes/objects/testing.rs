//! What the tests of this room are about: one Canary and one target.

use serde_json::{Value, json};

use super::Subject;
use crate::domain::canary::CanarySpec;
use crate::domain::fleet::Engine;

pub fn canary() -> Value {
    json!({"metadata": {"name": "web", "namespace": "test", "uid": "c-uid"}})
}

pub fn spec() -> CanarySpec {
    serde_json::from_value(json!({"targetRef": {"kind": "Deployment", "name": "web"}, "service": {"port": 9898, "portDiscovery": true}}))
        .expect("a spec")
}

pub fn target() -> Value {
    json!({"kind": "Deployment", "metadata": {"name": "web", "namespace": "test"}, "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web", "tier": "front"}},
    "template": {"metadata": {"labels": {"app": "web", "tier": "front"}}, "spec": {
        "initContainers": [{"name": "init", "envFrom": [{"secretRef": {"name": "web-token"}}]}],
        "containers": [{"name": "web", "image": "a", "ports": [{"name": "http", "containerPort": 9898}, {"name": "grpc", "containerPort": 9999}, {"containerPort": 7000}],
            "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "other", "key": "a", "optional": true}}}],
            "envFrom": [{"configMapRef": {"name": "web-config"}}]}],
        "volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "web-config"}}]}}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}}]}}}}}})
}

/// Runs `test` on the Canary.
pub fn subject<T>(test: impl FnOnce(&Subject<'_>) -> T) -> T {
    let (canary, spec, settings) = (canary(), spec(), Engine::default());
    test(&Subject { canary: &canary, spec: &spec, settings: &settings })
}
