//! The engine against a simulated fleet, in virtual time: thousands of rollouts, none of them on a cluster.
//!
//! `bad_input` asks the engine for what it must refuse; `crash` ends an engine after every write of every kind of rollout; `swarm` draws plans of trouble from seeds; `contract`
//! and `fields` hold the simulated API server to what the real one answered, `server` to what only it has to do; `shown` holds views made one by one to those made at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may stop at what they did not expect, and their figures are read"
)]

mod bad_input;
mod contract;
#[path = "../contract/mod.rs"]
mod contract_list;
mod crash;
mod fields;
mod server;
mod shown;
mod swarm;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// As the program has it: half of what a simulated rollout costs is asking for memory.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs `work` to its end in virtual time.
fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime").block_on(work)
}

/// Does `work` with every item on all cores; the results come in the order of the items.
fn each<I: Sync, T: Send>(items: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((index, item)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, items.get(i)?))) {
                    let result = work(item);
                    done.lock().expect("no worker panics").push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no worker panics");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
