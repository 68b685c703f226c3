//! All that a step can ask for. An effect states a desired value, never an increment, and is one API
//! request or one question; performing it twice is performing it once.

use crate::domain::alert::{Alert, Severity};
use crate::domain::canary::HookKind;
use crate::domain::status::CanaryStatus;
use crate::domain::traffic::Traffic;

/// One of the three Services of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceRole {
    Canary,
    Primary,
    Apex,
}

/// A message for the Canary's events, and for people in chat where it is one for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Say {
    pub warning: bool,
    pub message: String,
    pub alert: Option<Alert>,
}

impl Say {
    #[must_use]
    pub fn normal(message: impl Into<String>) -> Self {
        Self { warning: false, message: message.into(), alert: None }
    }

    #[must_use]
    pub fn warning(message: impl Into<String>) -> Self {
        Self { warning: true, message: message.into(), alert: None }
    }

    /// The same, told in chat in these words; facts of the canary go with it where `with_fields` (rollout-contract §8.1).
    #[must_use]
    pub fn alert(mut self, severity: Severity, message: impl Into<String>, with_fields: bool) -> Self {
        self.alert = Some(Alert { severity, message: message.into(), with_fields });
        self
    }
}

/// Something that only the outside knows. Asking changes nothing and may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Are the metric servers there?
    Online,
    /// Call the n-th webhook of the analysis, for its `kind`.
    Hook { kind: HookKind, index: usize },
    /// The value of the n-th metric of the analysis.
    Metric { index: usize },
}

/// What the outside said. There is no variant that could be taken for success by mistake.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The hook answered with a status that passes.
    Passed,
    /// A finite number, in the unit of the check (percent, milliseconds).
    Value(f64),
    /// The server answered and has no value: an empty vector, or NaN.
    NoData,
    /// It refused, failed or did not answer in time.
    Error(String),
}

/// The replicas wanted of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    Zero,
    /// The replicas it starts with: the primary's.
    To(i64),
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    EnsureService(ServiceRole),
    /// Writes the first config copy that differs, or the primary once all are equal; pods are stamped with `id`.
    CopyToPrimary {
        id: String,
    },
    /// Creates or mends the route objects; the weights they have stay.
    EnsureRoute,
    SetTraffic(Traffic),
    ScaleTarget(Scale),
    /// Makes the primary's scaler after the target's.
    EnsureScaler,
    /// Keeps the target's scaler from scaling it, or lets it go on (KEDA; an HPA rests by itself where there are no pods).
    PauseScaler(bool),
    /// Adds our finalizer, or takes it away.
    Finalizer {
        present: bool,
        say: Vec<Say>,
    },
    /// Points an apex Service that was there before the Canary at the target again.
    RestoreService,
    /// Gives the route back as it was before the Canary.
    RestoreRoute,
    /// Writes the status, then publishes `say`.
    WriteStatus {
        status: Box<CanaryStatus>,
        say: Vec<Say>,
    },
    /// Deletes the annotation of an intent whose verdict is recorded.
    RemoveIntent {
        id: String,
    },
    Ask(Question),
}

impl Effect {
    /// Whether it changes the cluster.
    #[must_use]
    pub const fn mutates(&self) -> bool {
        !matches!(self, Self::Ask(_))
    }

    /// Whether the objects it relies on must be read live before it is performed: after these, traffic
    /// or pods are gone, and a stale cache would have been the reason.
    #[must_use]
    pub fn needs_live_read(&self) -> bool {
        let to_primary = matches!(self, Self::SetTraffic(traffic) if traffic.canary == 0);
        to_primary || matches!(self, Self::ScaleTarget(Scale::Zero) | Self::CopyToPrimary { .. } | Self::Finalizer { present: false, .. })
    }
}
