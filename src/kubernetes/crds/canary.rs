//! The schema of a Canary (rollout-contract §1.1, §1.3, §1.5), `spec.service` aside. Flagger's, place for place: whatever one
//! of the two CRDs lets through and keeps, the other does, so either may be installed.

use serde_json::{Value, json};

use super::schema::{Schema, boolean, integer, list, map, needs, number, object, one_text_of, one_text_or_none_of, text, time, word};
use super::service;
use crate::domain::canary::HookKind;
use crate::domain::phase::Phase;

/// Values of `spec.provider` that the API takes (rollout-contract §7.1). The engine's own default may be others.
const PROVIDERS: [&str; 19] = [
    "apisix",
    "appmesh",
    "appmesh:v1beta2",
    "contour",
    "gatewayapi:v1",
    "gatewayapi:v1beta1",
    "gloo",
    "istio",
    "knative",
    "kubernetes",
    "kuma",
    "linkerd",
    "nginx",
    "osm",
    "skipper",
    "smi:v1alpha1",
    "smi:v1alpha2",
    "smi:v1alpha3",
    "traefik",
];

/// A duration as far as the schema looks: whatever follows the unit is let through, as Flagger does.
const DURATION: &str = "^[0-9]+(m|s)";

/// `kubectl get canary`: name, type, path, and whether `-o wide` alone shows it (rollout-contract §1.6).
const COLUMNS: [(&str, &str, &str, bool); 10] = [
    ("Status", "string", ".status.phase", false),
    ("Weight", "string", ".status.canaryWeight", false),
    ("Suspended", "boolean", ".spec.suspend", true),
    ("FailedChecks", "string", ".status.failedChecks", true),
    ("Interval", "string", ".spec.analysis.interval", true),
    ("Mirror", "boolean", ".spec.analysis.mirror", true),
    ("StepWeight", "string", ".spec.analysis.stepWeight", true),
    ("StepWeights", "string", ".spec.analysis.stepWeights", true),
    ("MaxWeight", "string", ".spec.analysis.maxWeight", true),
    ("LastTransitionTime", "string", ".status.lastTransitionTime", false),
];

pub(super) fn columns() -> Vec<Value> {
    let column = |(name, kind, path, wide): (&str, &str, &str, bool)| {
        let mut column = json!({"name": name, "type": kind, "jsonPath": path});
        if wide {
            column["priority"] = json!(1);
        }
        column
    };
    COLUMNS.map(column).to_vec()
}

/// `Canary.spec`.
pub(super) fn spec() -> Schema {
    object([
        ("provider", word(PROVIDERS)),
        ("metricsServer", text()),
        ("progressDeadlineSeconds", number()),
        ("targetRef", reference(["DaemonSet", "Deployment", "Service"])),
        ("autoscalerRef", autoscaler()),
        ("ingressRef", reference(["Ingress"])),
        ("routeRef", reference(["ApisixRoute"])),
        ("upstreamRef", reference(["Upstream"]).field("namespace", text())),
        ("service", service::service()),
        ("skipAnalysis", boolean()),
        ("revertOnDeletion", boolean()),
        ("suspend", boolean()),
        ("analysis", analysis()),
    ])
    .required(["targetRef", "analysis"])
}

/// One object of one of `kinds`, in the Canary's namespace.
fn reference<const N: usize>(kinds: [&str; N]) -> Schema {
    object([("apiVersion", text()), ("kind", word(kinds)), ("name", text())]).required(["apiVersion", "kind", "name"])
}

fn autoscaler() -> Schema {
    let replicas = || integer().at_least(1);
    reference(["HorizontalPodAutoscaler", "ScaledObject"])
        .field("primaryScalerQueries", map(text()))
        .field("primaryScalerReplicas", object([("minReplicas", replicas()), ("maxReplicas", replicas())]))
}

/// A `MetricTemplate` or `AlertProvider`, of the Canary's namespace where none is said.
fn named() -> Schema {
    object([("name", text()), ("namespace", text())]).required(["name"])
}

/// `Canary.spec.analysis`. How the canary is stepped has to be said in exactly one way.
fn analysis() -> Schema {
    object([
        ("interval", text().pattern(DURATION)),
        ("threshold", number()),
        ("iterations", number()),
        ("maxWeight", number()),
        ("stepWeight", number()),
        ("stepWeights", list(number())),
        ("stepWeightPromotion", number()),
        ("mirror", boolean()),
        ("mirrorWeight", number()),
        ("primaryReadyThreshold", number()),
        ("canaryReadyThreshold", number()),
        ("match", list(requests())),
        ("metrics", list(metric())),
        ("alerts", list(alert())),
        ("webhooks", list(webhook())),
        ("sessionAffinity", affinity()),
    ])
    .one_of(["iterations", "stepWeight", "stepWeights"].map(|step| needs(["interval", "threshold", step])))
}

/// Which requests an A/B test sends to the canary.
fn requests() -> Schema {
    object([
        ("headers", map(one_text_of(["exact", "prefix", "suffix", "regex"]))),
        ("queryParams", map(one_text_or_none_of(["exact", "prefix", "regex"]))),
        ("sourceLabels", map(text())),
    ])
}

fn metric() -> Schema {
    object([
        ("name", text()),
        ("interval", text().pattern(DURATION)),
        ("threshold", number()),
        ("thresholdRange", object([("min", number()), ("max", number())])),
        ("query", text()),
        ("templateRef", named()),
        ("templateVariables", map(text())),
    ])
    .required(["name"])
}

fn alert() -> Schema {
    object([("name", text()), ("severity", word(["", "info", "warn", "error"])), ("providerRef", named())])
        .required(["name", "providerRef"])
}

fn webhook() -> Schema {
    object([
        ("name", text()),
        ("type", word(std::iter::once("").chain(HookKind::ALL.map(HookKind::word)))),
        ("muteAlert", boolean()),
        ("url", text()),
        ("timeout", text().pattern(DURATION)),
        ("retries", number()),
        ("disableTLS", boolean()),
        ("metadata", map(text())),
    ])
    .required(["name", "url"])
}

fn affinity() -> Schema {
    object([
        ("cookieName", text()),
        ("primaryCookieName", text()),
        ("domain", text()),
        ("httpOnly", boolean()),
        ("maxAge", number().default(86_400)),
        ("partitioned", boolean()),
        ("path", text()),
        ("sameSite", word(["Strict", "Lax", "None"])),
        ("secure", boolean()),
    ])
    .required(["cookieName"])
}

/// `Canary.status`. The engine's own state is the message of a condition, so that Flagger's CRD keeps it, too.
pub(super) fn status() -> Schema {
    object([
        ("phase", word(Phase::ALL.map(Phase::word))),
        ("failedChecks", number()),
        ("canaryWeight", number()),
        ("iterations", number()),
        ("trackedConfigs", map(text())),
        ("lastAppliedSpec", text()),
        ("lastPromotedSpec", text()),
        ("lastTransitionTime", time()),
        ("sessionAffinityCookie", text()),
        ("primarySessionAffinityCookie", text()),
        ("previousSessionAffinityCookie", text()),
        ("conditions", list(condition())),
    ])
}

fn condition() -> Schema {
    object([
        ("type", text()),
        ("status", text()),
        ("reason", text()),
        ("message", text()),
        ("lastUpdateTime", time()),
        ("lastTransitionTime", time()),
    ])
    .required(["type", "status", "reason"])
}
