//! Sparklines on a scale that the limit fixes, so that a breach is visible without reading a number.
//!
//! The limit always stands at the same height: the middle of the one-row form, the rule of the
//! three-row form. Bars never rescale to their own noise, and no data is `·`, never an empty bar.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::text::{fit, number};
use crate::session::view::{Indicator, SloSeries};
use crate::ui::theme::{Role, Theme};

const LEVELS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// What is drawn where there is no data.
const GAP: &str = "·";

/// One column of a chart.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Column {
    /// Before the first point.
    Before,
    /// No data.
    Gap,
    /// Beyond the limit or not, on which side of it, and how far: 0 is at the limit for the upper side
    /// and at the floor for the lower.
    Bar { upper: bool, breach: bool, share: f64 },
}

/// The ends of the scale and the limit between them.
struct Scale {
    floor: f64,
    limit: f64,
    top: f64,
}

impl Scale {
    fn of(series: &SloSeries) -> Self {
        match (series.limit, series.indicator) {
            (Some(limit), Indicator::Availability) => {
                let span = if limit < 100.0 { 100.0 - limit } else { 1.0 };
                Self { floor: limit - span, limit, top: limit + span }
            }
            (Some(limit), _) => {
                let span = if limit > 0.0 { limit } else { 1.0 };
                Self { floor: limit - span, limit, top: limit + span }
            }
            (None, _) => {
                let values = || series.points.iter().flatten().copied();
                let floor = values().fold(f64::INFINITY, f64::min);
                let top = values().fold(f64::NEG_INFINITY, f64::max);
                let (floor, top) = if floor < top { (floor, top) } else { (0.0, top.max(1.0)) };
                Self { floor, limit: f64::midpoint(floor, top), top }
            }
        }
    }

    fn column(&self, series: &SloSeries, point: Option<f64>) -> Column {
        let Some(value) = point.filter(|value| value.is_finite()) else { return Column::Gap };
        let breach = series.breaks(value);
        // A value on the limit belongs to the side that keeps it.
        let upper = if series.limit.is_some() { breach != series.limit_is_minimum() } else { value >= self.limit };
        let (from, to) = if upper { (self.limit, self.top) } else { (self.floor, self.limit) };
        Column::Bar { upper, breach, share: ((value - from) / (to - from)).clamp(0.0, 1.0) }
    }
}

/// All points in `width` columns, the newest at the right end. Where points share a column its worst
/// one is drawn, so that no breach is lost to a small screen.
fn columns(series: &SloSeries, width: usize) -> Vec<Column> {
    let scale = Scale::of(series);
    let each = series.points.len().div_ceil(width.max(1)).max(1);
    let worst = |points: &[Option<f64>]| {
        let values = points.iter().flatten().copied();
        if series.limit_is_minimum() { values.reduce(f64::min) } else { values.reduce(f64::max) }
    };
    let mut shown: Vec<Column> = series.points.rchunks(each).map(|points| scale.column(series, worst(points))).collect();
    shown.resize(width, Column::Before);
    shown.reverse();
    shown
}

/// A level out of `levels` for a share between 0 and 1.
fn level(share: f64, levels: u8) -> usize {
    let wanted = share * f64::from(levels);
    usize::from((1..levels).find(|step| wanted < f64::from(*step)).unwrap_or(levels)) - 1
}

/// One row: a rule at the height of the limit on both sides of the bars (`─` stands in the middle of a
/// row, and so does the limit), `!n` at the end for n points beyond it.
#[must_use]
pub fn one_row(series: &SloSeries, width: usize, theme: Theme) -> Vec<Span<'static>> {
    let breaches = series.points.iter().flatten().filter(|value| series.breaks(**value)).count();
    let tail = if breaches > 0 { format!("!{}", breaches.min(99)) } else { "─".to_string() };
    let (margin, rule) = if series.limit.is_some() { (1, "─") } else { (0, " ") };
    let tail = if series.limit.is_some() { tail } else { String::new() };
    let room = width.saturating_sub(margin + tail.chars().count());
    let mut out = Vec::with_capacity(width);
    if margin > 0 {
        out.push(Span::styled(rule, theme.style(Role::Limit)));
    }
    for column in columns(series, room) {
        out.push(match column {
            Column::Before => Span::styled(rule, theme.style(Role::Limit)),
            Column::Gap => Span::styled(GAP, theme.style(Role::Stale)),
            Column::Bar { upper, breach, share } => {
                let step = level(share, 4) + if upper { 4 } else { 0 };
                Span::styled(LEVELS[step.min(7)], bar_style(breach, theme))
            }
        });
    }
    out.push(Span::styled(tail, theme.style(if breaches > 0 { Role::Bad } else { Role::Limit })));
    out
}

/// Three rows: what is above the limit, the limit itself with `!` under or over every breach and `·`
/// where data is missing, what is below it.
#[must_use]
pub fn three_rows(series: &SloSeries, width: usize, theme: Theme) -> [Vec<Span<'static>>; 3] {
    let minimum = series.limit_is_minimum() && series.limit.is_some();
    let [mut above, mut rule, mut below] = [const { Vec::new() }; 3];
    for column in columns(series, width) {
        let (high, mark, low) = match column {
            Column::Before => (blank(), Span::styled("─", theme.style(Role::Limit)), blank()),
            Column::Gap => (blank(), Span::styled(GAP, theme.style(Role::Stale)), blank()),
            Column::Bar { upper, breach, share } => {
                let style = bar_style(breach, theme);
                let bar = Span::styled(LEVELS[level(share, 8)], style);
                let mark = if breach { Span::styled("!", style) } else { Span::styled("─", theme.style(Role::Limit)) };
                match (upper, minimum) {
                    // What holds a minimum needs no bar below it; a breach then stands alone.
                    (true, true) => (bar, mark, blank()),
                    (true, false) => (bar, mark, Span::styled(LEVELS[7], style)),
                    (false, _) => (blank(), mark, bar),
                }
            }
        };
        above.push(high);
        rule.push(mark);
        below.push(low);
    }
    [above, rule, below]
}

fn blank() -> Span<'static> {
    Span::styled(" ", Style::new())
}

fn bar_style(breach: bool, theme: Theme) -> Style {
    theme.style(if breach { Role::Bad } else { Role::Good })
}

/// The limit in words: `≥ 99 %`.
#[must_use]
pub fn limit(series: &SloSeries) -> String {
    let sign = if series.limit_is_minimum() { "≥" } else { "≤" };
    series.limit.map_or_else(|| "no limit".to_string(), |limit| format!("limit {sign} {} {}", number(limit), series.indicator.unit()))
}

/// The newest, smallest and largest value in words.
#[must_use]
pub fn figures(series: &SloSeries, theme: Theme) -> Line<'static> {
    let values = || series.points.iter().flatten().copied().filter(|value| value.is_finite());
    let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let now = series.now().map_or_else(|| "no data".to_string(), number);
    let role = match series.now() {
        Some(value) if series.breaks(value) => Role::Bad,
        Some(_) => Role::Title,
        None => Role::Stale,
    };
    let mut spans = vec![Span::styled("now ", theme.style(Role::Dim)), Span::styled(fit(&now, 7), theme.style(role))];
    if least.is_finite() {
        spans.push(Span::styled(format!(" min {:<5} max {:<5}", number(least), number(most)), theme.style(Role::Dim)));
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::Colour;

    fn series(indicator: Indicator, limit: Option<f64>, points: &[Option<f64>]) -> SloSeries {
        SloSeries::new(indicator, limit, points.to_vec(), 10)
    }

    fn text(spans: &[Span<'_>]) -> String {
        spans.iter().map(|span| span.content.as_ref()).collect()
    }

    fn plain() -> Theme {
        Theme::new(Colour::None)
    }

    #[test]
    fn a_gap_is_a_gap_and_not_zero() {
        let errors = series(Indicator::ErrorRate, Some(1.0), &[Some(0.0), None, Some(0.5)]);
        assert_eq!(text(&one_row(&errors, 6, plain())), "──▁·▃─");
        let none = series(Indicator::ErrorRate, Some(1.0), &[None, None]);
        assert_eq!(text(&one_row(&none, 5, plain())), "──··─");
    }

    #[test]
    fn the_limit_is_the_middle_and_breaches_are_counted() {
        let errors = series(Indicator::ErrorRate, Some(1.0), &[Some(1.0), Some(1.01), Some(9.0)]);
        assert_eq!(text(&one_row(&errors, 6, plain())), "─▄▅█!2");
        let availability = series(Indicator::Availability, Some(99.0), &[Some(100.0), Some(99.0), Some(98.9), Some(0.0)]);
        assert_eq!(text(&one_row(&availability, 7, plain())), "─█▅▄▁!2");
    }

    #[test]
    fn a_narrow_line_keeps_every_breach() {
        let mut points = vec![Some(0.1); 40];
        points[7] = Some(1.5);
        let errors = series(Indicator::ErrorRate, Some(1.0), &points);
        assert_eq!(text(&one_row(&errors, 8, plain())), "─▇▁▁▁▁!1");
    }

    #[test]
    fn three_rows_have_the_limit_between_them() {
        let availability = series(Indicator::Availability, Some(99.0), &[Some(100.0), None, Some(98.5), Some(99.5)]);
        let [above, rule, below] = three_rows(&availability, 5, plain());
        assert_eq!(text(&above), " █  ▅");
        assert_eq!(text(&rule), "──·!─");
        assert_eq!(text(&below), "   ▅ ");
        let response = series(Indicator::ResponseTime, Some(500.0), &[Some(250.0), Some(750.0)]);
        let [above, rule, below] = three_rows(&response, 2, plain());
        assert_eq!([text(&above), text(&rule), text(&below)], [" ▅", "─!", "▅█"]);
    }

    #[test]
    fn words_name_limit_and_range() {
        let response = series(Indicator::ResponseTime, Some(500.0), &[Some(120.0), Some(612.5)]);
        assert_eq!(limit(&response), "limit ≤ 500 ms");
        assert!(figures(&response, plain()).to_string().contains("min 120"));
        assert_eq!(limit(&series(Indicator::ErrorRate, None, &[])), "no limit");
        assert!(figures(&series(Indicator::ErrorRate, None, &[None]), plain()).to_string().contains("no data"));
    }
}
