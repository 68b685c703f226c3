//! What the operator ordered: sent at once, or after a few seconds in which it can be taken back; what
//! became of it; and how the last of it is undone.

use jiff::{SignedDuration, Timestamp};

use super::actions::Id;
use super::message::Effect;
use super::model::{Model, Sent};
use super::overlays::Overlay;
use super::overlays::confirm::Confirm;
use super::theme::Role;
use super::{progress, screens, verbs};
use crate::domain::intent::Verb;
use crate::domain::target::Target;
use crate::session::command::{Command, Outcome, OutcomeState};

/// Seconds in which a confirmed verb that gives traffic to a canary can be taken back (console-ux §6.2).
pub const DELAY: i64 = 5;

/// Outcomes kept whose command is not known here.
const EARLY: usize = 256;

/// One command with its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What it asks.
    pub label: String,
    /// The command.
    pub command: Command,
}

/// Orders that wait for their time.
#[derive(Clone, Debug)]
pub struct Delayed {
    /// When they go out.
    pub due: Timestamp,
    /// What they ask, in words.
    pub label: String,
    /// The orders.
    pub orders: Vec<Order>,
}

/// How the last order is undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// By the opposite verb.
    Verb(Target, Verb),
    /// By moving a pin back.
    Bump {
        /// The context of the provider.
        context: String,
        /// The ref that was pinned before.
        to: String,
    },
}

/// When an order goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At once: it takes traffic away from a canary, or was proven by typing.
    Now,
    /// After [`DELAY`].
    Later,
}

impl When {
    /// What gives a canary traffic can wait; what takes it away cannot.
    #[must_use]
    pub const fn of(verb: Verb) -> Self {
        match verb {
            Verb::Approve | Verb::Resume | Verb::Retry => Self::Later,
            Verb::Pause | Verb::Abort | Verb::Reject | Verb::Promote => Self::Now,
        }
    }
}

/// Takes confirmed orders, if the console is still armed.
pub fn place(model: &mut Model, label: String, orders: Vec<Order>, when: When) -> Vec<Effect> {
    if !model.armed() {
        model.say(Role::Warn, read_only(model));
        return Vec::new();
    }
    match when {
        When::Now => send(model, &label, orders),
        When::Later => {
            let due = model.now.saturating_add(SignedDuration::from_secs(DELAY)).unwrap_or(model.now);
            model.delayed.push(Delayed { due, label, orders });
            model.toast = None;
            Vec::new()
        }
    }
}

/// Why nothing can be sent, and the key that changes it.
#[must_use]
pub fn read_only(model: &Model) -> String {
    format!("read-only: press {} to arm", model.keymap.short(Id::Arm))
}

/// Sends what waited long enough. What an order means is looked at once more: the fleet moved on meanwhile.
pub fn release(model: &mut Model) -> Vec<Effect> {
    let (due, waiting) = std::mem::take(&mut model.delayed).into_iter().partition(|delayed: &Delayed| delayed.due <= model.now);
    model.delayed = waiting;
    let mut effects = Vec::new();
    for Delayed { label, orders, .. } in due {
        if !model.armed() {
            model.say(Role::Bad, format!("{label}: the console was disarmed before it was sent"));
            continue;
        }
        let (good, refused): (Vec<_>, Vec<_>) =
            orders.into_iter().map(|order| (still_stands(model, &order.command), order)).partition(|(stands, _)| stands.is_ok());
        effects.extend(send(model, &label, good.into_iter().map(|(_, order)| order).collect()));
        if let Some((Err(why), order)) = refused.into_iter().next() {
            model.say(Role::Bad, format!("{} was not sent: {why}", order.label));
        }
    }
    effects
}

/// # Errors
/// Why the command means nothing any more.
fn still_stands(model: &Model, command: &Command) -> Result<(), String> {
    let Command::Verb { target, verb, revision, .. } = command else { return Ok(()) };
    let canary = model.view.canary(target).ok_or_else(|| format!("{target} is gone"))?;
    if canary.revision != *revision {
        return Err(format!("{} has a new revision", target.name));
    }
    // A verb of now must not reach a cluster that comes back an hour later.
    verbs::sendable(model, target, canary, *verb)
}

fn send(model: &mut Model, label: &str, orders: Vec<Order>) -> Vec<Effect> {
    if orders.is_empty() {
        return Vec::new();
    }
    model.batch += 1;
    model.undo = undo_of(model, &orders);
    model.say(Role::Busy, format!("» {label} · sent"));
    if let Some(toast) = &mut model.toast {
        toast.until = None;
    }
    let batch = model.batch;
    progress::begin(model, batch, &orders);
    orders.into_iter().map(|Order { label, command }| Effect::Send { command, label, batch }).collect()
}

fn undo_of(model: &Model, orders: &[Order]) -> Option<Undo> {
    let [order] = orders else { return None };
    match &order.command {
        Command::Verb { target, verb: Verb::Pause, .. } => Some(Undo::Verb(target.clone(), Verb::Resume)),
        Command::Verb { target, verb: Verb::Resume, .. } => Some(Undo::Verb(target.clone(), Verb::Pause)),
        Command::Bump { providers, .. } => {
            let [provider] = providers.as_slice() else { return None };
            let context = model.view.each().find(|context| context.provider == *provider)?;
            let to = context.sync.as_ref()?.pinned.clone()?;
            Some(Undo::Bump { context: context.name.clone(), to })
        }
        Command::Verb { .. } | Command::Sync { .. } | Command::Permissions { .. } | Command::LoggedIn { .. } => None,
    }
}

/// Takes back what waits, or asks for the opposite of what went out last.
pub fn undo(model: &mut Model) -> Option<Undo> {
    if let Some(delayed) = model.delayed.pop() {
        model.say(Role::Good, format!("taken back: {}", delayed.label));
        return None;
    }
    let Some(undo) = model.undo.clone() else {
        model.say(Role::Warn, "nothing to take back: what was sent last has no opposite");
        return None;
    };
    if let Undo::Verb(target, verb) = &undo {
        let asked = match (model.view.context(&target.context), model.view.canary(target)) {
            (Some(context), Some(canary)) => verbs::allowed(*verb, canary).map(|()| Confirm::verb(context, canary, *verb)),
            _ => Err(format!("{target} is gone")),
        };
        match asked {
            Ok(confirm) => model.overlay = Some(Overlay::Confirm(confirm)),
            Err(why) => model.say(Role::Warn, why),
        }
        return None;
    }
    Some(undo)
}

/// Notes what became of a command.
pub fn on_outcome(model: &mut Model, outcome: Outcome) {
    let Some((_, sent)) = model.sent.iter_mut().find(|(id, _)| *id == outcome.id) else {
        if model.early.len() < EARLY {
            model.early.push(outcome);
        }
        return;
    };
    let (label, batch, state) = (sent.label.clone(), sent.batch, outcome.state);
    let (target, message) = (outcome.target.clone(), outcome.message.clone());
    sent.outcomes.insert(outcome.target.clone(), outcome);
    let (mut role, word) = screens::outcome_look(state);
    let of_batch = of_batch(model, batch);
    let pending;
    let text = if of_batch.len() > 1 {
        let tally = Tally::of(&of_batch);
        pending = tally.pending > 0;
        if tally.failed + tally.refused > 0 {
            role = Role::Bad;
        }
        format!("{tally} · {} lists them", model.keymap.short(Id::Outcomes))
    } else {
        pending = state == OutcomeState::Pending;
        let text = format!("{word} {label} · {message}");
        if label.contains(&target) { text } else { format!("{text} ({target})") }
    };
    model.say(role, text);
    if pending && let Some(toast) = &mut model.toast {
        // Stays until what became of it is known.
        toast.until = None;
    }
}

/// Commands of one confirmation, oldest first.
#[must_use]
pub fn of_batch(model: &Model, batch: u64) -> Vec<&Sent> {
    model.sent.iter().map(|(_, sent)| sent).filter(|sent| sent.batch == batch).collect()
}

/// How the commands of one confirmation stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Seen to be done.
    pub done: usize,
    /// Refused by the driver, a policy or a permission.
    pub refused: usize,
    /// Not reached, or not decided.
    pub failed: usize,
    /// Under way.
    pub pending: usize,
}

impl Tally {
    /// Counts targets.
    #[must_use]
    pub fn of(sent: &[&Sent]) -> Self {
        let mut tally = Self::default();
        for sent in sent {
            if sent.outcomes.is_empty() {
                tally.pending += 1;
            }
            for outcome in sent.outcomes.values() {
                *match outcome.state {
                    OutcomeState::Done => &mut tally.done,
                    OutcomeState::Refused => &mut tally.refused,
                    OutcomeState::Failed => &mut tally.failed,
                    OutcomeState::Pending => &mut tally.pending,
                } += 1;
            }
        }
        tally
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [(self.done, "✓ done"), (self.refused, "✗ refused"), (self.failed, "✗ failed"), (self.pending, "» under way")];
        let parts: Vec<String> = parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        f.write_str(&parts.join(" · "))
    }
}
