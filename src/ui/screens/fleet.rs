//! The fleet: providers by attention, each with its canaries under it.

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::{chrome, list, preview, strip};
use crate::session::view::{CanaryView, ContextView, Indicator, Link, SyncState, SyncView};
use crate::ui::attention;
use crate::ui::hits::Hits;
use crate::ui::model::Model;
use crate::ui::rows::RowKey;
use crate::ui::theme::{Role, Theme};
use crate::ui::widgets::glyph::State;
use crate::ui::widgets::sparkline;
use crate::ui::widgets::text::{ago, as_of, cut, cut_middle, fit, fit_right, seconds_between, short, span};
use crate::ui::widgets::weight_bar::{percent, weight_bar};

/// Rows of the screen from which the preview has a place of its own; below, it takes what rows leave.
const PREVIEW_FROM: u16 = 30;

/// Rows that the table of a screen of this size has.
#[must_use]
pub const fn table_height((width, height): (u16, u16)) -> usize {
    let chrome = if super::compact::applies((width, height)) {
        4
    } else if height >= PREVIEW_FROM {
        8 + preview::HEIGHT
    } else {
        7
    };
    height.saturating_sub(chrome) as usize
}

/// Widths of the columns.
#[derive(Debug)]
pub struct Columns {
    name: usize,
    wave: usize,
    /// Versions of a provider, phase of a canary.
    middle: usize,
    bar: usize,
    spark: usize,
    age: usize,
    why: usize,
}

impl Columns {
    /// The widths on a screen of `width` columns.
    #[must_use]
    pub fn of(width: usize) -> Self {
        let wide = width >= 116;
        let (name, wave, middle, bar, spark, age) = match width {
            160.. => (30, 4, 19, 12, 24, 4),
            116.. => (22, 3, 17, 10, 13, 4),
            _ => (16 + width.saturating_sub(80) / 3, 0, 13, 0, 8, 3),
        };
        let fixed = 11 + name + 1 + if wave > 0 { wave + 1 } else { 0 } + middle + 1 + bar + 5 + 1 + spark + 1 + age + 1;
        Self { name, wave, middle, bar, spark, age, why: width.saturating_sub(fixed + usize::from(wide)) }
    }

    /// Columns of what a provider shows in place of weight, sparkline and age.
    const fn side(&self) -> usize {
        self.bar + 5 + 1 + self.spark + 1 + self.age
    }
}

/// Draws the screen between header and status line.
pub fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect, hits: &mut Hits) {
    let theme = model.theme();
    let columns = usize::from(area.width);
    let mut lines = vec![chrome::counters(model, columns)];
    lines.extend(strip::lines(model, columns));
    for problem in model.view.problems.iter().take(2) {
        lines.push(Line::styled(cut(&format!(" ! {problem}"), columns), theme.style(Role::Warn)));
    }
    let widths = Columns::of(columns);
    lines.extend(headings(model, &widths, columns));
    let has_preview = has_preview(model);
    let below = if has_preview { usize::from(preview::HEIGHT) } else { 0 };
    let room = usize::from(area.height).saturating_sub(lines.len() + below);
    for row in list::shown(model, area, lines.len(), room, hits) {
        let line = match row.canary(&model.view) {
            Some((context, canary)) => Some(canary_row(model, context, canary, &row.key, &widths)),
            None => row.context(&model.view).map(|context| provider_row(model, context, &row.key, &widths)),
        };
        lines.extend(line);
    }
    if model.rows.is_empty() {
        let calm = if model.view.contexts.is_empty() {
            "looking for contexts…"
        } else {
            "no context of the scope is known: 0 shows every context, C chooses"
        };
        lines.extend(list::empty(model, calm));
    }
    if has_preview {
        lines.resize(usize::from(area.height).saturating_sub(below), Line::default());
        lines.extend(preview::lines(model, columns));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// Whether the preview is drawn beside the rows.
#[must_use]
pub fn has_preview(model: &Model) -> bool {
    model.size.1 >= PREVIEW_FROM || model.rows.len() + usize::from(preview::HEIGHT) < table_height(model.size)
}

fn headings(model: &Model, widths: &Columns, columns: usize) -> [Line<'static>; 2] {
    let theme = model.theme();
    let wave = if widths.wave > 0 { fit("W", widths.wave + 1) } else { String::new() };
    let provider = format!(
        "   {} {} {wave}{} {} WHY",
        fit("STATE", 7),
        fit("PROVIDER", widths.name),
        fit("PINNED→APPLIED", widths.middle + 1).trim_end_matches('…'),
        fit("GIT", widths.side() - 1),
    );
    let mut notes = list::notes(model);
    let all: usize = model.visible().map(|context| context.canaries.len() + 1).sum();
    if model.rows.len() < all && model.place.filter.is_empty() && !model.place.trouble_only {
        notes.push(format!("{} not shown", all - model.rows.len()));
    }
    [
        Line::styled(provider, theme.style(Role::Title)),
        Line::from(vec![
            Span::styled(canary_headings(widths), theme.style(Role::Dim)),
            Span::styled(cut(&notes.join(" · "), widths.why.max(columns.saturating_sub(74))), theme.style(Role::Warn)),
        ]),
    ]
}

/// The names of the columns of canaries.
#[must_use]
pub fn canary_headings(widths: &Columns) -> String {
    format!(
        "   {} {} {}{} {} {} {} ",
        fit("", 7),
        fit("  canary", widths.name),
        " ".repeat(if widths.wave > 0 { widths.wave + 1 } else { 0 }),
        fit("phase", widths.middle),
        if widths.bar > 0 { fit("weight", widths.bar + 5) } else { fit_right("wt", 5) },
        fit(if widths.spark > 12 { "availability" } else { "avail" }, widths.spark),
        fit_right("for", widths.age),
    )
}

fn provider_row(model: &Model, context: &ContextView, key: &RowKey, widths: &Columns) -> Line<'static> {
    let theme = model.theme();
    let sync = context.sync.as_ref();
    let mut spans = vec![
        list::margin(model, key),
        model.digests.state(context).span(theme),
        Span::styled(format!(" {} ", fit(&cut_middle(&context.provider, widths.name), widths.name)), theme.style(Role::Title)),
    ];
    if widths.wave > 0 {
        let wave = context.wave.map_or_else(String::new, |wave| format!("w{wave}"));
        spans.push(Span::styled(format!("{} ", fit(&wave, widths.wave)), theme.style(Role::Dim)));
    }
    let dated = if context.link.is_live() { Role::Text } else { Role::Stale };
    spans.push(Span::styled(format!("{} ", fit(&sync.map_or_else(|| "–".into(), versions), widths.middle)), theme.style(dated)));
    let (git, role) = sync.map_or_else(|| (String::from("–"), Role::Dim), |sync| (git(sync, widths), sync_role(sync.state)));
    let role = if context.link.is_live() { role } else { Role::Stale };
    spans.push(Span::styled(format!("{} ", fit(&git, widths.side())), theme.style(role)));
    let (why, role) = provider_why(context, model);
    spans.push(Span::styled(cut(&why, widths.why), theme.style(role)));
    list::finish(model, spans, key)
}

/// Pinned and applied ref of a provider; one of them where they agree.
#[must_use]
pub fn versions(sync: &SyncView) -> String {
    match (&sync.pinned, &sync.applied_ref) {
        (None, None) => "–".into(),
        (Some(pinned), Some(applied)) if pinned == applied => pinned.clone(),
        (pinned, applied) => {
            format!("{}→{}", pinned.as_deref().unwrap_or("?"), applied.as_deref().unwrap_or("?"))
        }
    }
}

fn git(sync: &SyncView, widths: &Columns) -> String {
    let head = sync.head.as_deref().map(short).unwrap_or_default();
    let mut text = format!("{} {head}", sync.state.word());
    if let Some(promoted) = sync.promoted_ref.as_ref()
        && widths.bar > 0
        && sync.pinned.as_ref() != Some(promoted)
    {
        let _ = write!(text, " · promoted {promoted}");
    }
    text
}

/// The word of a sync, and how it looks.
#[must_use]
pub const fn sync_look(sync: &SyncView) -> (&'static str, Role) {
    (sync.state.word(), sync_role(sync.state))
}

const fn sync_role(state: SyncState) -> Role {
    match state {
        SyncState::Synced => Role::Good,
        SyncState::Applying => Role::Busy,
        SyncState::Failed => Role::Bad,
        SyncState::Suspended => Role::Hold,
        SyncState::Behind => Role::Warn,
        SyncState::Unknown => Role::Stale,
    }
}

/// Why a provider stands as it stands, as the read model says it.
#[must_use]
pub fn provider_why(context: &ContextView, model: &Model) -> (String, Role) {
    let dated = |why: &str, since| match context.heard {
        Some(heard) => format!("as of {} · {why}", as_of(heard, model.now)),
        None => format!("{why}, since {}", as_of(since, model.now)),
    };
    match &context.link {
        Link::Connecting { since } => (format!("connecting for {}", ago(*since, model.now)), Role::Stale),
        Link::Stale { since, why } => (dated(why, *since), Role::Stale),
        Link::Unreachable { since, why } => (dated(why, *since), Role::Bad),
        Link::Unauthorized { since, why } => (dated(why, *since), Role::Warn),
        Link::Live => {
            let sync = context.sync.as_ref().filter(|sync| !sync.message.is_empty());
            match (sync, context.problems.first()) {
                (Some(sync), _) if sync.state == SyncState::Failed => (sync.message.clone(), Role::Bad),
                (_, Some(problem)) => (format!("! {problem}"), Role::Warn),
                (Some(sync), None) => (sync.message.clone(), Role::Text),
                (None, None) => (canaries(context), Role::Dim),
            }
        }
    }
}

/// How many canaries a provider has, and in which states they are where that is not calm.
fn canaries(context: &ContextView) -> String {
    let count = context.canaries.len();
    let mut states: Vec<(State, usize)> = Vec::new();
    for state in State::ALL.into_iter().filter(|state| !state.is_calm()) {
        let of_it = context.canaries.iter().filter(|canary| attention::own_state(canary) == state).count();
        if of_it > 0 {
            states.push((state, of_it));
        }
    }
    let words: Vec<String> = states.iter().map(|(state, of_it)| format!("{of_it} {}", state.word())).collect();
    match (count, words.is_empty()) {
        (0, _) => "no canaries".into(),
        (1, true) => "1 canary ✓".into(),
        (many, true) => format!("{many} canaries ✓"),
        (many, false) => format!("{} of {many} canaries", words.join(", ")),
    }
}

/// The row of a canary.
#[must_use]
pub fn canary_row(model: &Model, context: &ContextView, canary: &CanaryView, key: &RowKey, widths: &Columns) -> Line<'static> {
    let theme = model.theme();
    let state = attention::canary_state(context, canary);
    let text = if state == State::Stale { Role::Stale } else { Role::Text };
    let name = canary.key.path();
    let mut spans = vec![
        list::margin(model, key),
        state.span(theme),
        Span::styled(
            format!("   {} ", fit(&cut_middle(&name, widths.name.saturating_sub(2)), widths.name.saturating_sub(2))),
            theme.style(text),
        ),
    ];
    if widths.wave > 0 {
        spans.push(Span::raw(" ".repeat(widths.wave + 1)));
    }
    let phase = if canary.phase.word().is_empty() { "New" } else { canary.phase.word() };
    spans.push(Span::styled(format!("{} ", fit(phase, widths.middle)), theme.style(text)));
    spans.extend(progress(canary, widths.bar, state, theme));
    spans.push(Span::raw(" "));
    let availability = canary.slo.iter().find(|series| series.indicator == Indicator::Availability);
    match availability {
        Some(series) => spans.extend(sparkline::one_row(series, widths.spark, theme)),
        None => spans.push(Span::styled(fit("–", widths.spark), theme.style(Role::Dim))),
    }
    let age = canary.since.map_or_else(String::new, |since| ago(since, model.now));
    spans.push(Span::styled(format!(" {} ", fit_right(&age, widths.age)), theme.style(Role::Dim)));
    let (why, role) = canary_why(context, canary, model);
    spans.push(Span::styled(cut(&why, widths.why), theme.style(role)));
    list::finish(model, spans, key)
}

/// Weight bar with percent, or iterations, in `bar + 5` columns.
fn progress(canary: &CanaryView, bar: usize, state: State, theme: Theme) -> Vec<Span<'static>> {
    let role = if state.is_calm() { Role::Dim } else { state.role() };
    if canary.max_iterations > 0 {
        let share = percent(canary.iterations, canary.max_iterations);
        let mut spans = weight_bar(share, 0, bar, role, theme);
        spans.push(Span::styled(fit_right(&format!("{}/{}", canary.iterations, canary.max_iterations), 5), theme.style(role)));
        return spans;
    }
    if canary.phase.is_settled() && canary.weight == 0 {
        return vec![Span::styled(fit_right("–", bar + 5), theme.style(Role::Dim))];
    }
    let mut spans = weight_bar(canary.weight, canary.max_weight, bar, role, theme);
    spans.push(Span::styled(fit_right(&format!("{} %", canary.weight), 5), theme.style(role)));
    spans
}

/// The reason of a canary, before it when the next step is due.
#[must_use]
pub fn canary_why(context: &ContextView, canary: &CanaryView, model: &Model) -> (String, Role) {
    let (why, role) = reason(context, canary, model);
    let due = canary.report.as_ref().and_then(|report| report.until).filter(|until| *until > model.now);
    match due {
        Some(due) if context.link.is_live() && canary.paused.is_none() => {
            (format!("{} · {why}", span(seconds_between(model.now, due))), role)
        }
        _ => (why, role),
    }
}

/// Why a canary stands where it stands, as its driver says it.
#[must_use]
pub fn reason(context: &ContextView, canary: &CanaryView, model: &Model) -> (String, Role) {
    if !context.link.is_live() {
        let when = context.heard.map_or_else(|| "never heard".into(), |heard| format!("as of {}", as_of(heard, model.now)));
        let said = canary.report.as_ref().map(|report| format!(" · {}", report.message)).unwrap_or_default();
        return (when + &said, Role::Stale);
    }
    let state = attention::own_state(canary);
    let role = if state.is_calm() { Role::Dim } else { Role::Text };
    if let Some(pause) = &canary.paused {
        let why = if pause.why.is_empty() { String::new() } else { format!(": {}", pause.why) };
        return (format!("paused by {}{why}", pause.who), Role::Text);
    }
    match (&canary.report, canary.gates.first(), &canary.foreign) {
        (Some(report), ..) => (report.message.clone(), role),
        (None, Some(gate), _) => {
            let since = gate.since.map(|since| format!(" for {}", ago(since, model.now))).unwrap_or_default();
            (format!("{} waits{since}", gate.name), role)
        }
        (None, None, Some(foreign)) => (foreign.clone(), Role::Dim),
        (None, None, None) => (String::new(), role),
    }
}

/// The environment of a context as a word in its own look: production is not to be mistaken.
#[must_use]
pub fn environment(context: &ContextView, theme: Theme) -> Option<Span<'static>> {
    let name = context.environment.as_ref()?;
    Some(Span::styled(format!(" {} ", name.to_uppercase()), theme.environment(name)))
}
