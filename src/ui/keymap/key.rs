//! One key press, and how people write it.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde::{Deserialize, Serialize};

/// A key press without the accidents of terminals: shift is part of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Which key.
    pub code: KeyCode,
    /// Whether control was held.
    pub ctrl: bool,
    /// Whether alt was held.
    pub alt: bool,
    /// Whether shift was held; of keys that move or are numbered, never of characters.
    pub shift: bool,
}

/// Keys that have names instead of characters.
const NAMES: [(&str, KeyCode); 17] = [
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("backtab", KeyCode::BackTab),
    ("space", KeyCode::Char(' ')),
    ("backspace", KeyCode::Backspace),
    ("insert", KeyCode::Insert),
    ("delete", KeyCode::Delete),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pgup", KeyCode::PageUp),
    ("pgdn", KeyCode::PageDown),
    ("menu", KeyCode::Menu),
];

/// Keys of which terminals send the same byte as another's, with the name of the other.
const SAME: [(char, &str); 5] = [('h', "backspace"), ('i', "tab"), ('j', "enter"), ('m', "enter"), ('[', "esc")];

/// Whether terminals tell this key apart with shift and without.
const fn has_shift(code: KeyCode) -> bool {
    use KeyCode::{Delete, Down, End, F, Home, Insert, Left, PageDown, PageUp, Right, Up};
    matches!(code, F(_) | Up | Down | Left | Right | Home | End | PageUp | PageDown | Insert | Delete)
}

impl Key {
    /// A key alone.
    #[must_use]
    pub const fn plain(code: KeyCode) -> Self {
        Self { code, ctrl: false, alt: false, shift: false }
    }

    /// The key of a terminal event.
    #[must_use]
    pub fn from_event(event: &KeyEvent) -> Self {
        let has = |modifier| event.modifiers.contains(modifier);
        let (ctrl, alt, shift) = (has(KeyModifiers::CONTROL), has(KeyModifiers::ALT), has(KeyModifiers::SHIFT));
        let code = match event.code {
            KeyCode::Char(c) if shift && !ctrl => KeyCode::Char(c.to_ascii_uppercase()),
            KeyCode::Char(c) if ctrl => KeyCode::Char(c.to_ascii_lowercase()),
            KeyCode::Tab if shift => KeyCode::BackTab,
            code => code,
        };
        let shift = shift && has_shift(code);
        let own = |code| Self { alt, ..Self::plain(code) };
        match (code, ctrl) {
            // What terminals send for these keys differs; the meaning does not.
            (KeyCode::Char('h'), true) => own(KeyCode::Backspace),
            (KeyCode::Char('j' | 'm'), true) => own(KeyCode::Enter),
            (KeyCode::Char('i'), true) => own(KeyCode::Tab),
            (KeyCode::Char('['), true) => own(KeyCode::Esc),
            // Bytes 0x1c to 0x1f are read as control and a digit, but no keyboard has them there.
            (KeyCode::Char(digit @ '4'..='7'), true) => {
                let letter = ['\\', ']', '^', '_'].get(usize::from(digit as u8 - b'4')).copied().unwrap_or(digit);
                Self { code: KeyCode::Char(letter), ctrl, alt, shift }
            }
            (code, ctrl) => Self { code, ctrl, alt, shift },
        }
    }

    /// A key by its name: `j`, `G`, `ctrl-x`, `alt-enter`, `shift-left`, `f8`, `pgdn`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::read(name).ok()
    }

    /// A key by its name.
    ///
    /// # Errors
    /// What is wrong with the name, and what to write instead.
    pub fn read(name: &str) -> Result<Self, String> {
        let (mut rest, mut ctrl, mut alt, mut shift) = (name, false, false, false);
        // A `-` that is the key itself has nothing behind it.
        while let Some((modifier, after)) = rest.split_once('-').filter(|(modifier, after)| !modifier.is_empty() && !after.is_empty()) {
            match modifier {
                "ctrl" => ctrl = true,
                "alt" => alt = true,
                "shift" => shift = true,
                _ => return Err(format!("`{name}`: {modifier} is none of ctrl, alt and shift")),
            }
            rest = after;
        }
        let mut code = named(rest).ok_or_else(|| format!("`{name}` is no key: write a character, f1 to f12, or {}", names()))?;
        if let (KeyCode::Tab, true) = (code, shift) {
            (code, shift) = (KeyCode::BackTab, false);
        }
        if let KeyCode::Char(letter) = code {
            if let Some((_, same)) = SAME.iter().find(|(same, _)| ctrl && *same == letter) {
                return Err(format!("terminals cannot tell `{name}` from {same}: write `{same}`"));
            }
            if ctrl && shift {
                return Err(format!("terminals cannot tell `{name}` from ctrl-{letter}: leave shift out"));
            }
            if shift && letter.is_ascii_lowercase() {
                (code, shift) = (KeyCode::Char(letter.to_ascii_uppercase()), false);
            } else if shift {
                return Err(format!("`{name}`: write the character that shift makes of it"));
            } else if ctrl && letter.is_ascii_uppercase() {
                return Err(format!("terminals cannot tell `{name}` from ctrl-{0}: write ctrl-{0}", letter.to_ascii_lowercase()));
            }
        }
        if shift && !has_shift(code) {
            return Err(format!("terminals cannot tell `{name}` from {rest}: leave shift out"));
        }
        Ok(Self { code, ctrl, alt, shift })
    }

    /// The character to type into a field.
    #[must_use]
    pub const fn letter(self) -> Option<char> {
        match self.code {
            KeyCode::Char(letter) if !self.ctrl && !self.alt => Some(letter),
            _ => None,
        }
    }

    /// Whether it is control and this letter.
    #[must_use]
    pub fn is_ctrl(self, letter: char) -> bool {
        self.ctrl && !self.alt && self.code == KeyCode::Char(letter)
    }
}

fn named(name: &str) -> Option<KeyCode> {
    if let Some((_, code)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*code);
    }
    if let Some(number) = name.strip_prefix('f').and_then(|digits| digits.parse().ok()).filter(|number| (1..=12).contains(number)) {
        return Some(KeyCode::F(number));
    }
    let mut letters = name.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if !letter.is_control() && letter != ' ' => Some(KeyCode::Char(letter)),
        _ => None,
    }
}

fn names() -> String {
    NAMES.map(|(name, _)| name).join(", ")
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (held, word) in [(self.ctrl, "ctrl-"), (self.alt, "alt-"), (self.shift, "shift-")] {
            if held {
                f.write_str(word)?;
            }
        }
        match self.code {
            KeyCode::F(number) => write!(f, "f{number}"),
            code => match NAMES.iter().find(|(_, named)| *named == code) {
                Some((name, _)) => f.write_str(name),
                None => match code {
                    KeyCode::Char(letter) => write!(f, "{letter}"),
                    code => f.write_str(&format!("{code:?}").to_lowercase()),
                },
            },
        }
    }
}

/// A sequence as the action table writes it: keys with spaces between them.
#[must_use]
pub fn parse_sequence(text: &str) -> Option<Vec<Key>> {
    read_sequence(text).ok()
}

/// A sequence of keys with spaces between them.
///
/// # Errors
/// What is wrong with the first bad name, and what to write instead.
pub fn read_sequence(text: &str) -> Result<Vec<Key>, String> {
    let keys: Vec<Key> = text.split_whitespace().map(Key::read).collect::<Result<_, _>>()?;
    if keys.is_empty() { Err("names no key: write `space` for the space bar".into()) } else { Ok(keys) }
}

/// A sequence as people read it.
#[must_use]
pub fn show_sequence(keys: &[Key]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys_read_back() {
        let names = [
            "j",
            "G",
            "ctrl-x",
            "enter",
            "esc",
            "space",
            "f1",
            "f12",
            "pgdn",
            "?",
            ":",
            "[",
            "-",
            "ctrl--",
            "alt-x",
            "alt-X",
            "shift-left",
            "ctrl-space",
            "ctrl-\\",
            "ctrl-alt-delete",
            "backtab",
            "insert",
            "ü",
        ];
        for name in names {
            assert_eq!(Key::parse(name).expect(name).to_string(), name);
        }
        for (name, same) in [("shift-a", "A"), ("shift-tab", "backtab"), ("shift-ctrl-up", "ctrl-shift-up")] {
            assert_eq!(Key::parse(name).expect(name).to_string(), same);
        }
    }

    #[test]
    fn names_that_no_terminal_can_send_are_explained() {
        for (name, word) in [
            ("ctrl-i", "write `tab`"),
            ("ctrl-m", "write `enter`"),
            ("ctrl-[", "write `esc`"),
            ("ctrl-H", "ctrl-h"),
            ("ctrl-shift-x", "leave shift out"),
            ("shift-enter", "leave shift out"),
            ("shift-1", "the character that shift makes"),
            ("super-x", "none of ctrl"),
            ("f13", "f1 to f12"),
            ("pagedown", "pgdn"),
            ("", "is no key"),
        ] {
            let mistake = Key::read(name).expect_err(name);
            assert!(mistake.contains(word), "{name}: {mistake}");
        }
        assert!(read_sequence("  ").is_err());
    }

    #[test]
    fn what_terminals_send_is_what_people_mean() {
        use KeyCode::{BackTab, Char, Down, Enter, Left, Tab};
        let of = |code, modifiers| Key::from_event(&KeyEvent::new(code, modifiers)).to_string();
        let (none, ctrl, alt, shift) = (KeyModifiers::NONE, KeyModifiers::CONTROL, KeyModifiers::ALT, KeyModifiers::SHIFT);
        assert_eq!(of(Char('G'), shift), "G");
        assert_eq!(of(Char('g'), shift), "G");
        assert_eq!(of(Char('x'), ctrl), "ctrl-x");
        assert_eq!(of(Char('x'), alt), "alt-x");
        assert_eq!(of(Char(' '), ctrl), "ctrl-space");
        assert_eq!(of(Char('4'), ctrl), "ctrl-\\");
        assert_eq!(of(Char('h'), ctrl), "backspace");
        assert_eq!(of(Char('m'), ctrl), "enter");
        assert_eq!(of(Left, shift), "shift-left");
        assert_eq!(of(Down, none), "down");
        assert_eq!(of(Tab, shift), "backtab");
        assert_eq!(of(BackTab, shift), "backtab");
        assert_eq!(of(Enter, shift), "enter");
        assert_eq!(of(Char('?'), shift), "?");
    }

    #[test]
    fn letters_for_fields_are_letters() {
        assert_eq!(Key::parse("y").expect("y").letter(), Some('y'));
        assert_eq!(Key::parse("alt-y").expect("alt-y").letter(), None);
        assert_eq!(Key::parse("ctrl-y").expect("ctrl-y").letter(), None);
    }
}
