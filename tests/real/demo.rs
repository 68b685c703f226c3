//! `pilothouse demo` as a newcomer runs it: in a terminal, in a tiny one, and without.

use std::time::Duration;

use serde_json::Value;

use crate::present::Present;
use crate::process;
use crate::program::Home;
use crate::support::{seconds, until_true};
use crate::terminal::{ENTER, Terminal};

fn home(what: &str) -> Home {
    // No kubeconfig is there, and none is wanted.
    Home::new(what, std::path::Path::new("/nonexistent/kubeconfig"))
}

fn row(frame: &str, name: &str) -> String {
    frame.lines().find(|line| line.contains(&format!(" {name} "))).unwrap_or_default().to_owned()
}

#[test]
fn the_story_is_told_and_every_key_works() {
    let home = home("demo");
    let mut console = Terminal::start(&home, &["demo", "--speed", "12"]);
    console.until(seconds(10), "three providers, all live", |frame| {
        frame.contains("3 live") && ["eks", "aks", "gke"].iter().all(|name| !row(frame, name).is_empty())
    });
    console.until(seconds(30), "all in the first release", |frame| {
        ["eks", "aks", "gke"].iter().all(|name| row(frame, name).contains("1.0.0"))
    });
    let unreachable = |frame: &str| frame.contains("1 stale") || frame.contains("1 unreachable");
    console.until(seconds(60), "the bad release rolled back", |frame| frame.contains("failed checks"));
    console.until(seconds(60), "an approval waited for", |frame| frame.contains("waits for a human"));
    console.until(seconds(60), "a provider that cannot be reached", unreachable);
    console.keys("?");
    console.shows("HELP");
    console.keys("q");
    console.keys("W");
    console.shows("y confirms");
    console.keys("y");
    console.shows("ARMED");
    console.keys(":");
    console.shows("tab completes");
    console.keys("gke/app/frontend");
    console.keys(ENTER);
    console.shows("FLEET › gke › app/frontend");
    console.keys("b");
    console.shows("bump gke: choose a ref");
    console.keys("1.0.0");
    console.keys(ENTER);
    console.shows("bump gke to 1.0.0 ");
    console.keys("gke");
    console.shows_within(seconds(20), "✓ done bump gke to 1.0.0");
    console.keys(":");
    console.shows("tab completes");
    console.keys("fleet");
    console.keys(ENTER);
    console.shows("PINNED→APPLIED");
    console.keys("q");
    assert_eq!(console.ends(seconds(15)), 0);
    console.assert_given_back();
}

#[test]
fn a_tiny_terminal_is_borne() {
    let home = home("tiny");
    let mut console = Terminal::of_size(&home, &["demo"], 40, 10);
    console.until(seconds(10), "a frame", |frame| frame.contains("eks"));
    console.keys("jjk?");
    console.keys("\x1b");
    console.keys(ENTER);
    std::thread::sleep(Duration::from_millis(300));
    console.keys("q");
    console.keys("q");
    assert_eq!(console.ends(seconds(15)), 0);
    console.assert_given_back();
}

#[test]
fn a_terminal_of_an_unknown_kind_is_borne() {
    let home = home("odd");
    let mut console =
        Terminal::with(&home, &["demo"], (120, 36), &[("TERM", "no-such-terminal"), ("COLORTERM", "\u{7}broken"), ("NO_COLOR", "1")]);
    console.until(seconds(10), "a frame", |frame| frame.contains("gke"));
    assert!(!console.wrote(b"\x1b[38;2;"), "no colour was asked for");
    console.keys("q");
    assert_eq!(console.ends(seconds(15)), 0);
}

#[test]
fn without_a_terminal_it_says_what_else_there_is() {
    let home = home("piped");
    let said = home.run(&["demo"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("needs a terminal") && said.err.contains("--snapshot fleet"), "{said:?}");
    let frame = home.expect(0, &["--snapshot", "fleet", "--size", "80x24", "demo"]).out;
    assert!(["eks", "aks", "gke"].iter().all(|name| !row(&frame, name).is_empty()), "{frame}");
    for (words, told) in [(["--speed", "0"], "1..=60"), (["--providers", "0"], "1..=200"), (["--seed", "x"], "invalid digit")] {
        let said = home.run(&["demo", words[0], words[1]]);
        assert!(said.code == 2 && said.err.contains(told), "{said:?}");
    }
}

#[test]
fn the_clusters_are_served_to_other_programs() {
    let home = home("served");
    let folder = home.folder.path().join("served");
    let mut serving = home.start(&["demo", "--serve", folder.to_str().expect("a path"), "--providers", "4"]);
    until_true(seconds(20), "a fleet file", || folder.join("fleet.yaml").is_file());
    let outside = Home { kubeconfig: folder.join("kubeconfig"), ..Home::new("outside", &folder.join("kubeconfig")) };
    let outside = outside.with_fleet(&std::fs::read_to_string(folder.join("fleet.yaml")).expect("the fleet file"));
    let daemon = outside.daemon(&[]);
    outside.until(seconds(60), &["status", "-o", "json"], |said| {
        let said = said.json();
        let contexts = said["contexts"].as_array().cloned().unwrap_or_default();
        let phases: Vec<&Value> = contexts.iter().filter_map(|c| c["canaries"].as_array()).flatten().map(|c| &c["phase"]).collect();
        contexts.len() == 4 && phases.len() == 8 && phases.iter().all(|phase| *phase != "Initializing" && *phase != "New")
    });
    assert_eq!(daemon.stop(), 0);
    assert_eq!(serving.terminate(seconds(10)), 0);
}

/// Figures of a large demo: time to the first frame and to live rows, memory, and processor time at rest.
#[test]
fn sixty_providers() {
    let home = home("sixty");
    let mut console = Terminal::start(&home, &["demo", "--providers", "60"]);
    let started = std::time::Instant::now();
    console.until(seconds(10), "the first frame", |frame| frame.contains("PILOTHOUSE"));
    let first = console.first_frame().unwrap_or_default();
    console.until(seconds(60), "sixty live rows", |frame| frame.contains("60 live"));
    let live = started.elapsed();
    // What its start takes is not what it takes while it runs.
    std::thread::sleep(seconds(20));
    let share = || {
        let before = process::time(console.id());
        std::thread::sleep(seconds(20));
        process::time(console.id()).saturating_sub(before).as_secs_f64() / 20.0 * 100.0
    };
    let bare = share();
    let kept = {
        let _present = Present::keep(console.id());
        share()
    };
    println!(
        "demo of 60 providers: first frame {} ms, all live {} ms, {:.0} MiB, {kept:.1} % of a core with its pages present, {bare:.1} % without",
        first.as_millis(),
        live.as_millis(),
        process::memory(console.id()).resident,
    );
    console.keys("q");
    assert_eq!(console.ends(seconds(15)), 0);
}
