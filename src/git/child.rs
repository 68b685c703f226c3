//! Git in a child process: a deadline, a kill that reaches its helpers, and an answer with a cause.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Address, GitError};
use crate::domain::text::clean;

/// What is kept of an output; git's answers are a few lines.
const LONGEST_OUTPUT: u64 = 256 * 1024;
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Variables that would point git at another repository than the mirror it is given.
const FOREIGN: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_CEILING_DIRECTORIES",
];

/// A finished call.
#[derive(Debug)]
pub(super) struct Answer {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    /// The line of git's complaint that says most: the first `fatal:` or `error:`, else the last line.
    pub(super) fn cause(&self) -> String {
        let lines = || self.stderr.lines().map(str::trim).filter(|line| !line.is_empty());
        let told = lines().find_map(|line| line.strip_prefix("fatal: ").or_else(|| line.strip_prefix("error: ")));
        clean(told.or_else(|| lines().next_back()).unwrap_or("git gave no reason"))
    }

    pub(super) fn into_error(self, verb: &'static str, address: &Address) -> GitError {
        let cause = self.cause();
        let said = self.stderr.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
        let way_out = if has(&["authentication failed", "permission denied", "could not read username", "access denied", "403"]) {
            "set up credentials that git can use without asking (a credential helper, an SSH agent)"
        } else if has(&["host key verification"]) {
            "connect once by hand with ssh to accept the host key"
        } else if has(&[
            "could not resolve",
            "connection refused",
            "failed to connect",
            "couldn't connect",
            "timed out",
            "unreachable",
            "connection reset",
        ]) {
            "check the network and the host's name"
        } else {
            "check that the repository exists and that you may use it"
        };
        GitError::Transfer { verb, repository: address.to_string(), cause, way_out }
    }
}

/// Runs `git --git-dir DIRECTORY ARGS…`; a call that lasts longer than `deadline` is killed, helpers included.
pub(super) fn git(verb: &'static str, address: &Address, directory: &Path, args: &[&str], deadline: Duration) -> Result<Answer, GitError> {
    let begun = Instant::now();
    let mut command = Command::new("git");
    command.arg("--git-dir").arg(directory);
    // No hook of a template runs here, and git's own housekeeping does not outlive the deadline.
    command.arg("-c").arg(format!("core.hooksPath={}", directory.join("no-hooks").display()));
    for setting in
        ["gc.auto=0", "maintenance.auto=false", "advice.pushUpdateRejected=false", "push.gpgSign=false", "fetch.recurseSubmodules=false"]
    {
        command.arg("-c").arg(setting);
    }
    command.args(args);
    for name in FOREIGN {
        command.env_remove(name);
    }
    command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ALLOW_PROTOCOL", "https:http:ssh:file").env("LC_ALL", "C");
    if let Some(ssh) = quiet_ssh() {
        command.env("GIT_SSH_COMMAND", ssh);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);

    let failed = |cause: std::io::Error| match cause.kind() {
        std::io::ErrorKind::NotFound => GitError::NoGit { verb, repository: address.to_string() },
        _ => {
            GitError::Transfer { verb, repository: address.to_string(), cause: cause.to_string(), way_out: "check that git can be started" }
        }
    };
    let mut child = command.spawn().map_err(failed)?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if begun.elapsed() < deadline => std::thread::sleep(LOOK_AGAIN),
            None => {
                kill(&mut child);
                return Err(GitError::Deadline { verb, repository: address.to_string(), seconds: deadline.as_secs() });
            }
        }
    };
    // A helper that outlives git may hold the pipes open; what has not come by now never will.
    let text = |from: mpsc::Receiver<Vec<u8>>| {
        address.redact(&String::from_utf8_lossy(&from.recv_timeout(Duration::from_secs(2)).unwrap_or_default()))
    };
    Ok(Answer { ok: status.success(), stdout: text(stdout), stderr: text(stderr) })
}

/// An ssh that fails instead of asking, unless the user has chosen an ssh of their own.
fn quiet_ssh() -> Option<&'static str> {
    let chosen = ["GIT_SSH_COMMAND", "GIT_SSH"].iter().any(|name| std::env::var_os(name).is_some())
        || git2::Config::open_default().is_ok_and(|config| config.get_entry("core.sshcommand").is_ok());
    (!chosen).then_some("ssh -o BatchMode=yes -o ConnectTimeout=15")
}

fn collect(from: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut from) = from {
            // A broken pipe ends the output like any other end.
            let _ = from.by_ref().take(LONGEST_OUTPUT).read_to_end(&mut kept);
            let _ = std::io::copy(&mut from, &mut std::io::sink());
        }
        let _ = send.send(kept);
    });
    receive
}

/// Ends git and the helpers it started (ssh, git-remote-https), which share its process group.
fn kill(child: &mut Child) {
    #[cfg(unix)]
    {
        let group = format!("kill -KILL -{}", child.id());
        let _ = Command::new("sh").args(["-c", &group]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
    let _ = child.kill();
    let _ = child.wait();
}
