//! Roles and their colours, as data; colour depth and ASCII are decided here and nowhere else.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

/// How much colour the terminal takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Colour {
    /// No colour at all: glyphs, words, bold and reverse carry everything.
    None,
    /// The terminal's own sixteen.
    #[default]
    Ansi16,
    /// 24 bit.
    True,
}

impl Colour {
    /// Reads the customs of the environment: `NO_COLOR`, `TERM=dumb`, `COLORTERM`.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        if set("NO_COLOR").is_some() || set("TERM").is_some_and(|term| term == "dumb") {
            Self::None
        } else if set("COLORTERM").is_some_and(|kind| kind == "truecolor" || kind == "24bit") {
            Self::True
        } else {
            Self::Ansi16
        }
    }
}

/// What a piece of text means; themes give meanings a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Plain text.
    Text,
    /// Less important than what stands beside it.
    Dim,
    /// Names of columns, sections and screens.
    Title,
    /// Keys to press.
    Key,
    /// Ready, done, inside the limit.
    Good,
    /// Broken, refused, over the limit.
    Bad,
    /// Deserves a look.
    Warn,
    /// Waits for a human.
    Gate,
    /// Held on purpose.
    Hold,
    /// Moves by itself.
    Busy,
    /// Old, dead or unknown.
    Stale,
    /// The console may write.
    Armed,
    /// The threshold of a chart.
    Limit,
    /// Rules and borders.
    Rule,
}

/// One line of a theme: a role, its colour of sixteen, its colour of 24 bit, its weight.
type Swatch = (Role, Color, Color, Modifier);

const PLAIN: Modifier = Modifier::empty();
const BOLD: Modifier = Modifier::BOLD;

/// The dark theme; also right on light terminals, whose own sixteen colours it uses.
const DARK: [Swatch; 14] = [
    (Role::Text, Color::Reset, Color::Reset, PLAIN),
    (Role::Dim, Color::DarkGray, Color::Rgb(128, 136, 148), PLAIN),
    (Role::Title, Color::Reset, Color::Rgb(214, 222, 235), BOLD),
    (Role::Key, Color::Cyan, Color::Rgb(97, 200, 222), BOLD),
    (Role::Good, Color::Green, Color::Rgb(124, 194, 116), PLAIN),
    (Role::Bad, Color::Red, Color::Rgb(240, 96, 92), BOLD),
    (Role::Warn, Color::Yellow, Color::Rgb(236, 190, 96), PLAIN),
    (Role::Gate, Color::Magenta, Color::Rgb(206, 140, 240), BOLD),
    (Role::Hold, Color::Yellow, Color::Rgb(216, 166, 87), PLAIN),
    (Role::Busy, Color::Cyan, Color::Rgb(106, 176, 243), PLAIN),
    (Role::Stale, Color::DarkGray, Color::Rgb(150, 150, 150), PLAIN),
    (Role::Armed, Color::Red, Color::Rgb(240, 96, 92), BOLD.union(Modifier::REVERSED)),
    (Role::Limit, Color::Blue, Color::Rgb(110, 132, 196), PLAIN),
    (Role::Rule, Color::DarkGray, Color::Rgb(92, 100, 114), PLAIN),
];

/// A theme at one colour depth.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    colour: Colour,
}

impl Theme {
    /// The theme for a terminal of this depth.
    #[must_use]
    pub const fn new(colour: Colour) -> Self {
        Self { colour }
    }

    /// The look of a role.
    #[must_use]
    pub fn style(self, role: Role) -> Style {
        let Some((_, ansi, rgb, modifier)) = DARK.iter().find(|(of, ..)| *of == role) else { return Style::new() };
        let style = Style::new().add_modifier(*modifier);
        match self.colour {
            // `dim` is the one degree that a terminal without colours still has.
            Colour::None if matches!(role, Role::Dim | Role::Rule | Role::Stale) => style.add_modifier(Modifier::DIM),
            Colour::None => style,
            Colour::Ansi16 => style.fg(*ansi),
            Colour::True => style.fg(*rgb),
        }
    }

    /// The ground under the row of the cursor; `>` marks it as well.
    #[must_use]
    pub fn ground(self) -> Style {
        match self.colour {
            Colour::None | Colour::Ansi16 => Style::new().add_modifier(Modifier::BOLD),
            Colour::True => Style::new().bg(Color::Rgb(38, 48, 66)).add_modifier(Modifier::BOLD),
        }
    }
}

/// Glyphs and what stands for them where only ASCII can be drawn; each is one column wide.
const ASCII: [(&str, &str); 43] = [
    ("✗", "x"),
    ("◆", "@"),
    ("»", ">"),
    ("›", ">"),
    ("✓", "+"),
    ("·", "."),
    ("–", "-"),
    ("—", "-"),
    ("→", ">"),
    ("↑", "^"),
    ("↓", "v"),
    ("…", "~"),
    ("≥", ">"),
    ("≤", "<"),
    ("×", "x"),
    ("▓", "#"),
    ("░", "."),
    ("┃", "|"),
    ("─", "-"),
    ("│", "|"),
    ("┤", "+"),
    ("├", "+"),
    ("┼", "+"),
    ("┌", "+"),
    ("┐", "+"),
    ("└", "+"),
    ("┘", "+"),
    ("╭", "+"),
    ("╮", "+"),
    ("╰", "+"),
    ("╯", "+"),
    ("▁", "_"),
    ("▂", ","),
    ("▃", ":"),
    ("▄", "~"),
    ("▅", "="),
    ("▆", "+"),
    ("▇", "*"),
    ("█", "#"),
    ("“", "\""),
    ("”", "\""),
    ("’", "'"),
    ("°", "o"),
];

/// Replaces everything outside ASCII in a drawn frame, names and messages of clusters included.
pub fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let plain = ASCII.iter().find(|(glyph, _)| *glyph == cell.symbol()).map_or("?", |(_, plain)| plain);
            cell.set_symbol(plain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_swatch_and_no_colour_means_none() {
        for (role, ..) in DARK {
            let style = Theme::new(Colour::None).style(role);
            assert!(style.fg.is_none() && style.bg.is_none(), "{role:?}");
            assert!(Theme::new(Colour::True).style(role).fg.is_some(), "{role:?}");
        }
    }

    #[test]
    fn the_environment_decides_the_depth() {
        let of = |pairs: &'static [(&str, &str)]| {
            Colour::detect(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_string()))
        };
        assert_eq!(of(&[("NO_COLOR", "1"), ("COLORTERM", "truecolor")]), Colour::None);
        assert_eq!(of(&[("NO_COLOR", ""), ("COLORTERM", "truecolor")]), Colour::True);
        assert_eq!(of(&[("TERM", "dumb")]), Colour::None);
        assert_eq!(of(&[("TERM", "xterm")]), Colour::Ansi16);
    }

    #[test]
    fn every_substitute_is_one_ascii_column() {
        for (glyph, plain) in ASCII {
            assert!(plain.is_ascii() && plain.len() == 1, "{glyph}");
            assert_eq!(ratatui::text::Span::raw(glyph).width(), 1, "{glyph}");
        }
    }
}
