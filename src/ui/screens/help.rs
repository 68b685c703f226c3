//! Help, generated from the table of actions and the vocabulary of states.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::ui::actions::{ACTIONS, Action, Group};
use crate::ui::model::Model;
use crate::ui::theme::{Role, Theme};
use crate::ui::widgets::glyph::State;
use crate::ui::widgets::text::{cut, fit};

/// Columns from which the page has two halves.
const TWO_FROM: usize = 116;

/// Draws the screen between header and status line.
pub fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let lines = lines(model, usize::from(area.width));
    let last = lines.len().saturating_sub(usize::from(area.height));
    let shown: Vec<Line<'static>> = lines.into_iter().skip(model.place.scroll.min(last)).collect();
    frame.render_widget(Paragraph::new(shown), area);
}

/// The whole page.
#[must_use]
pub fn lines(model: &Model, columns: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    if columns < TWO_FROM {
        let mut out = Vec::new();
        for group in Group::ALL {
            out.extend(group_lines(group, columns, model));
        }
        out.extend(state_lines(columns, theme));
        return out;
    }
    let half = columns / 2;
    let mut left = group_lines(Group::Act, half, model);
    left.extend(group_lines(Group::Find, half, model));
    let mut right = group_lines(Group::Move, half, model);
    right.extend(group_lines(Group::Console, half, model));
    right.extend(state_lines(half, theme));
    let rows = left.len().max(right.len());
    left.resize(rows, Line::default());
    right.resize(rows, Line::default());
    left.into_iter()
        .zip(right)
        .map(|(mut line, other)| {
            let gap = half.saturating_sub(line.width());
            line.spans.push(Span::raw(" ".repeat(gap)));
            line.spans.extend(other.spans);
            line
        })
        .collect()
}

fn heading(title: &str, note: &str, theme: Theme) -> Line<'static> {
    Line::from(vec![
        Span::styled(format!(" {} ", title.to_uppercase()), theme.style(Role::Title)),
        Span::styled(note.to_string(), theme.style(Role::Dim)),
    ])
}

fn group_lines(group: Group, columns: usize, model: &Model) -> Vec<Line<'static>> {
    let theme = model.theme();
    let note = match group {
        Group::Act => "once armed; Enter never confirms, esc always cancels",
        _ => "",
    };
    let mut out = vec![heading(group.title(), note, theme)];
    out.extend(ACTIONS.iter().filter(|action| action.group == group).map(|action| action_line(action, columns, model)));
    out.push(Line::default());
    out
}

fn action_line(action: &Action, columns: usize, model: &Model) -> Line<'static> {
    let theme = model.theme();
    let keys = model.keymap.keys_of(action.id);
    let keys = if keys.is_empty() { model.keymap.short(action.id) } else { keys.join("  ") };
    let asks = action.tier.asks();
    let asks = if asks.is_empty() { String::new() } else { format!(" [{asks}]") };
    let room = columns.saturating_sub(3 + 12 + 1 + asks.len() + 1);
    let (keys, room) = if keys.len() > 12 { (keys.clone(), room.saturating_sub(keys.len() - 12)) } else { (fit(&keys, 12), room) };
    Line::from(vec![
        Span::styled(format!("   {keys} "), theme.style(Role::Key)),
        Span::styled(cut(action.help, room), theme.style(Role::Text)),
        Span::styled(asks, theme.style(Role::Warn)),
    ])
}

fn state_lines(columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let mut out = vec![heading("states", "in the order of attention", theme)];
    out.extend(State::ALL.iter().map(|state| {
        Line::from(vec![
            Span::raw("   "),
            state.span(theme),
            Span::styled(format!("  {}", cut(state.meaning(), columns.saturating_sub(13))), theme.style(Role::Text)),
        ])
    }));
    out
}
