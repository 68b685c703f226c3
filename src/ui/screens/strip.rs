//! Sixty clusters at one glance: one glyph for each provider, by wave.

use std::collections::BTreeMap;

use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use crate::session::view::ContextView;
use crate::ui::attention;
use crate::ui::model::Model;
use crate::ui::theme::Role;
use crate::ui::widgets::glyph::State;

/// Lines that the strip may take.
const MOST: usize = 3;

/// The strip; nothing where one provider is all there is.
#[must_use]
pub fn lines(model: &Model, columns: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let mut waves: BTreeMap<Option<u32>, Vec<(&ContextView, State)>> = BTreeMap::new();
    for (context, digest) in model.digests.each().filter(|(context, _)| attention::in_scope(&model.scope, &context.name)) {
        waves.entry(context.wave).or_default().push((context, digest.state));
    }
    // Providers without a wave come last.
    let none = waves.remove(&None);
    let mut groups: Vec<(String, Vec<(&ContextView, State)>)> =
        waves.into_iter().map(|(wave, of_it)| (wave.map_or_else(String::new, |wave| format!("w{wave}")), of_it)).collect();
    if let Some(rest) = none {
        let name = if groups.is_empty() { String::new() } else { "–".into() };
        groups.push((name, rest));
    }
    if groups.iter().map(|(_, of_it)| of_it.len()).sum::<usize>() < 2 {
        return Vec::new();
    }
    let here = model.context().map(|context| context.name.as_str());
    let mut lines: Vec<Line<'static>> = vec![Line::from(" ")];
    for (name, of_it) in groups {
        let mut glyphs = vec![Span::styled(if name.is_empty() { name } else { format!("{name} ") }, theme.style(Role::Dim))];
        for (context, state) in of_it {
            let mut style = theme.style(state.role());
            if here == Some(context.name.as_str()) {
                style = style.add_modifier(Modifier::REVERSED);
            }
            glyphs.push(Span::styled(state.glyph(), style));
        }
        glyphs.push(Span::raw("  "));
        let wide: usize = glyphs.iter().map(Span::width).sum();
        let used = lines.last().map_or(0, Line::width);
        if used > 1 && used + wide > columns {
            lines.push(Line::from(" "));
        }
        // A wave wider than the screen goes on in the next line.
        for glyph in glyphs {
            if lines.last().map_or(0, Line::width) + glyph.width() > columns {
                lines.push(Line::from(" "));
            }
            if let Some(line) = lines.last_mut() {
                line.push_span(glyph);
            }
        }
    }
    lines.truncate(MOST);
    lines
}
