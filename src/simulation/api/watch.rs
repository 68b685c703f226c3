//! Watches: what happened after a resourceVersion, then what happens, until time is up or the connection is cut.
//!
//! A stream holds no copy of the objects: it remembers the version it has reached and reads the events after it whenever
//! its collection has changed.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::super::signal;
use bytes::Bytes;
use futures::Stream;
use serde_json::json;
use tokio::time::Instant;

use super::ask::Ask;
use super::object::{Object, Representation, set_metadata};
use super::read::prefix;
use super::selectors::Selection;
use super::server::ApiServer;
use super::status::{Answered, Status};
use super::store::{Change, Event};

/// How long a watch lasts that names no end; a real server draws between 30 and 60 minutes.
const LIFE: Duration = Duration::from_mins(30);
/// How often a bookmark is sent to those who asked for them.
const BOOKMARK_EVERY: Duration = Duration::from_mins(1);
/// The last bookmark comes so long before the end.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// One watch: a JSON line for each event. Ends with its time, with `cut_watches`, or when its resource is gone.
pub struct WatchStream {
    lines: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
}

impl Stream for WatchStream {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.lines.as_mut().poll_next(context)
    }
}

/// What is watched, and how it is written.
struct View {
    resource: String,
    prefix: String,
    selection: Selection,
    representation: Representation,
    api_version: String,
    kind: String,
}

impl View {
    /// True in the namespace that is watched, or everywhere.
    fn covers(&self, object: &Object) -> bool {
        self.prefix.is_empty() || self.prefix.strip_suffix('/') == Some(object.namespace())
    }

    fn line(&self, kind: &str, object: &Object) -> Bytes {
        let mut line = format!("{{\"type\":\"{kind}\",\"object\":").into_bytes();
        object.write(self.representation, &self.api_version, &self.kind, &mut line);
        line.extend_from_slice(b"}\n");
        line.into()
    }

    /// How an event looks through the selection: objects that leave it are DELETED, those that enter it ADDED.
    fn event(&self, event: &Event) -> Option<Bytes> {
        let selected = |object: &Object| self.selection.matches(object);
        let before = event.previous.as_ref().is_some_and(|object| selected(object));
        let after = event.change != Change::Deleted && selected(&event.object);
        match (before, after) {
            (false, false) => None,
            (false, true) => Some(self.line("ADDED", &event.object)),
            (true, true) => Some(self.line("MODIFIED", &event.object)),
            (true, false) if event.change == Change::Deleted => Some(self.line("DELETED", &event.object)),
            (true, false) => event.previous.as_ref().map(|previous| self.left(previous, event.version)),
        }
    }

    /// What has left the selection is shown as it was while it belonged to it, under the version of the event.
    fn left(&self, previous: &Object, version: u64) -> Bytes {
        let mut last = previous.value().as_ref().clone();
        set_metadata(&mut last, "resourceVersion", version.to_string().into());
        self.line("DELETED", &Object::new(last))
    }

    /// A bookmark; the one after the initial events says so.
    fn bookmark(&self, version: u64, initial: bool) -> Bytes {
        let (api_version, kind) = match self.representation {
            Representation::Whole => (self.api_version.as_str(), self.kind.as_str()),
            Representation::Metadata => ("meta.k8s.io/v1", "PartialObjectMetadata"),
        };
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        format!("{{\"type\":\"BOOKMARK\",\"object\":{object}}}\n").into()
    }
}

/// An ERROR event that holds a Status.
fn error(status: &Status) -> Bytes {
    format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", status.document()).into()
}

struct Watch {
    server: Arc<ApiServer>,
    view: View,
    /// Everything up to here has been read.
    version: u64,
    /// Lines to be sent, each not before its time.
    ready: VecDeque<(Instant, Bytes)>,
    /// No more than what is ready.
    last: bool,
    changed: signal::Receiver<u64>,
    cut: signal::Receiver<u64>,
    end: Instant,
    bookmark: Option<Instant>,
}

/// Opens a watch.
pub(super) fn open(server: &Arc<ApiServer>, ask: &Ask<'_>) -> Answered<WatchStream> {
    let selection = Selection::parse(&ask.resource, ask.query.get("labelSelector"), ask.query.get("fieldSelector"))?;
    let version = ask.query.resource_version().map_err(|status| wrong_version(&status))?.unwrap_or_default();
    let seconds = ask.query.number("timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
    let life = seconds.map_or(LIFE, Duration::from_secs);
    let view = View {
        resource: ask.stored_as(),
        prefix: prefix(ask),
        selection,
        representation: ask.representation,
        api_version: ask.api_version(),
        kind: ask.resource.kind.clone(),
    };
    let now = Instant::now();
    let mut ready = VecDeque::new();
    let state = server.state();
    let collection = state.store.collection(&view.resource).ok_or_else(Status::no_such_resource)?;
    let changed = collection.subscribe();
    let mut last = false;
    let bookmarks = ask.query.flag("allowWatchBookmarks");
    let start = if version == 0 {
        let objects = collection.with_prefix(&view.prefix).filter(|(_, object)| view.selection.matches(object));
        ready.extend(objects.map(|(_, object)| (now, view.line("ADDED", object))));
        if bookmarks {
            ready.push_back((now, view.bookmark(state.store.version(), true)));
        }
        state.store.version()
    } else {
        if version < collection.oldest() {
            let message = format!("too old resource version: {version} ({})", collection.oldest());
            ready.push_back((now, error(&Status::expired(message))));
            last = true;
        }
        version
    };
    drop(state);
    let bookmark = bookmarks.then(|| now + bookmark_after(life));
    let cut = server.cuts();
    let watch = Watch { server: Arc::clone(server), view, version: start, ready, last, changed, cut, end: now + life, bookmark };
    let lines = futures::stream::unfold(watch, |mut watch| async move { watch.next().await.map(|line| (line, watch)) });
    Ok(WatchStream { lines: Box::pin(lines) })
}

/// A watch words it otherwise than a list.
fn wrong_version(status: &Status) -> Box<Status> {
    let message = status.message.trim_start_matches("invalid resource version: ");
    Status::plain(http::StatusCode::INTERNAL_SERVER_ERROR, "", message)
}

/// The first bookmark comes after a minute, or two seconds before an earlier end.
fn bookmark_after(life: Duration) -> Duration {
    match life.checked_sub(BOOKMARK_BEFORE_END) {
        Some(before) if !before.is_zero() => before.min(BOOKMARK_EVERY),
        _ => BOOKMARK_EVERY,
    }
}

impl Watch {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.read();
            let due = self.ready.front().map(|(due, _)| *due);
            if due.is_some_and(|due| due <= Instant::now()) {
                return self.ready.pop_front().map(|(_, line)| line);
            }
            if self.last && due.is_none() {
                return None;
            }
            let bookmark = self.bookmark.filter(|_| due.is_none());
            let until = [due, bookmark].into_iter().flatten().fold(self.end, Instant::min);
            tokio::select! {
                biased;
                _ = self.cut.changed() => return None,
                changed = self.changed.changed(), if !self.last => self.last |= changed.is_err(),
                () = tokio::time::sleep_until(until) => {
                    let now = Instant::now();
                    if now >= self.end {
                        return None;
                    }
                    if bookmark.is_some_and(|at| at <= now) {
                        return Some(self.send_bookmark(now));
                    }
                }
            }
        }
    }

    fn send_bookmark(&mut self, now: Instant) -> Bytes {
        let rest = self.end.saturating_duration_since(now);
        self.bookmark = Some(now + bookmark_after(rest));
        self.view.bookmark(self.version, false)
    }

    /// Takes up what has happened since; after this, `version` is the store's.
    fn read(&mut self) {
        if self.last {
            return;
        }
        let lag = self.server.lag();
        let state = self.server.state();
        let Some(collection) = state.store.collection(&self.view.resource) else {
            self.last = true;
            return;
        };
        self.changed.mark_unchanged();
        let Some(events) = collection.after(self.version) else {
            let message = format!("too old resource version: {} ({})", self.version, collection.oldest());
            self.ready.push_back((Instant::now(), error(&Status::expired(message))));
            self.last = true;
            return;
        };
        let own = events.iter().filter(|event| self.view.covers(&event.object));
        self.ready.extend(own.filter_map(|event| Some((event.committed + lag, self.view.event(event)?))));
        self.version = self.version.max(state.store.version());
    }
}
