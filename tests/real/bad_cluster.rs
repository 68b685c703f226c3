//! Clusters and kubeconfigs as they should not be: every mistake is a sentence and an exit code.

use std::sync::LazyLock;

use crate::bed::Bed;
use crate::program::{Home, kubeconfig};
use crate::support::{Folder, seconds};
use crate::terminal::Terminal;

/// One cluster without CRDs, which nobody drives, and its repositories. The end of this process ends it.
pub static BARE: LazyLock<Bed> = LazyLock::new(|| Bed::up("--clusters bare:kubernetes --providers"));

#[test]
fn an_unreadable_kubeconfig_is_named() {
    let place = Folder::new("unreadable");
    let broken = place.write("broken.yaml", "clusters: [");
    for (file, what) in [(place.path().join("missing.yaml"), "missing.yaml"), (broken, "broken.yaml")] {
        let said = Home::new("unreadable", &file).expect(2, &["status"]);
        assert!(said.err.contains(what) && said.err.contains("--kubeconfig"), "{said:?}");
        assert!(said.err.lines().count() <= 2 && !said.err.contains("panicked"), "{said:?}");
    }
}

#[test]
fn an_unknown_context_is_answered_with_the_known_ones() {
    let place = Folder::new("unknown");
    let file = place.write("kubeconfig", &kubeconfig(&["eks", "gke"], "127.0.0.1:1"));
    let home = Home::new("unknown", &file);
    for words in [
        &["status", "--context", "azure"][..],
        &["pause", "azure/app/backend"],
        &["crds", "--install", "--context", "azure"],
        &["--daemon", "--listen", "127.0.0.1:0", "--context", "azure"],
    ] {
        let said = home.expect(2, words);
        assert!(said.err.contains("azure") && said.err.contains("eks, gke"), "{said:?}");
    }
}

#[test]
fn a_mistake_in_the_fleet_file_is_named() {
    let place = Folder::new("fleet");
    let file = place.write("kubeconfig", &kubeconfig(&["eks"], "127.0.0.1:1"));
    let home =
        Home::new("fleet", &file).with_fleet("apiVersion: pilothouse.dev/v1alpha1\nkind: Fleet\nproviders:\n- name: eks\n  colour: red\n");
    let said = home.expect(2, &["status"]);
    assert!(said.err.contains("fleet.yaml") && said.err.contains("colour"), "{said:?}");
}

#[test]
fn a_context_of_the_fleet_that_the_kubeconfig_lacks_is_a_row() {
    let home = Home::new("lacks", &BARE.kubeconfig())
        .with_fleet("apiVersion: pilothouse.dev/v1alpha1\nkind: Fleet\nproviders:\n- name: bare\n- name: gone\n");
    let said = home.expect(4, &["status"]);
    assert!(said.out.lines().any(|line| line.starts_with("gone") && line.contains("unreachable")), "{said:?}");
    assert!(said.out.lines().any(|line| line.starts_with("bare") && line.contains("live")), "{said:?}");
}

#[test]
fn an_expired_token_is_unauthorized_and_exit_code_4() {
    let text = std::fs::read_to_string(BARE.kubeconfig()).expect("the bed's kubeconfig");
    let expired: String = text
        .lines()
        .map(|line| if line.trim_start().starts_with("token:") { "    token: expired\n".into() } else { format!("{line}\n") })
        .collect();
    let place = Folder::new("token");
    let home = Home::new("token", &place.write("kubeconfig", &expired));
    let said = home.expect(4, &["status"]);
    assert!(said.out.contains("unauthorized") && said.out.contains("log in again"), "{said:?}");
    let json = home.expect(4, &["status", "-o", "json"]).json();
    assert_eq!(json["contexts"][0]["link"]["state"], "unauthorized");
    let mut console = Terminal::start(&home, &[]);
    console.until(seconds(20), "a row that says so", |frame| frame.contains("AUTH") && frame.contains("1 auth"));
    console.keys("q");
    assert_eq!(console.ends(seconds(15)), 0);
}

#[test]
fn missing_crds_are_a_sentence_with_the_way_out() {
    let home = Home::new("crds", &BARE.kubeconfig());
    let said = home.expect(0, &["status"]);
    assert!(said.out.contains("pilothouse crds --install"), "{said:?}");
}

#[test]
fn without_crds_a_verb_and_status_answer_at_once() {
    let home = Home::new("crds", &BARE.kubeconfig());
    let started = std::time::Instant::now();
    home.expect(0, &["status"]);
    let status = started.elapsed();
    let started = std::time::Instant::now();
    let said = home.run(&["pause", "bare/app/backend"]);
    let verb = started.elapsed();
    assert!(said.code != 0 && said.err.contains("crds --install"), "{said:?}");
    // A cluster that says nothing has eight seconds; one that has answered is not waited for.
    assert!(status < seconds(8) && verb < seconds(8), "status took {:.1}s, the verb {:.1}s", status.as_secs_f64(), verb.as_secs_f64());
}

#[test]
fn a_cluster_that_is_not_there_is_exit_code_4_and_hinders_no_other() {
    let text = std::fs::read_to_string(BARE.kubeconfig()).expect("the bed's kubeconfig");
    let text = text
        .replacen("clusters:\n", "clusters:\n- name: dead\n  cluster:\n    server: https://127.0.0.1:1\n", 1)
        .replacen("users:\n", "users:\n- name: nobody\n  user:\n    token: none\n", 1)
        .replacen("contexts:\n", "contexts:\n- name: dead\n  context:\n    cluster: dead\n    user: nobody\n", 1);
    let place = Folder::new("dead");
    let home = Home::new("dead", &place.write("kubeconfig", &text));
    let said = home.expect(4, &["status"]);
    assert!(said.out.lines().any(|line| line.starts_with("dead") && line.contains("unreachable")), "{said:?}");
    assert!(said.out.lines().any(|line| line.starts_with("bare") && line.contains("live")), "{said:?}");
    home.expect(0, &["status", "--context", "bare"]);
}

#[test]
fn read_only_refuses_whatever_writes() {
    let home = Home::on("read-only", &BARE);
    let before = BARE.cluster("bare").audited();
    for words in [
        &["--read-only", "pause", "bare/app/backend"][..],
        &["--read-only", "promote", "bare/app/backend"],
        &["--read-only", "approve", "bare/app/backend"],
        &["--read-only", "bump", "1.1.0", "--provider", "bare"],
        &["--read-only", "crds", "--install"],
    ] {
        let said = home.expect(5, words);
        assert!(said.err.contains("--read-only"), "{said:?}");
    }
    // Other tests share the cluster, and none of them writes.
    let cluster = BARE.cluster("bare");
    let written: Vec<String> = cluster
        .requests(before)
        .into_iter()
        .filter(|r| {
            (r.starts_with("create") && !r.contains("selfsubject"))
                || r.starts_with("update")
                || r.starts_with("patch")
                || r.starts_with("delete")
        })
        .collect();
    assert!(written.is_empty(), "{written:?}");
    let mut console = Terminal::start(&home, &["--read-only"]);
    console.shows("RO (started read-only)");
    console.keys("W");
    console.shows("cannot be armed");
    console.keys("q");
    assert_eq!(console.ends(seconds(15)), 0);
}

#[test]
fn the_terminal_is_given_back_when_the_operator_quits() {
    let home = Home::on("quit", &BARE);
    let mut console = Terminal::start(&home, &[]);
    console.until(seconds(20), "a live cluster", |frame| frame.contains("1 live"));
    console.keys("q");
    assert_eq!(console.ends(seconds(15)), 0);
    console.assert_given_back();
}

#[test]
fn the_terminal_is_given_back_on_sigterm() {
    let home = Home::on("term", &BARE);
    let mut console = Terminal::start(&home, &[]);
    console.until(seconds(20), "a live cluster", |frame| frame.contains("1 live"));
    // With a dialog open, in the middle of things.
    console.keys("W");
    console.shows("y confirms");
    console.terminate();
    console.assert_given_back();
}

#[test]
fn without_a_terminal_the_console_says_what_to_use() {
    let said = Home::on("pipe", &BARE).expect(2, &[]);
    assert!(said.err.contains("pilothouse status"), "{said:?}");
    let frame = Home::on("snapshot", &BARE).expect(0, &["--snapshot", "fleet"]);
    assert!(frame.out.contains("PILOTHOUSE") && frame.out.contains("bare") && !frame.out.contains('\x1b'), "{frame:?}");
}
