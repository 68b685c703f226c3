//! Kubeconfig contexts: which there are, which of them are one cluster, and one client for each.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::watch;

use super::credentials::{self, Credential, LoginCommand, Plugin, Plugins};
use super::error::chain;
use super::kubeconfig::{self, Files, Meaning};
use super::plugin::{Call, Issued, PluginError};
use super::transport::{self, Pulse};
use crate::domain::text::clean;

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
    #[error("context {name}: {cause}")]
    Credential { name: String, cause: PluginError },
}

/// One cluster to connect to, by the context that is used for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The context.
    pub name: String,
    /// Other contexts that lead to the same cluster.
    pub aliases: Vec<String>,
    /// Equal for one cluster.
    pub place: String,
    /// Equal for one cluster and one user: the connection stays while it does.
    pub identity: String,
}

/// The contexts there are. A clone sees the same ones, also when they change.
#[derive(Clone)]
pub struct Contexts {
    shared: Arc<Shared>,
}

struct Shared {
    origin: Origin,
    plugins: Plugins,
    listing: RwLock<Listing>,
    /// Counts readings.
    readings: watch::Sender<u64>,
}

enum Origin {
    Kubeconfig(Files),
    /// Ready clients by name.
    Clients(Vec<(String, Client)>),
}

/// The kubeconfig as last read.
#[derive(Clone, Default)]
struct Listing {
    kubeconfig: Arc<Kubeconfig>,
    names: Arc<Vec<String>>,
    /// Every context by itself.
    rows: Arc<Vec<Row>>,
    /// Why a newer reading is not used.
    problem: Option<String>,
}

impl Listing {
    fn of(kubeconfig: Kubeconfig) -> Self {
        let names: Vec<String> = kubeconfig.contexts.iter().map(|c| c.name.clone()).collect();
        let rows = names.iter().map(|name| row(&kubeconfig, name)).collect();
        Self { kubeconfig: Arc::new(kubeconfig), names: Arc::new(names), rows: Arc::new(rows), problem: None }
    }

    fn row(&self, name: &str) -> Row {
        self.rows.iter().find(|row| row.name == name).cloned().unwrap_or_else(|| nowhere(name))
    }
}

/// A client, and what its credential came from.
pub struct Connection {
    pub client: Client,
    pub pulse: Pulse,
    issued: Option<(Arc<Plugin>, Arc<Issued>)>,
}

impl Connection {
    /// Returns when the certificate inside the client has been renewed: then another client is needed. Tokens are renewed
    /// where they are, and never end a client.
    pub async fn outdated(&self) {
        let Some((plugin, issued)) = self.issued.as_ref().filter(|(_, issued)| issued.identity.is_some()) else {
            return std::future::pending().await;
        };
        let mut turns = plugin.turns();
        while plugin.held().is_none_or(|held| held.identity == issued.identity) {
            if turns.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

impl Contexts {
    fn new(origin: Origin, listing: Listing) -> Self {
        let (plugins, listing) = (Plugins::default(), RwLock::new(listing));
        Self { shared: Arc::new(Shared { origin, plugins, listing, readings: watch::channel(0).0 }) }
    }

    /// Reads `path`, else the files of `KUBECONFIG`, else the one in the home folder.
    ///
    /// # Errors
    /// [`ContextError::Unreadable`] names the file and the place in it; [`ContextError::Empty`].
    pub fn read(path: Option<&Path>) -> Result<Self, ContextError> {
        let files = Files::find(path);
        let kubeconfig = files.read()?;
        Ok(Self::new(Origin::Kubeconfig(files), Listing::of(kubeconfig)))
    }

    /// Contexts whose clients are ready: those of a simulated fleet.
    #[must_use]
    pub fn ready(clients: impl IntoIterator<Item = (String, Client)>) -> Self {
        let clients: Vec<(String, Client)> = clients.into_iter().collect();
        let names: Vec<String> = clients.iter().map(|(name, _)| name.clone()).collect();
        let rows = Arc::new(names.iter().map(|name| nowhere(name)).collect());
        Self::new(Origin::Clients(clients), Listing { names: Arc::new(names), rows, ..Listing::default() })
    }

    fn listing(&self) -> Listing {
        self.shared.listing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// In the order of the file.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.listing().names.to_vec()
    }

    /// What the kubeconfig is known by: its files. `None` for clients that were handed in.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        match &self.shared.origin {
            Origin::Kubeconfig(files) => Some(files.key()),
            Origin::Clients(_) => None,
        }
    }

    /// Why the kubeconfig as it stands now is not used, and an earlier reading is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.listing().problem
    }

    /// # Errors
    /// [`ContextError::Unknown`] with the names there are.
    pub fn check(&self, name: &str) -> Result<(), ContextError> {
        let names = self.listing().names;
        if names.iter().any(|n| n == name) {
            return Ok(());
        }
        Err(ContextError::Unknown { name: name.into(), known: names.join(", ") })
    }

    /// One row a cluster. Of `wanted` contexts the first of each cluster is used; with none wanted every context is, and of
    /// those of one cluster the kubeconfig's current one, else the first. A context that is not there is a row of its own.
    #[must_use]
    pub fn rows(&self, wanted: &[String]) -> Vec<Row> {
        let listing = self.listing();
        let current = listing.kubeconfig.current_context.as_deref();
        let mut rows: Vec<Row> = Vec::new();
        let chosen: Vec<Row> =
            if wanted.is_empty() { listing.rows.to_vec() } else { wanted.iter().map(|name| listing.row(name)).collect() };
        for next in chosen {
            match rows.iter_mut().find(|row| row.place == next.place) {
                Some(row) if row.name == next.name => {}
                Some(row) if wanted.is_empty() && current == Some(&next.name) => {
                    let before = std::mem::replace(row, next);
                    row.aliases = before.aliases;
                    row.aliases.insert(0, before.name);
                }
                Some(row) => row.aliases.push(next.name),
                None => rows.push(next),
            }
        }
        if !wanted.is_empty() {
            // Who asks for one user of a cluster does not mean another's contexts.
            for row in &mut rows {
                let twins = listing.rows.iter().filter(|other| other.identity == row.identity && other.name != row.name);
                let more: Vec<String> = twins.map(|twin| twin.name.clone()).filter(|name| !row.aliases.contains(name)).collect();
                row.aliases.extend(more);
            }
        }
        rows
    }

    /// The context `name` by itself, with the contexts that are the same cluster and the same user.
    #[must_use]
    pub fn row(&self, name: &str) -> Row {
        let found = self.rows(&[name.to_owned()]).pop();
        found.unwrap_or_else(|| nowhere(name))
    }

    /// Reads the files anew whenever they change; rings [`Contexts::changes`]. Never returns.
    pub async fn follow(&self) {
        let Origin::Kubeconfig(files) = &self.shared.origin else { return std::future::pending().await };
        let mut known = files.stamps().await;
        loop {
            tokio::time::sleep(kubeconfig::LOOK).await;
            let mut stamps = files.stamps().await;
            if stamps == known {
                continue;
            }
            loop {
                tokio::time::sleep(kubeconfig::STILL).await;
                let again = files.stamps().await;
                if again == stamps {
                    break;
                }
                stamps = again;
            }
            known = stamps;
            let reader = files.clone();
            let read = tokio::task::spawn_blocking(move || reader.read()).await;
            let before = self.listing();
            let next = match read {
                Ok(Ok(kubeconfig)) => match kubeconfig::half_written(&before.kubeconfig, &kubeconfig) {
                    None => Listing::of(kubeconfig),
                    Some(why) => kept(&before, &format!("kubeconfig {}: {why}", files.key())),
                },
                Ok(Err(error)) => kept(&before, &error.to_string()),
                Err(error) => kept(&before, &error.to_string()),
            };
            *self.shared.listing.write().unwrap_or_else(PoisonError::into_inner) = next;
            self.shared.readings.send_modify(|count| *count += 1);
        }
    }

    /// Rings when the contexts, or what is wrong with them, have changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.readings.subscribe()
    }

    fn meaning(&self, name: &str) -> Option<Meaning> {
        kubeconfig::meaning(&self.listing().kubeconfig, name)
    }

    fn plugin(&self, meaning: &Meaning) -> Result<Option<Arc<Plugin>>, PluginError> {
        let Some(exec) = meaning.auth.exec.as_ref().filter(|_| credentials::needs_plugin(&meaning.auth)) else { return Ok(None) };
        let mut exec = exec.clone();
        if exec.provide_cluster_info {
            exec.cluster = (&meaning.cluster).try_into().ok();
        }
        Call::of(&exec).map(|call| Some(self.shared.plugins.of(call)))
    }

    /// What is known of the credential of `name`; reads files, and runs nothing.
    #[must_use]
    pub fn credential(&self, name: &str) -> Option<Credential> {
        let meaning = self.meaning(name).filter(|meaning| credentials::is_there(&meaning.auth))?;
        let plugin = self.plugin(&meaning).ok().flatten();
        Some(Credential {
            expires: match &plugin {
                Some(plugin) => plugin.held().and_then(|held| held.expires),
                None => credentials::foreseen(&meaning.auth),
            },
            interactive: plugin.as_ref().is_some_and(|plugin| LoginCommand::of(&plugin.call).is_some()),
            plugin: plugin.map(|plugin| plugin.call.name()),
            user: clean(&meaning.user),
        })
    }

    /// What a person runs at a terminal to log in to `name`; `None` where nothing can be asked.
    #[must_use]
    pub fn login_command(&self, name: &str) -> Option<LoginCommand> {
        let plugin = self.plugin(&self.meaning(name)?).ok().flatten()?;
        LoginCommand::of(&plugin.call)
    }

    /// Somebody has logged in to `name`: what its plugin is known to say is of before.
    pub fn forget_credential(&self, name: &str) {
        if let Some(Ok(Some(plugin))) = self.meaning(name).map(|meaning| self.plugin(&meaning)) {
            plugin.forget();
        }
    }

    /// Takes what the plugin of `name` printed for a person who has logged in, and uses it for all who share the plugin.
    ///
    /// # Errors
    /// [`ContextError::Credential`] where it is no credential; it is not repeated.
    pub fn accept_credential(&self, name: &str, printed: &[u8]) -> Result<(), ContextError> {
        let denied = |cause: PluginError| ContextError::Credential { name: name.into(), cause };
        match self.meaning(name).map(|meaning| self.plugin(&meaning)).transpose().map_err(denied)?.flatten() {
            Some(plugin) => plugin.accept(printed).map_err(denied),
            None => Ok(()),
        }
    }

    /// The plugin that `name` waits for at this moment.
    #[must_use]
    pub fn waits_for(&self, name: &str) -> Option<String> {
        let plugin = self.plugin(&self.meaning(name)?).ok().flatten()?;
        plugin.is_running().then(|| plugin.call.name())
    }

    /// Runs the plugin of `name`, if it has one and its answer is not known yet.
    ///
    /// # Errors
    /// [`ContextError::Credential`] with the plugin's own words.
    pub async fn authenticate(&self, name: &str) -> Result<(), ContextError> {
        self.check(name)?;
        self.issued(name).await.map(drop)
    }

    async fn issued(&self, name: &str) -> Result<Option<(Arc<Plugin>, Arc<Issued>)>, ContextError> {
        let denied = |cause: PluginError| ContextError::Credential { name: name.into(), cause };
        let Some(meaning) = self.meaning(name) else { return Ok(None) };
        let Some(plugin) = self.plugin(&meaning).map_err(denied)? else { return Ok(None) };
        let issued = plugin.credential().await.map_err(denied)?;
        Ok(Some((plugin, issued)))
    }

    /// A client for `name`. No request is made, but a credential plugin may run, away from the terminal.
    ///
    /// # Errors
    /// [`ContextError::Credential`] with the plugin's own words, [`ContextError::Client`] with the cause.
    pub async fn connect(&self, name: &str) -> Result<Connection, ContextError> {
        self.check(name)?;
        let failed = |cause: String| ContextError::Client { name: name.into(), cause: clean(&cause) };
        if let Origin::Clients(clients) = &self.shared.origin {
            let found = clients.iter().find(|(known, _)| known == name).map(|(_, client)| client.clone());
            return found
                .map(|client| Connection { client, pulse: Pulse::default(), issued: None })
                .ok_or_else(|| failed("has no client".into()));
        }
        let issued = self.issued(name).await?;
        let alone = kubeconfig::alone(&self.listing().kubeconfig, name);
        let options = KubeConfigOptions { context: Some(name.into()), cluster: None, user: None };
        let mut config = Config::from_custom_kubeconfig(alone, &options).await.map_err(|e| failed(chain(&e)))?;
        config.connect_timeout = Some(CONNECT);
        config.default_retry = false;
        if let Some((_, issued)) = &issued {
            // The client's own way runs the plugin three times, on the terminal, and keeps a thread waiting.
            config.auth_info.exec = None;
            if let Some((certificate, key)) = &issued.identity {
                credentials::present(&mut config.auth_info, certificate, key);
            }
        }
        let (client, pulse) = tokio::task::spawn_blocking(move || transport::client(config))
            .await
            .map_err(|e| failed(e.to_string()))?
            .map_err(|e| failed(chain(&e)))?;
        let client = match &issued {
            Some((plugin, _)) => credentials::carrying(client, Arc::clone(plugin)),
            None => client,
        };
        Ok(Connection { client, pulse, issued })
    }
}

fn kept(before: &Listing, problem: &str) -> Listing {
    Listing { problem: Some(clean(&format!("{problem}: the contexts are those of before"))), ..before.clone() }
}

fn row(kubeconfig: &Kubeconfig, name: &str) -> Row {
    let found = kubeconfig::meaning(kubeconfig, name);
    found.map_or_else(|| nowhere(name), |Meaning { place, identity, .. }| Row { place, identity, ..nowhere(name) })
}

/// A context of which nothing is known but its name.
fn nowhere(name: &str) -> Row {
    let place = format!("context {name}");
    Row { name: name.to_owned(), aliases: Vec::new(), identity: place.clone(), place }
}
