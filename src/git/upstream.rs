//! A repository of our own, as a vendor or a provider has one: for fleets that are simulated.

use std::path::{Path, PathBuf};

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Repository, RepositoryInitOptions, Signature, Time};
use jiff::Timestamp;

/// Why a repository of our own could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{what} of the repository {}: {cause}; check the space and the rights of its folder", .path.display())]
pub struct UpstreamError {
    what: &'static str,
    path: PathBuf,
    cause: String,
}

/// A bare repository with the branch `main`.
#[derive(Clone, Debug)]
pub struct Upstream {
    path: PathBuf,
}

/// Who commits what, and when.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// Paths and contents; what is not named stays.
    pub files: &'a [(String, String)],
    pub author: &'a str,
    pub message: &'a str,
    pub at: Timestamp,
}

impl Upstream {
    /// An empty repository at `path`.
    ///
    /// # Errors
    /// [`UpstreamError`], likewise for the rest.
    pub fn create(path: &Path) -> Result<Self, UpstreamError> {
        let mut options = RepositoryInitOptions::new();
        options.bare(true).external_template(false).initial_head("main");
        let this = Self { path: path.to_path_buf() };
        Repository::init_opts(path, &options).map_err(|error| this.error("creation", &error))?;
        Ok(this)
    }

    /// The repository that was made at `path`.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// The address by which it is fetched.
    #[must_use]
    pub fn url(&self) -> String {
        format!("file://{}", self.path.display())
    }

    /// Puts `change` on top of `main`.
    ///
    /// # Errors
    /// As above.
    pub fn commit(&self, change: &Change<'_>) -> Result<(), UpstreamError> {
        self.write(change).map_err(|error| self.error("a commit", &error))
    }

    fn write(&self, change: &Change<'_>) -> Result<(), git2::Error> {
        let repository = Repository::open_bare(&self.path)?;
        let parent = repository.find_reference("refs/heads/main").and_then(|main| main.peel_to_commit()).ok();
        let base = match &parent {
            Some(parent) => parent.tree()?,
            None => repository.find_tree(repository.treebuilder(None)?.write()?)?,
        };
        let mut update = TreeUpdateBuilder::new();
        for (path, content) in change.files {
            update.upsert(path.as_str(), repository.blob(content.as_bytes())?, FileMode::Blob);
        }
        let tree = repository.find_tree(update.create_updated(&repository, &base)?)?;
        let address = format!("{}@example.com", change.author.to_lowercase().replace(' ', "."));
        let by = Signature::new(change.author, &address, &Time::new(change.at.as_second(), 0))?;
        let parents: Vec<_> = parent.iter().collect();
        // libgit2 moves the branch only from the parent: a push in between is an error, not a loss.
        repository.commit(Some("refs/heads/main"), &by, &by, change.message, &tree, &parents).map(|_| ())
    }

    /// Tags the head of `main`.
    ///
    /// # Errors
    /// As above; a tag that exists stays where it is.
    pub fn tag(&self, name: &str) -> Result<(), UpstreamError> {
        let tagged = Repository::open_bare(&self.path).and_then(|repository| {
            let head = repository.find_reference("refs/heads/main")?.peel(git2::ObjectType::Commit)?;
            repository.tag_lightweight(name, &head, false).map(|_| ())
        });
        tagged.map_err(|error| self.error("a tag", &error))
    }

    /// The file at `path` of `main`.
    ///
    /// # Errors
    /// As above, also where there is no such file.
    pub fn read(&self, path: &str) -> Result<String, UpstreamError> {
        let read = Repository::open_bare(&self.path).and_then(|repository| {
            let tree = repository.find_reference("refs/heads/main")?.peel_to_tree()?;
            let blob = tree.get_path(Path::new(path))?.to_object(&repository)?.peel_to_blob()?;
            Ok(String::from_utf8_lossy(blob.content()).into_owned())
        });
        read.map_err(|error| self.error("a file", &error))
    }

    fn error(&self, what: &'static str, error: &git2::Error) -> UpstreamError {
        UpstreamError { what, path: self.path.clone(), cause: error.message().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::Mirror;
    use crate::git::scratch::Folder;

    #[test]
    fn what_is_committed_and_tagged_is_fetched() {
        let folder = Folder::new();
        let upstream = Upstream::create(&folder.path().join("shop.git")).expect("made");
        let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let commit = |files: &[(String, String)], at| {
            upstream.commit(&Change { files, author: "Ada Vendor", message: "Release", at: Timestamp::from_second(at).expect("a time") })
        };
        commit(&[file("a/b.yaml", "one"), file("c.yaml", "c")], 1).expect("committed");
        upstream.tag("1.0.0").expect("tagged");
        commit(&[file("a/b.yaml", "two")], 2).expect("committed");
        assert_eq!((upstream.read("a/b.yaml").expect("b"), upstream.read("c.yaml").expect("c")), ("two".into(), "c".into()));
        assert!(upstream.tag("1.0.0").expect_err("there already").to_string().contains("a tag of the repository"));
        let mirror = Mirror::open(&folder.path().join("cache"), &upstream.url()).expect("opened");
        mirror.fetch(std::time::Duration::from_secs(5)).expect("fetched");
        assert_ne!(mirror.resolve("1.0.0").expect("the tag"), mirror.branch_head("main").expect("main"));
    }
}
