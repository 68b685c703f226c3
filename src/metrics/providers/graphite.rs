//! Graphite: the render API (rollout-contract §6.5). A query is the query part of its URL, `target=…&from=…`.

use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::Provider;
use super::call::{Call, Number, below, json, one_line};
use crate::metrics::Check;

pub const PROVIDER: Provider = Provider { may_skip_verification: true, ..Provider::plain("graphite", request, read) };

fn request(check: &Check<'_>, address: Url, _: Option<&[u8]>) -> Result<Call, String> {
    let mut url = below(address, ["render"]);
    let query = one_line(check.query);
    // What the template says of the format cannot stand beside ours.
    let fields = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "format");
    url.query_pairs_mut().extend_pairs(fields).append_pair("format", "json");
    let call = Call::get(url)?;
    match check.secret {
        None => Ok(call),
        Some(_) => call.basic(check.secret("username")?, check.secret("password")?),
    }
}

#[derive(Deserialize)]
struct Target {
    /// The value, and seconds since 1970.
    datapoints: Vec<(Number, Number)>,
}

/// The last point that is not null, of the last target that has one.
fn read(body: &[u8]) -> Result<Option<f64>, String> {
    let targets: Vec<Target> = json(body)?;
    Ok(targets.iter().flat_map(|t| &t.datapoints).filter_map(|(value, _)| value.0).next_back())
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::testing::{Fixture, ask_loopback};
    use crate::engine::effect::Answer;

    pub fn fixture() -> Fixture {
        let query = "target=summarize(\n  asPercent(a.{B,C}.count, b),\n  1m, 'avg'\n)&from=-2min&format=png\n";
        Fixture::new("graphite", query, &[("username", "graphite-user"), ("password", "graphite-secret")])
    }

    #[tokio::test]
    async fn the_query_is_encoded_and_asks_for_json() {
        let body = r#"[{"target": "a", "datapoints": [[1, 1621348400]]},
                       {"target": "b", "datapoints": [[10, 1621348400], [100.5, 1621348410], [null, 1621348420]]}]"#;
        let (answer, seen) = ask_loopback(&fixture(), fixture().served(200, body)).await;
        assert_eq!(answer, Answer::Value(100.5));
        let request = seen.requests.first().expect("a request");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/render"));
        assert_eq!(request.query["target"], "summarize( asPercent(a.{B,C}.count, b), 1m, 'avg' )");
        assert_eq!((request.query["from"].as_str(), request.query["format"].as_str()), ("-2min", "json"));
        assert_eq!(request.raw_query.matches("format=").count(), 1);
        assert_eq!(request.header("authorization"), "Basic Z3JhcGhpdGUtdXNlcjpncmFwaGl0ZS1zZWNyZXQ=");
    }

    #[tokio::test]
    async fn without_a_point_there_is_no_data() {
        for body in ["[]", r#"[{"datapoints": []}]"#, r#"[{"datapoints": [[null, 1]]}]"#, r#"[{"datapoints": [["NaN", 1]]}]"#] {
            assert_eq!(fixture().answer(body).await, Answer::NoData, "{body}");
        }
        for body in [r#"[{"datapoints": [[1]]}]"#, r#"[{"target": "a"}]"#, r#"[{"datapoints": [[NaN, 1]]}]"#] {
            assert!(matches!(fixture().answer(body).await, Answer::Error(_)), "{body}");
        }
        assert_eq!(fixture().answer(r#"[{"datapoints": [["7.5", 1]]}]"#).await, Answer::Value(7.5));
    }
}
