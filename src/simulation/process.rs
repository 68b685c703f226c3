//! A Pilothouse process in a simulated cluster: the production engine over a [`Line`], to be started, killed, frozen
//! and started again.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::api::ApiServer;
use super::cluster::PROMETHEUS;
use super::line::{Line, Witness};
use crate::kubernetes::access::Access;
use crate::kubernetes::cluster::{Cluster, Policy};
use crate::kubernetes::lease::{Lease, NAMESPACE};
use crate::metrics::prometheus::Source;
use crate::runner::clock::Clock;
use crate::runner::rollouts::Reports;
use crate::session::analyst::{Analyst, Brief};
use crate::session::driving::{self, Scope};

/// A running engine.
pub struct Process {
    pub line: Arc<Line>,
    pub cluster: Arc<Cluster>,
    pub lease: Arc<Lease>,
    tasks: JoinSet<()>,
}

impl Process {
    /// Starts an engine that is known as `identity`.
    #[must_use]
    pub fn start(server: &Arc<ApiServer>, identity: &str, clock: &Clock, policy: Policy, witness: Option<Witness>) -> Self {
        let line = Line::new(Arc::clone(server), identity, witness);
        let cluster = Arc::new(Cluster::new(line.client(), policy, clock.clone()));
        let source = Source::service(Access::new(line.client()), PROMETHEUS).unwrap_or(Source::None);
        let brief = Brief {
            context: identity.into(),
            source,
            mesh: None,
            in_cluster: false,
            engine: cluster.policy.engine.clone(),
            clock: clock.clone(),
            environment: BTreeMap::new(),
        };
        let analyst = Arc::new(Analyst::new(cluster.access.clone(), brief));
        let lease = Lease::new(cluster.access.clone(), NAMESPACE, identity.into(), clock.clone());
        let mut tasks = JoinSet::new();
        {
            let cluster = Arc::clone(&cluster);
            tasks.spawn(async move { cluster.watch().await });
        }
        tasks.spawn(driving::run(
            Arc::clone(&cluster),
            analyst,
            Arc::clone(&lease),
            Arc::new(Reports::default()),
            Arc::new(|| {}),
            Scope::All,
        ));
        Self { line, cluster, lease, tasks }
    }

    /// The power goes: nothing is handed over.
    pub async fn kill(mut self) {
        self.line.end();
        self.tasks.shutdown().await;
    }

    /// Ends it as SIGTERM does: the lease is handed over.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.lease.release().await;
        self.line.end();
    }
}
