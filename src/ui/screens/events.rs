//! What happened to every canary, newest first; the same again is counted.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::list;
use crate::session::view::{CanaryView, ContextView};
use crate::ui::hits::Hits;
use crate::ui::model::Model;
use crate::ui::rows::Row;
use crate::ui::theme::Role;
use crate::ui::widgets::text::{clock_with_seconds, cut, cut_middle, fit};

/// Draws the screen between header and status line.
pub fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect, hits: &mut Hits) {
    let columns = usize::from(area.width);
    let warnings = model
        .rows
        .iter()
        .filter(|row| row.canary(&model.view).and_then(|(_, canary)| canary.events.get(row.item)).is_some_and(|event| event.warning))
        .count();
    let note = format!("{} newest first, {warnings} warnings", model.rows.len());
    let heading = format!("   {} {} {}   MESSAGE ", fit("TIME", 9), fit("PROVIDER", 12), fit("CANARY", 20));
    let mut lines = vec![super::rule("events", &note, columns, model.theme()), list::heading(model, heading, columns)];
    let room = usize::from(area.height).saturating_sub(lines.len());
    for row in list::shown(model, area, lines.len(), room, hits) {
        lines.extend(row.canary(&model.view).map(|(context, canary)| event_row(model, context, canary, row, columns)));
    }
    if model.rows.is_empty() {
        lines.extend(list::empty(model, "no event is known: API servers keep them for an hour"));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn event_row(model: &Model, context: &ContextView, canary: &CanaryView, row: &Row, columns: usize) -> Line<'static> {
    let theme = model.theme();
    let Some(event) = canary.events.get(row.item) else { return Line::default() };
    let at = event.at.map_or_else(|| "–".into(), clock_with_seconds);
    let (mark, role) = if event.warning { ("!", Role::Warn) } else { (" ", Role::Text) };
    let times = if event.count > 1 { format!(" (×{})", event.count) } else { String::new() };
    let spans = vec![
        list::margin(model, &row.key),
        Span::styled(format!("{} ", fit(&at, 9)), theme.style(Role::Dim)),
        Span::styled(format!("{} ", fit(&cut_middle(&context.provider, 12), 12)), theme.style(Role::Title)),
        Span::styled(format!("{} ", fit(&cut_middle(&canary.key.path(), 20), 20)), theme.style(Role::Text)),
        Span::styled(format!("{mark} {}", cut(&format!("{}{times}", event.message), columns.saturating_sub(51))), theme.style(role)),
    ];
    list::finish(model, spans, &row.key)
}
