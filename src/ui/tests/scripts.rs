//! Keys in, commands and frames out.

use std::sync::Arc;

use std::time::Duration;

use super::harness::Harness;
use crate::domain::intent::Verb;
use crate::domain::phase::Phase;
use crate::session::command::{Command, OutcomeState};
use crate::ui::Options;
use crate::ui::actions::ACTIONS;
use crate::ui::address::Address;
use crate::ui::message::Event;
use crate::ui::rows::RowKey;

fn verb(harness: &Harness, at: usize) -> (String, Verb, String, String, String) {
    match &harness.sent[at] {
        Command::Verb { target, verb, gate, why, revision } => (target.to_string(), *verb, gate.clone(), why.clone(), revision.clone()),
        other => panic!("{other:?}"),
    }
}

fn row_of(context: &str, name: &str) -> RowKey {
    RowKey::Canary(format!("{context}/app/{name}").parse().expect("a target"))
}

fn at(harness: &mut Harness, context: &str, name: &str) {
    harness.model.place.selection = Some(row_of(context, name));
    harness.model.place.moved = true;
    harness.model.toast = None;
}

#[test]
fn a_console_is_read_only_until_it_is_armed() {
    let mut harness = Harness::new(120, 36);
    harness.assert_shows("RO (W to arm)");
    at(&mut harness, "gke", "frontend");
    for keys in ["s", "ctrl-x", "p n", "b", "R"] {
        harness.keys(keys);
        harness.assert_shows("read-only: press W to arm");
        assert!(harness.model.overlay.is_none(), "{keys}");
        harness.keys("esc");
    }
    harness.keys("W");
    harness.assert_shows("Verbs and bumps may be sent to gke, eks, aks");
    harness.keys("enter");
    assert!(!harness.model.armed(), "Enter arms nothing");
    harness.keys("y");
    harness.assert_shows("ARMED 15:00");
    harness.wait(61);
    harness.assert_shows("ARMED 13:59");
    harness.keys("j");
    harness.assert_shows("ARMED 15:00");
    harness.keys("W");
    harness.assert_shows("RO (W to arm)");
}

#[test]
fn an_idle_console_disarms_and_closes_what_it_asked() {
    let mut harness = Harness::armed(80, 24);
    at(&mut harness, "gke", "frontend");
    harness.keys("ctrl-x");
    harness.text("fronten");
    harness.wait(901);
    assert!(harness.model.overlay.is_none() && !harness.model.armed());
    harness.assert_shows("read-only again");
    harness.text("d");
    assert!(harness.sent.is_empty());
}

#[test]
fn a_read_only_console_cannot_be_armed() {
    let mut harness = Harness::with(Options { read_only: true, ..Options::default() }, 120, 36);
    harness.keys("W y");
    assert!(!harness.model.armed());
    harness.assert_shows("started read-only: this console cannot be armed");
    at(&mut harness, "gke", "frontend");
    harness.keys("s y");
    assert!(harness.sent.is_empty());
}

#[test]
fn pause_goes_with_y_and_reason_and_its_outcome_is_told() {
    let mut harness = Harness::armed(120, 36);
    at(&mut harness, "gke", "frontend");
    harness.keys("s enter");
    harness.assert_shows("pause gke/app/frontend");
    harness.assert_shows("hold the rollout where it is");
    harness.assert_shows("live, heard 2s ago");
    harness.keys("tab");
    harness.text("INC-7 y");
    harness.keys("tab");
    assert!(harness.sent.is_empty(), "neither Enter nor a y in the reason confirms");
    harness.keys("y");
    assert_eq!(verb(&harness, 0), ("gke/app/frontend".into(), Verb::Pause, String::new(), "INC-7 y".into(), "7d4f9c1b5f".into()));
    harness.outcome(1, OutcomeState::Pending, "written, waits for the driver");
    harness.assert_shows("» pending pause gke/app/frontend · written, waits for the driver");
    harness.wait(30);
    harness.assert_shows("» pending");
    harness.outcome(1, OutcomeState::Done, "paused at 40 %");
    harness.assert_shows("✓ done pause gke/app/frontend · paused at 40 %");
    harness.wait(7);
    harness.assert_hides("✓ done");
    harness.outcome(1, OutcomeState::Failed, "not reached");
    harness.wait(600);
    harness.assert_shows("✗ failed pause");
    harness.keys("enter");
    harness.assert_shows("✗ failed pause");
    harness.keys("esc");
    harness.assert_shows("FLEET › gke › app/frontend");
}

#[test]
fn a_paused_canary_is_resumed_by_the_same_key() {
    let mut harness = Harness::armed(120, 36);
    at(&mut harness, "eks", "auth");
    harness.assert_shows("s resume");
    harness.keys("s y");
    harness.assert_shows("resume eks/app/auth is sent in 5 s  z takes it back");
    harness.wait(4);
    assert!(harness.sent.is_empty());
    harness.wait(1);
    assert_eq!(verb(&harness, 0).1, Verb::Resume);
}

#[test]
fn abort_and_promote_want_the_name() {
    let mut harness = Harness::armed(80, 24);
    at(&mut harness, "gke", "frontend");
    harness.keys("ctrl-x y enter");
    harness.text("frontent");
    harness.keys("enter");
    assert!(harness.sent.is_empty());
    harness.keys("ctrl-u");
    harness.event(Event::Paste("frontend".into()));
    assert!(harness.sent.is_empty(), "a proof is typed, not pasted");
    harness.text("frontend");
    assert_eq!(verb(&harness, 0).1, Verb::Abort);
    assert!(harness.model.overlay.is_none());
    harness.keys("enter");
    assert_eq!(harness.model.address, Address::Fleet, "an Enter after the proof belongs to it");
    harness.keys("p");
    harness.assert_shows("│ n  promote now");
    harness.keys("n");
    harness.text("frontend");
    assert_eq!(verb(&harness, 1).1, Verb::Promote);
}

#[test]
fn a_sequence_that_goes_nowhere_does_nothing() {
    let mut harness = Harness::armed(80, 24);
    at(&mut harness, "gke", "frontend");
    harness.keys("p z n y Z % ctrl-t");
    assert!(harness.model.overlay.is_none() && harness.sent.is_empty() && !harness.quit);
}

#[test]
fn an_illegal_verb_says_why_before_it_asks() {
    let mut harness = Harness::armed(120, 36);
    at(&mut harness, "eks", "search");
    harness.keys("p n");
    harness.assert_shows("cannot promote in phase Failed: this revision failed; retry it first");
    harness.keys("r y");
    harness.wait(5);
    assert_eq!(verb(&harness, 0).1, Verb::Retry);
    at(&mut harness, "gke", "frontend");
    harness.keys("a");
    harness.assert_shows("no gate is waiting");
    harness.select("eks");
    harness.model.place.selection = Some(RowKey::Context("eks".into()));
    harness.keys("a");
    harness.assert_shows("a verb acts on one canary");
}

#[test]
fn a_gate_is_approved_with_y_and_rejected_by_name() {
    let mut harness = Harness::armed(120, 36);
    at(&mut harness, "eks", "ledger");
    harness.keys("enter a");
    harness.assert_shows("gate      confirm-promotion");
    harness.keys("enter y");
    harness.wait(5);
    assert_eq!(verb(&harness, 0), ("eks/app/ledger".into(), Verb::Approve, "confirm-promotion".into(), String::new(), "7d4f9c1b5f".into()));
    harness.keys("x y");
    assert_eq!(harness.sent.len(), 1);
    harness.keys("ctrl-u");
    harness.text("ledger");
    assert_eq!(verb(&harness, 1).1, Verb::Reject);
}

#[test]
fn what_moved_on_closes_the_dialog() {
    let mut harness = Harness::armed(120, 36);
    at(&mut harness, "gke", "frontend");
    harness.keys("ctrl-x");
    harness.text("front");
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[0]).canaries[0].weight = 50);
    assert!(harness.model.overlay.is_some(), "a weight that moves is what rollouts do");
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[0]).canaries[0].phase = Phase::WaitingPromotion);
    assert!(harness.model.overlay.is_some(), "it can be aborted there as well");
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[0]).canaries[0].phase = Phase::Progressing);
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[0]).canaries[0].revision = "8e5a0d2c6b".into());
    harness.assert_shows("frontend has a new revision, 8e5a0d2c6b; nothing was sent");
    harness.keys("esc ctrl-x");
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[0]).canaries[0].phase = Phase::Promoting);
    harness.assert_shows("frontend moved from Progressing to Promoting meanwhile; nothing was sent");
    harness.text("b");
    assert!(harness.model.overlay.is_none(), "letters meant for the dialog that went away are no commands");
    harness.wait(2);
    at(&mut harness, "eks", "ledger");
    harness.keys("a");
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[1]).canaries[0].gates.clear());
    harness.assert_shows("confirm-promotion of ledger waits no longer");
    assert!(harness.sent.is_empty());
}

#[test]
fn a_bump_shows_its_plan_and_wants_the_provider() {
    let mut harness = Harness::armed(120, 36);
    at(&mut harness, "gke", "frontend");
    harness.keys("b");
    harness.assert_shows("bump gke: choose a ref");
    harness.text("1.2");
    harness.keys("enter");
    harness.assert_shows("1.1.0 → 1.2.0");
    harness.assert_shows("2 canaries");
    harness.assert_shows("git.example.com/gke.git · main · app");
    harness.keys("enter y tab");
    harness.text("release");
    harness.keys("tab backspace");
    assert!(harness.sent.is_empty());
    harness.text("gke");
    assert_eq!(harness.sent, [Command::Bump { providers: vec!["gke".into()], to: "1.2.0".into(), why: "release".into() }]);
    harness.assert_shows("bump gke to 1.2.0 · sent");
}

#[test]
fn marked_providers_are_bumped_together() {
    let mut harness = Harness::armed(80, 24);
    at(&mut harness, "gke", "frontend");
    harness.keys("space");
    at(&mut harness, "eks", "ledger");
    harness.keys("space b");
    harness.text("1.2.0");
    harness.keys("enter");
    harness.assert_shows("bump 2 providers to 1.2.0");
    harness.text("bump 2");
    assert_eq!(harness.sent, [Command::Bump { providers: vec!["eks".into(), "gke".into()], to: "1.2.0".into(), why: String::new() }]);
    assert!(harness.model.place.marks.is_empty());
}

#[test]
fn a_bump_notices_that_somebody_else_bumped() {
    let mut harness = Harness::armed(120, 36);
    at(&mut harness, "gke", "frontend");
    harness.keys("b enter");
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[0]).sync.as_mut().expect("a sync").pinned = Some("1.1.1".into()));
    harness.assert_shows("gke was bumped to 1.1.1 meanwhile; nothing was pushed");
    harness.wait(2);
    harness.keys("b");
    harness.text("1.1.1");
    harness.keys("enter");
    harness.assert_shows("nothing to change");
    harness.text("gke");
    assert!(harness.sent.is_empty());
}

#[test]
fn nothing_is_sent_to_a_cluster_that_does_not_answer() {
    let mut harness = Harness::armed(120, 36);
    at(&mut harness, "aks", "frontend");
    harness.keys("ctrl-x");
    harness.assert_shows("aks is STALE since 12:01Z (i/o timeout): nothing can be sent there");
    assert!(harness.model.overlay.is_none());
}

#[test]
fn narrowing_hides_contexts_with_their_marks_and_selection() {
    let mut harness = Harness::armed(120, 36);
    at(&mut harness, "gke", "frontend");
    harness.keys("space C");
    harness.text("eks");
    harness.keys("enter");
    harness.assert_shows("only eks");
    harness.assert_hides("gke");
    assert_eq!(harness.model.place.selection.as_ref().and_then(RowKey::context), Some("eks"));
    assert!(harness.model.place.marks.is_empty());
    harness.keys("0");
    harness.assert_shows("all contexts");
    harness.assert_shows("gke");
    harness.keys("C space down down space enter");
    harness.assert_shows("only aks gke");
    harness.keys(":");
    harness.text("ctx gke");
    harness.keys("enter");
    harness.assert_shows("only gke");
    harness.keys(":");
    harness.text("eks/app/ledger");
    harness.keys("enter");
    harness.assert_shows("eks is out of scope: press 0 first");
}

#[test]
fn narrowing_away_from_a_canary_leaves_its_screen() {
    let mut harness = Harness::new(120, 36);
    at(&mut harness, "gke", "frontend");
    harness.keys("enter");
    harness.assert_shows("FLEET › gke › app/frontend");
    harness.keys(":");
    harness.text("ctx eks");
    harness.keys("enter");
    assert_eq!(harness.model.address, Address::Fleet);
    harness.assert_hides("gke");
}

#[test]
fn a_provider_on_a_hidden_context_is_not_bumped() {
    let mut harness = Harness::new(120, 36);
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[2]).provider = "gke".into());
    harness.keys("W y :");
    harness.text("ctx eks");
    harness.keys("enter 0 C");
    harness.text("gke");
    harness.keys("enter");
    harness.assert_shows("only gke");
    harness.keys("b");
    harness.assert_shows("gke also stands on aks, which is out of scope");
}

#[test]
fn the_console_starts_narrowed() {
    let harness = Harness::with(Options { contexts: vec!["eks".into()], ..Options::default() }, 120, 36);
    harness.assert_shows("only eks");
    harness.assert_hides("gke");
}

#[test]
fn a_filter_is_live_and_esc_clears_it() {
    let mut harness = Harness::new(120, 36);
    harness.keys("/");
    harness.text("ledg");
    harness.assert_shows(" / ledg_");
    harness.assert_shows("app/ledger");
    harness.assert_hides("app/auth");
    harness.keys("enter");
    harness.assert_shows("filter “ledg”");
    harness.keys("j j j");
    assert_eq!(harness.model.place.selection, Some(row_of("eks", "ledger")));
    harness.keys("esc");
    harness.assert_shows("app/auth");
    harness.keys("/");
    harness.text("nonsense");
    harness.assert_shows("nothing matches “nonsense”");
}

#[test]
fn history_goes_back_and_forth() {
    let mut harness = Harness::new(80, 24);
    at(&mut harness, "gke", "frontend");
    harness.keys("enter ?");
    assert_eq!(harness.model.address, Address::Help);
    harness.keys("[");
    assert_eq!(harness.model.address.to_string(), "canary/gke/app/frontend");
    harness.keys("]");
    assert_eq!(harness.model.address, Address::Help);
    harness.keys("q esc");
    assert_eq!(harness.model.address, Address::Fleet);
    harness.keys("[");
    assert_eq!(harness.model.address, Address::Fleet);
}

#[test]
fn the_prompt_completes_and_goes() {
    let mut harness = Harness::new(80, 24);
    harness.keys(":");
    harness.text("ledg");
    harness.assert_shows("canary eks/app/ledger");
    harness.keys("tab enter");
    assert_eq!(harness.model.address.to_string(), "canary/eks/app/ledger");
    harness.keys(":");
    harness.text("nothing like it");
    harness.keys("enter");
    harness.assert_shows("nothing is called");
    harness.keys(":");
    harness.text("abort");
    harness.keys("enter");
    harness.assert_shows("read-only: press W to arm");
}

#[test]
fn leaving_has_three_ways() {
    let mut harness = Harness::new(80, 24);
    harness.keys("q");
    assert!(harness.quit);
    let mut harness = Harness::new(80, 24);
    harness.keys("ctrl-c j");
    assert!(!harness.quit);
    harness.keys("ctrl-c");
    harness.assert_shows("press ctrl-c again to quit");
    harness.keys("ctrl-c");
    assert!(harness.quit);
    let mut harness = Harness::new(80, 24);
    harness.keys(": q enter");
    assert!(harness.quit);
}

#[test]
fn help_lists_every_action() {
    let mut harness = Harness::new(120, 60);
    harness.keys("?");
    for action in ACTIONS {
        harness.assert_shows(action.help);
    }
    harness.keys("q");
    assert_eq!(harness.model.address, Address::Fleet);
}

#[test]
fn a_selection_follows_its_row_and_not_its_place() {
    let mut harness = Harness::new(80, 24);
    assert!(harness.line(">").contains("eks"), "the cursor waits on what is worst");
    at(&mut harness, "gke", "frontend");
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[0]).canaries[0].phase = Phase::Failed);
    assert!(harness.line(">").contains("app/frontend"));
    harness.change(|fleet| {
        Arc::make_mut(&mut fleet.contexts[0]).canaries.remove(0);
    });
    assert!(harness.line(">").contains("gke"), "its provider, when it is gone");
}

#[test]
fn the_end_of_the_session_is_said() {
    let mut harness = Harness::new(80, 24);
    harness.event(Event::Ended);
    harness.assert_shows("the session has ended");
}

#[test]
fn an_outcome_may_come_before_its_number() {
    let mut harness = Harness::armed(120, 36);
    harness.outcome(9, OutcomeState::Done, "nothing to apply");
    harness.assert_hides("nothing to apply");
    harness.event(Event::Sent { id: 9, label: "sync gke".into(), batch: 1 });
    harness.assert_shows("✓ done sync gke · nothing to apply (gke/app/frontend)");
}

#[test]
fn arming_lasts_as_long_as_the_options_say() {
    let mut harness = Harness::with(Options { arm_for: Duration::from_secs(90), ..Options::default() }, 120, 36);
    harness.keys("W y");
    harness.assert_shows("ARMED 1:30");
    harness.wait(91);
    harness.assert_shows("RO (W to arm)");
}
