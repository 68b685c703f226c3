//! What an operator may ask of a rollout, and the record of what became of it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::phase::Phase;
use super::text::clean;

/// Prefix of the annotation that carries an intent; the rest of the key is its id.
pub const ANNOTATION_PREFIX: &str = "intent.pilothouse.dev/";

/// An operator's verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    Promote,
    Pause,
    Resume,
    Abort,
    Retry,
    Approve,
    Reject,
}

impl Verb {
    pub const ALL: [Self; 7] = [Self::Promote, Self::Pause, Self::Resume, Self::Abort, Self::Retry, Self::Approve, Self::Reject];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Retry => "retry",
            Self::Approve => "approve",
            Self::Reject => "reject",
        }
    }

    /// One line that says what the verb does, for help, plans and the manual.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::Promote => "skip the rest of the analysis and make this revision the primary",
            Self::Pause => "hold the rollout where it is, weights and pods included",
            Self::Resume => "go on after a pause, a new interval first",
            Self::Abort => "send all traffic to the primary and give this revision up",
            Self::Retry => "start the failed revision again from the first step",
            Self::Approve => "open the gate that waits, for this revision only",
            Self::Reject => "refuse the gate that waits and give this revision up",
        }
    }

    /// Whether the verb may be accepted in `phase`; the error says why not and what would help.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn check(self, phase: Phase, paused: bool) -> Result<(), String> {
        let refuse = |why: &str| Err(format!("cannot {} in phase {phase}: {why}", self.word()));
        match self {
            Self::Promote if phase.is_analysed() => Ok(()),
            Self::Promote if phase == Phase::Waiting => refuse("the rollout has not started; approve it first"),
            Self::Promote if phase == Phase::Failed => refuse("this revision failed; retry it first"),
            Self::Promote => refuse("no analysis is running"),
            Self::Pause if paused => Err("already paused; resume it first".into()),
            Self::Pause if phase.is_initial() => refuse("it has not been initialised yet"),
            Self::Pause if matches!(phase, Phase::Terminating | Phase::Terminated) => refuse("it is being deleted"),
            Self::Pause => Ok(()),
            Self::Resume if paused => Ok(()),
            Self::Resume => Err("not paused".into()),
            Self::Abort | Self::Reject if phase.is_analysed() || phase == Phase::Waiting => Ok(()),
            Self::Abort if matches!(phase, Phase::Promoting | Phase::Finalising) => {
                refuse("the primary already runs this revision; bump back to the previous ref instead")
            }
            Self::Abort => refuse("no rollout is running"),
            Self::Retry if phase == Phase::Failed => Ok(()),
            Self::Retry => refuse("only a failed revision can be tried again"),
            Self::Approve if phase.is_in_flight() => Ok(()),
            Self::Approve | Self::Reject => refuse("no gate is waiting"),
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// An intent as it stands in its annotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// The annotation's key without its prefix; not repeated in the value.
    #[serde(skip)]
    pub id: String,
    pub verb: Verb,
    /// `status.lastAppliedSpec` that the operator saw; the driver refuses when it has moved on.
    #[serde(default)]
    pub revision: String,
    /// Who asked, as `SelfSubjectReview` named them: a claim, not a proof.
    pub who: String,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The gate meant by approve and reject; empty is the one that waits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gate: String,
}

/// What became of an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    pub id: String,
    pub verb: Verb,
    pub accepted: bool,
    pub who: String,
    /// When the driver decided.
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The reason of a refusal, or what was done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Verdict {
    /// As it is shown: whoever may write a status may write anything into it.
    #[must_use]
    pub fn cleaned(self) -> Self {
        Self { id: clean(&self.id), who: clean(&self.who), why: clean(&self.why), note: clean(&self.note), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_a_sentence_with_the_verb_or_the_way_out() {
        for verb in Verb::ALL {
            for phase in Phase::ALL {
                for paused in [false, true] {
                    if let Err(why) = verb.check(phase, paused) {
                        assert!(why.len() > 8, "{verb} {phase}: {why}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_promotion_that_has_begun_cannot_be_aborted() {
        assert!(Verb::Abort.check(Phase::Promoting, false).is_err());
        assert!(Verb::Abort.check(Phase::Progressing, true).is_ok());
    }
}
