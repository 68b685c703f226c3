//! Plays a [`Plan`] in virtual time, heals everything, and says what came of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::app::{Release, Router};
use super::line::{Asked, Trouble, Weather};
use super::plan::{End, Event, Plan, Spell};
use super::process::Process;
use super::stage::{Stage, bound};
use super::world::{MetricsFault, WebhookFault};
use crate::kubernetes::json::text;
use crate::kubernetes::verbs::Fate;

/// The release that everything has to come through with after healing.
const LAST: &str = "9.9.9";
/// How often the patient operator looks.
const LOOK: Duration = Duration::from_secs(5);
/// After it has come to rest, nothing may be written for this long.
const REST: Duration = Duration::from_mins(1);
/// How often a fight over replicas goes on.
const FIGHT: Duration = Duration::from_secs(3);

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Rules that were broken, and ends that were not reached.
    pub broken: Vec<String>,
    /// Two runs of one plan have the same.
    pub trace: u64,
    pub rollouts: u64,
    /// Simulated time.
    pub lasted: Duration,
    /// What happened, a line each.
    pub story: Vec<String>,
}

enum Act {
    Event(usize),
    Over(Spell),
    /// An engine comes (back).
    Start,
    RivalEnds,
    /// The next blow of a spell that hits again and again.
    Again(Spell, Duration),
}

/// Spells in force, with the dice of what they hit.
type Sky = Arc<Mutex<(fastrand::Rng, Vec<Spell>)>>;

struct Player<'a> {
    plan: &'a Plan,
    stage: Stage,
    sky: Sky,
    engine: Option<Process>,
    rival: Option<Process>,
    /// What was released last of each application.
    released: Vec<Release>,
    agenda: BTreeMap<(Duration, usize), Act>,
    numbered: usize,
    story: Vec<String>,
}

/// Plays `plan` to its end. Virtual time is the runtime's, paused.
///
/// # Errors
/// A plan that cannot happen, or a stage that cannot be set.
pub async fn play(plan: &Plan) -> Result<Outcome, String> {
    plan.check().map_err(|e| e.to_string())?;
    let stage = Stage::set(plan.seed, plan.apps.clone())?;
    let sky = Arc::new(Mutex::new((fastrand::Rng::with_seed(plan.seed ^ 0x5eed), Vec::new())));
    let released = vec![Release::new("1.0.0"); plan.apps.len()];
    let agenda = BTreeMap::new();
    let mut player = Player { plan, stage, sky, engine: None, rival: None, released, agenda, numbered: 0, story: Vec::new() };
    player.stage.operator_weather(Some(player.weather()));
    if plan.agent {
        player.stage.hand_over(&player.released);
    }
    player.put(Duration::ZERO, Act::Start);
    for (index, (at, _)) in plan.events.iter().enumerate() {
        player.put(*at, Act::Event(index));
    }
    while let Some(((at, _), act)) = player.agenda.pop_first() {
        player.sleep_until(at).await;
        player.act(at, act).await?;
    }
    player.sleep_until(plan.heal).await;
    player.heal().await;
    player.finish().await
}

impl Player<'_> {
    fn put(&mut self, at: Duration, act: Act) {
        self.numbered += 1;
        self.agenda.insert((at, self.numbered), act);
    }

    fn tell(&mut self, what: impl Into<String>) {
        self.story.push(format!("{:>7.1} s  {}", self.stage.clock.running().as_secs_f64(), what.into()));
    }

    async fn sleep_until(&self, at: Duration) {
        let now = self.stage.clock.running();
        if at > now {
            self.stage.clock.sleep(at.saturating_sub(now)).await;
        }
    }

    fn start(&mut self) -> Process {
        let process = self.stage.engine();
        process.line.set_weather(Some(self.weather()));
        process
    }

    /// The weather that the spells in force make, the same for all lines.
    fn weather(&self) -> Weather {
        let sky = Arc::clone(&self.sky);
        Arc::new(move |asked: &Asked<'_>| {
            let mut sky = sky.lock().unwrap_or_else(PoisonError::into_inner);
            let (dice, spells) = &mut *sky;
            spells.iter().find_map(|spell| strike(dice, spell, asked))
        })
    }

    fn spells(&self, edit: impl FnOnce(&mut Vec<Spell>)) {
        edit(&mut self.sky.lock().unwrap_or_else(PoisonError::into_inner).1);
    }

    async fn act(&mut self, at: Duration, act: Act) -> Result<(), String> {
        match act {
            Act::Start => {
                if self.engine.is_none() {
                    self.engine = Some(self.start());
                    self.tell("an engine starts");
                }
            }
            Act::RivalEnds => {
                if let Some(rival) = self.rival.take() {
                    rival.kill().await;
                    self.tell("the second engine is gone");
                }
            }
            Act::Over(spell) => {
                self.end_spell(&spell);
                self.tell(format!("{spell:?} is over"));
            }
            Act::Again(spell, until) => self.blow(at, spell, until),
            Act::Event(index) => {
                let (_, event) = self.plan.events[index].clone();
                self.tell(event.to_string());
                self.happen(at, event).await?;
            }
        }
        Ok(())
    }

    async fn happen(&mut self, at: Duration, event: Event) -> Result<(), String> {
        match event {
            Event::Release { app, release } => self.release(app, release)?,
            Event::Order { app, verb } => match self.stage.order(app, verb).await {
                Ok(id) => self.tell(format!("{id} arrived")),
                Err(error) => self.tell(format!("{verb} did not arrive: {error}")),
            },
            Event::End { how, down } => {
                if let Some(engine) = self.engine.take() {
                    match how {
                        End::Kill => engine.kill().await,
                        End::Stop => engine.stop().await,
                    }
                }
                self.put(at + down, Act::Start);
            }
            Event::Rival { lasts } => {
                if self.rival.is_none() {
                    self.rival = Some(self.start());
                    self.put(at + lasts, Act::RivalEnds);
                }
            }
            Event::Gate { app, open } => self.stage.gate(app, open),
            Event::Brake { app, on } => self.stage.brake(app, on),
            Event::Spell { what, lasts } => {
                self.begin_spell(at, &what, lasts);
                self.put(at + lasts, Act::Over(what));
            }
        }
        Ok(())
    }

    /// Applies a release, or lets the other GitOps agent do so.
    fn release(&mut self, app: usize, release: Release) -> Result<(), String> {
        self.released[app] = release;
        if self.plan.agent {
            self.stage.hand_over(&self.released);
            return Ok(());
        }
        self.stage.release(app, &self.released[app], false)
    }

    fn begin_spell(&mut self, at: Duration, spell: &Spell, lasts: Duration) {
        let now = self.stage.clock.now();
        let server = Arc::clone(&self.stage.cluster.server);
        match spell {
            Spell::Refused(_)
            | Spell::RepliesLost(_)
            | Spell::Answered(..)
            | Spell::Slow(_)
            | Spell::Silence(_)
            | Spell::MetricsSlow(_)
            | Spell::HooksSlow(_) => {
                self.spells(|spells| spells.push(spell.clone()));
            }
            Spell::WatchLag(lag) => server.set_watch_lag(Duration::from_millis(*lag)),
            Spell::Compacted => {
                server.compact();
                server.cut_watches();
            }
            Spell::WatchesCut(_) | Spell::Fight(_) => self.blow(at, spell.clone(), at + lasts),
            Spell::MetricsDown => self.stage.cluster.world(|world| world.faults().metrics = Some(MetricsFault::Down)),
            Spell::MetricsEmpty => self.stage.cluster.world(|world| world.faults().metrics = Some(MetricsFault::Empty)),
            Spell::MetricsNan => self.stage.cluster.world(|world| world.faults().metrics = Some(MetricsFault::NotANumber)),
            Spell::MetricsGarbage => self.stage.cluster.world(|world| world.faults().metrics = Some(MetricsFault::Garbage)),
            Spell::MetricsFrozen => {
                self.stage.checker.expect_lies();
                self.stage.cluster.world(|world| world.faults().metrics = Some(MetricsFault::Frozen(now)));
            }
            Spell::MetricsLie => {
                self.stage.checker.expect_lies();
                self.stage.cluster.world(|world| world.faults().metrics = Some(MetricsFault::AlwaysGood));
            }
            Spell::MetricsSlander => self.stage.cluster.world(|world| world.faults().metrics = Some(MetricsFault::AlwaysBad)),
            Spell::MeshStuck => {
                // Requests that do not follow the route say nothing of the canary.
                self.stage.checker.expect_lies();
                self.stage.cluster.world(|world| world.faults().mesh_stuck = true);
            }
            Spell::PodsLost(app) => {
                let app = &self.stage.apps[*app];
                self.stage.cluster.world(|world| {
                    for name in [app.name.clone(), format!("{}-primary", app.name)] {
                        world.faults().lose(&app.namespace, &name, None);
                    }
                });
            }
            Spell::HooksFail => self.stage.cluster.world(|world| world.faults().webhooks = Some(WebhookFault::Failing)),
            Spell::MetricsError => self.stage.cluster.world(|world| world.faults().metrics = Some(MetricsFault::ServerError)),
            Spell::HooksRefuse => self.stage.cluster.world(|world| world.faults().webhooks = Some(WebhookFault::Refusing)),
            Spell::ImagesGone(app) => {
                let image = format!("/{}:", self.stage.apps[*app].name);
                self.stage.cluster.world(|world| world.faults().break_image(&image));
            }
            Spell::ScalersFight => self.stage.cluster.world(|world| world.faults().autoscalers_fight = true),
            Spell::AgentFights(replicas) => self.stage.cluster.world(|world| world.agent().fight_over_replicas(Some(*replicas))),
            Spell::HandOnRoute(app, weight) => self.hand_on_route(*app, *weight),
            Spell::ClockSet(seconds) => self.stage.engine_clock.step(SignedDuration::from_secs(*seconds)),
        }
    }

    fn end_spell(&mut self, spell: &Spell) {
        self.spells(|spells| {
            if let Some(place) = spells.iter().position(|s| s == spell) {
                spells.remove(place);
            }
        });
        match spell {
            Spell::WatchLag(_) => self.stage.cluster.server.set_watch_lag(Duration::ZERO),
            Spell::MetricsDown
            | Spell::MetricsEmpty
            | Spell::MetricsNan
            | Spell::MetricsGarbage
            | Spell::MetricsFrozen
            | Spell::MetricsSlander
            | Spell::MetricsLie
            | Spell::MetricsError => self.stage.cluster.world(|world| world.faults().metrics = None),
            Spell::MeshStuck => self.stage.cluster.world(|world| world.faults().mesh_stuck = false),
            Spell::PodsLost(_) => self.stage.cluster.world(|world| world.faults().lost.clear()),
            Spell::HooksFail | Spell::HooksRefuse => self.stage.cluster.world(|world| world.faults().webhooks = None),
            Spell::ImagesGone(_) => self.stage.cluster.world(|world| world.faults().images.clear()),
            Spell::ScalersFight => self.stage.cluster.world(|world| world.faults().autoscalers_fight = false),
            Spell::AgentFights(_) => self.stage.cluster.world(|world| world.agent().fight_over_replicas(None)),
            Spell::ClockSet(seconds) => self.stage.engine_clock.step(SignedDuration::from_secs(-seconds)),
            _ => {}
        }
    }

    /// One blow of a spell that hits again until it is over.
    fn blow(&mut self, at: Duration, spell: Spell, until: Duration) {
        let server = &self.stage.cluster.server;
        let every = match &spell {
            Spell::WatchesCut(seconds) => {
                server.cut_watches();
                Duration::from_secs(*seconds)
            }
            Spell::Fight(app) => {
                let app = &self.stage.apps[*app];
                let path = format!("/apis/apps/v1/namespaces/{}/deployments/{}", app.namespace, app.name);
                // A refusal is one of the things that happen to whoever fights.
                let _ = server.call(
                    "fighter",
                    Method::PATCH,
                    &path,
                    "application/merge-patch+json",
                    Some(&json!({"spec": {"replicas": app.replicas}})),
                );
                FIGHT
            }
            _ => return,
        };
        if at + every < until {
            self.put(at + every, Act::Again(spell, until));
        }
    }

    fn hand_on_route(&mut self, app: usize, weight: i64) {
        let app = self.stage.apps[app].clone();
        let server = &self.stage.cluster.server;
        let (places, plural) = match app.router {
            Router::Istio => ("/spec/http/0/route", "virtualservices"),
            Router::Gateway => ("/spec/rules/0/backendRefs", "httproutes"),
            Router::Kubernetes => return,
        };
        let Some(route) = app.router.resource().and_then(|resource| server.object(resource, &app.namespace, &app.name)) else { return };
        let mut route = (*route).clone();
        let Some([primary, canary]) = route.pointer_mut(places).and_then(Value::as_array_mut).map(Vec::as_mut_slice) else { return };
        primary["weight"] = json!(100 - weight);
        canary["weight"] = json!(weight);
        let version = text(&route, "/apiVersion");
        let path = format!("/apis/{version}/namespaces/{}/{plural}/{}?fieldManager=kubectl-edit", app.namespace, app.name);
        let done = server.call("somebody", Method::PUT, &path, "application/json", Some(&route));
        if let Err(error) = done {
            self.tell(format!("the hand on the route was refused: {error}"));
        }
    }

    async fn heal(&mut self) {
        self.spells(Vec::clear);
        self.stage.cluster.world(|world| {
            world.faults().heal();
            world.agent().fight_over_replicas(None);
        });
        for app in 0..self.stage.apps.len() {
            self.stage.gate(app, true);
            self.stage.brake(app, false);
        }
        self.stage.cluster.server.set_watch_lag(Duration::ZERO);
        if let Some(rival) = self.rival.take() {
            rival.kill().await;
        }
        if self.engine.is_none() {
            self.engine = Some(self.start());
        }
        self.tell("all is healed");
    }

    /// One more release each, a patient operator, and the question whether everything comes to its end.
    async fn finish(mut self) -> Result<Outcome, String> {
        let apps = self.stage.apps.len();
        for app in 0..apps {
            self.release(app, Release::new(LAST))?;
        }
        // What is in flight ends first, and the last release after it.
        let bound = self.stage.apps.iter().map(bound).max().unwrap_or_default() * 2;
        let begun = self.stage.clock.running();
        let settled = |stage: &Stage| (0..apps).all(|app| stage.has_settled(app, LAST));
        while !settled(&self.stage) && self.stage.clock.running().saturating_sub(begun) < bound {
            self.stage.attend().await;
            self.stage.clock.sleep(LOOK).await;
        }
        for app in (0..apps).filter(|app| !self.stage.has_settled(*app, LAST)) {
            let how = self.stage.describe(app);
            self.stage.checker.complain(format!("L1: not at its end {} s after all was healed: {how}", bound.as_secs()));
        }
        for (app, id) in self.stage.arrived.clone() {
            if self.stage.fate(app, &id) == Fate::Waiting {
                self.stage.checker.complain(format!("S21: {id} of app {app} arrived and waits for its verdict still"));
            }
        }
        for refusal in self.stage.cluster.world(|world| world.agent().refusals().to_vec()) {
            self.stage.checker.complain(format!("the other GitOps agent was refused: {refusal}"));
        }
        let writes = |player: &Self| player.engine.as_ref().map_or(0, |engine| engine.line.writes());
        if self.stage.checker.broken().is_empty() {
            let before = writes(&self);
            self.stage.clock.sleep(REST).await;
            let more = writes(&self) - before;
            if more > 0 {
                self.stage.checker.complain(format!("L7: {more} writes in {} s of rest", REST.as_secs()));
            }
        }
        self.tell("the end");
        let checker = Arc::clone(&self.stage.checker);
        let outcome = Outcome {
            broken: checker.broken(),
            trace: checker.trace(),
            rollouts: checker.rollouts(),
            lasted: self.stage.clock.running(),
            story: std::mem::take(&mut self.story),
        };
        if let Some(engine) = self.engine.take() {
            engine.kill().await;
        }
        Ok(outcome)
    }
}

/// Whether `spell` hits this request, and how.
fn strike(dice: &mut fastrand::Rng, spell: &Spell, asked: &Asked<'_>) -> Option<Trouble> {
    let mut hits = |permille: u16| dice.u16(0..1_000) < permille;
    match spell {
        Spell::Refused(n) if hits(*n) => Some(Trouble::Refused),
        Spell::RepliesLost(n) if asked.is_write() && hits(*n) => Some(Trouble::ReplyLost),
        Spell::Answered(n, status) if hits(*n) => Some(Trouble::Answered(*status)),
        // A watch is slow by the lag of its events.
        Spell::Slow(by) if !asked.is_watch() => Some(Trouble::Late(Duration::from_millis(*by))),
        Spell::MetricsSlow(by) if asked.path.contains("/services/prometheus") => Some(Trouble::Late(Duration::from_millis(*by))),
        Spell::HooksSlow(by) if asked.path.contains("/services/loadtester") => Some(Trouble::Late(Duration::from_millis(*by))),
        Spell::Silence(n) if hits(*n) => Some(Trouble::Silence),
        _ => None,
    }
}
