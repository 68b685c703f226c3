//! Datadog: the metrics query API, version 1 (rollout-contract §6.5).

use http::HeaderName;
use serde::Deserialize;
use url::Url;

use super::Provider;
use super::call::{Call, Number, asking, below, json};
use crate::metrics::Check;

const API_KEY: &str = "datadog_api_key";
const APPLICATION_KEY: &str = "datadog_application_key";
/// The query looks back this many intervals, so that its first bucket is a whole one.
const INTERVALS: u32 = 10;

pub const PROVIDER: Provider = Provider {
    default_address: |_| Some("https://api.datadoghq.com".into()),
    secret_keys: &[API_KEY, APPLICATION_KEY],
    window: true,
    ..Provider::plain("datadog", request, read)
};

fn request(check: &Check<'_>, address: Url, _: Option<&[u8]>) -> Result<Call, String> {
    let (from, to) = check.span(INTERVALS);
    let (from, to) = ((from / 1_000).to_string(), (to / 1_000).to_string());
    let url = asking(below(address, ["api", "v1", "query"]), [("query", check.query), ("from", &from), ("to", &to)]);
    Call::get(url)?.credential(HeaderName::from_static("dd-api-key"), check.secret(API_KEY)?, API_KEY)?.credential(
        HeaderName::from_static("dd-application-key"),
        check.secret(APPLICATION_KEY)?,
        APPLICATION_KEY,
    )
}

#[derive(Deserialize)]
struct Reply {
    /// Datadog tells of a wrong query with status 200.
    #[serde(default)]
    error: Option<String>,
    series: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    /// Milliseconds since 1970, and the value.
    pointlist: Vec<(Number, Number)>,
}

/// The first, oldest point of the first series: the newest bucket is almost never complete. Flagger reads a null there
/// as 0, which passes every upper bound; here it is no data.
fn read(body: &[u8]) -> Result<Option<f64>, String> {
    let reply: Reply = json(body)?;
    if let Some(error) = reply.error.filter(|e| !e.is_empty()) {
        return Err(format!("the query failed, {error}"));
    }
    Ok(reply.series.first().and_then(|s| s.pointlist.first()).and_then(|(_, value)| value.0))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::testing::{Fixture, NOW, ask_loopback};
    use super::*;
    use crate::engine::effect::Answer;

    pub fn fixture() -> Fixture {
        Fixture::new("datadog", "avg:errors{a:b} / 2", &[(API_KEY, "api-key-secret"), (APPLICATION_KEY, "app-key-secret")])
    }

    #[tokio::test]
    async fn the_first_point_of_ten_intervals_is_the_value() {
        let body = r#"{"series": [{"pointlist": [[1577232000000, 29325.1], [1577318400000, 88.0]]}, {"pointlist": [[1, 7]]}]}"#;
        let (answer, seen) = ask_loopback(&fixture(), fixture().served(200, body)).await;
        assert_eq!(answer, Answer::Value(29_325.1));
        let request = seen.requests.first().expect("a request");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/api/v1/query"));
        assert_eq!(request.query["query"], "avg:errors{a:b} / 2");
        assert_eq!((request.query["from"].clone(), request.query["to"].clone()), ((NOW - 600).to_string(), NOW.to_string()));
        assert_eq!((request.header("dd-api-key"), request.header("dd-application-key")), ("api-key-secret", "app-key-secret"));
        assert_eq!(seen.requests.len(), 1);
    }

    #[tokio::test]
    async fn no_point_is_no_data_and_a_refused_query_an_error() {
        for body in [
            r#"{"series": []}"#,
            r#"{"series": [{"pointlist": []}]}"#,
            r#"{"series": [{"pointlist": [[1, null], [2, 5]]}]}"#,
            r#"{"series": [{"pointlist": [[1, "NaN"]]}]}"#,
        ] {
            assert_eq!(fixture().answer(body).await, Answer::NoData, "{body}");
        }
        for body in [r#"{"series": [], "error": "Rule 'x' failed"}"#, r#"{"series": [{"pointlist": [[1]]}]}"#, r#"{"status": "ok"}"#] {
            assert!(matches!(fixture().answer(body).await, Answer::Error(why) if why.contains("datadog at 127.0.0.1: ")), "{body}");
        }
    }

    #[tokio::test]
    async fn a_key_with_a_line_end_is_named_not_shown() {
        let mut fixture = fixture();
        fixture.secret.insert(API_KEY.into(), b"api-key-secret\n".to_vec());
        let answer = fixture.ask_at("http://127.0.0.1:1").await;
        assert!(
            matches!(answer, Answer::Error(why) if why.contains(API_KEY) && why.contains("line end") && !why.contains("api-key-secret"))
        );
    }
}
