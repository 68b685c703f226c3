//! Plans of trouble drawn from seeds: whatever happens, no rule is broken, and once it is over everything comes to its end.
//!
//! `SWARM=N` plays N seeds instead of the usual number, `SEED=N` plays one and tells its story. A seed that failed once is
//! kept in `seeds.txt` with what it had found, and played for ever.

use std::time::{Duration, Instant};

use pilothouse::simulation::plan::Plan;
use pilothouse::simulation::play::{Outcome, play};

use crate::{each, in_virtual_time};

/// Seeds of one run of the tests.
const USUAL: u64 = 600;
/// Every so many seeds are played twice.
const TWICE: u64 = 15;

const KEPT: &str = include_str!("seeds.txt");

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

fn run(seed: u64) -> Outcome {
    in_virtual_time(play(&Plan::draw(seed))).unwrap_or_else(|why| panic!("seed {seed}: {why}"))
}

fn told(seed: u64, outcome: &Outcome) -> String {
    let plan = Plan::draw(seed).story().join("\n    ");
    format!(
        "seed {seed} (play it again with SEED={seed}):\n    {}\n  plan\n    {plan}\n  story\n    {}",
        outcome.broken.join("\n    "),
        outcome.story.join("\n    ")
    )
}

/// The seeds that are kept: a number, and after it the story.
fn kept() -> Vec<u64> {
    let lines = KEPT.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("seeds.txt: `{line}`"))).collect()
}

fn swarm(seeds: &[u64]) {
    let begun = Instant::now();
    let outcomes = each(seeds, |seed| run(*seed));
    let took = begun.elapsed();
    let rollouts: u64 = outcomes.iter().map(|outcome| outcome.rollouts).sum();
    let lasted: Duration = outcomes.iter().map(|outcome| outcome.lasted).sum();
    let failed: Vec<String> =
        seeds.iter().zip(&outcomes).filter(|(_, outcome)| !outcome.broken.is_empty()).map(|(seed, outcome)| told(*seed, outcome)).collect();
    #[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
    let a_minute = rollouts as f64 / took.as_secs_f64() * 60.0;
    println!(
        "swarm: {} seeds, {rollouts} rollouts, {} h of simulated time in {:.1} s: {a_minute:.0} rollouts a minute; {} failed",
        seeds.len(),
        lasted.as_secs() / 3_600,
        took.as_secs_f64(),
        failed.len()
    );
    assert!(
        failed.is_empty(),
        "{} of {} seeds failed; the first ones:\n{}",
        failed.len(),
        seeds.len(),
        failed.iter().take(2).cloned().collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn everything_comes_to_its_end_once_trouble_is_over() {
    if let Some(seed) = number("SEED") {
        println!("{}", told(seed, &run(seed)));
        return swarm(&[seed]);
    }
    swarm(&(0..number("SWARM").unwrap_or(USUAL)).collect::<Vec<_>>());
}

#[test]
fn seeds_that_failed_once_are_kept() {
    swarm(&kept());
}

#[test]
fn the_same_seed_leaves_the_same_trace() {
    let seeds: Vec<u64> = (0..number("SWARM").unwrap_or(USUAL)).step_by(usize::try_from(TWICE).expect("small")).collect();
    let differ: Vec<u64> = each(&seeds, |seed| (run(*seed).trace != run(*seed).trace).then_some(*seed)).into_iter().flatten().collect();
    println!("swarm: {} seeds played twice, {} left another trace", seeds.len(), differ.len());
    assert_eq!(differ, Vec::<u64>::new());
    assert_ne!(run(1).trace, run(2).trace);
}
