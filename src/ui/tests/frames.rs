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

fn frame(address: &str, width: u16, height: u16) -> String {
    snapshot(&fleet(), address, width, height, &Options::default(), now()).expect("a frame")
}

#[test]
fn the_fleet_at_80_by_24() {
    insta::assert_snapshot!(frame("fleet", 80, 24), @r#"
     FLEET  all contexts  3 clusters: 2 live · 1 stale                RO  12:04:31Z
     ✗ FAIL 1  ! SLO 1  ◆ GATE 1  = HOLD 1  » PROG 0  ✓ OK 1  ~ STALE 1  ? AUTH 0
       STATE   PROVIDER         PINNED→APPLIED GIT               WHY
                 canary         phase            wt avail    for
    >  ✗ FAIL  eks              1.1.0→1.0.0   behind 4c1f9e2     1 FAIL, 1 GATE, 1 …
       ✗ FAIL    app/search     Failed            – –         8m rolled back: reque…
       ◆ GATE    app/ledger     WaitingPromo…  50 % –         8m confirm-promotion …
       = HOLD    app/auth       Progressing    3/10 –         8m paused by bo: INC-…
       ! SLO   gke              1.1.0         synced 4c1f9e2     1 SLO of 2 canaries
       ! SLO     app/frontend   Progressing    40 % ─▇▇▇▁▇!4  8m 41s · 1 of 5 check…
       ✓ OK      app/cart       Succeeded         – –         8m
       ~ STALE aks              1.0.0         unknown 4c1f9e2    as of 12:01Z · i/o…
       ~ STALE   app/frontend   Progressing    20 % –         8m as of 12:01Z


    ── eks  context eks · production · mesh kubernetes · Kubernetes v1.36.3 · … ────
     why       1 FAIL, 1 GATE, 1 HOLD of 3 canaries
     refs      pinned 1.1.0 · applied 1.0.0 · promoted 1.0.0
     git       git.example.com/eks.git app · main · head 4c1f9e2 · applied 91ab0c3…
     next      W arm, then  b bump   R sync



     enter open  b bump  W arm  / filter  c contexts  : prompt  ? help  q quit
    "#);
}

#[test]
fn the_fleet_at_120_by_36() {
    insta::assert_snapshot!(frame("fleet", 120, 36), @r#"
     PILOTHOUSE  FLEET  all contexts  3 clusters: 2 live · 1 stale                                 RO (W to arm)  12:04:31Z
     ✗ FAIL 1   ! SLO 1   ◆ GATE 1   = HOLD 1   » PROG 0   ✓ OK 1   ~ STALE 1   ? AUTH 0
       STATE   PROVIDER               W   PINNED→APPLIED     GIT                               WHY
                 canary                   phase             weight          availability   for
    >  ✗ FAIL  eks                    w2  1.1.0→1.0.0       behind 4c1f9e2 · promoted 1.0.0    1 FAIL, 1 GATE, 1 HOLD of 3…
       ✗ FAIL    app/search               Failed                          – –               8m rolled back: request-durati…
       ◆ GATE    app/ledger               WaitingPromotion  ▓▓▓▓▓┃░░░░ 50 % –               8m confirm-promotion waits for…
       = HOLD    app/auth                 Progressing       ▓▓▓░░░░░░░ 3/10 –               8m paused by bo: INC-42
       ! SLO   gke                    w1  1.1.0             synced 4c1f9e2 · promoted 1.0.0    1 SLO of 2 canaries
       ! SLO     app/frontend             Progressing       ▓▓▓▓░┃░░░░ 40 % ─▇▇▇▇▇▇▂▁▇▇!4   8m 41s · 1 of 5 checks failed:…
       ✓ OK      app/cart                 Succeeded                       – –               8m
       ~ STALE aks                    w2  1.0.0             unknown 4c1f9e2                    as of 12:01Z · i/o timeout
       ~ STALE   app/frontend             Progressing       ▓▓░░░┃░░░░ 20 % –               8m as of 12:01Z














    ── eks  context eks · production · mesh kubernetes · Kubernetes v1.36.3 · driver this console ──────────────────────────
     why       1 FAIL, 1 GATE, 1 HOLD of 3 canaries
     refs      pinned 1.1.0 · applied 1.0.0 · promoted 1.0.0
     git       git.example.com/eks.git app · main · head 4c1f9e2 · applied 91ab0c3 · checked 8s ago
     next      W arm, then  b bump   R sync



     enter open  b bump  W arm  / filter  c contexts  : prompt  ? help  q quit
    "#);
}

#[test]
fn a_canary_at_80_by_24() {
    insta::assert_snapshot!(frame("canary/gke/app/frontend", 80, 24), @r#"
     FLEET › gke › app/frontend  all contexts                         RO  12:04:31Z
     ! SLO    Progressing for 8m · canary by istio · live, heard 2s ago
     why      1 of 5 checks failed: request-success-rate 98.20 < 99; waits for the
              interval
     next     step due in 0:41
     image    primary shop/frontend:v2.9.1 · target shop/frontend:v2.10.0
     run      revision 7d4f9c1b5f · driver this console · production · wave 1
    ── rollout  a step every 60s ───────────────────────────────────────────────────
     ✓ init ── » progressing 40 % ── · promoting ── · finalising ── · succeeded
     weight   ▓▓▓▓▓▓▓▓▓▓▓▓▓░░░┃░░░░░░░░░░░░░░░░  40 % of 50 % · primary 60 %
     checks   ✗····  1/5 failed, rolled back at 5
    ── service levels  last 8m, · no data, ! beyond the limit ──────────────────────
     availability  limit ≥ 99 %   ──█▇▇▇▇▇▇▇▂▁▇▇▇!4 now 99.8    min 98.2  max 100
     error rate    limit ≤ 1 %    ──▁▂▂▂▂▂▂▂▇█▂▂▂!4 now 0.2     min 0.05  max 1.8
     response time limit ≤ 500 ms ──▂▃▃▂▃▃▂▃▃▃▃▃▅!3 now 509     min 180   max 562
    ── events  7, newest first ─────────────────────────────────────────────────────
     12:04:11Z   Advance frontend.app canary weight 40
     12:03:11Z ! Halt frontend.app advancement success rate 98.20% < 99%
     12:02:11Z   Advance frontend.app canary weight 30
     12:01:11Z   Advance frontend.app canary weight 20
    ── verbs  newest first ─────────────────────────────────────────────────────────
     11:59:31Z ✓ accepted resume by ana (5m ago) goes on at 10 % · graphs flat

     p n promote now  s pause  ^x abort  b bump  W arm  esc back  : prompt  ? help
    "#);
}

#[test]
fn a_canary_at_120_by_36() {
    insta::assert_snapshot!(frame("canary/gke/app/frontend", 120, 36), @r#"
     PILOTHOUSE  FLEET › gke › app/frontend  all contexts  3 clusters: 2 live · 1 stale            RO (W to arm)  12:04:31Z
     ! SLO    Progressing for 8m · canary by istio · live, heard 2s ago
     why      1 of 5 checks failed: request-success-rate 98.20 < 99; waits for the interval
     next     step due in 0:41
     image    primary shop/frontend:v2.9.1 · target shop/frontend:v2.10.0
     run      revision 7d4f9c1b5f · driver this console · production · wave 1
    ── rollout  a step every 60s ───────────────────────────────────────────────────────────────────────────────────────────
     ✓ init ── » progressing 40 % ── · promoting ── · finalising ── · succeeded
     weight   ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓░░░░░░░┃░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  40 % of 50 % · primary 60 %
     checks   ✗····  1/5 failed, rolled back at 5
    ── service levels  last 8m, · no data, ! beyond the limit ──────────────────────────────────────────────────────────────
     availability                                                        █▅█ ▇█▅█▇█▅█▇█▅█▇█▅█▇█▅█▇█▅█▇█▅    █▇█▅█▇█▅█▇█▅█▇
     limit ≥ 99 %                     ──────────────────────────────────────·───────────────────────────!!!!──────────────
     now 99.8    min 98.2  max 100                                                                      ▅▄▅▂
     error rate                                                                                         ▄▅▅▇
     limit ≤ 1 %                      ──────────────────────────────────────·───────────────────────────!!!!──────────────
     now 0.2     min 0.05  max 1.8                                       ▁▄▁ ▂▁▄▁▂▁▄▁▂▁▄▁▂▁▄▁▂▁▄▁▂▁▄▁▂▁▄████▁▂▁▄▁▂▁▄▁▂▁▄▁▂
     response time                                                                                                     ▁▁▁
     limit ≤ 500 ms                   ──────────────────────────────────────·──────────────────────────────────────────!!!
     now 509     min 180   max 562                                       ▃▄▅ ▄▄▃▄▅▄▄▄▄▅▄▄▄▄▅▄▅▄▄▃▄▅▄▄▄▄▅▄▄▄▄▅▄▅▄▄▃▄▅▄▄▄███
    ── events  7, newest first ─────────────────────────────────────────────────────────────────────────────────────────────
     12:04:11Z   Advance frontend.app canary weight 40
     12:03:11Z ! Halt frontend.app advancement success rate 98.20% < 99%
     12:02:11Z   Advance frontend.app canary weight 30
     12:01:11Z   Advance frontend.app canary weight 20
     12:00:11Z   Advance frontend.app canary weight 10
     11:59:11Z   Starting canary analysis for frontend.app
     11:56:31Z   New revision detected! Scaling up frontend.app




    ── verbs  newest first ─────────────────────────────────────────────────────────────────────────────────────────────────
     11:59:31Z ✓ accepted resume by ana (5m ago) goes on at 10 % · graphs flat

     p n promote now  s pause  ^x abort  b bump  W arm  esc back  c contexts  : prompt  ? help
    "#);
}

#[test]
fn a_waiting_gate_at_80_by_24() {
    insta::assert_snapshot!(frame("canary/eks/app/ledger", 80, 24), @r#"
     FLEET › eks › app/ledger  all contexts                              RO  12:04Z
     ◆ GATE   WaitingPromotion for 8m · canary by kubernetes · live, heard 2s ago
     why      confirm-promotion waits for a human
     image    primary shop/frontend:v2.9.1 · target shop/frontend:v2.10.0
     run      revision 7d4f9c1b5f · driver this console · production · wave 2
    ── rollout  a step every 60s ───────────────────────────────────────────────────
     ✓ init ── ✓ progressing ── ◆ promoting 50 % ── · finalising ── · succeeded
     weight   ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓┃░░░░░░░░░░░░░░░░  50 % of 50 % · primary 50 %
     checks   ·····  0/5 failed, rolled back at 5
     gate     ◆ confirm-promotion waits for 31m   a approve  x reject
    ── service levels  no measurements: no metric server, or nothing asked yet ─────
    ── events  none yet ────────────────────────────────────────────────────────────











     a approve  x reject  p n promote now  s pause  ^x abort  esc back  ? help
    "#);
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
        let _ = commands.send(command);
        let done = Outcome { id: 7, target: "eks".into(), state: OutcomeState::Done, message: "synced".into() };
        let _ = outcomes.send(done);
        7
    };
    let port = Port { view, outcomes: incoming, clock: crate::session::Clock::wall(), send: Box::new(send) };
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
    let port = Port { view, outcomes: incoming, clock: crate::session::Clock::wall(), send: Box::new(|_| 0) };
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
