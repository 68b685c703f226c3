//! Single requests over JSON, each under a deadline.

use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use serde_json::Value;

use super::error::ApiError;

/// No request of ours may take longer; a hung API server is an error, not a wait. The claim to a cluster ends
/// this much before its lease does.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// A cluster's API as plain requests.
#[derive(Clone)]
pub struct Access {
    client: Client,
    pub deadline: Duration,
}

/// How a body changes an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patch {
    Merge,
    /// Server-side apply; conflicts are taken over, since what we apply we generate.
    Apply,
    /// Server-side apply that the API server only judges.
    DryRun,
}

impl Access {
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client, deadline: DEADLINE }
    }

    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    async fn send(&self, what: &str, method: http::Method, path: &str, content: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        let bytes = body.map(|b| serde_json::to_vec(b).unwrap_or_default()).unwrap_or_default();
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, content)
            .header(http::header::ACCEPT, "application/json")
            .body(bytes)
            .map_err(|e| ApiError::Unreachable { what: what.into(), message: e.to_string() })?;
        match tokio::time::timeout(self.deadline, self.client.request::<Value>(request)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(ApiError::new(what, &error)),
            Err(_) => Err(ApiError::Timeout { what: what.into(), after: self.deadline }),
        }
    }

    /// # Errors
    /// As the API server answers, or [`ApiError::Timeout`]; likewise for all requests below.
    pub async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.send(&named("read", path), http::Method::GET, path, "application/json", None).await
    }

    /// Replaces the object; `body` carries the resourceVersion it was read with.
    ///
    /// # Errors
    /// [`ApiError::Conflict`] when it changed in between.
    pub async fn put(&self, path: &str, manager: &str, body: &Value) -> Result<Value, ApiError> {
        self.send(&named("write", path), http::Method::PUT, &format!("{path}?fieldManager={manager}"), "application/json", Some(body)).await
    }

    /// # Errors
    /// [`ApiError::Conflict`] when it exists.
    pub async fn post(&self, path: &str, manager: &str, body: &Value) -> Result<Value, ApiError> {
        self.send(&named("create", path), http::Method::POST, &format!("{path}?fieldManager={manager}"), "application/json", Some(body))
            .await
    }

    /// # Errors
    /// [`ApiError::Conflict`] when `body` carries a resourceVersion that is no longer current.
    pub async fn patch(&self, path: &str, manager: &str, patch: Patch, body: &Value) -> Result<Value, ApiError> {
        let (query, content) = match patch {
            Patch::Merge => ("", "application/merge-patch+json"),
            Patch::Apply => ("&force=true", "application/apply-patch+yaml"),
            Patch::DryRun => ("&force=true&dryRun=All", "application/apply-patch+yaml"),
        };
        self.send(&named("write", path), http::Method::PATCH, &format!("{path}?fieldManager={manager}{query}"), content, Some(body)).await
    }
}

impl Access {
    /// Deletes `live` and no other object of that name, in the state in which it was seen.
    ///
    /// # Errors
    /// [`ApiError::Conflict`] when it has changed.
    pub async fn delete(&self, path: &str, live: &Value) -> Result<(), ApiError> {
        let body = serde_json::json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {
            "uid": live["metadata"]["uid"], "resourceVersion": live["metadata"]["resourceVersion"]}});
        self.send(&named("delete", path), http::Method::DELETE, path, "application/json", Some(&body)).await.map(drop)
    }

    /// Makes `request` at `path`, which leads to what lies behind a proxy of the API server, and returns the answer whatever
    /// its status is; a body longer than `most` bytes is an error.
    ///
    /// # Errors
    /// No answer within the deadline, or none at all.
    pub async fn relay(
        &self,
        request: http::Request<bytes::Bytes>,
        path: &str,
        most: usize,
    ) -> Result<http::Response<bytes::Bytes>, ApiError> {
        let what = named("call", path);
        let unreachable = |message: String| ApiError::Unreachable { what: what.clone(), message };
        let (parts, body) = request.into_parts();
        let mut relayed = http::Request::builder().method(parts.method).uri(path);
        for (name, value) in &parts.headers {
            // The API server reads the caller's own rights there, and hands it on to nobody.
            if *name != http::header::AUTHORIZATION && *name != http::header::HOST {
                relayed = relayed.header(name, value);
            }
        }
        let relayed = relayed.body(kube::client::Body::from(body.to_vec())).map_err(|e| unreachable(e.to_string()))?;
        let whole = async {
            let reply = self.client.send(relayed).await.map_err(|e| ApiError::new(&what, &e))?;
            let (parts, body) = reply.into_parts();
            let body = Limited::new(body, most).collect().await.map_err(|e| unreachable(crate::domain::text::clean(&e.to_string())))?;
            Ok(http::Response::from_parts(parts, body.to_bytes()))
        };
        tokio::time::timeout(self.deadline, whole)
            .await
            .unwrap_or_else(|_| Err(ApiError::Timeout { what: what.clone(), after: self.deadline }))
    }
}

/// `VERB KIND NAMESPACE/NAME`, out of a path, for messages.
fn named(verb: &str, path: &str) -> String {
    let parts: Vec<_> = path.split('?').next().unwrap_or_default().split('/').collect();
    match parts.iter().position(|p| *p == "namespaces") {
        Some(i) if parts.len() > i + 3 => format!("{verb} {} {}/{}", parts[i + 2], parts[i + 1], parts[i + 3]),
        Some(i) if parts.len() > i + 2 => format!("{verb} {} in {}", parts[i + 2], parts[i + 1]),
        _ => format!("{verb} {path}"),
    }
}
