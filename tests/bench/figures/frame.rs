//! One frame, in this process: no terminal, no clusters, the console's own model and view.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossterm::event::KeyCode;
use jiff::{SignedDuration, Timestamp};
use pilothouse::domain::phase::Phase;
use pilothouse::domain::target::CanaryKey;
use pilothouse::engine::report::{Reason, Report};
use pilothouse::session::view::{CanaryView, ContextView, DriverView, FleetView, GateView, Indicator, Link, SloSeries};
use pilothouse::ui::keymap::Key;
use pilothouse::ui::message::{Event, Message};
use pilothouse::ui::model::Model;
use pilothouse::ui::update::update;
use pilothouse::ui::{Options, view};
use ratatui::backend::{Backend, CrosstermBackend, TestBackend};
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};

use crate::fleets::{CANARIES, CLUSTERS};
use crate::table::{By, Row};
use crate::terminal::LARGE;

const FRAMES: usize = 400;

pub fn measure() -> Vec<Row> {
    let now: Timestamp = "2026-03-02T12:04:31Z".parse().expect("a time");
    let fleets = [fleet(now, 0), fleet(now, 1)].map(Arc::new);
    let mut model = Model::new(Options::default(), LARGE, now);
    tell(&mut model, Event::View(Arc::clone(&fleets[0])));

    let area = Rect::new(0, 0, LARGE.0, LARGE.1);
    let mut memory = Terminal::new(TestBackend::new(LARGE.0, LARGE.1)).expect("a terminal");
    let written = Rc::new(Cell::new(0));
    let options = TerminalOptions { viewport: Viewport::Fixed(area) };
    let mut escapes = Terminal::with_options(CrosstermBackend::new(Counted(Rc::clone(&written))), options).expect("a terminal");

    let mut moved: [Vec<Duration>; 2] = Default::default();
    for number in 0..FRAMES {
        let key = Key::plain(KeyCode::Char(if number % 40 < 20 { 'j' } else { 'k' }));
        tell(&mut model, Event::Key(key));
        moved[0].push(draw(&mut memory, &model));
        moved[1].push(draw(&mut escapes, &model));
    }
    let mut news = Vec::new();
    for number in 0..FRAMES {
        let started = Instant::now();
        tell(&mut model, Event::View(Arc::clone(&fleets[(number + 1) % 2])));
        draw(&mut escapes, &model);
        news.push(started.elapsed());
    }
    let mut whole = Vec::new();
    let before = written.get();
    for _ in 0..FRAMES {
        // As the console paints again: what it thinks is on the screen is forgotten.
        escapes.resize(area).expect("a terminal");
        whole.push(draw(&mut escapes, &model));
    }
    let bytes = (written.get() - before) / FRAMES;
    let row = |name: &str, samples: &[Duration]| Row::times(format!("frame, 60 × 50 at 200×60: {name}"), samples).wanted(By::P99, 4.0);
    vec![
        row("draw, to cells", &moved[0]),
        row("draw, to escapes", &moved[1]),
        row("news and draw", &news).note("a new read model is taken in, rows are sorted, and drawn"),
        row("every cell again", &whole).note(format!("{bytes} bytes a frame")),
    ]
}

/// Bytes that are only counted.
struct Counted(Rc<Cell<usize>>);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tell(model: &mut Model, event: Event) {
    let at = model.now;
    update(model, Message { at, event });
}

fn draw<B: Backend<Error: std::fmt::Debug>>(terminal: &mut Terminal<B>, model: &Model) -> Duration {
    let started = Instant::now();
    terminal.draw(|frame| view::draw(frame, model)).expect("a frame");
    started.elapsed()
}

/// Sixty clusters with fifty canaries, a sixth of them in flight; two rounds differ in weights and figures.
fn fleet(now: Timestamp, round: u32) -> FleetView {
    let contexts = (0..CLUSTERS).map(|at| Arc::new(context(now, at, round))).collect();
    FleetView { contexts, ..FleetView::default() }
}

fn context(now: Timestamp, at: usize, round: u32) -> ContextView {
    let name = format!("provider-{at:02}");
    ContextView {
        provider: name.clone(),
        name,
        environment: Some("production".into()),
        wave: u32::try_from(at / 16).ok(),
        mesh: Some("istio".into()),
        link: Link::Live,
        heard: Some(now),
        server_version: Some("v1.36.3".into()),
        driver: DriverView::Here,
        sync: None,
        canaries: (0..CANARIES).map(|number| canary(now, at * CANARIES + number, round)).collect::<Vec<_>>().into(),
        problems: Vec::new(),
        aliases: Vec::new(),
        credential: None,
        permissions: std::collections::BTreeMap::new(),
        remembered: None,
        within: None,
    }
}

fn canary(now: Timestamp, number: usize, round: u32) -> CanaryView {
    let since = |seconds: i64| now.checked_sub(SignedDuration::from_secs(seconds)).ok();
    let (phase, weight, reason, message) = match number % 25 {
        0 => (Phase::Failed, 0, Reason::RolledBack, "rolled back: request-duration 612 ms > 500 ms, 5 of 5 checks failed"),
        1 => (Phase::WaitingPromotion, 50, Reason::Gate, "confirm-promotion waits for a human"),
        2..5 => (
            Phase::Progressing,
            10 + 10 * round,
            Reason::Interval,
            "1 of 5 checks failed: request-success-rate 98.20 < 99; waits for the interval",
        ),
        _ => (Phase::Succeeded, 0, Reason::Settled, "waits for a new revision"),
    };
    let gates = if phase == Phase::WaitingPromotion {
        vec![GateView { name: "confirm-promotion".into(), since: since(1_860) }]
    } else {
        Vec::new()
    };
    let points = (0..48).map(|at| Some(99.0 + f64::from((at * 7 + round) % 10) / 10.0)).collect();
    CanaryView {
        key: CanaryKey::new(format!("team-{:02}", number % 20), format!("service-{number}")),
        phase,
        weight,
        max_weight: 50,
        iterations: 0,
        max_iterations: 0,
        failed_checks: 1,
        threshold: 5,
        interval: 60,
        strategy: "canary".into(),
        router: "istio".into(),
        since: since(480),
        paused: None,
        report: Some(Report::new(reason, message)),
        gates,
        steps: vec![10, 20, 30, 40, 50],
        metrics: Vec::new(),
        hooks: Vec::new(),
        mirror: false,
        matched: false,
        target: format!("service-{number}"),
        target_image: Some("shop/frontend:v2.10.0".into()),
        primary_image: Some("shop/frontend:v2.9.1".into()),
        revision: "7d4f9c1b5f".into(),
        promoted_revision: "6c9d8b4a1e".into(),
        foreign: None,
        slo: vec![SloSeries::new(Indicator::Availability, Some(99.0), points, 10)],
        events: Vec::new(),
        verdicts: Vec::new(),
        resource_version: (88_213 + round).to_string(),
    }
}
