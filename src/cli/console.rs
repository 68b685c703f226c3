//! The console, and one frame of it.

use std::io::{IsTerminal, Write as _};
use std::sync::Arc;

use super::{Failure, Global, Outcome, PATIENCE, config, output, remembering_session, replay, session};
use crate::config as files;
use crate::domain::target::Target;
use crate::domain::text::clean;
use crate::session::fleet::Session;
use crate::session::operations::Operator;
use crate::session::questions::{Desk, LogLevel, LogLine};
use crate::session::view::FleetView;
use crate::telemetry::{crash, recent};
use crate::ui::{self, Colour, Options, Port, Surroundings, looks, record, theme};

pub(super) fn options(global: &Global) -> Result<Options, Failure> {
    let record = global.record.as_ref().map(|path| {
        let file = record::create(path);
        file.map(Arc::new).map_err(|error| Failure::usage(format!("cannot record to {}: {error}", path.display())))
    });
    let looks = config::load(files::config_folder().as_deref());
    Ok(Options {
        record: record.transpose()?,
        read_only: global.read_only,
        contexts: Vec::new(),
        crash: Some(ui::Crash::new(crash::report)),
        mouse: !global.no_mouse && looks.mouse,
        surroundings: Surroundings::detect(variable),
        editor: ["VISUAL", "EDITOR"].into_iter().filter_map(variable).find(|name| !name.trim().is_empty()).unwrap_or_else(|| "vi".into()),
        // What the settings say besides is heard while the console runs, too.
        ascii: global.ascii || (looks.ascii.is_none() && theme::ascii_is_wanted(variable)),
        colour: Colour::detect(variable),
        background: variable("COLORFGBG").and_then(|value| theme::background_hint(&value)).unwrap_or_default(),
        ask_background: looks.dark.name() != looks.light.name() && theme::asks_background(variable),
        arm_for: looks.arm_for,
        looks: looks::fixed(looks),
        login: login(global),
    })
}

/// The command that logs in to a context named behind it: this program, with the same kubeconfig.
fn login(global: &Global) -> Vec<String> {
    let Some(program) = std::env::current_exe().ok().and_then(|path| path.into_os_string().into_string().ok()) else { return Vec::new() };
    let mut words = vec![program];
    if let Some(path) = global.kubeconfig.as_ref().and_then(|path| path.to_str()) {
        words.extend(["--kubeconfig".into(), path.into()]);
    }
    words.push("login".into());
    words
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub(super) async fn run(global: &Global) -> Outcome {
    needs_terminal()?;
    let options = options(global)?;
    let session = remembering_session(global, global.drive)?;
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
pub(super) async fn over(session: Arc<Session>, mut options: Options, warn: bool) -> Outcome {
    if let Some(folder) = files::config_folder() {
        let first = options.looks.borrow().as_ref().clone();
        options.looks = files::settings::follow(folder, first);
    }
    let (operator, outcomes) = Operator::new(Arc::clone(&session), true);
    let view = session.view();
    let clock = session.settings.clock.clone();
    let (desk, answers) = Desk::new(Arc::clone(&session), Arc::clone(&operator), Box::new(log));
    let port = Port {
        view: view.clone(),
        outcomes,
        clock,
        send: Box::new(move |command| operator.send(command)),
        answers,
        ask: Box::new(move |question| desk.ask(question)),
    };
    let ended = ui::run(port, options).await;
    let contexts = session.contexts();
    if warn && contexts.iter().any(|c| c.lease().is_some()) {
        let driven: Vec<_> = contexts.iter().filter(|c| c.lease().is_some()).map(|c| c.name.as_str()).collect();
        let flying = in_flight(&view.borrow(), &driven);
        if !flying.is_empty() {
            output::complain(&format!("rollouts in flight, which nobody drives until the next driver comes: {}", flying.join(", ")));
        }
    }
    session.close().await;
    ended.map(|_| 0).map_err(Failure::failed)
}

/// The log of this process, as the console takes it.
fn log() -> Vec<LogLine> {
    let level = |level: &str| match level {
        "ERROR" => LogLevel::Error,
        "WARN" => LogLevel::Warn,
        "INFO" => LogLevel::Info,
        _ => LogLevel::Debug,
    };
    let line = |line: recent::Line| LogLine {
        number: line.number,
        at: line.at,
        level: level(line.level.as_str()),
        from: line.from.into(),
        text: clean(&line.text),
    };
    recent::lines().into_iter().map(line).collect()
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
