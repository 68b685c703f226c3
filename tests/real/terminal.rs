//! The console in a terminal, of 120 columns and 36 rows unless told otherwise: keys in, frames out.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::program::{Home, binary};
use crate::support::{seconds, signal, until};

pub const ENTER: &str = "\r";
pub const CTRL_X: &str = "\x18";
/// What gives the screen back that was there before.
pub const LEAVES: &[u8] = b"\x1b[?1049l";
pub const SHOWS_CURSOR: &[u8] = b"\x1b[?25h";

struct Shown {
    parser: vt100::Parser,
    bytes: Vec<u8>,
    /// When the first byte of the header came.
    header: Option<Instant>,
}

/// A console in a terminal. It is killed when the test is done with it.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    writer: Option<Box<dyn Write + Send>>,
    shown: Arc<Mutex<Shown>>,
    started: Instant,
    master: Option<Box<dyn MasterPty + Send>>,
    closed: Arc<AtomicBool>,
}

impl Terminal {
    pub fn start(home: &Home, words: &[&str]) -> Self {
        Self::of_size(home, words, 120, 36)
    }

    pub fn of_size(home: &Home, words: &[&str], columns: u16, rows: u16) -> Self {
        Self::with(home, words, (columns, rows), &[])
    }

    /// With these variables over the home's.
    pub fn with(home: &Home, words: &[&str], (cols, rows): (u16, u16), variables: &[(&str, &str)]) -> Self {
        let words: Vec<String> = words.iter().map(ToString::to_string).chain(home.common()).collect();
        Self::running(&binary().display().to_string(), &words, home, (cols, rows), variables)
    }

    /// With another program in it.
    pub fn running(program: &str, words: &[String], home: &Home, (cols, rows): (u16, u16), variables: &[(&str, &str)]) -> Self {
        let pty = native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).expect("a pseudo terminal");
        let mut command = CommandBuilder::new(program);
        command.env_clear();
        for (name, value) in home.environment() {
            command.env(name, value);
        }
        for (name, value) in variables {
            command.env(name, value);
        }
        command.args(words);
        command.cwd(home.folder.path());
        let mut reader = pty.master.try_clone_reader().expect("a reader");
        let writer = pty.master.take_writer().expect("a writer");
        let shown = Arc::new(Mutex::new(Shown { parser: vt100::Parser::new(rows, cols, 0), bytes: Vec::new(), header: None }));
        let started = Instant::now();
        let child = pty.slave.spawn_command(command).expect("the program");
        drop(pty.slave);
        let sink = Arc::clone(&shown);
        let closed = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&closed);
        // Ends with the terminal.
        std::thread::spawn(move || {
            let mut chunk = [0; 16384];
            while let Ok(count @ 1..) = reader.read(&mut chunk) {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                let mut shown = sink.lock().expect("no reader panics");
                shown.parser.process(&chunk[..count]);
                shown.bytes.extend_from_slice(&chunk[..count]);
                if shown.header.is_none() && find(&shown.bytes, b"PILOTHOUSE") {
                    shown.header = Some(Instant::now());
                }
            }
        });
        Self { child, writer: Some(writer), shown, started, master: Some(pty.master), closed }
    }

    pub fn frame(&self) -> String {
        self.shown.lock().expect("no reader panics").parser.screen().contents()
    }

    /// From the start of the process to the first frame.
    pub fn first_frame(&self) -> Option<Duration> {
        self.shown.lock().expect("no reader panics").header.map(|at| at - self.started)
    }

    /// Whether these bytes were ever written.
    pub fn wrote(&self, bytes: &[u8]) -> bool {
        find(&self.shown.lock().expect("no reader panics").bytes, bytes)
    }

    /// Everything that was ever written.
    pub fn raw(&self) -> Vec<u8> {
        self.shown.lock().expect("no reader panics").bytes.clone()
    }

    pub fn keys(&mut self, keys: &str) {
        let writer = self.writer.as_mut().expect("a terminal that is there");
        writer.write_all(keys.as_bytes()).and_then(|()| writer.flush()).expect("a terminal that takes keys");
    }

    /// Bytes written so far.
    pub fn written(&self) -> usize {
        self.shown.lock().expect("no reader panics").bytes.len()
    }

    /// The terminal has another size.
    pub fn resize(&self, cols: u16, rows: u16) {
        self.shown.lock().expect("no reader panics").parser.screen_mut().set_size(rows, cols);
        let master = self.master.as_ref().expect("a terminal that is there");
        master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).expect("a pseudo terminal");
    }

    /// The terminal goes away, with the answer to one more key: what reads it here ends with that.
    pub fn close(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        self.keys("j");
        (self.writer, self.master) = (None, None);
    }

    /// A press of the left button, and its release, on what the frame shows as `text`.
    pub fn click(&mut self, text: &str) {
        let frame = self.frame();
        let (row, line) = frame.lines().enumerate().find(|(_, line)| line.contains(text)).expect("a line with the text");
        let column = line[..line.find(text).expect("the text")].chars().count() + 1;
        self.keys(&format!("\x1b[<0;{column};{}M\x1b[<0;{column};{}m", row + 1, row + 1));
    }

    /// Looks at frames until `wanted` is true of one, and returns it.
    pub fn until(&self, deadline: Duration, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let frame = self.frame();
            if wanted(&frame) {
                return frame;
            }
            assert!(started.elapsed() < deadline, "no frame within {}s: {what}; the last one is\n{frame}", deadline.as_secs());
            crate::support::pause();
        }
    }

    /// Looks at frames until one holds `text`.
    pub fn shows(&self, text: &str) -> String {
        self.until(seconds(15), text, |frame| frame.contains(text))
    }

    pub fn shows_within(&self, deadline: Duration, text: &str) -> String {
        self.until(deadline, text, |frame| frame.contains(text))
    }

    pub fn id(&self) -> u32 {
        self.child.process_id().expect("a process id")
    }

    /// The exit code, once the program has ended.
    pub fn ends(&mut self, deadline: Duration) -> u32 {
        until(deadline, "end of the console", || self.child.try_wait().expect("a child of ours")).exit_code()
    }

    pub fn terminate(&mut self) -> u32 {
        signal(self.id(), "TERM");
        self.ends(seconds(15))
    }

    /// The terminal is as it was found: old screen, cursor, no bracketed paste.
    pub fn assert_given_back(&self) {
        // The last bytes may come after the end of the process.
        until(seconds(5), "the terminal given back", || self.wrote(LEAVES).then_some(()));
        let shown = self.shown.lock().expect("no reader panics");
        assert!(!shown.parser.screen().hide_cursor(), "the cursor stays hidden");
        assert!(!shown.parser.screen().alternate_screen(), "the alternate screen stays");
        assert!(!shown.parser.screen().bracketed_paste(), "bracketed paste stays on");
        assert!(find(&shown.bytes, SHOWS_CURSOR), "the cursor was never shown");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("the last frame:\n{}", self.shown.lock().map(|shown| shown.parser.screen().contents()).unwrap_or_default());
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
