//! Why one canary stands where it stands.

use std::time::Duration;

use super::{Failure, Global, Outcome, PATIENCE, output, session};
use crate::domain::target::Target;
use crate::session::why::{self, markdown};

/// How long contexts are waited for that are only compared with.
const OTHERS: Duration = Duration::from_secs(2);

pub(super) async fn why(global: &Global, target: &str, as_markdown: bool) -> Outcome {
    let target: Target = target.parse().map_err(Failure::usage)?;
    let session = session(global, false, false)?;
    let Some(asked) = session.context(&target.context) else {
        return Err(Failure::usage(format!("no context named {}", target.context)));
    };
    // The others are for comparison: nobody waits long for those.
    let answered = async {
        while !asked.has_answered() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, answered).await;
    let view = session.settled(OTHERS).await;
    if let Some(context) = view.context(&target.context)
        && !context.link.is_live()
        && context.canaries.is_empty()
    {
        return Err(Failure { code: 4, message: format!("{}: {}", target.context, super::status::link(context)) });
    }
    let found = why::ask_in(&session, &view, &target).await.map_err(Failure::failed)?;
    output::show(global.output, "Why", &found, || if as_markdown { markdown::report(&found) } else { markdown::plain(&found) })?;
    Ok(0)
}
