//! What a request asks for: path, query, media types and method, taken apart. Nothing is looked up here.

use std::borrow::Cow;

use http::{HeaderMap, Method, header};

use super::kinds::Resource;
use super::object::Representation;
use super::status::{Answered, Status};

/// What is asked of a resource, patches by their kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// GET of one object.
    Get,
    /// GET of a collection.
    List,
    /// GET of a collection with `watch`.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH with `application/merge-patch+json`.
    MergePatch,
    /// PATCH with `application/json-patch+json`.
    JsonPatch,
    /// PATCH with `application/strategic-merge-patch+json`.
    StrategicPatch,
    /// PATCH with `application/apply-patch+yaml`.
    Apply,
    /// DELETE of one object.
    Delete,
    /// DELETE of a collection.
    DeleteCollection,
}

impl Verb {
    pub(super) fn is_patch(self) -> bool {
        matches!(self, Self::MergePatch | Self::JsonPatch | Self::StrategicPatch | Self::Apply)
    }

    /// The type of options that the server validates, which its messages name.
    pub(super) fn options_kind(self) -> &'static str {
        match self {
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Delete | Self::DeleteCollection => "DeleteOptions",
            Self::Get | Self::List | Self::Watch => "ListOptions",
            _ => "PatchOptions",
        }
    }
}

/// The media types of patches.
const PATCHES: [(&str, Verb); 5] = [
    ("application/merge-patch+json", Verb::MergePatch),
    ("application/json-patch+json", Verb::JsonPatch),
    ("application/strategic-merge-patch+json", Verb::StrategicPatch),
    ("application/apply-patch+yaml", Verb::Apply),
    ("application/apply-patch+cbor", Verb::Apply),
];

/// The parameters of a query, decoded, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(key, value)| (decoded(key), decoded(value))).collect())
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(one, _)| one == key).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    /// A flag: present without a value, `true` or `1`.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.0.iter().any(|(one, value)| one == key && matches!(value.as_str(), "" | "true" | "1"))
    }

    /// A whole number; the message of a wrong one is that of Go's parser.
    pub(super) fn number(&self, key: &str) -> Answered<Option<i64>> {
        let refused = |text: &str| Status::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"));
        self.get(key).map(|text| text.parse().map_err(|_| refused(text))).transpose()
    }

    /// `resourceVersion`; none for absent and, as a list says it, 0 for "any".
    pub(super) fn resource_version(&self) -> Answered<Option<u64>> {
        let wrong = |text: &str| {
            let why = format!("Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax");
            Status::bad_request(format!("invalid resource version: resourceVersion: {why}"))
        };
        self.get("resourceVersion").map(|text| text.parse().map_err(|_| wrong(text))).transpose()
    }
}

/// Percent signs and pluses of a query taken back.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten().and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], hex) {
            (_, Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', None) => out.push(b' '),
            (byte, None) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A path below `/api/v1` or `/apis/{group}/{version}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResourcePath {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) namespace: String,
    pub(super) plural: String,
    /// Empty for a collection.
    pub(super) name: String,
    pub(super) subresource: String,
    /// What follows the subresource, for proxies: empty or with its slash.
    pub(super) rest: String,
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Path {
    /// A document of the server itself, such as `/version` or `/apis/apps`.
    Document(String),
    Resource(Box<ResourcePath>),
}

impl Path {
    pub(super) fn parse(path: &str) -> Self {
        let segments: Vec<Cow<'_, str>> = path.trim_matches('/').split('/').map(Cow::Borrowed).collect();
        let (group, version, rest) = match segments.as_slice() {
            [api, version, rest @ ..] if api == "api" => ("", version, rest),
            [apis, group, version, rest @ ..] if apis == "apis" => (group.as_ref(), version, rest),
            _ => return Self::Document(path.to_owned()),
        };
        let (namespace, rest) = match rest {
            [] => return Self::Document(path.trim_end_matches('/').to_owned()),
            // The status of a namespace is no resource in it.
            [word, name, rest @ ..] if word == "namespaces" && !rest.is_empty() && !matches!(rest[0].as_ref(), "status" | "finalize") => {
                (name.as_ref(), rest)
            }
            rest => ("", rest),
        };
        let at = |index: usize| rest.get(index).map_or_else(String::new, |segment| decoded(segment));
        let tail: String = rest.iter().skip(3).flat_map(|segment| ["/", segment]).collect();
        let slash = if path.ends_with('/') && rest.len() > 2 { "/" } else { "" };
        Self::Resource(Box::new(ResourcePath {
            group: group.to_owned(),
            version: version.to_string(),
            namespace: decoded(namespace),
            plural: at(0),
            name: at(1),
            subresource: at(2),
            rest: tail + slash,
        }))
    }
}

/// The verb of a request; none where no resource has this method.
pub(super) fn verb(method: &Method, headers: &HeaderMap, query: &Query, on_item: bool) -> Answered<Verb> {
    let found = match (method, on_item) {
        (&Method::GET, true) => Verb::Get,
        (&Method::GET, false) if query.flag("watch") => Verb::Watch,
        (&Method::GET, false) => Verb::List,
        (&Method::POST, false) => Verb::Create,
        (&Method::PUT, true) => Verb::Update,
        (&Method::DELETE, true) => Verb::Delete,
        (&Method::DELETE, false) => Verb::DeleteCollection,
        (&Method::PATCH, true) => return patch(headers),
        _ => return Err(Status::method_not_allowed()),
    };
    Ok(found)
}

fn patch(headers: &HeaderMap) -> Answered<Verb> {
    let wanted = media_type(headers, header::CONTENT_TYPE);
    let found = PATCHES.into_iter().find(|(media, _)| *media == wanted);
    found.map(|(_, verb)| verb).ok_or_else(Status::unknown_patch)
}

/// The media type without parameters.
fn media_type(headers: &HeaderMap, name: header::HeaderName) -> &str {
    let text = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim()
}

/// Refuses bodies that are not JSON. YAML and protobuf are read by a real server, and not here.
pub(super) fn readable(headers: &HeaderMap) -> Answered<()> {
    match media_type(headers, header::CONTENT_TYPE) {
        "" | "application/json" => Ok(()),
        other @ ("application/yaml" | "application/vnd.kubernetes.protobuf") => {
            Err(Status::not_implemented(&format!("bodies of type {other}")))
        }
        _ => Err(Status::unsupported_media_type("application/json, application/yaml, application/vnd.kubernetes.protobuf")),
    }
}

/// How the answer is wanted: the first alternative of `Accept` that can be given.
pub(super) fn representation(headers: &HeaderMap, verb: Verb, resource: &Resource) -> Answered<Representation> {
    let text = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text.trim().is_empty() {
        return Ok(Representation::Whole);
    }
    let mut elsewhere = None;
    for alternative in text.split(',') {
        let mut parts = alternative.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let wanted = parts.find_map(|parameter| parameter.strip_prefix("as=")).unwrap_or_default();
        match (media, wanted) {
            ("application/json" | "application/*" | "*/*", "") => return Ok(Representation::Whole),
            ("application/json", "PartialObjectMetadata") if verb == Verb::List => {
                return Err(Status::wrong_shape(wanted, "is a list", resource, true));
            }
            ("application/json", "PartialObjectMetadataList") if verb != Verb::List => {
                return Err(Status::wrong_shape(wanted, "is not a list", resource, false));
            }
            ("application/json", "PartialObjectMetadata" | "PartialObjectMetadataList") => return Ok(Representation::Metadata),
            ("application/json" | "application/yaml" | "application/vnd.kubernetes.protobuf" | "application/cbor", _) => {
                elsewhere = Some(alternative.trim());
            }
            _ => {}
        }
    }
    Err(elsewhere.map_or_else(Status::not_acceptable, |alternative| Status::not_implemented(&format!("answers as {alternative}"))))
}

/// Who the fields of a write belong to: `fieldManager`, or what stands before the slash in the user agent.
pub(super) fn manager(headers: &HeaderMap, query: &Query) -> String {
    let agent =
        || headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default().split('/').next().unwrap_or_default();
    let name = query.get("fieldManager").unwrap_or_else(agent);
    if name.is_empty() { "unknown".to_owned() } else { name.chars().take(128).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(path: &str) -> ResourcePath {
        match Path::parse(path) {
            Path::Resource(found) => *found,
            Path::Document(other) => panic!("{other} is a document"),
        }
    }

    #[test]
    fn paths_are_taken_apart() {
        let web = resource("/apis/apps/v1/namespaces/app/deployments/web/scale");
        assert_eq!(
            (web.group.as_str(), web.namespace.as_str(), web.plural.as_str(), web.name.as_str(), web.subresource.as_str()),
            ("apps", "app", "deployments", "web", "scale")
        );
        let status = resource("/api/v1/namespaces/app/status");
        assert_eq!((status.plural.as_str(), status.name.as_str(), status.subresource.as_str()), ("namespaces", "app", "status"));
        let proxied = resource("/api/v1/namespaces/app/services/http:web:80/proxy/a/b/");
        assert_eq!((proxied.name.as_str(), proxied.subresource.as_str(), proxied.rest.as_str()), ("http:web:80", "proxy", "/a/b/"));
        assert_eq!(Path::parse("/apis/apps/v1"), Path::Document("/apis/apps/v1".into()));
        assert_eq!(Path::parse("/version"), Path::Document("/version".into()));
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("&labelSelector=a+in+%28b%2Cc%29&watch=true&limit=5&fieldManager=");
        assert_eq!(query.get("labelSelector"), Some("a in (b,c)"));
        assert!(query.flag("watch"));
        assert_eq!(query.number("limit").expect("a number"), Some(5));
        assert_eq!(query.get("fieldManager"), None);
    }
}
