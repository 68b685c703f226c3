//! What deserves attention: the state of every canary and provider, the rows of the fleet in that
//! order, the counters.

use std::collections::{BTreeMap, BTreeSet};

use super::widgets::glyph::State;
use crate::domain::phase::Phase;
use crate::domain::target::Target;
use crate::engine::report::Reason;
use crate::session::view::{CanaryView, ContextView, FleetView, Link, SyncState};

/// What a row of the fleet stands for. Selections and marks hold this, never an index: rows move.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKey {
    /// A context with its provider.
    Context(String),
    /// A canary.
    Canary(Target),
}

impl RowKey {
    /// The context that it belongs to.
    #[must_use]
    pub fn context(&self) -> &str {
        match self {
            Self::Context(name) => name,
            Self::Canary(target) => &target.context,
        }
    }
}

/// The state of a canary by what its driver wrote, whatever the link.
#[must_use]
pub fn own_state(canary: &CanaryView) -> State {
    let reason = canary.report.as_ref().map(|report| report.reason);
    let stuck = matches!(
        reason,
        Some(Reason::Invalid | Reason::TargetMissing | Reason::PromotionFailed | Reason::ForeignWrite | Reason::WriteFailed)
    );
    match canary.phase {
        Phase::Failed => State::Fail,
        Phase::Terminating | Phase::Terminated => State::Gone,
        Phase::Unknown => State::Auth,
        _ if stuck => State::Fail,
        _ if canary.paused.is_some() || reason == Some(Reason::Suspended) => State::Hold,
        Phase::Waiting | Phase::WaitingPromotion => State::Gate,
        _ if !canary.gates.is_empty() || reason == Some(Reason::Gate) => State::Gate,
        Phase::Progressing if canary.failed_checks > 0 || matches!(reason, Some(Reason::CheckFailed | Reason::NoData)) => State::Slo,
        Phase::New => State::Wait,
        Phase::Initialized | Phase::Succeeded => State::Ok,
        _ => State::Prog,
    }
}

/// The state of a canary as it may be shown: nothing is certain about a cluster that does not answer.
#[must_use]
pub fn canary_state(context: &ContextView, canary: &CanaryView) -> State {
    if context.link.is_live() { own_state(canary) } else { State::Stale }
}

/// The state of a provider without its canaries.
#[must_use]
pub const fn link_state(context: &ContextView) -> State {
    match context.link {
        Link::Connecting { .. } => State::Wait,
        Link::Stale { .. } => State::Stale,
        Link::Unreachable { .. } => State::Down,
        Link::Unauthorized { .. } => State::Auth,
        Link::Live => match &context.sync {
            Some(sync) => match sync.state {
                SyncState::Failed => State::Fail,
                SyncState::Suspended => State::Hold,
                SyncState::Applying => State::Prog,
                SyncState::Behind | SyncState::Unknown => State::Wait,
                SyncState::Synced => State::Ok,
            },
            None => State::Ok,
        },
    }
}

/// The state of a provider: its own, or that of the canary which needs a look most.
#[must_use]
pub fn provider_state(context: &ContextView) -> State {
    let own = link_state(context);
    if !context.link.is_live() {
        return own;
    }
    let canaries = context.canaries.iter().map(own_state).filter(|state| *state != State::Gone);
    canaries.fold(own, std::cmp::Ord::min)
}

/// How many canaries and providers stand in each state. A provider counts where it is itself the
/// trouble: dead, refused, its sync failed or held.
#[must_use]
pub fn count_states(view: &FleetView, scope: &BTreeSet<String>) -> BTreeMap<State, usize> {
    let mut counts = BTreeMap::new();
    for context in view.contexts.iter().filter(|context| in_scope(scope, &context.name)) {
        let own = link_state(context);
        if !context.link.is_live() || matches!(own, State::Fail | State::Hold) {
            *counts.entry(own).or_insert(0) += 1;
        }
        if context.link.is_live() {
            for canary in &context.canaries {
                *counts.entry(own_state(canary)).or_insert(0) += 1;
            }
        }
    }
    counts
}

/// Whether a scope, where empty means everything, holds a context.
#[must_use]
pub fn in_scope(scope: &BTreeSet<String>, context: &str) -> bool {
    scope.is_empty() || scope.contains(context)
}

/// What to show of the fleet.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The contexts; empty is all.
    pub scope: &'a BTreeSet<String>,
    /// Words that a row must hold.
    pub filter: &'a str,
    /// Without what is calm.
    pub trouble_only: bool,
    /// Rows that fit: beyond it canaries that are calm give way.
    pub room: usize,
}

/// The rows of the fleet, worst provider first, its canaries under it.
#[must_use]
pub fn rows(view: &FleetView, wanted: &Wanted<'_>) -> Vec<RowKey> {
    if wanted.trouble_only {
        return gather(view, wanted, Keep::Trouble);
    }
    let all = gather(view, wanted, Keep::All);
    if all.len() <= wanted.room || !wanted.filter.is_empty() { all } else { gather(view, wanted, Keep::Providers) }
}

/// What stays in the list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    All,
    /// Nothing that is calm.
    Trouble,
    /// Every provider, as they tell versions, and canaries in flight or in trouble; of a dead context
    /// its own row is enough.
    Providers,
}

fn gather(view: &FleetView, wanted: &Wanted<'_>, keep: Keep) -> Vec<RowKey> {
    let words: Vec<String> = wanted.filter.split_whitespace().map(str::to_lowercase).collect();
    let mut contexts: Vec<&ContextView> = view.each().filter(|context| in_scope(wanted.scope, &context.name)).collect();
    // Stable: equals keep the order of the fleet file.
    contexts.sort_by_cached_key(|context| (provider_state(context), context.wave.unwrap_or(u32::MAX)));
    let mut out = Vec::new();
    for context in contexts {
        let own = words.is_empty() || holds(&words, &context_text(context));
        let mut canaries: Vec<(State, &CanaryView)> = context
            .canaries
            .iter()
            .filter(|canary| own || holds(&words, &canary_text(context, canary)))
            .map(|canary| (canary_state(context, canary), canary))
            .filter(|(state, _)| match keep {
                Keep::All => true,
                Keep::Trouble => !state.is_calm(),
                Keep::Providers => !state.is_calm() && context.link.is_live(),
            })
            .collect();
        canaries.sort_by(|(state, canary), (other, others)| (state, &canary.key).cmp(&(other, &others.key)));
        if (keep != Keep::Trouble || !provider_state(context).is_calm()) && (own || !canaries.is_empty()) {
            out.push(RowKey::Context(context.name.clone()));
            out.extend(canaries.iter().map(|(_, canary)| RowKey::Canary(Target::new(&context.name, &canary.key))));
        }
    }
    out
}

fn holds(words: &[String], text: &str) -> bool {
    words.iter().all(|word| text.contains(word.as_str()))
}

fn context_text(context: &ContextView) -> String {
    let sync = context.sync.as_ref();
    let parts = [
        provider_state(context).word(),
        &context.provider,
        &context.name,
        context.environment.as_deref().unwrap_or(""),
        context.mesh.as_deref().unwrap_or(""),
        sync.and_then(|sync| sync.pinned.as_deref()).unwrap_or(""),
        sync.map_or("", |sync| sync.state.word()),
    ];
    let wave = context.wave.map(|wave| format!(" w{wave}")).unwrap_or_default();
    (parts.join(" ") + &wave).to_lowercase()
}

fn canary_text(context: &ContextView, canary: &CanaryView) -> String {
    let state = canary_state(context, canary).word();
    let report = canary.report.as_ref().map_or("", |report| report.message.as_str());
    format!("{state} {} {}/{} {report}", context.provider, canary.key.namespace, canary.key.name).to_lowercase()
        + " "
        + &canary.phase.word().to_lowercase()
}
