//! The load tester's gates (rollout-contract §5.3): open or closed by name, in memory, closed at first.
//!
//! They are for whoever has webhooks that point at a load tester's `/gate/check`; a gate that binds to a revision, and is on
//! record, is the native one (`pilothouse approve`).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::any;
use serde::Deserialize;

/// Longest payload, in bytes: a name, a namespace and some metadata.
const LONGEST: usize = 64 * 1024;

/// Which gates are open, by `NAME.NAMESPACE`; rollbacks stand among them as `rollback.NAME.NAMESPACE`.
#[derive(Clone, Default)]
struct Gates {
    open: Arc<Mutex<BTreeSet<String>>>,
}

/// What every call says; more is allowed and not read.
#[derive(Deserialize)]
struct Payload {
    name: String,
    namespace: String,
}

type Reply = (StatusCode, String);

/// `/gate/…` and `/rollback/…`.
pub(super) fn router() -> Router {
    Router::new()
        .route("/gate/{verb}", any(gate))
        .route("/rollback/{verb}", any(rollback))
        .layer(DefaultBodyLimit::max(LONGEST))
        .with_state(Gates::default())
}

async fn gate(State(gates): State<Gates>, Path(verb): Path<String>, body: Bytes) -> Reply {
    gates.answer(&verb, &body, "")
}

async fn rollback(State(gates): State<Gates>, Path(verb): Path<String>, body: Bytes) -> Reply {
    gates.answer(&verb, &body, "rollback.")
}

impl Gates {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, verb: &str, body: &[u8], prefix: &str) -> Reply {
        let said = |status, words: &str| (status, words.to_owned());
        let known: &[&str] = if prefix.is_empty() { &["approve", "halt", "check", "open", "close"] } else { &["check", "open", "close"] };
        if !known.contains(&verb) {
            return said(StatusCode::NOT_FOUND, &format!("no such gate call; known are {}", known.join(", ")));
        }
        match verb {
            "approve" => return said(StatusCode::OK, "OK"),
            "halt" => return said(StatusCode::FORBIDDEN, "Forbidden"),
            _ => {}
        }
        let payload: Payload = match serde_json::from_slice(body) {
            Ok(payload) => payload,
            Err(error) => return said(StatusCode::BAD_REQUEST, &format!("the payload needs name and namespace: {error}")),
        };
        let name = format!("{prefix}{}.{}", payload.name, payload.namespace);
        match verb {
            "open" => {
                self.lock().insert(name);
                said(StatusCode::ACCEPTED, "")
            }
            "close" => {
                self.lock().remove(&name);
                said(StatusCode::ACCEPTED, "")
            }
            _ if self.lock().contains(&name) => said(StatusCode::OK, "Approved"),
            _ => said(StatusCode::FORBIDDEN, "Forbidden"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_closed_at_first_and_rollbacks_are_gates_of_their_own() {
        let gates = Gates::default();
        let web = br#"{"name": "web", "namespace": "app", "phase": "Progressing", "metadata": {"a": "b"}}"#;
        let ask = |verb: &str, prefix: &str| gates.answer(verb, web, prefix).0.as_u16();
        assert_eq!((ask("approve", ""), ask("halt", ""), ask("check", "")), (200, 403, 403));
        assert_eq!((ask("open", ""), ask("check", ""), ask("check", "rollback.")), (202, 200, 403));
        assert_eq!((ask("open", "rollback."), ask("close", ""), ask("check", ""), ask("check", "rollback.")), (202, 202, 403, 200));
        assert_eq!((ask("approve", "rollback."), ask("sideways", "")), (404, 404));
        for body in [&b"{"[..], b"{}", b""] {
            assert_eq!(gates.answer("check", body, "").0, StatusCode::BAD_REQUEST);
        }
    }
}
