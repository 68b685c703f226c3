//! GET of one object and of collections: resourceVersion and its match, selectors, pages.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::super::base64;
use super::ask::Ask;
use super::object::{Object, Representation};
use super::selectors::Selection;
use super::server::{self, Reply};
use super::state::{State, ok_bytes};
use super::status::{Answered, Status};

/// Where a list goes on: the snapshot and the first key of the next page.
#[derive(Debug, PartialEq, Eq)]
struct Continue {
    version: u64,
    start: String,
}

/// The objects of one answer.
struct Page {
    version: u64,
    items: Vec<Arc<Object>>,
    next: Option<Continue>,
    remaining: Option<usize>,
}

impl State {
    /// GET of an object, or of its status.
    pub(super) fn get(&self, ask: &Ask<'_>) -> Answered<Reply> {
        self.reachable(ask.query.resource_version()?)?;
        let found = self.find(ask)?;
        Ok(server::object(ask, StatusCode::OK, found))
    }

    /// The object that a request names.
    pub(super) fn find(&self, ask: &Ask<'_>) -> Answered<&Arc<Object>> {
        self.store.get(&ask.stored_as(), &ask.key()).ok_or_else(|| Status::not_found(&ask.resource, &ask.name))
    }

    /// Refuses versions that are yet to come, for which a real server waits three seconds in vain.
    pub(super) fn reachable(&self, version: Option<u64>) -> Answered<()> {
        match version {
            Some(wanted) if wanted > self.store.version() => Err(Status::too_large_version(wanted, self.store.version())),
            _ => Ok(()),
        }
    }

    /// GET of a collection.
    pub(super) fn list(&self, ask: &Ask<'_>) -> Answered<Reply> {
        let selection = Selection::parse(&ask.resource, ask.query.get("labelSelector"), ask.query.get("fieldSelector"))?;
        let page = self.page(ask, &selection)?;
        Ok(ok_bytes(document(ask, &page)))
    }

    fn page(&self, ask: &Ask<'_>, selection: &Selection) -> Answered<Page> {
        let limit = ask.query.number("limit")?.filter(|limit| *limit > 0).and_then(|limit| usize::try_from(limit).ok());
        let snapshot = self.snapshot(ask)?;
        let prefix = prefix(ask);
        let mut page = Page { version: snapshot.version, items: Vec::new(), next: None, remaining: None };
        let mut candidates = snapshot.objects.range(snapshot.start.clone()..).take_while(|(key, _)| key.starts_with(&prefix)).peekable();
        while let Some((key, object)) = candidates.peek() {
            if Some(page.items.len()) == limit && !snapshot.unlimited {
                page.next = Some(Continue { version: snapshot.version, start: key.strip_prefix(&prefix).unwrap_or_default().to_owned() });
                break;
            }
            if selection.matches(object) {
                page.items.push(Arc::clone(object));
            }
            candidates.next();
        }
        if page.next.is_some() && selection.is_everything() {
            page.remaining = Some(candidates.count());
        }
        Ok(page)
    }

    fn snapshot(&self, ask: &Ask<'_>) -> Answered<Snapshot<'_>> {
        let version = ask.query.resource_version()?;
        let exact = match (ask.query.get("resourceVersionMatch"), version) {
            (None, _) | (Some("NotOlderThan"), Some(_)) => false,
            (Some("Exact"), Some(0)) => return Err(refused_match("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")),
            (Some("Exact"), Some(_)) => true,
            (Some(_), None) => return Err(refused_match("resourceVersionMatch is forbidden unless resourceVersion is provided")),
            (Some(other), Some(_)) => return Err(unknown_match(other)),
        };
        if let Some(token) = ask.query.get("continue") {
            if version.is_some_and(|version| version > 0) {
                return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
            }
            let from = Continue::decode(token)
                .map_err(|why| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}")))?;
            let objects = self.objects_at(ask, from.version).ok_or_else(|| Status::expired(EXPIRED_CONTINUE))?;
            return Ok(Snapshot { version: from.version, objects, start: prefix(ask) + &from.start, unlimited: false });
        }
        self.reachable(version)?;
        let (version, unlimited) = match version {
            Some(version) if exact => (version, false),
            other => (self.store.version(), other == Some(0)),
        };
        let objects =
            self.objects_at(ask, version).ok_or_else(|| Status::expired("The resourceVersion for the provided list is too old."))?;
        Ok(Snapshot { version, objects, start: prefix(ask), unlimited })
    }

    fn objects_at(&self, ask: &Ask<'_>, version: u64) -> Option<Cow<'_, BTreeMap<String, Arc<Object>>>> {
        self.store.collection(&ask.stored_as())?.at(version)
    }
}

/// A collection as it was under one version, from one key on.
struct Snapshot<'a> {
    version: u64,
    objects: Cow<'a, BTreeMap<String, Arc<Object>>>,
    start: String,
    /// Lists from version 0 are answered from the cache, which knows no pages.
    unlimited: bool,
}

const EXPIRED_CONTINUE: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.";

fn refused_match(why: &str) -> Box<Status> {
    Status::invalid_option("ListOptions", "resourceVersionMatch", "FieldValueForbidden", &format!("Forbidden: {why}"))
}

fn unknown_match(found: &str) -> Box<Status> {
    let why = format!("Unsupported value: \"{found}\": supported values: \"Exact\", \"NotOlderThan\", \"\"");
    Status::invalid_option("ListOptions", "resourceVersionMatch", "FieldValueNotSupported", &why)
}

/// A list of objects that were chosen otherwise.
pub(super) fn listed(ask: &Ask<'_>, version: u64, items: Vec<Arc<Object>>) -> Reply {
    ok_bytes(document(ask, &Page { version, items, next: None, remaining: None }))
}

/// How the keys of the asked objects begin.
pub(super) fn prefix(ask: &Ask<'_>) -> String {
    if ask.namespace.is_empty() { String::new() } else { format!("{}/", ask.namespace) }
}

/// The JSON of a list. Items of built-in kinds do not repeat their type, as in the real server's answers.
fn document(ask: &Ask<'_>, page: &Page) -> Vec<u8> {
    let (api_version, kind) = (ask.api_version(), &ask.resource.kind);
    let mut metadata = json!({"resourceVersion": page.version.to_string()});
    match &page.next {
        Some(next) => metadata["continue"] = next.encode().into(),
        // The list type of custom resources knows no omitted fields.
        None if ask.resource.custom && ask.representation == Representation::Whole => metadata["continue"] = "".into(),
        None => {}
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    let (list_version, list_kind) = match ask.representation {
        Representation::Whole => (api_version.as_str(), ask.resource.list_kind.as_str()),
        Representation::Metadata => ("meta.k8s.io/v1", "PartialObjectMetadataList"),
    };
    let mut out = format!("{{\"kind\":\"{list_kind}\",\"apiVersion\":\"{list_version}\",\"metadata\":{metadata},\"items\":[").into_bytes();
    for (index, object) in page.items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if ask.resource.custom || ask.representation == Representation::Metadata {
            object.write(ask.representation, &api_version, kind, &mut out);
        } else {
            out.extend_from_slice(object.untyped(ask.representation));
        }
    }
    out.extend_from_slice(b"]}");
    out
}

impl Continue {
    /// The token of `EncodeContinue`: JSON in the URL-safe base 64 without padding. Clients take it as it is.
    fn encode(&self) -> String {
        let token = json!({"v": "meta.k8s.io/v1", "rv": self.version, "start": self.start});
        base64::encode(token.to_string().as_bytes(), base64::URL).trim_end_matches('=').to_owned()
    }

    fn decode(token: &str) -> Result<Self, String> {
        let bytes = base64::decode(token, base64::URL).map_err(|at| format!("illegal base64 data at input byte {at}"))?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        match (token["rv"].as_u64(), token["start"].as_str()) {
            (Some(version), Some(start)) => Ok(Self { version, start: start.to_owned() }),
            _ => Err("incorrect encoded version".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continue_tokens_come_back() {
        let token = Continue { version: 4711, start: "app/wéb".into() };
        assert_eq!(Continue::decode(&token.encode()), Ok(token));
        assert_eq!(Continue::decode("ab!c"), Err("illegal base64 data at input byte 2".to_owned()));
    }
}
