//! Editing a route in place: what is ours is laid over what is there, what is not ours stays.
//!
//! The lists in routes are atomic for the API server, so whose an entry is has to be told here, by the
//! Services that it names.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

pub(super) use super::list;
use super::{Named, Subject, TOOLKIT};
use crate::domain::text::clean;
use crate::domain::traffic::Traffic;

const PERCENT: RangeInclusive<i64> = 0..=100;

/// Longest name of an object; nothing longer is quoted in an error.
const LONGEST_NAME: usize = 253;

/// Whose an entry of a list of weighted destinations is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Primary,
    Canary,
    /// Others' entry that takes a part of the requests: with it, weights of 80 and 20 do not mean 80 and 20 percent.
    Sharer,
    /// Others' entry that takes none: a mirror, or a weight of 0.
    Idle,
}

/// What becomes of an entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The base of ours with this index.
    Ours(usize),
    Theirs,
    Gone,
}

/// `text` from outside as it may stand in an error.
#[must_use]
pub fn brief(text: &str) -> String {
    clean(text).chars().take(LONGEST_NAME).collect()
}

/// Kind and name, as errors begin.
#[must_use]
pub fn shown(object: &Named) -> String {
    format!("{} {}", object.kind.word(), brief(&object.name))
}

/// `live` with `ours` laid over it as a JSON merge patch (RFC 7386): maps are merged, `null` takes a field out,
/// anything else replaces.
#[must_use]
pub fn merge(live: Option<Value>, ours: Value) -> Value {
    let Value::Object(ours) = ours else { return ours };
    let mut out = match live {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    for (key, value) in ours {
        let old = out.remove(&key);
        if !value.is_null() {
            out.insert(key, merge(old, value));
        }
    }
    Value::Object(out)
}

/// `live` with `count` entries of ours, each laid over the entry that `place` says it is; they stand together where the
/// first of them stood, in front where none did. `ours` gets the entry that it is laid over.
pub fn weave(live: &[Value], count: usize, mut place: impl FnMut(&Value) -> Place, ours: impl Fn(usize, Option<&Value>) -> Value) -> Value {
    let mut bases = vec![None; count];
    let mut out = Vec::new();
    let mut spot = None;
    for entry in live {
        match place(entry) {
            Place::Ours(index) => {
                spot.get_or_insert(out.len());
                if let Some(base @ None) = bases.get_mut(index) {
                    *base = Some(entry);
                }
            }
            Place::Theirs => out.push(entry.clone()),
            Place::Gone => {}
        }
    }
    // A new entry starts from its neighbour's: what others set on the primary's (a protocol, a certificate) holds for
    // the canary's, which serves the same program.
    let model = bases.iter().flatten().next().copied();
    let spot = spot.unwrap_or(0);
    let entries: Vec<Value> = bases
        .iter()
        .enumerate()
        .map(|(index, base)| {
            let base = base.or(model);
            merge(base.cloned(), ours(index, base))
        })
        .collect();
    out.splice(spot..spot, entries);
    Value::Array(out)
}

/// Places for [`weave`] in a list of routes, aligned by their ends: the last of ours is for the requests that meet no
/// condition, with conditional ones before it (an A/B test) or without.
pub fn aligned<'a>(live: &[Value], count: usize, is_ours: impl Fn(&Value) -> bool + 'a) -> impl FnMut(&Value) -> Place + 'a {
    let had = live.iter().filter(|route| is_ours(route)).count();
    let mut met = 0;
    move |route| {
        if !is_ours(route) {
            return Place::Theirs;
        }
        met += 1;
        (count + met - 1).checked_sub(had).map_or(Place::Gone, Place::Ours)
    }
}

/// [`weave`] for a list of weighted destinations: the primary's entry is 0, the canary's 1.
pub fn divide(live: &[Value], count: usize, whose: impl Fn(&Value) -> Whose, ours: impl Fn(usize, Option<&Value>) -> Value) -> Value {
    let place = |entry: &Value| match whose(entry) {
        Whose::Primary => Place::Ours(0),
        Whose::Canary => Place::Ours(1),
        Whose::Sharer => Place::Gone,
        Whose::Idle => Place::Theirs,
    };
    weave(live, count, place, ours)
}

/// Whether a list of weighted destinations names both the primary and the canary: then it is ours.
pub fn names_both(entries: &[Value], whose: impl Fn(&Value) -> Whose) -> bool {
    [Whose::Primary, Whose::Canary].iter().all(|wanted| entries.iter().any(|entry| whose(entry) == *wanted))
}

/// The traffic that a list of weighted destinations gives; `None` where it names neither the primary nor the canary.
/// A weight that is not there is 0: Go's encoders leave zeros out.
///
/// # Errors
/// A sentence where the weights are not whole numbers that add up to 100, or another destination has a part.
pub fn divided(object: &Named, entries: &[Value], whose: impl Fn(&Value) -> Whose) -> Result<Option<Traffic>, String> {
    let of = |wanted: Whose| entries.iter().filter(|e| whose(e) == wanted).map(|e| e.get("weight")).collect::<Vec<_>>();
    let (primary, canary) = (of(Whose::Primary), of(Whose::Canary));
    if primary.is_empty() && canary.is_empty() {
        return Ok(None);
    }
    if let Some(other) = entries.iter().find(|e| whose(e) == Whose::Sharer) {
        return Err(format!(
            "{}: a part of the requests goes to another destination, {}; take it out, or delete the object",
            shown(object),
            brief(&other.to_string())
        ));
    }
    traffic(object, &primary, &canary).map(Some)
}

/// The traffic that the weights of the primary's and the canary's entries give.
///
/// # Errors
/// A sentence where they are not whole numbers that add up to 100.
pub fn traffic(object: &Named, primary: &[Option<&Value>], canary: &[Option<&Value>]) -> Result<Traffic, String> {
    match (sum(primary), sum(canary)) {
        (Some(primary), Some(canary)) if primary + canary == 100 => Ok(Traffic::weight(canary)),
        _ => Err(format!(
            "{}: weights {} of the primary and {} of the canary are not whole numbers that add up to 100; correct them, or delete \
             the object",
            shown(object),
            said(primary),
            said(canary)
        )),
    }
}

fn sum(weights: &[Option<&Value>]) -> Option<i64> {
    weights.iter().try_fold(0, |sum, weight| Some(sum + weight.map_or(Some(0), Value::as_i64).filter(|w| PERCENT.contains(w))?))
}

fn said(weights: &[Option<&Value>]) -> String {
    let words: Vec<_> = weights.iter().map(|w| w.map_or("none".into(), |w| brief(&w.to_string()))).collect();
    if words.is_empty() { "none".into() } else { words.join("+") }
}

/// Percent of the primary and of the canary.
///
/// # Errors
/// A sentence for a weight that is no percentage.
pub fn parts(traffic: Traffic) -> Result<[i64; 2], String> {
    let canary = traffic.canary;
    if PERCENT.contains(&canary) {
        Ok([100 - canary, canary])
    } else {
        Err(format!("a weight of {canary} for the canary is not between 0 and 100"))
    }
}

/// The annotations that keep Flux away from generated objects (rollout-contract §3.5).
#[must_use]
pub fn toolkit() -> Map<String, Value> {
    TOOLKIT.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect()
}

/// `metadata` of a generated route: `service.apex` of the Canary and the toolkit annotations.
#[must_use]
pub fn metadata(at: &Subject<'_>) -> Value {
    let apex = at.spec.service.apex.clone().unwrap_or_default();
    let mut annotations: Map<_, _> = apex.annotations.into_iter().map(|(key, value)| (key, json!(value))).collect();
    annotations.extend(toolkit());
    let mut out = json!({"annotations": annotations});
    // An empty map would differ from none at all, which is what the API server keeps.
    if !apex.labels.is_empty() {
        out["labels"] = json!(apex.labels);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::kinds::Kind;

    fn whose(entry: &Value) -> Whose {
        match entry["name"].as_str() {
            Some("p") => Whose::Primary,
            Some("c") => Whose::Canary,
            _ if entry["weight"] == 0 => Whose::Idle,
            _ => Whose::Sharer,
        }
    }

    fn read(entries: &Value) -> Result<Option<i64>, String> {
        let object = Named { kind: Kind::HttpProxy, namespace: "prod".into(), name: "web\u{1b}[2J".into() };
        divided(&object, list(entries, ""), whose).map(|traffic| traffic.map(|t| t.canary))
    }

    #[test]
    fn weights_are_read_or_refused_with_a_sentence() {
        assert_eq!(read(&json!([{"name": "p", "weight": 80}, {"name": "c", "weight": 20}, {"name": "x", "weight": 0}])), Ok(Some(20)));
        assert_eq!(read(&json!([{"name": "p", "weight": 100}])), Ok(Some(0)));
        assert_eq!(read(&json!([{"name": "c", "weight": 100}, {"name": "p"}])), Ok(Some(100)));
        assert_eq!(read(&json!([{"name": "x", "weight": 7}])), Ok(None));
        assert_eq!(
            read(&json!([{"name": "p", "weight": 80}, {"name": "c", "weight": "20"}])),
            Err("HTTPProxy web[2J: weights 80 of the primary and \"20\" of the canary are not whole numbers that add up to 100; \
                 correct them, or delete the object"
                .into())
        );
        for wrong in [
            json!([{"name": "p", "weight": 100}, {"name": "c", "weight": 100}]),
            json!([{"name": "p", "weight": 150}, {"name": "c", "weight": -50}]),
            json!([{"name": "p", "weight": 79.5}, {"name": "c", "weight": 20.5}]),
            json!([{"name": "p", "weight": i64::MAX}, {"name": "p", "weight": i64::MAX}]),
            json!([{"name": "c", "weight": 20}]),
        ] {
            assert!(read(&wrong).is_err_and(|e| e.contains("add up to 100")), "{wrong}");
        }
        let third = json!([{"name": "p", "weight": 80}, {"name": "c", "weight": 20}, {"name": "x", "weight": 5}]);
        assert!(read(&third).is_err_and(|e| e.contains("another destination")));
    }

    #[test]
    fn entries_of_others_keep_their_place_and_a_new_one_starts_from_its_neighbour() {
        let live = json!([{"name": "x", "weight": 0}, {"name": "p", "tls": true}, {"name": "y"}, {"name": "z", "weight": 0}]);
        let out = divide(list(&live, ""), 2, whose, |index, _| json!({"name": if index == 0 { "p" } else { "c" }, "weight": 50}));
        assert_eq!(
            out,
            json!([{"name": "x", "weight": 0}, {"name": "p", "weight": 50, "tls": true}, {"name": "c", "weight": 50, "tls": true},
                {"name": "z", "weight": 0}])
        );
    }

    #[test]
    fn a_patch_is_merged_and_null_takes_out() {
        let live = json!({"a": {"b": 1, "c": 2}, "d": [1], "e": 3});
        assert_eq!(
            merge(Some(live), json!({"a": {"b": null, "x": {"y": null}}, "d": [2]})),
            json!({"a": {"c": 2, "x": {}}, "d": [2], "e": 3})
        );
        assert_eq!(parts(Traffic::weight(120)), Err("a weight of 120 for the canary is not between 0 and 100".into()));
    }
}
