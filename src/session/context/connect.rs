//! Getting connected and staying so: credentials, places, tries, and what calls for another connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::view::{CredentialView, Link};
use super::link::Holder;
use super::{CONNECT, Context, lock};
use crate::domain::text::clean;
use crate::kubernetes::access::Access;
use crate::kubernetes::cluster::{Cluster, Policy};
use crate::kubernetes::contexts::{Connection, ContextError};
use crate::kubernetes::error::ApiError;
use crate::kubernetes::json::text;

const FIRST_RETRY: Duration = Duration::from_secs(2);
const SLOWEST_RETRY: Duration = Duration::from_secs(30);
/// A connection that takes longer only waits, and lets others begin.
const TURN: Duration = Duration::from_millis(250);

impl Context {
    /// Connects, and stays connected, until the task is dropped.
    pub(in crate::session) async fn run(self: Arc<Self>) {
        let mut retry = FIRST_RETRY;
        let mut calls = self.calls.subscribe();
        loop {
            calls.borrow_and_update();
            if self.moved.swap(false, Ordering::AcqRel) {
                self.set_out();
            }
            self.look_at_credential().await;
            let connected = self.connect().await;
            self.look_at_credential().await;
            match connected {
                Ok((cluster, connection)) => {
                    retry = FIRST_RETRY;
                    let known = self.cluster.send_replace(Some(Arc::clone(&cluster)));
                    if known.is_none() {
                        self.set_link(Link::Live);
                    }
                    Arc::clone(&self).live(cluster, &connection, &mut calls).await;
                }
                Err(link) => {
                    tracing::warn!(context = %self.name, ?link, "not connected");
                    self.set_link(self.since_when(link));
                    // Contexts that failed together do not come back together.
                    let wait = retry.mul_f64(0.8 + 0.4 * fastrand::f64());
                    tokio::select! {
                        biased;
                        _ = calls.changed() => retry = FIRST_RETRY,
                        () = tokio::time::sleep(wait) => retry = (retry * 2).min(SLOWEST_RETRY),
                    }
                }
            }
        }
    }

    /// Forgets the cluster that the name led to.
    fn set_out(&self) {
        self.cluster.send_replace(None);
        lock(&self.remembered).take();
        (*lock(&self.holder), *lock(&self.version)) = (Holder::Unknown, None);
        lock(&self.problems).clear();
        self.permissions.forget();
        self.set_link(Link::Connecting { since: self.settings.clock.now() });
    }

    /// `link`, a failure, dated by when it began; what has answered once is stale, and not unreachable.
    pub(super) fn since_when(&self, link: Link) -> Link {
        let began = match &*lock(&self.link) {
            Link::Unreachable { since, .. } | Link::Unauthorized { since, .. } | Link::Connecting { since } | Link::Stale { since, .. } => {
                *since
            }
            Link::Live => self.settings.clock.now(),
        };
        match link {
            Link::Unauthorized { why, .. } => Link::Unauthorized { since: began, why },
            Link::Unreachable { why, .. } if self.cluster().is_some() => Link::Stale { since: began, why },
            Link::Unreachable { why, .. } => Link::Unreachable { since: began, why },
            other => other,
        }
    }

    async fn connect(&self) -> Result<(Arc<Cluster>, Connection), Link> {
        let now = self.settings.clock.now();
        let unreachable = |why: String| Link::Unreachable { since: now, why: clean(&why) };
        let unauthorized = |why: String| Link::Unauthorized { since: now, why: clean(&why) };
        // A plugin takes its own time, which is not the network's, and goes on when this wait is over.
        match tokio::time::timeout(CONNECT, self.contexts.authenticate(&self.name)).await {
            Ok(Ok(())) => {}
            Ok(Err(ContextError::Credential { cause, .. })) => return Err(unauthorized(cause.to_string())),
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => {
                let plugin = self.contexts.waits_for(&self.name).unwrap_or_default();
                return Err(unauthorized(format!("credential plugin {plugin} has not answered yet: it may wait for a person")));
            }
        }
        let attempt = async {
            let connection = self.contexts.connect(&self.name).await.map_err(|error| match error {
                ContextError::Credential { cause, .. } => unauthorized(cause.to_string()),
                other => unreachable(other.to_string()),
            })?;
            let access = Access::new(connection.client.clone());
            match crate::kubernetes::verbs::who(&access).await {
                Err(error @ ApiError::Unauthorized { .. }) => return Err(unauthorized(error.to_string())),
                Err(error @ (ApiError::Timeout { .. } | ApiError::Unreachable { .. } | ApiError::Refused { code: 500.., .. })) => {
                    return Err(unreachable(error.to_string()));
                }
                Ok(_) | Err(ApiError::Forbidden { .. }) => {}
                // An old server, which does not know the question; or something else that answers at this address.
                Err(_) => match access.get("/version").await {
                    Err(ApiError::Forbidden { .. }) => {}
                    Ok(version) if !text(&version, "/gitVersion").is_empty() => {}
                    _ => {
                        let why = "what answers there is no Kubernetes API server: correct `server` in the kubeconfig";
                        return Err(unreachable(why.into()));
                    }
                },
            }
            let client = connection.client.clone();
            let cluster = if let Some(known) = self.cluster() {
                known.by(client)
            } else {
                let policy = Policy::new(self.provider.drive, self.provider.mesh.clone(), self.settings.fleet.engine.clone());
                Cluster::new(client, policy, self.settings.clock.clone())
            };
            Ok((Arc::new(cluster), connection))
        };
        let place = self.places.acquire().await;
        let mut attempt = std::pin::pin!(tokio::time::timeout(CONNECT, attempt));
        let quick = tokio::time::timeout(TURN, &mut attempt).await;
        drop(place);
        let done = match quick {
            Ok(done) => done,
            Err(_) => attempt.await,
        };
        done.unwrap_or_else(|_| Err(unreachable(format!("no answer within {}s", CONNECT.as_secs()))))
    }

    pub(super) fn call(&self) {
        self.calls.send_modify(|count| *count += 1);
    }

    /// Tries again at once where the cluster is not reached: somebody has logged in, say.
    pub fn retry_now(&self) {
        if !lock(&self.link).is_live() {
            self.call();
        }
    }

    /// This machine has slept for `gap`: nothing is known to be as it was, and connections of before are dead.
    pub(in crate::session) fn woke(&self, gap: Duration) {
        if self.cluster().is_some() {
            self.stale(self.settings.clock.now(), format!("this machine slept for {}s; looking again", gap.as_secs()));
        }
        self.call();
    }

    async fn look_at_credential(self: &Arc<Self>) {
        let this = Arc::clone(self);
        // What cannot be read now is read at the next beat.
        let _ = tokio::task::spawn_blocking(move || this.read_credential()).await;
    }

    /// Reads when the credential ends; certificates may be files.
    pub(in crate::session) fn read_credential(&self) {
        let found = self.contexts.credential(&self.name);
        let next = found.map(|c| CredentialView { plugin: c.plugin, expires: c.expires, interactive: c.interactive, user: c.user });
        if std::mem::replace(&mut *lock(&self.credential), next.clone()) != next {
            self.ring();
        }
    }
}
