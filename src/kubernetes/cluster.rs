//! One connected cluster: its store, its watches, its requests; what the runner and the session hold.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use serde_json::Value;
use tokio::sync::Notify;

use super::access::Access;
use super::around::{Around, kind_of};
use super::json::{integer, text};
use super::kinds::Kind;
use super::patience::patient;
use super::store::{Store, WatchState};
use super::{observe, perform, watch};
use crate::domain::canary::CanarySpec;
use crate::domain::driver::Drive;
use crate::domain::fleet::Engine;
use crate::domain::revision::Revision;
use crate::domain::status::CanaryStatus;
use crate::domain::target::CanaryKey;
use crate::domain::traffic::Abilities;
use crate::engine::observation::Workload;
use crate::runner::ports::{Clock, ClusterPort, Effect, Observation, PortError};

/// Configs that were read by name, by kind, namespace and name, with the version they had.
pub(super) type ConfigCache = Mutex<BTreeMap<(bool, String, String), (String, Arc<Value>)>>;

/// Revisions by the UID of their workload: the same generation has the same template, and hashing one costs more than
/// all else that is read from it.
type Revisions = Mutex<BTreeMap<String, Revision>>;

/// Workloads come and go: now and then all are hashed anew.
const REVISIONS_KEPT: usize = 4096;

/// Canaries are what is looked for: everything else that is watched begins once they have been listed, or after this.
const HEAD_START: Duration = Duration::from_millis(500);

/// How canaries of this cluster are to be treated.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub drive: Drive,
    /// Router for Canaries that name none; found out where absent.
    pub mesh: Option<String>,
    /// How the engine goes about its work.
    pub engine: Engine,
    /// The part of it that routers look at.
    pub routes: crate::mesh::Settings,
}

impl Policy {
    #[must_use]
    pub fn new(drive: Drive, mesh: Option<String>, engine: Engine) -> Self {
        let routes = crate::mesh::Settings {
            ingress_annotations_prefix: engine.ingress_annotations_prefix.clone(),
            ingress_class: engine.ingress_class.clone(),
        };
        Self { drive, mesh, engine, routes }
    }
}

/// A connected cluster.
pub struct Cluster {
    pub access: Access,
    pub store: Arc<Store>,
    pub policy: Policy,
    pub clock: Clock,
    pub(super) configs: ConfigCache,
    revisions: Revisions,
}

impl Cluster {
    #[must_use]
    pub fn new(client: Client, policy: Policy, clock: Clock) -> Self {
        Self { access: Access::new(client), store: Arc::default(), policy, clock, configs: Mutex::default(), revisions: Mutex::default() }
    }

    /// This cluster by another client. What is known of it stays, and counts as seen anew once the new watches say so.
    #[must_use]
    pub fn by(&self, client: Client) -> Self {
        for kind in Kind::always().chain(self.store.wanted()) {
            self.store.set_state(kind, WatchState::Syncing);
        }
        let (store, policy, clock) = (Arc::clone(&self.store), self.policy.clone(), self.clock.clone());
        Self { access: Access::new(client), store, policy, clock, configs: Mutex::default(), revisions: Mutex::default() }
    }

    /// Watches everything that rollouts stand on, and more kinds once a Canary needs them; never returns.
    pub async fn watch(&self) {
        let client = patient(self.access.client().clone(), watch::QUIET);
        let mut tasks = tokio::task::JoinSet::new();
        let mut running = BTreeSet::new();
        let start = tokio::time::Instant::now() + HEAD_START;
        loop {
            let waits = self.store.state(Kind::Canary) == WatchState::Syncing && tokio::time::Instant::now() < start;
            let rest = Kind::always().chain(self.store.wanted()).filter(|_| !waits);
            for kind in std::iter::once(Kind::Canary).chain(rest) {
                if running.insert(kind) {
                    tasks.spawn(watch::run(client.clone(), kind, Arc::clone(&self.store), self.clock.clone()));
                }
            }
            tokio::select! {
                biased;
                () = self.store.wants_more.notified() => {}
                () = tokio::time::sleep_until(start), if waits => {}
            }
        }
    }

    /// The revision of `object`, a workload with pods.
    #[must_use]
    pub fn revision(&self, object: &Value) -> Revision {
        let (uid, generation) = (text(object, "/metadata/uid"), integer(object, "/metadata/generation").unwrap_or(0));
        let mut known = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(uid) {
            Some(revision) if revision.generation == generation => revision.clone(),
            _ => {
                let revision = Revision::of(uid, generation, object.pointer("/spec/template").unwrap_or(&Value::Null));
                if known.len() >= REVISIONS_KEPT {
                    known.clear();
                }
                known.insert(uid.to_owned(), revision.clone());
                revision
            }
        }
    }

    /// The target and the primary of `canary` as the engine sees them, each where it is there.
    #[must_use]
    pub fn workloads(&self, canary: &Value, spec: &CanarySpec, status: &CanaryStatus) -> (Option<Workload>, Option<Workload>) {
        let around = Around::new(self, canary, spec, status);
        // Whoever only looks makes them watched, too.
        let _ = self.store.knows(kind_of(spec));
        (around.target().and_then(|target| around.workload(&target)), around.primary_workload())
    }

    /// What the router of `spec` can do.
    #[must_use]
    pub fn abilities(&self, spec: &CanarySpec) -> Abilities {
        let router = crate::mesh::router(&self.router(spec.provider.as_deref())).ok().flatten();
        router.map_or(Abilities::NONE, crate::mesh::Router::abilities)
    }

    /// The router that `canary` goes by.
    #[must_use]
    pub fn router(&self, provider: Option<&str>) -> String {
        match provider.filter(|p| !p.is_empty()).or(self.policy.mesh.as_deref()) {
            Some(named) => named.to_owned(),
            None if matches!(self.store.state(Kind::VirtualService), WatchState::Live) => "istio".into(),
            None => "kubernetes".into(),
        }
    }
}

impl ClusterPort for Cluster {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn canaries(&self) -> Vec<CanaryKey> {
        self.store.canaries()
    }

    fn waker(&self, key: &CanaryKey) -> Arc<Notify> {
        self.store.waker(key)
    }

    fn canaries_changed(&self) -> impl Future<Output = ()> + Send {
        self.store.canaries_changed.notified()
    }

    async fn observe(&self, key: &CanaryKey) -> Result<Option<Observation>, PortError> {
        observe::observe(self, key).await
    }

    async fn perform(&self, seen: &Observation, effect: &Effect) -> Result<(), PortError> {
        perform::perform(self, seen, effect).await
    }
}
