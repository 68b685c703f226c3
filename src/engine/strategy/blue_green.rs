//! Blue/green: checks while users stay with the primary, then all of them at once to the canary (rollout-contract §2.4), with
//! their requests mirrored to it meanwhile where that is asked for (§2.5).

use super::{Course, Move, Stand, iteration};
use crate::domain::canary::HookKind;
use crate::domain::traffic::Traffic;

pub struct BlueGreen;

impl Course for BlueGreen {
    fn next(&self, stand: &Stand<'_>) -> Move {
        let mirrored = stand.analysis.mirror && stand.can.mirror_iterations;
        if stand.iterations < stand.wanted {
            return iteration(stand, Traffic { canary: 0, mirrored });
        }
        if stand.iterations > stand.wanted {
            return Move::Promote { gates: &[HookKind::ConfirmPromotion] };
        }
        // Plain Kubernetes has nothing to switch: one more interval of checks, as everywhere.
        let traffic = if stand.has_weights { Traffic::weight(100) } else { Traffic::PRIMARY };
        let say = match (stand.has_weights, mirrored) {
            (false, _) => None,
            (true, true) => Some("Stop traffic mirroring and route all traffic to canary".to_owned()),
            (true, false) => Some("Routing all traffic to canary".to_owned()),
        };
        Move::Shift { traffic, iterations: stand.wanted + 1, gate: Some(HookKind::ConfirmPromotion), say }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::canary::CanaryAnalysis;
    use crate::domain::traffic::Abilities;

    #[test]
    fn iterations_then_the_switch_behind_the_gate_then_promotion() {
        let analysis = CanaryAnalysis { iterations: 2, mirror: true, ..Default::default() };
        let can = Abilities { mirror_iterations: true, ..Abilities::NONE };
        let at = |iterations, canary, mirrored, has_weights| {
            let traffic = Traffic { canary, mirrored };
            BlueGreen.next(&Stand { analysis: &analysis, can, traffic, iterations, wanted: 2, has_weights, key: "web.test" })
        };
        let mirrored = Traffic { canary: 0, mirrored: true };
        assert!(matches!(at(0, 0, false, true), Move::Shift { traffic, iterations: 1, gate: None, .. } if traffic == mirrored));
        let switched = at(2, 0, true, true);
        assert!(
            matches!(switched, Move::Shift { traffic, iterations: 3, gate: Some(HookKind::ConfirmPromotion), .. } if traffic == Traffic::weight(100))
        );
        assert!(matches!(at(2, 0, false, false), Move::Shift { traffic: Traffic::PRIMARY, iterations: 3, .. }));
        assert!(matches!(at(3, 100, false, true), Move::Promote { .. }));
    }
}
