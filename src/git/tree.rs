//! The files of one commit, read from a bare mirror.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use git2::{ErrorCode, ObjectType, Oid, Repository};

use crate::kustomize::{EntryKind, Files, FilesError};

/// The largest file that is read; a manifest is a thousandth of it.
pub const LARGEST_FILE: usize = 20 * 1024 * 1024;
/// As many links as Linux follows in one path.
const MOST_LINKS: usize = 40;
const LINK_MODE: i32 = 0o120_000;

/// The tree of a commit, as the renderer reads it.
pub struct GitTree {
    // libgit2's handle may move between threads, but only one may use it at a time.
    repository: Mutex<Repository>,
    root: Oid,
    name: String,
}

impl fmt::Debug for GitTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitTree").field("name", &self.name).field("root", &self.root).finish_non_exhaustive()
    }
}

enum Entry {
    Directory,
    File(Oid),
}

impl GitTree {
    pub(super) fn new(repository: Repository, root: Oid, name: String) -> Self {
        Self { repository: Mutex::new(repository), root, name }
    }

    /// The hash of the tree: equal hashes are equal files.
    #[must_use]
    pub const fn root(&self) -> Oid {
        self.root
    }

    fn unreadable(&self, path: &str, cause: impl Into<String>) -> FilesError {
        FilesError::Unreadable { tree: self.name.clone(), path: path.to_owned(), cause: cause.into() }
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, FilesError> {
        let repository = self.repository.lock().unwrap_or_else(PoisonError::into_inner);
        let broken = |error: &git2::Error| self.unreadable(path, error.message());
        let root = repository.find_tree(self.root).map_err(|error| broken(&error))?;
        // What is still to be walked, the next part last; what has been walked, free of links.
        let mut ahead: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut walked: Vec<String> = Vec::new();
        let mut links = 0;
        let mut here = Entry::Directory;
        while let Some(part) = ahead.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    if walked.pop().is_none() {
                        return Err(FilesError::Escapes { tree: self.name.clone(), path: path.to_owned() });
                    }
                    here = Entry::Directory;
                    continue;
                }
                _ => {}
            }
            if matches!(here, Entry::File(_)) {
                return Ok(None);
            }
            walked.push(part);
            let found = match root.get_path(Path::new(&walked.join("/"))) {
                Ok(found) => found,
                Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
                Err(error) => return Err(broken(&error)),
            };
            here = match found.kind() {
                Some(ObjectType::Tree) => Entry::Directory,
                Some(ObjectType::Blob) if found.filemode() == LINK_MODE => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(self.unreadable(path, "its symbolic links go round in a circle"));
                    }
                    let target = repository.find_blob(found.id()).map_err(|error| broken(&error))?;
                    let target = String::from_utf8_lossy(target.content()).into_owned();
                    if target.starts_with('/') {
                        return Err(FilesError::Escapes { tree: self.name.clone(), path: path.to_owned() });
                    }
                    walked.pop();
                    ahead.extend(target.split('/').rev().map(str::to_owned));
                    Entry::Directory
                }
                Some(ObjectType::Blob) => Entry::File(found.id()),
                Some(ObjectType::Commit) => return Err(self.unreadable(path, "it is in a submodule, and submodules are not fetched")),
                _ => return Err(self.unreadable(path, "it is neither a file nor a folder")),
            };
        }
        Ok(Some(here))
    }
}

impl Files for GitTree {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn kind(&self, path: &str) -> Result<Option<EntryKind>, FilesError> {
        Ok(self.entry(path)?.map(|entry| match entry {
            Entry::Directory => EntryKind::Directory,
            Entry::File(_) => EntryKind::File,
        }))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FilesError> {
        let blob = match self.entry(path)? {
            Some(Entry::File(blob)) => blob,
            Some(Entry::Directory) => return Err(self.unreadable(path, "it is a folder")),
            None => return Err(FilesError::NotFound { tree: self.name.clone(), path: path.to_owned() }),
        };
        let repository = self.repository.lock().unwrap_or_else(PoisonError::into_inner);
        let broken = |error: git2::Error| self.unreadable(path, error.message());
        // The header tells the size before the content is unpacked.
        let (size, _) = repository.odb().and_then(|odb| odb.read_header(blob)).map_err(broken)?;
        if size > LARGEST_FILE {
            return Err(self.unreadable(path, format!("{size} bytes are more than the {LARGEST_FILE} that are read of a file")));
        }
        repository.find_blob(blob).map(|blob| blob.content().to_vec()).map_err(broken)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::git::Mirror;
    use crate::git::scratch::{Folder, Origin};

    #[test]
    fn links_are_followed_inside_and_nowhere_else() {
        let folder = Folder::new();
        let origin = Origin::new(&folder, "app");
        origin.write("base/a.yaml", "a: 1\n");
        origin.link("overlay/base", "../base");
        origin.link("overlay/a.yaml", "base/a.yaml");
        origin.link("out", "../../etc/passwd");
        origin.link("absolute", "/etc/passwd");
        origin.link("round", "round");
        origin.write("big.bin", &"x".repeat(LARGEST_FILE + 1));
        let commit = origin.commit_all();
        let mirror = Mirror::open(&folder.path().join("cache"), &origin.url()).expect("opened");
        mirror.fetch(Duration::from_secs(20)).expect("fetched");
        let tree = mirror.tree(mirror.resolve(&commit).expect("there")).expect("a tree");
        assert!(tree.name().ends_with(&format!("app.git at {}", &commit[..8])), "{}", tree.name());
        for path in ["base/a.yaml", "overlay/base/a.yaml", "overlay/a.yaml", "./base//a.yaml", "overlay/../base/a.yaml"] {
            assert_eq!(tree.read(path).expect(path), b"a: 1\n", "{path}");
        }
        assert_eq!(tree.kind("").expect("root"), Some(EntryKind::Directory));
        assert_eq!(tree.kind("overlay/base").expect("link"), Some(EntryKind::Directory));
        assert_eq!(tree.kind("nothing").expect("nothing"), None);
        assert_eq!(tree.kind("base/a.yaml/x").expect("below a file"), None);
        assert!(matches!(tree.read("nothing"), Err(FilesError::NotFound { .. })));
        for path in ["out", "absolute", "../x", "base/../../x"] {
            assert!(matches!(tree.read(path), Err(FilesError::Escapes { .. })), "{path}");
        }
        assert!(tree.read("round").expect_err("a circle").to_string().contains("circle"));
        assert!(tree.read("big.bin").expect_err("too big").to_string().contains("bytes"));
        assert!(tree.read("base").expect_err("a folder").to_string().contains("folder"));
    }
}
