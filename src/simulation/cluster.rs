//! One simulated cluster: the API server, the world round it, and the task that lets the world go on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::api::{ApiServer, Options as ServerOptions, ProxyReply, ProxyRequest};
use super::world::{Options as WorldOptions, World};
use crate::runner::clock::Clock;

/// What this Kubernetes calls itself.
pub const VERSION: &str = "v1.36.3";
/// Where its Prometheus is, as a fleet file has it.
pub const PROMETHEUS: &str = "monitoring/prometheus:9090";
/// The world looks this often at the latest, whatever it expects.
const LOOK: Duration = Duration::from_mins(10);

/// A cluster. Dropped, its world stops.
pub struct SimulatedCluster {
    pub server: Arc<ApiServer>,
    world: Arc<Mutex<World>>,
    touched: Arc<Notify>,
    going: JoinHandle<()>,
}

impl SimulatedCluster {
    /// A cluster whose world goes on by `clock`.
    #[must_use]
    pub fn start(name: &str, seed: u64, clock: &Clock, options: WorldOptions) -> Self {
        let now = {
            let clock = clock.clone();
            Arc::new(move || clock.now())
        };
        let server = ApiServer::new(ServerOptions { name: name.into(), now, seed, git_version: VERSION.into() });
        let world = Arc::new(Mutex::new(World::new(Arc::clone(&server), options)));
        {
            // The server keeps this handler, and the world keeps the server: one of them must not own the other.
            let (world, clock) = (Arc::downgrade(&world), clock.clone());
            server.set_proxy(Arc::new(move |request| match world.upgrade() {
                Some(world) => proxied(&mut lock(&world), clock.now(), &request),
                None => reply(503, "the cluster is gone".into()),
            }));
        }
        let touched = Arc::new(Notify::new());
        let going = tokio::spawn(go_on(Arc::clone(&server), Arc::clone(&world), Arc::clone(&touched), clock.clone()));
        Self { server, world, touched, going }
    }

    /// What a story or a fault plan does to the world, which then goes on at once.
    pub fn world<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let done = change(&mut lock(&self.world));
        self.touched.notify_one();
        done
    }
}

impl Drop for SimulatedCluster {
    fn drop(&mut self) {
        self.going.abort();
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Programs inside the cluster that the API server passes requests on to.
fn proxied(world: &mut World, now: Timestamp, request: &ProxyRequest) -> ProxyReply {
    let (status, body) = match (request.namespace.as_str(), request.service.as_str()) {
        ("monitoring", "prometheus") => world.prometheus(now, &request.method, &request.path_and_query, &request.body),
        ("tools", "loadtester") => world.webhook(now, &request.path_and_query, &request.body),
        _ => (503, "no endpoints available for the service".to_owned()),
    };
    reply(status, body)
}

fn reply(status: u16, body: String) -> ProxyReply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    ProxyReply { status, content_type: "application/json", body: Bytes::from(body) }
}

/// Advances the world after every change and whenever something in it is due.
async fn go_on(server: Arc<ApiServer>, world: Arc<Mutex<World>>, touched: Arc<Notify>, clock: Clock) {
    let mut changes = server.changes();
    loop {
        changes.mark_unchanged();
        let now = clock.now();
        let due = lock(&world).advance(now);
        let wait = due.map_or(LOOK, |due| due.duration_since(now).unsigned_abs().clamp(Duration::from_millis(1), LOOK));
        tokio::select! {
            biased;
            () = touched.notified() => {}
            _ = changes.changed() => {}
            () = clock.sleep(wait) => {}
        }
    }
}
