//! A cluster with its applications, an operator and the engines that come and go: what plans and rehearsals are
//! played on.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::app::{self, App, GITOPS, Release, divided};
use super::check::{Checker, ENGINE};
use super::cluster::SimulatedCluster;
use super::line::{Line, Weather};
use super::process::Process;
use super::world::{MeshKind, Options as WorldOptions};
use crate::domain::driver::Drive;
use crate::domain::fleet::Engine;
use crate::domain::intent::{Intent, Verb};
use crate::domain::phase::Phase;
use crate::domain::status::CanaryStatus;
use crate::kubernetes::access::Access;
use crate::kubernetes::cluster::Policy;
use crate::kubernetes::error::ApiError;
use crate::kubernetes::json::{integer, text};
use crate::kubernetes::observe;
use crate::kubernetes::verbs::{self, Fate};
use crate::runner::clock::Clock;

/// When simulated time begins.
pub const ORIGIN: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Milliseconds between two applies of the other GitOps agent, where there is one.
const AGENT: u64 = 20_000;

/// A stage. Nothing on it touches anything outside this process.
pub struct Stage {
    /// The world's.
    pub clock: Clock,
    /// The engines', which may be set otherwise.
    pub engine_clock: Clock,
    pub cluster: SimulatedCluster,
    pub checker: Arc<Checker>,
    pub apps: Vec<App>,
    operator: Arc<Line>,
    access: Access,
    engines: u32,
    orders: u32,
    /// Orders that arrived, by application and id.
    pub arrived: Vec<(usize, String)>,
}

impl Stage {
    /// A cluster with `apps` in their first release, and nobody who drives it.
    ///
    /// # Errors
    /// What the API server refused.
    pub fn set(seed: u64, apps: Vec<App>) -> Result<Self, String> {
        let clock = Clock::simulated(ORIGIN, 1);
        let options = WorldOptions { seed, mesh: MeshKind::Istio, agent_interval: AGENT, ..WorldOptions::default() };
        let cluster = SimulatedCluster::start("stage", seed, &clock, options);
        let checker = Checker::follow(&cluster.server);
        let operator = Line::new(Arc::clone(&cluster.server), "operator", None);
        let access = Access::new(operator.client());
        let engine_clock = Clock::simulated(ORIGIN, 1);
        let stage = Self { clock, engine_clock, cluster, checker, apps, operator, access, engines: 0, orders: 0, arrived: Vec::new() };
        app::prepare(&stage.cluster.server, MeshKind::Istio).map_err(|e| e.to_string())?;
        for app in &stage.apps {
            stage.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": app.namespace}}))?;
        }
        for index in 0..stage.apps.len() {
            stage.release(index, &Release::new("1.0.0"), true)?;
            stage.apply(&stage.apps[index].canary())?;
        }
        Ok(stage)
    }

    fn apply(&self, object: &Value) -> Result<(), String> {
        app::apply(&self.cluster.server, GITOPS, object).map(|_| ()).map_err(|e| e.to_string())
    }

    /// Applies `release` of the n-th application.
    ///
    /// # Errors
    /// What the API server refused.
    pub fn release(&self, app: usize, release: &Release, first: bool) -> Result<(), String> {
        self.apps[app].objects(release, first).iter().try_for_each(|object| self.apply(object))
    }

    /// From now on the other GitOps agent applies these releases, one of each application, again and again.
    pub fn hand_over(&self, releases: &[Release]) {
        let objects = |(app, release): (&App, &Release)| app.objects(release, false).into_iter().chain([app.canary()]);
        let manifests = self.apps.iter().zip(releases).flat_map(objects).collect();
        self.cluster.world(|world| world.agent().set(manifests));
    }

    /// Opens or closes the gates of the n-th application that webhooks keep.
    pub fn gate(&self, app: usize, open: bool) {
        let app = &self.apps[app];
        self.cluster.world(|world| world.webhooks().gate(&app.namespace, &app.name, open));
    }

    /// Lets the n-th application's webhook order a rollback, or no longer.
    pub fn brake(&self, app: usize, on: bool) {
        let app = &self.apps[app];
        self.cluster.world(|world| world.webhooks().rollback(&app.namespace, &app.name, on));
    }

    /// Starts an engine under a name of its own.
    pub fn engine(&mut self) -> Process {
        self.engines += 1;
        let checker = Arc::downgrade(&self.checker);
        let witness = Arc::new(move || {
            if let Some(checker) = checker.upgrade() {
                checker.look();
            }
        });
        let policy = Policy::new(Drive::Auto, None, Engine::default());
        Process::start(&self.cluster.server, &format!("{ENGINE}{}", self.engines), &self.engine_clock, policy, Some(witness))
    }

    /// What becomes of the operator's requests.
    pub fn operator_weather(&self, weather: Option<Weather>) {
        self.operator.set_weather(weather);
    }

    /// The Canary of the n-th application.
    #[must_use]
    pub fn canary(&self, app: usize) -> Option<Arc<Value>> {
        let app = &self.apps[app];
        self.cluster.server.object("canaries.flagger.app", &app.namespace, &app.name)
    }

    #[must_use]
    pub fn status(&self, app: usize) -> CanaryStatus {
        self.canary(app).map(|canary| observe::status(&canary)).unwrap_or_default()
    }

    /// Verbs on the n-th application's Canary that have no verdict yet.
    #[must_use]
    pub fn has_open_orders(&self, app: usize) -> bool {
        self.canary(app).is_some_and(|canary| {
            let (good, broken) = observe::intents(&canary);
            !good.is_empty() || !broken.is_empty()
        })
    }

    fn deployment(&self, app: usize, suffix: &str) -> Option<Arc<Value>> {
        let app = &self.apps[app];
        self.cluster.server.object("deployments.apps", &app.namespace, &format!("{}{suffix}", app.name))
    }

    /// Tag of the image that the n-th application's primary runs.
    #[must_use]
    pub fn primary_tag(&self, app: usize) -> String {
        let image = self.deployment(app, "-primary").map(|d| text(&d, "/spec/template/spec/containers/0/image").to_owned());
        image.as_deref().and_then(|image| image.rsplit(':').next()).unwrap_or_default().to_owned()
    }

    /// Replicas wanted of the n-th application's target.
    #[must_use]
    pub fn target_replicas(&self, app: usize) -> i64 {
        self.deployment(app, "").and_then(|d| integer(&d, "/spec/replicas")).unwrap_or(0)
    }

    /// Percent that the n-th application's canary gets by its route; 0 where it has none.
    #[must_use]
    pub fn weight(&self, app: usize) -> i64 {
        let app = &self.apps[app];
        let route = app.router.resource().and_then(|resource| self.cluster.server.object(resource, &app.namespace, &app.name));
        route.and_then(|route| divided(&route, &app.name)).map_or(0, |(_, canary)| canary)
    }

    /// Sends a verb as an operator does who has just looked.
    ///
    /// # Errors
    /// It did not arrive, as far as the operator can tell.
    pub async fn order(&mut self, app: usize, verb: Verb) -> Result<String, ApiError> {
        self.orders += 1;
        let id = format!("order-{}", self.orders);
        let intent = Intent {
            id: id.clone(),
            verb,
            revision: self.status(app).last_applied_spec,
            who: "operator".into(),
            at: self.clock.now(),
            why: String::new(),
            gate: String::new(),
        };
        verbs::send(&self.access, &self.apps[app].key(), &intent).await?;
        self.arrived.push((app, id.clone()));
        Ok(id)
    }

    /// What became of an order.
    #[must_use]
    pub fn fate(&self, app: usize, id: &str) -> Fate {
        self.canary(app).map_or(Fate::Unknown, |canary| verbs::fate(&canary, id))
    }

    /// Does what a patient operator does: resumes what is paused, opens the gates that wait, and orders again what failed,
    /// for the first checks of a release may still have seen the requests of the one before.
    pub async fn attend(&mut self) {
        for app in 0..self.apps.len() {
            if self.has_open_orders(app) {
                continue;
            }
            let state = self.status(app).engine();
            // What does not arrive is sent again at the next look.
            if state.pause.is_some() {
                let _ = self.order(app, Verb::Resume).await;
            } else if state.waiting.keys().any(|gate| !gate.contains(' ')) {
                let _ = self.order(app, Verb::Approve).await;
            } else if self.status(app).phase == Phase::Failed && self.weight(app) == 0 {
                let _ = self.order(app, Verb::Retry).await;
            }
        }
    }

    /// Whether the n-th application has come through with the image `tag`, and nothing is left of the rollout.
    #[must_use]
    pub fn has_settled(&self, app: usize, tag: &str) -> bool {
        self.status(app).phase == Phase::Succeeded
            && self.primary_tag(app) == tag
            && self.weight(app) == 0
            && self.target_replicas(app) == 0
            && !self.has_open_orders(app)
    }

    /// How the n-th application stands, in a line.
    #[must_use]
    pub fn describe(&self, app: usize) -> String {
        let status = self.status(app);
        format!(
            "{}: {} at {} %, route {} %, primary {}, target {} pods, failed checks {}, {:?}",
            self.apps[app].name,
            status.phase,
            status.canary_weight,
            self.weight(app),
            self.primary_tag(app),
            self.target_replicas(app),
            status.failed_checks,
            status.engine().report
        )
    }

    /// Waits until `done` holds; `false` when `bound` passes first.
    pub async fn until(&self, bound: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let begun = self.clock.running();
        while !done(self) {
            if self.clock.running().saturating_sub(begun) > bound {
                return false;
            }
            self.clock.sleep(Duration::from_millis(250)).await;
        }
        true
    }
}

/// How long one rollout of `app` may take while nothing is in its way: its intervals, twice its deadlines, and what
/// a new holder of the lease waits.
#[must_use]
pub fn bound(app: &App) -> Duration {
    let steps = match app.way {
        super::app::Way::Weights { step, max, back } => {
            let up = u64::try_from(max / step.max(1)).unwrap_or(0) + 1;
            up + if back > 0 { u64::try_from(100 / back).unwrap_or(0) } else { 0 }
        }
        super::app::Way::Iterations(n) | super::app::Way::Matches(n) => u64::try_from(n).unwrap_or(0) + 2,
    };
    let checks = u64::try_from(app.threshold).unwrap_or(0);
    Duration::from_secs((steps + checks + 5) * app.interval + 3 * app.deadline + 120)
}
