//! Events on Canaries: Flagger's reason and texts, one object for one message, counted up when it repeats.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::Patch;
use super::cluster::Cluster;
use super::error::ApiError;
use super::json::{integer, text};
use super::kinds::Kind;
use super::observe::MANAGER;
use crate::domain::revision::sha256_hex;
use crate::engine::effect::Say;

/// The API server refuses longer notes.
const LONGEST: usize = 1_000;

/// Publishes `say` on `canary`.
pub(super) async fn publish(cluster: &Cluster, canary: &Value, say: &Say) -> Result<(), ApiError> {
    let (namespace, name, uid) = (text(canary, "/metadata/namespace"), text(canary, "/metadata/name"), text(canary, "/metadata/uid"));
    let kind = if say.warning { "Warning" } else { "Normal" };
    let message: String = say.message.chars().take(LONGEST).collect();
    let digest: String = sha256_hex(format!("{uid}\n{kind}\n{message}").as_bytes()).chars().take(16).collect();
    // Event names share the namespace with all others, and have the same limit as any name.
    let stem: String = name.chars().take(200).collect();
    let event = format!("{stem}.{digest}");
    let now = seconds(cluster.clock.now());
    if let Some(known) = cluster.store.get(Kind::Event, namespace, &event) {
        let body = json!({"count": integer(&known, "/count").unwrap_or(1) + 1, "lastTimestamp": now});
        match cluster.access.patch(&Kind::Event.path(namespace, &event), MANAGER, Patch::Merge, &body).await {
            Ok(reply) => {
                cluster.store.put(Kind::Event, reply);
                return Ok(());
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    let body = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": event, "namespace": namespace},
        "involvedObject": {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "namespace": namespace, "name": name, "uid": uid},
        "reason": "Synced", "message": message, "type": kind, "count": 1, "firstTimestamp": now, "lastTimestamp": now,
        "source": {"component": "pilothouse"}, "reportingComponent": "pilothouse", "reportingInstance": ""
    });
    let reply = cluster.access.post(&Kind::Event.path(namespace, ""), MANAGER, &body).await?;
    cluster.store.put(Kind::Event, reply);
    Ok(())
}

/// `metav1.Time` has whole seconds.
pub(super) fn seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}
