//! How one place of an object is typed, whether a built-in struct or a schema says so, and which of its shapes a value has.

use serde_json::Value;

use super::types::{Field, Items, Type, table};
use super::{Typing, resets};

/// The type of one place.
#[derive(Clone, Copy)]
pub enum Node<'a> {
    BuiltIn(&'static Type),
    /// The whole of a custom object.
    Root(&'a Value),
    /// A schema, and whether it or one above it keeps unknown fields.
    Schema(&'a Value, bool),
    /// No type: fields are told apart, lists merge as a whole.
    Deduced,
    /// No type: everything merges as a whole.
    Untyped,
}

/// What a value is in its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    Scalar,
    List,
    Map,
}

/// How the items of a list are told apart.
#[derive(Clone, Copy)]
pub enum Keys<'a> {
    Atomic,
    Set,
    BuiltIn(&'static [&'static str]),
    Schema(&'a [Value]),
}

const TEXT: Type = Type::Scalar(super::types::Scalar::Text);

impl<'a> Node<'a> {
    /// The type of whole objects; of built-in kinds that nobody knows it is deduced from their values.
    pub fn root(typing: Typing<'a>) -> Self {
        match typing {
            Typing::Custom { schema } => Self::Root(schema),
            Typing::BuiltIn { group, kind } => {
                resets::struct_of(group, kind).and_then(|name| table().whole(name)).map_or(Self::Deduced, Self::BuiltIn)
            }
        }
    }

    /// The shape of `value` here. Null has the first shape that the type allows, which is how it merges.
    pub fn shape(self, value: &Value) -> Shape {
        match self.only() {
            Some(shape) => shape,
            None => match value {
                Value::Object(_) | Value::Null => Shape::Map,
                Value::Array(_) => Shape::List,
                _ => Shape::Scalar,
            },
        }
    }

    /// The only shape that the type allows; None where it allows any.
    pub fn only(self) -> Option<Shape> {
        match self {
            Self::BuiltIn(Type::Scalar(_)) => Some(Shape::Scalar),
            Self::BuiltIn(Type::Struct(..) | Type::Map(..)) | Self::Root(_) => Some(Shape::Map),
            Self::BuiltIn(Type::List(..)) => Some(Shape::List),
            Self::BuiltIn(Type::Any | Type::Raw) | Self::Deduced | Self::Untyped => None,
            Self::Schema(schema, _) => match schema.get("type").and_then(Value::as_str) {
                Some("object") => Some(Shape::Map),
                Some("array") => Some(Shape::List),
                Some(_) => Some(Shape::Scalar),
                None => None,
            },
        }
    }

    /// Whether a map here merges as a whole.
    pub fn atomic_map(self) -> bool {
        match self {
            Self::BuiltIn(Type::Struct(at, atomic)) => *atomic || table().structs[*at].atomic,
            Self::BuiltIn(Type::Map(_, atomic)) => *atomic,
            Self::Schema(schema, _) => schema.get("x-kubernetes-map-type").is_some_and(|kind| kind == "atomic"),
            Self::BuiltIn(Type::Raw) | Self::Untyped => true,
            Self::BuiltIn(_) | Self::Root(_) | Self::Deduced => false,
        }
    }

    /// The type of a field, and whether it is declared by name; None for a field that must not be there.
    pub fn field(self, name: &str) -> Option<(Self, bool)> {
        match self {
            Self::BuiltIn(Type::Struct(at, _)) => table().structs[*at].field(name).map(|field| (Self::BuiltIn(&field.kind), true)),
            Self::BuiltIn(Type::Map(item, _)) => Some((Self::BuiltIn(item), false)),
            Self::Root(_) if name == "apiVersion" || name == "kind" => Some((Self::BuiltIn(&TEXT), true)),
            Self::Root(_) if name == "metadata" => Some((Self::BuiltIn(table().meta()), true)),
            Self::Root(schema) => Self::Schema(schema, false).field(name),
            Self::Schema(schema, open) => schema_field(schema, open || keeps_unknown(schema), name),
            Self::BuiltIn(Type::Any) | Self::Deduced => Some((Self::Deduced, false)),
            Self::BuiltIn(_) | Self::Untyped => Some((Self::Untyped, false)),
        }
    }

    /// How the items of a list here are told apart.
    pub fn keys(self) -> Keys<'a> {
        match self {
            Self::BuiltIn(Type::List(_, Items::Set)) => Keys::Set,
            Self::BuiltIn(Type::List(_, Items::Keyed(keys))) => Keys::BuiltIn(keys),
            Self::Schema(schema, _) => match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
                Some("set") => Keys::Set,
                Some("map") => Keys::Schema(schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).map_or(&[], Vec::as_slice)),
                _ => Keys::Atomic,
            },
            _ => Keys::Atomic,
        }
    }

    /// The type of the items of a list here.
    pub fn item(self) -> Self {
        match self {
            Self::BuiltIn(Type::List(item, _)) => Self::BuiltIn(item),
            Self::Schema(schema, open) => {
                schema.get("items").map_or(Self::Untyped, |items| Self::Schema(items, open || keeps_unknown(schema)))
            }
            _ => Self::Untyped,
        }
    }

    /// What a key field of an item stands for when it is absent.
    pub fn key_default(self, name: &str) -> Option<&'a Value> {
        match self {
            Self::BuiltIn(Type::Struct(at, _)) => table().structs[*at].field(name).and_then(declared_default),
            Self::Schema(schema, _) => schema.get("properties")?.get(name)?.get("default"),
            _ => None,
        }
    }
}

fn declared_default(field: &'static Field) -> Option<&'static Value> {
    field.default.as_ref()
}

/// Whether a schema keeps fields that it does not name.
pub fn keeps_unknown(schema: &Value) -> bool {
    schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
}

fn schema_field<'a>(schema: &'a Value, open: bool, name: &str) -> Option<(Node<'a>, bool)> {
    let properties = schema.get("properties").and_then(Value::as_object);
    if let Some(field) = properties.and_then(|properties| properties.get(name)) {
        return Some((Node::Schema(field, open), true));
    }
    match schema.get("additionalProperties") {
        Some(Value::Bool(true)) => Some((Node::Deduced, false)),
        Some(item @ Value::Object(_)) => Some((Node::Schema(item, open), false)),
        None if open || properties.is_none_or(serde_json::Map::is_empty) => Some((Node::Deduced, false)),
        _ => None,
    }
}
