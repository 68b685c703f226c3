//! Prometheus, by URL or through the API server's `services/proxy`; both decode into prometheus-http-query's types.

use std::time::Duration;

use jiff::Timestamp;
use prometheus_http_query::Client;
use prometheus_http_query::response::{Data, PromqlResult};
use serde_json::Value;

use super::Grid;
use crate::domain::text::clean;
use crate::kubernetes::access::Access;
use crate::kubernetes::error::chain;
use crate::runner::ports::Answer;

/// Flagger's limit for one query.
const DEADLINE: Duration = Duration::from_secs(5);

/// Where the queries of one cluster go.
#[derive(Clone)]
pub enum Source {
    Url {
        client: Client,
        url: String,
    },
    Service {
        access: Access,
        path: String,
    },
    /// None is configured; every query says so.
    None,
}

/// A source that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("prometheus url {url}: {cause}; write it as http://HOST:PORT")]
    Url { url: String, cause: String },
    #[error("prometheus service {0} is not NAMESPACE/NAME:PORT")]
    Service(String),
}

impl Source {
    /// # Errors
    /// [`SourceError::Url`].
    pub fn url(url: &str) -> Result<Self, SourceError> {
        let failed = |cause: String| SourceError::Url { url: clean(url), cause };
        let http = reqwest::Client::builder()
            .timeout(DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| failed(chain(&e)))?;
        let client = Client::from(http, url).map_err(|e| failed(chain(&e)))?;
        Ok(Self::Url { client, url: url.into() })
    }

    /// # Errors
    /// [`SourceError::Service`].
    pub fn service(access: Access, service: &str) -> Result<Self, SourceError> {
        let (namespace, rest) = service.split_once('/').ok_or_else(|| SourceError::Service(clean(service)))?;
        let (name, port) = rest.split_once(':').ok_or_else(|| SourceError::Service(clean(service)))?;
        let mut access = access;
        access.deadline = DEADLINE;
        Ok(Self::Service { access, path: format!("/api/v1/namespaces/{namespace}/services/{name}:{port}/proxy") })
    }

    /// Where it is, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Url { url, .. } => url.clone(),
            Self::Service { path, .. } => path.clone(),
            Self::None => "no Prometheus".into(),
        }
    }

    /// The value of `query` now.
    pub async fn value(&self, query: &str) -> Answer {
        match self.instant(query).await {
            Ok(result) => scalar(result.data()),
            Err(why) => Answer::Error(why),
        }
    }

    async fn instant(&self, query: &str) -> Result<PromqlResult, String> {
        match self {
            Self::None => Err("no Prometheus is configured for this cluster: set prometheus in the fleet file, or --prometheus URL".into()),
            Self::Url { client, url } => tokio::time::timeout(DEADLINE, client.query(query).get())
                .await
                .map_err(|_| format!("{url}: no answer within {}s", DEADLINE.as_secs()))?
                .map_err(|e| clean(&format!("{url}: {}", chain(&e)))),
            Self::Service { access, path } => {
                let reply = access.get(&format!("{path}/api/v1/query?{}", encode(&[("query", query)]))).await.map_err(|e| e.to_string())?;
                decode(&reply)
            }
        }
    }

    /// `query` over the last `points` steps of `step`, oldest first; `None` where there is no sample.
    ///
    /// # Errors
    /// The server's or the transport's words.
    pub async fn range(&self, query: &str, now: Timestamp, step: Duration, points: usize) -> Result<Vec<Option<f64>>, String> {
        let grid = Grid::ending(now, step, points);
        let (start, end) = (grid.start, grid.end);
        let result = match self {
            Self::None => return Err("no Prometheus is configured for this cluster".into()),
            #[expect(clippy::cast_precision_loss, reason = "seconds of a step are far below 2^52")]
            Self::Url { client, url } => tokio::time::timeout(DEADLINE, client.query_range(query, start, end, grid.step as f64).get())
                .await
                .map_err(|_| format!("{url}: no answer within {}s", DEADLINE.as_secs()))?
                .map_err(|e| clean(&format!("{url}: {}", chain(&e))))?,
            Self::Service { access, path } => {
                let fields =
                    [("query", query.to_owned()), ("start", start.to_string()), ("end", end.to_string()), ("step", grid.step.to_string())];
                let fields: Vec<_> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
                let reply = access.get(&format!("{path}/api/v1/query_range?{}", encode(&fields))).await.map_err(|e| e.to_string())?;
                decode(&reply)?
            }
        };
        let series = match result.data() {
            Data::Matrix(series) => series.first(),
            _ => None,
        };
        let samples = series.map(prometheus_http_query::response::RangeVector::samples).unwrap_or_default();
        Ok(grid.place(samples.iter().map(|sample| (sample.timestamp(), sample.value()))))
    }
}

/// The last series' value, as Flagger takes it; nothing but a finite number is one.
fn scalar(data: &Data) -> Answer {
    let value = match data {
        Data::Vector(series) => series.last().map(|s| s.sample().value()),
        Data::Scalar(sample) => Some(sample.value()),
        Data::Matrix(_) => return Answer::Error("query returned multiple values".into()),
    };
    match value {
        Some(value) if value.is_finite() => Answer::Value(value),
        _ => Answer::NoData,
    }
}

fn decode(reply: &Value) -> Result<PromqlResult, String> {
    if reply.get("status").and_then(Value::as_str) != Some("success") {
        return Err(clean(reply.get("error").and_then(Value::as_str).unwrap_or("not an answer of Prometheus")));
    }
    serde_json::from_value(reply.get("data").cloned().unwrap_or_default()).map_err(|e| clean(&e.to_string()))
}

fn encode(fields: &[(&str, &str)]) -> String {
    fields
        .iter()
        .map(|(key, value)| {
            let value: String =
                value.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect();
            format!("{key}={value}")
        })
        .collect::<Vec<_>>()
        .join("&")
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;

    use super::*;

    async fn answering(body: &'static str, status: u16) -> Source {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let status = axum::http::StatusCode::from_u16(status).expect("a status");
        let app = Router::new().route("/api/v1/query", get(move || async move { (status, [("content-type", "application/json")], body) }));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Source::url(&url).expect("a source")
    }

    #[tokio::test]
    async fn bad_input_22_only_a_finite_number_is_a_value() {
        let vector = |value: &str| {
            format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[1,"{value}"]}}]}}}}"#)
        };
        for (value, expected) in
            [("99.5", Answer::Value(99.5)), ("NaN", Answer::NoData), ("+Inf", Answer::NoData), ("-Inf", Answer::NoData)]
        {
            let source = answering(Box::leak(vector(value).into_boxed_str()), 200).await;
            assert_eq!(source.value("x").await, expected, "{value}");
        }
        let empty = answering(r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#, 200).await;
        assert_eq!(empty.value("x").await, Answer::NoData);
    }

    #[tokio::test]
    async fn bad_input_22_what_is_no_answer_of_prometheus_is_an_error() {
        for (body, status) in [
            ("<html>login</html>", 200),
            ("", 200),
            (r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#, 400),
            ("gateway timeout", 504),
            (r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#, 200),
            (r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1e999x"]}]}}"#, 200),
        ] {
            let answer = answering(body, status).await.value("x").await;
            assert!(matches!(answer, Answer::Error(_)), "{body}: {answer:?}");
        }
        let gone = Source::url("http://127.0.0.1:1").expect("a source");
        assert!(matches!(gone.value("x").await, Answer::Error(why) if why.contains("127.0.0.1:1")));
        assert!(matches!(Source::None.value("x").await, Answer::Error(why) if why.contains("--prometheus")));
    }
}
