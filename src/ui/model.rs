//! Everything the console knows: plain data, changed by `update` alone and drawn by `view` alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::Options;
use super::actions::Screen;
use super::attention::{self, RowKey, Wanted};
use super::keymap::{Key, Keymap};
use super::looks::Looks;
use super::overlays::Overlay;
use super::screens::fleet;
use super::theme::{Background, Role, Theme};
use crate::domain::target::Target;
use crate::session::command::Outcome;
use crate::session::view::{CanaryView, ContextView, FleetView, Link};

/// Where the console is; also what the prompt and `--snapshot` take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Every provider and its canaries.
    Fleet,
    /// One canary.
    Canary(Target),
    /// The generated help.
    Help,
}

impl Address {
    /// Reads `fleet`, `help`, `canary/CONTEXT/NAMESPACE/NAME`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "fleet" => Some(Self::Fleet),
            "help" => Some(Self::Help),
            _ => text.strip_prefix("canary/")?.parse().ok().map(Self::Canary),
        }
    }

    /// The screen that shows it.
    #[must_use]
    pub const fn screen(&self) -> Screen {
        match self {
            Self::Fleet => Screen::Fleet,
            Self::Canary(_) => Screen::Canary,
            Self::Help => Screen::Help,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet => f.write_str("fleet"),
            Self::Help => f.write_str("help"),
            Self::Canary(target) => write!(f, "canary/{target}"),
        }
    }
}

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
    /// When.
    pub at: Timestamp,
    /// The last outcome for each target.
    pub outcomes: BTreeMap<String, Outcome>,
}

/// Commands remembered.
const REMEMBERED: usize = 64;

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
    /// Contexts that the console is narrowed to; empty is all.
    pub scope: BTreeSet<String>,
    /// Words that rows of the fleet must hold.
    pub filter: String,
    /// The filter is being typed.
    pub filtering: bool,
    /// Only what needs a look.
    pub trouble_only: bool,
    /// Where the console is.
    pub address: Address,
    /// Where it was, newest last.
    pub earlier: Vec<Address>,
    /// Where it was before going back, newest last.
    pub later: Vec<Address>,
    /// The row under the cursor.
    pub selection: Option<RowKey>,
    /// The operator moved the cursor; until then it stays on the row that needs a look most.
    pub moved: bool,
    /// Contexts marked for a bump.
    pub marks: BTreeSet<String>,
    /// First row shown of a screen that scrolls.
    pub scroll: usize,
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
    /// Commands that went out, newest last, by number.
    pub sent: VecDeque<(u64, Sent)>,
    /// Outcomes that came before the number they belong to was known here.
    pub early: Vec<Outcome>,
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
            scope,
            filter: String::new(),
            filtering: false,
            trouble_only: false,
            address: Address::Fleet,
            earlier: Vec::new(),
            later: Vec::new(),
            selection: None,
            moved: false,
            marks: BTreeSet::new(),
            scroll: 0,
            armed_until: None,
            overlay: None,
            deaf_until: None,
            pressed: Vec::new(),
            toast,
            sent: VecDeque::new(),
            early: Vec::new(),
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

    /// Rows of the fleet, as filtered and narrowed.
    #[must_use]
    pub fn rows(&self) -> Vec<RowKey> {
        let wanted =
            Wanted { scope: &self.scope, filter: &self.filter, trouble_only: self.trouble_only, room: fleet::table_height(self.size) };
        attention::rows(&self.view, &wanted)
    }

    /// The canary that a verb would act on: the one of the screen, or of the row under the cursor.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        match (&self.address, &self.selection) {
            (Address::Canary(target), _) | (Address::Fleet, Some(RowKey::Canary(target))) => Some(target),
            _ => None,
        }
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
        match (&self.address, &self.selection) {
            (Address::Canary(target), _) => self.view.context(&target.context),
            (Address::Fleet, Some(row)) => self.view.context(row.context()),
            _ => None,
        }
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
    pub fn note_sent(&mut self, id: u64, label: String) {
        self.sent.push_back((id, Sent { label, at: self.now, outcomes: BTreeMap::new() }));
        if self.sent.len() > REMEMBERED {
            self.sent.pop_front();
        }
    }

    /// Whether something on the screen counts seconds, so that it must be drawn every second.
    #[must_use]
    pub fn counts_seconds(&self) -> bool {
        let timed_toast = self.toast.as_ref().is_some_and(|toast| toast.until.is_some());
        if timed_toast || self.armed() || self.interrupted {
            return true;
        }
        let ages = |canary: &CanaryView| {
            let due = canary.report.as_ref().and_then(|report| report.until).is_some_and(|until| until > self.now);
            let young = canary.since.is_some_and(|since| self.now.as_second() - since.as_second() < 120);
            due || young
        };
        match &self.address {
            Address::Help => false,
            Address::Canary(_) => self.subject().is_some_and(|(_, canary)| ages(canary)),
            Address::Fleet => self.visible().any(|context| {
                matches!(context.link, Link::Connecting { .. }) || (context.link.is_live() && context.canaries.iter().any(ages))
            }),
        }
    }
}
