//! 2,000 Canaries on a real API server: this console and k9s by turns, on the same ones.

use std::time::Duration;

use super::memory::{idle, memory};
use super::{Answer, press};
use crate::fleets::{Home, MANY, NAMED, PATIENCE, all_there, bed};
use crate::k9s;
use crate::support::seconds;
use crate::table::{By, Row};
use crate::terminal::{Terminal, USUAL};

const STARTS: usize = 12;
const KEYS: usize = 200;
/// How long they are watched when nothing happens.
const WATCHED: u64 = 30;
/// Until everything has come to rest: ages under two minutes are told in seconds.
const REST: u64 = 130;

pub fn measure() -> Vec<Row> {
    let other = k9s::program();
    let bed = bed();
    let kubeconfig = bed.kubeconfig();
    let words = ["--kubeconfig".to_owned(), kubeconfig.display().to_string()];
    let rows = |console: &mut Terminal| console.when(PATIENCE, "a row", |frame| frame.contains(NAMED));
    let kept = [Home::new(&words), Home::new(&[])];
    // Each has been started once before: what it keeps on disk is there, and the API server is warm.
    rows(&mut kept[0].console(USUAL));
    if let Ok(other) = &other {
        rows(&mut k9s::show(other, &kept[1], &kubeconfig, USUAL));
    }
    let mut taken: [Vec<Duration>; 5] = Default::default();
    for _ in 0..STARTS {
        let fresh = [Home::new(&words), Home::new(&[])];
        let mut console = fresh[0].console(USUAL);
        taken[0].push(rows(&mut console));
        taken[1].push(console.when(PATIENCE, "all rows", |frame| all_there(frame, 1, MANY)));
        // Left as an operator does, it remembers the fleet.
        console.press("q");
        console.ends(seconds(15));
        taken[2].push(rows(&mut fresh[0].console(USUAL)));
        if let Ok(other) = &other {
            taken[3].push(rows(&mut k9s::show(other, &fresh[1], &kubeconfig, USUAL)));
            taken[4].push(rows(&mut k9s::show(other, &kept[1], &kubeconfig, USUAL)));
        }
    }
    let [first, all, again, theirs, theirs_again] = taken;
    let mut table = vec![
        Row::times("2,000 on the bed: start → first rows", &first).wanted(By::Median, 150.0),
        Row::times("2,000 on the bed: start → all counted", &all),
        Row::times("2,000 on the bed: first rows, remembered", &again).wanted(By::Median, 150.0),
    ];
    let mut console = kept[0].console(USUAL);
    console.when(PATIENCE, "all rows", |frame| all_there(frame, 1, MANY));
    table.extend(at_rest("2,000 on the bed", &mut console, Some((60.0, 0.1, 4.0)), Answer::Moved));
    drop(console);
    match &other {
        Ok(other) => {
            table.push(Row::times("k9s, same bed: start → first rows", &theirs).note(format!(
                "k9s {}, fresh home; without its splash, which would add a second, and not looking for newer versions",
                k9s::VERSION
            )));
            table.push(Row::times("k9s, same bed: first rows, again", &theirs_again).note("in a home with its discovery cache"));
            let mut console = k9s::show(other, &kept[1], &kubeconfig, USUAL);
            rows(&mut console);
            table.extend(at_rest("k9s, same bed", &mut console, None, Answer::Byte));
        }
        Err(why) => table.push(Row::missing("k9s, same bed", why)),
    }
    table
}

/// Memory, idle processor time, writes and keys of a console that shows everything; with goals for the first, the
/// second and the last.
#[expect(clippy::cast_precision_loss, reason = "counts of a minute")]
fn at_rest(which: &str, console: &mut Terminal, goals: Option<(f64, f64, f64)>, answer: Answer) -> Vec<Row> {
    console.listen(seconds(REST));
    let mut rows = memory(which, console, goals.map(|goals| goals.0));
    let (heard, busy) = idle(which, console, WATCHED, goals.map(|goals| goals.1));
    rows.extend(busy);
    rows.push(
        Row::one(format!("{which}: writes a minute, settled"), "pieces", heard.chunks as f64 * 60.0 / WATCHED as f64)
            .note(format!("{} bytes within {WATCHED} s", heard.bytes)),
    );
    let keys = Row::times(format!("{which}: key → screen"), &press(console, KEYS, answer));
    rows.push(match goals {
        Some((_, _, most)) => keys.wanted(By::P99, most),
        None => keys.note("to the first byte"),
    });
    rows
}
