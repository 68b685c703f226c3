//! The program against real clusters, real git and a real terminal: one binary, so that beds can be shared.
//!
//! `support` watches, `bed` brings clusters up, `program` and `terminal` run the binary, `course` follows a
//! rollout. The rest are the stories. `PILOTHOUSE_BIN` names another binary than the one built beside this.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may stop at what they did not expect, and their figures are read"
)]

mod app;
mod bad_cluster;
mod bad_git;
mod bad_metrics;
mod bed;
mod counts;
mod course;
mod first_frame;
mod foreign;
mod program;
mod references;
mod story_cli;
mod story_console;
mod support;
mod terminal;
mod traces;
