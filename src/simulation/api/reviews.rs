//! Reviews: what a client may ask about itself. They are created, answered and never stored.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::encode;
use super::request::ResourcePath;
use super::server::{self, Reply};
use super::state::time;
use super::status::{Answered, Status};

/// Answers a review of `user`, who may do everything.
pub(super) fn answer(user: &str, path: &ResourcePath, request: &Request<Bytes>, now: Timestamp) -> Answered<Reply> {
    if request.method() != Method::POST || !path.name.is_empty() {
        return Err(Status::method_not_allowed());
    }
    let sent: Value = serde_json::from_slice(request.body())
        .map_err(|error| Status::bad_request(format!("couldn't get version/kind; json parse error: {error}")))?;
    let document = match path.plural.as_str() {
        "selfsubjectreviews" => json!({
            "kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {"creationTimestamp": time(now)},
            "status": {"userInfo": {"username": user, "groups": ["system:authenticated"]}},
        }),
        _ => json!({
            "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {},
            "spec": sent["spec"], "status": {"allowed": true},
        }),
    };
    Ok(server::json(StatusCode::CREATED, encode(&document)))
}
