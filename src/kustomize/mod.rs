//! A native, strict kustomize renderer.
//!
//! What lives here: everything between a tree of files and the bytes that `kustomize build` (5.8.1)
//! prints for a folder of it. A feature that is not rendered natively is [`Error::Unsupported`], so
//! that a caller can fall back to an installed kustomize; nothing is ever rendered differently.
//!
//! What never does: clusters, git, network, processes. Trees come in as [`Files`], remote bases
//! through [`Remotes`], and reading outside of a tree is refused.
//!
//! Read `accumulate.rs` first: it is the evaluation order. `spec.rs` is the kustomization file,
//! `parse.rs`, `node.rs` and `scalars.rs` the documents, `print.rs` the output.

mod accumulate;
mod disk;
mod error;
mod fieldspec;
mod files;
mod generate;
mod hash;
mod identity;
mod images;
mod jsonpatch;
mod labels;
mod load;
mod merge;
mod merge_keys;
mod namereference;
mod namespace;
mod node;
mod order;
mod parse;
mod patch;
pub(crate) mod pattern;
mod print;
mod referrers;
mod remote;
mod rename;
mod replicas;
mod resource;
mod scalars;
mod select;
mod spec;

use std::sync::Arc;

use serde_json::Value;

pub use disk::DiskFiles;
pub use error::Error;
pub use files::*;
pub use print::to_yaml_value;
pub use remote::parse_remote;

/// What a kustomization renders to.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// The objects, in kustomize's order.
    pub resources: Vec<Value>,
    /// Each remote base met, in order.
    pub remotes: Vec<RemoteBase>,
}

impl Rendered {
    /// The bytes that `kustomize build` prints.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let documents: Vec<String> = self.resources.iter().map(to_yaml_value).collect();
        documents.join("---\n")
    }
}

/// Renders the folder `path` of `tree`; the empty path is its root.
///
/// # Errors
/// An [`Error`] that names the file, the cause and the way out.
pub fn render(tree: Arc<dyn Files>, path: &str, remotes: &dyn Remotes) -> Result<Rendered, Error> {
    let (found, remotes, file) = accumulate::accumulate(tree, path, remotes)?;
    let resources = found
        .iter()
        .map(|resource| resource.node.to_value().map_err(|cause| Error::object(&file, resource.id().to_string(), cause)))
        .collect::<Result<_, _>>()?;
    Ok(Rendered { resources, remotes })
}

/// The documents of `text`, empty ones left out, with the types that kustomize gives them.
///
/// # Errors
/// [`Error::Document`] where the text is not YAML.
pub fn yaml_documents(text: &str) -> Result<Vec<Value>, Error> {
    let file = "document";
    parse::documents(text, file, scalars::Dialect::V3)?
        .iter()
        .map(|node| node.to_value().map_err(|cause| Error::document(file, cause)))
        .collect()
}
