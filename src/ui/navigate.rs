//! Moving about: the cursor, the history of screens, the scope. Nothing here asks or sends.

use std::collections::BTreeSet;

use super::attention::{self, RowKey};
use super::model::{Address, Model};
use super::screens::{self, fleet};
use super::theme::Role;
use crate::domain::target::Target;

/// Rows of a page of the present screen.
pub(super) fn page(model: &Model) -> isize {
    let rows = match model.address {
        Address::Fleet => fleet::table_height(model.size),
        _ => usize::from(model.size.1).saturating_sub(6),
    };
    isize::try_from(rows.max(2) - 1).unwrap_or(1)
}

/// Moves the cursor of the fleet, or scrolls another screen.
pub(super) fn move_by(model: &mut Model, by: isize) {
    if model.address != Address::Fleet {
        let last = screens::scroll_limit(model);
        model.scroll = model.scroll.min(last).saturating_add_signed(by).min(last);
        return;
    }
    let rows = model.rows();
    let here = model.selection.as_ref().and_then(|row| rows.iter().position(|other| other == row)).unwrap_or(0);
    let to = here.saturating_add_signed(by).min(rows.len().saturating_sub(1));
    model.selection = rows.get(to).cloned();
    model.moved = true;
}

/// Opens the canary under the cursor, or the worst one of the provider under it.
pub(super) fn open(model: &mut Model) {
    let target = match &model.selection {
        Some(RowKey::Canary(target)) => Some(target.clone()),
        Some(RowKey::Context(name)) => model.view.context(name).and_then(|context| {
            let worst = context.canaries.iter().min_by_key(|canary| attention::own_state(canary))?;
            Some(Target::new(name, &worst.key))
        }),
        None => None,
    };
    match (target, model.context().map(|context| context.provider.clone())) {
        (Some(target), _) => go(model, Address::Canary(target)),
        (None, Some(provider)) => model.say(Role::Warn, format!("{provider} has no canary to open")),
        (None, None) => {}
    }
}

/// Goes to an address, where that is in scope and known.
pub(super) fn go(model: &mut Model, address: Address) {
    if let Address::Canary(target) = &address {
        if !attention::in_scope(&model.scope, &target.context) {
            model.say(Role::Warn, format!("{} is out of scope: press 0 first", target.context));
            return;
        }
        if model.view.canary(target).is_none() {
            model.say(Role::Warn, format!("no canary {target} is known"));
            return;
        }
        model.selection = Some(RowKey::Canary(target.clone()));
        model.moved = true;
    }
    if model.address != address {
        let before = std::mem::replace(&mut model.address, address);
        model.earlier.push(before);
        model.later.clear();
        model.scroll = 0;
    }
}

/// Goes to where the console came from.
pub(super) fn back(model: &mut Model) {
    let to = model.earlier.pop().unwrap_or(Address::Fleet);
    let before = std::mem::replace(&mut model.address, to);
    model.later.push(before);
    model.scroll = 0;
}

/// Undoes going back.
pub(super) fn forward(model: &mut Model) {
    if let Some(to) = model.later.pop() {
        let before = std::mem::replace(&mut model.address, to);
        model.earlier.push(before);
        model.scroll = 0;
    }
}

/// Drops the first of: news, marks, filter, trouble only.
pub(super) fn clear(model: &mut Model) {
    if model.toast.take().is_some() {
    } else if !model.marks.is_empty() {
        model.marks.clear();
    } else if !model.filter.is_empty() {
        model.filter.clear();
    } else {
        model.trouble_only = false;
    }
}

/// Marks the provider under the cursor, or takes the mark off.
pub(super) fn mark(model: &mut Model) {
    let Some(context) = model.selection.as_ref().map(|row| row.context().to_string()) else { return };
    if !model.marks.remove(&context) {
        model.marks.insert(context);
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
