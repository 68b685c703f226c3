//! The one place where the model changes: `(model, message) -> effects`, without IO and without a clock.

use std::sync::Arc;

use crossterm::event::KeyCode;
use jiff::SignedDuration;

use super::address::Address;
use super::attention;
use super::keymap::{Key, Meaning};
use super::message::{Effect, Event, Message};
use super::model::Model;
use super::navigate::{move_by, narrow};
use super::overlays::confirm::{Ask, Confirm};
use super::overlays::{Overlay, Step};
use super::rows::RowKey;
use super::rows::filter::Filter;
use super::theme::Role;
use super::{orders, perform, progress, title, watched};
use crate::session::command::{Command, Outcome};
use crate::session::questions::{Answer, Question};

/// Takes one message.
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    model.now = message.at;
    let before = model.address.clone();
    expire(model);
    let mut effects = orders::release(model);
    let more = match message.event {
        Event::Key(key) => on_key(model, key),
        Event::Paste(text) => {
            on_paste(model, &text);
            Vec::new()
        }
        Event::Mouse(mouse) => super::mouse::on_mouse(model, &mouse),
        Event::Told { ok, text } => {
            model.say(if ok { Role::Good } else { Role::Bad }, text);
            Vec::new()
        }
        Event::Returned { what, ok, message } => {
            let ended = if message.is_empty() { "done".into() } else { message };
            model.say(if ok { Role::Good } else { Role::Bad }, format!("{what}: {ended}"));
            let done = model.logging_in.take().filter(|_| ok);
            done.map(|context| Effect::Tell(Command::LoggedIn { context })).into_iter().collect()
        }
        Event::Broke { report } => {
            let place = if report.is_empty() { String::new() } else { format!("; report in {report}") };
            model.say(Role::Bad, format!("a part of Pilothouse panicked: what it watched may stand still, start again{place}"));
            Vec::new()
        }
        Event::Resize(width, height) => {
            model.size = (width, height);
            Vec::new()
        }
        Event::View(view) => {
            model.digests.take(&view);
            model.view = view;
            model.seen = true;
            close_if_moved(model);
            let mut effects = watched::look(model);
            effects.extend(explain_again(model));
            effects
        }
        Event::Answer(answer) => on_answer(model, answer),
        Event::Outcome(outcome) => {
            orders::on_outcome(model, outcome);
            Vec::new()
        }
        Event::Sent { id, label, batch } => {
            model.note_sent(id, label, batch);
            let (of_it, others) = std::mem::take(&mut model.early).into_iter().partition(|outcome: &Outcome| outcome.id == id);
            model.early = others;
            for outcome in of_it {
                orders::on_outcome(model, outcome);
            }
            Vec::new()
        }
        Event::Looks(looks) => {
            super::looks::take(model, looks);
            Vec::new()
        }
        Event::Background(background) => {
            model.background = background;
            Vec::new()
        }
        Event::Ended => {
            model.ended = true;
            model.say(Role::Bad, "the session has ended: what is shown does not move any more");
            Vec::new()
        }
        Event::Tick => tick(model),
    };
    effects.extend(more);
    settle(model);
    if model.address != before {
        effects.extend(asks(&model.address).map(Effect::Ask));
    }
    effects.extend(foresee(model));
    effects.extend(title::renamed(model));
    effects.extend(progress::moved(model));
    effects
}

/// What a screen shows that is in no read model, and is asked for when the console comes there.
fn asks(address: &Address) -> Option<Question> {
    match address {
        Address::Log => Some(Question::Log),
        Address::Why(target) => Some(Question::Why(target.clone())),
        _ => None,
    }
}

/// Asks what we may do in the context under the cursor, before a verb is chosen; only while verbs may be sent.
fn foresee(model: &mut Model) -> Option<Effect> {
    let context = model.context().filter(|context| model.armed() && context.link.is_live()).map(|context| context.name.clone())?;
    if model.foreseen.as_ref() == Some(&context) {
        return None;
    }
    model.foreseen = Some(context.clone());
    Some(Effect::Tell(Command::Permissions { context }))
}

/// Ends what time ends: arming, news, half a double press.
fn expire(model: &mut Model) {
    if model.armed_until.is_some_and(|until| until <= model.now) {
        model.armed_until = None;
        let asks_to_arm = matches!(&model.overlay, Some(Overlay::Confirm(Confirm { ask: Ask::Arm, .. })));
        if !asks_to_arm && matches!(&model.overlay, Some(Overlay::Bump(_) | Overlay::Confirm(_))) {
            model.overlay = None;
        }
        model.say(Role::Warn, "read-only again: no key was pressed for a while");
    }
    if model.toast.as_ref().and_then(|toast| toast.until).is_some_and(|until| until <= model.now) {
        model.toast = None;
        model.interrupted = false;
    }
}

/// Reasons on the screen are those of a moment; where the canary has moved on, they are asked for again.
fn explain_again(model: &Model) -> Option<Effect> {
    let Address::Why(target) = &model.address else { return None };
    let Some((of, Some(known))) = &model.explained else { return None };
    let canary = model.view.canary(target)?;
    let same = known.phase == canary.phase
        && known.revision == canary.revision
        && known.weight == canary.weight
        && known.failed_checks == canary.failed_checks;
    (of == target && !same).then(|| Effect::Ask(Question::Why(target.clone())))
}

/// What the passing of time asks for: the log has no other bell.
fn tick(model: &Model) -> Vec<Effect> {
    if model.address == Address::Log { vec![Effect::Ask(Question::Log)] } else { Vec::new() }
}

/// Puts the selection back on a row that is on the screen, and marks with it.
fn settle(model: &mut Model) {
    let gone = model.address.context().is_some_and(|context| !attention::in_scope(&model.scope, context));
    if gone {
        model.switch(Address::Fleet);
        model.overlay = None;
    }
    model.gather();
    let (rows, place) = (&model.rows, &mut model.place);
    let shown = |key: &RowKey| rows.iter().any(|row| row.key == *key);
    if !place.moved || !place.selection.as_ref().is_some_and(shown) {
        // The last line of a log is the newest.
        let first = if model.address == Address::Log { rows.last() } else { rows.first() };
        let provider = place.selection.as_ref().and_then(RowKey::context).map(|name| RowKey::Context(name.to_string()));
        place.selection = provider.filter(|key| place.moved && shown(key)).or_else(|| first.map(|row| row.key.clone()));
    }
    if !place.marks.is_empty() {
        let all: std::collections::BTreeSet<&RowKey> = rows.iter().map(|row| &row.key).collect();
        place.marks.retain(|key| all.contains(key));
    }
}

/// As long as somebody who types a name needs to see that the dialog is gone.
const DEAF: SignedDuration = SignedDuration::from_millis(1_000);

fn close_if_moved(model: &mut Model) {
    if let Some(Overlay::Confirm(confirm)) = &mut model.overlay {
        confirm.refresh(&model.view);
    }
    let unsent = |why: String| format!("{why}; nothing was sent");
    let moved = match &model.overlay {
        Some(Overlay::Confirm(Confirm { ask: Ask::Verb(ask), .. })) => ask.moved(&model.view).map(unsent),
        Some(Overlay::Confirm(Confirm { ask: Ask::Many(many), .. })) if many.each.is_empty() => {
            Some(unsent(format!("nothing is left to {}", many.verb)))
        }
        Some(Overlay::Bump(bump)) => bump.moved(&model.view),
        _ => None,
    };
    if let Some(why) = moved {
        model.overlay = None;
        model.deaf_until = model.now.checked_add(DEAF).ok();
        model.say(Role::Bad, why);
    }
}

fn on_paste(model: &mut Model, text: &str) {
    match &mut model.overlay {
        Some(Overlay::Confirm(confirm)) => confirm.paste(text),
        Some(Overlay::Bump(bump)) => bump.paste(text),
        Some(Overlay::Contexts(contexts)) => contexts.input.paste(text),
        Some(Overlay::Prompt(prompt)) => prompt.input.paste(text),
        None if model.filtering => {
            model.place.filter = Filter::new(format!("{}{}", model.place.filter.text(), crate::domain::text::clean(text)));
        }
        // Pasted text is never a row of key presses.
        Some(Overlay::Outcomes(_)) | None => {}
    }
}

fn on_key(model: &mut Model, key: Key) -> Vec<Effect> {
    if model.deaf_until.is_some_and(|until| model.now < until) && matches!(key.code, KeyCode::Char(_)) && !key.ctrl {
        return Vec::new();
    }
    if key.is_ctrl('c') {
        return interrupt(model);
    }
    if key.alt && !is_bound(model, key) {
        return on_escaped_key(model, key);
    }
    model.interrupted = false;
    if model.armed_until.is_some() {
        model.armed_until = Some(perform::armed_until(model));
    }
    let stray = std::mem::take(&mut model.just_confirmed) && key.code == KeyCode::Enter;
    if stray {
        return Vec::new();
    }
    if model.overlay.is_some() {
        return on_overlay_key(model, key);
    }
    if model.filtering {
        on_filter_key(model, key);
        return Vec::new();
    }
    if key.code == KeyCode::Esc && (!model.pressed.is_empty() || model.toast.as_ref().is_some_and(|toast| toast.until.is_none())) {
        // News that stays and half a sequence go first, wherever the console is.
        if std::mem::take(&mut model.pressed).is_empty() {
            model.toast = None;
        }
        return Vec::new();
    }
    model.pressed.push(key);
    let screen = model.address.screen();
    match model.keymap.meaning(screen, &model.pressed) {
        Meaning::Action(action) => {
            model.pressed.clear();
            perform::perform(model, action)
        }
        Meaning::Prefix => Vec::new(),
        Meaning::Nothing => {
            model.pressed.clear();
            Vec::new()
        }
    }
}

fn is_bound(model: &Model, key: Key) -> bool {
    let pressed: Vec<Key> = model.pressed.iter().copied().chain([key]).collect();
    !matches!(model.keymap.meaning(model.address.screen(), &pressed), Meaning::Nothing)
}

/// Escape and the key after it, where they came so close together that they look like one key with alt.
fn on_escaped_key(model: &mut Model, key: Key) -> Vec<Effect> {
    let asked = model.overlay.is_some() || model.filtering;
    let mut effects = on_key(model, Key::plain(KeyCode::Esc));
    // What was typed into a dialog is no command for the screen below it.
    if !asked {
        effects.extend(on_key(model, Key { alt: false, ..key }));
    }
    effects
}

pub(super) fn interrupt(model: &mut Model) -> Vec<Effect> {
    if model.interrupted {
        return vec![Effect::Quit];
    }
    model.overlay = None;
    model.pressed.clear();
    model.say(Role::Warn, "press ctrl-c again to quit");
    model.interrupted = true;
    Vec::new()
}

fn on_filter_key(model: &mut Model, key: Key) {
    match key.code {
        KeyCode::Esc => {
            model.place.filter = Filter::default();
            model.filtering = false;
        }
        KeyCode::Enter => model.filtering = false,
        KeyCode::Backspace if model.place.filter.text().is_empty() => model.filtering = false,
        KeyCode::Down | KeyCode::Up => move_by(model, if key.code == KeyCode::Down { 1 } else { -1 }),
        _ => {
            let mut input = super::overlays::input::Input { text: model.place.filter.text().to_string() };
            input.key(key);
            model.place.filter = Filter::new(input.text);
        }
    }
}

/// Takes what the session found out.
fn on_answer(model: &mut Model, answer: Answer) -> Vec<Effect> {
    match answer {
        Answer::BumpPlan { provider, to, plan } => {
            if let Some(Overlay::Bump(bump)) = &mut model.overlay {
                bump.planned(&provider, &to, plan);
            }
        }
        Answer::Log(lines) => model.log = lines,
        Answer::Why { target, explanation } => {
            if let Err(why) = &explanation {
                model.say(Role::Warn, format!("{target}: {why}"));
            }
            model.explained = Some((target, explanation.ok().map(Arc::from)));
        }
        Answer::Object { target, yaml: Err(why) } => model.say(Role::Bad, format!("{target}: {why}")),
        Answer::Object { target, yaml: Ok(text) } => return vec![Effect::OpenEditor { name: format!("{}.yaml", target.name), text }],
    }
    Vec::new()
}

fn on_overlay_key(model: &mut Model, key: Key) -> Vec<Effect> {
    let Some(mut overlay) = model.overlay.take() else { return Vec::new() };
    let step = match &mut overlay {
        Overlay::Confirm(confirm) => confirm.key(key),
        Overlay::Bump(bump) => bump.key(key, &model.view.refs),
        Overlay::Contexts(contexts) => contexts.key(key, &model.view),
        Overlay::Prompt(prompt) => prompt.key(key, model),
        Overlay::Outcomes(outcomes) => outcomes.key(key),
    };
    match step {
        Step::Stay => {
            let asks = if let Overlay::Bump(bump) = &mut overlay { bump.questions() } else { Vec::new() };
            model.overlay = Some(overlay);
            asks.into_iter().map(Effect::Ask).collect()
        }
        Step::Cancel => Vec::new(),
        Step::Go => match overlay {
            Overlay::Confirm(confirm) => perform::confirmed(model, confirm),
            Overlay::Bump(bump) => perform::bump_confirmed(model, &bump),
            Overlay::Contexts(contexts) => {
                let scope = contexts.chosen(&model.view, &model.scope);
                narrow(model, scope);
                Vec::new()
            }
            Overlay::Prompt(prompt) => perform::wish(model, &prompt.input.text),
            Overlay::Outcomes(_) => Vec::new(),
        },
    }
}
