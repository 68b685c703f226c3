//! The server as its users hold it: one request in, one reply out, and direct reads for the simulated world beside it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

use super::super::signal;

use super::ask::{self, Ask, Question};
use super::object::encode;
use super::proxy::{self, ProxyReply, ProxyRequest};
use super::shapes::Asked;
use super::state::{Author, State, Write};
use super::status::{Answered, Status};
use super::store::key;
use super::watch::WatchStream;
use super::{discovery, reviews};

const JSON: &str = "application/json";
/// Who writes what is not asked for.
const RESTORER: &str = "etcd";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// How a server is set up.
pub struct Options {
    /// The name of the cluster, for messages of its users.
    pub name: String,
    /// The clock: every time that the server writes comes from here.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Uids and generated names follow from this number.
    pub seed: u64,
    /// What `/version` says, as in `v1.36.3`.
    pub git_version: String,
}

/// What a request is answered with.
pub enum Reply {
    /// A whole answer.
    Answer {
        /// The HTTP status.
        status: StatusCode,
        /// The media type of the body.
        content_type: &'static str,
        /// The body.
        body: Bytes,
    },
    /// A watch: 200, one JSON line for each event, until it ends.
    Watch(WatchStream),
}

type Journal = Arc<dyn Fn(&Write) + Send + Sync>;
type Proxy = Arc<dyn Fn(ProxyRequest) -> ProxyReply + Send + Sync>;

/// One API server. Used as `Arc<ApiServer>`; every method may be called from anywhere, and none of them waits.
pub struct ApiServer {
    options: Options,
    state: Mutex<State>,
    proxy: Mutex<Option<Proxy>>,
    journal: Mutex<Option<Journal>>,
    cuts: signal::Sender<u64>,
    lag: watch::Sender<Duration>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that failed while it held the lock has left whole objects behind: writes are committed last.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ApiServer {
    /// A cluster with its four namespaces and nothing else.
    pub fn new(options: Options) -> Arc<Self> {
        let state = State::new(options.seed, (options.now)());
        Arc::new(Self {
            options,
            state: Mutex::new(state),
            proxy: Mutex::new(None),
            journal: Mutex::new(None),
            cuts: signal::Sender::new(0),
            lag: watch::Sender::new(Duration::ZERO),
        })
    }

    /// The name that the server was set up with.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// The time of the server's clock.
    pub(super) fn now(&self) -> Timestamp {
        (self.options.now)()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    pub(super) fn git_version(&self) -> &str {
        &self.options.git_version
    }

    /// Answers one request of `user`; path and query stand in the URI, which may be absolute.
    pub fn handle(self: &Arc<Self>, user: &str, request: http::Request<Bytes>) -> Reply {
        self.answer(user, &request).unwrap_or_else(|status| refusal(&status))
    }

    fn answer(self: &Arc<Self>, user: &str, request: &http::Request<Bytes>) -> Answered<Reply> {
        let question = ask::parse(&self.state().kinds, user, request, self.now())?;
        match question {
            Question::Document(path, row) => discovery::answer(self, request.method(), &path, row, request.headers()),
            Question::Review(path) => reviews::answer(user, &path, request, self.now()),
            Question::Proxy(path) => {
                let handler = locked(&self.proxy).clone();
                proxy::find(&self.state(), &path, handler.is_some())?;
                proxy::forward(handler, &path, request)
            }
            Question::Resource(ask) if ask.is_watch() => super::watch::open(self, &ask).map(Reply::Watch),
            Question::Resource(ask) => self.change(|state| state.answer(&ask)),
        }
    }

    /// Runs something that may write, and tells the journal what was written.
    fn change<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        let (result, writes) = {
            let mut state = self.state();
            let result = run(&mut state);
            (result, std::mem::take(&mut state.writes))
        };
        if !writes.is_empty()
            && let Some(journal) = locked(&self.journal).clone()
        {
            for write in &writes {
                journal(write);
            }
        }
        result
    }

    /// The same as `handle`, with JSON decoded on both sides; `path` may hold a query. A PATCH whose `content_type` is
    /// empty is a merge patch.
    pub fn call(
        self: &Arc<Self>,
        user: &str,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<Value, Box<Status>> {
        let content_type = match content_type {
            "" if method == Method::PATCH => "application/merge-patch+json",
            "" => JSON,
            other => other,
        };
        let body = body.map(encode).unwrap_or_default();
        let request = http::Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, content_type).body(body);
        let request = request.map_err(|error| Status::bad_request(format!("{path}: {error}")))?;
        match self.handle(user, request) {
            Reply::Watch(_) => Err(Status::bad_request(format!("{path} is a watch: use handle()"))),
            Reply::Answer { status, content_type, body } => {
                let text = || String::from_utf8_lossy(&body).into_owned();
                let value = if content_type == JSON { serde_json::from_slice(&body).unwrap_or_default() } else { Value::String(text()) };
                if status.as_u16() < 400 {
                    return Ok(value);
                }
                Err(serde_json::from_value(value).map_or_else(|_| Status::plain(status, "", text()), Box::new))
            }
        }
    }

    /// One object; `resource` is qualified, as in `deployments.apps`, `services`, `canaries.flagger.app`.
    pub fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.state().store.get(resource, &key(namespace, name)).map(|object| object.pinned())
    }

    /// All objects of a resource, by namespace and name.
    pub fn objects(&self, resource: &str) -> Vec<Arc<Value>> {
        self.all(resource, super::object::Object::pinned)
    }

    /// The same without `managedFields`.
    pub fn lean_objects(&self, resource: &str) -> Vec<Arc<Value>> {
        self.all(resource, super::object::Object::lean)
    }

    fn all(&self, resource: &str, read: impl Fn(&super::object::Object) -> Arc<Value>) -> Vec<Arc<Value>> {
        let state = self.state();
        let Some(collection) = state.store.collection(resource) else { return Vec::new() };
        let all: Vec<(&String, Arc<Value>)> = collection.with_prefix("").map(|(key, object)| (key, read(object))).collect();
        in_order(all)
    }

    /// The newest resourceVersion; changes with each write.
    pub fn changes(&self) -> signal::Receiver<u64> {
        self.state().store.subscribe()
    }

    /// Who answers requests to `services/{name}:{port}/proxy/…`.
    pub fn set_proxy(&self, handler: Proxy) {
        *locked(&self.proxy) = Some(handler);
    }

    /// Who is told of every write, in the order of the writes, after it was committed. One listener at a time.
    pub fn set_journal(&self, journal: Journal) {
        *locked(&self.journal) = Some(journal);
    }

    /// Ends every open watch, as a broken connection does.
    pub fn cut_watches(&self) {
        self.cuts.set(self.cuts.get() + 1);
    }

    pub(super) fn cuts(&self) -> signal::Receiver<u64> {
        self.cuts.subscribe()
    }

    /// Forgets the history: lists and watches from an older resourceVersion are answered with 410.
    pub fn compact(&self) {
        self.state().store.compact();
    }

    /// From now on so many events of each resource are kept in any case; a real server keeps 100, which is much memory
    /// for a fleet in one process.
    pub fn keep_events(&self, kept: usize) {
        self.state().store.keep(kept);
    }

    /// From now on so many of the objects that were written last are kept decoded.
    pub fn keep_decoded(&self, kept: usize) {
        self.state().store.keep_decoded(kept);
    }

    /// Forgets the history, as a server does that starts anew: what it was is in memory no more.
    pub fn forget_past(&self) {
        self.state().store.forget_past();
    }

    /// From now on each resource's past keeps no more than so many bytes, whatever its age.
    pub fn keep_past(&self, bytes: usize) {
        self.state().store.keep_past(bytes);
    }

    /// A random uid.
    #[must_use]
    pub fn uid(&self) -> String {
        self.state().uid()
    }

    /// Stores an object as it is, neither checked nor completed: one that came from a server like this.
    pub fn restore(&self, resource: &str, object: Value) {
        let now = self.now();
        let author = Author { user: RESTORER, manager: RESTORER, now };
        self.change(|state| drop(state.put(resource, object, author)));
    }

    /// Changes a stored object, unchecked, without the owners of its fields; `false` where it is not there.
    pub fn amend(&self, resource: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) -> bool {
        let now = self.now();
        let author = Author { user: RESTORER, manager: RESTORER, now };
        self.change(|state| {
            let Some(known) = state.store.get(resource, &key(namespace, name)) else { return false };
            let mut object = Arc::unwrap_or_clone(known.value());
            change(&mut object);
            state.put(resource, object, author);
            true
        })
    }

    /// From now on events reach watchers so much later than they happen; their order stays.
    pub fn set_watch_lag(&self, lag: Duration) {
        self.lag.send_replace(lag);
    }

    pub(super) fn lag(&self) -> Duration {
        *self.lag.borrow()
    }

    /// Does what the garbage collector and the namespace controller would do by now, and says how many writes that took.
    pub fn collect_garbage(&self) -> usize {
        let now = self.now();
        self.change(|state| state.collect_garbage(now))
    }

    /// Which rows of the tables of served shapes a request uses; the refusal where it uses none.
    pub fn asked(&self, request: &http::Request<Bytes>) -> Result<Asked, Box<Status>> {
        ask::parse(&self.state().kinds, "", request, self.now()).map(ask::Question::asked)
    }
}

/// Objects by namespace and name. Keys sort a little differently, as `a-b/x` stands before `a/x`.
fn in_order(mut all: Vec<(&String, Arc<Value>)>) -> Vec<Arc<Value>> {
    fn place(key: &str) -> (&str, &str) {
        key.split_once('/').unwrap_or(("", key))
    }
    if !all.is_sorted_by(|one, other| place(one.0) <= place(other.0)) {
        all.sort_by(|one, other| place(one.0).cmp(&place(other.0)));
    }
    all.into_iter().map(|(_, object)| object).collect()
}

/// A refusal as a reply.
pub(super) fn refusal(status: &Status) -> Reply {
    // A path that nobody serves never reaches the machinery that makes Status documents.
    if status.code == 404 && status.reason.is_empty() {
        return Reply::Answer { status: StatusCode::NOT_FOUND, content_type: TEXT, body: status.message.clone().into() };
    }
    json(StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), encode(&status.document()))
}

/// A JSON document as a reply.
pub(super) fn json(status: StatusCode, body: Bytes) -> Reply {
    Reply::Answer { status, content_type: JSON, body }
}

/// An object as the request wants it.
pub(super) fn object(ask: &Ask<'_>, status: StatusCode, object: &super::object::Object) -> Reply {
    let mut body = Vec::new();
    object.write(ask.representation, &ask.api_version(), &ask.resource.kind, &mut body);
    json(status, body.into())
}
