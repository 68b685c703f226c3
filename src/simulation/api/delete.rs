//! DELETE: preconditions, finalizers and propagation policies, of one object and of collections.

use std::sync::Arc;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::ask::Ask;
use super::kinds::{Resource, Trait};
use super::object::{Object, encode, finalizers, set, set_metadata};
use super::prepare;
use super::read::{listed, prefix};
use super::selectors::Selection;
use super::server::{self, Reply};
use super::state::{Author, State, time};
use super::status::{Answered, Details, Status};
use super::write::{check_options, text};

/// Waits until the dependents are gone.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// Waits until the dependents have been let go.
pub(super) const ORPHAN: &str = "orphan";

/// What is to become of dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Background,
    Foreground,
    Orphan,
}

/// `metav1.DeleteOptions`, from the body or the query.
struct DeleteOptions {
    uid: Option<String>,
    resource_version: Option<String>,
    policy: Option<Policy>,
    grace: Option<i64>,
    dry_run: bool,
}

/// What a deletion has led to.
pub(super) enum Deletion {
    /// It is marked, and goes when its finalizers or its grace are over.
    Pending(Arc<Object>),
    Gone(Arc<Object>),
}

impl DeleteOptions {
    fn parse(ask: &Ask<'_>) -> Answered<Self> {
        let body: Value = if ask.body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(ask.body)
                .map_err(|error| Status::bad_request(format!("couldn't get version/kind; json parse error: {error}")))?
        };
        let given = |value: &Value| value.as_str().map(str::to_owned);
        let policy = given(&body["propagationPolicy"]).or_else(|| ask.query.get("propagationPolicy").map(str::to_owned));
        let policy = match policy.as_deref() {
            None => None,
            Some("Background") => Some(Policy::Background),
            Some("Foreground") => Some(Policy::Foreground),
            Some("Orphan") => Some(Policy::Orphan),
            Some(other) => {
                let why = format!("Unsupported value: \"{other}\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"");
                return Err(Status::invalid_option("DeleteOptions", "propagationPolicy", "FieldValueNotSupported", &why));
            }
        };
        let grace = match body["gracePeriodSeconds"].as_i64() {
            Some(seconds) => Some(seconds),
            None => ask.query.number("gracePeriodSeconds")?,
        };
        Ok(Self {
            uid: given(&body["preconditions"]["uid"]),
            resource_version: given(&body["preconditions"]["resourceVersion"]),
            policy,
            grace,
            dry_run: ask.dry_run() || body["dryRun"][0] == "All",
        })
    }

    fn check(&self, ask: &Ask<'_>, live: &Object) -> Answered<()> {
        let failed = |what: &str, given: &str, found: &str, end: &str| {
            let why = format!(
                "the {what} in the precondition ({given}) does not match the {what} in record ({found}). The object might have been {end}"
            );
            Status::conflict_of_kind(&ask.resource, &ask.name, &why)
        };
        // Namespaces are deleted by a storage of their own.
        let is_namespace = ask.resource.plural == "namespaces" && ask.resource.group.is_empty();
        let failed = |what: &str, given: &str, found: &str, end: &str| {
            let why = format!("Precondition failed: {what} in precondition: {given}, {what} in object meta: {found}");
            if is_namespace { Status::conflict(&ask.resource, &ask.name, &why) } else { failed(what, given, found, end) }
        };
        if let Some(uid) = self.uid.as_deref().filter(|uid| *uid != live.uid()) {
            return Err(failed("UID", uid, live.uid(), "deleted and then recreated"));
        }
        if let Some(version) = self.resource_version.as_deref().filter(|version| *version != live.resource_version()) {
            return Err(failed("ResourceVersion", version, live.resource_version(), "modified"));
        }
        Ok(())
    }
}

/// True where nothing keeps a deleted object any more.
pub(super) fn may_go(object: &Value) -> bool {
    let in_grace = object["metadata"]["deletionGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds > 0);
    !in_grace && !is_kept(object)
}

/// True while finalizers keep the object, or the contents of a namespace keep that.
fn is_kept(object: &Value) -> bool {
    let is_namespace = object["kind"] == "Namespace" && object["apiVersion"] == "v1";
    let has_contents = is_namespace && object["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    finalizers(object).next().is_some() || has_contents
}

impl State {
    /// DELETE of one object.
    pub(super) fn delete(&mut self, ask: &Ask<'_>) -> Answered<Reply> {
        check_options(ask)?;
        prepare::immortal(ask)?;
        let options = DeleteOptions::parse(ask)?;
        let live = Arc::clone(self.find(ask)?);
        options.check(ask, &live)?;
        let deletion = self.delete_object(&ask.resource, &live, &options, Author::of(ask));
        Ok(match deletion {
            Deletion::Pending(object) => server::object(ask, StatusCode::OK, &object),
            Deletion::Gone(object) if ask.resource.has(Trait::ReturnsDeleted) => server::object(ask, StatusCode::OK, &object),
            Deletion::Gone(_) => server::json(StatusCode::OK, encode(&Status::deleted(&ask.resource, &ask.name, live.uid()).document())),
        })
    }

    /// DELETE of all selected objects of a collection; answered with the list of them.
    pub(super) fn delete_collection(&mut self, ask: &Ask<'_>) -> Answered<Reply> {
        check_options(ask)?;
        let options = DeleteOptions::parse(ask)?;
        let selection = Selection::parse(&ask.resource, ask.query.get("labelSelector"), ask.query.get("fieldSelector"))?;
        let start = prefix(ask);
        let chosen: Vec<Arc<Object>> = self.store.collection(&ask.stored_as()).map_or_else(Vec::new, |collection| {
            let all = collection.with_prefix(&start).filter(|(_, object)| selection.matches(object));
            all.map(|(_, object)| Arc::clone(object)).collect()
        });
        let version = self.store.version();
        for live in &chosen {
            self.delete_object(&ask.resource, live, &options, Author::of(ask));
        }
        Ok(listed(ask, version, chosen))
    }

    /// Deletes an object with the policy of the garbage collector.
    pub(super) fn delete_with(&mut self, resource: &Resource, live: &Arc<Object>, policy: Policy, author: Author<'_>) -> Deletion {
        let options = DeleteOptions { uid: None, resource_version: None, policy: Some(policy), grace: None, dry_run: false };
        self.delete_object(resource, live, &options, author)
    }

    fn delete_object(&mut self, resource: &Resource, live: &Arc<Object>, options: &DeleteOptions, author: Author<'_>) -> Deletion {
        let current = live.value();
        let mut object = current.as_ref().clone();
        let by_default = resource.has(Trait::Orphans) && !finalizers(&object).any(|name| name == FOREGROUND);
        garbage_finalizers(&mut object, options.policy.or(by_default.then_some(Policy::Orphan)));
        let name = resource.qualified();
        if name == super::definitions::RESOURCE {
            super::definitions::terminate(&mut object, author.now);
        }
        let grace = grace(resource, &object, options.grace);
        if grace == 0 && !is_kept(&object) {
            let last = if options.dry_run { Arc::clone(live) } else { self.remove(&name, live, author) };
            return Deletion::Gone(if has_grace(resource) { marked(&last, author) } else { last });
        }
        mark(&mut object, grace, author);
        if resource.plural == "namespaces" && resource.group.is_empty() {
            set(&mut object, "status", "phase", "Terminating".into());
            set_metadata(&mut object, "deletionGracePeriodSeconds", Value::Null);
        }
        if object == *current {
            return Deletion::Pending(Arc::clone(live));
        }
        if options.dry_run {
            return Deletion::Pending(Arc::new(Object::new(object)));
        }
        let marked = self.put(&name, object, author);
        if name == super::definitions::RESOURCE {
            self.clean_up(&marked, author);
        }
        Deletion::Pending(marked)
    }
}

/// How many seconds the object stays after its deletion: only Pods that run somewhere have a grace, and a later deletion can
/// only shorten it.
fn grace(resource: &Resource, object: &Value, wanted: Option<i64>) -> i64 {
    if !has_grace(resource) {
        return 0;
    }
    if let Some(current) = object["metadata"]["deletionGracePeriodSeconds"].as_i64() {
        return wanted.filter(|wanted| *wanted < current).unwrap_or(current);
    }
    let runs = !text(&object["spec"]["nodeName"]).is_empty() && !matches!(text(&object["status"]["phase"]), "Failed" | "Succeeded");
    if runs { wanted.or_else(|| object["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30) } else { 0 }
}

/// True for the one kind whose deletion may take its time.
fn has_grace(resource: &Resource) -> bool {
    resource.plural == "pods" && resource.group.is_empty()
}

/// What may have a grace and goes at once is shown as marked.
fn marked(last: &Object, author: Author<'_>) -> Arc<Object> {
    let mut object = last.value().as_ref().clone();
    mark(&mut object, 0, author);
    Arc::new(Object::new(object))
}

/// Sets the time of deletion; once it is set, only a shorter grace changes it.
fn mark(object: &mut Value, grace: i64, author: Author<'_>) {
    let metadata = &object["metadata"];
    let current = metadata["deletionGracePeriodSeconds"].as_i64();
    let asked: Timestamp = match metadata["deletionTimestamp"].as_str() {
        None => author.now,
        Some(_) if current.unwrap_or_default() == grace => return,
        Some(end) => end.parse().map_or(author.now, |end: Timestamp| end - SignedDuration::from_secs(current.unwrap_or_default())),
    };
    if let Some(generation) = metadata["generation"].as_i64().filter(|number| *number > 0 && current.is_none()) {
        set_metadata(object, "generation", (generation + 1).into());
    }
    set_metadata(object, "deletionTimestamp", time(asked + SignedDuration::from_secs(grace)).into());
    set_metadata(object, "deletionGracePeriodSeconds", grace.into());
}

/// The finalizers by which the garbage collector is told the policy; without a policy they stay as they are.
fn garbage_finalizers(object: &mut Value, policy: Option<Policy>) {
    let Some(policy) = policy else { return };
    let wanted = match policy {
        Policy::Background => None,
        Policy::Foreground => Some(FOREGROUND),
        Policy::Orphan => Some(ORPHAN),
    };
    let mut list: Vec<String> = finalizers(object).filter(|name| !matches!(*name, FOREGROUND | ORPHAN)).map(str::to_owned).collect();
    list.extend(wanted.map(str::to_owned));
    set_metadata(object, "finalizers", if list.is_empty() { Value::Null } else { json!(list) });
}

impl Status {
    /// A failed precondition of a delete names the kind where other conflicts name the resource.
    fn conflict_of_kind(resource: &Resource, name: &str, why: &str) -> Box<Self> {
        let kind = &resource.kind;
        let qualified = if resource.group.is_empty() { kind.clone() } else { format!("{kind}.{}", resource.group) };
        let details = Details { name: name.to_owned(), group: resource.group.clone(), kind: kind.clone(), ..Details::default() };
        let message = format!("Operation cannot be fulfilled on {qualified} \"{name}\": {why}");
        Box::new(Self { code: 409, reason: "Conflict".into(), message, details: Some(details) })
    }
}
