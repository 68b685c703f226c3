//! What a console did, recorded and played again.

use std::fs;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use futures::StreamExt as _;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use super::harness::{fleet, now};
use crate::session::Clock;
use crate::session::questions::{Answer, LogLevel, LogLine, Question};
use crate::session::view::Link;
use crate::ui::actions::Id;
use crate::ui::event_loop::drive;
use crate::ui::keymap::{Keymap, Wanted};
use crate::ui::looks::{Looks, fixed};
use crate::ui::replay::{Recording, ReplayError};
use crate::ui::theme::{Files, Theme};
use crate::ui::update::update;
use crate::ui::view::text;
use crate::ui::{Background, Colour, Exit, Options, Port, record};

fn key(code: KeyCode) -> Input {
    Input::Key(KeyEvent::new(code, KeyModifiers::NONE))
}

/// A console of which a recording is made: its file, and the last frame.
async fn recorded() -> (TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("console.jsonl");
    let file = record::create(&path).expect("a file");
    let (views, view) = watch::channel(Arc::new(fleet()));
    let (_outcomes, incoming) = mpsc::unbounded_channel();
    let port = Port {
        view,
        outcomes: incoming,
        clock: Clock::wall(),
        send: Box::new(|_| 7),
        answers: mpsc::unbounded_channel().1,
        ask: Box::new(|_| {}),
    };
    let options = Options { record: Some(Arc::new(file)), colour: Colour::True, ..Options::default() };
    let mut terminal = Terminal::new(TestBackend::new(120, 36)).expect("a terminal");
    let news = async move {
        for round in 0..5_u32 {
            tokio::time::sleep(Duration::from_millis(30)).await;
            let mut next = (**views.borrow()).clone();
            let gke = next.contexts.iter().position(|context| context.name == "gke").expect("a context");
            let context = Arc::make_mut(&mut next.contexts[gke]);
            context.canaries[0].weight = 10 * round;
            context.problems = vec![format!("round {round}")];
            if round == 3 {
                next.contexts.pop();
                next.problems.push("the distribution cannot be fetched".into());
                Arc::make_mut(&mut next.contexts[1]).link = Link::Live;
            }
            views.send_replace(Arc::new(next));
        }
        tokio::time::sleep(Duration::from_mins(10)).await;
    };
    let strokes =
        [key(KeyCode::Char('j')), key(KeyCode::Char('/')), Input::Paste("gke".into()), key(KeyCode::Enter), Input::Resize(120, 36)];
    let input = futures::stream::iter(strokes).then(|stroke| async move {
        tokio::time::sleep(Duration::from_millis(60)).await;
        Ok(stroke)
    });
    let stop = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        Ok(Exit::Stopped)
    };
    let input = Box::pin(input.chain(futures::stream::pending()));
    let exit = tokio::select! {
        exit = drive(&mut terminal, input, stop, port, options) => exit.expect("an exit"),
        () = news => unreachable!("the console ends first"),
    };
    assert_eq!(exit, Exit::Stopped);
    (folder, path, text(terminal.backend().buffer()))
}

fn read(path: &Path) -> Recording {
    Recording::read(BufReader::new(fs::File::open(path).expect("a file"))).expect("a recording")
}

#[tokio::test]
async fn a_recording_makes_the_same_frame_again() {
    let (_folder, path, last) = recorded().await;
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    let recording = read(&path);
    assert_eq!(recording.flaw, None);
    assert!(last.contains("filter “gke”") && last.contains("round 4") && last.contains("cannot be fetched"), "{last}");
    assert_eq!(text(&recording.frame(recording.end(), Options::default())), last);
    let first = text(&recording.frame(recording.start(), Options::default()));
    assert!(!first.contains("round 4"), "{first}");
    assert!(record::create(&path).is_err(), "what was recorded is not written over");
    // A whole view is told once, and then what changed of it.
    let told = fs::read_to_string(&path).expect("text");
    let views: Vec<&str> = told.lines().filter(|line| line.contains("\"view\"")).collect();
    assert!(views.len() >= 5 && views[1].len() * 4 < views[0].len(), "{} then {}", views[0].len(), views[1].len());
}

#[tokio::test]
async fn a_recording_that_was_cut_off_is_played_as_far_as_it_goes() {
    let (folder, path, last) = recorded().await;
    let whole = fs::read_to_string(&path).expect("text");
    let cut = folder.path().join("cut.jsonl");
    let before_the_end = whole.trim_end().rfind('\n').expect("lines");
    fs::write(&cut, &whole[..=before_the_end]).expect("a file");
    let recording = read(&cut);
    assert_eq!(recording.flaw.as_deref(), Some("it was cut off"));
    assert_eq!(text(&recording.frame(recording.end(), Options::default())), last);
    let in_a_view = whole.rfind("\"view\"").expect("a view") + 20;
    fs::write(&cut, &whole[..in_a_view]).expect("a file");
    let recording = read(&cut);
    assert!(recording.flaw.as_deref().is_some_and(|flaw| flaw.starts_with("line ")), "{:?}", recording.flaw);
    assert!(!recording.is_empty() && recording.len() < whole.lines().count());
}

#[test]
fn other_files_are_refused_with_a_reason() {
    let of = |text: &str| Recording::read(text.as_bytes());
    for foreign in ["", "no json", "{}\n", "\u{0}\u{1}\u{2}", "{\"version\": 2, \"width\": 80, \"height\": 24}\n"] {
        assert!(matches!(of(foreign), Err(ReplayError::Foreign)), "{foreign:?}");
    }
    let header = r#"{"pilothouse":"recording","version":99,"program":"9.0.0","at":"2026-03-02T12:00:00Z","columns":80,"rows":24,"options":{"readOnly":false,"contexts":[],"ascii":false,"colour":"True","armFor":900}}"#;
    let why = of(header).expect_err("a later format").to_string();
    assert!(why.contains("format 99") && why.contains("9.0.0"), "{why}");
    let empty = of(&header.replace("99", "1")).expect("a recording");
    assert!(empty.is_empty() && empty.flaw.is_some());
    assert!(text(&empty.frame(empty.end(), Options::default())).contains("looking for contexts"));
}

#[tokio::test]
async fn a_recording_that_somebody_has_tampered_with_draws_no_escapes() {
    let (_folder, path, last) = recorded().await;
    let whole = fs::read_to_string(&path).expect("text");
    let odd =
        whole.replace("round 4", "ro\u{202e}und \\u001b]0;title\\u0007 4").replace("cannot be fetched", "cannot\\nbe\\tfetched\\u009b2J");
    assert_ne!(odd, whole);
    let recording = Recording::read(odd.as_bytes()).expect("a recording");
    assert_eq!(recording.flaw, None);
    let frame = text(&recording.frame(recording.end(), Options::default()));
    assert!(frame.contains("cannot be fetched") && frame.contains("round ]0;title 4"), "{frame}");
    assert!(!frame.contains(|c: char| c == '\u{202e}' || (c.is_control() && c != '\n')), "{frame:?}");
    assert_eq!(frame.lines().count(), last.lines().count());
}

/// A line of a log.
fn logged(number: u64) -> LogLine {
    LogLine { number, at: now(), level: LogLevel::Warn, from: "pilothouse::session".into(), text: format!("line {number} of the log") }
}

/// Answers like a session: a log of three lines that moves on by two with each question, no object at first, then one.
fn answering(answers: mpsc::UnboundedSender<Answer>) -> Box<dyn Fn(Question) + Send> {
    let (logs, objects) = (AtomicU64::new(0), AtomicU64::new(0));
    Box::new(move |question| {
        let answer = match question {
            Question::Log => {
                let first = 2 * logs.fetch_add(1, Ordering::Relaxed) + 1;
                Answer::Log((first..first + 3).map(logged).collect())
            }
            Question::Object(target) => {
                let first = objects.fetch_add(1, Ordering::Relaxed) == 0;
                Answer::Object { target, yaml: if first { Err("eks is not connected".into()) } else { Ok("kind: Canary\n".into()) } }
            }
            Question::Why(_) | Question::BumpPlan { .. } => return,
        };
        let _ = answers.send(answer);
    })
}

#[tokio::test]
async fn the_log_new_settings_and_objects_in_an_editor_make_the_same_frames_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("console.jsonl");
    let (views, view) = watch::channel(Arc::new(fleet()));
    let (_outcomes, incoming) = mpsc::unbounded_channel();
    let (answers, heard) = mpsc::unbounded_channel();
    let port = Port { view, outcomes: incoming, clock: Clock::wall(), send: Box::new(|_| 7), answers: heard, ask: answering(answers) };
    let themed = |name: &str, keys: &[&str]| {
        let theme = Theme::read(name, &Files::new()).expect("a theme");
        let bind = vec![("pause".to_string(), keys.iter().map(|keys| (*keys).to_string()).collect())];
        let keymap = Keymap::build(&Wanted { bind, ..Wanted::default() }).expect("a key map");
        Arc::new(Looks { dark: theme, light: theme, keymap, ..Looks::default() })
    };
    let (settings, looks) = watch::channel(themed("colour-blind", &["f5"]));
    let options = Options {
        record: Some(Arc::new(record::create(&path).expect("a file"))),
        colour: Colour::True,
        background: Background::Light,
        editor: "true".into(),
        looks,
        ..Options::default()
    };
    let mut terminal = Terminal::new(TestBackend::new(120, 36)).expect("a terminal");
    let keys = ["j", "e", "6", "1", "6", "1", "e", "6"].map(|name| key(KeyCode::Char(name.chars().next().expect("a letter"))));
    let input = futures::stream::iter(keys).then(|stroke| async move {
        tokio::time::sleep(Duration::from_millis(150)).await;
        Ok(stroke)
    });
    let news = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        settings.send_replace(themed("high-contrast", &["P", "f5"]));
        tokio::time::sleep(Duration::from_mins(10)).await;
        drop(views);
    };
    let stop = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(Exit::Stopped)
    };
    let input = Box::pin(input.chain(futures::stream::pending()));
    tokio::select! {
        exit = drive(&mut terminal, input, stop, port, options) => drop(exit.expect("an exit")),
        () = news => unreachable!("the console ends first"),
    }
    let last = terminal.backend().buffer().clone();
    let shown = text(&last);
    assert!(shown.contains("LOG") && shown.contains("line 7 of the log") && !shown.contains("line 1 of"), "{shown}");
    let recording = read(&path);
    assert_eq!(recording.flaw, None);
    let played = recording.frame(recording.end(), Options::default());
    assert_eq!(text(&played), shown);
    assert_eq!(played.content, last.content, "the same looks in every cell");
    let model = |at: usize| {
        let mut model = recording.model(Options::default());
        for message in &recording.messages()[..at] {
            update(&mut model, message.clone());
        }
        model
    };
    let (first, end) = (model(0), model(recording.len()));
    assert_eq!((first.theme().name(), first.keymap.short(Id::Pause)), ("colour-blind", "f5".into()));
    assert_eq!((end.theme().name(), end.keymap.short(Id::Pause), end.background), ("high-contrast", "P".into(), Background::Light));
    let told = |word: &str| (0..=recording.len()).any(|at| model(at).toast.is_some_and(|toast| toast.text.contains(word)));
    assert!(told("eks is not connected") && told("settings taken over") && told("editor on"));
    let written = fs::read_to_string(&path).expect("text");
    assert!(written.starts_with(r#"{"pilothouse":"recording","version":2,"#), "{}", &written[..80]);
    assert!(!written.contains("kind: Canary"), "what an editor was shown is nobody's to read");
    assert_eq!(written.matches("line 3 of the log").count(), 1, "each line of the log is told once");
}

#[test]
fn a_recording_of_the_first_version_has_its_keys_and_the_theme_of_who_looks_on() {
    let header = r#"{"pilothouse":"recording","version":1,"program":"0.1.0","at":"2026-03-02T12:00:00Z","columns":80,"rows":24,"options":{"readOnly":false,"contexts":[],"ascii":false,"colour":"True","armFor":900,"keys":{"pause":["P"],"interrupt":["ctrl-c"],"no-longer-there":["f9"]}}}"#;
    let recording = Recording::read(header.as_bytes()).expect("a recording");
    let looks = Looks { dark: Theme::read("mono", &Files::new()).expect("a theme"), ..Looks::default() };
    let model = recording.model(Options { looks: fixed(looks), ..Options::default() });
    assert_eq!((model.keymap.short(Id::Pause), model.theme().name()), ("P".into(), "mono"));
}

#[tokio::test]
async fn times_are_read_in_three_ways() {
    let (_folder, path, _) = recorded().await;
    let recording = read(&path);
    let start = recording.start();
    assert_eq!(recording.time("90s").expect("a time").as_second(), start.as_second() + 90);
    assert_eq!(recording.time(&start.to_string()).expect("a time"), start);
    let clock = start.to_string();
    let clock = clock.split('T').nth(1).and_then(|time| time.split(['.', 'Z']).next()).expect("hours, minutes, seconds");
    assert_eq!(recording.time(clock).expect("a time").as_second(), start.as_second());
    assert!(matches!(recording.time("soon"), Err(ReplayError::Time(_))));
}

#[tokio::test]
async fn an_asciicast_shows_the_same_last_frame() {
    let (_folder, path, last) = recorded().await;
    let mut cast = Vec::new();
    read(&path).cast(&mut cast, 2.0, Options::default()).expect("a cast");
    let cast = String::from_utf8(cast).expect("text");
    let head: serde_json::Value = serde_json::from_str(cast.lines().next().expect("a head")).expect("JSON");
    assert_eq!((&head["version"], &head["width"], &head["height"]), (&2.into(), &120.into(), &36.into()));
    let mut parser = vt100::Parser::new(36, 120, 0);
    let mut before = 0.0;
    for line in cast.lines().skip(1) {
        let event: (f64, String, String) = serde_json::from_str(line).expect("an event");
        assert!(event.0 >= before && event.0 < 0.5, "half of 0.7 s: {}", event.0);
        before = event.0;
        if event.1 == "o" {
            parser.process(event.2.as_bytes());
        }
    }
    let shown: Vec<String> = parser.screen().contents().lines().map(|line| line.trim_end().to_string()).collect();
    assert_eq!(shown.join("\n").trim_end(), last.trim_end());
}
