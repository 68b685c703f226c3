//! The metric servers that can be asked: one row of [`PROVIDERS`] each, and the one way in which all are asked.
//!
//! A row is pure: it makes requests and reads replies. Sending, statuses, masking of secrets and what is no number
//! are dealt with here, once for all.

mod call;
mod cloudwatch;
mod datadog;
mod dynatrace;
mod graphite;
mod influxdb;
mod mask;
mod newrelic;
mod prometheus;
mod range;
mod stackdriver;
#[cfg(test)]
mod testing;

use std::time::Duration;

use url::Url;

use self::call::Call;
use self::mask::Mask;
pub use self::range::{can as has_course, range};
use super::Check;
use crate::domain::template::{KINDS, MetricProvider};
use crate::domain::text::clean;
use crate::engine::effect::Answer;
use crate::outbound::{Manner, Outbound};

/// Flagger's limit for one request (rollout-contract §6.5).
const DEADLINE: Duration = Duration::from_secs(5);
/// Characters of an error.
const LONGEST_ERROR: usize = 600;

/// Makes the query of a check, from the server's address and the body of the reply to its login.
type MakeRequest = fn(&Check<'_>, Url, Option<&[u8]>) -> Result<Call, String>;

/// Reads the value in the body of a reply; `None` where there is none.
type ReadReply = fn(&[u8]) -> Result<Option<f64>, String>;

/// How one kind of metric server is asked.
pub struct Provider {
    /// `spec.provider.type`
    kind: &'static str,
    /// Where it is if the template does not say; `None` where the template must.
    default_address: fn(&MetricProvider) -> Option<String>,
    /// Keys that the Secret must have; none where it can do without a Secret.
    secret_keys: &'static [&'static str],
    /// It needs a region.
    region: bool,
    /// It needs the metric's interval.
    window: bool,
    /// `insecureSkipVerify` is heeded, as in Flagger.
    may_skip_verification: bool,
    /// For one request.
    deadline: Duration,
    /// The request for credentials that comes first, where there is one. A reply that says success is never quoted.
    login: fn(&Check<'_>) -> Result<Option<Call>, String>,
    request: MakeRequest,
    read: ReadReply,
}

impl Provider {
    /// A row without anything peculiar.
    const fn plain(kind: &'static str, request: MakeRequest, read: ReadReply) -> Self {
        Self {
            kind,
            default_address: |_| None,
            secret_keys: &[],
            region: false,
            window: false,
            may_skip_verification: false,
            deadline: DEADLINE,
            login: |_| Ok(None),
            request,
            read,
        }
    }
}

/// All kinds that can be asked.
pub static PROVIDERS: [Provider; 8] = [
    prometheus::PROVIDER,
    datadog::PROVIDER,
    cloudwatch::PROVIDER,
    newrelic::PROVIDER,
    graphite::PROVIDER,
    influxdb::PROVIDER,
    dynatrace::PROVIDER,
    stackdriver::PROVIDER,
];

/// Kinds of Flagger's API that cannot be asked, and what to use instead.
const UNSUPPORTED: [(&str, &str); 3] = [
    ("externalmetrics", "ask the server behind the adapter itself, with a template of type prometheus or datadog"),
    ("keptn", "ask the server that the KeptnMetric reads, for example with a template of type prometheus"),
    ("splunk", "export the metric to Prometheus, for example with an OpenTelemetry collector, and use type prometheus"),
];

/// The value of `check` now (rollout-contract §6.2, §6.5). A reply without a finite number is never one.
pub async fn ask(check: &Check<'_>, outbound: &impl Outbound) -> Answer {
    let mut mask = Mask::of(check);
    match value(check, outbound, &mut mask).await {
        Ok(Some(value)) if value.is_finite() => Answer::Value(value),
        Ok(_) => Answer::NoData,
        Err(why) => Answer::Error(mask.quote(&why, LONGEST_ERROR)),
    }
}

/// What is wrong with `provider` before anything is asked; `None` where nothing is.
#[must_use]
pub fn mistake(provider: &MetricProvider) -> Option<String> {
    row(provider).and_then(|row| checked(row, provider)).err()
}

fn row(provider: &MetricProvider) -> Result<&'static Provider, String> {
    let kind = provider.kind.as_str();
    if let Some((kind, instead)) = UNSUPPORTED.iter().find(|(unsupported, _)| *unsupported == kind) {
        return Err(format!("metric provider {kind} is not supported: {instead}"));
    }
    PROVIDERS.iter().find(|row| row.kind == kind).ok_or_else(|| {
        let known: Vec<&str> = KINDS.into_iter().filter(|kind| UNSUPPORTED.iter().all(|(u, _)| u != kind)).collect();
        format!("there is no metric provider `{}`: use one of {}", short(kind), known.join(", "))
    })
}

/// The address of `provider`, once everything that can be known of it without asking is found right.
fn checked(row: &Provider, provider: &MetricProvider) -> Result<Url, String> {
    let kind = row.kind;
    if row.region && !provider.region.as_deref().is_some_and(is_region) {
        return Err(format!("metric provider {kind} needs a region: set region, for example eu-west-1"));
    }
    if !row.secret_keys.is_empty() && provider.secret_ref.as_ref().is_none_or(|s| s.name.is_empty()) {
        return Err(format!("metric provider {kind} needs a Secret: set secretRef to one with {}", row.secret_keys.join(" and ")));
    }
    call::headers(provider)?;
    let given = provider.address.clone().filter(|a| !a.is_empty());
    match given.or_else(|| (row.default_address)(provider)) {
        Some(address) => call::address(&address).map_err(|why| format!("metric provider {kind}: {why}")),
        None => Err(format!("metric provider {kind} needs an address: set address, for example http://{kind}.monitoring:8080")),
    }
}

/// Regions become part of a host's name.
fn is_region(text: &str) -> bool {
    !text.is_empty() && text.len() <= 40 && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

async fn value(check: &Check<'_>, outbound: &impl Outbound, mask: &mut Mask) -> Result<Option<f64>, String> {
    let row = row(check.provider)?;
    let address = checked(row, check.provider)?;
    if row.window && check.window.is_none_or(|w| w.as_secs() == 0) {
        return Err(format!("metric provider {} needs the metric's interval: set interval, for example 1m", row.kind));
    }
    if check.provider.secret_ref.is_some() && check.secret.is_none() {
        return Err(format!("metric provider {}: its Secret was not read, and without it nothing is asked", row.kind));
    }
    for key in row.secret_keys {
        check.secret(key)?;
    }
    let host = address.host_str().map(short).unwrap_or_default();
    let named = |why: String| format!("{} at {host}: {why}", row.kind);
    let manner = Manner { insecure: row.may_skip_verification && check.provider.insecure_skip_verify, ..Manner::within(row.deadline) };

    let login = match (row.login)(check).map_err(&named)? {
        Some(call) => {
            let manner = Manner::within(row.deadline);
            Some(send(call, &manner, outbound, mask).await.map_err(|why| named(format!("no credentials: {why}")))?)
        }
        None => None,
    };
    let call = (row.request)(check, address, login.as_deref()).and_then(|call| call.with(check.provider)).map_err(&named)?;
    let body = send(call, &manner, outbound, mask).await.map_err(&named)?;
    (row.read)(&body).map_err(|why| named(format!("{}; it answered: {}", mask.excerpt(why.as_bytes()), mask.excerpt(&body))))
}

/// The body of a reply that says success.
async fn send(call: Call, manner: &Manner, outbound: &impl Outbound, mask: &mut Mask) -> Result<Vec<u8>, String> {
    for secret in call.secrets() {
        mask.add(&secret);
    }
    let reply = outbound.send(call.request, manner).await?;
    let status = reply.status();
    if status.is_success() {
        return Ok(reply.into_body().to_vec());
    }
    Err(format!("status {status}: {}", mask.excerpt(reply.body())))
}

/// What is quoted of a template in an error.
fn short(text: &str) -> String {
    clean(text).chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::testing::{Fixture, Served, ask_loopback};
    use super::*;

    fn fixtures() -> Vec<Fixture> {
        vec![
            prometheus::tests::fixture(),
            datadog::tests::fixture(),
            cloudwatch::tests::fixture(),
            newrelic::tests::fixture(),
            graphite::tests::fixture(),
            influxdb::tests::fixture(),
            dynatrace::tests::fixture(),
            stackdriver::tests::fixture(),
        ]
    }

    #[test]
    fn every_kind_of_the_api_is_asked_or_refused_with_another_way() {
        for kind in KINDS {
            let asked = PROVIDERS.iter().any(|p| p.kind == kind);
            let refused = UNSUPPORTED.iter().any(|(k, _)| *k == kind);
            assert!(asked != refused, "{kind}");
        }
        let provider = |kind: &str| MetricProvider { kind: kind.into(), address: Some("http://x".into()), ..Default::default() };
        for kind in ["externalmetrics", "keptn", "splunk"] {
            let why = mistake(&provider(kind)).expect(kind);
            assert!(why.contains(kind) && why.contains("is not supported") && why.contains("type prometheus"), "{why}");
        }
        let why = mistake(&provider("promethues\u{1b}[2J")).expect("unknown");
        assert!(why.contains("`promethues[2J`") && why.contains("prometheus, influxdb, datadog"), "{why}");
        assert_eq!(mistake(&provider("prometheus")), None);
    }

    #[test]
    fn what_is_missing_is_said_before_anything_is_asked() {
        for fixture in fixtures() {
            assert_eq!(mistake(&fixture.provider), None, "{}", fixture.provider.kind);
        }
        let wrong = |kind: &str, change: fn(&mut MetricProvider)| {
            let mut provider = fixtures().into_iter().map(|f| f.provider).find(|p| p.kind == kind).expect(kind);
            change(&mut provider);
            mistake(&provider).unwrap_or_else(|| format!("{kind}: no mistake"))
        };
        for kind in ["prometheus", "graphite", "influxdb", "dynatrace"] {
            assert!(wrong(kind, |p| p.address = None).contains("needs an address"), "{kind}");
        }
        for kind in ["datadog", "newrelic", "dynatrace", "stackdriver"] {
            assert!(wrong(kind, |p| p.secret_ref = None).contains("needs a Secret"), "{kind}");
        }
        assert!(wrong("cloudwatch", |p| p.region = None).contains("needs a region"));
        assert!(wrong("cloudwatch", |p| p.region = Some("evil.example/#".into())).contains("needs a region"));
        for address in
            ["", "prometheus:9090", "ftp://x", "http://", "http://user:pw@x", "http://x/?a=b", "http://x#f", "file:///etc/passwd"]
        {
            let provider = MetricProvider { kind: "prometheus".into(), address: Some(address.into()), ..Default::default() };
            assert!(mistake(&provider).is_some_and(|why| why.contains("address")), "{address}");
        }
    }

    #[test]
    fn bad_input_27_headers_that_would_split_a_request_are_a_mistake() {
        for (name, value) in
            [("X-A\r\nX-B", "1"), ("X-A", "1\r\nX-B: 2"), ("X-A", "a\nb"), ("", "1"), ("X A", "1"), ("Host", "x"), ("Content-Length", "0")]
        {
            let mut provider = prometheus::tests::fixture().provider;
            provider.headers.insert(name.into(), vec![value.into()]);
            let why = mistake(&provider).unwrap_or_else(|| panic!("{name:?}: {value:?}"));
            assert!(why.contains("header") && !why.contains(['\r', '\n']), "{why}");
            assert!(!why.contains("X-B: 2"), "values are not quoted: {why}");
        }
    }

    #[tokio::test]
    async fn headers_of_the_template_replace_and_add() {
        let mut fixture = datadog::tests::fixture();
        fixture.provider.headers.insert("dd-api-key".into(), vec!["theirs".into()]);
        fixture.provider.headers.insert("X-Scope-OrgID".into(), vec!["a".into(), "b".into()]);
        let (_, seen) = ask_loopback(&fixture, vec![Served::new("/", 200, "{}")]).await;
        let request = seen.requests.first().expect("a request");
        assert_eq!(request.headers.get_all("DD-API-KEY").iter().collect::<Vec<_>>(), ["theirs"]);
        assert_eq!(request.headers.get_all("x-scope-orgid").iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(request.headers["dd-application-key"], "app-key-secret");
    }

    #[tokio::test]
    async fn a_status_that_is_no_success_is_an_error_without_secrets() {
        for fixture in fixtures() {
            let mut secrets: Vec<String> = fixture.secret.values().map(|v| String::from_utf8_lossy(v).into_owned()).collect();
            secrets.extend(fixture.environment.values().cloned());
            let echo = format!("<b>denied</b>\u{1b}[2J {} {}", secrets.join(" "), "x".repeat(5_000));
            for status in [400, 403, 302, 500, 503] {
                let (answer, seen) = ask_loopback(&fixture, fixture.served(status, &echo)).await;
                let Answer::Error(why) = answer else { panic!("{}: {answer:?}", fixture.provider.kind) };
                assert!(why.contains(&format!("status {status}")) && why.contains("denied"), "{why}");
                assert!(why.starts_with(&fixture.provider.kind) && why.chars().count() <= LONGEST_ERROR, "{why}");
                assert!(!why.contains('\u{1b}') && !why.contains(&"x".repeat(mask::LONGEST_EXCERPT)), "{why}");
                for secret in secrets.iter().chain(&seen.credentials()) {
                    assert!(!why.contains(secret.as_str()), "{secret} in {why}");
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_of_the_server_is_never_a_value() {
        for fixture in fixtures() {
            for body in ["<html>login</html>", "null", "[]x", "{\"a\":1", "[1]", "\"x\"", "\u{0}\u{1}", "5"] {
                let (answer, _) = ask_loopback(&fixture, fixture.served(200, body)).await;
                let Answer::Error(why) = answer else { panic!("{}: {body}: {answer:?}", fixture.provider.kind) };
                assert!(why.contains("it answered: "), "{why}");
            }
        }
    }

    /// The parser quotes what it did not expect; that is cut only where no secret can be cut in two.
    #[tokio::test]
    async fn a_secret_inside_a_wrong_answer_is_masked_whole() {
        let mut fixture = datadog::tests::fixture();
        let secret = "0123456789".repeat(30);
        fixture.secret.insert("datadog_api_key".into(), secret.clone().into_bytes());
        for body in [format!(r#"{{"series": "{secret}"}}"#), format!("{}{secret}", "x".repeat(190)), secret.replace('5', "5\u{200b}")] {
            let Answer::Error(why) = fixture.answer(&body).await else { panic!("{body}") };
            assert!(!why.contains("0123"), "{why}");
        }
    }

    #[test]
    fn asking_may_move_between_threads() {
        fn is_send<T: Send>(_: T) {}
        let provider = MetricProvider::default();
        let environment = std::collections::BTreeMap::new();
        let check = Check {
            provider: &provider,
            secret: None,
            query: "",
            window: None,
            now: jiff::Timestamp::UNIX_EPOCH,
            environment: &environment,
            read_file: |_| Err(String::new()),
        };
        is_send(ask(&check, &testing::Loopback::default()));
    }

    #[tokio::test]
    async fn an_unreachable_server_is_an_error_without_secrets() {
        for fixture in fixtures() {
            let answer = fixture.ask_at("http://127.0.0.1:1").await;
            let Answer::Error(why) = answer else { panic!("{}: {answer:?}", fixture.provider.kind) };
            for secret in fixture.secret.values() {
                assert!(!why.contains(&*String::from_utf8_lossy(secret)), "{why}");
            }
        }
    }

    #[tokio::test]
    async fn what_a_check_lacks_is_named() {
        for mut fixture in fixtures() {
            let row = row(&fixture.provider).expect("a row");
            if row.window {
                let without = Fixture { window: None, ..fixture.clone() };
                assert!(
                    matches!(without.ask_at("http://127.0.0.1:1").await, Answer::Error(why) if why.contains("needs the metric's interval"))
                );
            }
            for key in row.secret_keys {
                let mut without = fixture.clone();
                without.secret.remove(*key);
                assert!(matches!(without.ask_at("http://127.0.0.1:1").await, Answer::Error(why) if why.contains(key)), "{key}");
            }
            if fixture.provider.secret_ref.is_some() {
                fixture.has_secret = false;
                assert!(matches!(fixture.ask_at("http://127.0.0.1:1").await, Answer::Error(why) if why.contains("Secret")));
            }
        }
    }

    #[tokio::test]
    async fn only_where_flagger_does_is_verification_skipped_and_influxdb_has_longer() {
        for mut fixture in fixtures() {
            fixture.provider.insecure_skip_verify = true;
            let (_, seen) = ask_loopback(&fixture, fixture.served(200, "")).await;
            let manner = seen.manners.last().expect("a request");
            let kind = fixture.provider.kind.as_str();
            assert_eq!(manner.insecure, ["prometheus", "graphite"].contains(&kind), "{kind}");
            assert_eq!(manner.deadline.as_secs(), if kind == "influxdb" { 15 } else { 5 }, "{kind}");
        }
    }
}
