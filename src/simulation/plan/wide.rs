//! What plans draw besides the first things: kinds of applications that rehearsals have, webhooks that keep gates and order
//! rollbacks, another GitOps agent, more troubles. All of it comes from dice of its own, so that the first things stay
//! as each seed had them.

use std::time::Duration;

use super::{Event, Plan, Spell, draw_release};
use crate::domain::canary::HookKind;
use crate::simulation::kinds::{self, Feature};

/// Turns a seed into that of the dice for what is wide.
const DICE: u64 = 0x00c0_ffee;
/// Name of the application that is added.
const ADDED: &str = "pay";
/// What the first applications get of what they were never given. The others change what becomes of a release.
const GIVEN: [Feature; 4] = [Feature::Events, Feature::HookGates, Feature::RollbackHook, Feature::HeldWithoutData];
/// Kinds of trouble that are drawn here.
const TROUBLES: u8 = 5;

impl Plan {
    /// Adds what the plan's seed has of it: nothing in a quarter of all plans.
    pub(super) fn widen(&mut self) {
        let mut rng = fastrand::Rng::with_seed(self.seed ^ DICE);
        if rng.u8(0..4) == 0 {
            return;
        }
        for app in &mut self.apps {
            for feature in GIVEN.iter().filter(|_| rng.u8(0..5) == 0) {
                feature.give(app);
            }
        }
        if rng.bool() {
            self.add_app(&mut rng);
        }
        for app in 0..self.apps.len() {
            self.move_gates(&mut rng, app);
            self.brake(&mut rng, app);
        }
        self.agent = rng.u8(0..3) == 0;
        for kind in 0..TROUBLES {
            if rng.u8(0..6) == 0 {
                self.trouble(&mut rng, kind);
            }
        }
        self.events.sort_by_key(|(at, _)| *at);
    }

    fn until_heal(&self) -> u64 {
        self.heal.as_secs()
    }

    /// One application more, of a kind that is rehearsed, with its releases.
    fn add_app(&mut self, rng: &mut fastrand::Rng) {
        let mut kinds = kinds::strategies();
        let (_, mut app) = kinds.swap_remove(rng.usize(0..kinds.len()));
        app.name = ADDED.into();
        for feature in Feature::ALL.iter().filter(|_| rng.u8(0..4) == 0) {
            feature.give(&mut app);
        }
        if !app.gates.is_empty() && rng.bool() {
            app.gates.push(HookKind::ConfirmTrafficIncrease);
        }
        app.interval = rng.u64(5..=15);
        app.threshold = rng.i64(1..=3);
        app.replicas = rng.i64(1..=3);
        let (index, mut at, mut number) = (self.apps.len(), rng.u64(40..=70), 1);
        while at + 30 < self.until_heal() {
            let mut release = draw_release(rng, number);
            if app.skip {
                // What nobody judges is to be good.
                release.tag = format!("1.{number}.0");
            }
            self.events.push((Duration::from_secs(at), Event::Release { app: index, release }));
            number += 1;
            at += rng.u64(15..=180);
        }
        self.apps.push(app);
    }

    /// Gates that webhooks keep open and close by turns.
    fn move_gates(&mut self, rng: &mut fastrand::Rng, app: usize) {
        if self.apps[app].hook_gates.is_empty() {
            return;
        }
        let (mut at, mut open) = (rng.u64(10..=120), true);
        while at < self.until_heal() {
            self.events.push((Duration::from_secs(at), Event::Gate { app, open }));
            open = !open;
            at += rng.u64(10..=90);
        }
    }

    /// A rollback that a webhook orders for a while.
    fn brake(&mut self, rng: &mut fastrand::Rng, app: usize) {
        if !self.apps[app].rollback_hook || rng.bool() {
            return;
        }
        let from = rng.u64(45..self.until_heal() - 60);
        let until = from + rng.u64(5..=60);
        self.events.push((Duration::from_secs(from), Event::Brake { app, on: true }));
        self.events.push((Duration::from_secs(until), Event::Brake { app, on: false }));
    }

    fn trouble(&mut self, rng: &mut fastrand::Rng, kind: u8) {
        let what = match kind {
            0 => Spell::MetricsError,
            1 => Spell::HooksRefuse,
            2 => Spell::ImagesGone(rng.usize(0..self.apps.len())),
            3 if self.apps.iter().any(|app| app.scaler) => Spell::ScalersFight,
            4 if self.agent => Spell::AgentFights(rng.i64(1..=3)),
            _ => return,
        };
        let from = rng.u64(5..self.until_heal() - 60);
        let lasts = rng.u64(5..=(self.until_heal() - from - 5).min(120));
        self.events.push((Duration::from_secs(from), Event::Spell { what, lasts: Duration::from_secs(lasts) }));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::simulation::app::{Router, Way};

    #[test]
    fn the_first_things_stay_as_they_were() {
        for seed in 0..500 {
            let (wide, narrow) = (Plan::draw(seed), Plan::narrow(seed));
            assert!(wide.events.len() >= narrow.events.len() && wide.heal == narrow.heal, "seed {seed}");
            assert!(narrow.events.iter().all(|event| wide.events.contains(event)), "seed {seed}");
            for (wide, narrow) in wide.apps.iter().zip(&narrow.apps) {
                assert_eq!((wide.router, wide.way, wide.interval), (narrow.router, narrow.way, narrow.interval), "seed {seed}");
            }
        }
    }

    #[test]
    fn everything_is_drawn_by_some_seed() {
        let mut seen = BTreeSet::new();
        for plan in (0..600).map(Plan::draw) {
            for app in &plan.apps {
                let way = match app.way {
                    Way::Weights { back: 0, .. } => "weights",
                    Way::Weights { .. } => "weights and back",
                    Way::Iterations(_) => "blue/green",
                    Way::Matches(_) => "A/B",
                };
                seen.insert(format!("{} {way}", app.router.word()));
                let canary = app.canary();
                let hooks = canary.pointer("/spec/analysis/webhooks").and_then(|hooks| hooks.as_array()).into_iter().flatten();
                seen.extend(hooks.filter_map(|hook| Some(format!("webhook {}", hook["type"].as_str()?))));
                let asked = [
                    (app.scaler, "scaler"),
                    (app.mirror && app.router != Router::Kubernetes, "mirror"),
                    (app.affinity && app.router == Router::Istio, "istio affinity"),
                    (app.affinity && app.router == Router::Gateway, "gateway affinity"),
                    (app.live, "live blue/green"),
                    (app.skip, "skipped"),
                    (app.revert, "finalizer"),
                    (app.configured, "configuration"),
                    (app.held_without_data, "held without data"),
                    (!app.gates.is_empty(), "gates"),
                    (!app.hook_gates.is_empty(), "gates of webhooks"),
                ];
                seen.extend(asked.into_iter().filter(|(is, _)| *is).map(|(_, word)| word.to_owned()));
            }
            seen.extend(plan.agent.then(|| "agent".to_owned()));
            for (_, event) in &plan.events {
                let word = match event {
                    Event::Spell { what, .. } => format!("{what:?}").split('(').next().unwrap_or_default().to_owned(),
                    Event::Gate { open, .. } => format!("gate {open}"),
                    Event::Brake { on, .. } => format!("brake {on}"),
                    _ => continue,
                };
                seen.insert(word);
            }
        }
        let words = [
            "istio weights",
            "istio weights and back",
            "istio blue/green",
            "istio A/B",
            "gatewayapi:v1 weights",
            "gatewayapi:v1 blue/green",
            "gatewayapi:v1 A/B",
            "kubernetes blue/green",
            "scaler",
            "mirror",
            "istio affinity",
            "gateway affinity",
            "live blue/green",
            "skipped",
            "finalizer",
            "configuration",
            "held without data",
            "gates",
            "gates of webhooks",
            "agent",
            "AgentFights",
            "ScalersFight",
            "ImagesGone",
            "HooksRefuse",
            "MetricsError",
            "gate true",
            "gate false",
            "brake true",
        ];
        let hooks = HookKind::ALL.map(|kind| format!("webhook {}", kind.word()));
        let missing: Vec<_> = words.into_iter().map(str::to_owned).chain(hooks).filter(|word| !seen.contains(word)).collect();
        assert_eq!(missing, Vec::<String>::new());
    }
}
