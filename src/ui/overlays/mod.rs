//! What lies over a screen and takes the keys while it does.
//!
//! Each file has one overlay: its data, its keys and its drawing. An overlay never sends: it answers
//! with a step, and `update` does what the step asks. Read `confirm.rs` first.

pub mod bump;
pub mod confirm;
pub mod contexts;
pub mod input;
pub mod many;
pub mod outcomes;
pub mod prompt;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Block, BorderType, Clear, Padding, Paragraph};

use super::model::Model;
use super::theme::{Role, Theme};
use super::widgets::text::{cut, width as width_of};

/// The overlay that is open.
#[derive(Debug)]
pub enum Overlay {
    /// Asks before a verb, a sync or arming.
    Confirm(confirm::Confirm),
    /// Chooses a ref for pins.
    Bump(bump::Bump),
    /// Chooses contexts.
    Contexts(contexts::Contexts),
    /// The `:` prompt.
    Prompt(prompt::Prompt),
    /// Lists what became of the verbs that were sent.
    Outcomes(outcomes::Outcomes),
}

/// What an overlay makes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Still open.
    Stay,
    /// Closed, nothing is done.
    Cancel,
    /// Closed, and what it asked for is to be done.
    Go,
}

/// Draws the overlay of the model.
pub fn draw(frame: &mut Frame<'_>, model: &Model) {
    match &model.overlay {
        Some(Overlay::Confirm(confirm)) => confirm::draw(frame, model, confirm),
        Some(Overlay::Bump(bump)) => bump::draw(frame, model, bump),
        Some(Overlay::Contexts(contexts)) => contexts::draw(frame, model, contexts),
        Some(Overlay::Prompt(prompt)) => prompt::draw(frame, model, prompt),
        Some(Overlay::Outcomes(outcomes)) => outcomes::draw(frame, model, outcomes),
        None => {}
    }
}

/// Columns inside a box on a screen of `width`.
#[must_use]
pub fn inner_width(width: u16) -> usize {
    usize::from(width.min(84).saturating_sub(if width < 64 { 4 } else { 8 }))
}

/// A box in the middle of the screen with these lines, the title in its border. Lines beyond its
/// height are lost from the middle of the box, never the last two: those say how to answer.
fn dialog(frame: &mut Frame<'_>, theme: Theme, role: Role, title: &str, mut lines: Vec<Line<'static>>) {
    let screen = frame.area();
    let width = u16::try_from(inner_width(screen.width) + 4).unwrap_or(u16::MAX).min(screen.width);
    let room = usize::from(screen.height.saturating_sub(2)).max(1);
    if lines.len() > room {
        lines.retain(|line| line.width() > 0);
    }
    if lines.len() > room {
        let tail = lines.split_off(lines.len().saturating_sub(room.min(4)));
        lines.truncate(room - tail.len());
        lines.extend(tail);
    }
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(screen.height);
    let area =
        Rect { x: screen.x + (screen.width - width) / 2, y: screen.y + (screen.height - height) / 2, width, height }.intersection(screen);
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.style(role))
        .padding(Padding::horizontal(1))
        .title(Line::styled(format!(" {} ", cut(title, usize::from(width).saturating_sub(6))), theme.style(role)));
    frame.render_widget(Clear, area);
    // A wide character that ends under the box would be drawn over its edge.
    for y in area.top()..area.bottom() {
        let beside = area.x.checked_sub(1).and_then(|x| frame.buffer_mut().cell_mut((x, y)));
        if let Some(cell) = beside.filter(|cell| width_of(cell.symbol()) > 1) {
            cell.set_symbol(" ");
        }
    }
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
