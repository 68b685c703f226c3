//! Writes: what a POST, PUT or PATCH goes through until it is stored.
//!
//! Decode, default, take over what the writer may not change, work out who owns which field, fill in what the server
//! allocates, validate, compare with what is there, store. The order is that of the registry of kube-apiserver.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use super::ask::Ask;
use super::fields::{self, ApplyError, FieldConflict};
use super::kinds::Trait;
use super::object::{Object, set_metadata};
use super::patch;
use super::prepare;
use super::request::Verb;
use super::server::{self, Reply};
use super::shapes::Part;
use super::state::{Author, State, time};
use super::status::{Answered, Status, StatusCause};
use super::strict;

/// How the new state of an object has come about.
pub(super) enum Ownership {
    /// By PUT or PATCH: what differs belongs to the writer.
    Update,
    /// By an apply that has settled already who owns what.
    Settled,
}

impl State {
    /// POST.
    pub(super) fn create(&mut self, ask: &Ask<'_>) -> Answered<Reply> {
        check_options(ask)?;
        let object = strict::decode(ask, ask.body)?;
        self.create_decoded(ask, object, &Ownership::Update)
    }

    /// Stores an object that is new, whichever verb brought it.
    fn create_decoded(&mut self, ask: &Ask<'_>, mut object: Value, ownership: &Ownership) -> Answered<Reply> {
        self.name(ask, &mut object)?;
        let version = ask.version();
        let typing = ask.resource.typing(version);
        prepare::drop_status(ask, None, &mut object);
        fields::default(typing, &mut object);
        prepare::system_fields_of_new(&mut object, &self.uid(), ask.now);
        self.admit(ask, &object)?;
        let mut object = match ownership {
            Ownership::Update => fields::update(typing, None, object, &writer(ask, &ask.api_version(), &time(ask.now))),
            Ownership::Settled => object,
        };
        self.allocate(ask, None, &mut object);
        let mut causes = prepare::owner_causes(&object);
        causes.extend(super::definitions::schema_causes(ask, &object));
        causes.extend(fields::validate(typing, None, &object));
        causes.extend(prepare::replicas_causes(ask, &object));
        let name = text(&object["metadata"]["name"]).to_owned();
        if !causes.is_empty() {
            return Err(Status::invalid(&ask.resource.group, &ask.resource.kind, &name, causes));
        }
        if !text(&object["metadata"]["resourceVersion"]).is_empty() {
            return Err(Status::plain(StatusCode::INTERNAL_SERVER_ERROR, "", "resourceVersion should not be set on objects to be created"));
        }
        let key = super::store::key_of(&object);
        match self.store.get(&ask.stored_as(), &key) {
            Some(known) if known.is_deleting() => return Err(Status::still_exists(&ask.resource, &name)),
            Some(_) => return Err(Status::already_exists(&ask.resource, &name)),
            None => {}
        }
        prepare::generation_of_new(ask, &mut object);
        let stored =
            if ask.dry_run() { Arc::new(Object::new(object)) } else { self.put(&ask.stored_as(), as_stored(ask, object), Author::of(ask)) };
        Ok(server::object(ask, StatusCode::CREATED, &stored))
    }

    /// Settles the name: that of the object, or one made from `generateName`.
    fn name(&mut self, ask: &Ask<'_>, object: &mut Value) -> Answered<()> {
        if ask.resource.namespaced {
            set_metadata(object, "namespace", ask.namespace.as_str().into());
        }
        let metadata = &object["metadata"];
        let (name, base) = (text(&metadata["name"]), text(&metadata["generateName"]));
        if !name.is_empty() {
            return Ok(());
        }
        if base.is_empty() {
            let message = "Required value: name or generateName is required";
            return Err(Status::invalid_field(&ask.resource, "", "metadata.name", "FieldValueRequired", message));
        }
        // 63 characters at most, five of them generated.
        let name: String = base.chars().take(58).collect::<String>() + &self.suffix();
        set_metadata(object, "name", name.into());
        Ok(())
    }

    /// Admission: nothing is created in a namespace that is missing or going, nor of a definition that is going.
    fn admit(&self, ask: &Ask<'_>, object: &Value) -> Answered<()> {
        if self.store.get(super::definitions::RESOURCE, &ask.stored_as()).is_some_and(|definition| definition.is_deleting()) {
            let why = "create not allowed while custom resource definition is terminating";
            return Err(Status::forbidden(&ask.resource, text(&object["metadata"]["name"]), why, Vec::new()));
        }
        if !ask.resource.namespaced {
            return Ok(());
        }
        let Some(namespace) = self.store.get("namespaces", &ask.namespace) else {
            let namespaces = self.kinds.get("namespaces").ok_or_else(Status::no_such_resource)?;
            return Err(Status::not_found(namespaces, &ask.namespace));
        };
        if !namespace.is_deleting() {
            return Ok(());
        }
        let cause = StatusCause {
            reason: "NamespaceTerminating".into(),
            message: format!("namespace {} is being terminated", ask.namespace),
            field: "metadata.namespace".into(),
        };
        let why = format!("unable to create new content in namespace {} because it is being terminated", ask.namespace);
        Err(Status::forbidden(&ask.resource, text(&object["metadata"]["name"]), &why, vec![cause]))
    }

    /// PUT.
    pub(super) fn update(&mut self, ask: &Ask<'_>) -> Answered<Reply> {
        check_options(ask)?;
        let object = strict::decode(ask, ask.body)?;
        named_as_asked(ask, &object)?;
        match self.store.get(&ask.stored_as(), &ask.key()) {
            Some(live) => {
                let live = Arc::clone(live);
                self.replace(ask, &live, object, &Ownership::Update)
            }
            None if ask.part == Part::Main && ask.resource.has(Trait::CreateOnUpdate) => {
                self.create_decoded(ask, object, &Ownership::Update)
            }
            None => Err(Status::not_found(&ask.resource, &ask.name)),
        }
    }

    /// PATCH, by merge patch or JSON patch.
    pub(super) fn patch(&mut self, ask: &Ask<'_>) -> Answered<Reply> {
        check_options(ask)?;
        let live = Arc::clone(self.find(ask)?);
        let current = as_asked(ask, &live);
        let (patched, sent) = patch::patched(ask, &current)?;
        let object = strict::check_patched(ask, patched, sent.as_ref())?;
        named_as_asked(ask, &object)?;
        self.replace(ask, &live, object, &Ownership::Update)
    }

    /// PATCH, by server-side apply.
    pub(super) fn apply(&mut self, ask: &Ask<'_>) -> Answered<Reply> {
        check_options(ask)?;
        let live = self.store.get(&ask.stored_as(), &ask.key()).cloned();
        if live.is_none() && matches!(ask.part, Part::Status | Part::Scale) {
            return Err(Status::not_found(&ask.resource, &ask.name));
        }
        let config = patch::applied(ask)?;
        if live.is_none() {
            not_born_yet(ask, &config)?;
        }
        let current = live.as_ref().map(|live| as_asked(ask, live));
        let mut merged = merge(ask, current.as_deref(), &config)?;
        if text(&merged["metadata"]["name"]).is_empty() {
            set_metadata(&mut merged, "name", ask.name.as_str().into());
        }
        named_as_asked(ask, &merged)?;
        let Some(live) = live else {
            set_metadata(&mut merged, "resourceVersion", Value::Null);
            return self.create_decoded(ask, merged, &Ownership::Settled);
        };
        self.replace(ask, &live, merged, &Ownership::Settled)
    }

    /// Stores the new state of an object that is there, and answers with it.
    fn replace(&mut self, ask: &Ask<'_>, live: &Arc<Object>, object: Value, ownership: &Ownership) -> Answered<Reply> {
        let stored = self.store_change(ask, live, object, ownership)?;
        Ok(server::object(ask, StatusCode::OK, &stored))
    }

    /// Stores the new state of an object that is there.
    pub(super) fn store_change(
        &mut self,
        ask: &Ask<'_>,
        live: &Arc<Object>,
        mut object: Value,
        ownership: &Ownership,
    ) -> Answered<Arc<Object>> {
        let current = as_asked(ask, live);
        let typing = ask.resource.typing(ask.version());
        fields::default(typing, &mut object);
        preconditions(ask, live, &object)?;
        let mut causes = prepare::immutable_causes(&current, &object);
        prepare::system_fields(&current, &mut object);
        match ask.part {
            Part::Status => prepare::only_status(ask, &current, &mut object),
            _ => prepare::drop_status(ask, Some(&current), &mut object),
        }
        let mut object = match ownership {
            Ownership::Update => fields::update(typing, Some(&current), object, &writer(ask, &ask.api_version(), &time(ask.now))),
            Ownership::Settled => object,
        };
        self.allocate(ask, Some(&current), &mut object);
        prepare::generation(ask, &current, &mut object);
        causes.extend(prepare::finalizer_causes(&current, &object));
        causes.extend(prepare::owner_causes(&object));
        causes.extend(prepare::selector_causes(ask, &object));
        causes.extend(fields::validate(typing, Some(&current), &object));
        causes.extend(prepare::replicas_causes(ask, &object));
        if !causes.is_empty() {
            return Err(Status::invalid(&ask.resource.group, &ask.resource.kind, &ask.name, causes));
        }
        Ok(self.commit(ask, live, &current, object))
    }

    /// Stores a valid change; what changes nothing is not written, and what loses its last finalizer goes.
    fn commit(&mut self, ask: &Ask<'_>, live: &Arc<Object>, current: &Value, object: Value) -> Arc<Object> {
        let gone = live.is_deleting() && super::delete::may_go(&object);
        if !gone && object == *current {
            return Arc::clone(live);
        }
        if ask.dry_run() {
            return Arc::new(Object::new(object));
        }
        let object = as_stored(ask, object);
        if !gone {
            return self.put(&ask.stored_as(), object, Author::of(ask));
        }
        // Watchers see it as it was stored last; the writer sees what was sent, under the version that it replaces.
        self.remove(&ask.stored_as(), live, Author::of(ask));
        Arc::new(Object::new(object))
    }
}

/// The object in the version that is asked for. Versions convert by their name alone (strategy `None`).
pub(super) fn as_asked(ask: &Ask<'_>, live: &Object) -> Arc<Value> {
    if ask.resource.versions.len() == 1 {
        return live.value();
    }
    let mut object = live.value().as_ref().clone();
    object["apiVersion"] = ask.api_version().into();
    Arc::new(object)
}

/// The object in the version in which it is stored.
fn as_stored(ask: &Ask<'_>, mut object: Value) -> Value {
    object["apiVersion"] = ask.resource.api_version(&ask.resource.versions[ask.resource.storage]).into();
    object["kind"] = ask.resource.kind.as_str().into();
    object
}

/// Options of writes that are wrong whatever the object is.
pub(super) fn check_options(ask: &Ask<'_>) -> Answered<()> {
    let kind = ask.verb.options_kind();
    if let Some(found) = ask.query.get("dryRun").filter(|found| *found != "All") {
        let why = format!("Unsupported value: [\"{found}\"]: supported values: \"All\"");
        return Err(Status::invalid_option(kind, "dryRun", "FieldValueNotSupported", &why));
    }
    if let Some(found) = ask.query.get("fieldValidation").filter(|found| !matches!(*found, "Ignore" | "Warn" | "Strict")) {
        let why = format!("Unsupported value: \"{found}\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"");
        return Err(Status::invalid_option(kind, "fieldValidation", "FieldValueNotSupported", &why));
    }
    if ask.verb.is_patch() && ask.verb != Verb::Apply && ask.query.get("force").is_some() {
        let why = "Forbidden: may not be specified for non-apply patch";
        return Err(Status::invalid_option(kind, "force", "FieldValueForbidden", why));
    }
    if ask.verb == Verb::Apply && ask.query.get("fieldManager").is_none() {
        let why = "Required value: is required for apply patch";
        return Err(Status::invalid_option(kind, "fieldManager", "FieldValueRequired", why));
    }
    Ok(())
}

/// An apply that knows a uid is no creation: it would be a change of that uid.
fn not_born_yet(ask: &Ask<'_>, config: &Value) -> Answered<()> {
    let causes = prepare::immutable_causes(&Value::Null, config);
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(&ask.resource.group, &ask.resource.kind, &ask.name, causes)) }
}

/// Who a write is to be noted for in managedFields.
pub(super) fn writer<'a>(ask: &'a Ask<'_>, api_version: &'a str, now: &'a str) -> fields::Writer<'a> {
    fields::Writer { manager: &ask.manager, api_version, subresource: ask.subresource(), time: now }
}

/// The name in the object, where it has one, is that of the path.
fn named_as_asked(ask: &Ask<'_>, object: &Value) -> Answered<()> {
    let name = text(&object["metadata"]["name"]);
    if name == ask.name {
        return Ok(());
    }
    if name.is_empty() {
        return Err(Status::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            ask.name
        )));
    }
    Err(Status::bad_request(format!("the name of the object ({name}) does not match the name on the URL ({})", ask.name)))
}

/// `metadata.resourceVersion` and `metadata.uid` of a write are preconditions.
fn preconditions(ask: &Ask<'_>, live: &Object, object: &Value) -> Answered<()> {
    let version = text(&object["metadata"]["resourceVersion"]);
    let given = !matches!(version, "" | "0");
    if !given && ask.verb == Verb::Update && ask.part != Part::Scale && ask.resource.has(Trait::Conditional) {
        return Err(Status::version_required(&ask.resource, &ask.name));
    }
    let uid = text(&object["metadata"]["uid"]);
    if ask.verb == Verb::Update && !uid.is_empty() && uid != live.uid() {
        return Err(Status::other_uid(&ask.resource, &ask.namespace, &ask.name, uid, live.uid()));
    }
    if given && version != live.resource_version() {
        return Err(Status::modified(&ask.resource, &ask.name));
    }
    Ok(())
}

/// What an apply makes of an object.
pub(super) fn merge(ask: &Ask<'_>, current: Option<&Value>, config: &Value) -> Answered<Value> {
    let (api_version, now) = (ask.api_version(), time(ask.now));
    let typing = ask.resource.typing(ask.version());
    fields::apply(typing, current, config, &writer(ask, &api_version, &now), ask.query.flag("force")).map_err(refused)
}

fn refused(error: ApplyError) -> Box<Status> {
    match error {
        ApplyError::Conflicts(conflicts) => conflicted(conflicts),
        ApplyError::Invalid(why) => Status::plain(StatusCode::INTERNAL_SERVER_ERROR, "", why),
    }
}

/// The refusal of an apply that others own fields of (apimachinery's `NewConflictError`).
fn conflicted(conflicts: Vec<FieldConflict>) -> Box<Status> {
    let mut by_manager: Vec<(String, Vec<String>)> = Vec::new();
    let mut causes = Vec::new();
    for conflict in conflicts {
        let manager = conflict.owner();
        causes.push(StatusCause {
            reason: "FieldManagerConflict".into(),
            message: format!("conflict with {manager}"),
            field: conflict.path.clone(),
        });
        match by_manager.iter_mut().find(|(known, _)| *known == manager) {
            Some((_, paths)) => paths.push(conflict.path),
            None => by_manager.push((manager, vec![conflict.path])),
        }
    }
    let message = match by_manager.as_slice() {
        [(manager, paths)] if paths.len() == 1 => format!("Apply failed with 1 conflict: conflict with {manager}: {}", paths[0]),
        _ => {
            by_manager.sort();
            let lines = by_manager.iter().flat_map(|(manager, paths)| {
                std::iter::once(format!("conflicts with {manager}:")).chain(paths.iter().map(|path| format!("- {path}")))
            });
            format!("Apply failed with {} conflicts: {}", causes.len(), lines.collect::<Vec<_>>().join("\n"))
        }
    };
    Status::apply_conflict(message, causes)
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
