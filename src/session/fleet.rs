//! The whole fleet: every context's task, one read model, and the way in for commands.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::context::Context;
use super::sync;
use super::view::{FleetView, RefView};
use crate::domain::driver::Drive;
use crate::domain::fleet::{Distribution, Fleet, Prometheus, Provider};
use crate::domain::text::clean;
use crate::git::Mirror;
use crate::kubernetes::contexts::{ContextError, Contexts};
use crate::runner::ports::Clock;
use crate::runner::tally::Figures;

/// Changes that arrive together are shown together.
const GATHER: Duration = Duration::from_millis(25);
/// In a storm of changes, making views takes at most one part in so many of a core, and one more.
const REST: u32 = 4;
const REFS_EVERY: Duration = Duration::from_secs(15);
const TRANSFER: Duration = Duration::from_secs(30);

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
    /// Credential plugins may talk to the terminal.
    pub interactive: bool,
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
    fn provider(&self, context: &str) -> Provider {
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
}

/// A running session. Dropped, everything ends; [`Session::close`] hands leases over first.
pub struct Session {
    pub settings: Arc<Settings>,
    pub contexts: Vec<Arc<Context>>,
    view: watch::Receiver<Arc<FleetView>>,
    pub(super) refs_kick: Arc<Notify>,
    _tasks: JoinSet<()>,
}

impl Session {
    /// Starts a task for every context; returns at once.
    ///
    /// # Errors
    /// [`ContextError::Unknown`] for a context that is named and not there.
    pub fn start(settings: Settings, contexts: Contexts) -> Result<Arc<Self>, ContextError> {
        let names: Vec<String> = if !settings.only.is_empty() {
            settings.only.clone()
        } else if settings.fleet.providers.is_empty() {
            contexts.names().to_vec()
        } else {
            settings.fleet.providers.iter().map(|p| p.context().to_owned()).collect()
        };
        if settings.fleet.providers.is_empty() || !settings.only.is_empty() {
            // A context of the fleet file that the kubeconfig lacks is a row; one that was asked for is a mistake.
            for name in &names {
                contexts.check(name)?;
            }
        }
        let settings = Arc::new(settings);
        let changed = Arc::new(Notify::new());
        let made: Vec<_> = names
            .iter()
            .map(|name| Context::new(name, settings.provider(name), Arc::clone(&settings), contexts.clone(), Arc::clone(&changed)))
            .collect();
        let mut tasks = JoinSet::new();
        for context in &made {
            tasks.spawn(Arc::clone(context).run());
        }
        let (refs_out, refs) = watch::channel((Vec::new(), Vec::new()));
        let refs_kick = Arc::new(Notify::new());
        if let Some(distribution) = settings.fleet.distribution.clone() {
            tasks.spawn(follow_refs(distribution.url, settings.cache.clone(), refs_out, Arc::clone(&changed), Arc::clone(&refs_kick)));
        }
        let first = FleetView { contexts: made.iter().map(|c| c.view()).collect(), ..Default::default() };
        let (out, view) = watch::channel(Arc::new(first));
        tasks.spawn(publish(made.clone(), refs, changed, out));
        Ok(Arc::new(Self { settings, contexts: made, view, refs_kick, _tasks: tasks }))
    }

    /// Follows the fleet.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<Arc<FleetView>> {
        self.view.clone()
    }

    /// The context named `name`.
    #[must_use]
    pub fn context(&self, name: &str) -> Option<&Arc<Context>> {
        self.contexts.iter().find(|c| c.name == name)
    }

    /// The context of the provider named `name`.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Arc<Context>> {
        self.contexts.iter().find(|c| c.provider.name == name).or_else(|| self.context(name))
    }

    /// Returns the fleet once every context has answered, or `deadline` has passed.
    pub async fn settled(&self, deadline: Duration) -> Arc<FleetView> {
        let all = async {
            while !self.contexts.iter().all(|c| c.has_answered()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(deadline, all).await;
        Arc::new(FleetView { contexts: self.contexts.iter().map(|c| c.view()).collect(), ..(**self.view.borrow()).clone() })
    }

    /// Hands all leases over.
    pub async fn close(&self) {
        let mut closing = JoinSet::new();
        for context in &self.contexts {
            let context = Arc::clone(context);
            closing.spawn(async move { context.hand_over().await });
        }
        let _ = tokio::time::timeout(Duration::from_secs(4), async { while closing.join_next().await.is_some() {} }).await;
    }
}

type Refs = (Vec<RefView>, Vec<String>);

async fn publish(contexts: Vec<Arc<Context>>, refs: watch::Receiver<Refs>, changed: Arc<Notify>, out: watch::Sender<Arc<FleetView>>) {
    let mut views: Vec<_> = contexts.iter().map(|c| c.view()).collect();
    let mut gather = GATHER;
    loop {
        changed.notified().await;
        tokio::time::sleep(gather).await;
        let begun = tokio::time::Instant::now();
        let all = contexts.clone();
        let looked = tokio::task::spawn_blocking(move || {
            for (context, view) in all.iter().zip(&mut views) {
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
        gather = GATHER.max(begun.elapsed() * REST);
        let (refs, problems) = refs.borrow().clone();
        out.send_replace(Arc::new(FleetView { contexts: views.clone(), refs, problems }));
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
