//! The console, and one frame of it.

use std::io::{IsTerminal, Write as _};
use std::sync::Arc;

use super::{Failure, Global, Outcome, PATIENCE, output, replay, session};
use crate::domain::target::Target;
use crate::session::fleet::Session;
use crate::session::operations::Operator;
use crate::session::view::FleetView;
use crate::telemetry::crash;
use crate::ui::{self, Colour, Options, Port, Surroundings, record};

pub(super) fn options(global: &Global) -> Result<Options, Failure> {
    let record = global.record.as_ref().map(|path| {
        let file = record::create(path);
        file.map(Arc::new).map_err(|error| Failure::usage(format!("cannot record to {}: {error}", path.display())))
    });
    Ok(Options {
        record: record.transpose()?,
        read_only: global.read_only,
        contexts: Vec::new(),
        ascii: global.ascii,
        colour: Colour::detect(variable),
        crash: Some(ui::Crash::new(crash::report)),
        mouse: !global.no_mouse,
        surroundings: Surroundings::detect(variable),
        editor: ["VISUAL", "EDITOR"].into_iter().filter_map(variable).find(|name| !name.trim().is_empty()).unwrap_or_else(|| "vi".into()),
        ..Options::default()
    })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub(super) async fn run(global: &Global) -> Outcome {
    needs_terminal()?;
    let options = options(global)?;
    let session = session(global, global.drive, true)?;
    over(session, options, true).await
}

/// The console needs somebody in front of it.
pub(super) fn needs_terminal() -> Result<(), Failure> {
    if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage("the console needs a terminal; use `pilothouse status`, or --snapshot fleet for one frame"))
}

/// The console over `session`, until the operator leaves; `warn` names the rollouts that stand still then.
pub(super) async fn over(session: Arc<Session>, options: Options, warn: bool) -> Outcome {
    let (operator, outcomes) = Operator::new(Arc::clone(&session), true);
    let view = session.view();
    let clock = session.settings.clock.clone();
    let port = Port { view: view.clone(), outcomes, clock, send: Box::new(move |command| operator.send(command)) };
    let ended = ui::run(port, options).await;
    if warn && session.contexts.iter().any(|c| c.lease().is_some()) {
        let driven: Vec<_> = session.contexts.iter().filter(|c| c.lease().is_some()).map(|c| c.name.as_str()).collect();
        let flying = in_flight(&view.borrow(), &driven);
        if !flying.is_empty() {
            output::complain(&format!("rollouts in flight, which nobody drives until the next driver comes: {}", flying.join(", ")));
        }
    }
    session.close().await;
    ended.map(|_| 0).map_err(Failure::failed)
}

/// Rollouts that stand still once this process is gone.
fn in_flight(view: &FleetView, driven: &[&str]) -> Vec<String> {
    view.contexts
        .iter()
        .filter(|c| driven.contains(&c.name.as_str()))
        .flat_map(|c| {
            c.canaries.iter().filter(|canary| canary.phase.is_in_flight()).map(move |canary| Target::new(&c.name, &canary.key).to_string())
        })
        .collect()
}

pub(super) async fn snapshot(global: &Global) -> Outcome {
    let size = size(global)?;
    let session = session(global, false, true)?;
    let view = session.settled(PATIENCE).await;
    frame(global, &session, &view, size)
}

/// `--size` as columns and rows.
pub(super) fn size(global: &Global) -> Result<(u16, u16), Failure> {
    global
        .size
        .split_once('x')
        .and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)))
        .filter(|(w, h)| (1..=500).contains(w) && (1..=300).contains(h))
        .ok_or_else(|| Failure::usage(format!("--size {} is not COLUMNSxROWS, for example 120x36", global.size)))
}

/// Prints one frame of what `--snapshot` names.
pub(super) fn frame(global: &Global, session: &Session, view: &FleetView, (width, height): (u16, u16)) -> Outcome {
    let address = global.snapshot.as_deref().unwrap_or("fleet");
    let options = options(global)?;
    let frame = ui::still(view, address, (width, height), &options, session.settings.clock.now()).map_err(Failure::usage)?;
    if let Some(path) = &global.svg {
        let picture = ui::picture::svg(&frame, &format!("Pilothouse: {address}"));
        replay::made(path)?.write_all(picture.as_bytes()).map_err(Failure::failed)?;
        return Ok(0);
    }
    let frame = ui::text(&frame);
    output::print(&frame);
    if !frame.ends_with('\n') {
        output::print("\n");
    }
    Ok(0)
}
