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
