//! Keeping the memory of a measured process present.
//!
//! Some virtual machines take away pages that nobody has touched for a moment, and give each back only after a hundred
//! microseconds and more, which the kernel counts as time of the process that touches it: a process at rest then costs ten
//! times what it does. `floor` in the benchmark says whether this machine does so.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PAGE: usize = 4096;
/// Between two rounds. After so long a hundredth of the pages was taken away where a quarter is after ten seconds.
const ROUND: Duration = Duration::from_millis(200);

/// Reads one byte of every page of a process, again and again, until it is dropped.
pub struct Present {
    ended: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Present {
    pub fn keep(id: u32) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ended);
        let reader = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) && touch(id).is_some() {
                std::thread::park_timeout(ROUND);
            }
        });
        // The first round is the one that brings them back.
        std::thread::park_timeout(ROUND * 5);
        Self { ended, reader: Some(reader) }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            reader.thread().unpark();
            let _ = reader.join();
        }
    }
}

/// One round; `None` when the process has ended.
fn touch(id: u32) -> Option<()> {
    let maps = fs::read_to_string(format!("/proc/{id}/maps")).ok()?;
    let (pages, memory) = (File::open(format!("/proc/{id}/pagemap")).ok()?, File::open(format!("/proc/{id}/mem")).ok()?);
    for line in maps.lines() {
        let Some(range) = line.split_whitespace().next().and_then(|range| range.split_once('-')) else { continue };
        let (Ok(from), Ok(to)) = (u64::from_str_radix(range.0, 16), u64::from_str_radix(range.1, 16)) else { continue };
        if line.split_whitespace().nth(1).is_none_or(|flags| !flags.starts_with('r')) || from >= 1 << 47 {
            continue;
        }
        let mut entries = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(0) / PAGE * 8];
        // Eight bytes a page; the highest bit of the last is set where the page is in memory.
        if pages.read_exact_at(&mut entries, from / PAGE as u64 * 8).is_err() {
            continue;
        }
        for (number, _) in entries.chunks_exact(8).enumerate().filter(|(_, entry)| entry[7] & 0x80 != 0) {
            // What is gone by now need not be kept.
            let _ = memory.read_at(&mut [0], from + (number * PAGE) as u64);
        }
    }
    Some(())
}

/// What touching a page costs, in microseconds, when it was touched a millisecond before, and ten seconds before.
pub fn page_costs() -> (f64, f64) {
    let mut memory = vec![1_u8; 4096 * PAGE];
    let mut round = |rest: Duration| {
        std::thread::park_timeout(rest);
        let begun = Instant::now();
        for number in 0..4096 {
            // In no order that a processor foresees.
            let at = (number * 1_637 % 4096) * PAGE;
            memory[at] = memory[at].wrapping_add(1);
        }
        std::hint::black_box(&memory);
        begun.elapsed().as_secs_f64() * 1e6 / 4096.0
    };
    round(Duration::ZERO);
    (round(Duration::from_millis(1)), round(Duration::from_secs(10)))
}
