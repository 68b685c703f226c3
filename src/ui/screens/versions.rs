//! What runs where: each ref of the distribution against the providers, or against waves where there are
//! too many of them.

use std::collections::BTreeMap;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::{list, named, rule};
use crate::session::view::{ContextView, SyncView};
use crate::ui::hits::Hits;
use crate::ui::model::Model;
use crate::ui::rows::RowKey;
use crate::ui::theme::Role;
use crate::ui::widgets::glyph::State;
use crate::ui::widgets::text::{ago, cut_middle, fit, fit_right, short};

/// Columns of a provider.
const CELL: usize = 11;
/// Columns before the matrix.
const LEFT: usize = 3 + 19 + 9 + 5;

/// What a provider has to do with a ref.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stand {
    pinned: bool,
    applied: bool,
    promoted: bool,
}

impl Stand {
    fn of(sync: &SyncView, name: &str) -> Self {
        let is = |other: &Option<String>| other.as_deref() == Some(name);
        Self { pinned: is(&sync.pinned), applied: is(&sync.applied_ref), promoted: is(&sync.promoted_ref) }
    }

    const fn any(self) -> bool {
        self.pinned || self.applied || self.promoted
    }

    /// The furthest that the ref came; what it is pinned to and does not run is on its way.
    const fn word(self) -> (&'static str, Role) {
        match (self.pinned, self.applied, self.promoted) {
            (_, true, true) => ("✓ promoted", Role::Good),
            (true, true, false) => ("» applied", Role::Busy),
            (false, true, false) => ("» runs", Role::Warn),
            (true, false, _) => ("· pinned", Role::Gate),
            (false, false, true) => ("– before", Role::Dim),
            (false, false, false) => ("", Role::Dim),
        }
    }
}

/// Draws the screen between header and status line.
pub fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect, hits: &mut Hits) {
    let theme = model.theme();
    let columns = usize::from(area.width);
    let providers: Vec<&ContextView> = model.visible().filter(|context| context.sync.is_some()).collect();
    let note = format!("{} refs · {} providers pin one", model.rows.len(), providers.len());
    let mut lines = vec![rule("versions", &note, columns, theme)];
    if providers.is_empty() {
        lines.extend(list::empty(model, "no provider in scope has a repository that pins a ref: the fleet file names them"));
        frame.render_widget(Paragraph::new(lines), area);
        return;
    }
    let by_provider = LEFT + providers.len() * CELL <= columns;
    let groups = if by_provider { Vec::new() } else { waves(&providers) };
    let mut names = format!("   {} {} {} ", fit("REF", 18), fit("COMMIT", 8), fit_right("AGE", 4));
    if by_provider {
        for context in &providers {
            names.push_str(&format!(" {}", fit(&cut_middle(&context.provider, CELL - 1), CELL - 1)));
        }
    } else {
        let wide = group_width(columns, groups.len());
        for (wave, of_it) in &groups {
            names.push_str(&format!(" {}", fit(&format!("{wave} ({})", of_it.len()), wide - 1)));
        }
    }
    lines.push(list::heading(model, names, columns));
    let detail = 4;
    let room = usize::from(area.height).saturating_sub(lines.len() + detail);
    for row in list::shown(model, area, lines.len(), room, hits) {
        let RowKey::Ref(name) = &row.key else { continue };
        let on_offer = model.view.refs.iter().find(|on_offer| on_offer.name == *name);
        let commit = on_offer.map_or_else(|| "–".into(), |on_offer| short(&on_offer.commit));
        let age = on_offer.and_then(|on_offer| on_offer.at).map_or_else(String::new, |at| ago(at, model.now));
        let mut spans = vec![
            list::margin(model, &row.key),
            Span::styled(format!("{} ", fit(&cut_middle(name, 18), 18)), theme.style(Role::Title)),
            Span::styled(format!("{} {} ", fit(&commit, 8), fit_right(&age, 4)), theme.style(Role::Dim)),
        ];
        if by_provider {
            for context in &providers {
                let (word, role) = context.sync.as_ref().map_or(("", Role::Dim), |sync| Stand::of(sync, name).word());
                let role = if context.link.is_live() { role } else { Role::Stale };
                spans.push(Span::styled(format!(" {}", fit(word, CELL - 1)), theme.style(role)));
            }
        } else {
            let wide = group_width(columns, groups.len());
            for (_, of_it) in &groups {
                let cell = cell(model, of_it, name);
                let used: usize = cell.iter().map(Span::width).sum();
                spans.extend(cell);
                spans.push(Span::raw(" ".repeat(wide.saturating_sub(used))));
            }
        }
        lines.push(list::finish(model, spans, &row.key));
    }
    if model.rows.is_empty() {
        lines.extend(list::empty(model, "no ref of the distribution is known yet"));
    }
    lines.resize(usize::from(area.height).saturating_sub(detail), Line::default());
    lines.extend(selected(model, &providers, columns, detail));
    frame.render_widget(Paragraph::new(lines), area);
}

/// Providers by wave, those without one last.
fn waves<'a>(providers: &[&'a ContextView]) -> Vec<(String, Vec<&'a ContextView>)> {
    let mut waves: BTreeMap<u32, Vec<&ContextView>> = BTreeMap::new();
    for context in providers {
        waves.entry(context.wave.unwrap_or(u32::MAX)).or_default().push(context);
    }
    let name = |wave: u32| if wave == u32::MAX { "no wave".to_string() } else { format!("w{wave}") };
    waves.into_iter().map(|(wave, of_it)| (name(wave), of_it)).collect()
}

fn group_width(columns: usize, groups: usize) -> usize {
    (columns.saturating_sub(LEFT) / groups.max(1)).max(6)
}

/// How many providers of a group that are pinned to a ref stand in which state: `5✓ 1»`.
fn cell(model: &Model, group: &[&ContextView], name: &str) -> Vec<Span<'static>> {
    let theme = model.theme();
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    for context in group {
        let stand = context.sync.as_ref().map(|sync| Stand::of(sync, name));
        if stand.is_some_and(|stand| stand.pinned) {
            *counts.entry(model.digests.state(context)).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return vec![Span::styled(" –", theme.style(Role::Dim))];
    }
    // What runs well is the larger part, and is read first.
    let mut counts: Vec<(State, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(state, _)| !state.is_calm());
    counts.into_iter().map(|(state, count)| Span::styled(format!(" {count}{}", state.glyph()), theme.style(state.role()))).collect()
}

/// Who has what to do with the ref under the cursor.
fn selected(model: &Model, providers: &[&ContextView], columns: usize, rows: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let Some(RowKey::Ref(name)) = &model.place.selection else { return Vec::new() };
    let mut lines = vec![rule(name, "b bumps providers to it · enter shows those pinned to it", columns, theme)];
    for (word, of) in [
        ("pinned", (|stand: Stand| stand.pinned) as fn(Stand) -> bool),
        ("applied", |stand| stand.applied),
        ("promoted", |stand| stand.promoted),
    ] {
        let names: Vec<&str> = providers
            .iter()
            .filter(|context| context.sync.as_ref().map(|sync| Stand::of(sync, name)).is_some_and(|stand| stand.any() && of(stand)))
            .map(|context| context.provider.as_str())
            .collect();
        let text = if names.is_empty() { "–".to_string() } else { format!("{}: {}", names.len(), names.join(", ")) };
        lines.push(named((word, 9), &text, Role::Text, columns, theme));
    }
    lines.truncate(rows);
    lines
}
