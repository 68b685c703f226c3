//! Moves pins: choose a ref, see the plan for each provider, type the name.

use crossterm::event::KeyCode;
use ratatui::Frame;
use ratatui::text::{Line, Span};

use super::confirm::{fact, field, proof_lines};
use super::input::Input;
use super::{Step, dialog, inner_width};
use crate::session::questions::{PinChange, Question};
use crate::session::view::{FleetView, RefView};
use crate::ui::address::Address;
use crate::ui::attention;
use crate::ui::keymap::Key;
use crate::ui::model::Model;
use crate::ui::theme::{Role, Theme};
use crate::ui::widgets::text::{ago, cut, cut_middle, fit, short, wrap};

/// One provider of the plan, as it was when the dialog came up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The context it stands on.
    pub context: String,
    /// Its name.
    pub provider: String,
    /// The ref its head pins.
    pub pinned: Option<String>,
    /// Where the pin is written.
    pub place: String,
    /// Canaries that the new ref may set in motion.
    pub canaries: Vec<String>,
    /// Whether it is to be bumped.
    pub chosen: bool,
    /// What would change in git, once that is known, and for which ref.
    pub change: Option<(String, Result<PinChange, String>)>,
}

/// Providers that a bump would mean now: the marked ones, or the one of the row.
///
/// # Errors
/// A sentence for the operator: which provider cannot be bumped, and why.
pub fn entries(model: &Model) -> Result<Vec<Entry>, String> {
    let marked = model.marked_contexts();
    let chosen: Vec<&str> = match model.context() {
        _ if !marked.is_empty() => marked.into_iter().collect(),
        // Which ones is asked in the dialog.
        _ if model.address == Address::Versions => {
            model.visible().filter(|context| context.sync.is_some()).map(|context| context.name.as_str()).collect()
        }
        Some(context) => vec![&context.name],
        None => return Err("nothing is selected".into()),
    };
    if chosen.is_empty() {
        return Err("no provider in scope has a repository that pins a ref".into());
    }
    entries_of(model, &chosen)
}

/// The entries of these contexts.
///
/// # Errors
/// As [`entries`].
pub fn entries_of(model: &Model, chosen: &[&str]) -> Result<Vec<Entry>, String> {
    let mut out = Vec::new();
    for &name in chosen {
        let context = model.view.context(name).ok_or_else(|| format!("{name} is gone"))?;
        let sync = context.sync.as_ref().ok_or_else(|| format!("{} has no repository that pins a ref", context.provider))?;
        // A pin belongs to the provider; it must not reach a cluster that the frame leaves out.
        let twin =
            model.view.contexts.iter().find(|other| other.provider == context.provider && !attention::in_scope(&model.scope, &other.name));
        if let Some(twin) = twin {
            return Err(format!("{} also stands on {}, which is out of scope: press 0 first", context.provider, twin.name));
        }
        if out.iter().any(|entry: &Entry| entry.provider == context.provider) {
            continue;
        }
        out.push(Entry {
            context: context.name.clone(),
            provider: context.provider.clone(),
            pinned: sync.pinned.clone(),
            place: format!("{} · {} · {}", sync.repository, sync.branch, sync.path),
            canaries: context.canaries.iter().map(|canary| canary.key.name.clone()).collect(),
            chosen: true,
            change: None,
        });
    }
    Ok(out)
}

/// The dialog.
#[derive(Clone, Debug)]
pub struct Bump {
    /// The providers.
    pub plan: Vec<Entry>,
    /// What was typed to choose a ref.
    pub input: Input,
    /// Which of the matching refs is under the cursor.
    pub cursor: usize,
    /// The ref chosen; then the plan is shown.
    pub to: Option<String>,
    /// What was typed of the proof.
    pub typed: Input,
    /// Why, for the commit.
    pub reason: Input,
    /// Keys go to the reason.
    pub in_reason: bool,
    /// Which providers is being chosen; then the cursor is on one of them.
    pub which: bool,
    /// The ref for which plans were asked for.
    asked: Option<String>,
}

impl Bump {
    /// A dialog over these providers; `wanted` is typed already.
    #[must_use]
    pub fn new(plan: Vec<Entry>, wanted: &str) -> Self {
        let mut input = Input::default();
        input.paste(wanted);
        Self {
            plan,
            input,
            cursor: 0,
            to: None,
            typed: Input::default(),
            reason: Input::default(),
            in_reason: false,
            which: false,
            asked: None,
        }
    }

    /// The same dialog, asking first which providers are meant: those not at `wanted` are marked.
    #[must_use]
    pub fn choosing(mut self, wanted: &str) -> Self {
        for entry in &mut self.plan {
            entry.chosen = !wanted.is_empty() && entry.pinned.as_deref() != Some(wanted);
        }
        self.which = true;
        self
    }

    /// The providers that are to be bumped; those whose repository does not allow it are out.
    pub fn chosen(&self) -> impl Iterator<Item = &Entry> {
        self.plan.iter().filter(|entry| entry.chosen && !self.refused(entry))
    }

    fn refused(&self, entry: &Entry) -> bool {
        matches!(&entry.change, Some((to, Err(_))) if Some(to) == self.to.as_ref())
    }

    /// What is to be asked of the session: one plan for each provider, once a ref is chosen.
    pub fn questions(&mut self) -> Vec<Question> {
        let Some(to) = self.to.clone().filter(|to| self.asked.as_ref() != Some(to)) else { return Vec::new() };
        self.asked = Some(to.clone());
        self.chosen().map(|entry| Question::BumpPlan { provider: entry.provider.clone(), to: to.clone() }).collect()
    }

    /// Takes the plan of one provider.
    pub fn planned(&mut self, provider: &str, to: &str, plan: Result<PinChange, String>) {
        if let Some(entry) = self.plan.iter_mut().find(|entry| entry.provider == provider) {
            let out = plan.is_err();
            entry.change = Some((to.to_string(), plan));
            if out {
                // What is to be typed counts one less.
                self.typed = Input::default();
            }
        }
    }

    /// Names of the providers.
    #[must_use]
    pub fn providers(&self) -> Vec<String> {
        self.chosen().map(|entry| entry.provider.clone()).collect()
    }

    /// The text that proves the intent.
    #[must_use]
    pub fn proof(&self) -> String {
        match self.providers().as_slice() {
            [one] => one.clone(),
            many => format!("bump {}", many.len()),
        }
    }

    /// Why the plan no longer stands; `None` while it does.
    #[must_use]
    pub fn moved(&self, view: &FleetView) -> Option<String> {
        self.plan.iter().find_map(|entry| {
            let pinned = view.context(&entry.context).and_then(|context| context.sync.as_ref()).map(|sync| &sync.pinned);
            match pinned {
                None => Some(format!("{} is gone; nothing was pushed", entry.provider)),
                Some(pinned) if *pinned != entry.pinned => {
                    let now = pinned.as_deref().unwrap_or("nothing");
                    Some(format!("{} was bumped to {now} meanwhile; nothing was pushed", entry.provider))
                }
                Some(_) => None,
            }
        })
    }

    fn matching<'a>(&self, refs: &'a [RefView]) -> Vec<&'a RefView> {
        refs.iter().filter(|on_offer| on_offer.name.contains(self.input.text.trim())).collect()
    }

    /// Takes a key. While refs are listed Enter chooses one; the plan is confirmed by typing alone.
    pub fn key(&mut self, key: Key, refs: &[RefView]) -> Step {
        match (self.which, self.to.is_some()) {
            (true, _) => self.key_in_which(key),
            (false, true) => self.key_in_plan(key),
            (false, false) => self.key_in_list(key, refs),
        }
    }

    fn key_in_which(&mut self, key: Key) -> Step {
        match key.code {
            KeyCode::Esc => return Step::Cancel,
            KeyCode::Down | KeyCode::Char('j') => self.cursor = (self.cursor + 1).min(self.plan.len().saturating_sub(1)),
            KeyCode::Up | KeyCode::Char('k') => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Char(' ') => {
                if let Some(entry) = self.plan.get_mut(self.cursor) {
                    entry.chosen = !entry.chosen;
                }
            }
            KeyCode::Char('*') => {
                let all = self.plan.iter().all(|entry| entry.chosen);
                for entry in &mut self.plan {
                    entry.chosen = !all;
                }
            }
            KeyCode::Enter if self.chosen().count() > 0 => (self.which, self.cursor) = (false, 0),
            _ => {}
        }
        Step::Stay
    }

    fn key_in_list(&mut self, key: Key, refs: &[RefView]) -> Step {
        let matching = self.matching(refs);
        match key.code {
            KeyCode::Esc => return Step::Cancel,
            KeyCode::Down => self.cursor = (self.cursor + 1).min(matching.len().saturating_sub(1)),
            KeyCode::Up => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Enter => {
                let typed = self.input.text.trim();
                let exact = matching.iter().find(|on_offer| on_offer.name == typed);
                let chosen = exact.or_else(|| matching.get(self.cursor)).map(|on_offer| on_offer.name.clone());
                self.to = chosen.or_else(|| (!typed.is_empty() && !typed.contains(' ')).then(|| typed.to_string()));
            }
            _ => {
                if self.input.key(key) {
                    self.cursor = 0;
                }
            }
        }
        Step::Stay
    }

    fn key_in_plan(&mut self, key: Key) -> Step {
        match key.code {
            KeyCode::Esc => {
                self.to = None;
                self.in_reason = false;
                self.typed = Input::default();
            }
            KeyCode::Tab => self.in_reason = !self.in_reason,
            _ if self.in_reason => {
                self.reason.key(key);
            }
            _ if self.changes() => {
                let typed = self.typed.key(key);
                if typed && self.typed.text == self.proof() {
                    return Step::Go;
                }
            }
            _ => {}
        }
        Step::Stay
    }

    /// Takes pasted text: a ref or a reason, never the proof.
    pub fn paste(&mut self, text: &str) {
        if self.in_reason {
            self.reason.paste(text);
        } else if self.to.is_none() {
            self.input.paste(text);
        }
    }

    /// Whether any provider is pinned to something else.
    fn changes(&self) -> bool {
        self.chosen().any(|entry| entry.pinned != self.to)
    }
}

/// Draws the dialog.
pub fn draw(frame: &mut Frame<'_>, model: &Model, bump: &Bump) {
    let columns = inner_width(frame.area().width);
    let room = usize::from(frame.area().height).saturating_sub(4);
    let lines = match &bump.to {
        None if !bump.which => list_lines(model, bump, columns, room),
        _ if bump.which => which_lines(model, bump, columns, room),
        Some(to) => plan_lines(model, bump, to, columns, room),
        None => Vec::new(),
    };
    let title = match (&bump.to, bump.providers().as_slice()) {
        _ if bump.which => "bump: which providers".to_string(),
        (Some(to), [one]) => format!("bump {one} to {to}"),
        (Some(to), many) => format!("bump {} providers to {to}", many.len()),
        (None, [one]) => format!("bump {one}: choose a ref"),
        (None, many) => format!("bump {} providers: choose a ref", many.len()),
    };
    dialog(frame, model.theme(), Role::Gate, &title, lines);
}

fn list_lines(model: &Model, bump: &Bump, columns: usize, room: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let matching = bump.matching(&model.view.refs);
    let mut lines = vec![field("ref", &bump.input, true, columns, theme), Line::default()];
    let page = room.saturating_sub(7).clamp(1, 12);
    let first = bump.cursor.saturating_sub(page - 1);
    for (at, on_offer) in matching.iter().enumerate().skip(first).take(page) {
        let here = at == bump.cursor;
        let used: Vec<&str> = model
            .visible()
            .filter(|context| context.sync.as_ref().is_some_and(|sync| sync.pinned.as_deref() == Some(on_offer.name.as_str())))
            .map(|context| context.provider.as_str())
            .collect();
        let age = on_offer.at.map_or_else(String::new, |at| ago(at, model.now));
        let used = if used.is_empty() { String::new() } else { format!("pinned by {}", used.join(", ")) };
        let text = format!("{} {} {} ", fit(&cut_middle(&on_offer.name, 24), 24), fit(&short(&on_offer.commit), 8), fit(&age, 5));
        let mut line = Line::from(vec![
            Span::styled(if here { "> " } else { "  " }, theme.style(Role::Key)),
            Span::styled(text, theme.style(if here { Role::Title } else { Role::Text })),
            Span::styled(cut(&used, columns.saturating_sub(42)), theme.style(Role::Dim)),
        ]);
        if here {
            line = line.style(theme.ground());
        }
        lines.push(line);
    }
    if matching.is_empty() {
        let typed = bump.input.text.trim();
        let text = match (model.view.refs.is_empty(), typed.is_empty()) {
            (true, true) => "no refs are known yet: type one".to_string(),
            (_, false) => format!("! {typed} is not among the {} refs on offer; Enter takes it as typed", model.view.refs.len()),
            (false, true) => String::new(),
        };
        lines.extend(wrap(&text, columns, 2).into_iter().map(|text| Line::styled(text, theme.style(Role::Warn))));
    } else if matching.len() > page {
        lines.push(Line::styled(format!("  {} of {} refs", page, matching.len()), theme.style(Role::Dim)));
    }
    lines.push(Line::default());
    lines.push(Line::styled("↑ ↓ or type · Enter shows the plan, nothing is pushed yet · esc cancels", theme.style(Role::Dim)));
    lines
}

/// Which canaries the new ref may set in motion, in words.
fn rolls(entry: &Entry) -> String {
    match entry.canaries.as_slice() {
        [] => "no canary: applied at once".into(),
        [one] => format!("1 canary: {one}"),
        many => format!("{} canaries: {}", many.len(), many.join(", ")),
    }
}

/// The line that changes in the repository: what goes and what comes, or why not.
fn change_lines(entry: &Entry, to: &str, wide: bool, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let room = columns.saturating_sub(4);
    match entry.change.as_ref().filter(|(of, _)| of == to) {
        None => vec![Line::styled("  reading the repository…", theme.style(Role::Dim))],
        Some((_, Err(why))) => vec![Line::styled(cut(&format!("  ! {why}"), columns), theme.style(Role::Bad))],
        Some((_, Ok(change))) if change.unchanged => vec![Line::styled("  the repository has it already", theme.style(Role::Dim))],
        Some((_, Ok(change))) if wide => {
            let more = if change.pins > 1 { format!(" and {} pins more", change.pins - 1) } else { String::new() };
            let moving = if change.moving { " · a branch: what it pins moves by itself" } else { "" };
            vec![
                Line::styled(cut(&format!("  {}:{}{more}{moving}", change.file, change.line), columns), theme.style(Role::Dim)),
                Line::styled(format!("  - {}", cut(&change.before, room)), theme.style(Role::Bad)),
                Line::styled(format!("  + {}", cut(&change.after, room)), theme.style(Role::Good)),
            ]
        }
        Some((_, Ok(change))) => {
            vec![Line::styled(cut(&format!("  {}:{} + {}", change.file, change.line, change.after), columns), theme.style(Role::Good))]
        }
    }
}

fn which_lines(model: &Model, bump: &Bump, columns: usize, room: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let page = room.saturating_sub(3).max(1);
    let first = bump.cursor.saturating_sub(page - 1);
    let mut lines = Vec::new();
    for (at, entry) in bump.plan.iter().enumerate().skip(first).take(page) {
        let here = at == bump.cursor;
        let environment = model.view.context(&entry.context).and_then(|context| context.environment.clone()).unwrap_or_default();
        let text = format!(
            "{} {} {}",
            fit(&cut_middle(&entry.provider, 24), 24),
            fit(entry.pinned.as_deref().unwrap_or("unpinned"), 16),
            environment
        );
        let line = Line::from(vec![
            Span::styled(if here { "> " } else { "  " }, theme.style(Role::Key)),
            Span::styled(if entry.chosen { "[x] " } else { "[ ] " }, theme.style(Role::Key)),
            Span::styled(cut(&text, columns.saturating_sub(6)), theme.style(Role::Text)),
        ]);
        lines.push(if here { line.style(theme.ground()) } else { line });
    }
    lines.push(Line::default());
    let count = bump.chosen().count();
    lines.push(Line::styled(
        format!("{count} of {} · space toggles · * all · Enter goes on · esc cancels", bump.plan.len()),
        theme.style(Role::Dim),
    ));
    lines
}

fn plan_lines(model: &Model, bump: &Bump, to: &str, columns: usize, room: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let chosen: Vec<&Entry> = bump.plan.iter().filter(|entry| entry.chosen).collect();
    let wide = chosen.len() == 1;
    let page = (room.saturating_sub(10) / 2).max(1);
    let mut lines = Vec::new();
    for entry in chosen.iter().take(page) {
        let from = entry.pinned.as_deref().unwrap_or("unpinned");
        let (change, role) = if from == to { (format!("{to}, as it is"), Role::Dim) } else { (format!("{from} → {to}"), Role::Title) };
        lines.push(Line::from(vec![
            Span::styled(fit(&cut_middle(&entry.provider, 20), 21), theme.style(Role::Text)),
            Span::styled(fit(&change, 28), theme.style(role)),
            Span::styled(cut(&rolls(entry), columns.saturating_sub(49)), theme.style(Role::Dim)),
        ]));
        lines.extend(change_lines(entry, to, wide, columns, theme));
    }
    if chosen.len() > page {
        lines.push(Line::styled(format!("and {} more", chosen.len() - page), theme.style(Role::Dim)));
    }
    lines.push(Line::default());
    if let [one] = chosen.as_slice() {
        lines.push(fact("git", &one.place, columns, theme));
    }
    let what = "The pin is edited in git, committed and pushed; the cluster follows by its sync, and each canary by its analysis.";
    lines.extend(wrap(what, columns, 2).into_iter().map(|text| Line::styled(text, theme.style(Role::Text))));
    if !model.view.refs.is_empty() && !model.view.refs.iter().any(|on_offer| on_offer.name == to) {
        lines.push(Line::styled(cut(&format!("! {to} is not among the refs on offer"), columns), theme.style(Role::Warn)));
    }
    lines.push(Line::default());
    if !bump.changes() {
        lines.push(Line::styled("nothing to change: every provider is pinned to it · esc back", theme.style(Role::Warn)));
        return lines;
    }
    lines.push(field("reason", &bump.reason, bump.in_reason, columns, theme));
    lines.extend(proof_lines(&bump.proof(), &bump.typed, !bump.in_reason, columns, theme));
    lines.push(Line::styled("esc back to the refs · Enter does nothing · tab: reason", theme.style(Role::Dim)));
    lines
}
