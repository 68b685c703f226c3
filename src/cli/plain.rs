//! `pilothouse --plain`: what changes in the fleet as lines, for screen readers, scripts and logs.
//!
//! First the present state, then a line for every change of a connection, a sync, a canary, a gate, a pause
//! or a problem. No line is ever taken back and no cursor is moved.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use tokio::io::Interest;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Format, Global, Outcome, output, session};
use crate::domain::fleet::API_VERSION;
use crate::session::fleet::Session;
use crate::session::view::{CanaryView, ContextView, DriverView, FleetView, Link, SyncView};

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
enum What {
    Link,
    Driver,
    Sync,
    Canary,
    Gate,
    Pause,
    Problem,
}

/// Which fact of the fleet: a context, a canary of it, what of it, and which one where there are several.
type Place = (String, Option<String>, What, String);

/// A fact: what makes it another one, and how it is said.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fact {
    /// Compared from view to view; the words may hold what changes by the second.
    is: String,
    text: String,
}

impl Fact {
    fn new(text: String) -> Self {
        Self { is: text.clone(), text }
    }
}

type Facts = BTreeMap<Place, Fact>;

/// A change of a fact, as `-o json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Change<'a> {
    api_version: &'static str,
    kind: &'static str,
    at: Timestamp,
    context: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<&'a str>,
    what: What,
    /// The fact is no more.
    gone: bool,
    text: &'a str,
}

pub(super) async fn run(global: &Global) -> Outcome {
    let session = session(global, global.drive, false)?;
    over(global, session).await
}

/// The changes of `session` until a signal, or until nobody reads them any more.
pub(super) async fn over(global: &Global, session: Arc<Session>) -> Outcome {
    let of = |kind| signal(kind).map_err(Failure::failed);
    let (mut terminate, mut interrupt, mut hang_up) =
        (of(SignalKind::terminate())?, of(SignalKind::interrupt())?, of(SignalKind::hangup())?);
    let reader = reader();
    let mut view = session.view();
    let mut known = Facts::new();
    loop {
        let next = facts(&view.borrow_and_update());
        let now = session.settings.clock.now();
        let text = lines(&known, &next, now, global.output)?;
        known = next;
        if !text.is_empty() && output::append(&text).is_err() {
            break;
        }
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => break,
            () = gone(reader.as_ref()) => break,
            changed = view.changed() => if changed.is_err() { break },
        }
    }
    session.close().await;
    Ok(0)
}

/// Standard output, where it is a pipe that can close. A terminal that goes away sends a signal.
fn reader() -> Option<pipe::Sender> {
    let output = io::stdout().as_fd().try_clone_to_owned().ok()?;
    // Only its end is waited for; what is written goes by standard output as ever.
    pipe::Sender::from_file_unchecked(File::from(output)).ok()
}

/// Resolves once nobody reads standard output.
async fn gone(reader: Option<&pipe::Sender>) {
    match reader {
        Some(reader) => {
            // Either way it is of no use any more.
            let _ = reader.ready(Interest::ERROR).await;
        }
        None => std::future::pending().await,
    }
}

/// What is so in the fleet, each fact by its place.
fn facts(view: &FleetView) -> Facts {
    let mut facts = Facts::new();
    for problem in &view.problems {
        facts.insert((String::new(), None, What::Problem, problem.clone()), Fact::new(problem.clone()));
    }
    for context in view.each() {
        let mut put = |what, which: &str, fact| facts.insert((context.name.clone(), None, what, which.to_string()), fact);
        put(What::Link, "", link(context));
        if context.driver != DriverView::Unknown {
            put(What::Driver, "", Fact::new(driver(&context.driver)));
        }
        if let Some(sync) = &context.sync {
            put(What::Sync, "", sync_fact(sync));
        }
        for problem in &context.problems {
            put(What::Problem, problem, Fact::new(problem.clone()));
        }
        for canary in &context.canaries {
            let name = Some(canary.key.path());
            let mut put = |what, which: &str, fact| facts.insert((context.name.clone(), name.clone(), what, which.to_string()), fact);
            put(What::Canary, "", canary_fact(canary));
            for gate in &canary.gates {
                put(What::Gate, &gate.name, Fact::new(format!("gate {} waits for a human", gate.name)));
            }
            if let Some(pause) = &canary.paused {
                let why = if pause.why.is_empty() { String::new() } else { format!(": {}", pause.why) };
                put(What::Pause, "", Fact::new(format!("paused by {}{why}", pause.who)));
            }
        }
    }
    facts
}

fn link(context: &ContextView) -> Fact {
    let (is, why) = match &context.link {
        Link::Connecting { .. } => ("connecting", None),
        Link::Live => ("live", None),
        Link::Stale { why, .. } => ("stale", Some(why)),
        Link::Unreachable { why, .. } => ("unreachable", Some(why)),
        Link::Unauthorized { why, .. } => ("not authorised", Some(why)),
    };
    let text = why.map_or_else(|| is.to_string(), |why| format!("{is}: {why}"));
    Fact { is: is.into(), text }
}

fn driver(driver: &DriverView) -> String {
    match driver {
        DriverView::Unknown => "driver not known".into(),
        DriverView::Here => "driven from here".into(),
        DriverView::Elsewhere { holder } => format!("driven by {holder}"),
        DriverView::Flagger { why } => format!("driven by Flagger: {why}"),
        DriverView::Nobody { why } => format!("driven by nobody: {why}"),
    }
}

fn sync_fact(sync: &SyncView) -> Fact {
    let version = sync.applied_ref.as_deref().or(sync.pinned.as_deref()).map(|name| format!(" {name}")).unwrap_or_default();
    let wanted = match (&sync.pinned, &sync.applied_ref) {
        (Some(pinned), Some(applied)) if pinned != applied => format!(", {pinned} pinned"),
        _ => String::new(),
    };
    let head = sync.head.as_deref().map(|head| format!(" at {}", head.get(..8).unwrap_or(head))).unwrap_or_default();
    let is = format!("sync {}{version}{wanted}{head}", sync.state.word());
    let text = if sync.message.is_empty() { is.clone() } else { format!("{is}: {}", sync.message) };
    Fact { is, text }
}

fn canary_fact(canary: &CanaryView) -> Fact {
    let phase = if canary.phase.word().is_empty() { "New" } else { canary.phase.word() };
    let mut is = phase.to_string();
    if canary.max_iterations > 0 && !canary.phase.is_settled() {
        is = format!("{is} {}/{}", canary.iterations, canary.max_iterations);
    } else if canary.weight > 0 || !canary.phase.is_settled() {
        is = format!("{is} {} %", canary.weight);
    }
    if canary.failed_checks > 0 {
        is = format!("{is}, {} of {} checks failed", canary.failed_checks, canary.threshold);
    }
    let text = canary.report.as_ref().map_or_else(|| is.clone(), |report| format!("{is}: {}", report.message));
    Fact { is, text }
}

/// A line for every fact that is new, another one, or gone.
fn lines(known: &Facts, next: &Facts, at: Timestamp, format: Format) -> Result<String, Failure> {
    let mut out = String::new();
    let mut line = |(context, canary, what, _): &Place, gone: bool, text: &str| -> Result<(), Failure> {
        if format == Format::Table {
            let clock = at.to_zoned(TimeZone::UTC).strftime("%H:%M:%SZ").to_string();
            let subject = [clock.as_str(), context, canary.as_deref().unwrap_or_default(), if gone { "no more:" } else { "" }, text];
            let words: Vec<&str> = subject.into_iter().filter(|word| !word.is_empty()).collect();
            out.push_str(&(words.join(" ") + "\n"));
            return Ok(());
        }
        let change = Change { api_version: API_VERSION, kind: "Change", at, context, canary: canary.as_deref(), what: *what, gone, text };
        match format {
            Format::Yaml => out.push_str(&format!("---\n{}", serde_yaml::to_string(&change).map_err(Failure::failed)?)),
            _ => out.push_str(&(serde_json::to_string(&change).map_err(Failure::failed)? + "\n")),
        }
        Ok(())
    };
    for (place, fact) in known.iter().filter(|(place, _)| !next.contains_key(*place)) {
        line(place, true, &fact.text)?;
    }
    for (place, fact) in next.iter().filter(|(place, fact)| known.get(*place).is_none_or(|before| before.is != fact.is)) {
        line(place, false, &fact.text)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A fleet of one context with one canary, in the words of the read model.
    fn fleet(change: impl FnOnce(&mut serde_json::Value)) -> FleetView {
        let mut value = json!({"contexts": [{
            "name": "gke", "provider": "gke", "environment": null, "wave": null, "mesh": null, "link": {"state": "live"},
            "heard": null, "serverVersion": null, "driver": {"who": "here"},
            "sync": null, "problems": [],
            "canaries": [{
                "key": {"namespace": "app", "name": "frontend"}, "phase": "Progressing", "weight": 40, "maxWeight": 50, "iterations": 0,
                "maxIterations": 0, "failedChecks": 0, "threshold": 5, "interval": 60, "strategy": "canary", "router": "istio",
                "since": null, "paused": null, "report": null, "gates": [], "target": "frontend", "targetImage": null,
                "primaryImage": null, "revision": "", "foreign": null, "slo": [], "events": [], "verdicts": [], "resourceVersion": "1",
            }],
        }], "refs": [], "problems": []});
        change(&mut value);
        serde_json::from_value(value).expect("a fleet")
    }

    fn said(before: &FleetView, after: &FleetView, format: Format) -> String {
        let at = "2026-03-02T12:04:31Z".parse().expect("a time");
        lines(&facts(before), &facts(after), at, format).expect("lines")
    }

    #[test]
    fn the_present_state_comes_first_and_then_what_changes() {
        let now = fleet(|_| ());
        let first = said(&FleetView::default(), &now, Format::Table);
        assert_eq!(first, "12:04:31Z gke live\n12:04:31Z gke driven from here\n12:04:31Z gke app/frontend Progressing 40 %\n");
        assert_eq!(said(&now, &now, Format::Table), "");
        let next = fleet(|fleet| {
            let canary = &mut fleet["contexts"][0]["canaries"][0];
            canary["weight"] = json!(50);
            canary["failedChecks"] = json!(1);
            canary["gates"] = json!([{"name": "confirm-promotion", "since": null}]);
        });
        assert_eq!(
            said(&now, &next, Format::Table),
            "12:04:31Z gke app/frontend Progressing 50 %, 1 of 5 checks failed\n\
             12:04:31Z gke app/frontend gate confirm-promotion waits for a human\n"
        );
        assert_eq!(
            said(&next, &now, Format::Table).lines().next(),
            Some("12:04:31Z gke app/frontend no more: gate confirm-promotion waits for a human")
        );
        let lost = fleet(|fleet| {
            fleet["contexts"][0]["link"] = json!({"state": "stale", "since": "2026-03-02T12:04:00Z", "why": "i/o timeout"});
        });
        assert_eq!(said(&now, &lost, Format::Table), "12:04:31Z gke stale: i/o timeout\n");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = said(&FleetView::default(), &fleet(|_| ()), Format::Json);
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(
            (&lines[2]["kind"], &lines[2]["canary"], &lines[2]["what"]),
            (&json!("Change"), &json!("app/frontend"), &json!("canary"))
        );
        assert_eq!(lines[2]["text"], json!("Progressing 40 %"));
    }
}
