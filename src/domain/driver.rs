//! Who drives a canary: exactly one of us, another Pilothouse, or Flagger.

use serde::{Deserialize, Serialize};

/// `drive:` of a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drive {
    /// Drives what no Flagger has touched.
    #[default]
    Auto,
    Pilothouse,
    /// Never writes.
    Observe,
}

/// Traces that a Flagger leaves in a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlaggerTraces {
    /// `NAMESPACE/NAME` of a `flagger-leader-election` Lease, with its holder.
    pub lease: Option<String>,
    /// `NAMESPACE/NAME` of a Deployment that runs Flagger.
    pub deployment: Option<String>,
}

impl FlaggerTraces {
    /// Why nothing may be written in this cluster under [`Drive::Auto`].
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        match (&self.lease, &self.deployment) {
            (Some(lease), _) => Some(format!("Flagger drives this cluster: Lease {lease}")),
            (None, Some(deployment)) => Some(format!("Flagger drives this cluster: Deployment {deployment}")),
            (None, None) => None,
        }
    }
}

/// Traces of Flagger on one Canary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CanaryTraces {
    /// `lastAppliedSpec` is a hash that is not ours.
    pub hash: bool,
    /// A field manager `flagger` owns fields of it.
    pub manager: bool,
}

/// Whether this canary may be written to; the error is the sentence shown for it.
///
/// # Errors
/// Why not, and who drives it.
pub fn may_drive(drive: Drive, cluster: &FlaggerTraces, canary: &CanaryTraces) -> Result<(), String> {
    let found = cluster.reason().or_else(|| match (canary.hash, canary.manager) {
        (true, _) => Some("Flagger drove this canary: its status carries Flagger's hash".to_owned()),
        (false, true) => Some("Flagger drove this canary: field manager flagger owns its status".to_owned()),
        (false, false) => None,
    });
    match drive {
        Drive::Observe => Err("the fleet file says drive: observe".into()),
        Drive::Pilothouse => Ok(()),
        Drive::Auto => found.map_or(Ok(()), |why| Err(format!("{why}; stop Flagger and set drive: pilothouse to take over"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_leaves_alone_what_flagger_touched() {
        let clean = (FlaggerTraces::default(), CanaryTraces::default());
        assert_eq!(may_drive(Drive::Auto, &clean.0, &clean.1), Ok(()));
        let lease = FlaggerTraces { lease: Some("kube-system/flagger-leader-election".into()), deployment: None };
        assert!(may_drive(Drive::Auto, &lease, &clean.1).is_err_and(|why| why.contains("kube-system/flagger-leader-election")));
        let deployment = FlaggerTraces { lease: None, deployment: Some("flagger-system/flagger".into()) };
        assert!(may_drive(Drive::Auto, &deployment, &clean.1).is_err());
        for touched in [CanaryTraces { hash: true, manager: false }, CanaryTraces { hash: false, manager: true }] {
            assert!(may_drive(Drive::Auto, &clean.0, &touched).is_err());
            assert!(may_drive(Drive::Pilothouse, &lease, &touched).is_ok());
        }
        assert!(may_drive(Drive::Observe, &clean.0, &clean.1).is_err());
    }
}
