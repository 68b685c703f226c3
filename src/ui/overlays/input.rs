//! A line of text that is typed: letters, backspace, `ctrl-w`, `ctrl-u`.

use crossterm::event::KeyCode;
use ratatui::text::Span;

use crate::domain::text::clean;
use crate::ui::keymap::Key;
use crate::ui::theme::{Role, Theme};
use crate::ui::widgets::text::{cut, width};

/// Characters that a line may have.
const LONGEST: usize = 256;

/// The line so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// Its text.
    pub text: String,
}

impl Input {
    /// Takes a key; `false` where it means nothing to a line of text.
    pub fn key(&mut self, key: Key) -> bool {
        match key.code {
            _ if key.is_ctrl('u') => self.text.clear(),
            _ if key.is_ctrl('w') => {
                let kept = self.text.trim_end().rfind(' ').map_or(0, |at| at + 1);
                self.text.truncate(kept);
            }
            KeyCode::Backspace => {
                self.text.pop();
            }
            _ => match key.letter() {
                Some(letter) => self.paste(letter.encode_utf8(&mut [0; 4])),
                None => return false,
            },
        }
        true
    }

    /// Takes text at once; what is pasted is no more trusted than what a cluster says.
    pub fn paste(&mut self, text: &str) {
        let room = LONGEST.saturating_sub(self.text.chars().count());
        self.text.extend(clean(text).chars().take(room));
    }

    /// The field as drawn: its end where it is longer, `_` as the cursor where it has the keys.
    #[must_use]
    pub fn spans(&self, columns: usize, focused: bool, theme: Theme) -> Vec<Span<'static>> {
        let room = columns.saturating_sub(4).max(1);
        let mut shown = self.text.clone();
        while width(&shown) > room {
            shown.remove(0);
        }
        let role = if focused { Role::Key } else { Role::Dim };
        vec![
            Span::styled("[", theme.style(role)),
            Span::styled(cut(&shown, room), theme.style(Role::Text)),
            Span::styled(if focused { "_" } else { " " }, theme.style(Role::Key)),
            Span::styled("]", theme.style(role)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editing_is_what_shells_taught() {
        let mut input = Input::default();
        for key in ["a", "b", "space", "c", "d"] {
            assert!(input.key(Key::parse(key).expect(key)));
        }
        assert_eq!(input.text, "ab cd");
        input.key(Key::parse("ctrl-w").expect("a key"));
        assert_eq!(input.text, "ab ");
        input.key(Key::parse("backspace").expect("a key"));
        assert_eq!(input.text, "ab");
        input.paste("x\u{1b}[2J\ny");
        assert_eq!(input.text, "abx[2J y");
        input.key(Key::parse("ctrl-u").expect("a key"));
        assert_eq!(input.text, "");
        assert!(!input.key(Key::parse("enter").expect("a key")));
    }
}
