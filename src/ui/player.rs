//! A recording on the terminal: space pauses, `+` and `-` change the speed, the right arrow steps, `q` leaves.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Clear;
use tokio::time::{Instant, sleep_until};

use super::event_loop::stop_signals;
use super::host::{Happening, Host};
use super::message::{Event, Message};
use super::model::Model;
use super::replay::Recording;
use super::terminal::Screen;
use super::theme::Role;
use super::update::update;
use super::widgets::text::{clock_with_seconds, cut};
use super::{Exit, Options, UiError, view};

/// A silence of the recording is shown no longer than this.
const SILENCE: Duration = Duration::from_secs(10);

/// Where the playing is.
struct Player<'a> {
    recording: &'a Recording,
    model: Model,
    /// Messages taken.
    taken: usize,
    speed: f64,
    playing: bool,
}

/// Plays `recording` on the terminal of this process, from `from` on, so many times as fast.
///
/// # Errors
/// Where the terminal cannot be set up, read or drawn on.
pub async fn play(recording: &Recording, from: Timestamp, speed: f64, options: Options) -> Result<Exit, UiError> {
    let ended = Arc::new(AtomicBool::new(false));
    let stop = stop_signals(Arc::default(), Arc::clone(&ended))?;
    let mut screen = Screen::enter(&Options { mouse: false, ..options.clone() }).map_err(UiError::Terminal)?;
    let exit = Player { recording, model: recording.model(options), taken: 0, speed, playing: true }.run(&mut screen, from, stop).await;
    ended.store(true, Ordering::SeqCst);
    exit
}

impl Player<'_> {
    async fn run(
        mut self,
        screen: &mut Screen,
        from: Timestamp,
        stop: impl Future<Output = Result<Exit, UiError>>,
    ) -> Result<Exit, UiError> {
        let mut stop = std::pin::pin!(stop);
        let size = screen.terminal().size().map_err(UiError::Terminal)?;
        self.resize(size.width, size.height);
        while self.next().is_some_and(|message| message.at <= from) {
            self.step();
        }
        let (mut dirty, mut due) = (true, self.due(Instant::now()));
        loop {
            if std::mem::take(&mut dirty) {
                screen.hold();
                screen.terminal().draw(|frame| self.draw(frame)).map_err(UiError::Terminal)?;
                screen.show().map_err(UiError::Terminal)?;
            }
            tokio::select! {
                biased;
                ended = &mut stop => return ended,
                happening = poll_fn(|context| screen.poll(context)) => match happening.map_err(UiError::Terminal)? {
                    Happening::Input(Input::Key(key)) if key.kind != KeyEventKind::Release => {
                        if self.leaves(key) {
                            return Ok(Exit::Quit);
                        }
                        (dirty, due) = (true, self.due(Instant::now()));
                    }
                    Happening::Input(Input::Resize(width, height)) => {
                        self.resize(width, height);
                        dirty = true;
                    }
                    Happening::Gone => return Ok(Exit::Stopped),
                    Happening::Continued => {
                        screen.enter().map_err(UiError::Terminal)?;
                        let area = screen.terminal().size().map_err(UiError::Terminal)?.into();
                        screen.terminal().resize(area).map_err(UiError::Terminal)?;
                        dirty = true;
                    }
                    Happening::Stop => {
                        screen.leave().map_err(UiError::Terminal)?;
                        screen.stop(true).await.map_err(UiError::Terminal)?;
                        screen.enter().map_err(UiError::Terminal)?;
                        let area = screen.terminal().size().map_err(UiError::Terminal)?.into();
                        screen.terminal().resize(area).map_err(UiError::Terminal)?;
                        dirty = true;
                    }
                    Happening::Input(_) => {}
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.step();
                    (dirty, due) = (true, self.due(Instant::now()));
                }
            }
        }
    }

    fn next(&self) -> Option<&Message> {
        self.recording.messages().get(self.taken)
    }

    /// When the next message is due, while it plays.
    fn due(&self, now: Instant) -> Option<Instant> {
        let next = self.next().filter(|_| self.playing)?;
        let wait = Duration::try_from(next.at.duration_since(self.model.now)).unwrap_or_default();
        Some(now + wait.div_f64(self.speed).min(SILENCE))
    }

    /// Takes one message. The size is that of the terminal which looks on.
    fn step(&mut self) {
        let Some(message) = self.next().cloned() else { return };
        self.taken += 1;
        let event = if matches!(message.event, Event::Resize(..)) { Event::Tick } else { message.event };
        update(&mut self.model, Message { at: message.at, event });
    }

    fn resize(&mut self, width: u16, height: u16) {
        let at = self.model.now;
        update(&mut self.model, Message { at, event: Event::Resize(width, height) });
    }

    /// Does what a key asks; `true` leaves.
    fn leaves(&mut self, key: KeyEvent) -> bool {
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
            KeyCode::Char('q') | KeyCode::Esc => return true,
            KeyCode::Char(' ') => self.playing = !self.playing,
            KeyCode::Char('+' | '=') => self.speed = (self.speed * 2.0).min(1024.0),
            KeyCode::Char('-') => self.speed = (self.speed / 2.0).max(1.0 / 16.0),
            KeyCode::Right => {
                self.playing = false;
                self.step();
            }
            _ => {}
        }
        false
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        view::draw(frame, &self.model);
        let area = frame.area();
        let line = Rect { y: area.bottom().saturating_sub(1), height: 1, ..area }.intersection(area);
        let theme = self.model.theme();
        let state = match (self.next(), self.playing) {
            (None, _) => "end",
            (_, true) => "playing",
            (_, false) => "paused",
        };
        let all = self.recording.messages().len();
        let flaw = self.recording.flaw.as_ref().filter(|_| self.next().is_none()).map(|flaw| format!(" · {flaw}")).unwrap_or_default();
        let text = format!(
            " REPLAY {state} {} · {}/{all} · ×{}{flaw}   space pause  + - speed  → step  q leave",
            clock_with_seconds(self.model.now),
            self.taken,
            self.speed,
        );
        frame.render_widget(Clear, line);
        frame.render_widget(Line::from(Span::styled(cut(&text, usize::from(area.width)), theme.style(Role::Key))), line);
    }
}
