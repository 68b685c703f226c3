//! `AlertProvider`, `flagger.app/v1beta1`, and what an alert says (rollout-contract §1.9, §8).

use serde::{Deserialize, Serialize};

use super::api::api;
use super::template::SecretReference;

api! {
    /// `AlertProvider.spec`.
    pub struct AlertProviderSpec {
        /// One of [`KINDS`].
        #[serde(rename = "type")]
        pub kind: String,
        pub channel: Option<String>,
        pub username: Option<String>,
        pub address: Option<String>,
        /// URL of an HTTP proxy.
        pub proxy: Option<String>,
        /// A Secret with `address` and, optionally, `token`.
        pub secret_ref: Option<SecretReference>,
    }
}

/// Values of `spec.type` that the API takes.
pub const KINDS: [&str; 5] = ["slack", "msteams", "discord", "rocket", "gchat"];

/// How bad the news is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    #[default]
    Info,
    Warn,
    Error,
}

impl Severity {
    /// The least severity that `word` asks for; empty asks for everything (rollout-contract §13).
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "" | "info" => Some(Self::Info),
            "warn" => Some(Self::Warn),
            "error" => Some(Self::Error),
            _ => None,
        }
    }
}

/// One message for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    pub severity: Severity,
    pub message: String,
    /// Facts of the canary belong to it: target, deadline, routing.
    pub with_fields: bool,
}
