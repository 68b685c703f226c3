//! `pilothouse demo`: the console over a fleet that lives in this process.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Global, Outcome, console, output, plain};
use crate::domain::phase::Phase;
use crate::session::view::FleetView;
use crate::simulation::demo::{Demo as Simulated, Options, Running};
use crate::simulation::listener;

/// More would not fit a machine, and nobody could watch them.
const MOST_PROVIDERS: i64 = 200;
/// Above this the engine's lease would run out between two renewals.
const FASTEST: i64 = 60;
/// How long one frame waits for the providers to come up.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Args, Debug, Clone)]
pub(super) struct Demo {
    /// So many times as fast as life
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=FASTEST))]
    speed: u32,
    /// What is left to chance follows this number
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Service providers, by turns on EKS (plain), AKS (Linkerd) and GKE (Istio)
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=MOST_PROVIDERS))]
    providers: u16,
    /// Serve the clusters to other programs, with a kubeconfig and a fleet file in DIR, instead of showing them
    #[arg(long, value_name = "DIR", conflicts_with = "speed")]
    serve: Option<PathBuf>,
}

pub(super) async fn run(global: &Global, demo: &Demo) -> Outcome {
    let options = Options { speed: demo.speed, seed: demo.seed, providers: demo.providers.into(), drive: !global.read_only };
    if let Some(folder) = &demo.serve {
        let running = Simulated::for_others(options).map_err(Failure::failed)?;
        let done = serve(&running, folder).await;
        running.close().await;
        return done;
    }
    let size = console::size(global)?;
    if global.snapshot.is_none() && !global.plain {
        console::needs_terminal()?;
    }
    let running = Simulated::start(options).map_err(Failure::failed)?;
    let done = show(global, &running, size).await;
    running.close().await;
    done
}

async fn show(global: &Global, running: &Running, size: (u16, u16)) -> Outcome {
    let Some(session) = running.demo.session.clone() else { return Err(Failure::failed("the demo has no session")) };
    if global.plain {
        return plain::over(global, session).await;
    }
    if global.snapshot.is_none() {
        return console::over(session, console::options(global)?, false).await;
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut view = session.settled(PATIENCE).await;
    // A frame of a fleet that has not come up yet would show nothing.
    while !is_up(&view) && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
        view = session.settled(PATIENCE).await;
    }
    console::frame(global, &session, &view, size)
}

/// Whether every provider's canaries have found their first primary.
fn is_up(view: &FleetView) -> bool {
    view.each().all(|context| {
        !context.canaries.is_empty() && context.canaries.iter().all(|canary| !matches!(canary.phase, Phase::New | Phase::Initializing))
    })
}

/// Serves the clusters until SIGINT or SIGTERM.
async fn serve(running: &Running, folder: &std::path::Path) -> Outcome {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let served = listener::serve(&running.demo.clusters(), folder).await.map_err(Failure::failed)?;
    let fleet = folder.join("fleet.yaml");
    let text = serde_yaml::to_string(&running.demo.fleet).map_err(Failure::failed)?;
    std::fs::write(&fleet, text).map_err(|e| Failure::failed(format!("cannot write {}: {e}", fleet.display())))?;
    output::print(&format!("pilothouse --kubeconfig {} --config {}\n", served.kubeconfig.display(), fleet.display()));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(0)
}
