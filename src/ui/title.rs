//! The title of the window: what waits for a human and what has failed, for whoever looks at a row of tabs.

use super::attention;
use super::message::Effect;
use super::model::Model;
use super::theme;
use super::widgets::glyph::State;
use super::widgets::text::cut_middle;

/// Columns of a context's name.
const NAME: usize = 40;

/// Names the window, where it is to be called something else than before. Nothing is said of a fleet that was not
/// seen yet.
pub(super) fn renamed(model: &mut Model) -> Option<Effect> {
    if !model.seen {
        return None;
    }
    let title = title(model);
    if model.title == title {
        return None;
    }
    model.title.clone_from(&title);
    Some(Effect::Title(title))
}

/// `◆5 ✗2 pilothouse`: gates that wait, what has failed; with one context alone its name behind it.
#[must_use]
pub fn title(model: &Model) -> String {
    let (mut gates, mut failures, mut contexts) = (0, 0, Vec::new());
    for (context, digest) in model.digests.each().filter(|(context, _)| attention::in_scope(&model.scope, &context.name)) {
        gates += digest.gates;
        failures += digest.count(State::Fail);
        contexts.push(context.name.as_str());
    }
    let mut words = Vec::new();
    for (state, count) in [(State::Gate, gates), (State::Fail, failures)] {
        if count > 0 {
            words.push(format!("{}{count}", state.glyph()));
        }
    }
    words.push("pilothouse".into());
    if let [one] = contexts.as_slice() {
        words.push(cut_middle(one, NAME));
    }
    let title = words.join(" ");
    if model.ascii() { theme::text_to_ascii(&title) } else { title }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::session::view::{FleetView, GateView};
    use crate::ui::message::Event;
    use crate::ui::tests::harness::{Harness, crowd};
    use crate::ui::{Options, looks};

    #[test]
    fn the_window_says_what_waits_and_what_failed_once() {
        let mut harness = Harness::new(120, 36);
        assert_eq!(harness.titles, ["◆1 ✗1 pilothouse"]);
        harness.keys("j j ? q W y");
        harness.wait(5);
        let same = (*harness.model.view).clone();
        harness.show(same);
        assert_eq!(harness.titles.len(), 1, "what it is called already is not said again: {:?}", harness.titles);
        harness.change(|fleet| {
            let gate = GateView { name: "confirm-rollout".into(), since: None };
            Arc::make_mut(&mut fleet.contexts[0]).canaries[0].gates.push(gate);
        });
        harness.show(crowd());
        harness.change(|fleet| fleet.contexts.retain(|context| context.name == "provider-00" || context.name == "provider-01"));
        assert_eq!(harness.titles, ["◆1 ✗1 pilothouse", "◆2 ✗1 pilothouse", "pilothouse"]);
    }

    #[test]
    fn one_context_alone_is_named() {
        let mut harness = Harness::with(Options { contexts: vec!["gke".into()], ..Options::default() }, 120, 36);
        harness.keys("0");
        harness.keys(":");
        harness.text("ctx eks");
        harness.keys("enter");
        assert_eq!(harness.titles, ["pilothouse gke", "◆1 ✗1 pilothouse", "◆1 ✗1 pilothouse eks"]);
        harness.keys("0");
        harness.change(|fleet| {
            fleet.contexts.truncate(1);
            Arc::make_mut(&mut fleet.contexts[0]).name = format!("arn:aws:eks:{}:cluster/one", "x".repeat(80));
        });
        let last = harness.titles.last().expect("a title");
        assert!(last.starts_with("pilothouse arn:") && last.ends_with("/one") && last.chars().count() < 60, "{last}");
    }

    #[test]
    fn nothing_is_said_before_the_fleet_was_seen_and_ascii_stays_ascii() {
        let mut harness = Harness::unseen(Options { ascii: true, ..Options::default() }, 80, 24);
        harness.event(Event::Tick);
        harness.keys("j ? q");
        assert_eq!(harness.titles, Vec::<String>::new());
        harness.show(FleetView::default());
        assert_eq!(harness.titles, ["pilothouse"]);
        harness.show(crowd());
        assert_eq!(harness.titles[1], "@2 x1 pilothouse");
        let mut harness = Harness::new(80, 24);
        let looks = looks::Looks { ascii: Some(true), ..looks::Looks::default() };
        harness.event(Event::Looks(Arc::new(looks)));
        assert_eq!(harness.titles, ["◆1 ✗1 pilothouse", "@1 x1 pilothouse"]);
    }
}
