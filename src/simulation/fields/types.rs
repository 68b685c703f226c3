//! The types of the built-in kinds, read once from `types.txt`, where the notation is explained.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::defaults;

/// What an absent or empty field prints as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// Always there; the zero value when absent.
    Zero,
    /// Always there; null when absent.
    Null,
    /// Left out when zero or empty.
    OmitEmpty,
    /// Left out when null.
    OmitNull,
}

/// How the items of a list are told apart.
#[derive(PartialEq, Eq, Debug)]
pub enum Items {
    /// Not at all: the list is one leaf.
    Atomic,
    /// By their values.
    Set,
    /// By the values of these fields, sorted.
    Keyed(Vec<&'static str>),
}

#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub enum Scalar {
    Text,
    Number,
    Bool,
    Quantity,
    IntOrString,
    Time,
}

#[derive(Debug)]
pub enum Type {
    Scalar(Scalar),
    /// Any JSON, typed by its value.
    Any,
    /// Any JSON, one leaf.
    Raw,
    /// A struct by its place in the table; whether this field merges as a whole.
    Struct(usize, bool),
    Map(Box<Type>, bool),
    List(Box<Type>, Items),
}

#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub mark: Mark,
    pub kind: Type,
    pub default: Option<Value>,
}

#[derive(Debug)]
pub struct Struct {
    /// Merges as a whole.
    pub atomic: bool,
    /// By name.
    pub fields: Vec<Field>,
    /// What the server sets where it depends on other fields.
    pub hook: Option<defaults::Hook>,
    /// An object of this struct with no field given.
    zero: OnceLock<Value>,
}

impl Struct {
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.binary_search_by(|field| field.name.cmp(name)).ok().map(|at| &self.fields[at])
    }

    /// What Go prints of this struct when nothing is set, without defaults.
    pub fn zero(&self) -> &Value {
        self.zero.get_or_init(|| {
            let mut zero = Map::new();
            for field in &self.fields {
                match field.mark {
                    Mark::Zero => drop(zero.insert(field.name.into(), field.kind.zero())),
                    Mark::Null => drop(zero.insert(field.name.into(), Value::Null)),
                    Mark::OmitEmpty | Mark::OmitNull => {}
                }
            }
            Value::Object(zero)
        })
    }
}

impl Type {
    /// What Go prints of this type when nothing is set.
    pub fn zero(&self) -> Value {
        match self {
            Self::Scalar(Scalar::Text) => "".into(),
            Self::Scalar(Scalar::Number | Scalar::IntOrString) => 0.into(),
            Self::Scalar(Scalar::Bool) => false.into(),
            Self::Scalar(Scalar::Quantity) => "0".into(),
            Self::Scalar(Scalar::Time) | Self::Any | Self::Raw | Self::Map(..) | Self::List(..) => Value::Null,
            Self::Struct(at, _) => table().structs[*at].zero().clone(),
        }
    }
}

#[derive(Debug)]
pub struct Table {
    pub structs: Vec<Struct>,
    by_name: BTreeMap<&'static str, usize>,
    /// Each struct as a type, in the same order.
    wholes: Vec<Type>,
    meta: Type,
}

impl Table {
    pub fn named(&self, name: &str) -> Option<&Struct> {
        self.by_name.get(name).map(|at| &self.structs[*at])
    }

    /// A struct as a type.
    pub fn whole(&self, name: &str) -> Option<&Type> {
        self.wholes.get(self.position(name)?)
    }

    pub fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The type of `metadata`.
    pub fn meta(&self) -> &Type {
        &self.meta
    }
}

/// The table of all structs.
pub fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| read(include_str!("types.txt")))
}

fn read(text: &'static str) -> Table {
    let lines = || text.lines().filter(|line| !line.starts_with('#'));
    let names = lines().filter_map(|line| line.split([' ', '!']).next());
    let by_name: BTreeMap<_, _> = names.enumerate().map(|(at, name)| (name, at)).collect();
    let structs: Vec<_> = lines().map(|line| read_struct(line, &by_name)).collect();
    let meta = Type::Struct(by_name.get("ObjectMeta").copied().unwrap_or_default(), false);
    let wholes = (0..by_name.len()).map(|at| Type::Struct(at, false)).collect();
    Table { structs, by_name, wholes, meta }
}

fn read_struct(line: &'static str, names: &BTreeMap<&'static str, usize>) -> Struct {
    let mut words = line.split(' ');
    let head = words.next().unwrap_or_default();
    let name = head.trim_end_matches('!');
    let mut fields: Vec<Field> = words.filter_map(|word| read_field(word, names)).collect();
    for (_, field, json) in defaults::STATIC.iter().filter(|(owner, ..)| *owner == name) {
        if let Some(field) = fields.iter_mut().find(|f| f.name == *field) {
            field.default = serde_json::from_str(json).ok();
        }
    }
    Struct { atomic: head.ends_with('!'), fields, hook: defaults::hook(name), zero: OnceLock::new() }
}

fn read_field(word: &'static str, names: &BTreeMap<&'static str, usize>) -> Option<Field> {
    let (head, rest) = word.split_once(':')?;
    let (kind, default) = rest.split_once('=').map_or((rest, None), |(kind, json)| (kind, serde_json::from_str(json).ok()));
    let name = head.trim_end_matches(['?', '*', '^']);
    let mark = match &head[name.len()..] {
        "?" => Mark::OmitEmpty,
        "*" => Mark::OmitNull,
        "^" => Mark::Null,
        _ => Mark::Zero,
    };
    Some(Field { name, mark, kind: read_type(kind, names), default })
}

fn read_type(text: &'static str, names: &BTreeMap<&'static str, usize>) -> Type {
    if let Some(inner) = text.strip_prefix('{') {
        let (inner, suffix) = inner.rsplit_once('}').unwrap_or((inner, ""));
        return Type::Map(Box::new(read_type(inner, names)), suffix == "!");
    }
    if let Some(inner) = text.strip_prefix('[') {
        let (inner, suffix) = inner.rsplit_once(']').unwrap_or((inner, ""));
        let items = match suffix.strip_prefix("by") {
            Some(keys) => Items::Keyed(sorted(keys)),
            None if suffix == "set" => Items::Set,
            None => Items::Atomic,
        };
        return Type::List(Box::new(read_type(inner, names)), items);
    }
    match text {
        "str" => Type::Scalar(Scalar::Text),
        "int" | "num" => Type::Scalar(Scalar::Number),
        "bool" => Type::Scalar(Scalar::Bool),
        "quantity" => Type::Scalar(Scalar::Quantity),
        "intstr" => Type::Scalar(Scalar::IntOrString),
        "time" => Type::Scalar(Scalar::Time),
        "raw" => Type::Raw,
        name => names.get(name.trim_end_matches('!')).map_or(Type::Any, |at| Type::Struct(*at, name.ends_with('!'))),
    }
}

fn sorted(keys: &'static str) -> Vec<&'static str> {
    let mut keys: Vec<_> = keys.split(',').collect();
    keys.sort_unstable();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_and_every_struct_is_known() {
        let text = include_str!("types.txt");
        let any = text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.split(' ').skip(1));
        for word in any {
            let kind = word.split_once(':').map(|(_, kind)| kind.split('=').next().unwrap_or_default()).unwrap_or_default();
            let name: String = kind.trim_matches(['{', '}', '[', ']', '!']).chars().take_while(char::is_ascii_alphanumeric).collect();
            let known = ["str", "int", "num", "bool", "quantity", "intstr", "time", "raw", "any"].contains(&name.as_str());
            assert!(known || table().position(&name).is_some(), "{word}: nothing is called {name}");
        }
        for (name, at) in &table().by_name {
            assert!(table().structs[*at].fields.is_sorted_by_key(|field| field.name), "{name}: fields are looked up by halving");
        }
        for (owner, field, json) in defaults::STATIC {
            let found = table().named(owner).and_then(|one| one.field(field));
            assert!(found.is_some_and(|field| field.default.is_some()), "{owner}.{field} = {json}: no such field or no JSON");
        }
    }
}
