//! Rules over what a whole cluster goes through (reliability-performance §2.3), checked after every write that an
//! engine makes; `engine::invariants` has the rules over single steps.
//!
//! They look at the objects as any client would, and know nothing of how the engine came to write them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::api::{ApiServer, Write, WriteVerb};
use super::app::{divided, is_bad};
use crate::domain::phase::Phase;
use crate::domain::status::CanaryStatus;
use crate::kubernetes::json::{integer, text};
use crate::kubernetes::lease::{NAME as LEASE, NAMESPACE};
use crate::kubernetes::observe;

/// Engines of a simulation have names that begin with this.
pub const ENGINE: &str = "pilothouse-";

/// How often each object was made and deleted, by `resource namespace/name`.
pub type Lives = BTreeMap<String, (u32, u32)>;

/// What has been seen so far.
#[derive(Default)]
struct Seen {
    /// Writes that have not been looked at.
    fresh: Vec<Write>,
    /// Percent of the canary, by namespace and name of the route.
    routes: BTreeMap<(String, String), i64>,
    /// Pod templates of primaries, by namespace and name.
    primaries: BTreeMap<(String, String), Value>,
    phases: BTreeMap<(String, String), String>,
    /// Orders on Canaries, by namespace and name.
    orders: BTreeMap<(String, String), BTreeSet<String>>,
    lives: Lives,
    broken: Vec<String>,
    /// Metrics may lie from here on: what they let through is not the engine's fault.
    lied_to: bool,
    rollouts: u64,
    trace: DefaultHasher,
}

/// Watches one server.
pub struct Checker {
    server: Arc<ApiServer>,
    seen: Mutex<Seen>,
}

impl Checker {
    /// Follows every write of `server` from now on.
    #[must_use]
    pub fn follow(server: &Arc<ApiServer>) -> Arc<Self> {
        let this = Arc::new(Self { server: Arc::clone(server), seen: Mutex::default() });
        let weak = Arc::downgrade(&this);
        server.set_journal(Arc::new(move |write| {
            if let Some(this) = weak.upgrade() {
                this.lock().fresh.push(write.clone());
            }
        }));
        this
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges what was written since the last look.
    pub fn look(&self) {
        let fresh = std::mem::take(&mut self.lock().fresh);
        for write in fresh {
            self.judge(&write);
        }
    }

    /// Rules that were broken, in the order they were.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        self.look();
        self.lock().broken.clone()
    }

    /// Adds a finding of somebody else's.
    pub fn complain(&self, what: String) {
        self.lock().broken.push(what);
    }

    /// Creates and deletes by engines, Events left out: those follow from what they tell of.
    #[must_use]
    pub fn lives(&self) -> Lives {
        self.look();
        self.lock().lives.clone()
    }

    /// Rollouts begun so far.
    #[must_use]
    pub fn rollouts(&self) -> u64 {
        self.look();
        self.lock().rollouts
    }

    /// A number that two runs share only if every write of both was the same, in the same order.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.look();
        self.lock().trace.finish()
    }

    /// From now on metrics may lie.
    pub fn expect_lies(&self) {
        self.lock().lied_to = true;
    }

    fn judge(&self, write: &Write) {
        let object = self.server.object(&write.resource, &write.namespace, &write.name);
        let mut seen = self.lock();
        (write.resource_version, write.verb as u8, &write.resource, &write.namespace, &write.name, &write.user).hash(&mut seen.trace);
        let place = (write.namespace.clone(), write.name.clone());
        if write.user.starts_with(ENGINE) {
            if let Some(why) = self.not_the_holder(write) {
                seen.broken.push(why);
            }
            if write.resource != "events" {
                let life = seen.lives.entry(format!("{} {}/{}", write.resource, write.namespace, write.name)).or_default();
                match write.verb {
                    WriteVerb::Create => life.0 += 1,
                    WriteVerb::Delete => life.1 += 1,
                    WriteVerb::Update => {}
                }
            }
        }
        let Some(object) = object else { return };
        match write.resource.as_str() {
            "virtualservices.networking.istio.io" | "httproutes.gateway.networking.k8s.io" => self.route(&mut seen, write, place, &object),
            "deployments.apps" if write.name.ends_with("-primary") => self.primary(&mut seen, write, place, &object),
            "canaries.flagger.app" => canary(&mut seen, place, &object),
            _ => {}
        }
    }

    /// S20: an engine writes only while the lease says its name.
    fn not_the_holder(&self, write: &Write) -> Option<String> {
        if write.resource == "leases.coordination.k8s.io" || write.resource == "namespaces" {
            return None;
        }
        let lease = self.server.object("leases.coordination.k8s.io", NAMESPACE, LEASE);
        let holder = lease.as_deref().map(|lease| text(lease, "/spec/holderIdentity").to_owned()).unwrap_or_default();
        (holder != write.user).then(|| {
            format!("S20: {} wrote {} {}/{} while `{holder}` holds the lease", write.user, write.resource, write.namespace, write.name)
        })
    }

    fn status(&self, namespace: &str, canary: &str) -> CanaryStatus {
        self.server.object("canaries.flagger.app", namespace, canary).map(|c| observe::status(&c)).unwrap_or_default()
    }

    fn available(&self, namespace: &str, deployment: &str) -> i64 {
        let live = self.server.object("deployments.apps", namespace, deployment);
        live.and_then(|live| integer(&live, "/status/availableReplicas")).unwrap_or(0)
    }

    /// S1, S3 and S4 on the route itself.
    fn route(&self, seen: &mut Seen, write: &Write, place: (String, String), object: &Value) {
        let Some((primary, canary)) = divided(object, &write.name) else { return };
        if primary + canary != 100 || !(0..=100).contains(&canary) {
            seen.broken.push(format!("S1: the route of {} has weights {primary} and {canary}", write.name));
        }
        let before = seen.routes.insert(place, canary).unwrap_or(0);
        if !write.user.starts_with(ENGINE) {
            return;
        }
        if canary > before && self.available(&write.namespace, &write.name) < 1 {
            seen.broken.push(format!("S3: {} got {canary} % while it has no pod that is available", write.name));
        }
        let status = self.status(&write.namespace, &write.name);
        if canary < before && status.phase == Phase::Promoting && self.available(&write.namespace, &format!("{}-primary", write.name)) < 1 {
            seen.broken.push(format!("S4: traffic of {} went back to a primary without pods", write.name));
        }
    }

    /// S6 and S7 on the primary itself.
    fn primary(&self, seen: &mut Seen, write: &Write, place: (String, String), object: &Value) {
        let template = object.pointer("/spec/template").cloned().unwrap_or_default();
        let Some(before) = seen.primaries.insert(place, template.clone()) else { return };
        if before == template || !write.user.starts_with(ENGINE) {
            return;
        }
        let canary = write.name.trim_end_matches("-primary");
        let status = self.status(&write.namespace, canary);
        if status.phase != Phase::Promoting {
            seen.broken.push(format!("S6: the primary of {canary} changed in phase {}", status.phase));
        }
        let image = |template: &Value| text(template, "/spec/containers/0/image").to_owned();
        let ordered = status.engine().promote_now.is_some();
        if image(&before) != image(&template) && is_bad(&image(&template)) && !ordered && !seen.lied_to {
            seen.broken.push(format!("S7: {} became the primary of {canary}, and nobody had ordered it", image(&template)));
        }
    }
}

/// Counts rollouts; S21: an order goes only after its verdict is on record.
fn canary(seen: &mut Seen, place: (String, String), object: &Value) {
    let (good, broken) = observe::intents(object);
    let now: BTreeSet<String> = good.into_iter().map(|intent| intent.id).chain(broken.into_iter().map(|(id, _)| id)).collect();
    let state = observe::status(object).engine();
    let before = seen.orders.insert(place.clone(), now.clone()).unwrap_or_default();
    for id in before.difference(&now).filter(|id| state.verdict(id).is_none()) {
        seen.broken.push(format!("S21: order {id} of {} is gone, and has no verdict", place.1));
    }
    let phase = text(object, "/status/phase").to_owned();
    let before = seen.phases.insert(place, phase.clone());
    let restarted = before.as_deref() == Some("Progressing") && phase == "Progressing";
    if phase == "Progressing" && !restarted {
        seen.rollouts += 1;
    }
}
