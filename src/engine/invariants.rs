//! Rules that no step may break (reliability-performance §2.3), checked on every step wherever one is taken: in
//! tests, in simulations, in the demo and in production, where the runner refuses the effect and logs an error.
//!
//! They are written against what a step does and not against how it comes to it, so that a guard of the engine that
//! is lost shows here. Rules over what a whole cluster went through are in `simulation::check`.

use jiff::Timestamp;

use super::effect::{Effect, Scale};
use super::observation::{Observation, Round, Route, Workload, stamp};
use super::step::{Step, latest_tick, may_be_given_up, moved_on};
use super::verdict::{self, Gate, Verdict};
use crate::domain::canary::{HookKind, Strategy};
use crate::domain::phase::Phase;
use crate::domain::status::{CanaryStatus, EngineState};

/// What a rule may look at.
struct Case<'a> {
    seen: &'a Observation,
    effect: &'a Effect,
    now: Timestamp,
    phase: Phase,
    state: EngineState,
    /// The status that the step writes.
    next: Option<&'a CanaryStatus>,
}

/// A rule: its number in the study, its words, and whether a case keeps it.
struct Rule {
    number: &'static str,
    words: &'static str,
    kept: fn(&Case<'_>) -> bool,
}

const RULES: [Rule; 20] = [
    Rule { number: "S1", words: "weights are within 0 and 100", kept: weights_in_range },
    Rule { number: "S3", words: "traffic goes only to a canary that is ready, at the revision under test", kept: canary_is_ready },
    Rule { number: "S4", words: "traffic returns to a promoted primary only once it is ready", kept: primary_is_ready },
    Rule {
        number: "S6",
        words: "the primary's template changes only in Promoting, to the revision that was judged",
        kept: copies_what_was_judged,
    },
    Rule {
        number: "S7",
        words: "only a revision that passed, or that an operator ordered by name, is promoted",
        kept: promotes_what_passed,
    },
    Rule { number: "S8", words: "a new revision starts with weight, counters and approvals at zero", kept: starts_from_zero },
    Rule {
        number: "S10",
        words: "the target is scaled to zero only when the primary carries the traffic or was told to",
        kept: scales_down_in_safety,
    },
    Rule { number: "S11", words: "a step forward follows only from checks that were all made and passed", kept: advances_on_passed_checks },
    Rule { number: "S15", words: "a step forward is one step, once an interval", kept: advances_one_step },
    Rule { number: "S16", words: "a rollout that ended gives the canary no traffic", kept: ended_means_ended },
    Rule { number: "S17", words: "a paused or suspended canary takes no step", kept: rests_when_told },
    Rule { number: "S19", words: "a closed gate is not passed", kept: gates_hold },
    Rule { number: "S20", words: "nothing is written where someone else drives", kept: only_the_driver_writes },
    Rule { number: "S21", words: "an operator's word gets one verdict, and goes only after it", kept: one_verdict },
    Rule { number: "S26", words: "status claims no weight that the route does not have", kept: status_is_true },
    Rule { number: "S27", words: "a Canary goes only once its target serves again, or is gone", kept: leaves_nobody_alone },
    Rule { number: "S29", words: "a rollout starts with pods", kept: scales_up_to_something },
    Rule { number: "S25", words: "phases follow each other as they may", kept: phases_follow },
    Rule { number: "S7", words: "what was promoted is recorded only at the end of a rollout", kept: records_promotion_at_the_end },
    Rule { number: "L3", words: "a rollback that was decided goes on to its end", kept: going_down_goes_on },
];

/// The rule that `step` would break at `now`, in words.
#[must_use]
pub fn broken(seen: &Observation, step: &Step, now: Timestamp) -> Option<String> {
    let effect = step.effect.as_ref()?;
    let next = match effect {
        Effect::WriteStatus { status, .. } => Some(&**status),
        _ => None,
    };
    let case = Case { seen, effect, now, phase: seen.status.phase, state: seen.engine(), next };
    let rule = RULES.iter().find(|rule| !(rule.kept)(&case))?;
    Some(format!("{}: {} ({} in {}: {effect:?})", rule.number, rule.words, seen.key, case.phase))
}

impl Case<'_> {
    /// The canary's weight that the step asks the route for.
    fn weight(&self) -> Option<i64> {
        match self.effect {
            Effect::SetTraffic(traffic) => Some(traffic.canary),
            _ => None,
        }
    }

    fn raises(&self) -> bool {
        self.weight().is_some_and(|w| w > self.seen.route.canary())
    }

    /// Requests are mirrored from now on.
    fn mirrors(&self) -> bool {
        matches!(self.effect, Effect::SetTraffic(traffic) if traffic.mirrored && !self.seen.route.traffic().mirrored)
    }

    fn strategy(&self) -> Strategy {
        self.seen.spec.strategy(&self.seen.can)
    }

    fn is_judged(&self) -> bool {
        matches!(self.phase, Phase::Progressing | Phase::WaitingPromotion)
    }

    fn is_promoting(&self) -> bool {
        matches!(self.phase, Phase::Promoting | Phase::Finalising)
    }

    fn moved_on(&self) -> bool {
        self.seen.target.as_ref().is_none_or(|target| moved_on(self.seen, target))
    }

    fn ordered(&self) -> bool {
        !self.seen.intents.is_empty() || !self.seen.broken_intents.is_empty()
    }

    fn ready(&self, workload: Option<&Workload>, percent: u32) -> bool {
        workload.is_some_and(|w| self.seen.readiness(w, percent, self.now).is_ready())
    }

    fn primary_ready(&self) -> bool {
        self.ready(self.seen.primary.as_ref(), self.seen.spec.analysis.primary_ready_percent())
    }

    fn canary_ready(&self) -> bool {
        self.ready(self.seen.target.as_ref(), self.seen.spec.analysis.canary_ready_percent())
    }

    /// The status enters `phase`.
    fn enters(&self, phase: Phase) -> bool {
        self.next.is_some_and(|next| next.phase == phase && self.phase != phase)
    }

    /// One iteration more, by this step's own decision.
    fn iterates(&self) -> bool {
        // Flagger leaves -1 behind; a start from zero is no step further than that.
        let before = self.seen.status.iterations;
        let more = |next: &&CanaryStatus| next.iterations > before && next.canary_weight == self.seen.status.canary_weight;
        !self.starts_anew() && self.next.as_ref().is_some_and(more)
    }

    /// Further than before: more traffic, or one iteration more, while the canary is judged.
    fn advances(&self) -> bool {
        self.is_judged() && (self.raises() || self.mirrors() || self.iterates())
    }

    /// The round with what was answered in the running interval, for the revision on record.
    fn round(&self) -> Option<&Round> {
        let recorded = self.seen.recorded_checksum();
        let round = self.seen.round.as_ref();
        round.filter(|r| recorded.as_ref() == Some(&r.checksum) && Some(r.due) > self.seen.status.last_transition_time)
    }

    /// Every check of the running interval was made for this revision, and passed.
    fn passed(&self) -> bool {
        matches!(verdict::verdict(self.seen, self.round()), Verdict::Free { .. })
    }

    /// An operator ordered the promotion of this very revision.
    fn promotion_is_ordered(&self) -> bool {
        self.state.promote_now.is_some() && self.state.promote_now == self.seen.recorded_checksum()
    }

    fn is_open(&self, gate: HookKind, revision: Option<String>) -> bool {
        let Some(revision) = revision else { return !self.seen.gates.contains(&gate) };
        // Before a rollout starts there is no interval; its answers belong to the revision that wants to start.
        let round = self.seen.round.as_ref().filter(|round| round.checksum == revision);
        matches!(verdict::gate(self.seen, round, gate, &revision), Gate::Open(_))
    }

    /// A rollout of something else than what is on record is started.
    fn starts_anew(&self) -> bool {
        self.next.is_some_and(|next| next.phase == Phase::Progressing && next.last_applied_spec != self.seen.status.last_applied_spec)
    }
}

fn weights_in_range(case: &Case<'_>) -> bool {
    let range = 0..=100;
    case.weight().is_none_or(|w| range.contains(&w)) && case.next.is_none_or(|next| range.contains(&next.canary_weight))
}

fn canary_is_ready(case: &Case<'_>) -> bool {
    if !case.raises() && !case.mirrors() {
        return true;
    }
    if case.is_promoting() {
        // The canary has passed; it carries on where the new primary does not come up.
        return !case.primary_ready() && case.canary_ready();
    }
    case.is_judged() && !case.moved_on() && case.canary_ready()
}

fn primary_is_ready(case: &Case<'_>) -> bool {
    let returns = case.is_promoting() && case.weight().is_some_and(|w| w < case.seen.route.canary());
    let stamp = case.seen.recorded_stamp();
    let copied = case.seen.primary.as_ref().is_some_and(|primary| primary.stamp.is_some() && primary.stamp == stamp);
    !returns || case.ordered() || !copied || case.primary_ready()
}

fn copies_what_was_judged(case: &Case<'_>) -> bool {
    let Effect::CopyToPrimary { id } = case.effect else { return true };
    if case.seen.primary.is_none() {
        return case.seen.checksum().is_some_and(|checksum| *id == stamp(&checksum));
    }
    case.phase == Phase::Promoting && !case.moved_on() && case.seen.recorded_stamp().as_ref() == Some(id)
}

fn promotes_what_passed(case: &Case<'_>) -> bool {
    if !case.enters(Phase::Promoting) {
        return true;
    }
    let (spec, status) = (&case.seen.spec, &case.seen.status);
    let at_the_end = match case.strategy() {
        Strategy::Progressive => case.phase == Phase::WaitingPromotion || spec.analysis.next_weight(status.canary_weight).is_none(),
        Strategy::BlueGreen => status.iterations > spec.iterations(),
        Strategy::AbTesting => status.iterations >= spec.iterations(),
    };
    // What is not to be analysed has to be ready all the same.
    let skipped = spec.skip_analysis && case.canary_ready();
    case.is_judged() && !case.moved_on() && (case.promotion_is_ordered() || skipped || at_the_end && case.passed())
}

fn starts_from_zero(case: &Case<'_>) -> bool {
    let Some(next) = case.next.filter(|_| case.starts_anew()) else { return true };
    let state = next.engine();
    (next.canary_weight, next.failed_checks, next.iterations) == (0, 0, 0)
        && state.approvals.is_empty()
        && state.promote_now.is_none()
        && case.seen.route.canary() == 0
}

fn scales_down_in_safety(case: &Case<'_>) -> bool {
    if !matches!(case.effect, Effect::ScaleTarget(Scale::Zero)) {
        return true;
    }
    let carried = case.seen.route.is_all_primary() && case.seen.primary.is_some();
    let given_up = case.state.going_down.is_some() || case.ordered();
    carried && (given_up || matches!(case.phase, Phase::Initializing | Phase::Finalising) && case.primary_ready())
}

fn advances_on_passed_checks(case: &Case<'_>) -> bool {
    !case.advances() || case.passed()
}

fn advances_one_step(case: &Case<'_>) -> bool {
    if !case.advances() {
        return true;
    }
    let (spec, status) = (&case.seen.spec, &case.seen.status);
    let one = match (case.strategy(), case.weight()) {
        (_, None) => case.next.is_some_and(|next| next.iterations == status.iterations + 1),
        (_, Some(0)) => case.mirrors() && status.canary_weight == 0,
        (Strategy::Progressive, Some(weight)) => spec.analysis.next_weight(status.canary_weight) == Some(weight),
        (Strategy::BlueGreen, Some(weight)) => weight == 100 && status.iterations >= spec.iterations(),
        (Strategy::AbTesting, Some(weight)) => weight == 100,
    };
    one && latest_tick(case.seen, case.now).is_some()
}

fn ended_means_ended(case: &Case<'_>) -> bool {
    !case.raises() || case.phase.is_in_flight()
}

fn rests_when_told(case: &Case<'_>) -> bool {
    let told = case.state.pause.is_some() || case.seen.spec.suspend;
    let excused = case.state.going_down.is_some() || case.ordered() || case.seen.deleting;
    let moves = match case.next {
        Some(next) => next.phase != case.phase || next.canary_weight != case.seen.status.canary_weight,
        None => case.effect.mutates() && !matches!(case.effect, Effect::RemoveIntent { .. }),
    };
    !told || excused || !moves
}

fn gates_hold(case: &Case<'_>) -> bool {
    let recorded = || case.seen.recorded_checksum();
    if case.enters(Phase::Promoting) {
        return case.promotion_is_ordered() || case.seen.spec.skip_analysis || case.is_open(HookKind::ConfirmPromotion, recorded());
    }
    let first_behind_mirror = case.seen.route.traffic().mirrored;
    if case.is_judged() && case.raises() && case.strategy() == Strategy::Progressive && !first_behind_mirror {
        return case.is_open(HookKind::ConfirmTrafficIncrease, recorded());
    }
    // A revision that replaces one in mid-run, or is ordered again, has no gate before it.
    let from_rest = case.phase.is_settled() || case.phase == Phase::Waiting;
    !(case.starts_anew() && from_rest && !case.ordered()) || case.is_open(HookKind::ConfirmRollout, case.seen.checksum())
}

fn only_the_driver_writes(case: &Case<'_>) -> bool {
    case.seen.hands_off.is_none()
}

fn one_verdict(case: &Case<'_>) -> bool {
    if let Effect::RemoveIntent { id } = case.effect {
        return case.state.verdict(id).is_some();
    }
    let Some(next) = case.next else { return true };
    let state = next.engine();
    let mut ids: Vec<_> = state.verdicts.iter().map(|v| v.id.as_str()).collect();
    ids.sort_unstable();
    ids.windows(2).all(|pair| pair[0] != pair[1])
}

fn status_is_true(case: &Case<'_>) -> bool {
    let Some(next) = case.next else { return true };
    let settles = next.phase != case.phase || next.canary_weight != case.seen.status.canary_weight;
    !settles || !matches!(case.seen.route, Route::Present { traffic, .. } if traffic.canary != next.canary_weight)
}

fn scales_up_to_something(case: &Case<'_>) -> bool {
    !matches!(case.effect, Effect::ScaleTarget(Scale::To(n)) if *n < 1)
}

fn leaves_nobody_alone(case: &Case<'_>) -> bool {
    let lets_go = matches!(case.effect, Effect::Finalizer { present: false, .. }) && case.seen.deleting;
    let leaving = case.seen.leaving;
    !lets_go || case.seen.target.is_none() || case.canary_ready() && !leaving.service && !leaving.route
}

fn phases_follow(case: &Case<'_>) -> bool {
    use Phase::{Failed, Finalising, Initialized, Initializing, New, Progressing, Promoting, Succeeded, Waiting, WaitingPromotion};
    let Some(next) = case.next.map(|next| next.phase) else { return true };
    if next == case.phase {
        return true;
    }
    if next == Phase::Terminating {
        return case.seen.deleting && case.seen.finalizer;
    }
    match case.phase {
        New => next == Initializing,
        Initializing => next == Initialized,
        Initialized | Succeeded => matches!(next, Waiting | Progressing),
        Failed => matches!(next, Waiting | Progressing),
        Waiting => matches!(next, Progressing | Failed),
        Progressing => matches!(next, WaitingPromotion | Promoting | Failed),
        WaitingPromotion => matches!(next, Progressing | Promoting | Failed),
        Promoting => matches!(next, Finalising | Failed | Progressing),
        Finalising => matches!(next, Succeeded | Failed),
        _ => false,
    }
}

fn records_promotion_at_the_end(case: &Case<'_>) -> bool {
    let Some(next) = case.next.filter(|next| next.last_promoted_spec != case.seen.status.last_promoted_spec) else { return true };
    let ends = matches!(next.phase, Phase::Initialized | Phase::Succeeded) && next.phase != case.phase;
    let adopted = case.phase.is_settled() && next.phase == case.phase && case.seen.primary_equals_target;
    ends || adopted
}

fn going_down_goes_on(case: &Case<'_>) -> bool {
    let down = case.state.going_down.is_some() && may_be_given_up(case.phase);
    let Some(next) = case.next.filter(|_| down) else { return true };
    next.phase == Phase::Failed || next.phase == case.phase && next.engine().going_down.is_some()
}
