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
