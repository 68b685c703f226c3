//! The SLO series that screens draw: for canaries in flight the canary's, else the primary's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::view::{Indicator, SloSeries};
use crate::domain::canary::{CanaryMetric, CanarySpec};
use crate::domain::phase::Phase;
use crate::domain::target::CanaryKey;
use crate::engine::analysis::limits;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::kinds::Kind;
use crate::metrics::catalogue::{self, Subject};
use crate::metrics::prometheus::Source;

const STEP: Duration = Duration::from_secs(5);
const POINTS: usize = 36;
/// Rounds between two looks at a canary that is not in flight.
const CALM: u64 = 6;

/// The newest series by canary.
#[derive(Default)]
pub struct Series {
    inner: Mutex<BTreeMap<CanaryKey, Vec<SloSeries>>>,
}

impl Series {
    #[must_use]
    pub fn get(&self, key: &CanaryKey) -> Vec<SloSeries> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned().unwrap_or_default()
    }
}

/// Asks for every canary's series until the task is dropped.
pub async fn run(cluster: Arc<Cluster>, source: Source, series: Arc<Series>, news: Arc<dyn Fn() + Send + Sync>) {
    if matches!(source, Source::None) {
        return;
    }
    let mut round = 0_u64;
    loop {
        let mut changed = false;
        for canary in cluster.store.list(Kind::Canary) {
            let key = CanaryKey::new(
                crate::kubernetes::json::text(&canary, "/metadata/namespace"),
                crate::kubernetes::json::text(&canary, "/metadata/name"),
            );
            let status = crate::kubernetes::observe::status(&canary);
            let Some(spec) = canary.get("spec").and_then(|s| serde_json::from_value::<CanarySpec>(s.clone()).ok()) else { continue };
            let flying = status.phase.is_in_flight();
            if !flying && !round.is_multiple_of(CALM) {
                continue;
            }
            let found = look(&cluster, &source, &key, &spec, status.phase).await;
            let mut known = series.inner.lock().unwrap_or_else(PoisonError::into_inner);
            if known.get(&key) != Some(&found) {
                known.insert(key, found);
                changed = true;
            }
        }
        if changed {
            news();
        }
        round += 1;
        tokio::time::sleep(STEP).await;
    }
}

async fn look(cluster: &Cluster, source: &Source, key: &CanaryKey, spec: &CanarySpec, phase: Phase) -> Vec<SloSeries> {
    let router = cluster.router(spec.provider.as_deref());
    let mut spec = spec.clone();
    // Outside the analysis the canary has no pods; what users see then is the primary.
    if !phase.is_analysed() && phase != Phase::Promoting {
        spec.target_ref.name = spec.primary_name();
    }
    let metric = |name: &str| spec.analysis.metrics.iter().find(|m| m.name == name);
    let window = |m: Option<&CanaryMetric>| m.and_then(|m| m.interval.clone());
    let (rate, time) = (metric("request-success-rate"), metric("request-duration"));
    let (rate_window, time_window) = (window(rate), window(time));
    let now = cluster.clock.now();
    let ask = |query: String| async move { source.range(&query, now, STEP, POINTS).await.unwrap_or_else(|_| vec![None; POINTS]) };
    let availability = ask(catalogue::success_rate(&Subject::new(key, &spec, &router, rate_window.as_deref()))).await;
    let durations = ask(catalogue::duration(&Subject::new(key, &spec, &router, time_window.as_deref()))).await;
    let minimum = rate.and_then(|m| limits(m).0);
    let make = |indicator, limit, points| SloSeries { indicator, limit, points, step: STEP.as_secs() };
    vec![
        make(Indicator::Availability, minimum, availability.clone()),
        make(Indicator::ErrorRate, minimum.map(|m| 100.0 - m), availability.iter().map(|p| p.map(|v| 100.0 - v)).collect()),
        make(Indicator::ResponseTime, time.and_then(|m| limits(m).1), durations),
    ]
}
