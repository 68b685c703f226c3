//! What is stored, and what has happened to it lately: objects by resource and key, and for each resource a ring of
//! events from which watches are fed and older lists are reconstructed.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use super::super::signal;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::object::{Object, Representation, set_metadata};

/// So many events are kept in any case (`defaultLowerBoundCapacity` of the watch cache).
const KEPT: usize = 100;
/// Older events than this are forgotten beyond `KEPT` (`DefaultEventFreshDuration` of the watch cache).
const FRESH: SignedDuration = SignedDuration::from_secs(75);
/// The first resourceVersion; not 1, so that there are versions that have been forgotten from the start.
const FIRST: u64 = 100;

/// So many of the objects that were written last are kept decoded.
const WARM: usize = 16;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Created,
    Updated,
    Deleted,
}

/// One committed change.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) version: u64,
    pub(super) change: Change,
    /// The object after the change; for a deletion the last state under the resourceVersion of the deletion.
    pub(super) object: Arc<Object>,
    /// The object before the change, where there was one.
    pub(super) previous: Option<Arc<Object>>,
    at: Timestamp,
    /// When it was committed on the runtime's clock, by which it may be held back from watchers.
    pub(super) committed: tokio::time::Instant,
}

impl Event {
    /// Bytes that are kept for it alone: the next event has the object after the change.
    fn weight(&self) -> usize {
        let gone = (self.change == Change::Deleted).then_some(&self.object);
        self.previous.iter().chain(gone).map(|object| object.untyped(Representation::Whole).len()).sum()
    }
}

/// How much of the past is kept.
#[derive(Clone, Copy)]
struct Limits {
    /// So many events of each resource in any case.
    kept: usize,
    /// No more than so many bytes of each resource.
    past: usize,
}

/// All objects of one resource.
pub(super) struct Collection {
    objects: BTreeMap<String, Arc<Object>>,
    events: VecDeque<Arc<Event>>,
    /// Bytes of the objects that are kept for these events alone.
    past: usize,
    /// The newest version whose event is no longer kept: nothing can be told from before it.
    forgotten: u64,
    /// The version of the last compaction: nobody may start from before it, though open watches go on.
    compacted: u64,
    changed: signal::Sender<u64>,
}

/// Where an object stands in its collection: the order of lists is the order of these keys, as in etcd.
pub(super) fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { [namespace, "/", name].concat() }
}

/// The key of an object by its own metadata.
pub(super) fn key_of(object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    key(text("namespace"), text("name"))
}

impl Collection {
    fn new(version: u64) -> Self {
        Self {
            objects: BTreeMap::new(),
            events: VecDeque::new(),
            past: 0,
            forgotten: version,
            compacted: version,
            changed: signal::Sender::new(version),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// All objects whose key begins so, in the order of keys.
    pub(super) fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a Arc<Object>)> {
        let from: (Bound<&str>, Bound<&str>) = (Bound::Included(prefix), Bound::Unbounded);
        self.objects.range::<str, _>(from).take_while(move |(key, _)| key.starts_with(prefix))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The objects as they were under an older version; none once that has been forgotten.
    pub(super) fn at(&self, version: u64) -> Option<Cow<'_, BTreeMap<String, Arc<Object>>>> {
        if version < self.oldest() {
            return None;
        }
        if self.events.back().is_none_or(|newest| newest.version <= version) {
            return Some(Cow::Borrowed(&self.objects));
        }
        let mut objects = self.objects.clone();
        for event in self.events.iter().rev().take_while(|event| event.version > version) {
            let key = event.object.key();
            match &event.previous {
                Some(previous) => objects.insert(key, Arc::clone(previous)),
                None => objects.remove(&key),
            };
        }
        Some(Cow::Owned(objects))
    }

    /// The events after a version, oldest first; none where some of them have been forgotten.
    pub(super) fn after(&self, version: u64) -> Option<Vec<Arc<Event>>> {
        if version < self.forgotten {
            return None;
        }
        let start = self.events.partition_point(|event| event.version <= version);
        Some(self.events.range(start..).cloned().collect())
    }

    /// The oldest version from which a watch can start.
    pub(super) fn oldest(&self) -> u64 {
        self.forgotten.max(self.compacted)
    }

    /// Woken at every change; ends when the resource is no longer served.
    pub(super) fn subscribe(&self) -> signal::Receiver<u64> {
        self.changed.subscribe()
    }

    fn record(&mut self, event: Event, limits: Limits) {
        if let Some(previous) = &event.previous {
            previous.pack(true);
        }
        if event.change == Change::Deleted {
            event.object.pack(true);
        }
        let (version, now) = (event.version, event.at);
        self.past += event.weight();
        self.events.push_back(Arc::new(event));
        while let Some(oldest) = self.events.front() {
            let stale = self.events.len() > limits.kept && now.duration_since(oldest.at) > FRESH;
            if !stale && self.past <= limits.past {
                break;
            }
            self.past -= oldest.weight();
            self.forgotten = oldest.version;
            self.events.pop_front();
        }
        self.changed.set(version);
    }
}

/// All that is stored in one server.
pub(super) struct Store {
    version: u64,
    collections: BTreeMap<String, Collection>,
    newest: signal::Sender<u64>,
    /// What was written last, decoded: it is what is most likely to be written again.
    warm: VecDeque<Arc<Object>>,
    limits: Limits,
    /// So many objects are kept decoded.
    kept_warm: usize,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            version: FIRST,
            collections: BTreeMap::new(),
            newest: signal::Sender::new(FIRST),
            warm: VecDeque::new(),
            limits: Limits { kept: KEPT, past: usize::MAX },
            kept_warm: WARM,
        }
    }

    /// The newest resourceVersion.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Changes how many events of each resource are kept in any case.
    pub(super) fn keep(&mut self, kept: usize) {
        self.limits.kept = kept;
    }

    /// Changes how many bytes of each resource's past are kept at most.
    pub(super) fn keep_past(&mut self, bytes: usize) {
        self.limits.past = bytes;
    }

    /// Woken at every change of anything.
    pub(super) fn subscribe(&self) -> signal::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Begins to keep objects of a resource.
    pub(super) fn open(&mut self, resource: &str) {
        let version = self.version;
        self.collections.entry(resource.to_owned()).or_insert_with(|| Collection::new(version));
    }

    /// Forgets a resource; its watches end.
    pub(super) fn close(&mut self, resource: &str) {
        self.collections.remove(resource);
    }

    pub(super) fn collection(&self, resource: &str) -> Option<&Collection> {
        self.collections.get(resource)
    }

    pub(super) fn get(&self, resource: &str, key: &str) -> Option<&Arc<Object>> {
        self.collections.get(resource)?.get(key)
    }

    /// All objects of all resources, with the resource.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Arc<Object>)> {
        self.collections
            .iter()
            .flat_map(|(resource, collection)| collection.objects.values().map(move |object| (resource.as_str(), object)))
    }

    /// Stores an object, new or changed, under the next resourceVersion.
    pub(super) fn put(&mut self, resource: &str, value: Value, now: Timestamp) -> Arc<Object> {
        let object = self.stamp(value);
        let version = self.version;
        if let Some(collection) = self.collections.get_mut(resource) {
            let previous = collection.objects.insert(object.key(), Arc::clone(&object));
            let change = if previous.is_some() { Change::Updated } else { Change::Created };
            collection.record(event(version, change, &object, previous, now), self.limits);
        }
        self.newest.set(version);
        self.warm.push_back(Arc::clone(&object));
        self.cool();
        object
    }

    /// Changes how many objects are kept decoded.
    pub(super) fn keep_decoded(&mut self, kept: usize) {
        self.kept_warm = kept;
        self.cool();
    }

    fn cool(&mut self) {
        while self.warm.len() > self.kept_warm {
            if let Some(coldest) = self.warm.pop_front() {
                coldest.pack(false);
            }
        }
    }

    /// Forgets all events: watches and lists start from now.
    pub(super) fn forget_past(&mut self) {
        for collection in self.collections.values_mut() {
            collection.events.clear();
            (collection.past, collection.forgotten) = (0, self.version);
        }
    }

    /// Takes an object away; `last` is the state that watchers see.
    pub(super) fn remove(&mut self, resource: &str, last: Value, now: Timestamp) -> Arc<Object> {
        let object = self.stamp(last);
        let version = self.version;
        if let Some(collection) = self.collections.get_mut(resource)
            && let Some(previous) = collection.objects.remove(&object.key())
        {
            collection.record(event(version, Change::Deleted, &object, Some(previous), now), self.limits);
        }
        self.newest.set(version);
        object
    }

    /// From now on nobody starts from an older version.
    pub(super) fn compact(&mut self) {
        for collection in self.collections.values_mut() {
            collection.compacted = self.version;
        }
    }

    fn stamp(&mut self, mut value: Value) -> Arc<Object> {
        self.version += 1;
        set_metadata(&mut value, "resourceVersion", self.version.to_string().into());
        Arc::new(Object::new(value))
    }
}

fn event(version: u64, change: Change, object: &Arc<Object>, previous: Option<Arc<Object>>, at: Timestamp) -> Event {
    Event { version, change, object: Arc::clone(object), previous, at, committed: tokio::time::Instant::now() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_past_is_bounded_in_bytes_where_that_is_asked_for() {
        let mut store = Store::new();
        store.open("services");
        let now = Timestamp::UNIX_EPOCH;
        let service = |text: &str| json!({"metadata": {"name": "a", "namespace": "n"}, "spec": {"text": text}});
        let first = store.put("services", service(""), now).resource_version().to_owned();
        for number in 0..50 {
            store.put("services", service(&format!("{number:0>1000}")), now);
        }
        let reaches = |store: &Store| store.collection("services").is_some_and(|all| all.after(first.parse().unwrap_or(0)).is_some());
        assert!(reaches(&store), "nothing is too old yet");
        store.keep_past(10_000);
        store.put("services", service("last"), now);
        assert!(!reaches(&store));
        let all = store.collection("services").expect("opened");
        assert!(all.past <= 10_000 && !all.events.is_empty(), "{} bytes", all.past);
        assert!(all.after(all.oldest()).is_some_and(|events| !events.is_empty()));
    }
}
