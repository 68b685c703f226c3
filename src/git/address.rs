//! Repository URLs: which ones git may be given, how they are shown, and when two mean the same repository.

use std::fmt;

use super::GitError;

/// A URL that is safe to hand to git.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    url: String,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Http,
    Ssh,
    Scp,
    File,
}

impl Address {
    /// Reads `https`, `http`, `ssh` and `file` URLs, `USER@HOST:PATH`, absolute paths and `github.com/…`.
    ///
    /// # Errors
    /// [`GitError::Address`] for everything else: remote helpers (`ext::`), option look-alikes, relative paths.
    pub fn parse(text: &str) -> Result<Self, GitError> {
        let refuse = |why: &str| Err(GitError::Address { url: crate::domain::text::clean(&hidden(text)), why: why.to_owned() });
        let url = text.strip_prefix("git::").unwrap_or(text).trim_end_matches('/');
        if url.is_empty() {
            return refuse("it is empty");
        }
        if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return refuse("it holds a space or a control character");
        }
        if url.contains(['?', '#']) {
            return refuse("it holds a query or a fragment, which belong to the pin");
        }
        if url.starts_with('-') {
            return refuse("it looks like an option");
        }
        if url.starts_with('/') {
            return Ok(Self { url: url.to_owned(), form: Form::File });
        }
        if let Some((scheme, rest)) = url.split_once("://") {
            let form = match scheme.to_ascii_lowercase().as_str() {
                "https" | "http" => Form::Http,
                "ssh" => Form::Ssh,
                "file" => Form::File,
                _ => return refuse("only https, http, ssh and file are allowed"),
            };
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
            if user.starts_with('-') || host.starts_with('-') {
                return refuse("its user or host looks like an option");
            }
            if path.is_empty() || (form != Form::File && host.is_empty()) {
                return refuse("it names no host or no path");
            }
            return Ok(Self { url: url.to_owned(), form });
        }
        let Some((host, path)) = url.split_once(':').filter(|(host, _)| !host.contains('/')) else {
            return match url.strip_prefix("github.com/") {
                Some(path) if !path.is_empty() => Ok(Self { url: format!("https://{url}"), form: Form::Http }),
                _ => refuse("it names no host"),
            };
        };
        if path.starts_with(':') {
            return refuse("remote helpers run programs, and are refused");
        }
        let (user, host) = host.rsplit_once('@').unwrap_or(("", host));
        if host.is_empty() || path.is_empty() {
            return refuse("it names no host or no path");
        }
        if [user, host, path].iter().any(|part| part.starts_with('-')) {
            return refuse("its user, host or path looks like an option");
        }
        Ok(Self { url: url.to_owned(), form: Form::Scp })
    }

    /// The URL as git takes it; it may hold a password, so it is never shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Whether the repository is a folder of this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.form == Form::File
    }

    /// What two spellings of one repository have in common: `host/path`, without scheme, user and `.git`.
    #[must_use]
    pub fn key(&self) -> String {
        let (host, path) = match self.form {
            Form::Scp => self.url.split_once(':').unwrap_or(("", &self.url)),
            _ => match self.url.split_once("://") {
                Some((_, rest)) => rest.split_once('/').unwrap_or((rest, "")),
                None => ("", self.url.as_str()),
            },
        };
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host).to_ascii_lowercase();
        let host = [":22", ":443", ":80"].iter().find_map(|port| host.strip_suffix(port)).unwrap_or(&host);
        let path = path.trim_matches('/');
        format!("{host}/{}", path.strip_suffix(".git").unwrap_or(path))
    }

    /// Whether `pinned`, a remote base without its query, lies in this repository.
    #[must_use]
    pub fn holds(&self, pinned: &str) -> bool {
        let Ok(pinned) = Self::parse(pinned) else { return false };
        let own = self.key();
        let Some(rest) = pinned.key().strip_prefix(&own).map(str::to_owned) else { return false };
        rest.is_empty() || rest.starts_with('/') || rest == ".git" || rest.starts_with(".git/")
    }

    /// `text` with this URL's password and token taken out.
    pub(super) fn redact(&self, text: &str) -> String {
        let shown = self.to_string();
        let text = text.replace(&self.url, &shown);
        match userinfo(&self.url) {
            Some(secret) if self.form == Form::Http || secret.contains(':') => text.replace(&format!("{secret}@"), ""),
            _ => text,
        }
    }
}

impl fmt::Display for Address {
    /// The URL without a password; for https without the user too, since tokens are written there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::domain::text::clean(&hidden(&self.url)))
    }
}

fn userinfo(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    authority.rsplit_once('@').map(|(user, _)| user)
}

fn hidden(url: &str) -> String {
    match userinfo(url) {
        Some(user) if url.starts_with("ssh") => url.replacen(user, user.split(':').next().unwrap_or_default(), 1),
        Some(user) => url.replacen(&format!("{user}@"), "", 1),
        None => url.to_owned(),
    }
}

/// The repository part of a remote base (query cut off): up to `//`, up to `.git`, or two segments of a host.
pub(super) fn repository_of(base: &str) -> &str {
    let after_scheme = base.find("://").map_or(0, |at| at + 3);
    let rest = base.get(after_scheme..).unwrap_or_default();
    let end = |length: usize| base.get(..after_scheme + length).unwrap_or(base);
    if let Some(at) = rest.find("//") {
        return end(at);
    }
    if let Some(at) = rest.find(".git/") {
        return end(at + 4);
    }
    if base.starts_with("file://") || rest.contains("_git/") {
        return base;
    }
    // host/org/repo/path…; in the scp form the host ends at the colon.
    let segments = if base.contains("://") || !rest.contains(':') { 3 } else { 2 };
    rest.match_indices('/').nth(segments - 1).map_or(base, |(at, _)| end(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_that_cannot_run_anything_are_taken() {
        for good in [
            "https://example.com/a/b.git",
            "http://127.0.0.1:8080/a",
            "ssh://git@example.com/a.git",
            "git@example.com:a/b.git",
            "file:///srv/a.git",
            "/srv/a.git",
            "git::https://example.com/a/b",
            "github.com/a/b",
        ] {
            assert!(Address::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-oProxyCommand=x",
            "--upload-pack=x",
            "ext::sh -c id",
            "ext::sh",
            "fd::17",
            "ssh://-oProxyCommand=x/a",
            "ssh://-x@host/a",
            "-x@host:a",
            "git@-host:a",
            "git@host:-a",
            "a/b",
            "../a",
            "ftp://host/a",
            "git://host/a",
            "https://host",
            "https:///a",
            "https://host/a b",
            "https://host/a?ref=1",
        ] {
            let error = Address::parse(bad).expect_err(bad).to_string();
            assert!(error.contains("https://HOST/PATH"), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let address = Address::parse("https://me:secret@example.com/a/b.git").expect("a URL");
        assert_eq!(address.to_string(), "https://example.com/a/b.git");
        assert_eq!(
            address.redact("fatal: https://me:secret@example.com/a/b.git/ gone, me:secret@example.com"),
            "fatal: https://example.com/a/b.git/ gone, example.com"
        );
        assert_eq!(Address::parse("ssh://git:pw@example.com/a").expect("a URL").to_string(), "ssh://git@example.com/a");
        assert!(!Address::parse("ftp://me:secret@host/a").expect_err("refused").to_string().contains("secret"));
    }

    #[test]
    fn spellings_of_one_repository_agree() {
        let key = |url: &str| Address::parse(url).expect(url).key();
        assert_eq!(key("https://Example.com/vendor/app.git"), "example.com/vendor/app");
        for other in ["git@example.com:vendor/app.git", "ssh://git@example.com:22/vendor/app", "https://token@example.com/vendor/app/"] {
            assert_eq!(key(other), "example.com/vendor/app", "{other}");
        }
        let app = Address::parse("https://example.com/vendor/app").expect("a URL");
        for inside in [
            "https://example.com/vendor/app.git//dist/app-istio",
            "git@example.com:vendor/app//dist",
            "https://example.com/vendor/app/dist",
            "https://example.com/vendor/app.git/dist",
        ] {
            assert!(app.holds(inside), "{inside}");
        }
        for outside in
            ["https://example.com/vendor/app2//dist", "https://example.com/other/app", "../app", "https://example.com/vendor/app.github"]
        {
            assert!(!app.holds(outside), "{outside}");
        }
    }

    #[test]
    fn the_repository_part_of_a_base() {
        for (base, repository) in [
            ("https://example.com/v/app//dist/x", "https://example.com/v/app"),
            ("https://example.com/v/app.git/dist", "https://example.com/v/app.git"),
            ("https://example.com/v/app/dist/x", "https://example.com/v/app"),
            ("https://example.com/v/app", "https://example.com/v/app"),
            ("git@example.com:v/app/dist", "git@example.com:v/app"),
            ("github.com/v/app/dist", "github.com/v/app"),
            ("file:///srv/app.git//dist", "file:///srv/app.git"),
            ("ssh://git@host/v/app.git//d", "ssh://git@host/v/app.git"),
        ] {
            assert_eq!(repository_of(base), repository);
        }
    }
}
