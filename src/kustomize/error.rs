//! Why a tree could not be rendered: every message names the file, the cause and the way out.

use super::files::FilesError;

/// A rendering that did not happen. Nothing partial is ever handed out beside it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tree could not be read.
    #[error("{file}: {source}; correct the path, or add the missing file to the commit")]
    Files { file: String, source: FilesError },
    /// A feature that this renderer leaves to an installed kustomize.
    #[error("{file}: {feature} is not rendered natively; remove it, or let an installed kustomize render this folder")]
    Unsupported { file: String, feature: String },
    /// A field that no kustomization has.
    #[error("{file}: unknown field \"{field}\"; correct its spelling or remove it")]
    UnknownField { file: String, field: String },
    /// A kustomization, generator or patch that contradicts its own rules.
    #[error("{file}: {cause}; correct the kustomization")]
    Invalid { file: String, cause: String },
    /// Text that is not YAML, or not the YAML of a Kubernetes object.
    #[error("{file}: {cause}; correct the document")]
    Document { file: String, cause: String },
    /// A path that is in the tree but out of the reach of the kustomization that names it.
    #[error("{file}: {path} is outside of the kustomization's folder; only folders may be named outside of it")]
    OutsideFolder { file: String, path: String },
    /// A path that leaves the tree.
    #[error("{file}: {path} leaves {tree}; nothing outside of the tree is read, so bring the file into it")]
    Escapes { file: String, path: String, tree: String },
    /// A folder without a kustomization.
    #[error("{folder}: no kustomization.yaml, kustomization.yml or Kustomization in {tree}; add one or correct the reference")]
    NoKustomization { folder: String, tree: String },
    /// A folder with more than one kustomization.
    #[error("{folder}: more than one kustomization file ({found}); keep one")]
    SeveralKustomizations { folder: String, found: String },
    /// A base that leads back to a folder which is being rendered.
    #[error("{file}: cycle through {path}, which contains a folder that is being rendered; remove the reference")]
    Cycle { file: String, path: String },
    /// More work than a sane tree asks for.
    #[error("{file}: more than {limit} {what}; split the tree")]
    Budget { file: String, limit: usize, what: &'static str },
    /// Two objects with one identity.
    #[error("{file}: {id} is there twice; remove or rename one of them")]
    Duplicate { file: String, id: String },
    /// A patch that fits no object, or does not apply.
    #[error("{file}: {patch}: {cause}; correct the patch or its target")]
    Patch { file: String, patch: String, cause: String },
    /// A transformer met a document of another shape than it expects.
    #[error("{file}: {id}: {cause}; correct the object")]
    Object { file: String, id: String, cause: String },
    /// A remote base that could not be opened.
    #[error("{file}: remote base {base}: {cause}")]
    Remote { file: String, base: String, cause: String },
}

impl Error {
    pub(super) fn document(file: &str, cause: impl Into<String>) -> Self {
        Self::Document { file: file.to_owned(), cause: cause.into() }
    }

    pub(super) fn invalid(file: &str, cause: impl Into<String>) -> Self {
        Self::Invalid { file: file.to_owned(), cause: cause.into() }
    }

    pub(super) fn unsupported(file: &str, feature: impl Into<String>) -> Self {
        Self::Unsupported { file: file.to_owned(), feature: feature.into() }
    }

    pub(super) fn object(file: &str, id: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::Object { file: file.to_owned(), id: id.into(), cause: cause.into() }
    }

    pub(super) fn patch(file: &str, patch: &str, cause: impl Into<String>) -> Self {
        Self::Patch { file: file.to_owned(), patch: patch.to_owned(), cause: cause.into() }
    }
}
