//! Narrows the console to one or several contexts: type to filter, space marks, Enter applies.

use std::collections::BTreeSet;

use crossterm::event::KeyCode;
use ratatui::Frame;
use ratatui::text::{Line, Span};

use super::input::Input;
use super::{Step, dialog, inner_width};
use crate::session::view::{ContextView, FleetView};
use crate::ui::keymap::Key;
use crate::ui::model::Model;
use crate::ui::theme::Role;
use crate::ui::widgets::text::{cut, cut_middle, fit};

/// The list.
#[derive(Clone, Debug, Default)]
pub struct Contexts {
    /// What was typed.
    pub input: Input,
    /// Which of the matching contexts is under the cursor.
    pub cursor: usize,
    /// Those marked.
    pub marked: BTreeSet<String>,
}

impl Contexts {
    /// A list with the present scope marked.
    #[must_use]
    pub fn new(scope: &BTreeSet<String>) -> Self {
        Self { marked: scope.clone(), ..Self::default() }
    }

    fn matching<'a>(&self, view: &'a FleetView) -> Vec<&'a ContextView> {
        let words = self.input.text.to_lowercase();
        let holds = |context: &ContextView| {
            let text = format!("{} {}", context.name, context.provider).to_lowercase();
            words.split_whitespace().all(|word| text.contains(word))
        };
        view.each().filter(|context| holds(context)).collect()
    }

    /// Takes a key; Enter is safe here, as nothing is written.
    pub fn key(&mut self, key: Key, view: &FleetView) -> Step {
        let matching = self.matching(view);
        match key.code {
            KeyCode::Esc => return Step::Cancel,
            KeyCode::Enter => return Step::Go,
            KeyCode::Down => self.cursor = (self.cursor + 1).min(matching.len().saturating_sub(1)),
            KeyCode::Up => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Char(' ') => {
                if let Some(context) = matching.get(self.cursor)
                    && !self.marked.remove(&context.name)
                {
                    self.marked.insert(context.name.clone());
                }
            }
            _ => {
                if self.input.key(key) {
                    self.cursor = 0;
                }
            }
        }
        Step::Stay
    }

    /// The scope that was chosen: what is marked, or else the context under the cursor. With something
    /// typed the cursor counts before an older marking.
    #[must_use]
    pub fn chosen(&self, view: &FleetView, before: &BTreeSet<String>) -> BTreeSet<String> {
        let here = self.matching(view).get(self.cursor).map(|context| context.name.clone());
        let untouched = self.marked == *before;
        let mut scope: BTreeSet<String> = if untouched { here.into_iter().collect() } else { self.marked.clone() };
        scope.retain(|name| view.context(name).is_some());
        // Every context is the same as no narrowing.
        if scope.len() == view.contexts.len() { BTreeSet::new() } else { scope }
    }
}

/// Draws the list.
pub fn draw(frame: &mut Frame<'_>, model: &Model, list: &Contexts) {
    let theme = model.theme();
    let columns = inner_width(frame.area().width);
    let matching = list.matching(&model.view);
    let page = usize::from(frame.area().height).saturating_sub(9).clamp(1, 24);
    let first = list.cursor.saturating_sub(page - 1);
    let mut typed = vec![Span::styled("filter ", theme.style(Role::Dim))];
    typed.extend(list.input.spans(columns.saturating_sub(7), true, theme));
    let mut lines = vec![Line::from(typed), Line::default()];
    for (at, context) in matching.iter().enumerate().skip(first).take(page) {
        let here = at == list.cursor;
        let mark = if list.marked.contains(&context.name) { "[x] " } else { "[ ] " };
        let provider = if context.provider == context.name { String::new() } else { format!("provider {}", context.provider) };
        let mut line = Line::from(vec![
            Span::styled(if here { "> " } else { "  " }, theme.style(Role::Key)),
            Span::styled(mark, theme.style(Role::Key)),
            model.digests.state(context).span(theme),
            Span::styled(format!(" {} ", fit(&cut_middle(&context.name, 32), 32)), theme.style(Role::Text)),
            Span::styled(cut(&provider, columns.saturating_sub(48)), theme.style(Role::Dim)),
        ]);
        if here {
            line = line.style(theme.ground());
        }
        lines.push(line);
    }
    if matching.is_empty() {
        lines.push(Line::styled("no context matches", theme.style(Role::Warn)));
    }
    lines.push(Line::default());
    let marked = if list.marked.is_empty() { String::new() } else { format!("{} marked · ", list.marked.len()) };
    lines.push(Line::styled(format!("{marked}type to filter · space marks · Enter narrows · esc cancels"), theme.style(Role::Dim)));
    dialog(frame, theme, Role::Busy, "contexts", lines);
}
