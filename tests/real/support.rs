//! Watching instead of waiting, folders that go away, and the ends of processes.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two looks. The only pause in this binary.
const LOOK: Duration = Duration::from_millis(40);

pub fn pause() {
    std::thread::park_timeout(LOOK);
}

pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Looks until there is something to see; `what` was waited for.
pub fn until<T>(deadline: Duration, what: impl Display, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(started.elapsed() < deadline, "not within {}s: {what}", deadline.as_secs());
        pause();
    }
}

/// As [`until`], for conditions.
pub fn until_true(deadline: Duration, what: impl Display, mut look: impl FnMut() -> bool) {
    until(deadline, what, || look().then_some(()));
}

/// Looks all the time that `lasting` lasts: what is asserted must hold at every look.
pub fn holds<T: PartialEq + std::fmt::Debug>(lasting: Duration, what: impl Display, wanted: &T, mut look: impl FnMut() -> T) {
    let started = Instant::now();
    while started.elapsed() < lasting {
        assert_eq!(&look(), wanted, "{what}, after {:.1}s", started.elapsed().as_secs_f64());
        pause();
    }
}

/// A folder of one test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(what: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("pilothouse-real-{what}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into the folder and returns where it is.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file in a temporary folder");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind is a temporary folder, and a failing test has more to say.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A child that is ended whatever happens.
pub struct Guarded(pub Child);

impl Guarded {
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// The exit code, once it has ended.
    pub fn code(&mut self) -> Option<i32> {
        self.0.try_wait().expect("a child of ours").map(|status| status.code().unwrap_or(-1))
    }

    /// Asks the child to end and returns its exit code.
    pub fn terminate(&mut self, deadline: Duration) -> i32 {
        signal(self.id(), "TERM");
        until(deadline, "end after SIGTERM", || self.code())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Sends a signal to one process, by its id.
pub fn signal(id: u32, name: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {id}")).status().expect("sh");
    assert!(sent.success(), "cannot send SIG{name} to {id}");
}

/// A loopback port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// `min 1 · median 2 · max 3 ms`.
pub struct Figures(Vec<Duration>);

impl Figures {
    pub fn new(mut all: Vec<Duration>) -> Self {
        all.sort();
        assert!(!all.is_empty(), "nothing was measured");
        Self(all)
    }

    fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    pub fn max(&self) -> Duration {
        self.0[self.0.len() - 1]
    }
}

impl Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "min {} · median {} · max {} ms of {}",
            self.0[0].as_millis(),
            self.median().as_millis(),
            self.max().as_millis(),
            self.0.len()
        )
    }
}
