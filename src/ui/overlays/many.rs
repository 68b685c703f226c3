//! One verb for many canaries: those marked, or, to stop the line, all that are in flight.

use ratatui::text::{Line, Span};

use super::confirm::VerbAsk;
use crate::domain::intent::Verb;
use crate::domain::target::Target;
use crate::session::view::{CanaryView, ContextView, DriverView, FleetView, Need};
use crate::ui::actions::Id;
use crate::ui::attention;
use crate::ui::model::Model;
use crate::ui::theme::Role;
use crate::ui::verbs;
use crate::ui::widgets::text::{cut, cut_middle, fit, wrap};

/// A verb with the canaries that it is meant for, as they were when the question came up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Many {
    /// The verb.
    pub verb: Verb,
    /// The canaries.
    pub each: Vec<VerbAsk>,
    /// Canaries and contexts that were meant and do not take it, with the reason.
    pub left_out: Vec<(String, String)>,
    /// It stops the line: everything in flight, sent at once.
    pub stop: bool,
}

impl Many {
    /// The verb of an action for every marked canary or gate.
    #[must_use]
    pub fn marked(model: &Model, id: Id) -> Self {
        let mut many = Self { verb: Verb::Pause, each: Vec::new(), left_out: Vec::new(), stop: false };
        let marked = model.marked_targets();
        // One verb for all: what pauses the first one does not resume the second.
        let first = marked.iter().find_map(|(target, _)| verbs::verb_of(id, model.view.canary(target)?));
        let Some(verb) = first else { return many };
        many.verb = verb;
        for (target, gate) in marked {
            match (model.view.context(&target.context), model.view.canary(target)) {
                (Some(context), Some(canary)) => many.take(model, context, canary, gate),
                _ => many.left_out.push((target.to_string(), "it is gone".into())),
            }
        }
        many
    }

    /// An abort for every rollout in flight within the scope.
    #[must_use]
    pub fn in_flight(model: &Model) -> Self {
        let mut many = Self { verb: Verb::Abort, each: Vec::new(), left_out: Vec::new(), stop: true };
        for context in model.visible() {
            let flying: Vec<&CanaryView> = context.canaries.iter().filter(|canary| canary.phase.is_in_flight()).collect();
            if let Err(why) = verbs::reachable(model, context) {
                // What flies there is not known: the last that was heard may be long ago.
                let last = if flying.is_empty() { String::new() } else { format!("; {} in flight when last heard", flying.len()) };
                many.left_out.push((context.name.clone(), format!("{why}{last}")));
                continue;
            }
            for canary in flying {
                many.take(model, context, canary, None);
            }
        }
        many
    }

    fn take(&mut self, model: &Model, context: &ContextView, canary: &CanaryView, gate: Option<&str>) {
        let target = Target::new(&context.name, &canary.key);
        let foreign = match (&canary.foreign, &context.driver) {
            (Some(why), _) | (None, DriverView::Flagger { why }) => Err(why.clone()),
            _ => Ok(()),
        };
        let taken = verbs::reachable(model, context)
            .and_then(|()| verbs::permitted(context, Need::Verbs, Some(&canary.key.namespace)))
            .and(foreign)
            .and_then(|()| verbs::allowed(self.verb, canary));
        match taken {
            Ok(()) => {
                let ask = VerbAsk::of(context, canary, self.verb);
                let gate = gate.and_then(|name| ask.gates.iter().position(|gate| gate == name)).unwrap_or(0);
                self.each.push(VerbAsk { gate, ..ask });
            }
            Err(why) => self.left_out.push((target.to_string(), why)),
        }
    }

    /// The text that proves the intent.
    #[must_use]
    pub fn proof(&self) -> String {
        format!("{} {}", self.verb, self.each.len())
    }

    /// Leaves out what moved on since the question came up; whether any did.
    pub fn refresh(&mut self, view: &FleetView) -> bool {
        let before = self.each.len();
        let mut kept = Vec::with_capacity(before);
        for ask in std::mem::take(&mut self.each) {
            match ask.moved(view) {
                None => kept.push(ask),
                Some(why) => self.left_out.push((ask.target.to_string(), why)),
            }
        }
        self.each = kept;
        self.each.len() != before
    }

    /// What the dialog is called.
    #[must_use]
    pub fn title(&self, model: &Model) -> String {
        let scope =
            if model.scope.is_empty() { "all contexts".to_string() } else { model.scope.iter().cloned().collect::<Vec<_>>().join(" ") };
        if self.stop {
            format!("! STOP THE LINE · {scope}")
        } else {
            format!("{} {} canar{}", self.verb, self.each.len(), if self.each.len() == 1 { "y" } else { "ies" })
        }
    }
}

/// What the dialog says, in as many rows as a screen of `height` leaves.
#[must_use]
pub fn lines(model: &Model, many: &Many, columns: usize, height: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let what = if many.stop {
        "Every rollout in flight goes back to its primary, clusters in parallel. Whatever is at rest stays as it is."
    } else {
        many.verb.help()
    };
    let mut lines: Vec<Line<'static>> = wrap(what, columns, 2).into_iter().map(Line::from).collect();
    lines.push(Line::default());
    let room = height.saturating_sub(12).max(2);
    let lost = many.left_out.len().min(room / 2);
    let page = room.saturating_sub(lost);
    for ask in many.each.iter().take(page) {
        let canary = model.view.canary(&ask.target);
        let weight = canary.map_or_else(String::new, |canary| format!("{} {} %", canary.phase, canary.weight));
        let context = model.view.context(&ask.target.context);
        let environment = context.and_then(|context| context.environment.as_deref()).unwrap_or_default();
        let gate = if ask.gate().is_empty() { String::new() } else { format!(" · {}", ask.gate()) };
        let state = context.zip(canary).map(|(context, canary)| attention::canary_state(context, canary));
        let name = fit(&cut_middle(&ask.target.to_string(), 34), 35);
        let mut spans = Vec::new();
        spans.extend(state.map(|state| state.span(theme)));
        spans.push(Span::styled(format!(" {name}"), theme.style(Role::Text)));
        let rest = format!("{weight}{gate} · {environment}");
        spans.push(Span::styled(cut(rest.trim_end_matches(" · "), columns.saturating_sub(44)), theme.style(Role::Dim)));
        lines.push(Line::from(spans));
    }
    if many.each.len() > page {
        lines.push(Line::styled(format!("and {} more", many.each.len() - page), theme.style(Role::Dim)));
    }
    for (target, why) in many.left_out.iter().take(lost) {
        lines.push(Line::styled(cut(&format!("not {target}: {why}"), columns), theme.style(Role::Warn)));
    }
    if many.left_out.len() > lost {
        lines.push(Line::styled(
            format!("and {} more that cannot be reached or do not take it", many.left_out.len() - lost),
            theme.style(Role::Warn),
        ));
    }
    lines
}
