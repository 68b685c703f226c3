//! Canaries and fleets as tests want them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::canaries::Canaries;
use super::fleet::{Session, Settings};
use super::series::Series;
use super::show::Shown;
use super::view::{CanaryView, EventView, FleetView, HookView, Link};
use crate::domain::fleet::Fleet;
use crate::domain::phase::Phase;
use crate::domain::target::CanaryKey;
use crate::kubernetes::cluster::{Cluster, Policy};
use crate::kubernetes::contexts::Contexts;
use crate::kubernetes::kinds::Kind;
use crate::runner::rollouts::Reports;
use crate::simulation::api::{ApiServer, Options};
use crate::simulation::line::Line;

/// The moment at which tests look.
pub fn now() -> Timestamp {
    "2026-11-21T12:04:31Z".parse().expect("a time")
}

pub fn before(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

/// A progressive canary `web.test`, ten percent a step to fifty, without anything peculiar.
pub fn canary(phase: Phase) -> CanaryView {
    CanaryView {
        key: CanaryKey::new("test", "web"),
        phase,
        weight: 0,
        max_weight: 50,
        iterations: 0,
        max_iterations: 0,
        failed_checks: 0,
        threshold: 5,
        interval: 60,
        strategy: "canary".into(),
        router: "istio".into(),
        since: Some(before(240)),
        paused: None,
        report: None,
        gates: Vec::new(),
        steps: vec![10, 20, 30, 40, 50],
        metrics: Vec::new(),
        hooks: Vec::new(),
        mirror: false,
        matched: false,
        target: "web".into(),
        target_image: Some("shop/web:2.10.0".into()),
        primary_image: Some("shop/web:2.9.1".into()),
        revision: "p1:u:2:b".into(),
        promoted_revision: "p1:u:1:a".into(),
        foreign: None,
        slo: Vec::new(),
        events: Vec::new(),
        verdicts: Vec::new(),
        resource_version: "1".into(),
    }
}

/// An event so many seconds before now; one that begins with `Halt`, `Rolling back` or `Canary failed` is a warning.
pub fn event(seconds: i64, message: &str, count: u32) -> EventView {
    let warning = ["Halt", "Rolling back", "Canary failed", "Metric", "Prometheus"].iter().any(|w| message.starts_with(w));
    EventView { at: Some(before(seconds)), warning: warning || message.contains("not ready"), message: message.into(), count }
}

pub fn hook(name: &str, kind: &str) -> HookView {
    HookView { name: name.into(), kind: kind.into(), url: "http://gate.test/check".into(), gate: kind.starts_with("confirm") }
}

/// What is shown of a cluster that holds these objects.
pub fn shown(objects: impl IntoIterator<Item = (Kind, Value)>) -> Canaries {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = Options { name: "gke".into(), now: Arc::new(now), seed: 1, git_version: "v1.36.3".into() };
        let line = Line::new(ApiServer::new(options), "you", None);
        let cluster = Cluster::new(line.client(), Policy::default(), super::Clock::wall());
        for (kind, object) in objects {
            cluster.store.put(kind, object);
        }
        Shown::default().canaries(&cluster, &Reports::default(), &Series::default())
    })
}

/// What a session is told that only looks.
pub fn settings(cache: PathBuf) -> Settings {
    Settings {
        fleet: Fleet::default(),
        only: Vec::new(),
        mesh: None,
        prometheus: None,
        lease_namespace: crate::kubernetes::lease::NAMESPACE.into(),
        drive: false,
        series: false,
        remember: None,
        in_cluster: false,
        cache,
        identity: "test".into(),
        clock: super::Clock::wall(),
        figures: Arc::default(),
        environment: BTreeMap::new(),
    }
}

/// What a session shows of contexts that nobody answers for, once it has tried each of them.
pub async fn unanswered(kubeconfig: &Value, fleet: Fleet) -> FleetView {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kubeconfig");
    // YAML wants escapes for more characters than JSON does.
    let escaped = |c: char| if c.is_control() { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    std::fs::write(&path, kubeconfig.to_string().chars().map(escaped).collect::<String>()).expect("a kubeconfig");
    let settings = Settings { fleet, ..settings(folder.path().join("cache")) };
    let session = Session::start(settings, Contexts::read(Some(&path)).expect("it is read")).expect("a session");
    for _ in 0..3_000 {
        let view = Arc::clone(&session.view().borrow());
        if !view.contexts.is_empty() && view.each().all(|context| !matches!(context.link, Link::Connecting { .. })) {
            session.close().await;
            return (*view).clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not within a minute: every context tried");
}
