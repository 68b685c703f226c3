//! Rollouts compared with what the real controllers did: `recorded/rollouts.json`, by `recorded/record.py` from
//! Kubernetes 1.36.3.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::options::{Latency, milliseconds};
use super::testing::Bench;
use crate::kubernetes::json::{annotation, items, text};

/// Schedules that are tried: which of two controllers comes first differs from run to run of a real cluster, too.
const SCHEDULES: u64 = 40;
/// As many are played in any case.
const ENOUGH: u64 = 3;

/// Latencies like those of the bed: everything within milliseconds, pods ready after 200.
fn like_the_bed(seed: u64) -> Bench {
    Bench::with(|options| {
        options.seed = seed;
        options.controller = Latency::between(1, 4);
        options.follow_up = Latency::between(1, 6);
        options.replica_sets = Latency::between(1, 6);
        options.pod_ready = Latency::between(200, 240);
        options.pod_stop = Latency::between(2, 20);
    })
}

/// A status as one line, as `recorded/record.py` writes it.
fn line(deployment: &Value, messages: &Value) -> String {
    let conditions: Vec<String> = items(deployment, "/status/conditions")
        .map(|condition| {
            let reason = text(condition, "/reason");
            let words = text(condition, "/message").split('"').map(|word| if word.starts_with("web-") { "web-HASH" } else { word });
            assert_eq!(words.collect::<Vec<_>>().join("\""), text(messages, &format!("/{reason}")), "message of {reason}");
            format!("{} {} {reason}", text(condition, "/type"), text(condition, "/status"))
        })
        .collect();
    let counts: BTreeMap<&String, &Value> =
        deployment["status"].as_object().into_iter().flatten().filter(|(name, _)| *name != "conditions").collect();
    let counts: Vec<String> = counts.into_iter().map(|(name, count)| format!("{name}={count}")).collect();
    let revision = annotation(deployment, "deployment.kubernetes.io/revision").unwrap_or("None");
    format!("{} {revision} {} [{}]", deployment["metadata"]["generation"], counts.join(" "), conditions.join("; "))
}

/// Every status in turn, from now for so many seconds.
fn statuses(bench: &mut Bench, seconds: u64, messages: &Value) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    let end = bench.now() + milliseconds(seconds * 1000);
    bench.until(end, &mut |bench| {
        let object = bench.server.object("deployments.apps", "test", "web");
        if let Some(object) = object.filter(|o| o["status"].as_object().is_some_and(|s| !s.is_empty())) {
            let now = line(&object, messages);
            if seen.last() != Some(&now) {
                seen.push(now);
            }
        }
    });
    seen
}

fn replica_sets(bench: &Bench) -> Vec<Value> {
    let bare = |set: &Value| {
        let annotations = set["metadata"]["annotations"].as_object().into_iter().flatten();
        let annotations: BTreeMap<&str, &Value> = annotations.map(|(k, v)| (k.split('/').next_back().unwrap_or_default(), v)).collect();
        let status = set["status"].as_object().into_iter().flatten().filter(|(k, _)| *k != "observedGeneration");
        let template = &set["spec"]["template"];
        json!({
            "annotations": annotations, "replicas": set["spec"]["replicas"], "image": template["spec"]["containers"][0]["image"],
            "pods": template["metadata"]["labels"]["bed.pilothouse.dev/pod"], "status": status.collect::<BTreeMap<_, _>>()
        })
    };
    let mut sets: Vec<Value> = bench.server.objects("replicasets.apps").iter().map(|set| bare(set)).collect();
    sets.sort_by_key(|set| text(set, "/annotations/revision").parse::<i64>().unwrap_or(0));
    sets
}

/// What one schedule makes of one scenario: for each step the statuses in turn, and the sets in the end.
fn play(scenario: &Value, messages: &Value, seed: u64) -> Vec<(Vec<String>, Vec<Value>)> {
    let mut bench = like_the_bed(seed);
    let mut object = scenario["object"].clone();
    object["metadata"]["namespace"] = json!("test");
    bench.create("/apis/apps/v1/namespaces/test/deployments", &object);
    let mut played = Vec::new();
    for step in items(scenario, "/steps") {
        if !step["patch"].is_null() {
            bench.patch("/apis/apps/v1/namespaces/test/deployments/web", &step["patch"]);
        }
        let seen = statuses(&mut bench, step["seconds"].as_u64().expect("seconds"), messages);
        played.push((seen, replica_sets(&bench)));
    }
    played
}

/// The statuses of a recorded run, which has them as numbers.
fn recorded_lines<'a>(run: &Value, recorded: &'a Value) -> Vec<&'a str> {
    run.as_str().into_iter().flat_map(str::split_whitespace).map(|number| text(recorded, &format!("/lines/{number}"))).collect()
}

/// Each step of each scenario goes, under one schedule at least, exactly as one of the recorded runs went, status by
/// status; and it ends as all of them ended under every schedule. Where a crowd of pods races, the end alone is compared.
#[test]
fn rollouts_go_as_they_went_in_a_real_cluster() {
    let recorded: Value = serde_json::from_str(include_str!("recorded/rollouts.json")).expect("JSON");
    let (mut exact, mut ends) = (0, 0);
    for scenario in items(&recorded, "/scenarios") {
        let name = text(scenario, "/name");
        let steps: Vec<&Value> = items(scenario, "/steps").collect();
        let mut matched = vec![name.starts_with("CROWD"); steps.len()];
        let mut seed = 0;
        while seed < ENOUGH || (seed < SCHEDULES && matched.contains(&false)) {
            for (index, ((seen, sets), step)) in play(scenario, &recorded["messages"], seed).iter().zip(&steps).enumerate() {
                matched[index] |= items(step, "/runs").any(|run| recorded_lines(run, &recorded) == *seen);
                let end: Vec<&Value> = items(step, "/replicaSets").collect();
                assert_eq!(end, sets.iter().collect::<Vec<_>>(), "the end of {name}, step {index}, schedule {seed}");
                if seed + 1 == SCHEDULES && !matched[index] {
                    let one = recorded_lines(&step["runs"][0], &recorded).join("\n");
                    panic!("{name}, step {index}: no schedule goes so:\n{one}\nthis one so:\n{}", seen.join("\n"));
                }
            }
            seed += 1;
        }
        exact += if name.starts_with("CROWD") { 0 } else { steps.len() };
        ends += steps.len();
    }
    println!("{exact} steps go exactly as in a real cluster, {ends} end alike");
    assert_eq!((exact, ends), (26, 33));
}
