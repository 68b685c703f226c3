//! What frames need of a context as a whole, found out once for each change of it and not for each frame.

use std::sync::Arc;

use jiff::Timestamp;

use super::attention::{link_state, own_state};
use super::widgets::glyph::State;
use crate::session::view::{ContextView, FleetView, Link};

/// Seconds for which the age of a canary is told in seconds.
const YOUNG: i64 = 120;

/// One context in numbers.
#[derive(Clone, Debug)]
pub struct Digest {
    /// Its own state, or that of the canary which needs a look most.
    pub state: State,
    /// Canaries in each state, by what their drivers wrote; the context itself where it is the trouble.
    counts: [usize; State::ALL.len()],
    /// Canaries in a state that deserves a look.
    pub restless: usize,
    /// Gates that wait.
    pub gates: usize,
    /// The last step that is due.
    due: Option<Timestamp>,
    /// The youngest change of a canary.
    changed: Option<Timestamp>,
    connecting: bool,
    live: bool,
}

impl Digest {
    /// The numbers of a context.
    #[must_use]
    pub fn of(context: &ContextView) -> Self {
        let own = link_state(context);
        let live = context.link.is_live();
        let mut digest = Self {
            state: own,
            counts: [0; State::ALL.len()],
            restless: 0,
            gates: 0,
            due: None,
            changed: None,
            connecting: matches!(context.link, Link::Connecting { .. }),
            live,
        };
        if !live || matches!(own, State::Fail | State::Hold) {
            digest.counts[own as usize] += 1;
        }
        for canary in &context.canaries {
            digest.gates += canary.gates.len();
            if !live {
                continue;
            }
            let state = own_state(canary);
            digest.counts[state as usize] += 1;
            digest.restless += usize::from(!state.is_calm());
            if state != State::Gone {
                digest.state = digest.state.min(state);
            }
            digest.due = digest.due.max(canary.report.as_ref().and_then(|report| report.until));
            digest.changed = digest.changed.max(canary.since);
        }
        digest
    }

    /// How many stand in a state.
    #[must_use]
    pub const fn count(&self, state: State) -> usize {
        self.counts[state as usize]
    }

    /// Whether something of it counts seconds.
    #[must_use]
    pub fn counts_seconds(&self, now: Timestamp) -> bool {
        let due = self.due.is_some_and(|due| due > now);
        let young = self.changed.is_some_and(|changed| now.as_second() - changed.as_second() < YOUNG);
        self.connecting || (self.live && (due || young))
    }
}

/// The numbers of a fleet, context by context, in its order.
#[derive(Clone, Debug, Default)]
pub struct Digests {
    known: Vec<(Arc<ContextView>, Digest)>,
}

impl Digests {
    /// Looks at the contexts that are not as they were; the others are the same allocation as before.
    pub fn take(&mut self, view: &FleetView) {
        let before = std::mem::take(&mut self.known);
        self.known = view
            .contexts
            .iter()
            .enumerate()
            .map(|(at, context)| {
                let same = before.get(at).filter(|(known, _)| Arc::ptr_eq(known, context));
                let digest = same.map_or_else(|| Digest::of(context), |(_, digest)| digest.clone());
                (Arc::clone(context), digest)
            })
            .collect();
    }

    /// The numbers of the context at this place of the fleet.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&Digest> {
        self.known.get(at).map(|(_, digest)| digest)
    }

    /// The state of a context of the fleet, found by its name; one that is not there is looked at.
    #[must_use]
    pub fn state(&self, context: &ContextView) -> State {
        let known = self.known.iter().find(|(known, _)| known.name == context.name);
        known.map_or_else(|| Digest::of(context).state, |(_, digest)| digest.state)
    }

    /// Every context with its numbers.
    pub fn each(&self) -> impl Iterator<Item = (&ContextView, &Digest)> {
        self.known.iter().map(|(context, digest)| (&**context, digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::tests::harness::{crowd, fleet, now};

    /// The state of a provider: its own, or that of the canary which needs a look most.
    fn provider_state(context: &ContextView) -> State {
        let own = link_state(context);
        if !context.link.is_live() {
            return own;
        }
        let canaries = context.canaries.iter().map(own_state).filter(|state| *state != State::Gone);
        canaries.fold(own, std::cmp::Ord::min)
    }

    #[test]
    fn numbers_are_those_of_a_look_at_every_canary() {
        for view in [fleet(), crowd()] {
            let mut digests = Digests::default();
            digests.take(&view);
            for (context, digest) in digests.each() {
                assert_eq!(digest.state, provider_state(context), "{}", context.name);
                let canaries = if context.link.is_live() { context.canaries.len() } else { 1 };
                let counted: usize = State::ALL.iter().map(|state| digest.count(*state)).sum();
                assert_eq!(
                    counted,
                    canaries + usize::from(context.link.is_live() && matches!(link_state(context), State::Fail | State::Hold))
                );
            }
        }
        assert_eq!(State::ALL.map(|state| state as usize).iter().copied().max(), Some(State::ALL.len() - 1));
    }

    #[test]
    fn only_what_changed_is_looked_at_again() {
        let mut view = fleet();
        let mut digests = Digests::default();
        digests.take(&view);
        assert!(digests.get(0).expect("gke").counts_seconds(now()), "a step is due in a minute");
        Arc::make_mut(&mut view.contexts[1]).canaries.clear();
        digests.take(&view);
        assert_eq!(digests.get(1).expect("eks").state, State::Wait, "behind, and nothing else");
        assert_eq!(digests.get(0).expect("gke").state, State::Slo);
    }
}
