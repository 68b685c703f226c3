//! The grammar of remote bases.
//!
//! Source: <https://github.com/kubernetes-sigs/kustomize/blob/master/examples/remoteBuild.md> and
//! observation of kustomize 5.8.1.

use super::files::RemoteBase;

const SCHEMES: [&str; 4] = ["ssh://", "https://", "http://", "file://"];

/// Takes a remote base apart; `None` where `text` is none.
#[must_use]
pub fn parse_remote(text: &str) -> Option<RemoteBase> {
    if text.starts_with('/') {
        return None;
    }
    let (address, query) = text.split_once('?').unwrap_or((text, ""));
    let address = strip_prefix_ignoring_case(address, "git::").unwrap_or(address);
    let (scheme, rest) = SCHEMES
        .into_iter()
        .find_map(|scheme| strip_prefix_ignoring_case(address, scheme).map(|rest| (scheme, rest)))
        .unwrap_or(("", address));
    let (user, rest) = user(rest);
    let lower = rest.to_ascii_lowercase();
    let github = lower.starts_with("github.com/") || lower.starts_with("github.com:");
    let scp = scheme.is_empty() && (!user.is_empty() || github);
    if scheme.is_empty() && !scp {
        return None;
    }
    let (host, path) = if scheme == "file://" {
        (scheme.to_owned(), format!("{user}{rest}"))
    } else {
        let (host, path) = match separator(rest, scp) {
            Some(at) => (&rest[..=at], &rest[at + 1..]),
            None => (rest, ""),
        };
        if host.is_empty() {
            return None;
        }
        let host = match (github, scheme == "ssh://" || !user.is_empty()) {
            (true, true) => format!("{user}github.com:"),
            (true, false) => "https://github.com/".to_owned(),
            (false, _) => format!("{scheme}{user}{host}"),
        };
        (host, path.to_owned())
    };
    let (repository, folder) = repository(&path, scheme == "file://")?;
    if repository.is_empty() || leaves(folder) {
        return None;
    }
    Some(RemoteBase {
        repository: format!("{host}{repository}"),
        path: folder.strip_prefix('/').unwrap_or(folder).to_owned(),
        reference: reference(query),
    })
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// `name@`, the name being letters, digits and `-`.
fn user(text: &str) -> (&str, &str) {
    match text.find('@') {
        Some(at)
            if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text[..at].chars().all(|c| c.is_ascii_alphanumeric() || c == '-') =>
        {
            text.split_at(at + 1)
        }
        _ => ("", text),
    }
}

/// Where the host ends.
fn separator(text: &str, scp: bool) -> Option<usize> {
    let slash = text.find('/');
    let colon = text.find(':').filter(|_| scp);
    match (slash, colon) {
        (None, colon) => colon,
        (Some(slash), Some(colon)) if colon > 0 && colon < slash => Some(colon),
        (slash, _) => slash,
    }
}

/// The repository's path and the folder in it: by a marker, or the first two segments.
fn repository(path: &str, whole: bool) -> Option<(String, &str)> {
    if let Some(at) = path.find("_git/") {
        let (root, rest) = path.split_at(at + "_git/".len());
        let (name, folder) = rest.split_once('/').unwrap_or((rest, ""));
        return Some((format!("{root}{name}"), folder));
    }
    if let Some((root, folder)) = path.split_once("//") {
        return Some((root.to_owned(), folder));
    }
    if let Some(at) = path.find(".git") {
        let (root, folder) = path.split_at(at + ".git".len());
        return Some((root.to_owned(), folder));
    }
    if whole {
        return Some((path.to_owned(), ""));
    }
    let mut parts = path.splitn(3, '/');
    let (owner, name) = (parts.next()?, parts.next()?);
    Some((format!("{owner}/{name}"), parts.next().unwrap_or("")))
}

/// Whether a folder lies outside of its repository.
fn leaves(folder: &str) -> bool {
    let mut depth = 0_usize;
    for part in folder.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

/// `ref`, or else `version`.
fn reference(query: &str) -> Option<String> {
    let mut found = [None, None];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if pair.contains(';') {
            return None;
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decoded(key)?, decoded(value)?);
        let slot = match key.as_str() {
            "ref" => &mut found[0],
            "version" => &mut found[1],
            _ => continue,
        };
        slot.get_or_insert(value);
    }
    found.into_iter().flatten().find(|value| !value.is_empty())
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Option<(String, String, Option<String>)> {
        parse_remote(text).map(|base| (base.repository, base.path, base.reference))
    }

    #[expect(clippy::unnecessary_wraps, reason = "stands beside `taken`, which may have nothing to say")]
    fn base(repository: &str, path: &str, reference: Option<&str>) -> Option<(String, String, Option<String>)> {
        Some((repository.to_owned(), path.to_owned(), reference.map(str::to_owned)))
    }

    #[test]
    fn remote_bases_are_taken_apart() {
        assert_eq!(taken("github.com/org/repo//dist/app?ref=1.0.0"), base("https://github.com/org/repo", "dist/app", Some("1.0.0")));
        assert_eq!(
            taken("https://github.com/org/repo/dist/app?ref=v1&timeout=90"),
            base("https://github.com/org/repo", "dist/app", Some("v1"))
        );
        assert_eq!(taken("git@github.com:org/repo.git/x"), base("git@github.com:org/repo.git", "x", None));
        assert_eq!(taken("ssh://git@example.com/a/b//c"), base("ssh://git@example.com/a/b", "c", None));
        assert_eq!(taken("user@host.io:team/repo//p?version=2"), base("user@host.io:team/repo", "p", Some("2")));
        assert_eq!(taken("file:///srv/repo//p/q?ref=main"), base("file:///srv/repo", "p/q", Some("main")));
        assert_eq!(taken("file:///srv/repo"), base("file:///srv/repo", "", None));
        assert_eq!(taken("git::https://example.com/org/repo.git//p"), base("https://example.com/org/repo.git", "p", None));
        assert_eq!(
            taken("https://dev.example.com/org/project/_git/repo/p?ref=a%2Fb"),
            base("https://dev.example.com/org/project/_git/repo", "p", Some("a/b"))
        );
    }

    #[test]
    fn what_is_no_remote_base_is_left_to_the_tree() {
        for text in ["../base", "base", "/srv/base", "a//b", "https://example.com/only", "github.com/org/repo//../x", "ftp://a/b/c"] {
            assert_eq!(taken(text), None, "{text}");
        }
    }
}
