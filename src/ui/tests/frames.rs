//! Frames at the sizes that matter, and at all the others.

use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use tokio::sync::{mpsc, watch};

use super::harness::{Harness, before, fleet, now};
use crate::session::command::{Command, Outcome, OutcomeState};
use crate::session::view::{ContextView, FleetView, Link};
use crate::ui::event_loop::drive;
use crate::ui::widgets::text::width;
use crate::ui::{Colour, Exit, Options, Port, UiError, snapshot};

/// A session that asks nothing back.
fn port(
    view: watch::Receiver<Arc<FleetView>>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    send: Box<dyn Fn(Command) -> u64 + Send>,
) -> Port {
    Port { view, outcomes, clock: crate::session::Clock::wall(), send, answers: mpsc::unbounded_channel().1, ask: Box::new(|_| {}) }
}

fn frame(address: &str, width: u16, height: u16) -> String {
    snapshot(&fleet(), address, width, height, &Options::default(), now()).expect("a frame")
}

#[test]
fn a_corner_of_a_screen() {
    insta::assert_snapshot!(frame("fleet", 44, 12), @r#"
     FLEET  all contexts                     RO
     ✗1 !1 ◆1 =1 ✓1 ~1
    > ✗ FAIL  eks 1.1.0→1.0.0
      ✗ FAIL    search
      ◆ GATE    ledger 50 %
      = HOLD    auth 0 %
      ! SLO   gke 1.1.0
      ! SLO     frontend 40 %
      ~ STALE aks 1.0.0

     1 FAIL, 1 GATE, 1 HOLD of 3 canaries
     enter open  b bump  W arm  ? help  q quit
    "#);
}

#[test]
fn a_dead_context_is_a_dated_row() {
    let mut harness = Harness::new(120, 36);
    let row = harness.line("~ STALE aks");
    assert!(row.contains("as of 12:01Z · i/o timeout"), "{row}");
    harness
        .change(|fleet| Arc::make_mut(&mut fleet.contexts[2]).link = Link::Unauthorized { since: before(60), why: "token expired".into() });
    assert!(harness.line("? AUTH  aks").contains("token expired"));
    harness.change(|fleet| {
        Arc::make_mut(&mut fleet.contexts[2]).link = Link::Unreachable { since: before(60), why: "connection refused".into() };
        Arc::make_mut(&mut fleet.contexts[2]).heard = None;
    });
    assert!(harness.line("✗ DOWN  aks").contains("connection refused, since"));
    harness.assert_shows("1 unreachable");
    harness.assert_shows("✗ DOWN 1");
}

#[test]
fn the_first_frame_needs_no_fleet() {
    let empty = snapshot(&FleetView::default(), "fleet", 80, 24, &Options::default(), now()).expect("a frame");
    assert!(empty.contains("looking for contexts…"), "{empty}");
}

#[test]
fn many_canaries_leave_room_for_those_in_trouble() {
    let mut harness = Harness::new(80, 24);
    harness.change(|fleet| {
        let calm = fleet.contexts[0].canaries[1].clone();
        for number in 0..40 {
            let mut canary = calm.clone();
            canary.key.name = format!("calm-{number}");
            Arc::make_mut(&mut fleet.contexts[0]).canaries.push(canary);
        }
    });
    harness.assert_hides("calm-");
    harness.assert_shows("app/ledger");
    harness.assert_shows("42 not shown");
    harness.keys("/");
    harness.text("calm-39");
    harness.assert_shows("calm-39");
}

#[test]
fn ascii_and_no_colour_lose_nothing() {
    let options = Options { ascii: true, colour: Colour::None, ..Options::default() };
    for address in ["fleet", "help", "canary/gke/app/frontend"] {
        let text = snapshot(&fleet(), address, 120, 36, &options, now()).expect("a frame");
        assert!(text.is_ascii(), "{text}");
    }
    let mut harness = Harness::with(options, 120, 36);
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[0]).canaries[0].key.name = "größe".into());
    for word in ["x FAIL", "! SLO", "@ GATE", "= HOLD", "+ OK", "~ STALE"] {
        harness.assert_shows(word);
    }
    let terminal = harness.terminal();
    for cell in &terminal.backend().buffer().content {
        assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset), "{cell:?}");
        assert!(cell.symbol().is_ascii());
    }
}

#[test]
fn every_size_of_every_screen_is_drawn() {
    let scripts = ["", "enter", "?", "c", ":", "W", "W y ctrl-x", "W y b", "W y b enter", "p", "/ a"];
    for script in scripts {
        for (width, height) in
            [(1, 1), (2, 40), (9, 5), (30, 9), (59, 14), (60, 15), (79, 23), (81, 25), (119, 29), (160, 50), (260, 80), (300, 3)]
        {
            let mut harness = Harness::new(120, 36);
            harness.select("frontend");
            harness.keys(script);
            harness.event(crate::ui::message::Event::Resize(width, height));
            let terminal = harness.terminal();
            assert_eq!(terminal.backend().buffer().area.width, width);
        }
    }
}

#[test]
fn wide_characters_keep_the_columns() {
    let mut harness = Harness::new(120, 36);
    let column = |harness: &Harness| width(harness.line("Progressing       ▓▓▓▓").split("Progressing").next().expect("a start"));
    let before = column(&harness);
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[0]).canaries[0].key.name = "全角文字のとても長い名前です".into());
    assert_eq!(column(&harness), before);
}

#[test]
fn a_snapshot_of_nothing_is_refused() {
    let of = |address: &str| snapshot(&fleet(), address, 80, 24, &Options::default(), now());
    assert!(matches!(of("nowhere"), Err(UiError::NoSuchScreen(_))));
    assert!(matches!(of("canary/gke/app/nothing"), Err(UiError::NoSuchCanary(_))));
}

fn press(letter: char) -> Input {
    Input::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE))
}

#[tokio::test]
async fn the_loop_draws_at_once_sends_and_leaves() {
    let (_views, view) = watch::channel(Arc::new(fleet()));
    let (outcomes, incoming) = mpsc::unbounded_channel();
    let (commands, mut received) = mpsc::unbounded_channel();
    let send = move |command: Command| {
        if matches!(command, Command::Permissions { .. }) {
            return 1;
        }
        let _ = commands.send(command);
        let done = Outcome { id: 7, target: "eks".into(), state: OutcomeState::Done, message: "synced".into() };
        let _ = outcomes.send(done);
        7
    };
    let port = port(view, incoming, Box::new(send));
    let mut terminal = Terminal::new(TestBackend::new(120, 36)).expect("a terminal");
    let keys = futures::stream::iter(['W', 'y', 'R', 'y', 'j'].map(|letter| Ok(press(letter))));
    // Keys come in two bursts, so that a frame is drawn between them.
    let rest = futures::stream::once(async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        Ok(press('q'))
    });
    let input = futures::StreamExt::chain(keys, rest);
    let exit = drive(&mut terminal, input, std::future::pending(), port, Options::default()).await.expect("an exit");
    assert_eq!(exit, Exit::Quit);
    assert_eq!(received.recv().await, Some(Command::Sync { provider: "eks".into() }));
    let drawn = crate::ui::view::text(terminal.backend().buffer());
    assert!(drawn.contains("✓ done sync eks · synced"), "{drawn}");
}

#[tokio::test]
async fn a_signal_ends_the_loop_after_the_first_frame() {
    let (_views, view) = watch::channel(Arc::new(FleetView::default()));
    let (_outcomes, incoming) = mpsc::unbounded_channel();
    let port = port(view, incoming, Box::new(|_| 0));
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("a terminal");
    let stop = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(Exit::Stopped)
    };
    let exit = drive(&mut terminal, futures::stream::pending(), stop, port, Options::default()).await.expect("an exit");
    assert_eq!(exit, Exit::Stopped);
    assert!(crate::ui::view::text(terminal.backend().buffer()).contains("looking for contexts"));
}

#[test]
fn a_large_fleet_is_drawn_within_a_frame() {
    let mut harness = Harness::new(200, 60);
    harness.change(|fleet| {
        let model = fleet.contexts[0].clone();
        for number in 0..60 {
            let mut context = ContextView::clone(&model);
            context.name = format!("cluster-{number}");
            for copy in 0..50 {
                let mut canary = context.canaries[copy % 2].clone();
                canary.key.name = format!("canary-{copy}");
                context.canaries.push(canary);
            }
            fleet.contexts.push(Arc::new(context));
        }
    });
    let begun = std::time::Instant::now();
    for _ in 0..10 {
        harness.keys("j");
        harness.frame();
    }
    // Unoptimised and on a busy machine; a release build takes a small part of it.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
