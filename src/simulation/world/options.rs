//! How a world behaves where no fault is set: latencies, rates, intervals. All of it has a default, times are in
//! milliseconds of virtual time.

use fastrand::Rng;
use jiff::SignedDuration;

/// A delay that is drawn anew each time, evenly between two bounds in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    pub least: u64,
    pub most: u64,
}

impl Latency {
    #[must_use]
    pub const fn between(least: u64, most: u64) -> Self {
        Self { least, most }
    }

    /// Always the same delay.
    #[must_use]
    pub const fn exactly(milliseconds: u64) -> Self {
        Self { least: milliseconds, most: milliseconds }
    }

    /// Microseconds, so that two things rarely happen in the same instant.
    pub(super) fn draw(self, rng: &mut Rng) -> SignedDuration {
        let (least, most) = (self.least.saturating_mul(1000), self.most.max(self.least).saturating_mul(1000));
        SignedDuration::from_micros(i64::try_from(rng.u64(least..=most)).unwrap_or(i64::MAX))
    }
}

/// Who routes requests between workloads, and whose series Prometheus has besides the application's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeshKind {
    /// Services alone: requests go where selectors point.
    None,
    /// `VirtualServices` and `DestinationRules`.
    Istio,
    /// `HTTPRoutes` whose parent is a Service.
    Linkerd,
}

/// Everything that may differ between two worlds.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Of every delay, pod name and wave of the traffic.
    pub seed: u64,
    pub mesh: MeshKind,
    /// What users send to each route, or to each Service with a primary and a canary beside it.
    pub requests_per_second: f64,
    /// What a load tester sends to a `-canary` Service with ready pods where neither a mesh nor an Ingress routes to it.
    pub load_tester_per_second: f64,
    /// The part of the requests, 0 to 1, that carries the header or cookie a route asks for.
    pub segment: f64,
    /// From a change of a Deployment's spec to its `observedGeneration`.
    pub controller: Latency,
    /// From a status that changed to the controller that reads it.
    pub follow_up: Latency,
    /// From a change of a `ReplicaSet` or its pods to its status.
    pub replica_sets: Latency,
    /// From a pod's start to its readiness.
    pub pod_ready: Latency,
    /// From a pod's deletion to its end; until then it is counted as terminating.
    pub pod_stop: Latency,
    /// From a pod's readiness to its entry in an `EndpointSlice`.
    pub endpoints: Latency,
    /// From a change of a route to requests that follow it.
    pub mesh_lag: Latency,
    /// From the end of an owner to the collection of what it owned.
    pub garbage: Latency,
    /// Between two samples of a series, at least 1.
    pub scrape_interval: u64,
    /// From a sample to queries that see it.
    pub scrape_delay: u64,
    /// Between two looks of the autoscaler, at least 1; 15 s by default, as the controller manager's.
    pub autoscaler_interval: u64,
    /// How long the autoscaler waits before it takes pods away.
    pub downscale_stabilisation: u64,
    /// Requests a second that use up what one pod requested of the CPU.
    pub requests_per_pod: f64,
    /// Between two applies of the other GitOps agent, at least 1.
    pub agent_interval: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            mesh: MeshKind::Istio,
            requests_per_second: 50.0,
            load_tester_per_second: 5.0,
            segment: 0.25,
            controller: Latency::between(20, 200),
            follow_up: Latency::between(1, 8),
            replica_sets: Latency::between(5, 30),
            pod_ready: Latency::between(1000, 4000),
            pod_stop: Latency::between(200, 2000),
            endpoints: Latency::between(20, 200),
            mesh_lag: Latency::between(200, 2000),
            garbage: Latency::between(50, 500),
            scrape_interval: 5000,
            scrape_delay: 100,
            autoscaler_interval: 15_000,
            downscale_stabilisation: 30_000,
            requests_per_pod: 100.0,
            agent_interval: 60_000,
        }
    }
}

/// Whole milliseconds as a duration.
pub(super) fn milliseconds(count: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(count).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_between_their_bounds_and_follow_the_seed() {
        let latency = Latency::between(20, 200);
        let draw = |seed| {
            let mut rng = Rng::with_seed(seed);
            (0..50).map(|_| latency.draw(&mut rng)).collect::<Vec<_>>()
        };
        assert!(draw(1).iter().all(|d| (20_000..=200_000).contains(&d.as_micros())));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_eq!(Latency::exactly(3).draw(&mut Rng::with_seed(1)), milliseconds(3));
    }
}
