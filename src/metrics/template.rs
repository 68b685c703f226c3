//! Queries of `MetricTemplates`: as much of Go's text/template as they use (rollout-contract §6.3).
//!
//! Text is cut into tokens (`lexer`), made a tree (`parser`) and written out (`evaluate`). What Go would print as
//! `%!d(string=a)` or `<no value>` is an error here: a garbled query must not reach a metric server.

mod evaluate;
mod lexer;
mod parser;
mod printf;

use std::collections::BTreeMap;
use std::fmt;

/// Longest query, and longest value on the way to it, in bytes.
pub const LONGEST: usize = 64 * 1024;
/// Deepest nesting of parentheses and of `if`.
pub const DEEPEST: usize = 32;

/// What the functions of a template answer (rollout-contract §6.3).
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The Canary.
    pub name: &'a str,
    pub namespace: &'a str,
    pub target: &'a str,
    pub service: &'a str,
    pub ingress: &'a str,
    /// For Knative the latest created revision.
    pub route: &'a str,
    /// As written in the metric; empty where it has none.
    pub interval: &'a str,
    /// `templateVariables` of the metric. They enter the query unquoted, as in Flagger.
    pub variables: &'a BTreeMap<String, String>,
}

/// Where something stands in a template, both from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A query that cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TemplateError {
    #[error("{at}: {what}")]
    Syntax { at: Position, what: String },
    #[error("{at}: `{word}` is not supported in queries; use if, eq, ne, and, or, not, printf, index and variables")]
    Unsupported { at: Position, word: String },
    #[error("{at}: there is no function `{word}`; write one of {known}", known = parser::FUNCTIONS.join(", "))]
    Function { at: Position, word: String },
    #[error("{at}: `{function}` {what}")]
    Call { at: Position, function: String, what: String },
    #[error("{at}: templateVariables has no `{key}`; add it to the metric")]
    Missing { at: Position, key: String },
    #[error("{at}: {what}")]
    Value { at: Position, what: String },
    #[error("{0} holds a control character; remove it, only line ends and tabs are allowed")]
    Control(String),
    #[error("the query grows over {LONGEST} bytes; shorten the template or its variables")]
    TooLong,
    #[error("{at}: nested more than {DEEPEST} deep; use variables instead")]
    TooDeep { at: Position },
}

/// The query that `text` makes of `names`.
///
/// # Errors
/// A sentence with the position: `text` is no template, needs what is not supported, or asks for what is not there.
pub fn render(text: &str, names: &Names<'_>) -> Result<String, TemplateError> {
    if text.len() > LONGEST {
        return Err(TemplateError::TooLong);
    }
    check(names)?;
    let template = parser::parse(text, lexer::lex(text)?)?;
    evaluate::evaluate(&template, names)
}

/// Names of objects cannot hold control characters; what people write freely can.
fn check(names: &Names<'_>) -> Result<(), TemplateError> {
    let is_bad = |text: &str| text.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
    if is_bad(names.interval) {
        return Err(TemplateError::Control("the metric's interval".into()));
    }
    match names.variables.iter().find(|(key, value)| is_bad(key) || is_bad(value)) {
        Some((key, _)) => Err(TemplateError::Control(format!("templateVariables `{}`", short(key)))),
        None => Ok(()),
    }
}

/// What is quoted from a template in an error.
fn short(text: &str) -> String {
    crate::domain::text::clean(text).chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, variables: &[(&str, &str)]) -> Result<String, TemplateError> {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let names = Names {
            name: "podinfo",
            namespace: "test",
            target: "web",
            service: "svc",
            ingress: "in.g",
            route: "rt",
            interval: "1m",
            variables: &variables,
        };
        render(text, &names)
    }

    fn rendered(text: &str) -> String {
        with(text, &[("direction", "inbound"), ("empty", ""), ("code", "5\"x\n")]).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    /// Outputs are those of Go 1.26's text/template with the same functions.
    #[test]
    fn templates_read_as_in_go() {
        for (text, expected) in [
            ("plain } text {", "plain } text {"),
            (
                "{{ name }}.{{namespace}}/{{ target }}/{{ service }}/{{ ingress }}/{{ route }}[{{ interval }}]",
                "podinfo.test/web/svc/in.g/rt[1m]",
            ),
            (r#"direction="{{ variables.direction }}""#, r#"direction="inbound""#),
            (r#"{{ index variables "direction" }}|{{ index variables "none" }}|"#, "inbound||"),
            (
                "{{- $route := printf \"kube(ew)?_%s__%s_canary__.*__%s_canary(_[0-9]+)?\" namespace ingress service }}\nr=\"{{ $route }}\"",
                "\nr=\"kube(ew)?_test__in.g_canary__.*__svc_canary(_[0-9]+)?\"",
            ),
            ("a  {{- \" b \" -}}  \n c", "a b c"),
            ("a {{/* no {{ output }} */}} b{{- /* trim */ -}} c", "a  bc"),
            (r#"{{ printf "%s-%d-%q-%v-%f-%.2f-%%" name 7 variables.code 1.5 2.0 3.14159 }}"#, r#"podinfo-7-"5\"x\n"-1.5-2.000000-3.14-%"#),
            (r#"{{ name | printf "%s=%s" "n" }}"#, "n=podinfo"),
            (r#"{{ (printf "%s" (printf "%q" name)) | printf "<%s>" }}"#, r#"<"podinfo">"#),
            ("{{ `raw \\n` }}{{ \"esc\\t\\u00e9\\x41\" }}", "raw \\nesc\té\u{41}"),
            ("{{ 1 }} {{ -3 }} {{ 1.0 }} {{ 1e3 }} {{ 1.5e-7 }} {{ true }}", "1 -3 1 1000 1.5e-07 true"),
            (r#"{{ if eq interval "1m" "2m" }}short{{ else }}long{{ end }}"#, "short"),
            (r#"{{ if ne target "web" }}a{{ else if variables.empty }}b{{ else if not (and name interval) }}c{{ else }}d{{ end }}"#, "d"),
            (r#"{{ or variables.empty "default" }}|{{ and name "last" }}|{{ not 0 }}"#, "default|last|true"),
            ("{{ if or true (index variables 5) }}short-circuit{{ end }}", "short-circuit"),
            ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}{{ if true }}{{ $x = 3 }}{{ end }}{{ $x }}", "213"),
            ("{{ if $w := variables.empty }}{{ $w }}{{ else }}none{{ $w }}{{ end }}", "none"),
            ("{{ if $x := 0 }}{{ else if $x = 7 }}{{ $x }}{{ end }}", "7"),
            ("{{ printf (printf `%s%%s` name) target }}", "podinfoweb"),
            ("{{ $v := variables }}{{ $v.direction }}{{ (variables).direction }}", "inboundinbound"),
            ("{{ 1 | and 0 }}{{ 0 | or 0 }}{{ (name) }}{{ ((1)) }}{{ $x:=1 }}{{$x}}", "00podinfo11"),
            ("{{ if true -}} x {{- end -}} y", "xy"),
            ("{{\n  name\n}}", "podinfo"),
            ("{{- name -}} \t\n", "podinfo"),
        ] {
            assert_eq!(rendered(text), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_name_what_and_where() {
        for (text, expected) in [
            ("a\n {{ variables.nope }}", "line 2, column 5: templateVariables has no `nope`; add it to the metric"),
            ("{{ nam }}", "line 1, column 4: there is no function `nam`"),
            ("{{ if false }}{{ nam }}{{ end }}", "line 1, column 18: there is no function `nam`"),
            ("{{ range variables }}{{ end }}", "line 1, column 4: `range` is not supported"),
            ("{{ len name }}", "there is no function `len`"),
            ("{{ name", "line 1, column 1: this `{{` is not closed"),
            ("{{ /* a */ }}", "line 1, column 4: "),
            ("{{/* a", "line 1, column 1: this comment is not closed"),
            ("{{ if name }}a", "line 1, column 4: this `if` has no `{{ end }}`"),
            ("{{ end }}", "line 1, column 4: `end` closes nothing"),
            ("{{ else }}", "line 1, column 4: `else` belongs to no `if`"),
            ("{{ if true }}{{ else }}{{ else }}{{ end }}", "`else` belongs to no `if`"),
            ("{{ $x }}", "line 1, column 4: there is no variable `$x`"),
            ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "there is no variable `$x`"),
            ("{{ $x = 1 }}", "there is no variable `$x`"),
            ("{{ . }}", "line 1, column 4: "),
            ("{{ .Name }}", "line 1, column 4: "),
            ("{{ }}", "this action is empty"),
            ("{{ \"a }}", "line 1, column 4: this string is not closed"),
            ("{{ 'a' }}", "line 1, column 4: "),
            ("{{ 1.2.3 }}", "line 1, column 4: `1.2.3` is not a number"),
            ("{{ (name }}", "line 1, column 4: this `(` is not closed"),
            ("{{ name) }}", "line 1, column 8: "),
            ("{{ printf\"%s\" name }}", "line 1, column 10: "),
            ("{{ variables }}", "line 1, column 4: `variables` is a map"),
            ("{{ variables.direction.x }}", "line 1, column 4: "),
            ("{{ name.x }}", "line 1, column 4: "),
            ("{{ printf `%s`name }}", "line 1, column 15: "),
            ("{{ printf `%5s` name }}", "`printf` does not know `%5`"),
            ("{{ name 1 }}", "`name` takes no arguments"),
            ("{{ 1 | name }}", "`name` takes no arguments"),
            ("{{ 1 2 }}", "line 1, column 6: "),
            ("{{ 1 | 2 }}", "line 1, column 8: "),
            ("{{ name | }}", "line 1, column 9: "),
            ("{{ printf }}", "`printf` needs a format"),
            (r#"{{ printf "%s" }}"#, "`printf` has no value for `%s`"),
            (r#"{{ printf "%s" name name }}"#, "`printf` has 1 value more than its format uses"),
            (r#"{{ printf "%d" name }}"#, "`printf` cannot write text as `%d`"),
            (r#"{{ printf "%s" 5 }}"#, "`printf` cannot write an integer as `%s`"),
            (r#"{{ printf "%x" 5 }}"#, "`printf` does not know `%x`"),
            (r#"{{ printf "50%" }}"#, "`printf` has a `%` at its end"),
            (r#"{{ printf "%.999999f" 1.0 }}"#, "`printf` "),
            (r#"{{ eq 1 "1" }}"#, "`eq` cannot compare an integer with text"),
            ("{{ eq variables variables }}", "`eq` "),
            ("{{ index name 1 }}", "`index` "),
            ("{{ index variables 1 }}", "`index` "),
        ] {
            let error = with(text, &[("direction", "inbound")]).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn variables_stay_as_they_are_but_hold_no_control_characters() {
        let injected = "x\"} or up{job=\"\n\t# ";
        assert_eq!(with("{{ variables.a }}", &[("a", injected)]), Ok(injected.into()));
        for bad in ["a\rb", "\u{1b}[2J", "\0", "\u{9b}"] {
            let error = with("nothing of it", &[("a", bad)]).expect_err("a control character");
            assert!(error.to_string().starts_with("templateVariables `a` holds a control character"), "{error}");
        }
    }

    #[test]
    fn neither_a_long_nor_a_deep_template_costs_more_than_its_bounds() {
        let doubling = format!("{{{{ $x := `0123456789abcdef` }}}}{}", "{{ $x = printf `%s%s` $x $x }}".repeat(200));
        assert_eq!(with(&doubling, &[]), Err(TemplateError::TooLong));
        let repeated = "{{ variables.a }}".repeat(100);
        assert_eq!(with(&repeated, &[("a", &"x".repeat(1_000))]), Err(TemplateError::TooLong));
        assert_eq!(with(&"x".repeat(LONGEST + 1), &[]), Err(TemplateError::TooLong));
        assert_eq!(with("{{ eq variables.a variables.a }}", &[("a", &"x".repeat(LONGEST - 1))]), Err(TemplateError::TooLong));
        let nested = |n: usize| format!("{{{{ {}1{} }}}}", "(".repeat(n), ")".repeat(n));
        assert_eq!(with(&nested(DEEPEST), &[]), Ok("1".into()));
        assert!(matches!(with(&nested(DEEPEST + 1), &[]), Err(TemplateError::TooDeep { .. })));
        let branches = |n: usize| format!("{}x{}", "{{if 1}}".repeat(n), "{{end}}".repeat(n));
        assert_eq!(with(&branches(DEEPEST), &[]), Ok("x".into()));
        assert!(matches!(with(&branches(3_000), &[]), Err(TemplateError::TooDeep { .. })));
        let chain = format!("{{{{if 0}}}}{}x{{{{end}}}}", "{{else if 0}}".repeat(3_000));
        assert!(matches!(with(&chain, &[]), Err(TemplateError::TooDeep { .. })));
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_renderer(text in "(\\{\\{-? ?|-? ?\\}\\}|[ a-z\"`$.:=|()%0-9\\\\\n-]|/\\*|\\*/|if |else|end|printf|variables|é){0,40}") {
            if let Err(error) = with(&text, &[("a", "b")]) {
                proptest::prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
