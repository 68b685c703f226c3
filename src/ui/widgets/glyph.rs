//! The vocabulary of states: a glyph, a word and a role, always together.

use ratatui::text::Span;

use crate::ui::theme::{Role, Theme};

/// A state of a canary or a provider, in the order of attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Rolled back, or cannot go on by itself.
    Fail,
    /// A cluster that has not answered.
    Down,
    /// A check fails; the threshold is not reached.
    Slo,
    /// A gate waits for a human.
    Gate,
    /// Paused or suspended.
    Hold,
    /// A cluster that refuses us, or a phase that nobody knows.
    Auth,
    /// A cluster that answered once and does not now.
    Stale,
    /// Moves by itself.
    Prog,
    /// Not yet: connecting, no status, git ahead of the cluster.
    Wait,
    /// At rest, as wanted.
    Ok,
    /// Being deleted.
    Gone,
}

impl State {
    /// All states, in the order of attention.
    pub const ALL: [Self; 11] =
        [Self::Fail, Self::Down, Self::Slo, Self::Gate, Self::Hold, Self::Auth, Self::Stale, Self::Prog, Self::Wait, Self::Ok, Self::Gone];

    /// One column.
    #[must_use]
    pub const fn glyph(self) -> &'static str {
        match self {
            Self::Fail | Self::Down => "✗",
            Self::Slo => "!",
            Self::Gate => "◆",
            Self::Hold => "=",
            Self::Auth => "?",
            Self::Stale => "~",
            Self::Prog => "»",
            Self::Wait => "·",
            Self::Ok => "✓",
            Self::Gone => "–",
        }
    }

    /// At most five letters.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fail => "FAIL",
            Self::Down => "DOWN",
            Self::Slo => "SLO",
            Self::Gate => "GATE",
            Self::Hold => "HOLD",
            Self::Auth => "AUTH",
            Self::Stale => "STALE",
            Self::Prog => "PROG",
            Self::Wait => "WAIT",
            Self::Ok => "OK",
            Self::Gone => "GONE",
        }
    }

    /// What it means, for the help screen.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Fail => "rolled back, or stuck for good",
            Self::Down => "the cluster has not answered",
            Self::Slo => "a check fails, not yet for the last time",
            Self::Gate => "a gate waits for a human",
            Self::Hold => "paused or suspended",
            Self::Auth => "access refused, or an unknown phase",
            Self::Stale => "it stopped answering; the data is dated",
            Self::Prog => "moves by itself",
            Self::Wait => "connecting, no status, or git is ahead",
            Self::Ok => "at rest, as wanted",
            Self::Gone => "being deleted",
        }
    }

    /// How it looks.
    #[must_use]
    pub const fn role(self) -> Role {
        match self {
            Self::Fail | Self::Down => Role::Bad,
            Self::Slo | Self::Auth => Role::Warn,
            Self::Gate => Role::Gate,
            Self::Hold => Role::Hold,
            Self::Stale | Self::Wait | Self::Gone => Role::Stale,
            Self::Prog => Role::Busy,
            Self::Ok => Role::Good,
        }
    }

    /// Nothing that an operator would look for.
    #[must_use]
    pub const fn is_calm(self) -> bool {
        matches!(self, Self::Ok | Self::Gone)
    }

    /// Glyph and word in seven columns.
    #[must_use]
    pub fn span(self, theme: Theme) -> Span<'static> {
        Span::styled(format!("{} {:<5}", self.glyph(), self.word()), theme.style(self.role()))
    }
}
