//! Flagger's figures of rollouts, by name and label (rollout-contract §9.4): counted where rollouts are driven, read by whoever exposes them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::domain::phase::Phase;
use crate::engine::effect::{Answer, Effect, Question};
use crate::engine::observation::Observation;
use crate::engine::strategy::strategy;

/// Upper bounds of Prometheus' default buckets, in seconds.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A canary; `name` is its target's, as with Flagger.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTarget {
    context: String,
    name: String,
    namespace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfMetric {
    context: String,
    name: String,
    namespace: String,
    metric: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    context: String,
    name: String,
    namespace: String,
    deployment_strategy: &'static str,
    analysis_status: &'static str,
}

/// The figures of all contexts of one process.
#[derive(Clone, Debug)]
pub struct Figures {
    analysis: Family<OfMetric, Gauge<f64, AtomicU64>>,
    duration: Family<OfTarget, Histogram, fn() -> Histogram>,
    successes: Family<Ended, Counter>,
    failures: Family<Ended, Counter>,
}

impl Default for Figures {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self {
            analysis: Family::default(),
            duration: Family::new_with_constructor(histogram),
            successes: Family::default(),
            failures: Family::default(),
        }
    }
}

impl Figures {
    /// Adds them to what is exposed.
    pub fn register(&self, registry: &mut Registry) {
        let metric = "Last value of a check, durations in seconds";
        registry.register("flagger_canary_metric_analysis", metric, self.analysis.clone());
        registry.register("flagger_canary_duration_seconds", "Seconds that one analysis tick took", self.duration.clone());
        registry.register("flagger_canary_successes", "Rollouts that were promoted", self.successes.clone());
        registry.register("flagger_canary_failures", "Rollouts that failed", self.failures.clone());
    }
}

/// What is counted for one context.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    figures: Arc<Figures>,
    context: String,
}

impl Tally {
    #[must_use]
    pub const fn new(figures: Arc<Figures>, context: String) -> Self {
        Self { figures, context }
    }

    fn target(&self, seen: &Observation) -> OfTarget {
        let (name, namespace) = (seen.spec.target_ref.name.clone(), seen.key.namespace.clone());
        OfTarget { context: self.context.clone(), name, namespace }
    }

    /// A question was answered.
    pub fn answered(&self, seen: &Observation, question: Question, answer: &Answer) {
        let (Question::Metric { index }, Answer::Value(value)) = (question, answer) else { return };
        let Some(metric) = seen.spec.analysis.metrics.get(index) else { return };
        let OfTarget { context, name, namespace } = self.target(seen);
        // Flagger keeps its built-in latency in seconds.
        let built_in = metric.template_ref.is_none() && metric.query.is_none() && metric.name == "request-duration";
        let value = if built_in { value / 1_000.0 } else { *value };
        self.figures.analysis.get_or_create(&OfMetric { context, name, namespace, metric: metric.name.clone() }).set(value);
    }

    /// `effect` was performed, `took` after the tick that it ends began.
    pub fn performed(&self, seen: &Observation, effect: &Effect, took: Option<Duration>) {
        if let Some(took) = took {
            self.figures.duration.get_or_create(&self.target(seen)).observe(took.as_secs_f64());
        }
        let Effect::WriteStatus { status, .. } = effect else { return };
        if status.phase == seen.status.phase {
            return;
        }
        let ended = match status.phase {
            Phase::Succeeded => &self.figures.successes,
            Phase::Failed => &self.figures.failures,
            _ => return,
        };
        let OfTarget { context, name, namespace } = self.target(seen);
        let analysis_status = if seen.spec.skip_analysis { "skipped" } else { "completed" };
        let deployment_strategy = strategy(seen).word();
        ended.get_or_create(&Ended { context, name, namespace, deployment_strategy, analysis_status }).inc();
    }
}
