//! Sending one alert: what counts as sent, when it is tried again, and an error that gives no secret away.
//!
//! A hook's URL is its password, and receivers like to repeat requests in their replies: both are kept out of sentences.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::{About, Destination};
use crate::domain::text::clean;
use crate::outbound::{Manner, Outbound};

/// For one attempt (rollout-contract §8.2).
const DEADLINE: Duration = Duration::from_secs(5);
/// Before the second and the third attempt.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// Characters of a reply that an error repeats.
const LONGEST_REPLY: usize = 200;
/// Shorter parts of a URL (`api`, `v1`) are words of every sentence, and no secrets.
const SHORTEST_PART: usize = 4;

/// Says `about` to `to`. Sent is what is answered with 2xx; no connection, 429 and 5xx are tried three times in all.
///
/// # Errors
/// A sentence with the notifier's kind and host, never with path or query of the address or the token.
pub async fn send(to: &Destination, about: &About, outbound: &impl Outbound) -> Result<(), String> {
    with_waits(to, about, outbound, &WAITS).await
}

/// [`send`] with one more attempt after each of `waits`.
pub(super) async fn with_waits(to: &Destination, about: &About, outbound: &impl Outbound, waits: &[Duration]) -> Result<(), String> {
    let named = |why: String| format!("{} alert to {}: {why}", to.kind.word, to.host());
    let request = (to.kind.request)(to, about).map_err(named)?;
    let manner = Manner { proxy: to.proxy.clone(), ..Manner::within(DEADLINE) };
    let mut waits = waits.iter();
    loop {
        let failure = match outbound.send(request.clone(), &manner).await {
            Ok(reply) if reply.status().is_success() => return Ok(()),
            Ok(reply) => Failure { again: passes_later(reply.status()), why: refusal(to, &reply) },
            Err(why) => Failure { again: true, why: cause(to, &why) },
        };
        match waits.next() {
            Some(wait) if failure.again => tokio::time::sleep(*wait).await,
            _ => return Err(named(failure.why)),
        }
    }
}

struct Failure {
    why: String,
    again: bool,
}

fn passes_later(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// The status, and the beginning of the body where it repeats nothing secret.
fn refusal(to: &Destination, reply: &Response<Bytes>) -> String {
    let status = reply.status().as_u16();
    match harmless(to, &String::from_utf8_lossy(reply.body())).filter(|body| !body.trim().is_empty()) {
        Some(body) => format!("answered with status {status}: {}", body.trim().chars().take(LONGEST_REPLY).collect::<String>()),
        None => format!("answered with status {status}"),
    }
}

/// What kept the call from an answer. The host stands before it already.
fn cause(to: &Destination, why: &str) -> String {
    let why = why.strip_prefix(&format!("{}: ", to.host())).unwrap_or(why);
    harmless(to, why).unwrap_or_else(|| "the call failed, for a reason that repeats the address and is not shown".into())
}

/// `text` made clean, or nothing where it repeats a secret of `to`.
fn harmless(to: &Destination, text: &str) -> Option<String> {
    let clean = clean(text);
    let secrets = secrets(to);
    let repeats = |text: &str| {
        let text = text.to_lowercase();
        secrets.iter().any(|secret| text.contains(secret))
    };
    (!repeats(text) && !repeats(&clean)).then_some(clean)
}

/// What no sentence may hold, in lower case: the token, path and query of the URL and their parts, the proxy's user and password; each
/// as it is written and as it is meant.
fn secrets(to: &Destination) -> Vec<String> {
    let mut whole: Vec<String> = to.token.iter().cloned().collect();
    let mut parts = Vec::new();
    if let Ok(url) = reqwest::Url::parse(&to.url) {
        whole.push(url.path().to_owned());
        whole.extend(url.query().map(str::to_owned));
        parts.extend(url.path().split('/').chain(url.query().unwrap_or_default().split(['&', '='])).map(str::to_owned));
    }
    if let Some(url) = to.proxy.as_deref().and_then(|proxy| reqwest::Url::parse(proxy).ok()) {
        parts.push(url.username().to_owned());
        whole.extend(url.password().map(str::to_owned));
    }
    whole.retain(|text| !matches!(text.as_str(), "" | "/"));
    parts.retain(|part| part.chars().count() >= SHORTEST_PART);
    let written = whole.into_iter().chain(parts);
    written.flat_map(|text| [decoded(&text), text]).map(|text| text.to_lowercase()).collect()
}

/// `text` with its `%XX` read.
fn decoded(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut out = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        if let Some(byte) = piece.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(byte);
            out.extend(piece.bytes().skip(2));
        } else {
            out.push(b'%');
            out.extend(piece.bytes());
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::super::tests::{about, receiver};
    use super::super::{KINDS, kind};
    use super::*;
    use crate::domain::alert::Severity;
    use crate::outbound::direct::Direct;

    const OUTSIDE: Direct = Direct { in_cluster: false };
    const AT_ONCE: [Duration; 2] = [Duration::ZERO; 2];
    /// A URL whose every part after the host is a secret.
    const SECRET_URL: &str = "https://hooks.slack.com/services/T0KEN/s3%2Fcret?key=k3y";

    /// Answers from a list, without a network, and remembers when it was asked and how.
    struct Script {
        answers: Mutex<Vec<Result<u16, &'static str>>>,
        asked: Mutex<Vec<(Instant, Manner)>>,
        body: &'static str,
    }

    impl Script {
        fn new(answers: &[Result<u16, &'static str>], body: &'static str) -> Self {
            Self { answers: Mutex::new(answers.iter().rev().copied().collect()), asked: Mutex::default(), body }
        }
    }

    impl Outbound for Script {
        async fn send(&self, _: http::Request<Bytes>, manner: &Manner) -> Result<Response<Bytes>, String> {
            self.asked.lock().expect("a lock").push((Instant::now(), manner.clone()));
            let answer = self.answers.lock().expect("a lock").pop().expect("one more answer");
            let reply = Response::builder().status(answer.map_err(str::to_owned)?);
            Ok(reply.body(Bytes::from_static(self.body.as_bytes())).expect("a reply"))
        }
    }

    async fn tell(url: &str, script: &Script) -> Result<(), String> {
        let to =
            Destination { token: Some("xoxb-1".into()), proxy: Some("http://me:pa55@proxy".into()), ..Destination::new(&KINDS[0], url) };
        send(&to, &about(Severity::Info), script).await
    }

    #[tokio::test(start_paused = true)]
    async fn three_attempts_one_and_three_seconds_apart() {
        let script = Script::new(&[Err("no route"), Ok(429), Ok(503)], "");
        let why = tell("https://hooks.slack.com/x", &script).await.expect_err("three failures");
        assert_eq!(why, "slack alert to hooks.slack.com: answered with status 503");
        let asked = script.asked.lock().expect("a lock");
        let gaps: Vec<_> = asked.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs()).collect();
        assert_eq!(gaps, [1, 3]);
        assert!(
            asked.iter().all(|(_, how)| how.deadline == DEADLINE && how.proxy.as_deref() == Some("http://me:pa55@proxy") && !how.insecure)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_will_not_pass_later_is_asked_once() {
        for status in [302, 400, 401, 404, 410] {
            let script = Script::new(&[Ok(status)], "");
            let why = tell("https://hooks.slack.com/x", &script).await.expect_err("refused");
            assert!(why.ends_with(&format!("status {status}")), "{why}");
        }
        for status in [200, 201, 204, 299] {
            assert_eq!(tell("https://hooks.slack.com/x", &Script::new(&[Ok(status)], "")).await, Ok(()));
        }
        assert_eq!(tell("https://hooks.slack.com/x", &Script::new(&[Err("reset"), Ok(200)], "")).await, Ok(()));
    }

    #[tokio::test]
    async fn a_busy_receiver_is_asked_again_over_the_network() {
        let (url, kept) = receiver(&[503, 200], "").await;
        let to = Destination::new(kind("generic").expect("a kind"), format!("{url}/hook"));
        assert_eq!(with_waits(&to, &about(Severity::Info), &OUTSIDE, &AT_ONCE).await, Ok(()));
        let kept = kept.lock().expect("a lock");
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[0].body, kept[1].body);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_is_shown_clean_short_and_without_secrets() {
        let why = tell(SECRET_URL, &Script::new(&[Ok(400)], "invalid_\u{1b}[2Jblocks\n")).await.expect_err("refused");
        assert_eq!(why, "slack alert to hooks.slack.com: answered with status 400: invalid_[2Jblocks");
        // Cleaning cuts this one in the middle of the secret.
        let halved: &'static str = format!("{}T0KEN", "\u{200b}".repeat(crate::domain::text::LONGEST - 4)).leak();
        let echoes = [
            halved,
            "no such hook: /services/T0KEN/s3%2Fcret",
            "t0ken",
            "T0K\u{200b}EN",
            "s3/cret",
            "key=k3y",
            "authorization: Bearer xoxb-1",
            r#"{"path":"\/services"}"#,
            "pa55",
        ];
        for body in echoes {
            let why = tell(SECRET_URL, &Script::new(&[Ok(404)], body)).await.expect_err("refused");
            assert_eq!(why, "slack alert to hooks.slack.com: answered with status 404", "{body}");
            let again = Script::new(&[Err(body); 3], "");
            let why = tell(SECRET_URL, &again).await.expect_err("no answer");
            assert!(why.ends_with("is not shown"), "{why}");
        }
        let long: &'static str = "x".repeat(5_000).leak();
        let why = tell(SECRET_URL, &Script::new(&[Ok(400)], long)).await.expect_err("refused");
        assert!(why.len() < 300, "{}", why.len());
    }

    #[tokio::test]
    async fn real_failures_name_kind_and_host_only() {
        let word_of = |why: &str| why.split(": ").next().map(str::to_owned);
        for entry in &KINDS {
            for url in ["http://127.0.0.1:1/T0KEN?key=T0KEN", "http://169.254.169.254/T0KEN"] {
                let to = Destination { token: Some("T0KEN".into()), ..Destination::new(entry, url) };
                let why = with_waits(&to, &about(Severity::Info), &OUTSIDE, &[]).await.expect_err("nobody there");
                assert_eq!(word_of(&why), Some(format!("{} alert to {}", entry.word, to.host())));
                assert!(!why.contains("T0KEN") && !why.contains("is not shown"), "{why}");
            }
        }
        let to = Destination::new(&KINDS[0], "T0KEN/x");
        let why = with_waits(&to, &about(Severity::Info), &OUTSIDE, &[]).await.expect_err("no host");
        assert!(why.starts_with("slack alert to an address that cannot be read: ") && !why.contains("T0KEN"), "{why}");
    }
}
