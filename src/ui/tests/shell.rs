//! The loop round the model: effects, the mouse, storms, a terminal that goes away.

use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use futures::{Stream, StreamExt as _};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tokio::sync::{mpsc, watch};

use super::harness::{Harness, fleet};
use crate::session::Clock;
use crate::session::command::Outcome;
use crate::session::view::FleetView;
use crate::ui::address::Address;
use crate::ui::event_loop::still::Still;
use crate::ui::event_loop::{Run, drive};
use crate::ui::message::{Effect, Event, HandOver, Mouse, MouseKind};
use crate::ui::progress::Progress;
use crate::ui::sequences::{CLIPBOARD, Multiplexer, Surroundings};
use crate::ui::view::{draw_with, text};
use crate::ui::{Exit, Options, Port};

struct Ends {
    view: watch::Sender<Arc<FleetView>>,
    _outcomes: mpsc::UnboundedSender<Outcome>,
}

fn port() -> (Ends, Port) {
    let (view, seen) = watch::channel(Arc::new(fleet()));
    let (outcomes, incoming) = mpsc::unbounded_channel();
    (
        Ends { view, _outcomes: outcomes },
        Port {
            view: seen,
            outcomes: incoming,
            clock: Clock::wall(),
            send: Box::new(|_| 0),
            answers: mpsc::unbounded_channel().1,
            ask: Box::new(|_| {}),
        },
    )
}

fn terminal(width: u16, height: u16) -> Terminal<TestBackend> {
    Terminal::new(TestBackend::new(width, height)).expect("a terminal")
}

fn letter(letter: char) -> Input {
    Input::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE))
}

fn ctrl(letter: char) -> Input {
    Input::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL))
}

fn later(input: Input) -> impl Stream<Item = std::io::Result<Input>> {
    futures::stream::once(async {
        tokio::time::sleep(Duration::from_millis(40)).await;
        Ok(input)
    })
}

fn typed(inputs: impl IntoIterator<Item = Input>) -> impl Stream<Item = std::io::Result<Input>> {
    futures::stream::iter(inputs.into_iter().map(Ok).collect::<Vec<_>>())
}

/// What a console says to its terminal when it carries an effect out, and what it answers.
fn carried_out(effect: Effect, options: Options) -> (String, Option<Event>) {
    let (_ends, port) = port();
    let mut terminal = terminal(80, 24);
    let mut host = Still { terminal: &mut terminal, input: futures::stream::pending(), said: String::new() };
    let answer = Run::new(&mut host, port, options, Arc::default(), None).expect("a console").carry_out(effect).expect("an answer");
    (host.said, answer)
}

fn on(multiplexer: Multiplexer) -> Options {
    Options { surroundings: Surroundings { multiplexer, ..Surroundings::default() }, ..Options::default() }
}

#[test]
fn a_copy_is_said_to_the_terminal_and_told() {
    let (said, answer) = carried_out(Effect::Copy("gke/app/frontend".into()), Options::default());
    assert_eq!(said, "\x1b]52;c;Z2tlL2FwcC9mcm9udGVuZA==\x1b\\");
    assert!(matches!(answer, Some(Event::Told { ok: true, text }) if text == "copied gke/app/frontend (by OSC 52)"));
    let (said, answer) = carried_out(Effect::Copy("x".repeat(CLIPBOARD + 1)), on(Multiplexer::Tmux));
    assert_eq!(said, "");
    assert!(matches!(answer, Some(Event::Told { ok: false, text }) if text.contains("too many")));
}

#[test]
fn notifications_titles_progress_and_the_mouse_go_to_the_terminal() {
    let (said, _) = carried_out(Effect::Notify { title: "gke/app/frontend".into(), body: "rolled back".into() }, Options::default());
    assert_eq!(said, "\x1b]9;gke/app/frontend: rolled back\x07\x1b]777;notify;gke/app/frontend;rolled back\x07\x07");
    assert_eq!(carried_out(Effect::Title("◆1 ✗2 pilothouse".into()), Options::default()).0, "\x1b]2;◆1 ✗2 pilothouse\x07");
    let bare = Options { surroundings: Surroundings { bare: true, ..Surroundings::default() }, ..Options::default() };
    assert_eq!(carried_out(Effect::Title("any".into()), bare).0, "");
    let known = Options { surroundings: Surroundings { shows_progress: true, ..Surroundings::default() }, ..Options::default() };
    assert_eq!(carried_out(Effect::Progress(Progress::Percent(40)), known).0, "\x1b]9;4;1;40\x07");
    assert_eq!(carried_out(Effect::Progress(Progress::Percent(40)), Options::default()).0, "", "others would notify");
    assert_eq!(carried_out(Effect::Mouse(true), Options::default()).0, "<mouse>");
    assert_eq!(carried_out(Effect::Mouse(true), Options { mouse: false, ..Options::default() }).0, "<no mouse>");
}

#[tokio::test]
async fn a_stop_that_no_shell_could_end_is_refused() {
    let (_ends, port) = port();
    let mut terminal = terminal(120, 36);
    let input = typed([ctrl('z')]).chain(later(letter('q')));
    let exit = drive(&mut terminal, input, std::future::pending(), port, Options::default()).await.expect("an exit");
    assert_eq!(exit, Exit::Quit);
    let drawn = text(terminal.backend().buffer());
    assert!(drawn.contains("no shell could continue this console"), "{drawn}");
}

#[tokio::test]
async fn a_program_gets_the_terminal_and_its_end_is_told() {
    let (ends, port) = port();
    let mut terminal = terminal(120, 36);
    let mut host = Still { terminal: &mut terminal, input: Box::pin(futures::stream::pending()), said: String::new() };
    let mut run = Run::new(&mut host, port, Options::default(), Arc::default(), None).expect("a console");
    let errand = HandOver { what: "k9s on gke".into(), program: "sh -c".into(), args: vec!["exit 3".into()], env: Vec::new() };
    run.carry_out(Effect::HandOver(errand)).expect("an errand");
    let stop = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        Ok(Exit::Stopped)
    };
    ends.view.send_replace(Arc::new(FleetView::default()));
    assert_eq!(run.drive(stop).await.expect("an exit"), Exit::Stopped);
    assert_eq!(host.said, "\x1b]2;pilothouse\x07<leaves><enters>");
    let drawn = text(terminal.backend().buffer());
    assert!(drawn.contains("k9s on gke: ended with exit code 3"), "{drawn}");
    assert!(drawn.contains("looking for contexts"), "news that came meanwhile are drawn:\n{drawn}");
}

#[tokio::test]
async fn a_signal_ends_the_console_while_a_program_has_the_terminal() {
    let (_ends, port) = port();
    let mut terminal = terminal(80, 24);
    let mut host = Still { terminal: &mut terminal, input: Box::pin(futures::stream::pending()), said: String::new() };
    let mut run = Run::new(&mut host, port, Options::default(), Arc::default(), None).expect("a console");
    let errand = HandOver { what: "nap".into(), program: "sleep".into(), args: vec!["600".into()], env: Vec::new() };
    run.carry_out(Effect::HandOver(errand)).expect("an errand");
    let stop = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(Exit::Stopped)
    };
    assert_eq!(run.drive(stop).await.expect("an exit"), Exit::Stopped);
}

#[tokio::test]
async fn the_end_of_the_terminal_ends_the_console() {
    let (_ends, port) = port();
    let mut terminal = terminal(80, 24);
    let exit = drive(&mut terminal, typed([letter('j')]), std::future::pending(), port, Options::default()).await.expect("an exit");
    assert_eq!(exit, Exit::Stopped);
}

#[tokio::test]
async fn storms_of_keys_sizes_and_pastes_are_survived() {
    let (ends, port) = port();
    let mut terminal = terminal(120, 36);
    let keys = (0..10_000).map(|at| letter(if at % 3 == 0 { 'k' } else { 'j' }));
    let sizes = (0..200_u16).map(|at| Input::Resize(1 + at * 7 % 260, 1 + at * 5 % 80));
    let pastes = [Input::Paste("x\x1b[2J\n".repeat(150_000)), Input::Resize(120, 36), letter('/'), Input::Paste("eks".into())];
    let input = typed(keys.chain(sizes).chain(pastes)).chain(later(Input::Key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE))));
    let input = input.chain(later(letter('q')));
    ends.view.send_replace(Arc::new(fleet()));
    let exit = drive(&mut terminal, input, std::future::pending(), port, Options::default()).await.expect("an exit");
    assert_eq!(exit, Exit::Quit);
    let drawn = text(terminal.backend().buffer());
    assert!(drawn.contains("filter “eks”"), "{drawn}");
}

fn click(column: u16, row: u16) -> Input {
    Input::Mouse(MouseEvent { kind: MouseEventKind::Down(MouseButton::Left), column, row, modifiers: KeyModifiers::NONE })
}

/// Column and row of a text on a frame.
fn place(frame: &str, wanted: &str) -> (u16, u16) {
    for (row, line) in frame.lines().enumerate() {
        if let Some(at) = line.find(wanted) {
            let column = crate::ui::widgets::text::width(&line[..at]);
            return (u16::try_from(column).expect("a column"), u16::try_from(row).expect("a row"));
        }
    }
    panic!("no `{wanted}` in\n{frame}");
}

fn press(harness: &mut Harness, wanted: &str) {
    let frame = harness.frame();
    let (column, row) = place(&frame, wanted);
    let mut hits = crate::ui::hits::Hits::default();
    let (width, height) = harness.model.size;
    terminal(width, height).draw(|frame| draw_with(frame, &harness.model, &mut hits)).expect("a frame");
    let hit = hits.at(column, row);
    harness.event(Event::Mouse(Mouse { column, row, kind: MouseKind::Press, hit }));
}

#[test]
fn a_click_selects_a_row_and_a_second_one_opens_it() {
    for (width, height) in [(120, 36), (80, 24), (44, 12)] {
        let mut harness = Harness::new(width, height);
        press(&mut harness, "frontend");
        let selected = harness.line("frontend");
        assert!(selected.starts_with('>'), "{selected}");
        assert_eq!(harness.model.address, Address::Fleet);
        press(&mut harness, "frontend");
        assert_eq!(harness.model.address.to_string(), "canary/gke/app/frontend");
    }
}

#[test]
fn a_click_on_a_hint_is_its_key() {
    let mut harness = Harness::new(120, 36);
    press(&mut harness, "? help");
    assert_eq!(harness.model.address, Address::Help);
    press(&mut harness, "q back");
    assert_eq!(harness.model.address, Address::Fleet);
    harness.keys("W");
    press(&mut harness, "? help");
    assert_eq!(harness.model.address, Address::Fleet, "a dialog is answered by keys");
}

#[test]
fn the_wheel_moves_the_cursor_and_scrolls() {
    let mut harness = Harness::new(120, 36);
    let first = harness.model.place.selection.clone();
    let wheel = |by| Event::Mouse(Mouse { column: 3, row: 9, kind: MouseKind::Wheel(by), hit: None });
    harness.event(wheel(1));
    assert_ne!(harness.model.place.selection, first);
    harness.event(wheel(-1));
    assert_eq!(harness.model.place.selection, first);
    let mut help = Harness::new(80, 24);
    help.keys("?");
    let before = help.frame();
    help.event(wheel(1));
    assert_ne!(help.frame(), before);
}

#[tokio::test]
async fn a_click_at_the_terminal_opens_what_is_drawn_there() {
    let drawn = Harness::new(120, 36).frame();
    let (column, row) = place(&drawn, "app/frontend");
    let (_ends, port) = port();
    let mut terminal = terminal(120, 36);
    let input =
        later(click(column, row)).chain(later(click(column, row))).chain(later(ctrl('l'))).chain(later(ctrl('c'))).chain(later(ctrl('c')));
    let exit = drive(&mut terminal, Box::pin(input), std::future::pending(), port, Options::default()).await.expect("an exit");
    assert_eq!(exit, Exit::Quit);
    let drawn = text(terminal.backend().buffer());
    assert!(drawn.contains("FLEET › gke › app/frontend"), "{drawn}");
}

#[tokio::test]
async fn the_answer_about_the_ground_changes_the_theme_and_types_nothing() {
    let (_ends, port) = port();
    let mut terminal = terminal(120, 36);
    let key = |letter: char, modifiers| Input::Key(KeyEvent::new(KeyCode::Char(letter), modifiers));
    let mut answer = vec![key(']', KeyModifiers::ALT)];
    answer.extend("11;rgb:fafa/fafa/fafa".chars().map(letter));
    answer.push(key('\\', KeyModifiers::ALT));
    let input = typed(answer).chain(later(letter('q')));
    let options = Options { ask_background: true, colour: crate::ui::Colour::True, ..Options::default() };
    let exit = drive(&mut terminal, input, std::future::pending(), port, options).await.expect("an exit");
    assert_eq!(exit, Exit::Quit);
    let drawn = text(terminal.backend().buffer());
    assert!(!drawn.contains("read-only: press"), "letters of the answer were typed:\n{drawn}");
    let dim = crate::ui::theme::Theme::light().at(crate::ui::Colour::True).style(crate::ui::theme::Role::Dim).fg;
    assert!(terminal.backend().buffer().content.iter().any(|cell| Some(cell.fg) == dim), "the light theme is not drawn");
}

#[tokio::test]
async fn what_only_looks_like_an_answer_is_typed_after_all() {
    let (_ends, port) = port();
    let mut terminal = terminal(120, 36);
    let held = Input::Key(KeyEvent::new(KeyCode::Char(']'), KeyModifiers::ALT));
    let input = typed([held, letter('1'), letter('?')]).chain(later(letter('j')));
    let options = Options { ask_background: true, ..Options::default() };
    drive(&mut terminal, input, std::future::pending(), port, options).await.expect("an exit");
    assert!(text(terminal.backend().buffer()).contains("HELP"), "the keys behind it are lost");
}
