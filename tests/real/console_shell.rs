//! The console among the other things of a terminal: a shell with job control, a mouse, storms, pipes, the end.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{Home, binary};
use crate::support::{seconds, signal, until, until_true};
use crate::terminal::{ENTER, Terminal};

const CTRL_Z: &str = "\x1a";
const CTRL_L: &str = "\x0c";

fn home(what: &str) -> Home {
    // No kubeconfig is there, and none is wanted.
    Home::new(what, Path::new("/nonexistent/kubeconfig"))
}

/// The demo with three providers on the screen, these words before `demo`.
fn demo(home: &Home, words: &[&str], speed: &str) -> Terminal {
    let words: Vec<&str> = words.iter().chain(&["demo", "--speed", speed]).copied().collect();
    let console = Terminal::start(home, &words);
    console.until(seconds(20), "three providers", |frame| frame.contains("3 live"));
    console
}

/// An interactive shell with job control.
fn shell(home: &Home) -> Terminal {
    let words: Vec<String> = ["--norc", "--noprofile", "-i"].iter().map(ToString::to_string).collect();
    let mut shell = Terminal::running("bash", &words, home, (120, 36), &[("PS1", "ready> ")]);
    // What the shell itself asks of the terminal is none of the console's doing.
    shell.keys("bind 'set enable-bracketed-paste off'; PS1='ready> '\r");
    shell.shows("ready>");
    shell
}

fn start_in(shell: &mut Terminal, words: &str) {
    shell.keys(&format!("{} {words}\r", binary().display()));
    shell.until(seconds(20), "three providers", |frame| frame.contains("3 live"));
}

/// Ids of the processes that run the console below this one.
fn children(of: u32) -> Vec<u32> {
    let path = format!("/proc/{of}/task/{of}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

fn alive(id: u32) -> bool {
    // A process that has ended and waits for its parent is gone.
    std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_console_is_stopped_and_continued_by_its_shell() {
    let home = home("job");
    let mut shell = shell(&home);
    start_in(&mut shell, "demo");
    shell.keys("j");
    shell.keys(CTRL_Z);
    shell.until(seconds(10), "the shell's own screen", |frame| frame.contains("Stopped") && frame.contains("ready>"));
    shell.keys("echo typed-$((40+2))\r");
    shell.shows("typed-42");
    shell.keys("fg\r");
    shell.until(seconds(10), "the console again", |frame| frame.contains("PILOTHOUSE") && frame.contains("3 live"));
    shell.keys("?");
    shell.shows("HELP");
    shell.keys("\x1b");
    shell.shows("PINNED");
    // The same by signals from outside.
    let console = until(seconds(5), "the console's process", || children(shell.id()).first().copied());
    signal(console, "TSTP");
    shell.until(seconds(10), "the shell's own screen", |frame| frame.contains("typed-42") && frame.ends_with("ready> "));
    shell.keys("fg\r");
    shell.until(seconds(10), "the console again", |frame| frame.contains("PILOTHOUSE") && frame.contains("3 live"));
    shell.keys("q");
    shell.until(seconds(10), "the shell again", |frame| frame.contains("typed-42") && !frame.contains("PILOTHOUSE"));
    shell.assert_given_back();
    shell.keys("exit\r");
    shell.ends(seconds(10));
}

#[test]
fn a_console_that_was_stopped_hard_draws_everything_again() {
    let home = home("hard");
    let mut shell = shell(&home);
    start_in(&mut shell, "demo");
    let console = until(seconds(5), "the console's process", || children(shell.id()).first().copied());
    signal(console, "STOP");
    shell.until(seconds(10), "the shell's prompt", |frame| frame.contains("Stopped"));
    shell.keys("fg\r");
    shell.until(seconds(10), "a whole frame", |frame| frame.contains("PILOTHOUSE") && frame.contains("3 live") && frame.contains("? help"));
    shell.keys("q");
    shell.until(seconds(15), "the shell again", |frame| !frame.contains("PILOTHOUSE") && frame.contains("ready>"));
    shell.keys("exit\r");
    shell.ends(seconds(10));
}

#[test]
fn the_mouse_selects_opens_and_presses_hints() {
    let home = home("mouse");
    let mut console = demo(&home, &[], "1");
    assert!(console.wrote(b"\x1b[?1000h") && !console.wrote(b"\x1b[?1003h"), "presses are asked for, motion is not");
    console.until(seconds(20), "canaries at rest", |frame| frame.contains("app/backend") && frame.contains("Initialized"));
    console.click("app/backend");
    console.until(seconds(5), "the row under the cursor", |frame| {
        frame.lines().any(|line| line.starts_with('>') && line.contains("app/backend"))
    });
    // Rows move by attention: a click that finds another one selects it.
    until_true(seconds(10), "the canary opened", || {
        let frame = console.frame();
        if !frame.contains("FLEET › ") && frame.contains("app/backend") {
            console.click("app/backend");
        }
        std::thread::sleep(Duration::from_millis(200));
        console.frame().contains("FLEET › ")
    });
    console.click("q back");
    console.shows("PINNED→APPLIED");
    console.keys("\x1b[<65;10;10M");
    console.click("? help");
    console.shows("HELP");
    console.keys("qq");
    assert_eq!(console.ends(seconds(15)), 0);
    console.assert_given_back();
    assert!(console.wrote(b"\x1b[?1000l"));
}

#[test]
fn a_mouse_that_is_left_alone_is_not_asked_for() {
    let home = home("no-mouse");
    let mut console = demo(&home, &["--no-mouse"], "1");
    assert!(!console.wrote(b"\x1b[?1000h"));
    console.keys("q");
    assert_eq!(console.ends(seconds(15)), 0);
}

#[test]
fn a_repaint_needs_no_answer_of_the_terminal() {
    let home = home("repaint");
    let mut console = demo(&home, &[], "1");
    let before = console.written();
    console.keys(CTRL_L);
    until_true(seconds(5), "every cell again", || console.written() > before + 2000);
    assert!(!console.wrote(b"\x1b[6n"), "the cursor's place is asked for, and nobody may answer");
    console.keys("?");
    console.shows_within(seconds(2), "HELP");
    console.keys("qq");
    assert_eq!(console.ends(seconds(15)), 0);
}

#[test]
fn a_recording_shows_the_same_frame_again() {
    let home = home("record");
    let file = home.folder.path().join("console.jsonl").display().to_string();
    let mut console = demo(&home, &["--record", &file], "4");
    console.keys("jj/gke");
    console.keys(ENTER);
    console.shows("filter “gke”");
    console.keys("?");
    let help = console.shows("HELP");
    console.keys("\x1b");
    console.shows("filter “gke”");
    console.keys("?");
    console.shows("HELP");
    assert_eq!(console.terminate(), 0);
    let said = home.expect(0, &["replay", &file, "--snapshot"]);
    let body =
        |frame: &str| frame.lines().skip(1).map(str::trim_end).map(str::to_owned).collect::<Vec<_>>().join("\n").trim_end().to_owned();
    assert_eq!(body(&said.out), body(&help), "but for the header's clock");
    let cast = home.folder.path().join("console.cast").display().to_string();
    let svg = home.folder.path().join("console.svg").display().to_string();
    home.expect(0, &["replay", &file, "--cast", &cast, "--svg", &svg, "--at", "2s"]);
    assert!(
        std::fs::read_to_string(cast).expect("a cast").starts_with("{\"env\"")
            && std::fs::read_to_string(svg).expect("a picture").contains("</svg>")
    );
    home.expect(2, &["--record", &file, "--snapshot", "fleet", "demo"]);
    // Played in a terminal, and left.
    let mut player = Terminal::start(&home, &["replay", &file, "--speed", "100"]);
    player.until(seconds(10), "its end", |frame| frame.contains("REPLAY end"));
    player.keys("q");
    assert_eq!(player.ends(seconds(5)), 0);
    player.assert_given_back();
}

#[test]
fn storms_of_sizes_keys_and_pastes_are_borne() {
    let home = home("storm");
    let mut console = demo(&home, &[], "1");
    for round in 0..200_u16 {
        console.resize(20 + round * 7 % 200, 5 + round * 3 % 60);
    }
    console.resize(120, 36);
    for _ in 0..100 {
        console.keys(&"jk".repeat(50));
    }
    console.keys(&format!("\x1b[200~{}\x1b[201~", "q pasted text, ".repeat(70_000)));
    let begun = Instant::now();
    console.keys("?");
    console.shows_within(seconds(20), "HELP");
    println!("answered {} ms after 200 sizes, 10 000 keys and a paste of 1 MB", begun.elapsed().as_millis());
    console.keys("\x1b");
    console.shows("PINNED→APPLIED");
    console.keys("q");
    assert_eq!(console.ends(seconds(15)), 0);
    console.assert_given_back();
}

#[test]
fn a_terminal_that_goes_away_ends_the_console() {
    let home = home("gone");
    let mut console = demo(&home, &[], "12");
    let begun = Instant::now();
    console.close();
    console.ends(seconds(6));
    println!("ended {} ms after its terminal", begun.elapsed().as_millis());
}

#[test]
fn a_shell_that_is_killed_takes_the_console_with_it() {
    let home = home("killed");
    let mut shell = shell(&home);
    start_in(&mut shell, "demo");
    let console = until(seconds(5), "the console's process", || children(shell.id()).first().copied());
    signal(shell.id(), "KILL");
    until_true(seconds(6), "the end of the console", || !alive(console));
}

#[test]
fn plain_lines_end_with_their_reader() {
    let home = home("plain");
    let mut words = vec!["--plain".to_string(), "demo".into(), "--speed".into(), "12".into()];
    words.extend(home.common());
    let mut command = Command::new(binary());
    command.env_clear().envs(home.environment()).args(&words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the program");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let begun = Instant::now();
    let mut canary = false;
    while let Some(Ok(line)) = lines.next() {
        assert!(line.is_ascii() || !line.contains('\u{1b}'), "{line:?}");
        assert_eq!(line.as_bytes().get(8), Some(&b'Z'), "{line:?}");
        canary |= line.contains("app/frontend") && (line.contains("Initialized") || line.contains("Progressing"));
        assert!(begun.elapsed() < Duration::from_mins(1), "no canary was told");
        if canary {
            break;
        }
    }
    assert!(canary);
    drop(lines);
    let code = until(seconds(15), "the end", || child.try_wait().expect("a child of ours"));
    assert_eq!(code.code(), Some(0));
}

#[test]
fn plain_lines_end_with_a_signal_and_json_is_one_object_a_line() {
    let home = home("plain-json");
    let mut words = vec!["--plain".to_string(), "demo".into(), "-o".into(), "json".into()];
    words.extend(home.common());
    let mut command = Command::new(binary());
    command.env_clear().envs(home.environment()).args(&words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the program");
    let id = child.id();
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut told = 0;
    for line in lines {
        let line = line.expect("text");
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["kind"], "Change");
        told += 1;
        if told == 3 {
            signal(id, "TERM");
        }
    }
    assert!(told >= 3);
    assert_eq!(until(seconds(15), "the end", || child.try_wait().expect("a child of ours")).code(), Some(0));
}

/// How long it takes from a key to the first byte of its frame, seen from the other side of the terminal.
#[test]
fn keys_are_answered_at_once() {
    for (what, speed) in [("a calm fleet", "1"), ("a fleet at sixty times the speed of life", "60")] {
        let home = home("latency");
        let mut console = demo(&home, &[], speed);
        let mut times = Vec::new();
        let begun = (console.written(), Instant::now());
        for round in 0..100 {
            let before = console.written();
            let pressed = Instant::now();
            console.keys(if round % 2 == 0 { "j" } else { "k" });
            while console.written() == before {
                assert!(pressed.elapsed() < seconds(10), "a key without an answer");
                std::thread::yield_now();
            }
            times.push(pressed.elapsed());
            std::thread::sleep(Duration::from_millis(20));
        }
        times.sort();
        let bytes = f64::from(u32::try_from(console.written() - begun.0).expect("few bytes")) / begun.1.elapsed().as_secs_f64();
        println!("{what}: key to byte p50 {:?}, p99 {:?}; {bytes:.0} bytes a second with fifty keys a second", times[50], times[98]);
        console.keys("q");
        assert_eq!(console.ends(seconds(15)), 0);
    }
}
