//! What the runner needs of the world.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Notify;

pub use super::clock::Clock;
pub use crate::engine::effect::{Answer, Effect, Question, Say};
pub use crate::engine::observation::Observation;

use crate::domain::target::CanaryKey;

/// Why an effect was not performed.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The world is not what the step saw: observe again, at once.
    #[error("{0}")]
    Changed(String),
    /// The API server refused; trying again changes nothing until someone else does.
    #[error("{0}")]
    Denied(String),
    /// It may work the next time.
    #[error("{0}")]
    Failed(String),
}

/// One cluster.
pub trait ClusterPort: Send + Sync + 'static {
    /// The time that its rollouts go by.
    fn clock(&self) -> &Clock;

    /// Canaries that exist now.
    fn canaries(&self) -> Vec<CanaryKey>;

    /// Rings when something that concerns `key` has changed.
    fn waker(&self, key: &CanaryKey) -> Arc<Notify>;

    /// Returns when a canary came or went.
    fn canaries_changed(&self) -> impl Future<Output = ()> + Send;

    /// What is, without the round of questions; `None` while too little is known, or the canary is gone.
    fn observe(&self, key: &CanaryKey) -> impl Future<Output = Result<Option<Observation>, PortError>> + Send;

    /// One request. Refused with [`PortError::Changed`] when what it relies on is no longer so.
    fn perform(&self, seen: &Observation, effect: &Effect) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Hooks and metric servers.
pub trait AnalysisPort: Send + Sync + 'static {
    /// The answer to `question`; every failure is an answer too.
    fn ask(&self, seen: &Observation, question: Question) -> impl Future<Output = Answer> + Send;

    /// Tells people and programs what happened to the canary that `seen` shows. Returns at once; nothing waits for it.
    fn announce(&self, seen: &Observation, say: &[Say]);
}

/// The claim to be the only writer of a cluster.
pub trait Leadership: Send + Sync + 'static {
    /// Whether a request that starts now ends within the claim.
    fn may_write(&self) -> bool;
}
