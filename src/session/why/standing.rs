//! The rules about what a rollout waits for, who has it in hand, and what can be done.

use super::figures::{ago, span};
use super::rules::{Said, is_down};
use super::{Evidence, Proof, Severity};
use crate::domain::canary::HookKind;
use crate::domain::intent::Verb;
use crate::domain::phase::Phase;
use crate::engine::report::Reason;
use crate::session::happening::{self, Happening};
use crate::session::view::{DriverView, Link, SyncState};

fn reason(evidence: &Evidence) -> Option<Reason> {
    evidence.canary.report.as_ref().map(|report| report.reason)
}

fn message(evidence: &Evidence) -> &str {
    evidence.canary.report.as_ref().map_or("", |report| report.message.as_str())
}

fn because(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(": {why}") }
}

/// A person gave the revision up.
pub(super) fn ended_by_hand(evidence: &Evidence) -> Option<Said> {
    let canary = &evidence.canary;
    let ended = canary.verdicts.iter().enumerate().rev().find(|(_, v)| v.accepted)?;
    let (index, verdict) = ended;
    let of_this = canary.since.is_none_or(|since| verdict.at <= since && evidence.timeline.began.is_none_or(|began| verdict.at >= began));
    if canary.phase != Phase::Failed || !matches!(verdict.verb, Verb::Abort | Verb::Reject) || !of_this {
        return (reason(evidence) == Some(Reason::Aborted))
            .then(|| Said::new(Severity::Cause, capital(message(evidence)), vec![Proof::Report]));
    }
    let word = if verdict.verb == Verb::Reject { "Rejected" } else { "Aborted" };
    let text = format!("{word} by {} {} ago{}", verdict.who, ago(evidence.now, verdict.at), because(&verdict.why));
    Some(Said::new(Severity::Cause, text, vec![Proof::Verb { index }]))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// The Canary cannot be run as written, or lacks what it stands on.
pub(super) fn cannot_run(evidence: &Evidence) -> Option<Said> {
    let reasons = [Reason::Invalid, Reason::TargetMissing, Reason::WriteFailed, Reason::PromotionFailed];
    reason(evidence).filter(|reason| reasons.contains(reason))?;
    Some(Said::new(Severity::Cause, capital(message(evidence)), vec![Proof::Report]))
}

/// Somebody else wrote the route or the status.
pub(super) fn foreign_write(evidence: &Evidence) -> Option<Said> {
    (reason(evidence) == Some(Reason::ForeignWrite))
        .then(|| Said::new(Severity::Cause, format!("A foreign hand: {}", message(evidence)), vec![Proof::Report]))
}

/// Pods that are not there yet.
pub(super) fn not_ready(evidence: &Evidence) -> Option<Said> {
    let pods = [&evidence.canary_pods, &evidence.primary_pods].into_iter().flatten().find(|pods| pods.waits.is_some())?;
    let waits = pods.waits.as_deref().unwrap_or_default();
    if !evidence.canary.phase.is_in_flight() && !evidence.canary.phase.is_initial() {
        return None;
    }
    let deadline = match pods.expires.map(|at| at.duration_since(evidence.now).as_secs()) {
        Some(left) if left > 0 => format!("; its deadline is in {}", span(left)),
        Some(_) => "; its deadline has passed".to_owned(),
        None => String::new(),
    };
    let text = format!("{} has {} of {} pods available ({waits}){deadline}", pods.name, pods.available, pods.wanted);
    Some(Said::new(Severity::Cause, text, vec![Proof::Pods]))
}

/// A gate waits: which, since when, for whom.
pub(super) fn gate(evidence: &Evidence) -> Option<Said> {
    let (canary, target) = (&evidence.canary, &evidence.target);
    if let Some(gate) = canary.gates.first() {
        let since = gate.since.map(|since| format!(" for {}", ago(evidence.now, since))).unwrap_or_default();
        let text = format!("Gate {} has waited{since} for a human: pilothouse approve {target} --gate {}, or reject", gate.name, gate.name);
        return Some(Said::new(Severity::Cause, text, vec![Proof::Gate { name: gate.name.clone() }]));
    }
    let newest = canary.events.iter().enumerate().find_map(|(index, event)| match happening::read(event) {
        Happening::GateWaits(kind) => Some((index, event, kind)),
        _ => None,
    });
    let asked = match canary.phase {
        Phase::Waiting => Some(HookKind::ConfirmRollout),
        Phase::WaitingPromotion => Some(HookKind::ConfirmPromotion),
        Phase::Progressing if reason(evidence) == Some(Reason::Gate) => Some(HookKind::ConfirmTrafficIncrease),
        _ => None,
    }?;
    let event = newest.filter(|(_, _, kind)| *kind == asked);
    let hook = canary.hooks.iter().find(|hook| hook.kind == asked.word() && !hook.url.is_empty());
    let by = hook.map_or_else(String::new, |hook| format!("; webhook {} ({}) alone can open it", hook.name, hook.url));
    let since = canary.since.map(|since| format!(" for {}", ago(evidence.now, since))).unwrap_or_default();
    let proofs = event.map(|(index, event, _)| Proof::Event { index, at: event.at }).into_iter();
    let gate = Proof::Gate { name: asked.word().into() };
    Some(Said::new(
        Severity::Cause,
        format!("Gate {} has been closed{since}{by}", asked.word()),
        std::iter::once(gate).chain(proofs).collect(),
    ))
}

/// Paused: by whom and why.
pub(super) fn paused(evidence: &Evidence) -> Option<Said> {
    let pause = evidence.canary.paused.as_ref()?;
    let weight = evidence.canary.weight;
    let serves = if weight > 0 { format!("; the canary goes on serving {weight} %") } else { String::new() };
    let text = format!("Paused by {} {} ago{}{serves}", pause.who, ago(evidence.now, pause.at), because(&pause.why));
    let verb = evidence.canary.verdicts.iter().rposition(|v| v.verb == Verb::Pause && v.accepted).map(|index| Proof::Verb { index });
    Some(Said::new(Severity::Cause, text, std::iter::once(Proof::Report).chain(verb).collect()))
}

/// `spec.suspend`.
pub(super) fn suspended(evidence: &Evidence) -> Option<Said> {
    if !evidence.suspended {
        return None;
    }
    let weight = evidence.canary.weight;
    let serves = if weight > 0 { format!("; the canary goes on serving {weight} %") } else { String::new() };
    Some(Said::new(Severity::Cause, format!("spec.suspend is true: nothing moves until it is false{serves}"), vec![Proof::Report]))
}

/// Held by a check without data.
pub(super) fn held(evidence: &Evidence) -> Option<Said> {
    (reason(evidence) == Some(Reason::NoData))
        .then(|| Said::new(Severity::Cause, format!("Held: {}", message(evidence)), vec![Proof::Report]))
}

/// Somebody else drives.
pub(super) fn foreign_driver(evidence: &Evidence) -> Option<Said> {
    let why = evidence.canary.foreign.as_ref()?;
    Some(Said::new(Severity::Note, format!("Pilothouse writes nothing here: {why}"), vec![Proof::Report]))
}

/// A rollout is in flight and nobody moves it.
pub(super) fn nobody_drives(evidence: &Evidence) -> Option<Said> {
    let DriverView::Nobody { why } = &evidence.context.driver else { return None };
    if evidence.canary.foreign.is_some() || !evidence.canary.phase.is_in_flight() {
        return None;
    }
    Some(Said::new(
        Severity::Cause,
        format!("Nobody drives this cluster ({why}), so nothing moves: start pilothouse --daemon for it, or the console with --drive"),
        vec![Proof::Link],
    ))
}

/// What is shown is old.
pub(super) fn unreachable(evidence: &Evidence) -> Option<Said> {
    let (word, why) = match &evidence.context.link {
        Link::Live | Link::Connecting { .. } => return None,
        Link::Stale { why, .. } => ("does not answer any more", why),
        Link::Unreachable { why, .. } => ("does not answer", why),
        Link::Unauthorized { why, .. } => ("refuses us", why),
    };
    let age = evidence.context.heard.map(|heard| format!("; what is shown is {} old", ago(evidence.now, heard))).unwrap_or_default();
    Some(Said::new(Severity::Warning, format!("{} {word}: {why}{age}", evidence.context.name), vec![Proof::Link]))
}

/// What git asks for against what runs, and whether the next sync tries again.
pub(super) fn git(evidence: &Evidence) -> Option<Said> {
    let sync = evidence.context.sync.as_ref()?;
    let pinned = sync.pinned.as_deref().filter(|p| !p.is_empty())?;
    let runs = sync.promoted_ref.as_deref().filter(|p| !p.is_empty());
    let proofs = vec![Proof::Sync];
    if is_down(evidence) {
        let still = runs
            .filter(|runs| *runs != pinned)
            .map_or_else(|| format!("Git asks for {pinned}"), |runs| format!("Git still asks for {pinned}, {runs} is what runs"));
        let text = format!("{still}: the next sync does not try the same revision again; retry it, or bump the pin");
        return Some(Said::new(Severity::Note, text, proofs));
    }
    match sync.state {
        SyncState::Failed => Some(Said::new(Severity::Warning, format!("The sync of {pinned} failed: {}", sync.message), proofs)),
        SyncState::Suspended => Some(Said::new(Severity::Note, format!("The sync is suspended; git asks for {pinned}"), proofs)),
        SyncState::Behind => {
            let applied = sync.applied_ref.as_deref().unwrap_or("nothing");
            Some(Said::new(Severity::Note, format!("Git asks for {pinned} and the cluster has {applied}"), proofs))
        }
        _ => None,
    }
}

/// Nothing is wrong.
pub(super) fn settled(evidence: &Evidence) -> Option<Said> {
    let canary = &evidence.canary;
    let fine = matches!(canary.phase, Phase::Succeeded | Phase::Initialized) && canary.paused.is_none() && !evidence.suspended;
    if !fine || reason(evidence).is_some_and(|r| !matches!(r, Reason::Settled | Reason::Foreign | Reason::Interval | Reason::Working)) {
        return None;
    }
    let since = canary.since.map(|since| format!(" for {}", ago(evidence.now, since))).unwrap_or_default();
    let image = canary.primary_image.as_deref().map(|image| format!(", and the primary runs {image}")).unwrap_or_default();
    Some(Said::new(Severity::Note, format!("Nothing is wrong: it has been {}{since}{image}", canary.phase.word()), vec![Proof::Report]))
}

/// A rollout goes as it should.
pub(super) fn in_flight(evidence: &Evidence) -> Option<Said> {
    let canary = &evidence.canary;
    let waits = !canary.gates.is_empty() || canary.paused.is_some() || evidence.suspended || is_down(evidence);
    let calm = matches!(reason(evidence), Some(Reason::Interval | Reason::Working | Reason::Checking) | None);
    if !canary.phase.is_in_flight() || waits || !calm || canary.failed_checks > 0 || canary.foreign.is_some() && reason(evidence).is_none()
    {
        return None;
    }
    let next = canary.report.as_ref().and_then(|r| r.until).map(|at| at.duration_since(evidence.now).as_secs()).filter(|left| *left > 0);
    let next = next.map(|left| format!(" in {}", span(left))).unwrap_or_default();
    Some(Said::new(
        Severity::Note,
        format!("{} at {} %: {}{next}", canary.phase.word(), canary.weight, message(evidence)),
        vec![Proof::Report],
    ))
}

/// The verbs that are legal now, as commands.
pub(super) fn help(evidence: &Evidence) -> Option<Said> {
    let canary = &evidence.canary;
    if canary.foreign.is_some() {
        return None;
    }
    let gate = !canary.gates.is_empty();
    let useful = |verb: &Verb| match verb {
        // What is not needed by somebody who asks why.
        Verb::Pause => canary.phase.is_in_flight(),
        Verb::Approve | Verb::Reject => gate,
        _ => true,
    };
    let legal = Verb::ALL.into_iter().filter(useful).filter(|verb| verb.check(canary.phase, canary.paused.is_some()).is_ok());
    let verbs: Vec<String> = legal.map(|verb| format!("pilothouse {verb} {} ({})", evidence.target, verb.help())).collect();
    (!verbs.is_empty()).then(|| Said::new(Severity::Help, format!("What can be done: {}", verbs.join("; ")), Vec::new()))
}
