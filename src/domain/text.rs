//! Cleaning of text that comes from clusters, repositories and servers.
//!
//! Every such string passes here once, where it enters, so that nothing it holds can move the cursor,
//! set a title, write the clipboard or reorder what stands beside it (the class of CVE-2021-25743).

use serde_json::Value;
use unicode_width::UnicodeWidthChar as _;

/// Characters kept of one cleaned string; the longest Kubernetes event note is 1 KiB.
pub const LONGEST: usize = 2_048;

/// `text` without control, format and bidirectional characters, on one line, at most [`LONGEST`]
/// characters long. Line ends and tabs become single spaces; what is cut off is marked with `…`.
///
/// What is left is as wide as its characters are one by one: terminals agree on those, and not on emoji made of several.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST));
    read(text.chars(), &mut out);
    out
}

/// Every text in `value`, and every name of a field, as [`clean`] leaves it: for what comes from a file that anybody may
/// have written.
pub fn clean_all(value: &mut Value) {
    match value {
        Value::String(text) => *text = clean(text),
        Value::Array(items) => items.iter_mut().for_each(clean_all),
        Value::Object(fields) => {
            let odd: Vec<String> = fields.keys().filter(|name| clean(name) != **name).cloned().collect();
            for name in odd {
                if let Some(field) = fields.remove(&name) {
                    fields.insert(clean(&name), field);
                }
            }
            fields.values_mut().for_each(clean_all);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a line of JSON holds nothing that [`clean_all`] would change, short of long texts: in JSON a control character
/// can only be written with a backslash.
#[must_use]
pub fn is_plain(json: &str) -> bool {
    json.bytes().all(|byte| byte.is_ascii() && byte != 0x7f)
        && !json.as_bytes().windows(2).any(|pair| pair[0] == b'\\' && !matches!(pair[1], b'"' | b'\\' | b'/'))
}

/// Looks at no more than [`LONGEST`] characters, and one.
fn read(text: impl Iterator<Item = char>, out: &mut String) {
    let mut marks = 0_usize;
    for (count, c) in text.enumerate() {
        if count >= LONGEST {
            out.push('…');
            break;
        }
        match c {
            '\n' | '\r' | '\t' => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            // It stands between nothing: the marks round it are still one heap.
            c if c.is_control() || is_invisible(c) => continue,
            c if c.width() == Some(0) => {
                // Two marks on a letter are writing; a hundred of them are an attack on the row above.
                marks += 1;
                if marks <= 2 {
                    out.push(c);
                }
                continue;
            }
            c => out.push(c),
        }
        marks = 0;
    }
}

/// Controls of format and direction, fillers, variation selectors and tags, and what only colours the emoji before it.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{00AD}'
        | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{1F3FB}'..='\u{1F3FF}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_titles_and_bidi_are_gone() {
        assert_eq!(clean("a\u{1b}[2Jb\u{1b}]0;title\u{7}c"), "a[2Jb]0;titlec");
        assert_eq!(clean("x\u{202e}y\u{9b}z\u{200b}"), "xyz");
        assert_eq!(clean("one\r\ntwo\tthree"), "one two three");
    }

    #[test]
    fn whatever_is_in_a_file_is_cleaned_and_what_is_plain_is_known() {
        let mut value = serde_json::json!({"a\u{1b}[2J": ["x\u{202e}y", {"b": "one\ntwo"}], "n": 1, "ok": "5 < 7"});
        assert!(!is_plain(&value.to_string()));
        clean_all(&mut value);
        assert_eq!(value, serde_json::json!({"a[2J": ["xy", {"b": "one two"}], "n": 1, "ok": "5 < 7"}));
        assert!(is_plain(&value.to_string()) && is_plain(r#"{"a": "a \"quoted\" word"}"#));
        for odd in [r#"{"a": "\u001b]0;"}"#, r#"{"a": "\n"}"#, "{\"a\": \"\u{7f}\"}", "{\"a\": \"\u{202e}\"}"] {
            assert!(!is_plain(odd), "{odd}");
        }
    }

    #[test]
    fn bombs_are_cut() {
        assert_eq!(clean("e\u{301}\u{301}\u{301}\u{301}").chars().count(), 3);
        assert_eq!(clean("e\u{301}\u{200b}\u{301}\u{0}\u{301}\u{301}").chars().count(), 3, "whatever stands between them");
        assert_eq!(clean("ก\u{e47}\u{e47}\u{e47}\u{e47}").chars().count(), 3, "of any script");
        assert_eq!(clean(&"x".repeat(10_000_000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn no_more_is_read_than_is_kept() {
        for (c, kept) in [('x', LONGEST + 1), ('\u{301}', 3), ('\u{1b}', 1), ('\u{202e}', 1)] {
            let mut out = String::new();
            // It has no end: whoever reads it whole never comes back.
            read(std::iter::repeat(c), &mut out);
            assert_eq!(out.chars().count(), kept, "{c:?}");
        }
    }

    #[test]
    fn writing_stays_as_it_is() {
        for text in ["größe", "e\u{301}te\u{301}", "한국어", "हिन्दी", "ไม่ได้", "עִבְרִית", "v1.2.3 → v1.3.0", "🚀 out", "🇩🇪"]
        {
            assert_eq!(clean(text), text);
        }
    }
}
