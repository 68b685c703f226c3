//! What the controllers know of the API server: the objects they follow, sorted, with what changed since the last
//! look. The server keeps an unchanged object behind the same pointer, so that a look costs one comparison each.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::Value;

use super::ApiServer;
use crate::kubernetes::json::{items, text};

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl Key {
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    pub(super) fn of(object: &Value) -> Self {
        Self::new(text(object, "/metadata/namespace"), text(object, "/metadata/name"))
    }

    /// Another name in the same namespace.
    pub(super) fn beside(&self, name: &str) -> Self {
        Self { namespace: Arc::clone(&self.namespace), name: name.into() }
    }
}

/// What is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    Deployments,
    ReplicaSets,
    Services,
    Autoscalers,
    VirtualServices,
    DestinationRules,
    HttpRoutes,
    Ingresses,
    /// Followed for what they own, as namespaces are for what is in them.
    Canaries,
    Namespaces,
}

const RESOURCES: [(Resource, &str); 10] = [
    (Resource::Deployments, "deployments.apps"),
    (Resource::ReplicaSets, "replicasets.apps"),
    (Resource::Services, "services"),
    (Resource::Autoscalers, "horizontalpodautoscalers.autoscaling"),
    (Resource::VirtualServices, "virtualservices.networking.istio.io"),
    (Resource::DestinationRules, "destinationrules.networking.istio.io"),
    (Resource::HttpRoutes, "httproutes.gateway.networking.k8s.io"),
    (Resource::Ingresses, "ingresses.networking.k8s.io"),
    (Resource::Canaries, "canaries.flagger.app"),
    (Resource::Namespaces, "namespaces"),
];

#[derive(Clone, Debug)]
struct Entry {
    key: Key,
    object: Arc<Value>,
}

/// One object that is another one than before.
#[derive(Clone, Debug)]
pub struct Change {
    pub resource: Resource,
    pub key: Key,
    /// As it is now; `None` when it is gone.
    pub object: Option<Arc<Value>>,
    pub before: Option<Arc<Value>>,
}

#[derive(Debug, Default)]
pub struct View {
    listings: [Vec<Entry>; RESOURCES.len()],
}

impl View {
    /// Looks at the server; gives what changed, by resource, namespace and name.
    pub fn refresh(&mut self, server: &ApiServer) -> Vec<Change> {
        let mut changes = Vec::new();
        for ((resource, name), listing) in RESOURCES.into_iter().zip(&mut self.listings) {
            let objects = server.lean_objects(name);
            let same = objects.len() == listing.len() && objects.iter().zip(listing.iter()).all(|(a, b)| Arc::ptr_eq(a, &b.object));
            if !same {
                *listing = merge(resource, std::mem::take(listing), objects, &mut changes);
            }
        }
        changes
    }

    pub fn get(&self, resource: Resource, key: &Key) -> Option<&Arc<Value>> {
        let listing = &self.listings[resource as usize];
        let index = listing.binary_search_by(|entry| entry.key.cmp(key)).ok()?;
        listing.get(index).map(|entry| &entry.object)
    }

    /// The objects of one namespace, by name.
    pub fn within(&self, resource: Resource, namespace: &str) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        let listing = &self.listings[resource as usize];
        let from = listing.partition_point(|entry| *entry.key.namespace < *namespace);
        listing[from..].iter().take_while(move |entry| *entry.key.namespace == *namespace).map(|entry| (&entry.key, &entry.object))
    }

    /// All objects, by namespace and name.
    pub fn all(&self, resource: Resource) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.listings[resource as usize].iter().map(|entry| (&entry.key, &entry.object))
    }

    /// The `ReplicaSets` whose controller is the object with `uid`, oldest first.
    pub fn replica_sets_of(&self, namespace: &str, uid: &str) -> Vec<Arc<Value>> {
        let mut sets: Vec<_> = self
            .within(Resource::ReplicaSets, namespace)
            .filter(|(_, set)| controller(set).is_some_and(|owner| text(owner, "/uid") == uid))
            .map(|(_, set)| Arc::clone(set))
            .collect();
        // Several may be born in one second: their revisions then tell which came first.
        sets.sort_by_cached_key(|set| (text(set, "/metadata/creationTimestamp").to_owned(), revision(set)));
        sets
    }
}

/// The `ownerReference` of an object's controller.
pub fn controller(object: &Value) -> Option<&Value> {
    items(object, "/metadata/ownerReferences").find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
}

/// The number in the revision annotation, 0 where there is none.
pub fn revision(object: &Value) -> i64 {
    crate::kubernetes::json::annotation(object, "deployment.kubernetes.io/revision").and_then(|r| r.parse().ok()).unwrap_or(0)
}

fn merge(resource: Resource, before: Vec<Entry>, objects: Vec<Arc<Value>>, changes: &mut Vec<Change>) -> Vec<Entry> {
    let mut out = Vec::with_capacity(objects.len());
    let mut old = before.into_iter().peekable();
    let gone = |entry: Entry| Change { resource, key: entry.key, object: None, before: Some(entry.object) };
    for object in objects {
        if let Some(entry) = old.next_if(|entry| Arc::ptr_eq(&entry.object, &object)) {
            out.push(entry);
            continue;
        }
        let key = Key::of(&object);
        while let Some(entry) = old.next_if(|entry| entry.key < key) {
            changes.push(gone(entry));
        }
        let earlier = old.next_if(|entry| entry.key.cmp(&key) == Ordering::Equal).map(|entry| entry.object);
        if !earlier.as_ref().is_some_and(|earlier| Arc::ptr_eq(earlier, &object)) {
            changes.push(Change { resource, key: key.clone(), object: Some(Arc::clone(&object)), before: earlier });
        }
        out.push(Entry { key, object });
    }
    changes.extend(old.map(gone));
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(namespace: &str, name: &str) -> Arc<Value> {
        Arc::new(json!({"metadata": {"namespace": namespace, "name": name}}))
    }

    #[test]
    fn only_what_is_another_object_is_a_change() {
        let (a, b, c, d) = (object("n", "a"), object("n", "b"), object("n", "c"), object("o", "a"));
        let mut changes = Vec::new();
        let first = merge(Resource::Services, Vec::new(), vec![a.clone(), b.clone(), d.clone()], &mut changes);
        assert_eq!(changes.len(), 3);
        changes.clear();
        let second = merge(Resource::Services, first, vec![a, object("n", "b"), c, d], &mut changes);
        let seen: Vec<_> = changes.iter().map(|c| (&*c.key.name, c.object.is_some(), c.before.is_some())).collect();
        assert_eq!(seen, [("b", true, true), ("c", true, false)]);
        changes.clear();
        merge(Resource::Services, second, vec![b], &mut changes);
        let seen: Vec<_> = changes.iter().map(|c| (&*c.key.namespace, &*c.key.name, c.object.is_some())).collect();
        assert_eq!(seen, [("n", "a", false), ("n", "b", true), ("n", "c", false), ("o", "a", false)]);
    }
}
