//! The console: what an operator sees of the fleet and does to it, drawn in a terminal.
//!
//! Here live the model of the console, the one function that changes it, the screens, and the loop
//! between terminal and session. Never here: Kubernetes, git, metrics, or any other IO than the terminal, a
//! recording and a text for the operator's editor; a decision about a rollout; a wall clock (time comes in messages). What is drawn comes
//! from the read model as it is, and every request goes out as a [`Command`] that names its target.
//!
//! ```text
//!  terminal ─┐                    ┌─ effects ──> session
//!  session ──┼─> message ─> update ─> model ─> view ─> frame
//!  clock ────┘
//! ```
//!
//! Read `actions.rs` first (the one table of keys, footer, help and prompt), then `update.rs`.

pub mod actions;
pub mod address;
pub mod attention;
pub mod digest;
mod event_loop;
mod handover;
pub mod hits;
mod host;
pub mod keymap;
pub mod looks;
pub mod message;
pub mod model;
mod mouse;
mod navigate;
pub mod orders;
pub mod overlays;
mod perform;
pub mod picture;
pub mod place;
mod player;
pub mod progress;
pub mod record;
pub mod replay;
pub mod rows;
pub mod screens;
pub mod sequences;
mod sources;
mod terminal;
#[cfg(test)]
mod tests;
pub mod theme;
pub mod title;
pub mod update;
pub mod verbs;
pub mod view;
mod watched;
pub mod widgets;

use std::fmt;
use std::fs::File;
use std::io;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

pub use self::actions::key_table;
pub use self::looks::Looks;
pub use self::player::play;
pub use self::sequences::Surroundings;
pub use self::theme::{Background, Colour};
pub use self::view::{snapshot, still, text};
use crate::session::Clock;
use crate::session::command::{Command, Outcome};
use crate::session::questions::{Answer, Question};
use crate::session::view::FleetView;

/// How the console starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Never sends anything, and cannot be armed.
    pub read_only: bool,
    /// Contexts to start narrowed to; empty is all.
    pub contexts: Vec<String>,
    /// Draws ASCII only.
    pub ascii: bool,
    /// Colours that the terminal takes.
    pub colour: Colour,
    /// How long the console stays armed after the last key.
    pub arm_for: Duration,
    /// The ground of the terminal, as far as it is known at the start.
    pub background: Background,
    /// Themes, keys and switches; what the channel holds later is taken over while the console runs.
    pub looks: watch::Receiver<Arc<Looks>>,
    /// Whether the terminal may be asked which ground it has.
    pub ask_background: bool,
    /// Takes the mouse.
    pub mouse: bool,
    /// What the terminal is, as far as its environment says.
    pub surroundings: Surroundings,
    /// The operator's editor, with its first arguments.
    pub editor: String,
    /// Writes the report of a panic.
    pub crash: Option<Crash>,
    /// The program with arguments that logs in to the context whose name follows; nothing where there is none.
    pub login: Vec<String>,
    /// Where everything that happens is recorded.
    pub record: Option<Arc<File>>,
}

/// Writes the report of a panic: given what panicked and the last frame, it answers with the report's
/// text and the path of its file, which is empty where none could be written.
#[derive(Clone)]
pub struct Crash(Arc<Report>);

type Report = dyn Fn(&PanicHookInfo<'_>, &str) -> (String, String) + Send + Sync;

impl Crash {
    /// One that is written like this.
    pub fn new(report: impl Fn(&PanicHookInfo<'_>, &str) -> (String, String) + Send + Sync + 'static) -> Self {
        Self(Arc::new(report))
    }

    fn report(&self, info: &PanicHookInfo<'_>, frame: &str) -> (String, String) {
        (self.0)(info, frame)
    }
}

impl fmt::Debug for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crash").finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_only: false,
            contexts: Vec::new(),
            ascii: false,
            colour: Colour::default(),
            arm_for: looks::ARM_FOR,
            background: Background::default(),
            looks: looks::fixed(Looks::default()),
            ask_background: false,
            mouse: true,
            surroundings: Surroundings::default(),
            editor: "vi".into(),
            crash: None,
            login: Vec::new(),
            record: None,
        }
    }
}

/// The session as the console sees it.
pub struct Port {
    /// The fleet as last seen.
    pub view: watch::Receiver<Arc<FleetView>>,
    /// What commands come to.
    pub outcomes: mpsc::UnboundedReceiver<Outcome>,
    /// The time that the fleet goes by.
    pub clock: Clock,
    /// Takes a command and returns the number that its outcomes carry. Must not block.
    pub send: Box<dyn Fn(Command) -> u64 + Send>,
    /// What questions are answered with.
    pub answers: mpsc::UnboundedReceiver<Answer>,
    /// Takes a question. Must not block.
    pub ask: Box<dyn Fn(Question) + Send>,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").finish_non_exhaustive()
    }
}

/// How the console ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The operator left.
    Quit,
    /// A signal, or the end of the terminal, ended it.
    Stopped,
}

/// Why the console cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum UiError {
    /// The terminal cannot be set up or read.
    #[error("cannot use the terminal: {0}; run it in a terminal, or use `--snapshot fleet` for one frame as text")]
    Terminal(#[source] io::Error),
    /// A frame cannot be drawn.
    #[error("cannot draw: {0}")]
    Draw(String),
    /// A snapshot of something that is no screen.
    #[error("`{0}` is no screen: write {written}", written = address::WRITTEN)]
    NoSuchScreen(String),
    /// A snapshot of a canary that the fleet does not have.
    #[error("no canary {0} is known; `pilothouse status` lists them")]
    NoSuchCanary(String),
    /// A snapshot of a context that the fleet does not have.
    #[error("no context {0} is known; `pilothouse status` lists them")]
    NoSuchContext(String),
}

/// Runs the console until the operator leaves or a signal ends it. The terminal is given back on every
/// way out, panics included.
///
/// # Errors
/// Where the terminal cannot be set up, read or drawn on.
pub async fn run(port: Port, options: Options) -> Result<Exit, UiError> {
    event_loop::run(port, options).await
}
