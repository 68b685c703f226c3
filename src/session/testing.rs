//! Canaries as tests want them.

use jiff::{SignedDuration, Timestamp};

use super::view::{CanaryView, EventView, HookView};
use crate::domain::phase::Phase;
use crate::domain::target::CanaryKey;

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
