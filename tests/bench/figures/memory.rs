//! What a console costs that has seen everything and is left alone.

use crate::fleets::{CANARIES, CLUSTERS, Double, Home, MANY, PATIENCE, all_there};
use crate::present::Present;
use crate::process;
use crate::support::seconds;
use crate::table::{By, Row};
use crate::terminal::{Heard, Terminal, USUAL};

/// How long it is watched.
const WATCHED: u64 = 60;
/// Until everything has come to rest: ages under two minutes are told in seconds.
const REST: u64 = 130;

pub fn sixty() -> Vec<Row> {
    let double = Double::sixty();
    settled("60 × 50", &double, CLUSTERS, CLUSTERS * CANARIES, 150.0)
}

pub fn one() -> Vec<Row> {
    let double = Double::serve(1, MANY, None);
    settled("1 × 2,000", &double, 1, MANY, 60.0)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a minute")]
fn settled(which: &str, double: &Double, live: usize, canaries: usize, most: f64) -> Vec<Row> {
    let home = Home::new(&double.words);
    let mut console = home.console(USUAL);
    console.when(PATIENCE, "the whole fleet", |frame| all_there(frame, live, canaries));
    console.listen(seconds(REST));
    let mut rows = memory(which, &console, Some(most));
    let (heard, busy) = idle(which, &mut console, WATCHED, Some(0.1));
    rows.extend(busy);
    let minutes = WATCHED as f64 / 60.0;
    rows.push(
        Row::one(format!("{which}: writes a minute, settled"), "frames", heard.frames as f64 / minutes)
            .wanted(By::Max, 1.0)
            .note(format!("{} bytes in {} pieces within {WATCHED} s", heard.bytes, heard.chunks)),
    );
    rows
}

/// What is resident now, and what was at most.
pub fn memory(which: &str, console: &Terminal, most: Option<f64>) -> Vec<Row> {
    let memory = process::memory(console.id());
    let resident = Row::one(format!("{which}: memory, settled"), "MiB", memory.resident);
    let resident = match most {
        Some(most) => resident.wanted(By::Max, most),
        None => resident,
    };
    let threads = process::threads(console.id());
    let note = format!("{:.1} MiB of it are no file; {threads} threads", memory.own);
    vec![resident.note(note), Row::one(format!("{which}: memory, at most"), "MiB", memory.peak)]
}

/// Share of a core within `watched` seconds, with the memory of the console kept present and without; and what it wrote in
/// the first of them.
pub fn idle(which: &str, console: &mut Terminal, watched: u64, most: Option<f64>) -> (Heard, Vec<Row>) {
    let id = console.id();
    let mut share = || {
        let before = process::time(id);
        let heard = console.listen(seconds(watched));
        (heard, process::time(id).saturating_sub(before).as_secs_f64() / seconds(watched).as_secs_f64() * 100.0)
    };
    let (heard, bare) = share();
    let kept = {
        let _present = Present::keep(id);
        share().1
    };
    let row = Row::one(format!("{which}: processor, settled"), "% of a core", kept).note(format!("over {watched} s, its pages present"));
    let row = match most {
        Some(most) => row.wanted(By::Max, most),
        None => row,
    };
    let bare = Row::one(format!("{which}: the same, with pages that the machine takes away"), "% of a core", bare);
    (heard, vec![row, bare.note(format!("over {watched} s"))])
}
