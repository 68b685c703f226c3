//! Chat alerts: what people are told about a canary, and where (rollout-contract §8).
//!
//! One file per notifier turns an [`About`] into a request; [`send`] makes it; [`fields`] lists the facts of a canary. To add a
//! notifier, copy `rocket.rs` and give it a row in [`KINDS`]. Addresses of hooks are secrets: nothing here shows more than a host.

mod discord;
mod fields;
mod gchat;
mod generic;
mod msteams;
mod rocket;
mod send;
mod slack;

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use crate::domain::alert::{AlertProviderSpec, Severity};
use crate::domain::target::CanaryKey;
use crate::domain::text::clean;
use crate::outbound::address::check;

pub use fields::{Facts, fields};
pub use send::send;

/// Characters of one alert, all its texts together; one text is bounded by `domain::text::LONGEST` as well.
pub const LONGEST_ALERT: usize = 4_000;
/// Where a provider names no channel (Flagger's default).
const CHANNEL: &str = "general";
/// Whom messages come from where a provider names nobody (Flagger's default).
const USERNAME: &str = "flagger";

/// A notifier: its word in `AlertProvider.spec.type`, and the request that says an alert there.
pub struct Kind {
    pub word: &'static str,
    pub request: fn(&Destination, &About) -> Result<http::Request<Bytes>, String>,
}

/// Every notifier. The API takes all but `generic`, which is for the engine's own settings.
pub static KINDS: [Kind; 6] = [
    Kind { word: "slack", request: slack::request },
    Kind { word: "msteams", request: msteams::request },
    Kind { word: "discord", request: discord::request },
    Kind { word: "rocket", request: rocket::request },
    Kind { word: "gchat", request: gchat::request },
    Kind { word: "generic", request: generic::request },
];

/// The notifier named `word`.
///
/// # Errors
/// A sentence with the words that are known.
pub fn kind(word: &str) -> Result<&'static Kind, String> {
    KINDS.iter().find(|kind| kind.word == word).ok_or_else(|| {
        let known: Vec<_> = KINDS.iter().map(|kind| kind.word).collect();
        format!("alert provider type `{}` is not known: use one of {}", name(word), known.join(", "))
    })
}

/// Where alerts go.
#[derive(Clone)]
pub struct Destination {
    pub kind: &'static Kind,
    /// URL of the hook, a secret.
    pub url: String,
    /// Bearer token, a secret; only Slack is given it.
    pub token: Option<String>,
    pub channel: String,
    pub username: String,
    /// URL of an HTTP proxy.
    pub proxy: Option<String>,
}

impl Destination {
    /// A destination with Flagger's channel and name, and without token and proxy.
    #[must_use]
    pub fn new(kind: &'static Kind, url: impl Into<String>) -> Self {
        Self { kind, url: url.into(), token: None, channel: CHANNEL.into(), username: USERNAME.into(), proxy: None }
    }

    /// The host of the hook, for people.
    #[must_use]
    pub fn host(&self) -> String {
        let url = reqwest::Url::parse(&self.url).ok();
        url.and_then(|url| url.host_str().map(name)).unwrap_or_else(|| "an address that cannot be read".into())
    }
}

impl fmt::Debug for Destination {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination").field("kind", &self.kind.word).field("host", &self.host()).finish_non_exhaustive()
    }
}

/// What an alert says. All of it is clean and bounded: [`About::new`] is the only way to make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    name: String,
    namespace: String,
    severity: Severity,
    message: String,
    fields: Vec<(String, String)>,
}

impl About {
    /// Cleans every text; what is beyond [`LONGEST_ALERT`] characters in all is cut off, the last fields first.
    #[must_use]
    pub fn new(canary: &CanaryKey, severity: Severity, message: &str, fields: &[(String, String)]) -> Self {
        let mut room = LONGEST_ALERT;
        let mut take = |text: &str| {
            let text: String = clean(text).chars().take(room).collect();
            room -= text.chars().count();
            text
        };
        let (name, namespace, message) = (take(&canary.name), take(&canary.namespace), take(message));
        let mut fields: Vec<_> = fields.iter().map(|(name, value)| (take(name), take(value))).collect();
        fields.retain(|(name, _)| !name.is_empty());
        Self { name, namespace, severity, message, fields }
    }

    /// `NAME.NAMESPACE`, as Flagger heads its messages.
    fn title(&self) -> String {
        format!("{}.{}", self.name, self.namespace)
    }

    /// For receivers to whom `<…>` is markup: a name or an error text must not mention a whole channel, or place a link.
    fn escaped(&self) -> Self {
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let fields = self.fields.iter().map(|(name, value)| (escape(name), escape(value))).collect();
        Self { message: escape(&self.message), fields, ..self.clone() }
    }

    /// `bad` for errors, else `good`: Flagger knows two colours.
    fn color(&self, good: &'static str, bad: &'static str) -> &'static str {
        if self.severity == Severity::Error { bad } else { good }
    }

    /// The fields as a list of objects with `name` and `value` under the given keys.
    fn listed(&self, name_key: &str, value_key: &str) -> Vec<Value> {
        self.fields.iter().map(|(name, value)| json!({name_key: name, value_key: value})).collect()
    }
}

/// Where the alerts of an `AlertProvider` go; `secret` is the data of its `secretRef`, which wins over `address`
/// (rollout-contract §1.9).
///
/// # Errors
/// A sentence that says what is missing or wrong, without the address.
pub fn destination(spec: &AlertProviderSpec, secret: Option<&BTreeMap<String, Vec<u8>>>) -> Result<Destination, String> {
    let kind = kind(&spec.kind)?;
    let (url, token, source) = if let Some(reference) = &spec.secret_ref {
        let source = format!("Secret {}", name(&reference.name));
        let secret = secret.ok_or_else(|| format!("{source} does not exist or may not be read: create it beside the AlertProvider"))?;
        let url = value(secret, "address", &source)?
            .ok_or_else(|| format!("{source} has no `address`: put the URL of the {} hook there", kind.word))?;
        (url, value(secret, "token", &source)?, source)
    } else {
        let url = given(spec.address.as_ref()).ok_or("neither spec.address nor spec.secretRef is set: set one of them")?;
        (url, None, "spec.address".to_owned())
    };
    check(&url, false).map_err(|why| format!("{source}: {why}"))?;
    Ok(Destination {
        token,
        channel: given(spec.channel.as_ref()).unwrap_or_else(|| CHANNEL.into()),
        username: given(spec.username.as_ref()).unwrap_or_else(|| USERNAME.into()),
        proxy: given(spec.proxy.as_ref()),
        ..Destination::new(kind, url)
    })
}

/// Whether an alert list entry of severity `severity_word` is told of `alert`. An omitted severity is `info`, as Flagger's documents
/// say (rollout-contract §13). So is a word that the API does not know: silence would be the worse mistake.
#[must_use]
pub fn wants(severity_word: Option<&str>, alert: Severity) -> bool {
    alert >= severity_word.and_then(Severity::parse).unwrap_or_default()
}

/// The text at `key` of a Secret, without the line end that `echo` and editors leave; empty is absent.
fn value(secret: &BTreeMap<String, Vec<u8>>, key: &str, source: &str) -> Result<Option<String>, String> {
    let Some(bytes) = secret.get(key) else { return Ok(None) };
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{source}: `{key}` is not text: encode it as UTF-8"))?.trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn given(text: Option<&String>) -> Option<String> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A name from outside, short enough for a sentence.
fn name(text: &str) -> String {
    clean(text).chars().take(253).collect()
}

/// The request that every notifier makes.
fn post(url: &str, token: Option<&str>, body: &Value) -> Result<http::Request<Bytes>, String> {
    let mut request = http::Request::post(url)
        .header(CONTENT_TYPE, "application/json")
        .body(Bytes::from(body.to_string()))
        .map_err(|_| "the address holds characters that a URL cannot carry: encode them as %XX")?;
    if let Some(token) = token {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| "the token holds characters that a header cannot carry: copy it again, on one line")?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
    }
    Ok(request)
}

/// Slack's message with one attachment, which Discord and Rocket.Chat read as well.
fn attachment(to: &Destination, about: &About, color: &str) -> Value {
    let mut fields = about.listed("title", "value");
    for field in &mut fields {
        field["short"] = false.into();
    }
    json!({
        "channel": to.channel, "username": to.username, "icon_url": "", "icon_emoji": ":rocket:",
        "attachments": [{
            "color": color, "author_name": about.title(), "text": about.message, "mrkdwn_in": ["text"], "fields": fields
        }]
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use axum::Router;
    use axum::extract::{Request, State};
    use axum::http::{HeaderMap, StatusCode};

    use super::*;
    use crate::domain::template::SecretReference;
    use crate::outbound::direct::Direct;

    /// One request as a receiver saw it.
    #[derive(Clone, Debug)]
    pub struct Seen {
        pub path: String,
        pub headers: HeaderMap,
        pub body: Value,
    }

    type Kept = Arc<Mutex<Vec<Seen>>>;
    type Replies = (&'static [u16], String, Kept);

    async fn keep(State((statuses, reply, kept)): State<Replies>, request: Request) -> (StatusCode, String) {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
        let mut kept = kept.lock().expect("a lock");
        let status = statuses.get(kept.len()).or(statuses.last()).copied().unwrap_or(200);
        let body = serde_json::from_slice(&body).expect("JSON");
        kept.push(Seen { path: parts.uri.to_string(), headers: parts.headers, body });
        (StatusCode::from_u16(status).expect("a status"), reply)
    }

    /// A hook that answers with `statuses`, the last one repeated, and `reply`; gives its base URL and what it is sent.
    pub async fn receiver(statuses: &'static [u16], reply: &str) -> (String, Kept) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let kept = Kept::default();
        let app = Router::new().fallback(keep).with_state((statuses, reply.to_owned(), Arc::clone(&kept)));
        tokio::spawn(async move { axum::serve(listener, app).await });
        (url, kept)
    }

    pub fn about(severity: Severity) -> About {
        let fields = [("Cluster".to_owned(), "prod".to_owned()), ("Traffic routing".to_owned(), "A/B Testing <1>".to_owned())];
        About::new(&CanaryKey::new("app", "web"), severity, "Failed checks threshold reached 5 & <!channel>", &fields)
    }

    /// What a hook of kind `word` at `path` is sent for `about`, over loopback, when a token is configured.
    pub async fn told(word: &str, path: &str, about: &About) -> Seen {
        let (url, kept) = receiver(&[200], "ok").await;
        let to = Destination { token: Some("xoxb-1".into()), ..Destination::new(kind(word).expect("a kind"), format!("{url}{path}")) };
        send::with_waits(&to, about, &Direct { in_cluster: false }, &[Duration::ZERO]).await.expect("sent");
        let seen = kept.lock().expect("a lock").clone();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].headers["content-type"], "application/json");
        assert_eq!(seen[0].headers.contains_key("authorization"), word == "slack", "the token is Slack's only");
        seen[0].clone()
    }

    type Data = BTreeMap<String, Vec<u8>>;

    fn spec(kind: &str) -> AlertProviderSpec {
        AlertProviderSpec { kind: kind.into(), address: Some("https://hooks.example.com/T0KEN".into()), ..Default::default() }
    }

    fn by_secret(kind: &str) -> AlertProviderSpec {
        AlertProviderSpec { secret_ref: Some(SecretReference { name: "hook".into() }), ..spec(kind) }
    }

    fn secret(pairs: &[(&str, &[u8])]) -> Data {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect()
    }

    #[test]
    fn every_type_of_the_api_has_a_notifier() {
        let ours: Vec<_> = KINDS.iter().map(|kind| kind.word).filter(|word| *word != "generic").collect();
        assert_eq!(ours, crate::domain::alert::KINDS);
        assert!(kind("pager\u{1b}").is_err_and(|why| why.contains("`pager`") && why.contains("msteams")));
    }

    #[test]
    fn a_destination_has_flaggers_defaults() {
        let to = destination(&spec("slack"), None).expect("a destination");
        assert_eq!((to.url.as_str(), to.channel.as_str(), to.username.as_str()), ("https://hooks.example.com/T0KEN", "general", "flagger"));
        assert_eq!((to.token, to.proxy), (None, None));
        let named =
            AlertProviderSpec { channel: Some("ops".into()), username: Some("pilot".into()), proxy: Some("p:1".into()), ..spec("rocket") };
        let to = destination(&named, None).expect("a destination");
        assert_eq!((to.channel.as_str(), to.username.as_str(), to.proxy.as_deref()), ("ops", "pilot", Some("p:1")));
    }

    #[test]
    fn a_secret_wins_over_the_address() {
        let data = secret(&[("address", b"https://secret.example.com/T0KEN\n"), ("token", b"xoxb-1\n")]);
        let to = destination(&by_secret("slack"), Some(&data)).expect("a destination");
        assert_eq!((to.host().as_str(), to.token.as_deref()), ("secret.example.com", Some("xoxb-1")));
        let debug = format!("{to:?}");
        assert!(debug.contains("secret.example.com") && !debug.contains("T0KEN") && !debug.contains("xoxb"), "{debug}");
    }

    #[test]
    fn what_is_missing_is_named_and_what_is_secret_is_not() {
        let bare = AlertProviderSpec { kind: "slack".into(), ..Default::default() };
        let cases: [(AlertProviderSpec, Option<Data>, &str); 8] = [
            (bare, None, "neither spec.address nor spec.secretRef"),
            (by_secret("slack"), None, "Secret hook does not exist"),
            (by_secret("slack"), Some(secret(&[("token", b"T0KEN")])), "Secret hook has no `address`"),
            (by_secret("slack"), Some(secret(&[("address", b" \n")])), "Secret hook has no `address`"),
            (by_secret("slack"), Some(secret(&[("address", b"\xff")])), "`address` is not text"),
            (by_secret("slack"), Some(secret(&[("address", b"hooks.slack.com/T0KEN")])), "Secret hook: the URL cannot be read"),
            (by_secret("slack"), Some(secret(&[("address", b"http://169.254.169.254/T0KEN")])), "is refused"),
            (spec("email"), None, "use one of slack"),
        ];
        for (spec, data, word) in cases {
            let why = destination(&spec, data.as_ref()).expect_err(word);
            assert!(why.contains(word) && !why.contains("T0KEN"), "{why}");
        }
    }

    #[test]
    fn an_omitted_severity_asks_for_everything() {
        use Severity::*;
        for (word, told) in [
            (None, [true; 3]),
            (Some(""), [true; 3]),
            (Some("info"), [true; 3]),
            (Some("warn"), [false, true, true]),
            (Some("error"), [false, false, true]),
            (Some("eror"), [true; 3]),
        ] {
            assert_eq!([Info, Warn, Error].map(|alert| wants(word, alert)), told, "{word:?}");
        }
    }

    #[test]
    fn texts_are_clean_and_bounded() {
        let long = "x".repeat(10_000);
        let fields = vec![("a\u{1b}[2J".to_owned(), "b\r\nc".to_owned()), ("d".to_owned(), long.clone()), ("e".to_owned(), "f".to_owned())];
        let about = About::new(&CanaryKey::new("app\u{202e}", "web\n"), Severity::Info, &format!("\u{7}{long}"), &fields);
        assert_eq!(about.namespace, "app");
        assert_eq!(about.fields[0], ("a[2J".to_owned(), "b c".to_owned()));
        let texts = [&about.name, &about.namespace, &about.message].into_iter().chain(about.fields.iter().flat_map(|(n, v)| [n, v]));
        assert_eq!(texts.map(|text| text.chars().count()).sum::<usize>(), LONGEST_ALERT);
        assert_eq!(about.fields.len(), 2, "the last field has no room");
    }

    #[test]
    fn a_token_with_line_ends_is_refused_without_being_shown() {
        let to = Destination { token: Some("T0KEN\r\nHost: b".into()), ..Destination::new(&KINDS[0], "https://a/") };
        let why = (to.kind.request)(&to, &about(Severity::Info)).expect_err("no header");
        assert!(why.contains("token") && !why.contains("T0KEN"), "{why}");
    }
}
