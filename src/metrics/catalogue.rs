//! Built-in queries by router (rollout-contract §6.4): one row of [`FAMILIES`] each, a new one is a copy of its neighbour.
//!
//! A row is data. Names are escaped and quoted in one place, [`Matcher::write`], on their way into a query.

use crate::domain::canary::CanarySpec;
use crate::domain::target::CanaryKey;

/// The window of a check that names none.
pub const DEFAULT_WINDOW: &str = "1m";

/// What a query is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    pub namespace: &'a str,
    pub target: &'a str,
    /// Base of the three Services' names; the target where the Canary names none.
    pub service: &'a str,
    /// The Ingress; the target where the Canary names none.
    pub ingress: &'a str,
    /// The route; the target where the Canary names none. For Knative the caller sets the latest created revision.
    pub route: &'a str,
    pub router: &'a str,
    /// `PromQL` duration.
    pub window: &'a str,
}

impl<'a> Subject<'a> {
    #[must_use]
    pub fn new(key: &'a CanaryKey, spec: &'a CanarySpec, router: &'a str, window: Option<&'a str>) -> Self {
        // A window is digits and a unit by the schema; anything else would be PromQL of somebody else's.
        let window = window.filter(|w| !w.is_empty() && w.chars().all(|c| c.is_ascii_alphanumeric())).unwrap_or(DEFAULT_WINDOW);
        let target = spec.target_ref.name.as_str();
        let or_target = |name: Option<&'a str>| name.filter(|n| !n.is_empty()).unwrap_or(target);
        Self {
            namespace: &key.namespace,
            target,
            service: or_target(spec.service.name.as_deref()),
            ingress: or_target(spec.ingress_ref.as_ref().map(|r| r.name.as_str())),
            route: or_target(spec.route_ref.as_ref().map(|r| r.name.as_str())),
            router,
            window,
        }
    }

    fn name(&self, placeholder: &str) -> Option<&'a str> {
        match placeholder {
            "namespace" => Some(self.namespace),
            "target" => Some(self.target),
            "service" => Some(self.service),
            "ingress" => Some(self.ingress),
            "route" => Some(self.route),
            _ => None,
        }
    }
}

/// One label matcher: the label, then a value with `{namespace}`, `{target}`, `{service}`, `{ingress}`, `{route}` in it.
#[derive(Clone, Copy, Debug)]
enum Matcher {
    /// `=`
    Is(&'static str, &'static str),
    /// `!=`
    Not(&'static str, &'static str),
    /// `=~`; names match literally.
    Like(&'static str, &'static str),
    /// `=~`; names match literally once what is no word character in them is `_`, as Skipper calls its routes.
    LikeWord(&'static str, &'static str),
    /// `!~`
    Unlike(&'static str, &'static str),
}

use Matcher::{Is, Like, LikeWord, Not, Unlike};

/// How long requests took.
#[derive(Clone, Copy, Debug)]
enum Latency {
    /// The 99th percentile of a histogram: its `_bucket` series.
    Quantile(&'static str),
    /// Sum over count: the metric's name without `_sum` and `_count`.
    Mean(&'static str),
}

/// What a family of routers exports about the requests to a canary.
struct Family {
    /// Values of `spec.provider`; one that ends in `*` is a prefix.
    routers: &'static [&'static str],
    /// The pods or routes of the canary. Several lists are several conventions for the same labels; a series counts once.
    of_canary: &'static [&'static [Matcher]],
    /// A counter of requests, and what narrows it down.
    requests: (&'static str, &'static [Matcher]),
    /// What holds for a request that did not fail.
    passed: Matcher,
    latency: Latency,
    latency_only: &'static [Matcher],
    /// From the metric's unit to milliseconds.
    to_milliseconds: &'static str,
}

const IN_MILLISECONDS: &str = "";
const IN_SECONDS: &str = " * 1000";

/// Flagger's own Prometheus relabels to `kubernetes_…`, the Prometheus Operator to `namespace` and `pod`. The second
/// list takes only series without the first's labels, so that neither a series nor a sample is there twice.
const PODS: &[&[Matcher]] = &[
    &[Is("kubernetes_namespace", "{namespace}"), Like("kubernetes_pod_name", POD_NAME)],
    &[Is("namespace", "{namespace}"), Like("pod", POD_NAME), Is("kubernetes_pod_name", "")],
];

/// Pods of a Deployment: its name and two hashes. The primary's have one part more.
const POD_NAME: &str = "{target}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)";

/// Requests as Envoy counts them by cluster.
const ENVOY: Family = Family {
    routers: &[],
    of_canary: &[],
    requests: ("envoy_cluster_upstream_rq", &[]),
    passed: Unlike("envoy_response_code", "5.*"),
    latency: Latency::Quantile("envoy_cluster_upstream_rq_time_bucket"),
    latency_only: &[],
    to_milliseconds: IN_MILLISECONDS,
};

/// Also the family of every router without a row, as in Flagger.
const ISTIO: Family = Family {
    routers: &["istio"],
    of_canary: &[&[
        Is("reporter", "destination"),
        Is("destination_workload_namespace", "{namespace}"),
        Like("destination_workload", "{target}"),
    ]],
    requests: ("istio_requests_total", &[]),
    passed: Unlike("response_code", "5.*"),
    latency: Latency::Quantile("istio_request_duration_milliseconds_bucket"),
    latency_only: &[],
    to_milliseconds: IN_MILLISECONDS,
};

const FAMILIES: &[Family] = &[
    Family {
        routers: &["kubernetes", "gatewayapi*"],
        of_canary: PODS,
        requests: ("http_request_duration_seconds_count", &[]),
        passed: Unlike("status", "5.*"),
        latency: Latency::Quantile("http_request_duration_seconds_bucket"),
        latency_only: &[],
        to_milliseconds: IN_SECONDS,
    },
    ISTIO,
    Family {
        routers: &["linkerd"],
        of_canary: &[&[Is("namespace", "{namespace}"), Like("deployment", "{target}"), Is("direction", "inbound")]],
        requests: ("response_total", &[]),
        passed: Not("classification", "failure"),
        latency: Latency::Quantile("response_latency_ms_bucket"),
        latency_only: &[],
        to_milliseconds: IN_MILLISECONDS,
    },
    Family {
        routers: &["nginx"],
        of_canary: &[&[Is("namespace", "{namespace}"), Is("ingress", "{ingress}"), Not("canary", "")]],
        requests: ("nginx_ingress_controller_requests", &[]),
        passed: Unlike("status", "5.*"),
        latency: Latency::Mean("nginx_ingress_controller_response_duration_seconds"),
        latency_only: &[],
        to_milliseconds: IN_SECONDS,
    },
    Family { routers: &["contour"], of_canary: &[&[Like("envoy_cluster_name", "{namespace}_{service}-canary_[0-9a-zA-Z-]+")]], ..ENVOY },
    Family {
        routers: &["gloo*"],
        of_canary: &[&[Like("envoy_cluster_name", "{namespace}-{target}-canaryupstream-[0-9a-zA-Z-]+_[0-9a-zA-Z-]+")]],
        ..ENVOY
    },
    Family { routers: &["appmesh*"], of_canary: PODS, ..ENVOY },
    Family { routers: &["kuma"], of_canary: &[&[Like("service", "{target}-canary_{namespace}_svc_[0-9a-zA-Z-]+")]], ..ENVOY },
    Family { routers: &["knative"], of_canary: &[&[Like("envoy_cluster_name", "{namespace}/{route}")]], ..ENVOY },
    Family {
        routers: &["traefik"],
        of_canary: &[&[Like("service", "{namespace}-{target}-canary-[0-9a-zA-Z-]+@kubernetescrd")]],
        requests: ("traefik_service_request_duration_seconds_bucket", &[Is("le", "+Inf")]),
        passed: Unlike("code", "5.."),
        latency: Latency::Quantile("traefik_service_request_duration_seconds_bucket"),
        latency_only: &[],
        to_milliseconds: IN_SECONDS,
    },
    Family {
        routers: &["skipper"],
        of_canary: &[&[LikeWord("route", "kube(ew)?_{namespace}__{ingress}_canary__.*__{service}_canary(_[0-9]+)?")]],
        requests: ("skipper_response_duration_seconds_bucket", &[Is("le", "+Inf")]),
        passed: Unlike("code", "5.."),
        latency: Latency::Mean("skipper_serve_route_duration_seconds"),
        latency_only: &[],
        to_milliseconds: IN_SECONDS,
    },
    Family {
        routers: &["apisix"],
        of_canary: &[&[Like("route", "{namespace}_{route}-{target}-canary_.+")]],
        requests: ("apisix_http_status", &[]),
        passed: Unlike("code", "5.."),
        latency: Latency::Quantile("apisix_http_latency_bucket"),
        latency_only: &[Is("type", "request")],
        to_milliseconds: IN_MILLISECONDS,
    },
    Family {
        routers: &["osm"],
        of_canary: &[&[
            Is("destination_namespace", "{namespace}"),
            Is("destination_kind", "Deployment"),
            Is("destination_name", "{target}"),
        ]],
        requests: ("osm_request_total", &[]),
        passed: Unlike("response_code", "5.*"),
        latency: Latency::Quantile("osm_request_duration_ms_bucket"),
        latency_only: &[],
        to_milliseconds: IN_MILLISECONDS,
    },
];

/// `PromQL` of a percentage, 0 to 100. Without requests it is empty or NaN, never a number.
#[must_use]
pub fn success_rate(s: &Subject<'_>) -> String {
    let family = family(s.router);
    let (metric, only) = family.requests;
    let passed = rates(s, family, metric, &[only, &[family.passed]].concat());
    let all = rates(s, family, metric, only);
    format!("sum({passed}) / sum({all}) * 100")
}

/// `PromQL` of the 99th percentile, or of the mean where the router exports no histogram, in milliseconds.
#[must_use]
pub fn duration(s: &Subject<'_>) -> String {
    let family = family(s.router);
    let unit = family.to_milliseconds;
    let rates = |metric: &str| rates(s, family, metric, family.latency_only);
    match family.latency {
        Latency::Quantile(metric) => format!("histogram_quantile(0.99, sum({}) by (le)){unit}", rates(metric)),
        Latency::Mean(metric) => {
            format!("sum({}) / sum({}){unit}", rates(&format!("{metric}_sum")), rates(&format!("{metric}_count")))
        }
    }
}

/// Whether the same queries, with the primary as target, measure the primary: the metrics name workloads, and not the
/// canary's route.
#[must_use]
pub fn measures_primary(router: &str) -> bool {
    let values = family(router).of_canary.iter().flat_map(|matchers| matchers.iter()).map(|matcher| match matcher {
        Is(label, value) | Not(label, value) | Like(label, value) | LikeWord(label, value) | Unlike(label, value) => (*label, *value),
    });
    let values: Vec<_> = values.collect();
    values.iter().any(|(_, value)| value.contains("{target}"))
        && !values.iter().any(|(label, value)| label.contains("canary") || value.contains("canary"))
}

fn family(router: &str) -> &'static Family {
    let named = |word: &&str| word.strip_suffix('*').map_or(router == *word, |prefix| router.starts_with(prefix));
    FAMILIES.iter().find(|f| f.routers.iter().any(named)).unwrap_or(&ISTIO)
}

/// The rates of `metric` for each convention of labels. `or` keeps the left of two with equal labels.
fn rates(s: &Subject<'_>, family: &Family, metric: &str, more: &[Matcher]) -> String {
    let window = s.window;
    let rate = |of_canary: &&[Matcher]| {
        let matchers: Vec<String> = of_canary.iter().chain(more).map(|m| m.write(s)).collect();
        format!("rate({metric}{{{}}}[{window}])", matchers.join(","))
    };
    family.of_canary.iter().map(rate).collect::<Vec<_>>().join(" or ")
}

impl Matcher {
    fn write(self, s: &Subject<'_>) -> String {
        let (label, operator, value) = match self {
            Is(label, value) => (label, "=", fill(value, s, str::to_owned)),
            Not(label, value) => (label, "!=", fill(value, s, str::to_owned)),
            Like(label, value) => (label, "=~", fill(value, s, regex)),
            LikeWord(label, value) => (label, "=~", fill(value, s, |name| regex(&word(name)))),
            Unlike(label, value) => (label, "!~", fill(value, s, regex)),
        };
        format!(r#"{label}{operator}"{}""#, quote(&value))
    }
}

/// `text` with its placeholders replaced once, from left to right: what a name holds is never a placeholder.
fn fill(text: &str, s: &Subject<'_>, escape: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        if let Some((name, after)) = after.split_once('}').and_then(|(placeholder, after)| Some((s.name(placeholder)?, after))) {
            out.push_str(&escape(name));
            rest = after;
        } else {
            out.push('{');
            rest = after;
        }
    }
    out + rest
}

/// Escapes for a double-quoted `PromQL` string.
fn quote(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

/// Escapes for a regular expression.
fn regex(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { vec![c] } else { vec!['\\', c] }).collect()
}

fn word(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(router: &str) -> Subject<'_> {
        Subject { namespace: "test", target: "web", service: "web-svc", ingress: "web.ing", route: "web-route", router, window: "2m" }
    }

    #[test]
    fn bad_input_21_names_cannot_break_out_of_their_quotes() {
        let bad = Subject { namespace: "a\"} or up{", target: "web.\\1", ..subject("istio") };
        let q = success_rate(&bad);
        assert!(q.contains(r#"destination_workload_namespace="a\"} or up{""#), "{q}");
        assert!(q.contains(r#"destination_workload=~"web\\.\\\\1""#), "{q}");
        // Every row passes through the same escapes: outside quotes there is nothing of a name.
        for family in FAMILIES {
            let name = "x\"} or zz{z=\"";
            let router = family.routers.first().expect("a name").trim_end_matches('*');
            let s = Subject { namespace: name, target: name, service: name, ingress: name, route: name, router, window: "1m" };
            for query in [success_rate(&s), duration(&s)] {
                let outside: String = query.replace(r"\\", "").replace(r#"\""#, "").split('"').step_by(2).collect();
                assert!(!outside.contains("zz"), "{router}: {query}\n{outside}");
            }
        }
    }

    #[test]
    fn a_name_is_no_placeholder() {
        let s = Subject { namespace: "{target}", ..subject("contour") };
        assert!(success_rate(&s).contains(r"\\{target\\}_web-svc-canary"), "{}", success_rate(&s));
    }

    #[test]
    fn windows_that_are_no_duration_are_not_used() {
        let key = CanaryKey::new("a", "b");
        let spec = CanarySpec::default();
        assert_eq!(Subject::new(&key, &spec, "istio", Some("1m]) or up")).window, DEFAULT_WINDOW);
        assert_eq!(Subject::new(&key, &spec, "istio", Some("30s")).window, "30s");
    }

    #[test]
    fn what_the_canary_does_not_name_is_called_as_the_target() {
        let key = CanaryKey::new("test", "web");
        let spec: CanarySpec = serde_json::from_str(r#"{"targetRef": {"name": "web"}, "ingressRef": {"name": "in"}}"#).expect("a spec");
        let s = Subject::new(&key, &spec, "nginx", None);
        assert_eq!((s.service, s.ingress, s.route), ("web", "in", "web"));
    }

    /// Each pair of a router: the selector of all its requests, then the query of its latency.
    #[test]
    fn every_family_asks_for_its_own_metrics() {
        let pods = r#"kubernetes_namespace="test",kubernetes_pod_name=~"web-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)""#;
        for (router, all, latency) in [
            (
                "linkerd",
                r#"sum(rate(response_total{namespace="test",deployment=~"web",direction="inbound"}[2m])) * 100"#.into(),
                r#"sum(rate(response_latency_ms_bucket{namespace="test",deployment=~"web",direction="inbound"}[2m])) by (le))"#,
            ),
            (
                "nginx",
                r#"sum(rate(nginx_ingress_controller_requests{namespace="test",ingress="web.ing",canary!=""}[2m])) * 100"#.into(),
                r#"_seconds_count{namespace="test",ingress="web.ing",canary!=""}[2m])) * 1000"#,
            ),
            (
                "contour",
                r#"sum(rate(envoy_cluster_upstream_rq{envoy_cluster_name=~"test_web-svc-canary_[0-9a-zA-Z-]+"}[2m])) * 100"#.into(),
                r#"sum(rate(envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=~"test_web-svc-canary_[0-9a-zA-Z-]+"}[2m])) by (le))"#,
            ),
            (
                "gloo:v1",
                r#"{envoy_cluster_name=~"test-web-canaryupstream-[0-9a-zA-Z-]+_[0-9a-zA-Z-]+"}[2m])) * 100"#.into(),
                "_time_bucket{",
            ),
            ("appmesh:v1beta2:service", format!("sum(rate(envoy_cluster_upstream_rq{{{pods}}}[2m])"), "_time_bucket{"),
            ("kuma", r#"{service=~"web-canary_test_svc_[0-9a-zA-Z-]+"}[2m])) * 100"#.into(), "_time_bucket{"),
            ("knative", r#"{envoy_cluster_name=~"test/web-route"}[2m])) * 100"#.into(), "_time_bucket{"),
            (
                "traefik",
                r#"_bucket{service=~"test-web-canary-[0-9a-zA-Z-]+@kubernetescrd",le="+Inf"}[2m])) * 100"#.into(),
                r#"_bucket{service=~"test-web-canary-[0-9a-zA-Z-]+@kubernetescrd"}[2m])) by (le)) * 1000"#,
            ),
            (
                "skipper",
                r#"_bucket{route=~"kube(ew)?_test__web_ing_canary__.*__web_svc_canary(_[0-9]+)?",le="+Inf"}[2m])) * 100"#.into(),
                r"sum(rate(skipper_serve_route_duration_seconds_sum{",
            ),
            (
                "apisix",
                r#"sum(rate(apisix_http_status{route=~"test_web-route-web-canary_.+"}[2m])) * 100"#.into(),
                r#"sum(rate(apisix_http_latency_bucket{route=~"test_web-route-web-canary_.+",type="request"}[2m])) by (le))"#,
            ),
            (
                "osm",
                r#"{destination_namespace="test",destination_kind="Deployment",destination_name="web"}[2m])) * 100"#.into(),
                "osm_request_duration_ms_bucket{",
            ),
            (
                "smi:v1alpha2",
                r#"sum(rate(istio_requests_total{reporter="destination","#.into(),
                "istio_request_duration_milliseconds_bucket{",
            ),
            ("kubernetes:service", "sum(rate(istio_requests_total{".into(), "istio_request_duration_milliseconds_bucket{"),
        ] {
            let (rate, time) = (success_rate(&subject(router)), duration(&subject(router)));
            assert!(rate.contains(&all), "{router}: {rate}");
            assert!(time.contains(latency), "{router}: {time}");
        }
    }

    #[test]
    fn the_primary_is_measured_where_metrics_name_workloads() {
        for (router, measured) in
            [("istio", true), ("linkerd", true), ("kubernetes", true), ("nginx", false), ("contour", false), ("skipper", false)]
        {
            assert_eq!(measures_primary(router), measured, "{router}");
        }
    }

    #[test]
    fn failures_stand_in_the_numerator_only() {
        for family in FAMILIES {
            let router = family.routers.first().expect("a name").trim_end_matches('*');
            let query = success_rate(&subject(router));
            let passed = family.passed.write(&subject(router));
            let (numerator, denominator) = query.split_once(" / ").expect("a fraction");
            assert_eq!(numerator.matches(&passed).count(), family.of_canary.len(), "{query}");
            assert!(!denominator.contains(&passed), "{query}");
        }
    }

    #[test]
    fn both_conventions_of_pod_labels_are_asked_for_at_once() {
        for router in ["kubernetes", "gatewayapi", "gatewayapi:v1", "gatewayapi:v1beta1"] {
            let theirs = r#"kubernetes_namespace="test",kubernetes_pod_name=~"web-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)""#;
            let operator = r#"namespace="test",pod=~"web-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)",kubernetes_pod_name="""#;
            let count = "http_request_duration_seconds_count";
            assert_eq!(
                success_rate(&subject(router)),
                format!(
                    "sum(rate({count}{{{theirs},status!~\"5.*\"}}[2m]) or rate({count}{{{operator},status!~\"5.*\"}}[2m])) / \
                     sum(rate({count}{{{theirs}}}[2m]) or rate({count}{{{operator}}}[2m])) * 100"
                )
            );
            let bucket = "http_request_duration_seconds_bucket";
            assert_eq!(
                duration(&subject(router)),
                format!("histogram_quantile(0.99, sum(rate({bucket}{{{theirs}}}[2m]) or rate({bucket}{{{operator}}}[2m])) by (le)) * 1000")
            );
        }
    }
}
