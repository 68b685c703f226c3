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
    #[serde(default)]
    pub providers: Vec<Provider>,
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
