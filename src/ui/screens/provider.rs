//! One provider: how its cluster is reached, what git asks of it, and its canaries.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::fleet::{self, Columns};
use super::{gone, list, named, preview, rule};
use crate::session::view::{ContextView, CredentialView, SyncView};
use crate::ui::actions::Id;
use crate::ui::hits::{self, Hits};
use crate::ui::model::Model;
use crate::ui::overlays::confirm::{data_age, driver};
use crate::ui::rows::{Row, RowKey};
use crate::ui::theme::Role;
use crate::ui::widgets::text::{ago, cut, fit, short, span, wrap};

/// Draws the screen between header and status line.
pub fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect, hits: &mut Hits) {
    let theme = model.theme();
    let columns = usize::from(area.width);
    let Some(context) = model.context() else {
        return gone(frame, area, "context", theme);
    };
    let mut lines = identity(model, context, columns);
    lines.extend(source(model, context, columns));
    let widths = Columns::of(columns);
    let count = context.canaries.len();
    let weight: u32 = context.canaries.iter().map(|canary| canary.weight).max().unwrap_or(0);
    let note = match count {
        0 => "none".to_string(),
        count => format!("{count}, the heaviest at {weight} %"),
    };
    lines.push(rule("canaries", &note, columns, theme));
    lines.push(list::heading(model, fleet::canary_headings(&widths) + "why ", columns));
    let below = if usize::from(area.height) > lines.len() + 8 + usize::from(preview::HEIGHT) { usize::from(preview::HEIGHT) } else { 0 };
    let below = if on_canary(model) { below } else { 0 };
    let room = usize::from(area.height).saturating_sub(lines.len() + below);
    // The row of the sync stands above, in the tree.
    let window = list::window(model, room);
    let above = usize::from(model.rows.get(window.start).is_some_and(|row| matches!(row.key, RowKey::Sync(_))));
    let window = window.start + above..window.end;
    hits.rows(hits::list(area, lines.len(), room), window.start, window.end);
    let canaries: &[Row] = model.rows.get(window).unwrap_or_default();
    for row in canaries {
        lines.extend(row.canary(&model.view).map(|(context, canary)| fleet::canary_row(model, context, canary, &row.key, &widths)));
    }
    if canaries.is_empty() {
        lines.extend(list::empty(model, if context.link.is_live() { "no canary stands here" } else { "nothing is known of its canaries" }));
    }
    if below > 0 {
        lines.resize(usize::from(area.height).saturating_sub(below), Line::default());
        lines.extend(preview::lines(model, columns));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn on_canary(model: &Model) -> bool {
    matches!(model.place.selection, Some(RowKey::Canary(_)))
}

/// Columns of the names of lines.
const NAMES: usize = 8;

fn identity(model: &Model, context: &ContextView, columns: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let state = model.digests.state(context);
    let mut title = vec![context.provider.clone()];
    title.extend(context.wave.map(|wave| format!("wave {wave}")));
    title.extend(context.mesh.as_ref().map(|mesh| format!("mesh {mesh}")));
    title.push(data_age(model, context));
    let place = fleet::environment(context, theme);
    let room = columns.saturating_sub(11 + place.as_ref().map_or(0, |place| place.width() + 2));
    let mut first =
        vec![Span::raw(" "), state.span(theme), Span::styled(format!("  {}", cut(&title.join(" · "), room)), theme.style(Role::Title))];
    if let Some(place) = place {
        first.extend([Span::raw("  "), place]);
    }
    let mut lines = vec![Line::from(first)];
    let (why, role) = fleet::provider_why(context, model);
    let mut name = "why";
    for part in wrap(&why, columns.saturating_sub(11), 2) {
        lines.push(named((std::mem::take(&mut name), NAMES), &part, role, columns, theme));
    }
    let version = context.server_version.as_ref().map_or_else(String::new, |version| format!(" · Kubernetes {version}"));
    let reached = format!("context {}{version} · driver {}", context.name, driver(&context.driver));
    lines.push(named(("cluster", NAMES), &reached, Role::Text, columns, theme));
    if let Some(credential) = &context.credential {
        let (text, role) = credential_text(model, credential);
        lines.push(named(("login", NAMES), &text, role, columns, theme));
    }
    if !context.aliases.is_empty() {
        lines.push(named(("also", NAMES), &context.aliases.join(", "), Role::Dim, columns, theme));
    }
    for problem in &context.problems {
        lines.push(named(("problem", NAMES), &format!("! {problem}"), Role::Warn, columns, theme));
    }
    lines
}

/// Who we are there, and for how long: what runs out soon is said before it does.
fn credential_text(model: &Model, credential: &CredentialView) -> (String, Role) {
    const SOON: i64 = 900;
    let by = credential.plugin.as_ref().map_or_else(String::new, |plugin| format!(" by {plugin}"));
    let left = credential.left(model.now).map(|left| left.as_secs());
    let (end, role) = match left {
        None => (String::new(), Role::Text),
        Some(left) if left <= 0 => (" · expired".to_string(), Role::Bad),
        Some(left) => (format!(" · {} left", span(left)), if left < SOON { Role::Warn } else { Role::Text }),
    };
    let key = if credential.interactive { format!(" · {} logs in", model.keymap.short(Id::Login)) } else { String::new() };
    (format!("{}{by}{end}{key}", credential.user), role)
}

fn source(model: &Model, context: &ContextView, columns: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let Some(sync) = &context.sync else {
        return vec![rule("git", "no repository in the fleet file: nothing is synced here", columns, theme)];
    };
    let checked = sync.checked.map_or_else(|| "not compared yet".to_string(), |at| format!("compared {} ago", ago(at, model.now)));
    let mut lines = vec![rule("git", &checked, columns, theme)];
    let key = RowKey::Sync(context.name.clone());
    let ids = |commit: &Option<String>| commit.as_deref().map_or_else(|| "–".to_string(), short);
    let (state, role) = fleet::sync_look(sync);
    let tree = [
        (format!("{} {}", sync.repository, sync.branch), format!("head {}", ids(&sync.head)), Role::Text),
        (format!("└─ sync {}", if sync.path.is_empty() { "." } else { &sync.path }), synced(model, sync), role),
    ];
    let wide = (columns / 2).min(60);
    for (at, (left, right, role)) in tree.into_iter().enumerate() {
        let margin = if at == 1 { list::margin(model, &key) } else { Span::raw("   ") };
        let spans = vec![
            margin,
            Span::styled(fit(&left, wide), theme.style(Role::Text)),
            Span::styled(format!(" {}", cut(&right, columns.saturating_sub(wide + 5))), theme.style(role)),
        ];
        lines.push(if at == 1 { list::finish(model, spans, &key) } else { Line::from(spans) });
    }
    let refs = [("pinned", &sync.pinned), ("applied", &sync.applied_ref), ("promoted", &sync.promoted_ref)];
    let refs: Vec<String> = refs.iter().map(|(word, name)| format!("{word} {}", name.as_deref().unwrap_or("–"))).collect();
    lines.push(named(("refs", NAMES), &refs.join(" · "), Role::Text, columns, theme));
    if !sync.message.is_empty() {
        lines.push(named((state, NAMES), &sync.message, role, columns, theme));
    }
    lines
}

fn synced(model: &Model, sync: &SyncView) -> String {
    let (state, _) = fleet::sync_look(sync);
    let applied = sync.applied.as_deref().map_or_else(|| "nothing applied".to_string(), |commit| format!("applied {}", short(commit)));
    let when = sync.applied_at.map_or_else(String::new, |at| format!(" {} ago", ago(at, model.now)));
    format!("{state} · {applied}{when} · {} objects", sync.objects)
}
