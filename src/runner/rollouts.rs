//! One task a canary: observe, step, perform, and wait for the next reason to look.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::ports::{AnalysisPort, Answer, ClusterPort, Effect, Leadership, PortError, Question};
use super::tally::Tally;
use crate::domain::target::CanaryKey;
use crate::engine::invariants;
use crate::engine::observation::{Observation, Round};
use crate::engine::report::{Reason, Report};
use crate::engine::step::{round_of, step};

/// First wait after a failure; doubled up to [`SLOWEST`].
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const SLOWEST: Duration = Duration::from_secs(10);
/// The same effect performed so often in a row does not help: something undoes it, or the API server drops a part of it.
const IN_VAIN: u32 = 5;
/// A question whose answer did not satisfy the step is not repeated sooner.
const AGAIN: Duration = Duration::from_secs(1);
/// A canary is looked at this often even if nothing rings: a missed event is repaired within it.
const RELOOK: Duration = Duration::from_mins(1);

/// The last report of every canary that is driven here.
#[derive(Default)]
pub struct Reports {
    inner: Mutex<BTreeMap<CanaryKey, Report>>,
    tally: Tally,
}

impl Reports {
    /// Reports whose figures go to `tally`.
    #[must_use]
    pub fn counted(tally: Tally) -> Self {
        Self { tally, ..Default::default() }
    }

    #[must_use]
    pub fn get(&self, key: &CanaryKey) -> Option<Report> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Whether this is news.
    fn set(&self, key: &CanaryKey, report: Report) -> bool {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.get(key) == Some(&report) {
            return false;
        }
        inner.insert(key.clone(), report);
        true
    }

    pub(super) fn forget(&self, key: &CanaryKey) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

type Due = (String, Timestamp);

/// Drives `key` until the task is dropped. `news` is called when its report has changed.
pub async fn drive<C: ClusterPort, A: AnalysisPort, L: Leadership>(
    cluster: Arc<C>,
    analysis: Arc<A>,
    leadership: Arc<L>,
    key: CanaryKey,
    reports: Arc<Reports>,
    news: Arc<dyn Fn() + Send + Sync>,
) {
    let waker = cluster.waker(&key);
    let (answers, mut answered) = mpsc::unbounded_channel::<(Due, Question, Answer)>();
    let mut asking: BTreeMap<Question, Due> = BTreeMap::new();
    let mut heard: BTreeMap<Question, (Due, Duration)> = BTreeMap::new();
    let mut questions = tokio::task::JoinSet::new();
    let mut round: Option<Round> = None;
    // What the step wants to know now: answers to anything else come too late, whatever their times say.
    let mut wanted: Option<Due> = None;
    // When the questions of the running tick began, and how often the last effect was performed in a row.
    let mut tick: Option<(Due, Duration)> = None;
    let mut last: Option<(Effect, u32)> = None;
    let mut backoff = FIRST_BACKOFF;
    loop {
        while let Ok((due, question, answer)) = answered.try_recv() {
            asking.remove(&question);
            heard.insert(question, (due.clone(), cluster.clock().running()));
            file(&mut round, wanted.as_ref(), due, question, answer);
        }
        while questions.try_join_next().is_some() {}
        let now = cluster.clock().now();
        let relook = cluster.clock().lived(RELOOK);
        let mut sleep = relook;
        match cluster.observe(&key).await {
            Ok(Some(mut seen)) => {
                seen.round.clone_from(&round);
                let decided = step(&seen, now);
                if let Some(rule) = invariants::broken(&seen, &decided, now) {
                    tracing::error!(canary = %key, %rule, "the engine broke a rule; nothing was written");
                    reports.set(&key, Report::new(Reason::WriteFailed, format!("stopped by a safety rule: {rule}")));
                    news();
                } else {
                    if reports.set(&key, decided.report.clone()) {
                        news();
                    }
                    match &decided.effect {
                        Some(Effect::Ask(question)) => {
                            let due = round_of(&seen, now);
                            let since = heard
                                .get(question)
                                .filter(|(known, _)| *known == due)
                                .map(|(_, at)| cluster.clock().running().saturating_sub(*at));
                            if let Some(left) = since.and_then(|since| AGAIN.checked_sub(since)).filter(|left| !left.is_zero()) {
                                sleep = left;
                            } else if asking.get(question) != Some(&due) {
                                wanted = Some(due.clone());
                                if tick.as_ref().is_none_or(|(known, _)| *known != due) {
                                    tick = Some((due.clone(), cluster.clock().running()));
                                }
                                asking.insert(*question, due.clone());
                                ask(&mut questions, Arc::clone(&analysis), seen, (*question, due), reports.tally.clone(), answers.clone());
                            }
                        }
                        Some(effect) if !leadership.may_write() => {
                            tracing::debug!(canary = %key, ?effect, "no lease: not written");
                            sleep = Duration::from_millis(500);
                        }
                        Some(effect) => match cluster.perform(&seen, effect).await {
                            Ok(()) => {
                                let took = tick.take().map(|(_, began)| cluster.clock().running().saturating_sub(began));
                                reports.tally.performed(&seen, effect, took);
                                announce(analysis.as_ref(), &seen, effect);
                                tracing::info!(canary = %key, phase = %seen.status.phase, effect = %brief(effect), "performed");
                                let times = last.take().filter(|(known, _)| known == effect).map_or(1, |(_, times)| times + 1);
                                last = Some((effect.clone(), times));
                                if times < IN_VAIN {
                                    backoff = FIRST_BACKOFF;
                                    continue;
                                }
                                tracing::warn!(canary = %key, effect = %brief(effect), times, "performed again and again");
                                sleep = backoff;
                                backoff = (backoff * 2).min(SLOWEST);
                            }
                            Err(PortError::Changed(why)) => {
                                tracing::debug!(canary = %key, effect = %brief(effect), %why, "look again");
                                // The cache may be as old as the step: the watch, or a short wait, brings the rest.
                                sleep = FIRST_BACKOFF / 4;
                            }
                            Err(error) => {
                                tracing::warn!(canary = %key, effect = %brief(effect), %error, "not performed");
                                if reports.set(&key, Report::new(Reason::WriteFailed, error.to_string())) {
                                    news();
                                }
                                sleep = backoff;
                                backoff = (backoff * 2).min(SLOWEST);
                            }
                        },
                        None => {
                            backoff = FIRST_BACKOFF;
                            if let Some(wake) = decided.wake {
                                let until = wake.duration_since(now).unsigned_abs();
                                sleep = if wake <= now { Duration::from_millis(10) } else { until.min(relook) };
                            }
                        }
                    }
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(canary = %key, %error, "not observed");
                sleep = backoff;
                backoff = (backoff * 2).min(SLOWEST);
            }
        }
        tokio::select! {
            biased;
            () = waker.notified() => {}
            Some((due, question, answer)) = answered.recv() => {
                asking.remove(&question);
                heard.insert(question, (due.clone(), cluster.clock().running()));
                file(&mut round, wanted.as_ref(), due, question, answer);
            }
            () = cluster.clock().sleep(sleep) => {}
        }
    }
}

fn ask<A: AnalysisPort>(
    tasks: &mut tokio::task::JoinSet<()>,
    analysis: Arc<A>,
    seen: Observation,
    (question, due): (Question, Due),
    tally: Tally,
    answers: mpsc::UnboundedSender<(Due, Question, Answer)>,
) {
    tasks.spawn(async move {
        let answer = analysis.ask(&seen, question).await;
        tally.answered(&seen, question, &answer);
        tracing::debug!(canary = %seen.key, ?question, ?answer, "answered");
        let _ = answers.send((due, question, answer));
    });
}

/// The answer to what is wanted makes a new round, or goes into the one it belongs to; any other is dropped. Which
/// of two due times is the later one says nothing: the clock may have been set.
fn file(round: &mut Option<Round>, wanted: Option<&Due>, due: Due, question: Question, answer: Answer) {
    if wanted != Some(&due) {
        return;
    }
    let (checksum, due) = due;
    if !round.as_ref().is_some_and(|r| r.checksum == checksum && r.due == due) {
        *round = Some(Round { checksum, due, answers: BTreeMap::new() });
    }
    if let Some(round) = round {
        round.answers.insert(question, answer);
    }
}

/// Tells what `effect`, which is done, has to say.
fn announce<A: AnalysisPort>(analysis: &A, seen: &Observation, effect: &Effect) {
    match effect {
        Effect::WriteStatus { status, say } if !say.is_empty() => {
            let seen = Observation { status: (**status).clone(), ..seen.clone() };
            analysis.announce(&seen, say);
        }
        Effect::Finalizer { say, .. } if !say.is_empty() => analysis.announce(seen, say),
        _ => {}
    }
}

fn brief(effect: &Effect) -> String {
    match effect {
        Effect::WriteStatus { status, .. } => format!("status {} {} %", status.phase, status.canary_weight),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_input_27_only_answers_to_what_is_wanted_are_filed_whatever_the_clock_says() {
        let due = |seconds| ("sum".to_owned(), Timestamp::from_second(seconds).expect("a time"));
        let question = Question::Metric { index: 0 };
        let mut round = None;
        file(&mut round, Some(&due(100)), due(100), question, Answer::Value(1.0));
        file(&mut round, Some(&due(100)), due(90), question, Answer::Value(2.0));
        assert_eq!(round.as_ref().and_then(|r| r.answers.get(&question)), Some(&Answer::Value(1.0)), "an older one is late");
        // The clock was set back.
        file(&mut round, Some(&due(40)), due(40), question, Answer::Value(3.0));
        assert_eq!(round.as_ref().map(|r| (r.due, r.answers.get(&question).cloned())), Some((due(40).1, Some(Answer::Value(3.0)))));
    }
}
