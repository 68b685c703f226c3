//! A fleet that changes under the operator's hands: what is on the screen is renamed, deleted, made anew, or buried.

use std::sync::Arc;

use super::harness::{Harness, before, canary, fleet};
use crate::domain::phase::Phase;
use crate::domain::target::Target;
use crate::session::view::{CanaryView, EventView, FleetView, GateView, Link, RefView};
use crate::ui::address::Address;
use crate::ui::rows::RowKey;

const SIZES: [(u16, u16); 3] = [(44, 12), (80, 24), (120, 36)];

fn target() -> Target {
    "gke/app/frontend".parse().expect("a target")
}

type Change = fn(&mut FleetView);

/// The ways in which gke's frontend can stop being what it was, with what is said of it.
const GOES: [(&str, Change); 5] = [
    ("frontend is gone", |fleet| drop(Arc::make_mut(&mut fleet.contexts[0]).canaries.remove(0))),
    ("frontend is gone", |fleet| Arc::make_mut(&mut fleet.contexts[0]).canaries[0].key.name = "frontend-v2".into()),
    ("frontend is gone", |fleet| drop(fleet.contexts.remove(0))),
    ("frontend has a new revision", |fleet| Arc::make_mut(&mut fleet.contexts[0]).canaries[0].revision = "p1:other:1:8e5a0d2c6b".into()),
    ("the cluster of frontend stopped answering", |fleet| {
        let why = "no answer within 5s".into();
        Arc::make_mut(&mut fleet.contexts[0]).link = Link::Stale { since: before(10), why };
    }),
];

#[test]
fn what_is_renamed_deleted_or_made_anew_under_its_dialog_gets_no_verb() {
    for (said, go) in GOES {
        for (keys, typed) in [("ctrl-x", "frontend"), ("p n", "frontend"), ("s", "y")] {
            let mut harness = Harness::armed(120, 36);
            harness.model.place.selection = Some(RowKey::Canary(target()));
            harness.model.place.moved = true;
            harness.keys(keys);
            assert!(harness.model.overlay.is_some(), "{keys}");
            harness.change(go);
            assert!(harness.model.overlay.is_none(), "{keys}: the question is withdrawn");
            harness.assert_shows(said);
            harness.assert_shows("nothing was sent");
            // What was on its way to the dialog is no command either.
            harness.text(typed);
            assert!(harness.sent.is_empty() && harness.model.overlay.is_none(), "{keys}");
            harness.wait(10);
            assert!(harness.sent.is_empty(), "{keys}");
        }
    }
}

#[test]
fn what_is_renamed_deleted_or_made_anew_before_its_verb_goes_out_gets_none() {
    for (_, go) in GOES {
        let mut harness = Harness::armed(120, 36);
        harness.change(|fleet| {
            let canary = &mut Arc::make_mut(&mut fleet.contexts[0]).canaries[0];
            canary.gates = vec![GateView { name: "confirm-promotion".into(), since: None }];
        });
        harness.model.place.selection = Some(RowKey::Canary(target()));
        harness.model.place.moved = true;
        harness.keys("a y");
        harness.assert_shows("approve gke/app/frontend is sent in 5 s");
        harness.change(go);
        harness.wait(5);
        assert!(harness.sent.is_empty());
        harness.assert_shows("approve gke/app/frontend was not sent: ");
    }
}

#[test]
fn a_screen_whose_canary_or_context_is_gone_says_so_and_leads_back() {
    for (width, height) in SIZES {
        for address in [Address::Canary(target()), Address::Why(target()), Address::Provider("gke".into())] {
            let mut harness = Harness::armed(width, height);
            harness.visit(address.clone());
            harness.change(|fleet| drop(fleet.contexts.remove(0)));
            if width >= 80 {
                harness.assert_shows("is not there (any more)");
            }
            for keys in ["ctrl-x", "s", "b", "R", "X", "enter", "j", "c", "o", "e", "L", "w", "space"] {
                harness.keys(keys);
                harness.frame();
                assert!(harness.sent.is_empty(), "{keys} on {address}");
                harness.keys("esc");
                if harness.model.address != address {
                    harness.visit(address.clone());
                }
            }
            harness.keys(":");
            harness.text("fleet");
            harness.keys("enter");
            harness.assert_shows("eks");
        }
    }
}

/// More of everything than any screen has rows.
fn flood() -> FleetView {
    let mut view = fleet();
    let one = |at: usize| {
        let name = format!("service-{at:04}");
        let event =
            |number: i64| EventView { at: Some(before(number)), warning: number % 2 == 0, message: format!("{name} {number}"), count: 9 };
        let gate = |number: usize| GateView { name: format!("confirm-{number}"), since: Some(before(60)) };
        CanaryView {
            events: if at < 20 { (0..40).map(event).collect() } else { Vec::new() },
            gates: if at.is_multiple_of(10) { (0..8).map(gate).collect() } else { Vec::new() },
            ..canary(&name, Phase::Progressing, "istio")
        }
    };
    let first = Arc::make_mut(&mut view.contexts[0]);
    first.canaries = (0..1_000).map(|at| Arc::new(one(at))).collect();
    first.problems = (0..200).map(|at| format!("problem {at}")).collect();
    let model = view.contexts[1].clone();
    for at in 0..300 {
        let mut context = (*model).clone();
        (context.name, context.provider) = (format!("cluster-{at:03}"), format!("cluster-{at:03}"));
        view.contexts.push(Arc::new(context));
    }
    view.refs = (0..2_000).map(|at| RefView { name: format!("1.{at}.0"), commit: format!("{at:040x}"), at: Some(before(at)) }).collect();
    view.problems = (0..100).map(|at| format!("trouble {at}")).collect();
    view
}

#[test]
fn a_flood_and_its_end_keep_every_screen_and_its_cursor() {
    let (calm, full) = (fleet(), flood());
    for (width, height) in SIZES {
        for address in ["fleet", "provider/gke", "canary/gke/app/service-0000", "why/gke/app/service-0000", "versions", "gates", "events"] {
            let mut harness = Harness::armed(width, height);
            harness.show(full.clone());
            harness.visit(Address::parse(address).expect(address));
            for keys in ["G", "pgup", "k", "enter", "esc", "* ctrl-\\", "/ 9 enter", "O", "f8", "esc esc"] {
                harness.keys(keys);
                assert_eq!(harness.frame().lines().count(), usize::from(height), "{address} after {keys}");
            }
            for keys in [":", "C", "!", "b"] {
                harness.keys(keys);
                assert_eq!(harness.frame().lines().count(), usize::from(height), "{address} under {keys}");
                harness.keys("esc esc");
            }
            harness.keys("G");
            harness.show(calm.clone());
            assert_eq!(harness.frame().lines().count(), usize::from(height), "{address} when it is over");
            assert!(harness.model.rows.is_empty() || harness.model.cursor() < harness.model.rows.len());
            harness.keys("j k enter");
            harness.frame();
            assert!(harness.sent.is_empty());
        }
    }
}
