//! The claim to be a cluster's only writer: one Lease `pilothouse`.
//!
//! A claim ends at the earlier of the monotonic and the wall clock, less the time a request may take: a
//! process that slept, or whose clock was set back, finds out before it writes. Who finds the Lease held
//! waits it out by its own clock, counted from the moment it saw the holder's last renewal.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::access::Access;
use super::error::ApiError;
use super::json::{integer, text};
use crate::runner::ports::{Clock, Leadership};

pub const NAME: &str = "pilothouse";
pub const NAMESPACE: &str = "pilothouse-system";
const DURATION: Duration = Duration::from_secs(15);
const RENEW: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_secs(2);
/// What is left of the claim must cover a request that starts now.
const MARGIN: Duration = super::access::DEADLINE;
/// A renewal that takes longer is tried again while there is time.
const RENEWAL: Duration = Duration::from_secs(3);
const MANAGER: &str = "pilothouse-lease";

/// How the claim stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    Unknown,
    Held,
    /// Another process has it.
    Other(String),
    /// We may not have it.
    Denied(String),
    /// Given up, or the API server cannot be reached.
    Lost(String),
}

struct Until {
    /// By [`Clock::running`].
    monotonic: Duration,
    wall: Timestamp,
}

/// One cluster's claim.
pub struct Lease {
    access: Access,
    namespace: String,
    identity: String,
    clock: Clock,
    until: Mutex<Option<Until>>,
    state: watch::Sender<Claim>,
}

impl Leadership for Lease {
    fn may_write(&self) -> bool {
        self.until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .is_some_and(|until| self.clock.running() < until.monotonic && self.clock.now() < until.wall)
    }
}

struct Seen {
    holder: String,
    renewed: String,
    /// By [`Clock::running`].
    at: Duration,
    duration: Duration,
}

impl Lease {
    #[must_use]
    pub fn new(mut access: Access, namespace: &str, identity: String, clock: Clock) -> Arc<Self> {
        access.deadline = RENEWAL;
        let (state, _) = watch::channel(Claim::Unknown);
        Arc::new(Self { access, namespace: namespace.into(), identity, clock, until: Mutex::new(None), state })
    }

    /// Follows the claim.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<Claim> {
        self.state.subscribe()
    }

    #[must_use]
    pub fn claim(&self) -> Claim {
        self.state.borrow().clone()
    }

    fn path(&self, name: &str) -> String {
        let name = if name.is_empty() { String::new() } else { format!("/{name}") };
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases{name}", self.namespace)
    }

    /// Who holds the Lease now, by its own word; `None` where nobody does.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn holder(access: &Access, namespace: &str, now: Timestamp) -> Result<Option<String>, ApiError> {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{NAME}");
        match access.get(&path).await {
            Ok(lease) => Ok(live_holder(&lease, now)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes and keeps the Lease until the task is dropped; call [`Lease::release`] then.
    pub async fn keep(self: Arc<Self>) {
        let mut seen: Option<Seen> = None;
        // The Lease as our last renewal left it.
        let mut ours: Option<Value> = None;
        loop {
            let started = (self.clock.running(), self.clock.now());
            let wait = match self.turn(&mut seen, &mut ours).await {
                Ok(None) => {
                    let margin = self.clock.lived(DURATION.saturating_sub(MARGIN));
                    let wall = started.1.checked_add(SignedDuration::try_from(margin).unwrap_or_default()).unwrap_or(started.1);
                    *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Until { monotonic: started.0 + margin, wall });
                    self.set(Claim::Held);
                    RENEW
                }
                Ok(Some(other)) => {
                    self.drop_claim();
                    self.set(Claim::Other(other));
                    RETRY
                }
                Err(error) if error.is_denied() => {
                    self.drop_claim();
                    self.set(Claim::Denied(error.to_string()));
                    RENEW
                }
                Err(error) => {
                    if !self.may_write() {
                        self.drop_claim();
                        self.set(Claim::Lost(error.to_string()));
                    }
                    // A conflict is somebody's write in between: look at once.
                    if error.is_conflict() { Duration::from_millis(200) } else { RETRY }
                }
            };
            // Renewals race with the machine and the network, whatever the speed of the clock.
            tokio::time::sleep(wait).await;
        }
    }

    /// What the Lease says it is good for, in seconds of its clock.
    fn seconds(&self) -> u64 {
        self.clock.lived(DURATION).as_secs()
    }

    fn set(&self, claim: Claim) {
        self.state.send_if_modified(|known| {
            let news = *known != claim;
            if news {
                tracing::info!(?claim, "lease");
                *known = claim;
            }
            news
        });
    }

    fn drop_claim(&self) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// One write where the Lease is as we left it, else one look and at most one write: `None` when the Lease is ours,
    /// else its holder.
    async fn turn(&self, seen: &mut Option<Seen>, ours: &mut Option<Value>) -> Result<Option<String>, ApiError> {
        if let Some(mut known) = ours.take() {
            known["spec"]["renewTime"] = json!(micro(self.clock.now()));
            match self.access.put(&self.path(NAME), MANAGER, &known).await {
                Ok(renewed) => {
                    *ours = Some(renewed);
                    return Ok(None);
                }
                // Somebody has written it, or taken it away, since.
                Err(error) if error.is_conflict() || error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let lease = match self.access.get(&self.path(NAME)).await {
            Ok(lease) => lease,
            Err(error) if error.is_not_found() => {
                self.create().await?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let holder = text(&lease, "/spec/holderIdentity");
        if !holder.is_empty() && holder != self.identity {
            let renewed = text(&lease, "/spec/renewTime").to_owned();
            let duration =
                Duration::from_secs(integer(&lease, "/spec/leaseDurationSeconds").and_then(|s| u64::try_from(s).ok()).unwrap_or(15));
            let known = seen.take().filter(|s| s.holder == holder && s.renewed == renewed);
            let known = known.unwrap_or_else(|| Seen { holder: holder.into(), renewed, at: self.clock.running(), duration });
            let expired = self.clock.running().saturating_sub(known.at) > known.duration;
            let holder = known.holder.clone();
            *seen = Some(known);
            if !expired {
                return Ok(Some(crate::domain::text::clean(&holder)));
            }
        }
        let mut next = lease.clone();
        let taken_over = holder != self.identity;
        next["spec"]["holderIdentity"] = json!(self.identity);
        next["spec"]["leaseDurationSeconds"] = json!(self.seconds());
        next["spec"]["renewTime"] = json!(micro(self.clock.now()));
        if taken_over {
            next["spec"]["acquireTime"] = json!(micro(self.clock.now()));
            next["spec"]["leaseTransitions"] = json!(integer(&lease, "/spec/leaseTransitions").unwrap_or(0) + 1);
        }
        *ours = Some(self.access.put(&self.path(NAME), MANAGER, &next).await?);
        Ok(None)
    }

    async fn create(&self) -> Result<(), ApiError> {
        let now = micro(self.clock.now());
        let body = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME, "namespace": self.namespace},
            "spec": {"holderIdentity": self.identity, "leaseDurationSeconds": self.seconds(), "acquireTime": now, "renewTime": now, "leaseTransitions": 0}});
        match self.access.post(&self.path(""), MANAGER, &body).await {
            Err(error) if error.is_not_found() => {
                let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
                match self.access.post("/api/v1/namespaces", MANAGER, &namespace).await {
                    Ok(_) => {}
                    Err(error) if error.is_conflict() => {}
                    Err(error) => return Err(error),
                }
                self.access.post(&self.path(""), MANAGER, &body).await.map(|_| ())
            }
            other => other.map(|_| ()),
        }
    }

    /// Hands the Lease over: the next one need not wait it out.
    pub async fn release(&self) {
        self.drop_claim();
        if let Ok(mut lease) = self.access.get(&self.path(NAME)).await
            && text(&lease, "/spec/holderIdentity") == self.identity
        {
            lease["spec"]["holderIdentity"] = json!("");
            lease["spec"]["leaseDurationSeconds"] = json!(1);
            lease["spec"]["renewTime"] = json!(micro(self.clock.now()));
            if let Err(error) = self.access.put(&self.path(NAME), MANAGER, &lease).await {
                tracing::warn!(%error, "lease not handed over; it expires by itself");
            }
        }
        self.set(Claim::Lost("handed over".into()));
    }
}

/// The holder whose claim has not run out by the Lease's own times.
#[must_use]
pub fn live_holder(lease: &Value, now: Timestamp) -> Option<String> {
    let holder = text(lease, "/spec/holderIdentity");
    let renewed: Timestamp = text(lease, "/spec/renewTime").parse().ok()?;
    let seconds = integer(lease, "/spec/leaseDurationSeconds").unwrap_or(15);
    let live = now.duration_since(renewed).as_secs() <= seconds;
    (!holder.is_empty() && live).then(|| crate::domain::text::clean(holder))
}

/// `metav1.MicroTime` has exactly six digits.
fn micro(at: Timestamp) -> String {
    format!("{at:.6}")
}
