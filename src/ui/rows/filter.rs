//! The filter of a list: words, and fields with a value, each of them to be true or (with `!`) not.
//!
//! `gke ledger` are words that a row must hold; `wave=2`, `state=gate|fail`, `age<2h`, `weight>=40`,
//! `!env=staging` are fields. A field that does not exist is a mistake that is shown, never a filter that
//! silently hides or shows everything.

use crate::session::view::{CanaryView, ContextView};
use crate::ui::attention;
use crate::ui::digest::Digest;
use jiff::Timestamp;

/// A field that a term may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The word of the state.
    State,
    /// The phase of a canary.
    Phase,
    /// The wave of a provider.
    Wave,
    /// The environment of a provider.
    Env,
    /// The mesh of a provider.
    Mesh,
    /// The provider.
    Provider,
    /// The kubeconfig context.
    Context,
    /// The namespace of a canary.
    Namespace,
    /// The name of a canary.
    Name,
    /// The ref that is pinned.
    Ref,
    /// Percent of traffic on the canary.
    Weight,
    /// Failed checks.
    Failed,
    /// Seconds since the last change.
    Age,
}

/// Every field with the word that names it.
pub const FIELDS: [(&str, Field); 13] = [
    ("state", Field::State),
    ("phase", Field::Phase),
    ("wave", Field::Wave),
    ("env", Field::Env),
    ("mesh", Field::Mesh),
    ("provider", Field::Provider),
    ("context", Field::Context),
    ("ns", Field::Namespace),
    ("name", Field::Name),
    ("ref", Field::Ref),
    ("weight", Field::Weight),
    ("failed", Field::Failed),
    ("age", Field::Age),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Word(String),
    /// One of these texts, `*` at an end stands for anything.
    Text(Field, Vec<String>),
    Number(Field, Relation, f64),
    /// Nothing is like this: the term is a mistake.
    Never(String),
}

#[derive(Clone, Debug, PartialEq)]
struct Term {
    not: bool,
    test: Test,
}

/// A filter as typed, and as understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    text: String,
    terms: Vec<Term>,
}

/// What a row can be asked.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The context that it belongs to.
    pub context: Option<&'a ContextView>,
    /// The canary that it is about.
    pub canary: Option<&'a CanaryView>,
    /// Words of its own beside those of canary and context.
    pub words: &'a str,
    /// Since when it is as it is, where that is not the canary's.
    pub since: Option<Timestamp>,
    /// The present.
    pub now: Timestamp,
}

impl Filter {
    /// Reads a filter. Every text is one; [`Filter::mistake`] says what in it is none.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let terms = text.split_whitespace().filter_map(term).collect();
        Self { text, terms }
    }

    /// As it was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it lets everything through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether what it lets through changes with the time.
    #[must_use]
    pub fn counts_time(&self) -> bool {
        self.terms.iter().any(|term| matches!(term.test, Test::Number(Field::Age, ..)))
    }

    /// The first term that cannot be understood, with the way out.
    #[must_use]
    pub fn mistake(&self) -> Option<&str> {
        self.terms.iter().find_map(|term| if let Test::Never(why) = &term.test { Some(why.as_str()) } else { None })
    }

    /// Whether a row passes. What the row does not have (the weight of a provider) never equals anything.
    #[must_use]
    pub fn passes(&self, subject: &Subject<'_>) -> bool {
        if self.terms.is_empty() {
            return true;
        }
        let words = words(subject);
        self.terms.iter().all(|term| {
            let holds = match &term.test {
                Test::Word(word) => words.contains(word.as_str()),
                Test::Text(field, wanted) => text(subject, *field).is_some_and(|is| wanted.iter().any(|wanted| like(&is, wanted))),
                Test::Number(field, relation, wanted) => number(subject, *field).is_some_and(|is| compare(is, *relation, *wanted)),
                Test::Never(_) => return false,
            };
            holds != term.not
        })
    }
}

fn term(text: &str) -> Option<Term> {
    let (not, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
    if text.is_empty() {
        return None;
    }
    let text = text.to_lowercase();
    let Some(at) = text.find(['=', '<', '>']).filter(|at| *at > 0) else { return Some(Term { not, test: Test::Word(text) }) };
    let (name, rest) = text.split_at(at);
    let (relation, value) =
        [("<=", Relation::AtMost), (">=", Relation::AtLeast), ("=", Relation::Equal), ("<", Relation::Less), (">", Relation::More)]
            .into_iter()
            .find_map(|(sign, relation)| rest.strip_prefix(sign).map(|value| (relation, value)))?;
    let (not, name) = name.strip_suffix('!').map_or((not, name), |name| (!not, name));
    Some(Term { not, test: field_test(name, relation, value) })
}

fn field_test(name: &str, relation: Relation, value: &str) -> Test {
    let Some((_, field)) = FIELDS.iter().find(|(word, _)| *word == name) else {
        let words: Vec<&str> = FIELDS.iter().map(|(word, _)| *word).collect();
        return Test::Never(format!("there is no field `{name}`: {}", words.join(" ")));
    };
    if value.is_empty() {
        return Test::Never(format!("`{name}` wants a value"));
    }
    match (field, relation) {
        (Field::Age, _) => match seconds(value) {
            Some(wanted) => Test::Number(*field, relation, wanted),
            None => Test::Never(format!("`{value}` is no age: 90s, 15m, 2h, 3d")),
        },
        (Field::Weight | Field::Failed, _) | (Field::Wave, Relation::Less | Relation::AtMost | Relation::More | Relation::AtLeast) => {
            match value.trim_end_matches('%').parse() {
                Ok(wanted) => Test::Number(*field, relation, wanted),
                Err(_) => Test::Never(format!("`{value}` is no number")),
            }
        }
        (_, Relation::Equal) => Test::Text(*field, value.split('|').map(String::from).collect()),
        _ => Test::Never(format!("`{name}` has no order: write {name}=…")),
    }
}

/// Seconds of `90s`, `15m`, `2h`, `3d`; a bare number is seconds.
fn seconds(text: &str) -> Option<f64> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let unit = match unit {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * unit)
}

fn like(is: &str, wanted: &str) -> bool {
    match (wanted.strip_prefix('*'), wanted.strip_suffix('*')) {
        (Some(_), Some(_)) => is.contains(wanted.trim_matches('*')),
        (Some(end), None) => is.ends_with(end),
        (None, Some(start)) => is.starts_with(start),
        (None, None) => is == wanted,
    }
}

fn compare(is: f64, relation: Relation, wanted: f64) -> bool {
    match relation {
        Relation::Equal => (is - wanted).abs() < 0.5,
        Relation::Less => is < wanted,
        Relation::AtMost => is <= wanted,
        Relation::More => is > wanted,
        Relation::AtLeast => is >= wanted,
    }
}

fn text(subject: &Subject<'_>, field: Field) -> Option<String> {
    let (context, canary) = (subject.context, subject.canary);
    let found = match field {
        Field::State => match (context, canary) {
            (Some(context), Some(canary)) => attention::canary_state(context, canary).word().to_string(),
            (Some(context), None) => Digest::of(context).state.word().to_string(),
            _ => return None,
        },
        Field::Phase => canary?.phase.word().to_string(),
        Field::Wave => context?.wave?.to_string(),
        Field::Env => context?.environment.clone()?,
        Field::Mesh => context?.mesh.clone()?,
        Field::Provider => context?.provider.clone(),
        Field::Context => context?.name.clone(),
        Field::Namespace => canary?.key.namespace.clone(),
        Field::Name => canary?.key.name.clone(),
        Field::Ref => context?.sync.as_ref()?.pinned.clone()?,
        Field::Weight | Field::Failed | Field::Age => return None,
    };
    Some(found.to_lowercase())
}

fn number(subject: &Subject<'_>, field: Field) -> Option<f64> {
    match field {
        Field::Weight => subject.canary.map(|canary| f64::from(canary.weight)),
        Field::Failed => subject.canary.map(|canary| f64::from(canary.failed_checks)),
        Field::Wave => subject.context.and_then(|context| context.wave).map(f64::from),
        Field::Age => {
            let since = subject.since.or_else(|| subject.canary.and_then(|canary| canary.since))?;
            Some(subject.now.duration_since(since).as_secs_f64().max(0.0))
        }
        _ => None,
    }
}

/// The words of a row: those of its context always, so that the name of a provider finds its canaries.
fn words(subject: &Subject<'_>) -> String {
    let mut out = String::new();
    let mut add = |text: &str| {
        out.push_str(text);
        out.push(' ');
    };
    if let Some(context) = subject.context {
        add(&context.provider);
        add(&context.name);
        for part in [&context.environment, &context.mesh].into_iter().flatten() {
            add(part);
        }
        if let Some(wave) = context.wave {
            add(&format!("w{wave}"));
        }
        if let Some(canary) = subject.canary {
            add(attention::canary_state(context, canary).word());
            add(&canary.key.path());
            add(canary.phase.word());
            add(canary.report.as_ref().map_or("", |report| report.message.as_str()));
        } else {
            add(Digest::of(context).state.word());
            if let Some(sync) = &context.sync {
                add(sync.pinned.as_deref().unwrap_or_default());
                add(sync.state.word());
            }
        }
    }
    add(subject.words);
    out.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::tests::harness::{fleet, now};

    /// Names of the canaries of the test fleet that a filter lets through.
    fn canaries(filter: &str) -> Vec<String> {
        let (view, filter) = (fleet(), Filter::new(filter));
        let mut out = Vec::new();
        for context in view.each() {
            for canary in &context.canaries {
                if filter.passes(&Subject { context: Some(context), canary: Some(canary), words: "", since: None, now: now() }) {
                    out.push(format!("{}/{}", context.name, canary.key.name));
                }
            }
        }
        out
    }

    #[test]
    fn words_and_fields_and_their_opposites() {
        assert_eq!(canaries("ledg"), ["eks/ledger"]);
        assert_eq!(canaries("gke"), ["gke/frontend", "gke/cart"]);
        assert_eq!(canaries("w2 front"), ["aks/frontend"]);
        assert_eq!(canaries("wave=1"), ["gke/frontend", "gke/cart"]);
        assert_eq!(canaries("wave>1 !state=stale"), ["eks/ledger", "eks/auth", "eks/search"]);
        assert_eq!(canaries("state=gate|fail"), ["eks/ledger", "eks/search"]);
        assert_eq!(canaries("name=*front*"), ["gke/frontend", "aks/frontend"]);
        assert_eq!(canaries("weight>=40 weight<=50%"), ["gke/frontend", "eks/ledger"]);
        assert_eq!(canaries("failed!=0 !eks"), ["gke/frontend"]);
        assert_eq!(canaries("age>7m").len(), 6);
        assert_eq!(canaries("age<7m"), [""; 0]);
        assert_eq!(canaries("env=prod*").len(), 6);
        assert_eq!(canaries("ref=1.1.0 phase=failed"), ["eks/search"]);
        assert_eq!(canaries("!").len(), 6, "half a term is none");
    }

    #[test]
    fn a_mistake_is_said_and_shows_nothing() {
        for (text, said) in [
            ("colour=red", "there is no field `colour`"),
            ("age<soon", "`soon` is no age"),
            ("weight=much", "`much` is no number"),
            ("state=", "`state` wants a value"),
            ("name<z", "`name` has no order"),
        ] {
            let filter = Filter::new(text);
            assert!(filter.mistake().expect(text).contains(said), "{text}: {:?}", filter.mistake());
            assert_eq!(canaries(text), [""; 0], "{text}");
            assert_eq!(canaries(&format!("!{text}")), [""; 0], "{text}: a mistake turned round is one");
        }
        assert_eq!(Filter::new("gke wave=2").mistake(), None);
    }
}
