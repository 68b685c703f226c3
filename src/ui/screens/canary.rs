//! One canary: where it stands and why, what the limits say, what happened.

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::{fleet, gone, label, named, outcome_look, rule};
use crate::session::timeline::timeline;
use crate::session::view::{CanaryView, ContextView, EventView, SloSeries};
use crate::ui::actions::Id;
use crate::ui::attention;
use crate::ui::model::Model;
use crate::ui::overlays::confirm::{data_age, driver};
use crate::ui::theme::{Role, Theme};
use crate::ui::widgets::text::{ago, clock_with_seconds, countdown, cut, fit, seconds_between, short, span, wrap};
use crate::ui::widgets::weight_bar::{percent, weight_bar};
use crate::ui::widgets::{sparkline, stages};

/// Rows of the screen from which sparklines have three rows.
const TALL: u16 = 33;

/// Draws the screen between header and status line.
pub fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let theme = model.theme();
    let columns = usize::from(area.width);
    let Some((context, canary)) = model.subject() else {
        return gone(frame, area, "canary", theme);
    };
    let tall = model.size.1 >= TALL;
    let mut lines = identity(model, context, canary, columns);
    lines.extend(rollout(model, canary, columns, tall));
    lines.extend(slo(canary, columns, tall, theme));
    let verbs = verdicts(model, canary, columns);
    // Events are what scrolls: they get at least a heading and three lines.
    let rest = usize::from(area.height).saturating_sub(lines.len() + verbs.len() + 4);
    let hooks = hooks(canary, columns, theme);
    if tall && hooks.len() <= rest {
        lines.extend(hooks);
    }
    let room = usize::from(area.height).saturating_sub(lines.len() + verbs.len());
    let mut events = events(model, canary, columns, room);
    events.resize(room, Line::default());
    lines.extend(events);
    lines.extend(verbs);
    frame.render_widget(Paragraph::new(lines), area);
}

/// Columns of the names of lines.
const NAMES: usize = 8;

/// State, phase and age of a canary in one line; production stands out.
#[must_use]
pub fn headline(model: &Model, context: &ContextView, canary: &CanaryView, columns: usize) -> Line<'static> {
    let theme = model.theme();
    let state = attention::canary_state(context, canary);
    let phase = if canary.phase.word().is_empty() { "New" } else { canary.phase.word() };
    let since = canary.since.map(|since| format!(" for {}", ago(since, model.now))).unwrap_or_default();
    let rest = format!("{phase}{since} · {} by {} · {}", canary.strategy, canary.router, data_age(model, context));
    let place = fleet::environment(context, theme);
    let room = columns.saturating_sub(11 + place.as_ref().map_or(0, |place| place.width() + 2));
    let mut spans = vec![Span::raw(" "), state.span(theme), Span::styled(format!("  {}", cut(&rest, room)), theme.style(Role::Title))];
    if let Some(place) = place {
        spans.extend([Span::raw("  "), place]);
    }
    Line::from(spans)
}

fn identity(model: &Model, context: &ContextView, canary: &CanaryView, columns: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let mut lines = vec![headline(model, context, canary, columns)];
    let why = fleet::reason(context, canary, model).0;
    let why = if why.is_empty() { "nothing is reported".to_string() } else { why };
    let mut name = "why";
    for part in wrap(&why, columns.saturating_sub(11), 2) {
        lines.push(named((std::mem::take(&mut name), NAMES), &part, Role::Text, columns, theme));
    }
    if canary.paused.is_some()
        && let Some(report) = &canary.report
    {
        lines.push(named(("", NAMES), &report.message, Role::Dim, columns, theme));
    }
    if let Some(due) = canary.report.as_ref().and_then(|report| report.until) {
        let left = due.as_second() - model.now.as_second();
        let text = if left > 0 { format!("step due in {}", countdown(left)) } else { format!("step due since {}", span(-left)) };
        lines.push(named(("next", NAMES), &text, Role::Text, columns, theme));
    }
    let image = |image: &Option<String>| image.clone().unwrap_or_else(|| "–".into());
    let images = if canary.target_image == canary.primary_image {
        format!("{} on both", image(&canary.target_image))
    } else {
        format!("primary {} · target {}", image(&canary.primary_image), image(&canary.target_image))
    };
    lines.push(named(("image", NAMES), &images, Role::Text, columns, theme));
    let mut run = format!("revision {} · driver {}", short(&canary.revision), driver(&context.driver));
    if context.provider != context.name {
        let _ = write!(run, " · provider {}", context.provider);
    }
    if let Some(wave) = context.wave {
        let _ = write!(run, " · wave {wave}");
    }
    lines.push(named(("run", NAMES), &run, Role::Text, columns, theme));
    if let Some(foreign) = &canary.foreign {
        lines.push(named(("foreign", NAMES), foreign, Role::Warn, columns, theme));
    }
    lines
}

fn rollout(model: &Model, canary: &CanaryView, columns: usize, tall: bool) -> Vec<Line<'static>> {
    let theme = model.theme();
    let every = i64::try_from(canary.interval).map(span).unwrap_or_default();
    let mut plan = Vec::new();
    if canary.interval > 0 {
        plan.push(format!("a step every {every}"));
    }
    plan.extend(steps(canary));
    if canary.threshold > 0 {
        plan.push(format!("back at {} failed checks", canary.threshold));
    }
    let line = timeline(canary, model.now);
    let mut lines = vec![rule("rollout", &plan.join(" · "), columns, theme)];
    lines.extend(stages::lines(&line, columns, if tall { 3 } else { 2 }, theme));
    let wide = columns.saturating_sub(11 + 36).clamp(10, 70);
    let role = attention::own_state(canary).role();
    if canary.max_iterations > 0 {
        let mut spans = vec![label("steps", NAMES, theme)];
        spans.extend(weight_bar(percent(canary.iterations, canary.max_iterations), 0, wide, role, theme));
        let text = format!("  iteration {}/{} · canary weight {} %", canary.iterations, canary.max_iterations, canary.weight);
        spans.push(Span::styled(text, theme.style(Role::Text)));
        lines.push(Line::from(spans));
    } else {
        let mut spans = vec![label("weight", NAMES, theme)];
        spans.extend(weight_bar(canary.weight, canary.max_weight, wide, role, theme));
        spans.push(Span::styled(format!("  {} %", canary.weight), theme.style(role)));
        let rest = 100_u32.saturating_sub(canary.weight);
        let mut end = if canary.max_weight > 0 { format!(" of {} %", canary.max_weight) } else { String::new() };
        if line.peak > canary.weight {
            let _ = write!(end, ", {} % at most", line.peak);
        }
        spans.push(Span::styled(format!("{end} · primary {rest} %"), theme.style(Role::Dim)));
        lines.push(Line::from(spans));
    }
    if canary.threshold > 0 {
        lines.push(checks(canary, theme));
    }
    for gate in &canary.gates {
        let since = gate.since.map(|since| format!(" for {}", ago(since, model.now))).unwrap_or_default();
        lines.push(Line::from(vec![
            label("gate", NAMES, theme),
            Span::styled(format!("◆ {} waits{since}", gate.name), theme.style(Role::Gate)),
            Span::styled(format!("   {}", model.keymap.short(Id::Approve)), theme.style(Role::Key)),
            Span::styled(" approve  ", theme.style(Role::Dim)),
            Span::styled(model.keymap.short(Id::Reject), theme.style(Role::Key)),
            Span::styled(" reject", theme.style(Role::Dim)),
        ]));
    }
    lines
}

/// The planned weights in words: `10 % by 10 to 50 %`, or each of them where they are few and uneven.
fn steps(canary: &CanaryView) -> Option<String> {
    let (first, last) = (*canary.steps.first()?, *canary.steps.last()?);
    let even = canary.steps.windows(2).all(|pair| pair[1].saturating_sub(pair[0]) == first);
    if even && canary.steps.len() > 2 {
        return Some(format!("{first} % each, up to {last} %"));
    }
    let shown: Vec<String> = canary.steps.iter().take(8).map(u32::to_string).collect();
    let more = if canary.steps.len() > 8 { " …" } else { "" };
    Some(format!("{}{more} %", shown.join(" ")))
}

fn checks(canary: &CanaryView, theme: Theme) -> Line<'static> {
    let mut spans = vec![label("checks", NAMES, theme)];
    if canary.threshold <= 20 {
        let failed = canary.failed_checks.min(canary.threshold);
        let count = |number: u32| usize::try_from(number).unwrap_or(0);
        spans.push(Span::styled("✗".repeat(count(failed)), theme.style(Role::Bad)));
        spans.push(Span::styled("·".repeat(count(canary.threshold - failed)), theme.style(Role::Dim)));
        spans.push(Span::raw("  "));
    }
    let role = if canary.failed_checks > 0 { Role::Bad } else { Role::Text };
    spans.push(Span::styled(format!("{} failed", canary.failed_checks), theme.style(role)));
    spans.push(Span::styled(format!(" of the {} that roll it back", canary.threshold), theme.style(Role::Dim)));
    Line::from(spans)
}

fn slo(canary: &CanaryView, columns: usize, tall: bool, theme: Theme) -> Vec<Line<'static>> {
    let window = canary.slo.iter().map(|series| series.step * u64::try_from(series.points.len()).unwrap_or(0)).max().unwrap_or(0);
    let window = i64::try_from(window).map(span).unwrap_or_default();
    if canary.slo.is_empty() {
        return vec![rule("service levels", "no measurements: no metric server, or nothing asked yet", columns, theme)];
    }
    let mut lines = vec![rule("service levels", &format!("last {window}, · no data, ! beyond the limit"), columns, theme)];
    for series in &canary.slo {
        if let Some(why) = &series.failed {
            let text = format!(" {} ? the query failed: {why}", fit(&series.name, 14));
            lines.push(Line::styled(cut(&text, columns), theme.style(Role::Warn)));
        } else if tall && canary.slo.len() <= 3 {
            lines.extend(tall_chart(series, columns, theme));
            lines.extend(primary_chart(series, columns, theme));
        } else {
            lines.push(flat_chart(series, columns, theme));
        }
    }
    lines
}

/// A series in one line: name, limit, course, now, least and most.
#[must_use]
pub fn flat_chart(series: &SloSeries, columns: usize, theme: Theme) -> Line<'static> {
    let figures = sparkline::figures(series, theme);
    let wide = columns.saturating_sub(1 + 14 + 15 + 1 + figures.width() + 1).max(6);
    let mut spans = vec![
        Span::styled(format!(" {}", fit(&series.name, 14)), theme.style(Role::Text)),
        Span::styled(fit(&sparkline::limit(series), 15), theme.style(Role::Limit)),
    ];
    spans.extend(sparkline::one_row(series, wide, theme));
    spans.push(Span::raw(" "));
    spans.extend(figures.spans);
    Line::from(spans)
}

/// The primary at the same moments, against the same limit; nothing where it was not asked for.
#[must_use]
pub fn primary_chart(series: &SloSeries, columns: usize, theme: Theme) -> Option<Line<'static>> {
    if series.primary.is_empty() {
        return None;
    }
    let of_primary = SloSeries { points: series.primary.clone(), primary: Vec::new(), ..series.clone() };
    let figures = sparkline::figures(&of_primary, theme);
    let mut spans = vec![Span::styled(format!(" {}", fit("  primary", 14)), theme.style(Role::Dim))];
    spans.push(Span::raw(" ".repeat(GUTTER.saturating_sub(15))));
    spans.extend(sparkline::one_row(&of_primary, columns.saturating_sub(GUTTER + 2 + figures.width()), theme));
    spans.push(Span::raw(" "));
    spans.extend(figures.spans);
    Some(Line::from(spans))
}

/// Columns before a chart of three rows.
const GUTTER: usize = 34;

fn tall_chart(series: &SloSeries, columns: usize, theme: Theme) -> [Line<'static>; 3] {
    let [above, middle, below] = sparkline::three_rows(series, columns.saturating_sub(GUTTER + 2), theme);
    let row = |left: Vec<Span<'static>>, bars: Vec<Span<'static>>| {
        let used: usize = left.iter().map(Span::width).sum();
        let mut spans = left;
        spans.push(Span::raw(" ".repeat(GUTTER.saturating_sub(used))));
        spans.extend(bars);
        Line::from(spans)
    };
    let mut figures = vec![Span::raw(" ")];
    figures.extend(sparkline::figures(series, theme).spans);
    [
        row(vec![Span::styled(format!(" {}", cut(&series.name, GUTTER - 2)), theme.style(Role::Title))], above),
        row(vec![Span::styled(format!(" {}", sparkline::limit(series)), theme.style(Role::Limit))], middle),
        row(figures, below),
    ]
}

/// The hooks of the analysis, gates first: what is asked, where, and whether it waits now.
fn hooks(canary: &CanaryView, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    if canary.hooks.is_empty() {
        return Vec::new();
    }
    let gates = canary.hooks.iter().filter(|hook| hook.gate).count();
    let mut lines = vec![rule("hooks", &format!("{} and {gates} gates", canary.hooks.len() - gates), columns, theme)];
    let mut sorted: Vec<_> = canary.hooks.iter().collect();
    sorted.sort_by_key(|hook| !hook.gate);
    for hook in sorted {
        let waits = canary.gates.iter().any(|gate| gate.name == hook.kind || gate.name == hook.name);
        let (glyph, role) = match (waits, hook.gate) {
            (true, _) => ("◆", Role::Gate),
            (false, true) => ("·", Role::Dim),
            (false, false) => (" ", Role::Text),
        };
        let url = if hook.url.is_empty() { "opened by a human: a approve" } else { &hook.url };
        let text = format!(" {glyph} {} {} {url}", fit(&hook.kind, 26), fit(&hook.name, 20));
        lines.push(Line::styled(cut(&text, columns), theme.style(role)));
    }
    lines
}

fn events(model: &Model, canary: &CanaryView, columns: usize, room: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    if room < 2 {
        return Vec::new();
    }
    let first = model.place.scroll.min(canary.events.len().saturating_sub(1));
    let note = match (canary.events.len(), first) {
        (0, _) => "none yet".to_string(),
        (count, 0) => format!("{count}, newest first"),
        (count, first) => format!("{} to {} of {count}", first + 1, (first + room - 1).min(count)),
    };
    let mut lines = vec![rule("events", &note, columns, theme)];
    lines.extend(canary.events.iter().skip(first).take(room - 1).map(|event| event_line(event, columns, theme)));
    lines
}

fn event_line(event: &EventView, columns: usize, theme: Theme) -> Line<'static> {
    let at = event.at.map_or_else(|| "–".into(), clock_with_seconds);
    let (mark, role) = if event.warning { ("!", Role::Warn) } else { (" ", Role::Text) };
    let times = if event.count > 1 { format!(" (×{})", event.count) } else { String::new() };
    Line::from(vec![
        Span::styled(format!(" {} ", fit(&at, 9)), theme.style(Role::Dim)),
        Span::styled(format!("{mark} {}", cut(&format!("{}{times}", event.message), columns.saturating_sub(14))), theme.style(role)),
    ])
}

/// What became of verbs: the driver's record, and above it what this console sent and has not seen
/// decided.
fn verdicts(model: &Model, canary: &CanaryView, columns: usize) -> Vec<Line<'static>> {
    let theme = model.theme();
    let most = if model.size.1 >= TALL { 4 } else { 2 };
    let target = model.target().map(ToString::to_string).unwrap_or_default();
    let mut lines = Vec::new();
    for (_, sent) in model.sent.iter().rev().filter(|(_, sent)| sent.label.ends_with(&target)) {
        let outcome = sent.outcomes.get(&target).or_else(|| sent.outcomes.values().next());
        let (role, word, message) = match outcome {
            Some(outcome) => (outcome_look(outcome.state).0, outcome_look(outcome.state).1, outcome.message.clone()),
            None => (Role::Busy, "» sent", String::new()),
        };
        let verb = sent.label.split(' ').next().unwrap_or_default();
        let text = format!("{} {word} {verb} {message}", fit(&clock_with_seconds(sent.at), 9));
        lines.push(Line::styled(cut(&format!(" {text}"), columns), theme.style(role)));
    }
    for verdict in canary.verdicts.iter().rev() {
        let (word, role) = if verdict.accepted { ("✓ accepted", Role::Good) } else { ("✗ refused", Role::Bad) };
        let parts = [verdict.note.as_str(), verdict.why.as_str()];
        let text: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let line = format!(
            " {} {word} {} by {} ({} ago) {}",
            fit(&clock_with_seconds(verdict.at), 9),
            verdict.verb,
            verdict.who,
            span(seconds_between(verdict.at, model.now)),
            text.join(" · ")
        );
        lines.push(Line::styled(cut(&line, columns), theme.style(role)));
    }
    lines.truncate(most);
    if !lines.is_empty() {
        lines.insert(0, rule("verbs", "newest first", columns, theme));
    }
    lines
}
