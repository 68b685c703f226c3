//! The refs of a mirror: names that git accepts, what a name means, and the order in which refs are offered.

use std::cmp::Reverse;

use git2::{ErrorCode, ObjectType, Oid, Repository};
use jiff::Timestamp;
use semver::Version;

use super::GitError;

/// The mirror's copy of the remote's `HEAD`, which names its default branch's commit.
pub(super) const REMOTE_HEAD: &str = "refs/pilothouse/HEAD";
const OFFERED: usize = 5;

/// A tag or branch on offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefInfo {
    /// Without `refs/tags/` or `refs/heads/`.
    pub name: String,
    pub commit: Oid,
    /// When an annotated tag was made, else when its commit was.
    pub at: Option<Timestamp>,
    pub is_tag: bool,
}

/// What a reference turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefKind {
    /// Stays where it is, as far as its owner keeps the custom.
    Tag,
    /// Moves.
    Branch,
    /// Stays where it is by nature.
    Commit,
    /// The remote's `HEAD`; moves.
    Head,
}

impl RefKind {
    /// Whether it stays where it is, so that a copy of it need not be fetched again.
    #[must_use]
    pub const fn is_fixed(self) -> bool {
        matches!(self, Self::Tag | Self::Commit)
    }
}

/// A reference that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub commit: Oid,
    pub kind: RefKind,
}

/// Checks `name` as [`check_ref_name`] does, and that it survives in the query of a pin's URL.
///
/// # Errors
/// [`GitError::RefName`] with the rule that is broken.
pub fn check_pin_ref(name: &str) -> Result<(), GitError> {
    check_ref_name(name)?;
    match name.chars().find(|c| "&#\"'%+;".contains(*c)) {
        Some(c) => {
            Err(GitError::RefName { name: crate::domain::text::clean(name), why: format!("in a pin's URL {c:?} means something else") })
        }
        None => Ok(()),
    }
}

/// Checks `name` by the rules of `git check-ref-format`.
///
/// # Errors
/// [`GitError::RefName`] with the rule that is broken.
pub fn check_ref_name(name: &str) -> Result<(), GitError> {
    let refuse = |why: &str| Err(GitError::RefName { name: crate::domain::text::clean(name), why: why.to_owned() });
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.starts_with('-') {
        return refuse("it looks like an option");
    }
    if let Some(c) = name.chars().find(|c| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(*c)) {
        return refuse(&format!("it holds {c:?}"));
    }
    if name == "@" || name.contains("..") || name.contains("@{") || name.contains("//") {
        return refuse("git reads `..`, `@{`, `//` and a lone `@` as something else");
    }
    if name.starts_with('/') || name.ends_with('/') || name.ends_with('.') {
        return refuse("it begins or ends with `/`, or ends with `.`");
    }
    if name.split('/').any(|part| part.starts_with('.') || part.to_ascii_lowercase().ends_with(".lock")) {
        return refuse("a part of it begins with `.` or ends with `.lock`");
    }
    Ok(())
}

/// What `reference` means: a tag before a branch, as git has it, then a commit by its whole or shortened hash.
pub(super) fn find(repository: &Repository, reference: &str) -> Result<Option<Found>, git2::Error> {
    if reference == "HEAD" {
        return Ok(peel(repository, REMOTE_HEAD)?.map(|commit| Found { commit, kind: RefKind::Head }));
    }
    if reference.starts_with("refs/") {
        let kind = if reference.starts_with("refs/tags/") { RefKind::Tag } else { RefKind::Branch };
        return Ok(peel(repository, reference)?.map(|commit| Found { commit, kind }));
    }
    if let Some(commit) = peel(repository, &format!("refs/tags/{reference}"))? {
        return Ok(Some(Found { commit, kind: RefKind::Tag }));
    }
    if let Some(commit) = peel(repository, &format!("refs/heads/{reference}"))? {
        return Ok(Some(Found { commit, kind: RefKind::Branch }));
    }
    if !(4..=40).contains(&reference.len()) || !reference.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(None);
    }
    match repository.find_commit_by_prefix(reference) {
        Ok(commit) => Ok(Some(Found { commit: commit.id(), kind: RefKind::Commit })),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn peel(repository: &Repository, name: &str) -> Result<Option<Oid>, git2::Error> {
    match repository.find_reference(name) {
        Ok(found) => Ok(found.peel(ObjectType::Commit).ok().map(|object| object.id())),
        Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All tags and branches: version tags first, the newest version on top, then other tags by age, then branches.
pub(super) fn list(repository: &Repository) -> Result<Vec<RefInfo>, git2::Error> {
    let mut all = Vec::new();
    for reference in repository.references()? {
        let reference = reference?;
        let Ok(full) = reference.name() else { continue };
        let (name, is_tag) = match (full.strip_prefix("refs/tags/"), full.strip_prefix("refs/heads/")) {
            (Some(name), _) => (name, true),
            (None, Some(name)) => (name, false),
            (None, None) => continue,
        };
        // A tag of a blob or a tree is no version of anything.
        let Ok(commit) = reference.peel_to_commit() else { continue };
        let tagged = reference.peel_to_tag().ok().and_then(|tag| tag.tagger().map(|tagger| tagger.when().seconds()));
        let at = Timestamp::from_second(tagged.unwrap_or_else(|| commit.time().seconds())).ok();
        all.push(RefInfo { name: name.to_owned(), commit: commit.id(), at, is_tag });
    }
    all.sort_by_cached_key(|info| {
        let version = if info.is_tag { version(&info.name) } else { None };
        let age = if info.is_tag { info.at } else { None };
        (Reverse(info.is_tag), Reverse(version), Reverse(age), info.name.clone())
    });
    Ok(all)
}

/// The version in a tag's name: `1.2.3`, `v1.2.3`.
fn version(name: &str) -> Option<Version> {
    Version::parse(name.strip_prefix('v').unwrap_or(name)).ok()
}

/// The names that an operator who typed `wanted` may have meant, the best first; else the newest on offer.
pub(super) fn nearest(refs: &[RefInfo], wanted: &str) -> Vec<String> {
    let names: Vec<&str> = refs.iter().map(|info| info.name.as_str()).collect();
    let mut near: Vec<String> = similar::get_close_matches(wanted, &names, OFFERED, 0.6).into_iter().map(str::to_owned).collect();
    if near.is_empty() {
        near = names.iter().take(OFFERED).map(|name| (*name).to_owned()).collect();
    }
    near.iter().map(|name| crate::domain::text::clean(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ref_names_follow_git() {
        for good in ["1.0.0", "v2", "main", "feature/x", "release-1", "a@b", "1.0.0-rc.1", "2f1c0ab"] {
            assert!(check_ref_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-x",
            "--upload-pack=x",
            "a b",
            "a\tb",
            "a\nb",
            "a\u{1b}b",
            "a..b",
            "a~1",
            "a^",
            "a:b",
            "a?b",
            "a*",
            "a[1",
            "a\\b",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.",
            "@",
            "a@{1}",
        ] {
            assert!(check_ref_name(bad).is_err(), "{bad:?}");
        }
        for query in ["a&b", "a#b", "a\"b", "a'b", "1.0.0+1", "a%20b"] {
            assert!(check_ref_name(query).is_ok() && check_pin_ref(query).is_err(), "{query:?}");
        }
    }

    #[test]
    fn versions_come_before_everything_newest_first() {
        let info = |name: &str, is_tag| RefInfo { name: name.into(), commit: Oid::ZERO_SHA1, at: None, is_tag };
        let refs = [info("v1.10.0", true), info("1.9.0", true), info("main", false)];
        assert_eq!(nearest(&refs, "1.9.1").first().map(String::as_str), Some("1.9.0"));
        assert_eq!(nearest(&refs, "nonsense"), ["v1.10.0", "1.9.0", "main"]);
        assert!(version("v1.10.0") > version("1.9.0"));
        assert_eq!(version("release-1"), None);
    }
}
