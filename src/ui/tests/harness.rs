//! A console that takes keys by name, and a fleet for it to show.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::domain::intent::{Verb, Verdict};
use crate::domain::phase::Phase;
use crate::domain::target::CanaryKey;
use crate::engine::report::{Reason, Report};
use crate::session::command::{Command, Outcome, OutcomeState};
use crate::session::questions::{Answer, LogLevel, LogLine, Question};
use crate::session::view::{
    CanaryView, ContextView, DriverView, EventView, FleetView, GateView, Indicator, Link, PauseView, RefView, SloSeries, SyncState,
    SyncView,
};
use crate::ui::Options;
use crate::ui::address::Address;
use crate::ui::keymap::Key;
use crate::ui::message::{Effect, Event, Message};
use crate::ui::model::Model;
use crate::ui::progress::Progress;
use crate::ui::update::update;
use crate::ui::view::{draw, text};

/// The console under test.
pub struct Harness {
    pub model: Model,
    pub sent: Vec<Command>,
    pub asked: Vec<Question>,
    /// What the window was called, and how far it was, in their order.
    pub titles: Vec<String>,
    pub progress: Vec<Progress>,
    pub effects: Vec<Effect>,
    pub quit: bool,
}

impl Harness {
    pub fn new(width: u16, height: u16) -> Self {
        Self::with(Options::default(), width, height)
    }

    pub fn with(options: Options, width: u16, height: u16) -> Self {
        let mut harness = Self::unseen(options, width, height);
        harness.show(fleet());
        harness
    }

    /// A console that has seen no fleet yet.
    pub fn unseen(options: Options, width: u16, height: u16) -> Self {
        Self {
            model: Model::new(options, (width, height), now()),
            sent: Vec::new(),
            asked: Vec::new(),
            titles: Vec::new(),
            progress: Vec::new(),
            effects: Vec::new(),
            quit: false,
        }
    }

    /// A console that may send.
    pub fn armed(width: u16, height: u16) -> Self {
        let mut harness = Self::new(width, height);
        harness.keys("W y");
        harness
    }

    pub fn show(&mut self, view: FleetView) {
        self.event(Event::View(Arc::new(view)));
    }

    /// Changes the fleet that is shown.
    pub fn change(&mut self, change: impl FnOnce(&mut FleetView)) {
        let mut view = (*self.model.view).clone();
        change(&mut view);
        self.show(view);
    }

    pub fn event(&mut self, event: Event) {
        let message = Message { at: self.model.now, event };
        for effect in update(&mut self.model, message) {
            match effect {
                Effect::Quit => self.quit = true,
                Effect::Ask(question) => self.asked.push(question),
                Effect::Title(title) => self.titles.push(title),
                Effect::Progress(progress) => self.progress.push(progress),
                Effect::Send { command, label, batch } => {
                    self.sent.push(command);
                    let id = u64::try_from(self.sent.len()).expect("few commands");
                    let at = self.model.now;
                    update(&mut self.model, Message { at, event: Event::Sent { id, label, batch } });
                }
                other => self.effects.push(other),
            }
        }
    }

    /// Keys by their names, with spaces between them.
    pub fn keys(&mut self, names: &str) {
        for name in names.split_whitespace() {
            self.event(Event::Key(Key::parse(name).expect(name)));
        }
    }

    /// Letters.
    pub fn text(&mut self, letters: &str) {
        for letter in letters.chars() {
            self.event(Event::Key(Key::plain(crossterm::event::KeyCode::Char(letter))));
        }
    }

    /// Moves the cursor to the row that the filter would find first.
    pub fn select(&mut self, name: &str) {
        let row = self.model.rows.iter().find(|row| format!("{:?}", row.key).contains(&format!("\"{name}\""))).expect("a row");
        self.model.place.selection = Some(row.key.clone());
        self.model.place.moved = true;
        self.model.toast = None;
    }

    /// Goes to an address, with a log to read.
    pub fn visit(&mut self, address: Address) {
        self.event(Event::Answer(Answer::Log(log())));
        if self.model.address != address {
            self.model.switch(address);
        }
        self.event(Event::Tick);
    }

    pub fn wait(&mut self, seconds: i64) {
        self.model.now = self.model.now.saturating_add(SignedDuration::from_secs(seconds)).expect("a time");
        self.event(Event::Tick);
    }

    pub fn outcome(&mut self, id: u64, state: OutcomeState, message: &str) {
        self.event(Event::Outcome(Outcome { id, target: "gke/app/frontend".into(), state, message: message.into() }));
    }

    pub fn terminal(&self) -> Terminal<TestBackend> {
        let (width, height) = self.model.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| draw(frame, &self.model)).expect("a frame");
        terminal
    }

    pub fn frame(&self) -> String {
        text(self.terminal().backend().buffer())
    }

    /// The line of the frame that holds `text`.
    pub fn line(&self, text: &str) -> String {
        let frame = self.frame();
        frame.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("no `{text}` in\n{frame}")).to_string()
    }

    #[track_caller]
    pub fn assert_shows(&self, text: &str) {
        let frame = self.frame();
        assert!(frame.contains(text), "no `{text}` in\n{frame}");
    }

    #[track_caller]
    pub fn assert_hides(&self, text: &str) {
        let frame = self.frame();
        assert!(!frame.contains(text), "`{text}` in\n{frame}");
    }
}

pub fn now() -> Timestamp {
    "2026-03-02T12:04:31Z".parse().expect("a time")
}

/// So many seconds ago.
pub fn before(seconds: i64) -> Timestamp {
    now().saturating_sub(SignedDuration::from_secs(seconds)).expect("a time")
}

fn sync(provider: &str, pinned: &str, applied: &str, state: SyncState) -> SyncView {
    SyncView {
        repository: format!("git.example.com/{provider}.git"),
        branch: "main".into(),
        path: "app".into(),
        head: Some("4c1f9e2a77b0c1d2e3f4a5b6c7d8e9f001122334".into()),
        applied: Some("91ab0c3377b0c1d2e3f4a5b6c7d8e9f001122334".into()),
        pinned: Some(pinned.into()),
        applied_ref: Some(applied.into()),
        promoted_ref: Some("1.0.0".into()),
        state,
        message: String::new(),
        checked: Some(before(8)),
        applied_at: Some(before(600)),
        objects: 42,
    }
}

fn context(name: &str, mesh: &str, wave: u32, canaries: Vec<CanaryView>) -> ContextView {
    ContextView {
        name: name.into(),
        provider: name.into(),
        environment: Some("production".into()),
        wave: Some(wave),
        mesh: Some(mesh.into()),
        link: Link::Live,
        heard: Some(before(2)),
        server_version: Some("v1.36.3".into()),
        driver: DriverView::Here,
        sync: None,
        canaries: canaries.into(),
        problems: Vec::new(),
        aliases: Vec::new(),
        credential: None,
        permissions: std::collections::BTreeMap::new(),
        remembered: None,
        within: None,
    }
}

pub fn canary(name: &str, phase: Phase, router: &str) -> CanaryView {
    CanaryView {
        key: CanaryKey::new("app", name),
        phase,
        weight: 0,
        max_weight: 50,
        iterations: 0,
        max_iterations: 0,
        failed_checks: 0,
        threshold: 5,
        interval: 60,
        strategy: "canary".into(),
        router: router.into(),
        since: Some(before(480)),
        paused: None,
        report: None,
        gates: Vec::new(),
        steps: vec![10, 20, 30, 40, 50],
        metrics: Vec::new(),
        hooks: Vec::new(),
        mirror: false,
        matched: false,
        target: "web".into(),
        target_image: Some("shop/frontend:v2.10.0".into()),
        primary_image: Some("shop/frontend:v2.9.1".into()),
        revision: "7d4f9c1b5f".into(),
        promoted_revision: "6c9d8b4a1e".into(),
        foreign: None,
        slo: Vec::new(),
        events: Vec::new(),
        verdicts: Vec::new(),
        resource_version: "88213".into(),
    }
}

fn series(indicator: Indicator, limit: f64, points: &[f64]) -> SloSeries {
    let mut points: Vec<Option<f64>> = points.iter().map(|value| Some(*value)).collect();
    points.insert(3, None);
    SloSeries::new(indicator, Some(limit), points, 10)
}

pub fn frontend() -> CanaryView {
    let availability: Vec<f64> =
        (0..48).map(|at| [99.9, 99.6, 99.95, 99.8][at % 4] - if (30..34).contains(&at) { 1.4 } else { 0.0 }).collect();
    let errors: Vec<f64> = availability.iter().map(|value| 100.0 - value).collect();
    let times: Vec<f64> = (0..48_u32).map(|at| f64::from(180 + (at * 37) % 90) + if at > 44 { 300.0 } else { 0.0 }).collect();
    let event = |at: i64, warning: bool, message: &str| EventView { at: Some(before(at)), warning, message: message.into(), count: 1 };
    CanaryView {
        weight: 40,
        failed_checks: 1,
        report: Some(
            Report::new(Reason::Interval, "1 of 5 checks failed: request-success-rate 98.20 < 99; waits for the interval")
                .until(before(-41)),
        ),
        slo: vec![
            series(Indicator::Availability, 99.0, &availability),
            series(Indicator::ErrorRate, 1.0, &errors),
            series(Indicator::ResponseTime, 500.0, &times),
        ],
        events: vec![
            event(20, false, "Advance frontend.app canary weight 40"),
            event(80, true, "Halt frontend.app advancement success rate 98.20% < 99%"),
            event(140, false, "Advance frontend.app canary weight 30"),
            event(200, false, "Advance frontend.app canary weight 20"),
            event(260, false, "Advance frontend.app canary weight 10"),
            event(320, false, "Starting canary analysis for frontend.app"),
            event(480, false, "New revision detected! Scaling up frontend.app"),
        ],
        verdicts: vec![Verdict {
            id: "01".into(),
            verb: Verb::Resume,
            accepted: true,
            who: "ana".into(),
            at: before(300),
            why: "graphs flat".into(),
            note: "goes on at 10 %".into(),
        }],
        ..canary("frontend", Phase::Progressing, "istio")
    }
}

/// Three contexts: a canary at 40 %, a gate with a pause beside it, and one that is dead.
pub fn fleet() -> FleetView {
    let gate = CanaryView {
        weight: 50,
        gates: vec![GateView { name: "confirm-promotion".into(), since: Some(before(1_860)) }],
        report: Some(Report::new(Reason::Gate, "confirm-promotion waits for a human")),
        ..canary("ledger", Phase::WaitingPromotion, "kubernetes")
    };
    let held = CanaryView {
        max_weight: 0,
        iterations: 3,
        max_iterations: 10,
        strategy: "blue-green".into(),
        paused: Some(PauseView { who: "bo".into(), at: before(7_300), why: "INC-42".into() }),
        report: Some(Report::new(Reason::Paused, "paused by bo: INC-42")),
        ..canary("auth", Phase::Progressing, "kubernetes")
    };
    let failed = CanaryView {
        failed_checks: 5,
        report: Some(Report::new(Reason::RolledBack, "rolled back: request-duration 612 ms > 500 ms, 5 of 5 checks failed")),
        ..canary("search", Phase::Failed, "kubernetes")
    };
    let mut gke = context("gke", "istio", 1, vec![frontend(), canary("cart", Phase::Succeeded, "istio")]);
    gke.sync = Some(sync("gke", "1.1.0", "1.1.0", SyncState::Synced));
    let mut eks = context("eks", "kubernetes", 2, vec![gate, held, failed]);
    eks.sync = Some(sync("eks", "1.1.0", "1.0.0", SyncState::Behind));
    let mut aks = context("aks", "istio", 2, vec![CanaryView { weight: 20, ..canary("frontend", Phase::Progressing, "istio") }]);
    aks.sync = Some(sync("aks", "1.0.0", "1.0.0", SyncState::Unknown));
    aks.link = Link::Stale { since: before(180), why: "i/o timeout".into() };
    aks.heard = Some(before(190));
    let reference = |name: &str, days: i64| RefView {
        name: name.into(),
        commit: "91ab0c3377b0c1d2e3f4a5b6c7d8e9f001122334".into(),
        at: Some(before(days * 86_400)),
    };
    FleetView {
        contexts: [gke, eks, aks].map(Arc::new).into(),
        refs: vec![reference("1.2.0", 1), reference("1.1.0", 9), reference("1.0.0", 40)],
        problems: vec![],
    }
}

/// A few lines of a log.
fn log() -> Vec<LogLine> {
    let line = |number: u64, ago: i64, level: LogLevel, from: &str, text: &str| LogLine {
        number,
        at: before(ago),
        level,
        from: from.into(),
        text: text.into(),
    };
    vec![
        line(1, 90, LogLevel::Info, "pilothouse::session::context", "connected context=gke"),
        line(2, 60, LogLevel::Warn, "pilothouse::kubernetes::watch", "watch resumed kind=Canary context=aks why=\"i/o timeout\""),
        line(3, 20, LogLevel::Info, "pilothouse::runner::rollouts", "advance canary=app/frontend weight=40"),
        line(4, 3, LogLevel::Error, "pilothouse::session::sync", "apply failed provider=eks why=\"admission webhook denied the request\""),
    ]
}

/// Sixty clusters in four waves, most of them calm.
pub fn crowd() -> FleetView {
    let mut contexts = Vec::new();
    for at in 0..60_u32 {
        let wave = [0, 1, 2, 3][(at / 16).min(3) as usize];
        let mut provider = context(&format!("provider-{at:02}"), "istio", wave, Vec::new());
        provider.environment = Some(if at < 16 { "staging" } else { "production" }.into());
        let (pinned, applied) = if at < 24 { ("1.1.0", "1.1.0") } else { ("1.0.0", "1.0.0") };
        provider.sync = Some(sync(&provider.provider, pinned, applied, SyncState::Synced));
        provider.canaries = (0..5).map(|number| Arc::new(canary(&format!("service-{number}"), Phase::Succeeded, "istio"))).collect();
        match at {
            7 => provider.canaries[0] = CanaryView { failed_checks: 2, ..frontend() },
            19 => provider.canaries[1].phase = Phase::Failed,
            20 | 21 => {
                provider.canaries[2] = CanaryView {
                    weight: 50,
                    gates: vec![GateView { name: "confirm-promotion".into(), since: Some(before(600 * i64::from(at))) }],
                    ..canary("service-2", Phase::WaitingPromotion, "istio")
                }
            }
            33 => provider.link = Link::Stale { since: before(180), why: "i/o timeout".into() },
            47 => provider.link = Link::Unauthorized { since: before(900), why: "exec aws: the SSO session has expired".into() },
            50..=53 => provider.canaries[3] = CanaryView { weight: 10, ..canary("service-3", Phase::Progressing, "istio") },
            _ => {}
        }
        contexts.push(Arc::new(provider));
    }
    FleetView { contexts, ..fleet() }
}
