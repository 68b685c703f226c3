//! An explanation as text: for the terminal, and as the Markdown report of an incident.

use std::fmt::Write as _;

use super::figures::{ago, figure, in_unit, span};
use super::{Difference, Explanation, Proof, TwinState};
use crate::session::timeline::{Mark, Stage, StageState};
use crate::session::view::{DriverView, EventView, SloSeries};

/// Events of a report.
const EVENTS: usize = 20;

/// The first line: where it stands, since when.
#[must_use]
pub fn headline(of: &Explanation) -> String {
    let since = of.since.map(|since| format!(" for {}", ago(of.as_of, since))).unwrap_or_default();
    let traffic = if of.phase.is_in_flight() { format!(", {} % of the traffic", of.weight) } else { String::new() };
    format!("{}{since}{traffic}", of.phase)
}

/// For the terminal.
#[must_use]
pub fn plain(of: &Explanation) -> String {
    let mut out = format!("{}  {}\n", of.target, headline(of));
    let line = line(of);
    if !line.is_empty() {
        let _ = writeln!(out, "{line}");
    }
    let _ = writeln!(out);
    for (at, finding) in of.findings.iter().enumerate() {
        let _ = writeln!(out, "{:>2}. {:<8} {}", at + 1, finding.severity.word(), finding.text);
        let proofs = proofs(of, &finding.evidence);
        if !proofs.is_empty() {
            let _ = writeln!(out, "             {proofs}");
        }
    }
    for (title, lines) in [
        ("figures", of.slo.iter().map(series).collect::<Vec<_>>()),
        ("changes (primary -> target)", differences(&of.changes)),
        ("twin", of.twin_difference.as_ref().map(|twin| differences(&twin.difference)).unwrap_or_default()),
        ("events", of.events.iter().take(12).map(event).collect()),
        ("not known", of.gaps.clone()),
    ] {
        if !lines.is_empty() {
            let _ = writeln!(out, "\n{title}");
            for line in lines {
                let _ = writeln!(out, "  {line}");
            }
        }
    }
    out
}

/// The report of an incident, in Markdown.
#[must_use]
pub fn report(of: &Explanation) -> String {
    let mut out = format!("# {}: {}\n\n", escaped(&of.target), headline(of));
    let place = [Some(format!("provider {}", of.provider)), of.environment.clone(), of.wave.map(|w| format!("wave {w}"))];
    let rows = [
        ("As of", format!("{:.0}", of.as_of)),
        ("Where", place.into_iter().flatten().collect::<Vec<_>>().join(", ")),
        (
            "State",
            if of.phase.is_in_flight() {
                format!("{}, failed checks {} of {}", of.phase, of.failed_checks, of.threshold)
            } else {
                of.phase.to_string()
            },
        ),
        ("Rollout", format!("{} by {}", of.strategy, of.router)),
        ("Image", images(of)),
        (
            "Git",
            of.sync
                .as_ref()
                .map(|s| format!("asks for {}, {} was promoted last", or_dash(s.pinned.as_deref()), or_dash(s.promoted_ref.as_deref())))
                .unwrap_or_default(),
        ),
        ("Driver", driver(&of.driver)),
    ];
    for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(out, "- **{name}:** {}", escaped(&value));
    }
    out.push_str("\n## Why\n\n");
    if of.findings.is_empty() {
        out.push_str("No rule has anything to say.\n");
    }
    for (at, finding) in of.findings.iter().enumerate() {
        let _ = writeln!(out, "{}. **{}** {}", at + 1, finding.severity.word(), escaped(&finding.text));
        let proofs = proofs(of, &finding.evidence);
        if !proofs.is_empty() {
            let _ = writeln!(out, "   - {}", escaped(&proofs));
        }
    }
    timeline(of, &mut out);
    table(&mut out, "Figures", &["Series", "Now", "Limit", "Least", "Most", "Primary now", "Data"], of.slo.iter().map(cells).collect());
    let changes = |difference: &Difference| {
        let side = |side: &Option<String>| side.clone().map_or_else(|| "–".to_owned(), |value| code(&value));
        difference.changes.iter().map(|c| vec![code(&c.path), side(&c.was), side(&c.now)]).collect::<Vec<_>>()
    };
    table(&mut out, "What the release changes", &["Path", "Primary", "Target"], changes(&of.changes));
    more(&mut out, &of.changes);
    if let Some(twin) = &of.twin_difference {
        table(&mut out, &format!("What differs from {}", escaped(&twin.target)), &["Path", "There", "Here"], changes(&twin.difference));
        more(&mut out, &twin.difference);
    }
    let twins = of.twins.iter().filter(|t| t.state != TwinState::Another).take(EVENTS);
    let twins =
        twins.map(|t| vec![escaped(&t.target), word(t.state).into(), t.phase.to_string(), code(&or_dash(t.image.as_deref()))]).collect();
    table(&mut out, "The same release elsewhere", &["Canary", "State", "Phase", "Image"], twins);
    let hooks = of
        .hooks
        .iter()
        .map(|h| vec![escaped(&or_dash(Some(&h.name))), h.kind.clone(), code(&or_dash(Some(&h.url))), gate(of, &h.kind)])
        .collect();
    table(&mut out, "Gates and hooks", &["Name", "Type", "URL", "State"], hooks);
    let verdicts = of.verdicts.iter().rev();
    let verdicts = verdicts
        .map(|v| {
            let word = if v.accepted { "accepted" } else { "refused" };
            vec![format!("{:.0}", v.at), v.verb.to_string(), escaped(&v.who), word.into(), escaped(&v.why), escaped(&v.note)]
        })
        .collect();
    table(&mut out, "Verbs", &["At", "Verb", "Who", "Verdict", "Why", "Note"], verdicts);
    let events = of.events.iter().take(EVENTS);
    let events = events
        .map(|e| {
            let kind = if e.warning { "Warning" } else { "Normal" };
            vec![e.at.map(|at| format!("{at:.0}")).unwrap_or_default(), kind.into(), e.count.to_string(), escaped(&e.message)]
        })
        .collect();
    table(&mut out, "Events", &["At", "Type", "Count", "Message"], events);
    if !of.gaps.is_empty() {
        out.push_str("\n## Not known\n\n");
        for gap in &of.gaps {
            let _ = writeln!(out, "- {}", escaped(gap));
        }
    }
    out
}

fn timeline(of: &Explanation, out: &mut String) {
    if of.timeline.stages.is_empty() {
        return;
    }
    let began = of.timeline.began.map(|at| format!(", began {at:.0}")).unwrap_or_default();
    let _ = writeln!(out, "\n## Timeline\n\nPeak weight {} %{began}.\n", of.timeline.peak);
    let row = |stage: &Stage| {
        let marks: String = stage.marks.iter().map(|mark| mark_of(*mark)).collect();
        let at = stage.at.map(|at| format!("{at:.0}")).unwrap_or_default();
        vec![escaped(&stage.kind.label()), state(stage.state).into(), at, marks, escaped(stage.who.as_deref().unwrap_or_default())]
    };
    let rows: Vec<_> = of.timeline.stages.iter().map(row).collect();
    rows_of(out, &["Stage", "State", "At", "Checks", "Who"], &rows);
    out.push_str("\n✓ passed, ✗ failed, ? no data, = held\n");
}

/// The timeline on one line: `detect ✓ · 10% ✓✓ · 20% ✗✗✗ · rollback`.
fn line(of: &Explanation) -> String {
    let stages = of.timeline.stages.iter().filter(|s| s.state != StageState::Skipped);
    let stage = |stage: &Stage| {
        let marks: String = stage.marks.iter().map(|mark| mark_of(*mark)).collect();
        let state = match stage.state {
            StageState::Here => "«",
            StageState::Ahead => "·",
            StageState::Failed => "!",
            StageState::Done | StageState::Skipped => "",
        };
        let who = stage.who.as_deref().map(|who| format!(" {who}")).unwrap_or_default();
        format!("{}{state}{marks}{who}", stage.kind.label())
    };
    stages.map(stage).collect::<Vec<_>>().join(" ─ ")
}

const fn mark_of(mark: Mark) -> char {
    match mark {
        Mark::Passed => '✓',
        Mark::Failed => '✗',
        Mark::NoData => '?',
        Mark::Held => '=',
    }
}

const fn state(state: StageState) -> &'static str {
    match state {
        StageState::Done => "done",
        StageState::Here => "here",
        StageState::Ahead => "ahead",
        StageState::Skipped => "skipped",
        StageState::Failed => "failed",
    }
}

const fn word(state: TwinState) -> &'static str {
    match state {
        TwinState::Healthy => "healthy",
        TwinState::Failed => "failed",
        TwinState::Rolling => "rolling out",
        TwinState::Another => "another image",
    }
}

fn driver(driver: &DriverView) -> String {
    match driver {
        DriverView::Unknown => String::new(),
        DriverView::Here => "this Pilothouse".into(),
        DriverView::Elsewhere { holder } => format!("Pilothouse {holder}"),
        DriverView::Flagger { why } => format!("Flagger ({why})"),
        DriverView::Nobody { why } => format!("nobody ({why})"),
    }
}

fn images(of: &Explanation) -> String {
    match (&of.primary_image, &of.target_image) {
        (Some(primary), Some(target)) if primary != target => format!("{primary} → {target}"),
        (_, Some(image)) | (Some(image), None) => image.clone(),
        (None, None) => String::new(),
    }
}

fn gate(of: &Explanation, kind: &str) -> String {
    let waits = of.gates.iter().find(|gate| gate.name == kind);
    waits.map(|g| format!("waits{}", g.since.map(|since| format!(" for {}", ago(of.as_of, since))).unwrap_or_default())).unwrap_or_default()
}

fn or_dash(text: Option<&str>) -> String {
    text.filter(|t| !t.is_empty()).unwrap_or("–").to_owned()
}

/// What a line rests on, in words.
fn proofs(of: &Explanation, proofs: &[Proof]) -> String {
    let one = |proof: &Proof| match proof {
        Proof::Report => None,
        Proof::Event { index, .. } => of.events.get(*index).map(|e| format!("event {}", event(e))),
        Proof::Series { name, from, to } => {
            let series = of.slo.iter().find(|s| s.name == *name)?;
            let back = |at: usize| u64::try_from(series.points.len().saturating_sub(at + 1)).unwrap_or(0) * series.step;
            let seconds = |at: usize| span(i64::try_from(back(at)).unwrap_or(0));
            Some(format!("{name}, {} to {} before {:.0}", seconds(*from), seconds(*to), of.slo_until))
        }
        Proof::Changes => Some("the changes below".into()),
        Proof::TwinChanges => Some("the twin's difference below".into()),
        Proof::Twin { target } => Some(target.clone()),
        Proof::Gate { name } => Some(format!("gate {name}")),
        Proof::Verb { index } => of.verdicts.get(*index).map(|v| format!("{} by {} at {:.0}", v.verb, v.who, v.at)),
        Proof::Sync => of.sync.as_ref().map(|s| format!("git at {}", or_dash(s.head.as_deref().map(|h| h.get(..12).unwrap_or(h))))),
        Proof::Pods => Some("pods".into()),
        Proof::Link => of.heard.map(|heard| format!("heard last {heard:.0}")),
    };
    proofs.iter().filter_map(one).collect::<Vec<_>>().join("; ")
}

fn event(event: &EventView) -> String {
    let times = if event.count > 1 { format!(" (×{})", event.count) } else { String::new() };
    format!(
        "{}{} {}{times}",
        event.at.map(|at| format!("{at:.0}")).unwrap_or_default(),
        if event.warning { " !" } else { "" },
        event.message
    )
}

fn cells(series: &SloSeries) -> Vec<String> {
    let values = |points: &[Option<f64>]| points.iter().flatten().copied().collect::<Vec<_>>();
    let own = values(&series.points);
    let edge = |pick: fn(f64, f64) -> f64| own.iter().copied().reduce(pick).map_or_else(|| "–".to_owned(), figure);
    let sign = if series.limit_is_minimum() { "≥" } else { "≤" };
    let primary = values(&series.primary).last().map_or_else(|| "–".to_owned(), |v| figure(*v));
    let data = match &series.failed {
        Some(why) => escaped(why),
        None => format!("{} of {}", own.len(), series.points.len()),
    };
    vec![
        escaped(&series.name),
        series.now().map_or_else(|| "no data".to_owned(), |v| in_unit(series, v)),
        series.limit.map_or_else(|| "–".to_owned(), |l| format!("{sign} {}", in_unit(series, l))),
        edge(f64::min),
        edge(f64::max),
        primary,
        data,
    ]
}

fn series(series: &SloSeries) -> String {
    let cells = cells(series);
    let names = ["", "now", "limit", "least", "most", "primary now", "data"];
    names
        .iter()
        .zip(cells)
        .map(|(name, cell)| if name.is_empty() { format!("{cell:<14}") } else { format!("{name} {cell}") })
        .collect::<Vec<_>>()
        .join("  ")
}

fn differences(difference: &Difference) -> Vec<String> {
    let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".into());
    let mut lines: Vec<_> = difference.changes.iter().map(|c| format!("{}: {} -> {}", c.path, side(&c.was), side(&c.now))).collect();
    if difference.more > 0 {
        lines.push(format!("and {} more", difference.more));
    }
    lines
}

fn more(out: &mut String, difference: &Difference) {
    if difference.more > 0 {
        let _ = writeln!(out, "\nAnd {} more.", difference.more);
    }
}

fn table(out: &mut String, title: &str, header: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n## {title}\n");
    rows_of(out, header, &rows);
}

fn rows_of(out: &mut String, header: &[&str], rows: &[Vec<String>]) {
    let _ = writeln!(out, "| {} |\n|{}", header.join(" | "), "---|".repeat(header.len()));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
}

/// `text` that is text: what Markdown and HTML read as marks stands for itself.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// `text` as code, in a table.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace('|', "\\|"))
}
