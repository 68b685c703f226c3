//! One task between terminal, session and model: everything that is ready is taken before one draw.
//!
//! What the operator does is taken before what the session tells, and drawn at once; frames of the
//! session's news have a least distance.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use crossterm::event::{Event as Input, KeyEvent, KeyEventKind, MouseButton, MouseEventKind};
use ratatui::backend::Backend;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::handover;
use super::hits::Hits;
use super::host::{Happening, Host};
use super::keymap::Key;
use super::message::{Effect, Event, HandOver, Message, Mouse, MouseKind};
use super::model::Model;
use super::record::Recorder;
use super::sequences;
use super::sources::Sources;
use super::terminal::{Guard, Screen};
use super::theme::{Heard, Listener, background_query};
use super::update::update;
use super::view;
use super::{Exit, Options, Port, UiError};
use crate::session::Clock;
use crate::session::command::Command;
use crate::session::questions::Question;

/// The least time between two frames of news.
const FRAME: Duration = Duration::from_millis(33);
/// The same once news have come without a pause for [`STREAM`]: nobody reads faster, and keys are answered at once anyway.
const STREAM_FRAME: Duration = Duration::from_millis(100);
const STREAM: Duration = Duration::from_secs(1);
/// A signal to a whole job is heard by all of it within this.
const LATE: Duration = Duration::from_millis(60);
/// The pieces of an answer of the terminal come without such a rest between them.
const REST: Duration = Duration::from_millis(50);
/// The end of the terminal leaves so much time to say good-bye to the clusters.
const GONE: Duration = Duration::from_millis(1500);

/// Runs the console on the terminal of this process.
pub(super) async fn run(port: Port, options: Options) -> Result<Exit, UiError> {
    let away = Arc::new(AtomicBool::new(false));
    let ended = Arc::new(AtomicBool::new(false));
    let stop = stop_signals(Arc::clone(&away), Arc::clone(&ended))?;
    let mut screen = Screen::enter(&options).map_err(UiError::Terminal)?;
    let guard = screen.guard();
    let exit = Run::new(&mut screen, port, options, away, Some(guard))?.drive(stop).await;
    ended.store(true, Ordering::SeqCst);
    exit
}

/// Resolves at the first signal that asks the process to end. While another program has the terminal,
/// what is typed to interrupt it is not meant for us.
pub(super) fn stop_signals(away: Arc<AtomicBool>, ended: Arc<AtomicBool>) -> Result<impl Future<Output = Result<Exit, UiError>>, UiError> {
    let of = |kind| signal(kind).map_err(UiError::Terminal);
    let (mut terminate, mut interrupt) = (of(SignalKind::terminate())?, of(SignalKind::interrupt())?);
    let (mut hang_up, mut quit) = (of(SignalKind::hangup())?, of(SignalKind::quit())?);
    Ok(async move {
        loop {
            let typed = tokio::select! {
                _ = terminate.recv() => false,
                _ = hang_up.recv() => {
                    watch_the_end(Arc::clone(&ended));
                    false
                }
                _ = interrupt.recv() => true,
                _ = quit.recv() => true,
            };
            if !(typed && away.load(Ordering::SeqCst)) {
                return Ok(Exit::Stopped);
            }
        }
    })
}

/// The terminal is gone. Reading from it may spin from here on and never give this task back, so a thread
/// sees to it that the process ends.
#[expect(clippy::disallowed_methods, reason = "a loop that is stuck returns no ExitCode, and its terminal is gone")]
fn watch_the_end(ended: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        std::thread::park_timeout(GONE);
        if !ended.load(Ordering::SeqCst) {
            std::process::exit(1);
        }
    });
}

/// What takes the console off the screen for a while.
enum Errand {
    Stop,
    HandOver(HandOver),
    Editor { name: String, text: String },
}

/// The console at work.
pub(super) struct Run<'a, H: Host> {
    host: &'a mut H,
    model: Model,
    sources: Sources,
    clock: Clock,
    send: Box<dyn Fn(Command) -> u64 + Send>,
    ask: Box<dyn Fn(Question) + Send>,
    hits: Hits,
    errands: VecDeque<Errand>,
    /// Every cell is to be drawn again.
    repaint: bool,
    away: Arc<AtomicBool>,
    guard: Option<Arc<Guard>>,
    recorder: Option<Recorder>,
    /// Takes the terminal's answer out of what is typed.
    listener: Option<Listener>,
    /// Keys that turned out to be typed, oldest first.
    typed: VecDeque<Event>,
}

type Stop<'a> = Pin<&'a mut dyn Future<Output = Result<Exit, UiError>>>;

impl<'a, H> Run<'a, H>
where
    H: Host,
    <H::Backend as Backend>::Error: fmt::Display,
{
    pub(super) fn new(
        host: &'a mut H,
        port: Port,
        options: Options,
        away: Arc<AtomicBool>,
        guard: Option<Arc<Guard>>,
    ) -> Result<Self, UiError> {
        let size = host.terminal().size().map_err(draw_error)?;
        let size = (size.width, size.height);
        let record = options.record.as_ref().map(|file| file.try_clone()).transpose().map_err(UiError::Terminal)?;
        let Port { view, outcomes, clock, send, answers, ask } = port;
        let recorder = record.map(|file| Recorder::start(file, &options, size, clock.now()));
        let sources = Sources::new(view, outcomes, answers, options.looks.clone());
        let listener = options.ask_background.then(Listener::default);
        let model = Model::new(options, size, clock.now());
        Ok(Self {
            host,
            model,
            sources,
            clock,
            send,
            ask,
            hits: Hits::default(),
            errands: VecDeque::new(),
            repaint: false,
            away,
            guard,
            recorder,
            listener,
            typed: VecDeque::new(),
        })
    }

    /// Until the operator leaves or `stop` resolves.
    pub(super) async fn drive(mut self, stop: impl Future<Output = Result<Exit, UiError>>) -> Result<Exit, UiError> {
        let mut stop = std::pin::pin!(stop);
        // What the session knows already belongs to the first frame; nothing is waited for.
        let known = self.sources.known();
        if self.feed(Event::View(known))? {
            return Ok(Exit::Quit);
        }
        let (mut dirty, mut urgent, mut drawn) = (true, true, None::<Instant>);
        let mut paused = Instant::now();
        loop {
            let least = if paused.elapsed() > STREAM { STREAM_FRAME } else { FRAME };
            let due = drawn.map_or_else(Instant::now, |at| at + least);
            if dirty && (urgent || due <= Instant::now()) {
                self.draw()?;
                if drawn.is_none() && self.listener.is_some() {
                    self.host.say(background_query()).map_err(UiError::Terminal)?;
                }
                let now = Instant::now();
                if drawn.is_none_or(|at| now.duration_since(at) > 2 * STREAM_FRAME) {
                    paused = now;
                }
                (dirty, urgent, drawn) = (false, false, Some(now));
            }
            if let Some(errand) = self.errands.pop_front() {
                if let Some(ended) = self.run_errand(errand, stop.as_mut()).await? {
                    return Ok(ended);
                }
                (dirty, urgent) = (true, true);
                continue;
            }
            let wake = if dirty { due } else { Instant::now() + until_tick(&self.model, &self.clock) };
            let guard = self.guard.clone();
            let next = tokio::select! {
                biased;
                ended = &mut stop => return ended,
                () = std::future::ready(()), if !self.typed.is_empty() => self.typed.pop_front().map_or(Next::Nothing, Next::Event),
                happening = poll_fn(|context| self.host.poll(context)) => Next::Happening(happening.map_err(UiError::Terminal)?),
                report = broken(guard) => Next::Event(Event::Broke { report }),
                event = self.sources.next() => Next::Event(event),
                () = tokio::time::sleep(REST), if self.listener.as_ref().is_some_and(Listener::is_waiting) => {
                    let keys = self.listener.as_mut().map(Listener::give_up).unwrap_or_default();
                    self.typed.extend(keys.iter().map(|key| Event::Key(Key::from_event(key))));
                    self.typed.pop_front().map_or(Next::Nothing, Next::Event)
                }
                () = sleep_until(wake) => if dirty { Next::Nothing } else { Next::Event(Event::Tick) },
            };
            // What comes without end must not keep the frame from being drawn.
            let enough = Instant::now() + FRAME / 2;
            let mut next = Some(next);
            while let Some(event) = next {
                let event = match event {
                    Next::Happening(Happening::Gone) => return Ok(Exit::Stopped),
                    Next::Happening(happening) => {
                        urgent = true;
                        self.translate(happening)?
                    }
                    Next::Event(event) => Some(event),
                    Next::Nothing => None,
                };
                if let Some(event) = event {
                    dirty = true;
                    if self.feed(event)? {
                        return Ok(Exit::Quit);
                    }
                }
                if !self.errands.is_empty() || Instant::now() >= enough {
                    break;
                }
                next = self.ready().await?;
            }
        }
    }

    fn draw(&mut self) -> Result<(), UiError> {
        self.host.hold();
        if std::mem::take(&mut self.repaint) {
            // `Terminal::clear` asks the terminal where its cursor is, and waits for an answer that may not come.
            let area = self.host.terminal().size().map_err(draw_error)?.into();
            self.host.terminal().resize(area).map_err(draw_error)?;
        }
        let (mut hits, model) = (Hits::default(), &self.model);
        let frame = self.host.terminal().draw(|frame| view::draw_with(frame, model, &mut hits)).map_err(draw_error)?;
        if let Some(guard) = &self.guard {
            guard.keep(frame.buffer);
        }
        self.hits = hits;
        let bytes = self.host.show().map_err(UiError::Terminal)?;
        tracing::trace!(bytes, "frame");
        Ok(())
    }

    /// What is ready, without waiting; the operator's doings first.
    async fn ready(&mut self) -> Result<Option<Next>, UiError> {
        if let Some(event) = self.typed.pop_front() {
            return Ok(Some(Next::Event(event)));
        }
        // Polled by this task and no other waker: the event stream keeps the first one it is given.
        let happening = poll_fn(|context| Poll::Ready(self.host.poll(context))).await;
        if let Poll::Ready(happening) = happening {
            return Ok(Some(Next::Happening(happening.map_err(UiError::Terminal)?)));
        }
        Ok(self.sources.ready().map(Next::Event))
    }

    /// A key, unless it belongs to an answer of the terminal.
    fn hear(&mut self, key: KeyEvent) -> Option<Event> {
        let heard = self.listener.as_mut().map_or_else(|| Heard::Keys(vec![key]), |listener| listener.key(key));
        match heard {
            Heard::Part => None,
            Heard::Background(background) => background.map(Event::Background),
            Heard::Keys(keys) => {
                self.typed.extend(keys.iter().map(|key| Event::Key(Key::from_event(key))));
                self.typed.pop_front()
            }
        }
    }

    /// What happened at the terminal, as the model knows it.
    fn translate(&mut self, happening: Happening) -> Result<Option<Event>, UiError> {
        Ok(match happening {
            Happening::Input(Input::Key(key)) if key.kind != KeyEventKind::Release => self.hear(key),
            Happening::Input(Input::Paste(text)) => Some(Event::Paste(text)),
            Happening::Input(Input::Resize(width, height)) => Some(Event::Resize(width, height)),
            Happening::Input(Input::Mouse(mouse)) => {
                let kind = match mouse.kind {
                    MouseEventKind::Down(MouseButton::Left) => MouseKind::Press,
                    MouseEventKind::ScrollDown => MouseKind::Wheel(1),
                    MouseEventKind::ScrollUp => MouseKind::Wheel(-1),
                    _ => return Ok(None),
                };
                let hit = self.hits.at(mouse.column, mouse.row);
                Some(Event::Mouse(Mouse { column: mouse.column, row: mouse.row, kind, hit }))
            }
            Happening::Stop => {
                self.errands.push_back(Errand::Stop);
                None
            }
            Happening::Continued => {
                self.host.enter().map_err(UiError::Terminal)?;
                self.resized()?
            }
            Happening::Input(_) | Happening::Gone => None,
        })
    }

    /// The terminal shows something else, and may have another size.
    fn resized(&mut self) -> Result<Option<Event>, UiError> {
        self.repaint = true;
        let size = self.host.terminal().size().map_err(draw_error)?;
        Ok(Some(Event::Resize(size.width, size.height)))
    }

    /// Gives the model an event and does what it asks in return; `true` is the end.
    fn feed(&mut self, event: Event) -> Result<bool, UiError> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let message = Message { at: self.clock.now(), event };
            if let Some(recorder) = &mut self.recorder {
                recorder.note(&message);
            }
            for effect in update(&mut self.model, message) {
                if effect == Effect::Quit {
                    return Ok(true);
                }
                events.extend(self.carry_out(effect)?);
            }
        }
        Ok(false)
    }

    /// Does what the model asks, at once or as the next errand, and answers where an answer is due.
    pub(super) fn carry_out(&mut self, effect: Effect) -> Result<Option<Event>, UiError> {
        let surroundings = self.model.options.surroundings;
        match effect {
            Effect::Repaint => self.repaint = true,
            Effect::Ask(question) => (self.ask)(question),
            Effect::Tell(command) => drop((self.send)(command)),
            Effect::Send { command, label, batch } => return Ok(Some(Event::Sent { id: (self.send)(command), label, batch })),
            Effect::Copy(text) => return self.copy(&text).map(Some),
            Effect::Notify { .. } if !self.model.looks.notify => {}
            Effect::Notify { title, body } => {
                self.host.say(&sequences::notify(&title, &body, surroundings)).map_err(UiError::Terminal)?;
            }
            Effect::Title(text) if !surroundings.bare => self.host.name(&text).map_err(UiError::Terminal)?,
            Effect::Title(_) | Effect::Quit => {}
            Effect::Progress(progress) => self.host.progress(progress, surroundings).map_err(UiError::Terminal)?,
            Effect::Mouse(take) => {
                self.host.mouse(take && self.model.options.mouse && self.model.looks.mouse).map_err(UiError::Terminal)?;
            }
            Effect::Suspend if self.host.may_stop() => self.errands.push_back(Errand::Stop),
            Effect::Suspend => {
                return Ok(Some(Event::Told { ok: false, text: "no shell could continue this console: q leaves it".into() }));
            }
            Effect::HandOver(errand) => self.errands.push_back(Errand::HandOver(errand)),
            Effect::OpenEditor { name, text } => self.errands.push_back(Errand::Editor { name, text }),
        }
        Ok(None)
    }

    fn copy(&mut self, text: &str) -> Result<Event, UiError> {
        Ok(match sequences::copy(text, self.model.options.surroundings) {
            Ok((sequence, said)) => {
                self.host.say(&sequence).map_err(UiError::Terminal)?;
                Event::Told { ok: true, text: said }
            }
            Err(why) => Event::Told { ok: false, text: why },
        })
    }

    /// Leaves the screen, does the errand, and comes back. `Some` is the end of the console.
    async fn run_errand(&mut self, errand: Errand, mut stop: Stop<'_>) -> Result<Option<Exit>, UiError> {
        let (_folder, errand) = match errand {
            Errand::Stop => {
                self.host.leave().map_err(UiError::Terminal)?;
                self.host.stop(true).await.map_err(UiError::Terminal)?;
                self.come_back()?;
                return Ok(None);
            }
            Errand::HandOver(errand) => (None, errand),
            Errand::Editor { name, text } => match handover::editor(&self.model.options.editor, &name, &text) {
                Ok((folder, errand)) => (Some(folder), errand),
                Err(error) => {
                    let message = format!("no temporary file can be written: {error}");
                    self.feed(Event::Returned { what: name, ok: false, message })?;
                    return Ok(None);
                }
            },
        };
        let what = errand.what.clone();
        self.host.leave().map_err(UiError::Terminal)?;
        self.away.store(true, Ordering::SeqCst);
        let (ok, message) = match self.wait_for(errand, stop.as_mut()).await? {
            Ok(done) => done,
            Err(ended) => return Ok(Some(ended)),
        };
        // What interrupted the program may be heard here after its end.
        let late = tokio::time::timeout(LATE, stop).await;
        self.away.store(false, Ordering::SeqCst);
        if let Ok(ended) = late {
            return ended.map(Some);
        }
        self.come_back()?;
        self.feed(Event::Returned { what, ok, message })?;
        Ok(None)
    }

    /// The session's news are taken while another program has the terminal, and not drawn.
    async fn wait_for(&mut self, errand: HandOver, mut stop: Stop<'_>) -> Result<Result<(bool, String), Exit>, UiError> {
        let mut program = std::pin::pin!(handover::run(errand));
        loop {
            let event = tokio::select! {
                biased;
                ended = &mut stop => return ended.map(Err),
                done = &mut program => return Ok(Ok(done)),
                happening = poll_fn(|context| self.host.poll(context)) => {
                    if matches!(happening.map_err(UiError::Terminal)?, Happening::Stop) {
                        // The other program has stopped with its whole job, and it has the screen: only we are left.
                        self.host.stop(false).await.map_err(UiError::Terminal)?;
                    }
                    None
                }
                event = self.sources.next() => Some(event),
            };
            if let Some(event) = event {
                self.feed(event)?;
            }
        }
    }

    fn come_back(&mut self) -> Result<(), UiError> {
        self.host.enter().map_err(UiError::Terminal)?;
        if let Some(event) = self.resized()? {
            self.feed(event)?;
        }
        Ok(())
    }
}

/// What comes next.
enum Next {
    Happening(Happening),
    Event(Event),
    Nothing,
}

async fn broken(guard: Option<Arc<Guard>>) -> String {
    match guard {
        Some(guard) => guard.broken().await,
        None => std::future::pending().await,
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

#[cfg(test)]
pub(super) use still::drive;

/// A terminal without job control, on any backend and any source of input.
#[cfg(test)]
pub(in crate::ui) mod still {
    use std::io;

    use futures::{Stream, StreamExt as _};
    use ratatui::Terminal;

    use super::*;

    pub(in crate::ui) struct Still<'a, B: Backend, I> {
        pub terminal: &'a mut Terminal<B>,
        pub input: I,
        /// Everything said beside frames.
        pub said: String,
    }

    impl<B: Backend, I: Stream<Item = io::Result<Input>> + Unpin> Host for Still<'_, B, I> {
        type Backend = B;

        fn terminal(&mut self) -> &mut Terminal<B> {
            self.terminal
        }

        fn poll(&mut self, context: &mut std::task::Context<'_>) -> Poll<io::Result<Happening>> {
            self.input.poll_next_unpin(context).map(|read| read.map_or(Ok(Happening::Gone), |read| read.map(Happening::Input)))
        }

        fn say(&mut self, sequence: &str) -> io::Result<()> {
            self.said.push_str(sequence);
            Ok(())
        }

        fn mouse(&mut self, take: bool) -> io::Result<()> {
            self.said.push_str(if take { "<mouse>" } else { "<no mouse>" });
            Ok(())
        }

        fn leave(&mut self) -> io::Result<()> {
            self.said.push_str("<leaves>");
            Ok(())
        }

        fn enter(&mut self) -> io::Result<()> {
            self.said.push_str("<enters>");
            Ok(())
        }

        async fn stop(&mut self, _whole_job: bool) -> io::Result<()> {
            self.said.push_str("<stops>");
            Ok(())
        }
    }

    /// Runs the console on any terminal and any source of input.
    pub(in crate::ui) async fn drive<B, I>(
        terminal: &mut Terminal<B>,
        input: I,
        stop: impl Future<Output = Result<Exit, UiError>>,
        port: Port,
        options: Options,
    ) -> Result<Exit, UiError>
    where
        B: Backend,
        B::Error: fmt::Display,
        I: Stream<Item = io::Result<Input>>,
    {
        let input = std::pin::pin!(input.fuse());
        let mut host = Still { terminal, input, said: String::new() };
        Run::new(&mut host, port, options, Arc::default(), None)?.drive(stop).await
    }
}
