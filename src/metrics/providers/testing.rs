//! A metric server on loopback that remembers what it was asked, and checks to ask it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use url::form_urlencoded;

use crate::domain::template::{MetricProvider, SecretReference};
use crate::engine::effect::Answer;
use crate::metrics::Check;
use crate::outbound::{Manner, Outbound};

/// The instant of all tests, in seconds since 1970.
pub const NOW: i64 = 1_700_000_000;

/// A check that is right as it stands. `{address}` in its Secret and environment is the server's.
#[derive(Clone)]
pub struct Fixture {
    pub provider: MetricProvider,
    pub secret: BTreeMap<String, Vec<u8>>,
    pub has_secret: bool,
    pub query: String,
    pub window: Option<Duration>,
    pub environment: BTreeMap<String, String>,
    pub read_file: fn(&str) -> Result<String, String>,
    /// What the server says to the request for credentials, if there is one.
    pub login: Option<Served>,
}

/// What the server says below a path.
#[derive(Clone)]
pub struct Served {
    path: &'static str,
    status: u16,
    body: String,
}

impl Served {
    pub fn new(path: &'static str, status: u16, body: &str) -> Self {
        Self { path, status, body: body.into() }
    }
}

#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub raw_query: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Asked {
    fn new(method: Method, uri: &Uri, headers: HeaderMap, body: &[u8]) -> Self {
        let raw_query = uri.query().unwrap_or_default().to_owned();
        let query = form_urlencoded::parse(raw_query.as_bytes()).into_owned().collect();
        Self { method, path: uri.path().into(), query, raw_query, headers, body: String::from_utf8_lossy(body).into_owned() }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// The body as a form.
    pub fn form(&self) -> BTreeMap<String, String> {
        form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }
}

#[derive(Default)]
pub struct Seen {
    pub requests: Vec<Asked>,
    pub manners: Vec<Manner>,
}

impl Seen {
    pub fn credentials(&self) -> Vec<String> {
        let values = |name: &str| self.requests.iter().map(|r| r.header(name).to_owned()).collect::<Vec<_>>();
        let mut all = [values("authorization"), values("x-amz-security-token")].concat();
        all.retain(|value| !value.is_empty());
        all
    }
}

impl Fixture {
    pub fn new(kind: &str, query: &str, secret: &[(&str, &str)]) -> Self {
        let secret_ref = (!secret.is_empty()).then(|| SecretReference { name: format!("{kind}-credentials") });
        Self {
            // Replaced by the server's, but what is checked before asking is found right.
            provider: MetricProvider { kind: kind.into(), address: Some("http://localhost:1".into()), secret_ref, ..Default::default() },
            has_secret: !secret.is_empty(),
            secret: secret.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect(),
            query: query.into(),
            window: Some(Duration::from_mins(1)),
            environment: BTreeMap::new(),
            read_file: |path| Err(format!("{path} is not there")),
            login: None,
        }
    }

    /// A server that lets this check in and then says `body`.
    pub fn served(&self, status: u16, body: &str) -> Vec<Served> {
        self.login.iter().cloned().chain([Served::new("/", status, body)]).collect()
    }

    pub async fn ask_at(&self, address: &str) -> Answer {
        self.ask_through(address, &Loopback::default()).await
    }

    async fn ask_through(&self, address: &str, outbound: &Loopback) -> Answer {
        let provider = MetricProvider { address: Some(address.into()), ..self.provider.clone() };
        let filled = |text: &str| text.replace("{address}", address);
        let secret = self.secret.iter().map(|(k, v)| (k.clone(), filled(&String::from_utf8_lossy(v)).into_bytes())).collect();
        let environment = self.environment.iter().map(|(k, v)| (k.clone(), filled(v))).collect();
        let check = Check {
            provider: &provider,
            secret: self.has_secret.then_some(&secret),
            query: &self.query,
            window: self.window,
            now: jiff::Timestamp::from_second(NOW).expect("an instant"),
            environment: &environment,
            read_file: self.read_file,
        };
        super::ask(&check, outbound).await
    }

    /// The answer where the server says `body` with status 200.
    pub async fn answer(&self, body: &str) -> Answer {
        ask_loopback(self, self.served(200, body)).await.0
    }
}

/// Asks a server on loopback, and stops it.
pub async fn ask_loopback(fixture: &Fixture, served: Vec<Served>) -> (Answer, Seen) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let requests: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let remembered = Arc::clone(&requests);
    let app = axum::Router::new().fallback(move |request: Request| async move {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await.expect("a body");
        let path = parts.uri.path().to_owned();
        remembered.lock().expect("a lock").push(Asked::new(parts.method, &parts.uri, parts.headers, &body));
        let served = served.into_iter().find(|s| path.starts_with(s.path));
        served.map_or(StatusCode::NOT_FOUND.into_response(), |s| {
            (StatusCode::from_u16(s.status).expect("a status"), [("location", "/elsewhere")], s.body).into_response()
        })
    });
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let outbound = Loopback::default();
    let answer = fixture.ask_through(&address, &outbound).await;
    server.abort();
    let requests = std::mem::take(&mut *requests.lock().expect("a lock"));
    let manners = outbound.manners.into_inner().expect("a lock");
    (answer, Seen { requests, manners })
}

#[derive(Default)]
pub struct Loopback {
    manners: Mutex<Vec<Manner>>,
}

impl Outbound for Loopback {
    fn send(&self, request: http::Request<Bytes>, manner: &Manner) -> impl Future<Output = Result<http::Response<Bytes>, String>> + Send {
        self.manners.lock().expect("a lock").push(manner.clone());
        let deadline = manner.deadline;
        async move {
            let mut request = reqwest::Request::try_from(request).map_err(|e| e.to_string())?;
            *request.timeout_mut() = Some(deadline);
            let url = request.url().to_string();
            // The real port's errors name the address too.
            let reply = client().execute(request).await.map_err(|e| format!("{url}: {e}"))?;
            let status = reply.status();
            let body = reply.bytes().await.map_err(|e| e.to_string())?;
            http::Response::builder().status(status).body(body).map_err(|e| e.to_string())
        }
    }
}

/// One for all tests, since making it reads the certificates of the system. It keeps no connection from test to test.
fn client() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).pool_max_idle_per_host(0);
        builder.build().expect("a client")
    })
}
