//! k9s, to show the same Canaries: found, or built once into the cache folder by its version.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::fleets::Home;
use crate::support::{Guarded, seconds};
use crate::terminal::Terminal;

pub const VERSION: &str = "0.51.0";

/// The folder of what is built once.
pub fn cache() -> PathBuf {
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from);
    of("PILOTHOUSE_CACHE")
        .or_else(|| Some(of("XDG_CACHE_HOME")?.join("pilothouse")))
        .or_else(|| Some(of("HOME")?.join(".cache/pilothouse")))
        .unwrap_or_default()
}

/// The program, or why there is none.
pub fn program() -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("K9S_BIN").map(PathBuf::from) {
        return Ok(given);
    }
    let folder = cache().join("k9s").join(VERSION);
    let program = folder.join("k9s");
    if program.is_file() {
        return Ok(program);
    }
    eprintln!("  k9s {VERSION} is built once; that takes several minutes and about 5 GB in Go's cache …");
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let module = format!("github.com/derailed/k9s@v{VERSION}");
    let mut command = Command::new("go");
    command.args(["install", "-trimpath", "-ldflags", "-s -w", &module]).env("GOBIN", &folder).stdin(Stdio::null());
    let mut building = Guarded(command.spawn().map_err(|error| format!("k9s {VERSION} cannot be built: go: {error}"))?);
    let started = std::time::Instant::now();
    let code = loop {
        match building.code() {
            Some(code) => break code,
            None if started.elapsed() > seconds(1_800) => return Err(format!("k9s {VERSION} was not built within half an hour")),
            None => crate::support::pause(),
        }
    };
    if code == 0 && program.is_file() { Ok(program) } else { Err(format!("go install {module} failed with exit code {code}")) }
}

/// Shows the Canaries of all namespaces. It is told not to ask the internet for newer versions, and not to show its splash.
pub fn show(program: &Path, home: &Home, kubeconfig: &Path, size: (u16, u16)) -> Terminal {
    let folder = home.folder.path();
    home.folder.write("config.yaml", "k9s:\n  skipLatestRevCheck: true\n  ui:\n    splashless: true\n");
    let mut variables = home.variables();
    variables.push(("K9S_CONFIG_DIR".into(), folder.display().to_string()));
    variables.push(("K9S_LOGS_DIR".into(), folder.display().to_string()));
    let kubeconfig = kubeconfig.display().to_string();
    let words = ["--kubeconfig", &kubeconfig, "--all-namespaces", "--command", "canaries.flagger.app", "--readonly"].map(String::from);
    Terminal::start(program, &words, &variables, folder, size)
}
