//! Changes without an end: statuses and events, at a given rate.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Loaded;
use crate::kubernetes::json::integer;
use crate::simulation::api::set_field;

/// What is struck.
pub(super) const STRUCK: [&str; 3] = ["canaries.flagger.app", "deployments.apps", "events"];
/// How often the storm catches up with its rate.
const GUST: Duration = Duration::from_millis(5);

/// It makes up for one part in so many of a second at most.
const ARREARS: u128 = 50;

/// Changes `rate` objects a second.
pub(super) async fn rage(loaded: &Loaded, rate: u32) {
    let mut random = fastrand::Rng::with_seed(loaded.seed);
    let begun = Instant::now();
    let mut done = 0_u128;
    let mut gusts = tokio::time::interval(GUST);
    gusts.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        gusts.tick().await;
        let due = begun.elapsed().as_millis() * u128::from(rate) / 1_000;
        // What a machine that is too slow has missed is not made up for: the storm would leave it to nobody else.
        done = done.max(due.saturating_sub(u128::from(rate) / ARREARS));
        while done < due {
            strike(loaded, &mut random, Timestamp::now());
            done += 1;
        }
        tokio::task::yield_now().await;
    }
}

/// Changes one object.
pub(super) fn strike(loaded: &Loaded, random: &mut fastrand::Rng, now: Timestamp) {
    let Some(place) = random.choice(&loaded.places) else { return };
    let Some((_, server)) = loaded.clusters.get(place.cluster) else { return };
    let draw = random.i64(0..=60);
    server.amend(place.resource, &place.namespace, &place.name, |object| match place.resource {
        "events" => {
            let count = integer(object, "/count").unwrap_or(1) + 1;
            object["count"] = json!(count);
            object["lastTimestamp"] = json!(seconds(now));
        }
        "deployments.apps" => {
            set_field(object, "status", "observedGeneration", json!(2 + draw));
            if let Some(condition) = object.pointer_mut("/status/conditions/0") {
                condition["lastUpdateTime"] = json!(seconds(now));
            }
        }
        _ => {
            set_field(object, "status", "canaryWeight", json!(draw));
            set_field(object, "status", "lastTransitionTime", json!(seconds(now)));
        }
    });
}

fn seconds(now: Timestamp) -> Value {
    json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
