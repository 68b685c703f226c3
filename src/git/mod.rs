//! Git: mirrors, refs, pins, and the one-line commit that moves a pin.
//!
//! Here live the bare mirrors of the cache folder, the trees that the renderer reads from them, the search
//! for pins in a kustomization and the bump, which edits a pin, commits and pushes. Objects are read and
//! written by `git2`; whatever talks to a network runs in a child process that has a deadline and is killed
//! at it. Never here: async (callers use `spawn_blocking`), Kubernetes, rendering, a work tree, a forced push.
//! Read `mirror.rs` first, then `pin.rs`, then `bump.rs`.

use std::path::PathBuf;

mod address;
mod bump;
mod child;
mod commit;
mod local;
mod lock;
mod mirror;
mod pin;
mod refs;
mod remotes;
#[cfg(test)]
mod scratch;
mod stamp;
mod tree;
mod upstream;

pub use address::Address;
pub use bump::{BumpError, BumpFailure, BumpOutcome, BumpRequest, bump, plan};
pub use commit::author;
pub use git2::Oid;
pub use mirror::Mirror;
pub use pin::{Pin, find_pins, set_ref};
pub use refs::{Found, RefInfo, RefKind, check_pin_ref, check_ref_name};
pub use remotes::MirrorRemotes;
pub use stamp::Stamp;
pub use tree::GitTree;
pub use upstream::{Change, Upstream, UpstreamError};

/// Why something about git did not work. Every sentence names the repository, the cause and the way out.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// A URL that git is not asked to open.
    #[error(
        "`{url}` is not a repository to fetch from: {why}; write https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH or file:///PATH"
    )]
    Address { url: String, why: String },
    /// A name that git refuses as a branch or tag.
    #[error("`{name}` cannot be a ref: {why}; name a tag, a branch or a commit")]
    RefName { name: String, why: String },
    /// A ref that the repository does not have.
    #[error("{repository} has no ref `{reference}`{}", nearest_text(.nearest))]
    NoSuchRef { repository: String, reference: String, nearest: Vec<String> },
    /// Git's own programme is missing.
    #[error("cannot {verb} {repository}: no `git` on PATH; install git")]
    NoGit { verb: &'static str, repository: String },
    /// The other side, or the way to it, failed.
    #[error("cannot {verb} {repository}: {cause}; {way_out}")]
    Transfer { verb: &'static str, repository: String, cause: String, way_out: &'static str },
    /// The transfer was killed at its deadline.
    #[error("cannot {verb} {repository}: no end after {seconds} s, and the transfer was stopped; check the network, or allow more time")]
    Deadline { verb: &'static str, repository: String, seconds: u64 },
    /// Another process holds the mirror.
    #[error("the mirror of {repository} has been held by process {holder} for {seconds} s; wait for it, or end it")]
    Busy { repository: String, holder: String, seconds: u64 },
    /// The cache folder cannot be read or written.
    #[error("the cache at {}: {cause}; check the folder's permissions and space, or delete it: it is only a copy", .path.display())]
    Cache { path: PathBuf, cause: String },
    /// An object of the mirror cannot be read or written.
    #[error("{what} in the mirror of {repository}: {cause}; delete {} to have it fetched anew", .mirror.display())]
    Object { repository: String, what: String, cause: String, mirror: PathBuf },
    /// A kustomization that is not YAML, or not a mapping.
    #[error("not a kustomization: {cause}; mend the YAML first")]
    Malformed { cause: String },
    /// A pin written in a way that cannot be edited in place.
    #[error("line {line}: the pin `{url}` {why}; write it as one plain or quoted string on one line")]
    NotEditable { line: usize, url: String, why: &'static str },
    /// The edit would have changed more, or less, than the pin.
    #[error("line {line}: moving `{url}` to `{to}` would not change exactly this pin ({why}); edit it by hand")]
    Unproven { line: usize, url: String, to: String, why: &'static str },
}

fn nearest_text(nearest: &[String]) -> String {
    if nearest.is_empty() { "; it has no tags or branches at all".to_owned() } else { format!("; nearest: {}", nearest.join(", ")) }
}
