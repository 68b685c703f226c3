//! A bare mirror of one repository in the cache folder.
//!
//! Any number of processes may read a mirror at any time; writers take turns by the lock beside it. A mirror is
//! a copy: deleting it costs one fetch.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use git2::{Oid, Repository, RepositoryInitOptions};
use sha2::{Digest, Sha256};

use super::child::{self, Answer};
use super::local;
use super::lock::Lock;
use super::refs::{self, Found, REMOTE_HEAD, RefInfo, RefKind};
use super::stamp::Stamp;
use super::{Address, GitError, GitTree};

/// Packs that may pile up, one a fetch, before they are put together.
const MOST_PACKS: usize = 50;

/// A bare mirror. Cheap to clone and to share; each call opens the repository anew.
#[derive(Clone, Debug)]
pub struct Mirror {
    address: Address,
    path: PathBuf,
}

impl Mirror {
    /// The mirror of `url` in the folder `cache`; an empty one is made where there is none. Touches no network.
    ///
    /// # Errors
    /// A URL that is refused, or a cache folder that cannot be written.
    pub fn open(cache: &Path, url: &str) -> Result<Self, GitError> {
        let address = Address::parse(url)?;
        let mut name = String::new();
        for byte in Sha256::digest(address.as_str().as_bytes()).iter().take(16) {
            let _ = write!(name, "{byte:02x}");
        }
        let path = cache.join(name + ".git");
        if !path.join("HEAD").is_file() {
            create(cache, &path).map_err(|cause| GitError::Cache { path: path.clone(), cause })?;
        }
        Ok(Self { address, path })
    }

    /// The repository that is mirrored.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// The folder of the mirror.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Brings all branches and tags up to date; what the remote no longer has is dropped.
    ///
    /// # Errors
    /// The remote is gone, refuses, or takes longer than `deadline`. The mirror stays as it was.
    pub fn fetch(&self, deadline: Duration) -> Result<(), GitError> {
        let begun = Instant::now();
        let _lock = self.lock(deadline)?;
        if self.address.is_local() && local::fetch(&self.repository()?, self.address.as_str()).is_ok() {
            return Ok(());
        }
        // What libgit2 cannot do, or says less well, is git's.
        let left = deadline.saturating_sub(begun.elapsed());
        let mut answer = self.run_fetch(true, left)?;
        if !answer.ok && answer.stderr.contains("remote ref HEAD") {
            // A repository without commits, or whose HEAD names no branch: everything else can still be had.
            answer = self.run_fetch(false, deadline.saturating_sub(begun.elapsed()))?;
        }
        if !answer.ok {
            return Err(answer.into_error("fetch from", &self.address));
        }
        self.tidy(deadline);
        Ok(())
    }

    /// What tells that no ref of the mirror has moved; `None` where they are to be read.
    #[must_use]
    pub fn stamp(&self) -> Option<Stamp> {
        Stamp::of(&self.path)
    }

    /// The same of the repository that is mirrored, where it is one of this machine.
    #[must_use]
    pub fn origin_stamp(&self) -> Option<Stamp> {
        self.address.is_local().then(|| Stamp::of(&local::folder(self.address.as_str()))).flatten()
    }

    fn run_fetch(&self, head: bool, deadline: Duration) -> Result<Answer, GitError> {
        let mut args = vec![
            "fetch",
            "--quiet",
            "--prune",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--no-tags",
            "--",
        ];
        let head_spec = format!("+HEAD:{REMOTE_HEAD}");
        args.extend([self.address.as_str(), "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]);
        if head {
            args.push(&head_spec);
        }
        child::git("fetch from", &self.address, &self.path, &args, deadline)
    }

    /// Puts packs together once there are many. A mirror that stays untidy is slower, not wrong.
    fn tidy(&self, deadline: Duration) {
        let is_pack = |entry: &std::io::Result<std::fs::DirEntry>| {
            entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "pack"))
        };
        let packs = std::fs::read_dir(self.path.join("objects/pack")).map_or(0, |all| all.filter(is_pack).count());
        if packs > MOST_PACKS {
            let _ = child::git("tidy", &self.address, &self.path, &["gc", "--quiet"], deadline);
        }
    }

    /// The commit that `reference` names: tag, branch, `HEAD`, whole or shortened hash.
    ///
    /// # Errors
    /// [`GitError::NoSuchRef`] with the nearest refs that exist. Looks only at what has been fetched.
    pub fn resolve(&self, reference: &str) -> Result<Oid, GitError> {
        match self.find(reference)? {
            Some(found) => Ok(found.commit),
            None => Err(self.no_such_ref(reference)?),
        }
    }

    /// What `reference` is here, `None` where the mirror does not know it.
    ///
    /// # Errors
    /// A name that cannot be a ref, or a mirror that cannot be read.
    pub fn find(&self, reference: &str) -> Result<Option<Found>, GitError> {
        refs::check_ref_name(reference)?;
        refs::find(&self.repository()?, reference).map_err(|error| self.object(format!("ref `{reference}`"), &error))
    }

    /// The commit at the head of `branch`.
    ///
    /// # Errors
    /// [`GitError::NoSuchRef`] with the nearest refs that exist.
    pub fn branch_head(&self, branch: &str) -> Result<Oid, GitError> {
        match self.find(&format!("refs/heads/{branch}"))? {
            Some(Found { commit, kind: RefKind::Branch }) => Ok(commit),
            _ => Err(self.no_such_ref(branch)?),
        }
    }

    /// Tags and branches as they are offered: versions first, the newest on top.
    ///
    /// # Errors
    /// A mirror that cannot be read.
    pub fn refs(&self) -> Result<Vec<RefInfo>, GitError> {
        refs::list(&self.repository()?).map_err(|error| self.object("the list of refs", &error))
    }

    /// The files of `commit`.
    ///
    /// # Errors
    /// A commit that the mirror does not hold.
    pub fn tree(&self, commit: Oid) -> Result<GitTree, GitError> {
        let repository = self.repository()?;
        let root = repository.find_commit(commit).and_then(|found| found.tree()).map(|tree| tree.id());
        let root = root.map_err(|error| self.object(format!("commit {commit}"), &error))?;
        Ok(GitTree::new(repository, root, format!("{} at {}", self.address, short(commit))))
    }

    pub(super) fn lock(&self, deadline: Duration) -> Result<Lock, GitError> {
        Lock::take(&self.path.with_extension("git.lock"), &self.address.to_string(), deadline)
    }

    pub(super) fn repository(&self) -> Result<Repository, GitError> {
        Repository::open_bare(&self.path).map_err(|error| self.object("the repository", &error))
    }

    pub(super) fn no_such_ref(&self, reference: &str) -> Result<GitError, GitError> {
        let nearest = refs::nearest(&self.refs()?, reference);
        Ok(GitError::NoSuchRef { repository: self.address.to_string(), reference: crate::domain::text::clean(reference), nearest })
    }

    pub(super) fn object(&self, what: impl Into<String>, error: &git2::Error) -> GitError {
        GitError::Object {
            repository: self.address.to_string(),
            what: what.into(),
            cause: error.message().to_owned(),
            mirror: self.path.clone(),
        }
    }
}

/// The first characters of a hash, as they are shown.
pub(super) fn short(commit: Oid) -> String {
    commit.to_string().chars().take(8).collect()
}

/// Makes an empty mirror aside and moves it into place whole, so that no process ever sees half of one.
fn create(cache: &Path, path: &Path) -> Result<(), String> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    std::fs::create_dir_all(cache).map_err(|error| error.to_string())?;
    let aside = path.with_extension(format!("new-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false).initial_head("main");
    let made = Repository::init_opts(&aside, &options).map_err(|error| error.message().to_owned());
    let moved = made.and_then(|_| std::fs::rename(&aside, path).map_err(|error| error.to_string()));
    if moved.is_err() {
        // Another process may have been faster; its mirror is as good.
        let _ = std::fs::remove_dir_all(&aside);
    }
    if path.join("HEAD").is_file() { Ok(()) } else { moved }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::scratch::{Folder, Origin};

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn a_mirror_follows_branches_tags_and_deletions() {
        let folder = Folder::new();
        let origin = Origin::new(&folder, "app");
        let first = origin.commit("a.txt", "one");
        origin.git(&["tag", "1.0.0"]);
        origin.git(&["tag", "-a", "-m", "x", "v1.10.0"]);
        origin.git(&["tag", "1.9.0"]);
        origin.git(&["tag", "nightly"]);
        origin.git(&["branch", "side"]);
        let mirror = Mirror::open(&folder.path().join("cache"), &origin.url()).expect("opened");
        assert!(mirror.refs().expect("read").is_empty());
        mirror.fetch(SOON).expect("fetched");
        let names: Vec<_> = mirror.refs().expect("read").into_iter().map(|info| (info.name, info.is_tag)).collect();
        let expected = [("v1.10.0", true), ("1.9.0", true), ("1.0.0", true), ("nightly", true), ("main", false), ("side", false)];
        assert_eq!(names, expected.map(|(name, tag)| (name.to_owned(), tag)));
        for reference in ["1.0.0", "v1.10.0", "main", "HEAD", "refs/heads/side", first.as_str(), &first[..7]] {
            assert_eq!(mirror.resolve(reference).expect(reference).to_string(), first, "{reference}");
        }
        origin.git(&["branch", "-D", "side"]);
        origin.git(&["branch", "side/deeper"]);
        let second = origin.commit("a.txt", "two");
        mirror.fetch(SOON).expect("fetched again");
        assert_eq!(mirror.branch_head("main").expect("main").to_string(), second);
        assert!(mirror.find("side").expect("read").is_none());
        let error = mirror.resolve("1.0.1").expect_err("no such tag").to_string();
        assert!(error.contains("1.0.0") && error.contains("1.0.1") && error.contains("app"), "{error}");
    }

    #[test]
    fn a_remote_that_is_gone_is_named_and_the_mirror_stays() {
        let folder = Folder::new();
        let origin = Origin::new(&folder, "app");
        let first = origin.commit("a.txt", "one");
        let mirror = Mirror::open(&folder.path().join("cache"), &origin.url()).expect("opened");
        mirror.fetch(SOON).expect("fetched");
        origin.remove();
        let error = mirror.fetch(SOON).expect_err("gone").to_string();
        assert!(error.contains("app.git") && error.contains("check that the repository exists"), "{error}");
        assert_eq!(mirror.branch_head("main").expect("still there").to_string(), first);
    }

    #[test]
    fn an_empty_repository_is_no_error() {
        let folder = Folder::new();
        let origin = Origin::new(&folder, "app");
        let mirror = Mirror::open(&folder.path().join("cache"), &origin.url()).expect("opened");
        mirror.fetch(SOON).expect("fetched");
        let error = mirror.resolve("main").expect_err("nothing there").to_string();
        assert!(error.contains("no tags or branches"), "{error}");
    }

    #[test]
    fn a_transfer_that_hangs_is_killed_at_its_deadline() {
        let folder = Folder::new();
        // Accepts the connection and never says a word.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let url = format!("http://{}/a.git", silent.local_addr().expect("an address"));
        let mirror = Mirror::open(folder.path(), &url).expect("opened");
        let begun = Instant::now();
        let error = mirror.fetch(Duration::from_millis(700)).expect_err("killed");
        assert!(matches!(error, GitError::Deadline { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_connection_refused_says_so() {
        let folder = Folder::new();
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("an address").port();
        let mirror = Mirror::open(folder.path(), &format!("http://me:secret@127.0.0.1:{port}/a.git")).expect("opened");
        let error = mirror.fetch(SOON).expect_err("refused").to_string();
        assert!(error.contains("check the network") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn many_at_once_make_one_mirror() {
        let folder = Folder::new();
        let origin = Origin::new(&folder, "app");
        let first = origin.commit("a.txt", "one");
        let cache = folder.path().join("cache");
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let mirror = Mirror::open(&cache, &origin.url()).expect("opened");
                    mirror.fetch(SOON).expect("fetched");
                    assert_eq!(mirror.branch_head("main").expect("main").to_string(), first);
                });
            }
        });
        let mirrors = std::fs::read_dir(&cache).expect("read").filter(|e| e.as_ref().is_ok_and(|e| e.path().is_dir())).count();
        assert_eq!(mirrors, 1);
    }

    #[test]
    fn names_that_look_like_options_reach_no_git() {
        let folder = Folder::new();
        let mirror = Mirror::open(folder.path(), "https://example.com/a").expect("opened");
        for name in ["--all", "-x", "a b", "a..b"] {
            assert!(matches!(mirror.resolve(name), Err(GitError::RefName { .. })), "{name}");
        }
    }
}
