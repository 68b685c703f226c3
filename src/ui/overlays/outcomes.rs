//! What became of the verbs that this console sent: each target, its outcome as observed.

use crossterm::event::KeyCode;
use ratatui::Frame;
use ratatui::text::{Line, Span};

use super::{Step, dialog, inner_width};
use crate::ui::actions::Id;
use crate::ui::keymap::Key;
use crate::ui::model::Model;
use crate::ui::orders::{self, Tally};
use crate::ui::screens::outcome_look;
use crate::ui::theme::Role;
use crate::ui::widgets::text::{clock_with_seconds, cut, cut_middle, fit};

/// The list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcomes {
    scroll: usize,
}

impl Outcomes {
    /// Takes a key: scrolls, or closes.
    pub fn key(&mut self, key: Key) -> Step {
        match key.code {
            KeyCode::Down | KeyCode::Char('j') => self.scroll = self.scroll.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::PageDown => self.scroll = self.scroll.saturating_add(10),
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(10),
            KeyCode::Esc | KeyCode::Char('q') => return Step::Cancel,
            _ => {}
        }
        Step::Stay
    }
}

/// Draws the list.
pub fn draw(frame: &mut Frame<'_>, model: &Model, outcomes: &Outcomes) {
    let theme = model.theme();
    let columns = inner_width(frame.area().width);
    let page = usize::from(frame.area().height).saturating_sub(8).clamp(1, 30);
    let all = lines(model, columns);
    let first = outcomes.scroll.min(all.len().saturating_sub(page));
    let more = all.len().saturating_sub(first + page);
    let mut lines: Vec<Line<'static>> = all.into_iter().skip(first).take(page).collect();
    lines.push(Line::default());
    let note = if more > 0 { format!("{more} more · j k scroll · ") } else { String::new() };
    lines.push(Line::styled(format!("{note}esc closes; what is under way goes on"), theme.style(Role::Dim)));
    dialog(frame, theme, Role::Busy, "what became of it", lines);
}

fn lines(model: &Model, columns: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let mut out = Vec::new();
    for delayed in &model.delayed {
        let left = (delayed.due.as_second() - model.now.as_second()).max(0);
        out.push(Line::styled(
            format!("» {} is sent in {left} s · {} takes it back", delayed.label, model.keymap.short(Id::Undo)),
            theme.style(Role::Warn),
        ));
    }
    let mut batches: Vec<u64> = model.sent.iter().map(|(_, sent)| sent.batch).collect();
    batches.dedup();
    for batch in batches.into_iter().rev() {
        let sent = orders::of_batch(model, batch);
        let Some(first) = sent.first() else { continue };
        let at = clock_with_seconds(first.at);
        if sent.len() > 1 {
            out.push(Line::styled(
                format!("{at}  {} · {}", first.label.split(' ').next().unwrap_or_default(), Tally::of(&sent)),
                theme.style(Role::Title),
            ));
        }
        let many = sent.len() > 1;
        for sent in sent {
            let targets: Vec<(String, Role, &str, String)> = if sent.outcomes.is_empty() {
                vec![(sent.label.clone(), Role::Busy, "» sent", String::new())]
            } else {
                let of = |(target, outcome): (&String, &crate::session::command::Outcome)| {
                    let (role, word) = outcome_look(outcome.state);
                    (target.clone(), role, word, outcome.message.clone())
                };
                sent.outcomes.iter().map(of).collect()
            };
            for (target, role, word, message) in targets {
                let name = fit(&cut_middle(&target, 32), 33);
                // The heading of many has their time.
                let (when, left) = if many { ("  ".to_string(), 46) } else { (format!("{at} "), 55) };
                out.push(Line::from(vec![
                    Span::styled(when, theme.style(Role::Dim)),
                    Span::styled(fit(word, 11), theme.style(role)),
                    Span::styled(name, theme.style(Role::Text)),
                    Span::styled(cut(&message, columns.saturating_sub(left)), theme.style(role)),
                ]));
            }
        }
    }
    if out.is_empty() {
        out.push(Line::styled("nothing was sent yet", theme.style(Role::Dim)));
    }
    out
}
