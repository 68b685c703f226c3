//! What tells, without reading one of them, that no ref of a repository on this machine has moved.
//!
//! Git replaces the file of a ref by another one, and never writes into it: a ref that has moved is another file.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Files and folders of a repository's refs: where each is, which file it is, how long, and when it was changed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(Vec<(PathBuf, u64, u64, i64, i64)>);

/// More refs are read instead.
const MOST: usize = 2_000;

impl Stamp {
    /// The stamp of the repository in `folder`, bare or with a work tree; `None` where its refs are kept in a way that is
    /// not known here, or cannot be looked at: then they are to be read.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        let folder = if folder.join("HEAD").is_file() { folder.to_owned() } else { folder.join(".git") };
        if folder.join("reftable").exists() {
            return None;
        }
        let mut stamp = Self(Vec::new());
        stamp.note(folder.join("HEAD"), &std::fs::metadata(folder.join("HEAD")).ok()?);
        let packed = folder.join("packed-refs");
        if let Ok(metadata) = std::fs::metadata(&packed) {
            stamp.note(packed, &metadata);
        }
        let mut folders = vec![folder.join("refs")];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).ok()? {
                let path = entry.ok()?.path();
                // A symbolic link is what it leads to.
                let metadata = std::fs::metadata(&path).ok()?;
                if metadata.is_dir() {
                    folders.push(path);
                } else {
                    stamp.note(path, &metadata);
                }
                if stamp.0.len() + folders.len() > MOST {
                    return None;
                }
            }
        }
        stamp.0.sort();
        Some(stamp)
    }

    fn note(&mut self, path: PathBuf, metadata: &Metadata) {
        self.0.push((path, metadata.ino(), metadata.len(), metadata.ctime(), metadata.ctime_nsec()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::scratch::{Folder, Origin};

    #[test]
    fn whatever_moves_a_ref_makes_another_stamp() {
        let folder = Folder::new();
        let origin = Origin::new(&folder, "app");
        origin.commit("a.txt", "one");
        let stamp = || Stamp::of(origin.bare()).expect("a repository");
        let mut before = stamp();
        assert_eq!(before, stamp());
        let mut moved = |what: &str| {
            let now = stamp();
            assert_ne!(before, now, "{what}");
            before = now;
        };
        origin.commit("a.txt", "two");
        moved("a commit");
        origin.git(&["tag", "1.0.0"]);
        moved("a tag");
        origin.git(&["branch", "side/deeper"]);
        moved("a branch in a folder");
        origin.git(&["branch", "-f", "side/deeper", "HEAD~1"]);
        moved("a branch that was moved by force, to an id as long as before");
        origin.git(&["pack-refs", "--all"]);
        moved("refs that were packed");
        origin.git(&["branch", "-D", "side/deeper"]);
        moved("a packed branch that was deleted");
        origin.git(&["symbolic-ref", "HEAD", "refs/heads/side"]);
        moved("another HEAD");
        std::fs::create_dir(origin.bare().join("reftable")).expect("a folder");
        assert!(Stamp::of(origin.bare()).is_none(), "refs in tables have no files");
        assert!(Stamp::of(folder.path()).is_none(), "no repository");
    }

    #[test]
    fn a_work_tree_has_the_stamp_of_its_repository() {
        let folder = Folder::new();
        let mirror = git2::Repository::init(folder.path().join("work")).expect("made");
        assert_eq!(Stamp::of(&folder.path().join("work")), Stamp::of(mirror.path()));
    }
}
