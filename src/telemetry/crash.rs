//! The report of a panic: a file in the state folder that can be sent to whoever looks into it.
//!
//! What panicked and where, the stack, the last lines of the log without what looks like a secret, and the
//! last frame of a console. Nothing here may panic, and nothing waits for a lock that a panic may hold.

use std::backtrace::Backtrace;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use regex::Regex;

/// Reports that are kept.
const KEPT: usize = 10;
/// Lines of the log in a report.
const LINES: usize = 50;

type Render = dyn Fn(&PanicHookInfo<'_>) -> String + Send + Sync;

struct Reporter {
    folder: PathBuf,
    render: Box<Render>,
}

static REPORTER: OnceLock<Reporter> = OnceLock::new();

/// From here on a panic is reported as `render` says it, and into a file of `folder`.
pub fn install(folder: PathBuf, render: impl Fn(&PanicHookInfo<'_>) -> String + Send + Sync + 'static) {
    if REPORTER.set(Reporter { folder, render: Box::new(render) }).is_err() {
        return;
    }
    std::panic::set_hook(Box::new(|info| {
        let (text, path) = report(info, "");
        let place = if path.is_empty() { String::new() } else { format!("\nreport: {path}") };
        // The process may have no standard error any more.
        let _ = writeln!(io::stderr().lock(), "{text}{place}");
    }));
}

/// The report as it is said to people, and the path of its file; empty where none can be written.
pub fn report(info: &PanicHookInfo<'_>, frame: &str) -> (String, String) {
    let Some(reporter) = REPORTER.get() else { return (info.to_string(), String::new()) };
    let said = (reporter.render)(info);
    let text = full(&said, &Backtrace::force_capture().to_string(), frame);
    let path = write(&reporter.folder, &text).map(|path| path.display().to_string()).unwrap_or_default();
    tracing::error!(report = path, "a part of this process panicked");
    (said, path)
}

fn full(said: &str, stack: &str, frame: &str) -> String {
    let thread = std::thread::current();
    let mut out = format!(
        "Pilothouse {} on {} {}, thread {}\n\n{said}\n\n--- stack\n{stack}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        thread.name().unwrap_or("without a name"),
    );
    // The thread that panicked may be the one that was writing a line.
    let lines = super::recent::tail(LINES);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "--- the last {} lines of the log", lines.len());
    for line in &lines {
        let _ = writeln!(out, "{}", without_secrets(line.trim_end()));
    }
    if !frame.is_empty() {
        let _ = writeln!(out, "\n--- the last frame\n{frame}");
    }
    out
}

/// Writes a report that only its owner may read, and takes the oldest ones away.
fn write(folder: &Path, text: &str) -> io::Result<PathBuf> {
    // One panic brings on the next within the same millisecond.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    fs::create_dir_all(folder)?;
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("crash-{millis:013}-{}-{count:03}.txt", std::process::id()));
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.write_all(text.as_bytes())?;
    let mut reports: Vec<PathBuf> = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("crash-")))
        .collect();
    reports.sort();
    for old in reports.iter().rev().skip(KEPT) {
        // Somebody else may have taken it away.
        let _ = fs::remove_file(old);
    }
    Ok(path)
}

/// A line of the log without what stands after words that announce a secret, and without long tokens.
fn without_secrets(line: &str) -> String {
    static SECRET: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"(?i)(bearer\s+|basic\s+|(?:token|password|passwd|secret|authorization|api[-_]?key)["']?\s*[=:]\s*["']?(?:bearer\s+|basic\s+)?)[^\s"',}]+|\beyJ[\w-]+\.[\w-]+\.[\w-]*|(://[^/\s:@]+:)[^@\s/]+@"#).ok()
    });
    match &*SECRET {
        Some(secret) => secret.replace_all(line, "$1$2***").into_owned(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn reports_are_ours_alone_and_few() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        let mut last = PathBuf::new();
        for number in 0..KEPT + 3 {
            last = write(&state, &format!("report {number}")).expect("a file");
            std::fs::metadata(&last).map(|data| assert_eq!(data.permissions().mode() & 0o777, 0o600)).expect("a file");
        }
        fs::write(state.join("pilothouse.log"), "log").expect("a file");
        write(&state, "one more").expect("a file");
        assert_eq!(fs::read_dir(&state).expect("a folder").count(), KEPT + 1);
        assert_eq!(fs::read_to_string(last).expect("the last but one stays"), format!("report {}", KEPT + 2));
    }

    #[test]
    fn secrets_of_the_log_stay_out() {
        for (line, clean) in [
            ("GET /api Authorization: Bearer abc.def", "GET /api Authorization: Bearer ***"),
            ("token=s3cr3t next", "token=*** next"),
            (r#"{"password": "hunter2", "user": "ana"}"#, r#"{"password": "***", "user": "ana"}"#),
            ("https://ana:hunter2@git.example.com/app.git", "https://ana:***git.example.com/app.git"),
            ("got eyJhbGciOi.eyJzdWIi.sig at last", "got *** at last"),
            ("watch of canaries resumed rv=88213", "watch of canaries resumed rv=88213"),
        ] {
            assert_eq!(without_secrets(line), clean);
        }
    }

    #[test]
    fn a_report_has_stack_log_and_frame() {
        let subscriber = tracing_subscriber::registry().with(crate::telemetry::recent::Recent);
        tracing::subscriber::with_default(subscriber, || tracing::info!("watch resumed token=abc"));
        let text = full("it broke at src/x.rs:1", "0: main", " FLEET  all contexts");
        for part in ["Pilothouse 0.", "it broke at", "0: main", "watch resumed token=***", "FLEET  all contexts"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
