//! Repositories of this machine: read and written by libgit2 itself, without a network, a child process or a
//! `git` on the PATH.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use git2::{AutotagOption, Direction, FetchOptions, FetchPrune, Oid, Repository};

use super::refs::REMOTE_HEAD;

/// Hooks that may refuse a push or act on it; libgit2 runs none of them.
const HOOKS: [&str; 5] = ["pre-receive", "update", "reference-transaction", "post-receive", "post-update"];

/// The folder that a `file://` URL or a plain path names.
pub(super) fn folder(url: &str) -> PathBuf {
    PathBuf::from(url.strip_prefix("file://").unwrap_or(url))
}

/// Brings all branches and tags of `mirror` up to date with the repository at `url`.
pub(super) fn fetch(mirror: &Repository, url: &str) -> Result<(), git2::Error> {
    let mut remote = mirror.remote_anonymous(url)?;
    let (head, same) = {
        let connection = remote.connect_auth(Direction::Fetch, None, None)?;
        let there = connection.list()?;
        let head = there.iter().find(|head| head.name() == "HEAD").map(git2::RemoteHead::oid);
        let listed = there.iter().filter(|head| is_mirrored(head.name())).map(|head| (head.name().to_owned(), head.oid()));
        (head, listed.collect::<BTreeMap<_, _>>() == refs(mirror)?)
    };
    if same && head == mirror.refname_to_id(REMOTE_HEAD).ok() {
        return Ok(());
    }
    let mut options = FetchOptions::new();
    options.prune(FetchPrune::On).download_tags(AutotagOption::None).update_fetchhead(false);
    remote.fetch(&["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"], Some(&mut options), None)?;
    match head {
        Some(oid) => mirror.reference(REMOTE_HEAD, oid, true, "fetch").map(|_| ()),
        None => Ok(()),
    }
}

/// A branch or a tag; what a tag leads to is listed beside it.
fn is_mirrored(name: &str) -> bool {
    (name.starts_with("refs/heads/") || name.starts_with("refs/tags/")) && !name.ends_with("^{}")
}

/// The branches and tags of a repository.
fn refs(of: &Repository) -> Result<BTreeMap<String, Oid>, git2::Error> {
    let mut found = BTreeMap::new();
    for reference in of.references()?.flatten() {
        if let (Ok(name), Some(oid)) = (reference.name(), reference.target())
            && is_mirrored(name)
        {
            found.insert(name.to_owned(), oid);
        }
    }
    Ok(found)
}

/// What became of a push.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    Done,
    /// The branch is no longer where it was expected.
    Moved,
    /// A hook would have to be asked.
    Hook(String),
}

/// Moves `branch` of the bare repository at `url` from `expected` to `commit` of `mirror`; `None` is a branch that must
/// not exist yet.
pub(super) fn push(mirror: &Repository, url: &str, branch: &str, expected: Option<Oid>, commit: Oid) -> Result<Pushed, git2::Error> {
    let path = folder(url);
    if let Some(hook) = HOOKS.iter().find(|hook| is_hook(&path, hook)) {
        return Ok(Pushed::Hook((*hook).to_owned()));
    }
    let origin = Repository::open_bare(&path)?;
    copy(mirror, &origin, commit)?;
    let name = format!("refs/heads/{branch}");
    let moved = match expected {
        Some(expected) => origin.reference_matching(&name, commit, true, expected, "push"),
        None => origin.reference(&name, commit, false, "push"),
    };
    match moved {
        Ok(_) => Ok(Pushed::Done),
        Err(error) if matches!(error.code(), git2::ErrorCode::Modified | git2::ErrorCode::Exists | git2::ErrorCode::NotFound) => {
            Ok(Pushed::Moved)
        }
        Err(error) => Err(error),
    }
}

fn is_hook(repository: &Path, name: &str) -> bool {
    repository.join("hooks").join(name).is_file()
}

/// Copies `commit` and everything it needs that `to` lacks.
fn copy(from: &Repository, to: &Repository, commit: Oid) -> Result<(), git2::Error> {
    let mut pack = from.packbuilder()?;
    let mut walk = from.revwalk()?;
    walk.push(commit)?;
    for reference in to.references()?.flatten() {
        // What the other side has need not be sent; what only it has, this side cannot leave out.
        if let Some(known) = reference.target().filter(|oid| from.find_commit(*oid).is_ok()) {
            walk.hide(known)?;
        }
    }
    pack.insert_walk(&mut walk)?;
    let odb = to.odb()?;
    let mut writer = odb.packwriter()?;
    pack.foreach(|chunk| std::io::Write::write_all(&mut writer, chunk).is_ok())?;
    writer.commit().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::scratch::{Folder, Origin};

    fn copy_of(folder: &Folder, origin: &Origin, name: &str) -> Repository {
        let mirror = Repository::init_bare(folder.path().join(name)).expect("made");
        fetch(&mirror, &origin.url()).expect("fetched");
        mirror
    }

    /// A commit on top of `parent` that no ref names.
    fn next(mirror: &Repository, parent: Oid, text: &str) -> Oid {
        let parent = mirror.find_commit(parent).expect("the parent");
        let by = git2::Signature::new("bo", "bo@example.com", &git2::Time::new(1, 0)).expect("a name");
        let blob = mirror.blob(text.as_bytes()).expect("a blob");
        let mut tree = git2::build::TreeUpdateBuilder::new();
        let tree =
            tree.upsert("b.txt", blob, git2::FileMode::Blob).create_updated(mirror, &parent.tree().expect("a tree")).expect("a tree");
        mirror.commit(None, &by, &by, text, &mirror.find_tree(tree).expect("a tree"), &[&parent]).expect("a commit")
    }

    #[test]
    fn a_push_moves_a_branch_only_from_where_it_was_seen() {
        let folder = Folder::new();
        let origin = Origin::new(&folder, "app");
        let first = Oid::from_str(&origin.commit("a.txt", "one")).expect("an id");
        let mirror = copy_of(&folder, &origin, "mirror");
        let (second, rival) = (next(&mirror, first, "two"), next(&mirror, first, "rival"));
        assert_eq!(push(&mirror, &origin.url(), "main", Some(first), second).expect("pushed"), Pushed::Done);
        assert_eq!(push(&mirror, &origin.url(), "main", Some(first), rival).expect("answered"), Pushed::Moved);
        assert_eq!(push(&mirror, &origin.url(), "main", None, rival).expect("answered"), Pushed::Moved);
        assert_eq!(push(&mirror, &origin.url(), "gone", Some(first), rival).expect("answered"), Pushed::Moved);
        assert_eq!(push(&mirror, &origin.url(), "review", None, rival).expect("pushed"), Pushed::Done);
        let there = copy_of(&folder, &origin, "again");
        assert_eq!(there.refname_to_id("refs/heads/main").expect("main"), second);
        assert_eq!(there.find_commit(rival).expect("its objects came along").parent_id(0).expect("a parent"), first);
    }

    #[test]
    fn a_hook_is_not_passed_over() {
        let folder = Folder::new();
        let origin = Origin::new(&folder, "app");
        let first = Oid::from_str(&origin.commit("a.txt", "one")).expect("an id");
        let mirror = copy_of(&folder, &origin, "mirror");
        let second = next(&mirror, first, "two");
        let hooks = super::folder(&origin.url()).join("hooks");
        std::fs::create_dir_all(&hooks).expect("a folder");
        std::fs::write(hooks.join("update"), "#!/bin/sh\nexit 1\n").expect("a hook");
        assert_eq!(push(&mirror, &origin.url(), "main", Some(first), second).expect("answered"), Pushed::Hook("update".into()));
    }
}
