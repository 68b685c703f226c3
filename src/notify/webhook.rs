//! Webhooks of an analysis: Flagger's payload, its meaning of success, its retries (rollout-contract §5.2).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use serde_json::json;

use crate::domain::canary::CanaryWebhook;
use crate::domain::target::CanaryKey;
use crate::domain::text::clean;
use crate::outbound::{Manner, Outbound};
use crate::runner::ports::Answer;

/// Characters of a reply that are shown.
const LONGEST_REPLY: usize = 200;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Tries beyond the first that a hook may ask for.
const MOST_RETRIES: i64 = 10;

/// What a hook is told.
#[derive(Clone, Debug)]
pub struct Payload<'a> {
    pub key: &'a CanaryKey,
    pub phase: &'a str,
    /// Opaque identity of the revision.
    pub checksum: String,
    /// Metadata beside the hook's own, which it cannot override.
    pub also: BTreeMap<String, String>,
}

/// Calls `hook`, with `headers` where it has a Secret of them.
pub async fn call(payload: &Payload<'_>, hook: &CanaryWebhook, headers: &BTreeMap<String, Vec<u8>>, outbound: &impl Outbound) -> Answer {
    let request = match request(payload, hook, headers) {
        Ok(request) => request,
        Err(why) => return Answer::Error(why),
    };
    let manner = Manner { insecure: hook.disable_tls, ..Manner::within(hook.deadline()) };
    let retries = hook.retries.unwrap_or(0).clamp(0, MOST_RETRIES);
    let mut wait = FIRST_WAIT;
    let mut tried = 0;
    loop {
        match attempt(request.clone(), &manner, outbound).await {
            Ok(()) => return Answer::Passed,
            Err(Failure { again: true, .. }) if tried < retries => {
                tried += 1;
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            Err(Failure { why, .. }) => return Answer::Error(why),
        }
    }
}

/// Flagger's request (rollout-contract §5.2).
fn request(payload: &Payload<'_>, hook: &CanaryWebhook, headers: &BTreeMap<String, Vec<u8>>) -> Result<http::Request<Bytes>, String> {
    let mut body = json!({
        "name": payload.key.name, "namespace": payload.key.namespace, "phase": payload.phase, "checksum": payload.checksum
    });
    let mut metadata = hook.metadata.clone();
    metadata.extend(payload.also.clone());
    if !metadata.is_empty() {
        body["metadata"] = json!(metadata);
    }
    let mut request = http::Request::post(&hook.url)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body.to_string()))
        .map_err(|e| format!("webhook {}: {} is not a URL: {e}", clean(&hook.name), clean(&hook.url)))?;
    for (name, value) in headers {
        let bad = |what: &str| format!("webhook {}: header {} {what}", clean(&hook.name), clean(name));
        let named = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("is not a name for a header"))?;
        let mut value = HeaderValue::from_bytes(value.trim_ascii()).map_err(|_| bad("holds what a header cannot carry"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(named, value);
    }
    Ok(request)
}

struct Failure {
    why: String,
    /// A connection error, 429, or a 5xx other than 501.
    again: bool,
}

async fn attempt(request: http::Request<Bytes>, manner: &Manner, outbound: &impl Outbound) -> Result<(), Failure> {
    let reply = outbound.send(request, manner).await.map_err(|why| Failure { why, again: true })?;
    let status = reply.status().as_u16();
    if status <= 202 {
        return Ok(());
    }
    let said: String = clean(&String::from_utf8_lossy(reply.body())).chars().take(LONGEST_REPLY).collect();
    let why = if said.trim().is_empty() { format!("status {status}") } else { said };
    Err(Failure { why, again: status == 429 || (status >= 500 && status != 501) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use axum::Router;
    use axum::routing::post;
    use serde_json::Value;

    use super::*;
    use crate::outbound::direct::Direct;

    type Seen = Arc<Mutex<Vec<Value>>>;

    /// A receiver that answers with `statuses`, the last one repeated, and keeps what it was sent.
    async fn receiver(statuses: &'static [u16], body: String) -> (String, Seen) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let seen = Seen::default();
        let kept = Arc::clone(&seen);
        let app = Router::new().route(
            "/hook",
            post(move |axum::Json(payload): axum::Json<Value>| async move {
                let mut kept = kept.lock().expect("a lock");
                let status = statuses.get(kept.len()).or(statuses.last()).copied().unwrap_or(200);
                kept.push(payload);
                (axum::http::StatusCode::from_u16(status).expect("a status"), body)
            }),
        );
        tokio::spawn(async move { axum::serve(listener, app).await });
        (url, seen)
    }

    fn payload(key: &CanaryKey) -> Payload<'_> {
        Payload { key, phase: "Progressing", checksum: "sum".into(), also: BTreeMap::new() }
    }

    async fn tell(hook: &CanaryWebhook) -> Answer {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let key = CanaryKey::new("test", "web");
        call(&payload(&key), hook, &BTreeMap::new(), &Direct { in_cluster: false }).await
    }

    async fn ask(statuses: &'static [u16], body: &str, retries: i64) -> (Answer, Vec<Value>) {
        let (url, seen) = receiver(statuses, body.into()).await;
        let hook = CanaryWebhook { name: "conf".into(), url, retries: Some(retries), timeout: Some("5s".into()), ..Default::default() };
        let answer = tell(&hook).await;
        let seen = seen.lock().expect("a lock").clone();
        (answer, seen)
    }

    #[tokio::test]
    async fn up_to_202_passes_and_above_is_refused_with_the_body() {
        for status in [&[200_u16][..], &[201], &[202]] {
            assert_eq!(ask(status, "", 0).await.0, Answer::Passed, "{status:?}");
        }
        for status in [&[203_u16][..], &[302], &[403], &[500]] {
            assert_eq!(ask(status, "closed\u{1b}[2J", 0).await.0, Answer::Error("closed[2J".into()), "{status:?}");
        }
    }

    #[tokio::test]
    async fn the_payload_is_flaggers() {
        let (_, seen) = ask(&[200], "", 0).await;
        let keys: Vec<_> = seen[0].as_object().expect("an object").keys().cloned().collect();
        assert_eq!(keys, ["checksum", "name", "namespace", "phase"]);
        assert_eq!((seen[0]["name"].as_str(), seen[0]["phase"].as_str()), (Some("web"), Some("Progressing")));
    }

    #[tokio::test]
    async fn only_what_may_pass_later_is_repeated() {
        assert_eq!(ask(&[503, 200], "", 1).await.1.len(), 2);
        assert_eq!(ask(&[403], "", 3).await.1.len(), 1);
        assert_eq!(ask(&[501], "", 3).await.1.len(), 1);
    }

    #[tokio::test]
    async fn bad_input_25_a_huge_body_is_cut_and_a_dead_receiver_is_an_error() {
        let (answer, _) = ask(&[500], &"x".repeat(3_000_000), 0).await;
        assert!(matches!(answer, Answer::Error(why) if why.len() <= 200));
        let hook = CanaryWebhook { url: "http://127.0.0.1:1/".into(), ..Default::default() };
        assert!(matches!(tell(&hook).await, Answer::Error(_)));
        let hook = CanaryWebhook { url: "http://169.254.169.254/".into(), ..Default::default() };
        assert!(matches!(tell(&hook).await, Answer::Error(why) if why.contains("refused")));
    }

    #[test]
    fn headers_come_from_the_secret_and_metadata_of_an_event_wins() {
        let key = CanaryKey::new("test", "web");
        let mut told = payload(&key);
        told.also.insert("eventType".into(), "Warning".into());
        let metadata = BTreeMap::from([("eventType".to_owned(), "mine".to_owned()), ("team".to_owned(), "a".to_owned())]);
        let hook = CanaryWebhook { name: "h".into(), url: "http://hooks.example.com/".into(), metadata, ..Default::default() };
        let headers = BTreeMap::from([("Authorization".to_owned(), b"Bearer t\n".to_vec())]);
        let made = request(&told, &hook, &headers).expect("a request");
        assert_eq!(made.headers()["authorization"], "Bearer t");
        let body: Value = serde_json::from_slice(made.body()).expect("JSON");
        assert_eq!(body["metadata"], json!({"eventType": "Warning", "team": "a"}));
        for (name, value) in [("X-A", "b\r\nX-Evil: 1"), ("X A", "b")] {
            let headers = BTreeMap::from([(name.to_owned(), value.as_bytes().to_vec())]);
            assert!(request(&told, &hook, &headers).is_err_and(|e| e.contains("header")), "{name}");
        }
    }
}
