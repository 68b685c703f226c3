//! Who owns what after a create, a PUT or a patch that is no apply.

use std::borrow::Cow;

use serde_json::Value;

use super::compare::{Delta, compare};
use super::fieldsv1::{subtract, unite};
use super::managers::{self, UPDATE};
use super::node::Node;
use super::types::table;
use super::{Typing, Writer, merge, resets};

/// `new`, already defaulted, over `live`; returns it with `metadata.managedFields` as the server stores them. What `new`
/// itself says of them does not count. An object that is live without any entry stays so, as in the server.
pub fn update(typing: Typing<'_>, live: Option<&Value>, mut new: Value, writer: &Writer<'_>) -> Value {
    let sent = managers::take(&mut new);
    let old = live.map_or(&[][..], managers::entries);
    if live.is_some() && old.is_empty() {
        return new;
    }
    // What a client sends back unchanged need not be copied from the live object.
    let mut entries = sent.filter(|sent| sent == old).unwrap_or_else(|| old.to_vec());
    let start = live.map_or_else(|| empty(typing, &new), Cow::Borrowed);
    let delta = difference(typing, &start, &new, writer.subresource);
    if !delta.is_empty() {
        take_over(&mut entries, &delta);
        own(&mut entries, delta, writer);
        managers::cap(&mut entries);
        managers::sort(&mut entries);
    }
    managers::put(&mut new, entries);
    new
}

/// The object that a created one is compared with: what Go prints of an empty object of a built-in kind.
pub fn empty<'o>(typing: Typing<'_>, object: &Value) -> Cow<'o, Value> {
    let zero = match typing {
        Typing::BuiltIn { group, kind } => resets::struct_of(group, kind).and_then(|name| table().named(name)),
        Typing::Custom { .. } => None,
    };
    zero.map_or_else(|| Cow::Owned(merge::bare(object)), |known| Cow::Borrowed(known.zero()))
}

/// What the writer's endpoint changes between two objects.
pub fn difference(typing: Typing<'_>, live: &Value, new: &Value, subresource: &str) -> Delta {
    let mut delta = compare(Node::root(typing), live, new);
    resets::strip(typing, subresource, &mut delta.changed);
    resets::strip(typing, subresource, &mut delta.removed);
    delta
}

/// Takes what changed and what went from everybody; entries that own nothing any more go.
pub fn take_over(entries: &mut Vec<Value>, delta: &Delta) {
    entries.retain_mut(|entry| {
        let Some(set) = managers::set_mut(entry) else { return false };
        subtract(set, &delta.changed.children);
        subtract(set, &delta.removed.children);
        !set.is_empty()
    });
}

/// Gives the writer what changed. The server knows no time of writes through /scale.
fn own(entries: &mut Vec<Value>, delta: Delta, writer: &Writer<'_>) {
    let taken = delta.changed.children;
    if taken.is_empty() {
        return;
    }
    let time = (writer.subresource != "scale").then_some(writer.time);
    match entries.iter_mut().find(|entry| managers::is_own(entry, writer, UPDATE)) {
        Some(entry) => {
            if let Some(set) = managers::set_mut(entry) {
                unite(set, &taken);
            }
            if let (Some(entry), Some(time)) = (entry.as_object_mut(), time) {
                entry.insert("time".into(), time.into());
            }
        }
        None => entries.push(managers::entry(writer, UPDATE, time, taken)),
    }
}

/// The entry of what an object without entries holds when it is first applied to.
pub fn first_entry(typing: Typing<'_>, live: &Value, writer: &Writer<'_>) -> Vec<Value> {
    let mut entries = Vec::new();
    own(&mut entries, difference(typing, &empty(typing, live), live, writer.subresource), &managers::before_first_apply(writer));
    entries
}
