//! `services/{name}:{port}/proxy/…`: requests to programs inside the cluster, which the simulated world answers.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, StatusCode};

use super::request::ResourcePath;
use super::server::Reply;
use super::state::State;
use super::status::{Answered, Details, Status};
use super::store::key;

/// A request that the API server passes on to a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyRequest {
    /// The HTTP method.
    pub method: Method,
    /// The namespace of the Service.
    pub namespace: String,
    /// The name of the Service.
    pub service: String,
    /// The port as the caller gave it, a number or a name; empty where none was given.
    pub port: String,
    /// What follows `proxy`, with its slash and its query.
    pub path_and_query: String,
    /// The body.
    pub body: Bytes,
}

/// What the Service answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyReply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

/// The parts of `name`, `name:port` or `scheme:name:port`.
fn parts(name: &str) -> (&str, &str) {
    let parts: Vec<&str> = name.split(':').collect();
    match parts.as_slice() {
        [_, name, port] | [name, port] => (name, port),
        _ => (name, ""),
    }
}

/// Checks that the Service is there and has the port; says whether anything at all stands behind it.
pub(super) fn find(state: &State, path: &ResourcePath) -> Answered<bool> {
    let (name, port) = parts(&path.name);
    let services = state.kinds.get("services").ok_or_else(Status::no_such_resource)?;
    let key = key(&path.namespace, name);
    let service = state.store.get("services", &key).ok_or_else(|| Status::not_found(services, name))?;
    let mut ports = service.value["spec"]["ports"].as_array().into_iter().flatten();
    match port.parse::<u64>() {
        Ok(number) if !ports.any(|one| one["port"] == number) => Err(unavailable(format!("no service port {number} found for service \"{name}\""))),
        Err(_) if !port.is_empty() && !ports.any(|one| one["name"] == port) => Err(unavailable(format!("no endpoints available for service \"{name}\""))),
        _ => Ok(state.store.get("endpoints", &key).is_some() || has_slices(state, path, name)),
    }
}

fn has_slices(state: &State, path: &ResourcePath, service: &str) -> bool {
    let prefix = format!("{}/", path.namespace);
    let slices = state.store.collection("endpointslices.discovery.k8s.io");
    slices.is_some_and(|slices| slices.with_prefix(&prefix).any(|(_, slice)| slice.value["metadata"]["labels"]["kubernetes.io/service-name"] == service))
}

fn unavailable(message: String) -> Box<Status> {
    Status::plain(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
}

type Handler = Arc<dyn Fn(ProxyRequest) -> ProxyReply + Send + Sync>;

/// Hands the request to whoever answers for Services. Without anybody the Service has no endpoints; without an object
/// for endpoints, either, the server says that there is no Service.
pub(super) fn forward(handler: Option<Handler>, has_endpoints: bool, path: &ResourcePath, request: &Request<Bytes>) -> Answered<Reply> {
    let (service, port) = parts(&path.name);
    let Some(handler) = handler else {
        let details = Details { name: service.to_owned(), kind: "services".into(), ..Details::default() };
        let missing = Status { code: 404, reason: "NotFound".into(), message: format!("services \"{service}\" not found"), details: Some(details) };
        return Err(if has_endpoints { unavailable(format!("no endpoints available for service \"{service}\"")) } else { Box::new(missing) });
    };
    let rest = if path.rest.is_empty() { "/" } else { &path.rest };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let reply = handler(ProxyRequest {
        method: request.method().clone(),
        namespace: path.namespace.clone(),
        service: service.to_owned(),
        port: port.to_owned(),
        path_and_query: format!("{rest}{query}"),
        body: request.body().clone(),
    });
    Ok(Reply::Answer { status: reply.status, content_type: reply.content_type, body: reply.body })
}
