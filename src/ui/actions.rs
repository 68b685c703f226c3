//! The one table of actions. Keys, footer, help screen, prompt words, the README's table and the man page come from it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// A screen with keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// Every provider and its canaries.
    Fleet,
    /// One provider.
    Provider,
    /// One canary.
    Canary,
    /// Why one canary stands where it stands.
    Why,
    /// Which ref stands where.
    Versions,
    /// The gates that wait.
    Gates,
    /// What happened.
    Events,
    /// The log of the engine.
    Log,
    /// The generated help.
    Help,
}

/// Every screen.
pub const SCREENS: [Screen; 9] = [
    Screen::Fleet,
    Screen::Provider,
    Screen::Canary,
    Screen::Why,
    Screen::Versions,
    Screen::Gates,
    Screen::Events,
    Screen::Log,
    Screen::Help,
];

const ALL: &[Screen] = &SCREENS;
/// All but the first, from which there is no way back.
const INNER: &[Screen] =
    &[Screen::Provider, Screen::Canary, Screen::Why, Screen::Versions, Screen::Gates, Screen::Events, Screen::Log, Screen::Help];
const FLEET: &[Screen] = &[Screen::Fleet];
/// All but help itself.
const NOT_HELP: &[Screen] =
    &[Screen::Fleet, Screen::Provider, Screen::Canary, Screen::Why, Screen::Versions, Screen::Gates, Screen::Events, Screen::Log];
/// Where a canary is under the cursor, or on the screen.
const SUBJECTS: &[Screen] = &[Screen::Fleet, Screen::Provider, Screen::Canary, Screen::Why, Screen::Gates, Screen::Events];
/// Where a provider is.
const PROVIDERS: &[Screen] = &[Screen::Fleet, Screen::Provider, Screen::Canary, Screen::Why, Screen::Versions, Screen::Gates];
/// Where rows can be filtered.
const LISTS: &[Screen] = &[Screen::Fleet, Screen::Provider, Screen::Versions, Screen::Gates, Screen::Events, Screen::Log];
/// Where rows can be marked.
const MARKED: &[Screen] = &[Screen::Fleet, Screen::Provider, Screen::Gates];
/// Where enter opens what is under the cursor.
const OPENED: &[Screen] = &[Screen::Fleet, Screen::Provider, Screen::Why, Screen::Versions, Screen::Gates, Screen::Events];

/// What an action asks of the operator before it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Nothing: it changes no cluster and no repository.
    Free,
    /// `y`.
    Yes,
    /// The name of what it acts on, typed.
    Name,
    /// The verb and how many it acts on, typed, and a reason.
    Count,
}

impl Tier {
    /// What is asked, in words.
    #[must_use]
    pub const fn asks(self) -> &'static str {
        match self {
            Self::Free => "",
            Self::Yes => "y",
            Self::Name => "name",
            Self::Count => "verb N",
        }
    }
}

/// Sections of the help screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Moving about.
    Move,
    /// Finding and narrowing.
    Find,
    /// What changes a rollout or a pin.
    Act,
    /// The console itself.
    Console,
}

impl Group {
    /// All of them, in the order of the help screen.
    pub const ALL: [Self; 4] = [Self::Act, Self::Find, Self::Move, Self::Console];

    /// Its heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Move => "Move",
            Self::Find => "Find",
            Self::Act => "Act",
            Self::Console => "Console",
        }
    }
}

/// Names of the actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the table below says what each one does")]
pub enum Id {
    Down,
    Up,
    First,
    Last,
    PageDown,
    PageUp,
    Open,
    Close,
    Clear,
    Earlier,
    Later,
    Filter,
    Prompt,
    Contexts,
    AllContexts,
    Mark,
    Trouble,
    Arm,
    Promote,
    Pause,
    Abort,
    Retry,
    Approve,
    Reject,
    Bump,
    Sync,
    Stop,
    Undo,
    Fleet,
    Versions,
    Gates,
    Events,
    Log,
    Why,
    MarkAll,
    MarkRange,
    Unmark,
    SortNext,
    SortName,
    SortAge,
    SortState,
    Outcomes,
    Copy,
    Watch,
    Login,
    K9s,
    Editor,
    Help,
    Repaint,
    Suspend,
    Quit,
    Interrupt,
}

/// One row of the table.
#[derive(Debug)]
pub struct Action {
    /// Its name in code.
    pub id: Id,
    /// Its name at the prompt.
    pub word: &'static str,
    /// Key sequences; the first one is shown.
    pub keys: &'static [&'static str],
    /// Two or three words for the footer.
    pub title: &'static str,
    /// One line for the help screen.
    pub help: &'static str,
    /// Where it works.
    pub screens: &'static [Screen],
    /// What it asks.
    pub tier: Tier,
    /// Its section of the help screen.
    pub group: Group,
}

/// The table.
pub const ACTIONS: &[Action] = &[
    act(Id::Approve, "approve", &["a"], "approve", "open the gate that waits, or all marked", SUBJECTS, Tier::Yes),
    act(Id::Reject, "reject", &["x"], "reject", "refuse it and give this revision up", SUBJECTS, Tier::Name),
    act(Id::Promote, "promote", &["p n"], "promote now", "skip the analysis, make it primary", SUBJECTS, Tier::Name),
    act(Id::Pause, "pause", &["s"], "pause/resume", "hold the rollout, or let it go on", SUBJECTS, Tier::Yes),
    act(Id::Abort, "abort", &["ctrl-x"], "abort", "all traffic back to the primary", SUBJECTS, Tier::Name),
    act(Id::Retry, "retry", &["r"], "retry", "start the failed revision again", SUBJECTS, Tier::Yes),
    act(Id::Bump, "bump", &["b"], "bump", "move the pin, or all marked pins", PROVIDERS, Tier::Name),
    act(Id::Sync, "sync", &["R"], "sync", "compare git with the cluster now", PROVIDERS, Tier::Yes),
    act(Id::Stop, "stop", &["!"], "stop the line", "abort all in flight, armed or not", ALL, Tier::Count),
    act(Id::Undo, "undo", &["z"], "undo", "take back what waits or was done last", ALL, Tier::Yes),
    act(Id::Arm, "arm", &["W"], "arm", "allow verbs for a while, or forbid them", ALL, Tier::Yes),
    find(Id::Fleet, "fleet", &["1"], "fleet", "every provider by attention", ALL),
    find(Id::Versions, "versions", &["2"], "versions", "which ref stands where", ALL),
    find(Id::Gates, "gates", &["3"], "gates", "gates that wait for a human", ALL),
    find(Id::Events, "events", &["5"], "events", "what happened, everywhere", ALL),
    find(Id::Log, "log", &["6"], "log", "what the engine logged", ALL),
    find(Id::Why, "why", &["X"], "why", "reasons with their evidence", SUBJECTS),
    find(Id::Filter, "filter", &["/"], "filter", "words, wave=2 state=gate age<2h !word", LISTS),
    find(Id::Prompt, "prompt", &[":", "ctrl-p"], "prompt", "go to an address or run by name", ALL),
    find(Id::Contexts, "contexts", &["C"], "contexts", "narrow the console to some contexts", ALL),
    find(Id::AllContexts, "all", &["0"], "all contexts", "every context again", ALL),
    find(Id::Trouble, "trouble", &["f8"], "trouble", "only trouble, in flight, waiting", LISTS),
    find(Id::SortNext, "sort", &["O"], "sort", "the next order of rows", MARKED),
    find(Id::SortName, "sort-name", &["N"], "by name", "rows by name; again turns round", MARKED),
    find(Id::SortAge, "sort-age", &["A"], "by age", "rows by their last change", MARKED),
    find(Id::SortState, "sort-state", &["S"], "by state", "rows by state", MARKED),
    find(Id::Mark, "mark", &["space"], "mark", "mark this row for a common verb", MARKED),
    find(Id::MarkRange, "mark-range", &["ctrl-space"], "mark range", "mark from the last mark to here", MARKED),
    find(Id::MarkAll, "mark-all", &["*"], "mark all", "mark all rows of this kind; safe gates", MARKED),
    find(Id::Unmark, "unmark", &["ctrl-\\"], "unmark", "drop every mark", MARKED),
    go(Id::Down, "down", &["j", "down"], "down", "a row down", ALL),
    go(Id::Up, "up", &["k", "up"], "up", "a row up", ALL),
    go(Id::First, "first", &["g", "home"], "first", "the first row", ALL),
    go(Id::Last, "last", &["G", "end"], "last", "the last row", ALL),
    go(Id::PageDown, "page-down", &["ctrl-f", "pgdn", "ctrl-d"], "page down", "a page down", ALL),
    go(Id::PageUp, "page-up", &["ctrl-b", "pgup", "ctrl-u"], "page up", "a page up", ALL),
    go(Id::Open, "open", &["enter"], "open", "what is under the cursor", OPENED),
    go(Id::Clear, "clear", &["esc"], "clear", "drop message, marks, filter; then back", ALL),
    go(Id::Close, "back", &["q"], "back", "back to where you came from", INNER),
    go(Id::Earlier, "earlier", &["[", "-"], "earlier", "the screen before, in history", ALL),
    go(Id::Later, "later", &["]"], "later", "the screen after, in history", ALL),
    own(Id::Outcomes, "outcomes", &["ctrl-o"], "outcomes", "what became of the verbs you sent", ALL),
    own(Id::Copy, "copy", &["c"], "copy", "the name under the cursor, to the clipboard", ALL),
    own(Id::Watch, "watch", &["w"], "watch", "tell me when it ends or waits", SUBJECTS),
    own(Id::Login, "login", &["L"], "login", "run the context's login in this terminal", PROVIDERS),
    own(Id::K9s, "k9s", &["o"], "k9s", "open the context in k9s", PROVIDERS),
    own(Id::Editor, "editor", &["e"], "editor", "the object as YAML, in $EDITOR", SUBJECTS),
    own(Id::Help, "help", &["?"], "help", "this page", NOT_HELP),
    own(Id::Repaint, "repaint", &["ctrl-l"], "repaint", "draw the whole screen again", ALL),
    own(Id::Suspend, "suspend", &["ctrl-z"], "suspend", "back to the shell; fg returns", ALL),
    own(Id::Quit, "quit", &["q"], "quit", "leave the console", FLEET),
    own(Id::Interrupt, "interrupt", &["ctrl-c"], "quit", "twice: leave from anywhere", ALL),
];

type Keys = &'static [&'static str];
type Text = &'static str;

const fn act(id: Id, word: Text, keys: Keys, title: Text, help: Text, screens: &'static [Screen], tier: Tier) -> Action {
    Action { id, word, keys, title, help, screens, tier, group: Group::Act }
}

const fn find(id: Id, word: Text, keys: Keys, title: Text, help: Text, screens: &'static [Screen]) -> Action {
    Action { id, word, keys, title, help, screens, tier: Tier::Free, group: Group::Find }
}

const fn go(id: Id, word: Text, keys: Keys, title: Text, help: Text, screens: &'static [Screen]) -> Action {
    Action { id, word, keys, title, help, screens, tier: Tier::Free, group: Group::Move }
}

const fn own(id: Id, word: Text, keys: Keys, title: Text, help: Text, screens: &'static [Screen]) -> Action {
    Action { id, word, keys, title, help, screens, tier: Tier::Free, group: Group::Console }
}

/// The action of a name in code.
#[must_use]
pub fn action(id: Id) -> Option<&'static Action> {
    ACTIONS.iter().find(|action| action.id == id)
}

/// The keys of every action as a Markdown table.
#[must_use]
pub fn key_table() -> String {
    let mut out = String::from("| keys | action | asks |\n|---|---|---|\n");
    for group in Group::ALL {
        for action in ACTIONS.iter().filter(|action| action.group == group) {
            let keys: Vec<String> = action.keys.iter().map(|keys| format!("`{keys}`")).collect();
            let asks = action.tier.asks();
            // Writing to a String cannot fail.
            let _ = writeln!(out, "| {} | **{}**: {} | {asks} |", keys.join(" "), action.title, action.help);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_texts_are_written() {
        for (at, action) in ACTIONS.iter().enumerate() {
            assert!(!action.help.is_empty() && !action.title.is_empty() && !action.keys.is_empty(), "{:?}", action.id);
            assert!(ACTIONS[at + 1..].iter().all(|other| other.id != action.id && other.word != action.word), "{:?}", action.id);
        }
    }

    #[test]
    fn whatever_changes_a_cluster_asks_first() {
        for action in ACTIONS.iter().filter(|action| action.group == Group::Act) {
            assert!(action.tier > Tier::Free, "{:?} changes something and asks nothing", action.id);
        }
    }

    #[test]
    fn the_markdown_table_has_every_action() {
        let table = key_table();
        assert_eq!(table.lines().count(), ACTIONS.len() + 2);
        assert!(table.contains("| `p n` | **promote now**"));
    }
}
