//! New Relic: the Insights query API (rollout-contract §6.5).

use http::HeaderName;
use serde::Deserialize;
use url::Url;

use super::Provider;
use super::call::{Call, Number, asking, below, json};
use crate::metrics::Check;

const ACCOUNT_ID: &str = "newrelic_account_id";
const QUERY_KEY: &str = "newrelic_query_key";

pub const PROVIDER: Provider = Provider {
    default_address: |_| Some("https://insights-api.newrelic.com".into()),
    secret_keys: &[ACCOUNT_ID, QUERY_KEY],
    window: true,
    ..Provider::plain("newrelic", request, read)
};

fn request(check: &Check<'_>, address: Url, _: Option<&[u8]>) -> Result<Call, String> {
    let query = format!("{} SINCE {} seconds ago", check.query.trim_end(), check.window.unwrap_or_default().as_secs());
    let url = below(address, ["v1", "accounts", check.secret(ACCOUNT_ID)?, "query"]);
    Call::get(asking(url, [("nrql", query.as_str())]))?.credential(
        HeaderName::from_static("x-query-key"),
        check.secret(QUERY_KEY)?,
        QUERY_KEY,
    )
}

#[derive(Deserialize)]
struct Reply {
    results: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    result: Number,
}

/// The only result; a query that selects several says not which is meant.
fn read(body: &[u8]) -> Result<Option<f64>, String> {
    match json::<Reply>(body)?.results.as_slice() {
        [] => Ok(None),
        [only] => Ok(only.result.0),
        several => Err(format!("the query returned {} results: select one value", several.len())),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::testing::{Fixture, ask_loopback};
    use super::*;
    use crate::engine::effect::Answer;

    pub fn fixture() -> Fixture {
        let secret = [(ACCOUNT_ID, "51312/../x"), (QUERY_KEY, "query-key-secret")];
        Fixture::new("newrelic", "SELECT sum(a) FROM Metric WHERE status = '200'\n", &secret)
    }

    #[tokio::test]
    async fn the_query_ends_in_the_interval() {
        let (answer, seen) = ask_loopback(&fixture(), fixture().served(200, r#"{"results": [{"result": 1.11111}]}"#)).await;
        assert_eq!(answer, Answer::Value(1.11111));
        let request = seen.requests.first().expect("a request");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/v1/accounts/51312%2F..%2Fx/query"));
        assert_eq!(request.query["nrql"], "SELECT sum(a) FROM Metric WHERE status = '200' SINCE 60 seconds ago");
        assert_eq!(request.header("x-query-key"), "query-key-secret");
    }

    #[tokio::test]
    async fn exactly_one_result_is_a_value() {
        for body in [r#"{"results": []}"#, r#"{"results": [{"result": null}]}"#, r#"{"results": [{"average": 5}]}"#] {
            assert_eq!(fixture().answer(body).await, Answer::NoData, "{body}");
        }
        let several = r#"{"results": [{"result": 1}, {"result": 2}]}"#;
        assert!(matches!(fixture().answer(several).await, Answer::Error(why) if why.contains("returned 2 results")));
    }
}
