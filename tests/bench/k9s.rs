//! k9s, to show the same Canaries: found, or built once into the cache folder, by its version.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::fleets::Home;
use crate::support::{Folder, Guarded, seconds};
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
    eprintln!("  k9s {VERSION} is built once; that takes several minutes and some GB in Go's cache …");
    build(&folder, &program).map_err(|why| format!("k9s {VERSION} cannot be built: {why}"))?;
    Ok(program)
}

/// Builds it from the module, as `go install` would: that also asks which versions are deprecated, which not every
/// proxy answers.
fn build(folder: &Path, program: &Path) -> Result<(), String> {
    let place = Folder::new("k9s");
    let module = format!("github.com/derailed/k9s@v{VERSION}");
    let mut download = Command::new("go");
    download.args(["mod", "download", "-json", &module]).current_dir(place.path()).stdin(Stdio::null()).stderr(Stdio::inherit());
    let said = download.output().map_err(|error| format!("go: {error}"))?;
    let facts: serde_json::Value = serde_json::from_slice(&said.stdout).map_err(|error| format!("go mod download {module}: {error}"))?;
    let Some(fetched) = facts.get("Dir").and_then(serde_json::Value::as_str) else {
        return Err(format!("go mod download {module}: {}", facts.get("Error").unwrap_or(&facts)));
    };
    std::fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let source = place.path().join("source");
    // Go's module cache may not be built in, and is read-only.
    run(Command::new("cp").args(["-r", fetched]).arg(&source), MINUTES)?;
    run(Command::new("chmod").args(["-R", "u+w"]).arg(&source), MINUTES)?;
    let version = format!("-s -w -X github.com/derailed/k9s/cmd.version=v{VERSION}");
    // Whoever is stopped half way leaves no program.
    let fresh = folder.join("k9s.new");
    run(
        Command::new("go").args(["build", "-trimpath", "-ldflags", &version, "-o"]).arg(&fresh).arg(".").current_dir(&source),
        6 * MINUTES,
    )?;
    std::fs::rename(&fresh, program).map_err(|error| format!("{}: {error}", program.display()))
}

/// Seconds in which even a busy machine has copied a few files.
const MINUTES: u64 = 300;

fn run(command: &mut Command, longest: u64) -> Result<(), String> {
    let what = format!("{command:?}");
    let mut child = Guarded(command.stdin(Stdio::null()).spawn().map_err(|error| format!("{what}: {error}"))?);
    let started = Instant::now();
    loop {
        match child.code() {
            Some(0) => return Ok(()),
            Some(code) => return Err(format!("{what}: exit code {code}")),
            None if started.elapsed() > seconds(longest) => return Err(format!("{what}: not done within {longest} s")),
            None => crate::support::pause(),
        }
    }
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
