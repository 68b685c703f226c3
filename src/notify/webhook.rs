//! Webhooks of an analysis: Flagger's payload, its meaning of success, its retries (rollout-contract §5.2).

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::address::{allowed, check};
use crate::domain::canary::CanaryWebhook;
use crate::domain::text::clean;
use crate::kubernetes::access::Access;
use crate::kubernetes::error::chain;
use crate::runner::ports::{Answer, Observation};

/// More of a body than this is neither read nor shown.
const LARGEST_BODY: usize = 4 * 1024;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Calls `hook` for the canary of `seen`; `phase` is what the payload says.
pub async fn call(seen: &Observation, hook: &CanaryWebhook, phase: &str, access: &Access, in_cluster: bool) -> Answer {
    let mut payload = json!({
        "name": seen.key.name, "namespace": seen.key.namespace, "phase": phase,
        "checksum": seen.recorded_checksum().unwrap_or_default()
    });
    if !hook.metadata.is_empty() {
        payload["metadata"] = json!(hook.metadata);
    }
    let retries = usize::try_from(hook.retries.unwrap_or(0).clamp(0, 10)).unwrap_or(0);
    let mut wait = FIRST_WAIT;
    let mut tried = 0;
    loop {
        match attempt(hook, &payload, access, in_cluster).await {
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

struct Failure {
    why: String,
    /// A connection error, 429, or a 5xx other than 501.
    again: bool,
}

impl Failure {
    const fn last(why: String) -> Self {
        Self { why, again: false }
    }
}

async fn attempt(hook: &CanaryWebhook, payload: &Value, access: &Access, in_cluster: bool) -> Result<(), Failure> {
    let checked = check(&hook.url, in_cluster).map_err(Failure::last)?;
    if let Some((namespace, name, port)) = &checked.service {
        let mut access = access.clone();
        access.deadline = hook.deadline();
        let path = format!("/api/v1/namespaces/{namespace}/services/{name}:{port}/proxy{}", checked.url.path());
        return match access.post_for_status(&path, payload).await {
            Ok(status) if status <= 202 => Ok(()),
            Ok(status) => Err(refused(status, String::new())),
            Err(error) => Err(Failure { why: error.to_string(), again: true }),
        };
    }
    let host = checked.url.host_str().unwrap_or_default().to_owned();
    let port = checked.url.port_or_known_default().unwrap_or(80);
    let addresses: Vec<SocketAddr> = tokio::time::timeout(hook.deadline(), tokio::net::lookup_host((host.trim_matches(['[', ']']), port)))
        .await
        .map_err(|_| Failure { why: format!("{host}: not resolved in time"), again: true })?
        .map_err(|e| Failure { why: clean(&format!("{host}: {e}")), again: true })?
        .collect();
    for address in &addresses {
        allowed(address.ip(), in_cluster).map_err(Failure::last)?;
    }
    // The connection goes to what was checked, not to what the name says a moment later.
    let client = reqwest::Client::builder()
        .timeout(hook.deadline())
        .redirect(reqwest::redirect::Policy::none())
        .danger_accept_invalid_certs(hook.disable_tls)
        .resolve_to_addrs(&host, &addresses)
        .build()
        .map_err(|e| Failure::last(clean(&chain(&e))))?;
    let mut reply = client.post(checked.url).json(payload).send().await.map_err(|e| Failure { why: clean(&chain(&e)), again: true })?;
    let status = reply.status().as_u16();
    if status <= 202 {
        return Ok(());
    }
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = reply.chunk().await {
        let room = LARGEST_BODY.saturating_sub(body.len());
        body.extend(chunk.iter().take(room));
        if body.len() >= LARGEST_BODY {
            break;
        }
    }
    let body = clean(&String::from_utf8_lossy(&body));
    let short: String = body.chars().take(200).collect();
    Err(refused(status, short))
}

/// An answer that does not pass; 429 and 5xx other than 501 may pass the next time.
fn refused(status: u16, body: String) -> Failure {
    let why = if body.is_empty() { format!("status {status}") } else { body };
    Failure { why, again: status == 429 || (status >= 500 && status != 501) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use axum::Router;
    use axum::routing::post;

    use super::*;
    use crate::engine::step::tests::progressing;

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

    fn access() -> Access {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = kube::Config::new("http://127.0.0.1:1".parse().expect("a URI"));
        Access::new(kube::Client::try_from(config).expect("a client"))
    }

    async fn ask(statuses: &'static [u16], body: &str, retries: i64) -> (Answer, Vec<Value>) {
        let (url, seen) = receiver(statuses, body.into()).await;
        let hook = CanaryWebhook { name: "conf".into(), url, retries: Some(retries), timeout: Some("5s".into()), ..Default::default() };
        let answer = call(&progressing(20), &hook, "Progressing", &access(), false).await;
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
    async fn a_huge_body_is_cut_and_a_dead_receiver_is_an_error() {
        let (answer, _) = ask(&[500], &"x".repeat(3_000_000), 0).await;
        assert!(matches!(answer, Answer::Error(why) if why.len() <= 200));
        let hook = CanaryWebhook { url: "http://127.0.0.1:1/".into(), ..Default::default() };
        assert!(matches!(call(&progressing(20), &hook, "Progressing", &access(), false).await, Answer::Error(_)));
        let hook = CanaryWebhook { url: "http://169.254.169.254/".into(), ..Default::default() };
        assert!(
            matches!(call(&progressing(20), &hook, "Progressing", &access(), false).await, Answer::Error(why) if why.contains("refused"))
        );
    }
}
