//! The trees that the renderer reads: a work tree on disk, or a commit in a bare mirror.
//!
//! Paths are relative to the tree's root, `/`-separated, without `.` or `..`: the renderer
//! normalises and checks the boundary before it asks, so an implementation never sees an escape.

use std::sync::Arc;

/// What a path in a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Directory,
}

/// Why a tree could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("{path}: not found in {tree}")]
    NotFound { tree: String, path: String },
    #[error("{path}: leaves {tree}, which nothing outside may be read from")]
    Escapes { tree: String, path: String },
    #[error("{path} in {tree}: {cause}")]
    Unreadable { tree: String, path: String, cause: String },
}

/// A read-only tree of files.
pub trait Files: Send + Sync {
    /// What the tree is called in error messages (a folder, or `URL at COMMIT`).
    fn name(&self) -> String;
    /// The kind of `path`, `None` where there is nothing. Symlinks are resolved within the tree.
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, FilesError>;
    /// The bytes of the file at `path`.
    fn read(&self, path: &str) -> Result<Vec<u8>, FilesError>;
}

/// A remote base as written in `resources:`, taken apart by kustomize's rules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemoteBase {
    /// The repository's URL, as git takes it.
    pub repository: String,
    /// The folder inside the repository, empty for its root.
    pub path: String,
    /// `?ref=` (or `?version=`); `None` is the repository's HEAD.
    pub reference: Option<String>,
}

/// Opens remote bases: from a mirror, or refuses where there is none.
pub trait Remotes: Send + Sync {
    /// The tree of `base.repository` at `base.reference`.
    ///
    /// # Errors
    /// A sentence that names the repository, the ref and the way out.
    fn open(&self, base: &RemoteBase) -> Result<Arc<dyn Files>, String>;
}
