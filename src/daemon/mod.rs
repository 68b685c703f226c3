//! The engine and the sync without a terminal: signals in, HTTP for probes and scrapes out.
//!
//! It drives every context until SIGTERM or SIGINT, then hands its leases over. Decisions and writes are
//! the session's; here is only the life of the process. Read `metrics.rs` for what is exported.

mod gates;
mod metrics;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::signal::unix::{SignalKind, signal};

use crate::kubernetes::contexts::{ContextError, Contexts};
use crate::session::fleet::{Session, Settings};
use crate::session::view::DriverView;

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error("cannot listen on {address}: {cause}; choose another by --listen")]
    Listen { address: String, cause: std::io::Error },
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
}

impl DaemonError {
    /// The exit code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Context(_) => 2,
            _ => 1,
        }
    }
}

/// Drives until it is told to stop.
///
/// # Errors
/// [`DaemonError`].
pub async fn run(settings: Settings, contexts: Contexts, listen: &str) -> Result<u8, DaemonError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(DaemonError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DaemonError::Signals)?;
    let listener = tokio::net::TcpListener::bind(listen).await.map_err(|cause| DaemonError::Listen { address: listen.into(), cause })?;
    let address = listener.local_addr().map(|a| a.to_string()).unwrap_or_default();
    let session = Session::start(settings, contexts)?;
    tracing::info!(%address, contexts = session.contexts().len(), "daemon started");
    let app = axum::Router::new()
        .route("/healthz", get(|| async { "OK" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .with_state(Arc::clone(&session));
    // Whoever reaches a gate opens it: they are for programs of this machine.
    let loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let app = if loopback { app.merge(gates::router()) } else { app };
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let reporter = tokio::spawn(report(Arc::clone(&session)));
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: handing over"),
        _ = interrupt.recv() => tracing::info!("SIGINT: handing over"),
    }
    server.abort();
    reporter.abort();
    session.close().await;
    tracing::info!("daemon ended");
    Ok(0)
}

/// Says in the log who drives what, whenever that changes.
async fn report(session: Arc<Session>) {
    let mut view = session.view();
    let mut said: Vec<(String, DriverView)> = Vec::new();
    while view.changed().await.is_ok() {
        let now: Vec<_> = view.borrow_and_update().contexts.iter().map(|c| (c.name.clone(), c.driver.clone())).collect();
        for (context, driver) in &now {
            if !said.iter().any(|(c, d)| c == context && d == driver) {
                match driver {
                    DriverView::Flagger { why } => tracing::warn!(%context, %why, "observing only: nothing is written here"),
                    DriverView::Unknown => {}
                    other => tracing::info!(%context, driver = ?other, "driver"),
                }
            }
        }
        said = now;
    }
}

/// Ready once every context has answered or turned out not to.
async fn ready(State(session): State<Arc<Session>>) -> (StatusCode, &'static str) {
    if session.contexts().iter().all(|c| c.has_answered()) {
        (StatusCode::OK, "OK")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "connecting")
    }
}

async fn scrape(State(session): State<Arc<Session>>) -> Result<String, StatusCode> {
    metrics::encode(&session.view().borrow(), &session.settings.figures).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
