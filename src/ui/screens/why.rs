//! Why one canary stands where it stands: ranked reasons, and under them the evidence of the one under
//! the cursor, what differs between the revisions, and what could not be found out.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::{canary, fleet, gone, list, named, rule};
use crate::session::why::difference::Difference;
use crate::session::why::{Explanation, Finding, Proof, Severity};
use crate::ui::hits::Hits;
use crate::ui::model::Model;
use crate::ui::rows::RowKey;
use crate::ui::theme::{Role, Theme};
use crate::ui::widgets::stages;
use crate::ui::widgets::text::{ago, clock_with_seconds, cut, cut_middle, fit, wrap};

/// Draws the screen between header and status line.
pub fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect, hits: &mut Hits) {
    let theme = model.theme();
    let columns = usize::from(area.width);
    let Some((context, canary)) = model.subject() else {
        return gone(frame, area, "canary", theme);
    };
    let mut lines = vec![canary::headline(model, context, canary, columns)];
    let Some(of) = model.explanation() else {
        let (why, role) = fleet::reason(context, canary, model);
        lines.extend(wrap(&why, columns.saturating_sub(2), 4).into_iter().map(|part| Line::styled(format!(" {part}"), theme.style(role))));
        let looking = model.explained.as_ref().is_none_or(|(target, _)| Some(target) != model.target());
        let note = if looking { " looking at events, metrics, pods and other providers…" } else { " no more could be found out" };
        lines.push(Line::styled(note, theme.style(Role::Dim)));
        frame.render_widget(Paragraph::new(lines), area);
        return;
    };
    lines.extend(stages::lines(&of.timeline, columns, 2, theme));
    let asked = format!(
        "{} reasons, as of {} ago · enter leads to the evidence · c copies the report",
        of.findings.len(),
        ago(of.as_of, model.now)
    );
    lines.push(rule("why", &asked, columns, theme));
    let height = usize::from(area.height);
    let room = of.findings.len().min((height / 2).saturating_sub(lines.len()).max(3));
    let above = lines.len();
    for row in list::shown(model, area, above, room, hits) {
        let Some(finding) = of.findings.get(row.item) else { continue };
        lines.push(list::finish(model, finding_spans(model, finding, row.item, &row.key, columns), &row.key));
    }
    let here = model.cursor();
    if let Some(finding) = of.findings.get(here) {
        lines.push(rule("evidence", &format!("of reason {}, by the rule {}", here + 1, finding.rule), columns, theme));
        lines.extend(wrap(&finding.text, columns.saturating_sub(2), 3).into_iter().map(|part| Line::from(format!(" {part}"))));
        for proof in &finding.evidence {
            lines.extend(proof_lines(of, proof, columns, theme));
        }
    }
    lines.extend(differences("primary → target", &of.changes, columns, theme));
    if let Some(twin) = &of.twin_difference {
        lines.extend(differences(&format!("against {}, where it is healthy", twin.target), &twin.difference, columns, theme));
    }
    if !of.gaps.is_empty() {
        lines.push(rule("not known", "", columns, theme));
        lines.extend(of.gaps.iter().map(|gap| Line::styled(cut(&format!(" ? {gap}"), columns), theme.style(Role::Warn))));
    }
    if lines.len() > height {
        let shown = height.saturating_sub(1);
        let note = format!(" … {} lines more: c copies the whole report, and a taller terminal shows it", lines.len() - shown);
        lines.truncate(shown);
        lines.push(Line::styled(cut(&note, columns), theme.style(Role::Dim)));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

const fn severity(of: Severity) -> Role {
    match of {
        Severity::Cause => Role::Bad,
        Severity::Warning => Role::Warn,
        Severity::Note => Role::Text,
        Severity::Help => Role::Good,
    }
}

fn finding_spans(model: &Model, finding: &Finding, at: usize, key: &RowKey, columns: usize) -> Vec<Span<'static>> {
    let theme = model.theme();
    vec![
        list::margin(model, key),
        Span::styled(format!("{:>2} ", at + 1), theme.style(Role::Dim)),
        Span::styled(format!("{} ", fit(finding.severity.word(), 8)), theme.style(severity(finding.severity))),
        Span::styled(cut(&finding.text, columns.saturating_sub(16)), theme.style(Role::Text)),
    ]
}

/// What a reason rests on, in a line or a few.
fn proof_lines(of: &Explanation, proof: &Proof, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let line = |name: &str, text: &str, role: Role| named((name, 9), text, role, columns, theme);
    match proof {
        Proof::Report => of.report.iter().map(|report| line("report", &report.message, Role::Text)).collect(),
        Proof::Event { index, at } => {
            let text = of.events.get(*index).map_or("an event that is gone", |event| event.message.as_str());
            let warning = of.events.get(*index).is_some_and(|event| event.warning);
            let when = at.map(clock_with_seconds).unwrap_or_default();
            vec![line("event", format!("{when} {text}").trim(), if warning { Role::Warn } else { Role::Text })]
        }
        Proof::Series { name, from, to } => {
            let Some(series) = of.slo.iter().find(|series| series.name == *name) else { return vec![line("series", name, Role::Text)] };
            let mut lines =
                vec![line("series", &format!("{name}, points {} to {} of {}", from + 1, to + 1, series.points.len()), Role::Text)];
            lines.push(canary::flat_chart(series, columns, theme));
            lines.extend(canary::primary_chart(series, columns, theme));
            lines
        }
        Proof::Gate { name } => vec![line("gate", name, Role::Gate)],
        Proof::Twin { target } => {
            let state = of.twins.iter().find(|twin| twin.target == *target);
            vec![line("twin", &state.map_or_else(|| target.clone(), |twin| format!("{target} {}", twin.phase)), Role::Text)]
        }
        Proof::Verb { index } => {
            let verdict = of.verdicts.get(*index);
            verdict
                .map(|verdict| line("verb", &format!("{} by {} {}", verdict.verb, verdict.who, verdict.why), Role::Text))
                .into_iter()
                .collect()
        }
        Proof::Sync => of.sync.iter().map(|sync| line("git", &format!("{} {}", sync.state.word(), sync.message), Role::Text)).collect(),
        Proof::Pods => [("canary", &of.canary_pods), ("primary", &of.primary_pods)]
            .into_iter()
            .filter_map(|(name, pods)| {
                let pods = pods.as_ref()?;
                let waits = pods.waits.as_deref().unwrap_or("ready");
                Some(line(
                    name,
                    &format!("{}: {} of {} updated, {} available, {waits}", pods.name, pods.updated, pods.wanted, pods.available),
                    Role::Text,
                ))
            })
            .collect(),
        Proof::Changes => vec![line("changes", &format!("{} values, below", of.changes.count()), Role::Text)],
        Proof::TwinChanges => {
            let count = of.twin_difference.as_ref().map_or(0, |twin| twin.difference.count());
            vec![line("changes", &format!("{count} values, below"), Role::Text)]
        }
        Proof::Link => vec![line(
            "link",
            &of.heard.map_or_else(|| "never heard".into(), |at| format!("heard last {}", clock_with_seconds(at))),
            Role::Stale,
        )],
    }
}

fn differences(title: &str, of: &Difference, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    if of.changes.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![rule("differs", title, columns, theme)];
    let wide = (columns / 3).clamp(20, 50);
    let room = columns.saturating_sub(wide + 6) / 2;
    for change in &of.changes {
        let was = change.was.as_deref().unwrap_or("–");
        let now = change.now.as_deref().unwrap_or("–");
        lines.push(Line::from(vec![
            Span::styled(format!(" {} ", fit(&cut_middle(&change.path, wide), wide)), theme.style(Role::Dim)),
            Span::styled(cut_middle(was, room), theme.style(Role::Text)),
            Span::styled(" → ", theme.style(Role::Rule)),
            Span::styled(cut_middle(now, room), theme.style(Role::Title)),
        ]));
    }
    if of.more > 0 {
        lines.push(Line::styled(format!(" and {} more", of.more), theme.style(Role::Dim)));
    }
    lines
}
