//! What a plain YAML scalar means: to go-yaml v3, which reads the documents, and to go-yaml v2,
//! which reads kustomization files and decides on the quotes of the output.
//!
//! Source of the rules: <https://yaml.org/type/> and observation of kustomize 5.8.1.

/// The two dialects that kustomize mixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// YAML 1.1 words (`yes`, `on`, `y`): kustomization files and the printer.
    V2,
    /// YAML 1.2 words: documents.
    V3,
}

/// A plain scalar with its meaning.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    /// The RFC 3339 form that Go prints.
    Timestamp(String),
    Merge,
    Text,
}

/// The meaning of `text` as a plain scalar.
pub(super) fn resolve(text: &str, dialect: Dialect) -> Resolved {
    let Some(first) = text.chars().next() else {
        return Resolved::Null;
    };
    if let Some(word) = word(text, dialect) {
        return word;
    }
    match first {
        '.' => separated(text).and_then(|plain| decimal(&plain)).map_or(Resolved::Text, Resolved::Float),
        '+' | '-' | '0'..='9' => number(text),
        _ => Resolved::Text,
    }
}

fn word(text: &str, dialect: Dialect) -> Option<Resolved> {
    Some(match text {
        "~" | "null" | "Null" | "NULL" => Resolved::Null,
        "true" | "True" | "TRUE" => Resolved::Bool(true),
        "false" | "False" | "FALSE" => Resolved::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Resolved::Float(f64::NEG_INFINITY),
        "<<" => Resolved::Merge,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if dialect == Dialect::V2 => Resolved::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if dialect == Dialect::V2 => Resolved::Bool(false),
        _ => return None,
    })
}

fn number(text: &str) -> Resolved {
    if let Some(time) = timestamp(text) {
        return Resolved::Timestamp(time);
    }
    let plain = text.replace('_', "");
    if let Some(whole) = integer(&plain) {
        return whole;
    }
    decimal(&plain).map_or(Resolved::Text, Resolved::Float)
}

/// Without underscores, which after a leading point stand only between digits.
fn separated(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let between = |at: usize| digit(at.checked_sub(1)) && digit(Some(at + 1));
    let placed = (0..bytes.len()).all(|at| bytes[at] != b'_' || between(at));
    placed.then(|| text.replace('_', ""))
}

fn integer(plain: &str) -> Option<Resolved> {
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, plain),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if body.is_empty() || !body.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let size = u128::from_str_radix(body, radix).ok()?;
    if negative {
        let whole = i64::try_from(-i128::try_from(size).ok()?).ok()?;
        return Some(Resolved::Integer(whole));
    }
    if let Ok(whole) = i64::try_from(size) {
        return Some(Resolved::Integer(whole));
    }
    // A sign keeps Go from the unsigned reading.
    if plain.starts_with('+') {
        return None;
    }
    u64::try_from(size).ok().map(Resolved::Unsigned)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?` within the range of a float.
fn decimal(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    if let Some(power) = exponent {
        let power = power.strip_prefix(['-', '+']).unwrap_or(power);
        if power.is_empty() || !digits(power) {
            return None;
        }
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// YAML 1.1's sexagesimal floats, which the printer quotes for old readers.
pub(super) fn is_sexagesimal(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = rest.split(':');
    let Some(head) = parts.next() else {
        return false;
    };
    if !head.starts_with(|c: char| c.is_ascii_digit()) || !head.chars().all(|c| c.is_ascii_digit() || c == '_') {
        return false;
    }
    let tail: Vec<&str> = parts.collect();
    let Some((last, middle)) = tail.split_last() else {
        return false;
    };
    let sixty = |part: &str| match part.as_bytes() {
        [unit] => unit.is_ascii_digit(),
        [ten, unit] => (b'0'..=b'5').contains(ten) && unit.is_ascii_digit(),
        _ => false,
    };
    let (whole, fraction) = last.split_once('.').unwrap_or((last, ""));
    middle.iter().all(|part| sixty(part)) && sixty(whole) && fraction.chars().all(|c| c.is_ascii_digit() || c == '_')
}

/// The RFC 3339 form of a timestamp as Go's parser takes it.
pub(super) fn timestamp(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if bytes.len() < 5 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return None;
    }
    let year: u32 = text.get(..4)?.parse().ok()?;
    let (month, rest) = one_or_two(text.get(5..)?)?;
    let (day, rest) = one_or_two(rest.strip_prefix('-')?)?;
    if !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
        return None;
    }
    if rest.is_empty() {
        return Some(format!("{year:04}-{month:02}-{day:02}T00:00:00Z"));
    }
    let zoned = rest.starts_with(['T', 't']);
    if !zoned && !rest.starts_with(' ') {
        return None;
    }
    let (hour, rest) = one_or_two(&rest[1..])?;
    let (minute, rest) = one_or_two(rest.strip_prefix(':')?)?;
    let (second, rest) = one_or_two(rest.strip_prefix(':')?)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, rest) = fraction(rest);
    let zone = if zoned {
        zone(rest)?
    } else if rest.is_empty() {
        "Z".to_owned()
    } else {
        return None;
    };
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{dot}{fraction}{zone}"))
}

fn one_or_two(text: &str) -> Option<(u32, &str)> {
    let count = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    let value = text.get(..count)?.parse().ok()?;
    Some((value, &text[count..]))
}

/// The digits after `.` or `,`, cut to nanoseconds.
fn fraction(text: &str) -> (String, &str) {
    let Some(rest) = text.strip_prefix(['.', ',']) else {
        return (String::new(), text);
    };
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 {
        return (String::new(), text);
    }
    (rest[..count.min(9)].to_owned(), &rest[count..])
}

fn zone(text: &str) -> Option<String> {
    if text == "Z" {
        return Some("Z".to_owned());
    }
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 6
        && matches!(bytes[0], b'+' | b'-')
        && bytes[3] == b':'
        && [1, 2, 4, 5].iter().all(|&at| bytes[at].is_ascii_digit());
    if !shaped {
        return None;
    }
    let hours: u32 = text.get(1..3)?.parse().ok()?;
    let minutes: u32 = text.get(4..6)?.parse().ok()?;
    if hours > 24 || minutes > 60 {
        return None;
    }
    if hours == 0 && minutes == 0 {
        return Some("Z".to_owned());
    }
    Some(text.to_owned())
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_differ_between_the_dialects() {
        assert_eq!(resolve("yes", Dialect::V3), Resolved::Text);
        assert_eq!(resolve("yes", Dialect::V2), Resolved::Bool(true));
        assert_eq!(resolve("nULL", Dialect::V2), Resolved::Text);
        assert_eq!(resolve("", Dialect::V3), Resolved::Null);
    }

    #[test]
    fn numbers_follow_go() {
        assert_eq!(resolve("017", Dialect::V3), Resolved::Integer(15));
        assert_eq!(resolve("0x1F", Dialect::V3), Resolved::Integer(31));
        assert_eq!(resolve("08", Dialect::V3), Resolved::Float(8.0));
        assert_eq!(resolve("1_000", Dialect::V3), Resolved::Integer(1000));
        assert_eq!(resolve("1e999", Dialect::V3), Resolved::Text);
        assert_eq!(resolve("18446744073709551615", Dialect::V3), Resolved::Unsigned(u64::MAX));
        assert_eq!(resolve("18446744073709551616", Dialect::V3), Resolved::Float(18_446_744_073_709_551_616.0));
        assert_eq!(resolve("0.1.2", Dialect::V3), Resolved::Text);
        assert_eq!(resolve(".3_5", Dialect::V3), Resolved::Float(0.35));
        assert_eq!(resolve("._5", Dialect::V3), Resolved::Text);
    }

    #[test]
    fn timestamps_are_normalised() {
        assert_eq!(timestamp("2001-1-1").as_deref(), Some("2001-01-01T00:00:00Z"));
        assert_eq!(timestamp("2001-12-14t21:59:43.10-05:00").as_deref(), Some("2001-12-14T21:59:43.1-05:00"));
        assert_eq!(timestamp("2001-13-01"), None);
        assert_eq!(timestamp("2001-1-1T"), None);
    }

    #[test]
    fn sexagesimal_numbers_are_seen() {
        assert!(is_sexagesimal("12:30") && is_sexagesimal("1:1") && is_sexagesimal("12:30:45.5"));
        assert!(!is_sexagesimal("8080:80") && !is_sexagesimal("12") && !is_sexagesimal("a:1"));
    }
}
