//! Judges answers: which check failed, against which limit, in Flagger's words (rollout-contract §5, §6.1).

use std::time::Duration;

use super::effect::{Answer, Question, Say};
use super::observation::{Observation, Round};
use crate::domain::canary::{CanaryMetric, HookKind};

/// What a round says so far.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// This is still to be asked.
    Ask(Question),
    /// Every check was asked and passed; the events that belong to it.
    Passed(Vec<Say>),
    /// The first check that failed.
    Failed(Vec<Say>),
}

/// Hooks of `kind`, one after the other; the first failure ends it.
#[must_use]
pub fn hooks(seen: &Observation, round: Option<&Round>, kind: HookKind) -> Judgement {
    let mut say = Vec::new();
    for (index, hook) in seen.spec.analysis.webhooks.iter().enumerate().filter(|(_, h)| h.hook_kind() == Some(kind)) {
        let question = Question::Hook { kind, index };
        let Some(answer) = round.and_then(|r| r.answers.get(&question)) else { return Judgement::Ask(question) };
        let failure = match answer {
            Answer::Passed => {
                match kind {
                    HookKind::PreRollout => say.push(Say::normal(format!("Pre-rollout check {} passed", hook.name))),
                    HookKind::PostRollout => say.push(Say::normal(format!("Post-rollout check {} passed", hook.name))),
                    _ => {}
                }
                continue;
            }
            Answer::Error(why) => why.clone(),
            Answer::Value(_) | Answer::NoData => "no answer".to_owned(),
        };
        say.push(Say::warning(match kind {
            HookKind::PreRollout => format!("Halt {} advancement pre-rollout check {} failed {failure}", seen.key, hook.name),
            HookKind::PostRollout => format!("Post-rollout hook {} failed {failure}", hook.name),
            _ => format!("Halt {} advancement external check {} failed {failure}", seen.key, hook.name),
        }));
        if kind != HookKind::PostRollout {
            return Judgement::Failed(say);
        }
    }
    Judgement::Passed(say)
}

/// The checks of one analysis tick: rollout hooks, then every metric, in order.
#[must_use]
pub fn checks(seen: &Observation, round: Option<&Round>) -> Judgement {
    match hooks(seen, round, HookKind::Rollout) {
        Judgement::Passed(_) => {}
        other => return other,
    }
    for (index, metric) in seen.spec.analysis.metrics.iter().enumerate() {
        let question = Question::Metric { index };
        let Some(answer) = round.and_then(|r| r.answers.get(&question)) else { return Judgement::Ask(question) };
        if let Err(message) = judge(seen, metric, answer) {
            return Judgement::Failed(vec![Say::warning(message)]);
        }
    }
    Judgement::Passed(Vec::new())
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

fn judge(seen: &Observation, metric: &CanaryMetric, answer: &Answer) -> Result<(), String> {
    let target = format!("{}.{}", seen.spec.target_ref.name, seen.key.namespace);
    let value = match answer {
        Answer::Value(value) if value.is_finite() => *value,
        Answer::Value(_) | Answer::NoData | Answer::Passed => {
            return Err(format!(
                "Halt advancement no values found for {} metric {} probably {target} is not receiving traffic{}",
                seen.router,
                metric.name,
                if metric.name == "request-duration" { "" } else { ": no values found" }
            ));
        }
        Answer::Error(why) => return Err(format!("Prometheus query failed: {why}")),
    };
    let key = &seen.key;
    let (min, max) = limits(metric);
    let milliseconds = metric.name == "request-duration";
    // Flagger truncates durations to whole milliseconds before it compares.
    let compared = if milliseconds { value.trunc() } else { value };
    let broken = match (min, max) {
        (Some(min), _) if compared < min => Some(("<", min)),
        (_, Some(max)) if compared > max => Some((">", max)),
        _ => None,
    };
    match broken {
        None => Ok(()),
        Some((sign, limit)) if milliseconds => {
            Err(format!("Halt {key} advancement request duration {} {sign} {}", go_duration(compared), go_duration(limit)))
        }
        Some((sign, limit)) => Err(format!("Halt {key} advancement success rate {value:.2}% {sign} {limit}%")),
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
        assert_eq!(judge(&seen, &rate, &Answer::Value(50.0)), Err("Halt web.test advancement success rate 50.00% < 99%".into()));
        let slow = metric("request-duration", None, Some(500.0));
        assert_eq!(judge(&seen, &slow, &Answer::Value(500.9)), Ok(()));
        assert_eq!(judge(&seen, &slow, &Answer::Value(1515.0)), Err("Halt web.test advancement request duration 1.515s > 500ms".into()));
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
