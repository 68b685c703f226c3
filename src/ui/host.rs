//! What the loop needs of a terminal beside frames; the real one is in `terminal.rs`.

use std::io;
use std::task::{Context, Poll};

use crossterm::event::Event as Input;
use ratatui::Terminal;
use ratatui::backend::Backend;

use super::progress::Progress;
use super::sequences::{self, Surroundings};

/// Something that happened at the terminal.
#[derive(Debug)]
pub(super) enum Happening {
    /// A key, a paste, the mouse, another size.
    Input(Input),
    /// Somebody asks this process to stop for a while.
    Stop,
    /// It goes on after a stop: what is on the screen is not ours.
    Continued,
    /// The terminal is gone.
    Gone,
}

/// A terminal with its input.
pub(super) trait Host {
    type Backend: Backend;

    /// What frames are drawn on.
    fn terminal(&mut self) -> &mut Terminal<Self::Backend>;

    /// The next thing that happened.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Happening>>;

    /// Whatever is drawn from here on is held back.
    fn hold(&mut self) {}

    /// What was held back goes out in one piece; its length in bytes.
    fn show(&mut self) -> io::Result<usize> {
        Ok(0)
    }

    /// Says a sequence that moves no cursor.
    fn say(&mut self, sequence: &str) -> io::Result<()>;

    /// Names the window until the terminal is given back, and again after the next [`Host::enter`].
    fn name(&mut self, title: &str) -> io::Result<()> {
        self.say(&sequences::title(title))
    }

    /// Shows how far it is until the terminal is given back, and again after the next [`Host::enter`].
    fn progress(&mut self, progress: Progress, to: Surroundings) -> io::Result<()> {
        self.say(&sequences::progress(progress, to))
    }

    /// Takes the mouse or leaves it, also after the next [`Host::enter`].
    fn mouse(&mut self, take: bool) -> io::Result<()>;

    /// Gives the terminal back as it was found; input goes to whoever comes next.
    fn leave(&mut self) -> io::Result<()>;

    /// Takes the terminal again.
    fn enter(&mut self) -> io::Result<()>;

    /// Whether a shell would continue this process after a stop.
    fn may_stop(&self) -> bool {
        false
    }

    /// Stops this process, with its whole job or alone, and returns once it goes on.
    async fn stop(&mut self, whole_job: bool) -> io::Result<()>;
}
