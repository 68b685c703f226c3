//! Logs: a rolling file in the state folder, or JSON lines on stdout for the daemon; reports of panics in `crash.rs`.

pub mod crash;

use std::path::{Path, PathBuf};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{Builder, Rotation};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt as _;

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
    let _ = tracing_subscriber::fmt().with_env_filter(filter()).with_writer(writer.and(|| crash::Kept)).with_ansi(false).try_init();
    Logs { _guard: Some(guard), folder: Some(folder.to_path_buf()) }
}

/// JSON lines on stdout.
pub fn to_stdout() -> Logs {
    let _ = tracing_subscriber::fmt().json().with_env_filter(filter()).with_writer(std::io::stdout.and(|| crash::Kept)).try_init();
    Logs { _guard: None, folder: None }
}
