//! Cleaning of text that comes from clusters, repositories and servers.
//!
//! Every such string passes here once, where it enters, so that nothing it holds can move the cursor,
//! set a title, write the clipboard or reorder what stands beside it (the class of CVE-2021-25743).

/// Characters kept of one cleaned string; the longest Kubernetes event note is 1 KiB.
pub const LONGEST: usize = 2_048;

/// `text` without control, format and bidirectional characters, on one line, at most [`LONGEST`]
/// characters long. Line ends and tabs become single spaces; what is cut off is marked with `…`.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST));
    let mut marks = 0_usize;
    for (count, c) in text.chars().enumerate() {
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
            c if c.is_control() || is_invisible(c) => {}
            c if is_combining(c) => {
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
    out
}

const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{00AD}'
        | '\u{061C}' | '\u{180E}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}' | '\u{2028}' | '\u{2029}')
}

const fn is_combining(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036F}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}' | '\u{FE20}'..='\u{FE2F}')
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
    fn bombs_are_cut() {
        assert_eq!(clean("e\u{301}\u{301}\u{301}\u{301}").chars().count(), 3);
        assert_eq!(clean(&"x".repeat(10_000_000)).chars().count(), LONGEST + 1);
    }
}
