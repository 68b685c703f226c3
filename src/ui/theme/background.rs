//! Whether the terminal is dark or light: the question, the answer, and how to keep the answer from being typed.
//!
//! The question is OSC 11, and it goes out after the first frame. Its answer comes in as if it were typed: the
//! event stream reads `ESC ]` as alt and `]`, and the rest as letters. [`Listener`] takes such a row of keys out.
//! Mode 2031 would tell of changes unasked; its report (`CSI ? 997 ; n n`) is understood here, but must not be
//! asked for as long as the event stream waits for more bytes after it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::colour::luminance;

/// The ground of a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Background {
    /// Light text on it.
    #[default]
    Dark,
    /// Dark text on it.
    Light,
}

/// The question for the colour of the ground.
#[must_use]
pub const fn background_query() -> &'static str {
    "\x1b]11;?\x1b\\"
}

/// Whether the terminal may be asked: some draw what they do not understand.
pub fn asks_background(variable: impl Fn(&str) -> Option<String>) -> bool {
    let term = variable("TERM").unwrap_or_default();
    !matches!(term.as_str(), "" | "dumb" | "linux" | "cons25" | "emacs")
}

/// What `COLORFGBG` says, which some terminals set: the last part is the number of the ground's colour.
#[must_use]
pub fn hint(value: &str) -> Option<Background> {
    let number: u8 = value.rsplit(';').next()?.parse().ok()?;
    match number {
        7 | 9..=15 => Some(Background::Light),
        0..=6 | 8 => Some(Background::Dark),
        _ => None,
    }
}

/// Reads an answer: `ESC ] 11 ; rgb:RRRR/GGGG/BBBB`, ended by BEL or `ESC \`, or mode 2031's `ESC [ ? 997 ; 1 n`
/// (dark) and `2` (light).
#[must_use]
pub fn parse_background(answer: &[u8]) -> Option<Background> {
    let answer = std::str::from_utf8(answer).ok()?;
    if let Some(report) = answer.strip_prefix("\x1b[?997;") {
        return match report {
            "1n" => Some(Background::Dark),
            "2n" => Some(Background::Light),
            _ => None,
        };
    }
    let answer = answer.strip_prefix("\x1b]11;")?;
    let answer = answer.strip_suffix("\x1b\\").or_else(|| answer.strip_suffix('\x07')).unwrap_or(answer);
    parse_colour(answer)
}

/// A colour as X writes it: `rgb:R/G/B` with one to four digits each, `rgba:` with a fourth part, or `#rrggbb`.
fn parse_colour(text: &str) -> Option<Background> {
    let rgb = if text.starts_with('#') {
        super::colour::hex(text)?
    } else {
        let parts: Vec<u8> =
            text.strip_prefix("rgb:").or_else(|| text.strip_prefix("rgba:"))?.split('/').map(part).collect::<Option<_>>()?;
        match parts.as_slice() {
            [r, g, b] | [r, g, b, _] => (*r, *g, *b),
            _ => return None,
        }
    };
    // Halfway in lightness (L* 50), which is where black and white text change places.
    Some(if luminance(rgb) > 0.184 { Background::Light } else { Background::Dark })
}

/// One part of a colour, of one to four digits, as eight bits.
fn part(digits: &str) -> Option<u8> {
    let most = match digits.len() {
        1 => 0xf,
        2 => 0xff,
        3 => 0xfff,
        4 => 0xffff,
        _ => return None,
    };
    if !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let value = u32::from_str_radix(digits, 16).ok()?;
    u8::try_from(value * 255 / most).ok()
}

/// What a key turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A part of an answer, or of what may become one: nothing is to be done with it yet.
    Part,
    /// The end of an answer.
    Background(Option<Background>),
    /// Keys that somebody typed, this one last.
    Keys(Vec<KeyEvent>),
}

/// Takes the answer out of a row of keys, if it comes.
///
/// A row that begins like an answer and goes on otherwise is given back whole, in its order.
#[derive(Debug, Default)]
pub struct Listener {
    held: Vec<KeyEvent>,
    text: String,
}

const ESCAPE: char = '\x1b';
/// What every answer begins with, behind `ESC ]`.
const BEGINNING: &str = "11;";
/// Characters of the longest answer, `11;rgba:` and four times four digits.
const MOST: usize = 27;

impl Listener {
    /// Takes one key.
    pub fn key(&mut self, key: KeyEvent) -> Heard {
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        self.held.push(key);
        if self.held.len() == 1 {
            return if alt && key.code == KeyCode::Char(']') { Heard::Part } else { self.give_back() };
        }
        match key.code {
            // BEL, or `ESC \`.
            KeyCode::Char('g') if ctrl => self.end(),
            KeyCode::Char('\\') if alt || self.text.ends_with(ESCAPE) => {
                self.text.truncate(self.text.trim_end_matches(ESCAPE).len());
                self.end()
            }
            // `ESC \` that came in two pieces.
            KeyCode::Esc if self.text.starts_with(BEGINNING) => {
                self.text.push(ESCAPE);
                Heard::Part
            }
            KeyCode::Char(letter) if !ctrl && !alt => {
                self.text.push(letter);
                let begins = BEGINNING.starts_with(&self.text) || self.text.starts_with(BEGINNING);
                if begins && self.text.len() <= MOST { Heard::Part } else { self.give_back() }
            }
            _ => self.give_back(),
        }
    }

    /// Whether keys are held back: a loop that sees no more of them for 50 ms calls [`Listener::give_up`].
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// Gives back what is held: nothing more came.
    pub fn give_up(&mut self) -> Vec<KeyEvent> {
        self.text.clear();
        std::mem::take(&mut self.held)
    }

    fn give_back(&mut self) -> Heard {
        Heard::Keys(self.give_up())
    }

    fn end(&mut self) -> Heard {
        let text = std::mem::take(&mut self.text);
        match text.strip_prefix(BEGINNING) {
            Some(colour) => {
                self.held.clear();
                Heard::Background(parse_colour(colour))
            }
            None => self.give_back(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_terminals_are_read() {
        for (answer, background) in [
            (&b"\x1b]11;rgb:0000/0000/0000\x1b\\"[..], Some(Background::Dark)),
            (b"\x1b]11;rgb:ffff/ffff/ffff\x07", Some(Background::Light)),
            (b"\x1b]11;rgb:fd/f6/e3\x07", Some(Background::Light)),
            (b"\x1b]11;rgb:2828/2a2a/3636\x1b\\", Some(Background::Dark)),
            (b"\x1b]11;rgba:ffff/ffff/ffff/8000\x07", Some(Background::Light)),
            (b"\x1b]11;rgb:0/0/0\x07", Some(Background::Dark)),
            (b"\x1b]11;#fafafa\x07", Some(Background::Light)),
            (b"\x1b[?997;1n", Some(Background::Dark)),
            (b"\x1b[?997;2n", Some(Background::Light)),
            (b"\x1b[?997;3n", None),
            (b"\x1b]11;rgb:00000/0/0\x07", None),
            (b"\x1b]11;rgb:0/0\x07", None),
            (b"\x1b]11;rgb:0/0/0/0/0\x07", None),
            (b"\x1b]11;rgb:+f/0/0\x07", None),
            (b"\x1b]10;rgb:0/0/0\x07", None),
            (b"\x1b]11;\xff\x07", None),
            (b"", None),
        ] {
            assert_eq!(parse_background(answer), background, "{}", answer.escape_ascii());
        }
    }

    #[test]
    fn the_hint_is_the_last_part() {
        assert_eq!(hint("15;0"), Some(Background::Dark));
        assert_eq!(hint("0;15"), Some(Background::Light));
        assert_eq!(hint("0;default;7"), Some(Background::Light));
        assert_eq!(hint("12;8"), Some(Background::Dark));
        assert_eq!(hint("0;default"), None);
        assert_eq!(hint("0;99"), None);
    }

    #[test]
    fn terminals_that_would_draw_the_question_are_not_asked() {
        let asks = |term: &'static str| asks_background(move |_| Some(term.to_string()));
        assert!(asks("xterm-256color") && asks("tmux-256color"));
        assert!(!asks("linux") && !asks("dumb") && !asks_background(|_| None));
    }

    fn typed(text: &str) -> Vec<KeyEvent> {
        text.chars().map(|letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE)).collect()
    }

    fn with(letter: char, modifiers: KeyModifiers) -> KeyEvent {
        KeyEvent::new(KeyCode::Char(letter), modifiers)
    }

    fn answer(text: &str, end: KeyEvent) -> Vec<KeyEvent> {
        let mut keys = vec![with(']', KeyModifiers::ALT)];
        keys.extend(typed(text));
        keys.push(end);
        keys
    }

    #[test]
    fn an_answer_among_keys_is_taken_out_of_them() {
        let escape = KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE);
        let ends = [vec![with('g', KeyModifiers::CONTROL)], vec![with('\\', KeyModifiers::ALT)], vec![escape, typed("\\")[0]]];
        for end in ends {
            let mut listener = Listener::default();
            assert_eq!(listener.key(typed("j")[0]), Heard::Keys(typed("j")));
            let (last, rest) = end.split_last().expect("an end");
            let mut keys = answer("11;rgb:fafa/fafa/fafa", *last);
            keys.splice(keys.len() - 1..keys.len() - 1, rest.iter().copied());
            let (last, rest) = keys.split_last().expect("keys");
            for key in rest {
                assert_eq!(listener.key(*key), Heard::Part);
            }
            assert!(listener.is_waiting());
            assert_eq!(listener.key(*last), Heard::Background(Some(Background::Light)));
            assert!(!listener.is_waiting());
            assert_eq!(listener.key(typed("k")[0]), Heard::Keys(typed("k")));
        }
    }

    #[test]
    fn keys_that_only_begin_like_an_answer_come_back_in_their_order() {
        for text in ["x", "1x", "11;rgb:0000/0000/0000/0000/00"] {
            let mut listener = Listener::default();
            let keys = answer(text, typed("y")[0]);
            let mut back = Vec::new();
            for key in &keys {
                match listener.key(*key) {
                    Heard::Keys(keys) => back.extend(keys),
                    Heard::Part => {}
                    Heard::Background(_) => panic!("no answer"),
                }
            }
            back.extend(listener.give_up());
            assert_eq!(back, keys, "{text}");
        }
        let mut listener = Listener::default();
        assert_eq!(listener.key(with(']', KeyModifiers::ALT)), Heard::Part);
        assert_eq!(listener.give_up(), [with(']', KeyModifiers::ALT)]);
    }
}
