//! What every list has: the part of it that fits, cursor and marks, what it is narrowed to.

use std::ops::Range;

use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::ui::hits::{self, Hits};
use crate::ui::model::Model;
use crate::ui::place::SortBy;
use crate::ui::rows::{Row, RowKey};
use crate::ui::theme::Role;
use crate::ui::widgets::text::cut;

/// The rows that fit into `room` lines, with the cursor among them.
#[must_use]
pub fn window(model: &Model, room: usize) -> Range<usize> {
    let count = model.rows.len();
    let first = model.cursor().saturating_sub(room / 2).min(count.saturating_sub(room));
    first..(first + room).min(count)
}

/// The rows of [`window`], one line each below the first `above` lines of `area`, where a click finds them.
pub fn shown<'a>(model: &'a Model, area: Rect, above: usize, room: usize, hits: &mut Hits) -> &'a [Row] {
    let window = window(model, room);
    hits.rows(hits::list(area, above, room), window.start, window.end);
    model.rows.get(window).unwrap_or_default()
}

/// Whether the cursor is on a row.
#[must_use]
pub fn is_here(model: &Model, key: &RowKey) -> bool {
    model.place.selection.as_ref() == Some(key)
}

/// Cursor and mark of a row, three columns.
#[must_use]
pub fn margin(model: &Model, key: &RowKey) -> Span<'static> {
    let here = if is_here(model, key) { ">" } else { " " };
    let marked = if model.place.marks.contains(key) { "*" } else { " " };
    Span::styled(format!("{here}{marked} "), model.theme().style(Role::Key))
}

/// A row from its spans, on the ground of the cursor where that is.
#[must_use]
pub fn finish(model: &Model, spans: Vec<Span<'static>>, key: &RowKey) -> Line<'static> {
    let line = Line::from(spans);
    if is_here(model, key) { line.style(model.theme().ground()) } else { line }
}

/// What the list is narrowed to and how it is ordered, where that is not the usual.
#[must_use]
pub fn notes(model: &Model) -> Vec<String> {
    let place = &model.place;
    let mut notes = Vec::new();
    if let Some(mistake) = place.filter.mistake() {
        notes.push(format!("! {mistake}"));
    }
    if !place.filter.text().is_empty() {
        notes.push(format!("filter “{}”", place.filter.text()));
    }
    if place.trouble_only {
        notes.push("trouble only".to_string());
    }
    if place.sort.by != SortBy::Attention || place.sort.reversed {
        notes.push(format!("by {}", place.sort.word()));
    }
    if !place.marks.is_empty() {
        notes.push(format!("{} marked", place.marks.len()));
    }
    notes
}

/// A heading of a list with its notes at the end.
#[must_use]
pub fn heading(model: &Model, text: String, columns: usize) -> Line<'static> {
    let theme = model.theme();
    let room = columns.saturating_sub(crate::ui::widgets::text::width(&text) + 1);
    Line::from(vec![
        Span::styled(text, theme.style(Role::Title)),
        Span::styled(cut(&notes(model).join(" · "), room), theme.style(Role::Warn)),
    ])
}

/// In place of rows: why there are none, and the way to some.
#[must_use]
pub fn empty(model: &Model, calm: &str) -> Vec<Line<'static>> {
    let theme = model.theme();
    let filter = &model.place.filter;
    let text = if let Some(mistake) = filter.mistake() {
        mistake.to_string()
    } else if !filter.text().is_empty() {
        format!("nothing matches “{}”: esc clears the filter", filter.text())
    } else if model.place.trouble_only {
        "nothing is in trouble, in flight or waiting: f8 shows everything".into()
    } else {
        calm.into()
    };
    vec![Line::default(), Line::styled(format!("   {text}"), theme.style(Role::Dim))]
}
