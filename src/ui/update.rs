//! The one place where the model changes: `(model, message) -> effects`, without IO and without a clock.

use crossterm::event::KeyCode;
use jiff::SignedDuration;

use super::actions::{Action, Id};
use super::attention::{self, RowKey};
use super::keymap::{Key, Meaning};
use super::message::{Effect, Event, Message};
use super::model::{Address, Model};
use super::navigate::{back, clear, forward, go, mark, move_by, narrow, narrow_to, open, page};
use super::overlays::bump::{self, Bump};
use super::overlays::confirm::{Ask, Confirm};
use super::overlays::contexts::Contexts;
use super::overlays::prompt::{self, Prompt, Wish};
use super::overlays::{Overlay, Step};
use super::screens;
use super::theme::Role;
use super::verbs;
use crate::session::command::{Command, Outcome, OutcomeState};

/// Outcomes kept whose command is not known here.
const EARLY: usize = 16;

/// Takes one message.
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    model.now = message.at;
    expire(model);
    let effects = match message.event {
        Event::Key(key) => on_key(model, key),
        Event::Paste(text) => {
            on_paste(model, &text);
            Vec::new()
        }
        Event::Resize(width, height) => {
            model.size = (width, height);
            Vec::new()
        }
        Event::View(view) => {
            model.view = view;
            close_if_moved(model);
            Vec::new()
        }
        Event::Outcome(outcome) => {
            on_outcome(model, outcome);
            Vec::new()
        }
        Event::Sent { id, label } => {
            model.note_sent(id, label);
            let (of_it, others) = std::mem::take(&mut model.early).into_iter().partition(|outcome: &Outcome| outcome.id == id);
            model.early = others;
            for outcome in of_it {
                on_outcome(model, outcome);
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
        Event::Tick => Vec::new(),
    };
    settle(model);
    effects
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

/// Puts the selection back on a row that is on the screen, and marks with it.
fn settle(model: &mut Model) {
    let rows = model.rows();
    let shown = |row: &RowKey| rows.contains(row);
    if !model.moved || !model.selection.as_ref().is_some_and(shown) {
        let provider = model.selection.as_ref().map(|row| RowKey::Context(row.context().to_string()));
        model.selection = provider.filter(|row| model.moved && shown(row)).or_else(|| rows.first().cloned());
    }
    model.marks.retain(|context| rows.iter().any(|row| row.context() == context));
    if let Address::Canary(target) = &model.address
        && !attention::in_scope(&model.scope, &target.context)
    {
        model.address = Address::Fleet;
        model.overlay = None;
        model.scroll = 0;
    }
}

/// As long as somebody who types a name needs to see that the dialog is gone.
const DEAF: SignedDuration = SignedDuration::from_millis(1_000);

fn close_if_moved(model: &mut Model) {
    let moved = match &model.overlay {
        Some(Overlay::Confirm(Confirm { ask: Ask::Verb(ask), .. })) => ask.moved(model.view.canary(&ask.target)),
        Some(Overlay::Bump(bump)) => bump.moved(&model.view),
        _ => None,
    };
    if let Some(why) = moved {
        model.overlay = None;
        model.deaf_until = model.now.checked_add(DEAF).ok();
        model.say(Role::Bad, why);
    }
}

fn on_outcome(model: &mut Model, outcome: Outcome) {
    let Some((_, sent)) = model.sent.iter_mut().find(|(id, _)| *id == outcome.id) else {
        if model.early.len() < EARLY {
            model.early.push(outcome);
        }
        return;
    };
    let text = format!("{} · {}", sent.label, outcome.message);
    let text = if sent.label.contains(&outcome.target) { text } else { format!("{text} ({})", outcome.target) };
    let state = outcome.state;
    sent.outcomes.insert(outcome.target.clone(), outcome);
    let (role, word) = screens::outcome_look(state);
    model.say(role, format!("{word} {text}"));
    if state == OutcomeState::Pending
        && let Some(toast) = &mut model.toast
    {
        // Stays until what became of it is known.
        toast.until = None;
    }
}

fn on_paste(model: &mut Model, text: &str) {
    match &mut model.overlay {
        Some(Overlay::Confirm(confirm)) => confirm.paste(text),
        Some(Overlay::Bump(bump)) => bump.paste(text),
        Some(Overlay::Contexts(contexts)) => contexts.input.paste(text),
        Some(Overlay::Prompt(prompt)) => prompt.input.paste(text),
        None if model.filtering => model.filter.push_str(&crate::domain::text::clean(text)),
        // Pasted text is never a row of key presses.
        None => {}
    }
}

fn on_key(model: &mut Model, key: Key) -> Vec<Effect> {
    if model.deaf_until.is_some_and(|until| model.now < until) && matches!(key.code, KeyCode::Char(_)) && !key.ctrl {
        return Vec::new();
    }
    if key.is_ctrl('c') {
        return interrupt(model);
    }
    model.interrupted = false;
    if model.armed_until.is_some() {
        model.armed_until = Some(armed_until(model));
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
            perform(model, action)
        }
        Meaning::Prefix => Vec::new(),
        Meaning::Nothing => {
            model.pressed.clear();
            Vec::new()
        }
    }
}

fn interrupt(model: &mut Model) -> Vec<Effect> {
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
            model.filter.clear();
            model.filtering = false;
        }
        KeyCode::Enter => model.filtering = false,
        KeyCode::Backspace if model.filter.is_empty() => model.filtering = false,
        KeyCode::Down | KeyCode::Up => move_by(model, if key.code == KeyCode::Down { 1 } else { -1 }),
        _ => {
            let mut input = super::overlays::input::Input { text: std::mem::take(&mut model.filter) };
            input.key(key);
            model.filter = input.text;
        }
    }
}

fn on_overlay_key(model: &mut Model, key: Key) -> Vec<Effect> {
    let Some(mut overlay) = model.overlay.take() else { return Vec::new() };
    let step = match &mut overlay {
        Overlay::Confirm(confirm) => confirm.key(key),
        Overlay::Bump(bump) => bump.key(key, &model.view.refs),
        Overlay::Contexts(contexts) => contexts.key(key, &model.view),
        Overlay::Prompt(prompt) => prompt.key(key, model),
    };
    match step {
        Step::Stay => {
            model.overlay = Some(overlay);
            Vec::new()
        }
        Step::Cancel => Vec::new(),
        Step::Go => match overlay {
            Overlay::Confirm(confirm) => confirmed(model, confirm),
            Overlay::Bump(bump) => bump_confirmed(model, &bump),
            Overlay::Contexts(contexts) => {
                let scope = contexts.chosen(&model.view, &model.scope);
                narrow(model, scope);
                Vec::new()
            }
            Overlay::Prompt(prompt) => wish(model, &prompt.input.text),
        },
    }
}

fn confirmed(model: &mut Model, confirm: Confirm) -> Vec<Effect> {
    model.just_confirmed = confirm.proof.is_some();
    let why = confirm.reason.text.trim().to_string();
    match confirm.ask {
        Ask::Arm => {
            model.armed_until = Some(armed_until(model));
            model.say(Role::Warn, format!("armed: verbs are sent once confirmed; {} disarms", model.keymap.short(Id::Arm)));
            Vec::new()
        }
        Ask::Sync { provider, .. } => send(model, format!("sync {provider}"), Command::Sync { provider }),
        Ask::Verb(ask) => {
            let Some(canary) = model.view.canary(&ask.target) else { return Vec::new() };
            let link = model.view.context(&ask.target.context).map_or(Ok(()), |context| verbs::reachable(model, context));
            // The dialog stood over live data: what was true when it opened is asked again now.
            if let Err(refusal) = link.and_then(|()| verbs::allowed(ask.verb, canary)) {
                model.say(Role::Bad, refusal);
                return Vec::new();
            }
            let label = format!("{} {}", ask.verb, ask.target);
            let gate = ask.gate().to_string();
            send(model, label, Command::Verb { target: ask.target, verb: ask.verb, gate, why, revision: ask.revision })
        }
    }
}

fn bump_confirmed(model: &mut Model, bump: &Bump) -> Vec<Effect> {
    model.just_confirmed = true;
    let Some(to) = bump.to.clone() else { return Vec::new() };
    let providers = bump.providers();
    model.marks.clear();
    let label = format!("bump {} to {to}", providers.join(", "));
    send(model, label, Command::Bump { providers, to, why: bump.reason.text.trim().to_string() })
}

/// Sends, if the console is still armed.
fn send(model: &mut Model, label: String, command: Command) -> Vec<Effect> {
    if !model.armed() {
        model.say(Role::Warn, format!("read-only: press {} to arm", model.keymap.short(Id::Arm)));
        return Vec::new();
    }
    model.say(Role::Busy, format!("» {label} · sent"));
    if let Some(toast) = &mut model.toast {
        toast.until = None;
    }
    vec![Effect::Send { command, label }]
}

fn armed_until(model: &Model) -> jiff::Timestamp {
    let wanted = SignedDuration::try_from(model.options.arm_for).unwrap_or(SignedDuration::from_mins(15));
    model.now.saturating_add(wanted).unwrap_or(model.now)
}

/// Does what an action says, on the screen where it works.
fn perform(model: &mut Model, action: &'static Action) -> Vec<Effect> {
    match action.id {
        Id::Down => move_by(model, 1),
        Id::Up => move_by(model, -1),
        Id::First => move_by(model, isize::MIN),
        Id::Last => move_by(model, isize::MAX),
        Id::PageDown => move_by(model, page(model)),
        Id::PageUp => move_by(model, -page(model)),
        Id::Open => open(model),
        Id::Close => back(model),
        Id::Clear => clear(model),
        Id::Earlier => {
            if !model.earlier.is_empty() {
                back(model);
            }
        }
        Id::Later => forward(model),
        Id::Filter => model.filtering = true,
        Id::Prompt => model.overlay = Some(Overlay::Prompt(Prompt::default())),
        Id::Contexts => model.overlay = Some(Overlay::Contexts(Contexts::new(&model.scope))),
        Id::AllContexts => narrow(model, std::collections::BTreeSet::new()),
        Id::Mark => mark(model),
        Id::Trouble => model.trouble_only = !model.trouble_only,
        Id::Arm => arm(model),
        Id::Help => go(model, Address::Help),
        Id::Repaint => return vec![Effect::Repaint],
        Id::Quit => return vec![Effect::Quit],
        Id::Interrupt => return interrupt(model),
        Id::Promote | Id::Pause | Id::Abort | Id::Retry | Id::Approve | Id::Reject | Id::Sync => ask(model, action.id),
        Id::Bump => ask_bump(model, ""),
    }
    Vec::new()
}

fn arm(model: &mut Model) {
    if model.options.read_only {
        model.say(Role::Bad, "started read-only: this console cannot be armed");
    } else if model.armed() {
        model.armed_until = None;
        model.say(Role::Good, "read-only");
    } else {
        model.overlay = Some(Overlay::Confirm(Confirm::new(Ask::Arm, None)));
    }
}

/// Whether verbs may be asked for; says why not.
fn ready(model: &mut Model, id: Id) -> bool {
    if model.options.read_only {
        model.say(Role::Warn, "started read-only: no verb can be sent");
        return false;
    }
    if !model.armed() {
        model.say(Role::Warn, format!("read-only: press {} to arm", model.keymap.short(Id::Arm)));
        return false;
    }
    if let Err(refusal) = verbs::possible(model, id) {
        model.say(Role::Warn, refusal);
        return false;
    }
    true
}

fn ask(model: &mut Model, id: Id) {
    if !ready(model, id) {
        return;
    }
    let confirm = match (id, model.context(), model.subject()) {
        (Id::Sync, Some(context), _) => {
            Some(Confirm::new(Ask::Sync { context: context.name.clone(), provider: context.provider.clone() }, None))
        }
        (_, _, Some((context, canary))) => verbs::verb_of(id, canary).map(|verb| Confirm::verb(context, canary, verb)),
        _ => None,
    };
    model.overlay = confirm.map(Overlay::Confirm);
}

fn ask_bump(model: &mut Model, wanted: &str) {
    if ready(model, Id::Bump)
        && let Ok(plan) = bump::entries(model)
    {
        model.overlay = Some(Overlay::Bump(Bump::new(plan, wanted)));
    }
}

fn wish(model: &mut Model, text: &str) -> Vec<Effect> {
    match prompt::read(text) {
        Some(Wish::Quit) => return vec![Effect::Quit],
        Some(Wish::Go(address)) => go(model, address),
        Some(Wish::Bump(to)) => ask_bump(model, &to),
        Some(Wish::Narrow(names)) => narrow_to(model, &names),
        Some(Wish::Act(id)) => {
            let action = super::actions::action(id).filter(|action| action.screens.contains(&model.address.screen()));
            match action {
                Some(action) => return perform(model, action),
                None => model.say(Role::Warn, format!("{} does nothing on this screen", text.trim())),
            }
        }
        None if text.trim().is_empty() => {}
        None => model.say(Role::Warn, format!("nothing is called “{}”; {} lists what is", text.trim(), model.keymap.short(Id::Help))),
    }
    Vec::new()
}
