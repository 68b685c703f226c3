//! What sync remembers: one `ConfigMap` for each provider, in the provider's own cluster.
//!
//! The record is JSON under one key and is written whole, with the resourceVersion it was read at: two writers
//! never merge, the later one is told to look again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::engine::sync::InventoryEntry;

/// Begins the name of each record's `ConfigMap`.
pub const NAME_PREFIX: &str = "pilothouse-sync-";
/// The label that finds all records of a cluster.
pub const LABEL: &str = "pilothouse.dev/sync";
const KEY: &str = "record";
/// The API server refuses a `ConfigMap` of a mebibyte; metadata takes its share.
const LARGEST_RECORD: usize = 1_000_000;

/// What sync knows about one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncRecord {
    pub provider: String,
    pub repository: String,
    pub branch: String,
    pub path: String,
    /// The provider's commit that was applied last.
    pub commit: String,
    /// The distribution's ref pinned in it.
    pub reference: String,
    /// The ref that the rollouts have promoted.
    pub promoted_ref: String,
    pub applied_at: Option<Timestamp>,
    pub inventory: Vec<InventoryEntry>,
    pub suspended: bool,
    pub last_error: Option<String>,
    /// The commit of the last try, successful or not.
    pub attempted: Option<String>,
    /// Fields of newer versions of the programme, kept as they are.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// A record, and the version of it that the next write must still find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub record: SyncRecord,
    pub resource_version: String,
}

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    #[error("the record of provider {provider} was changed by another process; read it again")]
    Conflict { provider: String },
    #[error(
        "the record of provider {provider} ({namespace}/{name}) cannot be read: {cause}; mend or delete the ConfigMap, and adopt the objects anew"
    )]
    Malformed { provider: String, namespace: String, name: String, cause: String },
    #[error("the record of provider {provider} takes {bytes} bytes, more than a ConfigMap holds; split the provider into several paths")]
    TooLarge { provider: String, bytes: usize },
    #[error("no answer about {namespace}/{name} within {seconds} s; check that the cluster can be reached")]
    Deadline { namespace: String, name: String, seconds: u64 },
    #[error("{namespace}/{name}: {cause}; check that the cluster can be reached, and the rights to its ConfigMaps")]
    Api { namespace: String, name: String, cause: Box<kube::Error> },
}

/// The records of one cluster.
#[derive(Clone)]
pub struct SyncStore {
    client: Client,
    namespace: String,
    deadline: Duration,
}

impl std::fmt::Debug for SyncStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyncStore").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl SyncStore {
    /// The records in `namespace`; each call may last for `deadline`.
    #[must_use]
    pub fn new(client: Client, namespace: impl Into<String>, deadline: Duration) -> Self {
        Self { client, namespace: namespace.into(), deadline }
    }

    /// The record of `provider`, `None` where there is none yet.
    ///
    /// # Errors
    /// A cluster that does not answer, or a record that is not one.
    pub async fn load(&self, provider: &str) -> Result<Option<Stored>, InventoryError> {
        let name = record_name(provider);
        let Some(found) = self.call(&name, self.maps().get_opt(&name)).await? else { return Ok(None) };
        self.read(provider, &name, &found).map(Some)
    }

    /// Writes the record of `record.provider`. `seen` is the version it was loaded at, `None` for a first record.
    /// Returns the new version.
    ///
    /// # Errors
    /// [`InventoryError::Conflict`] where somebody else has written meanwhile; a record that is too large; a
    /// cluster that does not answer or refuses.
    pub async fn save(&self, record: &SyncRecord, seen: Option<&str>) -> Result<String, InventoryError> {
        let provider = &record.provider;
        let name = record_name(provider);
        let malformed = |cause: String| InventoryError::Malformed {
            provider: provider.clone(),
            namespace: self.namespace.clone(),
            name: name.clone(),
            cause,
        };
        let json = serde_json::to_string(record).map_err(|error| malformed(error.to_string()))?;
        if json.len() > LARGEST_RECORD {
            return Err(InventoryError::TooLarge { provider: provider.clone(), bytes: json.len() });
        }
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(self.namespace.clone()),
                resource_version: seen.map(str::to_owned),
                labels: Some(BTreeMap::from([(LABEL.to_owned(), "record".to_owned())])),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(KEY.to_owned(), json)])),
            ..ConfigMap::default()
        };
        let with = PostParams { field_manager: Some("pilothouse-sync".to_owned()), ..PostParams::default() };
        let maps = self.maps();
        let written = if seen.is_some() {
            self.call(&name, maps.replace(&name, &with, &map)).await
        } else {
            match self.call(&name, maps.create(&with, &map)).await {
                Err(error) if is(&error, kube::core::Status::is_not_found) => {
                    self.ensure_namespace().await?;
                    self.call(&name, maps.create(&with, &map)).await
                }
                other => other,
            }
        };
        match written {
            Ok(written) => Ok(written.resource_version().unwrap_or_default()),
            // A record that has gone since it was seen is a change by somebody else, too.
            Err(error)
                if is(&error, |status| status.is_conflict() || status.is_already_exists() || (seen.is_some() && status.is_not_found())) =>
            {
                Err(InventoryError::Conflict { provider: provider.clone() })
            }
            Err(error) => Err(error),
        }
    }

    async fn ensure_namespace(&self) -> Result<(), InventoryError> {
        let namespace =
            Namespace { metadata: ObjectMeta { name: Some(self.namespace.clone()), ..ObjectMeta::default() }, ..Namespace::default() };
        let api = Api::<Namespace>::all(self.client.clone());
        match self.call("", api.create(&PostParams::default(), &namespace)).await {
            Err(error) if !is(&error, kube::core::Status::is_already_exists) => Err(error),
            _ => Ok(()),
        }
    }

    fn read(&self, provider: &str, name: &str, found: &ConfigMap) -> Result<Stored, InventoryError> {
        let text = found.data.as_ref().and_then(|data| data.get(KEY)).ok_or_else(|| format!("it has no key `{KEY}`"));
        let record = text.and_then(|text| serde_json::from_str::<SyncRecord>(text).map_err(|error| error.to_string()));
        let record =
            record.and_then(
                |record| if record.provider == provider { Ok(record) } else { Err(format!("it is of provider {}", record.provider)) },
            );
        match record {
            Ok(record) => Ok(Stored { record, resource_version: found.resource_version().unwrap_or_default() }),
            Err(cause) => {
                let cause = crate::domain::text::clean(&cause);
                Err(InventoryError::Malformed {
                    provider: provider.to_owned(),
                    namespace: self.namespace.clone(),
                    name: name.to_owned(),
                    cause,
                })
            }
        }
    }

    fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn call<T>(&self, name: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, InventoryError> {
        let (namespace, name) = (self.namespace.clone(), name.to_owned());
        match tokio::time::timeout(self.deadline, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(cause)) => Err(InventoryError::Api { namespace, name, cause: Box::new(cause) }),
            Err(_) => Err(InventoryError::Deadline { namespace, name, seconds: self.deadline.as_secs() }),
        }
    }
}

fn is(error: &InventoryError, what: impl Fn(&kube::core::Status) -> bool) -> bool {
    matches!(error, InventoryError::Api { cause, .. } if matches!(&**cause, kube::Error::Api(status) if what(status)))
}

/// The name of a provider's `ConfigMap`. A provider whose name no object may have gets a hash of it behind what is left.
#[must_use]
pub fn record_name(provider: &str) -> String {
    let plain: String = provider
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .take(63)
        .collect();
    if plain == provider && !plain.is_empty() && !plain.ends_with('-') {
        return format!("{NAME_PREFIX}{plain}");
    }
    let mut name = format!("{NAME_PREFIX}{plain}-");
    for byte in Sha256::digest(provider.as_bytes()).iter().take(5) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_records_are_names_of_objects_and_never_shared() {
        assert_eq!(record_name("gke-prod"), "pilothouse-sync-gke-prod");
        let odd = ["Gke", "gke_prod", "gke-", "", "é", "a/b", &"x".repeat(90)];
        let names: std::collections::BTreeSet<String> = odd.iter().map(|name| record_name(name)).collect();
        assert_eq!(names.len(), odd.len());
        for name in names {
            assert!(
                name.len() < 100 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') && !name.ends_with('-'),
                "{name}"
            );
        }
    }

    #[test]
    fn a_record_keeps_what_it_does_not_know() {
        let text = r#"{"provider":"gke","inventory":[{"id":"a_b__Secret","v":"v1"}],"suspended":true,"holds":[1]}"#;
        let record: SyncRecord = serde_json::from_str(text).expect("a record");
        assert_eq!((record.inventory.len(), record.suspended), (1, true));
        let back: serde_json::Value = serde_json::to_value(&record).expect("written");
        assert_eq!((&back["holds"][0], &back["inventory"][0]["id"]), (&serde_json::json!(1), &serde_json::json!("a_b__Secret")));
        assert!(serde_json::from_str::<SyncRecord>(r#"{"inventory":[{"id":"ab","v":"v1"}]}"#).is_err());
    }
}
