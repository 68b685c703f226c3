//! Which action is possible on what is selected, said before anything is asked or sent.

use super::actions::Id;
use super::attention;
use super::model::Model;
use super::orders;
use super::overlays::bump;
use super::overlays::many::Many;
use super::widgets::glyph::State;
use super::widgets::text::as_of;
use crate::domain::intent::Verb;
use crate::domain::phase::Phase;
use crate::domain::target::Target;
use crate::session::view::{CanaryView, ContextView, Link, Need};

/// The verb that an action means for this canary; `None` for actions that send none.
#[must_use]
pub const fn verb_of(id: Id, canary: &CanaryView) -> Option<Verb> {
    match id {
        Id::Promote => Some(Verb::Promote),
        Id::Pause if canary.paused.is_some() => Some(Verb::Resume),
        Id::Pause => Some(Verb::Pause),
        Id::Abort => Some(Verb::Abort),
        Id::Retry => Some(Verb::Retry),
        Id::Approve => Some(Verb::Approve),
        Id::Reject => Some(Verb::Reject),
        _ => None,
    }
}

/// Whether the action writes and therefore needs the console to be armed.
#[must_use]
pub const fn writes(id: Id) -> bool {
    matches!(id, Id::Promote | Id::Pause | Id::Abort | Id::Retry | Id::Approve | Id::Reject | Id::Bump | Id::Sync)
}

/// Whether verbs can be sent at all.
///
/// # Errors
/// A sentence for the operator, with the key that changes it where one does.
pub fn ready(model: &Model) -> Result<(), String> {
    if model.options.read_only {
        return Err("started read-only: no verb can be sent".into());
    }
    if model.armed() { Ok(()) } else { Err(orders::read_only(model)) }
}

/// Whether the key of the action would lead to something here and now.
///
/// # Errors
/// The sentence that the key would be answered with.
pub fn offered(model: &Model, id: Id) -> Result<(), String> {
    match id {
        Id::Arm if model.options.read_only => Err("started read-only: this console cannot be armed".into()),
        // Stopping the line asks for more than arming does.
        Id::Stop if model.options.read_only => ready(model),
        _ if writes(id) => {
            ready(model)?;
            if id != Id::Sync && id != Id::Bump && model.marked_targets().len() > 1 { of_marked(model, id) } else { possible(model, id) }
        }
        _ => Ok(()),
    }
}

fn of_marked(model: &Model, id: Id) -> Result<(), String> {
    let many = Many::marked(model, id);
    if !many.each.is_empty() {
        return Ok(());
    }
    let why = many.left_out.first().map_or_else(String::new, |(target, why)| format!("{target}: {why}"));
    Err(format!("none of the marked canaries takes it; {why}"))
}

/// Whether the action can be done on what is selected, armed or not.
///
/// # Errors
/// A sentence for the operator: why not, and what would help.
pub fn possible(model: &Model, id: Id) -> Result<(), String> {
    match id {
        Id::Bump => bump::entries(model).map(|_| ()),
        Id::Sync => {
            let marked = model.marked_contexts();
            let contexts: Vec<&ContextView> = if marked.is_empty() {
                vec![model.context().ok_or("nothing is selected: move to a provider first")?]
            } else {
                marked.into_iter().filter_map(|name| model.view.context(name)).collect()
            };
            contexts.into_iter().try_for_each(|context| syncable(model, context))
        }
        Id::Stop | Id::Undo => Ok(()),
        _ if writes(id) => {
            let Some((context, canary)) = model.subject() else {
                return Err("a verb acts on one canary: move to its row first".into());
            };
            reachable(model, context)?;
            permitted(context, Need::Verbs, Some(&canary.key.namespace))?;
            verb_of(id, canary).map_or(Ok(()), |verb| allowed(verb, canary))
        }
        _ => Ok(()),
    }
}

fn syncable(model: &Model, context: &ContextView) -> Result<(), String> {
    reachable(model, context)?;
    match &context.sync {
        Some(_) => Ok(()),
        None => Err(format!("{} has no repository to sync", context.provider)),
    }
}

/// Contexts and providers that a sync would mean now: those of the marked rows, or that of the cursor.
#[must_use]
pub fn synced(model: &Model) -> Vec<(String, String)> {
    let marked = model.marked_contexts();
    let names: Vec<&str> = if marked.is_empty() {
        model.context().map(|context| context.name.as_str()).into_iter().collect()
    } else {
        marked.into_iter().collect()
    };
    let contexts = names.into_iter().filter_map(|name| model.view.context(name));
    contexts.map(|context| (context.name.clone(), context.provider.clone())).collect()
}

/// Whether the canary takes the verb now.
///
/// # Errors
/// A sentence for the operator.
pub fn allowed(verb: Verb, canary: &CanaryView) -> Result<(), String> {
    verb.check(canary.phase, canary.paused.is_some())?;
    let waits = !canary.gates.is_empty() || matches!(canary.phase, Phase::Waiting | Phase::WaitingPromotion);
    if matches!(verb, Verb::Approve | Verb::Reject) && !waits {
        return Err(format!("cannot {verb} {}: no gate is waiting", canary.key.name));
    }
    Ok(())
}

/// Whether the API server said that we may, as far as it was asked. Not knowing keeps nobody from trying.
///
/// # Errors
/// What is refused, with its reason.
pub fn permitted(context: &ContextView, need: Need, namespace: Option<&str>) -> Result<(), String> {
    match context.permission(need).denial(namespace) {
        Some(why) => Err(format!("{} refuses it: {why}", context.provider)),
        None => Ok(()),
    }
}

/// Whether `verb` can go to `target`, which is `canary`, as the fleet stands now.
///
/// # Errors
/// A sentence for the operator.
pub fn sendable(model: &Model, target: &Target, canary: &CanaryView, verb: Verb) -> Result<(), String> {
    let link = model.view.context(&target.context).map_or(Ok(()), |context| reachable(model, context));
    link.and_then(|()| allowed(verb, canary))
}

/// Whether anything can be sent to the context.
///
/// # Errors
/// A sentence for the operator, with the state and the reason of the connection.
pub fn reachable(model: &Model, context: &ContextView) -> Result<(), String> {
    let why = match &context.link {
        Link::Live => return Ok(()),
        Link::Connecting { .. } => "it has not answered yet",
        Link::Stale { why, .. } | Link::Unreachable { why, .. } | Link::Unauthorized { why, .. } => why,
    };
    let state = attention::link_state(context);
    let known = match (state, context.heard) {
        (State::Stale, Some(heard)) => format!(" since {}", as_of(heard, model.now)),
        _ => String::new(),
    };
    Err(format!("{} is {}{known} ({why}): nothing can be sent there", context.provider, state.word()))
}
