//! How a connected cluster stands: whether it is heard, who drives it, how old what is known of it is.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::view::{DriverView, Link};
use super::super::{beat, show};
use super::{Context, lock};
use crate::domain::driver::Drive;
use crate::domain::text::clean;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::error::ApiError;
use crate::kubernetes::kinds::Kind;
use crate::kubernetes::lease::{self, Claim, Lease};
use crate::kubernetes::store::WatchState;
use crate::kubernetes::transport::Pulse;
use crate::runner::ports::Leadership as _;

/// How often an observer asks who drives, and so whether the cluster answers.
const LOOK: Duration = Duration::from_secs(10);
/// The same where watches and the connection itself tell of both: whether the credential still holds.
const LOOK_CALM: Duration = Duration::from_mins(5);
/// How often a quiet cluster is shown anew, for the age of its data alone; all of a fleet at one beat.
const SHOWN_ANEW: Duration = Duration::from_mins(1);
/// How often one that is not calm is looked at.
const TICK: Duration = Duration::from_secs(1);

/// Who holds the lease, as far as this process was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Holder {
    /// Nobody has told yet.
    #[default]
    Unknown,
    Nobody,
    Somebody(String),
}

impl From<Option<String>> for Holder {
    fn from(holder: Option<String>) -> Self {
        holder.map_or(Self::Nobody, Self::Somebody)
    }
}

impl Context {
    /// Notes what the API server calls its version.
    pub(super) async fn ask_version(self: Arc<Self>, cluster: Arc<Cluster>) {
        if let Ok(version) = cluster.access.get("/version").await {
            *lock(&self.version) = Some(clean(crate::kubernetes::json::text(&version, "/gitVersion")));
            self.ring();
        }
    }

    /// Who holds the lease, as its watch has it, else as it was asked for last.
    fn holder(&self, cluster: &Cluster) -> Holder {
        if cluster.store.state(Kind::Claim) == WatchState::Live {
            let lease = cluster.store.get(Kind::Claim, &self.settings.lease_namespace, lease::NAME);
            return lease.and_then(|lease| lease::live_holder(&lease, cluster.clock.now())).into();
        }
        lock(&self.holder).clone()
    }

    /// A connection that lives, with no watch on it that has failed, says that what is known is not older than its bound.
    fn feel(cluster: &Cluster, pulse: &Pulse) {
        let Some(bound) = pulse.bound().filter(|_| cluster.store.has_answers() && show::degraded(cluster).is_none()) else { return };
        let proven = cluster.clock.now() - bound;
        if cluster.store.heard().is_some_and(|heard| heard < proven) {
            cluster.store.hear(proven);
        }
    }

    /// Keeps the link's state, and for observers who holds the lease.
    pub(super) async fn watch_link(self: Arc<Self>, cluster: Arc<Cluster>) {
        let pulse = lock(&self.pulse).clone();
        // Where the connection has a pulse, the watches tell.
        let mut looked = if pulse.bound().is_some() { Some(tokio::time::Instant::now()) } else { None };
        let mut known = Holder::Unknown;
        let mut unheard: Option<(Timestamp, String)> = None;
        let mut denied: Option<String> = None;
        let mut told = tokio::time::Instant::now();
        let mut promoted = false;
        let mut resuming = !lock(&self.link).is_live();
        loop {
            let calm = pulse.bound().is_some()
                && lock(&self.link).is_live()
                && cluster.store.has_recovered()
                && self.lease().is_none()
                && known == Holder::Nobody;
            let mut news = tokio::select! {
                biased;
                () = cluster.store.changed.notified() => true,
                () = beat::next(if calm { SHOWN_ANEW } else { TICK }) => false,
            };
            if let (true, Some(sync)) = (news, &self.sync) {
                // A ref counts as promoted from the moment its last canary came through, not from the sync's next turn.
                let now = self.shown.all_promoted(&cluster, &self.reports, &self.series);
                if now && !promoted {
                    sync.kick.notify_one();
                }
                promoted = now;
            }
            let holds = self.lease().is_some_and(|lease| lease.may_write());
            // News come between two beats and put none off.
            let every = if calm { LOOK_CALM.saturating_sub(TICK) } else { LOOK };
            if !holds && looked.is_none_or(|at| at.elapsed() >= every) {
                looked = Some(tokio::time::Instant::now());
                self.renew_permissions();
                match Lease::holder(&cluster.access, &self.settings.lease_namespace, cluster.clock.now()).await {
                    Ok(holder) => {
                        cluster.store.hear(cluster.clock.now());
                        *lock(&self.holder) = holder.into();
                        (unheard, denied) = (None, None);
                    }
                    Err(error @ ApiError::Unauthorized { .. }) => denied = Some(error.to_string()),
                    Err(error @ (ApiError::Timeout { .. } | ApiError::Unreachable { .. })) => {
                        unheard = unheard.or_else(|| Some((cluster.clock.now(), error.to_string())));
                    }
                    Err(_) => *lock(&self.holder) = Holder::Nobody,
                }
            }
            if !holds {
                let holder = self.holder(&cluster);
                news |= std::mem::replace(&mut known, holder.clone()) != holder;
            }
            Self::feel(&cluster, &pulse);
            if holds {
                // Renewals of the lease are answers too, and idle clusters give no others.
                cluster.store.hear(cluster.clock.now());
            }
            let silent = self.lease().and_then(|lease| match lease.claim() {
                Claim::Lost(why) => Some((cluster.clock.now(), why)),
                _ => None,
            });
            if holds {
                (unheard, denied) = (None, None);
            }
            if let Some(why) = &denied {
                self.set_link(self.since_when(Link::Unauthorized { since: cluster.clock.now(), why: clean(why) }));
                continue;
            }
            if resuming && !cluster.store.has_answers() {
                // The rows are of before; they stay dated until the new watches have seen them.
                continue;
            }
            resuming = false;
            if let Some((since, why)) = show::degraded(&cluster).or(silent).or_else(|| unheard.clone()) {
                self.stale(since, why);
                if news {
                    self.ring();
                }
            } else {
                let was_live = std::mem::replace(&mut *lock(&self.link), Link::Live).is_live();
                if news || !was_live || told.elapsed() >= SHOWN_ANEW.saturating_sub(TICK) {
                    told = tokio::time::Instant::now();
                    self.ring();
                }
            }
        }
    }

    pub(super) fn stale(&self, since: Timestamp, why: String) {
        let mut link = lock(&self.link);
        let since = match &*link {
            Link::Stale { since, .. } => *since,
            _ => since,
        };
        let next = Link::Stale { since, why: clean(&why) };
        if *link != next {
            *link = next;
            drop(link);
            self.ring();
        }
    }

    pub(super) fn driver(&self, cluster: Option<&Cluster>) -> DriverView {
        let Some(cluster) = cluster else { return DriverView::Unknown };
        if let Some(why) = self.flagger(cluster) {
            return DriverView::Flagger { why };
        }
        match self.lease().map(|l| l.claim()) {
            Some(Claim::Held) => DriverView::Here,
            Some(Claim::Other(holder)) => DriverView::Elsewhere { holder },
            Some(Claim::Denied(why) | Claim::Lost(why)) => DriverView::Nobody { why },
            Some(Claim::Unknown) => DriverView::Unknown,
            None => match self.holder(cluster) {
                Holder::Unknown => DriverView::Unknown,
                Holder::Somebody(holder) => DriverView::Elsewhere { holder },
                Holder::Nobody if lock(&self.twin).is_some() => DriverView::Nobody { why: "another row has the same cluster".into() },
                Holder::Nobody if self.provider.drive == Drive::Observe => DriverView::Nobody { why: "drive: observe".into() },
                Holder::Nobody => DriverView::Nobody { why: "nobody holds the lease".into() },
            },
        }
    }
}
