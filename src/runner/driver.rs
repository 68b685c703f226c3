//! All canaries of one cluster: a task for each, begun and ended as they come and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::AbortHandle;

use super::ports::{AnalysisPort, ClusterPort, Leadership};
use super::rollouts::{Reports, drive};
use crate::domain::target::CanaryKey;

/// Drives every canary of `cluster` until the task is dropped.
pub async fn run<C: ClusterPort, A: AnalysisPort, L: Leadership>(
    cluster: Arc<C>,
    analysis: Arc<A>,
    leadership: Arc<L>,
    reports: Arc<Reports>,
    news: Arc<dyn Fn() + Send + Sync>,
) {
    let mut tasks = tokio::task::JoinSet::new();
    let mut running: BTreeMap<CanaryKey, AbortHandle> = BTreeMap::new();
    loop {
        let now = cluster.canaries();
        running.retain(|key, task| {
            let stays = now.contains(key) && !task.is_finished();
            if !stays {
                task.abort();
                reports.forget(key);
            }
            stays
        });
        for key in now {
            running.entry(key.clone()).or_insert_with(|| {
                tasks.spawn(drive(
                    Arc::clone(&cluster),
                    Arc::clone(&analysis),
                    Arc::clone(&leadership),
                    key,
                    Arc::clone(&reports),
                    Arc::clone(&news),
                ))
            });
        }
        tokio::select! {
            biased;
            () = cluster.canaries_changed() => {}
            // A task that panicked is begun again; the others have not noticed.
            Some(Err(error)) = tasks.join_next(), if !tasks.is_empty() => {
                if !error.is_cancelled() {
                    tracing::error!(%error, "a rollout task ended");
                }
            }
        }
    }
}
