//! The series that a cluster's Prometheus has of its traffic: which metric counts what, with which labels.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::options::MeshKind;
use super::promql::Selector;
use super::traffic::{BOUNDS, Behaviour, Counters, Totals};

/// Where a label's value comes from.
#[derive(Clone, Copy, Debug)]
enum Label {
    Fixed(&'static str),
    Namespace,
    Workload,
    Pod,
    /// 200, 500, or 503 where nobody answers.
    Code,
    /// `success` or `failure`.
    Classification,
    /// The Ingress, of streams that came through one.
    Ingress,
    /// The Service that a canary Ingress sends to, empty for others.
    IngressCanary,
}

/// Where the counter's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    /// Requests, one series per outcome.
    Outcomes,
    /// Requests up to a bound, one series per bound; the bound is divided by the number.
    Buckets(u32),
    /// The sum of latencies in milliseconds, divided by the number.
    Sum(u32),
    /// Requests, one series.
    Requests,
    /// The target is there.
    One,
}

/// Of which streams the metric tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// What pods themselves count.
    Application,
    Mesh(MeshKind),
    /// What the proxies of callers count where nobody answers.
    Refused,
    Ingress,
}

struct Metric {
    name: &'static str,
    of: Of,
    count: Count,
    labels: &'static [(&'static str, Label)],
}

const ISTIO: [(&str, Label); 3] = [
    ("reporter", Label::Fixed("destination")),
    ("destination_workload_namespace", Label::Namespace),
    ("destination_workload", Label::Workload),
];
const ISTIO_CODE: &[(&str, Label)] = &[ISTIO[0], ISTIO[1], ISTIO[2], ("response_code", Label::Code)];
const ISTIO_REFUSED: &[(&str, Label)] = &[
    ("reporter", Label::Fixed("source")),
    ("destination_service_namespace", Label::Namespace),
    ("destination_service_name", Label::Workload),
    ("destination_workload", Label::Fixed("unknown")),
    ("response_code", Label::Code),
];
const PODS: [(&str, Label); 2] = [("kubernetes_namespace", Label::Namespace), ("kubernetes_pod_name", Label::Pod)];
const PODS_CODE: &[(&str, Label)] = &[PODS[0], PODS[1], ("status", Label::Code)];
const LINKERD: [(&str, Label); 3] =
    [("namespace", Label::Namespace), ("deployment", Label::Workload), ("direction", Label::Fixed("inbound"))];
const LINKERD_CODE: &[(&str, Label)] =
    &[LINKERD[0], LINKERD[1], LINKERD[2], ("classification", Label::Classification), ("status_code", Label::Code)];
const NGINX: [(&str, Label); 3] = [("namespace", Label::Namespace), ("ingress", Label::Ingress), ("canary", Label::IngressCanary)];
const NGINX_CODE: &[(&str, Label)] = &[NGINX[0], NGINX[1], NGINX[2], ("status", Label::Code)];

/// One row for each metric; names and labels as in rollout-contract §6.4.
const METRICS: [Metric; 16] = [
    Metric { name: "istio_requests_total", of: Of::Mesh(MeshKind::Istio), count: Count::Outcomes, labels: ISTIO_CODE },
    Metric { name: "istio_requests_total", of: Of::Refused, count: Count::Outcomes, labels: ISTIO_REFUSED },
    Metric { name: "istio_request_duration_milliseconds_bucket", of: Of::Mesh(MeshKind::Istio), count: Count::Buckets(1), labels: &ISTIO },
    Metric { name: "istio_request_duration_milliseconds_sum", of: Of::Mesh(MeshKind::Istio), count: Count::Sum(1), labels: &ISTIO },
    Metric { name: "istio_request_duration_milliseconds_count", of: Of::Mesh(MeshKind::Istio), count: Count::Requests, labels: &ISTIO },
    Metric { name: "http_request_duration_seconds_count", of: Of::Application, count: Count::Outcomes, labels: PODS_CODE },
    Metric { name: "http_request_duration_seconds_bucket", of: Of::Application, count: Count::Buckets(1000), labels: &PODS },
    Metric { name: "http_request_duration_seconds_sum", of: Of::Application, count: Count::Sum(1000), labels: &PODS },
    Metric { name: "response_total", of: Of::Mesh(MeshKind::Linkerd), count: Count::Outcomes, labels: LINKERD_CODE },
    Metric { name: "response_latency_ms_bucket", of: Of::Mesh(MeshKind::Linkerd), count: Count::Buckets(1), labels: &LINKERD },
    Metric { name: "response_latency_ms_sum", of: Of::Mesh(MeshKind::Linkerd), count: Count::Sum(1), labels: &LINKERD },
    Metric { name: "response_latency_ms_count", of: Of::Mesh(MeshKind::Linkerd), count: Count::Requests, labels: &LINKERD },
    Metric { name: "nginx_ingress_controller_requests", of: Of::Ingress, count: Count::Outcomes, labels: NGINX_CODE },
    Metric { name: "nginx_ingress_controller_response_duration_seconds_sum", of: Of::Ingress, count: Count::Sum(1000), labels: &NGINX },
    Metric { name: "nginx_ingress_controller_response_duration_seconds_count", of: Of::Ingress, count: Count::Requests, labels: &NGINX },
    Metric { name: "up", of: Of::Application, count: Count::One, labels: &PODS },
];

/// One series.
pub struct Series<'a> {
    metric: &'static Metric,
    counters: &'a Counters,
    part: Part,
}

/// Which of a metric's series of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Succeeded,
    Failed,
    /// Index of a bound.
    UpTo(usize),
}

/// The series that a selector finds.
pub fn select<'a>(all: impl Iterator<Item = &'a Counters> + Clone, selector: &Selector) -> Vec<Series<'a>> {
    let mut out = Vec::new();
    for metric in METRICS.iter().filter(|metric| metric.name == selector.metric) {
        for counters in all.clone().filter(|counters| metric.of.has(counters)) {
            let series = metric.parts().into_iter().map(|part| Series { metric, counters, part });
            out.extend(series.filter(|series| selector.fits(|label| series.label(label))));
        }
    }
    out
}

impl Of {
    fn has(self, counters: &Counters) -> bool {
        let stream = &counters.stream;
        match self {
            Self::Refused => stream.refused,
            Self::Application => !stream.refused,
            Self::Mesh(kind) => !stream.refused && stream.mesh == kind,
            Self::Ingress => !stream.refused && stream.ingress.is_some(),
        }
    }
}

impl Metric {
    fn parts(&self) -> Vec<Part> {
        match self.count {
            Count::Outcomes => vec![Part::Succeeded, Part::Failed],
            Count::Buckets(_) => (0..BOUNDS.len()).map(Part::UpTo).chain([Part::Whole]).collect(),
            Count::Sum(_) | Count::Requests | Count::One => vec![Part::Whole],
        }
    }
}

impl<'a> Series<'a> {
    /// The value of a label, empty where there is no such label.
    fn label(&self, name: &str) -> &'a str {
        if name == "le" {
            return self.bound();
        }
        let stream = &self.counters.stream;
        let Some((_, label)) = self.metric.labels.iter().find(|(label, _)| *label == name) else {
            return "";
        };
        match label {
            Label::Fixed(text) => text,
            Label::Namespace => &stream.namespace,
            Label::Workload => &stream.workload,
            Label::Pod => &stream.pod,
            Label::Code if stream.refused => "503",
            Label::Code if self.part == Part::Failed => "500",
            Label::Code => "200",
            Label::Classification if self.part == Part::Failed => "failure",
            Label::Classification => "success",
            Label::Ingress => stream.ingress.as_ref().map_or("", |(name, canary)| main_ingress(name, *canary)),
            Label::IngressCanary => stream.ingress.as_ref().filter(|(_, canary)| *canary).map_or("", |_| &stream.workload),
        }
    }

    fn bound(&self) -> &'static str {
        const SECONDS: [&str; BOUNDS.len()] =
            ["0.0005", "0.001", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "60"];
        const MILLISECONDS: [&str; BOUNDS.len()] =
            ["0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "30000", "60000"];
        match (self.metric.count, self.part) {
            (Count::Buckets(1), Part::UpTo(index)) => MILLISECONDS[index],
            (Count::Buckets(_), Part::UpTo(index)) => SECONDS[index],
            (Count::Buckets(_), _) => "+Inf",
            _ => "",
        }
    }

    /// All labels but the metric's name.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let names = self.metric.labels.iter().map(|(name, _)| *name).chain(["le"]);
        names.map(|name| (name.to_owned(), self.label(name).to_owned())).filter(|(_, value)| !value.is_empty()).collect()
    }

    pub fn metric(&self) -> &'static str {
        self.metric.name
    }

    /// The counter as a scrape at `time` reads it; `None` where there was nothing to scrape.
    pub fn at(&self, time: Timestamp, lie: Option<Behaviour>) -> Option<f64> {
        let totals = self.counters.at(time, lie)?;
        Some(match self.metric.count {
            Count::One => 1.0,
            Count::Sum(unit) => totals.milliseconds / f64::from(unit),
            Count::Outcomes | Count::Buckets(_) | Count::Requests => self.requests(&totals),
        })
    }

    /// Requests are whole.
    fn requests(&self, totals: &Totals) -> f64 {
        let failed = totals.failures.floor();
        match self.part {
            Part::Whole => totals.requests.floor(),
            Part::Failed => failed,
            Part::Succeeded => totals.requests.floor() - failed,
            Part::UpTo(index) => totals.buckets[index].floor(),
        }
    }
}

/// nginx counts a canary's requests under the name of the Ingress that it is the canary of.
fn main_ingress(name: &str, canary: bool) -> &str {
    if canary { name.strip_suffix("-canary").unwrap_or(name) } else { name }
}

#[cfg(test)]
mod tests {
    use super::super::promql::{Expr, parse};
    use super::super::testing::Bench;
    use super::*;

    fn found(bench: &Bench, selector: &str) -> Vec<BTreeMap<String, String>> {
        let Ok(Expr::Instant(selector)) = parse(selector) else { panic!("{selector} is no selector") };
        let counters: Vec<Counters> = bench.world.traffic.all().cloned().collect();
        select(counters.iter(), &selector).iter().map(Series::labels).collect()
    }

    #[test]
    fn each_router_has_its_series_and_the_application_its_own() {
        let mut bench = Bench::new();
        bench.canary("podinfo:6.0.0", "podinfo:6.0.1");
        bench.run(10);
        let codes = found(&bench, r#"istio_requests_total{reporter="destination",destination_workload="web"}"#);
        assert_eq!(codes.iter().map(|l| l["response_code"].as_str()).collect::<Vec<_>>(), ["200", "500"]);
        let buckets = found(&bench, r#"istio_request_duration_milliseconds_bucket{destination_workload="web"}"#);
        assert_eq!((buckets.len(), buckets[15]["le"].as_str()), (16, "+Inf"));
        let pods = found(&bench, r#"http_request_duration_seconds_count{kubernetes_pod_name=~"web-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"}"#);
        assert_eq!(pods.len(), 2, "the primary's pods are not the target's: {pods:?}");
        assert_eq!(found(&bench, r#"http_request_duration_seconds_bucket{le="0.25",kubernetes_namespace="test"}"#).len(), 2);
        assert!(found(&bench, "response_total").is_empty() && found(&bench, "no_such_metric").is_empty());
        assert_eq!(found(&bench, "up").len(), 2);
    }

    #[test]
    fn a_caller_counts_what_nobody_answers() {
        let mut bench = Bench::new();
        bench.canary("podinfo:6.0.0", "podinfo:6.0.1");
        bench.run(10);
        bench.world.faults().lose("test", "web", None);
        bench.run(1);
        let refused = found(&bench, r#"istio_requests_total{reporter="source",destination_service_name="web-canary"}"#);
        assert_eq!(refused.len(), 2);
        assert!(refused.iter().all(|labels| labels["response_code"] == "503"));
    }
}
