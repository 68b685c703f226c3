//! The terminal itself: entered once, and left as it was found on every way out.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crossterm::event::EventStream;
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use futures::StreamExt as _;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use rustix::process::{Signal, getpid, getppid, getsid, kill_current_process_group, kill_process};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::host::{Happening, Host};
use super::progress::Progress;
use super::sequences::{FRAME_BEGINS, FRAME_ENDS, MOUSE_OFF, MOUSE_ON, PASTE_OFF, PASTE_ON, Surroundings, TITLE_BACK, TITLE_KEPT};
use super::{Crash, Options, sequences, view};

const ALTERNATE: &str = "\x1b[?1049h\x1b[?25l";
const OWN: &str = "\x1b[?1049l\x1b[?25h";
/// A stop that was not followed by going on did not happen.
const STOPPED: Duration = Duration::from_secs(2);

/// As long as the thread that reads keys takes to end.
const SETTLED: Duration = Duration::from_millis(20);

/// Everything that leaves for the terminal: held back until a frame is whole, then written at once.
#[derive(Clone, Debug)]
pub(super) struct Out(Arc<Mutex<Held>>);

#[derive(Debug)]
struct Held {
    file: File,
    bytes: Vec<u8>,
    holding: bool,
    /// Where the frame begins that is held back.
    before: usize,
}

impl Out {
    fn new(file: File) -> Self {
        Self(Arc::new(Mutex::new(Held { file, bytes: Vec::with_capacity(1 << 16), holding: false, before: 0 })))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Held) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn hold(&self) {
        self.with(|held| {
            held.holding = true;
            held.before = held.bytes.len();
            held.bytes.extend_from_slice(FRAME_BEGINS.as_bytes());
        });
    }

    /// Ends what [`Out::hold`] began, and tells its length.
    fn show(&self) -> io::Result<usize> {
        self.with(|held| {
            held.holding = false;
            // A frame that moves no cursor and clears nothing has drawn no cell: it is not worth a write.
            if held.bytes[held.before..].iter().any(|byte| matches!(byte, b'H' | b'J')) {
                held.bytes.extend_from_slice(FRAME_ENDS.as_bytes());
            } else {
                let before = held.before;
                held.bytes.truncate(before);
            }
            if held.bytes.is_empty() {
                return Ok(0);
            }
            let length = held.bytes.len();
            held.go().map(|()| length)
        })
    }
}

impl Held {
    fn go(&mut self) -> io::Result<()> {
        let done = self.file.write_all(&self.bytes);
        self.bytes.clear();
        done
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|held| held.bytes.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(|held| if held.holding { Ok(()) } else { held.go() })
    }
}

/// The terminal while the console has it. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Out>>,
    out: Out,
    input: Option<EventStream>,
    stops: tokio::signal::unix::Signal,
    continues: tokio::signal::unix::Signal,
    /// How the terminal was found, for programs that leave it otherwise.
    found: Option<Termios>,
    mouse: bool,
    title: Option<String>,
    progress: Progress,
    surroundings: Surroundings,
    guard: Arc<Guard>,
}

/// What a panic needs to know, in whatever thread it comes.
#[derive(Debug)]
pub(super) struct Guard {
    /// The thread that draws: its panic ends the console, another one's does not.
    drawing: ThreadId,
    /// The terminal is ours.
    entered: AtomicBool,
    crash: Option<Crash>,
    out: Out,
    /// The window has our name.
    named: AtomicBool,
    /// Progress of ours is shown.
    busy: AtomicBool,
    /// What shows no progress any more.
    calm: String,
    last: Mutex<Buffer>,
    reports: Mutex<Vec<String>>,
    news: Notify,
}

impl Guard {
    /// The path of the report of a panic outside of this task, once there is one.
    pub(super) async fn broken(&self) -> String {
        loop {
            if let Some(report) = self.reports.lock().unwrap_or_else(PoisonError::into_inner).pop() {
                return report;
            }
            self.news.notified().await;
        }
    }

    /// Keeps a frame, in case that it is the last one.
    pub(super) fn keep(&self, frame: &Buffer) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.area = frame.area;
        last.content.clone_from(&frame.content);
    }

    fn give_back(&self) -> io::Result<()> {
        if !self.entered.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let title = if self.named.swap(false, Ordering::SeqCst) { TITLE_BACK } else { "" };
        let progress = if self.busy.swap(false, Ordering::SeqCst) { self.calm.as_str() } else { "" };
        let raw = disable_raw_mode();
        self.out.with(|held| {
            held.holding = false;
            held.bytes.clear();
            let all = format!("{FRAME_ENDS}{MOUSE_OFF}{PASTE_OFF}{progress}{title}{OWN}");
            held.bytes.extend_from_slice(all.as_bytes());
            held.go()
        })?;
        raw
    }

    fn on_panic(&self, info: &PanicHookInfo<'_>, otherwise: &(dyn Fn(&PanicHookInfo<'_>) + Send + Sync)) {
        let here = thread::current().id() == self.drawing;
        if here {
            // Nothing better can be done with an error in the middle of a panic.
            let _ = self.give_back();
        }
        let Some(crash) = &self.crash else { return otherwise(info) };
        // A frame is kept between draws: nobody holds this lock and panics.
        let frame = self.last.try_lock().map(|last| view::text(&last)).unwrap_or_default();
        let (text, path) = crash.report(info, &frame);
        if here || !self.entered.load(Ordering::SeqCst) {
            let _ = writeln!(io::stderr(), "{text}\n{}", if path.is_empty() { String::new() } else { format!("report: {path}") });
        } else {
            self.reports.lock().unwrap_or_else(PoisonError::into_inner).push(path);
            self.news.notify_one();
        }
    }
}

impl Screen {
    /// Raw mode, alternate screen, bracketed paste, mouse; a panic gives all of them back before it is reported.
    ///
    /// # Errors
    /// Where standard output is no terminal.
    pub(super) fn enter(options: &Options) -> io::Result<Self> {
        let stops = signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
        let continues = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
        // Standard output of Rust breaks a frame at its lines; a file of the same terminal does not.
        let out = Out::new(File::from(io::stdout().as_fd().try_clone_to_owned()?));
        let guard = Arc::new(Guard {
            drawing: thread::current().id(),
            entered: AtomicBool::new(false),
            crash: options.crash.clone(),
            out: out.clone(),
            named: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            calm: sequences::progress(Progress::None, options.surroundings),
            last: Mutex::new(Buffer::empty(ratatui::layout::Rect::ZERO)),
            reports: Mutex::new(Vec::new()),
            news: Notify::new(),
        });
        let mut screen = Self {
            terminal: Terminal::new(CrosstermBackend::new(out.clone()))?,
            out,
            input: None,
            stops,
            continues,
            found: tcgetattr(io::stdin()).ok(),
            mouse: options.mouse,
            title: None,
            progress: Progress::None,
            surroundings: options.surroundings,
            guard: Arc::clone(&guard),
        };
        let otherwise = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| guard.on_panic(info, &*otherwise)));
        screen.take()?;
        Ok(screen)
    }

    /// What a panic needs to know.
    pub(super) fn guard(&self) -> Arc<Guard> {
        Arc::clone(&self.guard)
    }

    /// Whether no other program has the terminal.
    fn is_ours(&self) -> bool {
        self.guard.entered.load(Ordering::SeqCst)
    }

    fn take(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        self.guard.entered.store(true, Ordering::SeqCst);
        let mouse = if self.mouse { MOUSE_ON } else { "" };
        write!(self.out, "{ALTERNATE}{PASTE_ON}{mouse}")?;
        self.out.flush()?;
        if let Some(title) = self.title.clone() {
            self.name(&title)?;
        }
        if self.progress != Progress::None {
            self.progress(self.progress, self.surroundings)?;
        }
        self.input = Some(EventStream::new());
        Ok(())
    }
}

impl Host for Screen {
    type Backend = CrosstermBackend<Out>;

    fn terminal(&mut self) -> &mut Terminal<Self::Backend> {
        &mut self.terminal
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Happening>> {
        if self.stops.poll_recv(context).is_ready() {
            return Poll::Ready(Ok(Happening::Stop));
        }
        if self.continues.poll_recv(context).is_ready() {
            return Poll::Ready(Ok(Happening::Continued));
        }
        match &mut self.input {
            Some(input) => input.poll_next_unpin(context).map(|read| match read {
                Some(read) => read.map(Happening::Input),
                None => Ok(Happening::Gone),
            }),
            // Another program has the terminal, and its input.
            None => Poll::Pending,
        }
    }

    fn hold(&mut self) {
        self.out.hold();
    }

    fn show(&mut self) -> io::Result<usize> {
        self.out.show()
    }

    fn say(&mut self, sequence: &str) -> io::Result<()> {
        self.out.write_all(sequence.as_bytes())?;
        self.out.flush()
    }

    fn name(&mut self, title: &str) -> io::Result<()> {
        self.title = Some(title.to_string());
        if !self.is_ours() {
            return Ok(());
        }
        let kept = if self.guard.named.swap(true, Ordering::SeqCst) { "" } else { TITLE_KEPT };
        self.say(&format!("{kept}{}", sequences::title(title)))
    }

    fn progress(&mut self, progress: Progress, to: Surroundings) -> io::Result<()> {
        (self.progress, self.surroundings) = (progress, to);
        if !self.is_ours() {
            return Ok(());
        }
        self.guard.busy.store(progress != Progress::None, Ordering::SeqCst);
        self.say(&sequences::progress(progress, to))
    }

    fn mouse(&mut self, take: bool) -> io::Result<()> {
        self.mouse = take;
        self.say(if take { MOUSE_ON } else { MOUSE_OFF })
    }

    fn leave(&mut self) -> io::Result<()> {
        // Its thread would read what is typed for the next program.
        if self.input.take().is_some() {
            // The call that ends the thread may outlive it, and would then hide the first key after coming back.
            let _ = crossterm::event::poll(SETTLED);
        }
        self.guard.give_back()
    }

    fn enter(&mut self) -> io::Result<()> {
        if self.input.take().is_some() {
            let _ = crossterm::event::poll(SETTLED);
        }
        if self.guard.entered.swap(false, Ordering::SeqCst) {
            disable_raw_mode()?;
        }
        if let Some(found) = &self.found {
            // What the next program left behind must not be what we give back at the end.
            tcsetattr(io::stdin(), OptionalActions::Drain, found)?;
        }
        self.take()
    }

    fn may_stop(&self) -> bool {
        // Only a shell in the same session, outside of our job, can continue it.
        let session = getsid(None).ok();
        let parent = getppid();
        session != Some(getpid()) && parent.and_then(|parent| getsid(Some(parent)).ok()) == session
    }

    async fn stop(&mut self, whole_job: bool) -> io::Result<()> {
        if whole_job {
            kill_current_process_group(Signal::STOP)?;
        } else {
            kill_process(getpid(), Signal::STOP)?;
        }
        // The process may run for a moment before it stops.
        let _ = tokio::time::timeout(STOPPED, self.continues.recv()).await;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone cannot be given back, and there is nobody to tell.
        let _ = self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;

    use ratatui::layout::Rect;
    use ratatui::{TerminalOptions, Viewport};

    use super::*;
    use crate::ui::tests::harness::Harness;
    use crate::ui::view::draw;

    #[test]
    fn a_frame_is_one_write() {
        let (ours, theirs) = UnixDatagram::pair().expect("a pair of sockets");
        theirs.set_nonblocking(true).expect("a socket");
        let out = Out::new(File::from(OwnedFd::from(ours)));
        let viewport = Viewport::Fixed(Rect::new(0, 0, 120, 36));
        let options = TerminalOptions { viewport };
        let mut terminal = Terminal::with_options(CrosstermBackend::new(out.clone()), options).expect("a terminal");
        let mut harness = Harness::new(120, 36);
        let mut frames = Vec::new();
        for keys in ["", "j", ""] {
            harness.keys(keys);
            out.hold();
            terminal.draw(|frame| draw(frame, &harness.model)).expect("a frame");
            let length = out.show().expect("a write");
            if frames.len() == 2 {
                assert_eq!(length, 0, "a frame that changes nothing is no write");
                assert!(theirs.recv(&mut [0; 16]).is_err(), "nothing was written");
                continue;
            }
            // Each datagram is one write.
            let mut bytes = vec![0; 1 << 17];
            let count = theirs.recv(&mut bytes).expect("the frame");
            assert_eq!(count, length);
            assert!(theirs.recv(&mut [0; 16]).is_err(), "the frame came in more than one piece");
            assert!(bytes[..count].starts_with(FRAME_BEGINS.as_bytes()) && bytes[..count].ends_with(FRAME_ENDS.as_bytes()));
            frames.push(count);
        }
        println!("bytes of a frame at 120x36: first {}, after a key {}", frames[0], frames[1]);
        assert!(frames[1] < frames[0], "only what changed is written: {frames:?}");
    }
}
