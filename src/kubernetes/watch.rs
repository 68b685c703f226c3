//! Guarded watches: one task a kind, which survives everything but a refusal, and says how it stands.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use kube::api::{Api, ApiResource};
use kube::runtime::{WatchStreamExt, watcher};
use tokio::time::Instant;

use super::error::ApiError;
use super::kinds::{Kept, Kind};
use super::seen::{Form, Metadata, Object, Owners, Present, Seen};
use super::store::{Store, WatchState};
use crate::runner::ports::Clock;

/// How long a watch is kept open; a dead connection is noticed five seconds after it.
const TURN: u32 = 290;
/// Objects in one answer of the first list: a page is in memory three times while it is read.
const PAGE: u32 = 200;
/// A watch that says nothing for so long after its turn is dead.
pub(super) const QUIET: Duration = Duration::from_secs(TURN as u64 + 5);
/// How often a kind that is not installed, or not allowed, is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Waits between two tries of a watch: doubled up to half a minute, and short again after two quiet minutes. Kinds
/// are spread a little, so that a server that comes back is not asked for all of them in one instant.
struct Backoff {
    first: Duration,
    next: Duration,
    last: Instant,
}

impl Backoff {
    const LONGEST: Duration = Duration::from_secs(30);
    const QUIET: Duration = Duration::from_mins(2);

    fn of(kind: Kind) -> Self {
        let place = Kind::all().position(|k| k == kind).and_then(|i| u32::try_from(i).ok()).unwrap_or(0);
        let first = Duration::from_millis(800) + Duration::from_millis(35) * place;
        Self { first, next: first, last: Instant::now() }
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.last.elapsed() > Self::QUIET {
            self.next = self.first;
        }
        let wait = self.next;
        (self.next, self.last) = ((wait * 2).min(Self::LONGEST), Instant::now());
        Some(wait)
    }
}

impl kube::runtime::utils::Backoff for Backoff {
    /// Each try begins with an event that is no success yet: only time tells.
    fn reset(&mut self) {}
}

/// Watches `kind` into `store` until the task is dropped.
pub async fn run(client: Client, kind: Kind, store: Arc<Store>, clock: Clock) {
    let resource = kind.resource();
    let config = watcher::Config::default().timeout(TURN).page_size(PAGE).fields(kind.field_selector());
    loop {
        match kind.kept() {
            Kept::Owners => turn::<Owners>(&client, &resource, &config, kind, &store, &clock).await,
            Kept::Object => turn::<Object>(&client, &resource, &config, kind, &store, &clock).await,
            Kept::Present => turn::<Present>(&client, &resource, &config, kind, &store, &clock).await,
            Kept::Metadata => turn::<Metadata>(&client, &resource, &config, kind, &store, &clock).await,
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn turn<F: Form>(client: &Client, resource: &ApiResource, config: &watcher::Config, kind: Kind, store: &Store, clock: &Clock) {
    let api = Api::<Seen<F>>::all_with(client.clone(), resource);
    follow(watcher(api, config.clone()).backoff(Backoff::of(kind)), kind, store, clock).await;
}

/// Returns when the API server said that there is nothing to watch, or that we may not.
async fn follow<F: Form>(
    stream: impl futures::Stream<Item = Result<watcher::Event<Seen<F>>, watcher::Error>>,
    kind: Kind,
    store: &Store,
    clock: &Clock,
) {
    let mut stream = std::pin::pin!(stream);
    let mut listed = BTreeSet::new();
    let mut newest = 0;
    while let Some(event) = stream.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                if let Some(state) = refusal(&error) {
                    if state == WatchState::Absent {
                        store.keep_only(kind, &BTreeSet::new(), u64::MAX);
                    }
                    store.set_state(kind, state);
                    return;
                }
                let why = crate::domain::text::clean(&super::error::chain(&error));
                tracing::debug!(kind = kind.word(), %why, "watch interrupted");
                if !is_expiry(&error) {
                    store.fail(clock.now());
                    if !matches!(store.state(kind), WatchState::Degraded { .. }) {
                        store.set_state(kind, WatchState::Degraded { since: clock.now(), why });
                    }
                }
                continue;
            }
        };
        store.hear(clock.now());
        match event {
            watcher::Event::Init => {
                listed.clear();
                newest = 0;
            }
            watcher::Event::InitApply(object) => {
                listed.insert((object.json.namespace.clone(), object.json.name.clone()));
                newest = newest.max(object.json.version.parse().unwrap_or(0));
                store.take(kind, object.json);
            }
            watcher::Event::InitDone => {
                store.keep_only(kind, &listed, newest.max(1));
                listed.clear();
                store.set_state(kind, WatchState::Live);
            }
            watcher::Event::Apply(object) => {
                store.take(kind, object.json);
                store.set_state(kind, WatchState::Live);
            }
            watcher::Event::Delete(object) => {
                store.forget(kind, &object.json);
                store.set_state(kind, WatchState::Live);
            }
        }
    }
}

/// A 404 or 403: trying on at once would only burn requests.
fn refusal(error: &watcher::Error) -> Option<WatchState> {
    let (watcher::Error::InitialListFailed(inner) | watcher::Error::WatchStartFailed(inner) | watcher::Error::WatchFailed(inner)) = error
    else {
        return match error {
            watcher::Error::WatchError(status) if status.code == 403 => {
                Some(WatchState::Forbidden(crate::domain::text::clean(&status.message)))
            }
            _ => None,
        };
    };
    match ApiError::new("watch", inner) {
        ApiError::NotFound { .. } => Some(WatchState::Absent),
        ApiError::Forbidden { message, .. } | ApiError::Unauthorized { message, .. } => Some(WatchState::Forbidden(message)),
        _ => None,
    }
}

/// 410: the server forgot our place, and the list that follows repairs it.
fn is_expiry(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}
