//! The line between one process and one simulated API server: what kube's Client takes for the network.
//!
//! Everything above it is production code. What the line does to a request is said by a [`Weather`]; it also counts
//! the writes that arrived, so that a process can be ended after any one of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;

use super::api::{ApiServer, Reply};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// A request as a weather sees it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub method: &'a Method,
    /// Path and query.
    pub path: &'a str,
    /// Its number among the writes of this line that count (leases do not), from 1; 0 for all else.
    pub write: u64,
}

impl Asked<'_> {
    #[must_use]
    pub fn is_write(&self) -> bool {
        *self.method != Method::GET
    }

    #[must_use]
    pub fn is_watch(&self) -> bool {
        self.path.contains("watch=true")
    }
}

/// What becomes of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It never arrives.
    Refused,
    /// It is carried out, and the answer is lost on its way back.
    ReplyLost,
    /// Something before the API server answers with this status instead.
    Answered(u16),
    /// It arrives late.
    Late(Duration),
    /// It arrives, and the answer never comes; the caller's deadline ends it.
    Silence,
}

/// Says what becomes of each request.
pub type Weather = Arc<dyn Fn(&Asked<'_>) -> Option<Trouble> + Send + Sync>;

/// Called after each request that may have changed something.
pub type Witness = Arc<dyn Fn() + Send + Sync>;

/// One process' line to one server.
pub struct Line {
    server: Arc<ApiServer>,
    user: String,
    weather: Mutex<Option<Weather>>,
    witness: Option<Witness>,
    writes: AtomicU64,
    /// The process is ended when this many writes have been carried out.
    last: AtomicU64,
    ended: watch::Sender<bool>,
    /// Requests wait while this is set.
    held: watch::Sender<bool>,
}

impl Line {
    /// A line of `user`, who is also the name that writes are known by.
    #[must_use]
    pub fn new(server: Arc<ApiServer>, user: &str, witness: Option<Witness>) -> Arc<Self> {
        Arc::new(Self {
            server,
            user: user.into(),
            weather: Mutex::default(),
            witness,
            writes: AtomicU64::new(0),
            last: AtomicU64::new(u64::MAX),
            ended: watch::channel(false).0,
            held: watch::channel(false).0,
        })
    }

    /// A client of kube's over this line.
    #[must_use]
    pub fn client(self: &Arc<Self>) -> Client {
        Client::new(Service { line: Arc::clone(self) }, "default")
    }

    pub fn set_weather(&self, weather: Option<Weather>) {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// Writes carried out so far, leases left out.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// From now on requests wait until the line is opened: its server is not up yet.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    pub fn open(&self) {
        self.held.send_replace(false);
    }

    /// Ends the line right after its `n`-th write: nothing more leaves the process, and it hears nothing of that write.
    pub fn end_after(&self, n: u64) {
        self.last.store(n, Ordering::SeqCst);
    }

    /// Ends the line now.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Returns when the line has ended.
    pub async fn ended(&self) {
        // The sender is ours, so that the channel cannot close.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    async fn carry(self: Arc<Self>, request: Request<Body>) -> Result<Answer, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        // The sender is ours, so that the channel cannot close.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let is_write = parts.method != Method::GET;
        let counts =
            is_write && !path.contains("/leases") && !path.contains("dryRun=") && !path.contains("/proxy/") && !path.contains("reviews");
        let write = if counts { self.writes() + 1 } else { 0 };
        let weather = self.weather.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let trouble = weather.and_then(|weather| weather(&Asked { method: &parts.method, path: &path, write }));
        match &trouble {
            Some(Trouble::Refused) => return Err("connection refused".into()),
            Some(Trouble::Late(by)) => tokio::time::sleep(*by).await,
            Some(Trouble::Answered(status)) => return Ok(refusal(*status)),
            _ => {}
        }
        if *self.ended.borrow() {
            return futures::future::pending().await;
        }
        let reply = self.server.handle(&self.user, Request::from_parts(parts, body));
        if is_write && let Some(witness) = &self.witness {
            witness();
        }
        if counts && matches!(&reply, Reply::Answer { status, .. } if status.is_success()) {
            let done = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
            if done >= self.last.load(Ordering::SeqCst) {
                self.end();
                return futures::future::pending().await;
            }
        }
        match trouble {
            Some(Trouble::ReplyLost) => Err("connection reset by peer".into()),
            Some(Trouble::Silence) => futures::future::pending().await,
            _ => Ok(answer(reply)),
        }
    }
}

fn answer(reply: Reply) -> Answer {
    let (status, content, body) = match reply {
        Reply::Answer { status, content_type, body } => {
            (status, content_type, Full::new(body).map_err(|never| match never {}).boxed_unsync())
        }
        Reply::Watch(stream) => {
            let frames = stream.map(|line| Ok(http_body::Frame::data(line)));
            (http::StatusCode::OK, "application/json", StreamBody::new(frames).boxed_unsync())
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content));
    response
}

/// What a proxy on the way says.
fn refusal(status: u16) -> Answer {
    let status = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::BAD_GATEWAY);
    let body = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": status.canonical_reason().unwrap_or("failed"), "reason": "", "code": status.as_u16()});
    answer(Reply::Answer { status, content_type: "application/json", body: Bytes::from(body.to_string()) })
}

#[derive(Clone)]
struct Service {
    line: Arc<Line>,
}

impl tower::Service<Request<Body>> for Service {
    type Response = Answer;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Answer, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(Arc::clone(&self.line).carry(request))
    }
}
