//! What a target has that its primary has not: both as JSON, with the renames of primaries out of the way.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::around::Around;
use super::cluster::Cluster;
use super::json::text;
use super::kinds::Kind;
use super::objects::STAMP;
use super::objects::configs::{ConfigRef, config_refs};
use super::objects::workload;
use crate::domain::canary::{CanarySpec, TargetKind};
use crate::domain::status::CanaryStatus;
use crate::domain::text::clean;

/// Configs that are read for one comparison.
const CONFIGS: usize = 6;

/// Pod templates of the primary as it runs, and as the target would make it.
#[derive(Clone, Debug, PartialEq)]
pub struct Templates {
    pub was: Value,
    pub now: Value,
}

/// The data of a tracked config: the copy that the primary has, and what the target refers to.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigPair {
    pub secret: bool,
    /// As the target refers to it.
    pub name: String,
    pub was: Value,
    pub now: Value,
}

/// The pod templates of `canary`; `None` where it has no pods of its own, or one of the two is not there.
#[must_use]
pub fn templates(cluster: &Cluster, canary: &Value, spec: &CanarySpec, status: &CanaryStatus) -> Option<Templates> {
    if !matches!(spec.target_kind(), TargetKind::Deployment | TargetKind::DaemonSet) {
        return None;
    }
    let around = Around::new(cluster, canary, spec, status);
    let (target, primary) = (around.target()?, around.primary()?);
    let tracked: BTreeSet<String> = status.tracked_configs.iter().flatten().map(|(key, _)| key.clone()).collect();
    let wanted = workload::primary(&around.subject(), &target, &tracked, Some(&primary), "").ok()?;
    let template = |object: &Value| {
        let mut template = object.pointer("/spec/template").cloned().unwrap_or_default();
        if let Some(annotations) = template.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.remove(STAMP);
        }
        template
    };
    Some(Templates { was: template(&primary), now: template(&wanted) })
}

/// The target's pod template as it stands in the cluster.
#[must_use]
pub fn target(cluster: &Cluster, canary: &Value, spec: &CanarySpec, status: &CanaryStatus) -> Option<Arc<Value>> {
    Around::new(cluster, canary, spec, status).target()
}

/// The tracked configs of the target beside the primary's copies, each read by name.
///
/// # Errors
/// The API server's words, where one of them could not be read.
pub async fn configs(cluster: &Cluster, canary: &Value, spec: &CanarySpec, status: &CanaryStatus) -> Result<Vec<ConfigPair>, String> {
    let around = Around::new(cluster, canary, spec, status);
    let (Some(target), Some(primary)) = (around.target(), around.primary()) else { return Ok(Vec::new()) };
    let namespace = text(canary, "/metadata/namespace");
    let tracked = |reference: &ConfigRef| status.tracked_configs.as_ref().is_some_and(|t| t.contains_key(&reference.key()));
    let copies = config_refs(&primary);
    let mut found = Vec::new();
    for reference in config_refs(&target).into_iter().filter(tracked).take(CONFIGS) {
        let copy = copies.iter().find(|c| is_copy(c, &reference, false)).or_else(|| copies.iter().find(|c| is_copy(c, &reference, true)));
        let now = data(cluster, reference.secret, namespace, &reference.name).await?;
        let was = match copy {
            Some(copy) => data(cluster, copy.secret, namespace, &copy.name).await?,
            None => Value::Null,
        };
        if was != now {
            found.push(ConfigPair { secret: reference.secret, name: clean(&reference.name), was, now });
        }
    }
    Ok(found)
}

/// Whether `copy` is the primary's copy of `reference`, or of one that had this name with another hash at its end.
fn is_copy(copy: &ConfigRef, reference: &ConfigRef, hashed: bool) -> bool {
    let Some(name) = copy.name.strip_suffix("-primary").filter(|_| copy.secret == reference.secret) else { return false };
    let stem = |name: &str| name.rsplit_once('-').map(|(stem, _)| stem.to_owned());
    if hashed { stem(name).is_some() && stem(name) == stem(&reference.name) } else { name == reference.name }
}

async fn data(cluster: &Cluster, secret: bool, namespace: &str, name: &str) -> Result<Value, String> {
    let kind = if secret { Kind::Secret } else { Kind::ConfigMap };
    match cluster.access.get(&kind.path(namespace, name)).await {
        Ok(object) => Ok(object.get("data").cloned().unwrap_or_else(|| json!({}))),
        Err(error) if error.is_not_found() => Ok(Value::Null),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_found_with_and_without_a_hash_in_their_name() {
        let config = |name: &str, secret| ConfigRef { secret, name: name.into(), optional: false };
        let wanted = config("web-config-7b4f", false);
        assert!(is_copy(&config("web-config-7b4f-primary", false), &wanted, false));
        assert!(!is_copy(&config("web-config-99cc-primary", false), &wanted, false));
        assert!(is_copy(&config("web-config-99cc-primary", false), &wanted, true));
        assert!(!is_copy(&config("web-config-99cc-primary", true), &wanted, true), "a Secret is no copy of a ConfigMap");
        assert!(!is_copy(&config("web-config-7b4f", false), &wanted, false), "the primary has copies");
    }
}
