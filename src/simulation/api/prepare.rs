//! What the server itself puts into objects, and what writers may not change: the strategies of kube-apiserver's registry.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ask::Ask;
use super::fields::{self, Cause};
use super::kinds::Trait;
use super::object::{TEMPLATE_GENERATION, copy_section, finalizers, set, set_metadata};
use super::shapes::Part;
use super::state::{State, time};
use super::status::{Answered, Status};
use super::write::text;

/// What the server decides when an object is new.
pub(super) fn system_fields_of_new(object: &mut Value, uid: &str, now: Timestamp) {
    for gone in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        set_metadata(object, gone, Value::Null);
    }
    set_metadata(object, "uid", uid.into());
    set_metadata(object, "creationTimestamp", time(now).into());
}

/// Metadata that stays as it is whatever a writer sends.
pub(super) fn system_fields(live: &Value, object: &mut Value) {
    for key in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
        "namespace",
        "resourceVersion",
    ] {
        set_metadata(object, key, live["metadata"][key].clone());
    }
}

/// The main resource of a kind with `/status` never changes the status.
pub(super) fn drop_status(ask: &Ask<'_>, live: Option<&Value>, object: &mut Value) {
    if ask.version().status {
        copy_section(live.unwrap_or(&Value::Null), object, "status");
    }
}

/// `/status` changes nothing but the status and, for built-in kinds, metadata.
pub(super) fn only_status(ask: &Ask<'_>, live: &Value, object: &mut Value) {
    let mut kept = live.clone();
    copy_section(object, &mut kept, "status");
    set_metadata(&mut kept, "managedFields", object["metadata"]["managedFields"].clone());
    if !ask.resource.custom {
        copy_section(object, &mut kept, "metadata");
        if ask.resource.plural == "deployments" {
            set_metadata(&mut kept, "labels", live["metadata"]["labels"].clone());
        }
    }
    *object = kept;
}

/// What a writer of the status may leave out, though it is no part of the spec.
fn keep_allocated(ask: &Ask<'_>, live: &Value, object: &mut Value) {
    match ask.resource.plural.as_str() {
        "pods" => set(object, "status", "qosClass", live["status"]["qosClass"].clone()),
        "daemonsets" => {
            let generation = live["metadata"]["annotations"][TEMPLATE_GENERATION].clone();
            if !object["metadata"]["annotations"].is_object() {
                set_metadata(object, "annotations", json!({}));
            }
            object["metadata"]["annotations"][TEMPLATE_GENERATION] = generation;
        }
        _ => {}
    }
}

/// True where the two differ in what the generation counts: the spec, and for some kinds more.
fn counts(ask: &Ask<'_>, live: &Value, object: &Value) -> bool {
    match ask.resource.plural.as_str() {
        _ if ask.resource.custom => differ_beside_metadata(live, object, ask.version().status),
        "endpointslices" => differ_beside_metadata(live, object, false) || live["metadata"]["labels"] != object["metadata"]["labels"],
        "deployments" => live["spec"] != object["spec"] || live["metadata"]["annotations"] != object["metadata"]["annotations"],
        _ => live["spec"] != object["spec"],
    }
}

/// True where anything but metadata differs, and but the status where that is left out.
fn differ_beside_metadata(live: &Value, object: &Value, without_status: bool) -> bool {
    let (Some(one), Some(other)) = (live.as_object(), object.as_object()) else { return live != object };
    let counted = |key: &&String| key.as_str() != "metadata" && !(without_status && key.as_str() == "status");
    one.keys().chain(other.keys()).filter(counted).any(|key| one.get(key) != other.get(key))
}

pub(super) fn generation_of_new(ask: &Ask<'_>, object: &mut Value) {
    if ask.resource.has(Trait::Generation) {
        set_metadata(object, "generation", 1.into());
    }
}

/// Counts a change of what the kind counts.
pub(super) fn generation(ask: &Ask<'_>, live: &Value, object: &mut Value) {
    if ask.resource.has(Trait::Generation) && ask.part != Part::Status && counts(ask, live, object) {
        let next = live["metadata"]["generation"].as_i64().unwrap_or_default() + 1;
        set_metadata(object, "generation", next.into());
    }
}

/// Metadata that a writer may leave out, but not change. The real server looks twice, and says so twice.
pub(super) fn immutable_causes(live: &Value, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for _ in 0..2 {
        for key in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
            let (was, is) = (&live["metadata"][key], &object["metadata"][key]);
            if !is.is_null() && is != "" && is != was {
                causes.push(Cause {
                    field: format!("metadata.{key}"),
                    reason: "FieldValueInvalid",
                    message: format!("Invalid value: {is}: field is immutable"),
                });
            }
        }
    }
    causes
}

/// Nobody may add finalizers to what is being deleted.
pub(super) fn finalizer_causes(live: &Value, object: &Value) -> Vec<Cause> {
    if live["metadata"]["deletionTimestamp"].is_null() {
        return Vec::new();
    }
    let known: BTreeSet<&str> = finalizers(live).collect();
    let new: Vec<String> = finalizers(object).filter(|name| !known.contains(name)).map(|name| format!("\"{name}\"")).collect();
    if new.is_empty() {
        return Vec::new();
    }
    let found = new.join(", ");
    let message =
        format!("Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{{found}}}");
    let cause = Cause { field: "metadata.finalizers".into(), reason: "FieldValueForbidden", message };
    // The real server looks twice, and says so twice.
    vec![cause.clone(), cause]
}

/// The number of replicas of a custom resource with a scale is read by its path, whatever the schema says of it.
pub(super) fn replicas_causes(ask: &Ask<'_>, object: &Value) -> Vec<Cause> {
    let Some(paths) = ask.version().scale.as_ref().filter(|_| ask.resource.custom && ask.part != Part::Status) else { return Vec::new() };
    let why = match super::scale::at(object, &paths.spec) {
        Value::Number(number) if number.as_i64().is_some_and(|number| number < 0) => {
            format!("Invalid value: {number}: should be a non-negative integer")
        }
        Value::String(found) => format!("Invalid value: 0: .{} accessor error: {found} is of the type string, expected int64", paths.spec),
        _ => return Vec::new(),
    };
    vec![Cause { field: format!(".{}", paths.spec), reason: "FieldValueInvalid", message: why }]
}

/// A Job keeps the selector that the server made for it: a PUT that leaves it out is refused.
pub(super) fn selector_causes(ask: &Ask<'_>, object: &Value) -> Vec<Cause> {
    let is_job = !ask.resource.custom && ask.resource.plural == "jobs";
    if !is_job || object["spec"]["selector"].is_object() {
        return Vec::new();
    }
    let cause = |field: &str, reason, message: &str| Cause { field: field.into(), reason, message: message.into() };
    let labels = &object["spec"]["template"]["metadata"]["labels"];
    let missing = cause("spec.selector", "FieldValueRequired", "Required value");
    let unmatched = cause(
        "spec.template.metadata.labels",
        "FieldValueInvalid",
        &format!("Invalid value: {labels}: `selector` does not match template `labels`"),
    );
    let immutable = cause("spec.selector", "FieldValueInvalid", "Invalid value: null: field is immutable");
    // The real server looks twice at what has to be there.
    vec![missing.clone(), unmatched.clone(), missing, unmatched, immutable]
}

/// At most one owner is in charge (`ValidateOwnerReferences`).
pub(super) fn owner_causes(object: &Value) -> Vec<Cause> {
    const FIELDS: [&str; 6] = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let Some(owners) = object["metadata"]["ownerReferences"].as_array() else { return Vec::new() };
    let named = |owner: &Value| format!("{}/{}", text(&owner["kind"]), text(&owner["name"]));
    let in_charge: Vec<String> = owners.iter().filter(|owner| owner["controller"] == true).map(named).collect();
    let [first, second, ..] = in_charge.as_slice() else { return Vec::new() };
    let shown = |owner: &Value| {
        let fields: Vec<String> =
            FIELDS.iter().filter(|key| !owner[**key].is_null()).map(|key| format!("\"{key}\":{}", owner[*key])).collect();
        format!("{{{}}}", fields.join(","))
    };
    let all: Vec<String> = owners.iter().map(shown).collect();
    let why = format!("Only one reference can have Controller set to true. Found \"true\" in references for {first} and {second}");
    vec![Cause {
        field: "metadata.ownerReferences".into(),
        reason: "FieldValueInvalid",
        message: format!("Invalid value: [{}]: {why}", all.join(",")),
    }]
}

/// The cluster IPs that have been given out.
#[derive(Default)]
pub(super) struct Addresses {
    last: u16,
}

/// Lists that are printed even when they are empty, by resource.
const NULL_LISTS: [(&str, &str); 4] =
    [("roles", "rules"), ("clusterroles", "rules"), ("endpointslices", "endpoints"), ("endpointslices", "ports")];

/// Shown where an address would be given out.
const DRY_RUN_ADDRESS: &str = "10.96.0.0";

impl Addresses {
    /// The next address of 10.96.0.0/16, from 10.96.0.10 on: those before it are asked for by name in real clusters.
    fn next(&mut self) -> String {
        self.last = self.last.wrapping_add(1);
        let number = self.last.wrapping_add(9);
        format!("10.96.{}.{}", number >> 8, number & 0xFF)
    }
}

impl State {
    /// Fills in what only the server knows, after ownership is settled: nobody owns these fields.
    pub(super) fn allocate(&mut self, ask: &Ask<'_>, live: Option<&Value>, object: &mut Value) {
        if ask.resource.custom || ask.part == Part::Scale {
            return;
        }
        if let (Part::Status, Some(live)) = (ask.part, live) {
            return keep_allocated(ask, live, object);
        }
        match (ask.resource.plural.as_str(), live) {
            ("namespaces", None) => set(object, "status", "phase", "Active".into()),
            ("namespaces", Some(live)) => set(object, "spec", "finalizers", live["spec"]["finalizers"].clone()),
            ("services", live) => self.address(live, object, ask.dry_run()),
            (name, live) if name == super::definitions::RESOURCE_PLURAL => super::definitions::prepare(live, object),
            _ => {}
        }
        // What is stored as protocol buffers knows no empty lists.
        for (_, key) in NULL_LISTS.iter().filter(|(plural, _)| *plural == ask.resource.plural) {
            if object[key] == json!([]) {
                object[key] = Value::Null;
            }
        }
        // Admission completes Pods at every write, not only at the first.
        let live = live.filter(|_| ask.resource.plural != "pods");
        fields::complete(ask.resource.typing(ask.version()), live, object);
    }

    /// The cluster IP of a Service: given out once, kept for good.
    fn address(&mut self, live: Option<&Value>, object: &mut Value, dry_run: bool) {
        if object["spec"]["type"] == "ExternalName" {
            return;
        }
        for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
            if let Some(live) = live.filter(|_| object["spec"][key].is_null()) {
                set(object, "spec", key, live["spec"][key].clone());
            }
        }
        let wanted = text(&object["spec"]["clusterIP"]).to_owned();
        let address = match (wanted.is_empty(), dry_run) {
            (false, _) => wanted,
            (true, true) => DRY_RUN_ADDRESS.to_owned(),
            (true, false) => self.addresses.next(),
        };
        for (key, value) in [
            ("clusterIPs", json!([address])),
            ("clusterIP", address.clone().into()),
            ("ipFamilies", json!(["IPv4"])),
            ("ipFamilyPolicy", "SingleStack".into()),
        ] {
            if object["spec"][key].is_null() {
                set(object, "spec", key, value);
            }
        }
        if live.is_none() {
            set(object, "status", "loadBalancer", json!({}));
        }
    }
}

/// Namespaces that nobody may delete.
pub(super) fn immortal(ask: &Ask<'_>) -> Answered<()> {
    let protected = ask.resource.plural == "namespaces"
        && ask.resource.group.is_empty()
        && matches!(ask.name.as_str(), "default" | "kube-system" | "kube-public");
    if protected { Err(Status::forbidden(&ask.resource, &ask.name, "this namespace may not be deleted", Vec::new())) } else { Ok(()) }
}
