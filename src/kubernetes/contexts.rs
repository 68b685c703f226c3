//! Kubeconfig contexts, and one client for each.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{ExecInteractiveMode, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::error::chain;

/// Time for a connection to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// What is wrong with the kubeconfig or with one context of it.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    #[error("kubeconfig {path}: {cause}; correct it, or name another by --kubeconfig")]
    Unreadable { path: String, cause: String },
    #[error("no context named {name} in the kubeconfig; there are: {known}")]
    Unknown { name: String, known: String },
    #[error("the kubeconfig has no contexts; name another by --kubeconfig, or set KUBECONFIG")]
    Empty,
    #[error("context {name}: {cause}")]
    Client { name: String, cause: String },
}

/// The contexts there are.
#[derive(Clone)]
pub struct Contexts {
    origin: Origin,
    names: Vec<String>,
}

#[derive(Clone)]
enum Origin {
    Kubeconfig(Box<Kubeconfig>),
    /// Ready clients, in the order of the names.
    Clients(Vec<Client>),
}

impl Contexts {
    /// Reads `path`, else the files of `KUBECONFIG`, else the one in the home folder.
    ///
    /// # Errors
    /// [`ContextError::Unreadable`] names the file and the place in it; [`ContextError::Empty`].
    pub fn read(path: Option<&Path>) -> Result<Self, ContextError> {
        let named = path.map_or_else(default_path, Path::to_path_buf);
        let read = path.map_or_else(Kubeconfig::read, Kubeconfig::read_from);
        let kubeconfig = read
            .map_err(|e| ContextError::Unreadable { path: named.display().to_string(), cause: crate::domain::text::clean(&chain(&e)) })?;
        let names: Vec<_> = kubeconfig.contexts.iter().map(|c| c.name.clone()).collect();
        if names.is_empty() {
            return Err(ContextError::Empty);
        }
        Ok(Self { origin: Origin::Kubeconfig(Box::new(kubeconfig)), names })
    }

    /// Contexts whose clients are ready: those of a simulated fleet.
    #[must_use]
    pub fn ready(clients: impl IntoIterator<Item = (String, Client)>) -> Self {
        let (names, clients) = clients.into_iter().unzip();
        Self { origin: Origin::Clients(clients), names }
    }

    /// In the order of the file.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// # Errors
    /// [`ContextError::Unknown`] with the names there are.
    pub fn check(&self, name: &str) -> Result<(), ContextError> {
        if self.names.iter().any(|n| n == name) {
            return Ok(());
        }
        Err(ContextError::Unknown { name: name.into(), known: self.names.join(", ") })
    }

    /// A client for `name`. No request is made, but an exec credential plugin may run: not for a task that
    /// must not block.
    ///
    /// `interactive` lets a plugin talk to the terminal; a console that draws must not.
    ///
    /// # Errors
    /// [`ContextError::Client`] with the cause, the plugin's own words included.
    pub async fn client(&self, name: &str, interactive: bool) -> Result<Client, ContextError> {
        self.check(name)?;
        let failed = |cause: String| ContextError::Client { name: name.into(), cause: crate::domain::text::clean(&cause) };
        let kubeconfig = match &self.origin {
            Origin::Kubeconfig(kubeconfig) => (**kubeconfig).clone(),
            Origin::Clients(clients) => {
                let place = self.names.iter().position(|n| n == name).unwrap_or_default();
                return clients.get(place).cloned().ok_or_else(|| failed("has no client".into()));
            }
        };
        let options = KubeConfigOptions { context: Some(name.into()), cluster: None, user: None };
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|e| failed(chain(&e)))?;
        config.connect_timeout = Some(CONNECT);
        config.default_retry = false;
        if let (Some(exec), false) = (config.auth_info.exec.as_mut(), interactive) {
            exec.interactive_mode = Some(ExecInteractiveMode::Never);
        }
        tokio::task::spawn_blocking(move || Client::try_from(config))
            .await
            .map_err(|e| failed(e.to_string()))?
            .map_err(|e| failed(chain(&e)))
    }
}

fn default_path() -> PathBuf {
    std::env::var_os("KUBECONFIG").map_or_else(
        || directories::BaseDirs::new().map_or_else(|| PathBuf::from("~/.kube/config"), |d| d.home_dir().join(".kube/config")),
        PathBuf::from,
    )
}
