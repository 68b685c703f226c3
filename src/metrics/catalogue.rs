//! Built-in queries by router (rollout-contract §6.4). Names are quoted before they enter a query.

use crate::domain::canary::CanarySpec;
use crate::domain::target::CanaryKey;

/// The window of a check that names none.
pub const DEFAULT_WINDOW: &str = "1m";

/// What a query is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    pub namespace: &'a str,
    pub target: &'a str,
    pub router: &'a str,
    /// `PromQL` duration.
    pub window: &'a str,
}

impl<'a> Subject<'a> {
    #[must_use]
    pub fn new(key: &'a CanaryKey, spec: &'a CanarySpec, router: &'a str, window: Option<&'a str>) -> Self {
        // A window is digits and a unit by the schema; anything else would be PromQL of somebody else's.
        let window = window.filter(|w| !w.is_empty() && w.chars().all(|c| c.is_ascii_alphanumeric())).unwrap_or(DEFAULT_WINDOW);
        Self { namespace: &key.namespace, target: &spec.target_ref.name, router, window }
    }
}

/// `PromQL` of a percentage, 0 to 100.
#[must_use]
pub fn success_rate(s: &Subject<'_>) -> String {
    let (metric, selector, failure) = match s.router {
        "kubernetes" => ("http_request_duration_seconds_count", pods(s), r#"status!~"5.*""#),
        "linkerd" => ("response_total", deployment(s), r#"classification!="failure""#),
        _ => ("istio_requests_total", workload(s), r#"response_code!~"5.*""#),
    };
    let window = s.window;
    format!("sum(rate({metric}{{{selector},{failure}}}[{window}])) / sum(rate({metric}{{{selector}}}[{window}])) * 100")
}

/// `PromQL` of the 99th percentile, in milliseconds.
#[must_use]
pub fn duration(s: &Subject<'_>) -> String {
    let window = s.window;
    let (metric, selector, unit) = match s.router {
        "kubernetes" => ("http_request_duration_seconds_bucket", pods(s), " * 1000"),
        "linkerd" => ("response_latency_ms_bucket", deployment(s), ""),
        _ => ("istio_request_duration_milliseconds_bucket", workload(s), ""),
    };
    format!("histogram_quantile(0.99, sum(rate({metric}{{{selector}}}[{window}])) by (le)){unit}")
}

fn pods(s: &Subject<'_>) -> String {
    let pod = format!("{}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)", regex(s.target));
    format!(r#"kubernetes_namespace="{}",kubernetes_pod_name=~"{}""#, quote(s.namespace), quote(&pod))
}

fn workload(s: &Subject<'_>) -> String {
    format!(
        r#"reporter="destination",destination_workload_namespace="{}",destination_workload=~"{}""#,
        quote(s.namespace),
        quote(&regex(s.target))
    )
}

fn deployment(s: &Subject<'_>) -> String {
    format!(r#"namespace="{}",deployment=~"{}",direction="inbound""#, quote(s.namespace), quote(&regex(s.target)))
}

/// Escapes for a double-quoted `PromQL` string.
fn quote(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

/// Escapes for a regular expression.
fn regex(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { vec![c] } else { vec!['\\', c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_their_quotes() {
        let s = Subject { namespace: "a\"} or up{", target: "web.\\1", router: "istio", window: "1m" };
        let q = success_rate(&s);
        assert!(q.contains(r#"destination_workload_namespace="a\"} or up{""#), "{q}");
        assert!(q.contains(r#"destination_workload=~"web\\.\\\\1""#), "{q}");
    }

    #[test]
    fn windows_that_are_no_duration_are_not_used() {
        let key = CanaryKey::new("a", "b");
        let spec = CanarySpec::default();
        assert_eq!(Subject::new(&key, &spec, "istio", Some("1m]) or up")).window, DEFAULT_WINDOW);
        assert_eq!(Subject::new(&key, &spec, "istio", Some("30s")).window, "30s");
    }
}
