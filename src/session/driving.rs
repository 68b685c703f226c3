//! Driving one cluster: the lease, and under it the rollouts.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::analyst::Analyst;
use crate::domain::target::CanaryKey;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::lease::{Claim, Lease};
use crate::runner::rollouts::{Reports, drive};
use crate::runner::{driver, ports::Leadership};

/// What is driven.
#[derive(Clone, Debug)]
pub enum Scope {
    All,
    /// One canary, for as long as a verb needs.
    One(CanaryKey),
}

/// Holds the lease while the task lives, and drives whenever it is ours.
pub async fn run(
    cluster: Arc<Cluster>,
    analyst: Arc<Analyst>,
    lease: Arc<Lease>,
    reports: Arc<Reports>,
    news: Arc<dyn Fn() + Send + Sync>,
    scope: Scope,
) {
    let mut states = lease.states();
    let mut keeper = JoinSet::new();
    keeper.spawn(Arc::clone(&lease).keep());
    let mut rollouts = JoinSet::new();
    loop {
        let held = *states.borrow_and_update() == Claim::Held && lease.may_write();
        if held && rollouts.is_empty() {
            let (cluster, analyst, lease) = (Arc::clone(&cluster), Arc::clone(&analyst), Arc::clone(&lease));
            let (reports, news) = (Arc::clone(&reports), Arc::clone(&news));
            match &scope {
                Scope::All => rollouts.spawn(driver::run(cluster, analyst, lease, reports, news)),
                Scope::One(key) => rollouts.spawn(drive(cluster, analyst, lease, key.clone(), reports, news)),
            };
        } else if !held {
            rollouts.abort_all();
            while rollouts.join_next().await.is_some() {}
        }
        news();
        if states.changed().await.is_err() {
            return;
        }
    }
}
