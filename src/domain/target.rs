//! Names of things across clusters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A canary inside one cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CanaryKey {
    pub namespace: String,
    pub name: String,
}

impl CanaryKey {
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl CanaryKey {
    /// `NAMESPACE/NAME`, as people and targets write it.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl fmt::Display for CanaryKey {
    /// `NAME.NAMESPACE`, as Flagger's events write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.namespace)
    }
}

/// A canary anywhere in the fleet: `CONTEXT/NAMESPACE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    pub context: String,
    pub namespace: String,
    pub name: String,
}

impl Target {
    #[must_use]
    pub fn new(context: impl Into<String>, key: &CanaryKey) -> Self {
        Self { context: context.into(), namespace: key.namespace.clone(), name: key.name.clone() }
    }

    #[must_use]
    pub fn key(&self) -> CanaryKey {
        CanaryKey::new(&self.namespace, &self.name)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.context, self.namespace, self.name)
    }
}

/// A TARGET that is not `CONTEXT/NAMESPACE/NAME`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a target: write CONTEXT/NAMESPACE/NAME, for example gke/app/frontend")]
pub struct NotATarget(pub String);

impl FromStr for Target {
    type Err = NotATarget;

    /// Splits at the last two slashes: context names may hold slashes themselves (EKS uses ARNs).
    fn from_str(text: &str) -> Result<Self, NotATarget> {
        let mut parts = text.rsplitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(name), Some(namespace), Some(context)) if !name.is_empty() && !namespace.is_empty() && !context.is_empty() => {
                Ok(Self { context: context.into(), namespace: namespace.into(), name: name.into() })
            }
            _ => Err(NotATarget(text.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_keeps_slashes_of_its_context() {
        let target: Target = "arn:aws:eks:eu:1:cluster/prod/app/web".parse().expect("a target");
        assert_eq!(target.context, "arn:aws:eks:eu:1:cluster/prod");
        assert_eq!(target.to_string(), "arn:aws:eks:eu:1:cluster/prod/app/web");
    }

    #[test]
    fn half_a_target_is_refused_with_the_form() {
        for text in ["", "web", "app/web", "gke//web", "gke/app/"] {
            let error = text.parse::<Target>().expect_err(text);
            assert!(error.to_string().contains("CONTEXT/NAMESPACE/NAME"), "{error}");
        }
    }
}
