//! What is said to the terminal beside frames: clipboard, notifications, the title, progress, the mouse.
//!
//! Only sequences that a terminal which does not know them swallows. Texts are cleaned before they
//! go into one: a name of a cluster never becomes a command to the terminal.

use crossterm::Command as _;
use crossterm::clipboard::CopyToClipboard;

use super::progress::Progress;
use crate::domain::text::clean;

/// Bytes that terminals take into the clipboard at once: 100 000 as base64, less its head.
pub const CLIPBOARD: usize = 74_994;

/// Presses and the wheel, no motion: a mouse that is only moved wakes nobody.
pub const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1006h";
/// The mouse is the terminal's again.
pub const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1000l";
/// Pastes come as one, the title is put aside.
pub const PASTE_ON: &str = "\x1b[?2004h";
/// Pastes come as keys.
pub const PASTE_OFF: &str = "\x1b[?2004l";
/// The frame that follows is shown at once or not at all.
pub const FRAME_BEGINS: &str = "\x1b[?2026h";
/// It is complete.
pub const FRAME_ENDS: &str = "\x1b[?2026l";
/// Puts the title aside.
pub const TITLE_KEPT: &str = "\x1b[22;2t";
/// Empties the title, and takes the one put aside where the terminal keeps such a stack.
pub const TITLE_BACK: &str = "\x1b]2;\x07\x1b[23;2t";

/// What stands between the console and the terminal that is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Multiplexer {
    /// Nothing.
    #[default]
    None,
    /// tmux.
    Tmux,
    /// GNU screen.
    Screen,
}

/// What the terminal is, as far as its environment says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// What it is looked at through.
    pub multiplexer: Multiplexer,
    /// It knows no sequences of operating systems, or shows them as text.
    pub bare: bool,
    /// It shows both kinds of notification, so that one is enough.
    pub shows_both: bool,
    /// It shows progress; others take that for a notification.
    pub shows_progress: bool,
}

impl Surroundings {
    /// Reads `TMUX`, `STY`, `TERM`, `TERM_PROGRAM`, and by what terminals are known inside of a multiplexer, too.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let of = |name: &str| variable(name).unwrap_or_default();
        let term = of("TERM");
        let multiplexer = if !of("TMUX").is_empty() {
            Multiplexer::Tmux
        } else if !of("STY").is_empty() || term.starts_with("screen") {
            Multiplexer::Screen
        } else {
            Multiplexer::None
        };
        let program = of("TERM_PROGRAM").to_lowercase();
        let is_one_of = |names: &[&str]| names.iter().any(|name| program.contains(name) || term.contains(name));
        let marks = ["WT_SESSION", "WEZTERM_PANE", "GHOSTTY_RESOURCES_DIR", "VTE_VERSION"];
        Self {
            multiplexer,
            bare: term == "linux" || term == "dumb",
            shows_both: is_one_of(&["wezterm", "ghostty", "kitty"]) || term.starts_with("foot"),
            shows_progress: is_one_of(&["wezterm", "ghostty"]) || of("ConEmuANSI") == "ON" || marks.iter().any(|name| !of(name).is_empty()),
        }
    }

    /// A sequence on its way through the multiplexer to the terminal behind it.
    fn through(self, sequence: &str) -> String {
        match self.multiplexer {
            Multiplexer::None => sequence.to_string(),
            Multiplexer::Tmux => format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b")),
            Multiplexer::Screen => {
                // screen drops device control strings longer than 768 bytes; the terminal joins the pieces.
                let letters: Vec<char> = sequence.chars().collect();
                let mut out = String::new();
                for piece in letters.chunks(240) {
                    out.push_str("\x1bP");
                    out.extend(piece);
                    out.push_str("\x1b\\");
                }
                out
            }
        }
    }
}

/// What puts `text` on the clipboard, and the way that it takes in words.
///
/// # Errors
/// A sentence, where the text is empty or more than terminals take.
pub fn copy(text: &str, to: Surroundings) -> Result<(String, String), String> {
    if text.is_empty() {
        return Err("nothing to copy here".into());
    }
    if text.len() > CLIPBOARD {
        return Err(format!("{} bytes are too many for the clipboard: terminals take {CLIPBOARD}", text.len()));
    }
    if to.bare {
        return Err("this terminal has no clipboard".into());
    }
    let mut plain = String::new();
    // Writing to a String cannot fail.
    let _ = CopyToClipboard::to_clipboard_from(text).write_ansi(&mut plain);
    let what = if text.len() <= 60 && !text.contains('\n') { clean(text) } else { format!("{} bytes", text.len()) };
    let (bytes, way) = match to.multiplexer {
        Multiplexer::None => (plain, "OSC 52"),
        // tmux takes the plain one where `set-clipboard` says so, and hands the other one on where `allow-passthrough` does.
        Multiplexer::Tmux => (format!("{plain}{}", to.through(&plain)), "OSC 52 and tmux"),
        Multiplexer::Screen => (to.through(&plain), "OSC 52 through screen"),
    };
    Ok((bytes, format!("copied {what} (by {way})")))
}

/// What shows a notification and rings the bell.
#[must_use]
pub fn notify(title: &str, body: &str, to: Surroundings) -> String {
    const BELL: &str = "\x07";
    if to.bare {
        return BELL.into();
    }
    let (title, body) = (clean(title), clean(body));
    let named = format!("\x1b]777;notify;{};{}\x07", title.replace(';', ","), body.replace(';', ","));
    // It never begins with a number and `;`, which some terminals take for a progress bar.
    let plain = format!("\x1b]9;{title}: {body}\x07");
    let both = if to.shows_both { named } else { format!("{plain}{named}") };
    format!("{}{BELL}", to.through(&both))
}

/// What names the window.
#[must_use]
pub fn title(text: &str) -> String {
    format!("\x1b]2;{}\x07", clean(text))
}

/// What shows how far it is: OSC 9;4. Empty where the terminal does not know it.
#[must_use]
pub fn progress(progress: Progress, to: Surroundings) -> String {
    if to.bare || !to.shows_progress {
        return String::new();
    }
    let (state, percent) = match progress {
        Progress::None => (0, 0),
        Progress::Percent(percent) => (1, percent.min(100)),
        Progress::Error(percent) => (2, percent.min(100)),
        Progress::Indeterminate => (3, 0),
    };
    to.through(&format!("\x1b]9;4;{state};{percent}\x07"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_multiplexer(multiplexer: Multiplexer) -> Surroundings {
        Surroundings { multiplexer, ..Surroundings::default() }
    }

    #[test]
    fn the_environment_says_what_the_terminal_is() {
        let of = |pairs: &'static [(&str, &str)]| {
            Surroundings::detect(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_string()))
        };
        assert_eq!(of(&[("TERM", "xterm-256color")]), Surroundings::default());
        assert_eq!(of(&[("TMUX", "/tmp/tmux-0/default,1,0"), ("TERM", "screen-256color")]).multiplexer, Multiplexer::Tmux);
        assert_eq!(of(&[("TERM", "screen")]).multiplexer, Multiplexer::Screen);
        assert!(of(&[("TERM", "linux")]).bare && of(&[("TERM", "foot")]).shows_both);
        assert!(of(&[("TERM", "xterm"), ("TERM_PROGRAM", "WezTerm")]).shows_both);
        for known in
            [("WT_SESSION", "1b2c"), ("ConEmuANSI", "ON"), ("TERM", "xterm-ghostty"), ("TERM_PROGRAM", "WezTerm"), ("VTE_VERSION", "8000")]
        {
            let surroundings = Surroundings::detect(|name| (name == known.0).then(|| known.1.to_string()));
            assert!(surroundings.shows_progress, "{known:?}");
        }
        assert!(of(&[("TMUX", "/tmp/tmux-0/default,1,0"), ("GHOSTTY_RESOURCES_DIR", "/usr/share/ghostty")]).shows_progress);
        assert!(!of(&[("TERM", "xterm-kitty"), ("ConEmuANSI", "OFF")]).shows_progress, "it would be a notification there");
    }

    #[test]
    fn progress_has_four_states_and_takes_the_way_of_the_multiplexer() {
        let shown = Surroundings { shows_progress: true, ..Surroundings::default() };
        let said = |of: Progress| progress(of, shown);
        assert_eq!(said(Progress::None), "\x1b]9;4;0;0\x07");
        assert_eq!(said(Progress::Percent(42)), "\x1b]9;4;1;42\x07");
        assert_eq!(said(Progress::Error(85)), "\x1b]9;4;2;85\x07");
        assert_eq!(said(Progress::Indeterminate), "\x1b]9;4;3;0\x07");
        assert_eq!(said(Progress::Percent(250)), "\x1b]9;4;1;100\x07");
        let in_tmux = Surroundings { multiplexer: Multiplexer::Tmux, ..shown };
        assert_eq!(progress(Progress::Percent(7), in_tmux), "\x1bPtmux;\x1b\x1b]9;4;1;7\x07\x1b\\");
        let in_screen = Surroundings { multiplexer: Multiplexer::Screen, ..shown };
        assert_eq!(progress(Progress::Percent(7), in_screen), "\x1bP\x1b]9;4;1;7\x07\x1b\\");
        assert_eq!(progress(Progress::Percent(7), Surroundings { bare: true, ..shown }), "");
        assert_eq!(progress(Progress::Percent(7), Surroundings::default()), "");
    }

    #[test]
    fn copies_take_the_way_of_the_multiplexer() {
        let (plain, said) = copy("gke/app/frontend", Surroundings::default()).expect("a sequence");
        assert_eq!(plain, "\x1b]52;c;Z2tlL2FwcC9mcm9udGVuZA==\x1b\\");
        assert_eq!(said, "copied gke/app/frontend (by OSC 52)");
        let (tmux, _) = copy("a", in_multiplexer(Multiplexer::Tmux)).expect("a sequence");
        assert_eq!(tmux, "\x1b]52;c;YQ==\x1b\\\x1bPtmux;\x1b\x1b]52;c;YQ==\x1b\x1b\\\x1b\\");
        let (screen, said) = copy(&"x".repeat(3000), in_multiplexer(Multiplexer::Screen)).expect("a sequence");
        assert!(screen.split("\x1bP").all(|piece| piece.len() < 768), "each piece is one that screen takes");
        assert_eq!(said, "copied 3000 bytes (by OSC 52 through screen)");
    }

    #[test]
    fn what_is_too_long_for_a_clipboard_is_refused_with_its_length() {
        assert!(copy(&"x".repeat(CLIPBOARD), Surroundings::default()).is_ok());
        let why = copy(&"x".repeat(CLIPBOARD + 1), Surroundings::default()).expect_err("a refusal");
        assert!(why.contains("74995 bytes") && why.contains("74994"), "{why}");
        assert!(copy("", Surroundings::default()).is_err());
    }

    #[test]
    fn a_notification_cannot_smuggle_a_sequence() {
        let text = notify("gate; opened", "evil\x1b]52;c;AAAA\x07 end", Surroundings::default());
        assert_eq!(text.matches('\x1b').count(), 2, "{text:?}");
        assert!(text.contains("\x1b]777;notify;gate, opened;evil"), "{text:?}");
        assert_eq!(notify("a", "b", Surroundings { bare: true, ..Surroundings::default() }), "\x07");
        assert_eq!(title("fine\x1b[2J\n").matches('\x1b').count(), 1);
    }
}
