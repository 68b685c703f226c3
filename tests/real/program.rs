//! The program under test as its users run it: one-shot, as a daemon, with a home of its own each time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::bed::Bed;
use crate::support::{Folder, Guarded, seconds, until};

/// The binary under test: `PILOTHOUSE_BIN`, else the one that cargo built beside this test.
pub fn binary() -> PathBuf {
    std::env::var_os("PILOTHOUSE_BIN").map_or_else(|| env!("CARGO_BIN_EXE_pilothouse").into(), PathBuf::from)
}

/// A kubeconfig of contexts at one address.
pub fn kubeconfig(names: &[&str], address: &str) -> String {
    let each = |line: fn(&str, &str) -> String| names.iter().map(|name| line(name, address)).collect::<String>();
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {}\nclusters:\n{}users:\n{}contexts:\n{}",
        names[0],
        each(|name, address| format!("- name: {name}\n  cluster:\n    server: https://{address}\n")),
        each(|name, _| format!("- name: {name}\n  user:\n    token: none\n")),
        each(|name, _| format!("- name: {name}\n  context:\n    cluster: {name}\n    user: {name}\n")),
    )
}

/// Where one person works: a home, a kubeconfig, a fleet file.
pub struct Home {
    pub folder: Folder,
    pub kubeconfig: PathBuf,
    pub fleet: Option<PathBuf>,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// Everything that was said.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

impl Home {
    pub fn new(what: &str, kubeconfig: &Path) -> Self {
        Self { folder: Folder::new(what), kubeconfig: kubeconfig.into(), fleet: None }
    }

    /// A home on a bed, with its fleet file.
    pub fn on(what: &str, bed: &Bed) -> Self {
        Self::new(what, &bed.kubeconfig()).with_fleet(&bed.fleet())
    }

    pub fn with_fleet(mut self, text: &str) -> Self {
        self.fleet = Some(self.folder.write("fleet.yaml", text));
        self
    }

    /// The environment: nothing of the person's who runs the tests.
    pub fn environment(&self) -> Vec<(String, String)> {
        let inside = |name: &str| self.folder.path().join(name).display().to_string();
        let mut all: Vec<(String, String)> = [
            ("HOME", inside("home")),
            ("XDG_STATE_HOME", inside("state")),
            ("XDG_CACHE_HOME", inside("cache")),
            ("XDG_CONFIG_HOME", inside("config")),
            ("XDG_DATA_HOME", inside("data")),
            ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_TERMINAL_PROMPT", "0".into()),
            ("GIT_AUTHOR_NAME", "Operator".into()),
            ("GIT_AUTHOR_EMAIL", "operator@example.com".into()),
            ("LANG", "C.UTF-8".into()),
            ("TERM", "xterm-256color".into()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        all.push(("PATH".into(), std::env::var("PATH").unwrap_or_default()));
        all
    }

    /// The words that every command gets.
    pub fn common(&self) -> Vec<String> {
        let mut words = vec!["--kubeconfig".into(), self.kubeconfig.display().to_string()];
        if let Some(fleet) = &self.fleet {
            words.extend(["--config".into(), fleet.display().to_string()]);
        }
        words
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().envs(self.environment()).args(words).args(self.common()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, words: &[&str]) -> Said {
        let place = Folder::new("said");
        let (out, err) = (place.path().join("out"), place.path().join("err"));
        let mut command = self.command(words);
        command.stdout(File::create(&out).expect("a file")).stderr(File::create(&err).expect("a file"));
        let mut child = Guarded(command.spawn().expect("the program"));
        let code = until(seconds(90), format!("end of pilothouse {}", words.join(" ")), || child.code());
        Said { code, out: fs::read_to_string(out).unwrap_or_default(), err: fs::read_to_string(err).unwrap_or_default() }
    }

    /// Runs a command that must end with `code`.
    pub fn expect(&self, code: i32, words: &[&str]) -> Said {
        let said = self.run(words);
        assert_eq!(said.code, code, "pilothouse {}: {said:?}", words.join(" "));
        said
    }

    /// Runs a command until `wanted` is true of what it says.
    pub fn until(&self, deadline: Duration, words: &[&str], mut wanted: impl FnMut(&Said) -> bool) -> Said {
        let mut last = String::new();
        let started = std::time::Instant::now();
        loop {
            let said = self.run(words);
            if wanted(&said) {
                return said;
            }
            last.clone_from(&said.all());
            assert!(
                started.elapsed() < deadline,
                "pilothouse {} did not come to it within {}s; it says:\n{last}",
                words.join(" "),
                deadline.as_secs()
            );
        }
    }

    /// Starts a command that stays.
    pub fn start(&self, words: &[&str]) -> Guarded {
        let mut command = self.command(words);
        Guarded(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program"))
    }

    pub fn daemon(&self, words: &[&str]) -> Daemon {
        let log = self.folder.path().join("daemon.log");
        let mut all = vec!["--daemon"];
        if !words.contains(&"--listen") {
            all.extend(["--listen", "127.0.0.1:0"]);
        }
        all.extend(words);
        let mut command = self.command(&all);
        let to = File::create(&log).expect("a file");
        command.stdout(to.try_clone().expect("a file")).stderr(to);
        let mut daemon = Daemon { process: Guarded(command.spawn().expect("the program")), log };
        until(seconds(20), "start of the daemon", || {
            assert_eq!(daemon.process.code(), None, "the daemon ended: {}", daemon.log());
            daemon.log().contains("daemon started").then_some(())
        });
        daemon
    }
}

/// A running daemon.
pub struct Daemon {
    process: Guarded,
    log: PathBuf,
}

impl Daemon {
    /// Where it logs.
    pub fn logs_to(&self) -> &Path {
        &self.log
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGTERM; returns the exit code.
    pub fn stop(mut self) -> i32 {
        self.process.terminate(seconds(15))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let from = log.char_indices().rev().nth(6000).map_or(0, |(at, _)| at);
            eprintln!("the end of the daemon's log:\n{}", &log[from..]);
        }
    }
}
