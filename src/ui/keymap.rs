//! Keys as the console understands them, and which action a sequence of them means.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::actions::{ACTIONS, Action, Screen};

/// A key press without the accidents of terminals: shift is part of the character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Which key.
    pub code: KeyCode,
    /// Whether control was held.
    pub ctrl: bool,
}

impl Key {
    /// A key without control.
    #[must_use]
    pub const fn plain(code: KeyCode) -> Self {
        Self { code, ctrl: false }
    }

    /// The key of a terminal event.
    #[must_use]
    pub fn from_event(event: &KeyEvent) -> Self {
        let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        let code = match event.code {
            KeyCode::Char(c) if event.modifiers.contains(KeyModifiers::SHIFT) && !ctrl => KeyCode::Char(c.to_ascii_uppercase()),
            KeyCode::Char(c) if ctrl => KeyCode::Char(c.to_ascii_lowercase()),
            code => code,
        };
        match (code, ctrl) {
            // What terminals send for backspace differs; the meaning does not.
            (KeyCode::Char('h'), true) => Self::plain(KeyCode::Backspace),
            (KeyCode::Char('j' | 'm'), true) => Self::plain(KeyCode::Enter),
            (code, ctrl) => Self { code, ctrl },
        }
    }

    /// A key by its name: `j`, `G`, `ctrl-x`, `enter`, `pgdn`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (ctrl, name) = name.strip_prefix("ctrl-").map_or((false, name), |rest| (true, rest));
        let code = match name {
            "enter" => KeyCode::Enter,
            "esc" => KeyCode::Esc,
            "tab" => KeyCode::Tab,
            "space" => KeyCode::Char(' '),
            "backspace" => KeyCode::Backspace,
            "up" => KeyCode::Up,
            "down" => KeyCode::Down,
            "left" => KeyCode::Left,
            "right" => KeyCode::Right,
            "home" => KeyCode::Home,
            "end" => KeyCode::End,
            "pgup" => KeyCode::PageUp,
            "pgdn" => KeyCode::PageDown,
            "f8" => KeyCode::F(8),
            _ => {
                let mut letters = name.chars();
                match (letters.next(), letters.next()) {
                    (Some(letter), None) => KeyCode::Char(letter),
                    _ => return None,
                }
            }
        };
        Some(Self { code, ctrl })
    }

    /// The character to type into a field.
    #[must_use]
    pub const fn letter(self) -> Option<char> {
        match self.code {
            KeyCode::Char(letter) if !self.ctrl => Some(letter),
            _ => None,
        }
    }

    /// Whether it is control and this letter.
    #[must_use]
    pub fn is_ctrl(self, letter: char) -> bool {
        self.ctrl && self.code == KeyCode::Char(letter)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ctrl {
            f.write_str("ctrl-")?;
        }
        match self.code {
            KeyCode::Char(' ') => f.write_str("space"),
            KeyCode::Char(letter) => write!(f, "{letter}"),
            KeyCode::F(number) => write!(f, "f{number}"),
            KeyCode::PageUp => f.write_str("pgup"),
            KeyCode::PageDown => f.write_str("pgdn"),
            code => f.write_str(&format!("{code:?}").to_lowercase()),
        }
    }
}

/// A sequence as the action table writes it: keys with spaces between them.
#[must_use]
pub fn parse_sequence(text: &str) -> Option<Vec<Key>> {
    text.split(' ').map(Key::parse).collect()
}

/// What a sequence of keys means on a screen.
#[derive(Clone, Copy, Debug)]
pub enum Meaning {
    /// Exactly this action.
    Action(&'static Action),
    /// The beginning of longer ones.
    Prefix,
    /// Nothing.
    Nothing,
}

/// Looks a sequence up in the action table.
#[must_use]
pub fn meaning(screen: Screen, pressed: &[Key]) -> Meaning {
    let mut prefix = false;
    for action in ACTIONS.iter().filter(|action| action.screens.contains(&screen)) {
        for keys in action.keys.iter().filter_map(|keys| parse_sequence(keys)) {
            if keys == pressed {
                return Meaning::Action(action);
            }
            prefix |= keys.starts_with(pressed);
        }
    }
    if prefix { Meaning::Prefix } else { Meaning::Nothing }
}

/// The actions that a prefix leads to, with the key that remains.
#[must_use]
pub fn continuations(screen: Screen, pressed: &[Key]) -> Vec<(Key, &'static Action)> {
    let mut out = Vec::new();
    for action in ACTIONS.iter().filter(|action| action.screens.contains(&screen)) {
        for keys in action.keys.iter().filter_map(|keys| parse_sequence(keys)) {
            if keys.len() > pressed.len() && keys.starts_with(pressed) {
                out.push((keys[pressed.len()], action));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::actions::SCREENS;

    #[test]
    fn no_two_actions_of_a_screen_share_a_key_or_a_prefix() {
        for screen in SCREENS {
            let all: Vec<(&str, Vec<Key>)> = ACTIONS
                .iter()
                .filter(|action| action.screens.contains(&screen))
                .flat_map(|action| action.keys.iter().map(|keys| (action.word, parse_sequence(keys).expect(keys))))
                .collect();
            for (at, (word, keys)) in all.iter().enumerate() {
                for (other, others) in &all[at + 1..] {
                    assert!(!keys.starts_with(others) && !others.starts_with(keys), "{screen:?}: {word} and {other}");
                }
            }
        }
    }

    #[test]
    fn every_key_of_every_action_dispatches_it() {
        for action in ACTIONS {
            for screen in action.screens {
                for keys in action.keys {
                    let pressed = parse_sequence(keys).expect(keys);
                    for shorter in 1..pressed.len() {
                        assert!(matches!(meaning(*screen, &pressed[..shorter]), Meaning::Prefix), "{keys}");
                    }
                    let Meaning::Action(found) = meaning(*screen, &pressed) else { panic!("{keys} means nothing on {screen:?}") };
                    assert_eq!(found.id, action.id, "{keys}");
                }
            }
        }
    }

    #[test]
    fn names_of_keys_read_back() {
        for name in ["j", "G", "ctrl-x", "enter", "esc", "space", "f8", "pgdn", "?", ":", "["] {
            assert_eq!(Key::parse(name).expect(name).to_string(), name);
        }
    }
}
