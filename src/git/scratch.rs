//! Real repositories in throw-away folders, for this room's tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder that goes with the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("pilothouse-git-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A bare repository, and a work tree that pushes to it.
pub struct Origin {
    bare: PathBuf,
    work: PathBuf,
}

impl Origin {
    pub fn new(folder: &Folder, name: &str) -> Self {
        let origin = Self { bare: folder.path().join(format!("{name}.git")), work: folder.path().join(format!("{name}-work")) };
        run(folder.path(), &["init", "-q", "--bare", "-b", "main", &origin.bare.to_string_lossy()]);
        run(folder.path(), &["init", "-q", "-b", "main", &origin.work.to_string_lossy()]);
        origin
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.bare.display())
    }

    pub fn bare(&self) -> &Path {
        &self.bare
    }

    pub fn remove(&self) {
        std::fs::remove_dir_all(&self.bare).expect("removed");
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.work.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }

    pub fn link(&self, path: &str, target: &str) {
        let path = self.work.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::os::unix::fs::symlink(target, path).expect("linked");
    }

    /// Commits one file and pushes; the hash of the commit.
    pub fn commit(&self, path: &str, text: &str) -> String {
        self.write(path, text);
        self.commit_all()
    }

    pub fn commit_all(&self) -> String {
        run(&self.work, &["add", "-A"]);
        run(&self.work, &["commit", "-q", "--allow-empty", "-m", "work"]);
        self.push();
        run(&self.work, &["rev-parse", "HEAD"])
    }

    pub fn push(&self) {
        run(&self.work, &["push", "-q", "--force", &self.bare.to_string_lossy(), "HEAD:refs/heads/main"]);
    }

    /// Git in the bare repository.
    pub fn git(&self, args: &[&str]) -> String {
        run(&self.bare, args)
    }
}

fn run(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).args(["-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false"]).args(args);
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Ada Provider").env(format!("GIT_{role}_EMAIL"), "ada@example.com");
    }
    let output = command.output().expect("git runs");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
