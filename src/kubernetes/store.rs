//! What one cluster's watches have seen, with the replies to our own writes laid over it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;

use super::json::{text, version};
use super::kinds::Kind;
use crate::domain::target::CanaryKey;

/// State of one kind's watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchState {
    Syncing,
    Live,
    /// The API server does not know the kind.
    Absent,
    Forbidden(String),
    /// It was live and is not; what is known stays, dated.
    Degraded {
        since: Timestamp,
        why: String,
    },
}

type Name = (String, String);

/// Seconds without a failure after which an interrupted watch counts as resumed.
const QUIET: i64 = 10;

#[derive(Default)]
struct Inner {
    objects: BTreeMap<Kind, BTreeMap<Name, Arc<Value>>>,
    states: BTreeMap<Kind, WatchState>,
    /// Kinds of which a whole list has been seen.
    listed: BTreeSet<Kind>,
    heard: Option<Timestamp>,
    /// When a watch failed last.
    failed: Option<Timestamp>,
    wakers: BTreeMap<CanaryKey, Arc<Notify>>,
    /// Kinds that some Canary needs, besides those that are always watched.
    wanted: BTreeSet<Kind>,
}

/// The store of one cluster.
#[derive(Default)]
pub struct Store {
    inner: RwLock<Inner>,
    /// Something changed that a screen may show.
    pub changed: Notify,
    /// A canary came or went.
    pub canaries_changed: Notify,
    /// A kind is wanted that was not.
    pub wants_more: Notify,
}

impl Store {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    #[must_use]
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.read().objects.get(&kind)?.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    #[must_use]
    pub fn list(&self, kind: Kind) -> Vec<Arc<Value>> {
        self.read().objects.get(&kind).into_iter().flat_map(|m| m.values().cloned()).collect()
    }

    #[must_use]
    pub fn canaries(&self) -> Vec<CanaryKey> {
        self.read().objects.get(&Kind::Canary).into_iter().flat_map(|m| m.keys()).map(|(ns, name)| CanaryKey::new(ns, name)).collect()
    }

    #[must_use]
    pub fn state(&self, kind: Kind) -> WatchState {
        self.read().states.get(&kind).cloned().unwrap_or(WatchState::Syncing)
    }

    pub fn set_state(&self, kind: Kind, state: WatchState) {
        let mut inner = self.write();
        if inner.states.get(&kind) == Some(&state) {
            return;
        }
        match state {
            WatchState::Live => {
                inner.listed.insert(kind);
            }
            WatchState::Absent | WatchState::Forbidden(_) => {
                inner.listed.remove(&kind);
            }
            WatchState::Syncing | WatchState::Degraded { .. } => {}
        }
        inner.states.insert(kind, state);
        for waker in inner.wakers.values() {
            waker.notify_one();
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// Whether enough is known to decide anything: what every rollout stands on has been listed whole, and of
    /// the rest it is known at least why it has not. An object that was never listed is not missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let inner = self.read();
        Kind::always().all(|kind| {
            let excused = matches!(inner.states.get(&kind), Some(WatchState::Absent | WatchState::Forbidden(_)));
            inner.listed.contains(&kind) || (excused && !matches!(kind, Kind::Canary | Kind::Deployment | Kind::Service))
        })
    }

    /// Whether `kind`, which a Canary needs, is known: listed whole, or refused with a reason. Asking makes it watched.
    #[must_use]
    pub fn knows(&self, kind: Kind) -> bool {
        let inner = self.read();
        let known = inner.listed.contains(&kind) || matches!(inner.states.get(&kind), Some(WatchState::Absent | WatchState::Forbidden(_)));
        if known || inner.wanted.contains(&kind) {
            return known;
        }
        drop(inner);
        self.write().wanted.insert(kind);
        self.wants_more.notify_one();
        false
    }

    /// The kinds that are wanted besides those that are always watched.
    #[must_use]
    pub fn wanted(&self) -> BTreeSet<Kind> {
        self.read().wanted.clone()
    }

    /// Whether every watch has had its first answer, whatever it was.
    #[must_use]
    pub fn has_answers(&self) -> bool {
        let inner = self.read();
        Kind::always().all(|kind| !matches!(inner.states.get(&kind), None | Some(WatchState::Syncing)))
    }

    /// When an API server was heard last.
    #[must_use]
    pub fn heard(&self) -> Option<Timestamp> {
        self.read().heard
    }

    pub fn hear(&self, at: Timestamp) {
        self.write().heard = Some(at);
    }

    /// Notes that a watch failed at `at`; it may go on by itself a moment later, and then says nothing.
    pub fn fail(&self, at: Timestamp) {
        self.write().failed = Some(at);
    }

    /// Whether the cluster has been heard for a while since a watch failed last: a resumed watch on a quiet
    /// kind brings no event to tell so.
    #[must_use]
    pub fn has_recovered(&self) -> bool {
        let inner = self.read();
        match (inner.heard, inner.failed) {
            (Some(heard), Some(failed)) => heard.duration_since(failed).as_secs() >= QUIET,
            _ => true,
        }
    }

    /// Rings when something changed that concerns `key`.
    #[must_use]
    pub fn waker(&self, key: &CanaryKey) -> Arc<Notify> {
        Arc::clone(self.write().wakers.entry(key.clone()).or_default())
    }

    /// Takes in an object seen by a watch or returned by a write, unless a newer one is here already: a
    /// write's reply stays until the watch has caught up with it.
    pub fn put(&self, kind: Kind, object: Value) {
        let name = (text(&object, "/metadata/namespace").to_owned(), text(&object, "/metadata/name").to_owned());
        let mut inner = self.write();
        let known = inner.objects.entry(kind).or_default();
        let before = known.get(&name);
        if before.is_some_and(|old| text(old, "/metadata/uid") == text(&object, "/metadata/uid") && version(old) >= version(&object)) {
            return;
        }
        let is_new = before.is_none();
        known.insert(name.clone(), Arc::new(object));
        Self::wake(&inner, kind, &name);
        drop(inner);
        self.ring(kind, is_new);
    }

    /// Forgets an object that is gone; an older incarnation's end does not take the newer one.
    pub fn remove(&self, kind: Kind, object: &Value) {
        let name = (text(object, "/metadata/namespace").to_owned(), text(object, "/metadata/name").to_owned());
        let mut inner = self.write();
        let known = inner.objects.entry(kind).or_default();
        if known.get(&name).is_none_or(|old| text(old, "/metadata/uid") != text(object, "/metadata/uid")) {
            return;
        }
        known.remove(&name);
        Self::wake(&inner, kind, &name);
        drop(inner);
        self.ring(kind, true);
    }

    /// A relist ended: what it did not name is gone.
    pub fn keep_only(&self, kind: Kind, seen: &BTreeSet<(String, String)>, newest: u64) {
        let mut inner = self.write();
        let known = inner.objects.entry(kind).or_default();
        let gone: Vec<Name> =
            known.iter().filter(|(name, object)| !seen.contains(*name) && version(object) <= newest).map(|(n, _)| n.clone()).collect();
        for name in &gone {
            known.remove(name);
        }
        for name in &gone {
            Self::wake(&inner, kind, name);
        }
        drop(inner);
        if !gone.is_empty() {
            self.ring(kind, true);
        }
    }

    fn ring(&self, kind: Kind, came_or_went: bool) {
        if kind == Kind::Canary && came_or_went {
            self.canaries_changed.notify_one();
        }
        self.changed.notify_one();
    }

    /// Wakes the canaries that `name` of `kind` may concern: those of its namespace whose names it bears, or
    /// all of them for configs and leases.
    fn wake(inner: &Inner, kind: Kind, (namespace, name): &Name) {
        let canaries = inner.objects.get(&Kind::Canary);
        for (key, waker) in &inner.wakers {
            let concerned = match kind {
                Kind::Event => false,
                Kind::Lease => true,
                _ if !kind.is_namespaced() || kind == Kind::Upstream => true,
                _ if key.namespace != *namespace => kind == Kind::Deployment && name.contains("flagger"),
                Kind::Canary => key.name == *name,
                // Few, and named in many ways: by an Ingress, a scaler, a route of the user's own.
                _ if !matches!(kind, Kind::Deployment | Kind::DaemonSet | Kind::Service) => true,
                _ => canaries.and_then(|m| m.get(&(key.namespace.clone(), key.name.clone()))).is_some_and(|canary| {
                    let target = text(canary, "/spec/targetRef/name");
                    let service = text(canary, "/spec/service/name");
                    let base = name.strip_suffix("-primary").or_else(|| name.strip_suffix("-canary")).unwrap_or(name);
                    [target, service].iter().any(|n| !n.is_empty() && (*n == base || *n == name.as_str()))
                }),
            };
            if concerned {
                waker.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(version: u64, uid: &str) -> Value {
        json!({"metadata": {"namespace": "a", "name": "web", "uid": uid, "resourceVersion": version.to_string()}})
    }

    #[test]
    fn nothing_is_decided_on_kinds_that_were_never_listed() {
        let store = Store::default();
        let degraded = || WatchState::Degraded { since: Timestamp::UNIX_EPOCH, why: "500".into() };
        for kind in Kind::always() {
            store.set_state(kind, degraded());
        }
        assert!(store.has_answers() && !store.is_complete(), "a first list that failed is no empty list");
        for kind in Kind::always() {
            store.set_state(kind, WatchState::Live);
        }
        assert!(store.is_complete());
        store.set_state(Kind::VirtualService, WatchState::Absent);
        store.set_state(Kind::Event, degraded());
        assert!(store.is_complete(), "without Istio, and with a watch that was interrupted");
        store.set_state(Kind::Deployment, WatchState::Forbidden("no".into()));
        assert!(!store.is_complete(), "without Deployments nothing can be told");
    }

    #[test]
    fn a_late_watch_event_does_not_undo_a_write() {
        let store = Store::default();
        store.put(Kind::Deployment, object(7, "u"));
        store.put(Kind::Deployment, object(5, "u"));
        assert_eq!(store.get(Kind::Deployment, "a", "web").map(|o| version(&o)), Some(7));
        store.put(Kind::Deployment, object(6, "v"));
        assert_eq!(store.get(Kind::Deployment, "a", "web").map(|o| version(&o)), Some(6), "another object of that name");
        store.remove(Kind::Deployment, &object(8, "u"));
        assert!(store.get(Kind::Deployment, "a", "web").is_some(), "the end of the older one");
        store.keep_only(Kind::Deployment, &BTreeSet::new(), 5);
        assert!(store.get(Kind::Deployment, "a", "web").is_some(), "written after the list");
        store.keep_only(Kind::Deployment, &BTreeSet::new(), 9);
        assert!(store.get(Kind::Deployment, "a", "web").is_none());
    }
}
