//! One context: connect, watch, drive where told to, and say how it stands. It never ends by itself, and
//! nothing it does can delay another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::analyst::{Analyst, Brief};
use super::driving::{self, Scope};
use super::series::{self, Series};
use super::sync::{self, SyncStatus};
use super::view::{ContextView, DriverView, Link};
use super::{fleet::Settings, show};
use crate::domain::driver::Drive;
use crate::domain::fleet::Provider;
use crate::domain::text::clean;
use crate::kubernetes::access::Access;
use crate::kubernetes::cluster::{Cluster, Policy};
use crate::kubernetes::contexts::Contexts;
use crate::kubernetes::error::ApiError;
use crate::kubernetes::kinds::Kind;
use crate::kubernetes::lease::{Claim, Lease};
use crate::kubernetes::observe::flagger_traces;
use crate::kubernetes::store::WatchState;
use crate::metrics::prometheus::Source;
use crate::runner::ports::Leadership as _;
use crate::runner::rollouts::Reports;
use crate::runner::tally::Tally;

/// A context has this long to answer before it is shown as a dated row.
pub const CONNECT: Duration = Duration::from_secs(8);
/// How long a verb waits for what it has to tell.
const FAREWELL: Duration = Duration::from_secs(5);
const SLOWEST_RETRY: Duration = Duration::from_secs(30);
/// How often an observer asks who drives.
const LOOK: Duration = Duration::from_secs(10);

/// How often a quiet cluster is shown anew, for the age of its data alone.
const SHOWN_ANEW: Duration = Duration::from_mins(1);

/// One context of the fleet.
pub struct Context {
    pub name: String,
    pub provider: Provider,
    settings: Arc<Settings>,
    contexts: Contexts,
    link: Mutex<Link>,
    cluster: watch::Sender<Option<Arc<Cluster>>>,
    lease: Mutex<Option<Arc<Lease>>>,
    /// Whether this process is to drive.
    pub drive: watch::Sender<bool>,
    holder: Mutex<Option<String>>,
    version: Mutex<Option<String>>,
    problems: Mutex<Vec<String>>,
    reports: Arc<Reports>,
    series: Arc<Series>,
    shown: Arc<show::Shown>,
    pub sync: Option<Arc<SyncStatus>>,
    changed: Arc<Notify>,
    /// Something of this context has changed since its view was taken last.
    dirty: Arc<AtomicBool>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    pub(super) fn new(name: &str, provider: Provider, settings: Arc<Settings>, contexts: Contexts, changed: Arc<Notify>) -> Arc<Self> {
        let sync = settings.sync_source(&provider).map(|source| Arc::new(SyncStatus::new(&source)));
        Arc::new(Self {
            name: name.into(),
            link: Mutex::new(Link::Connecting { since: settings.clock.now() }),
            cluster: watch::channel(None).0,
            lease: Mutex::default(),
            drive: watch::channel(settings.drive && provider.drive != Drive::Observe).0,
            holder: Mutex::default(),
            version: Mutex::default(),
            problems: Mutex::default(),
            reports: Arc::new(Reports::counted(Tally::new(Arc::clone(&settings.figures), clean(name)))),
            series: Arc::default(),
            shown: Arc::default(),
            sync,
            provider,
            settings,
            contexts,
            changed,
            dirty: Arc::new(AtomicBool::new(true)),
        })
    }

    /// The cluster, once it has answered.
    #[must_use]
    pub fn cluster(&self) -> Option<Arc<Cluster>> {
        self.cluster.borrow().clone()
    }

    /// The lease that this process keeps, while it does.
    #[must_use]
    pub fn lease(&self) -> Option<Arc<Lease>> {
        lock(&self.lease).clone()
    }

    fn set_link(&self, link: Link) {
        *lock(&self.link) = link;
        self.ring();
    }

    fn ring(&self) {
        self.dirty.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    fn news(&self) -> Arc<dyn Fn() + Send + Sync> {
        let (changed, dirty, shown) = (Arc::clone(&self.changed), Arc::clone(&self.dirty), Arc::clone(&self.shown));
        Arc::new(move || {
            shown.look_again();
            dirty.store(true, Ordering::Release);
            changed.notify_one();
        })
    }

    /// Whether the view is another one than when this was asked last.
    pub(super) fn take_news(&self) -> bool {
        self.dirty.swap(false, Ordering::AcqRel)
    }

    /// Connects, and stays connected, until the task is dropped.
    pub(super) async fn run(self: Arc<Self>) {
        let mut retry = Duration::from_secs(2);
        loop {
            match self.connect().await {
                Ok(cluster) => {
                    retry = Duration::from_secs(2);
                    self.cluster.send_replace(Some(Arc::clone(&cluster)));
                    self.set_link(Link::Live);
                    Arc::clone(&self).live(cluster).await;
                }
                Err(link) => {
                    tracing::warn!(context = %self.name, ?link, "not connected");
                    let since = match &*lock(&self.link) {
                        Link::Unreachable { since, .. } | Link::Unauthorized { since, .. } | Link::Connecting { since } => *since,
                        _ => self.settings.clock.now(),
                    };
                    self.set_link(match link {
                        Link::Unauthorized { why, .. } => Link::Unauthorized { since, why },
                        Link::Unreachable { why, .. } => Link::Unreachable { since, why },
                        other => other,
                    });
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(SLOWEST_RETRY);
                }
            }
        }
    }

    async fn connect(&self) -> Result<Arc<Cluster>, Link> {
        let now = self.settings.clock.now();
        let unreachable = |why: String| Link::Unreachable { since: now, why: clean(&why) };
        let attempt = async {
            let client = self.contexts.client(&self.name, self.settings.interactive).await.map_err(|e| {
                let why = e.to_string();
                if why.contains("auth") { Link::Unauthorized { since: now, why } } else { unreachable(why) }
            })?;
            let access = Access::new(client.clone());
            let version = access.get("/version").await.map_err(|e| match e {
                ApiError::Unauthorized { .. } => Link::Unauthorized { since: now, why: e.to_string() },
                other => unreachable(other.to_string()),
            })?;
            // `/version` is open to everybody; who we are is not.
            if let Err(error @ ApiError::Unauthorized { .. }) = crate::kubernetes::verbs::who(&access).await {
                return Err(Link::Unauthorized { since: now, why: error.to_string() });
            }
            *lock(&self.version) = Some(clean(crate::kubernetes::json::text(&version, "/gitVersion")));
            let policy = Policy::new(self.provider.drive, self.provider.mesh.clone(), self.settings.fleet.engine.clone());
            Ok(Arc::new(Cluster::new(client, policy, self.settings.clock.clone())))
        };
        tokio::time::timeout(CONNECT, attempt)
            .await
            .unwrap_or_else(|_| Err(unreachable(format!("no answer within {}s", CONNECT.as_secs()))))
    }

    fn analyst(&self, cluster: &Cluster, source: Source) -> Arc<Analyst> {
        let brief = Brief {
            context: self.name.clone(),
            source,
            mesh: self.provider.mesh.clone(),
            in_cluster: self.settings.in_cluster,
            engine: self.settings.fleet.engine.clone(),
            clock: self.settings.clock.clone(),
            environment: self.settings.environment.clone(),
        };
        Arc::new(Analyst::new(cluster.access.clone(), brief))
    }

    /// Where this context's metrics come from; a mistake in it is a problem of the row.
    fn source(&self, access: &Access) -> Source {
        let made = match self.provider.prometheus.as_ref() {
            Some(p) => match (&p.url, &p.service) {
                (Some(url), _) => Source::url(url),
                (None, Some(service)) => Source::service(access.clone(), service),
                (None, None) => Ok(Source::None),
            },
            None => Ok(Source::None),
        };
        made.unwrap_or_else(|error| {
            lock(&self.problems).push(error.to_string());
            Source::None
        })
    }

    async fn live(self: Arc<Self>, cluster: Arc<Cluster>) {
        lock(&self.problems).clear();
        let source = self.source(&cluster.access);
        let mut tasks = JoinSet::new();
        {
            let cluster = Arc::clone(&cluster);
            tasks.spawn(async move { cluster.watch().await });
        }
        if self.settings.series {
            tasks.spawn(series::run(Arc::clone(&cluster), source.clone(), Arc::clone(&self.series), self.news()));
        }
        if let (Some(status), Some(from)) = (&self.sync, self.settings.sync_source(&self.provider)) {
            let this = Arc::clone(&self);
            let leader = sync::leadership(Arc::new(move || this.lease()));
            tasks.spawn(sync::run(from, Arc::clone(&cluster), leader, Arc::clone(status), self.news()));
        }
        let analyst = self.analyst(&cluster, source);
        tasks.spawn(Arc::clone(&self).drive_when_told(Arc::clone(&cluster), analyst));
        tasks.spawn(Arc::clone(&self).watch_link(cluster));
        while tasks.join_next().await.is_some() {}
    }

    /// Takes and gives up the lease as [`Context::drive`] says, unless a Flagger drives.
    async fn drive_when_told(self: Arc<Self>, cluster: Arc<Cluster>, analyst: Arc<Analyst>) {
        let mut told = self.drive.subscribe();
        loop {
            while !(*told.borrow_and_update() && cluster.store.is_complete() && self.flagger(&cluster).is_none()) {
                tokio::select! {
                    biased;
                    changed = told.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep(Duration::from_millis(200)) => {}
                }
            }
            let lease = self.claim(&cluster);
            *lock(&self.lease) = Some(Arc::clone(&lease));
            let mut driving = JoinSet::new();
            driving.spawn(driving::run(
                Arc::clone(&cluster),
                Arc::clone(&analyst),
                Arc::clone(&lease),
                Arc::clone(&self.reports),
                self.news(),
                Scope::All,
            ));
            let mut states = lease.states();
            while *told.borrow_and_update() && self.flagger(&cluster).is_none() {
                tokio::select! {
                    biased;
                    changed = told.changed() => if changed.is_err() { break },
                    changed = states.changed() => {
                        if let (Ok(()), Some(sync)) = (changed, &self.sync) {
                            sync.kick.notify_one();
                        }
                    }
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
            }
            driving.shutdown().await;
            lease.release().await;
            // Last: whoever waits for the hand-over waits for this.
            *lock(&self.lease) = None;
            self.news()();
        }
    }

    fn claim(&self, cluster: &Cluster) -> Arc<Lease> {
        let settings = &self.settings;
        Lease::new(cluster.access.clone(), &settings.lease_namespace, settings.identity.clone(), settings.clock.clone())
    }

    /// Why a Flagger keeps us from driving here.
    fn flagger(&self, cluster: &Cluster) -> Option<String> {
        (self.provider.drive == Drive::Auto).then(|| flagger_traces(cluster).reason()).flatten()
    }

    /// Drives one canary for as long as `until` lasts, where nobody else does.
    ///
    /// # Errors
    /// Why the lease cannot be had.
    pub async fn drive_for(&self, key: crate::domain::target::CanaryKey, until: impl Future<Output = ()>) -> Result<(), String> {
        let cluster = self.cluster().ok_or("the cluster has not answered")?;
        if let Some(why) = self.flagger(&cluster) {
            return Err(why);
        }
        let analyst = self.analyst(&cluster, self.source(&cluster.access));
        let lease = self.claim(&cluster);
        let mut driving = JoinSet::new();
        driving.spawn(driving::run(
            cluster,
            Arc::clone(&analyst),
            Arc::clone(&lease),
            Arc::clone(&self.reports),
            self.news(),
            Scope::One(key),
        ));
        until.await;
        driving.shutdown().await;
        analyst.settle(FAREWELL).await;
        let denied = match lease.claim() {
            Claim::Denied(why) => Some(why),
            _ => None,
        };
        lease.release().await;
        denied.map_or(Ok(()), Err)
    }

    /// Keeps the link's state, and for observers who holds the lease.
    async fn watch_link(self: Arc<Self>, cluster: Arc<Cluster>) {
        let mut looked = tokio::time::Instant::now().checked_sub(LOOK);
        let mut unheard: Option<(Timestamp, String)> = None;
        let mut told = tokio::time::Instant::now();
        let mut promoted = false;
        loop {
            let mut news = tokio::select! {
                biased;
                () = cluster.store.changed.notified() => true,
                () = tokio::time::sleep(Duration::from_secs(1)) => false,
            };
            if let (true, Some(sync)) = (news, &self.sync) {
                // A ref counts as promoted from the moment its last canary came through, not from the sync's next turn.
                let now = self.shown.all_promoted(&cluster, &self.reports, &self.series);
                if now && !promoted {
                    sync.kick.notify_one();
                }
                promoted = now;
            }
            if self.lease().is_none() && looked.is_none_or(|at| at.elapsed() >= LOOK) {
                looked = Some(tokio::time::Instant::now());
                match Lease::holder(&cluster.access, &self.settings.lease_namespace, cluster.clock.now()).await {
                    Ok(holder) => {
                        cluster.store.hear(cluster.clock.now());
                        let known = std::mem::replace(&mut *lock(&self.holder), holder.clone());
                        news |= known != holder;
                        unheard = None;
                    }
                    Err(error @ (ApiError::Timeout { .. } | ApiError::Unreachable { .. })) => {
                        unheard = unheard.or_else(|| Some((cluster.clock.now(), error.to_string())));
                    }
                    Err(_) => {}
                }
            }
            if self.lease().is_some_and(|lease| lease.may_write()) {
                // Renewals of the lease are answers too, and idle clusters give no others.
                cluster.store.hear(cluster.clock.now());
            }
            let silent = self.lease().and_then(|lease| match lease.claim() {
                Claim::Lost(why) => Some((cluster.clock.now(), why)),
                _ => None,
            });
            if self.lease().is_some() {
                unheard = None;
            }
            if let Some((since, why)) = show::degraded(&cluster).or(silent).or_else(|| unheard.clone()) {
                self.stale(since, why);
                if news {
                    self.ring();
                }
            } else {
                let was_live = std::mem::replace(&mut *lock(&self.link), Link::Live).is_live();
                if news || !was_live || told.elapsed() >= SHOWN_ANEW {
                    told = tokio::time::Instant::now();
                    self.ring();
                }
            }
        }
    }

    fn stale(&self, since: Timestamp, why: String) {
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

    fn driver(&self, cluster: Option<&Cluster>) -> DriverView {
        let Some(cluster) = cluster else { return DriverView::Unknown };
        if let Some(why) = self.flagger(cluster) {
            return DriverView::Flagger { why };
        }
        match self.lease().map(|l| l.claim()) {
            Some(Claim::Held) => DriverView::Here,
            Some(Claim::Other(holder)) => DriverView::Elsewhere { holder },
            Some(Claim::Denied(why) | Claim::Lost(why)) => DriverView::Nobody { why },
            Some(Claim::Unknown) => DriverView::Unknown,
            None => match lock(&self.holder).clone() {
                Some(holder) => DriverView::Elsewhere { holder },
                None if self.provider.drive == Drive::Observe => DriverView::Nobody { why: "drive: observe".into() },
                None => DriverView::Nobody { why: "nobody holds the lease".into() },
            },
        }
    }

    /// Whether the first picture is complete, or will not get any better soon.
    #[must_use]
    pub fn has_answered(&self) -> bool {
        match &*lock(&self.link) {
            Link::Connecting { .. } => false,
            Link::Live => {
                let driver_known = self.driver(self.cluster().as_deref()) != DriverView::Unknown;
                let synced = self.sync.as_ref().is_none_or(|s| *s.turns.borrow() > 0);
                self.cluster().is_some_and(|c| c.store.has_answers()) && driver_known && synced
            }
            _ => true,
        }
    }

    /// This context's part of the read model.
    #[must_use]
    pub fn view(&self) -> Arc<ContextView> {
        let cluster = self.cluster();
        let mut problems = lock(&self.problems).clone();
        if let Some(cluster) = &cluster {
            problems.extend(show::problems(cluster));
            if self.provider.prometheus.is_none() && !cluster.store.canaries().is_empty() {
                problems.push("no Prometheus is configured: set prometheus in the fleet file, or --prometheus URL".into());
            }
        }
        Arc::new(ContextView {
            name: clean(&self.name),
            provider: clean(&self.provider.name),
            environment: self.provider.environment.as_deref().map(clean),
            wave: self.provider.wave,
            mesh: self.provider.mesh.clone(),
            link: lock(&self.link).clone(),
            heard: cluster.as_ref().and_then(|c| c.store.heard()),
            server_version: lock(&self.version).clone(),
            driver: self.driver(cluster.as_deref()),
            sync: self.sync.as_ref().map(|s| s.get()),
            canaries: cluster.as_ref().map(|c| self.shown.canaries(c, &self.reports, &self.series)).unwrap_or_default(),
            problems,
        })
    }

    /// Stops driving, and returns when the lease has been handed over.
    pub(super) async fn hand_over(&self) {
        self.drive.send_replace(false);
        while self.lease().is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether the Canary CRD is missing.
    #[must_use]
    pub fn lacks_crds(&self) -> bool {
        self.cluster().is_some_and(|c| c.store.state(Kind::Canary) == WatchState::Absent)
    }
}
