//! How much traffic the canary has, with the mark where its analysis ends.

use ratatui::text::Span;

use crate::ui::theme::{Role, Theme};

/// A bar of `width` columns for `weight` percent; `┃` marks `max`, where the analysis ends (0: no mark).
#[must_use]
pub fn weight_bar(weight: u32, max: u32, width: usize, role: Role, theme: Theme) -> Vec<Span<'static>> {
    let column = |percent: u32| usize::try_from(percent.min(100)).unwrap_or(100) * width / 100;
    let filled = if weight > 0 { column(weight).max(1) } else { 0 };
    let mark = (max > 0 && max < 100 && width >= 10).then(|| column(max).min(width.saturating_sub(1)));
    (0..width)
        .map(|at| match mark {
            Some(mark) if mark == at => Span::styled("┃", theme.style(Role::Limit)),
            _ if at < filled => Span::styled("▓", theme.style(role)),
            _ => Span::styled("░", theme.style(Role::Rule)),
        })
        .collect()
}

/// Percent that `part` is of `whole`; nothing of nothing is nothing.
#[must_use]
pub fn percent(part: u32, whole: u32) -> u32 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0).min(100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::Colour;

    fn text(weight: u32, max: u32, width: usize) -> String {
        weight_bar(weight, max, width, Role::Busy, Theme::new(Colour::None)).iter().map(|span| span.content.as_ref()).collect()
    }

    #[test]
    fn the_mark_stands_where_the_analysis_ends() {
        assert_eq!(text(40, 50, 10), "▓▓▓▓░┃░░░░");
        assert_eq!(text(0, 0, 5), "░░░░░");
        assert_eq!(text(1, 0, 10), "▓░░░░░░░░░");
        assert_eq!(text(100, 100, 5), "▓▓▓▓▓");
        assert_eq!(text(900, 50, 4), "▓▓▓▓");
    }
}
