//! Watched canaries: the operator is told when one ends, waits for a human or gets into trouble.

use super::attention;
use super::message::Effect;
use super::model::Model;
use super::theme::Role;
use super::widgets::glyph::State;

/// Watches the canary under the cursor, or no longer.
pub(super) fn toggle(model: &mut Model) {
    let Some((target, state)) = model.target().cloned().zip(model.subject().map(|(_, canary)| attention::own_state(canary))) else {
        model.say(Role::Warn, "a watch is for a canary: move to its row first");
        return;
    };
    if model.watched.remove(&target).is_some() {
        model.say(Role::Good, format!("{target} is watched no longer"));
    } else {
        model.say(Role::Good, format!("watching {target}: you are told when it ends or waits"));
        model.watched.insert(target, state);
    }
}

/// Tells of what became of watched canaries.
pub(super) fn look(model: &mut Model) -> Vec<Effect> {
    let mut news = Vec::new();
    for (target, known) in &mut model.watched {
        let Some(canary) = model.view.canary(target) else { continue };
        let state = attention::own_state(canary);
        if state == *known {
            continue;
        }
        *known = state;
        // Moving on is what a rollout does; a person is wanted where it stops.
        if !matches!(state, State::Prog | State::Wait) {
            let why = canary.report.as_ref().map_or_else(|| canary.phase.word().to_string(), |report| report.message.clone());
            news.push((state, format!("{target} is {}", state.word()), why));
        }
    }
    let mut effects = Vec::new();
    for (state, title, body) in news {
        model.say(state.role(), format!("{title}: {body}"));
        effects.push(Effect::Notify { title, body });
    }
    effects
}
