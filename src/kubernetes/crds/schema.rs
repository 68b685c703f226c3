//! The words that the CRDs' schemas are written with: a table of fields reads like the API's documentation, and what a
//! structural schema may not hold cannot be said.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

/// What may stand at one place of an object.
#[derive(Clone, Debug)]
pub(super) struct Schema(Map<String, Value>);

impl From<Schema> for Value {
    fn from(schema: Schema) -> Self {
        Self::Object(schema.0)
    }
}

fn of(kind: &str) -> Schema {
    Schema(Map::new()).with("type", kind)
}

pub(super) fn text() -> Schema {
    of("string")
}

/// One of `words`.
pub(super) fn word<'w>(words: impl IntoIterator<Item = &'w str>) -> Schema {
    text().with("enum", words.into_iter().collect::<Value>())
}

pub(super) fn time() -> Schema {
    text().with("format", "date-time")
}

pub(super) fn boolean() -> Schema {
    of("boolean")
}

/// Any number, fractions too: Flagger's schema says so of its counts as well.
pub(super) fn number() -> Schema {
    of("number")
}

pub(super) fn integer() -> Schema {
    of("integer")
}

/// An integer that the API server holds to 32 bits.
pub(super) fn int32() -> Schema {
    integer().with("format", "int32")
}

/// A number or a name.
pub(super) fn int_or_string() -> Schema {
    Schema(Map::new()).with("x-kubernetes-int-or-string", true)
}

/// An object with these fields and no others: the API server drops what a schema does not name.
pub(super) fn object<const N: usize>(fields: [(&str, Schema); N]) -> Schema {
    let properties: Map<_, _> = fields.into_iter().map(|(name, schema)| (name.to_owned(), schema.into())).collect();
    of("object").with("properties", properties)
}

/// An object of which the schema says nothing more.
pub(super) fn any_object() -> Schema {
    of("object")
}

/// Any names, each with one of `values`.
pub(super) fn map(values: Schema) -> Schema {
    of("object").with("additionalProperties", values)
}

pub(super) fn list(items: Schema) -> Schema {
    of("array").with("items", items)
}

/// Fields of which each holds text, and exactly one is there.
pub(super) fn one_text_of<const N: usize>(names: [&str; N]) -> Schema {
    object(names.map(|name| (name, text()))).one_of(names.map(|name| needs([name])))
}

/// Fields of which each holds text, and at most one is there.
pub(super) fn one_text_or_none_of<const N: usize>(names: [&str; N]) -> Schema {
    let each = names.map(|name| needs([name]));
    let none = json!({"not": {"anyOf": each.as_slice()}});
    object(names.map(|name| (name, text()))).one_of([vec![none], each.to_vec()].concat())
}

/// The condition, for [`Schema::one_of`], that these fields are there.
pub(super) fn needs<const N: usize>(names: [&str; N]) -> Value {
    json!({"required": names.as_slice()})
}

impl Schema {
    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// One more field of an object.
    pub(super) fn field(mut self, name: &str, schema: Schema) -> Self {
        if let Some(fields) = self.0.get_mut("properties").and_then(Value::as_object_mut) {
            fields.insert(name.to_owned(), schema.into());
        }
        self
    }

    pub(super) fn required<const N: usize>(self, names: [&str; N]) -> Self {
        self.with("required", names.as_slice())
    }

    /// A regular expression, found anywhere in the text unless it is anchored.
    pub(super) fn pattern(self, pattern: &str) -> Self {
        self.with("pattern", pattern)
    }

    /// Number of characters.
    pub(super) fn length(self, range: RangeInclusive<u32>) -> Self {
        let long = self.with("maxLength", *range.end());
        if *range.start() > 0 { long.with("minLength", *range.start()) } else { long }
    }

    pub(super) fn at_least(self, least: i64) -> Self {
        self.with("minimum", least)
    }

    pub(super) fn at_most(self, most: i64) -> Self {
        self.with("maximum", most)
    }

    pub(super) fn at_most_items(self, most: u32) -> Self {
        self.with("maxItems", most)
    }

    /// What the API server writes into an object that says nothing.
    pub(super) fn default(self, value: impl Into<Value>) -> Self {
        self.with("default", value)
    }

    /// Exactly one of `conditions` holds.
    pub(super) fn one_of(self, conditions: impl Into<Vec<Value>>) -> Self {
        self.with("oneOf", conditions.into())
    }

    /// A rule in CEL, and what the API server says where it is broken.
    pub(super) fn rule(self, rule: &str, message: &str) -> Self {
        self.with("x-kubernetes-validations", json!([{"rule": rule, "message": message}]))
    }
}
