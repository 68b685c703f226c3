//! What is drawn where only ASCII can be drawn, and where that is.

use ratatui::buffer::Buffer;

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
            cell.set_symbol(substitute(cell.symbol()));
        }
    }
}

/// The same for a text that is not part of a frame.
#[must_use]
pub fn text_to_ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c.to_string() } else { substitute(c.encode_utf8(&mut [0; 4])).to_string() }).collect()
}

fn substitute(symbol: &str) -> &'static str {
    ASCII.iter().find(|(glyph, _)| *glyph == symbol).map_or("?", |(_, plain)| plain)
}

/// Whether the environment says that only ASCII can be drawn: the console of Linux has few glyphs, and a locale
/// other than UTF-8 none.
pub fn is_wanted(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if set("TERM").is_some_and(|term| term == "linux") {
        return true;
    }
    // The first that is set decides, as in the C library; a shell without any of them is the C locale, but so are
    // containers and services of today whose terminal takes UTF-8.
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| set(name));
    locale.is_some_and(|locale| {
        let charset = locale.split_once('.').map_or("", |(_, charset)| charset).to_ascii_lowercase();
        !charset.starts_with("utf-8") && !charset.starts_with("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_substitute_is_one_ascii_column() {
        for (glyph, plain) in ASCII {
            assert!(plain.is_ascii() && plain.len() == 1, "{glyph}");
            assert_eq!(ratatui::text::Span::raw(glyph).width(), 1, "{glyph}");
        }
    }

    #[test]
    fn the_environment_decides_whether_glyphs_can_be_drawn() {
        let of = |pairs: &'static [(&str, &str)]| {
            is_wanted(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_string()))
        };
        assert!(!of(&[("TERM", "xterm"), ("LANG", "en_GB.UTF-8")]));
        assert!(!of(&[("LANG", "de_DE.utf8@euro")]));
        assert!(!of(&[]));
        assert!(of(&[("TERM", "linux"), ("LANG", "en_GB.UTF-8")]));
        assert!(of(&[("LANG", "C")]));
        assert!(of(&[("LANG", "POSIX")]));
        assert!(of(&[("LC_ALL", "de_DE.ISO-8859-1"), ("LANG", "de_DE.UTF-8")]));
        assert!(!of(&[("LC_ALL", ""), ("LC_CTYPE", "C.UTF-8"), ("LANG", "C")]));
    }
}
