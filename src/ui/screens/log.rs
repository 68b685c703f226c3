//! What the engine of this process wrote to its log, newest at the end, followed while the cursor is there.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::list;
use crate::session::questions::LogLevel;
use crate::ui::hits::Hits;
use crate::ui::model::Model;
use crate::ui::rows::Row;
use crate::ui::theme::Role;
use crate::ui::widgets::text::{clock_with_seconds, cut, fit, wrap};

/// Draws the screen between header and status line.
pub fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect, hits: &mut Hits) {
    let theme = model.theme();
    let columns = usize::from(area.width);
    let follows = if model.place.moved { "G follows what is new" } else { "following" };
    let note = format!("{} lines of this process · {follows}", model.rows.len());
    let mut lines = vec![super::rule("log", &note, columns, theme)];
    let notes = list::notes(model);
    if !notes.is_empty() {
        lines.push(Line::styled(cut(&format!("   {}", notes.join(" · ")), columns), theme.style(Role::Warn)));
    }
    // The whole of the line under the cursor, which its row cuts.
    let whole = selected(model).map(|text| wrap(&text, columns.saturating_sub(2), 3)).unwrap_or_default();
    let room = usize::from(area.height).saturating_sub(lines.len() + whole.len() + 1);
    let shown = list::shown(model, area, lines.len(), room, hits);
    lines.extend(shown.iter().map(|row| log_row(model, row, columns)));
    if model.rows.is_empty() {
        lines.extend(list::empty(model, "nothing was logged yet"));
    } else {
        lines.resize(usize::from(area.height).saturating_sub(whole.len() + 1), Line::default());
        lines.push(super::rule("line", "", columns, theme));
        lines.extend(whole.into_iter().map(|part| Line::from(format!(" {part}"))));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn selected(model: &Model) -> Option<String> {
    let row = model.rows.get(model.cursor())?;
    let line = model.log.get(row.item)?;
    Some(format!("{} {}: {}", line.level.word(), line.from, line.text))
}

fn log_row(model: &Model, row: &Row, columns: usize) -> Line<'static> {
    let theme = model.theme();
    let Some(line) = model.log.get(row.item) else { return Line::default() };
    let role = match line.level {
        LogLevel::Error => Role::Bad,
        LogLevel::Warn => Role::Warn,
        LogLevel::Info => Role::Text,
        LogLevel::Debug => Role::Dim,
    };
    let from = line.from.rsplit("::").next().unwrap_or_default();
    let spans = vec![
        list::margin(model, &row.key),
        Span::styled(format!("{} ", clock_with_seconds(line.at)), theme.style(Role::Dim)),
        Span::styled(fit(line.level.word(), 6), theme.style(role)),
        Span::styled(fit(from, 11), theme.style(Role::Dim)),
        Span::styled(cut(&line.text, columns.saturating_sub(32)), theme.style(role)),
    ];
    list::finish(model, spans, &row.key)
}
