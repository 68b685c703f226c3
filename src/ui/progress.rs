//! How far it is with what this operator sent, for the tab or the task bar of the terminal.

use super::message::Effect;
use super::model::Model;
use super::orders::{self, Order, Tally};
use crate::session::command::Command;

/// What is shown of work that takes a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is under way.
    #[default]
    None,
    /// So many percent are done.
    Percent(u8),
    /// It is under way, and nobody knows how far.
    Indeterminate,
    /// So many percent are through, and not all of that went well.
    Error(u8),
}

/// Targets of an order: each has an outcome of its own.
fn targets(order: &Order) -> usize {
    match &order.command {
        Command::Verb { .. } | Command::Sync { .. } => 1,
        Command::Bump { providers, .. } => providers.len(),
        Command::Permissions { .. } | Command::LoggedIn { .. } => 0,
    }
}

/// Notes that the orders of a confirmation go out.
pub(super) fn begin(model: &mut Model, batch: u64, orders: &[Order]) {
    model.under_way.insert(batch, orders.iter().map(targets).sum());
}

/// Shows how far it is, where that is another than before.
pub(super) fn moved(model: &mut Model) -> Option<Effect> {
    let progress = progress(model);
    if progress == Progress::None {
        model.under_way.clear();
    }
    if model.progress == progress {
        return None;
    }
    model.progress = progress;
    Some(Effect::Progress(progress))
}

/// How far the confirmations under way are together: what is through stays counted until all are.
#[must_use]
pub fn progress(model: &Model) -> Progress {
    let (mut through, mut all, mut flawed) = (0, 0, false);
    for (batch, targets) in &model.under_way {
        let tally = Tally::of(&orders::of_batch(model, *batch));
        through += (tally.done + tally.refused + tally.failed).min(*targets);
        all += targets;
        flawed |= tally.refused + tally.failed > 0;
    }
    if through >= all || model.ended {
        return Progress::None;
    }
    let percent = u8::try_from(through * 100 / all).unwrap_or(100);
    match (all, flawed) {
        (_, true) => Progress::Error(percent),
        (1, false) => Progress::Indeterminate,
        (_, false) => Progress::Percent(percent),
    }
}

#[cfg(test)]
mod tests {
    use crate::session::command::{Outcome, OutcomeState};
    use crate::ui::message::Event;
    use crate::ui::progress::Progress;
    use crate::ui::rows::RowKey;
    use crate::ui::tests::harness::{Harness, crowd};

    fn outcome(harness: &mut Harness, id: u64, target: &str, state: OutcomeState) {
        harness.event(Event::Outcome(Outcome { id, target: target.into(), state, message: "heard".into() }));
    }

    #[test]
    fn one_verb_is_under_way_until_its_outcome_is_known() {
        let mut harness = Harness::armed(120, 36);
        harness.select("ledger");
        harness.keys("a y");
        harness.wait(4);
        assert_eq!(harness.progress, [], "what waits is not under way");
        harness.wait(1);
        outcome(&mut harness, 1, "eks/app/ledger", OutcomeState::Pending);
        harness.wait(1);
        assert_eq!(harness.progress, [Progress::Indeterminate]);
        outcome(&mut harness, 1, "eks/app/ledger", OutcomeState::Done);
        outcome(&mut harness, 9, "eks/app/ledger", OutcomeState::Done);
        assert_eq!(harness.progress, [Progress::Indeterminate, Progress::None]);
    }

    #[test]
    fn many_verbs_count_what_is_through_and_show_what_failed() {
        let mut harness = Harness::armed(120, 36);
        harness.show(crowd());
        harness.keys("!");
        harness.text("INC-7");
        harness.keys("tab");
        harness.text("abort 7");
        for id in 1..=5 {
            outcome(&mut harness, id, &format!("target-{id}"), OutcomeState::Pending);
            outcome(&mut harness, id, &format!("target-{id}"), OutcomeState::Done);
        }
        outcome(&mut harness, 6, "target-6", OutcomeState::Refused);
        outcome(&mut harness, 7, "target-7", OutcomeState::Failed);
        let percent = [0, 14, 28, 42, 57, 71].map(Progress::Percent);
        assert_eq!(harness.progress[..6], percent);
        assert_eq!(harness.progress[6..], [Progress::Error(85), Progress::None]);
    }

    #[test]
    fn a_bump_has_as_many_parts_as_providers_and_a_sync_one() {
        let mut harness = Harness::armed(120, 36);
        for provider in ["gke", "eks"] {
            harness.model.place.selection = Some(RowKey::Context(provider.into()));
            harness.model.place.moved = true;
            harness.keys("space");
        }
        harness.keys("b");
        harness.text("1.2.0");
        harness.keys("enter");
        harness.text("bump 2");
        outcome(&mut harness, 1, "eks", OutcomeState::Pending);
        outcome(&mut harness, 1, "eks", OutcomeState::Done);
        outcome(&mut harness, 1, "gke", OutcomeState::Pending);
        // A second one, while the first is under way.
        harness.model.place.selection = Some(RowKey::Context("eks".into()));
        harness.keys("R y");
        outcome(&mut harness, 1, "gke", OutcomeState::Done);
        outcome(&mut harness, 2, "eks", OutcomeState::Done);
        let shown = [Progress::Percent(0), Progress::Percent(50), Progress::Percent(33), Progress::Percent(66), Progress::None];
        assert_eq!(harness.progress, shown);
    }

    #[test]
    fn the_end_of_the_session_is_the_end_of_it() {
        let mut harness = Harness::armed(120, 36);
        harness.model.place.selection = Some(RowKey::Context("eks".into()));
        harness.model.place.moved = true;
        harness.keys("R y");
        harness.event(Event::Ended);
        assert_eq!(harness.progress, [Progress::Indeterminate, Progress::None]);
    }
}
