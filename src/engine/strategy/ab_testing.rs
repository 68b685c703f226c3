//! A/B testing: requests that match go to the canary for so many intervals, all others to the primary (rollout-contract §2.3).

use super::{Course, Move, Stand, iteration};
use crate::domain::canary::HookKind;
use crate::domain::traffic::Traffic;

pub struct AbTesting;

impl Course for AbTesting {
    fn next(&self, stand: &Stand<'_>) -> Move {
        if stand.iterations < stand.wanted {
            return iteration(stand, Traffic::weight(100));
        }
        Move::Promote { gates: &[HookKind::ConfirmPromotion] }
    }
}
