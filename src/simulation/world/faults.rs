//! Switches that a fault plan sets. Each holds until it is taken back or [`Faults::heal`] clears them all.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::view::Key;

/// What is wrong with Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsFault {
    /// The connection is refused; through the API server this is a 503.
    Down,
    /// No query finds a series.
    Empty,
    /// Every value is `NaN`.
    NotANumber,
    /// No request failed, and all were fast, whatever happened.
    AlwaysGood,
    /// All requests failed, and slowly, whatever happened.
    AlwaysBad,
    /// Answers are those of this moment.
    Frozen(Timestamp),
    /// Status 500 with an error of Prometheus.
    ServerError,
    /// Status 200 with a page of somebody else.
    Garbage,
}

/// What is wrong with the receiver of webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookFault {
    /// Status 500.
    Failing,
    /// The connection is refused; through the API server this is a 503.
    Refusing,
}

/// The switches of one world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub metrics: Option<MetricsFault>,
    /// Requests go on as they did; changes of routes take effect after the fault.
    pub mesh_stuck: bool,
    /// Pods whose image contains one of these cannot pull it.
    pub images: BTreeSet<String>,
    /// Deployments none of whose pods is ready, until a time or until healed, as when their nodes are lost.
    pub lost: BTreeMap<Key, Option<Timestamp>>,
    pub webhooks: Option<WebhookFault>,
    /// Autoscalers jump between their bounds at every look.
    pub autoscalers_fight: bool,
}

impl Faults {
    /// Clears everything.
    pub fn heal(&mut self) {
        *self = Self::default();
    }

    pub fn break_image(&mut self, text: &str) {
        self.images.insert(text.to_owned());
    }

    /// Takes the pods of a Deployment down until `until`, or until healed.
    pub fn lose(&mut self, namespace: &str, deployment: &str, until: Option<Timestamp>) {
        self.lost.insert(Key::new(namespace, deployment), until);
    }

    pub(super) fn is_broken(&self, image: &str) -> bool {
        self.images.iter().any(|text| image.contains(text.as_str()))
    }

    /// Whether the pods of a Deployment are lost at a time.
    pub(super) fn is_lost(&self, deployment: &Key, at: Timestamp) -> bool {
        self.lost.get(deployment).is_some_and(|until| until.is_none_or(|until| at < until))
    }

    /// When the loss of a Deployment's pods ends by itself.
    pub(super) fn lost_until(&self, deployment: &Key) -> Option<Timestamp> {
        self.lost.get(deployment).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_ends_at_its_time_and_healing_clears_everything() {
        let mut faults = Faults { metrics: Some(MetricsFault::Empty), mesh_stuck: true, ..Faults::default() };
        let (at, key) = (Timestamp::from_second(10).expect("a time"), Key::new("a", "web"));
        faults.lose("a", "web", Some(at));
        faults.break_image("6.0.2");
        assert!(faults.is_lost(&key, Timestamp::from_second(9).expect("a time")) && !faults.is_lost(&key, at));
        assert_eq!(faults.lost_until(&key), Some(at));
        assert!(faults.is_broken("podinfo:6.0.2") && !faults.is_broken("podinfo:6.0.3"));
        faults.heal();
        assert_eq!(faults, Faults::default());
    }
}
