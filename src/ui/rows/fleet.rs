//! Providers with their canaries under them: the fleet, and one provider alone.

use std::cmp::{Ordering, Reverse};

use super::filter::Subject;
use super::{NONE, Row, RowKey, Wanted};
use crate::domain::target::Target;
use crate::session::view::{CanaryView, ContextView};
use crate::ui::attention::{canary_state, in_scope};
use crate::ui::place::SortBy;
use crate::ui::widgets::glyph::State;

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

/// The rows of the fleet: providers in the order wanted, the canaries of each under it.
pub(super) fn rows(wanted: &Wanted<'_>) -> Vec<Row> {
    let mut contexts: Vec<(usize, &ContextView)> =
        wanted.view.each().enumerate().filter(|(_, context)| in_scope(wanted.scope, &context.name)).collect();
    let place = wanted.place;
    let keep = if place.trouble_only {
        Keep::Trouble
    } else {
        let all: usize = contexts.iter().map(|(_, context)| context.canaries.len() + 1).sum();
        // A cluster alone on the screen shows all it has.
        let fits = all <= wanted.room || contexts.len() == 1 || !place.filter.is_empty();
        if fits { Keep::All } else { Keep::Providers }
    };
    order_contexts(wanted, &mut contexts);
    let mut out = Vec::new();
    for (at, context) in contexts {
        let calm = state(wanted, at).is_calm();
        let own = passes(wanted, context, None);
        let canaries = canaries(wanted, at, context, keep);
        if (keep != Keep::Trouble || !calm) && (own || !canaries.is_empty()) {
            out.push(Row::new(RowKey::Context(context.name.clone()), at, NONE, 0));
            out.extend(canaries);
        }
    }
    out
}

/// The rows of one provider: its sync, then its canaries.
pub(super) fn of_provider(wanted: &Wanted<'_>, name: &str) -> Vec<Row> {
    let Some((at, context)) = wanted.view.each().enumerate().find(|(_, context)| context.name == name) else { return Vec::new() };
    let mut out = Vec::new();
    if context.sync.is_some() && wanted.place.filter.is_empty() {
        out.push(Row::new(RowKey::Sync(context.name.clone()), at, NONE, 0));
    }
    let keep = if wanted.place.trouble_only { Keep::Trouble } else { Keep::All };
    out.extend(canaries(wanted, at, context, keep));
    out
}

fn state(wanted: &Wanted<'_>, at: usize) -> State {
    wanted.digests.get(at).map_or(State::Wait, |digest| digest.state)
}

fn passes(wanted: &Wanted<'_>, context: &ContextView, canary: Option<&CanaryView>) -> bool {
    let subject = Subject { context: Some(context), canary, words: "", since: None, now: wanted.now };
    wanted.place.filter.passes(&subject)
}

fn canaries(wanted: &Wanted<'_>, at: usize, context: &ContextView, keep: Keep) -> Vec<Row> {
    if keep != Keep::All && wanted.digests.get(at).is_some_and(|digest| digest.restless == 0) && context.link.is_live() {
        return Vec::new();
    }
    let mut found: Vec<(State, usize, &CanaryView)> = context
        .canaries
        .iter()
        .enumerate()
        .map(|(place, canary)| (canary_state(context, canary), place, canary))
        .filter(|(state, ..)| match keep {
            Keep::All => true,
            Keep::Trouble => !state.is_calm(),
            Keep::Providers => !state.is_calm() && context.link.is_live(),
        })
        .filter(|(_, _, canary)| passes(wanted, context, Some(canary)))
        .collect();
    let sort = wanted.place.sort;
    found.sort_by(|(state, _, canary), (other, _, others)| {
        let by = match sort.by {
            SortBy::Attention | SortBy::State => state.cmp(other),
            SortBy::Age => Reverse(canary.since).cmp(&Reverse(others.since)),
            SortBy::Weight => others.weight.cmp(&canary.weight),
            SortBy::Name | SortBy::Wave | SortBy::Version => Ordering::Equal,
        };
        turned(by.then_with(|| canary.key.cmp(&others.key)), sort.reversed)
    });
    found.into_iter().map(|(_, place, canary)| Row::new(RowKey::Canary(Target::new(&context.name, &canary.key)), at, place, 0)).collect()
}

/// Stable: equals keep the order of the fleet file.
fn order_contexts(wanted: &Wanted<'_>, contexts: &mut [(usize, &ContextView)]) {
    let wave = |context: &ContextView| context.wave.unwrap_or(u32::MAX);
    let youngest = |context: &ContextView| context.canaries.iter().filter_map(|canary| canary.since).max();
    let heaviest = |context: &ContextView| context.canaries.iter().map(|canary| canary.weight).max();
    match wanted.place.sort.by {
        SortBy::Attention => contexts.sort_by_cached_key(|(at, context)| (state(wanted, *at), wave(context))),
        SortBy::State => contexts.sort_by_cached_key(|(at, context)| (state(wanted, *at), context.provider.clone())),
        SortBy::Name => contexts.sort_by_cached_key(|(_, context)| context.provider.clone()),
        SortBy::Age => contexts.sort_by_cached_key(|(_, context)| Reverse(youngest(context))),
        SortBy::Weight => contexts.sort_by_cached_key(|(_, context)| Reverse(heaviest(context))),
        SortBy::Wave => contexts.sort_by_cached_key(|(_, context)| (wave(context), context.provider.clone())),
        SortBy::Version => contexts.sort_by_cached_key(|(_, context)| {
            let pinned = context.sync.as_ref().and_then(|sync| sync.pinned.clone());
            (Reverse(pinned), context.provider.clone())
        }),
    }
    if wanted.place.sort.reversed {
        contexts.reverse();
    }
}

fn turned(order: Ordering, reversed: bool) -> Ordering {
    if reversed { order.reverse() } else { order }
}
