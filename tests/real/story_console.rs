//! Two real clusters and one that never answers, driven through a terminal with keys alone.

use std::net::TcpListener;

use crate::program::Home;
use crate::rollout::{
    Course, SERVICES, assert_in_order, assert_primary, assert_rolled_back, image, two_clusters, until_all, until_promoted,
};
use crate::support::{holds, seconds, until_true};
use crate::terminal::{CTRL_X, ENTER, Terminal};

const BARS: &str = "▁▂▃▄▅▆▇█";

/// Adds a context `dead` to a kubeconfig and a provider on it to a fleet file.
fn with_dead(home: Home, address: &str) -> Home {
    let mut text = std::fs::read_to_string(&home.kubeconfig).expect("the bed's kubeconfig");
    text = text
        .replacen("clusters:\n", &format!("clusters:\n- name: dead\n  cluster:\n    server: https://{address}\n"), 1)
        .replacen("users:\n", "users:\n- name: nobody\n  user:\n    token: none\n", 1)
        .replacen("contexts:\n", "contexts:\n- name: dead\n  context:\n    cluster: dead\n    user: nobody\n", 1);
    let kubeconfig = home.folder.write("kubeconfig", &text);
    let fleet =
        std::fs::read_to_string(home.fleet.as_ref().expect("a fleet file")).expect("the fleet file") + "- name: dead\n  context: dead\n";
    Home { kubeconfig, ..home }.with_fleet(&fleet)
}

/// The screen of a canary, from wherever the console is.
pub fn open(console: &mut Terminal, target: &str) {
    console.keys(":");
    console.shows("tab completes");
    console.keys(target);
    console.keys(ENTER);
    let (context, rest) = target.split_once('/').expect("a target");
    console.shows(&format!("FLEET › {context} › {rest}"));
}

fn fleet(console: &mut Terminal) {
    console.keys(":");
    console.shows("tab completes");
    console.keys("fleet");
    console.keys(ENTER);
    console.shows("PINNED→APPLIED");
}

/// Bumps the provider of the canary on the screen.
fn bump(console: &mut Terminal, provider: &str, from: &str, to: &str) {
    console.keys("b");
    console.shows(&format!("bump {provider}: choose a ref"));
    console.keys(to);
    console.keys(ENTER);
    let plan = console.shows(&format!("bump {provider} to {to} "));
    assert!(plan.contains(&format!("{from} → {to}")), "{plan}");
    console.keys(provider);
    console.shows(&format!("✓ done bump {provider} to {to}"));
}

/// A verb that `y` confirms.
pub fn verb(console: &mut Terminal, key: &str, verb: &str, target: &str) {
    console.keys(key);
    console.shows(&format!("{verb} {target}"));
    console.shows("y confirms");
    console.keys("y");
    console.shows_within(seconds(30), &format!("✓ done {verb} {target}"));
}

#[test]
fn a_release_goes_out_is_rolled_back_and_is_aborted_by_keys() {
    let (bed, eks, gke) = two_clusters();
    // It takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let home = with_dead(Home::on("story", &bed), &silent.local_addr().expect("an address").to_string());
    let installed = home.expect(0, &["crds", "--install", "--context", "eks", "--context", "gke"]);
    assert!(installed.out.contains("eks: ") && installed.out.contains("gke: "), "{installed:?}");

    let mut console = Terminal::start(&home, &["--drive"]);
    console.shows("PILOTHOUSE");
    until_all(&[&eks, &gke], "Initialized");
    let frame = console.until(seconds(30), "versions, sync state and the dead context", |frame| {
        let row = |name: &str| frame.lines().find(|line| line.contains(&format!(" {name} "))).unwrap_or_default().to_owned();
        row("gke").contains("1.0.0")
            && row("gke").contains("synced")
            && row("eks").contains("synced")
            && !row("dead").is_empty()
            && frame.contains("unreachable")
    });
    assert!(frame.contains("2 live"), "{frame}");
    until_promoted(&home, "gke", "1.0.0");
    console.keys("W");
    console.shows("y confirms");
    console.keys("y");
    console.shows("ARMED");

    release(&mut console, &eks, &gke);
    failing(&mut console, &gke);
    aborted(&mut console, &gke);

    fleet(&mut console);
    console.keys("q");
    assert_eq!(console.ends(seconds(15)), 0);
    console.assert_given_back();
}

/// 1.1.0 on both: paused and resumed, its gate approved, promoted with its configuration.
fn release(console: &mut Terminal, eks: &crate::bed::Cluster, gke: &crate::bed::Cluster) {
    let (course, twin) = (Course::follow(gke, "backend"), Course::follow(eks, "backend"));
    open(console, "eks/app/backend");
    bump(console, "eks", "1.0.0", "1.1.0");
    open(console, "gke/app/backend");
    bump(console, "gke", "1.0.0", "1.1.0");
    fleet(console);
    console.until(seconds(30), "the versions of gke on their way", |frame| {
        frame.lines().any(|line| line.contains(" gke ") && line.contains("1.1.0") && line.contains("promoted 1.0.0"))
    });
    course.until(seconds(60), "20 %", |point| point.weight == Some(20));
    open(console, "gke/app/backend");
    verb(console, "s", "pause", "gke/app/backend");
    console.shows("paused by");
    let held = gke.weights("backend");
    assert!(matches!(held, Some((60..=80, 20..=40))), "{held:?}");
    holds(seconds(20), "the weight of a paused canary", &held, || gke.weights("backend"));
    console.shows("limit ≥ 99 %");
    console.until(seconds(30), "a sparkline with its limit", |frame| {
        frame.contains("availability") && frame.contains("limit ≤ 500 ms") && frame.chars().any(|c| BARS.contains(c)) && frame.contains('─')
    });
    verb(console, "s", "resume", "gke/app/backend");
    course.until(seconds(90), "60 %", |point| point.weight == Some(60));
    course.until_phase(seconds(60), "WaitingPromotion");
    console.shows("confirm-promotion waits");
    verb(console, "a", "approve", "gke/app/backend");
    until_all(&[gke, eks], "Succeeded");
    course.until_phase(seconds(10), "Succeeded");
    twin.until_phase(seconds(10), "Succeeded");
    assert_in_order("weights", &course.weights(), &[0, 20, 40, 60, 0]);
    assert_in_order(
        "phases",
        &course.phases().iter().map(String::as_str).collect::<Vec<_>>(),
        &["Initialized", "Progressing", "WaitingPromotion", "Promoting", "Finalising", "Succeeded"],
    );
    assert_in_order("iterations of blue/green", &twin.points().iter().map(|p| p.iterations).collect::<Vec<_>>(), &[1, 2, 3]);
    for cluster in [gke, eks] {
        assert_primary(cluster, "6.0.1", "http-client-timeout: 30s");
    }
    fleet(console);
    console.until(seconds(30), "1.1.0 promoted", |frame| {
        ["gke", "eks"]
            .iter()
            .all(|name| frame.lines().any(|line| line.contains(&format!(" {name} ")) && line.contains("1.1.0") && line.contains("synced")))
    });
}

/// 1.2.0 fails: it rolls back by itself.
fn failing(console: &mut Terminal, gke: &crate::bed::Cluster) {
    let course = Course::follow(gke, "backend");
    open(console, "gke/app/backend");
    bump(console, "gke", "1.1.0", "1.2.0");
    until_all(&[gke], "Failed");
    course.until_phase(seconds(10), "Failed");
    console.until(seconds(15), "the failure", |frame| frame.contains("FAIL") && frame.contains("failed"));
    assert!(course.failed() >= 2 && course.weights().iter().any(|weight| *weight > 0), "{:#?}", course.points());
    assert!(!course.phases().iter().any(|phase| phase == "Promoting"), "{:?}", course.phases());
    for service in SERVICES {
        assert_rolled_back(gke, service, "6.0.1");
    }
}

/// 1.3.0 would come through, and is aborted.
fn aborted(console: &mut Terminal, gke: &crate::bed::Cluster) {
    let course = Course::follow(gke, "backend");
    bump(console, "gke", "1.2.0", "1.3.0");
    course.until(seconds(60), "20 % of 1.3.0", |point| point.phase == "Progressing" && point.weight == Some(20));
    console.until(seconds(15), "20 % on the screen", |frame| frame.contains("  20 % of 60 %"));
    console.keys(CTRL_X);
    console.shows("abort gke/app/backend");
    console.shows("type backend to confirm");
    console.keys("y");
    console.keys("backen");
    assert_eq!(gke.phase("backend"), "Progressing", "half a name aborts nothing");
    console.keys("\x15");
    console.keys("backend");
    console.shows_within(seconds(30), "✓ done abort gke/app/backend");
    until_true(seconds(20), "Failed after the abort", || gke.phase("backend") == "Failed");
    assert_rolled_back(gke, "backend", "6.0.1");
    assert_eq!(gke.image("backend"), image("6.0.3"));
}
