//! `pilothouse demo`: the console and the engine over a simulated fleet.
//!
//! Three kinds of providers (EKS plain, AKS with Linkerd, GKE with Istio) with their clusters and git repositories; a
//! vendor who ships releases of the tree in `dist/`; people who move pins and approve. Console, engine and sync are the
//! production's; what they speak to lives in this process and in one temporary folder. Read `story.rs` for what happens.

mod distribution;
mod site;
mod story;

use std::collections::BTreeMap;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::task::JoinSet;

use self::distribution::{Quality, Release};
use self::site::Site;
use crate::domain::fleet::{API_VERSION, Distribution, Fleet};
use crate::git::{Change, Upstream};
use crate::kubernetes::contexts::Contexts;
use crate::runner::clock::Clock;
use crate::session::fleet::{Session, Settings};
use crate::simulation::api::ApiServer;

/// What a demo is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// So many times as fast as life.
    pub speed: u32,
    /// Of everything that is left to chance.
    pub seed: u64,
    pub providers: usize,
    /// The engine drives from the start; never, where the clusters are served to other processes.
    pub drive: bool,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("no temporary folder for the demo's repositories: {0}; set TMPDIR to a folder that can be written")]
    Folder(std::io::Error),
    #[error("the demo's fleet: {0}")]
    Fleet(String),
}

/// A running demo. Dropped, everything ends and the folder goes.
pub struct Demo {
    /// `None` where the clusters are served to other processes.
    pub session: Option<Arc<Session>>,
    /// The fleet file that describes it.
    pub fleet: Fleet,
    clock: Clock,
    seed: u64,
    sites: Vec<Site>,
    distribution: Upstream,
    _folder: TempDir,
}

/// A demo and the tasks that keep it going.
pub struct Running {
    pub demo: Arc<Demo>,
    tasks: JoinSet<()>,
}

impl Running {
    /// Ends the story and everything in it; the folder goes with it.
    pub async fn close(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Demo {
    /// Starts a demo: returns at once, while its providers come up one after the other.
    ///
    /// # Errors
    /// [`DemoError`].
    pub fn start(options: Options) -> Result<Running, DemoError> {
        let clock = Clock::simulated(jiff::Timestamp::now(), options.speed);
        Self::make(options, clock, true)
    }

    /// A demo for other processes, which go by the wall clock: nobody in this one drives.
    ///
    /// # Errors
    /// [`DemoError`].
    pub fn for_others(options: Options) -> Result<Running, DemoError> {
        Self::make(options, Clock::wall(), false)
    }

    /// Names and API servers of its clusters.
    #[must_use]
    pub fn clusters(&self) -> Vec<(String, Arc<ApiServer>)> {
        self.sites.iter().map(|site| (site.name.clone(), Arc::clone(&site.cluster.server))).collect()
    }

    fn make(options: Options, clock: Clock, session: bool) -> Result<Running, DemoError> {
        let folder = tempfile::Builder::new().prefix("pilothouse-demo-").tempdir().map_err(DemoError::Folder)?;
        let failed = |e: &dyn std::fmt::Display| DemoError::Fleet(e.to_string());
        let distribution = Upstream::create(&folder.path().join("shop.git")).map_err(|e| failed(&e))?;
        let sites: Vec<Site> =
            (0..options.providers).map(|number| Site::new(number, options.providers, options.seed, &clock, folder.path())).collect();
        let fleet = Fleet {
            api_version: API_VERSION.into(),
            kind: "Fleet".into(),
            distribution: Some(Distribution { url: distribution.url() }),
            engine: crate::domain::fleet::Engine::default(),
            providers: sites.iter().map(Site::provider).collect(),
        };
        let settings = Settings {
            fleet,
            only: Vec::new(),
            mesh: None,
            prometheus: None,
            lease_namespace: crate::kubernetes::lease::NAMESPACE.into(),
            drive: options.drive,
            series: true,
            remember: None,
            in_cluster: false,
            cache: folder.path().join("cache"),
            identity: "demo".into(),
            clock: clock.clone(),
            environment: BTreeMap::new(),
            figures: Arc::default(),
        };
        let fleet = settings.fleet.clone();
        let contexts = || Contexts::ready(sites.iter().map(|site| (site.name.clone(), site.line.client())));
        let session = if session { Some(Session::start(settings, contexts()).map_err(|e| failed(&e))?) } else { None };
        let demo = Self { session, fleet, clock, seed: options.seed, sites, distribution, _folder: folder };
        let demo = Arc::new(demo);
        let mut tasks = JoinSet::new();
        tasks.spawn(come_up(Arc::clone(&demo)));
        Ok(Running { demo, tasks })
    }

    /// Commits and tags `release` of the distribution.
    fn ship(&self, release: Release) -> Result<(), String> {
        let (files, tag) = (release.tree(), release.tag());
        let change = Change { files: &files, author: "Vendor", message: &format!("Release {tag}"), at: self.clock.now() };
        self.distribution.commit(&change).and_then(|()| self.distribution.tag(&tag)).map_err(|e| e.to_string())
    }
}

/// The vendor's first release, then each provider's repository and cluster; then the story.
async fn come_up(demo: Arc<Demo>) {
    let first = Release { number: 0, quality: Quality::Good };
    let ready = {
        let demo = Arc::clone(&demo);
        tokio::task::spawn_blocking(move || {
            demo.ship(first)?;
            let url = demo.distribution.url();
            demo.sites.iter().try_for_each(|site| site.open(&url, &first.tag(), demo.clock.now()))
        })
    };
    match ready.await.map_err(|e| e.to_string()).and_then(|done| done) {
        Ok(()) => story::tell(demo).await,
        Err(why) => tracing::error!(%why, "the demo did not come up"),
    }
}
