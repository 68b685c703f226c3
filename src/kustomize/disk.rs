//! A tree on disk.

use std::io;
use std::path::{Path, PathBuf};

use super::files::{EntryKind, Files, FilesError};

/// The files below one folder. Symlinks are resolved first, and what they lead to must lie below
/// the folder too.
pub struct DiskFiles {
    root: PathBuf,
}

impl DiskFiles {
    /// The tree whose root is `root`.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn unreadable(&self, path: &str, cause: &io::Error) -> FilesError {
        FilesError::Unreadable { tree: self.name(), path: path.to_owned(), cause: cause.to_string() }
    }

    /// Where `path` really is, `None` where there is nothing.
    fn resolved(&self, path: &str) -> Result<Option<PathBuf>, FilesError> {
        let root = self.root.canonicalize().map_err(|error| self.unreadable(path, &error))?;
        let inside =
            Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir));
        let escapes = || FilesError::Escapes { tree: self.name(), path: path.to_owned() };
        if !inside {
            return Err(escapes());
        }
        match root.join(path).canonicalize() {
            Ok(real) if real.starts_with(&root) => Ok(Some(real)),
            Ok(_) => Err(escapes()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(self.unreadable(path, &error)),
        }
    }
}

impl Files for DiskFiles {
    fn name(&self) -> String {
        self.root.display().to_string()
    }

    fn kind(&self, path: &str) -> Result<Option<EntryKind>, FilesError> {
        let Some(real) = self.resolved(path)? else {
            return Ok(None);
        };
        let data = real.metadata().map_err(|error| self.unreadable(path, &error))?;
        Ok(if data.is_dir() {
            Some(EntryKind::Directory)
        } else if data.is_file() {
            Some(EntryKind::File)
        } else {
            None
        })
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FilesError> {
        let real = self.resolved(path)?.ok_or_else(|| FilesError::NotFound { tree: self.name(), path: path.to_owned() })?;
        std::fs::read(real).map_err(|error| self.unreadable(path, &error))
    }
}
