//! What lives round a simulated API server: workload controllers, a service mesh that lags, traffic, a Prometheus, a
//! receiver of webhooks, another GitOps agent. A state machine without clock or threads: whoever drives it says what
//! time it is. `agenda.rs` says what is due when, `view.rs` what changed; the other files are one part each. Never here:
//! pods and nodes as objects, wall-clock time, anything that waits.

mod agenda;
mod conditions;
mod deployments;
mod endpoints;
mod faults;
mod gitops;
mod hash;
mod hpa;
mod mesh;
mod options;
mod prometheus;
mod promql;
#[cfg(test)]
mod replay;
mod replicasets;
mod rollout;
mod series;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod traffic;
mod view;
mod webhooks;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use jiff::Timestamp;
use serde_json::Value;

pub use self::faults::{Faults, MetricsFault, WebhookFault};
pub use self::gitops::Agent;
pub use self::mesh::Flow;
pub use self::options::{Latency, MeshKind, Options};
pub use self::view::Key;
pub use self::webhooks::{Call, Webhooks};
use crate::simulation::api::ApiServer;

use self::agenda::{Agenda, Part, Task};
use self::replicasets::Pods;
use self::traffic::Traffic;
use self::view::{Change, Resource, View, controller};
use crate::kubernetes::json::{integer, text};

const USER: &str = "system:kube-controller-manager";
const MANAGER: &str = "kube-controller-manager";
const JSON: &str = "application/json";

/// One cluster's world.
///
/// [`World::advance`] must not be called by what the server calls while it holds its lock, for it calls the server.
pub struct World {
    server: Arc<ApiServer>,
    /// The newest version of the server.
    newest: Box<dyn Fn() -> u64 + Send>,
    options: Options,
    rng: fastrand::Rng,
    view: View,
    /// The version of `view`.
    version: Option<u64>,
    agenda: Agenda,
    /// Up to when everything was done.
    clock: Timestamp,
    pods: BTreeMap<Key, Pods>,
    addresses: u32,
    /// Endpoints and ports as last written, by Service.
    slices: BTreeMap<Key, (Value, Value)>,
    mesh: mesh::Mesh,
    traffic: Traffic,
    recommendations: hpa::Recommendations,
    agent: Agent,
    webhooks: Webhooks,
    faults: Faults,
    faults_touched: bool,
    behaviours_touched: bool,
}

impl World {
    #[must_use]
    pub fn new(server: Arc<ApiServer>, options: Options) -> Self {
        let changes = server.changes();
        Self {
            newest: Box::new(move || changes.get()),
            rng: fastrand::Rng::with_seed(options.seed),
            traffic: Traffic::new(options.seed),
            server,
            options,
            view: View::default(),
            version: None,
            agenda: Agenda::default(),
            clock: Timestamp::UNIX_EPOCH,
            pods: BTreeMap::new(),
            addresses: 0,
            slices: BTreeMap::new(),
            mesh: mesh::Mesh::default(),
            recommendations: BTreeMap::new(),
            agent: Agent::default(),
            webhooks: Webhooks::default(),
            faults: Faults::default(),
            faults_touched: false,
            behaviours_touched: false,
        }
    }

    /// Does everything that is due at `now`, each thing at its own time; gives when something is due next, if nothing else
    /// happens before. To be called after every change of the server or of the world, and at that time.
    pub fn advance(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.notice(now);
        self.notice_switches(now);
        while let Some((due, task)) = self.agenda.pop(now) {
            self.clock = self.clock.max(due);
            self.run(due, &task);
            self.notice(due);
        }
        self.clock = self.clock.max(now);
        self.agenda.next()
    }

    /// The switches of faults; what is set takes effect at the next [`World::advance`].
    pub fn faults(&mut self) -> &mut Faults {
        self.faults_touched = true;
        &mut self.faults
    }

    /// Gates, and the calls that came.
    pub fn webhooks(&mut self) -> &mut Webhooks {
        &mut self.webhooks
    }

    /// The other GitOps agent; what it is told takes effect at the next [`World::advance`].
    pub fn agent(&mut self) -> &mut Agent {
        &mut self.agent
    }

    /// From the next [`World::advance`] on, images whose tag contains `text` fail that part of their requests (0 to 1) and
    /// take so many milliseconds; nothing given forgets the text.
    pub fn behave(&mut self, text: &str, errors: Option<f64>, milliseconds: Option<f64>) {
        self.traffic.behave(text, errors, milliseconds);
        self.behaviours_touched = true;
    }

    fn notice_switches(&mut self, at: Timestamp) {
        if std::mem::take(&mut self.faults_touched) {
            let sets: Vec<Key> = self.pods.keys().cloned().collect();
            for set in &sets {
                self.agenda.at(at, Part::ReplicaSet, set);
            }
            self.routes_after_fault(at);
        }
        if std::mem::take(&mut self.behaviours_touched) {
            for namespace in self.traffic.namespaces() {
                self.agenda.at(at, Part::Flows, &Key::new(&namespace, ""));
            }
        }
        if self.agent.is_told() {
            self.agenda.at(at, Part::Agent, &Key::new("", ""));
        }
    }

    /// Looks at what changed on the server, if anything did.
    fn notice(&mut self, at: Timestamp) {
        let newest = (self.newest)();
        if self.version == Some(newest) {
            return;
        }
        self.version = Some(newest);
        for change in self.view.refresh(&self.server) {
            self.plan(at, &change);
        }
    }

    /// Who has to look at a change, and when.
    fn plan(&mut self, at: Timestamp, change: &Change) {
        let key = &change.key;
        let uid = |object: &Arc<Value>| text(object, "/metadata/uid").to_owned();
        // One that was made again under its name has left, too.
        let replaced = change.before.as_ref().zip(change.object.as_ref()).is_some_and(|(before, now)| uid(before) != uid(now));
        let leaving = replaced || change.object.as_ref().is_none_or(|o| o.pointer("/metadata/deletionTimestamp").is_some());
        if leaving {
            let wait = self.options.garbage.draw(&mut self.rng);
            self.agenda.at(at + wait, Part::Garbage, &Key::new("", ""));
        }
        match change.resource {
            Resource::Deployments => {
                if let Some(deployment) = &change.object {
                    let observed = integer(deployment, "/status/observedGeneration") == integer(deployment, "/metadata/generation");
                    let latency = if observed { self.options.follow_up } else { self.options.controller };
                    let wait = latency.draw(&mut self.rng);
                    self.agenda.at(at + wait, Part::Deployment, key);
                }
            }
            Resource::ReplicaSets => {
                let wait = self.options.replica_sets.draw(&mut self.rng);
                let only_status = change.object.as_ref().zip(change.before.as_ref()).is_some_and(|(a, b)| a.get("spec") == b.get("spec"));
                if !only_status {
                    self.agenda.at(at + wait, Part::ReplicaSet, key);
                }
                if let Some(owner) = change.object.as_ref().or(change.before.as_ref()).and_then(|set| controller(set)) {
                    let wait = self.options.follow_up.draw(&mut self.rng);
                    self.agenda.at(at + wait, Part::Deployment, &key.beside(text(owner, "/name")));
                }
            }
            Resource::Services => {
                self.endpoints_later(at, key);
                self.agenda.at(at, Part::Flows, &key.beside(""));
            }
            Resource::Ingresses => self.agenda.at(at, Part::Flows, &key.beside("")),
            Resource::Autoscalers => {
                let only_status = change.object.as_ref().zip(change.before.as_ref()).is_some_and(|(a, b)| a.get("spec") == b.get("spec"));
                if !only_status {
                    let wait = self.options.controller.draw(&mut self.rng);
                    self.agenda.at(at + wait, Part::Autoscaler, key);
                }
            }
            Resource::VirtualServices | Resource::DestinationRules | Resource::HttpRoutes => self.route_later(at, change),
            Resource::Canaries | Resource::Namespaces => {}
        }
    }

    fn run(&mut self, at: Timestamp, task: &Task) {
        let key = &task.key;
        match task.part {
            Part::Deployment => self.sync_deployment(at, key),
            Part::ReplicaSet => self.sync_replica_set(at, key),
            Part::Endpoints => self.sync_endpoints(at, key),
            Part::VirtualService | Part::DestinationRule | Part::HttpRoute => self.sync_route(at, task.part, key),
            Part::Flows => self.sync_flows(at, key),
            Part::Autoscaler => self.sync_autoscaler(at, key),
            Part::Agent => self.sync_agent(at, key),
            Part::Garbage => self.collect_garbage(at, key),
        }
    }

    /// Objects whose owner went may own others, so that one pass leads to the next until nothing is left.
    fn collect_garbage(&mut self, at: Timestamp, key: &Key) {
        if self.server.collect_garbage() > 0 {
            let wait = self.options.garbage.draw(&mut self.rng);
            self.agenda.at(at + wait, Part::Garbage, key);
        }
    }

    fn create(&self, path: &str, object: &Value) -> bool {
        self.call(Method::POST, path, JSON, object).is_ok()
    }

    fn put(&self, path: &str, object: &Value) -> bool {
        self.call(Method::PUT, path, JSON, object).is_ok()
    }

    fn patch(&self, path: &str, patch: &Value) -> bool {
        self.call(Method::PATCH, path, "application/merge-patch+json", patch).is_ok()
    }

    fn delete(&self, path: &str) -> bool {
        self.server.call(USER, Method::DELETE, path, JSON, None).is_ok()
    }

    fn apply(&self, path: &str, manager: &str, object: &Value) -> Result<(), String> {
        let path = format!("{path}?fieldManager={manager}&force=true");
        let answer = self.server.call(manager, Method::PATCH, &path, "application/apply-patch+yaml", Some(object));
        answer.map(|_| ()).map_err(|status| status.to_string())
    }

    fn call(&self, method: Method, path: &str, content_type: &str, body: &Value) -> Result<Value, String> {
        let path = format!("{path}?fieldManager={MANAGER}");
        self.server.call(USER, method, &path, content_type, Some(body)).map_err(|status| status.to_string())
    }
}
