//! Contexts that do not answer, and the frames of those that do.

use std::time::Duration;

use super::start::first;
use super::{Answer, KEYS, press};
use crate::fleets::{CANARIES, CLUSTERS, Double, Home, PATIENCE, all_there};
use crate::support::seconds;
use crate::table::{By, Row};
use crate::terminal::LARGE;

// In a large terminal: the header names every kind of context there is room for.
const STARTS: usize = 20;
/// What two equal samples may differ by on a machine that does other things as well.
const NOISE: f64 = 1.2;

pub fn measure() -> Vec<Row> {
    let double = Double::sixty();
    let broken = double.broken();
    let healthy = CLUSTERS - broken.count;
    let (mut whole, mut partly) = (Starts::default(), Starts::default());
    // By turns, so that what else the machine does falls on both.
    for _ in 0..STARTS {
        whole.take(&double.words, CLUSTERS);
        partly.take(&broken.words, healthy);
    }
    let keys = |words: &[String], live: usize| {
        let home = Home::new(words);
        let mut console = home.console(LARGE);
        console.when(PATIENCE, "all that answer", |frame| all_there(frame, live, live * CANARIES));
        console.settle(seconds(2), seconds(10));
        press(&mut console, KEYS, Answer::Moved)
    };
    let (quick, slow) = (keys(&double.words, CLUSTERS), keys(&broken.words, healthy));
    let frames = [Row::times("first frame, all well", &whole.frames), Row::times("first frame, 6 of 60 broken", &partly.frames)];
    let rows = [Row::times("last row, all well", &whole.rows), Row::times("last row of 54, 6 broken", &partly.rows)];
    let keys = [Row::times("key → screen, all well", &quick), Row::times("key → screen, 6 broken", &slow).wanted(By::P99, 4.0)];
    let ratio = |name: &str, [with, without]: [f64; 2]| Row::one(name, "×", with / without).wanted(By::Max, NOISE);
    let ratios = vec![
        ratio("first frame, broken : well", [frames[1].median(), frames[0].median()]).note("of the medians"),
        ratio("last row, broken : well", [rows[1].median(), rows[0].median()]).note("of the medians, to the 54 that answer and to all 60"),
        ratio("key, broken : well, median", [keys[1].median(), keys[0].median()]),
        ratio("key, broken : well, p99", [keys[1].p99(), keys[0].p99()]),
    ];
    frames.into_iter().chain(rows).chain(keys).chain(ratios).collect()
}

#[derive(Default)]
struct Starts {
    frames: Vec<Duration>,
    rows: Vec<Duration>,
}

impl Starts {
    fn take(&mut self, words: &[String], live: usize) {
        let home = Home::new(words);
        let mut console = home.console(LARGE);
        self.frames.push(first(&mut console));
        self.rows.push(console.when(PATIENCE, "all that answer", |frame| all_there(frame, live, live * CANARIES)));
    }
}
