//! Which resource serves a kind: discovery, remembered for each group and version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams};
use kube::core::{GroupVersion, GroupVersionKind};
use kube::discovery::{ApiCapabilities, ApiResource, Scope};
use kube::{Client, discovery};
use serde_json::Value;
use tokio::time::Instant;

use super::{ApplyFailure, LOOK_AGAIN, Terms};
use crate::engine::sync::InventoryEntry;

/// How long discovery may lag behind a CRD that is established.
const DISCOVERY_LAG: Duration = Duration::from_secs(15);

/// A kind as the cluster serves it.
#[derive(Clone)]
pub(super) struct Kind {
    pub resource: ApiResource,
    pub scope: Scope,
}

impl Kind {
    pub(super) fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }
}

impl From<(ApiResource, ApiCapabilities)> for Kind {
    fn from((resource, capabilities): (ApiResource, ApiCapabilities)) -> Self {
        Self { resource, scope: capabilities.scope }
    }
}

/// The kinds that were asked for so far.
#[derive(Default)]
pub(super) struct Kinds {
    known: Mutex<BTreeMap<String, Vec<Kind>>>,
    /// Group and kind of CRDs that were just applied: discovery will know them soon, if it does not yet.
    announced: Mutex<BTreeSet<(String, String)>>,
}

impl Kinds {
    /// Takes note of a CRD that was applied: what is known of its group may be out of date.
    pub(super) fn announce(&self, definition: &Value) {
        let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let group = text("/spec/group");
        lock(&self.known).retain(|api_version, _| !api_version.starts_with(&format!("{group}/")));
        lock(&self.announced).insert((group, text("/spec/names/kind")));
    }

    /// The kind of `entry` in the version it names.
    pub(super) async fn find(&self, client: &Client, entry: &InventoryEntry, terms: Terms<'_>) -> Result<Kind, ApplyFailure> {
        let version = GroupVersion::gv(&entry.group, &entry.version);
        let api_version = version.api_version();
        let begun = Instant::now();
        loop {
            let known = lock(&self.known).get(&api_version).and_then(|kinds| pick(kinds, &entry.kind));
            if let Some(kind) = known {
                return Ok(kind);
            }
            let kinds = match terms.call(discovery::pinned_group(client, &version)).await {
                Ok(group) => group.versioned_resources(&entry.version).into_iter().map(Kind::from).collect(),
                Err(ApplyFailure::Api(error)) if is_absent(&error) => Vec::new(),
                Err(why) => return Err(why),
            };
            let found = pick(&kinds, &entry.kind);
            lock(&self.known).insert(api_version.clone(), kinds);
            if let Some(kind) = found {
                return Ok(kind);
            }
            let expected = lock(&self.announced).contains(&(entry.group.clone(), entry.kind.clone()));
            if !expected || begun.elapsed() > DISCOVERY_LAG {
                return Err(ApplyFailure::NoKind { api_version, kind: entry.kind.clone() });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The kind of `entry` in any version that is served, `None` where the cluster has lost it altogether.
    pub(super) async fn find_any(&self, client: &Client, entry: &InventoryEntry, terms: Terms<'_>) -> Result<Option<Kind>, ApplyFailure> {
        match self.find(client, entry, terms).await {
            Ok(kind) => return Ok(Some(kind)),
            Err(ApplyFailure::NoKind { .. }) => {}
            Err(why) => return Err(why),
        }
        match terms.call(discovery::group(client, &entry.group)).await {
            Ok(group) if group.recommended_kind(&entry.kind).is_some() => return Ok(group.recommended_kind(&entry.kind).map(Kind::from)),
            Err(ApplyFailure::Api(error)) if !is_absent(&error) => return Err(ApplyFailure::Api(error)),
            Err(why @ (ApplyFailure::LeaseLost | ApplyFailure::Deadline { .. })) => return Err(why),
            _ => {}
        }
        defined(client, entry, terms).await
    }
}

/// The kind by its CRD. Discovery lags and leaves out what it cannot reach, and an object must not be forgotten for that.
async fn defined(client: &Client, entry: &InventoryEntry, terms: Terms<'_>) -> Result<Option<Kind>, ApplyFailure> {
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    let all = terms.call(definitions.list_metadata(&ListParams::default())).await?;
    let suffix = format!(".{}", entry.group);
    for name in all.items.into_iter().filter_map(|item| item.metadata.name).filter(|name| name.ends_with(&suffix)) {
        let Some(found) = terms.call(definitions.get_opt(&name)).await? else { continue };
        let spec = found.spec;
        if spec.group != entry.group || spec.names.kind != entry.kind {
            continue;
        }
        if let Some(version) = spec.versions.iter().find(|version| version.served) {
            let gvk = GroupVersionKind::gvk(&spec.group, &version.name, &spec.names.kind);
            let scope = if spec.scope == "Namespaced" { Scope::Namespaced } else { Scope::Cluster };
            return Ok(Some(Kind { resource: ApiResource::from_gvk_with_plural(&gvk, &spec.names.plural), scope }));
        }
    }
    Ok(None)
}

fn pick(kinds: &[Kind], wanted: &str) -> Option<Kind> {
    kinds.iter().find(|kind| kind.resource.kind == wanted).cloned()
}

fn is_absent(error: &kube::Error) -> bool {
    match error {
        // A group that is not served is answered in plain text, so there is no reason to go by, only the code.
        kube::Error::Api(status) => status.code == 404,
        kube::Error::Discovery(_) => true,
        _ => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
