//! The receiver of webhooks: gates that are open or closed, and a record of every call for assertions
//! (rollout-contract §5.3).

use std::collections::{BTreeSet, VecDeque};

use jiff::Timestamp;
use serde_json::Value;

use super::World;
use super::faults::WebhookFault;
use super::prometheus::refused;
use crate::kubernetes::json::text;

/// The newest calls are kept, so many of them.
const KEPT: usize = 10_000;
/// What every payload must have, as text.
const FIELDS: [&str; 4] = ["name", "namespace", "phase", "checksum"];
const APPROVED: (u16, &str) = (200, "Approved");
const FORBIDDEN: (u16, &str) = (403, "Forbidden");

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub at: Timestamp,
    pub path: String,
    /// `Null` where the body is no JSON.
    pub payload: Value,
    /// What it was answered.
    pub status: u16,
}

/// Gates and calls.
#[derive(Clone, Debug, Default)]
pub struct Webhooks {
    /// Open ones: kind, namespace, name.
    open: BTreeSet<(&'static str, String, String)>,
    calls: VecDeque<Call>,
}

impl Webhooks {
    /// The newest calls, oldest first.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter()
    }

    /// Opens or closes the gate that holds a rollout back.
    pub fn gate(&mut self, namespace: &str, name: &str, open: bool) {
        self.set("gate", namespace, name, open);
    }

    /// Opens or closes the gate that rolls back.
    pub fn rollback(&mut self, namespace: &str, name: &str, open: bool) {
        self.set("rollback", namespace, name, open);
    }

    fn set(&mut self, kind: &'static str, namespace: &str, name: &str, open: bool) {
        let gate = (kind, namespace.to_owned(), name.to_owned());
        if open {
            self.open.insert(gate);
        } else {
            self.open.remove(&gate);
        }
    }

    fn answer(&mut self, path: &str, payload: &Value) -> (u16, String) {
        let (namespace, name) = (text(payload, "/namespace"), text(payload, "/name"));
        if namespace.is_empty() || name.is_empty() {
            return (400, "the payload has no name and namespace".into());
        }
        let kind = if path.starts_with("/rollback/") { "rollback" } else { "gate" };
        let (status, body) = match path {
            "/gate/halt" => FORBIDDEN,
            "/gate/check" | "/rollback/check" => {
                if self.open.contains(&(kind, namespace.to_owned(), name.to_owned())) {
                    APPROVED
                } else {
                    FORBIDDEN
                }
            }
            "/gate/open" | "/rollback/open" | "/gate/close" | "/rollback/close" => {
                self.set(kind, namespace, name, path.ends_with("open"));
                // A gate is moved by people, who know of no phase.
                return (202, "Accepted".into());
            }
            // `/gate/approve` among them.
            _ => (200, "OK"),
        };
        match FIELDS.iter().find(|field| !payload.get(**field).is_some_and(Value::is_string)) {
            Some(missing) => (400, format!("the payload has no {missing}")),
            None => (status, body.into()),
        }
    }
}

impl World {
    /// The answer of the receiver to a call, as status and body.
    pub fn webhook(&mut self, now: Timestamp, path: &str, body: &[u8]) -> (u16, String) {
        let path = path.split('?').next().unwrap_or_default();
        let payload: Value = serde_json::from_slice(body).unwrap_or_default();
        let (status, body) = match self.faults.webhooks {
            Some(WebhookFault::Refusing) => return (503, refused("loadtester")),
            Some(WebhookFault::Failing) => (500, "Internal Server Error".into()),
            _ if path == "/healthz" => return (200, "OK".into()),
            _ if payload.is_null() => (400, "the body is no JSON".into()),
            _ => self.webhooks.answer(path, &payload),
        };
        let calls = &mut self.webhooks.calls;
        if calls.len() == KEPT {
            calls.pop_front();
        }
        calls.push_back(Call { at: now, path: path.to_owned(), payload, status });
        (status, body)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::Bench;
    use super::*;

    fn call(bench: &mut Bench, path: &str, name: &str) -> u16 {
        let body = json!({"name": name, "namespace": "test", "phase": "Progressing", "checksum": "abc"}).to_string();
        bench.world.webhook(bench.now(), path, body.as_bytes()).0
    }

    #[test]
    fn gates_are_closed_until_opened_each_by_itself() {
        let mut bench = Bench::new();
        for (path, status) in
            [("/", 200), ("/gate/approve", 200), ("/gate/halt", 403), ("/gate/check", 403), ("/rollback/check", 403), ("/any", 200)]
        {
            assert_eq!(call(&mut bench, path, "web"), status, "{path}");
        }
        assert_eq!(call(&mut bench, "/gate/open", "web"), 202);
        let seen: Vec<u16> = [("/gate/check", "web"), ("/gate/check", "api"), ("/rollback/check", "web")]
            .into_iter()
            .map(|(path, name)| call(&mut bench, path, name))
            .collect();
        assert_eq!(seen, [200, 403, 403]);
        bench.world.webhooks().gate("test", "web", false);
        bench.world.webhooks().rollback("test", "web", true);
        assert_eq!((call(&mut bench, "/gate/check", "web"), call(&mut bench, "/rollback/check", "web")), (403, 200));
    }

    #[test]
    fn every_call_is_kept_and_must_say_what_it_is_about() {
        let mut bench = Bench::new();
        let now = bench.now();
        assert_eq!(bench.world.webhook(now, "/x", b"no json").0, 400);
        let (status, why) = bench.world.webhook(now, "/x?y=z", br#"{"name":"web","namespace":"test","phase":"Progressing"}"#);
        assert_eq!((status, why.as_str()), (400, "the payload has no checksum"));
        assert_eq!(call(&mut bench, "/x", "web"), 200);
        let calls: Vec<_> = bench.world.webhooks().calls().map(|c| (c.path.as_str(), c.status)).collect();
        assert_eq!(calls, [("/x", 400), ("/x", 400), ("/x", 200)]);
    }

    #[test]
    fn faults_come_before_answers() {
        let mut bench = Bench::new();
        bench.world.faults().webhooks = Some(WebhookFault::Failing);
        assert_eq!(call(&mut bench, "/gate/approve", "web"), 500);
        bench.world.faults().webhooks = Some(WebhookFault::Refusing);
        assert_eq!(call(&mut bench, "/gate/approve", "web"), 503);
        bench.world.faults().heal();
        assert_eq!(call(&mut bench, "/gate/approve", "web"), 200);
    }
}
