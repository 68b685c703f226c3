//! Everything the console knows: plain data, changed by `update` alone and drawn by `view` alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

use super::Options;
use super::address::Address;
use super::attention;
use super::digest::Digests;
use super::keymap::{Key, Keymap};
use super::looks::Looks;
use super::orders::{Delayed, Undo};
use super::overlays::Overlay;
use super::place::{Place, Sort};
use super::progress::Progress;
use super::rows::filter::Filter;
use super::rows::{self, Row, RowKey};
use super::screens::fleet;
use super::theme::{Background, Role, Theme};
use super::widgets::glyph::State;
use crate::domain::target::Target;
use crate::session::command::Outcome;
use crate::session::questions::LogLine;
use crate::session::view::{CanaryView, ContextView, FleetView};
use crate::session::why::Explanation;

/// A line of news above the footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toast {
    /// Its look.
    pub role: Role,
    /// Its text.
    pub text: String,
    /// When it goes by itself; bad news stays until `esc`.
    pub until: Option<Timestamp>,
}

/// A command that went out, and what was heard of it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// What was asked, in words.
    pub label: String,
    /// Commands of one confirmation share it.
    pub batch: u64,
    /// When.
    pub at: Timestamp,
    /// The last outcome for each target.
    pub outcomes: BTreeMap<String, Outcome>,
}

/// Commands remembered.
const REMEMBERED: usize = 256;

/// What the rows on the screen were gathered from; the same again gives the same rows.
#[derive(Clone, Debug, PartialEq)]
struct Gathered {
    address: Address,
    scope: BTreeSet<String>,
    filter: Filter,
    trouble_only: bool,
    sort: Sort,
    room: usize,
    log: Option<u64>,
    findings: usize,
    /// Only where the filter counts time.
    at: Option<Timestamp>,
}

/// The state of the console.
#[expect(clippy::struct_excessive_bools, reason = "each one is a fact of its own; no two of them make one state")]
#[derive(Debug)]
pub struct Model {
    /// How it was started.
    pub options: Options,
    /// What the user's settings say.
    pub looks: Arc<Looks>,
    /// What keys mean.
    pub keymap: Keymap,
    /// The ground of the terminal.
    pub background: Background,
    /// The present, as the last message told.
    pub now: Timestamp,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The fleet as last seen.
    pub view: Arc<FleetView>,
    /// Its contexts in numbers.
    pub digests: Digests,
    /// Contexts that the console is narrowed to; empty is all.
    pub scope: BTreeSet<String>,
    /// Where the console is.
    pub address: Address,
    /// Cursor, filter, order and marks there.
    pub place: Place,
    /// The same of addresses left behind.
    pub kept: BTreeMap<Address, Place>,
    /// The rows on the screen, gathered from the view as it is.
    pub rows: Vec<Row>,
    gathered: Option<(Arc<FleetView>, Gathered)>,
    /// The filter is being typed.
    pub filtering: bool,
    /// Where it was, newest last.
    pub earlier: Vec<Address>,
    /// Where it was before going back, newest last.
    pub later: Vec<Address>,
    /// Until when verbs may be sent.
    pub armed_until: Option<Timestamp>,
    /// What lies over the screen.
    pub overlay: Option<Overlay>,
    /// A dialog closed by itself: letters that were meant for it are dropped until then.
    pub deaf_until: Option<Timestamp>,
    /// Keys of a sequence that is not complete.
    pub pressed: Vec<Key>,
    /// News.
    pub toast: Option<Toast>,
    /// The context of which it was asked last what we may do there.
    pub foreseen: Option<String>,
    /// The context whose login has the terminal.
    pub logging_in: Option<String>,
    /// Commands that went out, newest last, by number.
    pub sent: VecDeque<(u64, Sent)>,
    /// Outcomes that came before the number they belong to was known here.
    pub early: Vec<Outcome>,
    /// The number of the last confirmation.
    pub batch: u64,
    /// Targets of the confirmations that went out since something was under way, by their numbers.
    pub under_way: BTreeMap<u64, usize>,
    /// How far that is, as the terminal was told last.
    pub progress: Progress,
    /// The fleet was seen, if only as one without contexts.
    pub seen: bool,
    /// What the window was called last.
    pub title: String,
    /// What is confirmed and still waits to go out, so that it can be taken back.
    pub delayed: Vec<Delayed>,
    /// What `z` would undo of what went out.
    pub undo: Option<Undo>,
    /// Canaries to tell about, with the state they were told in.
    pub watched: BTreeMap<Target, State>,
    /// The log of the engine as last read, oldest first.
    pub log: Vec<LogLine>,
    /// Why a canary stands where it stands, as it was found out last; nothing where it could not be.
    pub explained: Option<(Target, Option<Arc<Explanation>>)>,
    /// When leaving was put off because something waits to be sent.
    pub leaving: Option<Timestamp>,
    /// One `ctrl-c` was pressed just now.
    pub interrupted: bool,
    /// The key before this one completed a confirmation; an Enter typed after it is meant for that.
    pub just_confirmed: bool,
    /// The session ended: nothing moves any more.
    pub ended: bool,
}

impl Model {
    /// A console that knows nothing yet.
    #[must_use]
    pub fn new(options: Options, size: (u16, u16), now: Timestamp) -> Self {
        let scope = options.contexts.iter().cloned().collect();
        let looks = Arc::clone(&options.looks.borrow());
        let toast = looks.news().map(|text| Toast { role: Role::Bad, text, until: None });
        Self {
            background: options.background,
            options,
            keymap: looks.keymap.clone(),
            looks,
            now,
            size,
            view: Arc::default(),
            digests: Digests::default(),
            scope,
            address: Address::Fleet,
            place: Place::default(),
            kept: BTreeMap::new(),
            rows: Vec::new(),
            gathered: None,
            filtering: false,
            earlier: Vec::new(),
            later: Vec::new(),
            armed_until: None,
            overlay: None,
            deaf_until: None,
            pressed: Vec::new(),
            toast,
            foreseen: None,
            logging_in: None,
            sent: VecDeque::new(),
            early: Vec::new(),
            batch: 0,
            under_way: BTreeMap::new(),
            progress: Progress::None,
            seen: false,
            title: String::new(),
            delayed: Vec::new(),
            undo: None,
            watched: BTreeMap::new(),
            log: Vec::new(),
            explained: None,
            leaving: None,
            interrupted: false,
            just_confirmed: false,
            ended: false,
        }
    }

    /// The theme that the settings choose for this terminal.
    #[must_use]
    pub fn theme(&self) -> Theme {
        self.looks.theme(self.background).at(self.options.colour)
    }

    /// Whether only ASCII is drawn.
    #[must_use]
    pub fn ascii(&self) -> bool {
        self.options.ascii || self.looks.ascii == Some(true)
    }

    /// Whether verbs may be sent now.
    #[must_use]
    pub fn armed(&self) -> bool {
        self.armed_for() > 0
    }

    /// Seconds for which verbs may still be sent.
    #[must_use]
    pub fn armed_for(&self) -> i64 {
        self.armed_until.map_or(0, |until| until.as_second() - self.now.as_second()).max(0)
    }

    /// Gathers the rows of the screen, where anything that they depend on has changed.
    pub fn gather(&mut self) {
        let place = &self.place;
        let from = Gathered {
            address: self.address.clone(),
            scope: self.scope.clone(),
            filter: place.filter.clone(),
            trouble_only: place.trouble_only,
            sort: place.sort,
            room: fleet::table_height(self.size),
            log: self.log.last().map(|line| line.number),
            findings: self.explanation().map_or(0, |explanation| explanation.findings.len()),
            at: place.filter.counts_time().then_some(self.now),
        };
        if self.gathered.as_ref().is_some_and(|(view, known)| Arc::ptr_eq(view, &self.view) && *known == from) {
            return;
        }
        let wanted = rows::Wanted {
            view: &self.view,
            digests: &self.digests,
            scope: &self.scope,
            place,
            now: self.now,
            room: from.room,
            log: &self.log,
            findings: from.findings,
        };
        self.rows = rows::of(&self.address, &wanted);
        self.gathered = Some((Arc::clone(&self.view), from));
    }

    /// Goes to an address, as it was left, and returns the one that was left now.
    pub fn switch(&mut self, to: Address) -> Address {
        let place = self.kept.remove(&to).unwrap_or_default();
        let left = std::mem::replace(&mut self.address, to);
        self.kept.insert(left.clone(), std::mem::replace(&mut self.place, place));
        left
    }

    /// What explains the canary of the screen, once it is known.
    #[must_use]
    pub fn explanation(&self) -> Option<&Explanation> {
        let (target, explanation) = self.explained.as_ref()?;
        (self.address.target() == Some(target)).then_some(explanation.as_deref()).flatten()
    }

    /// The place of the cursor among the rows.
    #[must_use]
    pub fn cursor(&self) -> usize {
        let selection = self.place.selection.as_ref();
        selection.and_then(|key| self.rows.iter().position(|row| row.key == *key)).unwrap_or(0)
    }

    /// The canary that a verb would act on: the one of the screen, or of the row under the cursor.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        self.address.target().or_else(|| self.place.selection.as_ref().and_then(RowKey::target))
    }

    /// That canary, with its context.
    #[must_use]
    pub fn subject(&self) -> Option<(&ContextView, &CanaryView)> {
        let target = self.target()?;
        Some((self.view.context(&target.context)?, self.view.canary(target)?))
    }

    /// The context of the screen or of the row under the cursor.
    #[must_use]
    pub fn context(&self) -> Option<&ContextView> {
        let name = self.address.context().or_else(|| self.place.selection.as_ref().and_then(RowKey::context))?;
        self.view.context(name)
    }

    /// Contexts of the marked rows.
    #[must_use]
    pub fn marked_contexts(&self) -> BTreeSet<&str> {
        self.place.marks.iter().filter_map(RowKey::context).collect()
    }

    /// Canaries and gates that are marked; empty where nothing but providers is.
    #[must_use]
    pub fn marked_targets(&self) -> Vec<(&Target, Option<&str>)> {
        self.place
            .marks
            .iter()
            .filter_map(|key| match key {
                RowKey::Canary(target) => Some((target, None)),
                RowKey::Gate(target, gate) => Some((target, Some(gate.as_str()))),
                _ => None,
            })
            .collect()
    }

    /// Contexts inside the scope.
    pub fn visible(&self) -> impl Iterator<Item = &ContextView> {
        self.view.each().filter(|context| attention::in_scope(&self.scope, &context.name))
    }

    /// Says something above the footer: for a few seconds, or, when bad, until `esc`.
    pub fn say(&mut self, role: Role, text: impl Into<String>) {
        let until = (role != Role::Bad).then(|| self.now.saturating_add(jiff::SignedDuration::from_secs(6)).unwrap_or(self.now));
        self.toast = Some(Toast { role, text: text.into(), until });
    }

    /// Notes that a command went out under a number.
    pub fn note_sent(&mut self, id: u64, label: String, batch: u64) {
        self.sent.push_back((id, Sent { label, batch, at: self.now, outcomes: BTreeMap::new() }));
        // Those of one confirmation are counted together.
        if self.sent.len() > REMEMBERED && self.sent.front().is_some_and(|(_, first)| first.batch != batch) {
            self.sent.pop_front();
        }
    }

    /// Whether something on the screen counts seconds, so that it must be drawn every second.
    #[must_use]
    pub fn counts_seconds(&self) -> bool {
        let timed_toast = self.toast.as_ref().is_some_and(|toast| toast.until.is_some());
        if timed_toast || self.armed() || self.interrupted || !self.delayed.is_empty() {
            return true;
        }
        let ages = |canary: &CanaryView| {
            let due = canary.report.as_ref().and_then(|report| report.until).is_some_and(|until| until > self.now);
            let young = canary.since.is_some_and(|since| self.now.as_second() - since.as_second() < 120);
            due || young
        };
        let now = self.now;
        match &self.address {
            Address::Help | Address::Versions | Address::Why(_) | Address::Events => false,
            Address::Log => true,
            Address::Canary(_) => self.subject().is_some_and(|(_, canary)| ages(canary)),
            Address::Provider(name) => self.digests.each().any(|(context, digest)| context.is_called(name) && digest.counts_seconds(now)),
            Address::Gates => self.rows.iter().any(|row| row.canary(&self.view).is_some_and(|(_, canary)| ages(canary))),
            Address::Fleet => {
                self.digests.each().any(|(context, digest)| attention::in_scope(&self.scope, &context.name) && digest.counts_seconds(now))
            }
        }
    }
}
