//! Commits without a work tree: one file of one commit read, replaced, and written on top.

use std::path::Path;

use git2::build::TreeUpdateBuilder;
use git2::{ErrorCode, FileMode, ObjectType, Oid, Repository, Signature, Sort};

/// The names kustomize looks for.
pub(super) const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// A file of a commit.
pub(super) struct Stored {
    pub path: String,
    pub content: Vec<u8>,
    pub executable: bool,
}

/// The kustomizations in `folder` at `commit`; one is right.
pub(super) fn kustomizations(repository: &Repository, commit: Oid, folder: &str) -> Result<Vec<Stored>, git2::Error> {
    let mut found = Vec::new();
    for name in FILE_NAMES {
        let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        found.extend(file(repository, commit, &path)?);
    }
    Ok(found)
}

/// The file at `path`, `None` where there is none. A symbolic link is no file to be edited.
fn file(repository: &Repository, commit: Oid, path: &str) -> Result<Option<Stored>, git2::Error> {
    let tree = repository.find_commit(commit)?.tree()?;
    let entry = match tree.get_path(Path::new(path)) {
        Ok(entry) => entry,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mode = entry.filemode();
    let regular = [i32::from(FileMode::Blob), i32::from(FileMode::BlobExecutable), i32::from(FileMode::BlobGroupWritable)].contains(&mode);
    if entry.kind() != Some(ObjectType::Blob) || !regular {
        return Ok(None);
    }
    let content = repository.find_blob(entry.id())?.content().to_vec();
    Ok(Some(Stored { path: path.to_owned(), content, executable: mode == i32::from(FileMode::BlobExecutable) }))
}

/// Who a commit is by.
pub(super) struct Author<'a> {
    pub name: &'a str,
    pub email: &'a str,
}

/// A commit on top of `parent` that replaces the content of `file`. No ref names it yet.
pub(super) fn write(
    repository: &Repository,
    parent: Oid,
    file: &Stored,
    content: &str,
    by: &Author<'_>,
    message: &str,
) -> Result<Oid, git2::Error> {
    let parent = repository.find_commit(parent)?;
    let blob = repository.blob(content.as_bytes())?;
    let mode = if file.executable { FileMode::BlobExecutable } else { FileMode::Blob };
    let tree = TreeUpdateBuilder::new().upsert(file.path.as_str(), blob, mode).create_updated(repository, &parent.tree()?)?;
    let tree = repository.find_tree(tree)?;
    let signature = Signature::now(by.name, by.email)?;
    repository.commit(None, &signature, &signature, message, &tree, &[&parent])
}

/// Whether `branch` holds `commit`.
pub(super) fn holds(repository: &Repository, branch: Oid, commit: Oid) -> bool {
    branch == commit || repository.graph_descendant_of(branch, commit).unwrap_or(false)
}

/// The newest commit after `old` up to `new` in which `view` of the file at `path` differs from all its parents'.
pub(super) fn changed_by<T: PartialEq>(
    repository: &Repository,
    (old, new): (Oid, Oid),
    path: &str,
    view: impl Fn(Option<&[u8]>) -> T,
) -> Result<Option<(Oid, String)>, git2::Error> {
    let seen = |commit| file(repository, commit, path).map(|stored| view(stored.as_ref().map(|stored| stored.content.as_slice())));
    let mut walk = repository.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL)?;
    walk.push(new)?;
    walk.hide(old)?;
    for commit in walk {
        let commit = repository.find_commit(commit?)?;
        let after = seen(commit.id())?;
        let mut differs = true;
        for parent in commit.parent_ids() {
            differs &= seen(parent)? != after;
        }
        if differs {
            let author = commit.author();
            let name = String::from_utf8_lossy(author.name_bytes()).into_owned();
            return Ok(Some((commit.id(), format!("{name} <{}>", String::from_utf8_lossy(author.email_bytes())))));
        }
    }
    Ok(None)
}

/// The name that git would use, as the environment or git's configuration says.
#[must_use]
pub fn author(variable: &str, key: &str, otherwise: &str) -> String {
    let configured = || git2::Config::open_default().and_then(|c| c.get_string(key)).ok();
    std::env::var(variable).ok().filter(|v| !v.is_empty()).or_else(configured).unwrap_or_else(|| otherwise.into())
}
