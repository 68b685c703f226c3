//! The program against real clusters, real git and a real terminal: one binary, so that beds can be shared.
//!
//! `support` watches, `bed` brings clusters up, `program` and `terminal` run the binary, `rollout` follows what it does.
//! The rest are the tests. `PILOTHOUSE_BIN` names another binary than the one built beside this.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may stop at what they did not expect, and their figures are read"
)]

mod adoption;
mod bad_cluster;
mod bad_git;
mod bed;
mod console_bed;
mod console_shell;
mod contract;
#[path = "../contract/mod.rs"]
mod contract_list;
mod demo;
mod figures;
mod gates;
mod matrices;
mod place;
mod players;
#[allow(dead_code, reason = "shared with the benchmark, which needs more of it")]
#[path = "../bench/present.rs"]
mod present;
#[allow(dead_code, reason = "shared with the benchmark, which needs more of it")]
#[path = "../bench/process.rs"]
mod process;
mod program;
mod receiver;
mod references;
mod restraint;
mod rollout;
mod routers;
mod rows;
mod segments;
mod story_cli;
mod story_console;
mod support;
mod targets;
mod terminal;
