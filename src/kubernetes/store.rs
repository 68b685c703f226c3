//! What one cluster's watches have seen, with the replies to our own writes laid over it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;

use super::kinds::Kind;
use super::seen::Json;
use super::stored::{Course, Facts, Sample, Stored};
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

/// By namespace and name.
type Objects = BTreeMap<Box<str>, BTreeMap<Box<str>, Arc<Stored>>>;

/// Names of objects by namespace, and by what they refer to there.
type Index = BTreeMap<Box<str>, BTreeMap<Box<str>, BTreeSet<Box<str>>>>;

/// What may look different since it was asked last.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// These canaries, by what is stored of them and round them: wholly, or (`false`) their events alone.
    pub canaries: BTreeMap<CanaryKey, bool>,
    /// All of them: how the cluster stands, or who drives it.
    pub all: bool,
}

/// Seconds without a failure after which an interrupted watch counts as resumed.
const QUIET: i64 = 10;

#[derive(Default)]
struct Inner {
    objects: BTreeMap<Kind, Objects>,
    samples: BTreeMap<Kind, Sample>,
    /// Names of Canaries by namespace and target.
    targets: Index,
    /// Names of Events by namespace and the Canary that they are about.
    about: Index,
    /// Deployments that run Flagger.
    flaggers: BTreeSet<Name>,
    touched: Touched,
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
    /// The metrics of a canary may need something else than before.
    pub courses_changed: Notify,
    /// More kinds are to be watched than are.
    pub wants_more: Notify,
}

impl Store {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object, decoded anew.
    #[must_use]
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.stored(kind, namespace, name).map(|object| Arc::new(object.value()))
    }

    /// The object as it is kept.
    #[must_use]
    pub fn stored(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Stored>> {
        self.read().stored(kind, namespace, name).cloned()
    }

    /// All objects of a kind by namespace and name, decoded anew: much work where there are many.
    #[must_use]
    pub fn list(&self, kind: Kind) -> Vec<Arc<Value>> {
        let all: Vec<_> = self.read().all(kind).cloned().collect();
        all.iter().map(|object| Arc::new(object.value())).collect()
    }

    #[must_use]
    pub fn canaries(&self) -> Vec<CanaryKey> {
        let inner = self.read();
        inner.canaries().map(|(key, _)| key()).collect()
    }

    /// The canaries whose metrics need something that is `wanted`; none is decoded.
    #[must_use]
    pub fn courses(&self, wanted: impl Fn(Course) -> bool) -> Vec<(CanaryKey, Course)> {
        let inner = self.read();
        let each = inner.canaries().map(|(key, object)| (key, object.course()));
        each.filter(|(_, course)| wanted(*course)).map(|(key, course)| (key(), course)).collect()
    }

    /// The Canaries of a namespace that release this target or route this Service, by name.
    #[must_use]
    pub fn claimants(&self, namespace: &str, target: &str, service: &str) -> Vec<Arc<Stored>> {
        let inner = self.read();
        let names = inner.objects.get(&Kind::Canary).and_then(|all| all.get(namespace));
        let claims = |object: &&Arc<Stored>| match object.facts() {
            Facts::Canary { target: one, service: named, .. } => {
                &**one == target || if named.is_empty() { &**one == service } else { &**named == service }
            }
            _ => false,
        };
        names.into_iter().flat_map(BTreeMap::values).filter(claims).cloned().collect()
    }

    /// The events about a Canary, by name.
    #[must_use]
    pub fn events(&self, key: &CanaryKey) -> Vec<Arc<Stored>> {
        let inner = self.read();
        let names = inner.about.get(&*key.namespace).and_then(|all| all.get(&*key.name));
        names.into_iter().flatten().filter_map(|name| inner.stored(Kind::Event, &key.namespace, name).cloned()).collect()
    }

    /// The first Deployment that runs Flagger, as `namespace/name`.
    #[must_use]
    pub fn flagger(&self) -> Option<String> {
        self.read().flaggers.first().map(|(namespace, name)| format!("{namespace}/{name}"))
    }

    /// What may look different since this was asked last.
    #[must_use]
    pub fn take_touched(&self) -> Touched {
        std::mem::take(&mut self.write().touched)
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
        inner.touched.all = true;
        for waker in inner.wakers.values() {
            waker.notify_one();
        }
        drop(inner);
        if kind == Kind::Canary {
            // The other kinds follow.
            self.wants_more.notify_one();
        }
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

    /// Takes in an object that a request was answered with, unless a newer one is here already: a write's reply stays
    /// until the watch has caught up with it.
    pub fn put(&self, kind: Kind, object: Value) {
        self.take(kind, Json::of(&object, kind.kept()));
    }

    /// The same for an object that a watch has seen.
    pub(super) fn take(&self, kind: Kind, mut json: Json) {
        let name: Name = (std::mem::take(&mut json.namespace), std::mem::take(&mut json.name));
        if !is_a_name(&name.0) || !is_a_name(&name.1) {
            tracing::warn!(kind = kind.word(), namespace = ?name.0, name = ?name.1, "an object with a name that Kubernetes never gives is left out");
            return;
        }
        let sample = self.read().samples.get(&kind).map(Sample::json).unwrap_or_default();
        let object = Arc::new(Stored::new(kind, &json, &sample));
        let mut inner = self.write();
        inner.samples.entry(kind).or_default().note(&object, &json.bytes);
        let before = inner.stored(kind, &name.0, &name.1).cloned();
        let course = object.course();
        if before.as_ref().is_some_and(|old| old.uid() == object.uid() && old.version() >= object.version()) {
            return;
        }
        inner.insert(kind, &name, Arc::clone(&object));
        match &before {
            // Renewed, and held as before.
            Some(before) if before.facts() == object.facts() && matches!(object.facts(), Facts::Lease { .. }) => return,
            // The status of a workload shows in no view.
            Some(before) if before.facts() == object.facts() && matches!(object.facts(), Facts::Workload { .. }) => {}
            Some(before) if before.facts() == object.facts() => inner.touch(kind, &name, object.facts()),
            _ => {
                if let Some(before) = &before {
                    inner.unlist(kind, &name, before);
                }
                inner.enlist(kind, &name, object.facts());
            }
        }
        inner.wake(kind, &name);
        drop(inner);
        if kind == Kind::Canary && before.as_ref().is_none_or(|before| before.course() != course) {
            self.courses_changed.notify_one();
        }
        self.ring(kind, before.is_none());
    }

    /// Forgets an object that is gone; an older incarnation's end does not take the newer one.
    pub fn remove(&self, kind: Kind, object: &Value) {
        self.forget(kind, &Json::of(object, kind.kept()));
    }

    /// The same for an object that a watch has seen go.
    pub(super) fn forget(&self, kind: Kind, json: &Json) {
        let name: Name = (json.namespace.clone(), json.name.clone());
        let mut inner = self.write();
        if inner.stored(kind, &name.0, &name.1).is_none_or(|old| old.uid() != json.uid) {
            return;
        }
        inner.delete(kind, &name);
        inner.wake(kind, &name);
        drop(inner);
        self.ring(kind, true);
    }

    /// A relist ended: what it did not name is gone.
    pub fn keep_only(&self, kind: Kind, seen: &BTreeSet<(String, String)>, newest: u64) {
        let mut inner = self.write();
        let namespaces = inner.objects.get(&kind).into_iter().flatten();
        let known = namespaces.flat_map(|(ns, names)| names.iter().map(move |(name, object)| ((ns.to_string(), name.to_string()), object)));
        let gone: Vec<Name> =
            known.filter(|(name, object)| object.version() <= newest && !seen.contains(name)).map(|(name, _)| name).collect();
        for name in &gone {
            inner.delete(kind, name);
        }
        for name in &gone {
            inner.wake(kind, name);
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
}

/// Kubernetes takes no other characters into a name, and names are drawn, typed and put into paths as they are.
fn is_a_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Inner {
    fn all(&self, kind: Kind) -> impl Iterator<Item = &Arc<Stored>> {
        self.objects.get(&kind).into_iter().flat_map(BTreeMap::values).flat_map(BTreeMap::values)
    }

    /// The canaries, with what makes the key of each.
    fn canaries(&self) -> impl Iterator<Item = (impl Fn() -> CanaryKey, &Arc<Stored>)> {
        let namespaces = self.objects.get(&Kind::Canary).into_iter().flatten();
        let each = namespaces.flat_map(|(namespace, names)| names.iter().map(move |(name, object)| (namespace, name, object)));
        each.map(|(namespace, name, object)| (move || CanaryKey::new(&**namespace, &**name), object))
    }

    fn stored(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Arc<Stored>> {
        self.objects.get(&kind)?.get(namespace)?.get(name)
    }

    fn insert(&mut self, kind: Kind, (namespace, name): &Name, object: Arc<Stored>) {
        let names = slot(self.objects.entry(kind).or_default(), namespace);
        match names.get_mut(&**name) {
            Some(known) => *known = object,
            None => drop(names.insert(name.as_str().into(), object)),
        }
    }

    fn delete(&mut self, kind: Kind, name: &Name) {
        let Some(namespaces) = self.objects.get_mut(&kind) else { return };
        let Some(names) = namespaces.get_mut(&*name.0) else { return };
        let Some(gone) = names.remove(&*name.1) else { return };
        if names.is_empty() {
            namespaces.remove(&*name.0);
        }
        self.unlist(kind, name, &gone);
    }

    /// Notes where an object is to be found by what it says, and whose view it touches.
    fn enlist(&mut self, kind: Kind, name: &Name, facts: &Facts) {
        match facts {
            Facts::Canary { target, .. } => drop(slot(slot(&mut self.targets, &name.0), target).insert(name.1.as_str().into())),
            Facts::Event { about } => drop(slot(slot(&mut self.about, &name.0), about).insert(name.1.as_str().into())),
            Facts::Workload { flagger: true, .. } => self.touched.all |= self.flaggers.insert(name.clone()),
            Facts::Workload { .. } | Facts::Lease { .. } | Facts::None => {}
        }
        self.touch(kind, name, facts);
    }

    /// Forgets where an object was to be found, which is gone, or says something else now.
    fn unlist(&mut self, kind: Kind, name: &Name, before: &Stored) {
        match before.facts() {
            Facts::Canary { target, .. } => withdraw(&mut self.targets, &name.0, target, &name.1),
            Facts::Event { about } => withdraw(&mut self.about, &name.0, about, &name.1),
            Facts::Workload { flagger: true, .. } => self.touched.all |= self.flaggers.remove(name),
            Facts::Workload { .. } | Facts::Lease { .. } | Facts::None => {}
        }
        self.touch(kind, name, before.facts());
    }

    fn touch(&mut self, kind: Kind, (namespace, name): &Name, facts: &Facts) {
        let touched = &mut self.touched.canaries;
        match (kind, facts) {
            (Kind::Canary, _) => drop(touched.insert(CanaryKey::new(namespace, name), true)),
            (_, Facts::Event { about }) => drop(touched.entry(CanaryKey::new(namespace, &**about)).or_insert(false)),
            (Kind::Lease, _) => self.touched.all = true,
            (Kind::Service, _) | (_, Facts::Workload { .. }) => {
                let targets = self.targets.get(&**namespace);
                for target in [name.strip_suffix("-primary").unwrap_or(name), name] {
                    let canaries = targets.and_then(|targets| targets.get(target)).into_iter().flatten();
                    touched.extend(canaries.map(|canary| (CanaryKey::new(namespace, &**canary), true)));
                }
            }
            _ => {}
        }
    }

    /// Wakes the canaries that `name` of `kind` may concern: those of its namespace whose names it bears, or
    /// all of them for configs and leases.
    fn wake(&self, kind: Kind, (namespace, name): &Name) {
        let all = kind == Kind::Lease || !kind.is_namespaced() || kind == Kind::Upstream;
        if all || (kind == Kind::Deployment && name.contains("flagger")) {
            self.wakers.values().for_each(|waker| waker.notify_one());
            return;
        }
        if matches!(kind, Kind::Event | Kind::Claim) {
            return;
        }
        let from = CanaryKey::new(namespace, "");
        for (key, waker) in self.wakers.range(from..).take_while(|(key, _)| key.namespace == *namespace) {
            let concerned = match kind {
                Kind::Canary => key.name == *name,
                // Few, and named in many ways: by an Ingress, a scaler, a route of the user's own.
                _ if !matches!(kind, Kind::Deployment | Kind::DaemonSet | Kind::Service) => true,
                _ => self.stored(Kind::Canary, &key.namespace, &key.name).is_some_and(|canary| {
                    let Facts::Canary { target, service, .. } = canary.facts() else { return false };
                    let base = name.strip_suffix("-primary").or_else(|| name.strip_suffix("-canary")).unwrap_or(name);
                    [target, service].iter().any(|n| !n.is_empty() && (***n == *base || ***n == **name))
                }),
            };
            if concerned {
                waker.notify_one();
            }
        }
    }
}

/// The value at `key`, made where there is none.
fn slot<'a, T: Default>(map: &'a mut BTreeMap<Box<str>, T>, key: &str) -> &'a mut T {
    map.entry(key.into()).or_default()
}

/// Takes `name` out of the index.
fn withdraw(index: &mut Index, namespace: &str, by: &str, name: &str) {
    let Some(names) = index.get_mut(namespace) else { return };
    if let Some(of) = names.get_mut(by) {
        of.remove(name);
        if of.is_empty() {
            names.remove(by);
        }
    }
    if names.is_empty() {
        index.remove(namespace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::json::version;
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

    fn canary(version: u64, name: &str, target: &str) -> Value {
        json!({"metadata": {"namespace": "a", "name": name, "uid": name, "resourceVersion": version.to_string()},
            "spec": {"targetRef": {"name": target}}})
    }

    fn event(version: u64, name: &str, about: &str) -> Value {
        json!({"metadata": {"namespace": "a", "name": name, "uid": name, "resourceVersion": version.to_string()},
            "involvedObject": {"namespace": "a", "name": about}})
    }

    fn workload(version: u64, name: &str, image: &str, ready: i64) -> Value {
        json!({"metadata": {"namespace": "a", "name": name, "uid": name, "resourceVersion": version.to_string(), "generation": 1},
            "spec": {"template": {"spec": {"containers": [{"image": image}]}}}, "status": {"readyReplicas": ready}})
    }

    fn touched(store: &Store) -> Vec<(String, bool)> {
        store.take_touched().canaries.into_iter().map(|(key, whole)| (key.name, whole)).collect()
    }

    #[test]
    fn a_change_touches_the_canaries_that_it_is_about_and_no_others() {
        let store = Store::default();
        store.put(Kind::Canary, canary(1, "one", "web"));
        store.put(Kind::Canary, canary(2, "two", "api"));
        assert_eq!(touched(&store), [("one".into(), true), ("two".into(), true)]);
        store.put(Kind::Event, event(3, "e1", "one"));
        store.put(Kind::Event, event(4, "e2", "nobody"));
        assert_eq!(touched(&store), [("nobody".into(), false), ("one".into(), false)]);
        store.put(Kind::Deployment, workload(5, "web", "web:1", 0));
        store.put(Kind::Deployment, workload(6, "web-primary", "web:1", 0));
        assert_eq!(touched(&store), [("one".into(), true)]);
        store.put(Kind::Deployment, workload(7, "web", "web:1", 3));
        assert_eq!(touched(&store), [], "its status is no news");
        assert_eq!(store.stored(Kind::Deployment, "a", "web").map(|w| w.image().to_owned()), Some("web:1".into()));
        store.put(Kind::Deployment, workload(8, "web", "web:2", 3));
        store.put(Kind::Event, event(9, "e1", "two"));
        assert_eq!(touched(&store), [("one".into(), true), ("two".into(), false)]);
        let about = |name: &str| store.events(&CanaryKey::new("a", name)).len();
        assert_eq!((about("one"), about("two"), about("nobody")), (0, 1, 1), "an event that is about another now");
        store.put(Kind::Canary, canary(10, "two", "web"));
        store.put(Kind::Deployment, workload(11, "web", "web:3", 3));
        assert_eq!(touched(&store), [("one".into(), true), ("two".into(), true)], "both release it now");
        assert_eq!(store.claimants("a", "web", "x").len(), 2);
        store.remove(Kind::Canary, &canary(12, "one", "web"));
        store.remove(Kind::Event, &event(13, "e1", "two"));
        assert_eq!(touched(&store), [("one".into(), true), ("two".into(), false)]);
        assert_eq!((about("two"), store.claimants("a", "web", "x").len()), (0, 1));
    }

    #[test]
    fn a_renewed_lease_is_no_news_and_another_holder_is() {
        let store = Store::default();
        let lease = |version: u64, holder: &str| {
            json!({"metadata": {"namespace": "a", "name": "lease", "uid": "l", "resourceVersion": version.to_string()},
                "spec": {"holderIdentity": holder, "renewTime": format!("2026-03-02T12:04:{version:02}.000000Z")}})
        };
        store.put(Kind::Lease, lease(1, "flagger-1"));
        assert!(store.take_touched().all);
        store.put(Kind::Lease, lease(2, "flagger-1"));
        assert_eq!(store.take_touched(), Touched::default());
        assert_eq!(store.get(Kind::Lease, "a", "lease").map(|lease| version(&lease)), Some(2), "it is kept all the same");
        store.put(Kind::Lease, lease(3, "flagger-2"));
        assert!(store.take_touched().all);
        store.put(Kind::Claim, lease(4, "us"));
        assert_eq!(store.take_touched(), Touched::default(), "who drives shows in no canary");
    }

    #[test]
    fn canaries_are_found_by_what_their_metrics_need() {
        let store = Store::default();
        let canary = |name: &str, phase: &str, metrics: Value, server: &str| {
            json!({"metadata": {"namespace": "a", "name": name, "uid": name, "resourceVersion": "1"}, "status": {"phase": phase},
                "spec": {"targetRef": {"name": name}, "metricsServer": server, "analysis": {"metrics": metrics}}})
        };
        store.put(Kind::Canary, canary("calm", "Succeeded", json!([{"name": "request-duration"}]), ""));
        store.put(Kind::Canary, canary("flying", "Progressing", json!([]), ""));
        store.put(Kind::Canary, canary("asks", "Succeeded", json!([{"name": "x", "templateRef": {"name": "t"}}]), ""));
        store.put(Kind::Canary, canary("named", "Succeeded", json!([]), "http://metrics.test"));
        let names = |wanted: fn(Course) -> bool| -> Vec<String> { store.courses(wanted).into_iter().map(|(key, _)| key.name).collect() };
        assert_eq!(names(|course| course.flying), ["flying"]);
        assert_eq!(names(|course| course.own_server), ["asks", "named"]);
        assert_eq!(names(|_| true).len(), 4);
    }

    #[test]
    fn a_flagger_is_seen_come_and_go() {
        let store = Store::default();
        store.put(Kind::Deployment, workload(1, "loadtester", "ghcr.io/fluxcd/flagger-loadtester:0.31", 1));
        assert!(store.flagger().is_none() && !store.take_touched().all);
        store.put(Kind::Deployment, workload(2, "f", "ghcr.io/fluxcd/flagger:1.44.0@sha256:1", 1));
        assert!(store.flagger().as_deref() == Some("a/f") && store.take_touched().all);
        let mut stopped = workload(3, "f", "ghcr.io/fluxcd/flagger:1.44.0", 1);
        stopped["spec"]["replicas"] = json!(0);
        store.put(Kind::Deployment, stopped);
        assert!(store.flagger().is_none() && store.take_touched().all);
    }
}
