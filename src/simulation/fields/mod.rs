//! How kube-apiserver types, defaults, checks and owns the fields of objects, as pure functions over JSON.
//!
//! The rules are those of structured-merge-diff v6 and of the built-in kinds of Kubernetes 1.36; the contract test replays
//! what a real server did.

mod apply;
mod compare;
mod completion;
mod crd;
mod defaults;
mod elements;
mod fieldsv1;
mod managers;
mod merge;
mod node;
mod pods;
mod quantity;
mod resets;
mod typed;
mod types;
mod update;
mod validation;

use serde_json::Value;

pub use apply::apply;
pub use completion::complete;
pub use defaults::is_zero;
pub use update::update;
pub use validation::{Cause, validate};

/// How an object is typed.
#[derive(Clone, Copy, Debug)]
pub enum Typing<'a> {
    /// A kind that the API server has compiled in: group (empty for core) and kind, as in ("apps", "Deployment").
    BuiltIn { group: &'a str, kind: &'a str },
    /// A kind of a `CustomResourceDefinition`: the `openAPIV3Schema` of its version.
    Custom { schema: &'a Value },
}

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The field manager.
    pub manager: &'a str,
    /// Group and version of the object, as in "apps/v1".
    pub api_version: &'a str,
    /// Empty, "status" or "scale".
    pub subresource: &'a str,
    /// RFC 3339 in UTC, whole seconds.
    pub time: &'a str,
}

/// One field that an apply would take from another manager: the manager's entry, and the field's path in the server's
/// words, as in `.spec.containers[name="web"].image`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldConflict {
    pub manager: String,
    pub api_version: String,
    pub operation: String,
    pub subresource: String,
    pub time: Option<String>,
    pub path: String,
}

impl FieldConflict {
    /// Who owns the field, in the words of the server's causes.
    pub fn owner(&self) -> String {
        let mut owner = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            owner.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == "Update" {
            owner.push_str(&format!(" using {}", self.api_version));
        }
        owner
    }
}

/// Why an apply is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyError {
    /// Other managers own fields that would change, by manager and path: 409 for the client.
    Conflicts(Vec<FieldConflict>),
    /// The configuration does not fit the type: the server's own sentence, 500 for the client.
    Invalid(String),
}

/// Fills in what the server fills in and drops what it drops, so that two objects compare as the server compares them.
///
/// Built-in kinds: the defaults of their version; unknown fields, nulls and empty values go where Go leaves them out, and
/// what Go always prints appears. Custom kinds: the schema's `default`s; unknown fields and nulls that it does not allow go.
pub fn default(typing: Typing<'_>, object: &mut Value) {
    match typing {
        Typing::BuiltIn { group, kind } => defaults::fill(group, kind, object),
        Typing::Custom { schema } => crd::fill(schema, object),
    }
}
