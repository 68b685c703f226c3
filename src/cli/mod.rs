//! The command line: arguments in, text or JSON and an exit code out.
//!
//! One file a group of commands; this one holds the arguments and the way from them to a session.
//! Exit codes: 0 fine, 1 failed, 2 usage, 3 waits for a human, 4 part of the fleet unreachable, 5 refused.

mod bump;
mod config;
mod console;
mod crds;
mod demo;
mod login;
mod man;
mod output;
mod plain;
mod render;
mod replay;
mod status;
mod verbs;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::domain::intent::Verb;
use crate::kubernetes::contexts::Contexts;
use crate::session::Clock;
use crate::session::fleet::{Session, Settings};
use crate::{config as files, telemetry};
pub use output::Format;

/// A terminal operations console and rollout engine for GitOps progressive delivery over many clusters.
///
/// Without a command it is the console over every kubeconfig context, or over the fleet file.
#[derive(Parser, Debug)]
#[command(name = "pilothouse", version, args_conflicts_with_subcommands = false)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args, Debug, Clone)]
struct Global {
    /// Kubeconfig file; else KUBECONFIG, else ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Only this context (repeat for several)
    #[arg(long, global = true, value_name = "NAME")]
    context: Vec<String>,
    /// Fleet file
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prometheus of every context that the fleet file does not give one
    #[arg(long, global = true, value_name = "URL")]
    prometheus: Option<String>,
    /// Router for Canaries that name no provider
    #[arg(long, global = true, value_name = "NAME")]
    mesh: Option<String>,
    /// Namespace of the Lease and of the sync's records
    #[arg(long, global = true, value_name = "NAME", default_value = crate::kubernetes::lease::NAMESPACE)]
    lease_namespace: String,
    /// Write nothing, whatever is asked
    #[arg(long, global = true)]
    read_only: bool,
    /// Why: goes into events, verdicts and commit messages
    #[arg(long, global = true, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Say what would be done, and do nothing
    #[arg(long, global = true)]
    dry_run: bool,
    /// Form of the output
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Run the engine and the sync without a terminal, until SIGTERM
    #[arg(long)]
    daemon: bool,
    /// Let the console drive every context from the start
    #[arg(long)]
    drive: bool,
    /// Address of the daemon's /healthz, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Print one frame of SCREEN (fleet, versions, gates, events, log, help, provider/CONTEXT, canary/TARGET or why/TARGET) and exit
    #[arg(long, value_name = "SCREEN")]
    snapshot: Option<String>,
    /// Print what changes as lines instead of drawing, until a signal; `-o json` for one object a line
    #[arg(long, conflicts_with_all = ["daemon", "snapshot", "record"])]
    plain: bool,
    /// Write that frame as a picture instead
    #[arg(long, value_name = "FILE", requires = "snapshot")]
    svg: Option<PathBuf>,
    /// Record the console into FILE, which `pilothouse replay` plays
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Size of the frame
    #[arg(long, value_name = "COLUMNSxROWS", default_value = "120x36")]
    size: String,
    /// Draw ASCII only
    #[arg(long)]
    ascii: bool,
    /// Leave the mouse to the terminal
    #[arg(long)]
    no_mouse: bool,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// The fleet: providers, versions, sync, canaries, what needs a human
    Status,
    /// Why one canary stands where it stands
    Why {
        target: String,
        /// As a Markdown report for an incident
        #[arg(long)]
        md: bool,
    },
    /// Skip the rest of the analysis and make this revision the primary
    Promote { target: String },
    /// Hold the rollout where it is
    Pause { target: String },
    /// Go on after a pause
    Resume { target: String },
    /// Send all traffic to the primary and give this revision up
    Abort { target: String },
    /// Start the failed revision again
    Retry { target: String },
    /// Gates that wait for a human
    Gates,
    /// Open the gate that waits, for this revision only
    Approve {
        target: String,
        /// The gate meant, where several wait
        #[arg(long, default_value = "")]
        gate: String,
    },
    /// Refuse the gate that waits and give this revision up
    Reject {
        target: String,
        #[arg(long, default_value = "")]
        gate: String,
    },
    /// Refs on offer, ref pinned, ref applied, ref promoted
    Versions { providers: Vec<String> },
    /// Stop the line: abort every rollout in flight, in all contexts or those of --context
    Stop {
        /// `abort N`, with the number of rollouts that there are; without it they are listed
        #[arg(long, value_name = "abort N", default_value = "")]
        confirm: String,
    },
    /// Edit pins, commit, push
    Bump {
        /// The ref to pin
        reference: String,
        /// The provider whose pin moves (repeat for several)
        #[arg(long = "provider", required = true, value_name = "NAME")]
        providers: Vec<String>,
    },
    /// Log in to contexts whose credential plugin waits for a person
    Login {
        /// Contexts; all that have such a plugin when none is named
        contexts: Vec<String>,
        /// Only those whose plugin gives no credential now
        #[arg(long)]
        expired: bool,
    },
    /// Render a kustomization: a folder, or a URL with ?ref=
    Render { path: String },
    /// The CRDs of group flagger.app: printed, or installed into every context
    Crds {
        #[arg(long)]
        install: bool,
    },
    /// The console over a simulated fleet: no cluster, no network, nothing to install
    Demo(demo::Demo),
    /// Settings, themes and keys: mistakes, places, what is bound
    Config {
        #[command(subcommand)]
        what: config::Config,
    },
    /// A recording of a console, played again: space pauses, + and - change the speed, q leaves
    Replay(replay::Replay),
    /// Completions for a shell
    Completions { shell: clap_complete::Shell },
    /// The man page, in roff
    Man,
}

/// A command's failure: what to print and with which code to end.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub message: String,
}

impl Failure {
    fn failed(message: impl ToString) -> Self {
        Self { code: 1, message: message.to_string() }
    }

    fn usage(message: impl ToString) -> Self {
        Self { code: 2, message: message.to_string() }
    }

    fn refused(message: impl ToString) -> Self {
        Self { code: 5, message: message.to_string() }
    }
}

type Outcome = Result<u8, Failure>;

/// How long a one-shot command waits for late contexts.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Every watch is a connection; the soft limit of most shells is too low for a fleet.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let logs = if cli.global.daemon { telemetry::to_stdout() } else { telemetry::to_file(&files::state_folder()) };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if matches!(cli.command, Some(Command::Demo(_))) {
        // Its repositories are folders of this machine: nothing hangs, and each thread more is memory.
        builder.max_blocking_threads(2);
    }
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("pilothouse: cannot start: {error}"));
            return ExitCode::from(1);
        }
    };
    let done = runtime.block_on(run(cli));
    // Transfers in child processes end with their deadlines; nobody waits for them here.
    runtime.shutdown_timeout(Duration::from_millis(200));
    drop(logs);
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            output::complain(&format!("pilothouse: {}", failure.message));
            ExitCode::from(failure.code)
        }
    }
}

async fn run(cli: Cli) -> Outcome {
    let global = cli.global;
    match cli.command {
        None if global.daemon => crate::daemon::run(settings(&global, true, false)?, contexts(&global)?, &global.listen)
            .await
            .map_err(|e| Failure { code: e.code(), message: e.to_string() }),
        None if global.snapshot.is_some() => console::snapshot(&global).await,
        None if global.plain => plain::run(&global).await,
        None => console::run(&global).await,
        Some(Command::Status) => status::status(&global).await,
        Some(Command::Gates) => status::gates(&global).await,
        Some(Command::Versions { providers }) => status::versions(&global, &providers).await,
        Some(Command::Why { target, md }) => why::why(&global, &target, md).await,
        Some(Command::Promote { target }) => verbs::verb(&global, Verb::Promote, &target, "").await,
        Some(Command::Pause { target }) => verbs::verb(&global, Verb::Pause, &target, "").await,
        Some(Command::Resume { target }) => verbs::verb(&global, Verb::Resume, &target, "").await,
        Some(Command::Abort { target }) => verbs::verb(&global, Verb::Abort, &target, "").await,
        Some(Command::Retry { target }) => verbs::verb(&global, Verb::Retry, &target, "").await,
        Some(Command::Approve { target, gate }) => verbs::verb(&global, Verb::Approve, &target, &gate).await,
        Some(Command::Reject { target, gate }) => verbs::verb(&global, Verb::Reject, &target, &gate).await,
        Some(Command::Stop { confirm }) => verbs::stop(&global, &confirm).await,
        Some(Command::Bump { reference, providers }) => bump::bump(&global, &reference, &providers).await,
        Some(Command::Login { contexts, expired }) => login::login(&global, &contexts, expired).await,
        Some(Command::Render { path }) => render::render(&path).await,
        Some(Command::Crds { install }) => crds::crds(&global, install).await,
        Some(Command::Demo(demo)) => demo::run(&global, &demo).await,
        Some(Command::Config { what }) => config::config(&global, &what),
        Some(Command::Replay(replay)) => replay::run(&global, &replay).await,
        Some(Command::Completions { shell }) => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "pilothouse", &mut text);
            output::print(&String::from_utf8_lossy(&text));
            Ok(0)
        }
        Some(Command::Man) => man::man(Cli::command()),
    }
}

fn contexts(global: &Global) -> Result<Contexts, Failure> {
    Contexts::read(global.kubeconfig.as_deref()).map_err(Failure::usage)
}

fn settings(global: &Global, drive: bool, series: bool) -> Result<Settings, Failure> {
    Ok(Settings {
        fleet: files::fleet(global.config.as_deref()).map_err(Failure::usage)?,
        only: global.context.clone(),
        mesh: global.mesh.clone(),
        prometheus: global.prometheus.clone(),
        lease_namespace: global.lease_namespace.clone(),
        drive: drive && !global.read_only,
        series,
        remember: None,
        in_cluster: std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
        cache: files::cache_folder(),
        identity: identity(),
        clock: Clock::wall(),
        figures: std::sync::Arc::default(),
        environment: std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect(),
    })
}

fn session(global: &Global, drive: bool, series: bool) -> Result<std::sync::Arc<Session>, Failure> {
    let (settings, contexts) = (settings(global, drive, series)?, contexts(global)?);
    Session::start(settings, contexts).map_err(Failure::usage)
}

/// A session for the console: the fleet of the last one is shown until the live one arrives.
fn remembering_session(global: &Global, drive: bool) -> Result<std::sync::Arc<Session>, Failure> {
    let (mut settings, contexts) = (settings(global, drive, true)?, contexts(global)?);
    let fleet_file = global.config.clone().or_else(files::default_fleet_file).unwrap_or_default();
    let narrowed = global.context.join(",");
    settings.remember = contexts.key().map(|key| format!("{key}\n{}\n{narrowed}", fleet_file.display()));
    Session::start(settings, contexts).map_err(Failure::usage)
}

/// `HOST_PID`: what other holders are told of us.
fn identity() -> String {
    let host = std::fs::read_to_string("/etc/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let host = crate::domain::text::clean(host.trim());
    let started = jiff::Timestamp::now().as_millisecond();
    format!("{}_{}_{started:x}", if host.is_empty() { "pilothouse" } else { &host }, std::process::id())
}
