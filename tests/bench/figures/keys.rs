//! From a key to the screen: while nothing happens, and in a storm.

use std::time::Instant;

use super::{Answer, KEYS, press};
use crate::fleets::{CANARIES, CLUSTERS, Double, Home, PATIENCE, all_there};
use crate::process;
use crate::support::seconds;
use crate::table::{By, Row};
use crate::terminal::{LARGE, USUAL};

/// Changes a second.
const RATE: u32 = 5_000;
/// How long redraws are counted.
const COUNTED: u64 = 10;

pub fn idle() -> Vec<Row> {
    let double = Double::sixty();
    let home = Home::new(&double.words);
    let mut rows = Vec::new();
    for (size, words) in [(USUAL, "120×36"), (LARGE, "200×60")] {
        let mut console = home.console(size);
        console.when(PATIENCE, "the whole fleet", |frame| all_there(frame, CLUSTERS, CLUSTERS * CANARIES));
        console.settle(seconds(2), seconds(20));
        rows.push(Row::times(format!("key → screen, idle, {words}"), &press(&mut console, KEYS, Answer::Moved)).wanted(By::P99, 4.0));
    }
    rows
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
pub fn storm() -> Vec<Row> {
    let double = Double::serve(CLUSTERS, CANARIES, Some(RATE));
    let home = Home::new(&double.words);
    let mut console = home.console(USUAL);
    console.when(PATIENCE, "the whole fleet", |frame| all_there(frame, CLUSTERS, CLUSTERS * CANARIES));
    console.listen(seconds(5));
    let (changes, started, time) = (double.changes(), Instant::now(), process::time(console.id()));
    let heard = console.listen(seconds(COUNTED));
    let taken = started.elapsed().as_secs_f64();
    let busy = process::time(console.id()).saturating_sub(time).as_secs_f64() / taken * 100.0;
    let rate = (double.changes() - changes) as f64 / started.elapsed().as_secs_f64();
    let keys = press(&mut console, KEYS, Answer::Moved);
    let memory = process::memory(console.id());
    vec![
        Row::times("key → screen, in the storm", &keys)
            .wanted(By::P99, 8.0)
            .note(format!("{rate:.0} objects a second changed on the servers")),
        Row::one("frames a second, in the storm", "", heard.frames as f64 / taken).wanted(By::Max, 31.0).note(format!(
            "{:.1} kB a second to the terminal; no two frames of news are nearer than 33 ms",
            heard.bytes as f64 / taken / 1e3
        )),
        Row::one("processor, in the storm", "% of a core", busy),
        Row::one("memory, in the storm", "MiB", memory.resident).note(format!("at most {:.0} MiB so far", memory.peak)),
    ]
}
