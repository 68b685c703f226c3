//! One object on its way through the transformers, with the names it has had.

use std::collections::BTreeMap;

use super::error::Error;
use super::identity::{Gvk, Id};
use super::node::{Node, key_is_text};
use super::parse::documents;
use super::scalars::Dialect;

/// What a generator does to an object of the same identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behavior {
    Create,
    Replace,
    Merge,
}

/// A former name.
#[derive(Clone, Debug)]
struct Previous {
    namespace: String,
    name: String,
    kind: String,
}

/// An object and kustomize's bookkeeping about it.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) node: Node,
    previous: Vec<Previous>,
    pub(super) prefixes: Vec<String>,
    pub(super) suffixes: Vec<String>,
    pub(super) needs_hash: bool,
    /// kustomize keeps its bookkeeping in annotations, which a patch of annotations meets.
    pub(super) touched: bool,
    /// Deleted by a patch; dropped after the transformer.
    pub(super) deleted: bool,
}

impl Resource {
    pub(super) fn new(node: Node) -> Self {
        Self { node, previous: Vec::new(), prefixes: Vec::new(), suffixes: Vec::new(), needs_hash: false, touched: false, deleted: false }
    }

    pub(super) fn gvk(&self) -> Gvk {
        Gvk::of(self.field("apiVersion"), self.kind())
    }

    pub(super) fn kind(&self) -> &str {
        self.field("kind")
    }

    fn field(&self, key: &str) -> &str {
        self.node.get(key).map_or("", scalar_text)
    }

    fn meta(&self, key: &str) -> &str {
        self.node.get("metadata").and_then(|meta| meta.get(key)).map_or("", scalar_text)
    }

    pub(super) fn name(&self) -> &str {
        self.meta("name")
    }

    pub(super) fn namespace(&self) -> &str {
        self.meta("namespace")
    }

    pub(super) fn set_name(&mut self, name: &str) {
        if let Some(meta) = self.node.child("metadata") {
            meta.set("name", Node::unset(name));
        }
    }

    pub(super) fn set_namespace(&mut self, namespace: &str) {
        let Some(meta) = self.node.child("metadata") else {
            return;
        };
        if namespace.is_empty() {
            meta.remove("namespace");
        } else {
            meta.set("namespace", Node::unset(namespace));
        }
    }

    pub(super) fn id(&self) -> Id {
        let gvk = self.gvk();
        Id { cluster_scoped: gvk.is_cluster_scoped(), gvk, name: self.name().to_owned(), namespace: self.namespace().to_owned() }
    }

    /// The former identities, the oldest first. They carry today's API version, and their scope
    /// is what was written down.
    pub(super) fn previous_ids(&self) -> Vec<Id> {
        let now = self.gvk();
        self.previous
            .iter()
            .map(|previous| Id {
                gvk: Gvk { kind: previous.kind.clone(), ..now.clone() },
                name: previous.name.clone(),
                namespace: previous.namespace.clone(),
                cluster_scoped: false,
            })
            .collect()
    }

    pub(super) fn original_id(&self) -> Id {
        self.previous_ids().into_iter().next().unwrap_or_else(|| self.id())
    }

    pub(super) fn matches_any_id(&self, id: &Id) -> bool {
        !self.deleted && (self.id().same(id) || self.previous_ids().iter().any(|previous| previous.same(id)))
    }

    pub(super) fn remember(&mut self) {
        let id = self.id();
        self.previous.push(Previous { namespace: id.effective_namespace().to_owned(), name: id.name, kind: id.gvk.kind });
        self.touched = true;
    }

    /// Takes over the names, labels, annotations and bookkeeping of the object it replaces.
    pub(super) fn inherit(&mut self, old: &Resource) {
        for field in ["labels", "annotations"] {
            let mut texts = old.node.metadata_texts(field);
            texts.extend(self.node.metadata_texts(field));
            self.node.set_metadata_texts(field, texts);
        }
        self.set_name(old.name());
        self.set_namespace(old.namespace());
        self.previous.clone_from(&old.previous);
        self.prefixes.clone_from(&old.prefixes);
        self.suffixes.clone_from(&old.suffixes);
        self.needs_hash = self.needs_hash && old.needs_hash;
        self.touched = self.touched || old.touched;
    }

    /// Adds the entries of `old`'s map of strings that are not here.
    pub(super) fn merge_texts(&mut self, field: &str, old: &Resource) -> Result<(), String> {
        let mut texts = texts_of(&old.node, field);
        texts.keys().try_for_each(|key| key_is_text(key))?;
        texts.extend(texts_of(&self.node, field));
        self.node.remove(field);
        if !texts.is_empty() {
            let map = texts.into_iter().map(|(key, text)| (key, Node::text(text))).collect();
            self.node.set(field, Node::Mapping(map));
        }
        Ok(())
    }

    /// Makes sure that `metadata.annotations` is there, as it is in kustomize once bookkeeping is.
    pub(super) fn open_annotations(&mut self) {
        if let Some(meta) = self.node.child("metadata") {
            meta.child("annotations");
        }
    }

    /// Annotations become strings, and the field goes where there are none.
    pub(super) fn close_annotations(&mut self) -> Result<(), String> {
        let texts = self.node.metadata_texts("annotations");
        texts.keys().try_for_each(|key| key_is_text(key))?;
        self.node.set_metadata_texts("annotations", texts);
        Ok(())
    }
}

fn texts_of(node: &Node, field: &str) -> BTreeMap<String, String> {
    match node.get(field) {
        Some(Node::Mapping(map)) => map
            .iter()
            .map(|(key, value)| {
                let text = if value.is_null() { "" } else { value.as_text() };
                (key.clone(), text.to_owned())
            })
            .collect(),
        _ => BTreeMap::new(),
    }
}

fn scalar_text(node: &Node) -> &str {
    if node.is_null() { "" } else { node.as_text() }
}

/// The objects of a file: documents without content are dropped and lists are flattened.
pub(super) fn resources(text: &str, file: &str) -> Result<Vec<Resource>, Error> {
    let nodes = documents(text, file, Dialect::V3)?;
    let mut queue: std::collections::VecDeque<Node> = unwrapped(nodes).into();
    let mut found = Vec::new();
    while let Some(node) = queue.pop_front() {
        if node.is_empty() {
            continue;
        }
        check(&node, file)?;
        let is_list = node.get("kind").is_some_and(|kind| kind.as_text().ends_with("List"));
        match node.get("items").filter(|_| is_list) {
            None => found.push(Resource::new(node)),
            Some(items) if items.is_null() => {}
            Some(Node::Sequence(items)) => {
                // kustomize takes the items of a list through JSON.
                for item in items {
                    let value = item.to_value().map_err(|cause| Error::document(file, cause))?;
                    queue.push_back(Node::from_value(&value));
                }
            }
            Some(_) => return Err(Error::document(file, "items of a list are not a sequence")),
        }
    }
    Ok(found)
}

/// A `List` that is alone in its file is opened where it stands.
fn unwrapped(nodes: Vec<Node>) -> Vec<Node> {
    match nodes.as_slice() {
        [list] if matches!(list.get("kind").map(Node::as_text), Some("List" | "ResourceList")) => match list.get("items") {
            Some(Node::Sequence(items)) => items.clone(),
            _ => nodes,
        },
        _ => nodes,
    }
}

fn check(node: &Node, file: &str) -> Result<(), Error> {
    let Node::Mapping(_) = node else {
        return Err(Error::document(file, "a document is not an object"));
    };
    let resource = Resource::new(node.clone());
    if resource.kind().is_empty() {
        return Err(Error::document(file, "an object without kind"));
    }
    if resource.name().is_empty() && !resource.kind().ends_with("List") {
        let kind = resource.kind();
        return Err(Error::document(file, format!("a {kind} without metadata.name")));
    }
    Ok(())
}
