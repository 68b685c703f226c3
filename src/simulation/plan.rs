//! What happens to a simulated cluster: releases, orders, spells of trouble, ends of processes; drawn from a seed, and
//! told as a story.

use std::fmt;
use std::time::Duration;

use super::app::{App, Pods, Release, Router, Way, is_bad};
use crate::domain::canary::HookKind;
use crate::domain::intent::Verb;

mod wide;

/// A spell of trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spell {
    /// So many requests in a thousand never arrive.
    Refused(u16),
    /// So many in a thousand are carried out, and their answers are lost.
    RepliesLost(u16),
    /// So many in a thousand are answered with this status by something on the way.
    Answered(u16, u16),
    /// Requests take so many milliseconds.
    Slow(u64),
    /// So many in a thousand are never answered.
    Silence(u16),
    /// Watches show everything so many milliseconds later.
    WatchLag(u64),
    /// Watches break off every so many seconds.
    WatchesCut(u64),
    /// The server forgets its history, and its watches break off.
    Compacted,
    /// Prometheus refuses.
    MetricsDown,
    /// It has no samples.
    MetricsEmpty,
    /// It says NaN.
    MetricsNan,
    /// It answers something that is no answer.
    MetricsGarbage,
    /// It says what it said before.
    MetricsFrozen,
    /// It says that all is well, whatever is.
    MetricsLie,
    /// It says that nothing works, whatever does.
    MetricsSlander,
    /// It takes so many milliseconds.
    MetricsSlow(u64),
    /// The mesh does not follow its routes.
    MeshStuck,
    /// Pods of the n-th application, primary included, are not ready.
    PodsLost(usize),
    /// Webhooks fail.
    HooksFail,
    /// They take so many milliseconds.
    HooksSlow(u64),
    /// Somebody scales the n-th application's target every few seconds.
    Fight(usize),
    /// Somebody gives the canary of the n-th application so many percent by hand, once.
    HandOnRoute(usize, i64),
    /// The engines' clock is wrong by so many seconds, and then set right.
    ClockSet(i64),
    /// Prometheus answers with an error of its own.
    MetricsError,
    /// Nobody is there to take webhooks.
    HooksRefuse,
    /// Images of the n-th application cannot be pulled.
    ImagesGone(usize),
    /// Autoscalers jump between their bounds.
    ScalersFight,
    /// The other GitOps agent wants so many replicas of every Deployment that it applies.
    AgentFights(i64),
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Kill,
    Stop,
}

/// Something that happens, at a time since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Release {
        app: usize,
        release: Release,
    },
    Order {
        app: usize,
        verb: Verb,
    },
    /// A spell, and how long it lasts.
    Spell {
        what: Spell,
        lasts: Duration,
    },
    /// The engine ends, and another one comes after a while.
    End {
        how: End,
        down: Duration,
    },
    /// A second engine runs beside it for a while.
    Rival {
        lasts: Duration,
    },
    /// Webhooks open an application's gates, or close them.
    Gate {
        app: usize,
        open: bool,
    },
    /// An application's webhook orders a rollback, or no longer.
    Brake {
        app: usize,
        on: bool,
    },
}

/// The plan of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub seed: u64,
    pub apps: Vec<App>,
    /// Another GitOps agent applies what was released last, from the start to the end; else it is applied once.
    pub agent: bool,
    /// In order of time.
    pub events: Vec<(Duration, Event)>,
    /// From here on nothing goes wrong, and everything has to come to its end.
    pub heal: Duration,
}

/// A plan that cannot happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("the plan has no application: nothing can happen to none")]
    NoApps,
    #[error("application {name}: {why}")]
    NoSuchKind { name: String, why: &'static str },
    #[error("two applications are called {0}: give each its own name")]
    SameName(String),
    #[error("at {at} s {what} is about application {app}, and there are {known}")]
    NoSuchApp { at: u64, what: &'static str, app: usize, known: usize },
    #[error("at {at} s {what} ends after {heal} s, when all trouble is to be over: shorten it, or heal later")]
    AfterHealing { at: u64, what: String, heal: u64 },
    #[error("at {at} s {what}: {why}")]
    Impossible { at: u64, what: String, why: &'static str },
    #[error("events are out of order at {at} s: sort them by time")]
    OutOfOrder { at: u64 },
}

impl Plan {
    /// Draws a plan: what [`Plan::narrow`] has, and in most of them more of it.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut plan = Self::narrow(seed);
        plan.widen();
        plan
    }

    /// Draws a plan as the first ones were: each seed has its own subset of troubles, so that some run long enough alone
    /// to bite. Nothing may ever be drawn otherwise here, for seeds are kept; what is new belongs into `wide.rs`.
    #[must_use]
    pub fn narrow(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let apps: Vec<App> = (0..rng.usize(1..=3)).map(|i| draw_app(&mut rng, i)).collect();
        let heal = Duration::from_secs(rng.u64(200..=420));
        let mut events = Vec::new();
        for app in 0..apps.len() {
            let mut at = rng.u64(40..=70);
            let mut number = 1;
            while at + 30 < heal.as_secs() {
                events.push((Duration::from_secs(at), Event::Release { app, release: draw_release(&mut rng, number) }));
                number += 1;
                at += rng.u64(15..=180);
            }
        }
        if rng.bool() {
            for _ in 0..rng.usize(1..=4) {
                let verbs = [Verb::Pause, Verb::Resume, Verb::Abort, Verb::Promote, Verb::Retry, Verb::Approve, Verb::Reject];
                let event = Event::Order { app: rng.usize(0..apps.len()), verb: verbs[rng.usize(0..verbs.len())] };
                events.push((Duration::from_secs(rng.u64(45..heal.as_secs() - 10)), event));
            }
        }
        let kinds: Vec<u8> = (0..23).filter(|_| rng.u8(0..100) < 25).collect();
        for kind in kinds {
            let from = rng.u64(5..heal.as_secs() - 60);
            let lasts = rng.u64(5..=(heal.as_secs() - from - 5).min(120));
            let what = draw_spell(&mut rng, kind, &apps);
            events.push((Duration::from_secs(from), Event::Spell { what, lasts: Duration::from_secs(lasts) }));
        }
        if rng.bool() {
            let mut at = rng.u64(5..=100);
            while at + 60 < heal.as_secs() {
                let how = if rng.bool() { End::Kill } else { End::Stop };
                events.push((
                    Duration::from_millis(at * 1000 + rng.u64(0..1000)),
                    Event::End { how, down: Duration::from_secs(rng.u64(0..=20)) },
                ));
                at += rng.u64(30..=150);
            }
        }
        if rng.u8(0..4) == 0 {
            let from = rng.u64(1..heal.as_secs() - 100);
            events.push((Duration::from_secs(from), Event::Rival { lasts: Duration::from_secs(rng.u64(20..=90)) }));
        }
        events.sort_by_key(|(at, _)| *at);
        Self { seed, apps, agent: false, events, heal }
    }

    /// Whether the plan can happen at all.
    ///
    /// # Errors
    /// The first thing that cannot, with its time.
    pub fn check(&self) -> Result<(), PlanError> {
        if self.apps.is_empty() {
            return Err(PlanError::NoApps);
        }
        for (i, app) in self.apps.iter().enumerate() {
            if let Some(why) = app.impossible() {
                return Err(PlanError::NoSuchKind { name: app.name.clone(), why });
            }
            if self.apps.iter().skip(i + 1).any(|other| other.key() == app.key()) {
                return Err(PlanError::SameName(app.name.clone()));
            }
        }
        let mut before = Duration::ZERO;
        for (at, event) in &self.events {
            let seconds = at.as_secs();
            if *at < before {
                return Err(PlanError::OutOfOrder { at: seconds });
            }
            before = *at;
            if let Some(app) = event.app().filter(|app| *app >= self.apps.len()) {
                return Err(PlanError::NoSuchApp { at: seconds, what: event.word(), app, known: self.apps.len() });
            }
            if *at + event.lasts() > self.heal {
                return Err(PlanError::AfterHealing { at: seconds, what: event.to_string(), heal: self.heal.as_secs() });
            }
            if let Some(why) = event.impossible(self) {
                return Err(PlanError::Impossible { at: seconds, what: event.to_string(), why });
            }
        }
        Ok(())
    }

    /// The plan, a line an event.
    #[must_use]
    pub fn story(&self) -> Vec<String> {
        let apps = self.apps.iter().enumerate().map(|(i, app)| format!("app {i}: {app:?}"));
        let events = self.events.iter().map(|(at, event)| format!("{:>7.1} s  {event}", at.as_secs_f64()));
        let agent = self.agent.then(|| "another GitOps agent applies what was released last".to_owned());
        apps.chain(agent).chain(events).chain([format!("{:>7.1} s  all is healed", self.heal.as_secs_f64())]).collect()
    }
}

fn draw_app(rng: &mut fastrand::Rng, number: usize) -> App {
    let router = [Router::Istio, Router::Istio, Router::Gateway, Router::Kubernetes][rng.usize(0..4)];
    let mut app = App::new("shop", ["web", "cart", "search"][number % 3], router);
    app.way = match rng.u8(0..5) {
        0 => Way::Iterations(rng.i64(1..=3)),
        4 => Way::Matches(rng.i64(1..=3)),
        1 => Way::Weights { step: 10 * rng.i64(1..=5), max: 50, back: 0 },
        2 => Way::Weights { step: 25, max: 100, back: 50 },
        _ => Way::Weights { step: 20, max: 60, back: 0 },
    };
    app.interval = rng.u64(5..=15);
    app.threshold = rng.i64(1..=3);
    app.replicas = rng.i64(1..=3);
    app.configured = rng.bool();
    app.hooks = rng.u8(0..3) == 0;
    app.all_hooks = rng.u8(0..6) == 0;
    app.mirror = rng.u8(0..4) == 0;
    app.affinity = rng.u8(0..5) == 0 && !matches!(app.way, Way::Matches(_));
    app.live = router == Router::Kubernetes && rng.bool();
    app.scaler = rng.u8(0..4) == 0;
    app.revert = rng.u8(0..5) == 0;
    for gate in [HookKind::ConfirmRollout, HookKind::ConfirmTrafficIncrease, HookKind::ConfirmPromotion] {
        if rng.u8(0..6) == 0 {
            app.gates.push(gate);
        }
    }
    app
}

fn draw_release(rng: &mut fastrand::Rng, number: u32) -> Release {
    let mut release = Release::new(&format!("1.{number}.0"));
    match rng.u8(0..10) {
        0 => release.tag.push_str("-bad"),
        1 => release.tag.push_str("-slow"),
        2 => release.pods = Pods::Crash,
        3 => release.pods = Pods::NeverReady,
        4 => release.setting = format!("loud-{number}"),
        // Back to what was there before.
        5 => release.tag = "1.0.0".into(),
        _ => {}
    }
    release
}

fn draw_spell(rng: &mut fastrand::Rng, kind: u8, apps: &[App]) -> Spell {
    let app = rng.usize(0..apps.len());
    match kind {
        0 => Spell::Refused(rng.u16(20..=400)),
        1 => Spell::RepliesLost(rng.u16(20..=400)),
        2 => Spell::Answered(rng.u16(20..=400), [409, 429, 500, 503, 504][rng.usize(0..5)]),
        3 => Spell::Slow(rng.u64(50..=3_000)),
        4 => Spell::Silence(rng.u16(10..=200)),
        5 => Spell::WatchLag(rng.u64(50..=5_000)),
        6 => Spell::WatchesCut(rng.u64(2..=20)),
        7 => Spell::Compacted,
        8 => Spell::MetricsDown,
        9 => Spell::MetricsEmpty,
        10 => Spell::MetricsNan,
        11 => Spell::MetricsGarbage,
        12 => Spell::MetricsFrozen,
        13 => Spell::MetricsLie,
        14 => Spell::MeshStuck,
        15 => Spell::PodsLost(app),
        16 => Spell::HooksFail,
        17 => Spell::Fight(app),
        18 => Spell::HandOnRoute(app, 10 * rng.i64(0..=10)),
        19 => Spell::MetricsSlander,
        20 => Spell::MetricsSlow(rng.u64(100..=8_000)),
        21 => Spell::HooksSlow(rng.u64(100..=8_000)),
        _ => Spell::ClockSet(rng.i64(-3_600..=3_600)),
    }
}

impl Event {
    const fn app(&self) -> Option<usize> {
        match self {
            Self::Release { app, .. }
            | Self::Order { app, .. }
            | Self::Gate { app, .. }
            | Self::Brake { app, .. }
            | Self::Spell {
                what: Spell::PodsLost(app) | Spell::Fight(app) | Spell::HandOnRoute(app, _) | Spell::ImagesGone(app), ..
            } => Some(*app),
            _ => None,
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Release { .. } => "a release",
            Self::Order { .. } => "an order",
            Self::Spell { .. } => "a spell of trouble",
            Self::End { .. } => "the end of an engine",
            Self::Rival { .. } => "a second engine",
            Self::Gate { .. } => "a gate",
            Self::Brake { .. } => "a rollback",
        }
    }

    /// How long it keeps going.
    #[must_use]
    pub const fn lasts(&self) -> Duration {
        match self {
            Self::Spell { lasts, .. } | Self::Rival { lasts } | Self::End { down: lasts, .. } => *lasts,
            _ => Duration::ZERO,
        }
    }

    /// Why it cannot happen in `plan`, which has the application that it is about.
    fn impossible(&self, plan: &Plan) -> Option<&'static str> {
        let (what, lasts) = match self {
            Self::Spell { what, lasts } => (what, lasts),
            Self::Release { app, release } if plan.apps[*app].skip && is_bad(&release.tag) => {
                return Some("nobody judges the releases of what skips its analysis, and a bad one would become the primary");
            }
            Self::Gate { app, .. } if plan.apps[*app].hook_gates.is_empty() => return Some("no webhook keeps a gate of it"),
            Self::Brake { app, .. } if !plan.apps[*app].rollback_hook => return Some("no webhook can order its rollback"),
            _ => return None,
        };
        match what {
            Spell::Refused(n) | Spell::RepliesLost(n) | Spell::Answered(n, _) | Spell::Silence(n) if *n > 1_000 => {
                Some("more than a thousand in a thousand requests")
            }
            Spell::Answered(_, status) if !(400..=599).contains(status) => Some("an answer that is no failure is no trouble"),
            Spell::WatchesCut(0) => Some("watches that break off every 0 s never begin"),
            Spell::HandOnRoute(_, weight) if !(0..=100).contains(weight) => Some("a weight is a percentage"),
            Spell::Slow(_) | Spell::WatchLag(_) | Spell::MetricsSlow(_) | Spell::HooksSlow(_) if lasts.is_zero() => {
                Some("it lasts no time")
            }
            Spell::ScalersFight if !plan.apps.iter().any(|app| app.scaler) => Some("no application has a scaler"),
            Spell::AgentFights(_) if !plan.agent => Some("there is no other GitOps agent"),
            Spell::AgentFights(replicas) if *replicas < 0 => Some("fewer replicas than none"),
            _ => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release { app, release } => {
                write!(f, "release {} of app {app}, pods {:?}, setting {}", release.tag, release.pods, release.setting)
            }
            Self::Order { app, verb } => write!(f, "{verb} app {app}"),
            Self::Spell { what, lasts } => write!(f, "{what:?} for {} s", lasts.as_secs()),
            Self::End { how, down } => write!(f, "{how:?} of the engine, the next one after {} s", down.as_secs()),
            Self::Rival { lasts } => write!(f, "a second engine for {} s", lasts.as_secs()),
            Self::Gate { app, open } => write!(f, "webhooks {} the gates of app {app}", if *open { "open" } else { "close" }),
            Self::Brake { app, on: true } => write!(f, "a webhook orders the rollback of app {app}"),
            Self::Brake { app, on: false } => write!(f, "no webhook orders the rollback of app {app} any more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(event: Event) -> Plan {
        let app = App::new("shop", "web", Router::Istio);
        Plan { seed: 0, apps: vec![app], agent: false, events: vec![(Duration::from_secs(10), event)], heal: Duration::from_secs(100) }
    }

    fn spell(what: Spell, lasts: u64) -> Event {
        Event::Spell { what, lasts: Duration::from_secs(lasts) }
    }

    #[test]
    fn what_is_drawn_can_happen_and_is_drawn_again() {
        for seed in 0..2_000 {
            let plan = Plan::draw(seed);
            assert_eq!(plan.check(), Ok(()), "seed {seed}");
            assert_eq!(plan, Plan::draw(seed));
        }
    }

    #[test]
    fn a_plan_that_cannot_happen_is_refused_with_its_reason() {
        for (event, said) in [
            (spell(Spell::Refused(1_001), 5), "a thousand"),
            (spell(Spell::Answered(10, 200), 5), "no failure"),
            (spell(Spell::WatchesCut(0), 5), "every 0 s"),
            (spell(Spell::HandOnRoute(0, 120), 5), "percentage"),
            (spell(Spell::Slow(10), 0), "no time"),
            (spell(Spell::MeshStuck, 91), "heal later"),
            (spell(Spell::PodsLost(1), 5), "there are 1"),
            (Event::Order { app: 7, verb: Verb::Pause }, "application 7"),
            (Event::Rival { lasts: Duration::from_secs(500) }, "heal later"),
            (spell(Spell::ImagesGone(3), 5), "there are 1"),
            (spell(Spell::ScalersFight, 5), "no application has a scaler"),
            (spell(Spell::AgentFights(2), 5), "no other GitOps agent"),
            (Event::Gate { app: 0, open: true }, "no webhook keeps a gate"),
            (Event::Gate { app: 2, open: true }, "there are 1"),
            (Event::Brake { app: 0, on: true }, "no webhook can order"),
        ] {
            let error = plan(event).check().expect_err("refused").to_string();
            assert!(error.contains(said) && error.contains("10 s"), "{error}");
        }
        let mut none = Plan::draw(1);
        none.apps.clear();
        assert_eq!(none.check(), Err(PlanError::NoApps));
        let mut twice = plan(Event::Rival { lasts: Duration::ZERO });
        twice.apps.push(twice.apps[0].clone());
        assert!(matches!(twice.check(), Err(PlanError::SameName(_))));
        let mut late = plan(Event::Rival { lasts: Duration::ZERO });
        late.events.push((Duration::from_secs(1), Event::Rival { lasts: Duration::ZERO }));
        assert!(matches!(late.check(), Err(PlanError::OutOfOrder { .. })));
        let mut skipped = plan(Event::Release { app: 0, release: Release::new("1.1.0-bad") });
        assert_eq!(skipped.check(), Ok(()));
        skipped.apps[0].skip = true;
        assert!(skipped.check().expect_err("refused").to_string().contains("nobody judges"));
        let mut fought = plan(spell(Spell::AgentFights(-1), 5));
        fought.agent = true;
        assert!(fought.check().expect_err("refused").to_string().contains("fewer replicas than none"));
    }

    #[test]
    fn an_application_that_cannot_be_is_refused_with_its_reason() {
        let refused = |spoil: &dyn Fn(&mut App), said: &str| {
            let mut plan = plan(Event::Rival { lasts: Duration::ZERO });
            spoil(&mut plan.apps[0]);
            let error = plan.check().expect_err("refused").to_string();
            assert!(error.contains(said) && error.contains("application web"), "{error}");
        };
        refused(&|app| app.live = true, "apex Service");
        refused(&|app| (app.affinity, app.way) = (true, Way::Matches(2)), "by their headers");
        refused(&|app| app.way = Way::Iterations(0), "no iteration");
        refused(&|app| app.way = Way::Weights { step: 0, max: 50, back: 0 }, "no percentages");
        refused(&|app| app.interval = 0, "no time");
        refused(&|app| app.replicas = 0, "no pod");
        refused(&|app| app.hook_gates = vec![HookKind::PreRollout], "confirm-*");
    }
}
