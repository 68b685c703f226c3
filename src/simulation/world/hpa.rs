//! `HorizontalPodAutoscalers` of Deployments by CPU utilisation, which follows from the requests that the target gets.
//! <https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details>

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::World;
use super::agenda::Part;
use super::conditions::{replace_condition, seconds};
use super::options::milliseconds;
use super::view::{Key, Resource};
use crate::kubernetes::json::{integer, items, text};

/// Utilisation this near to its target changes nothing, as a part of it.
const TOLERANCE: f64 = 0.1;
/// Percent, where the object names no target.
const DEFAULT_TARGET: i64 = 80;

/// Sizes that were found right lately, by autoscaler: none is gone below while it is remembered.
pub type Recommendations = BTreeMap<Key, Vec<(Timestamp, i64)>>;

/// One look at one autoscaler.
struct Look {
    at: Timestamp,
    status: Value,
    current: i64,
    least: i64,
    most: i64,
}

impl World {
    pub(super) fn sync_autoscaler(&mut self, at: Timestamp, key: &Key) {
        let Some(object) = self.view.get(Resource::Autoscalers, key).cloned() else {
            self.recommendations.remove(key);
            return;
        };
        self.agenda.at(at + milliseconds(self.options.autoscaler_interval.max(1)), Part::Autoscaler, key);
        let target = key.beside(text(&object, "/spec/scaleTargetRef/name"));
        let mut look = Look {
            at,
            status: object.get("status").filter(|s| s.is_object()).cloned().unwrap_or_else(|| json!({})),
            current: 0,
            least: integer(&object, "/spec/minReplicas").unwrap_or(1),
            most: integer(&object, "/spec/maxReplicas").unwrap_or(1),
        };
        self.decide(&mut look, key, &target, &object);
        if object.get("status") != Some(&look.status) {
            let mut written = (*object).clone();
            written["status"] = look.status;
            // A status that met a conflict is written anew at the next look.
            self.put(&format!("/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers/{}/status", key.namespace, key.name), &written);
        }
    }

    fn decide(&mut self, look: &mut Look, key: &Key, target: &Key, object: &Value) {
        let kind = text(object, "/spec/scaleTargetRef/kind");
        let deployment = self.view.get(Resource::Deployments, target).filter(|_| kind == "Deployment").cloned();
        let Some(deployment) = deployment else {
            let why = format!("the HPA controller was unable to get the target's current scale: {kind} {} not found", target.name);
            return look.note("AbleToScale", "False", "FailedGetScale", &why);
        };
        look.current = integer(&deployment, "/spec/replicas").unwrap_or(1);
        look.status["currentReplicas"] = json!(integer(&deployment, "/status/replicas").unwrap_or(0));
        look.note("AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale");
        if look.current == 0 && look.least != 0 {
            look.status["desiredReplicas"] = json!(0);
            let why = "scaling is disabled since the replica count of the target is zero";
            return look.note("ScalingActive", "False", "ScalingDisabled", why);
        }
        let wanted = if self.faults.autoscalers_fight {
            if look.current == look.most { look.least } else { look.most }
        } else if look.current > look.most || look.current < look.least {
            look.current.clamp(look.least, look.most)
        } else {
            match self.by_utilisation(look, target, object) {
                Some(wanted) => self.stabilised(look, key, wanted),
                None => return,
            }
        };
        self.rescale(look, target, wanted);
    }

    /// The size at which the utilisation would be what it should; `None` where there is no pod to measure.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "counts of pods and percentages are small")]
    fn by_utilisation(&self, look: &mut Look, target: &Key, object: &Value) -> Option<i64> {
        let ready: usize = self.pods.iter().filter(|(_, pods)| pods.workload == *target).map(|(_, pods)| pods.ready(look.at).count()).sum();
        if ready == 0 {
            let why = "the HPA was unable to compute the replica count: failed to get cpu utilization: \
                       did not receive metrics for targeted pods (pods might be unready)";
            look.note("ScalingActive", "False", "FailedGetResourceMetric", why);
            return None;
        }
        let wanted = items(object, "/spec/metrics")
            .find(|m| text(m, "/resource/name") == "cpu")
            .and_then(|m| integer(m, "/resource/target/averageUtilization"))
            .unwrap_or(DEFAULT_TARGET);
        let load = self.traffic.rate(target, look.at) / self.options.requests_per_pod;
        let percent = (100.0 * load / ready as f64).round();
        look.status["currentMetrics"] = json!([{
            "type": "Resource",
            "resource": {"name": "cpu", "current": {"averageUtilization": percent as i64, "averageValue": format!("{}m", (percent * 10.0) as i64)}}
        }]);
        let why = "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)";
        look.note("ScalingActive", "True", "ValidMetricFound", why);
        let ratio = percent / wanted.max(1) as f64;
        Some(if (ratio - 1.0).abs() <= TOLERANCE { look.current } else { (ratio * ready as f64).ceil() as i64 })
    }

    /// Bounds a size, and keeps it from falling below what was right a moment ago.
    fn stabilised(&mut self, look: &mut Look, key: &Key, wanted: i64) -> i64 {
        let (status, reason, message) = if wanted > look.most {
            ("True", "TooManyReplicas", "the desired replica count is more than the maximum replica count")
        } else if wanted < look.least {
            ("True", "TooFewReplicas", "the desired replica count is less than the minimum replica count")
        } else {
            ("False", "DesiredWithinRange", "the desired count is within the acceptable range")
        };
        let wanted = wanted.clamp(look.least, look.most);
        let oldest = look.at - milliseconds(self.options.downscale_stabilisation);
        let recent = self.recommendations.entry(key.clone()).or_default();
        recent.retain(|(time, _)| *time > oldest);
        recent.push((look.at, wanted));
        let highest = recent.iter().map(|(_, size)| *size).max().unwrap_or(wanted).min(look.current.max(wanted));
        let able = if highest > wanted {
            ("ScaleDownStabilized", "recent recommendations were higher than current one, applying the highest recent recommendation")
        } else {
            ("ReadyForNewScale", "recommended size matches current size")
        };
        look.note("AbleToScale", "True", able.0, able.1);
        look.note("ScalingLimited", status, reason, message);
        highest
    }

    fn rescale(&mut self, look: &mut Look, target: &Key, wanted: i64) {
        look.status["desiredReplicas"] = json!(wanted);
        if wanted == look.current {
            return;
        }
        let path = format!("/apis/apps/v1/namespaces/{}/deployments/{}/scale", target.namespace, target.name);
        if self.patch(&path, &json!({"spec": {"replicas": wanted}})) {
            look.status["lastScaleTime"] = json!(seconds(look.at));
            let message = format!("the HPA controller was able to update the target scale to {wanted}");
            look.note("AbleToScale", "True", "SucceededRescale", &message);
        } else {
            look.note("AbleToScale", "False", "FailedUpdateScale", "the HPA controller was unable to update the target scale");
        }
    }
}

impl Look {
    fn note(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let condition =
            json!({"type": kind, "status": status, "lastTransitionTime": seconds(self.at), "reason": reason, "message": message});
        replace_condition(&mut self.status, condition);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;

    const PATH: &str = "/apis/autoscaling/v2/namespaces/test/horizontalpodautoscalers";

    fn bench() -> Bench {
        let bench = Bench::with(|options| options.requests_per_pod = 20.0);
        bench.canary("podinfo:6.0.0", "podinfo:6.0.1");
        let autoscaler = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web-primary", "namespace": "test"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-primary"}, "minReplicas": 2, "maxReplicas": 6,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]
            }
        });
        bench.create(PATH, &autoscaler);
        bench
    }

    fn reasons(bench: &Bench) -> Vec<String> {
        let object = bench.server.object("horizontalpodautoscalers.autoscaling", "test", "web-primary").expect("an autoscaler");
        items(&object, "/status/conditions").map(|c| text(c, "/reason").to_owned()).collect()
    }

    fn replicas(bench: &Bench) -> i64 {
        let object = bench.server.object("deployments.apps", "test", "web-primary").expect("a deployment");
        integer(&object, "/spec/replicas").expect("replicas")
    }

    #[test]
    fn the_size_follows_the_requests_between_its_bounds() {
        let mut bench = bench();
        bench.run(60);
        // 45 requests a second need 4.5 pods at half of 20 each.
        assert!((4..=6).contains(&replicas(&bench)), "{}", replicas(&bench));
        assert!(reasons(&bench).contains(&"ValidMetricFound".to_owned()), "{:?}", reasons(&bench));
        bench.weights(100);
        bench.run(120);
        assert_eq!(replicas(&bench), 2, "nothing to do");
        assert!(reasons(&bench).contains(&"TooFewReplicas".to_owned()));
    }

    #[test]
    fn a_target_at_zero_is_left_alone() {
        let mut bench = bench();
        bench.run(20);
        bench.patch("/apis/apps/v1/namespaces/test/deployments/web-primary", &json!({"spec": {"replicas": 0}}));
        bench.run(40);
        assert_eq!((replicas(&bench), reasons(&bench).contains(&"ScalingDisabled".to_owned())), (0, true));
    }

    #[test]
    fn a_fighting_autoscaler_never_rests() {
        let mut bench = bench();
        bench.world.faults().autoscalers_fight = true;
        let mut sizes = Vec::new();
        for _ in 0..4 {
            bench.run(15);
            sizes.push(replicas(&bench));
        }
        assert!(sizes.windows(2).all(|w| w[0] != w[1]), "{sizes:?}");
    }
}
