//! Label and field selectors, parsed and matched as `labels.Parse` and `fields.ParseSelector` of apimachinery do it.

use serde_json::Value;

use super::kinds::Resource;
use super::object::Object;
use super::status::{Answered, Status};

/// One requirement on labels.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
    Greater(String, i64),
    Less(String, i64),
}

/// One comparison of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldTerm {
    field: String,
    value: String,
    equal: bool,
}

/// What a list, watch or deletecollection is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selection {
    labels: Vec<Requirement>,
    fields: Vec<FieldTerm>,
}

impl Selection {
    /// Parses both selectors; a field that the resource cannot be selected by is refused.
    pub(super) fn parse(resource: &Resource, labels: Option<&str>, fields: Option<&str>) -> Answered<Self> {
        let labels = parse_labels(labels.unwrap_or_default()).map_err(Status::bad_request)?;
        let fields = parse_fields(fields.unwrap_or_default()).map_err(Status::bad_request)?;
        for term in &fields {
            if !selectable(resource, &term.field) {
                return Err(Status::bad_request(unselectable(resource, &term.field)));
            }
        }
        Ok(Self { labels, fields })
    }

    /// True where everything is selected.
    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(super) fn matches(&self, object: &Object) -> bool {
        self.labels.iter().all(|requirement| requirement.matches(object)) && self.fields.iter().all(|term| term.matches(object))
    }
}

impl Requirement {
    fn matches(&self, object: &Object) -> bool {
        let value = |key: &str| object.label(key);
        let number = |key: &str| value(key).and_then(|text| text.parse::<i64>().ok());
        match self {
            Self::In(key, values) => value(key).is_some_and(|value| values.iter().any(|one| one == value)),
            Self::NotIn(key, values) => value(key).is_none_or(|value| values.iter().all(|one| one != value)),
            Self::Exists(key) => value(key).is_some(),
            Self::Missing(key) => value(key).is_none(),
            Self::Greater(key, bound) => number(key).is_some_and(|number| number > *bound),
            Self::Less(key, bound) => number(key).is_some_and(|number| number < *bound),
        }
    }
}

impl FieldTerm {
    fn matches(&self, object: &Object) -> bool {
        let same = match self.field.as_str() {
            "metadata.name" => object.name() == self.value,
            "metadata.namespace" => object.namespace() == self.value,
            field => match field.split('.').fold(object.value().as_ref(), |value, key| &value[key]) {
                Value::String(text) => *text == self.value,
                Value::Null => self.value.is_empty(),
                other => {
                    let shown = other.to_string();
                    shown == self.value
                }
            },
        };
        same == self.equal
    }
}

/// The fields by which objects can be selected, beyond name and namespace.
const SELECTABLE: &[(&str, &[&str])] = &[
    (
        "events",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
    ),
    ("namespaces", &["status.phase"]),
    (
        "pods",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
    ),
    ("secrets", &["type"]),
    ("services", &["spec.clusterIP", "spec.type"]),
    ("replicasets.apps", &["status.replicas"]),
    ("jobs.batch", &["status.successful"]),
];

fn more_fields(resource: &Resource) -> &'static [&'static str] {
    SELECTABLE.iter().find(|(name, _)| *name == resource.qualified()).map_or(&[], |(_, fields)| fields)
}

fn selectable(resource: &Resource, field: &str) -> bool {
    field == "metadata.name"
        || (field == "metadata.namespace" && (resource.namespaced || !resource.custom))
        || more_fields(resource).contains(&field)
}

/// Kinds that convert fields by a function of their own word it otherwise than those that have only name and namespace.
fn unselectable(resource: &Resource, field: &str) -> String {
    if resource.custom || !more_fields(resource).is_empty() {
        format!("field label not supported: {field}")
    } else {
        format!("\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    }
}

/// Parses `a=b,c!=d`.
fn parse_fields(text: &str) -> Result<Vec<FieldTerm>, String> {
    let mut terms = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
            (field, value, false)
        } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            (field, value, true)
        } else {
            return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
        };
        terms.push(FieldTerm { field: field.to_owned(), value: value.to_owned(), equal });
    }
    Ok(terms)
}

/// The words of a label selector.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(&'static str),
}

const SIGNS: [&str; 9] = ["!=", "==", "=", "!", "<", ">", "(", ")", ","];

fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            found.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            let end = rest.find(|letter: char| letter.is_whitespace() || "=!(),<>".contains(letter)).unwrap_or(rest.len());
            found.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    found
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, String> {
    let tokens = tokens(text);
    let mut reader = Reader { tokens: &tokens };
    let mut requirements = Vec::new();
    while let Some(first) = reader.tokens.first() {
        if let Token::Sign(sign) = first
            && *sign != "!"
        {
            return Err(format!("found '{sign}', expected: !, identifier, or 'end of string'"));
        }
        requirements.push(reader.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?);
        match reader.next() {
            None => break,
            Some(Token::Sign(",")) if !reader.tokens.is_empty() => {}
            Some(Token::Sign(",")) => return Err("found '', expected: identifier after ','".into()),
            Some(other) => return Err(format!("found '{}', expected: ',' or 'end of string'", other.text())),
        }
    }
    Ok(requirements)
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Sign(sign) => sign,
        }
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
}

impl Reader<'_> {
    fn next(&mut self) -> Option<Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    fn word(&mut self) -> Result<String, String> {
        match self.next() {
            Some(Token::Word(word)) => Ok(word),
            Some(Token::Sign(sign)) => Err(format!("found '{sign}', expected: identifier")),
            None => Err("found '', expected: identifier".into()),
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        if self.tokens.first() == Some(&Token::Sign("!")) {
            self.next();
            return self.word().map(Requirement::Missing);
        }
        let key = self.word()?;
        if matches!(self.tokens.first(), None | Some(Token::Sign(","))) {
            return Ok(Requirement::Exists(key));
        }
        match self.next() {
            Some(Token::Sign("=" | "==")) => Ok(Requirement::In(key, vec![self.value()])),
            Some(Token::Sign("!=")) => Ok(Requirement::NotIn(key, vec![self.value()])),
            Some(Token::Sign(">")) => self.bound().map(|bound| Requirement::Greater(key, bound)),
            Some(Token::Sign("<")) => self.bound().map(|bound| Requirement::Less(key, bound)),
            Some(Token::Word(word)) if word == "in" => self.values().map(|values| Requirement::In(key, values)),
            Some(Token::Word(word)) if word == "notin" => self.values().map(|values| Requirement::NotIn(key, values)),
            other => {
                let found = other.as_ref().map_or("", Token::text).to_owned();
                Err(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt"))
            }
        }
    }

    /// A value may be empty, as in `a=`.
    fn value(&mut self) -> String {
        match self.tokens.first() {
            Some(Token::Word(word)) => {
                let word = word.clone();
                self.next();
                word
            }
            _ => String::new(),
        }
    }

    fn bound(&mut self) -> Result<i64, String> {
        let word = self.word()?;
        word.parse().map_err(|_| format!("values[0]: Invalid value: \"{word}\": for 'Gt', 'Lt' operators, the value must be an integer"))
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.next() {
            Some(Token::Sign("(")) => {}
            other => return Err(format!("found '{}' expected: '('", other.as_ref().map_or("", Token::text))),
        }
        let mut values = vec![self.value()];
        loop {
            match self.next() {
                Some(Token::Sign(")")) => return Ok(values),
                Some(Token::Sign(",")) => values.push(self.value()),
                other => return Err(format!("found '{}', expected: ',' or ')'", other.as_ref().map_or("", Token::text))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_select_by_equality_and_by_sets() {
        let object = Object::new(json!({"metadata": {"labels": {"app": "web", "tier": "front", "n": "5"}}}));
        let chosen = [
            "app=web",
            "app==web",
            "app!=api",
            "app in (web,api)",
            "zone notin (a)",
            "tier",
            "!zone",
            "app=web,tier in (front, back)",
            "n>4,n<6",
            "",
        ];
        for text in chosen {
            let labels = parse_labels(text).expect(text);
            assert!(Selection { labels, fields: vec![] }.matches(&object), "{text}");
        }
        for text in ["app=api", "app!=web", "app in (api)", "app notin (web)", "zone", "!tier", "n>5", "n<5", "app="] {
            let labels = parse_labels(text).expect(text);
            assert!(!Selection { labels, fields: vec![] }.matches(&object), "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in ["a in b", "a in (b", "a=b,", "=b", "a b", "n>x"] {
            assert!(parse_labels(text).is_err(), "{text}");
        }
    }
}
