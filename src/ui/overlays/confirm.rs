//! The question before a verb: what it does, to what exactly, how old the data is, and the proof.

use std::fmt::Write as _;

use crossterm::event::KeyCode;
use ratatui::Frame;
use ratatui::text::{Line, Span};

use super::input::Input;
use super::many::{self, Many};
use super::{Step, dialog, inner_width};
use crate::domain::intent::Verb;
use crate::domain::phase::Phase;
use crate::domain::target::Target;
use crate::session::view::{CanaryView, ContextView, DriverView, FleetView};
use crate::ui::actions::Id;
use crate::ui::keymap::Key;
use crate::ui::model::Model;
use crate::ui::orders::{DELAY, When};
use crate::ui::theme::{Role, Theme};
use crate::ui::widgets::text::{ago, as_of, cut, fit, pieces, short, width, wrap};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To allow verbs for a while.
    Arm,
    /// To reconcile these contexts with their providers.
    Sync(Vec<(String, String)>),
    /// To send a verb.
    Verb(VerbAsk),
    /// To send a verb to many.
    Many(Many),
}

/// A verb and the canary as it was when the question came up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerbAsk {
    /// The canary.
    pub target: Target,
    /// The verb.
    pub verb: Verb,
    /// Its phase on the screen.
    pub phase: Phase,
    /// Its revision on the screen.
    pub revision: String,
    /// Gates that wait, for verbs that mean one of them.
    pub gates: Vec<String>,
    /// Which of them is meant.
    pub gate: usize,
}

impl VerbAsk {
    /// A verb for a canary as it is on the screen.
    #[must_use]
    pub fn of(context: &ContextView, canary: &CanaryView, verb: Verb) -> Self {
        let gates = match verb {
            Verb::Approve | Verb::Reject => canary.gates.iter().map(|gate| gate.name.clone()).collect(),
            _ => Vec::new(),
        };
        Self {
            target: Target::new(&context.name, &canary.key),
            verb,
            phase: canary.phase,
            revision: canary.revision.clone(),
            gates,
            gate: 0,
        }
    }

    /// The name of the gate meant; empty is the one that waits.
    #[must_use]
    pub fn gate(&self) -> &str {
        self.gates.get(self.gate).map_or("", String::as_str)
    }

    /// Why the question no longer stands; `None` while it does.
    #[must_use]
    pub fn moved(&self, view: &FleetView) -> Option<String> {
        let name = &self.target.name;
        let Some(canary) = view.canary(&self.target) else { return Some(format!("{name} is gone")) };
        if !view.context(&self.target.context).is_some_and(|context| context.link.is_live()) {
            return Some(format!("the cluster of {name} stopped answering"));
        }
        if canary.revision != self.revision {
            return Some(format!("{name} has a new revision, {}", short(&canary.revision)));
        }
        // A step of the same rollout is no reason to make an operator type an abort again.
        if canary.phase != self.phase && self.verb.check(canary.phase, canary.paused.is_some()).is_err() {
            return Some(format!("{name} moved from {} to {} meanwhile", self.phase, canary.phase));
        }
        let gate = self.gate();
        if !gate.is_empty() && !canary.gates.iter().any(|waiting| waiting.name == gate) {
            return Some(format!("{gate} of {name} waits no longer"));
        }
        None
    }
}

/// The dialog.
#[derive(Clone, Debug)]
pub struct Confirm {
    /// What is asked for.
    pub ask: Ask,
    /// The text that proves the intent; `None` asks for `y`.
    pub proof: Option<String>,
    /// What was typed of it.
    pub typed: Input,
    /// Why, for the record.
    pub reason: Input,
    /// Keys go to the reason.
    pub in_reason: bool,
}

impl Confirm {
    /// A question that `y` or, with a proof, typing answers.
    #[must_use]
    pub fn new(ask: Ask, proof: Option<String>) -> Self {
        Self { ask, proof, typed: Input::default(), reason: Input::default(), in_reason: false }
    }

    /// The question before a verb.
    #[must_use]
    pub fn verb(context: &ContextView, canary: &CanaryView, verb: Verb) -> Self {
        let proof = matches!(verb, Verb::Promote | Verb::Abort | Verb::Reject).then(|| canary.key.name.clone());
        let ask = VerbAsk::of(context, canary, verb);
        Self::new(Ask::Verb(ask), proof)
    }

    /// The question before a verb to many: its proof counts them, and a reason is wanted first.
    #[must_use]
    pub fn many(many: Many) -> Self {
        let proof = Some(many.proof());
        Self { in_reason: true, ..Self::new(Ask::Many(many), proof) }
    }

    /// The same question about this gate, where it is one of those that wait.
    #[must_use]
    pub fn meaning(mut self, gate: Option<&str>) -> Self {
        if let (Ask::Verb(ask), Some(gate)) = (&mut self.ask, gate)
            && let Some(at) = ask.gates.iter().position(|name| name == gate)
        {
            ask.gate = at;
        }
        self
    }

    /// Looks at the fleet again: what moved on leaves a question about many, and the proof counts anew.
    pub fn refresh(&mut self, view: &FleetView) {
        if let Ask::Many(many) = &mut self.ask
            && many.refresh(view)
        {
            self.proof = Some(many.proof());
            self.typed = Input::default();
        }
    }

    /// Takes a key. Enter confirms nothing, here or anywhere.
    pub fn key(&mut self, key: Key) -> Step {
        match key.code {
            KeyCode::Esc => return Step::Cancel,
            KeyCode::Tab if self.takes_reason() => self.in_reason = !self.in_reason,
            KeyCode::Down | KeyCode::Up => self.next_gate(key.code == KeyCode::Down),
            _ if self.in_reason => {
                self.reason.key(key);
            }
            _ => {
                let proven = match &self.proof {
                    Some(proof) => self.typed.key(key) && self.typed.text == *proof,
                    None => key.letter() == Some('y'),
                };
                if proven && self.wants_reason() && self.reason.text.trim().is_empty() {
                    // What many canaries are put through needs a sentence for those who ask later.
                    (self.in_reason, self.typed) = (true, Input::default());
                } else if proven {
                    return Step::Go;
                }
            }
        }
        Step::Stay
    }

    /// Takes pasted text: as a reason only, since a proof is something typed.
    pub fn paste(&mut self, text: &str) {
        if self.in_reason {
            self.reason.paste(text);
        }
    }

    const fn takes_reason(&self) -> bool {
        matches!(self.ask, Ask::Verb(_) | Ask::Many(_))
    }

    const fn wants_reason(&self) -> bool {
        matches!(self.ask, Ask::Many(_))
    }

    fn next_gate(&mut self, down: bool) {
        if let Ask::Verb(ask) = &mut self.ask
            && !ask.gates.is_empty()
        {
            let count = ask.gates.len();
            ask.gate = (ask.gate + if down { 1 } else { count - 1 }) % count;
        }
    }
}

/// Draws the dialog.
pub fn draw(frame: &mut Frame<'_>, model: &Model, confirm: &Confirm) {
    let theme = model.theme();
    let columns = inner_width(frame.area().width);
    let (title, role, mut lines) = match &confirm.ask {
        Ask::Arm => ("arm the console".to_string(), Role::Warn, arm_lines(model, columns)),
        Ask::Sync(providers) => {
            let title =
                if let [(_, one)] = providers.as_slice() { format!("sync {one}") } else { format!("sync {} providers", providers.len()) };
            (title, Role::Busy, sync_lines(model, providers, columns))
        }
        Ask::Many(many) => (many.title(model), verb_role(many.verb), many::lines(model, many, columns, usize::from(frame.area().height))),
        Ask::Verb(ask) => (format!("{} {}", ask.verb, ask.target), verb_role(ask.verb), verb_lines(model, ask, columns)),
    };
    lines.push(Line::default());
    if confirm.takes_reason() {
        let name = if confirm.wants_reason() { "reason !" } else { "reason" };
        lines.push(field(name, &confirm.reason, confirm.in_reason, columns, theme));
    }
    lines.extend(answer_lines(model, confirm, columns));
    dialog(frame, theme, role, &title, lines);
}

const fn verb_role(verb: Verb) -> Role {
    match verb {
        Verb::Abort | Verb::Reject => Role::Bad,
        Verb::Promote | Verb::Approve => Role::Gate,
        Verb::Pause | Verb::Resume | Verb::Retry => Role::Busy,
    }
}

fn arm_lines(model: &Model, columns: usize) -> Vec<Line<'static>> {
    let minutes = model.options.arm_for.as_secs().div_ceil(60);
    let scope: Vec<&str> = model.visible().map(|context| context.name.as_str()).collect();
    let text = format!(
        "Verbs and bumps may be sent to {} for {minutes} min after the last key. Each one still asks. {} disarms.",
        if scope.is_empty() { "no context".to_string() } else { scope.join(", ") },
        model.keymap.short(Id::Arm)
    );
    wrap(&text, columns, 4).into_iter().map(Line::from).collect()
}

fn sync_lines(model: &Model, providers: &[(String, String)], columns: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let mut lines = vec![Line::from("compare the head of the branch with the cluster now, and apply what differs"), Line::default()];
    let [(context, _)] = providers else {
        let names: Vec<&str> = providers.iter().map(|(context, _)| context.as_str()).collect();
        lines.extend(wrap(&names.join(", "), columns, 4).into_iter().map(Line::from));
        return lines;
    };
    let Some(context) = model.view.context(context) else { return lines };
    lines.push(fact("context", &context.name, columns, theme));
    if let Some(sync) = &context.sync {
        lines.push(fact("git", &format!("{} {} {}", sync.repository, sync.branch, sync.path), columns, theme));
        lines.push(fact("state", &format!("{} · {}", sync.state.word(), sync.message), columns, theme));
    }
    lines.push(fact("data", &data_age(model, context), columns, theme));
    lines
}

fn verb_lines(model: &Model, ask: &VerbAsk, columns: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let mut lines: Vec<Line<'static>> = wrap(ask.verb.help(), columns, 2).into_iter().map(Line::from).collect();
    lines.push(Line::default());
    let (Some(context), Some(canary)) = (model.view.context(&ask.target.context), model.view.canary(&ask.target)) else {
        return lines;
    };
    let place: Vec<String> = [
        (context.provider != context.name).then(|| format!("provider {}", context.provider)),
        context.environment.clone(),
        context.wave.map(|wave| format!("wave {wave}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let place = if place.is_empty() { String::new() } else { format!("  ({})", place.join(", ")) };
    lines.push(fact("context", &format!("{}{place}", context.name), columns, theme));
    lines.push(fact("canary", &canary.key.path(), columns, theme));
    let mut phase = format!("{} · weight {} %", canary.phase, canary.weight);
    if canary.max_weight > 0 {
        let _ = write!(phase, " of {} %", canary.max_weight);
    }
    if canary.threshold > 0 {
        let _ = write!(phase, " · failed checks {}/{}", canary.failed_checks, canary.threshold);
    }
    lines.push(fact("phase", &phase, columns, theme));
    let images = match (&canary.primary_image, &canary.target_image) {
        (Some(primary), Some(target)) if primary != target => format!(" · {primary} → {target}"),
        _ => String::new(),
    };
    lines.push(fact("revision", &format!("{}{images}", short(&ask.revision)), columns, theme));
    if let Some(gate) = ask.gates.get(ask.gate) {
        let more = if ask.gates.len() > 1 { format!("  ({} of {}, ↑ ↓ choose)", ask.gate + 1, ask.gates.len()) } else { String::new() };
        lines.push(fact("gate", &format!("{gate}{more}"), columns, theme));
    }
    lines.push(fact("data", &data_age(model, context), columns, theme));
    lines.push(fact("driver", &driver(&context.driver), columns, theme));
    if let Some(foreign) = &canary.foreign {
        lines.push(fact("note", foreign, columns, theme));
    }
    lines
}

/// One named fact of a dialog.
pub(super) fn fact(name: &str, value: &str, columns: usize, theme: Theme) -> Line<'static> {
    Line::from(vec![
        Span::styled(fit(name, 10), theme.style(Role::Dim)),
        Span::styled(cut(value, columns.saturating_sub(10)), theme.style(Role::Text)),
    ])
}

/// One field of a dialog.
pub(super) fn field(name: &str, input: &Input, focused: bool, columns: usize, theme: Theme) -> Line<'static> {
    let mut spans = vec![Span::styled(fit(name, 10), theme.style(Role::Dim))];
    spans.extend(input.spans(columns.saturating_sub(10), focused, theme));
    Line::from(spans)
}

fn answer_lines(model: &Model, confirm: &Confirm, columns: usize) -> Vec<Line<'static>> {
    let (theme, undo) = (model.theme(), model.keymap.short(Id::Undo));
    let tab = match (confirm.takes_reason(), confirm.in_reason) {
        (false, _) => "",
        (true, false) => " · tab: reason",
        (true, true) => " · tab: back to the answer",
    };
    let mut lines = match &confirm.proof {
        Some(proof) => proof_lines(proof, &confirm.typed, !confirm.in_reason, columns, theme),
        None if confirm.in_reason => vec![Line::styled("tab, then y confirms", theme.style(Role::Dim))],
        None => {
            let later = matches!(&confirm.ask, Ask::Verb(ask) if When::of(ask.verb) == When::Later);
            let how =
                if later { format!(" confirms; it is sent {DELAY} s later, {undo} takes it back until then") } else { " confirms".into() };
            vec![Line::from(vec![Span::styled("y", theme.style(Role::Key)), Span::styled(how, theme.style(Role::Dim))])]
        }
    };
    lines.push(Line::styled(format!("esc cancels · Enter does nothing{tab}"), theme.style(Role::Dim)));
    lines
}

/// What is to be typed, all of it however long it is, and the field for it.
pub(super) fn proof_lines(proof: &str, typed: &Input, focused: bool, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    /// Columns round the proof on one line with its field.
    const ROUND: usize = 17;
    /// A field of fewer columns shows nothing of what is typed.
    const FIELD: usize = 12;
    let room = columns.saturating_sub(ROUND + width(proof));
    let mut first = vec![Span::styled("type ", theme.style(Role::Dim))];
    let end = Span::styled(" to confirm ", theme.style(Role::Dim));
    if room >= FIELD {
        first.extend([Span::styled(proof.to_owned(), theme.style(Role::Key)), end]);
        first.extend(typed.spans(room, focused, theme));
        return vec![Line::from(first)];
    }
    let mut lines = Vec::new();
    for part in pieces(proof, columns.saturating_sub(5).max(1)) {
        let mut spans = if lines.is_empty() { std::mem::take(&mut first) } else { vec![Span::raw("     ")] };
        spans.push(Span::styled(part, theme.style(Role::Key)));
        lines.push(Line::from(spans));
    }
    let mut last = vec![end];
    last.extend(typed.spans(columns.saturating_sub(ROUND), focused, theme));
    lines.push(Line::from(last));
    lines
}

/// How old the data of a context is, in words.
#[must_use]
pub fn data_age(model: &Model, context: &ContextView) -> String {
    let live = context.link.is_live();
    match (context.heard, context.within) {
        (Some(_), Some(within)) if live => format!("live, at most {within}s old"),
        (Some(heard), None) if live => format!("live, heard {} ago", ago(heard, model.now)),
        (Some(heard), _) => format!("as of {}", as_of(heard, model.now)),
        (None, _) if live => "live".into(),
        (None, _) => "nothing heard yet".into(),
    }
}

/// Who drives, in words.
#[must_use]
pub fn driver(driver: &DriverView) -> String {
    match driver {
        DriverView::Unknown => "not known yet".into(),
        DriverView::Here => "this console".into(),
        DriverView::Elsewhere { holder } => format!("another Pilothouse: {holder}"),
        DriverView::Flagger { why } => format!("Flagger: {why}"),
        DriverView::Nobody { why } => format!("nobody: {why}"),
    }
}
