//! The whole fleet: every context's task, one read model, and the way in for commands.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use super::beat;
use super::context::{Common, Context};
use super::remembered::{self, Memory};
use super::roster::Roster;
use super::sync;
use super::view::{ContextView, FleetView, RefView};
use crate::domain::driver::Drive;
use crate::domain::fleet::{Distribution, Fleet, Prometheus, Provider};
use crate::domain::text::clean;
use crate::git::Mirror;
use crate::kubernetes::contexts::{ContextError, Contexts, Row};
use crate::runner::ports::Clock;
use crate::runner::tally::Figures;

/// Between two views of the fleet.
const GATHER: Duration = Duration::from_millis(25);
/// Changes that arrive together are shown together.
const TOGETHER: Duration = Duration::from_millis(2);
/// In a storm of changes, making views takes at most one part in so many of a core, and one more.
const REST: u32 = 4;
const REFS_EVERY: Duration = Duration::from_secs(15);
const TRANSFER: Duration = Duration::from_secs(30);
/// Connections that are begun at a time: a fleet is no storm on whatever stands before its API servers.
const AT_ONCE: usize = 16;
/// Between two looks at the clocks.
const TICK: Duration = Duration::from_secs(2);
/// How often it is looked when credentials end.
const CREDENTIALS: Duration = Duration::from_mins(1);
/// A gap that no busy machine makes.
const SLEPT: Duration = Duration::from_secs(30);

/// What a session is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    pub fleet: Fleet,
    /// Only these contexts; empty is all.
    pub only: Vec<String>,
    /// Router and Prometheus of contexts that no provider names.
    pub mesh: Option<String>,
    pub prometheus: Option<String>,
    pub lease_namespace: String,
    /// Drive from the start.
    pub drive: bool,
    /// Fetch SLO series.
    pub series: bool,
    /// Show the fleet as an earlier session saw it until it has been seen anew, under this name of it; only a console does.
    pub remember: Option<String>,
    pub in_cluster: bool,
    pub cache: PathBuf,
    /// Our name as a holder of leases.
    pub identity: String,
    /// The time that rollouts and records go by.
    pub clock: Clock,
    /// Where rollouts are counted.
    pub figures: Arc<Figures>,
    /// Environment of the process: credentials of metric servers and addresses of alerts may be there.
    pub environment: BTreeMap<String, String>,
}

impl Settings {
    pub(super) fn sync_source(&self, provider: &Provider) -> Option<sync::Source> {
        let repository = provider.repository.clone()?;
        Some(sync::Source {
            provider: provider.name.clone(),
            repository,
            distribution: self.fleet.distribution.as_ref().map(|d: &Distribution| d.url.clone()),
            render: provider.render,
            cache: self.cache.clone(),
            lease_namespace: self.lease_namespace.clone(),
        })
    }

    /// The provider on `context`; without a fleet file the context is its own provider.
    pub(super) fn provider(&self, context: &str) -> Provider {
        let listed = self.fleet.providers.iter().find(|p| p.context() == context).cloned();
        let mut provider =
            listed.unwrap_or_else(|| Provider { name: context.into(), context: context.into(), drive: Drive::Auto, ..Default::default() });
        if provider.mesh.is_none() {
            provider.mesh.clone_from(&self.mesh);
        }
        if provider.prometheus.is_none() {
            provider.prometheus = self.prometheus.as_ref().map(|url| Prometheus { url: Some(url.clone()), service: None });
        }
        provider
    }

    /// The rows of the fleet as `contexts` stand now: those asked for, else the fleet file's, else one a cluster.
    pub(super) fn rows(&self, contexts: &Contexts) -> Vec<Row> {
        let providers = &self.fleet.providers;
        if self.only.is_empty() && !providers.is_empty() {
            // The fleet file decides what is a row, also where two lead to one cluster.
            let mut rows: Vec<Row> = providers.iter().map(|p| contexts.row(p.context())).collect();
            for row in &mut rows {
                row.aliases.retain(|alias| !providers.iter().any(|p| p.context() == alias));
            }
            return rows;
        }
        let known = contexts.names();
        let meant = |name: &String| {
            // An alias of a provider's context is that provider.
            let is_provider = |row: &Row| row.aliases.contains(name);
            let listed = providers.iter().map(Provider::context).find(|context| *context == name || is_provider(&contexts.row(context)));
            listed.map_or_else(|| name.clone(), str::to_owned)
        };
        // A context that was asked for at the start may have gone since.
        let only: Vec<String> = self.only.iter().map(meant).filter(|name| known.contains(name)).collect();
        if self.only.is_empty() || !only.is_empty() { contexts.rows(&only) } else { Vec::new() }
    }
}

/// A running session. Dropped, everything ends; [`Session::close`] hands leases over first.
pub struct Session {
    pub settings: Arc<Settings>,
    roster: Arc<Roster>,
    view: watch::Receiver<Arc<FleetView>>,
    pub(super) refs_kick: Arc<Notify>,
    memory: Option<Arc<Mutex<Memory>>>,
    _tasks: JoinSet<()>,
}

impl Session {
    /// Starts a task for every context; returns at once.
    ///
    /// # Errors
    /// [`ContextError::Unknown`] for a context that is named and not there.
    pub fn start(settings: Settings, contexts: Contexts) -> Result<Arc<Self>, ContextError> {
        // A context of the fleet file that the kubeconfig lacks is a row; one that was asked for is a mistake.
        for name in &settings.only {
            contexts.check(name)?;
        }
        let settings = Arc::new(settings);
        let changed = Arc::new(Notify::new());
        let memory = settings.remember.as_ref().map(|key| Memory::new(&settings.cache, key));
        let common = Common {
            settings: Arc::clone(&settings),
            contexts: contexts.clone(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            changed: Arc::clone(&changed),
            remembered: memory.as_ref().map(Memory::read).unwrap_or_default(),
        };
        let roster = Arc::new(Roster::new(common));
        roster.bring_up_to_date();
        let mut tasks = JoinSet::new();
        {
            let contexts = contexts.clone();
            tasks.spawn(async move { contexts.follow().await });
        }
        tasks.spawn(Arc::clone(&roster).follow());
        tasks.spawn(wake(Arc::clone(&roster)));
        tasks.spawn(read_credentials(Arc::clone(&roster)));
        let (refs_out, refs) = watch::channel((Vec::new(), Vec::new()));
        let refs_kick = Arc::new(Notify::new());
        if let Some(distribution) = settings.fleet.distribution.clone() {
            tasks.spawn(follow_refs(distribution.url, settings.cache.clone(), refs_out, Arc::clone(&changed), Arc::clone(&refs_kick)));
        }
        let first = FleetView { contexts: roster.contexts().iter().map(|c| c.view()).collect(), ..Default::default() };
        let (out, view) = watch::channel(Arc::new(first));
        tasks.spawn(publish(Arc::clone(&roster), refs, changed, out));
        let memory = memory.map(|memory| Arc::new(Mutex::new(memory)));
        if let Some(memory) = &memory {
            tasks.spawn(remember(Arc::clone(memory), view.clone()));
        }
        Ok(Arc::new(Self { settings, roster, view, refs_kick, memory, _tasks: tasks }))
    }

    /// Follows the fleet.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<Arc<FleetView>> {
        self.view.clone()
    }

    /// The contexts there are now, in the order of the view.
    #[must_use]
    pub fn contexts(&self) -> Vec<Arc<Context>> {
        self.roster.contexts()
    }

    /// The kubeconfig behind them.
    pub(super) fn kubeconfig(&self) -> &Contexts {
        &self.roster.common.contexts
    }

    /// The context named `name`, else the one that has it for an alias.
    #[must_use]
    pub fn context(&self, name: &str) -> Option<Arc<Context>> {
        let contexts = self.contexts();
        contexts.iter().find(|c| c.name == name).or_else(|| contexts.iter().find(|c| c.is_called(name))).cloned()
    }

    /// The context of the provider named `name`.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<Arc<Context>> {
        self.contexts().into_iter().find(|c| c.provider.name == name).or_else(|| self.context(name))
    }

    /// Returns the fleet once every context has answered, or `deadline` has passed.
    pub async fn settled(&self, deadline: Duration) -> Arc<FleetView> {
        let all = async {
            while !self.contexts().iter().all(|c| c.has_answered()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(deadline, all).await;
        Arc::new(FleetView { contexts: self.contexts().iter().map(|c| c.view()).collect(), ..(**self.view.borrow()).clone() })
    }

    /// Hands all leases over, and remembers the fleet where it is to be.
    pub async fn close(&self) {
        if let Some(memory) = &self.memory {
            let (memory, fleet) = (Arc::clone(memory), Arc::clone(&self.view.borrow()));
            // The next start is only slower to show something.
            let _ = tokio::task::spawn_blocking(move || write(&memory, &fleet, true)).await;
        }
        let mut closing = JoinSet::new();
        for context in self.roster.all() {
            closing.spawn(async move { context.hand_over().await });
        }
        let _ = tokio::time::timeout(Duration::from_secs(4), async { while closing.join_next().await.is_some() {} }).await;
    }
}

/// Tells every context when this machine has slept: the wall clock has gone on, and the running one has not, or this
/// task was not woken in time.
async fn wake(roster: Arc<Roster>) {
    let mut last = (tokio::time::Instant::now(), SystemTime::now());
    loop {
        beat::next(TICK).await;
        let now = (tokio::time::Instant::now(), SystemTime::now());
        let gap = gap(now.0.duration_since(last.0), now.1.duration_since(last.1).unwrap_or_default());
        last = now;
        if let Some(gap) = gap {
            tracing::info!(seconds = gap.as_secs(), "this machine has slept");
            for context in roster.contexts() {
                context.woke(gap);
            }
        }
    }
}

/// Looks when the credentials end, one after the other.
async fn read_credentials(roster: Arc<Roster>) {
    loop {
        beat::next(CREDENTIALS).await;
        let contexts = roster.contexts();
        // They are looked at again in a minute.
        let _ = tokio::task::spawn_blocking(move || contexts.iter().for_each(|context| context.read_credential())).await;
    }
}

/// How long a machine slept whose clocks went on by `running` and by `wall` in one tick.
fn gap(running: Duration, wall: Duration) -> Option<Duration> {
    let most = running.max(wall).saturating_sub(TICK);
    (most > SLEPT).then_some(most)
}

fn write(memory: &Mutex<Memory>, fleet: &FleetView, at_the_end: bool) {
    let done = memory.lock().unwrap_or_else(PoisonError::into_inner).write(fleet, at_the_end);
    if let Err(error) = done {
        tracing::debug!(%error, "the fleet is not remembered");
    }
}

async fn remember(memory: Arc<Mutex<Memory>>, view: watch::Receiver<Arc<FleetView>>) {
    // A fleet that is still on its way is not worth the work.
    tokio::time::sleep(remembered::EVERY / 2).await;
    loop {
        beat::next(remembered::EVERY).await;
        let (memory, fleet) = (Arc::clone(&memory), Arc::clone(&view.borrow()));
        // It is tried again in a minute.
        let _ = tokio::task::spawn_blocking(move || write(&memory, &fleet, false)).await;
    }
}

type Refs = (Vec<RefView>, Vec<String>);

async fn publish(roster: Arc<Roster>, refs: watch::Receiver<Refs>, changed: Arc<Notify>, out: watch::Sender<Arc<FleetView>>) {
    let mut views: Vec<(Arc<Context>, Arc<ContextView>)> = Vec::new();
    loop {
        let contexts = roster.contexts();
        let same = contexts.len() == views.len() && contexts.iter().zip(&views).all(|(context, (known, _))| Arc::ptr_eq(context, known));
        if !same {
            views = contexts
                .into_iter()
                .map(|context| {
                    let known = views.iter().find(|(known, _)| Arc::ptr_eq(known, &context)).map(|(_, view)| Arc::clone(view));
                    let view = known.unwrap_or_else(|| context.view());
                    (context, view)
                })
                .collect();
        }
        let begun = tokio::time::Instant::now();
        let looked = tokio::task::spawn_blocking(move || {
            for (context, view) in &mut views {
                // A view of a large cluster takes its time; most changes are of one.
                if context.take_news() {
                    *view = context.view();
                }
            }
            views
        });
        // It ends with the runtime, or by a panic in a view.
        let Ok(known) = looked.await else { return };
        views = known;
        let rest = tokio::time::Instant::now() + GATHER.max(begun.elapsed() * REST);
        let (refs, mut problems) = refs.borrow().clone();
        problems.extend(roster.common.contexts.problem());
        out.send_replace(Arc::new(FleetView { contexts: views.iter().map(|(_, view)| Arc::clone(view)).collect(), refs, problems }));
        changed.notified().await;
        tokio::time::sleep_until(rest.max(tokio::time::Instant::now() + TOGETHER)).await;
    }
}

async fn follow_refs(url: String, cache: PathBuf, out: watch::Sender<Refs>, changed: Arc<Notify>, kick: Arc<Notify>) {
    loop {
        let (url_, cache_) = (url.clone(), cache.clone());
        let found = tokio::task::spawn_blocking(move || refs(&url_, &cache_)).await.unwrap_or_else(|e| Err(e.to_string()));
        let next = match found {
            Ok(refs) => (refs, Vec::new()),
            Err(why) => (out.borrow().0.clone(), vec![format!("distribution: {}", clean(&why))]),
        };
        if *out.borrow() != next {
            out.send_replace(next);
            changed.notify_one();
        }
        tokio::select! {
            biased;
            () = kick.notified() => {}
            () = tokio::time::sleep(REFS_EVERY) => {}
        }
    }
}

/// Refs of the distribution on offer, newest version first.
///
/// # Errors
/// The sentence of git's.
pub fn refs(url: &str, cache: &std::path::Path) -> Result<Vec<RefView>, String> {
    let mirror = Mirror::open(cache, url).map_err(|e| e.to_string())?;
    mirror.fetch(TRANSFER).map_err(|e| e.to_string())?;
    let refs = mirror.refs().map_err(|e| e.to_string())?;
    Ok(refs.into_iter().map(|r| RefView { name: clean(&r.name), commit: r.commit.to_string(), at: r.at }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_slept_is_told_from_a_busy_one() {
        let seconds = Duration::from_secs;
        for (running, wall, slept) in
            [(2, 2, None), (20, 20, None), (2, 31, None), (2, 600, Some(598)), (600, 600, Some(598)), (2, 0, None)]
        {
            assert_eq!(gap(seconds(running), seconds(wall)), slept.map(seconds), "{running} s and {wall} s");
        }
    }
}
