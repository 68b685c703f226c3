//! Pilothouse: a terminal operations console, rollout engine and GitOps sync over many provider clusters.
//!
//! # Bird's eye
//!
//! A vendor releases a distribution (a Kustomize tree) as git tags; each provider's repository pins one of them for
//! its cluster. The *sync* renders what is pinned and applies it. The *engine* notices which workloads changed and
//! moves traffic to the new revision step by step, judged by metrics and gates, until it is promoted or rolled back.
//! The *console* shows all of it and takes an operator's verbs. One binary is all of these, with or without a terminal.
//!
//! ```text
//!            kubeconfig contexts        provider repositories
//!                   │                          │
//!   kubernetes (watch, apply, lease)    git ── kustomize (render)
//!                   │  observation             │  objects
//!                   └──────> runner <──────────┘       metrics, notify: answers
//!                              │  engine: (observation, now) -> one effect, when next, why
//!                           session: the fleet as seen, commands in
//!                    ┌─────────┼─────────┐
//!                   ui        cli      daemon
//! ```
//!
//! # Map
//!
//! In reading order. Each room's own page says what lives there, what never does, and which file to read first.
//!
//! | room | holds |
//! |---|---|
//! | [`domain`] | nouns: the Canary API, phases, revisions, intents, the fleet file; no IO, no clock |
//! | [`engine`] | verbs: one pure step of a rollout, the plan of a sync, and the rules both must keep |
//! | [`runner`] | the shell round the engine: ports, one task a canary, timers |
//! | [`kubernetes`] | everything that speaks to an API server: watches, observations, effects, lease, apply, CRDs |
//! | [`mesh`] | traffic routing, one file a router: pure functions over the route's JSON |
//! | [`metrics`] | the catalogue of built-in queries, and Prometheus |
//! | [`notify`] | webhooks, events and chat alerts |
//! | [`outbound`] | one bounded call to the outside, and where it may go |
//! | [`kustomize`] | a native, strict renderer: the bytes of `kustomize build`, or an error that names the feature |
//! | [`git`] | mirrors, refs, pins, and the one-line commit that moves a pin |
//! | [`session`] | the assembly that console, command line and daemon share: read model out, commands in |
//! | [`ui`] | the console: model, message, update, view |
//! | [`cli`] | arguments in, text or JSON and an exit code out |
//! | [`daemon`] | engine and sync without a terminal; probes and metrics over HTTP |
//! | [`simulation`] | a simulated fleet, for the demo and for tests: API servers in memory and the world round them |
//! | [`config`] | the fleet file, the settings, and the folders of this user |
//! | [`telemetry`] | logs |
//!
//! # Invariants
//!
//! - A decision is a pure function: the same observation at the same time gives the same step. Time is an argument,
//!   and maps in `domain` and `engine` are ordered.
//! - A step has at most one effect, an effect is one request that states a desired value, never an increment: a
//!   crash between any two ends where no crash would have.
//! - No data, an error or a timeout is never success.
//! - A canary has one driver. A Lease makes two writers rare; resourceVersions make them harmless.
//! - Every update carries the resourceVersion that was seen; a conflict means look again.
//! - A paused canary takes no step. What an operator asked for is on record in the status, with its verdict.
//! - Why something waits is typed data in a report, which the screens only draw.
//! - Strings of clusters and repositories are cleaned of control characters where they enter.
//! - Who may name whom is a table in `tests/tidy.rs`, and that test is the wall.
//!
//! # Follow one rollout
//!
//! 1. `domain/phase.rs`: the phases, and what each of them means.
//! 2. `engine/step.rs`: what happens next; in flight `engine/flight.rs`, which asks `engine/strategy` for its moves.
//! 3. `runner/rollouts.rs`: the loop of one canary: observe, step, perform, wait.
//! 4. `kubernetes/perform.rs`: one effect, one request; what was seen comes from `kubernetes/observe.rs`, routes by `mesh`.
//! 5. `ui/screens/canary.rs`: the same report and status, drawn.

pub mod domain;
pub mod engine;

pub mod runner;

pub mod kubernetes;
pub mod mesh;
pub mod metrics;
pub mod notify;
pub mod outbound;

pub mod kustomize;

pub mod git;

pub mod session;

pub mod ui;

pub mod cli;
pub mod daemon;

pub mod simulation;

pub mod config;
pub mod telemetry;
