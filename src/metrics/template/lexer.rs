//! Tokens of a template: text between actions, and the words inside them.
//!
//! Trim markers and comments are gone after this, as in Go: `{{- ` eats the space before it, ` -}}` the space after.

use super::{Position, TemplateError, short};

/// A stretch of a template.
#[derive(Debug, PartialEq)]
pub enum Piece {
    Text(String),
    Action {
        /// Byte offset of its `{{`.
        at: usize,
        tokens: Vec<Token>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Byte offset in the template.
    pub at: usize,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `name`: a keyword, or a function.
    Word(String),
    /// `.name`
    Field(String),
    /// `$name`, without the sign.
    Variable(String),
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// `:=`
    Declare,
    /// `=`
    Assign,
    Pipe,
    Open,
    Close,
    /// Operands are told apart by it.
    Space,
}

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Cuts `text` into pieces.
///
/// # Errors
/// [`TemplateError::Syntax`].
pub fn lex(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut offset = 0;
    let mut trim = false;
    loop {
        let rest = text.get(offset..).unwrap_or_default();
        let open = rest.find("{{");
        let mut plain = rest.get(..open.unwrap_or(rest.len())).unwrap_or_default();
        if trim {
            plain = plain.trim_start_matches(SPACE);
        }
        let Some(open) = open else {
            push(&mut pieces, plain);
            return Ok(pieces);
        };
        let at = offset + open;
        let trims_before = rest.get(open + 2..).is_some_and(|r| r.starts_with('-') && r.get(1..).is_some_and(|r| r.starts_with(SPACE)));
        if trims_before {
            plain = plain.trim_end_matches(SPACE);
        }
        push(&mut pieces, plain);
        let inside = Lexer { text, action: at, offset: at + 2 + 2 * usize::from(trims_before) };
        let (tokens, end, trims_after) = inside.action()?;
        // A comment has no tokens and leaves no action behind.
        if let Some(tokens) = tokens {
            pieces.push(Piece::Action { at, tokens });
        }
        offset = end;
        trim = trims_after;
    }
}

fn push(pieces: &mut Vec<Piece>, plain: &str) {
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain.to_owned()));
    }
}

struct Lexer<'a> {
    text: &'a str,
    /// Where the action begins, for what is said of all of it.
    action: usize,
    offset: usize,
}

/// Tokens (`None` for a comment), the offset behind the action, and whether the text behind is trimmed.
type Action = (Option<Vec<Token>>, usize, bool);

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    fn error<T>(&self, at: usize, what: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError::Syntax { at: Position::of(self.text, at), what: what.into() })
    }

    fn action(mut self) -> Result<Action, TemplateError> {
        if let Some(comment) = self.rest().strip_prefix("/*") {
            return self.comment(comment);
        }
        let mut tokens = Vec::new();
        loop {
            if let Some((length, trims)) = self.closing() {
                return Ok((Some(tokens), self.offset + length, trims));
            }
            let Some(first) = self.rest().chars().next() else {
                return self.error(self.action, "this `{{` is not closed; write `}}` behind the action");
            };
            let at = self.offset;
            let kind = self.token(first)?;
            tokens.push(Token { at, kind });
        }
    }

    fn comment(self, body: &str) -> Result<Action, TemplateError> {
        let Some((_, behind)) = body.split_once("*/") else {
            return self.error(self.action, "this comment is not closed; write `*/}}` behind it");
        };
        let end = Lexer { offset: self.text.len() - behind.len(), ..self };
        match end.closing() {
            Some((length, trims)) => Ok((None, end.offset + length, trims)),
            None => end.error(end.offset, "a comment is an action of its own; write `*/}}` or `*/ -}}`"),
        }
    }

    /// The length of what closes the action here, and whether it trims.
    fn closing(&self) -> Option<(usize, bool)> {
        let rest = self.rest();
        if rest.starts_with("}}") {
            return Some((2, false));
        }
        // The space in front of the marker may be a line end.
        let behind = rest.strip_prefix(SPACE)?.trim_start_matches(SPACE).strip_prefix("-}}")?;
        Some((rest.len() - behind.len(), true))
    }

    fn token(&mut self, first: char) -> Result<Kind, TemplateError> {
        let at = self.offset;
        let rest = self.rest();
        let next = rest.chars().nth(1);
        match first {
            c if SPACE.contains(&c) => {
                self.take(|c| SPACE.contains(&c));
                Ok(Kind::Space)
            }
            '(' => Ok(self.one(1, Kind::Open)),
            ')' => Ok(self.one(1, Kind::Close)),
            '|' => Ok(self.one(1, Kind::Pipe)),
            ':' if next == Some('=') => Ok(self.one(2, Kind::Declare)),
            '=' => Ok(self.one(1, Kind::Assign)),
            '"' => self.string(),
            '`' => match rest.get(1..).and_then(|r| r.split_once('`')) {
                Some((raw, _)) => Ok(self.one(raw.len() + 2, Kind::Text(raw.to_owned()))),
                None => self.error(at, "this string is not closed; write a second ` behind it"),
            },
            '\'' => self.error(at, "single characters are not supported; write a string in double quotes"),
            '$' => {
                self.offset += 1;
                match self.take(is_word) {
                    "" => self.error(at, "`$` alone names nothing here; a variable is `$` and a name"),
                    name => self.terminated(Kind::Variable(name.to_owned())),
                }
            }
            '.' if next.is_some_and(|c| is_word(c) && !c.is_ascii_digit()) => {
                self.offset += 1;
                let name = self.take(is_word).to_owned();
                self.terminated(Kind::Field(name))
            }
            c if c.is_ascii_digit() || (matches!(c, '-' | '+' | '.') && next.is_some_and(|c| c.is_ascii_digit() || c == '.')) => {
                self.number()
            }
            '.' => self.error(at, "`.` is empty in a query; write a function such as `target` without a dot"),
            c if is_word(c) => {
                let word = self.take(is_word);
                let kind = match word {
                    "true" => Kind::Boolean(true),
                    "false" => Kind::Boolean(false),
                    _ => Kind::Word(word.to_owned()),
                };
                self.terminated(kind)
            }
            c => self.error(at, format!("`{}` has no meaning here", short(&c.to_string()))),
        }
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.offset += length;
        rest.get(..length).unwrap_or_default()
    }

    fn one(&mut self, length: usize, kind: Kind) -> Kind {
        self.offset += length;
        kind
    }

    /// A word must be followed by what cannot be part of it.
    fn terminated(&self, kind: Kind) -> Result<Kind, TemplateError> {
        let ends = self.rest().chars().next().is_none_or(|c| SPACE.contains(&c) || ".|:=()".contains(c)) || self.closing().is_some();
        if ends { Ok(kind) } else { self.error(self.offset, "a space is missing here") }
    }

    fn number(&mut self) -> Result<Kind, TemplateError> {
        let at = self.offset;
        let rest = self.rest();
        let mut previous = ' ';
        let length = rest
            .find(|c: char| {
                let signs = (c == '-' || c == '+') && (previous == ' ' || matches!(previous, 'e' | 'E'));
                previous = c;
                !(is_word(c) || c == '.' || signs)
            })
            .unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default();
        self.offset += length;
        let decimal = word.trim_start_matches(['-', '+']).chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '-' | '+'));
        // Go reads a leading zero as octal; nobody who writes one here means that.
        let octal = word.trim_start_matches(['-', '+']).strip_prefix('0').is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()));
        let kind = match (word.parse::<i64>(), word.parse::<f64>()) {
            (Ok(integer), _) if decimal && !octal => Kind::Integer(integer),
            (_, Ok(float)) if decimal && !octal && float.is_finite() && word.contains(['.', 'e', 'E']) => Kind::Float(float),
            _ => return self.error(at, format!("`{}` is not a number; write it in decimal", short(word))),
        };
        self.terminated(kind)
    }

    fn string(&mut self) -> Result<Kind, TemplateError> {
        let at = self.offset;
        let mut out = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        loop {
            let (index, c) = match chars.next() {
                None | Some((_, '\n')) => return self.error(at, "this string is not closed; write a second `\"` behind it"),
                Some(found) => found,
            };
            match c {
                '"' => {
                    self.offset += index + 1;
                    return Ok(Kind::Text(out));
                }
                '\\' => match escape(&mut chars.by_ref().map(|(_, c)| c)) {
                    Some(c) => out.push(c),
                    None => return self.error(at + index, "this escape is not one of Go's for text; write \\\\ for a backslash"),
                },
                c => out.push(c),
            }
        }
    }
}

/// The character that a backslash and what follows it stand for; bytes above 7f make no text of their own.
fn escape(chars: &mut impl Iterator<Item = char>) -> Option<char> {
    let digits = match chars.next()? {
        'a' => return Some('\u{7}'),
        'b' => return Some('\u{8}'),
        'f' => return Some('\u{c}'),
        'n' => return Some('\n'),
        'r' => return Some('\r'),
        't' => return Some('\t'),
        'v' => return Some('\u{b}'),
        c @ ('\\' | '"') => return Some(c),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return None,
    };
    let mut code = 0_u32;
    for _ in 0..digits {
        code = code.checked_mul(16)? + chars.next()?.to_digit(16)?;
    }
    char::from_u32(code).filter(|c| digits > 2 || c.is_ascii())
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        let pieces = lex(text).expect("tokens");
        let tokens = pieces.into_iter().find_map(|p| match p {
            Piece::Action { tokens, .. } => Some(tokens),
            Piece::Text(_) => None,
        });
        tokens.expect("an action").into_iter().map(|t| t.kind).filter(|k| *k != Kind::Space).collect()
    }

    #[test]
    fn words_fields_and_signs_are_told_apart() {
        assert_eq!(
            kinds("{{ $a := (variables.b | f) }}"),
            [
                Kind::Variable("a".into()),
                Kind::Declare,
                Kind::Open,
                Kind::Word("variables".into()),
                Kind::Field("b".into()),
                Kind::Pipe,
                Kind::Word("f".into()),
                Kind::Close
            ]
        );
        assert_eq!(kinds("{{-3}}"), [Kind::Integer(-3)], "no space, no trim marker");
        assert_eq!(kinds("{{- -3 -}}"), [Kind::Integer(-3)]);
        assert_eq!(kinds(r#"{{ "}}" }}"#), [Kind::Text("}}".into())], "a string may hold what closes an action");
        assert_eq!(kinds("{{ .5 }}"), [Kind::Float(0.5)]);
    }

    #[test]
    fn numbers_that_read_differently_elsewhere_are_refused() {
        for text in ["0x10", "010", "1_000", "1e999", "9223372036854775808", "1i", "0b1"] {
            let error = lex(&format!("{{{{ {text} }}}}")).expect_err(text);
            assert!(error.to_string().contains("is not a number"), "{text}: {error}");
        }
    }
}
