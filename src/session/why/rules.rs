//! The rules: what the evidence says about a rollout that failed, fails, or cannot see. One row each, in the order in which
//! lines of equal weight are told; what a rollout waits for is in `standing.rs`.

use super::figures::{blind_for, breaches, figure, in_unit, mean, moment, of_check, proof, span};
use super::{Evidence, Proof, Severity, TwinState, standing};
use crate::domain::phase::Phase;
use crate::engine::report::{CheckKind, Finding, Reason};
use crate::session::happening::{self, Happening};
use crate::session::timeline::{StageKind, StageState};
use crate::session::view::{Indicator, SloSeries};

/// One line before it has the name of its rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub severity: Severity,
    pub text: String,
    pub proofs: Vec<Proof>,
}

impl Said {
    pub fn new(severity: Severity, text: impl Into<String>, proofs: Vec<Proof>) -> Self {
        Self { severity, text: text.into(), proofs }
    }
}

/// A rule: it looks at the evidence, and says one line or nothing.
pub struct Rule {
    pub name: &'static str,
    pub find: fn(&Evidence) -> Option<Said>,
}

const fn rule(name: &'static str, find: fn(&Evidence) -> Option<Said>) -> Rule {
    Rule { name, find }
}

/// All rules.
pub const TABLE: &[Rule] = &[
    rule("rolled-back", rolled_back),
    rule("ended-by-hand", standing::ended_by_hand),
    rule("failing", failing),
    rule("cannot-run", standing::cannot_run),
    rule("foreign-write", standing::foreign_write),
    rule("not-ready", standing::not_ready),
    rule("no-traffic", no_traffic),
    rule("canary-or-traffic", canary_or_traffic),
    rule("rose-at-step", rose_at_step),
    rule("provider-or-release", provider_or_release),
    rule("config-alone", config_alone),
    rule("changed", changed),
    rule("blind", blind),
    rule("gate", standing::gate),
    rule("paused", standing::paused),
    rule("suspended", standing::suspended),
    rule("held", standing::held),
    rule("foreign-driver", standing::foreign_driver),
    rule("nobody-drives", standing::nobody_drives),
    rule("unreachable", standing::unreachable),
    rule("git", standing::git),
    rule("settled", standing::settled),
    rule("in-flight", standing::in_flight),
    rule("help", standing::help),
];

/// The rollout was given up, or is about to be.
pub(super) fn is_down(evidence: &Evidence) -> bool {
    let reason = evidence.canary.report.as_ref().map(|report| report.reason);
    evidence.canary.phase == Phase::Failed || matches!(reason, Some(Reason::RolledBack | Reason::Aborted))
}

/// The check that failed last: the engine's word, else what events say of it.
pub(super) fn failed_check(evidence: &Evidence) -> Option<(String, Option<Finding>)> {
    if let Some(finding) = evidence.canary.report.as_ref().and_then(|report| report.finding.clone()) {
        return Some((finding.check.clone(), Some(finding)));
    }
    let began = evidence.timeline.began;
    let newest = evidence.canary.events.iter().filter(|e| began.is_none() || e.at >= began);
    newest.map(happening::read).find_map(|happening| match happening {
        Happening::CheckFailed { check, .. } | Happening::NoData { check } => Some((check, None)),
        _ => None,
    })
}

/// `97.2, below its limit of 99`.
fn measured(finding: &Finding) -> String {
    match (finding.value, finding.broken()) {
        (Some(value), Some(limit)) if value < limit => {
            format!("{} was {}, below its limit of {}", finding.check, figure(value), figure(limit))
        }
        (Some(value), Some(limit)) => format!("{} was {}, above its limit of {}", finding.check, figure(value), figure(limit)),
        (Some(value), None) => format!("{} was {}", finding.check, figure(value)),
        (None, _) => match (finding.kind, finding.why.as_str()) {
            (CheckKind::Metric, "") => format!("{} had no data", finding.check),
            (CheckKind::Metric, why) => format!("{} could not be measured ({why})", finding.check),
            (CheckKind::Hook, why) => format!("webhook {} said: {why}", finding.check),
            (CheckKind::Readiness, why) => format!("{} did not become ready in its time: {why}", finding.check),
            (CheckKind::Deadline, why) => format!("{} took too long: {why}", finding.check),
        },
    }
}

/// Where the rollout stood: `at weight 30 %`, `at iteration 2`.
fn place(evidence: &Evidence, finding: Option<&Finding>) -> String {
    let weight = finding.map_or(evidence.timeline.peak, |f| f.weight);
    let iteration = finding.map_or(evidence.canary.iterations, |f| f.iteration);
    match (evidence.canary.max_iterations > 0, weight, iteration) {
        (true, _, 1..) => format!("at iteration {iteration} of {}", evidence.canary.max_iterations),
        (false, 1.., _) => format!("at weight {weight} %"),
        _ => "before the first traffic".into(),
    }
}

/// The events of this rollout that speak of `check`, newest first.
fn events_of(evidence: &Evidence, wanted: impl Fn(&Happening) -> bool) -> Vec<Proof> {
    let began = evidence.timeline.began;
    let of_run = evidence.canary.events.iter().enumerate().filter(|(_, e)| began.is_none() || e.at >= began);
    of_run.filter(|(_, e)| wanted(&happening::read(e))).map(|(index, e)| Proof::Event { index, at: e.at }).take(4).collect()
}

fn is_of_check(happening: &Happening, name: &str) -> bool {
    match happening {
        Happening::CheckFailed { check, .. } | Happening::NoData { check } => check == name,
        Happening::QueryFailed { sentence } => sentence.contains(name),
        _ => false,
    }
}

/// Which check against which limit, at which weight, how often.
fn rolled_back(evidence: &Evidence) -> Option<Said> {
    let canary = &evidence.canary;
    let aborted = canary.report.as_ref().is_some_and(|report| report.reason == Reason::Aborted);
    if !is_down(evidence) || aborted || standing::ended_by_hand(evidence).is_some() {
        return None;
    }
    let what = if canary.phase == Phase::Failed { "Rolled back" } else { "Rolls back" };
    let mut proofs = vec![Proof::Report];
    let Some((check, finding)) = failed_check(evidence) else {
        let why = canary.report.as_ref().filter(|r| r.reason == Reason::RolledBack).map_or("", |report| report.message.as_str());
        let text = if why.is_empty() { format!("{what}; nothing that is left says why") } else { format!("{what}: {why}") };
        return Some(Said::new(Severity::Cause, text, proofs));
    };
    proofs.extend(events_of(evidence, |h| is_of_check(h, &check)));
    if let Some(series) = of_check(evidence, &check) {
        let columns = breaches(series);
        proofs.extend(columns.first().zip(columns.last()).map(|(from, to)| proof(series, *from, *to)));
    }
    let Some(finding) = finding else {
        // Only events tell, with Flagger's words.
        let sentence = canary.events.iter().map(happening::read).find_map(|h| match h {
            Happening::CheckFailed { check: c, sentence } if c == check => Some(sentence),
            Happening::NoData { check: c } if c == check => Some(format!("{c} had no data")),
            _ => None,
        });
        let text = format!("{what} {}: {}", place(evidence, None), sentence.unwrap_or(check));
        return Some(Said::new(Severity::Cause, text, proofs));
    };
    let count = match finding.kind {
        CheckKind::Metric | CheckKind::Hook if finding.threshold > 0 && finding.failed > 0 => {
            format!("; failed checks {} of {}", finding.failed, finding.threshold)
        }
        _ => String::new(),
    };
    Some(Said::new(Severity::Cause, format!("{what} {}: {}{count}", place(evidence, Some(&finding)), measured(&finding)), proofs))
}

/// Checks fail, and there are not enough of them yet.
fn failing(evidence: &Evidence) -> Option<Said> {
    let canary = &evidence.canary;
    if is_down(evidence) || !canary.phase.is_analysed() || canary.failed_checks == 0 {
        return None;
    }
    let left = canary.threshold.saturating_sub(canary.failed_checks);
    let (check, finding) = failed_check(evidence)?;
    let what = finding.as_ref().map_or_else(|| format!("{check} failed"), measured);
    let text = format!(
        "Fails {}: {what}; failed checks {} of {}, {}",
        place(evidence, finding.as_ref()),
        canary.failed_checks,
        canary.threshold,
        if left == 0 { "and so it is rolled back at the next interval".to_owned() } else { format!("{left} more and it is rolled back") }
    );
    let mut proofs = vec![Proof::Report];
    proofs.extend(events_of(evidence, |h| is_of_check(h, &check)));
    Some(Said::new(Severity::Cause, text, proofs))
}

/// The primary beside the canary: where both suffer at once it is what both stand on.
fn canary_or_traffic(evidence: &Evidence) -> Option<Said> {
    let (check, _) = failed_check(evidence)?;
    let series = of_check(evidence, &check)?;
    let columns = breaches(series);
    let beside: Vec<(usize, f64)> = columns.iter().filter_map(|at| Some((*at, (*series.primary.get(*at)?)?))).collect();
    let (from, to) = (columns.first()?, columns.last()?);
    if beside.is_empty() {
        return None;
    }
    let suffered = beside.iter().filter(|(_, value)| series.breaks(*value)).count();
    let worst = worst(series, beside.iter().map(|(_, value)| *value))?;
    let worst_canary = worst_of(series, &series.points)?;
    let proofs = vec![proof(series, *from, *to)];
    Some(if suffered * 2 >= beside.len() {
        let text = format!(
            "The primary broke the limit too, in {suffered} of {} moments ({} at its worst): look at traffic and dependencies before the release",
            beside.len(),
            in_unit(series, worst)
        );
        Said::new(Severity::Cause, text, proofs)
    } else {
        let text = format!(
            "The primary stayed at {} {} while the canary was at {}: it is the canary, not the traffic",
            in_unit(series, worst),
            series.name,
            in_unit(series, worst_canary)
        );
        Said::new(Severity::Cause, text, proofs)
    })
}

/// The worst of `values`.
fn worst(series: &SloSeries, values: impl Iterator<Item = f64>) -> Option<f64> {
    if series.limit_is_minimum() { values.reduce(f64::min) } else { values.reduce(f64::max) }
}

fn worst_of(series: &SloSeries, points: &[Option<f64>]) -> Option<f64> {
    worst(series, points.iter().flatten().copied())
}

/// It went bad right after a step.
fn rose_at_step(evidence: &Evidence) -> Option<Said> {
    let (check, _) = failed_check(evidence)?;
    let series = of_check(evidence, &check).filter(|s| !s.limit_is_minimum())?;
    let (first, last) = (breaches(series).first().copied()?, breaches(series).last().copied()?);
    let at = moment(evidence, series, first);
    let steps = evidence.timeline.stages.iter().filter_map(|stage| match stage.kind {
        StageKind::Weight(weight) => Some((stage.at?, weight)),
        _ => None,
    });
    let (stepped, weight) = steps.filter(|(when, _)| *when <= at).max_by_key(|(when, _)| *when)?;
    let after = at.duration_since(stepped).as_secs();
    let interval = i64::try_from(evidence.canary.interval).unwrap_or(i64::MAX);
    if after > interval.saturating_mul(2) {
        return None;
    }
    let bad = mean(series.points.get(first..=last)?)?;
    let good = mean(series.points.get(..first)?).or_else(|| mean(&series.primary));
    let rise = good.filter(|good| bad / good >= 2.0);
    let how = rise.map_or_else(
        || format!("went to {}", in_unit(series, bad)),
        |good| format!("rose from {} to {}", in_unit(series, good), in_unit(series, bad)),
    );
    let text = format!("{} {how} within {} of weight {weight} %", capital(&series.name), span(after.max(1)));
    Some(Said::new(Severity::Cause, text, vec![proof(series, first, last)]))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Nobody asks the canary for anything.
fn no_traffic(evidence: &Evidence) -> Option<Said> {
    let canary = &evidence.canary;
    let series = evidence.slo.iter().find(|s| s.indicator == Indicator::ErrorRate && s.failed.is_none())?;
    let reached = canary.phase.is_analysed() && canary.weight > 0 || is_down(evidence) && evidence.timeline.peak > 0;
    if !reached || series.points.is_empty() || series.points.iter().any(Option::is_some) {
        return None;
    }
    let proofs = vec![proof(series, 0, series.points.len() - 1)];
    let told = events_of(evidence, |h| matches!(h, Happening::NoData { .. }));
    let weight = canary.weight.max(evidence.timeline.peak);
    let text = if series.primary.is_empty() {
        format!(
            "No request to the canary was measured, although its weight is {weight} %: send it traffic, or check what the metrics are labelled with"
        )
    } else if series.primary.iter().any(Option::is_some) {
        format!(
            "The primary has requests and the canary none, although its weight is {weight} %: check the route and the labels of the canary's metrics"
        )
    } else {
        "No request was measured, of the primary neither: there is no traffic, or the metric server does not see it".to_owned()
    };
    Some(Said::new(Severity::Cause, text, proofs.into_iter().chain(told).collect()))
}

/// How the same image does elsewhere.
fn provider_or_release(evidence: &Evidence) -> Option<Said> {
    if !is_down(evidence) && evidence.canary.failed_checks == 0 {
        return None;
    }
    let of = |state: TwinState| evidence.twins.iter().filter(move |twin| twin.state == state).collect::<Vec<_>>();
    let (healthy, failed) = (of(TwinState::Healthy), of(TwinState::Failed));
    let proofs =
        |twins: &[&super::Twin]| -> Vec<Proof> { twins.iter().take(5).map(|t| Proof::Twin { target: t.target.clone() }).collect() };
    if healthy.is_empty() {
        let names = failed.iter().take(5).map(|t| t.provider.as_str()).collect::<Vec<_>>().join(", ");
        let text = format!(
            "The same release fails in {} ({names}) too, and runs nowhere: it is the release, not this provider",
            plural(failed.len(), "other provider")
        );
        return (!failed.is_empty()).then(|| Said::new(Severity::Cause, text, proofs(&failed)));
    }
    let mut links = proofs(&healthy);
    let names = healthy.iter().take(5).map(|t| t.provider.as_str()).collect::<Vec<_>>().join(", ");
    let differ = match &evidence.twin_difference {
        Some(twin) if twin.difference.count() > 0 => {
            links.push(Proof::TwinChanges);
            let count = twin.difference.count();
            let (values, differ) = if count == 1 { ("value", "differs") } else { ("values", "differ") };
            format!("; {count} {values} {differ} from {}", twin.target)
        }
        Some(twin) => format!("; nothing in its objects differs from {}", twin.target),
        None => String::new(),
    };
    let here =
        if failed.is_empty() { "fails only here".to_owned() } else { format!("fails here and in {}", plural(failed.len(), "other")) };
    let text = format!(
        "The same image is healthy in {} ({names}) and {here}: suspect this provider's configuration or load{differ}",
        plural(healthy.len(), "other provider")
    );
    Some(Said::new(Severity::Cause, text, links))
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The image is the same; something else was rolled out.
fn config_alone(evidence: &Evidence) -> Option<Said> {
    let rolls = is_down(evidence) || evidence.canary.phase.is_in_flight();
    if !rolls || evidence.changes.count() == 0 || evidence.changes.has_image() || evidence.changes.more > 0 {
        return None;
    }
    let image = evidence.canary.target_image.as_deref().unwrap_or("the image");
    let paths = paths(evidence);
    Some(Said::new(
        Severity::Cause,
        format!("{image} is what the primary runs; the release changes configuration alone: {paths}"),
        vec![Proof::Changes],
    ))
}

/// What the release changes.
fn changed(evidence: &Evidence) -> Option<Said> {
    let rolls = is_down(evidence) || evidence.canary.phase.is_in_flight();
    if !rolls || evidence.changes.count() == 0 || config_alone(evidence).is_some() {
        return None;
    }
    let text = format!("The release changes {}: {}", plural(evidence.changes.count(), "value"), paths(evidence));
    Some(Said::new(Severity::Note, text, vec![Proof::Changes]))
}

fn paths(evidence: &Evidence) -> String {
    const NAMED: usize = 4;
    let named: Vec<&str> = evidence.changes.changes.iter().take(NAMED).map(|c| c.path.as_str()).collect();
    let more = evidence.changes.count().saturating_sub(named.len());
    named.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

/// Checks that see nothing, and whether that is why.
fn blind(evidence: &Evidence) -> Option<Said> {
    let canary = &evidence.canary;
    if !canary.phase.is_analysed() && !is_down(evidence) {
        return None;
    }
    let caused = failed_check(evidence).and_then(|(check, finding)| {
        let blind = finding.as_ref().map_or_else(
            || !events_of(evidence, |h| matches!(h, Happening::NoData { check: c } if *c == check)).is_empty(),
            |f| f.value.is_none() && f.kind == CheckKind::Metric,
        );
        blind.then_some(check)
    });
    let checks: Vec<&str> = canary.metrics.iter().map(|m| m.name.as_str()).collect();
    let mut lines = Vec::new();
    let (mut proofs, mut causes) = (Vec::new(), false);
    for check in checks {
        let Some(series) = of_check(evidence, check) else { continue };
        let dark = blind_for(series);
        let entered =
            evidence.timeline.stages.iter().any(|s| s.kind.is_step() && !matches!(s.state, StageState::Ahead | StageState::Skipped));
        let since = i64::try_from(dark).unwrap_or(0).saturating_mul(i64::try_from(series.step).unwrap_or(0));
        let long = since >= i64::try_from(canary.interval).unwrap_or(0);
        let what = match &series.failed {
            Some(why) => format!("{check} could not be asked: {why}"),
            None if dark == series.points.len() && dark > 0 && entered => format!("{check} has had no data at all"),
            None if dark > 0 && long && entered => format!("{check} has had no data for {}", span(since)),
            None => continue,
        };
        let is_cause = caused.as_deref() == Some(check);
        causes |= is_cause;
        let why = if !is_down(evidence) {
            "it is blind"
        } else if is_cause {
            "and that is why it was rolled back"
        } else {
            "it is blind, and not the cause"
        };
        lines.push(format!("{what}; {why}"));
        proofs.push(proof(series, series.points.len().saturating_sub(dark), series.points.len().saturating_sub(1)));
    }
    // Without series the events tell.
    if let (true, Some(check)) = (lines.is_empty(), &caused) {
        causes = true;
        lines.push(format!("{check} had no data, and no data never passes"));
        proofs.extend(events_of(evidence, |h| matches!(h, Happening::NoData { .. } | Happening::QueryFailed { .. })));
    }
    let severity = if causes { Severity::Cause } else { Severity::Warning };
    (!lines.is_empty()).then(|| Said::new(severity, capital(&lines.join("; ")), proofs))
}
