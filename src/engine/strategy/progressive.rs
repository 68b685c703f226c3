//! Progressive traffic: step by step more weight for the canary (rollout-contract §2.2), with requests mirrored to it before
//! the first one where that is asked for (§2.5).

use super::{Course, Move, Stand};
use crate::domain::canary::HookKind;
use crate::domain::traffic::Traffic;

pub struct Progressive;

impl Course for Progressive {
    fn next(&self, stand: &Stand<'_>) -> Move {
        let Traffic { canary, mirrored } = stand.traffic;
        if stand.analysis.mirror && stand.can.mirror_progressive && canary == 0 && !mirrored {
            let traffic = Traffic { canary: 0, mirrored: true };
            return Move::Shift { traffic, iterations: 0, gate: Some(HookKind::ConfirmTrafficIncrease), say: Some(advance(stand, 0)) };
        }
        match stand.analysis.next_weight(canary) {
            // The gate was passed before the mirror was set up.
            Some(next) => {
                let gate = (!mirrored).then_some(HookKind::ConfirmTrafficIncrease);
                Move::Shift { traffic: Traffic::weight(next), iterations: 0, gate, say: Some(advance(stand, next)) }
            }
            None => Move::Promote { gates: &[HookKind::ConfirmTrafficIncrease, HookKind::ConfirmPromotion] },
        }
    }
}

fn advance(stand: &Stand<'_>, weight: i64) -> String {
    format!("Advance {} canary weight {weight}", stand.key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::canary::CanaryAnalysis;
    use crate::domain::traffic::Abilities;

    #[test]
    fn a_mirror_comes_before_the_first_weight_and_only_where_the_router_can() {
        let analysis = CanaryAnalysis { mirror: true, step_weight: 20, max_weight: 40, ..Default::default() };
        let walk = |can: Abilities| {
            let (mut traffic, mut seen) = (Traffic::PRIMARY, Vec::new());
            loop {
                let stand = Stand { analysis: &analysis, can, traffic, iterations: 0, wanted: 10, has_weights: true, key: "web.test" };
                let Move::Shift { traffic: next, gate, .. } = Progressive.next(&stand) else { return seen };
                seen.push((next.canary, next.mirrored, gate.is_some()));
                traffic = next;
            }
        };
        let can = Abilities { progressive: true, mirror_progressive: true, ..Abilities::NONE };
        assert_eq!(walk(can), [(0, true, true), (20, false, false), (40, false, true)]);
        assert_eq!(walk(Abilities { mirror_progressive: false, ..can }), [(20, false, true), (40, false, true)]);
    }
}
