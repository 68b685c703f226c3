//! Judges answers: which check failed, against which limit, in Flagger's words (rollout-contract §5, §6.1).

use std::time::Duration;

use super::effect::{Answer, Question, Say};
use super::observation::{Observation, Round};
use super::report::{CheckKind, Finding};
use crate::domain::canary::{CanaryMetric, HookKind};
use crate::domain::text::clean;

/// What a round says so far.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// This is still to be asked.
    Ask(Question),
    /// Every check was asked and passed; the events that belong to it.
    Passed(Vec<Say>),
    /// The first check that failed; the last event names it.
    Failed(Vec<Say>, Box<Finding>),
    /// No check failed, and this one has no data: the rollout stays where it is (annotation `pilothouse.dev/no-data`).
    Held(String, Box<Finding>),
}

/// Hooks of `kind`, one after the other; the first failure ends it.
#[must_use]
pub fn hooks(seen: &Observation, round: Option<&Round>, kind: HookKind) -> Judgement {
    let mut say = Vec::new();
    let mut last = None;
    for (index, hook) in seen.spec.analysis.webhooks.iter().enumerate().filter(|(_, h)| h.hook_kind() == Some(kind)) {
        let question = Question::Hook { kind, index };
        let Some(answer) = round.and_then(|r| r.answers.get(&question)) else { return Judgement::Ask(question) };
        let failure = match answer {
            Answer::Passed => {
                say.extend(passed(kind, &hook.name));
                continue;
            }
            Answer::Error(why) => why.clone(),
            Answer::Value(_) | Answer::NoData => "no answer".to_owned(),
        };
        say.push(Say::warning(refused(seen, kind, &hook.name, &failure)));
        if kind != HookKind::PostRollout {
            last = Some(found(seen, Finding::new(CheckKind::Hook, &hook.name).because(&failure)));
            break;
        }
    }
    match last {
        Some(finding) => Judgement::Failed(say, Box::new(finding)),
        None => Judgement::Passed(say),
    }
}

/// `finding` with where the rollout stands.
pub(super) fn found(seen: &Observation, finding: Finding) -> Finding {
    let number = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
    Finding {
        check: clean(&finding.check),
        why: clean(&finding.why),
        weight: number(seen.status.canary_weight),
        iteration: number(seen.status.iterations),
        failed: number(seen.status.failed_checks),
        threshold: number(seen.spec.analysis.failed_checks_limit()),
        ..finding
    }
}

/// Flagger's event for a hook that passed; rollout hooks pass in silence.
fn passed(kind: HookKind, hook: &str) -> Option<Say> {
    let word = match kind {
        HookKind::ConfirmRollout => "Confirm-rollout",
        HookKind::PreRollout => "Pre-rollout",
        HookKind::ConfirmTrafficIncrease => "Confirm-traffic-increase",
        HookKind::ConfirmPromotion => "Confirm-promotion",
        HookKind::PostRollout => "Post-rollout",
        HookKind::Rollout | HookKind::Rollback | HookKind::Event => return None,
    };
    Some(Say::normal(format!("{word} check {hook} passed")))
}

/// Flagger's event for a hook that did not pass.
fn refused(seen: &Observation, kind: HookKind, hook: &str, failure: &str) -> String {
    let key = &seen.key;
    match kind {
        HookKind::ConfirmRollout => format!("Halt {key} advancement waiting for approval {hook}"),
        HookKind::ConfirmTrafficIncrease => format!("Halt {key} advancement waiting for traffic increase approval {hook}"),
        HookKind::ConfirmPromotion => format!("Halt {key} advancement waiting for promotion approval {hook}"),
        HookKind::PreRollout => format!("Halt {key} advancement pre-rollout check {hook} failed {failure}"),
        HookKind::PostRollout => format!("Post-rollout hook {hook} failed {failure}"),
        HookKind::Rollout | HookKind::Rollback | HookKind::Event => {
            format!("Halt {key} advancement external check {hook} failed {failure}")
        }
    }
}

/// Rollback hooks: the first that passes orders a rollback (rollout-contract §5.1). `Ok` holds the events of those that do not.
///
/// # Errors
/// The name of the hook that orders it, or the question that is still to be asked.
pub fn rollback_hooks(seen: &Observation, round: Option<&Round>) -> Result<Vec<Say>, Rollback> {
    let kind = HookKind::Rollback;
    let mut say = Vec::new();
    for (index, hook) in seen.spec.analysis.webhooks.iter().enumerate().filter(|(_, h)| h.hook_kind() == Some(kind)) {
        let question = Question::Hook { kind, index };
        match round.and_then(|r| r.answers.get(&question)) {
            None => return Err(Rollback::Ask(question)),
            Some(Answer::Passed) => return Err(Rollback::Ordered(hook.name.clone())),
            Some(_) => say.push(Say::normal(format!("Rollback hook {} not signaling a rollback", hook.name))),
        }
    }
    Ok(say)
}

/// Why rollback hooks do not let a rollout go on.
#[derive(Clone, Debug, PartialEq)]
pub enum Rollback {
    Ask(Question),
    Ordered(String),
}

/// The checks of one analysis tick: rollout hooks, then every metric, in Flagger's order (rollout-contract §6.1).
#[must_use]
pub fn checks(seen: &Observation, round: Option<&Round>) -> Judgement {
    match hooks(seen, round, HookKind::Rollout) {
        Judgement::Passed(_) => {}
        other => return other,
    }
    let metrics = &seen.spec.analysis.metrics;
    let (templates, built_in): (Vec<_>, Vec<_>) = metrics.iter().enumerate().partition(|(_, metric)| metric.template_ref.is_some());
    let mut held = None;
    for (index, metric) in built_in.into_iter().chain(templates) {
        let question = Question::Metric { index };
        let Some(answer) = round.and_then(|r| r.answers.get(&question)) else { return Judgement::Ask(question) };
        match judge(seen, metric, answer) {
            Ok(()) => {}
            // A later check may fail; what is unknown hides nothing that is known.
            Err(Failure::NoData(message)) if seen.holds_without_data => {
                held = held.or_else(|| Some((message, Box::new(measured(seen, metric, answer)))));
            }
            Err(Failure::NoData(message) | Failure::Bad(message)) => {
                return Judgement::Failed(vec![Say::warning(message)], Box::new(measured(seen, metric, answer)));
            }
        }
    }
    held.map_or_else(|| Judgement::Passed(Vec::new()), |(message, finding)| Judgement::Held(message, finding))
}

/// A metric check that did not pass, as data.
fn measured(seen: &Observation, metric: &CanaryMetric, answer: &Answer) -> Finding {
    let (min, max) = limits(metric);
    let finding = Finding::new(CheckKind::Metric, &metric.name).within(min, max);
    found(
        seen,
        match answer {
            Answer::Value(value) => finding.measured(*value),
            Answer::Error(why) => finding.because(why),
            Answer::NoData | Answer::Passed => finding,
        },
    )
}

/// Limits of a metric: thresholdRange, else the deprecated threshold by the metric's sense.
#[must_use]
pub fn limits(metric: &CanaryMetric) -> (Option<f64>, Option<f64>) {
    match &metric.threshold_range {
        Some(range) => (range.min, range.max),
        None if metric.name == "request-success-rate" => (Some(metric.threshold.unwrap_or(0.0)), None),
        None => (None, Some(metric.threshold.unwrap_or(0.0))),
    }
}

/// Why a check did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    NoData(String),
    /// Out of range, or not to be had.
    Bad(String),
}

/// Where a metric's value comes from: the texts differ.
enum Source {
    BuiltIn,
    Query,
    Template,
}

const fn is_blank(query: &str) -> bool {
    query.trim_ascii().is_empty()
}

fn source(metric: &CanaryMetric) -> Source {
    match &metric.template_ref {
        Some(_) => Source::Template,
        None if metric.query.as_deref().is_some_and(|q| !is_blank(q)) => Source::Query,
        None => Source::BuiltIn,
    }
}

fn judge(seen: &Observation, metric: &CanaryMetric, answer: &Answer) -> Result<(), Failure> {
    let value = match answer {
        Answer::Value(value) if value.is_finite() => *value,
        Answer::Value(_) | Answer::NoData | Answer::Passed => return Err(Failure::NoData(no_data(seen, metric))),
        Answer::Error(why) => {
            return Err(Failure::Bad(match source(metric) {
                Source::BuiltIn => format!("Prometheus query failed: running query failed: {why}"),
                Source::Query => format!("Prometheus query failed for {}: {why}", metric.name),
                Source::Template if why.starts_with("Metric template ") => why.clone(),
                Source::Template => format!("Metric query failed for {}: {why}", metric.name),
            }));
        }
    };
    let key = &seen.key;
    let (min, max) = limits(metric);
    let built_in = matches!(source(metric), Source::BuiltIn);
    let milliseconds = built_in && metric.name == "request-duration";
    // Flagger truncates durations to whole milliseconds before it compares.
    let compared = if milliseconds { value.trunc() } else { value };
    let broken = match (min, max) {
        (Some(min), _) if compared < min => Some(("<", min)),
        (_, Some(max)) if compared > max => Some((">", max)),
        _ => None,
    };
    let Some((sign, limit)) = broken else { return Ok(()) };
    Err(Failure::Bad(if milliseconds {
        format!("Halt {key} advancement request duration {} {sign} {}", go_duration(compared), go_duration(limit))
    } else if built_in {
        format!("Halt {key} advancement success rate {value:.2}% {sign} {limit}%")
    } else {
        format!("Halt {key} advancement {} {value:.2} {sign} {limit}", metric.name)
    }))
}

fn no_data(seen: &Observation, metric: &CanaryMetric) -> String {
    let name = &metric.name;
    match source(metric) {
        Source::BuiltIn => {
            let why = if name == "request-duration" { "" } else { ": running query failed: no values found" };
            let target = seen.target_name();
            format!("Halt advancement no values found for {} metric {name} probably {target} is not receiving traffic{why}", seen.router)
        }
        Source::Query => format!("Halt advancement no values found for metric: {name}"),
        Source::Template => format!("Halt advancement no values found for custom metric: {name}: no values found"),
    }
}

/// Milliseconds as Go writes a duration: `1.515s`, `500ms`, `1m0.5s`.
#[must_use]
pub fn go_duration(milliseconds: f64) -> String {
    let duration = Duration::from_secs_f64((milliseconds / 1_000.0).clamp(0.0, 1e9));
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".into();
    }
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let seconds = |ms: u128| {
        let fraction = format!("{:03}", ms % 1_000);
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { format!("{}s", ms / 1_000) } else { format!("{}.{fraction}s", ms / 1_000) }
    };
    match (millis / 3_600_000, millis % 3_600_000 / 60_000) {
        (0, 0) => seconds(millis),
        (0, m) => format!("{m}m{}", seconds(millis % 60_000)),
        (h, m) => format!("{h}h{m}m{}", seconds(millis % 60_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::step::tests::progressing;

    fn metric(name: &str, min: Option<f64>, max: Option<f64>) -> CanaryMetric {
        CanaryMetric { name: name.into(), threshold_range: Some(crate::domain::canary::ThresholdRange { min, max }), ..Default::default() }
    }

    #[test]
    fn bounds_are_inclusive_and_worded_as_flaggers() {
        let seen = progressing(20);
        let rate = metric("request-success-rate", Some(99.0), None);
        assert_eq!(judge(&seen, &rate, &Answer::Value(99.0)), Ok(()));
        let bad = |text: &str| Err(Failure::Bad(text.into()));
        assert_eq!(judge(&seen, &rate, &Answer::Value(50.0)), bad("Halt web.test advancement success rate 50.00% < 99%"));
        let slow = metric("request-duration", None, Some(500.0));
        assert_eq!(judge(&seen, &slow, &Answer::Value(500.9)), Ok(()));
        assert_eq!(judge(&seen, &slow, &Answer::Value(1515.0)), bad("Halt web.test advancement request duration 1.515s > 500ms"));
        let mut custom = metric("latency", None, Some(0.5));
        custom.template_ref = Some(crate::domain::canary::TemplateReference { name: "latency".into(), namespace: None });
        assert_eq!(judge(&seen, &custom, &Answer::Value(0.75)), bad("Halt web.test advancement latency 0.75 > 0.5"));
        assert_eq!(judge(&seen, &custom, &Answer::Error("timeout".into())), bad("Metric query failed for latency: timeout"));
    }

    #[test]
    fn no_data_holds_where_asked_for_and_hides_no_failure() {
        let mut seen = progressing(20);
        let due = seen.status.last_transition_time.expect("a time");
        let round = |first: Answer, second: Answer| Round {
            checksum: String::new(),
            due,
            answers: [(Question::Metric { index: 0 }, first), (Question::Metric { index: 1 }, second)].into(),
        };
        let (gap, bad) = (round(Answer::NoData, Answer::Value(1.0)), round(Answer::NoData, Answer::Value(9_000.0)));
        assert!(
            matches!(checks(&seen, Some(&gap)), Judgement::Failed(_, finding) if finding.value.is_none() && finding.weight == 20),
            "Flagger's way"
        );
        seen.holds_without_data = true;
        assert!(matches!(checks(&seen, Some(&gap)), Judgement::Held(why, _) if why.contains("no values found")));
        assert!(
            matches!(checks(&seen, Some(&bad)), Judgement::Failed(say, finding) if say[0].message.contains("request duration") && finding.broken() == Some(500.0))
        );
    }

    #[test]
    fn nothing_that_is_not_a_good_number_passes() {
        let seen = progressing(20);
        for name in ["request-success-rate", "request-duration"] {
            let open = metric(name, None, None);
            for answer in [Answer::NoData, Answer::Value(f64::NAN), Answer::Error("timeout".into()), Answer::Passed] {
                assert!(judge(&seen, &open, &answer).is_err(), "{name} {answer:?}");
            }
            let rate = metric(name, Some(99.0), Some(100.0));
            for infinite in [f64::INFINITY, f64::NEG_INFINITY] {
                assert!(judge(&seen, &rate, &Answer::Value(infinite)).is_err());
            }
        }
    }
}
