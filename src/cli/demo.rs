//! `pilothouse demo`: the console over a fleet that lives in this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Global, Outcome, console, output, plain};
use crate::domain::fleet::Fleet;
use crate::domain::phase::Phase;
use crate::session::view::FleetView;
use crate::simulation::api::ApiServer;
use crate::simulation::demo::{Demo as Simulated, Options, Running};
use crate::simulation::listener;
use crate::simulation::load::Load;

/// More would not fit a machine, and nobody could watch them.
const MOST_PROVIDERS: i64 = 200;
/// Of one cluster of a load.
const MOST_CANARIES: i64 = 5_000;
/// Changes a second of a load.
const FIERCEST: i64 = 20_000;
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
    /// Serve so many canaries a cluster with nothing behind them instead of the story: a load to measure clients with
    #[arg(long, value_name = "N", requires = "serve", value_parser = clap::value_parser!(u32).range(1..=MOST_CANARIES))]
    canaries: Option<u32>,
    /// Nothing of the load is in flight
    #[arg(long, requires = "canaries")]
    settled: bool,
    /// Change so many of the load's objects a second
    #[arg(long, value_name = "RATE", requires = "canaries", value_parser = clap::value_parser!(u32).range(1..=FIERCEST))]
    storm: Option<u32>,
}

pub(super) async fn run(global: &Global, demo: &Demo) -> Outcome {
    let options = Options { speed: demo.speed, seed: demo.seed, providers: demo.providers.into(), drive: !global.read_only };
    if let (Some(folder), Some(canaries)) = (&demo.serve, demo.canaries) {
        let load = Load { clusters: demo.providers.into(), canaries: canaries as usize, settled: demo.settled, seed: demo.seed };
        return bear(load, demo.storm, folder).await;
    }
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
async fn serve(running: &Running, folder: &Path) -> Outcome {
    offer(&running.demo.clusters(), &running.demo.fleet, folder, std::future::pending()).await
}

/// Serves a load, and changes it `storm` times a second, until SIGINT or SIGTERM.
async fn bear(load: Load, storm: Option<u32>, folder: &Path) -> Outcome {
    let filled = tokio::task::spawn_blocking(move || load.fill()).await.map_err(Failure::failed)?;
    let loaded = filled.map_err(|status| Failure::failed(status.to_string()))?;
    let storm = async {
        match storm {
            Some(rate) => loaded.storm(rate).await,
            None => std::future::pending().await,
        }
    };
    offer(&loaded.clusters, &loaded.fleet(), folder, storm).await
}

/// Serves clusters behind loopback TLS while `happens`, until SIGINT or SIGTERM.
async fn offer(clusters: &[(String, Arc<ApiServer>)], fleet: &Fleet, folder: &Path, happens: impl Future<Output = ()>) -> Outcome {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let served = listener::serve(clusters, folder).await.map_err(Failure::failed)?;
    let file = folder.join("fleet.yaml");
    let text = serde_yaml::to_string(fleet).map_err(Failure::failed)?;
    std::fs::write(&file, text).map_err(|e| Failure::failed(format!("cannot write {}: {e}", file.display())))?;
    output::print(&format!("pilothouse --kubeconfig {} --config {}\n", served.kubeconfig.display(), file.display()));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = happens => {}
    }
    Ok(0)
}
