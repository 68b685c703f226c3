//! What operators come for, from the first key to the outcome: console-ux §6.3 as key strings.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::harness::{Harness, before, canary, crowd};
use crate::domain::intent::Verb;
use crate::domain::phase::Phase;
use crate::domain::target::Target;
use crate::session::command::{Command, Outcome, OutcomeState};
use crate::session::questions::{Answer, PinChange, Question};
use crate::session::view::{FleetView, GateView, Link, Need, Permission};
use crate::ui::address::Address;
use crate::ui::message::{Effect, Event};
use crate::ui::rows::RowKey;
use crate::ui::{Options, place::SortBy};

fn verbs(harness: &Harness) -> Vec<(String, Verb, String, String)> {
    let of = |command: &Command| match command {
        Command::Verb { target, verb, gate, why, .. } => Some((target.to_string(), *verb, gate.clone(), why.clone())),
        _ => None,
    };
    harness.sent.iter().filter_map(of).collect()
}

fn outcome(harness: &mut Harness, id: u64, target: &str, state: OutcomeState, message: &str) {
    harness.event(Event::Outcome(Outcome { id, target: target.into(), state, message: message.into() }));
}

/// Sixty providers, armed.
fn sixty(width: u16, height: u16) -> Harness {
    let mut harness = Harness::armed(width, height);
    harness.show(crowd());
    harness
}

#[test]
fn trouble_is_seen_at_a_glance_without_a_key() {
    for (width, height) in [(80, 24), (120, 36)] {
        let mut harness = Harness::new(width, height);
        harness.show(crowd());
        harness.assert_shows("✗ FAIL 1");
        harness.assert_shows("w0 ✓✓✓✓✓✓✓!✓✓✓✓✓✓✓✓");
        harness.assert_shows("w1 ✓✓✓✗◆◆✓✓✓✓✓✓✓✓✓✓");
        assert!(harness.line(">").contains("provider-19"), "the worst one is under the cursor");
        harness.keys("f8");
        harness.assert_hides("provider-00");
        harness.assert_shows("trouble only");
        harness.keys("esc");
        harness.assert_hides("trouble only");
    }
}

#[test]
fn the_waiting_gates_are_approved_together() {
    let mut harness = sixty(120, 36);
    harness.keys("3");
    harness.assert_shows("2 waiting, the oldest for 3h");
    assert!(harness.line(">").contains("provider-21"), "the oldest first");
    // Nothing is measured there: `*` leaves them to a look at each.
    harness.keys("*");
    harness.assert_shows("2 left out: something speaks against them");
    harness.keys("esc space j space a");
    harness.assert_shows("approve 2 canaries");
    harness.text("graphs are flat");
    harness.keys("tab");
    harness.text("approve 2");
    assert!(harness.sent.is_empty(), "there are seconds to take it back");
    harness.wait(5);
    let gate = |provider: &str| {
        (format!("{provider}/app/service-2"), Verb::Approve, "confirm-promotion".to_string(), "graphs are flat".to_string())
    };
    assert_eq!(verbs(&harness), [gate("provider-20"), gate("provider-21")]);
    outcome(&mut harness, 1, "provider-20/app/service-2", OutcomeState::Done, "opened");
    outcome(&mut harness, 2, "provider-21/app/service-2", OutcomeState::Refused, "policy: four eyes");
    harness.assert_shows("✓ done");
    harness.assert_shows("policy: four eyes");
    harness.keys("esc");
    harness.assert_shows("1 ✓ done · 1 ✗ refused · ^o lists them");
}

#[test]
fn many_at_once_want_a_reason_and_a_count() {
    let mut harness = sixty(120, 36);
    harness.keys("3 space j space a tab");
    harness.text("approve 2");
    harness.wait(10);
    assert!(harness.sent.is_empty(), "no reason was given");
    harness.text("looked at both");
    harness.keys("tab");
    harness.text("approve 1");
    harness.keys("enter y");
    harness.wait(10);
    assert!(harness.sent.is_empty(), "neither another number nor Enter confirms");
    harness.keys("esc");
    assert!(harness.model.overlay.is_none());
}

#[test]
fn what_moves_on_leaves_a_question_about_many() {
    let mut harness = sixty(120, 36);
    harness.keys("3 space j space a");
    harness.text("why not");
    harness.keys("tab");
    harness.text("approve");
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[20]).canaries[2].gates.clear());
    harness.assert_shows("approve 1 canary");
    harness.assert_shows("confirm-promotion of service-2 waits");
    harness.text("approve 1");
    harness.wait(5);
    assert_eq!(verbs(&harness).len(), 1);
    harness.keys("esc");
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[21]).canaries[2].gates.clear());
    harness.assert_shows("no gate waits");
}

#[test]
fn a_bump_from_the_matrix_asks_which_and_shows_the_line() {
    let mut harness = Harness::armed(120, 36);
    harness.keys("2 b");
    harness.assert_shows("bump: which providers");
    harness.assert_shows("3 of 3");
    harness.keys("space enter");
    harness.assert_shows("bump 2 providers: choose a ref");
    harness.keys("enter");
    let asked: BTreeSet<String> = harness.asked.iter().map(|question| format!("{question:?}")).collect();
    assert!(asked.iter().all(|question| question.contains("BumpPlan") && question.contains("1.2.0")) && asked.len() == 2, "{asked:?}");
    harness.assert_shows("reading the repository…");
    let line = PinChange {
        file: "app/kustomization.yaml".into(),
        line: 4,
        before: "- https://git.example.com/dist.git?ref=1.1.0".into(),
        after: "- https://git.example.com/dist.git?ref=1.2.0".into(),
        pins: 1,
        moving: false,
        unchanged: false,
    };
    harness.event(Event::Answer(Answer::BumpPlan { provider: "eks".into(), to: "1.2.0".into(), plan: Ok(line) }));
    harness.assert_shows("app/kustomization.yaml:4 + - https://git.example.com/dist.git?ref=1.2.0");
    harness.assert_shows("3 canaries: ledger, auth");
    let refused = Err("the branch is protected".to_string());
    harness.event(Event::Answer(Answer::BumpPlan { provider: "aks".into(), to: "1.2.0".into(), plan: refused }));
    harness.assert_shows("! the branch is protected");
    harness.text("bump 2");
    assert!(harness.sent.is_empty(), "one of them cannot be bumped");
    harness.keys("ctrl-u");
    harness.text("eks");
    assert_eq!(harness.sent, [Command::Bump { providers: vec!["eks".into()], to: "1.2.0".into(), why: String::new() }]);
}

#[test]
fn what_runs_where_is_a_matrix() {
    let mut harness = Harness::new(120, 36);
    harness.keys("2");
    let row = harness.line("1.1.0  ");
    assert!(row.contains("» applied") && row.contains("· pinned"), "{row}");
    harness.keys("j enter");
    assert_eq!(harness.model.address, Address::Fleet);
    harness.assert_shows("filter “ref=1.1.0”");
    harness.assert_hides("aks ");
    harness.keys("[");
    assert_eq!(harness.model.address, Address::Versions);
    assert_eq!(harness.model.place.selection, Some(RowKey::Ref("1.1.0".into())), "it is as it was left");
    let mut harness = Harness::new(120, 36);
    harness.show(crowd());
    harness.keys("2");
    let row = harness.line("1.1.0  ");
    assert!(row.contains("15✓ 1!") && row.contains("5✓ 1✗ 2◆"), "by wave, where there are too many: {row}");
}

#[test]
fn the_line_is_stopped_from_any_screen_without_arming() {
    for from in ["", "2", "3", "5", "6", "?", "enter"] {
        let mut harness = Harness::new(120, 36);
        harness.show(crowd());
        harness.keys(from);
        harness.keys("!");
        harness.assert_shows("! STOP THE LINE · all contexts");
        harness.assert_shows("not provider-33: provider-33 is STALE");
        harness.text("INC-7");
        harness.keys("tab");
        harness.text("abort 7");
        assert_eq!(verbs(&harness).len(), 7, "from {from:?}: at once, and all of them");
        assert!(verbs(&harness).iter().all(|(_, verb, _, why)| *verb == Verb::Abort && why == "INC-7"));
        harness.assert_shows("what became of it");
        outcome(&mut harness, 1, "provider-07/app/frontend", OutcomeState::Done, "all traffic on the primary");
        harness.assert_shows("all traffic on the primary");
    }
}

#[test]
fn stopping_what_does_not_move_says_so_and_read_only_stops_nothing() {
    let mut harness = Harness::new(120, 36);
    harness.change(|fleet| fleet.contexts.truncate(0));
    harness.keys("!");
    harness.assert_shows("nothing is in flight");
    let mut harness = Harness::with(Options { read_only: true, ..Options::default() }, 120, 36);
    harness.keys("!");
    harness.assert_shows("started read-only");
    assert!(harness.model.overlay.is_none());
}

#[test]
fn the_stop_reaches_no_further_than_the_scope() {
    let mut harness = Harness::new(120, 36);
    harness.show(crowd());
    harness.keys(":");
    harness.text("ctx provider-50 provider-51");
    harness.keys("enter !");
    harness.assert_shows("STOP THE LINE · provider-50 provider-51");
    harness.text("x");
    harness.keys("tab");
    harness.text("abort 2");
    assert_eq!(verbs(&harness).len(), 2);
}

#[test]
fn a_watched_canary_tells_when_it_ends() {
    let mut harness = Harness::new(120, 36);
    harness.model.place.selection = Some(RowKey::Canary("gke/app/frontend".parse().expect("a target")));
    harness.model.place.moved = true;
    harness.keys("w");
    harness.assert_shows("watching gke/app/frontend");
    let set = |harness: &mut Harness, change: fn(&mut crate::session::view::CanaryView)| {
        harness.change(move |fleet| change(&mut Arc::make_mut(&mut fleet.contexts[0]).canaries[0]));
    };
    set(&mut harness, |canary| canary.failed_checks = 0);
    assert_eq!(harness.effects, [], "moving on is no news");
    set(&mut harness, |canary| canary.gates.push(GateView { name: "confirm-promotion".into(), since: None }));
    set(&mut harness, |canary| {
        canary.gates.clear();
        canary.phase = Phase::Succeeded;
        canary.report = None;
    });
    let titles: Vec<String> = harness
        .effects
        .iter()
        .filter_map(|effect| if let Effect::Notify { title, .. } = effect { Some(title.clone()) } else { None })
        .collect();
    assert_eq!(titles, ["gke/app/frontend is GATE", "gke/app/frontend is OK"]);
    harness.model.place.selection = Some(RowKey::Canary("gke/app/frontend".parse().expect("a target")));
    harness.keys("w");
    set(&mut harness, |canary| canary.phase = Phase::Failed);
    assert_eq!(harness.effects.len(), 2, "watched no longer");
}

#[test]
fn reasons_are_asked_for_and_lead_to_their_canary() {
    let mut harness = Harness::new(120, 36);
    harness.select("search");
    harness.keys("X");
    let target: Target = "eks/app/search".parse().expect("a target");
    assert_eq!(harness.asked, [Question::Why(target.clone())]);
    harness.assert_shows("WHY › eks › app/search");
    harness.assert_shows("looking at events, metrics, pods and other providers…");
    harness.event(Event::Answer(Answer::Why { target, explanation: Err("eks has not answered within 5 s".into()) }));
    harness.assert_shows("eks has not answered within 5 s");
    harness.assert_shows("no more could be found out");
    harness.keys("esc q");
    assert_eq!(harness.model.address, Address::Fleet);
    harness.select("gke");
    harness.model.place.selection = Some(RowKey::Context("gke".into()));
    harness.keys("X");
    harness.assert_shows("reasons are those of a canary");
}

#[test]
fn a_reason_leads_to_its_evidence_and_is_copied_as_a_report() {
    let mut harness = Harness::new(120, 36);
    harness.visit(Address::Why("eks/app/search".parse().expect("a target")));
    super::explained::search(&mut harness);
    harness.assert_shows("1 cause    Rolled back at weight 30 %");
    harness.keys("c");
    let Some(Effect::Copy(report)) = harness.effects.last() else { panic!("{:?}", harness.effects) };
    assert!(report.contains("Rolled back at weight 30") && report.contains("CACHE_SIZE"), "{report}");
    harness.keys("enter");
    assert_eq!(harness.model.address.to_string(), "canary/eks/app/search");
    harness.keys("q j j enter");
    harness.assert_shows("no canary gke/app/search is known");
    harness.keys("esc G enter");
    assert_eq!(harness.model.address, Address::Versions);
}

#[test]
fn what_waits_is_taken_back_and_what_was_paused_goes_on() {
    let mut harness = Harness::armed(120, 36);
    harness.select("ledger");
    harness.keys("a y");
    harness.assert_shows("approve eks/app/ledger is sent in 5 s");
    harness.wait(3);
    harness.keys("z");
    harness.assert_shows("taken back: approve eks/app/ledger");
    harness.wait(10);
    assert!(harness.sent.is_empty());
    harness.keys("z");
    harness.assert_shows("nothing to take back");
    harness.select("frontend");
    harness.keys("s y");
    assert_eq!(verbs(&harness).len(), 1, "a pause waits for nobody");
    harness.change(|fleet| {
        let canary = &mut Arc::make_mut(&mut fleet.contexts[0]).canaries[0];
        canary.paused = Some(crate::session::view::PauseView { who: "me".into(), at: before(1), why: String::new() });
    });
    harness.keys("z");
    harness.assert_shows("resume gke/app/frontend");
    harness.keys("y");
    harness.wait(5);
    assert_eq!(verbs(&harness)[1].1, Verb::Resume);
}

#[test]
fn what_waits_is_looked_at_again_before_it_goes() {
    let mut harness = Harness::armed(120, 36);
    harness.select("ledger");
    harness.keys("a y");
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[1]).canaries[0].revision = "another".into());
    harness.wait(5);
    harness.assert_shows("approve eks/app/ledger was not sent: ledger has a new revision");
    harness.keys("esc");
    harness.select("search");
    harness.keys("r y W");
    harness.wait(6);
    assert!(harness.sent.is_empty(), "disarmed before its time");
    let mut harness = Harness::armed(120, 36);
    harness.select("search");
    harness.keys("r y q");
    harness.assert_shows("sent in");
    assert!(!harness.quit, "leaving would lose it");
    harness.keys("q");
    assert!(harness.quit);
}

#[test]
fn a_bump_is_undone_by_the_ref_before() {
    let mut harness = Harness::armed(120, 36);
    harness.model.place.selection = Some(RowKey::Context("gke".into()));
    harness.model.place.moved = true;
    harness.keys("b enter");
    harness.text("gke");
    assert_eq!(harness.sent.len(), 1);
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[0]).sync.as_mut().expect("a sync").pinned = Some("1.2.0".into()));
    harness.keys("z");
    harness.assert_shows("bump gke: choose a ref");
    harness.keys("enter");
    harness.assert_shows("1.2.0 → 1.1.0");
}

#[test]
fn going_back_finds_filter_cursor_and_marks() {
    let mut harness = Harness::new(120, 36);
    harness.show(crowd());
    harness.keys("/");
    harness.text("wave=1 state=gate");
    harness.keys("enter j space");
    let (selection, marks) = (harness.model.place.selection.clone(), harness.model.place.marks.clone());
    assert_eq!(marks.len(), 1);
    harness.keys("enter ? q q");
    assert_eq!(harness.model.address, Address::Fleet);
    assert_eq!((&harness.model.place.selection, &harness.model.place.marks), (&selection, &marks));
    harness.assert_shows("filter “wave=1 state=gate”");
    harness.keys("esc esc");
    harness.assert_hides("filter “");
    harness.keys("/");
    harness.text("colour=red");
    harness.assert_shows("there is no field `colour`");
}

#[test]
fn escape_with_a_key_close_behind_is_both() {
    let mut harness = Harness::new(120, 36);
    harness.keys("? alt-2");
    assert_eq!(harness.model.address, Address::Versions);
    harness.keys("W alt-q");
    assert!(harness.model.overlay.is_none() && !harness.quit, "a key for a dialog is none for the screen");
}

#[test]
fn rows_are_ordered_as_asked() {
    let mut harness = Harness::new(120, 60);
    harness.keys("N");
    assert_eq!(harness.model.place.sort.by, SortBy::Name);
    let providers: Vec<String> =
        harness.model.rows.iter().filter_map(|row| if let RowKey::Context(name) = &row.key { Some(name.clone()) } else { None }).collect();
    assert_eq!(providers, ["aks", "eks", "gke"]);
    harness.assert_shows("by name");
    harness.keys("N");
    assert!(matches!(&harness.model.rows[0].key, RowKey::Context(name) if name == "gke"));
    harness.keys("O O O O");
    assert_eq!(harness.model.place.sort.by, SortBy::Version);
}

#[test]
fn marks_have_ranges_and_verbs_for_all() {
    let mut harness = Harness::armed(120, 36);
    harness.show(crowd());
    harness.keys("/");
    harness.text("state=prog");
    harness.keys("enter j space G ctrl-space");
    assert_eq!(harness.model.place.marks.len(), 4, "the canaries between, no providers");
    harness.assert_shows("s pause 4");
    harness.keys("s");
    harness.assert_shows("pause 4 canaries");
    harness.text("deploy freeze");
    harness.keys("tab");
    harness.text("pause 4");
    assert_eq!(verbs(&harness).len(), 4, "a pause waits for nobody");
    harness.keys("esc");
    assert!(harness.model.place.marks.is_empty());
}

#[test]
fn permission_is_asked_beforehand_and_a_refusal_is_said_before_the_question() {
    let mut harness = Harness::new(120, 36);
    harness.select("frontend");
    harness.keys("j k");
    assert_eq!(harness.effects, [], "nobody asks while nothing can be sent");
    harness.keys("W y");
    assert_eq!(harness.effects, [Effect::Tell(Command::Permissions { context: "gke".into() })]);
    harness.change(|fleet| {
        let denied = Permission::Denied { why: "patch canaries is forbidden to ana".into(), namespaces: BTreeSet::new() };
        Arc::make_mut(&mut fleet.contexts[0]).permissions.insert(Need::Verbs, denied);
    });
    harness.select("frontend");
    harness.assert_hides("s pause");
    harness.keys("s");
    harness.assert_shows("gke refuses it: patch canaries is forbidden to ana");
    assert!(harness.model.overlay.is_none());
}

#[test]
fn a_login_gets_the_terminal_and_the_context_connects_at_once() {
    let login = vec!["/usr/bin/pilothouse".to_string(), "login".into()];
    let mut harness = Harness::with(Options { login, ..Options::default() }, 120, 36);
    harness.change(|fleet| {
        Arc::make_mut(&mut fleet.contexts[2]).link = Link::Unauthorized { since: before(60), why: "the session has expired".into() };
    });
    harness.model.place.selection = Some(RowKey::Context("aks".into()));
    harness.model.place.moved = true;
    harness.keys("L");
    let Some(Effect::HandOver(errand)) = harness.effects.first() else { panic!("{:?}", harness.effects) };
    assert_eq!((errand.program.as_str(), errand.args.as_slice()), ("/usr/bin/pilothouse", ["login".to_string(), "aks".into()].as_slice()));
    harness.event(Event::Returned { what: "login to aks".into(), ok: true, message: String::new() });
    assert_eq!(harness.effects[1..], [Effect::Tell(Command::LoggedIn { context: "aks".into() })]);
}

#[test]
fn names_are_copied_and_k9s_and_an_editor_get_the_terminal() {
    let mut harness = Harness::with(Options { read_only: true, ..Options::default() }, 120, 36);
    harness.select("frontend");
    harness.keys("c o e");
    assert_eq!(harness.effects[0], Effect::Copy("gke/app/frontend".into()));
    let Effect::HandOver(errand) = &harness.effects[1] else { panic!("{:?}", harness.effects) };
    assert_eq!(errand.args.join(" "), "--context gke --namespace app --command pods --readonly");
    let target: Target = "gke/app/frontend".parse().expect("a target");
    assert_eq!(harness.asked, [Question::Object(target.clone())]);
    harness.event(Event::Answer(Answer::Object { target, yaml: Ok("kind: Canary\n".into()) }));
    assert_eq!(harness.effects[2], Effect::OpenEditor { name: "frontend.yaml".into(), text: "kind: Canary\n".into() });
}

#[test]
fn the_palette_finds_by_letters_and_names_key_and_refusal() {
    let mut harness = Harness::armed(120, 36);
    harness.select("search");
    harness.keys("ctrl-p");
    harness.text("prm");
    let line = harness.line("> promote");
    assert!(line.contains("p n") && line.contains("this revision failed"), "{line}");
    harness.keys("ctrl-u");
    harness.text("gates");
    harness.keys("enter");
    assert_eq!(harness.model.address, Address::Gates);
    harness.keys("ctrl-p");
    harness.text("prov eks");
    harness.keys("enter");
    assert_eq!(harness.model.address, Address::Provider("eks".into()));
}

#[test]
fn the_log_is_followed_until_the_cursor_leaves_its_end() {
    let mut harness = Harness::new(120, 36);
    harness.visit(Address::Log);
    harness.assert_shows("following");
    assert!(harness.line(">").contains("apply failed"));
    assert!(harness.asked.contains(&Question::Log), "a tick asks for more");
    harness.keys("k");
    harness.assert_shows("G follows what is new");
    harness.keys("G");
    harness.assert_shows("following");
    harness.keys("/");
    harness.text("warn");
    harness.keys("enter");
    harness.assert_hides("advance canary");
}

#[test]
fn a_flood_of_canaries_is_drawn_within_the_screen() {
    let mut harness = Harness::new(80, 24);
    let flood = |fleet: &mut FleetView| {
        let context = Arc::make_mut(&mut fleet.contexts[0]);
        context.canaries = (0..2_000).map(|at| Arc::new(canary(&format!("service-{at:04}"), Phase::Progressing, "istio"))).collect();
    };
    harness.change(flood);
    harness.keys("G g G pgup");
    assert_eq!(harness.frame().lines().count(), 24);
    harness.model.place.selection = Some(RowKey::Context("gke".into()));
    harness.keys("enter G");
    harness.assert_shows("-1999");
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[0]).canaries.truncate(10));
    assert!(harness.frame().contains("-0009"), "what is gone is gone, and the cursor is on a row");
}
