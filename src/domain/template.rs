//! `MetricTemplate`, `flagger.app/v1beta1` (rollout-contract §1.8).

use std::collections::BTreeMap;

use super::api::api;

api! {
    /// `MetricTemplate.spec`.
    pub struct MetricTemplateSpec {
        pub provider: MetricProvider,
        /// The query, with the functions of rollout-contract §6.3 in it.
        pub query: String,
    }

    pub struct MetricProvider {
        /// One of [`KINDS`].
        #[serde(rename = "type")]
        pub kind: String,
        pub address: Option<String>,
        /// Headers that replace the provider's own.
        pub headers: BTreeMap<String, Vec<String>>,
        /// A Secret in the template's namespace.
        pub secret_ref: Option<SecretReference>,
        pub region: Option<String>,
        pub insecure_skip_verify: bool,
    }

    pub struct SecretReference {
        pub name: String,
    }
}

/// Values of `spec.provider.type` that the API takes.
pub const KINDS: [&str; 11] = [
    "prometheus",
    "influxdb",
    "datadog",
    "externalmetrics",
    "stackdriver",
    "cloudwatch",
    "newrelic",
    "graphite",
    "dynatrace",
    "keptn",
    "splunk",
];
