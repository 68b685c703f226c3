//! The Canary API, `flagger.app/v1beta1`, field for field (rollout-contract §1.1–1.3).
//!
//! Numbers are wide and optional: what the API server let through must decode, so that a mistake can be
//! named on the object instead of making it disappear.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::api::{Free, Port, api};
use super::duration;
use super::traffic::Abilities;

mod rules;

/// Native gates that a Canary asks for: Flagger's confirm-* webhook types, separated by commas.
pub const GATES_ANNOTATION: &str = "pilothouse.dev/gates";
/// `hold`: a check without data holds the rollout where it stands, for at most the progress deadline, instead of failing.
pub const NO_DATA_ANNOTATION: &str = "pilothouse.dev/no-data";
/// Secrets of the Canary's namespace whose keys and values are headers for webhooks: `SECRET` for all, `HOOK=SECRET,…` for some.
pub const HEADERS_ANNOTATION: &str = "pilothouse.dev/webhook-headers";
/// `live`: on plain Kubernetes the apex Service selects the canary's pods once a blue/green rollout has passed its iterations.
pub const BLUE_GREEN_ANNOTATION: &str = "pilothouse.dev/blue-green";

api! {
    /// `Canary.spec`.
    pub struct CanarySpec {
        /// Router and source of built-in metrics; the engine's default where absent.
        pub provider: Option<String>,
        /// URL of the Prometheus for built-in checks.
        pub metrics_server: Option<String>,
        pub target_ref: ObjectReference,
        pub autoscaler_ref: Option<AutoscalerReference>,
        pub ingress_ref: Option<ObjectReference>,
        pub route_ref: Option<ObjectReference>,
        pub upstream_ref: Option<ObjectReference>,
        /// Seconds for which an unavailable workload is tolerated; 600 where absent.
        pub progress_deadline_seconds: Option<i64>,
        pub skip_analysis: bool,
        pub revert_on_deletion: bool,
        pub suspend: bool,
        pub service: CanaryService,
        pub analysis: CanaryAnalysis,
    }

    pub struct ObjectReference {
        pub api_version: String,
        pub kind: String,
        pub name: String,
        pub namespace: Option<String>,
    }

    pub struct AutoscalerReference {
        pub api_version: String,
        pub kind: String,
        pub name: String,
        pub primary_scaler_queries: BTreeMap<String, String>,
        pub primary_scaler_replicas: Option<ScalerReplicas>,
    }

    pub struct ScalerReplicas {
        pub min_replicas: Option<i64>,
        pub max_replicas: Option<i64>,
    }

    /// `spec.service`.
    pub struct CanaryService {
        /// Base of the three Services' names; the target's where absent.
        pub name: Option<String>,
        pub port: i64,
        pub port_name: Option<String>,
        pub target_port: Option<Port>,
        pub app_protocol: Option<String>,
        pub traffic_distribution: Option<String>,
        /// Adds all other container ports.
        pub port_discovery: bool,
        pub headless: bool,
        pub timeout: Option<String>,
        pub backend_timeout: Option<String>,
        pub gateways: Vec<String>,
        pub gateway_refs: Vec<Free>,
        pub hosts: Vec<String>,
        pub delegation: bool,
        pub traffic_policy: Option<Free>,
        #[serde(rename = "match")]
        pub matches: Vec<Free>,
        pub rewrite: Option<Free>,
        pub retries: Option<Free>,
        pub headers: Option<Free>,
        pub mirror: Vec<Free>,
        pub cors_policy: Option<Free>,
        pub mesh_name: Option<String>,
        pub backends: Vec<String>,
        pub apex: Option<CustomMetadata>,
        pub primary: Option<CustomMetadata>,
        pub canary: Option<CustomMetadata>,
        pub unmanaged_metadata: Option<UnmanagedMetadata>,
    }

    pub struct CustomMetadata {
        pub labels: BTreeMap<String, String>,
        pub annotations: BTreeMap<String, String>,
    }

    pub struct UnmanagedMetadata {
        pub labels: Vec<String>,
        pub annotations: Vec<String>,
    }

    /// `spec.analysis`.
    pub struct CanaryAnalysis {
        pub interval: Option<String>,
        /// Failed checks, counted over the rollout, at which it is rolled back.
        pub threshold: i64,
        pub max_weight: i64,
        pub step_weight: i64,
        pub step_weights: Vec<i64>,
        pub step_weight_promotion: i64,
        pub iterations: i64,
        #[serde(rename = "match")]
        pub matches: Vec<Free>,
        pub mirror: bool,
        pub mirror_weight: i64,
        pub primary_ready_threshold: Option<i64>,
        pub canary_ready_threshold: Option<i64>,
        pub metrics: Vec<CanaryMetric>,
        pub webhooks: Vec<CanaryWebhook>,
        pub alerts: Vec<CanaryAlert>,
        pub session_affinity: Option<SessionAffinity>,
    }

    /// `spec.analysis.sessionAffinity`: requests that met the canary stay with it, by a cookie.
    pub struct SessionAffinity {
        pub cookie_name: String,
        /// Cookie of requests that met the primary; none where absent.
        pub primary_cookie_name: Option<String>,
        pub domain: Option<String>,
        pub http_only: bool,
        /// Seconds; a day where absent.
        pub max_age: Option<i64>,
        pub partitioned: bool,
        pub path: Option<String>,
        /// `Strict`, `Lax` or `None`.
        pub same_site: Option<String>,
        pub secure: bool,
    }

    pub struct CanaryMetric {
        pub name: String,
        pub interval: Option<String>,
        /// Deprecated by `thresholdRange`.
        pub threshold: Option<f64>,
        pub threshold_range: Option<ThresholdRange>,
        /// Deprecated inline `PromQL`.
        pub query: Option<String>,
        pub template_ref: Option<TemplateReference>,
        pub template_variables: BTreeMap<String, String>,
    }

    pub struct ThresholdRange {
        pub min: Option<f64>,
        pub max: Option<f64>,
    }

    pub struct TemplateReference {
        pub name: String,
        pub namespace: Option<String>,
    }

    pub struct CanaryWebhook {
        pub name: String,
        pub url: String,
        /// Empty is `rollout`.
        #[serde(rename = "type")]
        pub kind: Option<String>,
        pub timeout: Option<String>,
        pub metadata: BTreeMap<String, String>,
        pub retries: Option<i64>,
        #[serde(rename = "disableTLS")]
        pub disable_tls: bool,
        pub mute_alert: bool,
    }

    pub struct CanaryAlert {
        pub name: String,
        pub severity: Option<String>,
        pub provider_ref: TemplateReference,
    }
}

/// What a Canary releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TargetKind {
    Deployment,
    DaemonSet,
    /// A core Service without a workload of its own.
    Service,
    /// A Knative Service.
    Knative,
}

impl TargetKind {
    /// Whether it has pods that a canary scales up and down.
    #[must_use]
    pub const fn scales(self) -> bool {
        matches!(self, Self::Deployment | Self::DaemonSet)
    }
}

/// How a Canary is rolled out (rollout-contract §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    Progressive,
    BlueGreen,
    AbTesting,
}

impl Strategy {
    /// The value of Flagger's `deployment_strategy` label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Progressive => "canary",
            Self::BlueGreen => "blue-green",
            Self::AbTesting => "ab-testing",
        }
    }
}

/// Webhook types, by the moment they are called at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookKind {
    ConfirmRollout,
    PreRollout,
    Rollout,
    ConfirmTrafficIncrease,
    ConfirmPromotion,
    PostRollout,
    Rollback,
    Event,
}

impl HookKind {
    pub const ALL: [Self; 8] = [
        Self::ConfirmRollout,
        Self::PreRollout,
        Self::Rollout,
        Self::ConfirmTrafficIncrease,
        Self::ConfirmPromotion,
        Self::PostRollout,
        Self::Rollback,
        Self::Event,
    ];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ConfirmRollout => "confirm-rollout",
            Self::PreRollout => "pre-rollout",
            Self::Rollout => "rollout",
            Self::ConfirmTrafficIncrease => "confirm-traffic-increase",
            Self::ConfirmPromotion => "confirm-promotion",
            Self::PostRollout => "post-rollout",
            Self::Rollback => "rollback",
            Self::Event => "event",
        }
    }

    /// The kind named `word`; empty is `rollout`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        if word.is_empty() { Some(Self::Rollout) } else { Self::ALL.into_iter().find(|k| k.word() == word) }
    }
}

impl CanaryWebhook {
    #[must_use]
    pub fn hook_kind(&self) -> Option<HookKind> {
        HookKind::parse(self.kind.as_deref().unwrap_or_default())
    }

    /// Time for one attempt (rollout-contract §5.2).
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.timeout.as_deref().and_then(duration::parse).filter(|d| !d.is_zero()).unwrap_or(Duration::from_secs(10))
    }
}

impl CanarySpec {
    /// Base of the Services' names.
    #[must_use]
    pub fn service_name(&self) -> &str {
        self.service.name.as_deref().filter(|n| !n.is_empty()).unwrap_or(&self.target_ref.name)
    }

    #[must_use]
    pub fn primary_name(&self) -> String {
        format!("{}-primary", self.target_ref.name)
    }

    #[must_use]
    pub fn deadline_seconds(&self) -> i64 {
        self.progress_deadline_seconds.filter(|s| *s > 0).unwrap_or(600)
    }

    /// How it is rolled out by a router that can do `can` (rollout-contract §2.1): what has no weights counts iterations, and
    /// plain Kubernetes cannot tell requests apart.
    #[must_use]
    pub const fn strategy(&self, can: &Abilities) -> Strategy {
        let a = &self.analysis;
        if a.iterations < 1 && can.progressive {
            Strategy::Progressive
        } else if a.iterations > 0 && !a.matches.is_empty() && can.ab_testing {
            Strategy::AbTesting
        } else {
            Strategy::BlueGreen
        }
    }

    /// Iterations wanted: ten where a progressive canary has to do without weights (rollout-contract §2.1).
    #[must_use]
    pub const fn iterations(&self) -> i64 {
        if self.analysis.iterations < 1 { 10 } else { self.analysis.iterations }
    }

    /// What kind of object the target is.
    #[must_use]
    pub fn target_kind(&self) -> TargetKind {
        match (self.target_ref.kind.as_str(), self.target_ref.api_version.as_str()) {
            ("DaemonSet", _) => TargetKind::DaemonSet,
            ("Service", "serving.knative.dev/v1") => TargetKind::Knative,
            ("Service", _) => TargetKind::Service,
            _ => TargetKind::Deployment,
        }
    }
}

impl CanaryAnalysis {
    #[must_use]
    pub fn every(&self) -> Duration {
        duration::interval(self.interval.as_deref())
    }

    /// Failed checks tolerated, at least one, as Flagger has it.
    #[must_use]
    pub fn failed_checks_limit(&self) -> i64 {
        self.threshold.max(1)
    }

    /// The weight from which on the canary is promoted.
    #[must_use]
    pub fn last_weight(&self) -> i64 {
        match self.step_weights.last() {
            Some(last) if self.step_weight <= 0 => (*last).min(100),
            _ if self.max_weight > 0 => self.max_weight,
            _ => 100,
        }
    }

    /// The weight after `weight`: never above 100, and `None` where the steps are used up.
    #[must_use]
    pub fn next_weight(&self, weight: i64) -> Option<i64> {
        if weight >= self.last_weight() {
            return None;
        }
        let next = if self.step_weight > 0 || self.step_weights.is_empty() {
            weight + self.step_weight
        } else {
            self.step_weights.iter().copied().find(|w| *w > weight).unwrap_or(100)
        };
        Some(next.min(100)).filter(|n| *n > weight)
    }

    #[must_use]
    pub fn hooks(&self, kind: HookKind) -> Vec<&CanaryWebhook> {
        self.webhooks.iter().filter(|h| h.hook_kind() == Some(kind)).collect()
    }

    #[must_use]
    pub fn primary_ready_percent(&self) -> u32 {
        percent(self.primary_ready_threshold)
    }

    #[must_use]
    pub fn canary_ready_percent(&self) -> u32 {
        percent(self.canary_ready_threshold)
    }
}

fn percent(value: Option<i64>) -> u32 {
    u32::try_from(value.unwrap_or(100).clamp(0, 100)).unwrap_or(100)
}

/// The native gates that `annotation` asks for, and the words in it that are none.
#[must_use]
pub fn native_gates(annotation: Option<&str>) -> (Vec<HookKind>, Vec<String>) {
    let mut gates = Vec::new();
    let mut unknown = Vec::new();
    for word in annotation.unwrap_or_default().split(',').map(str::trim).filter(|w| !w.is_empty()) {
        match HookKind::parse(word) {
            Some(kind @ (HookKind::ConfirmRollout | HookKind::ConfirmTrafficIncrease | HookKind::ConfirmPromotion)) => gates.push(kind),
            _ => unknown.push(word.to_owned()),
        }
    }
    (gates, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(analysis: &CanaryAnalysis) -> Vec<i64> {
        let mut seen = vec![0];
        while let Some(next) = analysis.next_weight(*seen.last().expect("a weight")) {
            seen.push(next);
            assert!(seen.len() < 200, "does not end");
        }
        seen
    }

    #[test]
    fn weights_step_as_flaggers_do() {
        let linear = |step_weight, max_weight| CanaryAnalysis { max_weight, step_weight, ..Default::default() };
        assert_eq!(weights(&linear(20, 50)), [0, 20, 40, 60], "overshoots its maximum");
        assert_eq!(weights(&linear(10, 50)), [0, 10, 20, 30, 40, 50]);
        assert_eq!(weights(&linear(60, 0)), [0, 60, 100]);
        let listed = |steps: &[i64]| CanaryAnalysis { step_weights: steps.to_vec(), ..Default::default() };
        assert_eq!(weights(&listed(&[1, 2, 10, 80])), [0, 1, 2, 10, 80]);
        assert_eq!(weights(&listed(&[1, 2, 10, 200])), [0, 1, 2, 10, 100]);
    }

    #[test]
    fn a_canary_decodes_and_keeps_its_words() {
        let json = serde_json::json!({
            "provider": "istio", "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "service": {"port": 9898, "portDiscovery": true, "match": [{"uri": {"prefix": "/"}}]},
            "analysis": {"interval": "10s", "threshold": 2, "stepWeight": 20, "maxWeight": 50,
                "webhooks": [{"name": "pre", "type": "pre-rollout", "url": "http://a", "timeout": "3s"}]}
        });
        let spec: CanarySpec = serde_json::from_value(json.clone()).expect("a spec");
        assert_eq!(spec.mistake(), None);
        assert_eq!(spec.analysis.hooks(HookKind::PreRollout)[0].deadline().as_secs(), 3);
        assert_eq!(serde_json::to_value(&spec).expect("json"), json);
    }

    #[test]
    fn gates_are_read_and_wrong_words_are_kept_for_the_report() {
        let (gates, unknown) = native_gates(Some("confirm-promotion, confirm-rollout,rollout"));
        assert_eq!(gates, [HookKind::ConfirmPromotion, HookKind::ConfirmRollout]);
        assert_eq!(unknown, ["rollout"]);
    }
}
