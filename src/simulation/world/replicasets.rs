//! The `ReplicaSet` controller and the pods it makes. Pods are counted state of the world, no objects: each has a name,
//! an address, a start and a time from which it is ready.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::World;
use super::agenda::Part;
use super::hash::suffix;
use super::view::{Key, Resource, controller};
use crate::kubernetes::json::{integer, strings, text};

/// Labels of a pod template that decide what becomes of its pods.
const BEHAVIOUR_LABELS: [&str; 2] = ["simulation.pilothouse.dev/pod", "bed.pilothouse.dev/pod"];

/// One pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub name: String,
    pub address: String,
    pub started: Timestamp,
    /// Since when it is or from when it will be ready; `None` while nothing makes it so.
    pub ready: Option<Timestamp>,
}

/// The pods of one `ReplicaSet`.
#[derive(Clone, Debug)]
pub struct Pods {
    /// The Deployment, or the set itself where it has none.
    pub workload: Key,
    /// Of the first container.
    pub image: String,
    pub labels: BTreeMap<String, String>,
    /// Numbers of named ports.
    pub ports: BTreeMap<String, i64>,
    pub live: Vec<Pod>,
    /// When those that were deleted end.
    leaving: Vec<Timestamp>,
    images: Vec<String>,
    stays_unready: bool,
    object: Arc<Value>,
}

impl Pods {
    fn of(object: &Arc<Value>) -> Self {
        let containers = || crate::kubernetes::json::items(object, "/spec/template/spec/containers");
        let labels = strings(object, "/spec/template/metadata/labels");
        let key = Key::of(object);
        let workload = controller(object).map_or_else(|| key.clone(), |owner| key.beside(text(owner, "/name")));
        let images: Vec<String> = containers().map(|c| text(c, "/image").to_owned()).collect();
        Self {
            workload,
            image: images.first().cloned().unwrap_or_default(),
            ports: containers()
                .flat_map(|c| crate::kubernetes::json::items(c, "/ports"))
                .filter_map(|port| Some((text(port, "/name").to_owned(), integer(port, "/containerPort")?)))
                .collect(),
            stays_unready: BEHAVIOUR_LABELS
                .iter()
                .any(|label| labels.get(*label).is_some_and(|value| value == "never-ready" || value == "crash")),
            labels,
            live: Vec::new(),
            leaving: Vec::new(),
            images,
            object: Arc::clone(object),
        }
    }

    /// Those that are ready.
    pub fn ready(&self, at: Timestamp) -> impl Iterator<Item = &Pod> {
        self.live.iter().filter(move |pod| pod.ready.is_some_and(|ready| ready <= at))
    }

    /// Whether a Service with this selector finds these pods.
    pub fn selected_by(&self, selector: &BTreeMap<String, String>) -> bool {
        !selector.is_empty() && selector.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }

    /// Whom to take first: pods that are not ready, then those that became ready last.
    fn take(&mut self, count: usize, at: Timestamp) {
        self.live.sort_by_key(|pod| pod.ready.filter(|ready| *ready <= at).map_or((1, pod.started), |ready| (0, ready)));
        self.live.truncate(self.live.len().saturating_sub(count));
    }

    fn status(&self, at: Timestamp, min_ready: SignedDuration) -> Value {
        let available = self.live.iter().filter(|pod| pod.ready.is_some_and(|ready| ready + min_ready <= at)).count();
        let counts =
            [("fullyLabeledReplicas", self.live.len()), ("readyReplicas", self.ready(at).count()), ("availableReplicas", available)];
        let mut status: Map<String, Value> = counts.into_iter().filter(|(_, n)| *n > 0).map(|(k, n)| (k.to_owned(), json!(n))).collect();
        status.insert("replicas".into(), json!(self.live.len()));
        status.insert("terminatingReplicas".into(), json!(self.leaving.len()));
        if let Some(generation) = integer(&self.object, "/metadata/generation") {
            status.insert("observedGeneration".into(), json!(generation));
        }
        if let Some(conditions) = self.object.pointer("/status/conditions") {
            status.insert("conditions".into(), conditions.clone());
        }
        Value::Object(status)
    }

    /// When something changes by itself.
    fn next(&self, at: Timestamp, min_ready: SignedDuration) -> Option<Timestamp> {
        let ready = self.live.iter().filter_map(|pod| pod.ready).flat_map(|ready| [ready, ready + min_ready]);
        ready.chain(self.leaving.iter().copied()).filter(|time| *time > at).min()
    }
}

impl World {
    pub(super) fn sync_replica_set(&mut self, at: Timestamp, key: &Key) {
        let Some(object) = self.view.get(Resource::ReplicaSets, key).cloned() else {
            return self.forget_pods(at, key);
        };
        let mut pods = self.pods.remove(key).unwrap_or_else(|| Pods::of(&object));
        pods.object = Arc::clone(&object);
        pods.leaving.retain(|end| *end > at);
        let min_ready = SignedDuration::from_secs(integer(&object, "/spec/minReadySeconds").unwrap_or(0));
        self.heal_or_break(at, &mut pods);
        // The controller counts the pods it found, then makes or deletes some, and counts those at its next look.
        let status = pods.status(at, min_ready);
        let settled = self.reach_size(at, key, &mut pods);
        if !settled {
            let wait = self.options.replica_sets.draw(&mut self.rng);
            self.agenda.at(at + wait, Part::ReplicaSet, key);
        }
        if let Some(next) = pods.next(at, min_ready) {
            self.agenda.at(next, Part::ReplicaSet, key);
        }
        self.pods.insert(key.clone(), pods);
        self.agenda.at(at, Part::Flows, &key.beside(""));
        self.endpoints_later(at, key);
        if object.get("status") == Some(&status) {
            return self.agenda.succeeded(Part::ReplicaSet, key);
        }
        let mut written = (*object).clone();
        written["status"] = status;
        if self.put(&format!("/apis/apps/v1/namespaces/{}/replicasets/{}/status", key.namespace, key.name), &written) {
            self.agenda.succeeded(Part::ReplicaSet, key);
        } else {
            self.agenda.retry(at, Part::ReplicaSet, key);
        }
    }

    /// Makes or deletes pods until there are as many as the spec says; true where there are already.
    fn reach_size(&mut self, at: Timestamp, key: &Key, pods: &mut Pods) -> bool {
        if pods.object.pointer("/metadata/deletionTimestamp").is_some() {
            return true;
        }
        let wanted = integer(&pods.object, "/spec/replicas").and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
        let have = pods.live.len();
        if have > wanted {
            pods.take(have - wanted, at);
            let ends = (wanted..have).map(|_| at + self.options.pod_stop.draw(&mut self.rng)).collect::<Vec<_>>();
            pods.leaving.extend(ends);
        }
        let healthy = self.is_healthy(at, pods);
        for _ in have..wanted {
            let ready = self.options.pod_ready.draw(&mut self.rng);
            let pod = Pod {
                name: format!("{}-{}", key.name, suffix(&mut self.rng)),
                address: self.next_address(),
                started: at,
                ready: healthy.then(|| at + ready),
            };
            pods.live.push(pod);
        }
        have == wanted
    }

    fn is_healthy(&self, at: Timestamp, pods: &Pods) -> bool {
        !pods.stays_unready && !pods.images.iter().any(|image| self.faults.is_broken(image)) && !self.faults.is_lost(&pods.workload, at)
    }

    /// Applies faults that began or ended since the last look. A pod that pulled its image before keeps running.
    fn heal_or_break(&mut self, at: Timestamp, pods: &mut Pods) {
        let lost = self.faults.is_lost(&pods.workload, at);
        let healthy = self.is_healthy(at, pods);
        for pod in &mut pods.live {
            let is_ready = pod.ready.is_some_and(|ready| ready <= at);
            if lost || (!healthy && !is_ready) {
                pod.ready = None;
            } else if healthy && pod.ready.is_none() {
                pod.ready = Some(at + self.options.pod_ready.draw(&mut self.rng));
            }
        }
        if let Some(until) = self.faults.lost_until(&pods.workload).filter(|_| lost) {
            self.agenda.at(until, Part::ReplicaSet, &Key::of(&pods.object));
        }
    }

    fn forget_pods(&mut self, at: Timestamp, key: &Key) {
        if self.pods.remove(key).is_some() {
            self.agenda.at(at, Part::Flows, &key.beside(""));
            self.endpoints_later(at, key);
        }
    }

    fn next_address(&mut self) -> String {
        self.addresses = self.addresses.wrapping_add(1);
        let [_, high, middle, low] = self.addresses.to_be_bytes();
        format!("10.{}.{middle}.{low}", 64 + (high & 0x3f))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(ready: &[Option<i64>]) -> Pods {
        let mut pods = Pods::of(&Arc::new(json!({"metadata": {"name": "web-1", "namespace": "test", "generation": 2}})));
        pods.live = ready
            .iter()
            .enumerate()
            .map(|(index, ready)| Pod { name: index.to_string(), address: String::new(), started: at(0), ready: ready.map(at) })
            .collect();
        pods
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn unready_pods_go_first_and_the_longest_ready_stay() {
        let mut pods = pods(&[Some(3), None, Some(1), Some(20), Some(2)]);
        pods.take(3, at(10));
        assert_eq!(pods.live.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>(), ["2", "4"]);
    }

    #[test]
    fn a_pod_is_available_some_time_after_it_is_ready() {
        let pods = pods(&[Some(3), Some(8), None]);
        let wait = SignedDuration::from_secs(5);
        let expected = json!({"replicas": 3, "fullyLabeledReplicas": 3, "readyReplicas": 2, "availableReplicas": 1, "terminatingReplicas": 0,
            "observedGeneration": 2});
        assert_eq!(pods.status(at(8), wait), expected);
        assert_eq!((pods.next(at(3), wait), pods.next(at(8), wait), pods.next(at(13), wait)), (Some(at(8)), Some(at(13)), None));
    }

    #[test]
    fn labels_of_the_real_bed_and_ours_keep_pods_unready() {
        for (label, value, unready) in [
            ("simulation.pilothouse.dev/pod", "never-ready", true),
            ("bed.pilothouse.dev/pod", "crash", true),
            ("simulation.pilothouse.dev/pod", "fine", false),
        ] {
            let set = json!({"spec": {"template": {"metadata": {"labels": {label: value}}}}});
            assert_eq!(Pods::of(&Arc::new(set)).stays_unready, unready, "{label} {value}");
        }
    }
}
