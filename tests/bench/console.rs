//! What the console costs and how fast it answers, measured on the real binary in a pseudo terminal, beside k9s.
//!
//! ```sh
//! cargo bench --bench console                       # every figure, one table; ten to fifteen minutes
//! cargo bench --bench console -- first-frame keys   # some of them
//! cargo bench --bench console -- --list
//! ```
//!
//! A figure is no test: it is judged in the table, and the exit code is 0. It is 1 where a figure could not be measured,
//! and the table says why. Every process is ended by its id, whatever happens; everything talks to loopback; the only
//! thing that stays is k9s, which is built once, by its version, into the cache folder of the test bed. Linux only, since
//! memory and processor time come from `/proc`.
//!
//! `figures` holds what is measured; `terminal` a program in a terminal and the moments of its bytes; `fleets` the
//! clusters; `process` what the kernel knows of a process; `present` keeps its memory where it is; `k9s` the other
//! console; `table` the samples and how they are judged; `machine` what they were measured on. `PILOTHOUSE_BIN` names another binary than the one built beside this,
//! `PILOTHOUSE_CACHE` another cache folder, `K9S_BIN` a k9s of yours.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what stops a figure is told in its row, and the figures are read"
)]

#[allow(dead_code, reason = "shared with the tests on real clusters, which need more of it")]
#[path = "../real/bed.rs"]
mod bed;
mod figures;
mod fleets;
mod k9s;
mod machine;
mod present;
mod process;
#[allow(dead_code, reason = "shared with the tests on real clusters, which need more of it")]
#[path = "../real/support.rs"]
mod support;
mod table;
mod terminal;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use figures::FIGURES;
use machine::Machine;
use table::{Row, Table};

fn main() -> ExitCode {
    // Cargo tells every benchmark that it is one.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.iter().any(|word| word == "--list") {
        for figure in FIGURES {
            println!("{:<12} {}", figure.name, figure.what);
        }
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = words.iter().find(|word| !FIGURES.iter().any(|figure| figure.name == **word)) {
        eprintln!("no figure is called {unknown}; --list has them all");
        return ExitCode::from(2);
    }
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut table = Table::new(Machine::look());
    for figure in FIGURES.iter().filter(|figure| words.is_empty() || words.iter().any(|word| word == figure.name)) {
        eprintln!("{} …", figure.name);
        let rows = catch_unwind(AssertUnwindSafe(figure.measure)).unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            vec![Row::missing(figure.name, &said.unwrap_or_else(|| "it panicked".into()))]
        });
        for row in rows {
            eprintln!("  {}", row.line());
            table.add(row);
        }
    }
    print!("{}", table.print());
    if table.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
