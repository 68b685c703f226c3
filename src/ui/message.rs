//! Everything that comes in and everything that goes out.

use std::sync::Arc;

use jiff::Timestamp;

use super::keymap::Key;
use super::looks::Looks;
use super::theme::Background;
use crate::session::command::{Command, Outcome};
use crate::session::view::FleetView;

/// Something that happened, and when: the model has no other clock.
#[derive(Clone, Debug)]
pub struct Message {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// The terminal has this many columns and rows.
    Resize(u16, u16),
    /// The fleet looks like this now.
    View(Arc<FleetView>),
    /// A command came to this.
    Outcome(Outcome),
    /// A command went out under this number.
    Sent {
        /// The number that outcomes will carry.
        id: u64,
        /// What was asked, in words.
        label: String,
    },
    /// The user's settings changed.
    Looks(Arc<Looks>),
    /// The terminal said which ground it has.
    Background(Background),
    /// The session ended.
    Ended,
    /// Time passed.
    Tick,
}

/// What the shell round the model is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a command, and answer with [`Event::Sent`].
    Send {
        /// The command.
        command: Command,
        /// What it asks, in words.
        label: String,
    },
    /// Draw every cell again.
    Repaint,
    /// Leave.
    Quit,
}
