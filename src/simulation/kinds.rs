//! Kinds of applications: every strategy on every router that has it, and what else a Canary may ask for. Rehearsals end
//! an engine after every write of them, and plans draw from them; there is no other list.

use super::app::{App, Router, Way};
use crate::domain::canary::HookKind;

/// The strategies by router.
#[must_use]
pub fn strategies() -> Vec<(&'static str, App)> {
    let istio = || App::new("shop", "web", Router::Istio);
    let gateway = || App::new("shop", "web", Router::Gateway);
    let plain = || App { way: Way::Iterations(2), ..App::new("shop", "web", Router::Kubernetes) };
    let (blue_green, by_match) = (Way::Iterations(2), Way::Matches(2));
    vec![
        ("istio, weights", istio()),
        ("istio, A/B", App { way: by_match, ..istio() }),
        ("istio, blue/green", App { way: blue_green, ..istio() }),
        ("istio, mirrored weights", App { mirror: true, ..istio() }),
        ("istio, mirrored blue/green", App { mirror: true, way: blue_green, ..istio() }),
        ("istio, affinity", App { affinity: true, ..istio() }),
        ("gateway, weights", gateway()),
        ("gateway, A/B", App { way: by_match, ..gateway() }),
        ("gateway, blue/green", App { way: blue_green, ..gateway() }),
        ("gateway, mirrored blue/green", App { mirror: true, way: blue_green, ..gateway() }),
        ("gateway, affinity", App { affinity: true, ..gateway() }),
        ("plain, blue/green", plain()),
        ("plain, live blue/green", App { live: true, ..plain() }),
    ]
}

/// What a Canary may ask for besides its strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Weights that go back in steps after promotion.
    BackInSteps,
    /// Gates before rollout and promotion that people open.
    Gates,
    /// The same gates, each kept by a webhook.
    HookGates,
    /// A webhook that can order a rollback.
    RollbackHook,
    /// A pre-rollout and a rollout webhook.
    Hooks,
    /// Webhooks of every other type that is asked something.
    AllHooks,
    /// A webhook that is told of events.
    Events,
    /// A `ConfigMap` that is tracked.
    Configured,
    /// Checks without data hold the rollout.
    HeldWithoutData,
    /// `skipAnalysis`.
    Skip,
    Scaler,
    /// `revertOnDeletion`.
    Finalizer,
}

impl Feature {
    pub const ALL: [Self; 12] = [
        Self::BackInSteps,
        Self::Gates,
        Self::HookGates,
        Self::RollbackHook,
        Self::Hooks,
        Self::AllHooks,
        Self::Events,
        Self::Configured,
        Self::HeldWithoutData,
        Self::Skip,
        Self::Scaler,
        Self::Finalizer,
    ];

    /// Lets `app` ask for it, where it can be had.
    pub fn give(self, app: &mut App) {
        let gates = || vec![HookKind::ConfirmRollout, HookKind::ConfirmPromotion];
        match self {
            Self::BackInSteps => {
                if matches!(app.way, Way::Weights { .. }) {
                    app.way = Way::Weights { step: 50, max: 100, back: 50 };
                }
            }
            Self::Gates => app.gates = gates(),
            Self::HookGates => app.hook_gates = gates(),
            Self::RollbackHook => app.rollback_hook = true,
            Self::Hooks => app.hooks = true,
            Self::AllHooks => app.all_hooks = true,
            Self::Events => app.events = true,
            Self::Configured => app.configured = true,
            Self::HeldWithoutData => app.held_without_data = true,
            Self::Skip => app.skip = true,
            Self::Scaler => app.scaler = true,
            Self::Finalizer => app.revert = true,
        }
    }
}

/// An application with weights on Istio that asks for `features` as well.
#[must_use]
pub fn with(features: &[Feature]) -> App {
    let mut app = App::new("shop", "web", Router::Istio);
    for feature in features {
        feature.give(&mut app);
    }
    app
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_can_be_and_every_webhook_type_is_among_them() {
        for (name, app) in strategies() {
            assert_eq!(app.impossible(), None, "{name}");
        }
        let app = with(&Feature::ALL);
        assert_eq!(app.impossible(), None);
        let canary = app.canary();
        let hooks = canary.pointer("/spec/analysis/webhooks").and_then(|hooks| hooks.as_array()).expect("webhooks");
        for kind in HookKind::ALL {
            assert!(hooks.iter().any(|hook| hook["type"] == kind.word()), "{}", kind.word());
        }
    }
}
