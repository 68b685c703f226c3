//! Where a kustomization stands, and what it may read from there: files in or below its folder,
//! folders anywhere in the tree, remote bases.

use std::sync::Arc;

use super::error::Error;
use super::files::{EntryKind, Files, FilesError, RemoteBase, Remotes};
use super::remote::parse_remote;
use super::spec::FILE_NAMES;

/// How deep bases may lie in bases.
const MAX_DEPTH: usize = 32;

/// A folder of a tree, and the folders that led to it.
#[derive(Clone)]
pub(super) struct Place {
    tree: Arc<dyn Files>,
    folder: String,
    /// The folders being rendered, this one included, each with its tree.
    visited: Vec<(usize, String)>,
    tree_number: usize,
    /// The remote bases being rendered, as they were written.
    remotes: Vec<String>,
}

/// What a reference in `resources` leads to.
pub(super) enum Target {
    File(String),
    Folder(Place),
    Remote(Place, RemoteBase),
}

impl Place {
    /// The folder `path` of `tree`, where rendering begins.
    pub(super) fn root(tree: Arc<dyn Files>, path: &str) -> Result<Self, Error> {
        let folder =
            normalised("", path).ok_or_else(|| Error::Escapes { file: path.to_owned(), path: path.to_owned(), tree: tree.name() })?;
        Ok(Self { tree, visited: vec![(0, folder.clone())], folder, tree_number: 0, remotes: Vec::new() })
    }

    /// The kustomization file's path in the tree and its text.
    pub(super) fn kustomization(&self) -> Result<(String, String), Error> {
        let mut found = Vec::new();
        for name in FILE_NAMES {
            let path = joined(&self.folder, name);
            if self.kind(&path, &path)? == Some(EntryKind::File) {
                found.push(path);
            }
        }
        match found.as_slice() {
            [] => Err(Error::NoKustomization { folder: shown(&self.folder).to_owned(), tree: self.tree.name() }),
            [path] => Ok((path.clone(), self.text(path, path)?)),
            several => Err(Error::SeveralKustomizations { folder: shown(&self.folder).to_owned(), found: several.join(", ") }),
        }
    }

    fn kind(&self, path: &str, file: &str) -> Result<Option<EntryKind>, Error> {
        self.tree.kind(path).map_err(|source| Error::Files { file: file.to_owned(), source })
    }

    fn bytes(&self, path: &str, file: &str) -> Result<Vec<u8>, Error> {
        self.tree.read(path).map_err(|source| Error::Files { file: file.to_owned(), source })
    }

    fn text(&self, path: &str, file: &str) -> Result<String, Error> {
        String::from_utf8(self.bytes(path, file)?).map_err(|_| Error::document(path, "it is not UTF-8"))
    }

    fn escapes(&self, file: &str, path: &str) -> Error {
        Error::Escapes { file: file.to_owned(), path: path.to_owned(), tree: self.tree.name() }
    }

    fn resolved(&self, path: &str, file: &str) -> Result<String, Error> {
        normalised(&self.folder, path).ok_or_else(|| self.escapes(file, path))
    }

    /// The path in the tree of a file that `file` names.
    fn file_path(&self, path: &str, file: &str) -> Result<String, Error> {
        if path.starts_with("http://") || path.starts_with("https://") {
            return Err(Error::unsupported(file, format!("the file {path}, fetched over HTTP,")));
        }
        let resolved = self.resolved(path, file)?;
        if !is_below(&resolved, &self.folder) {
            return Err(Error::OutsideFolder { file: file.to_owned(), path: path.to_owned() });
        }
        Ok(resolved)
    }

    /// The bytes of a file in or below the folder, which `file` names.
    pub(super) fn read(&self, path: &str, file: &str) -> Result<Vec<u8>, Error> {
        let resolved = self.file_path(path, file)?;
        self.bytes(&resolved, file)
    }

    /// The path in the tree and the text of a file in or below the folder, which `file` names.
    pub(super) fn read_text(&self, path: &str, file: &str) -> Result<(String, String), Error> {
        let resolved = self.file_path(path, file)?;
        let text = self.text(&resolved, file)?;
        Ok((resolved, text))
    }

    /// What `reference`, an entry of `resources` in `file`, is: a file first, then a remote base,
    /// then a folder.
    pub(super) fn resource(&self, reference: &str, file: &str, remotes: &dyn Remotes) -> Result<Target, Error> {
        let web = ["http://", "https://"].iter().any(|scheme| reference.to_ascii_lowercase().starts_with(scheme));
        if web {
            let address = reference.split(['?', '#']).next().unwrap_or(reference);
            let is_file = [".yaml", ".yml", ".json"].iter().any(|end| address.ends_with(end));
            if is_file || parse_remote(reference).is_none() {
                return Err(Error::unsupported(file, format!("the resource {reference}, fetched over HTTP,")));
            }
        } else if let Some(path) = normalised(&self.folder, reference)
            && !reference.starts_with('/')
            && self.kind(&path, file)? == Some(EntryKind::File)
        {
            return Ok(Target::File(reference.to_owned()));
        }
        if let Some(base) = parse_remote(reference) {
            let place = self.remote(reference, &base, file, remotes)?;
            return Ok(Target::Remote(place, base));
        }
        self.folder(reference, file).map(Target::Folder)
    }

    /// The folder that `reference` in `file` names.
    pub(super) fn folder(&self, reference: &str, file: &str) -> Result<Self, Error> {
        if reference.is_empty() {
            return Err(Error::invalid(file, "a reference is empty"));
        }
        if reference.starts_with('/') {
            return Err(self.escapes(file, reference));
        }
        let folder = self.resolved(reference, file)?;
        if self.kind(&folder, file)? != Some(EntryKind::Directory) {
            return Err(Error::Files { file: file.to_owned(), source: FilesError::NotFound { tree: self.tree.name(), path: folder } });
        }
        if self.visited.iter().any(|(tree, visited)| *tree == self.tree_number && is_below(visited, &folder)) {
            return Err(Error::Cycle { file: file.to_owned(), path: reference.to_owned() });
        }
        let mut place = self.clone();
        place.visited.push((place.tree_number, folder.clone()));
        place.folder = folder;
        place.within_depth(file)
    }

    fn remote(&self, reference: &str, base: &RemoteBase, file: &str, remotes: &dyn Remotes) -> Result<Self, Error> {
        if self.remotes.iter().any(|visited| visited.starts_with(reference)) {
            return Err(Error::Cycle { file: file.to_owned(), path: reference.to_owned() });
        }
        let tree = remotes.open(base).map_err(|cause| Error::Remote { file: file.to_owned(), base: reference.to_owned(), cause })?;
        let mut place = self.clone();
        place.tree_number = place.visited.len();
        place.tree = tree;
        place.folder = normalised("", &base.path).ok_or_else(|| place.escapes(file, &base.path))?;
        place.visited.push((place.tree_number, place.folder.clone()));
        place.remotes.push(reference.to_owned());
        let folder = place.folder.clone();
        if place.kind(&folder, file)? != Some(EntryKind::Directory) {
            return Err(Error::Files { file: file.to_owned(), source: FilesError::NotFound { tree: place.tree.name(), path: folder } });
        }
        place.within_depth(file)
    }

    fn within_depth(self, file: &str) -> Result<Self, Error> {
        if self.visited.len() > MAX_DEPTH {
            return Err(Error::Budget { file: file.to_owned(), limit: MAX_DEPTH, what: "bases in each other" });
        }
        Ok(self)
    }
}

fn shown(folder: &str) -> &str {
    if folder.is_empty() { "." } else { folder }
}

fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn is_below(path: &str, folder: &str) -> bool {
    folder.is_empty() || path == folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// `path`, seen from `folder`, without `.` and `..`; `None` where it leaves the tree.
fn normalised(folder: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_within_the_tree() {
        assert_eq!(normalised("a/b", "../c/./d//e").as_deref(), Some("a/c/d/e"));
        assert_eq!(normalised("a", "..").as_deref(), Some(""));
        assert_eq!(normalised("a", "../.."), None);
        assert_eq!(normalised("", "/etc"), None);
        assert!(is_below("a/b", "a") && is_below("a", "a") && !is_below("ab", "a") && is_below("x", ""));
    }
}
