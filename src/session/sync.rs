//! The GitOps sync of one provider: follow the branch, render, apply, prune, remember.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;

use super::show::all_promoted;
use super::view::{SyncState, SyncView};
use crate::domain::fleet::{Render, Repository};
use crate::domain::text::clean;
use crate::engine::sync::{EngineOwned, check, leave_out, stale, union};
use crate::git::{Mirror, MirrorRemotes, Stamp};
use crate::kubernetes::apply::{Applier, MANAGER};
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::inventory::{SyncRecord, SyncStore};
use crate::kubernetes::kinds::Kind;
use crate::kubernetes::upgrade::upgraded;
use crate::kustomize;
use crate::runner::ports::Leadership;

/// How often the branch is looked at.
const EVERY: Duration = Duration::from_secs(10);
const TRANSFER: Duration = Duration::from_secs(30);
const CALL: Duration = crate::kubernetes::access::DEADLINE;

/// What one provider's sync is about.
#[derive(Clone, Debug)]
pub struct Source {
    pub provider: String,
    pub repository: Repository,
    pub distribution: Option<String>,
    pub render: Render,
    pub cache: PathBuf,
    pub lease_namespace: String,
}

/// The sync's present state, for the read model.
pub struct SyncStatus {
    view: Mutex<SyncView>,
    /// Rings to look now instead of at the next turn.
    pub kick: Notify,
    /// Counts finished turns, so that a command can wait for the one that it asked for.
    pub turns: tokio::sync::watch::Sender<u64>,
}

impl SyncStatus {
    #[must_use]
    pub fn new(source: &Source) -> Self {
        let r = &source.repository;
        let view = SyncView { repository: clean(&r.url), branch: clean(&r.branch), path: clean(&r.path), ..Default::default() };
        Self { view: Mutex::new(view), kick: Notify::new(), turns: tokio::sync::watch::channel(0).0 }
    }

    #[must_use]
    pub fn get(&self) -> SyncView {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn edit(&self, news: &Arc<dyn Fn() + Send + Sync>, edit: impl FnOnce(&mut SyncView)) {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let before = view.clone();
        edit(&mut view);
        let changed = *view != before;
        drop(view);
        if changed {
            news();
        }
    }
}

/// What the repositories say.
#[derive(Clone)]
struct Wanted {
    head: String,
    pinned: String,
    /// Commit of the provider and of every base: a pin that moves is followed without a provider's commit.
    fingerprint: String,
}

/// What was found last, and what has to be as it was for it to be so still.
struct Looked {
    wanted: Wanted,
    marks: Vec<Mark>,
}

/// Refs of one repository that what was found stands on.
struct Mark {
    mirror: Mirror,
    copy: Option<Stamp>,
    /// Whether the repository itself is followed; a tag does not move.
    follows: bool,
    origin: Option<Stamp>,
}

impl Looked {
    fn holds(&self) -> bool {
        let same = |before: &Option<Stamp>, now: Option<Stamp>| before.is_some() && *before == now;
        let holds = |mark: &Mark| !mark.follows || same(&mark.origin, mark.mirror.origin_stamp());
        self.marks.iter().all(|mark| same(&mark.copy, mark.mirror.stamp()) && holds(mark))
    }
}

/// Follows the provider's branch until the task is dropped. `leader` says whether what it finds may be applied.
pub async fn run(
    source: Source,
    cluster: Arc<Cluster>,
    leader: Arc<dyn Fn() -> bool + Send + Sync>,
    status: Arc<SyncStatus>,
    news: Arc<dyn Fn() + Send + Sync>,
) {
    let store = SyncStore::new(cluster.access.client().clone(), &source.lease_namespace, CALL);
    let applier = Applier::new(cluster.access.client().clone(), MANAGER);
    let mut record: Option<(SyncRecord, Option<String>)> = None;
    let mut failed: Option<(String, Timestamp)> = None;
    let mut looked_last: Option<Looked> = None;
    loop {
        let leading = leader();
        // Who leads is the only writer of the record; everybody else reads it anew each time.
        if record.is_none() || !leading {
            match store.load(&source.provider).await {
                Ok(Some(stored)) => record = Some((stored.record, Some(stored.resource_version))),
                Ok(None) => record = Some((SyncRecord::default(), None)),
                Err(error) => {
                    status.edit(&news, |v| v.message = clean(&error.to_string()));
                    record = None;
                }
            }
        }
        let looked = {
            let (source, known) = (source.clone(), looked_last.take());
            let again = move || match known {
                Some(known) if known.holds() => Ok(known),
                _ => look(&source),
            };
            tokio::task::spawn_blocking(again).await.unwrap_or_else(|e| Err(e.to_string()))
        };
        let looked = looked.map(|looked| looked_last.insert(looked).wanted.clone());
        if let Some((known, version)) = &mut record {
            show(&status, &news, known);
            match looked {
                Err(why) => status.edit(&news, |v| {
                    v.message = clean(&why);
                    v.state = SyncState::Failed;
                }),
                Ok(wanted) => {
                    status.edit(&news, |v| {
                        v.head = Some(wanted.head.clone());
                        v.pinned = Some(wanted.pinned.clone()).filter(|p| !p.is_empty());
                        v.checked = Some(cluster.clock.now());
                    });
                    let synced = known.attempted.as_deref() == Some(&wanted.fingerprint) && known.last_error.is_none();
                    let backing_off = failed
                        .as_ref()
                        .is_some_and(|(f, at)| *f == wanted.fingerprint && cluster.clock.now().duration_since(*at).as_secs() < 60);
                    if synced {
                        status.edit(&news, |v| {
                            v.state = SyncState::Synced;
                            v.message = String::new();
                        });
                        promoted(&cluster, &store, known, version, leading).await;
                        show(&status, &news, known);
                    } else if known.suspended {
                        status.edit(&news, |v| v.state = SyncState::Suspended);
                    } else if !leading {
                        let why = known.last_error.clone();
                        status.edit(&news, |v| {
                            v.state = if why.is_some() { SyncState::Failed } else { SyncState::Behind };
                            v.message = why.unwrap_or_else(|| "git is ahead, and nobody here applies it".into());
                        });
                    } else if !backing_off {
                        status.edit(&news, |v| {
                            v.state = SyncState::Applying;
                            v.message = format!("applies {}", wanted.head.get(..8).unwrap_or_default());
                        });
                        match reconcile(&source, &cluster, &store, &applier, known, version, &wanted, &leader).await {
                            Ok(()) => {
                                tracing::info!(provider = %source.provider, head = %wanted.head, pinned = %wanted.pinned, "applied");
                                failed = None;
                                status.edit(&news, |v| {
                                    v.state = SyncState::Synced;
                                    v.message = String::new();
                                });
                            }
                            Err(why) => {
                                tracing::warn!(provider = %source.provider, %why, "sync failed");
                                failed = Some((wanted.fingerprint.clone(), cluster.clock.now()));
                                status.edit(&news, |v| {
                                    v.state = SyncState::Failed;
                                    v.message = clean(&why);
                                });
                                record = None;
                            }
                        }
                        if let Some((known, _)) = &record {
                            show(&status, &news, known);
                        }
                    }
                }
            }
        }
        status.turns.send_modify(|n| *n += 1);
        tokio::select! {
            biased;
            () = status.kick.notified() => failed = None,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

fn show(status: &SyncStatus, news: &Arc<dyn Fn() + Send + Sync>, record: &SyncRecord) {
    let some = |text: &str| Some(clean(text)).filter(|t| !t.is_empty());
    status.edit(news, |v| {
        v.applied = some(&record.commit);
        v.applied_ref = some(&record.reference);
        v.promoted_ref = some(&record.promoted_ref);
        v.applied_at = record.applied_at;
        v.objects = record.inventory.len();
    });
}

/// Records the applied ref as promoted once every canary has come through with it.
async fn promoted(cluster: &Cluster, store: &SyncStore, record: &mut SyncRecord, version: &mut Option<String>, leading: bool) {
    if leading && record.promoted_ref != record.reference && all_promoted(cluster) {
        let mut next = record.clone();
        next.promoted_ref.clone_from(&record.reference);
        match store.save(&next, version.as_deref()).await {
            Ok(saved) => {
                *version = Some(saved);
                *record = next;
            }
            Err(error) => tracing::warn!(%error, "promoted ref not recorded"),
        }
    }
}

/// Fetches the provider's branch and resolves its pins.
fn look(source: &Source) -> Result<Looked, String> {
    let mirror = Mirror::open(&source.cache, &source.repository.url).map_err(|e| e.to_string())?;
    // Each stamp is older than what is read: what moves in between is seen the next time.
    let origin = mirror.origin_stamp();
    mirror.fetch(TRANSFER).map_err(|e| e.to_string())?;
    let mut marks = vec![Mark { mirror: mirror.clone(), copy: mirror.stamp(), follows: true, origin }];
    let head = mirror.branch_head(&source.repository.branch).map_err(|e| e.to_string())?;
    let tree = mirror.tree(head).map_err(|e| e.to_string())?;
    let mut fingerprint = head.to_string();
    let mut pinned = String::new();
    for pin in pins(&tree, &source.repository.path)? {
        let base = Mirror::open(&source.cache, &pin.0).map_err(|e| e.to_string())?;
        let mut mark = Mark { mirror: base.clone(), copy: base.stamp(), follows: false, origin: None };
        let mut found = base.find(&pin.1).map_err(|e| e.to_string())?;
        if !found.is_some_and(|f| f.kind.is_fixed()) {
            (mark.follows, mark.origin) = (true, base.origin_stamp());
            base.fetch(TRANSFER).map_err(|e| e.to_string())?;
            mark.copy = base.stamp();
            found = base.find(&pin.1).map_err(|e| e.to_string())?;
        }
        marks.push(mark);
        let Some(found) = found else {
            return Err(format!(
                "the pin asks for ref {} of {}, which is not there: bump to a ref that exists",
                clean(&pin.1),
                clean(&pin.0)
            ));
        };
        fingerprint = format!("{fingerprint}+{}", found.commit);
        if pinned.is_empty() || source.distribution.as_deref() == Some(&pin.0) {
            pinned = clean(&pin.1);
        }
    }
    Ok(Looked { wanted: Wanted { head: head.to_string(), pinned, fingerprint }, marks })
}

/// Repository and ref of every pin in the kustomization of `path`.
fn pins(tree: &dyn kustomize::Files, path: &str) -> Result<Vec<(String, String)>, String> {
    for name in ["kustomization.yaml", "kustomization.yml", "Kustomization"] {
        let file = if path.is_empty() { name.to_owned() } else { format!("{}/{name}", path.trim_matches('/')) };
        if tree.kind(&file).map_err(|e| e.to_string())?.is_none() {
            continue;
        }
        let text = String::from_utf8(tree.read(&file).map_err(|e| e.to_string())?).map_err(|e| format!("{file}: {e}"))?;
        let pins = crate::git::find_pins(&text).map_err(|e| format!("{file}: {e}"))?;
        return Ok(pins
            .iter()
            .map(|pin| (kustomize::parse_remote(&pin.url).map_or_else(|| pin.url.clone(), |r| r.repository), pin.reference.clone()))
            .collect());
    }
    Err(format!("{}: no kustomization in folder `{path}`: set repository.path to the folder that holds it", tree.name()))
}

/// Renders the provider's tree at `head`.
fn render(source: &Source, head: &str) -> Result<Vec<Value>, String> {
    let mirror = Mirror::open(&source.cache, &source.repository.url).map_err(|e| e.to_string())?;
    let commit = mirror.resolve(head).map_err(|e| e.to_string())?;
    let tree = Arc::new(mirror.tree(commit).map_err(|e| e.to_string())?);
    let remotes = MirrorRemotes::new(source.cache.clone(), TRANSFER);
    if source.render == Render::Kustomize {
        return Err("render: kustomize is not supported yet: set render: native".into());
    }
    let rendered = kustomize::render(tree, source.repository.path.trim_matches('/'), &remotes).map_err(|e| e.to_string())?;
    // Old Canaries become what the cluster serves; everything after this knows the new form alone.
    rendered.resources.into_iter().map(|object| upgraded(&object).unwrap_or(Ok(object))).collect()
}

#[expect(clippy::too_many_arguments, reason = "the parts of one turn, all owned by the loop")]
async fn reconcile(
    source: &Source,
    cluster: &Cluster,
    store: &SyncStore,
    applier: &Applier,
    record: &mut SyncRecord,
    version: &mut Option<String>,
    wanted: &Wanted,
    leader: &Arc<dyn Fn() -> bool + Send + Sync>,
) -> Result<(), String> {
    let rendered = {
        let (source, head) = (source.clone(), wanted.head.clone());
        tokio::task::spawn_blocking(move || render(&source, &head)).await.map_err(|e| e.to_string())??
    };
    check(&rendered).map_err(|refusals| refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let live: Vec<_> = cluster.store.list(Kind::Canary);
    let left = leave_out(rendered, &EngineOwned::of(live.iter().map(AsRef::as_ref)));
    for note in &left.notes {
        tracing::debug!(provider = %source.provider, %note, "left out");
    }
    let next_inventory = left.inventory(&record.inventory);
    let mut next = record.clone();
    next.provider.clone_from(&source.provider);
    next.repository.clone_from(&source.repository.url);
    next.branch.clone_from(&source.repository.branch);
    next.path.clone_from(&source.repository.path);
    next.inventory = union(&record.inventory, &next_inventory);
    next.attempted = Some(wanted.fingerprint.clone());
    next.last_error = Some("under way".into());
    // The union goes on record before anything is applied: an object that exists is never forgotten.
    let saved = store.save(&next, version.as_deref()).await.map_err(|e| e.to_string())?;
    *version = Some(saved);
    let guard = || leader();
    let outcome = applier.apply(left.desired, &guard, CALL).await;
    let errors: Vec<_> = outcome.errors.iter().map(ToString::to_string).collect();
    if outcome.is_complete() {
        let gone = stale(&next.inventory, &next_inventory);
        let pruned = applier.prune(&gone, &guard, CALL).await;
        next.inventory = union(&next_inventory, &pruned.survivors());
        next.commit.clone_from(&wanted.head);
        next.reference.clone_from(&wanted.pinned);
        next.applied_at = Some(cluster.clock.now());
        next.last_error = None;
    } else {
        let why = if outcome.stopped && errors.is_empty() { "stopped half-way".to_owned() } else { errors.join("; ") };
        next.last_error = Some(why.chars().take(2_000).collect());
    }
    let saved = store.save(&next, version.as_deref()).await.map_err(|e| e.to_string())?;
    *version = Some(saved);
    let failed = next.last_error.clone();
    *record = next;
    failed.map_or(Ok(()), Err)
}

/// A closure that asks `lease`.
pub fn leadership(
    lease: Arc<dyn Fn() -> Option<Arc<crate::kubernetes::lease::Lease>> + Send + Sync>,
) -> Arc<dyn Fn() -> bool + Send + Sync> {
    Arc::new(move || lease().is_some_and(|l| l.may_write()))
}
