//! Everything behind the server's one lock: what is stored, what is served, and the writes to be told.

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::ask::Ask;
use super::kinds::Kinds;
use super::object::{Object, encode};
use super::prepare::Addresses;
use super::request::Verb;
use super::server::{self, Reply};
use super::shapes::Part;
use super::status::Answered;
use super::store::Store;

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteVerb {
    /// The object is new.
    Create,
    /// The object has changed.
    Update,
    /// The object is gone.
    Delete,
}

/// One committed write, as the journal tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Under which version it was committed.
    pub resource_version: u64,
    /// What it did.
    pub verb: WriteVerb,
    /// Qualified, as in `deployments.apps`.
    pub resource: String,
    /// Empty for what lives outside of namespaces.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// Who asked.
    pub user: String,
    /// On whose behalf the fields are owned; empty for deletions.
    pub manager: String,
}

/// Who does a write, for the journal.
#[derive(Clone, Copy)]
pub(super) struct Author<'a> {
    pub(super) user: &'a str,
    pub(super) manager: &'a str,
    pub(super) now: Timestamp,
}

impl<'a> Author<'a> {
    pub(super) fn of(ask: &'a Ask<'_>) -> Self {
        Self { user: ask.user, manager: &ask.manager, now: ask.now }
    }
}

/// The namespaces that every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

pub(super) struct State {
    pub(super) store: Store,
    pub(super) kinds: Kinds,
    pub(super) addresses: Addresses,
    pub(super) writes: Vec<Write>,
    random: fastrand::Rng,
}

impl State {
    pub(super) fn new(seed: u64, now: Timestamp) -> Self {
        let mut state = Self {
            store: Store::new(),
            kinds: Kinds::built_in(),
            addresses: Addresses::default(),
            writes: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
        };
        for resource in state.kinds.all() {
            state.store.open(&resource.qualified());
        }
        for name in NAMESPACES {
            state.found(name, now);
        }
        state.store.compact();
        state.writes.clear();
        state
    }

    /// A namespace that the API server itself makes when it starts.
    fn found(&mut self, name: &str, now: Timestamp) {
        let labels = json!({"f:metadata": {"f:labels": {".": {}, "f:kubernetes.io/metadata.name": {}}}});
        let entry = json!({"manager": "kube-apiserver", "operation": "Update", "apiVersion": "v1", "time": time(now), "fieldsType": "FieldsV1", "fieldsV1": labels});
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "uid": self.uid(), "creationTimestamp": time(now), "labels": {"kubernetes.io/metadata.name": name}, "managedFields": [entry]},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        });
        let author = Author { user: "system:apiserver", manager: "kube-apiserver", now };
        self.put("namespaces", namespace, author);
    }

    /// Answers everything but watches.
    pub(super) fn answer(&mut self, ask: &Ask<'_>) -> Answered<Reply> {
        match (ask.verb, ask.part) {
            (Verb::Get, Part::Scale) => self.get_scale(ask),
            (Verb::Get, _) => self.get(ask),
            (Verb::List | Verb::Watch, _) => self.list(ask),
            (Verb::Create, _) => self.create(ask),
            (Verb::Update, Part::Scale) => self.update_scale(ask),
            (Verb::Update, _) => self.update(ask),
            (Verb::Delete, _) => self.delete(ask),
            (Verb::DeleteCollection, _) => self.delete_collection(ask),
            (Verb::Apply, Part::Scale) => self.apply_scale(ask),
            (_, Part::Scale) => self.patch_scale(ask),
            (Verb::Apply, _) => self.apply(ask),
            (_, _) => self.patch(ask),
        }
    }

    /// Stores an object and notes the write.
    pub(super) fn put(&mut self, resource: &str, value: Value, author: Author<'_>) -> std::sync::Arc<Object> {
        let known = self.store.get(resource, &super::store::key_of(&value)).is_some();
        let object = self.store.put(resource, value, author.now);
        self.note(if known { WriteVerb::Update } else { WriteVerb::Create }, resource, &object, author);
        if resource == super::definitions::RESOURCE {
            self.serve(&object, author.now);
        }
        object
    }

    /// Takes an object away and notes the write.
    pub(super) fn remove(&mut self, resource: &str, last: &Object, author: Author<'_>) -> std::sync::Arc<Object> {
        let object = self.store.remove(resource, last.value().as_ref().clone(), author.now);
        self.note(WriteVerb::Delete, resource, &object, author);
        if resource == super::definitions::RESOURCE {
            self.stop_serving(&object);
        } else {
            self.finish_definition(resource, author);
        }
        object
    }

    fn note(&mut self, verb: WriteVerb, resource: &str, object: &Object, author: Author<'_>) {
        self.writes.push(Write {
            resource_version: self.store.version(),
            verb,
            resource: resource.to_owned(),
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            user: author.user.to_owned(),
            manager: if verb == WriteVerb::Delete { String::new() } else { author.manager.to_owned() },
        });
    }

    /// A random uid (RFC 9562, version 4).
    pub(super) fn uid(&mut self) -> String {
        let bits = (self.random.u128(..) & !(0xF000_u128 << 64) & !(0xC000_u128 << 48)) | (0x4000_u128 << 64) | (0x8000_u128 << 48);
        let digits = format!("{bits:032x}");
        [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
    }

    /// Five letters and digits as `generateName` appends them: without vowels, so that no words come about.
    pub(super) fn suffix(&mut self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..5).map(|_| char::from(LETTERS[self.random.usize(..LETTERS.len())])).collect()
    }
}

/// A time as objects carry it: UTC, whole seconds.
pub(super) fn time(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A document as a reply with 200.
pub(super) fn ok(document: &Value) -> Reply {
    server::json(StatusCode::OK, encode(document))
}

/// Bytes of JSON as a reply with 200.
pub(super) fn ok_bytes(body: impl Into<Bytes>) -> Reply {
    server::json(StatusCode::OK, body.into())
}
