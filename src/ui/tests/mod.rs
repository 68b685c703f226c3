//! The whole console driven by key strings, without a terminal. Read `harness.rs` first.

mod bad_inputs;
mod chord;
mod explained;
mod frames;
pub mod harness;
mod hostile;
mod looks;
mod pty;
mod recording;
mod screens;
mod scripts;
mod shell;
mod workflows;
