//! Everything that comes in and everything that goes out.

use std::sync::Arc;

use jiff::Timestamp;

use super::keymap::Key;
use crate::session::command::{Command, Outcome};
use crate::session::questions::{Answer, Question};
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
        /// Commands of one confirmation share it.
        batch: u64,
    },
    /// A question was answered.
    Answer(Answer),
    /// The session ended.
    Ended,
    /// Time passed.
    Tick,
}

/// A program that gets the terminal until it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandOver {
    /// What it is started for, in words.
    pub what: String,
    /// The program, looked for in PATH. Words after the first one go before `args`, as in `$EDITOR`.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables over those of this process.
    pub env: Vec<(String, String)>,
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
        /// Commands of one confirmation share it.
        batch: u64,
    },
    /// Ask the session, which answers with [`Event::Answer`].
    Ask(Question),
    /// Draw every cell again.
    Repaint,
    /// Put a text on the clipboard, and answer with [`Event::Told`].
    Copy(String),
    /// Tell somebody who may be looking at another window.
    Notify {
        /// What it is about.
        title: String,
        /// A sentence.
        body: String,
    },
    /// Give the terminal to a program until it ends, and answer with [`Event::Returned`].
    HandOver(HandOver),
    /// Show a text in the operator's editor: a file that is thrown away afterwards.
    OpenEditor {
        /// Name of the file, from which editors take its kind, for example `frontend.yaml`.
        name: String,
        /// Its text.
        text: String,
    },
    /// Leave.
    Quit,
}
