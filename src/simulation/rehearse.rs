//! Crash after every write: one rollout from its start to its end, undisturbed, and again with the engine ended after
//! its k-th write or the answer to it lost. The end has to be the same, and so has what was made and deleted on the
//! way (Sieve's oracles, reliability-performance §1.1).

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::app::{App, Pods, Release};
use super::check::Lives;
use super::kinds::{self, Feature};
use super::line::{Asked, Trouble};
use super::process::Process;
use super::stage::{Stage, bound};
use crate::domain::intent::Verb;
use crate::domain::phase::Phase;
use crate::domain::revision::Revision;
use crate::kubernetes::verbs::Fate;

/// Something done, or waited for, in a rollout.
#[derive(Clone, Debug)]
pub enum Act {
    Release(Release),
    /// An order, and its verdict waited for.
    Order(Verb),
    Phase(Phase),
    /// Gates that webhooks keep open, or close again.
    Gate(bool),
    /// The webhook that can order a rollback does.
    Brake,
    /// The route gives the canary at least so many percent.
    Weight(i64),
    /// So many checks have failed.
    Failed(i64),
    /// The phase is this one and nothing more is to be done.
    Rest(Phase),
}

/// A rollout to be rehearsed.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    pub name: String,
    pub app: App,
    pub acts: Vec<Act>,
}

/// Where a run is disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    None,
    /// The engine ends right after its n-th write, and another one starts.
    EndAfter(u64),
    /// The n-th write is carried out, and the engine never hears so.
    ReplyLost(u64),
}

/// How a rehearsal ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Everything in the namespace, what differs by nature masked.
    pub state: Value,
    pub lives: Lives,
    /// Writes of the first engine.
    pub writes: u64,
    pub broken: Vec<String>,
}

/// Every strategy on every router that has it, with each of its outcomes; then what else can happen to a rollout.
#[must_use]
pub fn all() -> Vec<Rehearsal> {
    kinds::strategies().into_iter().flat_map(|(name, app)| outcomes(name, app)).chain(incidents()).collect()
}

/// What can become of a rollout: promoted, rolled back by its checks, its deadline or an order.
fn outcomes(name: &'static str, app: App) -> Vec<Rehearsal> {
    use Act::{Order, Phase as Enters, Release as Ship, Rest};
    let rehearsal = |outcome: &str, acts| Rehearsal { name: format!("{name}, {outcome}"), app: app.clone(), acts };
    let crash = Release { pods: Pods::Crash, ..Release::new("1.1.0") };
    let good = || Ship(Release::new("1.1.0"));
    vec![
        rehearsal("promoted", vec![good(), Rest(Phase::Succeeded)]),
        rehearsal("rolled back", vec![Ship(Release::new("1.1.0-bad")), Rest(Phase::Failed)]),
        rehearsal("crashing", vec![Ship(crash), Rest(Phase::Failed)]),
        rehearsal("aborted", vec![good(), Enters(Phase::Progressing), Order(Verb::Abort), Rest(Phase::Failed)]),
    ]
}

/// What else can happen, each on one router.
fn incidents() -> Vec<Rehearsal> {
    use Act::{Failed, Gate, Order, Release as Ship, Rest, Weight};
    let istio = || kinds::with(&[]);
    let good = || Ship(Release::new("1.1.0"));
    let bad = || Ship(Release::new("1.1.0-bad"));
    let crash = || Ship(Release { pods: Pods::Crash, ..Release::new("1.1.0") });
    let rehearsal = |name: &str, app, acts| Rehearsal { name: name.into(), app, acts };
    let (promoted, failed) = (|| Rest(Phase::Succeeded), || Rest(Phase::Failed));
    let gate = |phase| [Act::Phase(phase), Order(Verb::Approve)];
    let gated = || kinds::with(&[Feature::Gates]);
    let mut through_gates = vec![good()];
    through_gates.extend(gate(Phase::Waiting));
    through_gates.extend(gate(Phase::WaitingPromotion));
    through_gates.push(promoted());
    let through_hooks = vec![
        good(),
        Act::Phase(Phase::Waiting),
        Gate(true),
        Weight(20),
        Gate(false),
        Act::Phase(Phase::WaitingPromotion),
        Gate(true),
        promoted(),
    ];
    vec![
        rehearsal("slow", istio(), vec![Ship(Release::new("1.1.0-slow")), failed()]),
        rehearsal("back in steps", kinds::with(&[Feature::BackInSteps]), vec![good(), promoted()]),
        rehearsal("gates, approved", gated(), through_gates),
        rehearsal("gates, rejected", gated(), vec![good(), Act::Phase(Phase::Waiting), Order(Verb::Reject), failed()]),
        rehearsal("gates of webhooks", kinds::with(&[Feature::HookGates]), through_hooks),
        rehearsal("rolled back by a webhook", kinds::with(&[Feature::RollbackHook]), vec![good(), Weight(20), Act::Brake, failed()]),
        rehearsal("aborted under way", istio(), vec![good(), Weight(20), Order(Verb::Abort), failed()]),
        rehearsal("paused and resumed", istio(), vec![good(), Weight(20), Order(Verb::Pause), Order(Verb::Resume), promoted()]),
        rehearsal("promoted by order", istio(), vec![bad(), Failed(1), Order(Verb::Promote), promoted()]),
        rehearsal("retried", istio(), vec![bad(), failed(), Order(Verb::Retry), failed()]),
        rehearsal("another revision in mid-run", istio(), vec![good(), Weight(20), Ship(Release::new("1.2.0")), promoted()]),
        rehearsal(
            "configuration alone",
            kinds::with(&[Feature::Configured]),
            vec![Ship(Release { setting: "loud".into(), ..Release::new("1.0.0") }), promoted()],
        ),
        rehearsal("webhooks", kinds::with(&[Feature::Hooks]), vec![good(), promoted()]),
        rehearsal("webhooks of every type", kinds::with(&[Feature::Hooks, Feature::AllHooks, Feature::Events]), vec![good(), promoted()]),
        rehearsal("held without data", kinds::with(&[Feature::HeldWithoutData]), vec![good(), promoted()]),
        rehearsal("skipped, promoted", kinds::with(&[Feature::Skip]), vec![good(), promoted()]),
        rehearsal("skipped, crashing", kinds::with(&[Feature::Skip]), vec![crash(), failed()]),
        rehearsal("scaler, promoted", kinds::with(&[Feature::Scaler]), vec![good(), promoted()]),
        rehearsal("scaler, rolled back", kinds::with(&[Feature::Scaler]), vec![bad(), failed()]),
        rehearsal("with a finalizer", kinds::with(&[Feature::Finalizer]), vec![good(), promoted()]),
    ]
}

/// Plays `rehearsal` once. Virtual time is the runtime's, paused.
///
/// # Errors
/// A stage that cannot be set, or an act that never came.
pub async fn rehearse(rehearsal: &Rehearsal, disturbance: Disturbance) -> Result<Ended, String> {
    let mut stage = Stage::set(7, vec![rehearsal.app.clone()])?;
    let engine = stage.engine();
    match disturbance {
        Disturbance::None => {}
        Disturbance::EndAfter(n) => engine.line.end_after(n),
        Disturbance::ReplyLost(n) => {
            engine.line.set_weather(Some(std::sync::Arc::new(move |asked: &Asked<'_>| (asked.write == n).then_some(Trouble::ReplyLost))));
        }
    }
    let mut cast = Cast { bound: bound(&rehearsal.app), engine, writes: None };
    cast.wait(&mut stage, "initialised", |stage| rests(stage, Phase::Initialized)).await?;
    for act in &rehearsal.acts {
        match act {
            Act::Release(release) => stage.release(0, release, false)?,
            Act::Order(verb) => {
                let id = stage.order(0, *verb).await.map_err(|e| e.to_string())?;
                cast.wait(&mut stage, verb.word(), |stage| matches!(stage.fate(0, &id), Fate::Settled(_))).await?;
            }
            Act::Gate(open) => stage.gate(0, *open),
            Act::Brake => stage.brake(0, true),
            Act::Phase(phase) => cast.wait(&mut stage, phase.word(), |stage| stage.status(0).phase == *phase).await?,
            Act::Weight(weight) => cast.wait(&mut stage, "its weight", |stage| stage.status(0).canary_weight >= *weight).await?,
            Act::Failed(checks) => cast.wait(&mut stage, "failed checks", |stage| stage.status(0).failed_checks >= *checks).await?,
            Act::Rest(phase) => cast.wait(&mut stage, phase.word(), |stage| rests(stage, *phase)).await?,
        }
    }
    // What is still under way, post-rollout hooks and Events for example, gets its time.
    stage.clock.sleep(Duration::from_secs(40)).await;
    let writes = cast.writes.unwrap_or_else(|| cast.engine.line.writes());
    let ended = Ended { state: state(&stage), lives: stage.checker.lives(), writes, broken: stage.checker.broken() };
    cast.engine.kill().await;
    Ok(ended)
}

/// The engine that is on, and what is known of the first one.
struct Cast {
    bound: Duration,
    engine: Process,
    writes: Option<u64>,
}

impl Cast {
    /// Waits for `done`; an engine that ends meanwhile is followed by another.
    async fn wait(&mut self, stage: &mut Stage, what: &str, done: impl Fn(&Stage) -> bool) -> Result<(), String> {
        loop {
            let ended = {
                let line = std::sync::Arc::clone(&self.engine.line);
                tokio::select! {
                    biased;
                    () = line.ended() => true,
                    came = stage.until(self.bound, &done) => {
                        return if came { Ok(()) } else { Err(format!("{what} did not come: {}", stage.describe(0))) };
                    }
                }
            };
            if ended {
                let next = stage.engine();
                let old = std::mem::replace(&mut self.engine, next);
                self.writes.get_or_insert(old.line.writes());
                old.kill().await;
            }
        }
    }
}

/// The rollout is over: the phase, the route and the pods say so.
fn rests(stage: &Stage, phase: Phase) -> bool {
    stage.status(0).phase == phase
        && stage.target_replicas(0) == 0
        && stage.weight(0) == 0
        && !stage.has_open_orders(0)
        && stage.status(0).engine().going_down.is_none()
}

/// Kinds whose end state counts. Events follow from the status, leases and `ReplicaSets` are other people's.
const KINDS: [&str; 9] = [
    "canaries.flagger.app",
    "deployments.apps",
    "services",
    "configmaps",
    "secrets",
    "virtualservices.networking.istio.io",
    "destinationrules.networking.istio.io",
    "httproutes.gateway.networking.k8s.io",
    "horizontalpodautoscalers.autoscaling",
];

/// Everything in the namespace by kind and name, what differs by nature masked.
fn state(stage: &Stage) -> Value {
    let mut all = json!({});
    for kind in KINDS {
        for object in stage.cluster.server.objects(kind) {
            let name = format!("{kind} {}", object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default());
            let mut object = (*object).clone();
            if !matches!(kind, "canaries.flagger.app" | "httproutes.gateway.networking.k8s.io") {
                object["status"] = Value::Null;
            }
            for field in ["uid", "resourceVersion", "generation"] {
                object["metadata"][field] = Value::Null;
            }
            mask(&mut object);
            all[name] = object;
        }
    }
    all
}

/// Times, uids, and what is made of them.
fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                if key == "uid" || key == "clusterIP" || key == "clusterIPs" {
                    *field = Value::Null;
                } else if key == "finding" {
                    // What was measured depends on the moment, and of two deadlines that run out in one either is first.
                    *field = json!("a finding");
                } else {
                    mask(field);
                }
                if let ("managedFields", Value::Array(entries)) = (key.as_str(), field) {
                    // They stand there by time.
                    entries.sort_by_key(ToString::to_string);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::String(text) => {
            if let Some(masked) = masked(text) {
                *value = masked;
            }
        }
        _ => {}
    }
}

fn masked(text: &str) -> Option<Value> {
    if text.parse::<Timestamp>().is_ok() {
        return Some(json!("a time"));
    }
    if let Some(revision) = Revision::parse(text) {
        // Its generation counts the writes on the way.
        return Some(json!(revision.hash));
    }
    // The engine's own state is JSON in a condition's message.
    if text.starts_with('{') {
        let mut inner: Value = serde_json::from_str(text).ok()?;
        mask(&mut inner);
        return Some(inner);
    }
    if let Some((what, _)) = text.split_once("canary not ready: ") {
        // Two deadlines run out in one moment, and either may be seen first.
        return Some(json!(format!("{what}canary not ready")));
    }
    // What was measured depends on the moment.
    let measured = |word: &str| word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with(['%', 's']);
    if text.split(' ').any(measured) {
        return Some(json!(text.split(' ').map(|word| if measured(word) { "so much" } else { word }).collect::<Vec<_>>().join(" ")));
    }
    None
}
