//! The screens: functions from the model to lines of a given width and height.
//!
//! Here live layout and wording. Never here: changes of the model, or a reason that the read model
//! does not hold. Read `fleet.rs` first.

pub mod canary;
pub mod chord;
pub mod chrome;
pub mod compact;
pub mod events;
pub mod fleet;
pub mod gates;
pub mod help;
pub mod list;
pub mod log;
pub mod preview;
pub mod provider;
pub mod strip;
pub mod versions;
pub mod why;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::address::Address;
use super::model::Model;
use super::theme::{Role, Theme};
use super::widgets::text::{cut, fit, width};
use crate::session::command::OutcomeState;

/// The role and the glyph with word of an outcome.
#[must_use]
pub const fn outcome_look(state: OutcomeState) -> (Role, &'static str) {
    match state {
        OutcomeState::Pending => (Role::Busy, "» pending"),
        OutcomeState::Done => (Role::Good, "✓ done"),
        OutcomeState::Refused => (Role::Bad, "✗ refused"),
        OutcomeState::Failed => (Role::Bad, "✗ failed"),
    }
}

/// How far a screen that scrolls may be scrolled.
#[must_use]
pub fn scroll_limit(model: &Model) -> usize {
    match &model.address {
        Address::Canary(_) => model.subject().map_or(0, |(_, canary)| canary.events.len().saturating_sub(1)),
        Address::Help => help::lines(model, usize::from(model.size.0)).len().saturating_sub(usize::from(model.size.1).saturating_sub(4)),
        // Lists have a cursor, which moves the part that is shown.
        _ => 0,
    }
}

/// A name in `wide` columns, before what it names.
#[must_use]
pub fn label(name: &str, wide: usize, theme: Theme) -> Span<'static> {
    Span::styled(format!(" {} ", fit(name, wide)), theme.style(Role::Dim))
}

/// A named line, its text cut to what the label leaves of `columns`.
#[must_use]
pub fn named((name, wide): (&str, usize), text: &str, role: Role, columns: usize, theme: Theme) -> Line<'static> {
    Line::from(vec![label(name, wide, theme), Span::styled(cut(text, columns.saturating_sub(wide + 3)), theme.style(role))])
}

/// Draws that what the screen is about is there no more.
pub fn gone(frame: &mut Frame<'_>, area: Rect, what: &str, theme: Theme) {
    let text = format!("   this {what} is not there (any more): esc goes back");
    frame.render_widget(Paragraph::new(vec![Line::default(), Line::styled(text, theme.style(Role::Warn))]), area);
}

/// A rule over the whole width with a title in it.
#[must_use]
pub fn rule(title: &str, note: &str, columns: usize, theme: Theme) -> Line<'static> {
    let mut spans = vec![Span::styled("── ", theme.style(Role::Rule)), Span::styled(title.to_string(), theme.style(Role::Title))];
    if !note.is_empty() {
        let room = columns.saturating_sub(width(title) + 6);
        spans.push(Span::styled(format!("  {}", cut(note, room)), theme.style(Role::Dim)));
    }
    let used: usize = spans.iter().map(Span::width).sum();
    spans.push(Span::styled(format!(" {}", "─".repeat(columns.saturating_sub(used + 1))), theme.style(Role::Rule)));
    Line::from(spans)
}

/// Two groups of spans, one at each end of the line; the right one wins where both do not fit.
#[must_use]
pub fn spread(left: Vec<Span<'static>>, right: Vec<Span<'static>>, columns: usize) -> Line<'static> {
    let taken: usize = right.iter().map(Span::width).sum();
    let mut room = columns.saturating_sub(taken);
    let mut spans = Vec::new();
    for span in left {
        let text = cut(&span.content, room);
        room -= width(&text);
        spans.push(Span::styled(text, span.style));
    }
    spans.push(Span::raw(" ".repeat(room)));
    spans.extend(right);
    Line::from(spans)
}
