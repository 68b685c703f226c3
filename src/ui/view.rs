//! The frame: header, screen, status line, footer, and what lies over them.

use std::sync::Arc;

use jiff::Timestamp;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout};
use ratatui::text::{Line, Span};
use ratatui::{Frame, Terminal};

use super::address::Address;
use super::hits::Hits;
use super::message::{Event, Message};
use super::model::Model;
use super::screens::{canary, chord, chrome, compact, events, fleet, gates, help, log, provider, versions, why};
use super::theme::{self, Role};
use super::update::update;
use super::widgets::text::{cut, width};
use super::{Options, UiError, overlays};
use crate::session::view::FleetView;

/// Draws the model.
pub fn draw(frame: &mut Frame<'_>, model: &Model) {
    draw_with(frame, model, &mut Hits::default());
}

/// Draws the model, and notes what stands where.
pub fn draw_with(frame: &mut Frame<'_>, model: &Model, hits: &mut Hits) {
    let area = frame.area();
    let columns = usize::from(area.width);
    let tabs = u16::from(chrome::has_tabs((area.width, area.height)));
    let [top, numbers, body, status, bottom] = area.layout(&Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(tabs),
        Constraint::Fill(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ]));
    frame.render_widget(chrome::header(model, columns), top);
    if tabs > 0 {
        frame.render_widget(chrome::tabs(model, columns, numbers, hits), numbers);
    }
    match &model.address {
        _ if compact::applies((area.width, area.height)) => compact::draw(frame, model, body, hits),
        Address::Fleet => fleet::draw(frame, model, body, hits),
        Address::Canary(_) => canary::draw(frame, model, body),
        Address::Provider(_) => provider::draw(frame, model, body, hits),
        Address::Versions => versions::draw(frame, model, body, hits),
        Address::Gates => gates::draw(frame, model, body, hits),
        Address::Events => events::draw(frame, model, body, hits),
        Address::Log => log::draw(frame, model, body, hits),
        Address::Why(_) => why::draw(frame, model, body, hits),
        Address::Help => help::draw(frame, model, body),
    }
    frame.render_widget(chrome::status(model, columns, quiet(model, columns)), status);
    frame.render_widget(chrome::footer(model, columns, bottom, hits), bottom);
    chord::draw(frame, model, body);
    overlays::draw(frame, model);
    model.theme().paint(frame.buffer_mut());
    if model.ascii() {
        theme::to_ascii(frame.buffer_mut());
    }
}

/// The status line without news: the whole reason of the row under the cursor, which its row cuts.
fn quiet(model: &Model, columns: usize) -> Line<'static> {
    let theme = model.theme();
    let small = compact::applies(model.size);
    if model.address != Address::Fleet || (!small && fleet::has_preview(model)) {
        return Line::default();
    }
    let why = match (model.context(), model.subject()) {
        (_, Some((context, canary))) => fleet::canary_why(context, canary, model).0,
        (Some(context), None) => fleet::provider_why(context, model).0,
        (None, None) => String::new(),
    };
    Line::from(vec![Span::styled(" ", theme.style(Role::Dim)), Span::styled(cut(&why, columns.saturating_sub(2)), theme.style(Role::Dim))])
}

/// One frame as text, of any [`Address`].
///
/// # Errors
/// Where the address is none, or the fleet has no such canary or context.
pub fn snapshot(view: &FleetView, address: &str, width: u16, height: u16, options: &Options, now: Timestamp) -> Result<String, UiError> {
    still(view, address, (width, height), options, now).map(|buffer| text(&buffer))
}

/// One frame as it is drawn, of the same addresses.
///
/// # Errors
/// As [`snapshot`].
pub fn still(view: &FleetView, address: &str, size: (u16, u16), options: &Options, now: Timestamp) -> Result<Buffer, UiError> {
    let address = Address::parse(address).ok_or_else(|| UiError::NoSuchScreen(address.to_string()))?;
    match (address.target(), address.context()) {
        (Some(target), _) if view.canary(target).is_none() => return Err(UiError::NoSuchCanary(target.to_string())),
        (None, Some(context)) if view.context(context).is_none() => return Err(UiError::NoSuchContext(context.to_string())),
        _ => {}
    }
    let mut model = Model::new(options.clone(), size, now);
    model.address = address;
    update(&mut model, Message { at: now, event: Event::View(Arc::new(view.clone())) });
    Ok(buffer(&model))
}

/// The frame of a model in its own size.
#[must_use]
pub fn buffer(model: &Model) -> Buffer {
    let (width, height) = model.size;
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(frame) = terminal.draw(|frame| draw(frame, model));
    frame.buffer.clone()
}

/// The text of a buffer, lines without trailing spaces.
#[must_use]
pub fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for row in buffer.content.chunks(usize::from(buffer.area.width.max(1))) {
        let (mut line, mut skip) = (String::new(), 0);
        for cell in row {
            if skip > 0 {
                // The right half of a wide character.
                skip -= 1;
                continue;
            }
            line.push_str(cell.symbol());
            skip = width(cell.symbol()).saturating_sub(1);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
