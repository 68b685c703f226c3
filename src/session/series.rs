//! The SLO series that screens draw: for canaries in flight the canary's, the primary's beside it, and those of their
//! `MetricTemplates`; else the primary's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::Instant;

use super::analyst::{measured_by, rendered, template_spec};
use super::secrets;
use super::view::{Indicator, SloSeries};
use crate::domain::canary::{CanaryMetric, CanarySpec};
use crate::domain::phase::Phase;
use crate::domain::target::CanaryKey;
use crate::domain::template::MetricTemplateSpec;
use crate::domain::text::clean;
use crate::engine::analysis::limits;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::kinds::Kind;
use crate::kubernetes::stored::Course;
use crate::metrics::catalogue::{self, Subject};
use crate::metrics::prometheus::Source;
use crate::metrics::{Check, providers};
use crate::outbound::relay::Relay;

const STEP: Duration = Duration::from_secs(5);
const POINTS: usize = 36;
/// Between two looks at a canary that is not in flight.
const CALM: Duration = Duration::from_secs(30);
/// Checks by `MetricTemplates` that are drawn of one canary.
const CUSTOM: usize = 4;
/// Seconds for which a `MetricTemplate` is not read again.
const FRESH: i64 = 60;

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

/// What is read of a Canary whose series are due.
#[derive(Deserialize)]
struct Asked {
    spec: CanarySpec,
    #[serde(default)]
    status: Standing,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Standing {
    phase: String,
}

/// Asks for every canary's series until the task is dropped: one query after the other, whatever the number of canaries.
/// Where none has a metric server, or nothing flies, it sleeps until one does.
pub async fn run(inquiry: Inquiry, series: Arc<Series>, news: Arc<dyn Fn() + Send + Sync>) {
    let cluster = Arc::clone(&inquiry.cluster);
    let nobody = matches!(inquiry.source, Source::None);
    let mut calm_at: Option<Instant> = None;
    loop {
        let began = Instant::now();
        let calm_due = calm_at.is_none_or(|at| at.elapsed() >= CALM);
        if calm_due {
            calm_at = Some(began);
        }
        let mut changed = false;
        let courses = cluster.store.courses(|Course { own_server, .. }| own_server || !nobody);
        let wait = if courses.iter().any(|(_, course)| course.flying) { STEP } else { CALM };
        let nothing_to_ask = courses.is_empty();
        for (key, _) in courses.into_iter().filter(|(_, course)| course.flying || calm_due) {
            let Some(canary) = cluster.store.stored(Kind::Canary, &key.namespace, &key.name) else { continue };
            let Ok(Asked { spec, status: Standing { phase } }) = canary.read::<Asked>() else { continue };
            let phase = Phase::ALL.into_iter().find(|p| p.word() == phase).unwrap_or(Phase::Unknown);
            // Outside the analysis the canary has no pods; what users see then is the primary.
            let who = if phase.is_analysed() || phase == Phase::Promoting { Who::Canary } else { Who::Primary };
            let window = Window { end: cluster.clock.now(), step: STEP, points: POINTS };
            let found = inquiry.look(&key, &spec, who, window).await;
            let mut known = series.inner.lock().unwrap_or_else(PoisonError::into_inner);
            if !found.is_empty() && known.get(&key) != Some(&found) {
                known.insert(key, found);
                changed = true;
            }
        }
        if changed {
            news();
        }
        tokio::select! {
            biased;
            () = cluster.store.courses_changed.notified() => {}
            () = tokio::time::sleep(wait), if !nothing_to_ask => {}
        }
        tokio::time::sleep_until(began + STEP).await;
    }
}

/// Whose series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The canary's, with the primary's beside it and the checks by `MetricTemplates`.
    Canary,
    /// The primary's alone.
    Primary,
}

/// From when to when.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub end: Timestamp,
    pub step: Duration,
    pub points: usize,
}

/// Templates that were read, with the moment they were read at.
type Templates = Mutex<BTreeMap<(String, String), (Timestamp, Result<MetricTemplateSpec, String>)>>;

/// One cluster's metric servers, asked for courses.
pub struct Inquiry {
    cluster: Arc<Cluster>,
    source: Source,
    relay: Relay,
    templates: Templates,
    /// Those that Canaries name themselves, by URL.
    servers: Mutex<BTreeMap<String, Result<Source, String>>>,
}

impl Inquiry {
    #[must_use]
    pub fn new(cluster: Arc<Cluster>, source: Source, in_cluster: bool) -> Self {
        let relay = Relay::new(cluster.access.clone(), in_cluster);
        Self { cluster, source, relay, templates: Mutex::default(), servers: Mutex::default() }
    }

    /// The series of one canary; none where no metric server is known.
    pub async fn look(&self, key: &CanaryKey, spec: &CanarySpec, who: Who, window: Window) -> Vec<SloSeries> {
        let mut found = self.built_in(key, spec, who, window).await;
        if who == Who::Canary {
            let custom = spec.analysis.metrics.iter().filter(|m| m.template_ref.is_some()).take(CUSTOM);
            for metric in custom {
                found.extend(self.custom(key, spec, metric, window).await);
            }
        }
        found
    }

    async fn built_in(&self, key: &CanaryKey, spec: &CanarySpec, who: Who, window: Window) -> Vec<SloSeries> {
        let source = match self.server(spec) {
            Ok(Source::None) => return Vec::new(),
            other => other,
        };
        let mesh = self.cluster.policy.mesh.as_deref();
        let router = measured_by(mesh, &self.cluster.router(spec.provider.as_deref()), spec);
        let metric = |name: &str| spec.analysis.metrics.iter().find(|m| m.name == name && m.template_ref.is_none());
        let (rate, time) = (metric("request-success-rate"), metric("request-duration"));
        let primary = as_primary(spec);
        let beside = who == Who::Canary && catalogue::measures_primary(&router);
        let ask = async |make: fn(&Subject<'_>) -> String, metric: Option<&CanaryMetric>| {
            let span = metric.and_then(|m| m.interval.as_deref());
            let query = |spec: &CanarySpec| make(&Subject::new(key, spec, &router, span));
            let asked = query(if who == Who::Canary { spec } else { &primary });
            let points = course(&source, &asked, window).await;
            // A server that has just failed is not asked again for the sake of a comparison.
            let other =
                if beside && points.is_ok() { course(&source, &query(&primary), window).await.unwrap_or_default() } else { Vec::new() };
            (asked, points, other)
        };
        let (asked, passed, passed_primary) = ask(catalogue::success_rate, rate).await;
        let (asked_times, times, primary_times) = ask(catalogue::duration, time).await;
        let minimum = rate.and_then(|m| limits(m).0);
        let failures = |points: &[Option<f64>]| points.iter().map(|p| p.map(|v| 100.0 - v)).collect::<Vec<_>>();
        vec![
            series(Indicator::Availability, minimum, &passed, passed_primary.clone(), &asked, window),
            series(
                Indicator::ErrorRate,
                minimum.map(|m| 100.0 - m),
                &passed.as_ref().map(|points| failures(points)).map_err(Clone::clone),
                failures(&passed_primary),
                &asked,
                window,
            ),
            series(Indicator::ResponseTime, time.and_then(|m| limits(m).1), &times, primary_times, &asked_times, window),
        ]
    }

    /// The Prometheus of this canary: its own, else the cluster's.
    fn server(&self, spec: &CanarySpec) -> Result<Source, String> {
        let Some(url) = spec.metrics_server.as_deref().filter(|u| !u.is_empty()) else { return Ok(self.source.clone()) };
        let mut known = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let made = known.entry(url.to_owned()).or_insert_with(|| {
            crate::outbound::address::check(url, self.relay.direct.in_cluster)?;
            Source::url(url).map_err(|e| e.to_string())
        });
        made.clone()
    }

    /// The series of a check by a `MetricTemplate`; `None` where its server has no courses to tell.
    async fn custom(&self, key: &CanaryKey, spec: &CanarySpec, metric: &CanaryMetric, window: Window) -> Option<SloSeries> {
        let reference = metric.template_ref.as_ref()?;
        let namespace = reference.namespace.as_deref().filter(|n| !n.is_empty()).unwrap_or(&key.namespace);
        let (min, max) = limits(metric);
        let mut made = SloSeries::new(Indicator::Custom, max.or(min), vec![None; window.points], window.step.as_secs());
        made.name = clean(&metric.name);
        made.minimum = max.is_none() && min.is_some();
        made.floor = min.filter(|_| max.is_some());
        let template = match self.template(key, namespace, metric).await {
            Ok(template) => template,
            Err(why) => return Some(SloSeries { failed: Some(clean(&why)), ..made }),
        };
        if !providers::has_course(&template.provider.kind) {
            return None;
        }
        let query = |spec: &CanarySpec| rendered(key, spec, None, metric, &template.query);
        let (asked, other) = match (query(spec), query(&as_primary(spec))) {
            (Ok(asked), other) => (asked, other.ok()),
            (Err(why), _) => return Some(SloSeries { failed: Some(clean(&why)), ..made }),
        };
        made.query = clean(&asked);
        match self.templated(&template, namespace, &asked, window).await {
            Ok(points) => made.points = points,
            Err(why) => made.failed = Some(clean(&why)),
        }
        // A query that does not ask for the target by name says the same of both.
        if let (None, Some(other)) = (&made.failed, other.filter(|other| *other != asked)) {
            made.primary = self.templated(&template, namespace, &other, window).await.unwrap_or_default();
        }
        Some(made)
    }

    async fn template(&self, key: &CanaryKey, namespace: &str, metric: &CanaryMetric) -> Result<MetricTemplateSpec, String> {
        let reference = metric.template_ref.clone().unwrap_or_default();
        let (name, now) = ((namespace.to_owned(), reference.name.clone()), self.cluster.clock.now());
        let fresh = |known: &Templates| {
            let known = known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&name).filter(|(at, _)| now.duration_since(*at).as_secs() < FRESH).map(|(_, spec)| spec.clone())
        };
        if let Some(known) = fresh(&self.templates) {
            return known;
        }
        let read = template_spec(&self.cluster.access, &self.cluster.policy.engine, &key.namespace, &reference).await.map(|(spec, _)| spec);
        self.templates.lock().unwrap_or_else(PoisonError::into_inner).insert(name, (now, read.clone()));
        read
    }

    async fn templated(
        &self,
        template: &MetricTemplateSpec,
        namespace: &str,
        query: &str,
        window: Window,
    ) -> Result<Vec<Option<f64>>, String> {
        let secret = match &template.provider.secret_ref {
            Some(secret) => Some(secrets::data(&self.cluster.access, namespace, &secret.name).await?),
            None => None,
        };
        let check = Check {
            provider: &template.provider,
            secret: secret.as_ref(),
            query,
            window: None,
            now: window.end,
            environment: &BTreeMap::new(),
            read_file: |path| Err(format!("{path} is not read for a course")),
        };
        providers::range(&check, &self.relay, window.step, window.points).await
    }
}

/// The Canary as if the primary were its target.
fn as_primary(spec: &CanarySpec) -> CanarySpec {
    let mut spec = spec.clone();
    spec.target_ref.name = spec.primary_name();
    spec
}

async fn course(source: &Result<Source, String>, query: &str, window: Window) -> Result<Vec<Option<f64>>, String> {
    let source = source.as_ref().map_err(Clone::clone)?;
    source.range(query, window.end, window.step, window.points).await
}

fn series(
    indicator: Indicator,
    limit: Option<f64>,
    points: &Result<Vec<Option<f64>>, String>,
    primary: Vec<Option<f64>>,
    query: &str,
    window: Window,
) -> SloSeries {
    let known = points.as_ref().ok().cloned().unwrap_or_else(|| vec![None; window.points]);
    SloSeries {
        primary,
        query: clean(query),
        failed: points.as_ref().err().map(|why| clean(why)),
        ..SloSeries::new(indicator, limit, known, window.step.as_secs())
    }
}
