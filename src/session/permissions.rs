//! What we may do in a cluster, asked beforehand: a key that would be refused says so before it is pressed.
//!
//! Asked when somebody looks at a context, and again after five minutes of it; never for all contexts at once. An API
//! server that gives no answer keeps nobody from trying: what is not known is unknown, and not refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::view::{Need, Permission};
use crate::domain::text::clean;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::json::text;

/// An answer is good for so long.
const GOOD_FOR: Duration = Duration::from_mins(5);
/// Contexts that nobody looks at any more are not asked for ever.
const WATCHED: Duration = Duration::from_mins(15);
/// Namespaces that are asked about one by one; canaries live in few.
const MOST_NAMESPACES: usize = 16;
const MANAGER: &str = "pilothouse";

/// One thing that must be allowed: verb, group, resource, subresource, and whether it is in the lease's namespace instead
/// of the canaries'.
struct Wanted {
    need: Need,
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    of_lease: bool,
}

const fn wanted(need: Need, verb: &'static str, group: &'static str, resource: &'static str, subresource: &'static str) -> Wanted {
    Wanted { need, verb, group, resource, subresource, of_lease: false }
}

const WANTED: &[Wanted] = &[
    wanted(Need::Verbs, "patch", "flagger.app", "canaries", ""),
    Wanted { of_lease: true, ..wanted(Need::Drive, "create", "coordination.k8s.io", "leases", "") },
    Wanted { of_lease: true, ..wanted(Need::Drive, "update", "coordination.k8s.io", "leases", "") },
    wanted(Need::Drive, "update", "flagger.app", "canaries", "status"),
    wanted(Need::Drive, "patch", "apps", "deployments", ""),
    wanted(Need::Sync, "patch", "apps", "deployments", ""),
    wanted(Need::Sync, "patch", "", "services", ""),
    wanted(Need::Sync, "delete", "apps", "deployments", ""),
];

impl Wanted {
    fn words(&self) -> String {
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        let sub = if self.subresource.is_empty() { String::new() } else { format!("/{}", self.subresource) };
        format!("{} {}{group}{sub}", self.verb, self.resource)
    }
}

/// What is known of one context.
#[derive(Default)]
pub(super) struct Permissions {
    known: Mutex<Known>,
    asking: AtomicBool,
}

#[derive(Default)]
struct Known {
    answers: BTreeMap<Need, Permission>,
    /// When the answers came.
    at: Option<Instant>,
    /// When somebody wanted to know last.
    wanted: Option<Instant>,
}

enum Answer {
    Allowed,
    Denied(String),
    Unknown,
}

impl Permissions {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self) -> BTreeMap<Need, Permission> {
        self.known().answers.clone()
    }

    /// The cluster is another one.
    pub fn forget(&self) {
        *self.known() = Known::default();
    }

    /// Whether answers that somebody still looks at are old.
    pub fn is_due(&self) -> bool {
        let known = self.known();
        known.wanted.is_some_and(|at| at.elapsed() < WATCHED) && known.at.is_none_or(|at| at.elapsed() >= GOOD_FOR)
    }

    /// Somebody looks at the context now.
    pub fn want(&self) {
        self.known().wanted = Some(Instant::now());
    }

    /// Whether the caller is to ask: the answers are old, and nobody else asks.
    pub fn begin(&self) -> bool {
        self.is_due() && !self.asking.swap(true, Ordering::AcqRel)
    }

    /// Asks, one question after the other.
    pub async fn ask(&self, cluster: &Cluster, lease_namespace: &str) {
        let namespaces: BTreeSet<String> = cluster.store.canaries().into_iter().map(|key| key.namespace).collect();
        let mut answers = BTreeMap::new();
        for need in Need::ALL {
            let mut denials: Vec<(String, BTreeSet<String>)> = Vec::new();
            let mut unknown = false;
            for wanted in WANTED.iter().filter(|wanted| wanted.need == need) {
                let everywhere = if wanted.of_lease { lease_namespace } else { "" };
                match review(cluster, wanted, everywhere).await {
                    Answer::Allowed => {}
                    Answer::Unknown => unknown = true,
                    Answer::Denied(why) if wanted.of_lease || namespaces.is_empty() => denials.push((why, BTreeSet::new())),
                    // Not in all namespaces; perhaps in those that matter.
                    Answer::Denied(_) => {
                        let mut refused = BTreeSet::new();
                        let mut reason = String::new();
                        for namespace in namespaces.iter().take(MOST_NAMESPACES) {
                            match review(cluster, wanted, namespace).await {
                                Answer::Allowed => {}
                                Answer::Unknown => unknown = true,
                                Answer::Denied(why) => {
                                    refused.insert(clean(namespace));
                                    reason = why;
                                }
                            }
                        }
                        if refused.len() == namespaces.len() {
                            refused.clear();
                            denials.push((reason, refused));
                        } else if !refused.is_empty() {
                            denials.push((reason, refused));
                        }
                    }
                }
            }
            // What is refused everywhere says more than what is refused somewhere.
            denials.sort_by_key(|(_, namespaces)| !namespaces.is_empty());
            let answer = match denials.into_iter().next() {
                Some((why, namespaces)) => Permission::Denied { why, namespaces },
                None if unknown => Permission::Unknown,
                None => Permission::Allowed,
            };
            answers.insert(need, answer);
        }
        {
            let mut known = self.known();
            (known.answers, known.at) = (answers, Some(Instant::now()));
        }
        self.asking.store(false, Ordering::Release);
    }
}

async fn review(cluster: &Cluster, wanted: &Wanted, namespace: &str) -> Answer {
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": {
        "namespace": namespace, "verb": wanted.verb, "group": wanted.group, "resource": wanted.resource, "subresource": wanted.subresource}}});
    let Ok(reply) = cluster.access.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", MANAGER, &body).await else {
        return Answer::Unknown;
    };
    match reply.pointer("/status/allowed").and_then(serde_json::Value::as_bool) {
        Some(true) => Answer::Allowed,
        // An authorizer that failed has not said no.
        Some(false) if text(&reply, "/status/evaluationError").is_empty() || reply.pointer("/status/denied").is_some_and(|d| d == true) => {
            let reason = clean(text(&reply, "/status/reason"));
            let place = if namespace.is_empty() { "in all namespaces".to_owned() } else { format!("in {}", clean(namespace)) };
            let words = wanted.words();
            Answer::Denied(if reason.is_empty() {
                format!("may not {words} {place}")
            } else {
                format!("may not {words} {place}: {reason}")
            })
        }
        _ => Answer::Unknown,
    }
}
