//! Whether a workload is ready, by Flagger's rules and with its sentences (rollout-contract §4.4).

use jiff::{SignedDuration, Timestamp};

/// What a Deployment's spec and status say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeploymentState {
    pub name: String,
    pub generation: i64,
    pub observed_generation: i64,
    pub replicas_wanted: i64,
    pub replicas: i64,
    pub updated: i64,
    pub available: i64,
    /// Reason of the `Progressing` condition, `None` where there is no such condition.
    pub progressing_reason: Option<String>,
    /// `lastUpdateTime` of an `Available` condition that is False for `MinimumReplicasUnavailable`.
    pub unavailable_since: Option<Timestamp>,
}

/// What a `DaemonSet`'s spec and status say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonSetState {
    pub generation: i64,
    pub observed_generation: i64,
    pub desired: i64,
    pub updated: i64,
    pub available: i64,
}

/// A workload's state, by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadState {
    Deployment(DeploymentState),
    DaemonSet(DaemonSetState),
    /// A Service has no pods of its own to wait for.
    Service,
    /// The newest revision of a Knative Service, with what it waits for where it is not ready.
    Knative {
        waits: Option<String>,
    },
}

/// What readiness is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Percent of updated pods that must be available.
    pub percent: u32,
    /// Seconds for which an unavailable workload is tolerated.
    pub deadline: i64,
    /// Since when the rollout stands where it does: a `DaemonSet` knows no such time itself.
    pub since: Option<Timestamp>,
    pub now: Timestamp,
}

impl WorkloadState {
    /// Whether the workload is ready.
    #[must_use]
    pub fn readiness(&self, by: &Patience) -> Readiness {
        match self {
            Self::Deployment(state) => state.readiness(by.percent, by.deadline, by.now),
            Self::DaemonSet(state) => state.readiness(by),
            Self::Service | Self::Knative { waits: None } => Readiness::Ready,
            Self::Knative { waits: Some(why) } => Readiness::Waiting(why.clone()),
        }
    }
}

impl WorkloadState {
    /// When a workload that is not ready will have had its time.
    #[must_use]
    pub fn expires(&self, by: &Patience) -> Option<Timestamp> {
        let since = match self {
            Self::Deployment(state) => state.unavailable_since,
            Self::DaemonSet(_) => by.since,
            Self::Service | Self::Knative { .. } => None,
        };
        // Past the deadline, and not at it.
        since?.checked_add(SignedDuration::from_secs(by.deadline.saturating_add(1))).ok()
    }
}

impl DaemonSetState {
    fn readiness(&self, by: &Patience) -> Readiness {
        let needed = self.desired * i64::from(by.percent) / 100;
        let why = if self.observed_generation < self.generation {
            "waiting for rollout to finish: observed daemon set generation less than desired generation".to_owned()
        } else if self.updated < self.desired {
            format!("waiting for rollout to finish: {} out of {} new pods have been updated", self.updated, self.desired)
        } else if self.available < needed {
            let (available, updated, percent) = (self.available, self.updated, by.percent);
            format!("waiting for rollout to finish: {available} of {updated} (readyThreshold {percent}%) updated pods are available")
        } else {
            return Readiness::Ready;
        };
        if by.since.is_some_and(|since| by.now.duration_since(since).as_secs() > by.deadline) {
            return Readiness::Expired(format!("exceeded its progressDeadlineSeconds: {}", by.deadline));
        }
        Readiness::Waiting(why)
    }
}

/// The verdict on a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// It may still come.
    Waiting(String),
    /// It has had its time.
    Expired(String),
}

impl Readiness {
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Ready)
    }
}

impl DeploymentState {
    /// `threshold` is the percentage of updated pods that must be available, `deadline` the seconds for
    /// which an unavailable Deployment is tolerated.
    #[must_use]
    pub fn readiness(&self, threshold: u32, deadline: i64, now: Timestamp) -> Readiness {
        if self.observed_generation < self.generation {
            return Readiness::Waiting("waiting for rollout to finish: observed deployment generation less than desired generation".into());
        }
        let Some(reason) = &self.progressing_reason else { return Readiness::Ready };
        if reason == "ProgressDeadlineExceeded" {
            return Readiness::Expired(format!("deployment \"{}\" exceeded its progress deadline", self.name));
        }
        let expired = self.unavailable_since.is_some_and(|since| now.duration_since(since).as_secs() > deadline);
        let wait = |text: String| if expired { Readiness::Expired(text) } else { Readiness::Waiting(text) };
        let needed = self.updated * i64::from(threshold) / 100;
        if self.updated < self.replicas_wanted {
            wait(format!("waiting for rollout to finish: {} out of {} new replicas have been updated", self.updated, self.replicas_wanted))
        } else if self.replicas > self.updated {
            wait(format!("waiting for rollout to finish: {} old replicas are pending termination", self.replicas - self.updated))
        } else if self.available < needed {
            wait(format!(
                "waiting for rollout to finish: {} of {} (readyThreshold {threshold}%) updated replicas are available",
                self.available, self.updated
            ))
        } else {
            Readiness::Ready
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a time")
    }

    fn deployment() -> DeploymentState {
        DeploymentState {
            name: "web".into(),
            generation: 2,
            observed_generation: 2,
            replicas_wanted: 2,
            replicas: 2,
            updated: 2,
            available: 2,
            progressing_reason: Some("NewReplicaSetAvailable".into()),
            unavailable_since: None,
        }
    }

    #[test]
    fn the_table() {
        let d = deployment();
        let cases = [
            (d.clone(), Readiness::Ready),
            (
                DeploymentState { observed_generation: 1, ..d.clone() },
                Readiness::Waiting("waiting for rollout to finish: observed deployment generation less than desired generation".into()),
            ),
            (
                DeploymentState { updated: 1, ..d.clone() },
                Readiness::Waiting("waiting for rollout to finish: 1 out of 2 new replicas have been updated".into()),
            ),
            (
                DeploymentState { replicas: 3, ..d.clone() },
                Readiness::Waiting("waiting for rollout to finish: 1 old replicas are pending termination".into()),
            ),
            (
                DeploymentState { available: 1, ..d.clone() },
                Readiness::Waiting("waiting for rollout to finish: 1 of 2 (readyThreshold 100%) updated replicas are available".into()),
            ),
            (
                DeploymentState { available: 1, unavailable_since: Some(at(0)), ..d.clone() },
                Readiness::Expired("waiting for rollout to finish: 1 of 2 (readyThreshold 100%) updated replicas are available".into()),
            ),
            (
                DeploymentState { progressing_reason: Some("ProgressDeadlineExceeded".into()), ..d },
                Readiness::Expired("deployment \"web\" exceeded its progress deadline".into()),
            ),
        ];
        for (state, expected) in cases {
            assert_eq!(state.readiness(100, 60, at(100)), expected);
        }
        let half = DeploymentState { available: 1, ..deployment() };
        assert!(half.readiness(50, 60, at(0)).is_ready());
    }

    #[test]
    fn a_daemon_set_expires_by_the_rollouts_own_clock() {
        let by = |since| Patience { percent: 100, deadline: 60, since: Some(at(since)), now: at(100) };
        let state = |updated, available| DaemonSetState { generation: 2, observed_generation: 2, desired: 3, updated, available };
        let ready = |state: DaemonSetState, since| WorkloadState::DaemonSet(state).readiness(&by(since));
        assert_eq!(ready(state(3, 3), 0), Readiness::Ready);
        assert_eq!(
            ready(state(1, 1), 90),
            Readiness::Waiting("waiting for rollout to finish: 1 out of 3 new pods have been updated".into())
        );
        assert!(matches!(ready(state(3, 2), 90), Readiness::Waiting(why) if why.contains("2 of 3 (readyThreshold 100%) updated pods")));
        assert_eq!(ready(state(3, 2), 0), Readiness::Expired("exceeded its progressDeadlineSeconds: 60".into()));
        let unseen = DaemonSetState { observed_generation: 1, ..state(3, 3) };
        assert!(matches!(ready(unseen, 90), Readiness::Waiting(_)), "what the controller has not seen is not ready");
    }
}
