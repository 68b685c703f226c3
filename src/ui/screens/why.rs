//! Why one canary stands where it stands.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::fleet;
use crate::ui::hits::Hits;
use crate::ui::model::Model;
use crate::ui::theme::Role;
use crate::ui::widgets::text::wrap;

/// Draws the screen between header and status line.
pub fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect, hits: &mut Hits) {
    let theme = model.theme();
    let columns = usize::from(area.width);
    let Some((context, canary)) = model.subject() else {
        let text = vec![Line::default(), Line::styled("   this canary is not there (any more): esc goes back", theme.style(Role::Warn))];
        frame.render_widget(Paragraph::new(text), area);
        return;
    };
    let (why, _) = fleet::reason(context, canary, model);
    let lines: Vec<Line<'static>> =
        wrap(&why, columns.saturating_sub(2), 6).into_iter().map(|part| Line::from(format!(" {part}"))).collect();
    frame.render_widget(Paragraph::new(lines), area);
}
