//! The facts of a canary that an alert carries (rollout-contract §8.1).

use crate::domain::canary::{CanarySpec, Strategy};

/// What is rolled out, and how.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub spec: &'a CanarySpec,
    /// The Canary's.
    pub namespace: &'a str,
    /// Kind of the target, the word that people know: `Deployment`.
    pub kind: &'a str,
    /// How the router in charge rolls it out.
    pub strategy: Strategy,
}

/// `Cluster` where it has a name, then the facts, which are `None` for an alert without them.
#[must_use]
pub fn fields(cluster: Option<&str>, facts: Option<&Facts<'_>>) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut add = |name: &str, value: String| out.push((name.to_owned(), value));
    if let Some(cluster) = cluster.filter(|cluster| !cluster.is_empty()) {
        add("Cluster", cluster.to_owned());
    }
    if let Some(Facts { spec, namespace, kind, strategy }) = facts {
        add("Target", format!("{kind}/{}.{namespace}", spec.target_ref.name));
        add("Failed checks threshold", spec.analysis.failed_checks_limit().to_string());
        add("Progress deadline", format!("{}s", spec.deadline_seconds()));
        if let Some(routing) = routing(spec, *strategy) {
            add("Traffic routing", routing);
        }
    }
    out
}

/// How traffic moves; `None` for a progressive canary without steps, of which there is nothing to say.
fn routing(spec: &CanarySpec, strategy: Strategy) -> Option<String> {
    let analysis = &spec.analysis;
    match strategy {
        Strategy::AbTesting => Some("A/B Testing".into()),
        Strategy::BlueGreen => Some("Blue/Green".into()),
        Strategy::Progressive if analysis.step_weight > 0 => {
            Some(format!("Weight step: {} max: {}", analysis.step_weight, analysis.max_weight))
        }
        Strategy::Progressive if analysis.step_weights.is_empty() => None,
        Strategy::Progressive => {
            let steps: Vec<_> = analysis.step_weights.iter().map(ToString::to_string).collect();
            Some(format!("Weight steps: {} max: {}", steps.join(","), analysis.max_weight))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::canary::{CanaryAnalysis, ObjectReference};

    fn steps(step_weight: i64, step_weights: &[i64], max_weight: i64) -> CanarySpec {
        let target_ref = ObjectReference { kind: "Deployment".into(), name: "web".into(), ..Default::default() };
        let analysis = CanaryAnalysis { step_weight, step_weights: step_weights.to_vec(), max_weight, ..Default::default() };
        CanarySpec { target_ref, analysis, ..Default::default() }
    }

    fn listed(cluster: Option<&str>, spec: &CanarySpec) -> Vec<(String, String)> {
        fields(cluster, Some(&Facts { spec, namespace: "app", kind: "Deployment", strategy: Strategy::Progressive }))
    }

    #[test]
    fn the_list_is_flaggers() {
        let mut canary = steps(5, &[], 50);
        canary.analysis.threshold = 10;
        canary.progress_deadline_seconds = Some(60);
        let list = listed(Some("prod"), &canary);
        let list: Vec<_> = list.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            list,
            [
                ("Cluster", "prod"),
                ("Target", "Deployment/web.app"),
                ("Failed checks threshold", "10"),
                ("Progress deadline", "60s"),
                ("Traffic routing", "Weight step: 5 max: 50"),
            ]
        );
    }

    #[test]
    fn without_facts_only_the_cluster_is_named() {
        assert_eq!(fields(Some("prod"), None), [("Cluster".to_owned(), "prod".to_owned())]);
        assert!(fields(Some(""), None).is_empty() && fields(None, None).is_empty());
    }

    #[test]
    fn omitted_numbers_are_the_ones_the_engine_uses() {
        let list = listed(None, &steps(0, &[], 0));
        let values: Vec<_> = list.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["Deployment/web.app", "1", "600s"], "and no routing without steps");
    }

    #[test]
    fn every_strategy_has_its_words() {
        for (canary, strategy, words) in [
            (steps(0, &[1, 10, 80], 90), Strategy::Progressive, "Weight steps: 1,10,80 max: 90"),
            (steps(5, &[1, 10], 50), Strategy::Progressive, "Weight step: 5 max: 50"),
            (steps(5, &[], 50), Strategy::BlueGreen, "Blue/Green"),
            (steps(5, &[], 50), Strategy::AbTesting, "A/B Testing"),
        ] {
            assert_eq!(routing(&canary, strategy).as_deref(), Some(words));
        }
    }
}
