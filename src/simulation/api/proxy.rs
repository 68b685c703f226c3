//! `services/{name}:{port}/proxy/…`: requests to programs inside the cluster, which the simulated world answers.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, StatusCode};

use super::request::ResourcePath;
use super::server::Reply;
use super::state::State;
use super::status::{Answered, Status};
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

/// Checks that the Service is there, has the port, and has an object for its endpoints; where `answered`, somebody speaks
/// for all Services, whatever their endpoints are.
pub(super) fn find(state: &State, path: &ResourcePath, answered: bool) -> Answered<()> {
    let (name, port) = parts(&path.name);
    let services = state.kinds.get("services").ok_or_else(Status::no_such_resource)?;
    let key = key(&path.namespace, name);
    let service = state.store.get("services", &key).ok_or_else(|| Status::not_found(services, name))?;
    let service = service.value();
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let number = port.parse::<u64>();
    if let Ok(number) = number
        && !ports.any(|one| one["port"] == number)
    {
        return Err(unavailable(format!("no service port {number} found for service \"{name}\"")));
    }
    if !answered && state.store.get("endpoints", &key).is_none() {
        return Err(Status::not_found(services, name));
    }
    if number.is_err() && !port.is_empty() && !ports.any(|one| one["name"] == port) {
        return Err(no_endpoints(name));
    }
    Ok(())
}

fn no_endpoints(service: &str) -> Box<Status> {
    unavailable(format!("no endpoints available for service \"{service}\""))
}

fn unavailable(message: String) -> Box<Status> {
    Status::plain(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
}

type Handler = Arc<dyn Fn(ProxyRequest) -> ProxyReply + Send + Sync>;

/// Hands the request to whoever answers for Services; without anybody the Service has no endpoints.
pub(super) fn forward(handler: Option<Handler>, path: &ResourcePath, request: &Request<Bytes>) -> Answered<Reply> {
    let (service, port) = parts(&path.name);
    let handler = handler.ok_or_else(|| no_endpoints(service))?;
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
