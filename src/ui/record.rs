//! A recording of a console: every message that its model took, in order, as lines of JSON.
//!
//! The model has no clock and no IO of its own, so that the same messages make the same frames again:
//! `pilothouse replay` shows them without any cluster. The file:
//!
//! ```text
//! {"pilothouse":"recording","version":2,"program":"0.1.0","at":TIME,"columns":120,"rows":36,"options":{…}}
//! {"at":TIME,"event":{"key":{"code":{"char":"j"},"ctrl":false}}}
//! {"at":TIME,"event":{"view":{"names":["eks"],"rest":{…},"whole":{"eks":{…}},"patches":{}}}}
//! {"at":TIME,"event":{"log":{"first":1,"lines":[{…}]}}}
//! {"at":TIME,"event":{"end":"left"}}
//! ```
//!
//! A view is what changed since the view before: `names` is the order of its contexts; `rest`, where it
//! changed, everything beside the contexts; `whole` contexts that are new, `patches` the JSON patches of
//! those that changed. A log is the lines that are new, and the number of the first that is still there. Objects that
//! went to an editor are named, and their text is left out. The other events are those of [`Event`]. The last line is
//! `end`; a file without one was cut off. A file grows to [`MOST`] bytes at most, and only its owner may read it.
//!
//! Version 1 knows no log, no looks and no objects: it is played in the theme of whoever looks on.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::keymap::Key;
use super::looks::{self, Looks, Worn, fixed};
use super::message::{Event, Message, Mouse};
use super::{Background, Colour, Options};
use crate::session::command::Outcome;
use crate::session::questions::{Answer, LogLine};
use crate::session::view::{ContextView, FleetView};

/// Bytes of a file.
pub const MOST: u64 = 256 << 20;
/// Bytes of a paste that are kept.
const PASTE: usize = 64 << 10;
/// Messages that wait for a slow disk.
const WAITING: usize = 20_000;
/// The format that this program writes.
pub(super) const VERSION: u32 = 2;

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Header {
    /// Always `recording`.
    pub pilothouse: String,
    pub version: u32,
    pub program: String,
    pub at: Timestamp,
    pub columns: u16,
    pub rows: u16,
    pub options: Start,
}

/// What of the options makes the frames.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Start {
    read_only: bool,
    contexts: Vec<String>,
    ascii: bool,
    colour: Colour,
    /// Seconds.
    arm_for: u64,
    /// The keys of every action, as version 1 has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    keys: BTreeMap<String, Vec<String>>,
    /// Themes, keys and switches, since version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    looks: Option<Worn>,
    #[serde(default)]
    background: Background,
}

impl Start {
    fn of(options: &Options) -> Self {
        Self {
            read_only: options.read_only,
            contexts: options.contexts.clone(),
            ascii: options.ascii,
            colour: options.colour,
            arm_for: options.arm_for.as_secs(),
            keys: BTreeMap::new(),
            looks: Some(Worn::of(&options.looks.borrow())),
            background: options.background,
        }
    }

    /// The options of the console that was recorded, over those of this one.
    pub(super) fn over(&self, options: Options) -> Options {
        let (looks, background) = match &self.looks {
            Some(worn) => (worn.looks(), self.background),
            None => (self.looks_of_the_first_version(&options), options.background),
        };
        Options {
            looks: fixed(looks),
            background,
            read_only: self.read_only,
            contexts: self.contexts.clone(),
            ascii: self.ascii,
            colour: self.colour,
            arm_for: Duration::from_secs(self.arm_for),
            ..options
        }
    }

    /// Those of this console with the keys of the other one.
    fn looks_of_the_first_version(&self, options: &Options) -> Looks {
        let mut looks = options.looks.borrow().as_ref().clone();
        // Keys of another version may not fit; the others are played all the same.
        if let Some(keymap) = looks::keymap_of(&self.keys) {
            looks.keymap = keymap;
        }
        looks
    }
}

/// A line after the first one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub at: Timestamp,
    pub event: Recorded,
}

/// An event as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Recorded {
    Key(Key),
    Paste(String),
    Mouse(Mouse),
    Resize(u16, u16),
    View(Change),
    Outcome(Outcome),
    Sent {
        id: u64,
        label: String,
        #[serde(default)]
        batch: u64,
    },
    Answer(Answer),
    Log(Lines),
    Looks(Box<Worn>),
    Background(Background),
    Told {
        ok: bool,
        text: String,
    },
    Returned {
        what: String,
        ok: bool,
        message: String,
    },
    Broke {
        report: String,
    },
    Ended,
    Tick,
    /// The recording is complete, for this reason.
    End(String),
}

/// What changed of the fleet.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Change {
    names: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rest: Option<Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    whole: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    patches: BTreeMap<String, json_patch::Patch>,
}

/// What changed of the log.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Lines {
    /// The number of the oldest line that is still there.
    first: u64,
    lines: Vec<LogLine>,
}

/// Fleet and log as the lines so far tell them; the same on both ends of a file.
#[derive(Debug, Default)]
pub(super) struct Told {
    log: Vec<LogLine>,
    contexts: BTreeMap<String, (Value, Arc<ContextView>)>,
    rest: Value,
    rest_view: FleetView,
}

impl Told {
    /// What `view` has that was not told yet.
    fn change(&mut self, view: &FleetView) -> serde_json::Result<Change> {
        let mut change = Change { names: view.each().map(|context| context.name.clone()).collect(), ..Change::default() };
        let rest = serde_json::to_value(FleetView { contexts: Vec::new(), ..view.clone() })?;
        if rest != self.rest {
            change.rest = Some(rest.clone());
            self.rest = rest;
        }
        for context in &view.contexts {
            let before = self.contexts.get(&context.name);
            // Contexts that have not moved are the same allocation from view to view.
            if before.is_some_and(|(_, known)| Arc::ptr_eq(known, context)) {
                continue;
            }
            let value = serde_json::to_value(&**context)?;
            match before {
                Some((old, _)) if *old == value => {}
                Some((old, _)) => {
                    let patch = json_patch::diff(old, &value);
                    change.patches.insert(context.name.clone(), patch);
                }
                None => {
                    change.whole.insert(context.name.clone(), value.clone());
                }
            }
            self.contexts.insert(context.name.clone(), (value, Arc::clone(context)));
        }
        self.contexts.retain(|name, _| change.names.contains(name));
        Ok(change)
    }

    /// What the log has that was not told yet.
    fn lines(&mut self, log: Vec<LogLine>) -> Lines {
        let told = self.log.last().map_or(0, |line| line.number);
        let first = log.first().map_or(u64::MAX, |line| line.number);
        let lines = log.iter().filter(|line| line.number > told).cloned().collect();
        self.log = log;
        Lines { first, lines }
    }

    /// The log after a change.
    fn read_on(&mut self, change: Lines) -> Vec<LogLine> {
        self.log.retain(|line| line.number >= change.first);
        self.log.extend(change.lines);
        self.log.clone()
    }

    /// The fleet after a change, or what is wrong with it.
    pub(super) fn take(&mut self, change: Change) -> Result<FleetView, String> {
        if let Some(rest) = change.rest {
            self.rest_view = serde_json::from_value(rest).map_err(|error| error.to_string())?;
        }
        let patched = change.patches.into_iter().map(|(name, patch)| {
            let mut value =
                self.contexts.get(&name).map(|(value, _)| value.clone()).ok_or_else(|| format!("nothing was told of {name}"))?;
            json_patch::patch(&mut value, &patch).map_err(|error| error.to_string())?;
            Ok((name, value))
        });
        let changed: Vec<(String, Value)> = change.whole.into_iter().map(Ok).chain(patched).collect::<Result<_, String>>()?;
        for (name, value) in changed {
            let view: ContextView = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
            self.contexts.insert(name, (value, Arc::new(view)));
        }
        self.contexts.retain(|name, _| change.names.contains(name));
        let contexts = change
            .names
            .iter()
            .map(|name| self.contexts.get(name).map(|(_, view)| Arc::clone(view)).ok_or_else(|| format!("nothing was told of {name}")));
        Ok(FleetView { contexts: contexts.collect::<Result<_, String>>()?, ..self.rest_view.clone() })
    }
}

impl Recorded {
    fn of(event: Event, told: &mut Told) -> serde_json::Result<Self> {
        Ok(match event {
            Event::Key(key) => Self::Key(key),
            Event::Answer(Answer::Log(log)) => Self::Log(told.lines(log)),
            // No frame shows the text, and an editor was shown it only once.
            Event::Answer(Answer::Object { target, yaml }) => Self::Answer(Answer::Object { target, yaml: yaml.map(|_| String::new()) }),
            Event::Looks(looks) => Self::Looks(Box::new(Worn::of(&looks))),
            Event::Background(background) => Self::Background(background),
            Event::Answer(answer) => Self::Answer(answer),
            Event::Paste(mut text) => {
                text.truncate(text.floor_char_boundary(PASTE));
                Self::Paste(text)
            }
            Event::Mouse(mouse) => Self::Mouse(mouse),
            Event::Resize(width, height) => Self::Resize(width, height),
            Event::View(view) => Self::View(told.change(&view)?),
            Event::Outcome(outcome) => Self::Outcome(outcome),
            Event::Sent { id, label, batch } => Self::Sent { id, label, batch },
            Event::Told { ok, text } => Self::Told { ok, text },
            Event::Returned { what, ok, message } => Self::Returned { what, ok, message },
            Event::Broke { report } => Self::Broke { report },
            Event::Ended => Self::Ended,
            Event::Tick => Self::Tick,
        })
    }

    /// The event, or `None` for the end.
    pub(super) fn event(self, told: &mut Told) -> Result<Option<Event>, String> {
        Ok(Some(match self {
            Self::Key(key) => Event::Key(key),
            Self::Answer(answer) => Event::Answer(answer),
            Self::Log(lines) => Event::Answer(Answer::Log(told.read_on(lines))),
            Self::Looks(worn) => Event::Looks(Arc::new(worn.looks())),
            Self::Background(background) => Event::Background(background),
            Self::Paste(text) => Event::Paste(text),
            Self::Mouse(mouse) => Event::Mouse(mouse),
            Self::Resize(width, height) => Event::Resize(width, height),
            Self::View(change) => Event::View(Arc::new(told.take(change)?)),
            Self::Outcome(outcome) => Event::Outcome(outcome),
            Self::Sent { id, label, batch } => Event::Sent { id, label, batch },
            Self::Told { ok, text } => Event::Told { ok, text },
            Self::Returned { what, ok, message } => Event::Returned { what, ok, message },
            Self::Broke { report } => Event::Broke { report },
            Self::Ended => Event::Ended,
            Self::Tick => Event::Tick,
            Self::End(_) => return Ok(None),
        }))
    }
}

/// A file that only its owner may read, and that was not there before.
///
/// # Errors
/// Where it cannot be made.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a recording beside the console, which never waits for the disk.
#[derive(Debug)]
pub(super) struct Recorder {
    lines: Option<mpsc::Sender<Message>>,
    waiting: Arc<AtomicUsize>,
    writer: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Begins a recording.
    pub(super) fn start(to: File, options: &Options, (columns, rows): (u16, u16), at: Timestamp) -> Self {
        let header = Header {
            pilothouse: "recording".into(),
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").into(),
            at,
            columns,
            rows,
            options: Start::of(options),
        };
        let (lines, messages) = mpsc::channel::<Message>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&waiting);
        let writer = std::thread::spawn(move || {
            if let Err(error) = write(to, &header, &messages, &left) {
                tracing::warn!(%error, "the recording ends here");
            }
        });
        Self { lines: Some(lines), waiting, writer: Some(writer) }
    }

    /// Notes a message.
    pub(super) fn note(&mut self, message: &Message) {
        let Some(lines) = &self.lines else { return };
        let full = self.waiting.fetch_add(1, Ordering::Relaxed) > WAITING;
        if full || lines.send(message.clone()).is_err() {
            self.lines = None;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            // The lines that wait belong to the recording; what went wrong with them is in the log.
            let _ = writer.join();
        }
    }
}

fn write(to: File, header: &Header, messages: &mpsc::Receiver<Message>, waiting: &AtomicUsize) -> io::Result<()> {
    let mut out = BufWriter::new(to);
    let mut length = put(&mut out, header)?;
    let mut told = Told::default();
    let mut last = header.at;
    // What waits is written before the file is brought up to date: a crash leaves all but the last moment.
    while let Ok(message) = messages.recv() {
        waiting.fetch_sub(1, Ordering::Relaxed);
        last = message.at;
        let event = Recorded::of(message.event, &mut told)?;
        length += put(&mut out, &Line { at: message.at, event })?;
        if length > MOST {
            put(&mut out, &Line { at: last, event: Recorded::End("full".into()) })?;
            return out.flush();
        }
        if waiting.load(Ordering::Relaxed) == 0 {
            out.flush()?;
        }
    }
    // A message that found the line too long was counted and never sent.
    let why = if waiting.load(Ordering::Relaxed) == 0 { "left" } else { "the disk was too slow" };
    put(&mut out, &Line { at: last, event: Recorded::End(why.into()) })?;
    out.flush()
}

fn put(out: &mut impl Write, line: &impl Serialize) -> io::Result<u64> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    out.write_all(text.as_bytes())?;
    Ok(u64::try_from(text.len()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::questions::LogLevel;

    #[test]
    fn a_log_is_told_once_and_read_as_a_whole() {
        let line = |number| LogLine { number, at: Timestamp::UNIX_EPOCH, level: LogLevel::Info, from: "here".into(), text: "said".into() };
        let (mut told, mut read, mut lengths) = (Told::default(), Told::default(), Vec::new());
        for (from, to) in [(1, 4), (1, 4), (2, 7), (9, 12), (12, 12), (13, 14)] {
            let log: Vec<LogLine> = (from..to).map(line).collect();
            let text = serde_json::to_string(&told.lines(log.clone())).expect("JSON");
            let change: Lines = serde_json::from_str(&text).expect("a change");
            lengths.push(change.lines.len());
            assert_eq!(read.read_on(change), log, "{from}..{to}");
        }
        assert_eq!(lengths, [3, 0, 3, 3, 0, 1]);
    }
}
