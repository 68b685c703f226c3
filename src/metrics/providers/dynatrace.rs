//! Dynatrace: the metrics API, version 2 (rollout-contract §6.5).

use http::header::AUTHORIZATION;
use serde::Deserialize;
use url::Url;

use super::Provider;
use super::call::{Call, Number, asking, below, json};
use crate::metrics::Check;

const TOKEN: &str = "dynatrace_token";
/// The query looks back this many intervals.
const INTERVALS: u32 = 10;

pub const PROVIDER: Provider = Provider { secret_keys: &[TOKEN], window: true, ..Provider::plain("dynatrace", request, read) };

fn request(check: &Check<'_>, address: Url, _: Option<&[u8]>) -> Result<Call, String> {
    let (from, to) = check.span(INTERVALS);
    let fields = [("metricSelector", check.query), ("resolution", "Inf"), ("from", &from.to_string()), ("to", &to.to_string())];
    let url = asking(below(address, ["api", "v2", "metrics", "query"]), fields);
    Call::get(url)?.credential(AUTHORIZATION, &format!("Api-Token {}", check.secret(TOKEN)?), TOKEN)
}

#[derive(Deserialize)]
struct Reply {
    result: Vec<Metric>,
}

#[derive(Deserialize)]
struct Metric {
    data: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    values: Vec<Number>,
}

/// The first value of the first metric's last series, as Flagger takes it.
fn read(body: &[u8]) -> Result<Option<f64>, String> {
    let reply: Reply = json(body)?;
    Ok(reply.result.first().and_then(|m| m.data.last()).and_then(|s| s.values.first()).and_then(|v| v.0))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::testing::{Fixture, NOW, ask_loopback};
    use super::*;
    use crate::engine::effect::Answer;

    pub fn fixture() -> Fixture {
        Fixture::new("dynatrace", "builtin:service.response.time:percentile(95)", &[(TOKEN, "dynatrace-secret")])
    }

    #[tokio::test]
    async fn one_point_of_ten_intervals_is_asked_for() {
        let body = r#"{"result": [{"data": [{"values": [1]}, {"timestamps": [5], "values": [42.5, 9]}]}, {"data": []}]}"#;
        let (answer, seen) = ask_loopback(&fixture(), fixture().served(200, body)).await;
        assert_eq!(answer, Answer::Value(42.5));
        let request = seen.requests.first().expect("a request");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/api/v2/metrics/query"));
        assert_eq!(request.query["metricSelector"], "builtin:service.response.time:percentile(95)");
        assert_eq!(request.query["resolution"], "Inf");
        assert_eq!(request.query["from"], ((NOW - 600) * 1_000).to_string());
        assert_eq!(request.query["to"], (NOW * 1_000).to_string());
        assert_eq!(request.header("authorization"), "Api-Token dynatrace-secret");
    }

    #[tokio::test]
    async fn without_a_value_there_is_no_data() {
        for body in [
            r#"{"result": []}"#,
            r#"{"result": [{"data": []}]}"#,
            r#"{"result": [{"data": [{"values": []}]}]}"#,
            r#"{"result": [{"data": [{"values": [null, 5]}]}]}"#,
        ] {
            assert_eq!(fixture().answer(body).await, Answer::NoData, "{body}");
        }
        assert!(matches!(fixture().answer(r#"{"result": [{}]}"#).await, Answer::Error(why) if why.contains("missing field")));
    }
}
