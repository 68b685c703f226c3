//! The rows of every list: which there are, in which order, for what the operator wants to see.
//!
//! Here live keys of rows and pure functions from the read model to rows. Never here: looks (screens draw
//! rows), or a change of the model. Rows are gathered once for each change of what they depend on, not for
//! each frame. Read this file first, then `fleet.rs`.

pub mod filter;
mod flat;
mod fleet;

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::address::Address;
use super::digest::Digests;
use super::place::Place;
use crate::domain::target::Target;
use crate::session::questions::LogLine;
use crate::session::view::{CanaryView, ContextView, FleetView};

/// What a row stands for. Selections and marks hold this, never an index: rows move.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKey {
    /// A context with its provider.
    Context(String),
    /// The repository and the sync of a provider, by its context.
    Sync(String),
    /// A canary.
    Canary(Target),
    /// A ref of the distribution.
    Ref(String),
    /// A gate of a canary.
    Gate(Target, String),
    /// An event of a canary: when, and what was said.
    Event(Target, Option<Timestamp>, String),
    /// A line of the log, by its number.
    Line(u64),
    /// A reason on the screen that explains, by its place.
    Finding(usize),
}

impl RowKey {
    /// The context that it belongs to.
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        match self {
            Self::Context(name) | Self::Sync(name) => Some(name),
            Self::Canary(target) | Self::Gate(target, _) | Self::Event(target, ..) => Some(&target.context),
            Self::Ref(_) | Self::Line(_) | Self::Finding(_) => None,
        }
    }

    /// The canary that it is about.
    #[must_use]
    pub const fn target(&self) -> Option<&Target> {
        match self {
            Self::Canary(target) | Self::Gate(target, _) | Self::Event(target, ..) => Some(target),
            _ => None,
        }
    }
}

/// A row, with where in the read model it was found. The places hold for that read model alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it stands for.
    pub key: RowKey,
    context: usize,
    canary: usize,
    /// Which gate or event of the canary, which ref of the fleet.
    pub item: usize,
}

/// No such place.
const NONE: usize = usize::MAX;

impl Row {
    fn new(key: RowKey, context: usize, canary: usize, item: usize) -> Self {
        Self { key, context, canary, item }
    }

    /// The context of the row.
    #[must_use]
    pub fn context<'a>(&self, view: &'a FleetView) -> Option<&'a ContextView> {
        view.contexts.get(self.context).map(|context| &**context)
    }

    /// Context and canary of the row.
    #[must_use]
    pub fn canary<'a>(&self, view: &'a FleetView) -> Option<(&'a ContextView, &'a CanaryView)> {
        let context = self.context(view)?;
        Some((context, context.canaries.get(self.canary)?))
    }
}

/// What the rows of an address depend on.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The fleet.
    pub view: &'a FleetView,
    /// Its contexts in numbers.
    pub digests: &'a Digests,
    /// The contexts; empty is all.
    pub scope: &'a BTreeSet<String>,
    /// Filter and order.
    pub place: &'a Place,
    /// The present.
    pub now: Timestamp,
    /// Rows of the fleet that fit: beyond them, canaries that are calm give way.
    pub room: usize,
    /// The log.
    pub log: &'a [LogLine],
    /// Reasons on the screen that explains.
    pub findings: usize,
}

/// The rows of an address; none where it has no list.
#[must_use]
pub fn of(address: &Address, wanted: &Wanted<'_>) -> Vec<Row> {
    match address {
        Address::Fleet => fleet::rows(wanted),
        Address::Provider(context) => fleet::of_provider(wanted, context),
        Address::Versions => flat::refs(wanted),
        Address::Gates => flat::gates(wanted),
        Address::Events => flat::events(wanted),
        Address::Log => flat::lines(wanted),
        Address::Why(_) => (0..wanted.findings).map(|at| Row::new(RowKey::Finding(at), NONE, NONE, at)).collect(),
        Address::Canary(_) | Address::Help => Vec::new(),
    }
}
