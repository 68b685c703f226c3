//! Operators' verbs on their way to whoever drives: one annotation each, sent once and looked for after.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::{Access, Patch};
use super::error::ApiError;
use super::json::{annotation, text};
use super::kinds::Kind;
use crate::domain::intent::{ANNOTATION_PREFIX, Intent, Verdict};
use crate::domain::target::CanaryKey;

const MANAGER: &str = "pilothouse-operator";
/// Tries against writes of others in between.
const TRIES: usize = 5;

/// Who we are to this API server: a claim, and not a security boundary.
///
/// # Errors
/// As the API server answers.
pub async fn who(access: &Access) -> Result<String, ApiError> {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let reply = access.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", MANAGER, &body).await?;
    let name = crate::domain::text::clean(text(&reply, "/status/userInfo/username"));
    Ok(if name.is_empty() { "unknown".into() } else { name })
}

/// Whether an intent of this id was taken or is still on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Settled(Verdict),
    Waiting,
    /// Neither there nor decided: it never arrived.
    Unknown,
}

/// What became of intent `id` of `canary`.
#[must_use]
pub fn fate(canary: &Value, id: &str) -> Fate {
    let status = super::observe::status(canary);
    if let Some(verdict) = status.engine().verdict(id) {
        return Fate::Settled(verdict.clone().cleaned());
    }
    if annotation(canary, &format!("{ANNOTATION_PREFIX}{id}")).is_some() { Fate::Waiting } else { Fate::Unknown }
}

/// Reads the Canary.
///
/// # Errors
/// As the API server answers.
pub async fn read(access: &Access, key: &CanaryKey) -> Result<Value, ApiError> {
    access.get(&Kind::Canary.path(&key.namespace, &key.name)).await
}

/// Puts `intent` on the Canary. After a conflict or a lost reply its id is looked for before it is sent again.
///
/// # Errors
/// As the API server answers; the intent is then not on the object, as far as can be told.
pub async fn send(access: &Access, key: &CanaryKey, intent: &Intent) -> Result<(), ApiError> {
    let path = Kind::Canary.path(&key.namespace, &key.name);
    let value = serde_json::to_string(intent).unwrap_or_default();
    let mut tried = 0;
    loop {
        let canary = access.get(&path).await?;
        if fate(&canary, &intent.id) != Fate::Unknown {
            return Ok(());
        }
        let version = text(&canary, "/metadata/resourceVersion");
        let body = json!({"metadata": {"resourceVersion": version, "annotations": {format!("{ANNOTATION_PREFIX}{}", intent.id): value}}});
        tried += 1;
        match access.patch(&path, MANAGER, Patch::Merge, &body).await {
            Ok(_) => return Ok(()),
            Err(error @ (ApiError::Conflict { .. } | ApiError::Timeout { .. } | ApiError::Unreachable { .. })) if tried < TRIES => {
                tracing::debug!(%error, "intent not known to have arrived: looking for it");
            }
            Err(error) => return Err(error),
        }
    }
}

/// An id that no other intent has: time, process, and a count within the process.
#[must_use]
pub fn new_id(now: Timestamp) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{:x}-{:x}-{:x}", now.as_nanosecond(), std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
