//! The printer: the bytes of kustomize, which prints through JSON with go-yaml v2.
//!
//! Source of the rules: the emitter of libyaml (<https://yaml.org/spec/1.1/>), 80 columns, and
//! observation of kustomize 5.8.1.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::scalars::{Dialect, Resolved, is_sexagesimal, resolve};

const WIDTH: usize = 80;
/// The longest key that stands on the line of its value.
const SIMPLE_KEY: usize = 128;

/// One document as kustomize prints it, with its final line end.
#[must_use]
pub fn to_yaml_value(value: &Value) -> String {
    let mut printer = Printer::default();
    printer.node(value, 0, Place::Root);
    printer.newline();
    printer.out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    /// After `key:`.
    Value,
    /// After `- `.
    Item,
}

#[derive(Default)]
struct Printer {
    out: String,
    column: usize,
}

impl Printer {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn newline(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    fn indent(&mut self, to: usize) {
        self.newline();
        self.out.extend(std::iter::repeat_n(' ', to));
        self.column = to;
    }

    /// A node whose own lines begin at column `at`.
    fn node(&mut self, value: &Value, at: usize, place: Place) {
        match value {
            Value::Object(map) if map.is_empty() => self.flat("{}", place),
            Value::Array(items) if items.is_empty() => self.flat("[]", place),
            Value::Object(map) => {
                let mut keys: Vec<&String> = map.keys().collect();
                sort_keys(&mut keys);
                for (index, key) in keys.into_iter().enumerate() {
                    self.start(index, at, place);
                    if let Some(value) = map.get(key) {
                        self.entry(key, value, at);
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.start(index, at, place);
                    self.put('-');
                    self.node(item, at + 2, Place::Item);
                }
            }
            scalar => self.scalar(scalar, at, place),
        }
    }

    /// Moves to where the next entry of a block collection begins.
    fn start(&mut self, index: usize, at: usize, place: Place) {
        match place {
            Place::Root if index == 0 => {}
            Place::Item if index == 0 => self.put(' '),
            _ => self.indent(at),
        }
    }

    fn flat(&mut self, text: &str, place: Place) {
        if place != Place::Root {
            self.put(' ');
        }
        self.push(text);
    }

    fn entry(&mut self, key: &str, value: &Value, at: usize) {
        if key.len() > SIMPLE_KEY || key.contains(['\n', '\r', '\u{2028}', '\u{2029}']) {
            self.put('?');
            self.scalar(&Value::String(key.to_owned()), at + 2, Place::Item);
            self.indent(at);
            self.put(':');
            // A collection after `:` stands like one after `-`.
            self.node(value, at + 2, Place::Item);
            return;
        }
        self.string(key, at + 2, true);
        self.put(':');
        let inner = match value {
            Value::Array(_) => at,
            _ => at + 2,
        };
        self.node(value, inner, Place::Value);
    }

    fn scalar(&mut self, value: &Value, at: usize, place: Place) {
        if place != Place::Root {
            self.put(' ');
        }
        match value {
            Value::Null => self.push("null"),
            Value::Bool(flag) => self.push(if *flag { "true" } else { "false" }),
            Value::Number(number) => self.push(&number_text(number)),
            Value::String(text) => self.string(text, at, false),
            Value::Array(_) | Value::Object(_) => {}
        }
    }

    fn string(&mut self, text: &str, at: usize, key: bool) {
        let shape = Shape::of(text);
        if text.contains('\n') {
            if shape.block && !key {
                return self.literal(text, at);
            }
            return self.double_quoted(text, at, !key);
        }
        if resolve(text, Dialect::V2) != Resolved::Text && text != "<<" || is_sexagesimal(text) {
            self.double_quoted(text, at, !key);
        } else if shape.plain {
            self.plain(text, at, !key);
        } else if shape.single && !(key && shape.multiline) {
            self.single_quoted(text, at, !key);
        } else {
            self.double_quoted(text, at, !key);
        }
    }

    fn plain(&mut self, text: &str, at: usize, fold: bool) {
        let chars: Vec<char> = text.chars().collect();
        let mut spaces = false;
        for (index, &c) in chars.iter().enumerate() {
            if c == ' ' {
                if fold && !spaces && self.column > WIDTH && chars.get(index + 1) != Some(&' ') {
                    self.indent(at);
                } else {
                    self.put(c);
                }
                spaces = true;
            } else {
                self.put(c);
                spaces = false;
            }
        }
    }

    fn single_quoted(&mut self, text: &str, at: usize, fold: bool) {
        self.put('\'');
        let chars: Vec<char> = text.chars().collect();
        let mut spaces = false;
        let mut breaks = false;
        for (index, &c) in chars.iter().enumerate() {
            if c == ' ' {
                let inner = index > 0 && index + 1 < chars.len() && chars[index + 1] != ' ';
                if fold && !spaces && self.column > WIDTH && inner {
                    self.indent(at);
                } else {
                    self.put(c);
                }
                spaces = true;
            } else if is_break(c) {
                self.out.push(c);
                self.column = 0;
                breaks = true;
            } else {
                if breaks {
                    self.out.extend(std::iter::repeat_n(' ', at));
                    self.column = at;
                }
                if c == '\'' {
                    self.put('\'');
                }
                self.put(c);
                spaces = false;
                breaks = false;
            }
        }
        self.put('\'');
    }

    fn double_quoted(&mut self, text: &str, at: usize, fold: bool) {
        self.put('"');
        let chars: Vec<char> = text.chars().collect();
        // A byte order mark at the beginning makes the emitter take every character for one.
        let marked = text.starts_with('\u{feff}');
        let mut spaces = false;
        for (index, &c) in chars.iter().enumerate() {
            if marked || !is_printable(c) || is_break(c) || c == '"' || c == '\\' {
                self.escape(c);
                spaces = false;
            } else if c == ' ' {
                let inner = index > 0 && index + 1 < chars.len();
                if fold && !spaces && self.column > WIDTH && inner {
                    self.indent(at);
                    if chars[index + 1] == ' ' {
                        self.put('\\');
                    }
                } else {
                    self.put(c);
                }
                spaces = true;
            } else {
                self.put(c);
                spaces = false;
            }
        }
        self.put('"');
    }

    fn escape(&mut self, c: char) {
        let short = match c {
            '\0' => '0',
            '\u{7}' => 'a',
            '\u{8}' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\u{b}' => 'v',
            '\u{c}' => 'f',
            '\r' => 'r',
            '\u{1b}' => 'e',
            '"' => '"',
            '\\' => '\\',
            '\u{85}' => 'N',
            '\u{a0}' => '_',
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            other => {
                let code = u32::from(other);
                let text = match code {
                    0..=0xff => format!("\\x{code:02X}"),
                    0x100..=0xffff => format!("\\u{code:04X}"),
                    _ => format!("\\U{code:08X}"),
                };
                return self.push(&text);
            }
        };
        self.put('\\');
        self.put(short);
    }

    fn literal(&mut self, text: &str, at: usize) {
        self.put('|');
        if text.starts_with(' ') || text.starts_with(is_break) {
            self.put('2');
        }
        let mut back = text.chars().rev();
        match (back.next(), back.next()) {
            (Some(last), _) if !is_break(last) => self.put('-'),
            (Some(_), None) => self.put('+'),
            (Some(_), Some(before)) if is_break(before) => self.put('+'),
            _ => {}
        }
        self.newline();
        let mut breaks = true;
        for c in text.chars() {
            if is_break(c) {
                self.out.push(c);
                self.column = 0;
                breaks = true;
            } else {
                if breaks {
                    self.out.extend(std::iter::repeat_n(' ', at));
                    self.column = at;
                }
                self.put(c);
                breaks = false;
            }
        }
        // The block has written its own last line end; the next entry must not write another.
        if breaks {
            self.out.pop();
        }
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What the emitter writes as it is; nothing beyond the basic plane.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && c != '\u{feff}'
}

/// Which styles a string allows.
#[allow(clippy::struct_excessive_bools, reason = "each style is allowed or not")]
struct Shape {
    plain: bool,
    single: bool,
    block: bool,
    multiline: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let last = chars.len().saturating_sub(1);
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut line_breaks) = (false, false);
        let (mut edge, mut trailing_space) = (false, false);
        let (mut break_space, mut space_break) = (false, false);
        let (mut previous_space, mut previous_break) = (false, false);
        let mut after_blank = true;
        for (index, &c) in chars.iter().enumerate() {
            let before_blank = chars.get(index + 1).is_none_or(|next| matches!(next, ' ' | '\t') || is_break(*next));
            indicators |= match c {
                '#' if index > 0 => after_blank,
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => index == 0,
                '?' | '-' => index == 0 && before_blank,
                ':' => before_blank,
                _ => false,
            };
            special |= !is_printable(c);
            if c == ' ' {
                edge |= index == 0 || index == last;
                trailing_space |= index == last;
                break_space |= previous_break;
                (previous_space, previous_break) = (true, false);
            } else if is_break(c) {
                line_breaks = true;
                edge |= index == 0 || index == last;
                space_break |= previous_space;
                (previous_space, previous_break) = (false, true);
            } else {
                (previous_space, previous_break) = (false, false);
            }
            after_blank = matches!(c, ' ' | '\t') || is_break(c);
        }
        let unsafe_text = space_break || special;
        Self {
            plain: !(chars.is_empty() || edge || break_space || unsafe_text || line_breaks || indicators),
            single: !(break_space || unsafe_text),
            block: !(chars.is_empty() || trailing_space || unsafe_text),
            multiline: line_breaks,
        }
    }
}

/// A number as Go's `%g` prints it.
fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => go_float(float),
        _ => number.to_string(),
    }
}

fn go_float(float: f64) -> String {
    let (mantissa, power) = shortest(float);
    if (-4..6).contains(&power) {
        return format!("{float}");
    }
    let sign = if power < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", power.abs())
}

/// The fewest digits that read back as `float`, and the power of ten. Between two such numbers at
/// the same distance Go takes the even one.
pub(super) fn shortest(float: f64) -> (String, i32) {
    let parts = |text: &str| {
        let (mantissa, power) = text.split_once('e').unwrap_or((text, "0"));
        (mantissa.to_owned(), power.parse().unwrap_or(0))
    };
    let text = format!("{float:e}");
    let (mantissa, power) = parts(&text);
    let places = mantissa.split_once('.').map_or(0, |(_, places)| places.len());
    let even = format!("{float:.places$e}");
    if even.parse() == Ok(float) { parts(&even) } else { (mantissa, power) }
}

/// By insertion: [`natural`] can run in circles (`a1b`, `a2`, `a10`), which the library's sort may
/// answer with a panic.
fn sort_keys(keys: &mut [&String]) {
    for end in 1..keys.len() {
        let mut at = end;
        while at > 0 && natural(keys[at], keys[at - 1]) == Ordering::Less {
            keys.swap(at, at - 1);
            at -= 1;
        }
    }
}

/// Go-yaml's order of keys: runs of digits by value, letters after everything else.
fn natural(a: &str, b: &str) -> Ordering {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    for index in 0..a.len().min(b.len()) {
        let (left, right) = (a[index], b[index]);
        if left == right {
            continue;
        }
        match (left.is_alphabetic(), right.is_alphabetic()) {
            (true, true) => return left.cmp(&right),
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) => {}
        }
        // A zero after a digit other than zero belongs to a longer number.
        let inside = (left == '0' || right == '0') && a[..index].iter().rev().take_while(|c| c.is_numeric()).any(|&c| c != '0');
        let (left_value, left_end) = digits(&a, index, inside);
        let (right_value, right_end) = digits(&b, index, inside);
        return left_value.cmp(&right_value).then(left_end.cmp(&right_end)).then(left.cmp(&right));
    }
    a.len().cmp(&b.len())
}

fn digits(chars: &[char], from: usize, inside: bool) -> (i64, usize) {
    let mut value = i64::from(inside);
    let mut at = from;
    while let Some(c) = chars.get(at).filter(|c| c.is_numeric()) {
        let digit = i64::from(u32::from(*c)) - i64::from(u32::from('0'));
        value = value.wrapping_mul(10).wrapping_add(digit);
        at += 1;
    }
    (value, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sequences_stand_under_their_key_and_maps_are_sorted() {
        let value = json!({"b": [1, {"x": [[1, [2]], {}]}], "a": {"z": [], "y": null}});
        assert_eq!(to_yaml_value(&value), "a:\n  \"y\": null\n  z: []\nb:\n- 1\n- x:\n  - - 1\n    - - 2\n  - {}\n");
    }

    #[test]
    fn strings_are_quoted_only_where_they_must_be() {
        let value = json!(["yes", "12:30", "8080:80", "", " a", "a: b", "it's", "'a", "\ta", "é", "😀", "1.", "- a", "-a"]);
        assert_eq!(
            to_yaml_value(&value),
            "- \"yes\"\n- \"12:30\"\n- 8080:80\n- \"\"\n- ' a'\n- 'a: b'\n- it's\n- '''a'\n- \"\\ta\"\n- é\n- \"\\U0001F600\"\n- \"1.\"\n- '- a'\n- -a\n"
        );
    }

    #[test]
    fn blocks_keep_their_last_lines() {
        let value = json!({"a": "x\n", "b": "x\ny", "c": "x\n\n", "d": " x\n", "e": "\n", "f": "x \ny"});
        assert_eq!(to_yaml_value(&value), "a: |\n  x\nb: |-\n  x\n  y\nc: |+\n  x\n\nd: |2\n   x\ne: |2+\n\nf: \"x \\ny\"\n");
    }

    #[test]
    fn floats_follow_go() {
        for (float, text) in
            [(1_234_567.5, "1.2345675e+06"), (0.00001, "1e-05"), (0.0001, "0.0001"), (1.5, "1.5"), (1e21, "1e+21"), (123_456.5, "123456.5")]
        {
            assert_eq!(go_float(float), text);
        }
        assert_eq!(go_float(621_365_703_713_503.3), "6.213657037135032e+14");
    }

    #[test]
    fn keys_are_ordered_as_people_count() {
        let mut keys = ["a10", "a2", "a1_", "ab", "a-b", "10", "9", "A", "-1", "a01", "a1", "~"];
        keys.sort_by(|a, b| natural(a, b));
        assert_eq!(keys, ["-1", "~", "9", "10", "A", "a-b", "a1", "a1_", "a01", "a2", "a10", "ab"]);
    }
}
