//! The gates that wait, everywhere: one row each, and whether anything speaks against opening it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::{list, preview};
use crate::domain::target::Target;
use crate::session::view::{CanaryView, ContextView, Indicator};
use crate::ui::attention;
use crate::ui::hits::Hits;
use crate::ui::model::Model;
use crate::ui::rows::Row;
use crate::ui::theme::Role;
use crate::ui::widgets::glyph::State;
use crate::ui::widgets::text::{ago, cut, cut_middle, fit, fit_right, number};

/// Why a gate should not be opened unseen; `None` where nothing speaks against it.
#[must_use]
pub fn doubt(model: &Model, target: &Target) -> Option<String> {
    let (Some(context), Some(canary)) = (model.view.context(&target.context), model.view.canary(target)) else {
        return Some("it is gone".into());
    };
    if !context.link.is_live() {
        return Some(format!("{} does not answer", context.provider));
    }
    if let Some(foreign) = &canary.foreign {
        return Some(foreign.clone());
    }
    if canary.failed_checks > 0 {
        return Some(format!("{} of {} checks failed", canary.failed_checks, canary.threshold));
    }
    // Before traffic there is nothing to measure.
    if canary.weight > 0 {
        if canary.slo.is_empty() {
            return Some("nothing is measured".into());
        }
        for series in &canary.slo {
            match series.now() {
                Some(now) if series.breaks(now) => return Some(format!("{} {} beyond its limit", series.indicator.word(), number(now))),
                None => return Some(format!("{} has no data", series.indicator.word())),
                Some(_) => {}
            }
        }
    }
    model.view.each().filter(|other| other.name != context.name && other.link.is_live()).find_map(|other| {
        let twin = other.canaries.iter().find(|twin| twin.key == canary.key && twin.target_image == canary.target_image)?;
        matches!(attention::own_state(twin), State::Fail | State::Slo).then(|| format!("fails on {}", other.provider))
    })
}

/// Draws the screen between header and status line.
pub fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect, hits: &mut Hits) {
    let columns = usize::from(area.width);
    let wide = columns >= 110;
    let oldest = model.rows.iter().filter_map(|row| row.canary(&model.view)?.1.gates.get(row.item)?.since).min();
    let oldest = oldest.map(|since| format!(", the oldest for {}", ago(since, model.now))).unwrap_or_default();
    let names = if wide { "  WT CHECKS  ERR/LIM    " } else { "  WT" };
    let [provider, canary, gate] = widths(columns);
    let heading = format!(
        "   {} {} {} {}{names} SAFE? ",
        fit_right("FOR", 4),
        fit("PROVIDER", provider),
        fit("CANARY", canary),
        fit("GATE", gate + 1)
    );
    let mut lines = vec![
        super::rule("gates", &format!("{} waiting{oldest}", model.rows.len()), columns, model.theme()),
        list::heading(model, heading, columns),
    ];
    let below = if usize::from(area.height) > 20 { usize::from(preview::HEIGHT) } else { 0 };
    let room = usize::from(area.height).saturating_sub(lines.len() + below);
    for row in list::shown(model, area, lines.len(), room, hits) {
        lines.extend(row.canary(&model.view).map(|(context, canary)| gate_row(model, context, canary, row, columns)));
    }
    if model.rows.is_empty() {
        lines.extend(list::empty(model, "no gate waits: nothing needs you here"));
    } else if below > 0 {
        lines.resize(usize::from(area.height).saturating_sub(below), Line::default());
        lines.extend(preview::lines(model, columns));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// Columns of provider, canary and gate; whether one is safe must have room beside them.
const fn widths(columns: usize) -> [usize; 3] {
    if columns >= 110 { [14, 20, 23] } else { [10, 14, 17] }
}

fn gate_row(model: &Model, context: &ContextView, canary: &CanaryView, row: &Row, columns: usize) -> Line<'static> {
    let theme = model.theme();
    let Some(gate) = canary.gates.get(row.item) else { return Line::default() };
    let since = gate.since.map_or_else(|| "–".into(), |since| ago(since, model.now));
    let [provider, name, of_gate] = widths(columns);
    let mut spans = vec![
        list::margin(model, &row.key),
        Span::styled(format!("{} ", fit_right(&since, 4)), theme.style(Role::Dim)),
        Span::styled(format!("{} ", fit(&cut_middle(&context.provider, provider), provider)), theme.style(Role::Title)),
        Span::styled(format!("{} ", fit(&cut_middle(&canary.key.path(), name), name)), theme.style(Role::Text)),
        Span::styled(format!("{} ", fit(&cut_middle(&gate.name, of_gate), of_gate)), theme.style(Role::Gate)),
        Span::styled(fit_right(&format!("{} %", canary.weight), 5), theme.style(Role::Text)),
    ];
    let mut used = 3 + 5 + provider + 1 + name + 1 + of_gate + 1 + 5;
    if columns >= 110 {
        let checks = format!("{}/{}", canary.failed_checks, canary.threshold);
        spans.push(Span::styled(fit_right(&checks, 7), theme.style(Role::Text)));
        used += 7;
        let error = canary.slo.iter().find(|series| series.indicator == Indicator::ErrorRate);
        let text = error.map_or_else(
            || "–".to_string(),
            |series| {
                let now = series.now().map_or_else(|| "no data".into(), number);
                format!("{now}/{}", series.limit.map_or_else(|| "–".into(), number))
            },
        );
        spans.push(Span::styled(format!("  {}", fit(&text, 10)), theme.style(Role::Text)));
        used += 12;
    }
    let (safe, role) = match row.key.target().and_then(|target| doubt(model, target)) {
        None => ("✓ nothing speaks against it".to_string(), Role::Good),
        Some(why) => (format!("! {why}"), Role::Warn),
    };
    spans.push(Span::styled(format!("  {}", cut(&safe, columns.saturating_sub(used + 3))), theme.style(role)));
    list::finish(model, spans, &row.key)
}
