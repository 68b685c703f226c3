//! Colours: how many of them a terminal takes, and which of few comes nearest to one of many.

use ratatui::style::Color;

/// How much colour the terminal takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Colour {
    /// No colour at all: glyphs, words, bold and reverse carry everything.
    None,
    /// The terminal's own sixteen.
    #[default]
    Ansi16,
    /// Sixteen, a cube of 6×6×6 and 24 greys.
    Ansi256,
    /// 24 bit.
    True,
}

/// Terminals that take 24 bit and may not say so: `COLORTERM` does not pass through ssh.
const TRUE_TERMS: [&str; 7] = ["-direct", "kitty", "alacritty", "ghostty", "foot", "wezterm", "contour"];

impl Colour {
    /// All of them, from none to 24 bit.
    pub const ALL: [Self; 4] = [Self::None, Self::Ansi16, Self::Ansi256, Self::True];

    /// Reads the customs of the environment: `NO_COLOR`, `CLICOLOR_FORCE`, `COLORTERM`, `TERM`.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let forced = set("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        if set("NO_COLOR").is_some() || (term == "dumb" && !forced) {
            Self::None
        } else if term == "linux" || term == "dumb" {
            // The console of Linux draws sixteen, whatever COLORTERM was inherited.
            Self::Ansi16
        } else if set("COLORTERM").is_some_and(|kind| kind == "truecolor" || kind == "24bit")
            || TRUE_TERMS.iter().any(|name| term.contains(name))
        {
            Self::True
        } else if term.contains("256color") {
            Self::Ansi256
        } else {
            Self::Ansi16
        }
    }
}

/// A colour of 24 bit: red, green, blue.
pub type Rgb = (u8, u8, u8);

/// The sixteen: name in theme files, what `ratatui` calls it, and xterm's value for it.
pub const SIXTEEN: [(&str, Color, Rgb); 16] = [
    ("black", Color::Black, (0, 0, 0)),
    ("red", Color::Red, (205, 0, 0)),
    ("green", Color::Green, (0, 205, 0)),
    ("yellow", Color::Yellow, (205, 205, 0)),
    ("blue", Color::Blue, (0, 0, 238)),
    ("magenta", Color::Magenta, (205, 0, 205)),
    ("cyan", Color::Cyan, (0, 205, 205)),
    ("white", Color::Gray, (229, 229, 229)),
    ("bright-black", Color::DarkGray, (127, 127, 127)),
    ("bright-red", Color::LightRed, (255, 0, 0)),
    ("bright-green", Color::LightGreen, (0, 255, 0)),
    ("bright-yellow", Color::LightYellow, (255, 255, 0)),
    ("bright-blue", Color::LightBlue, (92, 92, 255)),
    ("bright-magenta", Color::LightMagenta, (255, 0, 255)),
    ("bright-cyan", Color::LightCyan, (0, 255, 255)),
    ("bright-white", Color::White, (255, 255, 255)),
];

/// One of the sixteen, or the terminal's own, by its name in theme files.
#[must_use]
pub fn named(name: &str) -> Option<Color> {
    if name == "default" {
        return Some(Color::Reset);
    }
    SIXTEEN.iter().find(|(known, ..)| *known == name).map(|(_, colour, _)| *colour)
}

/// `#rrggbb`.
#[must_use]
pub fn hex(text: &str) -> Option<Rgb> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
    let part = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    digits.chars().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
    Some((part(0)?, part(2)?, part(4)?))
}

/// The levels of the cube of 256 colours.
const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The number among 256 that comes nearest: of the cube or of the greys, never of the sixteen, which users change.
#[must_use]
pub fn nearest_256(rgb: Rgb) -> u8 {
    let level = |value: u8| {
        let at = LEVELS.iter().enumerate().min_by_key(|(_, level)| level.abs_diff(value));
        at.map_or((0, 0), |(at, level)| (u8::try_from(at).unwrap_or(0), *level))
    };
    let ((r, red), (g, green), (b, blue)) = (level(rgb.0), level(rgb.1), level(rgb.2));
    let mean = (u16::from(rgb.0) + u16::from(rgb.1) + u16::from(rgb.2)) / 3;
    let step = u8::try_from((mean.saturating_sub(3) / 10).min(23)).unwrap_or(23);
    let grey = 8 + 10 * step;
    if distance(rgb, (grey, grey, grey)) < distance(rgb, (red, green, blue)) { 232 + step } else { 16 + 36 * r + 6 * g + b }
}

/// What xterm draws for a number among 256.
#[must_use]
pub fn of_index(number: u8) -> Rgb {
    let level = |at: u8| LEVELS.get(usize::from(at)).copied().unwrap_or(0);
    match number {
        0..=15 => SIXTEEN.get(usize::from(number)).map_or((0, 0, 0), |(.., rgb)| *rgb),
        16..=231 => (level((number - 16) / 36), level((number - 16) / 6 % 6), level((number - 16) % 6)),
        232..=255 => (8 + 10 * (number - 232), 8 + 10 * (number - 232), 8 + 10 * (number - 232)),
    }
}

/// The one of the sixteen that comes nearest to the eye.
#[must_use]
pub fn nearest_16(rgb: Rgb) -> Color {
    let near = SIXTEEN.iter().min_by(|(.., one), (.., other)| distance(rgb, *one).total_cmp(&distance(rgb, *other)));
    near.map_or(Color::Reset, |(_, colour, _)| *colour)
}

/// How far apart two colours are to the eye: CIE 1976 ΔE; about 2 is just seen, 100 is black and white.
#[must_use]
pub fn distance(one: Rgb, other: Rgb) -> f64 {
    let (a, b) = (lab(one), lab(other));
    ((a.0 - b.0).powi(2) + (a.1 - b.1).powi(2) + (a.2 - b.2).powi(2)).sqrt()
}

/// sRGB's transfer function undone, 0 to 1.
#[must_use]
pub fn linear(part: u8) -> f64 {
    let value = f64::from(part) / 255.0;
    if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

/// Relative luminance as WCAG 2 defines it, 0 to 1.
#[must_use]
pub fn luminance((r, g, b): Rgb) -> f64 {
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

/// Contrast as WCAG 2 defines it, 1 to 21: what the built-in themes are held to.
#[cfg(test)]
#[must_use]
pub fn contrast(one: Rgb, other: Rgb) -> f64 {
    let (a, b) = (luminance(one), luminance(other));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// CIE L*a*b* under D65.
fn lab((red, green, blue): Rgb) -> (f64, f64, f64) {
    let (red, green, blue) = (linear(red), linear(green), linear(blue));
    let scaled = |part: f64| if part > 0.008_856 { part.cbrt() } else { 7.787 * part + 16.0 / 116.0 };
    let x = scaled((0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.950_47);
    let y = scaled(0.2126 * red + 0.7152 * green + 0.0722 * blue);
    let z = scaled((0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.088_83);
    (116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(pairs: &'static [(&str, &str)]) -> Colour {
        Colour::detect(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_string()))
    }

    #[test]
    fn the_environment_decides_the_depth() {
        assert_eq!(detect(&[("NO_COLOR", "1"), ("COLORTERM", "truecolor")]), Colour::None);
        assert_eq!(detect(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]), Colour::None);
        assert_eq!(detect(&[("NO_COLOR", ""), ("COLORTERM", "truecolor")]), Colour::True);
        assert_eq!(detect(&[("TERM", "dumb")]), Colour::None);
        assert_eq!(detect(&[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")]), Colour::Ansi16);
        assert_eq!(detect(&[("TERM", "dumb"), ("CLICOLOR_FORCE", "0")]), Colour::None);
        assert_eq!(detect(&[("TERM", "linux"), ("COLORTERM", "truecolor")]), Colour::Ansi16);
        assert_eq!(detect(&[("TERM", "xterm")]), Colour::Ansi16);
        assert_eq!(detect(&[("TERM", "screen-256color")]), Colour::Ansi256);
        assert_eq!(detect(&[("TERM", "xterm-256color"), ("COLORTERM", "24bit")]), Colour::True);
        assert_eq!(detect(&[("TERM", "xterm-kitty")]), Colour::True);
        assert_eq!(detect(&[("TERM", "xterm-direct")]), Colour::True);
        assert_eq!(detect(&[]), Colour::Ansi16);
    }

    #[test]
    fn colours_are_written_in_hexadecimal() {
        assert_eq!(hex("#0a10Ff"), Some((10, 16, 255)));
        for wrong in ["0a10ff", "#0a10f", "#0a10fff", "#0a10fg", "#+a10ff", "#ää", ""] {
            assert_eq!(hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_nearest_of_256_is_itself_where_it_is_among_them() {
        for number in 16..=255 {
            assert_eq!(of_index(nearest_256(of_index(number))), of_index(number), "{number}");
        }
        assert_eq!((nearest_256((255, 135, 0)), nearest_256((130, 128, 129))), (208, 244));
    }

    #[test]
    fn the_nearest_of_sixteen_is_itself_and_keeps_the_hue() {
        for (name, colour, rgb) in SIXTEEN {
            assert_eq!(nearest_16(rgb), colour, "{name}");
            assert_eq!(named(name), Some(colour));
        }
        assert_eq!(nearest_16((220, 40, 30)), Color::Red);
        assert_eq!(nearest_16((20, 180, 40)), Color::Green);
        assert_eq!(nearest_16((120, 120, 125)), Color::DarkGray);
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        let of = |one, other| (contrast(one, other) * 100.0).round() / 100.0;
        assert!((of((0, 0, 0), (255, 255, 255)) - 21.0).abs() < 0.01);
        // The grey that the guidelines' authors give as just enough on white.
        assert!((of((118, 118, 118), (255, 255, 255)) - 4.54).abs() < 0.01);
        assert!((distance((0, 0, 0), (255, 255, 255)) - 100.0).abs() < 0.1);
    }
}
