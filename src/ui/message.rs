//! Everything that comes in and everything that goes out.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::hits::Hit;
use super::keymap::Key;
use super::looks::Looks;
use super::progress::Progress;
use super::theme::Background;
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
    /// The mouse did something.
    Mouse(Mouse),
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
    /// The shell has news of something it was asked to do.
    Told {
        /// Whether it came off.
        ok: bool,
        /// A sentence.
        text: String,
    },
    /// A program that had the terminal is done.
    Returned {
        /// What it was started for.
        what: String,
        /// Whether it ended well.
        ok: bool,
        /// How it ended, in words; empty where there is nothing to say.
        message: String,
    },
    /// Something outside the console panicked; the report is in this file, where one could be written.
    Broke {
        /// Path of the report.
        report: String,
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

/// Something that the mouse did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mouse {
    /// Column of the cell, from 0.
    pub column: u16,
    /// Row of the cell, from 0.
    pub row: u16,
    /// What it did.
    pub kind: MouseKind,
    /// What the last frame showed there.
    pub hit: Option<Hit>,
}

/// What a mouse can do here. Selecting text with shift stays with the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MouseKind {
    /// The left button went down.
    Press,
    /// The wheel turned by so many notches, down being positive.
    Wheel(i8),
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
    /// Tell the session something that has no outcome: the next view says what came of it.
    Tell(Command),
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
    /// Name the window; the name that it had comes back when the console leaves.
    Title(String),
    /// Show in the tab or the task bar how far it is; nothing is shown there while the console is away.
    Progress(Progress),
    /// Take the mouse, or leave it to the terminal so that text can be selected.
    Mouse(bool),
    /// Stop this process until the shell it was started from continues it.
    Suspend,
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
