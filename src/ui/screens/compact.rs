//! The console in a corner of a screen: one column, the same keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::{chrome, events, fleet, gates, help, list, log, provider, versions, why};
use crate::ui::address::Address;
use crate::ui::attention;
use crate::ui::hits::Hits;
use crate::ui::model::Model;
use crate::ui::rows::RowKey;
use crate::ui::theme::Role;
use crate::ui::widgets::text::{cut, cut_middle, wrap};

/// Whether a screen is too small for the others.
#[must_use]
pub const fn applies((width, height): (u16, u16)) -> bool {
    width < 60 || height < 15
}

/// Draws the body between header and status line.
pub fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect, hits: &mut Hits) {
    let columns = usize::from(area.width);
    match &model.address {
        Address::Fleet => frame.render_widget(Paragraph::new(fleet_lines(model, columns, area, hits)), area),
        Address::Canary(_) => frame.render_widget(Paragraph::new(canary_lines(model, columns)), area),
        Address::Help => help::draw(frame, model, area),
        Address::Provider(_) => provider::draw(frame, model, area, hits),
        Address::Versions => versions::draw(frame, model, area, hits),
        Address::Gates => gates::draw(frame, model, area, hits),
        Address::Events => events::draw(frame, model, area, hits),
        Address::Log => log::draw(frame, model, area, hits),
        Address::Why(_) => why::draw(frame, model, area, hits),
    }
}

fn fleet_lines(model: &Model, columns: usize, area: Rect, hits: &mut Hits) -> Vec<Line<'static>> {
    let theme = model.theme();
    let mut lines = vec![chrome::counters(model, columns)];
    for row in list::shown(model, area, lines.len(), usize::from(area.height).saturating_sub(1), hits) {
        let here = list::is_here(model, &row.key);
        let Some(context) = row.context(&model.view) else { continue };
        let (state, name, end) = if let (RowKey::Canary(target), Some((_, canary))) = (&row.key, row.canary(&model.view)) {
            let end = if canary.phase.is_settled() { String::new() } else { format!("{} %", canary.weight) };
            (attention::canary_state(context, canary), format!("  {}", target.name), end)
        } else {
            let version = context.sync.as_ref().map_or_else(String::new, fleet::versions);
            (model.digests.state(context), context.provider.clone(), version)
        };
        let room = columns.saturating_sub(11 + end.chars().count());
        let line = Line::from(vec![
            Span::styled(if here { "> " } else { "  " }, theme.style(Role::Key)),
            state.span(theme),
            Span::styled(format!(" {}", cut_middle(&name, room)), theme.style(Role::Text)),
            Span::styled(format!(" {end}"), theme.style(Role::Dim)),
        ]);
        lines.push(if here { line.style(theme.ground()) } else { line });
    }
    lines
}

fn canary_lines(model: &Model, columns: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let Some((context, canary)) = model.subject() else {
        return vec![Line::styled(" this canary is not there: esc goes back", theme.style(Role::Warn))];
    };
    let state = attention::canary_state(context, canary);
    let mut lines = vec![
        Line::from(vec![Span::raw(" "), state.span(theme), Span::styled(format!(" {}", canary.phase), theme.style(Role::Title))]),
        Line::from(format!(" {}", cut_middle(&format!("{}/{}", context.name, canary.key), columns.saturating_sub(2)))),
        Line::from(format!(" weight {} % · failed {}/{}", canary.weight, canary.failed_checks, canary.threshold)),
    ];
    let why = fleet::canary_why(context, canary, model).0;
    lines.extend(wrap(&why, columns.saturating_sub(2), 3).iter().map(|part| Line::from(format!(" {}", cut(part, columns)))));
    for gate in &canary.gates {
        lines.push(Line::styled(cut(&format!(" ◆ {}", gate.name), columns), theme.style(Role::Gate)));
    }
    lines
}
