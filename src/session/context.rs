//! One context: connect, watch, drive where told to, and say how it stands. It never ends by itself, and
//! nothing it does can delay another.

mod connect;
mod link;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use self::link::Holder;
use super::analyst::{Analyst, Brief};
use super::beat;
use super::driving::{self, Scope};
use super::permissions::Permissions;
use super::series::{self, Series};
use super::sync::{self, SyncStatus};
use super::view::{ContextView, CredentialView, DriverView, Link};
use super::{fleet::Settings, show};
use crate::domain::driver::Drive;
use crate::domain::fleet::Provider;
use crate::domain::text::clean;
use crate::kubernetes::access::Access;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::contexts::{Connection, Contexts, Row};
use crate::kubernetes::kinds::Kind;
use crate::kubernetes::lease::{Claim, Lease};
use crate::kubernetes::observe::flagger_traces;
use crate::kubernetes::store::WatchState;
use crate::kubernetes::transport::Pulse;
use crate::metrics::prometheus::Source;
use crate::runner::rollouts::Reports;
use crate::runner::tally::Tally;

/// A context has this long to answer before it is shown as a dated row.
pub const CONNECT: Duration = Duration::from_secs(8);
/// How long a verb waits for what it has to tell.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long a context that goes elsewhere takes to hand its lease over.
const PARTING: Duration = Duration::from_secs(2);

/// One context of the fleet.
pub struct Context {
    pub name: String,
    pub provider: Provider,
    /// What stands behind the name now.
    row: Mutex<Row>,
    /// An earlier row with the same cluster, which is driven from there if at all.
    twin: Mutex<Option<String>>,
    settings: Arc<Settings>,
    contexts: Contexts,
    /// Places for connections that are being made.
    places: Arc<Semaphore>,
    link: Mutex<Link>,
    credential: Mutex<Option<CredentialView>>,
    permissions: Permissions,
    /// The row as an earlier session saw it, until this one has seen it.
    remembered: Mutex<Option<Arc<ContextView>>>,
    /// Of the connection as it is now.
    pulse: Mutex<Pulse>,
    /// Counts the calls to connect anew.
    calls: watch::Sender<u64>,
    /// The name leads to another cluster than the one we are connected to.
    moved: AtomicBool,
    began: Timestamp,
    cluster: watch::Sender<Option<Arc<Cluster>>>,
    lease: Mutex<Option<Arc<Lease>>>,
    /// Whether this process is to drive.
    pub drive: watch::Sender<bool>,
    /// Who held the lease when it was asked for last.
    holder: Mutex<Holder>,
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

/// What all contexts of a session share.
pub(super) struct Common {
    pub settings: Arc<Settings>,
    pub contexts: Contexts,
    pub places: Arc<Semaphore>,
    pub changed: Arc<Notify>,
    /// Rows of an earlier session.
    pub remembered: BTreeMap<String, Arc<ContextView>>,
}

/// Ends a task with whoever holds this.
struct Ending(tokio::task::AbortHandle);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    pub(super) fn new(row: Row, twin: Option<String>, provider: Provider, common: &Common) -> Arc<Self> {
        let settings = Arc::clone(&common.settings);
        let sync = settings.sync_source(&provider).map(|source| Arc::new(SyncStatus::new(&source)));
        let name = row.name.clone();
        Arc::new(Self {
            link: Mutex::new(Link::Connecting { since: settings.clock.now() }),
            credential: Mutex::default(),
            permissions: Permissions::default(),
            remembered: Mutex::new(common.remembered.get(&name).cloned()),
            pulse: Mutex::default(),
            calls: watch::channel(0).0,
            moved: AtomicBool::new(false),
            began: settings.clock.now(),
            cluster: watch::channel(None).0,
            lease: Mutex::default(),
            drive: watch::channel(settings.drive && provider.drive != Drive::Observe).0,
            holder: Mutex::default(),
            version: Mutex::default(),
            problems: Mutex::default(),
            reports: Arc::new(Reports::counted(Tally::new(Arc::clone(&settings.figures), clean(&name)))),
            series: Arc::default(),
            shown: Arc::default(),
            sync,
            provider,
            settings,
            contexts: common.contexts.clone(),
            places: Arc::clone(&common.places),
            changed: Arc::clone(&common.changed),
            dirty: Arc::new(AtomicBool::new(true)),
            row: Mutex::new(row),
            twin: Mutex::new(twin),
            name,
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
        let known = std::mem::replace(&mut *lock(&self.link), link.clone());
        if known != link {
            self.ring();
        }
    }

    /// What stands behind the name.
    #[must_use]
    pub fn row(&self) -> Row {
        lock(&self.row).clone()
    }

    /// Whether `name` is this context or an alias of it.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || lock(&self.row).aliases.iter().any(|alias| alias == name)
    }

    /// Goes by `row` from now on: by another user, or to another cluster, by a new connection. `twin` is an earlier row
    /// with the same cluster.
    pub(super) fn follow(&self, row: Row, twin: Option<String>) {
        if std::mem::replace(&mut *lock(&self.twin), twin.clone()) != twin {
            self.ring();
        }
        let before = std::mem::replace(&mut *lock(&self.row), row.clone());
        if before.place != row.place {
            // Who let this process drive one cluster has said nothing of another.
            self.drive.send_replace(self.settings.drive && self.provider.drive != Drive::Observe);
            self.moved.store(true, Ordering::Release);
        }
        if before.identity != row.identity {
            self.call();
        }
        if before != row {
            self.ring();
        }
    }

    /// Asks the API server what we may do there, unless it was asked a short while ago; answers come with the view.
    pub fn ask_permissions(self: &Arc<Self>) {
        self.permissions.want();
        self.renew_permissions();
    }

    fn renew_permissions(self: &Arc<Self>) {
        let Some(cluster) = self.cluster().filter(|_| self.permissions.begin()) else { return };
        let this = Arc::clone(self);
        tokio::spawn(async move {
            this.permissions.ask(&cluster, &this.settings.lease_namespace).await;
            this.ring();
        });
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
            let mut problems = lock(&self.problems);
            let problem = error.to_string();
            if !problems.contains(&problem) {
                problems.push(problem);
            }
            Source::None
        })
    }

    /// What asks this context's metric servers for courses.
    pub(super) fn inquiry(&self, cluster: &Arc<Cluster>) -> series::Inquiry {
        series::Inquiry::new(Arc::clone(cluster), self.source(&cluster.access), self.settings.in_cluster)
    }

    /// Lives with `cluster` until another connection is wanted.
    async fn live(self: Arc<Self>, cluster: Arc<Cluster>, connection: &Connection, calls: &mut watch::Receiver<u64>) {
        lock(&self.problems).clear();
        *lock(&self.pulse) = connection.pulse.clone();
        let source = self.source(&cluster.access);
        let mut tasks = JoinSet::new();
        {
            let cluster = Arc::clone(&cluster);
            tasks.spawn(async move { cluster.watch().await });
        }
        if self.settings.series {
            let inquiry = self.inquiry(&cluster);
            tasks.spawn(series::run(inquiry, Arc::clone(&self.series), self.news()));
        }
        if let (Some(status), Some(from)) = (&self.sync, self.settings.sync_source(&self.provider)) {
            let this = Arc::clone(&self);
            let leader = sync::leadership(Arc::new(move || this.lease()));
            tasks.spawn(sync::run(from, Arc::clone(&cluster), leader, Arc::clone(status), self.news()));
        }
        let analyst = self.analyst(&cluster, source);
        let (leave, leaving) = watch::channel(false);
        let mut driver = tokio::spawn(Arc::clone(&self).drive_when_told(Arc::clone(&cluster), analyst, leaving));
        let driver_ends = driver.abort_handle();
        // Whoever drops this task ends what it has begun.
        let _ends = Ending(driver_ends);
        tasks.spawn(Arc::clone(&self).watch_link(Arc::clone(&cluster)));
        tasks.spawn(Arc::clone(&self).ask_version(cluster));
        tokio::select! {
            biased;
            _ = calls.changed() => {}
            () = connection.outdated() => {}
            () = self.outlive(&mut tasks) => {}
        }
        leave.send_replace(true);
        let _ = tokio::time::timeout(PARTING, &mut driver).await;
        tasks.shutdown().await;
        *lock(&self.lease) = None;
    }

    /// Waits until every task has ended, and says which way where one did not return.
    async fn outlive(&self, tasks: &mut JoinSet<()>) {
        while let Some(done) = tasks.join_next().await {
            if done.is_err_and(|error| error.is_panic()) {
                // The others go on; what this one kept up to date does not move any more.
                lock(&self.problems).push("a part of Pilothouse panicked here: what is shown may stand still, start again".into());
                self.news()();
            }
        }
    }

    /// Takes and gives up the lease as [`Context::drive`] says, unless a Flagger drives; ends when `leaving`. The lease is
    /// handed over then only if the name leads elsewhere: another connection to the same cluster goes on with it.
    async fn drive_when_told(self: Arc<Self>, cluster: Arc<Cluster>, analyst: Arc<Analyst>, mut leaving: watch::Receiver<bool>) {
        let mut told = self.drive.subscribe();
        loop {
            loop {
                let wanted = *told.borrow_and_update();
                if wanted && cluster.store.is_complete() && self.may_drive(&cluster) {
                    break;
                }
                tokio::select! {
                    biased;
                    _ = leaving.changed() => return,
                    changed = told.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep(Duration::from_millis(200)), if wanted => {}
                }
            }
            let lease = self.claim(&cluster);
            *lock(&self.lease) = Some(Arc::clone(&lease));
            // Whoever watches the link has a lease to look after.
            cluster.store.changed.notify_one();
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
            while *told.borrow_and_update() && self.may_drive(&cluster) && !*leaving.borrow_and_update() {
                tokio::select! {
                    biased;
                    _ = leaving.changed() => break,
                    changed = told.changed() => if changed.is_err() { break },
                    changed = states.changed() => {
                        self.news()();
                        if let (Ok(()), Some(sync)) = (changed, &self.sync) {
                            sync.kick.notify_one();
                        }
                    }
                    () = beat::next(Duration::from_secs(1)) => {}
                }
            }
            driving.shutdown().await;
            let leaves = *leaving.borrow();
            if !leaves || self.moved.load(Ordering::Acquire) {
                lease.release().await;
            }
            // Last: whoever waits for the hand-over waits for this.
            *lock(&self.lease) = None;
            self.news()();
            if leaves {
                return;
            }
        }
    }

    fn claim(&self, cluster: &Cluster) -> Arc<Lease> {
        let settings = &self.settings;
        // Two rows of one process that lead to one cluster, unknown to it, are two holders.
        let row = crate::domain::revision::sha256_hex(self.name.as_bytes());
        let identity = format!("{}_{}", settings.identity, row.get(..6).unwrap_or_default());
        Lease::new(cluster.access.clone(), &settings.lease_namespace, identity, settings.clock.clone())
    }

    fn may_drive(&self, cluster: &Cluster) -> bool {
        self.flagger(cluster).is_none() && lock(&self.twin).is_none()
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

    /// The row of an earlier session, as long as this one has not seen the canaries themselves.
    fn remembered(&self, cluster: Option<&Cluster>) -> Option<Arc<ContextView>> {
        let mut remembered = lock(&self.remembered);
        if cluster.is_some_and(|cluster| !matches!(cluster.store.state(Kind::Canary), WatchState::Syncing)) {
            remembered.take();
        }
        remembered.clone()
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
        if let Some(twin) = &*lock(&self.twin) {
            problems.push(format!("the same cluster as {}: it is driven from there, and only shown here", clean(twin)));
        }
        let row = self.row();
        let mut view = ContextView {
            name: clean(&self.name),
            provider: clean(&self.provider.name),
            environment: self.provider.environment.as_deref().map(clean),
            wave: self.provider.wave,
            mesh: self.provider.mesh.as_deref().map(clean),
            link: lock(&self.link).clone(),
            heard: cluster.as_ref().and_then(|c| c.store.heard()),
            server_version: lock(&self.version).clone(),
            driver: self.driver(cluster.as_deref()),
            sync: self.sync.as_ref().map(|s| s.get()),
            canaries: cluster.as_ref().map(|c| self.shown.canaries(c, &self.reports, &self.series)).unwrap_or_default(),
            problems,
            aliases: row.aliases.iter().map(|alias| clean(alias)).collect(),
            credential: lock(&self.credential).clone(),
            permissions: self.permissions.get(),
            remembered: None,
            within: lock(&self.pulse).bound().map(|bound| bound.as_secs()),
        };
        if let Some(before) = self.remembered(cluster.as_deref()) {
            view.remembered = before.remembered;
            view.canaries.clone_from(&before.canaries);
            view.heard = before.heard;
            view.server_version = view.server_version.or_else(|| before.server_version.clone());
            if let (Some(sync), Some(known)) = (&mut view.sync, &before.sync)
                && sync.checked.is_none()
            {
                sync.clone_from(known);
            }
            if view.link.is_live() {
                // Connected, and not seen yet: nothing is done to what is remembered.
                view.link = Link::Connecting { since: self.began };
            }
        }
        Arc::new(view)
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
