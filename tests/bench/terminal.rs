//! A program in a pseudo terminal: keys in, bytes out, and the moment at which each of them came.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// What the console writes before each frame.
const FRAME_BEGINS: &[u8] = b"\x1b[?2026h";

/// Columns and rows of a terminal as most have it.
pub const USUAL: (u16, u16) = (120, 36);
/// Of one that fills a screen.
pub const LARGE: (u16, u16) = (200, 60);

/// A program in a terminal of its own. It is killed when the figure is done with it.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    chunks: Receiver<(Instant, Vec<u8>)>,
    parser: vt100::Parser,
    started: Instant,
    /// The last bytes, in which a frame may begin that the next ones complete.
    tail: VecDeque<u8>,
    heard: Heard,
    _master: Box<dyn MasterPty + Send>,
}

/// What was written to the terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    /// Pieces in which it came.
    pub chunks: usize,
    pub bytes: usize,
    /// Frames of the console.
    pub frames: usize,
}

impl Terminal {
    /// Starts a program with nothing but these variables.
    pub fn start(program: &Path, words: &[String], variables: &[(String, String)], folder: &Path, (cols, rows): (u16, u16)) -> Self {
        let pty = native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).expect("a pseudo terminal");
        let mut command = CommandBuilder::new(program);
        command.env_clear();
        for (name, value) in variables {
            command.env(name, value);
        }
        command.args(words);
        command.cwd(folder);
        let mut reader = pty.master.try_clone_reader().expect("a reader");
        let writer = pty.master.take_writer().expect("a writer");
        let (sender, chunks) = channel();
        // Ends with the terminal.
        std::thread::spawn(move || {
            let mut chunk = vec![0; 1 << 16];
            while let Ok(count @ 1..) = reader.read(&mut chunk) {
                if sender.send((Instant::now(), chunk[..count].to_vec())).is_err() {
                    return;
                }
            }
        });
        let started = Instant::now();
        let child = pty.slave.spawn_command(command).expect("the program");
        drop(pty.slave);
        let parser = vt100::Parser::new(rows, cols, 0);
        let (tail, heard) = (VecDeque::new(), Heard::default());
        Self { child, writer, chunks, parser, started, tail, heard, _master: pty.master }
    }

    pub fn id(&self) -> u32 {
        self.child.process_id().expect("a process id")
    }

    /// The next bytes, and when they came; `None` where none came until then.
    fn next(&mut self, until: Instant) -> Option<Instant> {
        match self.chunks.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok((at, bytes)) => {
                self.take(&bytes);
                Some(at)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the program ended; its last frame:\n{}", self.frame()),
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.parser.process(bytes);
        self.heard.chunks += 1;
        self.heard.bytes += bytes.len();
        let mut seen: Vec<u8> = self.tail.iter().copied().collect();
        seen.extend_from_slice(bytes);
        self.heard.frames += seen.windows(FRAME_BEGINS.len()).filter(|window| *window == FRAME_BEGINS).count();
        self.tail = seen[seen.len().saturating_sub(FRAME_BEGINS.len() - 1)..].iter().copied().collect();
    }

    pub fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    pub fn frame(&self) -> String {
        self.screen().contents()
    }

    /// From the start of the process to the bytes after which `wanted` was true of the screen.
    pub fn when(&mut self, deadline: Duration, what: &str, wanted: impl Fn(&str) -> bool) -> Duration {
        let until = Instant::now() + deadline;
        let mut last = Instant::now();
        loop {
            if wanted(&self.frame()) {
                return last - self.started;
            }
            match self.next(until) {
                Some(at) => last = at,
                None => panic!("not within {} s: {what}; the last frame:\n{}", deadline.as_secs(), self.frame()),
            }
        }
    }

    /// Takes what comes until nothing has come for `quiet`, or `longest` is over.
    pub fn settle(&mut self, quiet: Duration, longest: Duration) {
        let end = Instant::now() + longest;
        while Instant::now() < end && self.next((Instant::now() + quiet).min(end)).is_some() {}
    }

    /// Everything that is written in this time.
    pub fn listen(&mut self, lasting: Duration) -> Heard {
        let (end, before) = (Instant::now() + lasting, self.heard);
        while self.next(end).is_some() {}
        let now = self.heard;
        Heard { chunks: now.chunks - before.chunks, bytes: now.bytes - before.bytes, frames: now.frames - before.frames }
    }

    /// Types, and says when.
    pub fn press(&mut self, keys: &str) -> Instant {
        let at = Instant::now();
        self.writer.write_all(keys.as_bytes()).and_then(|()| self.writer.flush()).expect("a terminal that takes keys");
        at
    }

    /// From a moment to the first bytes that came after it, and after which `wanted` is true.
    pub fn answer(&mut self, since: Instant, deadline: Duration, wanted: impl Fn(&vt100::Screen) -> bool) -> Option<Duration> {
        let until = Instant::now() + deadline;
        loop {
            let at = self.next(until)?;
            if at >= since && wanted(self.screen()) {
                return Some(at - since);
            }
        }
    }

    /// Whether the program has ended within this time.
    pub fn ends(&mut self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            crate::support::pause();
        }
        false
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
