//! An engine that is ended after its k-th write, for every k, or never hears of it: the end is the same, and so is what
//! was made and deleted on the way.

use pilothouse::simulation::rehearse::{Disturbance, Ended, Rehearsal, all, rehearse};
use serde_json::Value;

use crate::{each, in_virtual_time};

fn play(rehearsal: &Rehearsal, disturbance: Disturbance) -> Result<Ended, String> {
    in_virtual_time(rehearse(rehearsal, disturbance))
}

/// What differs between two ends, by place.
fn differences(expected: &Value, found: &Value, place: &str, out: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let none = Value::Null;
                differences(a.get(key).unwrap_or(&none), b.get(key).unwrap_or(&none), &format!("{place}/{key}"), out);
            }
        }
        (a, b) if a != b => out.push(format!("{place}: {a} became {b}")),
        _ => {}
    }
}

fn compare(undisturbed: &Ended, ended: &Ended) -> Vec<String> {
    let mut found = ended.broken.clone();
    differences(&undisturbed.state, &ended.state, "", &mut found);
    for (object, life) in &undisturbed.lives {
        if ended.lives.get(object) != Some(life) {
            found.push(format!("{object}: made and deleted {life:?} times, and disturbed {:?}", ended.lives.get(object)));
        }
    }
    found.extend(
        ended
            .lives
            .keys()
            .filter(|object| !undisturbed.lives.contains_key(*object))
            .map(|object| format!("{object}: nobody made it before")),
    );
    found
}

fn undisturbed() -> Vec<(Rehearsal, Ended)> {
    let all = all();
    let ended = each(&all, |rehearsal| play(rehearsal, Disturbance::None));
    let known = all.into_iter().zip(ended);
    known
        .map(|(rehearsal, ended)| {
            let ended = ended.unwrap_or_else(|why| panic!("{}: {why}", rehearsal.name));
            assert_eq!(ended.broken, Vec::<String>::new(), "{}", rehearsal.name);
            (rehearsal, ended)
        })
        .collect()
}

fn every_write(kind: &str, disturb: impl Fn(u64) -> Disturbance + Sync) {
    let known = undisturbed();
    let cases: Vec<(usize, u64)> = known.iter().enumerate().flat_map(|(i, (_, ended))| (1..=ended.writes).map(move |n| (i, n))).collect();
    let failed: Vec<String> = each(&cases, |(index, write)| {
        let (rehearsal, undisturbed) = &known[*index];
        let found = match play(rehearsal, disturb(*write)) {
            Ok(ended) => compare(undisturbed, &ended),
            Err(why) => vec![why],
        };
        (!found.is_empty()).then(|| format!("{}, {kind} {write}:\n    {}", rehearsal.name, found.join("\n    ")))
    })
    .into_iter()
    .flatten()
    .collect();
    println!("crashes: {} rollouts of {} kinds, {kind} each of their writes: {} ended differently", cases.len(), known.len(), failed.len());
    assert!(failed.is_empty(), "{}", failed.iter().take(3).cloned().collect::<Vec<_>>().join("\n"));
}

#[test]
fn an_engine_that_ends_after_any_write_is_continued_by_the_next() {
    every_write("ended after", Disturbance::EndAfter);
}

#[test]
fn a_reply_that_is_lost_changes_nothing() {
    every_write("no reply to", Disturbance::ReplyLost);
}

#[test]
fn undisturbed_rollouts_come_to_their_end() {
    for (rehearsal, ended) in undisturbed() {
        println!("{}: {} writes", rehearsal.name, ended.writes);
    }
}
