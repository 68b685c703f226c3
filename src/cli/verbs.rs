//! Operators' verbs.

use super::{Failure, Global, Outcome, output, session};
use crate::domain::intent::Verb;
use crate::domain::target::Target;
use crate::session::operations::{Operator, VerbError};

pub(super) async fn verb(global: &Global, verb: Verb, target: &str, gate: &str) -> Outcome {
    let target: Target = target.parse().map_err(Failure::usage)?;
    if global.read_only && !global.dry_run {
        return Err(Failure::refused(format!("cannot {verb} {target}: --read-only")));
    }
    let mut global = global.clone();
    global.context = vec![target.context.clone()];
    let session = session(&global, false, false)?;
    if global.dry_run {
        let view = session.settled(super::PATIENCE).await;
        let canary =
            view.canary(&target).ok_or_else(|| Failure::failed(format!("no canary {target}; pilothouse status shows which there are")))?;
        verb.check(canary.phase, canary.paused.is_some()).map_err(Failure::refused)?;
        output::print(&format!("would {verb} {target} ({}, {} %): {}\n", canary.phase, canary.weight, verb.help()));
        return Ok(0);
    }
    let (operator, _outcomes) = Operator::new(session, false);
    match operator.verb(&target, verb, gate.into(), global.reason.clone(), String::new()).await {
        Ok(message) => {
            output::print(&format!("{target}: {message}\n"));
            Ok(0)
        }
        Err(VerbError::Refused(why)) => Err(Failure::refused(format!("{target}: {why}"))),
        Err(VerbError::Unreachable(why)) => Err(Failure { code: 4, message: why }),
        Err(VerbError::Failed(why)) => Err(Failure::failed(why)),
    }
}

/// Aborts every rollout in flight, clusters in parallel. Without the right number in `confirm` it lists them, so that
/// nobody stops more than he has seen. 0 all done, 1 some not, 2 not confirmed, 4 some contexts cannot be reached.
pub(super) async fn stop(global: &Global, confirm: &str) -> Outcome {
    if global.read_only && !global.dry_run {
        return Err(Failure::refused("cannot stop: --read-only"));
    }
    let session = session(global, false, false)?;
    let view = session.settled(super::PATIENCE).await;
    let mut flying = Vec::new();
    let mut unreached = Vec::new();
    for context in view.each() {
        if context.link.is_live() {
            let of_it = context.canaries.iter().filter(|canary| canary.phase.is_in_flight() && canary.foreign.is_none());
            flying.extend(
                of_it.map(|canary| (Target::new(&context.name, &canary.key), canary.phase, canary.weight, canary.revision.clone())),
            );
        } else {
            unreached.push(context.name.clone());
        }
    }
    for name in &unreached {
        output::complain(&format!("{name} cannot be reached: what is in flight there goes on"));
    }
    let code = if unreached.is_empty() { 0 } else { 4 };
    if flying.is_empty() {
        output::print("nothing is in flight\n");
        return Ok(code);
    }
    let proof = format!("abort {}", flying.len());
    if global.dry_run || confirm != proof || global.reason.trim().is_empty() {
        for (target, phase, weight, _) in &flying {
            output::print(&format!("{target} {phase} {weight} %\n"));
        }
        if global.dry_run {
            return Ok(code);
        }
        return Err(Failure::usage(format!("to abort them: pilothouse stop --confirm '{proof}' --reason TEXT")));
    }
    let (operator, _outcomes) = Operator::new(session, false);
    let aborts = flying.into_iter().map(|(target, _, _, revision)| {
        let (operator, why) = (std::sync::Arc::clone(&operator), global.reason.clone());
        async move {
            let done = operator.verb(&target, Verb::Abort, String::new(), why, revision).await;
            (target, done)
        }
    });
    let mut failed = 0;
    for (target, done) in futures::future::join_all(aborts).await {
        match done {
            Ok(message) => output::print(&format!("{target}: {message}\n")),
            Err(error) => {
                failed += 1;
                output::complain(&format!("{target}: {error}"));
            }
        }
    }
    if failed > 0 { Err(Failure::failed(format!("{failed} not aborted"))) } else { Ok(code) }
}
