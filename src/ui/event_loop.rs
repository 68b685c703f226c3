//! One task between terminal, session and model: everything that is ready is taken before one draw.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crossterm::event::{Event as Input, EventStream, KeyEventKind};
use futures::{Stream, StreamExt as _};
use ratatui::Terminal;
use ratatui::backend::Backend;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::{Instant, sleep_until};

use super::keymap::Key;
use super::message::{Effect, Event, Message};
use super::model::Model;
use super::terminal::Screen;
use super::update::update;
use super::view::draw;
use super::{Exit, Options, Port, UiError};
use crate::session::Clock;

/// The least time between two frames.
const FRAME: Duration = Duration::from_millis(16);

/// Runs the console on the terminal of this process.
pub(super) async fn run(port: Port, options: Options) -> Result<Exit, UiError> {
    let signals = stop_signals()?;
    let mut screen = Screen::enter().map_err(UiError::Terminal)?;
    let panic = screen.panic();
    let stop = async move {
        tokio::select! {
            () = signals => Ok(Exit::Stopped),
            () = panic.happened() => Err(UiError::Panicked),
        }
    };
    drive(&mut screen.terminal, EventStream::new(), stop, port, options).await
}

/// Resolves at the first signal that asks the process to end.
fn stop_signals() -> Result<impl Future<Output = ()>, UiError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(UiError::Terminal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(UiError::Terminal)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(UiError::Terminal)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

/// Whether the sources that may end still live.
struct Open {
    view: bool,
    outcomes: bool,
    looks: bool,
}

/// Runs the console on any terminal and any source of input.
pub(super) async fn drive<B, I>(
    terminal: &mut Terminal<B>,
    input: I,
    stop: impl Future<Output = Result<Exit, UiError>>,
    mut port: Port,
    options: Options,
) -> Result<Exit, UiError>
where
    B: Backend,
    B::Error: fmt::Display,
    I: Stream<Item = io::Result<Input>>,
{
    let mut input = std::pin::pin!(input.fuse());
    let mut stop = std::pin::pin!(stop);
    let size = terminal.size().map_err(draw_error)?;
    let mut looks = options.looks.clone();
    let mut model = Model::new(options, (size.width, size.height), port.clock.now());
    let mut open = Open { view: true, outcomes: true, looks: true };
    // What the session knows already belongs to the first frame; nothing is waited for.
    let known = port.view.borrow_and_update().clone();
    feed(&mut model, &port, terminal, Event::View(known))?;
    let (mut dirty, mut drawn) = (true, None::<Instant>);
    loop {
        let due = drawn.map_or_else(Instant::now, |at| at + FRAME);
        if dirty && due <= Instant::now() {
            terminal.draw(|frame| draw(frame, &model)).map_err(draw_error)?;
            (dirty, drawn) = (false, Some(Instant::now()));
        }
        let wake = if dirty { due } else { Instant::now() + until_tick(&model, &port.clock) };
        let event = tokio::select! {
            biased;
            ended = &mut stop => return ended,
            read = input.next() => match read {
                Some(read) => translate(read.map_err(UiError::Terminal)?),
                // The terminal is gone; nobody is left to ask.
                None => return Ok(Exit::Stopped),
            },
            changed = port.view.changed(), if open.view => Some(view_event(changed.is_ok(), &mut port, &mut open)),
            changed = looks.changed(), if open.looks => {
                open.looks = changed.is_ok();
                changed.ok().map(|()| Event::Looks(Arc::clone(&looks.borrow_and_update())))
            }
            outcome = port.outcomes.recv(), if open.outcomes => {
                open.outcomes = outcome.is_some();
                outcome.map(Event::Outcome)
            }
            () = sleep_until(wake) => (!dirty).then_some(Event::Tick),
        };
        let mut next = event;
        while let Some(event) = next {
            dirty = true;
            if feed(&mut model, &port, terminal, event)? {
                return Ok(Exit::Quit);
            }
            // Polled by this task and no other waker: the event stream keeps the first one it is given.
            next = match futures::poll!(input.next()) {
                Poll::Ready(Some(read)) => translate(read.map_err(UiError::Terminal)?).or_else(|| ready(&mut port, &mut open)),
                _ => ready(&mut port, &mut open),
            };
        }
    }
}

/// What the session has ready, without waiting.
fn ready(port: &mut Port, open: &mut Open) -> Option<Event> {
    if open.view && port.view.has_changed().unwrap_or(false) {
        return Some(view_event(true, port, open));
    }
    match port.outcomes.try_recv() {
        Ok(outcome) => Some(Event::Outcome(outcome)),
        Err(TryRecvError::Disconnected) => {
            open.outcomes = false;
            None
        }
        Err(TryRecvError::Empty) => None,
    }
}

fn view_event(alive: bool, port: &mut Port, open: &mut Open) -> Event {
    if alive {
        Event::View(port.view.borrow_and_update().clone())
    } else {
        open.view = false;
        Event::Ended
    }
}

/// Gives the model an event and does what it asks in return; `true` is the end.
fn feed<B>(model: &mut Model, port: &Port, terminal: &mut Terminal<B>, event: Event) -> Result<bool, UiError>
where
    B: Backend,
    B::Error: fmt::Display,
{
    for effect in update(model, Message { at: port.clock.now(), event }) {
        match effect {
            Effect::Quit => return Ok(true),
            Effect::Repaint => terminal.clear().map_err(draw_error)?,
            Effect::Send { command, label } => {
                let id = (port.send)(command);
                update(model, Message { at: port.clock.now(), event: Event::Sent { id, label } });
            }
        }
    }
    Ok(false)
}

fn translate(input: Input) -> Option<Event> {
    match input {
        Input::Key(key) if key.kind != KeyEventKind::Release => Some(Event::Key(Key::from_event(&key))),
        Input::Paste(text) => Some(Event::Paste(text)),
        Input::Resize(width, height) => Some(Event::Resize(width, height)),
        _ => None,
    }
}

/// When the next tick is due: a second where seconds are counted, else the next minute of the clock.
fn until_tick(model: &Model, clock: &Clock) -> Duration {
    if model.counts_seconds() {
        return Duration::from_secs(1);
    }
    let past = clock.now().as_second().rem_euclid(60).unsigned_abs();
    clock.real(Duration::from_secs(60 - past.min(59)))
}

fn draw_error<E: fmt::Display>(error: E) -> UiError {
    UiError::Draw(error.to_string())
}
