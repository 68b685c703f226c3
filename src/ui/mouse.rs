//! What the mouse means: a click selects, a second one opens, a hint is its key, the wheel moves.

use super::actions::action;
use super::hits::Hit;
use super::message::{Effect, Mouse, MouseKind};
use super::model::Model;
use super::navigate::{move_by, open};
use super::perform::perform;

/// Rows that a notch of the wheel scrolls where there is no cursor.
const NOTCH: isize = 3;

/// Takes a click or a turn of the wheel. While something lies over the screen the mouse does nothing:
/// what asks for a decision is answered by keys.
pub(super) fn on_mouse(model: &mut Model, mouse: &Mouse) -> Vec<Effect> {
    if model.overlay.is_some() {
        return Vec::new();
    }
    match (mouse.kind, mouse.hit) {
        (MouseKind::Wheel(by), _) => {
            let step = if model.rows.is_empty() { NOTCH } else { 1 };
            move_by(model, isize::from(by) * step);
        }
        (MouseKind::Press, Some(Hit::Key(id) | Hit::Tab(id))) => {
            model.pressed.clear();
            model.filtering = false;
            if let Some(action) = action(id) {
                return perform(model, action);
            }
        }
        (MouseKind::Press, Some(Hit::Row(row))) => press_row(model, row),
        (MouseKind::Press, None) => {}
    }
    Vec::new()
}

fn press_row(model: &mut Model, row: usize) {
    let Some(key) = model.rows.get(row).map(|row| row.key.clone()) else { return };
    if model.place.moved && model.place.selection.as_ref() == Some(&key) {
        open(model);
    } else {
        model.place.selection = Some(key);
        model.place.moved = true;
    }
}
