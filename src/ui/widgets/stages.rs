//! A rollout as a line of stages, each with what its checks said.

use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::text::{cut, width};
use crate::session::timeline::{Mark, Stage, StageKind, StageState, Timeline};
use crate::ui::theme::{Role, Theme};

/// Marks shown of one stage; the last ones are those that count.
const MARKS: usize = 6;

const fn look(state: StageState) -> (&'static str, Role) {
    match state {
        StageState::Done => ("✓", Role::Good),
        StageState::Here => ("»", Role::Busy),
        StageState::Ahead | StageState::Skipped => ("·", Role::Dim),
        StageState::Failed => ("✗", Role::Bad),
    }
}

const fn mark(mark: Mark) -> (&'static str, Role) {
    match mark {
        Mark::Passed => ("✓", Role::Good),
        Mark::Failed => ("✗", Role::Bad),
        Mark::NoData => ("?", Role::Warn),
        Mark::Held => ("=", Role::Hold),
    }
}

/// One stage in a few columns: its name, and its marks or its state.
fn stage(stage: &Stage, theme: Theme) -> Vec<Span<'static>> {
    let (glyph, role) = look(stage.state);
    let mut style = theme.style(if stage.state == StageState::Here { Role::Title } else { role });
    if stage.state == StageState::Here {
        style = style.add_modifier(Modifier::BOLD);
    }
    let mut spans = vec![Span::styled(stage.kind.label(), style)];
    let marks = &stage.marks[stage.marks.len().saturating_sub(MARKS)..];
    if marks.is_empty() || matches!(stage.kind, StageKind::Rollback) {
        spans.push(Span::styled(glyph, theme.style(role)));
    }
    spans.extend(marks.iter().map(|of| {
        let (glyph, role) = mark(*of);
        Span::styled(glyph, theme.style(role))
    }));
    if stage.state == StageState::Here && !marks.is_empty() {
        spans.push(Span::styled("»", theme.style(Role::Busy)));
    }
    if let Some(who) = &stage.who {
        spans.push(Span::styled(format!(" {}", cut(who, 12)), theme.style(Role::Dim)));
    }
    spans
}

/// The stages in at most `rows` lines of `columns`. What is ahead or behind the present gives way where
/// there are too many: steps far from it are drawn as one `…`.
#[must_use]
pub fn lines(timeline: &Timeline, columns: usize, rows: usize, theme: Theme) -> Vec<Line<'static>> {
    let present = timeline
        .stages
        .iter()
        .rposition(|stage| matches!(stage.state, StageState::Here | StageState::Failed | StageState::Done))
        .unwrap_or(0);
    let mut left: Vec<&Stage> = timeline.stages.iter().collect();
    let mut here = present;
    let (mut lost_before, mut lost_after) = (false, false);
    loop {
        let out = flow(&left, columns, (lost_before.then_some(()), lost_after.then_some(())), theme);
        if out.len() <= rows || left.len() <= 3 {
            let mut out = out;
            out.truncate(rows);
            return out;
        }
        // What has no marks and is furthest from the present tells least; the end is always shown.
        let ahead = left.len() - 1 - here;
        if ahead > here {
            left.remove(left.len() - 2);
            lost_after = true;
        } else {
            left.remove(1);
            here -= 1;
            lost_before = true;
        }
    }
}

fn flow(stages: &[&Stage], columns: usize, (before, after): (Option<()>, Option<()>), theme: Theme) -> Vec<Line<'static>> {
    let mut out: Vec<Line<'static>> = vec![Line::from(" ")];
    for (at, of) in stages.iter().enumerate() {
        let mut spans = stage(of, theme);
        let gap = (before.is_some() && at == 1) || (after.is_some() && at + 1 == stages.len());
        if at > 0 {
            let rule = if gap { " … " } else { " ─ " };
            spans.insert(0, Span::styled(rule, theme.style(Role::Rule)));
        }
        let wide: usize = spans.iter().map(|span| width(&span.content)).sum();
        let used = out.last().map_or(0, Line::width);
        if used + wide > columns && used > 1 {
            out.push(Line::from(" "));
        }
        if let Some(line) = out.last_mut() {
            line.extend(spans);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::Colour;

    fn timeline(steps: u32, here: u32) -> Timeline {
        let mut stages = vec![Stage { kind: StageKind::Detect, state: StageState::Done, at: None, marks: Vec::new(), who: None }];
        for step in 1..=steps {
            let state = match step.cmp(&here) {
                std::cmp::Ordering::Less => StageState::Done,
                std::cmp::Ordering::Equal => StageState::Here,
                std::cmp::Ordering::Greater => StageState::Ahead,
            };
            let marks = if step == here { vec![Mark::Passed, Mark::Failed, Mark::NoData] } else { Vec::new() };
            stages.push(Stage { kind: StageKind::Weight(step * 10), state, at: None, marks, who: None });
        }
        stages.push(Stage { kind: StageKind::Done, state: StageState::Ahead, at: None, marks: Vec::new(), who: None });
        Timeline { stages, ..Timeline::default() }
    }

    fn text(lines: &[Line<'_>]) -> String {
        lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn stages_have_their_marks() {
        let lines = lines(&timeline(3, 2), 80, 2, Theme::new(Colour::None));
        assert_eq!(text(&lines), " detect✓ ─ 10%✓ ─ 20%✓✗?» ─ 30%· ─ done·");
    }

    #[test]
    fn many_steps_give_way_round_the_present() {
        let lines = lines(&timeline(50, 20), 60, 1, Theme::new(Colour::None));
        let shown = text(&lines);
        assert!(width(&shown) <= 60 && shown.contains("200%✓✗?»") && shown.contains(" … ") && shown.ends_with("done·"), "{shown}");
    }

    #[test]
    fn every_width_is_kept() {
        for columns in 20..140 {
            for line in lines(&timeline(30, 11), columns, 3, Theme::new(Colour::None)) {
                assert!(line.width() <= columns.max(24), "{columns}: {line}");
            }
        }
    }
}
