//! Server-side apply: the merged object, who owns what of it, and whom that would rob.

use std::borrow::Cow;

use serde_json::Value;

use super::compare::{Delta, fields_of, strip_unowned};
use super::fieldsv1::{intersect, paths};
use super::managers::{self, APPLY};
use super::merge::{gives_up, merge, prune, union};
use super::node::Node;
use super::{ApplyError, FieldConflict, Typing, Writer, default, resets, typed, update};

/// Applies `config` over `live` (None: creates it). Returns the merged and defaulted object with `metadata.managedFields`;
/// it equals `live` when nothing changes. With `force`, other managers lose what is taken from them; without, that is a
/// conflict.
pub fn apply(typing: Typing<'_>, live: Option<&Value>, config: &Value, writer: &Writer<'_>, force: bool) -> Result<Value, ApplyError> {
    let root = Node::root(typing);
    typed::check(root, config).map_err(ApplyError::Invalid)?;
    let start = live.map_or_else(|| update::empty(typing, config), Cow::Borrowed);
    let mut merged = merge(root, &start, config);
    let mut entries = managers::take(&mut merged).unwrap_or_default();
    if let Some(live) = live.filter(|_| entries.is_empty()) {
        entries = update::first_entry(typing, live, writer);
    }
    let mut set = fields_of(root, config);
    resets::strip(typing, writer.subresource, &mut set);
    let last = entries.iter().position(|entry| managers::is_own(entry, writer, APPLY)).map(|at| entries.remove(at));
    if let Some(last) = last.as_ref().and_then(managers::set)
        && gives_up(last, &set.children)
    {
        let owned = union(entries.iter().filter_map(managers::set).chain([&set.children]));
        merged = prune(root, &merged, last, &owned);
    }
    strip_unowned(&mut set);
    let delta = update::difference(typing, &start, &merged, writer.subresource);
    if !force {
        refuse(&entries, &delta, writer)?;
    }
    update::take_over(&mut entries, &delta);
    let moved = live.is_none_or(|live| !managers::same_but_entries(live, &merged));
    let before = last.as_ref().and_then(|last| last.get("time")?.as_str());
    let time = if moved && writer.subresource != "scale" { Some(writer.time) } else { before };
    if !set.children.is_empty() {
        entries.push(managers::entry(writer, APPLY, time, set.children));
    }
    managers::sort(&mut entries);
    if moved {
        default(typing, &mut merged);
    }
    Ok(settle(live, merged, entries))
}

/// Puts the entries into the merged object. When they and it say what the live ones say, the live times stay.
fn settle(live: Option<&Value>, mut merged: Value, entries: Vec<Value>) -> Value {
    match live {
        Some(live) if managers::same_but_times(managers::entries(live), &entries) && managers::same_but_entries(live, &merged) => {
            live.clone()
        }
        _ => {
            managers::put(&mut merged, entries);
            merged
        }
    }
}

/// Who would be robbed. Through /scale, all managers seem to use the version of scales.
fn refuse(entries: &[Value], delta: &Delta, writer: &Writer<'_>) -> Result<(), ApplyError> {
    let mut conflicts = Vec::new();
    for entry in entries {
        let Some(set) = managers::set(entry) else { continue };
        let text = |name| managers::text(entry, name).to_owned();
        conflicts.extend(paths(&intersect(set, &delta.changed.children)).into_iter().map(|path| FieldConflict {
            manager: text("manager"),
            api_version: if writer.subresource == "scale" { "autoscaling/v1".into() } else { text("apiVersion") },
            operation: text("operation"),
            subresource: text("subresource"),
            time: entry.get("time").and_then(Value::as_str).map(str::to_owned),
            path,
        }));
    }
    if conflicts.is_empty() { Ok(()) } else { Err(ApplyError::Conflicts(conflicts)) }
}
