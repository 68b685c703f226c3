//! Reads the part of `PromQL` that queries of rates, percentages and quantiles are written in; the rest is refused.
//! <https://prometheus.io/docs/prometheus/latest/querying/basics/>

use crate::kustomize::pattern::Pattern;

/// Expressions nested deeper than this are refused.
const DEEPEST: usize = 50;

/// A query, read.
#[derive(Clone, Debug)]
pub enum Expr {
    Number(f64),
    /// The newest sample of each series.
    Instant(Selector),
    /// Change of counters over a window in milliseconds, per second where `per_second`.
    Increase {
        selector: Selector,
        window: i64,
        per_second: bool,
    },
    Quantile(Box<Expr>, Box<Expr>),
    Vector(Box<Expr>),
    Aggregate {
        how: Aggregate,
        by: Vec<String>,
        inner: Box<Expr>,
    },
    Binary(char, Box<Expr>, Box<Expr>),
    /// All of the left, and what of the right has other labels.
    Or(Box<Expr>, Box<Expr>),
    Negative(Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    Sum,
    Average,
    Least,
    Most,
    Count,
}

const AGGREGATES: [(&str, Aggregate); 5] = [
    ("sum", Aggregate::Sum),
    ("avg", Aggregate::Average),
    ("min", Aggregate::Least),
    ("max", Aggregate::Most),
    ("count", Aggregate::Count),
];

/// A metric and what its labels must be.
#[derive(Clone, Debug)]
pub struct Selector {
    pub metric: String,
    matchers: Vec<Matcher>,
}

#[derive(Clone, Debug)]
struct Matcher {
    label: String,
    wanted: Wanted,
    negated: bool,
}

#[derive(Clone, Debug)]
enum Wanted {
    Text(String),
    Pattern(Pattern),
}

impl Selector {
    /// Whether a series fits; a label that it does not have is empty.
    pub fn fits<'a>(&self, label: impl Fn(&str) -> &'a str) -> bool {
        self.matchers.iter().all(|matcher| {
            let value = label(&matcher.label);
            let found = match &matcher.wanted {
                Wanted::Text(text) => text == value,
                Wanted::Pattern(pattern) => pattern.is_match(value),
            };
            found != matcher.negated
        })
    }
}

/// Reads a query.
///
/// # Errors
/// Where it is not understood and why, in Prometheus' form `line:column: parse error: …`.
pub fn parse(query: &str) -> Result<Expr, String> {
    let mut reader = Reader { text: query, at: 0, depth: 0 };
    let expr = reader.sum()?;
    reader.space();
    if reader.rest().is_empty() { Ok(expr) } else { Err(reader.error("what follows is not understood")) }
}

/// Milliseconds of a `PromQL` duration such as `1m30s`.
fn duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 7] =
        [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000), ("y", 31_536_000_000)];
    let (mut rest, mut total) = (text, 0_i64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[..end])?;
        total = total.checked_add(number.checked_mul(*unit)?)?;
        rest = &rest[end..];
    }
    (total > 0).then_some(total)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, why: &str) -> String {
        let before = &self.text[..self.at];
        let (line, column) = (before.matches('\n').count() + 1, before.len() - before.rfind('\n').map_or(0, |i| i + 1) + 1);
        format!("{line}:{column}: parse error: {why}")
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(self.error(&format!("unexpected end or character, expected \"{token}\""))) }
    }

    fn word(&mut self) -> &'a str {
        self.space();
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn sum(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error("nested too deep"));
        }
        let mut left = self.difference()?;
        while self.keyword("or") {
            left = Expr::Or(Box::new(left), Box::new(self.difference()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn difference(&mut self) -> Result<Expr, String> {
        self.operators(&['+', '-'], |reader| reader.operators(&['*', '/'], Self::unary))
    }

    /// Takes `word`, where it stands as a word of its own.
    fn keyword(&mut self, word: &str) -> bool {
        let start = self.at;
        let found = self.word() == word;
        self.at = if found { self.at } else { start };
        found
    }

    fn operators(&mut self, operators: &[char], inner: impl Fn(&mut Self) -> Result<Expr, String>) -> Result<Expr, String> {
        let mut left = inner(self)?;
        loop {
            self.space();
            let Some(operator) = self.rest().chars().next().filter(|c| operators.contains(c)) else {
                return Ok(left);
            };
            self.at += 1;
            left = Expr::Binary(operator, Box::new(left), Box::new(inner(self)?));
        }
    }

    fn unary(&mut self) -> Result<Expr, String> {
        if self.eat("-") {
            return Ok(Expr::Negative(Box::new(self.primary()?)));
        }
        self.eat("+");
        self.primary()
    }

    fn primary(&mut self) -> Result<Expr, String> {
        if self.eat("(") {
            let inner = self.sum()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.rest().starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return self.number();
        }
        if self.rest().starts_with('{') {
            return Err(self.error("a selector without a metric name is not served"));
        }
        let start = self.at;
        let word = self.word();
        if word.is_empty() {
            return Err(self.error("unexpected end or character, expected a metric, a function or a number"));
        }
        if let Some((_, how)) = AGGREGATES.iter().find(|(name, _)| *name == word) {
            return self.aggregate(*how);
        }
        if self.eat("(") {
            return self.call(word, start);
        }
        Ok(Expr::Instant(self.selector(word)?))
    }

    fn number(&mut self) -> Result<Expr, String> {
        let start = self.at;
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(rest.len());
        self.at += end;
        rest[..end].parse().map(Expr::Number).map_err(|_| {
            self.at = start;
            self.error("bad number or duration syntax")
        })
    }

    fn aggregate(&mut self, how: Aggregate) -> Result<Expr, String> {
        let mut by = self.grouping()?;
        self.expect("(")?;
        let inner = Box::new(self.sum()?);
        self.expect(")")?;
        if by.is_none() {
            by = self.grouping()?;
        }
        Ok(Expr::Aggregate { how, by: by.unwrap_or_default(), inner })
    }

    fn grouping(&mut self) -> Result<Option<Vec<String>>, String> {
        let start = self.at;
        if self.word() != "by" {
            self.at = start;
            return Ok(None);
        }
        self.expect("(")?;
        let mut labels = Vec::new();
        while !self.eat(")") {
            labels.push(self.word().to_owned());
            if !self.eat(",") {
                self.expect(")")?;
                break;
            }
        }
        if labels.iter().any(String::is_empty) { Err(self.error("a label is missing")) } else { Ok(Some(labels)) }
    }

    fn call(&mut self, function: &str, start: usize) -> Result<Expr, String> {
        let expr = match function {
            "rate" | "increase" => {
                let metric = self.word();
                let selector = self.selector(metric)?;
                self.expect("[")?;
                let text = self.word();
                let window = duration(text).ok_or_else(|| self.error(&format!("not a valid duration string: \"{text}\"")))?;
                self.expect("]")?;
                Expr::Increase { selector, window, per_second: function == "rate" }
            }
            "histogram_quantile" => {
                let quantile = Box::new(self.sum()?);
                self.expect(",")?;
                Expr::Quantile(quantile, Box::new(self.sum()?))
            }
            "vector" => Expr::Vector(Box::new(self.sum()?)),
            _ => {
                self.at = start;
                return Err(self.error(&format!("unknown function with name \"{function}\"")));
            }
        };
        self.expect(")")?;
        Ok(expr)
    }

    fn selector(&mut self, metric: &str) -> Result<Selector, String> {
        if metric.is_empty() || metric.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.error("a metric name is missing"));
        }
        let mut matchers = Vec::new();
        if self.eat("{") {
            while !self.eat("}") {
                matchers.push(self.matcher()?);
                if !self.eat(",") {
                    self.expect("}")?;
                    break;
                }
            }
        }
        Ok(Selector { metric: metric.to_owned(), matchers })
    }

    fn matcher(&mut self) -> Result<Matcher, String> {
        let label = self.word().to_owned();
        if label.is_empty() {
            return Err(self.error("a label is missing"));
        }
        let operators = [("=~", true, false), ("!~", true, true), ("!=", false, true), ("=", false, false)];
        let Some((_, is_pattern, negated)) = operators.into_iter().find(|(token, ..)| self.eat(token)) else {
            return Err(self.error("expected one of =, !=, =~, !~"));
        };
        let text = self.quoted()?;
        let wanted = if is_pattern {
            // Prometheus' patterns are anchored, and an empty one matches the empty text alone.
            Wanted::Pattern(Pattern::new(&format!("^(?:{text})$")).map_err(|why| self.error(&format!("error parsing regexp: {why}")))?)
        } else {
            Wanted::Text(text)
        };
        Ok(Matcher { label, wanted, negated })
    }

    fn quoted(&mut self) -> Result<String, String> {
        self.space();
        let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '"' | '\'' | '`')) else {
            return Err(self.error("expected a quoted string"));
        };
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((index, c)) = chars.next() {
            match c {
                _ if c == quote => {
                    self.at += index + 1;
                    return Ok(out);
                }
                '\\' if quote != '`' => match chars.next() {
                    Some((_, 'n')) => out.push('\n'),
                    Some((_, 't')) => out.push('\t'),
                    Some((_, c @ ('\\' | '"' | '\''))) => out.push(c),
                    _ => return Err(self.error("unknown escape sequence")),
                },
                '\n' => break,
                c => out.push(c),
            }
        }
        self.at = start;
        Err(self.error("unterminated quoted string"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!((duration("1m"), duration("1m30s"), duration("500ms")), (Some(60_000), Some(90_000), Some(500)));
        assert!(["", "1", "m", "1x", "0s"].iter().all(|text| duration(text).is_none()));
    }

    #[test]
    fn matchers_are_anchored_and_a_missing_label_is_empty() {
        let Ok(Expr::Instant(selector)) = parse(r#"up{job=~"a.*|b", canary!="", code!~'5..',}"#) else { panic!("no selector") };
        let fits = |job: &'static str, canary: &'static str, code: &'static str| {
            selector.fits(|label| match label {
                "job" => job,
                "canary" => canary,
                "code" => code,
                _ => "",
            })
        };
        assert!(fits("abc", "x", "200") && fits("b", "x", ""));
        assert!(!fits("xb", "x", "200") && !fits("b", "", "200") && !fits("b", "x", "503"));
        let Ok(Expr::Instant(empty)) = parse(r#"up{job=~""}"#) else { panic!("no selector") };
        assert!(empty.fits(|_| "") && !empty.fits(|_| "x"));
    }

    #[test]
    fn multiplication_binds_closer_than_addition_and_both_to_the_left() {
        let Ok(Expr::Binary('-', left, right)) = parse("1 - 2 * 3 - -4") else { panic!("no difference") };
        assert!(matches!(*left, Expr::Binary('-', ..)) && matches!(*right, Expr::Negative(_)));
    }

    #[test]
    fn what_is_outside_the_family_is_refused_with_its_place() {
        for (query, words) in [
            ("", "1:1"),
            ("sum(", "1:5"),
            ("sum(rate(x[1m]) by (le)", "expected \")\""),
            ("rate(x)", "expected \"[\""),
            ("rate(x[5])", "not a valid duration string: \"5\""),
            ("absent(up)", "unknown function with name \"absent\""),
            (r#"{job="a"}"#, "1:1"),
            ("up and vector(1)", "1:4"),
            ("up or", "1:6"),
            (r#"up{job="a}"#, "1:8: parse error: unterminated quoted string"),
            (r#"up{job=~"("}"#, "error parsing regexp"),
            ("1 +\n *", "2:2"),
            ("1m", "bad number"),
        ] {
            let error = parse(query).expect_err(query);
            assert!(error.contains(words) && error.contains("parse error"), "{query}: {error}");
        }
        assert!(parse(&"(".repeat(100_000)).is_err());
    }
}
