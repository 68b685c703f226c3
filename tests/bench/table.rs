//! Samples, what was wanted of them, and the one table.

use std::fmt::Write as _;
use std::time::Duration;

use crate::machine::{Machine, load};

/// The figures that others have published, to read ours beside.
const OTHERS: &str = "\
Others, published, on 2 cores with 2,000 pods: k9s 0.3–2.8 s to first rows, 184 MiB, 4.8 % idle, key to screen p95 8 ms;
sofka 0.18, the fastest, 146 ms, 62 MiB, 0.07 %, 4.7 ms. Both include about 2 ms of tmux, which is not between us and the terminal here.";

/// Which of the samples is held against the goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Median,
    P99,
    Max,
}

/// What is wanted: at most so much.
#[derive(Clone, Copy, Debug)]
pub struct Goal(pub By, pub f64);

/// One figure.
pub struct Row {
    figure: String,
    goal: Option<Goal>,
    unit: &'static str,
    /// In order.
    samples: Vec<f64>,
    note: String,
    /// Why there are no samples.
    missing: Option<String>,
    load: f64,
}

impl Row {
    pub fn new(figure: impl Into<String>, unit: &'static str, mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let missing = samples.is_empty().then(|| "no sample".to_owned());
        Self { figure: figure.into(), goal: None, unit, samples, note: String::new(), missing, load: load() }
    }

    /// Times, in milliseconds.
    pub fn times(figure: impl Into<String>, samples: &[Duration]) -> Self {
        Self::new(figure, "ms", samples.iter().map(|sample| sample.as_secs_f64() * 1e3).collect())
    }

    pub fn one(figure: impl Into<String>, unit: &'static str, sample: f64) -> Self {
        Self::new(figure, unit, vec![sample])
    }

    /// A figure that could not be measured.
    pub fn missing(figure: impl Into<String>, why: &str) -> Self {
        Self { missing: Some(why.to_owned()), ..Self::new(figure, "", Vec::new()) }
    }

    pub fn wanted(self, by: By, most: f64) -> Self {
        Self { goal: Some(Goal(by, most)), ..self }
    }

    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// The least sample that `share` of all, 0 to 1, do not exceed.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "counts of samples")]
    fn at(&self, share: f64) -> f64 {
        let last = self.samples.len().saturating_sub(1);
        let rank = (share * self.samples.len() as f64).ceil() as usize;
        self.samples.get(rank.saturating_sub(1).min(last)).copied().unwrap_or(f64::NAN)
    }

    pub fn median(&self) -> f64 {
        self.at(0.5)
    }

    pub fn p99(&self) -> f64 {
        self.at(0.99)
    }

    fn verdict(&self) -> &'static str {
        let Some(Goal(by, most)) = self.goal else { return if self.missing.is_some() { "NOT MEASURED" } else { "" } };
        let judged = match by {
            By::Median => self.median(),
            By::P99 => self.p99(),
            By::Max => self.at(1.0),
        };
        match (self.missing.is_some(), judged <= most) {
            (true, _) => "NOT MEASURED",
            (false, true) => "met",
            (false, false) => "not met",
        }
    }

    fn cells(&self) -> [String; 9] {
        let wanted = self.goal.map_or_else(String::new, |Goal(by, most)| {
            let by = match by {
                By::Median => "median ",
                By::P99 => "p99 ",
                By::Max => "",
            };
            format!("{by}≤ {most} {}", self.unit)
        });
        if self.missing.is_some() {
            let none = String::new;
            return [self.figure.clone(), wanted, none(), none(), none(), none(), "0".into(), none(), self.verdict().into()];
        }
        let n = self.samples.len();
        let spread = |text: String| if n > 1 { text } else { String::new() };
        [
            self.figure.clone(),
            wanted,
            format!("{} {}", number(self.median()), self.unit),
            spread(number(self.at(0.95))),
            spread(number(self.p99())),
            spread(format!("{}–{}", number(self.at(0.0)), number(self.at(1.0)))),
            n.to_string(),
            format!("{:.1}", self.load),
            self.verdict().into(),
        ]
    }

    /// The row in one line, while the others are still measured.
    pub fn line(&self) -> String {
        let cells = self.cells();
        let cells: Vec<&str> = cells.iter().map(|cell| cell.trim()).filter(|cell| !cell.is_empty()).collect();
        format!("{} {}", cells.join(" · "), self.missing.as_ref().unwrap_or(&self.note))
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        ..0.1 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Everything that was measured.
pub struct Table {
    machine: Machine,
    rows: Vec<Row>,
}

impl Table {
    pub fn new(machine: Machine) -> Self {
        Self { machine, rows: Vec::new() }
    }

    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Whether everything could be measured.
    pub fn is_whole(&self) -> bool {
        self.rows.iter().all(|row| row.missing.is_none())
    }

    pub fn print(&self) -> String {
        let heads = ["figure", "wanted", "median", "p95", "p99", "min–max", "n", "load", "verdict"].map(String::from);
        let lines: Vec<[String; 9]> = std::iter::once(heads).chain(self.rows.iter().map(Row::cells)).collect();
        let widths: Vec<usize> = (0..9).map(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0)).collect();
        let mut out = String::from("\n");
        for (number, line) in lines.iter().enumerate() {
            let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            let _ = writeln!(out, "| {} |", cells.join(" | "));
            if number == 0 {
                let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                let _ = writeln!(out, "| {} |", rules.join(" | "));
            }
        }
        out.push('\n');
        for row in &self.rows {
            if let Some(why) = &row.missing {
                let _ = writeln!(out, "not measured: {}: {why}", row.figure);
            } else if !row.note.is_empty() {
                let _ = writeln!(out, "{}: {}", row.figure, row.note);
            }
        }
        let _ = writeln!(out, "\nmachine: {}", self.machine.lines().join("\n         "));
        let _ = writeln!(out, "         load average at the end {:.2}; `load` is that of the minute before the row was done", load());
        let _ = writeln!(out, "{OTHERS}");
        out
    }
}
