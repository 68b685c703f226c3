//! Lists without a tree: refs, gates, events, lines of the log.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::filter::Subject;
use super::{NONE, Row, RowKey, Wanted};
use crate::domain::target::Target;
use crate::session::questions::LogLine;
use crate::session::view::{CanaryView, ContextView};
use crate::ui::attention::in_scope;
use crate::ui::place::SortBy;

/// Events listed at once, newest first.
pub const MOST_EVENTS: usize = 1_000;

/// The refs on offer, newest first, then those that a provider has and nobody offers.
pub(super) fn refs(wanted: &Wanted<'_>) -> Vec<Row> {
    let mut names: Vec<&str> = wanted.view.refs.iter().map(|on_offer| on_offer.name.as_str()).collect();
    let offered: BTreeSet<&str> = names.iter().copied().collect();
    let mut used = BTreeSet::new();
    for context in wanted.view.each().filter(|context| in_scope(wanted.scope, &context.name)) {
        if let Some(sync) = &context.sync {
            used.extend([&sync.pinned, &sync.applied_ref, &sync.promoted_ref].into_iter().flatten().map(String::as_str));
        }
    }
    names.extend(used.into_iter().rev().filter(|name| !offered.contains(name)));
    let passes = |name: &str| {
        let subject = Subject { context: None, canary: None, words: name, since: None, now: wanted.now };
        wanted.place.filter.passes(&subject)
    };
    names
        .into_iter()
        .enumerate()
        .filter(|(_, name)| passes(name))
        .map(|(at, name)| Row::new(RowKey::Ref(name.into()), NONE, NONE, at))
        .collect()
}

fn each<'a>(wanted: &'a Wanted<'a>) -> impl Iterator<Item = (usize, &'a ContextView, usize, &'a CanaryView)> {
    wanted
        .view
        .each()
        .enumerate()
        .filter(|(_, context)| in_scope(wanted.scope, &context.name))
        .flat_map(|(at, context)| context.canaries.iter().enumerate().map(move |(place, canary)| (at, context, place, canary)))
}

/// The gates that wait, those that have waited longest first.
pub(super) fn gates(wanted: &Wanted<'_>) -> Vec<Row> {
    let mut found = Vec::new();
    for (at, context, place, canary) in each(wanted) {
        for (item, gate) in canary.gates.iter().enumerate() {
            let subject = Subject { context: Some(context), canary: Some(canary), words: &gate.name, since: gate.since, now: wanted.now };
            if wanted.place.filter.passes(&subject) {
                let key = RowKey::Gate(Target::new(&context.name, &canary.key), gate.name.clone());
                found.push((gate.since, Row::new(key, at, place, item)));
            }
        }
    }
    match wanted.place.sort.by {
        SortBy::Name => found.sort_by(|(_, row), (_, other)| row.key.cmp(&other.key)),
        SortBy::Wave => found.sort_by_cached_key(|(_, row)| (row.context(wanted.view).and_then(|context| context.wave), row.key.clone())),
        SortBy::Weight => found.sort_by_cached_key(|(_, row)| Reverse(row.canary(wanted.view).map(|(_, canary)| canary.weight))),
        SortBy::Attention | SortBy::Age | SortBy::State | SortBy::Version => {
            found.sort_by(|(since, row), (other, others)| (since, &row.key).cmp(&(other, &others.key)));
        }
    }
    if wanted.place.sort.reversed {
        found.reverse();
    }
    found.into_iter().map(|(_, row)| row).collect()
}

/// The events of all canaries, newest first, at most [`MOST_EVENTS`].
pub(super) fn events(wanted: &Wanted<'_>) -> Vec<Row> {
    let mut found = Vec::new();
    for (at, context, place, canary) in each(wanted) {
        for (item, event) in canary.events.iter().enumerate() {
            let subject = Subject { context: Some(context), canary: Some(canary), words: &event.message, since: event.at, now: wanted.now };
            if (!wanted.place.trouble_only || event.warning) && wanted.place.filter.passes(&subject) {
                found.push((event.at, at, place, item));
            }
        }
    }
    // Newest first; of one instant, as the canary has them.
    found.sort_by(|(time, at, place, item), (other, others, its, items)| {
        other.cmp(time).then_with(|| (at, place, item).cmp(&(others, its, items)))
    });
    if wanted.place.sort.reversed {
        found.reverse();
    }
    found.truncate(MOST_EVENTS);
    let row = |(_, at, place, item): (_, usize, usize, usize)| {
        let context = wanted.view.contexts.get(at)?;
        let canary = context.canaries.get(place)?;
        let event = canary.events.get(item)?;
        let key = RowKey::Event(Target::new(&context.name, &canary.key), event.at, event.message.clone());
        Some(Row::new(key, at, place, item))
    };
    found.into_iter().filter_map(row).collect()
}

/// The lines of the log, oldest first, as a log is read.
pub(super) fn lines(wanted: &Wanted<'_>) -> Vec<Row> {
    let passes = |line: &LogLine| {
        if wanted.place.filter.is_empty() {
            return true;
        }
        let words = format!("{} {} {}", line.level.word(), line.from, line.text);
        let subject = Subject { context: None, canary: None, words: &words, since: None, now: wanted.now };
        wanted.place.filter.passes(&subject)
    };
    let shown = wanted.log.iter().enumerate().filter(|(_, line)| passes(line));
    shown.map(|(at, line)| Row::new(RowKey::Line(line.number), NONE, NONE, at)).collect()
}
