//! Text that fits: widths are columns of the terminal, not bytes or characters.

use jiff::Timestamp;
use ratatui::style::Style;
use ratatui::text::Span;

/// Columns that `text` takes.
#[must_use]
pub fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// The start of `text`, at most `columns` wide, and how wide it is.
fn head(text: &str, columns: usize) -> (String, usize) {
    let (mut out, mut used) = (String::new(), 0);
    let span = Span::raw(text);
    for grapheme in span.styled_graphemes(Style::new()) {
        let wide = width(grapheme.symbol);
        if used + wide > columns {
            break;
        }
        out.push_str(grapheme.symbol);
        used += wide;
    }
    (out, used)
}

/// `text` in at most `columns`, the end cut off with `…`.
#[must_use]
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_string();
    }
    if columns == 0 {
        return String::new();
    }
    let (mut out, _) = head(text, columns - 1);
    out.push('…');
    out
}

/// `text` in at most `columns`, the middle cut out: names differ at their ends.
#[must_use]
pub fn cut_middle(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_string();
    }
    if columns < 5 {
        return cut(text, columns);
    }
    let (start, used) = head(text, (columns - 1) / 2);
    let reversed: Vec<String> = {
        let span = Span::raw(text);
        span.styled_graphemes(Style::new()).map(|grapheme| grapheme.symbol.to_string()).collect()
    };
    let (mut end, mut room) = (Vec::new(), columns - 1 - used);
    for symbol in reversed.iter().rev() {
        let wide = width(symbol);
        if wide > room {
            break;
        }
        room -= wide;
        end.push(symbol.as_str());
    }
    end.reverse();
    format!("{start}…{}", end.concat())
}

/// All of `text`, in pieces of at most `columns`.
#[must_use]
pub fn pieces(text: &str, columns: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut room = 0;
    let span = Span::raw(text);
    for grapheme in span.styled_graphemes(Style::new()) {
        let wide = width(grapheme.symbol);
        match out.last_mut() {
            Some(piece) if wide <= room => piece.push_str(grapheme.symbol),
            _ => {
                out.push(grapheme.symbol.into());
                room = columns;
            }
        }
        room = room.saturating_sub(wide);
    }
    out
}

/// `text` in exactly `columns`: cut or filled with spaces.
#[must_use]
pub fn fit(text: &str, columns: usize) -> String {
    let mut out = cut(text, columns);
    let missing = columns.saturating_sub(width(&out));
    out.extend(std::iter::repeat_n(' ', missing));
    out
}

/// `text` in exactly `columns`, at the right end of them.
#[must_use]
pub fn fit_right(text: &str, columns: usize) -> String {
    let out = cut(text, columns);
    let missing = columns.saturating_sub(width(&out));
    format!("{}{out}", " ".repeat(missing))
}

/// `text` broken between words into at most `rows` lines; the last one says `…` where more follows.
#[must_use]
pub fn wrap(text: &str, columns: usize, rows: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    if lines.len() > rows && rows > 0 {
        let rest = lines.split_off(rows - 1).join(" ");
        lines.push(rest);
    }
    lines.truncate(rows);
    lines.iter().map(|line| cut(line, columns)).collect()
}

/// Seconds from `then` to `now`; never negative, as clocks of clusters differ.
#[must_use]
pub fn seconds_between(then: Timestamp, now: Timestamp) -> i64 {
    now.as_second().saturating_sub(then.as_second()).max(0)
}

/// A length of time in its largest unit: `41s`, `8m`, `3h`, `2d`.
#[must_use]
pub fn span(seconds: i64) -> String {
    match seconds {
        ..0 => "0s".into(),
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long ago `then` was.
#[must_use]
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    span(seconds_between(then, now))
}

/// A countdown: `14:32`.
#[must_use]
pub fn countdown(seconds: i64) -> String {
    let seconds = seconds.max(0);
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// Time of day in UTC: `12:01Z`.
#[must_use]
pub fn clock(at: Timestamp) -> String {
    at.strftime("%H:%MZ").to_string()
}

/// Time of day in UTC with seconds: `12:01:07Z`.
#[must_use]
pub fn clock_with_seconds(at: Timestamp) -> String {
    at.strftime("%H:%M:%SZ").to_string()
}

/// The moment of data: the time of day, with the date where it is not of today.
#[must_use]
pub fn as_of(at: Timestamp, now: Timestamp) -> String {
    if seconds_between(at, now) < 72_000 { clock(at) } else { at.strftime("%m-%d %H:%MZ").to_string() }
}

/// A number with as many decimals as help: `99.2`, `41`, `0.03`.
#[must_use]
pub fn number(value: f64) -> String {
    let digits = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 1.0 {
        1
    } else {
        2
    };
    let out = format!("{value:.digits$}");
    match out.split_once('.') {
        Some((whole, fraction)) => {
            let fraction = fraction.trim_end_matches('0');
            if fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") }
        }
        None => out,
    }
}

/// The first characters of a commit, digest or hash.
#[must_use]
pub fn short(id: &str) -> String {
    if let Some(revision) = crate::domain::revision::Revision::parse(id) {
        return revision.short().to_owned();
    }
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    if id.chars().count() > 10 && id.chars().all(|c| c.is_ascii_alphanumeric()) { id.chars().take(7).collect() } else { id.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_count_columns_not_characters() {
        assert_eq!(cut("全角文字", 5), "全角…");
        assert_eq!(width(&fit("全角文字", 6)), 6);
        assert_eq!(fit("ab", 4), "ab  ");
        assert_eq!(fit_right("ab", 4), "  ab");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn names_keep_both_ends() {
        assert_eq!(cut_middle("payments-api-eu-west-3", 11), "payme…est-3");
        assert_eq!(cut_middle("short", 11), "short");
    }

    #[test]
    fn pieces_lose_nothing() {
        assert_eq!(pieces("全角文字ab", 5), ["全角", "文字a", "b"]);
        assert_eq!(pieces("", 5), Vec::<String>::new());
    }

    #[test]
    fn wrapping_marks_what_is_cut() {
        assert_eq!(wrap("one two three four", 7, 3), ["one two", "three", "four"]);
        assert_eq!(wrap("one two three four", 7, 2), ["one two", "three …"]);
    }

    #[test]
    fn numbers_and_spans_are_short() {
        assert_eq!([number(99.0), number(99.25), number(0.034), number(512.4)], ["99", "99.2", "0.03", "512"]);
        assert_eq!([span(41), span(600), span(10_000), span(200_000)], ["41s", "10m", "2h", "2d"]);
        assert_eq!(countdown(872), "14:32");
    }
}
