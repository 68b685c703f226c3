//! What controllers clean up: dependents of owners that are gone or going, and the contents of namespaces.
//!
//! The rules are those of the garbage collector (`attemptToDeleteItem`) and of the namespace controller of
//! kube-controller-manager, run until nothing is left to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::delete::{FOREGROUND, ORPHAN, Policy, may_go};
use super::fields;
use super::kinds::Resource;
use super::object::{Object, finalizers, owners, set, set_metadata};
use super::state::{Author, State, time};
use super::write::text;

const USER: &str = "system:serviceaccount:kube-system:generic-garbage-collector";
const MANAGER: &str = "kube-controller-manager";

/// Who owns whom at the moment.
struct Graph {
    /// The finalizers of every object that is being deleted, by uid; none for all others.
    objects: BTreeMap<String, Vec<String>>,
    /// The uids of dependents by the uid of their owner.
    dependents: BTreeMap<String, BTreeSet<String>>,
    /// The uids of dependents that keep a foreground deletion waiting, by the uid of their owner.
    blocking: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn of(state: &State) -> Self {
        let mut graph = Self { objects: BTreeMap::new(), dependents: BTreeMap::new(), blocking: BTreeMap::new() };
        for (_, object) in state.store.all() {
            let deleting = if object.is_deleting() { finalizers(&object.value()).map(str::to_owned).collect() } else { Vec::new() };
            graph.objects.insert(object.uid().to_owned(), deleting);
            if !object.has_owners() {
                continue;
            }
            for owner in owners(&object.value()) {
                let uid = text(&owner["uid"]).to_owned();
                if owner["blockOwnerDeletion"] == true {
                    graph.blocking.entry(uid.clone()).or_default().insert(object.uid().to_owned());
                }
                graph.dependents.entry(uid).or_default().insert(object.uid().to_owned());
            }
        }
        graph
    }

    fn exists(&self, uid: &str) -> bool {
        self.objects.contains_key(uid)
    }

    /// True for an owner that goes when its dependents are gone.
    fn is_waiting(&self, uid: &str) -> bool {
        self.objects.get(uid).is_some_and(|finalizers| finalizers.iter().any(|name| name == FOREGROUND))
    }
}

impl State {
    /// Cleans up until nothing changes any more; says how many writes that took.
    pub(super) fn collect_garbage(&mut self, now: Timestamp) -> usize {
        let author = Author { user: USER, manager: MANAGER, now };
        let before = self.writes.len();
        loop {
            let so_far = self.writes.len();
            self.clean_dependents(author);
            self.clean_owners(author);
            self.clean_namespaces(author);
            if self.writes.len() == so_far {
                return so_far - before;
            }
        }
    }

    /// All objects that a rule is about, with their resource.
    fn chosen(&self, rule: impl Fn(&Object) -> bool) -> Vec<(Arc<Resource>, Arc<Object>)> {
        let chosen = self.store.all().filter(|(_, object)| rule(object));
        chosen.filter_map(|(name, object)| Some((Arc::clone(self.kinds.get(name)?), Arc::clone(object)))).collect()
    }

    /// Deletes what has no owner left; takes owners away that are gone beside others that stay.
    fn clean_dependents(&mut self, author: Author<'_>) {
        let owned = self.chosen(Object::has_owners);
        if owned.is_empty() {
            return;
        }
        let graph = Graph::of(self);
        for (resource, object) in owned {
            let (mut solid, mut waiting, mut dangling) = (0, 0, 0);
            let value = object.value();
            for uid in owners(&value).map(|owner| text(&owner["uid"])) {
                match (graph.exists(uid), graph.is_waiting(uid)) {
                    (false, _) => dangling += 1,
                    (true, true) => waiting += 1,
                    (true, false) => solid += 1,
                }
            }
            if solid > 0 && waiting + dangling > 0 {
                let keep = |owner: &Value| graph.exists(text(&owner["uid"])) && !graph.is_waiting(text(&owner["uid"]));
                self.keep_owners(&resource, &object, keep, author);
            } else if solid == 0 && !object.is_deleting() {
                let has_dependents = graph.dependents.contains_key(object.uid());
                let policy = if waiting > 0 && has_dependents { Policy::Foreground } else { own_policy(&object) };
                self.delete_with(&resource, &object, policy, author);
            }
        }
    }

    /// Ends the waiting of owners whose dependents are gone, or have been let go.
    fn clean_owners(&mut self, author: Author<'_>) {
        let going =
            self.chosen(|object| object.is_deleting() && finalizers(&object.value()).any(|name| matches!(name, FOREGROUND | ORPHAN)));
        for (resource, owner) in going {
            let graph = Graph::of(self);
            if finalizers(&owner.value()).any(|name| name == ORPHAN) {
                let uid = owner.uid();
                for (kind, dependent) in self.chosen(|object| object.has_owners() && owners(&object.value()).any(|one| one["uid"] == uid)) {
                    self.keep_owners(&kind, &dependent, |one| one["uid"] != uid, author);
                }
                self.drop_finalizer(&resource, &owner, ORPHAN, author);
            } else if !graph.blocking.contains_key(owner.uid()) {
                self.drop_finalizer(&resource, &owner, FOREGROUND, author);
            }
        }
    }

    /// Empties namespaces that are going, and takes the empty ones away.
    fn clean_namespaces(&mut self, author: Author<'_>) {
        let going: Vec<Arc<Object>> =
            self.chosen(|object| object.is_deleting() && object.kind() == "Namespace").into_iter().map(|(_, object)| object).collect();
        for namespace in going {
            for (resource, object) in self.chosen(|object| object.namespace() == namespace.name() && !object.is_deleting()) {
                self.delete_with(&resource, &object, Policy::Background, author);
            }
            if self.store.all().any(|(_, object)| object.namespace() == namespace.name()) {
                continue;
            }
            let mut last = namespace.value().as_ref().clone();
            set(&mut last, "spec", "finalizers", Value::Null);
            if may_go(&last) {
                self.remove("namespaces", &namespace, author);
            }
        }
    }

    fn keep_owners(&mut self, resource: &Resource, object: &Object, keep: impl Fn(&Value) -> bool, author: Author<'_>) {
        let mut changed = object.value().as_ref().clone();
        let owners: Vec<Value> = owners(&changed).filter(|owner| keep(owner)).cloned().collect();
        set_metadata(&mut changed, "ownerReferences", if owners.is_empty() { Value::Null } else { json!(owners) });
        self.rewrite(resource, object, changed, author);
    }

    pub(super) fn drop_finalizer(&mut self, resource: &Resource, object: &Object, finalizer: &str, author: Author<'_>) {
        let mut changed = object.value().as_ref().clone();
        let rest: Vec<String> = finalizers(&changed).filter(|name| *name != finalizer).map(str::to_owned).collect();
        set_metadata(&mut changed, "finalizers", if rest.is_empty() { Value::Null } else { json!(rest) });
        if may_go(&changed) {
            self.remove(&resource.qualified(), object, author);
        } else {
            self.rewrite(resource, object, changed, author);
        }
    }

    /// Stores a change of a controller, with its ownership.
    fn rewrite(&mut self, resource: &Resource, object: &Object, changed: Value, author: Author<'_>) {
        let version = &resource.versions[resource.storage];
        let (api_version, now) = (resource.api_version(version), time(author.now));
        let writer = fields::Writer { manager: author.manager, api_version: &api_version, subresource: "", time: &now };
        let changed = fields::update(resource.typing(version), Some(&object.value()), changed, &writer);
        self.put(&resource.qualified(), changed, author);
    }
}

/// What the object's own finalizers ask for its dependents.
fn own_policy(object: &Object) -> Policy {
    match finalizers(&object.value()).find(|name| matches!(*name, FOREGROUND | ORPHAN)) {
        Some(ORPHAN) => Policy::Orphan,
        Some(_) => Policy::Foreground,
        None => Policy::Background,
    }
}
