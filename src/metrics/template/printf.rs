//! Go's `printf` for the verbs that queries use: %s %d %q %v %f, a precision for %f, and %%.

use super::LONGEST;
use super::evaluate::{Refusal, Value, refuse};
use super::short;

/// Digits behind the point of `%f` where no precision is given.
const PRECISION: usize = 6;
/// No float of a query has more digits behind its point.
const LARGEST_PRECISION: usize = 20;

/// `values` written by the format that is the first of them. What Go would write as `%!s(MISSING)` is refused.
///
/// # Errors
/// What is wrong, without the function's name.
pub fn printf(values: &[Value]) -> Result<Value, Refusal> {
    let [Value::Text(format), values @ ..] = values else { return refuse("needs a format: a text, as in `printf \"%s\" name`") };
    let mut values = values.iter();
    let mut out = String::new();
    let mut rest = format.as_str();
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let (precision, verb, behind) = directive(after)?;
        rest = behind;
        if verb == '%' {
            out.push('%');
        } else {
            let Some(value) = values.next() else { return refuse(format!("has no value for `%{verb}`; add one")) };
            out.push_str(&written(verb, precision, value)?);
        }
        if out.len() > LONGEST {
            return Err(Refusal::TooLong);
        }
    }
    match values.len() {
        0 if out.len() + rest.len() <= LONGEST => Ok(Value::Text(out + rest)),
        0 => Err(Refusal::TooLong),
        1 => refuse("has 1 value more than its format uses; remove it"),
        n => refuse(format!("has {n} values more than its format uses; remove them")),
    }
}

/// The precision and the verb at the front of `text`, and what is behind them.
fn directive(text: &str) -> Result<(Option<usize>, char, &str), Refusal> {
    let (digits, behind) = match text.strip_prefix('.') {
        Some(precise) => {
            let end = precise.find(|c: char| !c.is_ascii_digit()).unwrap_or(precise.len());
            let (digits, behind) = precise.split_at(end);
            (Some(digits), behind)
        }
        None => (None, text),
    };
    let mut chars = behind.chars();
    let Some(verb) = chars.next() else { return refuse("has a `%` at its end; write `%%` for the sign") };
    if !"sdqvf%".contains(verb) {
        return refuse(format!("does not know `%{}`; use %s, %d, %q, %v, %f or %%", short(&verb.to_string())));
    }
    let precision = match digits {
        None => None,
        // Go reads `%.f` as `%.0f`.
        Some("") if verb == 'f' => Some(0),
        Some(digits) if verb == 'f' => match digits.parse() {
            Ok(precision) if precision <= LARGEST_PRECISION => Some(precision),
            _ => return refuse(format!("writes at most {LARGEST_PRECISION} digits behind the point")),
        },
        Some(_) => return refuse(format!("takes a precision for `%f` only, not for `%{verb}`")),
    };
    Ok((precision, verb, chars.as_str()))
}

fn written(verb: char, precision: Option<usize>, value: &Value) -> Result<String, Refusal> {
    let written = match (verb, value) {
        ('v', value) => value.written(),
        ('s', Value::Text(text)) => Some(text.clone()),
        ('q', Value::Text(text)) => Some(quoted(text)),
        ('d', Value::Integer(integer)) => Some(integer.to_string()),
        ('f', Value::Float(float)) => Some(format!("{float:.0$}", precision.unwrap_or(PRECISION))),
        _ => None,
    };
    written.ok_or_else(|| Refusal::Call(format!("cannot write {} as `%{verb}`", value.kind())))
}

/// As Go's `strconv.Quote`.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str(r"\a"),
            '\u{8}' => out.push_str(r"\b"),
            '\u{c}' => out.push_str(r"\f"),
            '\n' => out.push_str(r"\n"),
            '\r' => out.push_str(r"\r"),
            '\t' => out.push_str(r"\t"),
            '\u{b}' => out.push_str(r"\v"),
            c if c.is_ascii_control() => out.push_str(&format!(r"\x{:02x}", u32::from(c))),
            c if c.is_ascii() => out.push(c),
            // Rust and Go agree on what can be printed; a mark that combines needs a letter in front to be left alone.
            c if format!("a{c}").escape_debug().count() == 2 => out.push(c),
            c if u32::from(c) <= 0xffff => out.push_str(&format!(r"\u{:04x}", u32::from(c))),
            c => out.push_str(&format!(r"\U{:08x}", u32::from(c))),
        }
    }
    out + "\""
}

/// A float as Go's `%v` writes it: the shortest text that reads back, with an exponent below -4 and from 6 on.
pub fn number(float: f64) -> String {
    let scientific = format!("{float:e}");
    let parts = scientific.split_once('e').and_then(|(mantissa, exponent)| Some((mantissa, exponent.parse::<i32>().ok()?)));
    match parts {
        Some((mantissa, exponent)) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        }
        _ => float.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_as_go_writes_them() {
        for (float, expected) in [
            (0.0, "0"),
            (-1.5, "-1.5"),
            (100_000.0, "100000"),
            (123_456.789, "123456.789"),
            (1_234_567.0, "1.234567e+06"),
            (1e20, "1e+20"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1.25e-10, "1.25e-10"),
        ] {
            assert_eq!(number(float), expected);
        }
    }

    #[test]
    fn quotes_escape_what_would_end_them() {
        assert_eq!(quoted("a\"b\\c\n\t\u{1}\u{7f}é\u{200b}\u{301}😀\u{a0}"), "\"a\\\"b\\\\c\\n\\t\\x01\\x7fé\\u200b\u{301}😀\\u00a0\"");
    }
}
