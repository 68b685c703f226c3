//! Phases of a Canary: Flagger's words, unchanged.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `status.phase`. A word this engine does not know is kept as [`Phase::Unknown`] and never acted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// No status yet.
    #[default]
    #[serde(rename = "")]
    New,
    Initializing,
    Initialized,
    Waiting,
    Progressing,
    WaitingPromotion,
    Promoting,
    Finalising,
    Succeeded,
    Failed,
    Terminating,
    Terminated,
    #[serde(other)]
    Unknown,
}

impl Phase {
    /// All phases that the API may hold, in the order of a rollout.
    pub const ALL: [Self; 12] = [
        Self::New,
        Self::Initializing,
        Self::Initialized,
        Self::Waiting,
        Self::Progressing,
        Self::WaitingPromotion,
        Self::Promoting,
        Self::Finalising,
        Self::Succeeded,
        Self::Failed,
        Self::Terminating,
        Self::Terminated,
    ];

    /// The word in `status.phase`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::New => "",
            Self::Initializing => "Initializing",
            Self::Initialized => "Initialized",
            Self::Waiting => "Waiting",
            Self::Progressing => "Progressing",
            Self::WaitingPromotion => "WaitingPromotion",
            Self::Promoting => "Promoting",
            Self::Finalising => "Finalising",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Terminating => "Terminating",
            Self::Terminated => "Terminated",
            Self::Unknown => "Unknown",
        }
    }

    /// Nothing is in flight: only a new revision or an operator starts something.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Initialized | Self::Succeeded | Self::Failed)
    }

    /// The primary does not exist for certain yet.
    #[must_use]
    pub const fn is_initial(self) -> bool {
        matches!(self, Self::New | Self::Initializing)
    }

    /// The canary is judged in this phase, and may be rolled back.
    #[must_use]
    pub const fn is_analysed(self) -> bool {
        matches!(self, Self::Progressing | Self::WaitingPromotion)
    }

    /// A rollout is in flight.
    #[must_use]
    pub const fn is_in_flight(self) -> bool {
        matches!(self, Self::Waiting | Self::Progressing | Self::WaitingPromotion | Self::Promoting | Self::Finalising)
    }

    /// Status of the `Promoted` condition in this phase (rollout-contract §1.5).
    #[must_use]
    pub const fn promoted(self) -> &'static str {
        match self {
            Self::Initialized | Self::Succeeded => "True",
            Self::Failed => "False",
            _ => "Unknown",
        }
    }

    /// Message of the `Promoted` condition for a target of `kind` (rollout-contract §1.5).
    #[must_use]
    pub fn promoted_message(self, kind: &str) -> String {
        match self {
            Self::Initialized => format!("{kind} initialization completed."),
            Self::Waiting | Self::WaitingPromotion => "Waiting for approval.".into(),
            Self::Progressing => "New revision detected, progressing canary analysis.".into(),
            Self::Promoting => "Canary analysis completed, starting primary rolling update.".into(),
            Self::Finalising => "Canary analysis completed, routing all traffic to primary.".into(),
            Self::Succeeded => "Canary analysis completed successfully, promotion finished.".into(),
            Self::Failed => format!("Canary analysis failed, {kind} scaled to zero."),
            _ => format!("New {kind} detected, starting initialization."),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_serde_agree() {
        for phase in Phase::ALL {
            let json = serde_json::to_value(phase).expect("a phase");
            assert_eq!(json, phase.word());
            assert_eq!(serde_json::from_value::<Phase>(json).expect("a word"), phase);
        }
        assert_eq!(serde_json::from_str::<Phase>("\"Sideways\"").expect("any word"), Phase::Unknown);
    }
}
