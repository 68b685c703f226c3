//! Plans of trouble drawn from seeds: whatever happens, no rule is broken, and once it is over everything comes to its end.
//!
//! `SWARM=N` plays N seeds instead of the usual number, `SWARM=A..B` those from A on and below B, `SEED=N` plays one and tells
//! its story, `SEED="N narrow"` one as the first plans were drawn. A seed that failed once is kept in `seeds.txt` with what it
//! had found, and played for ever.

use std::fmt;
use std::time::{Duration, Instant};

use pilothouse::simulation::plan::Plan;
use pilothouse::simulation::play::{Outcome, play};

use crate::{each, in_virtual_time};

/// Seeds of one run of the tests.
const USUAL: u64 = 600;
/// Every so many seeds are played twice.
const TWICE: usize = 15;

const KEPT: &str = include_str!("seeds.txt");

/// A seed, and how a plan is drawn from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seed {
    number: u64,
    narrow: bool,
}

impl Seed {
    const fn new(number: u64) -> Self {
        Self { number, narrow: false }
    }

    /// The first words of `text`: a number, and `narrow` perhaps.
    fn read(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let number = words.next()?.parse().ok()?;
        Some(Self { number, narrow: words.next() == Some("narrow") })
    }

    fn plan(self) -> Plan {
        if self.narrow { Plan::narrow(self.number) } else { Plan::draw(self.number) }
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.number, if self.narrow { " narrow" } else { "" })
    }
}

fn run(seed: Seed) -> Outcome {
    in_virtual_time(play(&seed.plan())).unwrap_or_else(|why| panic!("seed {seed}: {why}"))
}

fn told(seed: Seed, outcome: &Outcome) -> String {
    let plan = seed.plan().story().join("\n    ");
    format!(
        "seed {seed} (play it again with SEED=\"{seed}\"):\n    {}\n  plan\n    {plan}\n  story\n    {}",
        outcome.broken.join("\n    "),
        outcome.story.join("\n    ")
    )
}

/// The seeds that are kept.
fn kept() -> Vec<Seed> {
    let lines = KEPT.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| Seed::read(line).unwrap_or_else(|| panic!("seeds.txt: `{line}`"))).collect()
}

/// The usual seeds, or those that are asked for.
fn seeds() -> impl Iterator<Item = Seed> {
    let asked = std::env::var("SWARM").unwrap_or_else(|_| USUAL.to_string());
    let (from, to) = asked.split_once("..").unwrap_or(("0", &asked));
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("SWARM={asked}: {text} is no number"));
    (number(from)..number(to)).map(Seed::new)
}

fn swarm(seeds: &[Seed]) {
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
    if let Ok(text) = std::env::var("SEED") {
        let seed = Seed::read(&text).unwrap_or_else(|| panic!("SEED={text} begins with no number"));
        println!("{}", told(seed, &run(seed)));
        return swarm(&[seed]);
    }
    swarm(&seeds().collect::<Vec<_>>());
}

#[test]
fn seeds_that_failed_once_are_kept() {
    swarm(&kept());
}

#[test]
fn the_same_seed_leaves_the_same_trace() {
    let seeds: Vec<Seed> = seeds().step_by(TWICE).collect();
    let differ: Vec<Seed> = each(&seeds, |seed| (run(*seed).trace != run(*seed).trace).then_some(*seed)).into_iter().flatten().collect();
    println!("swarm: {} seeds played twice, {} left another trace", seeds.len(), differ.len());
    assert_eq!(differ, Vec::<Seed>::new());
    assert_ne!(run(Seed::new(1)).trace, run(Seed::new(2)).trace);
}
