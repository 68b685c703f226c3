//! What a Canary has planned, for the read model: its weights, its metric checks, its hooks and gates.

use url::Url;

use super::view::{HookView, MetricView};
use crate::domain::canary::{CanaryAnalysis, CanarySpec, HookKind, native_gates};
use crate::domain::text::clean;
use crate::engine::analysis::limits;

/// Weights shown of one Canary: a hundred steps of one percent are all there can be.
const STEPS: usize = 100;

/// The weights that a progressive rollout goes through, the last one included.
#[must_use]
pub fn steps(analysis: &CanaryAnalysis) -> Vec<u32> {
    let next = |weight: &i64| analysis.next_weight(*weight);
    std::iter::successors(next(&0), next).take(STEPS).filter_map(|weight| u32::try_from(weight).ok()).collect()
}

/// The metric checks of `spec`, which is in `namespace`.
#[must_use]
pub fn metrics(spec: &CanarySpec, namespace: &str) -> Vec<MetricView> {
    let view = |metric: &crate::domain::canary::CanaryMetric| {
        let (min, max) = limits(metric);
        let template = metric.template_ref.as_ref().map(|reference| {
            let namespace = reference.namespace.as_deref().filter(|n| !n.is_empty()).unwrap_or(namespace);
            clean(&format!("{namespace}/{}", reference.name))
        });
        MetricView { name: clean(&metric.name), template, min, max, interval: metric.interval.as_deref().map(clean) }
    };
    spec.analysis.metrics.iter().map(view).collect()
}

/// The webhooks of `spec`, and the gates that `annotation` asks a human to open.
#[must_use]
pub fn hooks(spec: &CanarySpec, annotation: Option<&str>) -> Vec<HookView> {
    let hooks = spec.analysis.webhooks.iter().map(|hook| HookView {
        name: clean(&hook.name),
        kind: hook.hook_kind().map_or_else(|| clean(hook.kind.as_deref().unwrap_or_default()), |kind| kind.word().to_owned()),
        url: address(&hook.url),
        gate: hook.hook_kind().is_some_and(is_gate),
    });
    let (gates, _) = native_gates(annotation);
    let gates = gates.into_iter().map(|gate| HookView { name: String::new(), kind: gate.word().into(), url: String::new(), gate: true });
    hooks.chain(gates).collect()
}

/// Whether hooks of `kind` keep a rollout where it is until they say yes.
#[must_use]
pub const fn is_gate(kind: HookKind) -> bool {
    matches!(kind, HookKind::ConfirmRollout | HookKind::ConfirmTrafficIncrease | HookKind::ConfirmPromotion)
}

/// `text` without what may be a credential in it: of a path only the short words at its beginning stay, since chats put
/// tokens there. What is no URL is not shown at all.
fn address(text: &str) -> String {
    const SHORT: usize = 20;
    let Ok(url) = Url::parse(text) else { return String::new() };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let mut path = String::new();
    for (at, segment) in url.path_segments().into_iter().flatten().filter(|s| !s.is_empty()).enumerate() {
        if at == 2 || segment.len() > SHORT {
            path.push_str("/…");
            break;
        }
        path.push('/');
        path.push_str(segment);
    }
    clean(&format!("{}://{}{port}{path}", url.scheme(), url.host_str().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: serde_json::Value) -> CanarySpec {
        serde_json::from_value(json).expect("a spec")
    }

    #[test]
    fn planned_weights_are_those_that_the_engine_takes() {
        let planned = |json| steps(&spec(serde_json::json!({"analysis": json})).analysis);
        assert_eq!(planned(serde_json::json!({"stepWeight": 20, "maxWeight": 50})), [20, 40, 60]);
        assert_eq!(planned(serde_json::json!({"stepWeights": [1, 2, 10, 80]})), [1, 2, 10, 80]);
        assert_eq!(planned(serde_json::json!({})), [0_u32; 0]);
    }

    #[test]
    fn addresses_of_hooks_are_shown_without_their_secrets() {
        let spec = spec(serde_json::json!({"analysis": {"webhooks": [
            {"name": "gate\u{1b}[2J", "type": "confirm-promotion", "url": "https://bo:hunter2@gate.example:8443/check?token=hunter2#hunter2"},
            {"name": "load", "url": "not a url hunter2"},
            {"name": "chat", "type": "event", "url": "https://chat.example/services/T01/B02/hunter2"},
        ]}}));
        let hooks = super::hooks(&spec, Some("confirm-rollout"));
        let shown: Vec<_> = hooks.iter().map(|h| (h.name.as_str(), h.kind.as_str(), h.url.as_str(), h.gate)).collect();
        assert_eq!(
            shown,
            [
                ("gate[2J", "confirm-promotion", "https://gate.example:8443/check", true),
                ("load", "rollout", "", false),
                ("chat", "event", "https://chat.example/services/T01/…", false),
                ("", "confirm-rollout", "", true),
            ]
        );
    }

    #[test]
    fn checks_are_named_with_their_limits_and_templates() {
        let spec = spec(serde_json::json!({"analysis": {"metrics": [
            {"name": "request-success-rate", "interval": "1m", "thresholdRange": {"min": 99}},
            {"name": "lag", "templateRef": {"name": "kafka"}, "thresholdRange": {"min": 1, "max": 30}},
        ]}}));
        let metrics = metrics(&spec, "shop");
        assert_eq!((metrics[0].min, metrics[0].max, metrics[0].template.as_deref()), (Some(99.0), None, None));
        assert_eq!((metrics[1].min, metrics[1].max, metrics[1].template.as_deref()), (Some(1.0), Some(30.0), Some("shop/kafka")));
    }
}
