//! One writer per mirror, across processes.
//!
//! The lock is the kernel's, on a file beside the mirror: it ends with the process that holds it, however that
//! process ends, so there is never a stale lock to judge. The file's text names the holder for the one who waits.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::GitError;

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The right to write to a mirror; given back when dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock at `path` until `deadline` has passed.
    pub(super) fn take(path: &Path, repository: &str, deadline: Duration) -> Result<Self, GitError> {
        let failed = |error: std::io::Error| GitError::Cache { path: path.to_owned(), cause: error.to_string() };
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begun.elapsed() < deadline => std::thread::sleep(LOOK_AGAIN),
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    // The name of the holder is a courtesy: without it the sentence still stands.
                    let _ = file.read_to_string(&mut holder);
                    let holder = crate::domain::text::clean(holder.trim());
                    return Err(GitError::Busy { repository: repository.to_owned(), holder, seconds: deadline.as_secs() });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        file.write_all(std::process::id().to_string().as_bytes()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::scratch::Folder;

    #[test]
    fn a_second_writer_waits_and_names_the_first() {
        let folder = Folder::new();
        let path = folder.path().join("a.lock");
        let first = Lock::take(&path, "a", Duration::ZERO).expect("free");
        let error = Lock::take(&path, "a", Duration::from_millis(60)).expect_err("held").to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(first);
        // A child that another thread starts holds a copy of the descriptor until it becomes its own programme.
        Lock::take(&path, "a", Duration::from_secs(2)).expect("free again");
    }

    #[test]
    fn what_a_dead_holder_left_behind_is_no_lock() {
        let folder = Folder::new();
        let path = folder.path().join("a.lock");
        std::fs::write(&path, "4194304").expect("written");
        Lock::take(&path, "a", Duration::ZERO).expect("nobody holds it");
    }
}
