//! What the figures were measured on.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The binary that is measured: `PILOTHOUSE_BIN`, else the one that cargo built beside this.
pub fn binary() -> PathBuf {
    std::env::var_os("PILOTHOUSE_BIN").map_or_else(|| env!("CARGO_BIN_EXE_pilothouse").into(), PathBuf::from)
}

/// The average number of processes that wanted a core in the last minute.
pub fn load() -> f64 {
    let read = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    read.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(f64::NAN)
}

/// Programs and hardware.
pub struct Machine {
    lines: Vec<String>,
}

impl Machine {
    pub fn look() -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let found = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':').map(|(_, rest)| rest.trim().to_owned()));
            found.unwrap_or_else(|| "unknown".into())
        };
        let memory: f64 = field("/proc/meminfo", "MemTotal").split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0.0);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let said = Command::new(binary()).arg("--version").output().map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
        let built = if cfg!(debug_assertions) { " (debug assertions are on: no figure counts)" } else { "" };
        let mut machine = String::new();
        let _ = write!(
            machine,
            "{cores} cores, {}, {:.1} GiB, Linux {}",
            field("/proc/cpuinfo", "model name"),
            memory / 1_048_576.0,
            kernel.trim()
        );
        let program = format!("{}{built}, {}", said.unwrap_or_else(|error| format!("no version: {error}")), binary().display());
        Self { lines: vec![machine, program, format!("load average at the start {:.2}", load())] }
    }

    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}
