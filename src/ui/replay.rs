//! A recording played again: the same messages through the same `update` and `view`.
//!
//! Nothing is sent and nobody is asked; what the model wants done was done when it was recorded.

use std::io::{self, BufRead, Read as _, Write};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::message::Message;
use super::model::Model;
use super::record::{Header, Line, Told, VERSION};
use super::update::update;
use super::{Options, view};
use crate::domain::text::{clean, clean_all};

/// Why a file cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It is something else.
    #[error("this is no recording of Pilothouse: its first line says nothing of one; `pilothouse --record FILE` makes one")]
    Foreign,
    /// It was written by a later program.
    #[error("this recording has format {0}, and this program reads {VERSION}: play it with Pilothouse {1} or later")]
    Later(u32, String),
    /// A time that is none, or not in it.
    #[error("`{0}` is no time of this recording: write 12:04:31, 90s after the start, or a whole timestamp")]
    Time(String),
    /// Something cannot be drawn or written.
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
}

/// A recording in memory.
#[derive(Debug)]
pub struct Recording {
    header: Header,
    messages: Vec<Message>,
    /// Why it ends before its end, in words.
    pub flaw: Option<String>,
}

/// A line as it is played. Recordings are handed from one to another; keys are left as they are, for they are not drawn.
fn parse<T: DeserializeOwned>(line: &str) -> serde_json::Result<T> {
    let mut value: Value = serde_json::from_str(line)?;
    if value.pointer("/event/key").is_none() {
        clean_all(&mut value);
    }
    serde_json::from_value(value)
}

impl Recording {
    /// Reads as far as the lines can be understood.
    ///
    /// # Errors
    /// Where the first line is not that of a recording, or of one of a later format.
    pub fn read(mut from: impl BufRead) -> Result<Self, ReplayError> {
        let mut first = String::new();
        // A file of another kind may have no line ends at all.
        from.by_ref().take(1 << 20).read_line(&mut first).map_err(|_| ReplayError::Foreign)?;
        let header: Header = parse(&first).map_err(|_| ReplayError::Foreign)?;
        if header.pilothouse != "recording" {
            return Err(ReplayError::Foreign);
        }
        if header.version > VERSION {
            return Err(ReplayError::Later(header.version, clean(&header.program)));
        }
        let (mut messages, mut told, mut flaw) = (Vec::new(), Told::default(), Some("it was cut off".to_string()));
        for (number, line) in (2..).zip(from.lines()) {
            let event = line
                .map_err(|error| error.to_string())
                .and_then(|line| parse::<Line>(&line).map_err(|error| error.to_string()))
                .and_then(|line| Ok((line.at, line.event.event(&mut told)?)));
            match event {
                Ok((at, Some(event))) => messages.push(Message { at, event }),
                Ok((_, None)) => {
                    flaw = None;
                    break;
                }
                Err(error) => {
                    flaw = Some(format!("line {number} cannot be read: {}", clean(&error)));
                    break;
                }
            }
        }
        Ok(Self { header, messages, flaw })
    }

    /// When it begins.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        self.header.at
    }

    /// When its last message came.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.messages.last().map_or(self.header.at, |message| message.at)
    }

    /// Messages in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether nothing happens in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// A time of it: `12:04:31` or `12:04` of UTC, `90s` after the start, or a timestamp.
    ///
    /// # Errors
    /// Where the text is none of these.
    pub fn time(&self, text: &str) -> Result<Timestamp, ReplayError> {
        let wrong = || ReplayError::Time(text.to_string());
        if let Some(seconds) = text.strip_suffix('s').and_then(|number| number.trim_start_matches('+').parse::<i64>().ok()) {
            return self.start().checked_add(SignedDuration::from_secs(seconds)).map_err(|_| wrong());
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(at);
        }
        let time: civil::Time = text.trim_end_matches('Z').parse().map_err(|_| wrong())?;
        let begins = self.start().to_zoned(TimeZone::UTC);
        let at = begins.with().time(time).build().map_err(|_| wrong())?.timestamp();
        // A recording that passes midnight: the time after the start is meant.
        let whole = self.start().as_second();
        Ok(if at.as_second() < whole { at.checked_add(SignedDuration::from_hours(24)).map_err(|_| wrong())? } else { at })
    }

    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }

    pub(super) fn model(&self, options: Options) -> Model {
        Model::new(self.header.options.over(options), (self.header.columns, self.header.rows), self.start())
    }

    /// The frame that stood at `at`, in the size that the terminal had.
    #[must_use]
    pub fn frame(&self, at: Timestamp, options: Options) -> Buffer {
        let mut model = self.model(options);
        for message in self.messages.iter().take_while(|message| message.at <= at) {
            update(&mut model, message.clone());
        }
        view::buffer(&model)
    }

    /// Writes it as an asciicast of version 2, so many times as fast.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn cast(&self, out: &mut impl Write, speed: f64, options: Options) -> Result<(), ReplayError> {
        let mut model = self.model(options);
        let (width, height) = model.size;
        let head = serde_json::json!({
            "version": 2, "width": width, "height": height, "timestamp": self.start().as_second(), "title": "pilothouse",
            "env": {"TERM": "xterm-256color"},
        });
        writeln!(out, "{head}")?;
        let (mut size, mut bytes) = (model.size, Bytes::default());
        let mut terminal = bytes.terminal(size)?;
        let mut messages = self.messages.iter().peekable();
        let mut say = |at: Timestamp, kind: &str, data: &str| {
            let passed = at.duration_since(self.start()).as_secs_f64() / speed;
            writeln!(out, "{}", serde_json::json!([passed, kind, data]))
        };
        say(self.start(), "o", "\x1b[2J\x1b[?25l")?;
        while let Some(message) = messages.next() {
            update(&mut model, message.clone());
            // What came within one frame is one frame.
            let soon = |next: &&Message| next.at.duration_since(message.at) < SignedDuration::from_millis(16);
            while let Some(next) = messages.next_if(|next| soon(next)) {
                update(&mut model, next.clone());
            }
            if model.size != size {
                size = model.size;
                bytes = Bytes::default();
                terminal = bytes.terminal(size)?;
                say(message.at, "r", &format!("{}x{}", size.0, size.1))?;
                say(message.at, "o", "\x1b[2J")?;
            }
            terminal.draw(|frame| view::draw(frame, &model))?;
            say(message.at, "o", &bytes.take())?;
        }
        Ok(())
    }
}

/// What a terminal of this size would have been sent.
#[derive(Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Bytes {
    fn terminal(&self, (width, height): (u16, u16)) -> io::Result<Terminal<CrosstermBackend<Self>>> {
        let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
        Terminal::with_options(CrosstermBackend::new(self.clone()), TerminalOptions { viewport })
    }

    fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
