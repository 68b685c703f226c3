//! What is wrong with an object, in the words of the server: by the schema of a custom kind, or by those checks of the
//! built-in kinds that manifests in practice run into.

mod kinds;
mod meta;
mod names;
mod pods;
mod schema;

use serde_json::Value;

use super::{Typing, quantity};

/// One cause of an invalid object, as in the details of a `Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// As in `spec.template.spec.containers[0].name`.
    pub field: String,
    /// As in `FieldValueInvalid`.
    pub reason: &'static str,
    pub message: String,
}

/// What is wrong with `object`, which has its defaults already; `live` is what it would replace.
///
/// What a custom object holds already is not held against it. Of built-in kinds, only those are checked that
/// `Typing::BuiltIn` knows, and not in every respect.
pub fn validate(typing: Typing<'_>, live: Option<&Value>, object: &Value) -> Vec<Cause> {
    let mut causes = Causes::default();
    match typing {
        Typing::BuiltIn { kind, .. } => {
            meta::check(kind, object, &mut causes);
            kinds::check(kind, live, object, &mut causes);
        }
        Typing::Custom { schema } => {
            meta::check("", object, &mut causes);
            schema::check(schema, live, object, &mut causes);
        }
    }
    causes.0
}

/// Collects causes.
#[derive(Default)]
struct Causes(Vec<Cause>);

impl Causes {
    fn add(&mut self, field: impl Into<String>, reason: &'static str, message: String) {
        self.0.push(Cause { field: field.into(), reason, message });
    }

    fn required(&mut self, field: impl Into<String>, why: &str) {
        let message = if why.is_empty() { "Required value".into() } else { format!("Required value: {why}") };
        self.add(field, "FieldValueRequired", message);
    }

    fn invalid(&mut self, field: impl Into<String>, value: &Value, why: &str) {
        self.add(field, "FieldValueInvalid", format!("Invalid value: {value}: {why}"));
    }

    fn duplicate(&mut self, field: impl Into<String>, value: &Value) {
        self.add(field, "FieldValueDuplicate", format!("Duplicate value: {value}"));
    }

    fn forbidden(&mut self, field: impl Into<String>, why: &str) {
        self.add(field, "FieldValueForbidden", format!("Forbidden: {why}"));
    }

    fn not_supported(&mut self, field: impl Into<String>, value: &Value, supported: &[&str]) {
        let list: Vec<_> = supported.iter().map(|one| format!("{one:?}")).collect();
        self.add(field, "FieldValueNotSupported", format!("Unsupported value: {value}: supported values: {}", list.join(", ")));
    }

    /// A text that must be there.
    fn need(&mut self, field: String, text: &str) -> bool {
        if text.is_empty() {
            self.required(field, "");
        }
        !text.is_empty()
    }

    /// A text that breaks these rules of syntax.
    fn syntax(&mut self, field: &str, text: &str, broken: Vec<String>) {
        for why in broken {
            self.invalid(field, &text.into(), &why);
        }
    }

    /// A text that must be one of a few.
    fn one_of(&mut self, field: String, text: &str, supported: &[&str]) {
        if !supported.contains(&text) {
            self.not_supported(field, &text.into(), supported);
        }
    }

    /// Numbers of `parent` that must not be negative.
    fn non_negative(&mut self, path: &str, parent: &Value, names: &[&str]) {
        for name in names {
            if let Some(value) = parent.get(*name).filter(|value| value.as_i64().is_some_and(|number| number < 0)) {
                self.invalid(format!("{path}.{name}"), value, "must be greater than or equal to 0");
            }
        }
    }

    /// A port by its number; true when it is one.
    fn port(&mut self, field: String, value: &Value) {
        if value.as_i64().is_none_or(|port| !(1..=65535).contains(&port)) {
            self.invalid(field, value, "must be between 1 and 65535, inclusive");
        }
    }
}

/// A text of an object; empty when absent.
fn text<'v>(object: &'v Value, name: &str) -> &'v str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The items of a list with their paths.
fn items<'v>(parent: &'v Value, path: &str, name: &str) -> impl Iterator<Item = (String, &'v Value)> + use<'v> {
    let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let list = parent.get(name).and_then(Value::as_array).into_iter().flatten();
    list.enumerate().map(move |(at, item)| (format!("{path}[{at}]"), item))
}

/// Whether a list or map is absent or empty.
fn is_empty(parent: &Value, name: &str) -> bool {
    parent.get(name).is_none_or(super::defaults::is_zero)
}

/// Compares two quantities; None where one is none.
fn compare_quantities(one: &Value, other: &Value) -> Option<std::cmp::Ordering> {
    Some(quantity::nanos(one)?.cmp(&quantity::nanos(other)?))
}
