//! Actions carried out: what a key or a word at the prompt does, and what a confirmation sends.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::actions::{self, Action, Id};
use super::address::Address;
use super::message::{Effect, HandOver};
use super::model::Model;
use super::navigate::{back, clear, forward, go, mark, mark_all, mark_range, move_by, narrow, narrow_to, open, page};
use super::orders::{self, Order, Undo, When};
use super::overlays::Overlay;
use super::overlays::bump::{self, Bump};
use super::overlays::confirm::{Ask, Confirm};
use super::overlays::contexts::Contexts;
use super::overlays::many::Many;
use super::overlays::outcomes::Outcomes;
use super::overlays::prompt::{self, Prompt, Wish};
use super::place::SortBy;
use super::rows::RowKey;
use super::theme::Role;
use super::update::interrupt;
use super::{verbs, watched};
use crate::session::command::Command;
use crate::session::questions::Question;
use crate::session::why::markdown;

/// Does what an action says, on the screen where it works.
pub(super) fn perform(model: &mut Model, action: &'static Action) -> Vec<Effect> {
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
        Id::AllContexts => narrow(model, BTreeSet::new()),
        Id::Mark => mark(model),
        Id::MarkAll => mark_all(model),
        Id::MarkRange => mark_range(model),
        Id::Unmark => model.place.marks.clear(),
        Id::SortNext => model.place.sort.next(),
        Id::SortName => model.place.sort.by(SortBy::Name),
        Id::SortAge => model.place.sort.by(SortBy::Age),
        Id::SortState => model.place.sort.by(SortBy::State),
        Id::Trouble => model.place.trouble_only = !model.place.trouble_only,
        Id::Arm => arm(model),
        Id::Fleet => go(model, Address::Fleet),
        Id::Versions => go(model, Address::Versions),
        Id::Gates => go(model, Address::Gates),
        Id::Events => go(model, Address::Events),
        Id::Help => go(model, Address::Help),
        Id::Log => go(model, Address::Log),
        Id::Why => why(model),
        Id::Outcomes => model.overlay = Some(Overlay::Outcomes(Outcomes::default())),
        Id::Watch => watched::toggle(model),
        Id::Stop => stop(model),
        Id::Undo => undo(model),
        Id::Repaint => return vec![Effect::Repaint],
        Id::Suspend => return vec![Effect::Suspend],
        Id::Quit => return quit(model),
        Id::Interrupt => return interrupt(model),
        Id::Promote | Id::Pause | Id::Abort | Id::Retry | Id::Approve | Id::Reject | Id::Sync => ask(model, action.id),
        Id::Bump => ask_bump(model, ""),
        Id::Copy => return copy(model),
        Id::K9s => return k9s(model),
        Id::Editor => return editor(model),
        Id::Login => return login(model),
    }
    Vec::new()
}

/// The name of what is under the cursor, or on the screen; of reasons, the report of them all.
fn copy(model: &mut Model) -> Vec<Effect> {
    let text = match &model.place.selection {
        Some(RowKey::Ref(name)) => Some(name.clone()),
        Some(RowKey::Event(_, _, message)) => Some(message.clone()),
        Some(RowKey::Finding(_)) => model.explanation().map(markdown::report),
        Some(RowKey::Line(number)) => model.log.iter().find(|line| line.number == *number).map(|line| line.text.clone()),
        _ => model.target().map(ToString::to_string).or_else(|| model.context().map(|context| context.name.clone())),
    };
    let Some(text) = text else {
        model.say(Role::Warn, "nothing is under the cursor");
        return Vec::new();
    };
    vec![Effect::Copy(text)]
}

/// k9s on the same context and namespace; as read-only as this console was started.
fn k9s(model: &mut Model) -> Vec<Effect> {
    let Some(context) = model.context() else {
        model.say(Role::Warn, "k9s opens a context: move to a provider first");
        return Vec::new();
    };
    let mut args = vec!["--context".to_string(), context.name.clone()];
    match model.target() {
        Some(target) => args.extend(["--namespace".into(), target.namespace.clone(), "--command".into(), "pods".into()]),
        None => args.extend(["--all-namespaces".into(), "--command".into(), "canaries".into()]),
    }
    if model.options.read_only {
        args.push("--readonly".into());
    }
    vec![Effect::HandOver(HandOver { what: format!("k9s on {}", context.name), program: "k9s".into(), args, env: Vec::new() })]
}

/// The login of the context, with the terminal; what it came to is for the session to find out.
fn login(model: &mut Model) -> Vec<Effect> {
    let Some(context) = model.context().map(|context| context.name.clone()) else {
        model.say(Role::Warn, "a login is for a context: move to a provider first");
        return Vec::new();
    };
    let Some((program, args)) = model.options.login.split_first() else {
        model.say(Role::Warn, "nothing can be logged in to here");
        return Vec::new();
    };
    let args = args.iter().cloned().chain([context.clone()]).collect();
    let errand = HandOver { what: format!("login to {context}"), program: program.clone(), args, env: Vec::new() };
    model.logging_in = Some(context);
    vec![Effect::HandOver(errand)]
}

fn editor(model: &mut Model) -> Vec<Effect> {
    let Some(target) = model.target().cloned() else {
        model.say(Role::Warn, "move to a canary first: its object is opened");
        return Vec::new();
    };
    vec![Effect::Ask(Question::Object(target))]
}

/// Leaves; what waits to be sent would be lost, so that is said first.
fn quit(model: &mut Model) -> Vec<Effect> {
    let again = model.leaving.is_some_and(|at| model.now.as_second() - at.as_second() <= orders::DELAY);
    if let Some(delayed) = model.delayed.last()
        && !again
    {
        let label = delayed.label.clone();
        model.say(Role::Warn, format!("{label} is not sent yet: again leaves without it, {} takes it back", model.keymap.short(Id::Undo)));
        model.leaving = Some(model.now);
        return Vec::new();
    }
    vec![Effect::Quit]
}

fn why(model: &mut Model) {
    match model.target().cloned() {
        Some(target) => go(model, Address::Why(target)),
        None => model.say(Role::Warn, "reasons are those of a canary: move to its row first"),
    }
}

pub(super) fn armed_until(model: &Model) -> jiff::Timestamp {
    let wanted = SignedDuration::try_from(model.options.arm_for).unwrap_or(SignedDuration::from_mins(15));
    model.now.saturating_add(wanted).unwrap_or(model.now)
}

fn arm(model: &mut Model) {
    if let Err(why) = verbs::offered(model, Id::Arm) {
        model.say(Role::Bad, why);
    } else if model.armed() {
        model.armed_until = None;
        let waiting = std::mem::take(&mut model.delayed).len();
        let note = if waiting > 0 { "read-only: what waited is not sent" } else { "read-only" };
        model.say(Role::Good, note);
    } else {
        model.overlay = Some(Overlay::Confirm(Confirm::new(Ask::Arm, None)));
    }
}

/// Whether verbs may be asked for; says why not.
fn ready(model: &mut Model) -> bool {
    if let Err(why) = verbs::ready(model) {
        model.say(Role::Warn, why);
        return false;
    }
    true
}

fn possible(model: &mut Model, id: Id) -> bool {
    if !ready(model) {
        return false;
    }
    if let Err(refusal) = verbs::possible(model, id) {
        model.say(Role::Warn, refusal);
        return false;
    }
    true
}

fn ask(model: &mut Model, id: Id) {
    if id != Id::Sync && model.marked_targets().len() > 1 {
        return ask_many(model, id);
    }
    if !possible(model, id) {
        return;
    }
    let confirm = match (id, model.subject()) {
        (Id::Sync, _) => Some(Confirm::new(Ask::Sync(verbs::synced(model)), None)),
        (_, Some((context, canary))) => verbs::verb_of(id, canary).map(|verb| Confirm::verb(context, canary, verb)),
        (_, None) => None,
    };
    let gate = if let Some(RowKey::Gate(_, gate)) = &model.place.selection { Some(gate.clone()) } else { None };
    model.overlay = confirm.map(|confirm| Overlay::Confirm(confirm.meaning(gate.as_deref())));
}

/// Asks about every marked canary at once.
fn ask_many(model: &mut Model, id: Id) {
    match verbs::offered(model, id) {
        Ok(()) => model.overlay = Some(Overlay::Confirm(Confirm::many(Many::marked(model, id)))),
        Err(why) => model.say(Role::Warn, why),
    }
}

/// Asks whether everything in flight is to be aborted. Needs no arming: what is to be typed says more.
fn stop(model: &mut Model) {
    if let Err(why) = verbs::offered(model, Id::Stop) {
        model.say(Role::Warn, why);
        return;
    }
    let many = Many::in_flight(model);
    if many.each.is_empty() {
        let note = if many.left_out.is_empty() { String::new() } else { format!(" that can be reached; {} cannot", many.left_out.len()) };
        model.say(Role::Good, format!("nothing is in flight{note}"));
        return;
    }
    model.overlay = Some(Overlay::Confirm(Confirm::many(many)));
}

fn undo(model: &mut Model) {
    if model.delayed.is_empty() && model.undo.is_some() && !ready(model) {
        return;
    }
    let Some(Undo::Bump { context, to }) = orders::undo(model) else { return };
    model.place.marks.clear();
    match bump::entries_of(model, &[&context]) {
        Ok(plan) => model.overlay = Some(Overlay::Bump(Bump::new(plan, &to))),
        Err(why) => model.say(Role::Warn, why),
    }
}

fn ask_bump(model: &mut Model, wanted: &str) {
    let of_row = if let Some(RowKey::Ref(name)) = &model.place.selection { name.clone() } else { String::new() };
    let wanted = if wanted.is_empty() { of_row.as_str() } else { wanted };
    if possible(model, Id::Bump)
        && let Ok(plan) = bump::entries(model)
    {
        let asks_which = model.address == Address::Versions;
        let bump = Bump::new(plan, wanted);
        model.overlay = Some(Overlay::Bump(if asks_which { bump.choosing(wanted) } else { bump }));
    }
}

/// Sends what a dialog confirmed.
pub(super) fn confirmed(model: &mut Model, confirm: Confirm) -> Vec<Effect> {
    model.just_confirmed = confirm.proof.is_some();
    let why = confirm.reason.text.trim().to_string();
    match confirm.ask {
        Ask::Arm => {
            model.armed_until = Some(armed_until(model));
            model.say(Role::Warn, format!("armed: verbs are sent once confirmed; {} disarms", model.keymap.short(Id::Arm)));
            Vec::new()
        }
        Ask::Sync(providers) => {
            model.place.marks.clear();
            let order = |(_, provider): (String, String)| Order { label: format!("sync {provider}"), command: Command::Sync { provider } };
            let orders: Vec<Order> = providers.into_iter().map(order).collect();
            let label = if let [one] = orders.as_slice() { one.label.clone() } else { format!("sync {} providers", orders.len()) };
            orders::place(model, label, orders, When::Now)
        }
        Ask::Many(many) => {
            if many.stop {
                model.armed_until = Some(armed_until(model));
            }
            model.place.marks.clear();
            let label = format!("{} {}", many.verb, many.each.len());
            let verb = many.verb;
            let orders: Vec<Order> = many
                .each
                .into_iter()
                .map(|ask| {
                    let label = format!("{} {}", ask.verb, ask.target);
                    let gate = ask.gate().to_string();
                    Order {
                        label,
                        command: Command::Verb { target: ask.target, verb: ask.verb, gate, why: why.clone(), revision: ask.revision },
                    }
                })
                .collect();
            let effects = orders::place(model, label, orders, if many.stop { When::Now } else { When::of(verb) });
            model.overlay = Some(Overlay::Outcomes(Outcomes::default()));
            effects
        }
        Ask::Verb(ask) => {
            let Some(canary) = model.view.canary(&ask.target) else { return Vec::new() };
            // The dialog stood over live data: what was true when it opened is asked again now.
            if let Err(refusal) = verbs::sendable(model, &ask.target, canary, ask.verb) {
                model.say(Role::Bad, refusal);
                return Vec::new();
            }
            let label = format!("{} {}", ask.verb, ask.target);
            let (gate, verb) = (ask.gate().to_string(), ask.verb);
            let command = Command::Verb { target: ask.target, verb, gate, why, revision: ask.revision };
            orders::place(model, label.clone(), vec![Order { label, command }], When::of(verb))
        }
    }
}

/// Sends the bump that a dialog confirmed.
pub(super) fn bump_confirmed(model: &mut Model, bump: &Bump) -> Vec<Effect> {
    model.just_confirmed = true;
    let Some(to) = bump.to.clone() else { return Vec::new() };
    let providers = bump.providers();
    model.place.marks.clear();
    let label = format!("bump {} to {to}", providers.join(", "));
    let command = Command::Bump { providers, to, why: bump.reason.text.trim().to_string() };
    orders::place(model, label.clone(), vec![Order { label, command }], When::Now)
}

/// Does what the words at the prompt say.
pub(super) fn wish(model: &mut Model, text: &str) -> Vec<Effect> {
    match prompt::read(text) {
        Some(Wish::Quit) => return quit(model),
        Some(Wish::Go(address)) => go(model, address),
        Some(Wish::Bump(to)) => ask_bump(model, &to),
        Some(Wish::Narrow(names)) => narrow_to(model, &names),
        Some(Wish::Act(id)) => {
            let action = actions::action(id).filter(|action| action.screens.contains(&model.address.screen()));
            match action {
                Some(action) => return perform(model, action),
                None => model.say(Role::Warn, format!("{} does nothing on this screen", text.trim())),
            }
        }
        None if text.trim().is_empty() => {}
        None => model.say(Role::Warn, format!("nothing is called “{}”; ? lists what is", text.trim())),
    }
    Vec::new()
}
