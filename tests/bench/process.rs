//! What the kernel knows of a process: memory and time.

use std::fs;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

/// Ticks a second in which the kernel tells the time of a process.
static TICKS: LazyLock<f64> = LazyLock::new(|| {
    let said = Command::new("getconf").arg("CLK_TCK").output().ok();
    said.and_then(|said| String::from_utf8_lossy(&said.stdout).trim().parse().ok()).unwrap_or(100.0)
});

/// Memory in MiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident now.
    pub resident: f64,
    /// The part of it that is no file.
    pub own: f64,
    /// The most that was ever resident.
    pub peak: f64,
}

pub fn memory(id: u32) -> Memory {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("a living process");
    let field = |name: &str| -> f64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib: Option<f64> = line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next()?.parse().ok());
        kib.unwrap_or_else(|| panic!("/proc/{id}/status has no {name}")) / 1024.0
    };
    Memory { resident: field("VmRSS"), own: field("RssAnon"), peak: field("VmHWM") }
}

/// Processor time so far, of all its threads.
pub fn time(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("a living process");
    // The name in brackets may hold spaces.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum();
    Duration::from_secs_f64(ticks / *TICKS)
}

/// Threads that it has.
pub fn threads(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/task")).map_or(0, Iterator::count)
}
