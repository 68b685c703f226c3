//! Who belongs to the fleet now: contexts come with the kubeconfig that names them, and go with it.
//!
//! A context that stays the same is not touched. One that is new gets a task; one that leads elsewhere goes there by
//! itself; one that is gone hands its lease over, and then its task ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::context::{Common, Context};
use crate::domain::driver::Drive;

/// Time for a context that is gone to hand its lease over.
const PARTING: Duration = Duration::from_secs(4);

struct Member {
    context: Arc<Context>,
    task: AbortHandle,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Default)]
struct Members {
    here: Vec<Member>,
    /// Gone from the kubeconfig, with their leases still to hand over.
    leaving: Vec<Member>,
}

/// The contexts of a session with their tasks, which end with it.
pub(super) struct Roster {
    pub common: Common,
    members: Mutex<Members>,
}

impl Roster {
    pub fn new(common: Common) -> Self {
        Self { common, members: Mutex::default() }
    }

    fn members(&self) -> std::sync::MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that are shown, in their order.
    pub fn contexts(&self) -> Vec<Arc<Context>> {
        self.members().here.iter().map(|member| Arc::clone(&member.context)).collect()
    }

    /// Those that are shown, and those on their way out.
    pub fn all(&self) -> Vec<Arc<Context>> {
        let members = self.members();
        members.here.iter().chain(&members.leaving).map(|member| Arc::clone(&member.context)).collect()
    }

    /// Brings the members in line with the kubeconfig; returns those that are to leave.
    pub fn bring_up_to_date(&self) -> Vec<Arc<Context>> {
        let settings = &self.common.settings;
        let rows = settings.rows(&self.common.contexts);
        let mut members = self.members();
        let mut before = std::mem::take(&mut members.here);
        let mut places: Vec<(String, String)> = Vec::new();
        for row in rows {
            let twin = places.iter().find(|(place, _)| *place == row.place).map(|(_, name)| name.clone());
            places.push((row.place.clone(), row.name.clone()));
            if let Some(at) = before.iter().position(|member| member.context.name == row.name) {
                let member = before.remove(at);
                member.context.follow(row);
                members.here.push(member);
                continue;
            }
            let mut provider = settings.provider(&row.name);
            if let Some(twin) = &twin {
                // One process that drove a cluster twice would hold its own lease against itself.
                tracing::warn!(context = %row.name, %twin, "the same cluster as another row: observed here, and driven there");
                provider.drive = Drive::Observe;
            }
            let context = Context::new(row, provider, &self.common);
            let task = tokio::spawn(Arc::clone(&context).run()).abort_handle();
            members.here.push(Member { context, task });
        }
        let gone: Vec<_> = before.iter().map(|member| Arc::clone(&member.context)).collect();
        members.leaving.extend(before);
        gone
    }

    /// Follows the kubeconfig; never returns.
    pub async fn follow(self: Arc<Self>) {
        let mut changes = self.common.contexts.changes();
        while changes.changed().await.is_ok() {
            for context in self.bring_up_to_date() {
                tracing::info!(context = %context.name, "gone from the kubeconfig");
                let this = Arc::clone(&self);
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(PARTING, context.hand_over()).await;
                    this.members().leaving.retain(|member| !Arc::ptr_eq(&member.context, &context));
                });
            }
            self.common.changed.notify_one();
        }
        std::future::pending().await
    }
}
