//! Answers the engine's questions: hooks by `notify`, metrics by `metrics`.

use crate::domain::canary::HookKind;
use crate::kubernetes::access::Access;
use crate::metrics::catalogue::{self, Subject};
use crate::metrics::prometheus::Source;
use crate::notify::webhook;
use crate::runner::ports::{AnalysisPort, Answer, Observation, Question};

/// One cluster's hooks and metric server.
pub struct Analyst {
    pub access: Access,
    pub source: Source,
    /// The engine runs inside the cluster that it drives.
    pub in_cluster: bool,
}

impl Analyst {
    /// The Prometheus of this canary: its own, else the cluster's.
    fn source(&self, seen: &Observation) -> Result<Source, String> {
        match seen.spec.metrics_server.as_deref().filter(|u| !u.is_empty()) {
            Some(url) => {
                crate::notify::address::check(url, self.in_cluster)?;
                Source::url(url).map_err(|e| e.to_string())
            }
            None => Ok(self.source.clone()),
        }
    }
}

impl AnalysisPort for Analyst {
    async fn ask(&self, seen: &Observation, question: Question) -> Answer {
        match question {
            Question::Hook { kind, index } => match seen.spec.analysis.webhooks.get(index) {
                Some(hook) => {
                    let phase = if kind == HookKind::PostRollout { seen.status.phase.word() } else { "Progressing" };
                    webhook::call(seen, hook, phase, &self.access, self.in_cluster).await
                }
                None => Answer::Error("no such webhook".into()),
            },
            Question::Online => match self.source(seen) {
                Ok(source) => match source.value("vector(1)").await {
                    Answer::Value(_) => Answer::Passed,
                    Answer::Error(why) => Answer::Error(why),
                    _ => Answer::Error(format!("{}: vector(1) has no value", source.name())),
                },
                Err(why) => Answer::Error(why),
            },
            Question::Metric { index } => {
                let Some(metric) = seen.spec.analysis.metrics.get(index) else { return Answer::Error("no such metric".into()) };
                let subject = Subject::new(&seen.key, &seen.spec, &seen.router, metric.interval.as_deref());
                let query = match metric.name.as_str() {
                    "request-success-rate" => catalogue::success_rate(&subject),
                    "request-duration" => catalogue::duration(&subject),
                    other => return Answer::Error(format!("no built-in check {other}")),
                };
                match self.source(seen) {
                    Ok(source) => source.value(&query).await,
                    Err(why) => Answer::Error(why),
                }
            }
        }
    }
}
