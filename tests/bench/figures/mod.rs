//! What is measured, by name. One file a kind of figure; `mod.rs` has the list and what they share.

mod broken;
mod frame;
mod keys;
mod memory;
mod rows;
mod start;

use std::time::Duration;

use crate::table::Row;
use crate::terminal::Terminal;

/// Rows of the table that are measured together.
pub struct Figure {
    pub name: &'static str,
    pub what: &'static str,
    pub measure: fn() -> Vec<Row>,
}

const fn figure(name: &'static str, what: &'static str, measure: fn() -> Vec<Row>) -> Figure {
    Figure { name, what, measure }
}

pub const FIGURES: &[Figure] = &[
    figure("floor", "the least that a process and a terminal cost on this machine", start::floor),
    figure("frame", "drawing one frame of 60 clusters × 50 canaries at 200×60, in this process", frame::measure),
    figure("first-frame", "start to first frame, with 60 clusters × 50 canaries", start::first_frame),
    figure("fleet-60", "start to last row of 60 clusters × 50 canaries", start::last_row),
    figure("keys", "key to screen, with 60 clusters × 50 canaries", keys::idle),
    figure("storm", "key to screen and redraws, while 5,000 objects a second change", keys::storm),
    figure("broken", "the same with three dead, two hanging and one expired context of sixty", broken::measure),
    figure("memory-60", "memory, processor and writes of a settled console, 60 clusters × 50 canaries", memory::sixty),
    figure("memory-2000", "the same with one cluster of 2,000 canaries", memory::one),
    figure("rows-2000", "first rows of 2,000 Canaries on a real API server, beside k9s", rows::measure),
    figure("size", "size of the binary", start::size),
];

/// How often a key is pressed.
pub const KEYS: usize = 300;
/// A key without an answer within this time counts as answered then.
const LOST: Duration = Duration::from_secs(2);

/// What counts as an answer to a key.
#[derive(Clone, Copy)]
pub enum Answer {
    /// The console's cursor stands in another row.
    Moved,
    /// Any byte, for consoles whose cursor is known by its colour alone.
    Byte,
}

/// Presses `j` and `k` by turns, and takes the time from each to the screen.
pub fn press(terminal: &mut Terminal, count: usize, answer: Answer) -> Vec<Duration> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut taken = Vec::new();
    for number in 0..count {
        // People do not type in step with a clock of the console.
        terminal.listen(Duration::from_micros(random.u64(20_000..60_000)));
        let before = marked(terminal.screen());
        let at = terminal.press(if number % 2 == 0 { "j" } else { "k" });
        let came = terminal.answer(at, LOST, |screen| matches!(answer, Answer::Byte) || marked(screen) != before);
        taken.push(came.unwrap_or(LOST));
    }
    taken
}

/// The row in which the cursor stands.
fn marked(screen: &vt100::Screen) -> Option<u16> {
    (0..screen.size().0).find(|row| screen.cell(*row, 0).is_some_and(|cell| cell.contents() == ">"))
}
