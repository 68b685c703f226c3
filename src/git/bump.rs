//! The bump: moves a provider's pin to another ref, in one commit, without a work tree and without force.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use git2::Oid;

use super::commit::{self, Author, Stored};
use super::mirror::short;
use super::refs::{RefKind, check_pin_ref, check_ref_name};
use super::{Address, GitError, Mirror, Pin, address, child, find_pins, local, set_ref};
use crate::domain::text::clean;

/// How often a push is tried on a branch that keeps moving.
const MOST_PUSHES: usize = 3;

/// What is to be moved, where, and in whose name.
#[derive(Clone, Debug)]
pub struct BumpRequest {
    /// The folder of the mirrors.
    pub cache: PathBuf,
    /// The provider's name, for sentences.
    pub provider: String,
    /// The provider's repository.
    pub repository: String,
    /// The branch whose head is edited.
    pub branch: String,
    /// A new branch to push to instead, for a review; it must not exist yet.
    pub push_to: Option<String>,
    /// The folder of the kustomization in the repository; empty is its root.
    pub path: String,
    /// The distribution whose pins move; `None` is the only one that is pinned.
    pub distribution: Option<String>,
    /// The ref to pin.
    pub to: String,
    /// The commit's message; empty says what moved from where to where.
    pub message: String,
    pub author_name: String,
    pub author_email: String,
    /// How long each transfer may last.
    pub deadline: Duration,
}

/// What a bump did, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BumpOutcome {
    /// The ref pinned before; several, when the pins differed.
    pub from: String,
    pub to: String,
    /// The commit that was pushed; `None` in a plan, and when nothing had to change.
    pub commit: Option<String>,
    /// The branch that holds it.
    pub branch: String,
    pub file: String,
    /// The line of the first pin.
    pub line: usize,
    pub line_before: String,
    pub line_after: String,
    /// How many pins moved together.
    pub pins: usize,
    /// The ref is a branch, so what is pinned moves on its own.
    pub moving: bool,
    /// The pin was there already.
    pub unchanged: bool,
}

/// A bump that did not happen: which provider's, and why.
#[derive(Debug, thiserror::Error)]
#[error("{provider}: {why}")]
pub struct BumpError {
    pub provider: String,
    pub why: Box<BumpFailure>,
}

/// Why a bump did not happen. Nothing has been forced and nothing lost in any of these.
#[derive(Debug, thiserror::Error)]
pub enum BumpFailure {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("the bump's {what} `{value}` cannot be used: {why}")]
    Request { what: &'static str, value: String, why: String },
    #[error("{repository} has no kustomization in `{folder}` at branch `{branch}`; set the provider's `path` to the folder that holds it")]
    NoFile { repository: String, branch: String, folder: String },
    #[error("`{folder}` at branch `{branch}` of {repository} holds {files}, and kustomize takes only one; delete the others")]
    TwoFiles { repository: String, branch: String, folder: String, files: String },
    #[error("{file} at branch `{branch}` of {repository}: {cause}")]
    Unusable { repository: String, branch: String, file: String, cause: Box<GitError> },
    #[error(
        "{file} at branch `{branch}` of {repository} holds no pin{of}; a pin is an entry of `resources:` like https://HOST/VENDOR/APP//FOLDER?ref=1.0.0"
    )]
    NoPin { repository: String, branch: String, file: String, of: String },
    #[error("{file} pins several repositories ({repositories}); name the one that is meant as the fleet's `distribution`")]
    Ambiguous { file: String, repositories: String },
    #[error("{who} moved the pin in {file} from {from} to {to} meanwhile, in {commit}; look at it, then bump again if it is still wanted")]
    Changed { file: String, who: String, commit: String, from: String, to: String },
    #[error("branch `{branch}` of {repository} moved on {times} times while pushing; try again when it is quieter")]
    KeptMoving { repository: String, branch: String, times: usize },
    #[error("{repository} refuses the push to `{branch}`: {cause}; push to a branch of its own with --branch, or ask for the right")]
    Refused { repository: String, branch: String, cause: String },
    #[error("branch `{branch}` exists in {repository} already; name another, or merge or delete it")]
    BranchExists { repository: String, branch: String },
    #[error(
        "the push of {commit} to `{branch}` of {repository} got no answer ({cause}); look whether the branch holds it before bumping again"
    )]
    Unknown { repository: String, branch: String, commit: String, cause: Box<GitError> },
}

type Outcome<T> = Result<T, BumpFailure>;

/// Moves the pin and pushes the commit.
///
/// # Errors
/// Why not; the provider's repository is then as it was, or as others have left it.
pub fn bump(request: &BumpRequest) -> Result<BumpOutcome, BumpError> {
    Work::begin(request).and_then(|work| work.push()).map_err(|why| BumpError { provider: request.provider.clone(), why: Box::new(why) })
}

/// Does everything that [`bump`] does but the commit and the push.
///
/// # Errors
/// As [`bump`].
pub fn plan(request: &BumpRequest) -> Result<BumpOutcome, BumpError> {
    let planned = Work::begin(request).and_then(|work| work.edit().map(|edit| edit.outcome(&work, None)));
    planned.map_err(|why| BumpError { provider: request.provider.clone(), why: Box::new(why) })
}

struct Work<'a> {
    request: &'a BumpRequest,
    mirror: Mirror,
    folder: String,
    moving: bool,
}

/// The edit of one branch head.
struct Edit {
    head: Oid,
    file: Stored,
    pins: Vec<Pin>,
    before: String,
    after: String,
}

enum Pushed {
    Done,
    Moved,
}

impl<'a> Work<'a> {
    /// Checks the request, fetches, and makes sure that the ref exists where the pin points.
    fn begin(request: &'a BumpRequest) -> Outcome<Self> {
        check_pin_ref(&request.to)?;
        for branch in [Some(&request.branch), request.push_to.as_ref()].into_iter().flatten() {
            check_ref_name(branch)?;
        }
        let refuse = |what, value: &str, why: &str| Err(BumpFailure::Request { what, value: clean(value), why: why.to_owned() });
        let folder = request.path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/");
        if request.path.starts_with('/') || folder.split('/').any(|part| part == "..") || folder.chars().any(char::is_control) {
            return refuse("path", &request.path, "it must be a folder inside the repository");
        }
        for (what, value) in [("author name", &request.author_name), ("author e-mail", &request.author_email)] {
            if value.trim().is_empty() || value.contains(['<', '>', '\n', '\0']) {
                return refuse(what, value, "set git's user.name and user.email");
            }
        }
        let mirror = Mirror::open(&request.cache, &request.repository)?;
        mirror.fetch(request.deadline)?;
        if let Some(branch) = &request.push_to
            && mirror.find(&format!("refs/heads/{branch}"))?.is_some()
        {
            return Err(BumpFailure::BranchExists { repository: mirror.address().to_string(), branch: branch.clone() });
        }
        let mut work = Self { request, mirror, folder, moving: false };
        work.moving = work.check_target()?;
        Ok(work)
    }

    /// Whether the ref exists in the distribution, and whether it is one that moves.
    fn check_target(&self) -> Outcome<bool> {
        let url = if let Some(url) = &self.request.distribution {
            url.clone()
        } else {
            let (_, _, _, pins) = self.read()?;
            pins.first().map(|pin| address::repository_of(&pin.url).to_owned()).unwrap_or_default()
        };
        let distribution = Mirror::open(&self.request.cache, &url)?;
        let to = self.request.to.as_str();
        let mut found = distribution.find(to)?;
        if !found.is_some_and(|found| found.kind.is_fixed()) {
            distribution.fetch(self.request.deadline)?;
            found = distribution.find(to)?;
        }
        match found {
            None => Err(distribution.no_such_ref(to)?.into()),
            Some(found) if found.kind == RefKind::Commit && to != found.commit.to_string() => Err(BumpFailure::Request {
                what: "ref",
                value: to.to_owned(),
                why: format!("a shortened commit cannot be fetched; write {}", found.commit),
            }),
            Some(found) => Ok(!found.kind.is_fixed()),
        }
    }

    /// The branch's head, its kustomization and the pins in it that are meant.
    fn read(&self) -> Outcome<(Oid, Stored, String, Vec<Pin>)> {
        let (repository, branch) = (self.mirror.address().to_string(), self.request.branch.clone());
        let head = self.mirror.branch_head(&branch)?;
        let objects = self.mirror.repository()?;
        let mut files = commit::kustomizations(&objects, head, &self.folder)
            .map_err(|error| self.mirror.object(format!("`{}` at {}", self.folder, short(head)), &error))?;
        let names = files.iter().map(|file| clean(&file.path)).collect::<Vec<_>>().join(" and ");
        let folder = if self.folder.is_empty() { "/".to_owned() } else { self.folder.clone() };
        let Some(file) = files.pop() else { return Err(BumpFailure::NoFile { repository, branch, folder }) };
        if !files.is_empty() {
            return Err(BumpFailure::TwoFiles { repository, branch, folder, files: names });
        }
        let unusable = |cause| BumpFailure::Unusable {
            repository: repository.clone(),
            branch: branch.clone(),
            file: names.clone(),
            cause: Box::new(cause),
        };
        let text = String::from_utf8(file.content.clone())
            .map_err(|error| unusable(GitError::Malformed { cause: error.utf8_error().to_string() }))?;
        let all = find_pins(&text).map_err(unusable)?;
        let (pins, of) = if let Some(url) = &self.request.distribution {
            let distribution = Address::parse(url)?;
            let others = all.iter().map(|pin| clean(&pin.url)).collect::<Vec<_>>().join(", ");
            let of = if others.is_empty() { format!(" of {distribution}") } else { format!(" of {distribution}, only of {others}") };
            (all.into_iter().filter(|pin| distribution.holds(&pin.url)).collect::<Vec<_>>(), of)
        } else {
            let repositories: BTreeSet<String> =
                all.iter().filter_map(|pin| Address::parse(address::repository_of(&pin.url)).ok()).map(|address| address.key()).collect();
            if repositories.len() > 1 {
                let repositories = repositories.into_iter().map(|key| clean(&key)).collect::<Vec<_>>().join(", ");
                return Err(BumpFailure::Ambiguous { file: names, repositories });
            }
            (all, String::new())
        };
        if pins.is_empty() {
            return Err(BumpFailure::NoPin { repository, branch, file: names, of });
        }
        Ok((head, file, text, pins))
    }

    /// All pins moved, in memory.
    fn edit(&self) -> Outcome<Edit> {
        let (head, file, before, pins) = self.read()?;
        let mut after = before.clone();
        let mut order: Vec<&Pin> = pins.iter().filter(|pin| pin.reference != self.request.to).collect();
        // The last first: an edit moves what stands behind it.
        order.sort_by_key(|pin| std::cmp::Reverse(pin.span.start));
        for pin in order {
            after = set_ref(&after, pin, &self.request.to).map_err(|cause| BumpFailure::Unusable {
                repository: self.mirror.address().to_string(),
                branch: self.request.branch.clone(),
                file: clean(&file.path),
                cause: Box::new(cause),
            })?;
        }
        Ok(Edit { head, file, pins, before, after })
    }

    fn push(&self) -> Outcome<BumpOutcome> {
        let mut edit = self.edit()?;
        for _ in 0..MOST_PUSHES {
            if edit.before == edit.after {
                return Ok(edit.outcome(self, None));
            }
            let commit = self.commit(&edit)?;
            let pushed = match self.push_once(edit.head, commit) {
                Ok(pushed) => pushed,
                Err(BumpFailure::Git(cause)) => self.look_for(commit, cause)?,
                Err(other) => return Err(other),
            };
            if matches!(pushed, Pushed::Done) {
                return Ok(edit.outcome(self, Some(commit)));
            }
            self.mirror.fetch(self.request.deadline)?;
            if self.on_branch(commit)? {
                return Ok(edit.outcome(self, Some(commit)));
            }
            edit = self.again(&edit)?;
        }
        Err(BumpFailure::KeptMoving { repository: self.mirror.address().to_string(), branch: self.target().to_owned(), times: MOST_PUSHES })
    }

    fn target(&self) -> &str {
        self.request.push_to.as_ref().unwrap_or(&self.request.branch)
    }

    fn commit(&self, edit: &Edit) -> Outcome<Oid> {
        let by = Author { name: self.request.author_name.trim(), email: self.request.author_email.trim() };
        let message = match self.request.message.trim() {
            "" => format!("Move the pin from {} to {}\n", edit.from(), self.request.to),
            message => format!("{message}\n"),
        };
        let objects = self.mirror.repository()?;
        let written = commit::write(&objects, edit.head, &edit.file, &edit.after, &by, &message);
        Ok(written.map_err(|error| self.mirror.object("the new commit", &error))?)
    }

    fn push_once(&self, head: Oid, commit: Oid) -> Outcome<Pushed> {
        let address = self.mirror.address();
        let (repository, branch) = (address.to_string(), self.target().to_owned());
        // The lease forces nothing: the commit's parent is the very commit that the branch must still be at. It
        // keeps the push from bringing back a branch that was deleted, or commits that were taken off it.
        let expected = if self.request.push_to.is_some() { String::new() } else { head.to_string() };
        let lease = format!("--force-with-lease=refs/heads/{branch}:{expected}");
        let spec = format!("{commit}:refs/heads/{branch}");
        let args = ["push", "--porcelain", "--no-recurse-submodules", &lease, "--", address.as_str(), &spec];
        let answer = match child::git("push to", address, self.mirror.path(), &args, self.request.deadline) {
            Err(GitError::NoGit { .. }) if address.is_local() => return self.push_here(head, commit),
            answer => answer?,
        };
        if answer.ok {
            return Ok(Pushed::Done);
        }
        let Some(refusal) = answer.stdout.lines().find(|line| line.starts_with('!')) else {
            return Err(answer.into_error("push to", address).into());
        };
        let moved = ["stale info", "fetch first", "non-fast-forward", "failed to update ref", "cannot lock ref", "incorrect old value"];
        if !moved.iter().any(|word| refusal.contains(word)) {
            let told: Vec<&str> = answer.stderr.lines().filter_map(|line| line.strip_prefix("remote:")).map(str::trim).collect();
            let rule = refusal.rsplit('\t').next().unwrap_or(refusal);
            let cause = clean(&format!("{rule} {}", told.join(" "))).trim().to_owned();
            return Err(BumpFailure::Refused { repository, branch, cause });
        }
        if self.request.push_to.is_some() {
            return Err(BumpFailure::BranchExists { repository, branch });
        }
        Ok(Pushed::Moved)
    }

    /// The same without a `git`, to a repository of this machine.
    fn push_here(&self, head: Oid, commit: Oid) -> Outcome<Pushed> {
        let address = self.mirror.address();
        let (repository, branch) = (address.to_string(), self.target().to_owned());
        let expected = self.request.push_to.is_none().then_some(head);
        let pushed = local::push(&self.mirror.repository()?, address.as_str(), &branch, expected, commit);
        match pushed.map_err(|error| self.mirror.object("the push", &error))? {
            local::Pushed::Done => Ok(Pushed::Done),
            local::Pushed::Moved if self.request.push_to.is_some() => Err(BumpFailure::BranchExists { repository, branch }),
            local::Pushed::Moved => Ok(Pushed::Moved),
            local::Pushed::Hook(hook) => {
                let cause = format!("its hook {hook} can only be run by git, which is not installed");
                Err(BumpFailure::Refused { repository, branch, cause })
            }
        }
    }

    /// After a push without an answer: the branch itself says whether it arrived.
    fn look_for(&self, commit: Oid, cause: GitError) -> Outcome<Pushed> {
        if matches!(cause, GitError::NoGit { .. }) {
            return Err(cause.into());
        }
        if self.mirror.fetch(self.request.deadline).is_err() {
            let (repository, branch) = (self.mirror.address().to_string(), self.target().to_owned());
            return Err(BumpFailure::Unknown { repository, branch, commit: short(commit), cause: Box::new(cause) });
        }
        if self.on_branch(commit)? { Ok(Pushed::Done) } else { Err(cause.into()) }
    }

    fn on_branch(&self, commit: Oid) -> Outcome<bool> {
        let found = self.mirror.find(&format!("refs/heads/{}", self.target()))?;
        let objects = self.mirror.repository()?;
        Ok(found.is_some_and(|found| commit::holds(&objects, found.commit, commit)))
    }

    /// The same edit on the new head, if nobody has touched the pins meanwhile.
    fn again(&self, last: &Edit) -> Outcome<Edit> {
        let refs = |pins: &[Pin]| pins.iter().map(|pin| (pin.url.clone(), pin.reference.clone())).collect::<Vec<_>>();
        let (next, to) = match self.edit() {
            Ok(next) if refs(&next.pins) == refs(&last.pins) => return Ok(next),
            // Somebody else has pinned the same ref: that is what was wanted.
            Ok(next) if next.before == next.after => return Ok(next),
            Ok(next) => (next.head, next.from()),
            Err(BumpFailure::NoPin { .. } | BumpFailure::NoFile { .. }) => {
                (self.mirror.branch_head(&self.request.branch)?, "no pin at all".to_owned())
            }
            Err(other) => return Err(other),
        };
        let objects = self.mirror.repository()?;
        let view = |content: Option<&[u8]>| {
            content.and_then(|c| std::str::from_utf8(c).ok()).and_then(|text| find_pins(text).ok()).map(|pins| refs(&pins))
        };
        let changed = commit::changed_by(&objects, (last.head, next), &last.file.path, view);
        let (commit, who) = match changed.map_err(|error| self.mirror.object("the new commits", &error))? {
            Some((commit, who)) => (short(commit), clean(&who)),
            // The branch was set back: no new commit holds the change.
            None => (short(next), "somebody who set the branch back".to_owned()),
        };
        Err(BumpFailure::Changed { file: clean(&last.file.path), who, commit, from: last.from(), to })
    }
}

impl Edit {
    fn from(&self) -> String {
        let refs: BTreeSet<&str> = self.pins.iter().map(|pin| pin.reference.as_str()).collect();
        clean(&refs.into_iter().collect::<Vec<_>>().join(", "))
    }

    fn outcome(&self, work: &Work<'_>, commit: Option<Oid>) -> BumpOutcome {
        let line = self.pins.iter().map(|pin| pin.line).min().unwrap_or_default();
        let nth = |text: &str| text.lines().nth(line.saturating_sub(1)).map(clean).unwrap_or_default();
        BumpOutcome {
            from: self.from(),
            to: work.request.to.clone(),
            commit: commit.map(|commit| commit.to_string()),
            branch: work.target().to_owned(),
            file: clean(&self.file.path),
            line,
            line_before: nth(&self.before),
            line_after: nth(&self.after),
            pins: self.pins.len(),
            moving: work.moving,
            unchanged: self.before == self.after,
        }
    }
}

#[cfg(test)]
mod tests;
