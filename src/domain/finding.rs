//! What a check of a rollout came to, as data: which one, its figures, and where the rollout stood when it was judged.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::text::clean;

/// Characters kept of [`Finding::why`]; it stands in the Canary's status.
const LONGEST: usize = 200;

/// What kind of check it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckKind {
    Metric,
    /// A webhook.
    Hook,
    /// Pods that did not become ready in their time.
    Readiness,
    /// Something else that took too long: a route that was not accepted, data that did not come.
    Deadline,
}

/// A check that did not pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Name of the metric or webhook; of the workload for readiness.
    pub check: String,
    pub kind: CheckKind,
    /// What was measured, with four decimals; none where there was no data or no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Percent of the traffic that the canary had.
    pub weight: u32,
    /// The iteration, for strategies that count them.
    #[serde(default)]
    pub iteration: u32,
    /// Failed checks so far, this one included; not counted where it is none of them.
    #[serde(default)]
    pub failed: u32,
    /// Failed checks at which the rollout is rolled back.
    #[serde(default)]
    pub threshold: u32,
    /// Why there is no value: the error of a query or a webhook, or what is not ready.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

// Values are finite: what is not is no data.
impl Eq for Finding {}

impl Finding {
    #[must_use]
    pub fn new(kind: CheckKind, check: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            kind,
            value: None,
            min: None,
            max: None,
            weight: 0,
            iteration: 0,
            failed: 0,
            threshold: 0,
            why: String::new(),
        }
    }

    /// With the value that was measured. Rounded, so that it reads back from JSON as it was written.
    #[must_use]
    pub fn measured(mut self, value: f64) -> Self {
        const PLACES: f64 = 10_000.0;
        let rounded = if value.abs() < 1e9 { (value * PLACES).round() / PLACES } else { value };
        self.value = Some(rounded).filter(|v| v.is_finite());
        self
    }

    /// With its limits.
    #[must_use]
    pub const fn within(mut self, min: Option<f64>, max: Option<f64>) -> Self {
        (self.min, self.max) = (min, max);
        self
    }

    /// With the reason why there is no value, cut to what a status can hold.
    #[must_use]
    pub fn because(mut self, why: &str) -> Self {
        self.why = why.chars().take(LONGEST).collect();
        self
    }

    /// As it is shown: whoever may write a status may write anything into it.
    #[must_use]
    pub fn cleaned(self) -> Self {
        Self { check: clean(&self.check), why: clean(&self.why), ..self }
    }

    /// The limit that the value is beyond; none where it is within, or where there is no value.
    #[must_use]
    pub fn broken(&self) -> Option<f64> {
        let value = self.value?;
        self.min.filter(|min| value < *min).or_else(|| self.max.filter(|max| value > *max))
    }
}

impl fmt::Display for Finding {
    /// `request-success-rate 97.2 < 99`, `lag has no data`, `smoke: status 500`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let check = &self.check;
        match (self.value, self.broken()) {
            (Some(value), Some(limit)) if value < limit => write!(f, "{check} {value} < {limit}"),
            (Some(value), Some(limit)) => write!(f, "{check} {value} > {limit}"),
            (Some(value), None) => write!(f, "{check} {value}"),
            (None, _) if !self.why.is_empty() => write!(f, "{check}: {}", self.why),
            (None, _) if self.kind == CheckKind::Metric => write!(f, "{check} has no data"),
            (None, _) => write!(f, "{check} did not pass"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_survive_their_json_and_read_as_sentences() {
        let rate = Finding::new(CheckKind::Metric, "rate").within(Some(99.0), None);
        for (value, text) in [(97.2, "rate 97.2 < 99"), (1.0 / 3.0, "rate 0.3333 < 99"), (99.5, "rate 99.5")] {
            let finding = rate.clone().measured(value);
            let json = serde_json::to_string(&finding).expect("json");
            let back: Finding = serde_json::from_str(&json).expect("a finding");
            assert_eq!((&back, finding.to_string().as_str()), (&finding, text));
            assert_eq!(serde_json::to_string(&back).expect("json"), json, "written again it is the same");
        }
        assert_eq!(rate.clone().measured(f64::NAN), rate, "what is not finite is no data");
        assert_eq!(rate.to_string(), "rate has no data");
        let slow = Finding::new(CheckKind::Metric, "lag").within(None, Some(30.0)).measured(31.0);
        assert_eq!((slow.to_string().as_str(), slow.broken()), ("lag 31 > 30", Some(30.0)));
        assert_eq!(Finding::new(CheckKind::Hook, "smoke").because(&"x".repeat(9_000)).why.len(), LONGEST);
    }
}
