//! Prometheus, and what speaks its query API (rollout-contract §6.2).

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::Provider;
use super::call::{Call, Number, asking, below, json, one_line, shaped};
use crate::metrics::Check;

pub const PROVIDER: Provider = Provider { may_skip_verification: true, ..Provider::plain("prometheus", request, read) };

fn request(check: &Check<'_>, address: Url, _: Option<&[u8]>) -> Result<Call, String> {
    let query = one_line(check.query);
    let call = Call::get(asking(below(address, ["api", "v1", "query"]), [("query", query.as_str())]))?;
    match check.secret {
        None => Ok(call),
        Some(_) if check.has("token") => call.bearer(check.secret("token")?),
        Some(_) => call.basic(check.secret("username")?, check.secret("password")?),
    }
}

#[derive(Deserialize)]
struct Reply {
    status: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: Value,
}

#[derive(Deserialize)]
struct Series {
    /// Seconds since 1970, and the sample; native histograms have none.
    #[serde(default)]
    value: Option<(Value, Value)>,
}

/// The last series with a sample, as in Flagger. Flagger takes an infinity for a number; here it is no data.
fn read(body: &[u8]) -> Result<Option<f64>, String> {
    let reply: Reply = json(body)?;
    if reply.status != "success" {
        return Err(format!("the query failed, {}", reply.error.unwrap_or_else(|| "without a reason".into())));
    }
    let data = reply.data.ok_or("its answer has no data")?;
    match data.kind.as_str() {
        "vector" => {
            let series: Vec<Series> = shaped(data.result)?;
            let mut samples = series.into_iter().filter_map(|s| s.value).map(|(_, sample)| sample);
            samples.rfind(Value::is_string).map_or(Ok(None), |sample| Number::try_from(sample).map(|n| n.0))
        }
        "scalar" => shaped::<(Value, Number)>(data.result).map(|(_, number)| number.0),
        "matrix" => Err("query returned multiple values: write one that returns an instant vector".into()),
        kind => Err(format!("query returned a {kind}: write one that returns an instant vector")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::testing::{Fixture, ask_loopback};
    use crate::engine::effect::Answer;

    pub fn fixture() -> Fixture {
        Fixture::new("prometheus", "sum(\n  rate(a{b=~\"c+\"}[1m])\n)\n", &[("token", "bearer-token-secret")])
    }

    fn vector(series: &str) -> String {
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#)
    }

    #[tokio::test]
    async fn the_query_is_sent_on_one_line_with_a_token() {
        let body = vector(r#"{"metric":{},"value":[1,"99.5"]},{"metric":{"a":"b"},"value":[1,"100"]}"#);
        let (answer, seen) = ask_loopback(&fixture(), fixture().served(200, &body)).await;
        assert_eq!(answer, Answer::Value(100.0), "the last series is taken");
        let request = seen.requests.first().expect("a request");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/api/v1/query"));
        assert_eq!(request.query["query"], "sum( rate(a{b=~\"c+\"}[1m]) )");
        assert!(request.raw_query.contains("c%2B"), "a plus is not a space: {}", request.raw_query);
        assert_eq!(request.header("authorization"), "Bearer bearer-token-secret");
    }

    #[tokio::test]
    async fn without_a_token_there_are_name_and_password_or_nothing() {
        let basic = Fixture::new("prometheus", "a", &[("username", "me"), ("password", "basic-secret")]);
        let (_, seen) = ask_loopback(&basic, basic.served(200, "{}")).await;
        assert_eq!(seen.requests.first().expect("a request").header("authorization"), "Basic bWU6YmFzaWMtc2VjcmV0");
        let (answer, _) = ask_loopback(&basic, basic.served(401, "you sent Basic bWU6YmFzaWMtc2VjcmV0")).await;
        assert!(matches!(answer, Answer::Error(why) if why.ends_with("you sent ***")));
        let open = Fixture::new("prometheus", "a", &[]);
        let (_, seen) = ask_loopback(&open, open.served(200, "{}")).await;
        assert_eq!(seen.requests.first().expect("a request").headers.get("authorization"), None);
        let half = Fixture::new("prometheus", "a", &[("username", "me")]);
        assert!(matches!(half.ask_at("http://127.0.0.1:1").await, Answer::Error(why) if why.contains("has no key password")));
    }

    #[tokio::test]
    async fn only_a_finite_sample_is_a_value() {
        for value in ["NaN", "+Inf", "-Inf", "1e999"] {
            let body = vector(&format!(r#"{{"metric":{{}},"value":[1,"{value}"]}}"#));
            assert_eq!(fixture().answer(&body).await, Answer::NoData, "{value}");
        }
        assert_eq!(fixture().answer(&vector("")).await, Answer::NoData);
        assert_eq!(fixture().answer(&vector(r#"{"metric":{},"histogram":[1,{"count":"5"}]}"#)).await, Answer::NoData);
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#;
        assert_eq!(fixture().answer(scalar).await, Answer::Value(2.0));
        for body in [
            vector(r#"{"metric":{},"value":[1,"12 ms"]}"#),
            vector(r#"{"metric":{},"value":["1"]}"#),
            r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#.into(),
            r#"{"status":"success","data":{"resultType":"string","result":[1,"5"]}}"#.into(),
            r#"{"status":"error","error":"parse error","data":{"resultType":"vector","result":[{"value":[1,"5"]}]}}"#.into(),
            r#"{"status":"success"}"#.into(),
        ] {
            assert!(matches!(fixture().answer(&body).await, Answer::Error(_)), "{body}");
        }
    }
}
