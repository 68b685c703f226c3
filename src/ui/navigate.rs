//! Moving about: the cursor, marks, the history of screens, the scope. Nothing here asks or sends.

use std::collections::BTreeSet;

use super::address::Address;
use super::attention;
use super::model::Model;
use super::place::Place;
use super::rows::RowKey;
use super::rows::filter::Filter;
use super::screens::{self, fleet, gates};
use super::theme::Role;
use super::widgets::glyph::State;
use crate::session::why::Proof;

/// Rows of a page of the present screen.
pub(super) fn page(model: &Model) -> isize {
    let rows = match model.address {
        Address::Fleet => fleet::table_height(model.size),
        _ => usize::from(model.size.1).saturating_sub(6),
    };
    isize::try_from(rows.max(2) - 1).unwrap_or(1)
}

/// Moves the cursor of a list, or scrolls another screen.
pub(super) fn move_by(model: &mut Model, by: isize) {
    if model.rows.is_empty() {
        let last = screens::scroll_limit(model);
        model.place.scroll = model.place.scroll.min(last).saturating_add_signed(by).min(last);
        return;
    }
    let to = model.cursor().saturating_add_signed(by).min(model.rows.len() - 1);
    model.place.selection = model.rows.get(to).map(|row| row.key.clone());
    // On the last line of the log the cursor stays with what is new.
    model.place.moved = model.address != Address::Log || to + 1 < model.rows.len();
}

/// Opens what is under the cursor.
pub(super) fn open(model: &mut Model) {
    let Some(key) = model.place.selection.clone() else { return };
    match key {
        RowKey::Context(name) => go(model, Address::Provider(name)),
        RowKey::Canary(target) | RowKey::Gate(target, _) | RowKey::Event(target, ..) => go(model, Address::Canary(target)),
        RowKey::Sync(_) => go(model, Address::Versions),
        // The fleet, narrowed to those that have it.
        RowKey::Ref(name) => {
            go(model, Address::Fleet);
            model.place = Place { filter: Filter::new(format!("ref={name}")), ..Place::default() };
        }
        RowKey::Finding(at) => {
            if let Some(address) = evidence(model, at) {
                go(model, address);
            }
        }
        RowKey::Line(_) => {}
    }
}

/// Where the first evidence of a reason is shown; what stands on the screen of reasons itself leads to its canary.
fn evidence(model: &Model, at: usize) -> Option<Address> {
    let of = model.explanation()?;
    let canary = |target: &str| target.parse().ok().map(Address::Canary);
    match of.findings.get(at)?.evidence.first() {
        Some(Proof::Twin { target }) => canary(target),
        Some(Proof::TwinChanges) => canary(&of.twin_difference.as_ref()?.target),
        Some(Proof::Sync) => Some(Address::Versions),
        Some(Proof::Link) => model.address.context().map(|context| Address::Provider(context.to_string())),
        _ => canary(&of.target),
    }
}

/// Goes to an address, where that is in scope and known.
pub(super) fn go(model: &mut Model, address: Address) {
    if let Some(context) = address.context() {
        if !attention::in_scope(&model.scope, context) {
            model.say(Role::Warn, format!("{context} is out of scope: press 0 first"));
            return;
        }
        let missing = match address.target() {
            Some(target) => model.view.canary(target).is_none().then(|| format!("no canary {target} is known")),
            None => model.view.context(context).is_none().then(|| format!("no context {context} is known")),
        };
        if let Some(missing) = missing {
            model.say(Role::Warn, missing);
            return;
        }
    }
    if model.address != address {
        let before = model.switch(address);
        model.earlier.push(before);
        model.later.clear();
    }
}

/// Goes to where the console came from.
pub(super) fn back(model: &mut Model) {
    let to = model.earlier.pop().unwrap_or(Address::Fleet);
    if to != model.address {
        let before = model.switch(to);
        model.later.push(before);
    }
}

/// Undoes going back.
pub(super) fn forward(model: &mut Model) {
    if let Some(to) = model.later.pop() {
        let before = model.switch(to);
        model.earlier.push(before);
    }
}

/// Drops the first of: news, marks, filter, trouble only; with nothing to drop, goes back.
pub(super) fn clear(model: &mut Model) {
    let place = &mut model.place;
    if model.toast.take().is_some() {
    } else if !place.marks.is_empty() {
        place.marks.clear();
    } else if !place.filter.text().is_empty() {
        place.filter = Filter::default();
    } else if place.trouble_only {
        place.trouble_only = false;
    } else if model.address != Address::Fleet {
        back(model);
    }
}

/// Marks the row under the cursor, or takes the mark off.
pub(super) fn mark(model: &mut Model) {
    let Some(key) = model.place.selection.clone() else { return };
    if let RowKey::Sync(_) = key {
        return;
    }
    if !model.place.marks.remove(&key) {
        model.place.marks.insert(key.clone());
    }
    model.place.range_from = Some(key);
}

/// Marks the rows between the last mark and the cursor that are of its kind.
pub(super) fn mark_range(model: &mut Model) {
    let here = model.cursor();
    let from = model.place.range_from.as_ref().and_then(|key| model.rows.iter().position(|row| row.key == *key)).unwrap_or(here);
    let Some(kind) = model.rows.get(from).map(|row| std::mem::discriminant(&row.key)) else { return };
    let between = &model.rows[from.min(here)..=from.max(here)];
    let keys: Vec<RowKey> = between.iter().filter(|row| std::mem::discriminant(&row.key) == kind).map(|row| row.key.clone()).collect();
    model.place.marks.extend(keys);
}

/// Marks every row of the kind under the cursor; of gates those alone that nothing speaks against.
pub(super) fn mark_all(model: &mut Model) {
    let Some(kind) = model.place.selection.as_ref().map(std::mem::discriminant) else { return };
    let mut left_out = 0;
    let mut keys = Vec::new();
    for row in model.rows.iter().filter(|row| std::mem::discriminant(&row.key) == kind) {
        let safe = match &row.key {
            RowKey::Gate(target, _) => gates::doubt(model, target).is_none(),
            RowKey::Canary(_) => {
                row.canary(&model.view).is_some_and(|(context, canary)| attention::canary_state(context, canary) != State::Gone)
            }
            RowKey::Sync(_) => false,
            _ => true,
        };
        if safe {
            keys.push(row.key.clone());
        } else {
            left_out += 1;
        }
    }
    model.place.marks.extend(keys);
    if left_out > 0 {
        model.say(Role::Warn, format!("{left_out} left out: something speaks against them; space marks one all the same"));
    }
}

/// Narrows the console; an empty scope is everything.
pub(super) fn narrow(model: &mut Model, scope: BTreeSet<String>) {
    if scope.is_empty() && !model.scope.is_empty() {
        model.say(Role::Good, "every context is shown");
    }
    model.scope = scope;
}

/// Narrows the console to contexts or providers by name.
pub(super) fn narrow_to(model: &mut Model, names: &[String]) {
    let mut scope = BTreeSet::new();
    for name in names {
        let found: Vec<String> = model
            .view
            .contexts
            .iter()
            .filter(|context| context.name == *name || context.provider == *name)
            .map(|context| context.name.clone())
            .collect();
        if found.is_empty() {
            model.say(Role::Warn, format!("no context or provider is called {name}"));
            return;
        }
        scope.extend(found);
    }
    narrow(model, scope);
}
