//! Deleting what a tree no longer has: only what is ours, only as it was read, never what holds other people's data.

use std::time::Duration;

use super::{Applier, ApplyFailure, Guard, MOST_TRIES, ObjectError, Skipped, Terms, is_conflict, live};
use crate::engine::sync::InventoryEntry;

/// Kinds whose deletion takes other objects or data with it. A human deletes these.
const NEVER: [(&str, &str); 3] = [("", "Namespace"), ("apiextensions.k8s.io", "CustomResourceDefinition"), ("", "PersistentVolumeClaim")];

/// What a prune did.
#[derive(Debug, Default)]
pub struct PruneOutcome {
    /// Deleted now.
    pub deleted: Vec<InventoryEntry>,
    /// Gone already, or going.
    pub gone: Vec<InventoryEntry>,
    /// Live, and somebody else's by now: forgotten.
    pub released: Vec<Skipped>,
    /// Live and left alone: they stay in the inventory.
    pub kept: Vec<Skipped>,
    /// Not deleted for an error: they stay in the inventory.
    pub errors: Vec<ObjectError>,
    /// Not reached, because the lease was lost: they stay in the inventory.
    pub untried: Vec<InventoryEntry>,
}

impl PruneOutcome {
    /// What the inventory must keep.
    #[must_use]
    pub fn survivors(&self) -> Vec<InventoryEntry> {
        let kept = self.kept.iter().map(|kept| &kept.entry).chain(self.errors.iter().map(|error| &error.entry));
        let mut all: Vec<InventoryEntry> = kept.chain(&self.untried).cloned().collect();
        all.sort();
        all.dedup();
        all
    }
}

enum End {
    Deleted,
    Gone,
    Released(String),
    Kept(String),
}

impl Applier {
    /// Deletes `stale`, in the order given, as far as it is ours to delete.
    pub async fn prune(&self, stale: &[InventoryEntry], guard: Guard<'_>, per_call: Duration) -> PruneOutcome {
        let terms = Terms { guard, per_call };
        let mut outcome = PruneOutcome::default();
        for (index, entry) in stale.iter().enumerate() {
            match self.prune_one(entry, terms).await {
                Ok(End::Deleted) => outcome.deleted.push(entry.clone()),
                Ok(End::Gone) => outcome.gone.push(entry.clone()),
                Ok(End::Released(why)) => outcome.released.push(Skipped { entry: entry.clone(), why }),
                Ok(End::Kept(why)) => outcome.kept.push(Skipped { entry: entry.clone(), why }),
                Err(why) => {
                    let lost = matches!(why, ApplyFailure::LeaseLost);
                    outcome.errors.push(ObjectError { entry: entry.clone(), why });
                    if lost {
                        outcome.untried = stale.iter().skip(index + 1).cloned().collect();
                        break;
                    }
                }
            }
        }
        outcome
    }

    async fn prune_one(&self, entry: &InventoryEntry, terms: Terms<'_>) -> Result<End, ApplyFailure> {
        let Some(kind) = self.kinds.find_any(&self.client, entry, terms).await? else { return Ok(End::Gone) };
        let api = self.api(&kind, entry)?;
        for _ in 0..MOST_TRIES {
            let Some(found) = terms.call(api.get_opt(&entry.name)).await? else { return Ok(End::Gone) };
            if found.metadata.deletion_timestamp.is_some() {
                return Ok(End::Gone);
            }
            if NEVER.contains(&(entry.group.as_str(), entry.kind.as_str())) {
                return Ok(End::Kept(format!("a {} is never deleted by sync: delete it by hand if nothing needs it", entry.kind)));
            }
            if let Some(why) = live::keep(&found) {
                return Ok(End::Kept(why));
            }
            if let Some(owner) = live::foreign_owner(&found) {
                return Ok(End::Released(format!("it belongs to {owner} now")));
            }
            if !live::managed_by(&found, self.manager) {
                return Ok(End::Released("somebody has made it anew since we applied it".to_owned()));
            }
            match terms.call(api.delete(&entry.name, &live::deletion(&found))).await {
                Ok(_) => return Ok(End::Deleted),
                Err(ApplyFailure::Api(error)) if is_conflict(&error) => {}
                Err(ApplyFailure::Api(error)) if matches!(&*error, kube::Error::Api(status) if status.is_not_found()) => {
                    return Ok(End::Gone);
                }
                Err(why) => return Err(why),
            }
        }
        Err(ApplyFailure::Contended { times: MOST_TRIES })
    }
}
