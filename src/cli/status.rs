//! Looking: status, gates, versions.

use super::{Failure, Global, Outcome, PATIENCE, output, session};
use crate::domain::phase::Phase;
use crate::domain::target::Target;
use crate::session::view::{CanaryView, ContextView, DriverView, FleetView, Link};

/// What the state of the fleet means for a script.
fn code(view: &FleetView) -> u8 {
    let canaries = || view.contexts.iter().flat_map(|c| &c.canaries);
    if view.contexts.iter().any(|c| !c.link.is_live()) {
        4
    } else if canaries().any(|c| c.phase == Phase::Failed) {
        1
    } else if canaries().any(|c| !c.gates.is_empty() || c.paused.is_some()) {
        3
    } else {
        0
    }
}

fn dash(text: Option<&str>) -> String {
    text.filter(|t| !t.is_empty()).unwrap_or("-").to_owned()
}

pub(super) fn link(context: &ContextView) -> String {
    match &context.link {
        Link::Live => "live".into(),
        Link::Connecting { since } => format!("no answer since {since:.0}"),
        Link::Stale { since, why } => format!("stale since {since:.0}: {why}"),
        Link::Unreachable { since, why } => format!("unreachable since {since:.0}: {why}"),
        Link::Unauthorized { since, why } => format!("unauthorized since {since:.0}: {why}"),
    }
}

fn driver(context: &ContextView) -> String {
    match &context.driver {
        DriverView::Unknown => "-".into(),
        DriverView::Here => "here".into(),
        DriverView::Elsewhere { holder } => holder.clone(),
        DriverView::Flagger { why } => why.clone(),
        DriverView::Nobody { why } => format!("nobody ({why})"),
    }
}

fn progress(canary: &CanaryView) -> String {
    if canary.max_iterations > 0 { format!("{}/{}", canary.iterations, canary.max_iterations) } else { format!("{} %", canary.weight) }
}

fn table(view: &FleetView) -> String {
    let rows: Vec<_> = view
        .contexts
        .iter()
        .map(|c| {
            let sync = c.sync.as_ref();
            vec![
                c.provider.clone(),
                c.name.clone(),
                dash(sync.and_then(|s| s.pinned.as_deref())),
                dash(sync.and_then(|s| s.applied_ref.as_deref())),
                dash(sync.and_then(|s| s.promoted_ref.as_deref())),
                sync.map_or_else(
                    || "-".into(),
                    |s| if s.message.is_empty() { s.state.word().to_owned() } else { format!("{} ({})", s.state.word(), s.message) },
                ),
                driver(c),
                link(c),
            ]
        })
        .collect();
    let mut out = output::columns(&["PROVIDER", "CONTEXT", "PINNED", "APPLIED", "PROMOTED", "SYNC", "DRIVER", "CLUSTER"], &rows);
    let canaries: Vec<_> = view
        .contexts
        .iter()
        .flat_map(|c| c.canaries.iter().map(move |canary| (c, canary)))
        .map(|(c, canary)| {
            vec![
                Target::new(&c.name, &canary.key).to_string(),
                canary.phase.word().to_owned(),
                progress(canary),
                format!("{}/{}", canary.failed_checks, canary.threshold),
                canary.report.as_ref().map_or_else(String::new, |r| r.message.clone()),
            ]
        })
        .collect();
    if !canaries.is_empty() {
        out.push('\n');
        out.push_str(&output::columns(&["CANARY", "PHASE", "CANARY TRAFFIC", "FAILED CHECKS", "WHY"], &canaries));
    }
    for context in &view.contexts {
        for problem in &context.problems {
            out.push_str(&format!("\n{}: {problem}", context.name));
        }
    }
    for problem in &view.problems {
        out.push_str(&format!("\n{problem}"));
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

pub(super) async fn status(global: &Global) -> Outcome {
    let session = session(global, false, false)?;
    let view = session.settled(PATIENCE).await;
    output::show(global.output, "FleetStatus", &*view, || table(&view))?;
    Ok(code(&view))
}

pub(super) async fn gates(global: &Global) -> Outcome {
    let session = session(global, false, false)?;
    let view = session.settled(PATIENCE).await;
    let waiting: Vec<_> = view
        .contexts
        .iter()
        .flat_map(|c| c.canaries.iter().map(move |canary| (c, canary)))
        .flat_map(|(c, canary)| canary.gates.iter().map(move |g| (Target::new(&c.name, &canary.key).to_string(), g.name.clone(), g.since)))
        .collect();
    let body: Vec<_> = waiting.iter().map(|(t, g, s)| serde_json::json!({"target": t, "gate": g, "since": s})).collect();
    output::show(global.output, "Gates", &body, || {
        let rows: Vec<_> =
            waiting.iter().map(|(t, g, s)| vec![t.clone(), g.clone(), s.map(|s| format!("{s:.0}")).unwrap_or_default()]).collect();
        output::columns(&["CANARY", "GATE", "SINCE"], &rows)
    })?;
    Ok(if view.contexts.iter().any(|c| !c.link.is_live()) {
        4
    } else if waiting.is_empty() {
        0
    } else {
        3
    })
}

pub(super) async fn versions(global: &Global, providers: &[String]) -> Outcome {
    let session = session(global, false, false)?;
    for name in providers {
        if session.provider(name).is_none() {
            return Err(Failure::usage(format!("no provider named {name}")));
        }
    }
    let mut view = (*session.settled(PATIENCE).await).clone();
    view.contexts.retain(|c| providers.is_empty() || providers.contains(&c.provider) || providers.contains(&c.name));
    if let Some(distribution) = &session.settings.fleet.distribution {
        let (url, cache) = (distribution.url.clone(), session.settings.cache.clone());
        match tokio::task::spawn_blocking(move || crate::session::fleet::refs(&url, &cache)).await.map_err(Failure::failed)? {
            Ok(refs) => view.refs = refs,
            Err(why) => view.problems = vec![why],
        }
    }
    let rows: Vec<_> = view
        .contexts
        .iter()
        .map(|c| {
            let sync = c.sync.as_ref();
            let of = |f: fn(&crate::session::view::SyncView) -> Option<&str>| dash(sync.and_then(f));
            vec![c.provider.clone(), of(|s| s.pinned.as_deref()), of(|s| s.applied_ref.as_deref()), of(|s| s.promoted_ref.as_deref())]
        })
        .collect();
    let body = serde_json::json!({
        "refs": view.refs, "problems": view.problems,
        "providers": view.contexts.iter().map(|c| serde_json::json!({"provider": c.provider, "context": c.name, "sync": c.sync})).collect::<Vec<_>>()
    });
    output::show(global.output, "Versions", &body, || {
        let offered: Vec<_> = view.refs.iter().map(|r| r.name.as_str()).collect();
        let mut out = output::columns(&["PROVIDER", "PINNED", "APPLIED", "PROMOTED"], &rows);
        out.push_str(&format!("\non offer: {}\n", if offered.is_empty() { "-".to_owned() } else { offered.join(", ") }));
        for problem in &view.problems {
            out.push_str(&format!("{problem}\n"));
        }
        out
    })?;
    Ok(if view.contexts.iter().any(|c| !c.link.is_live()) { 4 } else { 0 })
}
