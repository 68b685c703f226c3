//! Moves pins: choose a ref, see the plan for each provider, type the name.

use crossterm::event::KeyCode;
use ratatui::Frame;
use ratatui::text::{Line, Span};

use super::confirm::{fact, field};
use super::input::Input;
use super::{Step, dialog, inner_width};
use crate::session::view::{FleetView, RefView};
use crate::ui::attention;
use crate::ui::keymap::Key;
use crate::ui::model::Model;
use crate::ui::theme::Role;
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
    pub canaries: usize,
}

/// Providers that a bump would mean now: the marked ones, or the one of the row.
///
/// # Errors
/// A sentence for the operator: which provider cannot be bumped, and why.
pub fn entries(model: &Model) -> Result<Vec<Entry>, String> {
    let chosen: Vec<&str> = match model.context() {
        _ if !model.marks.is_empty() => model.marks.iter().map(String::as_str).collect(),
        Some(context) => vec![&context.name],
        None => return Err("nothing is selected".into()),
    };
    let mut out = Vec::new();
    for name in chosen {
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
            canaries: context.canaries.len(),
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
}

impl Bump {
    /// A dialog over these providers; `wanted` is typed already.
    #[must_use]
    pub fn new(plan: Vec<Entry>, wanted: &str) -> Self {
        let mut input = Input::default();
        input.paste(wanted);
        Self { plan, input, cursor: 0, to: None, typed: Input::default(), reason: Input::default(), in_reason: false }
    }

    /// Names of the providers.
    #[must_use]
    pub fn providers(&self) -> Vec<String> {
        self.plan.iter().map(|entry| entry.provider.clone()).collect()
    }

    /// The text that proves the intent.
    #[must_use]
    pub fn proof(&self) -> String {
        match self.plan.as_slice() {
            [one] => one.provider.clone(),
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
        if self.to.is_some() { self.key_in_plan(key) } else { self.key_in_list(key, refs) }
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
        self.plan.iter().any(|entry| entry.pinned != self.to)
    }
}

/// Draws the dialog.
pub fn draw(frame: &mut Frame<'_>, model: &Model, bump: &Bump) {
    let columns = inner_width(frame.area().width);
    let room = usize::from(frame.area().height).saturating_sub(4);
    let lines = match &bump.to {
        None => list_lines(model, bump, columns, room),
        Some(to) => plan_lines(model, bump, to, columns, room),
    };
    let title = match (&bump.to, bump.plan.as_slice()) {
        (Some(to), [one]) => format!("bump {} to {to}", one.provider),
        (Some(to), many) => format!("bump {} providers to {to}", many.len()),
        (None, [one]) => format!("bump {}: choose a ref", one.provider),
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

fn plan_lines(model: &Model, bump: &Bump, to: &str, columns: usize, room: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let page = room.saturating_sub(9).max(1);
    let mut lines = Vec::new();
    for entry in bump.plan.iter().take(page) {
        let from = entry.pinned.as_deref().unwrap_or("unpinned");
        let (change, role) = if from == to { (format!("{to}, as it is"), Role::Dim) } else { (format!("{from} → {to}"), Role::Title) };
        let canaries = match entry.canaries {
            0 => "no canary: applied at once".to_string(),
            1 => "1 canary".to_string(),
            many => format!("{many} canaries"),
        };
        lines.push(Line::from(vec![
            Span::styled(fit(&cut_middle(&entry.provider, 20), 21), theme.style(Role::Text)),
            Span::styled(fit(&change, 28), theme.style(role)),
            Span::styled(cut(&canaries, columns.saturating_sub(49)), theme.style(Role::Dim)),
        ]));
    }
    if bump.plan.len() > page {
        lines.push(Line::styled(format!("and {} more", bump.plan.len() - page), theme.style(Role::Dim)));
    }
    lines.push(Line::default());
    if let [one] = bump.plan.as_slice() {
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
    let proof = bump.proof();
    let mut answer = vec![
        Span::styled("type ", theme.style(Role::Dim)),
        Span::styled(proof.clone(), theme.style(Role::Key)),
        Span::styled(" to confirm ", theme.style(Role::Dim)),
    ];
    answer.extend(bump.typed.spans(columns.saturating_sub(17 + proof.len()), !bump.in_reason, theme));
    lines.push(Line::from(answer));
    lines.push(Line::styled("esc back to the refs · Enter does nothing · tab: reason", theme.style(Role::Dim)));
    lines
}
