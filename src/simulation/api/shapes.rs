//! The request shapes that are served: what the contract has compared with a real API server, and nothing else.
//!
//! A shape that stands in no table here is answered with 501, even where the code could do it: a simulation must not rest
//! on behaviour that nobody has looked at.

use super::object::Representation;
use super::request::{Query, Verb};
use super::status::{Answered, Status};

/// Whether a resource is compiled into the server or comes from a `CustomResourceDefinition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Built in.
    BuiltIn,
    /// Of a `CustomResourceDefinition`.
    Custom,
}

/// The part of an object, or of a collection, that a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The object, or the objects of one namespace.
    Main,
    /// The objects of all namespaces, or of a resource that has none.
    Everywhere,
    /// `/status`.
    Status,
    /// `/scale`.
    Scale,
}

/// One row: these verbs on this part of resources of this class.
pub struct Shape {
    /// The class of resource.
    pub class: Class,
    /// The part.
    pub part: Part,
    /// The verbs that are served.
    pub verbs: &'static [Verb],
}

const fn shape(class: Class, part: Part, verbs: &'static [Verb]) -> Shape {
    Shape { class, part, verbs }
}

/// What is served, by class of resource and part.
pub const SHAPES: &[Shape] = {
    use Verb::{Apply, Create, Delete, DeleteCollection, Get, JsonPatch, List, MergePatch, Update, Watch};
    &[
        shape(Class::BuiltIn, Part::Main, &[Get, List, Watch, Create, Update, MergePatch, JsonPatch, Apply, Delete, DeleteCollection]),
        shape(Class::BuiltIn, Part::Everywhere, &[List, Watch, Create, DeleteCollection]),
        shape(Class::BuiltIn, Part::Status, &[Get, Update, MergePatch, JsonPatch, Apply]),
        shape(Class::BuiltIn, Part::Scale, &[Get, Update, MergePatch, JsonPatch, Apply]),
        shape(Class::Custom, Part::Main, &[Get, List, Watch, Create, Update, MergePatch, JsonPatch, Apply, Delete, DeleteCollection]),
        shape(Class::Custom, Part::Everywhere, &[List, Watch, Create, DeleteCollection]),
        shape(Class::Custom, Part::Status, &[Get, Update, MergePatch, JsonPatch, Apply]),
        shape(Class::Custom, Part::Scale, &[Get, Update, MergePatch, JsonPatch, Apply]),
    ]
};

/// The options that are served, by verb. Those of a delete stand in its query or in the `DeleteOptions` of its body;
/// `as` is the metadata-only representation.
pub const OPTIONS: &[(Verb, &[&str])] = {
    use Verb::{Apply, Create, Delete, DeleteCollection, Get, JsonPatch, List, MergePatch, Update, Watch};
    const DELETE: &[&str] = &["dryRun", "gracePeriodSeconds", "preconditions.resourceVersion", "preconditions.uid", "propagationPolicy"];
    const WRITE: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];
    &[
        (Get, &["as", "resourceVersion"]),
        (List, &["as", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "resourceVersionMatch"]),
        (Watch, &["allowWatchBookmarks", "as", "fieldSelector", "labelSelector", "resourceVersion", "timeoutSeconds", "watch"]),
        (Create, WRITE),
        (Update, WRITE),
        (MergePatch, &["as", "dryRun", "fieldManager", "fieldValidation", "force"]),
        (JsonPatch, WRITE),
        (Apply, &["as", "dryRun", "fieldManager", "fieldValidation", "force"]),
        (Delete, DELETE),
        (DeleteCollection, &["dryRun", "fieldSelector", "labelSelector", "propagationPolicy"]),
    ]
};

/// Documents of the server itself that are served beside resources: exact paths, or `{…}` for one segment.
pub const DOCUMENTS: &[&str] =
    &["/version", "/healthz", "/livez", "/readyz", "/api", "/api/{version}", "/apis", "/apis/{group}", "/apis/{group}/{version}"];

/// What one request used of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A row of `SHAPES`, and the options it came with.
    Resource {
        /// The class of resource.
        class: Class,
        /// The part.
        part: Part,
        /// The verb.
        verb: Verb,
        /// Keys of `OPTIONS`.
        options: Vec<String>,
    },
    /// A row of `DOCUMENTS`.
    Document(&'static str),
    /// `services/{name}:{port}/proxy/…`.
    Proxy,
    /// A review of the caller, such as `selfsubjectreviews`.
    Review,
}

/// The options of a request: the keys of its query, of its `DeleteOptions`, and its representation.
pub(super) fn options(query: &Query, verb: Verb, representation: Representation, body: &[u8]) -> Vec<String> {
    let mut found: Vec<String> = query.keys().map(str::to_owned).collect();
    if representation == Representation::Metadata {
        found.push("as".to_owned());
    }
    if matches!(verb, Verb::Delete | Verb::DeleteCollection)
        && let Ok(serde_json::Value::Object(body)) = serde_json::from_slice(body)
    {
        for (key, value) in body.iter().filter(|(key, value)| !matches!(key.as_str(), "apiVersion" | "kind") && !value.is_null()) {
            match value.as_object() {
                Some(inner) => found.extend(inner.keys().map(|inner| format!("{key}.{inner}"))),
                None => found.push(key.clone()),
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Refuses what stands in no table.
pub(super) fn check(class: Class, part: Part, verb: Verb, options: &[String]) -> Answered<()> {
    let served = SHAPES.iter().any(|shape| shape.class == class && shape.part == part && shape.verbs.contains(&verb));
    if !served {
        return Err(Status::not_implemented(&format!("{verb:?} of {class:?} resources, part {part:?}")));
    }
    let known = OPTIONS.iter().find(|(one, _)| *one == verb).map_or(&[] as &[&str], |(_, known)| known);
    match options.iter().find(|option| !known.contains(&option.as_str())) {
        Some(option) => Err(Status::not_implemented(&format!("the option {option} of {verb:?}"))),
        None => Ok(()),
    }
}

/// The row of a path of the server itself.
pub(super) fn document(path: &str) -> Option<&'static str> {
    DOCUMENTS.iter().copied().find(|row| {
        let (row, path) = (row.split('/'), path.trim_end_matches('/').split('/'));
        row.clone().count() == path.clone().count()
            && row.zip(path).all(|(one, other)| one == other || (one.starts_with('{') && !other.is_empty()))
    })
}
