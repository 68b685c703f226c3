//! Commands carried out: verbs to whoever drives, bumps to git, and outcomes as observed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::command::{Command, Outcome, OutcomeState};
use super::context::Context;
use super::fleet::Session;
use super::view::{Link, SyncState};
use crate::domain::intent::{Intent, Verb};
use crate::domain::target::{CanaryKey, Target};
use crate::domain::text::clean;
use crate::git::{BumpOutcome, BumpRequest};
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::kinds::Kind;
use crate::kubernetes::verbs::{self, Fate};

/// How long a verdict is waited for: the driver may have to hand its lease over first.
const VERDICT: Duration = Duration::from_secs(45);
const LOOK: Duration = Duration::from_millis(100);
const TRANSFER: Duration = Duration::from_mins(1);

/// Takes commands and reports outcomes; each command is a task of its own.
pub struct Operator {
    session: Arc<Session>,
    outcomes: mpsc::UnboundedSender<Outcome>,
    next: AtomicU64,
    stays: bool,
}

impl Operator {
    #[must_use]
    /// `stays`: after an explicit command this process goes on driving the context that nobody else drives,
    /// until it ends (the console); otherwise it drives for as long as the command needs (the command line).
    pub fn new(session: Arc<Session>, stays: bool) -> (Arc<Self>, mpsc::UnboundedReceiver<Outcome>) {
        let (outcomes, received) = mpsc::unbounded_channel();
        (Arc::new(Self { session, outcomes, next: AtomicU64::new(1), stays }), received)
    }

    /// Whether nobody drives `context`, this process included.
    async fn nobody_drives(&self, context: &Context, cluster: &Cluster) -> Result<bool, crate::kubernetes::error::ApiError> {
        if context.lease().is_some() {
            return Ok(false);
        }
        Ok(crate::kubernetes::lease::Lease::holder(&cluster.access, &self.session.settings.lease_namespace, cluster.clock.now())
            .await?
            .is_none())
    }

    /// Starts `command` and returns its number.
    pub fn send(self: &Arc<Self>, command: Command) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let this = Arc::clone(self);
        tokio::spawn(async move { this.carry_out(id, command).await });
        id
    }

    fn tell(&self, id: u64, target: &str, state: OutcomeState, message: impl Into<String>) {
        let message = clean(&message.into());
        tracing::info!(id, target, ?state, %message, "command");
        let _ = self.outcomes.send(Outcome { id, target: clean(target), state, message });
    }

    async fn carry_out(&self, id: u64, command: Command) {
        match command {
            Command::Verb { target, verb, gate, why, revision } => {
                let shown = target.to_string();
                self.tell(id, &shown, OutcomeState::Pending, format!("{verb} sent"));
                let (state, message) = match self.verb(&target, verb, gate, why, revision).await {
                    Ok(message) => (OutcomeState::Done, message),
                    Err(VerbError::Refused(why)) => (OutcomeState::Refused, why),
                    Err(VerbError::Failed(why) | VerbError::Unreachable(why)) => (OutcomeState::Failed, why),
                };
                self.tell(id, &shown, state, message);
            }
            Command::Bump { providers, to, why } => {
                for provider in providers {
                    self.tell(id, &provider, OutcomeState::Pending, format!("bumps to {to}"));
                    match self.bump(&provider, &to, &why).await {
                        Ok(outcome) => self.tell(id, &provider, OutcomeState::Done, told(&outcome)),
                        Err(why) => self.tell(id, &provider, OutcomeState::Failed, why),
                    }
                }
            }
            Command::Sync { provider } => match self.sync(&provider).await {
                Ok(message) => self.tell(id, &provider, OutcomeState::Done, message),
                Err(why) => self.tell(id, &provider, OutcomeState::Failed, why),
            },
            Command::Permissions { context } => {
                if let Some(context) = self.session.context(&context) {
                    context.ask_permissions();
                }
            }
            Command::LoggedIn { context } => self.session.logged_in(&context),
        }
    }

    /// Sends `verb` and waits for what the driver makes of it.
    ///
    /// # Errors
    /// [`VerbError`] with the sentence.
    pub async fn verb(&self, target: &Target, verb: Verb, gate: String, why: String, revision: String) -> Result<String, VerbError> {
        let context =
            self.session.context(&target.context).ok_or_else(|| VerbError::Failed(format!("no context named {}", target.context)))?;
        let cluster = connected(&context).await.map_err(VerbError::Unreachable)?;
        let key = target.key();
        let failed = |e: crate::kubernetes::error::ApiError| {
            if e.is_denied() { VerbError::Refused(e.to_string()) } else { VerbError::Failed(e.to_string()) }
        };
        let canary = verbs::read(&cluster.access, &key).await.map_err(|e| {
            if e.is_not_found() {
                VerbError::Failed(format!("no canary {target}; pilothouse status shows which there are"))
            } else {
                failed(e)
            }
        })?;
        let status = crate::kubernetes::observe::status(&canary);
        if let Some(why) = crate::kubernetes::observe::hands_off(&cluster, &canary, &status) {
            return Err(VerbError::Refused(why));
        }
        verb.check(status.phase, status.engine().pause.is_some()).map_err(VerbError::Refused)?;
        let who = verbs::who(&cluster.access).await.map_err(failed)?;
        let now = cluster.clock.now();
        let revision = if revision.is_empty() { status.last_applied_spec } else { revision };
        let intent = Intent { id: verbs::new_id(now), verb, revision, who, at: now, why, gate };
        verbs::send(&cluster.access, &key, &intent).await.map_err(failed)?;
        // Where nobody drives, this process does, for as long as the verdict takes.
        let settled = verdict(&cluster, &key, &intent.id);
        let nobody = self.nobody_drives(&context, &cluster).await.map_err(failed)?;
        if nobody && self.stays {
            context.drive.send_replace(true);
        }
        let fate = if nobody && !self.stays {
            let mut fate = None;
            context
                .drive_for(key.clone(), async { fate = Some(tokio::time::timeout(VERDICT, settled).await) })
                .await
                .map_err(VerbError::Refused)?;
            fate.and_then(Result::ok)
        } else {
            tokio::time::timeout(VERDICT, settled).await.ok()
        };
        match fate {
            Some(Fate::Settled(v)) if v.accepted => Ok(if v.note.is_empty() { format!("{verb} accepted") } else { v.note }),
            Some(Fate::Settled(v)) => Err(VerbError::Refused(v.note)),
            Some(Fate::Unknown | Fate::Waiting) | None => Err(VerbError::Failed(format!(
                "nobody decided within {}s; the intent stays on the Canary and the next driver takes it",
                VERDICT.as_secs()
            ))),
        }
    }

    fn request(&self, context: &Context, to: &str, why: &str) -> Result<BumpRequest, String> {
        let provider = &context.provider;
        let repository = provider
            .repository
            .clone()
            .ok_or_else(|| format!("provider {} has no repository in the fleet file: set repository.url to bump its pin", provider.name))?;
        let message = if why.is_empty() { String::new() } else { format!("Bump to {to}: {why}") };
        Ok(BumpRequest {
            cache: self.session.settings.cache.clone(),
            provider: provider.name.clone(),
            repository: repository.url,
            branch: repository.branch,
            push_to: None,
            path: repository.path,
            distribution: self.session.settings.fleet.distribution.as_ref().map(|d| d.url.clone()),
            to: to.into(),
            message,
            author_name: crate::git::author("GIT_AUTHOR_NAME", "user.name", "Pilothouse"),
            author_email: crate::git::author("GIT_AUTHOR_EMAIL", "user.email", "pilothouse@localhost"),
            deadline: TRANSFER,
        })
    }

    /// Moves the pin of `provider` and wakes its sync.
    ///
    /// # Errors
    /// The sentence of the git room; nothing is forced and nothing lost.
    pub async fn bump(&self, provider: &str, to: &str, why: &str) -> Result<BumpOutcome, String> {
        let context = self.session.provider(provider).ok_or_else(|| self.unknown(provider))?;
        let request = self.request(&context, to, why)?;
        let outcome =
            tokio::task::spawn_blocking(move || crate::git::bump(&request)).await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        if self.stays
            && context.provider.drive != crate::domain::driver::Drive::Observe
            && let Some(cluster) = context.cluster()
            && self.nobody_drives(&context, &cluster).await.unwrap_or(false)
        {
            context.drive.send_replace(true);
        }
        if let Some(sync) = &context.sync {
            sync.kick.notify_one();
        }
        self.session.refs_kick.notify_one();
        Ok(outcome)
    }

    /// What [`Operator::bump`] would do.
    ///
    /// # Errors
    /// As [`Operator::bump`].
    pub async fn bump_plan(&self, provider: &str, to: &str) -> Result<BumpOutcome, String> {
        let context = self.session.provider(provider).ok_or_else(|| self.unknown(provider))?;
        let request = self.request(&context, to, "")?;
        tokio::task::spawn_blocking(move || crate::git::plan(&request)).await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }

    fn unknown(&self, provider: &str) -> String {
        let known: Vec<_> = self.session.contexts().iter().map(|c| c.provider.name.clone()).collect();
        format!("no provider named {provider}; there are: {}", known.join(", "))
    }

    async fn sync(&self, provider: &str) -> Result<String, String> {
        let context = self.session.provider(provider).ok_or_else(|| self.unknown(provider))?;
        let sync = context.sync.as_ref().ok_or_else(|| format!("provider {provider} has no repository in the fleet file"))?;
        let mut turns = sync.turns.subscribe();
        turns.borrow_and_update();
        sync.kick.notify_one();
        tokio::time::timeout(TRANSFER, turns.changed())
            .await
            .map_err(|_| "the sync did not come round in time".to_owned())?
            .map_err(|e| e.to_string())?;
        let view = sync.get();
        match view.state {
            SyncState::Failed => Err(view.message),
            state => Ok(format!("{} {}", state.word(), view.applied_ref.unwrap_or_default()).trim_end().to_owned()),
        }
    }
}

/// Why a verb did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Failed(String),
    #[error("{0}")]
    Unreachable(String),
}

/// One line about a bump.
#[must_use]
pub fn told(outcome: &BumpOutcome) -> String {
    if outcome.unchanged {
        return format!("already pinned to {}", outcome.to);
    }
    let commit = outcome.commit.as_deref().map(|c| format!(" in {}", c.get(..8).unwrap_or(c))).unwrap_or_default();
    format!("{} → {}{commit} on {}", outcome.from, outcome.to, outcome.branch)
}

async fn connected(context: &Context) -> Result<Arc<Cluster>, String> {
    let wait = async {
        loop {
            if let Some(cluster) = context.cluster() {
                if cluster.store.is_complete() {
                    return Some(cluster);
                }
                if context.lacks_crds() {
                    return None;
                }
            } else if context.has_answered() {
                return None;
            }
            tokio::time::sleep(LOOK / 4).await;
        }
    };
    if let Ok(Some(cluster)) = tokio::time::timeout(super::context::CONNECT, wait).await {
        return Ok(cluster);
    }
    let why = match context.view().link.clone() {
        Link::Unreachable { why, .. } | Link::Unauthorized { why, .. } | Link::Stale { why, .. } => why,
        Link::Live if context.lacks_crds() => "the Canary CRD is not installed: run pilothouse crds --install".into(),
        Link::Live | Link::Connecting { .. } => format!("no answer within {}s", super::context::CONNECT.as_secs()),
    };
    Err(format!("context {} cannot be reached: {why}", context.name))
}

/// Waits until intent `id` has its verdict, by the watch alone.
async fn verdict(cluster: &Cluster, key: &CanaryKey, id: &str) -> Fate {
    loop {
        if let Some(canary) = cluster.store.get(Kind::Canary, &key.namespace, &key.name)
            && let fate @ Fate::Settled(_) = verbs::fate(&canary, id)
        {
            return fate;
        }
        tokio::time::sleep(LOOK / 4).await;
    }
}
