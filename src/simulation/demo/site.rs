//! One provider of the demo: its cluster, its repository, and the line by which the console reaches it.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::fleet::{Prometheus, Provider, Repository};
use crate::git::{Change, Upstream, find_pins, set_ref};
use crate::runner::clock::Clock;
use crate::simulation::app;
use crate::simulation::cluster::{PROMETHEUS, SimulatedCluster};
use crate::simulation::line::{Line, Trouble};
use crate::simulation::world::{MeshKind, Options};

/// What the providers' clusters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// EKS without a mesh.
    Eks,
    /// AKS with Linkerd.
    Aks,
    /// GKE with Istio.
    Gke,
}

impl Cloud {
    pub const ALL: [Self; 3] = [Self::Eks, Self::Aks, Self::Gke];

    const fn word(self) -> &'static str {
        match self {
            Self::Eks => "eks",
            Self::Aks => "aks",
            Self::Gke => "gke",
        }
    }

    /// Value of `spec.provider`, and end of the overlay's name.
    const fn router(self) -> &'static str {
        match self {
            Self::Eks => "kubernetes",
            Self::Aks => "linkerd",
            Self::Gke => "istio",
        }
    }

    const fn mesh(self) -> MeshKind {
        match self {
            Self::Eks => MeshKind::None,
            Self::Aks => MeshKind::Linkerd,
            Self::Gke => MeshKind::Istio,
        }
    }
}

/// Folder of the kustomization in a provider's repository.
const FOLDER: &str = "app";
/// The kustomization in it.
const KUSTOMIZATION: &str = "app/kustomization.yaml";

/// Events of each resource that a cluster of the demo keeps for watches that break off.
const EVENTS: usize = 8;

/// Objects that a cluster of the demo keeps decoded.
const DECODED: usize = 2;

/// One provider.
pub struct Site {
    pub name: String,
    pub cloud: Cloud,
    pub cluster: SimulatedCluster,
    pub line: Arc<Line>,
    repository: std::path::PathBuf,
}

impl Site {
    /// The n-th provider of `of`, which nobody can reach yet.
    #[must_use]
    pub fn new(number: usize, of: usize, seed: u64, clock: &Clock, folder: &Path) -> Self {
        let cloud = Cloud::ALL[number % 3];
        let name = if of <= 3 { cloud.word().to_owned() } else { format!("{}-{:02}", cloud.word(), number / 3 + 1) };
        let seed = seed.wrapping_mul(1_000).wrapping_add(u64::try_from(number).unwrap_or(0));
        let options = Options { seed, mesh: cloud.mesh(), ..Options::default() };
        let cluster = SimulatedCluster::start(&name, seed, clock, options);
        cluster.server.keep_events(EVENTS);
        cluster.server.keep_decoded(DECODED);
        let line = Line::new(Arc::clone(&cluster.server), "you", None);
        line.hold();
        Self { repository: folder.join(format!("{name}.git")), name, cloud, cluster, line }
    }

    /// The provider as a fleet file has it.
    #[must_use]
    pub fn provider(&self) -> Provider {
        Provider {
            name: self.name.clone(),
            context: self.name.clone(),
            mesh: Some(self.cloud.router().to_owned()),
            prometheus: Some(Prometheus { url: None, service: Some(PROMETHEUS.to_owned()) }),
            repository: Some(Repository { url: self.upstream_url(), branch: "main".into(), path: FOLDER.into() }),
            environment: Some("production".into()),
            wave: Some(match self.cloud {
                Cloud::Eks => 1,
                Cloud::Aks => 2,
                Cloud::Gke => 3,
            }),
            ..Provider::default()
        }
    }

    fn upstream_url(&self) -> String {
        format!("file://{}", self.repository.display())
    }

    /// Makes the provider's repository, and what its cluster needs before anything is applied; then opens the line.
    ///
    /// # Errors
    /// A sentence for the log.
    pub fn open(&self, distribution: &str, tag: &str, at: Timestamp) -> Result<(), String> {
        let upstream = Upstream::create(&self.repository).map_err(|e| e.to_string())?;
        let files = self.files(distribution, tag);
        let first = Change { files: &files, author: "Platform Team", message: &format!("Run {tag}"), at };
        upstream.commit(&first).map_err(|e| e.to_string())?;
        app::prepare(&self.cluster.server, self.cloud.mesh()).map_err(|e| e.to_string())?;
        // Nobody has looked yet, and the past of the definitions is large.
        self.cluster.server.forget_past();
        self.line.open();
        Ok(())
    }

    fn files(&self, distribution: &str, tag: &str) -> Vec<(String, String)> {
        let gate = self.cloud == Cloud::Aks;
        let overlay = self.cloud.router();
        let mut kustomization = format!(
            "# What {} runs. An upgrade moves `ref` below and nothing else.\n\
             apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: app\nresources:\n  \
             - {distribution}//dist/app-{overlay}?ref={tag}  # the pin\n",
            self.name
        );
        let mut files = vec![("README.md".to_owned(), format!("# {}\n\n`app/` pins a release of the distribution.\n", self.name))];
        if gate {
            kustomization.push_str("patches:\n  # a human looks at the backend before it is promoted\n  - path: backend-gate.yaml\n");
            let patch = "apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata:\n  name: backend\n  annotations:\n    \
                         pilothouse.dev/gates: confirm-promotion\n";
            files.push((format!("{FOLDER}/backend-gate.yaml"), patch.to_owned()));
        }
        files.push((KUSTOMIZATION.to_owned(), kustomization));
        files
    }

    /// Moves the provider's pin, as somebody of the provider does; `false` when it is there already.
    ///
    /// # Errors
    /// The repository cannot be read or written.
    pub fn bump(&self, tag: &str, at: Timestamp) -> Result<bool, String> {
        let upstream = Upstream::at(&self.repository);
        let text = upstream.read(KUSTOMIZATION).map_err(|e| e.to_string())?;
        let pins = find_pins(&text).map_err(|e| e.to_string())?;
        let Some(pin) = pins.iter().find(|pin| pin.reference != tag) else { return Ok(false) };
        let edited = set_ref(&text, pin, tag).map_err(|e| e.to_string())?;
        let files = [(KUSTOMIZATION.to_owned(), edited)];
        let change = Change { files: &files, author: "Platform Team", message: &format!("Move the pin to {tag}"), at };
        upstream.commit(&change).map_err(|e| e.to_string())?;
        Ok(true)
    }

    /// The network to the provider goes down, or comes back.
    pub fn reach(&self, reachable: bool) {
        if reachable {
            self.line.set_weather(None);
        } else {
            self.line.set_weather(Some(Arc::new(|_| Some(Trouble::Refused))));
            self.cluster.server.cut_watches();
        }
    }
}
