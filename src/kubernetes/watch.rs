//! Guarded watches: one task a kind, which survives everything but a refusal, and says how it stands.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{Api, DynamicObject, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::Value;

use super::error::ApiError;
use super::json::version;
use super::kinds::Kind;
use super::store::{Store, WatchState};

/// How long a watch is kept open; a dead connection is noticed five seconds after it.
const TURN: u32 = 290;
/// How often a kind that is not installed, or not allowed, is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Watches `kind` into `store` until the task is dropped.
pub async fn run(client: Client, kind: Kind, store: Arc<Store>) {
    let resource = kind.resource();
    let config = watcher::Config::default().timeout(TURN).fields(kind.field_selector());
    loop {
        if kind.is_metadata_only() {
            let api = Api::<PartialObjectMeta<DynamicObject>>::all_with(client.clone(), &resource);
            follow(watcher(api, config.clone()).default_backoff(), kind, &store).await;
        } else {
            let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
            follow(watcher(api, config.clone()).default_backoff(), kind, &store).await;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Returns when the API server said that there is nothing to watch, or that we may not.
async fn follow<K>(stream: impl futures::Stream<Item = Result<watcher::Event<K>, watcher::Error>>, kind: Kind, store: &Store)
where
    K: serde::Serialize + kube::Resource + Clone,
{
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
                    store.fail(Timestamp::now());
                    if !matches!(store.state(kind), WatchState::Degraded { .. }) {
                        store.set_state(kind, WatchState::Degraded { since: Timestamp::now(), why });
                    }
                }
                continue;
            }
        };
        store.hear(Timestamp::now());
        match event {
            watcher::Event::Init => {
                listed.clear();
                newest = 0;
            }
            watcher::Event::InitApply(object) => {
                listed.insert((object.namespace().unwrap_or_default(), object.name_any()));
                let value = value(kind, object);
                newest = newest.max(version(&value));
                store.put(kind, value);
            }
            watcher::Event::InitDone => {
                store.keep_only(kind, &listed, newest.max(1));
                listed.clear();
                store.set_state(kind, WatchState::Live);
            }
            watcher::Event::Apply(object) => {
                store.put(kind, value(kind, object));
                store.set_state(kind, WatchState::Live);
            }
            watcher::Event::Delete(object) => {
                store.remove(kind, &value(kind, object));
                store.set_state(kind, WatchState::Live);
            }
        }
    }
}

fn value<K: serde::Serialize + kube::Resource>(kind: Kind, mut object: K) -> Value {
    if !kind.keeps_managers() {
        object.meta_mut().managed_fields = None;
    }
    serde_json::to_value(object).unwrap_or_default()
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
