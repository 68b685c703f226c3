//! Why a canary stands where it stands: typed, written by the engine, drawn by everybody as it is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use crate::domain::finding::{CheckKind, Finding};

/// The one thing that the next step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Nothing to do: waits for a new revision.
    Settled,
    /// The interval has not passed.
    Interval,
    /// Writes or questions of this step are under way.
    Working,
    /// Questions to hooks or metric servers are open.
    Checking,
    PrimaryNotReady,
    CanaryNotReady,
    /// A gate waits for a human.
    Gate,
    Paused,
    Suspended,
    /// A check has no data, and the Canary asks to hold then.
    NoData,
    /// The last check failed; it is repeated until the threshold.
    CheckFailed,
    RolledBack,
    Aborted,
    PromotionFailed,
    /// The target Deployment is not there.
    TargetMissing,
    /// The Canary cannot be run as written.
    Invalid,
    /// Someone else drives it.
    Foreign,
    /// Someone else changed the route or the status in mid-run.
    ForeignWrite,
    /// The API server refused or did not answer.
    WriteFailed,
}

impl Reason {
    pub const ALL: [Self; 19] = [
        Self::Settled,
        Self::Interval,
        Self::Working,
        Self::Checking,
        Self::PrimaryNotReady,
        Self::CanaryNotReady,
        Self::Gate,
        Self::Paused,
        Self::Suspended,
        Self::NoData,
        Self::CheckFailed,
        Self::RolledBack,
        Self::Aborted,
        Self::PromotionFailed,
        Self::TargetMissing,
        Self::Invalid,
        Self::Foreign,
        Self::ForeignWrite,
        Self::WriteFailed,
    ];

    /// Whether only a person can move it on.
    #[must_use]
    pub const fn needs_human(self) -> bool {
        matches!(self, Self::Gate | Self::Paused | Self::Invalid | Self::ForeignWrite | Self::PromotionFailed | Self::TargetMissing)
    }
}

/// The report of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub reason: Reason,
    /// A sentence with the figures: which check, which limit, which gate.
    pub message: String,
    /// When the next step is due, where time alone brings it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The last check of this rollout that did not pass, until one passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
}

impl Report {
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), until: None, finding: None }
    }

    #[must_use]
    pub fn found(mut self, finding: Option<Finding>) -> Self {
        self.finding = finding;
        self
    }

    #[must_use]
    pub const fn until(mut self, at: Timestamp) -> Self {
        self.until = Some(at);
        self
    }
}
