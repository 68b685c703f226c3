//! The fleet file's nouns (DESIGN §3).

use serde::{Deserialize, Serialize};

use super::driver::Drive;

pub const API_VERSION: &str = "pilothouse.dev/v1alpha1";

/// The fleet file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fleet {
    #[serde(default)]
    pub api_version: String,
    #[serde(default)]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// How the rollout engine goes about its work in every cluster.
    #[serde(default, skip_serializing_if = "is_default")]
    pub engine: Engine,
    #[serde(default)]
    pub providers: Vec<Provider>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Flagger's flags, by their names (rollout-contract §9.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Engine {
    /// Labels that may select a target's pods; the first that a target has is the one.
    pub selector_labels: Vec<String>,
    /// Labels and annotations with one of these prefixes are copied to what is generated; `*` is all.
    pub include_label_prefix: Vec<String>,
    pub ingress_annotations_prefix: String,
    pub ingress_class: String,
    /// ConfigMaps and Secrets of a target belong to its revision, and the primary has its own copies.
    pub enable_config_tracking: bool,
    /// Canaries may not name templates, alert providers and upstreams of other namespaces.
    pub no_cross_namespace_refs: bool,
    /// What alerts call the cluster; the context where it is empty.
    pub cluster_name: String,
    /// URL that is sent every event; `EVENT_WEBHOOK_URL` where it is empty.
    pub event_webhook: String,
    /// Where alerts of Canaries go that name no provider of their own.
    pub alerts: Vec<GlobalAlert>,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            selector_labels: ["app", "name", "app.kubernetes.io/name"].map(Into::into).into(),
            include_label_prefix: Vec::new(),
            ingress_annotations_prefix: "nginx.ingress.kubernetes.io".into(),
            ingress_class: String::new(),
            enable_config_tracking: true,
            no_cross_namespace_refs: false,
            cluster_name: String::new(),
            event_webhook: String::new(),
            alerts: Vec::new(),
        }
    }
}

impl Engine {
    /// Whether a label or annotation called `key` is copied to what is generated.
    #[must_use]
    pub fn includes(&self, key: &str) -> bool {
        self.include_label_prefix.iter().any(|prefix| prefix == "*" || !prefix.is_empty() && key.starts_with(prefix.as_str()))
    }
}

/// A receiver of alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GlobalAlert {
    /// `slack`, `msteams`, `discord`, `rocket`, `gchat` or `generic`.
    #[serde(rename = "type")]
    pub kind: String,
    /// URL; where it is a secret, name the variable that holds it instead.
    pub address: String,
    /// Variable of the environment with the URL.
    pub address_env: String,
    /// Variable of the environment with a bearer token.
    pub token_env: String,
    pub channel: String,
    pub username: String,
    pub proxy: String,
    /// The least severity that is sent: `info`, `warn` or `error`.
    pub severity: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Distribution {
    pub url: String,
}

/// One service provider's cluster and repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provider {
    pub name: String,
    /// A kubeconfig context; the name where it is left out.
    #[serde(default)]
    pub context: String,
    /// Router for Canaries that name no provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Prometheus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Repository>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<u32>,
    #[serde(default)]
    pub render: Render,
    #[serde(default)]
    pub drive: Drive,
}

/// Where a cluster's Prometheus is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prometheus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `NAMESPACE/NAME:PORT`, reached through the API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Repository {
    pub url: String,
    #[serde(default = "main_branch")]
    pub branch: String,
    /// Folder that holds the kustomization.
    #[serde(default)]
    pub path: String,
}

fn main_branch() -> String {
    "main".into()
}

/// Who renders a provider's tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Render {
    /// Natively, as `native`; no other renderer is called yet.
    #[default]
    Auto,
    Native,
    Kustomize,
}

impl Fleet {
    /// All mistakes of the file that its grammar cannot catch.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !self.api_version.is_empty() && self.api_version != API_VERSION {
            found.push(format!("apiVersion: {} is not {API_VERSION}", self.api_version));
        }
        if !self.kind.is_empty() && self.kind != "Fleet" {
            found.push(format!("kind: {} is not Fleet", self.kind));
        }
        for alert in &self.engine.alerts {
            if super::alert::Severity::parse(&alert.severity).is_none() {
                found.push(format!("engine.alerts: severity {} is not one of info, warn, error", alert.severity));
            }
            if !super::alert::KINDS.contains(&alert.kind.as_str()) && alert.kind != "generic" {
                found.push(format!("engine.alerts: type {} is not one of {}, generic", alert.kind, super::alert::KINDS.join(", ")));
            }
            if alert.address.is_empty() == alert.address_env.is_empty() {
                found.push(format!("engine.alerts: {} needs exactly one of address and addressEnv", alert.kind));
            }
        }
        if self.engine.selector_labels.is_empty() {
            found.push("engine: selectorLabels is empty, and no target could be selected".into());
        }
        for (i, provider) in self.providers.iter().enumerate() {
            let name = &provider.name;
            if name.is_empty() {
                found.push(format!("providers[{i}]: has no name"));
            }
            if self.providers.iter().skip(i + 1).any(|p| p.name == *name) {
                found.push(format!("providers: {name} stands there twice"));
            }
            if self.providers.iter().skip(i + 1).any(|p| p.context() == provider.context()) {
                found.push(format!("providers: context {} belongs to two providers", provider.context()));
            }
            if let Some(p) = &provider.prometheus
                && p.url.is_some() == p.service.is_some()
            {
                found.push(format!("providers {name}: prometheus needs exactly one of url and service"));
            }
        }
        found
    }
}

impl Provider {
    #[must_use]
    pub fn context(&self) -> &str {
        if self.context.is_empty() { &self.name } else { &self.context }
    }
}
