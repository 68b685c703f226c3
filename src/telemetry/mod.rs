//! Logs: a rolling file in the state folder, or JSON lines on stdout for the daemon; reports of panics in `crash.rs`.

pub mod crash;
pub mod recent;

use std::path::{Path, PathBuf};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{Builder, Rotation};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Days of logs that are kept.
const KEPT: usize = 7;
/// Lines that may wait for the disk; the place for them is taken at the start.
const BACKLOG: usize = 8_192;
/// Variable that holds a filter such as `pilothouse=debug`.
const FILTER: &str = "PILOTHOUSE_LOG";

/// Keeps the log's writer alive; dropped at the end of `main`, it writes what is left.
#[must_use]
pub struct Logs {
    _guard: Option<WorkerGuard>,
    /// Where the log is, if it could be opened.
    pub folder: Option<PathBuf>,
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new("info,kube=warn,hyper=warn,tower=warn"))
}

/// Logs into `folder`; a folder that cannot be written is no reason not to start.
pub fn to_file(folder: &Path) -> Logs {
    let made = std::fs::create_dir_all(folder).ok().and_then(|()| {
        Builder::new().rotation(Rotation::DAILY).filename_prefix("pilothouse").filename_suffix("log").max_log_files(KEPT).build(folder).ok()
    });
    let Some(appender) = made else { return Logs { _guard: None, folder: None } };
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(BACKLOG).finish(appender);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    let _ = tracing_subscriber::registry().with(filter()).with(lines).with(recent::Recent).try_init();
    Logs { _guard: Some(guard), folder: Some(folder.to_path_buf()) }
}

/// JSON lines on stdout.
pub fn to_stdout() -> Logs {
    let lines = tracing_subscriber::fmt::layer().json().with_writer(std::io::stdout);
    let _ = tracing_subscriber::registry().with(filter()).with(lines).with(recent::Recent).try_init();
    Logs { _guard: None, folder: None }
}
