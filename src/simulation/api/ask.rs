//! From an HTTP request to a question about something that is served, or the refusal.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use jiff::Timestamp;

use super::kinds::{Kinds, Resource, Trait, Version, elsewhere, qualified};
use super::object::Representation;
use super::request::{self, Path, Query, ResourcePath, Verb};
use super::shapes::{self, Asked, Class, Part};
use super::status::{Answered, Status};
use super::store::key;

/// The user and path of reviews: created, never stored.
const REVIEWS: [(&str, &str); 2] = [("authentication.k8s.io", "selfsubjectreviews"), ("authorization.k8s.io", "selfsubjectaccessreviews")];

/// What a request is about.
pub(super) enum Question<'a> {
    /// A path of the server itself, and its row in the table.
    Document(String, &'static str),
    Review(Box<ResourcePath>),
    Proxy(Box<ResourcePath>),
    Resource(Box<Ask<'a>>),
}

/// A request about a resource.
pub(super) struct Ask<'a> {
    pub(super) user: &'a str,
    /// Who the written fields will belong to.
    pub(super) manager: String,
    pub(super) verb: Verb,
    pub(super) part: Part,
    pub(super) resource: Arc<Resource>,
    version: usize,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) query: Query,
    pub(super) representation: Representation,
    pub(super) options: Vec<String>,
    pub(super) body: &'a [u8],
    pub(super) now: Timestamp,
}

impl Ask<'_> {
    pub(super) fn version(&self) -> &Version {
        &self.resource.versions[self.version]
    }

    pub(super) fn api_version(&self) -> String {
        self.resource.api_version(self.version())
    }

    pub(super) fn is_watch(&self) -> bool {
        self.verb == Verb::Watch
    }

    /// The key under which the object is stored.
    pub(super) fn key(&self) -> String {
        key(&self.namespace, &self.name)
    }

    /// The qualified name of the resource.
    pub(super) fn stored_as(&self) -> String {
        self.resource.qualified()
    }

    /// As entries of managedFields name it.
    pub(super) fn subresource(&self) -> &'static str {
        match self.part {
            Part::Status => "status",
            Part::Scale => "scale",
            Part::Main | Part::Everywhere => "",
        }
    }

    pub(super) fn dry_run(&self) -> bool {
        self.query.get("dryRun").is_some()
    }
}

impl Question<'_> {
    /// Which rows of the tables of shapes it uses.
    pub(super) fn asked(self) -> Asked {
        match self {
            Self::Document(_, row) => Asked::Document(row),
            Self::Review(_) => Asked::Review,
            Self::Proxy(_) => Asked::Proxy,
            Self::Resource(ask) => Asked::Resource { class: class(&ask.resource), part: ask.part, verb: ask.verb, options: ask.options },
        }
    }
}

fn class(resource: &Resource) -> Class {
    if resource.custom { Class::Custom } else { Class::BuiltIn }
}

/// Takes a request apart and finds what it is about.
pub(super) fn parse<'a>(kinds: &Kinds, user: &'a str, request: &'a Request<Bytes>, now: Timestamp) -> Answered<Question<'a>> {
    let path = match Path::parse(request.uri().path()) {
        Path::Document(path) => {
            let row = shapes::document(&path).ok_or_else(|| Status::not_implemented(&format!("the path {path}")))?;
            return Ok(Question::Document(path, row));
        }
        Path::Resource(path) => path,
    };
    if REVIEWS.contains(&(path.group.as_str(), path.plural.as_str())) && path.version == "v1" {
        return Ok(Question::Review(path));
    }
    if path.group.is_empty() && path.plural == "services" && path.subresource == "proxy" {
        return Ok(Question::Proxy(path));
    }
    let (resource, version) = find(kinds, &path)?;
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let part = part(&path, resource, version)?;
    let verb = request::verb(request.method(), request.headers(), &query, !path.name.is_empty())?;
    allowed(resource, part, verb)?;
    let representation = request::representation(request.headers(), verb, resource)?;
    let options = shapes::options(&query, verb, representation, request.body());
    shapes::check(class(resource), part, verb, &options)?;
    if matches!(verb, Verb::Create | Verb::Update) {
        request::readable(request.headers())?;
    }
    Ok(Question::Resource(Box::new(Ask {
        user,
        manager: request::manager(request.headers(), &query),
        verb,
        part,
        resource: Arc::clone(resource),
        version,
        namespace: path.namespace,
        name: path.name,
        query,
        representation,
        options,
        body: request.body(),
        now,
    })))
}

fn find<'a>(kinds: &'a Kinds, path: &ResourcePath) -> Answered<(&'a Arc<Resource>, usize)> {
    let found = kinds.get(&qualified(&path.group, &path.plural)).and_then(|resource| {
        let version = resource.versions.iter().position(|version| version.served && version.name == path.version)?;
        Some((resource, version))
    });
    match found {
        Some((resource, version)) if resource.namespaced || path.namespace.is_empty() => Ok((resource, version)),
        None if elsewhere(&path.group, &path.plural) => {
            Err(Status::not_implemented(&format!("{} ({}/{})", path.plural, path.group, path.version)))
        }
        _ if Kinds::is_built_in(&path.group) => Err(Status::no_such_resource()),
        _ => Err(Status::no_such_path()),
    }
}

fn part(path: &ResourcePath, resource: &Resource, version: usize) -> Answered<Part> {
    let version = &resource.versions[version];
    let everywhere = path.namespace.is_empty() && (resource.namespaced || path.name.is_empty());
    match path.subresource.as_str() {
        "" if !path.name.is_empty() && everywhere => Err(Status::no_such_resource()),
        "" if everywhere => Ok(Part::Everywhere),
        "" => Ok(Part::Main),
        "status" if version.status && path.rest.is_empty() => Ok(Part::Status),
        "scale" if version.scale.is_some() && path.rest.is_empty() => Ok(Part::Scale),
        other if resource.has_elsewhere(other) => Err(Status::not_implemented(&format!("{}/{other}", resource.plural))),
        // The handler of custom resources has no route for it, and says so by the object.
        _ if resource.custom => Err(Status::not_found(resource, &path.name)),
        _ => Err(Status::no_such_resource()),
    }
}

/// Refuses methods that the server has no route for.
fn allowed(resource: &Resource, part: Part, verb: Verb) -> Answered<()> {
    let has = match (part, verb) {
        (Part::Everywhere, Verb::Create) => !resource.namespaced,
        (Part::Everywhere, Verb::DeleteCollection) => !resource.namespaced && !resource.has(Trait::NoDeleteCollection),
        (Part::Status | Part::Scale, Verb::Delete) => false,
        _ => true,
    };
    if has { Ok(()) } else { Err(Status::method_not_allowed()) }
}
