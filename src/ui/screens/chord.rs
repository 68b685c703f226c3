//! What may follow while a sequence of keys is half typed: each next key, what it does and asks, and why it would
//! do nothing.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Padding, Paragraph};

use super::{chrome, compact};
use crate::ui::actions::Action;
use crate::ui::keymap::show_sequence;
use crate::ui::model::Model;
use crate::ui::theme::{Role, Theme};
use crate::ui::verbs;
use crate::ui::widgets::text::{cut, fit, width};

/// Columns of a border with the space inside of it, twice.
const FRAME: usize = 4;

/// Whether a sequence is half typed on a screen that has room for the box; others have a line for it.
#[must_use]
pub fn has_box(model: &Model) -> bool {
    !model.pressed.is_empty() && !compact::applies(model.size)
}

/// One key that may follow.
struct Next {
    keys: String,
    title: String,
    /// What it does, or why it does nothing.
    about: String,
    refused: bool,
    asks: String,
}

impl Next {
    fn of(model: &Model, keys: String, action: &Action) -> Self {
        let refused = verbs::offered(model, action.id).err();
        let asks = action.tier.asks();
        Self {
            keys,
            title: chrome::title(model, action),
            refused: refused.is_some(),
            about: refused.unwrap_or_else(|| action.help.to_string()),
            asks: if asks.is_empty() { String::new() } else { format!("asks {asks}") },
        }
    }
}

/// Draws the box at the lower right end of the screen's body. It takes no key: those go where they always go.
pub fn draw(frame: &mut Frame<'_>, model: &Model, body: Rect) {
    if !has_box(model) || model.overlay.is_some() {
        return;
    }
    let theme = model.theme();
    let found = model.keymap.continuations(model.address.screen(), &model.pressed);
    let next: Vec<Next> = found.into_iter().map(|(keys, action)| Next::of(model, keys, action)).collect();
    let lines = lines(&next, usize::from(body.width), usize::from(body.height).saturating_sub(2), theme);
    let wide = lines.iter().map(Line::width).max().unwrap_or(0) + FRAME;
    let (wide, high) = (u16::try_from(wide).unwrap_or(u16::MAX).min(body.width), u16::try_from(lines.len() + 2).unwrap_or(u16::MAX));
    let high = high.min(body.height);
    let area = Rect { x: body.right() - wide, y: body.bottom() - high, width: wide, height: high };
    let typed = cut(&show_sequence(&model.pressed), usize::from(wide).saturating_sub(8));
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.style(Role::Rule))
        .padding(Padding::horizontal(1))
        .title(Line::styled(format!(" {typed} … "), theme.style(Role::Key)));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// The keys below each other, in at most `rows` lines of what a box on a screen of `columns` holds.
fn lines(next: &[Next], columns: usize, rows: usize, theme: Theme) -> Vec<Line<'static>> {
    let widest = |of: fn(&Next) -> &str| next.iter().map(|next| width(of(next))).max().unwrap_or(0);
    let (keys, title, asks) = (widest(|next| &next.keys), widest(|next| &next.title), widest(|next| &next.asks));
    let gap = if asks > 0 { asks + 2 } else { 0 };
    let room = columns.saturating_sub(FRAME + keys + 2 + title + 2 + gap);
    let about = widest(|next| &next.about).min(room);
    let shown = if next.len() > rows { rows.saturating_sub(1) } else { next.len() };
    let mut out: Vec<Line<'static>> = next[..shown]
        .iter()
        .map(|next| {
            let (name, text) = if next.refused { (Role::Stale, Role::Warn) } else { (Role::Text, Role::Dim) };
            let mut spans = vec![
                Span::styled(fit(&next.keys, keys + 2), theme.style(Role::Key)),
                Span::styled(fit(&next.title, title + 2), theme.style(name)),
                Span::styled(fit(&next.about, about), theme.style(text)),
            ];
            if asks > 0 {
                spans.push(Span::styled(format!("  {}", fit(&next.asks, asks)), theme.style(Role::Warn)));
            }
            Line::from(spans)
        })
        .collect();
    if shown < next.len() {
        out.push(Line::styled(format!("and {} more", next.len() - shown), theme.style(Role::Dim)));
    }
    out
}
