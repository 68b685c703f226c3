//! What the console and the command line may ask of a session, and what they hear back.

use serde::Serialize;

use crate::domain::intent::Verb;
use crate::domain::target::Target;

/// A request. Each one names its contexts: nothing acts on "the current one".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send an operator's verb to one canary.
    Verb {
        target: Target,
        verb: Verb,
        /// The gate meant; empty is the one that waits.
        gate: String,
        why: String,
        /// `status.lastAppliedSpec` that was on the screen.
        revision: String,
    },
    /// Move the pin of providers to another ref.
    Bump { providers: Vec<String>, to: String, why: String },
    /// Reconcile the sync of a provider now.
    Sync { provider: String },
    /// Ask what we may do in a context; the answer comes with its view, and there is no outcome.
    Permissions { context: String },
    /// Somebody has logged in to a context at the terminal: it and all contexts with the same login connect at once.
    /// Their views say what came of it, and there is no outcome.
    LoggedIn { context: String },
}

/// The outcome of a command for one target, as observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The number that was returned when the command was sent.
    pub id: u64,
    /// The canary or provider.
    pub target: String,
    pub state: OutcomeState,
    /// A sentence: what happened, or why not and the way out.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum OutcomeState {
    /// Under way; a later outcome of the same id follows.
    Pending,
    Done,
    /// The driver, a policy or a permission said no.
    Refused,
    Failed,
}
