//! What deserves attention: the state of every canary and provider.

use std::collections::BTreeSet;

use super::widgets::glyph::State;
use crate::domain::phase::Phase;
use crate::engine::report::Reason;
use crate::session::view::{CanaryView, ContextView, Link, SyncState};

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

/// Whether a scope, where empty means everything, holds a context.
#[must_use]
pub fn in_scope(scope: &BTreeSet<String>, context: &str) -> bool {
    scope.is_empty() || scope.contains(context)
}
