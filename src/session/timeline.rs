//! One rollout as a line of stages: what was planned, how far it came, what the checks said on the way, and who let it pass.
//!
//! Pure, and the same for whoever drives: phase and status say where the rollout stands, events say how it came there. Events
//! age out after an hour; then a stage is done without a date, and never without being done.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::happening::{self, Happening};
use super::view::{CanaryView, EventView};
use crate::domain::canary::HookKind;
use crate::domain::intent::Verb;
use crate::domain::phase::Phase;
use crate::engine::report::Reason;

/// Iterations with stages of their own; more of them share one.
const ITERATIONS: u32 = 40;
/// Marks of one stage.
const MARKS: usize = 20;

/// A rollout, from detection to its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    pub stages: Vec<Stage>,
    /// Percent of the traffic that the canary had at most, as far as is known.
    pub peak: u32,
    /// When it began.
    pub began: Option<Timestamp>,
    /// When it ended; none while it runs.
    pub ended: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    pub kind: StageKind,
    pub state: StageState,
    /// When it was entered, or passed for those that take no time.
    pub at: Option<Timestamp>,
    /// What the checks said while it lasted, oldest first.
    pub marks: Vec<Mark>,
    /// Who opened the gate, or ended the rollout.
    pub who: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageKind {
    Detect,
    /// A gate before or amid the steps, by its webhook type.
    Gate(String),
    PreRollout,
    /// Copies of the primary's requests go to the canary.
    Mirror,
    /// Percent of the traffic.
    Weight(u32),
    Iteration {
        at: u32,
        of: u32,
    },
    PromoteGate,
    Copy,
    Finalise,
    Done,
    Rollback,
}

impl StageKind {
    /// What it is called, in a word or two.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Detect => "detect".into(),
            Self::Gate(name) if name == HookKind::ConfirmRollout.word() => "start gate".into(),
            Self::Gate(name) if name == HookKind::ConfirmTrafficIncrease.word() => "traffic gate".into(),
            Self::Gate(name) => name.clone(),
            Self::PreRollout => "pre-rollout".into(),
            Self::Mirror => "mirror".into(),
            Self::Weight(weight) => format!("{weight}%"),
            Self::Iteration { at, of } => format!("{at}/{of}"),
            Self::PromoteGate => "promote gate".into(),
            Self::Copy => "copy".into(),
            Self::Finalise => "finalise".into(),
            Self::Done => "done".into(),
            Self::Rollback => "rollback".into(),
        }
    }

    /// Whether checks are made in it.
    #[must_use]
    pub const fn is_step(&self) -> bool {
        matches!(self, Self::Mirror | Self::Weight(_) | Self::Iteration { .. })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageState {
    Done,
    Here,
    Ahead,
    /// It was not gone through, and will not be.
    Skipped,
    /// The rollout ended in it.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    Passed,
    Failed,
    /// No data, or a metric server that could not be asked.
    NoData,
    /// Waited: for pods, a gate, or somebody who paused it.
    Held,
}

/// What happened in the last rollout, oldest first.
struct Run<'a> {
    events: Vec<(&'a EventView, Happening)>,
    began: Option<Timestamp>,
}

/// The last rollout of `canary`, or the one that runs, at `now`.
#[must_use]
pub fn timeline(canary: &CanaryView, now: Timestamp) -> Timeline {
    let run = Run::of(canary, now);
    let mut stages = planned(canary);
    if stages.is_empty() {
        return Timeline::default();
    }
    let here = run.place(canary, &stages);
    if let Some(at) = here.gate_amid {
        stages.insert(at, stage(StageKind::Gate(HookKind::ConfirmTrafficIncrease.word().into())));
    }
    for (at, stage) in stages.iter_mut().enumerate() {
        stage.state = match at.cmp(&here.stage) {
            std::cmp::Ordering::Less if run.skips(canary, stage) => StageState::Skipped,
            std::cmp::Ordering::Less => StageState::Done,
            std::cmp::Ordering::Equal => here.state,
            std::cmp::Ordering::Greater => here.rest,
        };
        stage.at = run.entered(&stage.kind).filter(|_| matches!(stage.state, StageState::Done | StageState::Here | StageState::Failed));
        stage.who = run.who(canary, &stage.kind).filter(|_| stage.state == StageState::Done);
    }
    run.mark(&mut stages, here.stage);
    if let (Some(current), true) = (stages.get_mut(here.stage), canary.paused.is_some()) {
        current.marks.push(Mark::Held);
    }
    if let Some(state) = here.rollback {
        let mut rollback =
            Stage { state, at: run.last(|h| matches!(h, Happening::RollingBack | Happening::Failed)), ..stage(StageKind::Rollback) };
        rollback.at = rollback.at.or_else(|| canary.since.filter(|_| state == StageState::Failed));
        rollback.who =
            canary.verdicts.iter().rev().find(|v| v.accepted && matches!(v.verb, Verb::Abort | Verb::Reject)).map(|v| v.who.clone());
        stages.insert(here.stage + 1, rollback);
    }
    let settled = matches!(canary.phase, Phase::Succeeded | Phase::Failed);
    Timeline { peak: run.peak(canary), stages, began: run.began, ended: canary.since.filter(|_| settled) }
}

const fn stage(kind: StageKind) -> Stage {
    Stage { kind, state: StageState::Ahead, at: None, marks: Vec::new(), who: None }
}

/// The stages that the Canary asks for.
fn planned(canary: &CanaryView) -> Vec<Stage> {
    let has = |kind: HookKind| canary.hooks.iter().any(|hook| hook.kind == kind.word());
    let mut kinds = vec![StageKind::Detect];
    if has(HookKind::ConfirmRollout) || canary.phase == Phase::Waiting {
        kinds.push(StageKind::Gate(HookKind::ConfirmRollout.word().into()));
    }
    if has(HookKind::PreRollout) {
        kinds.push(StageKind::PreRollout);
    }
    if canary.max_iterations > 0 {
        if canary.max_iterations <= ITERATIONS {
            kinds.extend((1..=canary.max_iterations).map(|at| StageKind::Iteration { at, of: canary.max_iterations }));
        } else {
            kinds.push(StageKind::Iteration { at: canary.iterations, of: canary.max_iterations });
        }
    } else {
        if canary.mirror {
            kinds.push(StageKind::Mirror);
        }
        kinds.extend(canary.steps.iter().map(|weight| StageKind::Weight(*weight)));
    }
    if has(HookKind::ConfirmPromotion) || canary.phase == Phase::WaitingPromotion {
        kinds.push(StageKind::PromoteGate);
    }
    kinds.extend([StageKind::Copy, StageKind::Finalise, StageKind::Done]);
    kinds.into_iter().map(stage).collect()
}

/// Where a rollout stands among its stages.
struct Here {
    stage: usize,
    state: StageState,
    /// State of the stages behind it.
    rest: StageState,
    rollback: Option<StageState>,
    /// Where a gate that waits amid the steps is to be put; it is then the stage.
    gate_amid: Option<usize>,
}

impl Here {
    const fn at(stage: usize) -> Self {
        Self { stage, state: StageState::Here, rest: StageState::Ahead, rollback: None, gate_amid: None }
    }
}

impl<'a> Run<'a> {
    fn of(canary: &'a CanaryView, now: Timestamp) -> Self {
        let mut events: Vec<_> = canary.events.iter().rev().map(|event| (event, happening::read(event))).collect();
        // Dates have whole seconds: within one, the order of a rollout decides.
        events.sort_by_key(|(event, happening)| (event.at.unwrap_or(now), rank(happening)));
        let ends = |h: &Happening| matches!(h, Happening::Failed | Happening::Promoted | Happening::Skipped | Happening::Initialised);
        let detected = events.iter().rposition(|(_, h)| *h == Happening::Detected);
        let began = match (canary.phase, detected) {
            // It has not begun, and waits to: what belongs to it came after the last one's end.
            (Phase::Waiting, _) => events.iter().rposition(|(_, h)| ends(h)).map_or(0, |at| at + 1),
            // A gate before the first step is asked before the beginning is told of.
            (_, Some(at)) => events.get(..at).and_then(|earlier| earlier.iter().rposition(|(_, h)| ends(h))).map_or(0, |at| at + 1),
            (_, None) => events.len(),
        };
        let from = detected.filter(|_| canary.phase != Phase::Waiting);
        let gate = |h: &Happening| {
            matches!(h, Happening::GateWaits(HookKind::ConfirmRollout) | Happening::GatePassed { gate: HookKind::ConfirmRollout, .. })
        };
        let events: Vec<_> = events
            .into_iter()
            .enumerate()
            .filter(|(at, (_, h))| *at >= began && (from.is_none_or(|from| *at >= from) || gate(h)))
            .map(|(_, event)| event)
            .collect();
        let began = events.iter().find(|(_, h)| *h == Happening::Detected).or_else(|| events.first()).and_then(|(event, _)| event.at);
        Self { events, began }
    }

    fn last(&self, which: impl Fn(&Happening) -> bool) -> Option<Timestamp> {
        self.events.iter().rev().find(|(_, h)| which(h)).and_then(|(event, _)| event.at)
    }

    fn has(&self, which: impl Fn(&Happening) -> bool) -> bool {
        self.events.iter().any(|(_, h)| which(h))
    }

    fn peak(&self, canary: &CanaryView) -> u32 {
        let weights = self.events.iter().filter_map(|(_, h)| match h {
            Happening::Weight(weight) => Some(*weight),
            Happening::Switched => Some(100),
            _ => None,
        });
        weights.chain([canary.weight]).chain(canary.report.iter().filter_map(judged_at)).max().unwrap_or(0)
    }

    fn iteration(&self, canary: &CanaryView) -> u32 {
        let counted = self.events.iter().filter_map(|(_, h)| match h {
            Happening::Iteration(iteration) => Some(*iteration),
            _ => None,
        });
        counted.chain([canary.iterations]).max().unwrap_or(0).min(canary.max_iterations)
    }

    /// Where the rollout stands, or ended.
    fn place(&self, canary: &CanaryView, stages: &[Stage]) -> Here {
        let find = |wanted: &StageKind| stages.iter().position(|s| s.kind == *wanted);
        let gate = || find(&StageKind::Gate(HookKind::ConfirmRollout.word().into()));
        let (copy, last) = (find(&StageKind::Copy).unwrap_or(0), stages.len().saturating_sub(1));
        let all = |state| Here { stage: 0, state, rest: state, rollback: None, gate_amid: None };
        match canary.phase {
            Phase::Waiting => Here::at(gate().unwrap_or(0)),
            Phase::Progressing => {
                let mut here = Here::at(self.step(canary, stages));
                if going_down(canary) {
                    return Here { state: StageState::Failed, rest: StageState::Skipped, rollback: Some(StageState::Here), ..here };
                }
                let waits = canary.gates.iter().any(|g| g.name == HookKind::ConfirmTrafficIncrease.word());
                if waits || matches!(self.events.last(), Some((_, Happening::GateWaits(HookKind::ConfirmTrafficIncrease)))) {
                    // Before the first traffic it stands before the first step, else behind the step that it keeps back.
                    let under_way = stages.get(here.stage).is_some_and(|s| s.kind.is_step() && self.has_entered(canary));
                    here = Here::at(here.stage + usize::from(under_way));
                    here.gate_amid = Some(here.stage);
                }
                here
            }
            Phase::WaitingPromotion if going_down(canary) => Here {
                state: StageState::Failed,
                rest: StageState::Skipped,
                rollback: Some(StageState::Here),
                ..Here::at(find(&StageKind::PromoteGate).unwrap_or(copy))
            },
            Phase::WaitingPromotion => Here::at(find(&StageKind::PromoteGate).unwrap_or(copy)),
            Phase::Promoting => Here::at(copy),
            Phase::Finalising => Here::at(copy + 1),
            Phase::Succeeded => Here { state: StageState::Done, ..Here::at(last) },
            Phase::Failed => {
                let refused = canary.verdicts.iter().rev().find(|v| v.accepted).is_some_and(|v| v.verb == Verb::Reject);
                let at = if self.has(|h| *h == Happening::Copying) {
                    copy
                } else if refused && self.has(|h| *h == Happening::GateWaits(HookKind::ConfirmPromotion)) {
                    find(&StageKind::PromoteGate).unwrap_or(copy)
                } else if refused && !self.has(|h| matches!(h, Happening::Weight(_) | Happening::Iteration(_) | Happening::Starting)) {
                    gate().unwrap_or(0)
                } else {
                    self.step(canary, stages)
                };
                Here { state: StageState::Failed, rest: StageState::Skipped, rollback: Some(StageState::Failed), ..Here::at(at) }
            }
            _ => all(StageState::Ahead),
        }
    }

    fn has_entered(&self, canary: &CanaryView) -> bool {
        self.peak(canary) > 0 || self.iteration(canary) > 0
    }

    /// The step that was reached; before any the stage in front of them.
    fn step(&self, canary: &CanaryView, stages: &[Stage]) -> usize {
        let first = stages.iter().position(|s| s.kind.is_step());
        let before = stages.iter().position(|s| s.kind == StageKind::PreRollout).or(first).unwrap_or(0);
        let (peak, iteration) = (self.peak(canary), self.iteration(canary));
        // Weights are those of now: a route that somebody set back is further back.
        let weight = if canary.phase.is_in_flight() { canary.weight } else { peak };
        let reached = |s: &Stage| match s.kind {
            StageKind::Weight(planned) => planned <= weight,
            StageKind::Iteration { at, .. } => iteration > 0 && at <= iteration,
            StageKind::Mirror => weight > 0 || self.has(|h| *h == Happening::Weight(0)),
            _ => false,
        };
        let found = stages.iter().rposition(reached);
        // A route that was set below the first step is in the first step.
        found.or_else(|| first.filter(|_| weight > 0)).unwrap_or(before)
    }

    /// Whether `stage`, which lies behind, was never gone through.
    fn skips(&self, canary: &CanaryView, stage: &Stage) -> bool {
        let ordered = canary.verdicts.iter().rev().find(|v| v.accepted).is_some_and(|v| v.verb == Verb::Promote);
        let skipped = self.has(|h| *h == Happening::Skipped) || ordered;
        skipped
            && match stage.kind {
                StageKind::Weight(weight) => weight > self.peak(canary),
                StageKind::Iteration { at, .. } => at > self.iteration(canary),
                StageKind::PreRollout => !self.has(|h| *h == Happening::PreRolloutPassed),
                StageKind::Mirror => !self.has_entered(canary),
                StageKind::PromoteGate => !self.has(|h| matches!(h, Happening::GatePassed { gate: HookKind::ConfirmPromotion, .. })),
                _ => false,
            }
    }

    /// When `kind` was entered.
    fn entered(&self, kind: &StageKind) -> Option<Timestamp> {
        match kind {
            StageKind::Detect => self.began,
            StageKind::Gate(name) => {
                let gate = HookKind::parse(name)?;
                self.last(|h| *h == Happening::GateWaits(gate)).or_else(|| self.passed(gate))
            }
            StageKind::PreRollout => self.last(|h| *h == Happening::Starting),
            StageKind::Mirror => self.last(|h| *h == Happening::Weight(0)),
            StageKind::Weight(weight) => self.last(|h| *h == Happening::Weight(*weight)),
            StageKind::Iteration { at, .. } => self.last(|h| *h == Happening::Iteration(*at)),
            StageKind::PromoteGate => {
                self.last(|h| *h == Happening::GateWaits(HookKind::ConfirmPromotion)).or_else(|| self.passed(HookKind::ConfirmPromotion))
            }
            StageKind::Copy => self.last(|h| *h == Happening::Copying),
            StageKind::Finalise => self.last(|h| *h == Happening::Routed),
            StageKind::Done => self.last(|h| matches!(h, Happening::Promoted | Happening::Skipped)),
            StageKind::Rollback => self.last(|h| *h == Happening::RollingBack),
        }
    }

    fn passed(&self, wanted: HookKind) -> Option<Timestamp> {
        self.last(|h| matches!(h, Happening::GatePassed { gate, .. } if *gate == wanted))
    }

    /// Who let `kind` pass.
    fn who(&self, canary: &CanaryView, kind: &StageKind) -> Option<String> {
        let wanted = match kind {
            StageKind::Gate(name) => HookKind::parse(name)?,
            StageKind::PromoteGate => HookKind::ConfirmPromotion,
            StageKind::Done => {
                let ordered = canary.verdicts.iter().rev().find(|v| v.accepted && v.verb == Verb::Promote)?;
                return Some(ordered.who.clone());
            }
            _ => return None,
        };
        self.events.iter().rev().find_map(|(_, h)| match h {
            Happening::GatePassed { gate, who } if *gate == wanted => who.clone(),
            _ => None,
        })
    }

    /// Puts what the checks said to the stage in which they said it.
    fn mark(&self, stages: &mut [Stage], here: usize) {
        let mut current = stages.iter().position(|s| s.kind == StageKind::PreRollout).or(Some(0));
        for (event, happening) in &self.events {
            let entered = match happening {
                Happening::Weight(weight) => stages.iter().position(|s| match s.kind {
                    StageKind::Mirror => *weight == 0,
                    StageKind::Weight(planned) => planned == *weight,
                    _ => false,
                }),
                Happening::Iteration(i) => stages.iter().position(|s| match s.kind {
                    StageKind::Iteration { at, of } => at == *i || of > ITERATIONS,
                    _ => false,
                }),
                Happening::GateWaits(HookKind::ConfirmPromotion) => stages.iter().position(|s| s.kind == StageKind::PromoteGate),
                Happening::Copying => stages.iter().position(|s| s.kind == StageKind::Copy),
                _ => None,
            };
            current = entered.or(current).map(|at| at.min(here));
            let mark = match happening {
                Happening::CheckFailed { .. } => Mark::Failed,
                Happening::NoData { .. } | Happening::QueryFailed { .. } => Mark::NoData,
                Happening::NotReady { .. } | Happening::GateWaits(HookKind::ConfirmPromotion) => Mark::Held,
                Happening::GateWaits(gate) => {
                    let kind = StageKind::Gate(gate.word().into());
                    if let Some(stage) = stages.iter_mut().find(|s| s.kind == kind) {
                        stage.marks.push(Mark::Held);
                    }
                    continue;
                }
                _ => continue,
            };
            // A check that failed was made in a step: where events do not say in which, in the one that was reached.
            let of_detection = |at: &usize| mark != Mark::Held && stages.get(*at).is_some_and(|s| s.kind == StageKind::Detect);
            let at = current.map(|at| if of_detection(&at) { here } else { at });
            let Some(stage) = at.and_then(|at| stages.get_mut(at)) else { continue };
            let times = if mark == Mark::Held { 1 } else { usize::try_from(event.count).unwrap_or(MARKS) };
            stage.marks.extend(std::iter::repeat_n(mark, times.min(MARKS)));
        }
        for stage in stages {
            // Nobody leaves a step but by checks that passed.
            let checked = stage.kind.is_step() || stage.kind == StageKind::PreRollout;
            let gate = matches!(stage.kind, StageKind::Gate(_) | StageKind::PromoteGate);
            stage.marks.truncate(MARKS - 1);
            if (checked || gate) && stage.state == StageState::Done {
                stage.marks.push(Mark::Passed);
            }
        }
    }
}

/// Percent of the traffic at which the last check was judged.
fn judged_at(report: &crate::engine::report::Report) -> Option<u32> {
    report.finding.as_ref().map(|finding| finding.weight)
}

/// A rollback has been decided and is carried out.
fn going_down(canary: &CanaryView) -> bool {
    let decided = |reason| matches!(reason, Reason::RolledBack | Reason::Aborted);
    canary.report.as_ref().is_some_and(|report| decided(report.reason))
}

/// The order of what happens within one second.
const fn rank(happening: &Happening) -> u8 {
    match happening {
        Happening::Initialised => 0,
        Happening::GateWaits(HookKind::ConfirmRollout) => 1,
        Happening::GatePassed { gate: HookKind::ConfirmRollout, .. } => 2,
        Happening::Detected => 3,
        Happening::Starting => 4,
        Happening::PreRolloutPassed => 5,
        Happening::GateWaits(HookKind::ConfirmTrafficIncrease) => 6,
        Happening::GatePassed { gate: HookKind::ConfirmTrafficIncrease, .. } => 7,
        Happening::Weight(_) | Happening::Iteration(_) => 8,
        Happening::Switched => 11,
        Happening::GateWaits(_) => 12,
        Happening::GatePassed { .. } => 13,
        Happening::Copying => 14,
        Happening::Returning(_) => 15,
        Happening::Routed => 16,
        Happening::RollingBack => 17,
        Happening::Failed | Happening::Promoted | Happening::Skipped => 18,
        Happening::CheckFailed { .. }
        | Happening::NoData { .. }
        | Happening::QueryFailed { .. }
        | Happening::NotReady { .. }
        | Happening::Other => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::{CheckKind, Finding};
    use crate::domain::intent::Verdict;
    use crate::engine::report::Report;
    use crate::session::testing::{before, canary, event, hook, now};
    use crate::session::view::{GateView, PauseView};

    /// One word a stage: its label, its state, and its marks.
    fn drawn(timeline: &Timeline) -> String {
        let stage = |stage: &Stage| {
            let state = match stage.state {
                StageState::Done => "",
                StageState::Here => "<",
                StageState::Ahead => "…",
                StageState::Skipped => "-",
                StageState::Failed => "!",
            };
            let mark = |mark: &Mark| match mark {
                Mark::Passed => 'v',
                Mark::Failed => 'x',
                Mark::NoData => '?',
                Mark::Held => 'h',
            };
            format!("{}{state}{}", stage.kind.label().replace(' ', "-"), stage.marks.iter().map(mark).collect::<String>())
        };
        timeline.stages.iter().map(stage).collect::<Vec<_>>().join(" ")
    }

    fn failed() -> CanaryView {
        CanaryView {
            events: vec![
                event(240, "Canary failed! Scaling down web.test", 1),
                event(240, "Rolling back web.test failed checks threshold reached 5", 1),
                event(300, "Halt web.test advancement success rate 97.20% < 99%", 3),
                event(480, "Halt web.test advancement success rate 97.35% < 99%", 2),
                event(600, "Advance web.test canary weight 30", 1),
                event(660, "Advance web.test canary weight 20", 1),
                event(700, "Halt web.test advancement success rate 98.00% < 99%", 1),
                event(720, "Advance web.test canary weight 10", 1),
                event(720, "Starting canary analysis for web.test", 1),
                event(760, "New revision detected! Scaling up web.test", 2),
                event(5000, "Advance web.test canary weight 50", 1),
                event(5000, "Promotion completed! Scaling down web.test", 1),
            ],
            ..canary(Phase::Failed)
        }
    }

    #[test]
    fn a_rollback_stands_behind_the_step_that_failed() {
        let line = timeline(&failed(), now());
        assert_eq!(drawn(&line), "detect 10%xv 20%v 30%!xxxxx rollback! 40%- 50%- copy- finalise- done-");
        assert_eq!((line.peak, line.began, line.ended), (30, Some(before(760)), Some(before(240))));
        let at = |label: &str| line.stages.iter().find(|s| s.kind.label() == label).and_then(|s| s.at);
        assert_eq!((at("20%"), at("rollback"), at("50%")), (Some(before(660)), Some(before(240)), None));
    }

    #[test]
    fn without_events_the_finding_says_how_far_it_came() {
        let finding = Finding { weight: 30, ..Finding::new(CheckKind::Metric, "request-success-rate") };
        let report = Some(Report::new(Reason::RolledBack, "…").found(Some(finding)));
        let line = timeline(&CanaryView { report, ..canary(Phase::Failed) }, now());
        assert_eq!(drawn(&line), "detect 10%v 20%v 30%! rollback! 40%- 50%- copy- finalise- done-");
        assert_eq!(line.stages[1].at, None, "nobody knows when");
    }

    #[test]
    fn it_stands_where_phase_and_weight_say() {
        let hooks = vec![hook("ask", "confirm-rollout"), hook("smoke", "pre-rollout"), hook("ask", "confirm-promotion")];
        let with = |phase, weight| CanaryView { hooks: hooks.clone(), weight, steps: vec![25, 50], ..canary(phase) };
        for (view, expected) in [
            (with(Phase::Waiting, 0), "detect start-gate< pre-rollout… 25%… 50%… promote-gate… copy… finalise… done…"),
            (with(Phase::Progressing, 0), "detect start-gatev pre-rollout< 25%… 50%… promote-gate… copy… finalise… done…"),
            (with(Phase::Progressing, 25), "detect start-gatev pre-rolloutv 25%< 50%… promote-gate… copy… finalise… done…"),
            // A route that a hand set between two steps.
            (with(Phase::Progressing, 40), "detect start-gatev pre-rolloutv 25%< 50%… promote-gate… copy… finalise… done…"),
            (with(Phase::WaitingPromotion, 50), "detect start-gatev pre-rolloutv 25%v 50%v promote-gate< copy… finalise… done…"),
            (with(Phase::Promoting, 50), "detect start-gatev pre-rolloutv 25%v 50%v promote-gatev copy< finalise… done…"),
            (with(Phase::Finalising, 0), "detect start-gatev pre-rolloutv 25%v 50%v promote-gatev copy finalise< done…"),
            (with(Phase::Succeeded, 0), "detect start-gatev pre-rolloutv 25%v 50%v promote-gatev copy finalise done"),
            (with(Phase::Initialized, 0), "detect… start-gate… pre-rollout… 25%… 50%… promote-gate… copy… finalise… done…"),
        ] {
            assert_eq!(drawn(&timeline(&view, now())), expected, "{:?} {}", view.phase, view.weight);
        }
    }

    #[test]
    fn gates_name_who_opened_them() {
        let view = CanaryView {
            hooks: vec![hook("", "confirm-rollout"), hook("", "confirm-promotion")],
            weight: 10,
            events: vec![
                event(30, "Advance web.test canary weight 10", 1),
                event(60, "New revision detected! Scaling up web.test", 1),
                event(61, "Confirm-rollout check confirm-rollout passed: approved by bo: dry run ok", 1),
                event(90, "Halt web.test advancement waiting for approval confirm-rollout", 1),
            ],
            ..canary(Phase::Progressing)
        };
        let line = timeline(&view, now());
        assert_eq!(drawn(&line), "detect start-gatehv 10%< 20%… 30%… 40%… 50%… promote-gate… copy… finalise… done…");
        assert_eq!((line.stages[1].who.as_deref(), line.stages[1].at), (Some("bo"), Some(before(90))));
    }

    #[test]
    fn a_gate_amid_the_steps_stands_behind_the_step_it_keeps_back() {
        let gate = GateView { name: "confirm-traffic-increase".into(), since: Some(before(9)) };
        let hooks = vec![hook("", "confirm-traffic-increase")];
        let view = CanaryView { hooks, gates: vec![gate], weight: 20, ..canary(Phase::Progressing) };
        assert_eq!(drawn(&timeline(&view, now())), "detect 10%v 20%v traffic-gate< 30%… 40%… 50%… copy… finalise… done…");
        let view = CanaryView { weight: 0, ..view };
        assert_eq!(drawn(&timeline(&view, now())), "detect traffic-gate< 10%… 20%… 30%… 40%… 50%… copy… finalise… done…");
    }

    #[test]
    fn blind_checks_pauses_and_rollbacks_under_way_are_marked() {
        let blind = "Halt advancement no values found for istio metric request-success-rate probably web.test is not receiving traffic";
        let view = CanaryView {
            weight: 10,
            events: vec![
                event(5, "Metric query failed for lag: connection refused", 1),
                event(10, blind, 2),
                event(30, "Advance web.test canary weight 10", 1),
                event(60, "New revision detected! Scaling up web.test", 1),
            ],
            paused: Some(PauseView { who: "bo".into(), at: before(3), why: "INC-42".into() }),
            steps: vec![10, 20],
            ..canary(Phase::Progressing)
        };
        assert_eq!(drawn(&timeline(&view, now())), "detect 10%<???h 20%… copy… finalise… done…");
        let down = CanaryView { report: Some(Report::new(Reason::RolledBack, "…")), paused: None, ..view };
        assert_eq!(drawn(&timeline(&down, now())), "detect 10%!??? rollback< 20%- copy- finalise- done-");
    }

    #[test]
    fn what_an_operator_promoted_has_skipped_steps_with_a_name() {
        let verdict = Verdict {
            id: "1".into(),
            verb: Verb::Promote,
            accepted: true,
            who: "bo".into(),
            at: before(20),
            why: "hotfix".into(),
            note: String::new(),
        };
        let view = CanaryView {
            verdicts: vec![verdict],
            steps: vec![10, 20],
            events: vec![
                event(5, "(combined from similar events): Promotion completed! Scaling down web.test", 1),
                event(10, "Copying web.test template spec to web-primary.test", 1),
                event(30, "Advance web.test canary weight 10", 1),
                event(60, "New revision detected! Scaling up web.test", 1),
            ],
            ..canary(Phase::Succeeded)
        };
        let line = timeline(&view, now());
        assert_eq!(drawn(&line), "detect 10%v 20%- copy finalise done");
        assert_eq!(line.stages.last().and_then(|s| s.who.clone()).as_deref(), Some("bo"));
    }

    #[test]
    fn what_was_refused_failed_at_its_gate() {
        let verdict = |verb| Verdict {
            id: "1".into(),
            verb,
            accepted: true,
            who: "bo".into(),
            at: before(9),
            why: String::new(),
            note: String::new(),
        };
        let view = CanaryView {
            hooks: vec![hook("", "confirm-rollout"), hook("", "confirm-promotion")],
            steps: vec![50],
            verdicts: vec![verdict(Verb::Reject)],
            events: vec![
                event(9, "Canary failed! Scaling down web.test", 1),
                event(90, "Halt web.test advancement waiting for approval x", 1),
            ],
            ..canary(Phase::Failed)
        };
        assert_eq!(drawn(&timeline(&view, now())), "detect start-gate! rollback! 50%- promote-gate- copy- finalise- done-");
    }

    /// Events of a real Flagger, as its API server kept them.
    #[test]
    fn traces_of_flagger_are_read() {
        for (trace, expected) in [
            (
                include_str!("../../tests/traces/flagger-1.44.0/progressive-fail.json"),
                "detect 20%v 40%!xx rollback! 60%- copy- finalise- done-",
            ),
            (include_str!("../../tests/traces/flagger-1.44.0/no-data.json"), "detect 20%!?? rollback! 40%- 60%- copy- finalise- done-"),
            (include_str!("../../tests/traces/flagger-1.44.0/restart-midway.json"), "detect 20%v 40%v 60%v copy finalise done"),
            (include_str!("../../tests/traces/flagger-1.44.0/skip-analysis.json"), "detect 20%- 40%- 60%- copy finalise done"),
            (include_str!("../../tests/traces/flagger-1.44.0/ab.json"), "detect 1/3v 2/3v 3/3v copy finalise done"),
        ] {
            let json: serde_json::Value = serde_json::from_str(trace).expect("a trace");
            let read = |e: &serde_json::Value| EventView {
                at: e["at"].as_str().and_then(|at| at.parse().ok()),
                warning: e["type"] == "Warning",
                message: e["message"].as_str().unwrap_or_default().into(),
                count: u32::try_from(e["count"].as_u64().unwrap_or(1)).unwrap_or(1),
            };
            let mut events: Vec<_> = json["events"].as_array().expect("events").iter().map(read).collect();
            events.sort_by_key(|e| std::cmp::Reverse(e.at));
            let phase = if trace.contains("Canary failed!") { Phase::Failed } else { Phase::Succeeded };
            let max_iterations = if trace.contains("canary iteration") { 3 } else { 0 };
            let line = timeline(&CanaryView { events, steps: vec![20, 40, 60], max_iterations, ..canary(phase) }, now());
            assert_eq!(drawn(&line), expected);
            assert!(line.stages.iter().filter(|s| s.state == StageState::Done && s.kind.is_step()).all(|s| s.at.is_some()));
        }
    }

    #[test]
    fn iterations_have_stages_until_there_are_too_many() {
        let view = CanaryView { iterations: 2, max_iterations: 3, steps: Vec::new(), ..canary(Phase::Progressing) };
        assert_eq!(drawn(&timeline(&view, now())), "detect 1/3v 2/3< 3/3… copy… finalise… done…");
        let view = CanaryView { iterations: 7, max_iterations: 1000, ..view };
        assert_eq!(drawn(&timeline(&view, now())), "detect 7/1000< copy… finalise… done…");
    }
}
