//! Moving pins.

use super::{Failure, Global, Outcome, output, session};
use crate::session::operations::{Operator, told};

pub(super) async fn bump(global: &Global, to: &str, providers: &[String]) -> Outcome {
    if global.read_only && !global.dry_run {
        return Err(Failure::refused("cannot bump: --read-only"));
    }
    let (operator, _outcomes) = Operator::new(session(global, false, false)?, false);
    let mut failed = Vec::new();
    for provider in providers {
        let done = if global.dry_run { operator.bump_plan(provider, to).await } else { operator.bump(provider, to, &global.reason).await };
        match done {
            Ok(outcome) if global.dry_run => {
                output::print(&format!(
                    "{provider}: would move {} → {} in {}:{}\n- {}\n+ {}\n",
                    outcome.from,
                    outcome.to,
                    outcome.file,
                    outcome.line,
                    outcome.line_before.trim(),
                    outcome.line_after.trim()
                ));
            }
            Ok(outcome) => output::print(&format!("{provider}: {}\n", told(&outcome))),
            Err(why) => failed.push(why),
        }
    }
    if failed.is_empty() { Ok(0) } else { Err(Failure::failed(failed.join("\n"))) }
}
