//! Applying a rendered set to one cluster, in stages, by server-side apply.
//!
//! Every request stands under a deadline and behind the guard, which says whether we still hold the lease. One
//! object that fails hides no other. What the rollout engine owns is written only when an object is created.

use std::fmt;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::Value;
use tokio::time::Instant;

use super::health::{Health, HealthStatus, health};
use crate::domain::text::clean;
use crate::engine::sync::{Desired, InventoryEntry, Stage, StageKind, order};

mod kinds;
mod live;
mod prune;

use kinds::{Kind, Kinds};
pub use prune::PruneOutcome;

/// The field manager of sync. No name that begins with `kubectl`: Flux takes the fields of such managers over.
pub const MANAGER: &str = "pilothouse-sync";
/// How long CRDs and namespaces may take to become usable.
const STAGE_WAIT: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Requests under way at once, all for objects of one kind.
const AT_ONCE: usize = 8;
/// How often an object that others write to is tried.
const MOST_TRIES: usize = 4;
/// After as many requests in a row without an answer the cluster counts as gone.
const MOST_SILENT: usize = 8;

/// Whether writes are still ours to make.
pub type Guard<'a> = &'a (dyn Fn() -> bool + Sync);

/// Why one object was not applied, pruned or read.
#[derive(Debug, thiserror::Error)]
pub enum ApplyFailure {
    #[error("lease lost; whoever holds it now goes on")]
    LeaseLost,
    #[error("no answer within {seconds} s; check that the cluster can be reached")]
    Deadline { seconds: u64 },
    #[error("the cluster does not answer any more; objects behind this one were not tried")]
    Silent,
    #[error("the cluster knows no kind {kind} in {api_version}; install what defines it, or take the object out")]
    NoKind { api_version: String, kind: String },
    #[error("{kind} lies in a namespace, and this one names none; set metadata.namespace or the kustomization's `namespace`")]
    NoNamespace { kind: String },
    #[error(
        "it belongs to {owner}, and two engines must not write one object; suspend that one and adopt the object, or take it out of this tree"
    )]
    Foreign { owner: String },
    #[error("it is not usable after {seconds} s: {reason}; look at its status")]
    NotReady { seconds: u64, reason: String },
    #[error("other writers changed it {times} times meanwhile; find out who, or try again")]
    Contended { times: usize },
    #[error("{}; {}", clean(&status_message(.0)), way_out(.0))]
    Api(#[source] Box<kube::Error>),
}

fn status_message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

fn way_out(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::Api(status) => match status.code {
            401 => "log in to the cluster again",
            403 => "ask for the right, or see `pilothouse check`",
            404 => "make its namespace part of the tree",
            409 => "look at who else writes it",
            422 | 400 => "mend the object in git; a field that cannot change needs a new name",
            // What does not fit the kind's schema is answered with 500 by server-side apply.
            500 if status.message.contains("typed patch") => "mend the object in git",
            429 | 500.. => "try again when the API server has recovered",
            _ => "look at the object in git",
        },
        _ => "check that the cluster can be reached",
    }
}

/// One object's error.
#[derive(Debug, thiserror::Error)]
#[error("{entry}: {why}")]
pub struct ObjectError {
    pub entry: InventoryEntry,
    pub why: ApplyFailure,
}

/// An object that was left alone on purpose. It stays in the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub entry: InventoryEntry,
    pub why: String,
}

/// What an apply did.
#[derive(Debug, Default)]
pub struct ApplyOutcome {
    pub created: Vec<InventoryEntry>,
    pub configured: Vec<InventoryEntry>,
    pub unchanged: Vec<InventoryEntry>,
    pub skipped: Vec<Skipped>,
    pub errors: Vec<ObjectError>,
    /// Not every object was tried: the lease was lost, or the cluster fell silent.
    pub stopped: bool,
}

impl ApplyOutcome {
    /// Whether everything that is wanted is there, so that the rest may be pruned.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.errors.is_empty() && !self.stopped
    }
}

/// Applies, prunes and reads objects of one cluster in the name of one field manager.
pub struct Applier {
    client: Client,
    manager: &'static str,
    kinds: Kinds,
}

impl fmt::Debug for Applier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applier").field("manager", &self.manager).finish_non_exhaustive()
    }
}

enum Change {
    Created,
    Configured,
    Unchanged,
    Skipped(String),
}

/// The guard and the deadline of each request.
#[derive(Clone, Copy)]
struct Terms<'a> {
    guard: Guard<'a>,
    per_call: Duration,
}

impl Terms<'_> {
    async fn call<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Result<T, ApplyFailure> {
        if !(self.guard)() {
            return Err(ApplyFailure::LeaseLost);
        }
        match tokio::time::timeout(self.per_call, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(ApplyFailure::Api(Box::new(error))),
            Err(_) => Err(ApplyFailure::Deadline { seconds: self.per_call.as_secs() }),
        }
    }
}

impl Applier {
    /// An applier for the cluster of `client`.
    #[must_use]
    pub fn new(client: Client, manager: &'static str) -> Self {
        Self { client, manager, kinds: Kinds::default() }
    }

    /// Applies `resources` in their stages. `guard` is asked before each request; `per_call` is the deadline of one.
    pub async fn apply(&self, resources: Vec<Desired>, guard: Guard<'_>, per_call: Duration) -> ApplyOutcome {
        let terms = Terms { guard, per_call };
        let mut outcome = ApplyOutcome::default();
        for stage in order(resources) {
            self.stage(&stage, terms, &mut outcome).await;
            if outcome.stopped {
                break;
            }
        }
        outcome
    }

    async fn stage(&self, stage: &Stage, terms: Terms<'_>, outcome: &mut ApplyOutcome) {
        let mut silent = 0;
        for run in stage.resources.chunk_by(|a, b| same_kind(&a.object, &b.object)) {
            let owned = run.to_vec();
            let mut answers = futures::stream::iter(owned)
                .map(|desired: Desired| async move { (desired.entry(), self.one(&desired, terms).await) })
                .buffered(AT_ONCE);
            while let Some((entry, result)) = answers.next().await {
                silent = if matches!(result, Err(ApplyFailure::Deadline { .. })) { silent + 1 } else { 0 };
                let lost = matches!(result, Err(ApplyFailure::LeaseLost));
                match result {
                    Ok(Change::Created) => outcome.created.push(entry.clone()),
                    Ok(Change::Configured) => outcome.configured.push(entry.clone()),
                    Ok(Change::Unchanged) => outcome.unchanged.push(entry.clone()),
                    Ok(Change::Skipped(why)) => outcome.skipped.push(Skipped { entry: entry.clone(), why }),
                    Err(why) => outcome.errors.push(ObjectError { entry: entry.clone(), why }),
                }
                if silent >= MOST_SILENT {
                    outcome.errors.push(ObjectError { entry, why: ApplyFailure::Silent });
                }
                if lost || silent >= MOST_SILENT {
                    outcome.stopped = true;
                    return;
                }
            }
        }
        if stage.kind == StageKind::Definitions {
            self.await_definitions(stage, terms, outcome).await;
        }
    }

    async fn one(&self, desired: &Desired, terms: Terms<'_>) -> Result<Change, ApplyFailure> {
        let entry = desired.entry();
        let kind = self.kinds.find(&self.client, &entry, terms).await?;
        let api = self.api(&kind, &entry)?;
        if let Some(why) = live::skip_by_desired(&desired.object) {
            return Ok(Change::Skipped(why));
        }
        for _ in 0..MOST_TRIES {
            let found = terms.call(api.get_opt(&entry.name)).await?;
            if let Some(found) = &found {
                if let Some(why) = live::skip_by_live(&desired.object, found) {
                    return Ok(Change::Skipped(why));
                }
                if let Some(owner) = live::foreign_owner(found).filter(|_| !live::managed_by(found, self.manager)) {
                    return Err(ApplyFailure::Foreign { owner });
                }
            }
            let (payload, pinned) = live::payload(desired, found.as_ref(), self.manager, kind.is_namespaced());
            let params = PatchParams::apply(self.manager).force();
            let applied = match terms.call(api.patch(&entry.name, &params, &Patch::Apply(&payload))).await {
                Ok(applied) => applied,
                // Only a payload that is pinned to a resourceVersion can be late; forced fields do not conflict.
                Err(ApplyFailure::Api(error)) if pinned && is_conflict(&error) => continue,
                Err(why) => return Err(why),
            };
            return Ok(match found {
                None => Change::Created,
                Some(found) if live::same(&found, &applied) => Change::Unchanged,
                Some(_) => Change::Configured,
            });
        }
        Err(ApplyFailure::Contended { times: MOST_TRIES })
    }

    /// Waits until the CRDs and namespaces of the stage can be used, and forgets what was known of their groups.
    async fn await_definitions(&self, stage: &Stage, terms: Terms<'_>, outcome: &mut ApplyOutcome) {
        let begun = Instant::now();
        for desired in &stage.resources {
            let entry = desired.entry();
            if outcome.errors.iter().any(|error| error.entry == entry)
                || !matches!(entry.kind.as_str(), "CustomResourceDefinition" | "Namespace")
            {
                continue;
            }
            if entry.kind == "CustomResourceDefinition" {
                self.kinds.announce(&desired.object);
            }
            let result = loop {
                let now = self.health_of(&entry, terms).await;
                match now.as_ref().map(|health| health.status) {
                    Ok(HealthStatus::Current) => break Ok(()),
                    Ok(HealthStatus::InProgress | HealthStatus::NotFound) if begun.elapsed() < STAGE_WAIT => {
                        tokio::time::sleep(LOOK_AGAIN).await;
                    }
                    _ => break now.map(|health| Some(health.reason)).and_then(|reason| not_ready(reason, begun)),
                }
            };
            if let Err(why) = result {
                outcome.stopped |= matches!(why, ApplyFailure::LeaseLost);
                outcome.errors.push(ObjectError { entry, why });
            }
            if outcome.stopped {
                return;
            }
        }
    }

    /// The live health of each object, by its id.
    pub async fn health(&self, entries: &[InventoryEntry], per_call: Duration) -> Vec<(String, Health)> {
        let terms = Terms { guard: &|| true, per_call };
        let read = |entry: InventoryEntry| async move {
            let health = self.health_of(&entry, terms).await;
            (entry.id(), health.unwrap_or_else(|why| Health::new(HealthStatus::Unknown, why.to_string())))
        };
        let owned: Vec<InventoryEntry> = entries.iter().map(Clone::clone).collect();
        futures::stream::iter(owned).map(read).buffered(AT_ONCE).collect().await
    }

    async fn health_of(&self, entry: &InventoryEntry, terms: Terms<'_>) -> Result<Health, ApplyFailure> {
        let kind = self.kinds.find(&self.client, entry, terms).await?;
        let found = terms.call(self.api(&kind, entry)?.get_opt(&entry.name)).await?;
        let json =
            found.map(serde_json::to_value).transpose().map_err(|error| ApplyFailure::Api(Box::new(kube::Error::SerdeError(error))))?;
        Ok(health(json.as_ref(), Timestamp::now()))
    }

    fn api(&self, kind: &Kind, entry: &InventoryEntry) -> Result<Api<DynamicObject>, ApplyFailure> {
        if kind.is_namespaced() && entry.namespace.is_empty() {
            return Err(ApplyFailure::NoNamespace { kind: entry.kind.clone() });
        }
        let namespace = if kind.is_namespaced() { entry.namespace.as_str() } else { "" };
        Ok(Api::<DynamicObject>::dynamic(self.client.clone(), &kind.resource, &kind.scope).constrain(namespace))
    }
}

fn not_ready(reason: Option<String>, begun: Instant) -> Result<(), ApplyFailure> {
    Err(ApplyFailure::NotReady { seconds: begun.elapsed().as_secs(), reason: reason.unwrap_or_default() })
}

fn same_kind(a: &Value, b: &Value) -> bool {
    a.get("kind") == b.get("kind") && a.get("apiVersion") == b.get("apiVersion")
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_conflict())
}
