//! The selection in a few lines: why, evidence, and which keys are legal next.

use std::fmt::Write as _;

use ratatui::text::{Line, Span};

use super::{chrome, fleet, named, rule};
use crate::session::view::{CanaryView, ContextView};
use crate::ui::actions::Id;
use crate::ui::model::Model;
use crate::ui::overlays::confirm::driver;
use crate::ui::theme::{Role, Theme};
use crate::ui::widgets::sparkline;
use crate::ui::widgets::text::{ago, cut, fit, number, short, wrap};

/// Rows that the preview takes.
pub const HEIGHT: u16 = 7;

/// The preview of the selection.
#[must_use]
pub fn lines(model: &Model, columns: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let mut lines = match (model.context(), model.subject()) {
        (_, Some((context, canary))) => canary_lines(model, context, canary, columns),
        (Some(context), None) => provider_lines(model, context, columns),
        (None, None) => vec![rule("nothing is selected", "", columns, theme)],
    };
    lines.truncate(usize::from(HEIGHT) - 1);
    lines.push(next_line(model, columns));
    lines.resize(usize::from(HEIGHT), Line::default());
    lines
}

/// Columns of the names of lines.
const NAMES: usize = 9;

fn why_lines(text: &str, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let mut name = "why";
    wrap(text, columns.saturating_sub(12), 2)
        .iter()
        .map(|part| named((std::mem::take(&mut name), NAMES), part, Role::Text, columns, theme))
        .collect()
}

fn canary_lines(model: &Model, context: &ContextView, canary: &CanaryView, columns: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let title = format!("{} › {}/{}", context.provider, canary.key.namespace, canary.key.name);
    let note = format!("{} by {} · driver {}", canary.strategy, canary.router, driver(&context.driver));
    let mut lines = vec![rule(&title, &cut(&note, columns.saturating_sub(title.len() + 10)), columns, theme)];
    lines.extend(why_lines(&fleet::canary_why(context, canary, model).0, columns, theme));
    let mut evidence = Vec::new();
    if canary.threshold > 0 {
        evidence.push(format!("failed checks {}/{}", canary.failed_checks, canary.threshold));
    }
    evidence.extend(canary.slo.iter().map(|series| {
        let now = series.now().map_or_else(|| "no data".into(), |now| format!("{} {}", number(now), series.indicator.unit()));
        let mark = if series.now().is_some_and(|now| series.breaks(now)) { "! " } else { "" };
        format!("{mark}{} {now} ({})", series.indicator.word(), sparkline::limit(series).trim_start_matches("limit "))
    }));
    lines.push(named(("evidence", NAMES), &evidence.join(" · "), Role::Text, columns, theme));
    let images = match (&canary.primary_image, &canary.target_image) {
        (Some(primary), Some(target)) if primary != target => format!("{primary} → {target}"),
        (_, Some(target)) => target.clone(),
        (Some(primary), None) => primary.clone(),
        (None, None) => "–".into(),
    };
    lines.push(named(("image", NAMES), &format!("{images} · revision {}", short(&canary.revision)), Role::Text, columns, theme));
    lines
}

fn provider_lines(model: &Model, context: &ContextView, columns: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let mut note = vec![format!("context {}", context.name)];
    note.extend(context.environment.clone());
    note.extend(context.mesh.as_ref().map(|mesh| format!("mesh {mesh}")));
    note.extend(context.server_version.as_ref().map(|version| format!("Kubernetes {version}")));
    note.push(format!("driver {}", driver(&context.driver)));
    let note = cut(&note.join(" · "), columns.saturating_sub(context.provider.len() + 10));
    let mut lines = vec![rule(&context.provider, &note, columns, theme)];
    lines.extend(why_lines(&fleet::provider_why(context, model).0, columns, theme));
    if let Some(sync) = &context.sync {
        let dash = || "–".to_string();
        let refs = format!(
            "pinned {} · applied {} · promoted {}",
            sync.pinned.clone().unwrap_or_else(dash),
            sync.applied_ref.clone().unwrap_or_else(dash),
            sync.promoted_ref.clone().unwrap_or_else(dash),
        );
        lines.push(named(("refs", NAMES), &refs, Role::Text, columns, theme));
        let commit = |id: &Option<String>| id.as_deref().map_or_else(dash, short);
        let mut git = format!(
            "{} {} · {} · head {} · applied {}",
            sync.repository,
            sync.path,
            sync.branch,
            commit(&sync.head),
            commit(&sync.applied)
        );
        if let Some(at) = sync.checked {
            let _ = write!(git, " · checked {} ago", ago(at, model.now));
        }
        lines.push(named(("git", NAMES), &git, Role::Text, columns, theme));
    }
    for problem in context.problems.iter().skip(1) {
        lines.push(named(("", NAMES), &format!("! {problem}"), Role::Warn, columns, theme));
    }
    lines
}

fn next_line(model: &Model, columns: usize) -> Line<'static> {
    let theme = model.theme();
    let mut spans = vec![Span::styled(format!(" {} ", fit("next", 9)), theme.style(Role::Dim))];
    if model.options.read_only {
        spans.push(Span::styled("started read-only: nothing can be sent", theme.style(Role::Dim)));
        return Line::from(spans);
    }
    let keys = chrome::next_keys(model);
    if keys.is_empty() {
        spans.push(Span::styled("nothing to do here", theme.style(Role::Dim)));
    } else if !model.armed() {
        spans.push(Span::styled(model.keymap.short(Id::Arm), theme.style(Role::Key)));
        spans.push(Span::styled(" arm, then  ", theme.style(Role::Dim)));
    }
    let mut room = columns.saturating_sub(26);
    for (key, title) in keys {
        let wide = key.len() + title.len() + 4;
        if wide > room {
            break;
        }
        room -= wide;
        spans.push(Span::styled(key, theme.style(Role::Key)));
        spans.push(Span::styled(format!(" {title}   "), theme.style(Role::Text)));
    }
    Line::from(spans)
}
